import Glibc
import PluginAPI
import Synchronization

/// How long one call on a lane may take.
public struct LaneLimits: Hashable, Sendable {
    /// Counted.
    public var soft: keel_span
    /// Reported with the instance's name.
    public var hard: keel_span
    /// The instance is taken to hang.
    public var hang: keel_span

    public init(soft: keel_span = 1_000_000, hard: keel_span = 50_000_000, hang: keel_span = 2_000_000_000) {
        self.soft = soft
        self.hard = hard
        self.hang = hang
    }

    /// For lanes whose instances live in a worker: the worker has the 2 s limit, and killing and replacing it takes time too.
    public static let isolated = LaneLimits(hang: 15_000_000_000)
}

/// One call on a lane, for reports.
public struct LaneCall: Hashable, Sendable, CustomStringConvertible {
    public let lane: String
    public let instance: String
    public let what: String

    public init(lane: String, instance: String, what: String) {
        self.lane = lane
        self.instance = instance
        self.what = what
    }

    public var description: String { instance.isEmpty ? what : "\(what) of \(instance)" }
}

/// Who is told about slow and hanging calls.
public protocol LaneObserver: AnyObject, Sendable {
    /// On the lane, after a call took longer than the hard limit.
    func laneWasSlow(_ call: LaneCall, took: keel_span)
    /// On the watchdog's thread, once a call: it runs longer than the hang limit and can't be stopped from here.
    func laneHangs(_ call: LaneCall, since: keel_span)
    /// On the lane: a call reported as hanging returned after all.
    func laneRecovered(_ call: LaneCall, took: keel_span)
}

/// What a lane is doing at the moment, readable from another thread.
final class LaneBeat: Sendable {
    /// 0: idle. Otherwise when the running call began.
    let began = Atomic<Int64>(0)
    let client = Atomic<UInt64>(0)
    /// Address of a static string; static strings live for ever.
    let what = Atomic<UInt>(0)
    let reportedHang = Atomic<Int64>(0)
    let softCount = Atomic<Int>(0)
    let hardCount = Atomic<Int>(0)

    func begin(_ at: Int64, client number: UInt64, what label: StaticString) {
        client.store(number, ordering: .relaxed)
        what.store(label.hasPointerRepresentation ? UInt(bitPattern: label.utf8Start) : 0, ordering: .relaxed)
        began.store(at, ordering: .releasing)
    }

    func end() { began.store(0, ordering: .releasing) }

    var label: String {
        guard let address = UnsafePointer<UInt8>(bitPattern: what.load(ordering: .relaxed)) else { return "call" }
        return String(cString: address)
    }
}

/// Looks at every lane now and then and reports those that hang. One thread a process.
final class Watchdog: Sendable {
    static let shared = Watchdog()

    private struct State {
        var lanes: [ObjectIdentifier: Entry] = [:]
        var running = false
    }
    private struct Entry: @unchecked Sendable { weak var lane: Lane? }
    private let state = Mutex(State())
    private static let interval: useconds_t = 50_000

    func add(_ lane: Lane) {
        let start = state.withLock { state in
            state.lanes[ObjectIdentifier(lane)] = Entry(lane: lane)
            defer { state.running = true }
            return !state.running
        }
        if start { startThread(name: "keel-watchdog") { Watchdog.shared.run() } }
    }

    func remove(_ lane: Lane) { state.withLock { $0.lanes[ObjectIdentifier(lane)] = nil } }

    private func run() {
        while true {
            usleep(Self.interval)
            // The thread ends when the last lane is gone; the next lane starts it again.
            let lanes: [Lane]? = state.withLock { state in
                state.lanes = state.lanes.filter { $0.value.lane != nil }
                if state.lanes.isEmpty { state.running = false; return nil }
                return state.lanes.values.compactMap(\.lane)
            }
            guard let lanes else { return }
            let now = Monotonic.now()
            for lane in lanes { lane.look(now) }
        }
    }
}

/// A detached OS thread with the signals that belong to the process blocked.
@discardableResult
func startThread(name: String, _ body: @escaping @Sendable () -> Void) -> Bool {
    final class Start: Sendable {
        let name: String
        let body: @Sendable () -> Void
        init(_ name: String, _ body: @escaping @Sendable () -> Void) { (self.name, self.body) = (name, body) }
    }
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(Start(name, body))
    let result = pthread_create(
        &thread, &attributes,
        { raw in
            guard let raw else { return nil }
            let start = Unmanaged<Start>.fromOpaque(raw).takeRetainedValue()
            blockProcessSignals()
            nameThisThread(start.name)
            start.body()
            return nil
        }, argument.toOpaque())
    if result != 0 { argument.release() }
    return result == 0
}
