import PluginAPI

/// How instances run in workers.
public struct IsolationSettings: Sendable {
    /// The keel program (or a test's), which is started as `worker`.
    public var program: String
    /// Bytes of memory a worker may use; nil: no limit.
    public var memoryLimit: UInt64?
    /// Descriptors it may have open.
    public var openFiles: UInt64
    /// For a new worker to be ready for its instance.
    public var startLimit: keel_span
    /// For one call.
    public var callLimit: keel_span
    public var pace: Pace

    public enum Pace: Sendable {
        /// The worker's clock follows the host's in real time; calls that return nothing are one-way.
        case live
        /// The worker's clock stands still between calls, its timers are the host's, and every call waits for its end: a deterministic
        /// component gives the same events as in-process, in the same order. For backtests and checks.
        case lockstep
    }

    public init(
        program: String = "/proc/self/exe", memoryLimit: UInt64? = 2 << 30, openFiles: UInt64 = 4096, startLimit: keel_span = 5_000_000_000,
        callLimit: keel_span = 2_000_000_000, pace: Pace = .live
    ) {
        self.program = program
        self.memoryLimit = memoryLimit
        self.openFiles = openFiles
        self.startLimit = startLimit
        self.callLimit = callLimit
        self.pace = pace
    }
}

/// Why a worker is gone.
public enum WorkerCause: Hashable, Sendable, CustomStringConvertible {
    case ended(ChildEnd)
    /// A call took longer than its limit; the worker was killed.
    case hung(call: String)
    /// It used more memory than it may.
    case leaked(used: UInt64, limit: UInt64)
    /// It sent what no worker sends; it was killed.
    case garbage(String)
    /// It could not be started.
    case notStarted(String)

    public var description: String {
        switch self {
        case .ended(let end): "it ended with \(end)"
        case .hung(let call): "it hung in \(call)"
        case .leaked(let used, let limit): "leak limit: it used \(used >> 20) MiB, \(limit >> 20) MiB are allowed"
        case .garbage(let what): "it sent garbage: \(what)"
        case .notStarted(let why): "it could not be started: \(why)"
        }
    }
}

/// What happens to a worker, for the host's operators and safety rules.
public enum WorkerEvent: Hashable, Sendable {
    case started(pid: Int32)
    /// `inDoubt`: orders whose fate the host must find out; each was also reported as ORDER IN_DOUBT.
    case died(WorkerCause, inDoubt: [OrderID])
    case restarting(after: keel_span)
    /// `mustSync`: it is a broker; it takes no order until a sync has ended well.
    case restarted(took: keel_span, mustSync: Bool)
    /// The sync after a restart ended well; orders are taken again.
    case synced
    /// It died too often and is left alone until an operator says otherwise.
    case quarantined(String)

    public struct OrderID: Hashable, Sendable {
        public let hi: UInt64
        public let lo: UInt64
        public init(_ id: keel_id) { (hi, lo) = (id.hi, id.lo) }
        public var keel: keel_id { keel_id(hi: hi, lo: lo) }
    }
}

/// Told on the instance's lane. Keep `budget` (its JSON) across restarts of the host, so that a quarantine survives them.
public protocol WorkerObserver: AnyObject, Sendable {
    func worker(of instance: String, _ event: WorkerEvent, budget: CrashBudget)
    /// A decider's `observe` answered KEEL_ASK in a one-way call. Return false to have the next `observe` answer it instead.
    func workerAsks(of instance: String, instrument: keel_instrument_id) -> Bool
}

extension WorkerObserver {
    public func workerAsks(of instance: String, instrument: keel_instrument_id) -> Bool { false }
}
