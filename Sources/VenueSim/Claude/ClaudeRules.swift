import PluginKit

/// What the service refuses before any model runs: the rules of the request body, with the error each gives.
enum ClaudeRules {
    struct Refusal: Error, Equatable {
        var status: Int
        var type: String
        var message: String
    }

    static let models = [
        "claude-fable-5-2", "claude-fable-5-1", "claude-opus-5-5", "claude-opus-5", "claude-opus-4-8", "claude-sonnet-5-5", "claude-sonnet-5", "claude-haiku-5-5",
        "claude-haiku-4-5",
    ]
    /// Forcing a tool is refused by these.
    static let noForcedTool = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-1", "claude-fable-5-2"]
    static let versions = ["2026-10-21", "2023-06-01"]

    static func invalid(_ message: String) -> Refusal { Refusal(status: 400, type: "invalid_request_error", message: message) }

    static func checkHead(_ head: HTTPHead) throws(Refusal) {
        let bearer = head["authorization"].map { $0.hasPrefix("Bearer ") && $0.count > 7 } ?? false
        guard bearer || !(head["x-api-key"] ?? "").isEmpty else {
            throw Refusal(status: 401, type: "authentication_error", message: "x-api-key header or bearer token is required")
        }
        // A subscription token is only good as a bearer token with its beta flag.
        if (head["x-api-key"] ?? "").hasPrefix("sk-ant-oat") { throw Refusal(status: 401, type: "authentication_error", message: "invalid x-api-key") }
        guard let version = head["anthropic-version"] else { throw invalid("anthropic-version: header is required") }
        guard versions.contains(version) else { throw invalid("anthropic-version: \"\(version)\" is not a valid version") }
    }

    static func checkBody(_ body: JSONValue, version: String, counting: Bool) throws(Refusal) {
        guard let model = body.find("model")?.asText else { throw invalid("model: Field required") }
        guard models.contains(model) else { throw Refusal(status: 404, type: "not_found_error", message: "model: \(model)") }
        if !counting {
            guard let most = body.find("max_tokens")?.asNumber?.int64, most >= 1 else { throw invalid("max_tokens: Field required, at least 1") }
            if most > 128_000 { throw invalid("max_tokens: \(most) > 128000, which is the maximum allowed for \(model)") }
        }
        guard let messages = body.find("messages")?.asList, !messages.isEmpty else { throw invalid("messages: at least one message is required") }
        guard messages[0].find("role")?.asText == "user" else { throw invalid("messages: first message must use the \"user\" role") }
        if messages.last?.find("role")?.asText == "assistant" { throw invalid("messages: prefilling assistant messages is not supported for this model") }
        for field in ["temperature", "top_p", "top_k"] where body.find(field) != nil && version == "2026-10-21" {
            throw invalid("\(field): Extra inputs are not permitted")
        }
        if let choice = body.find("tool_choice")?.find("type")?.asText, choice == "tool" || choice == "any", noForcedTool.contains(model) {
            throw invalid("tool_choice: type \"tool\" and \"any\" are not supported for this model.")
        }
        if let thinking = body.find("thinking")?.find("type")?.asText, thinking == "disabled" || thinking == "enabled", noForcedTool.contains(model) {
            throw invalid("\"thinking.type.\(thinking)\" is not supported for this model. Use \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior.")
        }
        if let effort = body.find("output_config")?.find("effort"), !["low", "medium", "high", "xhigh", "max"].contains(effort.asText ?? "") {
            throw invalid("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
        }
        if let format = body.find("output_config")?.find("format") {
            guard format.find("type")?.asText == "json_schema", let schema = format.find("schema") else { throw invalid("output_config.format: expected type json_schema and a schema") }
            try checkSchema(schema, "output_config.format.schema")
        }
        try checkMarks(body)
    }

    /// Objects must be closed, bounds are not supported.
    static func checkSchema(_ schema: JSONValue, _ path: String) throws(Refusal) {
        guard let object = schema.asObject else { return }
        if object["type"]?.asText == "object", object["additionalProperties"]?.asBool != false {
            throw invalid("\(path): For 'object' type, 'additionalProperties' must be explicitly set to false")
        }
        for word in ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems", "pattern"] where object[word] != nil {
            throw invalid("\(path): property '\(word)' is not supported")
        }
        for member in object["properties"]?.asObject?.members ?? [] { try checkSchema(member.value, "\(path).properties.\(member.name)") }
        for word in ["items", "additionalProperties"] { if let inner = object[word] { try checkSchema(inner, "\(path).\(word)") } }
        for word in ["anyOf", "allOf"] { for (place, inner) in (object[word]?.asList ?? []).enumerated() { try checkSchema(inner, "\(path).\(word)[\(place)]") } }
    }

    /// At most four cache marks, and no hour-long mark after a five-minute one.
    static func checkMarks(_ body: JSONValue) throws(Refusal) {
        let marks = Cache.marks(body)
        if marks.count > 4 { throw invalid("A maximum of 4 blocks with cache_control may be provided. Found \(marks.count).") }
        var shortSeen = false
        for mark in marks {
            if mark.hour, shortSeen { throw invalid("cache_control: a ttl='1h' block must not come after a ttl='5m' block") }
            if !mark.hour { shortSeen = true }
        }
    }
}

/// The prompt cache: exact prefixes up to each mark, with a floor and a time to live.
struct Cache {
    struct Mark {
        var prefix: [UInt8]
        var hour: Bool
    }

    private var expires: [String: Int64] = [:]

    /// Prefixes in the order tools, system, messages.
    static func marks(_ body: JSONValue) -> [Mark] {
        var prefix = Array((body.find("model")?.asText ?? "").utf8)
        var found: [Mark] = []
        func add(_ block: JSONValue) {
            var plain = block
            let mark = block.find("cache_control")
            plain.set("cache_control", nil)
            prefix += plain.bytes(.canonical)
            if let mark, !mark.isNull { found.append(Mark(prefix: prefix, hour: mark.find("ttl")?.asText == "1h")) }
        }
        for tool in body.find("tools")?.asList ?? [] { add(tool) }
        if let text = body.find("system")?.asText { prefix += Array(text.utf8) } else { for block in body.find("system")?.asList ?? [] { add(block) } }
        for message in body.find("messages")?.asList ?? [] {
            prefix += Array((message.find("role")?.asText ?? "").utf8)
            if let text = message.find("content")?.asText { prefix += Array(text.utf8) } else { for block in message.find("content")?.asList ?? [] { add(block) } }
        }
        return found
    }

    static func tokens(_ bytes: Int) -> Int { (bytes + 3) / 4 }

    /// Tokens read from the cache and written to it (five minutes, one hour) by this request.
    mutating func use(_ body: JSONValue, now: Int64, floor: Int = 512) -> (read: Int, short: Int, long: Int) {
        var read = 0
        var written = 0
        var counts = (short: 0, long: 0)
        for mark in Self.marks(body) {
            let tokens = Self.tokens(mark.prefix.count)
            guard tokens >= floor, let hash = try? Digest.sha256.hash(mark.prefix) else { continue }
            let key = Hex.encode(hash)
            let life: Int64 = mark.hour ? 3_600_000_000_000 : 300_000_000_000
            if let until = expires[key], until > now {
                read = max(read, tokens)
            } else {
                let fresh = max(tokens - max(read, written), 0)
                if mark.hour { counts.long += fresh } else { counts.short += fresh }
                written = tokens
            }
            expires[key] = now &+ life
        }
        return (read, counts.short, counts.long)
    }
}
