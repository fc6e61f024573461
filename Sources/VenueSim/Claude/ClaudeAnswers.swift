import PluginKit

/// Answers made from a seed: valid for the schema they are asked with, the same for the same request and seed.
enum ClaudeAnswers {
    static func make(_ body: JSONValue, seed: UInt64) -> String {
        guard let schema = body.find("output_config")?.find("format")?.find("schema") else { return "Hello from the stand-in." }
        let hash = (try? Digest.sha256.hash(body.bytes(.canonical))) ?? []
        let mixed = hash.prefix(8).reduce(seed) { $0 &* 257 &+ UInt64($1) }
        var random = SeededGenerator(seed: mixed)
        var answer = value(schema, &random)
        // A trading decision must make sense as a whole: no size with HOLD, a wake price near the last one.
        if answer.find("action") != nil, answer.find("size_fraction") != nil {
            var action = answer.find("action")?.asText ?? "HOLD"
            if !isAllowed(action, body) { action = "HOLD" }
            answer.set("action", JSONValue(action))
            answer.set("size_fraction", action == "HOLD" ? 0 : JSONValue(.number(JSONNumber("0.0\(1 + random.below(9))") ?? JSONNumber(0))))
            answer.set("wake_conditions", [])
            answer.set("signals", [["name": "trend", "direction": JSONValue(action == "SELL" ? "DOWN" : "UP"), "confidence": JSONValue(.number(JSONNumber("0.6") ?? JSONNumber(0)))]])
            answer.set("next_check_seconds", 300)
            answer.set("valid_seconds", 60)
        }
        return answer.text(.compact)
    }

    /// Whether the facts in the prompt allow the action, as a model that reads them would see it.
    private static func isAllowed(_ action: String, _ body: JSONValue) -> Bool {
        guard action == "BUY" || action == "SELL" else { return true }
        let blocks = (body.find("messages")?.asList ?? []).flatMap { $0.find("content")?.asList ?? [] }
        let facts = blocks.compactMap { block in block.find("text")?.asText.flatMap { try? JSONValue(parsing: $0) } }
        guard let limits = facts.compactMap({ $0.find("limits") }).first else { return true }
        func may(_ name: String) -> Bool { limits.find(name)?.asBool ?? true }
        // The stand-in's own sizes end at a tenth.
        if let most = limits.find("max_fraction")?.asText.flatMap(Double.init), most < 0.1 { return false }
        if action == "BUY" { return may("may_buy") }
        let position = facts.compactMap { $0.find("position") }.first
        let isLong = position?.find("quantity")?.asText.map { !$0.hasPrefix("-") } ?? false
        return may("may_sell") && (isLong || may("may_short"))
    }

    static func value(_ schema: JSONValue, _ random: inout SeededGenerator) -> JSONValue {
        if let choices = schema.find("enum")?.asList, !choices.isEmpty { return choices[Int(random.below(UInt64(choices.count)))] }
        if let fixed = schema.find("const") { return fixed }
        if let options = schema.find("anyOf")?.asList, !options.isEmpty { return value(options[Int(random.below(UInt64(options.count)))], &random) }
        switch schema.find("type")?.asText {
        case "object":
            var object = JSONObject()
            for member in schema.find("properties")?.asObject?.members ?? [] { object[member.name] = value(member.value, &random) }
            return JSONValue(object)
        case "array": return schema.find("items").map { JSONValue([value($0, &random)]) } ?? []
        case "number": return JSONValue(.number(JSONNumber("0.\(1 + random.below(9))") ?? JSONNumber(0)))
        case "integer": return JSONValue(Int64(30 + random.below(1000)))
        case "boolean": return JSONValue(random.below(2) == 1)
        case "null": return .null
        default: return JSONValue("text \(random.below(1000))")
        }
    }
}
