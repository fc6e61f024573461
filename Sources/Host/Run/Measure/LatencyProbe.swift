/// Measures, inside the engine's loop, how long it is from taking in a market event to calling the broker's submit.
public final class LatencyProbe {
    private var began: Int64 = 0
    private var armed = false
    public private(set) var times: [Int64] = []

    public init(capacity: Int) { times.reserveCapacity(capacity) }

    @inline(__always)
    func tick() {
        began = HostClock.monotonic()
        armed = true
    }

    /// The first submit after a tick; those that follow from fills belong to no tick.
    @inline(__always)
    func submit() {
        guard armed, times.count < times.capacity else { return }
        times.append(HostClock.monotonic() - began)
        armed = false
    }
}

/// Nanoseconds, and what they come to.
public struct Latency: Sendable, Equatable {
    public var count: Int
    public var p50: Int64
    public var p99: Int64
    public var most: Int64

    public init(_ times: [Int64]) {
        let sorted = times.sorted()
        func at(_ part: Double) -> Int64 { sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))] }
        count = sorted.count
        p50 = at(0.5)
        p99 = at(0.99)
        most = sorted.last ?? 0
    }
}
