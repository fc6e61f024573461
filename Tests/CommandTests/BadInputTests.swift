import Foundation
import Glibc
import PluginKit
import TestSupport
import Testing

/// What is wrong with a manifest or a library, met by the real program: one clear message with its place, exit code 4 from check and run, and
/// nothing started.
@Suite("Bad input", .enabled(if: BuiltProgram.folder != nil, "the keel program is not built"))
struct BadInputTests {
    struct Library: Sendable, CustomTestStringConvertible {
        var what: String
        /// Makes plugins/own.so, or whatever stands there instead.
        var make: @Sendable (Workplace) throws -> Void
        var says: [String]
        /// `keel plugin check FILE` ends with it.
        var checkCode: Int32 = 7
        var file = "plugins/own.so"
        var testDescription: String { what }
    }

    /// A library of one do-nothing decider; `entry` is the body of its entry.
    static func source(_ entry: String, _ more: String = "", id: String = "com.test.own") -> String {
        """
        #include "keel.h"
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>
        static int nothing;
        static keel_status create(const keel_component *c, const keel_host *h, keel_str n, keel_str j, keel_instance **o, keel_error *e)
        { (void)c; (void)h; (void)n; (void)j; (void)e; *o = (keel_instance *)&nothing; return KEEL_OK; }
        static keel_status start(keel_instance *i, keel_error *e) { (void)i; (void)e; return KEEL_OK; }
        static keel_status stop(keel_instance *i, keel_time d, uint64_t r, keel_error *e) { (void)i; (void)d; (void)r; (void)e; return KEEL_OK; }
        static void destroy(keel_instance *i) { (void)i; }
        static keel_status decide(keel_instance *i, const keel_snapshot *s, keel_time d, uint64_t r, keel_error *e)
        { (void)i; (void)s; (void)d; (void)r; (void)e; return KEEL_E_UNSUPPORTED; }
        static void cancel(keel_instance *i, uint64_t r) { (void)i; (void)r; }
        static const keel_decider deciding = { .struct_size = sizeof deciding, .decide = decide, .cancel = cancel };
        static const keel_interface interfaces[] = { { KEEL_DECIDER, &deciding } };
        static keel_status check_config(const keel_component *c, keel_str json, const keel_writer *report);
        static keel_component component = { .struct_size = sizeof component, .id = "\(id)", .name = "Own", .version = "1.0.0", .license = "MIT",
            .config_schema = "{\\"type\\":\\"object\\",\\"properties\\":{\\"word\\":{\\"type\\":\\"string\\",\\"description\\":\\"A word.\\"}}}",
            .flags = KEEL_COMPONENT_INLINE | KEEL_COMPONENT_DETERMINISTIC, .interfaces = interfaces, .interface_count = 1, .check_config = check_config,
            .create = create, .start = start, .stop = stop, .destroy = destroy };
        static const keel_component *const components[] = { &component };
        static keel_library library = { sizeof library, 1, 0, components, 1, 0 };
        \(more.isEmpty ? "static keel_status check_config(const keel_component *c, keel_str j, const keel_writer *r) { (void)c; (void)j; (void)r; return KEEL_OK; }" : more)
        KEEL_EXPORT const keel_library *keel_plugin_entry(uint32_t major) { \(entry) }
        """
    }
    static let good = "return major == 1 ? &library : 0;"

    static func build(_ place: Workplace, _ text: String, to name: String = "own.so") throws {
        try CompilePlugin.c(text, to: place.folder.file("plugins/" + name))
    }

    static func bytes(_ place: Workplace) throws -> [UInt8] {
        try build(place, source(good))
        return [UInt8](try Data(contentsOf: URL(fileURLWithPath: place.folder.file("plugins/own.so"))))
    }

