// Pace: a router for Keel, in Swift, outside Keel's own package.
//
// A large order moves the market against itself. Pace cuts it into slices and sends one every few seconds of the host's
// clock (a time-weighted average price, TWAP). It also shows what a router has to get right, whatever its schedule:
//
// - live plus filled children never exceed the parent: a child in doubt counts as live until it is known;
// - a child the risk gate refused is not sent again unchanged, and refusals don't go on for ever;
// - cancelling the parent cancels the children, and the parent's DONE waits for the last of them;
// - nothing is sent after `not_after`;
// - time is the host's clock. A backtest runs the same schedule in milliseconds.
//
// keel/Keel.swift was written by `keel plugin new`; it needs no SDK and no Foundation.
import CKeel

private let schema: StaticString = """
    {"type":"object","properties":{
      "slices":{"type":"integer","minimum":1,"maximum":100,"default":5,"description":"Into how many children an order is cut."},
      "every":{"type":"integer","minimum":1,"maximum":3600,"default":3,"x-unit":"s","description":"Time between two of them."}}}
    """

private struct Child {
    let quantity: keel_fixed
    var state = KEEL_ORDER_PENDING
    var filled: keel_fixed = 0

    var hasEnded: Bool { (KEEL_ORDER_FILLED...KEEL_ORDER_EXPIRED).contains(state) }
    /// What of the parent it takes up: all of it while it may still fill, then what it did fill.
    var taken: keel_fixed { hasEnded ? filled : quantity }
}

private struct Parent {
    let order: keel_order
    let rules: keel_instrument
    var slice: keel_fixed
    var timer: UInt64 = 0
    /// No more children; how the DONE will read.
    var ending: keel_status?
    var refusals = 0
    var children: [Child] = []

    var left: keel_fixed { children.reduce(order.qty) { $0 - $1.taken } }
    var isLive: Bool { children.contains { !$0.hasEnded } }

    func onGrid(_ quantity: keel_fixed) -> keel_fixed {
        rules.lot > 0 ? quantity / rules.lot * rules.lot : quantity
    }

    /// The next slice. A remainder too small to stand alone goes along with it.
    var next: keel_fixed {
        var quantity = min(max(slice, rules.min_qty), left)
        let rest = left - quantity
        if rest < rules.min_qty || rest < slice / 2 { quantity = left }
        if rules.max_qty > 0 { quantity = min(quantity, rules.max_qty) }
        return onGrid(quantity)
    }
}

final class Pace: Plugin {
    private let slices: Int64
    private let every: keel_span
    private var parents: [UInt64: Parent] = [:]

    required init(host: UnsafePointer<keel_host>, config: [UInt8]) throws {
        let read = try Config(config, [("slices", .integer(1...100), false), ("every", .integer(1...3600), false)])
        slices = read.integers["slices"] ?? 5
        every = (read.integers["every"] ?? 3) * 1_000_000_000
        try super.init(host: host, config: config)
    }

    override func stop() {
        for request in parents.keys.sorted() { end(request, KEEL_E_STATE, "stopped") }
    }

    // MARK: one parent

    private func end(_ request: UInt64, _ status: keel_status, _ why: String = "") {
        guard let parent = parents.removeValue(forKey: request) else { return }
        if parent.timer != 0 { _ = host.pointee.timer_stop(host, parent.timer) }
        done(request, status, why)
    }

    /// Ends the parent if there is nothing left to wait for or to send.
    private func settle(_ request: UInt64) {
        guard var parent = parents[request] else { return }
        if parent.ending == nil, parent.order.not_after != 0, now > parent.order.not_after { parent.ending = KEEL_E_TIMEOUT }
        if parent.ending == nil, parent.refusals >= 3 || parent.children.count >= 1000 { parent.ending = KEEL_E_REJECTED }
        parents[request] = parent
        if parent.isLive { return }
        if parent.left <= 0 { return end(request, KEEL_OK) }
        if let status = parent.ending { return end(request, status, "not all of it was placed") }
        if parent.next <= 0 || parent.next < parent.rules.min_qty { return end(request, KEEL_OK, "the rest is below the minimum") }
    }

    /// The clock says it is time for the next slice.
    private func step(_ request: UInt64) {
        settle(request)
        // One slice at a time: while the last one is still out there, the schedule waits for it.
        guard let parent = parents[request], parent.ending == nil, !parent.isLive else { return }
        send(request, parent.next)
    }

