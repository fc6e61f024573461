// Applying a schema to a value: every problem at once, each with its place; defaults filled in.

/// Something in a value that its schema doesn't allow.
public struct JSONIssue: Sendable, Equatable, CustomStringConvertible {
    public enum Kind: Sendable, Equatable {
        case wrongType(found: JSONType, expected: [JSONType])
        case missing(String)
        case unknown(String, near: String?)
        case notAChoice(found: JSONValue, [JSONValue], near: String?)
        case notTheConstant(JSONValue)
        case below(JSONNumber, unit: String?)
        case above(JSONNumber, unit: String?)
        case noMatch(String)
        /// A secret stands here in clear, or something else that is no reference.
        case notASecretReference
        /// A reference to a secret stands where the plugin doesn't take one.
        case secretNotTaken
        case deprecated(String?)
    }

    public var path: JSONPath
    /// First byte of the value, or of the name where the name is the problem.
    public var start: UInt32
    public var kind: Kind

    public init(_ path: JSONPath, start: UInt32, _ kind: Kind) {
        self.path = path
        self.start = start
        self.kind = kind
    }

    /// It still works, but the author of the schema would rather it were changed.
    public var isWarning: Bool { if case .deprecated = kind { true } else { false } }

    /// What is wrong, without the place. Never a secret's value.
    public var what: String {
        switch kind {
        case .wrongType(let found, let expected):
            "this is \(found.words), not \(expected.map(\.words).joined(separator: " or "))"
        case .missing(let name): "\"\(name)\" is missing"
        case .unknown(let name, _): "\"\(name)\" is not known here"
        case .notAChoice(let found, let choices, _):
            "\(found.shortText) is not one of \(choices.map(\.shortText).joined(separator: ", "))"
        case .notTheConstant(let value): "only \(value.shortText) may stand here"
        case .below(let minimum, let unit): "it may not be below \(minimum)\(unit.map { " \($0)" } ?? "")"
        case .above(let maximum, let unit): "it may not be above \(maximum)\(unit.map { " \($0)" } ?? "")"
        case .noMatch(let pattern): "it doesn't have the form \(pattern)"
        case .notASecretReference: "a secret may not be written here"
        case .secretNotTaken: "no secret is taken here"
        case .deprecated(let description): "it is deprecated" + (description.map { ": \($0)" } ?? "")
        }
    }

    /// What to do about it, where that can be said.
    public var hint: String? {
        switch kind {
        case .wrongType(.integer, let expected) where expected.contains(.string), .wrongType(.number, let expected) where expected.contains(.string):
            "write it in quotation marks"
        case .wrongType(.string, let expected) where expected.contains(.integer) || expected.contains(.number) || expected.contains(.boolean):
            "write it without quotation marks"
        case .unknown(_, let near?), .notAChoice(_, _, let near?): "did you mean \"\(near)\"?"
        case .unknown: "remove it, or look up the name: unknown names are never ignored"
        case .notASecretReference: "write {\"$secret\": \"name\"} and put the secret into the environment or a file"
        default: nil
        }
    }

    public var description: String { "\(path): \(what)" + (hint.map { " (\($0))" } ?? "") }
}

extension JSONValue {
    /// For messages: the value itself, cut where it is long.
    var shortText: String {
        let text = text(.compact)
        return text.count > 60 ? String(text.prefix(57)) + "..." : text
    }
}

extension JSONSchema {
    /// The value with every missing default filled in, and everything that is wrong with it.
    public func check(_ value: JSONValue, at path: JSONPath = .root) -> (value: JSONValue, issues: [JSONIssue]) {
        var issues: [JSONIssue] = []
        let completed = apply(to: value, path, &issues)
        return (completed, issues)
    }

    /// The reference's name, if the value is a reference: `{"$secret": "name"}` and nothing else.
    public static func secretName(of value: JSONValue) -> String? {
        guard let object = value.asObject, object.count == 1 else { return nil }
        return object["$secret"]?.asText
    }

    private func apply(to value: JSONValue, _ path: JSONPath, _ issues: inout [JSONIssue]) -> JSONValue {
        func report(_ kind: JSONIssue.Kind) { issues.append(JSONIssue(path, start: value.start, kind)) }
        if isDeprecated { report(.deprecated(description)) }
        if isSecret {
            if JSONSchema.secretName(of: value) == nil, !(value.isNull && types.contains(.null)) { report(.notASecretReference) }
            return value
        }
        if value.find("$secret") != nil, property("$secret") == nil, !takesAnything {
            report(.secretNotTaken)
            return value
        }
        if !types.isEmpty, !types.contains(where: { $0.includes(value.type) }) {
            report(.wrongType(found: value.type, expected: types))
            return value
        }
        if let constant, constant != value { report(.notTheConstant(constant)) }
        if let choices, !choices.contains(value) {
            let near = value.asText.flatMap { Suggestion.nearest(to: $0, among: choices.compactMap(\.asText)) }
            report(.notAChoice(found: value, choices, near: near))
        }
        switch value.content {
        case .number(let number):
            if let minimum, number < minimum { report(.below(minimum, unit: unit)) }
            if let maximum, maximum < number { report(.above(maximum, unit: unit)) }
        case .text(let text):
            if let pattern, !pattern.matches(text) { report(.noMatch(pattern.text)) }
        case .list(let list):
            guard let items else { break }
            var completed = value
            completed.content = .list(list.enumerated().map { items.apply(to: $1, path.appending($0), &issues) })
            return completed
        case .object(let object):
            return apply(toMembers: object, of: value, path, &issues)
        case .null, .bool:
            break
        }
        return value
    }

    private var takesAnything: Bool { if case .any = others { true } else { types.isEmpty && properties.isEmpty } }

    private func apply(toMembers object: JSONObject, of value: JSONValue, _ path: JSONPath, _ issues: inout [JSONIssue]) -> JSONValue {
        // A schema that says nothing about members leaves them alone.
        if types.isEmpty, properties.isEmpty, case .refused = others { return value }
        var completed = object
        for member in object.members {
            let memberPath = path.appending(member.name)
            if let schema = property(member.name) {
                completed[member.name] = schema.apply(to: member.value, memberPath, &issues)
                continue
            }
            switch others {
            case .any: break
            case .each(let schema): completed[member.name] = schema.apply(to: member.value, memberPath, &issues)
            case .refused:
                let near = Suggestion.nearest(to: member.name, among: properties.map(\.name).filter { object[$0] == nil })
                issues.append(JSONIssue(memberPath, start: member.start, .unknown(member.name, near: near)))
            }
        }
        for name in required where object[name] == nil {
            issues.append(JSONIssue(path, start: value.start, .missing(name)))
        }
        for property in properties where object[property.name] == nil {
            guard let fallback = property.schema.fallback else { continue }
            // Defaults were checked with the schema; applying fills in the defaults inside them.
            var ignored: [JSONIssue] = []
            completed[property.name] = property.schema.apply(to: fallback, path.appending(property.name), &ignored).withoutPlace
        }
        var result = value
        result.content = .object(completed)
        return result
    }
}

extension JSONType {
    /// A whole number is a number too.
    func includes(_ found: JSONType) -> Bool { self == found || self == .number && found == .integer }
}
