import HostCore
import PluginKit

/// Everything a run over a tape (or a live run, read back) brought: what reports are made of.
public struct BacktestResult: Sendable {
    public struct Fill: Sendable, Equatable {
        /// Of the market event it came with, from 0: for bars the number of the bar.
        public var index: Int
        public var time: Int64
        public var pipeline: Int
        public var instrument: Int
        /// KEEL_BUY or KEEL_SELL.
        public var side: UInt32
        public var price: Fixed
        public var quantity: Fixed
        public var fee: Amount
        public var order: OrderID
        /// Time since the instrument's price was last heard of before this fill's event.
        public var staleness: Int64 = 0

        public init(index: Int, time: Int64, pipeline: Int, instrument: Int, side: UInt32, price: Fixed, quantity: Fixed, fee: Amount, order: OrderID) {
            self.index = index
            self.time = time
            self.pipeline = pipeline
            self.instrument = instrument
            self.side = side
            self.price = price
            self.quantity = quantity
            self.fee = fee
            self.order = order
        }
    }

    /// A fill that closed a position or a part of one.
    public struct Trade: Sendable, Equatable {
        public var pipeline: Int
        public var instrument: Int
        /// Of the position that was closed: 1 long, -1 short.
        public var direction: Int
        public var opened: Int64
        public var closed: Int64
        public var quantity: Double
        public var entry: Double
        public var exit: Double
        /// After the fees of both its sides.
        public var profit: Double
        public var fees: Double
        /// Number of the closing fill.
        public var fill: Int
    }

    public struct Sample: Sendable, Equatable {
        public var time: Int64
        public var equity: Double
        /// Notional of the open positions over equity.
        public var exposure: Double
    }

    public struct Answers: Sendable, Equatable {
        public var pipeline: String
        public var decider: String
        public var asked = 0
        public var orders = 0
        public var holds = 0
        public var refused = 0
        public var invalid = 0
        public var shadow = 0
        public var fromRecord = 0
        public var cost = Amount.zero
    }

    public struct PriceBar: Sendable, Equatable {
        public var time: Int64
        public var open: Double
        public var high: Double
        public var low: Double
        public var close: Double
    }

    public var title = ""
    public var mode = "backtest"
    public var pipelines: [String] = []
    public var instruments: [String] = []
    public var currency = ""
    public var tapes: [String] = []
    public var changes: [String] = []
    public var seed: UInt64 = 0

    public var from: Int64 = 0
    public var to: Int64 = 0
    public var events = 0
    public var startEquity = Amount.zero
    public var cash = Amount.zero
    public var equity = Amount.zero
    public var fees = Amount.zero
    public var funding = Amount.zero
    /// Units held at the end, by instrument.
    public var positions: [Amount] = []
    public var lastPrices: [Fixed] = []

    public var fills: [Fill] = []
    public var trades: [Trade] = []
    /// Equal steps of `period`, the first at the start.
    public var samples: [Sample] = []
    public var period: Int64 = 0
    /// For charts: a point whenever the equity's bucket changed.
    public var curve: [Sample] = []
    public var prices: [[PriceBar]] = []
    /// Worst fall on any event, not only at samples; and where.
    public var maxDrawdown = 0.0
    public var drawdownPeak: Int64 = 0
    public var drawdownTrough: Int64 = 0
    /// Share of the time with a position, and traded notional.
    public var timeInMarket = 0.0
    public var turnover = Amount.zero
    /// Mean distance of an instrument's market events.
    public var meanGap: Int64 = 0

    public var answers: [Answers] = []
    /// Primary against shadow, by pipeline, where there was one.
    public var comparisons: [(pipeline: String, comparison: Comparison)] = []
    public var gates: [(pipeline: String, instrument: String, counters: GateCounters)] = []
    public var refusals: [(rule: Rule, count: Int)] = []
    public var exits: [(why: ExitReason, count: Int, profit: Double)] = []
    public var breakers: [BreakerRecord] = []
    public var takeovers = 0
    public var alerts: [Alert] = []
    public var rejectedOrders = 0
    public var findings: [Finding] = []
    /// What recorders say of themselves at the end, by name.
    public var descriptions: [String: JSONValue] = [:]

    /// Wall time of the engine's loop alone and of everything, in seconds.
    public var engineSeconds = 0.0
    public var wholeSeconds = 0.0
    /// Of the engine's loop, time on a processor only: comparable on a machine that others use too.
    public var engineProcessorSeconds = 0.0

    public init() {}
}

/// Something about a result that a careful reader would ask about.
public struct Finding: Sendable, Equatable {
    public enum Weight: String, Sendable, CaseIterable { case note, warning, serious }
    public var weight: Weight
    /// A short fixed word for filters: "lookahead", "few-trades", ...
    public var kind: String
    public var text: String
    /// What to look at or change.
    public var advice: String

    public init(_ weight: Weight, _ kind: String, _ text: String, advice: String) {
        self.weight = weight
        self.kind = kind
        self.text = text
        self.advice = advice
    }
}
