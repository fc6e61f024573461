import Foundation
import HostPlugins
import TestSupport
import Testing

@Suite("keel plugin new: what it writes builds and passes its checks, away from this repository")
struct ScaffoldTests {
    struct Project: Sendable, CustomTestStringConvertible {
        var role: Scaffold.Role
        var language: Scaffold.Language
        var testDescription: String { "\(role.rawValue) in \(language.title)" }
    }

    static let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"

    /// Every role in every language whose compiler is on this machine. Six at a time: building mostly waits.
    @Test("every role in every language at hand builds and passes at once")
    func builds() throws {
        var projects: [Project] = []
        for language in Scaffold.Language.allCases {
            for role in Scaffold.Role.allCases { projects.append(Project(role: role, language: language)) }
        }
        let here = try projects.filter { try Scaffold(role: $0.role, language: $0.language, id: "com.acme.probe").missingTools(path: Self.path).isEmpty }
        #expect(here.contains { $0.language == .c } && here.contains { $0.language == .swift }, "this machine has no C compiler, or no Swift")
        let results = inParallel(here) { project in
            try withFolder { folder in
                let scaffold = try Scaffold(role: project.role, language: project.language, id: "com.acme.probe-one")
                _ = try scaffold.write(into: folder)
                try CompilePlugin.run(["sh", "-c", scaffold.buildCommand], in: folder)
                return try Child.check(folder + "/" + scaffold.library, seed: nil)
            }
        }
        for (project, result) in results {
            switch result {
            case .failure(let error): Issue.record("\(project.testDescription): \(error)")
            case .success(let report):
                #expect(report.passed, "\(project.testDescription):\n\(report.text(onlyFailed: true))")
                #expect(report.count(.pass) > 40, "\(project.testDescription) passes \(report.count(.pass)) checks")
                #expect(report.components.first?.id == "com.acme.probe-one")
                if project.role == .broker {
                    let skipped = report.results.filter { $0.check.hasPrefix("B") && $0.status == .skip }.map(\.check)
                    // What its recorded venue doesn't play is for its author to add.
                    #expect(skipped == ["B10", "B16", "B17", "B18", "B19", "B20", "B21", "B22", "B24", "B25", "B26"], "\(project.testDescription) skips \(skipped)")
                }
            }
        }
    }

    @Test("a language without its compiler says so")
    func missingTools() throws {
        for language in Scaffold.Language.allCases {
            let scaffold = try Scaffold(role: .feed, language: language, id: "com.acme.probe")
            let missing = scaffold.missingTools(path: "/nowhere:/neither")
            #expect(missing.count == language.tools.count)
        }
        let c = try Scaffold(role: .feed, language: .c, id: "com.acme.probe")
        #expect(c.missingTools(path: "/nowhere") == ["cc, gcc or clang", "make"])
        #expect(try Scaffold(role: .feed, language: .zig, id: "com.acme.probe").missingTools(path: "/nowhere") == ["zig"])
    }

    @Test("ids that can't be a component's are refused", arguments: ["kraken", "", ".", "com.", "com.Acme.x", "com.acme.x y", "com.acme.é", "keel.mine", "com..x", "com.1x", String(repeating: "a.", count: 80) + "b"])
    func badIDs(_ id: String) {
        #expect(throws: ScaffoldError.self) { try Scaffold(role: .feed, language: .c, id: id) }
    }

    @Test("nothing is written over what is there")
    func refusesToOverwrite() throws {
        try withFolder { folder in
            let scaffold = try Scaffold(role: .decider, language: .c, id: "com.acme.probe")
            try "mine".write(toFile: folder + "/README.md", atomically: true, encoding: .utf8)
            #expect(throws: ScaffoldError.self) { try scaffold.write(into: folder) }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["README.md"])
        }
    }

    @Test("an upgrade renews keel/ and exports.map and nothing else")
    func upgrade() throws {
        try withFolder { folder in
            let scaffold = try Scaffold(role: .broker, language: .cpp, id: "com.acme.probe")
            let written = try scaffold.write(into: folder)
            #expect(try Scaffold.upgrade(folder) == [])
            for path in written { try Data("changed\n".utf8).append(to: folder + "/" + path) }
            // VERSION says what the project is; a line it doesn't know doesn't harm.
            let changed = try Scaffold.upgrade(folder)
            #expect(Set(changed) == Set(written.filter { $0.hasPrefix("keel/") || $0 == "exports.map" }))
            for file in scaffold.files {
                let text = try String(contentsOfFile: folder + "/" + file.path, encoding: .utf8)
                #expect(text == file.text + (file.isVendored ? "" : "changed\n"), "\(file.path)")
            }
        }
        _ = try withFolder { folder in #expect(throws: ScaffoldError.self) { try Scaffold.upgrade(folder) } }
    }

    @Test("the header in the program is keel.h, and VERSION names its hash")
    func header() throws {
        let path = CompilePlugin.root + "/Sources/PluginAPI/include/keel.h"
        let real = try String(contentsOfFile: path, encoding: .utf8)
        let hash = try CompilePlugin.run(["sha256sum", path]).split(separator: " ").first.map(String.init) ?? ""
        if ProcessInfo.processInfo.environment["KEEL_REGENERATE"] == "header" {
            let text = """
                /// keel.h as this program was built with it: what the scaffold hands out and what failures cite.
                /// Written by the test "the header in the program is keel.h" when KEEL_REGENERATE=header is set.
                public enum EmbeddedHeader {
                    public static let sha256 = "\(hash)"

                    public static let text = #\"\"\"

                """ + real + "\n\"\"\"#\n}\n"
            try text.write(toFile: CompilePlugin.root + "/Sources/Host/Plugins/Scaffold/EmbeddedHeader.swift", atomically: true, encoding: .utf8)
            return
        }
        #expect(EmbeddedHeader.text == real, "keel.h has changed: run KEEL_REGENERATE=header swift test --filter ScaffoldTests, then build again")
        #expect(EmbeddedHeader.sha256 == hash)
        let scaffold = try Scaffold(role: .feed, language: .rust, id: "com.acme.probe")
        #expect(scaffold.files.contains { $0.path == "keel/VERSION" && $0.text.contains(hash) })
        #expect(scaffold.files.contains { $0.path == "keel/keel.h" && $0.text == real })
    }

    @Test("no placeholder is left in any file")
    func filled() throws {
        for role in Scaffold.Role.allCases {
            for language in Scaffold.Language.allCases {
                for file in try Scaffold(role: role, language: language, id: "com.acme.probe").files {
                    #expect(file.text.firstMatch(of: /@[A-Z]+@/) == nil, "\(role) \(language) \(file.path)")
                    #expect(file.text.hasSuffix("\n") && !file.text.hasSuffix("\n\n"), "\(role) \(language) \(file.path)")
                }
            }
        }
    }
}

private extension Data {
    func append(to path: String) throws {
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.seekToEnd()
        try handle.write(contentsOf: self)
        try handle.close()
    }
}
