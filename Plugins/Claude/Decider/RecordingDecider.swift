import PluginAPI
import PluginKit

/// Fills the gaps of a record for `keel decisions record`: answers from stored replies where there are any, and calls where
/// there are none, waiting for the answer, as long as the stated budget lasts. Never part of a live pipeline: it holds up its
/// caller. With a budget of 0 it calls nobody and counts what is missing; a gap is a HOLD.
public final class RecordingDecider: Decider, Describing {
    public static let wants = ClaudeDecider.wants
    public static let barsWanted = ClaudeDecider.barsWanted

    static let shape = ClaudeSettings.recordingShape

    private let host: Host
    private let settings: ClaudeSettings
    private let budget: Amount
    private let reactor = PollReactor()
    private var caller: ModelCaller?
    private var book: RecordBook?
    private var spent = Amount.zero
    private var estimate = Amount.zero
    private var answered = 0
    private var missing = 0
    private var recorded = 0
    private var failures = 0
    private var isOut = false

    public init(host: Host, name: String, config: JSONValue) throws {
        self.host = host
        settings = try ClaudeSettings(config)
        budget = try config["budget"].amount
        if settings.record.isEmpty { throw PluginError.invalid("record: name the file the replies are to be stored in") }
    }

    public func start() throws {
        book = try RecordBook(path: settings.record, writing: budget.isPositive, mayBeMissing: true)
        if budget.isPositive { caller = ModelCaller(settings, credential: try ModelCaller.credential(settings, host), on: reactor) }
    }

    public func stop(_ stopping: Stopping) throws {
        caller?.close()
        caller = nil
        stopping.done()
    }

    public func describe() -> JSONValue {
        [
            "stored_replies": JSONValue(book?.replies.count ?? 0), "answered": JSONValue(answered), "missing": JSONValue(missing),
            "recorded": JSONValue(recorded), "failed": JSONValue(failures), "estimate_usd": JSONValue(estimate), "spent_usd": JSONValue(spent),
            "out_of_budget": JSONValue(isOut),
        ]
    }

    public func decide(_ snapshot: Snapshot, deadline: Int64, _ request: Request) throws {
        let asked = try ModelRequest(settings, snapshot)
        if let reply = book?.replies[asked.key] {
            answered += 1
            return try reply.answer(request, snapshot, settings, now: host.now)
        }
        missing += 1
        let most = settings.mostCost(of: asked) ?? settings.maxCallCost
        estimate = (try? estimate.adding(most)) ?? estimate
        // Nothing decided means hold: a gap must not look like a failure, whose breaker would hide the gaps after it.
        guard let caller else { return request.done() }
        try settings.checkCost(asked)
        guard let sum = try? spent.adding(most), sum <= budget else {
            isOut = true
            return request.done()
        }
        let before = spent
        let reply = try ask(caller, asked, snapshot)
        let stored = StoredReply(asked.key, reply, at: host.now)
        if case .answer = reply.outcome {
            recorded += 1
            do throws(RecordError) { try book?.add(stored) } catch { throw PluginError(.internalFault, "\(error)") }
        } else {
            // What failed today may be answered tomorrow: a gap stays a gap.
            failures += 1
        }
        try stored.answer(request, snapshot, settings, now: host.now, cost: (try? spent.subtracting(before)) ?? .zero)
    }

    /// Real time passes here, market time stands still.
    private func ask(_ caller: ModelCaller, _ first: ModelRequest, _ snapshot: Snapshot) throws -> CallReply {
        var plan = RetryPlan(attempts: settings.attempts, seed: settings.seed)
        let end = reactor.now() &+ settings.timeout
        var request = first
        while true {
            var reply: CallReply?
            let run = try caller.send(request, timeout: max(end &- reactor.now(), 1_000_000), last: snapshot.last) { reply = $0 }
            reactor.run(limit: max(end &- reactor.now(), 0) &+ 1_000_000_000) { reply != nil }
            run?.end()
            let came = reply ?? CallReply(.timedOut)
            spent = (try? spent.adding(came.cost)) ?? spent
            switch plan.next(after: came.outcome, left: end &- reactor.now()) {
            case .stop: return came
            case .again(let wait):
                var over = false
                let timer = reactor.after(wait) { over = true }
                reactor.run(limit: wait &+ 1_000_000_000) { over }
                reactor.cancelTimer(timer)
            case .repair: request = try ModelRequest(settings, snapshot, repair: came.outcome.repairWords)
            }
        }
    }
}
