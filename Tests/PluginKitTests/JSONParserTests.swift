import Testing

@testable import PluginKit

@Suite struct JSONParserTests {
    static let accepted: [String] = [
        "[]", "{}", " [ ] ", "[[]]", "\"\"", "0", "-0", "1", "-1", "10", "1.5", "1e5", "1E+5", "1e-5", "1.25e12", "true", "false", "null",
        "[1,2]", "{\"a\":1}", "\n\t\r {\"a\" : [ 1 , 2 ] }\n", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u0041\"", "\"\\ud83d\\ude00\"", "\"\\u0000\"",
        "\"é😀\u{7f}\u{2028}\"", "123456789012345678901234567890", "0.1e-999999", "1e999999999", "1e-1000000000", "0e99999999999999999999999", "[null,true]", "{\"\":0}", "{\"a\":{\"a\":{}}}",
    ]

    @Test(arguments: accepted) func acceptsWhatTheStandardAllows(_ text: String) throws {
        let value = try JSONValue(parsing: text)
        // What was read is written, read and written again the same.
        for style in [JSONStyle.compact, .canonical, .pretty] {
            let written = value.text(style)
            let again = try JSONValue(parsing: written)
            #expect(again == value)
            #expect(again.text(style) == written)
        }
    }

    static let refused: [(String, JSONProblem)] = [
        ("", .empty),
        (" \n\t", .empty),
        ("[", .truncated(inside: "a list")),
        ("[1", .truncated(inside: "a list")),
        ("[1,", .truncated(inside: "a list")),
        ("{", .truncated(inside: "an object")),
        ("{\"a\"", .truncated(inside: "an object")),
        ("{\"a\":", .truncated(inside: "an object")),
        ("{\"a\":1", .truncated(inside: "an object")),
        ("\"abc", .truncated(inside: "a text that starts here")),
        ("\"abc\\", .truncated(inside: "a text that starts here")),
        ("\"\\u12", .truncated(inside: "a text that starts here")),
        ("tru", .truncated(inside: "true")),
        ("-", .truncated(inside: "a number")),
        ("1.", .truncated(inside: "a number")),
        ("1e", .truncated(inside: "a number")),
        ("[1,]", .unexpected(found: "a comma after the last entry", expected: "the end")),
        ("{\"a\":1,}", .unexpected(found: "a comma after the last entry", expected: "the end")),
        ("[,1]", .unexpected(found: "\",\"", expected: "a value")),
        ("[1 2]", .unexpected(found: "\"2\"", expected: "a comma or ]")),
        ("{a:1}", .unexpected(found: "\"a\"", expected: "a name in quotation marks")),
        ("{'a':1}", .unexpected(found: "a single quotation mark (JSON uses \")", expected: "a name in quotation marks")),
        ("{\"a\" 1}", .unexpected(found: "\"1\"", expected: "a colon after the name")),
        ("{\"a\":1 \"b\":2}", .unexpected(found: "\"\"\"", expected: "a comma or }")),
        ("// x\n1", .unexpected(found: "a comment (JSON has none)", expected: "a value")),
        ("[1] # x", .textAfterEnd(found: "\"#\"")),
        ("1 2", .textAfterEnd(found: "\"2\"")),
        ("NaN", .unexpected(found: "\"NaN\"", expected: "a value")),
        ("Infinity", .unexpected(found: "\"Infinity\"", expected: "a value")),
        ("truex", .unexpected(found: "\"truex\"", expected: "a value")),
        ("nul!", .unexpected(found: "\"nul\"", expected: "a value")),
        ("+1", .unexpected(found: "\"+\"", expected: "a value")),
        (".5", .unexpected(found: "\".\"", expected: "a value")),
        ("01", .badNumber("a number may not start with a zero")),
        ("-01", .badNumber("a number may not start with a zero")),
        ("1.e5", .badNumber("a number needs a digit after the decimal point")),
        ("-a", .badNumber("a number needs a digit after the minus sign")),
        ("1ex", .badNumber("a number needs a digit after the e")),
        ("1e1000000001", .badNumber("this number's exponent is beyond a thousand million")),
        ("1e-99999999999999999999999", .badNumber("this number's exponent is beyond a thousand million")),
        ("15m", .badNumber("this is not a decimal number: a duration or a unit needs quotation marks")),
        ("0x10", .badNumber("this is not a decimal number: a duration or a unit needs quotation marks")),
        ("1.2.3", .badNumber("this is not a decimal number: a duration or a unit needs quotation marks")),
        ("\"a\nb\"", .controlCharacter(10)),
        ("\"\u{1f}\"", .controlCharacter(0x1f)),
        ("\"\\x41\"", .badEscape("\\x")),
        ("\"\\é\"", .badEscape("\\é")),
        ("\"\\u12g4\"", .badEscape("\\u12")),
        ("\"\\ud800\"", .loneSurrogate("\\ud800")),
        ("\"\\udc00\"", .loneSurrogate("\\udc00")),
        ("\"\\ud800\\u0041\"", .loneSurrogate("\\ud800")),
        ("\"\\ud800x\"", .loneSurrogate("\\ud800")),
        ("{\"a\":1,\n\"b\":2,\n\"a\":3}", .duplicateName("a", firstLine: 1)),
        ("{\"a\":1,\"\\u0061\":3}", .duplicateName("a", firstLine: 1)),
        ("\u{feff}1", .byteOrderMark),
    ]

