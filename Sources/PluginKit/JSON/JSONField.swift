// Reading configuration and messages: `try config["fast"].int`. What is missing or of another kind is an error that names
// the whole path, so no plugin author writes that message.

/// A place in a value, filled or not.
public struct JSONField: Sendable {
    public let path: JSONPath
    /// nil: nothing is there.
    public let found: JSONValue?

    public init(_ value: JSONValue?, at path: JSONPath = .root) {
        found = value
        self.path = path
    }

    /// A member. Nothing is thrown until the value is asked for.
    public subscript(name: String) -> JSONField {
        JSONField(found?.find(name), at: .name(path, name))
    }

    public subscript(place: Int) -> JSONField {
        let list = found?.asList
        return JSONField(list.flatMap { $0.indices.contains(place) ? $0[place] : nil }, at: .place(path, place))
    }

    /// Itself, or nil where nothing or null stands: `try config["limit"].ifPresent?.fixed ?? .one`.
    public var ifPresent: JSONField? {
        guard let found, !found.isNull else { return nil }
        return self
    }

    public var value: JSONValue {
        get throws(JSONAccessError) {
            guard let found else { throw .missing(path) }
            return found
        }
    }

    public var bool: Bool { get throws(JSONAccessError) { try wanted(.boolean) { $0.asBool } } }
    public var text: String { get throws(JSONAccessError) { try wanted(.string) { $0.asText } } }

    /// A whole number; 3.0 is one.
    public var int64: Int64 {
        get throws(JSONAccessError) {
            let number = try wanted(.integer) { $0.asNumber }
            guard let value = number.int64 else {
                if number.isInteger { throw .outOfRange(path, number.text) }
                throw .wrongType(path, expected: .integer, found: .number)
            }
            return value
        }
    }

    public var int: Int {
        get throws(JSONAccessError) {
            let value = try int64
            guard let int = Int(exactly: value) else { throw .outOfRange(path, "\(value)") }
            return int
        }
    }

    /// A statistic, from a number only.
    public var double: Double {
        get throws(JSONAccessError) {
            let number = try wanted(.number) { $0.asNumber }
            let value = number.double
            guard value.isFinite else { throw .outOfRange(path, number.text) }
            return value
        }
    }

    /// A price, quantity or ratio, from a text ("0.10") or a number, exactly: more than eight decimals is an error.
    public var fixed: Fixed {
        get throws(JSONAccessError) {
            let (text, exponent) = try decimal()
            do { return try Fixed(parsing: text, allowingExponent: exponent) } catch { throw .badNumber(path, error) }
        }
    }

    /// Money, as `fixed`.
    public var amount: Amount {
        get throws(JSONAccessError) {
            let (text, exponent) = try decimal()
            do { return try Amount(parsing: text, allowingExponent: exponent) } catch { throw .badNumber(path, error) }
        }
    }

    public var list: [JSONField] {
        get throws(JSONAccessError) {
            let list = try wanted(.array) { $0.asList }
            return list.enumerated().map { JSONField($1, at: .place(path, $0)) }
        }
    }

    /// The members of an object in their order.
    public var members: [(name: String, field: JSONField)] {
        get throws(JSONAccessError) {
            let object = try wanted(.object) { $0.asObject }
            return object.members.map { ($0.name, JSONField($0.value, at: .name(path, $0.name))) }
        }
    }

    /// One of the cases of an enumeration written as text.
    public func choice<T: RawRepresentable & CaseIterable>(_ type: T.Type = T.self) throws(JSONAccessError) -> T where T.RawValue == String {
        let text = try text
        guard let value = T(rawValue: text) else { throw .notAChoice(path, text, T.allCases.map(\.rawValue)) }
        return value
    }

    private func wanted<T>(_ type: JSONType, _ get: (JSONValue) -> T?) throws(JSONAccessError) -> T {
        let value = try value
        guard let wanted = get(value) else { throw .wrongType(path, expected: type, found: value.type) }
        return wanted
    }

    private func decimal() throws(JSONAccessError) -> (String, exponent: Bool) {
        let value = try value
        switch value.content {
        case .text(let text): return (text, false)
        case .number(let number): return (number.text, true)
        default: throw .wrongType(path, expected: .number, found: value.type)
        }
    }
}

extension JSONValue {
    public subscript(name: String) -> JSONField { JSONField(self)[name] }
    public subscript(place: Int) -> JSONField { JSONField(self)[place] }
}

/// What was asked of a value that it could not give.
public enum JSONAccessError: Error, Equatable, Sendable, CustomStringConvertible {
    case missing(JSONPath)
    case wrongType(JSONPath, expected: JSONType, found: JSONType)
    case outOfRange(JSONPath, String)
    case badNumber(JSONPath, NumberError)
    case notAChoice(JSONPath, String, [String])

    public var path: JSONPath {
        switch self {
        case .missing(let path), .wrongType(let path, _, _), .outOfRange(let path, _), .badNumber(let path, _), .notAChoice(let path, _, _): path
        }
    }

    public var description: String {
        switch self {
        case .missing(let path): "\(path) is missing"
        case .wrongType(let path, let expected, let found): "\(path) is \(found.words), not \(expected.words)"
        case .outOfRange(let path, let text): "\(path) is out of range: \(text)"
        case .badNumber(let path, let error): "\(path): \(error)"
        case .notAChoice(let path, let text, let choices): "\(path) is \"\(text)\", not one of \(choices.joined(separator: ", "))"
        }
    }
}
