import PluginKit

/// The safety layer over an open position. Fractions are of the entry price unless said otherwise; nil: off.
public struct PositionSettings: Equatable, Sendable {
    public var stopLoss: Fixed? = Fixed(raw: 4_000_000)  // 4 %
    /// Fall from the best price since entry, in force once the position has gained `trailingActivation`.
    public var trailing: Fixed? = Fixed(raw: 12_000_000)  // 12 %
    public var trailingActivation = Fixed(raw: 5_000_000)  // 5 %
    /// Hard stop at so many average true ranges (of `atrPeriod` bars of `atrBars`) from entry; it only tightens.
    public var atrMultiple: Double? = 3.0
    public var atrPeriod = 14
    public var atrBars = 1 * Span.hour
    /// Gain that triggers each stage and the share of the initial quantity it closes.
    public var stages: [Stage] = []
    /// The decider's exit probability that closes the position.
    public var exitProbability: Fixed? = Fixed(raw: 80_000_000)
    /// Longest time between two looks at the position, and between two reviews by the decider.
    public var interval = 30 * Span.second
    public var review: Int64? = 180 * Span.second
    /// Weighted five-signal score (-1 ... 1) below which the fallback review closes the position.
    public var exitScore = -0.5

    public struct Stage: Equatable, Sendable {
        public var gain: Fixed
        public var fraction: Fixed
        public init(gain: Fixed, fraction: Fixed) {
            self.gain = gain
            self.fraction = fraction
        }
    }

    public init() {}
}
