/// A decision as a decider states it in JSON, checked against its definition.
public struct DecisionText: Sendable, Equatable {
    public struct Signal: Sendable, Equatable {
        public var name: String
        /// 1 up, -1 down, 0 none.
        public var direction: Int32
        public var confidence: Fixed
    }

    public struct Wake: Sendable, Equatable {
        public var condition: DecisionDefinition.Condition
        public var level: Fixed
    }

    public var action: DecisionDefinition.Action
    public var confidence: Fixed
    public var fraction: Fixed?
    public var exitProbability: Fixed?
    public var nextCheckSeconds: Int64?
    public var validForSeconds: Int64?
    public var signals: [Signal] = []
    public var wakes: [Wake] = []
    public var reason: String
    public var memory: String?

    public enum Refusal: Error, Sendable, Equatable, CustomStringConvertible {
        case notJSON(JSONError)
        case notADecision([JSONIssue])
        case badValue(JSONAccessError)
        case tooLong(String, limit: Int)

        public var description: String {
            switch self {
            case .notJSON(let error): "the answer is not JSON: \(error)"
            case .notADecision(let issues): "the answer is no decision: " + issues.map(\.description).joined(separator: "; ")
            case .badValue(let error): "the answer is no decision: \(error)"
            case .tooLong(let name, let limit): "the answer's \(name) is longer than \(limit) characters"
            }
        }
    }

    private static let schema = try? JSONSchema(DecisionDefinition.schemaValue)

    /// Strict: an unknown key, a number out of range or a second object refuses the whole answer.
    public init(parsing text: String) throws(Refusal) {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: Array(text.utf8), options: JSONOptions(depth: 8, maximumBytes: 1 << 20))
        } catch {
            throw .notJSON(error)
        }
        guard let schema = DecisionText.schema else { throw .notADecision([]) }
        let issues = schema.check(value).issues.filter { !$0.isWarning }
        if !issues.isEmpty { throw .notADecision(issues) }
        do throws(JSONAccessError) {
            action = try value["action"].choice()
            confidence = try DecisionText.statistic(value["confidence"])
            fraction = try value["fraction"].ifPresent.map { field throws(JSONAccessError) in try DecisionText.statistic(field) }
            exitProbability = try value["exit_probability"].ifPresent.map { field throws(JSONAccessError) in try DecisionText.statistic(field) }
            nextCheckSeconds = try value["next_check_seconds"].ifPresent?.int64
            validForSeconds = try value["valid_for_seconds"].ifPresent?.int64
            if let list = value["signals"].ifPresent {
                signals = try list.list.map { field throws(JSONAccessError) in
                    let direction = try field["direction"].text
                    return Signal(
                        name: try field["name"].text, direction: direction == "up" ? 1 : direction == "down" ? -1 : 0,
                        confidence: try DecisionText.statistic(field["confidence"]))
                }
            }
            reason = try value["reason"].text
            memory = try value["memory"].ifPresent?.text
        } catch {
            throw .badValue(error)
        }
        if let list = value["wakes"].ifPresent {
            let fields: [JSONField]
            do { fields = try list.list } catch { throw .badValue(error) }
            for field in fields { wakes.append(try DecisionText.wake(field)) }
        }
        if reason.count > DecisionDefinition.reasonLimit { throw .tooLong("reason", limit: DecisionDefinition.reasonLimit) }
        if let memory, memory.count > DecisionDefinition.memoryLimit { throw .tooLong("memory", limit: DecisionDefinition.memoryLimit) }
    }

    private static func wake(_ field: JSONField) throws(Refusal) -> Wake {
        do throws(JSONAccessError) {
            let condition: DecisionDefinition.Condition = try field["condition"].choice()
            if let level = field["level"].ifPresent { return Wake(condition: condition, level: try level.fixed) }
            if condition == .regime { return Wake(condition: condition, level: .zero) }
            throw JSONAccessError.missing(field["level"].path)
        } catch {
            throw .badValue(error)
        }
    }

    /// Models write 0.3333333333: a confidence is a statistic and may be rounded to eight decimals, unlike a price.
    private static func statistic(_ field: JSONField) throws(JSONAccessError) -> Fixed {
        do { return try field.fixed } catch {
            guard case .badNumber(_, .inexact) = error else { throw error }
            let value = try field.double
            do { return try Fixed(nearest: value) } catch { throw .badNumber(field.path, error) }
        }
    }
}
