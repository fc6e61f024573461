import PluginKit

/// Average true range after Wilder, seeded as TA-Lib does: the first bar only lends its close, the seed is the mean of the
/// next `period` true ranges, and from then on `(previous * (period - 1) + range) / period`.
public struct Atr: Sendable, Equatable, Codable {
    public private(set) var count = 0
    public private(set) var close = 0.0
    private var sum = 0.0
    private var average = 0.0

    public init() {}

    /// Nil until `period` true ranges were seen.
    public func value(period: Int) -> Double? { count > period ? average : nil }

    public mutating func add(high: Double, low: Double, close newClose: Double, period: Int) {
        defer {
            close = newClose
            count += 1
        }
        guard count > 0, period > 0 else { return }
        let range = max(high - low, abs(high - close), abs(low - close))
        if count < period {
            sum += range
        } else if count == period {
            sum += range
            average = sum / Double(period)
        } else {
            average = (average * Double(period - 1) + range) / Double(period)
        }
    }
}