    static let libraries: [Library] = [
        Library(what: "a missing file", make: { _ in }, says: ["plugins/own.so: there is no such file"], checkCode: 4),
        Library(
            what: "a text file named .so", make: { try $0.folder.write("hello\n", to: "plugins/own.so") }, says: ["it is a text file, not a library"]),
        Library(
            what: "a library for another machine",
            make: { place in
                var bytes = try bytes(place)
                bytes[18] = 183
                try place.folder.write(bytes, to: "plugins/own.so")
            }, says: ["was built for another machine", "ARM64"]),
        Library(
            what: "a library cut short", make: { place in try place.folder.write(Array(try bytes(place).prefix(3000)), to: "plugins/own.so") },
            says: ["cut short"]),
        Library(
            what: "a library without the symbol",
            make: { try CompilePlugin.c("int other(void) { return 1; }", to: $0.folder.file("plugins/own.so"), linking: []) },
            says: ["does not export keel_plugin_entry"]),
        Library(what: "a null table", make: { try build($0, source("(void)major; return 0;")) }, says: ["returns NULL for ABI 1 and every other"]),
        Library(
            what: "a wrong ABI", make: { try build($0, source("return major == 2 ? &library : 0;")) },
            says: ["needs ABI 2, this host speaks 1: update the host"]),
        Library(
            what: "an ABI that is behind", make: { try build($0, source("return major == 0 ? &library : 0;")) },
            says: ["was built for ABI 0", "the plugin is behind"]),
        Library(
            what: "a crashing entry", make: { try build($0, source("*(volatile int *)8 = (int)major; \(good)")) },
            says: ["in keel_plugin_entry", "SIGSEGV", "not"]),
        Library(
            what: "a crashing constructor",
            make: {
                try build($0, source(good) + "\n__attribute__((constructor)) static void boom(void) { abort(); }\n")
            }, says: ["(in a constructor)", "SIGABRT"]),
        Library(
            what: "an entry that hangs", make: { try build($0, source("for (;;) pause(); (void)major; return &library;")) },
            says: ["in keel_plugin_entry", "ang"]),
        Library(what: "an entry that ends the process", make: { try build($0, source("(void)major; _exit(3);")) }, says: ["exit code 3"]),
        Library(
            what: "a symlink out of the folder",
            make: { place in
                try CompilePlugin.c(source(good), to: place.folder.file("plugins/real.so"))
                let outside = place.path + "-elsewhere.so"
                try FileManager.default.moveItem(atPath: place.folder.file("plugins/real.so"), toPath: outside)
                try FileManager.default.createSymbolicLink(atPath: place.folder.file("plugins/own.so"), withDestinationPath: outside)
            }, says: ["a symbolic link leads to", "outside of"], checkCode: 0),
        Library(
            what: "a world-writable folder",
            make: { place in
                try build(place, source(good))
                chmod(place.folder.file("plugins"), 0o777)
            }, says: ["this folder can be changed by others (mode 0777)", "chmod go-w"], checkCode: 0),
        Library(
            what: "a world-writable library",
            make: { place in
                try build(place, source(good))
                chmod(place.folder.file("plugins/own.so"), 0o777)
            }, says: ["this file can be changed by others (mode 0777)"], checkCode: 0),
        Library(
            what: "a folder named .so", make: { try $0.folder.folder("plugins/own.so") }, says: ["this is a folder, not a file"], checkCode: 4),
    ]

