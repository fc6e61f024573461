/// The review of a position when no decider answers: five signals, each from -1 (leave) to 1 (stay), weighted. Signals that
/// are not known leave their weight to the others; nil if none is.
///
///     trend     0.30   mean close of the last 5 bars over that of the last 20, in average true ranges
///     momentum  0.20   close against the close 10 bars before, in average true ranges times the root of 10
///     profit    0.20   gain or loss, in units of the stop loss
///     retreat   0.20   fall from the best price since entry, in units of the trailing stop (0 ... -1)
///     flow      0.10   takers' buying less their selling, as a share of both
public struct ReviewScore: Sendable, Equatable {
    public var trend: Double?
    public var momentum: Double?
    public var profit: Double?
    public var retreat: Double?
    public var flow: Double?

    public init(trend: Double? = nil, momentum: Double? = nil, profit: Double? = nil, retreat: Double? = nil, flow: Double? = nil) {
        self.trend = trend
        self.momentum = momentum
        self.profit = profit
        self.retreat = retreat
        self.flow = flow
    }

    public static let weights = [0.30, 0.20, 0.20, 0.20, 0.10]

    public var value: Double? {
        var sum = 0.0
        var weight = 0.0
        for (signal, share) in zip([trend, momentum, profit, retreat, flow], Self.weights) {
            guard let signal, signal.isFinite else { continue }
            sum += share * min(1, max(-1, signal))
            weight += share
        }
        return weight > 0 ? sum / weight : nil
    }

    /// Trend and momentum from closes, newest first, in a position's direction (1 long, -1 short).
    public static func from(
        closes: [Double], atr: Double?, direction: Double, gain: Double?, stop: Double?, retreat: Double?, trailing: Double?, flow: Double?
    ) -> ReviewScore {
        var score = ReviewScore()
        if let atr, atr > 0 {
            if closes.count >= 20 {
                let fast = closes[..<5].reduce(0, +) / 5
                let slow = closes[..<20].reduce(0, +) / 20
                score.trend = direction * (fast - slow) / atr
            }
            if closes.count >= 11 { score.momentum = direction * (closes[0] - closes[10]) / (atr * 10.0.squareRoot()) }
        }
        if let gain { score.profit = gain / (stop.flatMap { $0 > 0 ? $0 : nil } ?? 0.04) }
        if let retreat { score.retreat = -max(0, retreat) / (trailing.flatMap { $0 > 0 ? $0 : nil } ?? 0.12) }
        if let flow { score.flow = direction * flow }
        return score
    }
}
