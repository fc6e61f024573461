import PluginKit

/// One thing that happens to one request.
enum ClaudeStep: Equatable {
    case answer
    /// An HTTP error, with headers.
    case status(Int, code: String?, retryAfter: String?, retryAfterMs: String?, shouldRetry: String?)
    case refusal(partial: Bool)
    case cut
    case body(String)
    case html
    case empty
    case text(String)
    case wrongTypes
    case noUsage
    case twoTexts
    case unknownParts
    case slow(milliseconds: Int64)
    case drip(milliseconds: Int64)
    case hang
    case reset
    case resetInside
    case streamError
    case streamCut

    static let names = [
        "answer", "status", "refusal", "refusal_partial", "cut", "body", "html", "empty", "text", "wrong_types", "no_usage", "two_texts", "unknown_parts",
        "slow", "drip", "hang", "reset", "reset_inside", "stream_error", "stream_cut",
    ]

    /// {"do": "status", "status": 429, "retry_after": "2", "error_code": "..."}
    init(_ value: JSONValue) throws(ScenarioError) {
        guard let name = value.find("do")?.asText else { throw .step("a step needs \"do\": one of \(Self.names.joined(separator: ", "))") }
        func text(_ field: String) -> String? { value.find(field)?.asText }
        let milliseconds = value.find("ms")?.asNumber?.int64 ?? 100
        guard (0...600_000).contains(milliseconds) else { throw .step("\"ms\" must be from 0 to 600000") }
        switch name {
        case "answer": self = .answer
        case "status":
            guard let status = value.find("status")?.asNumber?.int64, (400...599).contains(status) else { throw .step("\"status\" must be from 400 to 599") }
            self = .status(Int(status), code: text("error_code"), retryAfter: text("retry_after"), retryAfterMs: text("retry_after_ms"), shouldRetry: text("should_retry"))
        case "refusal": self = .refusal(partial: false)
        case "refusal_partial": self = .refusal(partial: true)
        case "cut": self = .cut
        case "body": self = .body(text("body") ?? "")
        case "html": self = .html
        case "empty": self = .empty
        case "text": self = .text(text("text") ?? "")
        case "wrong_types": self = .wrongTypes
        case "no_usage": self = .noUsage
        case "two_texts": self = .twoTexts
        case "unknown_parts": self = .unknownParts
        case "slow": self = .slow(milliseconds: milliseconds)
        case "drip": self = .drip(milliseconds: milliseconds)
        case "hang": self = .hang
        case "reset": self = .reset
        case "reset_inside": self = .resetInside
        case "stream_error": self = .streamError
        case "stream_cut": self = .streamCut
        default: throw .step("there is no step \"\(name)\"; there are: \(Self.names.joined(separator: ", "))")
        }
    }
}

enum ScenarioError: Error, Equatable, CustomStringConvertible {
    case step(String)
    case form(String)

    var description: String {
        switch self {
        case .step(let text), .form(let text): "scenario: \(text)"
        }
    }
}

/// What is to happen: a queue of steps for the next requests, and what happens when it is empty.
struct ClaudeScenario {
    var queue: [ClaudeStep] = []
    var otherwise: ClaudeStep = .answer
    /// Exact answers for the next plain answers, in order; then answers are made from the seed.
    var answers: [String] = []

    init() {}

    /// {"queue": [step...], "otherwise": step, "answers": [text or object...]}
    init(_ bytes: [UInt8]) throws(ScenarioError) {
        let root: JSONValue
        do throws(JSONError) { root = try JSONValue(parsing: bytes) } catch { throw .form("\(error)") }
        guard let object = root.asObject else { throw .form("must be an object") }
        for name in object.names where !["queue", "otherwise", "answers"].contains(name) { throw .form("unknown member \"\(name)\"") }
        for step in root.find("queue")?.asList ?? [] {
            let count = step.find("times")?.asNumber?.int64 ?? 1
            guard (1...100_000).contains(count) else { throw .step("\"times\" must be from 1 to 100000") }
            let parsed = try ClaudeStep(step)
            queue += [ClaudeStep](repeating: parsed, count: Int(count))
        }
        if let step = root.find("otherwise") { otherwise = try ClaudeStep(step) }
        answers = (root.find("answers")?.asList ?? []).map { $0.asText ?? $0.text(.compact) }
    }

    mutating func next() -> ClaudeStep { queue.isEmpty ? otherwise : queue.removeFirst() }
}
