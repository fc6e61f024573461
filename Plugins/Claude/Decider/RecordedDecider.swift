import PluginAPI
import PluginKit

/// Answers from stored replies and never calls: for backtests and replays. A snapshot nobody recorded is an error, not a call.
///
/// It takes the configuration of `keel.claude` as it stands, so that a pipeline is turned to its records by one word.
public final class RecordedDecider: Decider, Describing {
    public static let wants = ClaudeDecider.wants
    public static let barsWanted = ClaudeDecider.barsWanted

    static let shape = ClaudeSettings.recordedShape

    private let host: Host
    private let settings: ClaudeSettings
    private var book: RecordBook?
    private var answered = 0
    private var missing = 0

    public init(host: Host, name: String, config: JSONValue) throws {
        self.host = host
        settings = try ClaudeSettings(config)
        if settings.record.isEmpty { throw PluginError.invalid("record: name the file with the stored replies") }
    }

    public func start() throws { book = try RecordBook(path: settings.record, writing: false) }

    public func describe() -> JSONValue {
        ["stored_replies": JSONValue(book?.replies.count ?? 0), "answered": JSONValue(answered), "missing": JSONValue(missing)]
    }

    public func decide(_ snapshot: Snapshot, deadline: Int64, _ request: Request) throws {
        guard deadline <= 0 || deadline > host.now else { throw PluginError(.timeout, "timed_out: the deadline has passed") }
        let asked = try ModelRequest(settings, snapshot)
        guard let reply = book?.replies[asked.key] else {
            missing += 1
            throw PluginError.notFound("no stored answer for this snapshot (\(asked.key.prefix(12))): record it with a keel.claude instance first")
        }
        try reply.answer(request, snapshot, settings, now: host.now)
        answered += 1
    }
}

extension StoredReply {
    /// The recorded decision, or the recorded failure as an error.
    func answer(_ request: Request, _ snapshot: Snapshot, _ settings: ClaudeSettings, now: Int64, cost: Amount? = nil) throws {
        let outcome = read(settings.transport, last: snapshot.last).within(Allowance(snapshot))
        guard case .answer(let answer, let usage, let model) = outcome else {
            throw outcome.error ?? PluginError(.internalFault, outcome.name)
        }
        var decision = answer.decision(now: now)
        decision.model = model
        decision.fromRecord = cost == nil
        if let cost { decision.cost = cost }
        decision.tokensIn = usage.prompt
        decision.tokensCached = usage.cacheRead
        decision.tokensOut = usage.output
        request.answer(decision, to: snapshot)
    }
}
