extension Templates {
    /// A router in Swift.
    static let swiftRouter = ###"""
// @NAME@: a router for Keel, in Swift, straight on the header.
//
// It sends the parent in at most `slices` children, one after the other. Replace `nextQuantity` with your own schedule;
// the bookkeeping around it - never more than the parent, a doubt counts as live, no refused child twice - is what
// `keel plugin check` tests.
import CKeel

// Configuration: the members of Router and the schema.
private let schema: StaticString = """
    {"type":"object","properties":{
      "slices":{"type":"integer","minimum":1,"maximum":100,"default":4,"description":"Into how many children an order is cut."}}}
    """

private struct Child {
    var state = KEEL_ORDER_PENDING
    var quantity: keel_fixed
    var filled: keel_fixed = 0
    var hasEnded: Bool { (KEEL_ORDER_FILLED...KEEL_ORDER_EXPIRED).contains(state) }
}

private struct Parent {
    let order: keel_order
    let lot: keel_fixed
    let least: keel_fixed
    let most: keel_fixed
    var slice: keel_fixed = 0
    /// No more children; how the DONE will read.
    var ending: keel_status?
    var rejections = 0
    var children: [Child] = []

    func downToLot(_ quantity: keel_fixed) -> keel_fixed { lot > 0 ? quantity / lot * lot : quantity }
    var isLive: Bool { children.contains { !$0.hasEnded } }

    /// What is not yet placed: a live child counts whole, also one in doubt; an ended one with what it filled.
    var left: keel_fixed { children.reduce(order.qty) { $0 - ($1.hasEnded ? $1.filled : $1.quantity) } }

    /// The schedule: equal slices, the remainder with the last one.
    var nextQuantity: keel_fixed {
        let rest = left
        var quantity = max(slice, least)
        if rest - quantity < slice / 2 || rest - quantity < least { quantity = rest }
        if most > 0 { quantity = min(quantity, most) }
        return downToLot(quantity)
    }
}

final class Router: Plugin {
    private let slices: Int64
    private var parents: [UInt64: Parent] = [:]

    required init(host: UnsafePointer<keel_host>, config: [UInt8]) throws {
        slices = try Config(config, [("slices", .integer(1...100), false)]).integers["slices"] ?? 4
        try super.init(host: host, config: config)
    }

    override func stop() {
        for request in parents.keys.sorted() { done(request, KEEL_E_STATE, "stopped") }
        parents = [:]
    }

    private func finish(_ request: UInt64, _ status: keel_status, _ why: String = "") {
        parents[request] = nil
        done(request, status, why)
    }

    /// Something about the parent has changed: the next child, or the end.
    private func goOn(_ request: UInt64) {
        guard var parent = parents[request], !parent.isLive else { return }
        if parent.left <= 0 { return finish(request, KEEL_OK) }
        if parent.ending == nil, parent.order.not_after != 0, now > parent.order.not_after { parent.ending = KEEL_E_TIMEOUT }
        if parent.ending == nil, parent.rejections >= 3 || parent.children.count >= 1000 { parent.ending = KEEL_E_REJECTED }
        if let status = parent.ending { return finish(request, status, "not all of it was placed") }
        let quantity = parent.nextQuantity
        if quantity <= 0 || quantity < parent.least { return finish(request, KEEL_OK, "the rest is below the minimum") }
        parent.children.append(Child(quantity: quantity))
        parents[request] = parent
        sendChild(request, parent, quantity)
    }

    private func sendChild(_ request: UInt64, _ parent: Parent, _ quantity: keel_fixed) {
        struct Both {
            var event = keel_ev_child()
            var order: keel_order
        }
        var both = Both(order: parent.order)  // same side, instrument, limit, features and not_after
        both.order.struct_size = UInt32(MemoryLayout<keel_order>.size)
        both.order.id.lo |= UInt64(parent.children.count)  // the parent's id plus the leg, from 1
        both.order.qty = quantity
        both.event.order = keel_text(off: UInt32(MemoryLayout<keel_ev_child>.size), len: UInt32(MemoryLayout<keel_order>.size))
        emit(both, \.event.head, kind: KEEL_EV_CHILD, instrument: parent.order.instrument, request: request)
    }

    func route(_ order: UnsafePointer<keel_order>?, _ request: UInt64) throws {
        try needsRunning()
        guard let order else { throw Refusal(KEEL_E_INVALID, "no order") }
        try refuseUnknownTail(order)
        let wanted = order.pointee
        // Strict: what we don't know, we refuse.
        let known = KEEL_ORD_MARKET | KEEL_ORD_LIMIT | KEEL_ORD_POST_ONLY | KEEL_ORD_REDUCE_ONLY | KEEL_ORD_IOC
        if wanted.features & ~known != 0 { throw Refusal(KEEL_E_UNSUPPORTED, "the order has features this router doesn't know") }
        if wanted.qty <= 0 { throw Refusal(KEEL_E_RANGE, "qty must be above 0") }
        if wanted.not_after != 0, now > wanted.not_after { throw Refusal(KEEL_E_TIMEOUT, "not_after has passed") }
        let about = try instrument(wanted.instrument)
        var parent = Parent(order: wanted, lot: about.lot, least: about.min_qty, most: about.max_qty)
        parent.slice = parent.downToLot(wanted.qty / slices)
        parents[request] = parent
        goOn(request)
    }

    func onEvent(_ event: UnsafePointer<keel_event>?) {
        guard state == .running, let event, UInt32(event.pointee.kind) == KEEL_EV_ORDER, Int(event.pointee.size) >= MemoryLayout<keel_ev_order>.size else { return }
        let report = UnsafeRawPointer(event).load(as: keel_ev_order.self)
        let leg = Int(report.order.lo & 0xffff)
        guard let request = parents.first(where: { $0.value.order.id.hi == report.order.hi && $0.value.order.id.lo >> 16 == report.order.lo >> 16 })?.key,
              var parent = parents[request], leg >= 1, leg <= parent.children.count, !parent.children[leg - 1].hasEnded else { return }  // ended: told twice
        parent.children[leg - 1].filled = max(parent.children[leg - 1].filled, report.filled)  // cumulative: the highest is the newest
        parent.children[leg - 1].state = report.state
        if report.state == KEEL_ORDER_REJECTED {
            // By the venue or by the host's risk gate: never the same again, and not for ever.
            parent.rejections += 1
            parent.slice = parent.downToLot(parent.slice / 2)
        }
        parents[request] = parent
        goOn(request)
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
        goOn(request)  // nothing live: done at once; otherwise after the last child has ended
    }
}

private let table = keel_router(
    struct_size: UInt32(MemoryLayout<keel_router>.size), reserved: 0,
    route: { instance, order, request, error in guarded(error) { try me(instance, as: Router.self).route(order, request) } },
    on_event: { me($0, as: Router.self).onEvent($1) },
    cancel: { me($0, as: Router.self).cancel($1) })

nonisolated(unsafe) private let library = component(
    Router.self, id: "@ID@", name: "@NAME@", role: "keel.router/1", table: table, schema: schema, flags: KEEL_COMPONENT_INLINE | KEEL_COMPONENT_DETERMINISTIC,
    create: { _, host, _, json, out, error in Plugin.create(Router.self, host, json, out, error) })

@c @implementation
public func keel_plugin_entry(_ abi_major: UInt32) -> UnsafePointer<keel_library>! { abi_major == KEEL_ABI_MAJOR ? library : nil }

"""###
}
