import Glibc
import HostPlugins
import PluginKit

extension Verb {
    static let pluginMock = Verb(
        words: ["plugin", "mock"], summary: "play a recorded venue on a loopback port",
        details: """
            Plays the venue that `keel plugin check` uses, for trying a plugin out. It obeys the lines of the check
            profile's protocol on its input: scenario NAME, report, release, drop, quit. With a command behind "--", it
            plays the venue for as long as that command runs, and ends with its exit code.
            """,
        arguments: [Argument("FILE", .one, "the recording, like mock/venue.json"), Argument("COMMAND", .any, "what to run against it, behind --")],
        options: [
            Option("port", value: "PORT", "the port on 127.0.0.1 (default: a free one, printed)"),
            Option("scenario", value: "NAME", "how it behaves (default: the first in the file)"),
        ],
        run: playVenue)

    private static func playVenue(_ call: Invocation) throws -> ExitCode {
        let file = call.arguments[0]
        var port: UInt16 = 0
        if let text = call.value("port") {
            guard let number = UInt16(text) else { throw call.mistake("--port can't be \"\(text)\"") }
            port = number
        }
        guard let bytes = readWhole(file) else { throw Failure(.invalid, "\(file) can't be read: \(String(cString: strerror(errno)))") }
        let command = Array(call.arguments.dropFirst())
        do {
            if command.isEmpty {
                try RecordedVenue(parsing: bytes, input: 0, output: 1, port: port, scenario: call.value("scenario")).serve()
                return .ok
            }
            return try play(bytes, port, call, for: command)
        } catch let error as VenueError {
            throw Failure(.invalid, "\(error)")
        } catch let error as JSONError {
            throw Failure(.invalid, "\(file) can't be read: \(error)")
        }
    }

    /// The command runs in a child; the venue ends when it does.
    private static func play(_ recording: [UInt8], _ port: UInt16, _ call: Invocation, for command: [String]) throws -> ExitCode {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw Failure(.error, "no pipe: \(String(cString: strerror(errno)))") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        // The venue's own lines go nowhere: standard output is the command's.
        let quiet = open("/dev/null", O_WRONLY | O_CLOEXEC)
        let venue = try RecordedVenue(parsing: recording, input: ends[0], output: quiet, port: port, scenario: call.value("scenario"))
        call.terminal.error("the venue plays on 127.0.0.1:\(venue.port)")
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // The child alone holds the other end once ours is closed: its death is the venue's end of input.
        posix_spawn_file_actions_adddup2(&actions, ends[1], 63)
        var words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var process: pid_t = 0
        let result = posix_spawnp(&process, command[0], &actions, nil, words, environ)
        close(ends[1])
        guard result == 0 else { throw Failure(.error, "\(command[0]) can't be started: \(String(cString: strerror(result)))") }
        venue.serve()
        close(ends[0])
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        if status & 0x7f != 0 { throw Failure(.error, "\(command[0]) was ended by signal \(status & 0x7f)") }
        // The command's own code, where it is one of ours; anything else is an error.
        return ExitCode(rawValue: (status >> 8) & 0xff) ?? .error
    }

    private static func readWhole(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0 { return nil }
            if count == 0 { return bytes }
            bytes += buffer[0..<count]
        }
    }
}
