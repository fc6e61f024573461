/// Whether a subscribed stream is alive. A subscription's acknowledgement says nothing (the venue acknowledges misspelt names too), so only what
/// arrives counts, and what other sources say should have arrived.
public struct StreamWatch: Equatable, Sendable {
    public struct Limits: Equatable, Sendable {
        /// A stream that missed something is reported by then. It is looked into after half of it.
        public var freshness: Int64
        /// A quiet market is looked at again at the latest after this time.
        public var longest: Int64

        public init(freshness: Int64, longest: Int64) {
            self.freshness = freshness
            self.longest = max(longest, freshness)
        }
    }

    public enum Verdict: Equatable, Sendable {
        case fresh
        /// Silent for the limit, and it may be the market: ask the venue by another way.
        case doubtful
        /// It missed something, or it speaks once a second and doesn't.
        case stale(silence: Int64)
    }

    /// Speaks at its own pace whatever the market does.
    public let isSteady: Bool
    /// When it was subscribed on its present connection.
    public private(set) var since: Int64
    /// The newest message; 0: none on this connection.
    public private(set) var heard: Int64 = 0
    /// The connection that delivered it.
    public private(set) var heardOn = 0
    /// Since when it is known that something was missed; 0: nothing is.
    private var missedSince: Int64 = 0
    /// When it was last found that the market, not the stream, is silent, and how often in a row.
    private var confirmedAt: Int64 = 0
    private var confirmations = 0

    public init(isSteady: Bool, at now: Int64) {
        self.isSteady = isSteady
        since = now
    }

    @inline(__always)
    public mutating func message(at now: Int64, on connection: Int) {
        heard = now
        heardOn = connection
        missedSince = 0
        confirmations = 0
    }

    /// Another source shows that this stream should have said something by now.
    public mutating func missed(at now: Int64) {
        if missedSince == 0 { missedSince = now }
    }

    /// Another source shows that there was nothing to say.
    public mutating func confirmed(at now: Int64) {
        confirmedAt = now
        confirmations = min(confirmations + 1, 16)
        missedSince = 0
    }

    /// Subscribed anew.
    public mutating func restart(at now: Int64) {
        since = now
        heard = 0
        missedSince = 0
        confirmedAt = 0
        confirmations = 0
    }

    public func silence(at now: Int64) -> Int64 { now - max(since, heard) }

    public func verdict(at now: Int64, _ limits: Limits) -> Verdict {
        let silence = silence(at: now)
        // What was missed may be on its way: the other source is a little ahead of the stream, and candles come every two seconds.
        if missedSince != 0, now - missedSince >= max(limits.freshness / 5 * 2, 3_000_000_000) { return .stale(silence: silence) }
        if silence < limits.freshness / 2 { return .fresh }
        if isSteady { return silence >= limits.freshness ? .stale(silence: silence) : .fresh }
        // Each time the market turns out to be quiet, the next look comes twice as late.
        let wait = confirmations == 0 ? limits.freshness / 2 : min((limits.freshness / 2) << Int64(confirmations), limits.longest)
        return now - max(since, max(heard, confirmedAt)) >= wait ? .doubtful : .fresh
    }
}
