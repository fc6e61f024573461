import Glibc
import PluginAPI
import PluginKit

/// How a call into the plugin ended.
struct Called {
    var status: keel_status
    var message: String
    var vendorCode: Int64 = 0

    var accepted: Bool { status == KEEL_OK }
    var words: String { message.isEmpty ? statusName(status) : "\(statusName(status)) (\(message))" }
}

/// One instance of the component on one hostile host, driven by its lane: the thread that made it.
final class Instance {
    let subject: Subject
    let host: HostileHost
    private(set) var pointer: OpaquePointer?
    private(set) var running = false
    private var requests: UInt64
    /// What the last call left in `out` on failure.
    private(set) var outAfterFailedCreate: OpaquePointer?
    /// Hosts stay: a plugin's late thread may still call one.
    nonisolated(unsafe) private static var hosts: [HostileHost] = []

    init(_ subject: Subject, _ host: HostileHost, firstRequest: UInt64 = 1) {
        self.subject = subject
        self.host = host
        requests = firstRequest &- 1
        Instance.hosts.append(host)
    }

    func nextRequest() -> UInt64 {
        requests &+= 1
        return requests
    }

    // MARK: life

    func create(_ config: String, name: String = "check") -> Called { create(Array(config.utf8), name: Array(name.utf8)) }

    /// `nil` stands for an empty string with a NULL pointer.
    func create(_ config: [UInt8]?, name: [UInt8]?) -> Called {
        var out: OpaquePointer?
        host.creating = true
        host.destroyed = false
        let result = call("create") { error in
            let name = self.string(name, "the name given to create"), json = self.string(config, "the configuration given to create")
            return self.subject.component.pointee.create(self.subject.component, self.host.pointer, name, json, &out, error)
        }
        host.creating = false
        if result.accepted { pointer = out } else { outAfterFailedCreate = out }
        return result
    }

    func start() -> Called {
        guard let pointer else { return Called(status: KEEL_E_STATE, message: "not created") }
        let result = call("start") { self.subject.component.pointee.start(pointer, $0) }
        if result.accepted { running = true }
        return result
    }

    func stopCall(deadline: keel_span = .seconds(5)) -> (call: Called, request: UInt64) {
        let request = nextRequest()
        guard let pointer else { return (Called(status: KEEL_E_STATE, message: "not created"), request) }
        let deadline = host.clock.now &+ deadline
        return (call("stop") { self.subject.component.pointee.stop(pointer, deadline, request, $0) }, request)
    }

    /// stop, and the lane until its DONE. Nil if the DONE did not come in time.
    @discardableResult
    func stop(within limit: Double = 5) -> (call: Called, done: keel_ev_done?) {
        let stop = stopCall()
        guard stop.call.accepted else { return (stop.call, nil) }
        run(for: limit) { self.done(stop.request) != nil }
        running = false
        host.stops += 1
        host.forgetWatches()
        return (stop.call, done(stop.request))
    }

    func destroy() {
        guard let pointer else { return }
        subject.component.pointee.destroy(pointer)
        host.lender.closeCall()
        host.lender.releaseKept()
        host.destroyed = true
        host.forgetWatches()
        running = false
        self.pointer = nil
    }

    /// For a check that ran the stop itself.
    func markStopped() { running = false }

    /// The short way out: stop if it runs, then destroy.
    func end() {
        if running { stop() }
        destroy()
    }

    // MARK: the lane

    /// Runs the lane until `condition` holds. False when the time ran out first. With `jumping`, the host's clock jumps to
    /// the next timer whenever nothing has happened for `quiet` milliseconds.
    @discardableResult
    func run(for limit: Double, jumping: Bool = false, quiet: Int32 = 25, until condition: () -> Bool = { false }) -> Bool {
        let deadline = CheckClock.monotonic() + Int64(limit * 1e9)
        while true {
            if condition() { return true }
            if CheckClock.monotonic() >= deadline { return false }
            let left = Int32(max(0, min((deadline - CheckClock.monotonic()) / 1_000_000, 1000)))
            var wait = max(left, 1)
            if let due = host.nextTimer() {
                let until = max(0, (due &- host.clock.now) / 1_000_000)
                if until == 0, due <= host.clock.now { wait = 0 } else { wait = min(wait, Int32(min(until + 1, 1000))) }
            }
            if jumping { wait = min(wait, quiet) }
            let happened = turn(wait)
            if !happened, jumping, let due = host.nextTimer(), due > host.clock.now { host.clock.jump(due &- host.clock.now) }
        }
    }

