import Foundation
import HostPlugins
import TestSupport
import Testing

@Suite("The examples build and pass, each from its own folder")
struct ExampleTests {
    struct Example: Sendable, CustomTestStringConvertible {
        var folder: String
        var build: [String]
        var library: String
        var tool: String
        var testDescription: String { folder }
    }

    static let all: [Example] = [
        Example(folder: "broker-c", build: ["make", "KEEL=\(CompilePlugin.root)/Sources/PluginAPI/include"], library: "quay.so", tool: "cc"),
        Example(folder: "decider-rust", build: ["cargo", "build", "--release", "--offline"], library: "target/release/libbreakout.so", tool: "cargo"),
        Example(folder: "router-swift", build: ["swift", "build", "-c", "release"], library: ".build/release/libPace.so", tool: "swift"),
    ]

    static func has(_ tool: String) -> Bool {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(tool)") }
    }

    @Test("it builds and passes every check", arguments: all.filter { has($0.tool) })
    func passes(_ example: Example) throws {
        try withFolder { folder in
            let copy = folder + "/" + example.folder
            try FileManager.default.copyItem(atPath: CompilePlugin.root + "/Examples/" + example.folder, toPath: copy)
            for name in [".build", "target", "quay.so"] { try? FileManager.default.removeItem(atPath: copy + "/" + name) }
            try CompilePlugin.run(example.build, in: copy)
            let report = try Child.check(copy + "/" + example.library, seed: nil)
            #expect(report.passed, "\(report.text(onlyFailed: true))")
            #expect(report.count(.warn) == 0, "\(report.text())")
        }
    }

    @Test("the Rust example's own tests pass", .enabled(if: has("cargo")))
    func rustTests() throws {
        try withFolder { folder in
            let copy = folder + "/decider"
            try FileManager.default.copyItem(atPath: CompilePlugin.root + "/Examples/decider-rust", toPath: copy)
            try? FileManager.default.removeItem(atPath: copy + "/target")
            try CompilePlugin.run(["cargo", "test", "--offline"], in: copy)
        }
    }

    @Test("what they vendor is what keel plugin new would write today", arguments: ["decider-rust", "router-swift"])
    func vendored(_ name: String) throws {
        let folder = CompilePlugin.root + "/Examples/" + name
        let scaffold = try Scaffold.read(version: try String(contentsOfFile: folder + "/keel/VERSION", encoding: .utf8))
        for file in scaffold.files where file.isVendored {
            #expect(try String(contentsOfFile: folder + "/" + file.path, encoding: .utf8) == file.text, "\(name)/\(file.path): run keel plugin new --upgrade --dir Examples/\(name)")
        }
    }
}
