import PluginAPI
import PluginKit

/// A host in a few lines: a clock the test sets, and everything a plugin emits kept in order.
public final class TestHost {
    public let table: UnsafeMutablePointer<keel_host>
    public private(set) var events: [RecordedEvent] = []
    /// Off: events are counted, not kept, for measurements.
    public var records = true
    public private(set) var emitted = 0
    public private(set) var logs: [String] = []
    public private(set) var failures: [String] = []
    public var now: Int64 = 1_700_000_000_000_000_000
    public var timers: [Timer] = []
    /// Watched descriptors and what for.
    public var watches: [Int32: UInt32] = [:]
    public var stored: [String: [UInt8]] = [:]
    public var secrets: [String: [UInt8]] = [:]
    /// What `emit` answers.
    public var emitStatus: keel_status = KEEL_OK
    private var instruments: [UInt32: keel_instrument] = [:]
    public var instrumentCount: Int { instruments.count }
    private var strings: [UnsafeMutablePointer<CChar>] = []
    private var lastTimer: UInt64 = 0

    public struct Timer {
        public var id: UInt64
        public var due: Int64
        public var period: Int64
        public var tag: UInt64
    }

    public init() {
        table = .allocate(capacity: 1)
        table.initialize(to: keel_host())
        table.pointee.struct_size = UInt32(MemoryLayout<keel_host>.size)
        table.pointee.abi_major = 1
        table.pointee.ctx = Unmanaged.passUnretained(self).toOpaque()
        table.pointee.service = { _, _ in nil }
        table.pointee.log = { host, level, text in
            TestHost.of(host)?.logs.append("\(level): \(String(borrowed: text) ?? "?")")
        }
        table.pointee.now = { host in TestHost.of(host)?.now ?? 0 }
        table.pointee.emit = { host, event in
            guard let host = TestHost.of(host), let event else { return KEEL_E_INVALID }
            host.emitted += 1
            if host.records { host.events.append(RecordedEvent(event)) }
            return host.emitStatus
        }
        table.pointee.wake = { _ in KEEL_OK }
        table.pointee.fail = { host, _, text in TestHost.of(host)?.failures.append(String(borrowed: text) ?? "?") }
        table.pointee.timer = { host, delay, period, tag, id in
            guard let host = TestHost.of(host) else { return KEEL_E_INVALID }
            host.lastTimer += 1
            id?.pointee = host.lastTimer
            host.timers.append(Timer(id: host.lastTimer, due: host.now + delay, period: period, tag: tag))
            return KEEL_OK
        }
        table.pointee.timer_stop = { host, id in
            TestHost.of(host)?.timers.removeAll { $0.id == id }
            return KEEL_OK
        }
        table.pointee.watch = { host, descriptor, interest in
            TestHost.of(host)?.watches[descriptor] = interest == 0 ? nil : interest
            return KEEL_OK
        }
        table.pointee.secret = { host, name, out in
            guard let bytes = TestHost.of(host)?.secrets[String(borrowed: name) ?? ""], let out else { return KEEL_E_NOT_FOUND }
            return bytes.withUnsafeBytes { out.pointee.write(out, $0.baseAddress, $0.count) }
        }
        table.pointee.put = { host, key, bytes, count in
            guard let host = TestHost.of(host), let key = String(borrowed: key) else { return KEEL_E_INVALID }
            host.stored[key] = count == 0 ? nil : Array(UnsafeRawBufferPointer(start: bytes, count: count))
            return KEEL_OK
        }
        table.pointee.get = { host, key, out in
            guard let bytes = TestHost.of(host)?.stored[String(borrowed: key) ?? ""], let out else { return KEEL_E_NOT_FOUND }
            return bytes.withUnsafeBytes { out.pointee.write(out, $0.baseAddress, $0.count) }
        }
        table.pointee.instrument = { host, id, out in
            guard let found = TestHost.of(host)?.instruments[id], let out else { return KEEL_E_NOT_FOUND }
            out.pointee = found
            return KEEL_OK
        }
    }

    deinit {
        table.deallocate()
        for string in strings { string.deallocate() }
    }

    private static func of(_ host: UnsafePointer<keel_host>?) -> TestHost? {
        guard let context = host?.pointee.ctx else { return nil }
        return Unmanaged<TestHost>.fromOpaque(context).takeUnretainedValue()
    }

