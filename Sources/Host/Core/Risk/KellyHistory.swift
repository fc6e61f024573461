import PluginKit

/// Profits of the last closed positions as fractions of what was committed, oldest first.
public struct KellyHistory: Sendable, Equatable, Codable {
    public static let capacity = 256
    private var ring: [Fixed] = []
    private var oldest = 0
    public init() {}

    public mutating func add(_ profit: Fixed) {
        if ring.count < Self.capacity {
            ring.append(profit)
        } else {
            ring[oldest] = profit
            oldest = (oldest + 1) % Self.capacity
        }
    }

    /// Oldest first.
    public var returns: [Fixed] { Array(ring[oldest...] + ring[..<oldest]) }

    /// The full Kelly fraction p/l - q/w of the equity to commit: win probability p, average loss l and average win w as
    /// fractions of the stake. nil: too few trades, or nothing was ever lost (unbounded, so other limits rule).
    public func fraction(atLeast trades: Int) -> Double? {
        guard ring.count >= max(trades, 1) else { return nil }
        var wins = 0, losses = 0
        var won = 0.0, lost = 0.0
        for profit in ring {
            if profit.isPositive { wins += 1; won += profit.double } else if profit.isNegative { losses += 1; lost -= profit.double }
        }
        guard losses > 0 else { return nil }
        guard wins > 0 else { return 0 }
        let total = Double(ring.count)
        let p = Double(wins) / total, q = Double(losses) / total
        return max(0, p / (lost / Double(losses)) - q / (won / Double(wins)))
    }
}
