import PluginAPI
import PluginKit

/// What a learner is told when a position has been closed whole.
public struct ClosedTrade: Sendable, Equatable {
    public var pipeline: Int
    public var instrument: keel_instrument_id
    public var opened: Int64
    public var closed: Int64
    /// Profit after fees, as a fraction of what was committed.
    public var profit: Fixed
    /// KEEL_REGIME_* when it was opened.
    public var regime: UInt32
    /// The signals of the decision that opened it.
    public var signals: [DecisionRecord.Signal]
    public var why: ExitReason
    /// 1: it was long, -1: short.
    public var side: Int32

    public init(
        pipeline: Int, instrument: keel_instrument_id, opened: Int64, closed: Int64, profit: Fixed, regime: UInt32,
        signals: [DecisionRecord.Signal], why: ExitReason, side: Int32 = 1
    ) {
        self.pipeline = pipeline
        self.instrument = instrument
        self.opened = opened
        self.closed = closed
        self.profit = profit
        self.regime = regime
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

public struct Regimes: Sendable, Equatable {
    public var regime: UInt32 = KEEL_REGIME_UNKNOWN
    public var macro: UInt32 = KEEL_MACRO_UNKNOWN
    public var probability = Double.nan
    public var macroProbability = Double.nan
    public init() {}
}

/// Learns from what happened. Deterministic: the same calls give the same answers, randomness is seeded and part of the state.
/// Called when bars close, decisions are made and positions end, never on every tick.
public protocol Learner: AnyObject {
    /// A bar closed in an instrument; answer the regimes as they are now.
    func barClosed(pipeline: Int, instrument: keel_instrument_id, bar: keel_bar, duration: Int64) -> Regimes
    /// A named number (macro series, funding) arrived.
    func valueArrived(pipeline: Int, instrument: keel_instrument_id, name: String, value: Double, time: Int64) -> Regimes?
    /// For the next snapshot.
    func weights(pipeline: Int, instrument: keel_instrument_id, regimes: Regimes) -> [SignalWeight]
    /// What came of similar situations, a few lines for the decider.
    func similar(pipeline: Int, instrument: keel_instrument_id, regimes: Regimes) -> String
    func tradeClosed(_ trade: ClosedTrade)
    func save() -> [UInt8]
    /// False: the bytes are not usable and nothing was changed.
    func load(_ bytes: [UInt8]) -> Bool
}
