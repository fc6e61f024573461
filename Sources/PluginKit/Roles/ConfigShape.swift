import PluginAPI

/// A component's configuration, said once: it makes the JSON Schema for editors and the host, fills in defaults, and refuses
/// what doesn't fit with a message that names the property.
public struct ConfigShape: Sendable {
    public var properties: [Property]
    /// What a shape can't say: members that contradict each other. `check_config` tells it, and `start` must refuse it too;
    /// `create` takes whatever obeys the schema. Asked only for configurations that do, defaults in place. Pure.
    public var contradictions: @Sendable (JSONValue) -> [Problem] = { _ in [] }

    public init(_ properties: [Property]) { self.properties = properties }

    public init(_ properties: [Property], contradictions: @escaping @Sendable (JSONValue) -> [Problem]) {
        self.properties = properties
        self.contradictions = contradictions
    }

    /// Nothing can be configured.
    public static let empty = ConfigShape([])

    public struct Property: Sendable {
        public var name: String
        public var about: String
        var kind: Kind
        /// nil: the property must be given, unless it is optional.
        var standard: JSONValue?
        /// May be left out although it has no default.
        var optional = false
        var isRequired: Bool { standard == nil && !optional }

        indirect enum Kind: Sendable {
            case whole(ClosedRange<Int64>)
            case number(ClosedRange<Double>)
            case flag
            case text
            case choice([String])
            case decimal(DecimalForm)
            case span
            case group([Property])
            case list(Kind)
            case map(Kind)
            case secret
        }

        /// Which decimals a property takes, written as text.
        public enum DecimalForm: Sendable {
            /// 0 to 1.
            case fraction
            /// 0 or more: prices, quantities.
            case amount
            /// Above 0: order quantities.
            case positive
            /// 0 or more, up to 18 digits before the point: money.
            case money
            /// Either sign.
            case signed

