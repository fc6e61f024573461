import PluginAPI
import PluginKit

/// What a venue said between a sync and its end. Order does not matter, repetition neither.
public struct VenueReport: Sendable, Equatable {
    public struct Order: Sendable, Equatable {
        public var id: OrderID
        public var instrument: keel_instrument_id
        public var state: UInt32
        public var side: UInt32
        public var filled: Fixed
        public var leaves: Fixed
        public var limit: Fixed
        /// The bytes the event came in, as the engine kept them.
        public var index: Int
        public init(
            id: OrderID, instrument: keel_instrument_id, state: UInt32, side: UInt32, filled: Fixed, leaves: Fixed, limit: Fixed = .zero,
            index: Int = 0
        ) {
            self.id = id
            self.instrument = instrument
            self.state = state
            self.side = side
            self.filled = filled
            self.leaves = leaves
            self.limit = limit
            self.index = index
        }
    }
    public struct Fill: Sendable, Equatable {
        public var key: FillKey
        public var order: OrderID
        public var instrument: keel_instrument_id
        public var side: UInt32
        public var quantity: Fixed
        /// What the venue took out of the quantity itself: a fee in the base asset.
        public var feeQuantity: Amount
        public var time: Int64
        public var index: Int
        public init(
            key: FillKey, order: OrderID, instrument: keel_instrument_id, side: UInt32, quantity: Fixed, feeQuantity: Amount = .zero,
            time: Int64, index: Int = 0
        ) {
            self.feeQuantity = feeQuantity
            self.key = key
            self.order = order
            self.instrument = instrument
            self.side = side
            self.quantity = quantity
            self.time = time
            self.index = index
        }
    }
    public var orders: [Order] = []
    public var fills: [Fill] = []
    /// By instrument; the last report of each counts.
    public var positions: [keel_instrument_id: Amount] = [:]
    /// Total by asset.
    public var balances: [String: Amount] = [:]
    public init() {}
}

/// What the host knows about one broker when a sync ends.
public struct KnownAccount: Sendable {
    public struct Holding: Sendable, Equatable {
        public var instrument: keel_instrument_id
        public var symbol: String
        public var quantity: Amount
        /// Spot and stock: the venue may hold more (the user's own), never less.
        public var owned: Bool
        public var base: String
        /// Differences below this are rounding.
        public var lot: Fixed
        public init(instrument: keel_instrument_id, symbol: String, quantity: Amount, owned: Bool, base: String, lot: Fixed) {
            self.instrument = instrument
            self.symbol = symbol
            self.quantity = quantity
            self.owned = owned
            self.base = base
            self.lot = lot
        }
    }
    public var orders: [OrderState]
    public var seen: @Sendable (FillKey) -> Bool
    /// One for each instrument of the broker, over all its pipelines.
    public var holdings: [Holding]
    /// When the sync was asked for: what was sent later cannot be in its answer.
    public var asked: Int64

    public init(orders: [OrderState], holdings: [Holding], asked: Int64, seen: @escaping @Sendable (FillKey) -> Bool) {
        self.orders = orders
        self.holdings = holdings
        self.asked = asked
        self.seen = seen
    }
}

/// What follows from a sync. Applying it and reconciling the same report again gives an empty outcome.
public struct Reconciliation: Sendable, Equatable {
    /// Fills not seen before, oldest first, of orders that are ours.
    public var fills: [VenueReport.Fill] = []
    /// Reports that would move a known order, by order id.
    public var orders: [VenueReport.Order] = []
    /// Ours by its id, but unknown here (a ledger lost it): taken back.
    public var recovered: [VenueReport.Order] = []
    /// Alive here, older than the sync, and the venue did not mention them.
    public var missing: [OrderID] = []
    /// Not ours: reported, never adopted.
    public var external: [VenueReport.Order] = []
    public var externalFills: [VenueReport.Fill] = []
    /// Questions only a person or a later sync can answer. Empty: host and venue agree.
    public var differences: [Difference] = []

    public struct Difference: Sendable, Equatable, CustomStringConvertible {
        public enum Kind: String, Sendable, Codable { case position, overfill, missing, unknownFill }
        public var kind: Kind
        public var instrument: keel_instrument_id
        public var symbol: String
        public var order: OrderID
        public var here: Amount
        public var venue: Amount
        public var description: String {
            switch kind {
            case .position: "\(symbol): position \(here) here, \(venue) at the venue"
            case .overfill: "order \(order): \(venue) filled at the venue, \(here) ordered"
            case .missing: "order \(order): open here, not mentioned by the venue"
            case .unknownFill: "order \(order): a fill of \(venue) for an order that is not known here"
            }
        }
    }
    public init() {}
}

