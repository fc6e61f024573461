/// How often an instance may break before the host leaves it alone: back-off, and a budget of three in ten minutes.
public struct Supervisor: Equatable, Sendable {
    public enum Verdict: Equatable, Sendable {
        /// Start it again after so long.
        case restart(after: Int64)
        /// It broke too often: it stays down until an operator restarts the host.
        case quarantine
    }

    public static let budget = 3
    public static let window: Int64 = 600_000_000_000
    static let firstPause: Int64 = 200_000_000

    private var failures: [Int64] = []
    public private(set) var isQuarantined = false

    public init() {}

    /// It broke at `time`.
    public mutating func broke(at time: Int64) -> Verdict {
        failures.removeAll { time - $0 >= Supervisor.window }
        failures.append(time)
        if isQuarantined || failures.count >= Supervisor.budget {
            isQuarantined = true
            return .quarantine
        }
        return .restart(after: Supervisor.firstPause << Int64(failures.count - 1))
    }
}
