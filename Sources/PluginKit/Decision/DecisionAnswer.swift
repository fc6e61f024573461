/// What is wrong with an answer, in our words: they may go back to the model in a repair request.
public struct DecisionProblem: Error, Equatable, Sendable, CustomStringConvertible {
    public let path: String
    public let what: String
    public var description: String { "\(path): \(what)" }

    public init(path: String, what: String) {
        self.path = path
        self.what = what
    }
}

/// A model's answer that passed every check of form and range. Nothing that carries money is clamped: it is refused.
public struct DecisionAnswer: Equatable, Sendable {
    public enum Action: String, Sendable { case buy = "BUY", sell = "SELL", hold = "HOLD" }

    public struct Signal: Equatable, Sendable {
        public var name: String
        public var direction: Int32
        public var confidence: Fixed
    }

    public struct Wake: Equatable, Sendable {
        public var kind: String
        public var level: Fixed
    }

    public var action: Action
    public var fraction: Fixed
    public var confidence: Fixed
    public var exitProbability: Fixed?
    public var nextCheckSeconds: Int64
    public var validSeconds: Int64
    public var signals: [Signal]
    public var wakes: [Wake]
    public var memory: String?
    public var rationale: String

    /// Strict: one JSON object and nothing else. All problems at once.
    public static func parse(_ text: String, last: Fixed) -> Result<DecisionAnswer, DecisionProblems> {
        let root: JSONValue
        do throws(JSONError) {
            root = try JSONValue(parsing: text, options: JSONOptions(depth: 8, maximumBytes: 65_536))
        } catch {
            return .failure(DecisionProblems([DecisionProblem(path: "answer", what: "not one JSON object: \(error)")]))
        }
        return check(root, last: last)
    }

    public static func check(_ root: JSONValue, last: Fixed) -> Result<DecisionAnswer, DecisionProblems> {
        var problems: [DecisionProblem] = []
        checkForm(root, DecisionDefinition.fields, "answer", &problems)
        guard problems.isEmpty else { return .failure(DecisionProblems(problems)) }
        func fixed(_ value: JSONValue?, _ path: String) -> Fixed {
            guard let number = value?.asNumber else { return .zero }
            do throws(NumberError) {
                return try Fixed(nearest: number.double)
            } catch {
                problems.append(DecisionProblem(path: path, what: "\(error)"))
                return .zero
            }
        }
        let answer = DecisionAnswer(
            action: Action(rawValue: root.find("action")?.asText ?? "") ?? .hold,
            fraction: fixed(root.find("size_fraction"), "size_fraction"),
            confidence: fixed(root.find("confidence"), "confidence"),
            exitProbability: root.find("exit_probability")?.asNumber == nil ? nil : fixed(root.find("exit_probability"), "exit_probability"),
            nextCheckSeconds: root.find("next_check_seconds")?.asNumber?.int64 ?? 0,
            validSeconds: root.find("valid_seconds")?.asNumber?.int64 ?? 0,
            signals: (root.find("signals")?.asList ?? []).map { item in
                let direction: Int32 = item.find("direction")?.asText == "UP" ? 1 : item.find("direction")?.asText == "DOWN" ? -1 : 0
                return Signal(name: item.find("name")?.asText ?? "", direction: direction, confidence: fixed(item.find("confidence"), "signals.confidence"))
            },
            wakes: (root.find("wake_conditions")?.asList ?? []).map { item in
                Wake(kind: item.find("kind")?.asText ?? "", level: fixed(item.find("level"), "wake_conditions.level"))
            },
            memory: root.find("memory_update")?.asText.map(cleaned), rationale: cleaned(root.find("rationale")?.asText ?? ""))
        answer.checkMeaning(last: last, &problems)
        return problems.isEmpty ? .success(answer) : .failure(DecisionProblems(problems))
    }

