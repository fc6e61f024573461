import HostCore
import PluginKit

/// How one kind of setting is read, written and described. The shipped schema is made of the same codecs that read the
/// manifest, so the two can't disagree.
struct Codec<Value>: Sendable {
    /// Without default and description, which belong to the setting.
    let schema: JSONValue
    /// What stands in a reference manual's "type" column.
    let words: String
    let read: @Sendable (JSONValue, JSONPath, inout [ManifestProblem]) -> Value?
    let write: @Sendable (Value) -> JSONValue

    /// The value if it has the wanted type; otherwise a problem.
    static func typed<T>(
        _ value: JSONValue, _ path: JSONPath, _ expected: [JSONType], _ problems: inout [ManifestProblem], _ get: (JSONValue) -> T?
    ) -> T? {
        if let typed = get(value) { return typed }
        problems.append(ManifestProblem(path, value, .issue(.wrongType(found: value.type, expected: expected))))
        return nil
    }
}

extension Codec where Value == Bool {
    static var flag: Codec {
        Codec(
            schema: ["type": "boolean"], words: "true or false",
            read: { value, path, problems in typed(value, path, [.boolean], &problems) { $0.asBool } },
            write: { JSONValue($0) })
    }
}

extension Codec where Value == Int {
    static func count(_ range: ClosedRange<Int>) -> Codec {
        Codec(
            schema: ["type": "integer", "minimum": JSONValue(range.lowerBound), "maximum": JSONValue(range.upperBound)],
            words: "whole number, \(range.lowerBound) to \(range.upperBound)",
            read: { value, path, problems in
                guard let number = typed(value, path, [.integer], &problems, { $0.type == .integer ? $0.asNumber : nil }) else { return nil }
                guard let count = number.int64.flatMap({ Int(exactly: $0) }), range.contains(count) else {
                    problems.append(ManifestProblem(path, value, .outOfRange(least: "\(range.lowerBound)", most: "\(range.upperBound)")))
                    return nil
                }
                return count
            },
            write: { JSONValue($0) })
    }
}

extension Codec where Value == UInt64 {
    static var seed: Codec {
        let most = UInt64(Int64.max)
        return Codec(
            schema: ["type": "integer", "minimum": 0, "maximum": JSONValue(most)], words: "whole number from 0",
            read: { value, path, problems in
                guard let number = typed(value, path, [.integer], &problems, { $0.type == .integer ? $0.asNumber : nil }) else { return nil }
                guard let seed = number.uint64, seed <= most else {
                    problems.append(ManifestProblem(path, value, .outOfRange(least: "0", most: "\(most)")))
                    return nil
                }
                return seed
            },
            write: { JSONValue($0) })
    }
}

extension Codec where Value == Double {
    /// Statistics only: nothing read this way becomes a price or a quantity.
    static func statistic(_ range: ClosedRange<Double>) -> Codec {
        Codec(
            schema: ["type": "number", "minimum": JSONValue(range.lowerBound), "maximum": JSONValue(range.upperBound)],
            words: "number, \(JSONValue(range.lowerBound)) to \(JSONValue(range.upperBound))",
            read: { value, path, problems in
                guard let number = typed(value, path, [.number], &problems, { $0.asNumber }) else { return nil }
                guard range.contains(number.double) else {
                    problems.append(
                        ManifestProblem(path, value, .outOfRange(least: "\(JSONValue(range.lowerBound))", most: "\(JSONValue(range.upperBound))")))
                    return nil
                }
                return number.double
            },
            write: { JSONValue($0) })
    }
}

extension Codec where Value == Int64 {
    static func span(_ range: ClosedRange<Int64>) -> Codec {
        let least = SpanText.format(range.lowerBound)
        let most = SpanText.format(range.upperBound)
        return Codec(
            schema: ["type": "string", "pattern": JSONValue(SpanText.pattern)], words: "duration, \(least) to \(most)",
            read: { value, path, problems in
                guard let text = typed(value, path, [.string], &problems, { $0.asText }) else { return nil }
                guard let span = SpanText.parse(text) else {
                    problems.append(ManifestProblem(path, value, .notADuration(text)))
                    return nil
                }
                guard range.contains(span) else {
                    problems.append(ManifestProblem(path, value, .outOfRange(least: least, most: most)))
                    return nil
                }
                return span
            },
            write: { JSONValue(SpanText.format($0)) })
    }
}

