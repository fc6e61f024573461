/// One JSON value and where it stood in its text.
///
/// Numbers keep the text they were written with, so a price never passes through a double. Two values are equal when
/// they mean the same: positions and the order of members don't count, and 1.0 equals 1.
public struct JSONValue: Sendable {
    public enum Content: Sendable {
        case null
        case bool(Bool)
        case number(JSONNumber)
        case text(String)
        case list([JSONValue])
        case object(JSONObject)
    }

    public var content: Content
    /// First byte and first byte after it in the text it was read from; both 0 for a value made by a program.
    public internal(set) var start: UInt32
    public internal(set) var end: UInt32

    public init(_ content: Content) {
        self.content = content
        start = 0
        end = 0
    }

    init(_ content: Content, from start: Int, to end: Int) {
        self.content = content
        self.start = UInt32(clamping: start)
        self.end = UInt32(clamping: end)
    }

    public static let null = JSONValue(.null)

    /// The same value as if a program had made it.
    public var withoutPlace: JSONValue {
        switch content {
        case .list(let list): JSONValue(.list(list.map(\.withoutPlace)))
        case .object(let object): JSONValue(.object(JSONObject(object.members.map { ($0.name, $0.value.withoutPlace) })))
        default: JSONValue(content)
        }
    }

    /// What it is, in the words of JSON Schema.
    public var type: JSONType {
        switch content {
        case .null: .null
        case .bool: .boolean
        case .number(let number): number.isInteger ? .integer : .number
        case .text: .string
        case .list: .array
        case .object: .object
        }
    }
}

/// The types of JSON Schema. `integer` is a number without a fractional part, however it is written.
public enum JSONType: String, Sendable, CaseIterable {
    case null, boolean, integer, number, string, array, object

    /// For messages: "an object", "a number".
    public var words: String {
        switch self {
        case .null: "null"
        case .boolean: "true or false"
        case .integer: "a whole number"
        case .number: "a number"
        case .string: "a text"
        case .array: "a list"
        case .object: "an object"
        }
    }
}

/// The members of an object in the order they were written, each name once.
public struct JSONObject: Sendable {
    public struct Member: Sendable {
        public var name: String
        public var value: JSONValue
        /// The name's first byte, its quotation mark, in the text it was read from.
        public internal(set) var start: UInt32

        public init(_ name: String, _ value: JSONValue) {
            self.init(name, value, start: 0)
        }

        init(_ name: String, _ value: JSONValue, start: Int) {
            self.name = name
            self.value = value
            self.start = UInt32(clamping: start)
        }
    }

    public private(set) var members: [Member] = []
    /// Place of each name; kept only for objects too large to search one by one.
    private var index: [String: Int] = [:]
    private static let searchable = 12

    public init() {}

    /// The last one wins where a name comes twice.
    public init(_ members: some Sequence<(String, JSONValue)>) {
        for (name, value) in members { self[name] = value }
    }

    public var count: Int { members.count }
    public var isEmpty: Bool { members.isEmpty }
    public var names: [String] { members.map(\.name) }

    func place(of name: String) -> Int? {
        members.count <= Self.searchable ? members.firstIndex { $0.name == name } : index[name]
    }

    /// Adds a member, unless the name is there already: then it returns where.
    mutating func append(_ member: Member) -> Int? {
        if let place = place(of: member.name) { return place }
        members.append(member)
        if members.count == Self.searchable + 1 {
            for (place, member) in members.enumerated() { index[member.name] = place }
        } else if members.count > Self.searchable {
            index[member.name] = members.count - 1
        }
        return nil
    }

    public func member(_ name: String) -> Member? {
        guard let place = place(of: name) else { return nil }
        return members[place]
    }

    /// Setting nil removes the member.
    public subscript(name: String) -> JSONValue? {
        get { member(name)?.value }
        set {
            guard let value = newValue else {
                guard let place = place(of: name) else { return }
                var kept = members
                kept.remove(at: place)
                members = []
                index = [:]
                for member in kept { _ = append(member) }
                return
            }
            if let place = place(of: name) {
                members[place].value = value
            } else {
                _ = append(Member(name, value))
            }
        }
    }
}

extension JSONValue: Equatable {
    public static func == (a: JSONValue, b: JSONValue) -> Bool {
        switch (a.content, b.content) {
        case (.null, .null): true
        case (.bool(let x), .bool(let y)): x == y
        case (.number(let x), .number(let y)): x == y
        case (.text(let x), .text(let y)): x == y
        case (.list(let x), .list(let y)): x == y
        case (.object(let x), .object(let y)):
            x.count == y.count && x.members.allSatisfy { member in y[member.name].map { $0 == member.value } ?? false }
        default: false
        }
    }
}

// Making values in programs. Null has no literal: `nil` would be taken for "no value" and for null by turns.

extension JSONValue: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByStringLiteral,
    ExpressibleByStringInterpolation, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(booleanLiteral value: Bool) { self.init(.bool(value)) }
    public init(integerLiteral value: Int64) { self.init(.number(JSONNumber(value))) }
    public init(stringLiteral value: String) { self.init(.text(value)) }
    public init(arrayLiteral elements: JSONValue...) { self.init(.list(elements)) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) { self.init(.object(JSONObject(elements))) }

    public init(_ value: Bool) { self.init(.bool(value)) }
    public init(_ value: String) { self.init(.text(value)) }
    public init(_ value: some BinaryInteger) { self.init(.number(JSONNumber(value))) }
    public init(_ value: [JSONValue]) { self.init(.list(value)) }
    public init(_ value: JSONObject) { self.init(.object(value)) }
    /// Money, prices and quantities are written as text, so that no reader on the way makes a double of them.
    public init(_ value: Fixed) { self.init(.text(value.description)) }
    public init(_ value: Amount) { self.init(.text(value.description)) }
    /// A statistic. JSON has no infinity and no NaN: they become null.
    public init(_ value: Double) { self.init(JSONNumber(value).map(Content.number) ?? .null) }

    /// A member of an object, nil if there is none or this isn't one. For programs that build or take apart values;
    /// configuration is better read through `self["name"].int`, which says what is missing.
    public func find(_ name: String) -> JSONValue? {
        if case .object(let object) = content { object[name] } else { nil }
    }

    public mutating func set(_ name: String, _ value: JSONValue?) {
        var object = asObject ?? JSONObject()
        object[name] = value
        content = .object(object)
    }

    public var isNull: Bool { if case .null = content { true } else { false } }
    public var asBool: Bool? { if case .bool(let value) = content { value } else { nil } }
    public var asNumber: JSONNumber? { if case .number(let value) = content { value } else { nil } }
    public var asText: String? { if case .text(let value) = content { value } else { nil } }
    public var asList: [JSONValue]? { if case .list(let value) = content { value } else { nil } }
    public var asObject: JSONObject? { if case .object(let value) = content { value } else { nil } }
}
