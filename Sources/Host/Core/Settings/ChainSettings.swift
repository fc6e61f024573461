import PluginKit

/// Who decides: a primary and fallbacks in order, each a plugin name.
public struct ChainSettings: Equatable, Sendable {
    public var primary: String
    public var fallbacks: [String]
    /// For each decider of the chain; `deadlines` overrides it by name.
    public var deadline = 8 * Span.second
    public var deadlines: [String: Int64] = [:]
    /// Circuit breaker: so many failures in a row open it, one trial call after the pause.
    public var failures = 3
    public var pause = 15 * Span.minute
    /// Money the chain may spend on answers a UTC day, in US dollars; nil: no cap. Checked before the call.
    public var dailyCost: Amount?
    /// What one call is assumed to cost when checked against the cap, until a real figure is known.
    public var assumedCost = Amount(raw: 5_000_000)
    /// The first fallback also answers what the primary saw, for comparison only.
    public var shadow = false
    /// How long the primary's HOLD stands for what it would be asked again, while nothing has moved; nil: it is always asked.
    public var reuse: Int64?
    /// A price that moved by more than this share has moved.
    public var reuseMove = Fixed(raw: 200_000)
    /// A decision on a snapshot older than this is refused.
    public var maximumAge = 30 * Span.second

    public init(primary: String, fallbacks: [String] = []) {
        self.primary = primary
        self.fallbacks = fallbacks
    }
}