/// Pure: the same account and report give the same outcome, whatever the order of the report.
public enum Reconcile {
    public static func run(_ known: KnownAccount, _ report: VenueReport) -> Reconciliation {
        var outcome = Reconciliation()
        var states: [OrderID: OrderState] = [:]
        for order in known.orders { states[order.id] = order }

        var mentioned: Set<OrderID> = []
        for order in newestReports(report.orders) {
            if order.id.isNone {
                outcome.external.append(order)
                continue
            }
            mentioned.insert(order.id)
            guard let state = states[order.id] else {
                outcome.recovered.append(order)
                continue
            }
            var moved = state
            if let said = OrderReport(state: order.state, filled: order.filled.raw, snapshot: true), moved.take(said, at: known.asked) {
                outcome.orders.append(order)
            }
        }

        var taken: Set<FillKey> = []
        let recovered = Set(outcome.recovered.map(\.id))
        var change: [keel_instrument_id: Amount] = [:]
        let fills = report.fills.sorted { ($0.time, $0.key.hi, $0.key.lo) < ($1.time, $1.key.hi, $1.key.lo) }
        for fill in fills where !known.seen(fill.key) && taken.insert(fill.key).inserted {
            if fill.order.isNone {
                outcome.externalFills.append(fill)
                continue
            }
            guard states[fill.order] != nil || recovered.contains(fill.order) else {
                outcome.differences.append(
                    .init(kind: .unknownFill, instrument: fill.instrument, symbol: "", order: fill.order, here: .zero, venue: Amount(fill.quantity)))
                continue
            }
            outcome.fills.append(fill)
            let signed = fill.side == KEEL_BUY ? Int128(fill.quantity.raw) : -Int128(fill.quantity.raw)
            change[fill.instrument] = Amount(raw: (change[fill.instrument]?.raw ?? 0) &+ signed &- fill.feeQuantity.raw)
            if var state = states[fill.order] {
                if (try? state.take(fill: fill.quantity, worth: .zero, fee: .zero, at: fill.time)) != nil, state.filled > state.quantity {
                    outcome.differences.append(
                        .init(kind: .overfill, instrument: fill.instrument, symbol: "", order: fill.order,
                            here: Amount(state.quantity), venue: Amount(state.filled)))
                }
                states[fill.order] = state
            }
        }

        for order in known.orders where !order.isSettled && !mentioned.contains(order.id) && max(order.sent, order.created) < known.asked {
            // What its fills have completed needs no mention; a fill alone is none: a part may fill of what is then cancelled.
            if let state = states[order.id], state.isSettled { continue }
            outcome.missing.append(order.id)
        }

        for holding in known.holdings {
            let here = Amount(raw: holding.quantity.raw &+ (change[holding.instrument]?.raw ?? 0))
            let venue: Amount
            if let reported = report.positions[holding.instrument] {
                venue = reported
            } else if holding.owned, let balance = report.balances[holding.base] {
                venue = balance
            } else {
                venue = .zero
            }
            let slack = Int128(max(holding.lot.raw, 1))
            let difference = venue.raw &- here.raw
            let agrees = holding.owned && here.raw >= 0 ? difference > -slack : difference > -slack && difference < slack
            if !agrees {
                outcome.differences.append(
                    .init(kind: .position, instrument: holding.instrument, symbol: holding.symbol, order: .none, here: here, venue: venue))
            }
        }
        outcome.missing.sort()
        return outcome
    }

    /// One report an order: the one that is furthest on. External orders, which share the empty id, all stay.
    private static func newestReports(_ orders: [VenueReport.Order]) -> [VenueReport.Order] {
        func rank(_ order: VenueReport.Order) -> (Int64, Int) {
            let terminal = (OrderReport(state: order.state, filled: 0, snapshot: true)?.status.isTerminal ?? false) ? 2 : 0
            return (order.filled.raw, terminal + (order.state == KEEL_ORDER_OPEN ? 1 : 0))
        }
        var best: [OrderID: VenueReport.Order] = [:]
        var external: [VenueReport.Order] = []
        for order in orders {
            if order.id.isNone {
                external.append(order)
            } else if let other = best[order.id] {
                if rank(other) < rank(order) { best[order.id] = order }
            } else {
                best[order.id] = order
            }
        }
        external.sort { ($0.instrument, $0.side, $0.limit.raw, $0.leaves.raw) < ($1.instrument, $1.side, $1.limit.raw, $1.leaves.raw) }
        return best.values.sorted { $0.id < $1.id } + external
    }
}