/// Plain decimals: no exponent, no plus sign, at most eight decimals. The schema's pattern and the reader's in one.
private let decimalPattern = "^-?[0-9]{1,30}(\\.[0-9]{1,8})?$"
private let compiledDecimal = try? JSONPattern(decimalPattern)

private func readDecimal<T: Comparable>(
    _ value: JSONValue, _ path: JSONPath, _ range: ClosedRange<T>, _ problems: inout [ManifestProblem],
    _ parse: (String) throws(NumberError) -> T
) -> T? {
    guard let text = Codec<T>.typed(value, path, [.string], &problems, { $0.asText }) else { return nil }
    let number: T
    do {
        number = try parse(text)
    } catch {
        problems.append(ManifestProblem(path, value, .badNumber(error)))
        return nil
    }
    guard compiledDecimal?.matches(text) == true else {
        problems.append(ManifestProblem(path, value, .badNumber(.notANumber(text))))
        return nil
    }
    guard range.contains(number) else {
        problems.append(ManifestProblem(path, value, .outOfRange(least: "\(range.lowerBound)", most: "\(range.upperBound)")))
        return nil
    }
    return number
}

extension Codec where Value == Fixed {
    static func fixed(_ range: ClosedRange<Fixed>) -> Codec {
        Codec(
            schema: ["type": "string", "pattern": JSONValue(decimalPattern)],
            words: range.upperBound == .max ? "decimal text, at least \(range.lowerBound)" : "decimal text, \(range.lowerBound) to \(range.upperBound)",
            read: { value, path, problems in
                readDecimal(value, path, range, &problems) { text throws(NumberError) in try Fixed(parsing: text) }
            },
            write: { JSONValue($0) })
    }

    /// A share of something: "0.04" is 4 %.
    static var share: Codec { fixed(.zero ... .one) }
    /// A share that means something only above zero: a stop at a loss of nothing would close at once.
    static var someShare: Codec { fixed(Fixed(raw: 1) ... .one) }
    static var positive: Codec { fixed(Fixed(raw: 1) ... .max) }
    static var notNegative: Codec { fixed(.zero ... .max) }
}

extension Codec where Value == Amount {
    /// Money, at least zero.
    static var money: Codec {
        // More than any account holds, and far from where sums could overflow.
        let most = Amount(raw: 10_000_000_000_000_000_000_000_000_000)
        return Codec(
            schema: ["type": "string", "pattern": JSONValue(decimalPattern)], words: "money, as text",
            read: { value, path, problems in
                readDecimal(value, path, .zero ... most, &problems) { text throws(NumberError) in try Amount(parsing: text) }
            },
            write: { JSONValue($0) })
    }
}

extension Codec where Value == String {
    /// A text of a certain form; `form` says it in words.
    static func text(_ pattern: String, form: String) -> Codec {
        let compiled = try? JSONPattern(pattern)
        return Codec(
            schema: pattern.isEmpty ? ["type": "string"] : ["type": "string", "pattern": JSONValue(pattern)], words: form,
            read: { value, path, problems in
                guard let text = typed(value, path, [.string], &problems, { $0.asText }) else { return nil }
                guard compiled?.matches(text) == true else {
                    problems.append(ManifestProblem(path, value, .badForm(text, form: form)))
                    return nil
                }
                return text
            },
            write: { JSONValue($0) })
    }

    /// A name someone gives: of a plugin or a pipeline. It becomes part of file names.
    static var name: Codec { text(Names.pattern, form: Names.form) }
    /// The name of a plugin entry; whether there is one is checked when everything is read.
    static var plugin: Codec { text(Names.pattern, form: "name of a plugin") }
    static var path: Codec { text("^[^\\x00-\\x1f]+$", form: "path") }
}

enum Names {
    static let pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$"
    static let form = "name: a letter, then letters, digits, - and _, 64 at most"
    static let compiled = try? JSONPattern(pattern)
    static let symbolPattern = "^[A-Za-z0-9._-]{1,32}/[A-Za-z0-9._-]{1,16}(:[A-Za-z0-9._-]{1,32})?$"
    static let symbolForm = "symbol such as BTC/USDT, BTC/USDT:USDT or 005930/KRW"
    static let secretPattern = "^[A-Za-z0-9][A-Za-z0-9_-]*(\\.[A-Za-z0-9_-]+)*$"
    static let secretForm = "name of a secret: letters, digits, - and _, with single dots between"
}

