import Glibc
import PluginKit

/// Plays a recorded venue on a loopback port, on one thread, and obeys the checker's line protocol.
///
///     ready PORT                first, from the venue
///     scenario NAME   -> ok     a fresh venue that behaves so; "unknown" if it has no such scenario
///     report          -> placed N open N requests N ...
///     release         -> ok     what it held back goes out now
///     outside N       -> ok     so many orders of somebody else rest in the account
///     reason          -> reason TEXT   its words for the last refusal
///     drop            -> ok     every connection is closed
///     quit            -> ends; so does the end of its input
public final class RecordedVenue {
    private struct Connection {
        var descriptor: Int32
        var received: [UInt8] = []
        var streams: [Playing] = []
        var held: [String] = []
        /// Bytes there was no room for yet.
        var unsent: [UInt8] = []
        /// Bytes that go out one by one.
        var slow: [UInt8] = []
        var slowNext: Int64 = 0
    }

    private struct Playing {
        var name: String
        var stream: RecordedTalk.Stream
        /// With the symbol filled in.
        var lines: [String]
        var next: Int64
        var index = 0
        /// What is added to the lines' numbers.
        var shift = 0
    }

    private let talk: RecordedTalk
    private let input: Int32
    private let output: Int32
    private let listener: Int32
    public let port: UInt16
    private var connections: [Connection] = []
    private var commands: [UInt8] = []
    private var scenario: Int
    private var kept: [(key: String, line: String, until: Int64)] = []
    private var counts: [String: Int] = [:]
    private var released = false
    private var later: [(rule: RecordedTalk.Rule, values: [String: String])] = []
    private var reason = ""
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
            let next = (connections.flatMap(\.streams).map(\.next) + connections.filter { !$0.slow.isEmpty }.map(\.slowNext)).min()
            let isFull = connections.contains { !$0.unsent.isEmpty }
            let wait = isFull ? 1 : next.map { Int32(max(0, min(($0 - CheckClock.monotonic()) / 1_000_000, 1000))) } ?? -1
            if poll(&polled, nfds_t(polled.count), wait) < 0, errno != EINTR { return }
            if polled[0].revents != 0 { open = readCommands() }
            var gone: Set<Int32> = []
            for entry in polled.dropFirst(2) where entry.revents != 0 {
                if !readLines(entry.fd) { gone.insert(entry.fd) }
            }
            for descriptor in gone { hangUp(descriptor) }
            if polled[1].revents != 0 { accept() }
            flush()
            stream()
            trickle()
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
                begin(index)
                say("ok")
            case "report":
                drain()
                say(report())
            case "release":
                release()
                say("ok")
            case "outside":
                guard words.count == 2, let count = Int(words[1]), (0...100_000).contains(count), setOutside(count) else {
                    say("unknown")
                    continue
                }
                say("ok")
            case "reason": say(reason.isEmpty ? "reason" : "reason \(reason)")
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

    private func begin(_ index: Int) {
        scenario = index
        kept.removeAll()
        counts.removeAll()
        later.removeAll()
        released = false
        reason = ""
        serial = 0
        for index in connections.indices {
            connections[index].held.removeAll()
            connections[index].slow.removeAll()
        }
    }

    private func report() -> String {
        var words = ["placed \(counts["placed"] ?? 0)", "requests \(counts["requests"] ?? 0)"]
        if let resting = talk.resting { words.append("open \(kept.count { !$0.key.hasPrefix(RecordedVenue.outsidePrefix) && resting.match($0.line) != nil })") }
        // Counts some rule could raise are told even while they are 0.
        let possible = Set((talk.scenarios[scenario].rules + talk.always).compactMap(\.counts)).sorted()
        for name in possible { words.append("\(name) \(counts[name] ?? 0)") }
        return words.joined(separator: " ")
    }

    private func release() {
        released = true
        for index in connections.indices {
            for line in connections[index].held { send(line + "\n", connections[index].descriptor) }
            connections[index].held.removeAll()
            for stream in connections[index].streams.indices { connections[index].streams[stream].shift += connections[index].streams[stream].stream.gap }
        }
        for (rule, values) in later {
            guard let now = rule.atRelease else { continue }
            keep(now.keep, values)
            // Whoever is connected now hears it: the connection it began on may be gone.
            if let descriptor = connections.last?.descriptor { answer(now.reply, values, descriptor) }
        }
        later.removeAll()
    }

    private static let outsidePrefix = "\u{1}"

