import Glibc
import PluginAPI

/// The host's clock in a check: real time from a fixed start, plus jumps. Plugins read no other clock, so a check can
/// make a minute pass at once.
final class CheckClock {
    /// Monday 2026-01-05 00:00:00 UTC.
    static let start: keel_time = 1_767_571_200_000_000_000
    private let began = CheckClock.monotonic()
    private var jumped: keel_span = 0
    private var frozenAt: keel_time?

    var now: keel_time { frozenAt ?? CheckClock.start &+ (CheckClock.monotonic() &- began) &+ jumped }

    func jump(_ span: keel_span) {
        if let frozen = frozenAt { frozenAt = frozen &+ span } else { jumped &+= span }
    }

    /// Time moves by jumps only: what a plugin says can't depend on how fast the machine is.
    func freeze() { frozenAt = now }

    /// Time that passed for this process: waiting for a processor on a busy machine doesn't count, sleeping does.
    static func own() -> Int64 {
        // Run time, time waited on a run queue, and slices, in nanoseconds; absent where the kernel keeps no such account.
        let words = readFile("/proc/self/schedstat").map { String(decoding: $0, as: UTF8.self).split(separator: " ") } ?? []
        return monotonic() - (words.count > 1 ? Int64(words[1]) ?? 0 : 0)
    }

    static func monotonic() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}

extension keel_span {
    static func milliseconds(_ count: Int64) -> keel_span { count &* 1_000_000 }
    static func seconds(_ count: Int64) -> keel_span { count &* 1_000_000_000 }
}
