import PluginKit

/// One order of the host and what the venue has said about it so far. Reports may come twice, late and in any order from
/// several channels: state and quantities only go forward, and a trade counts once.
public struct Ticket: Sendable {
    /// One order at the venue. Usually there is one; a maker-first order may become two, one after the other.
    public struct Leg: Sendable {
        public var id: ClientID
        public var quantity: Fixed
        public var isAlgo: Bool
        public var venueID: Int64 = 0
        public var status = VenueStatus.sent
        public var executed = Fixed.zero
        /// The signed time it left with, in the venue's milliseconds.
        public var sentAt: Int64
        public var reason = ""

        public init(_ id: ClientID, quantity: Fixed, isAlgo: Bool, sentAt: Int64) {
            self.id = id
            self.quantity = quantity
            self.isAlgo = isAlgo
            self.sentAt = sentAt
        }
    }

    public let order: OrderID
    public let instrument: UInt32
    public let symbol: String
    public let side: Side
    public let quantity: Fixed
    public let limit: Fixed
    public var legs: [Leg] = []
    /// The last leg's end is not the order's: another will follow.
    public var mayGoOn = false
    /// Nobody knows whether the last leg arrived.
    public var inDoubt = false

    private var trades: Set<Int64> = []
    public private(set) var filled = Fixed.zero
    private var worth: Int128 = 0  // sum of price x quantity, 1e-16
    /// What was told last.
    public private(set) var toldState: Order.State?
    public private(set) var toldFilled = Fixed.zero

    public init(order: OrderID, instrument: UInt32, symbol: String, side: Side, quantity: Fixed, limit: Fixed) {
        self.order = order
        self.instrument = instrument
        self.symbol = symbol
        self.side = side
        self.quantity = quantity
        self.limit = limit
    }

    public init(_ order: Order, symbol: String) {
        self.init(order: order.id, instrument: order.instrument, symbol: symbol, side: order.side, quantity: order.quantity, limit: order.limit)
    }

    /// Takes a report in; false if it told nothing new or is about another order.
    @discardableResult
    public mutating func take(_ report: VenueReport) -> Bool {
        guard let place = legs.firstIndex(where: { $0.id.description == report.clientID || (!report.isAlgo && $0.venueID != 0 && $0.venueID == report.orderID) }) else {
            return false
        }
        var leg = legs[place]
        var changed = false
        if report.isAlgo {
            // The service's id is not the order's; what the order becomes is told by the order.
            if report.algoIsOver, report.actualOrderID != 0, leg.venueID == 0 { leg.venueID = report.actualOrderID }
            if !leg.isAlgo || leg.venueID != 0, report.status?.isTerminal == true { return false }
        } else if leg.venueID == 0 || leg.venueID != report.orderID {
            leg.venueID = report.orderID
            changed = true
        }
        if report.executed > leg.executed {
            leg.executed = min(report.executed, leg.quantity)
            changed = true
        }
        if let status = report.status, status > leg.status, !(leg.status.isTerminal && status != .filled) {
            leg.status = status
            changed = true
        }
        if leg.status == .filled, leg.executed < leg.quantity, report.status == .filled {
            leg.executed = leg.quantity
            changed = true
        }
        if !report.reason.isEmpty, leg.status.isTerminal { leg.reason = report.reason }
        if leg.status != .sent, inDoubt, place == legs.count - 1 {
            inDoubt = false
            changed = true
        }
        legs[place] = leg
        return changed
    }

    /// Takes a trade of this order in; false if it is known already.
    public mutating func take(_ trade: TradeReport) -> Bool {
        guard trades.insert(trade.tradeID).inserted else { return false }
        filled = Fixed(raw: filled.raw.addingReportingOverflow(trade.quantity.raw).partialValue)
        worth = worth.addingReportingOverflow(Int128(trade.quantity.raw) &* Int128(trade.price.raw)).partialValue
        if let place = legs.firstIndex(where: { $0.venueID == trade.orderID && trade.orderID != 0 }) ?? legs.indices.last {
            if legs[place].status < .partlyFilled { legs[place].status = .partlyFilled }
            inDoubt = false
        }
        return true
    }

    public func knows(_ tradeID: Int64) -> Bool { trades.contains(tradeID) }

    /// What the venue says has been executed, over all legs.
    public var executed: Fixed { Fixed(raw: legs.reduce(0) { $0.addingReportingOverflow($1.executed.raw).partialValue }) }

    /// The venue has executed more than the trades we know of.
    public var lacksTrades: Bool { executed > filled }

    public var average: Fixed {
        guard filled.isPositive else { return .zero }
        let wide = (worth * 2 + Int128(filled.raw)) / (Int128(filled.raw) * 2)
        return Fixed(raw: Int64(exactly: wide) ?? 0)
    }

    public var isAcknowledged: Bool { legs.contains { $0.status != .sent } }

    /// Every leg has ended, no other follows, and each trade is known.
    public var isOver: Bool {
        if filled >= quantity { return true }
        guard let last = legs.last, !mayGoOn, !lacksTrades else { return false }
        return last.status.isTerminal && legs.allSatisfy { $0.status.isTerminal }
    }

    /// Where the order stands. Never filled before its trades are known: they come first, then the end.
    public var state: Order.State {
        if filled >= quantity { return .filled }
        guard let last = legs.last else { return .pending }
        if isOver {
            switch last.status {
            case .rejected: return filled.isPositive ? .canceled : .rejected
            case .expired: return .expired
            // Filled at the venue, and all trades known, but less than was ordered: the rest of it was given up.
            default: return .canceled
            }
        }
        if inDoubt { return .inDoubt }
        return isAcknowledged ? .open : .pending
    }

    /// The event to tell, if there is one: something has changed since the last.
    public mutating func news() -> OrderUpdate? {
        let now = state
        if now == toldState, filled == toldFilled { return nil }
        // An end is an end, unless it turns out to be filled after all.
        if let told = toldState, told.isTerminal, now != .filled { return nil }
        toldState = now
        toldFilled = filled
        return update
    }

    /// The order as it stands, for a sync.
    public mutating func telling() -> OrderUpdate {
        toldState = state
        toldFilled = filled
        return update
    }

    private var update: OrderUpdate {
        let held = min(filled, quantity)
        return OrderUpdate(
            order, instrument: instrument, state, side: side, filled: held, leaves: Fixed(raw: quantity.raw - held.raw), average: average, limit: limit,
            venueID: legs.last.map { $0.venueID == 0 ? "" : "\($0.venueID)" } ?? "", message: state.isTerminal || inDoubt ? legs.last?.reason ?? "" : "")
    }
}
