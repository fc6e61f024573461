import PluginKit

/// What happens to one call instead of a plain answer.
enum FaultStep: Equatable {
    /// The connection ends before anything was done.
    case lostRequest
    /// Done, and the connection ends without an answer.
    case lostReply
    /// No answer, with the connection open.
    case hang(done: Bool)
    /// Done after a while.
    case delay(milliseconds: Int64)
    /// Done at once, answered after a while.
    case delayReply(milliseconds: Int64)
    /// An answer that says nothing was done, which may be a lie.
    case refuse(status: Int, code: Int, text: String, done: Bool)

    static let names = ["lost_request", "lost_reply", "hang", "hang_after", "delay", "delay_reply", "status", "timeout", "timeout_after", "unavailable", "busy", "limited", "reject"]
}

enum ScenarioError: Error, Equatable, CustomStringConvertible {
    case form(String)
    case step(String)

    var description: String {
        switch self {
        case .form(let text), .step(let text): "scenario: \(text)"
        }
    }
}

/// Milliseconds from "250ms", "10s", "5m", "2h", "1d", or a plain number of milliseconds.
func milliseconds(_ value: JSONValue, _ name: String) throws(ScenarioError) -> Int64 {
    if let number = value.asNumber?.int64, (0...10_000_000_000_000).contains(number) { return number }
    guard let text = value.asText else { throw .form("\"\(name)\" must be a duration like \"10s\"") }
    for (unit, factor) in [("ms", Int64(1)), ("s", 1_000), ("m", Interval.minute), ("h", Interval.hour), ("d", Interval.day)] where text.hasSuffix(unit) {
        if let number = Int64(text.dropLast(unit.count)), (0...1_000_000).contains(number) { return number * factor }
    }
    throw .form("\"\(name)\" must be a duration like \"10s\", not \"\(text)\"")
}

/// Which calls a fault strikes, and how often.
struct FaultRule {
    enum Channel: String { case rest, socket }

    var step: FaultStep
    /// "POST /api/v3/order"; "orders": every placement and cancellation; "all": every call.
    var calls: [String]
    var product: Product?
    var channel: Channel?
    /// Of the calls that fit: one in how many by chance (in 1e-8), or every so many.
    var chance: Int64?
    var every: Int64?
    /// So many fitting calls are let through first.
    var skip: Int64 = 0
    /// It strikes at most so often.
    var times: Int64 = .max
    /// In milliseconds since the start.
    var from: Int64 = 0
    var to: Int64 = .max
    var seen: Int64 = 0
    var struck: Int64 = 0

    init(_ value: JSONValue) throws(ScenarioError) {
        guard let object = value.asObject else { throw .form("a rule must be an object") }
        let known = ["do", "calls", "product", "channel", "chance", "every", "skip", "times", "from", "to", "ms", "status", "code", "msg", "done"]
        for name in object.names where !known.contains(name) { throw .form("a rule has no member \"\(name)\"; it may have: \(known.joined(separator: ", "))") }
        step = try FaultRule.step(value)
        calls = (value.find("calls")?.asList ?? []).compactMap(\.asText)
        if calls.isEmpty { calls = ["orders"] }
        if let text = value.find("product")?.asText {
            guard let found = Product(rawValue: text) else { throw .form("\"product\" must be spot or futures") }
            product = found
        }
        if let text = value.find("channel")?.asText {
            guard let found = Channel(rawValue: text) else { throw .form("\"channel\" must be rest or socket") }
            channel = found
        }
        if let share = value.find("chance") {
            guard let number = try? value["chance"].fixed, number.raw >= 0, number.raw <= one else { throw .form("\"chance\" must be from 0 to 1, not \(share)") }
            chance = number.raw
        }
        func count(_ name: String) throws(ScenarioError) -> Int64? {
            guard let found = value.find(name) else { return nil }
            guard let number = found.asNumber?.int64, (0...1_000_000_000).contains(number) else { throw .form("\"\(name)\" must be a whole number") }
            return number
        }
        every = try count("every")
        if every == 0 { throw .form("\"every\" must be at least 1") }
        skip = try count("skip") ?? 0
        times = try count("times") ?? .max
        if let found = value.find("from") { from = try milliseconds(found, "from") }
        if let found = value.find("to") { to = try milliseconds(found, "to") }
    }

    static func step(_ value: JSONValue) throws(ScenarioError) -> FaultStep {
        guard let name = value.find("do")?.asText else { throw .step("a rule needs \"do\": one of \(FaultStep.names.joined(separator: ", "))") }
        let wait = try value.find("ms").map { (found: JSONValue) throws(ScenarioError) in try milliseconds(found, "ms") } ?? 500
        let done = value.find("done")?.asBool ?? false
        let unknown = Refusal.unknownOutcome(status: 504)
        switch name {
        case "lost_request": return .lostRequest
        case "lost_reply": return .lostReply
        case "hang": return .hang(done: false)
        case "hang_after": return .hang(done: true)
        case "delay": return .delay(milliseconds: wait)
        case "delay_reply": return .delayReply(milliseconds: wait)
        case "timeout": return .refuse(status: unknown.status, code: unknown.code, text: unknown.text, done: false)
        case "timeout_after": return .refuse(status: unknown.status, code: unknown.code, text: unknown.text, done: true)
        case "unavailable": return .refuse(status: 503, code: 0, text: "Service Unavailable.", done: false)
        case "busy": return .refuse(status: 503, code: -1008, text: "Server is currently overloaded with other requests. Please try again in a few minutes.", done: false)
        case "limited": return .refuse(status: 429, code: -1003, text: "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API.", done: false)
        case "status", "reject":
            let status = value.find("status")?.asNumber?.int64 ?? (name == "status" ? 503 : 400)
            guard (400...599).contains(status) else { throw .step("\"status\" must be from 400 to 599") }
            let code = value.find("code")?.asNumber?.int64 ?? -1000
            return .refuse(status: Int(status), code: Int(clamping: code), text: value.find("msg")?.asText ?? "Unknown error, please check your request or try again later.", done: done)
        default: throw .step("there is no \"\(name)\"; there are: \(FaultStep.names.joined(separator: ", "))")
        }
    }
}

/// The rules in force. Chance comes from the scenario's own seed, so the same requests meet the same faults.
struct Faults {
    var rules: [FaultRule] = []
    private var random: SeededGenerator
    private let start: Int64

    init(seed: UInt64 = 1, start: Int64) {
        random = SeededGenerator.stream(seed: seed, "faults")
        self.start = start
    }

    mutating func next(_ call: String, product: Product, isOrder: Bool, channel: FaultRule.Channel, time: Int64) -> FaultStep? {
        for place in rules.indices {
            let rule = rules[place]
            let elapsed = time - start
            guard rule.product == nil || rule.product == product, rule.channel == nil || rule.channel == channel, elapsed >= rule.from, elapsed < rule.to,
                rule.calls.contains("all") || rule.calls.contains(call) || isOrder && rule.calls.contains("orders")
            else { continue }
            rules[place].seen += 1
            guard rules[place].seen > rule.skip, rule.struck < rule.times else { continue }
            if let every = rule.every, (rules[place].seen - rule.skip) % every != 0 { continue }
            if let chance = rule.chance, Int64(random.below(UInt64(one))) >= chance { continue }
            rules[place].struck += 1
            return rule.step
        }
        return nil
    }

    var described: Out {
        Out.list(rules) { rule in
            Out.object { out in
                out.text("do", "\(rule.step)")
                out.int("seen", rule.seen)
                out.int("struck", rule.struck)
            }
        }
    }
}
