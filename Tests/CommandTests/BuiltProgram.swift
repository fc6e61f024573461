import Foundation
import Glibc
import TestSupport
import Testing

/// The keel program as `swift build` put it beside the tests, with the bundled plugins.
enum BuiltProgram {
    static let folder: String? = {
        let here = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        var folders = [(here as NSString).deletingLastPathComponent]
        folders += CommandLine.arguments.filter { $0.hasSuffix(".xctest") }.map { ($0 as NSString).deletingLastPathComponent }
        folders.append(CompilePlugin.root + "/.build/debug")
        return folders.first { folder in
            ["keel", "libSim.so", "libEMACross.so", "libDirectRouter.so"].allSatisfy { FileManager.default.fileExists(atPath: folder + "/" + $0) }
        }
    }()

    struct Ended {
        var code: Int32
        var out: String
        var error: String
        var said: String { out + error }
    }

    /// Runs it to its end; nothing of this process's environment but the search path reaches it.
    static func keel(_ arguments: [String], in folder: String, environment: [String: String] = [:]) throws -> Ended {
        guard let program = Self.folder else { throw TestSupportError.failed("the keel program is not built") }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program + "/keel")
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.environment = ["PATH": "/usr/bin:/bin", "HOME": folder, "SWIFT_BACKTRACE": "enable=no"].merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        // Files, not pipes: what a verb prints may be longer than a pipe holds.
        let names = [UUID().uuidString, UUID().uuidString].map { FileManager.default.temporaryDirectory.appendingPathComponent("keel-said-\($0)").path }
        defer { for name in names { unlink(name) } }
        for name in names { _ = FileManager.default.createFile(atPath: name, contents: nil) }
        process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: names[0]))
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: names[1]))
        try process.run()
        process.waitUntilExit()
        func text(_ name: String) -> String { (try? String(contentsOfFile: name, encoding: .utf8)) ?? "" }
        return Ended(code: process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus, out: text(names[0]), error: text(names[1]))
    }
}

/// A folder with a manifest and a plugins/ folder, for the real program.
final class Workplace {
    let folder: TemporaryFolder
    var path: String { folder.path }
    var manifest: String { folder.file("plugins.json") }

    init() throws {
        folder = try TemporaryFolder("place")
        try folder.folder("plugins", mode: 0o755)
    }

    /// The place of a mark in the text, as line and column; the mark is taken out before the file is written.
    @discardableResult
    func write(_ marked: String) throws -> String {
        var place = "1:1"
        if let mark = marked.range(of: "▸") {
            let before = marked[..<mark.lowerBound]
            let line = before.components(separatedBy: "\n")
            place = "\(line.count):\((line.last ?? "").unicodeScalars.count + 1)"
        }
        try folder.write(marked.replacingOccurrences(of: "▸", with: ""), to: "plugins.json")
        return place
    }

    /// One pipeline whose decider is the entry in question.
    static func manifest(decider: String, mode: String = "paper", top: String = "") -> String {
        """
        { "version": 1, "mode": "\(mode)", "state": "state",\(top)
          "plugins": {
            "sim": { "component": "keel.sim", "file": "Sim", "config": { "length": "1h" } },
            "own": \(decider),
            "direct": { "component": "keel.direct", "file": "DirectRouter" } },
          "instruments": { "BTC/USDT": { "kind": "spot", "tick": "0.01", "lot": "0.00001" } },
          "pipelines": [
            { "name": "btc", "feeds": ["sim"], "instruments": ["BTC/USDT"], "bars": ["1m"], "gate": { "candle": "15m" },
              "decide": { "primary": "own" }, "risk": {}, "position": {}, "route": "direct", "broker": "sim", "capital": "10000" } ] }
        """
    }

    func keel(_ arguments: String..., environment: [String: String] = [:]) throws -> BuiltProgram.Ended {
        try BuiltProgram.keel(arguments, in: path, environment: environment)
    }

    /// What a run leaves behind that has started: a ledger, a journal, a lock.
    var traces: [String] {
        let names = FileManager.default.enumerator(atPath: folder.file("state"))?.compactMap { $0 as? String } ?? []
        return names.filter { !$0.hasPrefix("cache") && !["journal", "saved"].contains($0) }
    }
}
