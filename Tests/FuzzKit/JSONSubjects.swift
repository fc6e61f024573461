import PluginKit

extension FuzzSubject {
    static let jsonWords = [
        "null", "true", "false", "0", "-0", "1e999", "1e-999", "-1.5E+10", "123456789012345678901234567890", "\"\\u0000\"", "\"\\ud83d\\ude00\"", "\"\\ud800\"",
        "\\udc00", "{\"a\":", "[[[[", "]]]]", "\u{feff}", "\u{2028}", "😀", "e\u{301}", "\"é\":1", ",", ":", "\"", "\\\"", "NaN", "// x", "0.1", "9223372036854775808",
    ]

    static let jsonSeeds: [[UInt8]] = [
        #"{"a":[1,2.5,-3e4,"x\né😀",true,false,null],"b":{"c":{},"d":[]},"e":"😀"}"#,
        #"[0,-0,1e5,1E-5,0.1,123456789012345678901234567890,0.00000001]"#, #"{"k":{"k":{"k":{"k":[[[[[1]]]]]}}}}"#, #""text""#, "0", "{}",
        #"{"stream":"btcusdt@trade","data":{"e":"trade","E":1700000000000,"s":"BTCUSDT","t":12345,"p":"37000.10000000","q":"0.00100000","m":true}}"#,
    ].map { Array($0.utf8) }

    /// The parser, the writers and every accessor.
    public static let json = FuzzSubject(
        "json",
        makeInput: { generator in
            var bytes = generator.pick(jsonSeeds) ?? []
            FuzzMutation.mutate(&bytes, words: jsonWords, &generator)
            return bytes
        },
        check: { bytes in
            let document: JSONDocument
            do throws(JSONError) {
                document = try JSONDocument(parsing: bytes)
            } catch {
                let position = error.position
                return position.offset <= bytes.count && position.line >= 1 && position.column >= 1 && position.column <= bytes.count + 1
                    ? nil : "a position outside the text: \(error)"
            }
            return visit(document.root, document)
                ?? {
                    for style in [JSONStyle.compact, .canonical, .pretty] {
                        let written = document.root.bytes(style)
                        guard let again = try? JSONValue(parsing: written) else { return "what was written \(style) can't be read" }
                        if again != document.root { return "what was written \(style) is another value" }
                        if again.bytes(style) != written { return "\(style) is not stable" }
                    }
                    return nil
                }()
        })

    private static func visit(_ value: JSONValue, _ document: JSONDocument) -> String? {
        guard value.start < value.end, Int(value.end) <= document.bytes.count else { return "a value outside its text" }
        let field = JSONField(value)
        switch value.content {
        case .number(let number):
            if let whole = number.int64 {
                guard let other = JSONNumber("\(whole)"), other == number else { return "\(number) is not \(whole)" }
            }
            if let fixed = try? field.fixed {
                guard let other = JSONNumber(fixed.description), other == number else { return "\(number) is not \(fixed)" }
            }
            if let amount = try? field.amount {
                guard let other = JSONNumber(amount.description), other == number else { return "\(number) is not \(amount)" }
            }
            guard let again = JSONNumber(number.canonical), again == number, again.canonical == number.canonical, !(again < number), !(number < again) else {
                return "\(number) changes its value as \(number.canonical)"
            }
            _ = try? field.double
        case .list(let list):
            for element in list { if let what = visit(element, document) { return what } }
        case .object(let object):
            for member in object.members {
                if object[member.name] == nil { return "a member that can't be found" }
                if let path = JSONPath(JSONPath.name(.root, member.name).description), path != .name(.root, member.name) { return "a path that reads differently" }
                if let what = visit(member.value, document) { return what }
            }
        case .text, .bool, .null: break
        }
        return nil
    }

    static let patternPieces = [
        "a", "b", ".", "[a-z]", "[^0-9]", "(", ")", "(?:", "|", "*", "+", "?", "{2}", "{0,3}", "{1,}", "^", "$", "\\d", "\\W", "\\s", "\\x41", "\\u00e9", "\\.", "[\\d_-]",
        "{", "}", "[", "]", "\\", "é", "😀", "{999}",
    ]

    /// Regular expressions of schemas: any text compiles or is refused, and any pattern matches any text in good time.
    public static let pattern = FuzzSubject(
        "pattern",
        makeInput: { generator in
            var text = ""
            for _ in 0...generator.below(12) { text += generator.pick(patternPieces) ?? "" }
            var bytes = Array(text.utf8)
            if generator.chance(4) { FuzzMutation.mutate(&bytes, words: patternPieces, &generator) }
            return bytes
        },
        check: { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            guard let pattern = try? JSONPattern(text) else { return nil }
            let short = "aab1 é\n😀A."
            for subject in ["", short, text] { _ = pattern.matches(subject) }
            // Without anchors, a longer text matches whatever a part of it matches.
            if !text.contains("^"), !text.contains("$"), pattern.matches(short), !pattern.matches("zz" + short + "zz") { return "a match is lost in a longer text" }
            return nil
        })

    static let schemaSeed = Array(
        #"""
        {"type":"object","required":["a"],"properties":{"a":{"type":["integer","string"],"minimum":1,"maximum":9,"pattern":"^[a-z]+$","description":"A."},
        "b":{"type":"array","items":{"type":"number","description":"x"},"default":[1.5],"description":"B.","x-unit":"s"},"c":{"x-secret":true,"description":"C."},
        "d":{"type":"object","additionalProperties":{"enum":[1,"x",null]},"default":{},"description":"D.","deprecated":true},"e":{"const":7,"description":"E."}}}
        """#.utf8)

    static let schemaWords =
        jsonWords + [
            "\"type\":", "\"object\"", "\"integer\"", "\"properties\":", "\"required\":", "\"enum\":", "\"const\":", "\"minimum\":", "\"pattern\":", "\"items\":", "\"default\":",
            "\"description\":\"d\"", "\"x-secret\":true", "\"additionalProperties\":", "{\"$secret\":\"n\"}",
        ]

    /// Schemas from plugins, and values against them.
    public static let schema = FuzzSubject(
        "schema",
        makeInput: { generator in
            var bytes = schemaSeed
            if !generator.chance(8) { FuzzMutation.mutate(&bytes, words: schemaWords, &generator) }
            // Behind a zero byte: the value that is checked.
            var value = Array(#"{"a":5,"b":[1,2],"c":{"$secret":"x"},"d":{"y":"x"},"e":7}"#.utf8)
            FuzzMutation.mutate(&value, words: schemaWords, &generator)
            return bytes.filter { $0 != 0 } + [0] + value
        },
        check: { bytes in
            let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
            guard let text = parts.first, let schema = try? JSONSchema(parsing: Array(text)) else { return nil }
            guard parts.count == 2, let value = try? JSONValue(parsing: Array(parts[1])) else { return nil }
            let (completed, issues) = schema.check(value)
            if issues.allSatisfy(\.isWarning) {
                // What is accepted stays accepted with its defaults, and they are filled in once.
                let again = schema.check(completed)
                if !again.issues.allSatisfy(\.isWarning) { return "with its defaults it is refused: \(again.issues.map(\.description))" }
                if again.value != completed { return "defaults are filled in twice" }
            }
            return nil
        })
}