            var pattern: String {
                switch self {
                case .fraction: #"^(0(\.[0-9]{1,8})?|1(\.0{1,8})?)$"#
                case .amount: #"^[0-9]{1,10}(\.[0-9]{1,8})?$"#
                case .positive:
                    // Without lookahead, "not zero" and "at most eight decimals" take one case a leading zero.
                    #"^([1-9][0-9]{0,9}(\.[0-9]{1,8})?|0\.([1-9][0-9]{0,7}|0[1-9][0-9]{0,6}|00[1-9][0-9]{0,5}|000[1-9][0-9]{0,4}|0000[1-9][0-9]{0,3}|00000[1-9][0-9]{0,2}|000000[1-9][0-9]?|0000000[1-9]))$"#
                case .money: #"^[0-9]{1,18}(\.[0-9]{1,8})?$"#
                case .signed: #"^-?[0-9]{1,10}(\.[0-9]{1,8})?$"#
                }
            }
            var words: String {
                switch self {
                case .fraction: #"a decimal from 0 to 1 as text, such as "0.25""#
                case .amount, .money: #"a decimal of 0 or more as text, such as "12.5""#
                case .positive: #"a decimal above 0 as text, such as "0.5""#
                case .signed: #"a decimal as text, such as "-0.5""#
                }
            }
            func accepts(_ text: String) -> Bool {
                var digits = text.utf8[...]
                if case .signed = self, digits.first == UInt8(ascii: "-") { digits = digits.dropFirst() }
                let parts = digits.split(separator: UInt8(ascii: "."), maxSplits: 2, omittingEmptySubsequences: false)
                guard parts.count == 1 || parts.count == 2, parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(isDigit) }) else { return false }
                if parts.count == 2, parts[1].count > 8 { return false }
                switch self {
                case .fraction:
                    let zero = UInt8(ascii: "0")
                    if parts[0].elementsEqual([zero]) { return true }
                    return parts[0].elementsEqual([UInt8(ascii: "1")]) && (parts.count == 1 || parts[1].allSatisfy { $0 == zero })
                case .amount, .signed: return parts[0].count <= 10
                case .positive:
                    if parts[0].first == UInt8(ascii: "0") {
                        return parts[0].count == 1 && parts.count == 2 && parts[1].contains { $0 != UInt8(ascii: "0") }
                    }
                    return parts[0].count <= 10
                case .money: return parts[0].count <= 18
                }
            }
        }

        public static func whole(_ name: String, _ about: String, in range: ClosedRange<Int64>, default value: Int64?) -> Property {
            Property(name: name, about: about, kind: .whole(range), standard: value.map { JSONValue($0) })
        }
        /// For statistics; anything that becomes an order is a `decimal`.
        public static func number(_ name: String, _ about: String, in range: ClosedRange<Double>, default value: Double?) -> Property {
            Property(name: name, about: about, kind: .number(range), standard: value.map { JSONValue($0) })
        }
        public static func flag(_ name: String, _ about: String, default value: Bool?) -> Property {
            Property(name: name, about: about, kind: .flag, standard: value.map { JSONValue($0) })
        }
        public static func text(_ name: String, _ about: String, default value: String?) -> Property {
            Property(name: name, about: about, kind: .text, standard: value.map { JSONValue($0) })
        }
        public static func choice(_ name: String, _ about: String, of choices: [String], default value: String?) -> Property {
            Property(name: name, about: about, kind: .choice(choices), standard: value.map { JSONValue($0) })
        }
        public static func decimal(_ name: String, _ about: String, _ form: DecimalForm, default value: String?) -> Property {
            Property(name: name, about: about, kind: .decimal(form), standard: value.map { JSONValue($0) })
        }
        /// A length of time: "250us", "8s", "15m", "24h".
        public static func span(_ name: String, _ about: String, default value: String?) -> Property {
            Property(name: name, about: about, kind: .span, standard: value.map { JSONValue($0) })
        }
        public static func group(_ name: String, _ about: String, _ properties: [Property]) -> Property {
            // A group may be left out whole unless something in it must be given.
            Property(name: name, about: about, kind: .group(properties), standard: properties.contains(where: \.isRequired) ? nil : [:])
        }
        public static func texts(_ name: String, _ about: String, default value: [String]?) -> Property {
            Property(name: name, about: about, kind: .list(.text), standard: value.map { JSONValue($0.map { JSONValue($0) }) })
        }
        /// Any number of the choices.
        public static func choices(_ name: String, _ about: String, of choices: [String], default value: [String]?) -> Property {
            Property(name: name, about: about, kind: .list(.choice(choices)), standard: value.map { JSONValue($0.map { JSONValue($0) }) })
        }
        /// Decimals by any name, such as balances by asset.
        public static func decimals(_ name: String, _ about: String, _ form: DecimalForm) -> Property {
            Property(name: name, about: about, kind: .map(.decimal(form)), standard: [:])
        }
        /// A reference to a secret, `{"$secret": "name"}`: read the name from the config, the secret from the host in `start`.
        public static func secret(_ name: String, _ about: String) -> Property {
            Property(name: name, about: about, kind: .secret, standard: nil)
        }
        /// A reference to a secret that may be missing: the config then has no such member.
        public static func optionalSecret(_ name: String, _ about: String) -> Property {
            Property(name: name, about: about, kind: .secret, standard: nil, optional: true)
        }
    }

    // MARK: the schema

    public var schema: JSONValue {
        var schema = ConfigShape.object(properties)
        schema.set("$schema", "https://json-schema.org/draft/2020-12/schema")
        return schema
    }

    private static func object(_ properties: [Property]) -> JSONValue {
        var members = JSONObject()
        for property in properties {
            var value = schema(of: property.kind)
            value.set("description", JSONValue(property.about))
            if let standard = property.standard { value.set("default", standard) }
            members[property.name] = value
        }
        var object: JSONValue = ["type": "object", "properties": JSONValue(members), "additionalProperties": false]
        let required = properties.filter(\.isRequired).map { JSONValue($0.name) }
        if !required.isEmpty { object.set("required", JSONValue(required)) }
        return object
    }

    private static func schema(of kind: Property.Kind) -> JSONValue {
        switch kind {
        case .whole(let range): ["type": "integer", "minimum": JSONValue(range.lowerBound), "maximum": JSONValue(range.upperBound)]
        case .number(let range): ["type": "number", "minimum": JSONValue(range.lowerBound), "maximum": JSONValue(range.upperBound)]
        case .flag: ["type": "boolean"]
        case .text: ["type": "string"]
        case .choice(let choices): ["type": "string", "enum": JSONValue(choices.map { JSONValue($0) })]
        case .decimal(let form): ["type": "string", "pattern": JSONValue(form.pattern)]
        case .span: ["type": "string", "pattern": JSONValue(spanPattern), "x-unit": "time"]
        case .group(let properties): object(properties)
        case .list(let kind): ["type": "array", "items": schema(of: kind)]
        case .map(let kind): ["type": "object", "additionalProperties": schema(of: kind)]
        case .secret:
            [
                "type": "object", "x-secret": true, "properties": ["$secret": ["type": "string", "description": "the secret's name"]],
                "required": ["$secret"], "additionalProperties": false,
            ]
        }
    }

    // MARK: checking and filling in

    public struct Problem: Sendable, Equatable {
        public var path: String
        public var code: String
        public var message: String

        public init(path: String, code: String, message: String) {
            self.path = path
            self.code = code
            self.message = message
        }
    }

    /// Everything wrong with a text that should be a configuration.
    public func problems(in text: keel_str) -> [Problem] {
        switch ConfigShape.parse(text) {
        case .failure(let error): return [Problem(path: "$", code: "json", message: error.message)]
        case .success(let value):
            let problems = check(value)
            return problems.isEmpty ? contradictions(ConfigShape.complete(value, properties)) : problems
        }
    }

    public func check(_ value: JSONValue) -> [Problem] {
        var problems: [Problem] = []
        ConfigShape.check(value, .group(properties), .root, &problems)
        return problems
    }

    /// The configuration with all defaults in place, or the first problem.
    func read(_ text: keel_str) throws(PluginError) -> JSONValue {
        let value = try ConfigShape.parse(text).get()
        if let problem = check(value).first { throw .invalid(problem.message) }
        return ConfigShape.complete(value, properties)
    }

    private static func parse(_ text: keel_str) -> Result<JSONValue, PluginError> {
        guard let string = String(borrowed: text) else { return .failure(.invalid("the configuration is not clean UTF-8")) }
        do {
            return .success(try JSONValue(parsing: string))
        } catch {
            return .failure(.invalid("the configuration is not JSON: \(error)"))
        }
    }

    private static func complete(_ value: JSONValue, _ properties: [Property]) -> JSONValue {
        var object = value.asObject ?? JSONObject()
        for property in properties {
            let given = object[property.name] ?? property.standard
            if case .group(let inner) = property.kind {
                object[property.name] = complete(given ?? [:], inner)
            } else {
                object[property.name] = given
            }
        }
        return JSONValue(object)
    }

    private static func check(_ value: JSONValue, _ kind: Property.Kind, _ path: JSONPath, _ problems: inout [Problem]) {
        /// The way to the value as a person writes it: `faults.reject`.
        func name(_ path: JSONPath) -> String {
            let text = path.description.dropFirst(2)
            return text.isEmpty ? "the configuration" : String(text)
        }
        func refuse(_ code: String, _ words: String) {
            let shown = value.text(.compact)
            problems.append(
                Problem(
                    path: path.description, code: code,
                    message: "\(name(path)) must be \(words); it is \(shown.utf8.count > 60 ? value.type.words : shown)"))
        }
        switch kind {
        case .whole(let range):
            guard let number = value.asNumber, let whole = number.int64 else {
                return refuse("type", "a whole number from \(range.lowerBound) to \(range.upperBound)")
            }
            if !range.contains(whole) { refuse("range", "a whole number from \(range.lowerBound) to \(range.upperBound)") }
        case .number(let range):
            guard let number = value.asNumber else { return refuse("type", "a number from \(range.lowerBound) to \(range.upperBound)") }
            if !range.contains(number.double) { refuse("range", "a number from \(range.lowerBound) to \(range.upperBound)") }
        case .flag:
            if value.asBool == nil { refuse("type", "true or false") }
        case .text:
            if value.asText == nil { refuse("type", "a text") }
        case .choice(let choices):
            guard let text = value.asText, choices.contains(text) else {
                return refuse("enum", "one of \(choices.map { "\"\($0)\"" }.joined(separator: ", "))")
            }
        case .decimal(let form):
            guard let text = value.asText, form.accepts(text) else { return refuse("pattern", form.words) }
        case .span:
            guard let text = value.asText, parseSpan(text) != nil else {
                return refuse("pattern", #"a length of time as text, such as "250us", "8s", "15m" or "24h""#)
            }
        case .list(let inner):
            guard let list = value.asList else { return refuse("type", "a list") }
            for (place, element) in list.enumerated() { check(element, inner, path.appending(place), &problems) }
        case .map(let inner):
            guard let object = value.asObject else { return refuse("type", "an object") }
            for member in object.members { check(member.value, inner, path.appending(member.name), &problems) }
        case .secret:
            guard let object = value.asObject, object.count == 1, object["$secret"]?.asText?.isEmpty == false else {
                // The value itself may be the secret: it never appears in a message.
                return problems.append(
                    Problem(
                        path: path.description, code: "secret",
                        message: "\(name(path)) must be a reference to a secret, {\"$secret\": \"its.name\"}, never the secret itself"))
            }
        case .group(let properties):
            guard let object = value.asObject else { return refuse("type", "an object") }
            for member in object.members {
                guard let property = properties.first(where: { $0.name == member.name }) else {
                    let known = properties.map(\.name).joined(separator: ", ")
                    problems.append(
                        Problem(
                            path: path.appending(member.name).description, code: "unknown",
                            message: "\(name(path.appending(member.name))) is not known here; known are: \(known.isEmpty ? "no properties" : known)"))
                    continue
                }
                check(member.value, property.kind, path.appending(member.name), &problems)
            }
            for property in properties where property.isRequired && object[property.name] == nil {
                problems.append(
                    Problem(
                        path: path.appending(property.name).description, code: "missing",
                        message: "\(name(path.appending(property.name))) is missing: \(property.about)"))
            }
        }
    }
}

private func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

private let spanPattern = "^[0-9]{1,5}(ns|us|ms|s|m|h|d)$"

/// A length of time as configurations write it, in nanoseconds: up to five digits and a unit.
public func parseSpan(_ text: String) -> Int64? {
    let digits = text.utf8.prefix(while: isDigit)
    guard (1...5).contains(digits.count), let count = Int64(String(decoding: digits, as: UTF8.self)) else { return nil }
    let unit: Int64
    switch String(decoding: text.utf8.dropFirst(digits.count), as: UTF8.self) {
    case "ns": unit = 1
    case "us": unit = 1_000
    case "ms": unit = 1_000_000
    case "s": unit = 1_000_000_000
    case "m": unit = 60_000_000_000
    case "h": unit = 3_600_000_000_000
    case "d": unit = 86_400_000_000_000
    default: return nil
    }
    let (span, overflow) = count.multipliedReportingOverflow(by: unit)
    return overflow ? nil : span
}

extension JSONField {
    /// A length of time in nanoseconds.
    public var span: Int64 {
        get throws {
            let text = try text
            guard let span = parseSpan(text) else { throw PluginError.invalid("\(path) is \"\(text)\", not a length of time such as \"8s\"") }
            return span
        }
    }
}
