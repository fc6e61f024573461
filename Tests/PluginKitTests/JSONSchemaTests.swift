import Testing

@testable import PluginKit

@Suite struct JSONSchemaTests {
    static let schemaText = """
        {
          "$schema": "https://json-schema.org/draft/2020-12/schema",
          "type": "object",
          "required": ["venue"],
          "properties": {
            "venue": { "type": "string", "enum": ["main", "test"], "description": "Which one." },
            "key": { "x-secret": true, "description": "API key." },
            "fast": { "type": "integer", "minimum": 1, "maximum": 500, "default": 10, "x-unit": "bars", "description": "Fast." },
            "ratio": { "type": "number", "minimum": 0.1, "description": "Ratio." },
            "price": { "type": ["string", "null"], "pattern": "^[0-9]+(\\\\.[0-9]{1,8})?$", "default": null, "description": "Price." },
            "names": { "type": "array", "items": { "type": "string" }, "default": [], "description": "Names." },
            "limits": {
              "type": "object", "description": "Limits.", "default": {},
              "properties": { "daily": { "type": "integer", "default": 5, "description": "A day." } }
            },
            "symbols": { "type": "object", "additionalProperties": { "type": "string" }, "description": "Symbols." },
            "free": { "type": "object", "additionalProperties": true, "description": "Anything." },
            "old": { "type": "boolean", "deprecated": true, "description": "Use fast." },
            "version": { "const": 1, "description": "One." }
          }
        }
        """

    func issues(_ config: String) throws -> [String] {
        let schema = try JSONSchema(parsing: Self.schemaText)
        return schema.check(try JSONValue(parsing: config)).issues.map(\.description)
    }

