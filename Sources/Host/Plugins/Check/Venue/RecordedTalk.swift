import PluginKit

/// A recorded exchange with a venue that speaks lines of text: what it was sent, what it answered, in named scenarios.
/// docs/plugin-guide.md describes the file.
struct RecordedTalk: Sendable {
    struct Rule: Sendable {
        var on: LinePattern
        var ifKept: String?
        var unlessKept: String?
        /// Only after the checker has said `release`, or only before.
        var released: Bool?
        var places = false
        /// The name of a count in the report that goes up.
        var counts: String?
        /// The venue's words for a refusal, for whoever asks.
        var reason: String?
        var reply: [Reply] = []
        var keep: [Keep] = []
        var forget: [String] = []
        /// What happens once the checker says `release`.
        var atRelease: (reply: [Reply], keep: [Keep])?
        var hangsUp = false
        var stream: Stream?
        var stop: [String] = []
    }

    struct Keep: Sendable {
        var key: String
        var line: String
        /// nil: for ever.
        var milliseconds: Int?
    }

    enum Reply: Sendable {
        case line(String)
        /// Sent only when the checker says `release`.
        case held(String)
        /// Every kept line whose key starts with this.
        case kept(String)
        /// Sent raw, without a line end.
        case raw(String)
        /// So many bytes that mean nothing.
        case huge(Int)
    }

    struct Stream: Sendable {
        var name: String
        var everyMilliseconds: Int
        var lines: [String]
        /// Lines at a time.
        var batch = 1
        /// Lines in all; nil: on and on.
        var total: Int?
        /// By how much the number of its next line jumps at `release`.
        var gap = 0
    }

    struct Scenario: Sendable {
        var name: String
        var rules: [Rule] = []
        /// Bytes go out one by one, so far apart; 0: at once.
        var slowMilliseconds = 0
        /// Sent to everyone who connects, and whether the connection ends with it.
        var onAccept: (raw: String, hangsUp: Bool)?
    }

    var greeting: [String] = []
    var always: [Rule] = []
    var scenarios: [Scenario] = []
    /// A line for each order of somebody else, and the key it is kept under.
    var outside: Keep?
    /// How a kept line of an order looks that rests and is the plugin's own.
    var resting: LinePattern?

    init(parsing bytes: [UInt8]) throws {
        let root = try JSONField(JSONValue(parsing: bytes))
        for (name, field) in try root.members {
            switch name {
            case "$schema", "about": break
            case "greeting": greeting = try field.list.map { try $0.text }
            case "always": always = try field.list.map(RecordedTalk.rule)
            case "scenarios": scenarios = try field.members.map { try RecordedTalk.scenario($0.name, $0.field) }
            case "outside": outside = Keep(key: try field["key"].text, line: try field["line"].text)
            case "resting": resting = LinePattern(try field.text)
            default: throw RecordedTalkError.unknownKey(name)
            }
        }
        if scenarios.isEmpty { throw RecordedTalkError.noScenario }
    }

    /// Its rules, or an object with more about it.
    private static func scenario(_ name: String, _ field: JSONField) throws -> Scenario {
        var scenario = Scenario(name: name)
        if field.found?.asList != nil {
            scenario.rules = try field.list.map(rule)
            return scenario
        }
        for (key, value) in try field.members {
            switch key {
            case "about": break
            case "rules": scenario.rules = try value.list.map(rule)
            case "slow_ms": scenario.slowMilliseconds = max(0, try value.int)
            case "on_accept": scenario.onAccept = (try value["raw"].ifPresent?.text ?? "", try value["hang_up"].ifPresent?.bool ?? false)
            default: throw RecordedTalkError.unknownKey(key)
            }
        }
        return scenario
    }

    private static func keep(_ key: String, _ field: JSONField) throws -> Keep {
        if let line = field.found?.asText { return Keep(key: key, line: line) }
        return Keep(key: key, line: try field["line"].ifPresent?.text ?? "", milliseconds: try field["ms"].int)
    }

