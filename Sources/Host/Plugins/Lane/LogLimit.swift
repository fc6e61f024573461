import PluginAPI

/// How many lines an instance may write: a bucket of tokens filled by the host's clock. A value without a clock of its own.
struct LogLimit {
    static let burst = 200
    static let perSecond = 50

    private var tokens = burst
    private var filledAt: keel_time = 0
    private var dropped = 0

    enum Verdict: Equatable {
        /// Write it, after saying how many were dropped before it.
        case write(droppedBefore: Int)
        case drop
    }

    mutating func admit(_ now: keel_time) -> Verdict {
        let (passed, overflow) = now.subtractingReportingOverflow(filledAt)
        if overflow || passed < 0 {
            // The clock was set back: start again from here.
            filledAt = now
        } else {
            let fresh = passed / (1_000_000_000 / Int64(Self.perSecond))
            if fresh > 0 {
                tokens = Int(min(Int64(Self.burst), Int64(tokens) + min(fresh, Int64(Self.burst))))
                filledAt = now - passed % (1_000_000_000 / Int64(Self.perSecond))
            }
        }
        guard tokens > 0 else {
            dropped += 1
            return .drop
        }
        tokens -= 1
        defer { dropped = 0 }
        return .write(droppedBefore: dropped)
    }
}
