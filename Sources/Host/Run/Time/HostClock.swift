import Glibc
import PluginAPI
import Synchronization

/// The clock plugins and the engine see. Real: the machine's. Simulated: moved by the run's own loop, at a chosen speed
/// or as fast as the work allows.
public final class HostClock: Sendable {
    public enum Pace: Equatable, Sendable {
        case real
        /// Simulated time from `start`; `speed` seconds of it a second, nil: as fast as possible.
        case simulated(start: keel_time, speed: Double?)
    }

    public let pace: Pace
    private let current: Atomic<Int64>
    private let origin: Int64

    public init(_ pace: Pace) {
        self.pace = pace
        origin = HostClock.monotonic()
        switch pace {
        case .real: current = Atomic(HostClock.wall())
        case .simulated(let start, _): current = Atomic(start)
        }
    }

    public var isSimulated: Bool { pace != .real }

    /// Any thread. Never runs backwards within a process, even if the machine's clock does.
    public func now() -> keel_time {
        guard pace == .real else { return current.load(ordering: .acquiring) }
        let wall = HostClock.wall()
        let (_, highest) = current.max(wall, ordering: .relaxed)
        return highest
    }

    /// The loop's thread. Moves simulated time forward.
    public func advance(to time: keel_time) {
        guard isSimulated else { return }
        _ = current.max(time, ordering: .releasing)
    }

    /// How long to wait, in real nanoseconds, until the clock shows `time`; 0: now.
    public func wait(until time: keel_time) -> Int64 {
        switch pace {
        case .real: return max(0, time - now())
        case .simulated(_, nil): return 0
        case .simulated(let start, .some(let speed)):
            let due = Double(time - start) / speed
            let passed = Double(HostClock.monotonic() - origin)
            return due > passed ? Int64(min(due - passed, 9e18)) : 0
        }
    }

    /// What a paced simulated clock should show now; nil: the loop decides.
    public func paced() -> keel_time? {
        guard case .simulated(let start, .some(let speed)) = pace else { return nil }
        return start + Int64(Double(HostClock.monotonic() - origin) * speed)
    }

    public static func wall() -> Int64 { read(CLOCK_REALTIME) }
    public static func monotonic() -> Int64 { read(CLOCK_MONOTONIC) }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
