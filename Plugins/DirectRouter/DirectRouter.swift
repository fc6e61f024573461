import PluginAPI
import PluginKit

/// One child for each parent: the whole order, on the instrument's grid, at once.
final class DirectRouter: Router, HotPath, Describing {
    /// A parent whose child is not terminal yet.
    private struct Route {
        var request: UInt64
        var child: OrderID
        var instrument: UInt32
        var cancelling: Bool
    }

    private let host: Host
    private var routes: [Route] = []
    private var free: [Int] = []
    private var index = OrderIndex()
    private var instruments: [UInt32: Instrument] = [:]
    /// The instrument of the last order.
    private var last: (id: UInt32, grid: Grid)?
    private var routed: UInt64 = 0
    private var refused: UInt64 = 0
    private let memory: UnsafeMutablePointer<HotMemory>

    /// What the event function finds: the router without a reference count.
    struct HotMemory { var router: Unmanaged<DirectRouter>? }

    init(host: Host, name: String, config: JSONValue) throws {
        self.host = host
        memory = .allocate(capacity: 1)
        memory.initialize(to: HotMemory(router: nil))
        routes.reserveCapacity(64)
        free.reserveCapacity(64)
        memory.pointee.router = .passUnretained(self)
    }

    deinit { memory.deallocate() }

    var hotState: UnsafeMutableRawPointer { UnsafeMutableRawPointer(memory) }

    func route(_ parent: Order, _ request: Request) throws {
        var child = try onGrid(parent)
        child.id = parent.id.child(1)
        let slot = free.last ?? routes.count
        guard index.insert(child.id, slot: slot) else {
            throw PluginError(.duplicate, "this parent order is being routed already")
        }
        let status = host.child(child, request: request.id)
        if let error = PluginError(status: status, "the host did not take the child order (status \(status))") {
            index.remove(child.id)
            throw error
        }
        let route = Route(request: request.id, child: child.id, instrument: parent.instrument, cancelling: false)
        if slot < routes.count {
            routes[slot] = route
            free.removeLast()
        } else {
            routes.append(route)
        }
        routed += 1
    }

    /// Never more than the parent, never at a worse price.
    private func onGrid(_ parent: Order) throws -> Order {
        if let last, last.id == parent.instrument, last.grid.surelyAdmits(parent) { return parent }
        let instrument: Instrument
        if let known = instruments[parent.instrument] {
            instrument = known
        } else {
            guard let asked = host.instrument(parent.instrument) else {
                throw PluginError.notFound("the host knows no instrument \(parent.instrument)")
            }
            instruments[parent.instrument] = asked
            instrument = asked
        }
        last = (parent.instrument, instrument.grid)
        var child = parent
        child.quantity = try parent.quantity.rounded(to: instrument.lot)
        guard child.quantity.isPositive else {
            throw PluginError(.range, "qty \(parent.quantity) is less than one lot (\(instrument.lot)) of \(instrument.symbol)")
        }
        if parent.limit.isPositive {
            child.limit = try parent.limit.rounded(to: instrument.tick, parent.side == .buy ? .down : .up)
            guard child.limit.isPositive else {
                throw PluginError(.range, "limit \(parent.limit) is less than one tick (\(instrument.tick)) of \(instrument.symbol)")
            }
        }
        if parent.trigger.isPositive {
            child.trigger = try parent.trigger.rounded(to: instrument.tick, .halfAwayFromZero)
        }
        try child.check(against: instrument)
        return child
    }

    func cancel(_ request: UInt64) {
        for slot in routes.indices where routes[slot].request == request && index.slot(of: routes[slot].child) == slot {
            guard !routes[slot].cancelling else { return }
            routes[slot].cancelling = true
            host.cancelChild(routes[slot].child, instrument: routes[slot].instrument, request: request)
            return
        }
    }

    func onEvent(_ event: Event) {
        guard let order = event.order, let state = Order.State(rawValue: order.pointee.state), state.isTerminal else { return }
        let id = OrderID(order.pointee.order)
        guard let slot = index.slot(of: id) else { return }
        let request = Request(host: host, id: routes[slot].request)
        let asked = routes[slot].cancelling
        index.remove(id)
        routes[slot].request = 0
        free.append(slot)
        if state == .filled || asked && state != .rejected { return request.done() }
        // Nobody asked for this end: the parent is over, and not for the whole of its quantity.
        if state == .rejected { refused += 1 }
        let why = event.text(order.pointee.message)
        request.done(
            .rejected(
                why.isEmpty ? "the child order was \(state) with \(Fixed(raw: order.pointee.filled)) filled" : why,
                vendorCode: order.pointee.vendor_code))
    }

    /// A child lives on at its broker, whatever becomes of its router: the host has it in its ledger.
    func stop(_ stopping: Stopping) throws {
        for slot in routes.indices where routes[slot].request != 0 {
            index.remove(routes[slot].child)
            Request(host: host, id: routes[slot].request)
                .done(PluginError(.state, "the router stopped while the child order was live: the order stays with its broker"))
            routes[slot].request = 0
        }
        routes.removeAll(keepingCapacity: true)
        free.removeAll(keepingCapacity: true)
        stopping.done()
    }

    func describe() -> JSONValue {
        ["live": JSONValue(index.count), "routed": JSONValue(routed), "rejected": JSONValue(refused)]
    }
}

private let onEvent: EventFunction = { instance, event in
    // Quotes come by far the most often, and are no business of this router.
    guard let event, UInt32(event.pointee.kind) == KEEL_EV_ORDER,
        let router = hotState(instance, as: DirectRouter.HotMemory.self)?.pointee.router
    else { return }
    router._withUnsafeGuaranteedRef { $0.onEvent(Event(event)) }
}

private let library = Library(
    Component(
        DirectRouter.self, id: "keel.direct", name: "Direct router", vendor: "Keel", version: "1.0.0", license: "MIT",
        flags: [.inline, .deterministic]
    )
    .router(onEvent: onEvent)
    .describe())

@c @implementation
public func keel_plugin_entry(_ major: UInt32) -> UnsafePointer<keel_library>! { library.table(major) }
