import CSystem
import Glibc
import PluginAPI
import PluginKit

/// How a host behaves towards one instance. The default is friendly; each check turns on what it is about.
struct HostStyle: Sendable {
    enum Table: Sendable { case own, cut, enlarged, newerMajor, sizeless }
    var table = Table.own
    var lending = Lending.kept
    /// keel_error is placed so that a byte past its struct_size can't be written.
    var errorSize: Int? = nil
    var passesErrors = true
    var readOnlyTable = false
    /// Refuses every lossy event with AGAIN for so long from its start on.
    var refusesLossyFor: keel_span = 0
    var secretsMissing = false
}

/// What a plugin did with the host that the header forbids.
struct Misuse: Sendable {
    enum Kind: Sendable { case malformedEvent, offLane, late, secretInCreate, badArgument, errorMessage }
    var kind: Kind
    var text: String
}

/// A keel_host for one instance: records everything, answers by the style it was given.
final class HostileHost {
    let style: HostStyle
    let lender: Lender
    let pointer: UnsafeMutablePointer<keel_host>

    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let lane = pthread_self()

    private(set) var events: [SeenEvent] = []
    /// DONE events by request: how many, and where the last one is.
    private var dones: [UInt64: (count: Int, last: Int)] = [:]
    private(set) var logs: [(level: UInt32, text: String)] = []
    private(set) var failures: [(status: keel_status, text: String)] = []
    private(set) var misuses: [Misuse] = []
    var store: CheckStore
    var secrets: [String: String] = [:]
    private(set) var secretsAsked: [String] = []
    var instruments: [UInt32: LentInstrument] = [:]
    /// Called on each use of the host by the plugin: lets a check stop the process at the n-th use.
    var onCall: (() -> Void)?

    var creating = false
    var destroyed = false
    var stops = 0

    let clock: CheckClock
    private(set) var timers: [UInt64: HostTimer] = [:]
    private var timerSerial: UInt64 = 0
    private(set) var watches: [Int32: UInt32] = [:]
    private(set) var wakes = 0
    let wakeDescriptor: Int32

    struct HostTimer {
        var due: keel_time
        var period: keel_span
        var tag: UInt64
    }

    init(style: HostStyle, clock: CheckClock, store: CheckStore) {
        self.style = style
        self.clock = clock
        self.store = store
        lender = Lender(style.lending)
        pthread_mutex_init(lock, nil)
        wakeDescriptor = csystem_event()
        let size = style.table == .enlarged ? MemoryLayout<keel_host>.size + 256 : Abi10.size("keel_host")
        // A table that ends at an unreadable page shows whoever reads past its size.
        let raw = Lender.beforeGuard(size, "the page behind keel_host") ?? UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        memset(raw, 0xA5, size)
        pointer = raw.assumingMemoryBound(to: keel_host.self)
        pointer.initialize(to: HostileHost.table(size: style.table == .sizeless ? 0 : size, major: style.table == .newerMajor ? 2 : 1))
        pointer.pointee.ctx = Unmanaged.passUnretained(self).toOpaque()
        if style.readOnlyTable { Lender.protect(raw, size) }
    }

