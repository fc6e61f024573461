import Glibc
import PluginAPI
import Synchronization

/// A lane that is the caller's own thread: no loop, no queue hop, and the host's time instead of the machine's.
///
/// The engine uses it for instances that run on its own thread (KEEL_COMPONENT_INLINE). It says when time moves (`advance`) and
/// when wakes are delivered (`deliverWakes`), so the same inputs give the same calls in the same order.
public final class InlineLane: InstanceLane, @unchecked Sendable {
    private let thread: Atomic<UInt>
    private let woken = Mutex<[any LaneClient]>([])
    private let anyWoken = Atomic<Bool>(false)
    // Touched on the lane's thread only.
    private var timers = TimerQueue()
    /// The host's time, as last said by `advance`.
    public private(set) var now: keel_time

    /// The calling thread becomes the lane.
    public init(now: keel_time = 0) {
        self.now = now
        thread = Atomic(UInt(pthread_self()))
    }

    /// The calling thread becomes the lane, before any instance exists (a sweep builds on one thread and runs on another).
    public func adopt() { thread.store(UInt(pthread_self()), ordering: .relaxed) }

    public var isCurrent: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

    /// When the next timer is due.
    public func nextDeadline() -> keel_time? { timers.next() }

    /// Moves time to `time`, calling every timer due on the way in order of its deadline, with `now` at that deadline.
    /// Time never goes back.
    public func advance(to time: keel_time) {
        while let deadline = timers.next(), deadline <= time {
            now = max(now, deadline)
            if let timer = timers.takeDue(now, everyPeriod: true) { timer.client.laneTimer(timer.id, tag: timer.tag) }
        }
        now = max(now, time)
    }

    /// True if a client asked to be woken.
    public var hasWakes: Bool { anyWoken.load(ordering: .acquiring) }

    /// Calls every client that asked to be woken, in the order they asked.
    public func deliverWakes() {
        guard anyWoken.exchange(false, ordering: .acquiringAndReleasing) else { return }
        let clients = woken.withLock { clients in
            defer { clients.removeAll(keepingCapacity: true) }
            return clients
        }
        for client in clients where client.laneMark.wakePending.exchange(false, ordering: .acquiringAndReleasing) { client.laneWoken() }
    }

    public func attach(_ client: any LaneClient) {}

    public func forget(_ client: any LaneClient) {
        timers.removeAll(of: client)
        woken.withLock { $0.removeAll { $0 === client } }
        client.laneMark.wakePending.store(false, ordering: .releasing)
    }

    public func addTimer(
        for client: any LaneClient, delay: keel_span, period: keel_span, tag: UInt64, id: inout UInt64
    ) -> keel_status {
        guard isCurrent else { return KEEL_E_STATE }
        guard delay >= 0, period >= 0 else { return KEEL_E_INVALID }
        guard timers.count(of: client) < LaneBounds.timers else { return KEEL_E_AGAIN }
        let (deadline, overflow) = now.addingReportingOverflow(delay)
        if overflow { return KEEL_E_RANGE }
        id = timers.add(for: client, deadline: deadline, period: period, tag: tag)
        return KEEL_OK
    }

    public func removeTimer(_ id: UInt64, for client: any LaneClient) -> keel_status {
        guard isCurrent else { return KEEL_E_STATE }
        return timers.remove(id, for: client) ? KEEL_OK : KEEL_E_NOT_FOUND
    }

    /// An inline instance does no I/O.
    public func watch(_ fd: Int32, interest: UInt32, for client: any LaneClient) -> keel_status { KEEL_E_UNSUPPORTED }

    public func wake(_ client: any LaneClient) -> keel_status {
        if client.laneMark.wakePending.exchange(true, ordering: .acquiringAndReleasing) { return KEEL_OK }
        woken.withLock { $0.append(client) }
        anyWoken.store(true, ordering: .releasing)
        return KEEL_OK
    }
}
