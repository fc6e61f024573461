import PluginAPI
import PluginKit

/// What a learner is told when a position has been closed whole.
public struct ClosedTrade: Sendable, Equatable {
    /// The instrument of a pipeline, as `Learner` counts them.
    public var book: Int
    public var opened: Int64
    public var closed: Int64
    /// Profit after fees, as a fraction of what was committed.
    public var profit: Fixed
    /// The market when it was opened.
    public var opening: Opening
    /// The signals of the decision that opened it.
    public var signals: [DecisionRecord.Signal]
    public var why: ExitReason
    /// 1: it was long, -1: short.
    public var side: Int32

    public init(
        book: Int, opened: Int64, closed: Int64, profit: Fixed, opening: Opening, signals: [DecisionRecord.Signal], why: ExitReason, side: Int32
    ) {
        self.book = book
        self.opened = opened
        self.closed = closed
        self.profit = profit
        self.opening = opening
        self.signals = signals
        self.why = why
        self.side = side
    }
}

/// What the learner has to say about one signal.
public struct SignalWeight: Sendable, Equatable {
    public var signal: String
    public var mean: Double
    public var draw: Double
    public var observations: Double
    public init(signal: String, mean: Double, draw: Double, observations: Double) {
        self.signal = signal
        self.mean = mean
        self.draw = draw
        self.observations = observations
    }
}

/// What a position was opened in: credit goes there, whatever the market has become since.
public struct Opening: Sendable, Equatable, Codable {
    /// KEEL_REGIME_*, KEEL_MACRO_*
    public var regime: UInt32 = 0
    public var macro: UInt32 = 0
    /// 0 quiet, 1 usual, 2 wild.
    public var volatility: UInt32 = 1
    /// Sequence of the decision that opened it, and who decided; 0 and empty: nobody of the chain.
    public var decision: UInt64 = 0
    public var decider = ""
    public init() {}
}

public struct Regimes: Sendable, Equatable {
    public var regime: UInt32 = KEEL_REGIME_UNKNOWN
    public var macro: UInt32 = KEEL_MACRO_UNKNOWN
    public var probability = Double.nan
    public var macroProbability = Double.nan
    /// 0 quiet, 1 usual, 2 wild: the last day among the instrument's own past.
    public var volatility: UInt32 = 1
    public init() {}
}

/// Learns from what happened. Deterministic: the same calls give the same answers, randomness is seeded.
///
/// Called when days end, decisions are made and positions end, never on every tick. A `book` is the place of a pipeline's
/// instrument among all of the plan, in the plan's order.
public protocol Learner: AnyObject {
    /// A day is over in an instrument, with this log return in percent.
    func dayEnded(book: Int, change: Double)
    /// A macro figure is known now. False: it changes nothing, or is none that is looked at.
    func figureArrived(_ name: String, _ figure: MacroFigure, at time: Int64) -> Bool
    func regimes(book: Int) -> Regimes
    /// For the snapshot made at `time`: the draws depend on it and on the seed, on nothing else.
    func weights(book: Int, regime: UInt32, at time: Int64) -> [SignalWeight]
    /// What came of similar situations, a few lines for the decider.
    func similar(book: Int) -> String
    func tradeClosed(_ trade: ClosedTrade)
    /// Another number whenever `save` would give other bytes.
    var revision: UInt64 { get }
    func save() -> [UInt8]
    /// False: the bytes are not usable and nothing was changed.
    func load(_ bytes: [UInt8]) -> Bool
}
