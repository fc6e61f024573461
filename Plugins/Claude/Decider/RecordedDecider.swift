import PluginAPI
import PluginKit

/// Answers from stored replies and never calls: for backtests and replays. A snapshot nobody recorded is an error, not a call.
public final class RecordedDecider: Decider, Describing {
    public static let wants = ClaudeDecider.wants
    public static let barsWanted = ClaudeDecider.barsWanted

    static let shape = ConfigShape([
        .text("record", "The file a keel.claude instance stored its replies in.", default: nil),
        .text("model", "Name of the model, as when it was recorded.", default: "claude-sonnet-5-5"),
        .choice("effort", "As when it was recorded.", of: ["low", "medium", "high", "xhigh", "max"], default: "low"),
        .whole("max_tokens", "As when it was recorded.", in: 256...16_384, default: 4096),
        .flag("masked", "As when it was recorded.", default: false),
        .whole("cache_minutes", "As when it was recorded.", in: 5...60, default: 60),
    ])

    private let host: Host
    private let settings: ModelSettings
    private let path: String
    private var book: RecordBook?
    private var answered = 0
    private var missing = 0

    public init(host: Host, name: String, config: JSONValue) throws {
        self.host = host
        var model = ModelSettings()
        model.model = try config["model"].text
        model.effort = try config["effort"].text
        model.maxTokens = try config["max_tokens"].int
        model.masked = try config["masked"].bool
        model.cacheMinutes = try config["cache_minutes"].int
        settings = model
        path = try config["record"].text
        if path.isEmpty { throw PluginError.invalid("record: name the file with the stored replies") }
    }

    public func start() throws { book = try RecordBook(path: path, writing: false) }

    public func describe() -> JSONValue {
        ["stored_replies": JSONValue(book?.replies.count ?? 0), "answered": JSONValue(answered), "missing": JSONValue(missing)]
    }

    public func decide(_ snapshot: Snapshot, deadline: Int64, _ request: Request) throws {
        guard deadline <= 0 || deadline > host.now else { throw PluginError(.timeout, "timed_out: the deadline has passed") }
        let asked = try ModelRequest(
            settings, standing: Prompt.standing(snapshot, masked: settings.masked), moving: Prompt.moving(snapshot, masked: settings.masked))
        guard let reply = book?.replies[asked.key] else {
            missing += 1
            throw PluginError.notFound("no stored answer for this snapshot (\(asked.key.prefix(12))): record it with a keel.claude instance first")
        }
        var head = HTTPHead()
        head.status = reply.status
        let outcome = Reply.read(HTTPResponse(head: head, body: reply.body), last: snapshot.last).within(Allowance(snapshot))
        guard case .answer(let answer, let usage, let model) = outcome else {
            throw outcome.error ?? PluginError(.internalFault, outcome.name)
        }
        answered += 1
        var decision = answer.decision(now: host.now)
        decision.model = model
        decision.fromRecord = true
        decision.tokensIn = usage.prompt
        decision.tokensCached = usage.cacheRead
        decision.tokensOut = usage.output
        request.answer(decision, to: snapshot)
    }
}
