import PluginKit

/// How the plugin calls. Everything that shapes a request is here, so that its hash means something.
public struct ModelSettings: Equatable, Sendable {
    public var model = "claude-sonnet-5-5"
    public var effort = "low"
    public var maxTokens = 4096
    public var masked = false
    public var cacheMinutes = 60
    public var version = "2026-10-21"
    public init() {}
}

/// One request of the Messages API: a pure function of settings and snapshot.
public struct ModelRequest: Equatable, Sendable {
    public let body: JSONValue
    /// What stored answers are found by: SHA-256 of the canonical request.
    public let key: String
    /// The same words for a program that takes text.
    let prompt: String

    init(_ settings: ClaudeSettings, standing: JSONValue, moving: JSONValue, repair: String? = nil) throws(CryptoError) {
        try self.init(settings.model, transport: settings.transport.rawValue, standing: standing, moving: moving, repair: repair)
    }

    init(_ settings: ClaudeSettings, _ snapshot: Snapshot, repair: String? = nil) throws(CryptoError) {
        let masked = settings.model.masked
        try self.init(settings, standing: Prompt.standing(snapshot, masked: masked), moving: Prompt.moving(snapshot, masked: masked), repair: repair)
    }

    public init(_ settings: ModelSettings, transport: String = "messages", standing: JSONValue, moving: JSONValue, repair: String? = nil) throws(CryptoError) {
        let ttl = settings.cacheMinutes > 5 ? "1h" : "5m"
        let mark: JSONValue = ["type": "ephemeral", "ttl": JSONValue(ttl)]
        var blocks: [JSONValue] = [
            ["type": "text", "text": JSONValue(standing.text(.canonical)), "cache_control": mark],
            ["type": "text", "text": JSONValue(moving.text(.canonical))],
        ]
        var words = "\(standing.text(.canonical))\n\(moving.text(.canonical))\n"
        if let repair {
            // Our words about what was wrong, never the model's own text.
            let text = "Your last answer to this could not be used: \(repair). Answer again with one correct JSON object."
            blocks.append(["type": "text", "text": JSONValue(text)])
            words += text + "\n"
        }
        prompt = words
        let body: JSONValue = [
            "model": JSONValue(settings.model), "max_tokens": JSONValue(repair == nil ? settings.maxTokens : settings.maxTokens * 2),
            "system": [["type": "text", "text": JSONValue(Prompt.system), "cache_control": mark]],
            "messages": [["role": "user", "content": JSONValue(blocks)]],
            "output_config": ["effort": JSONValue(settings.effort), "format": ["type": "json_schema", "schema": DecisionDefinition.wireSchema]],
        ]
        self.body = body
        let identity: JSONValue = [
            "provider": "anthropic", "transport": JSONValue(transport), "version": JSONValue(settings.version), "prompt": JSONValue(Prompt.version), "body": body,
        ]
        key = Hex.encode(try Digest.sha256.hash(identity.bytes(.canonical)))
    }

    /// Bytes of the prompt in fours: an upper guess of its tokens, for reserving money before the call.
    public var estimatedTokens: UInt64 { UInt64(body.bytes(.compact).count / 3) }
}

extension DecisionAnswer {
    /// As the host takes it. Wake conditions of kinds the host knows keep their meaning.
    public func decision(now: Int64) -> Decision {
        var decision = Decision(action == .buy ? .buy : action == .sell ? .sell : .hold)
        decision.fraction = fraction
        decision.confidence = confidence
        decision.exitProbability = exitProbability
        decision.nextCheck = nextCheckSeconds * 1_000_000_000
        decision.validUntil = now &+ validSeconds * 1_000_000_000
        decision.reason = rationale
        decision.memory = memory ?? ""
        decision.signals = signals.map { Decision.Signal($0.name, confidence: $0.confidence, direction: $0.direction) }
        decision.wakes = wakes.compactMap { wake in
            switch wake.kind {
            case "PRICE_ABOVE": .priceAbove(wake.level)
            case "PRICE_BELOW": .priceBelow(wake.level)
            case "MOVE": .move(wake.level)
            case "VOLUME_Z": .volumeZ(wake.level)
            case "REGIME": .regimeChange
            case "FUNDING": .funding(wake.level)
            case "PROFIT": .profit(wake.level)
            default: nil
            }
        }
        return decision
    }
}
