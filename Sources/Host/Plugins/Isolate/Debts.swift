import PluginAPI

/// What a worker owes the host: the requests it took and has not ended, the orders it took and has not seen the end of. A value.
struct Debts {
    enum Kind: Hashable {
        case submit, cancelOrder, replace
        case sync, subscribe, unsubscribe, decide, route, rankings, account, stop
        var isOrder: Bool { self == .submit || self == .cancelOrder || self == .replace }
    }

    struct Request {
        var kind: Kind
        var order: keel_id = keel_id(hi: 0, lo: 0)
    }

    /// The last that is known of an order.
    struct Order {
        var id: keel_id
        var instrument: keel_instrument_id
        var side: UInt32
        var state: UInt32
        var filled: keel_fixed
        var leaves: keel_fixed
        var average: keel_fixed
        var limit: keel_fixed
    }

    private(set) var requests: [UInt64: Request] = [:]
    private(set) var orders: [WorkerEvent.OrderID: Order] = [:]

    mutating func add(_ request: UInt64, _ debt: Request) { requests[request] = debt }

    @discardableResult
    mutating func settle(_ request: UInt64) -> Request? { requests.removeValue(forKey: request) }

    mutating func submitted(_ order: keel_order) {
        orders[.init(order.id)] = Order(
            id: order.id, instrument: order.instrument, side: order.side, state: KEEL_ORDER_PENDING, filled: 0, leaves: order.qty, average: 0,
            limit: order.limit)
    }

    mutating func forget(_ order: keel_id) { orders[.init(order)] = nil }

    mutating func saw(_ event: keel_ev_order) {
        let id = WorkerEvent.OrderID(event.order)
        switch event.state {
        case KEEL_ORDER_FILLED, KEEL_ORDER_CANCELED, KEEL_ORDER_REJECTED, KEEL_ORDER_EXPIRED: orders[id] = nil
        default:
            // An order that isn't ours (id 0, or from an earlier run) is no debt.
            guard var order = orders[id] else { return }
            order.state = event.state
            order.filled = event.filled
            order.leaves = event.leaves
            order.average = event.average
            orders[id] = order
        }
    }

    /// Orders that nobody can be sure of now: not acknowledged yet, or in the middle of a request. Orders that rest at the venue are not
    /// among them; the sync after a restart says what became of them.
    func inDoubt() -> [Order] {
        var ids = Set(orders.filter { $0.value.state == KEEL_ORDER_PENDING || $0.value.state == KEEL_ORDER_IN_DOUBT }.map(\.key))
        for request in requests.values where request.kind.isOrder { ids.insert(.init(request.order)) }
        return ids.compactMap { orders[$0] }.sorted { ($0.id.hi, $0.id.lo) < ($1.id.hi, $1.id.lo) }
    }

    /// All requests, in the order of their numbers; none is owed any more.
    mutating func takeRequests() -> [(number: UInt64, request: Request)] {
        defer { requests = [:] }
        return requests.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    mutating func mark(_ order: Order, inDoubt: Bool) {
        guard inDoubt else { return }
        orders[.init(order.id)]?.state = KEEL_ORDER_IN_DOUBT
    }
}
