import PluginAPI
import PluginKit

/// Everything that must survive a restart, as plain values. The ledger keeps it row by row (`StateRow`) beside its
/// order and fill tables, and puts it together again with `init(rows:orders:fills:)`.
public struct EngineState: Sendable, Equatable, Codable {
    public static let currentVersion = 1
    public var version = EngineState.currentVersion
    public var header = HeaderState()
    public var pipelines: [PipelineState] = []
    public var books: [BookState] = []
    public var brokers: [BrokerState] = []
    /// Every order that is not settled, and the recent settled ones (at least those a venue may still report).
    public var orders: [OrderState] = []
    /// Recent fills, oldest first; more than needed does no harm.
    public var fills: [FillKey] = []
    /// The learner's own bytes.
    public var learner: [UInt8] = []

    public init() {}

    /// Rows may come in any order; the last of each key counts.
    public init(rows: [StateRow], orders: [OrderState], fills: [FillKey]) {
        for row in rows { apply(row) }
        self.orders = orders
        self.fills = fills
    }

    public mutating func apply(_ row: StateRow) {
        switch row {
        case .header(let value): header = value
        case .pipeline(let value): pipelines.upsert(value) { $0.name == value.name }
        case .book(let value): books.upsert(value) { $0.pipeline == value.pipeline && $0.symbol == value.symbol }
        case .broker(let value): brokers.upsert(value) { $0.name == value.name }
        case .learner(let value): learner = value
        }
    }
}

extension Array {
    fileprivate mutating func upsert(_ value: Element, where same: (Element) -> Bool) {
        if let index = firstIndex(where: same) { self[index] = value } else { append(value) }
    }
}

/// A piece of the state, written whenever it changes.
public enum StateRow: Sendable, Equatable, Codable {
    case header(HeaderState)
    case pipeline(PipelineState)
    case book(BookState)
    case broker(BrokerState)
    case learner([UInt8])

    /// Unique among the rows of a ledger.
    public var key: String {
        switch self {
        case .header: "header"
        case .pipeline(let value): "pipeline/\(value.name)"
        case .book(let value): "book/\(value.pipeline)/\(value.symbol)"
        case .broker(let value): "broker/\(value.name)"
        case .learner: "learner"
        }
    }
}

public struct HeaderState: Sendable, Equatable, Codable {
    public var run: UInt32 = 0
    public var time: Int64 = 0
    public var killed = false
    public init() {}
}

public struct BrokerState: Sendable, Equatable, Codable {
    public var name: String
    /// Venue reports up to this time have been taken in: the next sync asks from here.
    public var syncedAt: Int64
    public init(name: String, syncedAt: Int64) {
        self.name = name
        self.syncedAt = syncedAt
    }
}

public struct PipelineState: Sendable, Equatable, Codable {
    public var name: String
    public var decisionSequence: UInt64 = 0
    /// Start capital plus and minus every fill, fee and funding. Derivatives count their whole notional, so that
    /// equity is always cash + quantity x multiplier x price.
    public var cash: Amount = .zero
    public var capital: Amount = .zero
    public var realised: Amount = .zero
    public var fees: Amount = .zero
    public var funding: Amount = .zero
    public var day = DayState()
    public var peakEquity: Amount = .zero
    /// Nothing is entered before this time: after a daily loss, after a losing streak.
    public var dailyLossUntil: Int64 = 0
    public var streakUntil: Int64 = 0
    public var drawdownOpen = false
    public var losingStreak = 0
    public var kelly = KellyHistory()
    public var deciders: [DeciderState] = []
    /// Name of the decider that answered last; empty: none yet.
    public var serving = ""
    public var costDay: Int64 = 0
    public var costToday: Amount = .zero

    public init(name: String) { self.name = name }
}

/// Figures of one UTC day.
public struct DayState: Sendable, Equatable, Codable {
    /// Days since 1970; -1: none yet.
    public var number: Int64 = -1
    public var startEquity: Amount = .zero
    public var realised: Amount = .zero
    public var fees: Amount = .zero
    public init() {}
}

