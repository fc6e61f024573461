import CSystem
import PluginAPI
import PluginKit

// G: the configuration schema, and what create makes of configurations.

private let subset = "JSON Schema 2020-12, the subset in docs/plugin-guide.md"
private let strict = "Orders and configurations are strict: an unknown flag, an unknown value"

let configChecks: [Check] = [
    Check("G01", "schema-form", "config_schema parses, keeps to the documented keywords, and describes every property.", rule: subset) { bench in
        let text = try require(Subject.text(try bench.subject().component.pointee.config_schema), "config_schema is NULL or not UTF-8")
        do throws(JSONSchemaFaults) {
            _ = try JSONSchema(parsing: text)
        } catch {
            let faults = error.faults.filter { if case .defaultRefused = $0.kind { false } else { true } }
            try require(faults.isEmpty, faults.map(\.description).joined(separator: "\n"))
        }
    },
    Check("G02", "schema-defaults", "The defaults obey the schema they stand in, and so does the configuration that holds only what is required.",
          rule: subset) { bench in
        let text = try require(Subject.text(try bench.subject().component.pointee.config_schema), "config_schema is NULL or not UTF-8")
        let schema: JSONSchema
        do throws(JSONSchemaFaults) {
            schema = try JSONSchema(parsing: text)
        } catch {
            let faults = error.faults.filter { if case .defaultRefused = $0.kind { true } else { false } }
            try require(faults.isEmpty, faults.map(\.description).joined(separator: "\n"))
            throw Verdict.skip("the config_schema has other faults: see G01")
        }
        let given = try bench.config(unreachable: true)
        let faults = schema.check(given).issues.filter { !$0.isWarning }
        try require(faults.isEmpty, "the profile's configuration doesn't obey the schema: \(faults.map(\.description).joined(separator: "; "))")
        let minimal = ConfigMaker(schema: schema, base: given, random: bench.random).minimal()
        let missing = schema.required.filter { minimal.find($0) == nil }
        try require(missing.isEmpty, "the profile's configuration lacks the required \(missing.joined(separator: ", "))")
        let issues = schema.check(minimal).issues.filter { !$0.isWarning }
        try require(issues.isEmpty, "the minimal configuration doesn't obey the schema: \(issues.map(\.description).joined(separator: "; "))")
    },
    Check("G03", "takes-valid-configs", "create takes 200 random configurations that obey the schema.", rule: subset, limit: 20) { bench in
        let schema = try bench.schema()
        var maker = ConfigMaker(schema: schema, base: try bench.soundConfig(schema), random: bench.random)
        let instance = try bench.instance()
        for round in 0..<200 {
            let config = round == 0 ? maker.minimal() : maker.valid()
            // As the host hands it over: defaults filled in.
            let (filled, issues) = schema.check(config)
            if issues.contains(where: { !$0.isWarning }) { continue }
            let result = instance.create(filled.text(.compact))
            try require(result.accepted, "create refuses \(filled.text(.compact)), which obeys the schema: \(result.words)")
            instance.destroy()
        }
    },
    Check("G04", "refuses-bad-configs", "create refuses 200 configurations with a fault, with KEEL_E_INVALID and a message that names the property.",
          rule: strict, limit: 20) { bench in
        let schema = try bench.schema()
        var maker = ConfigMaker(schema: schema, base: try bench.soundConfig(schema), random: bench.random)
        let instance = try bench.instance()
        for _ in 0..<200 {
            let broken = maker.invalid()
            let result = instance.create(broken.text)
            if result.accepted { instance.destroy() }
            try require(!result.accepted, "create takes a configuration in which \(broken.fault): \(broken.text)")
            try require(result.status == KEEL_E_INVALID || result.status == KEEL_E_UNSUPPORTED,
                        "create answers \(result.words) where \(broken.fault); KEEL_E_INVALID was due")
            if let property = broken.property {
                try require(result.message.contains(property), "where \(broken.fault), the message doesn't name \"\(property)\": \"\(result.message)\"")
            }
        }
    },
    Check("G05", "secrets-by-reference", "A property marked x-secret takes a reference, never the secret itself.",
          rule: "[lane & after create] granted names only") { bench in
        let secrets = try bench.schema().properties.filter(\.schema.isSecret)
        if secrets.isEmpty { throw Verdict.skip("the schema has no x-secret property") }
        for property in secrets {
            var config = try bench.config(unreachable: true)
            config.set(property.name, JSONValue("0123456789abcdef"))
            let instance = try bench.instance()
            let result = instance.create(config.text(.compact))
            if result.accepted { instance.destroy() }
            try require(!result.accepted, "create takes the secret \"\(property.name)\" in plain text")
        }
    },
    Check("G06", "pure-check-config", "check_config says the same twice, touches nothing, and reports three problems as three.", rule: "[any] pure; may be NULL") { bench in
        let subject = try bench.subject()
        guard let check = subject.component.pointee.check_config else { throw Verdict.skip("the component has no check_config") }
        let schema = try bench.schema()
        let good = try bench.soundConfig(schema).text(.compact)
        // A configuration with three faults: an unknown property and two of the wrong type, or as many as there are.
        var config = try bench.config(unreachable: true)
        config.set("zz_unknown", JSONValue(1))
        var faults = 1
        for property in schema.properties.prefix(2) {
            config.set(property.name, property.schema.types.contains(.array) ? JSONValue(1.5) : JSONValue([]))
            faults += 1
        }
        let bad = config.text(.compact)
        let lender = Lender(.kept)
        func report(_ text: String) throws -> [UInt8] {
            let sink = LentWriter()
            let bytes = Array(text.utf8)
            let pointer = bytes.withUnsafeBytes { lender.lend($0, "the configuration given to check_config") }
            let json = keel_str(ptr: pointer.map { UnsafePointer($0.assumingMemoryBound(to: CChar.self)) }, len: bytes.count)
            _ = sink.withWriter(lender) { check(subject.component, json, $0) }
            return sink.bytes
        }
        let before = ProcessFacts.now()
        let first = try report(bad)
        try require(try report(bad) == first, "check_config gives two different reports about the same text")
        let clean = try report(good)
        let after = ProcessFacts.now()
        try require(after.threads == before.threads, "check_config left \(after.threads - before.threads) threads")
        try require(after.descriptors == before.descriptors, "check_config left open \(after.newDescriptors(since: before))")
        let list = try? JSONValue(parsing: first)
        let entries = try require(list?.asList, "the report is not a JSON list: \(String(decoding: first.prefix(200), as: UTF8.self))")
        try require(entries.count >= faults, "of a configuration with \(faults) problems, check_config reports \(entries.count)")
        for entry in entries {
            try require(entry.find("path")?.asText != nil && entry.find("message")?.asText != nil, "an entry of the report has no path or no message: \(entry)")
        }
        let none = clean.isEmpty ? [] : ((try? JSONValue(parsing: clean))?.asList ?? [.null])
        try require(none.isEmpty, "check_config finds fault with the profile's configuration: \(String(decoding: clean.prefix(200), as: UTF8.self))")
    },
]
