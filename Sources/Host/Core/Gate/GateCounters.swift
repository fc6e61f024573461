import PluginAPI

/// What the gate saw and let through. A pass may have several reasons, so the layers may add up to more than `passed`.
public struct GateCounters: Sendable, Equatable, Codable {
    public var events: UInt64 = 0
    /// Of `events`, those that were let through; timers pass without an event and count in `timerPasses`.
    public var passed: UInt64 = 0
    public var timerPasses: UInt64 = 0
    public var candle: UInt64 = 0
    public var timer: UInt64 = 0
    public var priceZ: UInt64 = 0
    public var volumeZ: UInt64 = 0
    public var wake: UInt64 = 0
    public var asked: UInt64 = 0
    public var review: UInt64 = 0
    public var watchdog: UInt64 = 0
    /// Would have passed, but: an answer was awaited, entries were impossible anyway, the market data was stale.
    public var busy: UInt64 = 0
    public var blocked: UInt64 = 0
    public var stale: UInt64 = 0
    /// Was not asked because the last HOLD still stands: nothing had moved.
    public var reused: UInt64 = 0

    public init() {}

    /// Share of the events that passed.
    public var share: Double { events == 0 ? 0 : Double(passed) / Double(events) }

    mutating func count(_ bits: UInt32) {
        if bits & KEEL_GATE_CANDLE != 0 { candle &+= 1 }
        if bits & KEEL_GATE_TIMER != 0 { timer &+= 1 }
        if bits & KEEL_GATE_PRICE_Z != 0 { priceZ &+= 1 }
        if bits & KEEL_GATE_VOLUME_Z != 0 { volumeZ &+= 1 }
        if bits & KEEL_GATE_WAKE != 0 { wake &+= 1 }
        if bits & KEEL_GATE_ASKED != 0 { asked &+= 1 }
        if bits & KEEL_GATE_REVIEW != 0 { review &+= 1 }
        if bits & KEEL_GATE_WATCHDOG != 0 { watchdog &+= 1 }
    }
}