    private func kept(_ text: String) -> keel_str {
        let bytes = UnsafeMutablePointer<CChar>.allocate(capacity: max(text.utf8.count, 1))
        for (index, byte) in text.utf8.enumerated() { bytes[index] = CChar(bitPattern: byte) }
        strings.append(bytes)
        return keel_str(ptr: bytes, len: text.utf8.count)
    }

    /// Makes an instrument known; numbers are decimal text.
    public func add(
        _ id: UInt32, _ symbol: String, kind: UInt32 = KEEL_KIND_SPOT, tick: String = "0.01", lot: String = "0.00001",
        minimum: String = "0", maximum: String = "0", notional: String = "0", multiplier: String = "1"
    ) {
        let parts = symbol.split(separator: ":")[0].split(separator: "/")
        instruments[id] = keel_instrument(
            struct_size: UInt32(MemoryLayout<keel_instrument>.size), instrument_kind: kind, id: id, reserved: 0, symbol: kept(symbol),
            venue_symbol: kept(""), base_asset: kept(String(parts[0])), quote_asset: kept(String(parts.last ?? "")), tick: raw(tick),
            lot: raw(lot), min_qty: raw(minimum), max_qty: raw(maximum), multiplier: raw(multiplier),
            min_notional: Amount(raw: Int128(raw(notional))).c)
    }

    /// What came since the last call.
    public func take() -> [RecordedEvent] {
        defer { events = [] }
        return events
    }
}

/// A decimal as 1e-8 steps; the tests' literals are all good.
public func raw(_ text: String) -> Int64 { Fixed(text)?.raw ?? .min }

/// A copy of an emitted event.
public struct RecordedEvent: CustomStringConvertible {
    public let bytes: [UInt8]

    public init(_ event: UnsafePointer<keel_event>) {
        bytes = Array(UnsafeRawBufferPointer(start: event, count: Int(event.pointee.size)))
    }

    public var head: keel_event { bytes.withUnsafeBytes { $0.loadUnaligned(as: keel_event.self) } }
    public var kind: UInt32 { UInt32(head.kind) }
    public var request: UInt64 { head.request }
    public var isSnapshot: Bool { UInt32(head.flags) & KEEL_EVF_SNAPSHOT != 0 }

    /// The fixed part, if the event is of the kind and long enough.
    public func body<Body: BitwiseCopyable>(_ kind: UInt32, _: Body.Type) -> Body? {
        guard self.kind == kind, bytes.count >= MemoryLayout<Body>.size else { return nil }
        return bytes.withUnsafeBytes { $0.loadUnaligned(as: Body.self) }
    }
    public func text(_ text: keel_text) -> String {
        let end = Int(text.off) + Int(text.len)
        guard end <= bytes.count else { return "<outside>" }
        return String(decoding: bytes[Int(text.off)..<end], as: UTF8.self)
    }

    public var done: keel_ev_done? { body(KEEL_EV_DONE, keel_ev_done.self) }
    public var order: keel_ev_order? { body(KEEL_EV_ORDER, keel_ev_order.self) }
    public var fill: keel_ev_fill? { body(KEEL_EV_FILL, keel_ev_fill.self) }
    public var balance: keel_ev_balance? { body(KEEL_EV_BALANCE, keel_ev_balance.self) }
    public var position: keel_ev_position? { body(KEEL_EV_POSITION, keel_ev_position.self) }
    public var decision: keel_ev_decision? { body(KEEL_EV_DECISION, keel_ev_decision.self) }
    public var cancelChild: keel_ev_child_cancel? { body(KEEL_EV_CHILD_CANCEL, keel_ev_child_cancel.self) }
    public var link: keel_ev_link? { body(KEEL_EV_LINK, keel_ev_link.self) }
    public var child: keel_order? {
        guard let child = body(KEEL_EV_CHILD, keel_ev_child.self), Int(child.order.len) == MemoryLayout<keel_order>.size,
            Int(child.order.off) + Int(child.order.len) <= bytes.count
        else { return nil }
        return bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: Int(child.order.off), as: keel_order.self) }
    }

    public var description: String {
        if let order { return "ORDER(\(order.order.lo) state \(order.state) filled \(Fixed(raw: order.filled)) leaves \(Fixed(raw: order.leaves)) \(text(order.message)))" }
        if let fill { return "FILL(\(fill.order.lo) \(Fixed(raw: fill.qty)) @ \(Fixed(raw: fill.price)) fee \(Amount(fill.fee)))" }
        if let done { return "DONE(\(request) \(done.status) \(text(done.message)))" }
        return "event \(kind) for \(request)"
    }
}
