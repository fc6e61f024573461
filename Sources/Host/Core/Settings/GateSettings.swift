import PluginKit

/// What lets a market event through to the decider. Each layer can be switched off on its own.
public struct GateSettings: Equatable, Sendable {
    /// Layer 1: a bar of this length closed; nil: off. The default is a quarter of an hour.
    public var candle: Int64? = 15 * Span.minute
    /// Layer 2: the decider's own next check, clamped to these bounds. The first is armed at start + maximum.
    public var timer = true
    public var minimumInterval = 1 * Span.minute
    public var maximumInterval = 15 * Span.minute
    /// Layer 3: |z| of the log return and of the log volume against an exponential window; nil: off.
    public var priceZ: Double? = 3.0
    public var volumeZ: Double? = 4.0
    /// Observations in the exponential window, and how many must have been seen before z counts.
    public var zWindow = 240
    public var zWarmup = 60
    /// Least time between two passes of layer 3.
    public var zCooldown = 1 * Span.minute
    /// Layer 4: conditions the decider asked for, and observe() answering KEEL_ASK.
    public var wakes = true
    public var asks = true
    /// A decision is forced when none was made for this long although events arrive or should; nil: off.
    public var watchdog: Int64? = 5 * Span.minute

    public init() {}
}
