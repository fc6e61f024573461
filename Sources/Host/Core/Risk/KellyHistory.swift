import PluginKit

/// Profits of the last closed positions as fractions of what was committed, oldest first.
public struct KellyHistory: Sendable, Equatable, Codable {
    public static let capacity = 256
    private var ring: [Fixed] = []
    private var oldest = 0
    // Kept up to date, so that a snapshot need not go through all of them. Sums of whole steps, so that nothing drifts.
    private var wins = 0
    private var losses = 0
    private var won: Int64 = 0
    private var lost: Int64 = 0
    public init() {}

    public mutating func add(_ profit: Fixed) {
        // A profit of more than ten thousand times the stake says nothing that a smaller one would not.
        let bound = 10_000 * Fixed.scale
        let profit = Fixed(raw: min(max(profit.raw, -bound), bound))
        if ring.count < Self.capacity {
            ring.append(profit)
        } else {
            count(ring[oldest], sign: -1)
            ring[oldest] = profit
            oldest = (oldest + 1) % Self.capacity
        }
        count(profit, sign: 1)
    }

    private mutating func count(_ profit: Fixed, sign: Int) {
        if profit.isPositive {
            wins += sign
            won += Int64(sign) * profit.raw
        } else if profit.isNegative {
            losses += sign
            lost -= Int64(sign) * profit.raw
        }
    }

    /// Oldest first.
    public var returns: [Fixed] { Array(ring[oldest...] + ring[..<oldest]) }

    /// The full Kelly fraction p/l - q/w of the equity to commit: win probability p, average loss l and average win w as
    /// fractions of the stake. nil: too few trades, or nothing was ever lost (unbounded, so other limits rule).
    public func fraction(atLeast trades: Int) -> Double? {
        guard ring.count >= max(trades, 1) else { return nil }
        guard losses > 0 else { return nil }
        guard wins > 0 else { return 0 }
        let total = Double(ring.count)
        let p = Double(wins) / total, q = Double(losses) / total
        return max(0, p / (Fixed(raw: lost).double / Double(losses)) - q / (Fixed(raw: won).double / Double(wins)))
    }
}
