/// One field of the model's answer. The schema that is sent, the words in the prompt and the parser all come from here,
/// so they can't drift apart.
public struct DecisionField: Sendable {
    public indirect enum Kind: Sendable {
        case choice([String])
        /// A decimal from 0 to 1.
        case ratio
        case number
        case whole(ClosedRange<Int64>)
        case text(most: Int)
        case optional(Kind)
        case list([DecisionField], most: Int)
    }

    public let name: String
    public let kind: Kind
    public let about: String

    init(_ name: String, _ kind: Kind, _ about: String) {
        self.name = name
        self.kind = kind
        self.about = about
    }
}

public enum DecisionDefinition {
    public static let signalNames = ["trend", "mean_reversion", "momentum", "volatility", "volume", "funding", "open_interest", "order_flow", "macro", "news", "other"]
    public static let wakeKinds = ["PRICE_ABOVE", "PRICE_BELOW", "MOVE", "VOLUME_Z", "REGIME", "FUNDING", "PROFIT"]

    public static let fields: [DecisionField] = [
        DecisionField("action", .choice(["BUY", "SELL", "HOLD"]), "BUY opens or adds to a long, SELL reduces or closes it (or opens a short where may_short is true), HOLD changes nothing."),
        DecisionField("size_fraction", .ratio, "Entries: share of the equity to commit, at most limits.max_fraction. Exits: share of the position to close. 0 with HOLD, above 0 otherwise."),
        DecisionField("confidence", .ratio, "How sure you are that this action is right."),
        DecisionField("exit_probability", .optional(.ratio), "With an open position: the chance that it should be closed now. null without one."),
        DecisionField("next_check_seconds", .whole(30...86_400), "When to ask you again at the latest."),
        DecisionField("valid_seconds", .whole(5...3_600), "How long this answer may still be acted on."),
        DecisionField(
            "signals",
            .list(
                [
                    DecisionField("name", .choice(signalNames), "Which evidence."),
                    DecisionField("direction", .choice(["UP", "DOWN", "NONE"]), "Where it points."),
                    DecisionField("confidence", .ratio, "How much this evidence alone weighs."),
                ], most: 8),
            "Every piece of evidence you used, each once, with its own direction and confidence. They are scored against the outcome."),
        DecisionField(
            "wake_conditions",
            .list(
                [
                    DecisionField("kind", .choice(wakeKinds), "What to watch."),
                    DecisionField("level", .number, "PRICE_*: a price. MOVE, PROFIT, FUNDING: a fraction (0.01 is 1 %). VOLUME_Z: a z-score. REGIME: 0."),
                ], most: 5),
            "Conditions under which you want to be asked earlier."),
        DecisionField("memory_update", .optional(.text(most: 500)), "What you want to remember for the next time; it replaces your memory. null keeps it."),
        DecisionField("rationale", .text(most: 300), "Why, in plain words."),
    ]

    /// As the API takes it: closed objects, no bounds (they are not supported there and stand in the descriptions instead).
    public static let wireSchema = objectSchema(fields, bounds: false)
    /// With every bound: for the documentation and for other validators.
    public static let fullSchema = objectSchema(fields, bounds: true)

    /// As it is shipped.
    public static var schemaText: String {
        var root = JSONObject()
        root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
        root["$id"] = "urn:keel:schema:decision.v1"
        root["title"] = "Keel decision"
        root["description"] = "What a model answers. Made by `keel schema` from the definition that also makes the prompt and the parser."
        for member in fullSchema.asObject?.members ?? [] { root[member.name] = member.value }
        return JSONValue(root).text(.pretty) + "\n"
    }

    static func objectSchema(_ fields: [DecisionField], bounds: Bool) -> JSONValue {
        var properties = JSONObject()
        for field in fields {
            var schema = schema(field.kind, bounds: bounds)
            schema.set("description", JSONValue(describe(field)))
            properties[field.name] = schema
        }
        return [
            "type": "object", "properties": JSONValue(properties), "required": JSONValue(fields.map { JSONValue($0.name) }),
            "additionalProperties": false,
        ]
    }

    private static func schema(_ kind: DecisionField.Kind, bounds: Bool) -> JSONValue {
        switch kind {
        case .choice(let words): return ["type": "string", "enum": JSONValue(words.map { JSONValue($0) })]
        case .ratio: return bounds ? ["type": "number", "minimum": 0, "maximum": 1] : ["type": "number"]
        case .number: return ["type": "number"]
        case .whole(let range):
            return bounds
                ? ["type": "integer", "minimum": JSONValue(range.lowerBound), "maximum": JSONValue(range.upperBound)] : ["type": "integer"]
        case .text(let most): return bounds ? ["type": "string", "maxLength": JSONValue(most)] : ["type": "string"]
        case .optional(let inner):
            var value = schema(inner, bounds: bounds)
            // The service documents the first form, our own subset of JSON Schema has the second.
            guard bounds, let type = value.find("type") else { return ["anyOf": [value, ["type": "null"]]] }
            value.set("type", [type, "null"])
            return value
        case .list(let fields, let most):
            var list: JSONValue = ["type": "array", "items": objectSchema(fields, bounds: bounds)]
            if bounds { list.set("maxItems", JSONValue(most)) }
            return list
        }
    }

    private static func describe(_ field: DecisionField) -> String {
        let bounds = bounds(field.kind)
        return bounds.isEmpty ? field.about : "\(bounds). \(field.about)"
    }

    private static func bounds(_ kind: DecisionField.Kind) -> String {
        switch kind {
        case .choice, .number: ""
        case .ratio: "0 to 1"
        case .whole(let range): "\(range.lowerBound) to \(range.upperBound)"
        case .text(let most): "At most \(most) characters"
        case .optional(let inner): bounds(inner)
        case .list(_, let most): "At most \(most) items"
        }
    }

    /// The field list of the prompt.
    public static func words() -> String {
        func lines(_ fields: [DecisionField], _ indent: String) -> [String] {
            fields.flatMap { field -> [String] in
                var list = ["\(indent)- \(field.name): \(describe(field))"]
                switch field.kind {
                case .choice(let words): list[0] += " One of \(words.joined(separator: ", "))."
                case .list(let inner, _): list += lines(inner, indent + "  ")
                default: break
                }
                return list
            }
        }
        return lines(fields, "").joined(separator: "\n")
    }
}