    @Test("a bad library is an error at its place in the manifest, and nothing starts", arguments: libraries)
    func badLibrary(_ bad: Library) throws {
        let place = try Workplace()
        defer { unlink(place.path + "-elsewhere.so") }
        try bad.make(place)
        let at = try place.write(Workplace.manifest(decider: #"{ "component": "com.test.own", "file": ▸"plugins/own.so" }"#))
        let checked = try place.keel("check", "plugins.json")
        #expect(checked.code == 4)
        #expect(checked.out.contains("plugins.json:\(at): error: $.plugins.own.file: "), "\(checked.said)")
        for words in bad.says { #expect(checked.out.contains(words), "\(checked.said)") }
        #expect(checked.out.components(separatedBy: "error: ").count == 2, "one message: \(checked.out)")
        #expect(checked.out.contains("plugins.json: not valid, 1 error"), "\(checked.out)")
        let ran = try place.keel("run", "plugins.json", "--until", "end")
        #expect(ran.code == 4)
        #expect(ran.error.contains("plugins.json:\(at): error: $.plugins.own.file: ") && ran.error.contains("nothing was started"), "\(ran.said)")
        #expect(place.traces == [])
        // For the author: the same file in the conformance checks. Whose folder it lies in is no business of those.
        if bad.checkCode != 0 {
            let conformance = try place.keel("plugin", "check", "plugins/own.so", "--include", "L0[14]", "--include", "E0*", "--timeout", "3")
            #expect(conformance.code == bad.checkCode, "\(conformance.said)")
        }
    }

    @Test("a library that crashed is not tried again until it changes")
    func crashedIsRemembered() throws {
        let place = try Workplace()
        try Self.build(place, Self.source("*(volatile int *)8 = (int)major; \(Self.good)"))
        try place.write(Workplace.manifest(decider: #"{ "component": "com.test.own", "file": "plugins/own.so" }"#))
        #expect(try place.keel("check").out.contains("crashed in keel_plugin_entry"))
        #expect(try place.keel("check").out.contains("has not changed since"))
        try Self.build(place, Self.source(Self.good))
        #expect(try place.keel("check").code == 0)
    }

    @Test("a component in two libraries")
    func duplicateID() throws {
        let place = try Workplace()
        try Self.build(place, Self.source(Self.good))
        try Self.build(place, Self.source(Self.good, "static keel_status check_config(const keel_component *c, keel_str j, const keel_writer *r) { (void)c; (void)j; (void)r; return KEEL_E_STATE; }"), to: "two.so")
        let at = try place.write(
            Workplace.manifest(
                decider: #"""
                    { "component": "com.test.own", "file": "plugins/own.so" },
                        "two": { "component": "com.test.own", "file": ▸"plugins/two.so" }
                    """#))
        let checked = try place.keel("check")
        #expect(checked.code == 4)
        #expect(checked.out.contains("plugins.json:\(at): error: $.plugins.two.file: "), "\(checked.said)")
        #expect(checked.out.contains("com.test.own") && checked.out.contains("plugins/own.so"), "\(checked.said)")
        #expect(try place.keel("run").code == 4)
        #expect(place.traces == [])
    }

    // MARK: pins

    /// A library that leaves a note when any of its code runs.
    static func telltale(_ note: String) -> String {
        source(good) + """

            #include <fcntl.h>
            __attribute__((constructor)) static void tell(void) { close(open("\(note)", O_CREAT | O_WRONLY, 0600)); }
            """
    }

    @Test("a wrong pin refuses the library before any of its code runs, at the pin's place")
    func wrongPin() throws {
        let place = try Workplace()
        let note = place.folder.file("ran")
        try Self.build(place, Self.telltale(note))
        let pin = String(repeating: "ab", count: 32)
        let at = try place.write(Workplace.manifest(decider: #"{ "component": "com.test.own", "file": "plugins/own.so", "sha256": ▸"\#(pin)" }"#))
        #expect(try place.keel("plugin", "list").code == 4)
        #expect(try place.keel("plugin", "info", "own").code == 4)
        for arguments in [["check"], ["run", "plugins.json", "--until", "end"], ["plan"]] {
            let ended = try BuiltProgram.keel(arguments, in: place.path)
            #expect(ended.code == 4, "\(arguments): \(ended.said)")
            #expect(ended.said.contains("plugins.json:\(at): error: $.plugins.own.sha256: the library is not the pinned one: its sha256 is "), "\(arguments): \(ended.said)")
            #expect(ended.said.contains("if you trust the new library, run: keel plugin pin"))
            #expect(!FileManager.default.fileExists(atPath: note), "\(arguments[0]) ran the library's code")
        }
        #expect(place.traces == [])
        // Pinned anew by its owner it is taken, and only then does its code run.
        #expect(try place.keel("plugin", "pin", "own").code == 0)
        #expect(try place.keel("check").code == 0)
        #expect(FileManager.default.fileExists(atPath: note))
    }

    @Test("a pin that is no hash, with its place")
    func badPin() throws {
        let place = try Workplace()
        try Self.build(place, Self.source(Self.good))
        let at = try place.write(Workplace.manifest(decider: #"{ "component": "com.test.own", "file": "plugins/own.so", "sha256": ▸"beef" }"#))
        let checked = try place.keel("check")
        #expect(checked.code == 4 && checked.out.contains("plugins.json:\(at): error: $.plugins.own.sha256: "), "\(checked.said)")
    }

    @Test("without a pin: a warning on paper, an error before any code runs where money is real")
    func unpinned() throws {
        let place = try Workplace()
        let note = place.folder.file("ran")
        try Self.build(place, Self.telltale(note))
        let entry = #"▸{ "component": "com.test.own", "file": "plugins/own.so" }"#
        let live = try place.write(Workplace.manifest(decider: entry, mode: "live"))
        for arguments in [["check"], ["run", "plugins.json"]] {
            let ended = try BuiltProgram.keel(arguments, in: place.path, environment: ["LIVE_TRADING": "true"])
            #expect(ended.code == 4, "\(ended.said)")
            #expect(ended.said.contains("plugins.json:\(live): error: $.plugins.own.sha256: the library is not pinned"), "\(ended.said)")
            #expect(ended.said.contains("run: keel plugin pin"))
            #expect(!FileManager.default.fileExists(atPath: note), "\(arguments[0]) ran the library's code")
        }
        #expect(place.traces == [])
        let paper = try place.write(Workplace.manifest(decider: entry))
        let checked = try place.keel("check")
        #expect(checked.code == 0)
        #expect(checked.out.contains("plugins.json:\(paper): warning: $.plugins.own.sha256: the library is not pinned\n    hint: run: keel plugin pin"), "\(checked.said)")
        let ran = try place.keel("run", "plugins.json", "--until", "30m")
        #expect(ran.code == 0 && ran.error.contains("the library is not pinned"), "\(ran.said)")
    }

    // MARK: a plugin's own check of its configuration

    static func checking(_ body: String) -> String {
        source(good, "static keel_status check_config(const keel_component *c, keel_str json, const keel_writer *report)\n{ (void)c; (void)json; (void)report; \(body) }")
    }

    /// What check_config does, and what keel check makes of it. The library lies outside the host's folder: it is asked in a child.
    static let answers: [(body: String, says: [String])] = [
        (#"static const char t[] = "[{\"path\":\"$.word\",\"code\":\"bad\",\"message\":\"a bad word\"}]"; return report->write(report, t, sizeof t - 1) < 0 ? KEEL_E_INTERNAL : KEEL_E_INVALID;"#,
            ["$.plugins.own.config.word: the plugin refuses it: a bad word"]),
        ("return KEEL_E_INVALID;", ["$.plugins.own.config: the plugin refuses it: it refuses this configuration (INVALID) and does not say why"]),
        ("*(volatile int *)8 = 1; return KEEL_OK;", ["the plugin can't be asked about it: it ended with SIGSEGV"]),
        ("for (;;) pause(); return KEEL_OK;", ["the plugin can't be asked about it: it hung in check_config"]),
        ("_exit(3); return KEEL_OK;", ["the plugin can't be asked about it: it ended with exit code 3"]),
    ]

    @Test("an isolated plugin's check_config is asked in a child; a crash or a hang there is said, and harms nothing", arguments: answers.indices)
    func isolatedConfig(_ index: Int) throws {
        let (body, says) = Self.answers[index]
        let place = try Workplace()
        try Self.build(place, Self.checking(body))
        try place.write(Workplace.manifest(decider: #"{ "component": "com.test.own", "file": "plugins/own.so", "config": { "word": "x" } }"#))
        let checked = try place.keel("check")
        #expect(checked.code == 4, "\(checked.said)")
        for words in says { #expect(checked.out.contains(words), "\(checked.said)") }
        #expect(checked.out.contains("1 error"), "\(checked.said)")
        #expect(try place.keel("run", "plugins.json").code == 4)
        #expect(place.traces == [])
    }

    // MARK: manifests

    static let manifests: [(what: String, bytes: @Sendable () -> [UInt8], says: String)] = [
        ("empty", { [] }, "plugins.json:1:1: error: not JSON: it is empty"),
        ("only white space", { Array("\n \n".utf8) }, "error: not JSON: it is empty"),
        ("truncated", { Array(Workplace.manifest(decider: #"{ "component": "keel.emacross", "file": "EMACross" }"#).utf8.dropLast(40)) }, "error: not JSON: it ends inside"),
        ("50 MB", { [UInt8](repeating: 32, count: 50_000_000) }, "the file is too large: 50000000 bytes"),
        ("deeply nested lists", { [UInt8](repeating: UInt8(ascii: "["), count: 100_000) }, "plugins.json:1:65: error: not JSON: it is nested deeper than 64 levels"),
        ("deeply nested objects", { Array(String(repeating: "{\"a\":", count: 50_000).utf8) }, "it is nested deeper than 64 levels"),
        ("not UTF-8", { Array("{ \"version\": \"".utf8) + [0xE9] + Array("\" }".utf8) }, "this byte is not UTF-8: save the file as UTF-8"),
        ("UTF-16", { [0xFF, 0xFE] + "{ }".utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] } }, "not UTF-8"),
        ("duplicate keys", { Array(Workplace.manifest(decider: #"{ "component": "keel.emacross", "file": "EMACross", "file": "Sim" }"#).utf8) }, "the name \"file\" stands here a second time"),
        ("binary", { (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 167) } }, "error: not JSON"),
        ("a list", { Array("[]".utf8) }, "plugins.json:1:1: error: this is a list, not an object"),
    ]

    @Test("a bad manifest is one message and exit code 4 from every verb that needs it", arguments: manifests.indices)
    func badManifest(_ index: Int) throws {
        let bad = Self.manifests[index]
        let place = try Workplace()
        try place.folder.write(bad.bytes(), to: "plugins.json")
        for arguments in [["check"], ["run"], ["plan"], ["plugin", "pin"], ["plugin", "disable", "sim"]] {
            let ended = try BuiltProgram.keel(arguments, in: place.path)
            #expect(ended.code == 4, "\(bad.what), \(arguments): \(ended.code) \(ended.said.prefix(500))")
            #expect(ended.said.utf8.count < 2000, "\(bad.what), \(arguments): a message of \(ended.said.utf8.count) bytes")
        }
        let checked = try place.keel("check")
        #expect(checked.out.contains(bad.says), "\(bad.what): \(checked.said.prefix(500))")
        #expect(checked.out.components(separatedBy: "error: ").count == 2, "\(bad.what): \(checked.out)")
        #expect(place.traces == [])
        // Nothing lost: the file is as it was.
        #expect([UInt8](try Data(contentsOf: URL(fileURLWithPath: place.manifest))) == bad.bytes())
    }

    @Test("a missing manifest, a folder in its place, and one nobody may read")
    func noManifest() throws {
        let place = try Workplace()
        let missing = try place.keel("run")
        #expect(missing.code == 4 && missing.error.contains("there is no file \"plugins.json\""), "\(missing.said)")
        let folder = try place.keel("check", "plugins")
        #expect(folder.code == 4 && folder.out.contains("plugins"), "\(folder.said)")
        try place.write(Workplace.manifest(decider: #"{ "component": "keel.emacross", "file": "EMACross" }"#))
        chmod(place.manifest, 0)
        if geteuid() != 0 { #expect(try place.keel("check").code == 4) }
    }
}
