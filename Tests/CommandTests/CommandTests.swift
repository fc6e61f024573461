import Foundation
import HostManifest
import PluginKit
import Testing

@testable import keel

/// What a verb printed.
final class Output: @unchecked Sendable {
    private let lock = NSLock()
    private var texts: [Terminal.Stream: [UInt8]] = [:]

    func add(_ stream: Terminal.Stream, _ bytes: [UInt8]) { lock.withLock { texts[stream, default: []] += bytes } }
    subscript(stream: Terminal.Stream) -> String { lock.withLock { String(decoding: texts[stream] ?? [], as: UTF8.self) } }
    var out: String { self[.out] }
    var error: String { self[.error] }
}

struct Called {
    var code: ExitCode
    var out: String
    var error: String
}

func call(
    _ line: [String], verbs: [Verb] = Verb.all, environment: [String: String] = [:], colour: Bool = false,
    catalogue: (@Sendable (ManifestFile) -> any PluginCatalogue)? = nil
) -> Called {
    let output = Output()
    let terminal = Terminal(outIsTerminal: false, errorIsTerminal: false, usesColour: colour) { output.add($0, $1) }
    let surroundings = Surroundings(terminal: terminal, environment: environment, catalogue: catalogue, clock: { 0 })
    let code = Program.run(line, verbs, surroundings)
    return Called(code: code, out: output.out, error: output.error)
}

