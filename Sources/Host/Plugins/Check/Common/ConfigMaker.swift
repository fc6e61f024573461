import PluginKit

/// Makes configurations from a schema: valid ones at random, and ones with one fault that names a property.
struct ConfigMaker {
    let schema: JSONSchema
    /// A configuration known to be good: where a value can't be invented (a pattern), it is taken from here.
    let base: JSONValue
    var random: CheckRandom

    /// A random configuration that obeys the schema.
    mutating func valid() -> JSONValue { object(schema, base) }

    private mutating func object(_ schema: JSONSchema, _ base: JSONValue?) -> JSONValue {
        var members = JSONObject()
        for property in schema.properties {
            let given = base?.find(property.name)
            let needed = schema.required.contains(property.name)
            // What is neither required nor in the base is there half of the time; the base's own members mostly stay.
            if !needed, random.chance(oneIn: given == nil ? 2 : 6), property.schema.fallback != nil { continue }
            if !needed, given == nil, property.schema.fallback == nil, random.chance(oneIn: 2) { continue }
            if let value = value(property.schema, given) { members[property.name] = value }
        }
        return JSONValue(members)
    }

    private mutating func value(_ schema: JSONSchema, _ base: JSONValue?) -> JSONValue? {
        if schema.isSecret { return base ?? JSONValue(JSONObject([("$secret", JSONValue("check.secret"))])) }
        if let constant = schema.constant { return constant }
        if let choices = schema.choices { return choices[random.below(choices.count)] }
        guard let type = schema.types.isEmpty ? base?.type : schema.types[random.below(schema.types.count)] else { return base ?? schema.fallback }
        switch type {
        case .boolean: return JSONValue(random.chance(oneIn: 2))
        case .integer: return JSONValue(whole(schema))
        case .number: return random.chance(oneIn: 2) ? JSONValue(whole(schema)) : JSONValue(fraction(schema))
        case .string:
            if schema.pattern != nil { return base ?? schema.fallback }
            if let base, random.chance(oneIn: 2) { return base }
            // A free text may mean something to the plugin (a host name, a symbol): only its own values are safe.
            return schema.fallback ?? base
        case .array:
            guard let items = schema.items else { return base ?? schema.fallback }
            let first = base?.asList?.first
            return JSONValue((0..<random.below(4)).compactMap { _ in value(items, first) })
        case .object: return object(schema, base)
        case .null: return .null
        }
    }

    private mutating func whole(_ schema: JSONSchema) -> Int64 {
        let low = ConfigMaker.ceiling(schema.minimum?.double ?? 0)
        let high = max(low, ConfigMaker.floor(schema.maximum?.double ?? Double(low) + 1000))
        switch random.below(6) {
        case 0: return low
        case 1: return high
        default: return low + Int64(random.next() % UInt64(max(1, high - low + 1)))
        }
    }

    private mutating func fraction(_ schema: JSONSchema) -> Double {
        let low = schema.minimum?.double ?? 0, high = schema.maximum?.double ?? max(1, low + 1)
        return low + (high - low) * Double(random.below(1001)) / 1000
    }

    private static func ceiling(_ value: Double) -> Int64 { Int64(exactly: value.rounded(.up)) ?? (value < 0 ? -(1 << 52) : 1 << 52) }
    private static func floor(_ value: Double) -> Int64 { Int64(exactly: value.rounded(.down)) ?? (value < 0 ? -(1 << 52) : 1 << 52) }

    struct Broken {
        var text: String
        /// What the message must name; nil where the whole text is at fault.
        var property: String?
        var fault: String
    }

    /// The base with one fault.
    mutating func invalid() -> Broken {
        let value = base
        var faults: [Broken] = []
        func add(_ text: String, _ property: String?, _ fault: String) { faults.append(Broken(text: text, property: property, fault: fault)) }
        func with(_ name: String, _ new: JSONValue?) -> String {
            var copy = value
            copy.set(name, new)
            return copy.text(.compact)
        }
        add(with("zz_unknown", JSONValue(1)), "zz_unknown", "an unknown property")
        let whole = value.text(.compact)
        add(String(whole.dropLast()), nil, "a text cut short")
        add("[]", nil, "a list instead of an object")
        add(whole + "}", nil, "something behind the object")
        for property in schema.properties {
            let name = property.name
            // Deep places are the host's to check; a plugin answers for its own properties.
            if schema.required.contains(name) { add(with(name, nil), name, "\"\(name)\" is missing") }
            let types = property.schema.types
            if !types.isEmpty {
                if !types.contains(.array) { add(with(name, JSONValue([])), name, "\"\(name)\" is a list") }
                if !types.contains(.boolean) { add(with(name, JSONValue(true)), name, "\"\(name)\" is true") }
                if !types.contains(.string), !types.contains(.object) || !property.schema.isSecret {
                    add(with(name, JSONValue("text")), name, "\"\(name)\" is a text")
                }
                if !types.contains(.integer), !types.contains(.number) { add(with(name, JSONValue(5)), name, "\"\(name)\" is a number") }
                if types == [.integer] { add(with(name, JSONValue(1.5)), name, "\"\(name)\" has a fraction") }
            }
            if types.contains(.integer) || types.contains(.number) {
                if let low = property.schema.minimum, let less = JSONNumber(low.double - 1) {
                    add(with(name, JSONValue(.number(less))), name, "\"\(name)\" is below its minimum")
                }
                if let high = property.schema.maximum, let more = JSONNumber(high.double + 1) {
                    add(with(name, JSONValue(.number(more))), name, "\"\(name)\" is above its maximum")
                }
            }
            if property.schema.choices != nil { add(with(name, JSONValue("zz-not-a-choice")), name, "\"\(name)\" is none of the choices") }
            if let pattern = property.schema.pattern, !pattern.matches("\u{1}") { add(with(name, JSONValue("\u{1}")), name, "\"\(name)\" doesn't match its pattern") }
        }
        // A fault of this place may be none for this schema (a property that takes anything): keep the real ones.
        let real = faults.filter { broken in
            guard let parsed = try? JSONValue(parsing: broken.text) else { return true }
            return schema.check(parsed).issues.contains { !$0.isWarning }
        }
        return real[random.below(real.count)]
    }

    /// The smallest configuration: required members only.
    func minimal() -> JSONValue {
        var members = JSONObject()
        for name in schema.required {
            if let value = base.find(name) ?? schema.property(name)?.fallback { members[name] = value }
        }
        return JSONValue(members)
    }
}
