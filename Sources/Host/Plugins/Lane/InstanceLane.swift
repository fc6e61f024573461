import PluginAPI
import Synchronization

/// The one thread an instance lives on, as the instance's host table needs it.
///
/// Two kinds: `Lane`, an OS thread with an epoll loop and real time, and `InlineLane`, the caller's own thread and the
/// host's (in a backtest: simulated) time. Several clients may share one; their calls never overlap.
public protocol InstanceLane: AnyObject, Sendable {
    /// True on the lane's thread: the check behind every [lane] tag.
    var isCurrent: Bool { get }

    /// [any] Before anything else for this client.
    func attach(_ client: any LaneClient)
    /// [lane] Removes the client with its timers, watches and wakes: nothing of it can fire later.
    func forget(_ client: any LaneClient)

    /// [lane] `period` 0: once. The new timer's id, never 0, in `id`.
    func addTimer(for client: any LaneClient, delay: keel_span, period: keel_span, tag: UInt64, id: inout UInt64) -> keel_status
    /// [lane] KEEL_E_NOT_FOUND if the client has no such timer.
    func removeTimer(_ id: UInt64, for client: any LaneClient) -> keel_status
    /// [lane] `interest` of KEEL_READABLE and KEEL_WRITABLE; 0 forgets the descriptor.
    func watch(_ fd: Int32, interest: UInt32, for client: any LaneClient) -> keel_status
    /// [any] Leads to one `laneWoken`, however often it was called before that.
    func wake(_ client: any LaneClient) -> keel_status
}

/// What a lane calls back, always on its thread.
public protocol LaneClient: AnyObject, Sendable {
    /// Who is blamed for a slow or hanging call.
    var laneName: String { get }
    var laneMark: LaneMark { get }
    func laneTimer(_ id: UInt64, tag: UInt64)
    func laneReady(_ fd: Int32, ready: UInt32)
    func laneWoken()
}

/// A client's identity on lanes: a number, so that a watchdog can read it from another thread.
public final class LaneMark: Sendable {
    public let number: UInt64
    let wakePending = Atomic<Bool>(false)
    private static let last = Atomic<UInt64>(0)

    public init() { number = Self.last.wrappingAdd(1, ordering: .relaxed).newValue }
}

/// What one client may have at once.
enum LaneBounds {
    static let timers = 4096
    static let watches = 4096
}
