import PluginAPI
import PluginKit

/// What one decision needs while it waits for the model. The snapshot itself is gone when `decide` returns.
private final class Pending {
    let request: Request
    let instrument: UInt32
    let hash: keel_hash
    let last: Fixed
    let allowance: Allowance
    let deadline: Int64
    let standing: JSONValue
    let moving: JSONValue
    var plan: RetryPlan
    /// Of its first request: what its end is stored under.
    var key = ""
    var run: CommandRun?
    var timer: UInt64?
    var ended = false

    init(request: Request, snapshot: Snapshot, deadline: Int64, masked: Bool, plan: RetryPlan) {
        self.request = request
        self.deadline = deadline
        self.plan = plan
        instrument = snapshot.instrument
        hash = snapshot.pointer.pointee.hash
        last = snapshot.last
        allowance = Allowance(snapshot)
        standing = Prompt.standing(snapshot, masked: masked)
        moving = Prompt.moving(snapshot, masked: masked)
    }
}

/// Claude as a decider: asks the Messages API or the claude program, and answers before the deadline or says why not.
public final class ClaudeDecider: Decider, Describing {
    public static let wants: Wants = [.bars, .values, .weights, .past, .news, .memory]
    public static let barsWanted: UInt32 = 48

    private let host: Host
    private let settings: ClaudeSettings
    private let reactor: HostReactor
    private var caller: ModelCaller?
    private var book: RecordBook?
    private var waiting: [UInt64: Pending] = [:]
    private var counters: [String: Int] = [:]
    /// Cost of calls that brought no decision: booked with the next one, so that the ledger's sum is right.
    private var unbooked = Booking()

    private struct Booking {
        var cost = Amount.zero
        var input: UInt64 = 0
        var cached: UInt64 = 0
        var output: UInt64 = 0
    }

    public init(host: Host, name: String, config: JSONValue) throws {
        self.host = host
        settings = try ClaudeSettings(config)
        reactor = HostReactor(host)
    }

    /// Reads the credential anew each time: the host stops and starts the instance for a breaker's trial call.
    public func start() throws {
        let credential = try ModelCaller.credential(settings, host)
        if !settings.record.isEmpty { book = try RecordBook(path: settings.record, writing: true) }
        caller = ModelCaller(settings, credential: credential, on: reactor)
    }

    public func stop(_ stopping: Stopping) throws {
        for pending in waiting.values.sorted(by: { $0.request.id < $1.request.id }) {
            end(pending, PluginError(.state, "stopped: the instance is being stopped"))
        }
        caller?.close()
        caller = nil
        stopping.done()
    }

    public func onTimer(_ id: UInt64, tag: UInt64) { reactor.fire(id, tag: tag) }
    public func onDescriptor(_ descriptor: Int32, _ ready: Host.Readiness) { reactor.ready(descriptor, ready) }

    public func describe() -> JSONValue {
        var outcomes = JSONObject()
        for (name, count) in counters.sorted(by: { $0.key < $1.key }) { outcomes[name] = JSONValue(count) }
        return [
            "model": JSONValue(settings.model.model), "transport": JSONValue(settings.transport.rawValue), "waiting": JSONValue(waiting.count),
            "outcomes": JSONValue(outcomes), "stored_replies": JSONValue(book?.replies.count ?? 0),
        ]
    }

    // MARK: deciding

    public func decide(_ snapshot: Snapshot, deadline: Int64, _ request: Request) throws {
        let now = host.now
        let own = now &+ settings.timeout
        let end = deadline > 0 ? min(deadline, own) : own
        guard end > now else { throw PluginError(.timeout, "timed_out: the deadline has passed") }
        let pending = Pending(
            request: request, snapshot: snapshot, deadline: end, masked: settings.model.masked,
            plan: RetryPlan(attempts: settings.attempts, seed: settings.seed &+ request.id))
        waiting[request.id] = pending
        pending.timer = reactor.after(end &- now) { [weak self, weak pending] in
            guard let self, let pending else { return }
            pending.timer = nil
            self.settle(pending, CallReply(.timedOut))
        }
        call(pending, repair: nil)
    }

    public func cancel(_ request: UInt64) {
        if let pending = waiting[request] { end(pending, PluginError(.state, "canceled")) }
    }

    private func call(_ pending: Pending, repair: String?) {
        guard !pending.ended else { return }
        do {
            guard let caller else { throw PluginError(.state, "not running") }
            let request = try ModelRequest(settings, standing: pending.standing, moving: pending.moving, repair: repair)
            if pending.key.isEmpty { pending.key = request.key }
            try settings.checkCost(request)
            pending.run = try caller.send(request, timeout: max(pending.deadline &- host.now, 1_000_000), last: pending.last) { [weak self, weak pending] reply in
                guard let self, let pending, !pending.ended else { return }
                pending.run = nil
                var checked = reply
                checked.outcome = reply.outcome.within(pending.allowance)
                self.arrived(pending, checked)
            }
        } catch {
            end(pending, PluginError(error))
        }
    }

    // MARK: outcomes

    private func store(_ pending: Pending, _ reply: CallReply) {
        guard let book, !pending.key.isEmpty else { return }
        do throws(RecordError) {
            try book.add(StoredReply(pending.key, reply, at: host.now))
        } catch {
            host.log(.error, "a reply could not be stored: \(error)")
        }
    }

    private func arrived(_ pending: Pending, _ reply: CallReply) {
        let left = pending.deadline &- host.now
        switch pending.plan.next(after: reply.outcome, left: left) {
        case .stop: settle(pending, reply)
        case .again(let wait):
            count(reply.outcome, cost: reply.cost)
            host.log(.info, "\(reply.outcome.name), trying again in \(wait / 1_000_000) ms")
            _ = reactor.after(wait) { [weak self, weak pending] in
                guard let self, let pending else { return }
                self.call(pending, repair: nil)
            }
        case .repair:
            count(reply.outcome, cost: reply.cost)
            call(pending, repair: reply.outcome.repairWords)
        }
    }

    /// Books what a call cost, whatever came of it.
    private func count(_ outcome: CallOutcome, cost: Amount) {
        counters[outcome.name, default: 0] += 1
        let usage = outcome.usage ?? Usage()
        unbooked.cost = (try? unbooked.cost.adding(cost)) ?? unbooked.cost
        unbooked.input &+= usage.prompt
        unbooked.cached &+= usage.cacheRead
        unbooked.output &+= usage.output
    }

    private func settle(_ pending: Pending, _ reply: CallReply) {
        guard !pending.ended else { return }
        let outcome = reply.outcome
        count(outcome, cost: reply.cost)
        store(pending, reply)
        guard case .answer(let answer, _, let model) = outcome else {
            return end(pending, outcome.error ?? PluginError(.internalFault, outcome.name))
        }
        var decision = answer.decision(now: host.now)
        decision.model = model
        decision.cost = unbooked.cost
        decision.tokensIn = unbooked.input
        decision.tokensCached = unbooked.cached
        decision.tokensOut = unbooked.output
        let status = decision.emit(for: pending.request, instrument: pending.instrument, snapshot: pending.hash)
        if status == KEEL_OK { unbooked = Booking() }
        end(pending, PluginError(status: status, "the decision could not be delivered (status \(status))"))
    }

    private func end(_ pending: Pending, _ error: PluginError?) {
        guard !pending.ended else { return }
        pending.ended = true
        waiting[pending.request.id] = nil
        if let timer = pending.timer { reactor.cancelTimer(timer) }
        pending.timer = nil
        pending.run?.end()
        pending.run = nil
        if let error { pending.request.done(error) } else { pending.request.done() }
    }
}