/// Libraries by file name, with one component each.
struct TestCatalogue: PluginCatalogue {
    static let components: [String: ComponentDescription] = [
        "Sim": ComponentDescription(
            id: "keel.sim", name: "Simulated venue", version: "1.0.0", roles: [.feed, .broker], orderFeatures: 0x203,
            // As much of the configuration as the default manifest uses.
            configSchema: #"""
                {"type": "object", "additionalProperties": false, "properties": {
                  "length": {"type": "string", "description": "how long its market lasts", "default": "0s"},
                  "prices": {"type": "object", "description": "starting prices", "additionalProperties": {"type": "string"}}}}
                """#),
        "Rules": ComponentDescription(id: "keel.rules", name: "Rules", version: "1.0.0", roles: [.decider]),
        "EMACross": ComponentDescription(id: "keel.emacross", name: "EMA cross", version: "1.0.0", roles: [.decider]),
        "DirectRouter": ComponentDescription(id: "keel.direct", name: "Direct", version: "1.0.0", roles: [.router]),
    ]

    func describe(_ entry: PluginEntry, in folder: String, allowsUnpinned: Bool) throws(PluginFault) -> LibraryDescription {
        guard let component = Self.components[entry.file] else { throw PluginFault("there is no library \"\(entry.file)\"") }
        let hash = String(repeating: String(entry.file.utf8.first ?? 0, radix: 16), count: 32)
        return LibraryDescription(path: "/lib/\(entry.file)", sha256: hash, isBundled: true, components: [component])
    }

    func environment(of entry: PluginEntry, in folder: String) -> BrokerEndpoints { .paper }
}

let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

/// A copy of the default manifest in a folder of its own, removed at the end.
final class CopiedManifest {
    let folder: String
    var path: String { folder + "/plugins.json" }

    init(changing: [(String, String)] = []) throws {
        folder = NSTemporaryDirectory() + "/keel-command-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var text = try String(contentsOfFile: repository + "/plugins.json", encoding: .utf8)
        for (old, new) in changing {
            #expect(text.contains(old))
            text = text.replacingOccurrences(of: old, with: new)
        }
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    var text: String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
}

@Suite struct FrameTests {
    static let verbs: [Verb] = [
        Verb(
            words: ["copy"], summary: "copies", arguments: [.init("FROM", .one, "from where"), .init("TO", .optional, "to where")],
            options: [.json, .init("speed", value: "N", "how fast"), .init("set", value: "X=Y", repeats: true, "a value")],
            run: { call in
                let value: JSONValue = [
                    "arguments": JSONValue(call.arguments.map { JSONValue($0) }), "speed": call.value("speed").map { JSONValue($0) } ?? .null,
                    "set": JSONValue(call.all("set").map { JSONValue($0) }), "json": JSONValue(call.wantsJSON),
                ]
                call.terminal.out(value.text(.compact))
                return .ok
            }),
        Verb(words: ["data", "import"], summary: "imports", arguments: [.init("FILE", .any, "files")], run: { _ in .checkFailed }),
        Verb(words: ["data", "export"], summary: "exports", run: { _ in throw Failure(.timedOut, "too slow", hint: "wait") }),
        Verb(words: ["secret"], summary: "not listed", isHidden: true, run: { _ in throw JSONAccessError.missing(.root) }),
    ]

    static let good: [([String], String)] = [
        (["copy", "a"], #"{"arguments":["a"],"speed":null,"set":[],"json":false}"#),
        (["copy", "a", "b", "--speed", "3", "--json"], #"{"arguments":["a","b"],"speed":"3","set":[],"json":true}"#),
        (["copy", "--speed=3=4", "a"], #"{"arguments":["a"],"speed":"3=4","set":[],"json":false}"#),
        (["copy", "--set", "a=1", "--set=b=2", "a"], #"{"arguments":["a"],"speed":null,"set":["a=1","b=2"],"json":false}"#),
        (["copy", "--", "--json", "-x"], #"{"arguments":["--json","-x"],"speed":null,"set":[],"json":false}"#),
        (["copy", "-"], #"{"arguments":["-"],"speed":null,"set":[],"json":false}"#),
        (["copy", "--speed", "--json", "a"], #"{"arguments":["a"],"speed":"--json","set":[],"json":false}"#),
    ]

    @Test(arguments: good) func takesCommandLinesApart(_ line: [String], _ expected: String) {
        let result = call(line, verbs: Self.verbs)
        #expect(result.code == .ok)
        #expect(result.out == expected + "\n")
    }

    static let bad: [([String], String)] = [
        ([], "error: no verb is named\n  hint: keel --help\n"),
        (["cpy"], "error: there is no verb \"cpy\"\n  hint: did you mean \"copy\"?\n"),
        (["--json", "copy"], "error: the verb comes before its options: \"--json\" is none\n  hint: keel --help\n"),
        (["data"], "error: keel data needs one of: import, export\n  hint: keel data --help\n"),
        (["data", "imprt"], "error: there is no verb \"data imprt\"\n  hint: did you mean \"data import\"?\n"),
        (["copy"], "error: keel copy needs FROM: from where\n  hint: keel copy --help\n"),
        (["copy", "a", "b", "c"], "error: \"c\" is one argument too many\n  hint: keel copy --help\n"),
        (["copy", "a", "--sped", "1"], "error: keel copy has no option \"--sped\"\n  hint: did you mean \"--speed\"?\n"),
        (["copy", "a", "-j"], "error: there is no option \"-j\": options have two dashes\n  hint: keel copy --help\n"),
        (["copy", "a", "--json=1"], "error: \"--json\" takes no value\n  hint: keel copy --help\n"),
        (["copy", "a", "--speed"], "error: \"--speed\" needs a value\n  hint: keel copy --speed N\n"),
        (["copy", "a", "--speed", "1", "--speed", "2"], "error: \"--speed\" stands there twice\n  hint: keel copy --help\n"),
        (["help", "nothing"], "error: there is no verb \"nothing\"\n  hint: keel --help\n"),
    ]

    @Test(arguments: bad) func refusesTheRestWithExitCodeTwo(_ line: [String], _ expected: String) {
        let result = call(line, verbs: Self.verbs)
        #expect(result.code == .usage)
        #expect(result.error == expected)
        #expect(result.out == "")
    }

    @Test func helpComesFromTheTable() {
        let overview = call(["--help"], verbs: Self.verbs)
        #expect(overview.code == .ok)
        for text in ["copy FROM [TO]", "data import [FILE...]", "--version", "refused, because trading would be unsafe"] { #expect(overview.out.contains(text)) }
        #expect(!overview.out.contains("not listed"))
        let expected = """
            copies

            usage: keel copy FROM [TO] [options]

            arguments:
              FROM  from where
              TO    to where

            options:
              --json     print JSON instead of text
              --speed N  how fast
              --set X=Y  a value (may be repeated)

            """
        #expect(call(["copy", "--help"], verbs: Self.verbs).out == expected)
        #expect(call(["copy", "a", "--speed", "1", "-h"], verbs: Self.verbs).out == expected)
        #expect(call(["help", "copy"], verbs: Self.verbs).out == expected)
        let group = "verbs:\n  data import [FILE...]  imports\n  data export            exports\n"
        #expect(call(["data", "--help"], verbs: Self.verbs).out == group)
        #expect(call(["help", "data"], verbs: Self.verbs).out == group)
    }

    @Test func whatVerbsThrowBecomesAnExitCode() {
        #expect(call(["data", "import"], verbs: Self.verbs).code == .checkFailed)
        let failed = call(["data", "export"], verbs: Self.verbs)
        #expect(failed.code == .timedOut)
        #expect(failed.error == "error: too slow\n  hint: wait\n")
        let other = call(["secret"], verbs: Self.verbs)
        #expect(other.code == .error)
        #expect(other.error == "error: $ is missing\n")
    }

    @Test func theExitCodesAreThoseOfTheDesign() {
        #expect(ExitCode.allCases.map(\.rawValue) == Array(0...7))
    }

    @Test func version() throws {
        #expect(call(["--version"]).out.hasPrefix("keel "))
        let value = try JSONValue(parsing: call(["--version", "--json"]).out)
        #expect(try value["abi"].text == "1.0")
    }

    @Test func everyVerbIsExplained() {
        var seen: Set<String> = []
        for verb in Verb.all {
            #expect(seen.insert(verb.name).inserted, "\(verb.name) is there twice")
            let help = call(verb.words + ["--help"])
            #expect(help.code == .ok && help.out.contains("usage: keel \(verb.name)"), "\(verb.name)")
        }
    }

    @Test func theDocumentationIsMadeOfTheTables() throws {
        for page in DocumentationPage.all(verbs: Verb.all) {
            let text = try String(contentsOfFile: repository + "/docs/" + page.file, encoding: .utf8)
            #expect(page.missing(in: text) == [], "\(page.file) has no place for these")
            #expect(page.renewed(text) == text, "docs/\(page.file) is behind; run: keel docs docs")
        }
    }

    @Test func colourOnlyWhereItIsWanted() {
        #expect(!call(["chekc"]).error.contains("\u{1B}"))
        #expect(call(["chekc"], colour: true).error.contains("\u{1B}[31m"))
        // Not a terminal here, whatever the environment says.
        #expect(!Terminal.standard(["NO_COLOR": "1"]).usesColour)
    }
}

@Suite struct ProgressTests {
    final class Clock: @unchecked Sendable {
        private let lock = NSLock()
        private var now: Int64 = 0
        func advance(_ seconds: Double) { lock.withLock { now += Int64(seconds * 1e9) } }
        var read: Int64 { lock.withLock { now } }
    }

    func drawn(_ steps: [(Double, Int64)], total: Int64?, terminal isTerminal: Bool = true) -> String {
        let output = Output()
        let clock = Clock()
        let terminal = Terminal(outIsTerminal: isTerminal, errorIsTerminal: isTerminal, usesColour: false, width: 100) { output.add($0, $1) }
        let progress = Progress("import", total: total, unit: "rows", terminal: terminal, clock: { clock.read })
        for (seconds, done) in steps {
            clock.advance(seconds)
            progress.update(done)
        }
        progress.finish()
        #expect(output.out == "")
        return output.error.replacingOccurrences(of: "\r\u{1B}[K", with: "|")
    }

    @Test func showsRateAndTimeLeft() {
        #expect(drawn([(2, 5_000_000)], total: 10_000_000) == "|import  [██████████░░░░░░░░░░] 50 %  5M/10M  2.5M rows/s  0:02 left|")
        #expect(drawn([(10, 123_456)], total: nil) == "|import  123k  12.3k rows/s|")
        #expect(drawn([(1, 100)], total: 100) == "|import  [████████████████████] 100 %  100/100  100 rows/s|")
    }

    @Test func drawsTenTimesASecondAtMost() {
        let text = drawn([(0.2, 1), (0.05, 2), (0.04, 3), (0.02, 4)], total: nil)
        #expect(text.split(separator: "|").count == 2)
    }

    @Test func isSilentInAPipe() { #expect(drawn([(2, 5)], total: 10, terminal: false) == "") }

    @Test func shortNumbersAndTimes() {
        #expect([0, 999, 1000, 1234, 12_345, 123_456, 1_234_567, 2e12].map(Progress.short) == ["0", "999", "1k", "1.23k", "12.3k", "123k", "1.23M", "2T"])
        #expect([0.5, 59, 61, 3661, 1e9, .infinity].map(Progress.time) == ["0:01", "0:59", "1:01", "1:01:01", "long", "long"])
    }
}
