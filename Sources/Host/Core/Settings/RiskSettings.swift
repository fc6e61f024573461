import PluginKit

/// Every limit of the gate in front of the broker. nil: not limited. Entries are blocked by a breach, protective exits pass.
public struct RiskSettings: Equatable, Sendable {
    /// Most of the equity one decision may commit.
    public var maximumFraction = Fixed(raw: 10_000_000)  // 10 %
    /// Entries need equity, and none is larger than its fraction of it. Off in backtests only, to compare with programs that know no limits.
    public var limitsByEquity = true
    public var maximumOrder: Amount?
    public var maximumPosition: Amount?
    /// Sum of all open positions of the pipeline, as a multiple of its equity.
    public var maximumExposure: Fixed? = .one
    /// Loss since the start of the UTC day, as a fraction of the equity then; opens the breaker until the next day.
    public var dailyLoss: Fixed? = Fixed(raw: 5_000_000)  // 5 %
    /// Fall from the equity's peak; opens the breaker until an operator resets it.
    public var drawdown: Fixed? = Fixed(raw: 20_000_000)  // 20 %
    /// Losing trades in a row; opens the breaker for `streakPause`.
    public var losingStreak: Int? = 5
    public var streakPause = 4 * Span.hour
    public var ordersPerMinute: Int? = 30
    /// A limit price, or the last price against the snapshot's, may be off by so much.
    public var priceCollar: Fixed? = Fixed(raw: 5_000_000)  // 5 %
    /// Least time between an exit and the next entry of an instrument, and between an entry and a decider's exit.
    public var cooldown: Int64 = 1 * Span.minute
    public var minimumHold: Int64 = 0
    /// Market data older than this blocks entries.
    public var freshness: Int64? = 90 * Span.second
    /// Difference of the venue's clock and ours that blocks entries.
    public var clockSkew: Int64? = 1 * Span.second
    public var allowShort = false
    /// Share of the full Kelly fraction that caps a size once there are `kellyTrades` closed trades; nil: off.
    public var kelly: Fixed? = Fixed(raw: 25_000_000)
    public var kellyTrades = 30
    /// How long an order may stay unconfirmed before it is in doubt.
    public var orderTimeout = 5 * Span.second

    public init() {}
}
