import Foundation
import Glibc
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
        let mark = "\(folder)/.\(UUID().uuidString)"
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, "\(mark).out", O_CREAT | O_WRONLY, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, "\(mark).error", O_CREAT | O_WRONLY, 0o600)
        // The shell turns into the program once it stands in the folder: one process.
        var arguments = (["/bin/sh", "-c", #"cd "$0" && exec "$@""#, folder, program] + words).map { strdup($0) } + [nil]
        var environment = ProcessInfo.processInfo.environment.filter { $0.key != "LIVE_TRADING" }.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in arguments + environment { free(text) } }
        var pid: pid_t = 0
        let failure = posix_spawn(&pid, "/bin/sh", &actions, nil, &arguments, &environment)
        try #require(failure == 0, "\(program): \(String(cString: strerror(failure)))")
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return Ended(
            code: status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F), out: try String(contentsOfFile: "\(mark).out", encoding: .utf8),
            error: try String(contentsOfFile: "\(mark).error", encoding: .utf8))
    }

    /// Runs it and expects that it went well.
    func good(_ words: String...) throws -> Ended {
        let ended = try run(words)
        #expect(ended.code == 0, "keel \(words.joined(separator: " ")) ended with \(ended.code): \(ended.error)\(ended.out)")
        return ended
    }
}
