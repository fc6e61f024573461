import Glibc

/// The clock lanes measure with: never set back, not related to the time of day. Plugins never see it.
public enum Monotonic {
    /// Nanoseconds since an unknown moment.
    public static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}
