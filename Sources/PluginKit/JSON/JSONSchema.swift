/// A schema: the subset of JSON Schema 2020-12 that describes a configuration.
///
/// Keywords: type, properties, required, enum, const, minimum, maximum, pattern, items, additionalProperties, default,
/// description, deprecated, x-secret, x-unit; and for people, `$schema`, `$id` and `title`. Two readings are stricter than
/// the standard's, because a mistyped "max_postion" must not be ignored: an object's unknown properties are refused unless
/// `additionalProperties` allows them, and any other keyword is an error.
public struct JSONSchema: Sendable, Equatable {
    public struct Property: Sendable, Equatable {
        public var name: String
        public var schema: JSONSchema
    }

    public indirect enum Others: Sendable, Equatable {
        case refused
        case any
        case each(JSONSchema)
    }

    /// Empty: any.
    public internal(set) var types: [JSONType] = []
    public internal(set) var properties: [Property] = []
    public internal(set) var required: [String] = []
    public internal(set) var others = Others.refused
    private var itemSchema: [JSONSchema] = []  // one or none: a struct can't hold itself otherwise
    public internal(set) var choices: [JSONValue]?
    public internal(set) var constant: JSONValue?
    public internal(set) var minimum: JSONNumber?
    public internal(set) var maximum: JSONNumber?
    public internal(set) var pattern: JSONPattern?
    public internal(set) var fallback: JSONValue?
    public internal(set) var description: String?
    public internal(set) var isDeprecated = false
    /// Only a reference `{"$secret": "name"}` may stand here.
    public internal(set) var isSecret = false
    public internal(set) var unit: String?

    public internal(set) var items: JSONSchema? {
        get { itemSchema.first }
        set { itemSchema = newValue.map { [$0] } ?? [] }
    }

    /// The property of that name, nil for an unknown one.
    public func property(_ name: String) -> JSONSchema? { properties.first { $0.name == name }?.schema }

    init() {}

    /// Reads a configuration's schema and checks it: known keywords only, `type` object at the top, a description for each
    /// property, defaults that obey it. All faults at once.
    public init(parsing text: String) throws(JSONSchemaFaults) {
        try self.init(parsing: Array(text.utf8))
    }

    public init(parsing bytes: [UInt8]) throws(JSONSchemaFaults) {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: bytes, options: JSONOptions(depth: 100, maximumBytes: 4 << 20))
        } catch {
            throw JSONSchemaFaults([JSONSchemaFault(.root, .notJSON(error))])
        }
        try self.init(value)
    }

    public init(_ value: JSONValue) throws(JSONSchemaFaults) {
        var reader = JSONSchemaReader()
        let schema = reader.schema(value, .root)
        if schema.types != [.object] { reader.faults.append(JSONSchemaFault(.root, .notAnObjectType)) }
        if !reader.faults.isEmpty { throw JSONSchemaFaults(reader.faults) }
        self = schema
    }
}

/// Everything that is wrong with a schema.
public struct JSONSchemaFaults: Error, Sendable, Equatable, CustomStringConvertible {
    public let faults: [JSONSchemaFault]

    init(_ faults: [JSONSchemaFault]) { self.faults = faults }

    public var description: String { faults.map(\.description).joined(separator: "\n") }
}

public struct JSONSchemaFault: Sendable, Equatable, CustomStringConvertible {
    public enum Kind: Sendable, Equatable {
        case notJSON(JSONError)
        case notASchema(JSONType)
        case unknownKeyword(String, near: String?)
        /// A keyword's value is not what the keyword takes.
        case badKeyword(String, needs: String)
        case notAnObjectType
        case noDescription
        case badPattern(JSONPatternError)
        case requiredUnknown(String)
        case emptyRange(JSONNumber, JSONNumber)
        case defaultRefused(JSONIssue)
        case requiredWithDefault(String)
    }

    /// Into the schema, not into a configuration.
    public var path: JSONPath
    public var kind: Kind

    init(_ path: JSONPath, _ kind: Kind) {
        self.path = path
        self.kind = kind
    }

    public var description: String {
        let what =
            switch kind {
            case .notJSON(let error): "the schema is not JSON: \(error)"
            case .notASchema(let type): "a schema is an object, and this is \(type.words)"
            case .unknownKeyword(let keyword, let near):
                "the keyword \"\(keyword)\" is not in the supported subset" + (near.map { ": did you mean \"\($0)\"?" } ?? "")
            case .badKeyword(let keyword, let needs): "\"\(keyword)\" needs \(needs)"
            case .notAnObjectType: "the top of a configuration's schema needs \"type\": \"object\""
            case .noDescription: "this property has no description"
            case .badPattern(let error): "\(error)"
            case .requiredUnknown(let name): "\"required\" names \"\(name)\", which is not among the properties"
            case .emptyRange(let minimum, let maximum): "nothing lies between minimum \(minimum) and maximum \(maximum)"
            case .defaultRefused(let issue): "the default doesn't obey the schema: \(issue)"
            case .requiredWithDefault(let name): "\"\(name)\" is required and has a default: one of the two can't be meant"
            }
        return "\(path): \(what)"
    }
}

