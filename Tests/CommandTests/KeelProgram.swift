import Foundation
import PluginKit
import Testing

/// The keel program as a person starts it, in a folder of its own that is removed at the end.
final class KeelProgram {
    struct Ended {
        var code: Int32
        var out: String
        var error: String

        var json: JSONValue { get throws { try JSONValue(parsing: Array(out.utf8)) } }
    }

    let folder: String
    private let program: String

    /// nil unless the program and these libraries are built beside the tests.
    init?(libraries: [String]) throws {
        guard let beside = TutorialTests.keel, libraries.allSatisfy({ FileManager.default.fileExists(atPath: "\(beside)/lib\($0).so") }) else { return nil }
        program = beside + "/keel"
        folder = FileManager.default.temporaryDirectory.path + "/keel-program-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func write(_ name: String, _ text: String) throws { try text.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8) }

    func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(folder)/\(name)") }

    /// Runs it to its end.
    @discardableResult
    func run(_ words: [String]) throws -> Ended {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = words
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        var environment = ProcessInfo.processInfo.environment
        environment["LIVE_TRADING"] = nil
        process.environment = environment
        process.standardInput = FileHandle.nullDevice
        let mark = "\(folder)/.\(UUID().uuidString)"
        for end in ["out", "error"] { _ = FileManager.default.createFile(atPath: "\(mark).\(end)", contents: nil) }
        process.standardOutput = FileHandle(forWritingAtPath: "\(mark).out")
        process.standardError = FileHandle(forWritingAtPath: "\(mark).error")
        try process.run()
        process.waitUntilExit()
        return Ended(
            code: process.terminationStatus, out: try String(contentsOfFile: "\(mark).out", encoding: .utf8),
            error: try String(contentsOfFile: "\(mark).error", encoding: .utf8))
    }

    /// Runs it and expects that it went well.
    func good(_ words: String...) throws -> Ended {
        let ended = try run(words)
        #expect(ended.code == 0, "keel \(words.joined(separator: " ")) ended with \(ended.code): \(ended.error)\(ended.out)")
        return ended
    }
}
