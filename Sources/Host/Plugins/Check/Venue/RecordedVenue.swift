import Glibc
import PluginKit

/// Plays a recorded venue on a loopback port, on one thread, and obeys the checker's line protocol.
///
///     ready PORT                first, from the venue
///     scenario NAME   -> ok     a fresh venue that behaves so; "unknown" if it has no such scenario
///     report          -> placed N
///     release         -> ok     what it held back goes out now
///     drop            -> ok     every connection is closed
///     quit            -> ends; so does the end of its input
public final class RecordedVenue {
    private struct Connection {
        var descriptor: Int32
        var received: [UInt8] = []
        var streams: [(name: String, every: Int64, lines: [String], next: Int64, index: Int)] = []
        var held: [String] = []
    }

    private let talk: RecordedTalk
    private let input: Int32
    private let output: Int32
    private let listener: Int32
    public let port: UInt16
    private var connections: [Connection] = []
    private var commands: [UInt8] = []
    private var scenario: Int
    private var kept: [(key: String, line: String)] = []
    private var placed = 0
    private var serial = 0

    /// Port 0 takes a free one. `scenario` nil: the first in the file.
    public init(parsing file: [UInt8], input: Int32, output: Int32, port wanted: UInt16 = 0, scenario name: String? = nil) throws {
        talk = try RecordedTalk(parsing: file)
        self.input = input
        self.output = output
        if let name {
            guard let index = talk.scenarios.firstIndex(where: { $0.name == name }) else { throw VenueError.noScenario(name, talk.scenarios.map(\.name)) }
            scenario = index
        } else {
            scenario = 0
        }
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        self.listener = listener
        var yes: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = wanted.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw -> Bool in
                guard bind(listener, raw, length) == 0, listen(listener, 64) == 0 else { return false }
                return getsockname(listener, raw, &length) == 0
            }
        }
        if !bound { throw VenueError.noPort(wanted, String(cString: strerror(errno))) }
        port = UInt16(bigEndian: address.sin_port)
    }

    /// Runs until `quit` or the end of its input.
    public func serve() {
        signal(SIGPIPE, SIG_IGN)
        say("ready \(port)")
        var open = true
        while open {
            var polled = [pollfd(fd: input, events: Int16(POLLIN), revents: 0), pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
            polled += connections.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
            let next = connections.flatMap(\.streams).map(\.next).min()
            let wait = next.map { Int32(max(0, min(($0 - CheckClock.monotonic()) / 1_000_000, 1000))) } ?? -1
            if poll(&polled, nfds_t(polled.count), wait) < 0, errno != EINTR { return }
            if polled[0].revents != 0 { open = readCommands() }
            var gone: Set<Int32> = []
            for entry in polled.dropFirst(2) where entry.revents != 0 {
                if !readLines(entry.fd) { gone.insert(entry.fd) }
            }
            for descriptor in gone { hangUp(descriptor) }
            if polled[1].revents != 0 { accept() }
            stream()
        }
        for connection in connections { close(connection.descriptor) }
    }

    // MARK: the checker

    private func say(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = write(output, bytes, bytes.count)
    }

    private func readCommands() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(input, &buffer, buffer.count)
        if count <= 0 { return false }
        commands.append(contentsOf: buffer[0..<count])
        while let end = commands.firstIndex(of: 10) {
            let line = String(decoding: commands[..<end], as: UTF8.self)
            commands.removeSubrange(...end)
            let words = line.split(separator: " ", maxSplits: 1).map(String.init)
            switch words.first {
            case "scenario":
                guard words.count == 2, let index = talk.scenarios.firstIndex(where: { $0.name == words[1] }) else {
                    say("unknown")
                    continue
                }
                scenario = index
                kept.removeAll()
                placed = 0
                serial = 0
                for index in connections.indices { connections[index].held.removeAll() }
                say("ok")
            case "report":
                drain()
                say("placed \(placed)")
            case "release":
                for index in connections.indices {
                    for line in connections[index].held { send(line + "\n", connections[index].descriptor) }
                    connections[index].held.removeAll()
                }
                say("ok")
            case "drop":
                for connection in connections { close(connection.descriptor) }
                connections.removeAll()
                say("ok")
            case "quit": return false
            default: say("unknown")
            }
        }
        return true
    }

    /// Reads what has already arrived, so that a report tells of everything sent before it was asked for.
    private func drain() {
        while true {
            var polled = [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)] + connections.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
            guard poll(&polled, nfds_t(polled.count), 0) > 0 else { return }
            if polled[0].revents != 0 { accept() }
            for entry in polled.dropFirst() where entry.revents != 0 && !readLines(entry.fd) { hangUp(entry.fd) }
        }
    }

    // MARK: the plugin

    private func accept() {
        let descriptor = Glibc.accept(listener, nil, nil)
        if descriptor < 0 { return }
        var yes: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
        connections.append(Connection(descriptor: descriptor))
        for line in talk.greeting { send(line + "\n", descriptor) }
    }

    /// False when the connection is over.
    private func readLines(_ descriptor: Int32) -> Bool {
        guard let index = connections.firstIndex(where: { $0.descriptor == descriptor }) else { return true }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        if count < 0 { return errno == EAGAIN }
        if count == 0 { return false }
        connections[index].received.append(contentsOf: buffer[0..<count])
        if connections[index].received.count > 1 << 20 { return false }
        while let end = connections[index].received.firstIndex(of: 10) {
            var line = connections[index].received[..<end]
            if line.last == 13 { line = line.dropLast() }
            let text = String(decoding: line, as: UTF8.self)
            connections[index].received.removeSubrange(...end)
            if !obey(text, index) { return false }
        }
        return true
    }

    private func obey(_ line: String, _ index: Int) -> Bool {
        for rule in talk.scenarios[scenario].rules + talk.always {
            guard var values = rule.on.match(line) else { continue }
            if let key = rule.ifKept, !isKept(LinePattern.fill(key, values)) { continue }
            if let key = rule.unlessKept, isKept(LinePattern.fill(key, values)) { continue }
            serial += 1
            if rule.places { placed += 1 }
            values["n"] = String(serial)
            values["ms"] = RecordedVenue.milliseconds()
            let descriptor = connections[index].descriptor
            for reply in rule.reply {
                switch reply {
                case .line(let template): send(LinePattern.fill(template, values) + "\n", descriptor)
                case .raw(let template): send(LinePattern.fill(template, values), descriptor)
                case .held(let template): connections[index].held.append(LinePattern.fill(template, values))
                case .kept(let prefix):
                    let prefix = LinePattern.fill(prefix, values)
                    for entry in kept where entry.key.hasPrefix(prefix) { send(entry.line + "\n", descriptor) }
                }
            }
            for (key, template) in rule.keep {
                let key = LinePattern.fill(key, values)
                kept.removeAll { $0.key == key }
                kept.append((key, LinePattern.fill(template, values)))
            }
            for key in rule.forget {
                let key = LinePattern.fill(key, values)
                kept.removeAll { $0.key == key }
            }
            for name in rule.stop {
                let name = LinePattern.fill(name, values)
                connections[index].streams.removeAll { $0.name == name }
            }
            if let stream = rule.stream {
                let name = LinePattern.fill(stream.name, values)
                if !connections[index].streams.contains(where: { $0.name == name }) {
                    let lines = stream.lines.map { LinePattern.fill($0, values.filter { $0.key != "ms" && $0.key != "n" }) }
                    let every = Int64(stream.everyMilliseconds) * 1_000_000
                    connections[index].streams.append((name, every, lines, CheckClock.monotonic() + every, 0))
                }
            }
            return !rule.hangsUp
        }
        return true
    }

    private func stream() {
        let now = CheckClock.monotonic()
        for c in connections.indices {
            for s in connections[c].streams.indices where connections[c].streams[s].next <= now {
                let stream = connections[c].streams[s]
                guard !stream.lines.isEmpty else { continue }
                let line = stream.lines[stream.index % stream.lines.count]
                send(LinePattern.fill(line, ["n": String(stream.index + 1), "ms": RecordedVenue.milliseconds()]) + "\n", connections[c].descriptor)
                connections[c].streams[s].index += 1
                connections[c].streams[s].next = now + stream.every
            }
        }
    }

    private func isKept(_ key: String) -> Bool { kept.contains { $0.key == key } }

    private func hangUp(_ descriptor: Int32) {
        connections.removeAll { $0.descriptor == descriptor }
        close(descriptor)
    }

    /// A connection that takes nothing more is the plugin's own fault; the venue doesn't wait for it.
    private func send(_ text: String, _ descriptor: Int32) {
        let bytes = Array(text.utf8)
        _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
    }

    private static func milliseconds() -> String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return String(Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}

public enum VenueError: Error, CustomStringConvertible {
    case noScenario(String, [String])
    case noPort(UInt16, String)
    case didNotStart(String)
    case silent(String)

    public var description: String {
        switch self {
        case .noScenario(let name, let known): "the recorded venue has no scenario \"\(name)\": it has \(known.joined(separator: ", "))"
        case .noPort(let port, let why): "port \(port) on 127.0.0.1 can't be taken: \(why)"
        case .didNotStart(let what): "the mock venue did not start: \(what)"
        case .silent(let command): "the mock venue did not answer \"\(command)\""
        }
    }
}
