import PluginAPI
import PluginKit

/// One instrument of one pipeline: its market, position, orders and what is being asked about it.
///
/// Books lie in raw memory that the engine owns, so that the market path reads them without reference counts or
/// exclusivity checks. Nothing outside the engine sees one.
struct Book {
    let index: Int
    let pipeline: Int
    let instrumentIndex: Int
    let instrument: Instrument
    let symbol: String
    let base: String
    let quote: String
    let baseHash: UInt64
    let quoteHash: UInt64
    let brokerPort: Int
    let broker: Int
    let routerPort: Int
    let brokerFeatures: UInt64
    /// A position below this is dust.
    let leastQuantity: Int64

    // The market, in raw steps.
    var last: Int64 = 0
    var bid: Int64 = 0
    var ask: Int64 = 0
    var bidQuantity: Int64 = 0
    var askQuantity: Int64 = 0
    var tradeAt: Int64 = 0
    var quoteAt: Int64 = 0
    var barAt: Int64 = 0
    var barLength: Int64 = 0
    var skew: Int64 = 0
    var liquidation: Int64 = 0
    var marginRatio: Int64 = 0
    var session: UInt32 = 0
    /// A price at or beyond these has a meaning: an exit level, a new best price, a stage, a wake condition.
    var guardLow: Int64 = .min
    var guardHigh: Int64 = .max
    /// Position times multiplier, and the price it is marked at.
    var units: Int64 = 0
    var unitsAreWide = false
    var marked: Int64 = 0
    var series: UnsafeMutablePointer<Series>
    let seriesCount: Int
    /// Of the series that feeds the average true range; -1: none.
    let atrSeries: Int
    var candle: CandleClock
    let layer: ZLayer
    let rules: ExitRules
    let hasStages: Bool
    var statistics = GateStatistics()
    /// Square of the z that a wake condition waits for; infinite: none.
    var wakeVolumeSquared = Double.infinity
    var observers: UnsafeMutablePointer<Observer>
    let observerCount: Int
    var counters = GateCounters()
    var bad: UInt64 = 0
    var delta = 0.0
    var taken = 0.0
    var quoteRoutes = 0

    // The rest, off the market path.
    var position = PositionState()
    var orders: [OrderState] = []
    /// Settled lately: venues repeat themselves, and a fill may come after the end.
    var closedOrders: Recent<OrderState>
    var parents: [Parent] = []
    var cancels: [(request: UInt64, order: OrderID)] = []
    /// Orders that are cancelled to be sent anew, where the venue cannot replace.
    var replacements: [(order: OrderID, quantity: Fixed, limit: Fixed)] = []
    var asked = Ask()
    var shadow = Ask()
    var pending: UInt32 = 0
    var wakes: [WakeCondition] = []
    var memory = ""
    var past: [PastDecision] = []
    var values = NamedValues()
    var news: [String] = []
    var regimes = Regimes()
    var atr = Atr()
    var block: SnapshotBlock
    /// When the position was last held against its levels.
    var watchedAt: Int64 = 0
    var lastExit: Int64 = 0
    var lastEntry: Int64 = 0
    var lastDecision: Int64 = 0
    var exitAttempts = 0
    /// The venue reports something of this instrument that cannot be: nothing is entered until a sync agrees.
    var disagrees = false
    var toldThirdAsset = false
    var staleAlerted = false
    /// Every feed that serves this book says that it is down.
    var feedDown = false
    var openSignals: [DecisionRecord.Signal] = []
    var openRegime: UInt32 = 0
    var isDirty = false
    var savedPeak: Int64 = 0
    /// Why the gate opened for nothing the last time.
    var lastBlocked: Rule?
    var lastFailure = ""
}

// Questions about a book, asked through the pointer: a getter of the struct itself would copy all of it.
extension UnsafeMutablePointer<Book> {
    /// Something of this instrument may live at the venue without our knowing.
    var inDoubt: Bool {
        for index in 0..<pointee.orders.count {
            let status = pointee.orders[index].status
            if status == .inDoubt || (status.isTerminal && !pointee.orders[index].isSettled) { return true }
        }
        return false
    }

