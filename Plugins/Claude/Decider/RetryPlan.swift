import PluginKit

/// Whether and when to try again: pure, so that every rule can be tested.
public struct RetryPlan: Sendable {
    public enum Step: Equatable, Sendable {
        case stop
        case again(after: Int64)
        /// One more call that lists what was wrong.
        case repair
    }

    public var attempts: Int
    private var made = 0
    private var repaired = false
    private var random: SeededGenerator

    public init(attempts: Int, seed: UInt64) {
        self.attempts = attempts
        random = SeededGenerator(seed: seed)
    }

    /// `left`: nanoseconds to the deadline. A call needs time too, so a wait that leaves less than `reserve` is no wait.
    public mutating func next(after outcome: CallOutcome, left: Int64, reserve: Int64 = 1_000_000_000) -> Step {
        made += 1
        switch outcome {
        case .answer, .refused, .spendLimit, .authentication, .billing, .notFound, .badRequest, .timedOut: return .stop
        case .truncated, .malformed, .invalid:
            // A repair costs a whole call: once, and only where the form was wrong, never what the model declined.
            guard !repaired, made < attempts, left > reserve else { return .stop }
            repaired = true
            return .repair
        case .rateLimited(let after), .overloaded(let after), .server(_, let after):
            return again(after, left: left, reserve: reserve)
        case .network: return again(nil, left: left, reserve: reserve)
        }
    }

    private mutating func again(_ asked: Int64?, left: Int64, reserve: Int64) -> Step {
        guard made < attempts else { return .stop }
        let growing = min(500_000_000 << Int64(min(made - 1, 4)), 8_000_000_000)
        let jittered = Int64(Double(growing) * (1 - 0.25 * random.uniform()))
        // What the service asks for is honoured up to our own deadline and not beyond.
        let wait = max(asked ?? 0, jittered)
        return wait < left - reserve ? .again(after: wait) : .stop
    }
}
