import Foundation
@testable import HostPlugins
import PluginKit
import TestSupport
import Testing

@Suite("keel plugin check: the runner")
struct CheckTests {
    @Test("every check has an id of its own, a kebab-case name, one sentence, and a rule that stands in keel.h")
    func wellFormed() {
        #expect(Set(Check.all.map(\.id)).count == Check.all.count)
        #expect(Set(Check.all.map(\.name)).count == Check.all.count)
        for check in Check.all {
            #expect(check.id.wholeMatch(of: /[A-Z][0-9]{2}/) != nil, "\(check.id)")
            #expect(check.name.wholeMatch(of: /[a-z]+(-[a-z]+)*/) != nil, "\(check.name)")
            #expect(check.sentence.hasSuffix(".") && !check.sentence.contains("\n"), "\(check.id)")
            #expect(CheckRule.line(of: check.rule) != nil, "\(check.id): keel.h doesn't say \"\(check.rule)\"")
            #expect(check.limit >= 10, "\(check.id)")
        }
        let wanted = ["L": 10, "E": 9, "G": 6, "C": 10, "M": 6, "S": 6, "B": 26, "F": 15, "D": 9, "R": 9]
        for (letter, count) in wanted {
            let ids = Check.all.map(\.id).filter { $0.hasPrefix(letter) }
            #expect(ids == (1...count).map { letter + ($0 < 10 ? "0" : "") + String($0) })
        }
        #expect(Check.all.contains { $0.id == "P03" })
    }

    @Test("a rule's line is where it stands in the header")
    func ruleLines() throws {
        let lines = try String(contentsOfFile: CompilePlugin.root + "/Sources/PluginAPI/include/keel.h", encoding: .utf8)
            .split(separator: "\n", omittingEmptySubsequences: false)
        let line = try #require(CheckRule.line(of: "The same id twice is KEEL_E_DUPLICATE."))
        #expect(lines[line - 1].contains("The same id twice is KEEL_E_DUPLICATE."))
        // One that runs over the end of a line.
        let first = try #require(CheckRule.line(of: "a pointer passed either way is valid until the call returns."))
        #expect(lines[first - 1].contains("a pointer passed either way"))
        #expect(CheckRule.line(of: "no such rule anywhere") == nil)
    }

