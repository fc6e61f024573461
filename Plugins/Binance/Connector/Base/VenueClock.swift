/// What time it is at the venue, from what it said and how long the saying took.
///
/// Binance takes a timestamp that is late by up to recvWindow, but early by less than a second. So the estimate leans to the late side:
/// the answer is taken to have been on its way for no time, and a timestamp made here is never ahead of the venue's own clock.
public struct VenueClock: Sendable, Equatable {
    public struct Sample: Sendable, Equatable {
        public var sent: Int64  // host clock, nanoseconds
        public var received: Int64
        public var venue: Int64  // milliseconds

        public init(sent: Int64, received: Int64, venue: Int64) {
            self.sent = sent
            self.received = received
            self.venue = venue
        }

        var roundTrip: Int64 { max(0, received &- sent) }
        /// The venue spoke somewhere between `sent` and `received`; seen from `received` it can't be ahead of this.
        var lowest: Int64 { venue &* 1_000_000 &- received }
    }

    private var best: Sample?
    /// A sample serves this long; then a worse but newer one takes its place.
    private static let useful: Int64 = 600_000_000_000

    public init() {}

    public var isKnown: Bool { best != nil }
    /// Of the sample in use, in nanoseconds.
    public var roundTrip: Int64 { best?.roundTrip ?? 0 }
    /// Venue minus host, in nanoseconds.
    public var offset: Int64 { best.map { $0.lowest } ?? 0 }

    /// Takes a sample in if it is the best of the recent ones. A host clock that jumped makes the old ones worthless.
    public mutating func take(_ sample: Sample) {
        guard sample.received >= sample.sent, sample.venue > 0 else { return }
        guard let held = best else {
            best = sample
            return
        }
        let moved = abs(sample.lowest &- held.lowest)
        let explained = sample.roundTrip &+ held.roundTrip &+ 50_000_000
        if sample.roundTrip <= held.roundTrip || sample.received &- held.received > VenueClock.useful || moved > explained { best = sample }
    }

    /// After -1021: whatever was known was wrong.
    public mutating func forget() { best = nil }

    /// The venue's time for this moment of the host's clock, in milliseconds: the number to sign.
    public func milliseconds(_ now: Int64) -> Int64 { (now &+ offset) / 1_000_000 }

    /// A venue time as the host's clock would have shown it, in nanoseconds.
    public func host(_ milliseconds: Int64) -> Int64 { milliseconds &* 1_000_000 &- offset }
}