    private static func rule(_ field: JSONField) throws -> Rule {
        var rule = Rule(on: LinePattern(try field["on"].text))
        for (name, value) in try field.members {
            switch name {
            case "on", "about": break
            case "if": rule.ifKept = try value.text
            case "unless": rule.unlessKept = try value.text
            case "places": rule.places = try value.bool
            case "reply": rule.reply = try value.list.map(reply)
            case "keep": rule.keep = try value.members.map { try keep($0.name, $0.field) }
            case "released": rule.released = try value.bool
            case "counts": rule.counts = try value.text
            case "reason": rule.reason = try value.text
            case "at_release":
                rule.atRelease = (
                    try value["reply"].ifPresent?.list.map(reply) ?? [], try value["keep"].ifPresent?.members.map { try keep($0.name, $0.field) } ?? []
                )
            case "forget": rule.forget = try value.list.map { try $0.text }
            case "hang_up": rule.hangsUp = try value.bool
            case "stop": rule.stop = try value.list.map { try $0.text }
            case "stream":
                rule.stream = Stream(
                    name: try value["name"].text, everyMilliseconds: max(1, try value["every_ms"].int), lines: try value["lines"].list.map { try $0.text },
                    batch: max(1, try value["batch"].ifPresent?.int ?? 1), total: try value["total"].ifPresent?.int, gap: try value["gap"].ifPresent?.int ?? 0)
            default: throw RecordedTalkError.unknownKey(name)
            }
        }
        return rule
    }

    private static func reply(_ field: JSONField) throws -> Reply {
        if let text = field.found?.asText { return .line(text) }
        if let held = field["held"].ifPresent { return .held(try held.text) }
        if let raw = field["raw"].ifPresent { return .raw(try raw.text) }
        if let huge = field["huge"].ifPresent { return .huge(max(0, min(try huge.int, 1 << 28))) }
        return .kept(try field["kept"].text)
    }
}

enum RecordedTalkError: Error, CustomStringConvertible {
    case unknownKey(String)
    case noScenario

    var description: String {
        switch self {
        case .unknownKey(let name): "the recorded venue has no key \"\(name)\""
        case .noScenario: "the recorded venue has no scenario: add \"scenarios\""
        }
    }
}

/// Literal text with {captures}: a name of small letters and underscores in braces stands for the shortest run of
/// characters up to the next literal piece.
struct LinePattern: Sendable {
    enum Piece: Sendable, Equatable {
        case text(String)
        case capture(String)
    }

    let pieces: [Piece]

    init(_ pattern: String) { pieces = LinePattern.split(pattern) }

    static func split(_ pattern: String) -> [Piece] {
        var pieces: [Piece] = []
        var literal = ""
        var rest = Substring(pattern)
        while let first = rest.first {
            if first == "{", let end = rest.firstIndex(of: "}") {
                let name = rest[rest.index(after: rest.startIndex)..<end]
                if !name.isEmpty, name.allSatisfy({ $0.isASCII && ($0.isLowercase || $0 == "_") }) {
                    if !literal.isEmpty { pieces.append(.text(literal)) }
                    literal = ""
                    pieces.append(.capture(String(name)))
                    rest = rest[rest.index(after: end)...]
                    continue
                }
            }
            literal.append(first)
            rest = rest.dropFirst()
        }
        if !literal.isEmpty { pieces.append(.text(literal)) }
        return pieces
    }

    func match(_ line: String) -> [String: String]? {
        var captures: [String: String] = [:]
        var rest = Substring(line)
        var index = 0
        while index < pieces.count {
            switch pieces[index] {
            case .text(let text):
                guard rest.hasPrefix(text) else { return nil }
                rest = rest.dropFirst(text.count)
            case .capture(let name):
                if index + 1 < pieces.count, case .text(let next) = pieces[index + 1] {
                    guard let found = rest.firstRange(of: next) else { return nil }
                    captures[name] = String(rest[..<found.lowerBound])
                    rest = rest[found.lowerBound...]
                } else {
                    captures[name] = String(rest)
                    rest = ""
                }
            }
            index += 1
        }
        return rest.isEmpty ? captures : nil
    }

    static func fill(_ template: String, _ values: [String: String]) -> String {
        split(template).map { piece in
            switch piece {
            case .text(let text): text
            case .capture(let name): values[name] ?? "{\(name)}"
            }
        }.joined()
    }
}