    /// One turn: what is ready, what is due. False when nothing was.
    @discardableResult
    func turn(_ wait: Int32) -> Bool {
        var polled = [pollfd(fd: host.wakeDescriptor, events: Int16(POLLIN), revents: 0)]
        for (descriptor, interest) in host.watches.sorted(by: { $0.key < $1.key }) {
            var events: Int16 = 0
            if interest & KEEL_READABLE != 0 { events |= Int16(POLLIN) }
            if interest & KEEL_WRITABLE != 0 { events |= Int16(POLLOUT) }
            polled.append(pollfd(fd: descriptor, events: events, revents: 0))
        }
        let ready = poll(&polled, nfds_t(polled.count), wait)
        var happened = false
        if ready > 0 {
            for entry in polled.dropFirst() where entry.revents != 0 {
                guard host.watches[entry.fd] != nil, let pointer, running, let function = subject.component.pointee.on_fd else { continue }
                if entry.revents & Int16(POLLNVAL) != 0 {
                    host.note(.badArgument, "descriptor \(entry.fd) was closed while the host still watches it")
                    host.forget(entry.fd)
                    continue
                }
                var bits: UInt32 = 0
                if entry.revents & Int16(POLLIN) != 0 { bits |= KEEL_READABLE }
                if entry.revents & Int16(POLLOUT) != 0 { bits |= KEEL_WRITABLE }
                if entry.revents & Int16(POLLHUP | POLLERR) != 0 { bits |= KEEL_HANGUP }
                happened = true
                function(pointer, entry.fd, bits)
            }
            if polled[0].revents != 0, host.takeWake(), let pointer, let function = subject.component.pointee.on_wake {
                happened = true
                function(pointer)
            }
        }
        for timer in host.takeDue() {
            guard let pointer, running, let function = subject.component.pointee.on_timer else { continue }
            happened = true
            function(pointer, timer.id, timer.tag)
        }
        host.lender.closeCall()
        return happened
    }

    // MARK: what came back

    func done(_ request: UInt64) -> keel_ev_done? { host.doneEvent(request)?.done }
    func doneCount(_ request: UInt64) -> Int { host.doneCount(request) }

    /// The status a request ended with: the call's own if it was refused, else its DONE's.
    func outcome(_ called: Called, _ request: UInt64, within limit: Double = 3, jumping: Bool = false) -> Called? {
        if !called.accepted { return called }
        guard run(for: limit, jumping: jumping, until: { self.done(request) != nil }) else { return nil }
        guard let event = host.doneEvent(request), let done = event.done else { return nil }
        return Called(status: done.status, message: event.text(done.message), vendorCode: done.vendor_code)
    }

    // MARK: calling

    /// A string lent for the running call. nil: length 0 with a NULL pointer.
    func string(_ bytes: [UInt8]?, _ label: StaticString) -> keel_str {
        guard let bytes else { return keel_str(ptr: nil, len: 0) }
        let pointer = bytes.withUnsafeBytes { host.lender.lend($0, label) }
        return keel_str(ptr: pointer.map { UnsafePointer($0.assumingMemoryBound(to: CChar.self)) }, len: bytes.count)
    }

    nonisolated(unsafe) private static let errorPage = Lender.beforeGuard(4096, "the bytes behind keel_error")

    func call(_ name: StaticString, _ body: (UnsafeMutablePointer<keel_error>?) -> keel_status) -> Called {
        defer { host.lender.closeCall() }
        guard host.style.passesErrors, let page = Instance.errorPage else { return Called(status: body(nil), message: "") }
        // The error ends at an unreadable page, whatever size it claims.
        let size = host.style.errorSize ?? MemoryLayout<keel_error>.size
        memset(page, 0x5A, 4096)
        let start = page + (4096 - size)
        let error = start.assumingMemoryBound(to: keel_error.self)
        start.storeBytes(of: UInt32(size), as: UInt32.self)
        let message = MemoryLayout<keel_error>.offset(of: \keel_error.message) ?? 24
        memset(start + 4, 0, size - 4)
        let status = body(error)
        var words = ""
        if size > message {
            let bytes = UnsafeRawBufferPointer(start: start + message, count: size - message)
            if let end = bytes.firstIndex(of: 0) {
                words = String(decoding: bytes[..<end], as: UTF8.self)
                if status < 0, String(validating: bytes[..<end], as: UTF8.self) == nil {
                    host.note(.errorMessage, "the message \(name) left in keel_error is not UTF-8")
                }
            } else {
                words = String(decoding: bytes, as: UTF8.self)
                host.note(.errorMessage, "the message \(name) left in keel_error has no NUL within its \(bytes.count) bytes")
            }
        }
        if start.load(as: UInt32.self) != UInt32(size) { host.note(.errorMessage, "\(name) changed keel_error.struct_size") }
        return Called(status: status, message: words, vendorCode: size >= 16 ? error.pointee.vendor_code : 0)
    }
}

func statusName(_ status: keel_status) -> String {
    switch status {
    case KEEL_OK: "KEEL_OK"
    case KEEL_ASK: "KEEL_ASK"
    case KEEL_E_INVALID: "KEEL_E_INVALID"
    case KEEL_E_STATE: "KEEL_E_STATE"
    case KEEL_E_UNSUPPORTED: "KEEL_E_UNSUPPORTED"
    case KEEL_E_AGAIN: "KEEL_E_AGAIN"
    case KEEL_E_RANGE: "KEEL_E_RANGE"
    case KEEL_E_NOT_FOUND: "KEEL_E_NOT_FOUND"
    case KEEL_E_AUTH: "KEEL_E_AUTH"
    case KEEL_E_RATE: "KEEL_E_RATE"
    case KEEL_E_NETWORK: "KEEL_E_NETWORK"
    case KEEL_E_REJECTED: "KEEL_E_REJECTED"
    case KEEL_E_IN_DOUBT: "KEEL_E_IN_DOUBT"
    case KEEL_E_TIMEOUT: "KEEL_E_TIMEOUT"
    case KEEL_E_INTERNAL: "KEEL_E_INTERNAL"
    case KEEL_E_DUPLICATE: "KEEL_E_DUPLICATE"
    default: "status \(status)"
    }
}
