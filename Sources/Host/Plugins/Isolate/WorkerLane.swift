import PluginAPI
import Synchronization

/// The host's clock as a worker knows it: set by every frame. Live, it runs on between frames; in lockstep it stands still. It
/// never goes back.
final class WorkerClock: Sendable {
    /// Live: host time minus monotonic time. Lockstep: host time.
    private let value = Atomic<Int64>(0)
    private let still = Atomic<Bool>(false)
    private let latest = Atomic<Int64>(0)

    func standsStill(_ on: Bool) {
        if on == still.exchange(on, ordering: .relaxed) { return }
        value.store(on ? latest.load(ordering: .relaxed) : value.load(ordering: .relaxed), ordering: .relaxed)
    }

    func set(_ now: keel_time) {
        value.store(still.load(ordering: .relaxed) ? now : now &- Monotonic.now(), ordering: .relaxed)
        latest.max(now, ordering: .relaxed)
    }

    func now() -> keel_time {
        let base = value.load(ordering: .relaxed)
        let time = still.load(ordering: .relaxed) ? base : base &+ Monotonic.now()
        return latest.max(time, ordering: .relaxed).newValue
    }
}

/// An instance's lane in lockstep: the worker's thread, the host's timers, and wakes before the call's reply.
final class WorkerLane: InstanceLane, @unchecked Sendable {
    private let lane: Lane
    private unowned let side: WorkerSide
    private let inline = InlineLane()

    init(_ lane: Lane, _ side: WorkerSide) {
        self.lane = lane
        self.side = side
        inline.adopt()
    }

    var isCurrent: Bool { lane.isCurrent }
    func attach(_ client: any LaneClient) { lane.attach(client) }

    func forget(_ client: any LaneClient) {
        inline.forget(client)
        lane.forget(client)
    }

    func addTimer(for client: any LaneClient, delay: keel_span, period: keel_span, tag: UInt64, id: inout UInt64) -> keel_status {
        side.hostTimer(delay: delay, period: period, tag: tag, id: &id)
    }

    func removeTimer(_ id: UInt64, for client: any LaneClient) -> keel_status { side.hostTimerStop(id) }

    func watch(_ fd: Int32, interest: UInt32, for client: any LaneClient) -> keel_status { lane.watch(fd, interest: interest, for: client) }

    func wake(_ client: any LaneClient) -> keel_status { inline.wake(client) }
    func deliverWakes() { inline.deliverWakes() }
}
