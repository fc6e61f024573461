import PluginAPI
import PluginKit

/// What came of one call, with the bytes it came in.
struct CallReply {
    var outcome: CallOutcome
    var cost: Amount
    /// HTTP status; 0: the program, or nothing at all.
    var status: Int
    var body: [UInt8]

    init(_ outcome: CallOutcome, cost: Amount = .zero, status: Int = 0, body: [UInt8] = []) {
        self.outcome = outcome
        self.cost = cost
        self.status = status
        self.body = body
    }
}

/// Makes single calls over the transport the settings name, on a loop of whoever asks.
final class ModelCaller {
    private let settings: ClaudeSettings
    private let credential: [UInt8]
    private let reactor: any Reactor
    private let client: HTTPClient

    init(_ settings: ClaudeSettings, credential: [UInt8], on reactor: any Reactor) {
        self.settings = settings
        self.credential = credential
        self.reactor = reactor
        client = HTTPClient(settings.endpoint, tls: TLSOptions(roots: settings.roots.isEmpty ? nil : settings.roots), on: reactor)
        client.bodyLimit = Reply.bodyLimit
    }

    func close() { client.close() }

    /// The credential as the host has it now, without what an editor may have left behind it.
    static func credential(_ settings: ClaudeSettings, _ host: Host) throws -> [UInt8] {
        var credential = try host.secret(settings.key)
        while let last = credential.last, last == 10 || last == 13 || last == 32 { credential.removeLast() }
        guard !credential.isEmpty, credential.allSatisfy({ $0 > 32 && $0 < 127 }) else {
            throw PluginError(.authentication, "the secret \(settings.key) is empty or holds characters no credential has")
        }
        return credential
    }

    /// One call. What is returned ends it early, if it must be kept.
    func send(_ request: ModelRequest, timeout: Int64, last: Fixed, _ answer: @escaping (CallReply) -> Void) throws -> CommandRun? {
        switch settings.transport {
        case .messages:
            sendMessage(request, timeout: timeout, last: last, answer)
            return nil
        case .command: return try runCommand(request, last: last, answer)
        }
    }

    private func sendMessage(_ request: ModelRequest, timeout: Int64, last: Fixed, _ answer: @escaping (CallReply) -> Void) {
        let token = String(decoding: credential, as: UTF8.self)
        var headers = [("content-type", "application/json"), ("anthropic-version", settings.model.version)]
        if settings.oauth {
            headers += [("authorization", "Bearer \(token)"), ("anthropic-beta", "oauth-2025-04-20")]
        } else {
            headers.append(("x-api-key", token))
        }
        let post = HTTPRequest("POST", "/v1/messages", headers: headers, body: request.body.bytes(.compact), timeout: timeout)
        client.send(post) { [weak self] result in
            guard let self else { return }
            switch result {
            case .success(let response):
                let outcome = Reply.read(response, last: last)
                answer(CallReply(outcome, cost: self.settings.cost(of: outcome), status: response.status, body: response.body))
            case .failure(.notSent(let error)), .failure(.inDoubt(let error)):
                if case .timedOut = error { answer(CallReply(.timedOut)) } else { answer(CallReply(.network("\(error)"))) }
            }
        }
    }

    private func runCommand(_ request: ModelRequest, last: Fixed, _ answer: @escaping (CallReply) -> Void) throws -> CommandRun {
        var environment = [
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": settings.commandFolder, "CLAUDE_CONFIG_DIR": settings.commandFolder,
            "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "ANTHROPIC_BASE_URL": "\(settings.endpoint)",
        ]
        environment[settings.oauth ? "CLAUDE_CODE_OAUTH_TOKEN" : "ANTHROPIC_API_KEY"] = String(decoding: credential, as: UTF8.self)
        return try CommandRun(
            program: settings.command,
            arguments: [
                "-p", "--output-format", "json", "--model", settings.model.model, "--tools", "", "--no-session-persistence", "--system-prompt", Prompt.system,
                "--json-schema", DecisionDefinition.wireSchema.text(.canonical), "--max-budget-usd", "\(settings.maxCallCost)",
            ],
            environment: environment, folder: settings.commandFolder, prompt: Array(request.prompt.utf8), on: reactor
        ) { result in
            switch result {
            case .success(let bytes):
                let (outcome, cost) = CommandReply.read(bytes, last: last)
                answer(CallReply(outcome, cost: cost, body: bytes))
            case .failure(let error): answer(CallReply(.network(error.message)))
            }
        }
    }
}

extension ClaudeSettings {
    func cost(of outcome: CallOutcome) -> Amount {
        guard let usage = outcome.usage else { return .zero }
        var name = model.model
        if case .answer(_, _, let replied) = outcome, TokenPrice.of(replied, prompt: 0) != nil { name = replied }
        return (price ?? TokenPrice.of(name, prompt: usage.prompt))?.cost(usage) ?? .zero
    }

    /// The most a call can cost, known before it is made; nil: the price isn't known.
    func mostCost(of request: ModelRequest) -> Amount? {
        (price ?? TokenPrice.of(model.model, prompt: request.estimatedTokens))?.cost(
            Usage(cacheWrite1h: request.estimatedTokens, output: UInt64(model.maxTokens)))
    }

    func checkCost(_ request: ModelRequest) throws {
        guard let most = mostCost(of: request), most > maxCallCost else { return }
        throw PluginError(.rejected, "spend_limit: this call could cost \(most) dollars, max_call_cost is \(maxCallCost)")
    }
}

extension StoredReply {
    /// How a question ended, under the hash of its first request: what a replay is to see again.
    init(_ key: String, _ reply: CallReply, at time: Int64) {
        self.init(key: key, status: reply.status, body: reply.body, outcome: reply.outcome.name, at: time)
    }

    /// The outcome as it was, read from the stored bytes by today's rules.
    func read(_ transport: ClaudeSettings.Transport, last: Fixed) -> CallOutcome {
        if body.isEmpty { return outcome == "timed_out" ? .timedOut : .network("as recorded: \(outcome)") }
        if transport == .command { return CommandReply.read(body, last: last).outcome }
        var head = HTTPHead()
        head.status = status
        return Reply.read(HTTPResponse(head: head, body: body), last: last)
    }
}
