import PluginKit

/// One instrument at the venue: its grid, its last prices, the orders that work on it, and the position.
struct Market: BitwiseCopyable {
    /// The host's number, 0 while it isn't known.
    var id: UInt32
    var grid: Grid
    var isDerivative: Bool
    var isPerpetual: Bool
    /// Places of the assets in the wallet.
    var base: Int
    var quote: Int

    // The market, zero = not known.
    var last: Int64 = 0
    var bid: Int64 = 0
    var bidQuantity: Int64 = 0
    var ask: Int64 = 0
    var askQuantity: Int64 = 0
    var time: Int64 = 0
    /// Traded in the bar or trade at hand, for participation and impact.
    var volume: Int128 = 0
    /// Trades or quotes were seen: bars are then only a summary of what was already matched.
    var hasTicks = false
    var hasTrades = false
    var fundingRate: Int64
    var nextFunding: Int64 = 0

    // The orders that work here, in the order they arrived.
    var first: Int32 = -1
    var final: Int32 = -1
    var working: Int32 = 0

    // The position, below zero short, and what it cost: |position| times entry price, sixteen decimals.
    var position: Int128 = 0
    var cost: Int128 = 0
    /// The position shrank: reduce-only orders must be looked at.
    var shrank = false

    /// Average price of the open position.
    var entry: Int64 {
        if position == 0 { return 0 }
        return Int64(clamping: rounded(cost, by: Int128(truncatingIfNeeded: position.magnitude)))
    }

    /// The price a fill without a book would get now; zero if none is known.
    func executable(_ side: Side) -> Int64 {
        if hasTrades || bid == 0 { return last }
        return side == .buy ? ask : bid
    }
}

/// An asset and what is promised to open orders.
struct Asset {
    let name: String
    var total: Int128
    var reserved: Int128 = 0
}

/// One order at the venue.
struct VenueOrder: BitwiseCopyable {
    enum State: UInt8, BitwiseCopyable { case travelling, working, filled, canceled, rejected, expired }

    var id: OrderID
    var number: UInt64
    var market: Int32
    var side: Side
    var features: OrderFeatures
    var quantity: Int64
    var limit: Int64
    var trigger: Int64
    var request: UInt64
    var arrived: Int64
    var state = State.travelling
    /// A stop or take that has gone off.
    var triggered = false
    /// It has met a price since it arrived: from now on it rests in the book.
    var met = false
    /// Filled with liquidity already counted in `queueAhead`.
    var queueAhead: Int128 = -1
    var filled: Int64 = 0
    /// Price times quantity of all fills, sixteen decimals.
    var worth: Int128 = 0
    var reserved: Int128 = 0
    var previous: Int32 = -1
    var next: Int32 = -1

    init(_ order: Order, number: UInt64, market: Int, request: UInt64) {
        id = order.id
        self.number = number
        self.market = Int32(truncatingIfNeeded: market)
        side = order.side
        features = order.features
        quantity = order.quantity.raw
        limit = order.limit.raw
        trigger = order.trigger.raw
        self.request = request
        arrived = 0
    }

    var leaves: Int64 { quantity - filled }
    var average: Int64 { filled == 0 ? 0 : Int64(clamping: rounded(worth, by: Int128(filled))) }
    var isTerminal: Bool { state.rawValue >= State.filled.rawValue }
    var isReduceOnly: Bool { features.contains(.reduceOnly) }
    var isImmediate: Bool { !features.isDisjoint(with: [.immediateOrCancel, .fillOrKill]) }
    var waitsForTrigger: Bool { !triggered && !features.isDisjoint(with: .withTrigger) }
    var hasLimit: Bool { !features.isDisjoint(with: .withLimit) }
    var isStop: Bool { !features.isDisjoint(with: [.stop, .stopLimit]) }
}

/// What happened at the venue, for the shell to write down and tell.
struct Report: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable {
        case accepted, rejected, filled, canceled, expired
        /// Answers to a cancel: it worked, the order was over already, or it was never here.
        case cancelDone, cancelLate, cancelUnknown
        case funding
        /// A stop or take went off: written down, not told.
        case triggered
    }

    var kind: Kind
    var reason = Reason.none
    /// The order as it stood right after.
    var order: VenueOrder
    var request: UInt64 = 0
    var time: Int64
    var quantity: Int64 = 0
    var price: Int64 = 0
    var fee: Int128 = 0
    var maker = false
    /// Of the fill or the funding payment.
    var number: UInt64 = 0
}

/// Why the venue ended or refused an order.
enum Reason: UInt8, BitwiseCopyable {
    case none, postOnly, reduceOnly, nothingToReduce, balance, margin, immediate, fillOrKill, simulated, alreadyOver, unknownOrder, overflow

    var text: String {
        switch self {
        case .none: ""
        case .postOnly: "post only: the order would take liquidity at once"
        case .reduceOnly: "reduce only: the order would open or add to a position"
        case .nothingToReduce: "reduce only: nothing is left to reduce"
        case .balance: "insufficient balance"
        case .margin: "insufficient margin"
        case .immediate: "immediate or cancel: no more was to be had at this price"
        case .fillOrKill: "fill or kill: not all of it was to be had at this price"
        case .simulated: "refused by the venue (simulated fault)"
        case .alreadyOver: "the order is over already"
        case .unknownOrder: "no such order"
        case .overflow: "the amounts of this order don't fit"
        }
    }
}
