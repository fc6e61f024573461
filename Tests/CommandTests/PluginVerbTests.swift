import Foundation
import HostPlugins
import PluginKit
import Testing

@testable import keel

@Suite("plugin new, plugin check, plugin mock")
struct PluginVerbTests {
    static func folder() throws -> String {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("keel-verb-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder
    }

    @Test("plugin new writes a project, says what to do next, and what the machine lacks")
    func newProject() throws {
        let folder = try Self.folder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let made = call(["plugin", "new", "--role", "decider", "--lang", "zig", "--id", "com.acme.probe", "--dir", folder + "/probe"], environment: ["PATH": "/nowhere"])
        #expect(made.code == .ok)
        #expect(made.out.contains("src/plugin.zig"))
        #expect(made.out.contains("this machine has no zig"))
        #expect(made.out.contains("zig build && keel plugin check zig-out/lib/libprobe.so"))
        #expect(FileManager.default.fileExists(atPath: folder + "/probe/keel/keel.h"))
        let again = call(["plugin", "new", "--role", "decider", "--lang", "zig", "--id", "com.acme.probe", "--dir", folder + "/probe"])
        #expect(again.code == .error && again.error.contains("is there already"))
        let json = call(["plugin", "new", "--role", "feed", "--lang", "c", "--id", "com.acme.two", "--dir", folder + "/two", "--json"])
        #expect(try JSONField(JSONValue(parsing: json.out))["library"].text == folder + "/two/build/two.so")
        let upgraded = call(["plugin", "new", "--upgrade", "--dir", folder + "/two"])
        #expect(upgraded.code == .ok && upgraded.out.contains("up to date"))
        let nothing = call(["plugin", "new", "--upgrade", "--dir", folder])
        #expect(nothing.code == .error && nothing.error.contains("not a plugin project"))
    }

    @Test("plugin new: mistakes are usage errors that say what would do", arguments: [
        ([], "--role, --lang and --id"),
        (["--role", "trader", "--lang", "c", "--id", "com.acme.x"], "feed, broker, decider, router"),
        (["--role", "feed", "--lang", "cobol", "--id", "com.acme.x"], "c, cpp, swift, rust, zig"),
        (["--role", "feed", "--lang", "c", "--id", "X"], "com.acme.kraken"),
        (["--upgrade", "--id", "com.acme.x"], "keel/VERSION"),
    ])
    func newMistakes(_ line: (words: [String], says: String)) {
        let called = call(["plugin", "new"] + line.words)
        #expect(called.code == .usage)
        #expect(called.error.contains(line.says), "\(called.error)")
    }

    @Test("plugin check: mistakes and missing files have their exit codes")
    func checkMistakes() throws {
        #expect(call(["plugin", "check"]).code == .usage)
        #expect(call(["plugin", "check", "nothing.so"]).code == .invalid)
        #expect(call(["plugin", "check", "/tmp"]).code == .invalid)
        #expect(call(["plugin", "check", "x.so", "--seed", "many"]).code == .usage)
        #expect(call(["plugin", "check", "x.so", "--jobs", "0"]).code == .usage)
        #expect(call(["plugin", "check", "x.so", "--reproduce", "1"]).code == .usage)
        #expect(call(["plugin", "check", "x.so", "--check", "Z99", "--in-process"]).code == .usage)
        #expect(call(["plugin", "mock", "nothing.json"]).code == .invalid)
        #expect(call(["plugin", "mock", "nothing.json", "--port", "x"]).code == .usage)
    }

    @Test("plugin check --list shows every check with its rule")
    func list() throws {
        let text = call(["plugin", "check", "--list"])
        for check in Check.all { #expect(text.out.contains("\(check.id)  \(check.name): \(check.sentence)")) }
        #expect(text.out.contains("keel.h:"))
        let json = try #require(try JSONValue(parsing: call(["plugin", "check", "--list", "--json"]).out).asList)
        #expect(json.count == Check.all.count)
    }

    @Test("the guide's list of checks and its schema keywords are the program's")
    func guide() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let guide = try String(contentsOf: root.appendingPathComponent("docs/plugin-guide.md"), encoding: .utf8)
        for check in Check.all { #expect(guide.contains("| \(check.id) | `\(check.name)` | \(check.sentence) |"), "docs/plugin-guide.md lacks \(check.id) as it is") }
        let known = ["type", "properties", "required", "enum", "const", "minimum", "maximum", "pattern", "items", "additionalProperties", "default", "description",
                     "deprecated", "x-secret", "x-unit"]
        for keyword in known { #expect(guide.contains("`\(keyword)`"), "docs/plugin-guide.md lacks the keyword \(keyword)") }
    }
}