    private func send(_ request: UInt64, _ quantity: keel_fixed) {
        struct ChildEvent {
            var event = keel_ev_child()
            var order: keel_order
        }
        guard quantity > 0, var parent = parents[request] else { return }
        parent.children.append(Child(quantity: quantity))
        parents[request] = parent
        var child = ChildEvent(order: parent.order)  // the same side, instrument, limit, features and not_after
        child.order.struct_size = UInt32(MemoryLayout<keel_order>.size)
        child.order.id.lo |= UInt64(parent.children.count)  // the parent's id plus the leg, from 1
        child.order.qty = quantity
        child.event.order = keel_text(off: UInt32(MemoryLayout<keel_ev_child>.size), len: UInt32(MemoryLayout<keel_order>.size))
        emit(child, \.event.head, kind: KEEL_EV_CHILD, instrument: parent.order.instrument, request: request)
    }

    override func timerFired(_ timer: UInt64) {
        guard let request = parents.first(where: { $0.value.timer == timer })?.key else { return }
        step(request)
    }

    // MARK: the router's functions

    func route(_ order: UnsafePointer<keel_order>?, _ request: UInt64) throws {
        try needsRunning()
        guard let order else { throw Refusal(KEEL_E_INVALID, "no order") }
        try refuseUnknownTail(order)
        let wanted = order.pointee
        let known = KEEL_ORD_MARKET | KEEL_ORD_LIMIT | KEEL_ORD_POST_ONLY | KEEL_ORD_REDUCE_ONLY | KEEL_ORD_IOC
        if wanted.features & ~known != 0 { throw Refusal(KEEL_E_UNSUPPORTED, "Pace doesn't know a feature of this order") }
        if wanted.qty <= 0 { throw Refusal(KEEL_E_RANGE, "qty must be above 0") }
        if wanted.not_after != 0, now > wanted.not_after { throw Refusal(KEEL_E_TIMEOUT, "not_after has passed") }
        var parent = Parent(order: wanted, rules: try instrument(wanted.instrument), slice: 0)
        parent.slice = parent.onGrid(wanted.qty / slices)
        parent.timer = try timer(after: every, every: every)
        parents[request] = parent
        step(request)  // the first at once, the others on the clock
    }

    func onEvent(_ event: UnsafePointer<keel_event>?) {
        guard state == .running, let event, UInt32(event.pointee.kind) == KEEL_EV_ORDER, Int(event.pointee.size) >= MemoryLayout<keel_ev_order>.size else { return }
        let report = UnsafeRawPointer(event).load(as: keel_ev_order.self)
        let leg = Int(report.order.lo & 0xffff) - 1
        let found = parents.first { $0.value.order.id.hi == report.order.hi && $0.value.order.id.lo >> 16 == report.order.lo >> 16 }
        guard let request = found?.key, var parent = found?.value, parent.children.indices.contains(leg), !parent.children[leg].hasEnded else { return }
        parent.children[leg].filled = max(parent.children[leg].filled, report.filled)  // totals: the highest is the newest
        parent.children[leg].state = report.state
        if report.state == KEEL_ORDER_REJECTED {
            parent.refusals += 1
            parent.slice = parent.onGrid(parent.slice / 2)  // never the same again
        }
        parents[request] = parent
        settle(request)
    }

    func cancel(_ request: UInt64) {
        guard var parent = parents[request], parent.ending == nil else { return }
        parent.ending = KEEL_E_REJECTED
        parents[request] = parent
        for (index, child) in parent.children.enumerated() where !child.hasEnded {
            var event = keel_ev_child_cancel()
            event.order = parent.order.id
            event.order.lo |= UInt64(index + 1)
            emit(event, \.head, kind: KEEL_EV_CHILD_CANCEL, instrument: parent.order.instrument, request: request)
        }
        settle(request)  // with children still out there, their last report ends it
    }
}

private let table = keel_router(
    struct_size: UInt32(MemoryLayout<keel_router>.size), reserved: 0,
    route: { instance, order, request, error in guarded(error) { try me(instance, as: Pace.self).route(order, request) } },
    on_event: { me($0, as: Pace.self).onEvent($1) },
    cancel: { me($0, as: Pace.self).cancel($1) })

nonisolated(unsafe) private let library = component(
    Pace.self, id: "org.example.pace", name: "Pace", role: "keel.router/1", table: table, schema: schema,
    flags: KEEL_COMPONENT_INLINE | KEEL_COMPONENT_DETERMINISTIC,
    create: { _, host, _, json, out, error in Plugin.create(Pace.self, host, json, out, error) })

@c @implementation
public func keel_plugin_entry(_ abi_major: UInt32) -> UnsafePointer<keel_library>! { abi_major == KEEL_ABI_MAJOR ? library : nil }