    deinit {
        close(wakeDescriptor)
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    // MARK: what the lane loop asks

    func nextTimer() -> keel_time? { locked { timers.values.map(\.due).min() } }

    /// The timers due now, re-armed or removed.
    func takeDue() -> [(id: UInt64, tag: UInt64)] {
        let now = clock.now
        return locked {
            var due: [(UInt64, UInt64, keel_time)] = []
            for (id, timer) in timers where timer.due <= now {
                due.append((id, timer.tag, timer.due))
                if timer.period > 0 { timers[id]?.due = now &+ timer.period } else { timers[id] = nil }
            }
            return due.sorted { ($0.2, $0.0) < ($1.2, $1.0) }.map { ($0.0, $0.1) }
        }
    }

    func takeWake() -> Bool {
        var count: UInt64 = 0
        _ = Glibc.read(wakeDescriptor, &count, 8)
        return count > 0
    }

    func forget(_ descriptor: Int32) { locked { watches[descriptor] = nil } }
    func forgetWatches() { locked { watches.removeAll(); timers.removeAll() } }
    func note(_ kind: Misuse.Kind, _ text: String) { locked { misuses.append(Misuse(kind: kind, text: text)) } }
    func misuse(_ kinds: Misuse.Kind...) -> Misuse? { locked { misuses.first { kinds.contains($0.kind) } } }
    func eventsNow() -> [SeenEvent] { locked { events } }
    func forgetEvents() { locked { events.removeAll(); dones.removeAll() } }
    func doneCount(_ request: UInt64) -> Int { locked { dones[request]?.count ?? 0 } }
    func doneEvent(_ request: UInt64) -> SeenEvent? { locked { dones[request].map { events[$0.last] } } }
    func logsNow() -> [(level: UInt32, text: String)] { locked { logs } }

    private func locked<T>(_ body: () -> T) -> T {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body()
    }

    // MARK: the host functions

    fileprivate func used(_ name: StaticString, onLane: Bool = false) {
        onCall?()
        if destroyed { note(.late, "\(name) was called after destroy returned") }
        if onLane, pthread_equal(pthread_self(), lane) == 0 { note(.offLane, "\(name) was called from another thread than the lane") }
    }

    fileprivate func log(_ level: UInt32, _ text: keel_str) {
        used("log")
        let line = string(text) ?? ""
        if level > KEEL_LOG_PLUGIN_MISBEHAVING { note(.badArgument, "log was called with level \(level)") }
        locked { logs.append((level, line)) }
    }

    /// How often the same lossy event came again right after it was refused.
    private(set) var insisted = 0
    private var lastRefused: [UInt8] = []
    private let began = CheckClock.monotonic()

    fileprivate func emit(_ event: UnsafePointer<keel_event>?) -> keel_status {
        used("emit")
        guard let event else {
            note(.malformedEvent, "emit was called with no event")
            return KEEL_E_INVALID
        }
        let size = Int(event.pointee.size)
        guard size >= MemoryLayout<keel_event>.size, size <= Int(KEEL_EVENT_MAX) else {
            note(.malformedEvent, "an event says it has \(size) bytes")
            return KEEL_E_INVALID
        }
        let bytes = UnsafeRawBufferPointer(start: event, count: size)
        if let problem = malformation(of: bytes) {
            note(.malformedEvent, problem)
            return KEEL_E_INVALID
        }
        let kind = UInt32(event.pointee.kind)
        if kind >= 10, kind < 30, CheckClock.monotonic() - began < style.refusesLossyFor {
            let refused = [UInt8](bytes)
            if refused == lastRefused { insisted += 1 } else { lastRefused = refused }
            return KEEL_E_AGAIN
        }
        var copy = [UInt8](bytes)
        let now = clock.now
        withUnsafeBytes(of: now) { for (index, byte) in $0.enumerated() { copy[32 + index] = byte } }
        let onLane = pthread_equal(pthread_self(), lane) != 0
        let request = event.pointee.request
        locked {
            if kind == KEEL_EV_DONE { dones[request] = ((dones[request]?.count ?? 0) + 1, events.count) }
            events.append(SeenEvent(bytes: copy, at: now, onLane: onLane, stops: stops))
        }
        return KEEL_OK
    }

    fileprivate func wake() -> keel_status {
        used("wake")
        locked { wakes += 1 }
        var one: UInt64 = 1
        _ = Glibc.write(wakeDescriptor, &one, 8)
        return KEEL_OK
    }

    fileprivate func fail(_ status: keel_status, _ text: keel_str) {
        used("fail")
        let words = string(text) ?? ""
        locked { failures.append((status, words)) }
    }

    fileprivate func timer(_ delay: keel_span, _ period: keel_span, _ tag: UInt64, _ id: UnsafeMutablePointer<UInt64>?) -> keel_status {
        used("timer", onLane: true)
        if delay < 0 || period < 0 { return KEEL_E_INVALID }
        let now = clock.now
        let serial: UInt64 = locked {
            timerSerial += 1
            timers[timerSerial] = HostTimer(due: now &+ delay, period: period, tag: tag)
            return timerSerial
        }
        id?.pointee = serial
        return KEEL_OK
    }

    fileprivate func timerStop(_ id: UInt64) -> keel_status {
        used("timer_stop", onLane: true)
        return locked { timers.removeValue(forKey: id) != nil } ? KEEL_OK : KEEL_E_NOT_FOUND
    }

    fileprivate func watch(_ descriptor: Int32, _ interest: UInt32) -> keel_status {
        used("watch", onLane: true)
        if descriptor < 0 || fcntl(descriptor, F_GETFD) < 0 && interest != 0 {
            note(.badArgument, "watch was called with descriptor \(descriptor), which isn't open")
            return KEEL_E_INVALID
        }
        locked { watches[descriptor] = interest == 0 ? nil : interest }
        return KEEL_OK
    }

    fileprivate func secret(_ name: keel_str, _ out: UnsafePointer<keel_writer>?) -> keel_status {
        used("secret", onLane: true)
        if creating {
            note(.secretInCreate, "secret was called inside create")
            return KEEL_E_STATE
        }
        guard let name = string(name), let out else { return KEEL_E_INVALID }
        locked { secretsAsked.append(name) }
        guard !style.secretsMissing, let value = secrets[name] else { return KEEL_E_NOT_FOUND }
        return Array(value.utf8).withUnsafeBytes { out.pointee.write(out, $0.baseAddress, $0.count) }
    }

    fileprivate func put(_ key: keel_str, _ bytes: UnsafeRawPointer?, _ length: Int) -> keel_status {
        used("put", onLane: true)
        guard let key = string(key), !key.isEmpty, key.utf8.count <= 128, length <= 1 << 20 else { return KEEL_E_INVALID }
        return store.put(key, UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : length)) ? KEEL_OK : KEEL_E_INTERNAL
    }

