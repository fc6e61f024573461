import CSystem
import Glibc
import PluginKit

/// A venue in a process of its own, controlled line by line.
final class MockVenue {
    let port: Int
    /// Further ports by their names: a venue may listen on several.
    let ports: [String: Int]
    private let toVenue: Int32
    private let fromVenue: Int32
    private let process: pid_t
    private var received: [UInt8] = []

    /// `command` nil plays `recording` in a fork of this process.
    init(recording: String?, command: [String], folder: String) throws {
        let command = command.map { $0.replacing("${keel}", with: MockVenue.programFolder) }
        var down: [Int32] = [0, 0], up: [Int32] = [0, 0]
        guard csystem_pipe(&down) == 0, csystem_pipe(&up) == 0 else { throw VenueError.didNotStart("no pipe") }
        let recorded = try recording.map { path in
            guard let bytes = readFile(path) else { throw VenueError.didNotStart("\(path) can't be read") }
            return bytes
        }
        let child = csystem_fork()
        if child < 0 { throw VenueError.didNotStart(String(cString: strerror(errno))) }
        if child == 0 {
            _ = csystem_die_with_parent(SIGKILL)
            close(down[1])
            close(up[0])
            if let recorded {
                do {
                    try RecordedVenue(parsing: recorded, input: down[0], output: up[1]).serve()
                } catch {
                    let words = Array("error \(error)\n".utf8)
                    _ = write(up[1], words, words.count)
                }
                _exit(0)
            }
            dup2(down[0], 0)
            dup2(up[1], 1)
            chdir(folder)
            var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
            arguments.append(nil)
            if let program = arguments[0] { execvp(program, arguments) }
            let words = Array("error \(command.first ?? "?"): \(String(cString: strerror(errno)))\n".utf8)
            _ = write(1, words, words.count)
            _exit(127)
        }
        close(down[0])
        close(up[1])
        toVenue = down[1]
        fromVenue = up[0]
        process = child
        var line = ""
        var buffer: [UInt8] = []
        let first = MockVenue.readLine(up[0], &buffer, limit: 5)
        line = first ?? ""
        let words = line.split(separator: " ").map(String.init)
        guard words.count >= 2, words[0] == "ready", let port = Int(words[1]) else {
            kill(child, SIGKILL)
            waitpid(child, nil, 0)
            throw VenueError.didNotStart(line.isEmpty ? "it said nothing" : line)
        }
        self.port = port
        ports = Dictionary(
            words.dropFirst(2).compactMap { word in
                let parts = word.split(separator: "=", maxSplits: 1)
                return parts.count == 2 ? Int(parts[1]).map { (String(parts[0]), $0) } : nil
            }, uniquingKeysWith: { $1 })
        received = buffer
    }

    /// Where keel and keel-venues lie: "${keel}" in a profile's command.
    private static let programFolder: String = {
        let program = thisProgram() ?? ""
        return program.lastIndex(of: "/").map { String(program[..<$0]) } ?? "."
    }()

    deinit {
        close(toVenue)
        close(fromVenue)
        kill(process, SIGKILL)
        waitpid(process, nil, 0)
    }

    /// False if the venue has no such scenario.
    func scenario(_ name: String) throws -> Bool { try ask("scenario \(name)") == "ok" }
    func release() throws { _ = try ask("release") }
    func drop() throws { _ = try ask("drop") }

    /// How many orders the venue has taken since the scenario began.
    func placed() throws -> Int {
        guard let count = try count("placed") else { throw VenueError.silent("report") }
        return count
    }

    /// A count since the scenario began; nil: the venue doesn't keep it.
    func count(_ name: String) throws -> Int? {
        let words = try ask("report").split(separator: " ")
        for (word, number) in zip(words, words.dropFirst()) where word == name { return Int(number) }
        return nil
    }

    /// So many orders of somebody else rest in the account now. False if the venue can't have any.
    func outside(_ count: Int) throws -> Bool { try ask("outside \(count)") == "ok" }

    /// The venue's own words when it last refused an order; nil: it doesn't tell.
    func reason() throws -> String? {
        let line = try ask("reason")
        guard line.hasPrefix("reason ") else { return nil }
        return String(line.dropFirst(7))
    }

    private func ask(_ command: String) throws -> String {
        let bytes = Array((command + "\n").utf8)
        guard write(toVenue, bytes, bytes.count) == bytes.count, let answer = MockVenue.readLine(fromVenue, &received, limit: 5) else {
            throw VenueError.silent(command)
        }
        return answer
    }

    private static func readLine(_ descriptor: Int32, _ received: inout [UInt8], limit: Double) -> String? {
        let deadline = CheckClock.monotonic() + Int64(limit * 1e9)
        while true {
            if let end = received.firstIndex(of: 10) {
                let line = String(decoding: received[..<end], as: UTF8.self)
                received.removeSubrange(...end)
                return line
            }
            let left = (deadline - CheckClock.monotonic()) / 1_000_000
            var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard left > 0, poll(&polled, 1, Int32(left)) > 0 else { return nil }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = read(descriptor, &buffer, buffer.count)
            if count <= 0 { return nil }
            received.append(contentsOf: buffer[0..<count])
        }
    }
}