    private func setOutside(_ count: Int) -> Bool {
        guard let outside = talk.outside else { return false }
        kept.removeAll { $0.key.hasPrefix(RecordedVenue.outsidePrefix) }
        for number in 0..<count {
            let values = ["n": String(number + 1)]
            // The prefix is part of no key a rule could make; what a sync asks for by a prefix finds it all the same.
            kept.append((RecordedVenue.outsidePrefix + LinePattern.fill(outside.key, values), LinePattern.fill(outside.line, values), .max))
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
        if let welcome = talk.scenarios[scenario].onAccept {
            if !welcome.raw.isEmpty { send(welcome.raw, descriptor) }
            if welcome.hangsUp { return hangUp(descriptor) }
        }
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
        counts["requests", default: 0] += 1
        for rule in talk.scenarios[scenario].rules + talk.always {
            guard var values = rule.on.match(line) else { continue }
            if let key = rule.ifKept, !isKept(LinePattern.fill(key, values)) { continue }
            if let key = rule.unlessKept, isKept(LinePattern.fill(key, values)) { continue }
            if let wanted = rule.released, wanted != released { continue }
            serial += 1
            if rule.places { counts["placed", default: 0] += 1 }
            if let name = rule.counts { counts[name, default: 0] += 1 }
            if let words = rule.reason { reason = LinePattern.fill(words, values) }
            values["n"] = String(serial)
            values["ms"] = RecordedVenue.milliseconds()
            answer(rule.reply, values, connections[index].descriptor)
            if rule.atRelease != nil { later.append((rule, values)) }
            keep(rule.keep, values)
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
                    connections[index].streams.append(
                        Playing(name: name, stream: stream, lines: lines, next: CheckClock.monotonic() + Int64(stream.everyMilliseconds) * 1_000_000))
                }
            }
            return !rule.hangsUp
        }
        return true
    }

    private func answer(_ replies: [RecordedTalk.Reply], _ values: [String: String], _ descriptor: Int32) {
        for reply in replies {
            switch reply {
            case .line(let template): send(LinePattern.fill(template, values) + "\n", descriptor)
            case .raw(let template): send(LinePattern.fill(template, values), descriptor)
            case .huge(let count): sendHuge(count, descriptor)
            case .held(let template):
                if let index = connections.firstIndex(where: { $0.descriptor == descriptor }) { connections[index].held.append(LinePattern.fill(template, values)) }
            case .kept(let prefix):
                let prefix = LinePattern.fill(prefix, values)
                var text = ""
                for entry in kept where entry.key.hasPrefix(prefix) || entry.key.dropFirst().hasPrefix(prefix) && entry.key.hasPrefix(RecordedVenue.outsidePrefix) {
                    text += entry.line + "\n"
                }
                if !text.isEmpty { send(text, descriptor) }
            }
        }
    }

    private func keep(_ entries: [RecordedTalk.Keep], _ values: [String: String]) {
        for entry in entries {
            let key = LinePattern.fill(entry.key, values)
            kept.removeAll { $0.key == key }
            kept.append((key, LinePattern.fill(entry.line, values), entry.milliseconds.map { CheckClock.monotonic() + Int64($0) * 1_000_000 } ?? .max))
        }
    }

    private func stream() {
        let now = CheckClock.monotonic()
        for c in connections.indices where connections[c].unsent.isEmpty {
            for s in connections[c].streams.indices where connections[c].streams[s].next <= now {
                let playing = connections[c].streams[s]
                guard !playing.lines.isEmpty else { continue }
                var text = ""
                var index = playing.index
                for _ in 0..<playing.stream.batch {
                    if let total = playing.stream.total, index >= total { break }
                    let line = playing.lines[index % playing.lines.count]
                    let isPlain = !line.utf8.contains(UInt8(ascii: "{"))
                    text += isPlain ? line : LinePattern.fill(line, ["n": String(index + 1 + playing.shift), "ms": RecordedVenue.milliseconds()])
                    text += "\n"
                    index += 1
                }
                connections[c].streams[s].index = index
                let isOver = playing.stream.total.map { index >= $0 } ?? false
                connections[c].streams[s].next = isOver ? .max : now + Int64(playing.stream.everyMilliseconds) * 1_000_000
                send(text, connections[c].descriptor)
            }
        }
    }

    private func isKept(_ key: String) -> Bool {
        let now = CheckClock.monotonic()
        return kept.contains { $0.key == key && $0.until > now }
    }

    /// One byte of what waits, wherever its time has come.
    private func trickle() {
        let now = CheckClock.monotonic()
        for index in connections.indices where !connections[index].slow.isEmpty && connections[index].slowNext <= now {
            var byte = connections[index].slow.removeFirst()
            _ = Glibc.send(connections[index].descriptor, &byte, 1, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            connections[index].slowNext = now + Int64(talk.scenarios[scenario].slowMilliseconds) * 1_000_000
        }
    }

    /// As much as is taken within two seconds.
    private func sendHuge(_ count: Int, _ descriptor: Int32) {
        let deadline = CheckClock.monotonic() + 2_000_000_000
        let block = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 16)
        var left = count
        while left > 0, CheckClock.monotonic() < deadline {
            let sent = Glibc.send(descriptor, block, min(left, block.count), Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            if sent < 0, errno != EAGAIN { return }
            if sent < 0 {
                var polled = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&polled, 1, 50)
            } else {
                left -= sent
            }
        }
    }

    private func hangUp(_ descriptor: Int32) {
        connections.removeAll { $0.descriptor == descriptor }
        close(descriptor)
    }

    /// What a connection has no room for waits; the venue itself doesn't.
    private func send(_ text: String, _ descriptor: Int32) {
        let bytes = Array(text.utf8)
        guard let index = connections.firstIndex(where: { $0.descriptor == descriptor }) else { return }
        if talk.scenarios[scenario].slowMilliseconds > 0 {
            connections[index].slow += bytes
            return
        }
        // Nobody who takes nothing is remembered for ever.
        guard connections[index].unsent.count < 4 << 20 else { return }
        connections[index].unsent += bytes
        flush(index)
    }

    private func flush() { for index in connections.indices where !connections[index].unsent.isEmpty { flush(index) } }

    private func flush(_ index: Int) {
        let sent = Glibc.send(connections[index].descriptor, connections[index].unsent, connections[index].unsent.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        if sent > 0 { connections[index].unsent.removeFirst(sent) }
        if sent < 0, errno != EAGAIN, errno != EINTR { connections[index].unsent.removeAll() }
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
