import PluginAPI

/// The one definition of what a decider says in JSON: schema, prompt and parser are made of it, so a model can't be
/// asked for one thing and checked for another. Each field stands for one of `keel_ev_decision`; what the host or the
/// plugin knows itself (snapshot, cost, tokens, model) isn't among them.
public enum DecisionDefinition {
    public struct Field: Sendable {
        /// The key in JSON.
        public var name: String
        /// Name of the field it fills in `keel_ev_decision`.
        public var member: String
        public var isRequired: Bool
        /// Without the description.
        public var shape: JSONValue
        public var description: String

        var schema: JSONValue {
            var schema: JSONValue = ["description": JSONValue(description)]
            for member in shape.asObject?.members ?? [] { schema.set(member.name, member.value) }
            return schema
        }
    }

    public enum Action: String, Sendable, CaseIterable {
        case hold, buy, sell

        public var code: UInt32 {
            switch self {
            case .hold: UInt32(KEEL_ACT_HOLD)
            case .buy: UInt32(KEEL_ACT_BUY)
            case .sell: UInt32(KEEL_ACT_SELL)
            }
        }
    }

    public enum Condition: String, Sendable, CaseIterable {
        case priceAbove = "price_above"
        case priceBelow = "price_below"
        case move
        case volumeZ = "volume_z"
        case regime, funding, profit

        public var code: UInt32 {
            switch self {
            case .priceAbove: KEEL_WAKE_PRICE_ABOVE
            case .priceBelow: KEEL_WAKE_PRICE_BELOW
            case .move: KEEL_WAKE_MOVE
            case .volumeZ: KEEL_WAKE_VOLUME_Z
            case .regime: KEEL_WAKE_REGIME
            case .funding: KEEL_WAKE_FUNDING
            case .profit: KEEL_WAKE_PROFIT
            }
        }

        var words: String {
            switch self {
            case .priceAbove: "price above level"
            case .priceBelow: "price below level"
            case .move: "price moved by this share of itself"
            case .volumeZ: "z-score of the volume beyond level"
            case .regime: "the market regime changed (no level)"
            case .funding: "funding rate beyond level, either sign"
            case .profit: "profit of the position beyond level, a signed share of the entry"
            }
        }
    }

    private static let share: JSONValue = ["type": "number", "minimum": 0, "maximum": 1]
    private static let signalName = "^[A-Za-z][A-Za-z0-9_.-]{0,63}$"

    /// Longest texts that are taken.
    static let reasonLimit = 4_000
    static let memoryLimit = 8_000

    public static let fields: [Field] = [
        Field(
            name: "action", member: "action", isRequired: true, shape: ["type": "string", "enum": JSONValue(Action.allCases.map { JSONValue($0.rawValue) })],
            description: "What to do now. hold leaves everything as it is; sell without a position opens a short one only where that is allowed."),
        Field(
            name: "confidence", member: "confidence", isRequired: true, shape: share, description: "How sure you are of the action, 0 to 1."),
        Field(
            name: "fraction", member: "fraction", isRequired: false, shape: share,
            description: "Entries: share of the equity to commit. Exits: share of the position to close. The host caps it."),
        Field(
            name: "exit_probability", member: "exit_probability", isRequired: false, shape: share,
            description: "Probability that an open position should be closed now, 0 to 1. Leave it out if there is none."),
        Field(
            name: "next_check_seconds", member: "next_check", isRequired: false, shape: ["type": "integer", "minimum": 1, "maximum": 604_800],
            description: "When you want to be asked again. The host holds it between its limits."),
        Field(
            name: "valid_for_seconds", member: "valid_until", isRequired: false, shape: ["type": "integer", "minimum": 1, "maximum": 86_400],
            description: "How long this decision may still be carried out."),
        Field(
            name: "signals", member: "signals", isRequired: false,
            shape: [
                "type": "array",
                "items": [
                    "type": "object", "required": ["name", "direction", "confidence"],
                    "properties": [
                        "name": ["type": "string", "pattern": JSONValue(signalName), "description": "Short and always the same for the same signal."],
                        "direction": ["type": "string", "enum": ["up", "down", "none"], "description": "Where it points."],
                        "confidence": ["type": "number", "minimum": 0, "maximum": 1, "description": "How strongly, 0 to 1."],
                    ],
                    "additionalProperties": false,
                ],
            ],
            description: "The signals behind the action. What became of each is remembered and shown to you later."),
        Field(
            name: "wakes", member: "wakes", isRequired: false,
            shape: [
                "type": "array",
                "items": [
                    "type": "object", "required": ["condition"],
                    "properties": [
                        "condition": [
                            "type": "string", "enum": JSONValue(Condition.allCases.map { JSONValue($0.rawValue) }),
                            "description": JSONValue(Condition.allCases.map { "\($0.rawValue): \($0.words)" }.joined(separator: "; ") + "."),
                        ],
                        "level": [
                            "type": ["number", "string"], "pattern": "^-?[0-9]{1,12}(\\.[0-9]{1,8})?$",
                            "description": "Price, share or score; as text where it must be exact.",
                        ],
                    ],
                    "additionalProperties": false,
                ],
            ],
            description: "Be asked again as soon as one of these comes true."),
        Field(
            name: "reason", member: "reason", isRequired: true, shape: ["type": "string"], description: "One to three sentences for the record. Do not repeat the numbers you were given."),
        Field(
            name: "memory", member: "memory", isRequired: false, shape: ["type": "string"],
            description: "Replaces what you asked to remember for this instrument. Leave it out to keep it."),
    ]

    public static let schemaValue: JSONValue = {
        var properties = JSONObject()
        for field in fields { properties[field.name] = field.schema }
        return [
            "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:keel:schema:decision.v1", "title": "Keel decision",
            "description": "What a decider answers. Generated by `keel schema` from the definition that also makes the prompt and the parser.",
            "type": "object", "required": JSONValue(fields.filter(\.isRequired).map { JSONValue($0.name) }), "properties": JSONValue(properties),
            "additionalProperties": false,
        ]
    }()

    /// As it is shipped.
    public static var schemaText: String { schemaValue.text(.pretty) + "\n" }

    /// The part of a prompt that says how to answer.
    public static var prompt: String {
        var lines = ["Answer with one JSON object and nothing else. Its keys:"]
        for field in fields {
            lines.append("- \(field.name) (\(field.isRequired ? "required" : "optional"), \(kind(field.shape))): \(field.description)")
            for member in field.shape.find("items")?.find("properties")?.asObject?.members ?? [] {
                let text = member.value.find("description")?.asText ?? ""
                lines.append("  - \(member.name) (\(kind(member.value))): \(text)")
            }
        }
        return lines.joined(separator: "\n")
    }

    private static func kind(_ shape: JSONValue) -> String {
        if let choices = shape.find("enum")?.asList { return choices.map { $0.text(.compact) }.joined(separator: " | ") }
        let types = shape.find("type").map { $0.asList ?? [$0] }?.compactMap(\.asText) ?? []
        var text = types.compactMap { JSONType(rawValue: $0)?.words }.joined(separator: " or ")
        if let least = shape.find("minimum")?.asNumber, let most = shape.find("maximum")?.asNumber { text += " from \(least) to \(most)" }
        return text
    }
}