/// Turns JSON into a schema and notes what is wrong with it.
struct JSONSchemaReader {
    var faults: [JSONSchemaFault] = []

    static let keywords = [
        "type", "properties", "required", "enum", "const", "minimum", "maximum", "pattern", "items", "additionalProperties", "default", "description",
        "deprecated", "x-secret", "x-unit", "$schema", "$id", "title",
    ]

    mutating func schema(_ value: JSONValue, _ path: JSONPath) -> JSONSchema {
        var schema = JSONSchema()
        guard let object = value.asObject else {
            faults.append(JSONSchemaFault(path, .notASchema(value.type)))
            return schema
        }
        for member in object.members {
            read(member.name, member.value, path.appending(member.name), into: &schema)
        }
        for name in schema.required {
            guard let property = schema.property(name) else {
                faults.append(JSONSchemaFault(path.appending("required"), .requiredUnknown(name)))
                continue
            }
            if property.fallback != nil { faults.append(JSONSchemaFault(path.appending("required"), .requiredWithDefault(name))) }
        }
        if let minimum = schema.minimum, let maximum = schema.maximum, maximum < minimum {
            faults.append(JSONSchemaFault(path, .emptyRange(minimum, maximum)))
        }
        if let fallback = schema.fallback {
            for issue in schema.check(fallback, at: path.appending("default")).issues where !issue.isWarning {
                faults.append(JSONSchemaFault(path.appending("default"), .defaultRefused(issue)))
            }
        }
        return schema
    }

    private mutating func read(_ keyword: String, _ value: JSONValue, _ path: JSONPath, into schema: inout JSONSchema) {
        func bad(_ needs: String) -> JSONSchemaFault { JSONSchemaFault(path, .badKeyword(keyword, needs: needs)) }
        switch keyword {
        case "type":
            let names = value.asText.map { [$0] } ?? (value.asList ?? []).map { $0.asText ?? "" }
            schema.types = names.compactMap(JSONType.init(rawValue:))
            if names.isEmpty || schema.types.count != names.count {
                faults.append(bad("one of \(JSONType.allCases.map(\.rawValue).joined(separator: ", ")), or a list of them"))
            }
        case "properties":
            guard let object = value.asObject else { return faults.append(bad("an object")) }
            for member in object.members {
                let property = self.schema(member.value, path.appending(member.name))
                if (property.description ?? "").isEmpty { faults.append(JSONSchemaFault(path.appending(member.name), .noDescription)) }
                schema.properties.append(JSONSchema.Property(name: member.name, schema: property))
            }
        case "required":
            let names = (value.asList ?? []).compactMap(\.asText)
            guard let list = value.asList, names.count == list.count, Set(names).count == names.count else {
                return faults.append(bad("a list of names, each once"))
            }
            schema.required = names
        case "enum":
            guard let list = value.asList, !list.isEmpty else { return faults.append(bad("a list with at least one value")) }
            schema.choices = list
        case "const": schema.constant = value
        case "minimum":
            guard let number = value.asNumber else { return faults.append(bad("a number")) }
            schema.minimum = number
        case "maximum":
            guard let number = value.asNumber else { return faults.append(bad("a number")) }
            schema.maximum = number
        case "pattern":
            guard let text = value.asText else { return faults.append(bad("a text")) }
            do { schema.pattern = try JSONPattern(text) } catch { faults.append(JSONSchemaFault(path, .badPattern(error))) }
        case "items": schema.items = self.schema(value, path)
        case "additionalProperties":
            if let allowed = value.asBool {
                schema.others = allowed ? .any : .refused
            } else {
                schema.others = .each(self.schema(value, path))
            }
        case "default": schema.fallback = value
        case "description":
            guard let text = value.asText else { return faults.append(bad("a text")) }
            schema.description = text
        case "deprecated":
            guard let flag = value.asBool else { return faults.append(bad("true or false")) }
            schema.isDeprecated = flag
        case "x-secret":
            guard let flag = value.asBool else { return faults.append(bad("true or false")) }
            schema.isSecret = flag
        case "x-unit":
            guard let text = value.asText else { return faults.append(bad("a text")) }
            schema.unit = text
        case "$schema", "$id", "title":
            if value.asText == nil { faults.append(bad("a text")) }
        default:
            faults.append(JSONSchemaFault(path, .unknownKeyword(keyword, near: Suggestion.nearest(to: keyword, among: Self.keywords))))
        }
    }
}
