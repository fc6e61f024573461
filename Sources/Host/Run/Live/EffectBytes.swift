import HostCore
import PluginAPI
import PluginKit

/// Effects as bytes that mean the same on every run of the same program: what a replay is compared with.
///
/// Fields one after another, little-endian, no padding; texts with their length. One block of memory, reused: this is written for
/// every order before it leaves.
final class EffectBytes {
    private var memory: UnsafeMutableRawPointer
    private var capacity = 4096
    private var count = 0

    init() { memory = .allocate(byteCount: 4096, alignment: 16) }

    deinit { memory.deallocate() }

    /// What was put since `begin`; valid until the next call.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: count) }

    @inline(__always)
    func begin() { count = 0 }

    private func grow(_ more: Int) {
        var larger = capacity
        while larger < count + more { larger *= 2 }
        let fresh = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
        fresh.copyMemory(from: memory, byteCount: count)
        memory.deallocate()
        memory = fresh
        capacity = larger
    }

    @inline(__always)
    func put<Integer: FixedWidthInteger>(_ value: Integer) {
        let size = MemoryLayout<Integer>.size
        if count &+ size > capacity { grow(size) }
        memory.storeBytes(of: value.littleEndian, toByteOffset: count, as: Integer.self)
        count &+= size
    }
    func put(_ value: Fixed) { put(value.raw) }
    func put(_ value: Amount) {
        put(value.c.lo)
        put(value.c.hi)
    }
    func put(_ value: OrderID) {
        put(value.hi)
        put(value.lo)
    }
    func put(_ value: Bool) { put(UInt8(value ? 1 : 0)) }
    func put(_ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            put(UInt32(truncatingIfNeeded: utf8.count))
            guard let base = utf8.baseAddress else { return }
            if count &+ utf8.count > capacity { grow(utf8.count) }
            (memory + count).copyMemory(from: base, byteCount: utf8.count)
            count &+= utf8.count
        }
    }
    func put<Value: RawRepresentable>(word value: Value) where Value.RawValue == String { put(value.rawValue) }

    /// An order as it goes out.
    func put(_ order: keel_order) {
        put(OrderID(order.id))
        put(order.side)
        put(order.features)
        put(order.instrument)
        put(order.qty)
        put(order.limit)
        put(order.trigger)
        put(order.not_after)
    }

    /// A ledger record; false: nothing a replay is held to.
    func put(_ record: LedgerRecord) -> Bool {
        switch record {
        case .decision(let value), .shadow(let value): put(value)
        case .intent(let value): put(value)
        case .order(let value): put(value)
        case .fill(let value): put(value)
        case .position(let value):
            head(7, value.time, value.pipeline, value.instrument)
            put(value.quantity)
            put(value.entry)
            put(value.cash)
            put(value.equity)
            put(value.realised)
            put(value.fees)
        case .exit(let value):
            head(8, value.time, value.pipeline, value.instrument)
            put(value.position)
            put(word: value.why)
            put(value.whole)
            put(value.order)
            put(value.quantity)
            put(value.price)
            put(value.profit)
            put(value.level)
        case .outcome(let value):
            head(17, value.time, value.pipeline, value.instrument)
            put(value.position)
            put(value.opening.decision)
            put(value.opening.regime)
            put(value.opening.macro)
            put(value.opening.volatility)
            put(value.ratio)
        case .refusal(let value):
            head(9, value.time, value.pipeline, value.instrument)
            put(word: value.rule)
            put(value.value)
            put(value.limit)
            put(word: value.unit)
            put(value.decision)
            put(value.order)
            put(value.detail)
        case .breaker(let value):
            head(10, value.time, value.pipeline, 0)
            put(word: value.breaker)
            put(value.open)
            put(value.until)
            put(value.value)
            put(value.limit)
            put(word: value.unit)
            put(Int64(value.port))
        case .takeover(let value):
            head(11, value.time, value.pipeline, value.instrument)
            put(Int64(value.from))
            put(Int64(value.to))
            put(word: value.why)
            put(value.status)
        case .routing(let value):
            head(12, value.time, value.pipeline, value.instrument)
            put(Int64(value.router))
            put(word: value.step)
            put(value.order)
            put(value.quantity)
            put(value.limit)
            put(value.status)
        case .agreement(let value):
            head(13, value.time, value.broker, 0)
            put(value.agreed)
            for difference in value.differences { put(difference) }
        case .funding(let value):
            head(14, value.time, value.pipeline, value.instrument)
            put(value.amount)
            put(value.rate)
        case .external(let value):
            head(15, value.time, value.broker, value.instrument)
            put(word: value.kind)
            put(value.order)
            put(value.quantity)
        case .run(let value):
            head(16, value.time, Int(value.run), 0)
            put(word: value.change)
        // What follows repeats inputs or is a picture of the state that the records above lead to.
        case .snapshot, .balance, .gate, .link, .session, .alert, .state: return false
        }
        return true
    }

    private func head(_ kind: UInt8, _ time: Int64, _ pipeline: Int, _ instrument: keel_instrument_id) {
        put(kind)
        put(time)
        put(Int32(truncatingIfNeeded: pipeline))
        put(instrument)
    }

    private func put(_ value: DecisionRecord) {
        head(3, value.time, value.pipeline, value.instrument)
        put(value.sequence)
        put(Int32(truncatingIfNeeded: value.decider))
        put(value.snapshotHi)
        put(value.snapshotLo)
        put(value.purpose)
        put(value.gate)
        put(value.action)
        put(value.fraction)
        put(value.quantity)
        put(value.confidence)
        put(value.nextCheck)
        put(value.cost)
        put(value.price)
        put(word: value.outcome)
        put(value.order)
        put(value.reason)
    }

    private func put(_ value: IntentRecord) {
        head(4, value.time, value.pipeline, value.instrument)
        put(value.order)
        put(value.replaces)
        put(Int32(truncatingIfNeeded: value.broker))
        put(value.role.rawValue)
        put(value.side)
        put(value.features)
        put(value.quantity)
        put(value.limit)
        put(value.trigger)
        put(value.notAfter)
        put(value.decision)
    }

    private func put(_ value: OrderRecord) {
        head(5, value.time, value.order.pipeline, value.order.instrument)
        put(value.order.id)
        put(value.before.rawValue)
        put(value.order.status.rawValue)
        put(value.order.filled)
        put(value.order.reported)
        put(value.order.notional)
        put(value.order.fees)
        put(value.venueID)
        put(value.message)
    }

    private func put(_ value: FillRecord) {
        head(6, value.time, value.pipeline, value.instrument)
        put(value.order)
        put(value.side)
        put(value.quantity)
        put(value.price)
        put(value.fee)
        put(value.profit)
        put(value.fillID)
    }
}

/// The numbers under which effects stand in the journal.
enum EffectKind: UInt8 {
    case ask = 1, cancelAsk, renew, submit, cancel, replace, sync, route, cancelRoute, routerEvent, record
}

/// Calls out whose answers the engine acts on; with the answer they are inputs, and journaled as such.
enum AnswerKind: UInt8 {
    case ask = 1, submit, cancel, replace, sync, route, barrier, observe
}
