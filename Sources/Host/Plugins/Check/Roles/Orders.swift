import PluginAPI
import PluginKit

extension Bench {
    /// A host-issued id: unique within the check, its low 16 bits zero as a parent's are.
    func orderID() -> keel_id { keel_id(hi: 7 << 32 | (random.next() & 0xffff), lo: (random.next() & 0xff_ffff_ffff) << 24 | 1 << 16) }

    /// An order the profile's instrument takes: its quantity and price, on the grid.
    func order(_ side: UInt32 = KEEL_BUY, _ features: UInt64 = KEEL_ORD_LIMIT) -> keel_order {
        var order = keel_order()
        order.struct_size = UInt32(MemoryLayout<keel_order>.size)
        order.side = side
        order.features = features
        order.id = orderID()
        order.instrument = profile.instrument.id
        order.qty = profile.quantity.raw
        let priced = KEEL_ORD_LIMIT | KEEL_ORD_STOP_LIMIT | KEEL_ORD_TAKE_LIMIT
        let triggered = KEEL_ORD_STOP | KEEL_ORD_STOP_LIMIT | KEEL_ORD_TAKE | KEEL_ORD_TAKE_LIMIT
        if features & priced != 0 { order.limit = profile.price.raw }
        if features & triggered != 0 {
            // A stop lies beyond the price, a take before it.
            let away = profile.instrument.tick.raw &* 10
            let up = (features & (KEEL_ORD_STOP | KEEL_ORD_STOP_LIMIT) != 0) == (side == KEEL_BUY)
            order.trigger = up ? profile.price.raw &+ away : profile.price.raw &- away
        }
        return order
    }

    /// A limit order that rests: the mock keeps it open by its scenario, a simulated venue by its price.
    func restingOrder() -> keel_order {
        var order = order(KEEL_BUY, KEEL_ORD_LIMIT)
        if !hasMock { order.limit = max(profile.instrument.tick.raw, profile.price.raw / 2 / max(1, profile.instrument.tick.raw) * max(1, profile.instrument.tick.raw)) }
        return order
    }
}

/// What the events say about one order.
struct OrderStory {
    let id: keel_id
    var states: [UInt32] = []
    var reports: [keel_ev_order] = []
    var fills: [keel_ev_fill] = []
    var fillIDs: [String] = []
    var live: [SeenEvent] = []

    init(_ id: keel_id, _ events: [SeenEvent], snapshots: Bool = false) {
        self.id = id
        for event in events where event.isSnapshot == snapshots || snapshots {
            if let report = event.order, report.order == id {
                states.append(report.state)
                reports.append(report)
            }
            if let fill = event.fill, fill.order == id {
                fills.append(fill)
                fillIDs.append(event.text(fill.fill_id))
                live.append(event)
            }
        }
    }

    var state: UInt32? { states.last }
    var isTerminal: Bool { state.map(OrderStory.isTerminal) ?? false }
    static func isTerminal(_ state: UInt32) -> Bool { (KEEL_ORDER_FILLED...KEEL_ORDER_EXPIRED).contains(state) }
    var stateNames: String { states.map(OrderStory.name).joined(separator: ", ") }

    static func name(_ state: UInt32) -> String {
        switch state {
        case KEEL_ORDER_PENDING: "PENDING"
        case KEEL_ORDER_OPEN: "OPEN"
        case KEEL_ORDER_FILLED: "FILLED"
        case KEEL_ORDER_CANCELED: "CANCELED"
        case KEEL_ORDER_REJECTED: "REJECTED"
        case KEEL_ORDER_EXPIRED: "EXPIRED"
        case KEEL_ORDER_IN_DOUBT: "IN_DOUBT"
        default: "state \(state)"
        }
    }
}

func == (a: keel_id, b: keel_id) -> Bool { a.hi == b.hi && a.lo == b.lo }