    private func checkMeaning(last: Fixed, _ problems: inout [DecisionProblem]) {
        if action == .hold, !fraction.isZero { problems.append(DecisionProblem(path: "size_fraction", what: "must be 0 with HOLD")) }
        if action != .hold, fraction.isZero { problems.append(DecisionProblem(path: "size_fraction", what: "must be above 0 with \(action.rawValue)")) }
        var seen = Set<String>()
        for signal in signals where !seen.insert(signal.name).inserted {
            problems.append(DecisionProblem(path: "signals", what: "\(signal.name) is named twice"))
        }
        for wake in wakes where wake.kind.hasPrefix("PRICE") {
            // A price off by half is a unit mistake, not a plan.
            let low = last.raw / 2
            let (high, overflow) = last.raw.addingReportingOverflow(low)
            if wake.level.raw < low || (!overflow && wake.level.raw > high) {
                problems.append(DecisionProblem(path: "wake_conditions", what: "the price \(wake.level) is more than 50 % off the last price"))
            }
        }
        for wake in wakes where ["MOVE", "VOLUME_Z", "FUNDING"].contains(wake.kind) && !wake.level.isPositive {
            problems.append(DecisionProblem(path: "wake_conditions", what: "\(wake.kind) needs a level above 0"))
        }
    }

    private static func checkForm(_ value: JSONValue, _ fields: [DecisionField], _ path: String, _ problems: inout [DecisionProblem]) {
        guard let object = value.asObject else {
            problems.append(DecisionProblem(path: path, what: "must be an object"))
            return
        }
        let known = Set(fields.map(\.name))
        for name in object.names where !known.contains(name) { problems.append(DecisionProblem(path: path, what: "has an unknown field \(name.prefix(40))")) }
        for field in fields {
            guard let found = object[field.name] else {
                problems.append(DecisionProblem(path: "\(path).\(field.name)", what: "is missing"))
                continue
            }
            checkKind(found, field.kind, "\(path).\(field.name)", &problems)
        }
    }

    private static func checkKind(_ value: JSONValue, _ kind: DecisionField.Kind, _ path: String, _ problems: inout [DecisionProblem]) {
        func fail(_ what: String) { problems.append(DecisionProblem(path: path, what: what)) }
        switch kind {
        case .choice(let words):
            guard let text = value.asText, words.contains(text) else { return fail("must be one of \(words.joined(separator: ", "))") }
        case .ratio:
            guard let number = value.asNumber?.double, number >= 0, number <= 1 else { return fail("must be a number from 0 to 1") }
        case .number:
            guard let number = value.asNumber?.double, number.isFinite, abs(number) < 9e10 else { return fail("must be a finite number below 90 billion") }
        case .whole(let range):
            guard let number = value.asNumber, number.isInteger, let whole = number.int64, range.contains(whole) else {
                return fail("must be a whole number from \(range.lowerBound) to \(range.upperBound)")
            }
        case .text(let most):
            guard let text = value.asText else { return fail("must be text") }
            if text.count > most { fail("has \(text.count) characters, \(most) are allowed") }
        case .optional(let inner):
            if !value.isNull { checkKind(value, inner, path, &problems) }
        case .list(let fields, let most):
            guard let list = value.asList else { return fail("must be a list") }
            if list.count > most { return fail("has \(list.count) items, \(most) are allowed") }
            for (place, item) in list.enumerated() { checkForm(item, fields, "\(path)[\(place)]", &problems) }
        }
    }
}

public struct DecisionProblems: Error, Equatable, Sendable, CustomStringConvertible {
    public let list: [DecisionProblem]
    public init(_ list: [DecisionProblem]) { self.list = list }
    public var description: String { list.map(\.description).joined(separator: "; ") }
}

/// Text that comes from outside, made harmless for logs, prompts and screens: no control, zero-width or direction characters.
public func cleaned(_ text: String) -> String {
    String(
        String.UnicodeScalarView(
            text.unicodeScalars.filter { scalar in
                switch scalar.value {
                case 0x0a: true
                case 0..<0x20, 0x7f..<0xa0, 0x200b...0x200f, 0x202a...0x202e, 0x2060...0x206f, 0xfeff, 0xe0000...0xe007f: false
                default: true
                }
            }))
}