    @Test(arguments: refused) func refusesTheRest(_ text: String, _ problem: JSONProblem) {
        #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
        do { _ = try JSONValue(parsing: text) } catch { #expect(error.problem == problem) }
    }

    static let notUTF8: [[UInt8]] = [
        [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xF4, 0x90, 0x80, 0x80, 0x22],
        [0x22, 0xE2, 0x82, 0x22], [0xFE, 0xFF, 0x00, 0x31],
    ]

    @Test(arguments: notUTF8) func refusesWhatIsNotUTF8(_ bytes: [UInt8]) {
        #expect { try JSONValue(parsing: bytes) } throws: { ($0 as? JSONError)?.problem == .notUTF8 }
    }

    @Test func saysWhereInLinesAndCharacters() {
        let text = "{\n  \"é😀\": 1,\r\n  \"b\": tru\n}"
        #expect { try JSONValue(parsing: text) } throws: {
            guard let error = $0 as? JSONError else { return false }
            return error.position.line == 3 && error.position.column == 8
        }
        #expect { try JSONValue(parsing: "[\"é😀\", x]") } throws: { ($0 as? JSONError)?.position.column == 8 }
    }

    @Test func valuesKnowTheirPlace() throws {
        let document = try JSONDocument(parsing: Array("{\n  \"a\": [1, \"x\"]\n}".utf8))
        let list = try #require(document.root.find("a"))
        #expect(document.position(of: list) == JSONPosition(offset: 9, line: 2, column: 8))
        let text = try #require(list.asList?.last)
        #expect(document.bytes[Int(text.start)..<Int(text.end)].elementsEqual("\"x\"".utf8))
    }

    @Test func limitsDepthAndSize() throws {
        let deep = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        _ = try JSONValue(parsing: deep)
        #expect { try JSONValue(parsing: "[" + deep + "]") } throws: { ($0 as? JSONError)?.problem == .tooDeep(limit: 64) }
        let deeper = String(repeating: "{\"a\":", count: 20_000)
        #expect { try JSONValue(parsing: deeper, options: JSONOptions(depth: 1_000_000)) } throws: {
            ($0 as? JSONError)?.problem == .tooDeep(limit: 512)
        }
        #expect { try JSONValue(parsing: "[1,2,3]", options: JSONOptions(maximumBytes: 6)) } throws: {
            ($0 as? JSONError)?.problem == .tooLarge(bytes: 7, limit: 6)
        }
    }

    @Test func toleratesTheByteOrderMarkOnlyWhereToldTo() throws {
        let value = try JSONValue(parsing: "\u{feff}[1]", options: JSONOptions(toleratesByteOrderMark: true))
        #expect(value == [1])
    }

    @Test func collectsDuplicatesWhenAsked() throws {
        let text = "{\"a\":1,\"a\":2,\"b\":{\"c\":1,\n\"c\":2}}"
        let document = try JSONDocument(parsing: Array(text.utf8), options: JSONOptions(refusesDuplicates: false))
        #expect(document.duplicates.map(\.problem) == [.duplicateName("a", firstLine: 1), .duplicateName("c", firstLine: 1)])
        #expect(document.root.find("a") == 1)
        #expect(document.duplicates.last?.position.line == 2)
    }

    @Test func findsDuplicatesAmongMany() throws {
        let names = (0..<20_000).map { "\"k\($0)\":\($0)" }
        let value = try JSONValue(parsing: "{" + names.joined(separator: ",") + "}")
        #expect(value.find("k19999") == 19999)
        #expect(value.find("k20000") == nil)
        #expect { try JSONValue(parsing: "{" + names.joined(separator: ",") + ",\"k777\":0}") } throws: {
            ($0 as? JSONError)?.problem == .duplicateName("k777", firstLine: 1)
        }
    }

    @Test func everyCutOfATextIsRefusedAndPlaced() throws {
        let text = "{\"a\": [1.5e3, \"x\\u00e9\\ud83d\\ude00\", true, null], \"b\": {\"c\": -0.25}}"
        let bytes = Array(text.utf8)
        _ = try JSONValue(parsing: bytes)
        for cut in 0..<bytes.count {
            #expect(throws: JSONError.self) { try JSONValue(parsing: Array(bytes[..<cut])) }
        }
    }
}