extension Codec where Value: RawRepresentable & CaseIterable & Sendable, Value.RawValue == String {
    static var choice: Codec {
        let names = Value.allCases.map(\.rawValue)
        return Codec(
            schema: ["type": "string", "enum": JSONValue(names.map { JSONValue($0) })], words: names.map { "\"\($0)\"" }.joined(separator: ", "),
            read: { value, path, problems in
                guard let text = typed(value, path, [.string], &problems, { $0.asText }) else { return nil }
                guard let choice = Value(rawValue: text) else {
                    let near = Suggestion.nearest(to: text, among: names)
                    problems.append(ManifestProblem(path, value, .issue(.notAChoice(found: value, names.map { JSONValue($0) }, near: near))))
                    return nil
                }
                return choice
            },
            write: { JSONValue($0.rawValue) })
    }
}

extension Codec {
    /// null switches the setting off.
    static func optional<Wrapped: Sendable>(_ codec: Codec<Wrapped>, off: String = "null: off") -> Codec where Value == Wrapped? {
        var schema = codec.schema
        let types = schema.find("type")
        schema.set("type", JSONValue([types ?? "string", "null"]))
        if let choices = schema.find("enum")?.asList { schema.set("enum", JSONValue(choices + [.null])) }
        return Codec(
            schema: schema, words: codec.words + "; " + off,
            read: { value, path, problems in
                if value.isNull { return .some(nil) }
                // What people write who mean null.
                if value.asBool == false {
                    problems.append(ManifestProblem(path, value, .offIsNull))
                    return nil
                }
                return codec.read(value, path, &problems).map { .some($0) }
            },
            write: { $0.map(codec.write) ?? .null })
    }

    static func list<Element: Sendable>(_ codec: Codec<Element>, of what: String? = nil) -> Codec where Value == [Element] {
        Codec(
            schema: ["type": "array", "items": codec.schema], words: "list of " + (what ?? codec.words),
            read: { value, path, problems in
                guard let list = typed(value, path, [.array], &problems, { $0.asList }) else { return nil }
                // What could be read is kept, so that later checks see as much as possible; the problems stand anyway.
                return list.enumerated().compactMap { codec.read($1, path.appending($0), &problems) }
            },
            write: { JSONValue($0.map(codec.write)) })
    }

    /// One value or a list of them: `"fallback": "rules"` and `"fallback": ["rules", "hold"]`.
    static func oneOrMore<Element: Sendable>(_ codec: Codec<Element>) -> Codec where Value == [Element] {
        let many = Codec<[Element]>.list(codec)
        var schema = codec.schema
        schema.set("type", JSONValue([schema.find("type") ?? "string", "array"]))
        schema.set("items", codec.schema)
        return Codec(
            schema: schema, words: codec.words + ", or a list of them",
            read: { value, path, problems in
                if value.asList != nil { return many.read(value, path, &problems) }
                return codec.read(value, path, &problems).map { [$0] }
            },
            write: { $0.count == 1 ? codec.write($0[0]) : JSONValue($0.map(codec.write)) })
    }

    /// An object whose names are free (of the form `pattern`) and whose values are alike, in the order written.
    static func map<Element: Sendable>(_ codec: Codec<Element>, names pattern: String, form: String, words: String) -> Codec
    where Value == [Named<Element>] {
        let compiled = try? JSONPattern(pattern)
        return Codec(
            schema: ["type": "object", "additionalProperties": codec.schema], words: words,
            read: { value, path, problems in
                guard let object = typed(value, path, [.object], &problems, { $0.asObject }) else { return nil }
                var read: [Named<Element>] = []
                for member in object.members {
                    let memberPath = path.appending(member.name)
                    if compiled?.matches(member.name) != true {
                        problems.append(ManifestProblem(memberPath, start: member.start, .badForm(member.name, form: form)))
                    }
                    if let element = codec.read(member.value, memberPath, &problems) { read.append(Named(member.name, element)) }
                }
                return read
            },
            write: { JSONValue(JSONObject($0.map { ($0.name, codec.write($0.value)) })) })
    }
}

extension Codec where Value == JSONValue {
    /// Anything, as it stands: a plugin's own business.
    static var anyObject: Codec {
        Codec(
            schema: ["type": "object", "additionalProperties": true], words: "object, by the plugin's own schema",
            read: { value, path, problems in typed(value, path, [.object], &problems) { $0.asObject == nil ? nil : $0 } },
            write: { $0 })
    }
}

/// A value under the name it has in the manifest.
struct Named<Value: Sendable>: Sendable {
    var name: String
    var value: Value

    init(_ name: String, _ value: Value) {
        self.name = name
        self.value = value
    }
}
