import Testing

@testable import PluginKit

@Suite struct JSONPatternTests {
    /// Pattern, texts it matches, texts it doesn't.
    static let cases: [(String, [String], [String])] = [
        ("", ["", "x"], []),
        ("abc", ["abc", "xabcx"], ["ab", "ABC"]),
        ("^abc$", ["abc"], ["abcd", "xabc", ""]),
        ("^(GET|POST)$", ["GET", "POST"], ["PUT", "GETPOST"]),
        ("^[a-z][a-z0-9_.-]*$", ["a", "a1", "btc.usdt_x-1"], ["", "1a", "A", "a b"]),
        ("^-?[0-9]+(\\.[0-9]{1,8})?$", ["0", "-1.5", "123.12345678"], ["1.", ".5", "1.123456789", "+1"]),
        ("^\\d{3}$", ["123"], ["12", "1234", "12a"]),
        ("^a{2,}$", ["aa", "aaaa"], ["a"]),
        ("^a{0,2}b$", ["b", "ab", "aab"], ["aaab"]),
        ("^a{0}$", [""], ["a"]),
        ("^(ab|a)(c|bcd)$", ["abc", "abbcd", "ac", "abcd"], ["ab"]),
        ("^(?:ab)+$", ["ab", "abab"], ["aba", ""]),
        ("^[^\\d\\s]+$", ["abc"], ["a1", "a b"]),
        ("^\\S+\\s\\w+$", ["é x_1"], ["é é"]),
        ("^.$", ["a", "😀"], ["", "ab", "\n"]),
        ("^[\\u00e0-\\u{1F600}]$", ["é", "😀"], ["a"]),
        ("^\\x41\\t$", ["A\t"], ["A"]),
        ("^[\\]-]$", ["]", "-"], ["a"]),
        ("^[a\\-z]$", ["a", "-", "z"], ["b"]),
        ("^\\.\\*\\[\\]\\{\\}\\/$", [".*[]{}/"], ["x"]),
        ("^(a*)*$", ["", "aaa"], ["b"]),
        ("^(a|b|)c?$", ["", "a", "bc", "c"], ["ab"]),
        ("a$|^b", ["xa", "bx"], ["ax", "xb"]),
        ("^a+?$", ["aaa"], ["b"]),
        ("^[\\W]$", ["-", "é"], ["a", "_"]),
        ("^[^\\W]$", ["a"], ["-"]),
    ]

    @Test(arguments: cases) func matches(_ pattern: String, _ yes: [String], _ no: [String]) throws {
        let compiled = try JSONPattern(pattern)
        for text in yes { #expect(compiled.matches(text), "\(pattern) \(text)") }
        for text in no { #expect(!compiled.matches(text), "\(pattern) \(text)") }
    }

    static let refused: [(String, JSONPatternError)] = [
        ("(", .unfinished("a group")), ("[a", .unfinished("a character class")), ("\\", .unfinished("an escape")), (")", .misplaced(")")),
        ("*a", .misplaced("*")), ("a**", .misplaced("*")), ("a{", .misplaced("{")), ("a{2", .unfinished("a repetition")), ("}", .misplaced("}")),
        ("a{3,2}", .badRange("{3,2}")), ("[z-a]", .badRange("this part of a character class")), ("[]", .badRange("[]")),
        ("(?=a)", .notSupported("a group that starts with (?=")), ("(?<n>a)", .notSupported("a group that starts with (?<")),
        ("\\1", .notSupported("\\1")), ("\\bx", .notSupported("\\b")), ("\\p{L}", .notSupported("\\p")), ("\\u12", .badRange("this escape")),
        ("\\u{110000}", .badRange("this escape")), ("a{1001}", .notSupported("a repetition of more than 1000")),
        ("((a{100}){100}){100}", .tooLarge(limit: JSONPattern.sizeLimit)), ("^*", .misplaced("^")),
        (String(repeating: "(", count: 60) + String(repeating: ")", count: 60), .tooDeep(limit: 50)),
    ]

    @Test(arguments: refused) func refuses(_ pattern: String, _ error: JSONPatternError) {
        #expect(throws: error) { try JSONPattern(pattern) }
    }

    /// Patterns that bring backtracking engines to a halt. Work is counted in steps a character, so this ends or fails.
    @Test(arguments: ["^(a+)+$", "^(a|aa)+$", "^(a*)*b$", "(x+x+)+y", "^(.*a){20}$"]) func staysLinear(_ pattern: String) throws {
        let compiled = try JSONPattern(pattern)
        let text = String(repeating: "a", count: 5_000) + "!" + String(repeating: "x", count: 5_000)
        #expect(!compiled.matches(text))
    }
}
