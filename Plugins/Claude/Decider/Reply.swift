import PluginKit

/// What became of one call. Each case has a name of its own in the ledger and in the counters.
public enum CallOutcome: Equatable, Sendable {
    case answer(DecisionAnswer, Usage, model: String)
    case refused(category: String, Usage)
    case truncated(Usage)
    /// HTTP 200, but not a message as the API defines it.
    case malformed(String)
    /// A message, but not an answer we can act on.
    case invalid(DecisionProblems, Usage)
    case rateLimited(retryAfter: Int64?)
    case spendLimit(String)
    case overloaded(retryAfter: Int64?)
    case authentication(String)
    case billing(String)
    case notFound(String)
    case badRequest(String)
    case server(status: Int, retryAfter: Int64?)
    case timedOut
    case network(String)

    public var name: String {
        switch self {
        case .answer: "answer"
        case .refused: "refused"
        case .truncated: "truncated"
        case .malformed: "malformed"
        case .invalid: "invalid"
        case .rateLimited: "rate_limited"
        case .spendLimit: "spend_limit"
        case .overloaded: "overloaded"
        case .authentication: "authentication"
        case .billing: "billing"
        case .notFound: "not_found"
        case .badRequest: "bad_request"
        case .server: "server_error"
        case .timedOut: "timed_out"
        case .network: "network"
        }
    }

    public var usage: Usage? {
        switch self {
        case .answer(_, let usage, _), .refused(_, let usage), .truncated(let usage), .invalid(_, let usage): usage
        default: nil
        }
    }

    /// What a repair request says was wrong.
    var repairWords: String {
        if case .invalid(let problems, _) = self { return String(problems.description.prefix(600)) }
        return name
    }

    /// As a status for the host's chain, with words for a person.
    public var error: PluginError? {
        switch self {
        case .answer: nil
        case .refused(let category, _): PluginError(.rejected, "refused: the model declined to answer (\(category))")
        case .truncated: PluginError(.range, "truncated: the answer was cut at max_tokens")
        case .malformed(let what): PluginError(.invalid, "malformed: \(what)")
        case .invalid(let problems, _): PluginError(.invalid, "invalid: \(problems)")
        case .rateLimited(let after): PluginError(.rate, "rate_limited: too many requests or tokens a minute", retryAfter: after ?? 0)
        case .spendLimit(let what): PluginError(.rejected, "spend_limit: \(what)")
        case .overloaded(let after): PluginError(.network, "overloaded: the service has no room now", retryAfter: after ?? 0)
        case .authentication(let what): PluginError(.authentication, "authentication: \(what)")
        case .billing(let what): PluginError(.authentication, "billing: \(what)")
        case .notFound(let what): PluginError(.notFound, "not_found: \(what)")
        case .badRequest(let what): PluginError(.invalid, "bad_request: \(what)")
        case .server(let status, let after): PluginError(.network, "server_error: HTTP \(status)", retryAfter: after ?? 0)
        case .timedOut: PluginError(.timeout, "timed_out: no answer before the deadline")
        case .network(let what): PluginError(.network, "network: \(what)")
        }
    }
}

/// Reads replies of the Messages API: stricter than the SDKs, because 200 is not success.
public enum Reply {
    static let bodyLimit = 256 << 10

    public static func read(_ response: HTTPResponse, last: Fixed) -> CallOutcome {
        response.status == 200 ? readMessage(response.body, last: last) : readError(response)
    }

    static func readMessage(_ body: [UInt8], last: Fixed) -> CallOutcome {
        guard body.count <= bodyLimit else { return .malformed("a body of \(body.count) bytes") }
        let root: JSONValue
        do throws(JSONError) {
            root = try JSONValue(parsing: body, options: JSONOptions(depth: 32, maximumBytes: bodyLimit))
        } catch { return .malformed("the body is not JSON: \(error)") }
        guard root.find("type")?.asText == "message", root.find("role")?.asText == "assistant" else { return .malformed("not a message of the assistant") }
        guard let content = root.find("content")?.asList else { return .malformed("no list of content") }
        guard let usage = readUsage(root.find("usage")) else { return .malformed("no token counts") }
        guard let model = root.find("model")?.asText else { return .malformed("no model") }
        switch root.find("stop_reason")?.asText {
        case "end_turn": break
        case "refusal": return .refused(category: root.find("stop_details")?.find("category")?.asText ?? "no category", usage)
        case "max_tokens", "model_context_window_exceeded": return .truncated(usage)
        case let other: return .malformed("stop_reason \(other ?? "null")")
        }
        let texts = content.filter { $0.find("type")?.asText == "text" }
        guard texts.count == 1, let text = texts[0].find("text")?.asText else { return .malformed("\(texts.count) text blocks, one is needed") }
        switch DecisionAnswer.parse(text, last: last) {
        case .success(let answer): return .answer(answer, usage, model: cleaned(String(model.prefix(80))))
        case .failure(let problems): return .invalid(problems, usage)
        }
    }

    static func readUsage(_ value: JSONValue?) -> Usage? {
        guard let value, let input = value.find("input_tokens")?.asNumber?.uint64, let output = value.find("output_tokens")?.asNumber?.uint64 else { return nil }
        func count(_ value: JSONValue?) -> UInt64 { value?.asNumber?.uint64 ?? 0 }
        var usage = Usage(input: input, cacheRead: count(value.find("cache_read_input_tokens")), output: output)
        if let split = value.find("cache_creation"), !split.isNull {
            usage.cacheWrite5m = count(split.find("ephemeral_5m_input_tokens"))
            usage.cacheWrite1h = count(split.find("ephemeral_1h_input_tokens"))
        } else {
            usage.cacheWrite1h = count(value.find("cache_creation_input_tokens"))
        }
        // Counts that no real call can have would overflow every sum after them.
        let most: UInt64 = 1 << 40
        return [usage.input, usage.cacheRead, usage.cacheWrite5m, usage.cacheWrite1h, usage.output].allSatisfy { $0 < most } ? usage : nil
    }

    static func readError(_ response: HTTPResponse) -> CallOutcome {
        let root = try? JSONValue(parsing: Array(response.body.prefix(65_536)))
        let error = root?.find("error")
        let type = error?.find("type")?.asText ?? ""
        let code = error?.find("details")?.find("error_code")?.asText ?? ""
        let message = cleaned(String((error?.find("message")?.asText ?? "HTTP \(response.status)").prefix(160)))
        let after = retryAfter(response.head)
        if code == "enforced_spend_limit_reached" || code == "contract_spend_limit_reached" { return .spendLimit(message) }
        switch response.status {
        case 401, 403: return .authentication(message)
        case 402: return .billing(message)
        case 404: return .notFound(message)
        case 429: return .rateLimited(retryAfter: after)
        case 529: return .overloaded(retryAfter: after)
        case 408, 409, 500...599: return type == "overloaded_error" ? .overloaded(retryAfter: after) : .server(status: response.status, retryAfter: after)
        default: return .badRequest(message)
        }
    }

    /// `retry-after-ms` wins; whole or fractional seconds; a date is left to our own pause. Nothing negative, nothing absurd.
    static func retryAfter(_ head: HTTPHead) -> Int64? {
        if let text = head["retry-after-ms"], let milliseconds = Double(text), milliseconds > 0, milliseconds < 1e12 { return Int64(milliseconds * 1e6) }
        if let text = head["retry-after"], let seconds = Double(text), seconds > 0, seconds < 1e9 { return Int64(seconds * 1e9) }
        return nil
    }
}
