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
    private var client: HTTPClient?
    private var credential: [UInt8] = []
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
        credential = try host.secret(settings.key)
        while let last = credential.last, last == 10 || last == 13 || last == 32 { credential.removeLast() }
        guard !credential.isEmpty, credential.allSatisfy({ $0 > 32 && $0 < 127 }) else {
            throw PluginError(.authentication, "the secret \(settings.key) is empty or holds characters no credential has")
        }
        if !settings.record.isEmpty { book = try RecordBook(path: settings.record, writing: true) }
        client = HTTPClient(settings.endpoint, tls: TLSOptions(roots: settings.roots.isEmpty ? nil : settings.roots), on: reactor)
        client?.bodyLimit = Reply.bodyLimit
    }

    public func stop(_ stopping: Stopping) throws {
        for pending in waiting.values.sorted(by: { $0.request.id < $1.request.id }) {
            end(pending, PluginError(.state, "stopped: the instance is being stopped"))
        }
        client?.close()
        client = nil
        credential = []
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
            self.settle(pending, .timedOut, cost: .zero)
        }
        call(pending, repair: nil)
    }

    public func cancel(_ request: UInt64) {
        if let pending = waiting[request] { end(pending, PluginError(.state, "canceled")) }
    }

    private func call(_ pending: Pending, repair: String?) {
        guard !pending.ended else { return }
        do {
            let request = try ModelRequest(settings.model, standing: pending.standing, moving: pending.moving, repair: repair)
            try checkCost(request)
            switch settings.transport {
            case .messages: callMessages(pending, request)
            case .command: try callCommand(pending, request)
            }
        } catch {
            end(pending, PluginError(error))
        }
    }

    /// The most a call can cost is known before it is made.
    private func checkCost(_ request: ModelRequest) throws {
        guard let price = settings.price ?? TokenPrice.of(settings.model.model, prompt: request.estimatedTokens) else { return }
        let most = price.cost(Usage(cacheWrite1h: request.estimatedTokens, output: UInt64(settings.model.maxTokens)))
        if most > settings.maxCallCost {
            throw PluginError(.rejected, "spend_limit: this call could cost \(most) dollars, max_call_cost is \(settings.maxCallCost)")
        }
    }

    private func callMessages(_ pending: Pending, _ request: ModelRequest) {
        guard let client else { return end(pending, PluginError(.state, "not running")) }
        let token = String(decoding: credential, as: UTF8.self)
        var headers = [("content-type", "application/json"), ("anthropic-version", settings.model.version)]
        if settings.oauth {
            headers += [("authorization", "Bearer \(token)"), ("anthropic-beta", "oauth-2025-04-20")]
        } else {
            headers.append(("x-api-key", token))
        }
        let timeout = max(pending.deadline &- host.now, 1_000_000)
        let post = HTTPRequest("POST", "/v1/messages", headers: headers, body: request.body.bytes(.compact), timeout: timeout)
        client.send(post) { [weak self, weak pending] result in
            guard let self, let pending, !pending.ended else { return }
            switch result {
            case .success(let response):
                let outcome = Reply.read(response, last: pending.last).within(pending.allowance)
                self.store(request.key, response.status, response.body, outcome)
                self.arrived(pending, outcome, cost: self.cost(of: outcome))
            case .failure(.notSent(let error)), .failure(.inDoubt(let error)):
                if case .timedOut = error {
                    self.arrived(pending, .timedOut, cost: .zero)
                } else {
                    self.arrived(pending, .network("\(error)"), cost: .zero)
                }
            }
        }
    }

    private func callCommand(_ pending: Pending, _ request: ModelRequest) throws {
        let prompt = "\(pending.standing.text(.canonical))\n\(pending.moving.text(.canonical))\n"
        var environment = [
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": settings.commandFolder, "CLAUDE_CONFIG_DIR": settings.commandFolder,
            "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "ANTHROPIC_BASE_URL": "\(settings.endpoint)",
        ]
        environment[settings.oauth ? "CLAUDE_CODE_OAUTH_TOKEN" : "ANTHROPIC_API_KEY"] = String(decoding: credential, as: UTF8.self)
        pending.run = try CommandRun(
            program: settings.command,
            arguments: [
                "-p", "--output-format", "json", "--model", settings.model.model, "--tools", "", "--no-session-persistence", "--system-prompt", Prompt.system,
                "--json-schema", AnswerDefinition.wireSchema.text(.canonical), "--max-budget-usd", "\(settings.maxCallCost)",
            ],
            environment: environment, folder: settings.commandFolder, prompt: Array(prompt.utf8), on: reactor
        ) { [weak self, weak pending] result in
            guard let self, let pending, !pending.ended else { return }
            pending.run = nil
            switch result {
            case .success(let bytes):
                let (read, cost) = CommandReply.read(bytes, last: pending.last)
                let outcome = read.within(pending.allowance)
                self.store("command/\(request.key)", 0, bytes, outcome)
                self.arrived(pending, outcome, cost: cost)
            case .failure(let error): self.arrived(pending, .network(error.message), cost: .zero)
            }
        }
    }

    // MARK: outcomes

    private func cost(of outcome: CallOutcome) -> Amount {
        guard let usage = outcome.usage else { return .zero }
        var model = settings.model.model
        if case .answer(_, _, let replied) = outcome, TokenPrice.of(replied, prompt: 0) != nil { model = replied }
        return (settings.price ?? TokenPrice.of(model, prompt: usage.prompt))?.cost(usage) ?? .zero
    }

    private func store(_ key: String, _ status: Int, _ body: [UInt8], _ outcome: CallOutcome) {
        guard let book, key.utf8.count == 64 else { return }
        do throws(RecordError) {
            try book.add(StoredReply(key: key, status: status, body: body, outcome: outcome.name, at: host.now))
        } catch {
            host.log(.error, "a reply could not be stored: \(error)")
        }
    }

    private func arrived(_ pending: Pending, _ outcome: CallOutcome, cost: Amount) {
        let left = pending.deadline &- host.now
        switch pending.plan.next(after: outcome, left: left) {
        case .stop: settle(pending, outcome, cost: cost)
        case .again(let wait):
            count(outcome, cost: cost)
            host.log(.info, "\(outcome.name), trying again in \(wait / 1_000_000) ms")
            _ = reactor.after(wait) { [weak self, weak pending] in
                guard let self, let pending else { return }
                self.call(pending, repair: nil)
            }
        case .repair:
            count(outcome, cost: cost)
            var words = outcome.name
            if case .invalid(let problems, _) = outcome { words = String(problems.description.prefix(600)) }
            call(pending, repair: words)
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

    private func settle(_ pending: Pending, _ outcome: CallOutcome, cost: Amount) {
        guard !pending.ended else { return }
        count(outcome, cost: cost)
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
