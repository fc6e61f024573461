import CSystem
import Foundation
import Glibc
import Synchronization

/// One caller's connection. Answered once; the answer may come from the program this one becomes.
public final class ControlConnection: Sendable {
    private let descriptor: Mutex<Int32>

    init(_ fd: Int32) { descriptor = Mutex(fd) }

    /// A connection the program before this one left open.
    public static func inherited(_ fd: Int32) -> ControlConnection {
        csystem_set_close_on_exec(fd, 1)
        return ControlConnection(fd)
    }

    deinit { finish() }

    public func answer(_ reply: ControlReply) {
        descriptor.withLock { fd in
            guard fd >= 0, let line = try? JSONEncoder().encode(reply) else { return }
            LocalSocket.writeLine(fd, line)
            close(fd)
            fd = -1
        }
    }

    /// Keeps the descriptor open across execve and gives it away; -1: already answered.
    public func handOver() -> Int32 {
        descriptor.withLock { fd in
            guard fd >= 0 else { return -1 }
            csystem_set_close_on_exec(fd, 0)
            defer { fd = -1 }
            return fd
        }
    }

    /// Reading is the server's business, before anyone else knows the connection.
    func readRequest() -> Data? { LocalSocket.readLine(descriptor.withLock { $0 }, limit: 1 << 16, milliseconds: 2_000) }

    private func finish() {
        descriptor.withLock { fd in
            if fd >= 0 { close(fd) }
            fd = -1
        }
    }
}

/// Listens in the state folder for `keel status`, `stop`, `restart` and the like, and for signals.
public final class ControlServer: Sendable {
    public enum Input: Sendable {
        case request(ControlRequest, ControlConnection)
        case signal(Int32)
        /// About four times a second: time to look at the kill switch.
        case glance
    }

    private let listener: Int32
    private let stopping: (read: Int32, write: Int32)
    private let open = Atomic<Int>(0)
    private let ended = DispatchSemaphore(value: 0)

    /// inherited: the listening socket the program before this one left open, so that callers never find nobody.
    public init(folder: RunFolder, inherited: Int32? = nil, signals: Int32 = -1, handler: @escaping @Sendable (Input) -> Void) throws(RunError) {
        if let inherited {
            csystem_set_close_on_exec(inherited, 1)
            listener = inherited
        } else {
            listener = try LocalSocket.listen(folder: folder.path, name: folder.socketName)
        }
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .system(call: "pipe", what: "control socket", code: errno) }
        for end in ends { csystem_set_close_on_exec(end, 1) }
        stopping = (ends[0], ends[1])
        let thread = Thread { [self] in
            serve(signals: signals, handler: handler)
            ended.signal()
        }
        thread.name = "keel-control"
        thread.start()
    }

    deinit {
        close(stopping.read)
        close(stopping.write)
    }

    /// Stops listening and returns once no more input will come. The socket itself is closed, or kept for a successor.
    public func stop(keepingSocket: Bool = false) -> Int32 {
        var byte: UInt8 = 0
        _ = write(stopping.write, &byte, 1)
        ended.wait()
        if keepingSocket {
            csystem_set_close_on_exec(listener, 0)
            return listener
        }
        close(listener)
        return -1
    }

    private func serve(signals: Int32, handler: @escaping @Sendable (Input) -> Void) {
        var glanced = HostClock.monotonic()
        while true {
            // Callers that keep the loop busy don't keep it from looking.
            if HostClock.monotonic() - glanced >= 250_000_000 {
                glanced = HostClock.monotonic()
                handler(.glance)
            }
            var interests = [
                pollfd(fd: stopping.read, events: Int16(POLLIN), revents: 0),
                pollfd(fd: listener, events: Int16(POLLIN), revents: 0),
                pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
            ]
            let ready = poll(&interests, 3, 250)
            if interests[0].revents != 0 { return }
            if ready <= 0 { continue }
            if interests[2].revents != 0 {
                var byte: UInt8 = 0
                while read(signals, &byte, 1) == 1 { handler(.signal(Int32(byte))) }
            }
            if interests[1].revents != 0 { accept(handler) }
        }
    }

    private func accept(_ handler: @escaping @Sendable (Input) -> Void) {
        let fd = Glibc.accept(listener, nil, nil)
        guard fd >= 0 else { return }
        csystem_set_close_on_exec(fd, 1)
        let connection = ControlConnection(fd)
        // A caller that connects and says nothing holds a thread for two seconds; a few dozen of those are enough.
        guard open.add(1, ordering: .relaxed).newValue <= 32 else {
            open.subtract(1, ordering: .relaxed)
            return connection.answer(ControlReply(code: 1, problems: ["the host is busy with 32 other callers: try again"]))
        }
        Thread.detachNewThread { [self] in
            defer { open.subtract(1, ordering: .relaxed) }
            guard let line = connection.readRequest() else { return }
            guard let request = try? JSONDecoder().decode(ControlRequest.self, from: line) else {
                return connection.answer(ControlReply(
                    code: 2, problems: ["not a request this host knows; its verbs: \(ControlRequest.Verb.allCases.map(\.rawValue).joined(separator: ", "))"]))
            }
            handler(.request(request, connection))
        }
    }
}

/// The caller's side.
public enum ControlClient {
    public static func ask(_ request: ControlRequest, folder: RunFolder, milliseconds: Int32 = 10_000) throws(RunError) -> ControlReply {
        guard let fd = try LocalSocket.connect(folder: folder.path, name: folder.socketName) else {
            throw .notRunning(path: folder.path)
        }
        defer { close(fd) }
        guard let line = try? JSONEncoder().encode(request) else { throw .control("the request cannot be written as JSON") }
        // A host that is just going away closes without reading.
        guard LocalSocket.writeLine(fd, line) else { throw .notRunning(path: folder.path) }
        guard let answer = LocalSocket.readLine(fd, milliseconds: milliseconds) else {
            throw .timedOut("the host on \(folder.path) took the request \(request.verb.rawValue) and gave no answer")
        }
        guard let reply = try? JSONDecoder().decode(ControlReply.self, from: answer) else {
            throw .control("the host on \(folder.path) answered something this program doesn't understand: is it the same version?")
        }
        return reply
    }
}