    @inline(__always)
    var isFlat: Bool {
        let raw = pointee.position.quantity.raw
        return raw == 0 || raw.magnitude < UInt128(truncatingIfNeeded: pointee.leastQuantity)
    }

    var marketAt: Int64 { max(pointee.tradeAt, max(pointee.quoteAt, pointee.barAt)) }

    /// What a market order would meet now: the quote if it is not out of date, else the last price.
    func price(for side: UInt32, now: Int64, freshness: Int64?) -> Fixed {
        let quoted = side == KEEL_BUY ? pointee.ask : pointee.bid
        if quoted > 0, freshness == nil || now - pointee.quoteAt <= (freshness ?? 0) { return Fixed(raw: quoted) }
        return Fixed(raw: pointee.last)
    }
}

/// A decider's `observe`, ready to be called.
struct Observer {
    let instance: OpaquePointer?
    /// nil: another book of the same route has called it for this event already; its answer is in `answer`.
    let call: (@convention(c) (OpaquePointer?, UnsafePointer<keel_event>?) -> keel_status)?
    /// Place in the pipeline's chain.
    let place: Int
    /// Where the answer of the last call is kept for books that share it.
    let answer: UnsafeMutablePointer<keel_status>
}

/// A question to a decider that has not been answered to the end. `request` zero: none.
struct Ask {
    var request: UInt64 = 0
    /// Place in the chain.
    var place = 0
    var sequence: UInt64 = 0
    var at: Int64 = 0
    var deadline: Int64 = 0
    var snapshotHi: UInt64 = 0
    var snapshotLo: UInt64 = 0
    var purpose: UInt32 = 0
    var gate: UInt32 = 0
    var allowed: UInt32 = 0
    var price: Fixed = .zero
    var answered = false
    /// Set aside from the daily money until the answer tells its cost.
    var cost = Amount.zero
    /// Tried already for this question, as bits of places.
    var tried: UInt64 = 0
}

/// An order given to a router.
struct Parent {
    var order: keel_order
    var request: UInt64
    var role: OrderRole
    var why: ExitReason?
    var decision: UInt64
    var created: Int64
    var seenPrice: Fixed
    /// Filled by its children.
    var filled: Int64 = 0
    var children: UInt16 = 0
    /// Legs its children have used: one bit each up to 64, above that only ever higher ones.
    var legs: UInt64 = 0
    var highestLeg: UInt16 = 0
    /// The router sends nothing more for it.
    var done = false

    var id: OrderID { OrderID(order.id) }

    mutating func use(leg: UInt16) {
        children &+= 1
        if (1...64).contains(leg) { legs |= 1 << UInt64(leg - 1) }
        highestLeg = max(highestLeg, leg)
    }
}

/// The last elements, oldest first to go.
struct Recent<Element> {
    private(set) var elements: [Element] = []
    private var oldest = 0
    let capacity: Int

    init(capacity: Int) { self.capacity = max(capacity, 1) }

    mutating func add(_ element: Element) {
        if elements.count < capacity {
            elements.append(element)
        } else {
            elements[oldest] = element
            oldest = oldest + 1 == capacity ? 0 : oldest + 1
        }
    }

    /// The newest that matches.
    func newest(where matches: (borrowing Element) -> Bool) -> Int? {
        for age in 1...max(elements.count, 1) where age <= elements.count {
            let index = (oldest + elements.count - age) % elements.count
            if matches(elements[index]) { return index }
        }
        return nil
    }

    mutating func remove(where matches: (Element) -> Bool) {
        elements = ordered
        oldest = 0
        elements.removeAll(where: matches)
    }

    /// Oldest first.
    var ordered: [Element] { Array(elements[oldest...] + elements[..<oldest]) }
}