/// One decider of a chain: its circuit breaker and what it costs.
public struct DeciderState: Sendable, Equatable, Codable {
    public var name: String
    public var failures = 0
    /// 0: closed. Open until then, after which one trial call is made.
    public var openUntil: Int64 = 0
    /// Cost of its dearest answer so far; nil: unknown.
    public var knownCost: Amount?
    public init(name: String) { self.name = name }
}

/// One instrument of one pipeline.
public struct BookState: Sendable, Equatable, Codable {
    public var pipeline: String
    public var symbol: String
    public var position = PositionState()
    /// When the gate's timer, the watchdog and the review are due; 0: not armed.
    public var timerAt: Int64 = 0
    public var watchdogAt: Int64 = 0
    public var reviewAt: Int64 = 0
    public var wakes: [WakeCondition] = []
    public var memory = ""
    public var lastExit: Int64 = 0
    public var lastEntry: Int64 = 0
    public var lastDecision: Int64 = 0
    /// Newest first.
    public var past: [PastDecision] = []
    public var statistics = GateStatistics()
    public var atr = Atr()
    /// Signals and market of the decision that opened the position, for the learner.
    public var openSignals: [DecisionRecord.Signal] = []
    public var opening = Opening()
    /// The day so far, for the learner.
    public var today = DayClose()
    /// Bought less sold and all that was traded since the UTC day began, in steps.
    public var delta = 0.0
    public var taken = 0.0
    public var held = HeldAnswer()

    public init(pipeline: String, symbol: String) {
        self.pipeline = pipeline
        self.symbol = symbol
    }
}

/// An open position and how far its exits have come. `quantity` zero: flat.
public struct PositionState: Sendable, Equatable, Codable {
    /// Below zero: short.
    public var quantity: Amount = .zero
    public var entry: Fixed = .zero
    public var opened: Int64 = 0
    /// Best price since entry: the highest for a long, the lowest for a short.
    public var peak: Fixed = .zero
    /// In force, zero for none; only ever tightens while the position is open.
    public var hardStop: Fixed = .zero
    public var initialQuantity: Amount = .zero
    /// Bit n: stage n has fired.
    public var stagesDone: UInt64 = 0
    public var stagedQuantity: Amount = .zero
    /// Counts positions; part of the exit records.
    public var number: UInt64 = 0
    public var exiting: ExitReason?
    public var exitLevel: Fixed = .zero
    public var exitOrder: OrderID = .none
    /// Realised since it was opened, fees included.
    public var profit: Amount = .zero
    /// What the open quantity was bought (or sold) for, exactly; and everything that was committed since it was flat.
    public var cost: Amount = .zero
    public var committed: Amount = .zero
    public init() {}
}

/// A condition under which the decider wants to be asked again, anchored to the moment it was set.
public struct WakeCondition: Sendable, Equatable, Codable {
    /// KEEL_WAKE_*
    public var condition: UInt32
    public var level: Fixed
    /// Price when it was set, for moves.
    public var reference: Fixed
    /// Regime when it was set.
    public var regime: UInt32
    public init(condition: UInt32, level: Fixed, reference: Fixed = .zero, regime: UInt32 = 0) {
        self.condition = condition
        self.level = level
        self.reference = reference
        self.regime = regime
    }
}

/// What became of an earlier decision, for the snapshot's `past`.
public struct PastDecision: Sendable, Equatable, Codable {
    public var time: Int64
    public var action: UInt32
    public var confidence: Fixed
    public var decider: String
    public var reason: String
    /// Profit as a fraction of what was committed, once the position it opened is closed.
    public var outcome: Double?
    public init(time: Int64, action: UInt32, confidence: Fixed, decider: String, reason: String, outcome: Double? = nil) {
        self.time = time
        self.action = action
        self.confidence = confidence
        self.decider = decider
        self.reason = reason
        self.outcome = outcome
    }
}

/// Two words that stand for a venue's fill id (and the order it belongs to).
public struct FillKey: Sendable, Hashable, Codable {
    public var hi: UInt64
    public var lo: UInt64
    @inlinable public init(hi: UInt64, lo: UInt64) {
        self.hi = hi
        self.lo = lo
    }
}