    @Test func fillsInDefaults() throws {
        let schema = try JSONSchema(parsing: Self.schemaText)
        let (value, issues) = schema.check(try JSONValue(parsing: #"{"venue": "main", "fast": 20, "free": {"x": [1]}}"#))
        #expect(issues == [])
        #expect(value.text(.canonical) == #"{"fast":20,"free":{"x":[1]},"limits":{"daily":5},"names":[],"price":null,"venue":"main"}"#)
    }

    static let cases: [(String, [String])] = [
        (#"{"venue":"main"}"#, []),
        (#"{}"#, [#"$: "venue" is missing"#]),
        (#"{"venue":"mian"}"#, [#"$.venue: "mian" is not one of "main", "test" (did you mean "main"?)"#]),
        (#"{"venue":"main","fsat":1}"#, [#"$.fsat: "fsat" is not known here (did you mean "fast"?)"#]),
        (
            #"{"venue":"main","xyzzy":1}"#,
            [#"$.xyzzy: "xyzzy" is not known here (remove it, or look up the name: unknown names are never ignored)"#]
        ),
        (#"{"venue":"main","fast":"10"}"#, [#"$.fast: this is a text, not a whole number (write it without quotation marks)"#]),
        (#"{"venue":"main","fast":1.5}"#, ["$.fast: this is a number, not a whole number"]),
        (#"{"venue":"main","fast":2.0}"#, []),
        (#"{"venue":"main","fast":0}"#, ["$.fast: it may not be below 1 bars"]),
        (#"{"venue":"main","fast":501}"#, ["$.fast: it may not be above 500 bars"]),
        (#"{"venue":"main","ratio":0.1}"#, []),
        (#"{"venue":"main","ratio":0.09999999999999999999999}"#, ["$.ratio: it may not be below 0.1"]),
        (#"{"venue":"main","price":1.5}"#, ["$.price: this is a number, not a text or null (write it in quotation marks)"]),
        (#"{"venue":"main","price":"1,5"}"#, [#"$.price: it doesn't have the form ^[0-9]+(\.[0-9]{1,8})?$"#]),
        (#"{"venue":"main","names":["a",2,null]}"#, [
            "$.names[1]: this is a whole number, not a text (write it in quotation marks)", "$.names[2]: this is null, not a text",
        ]),
        (#"{"venue":"main","limits":{"dayly":1}}"#, [#"$.limits.dayly: "dayly" is not known here (did you mean "daily"?)"#]),
        (#"{"venue":"main","symbols":{"a":1}}"#, ["$.symbols.a: this is a whole number, not a text (write it in quotation marks)"]),
        (#"{"venue":"main","key":{"$secret":"x.key"}}"#, []),
        (
            #"{"venue":"main","key":"hunter2"}"#,
            [#"$.key: a secret may not be written here (write {"$secret": "name"} and put the secret into the environment or a file)"#]
        ),
        (#"{"venue":{"$secret":"x"}}"#, ["$.venue: no secret is taken here"]),
        (#"{"venue":"main","old":true}"#, ["$.old: it is deprecated: Use fast."]),
        (#"{"venue":"main","version":2}"#, ["$.version: only 1 may stand here"]),
        (#"[]"#, ["$: this is a list, not an object"]),
        // All at once.
        (#"{"fsat":1,"ratio":"x","names":3}"#, [
            #"$.fsat: "fsat" is not known here (did you mean "fast"?)"#, "$.ratio: this is a text, not a number (write it without quotation marks)",
            "$.names: this is a whole number, not a list", #"$: "venue" is missing"#,
        ]),
    ]

    @Test(arguments: cases) func namesEveryProblem(_ config: String, _ expected: [String]) throws {
        #expect(try issues(config) == expected)
    }

    @Test func neverPrintsASecretWrittenInClear() throws {
        for config in [#"{"key":"hunter2"}"#, #"{"key":["hunter2"]}"#, #"{"key":{"value":"hunter2"}}"#] {
            let texts = try issues(config)
            #expect(!texts.isEmpty)
            #expect(texts.allSatisfy { !$0.contains("hunter2") })
        }
    }

    @Test func placesAreThoseOfTheText() throws {
        let text = "{ \"venue\": \"main\",\n  \"fsat\": 1,\n  \"fast\": 0 }"
        let document = try JSONDocument(parsing: Array(text.utf8))
        let issues = try JSONSchema(parsing: Self.schemaText).check(document.root).issues
        #expect(issues.map { document.position(of: $0.start).description } == ["2:3", "3:11"])
    }

    static let faults: [(String, [String])] = [
        ("nonsense", [#"$: the schema is not JSON: line 1, column 1: "nonsense" where a value should be"#]),
        ("[]", ["$: a schema is an object, and this is a list", #"$: the top of a configuration's schema needs "type": "object""#]),
        (#"{"type":"string"}"#, [#"$: the top of a configuration's schema needs "type": "object""#]),
        (#"{"type":"object","format":"x"}"#, [#"$.format: the keyword "format" is not in the supported subset"#]),
        (#"{"type":"object","requird":[]}"#, [#"$.requird: the keyword "requird" is not in the supported subset: did you mean "required"?"#]),
        (#"{"type":"object","properties":{"a":{"type":"int"}}}"#, [
            #"$.properties.a.type: "type" needs one of null, boolean, integer, number, string, array, object, or a list of them"#,
            "$.properties.a: this property has no description",
        ]),
        (#"{"type":"object","required":["b"]}"#, [#"$.required: "required" names "b", which is not among the properties"#]),
        (#"{"type":"object","required":["a"],"properties":{"a":{"default":1,"description":"d"}}}"#, [
            #"$.required: "a" is required and has a default: one of the two can't be meant"#
        ]),
        (#"{"type":"object","properties":{"a":{"type":"integer","minimum":5,"default":3,"description":"d"}}}"#, [
            "$.properties.a.default: the default doesn't obey the schema: $.properties.a.default: it may not be below 5"
        ]),
        (#"{"type":"object","properties":{"a":{"minimum":5,"maximum":3,"description":"d"}}}"#, [
            "$.properties.a: nothing lies between minimum 5 and maximum 3"
        ]),
        (#"{"type":"object","properties":{"a":{"pattern":"(","description":"d"}}}"#, ["$.properties.a.pattern: the pattern ends inside a group"]),
        (#"{"type":"object","properties":{"a":{"enum":[],"description":"d"}}}"#, [#"$.properties.a.enum: "enum" needs a list with at least one value"#]),
        (#"{"type":"object","properties":{"a":{"items":{"colour":1},"description":"d"}}}"#, [
            #"$.properties.a.items.colour: the keyword "colour" is not in the supported subset"#
        ]),
    ]

    @Test(arguments: faults) func checksSchemasThemselves(_ schema: String, _ expected: [String]) {
        do {
            _ = try JSONSchema(parsing: schema)
            Issue.record("accepted: \(schema)")
        } catch {
            #expect(error.faults.map(\.description) == expected)
        }
    }

    static let suggestions: [(String, String?)] = [
        ("deicde", "decide"), ("maxPosition", "max_position"), ("max_postion", "max_position"), ("brokr", "broker"), ("feed", "feeds"),
        ("max_pos", "max_position"), ("zebra", nil), ("", nil), ("b", nil),
    ]

    @Test(arguments: suggestions) func suggestsTheNearestName(_ name: String, _ expected: String?) {
        #expect(Suggestion.nearest(to: name, among: ["decide", "max_position", "broker", "feeds", "risk"]) == expected)
    }
}
