import HostPlugins
import PluginAPI

/// The engine's thread as the lane of every instance of a backtest. Knows at any moment, at the cost of reading a number,
/// when it must be attended to: the tape's loop asks before every event.
final class BacktestLane: InstanceLane, @unchecked Sendable {  // one thread
    private let inner = InlineLane()
    /// When the next timer is due; in the past if someone wants to be woken.
    private(set) var due = Int64.max

    /// Emitted from here on is queued: a plugin is being called, and not by the engine.
    private(set) var isCalling = false

    var isCurrent: Bool { inner.isCurrent }
    func attach(_ client: any LaneClient) { inner.attach(client) }

    func forget(_ client: any LaneClient) {
        inner.forget(client)
        look()
    }

    func addTimer(for client: any LaneClient, delay: keel_span, period: keel_span, tag: UInt64, id: inout UInt64) -> keel_status {
        let status = inner.addTimer(for: client, delay: delay, period: period, tag: tag, id: &id)
        look()
        return status
    }

    func removeTimer(_ id: UInt64, for client: any LaneClient) -> keel_status {
        let status = inner.removeTimer(id, for: client)
        look()
        return status
    }

    func watch(_ fd: Int32, interest: UInt32, for client: any LaneClient) -> keel_status { inner.watch(fd, interest: interest, for: client) }

    func wake(_ client: any LaneClient) -> keel_status {
        let status = inner.wake(client)
        due = .min
        return status
    }

    private func look() { due = inner.hasWakes ? .min : inner.nextDeadline() ?? .max }

    var nextTimer: Int64? { inner.nextDeadline() }
    var hasWakes: Bool { inner.hasWakes }

    /// Lets time stand at `time` for timers that are set from now on.
    func settle(at time: Int64) {
        if time > inner.now, (inner.nextDeadline() ?? .max) > time { inner.advance(to: time) }
    }

    func deliverWakes() {
        isCalling = true
        inner.deliverWakes()
        isCalling = false
        look()
    }

    /// Calls the timers due by `time`.
    func advance(to time: Int64) {
        isCalling = true
        inner.advance(to: time)
        isCalling = false
        look()
    }

    /// A call of an instance's life, made here and not by the engine.
    func calling<T>(_ body: () throws -> T) rethrows -> T {
        isCalling = true
        defer { isCalling = false }
        return try body()
    }
}