    @Test("the sizes of ABI 1.0 are those of the frozen layout")
    func sizes() throws {
        let layout = try String(contentsOfFile: CompilePlugin.root + "/Sources/PluginAPI/abi/keel-1.0.layout", encoding: .utf8)
        for (name, size) in Abi10.sizes { #expect(layout.contains("size \(name) \(size) "), "\(name)") }
        for (id, known) in knownInterfaces {
            for (function, offset) in known.required { #expect(layout.contains("field \(known.name).\(function) \(offset) 8"), "\(id) \(function)") }
        }
    }

    // MARK: bad input

    @Test("a missing file, a folder, a text, a cut library, a foreign one: a message each, no crash")
    func badFiles() throws {
        try withFolder { folder in
            #expect(throws: PluginCheckError.self) { try Child.check(folder + "/nothing.so") }
            #expect(throws: PluginCheckError.self) { try Child.check(folder) }
            try "hello".write(toFile: folder + "/text.so", atomically: true, encoding: .utf8)
            try Data().write(to: URL(fileURLWithPath: folder + "/empty.so"))
            let good = try ZooPlugin("NONE", .decider, "nothing").build(in: folder)
            let bytes = try Data(contentsOf: URL(fileURLWithPath: good))
            try bytes.prefix(bytes.count / 2).write(to: URL(fileURLWithPath: folder + "/cut.so"))
            var foreign = bytes
            foreign[18] = 183  // another machine
            try foreign.write(to: URL(fileURLWithPath: folder + "/foreign.so"))
            for name in ["text", "empty", "cut", "foreign"] {
                let report = try Child.check(folder + "/\(name).so")
                #expect(!report.passed, "\(name)")
                #expect(report.failed.contains { $0.check == "L01" || $0.check == "L04" }, "\(name): \(report.text(onlyFailed: true))")
                #expect(report.results.allSatisfy { $0.status != .pass || $0.check.hasPrefix("L") }, "\(name)")
            }
        }
    }

    @Test("a library without the symbol, one that crashes, one that hangs and one with null tables", arguments: [
        ("int other(void) { return 1; }", "keel_plugin_entry"),
        ("#include \"keel.h\"\nconst keel_library *keel_plugin_entry(uint32_t m) { return *(const keel_library *volatile *)(uintptr_t)(m * 0); }", "SIGSEGV"),
        ("#include \"keel.h\"\nconst keel_library *keel_plugin_entry(uint32_t m) { for (volatile int i = 1; i;) (void)m; return 0; }", "did not end"),
        ("#include \"keel.h\"\nconst keel_library *keel_plugin_entry(uint32_t m) { (void)m; return 0; }", "NULL"),
        ("#include \"keel.h\"\nstatic const keel_library l = {sizeof l, 1, 0, 0, 1, 0};\nconst keel_library *keel_plugin_entry(uint32_t m) { (void)m; return &l; }", "NULL"),
        ("#include \"keel.h\"\n#include <stdlib.h>\nconst keel_library *keel_plugin_entry(uint32_t m) { (void)m; exit(3); }", "code 3"),
    ])
    func badLibraries(_ library: (source: String, words: String)) throws {
        try withFolder { folder in
            let file = try CompilePlugin.c(library.source, to: folder + "/bad.so", linking: [])
            let report = try Child.check(file, include: ["L04", "E0*", "C01"], limit: 2)
            let failed = try #require(report.failed.first)
            #expect(failed.check == "L04")
            #expect(failed.message.contains(library.words), "\(failed.message)")
            #expect(report.results.filter { $0.check != "L04" }.allSatisfy { $0.status == .skip })
        }
    }

    // MARK: profiles

    @Test("a profile's mistakes are named", arguments: [
        (#"{"confg": {}}"#, "did you mean \"config\""),
        (#"{"skip": [{"check": "B77", "reason": "no"}]}"#, "B77"),
        (#"{"skip": [{"check": "B01", "reason": ""}]}"#, "reason"),
        (#"{"venue": {"bought": 1}}"#, "venue"),
        (#"{"states": {"one": "x"}}"#, "one"),
        (#"{"price": "dear"}"#, "price"),
        ("{", "line 1"),
    ])
    func badProfiles(_ profile: (text: String, words: String)) throws {
        try withFolder { folder in
            let file = try ZooPlugin("NONE", .router, "nothing").build(in: folder)
            try profile.text.write(toFile: folder + "/keel-check.json", atomically: true, encoding: .utf8)
            let error = #expect(throws: PluginCheckError.self) { try Child.check(file) }
            #expect(error?.description.contains(profile.words) ?? false, "\(error.map(String.init(describing:)) ?? "")")
        }
    }

    @Test("what a profile skips is skipped, with its reason")
    func skips() throws {
        try withFolder { folder in
            let file = try ZooPlugin("R02", .router, "pays a tick more").build(in: folder)
            try #"{"skip": [{"check": "R02", "reason": "the venue has no limits"}]}"#.write(toFile: folder + "/keel-check.json", atomically: true, encoding: .utf8)
            let report = try Child.check(file, include: ["R02"])
            #expect(report.results.map(\.status) == [.skip])
            #expect(report.results.first?.message == "the profile skips it: the venue has no limits")
            #expect(report.passed)
        }
    }

    @Test("a configuration that create refuses is said once, by the check that is about it")
    func refusedConfiguration() throws {
        try withFolder { folder in
            let file = try ZooPlugin("NONE", .decider, "nothing").build(in: folder)
            try #"{"config": {"period": 9999}}"#.write(toFile: folder + "/keel-check.json", atomically: true, encoding: .utf8)
            let report = try Child.check(file)
            #expect(report.failed.map(\.check) == ["G02"], "\(report.text(onlyFailed: true))")
            let told = report.results.filter { $0.status == .skip && $0.message.contains("period must lie between") }
            #expect(told.count > 30)
        }
    }

    @Test("a profile may differ for single components")
    func componentProfiles() throws {
        try withFolder { folder in
            let file = try ZooPlugin("NONE", .decider, "nothing").build(in: folder)
            try #"{"config": {"period": 9999}, "components": {"org.keel-zoo.decider": {"config": {"period": 5}, "skip": [{"check": "D09", "reason": "why not"}]}}}"#
                .write(toFile: folder + "/keel-check.json", atomically: true, encoding: .utf8)
            let report = try Child.check(file)
            #expect(report.passed, "\(report.text(onlyFailed: true))")
            #expect(report.results.contains { $0.check == "D09" && $0.message.contains("why not") })
        }
    }

    @Test("a mock venue that doesn't start fails the checks that need it, and says why")
    func brokenVenue() throws {
        try withFolder { folder in
            let file = try ZooPlugin("NONE", .broker, "nothing").build(in: folder)
            let profile = #"{"config":{"port":"${mock.port}","key":{"$secret":"zoo.key"}},"secrets":{"zoo.key":"zoo-key"},"venue":{"command":["false"]}}"#
            try profile.write(toFile: folder + "/keel-check.json", atomically: true, encoding: .utf8)
            let report = try Child.check(file, include: ["B01", "E01"])
            #expect(report.failed.map(\.check) == ["B01"])
            #expect(report.failed.first?.message.contains("did not start") ?? false, "\(report.failed.first?.message ?? "")")
        }
    }

    @Test("a mock venue of the author's own is driven line by line")
    func commandVenue() throws {
        try withFolder { folder in
            let file = try ZooPlugin("NONE", .broker, "nothing").build(in: folder)
            let profile = """
                {"config":{"port":"${mock.port}","key":{"$secret":"zoo.key"}},"secrets":{"zoo.key":"zoo-key"},
                 "venue":{"command":["\(Child.program)","--mock","\(ZooPlugin.folder)/mock/broker.json"]}}
                """
            try profile.write(toFile: folder + "/keel-check.json", atomically: true, encoding: .utf8)
            let report = try Child.check(file, include: ["B01", "B05", "B12", "B13"])
            #expect(report.count(.pass) == 4, "\(report.text())")
        }
    }

    // MARK: runs

    @Test("patterns choose; a pattern that chooses nothing is a mistake")
    func selection() throws {
        #expect(try PluginCheck.selected(include: ["B0[12]"], exclude: []) == ["B01", "B02"])
        #expect(try PluginCheck.selected(include: ["*-state*"], exclude: ["S0*"]) == ["B01"])
        #expect(try PluginCheck.selected(include: [], exclude: []) == [])
        #expect(throws: PluginCheckError.self) { try PluginCheck.selected(include: ["Z99"], exclude: []) }
    }

    @Test("the same seed gives the same failure again, in a child and in this process's stead")
    func reproduction() throws {
        try withFolder { folder in
            let file = try ZooPlugin("D08", .decider, "doesn't look at what is allowed").build(in: folder)
            let first = try Child.check(file, include: ["D08", "G04"], seed: 4711), second = try Child.check(file, include: ["D08", "G04"], seed: 4711)
            #expect(first.seed == 4711)
            #expect(first.results.map(\.message) == second.results.map(\.message))
            let again = try CompilePlugin.run([Child.program, "--here", file, "D08", "4711"])
            #expect(again.contains(first.failed.first?.message ?? "?"), "\(again)")
        }
    }

    @Test("without a seed, runs differ and print theirs")
    func newSeeds() throws {
        try withFolder { folder in
            let file = try ZooPlugin("NONE", .router, "nothing").build(in: folder)
            let seeds = try (0..<3).map { _ in try Child.check(file, include: ["E01"], seed: nil).seed }
            #expect(Set(seeds).count > 1)
        }
    }

    @Test("a plugin that never comes back is stopped, with what it was about")
    func timeLimit() throws {
        try withFolder { folder in
            let file = try CompilePlugin.c(
                """
                #include "decider.c"
                """, to: folder + "/slow.so", flags: ["-I\(ZooPlugin.folder)", "-DDEFECT_P03"], linking: ZooPlugin.good)
            try "{}".write(toFile: folder + "/keel-check.json", atomically: true, encoding: .utf8)
            let report = try Child.check(file, include: ["P03", "E01"], limit: 0.5)
            #expect(report.failed.map(\.check) == ["P03"])
            #expect(report.failed.first?.message.contains("did not end within 0.5 s") ?? false, "\(report.text())")
        }
    }

    @Test("M05 runs the author's sanitizer build where the profile names one")
    func sanitizerBuild() throws {
        try withFolder { folder in
            let good = try ZooPlugin("NONE", .decider, "nothing").build(in: folder)
            for (name, flags) in [("clean", []), ("broken", ["-DDEFECT_M05"])] as [(String, [String])] {
                let sanitized = folder + "/\(name)-asan.so"
                // -z defs is left out: the sanitizer's functions come with its runtime.
                try CompilePlugin.c(
                    files: ["\(ZooPlugin.folder)/decider.c"], to: sanitized, flags: flags + ["-fsanitize=address", "-g", "-Wno-unused"],
                    linking: ZooPlugin.linker(["now", "relro", "nodelete", "noexecstack"]))
                try #"{"sanitized": "\#(name)-asan.so"}"#.write(toFile: folder + "/keel-check.json", atomically: true, encoding: .utf8)
                let report = try Child.check(good, include: ["M05"])
                #expect(report.passed == (name == "clean"), "\(name): \(report.text())")
                if name == "broken" { #expect(report.failed.first?.output.contains("heap-buffer-overflow") ?? false, "\(report.text())") }
            }
        }
    }

    // MARK: reports

    @Test("text, JSON and JUnit say the same")
    func reports() throws {
        try withFolder { folder in
            let file = try ZooPlugin("E09", .decider, "takes any host").build(in: folder)
            let report = try Child.check(file, include: ["E0*", "G05"])
            let text = report.text()
            #expect(text.contains("FAIL  E09  foreign-host"))
            #expect(text.contains("keel.h:"))
            #expect(text.contains("again: keel plugin check \(report.file) --reproduce 11 --check E09 --in-process"))
            #expect(text.contains("8 passed, 1 failed, 0 warned, 1 skipped"))
            #expect(!report.text(onlyFailed: true).contains("E01"))
            let json = try JSONField(JSONValue(parsing: report.json.text(.pretty)))
            #expect(try json["failed"].int == 1 && json["passed"].int == 8 && json["skipped"].int == 1)
            #expect(try json["results"].list.count == 10)
            #expect(try json["components"][0]["id"].text == "org.keel-zoo.decider")
            let document = try XMLCheck.wellFormed(report.junit)
            #expect(document.contains("tests=\"10\" failures=\"1\" skipped=\"1\""))
        }
    }

    @Test("a plugin's words can't break the reports")
    func hostileWords() throws {
        var report = CheckReport(file: "a<b>&\".so", seed: 1)
        report.results = [
            CheckResult(
                check: "E01", name: "entry-majors", sentence: "x.", component: "com.<evil>", status: .fail, message: "]]> \u{1}\u{b} \"quoted\" <b>", rule: "keel.h:1: r",
                milliseconds: 1.5, output: "\u{1b}[31m&&&")
        ]
        _ = try XMLCheck.wellFormed(report.junit)
        #expect(try JSONValue(parsing: report.json.text(.compact)).find("results")?.asList?.count == 1)
    }

    @Test("what a crashing plugin printed is shown with the failure")
    func output() throws {
        try withFolder { folder in
            let file = try CompilePlugin.c(
                """
                #include "keel.h"
                #include <stdio.h>
                #include <stdlib.h>
                const keel_library *keel_plugin_entry(uint32_t m) { if (m == 2) { fprintf(stderr, "last words\\n"); abort(); } (void)m; return 0; }
                """, to: folder + "/loud.so", linking: [])
            let report = try Child.check(file, include: ["L04"])
            #expect(report.failed.count == 1)
        }
        try withFolder { folder in
            let file = try ZooPlugin("D06", .decider, "takes it that there are bars").build(in: folder)
            let report = try Child.check(file, include: ["D06"])
            #expect(report.failed.first?.message.contains("SIGABRT") ?? false, "\(report.text())")
        }
    }
}

/// A parser for tests: tags balanced, attributes quoted, no bare ampersand.
enum XMLCheck {
    struct Failure: Error { var text: String }

    static func wellFormed(_ text: String) throws -> String {
        var open: [Substring] = []
        var rest = text[...]
        while let start = rest.firstIndex(of: "<") {
            guard let end = rest[start...].firstIndex(of: ">") else { throw Failure(text: "an open tag") }
            let tag = rest[rest.index(after: start)..<end]
            rest = rest[rest.index(after: end)...]
            if tag.hasPrefix("?") { continue }
            if tag.count(where: { $0 == "\"" }) % 2 != 0 || tag.contains("<") { throw Failure(text: String(tag)) }
            let name = tag.drop { $0 == "/" }.prefix { $0 != " " && $0 != "/" }
            if tag.hasPrefix("/") {
                guard open.popLast() == name else { throw Failure(text: String(tag)) }
            } else if !tag.hasSuffix("/") {
                open.append(name)
            }
        }
        if !open.isEmpty { throw Failure(text: "\(open)") }
        for found in text.matches(of: /&(\w*;?)/) where !["amp;", "lt;", "gt;", "quot;"].contains(String(found.1)) { throw Failure(text: String(found.0)) }
        if text.unicodeScalars.contains(where: { $0.value < 32 && $0 != "\n" && $0 != "\t" }) { throw Failure(text: "a control character") }
        return text
    }
}