    fileprivate func get(_ key: keel_str, _ out: UnsafePointer<keel_writer>?) -> keel_status {
        used("get", onLane: true)
        guard let key = string(key), let out else { return KEEL_E_INVALID }
        guard let value = store.get(key) else { return KEEL_E_NOT_FOUND }
        return value.withUnsafeBytes { out.pointee.write(out, $0.baseAddress, $0.count) }
    }

    fileprivate func instrument(_ id: keel_instrument_id, _ out: UnsafeMutablePointer<keel_instrument>?) -> keel_status {
        used("instrument")
        guard let out else { return KEEL_E_INVALID }
        let size = Int(out.pointee.struct_size)
        if size < Abi10.size("keel_instrument") {
            note(.badArgument, "instrument was called with struct_size \(size); set out->struct_size first")
            return KEEL_E_INVALID
        }
        guard let found = locked({ instruments[id] }) else { return KEEL_E_NOT_FOUND }
        var filled = found.value
        filled.struct_size = UInt32(min(size, MemoryLayout<keel_instrument>.size))
        memcpy(out, &filled, min(size, MemoryLayout<keel_instrument>.size))
        return KEEL_OK
    }

    private func string(_ text: keel_str) -> String? {
        if text.len == 0 { return "" }
        guard let pointer = text.ptr, text.len <= 1 << 20 else { return nil }
        return String(validating: UnsafeRawBufferPointer(start: pointer, count: text.len), as: UTF8.self)
    }

    private static func table(size: Int, major: UInt16) -> keel_host {
        var table = keel_host()
        table.struct_size = UInt32(size)
        table.abi_major = major
        table.abi_minor = UInt16(KEEL_ABI_MINOR)
        // 1.0 has no optional service: every id gets the answer a host without it gives.
        table.service = { host, _ in
            me(host)?.used("service")
            return nil
        }
        table.log = { me($0)?.log($1, $2) }
        table.now = { host in
            me(host)?.used("now")
            return me(host)?.clock.now ?? 0
        }
        table.emit = { me($0)?.emit($1) ?? KEEL_E_INVALID }
        table.wake = { me($0)?.wake() ?? KEEL_E_INVALID }
        table.fail = { me($0)?.fail($1, $2) }
        table.timer = { me($0)?.timer($1, $2, $3, $4) ?? KEEL_E_INVALID }
        table.timer_stop = { me($0)?.timerStop($1) ?? KEEL_E_INVALID }
        table.watch = { me($0)?.watch($1, $2) ?? KEEL_E_INVALID }
        table.secret = { me($0)?.secret($1, $2) ?? KEEL_E_INVALID }
        table.put = { me($0)?.put($1, $2, $3) ?? KEEL_E_INVALID }
        table.get = { me($0)?.get($1, $2) ?? KEEL_E_INVALID }
        table.instrument = { me($0)?.instrument($1, $2) ?? KEEL_E_INVALID }
        return table
    }
}

/// The host behind a table.
private func me(_ host: UnsafePointer<keel_host>?) -> HostileHost? {
    guard let ctx = host?.pointee.ctx else { return nil }
    return Unmanaged<HostileHost>.fromOpaque(ctx).takeUnretainedValue()
}
