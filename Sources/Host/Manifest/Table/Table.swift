import PluginKit

/// One key of an object in the manifest: its name, how it is read and written, and what it means.
struct Setting<Owner: Sendable>: Sendable {
    let name: String
    let isRequired: Bool
    let description: String
    let words: String
    let inner: AnyTable?
    let read: @Sendable (JSONValue, JSONPath, inout Owner, inout [ManifestProblem]) -> Void
    /// The schema of this key, with the default as it stands in `Owner`'s own initialiser.
    let schema: @Sendable (Owner) -> JSONValue
    /// The default, nil for a required key or one whose default can't be said in JSON.
    let standard: @Sendable (Owner) -> JSONValue?
    let write: @Sendable (Owner) -> JSONValue

    /// `hasDefault` false: left out means something no JSON value says; the description says what.
    init<Value>(
        _ name: String, _ place: WritableKeyPath<Owner, Value> & Sendable, _ codec: Codec<Value>, required: Bool = false, hasDefault: Bool = true,
        inner: AnyTable? = nil, _ description: String
    ) {
        let standard: @Sendable (Owner) -> JSONValue? = { owner in
            if required || !hasDefault { return nil }
            let written = codec.write(owner[keyPath: place])
            // An inner object's defaults are those of its own keys.
            return inner != nil && written.asObject != nil ? [:] : written
        }
        write = { owner in codec.write(owner[keyPath: place]) }
        self.name = name
        self.isRequired = required
        self.description = description
        self.words = codec.words
        self.inner = inner
        self.standard = standard
        read = { value, path, owner, problems in
            if let read = codec.read(value, path, &problems) { owner[keyPath: place] = read }
        }
        schema = { owner in
            var schema: JSONValue = ["description": JSONValue(description)]
            for member in codec.schema.asObject?.members ?? [] { schema.set(member.name, member.value) }
            if let standard = standard(owner) { schema.set("default", standard) }
            return schema
        }
    }
}

/// An object of the manifest: its keys in the order they are documented.
struct Table<Owner: Sendable>: Sendable {
    /// Heading in the reference, such as "gate".
    let title: String
    let settings: [Setting<Owner>]
    /// What one key alone can't tell: `minimum` above `maximum`. Gets the object as written, to place its problems.
    let check: @Sendable (Owner, JSONValue, JSONPath, inout [ManifestProblem]) -> Void

    init(
        _ title: String, _ settings: [Setting<Owner>],
        check: @escaping @Sendable (Owner, JSONValue, JSONPath, inout [ManifestProblem]) -> Void = { _, _, _, _ in }
    ) {
        self.title = title
        self.settings = settings
        self.check = check
    }

    /// Reads what is there over what `owner` holds; every problem is noted, nothing stops at the first.
    func read(_ value: JSONValue, _ path: JSONPath, into owner: inout Owner, _ problems: inout [ManifestProblem]) {
        guard let object = value.asObject else {
            problems.append(ManifestProblem(path, value, .issue(.wrongType(found: value.type, expected: [.object]))))
            return
        }
        let before = problems.count
        for member in object.members {
            let memberPath = path.appending(member.name)
            if let setting = settings.first(where: { $0.name == member.name }) {
                setting.read(member.value, memberPath, &owner, &problems)
            } else {
                let near = Suggestion.nearest(to: member.name, among: settings.map(\.name).filter { object[$0] == nil })
                problems.append(ManifestProblem(memberPath, start: member.start, .issue(.unknown(member.name, near: near))))
            }
        }
        for setting in settings where setting.isRequired && object[setting.name] == nil {
            problems.append(ManifestProblem(path, value, .issue(.missing(setting.name))))
        }
        if problems.count == before { check(owner, value, path, &problems) }
    }

    func schema(_ owner: Owner) -> JSONValue {
        var properties = JSONObject()
        for setting in settings { properties[setting.name] = setting.schema(owner) }
        var schema: JSONValue = ["type": "object"]
        let required = settings.filter(\.isRequired).map { JSONValue($0.name) }
        if !required.isEmpty { schema.set("required", JSONValue(required)) }
        schema.set("properties", JSONValue(properties))
        schema.set("additionalProperties", false)
        return schema
    }

    /// Everything the object holds, defaults included: reading it again gives the same.
    func write(_ owner: Owner) -> JSONValue {
        JSONValue(JSONObject(settings.map { ($0.name, $0.write(owner)) }))
    }

    /// As the type of a key of another object. `standard` gives what is not written; it is copied for every reading.
    func codec(_ standard: Owner, words: String = "object") -> Codec<Owner> {
        Codec(
            schema: schema(standard), words: words,
            read: { value, path, problems in
                var owner = standard
                let before = problems.count
                read(value, path, into: &owner, &problems)
                return problems.count == before ? owner : nil
            },
            write: { owner in write(owner) })
    }
}

/// A table for the reference manual, whatever it describes.
struct AnyTable: Sendable {
    struct Row: Sendable {
        var name: String
        var words: String
        var standard: JSONValue?
        var isRequired: Bool
        var description: String
    }

    let title: String
    let rows: [Row]
    let inner: [AnyTable]

    init<Owner>(_ table: Table<Owner>, _ owner: Owner) {
        title = table.title
        rows = table.settings.map {
            Row(name: $0.name, words: $0.words, standard: $0.standard(owner), isRequired: $0.isRequired, description: $0.description)
        }
        inner = table.settings.compactMap(\.inner)
    }
}
