import Testing

@testable import PluginKit

@Suite struct JSONValueTests {
    @Test func numbersKeepTheirText() throws {
        let value = try JSONValue(parsing: "[0.1000, 1e2, 123456789012345678901234567890, -0]")
        #expect(value.text(.compact) == "[0.1000,1e2,123456789012345678901234567890,-0]")
        #expect(value.text(.canonical) == "[0.1,100,1.2345678901234567890123456789e+29,0]")
    }

    static let canonical: [(String, String)] = [
        ("0", "0"), ("-0.00", "0"), ("0e99", "0"), ("1", "1"), ("1.0", "1"), ("10e-1", "1"), ("100", "100"), ("1e2", "100"), ("0.1", "0.1"),
        ("1e-1", "0.1"), ("-12.50", "-12.5"), ("1e20", "100000000000000000000"), ("1e21", "1e+21"), ("123e65", "1.23e+67"), ("1e-6", "0.000001"),
        ("1e-7", "1e-7"), ("0.00000012", "1.2e-7"), ("123456789012345678901", "123456789012345678901"), ("1.5e300", "1.5e+300"),
    ]

    @Test(arguments: canonical) func canonicalNumbers(_ text: String, _ expected: String) throws {
        #expect(try #require(JSONNumber(text)).canonical == expected)
    }

    static let ordered = [
        "-1e400", "-123456789012345678901", "-10", "-9.99", "-1", "-1e-400", "0", "1e-400", "0.09", "0.1", "0.10000000000000000000001", "0.2", "1", "9",
        "10", "11", "1e2", "123456789012345678901", "123456789012345678901.5", "1e400",
    ]

    @Test func numbersCompareExactly() throws {
        let numbers = try Self.ordered.map { try #require(JSONNumber($0)) }
        for (i, a) in numbers.enumerated() {
            for (j, b) in numbers.enumerated() {
                #expect((a < b) == (i < j), "\(a) \(b)")
                #expect((a == b) == (i == j), "\(a) \(b)")
            }
        }
        #expect(JSONNumber("1.0") == JSONNumber("10e-1"))
        #expect(JSONNumber("-0") == JSONNumber("0"))
    }

    @Test func wholeNumbers() throws {
        #expect(JSONNumber("9223372036854775807")?.int64 == .max)
        #expect(JSONNumber("-9223372036854775808")?.int64 == .min)
        #expect(JSONNumber("9223372036854775808")?.int64 == nil)
        #expect(JSONNumber("-9223372036854775808.0")?.int64 == .min)
        #expect(JSONNumber("3.0")?.int64 == 3)
        #expect(JSONNumber("3.5")?.int64 == nil)
        #expect(JSONNumber("12e3")?.int64 == 12000)
        #expect(JSONNumber("1e18")?.int64 == 1_000_000_000_000_000_000)
        #expect(JSONNumber("1e19")?.int64 == nil)
        #expect(JSONNumber("1e999999999")?.int64 == nil)
        #expect(JSONNumber("18446744073709551615")?.uint64 == .max)
        #expect(JSONNumber("12x") == nil)
        #expect(JSONNumber("") == nil)
        #expect(JSONNumber(Double.nan) == nil)
        #expect(JSONNumber(2.5)?.text == "2.5")
        #expect(JSONNumber(3.0)?.text == "3")
    }

    @Test func decimalsNeverPassADouble() throws {
        let value = try JSONValue(parsing: #"{"a": 0.12345678, "b": "92233720368.54775807", "c": 1e-8, "d": 0.123456789, "e": 92233720368547758.07}"#)
        #expect(try value["a"].fixed.raw == 12_345_678)
        #expect(try value["b"].fixed == .max)
        #expect(try value["c"].fixed.raw == 1)
        #expect(throws: JSONAccessError.badNumber(.name(.root, "d"), .inexact("0.123456789"))) { try value["d"].fixed }
        #expect(throws: JSONAccessError.badNumber(.name(.root, "e"), .overflow("92233720368547758.07"))) { try value["e"].fixed }
        #expect(try value["e"].amount.raw == 9_223_372_036_854_775_807_000_000)
    }

    @Test func fieldsNameThePath() throws {
        let config = try JSONValue(parsing: #"{"fast": 10, "names": ["a", "b"], "deep": {"BTC/USDT": {"tick": "0.01"}}, "on": true, "none": null, "z": 2.5}"#)
        #expect(try config["fast"].int == 10)
        #expect(try config["names"].list.map { try $0.text } == ["a", "b"])
        #expect(try config["names"][1].text == "b")
        #expect(try config["deep"]["BTC/USDT"]["tick"].fixed == Fixed("0.01"))
        #expect(try config["on"].bool)
        #expect(try config["z"].double == 2.5)
        #expect(config["none"].ifPresent == nil)
        #expect(config["gone"].ifPresent == nil)
        #expect(try config["deep"].members.map(\.name) == ["BTC/USDT"])
        func message(_ body: () throws -> Void) -> String? {
            do { try body() } catch { return "\(error)" }
            return nil
        }
        #expect(message { _ = try config["gone"]["more"][2].int } == "$.gone.more[2] is missing")
        #expect(message { _ = try config["fast"].text } == "$.fast is a whole number, not a text")
        #expect(message { _ = try config["z"].int } == "$.z is a number, not a whole number")
        #expect(message { _ = try config["names"][7].text } == "$.names[7] is missing")
        #expect(message { _ = try config["deep"]["BTC/USDT"]["tick"].bool } == "$.deep[\"BTC/USDT\"].tick is a text, not true or false")
        enum Side: String, CaseIterable { case buy, sell }
        #expect(message { _ = try config["names"][0].choice(Side.self) } == "$.names[0] is \"a\", not one of buy, sell")
    }

    @Test func pathsReadWhatTheyWrite() throws {
        for text in ["$", "$.a", "$.a.b[3].c", "$.instruments[\"BTC/USDT\"].tick", "$[\"a \\\"b\\\"\"]", "$[0][1]", "$[\"\"]"] {
            #expect(try #require(JSONPath(text)).description == text)
        }
        #expect(JSONPath("pipelines[0].name")?.description == "$.pipelines[0].name")
        for text in ["$a", "$.", "$..a", "$[", "$[x]", "$[\"a\"", ".a", "$[1", "a[0]b"] { #expect(JSONPath(text) == nil, "\(text)") }
        let value: JSONValue = ["a": [["b": 1], .null]]
        #expect(value.find(try #require(JSONPath("a[0].b"))) == 1)
        #expect(value.find(try #require(JSONPath("a[2].b"))) == nil)
    }

    @Test func writesExactly() throws {
        let value: JSONValue = ["b": [1, true, .null, "é\n\u{1}\u{7f}\"\\/"], "a": ["y": ["z": "1"], "x": []], "é": 1, "A": 2]
        #expect(value.text(.compact) == "{\"b\":[1,true,null,\"é\\n\\u0001\u{7f}\\\"\\\\/\"],\"a\":{\"y\":{\"z\":\"1\"},\"x\":[]},\"é\":1,\"A\":2}")
        #expect(value.text(.canonical) == "{\"A\":2,\"a\":{\"x\":[],\"y\":{\"z\":\"1\"}},\"b\":[1,true,null,\"é\\n\\u0001\u{7f}\\\"\\\\/\"],\"é\":1}")
        let small: JSONValue = ["name": "x", "list": [1, 2], "inner": ["a": ["b": 1], "c": []]]
        #expect(
            small.text(.pretty) == """
                {
                  "name": "x",
                  "list": [1, 2],
                  "inner": {
                    "a": { "b": 1 },
                    "c": []
                  }
                }
                """)
        #expect(JSONValue(Fixed("1.50") ?? .zero).text(.compact) == "\"1.5\"")
        #expect(JSONValue(Double.infinity).isNull)
    }

    @Test func objectsKeepOrderAndCanBeEdited() throws {
        var value: JSONValue = ["a": 1, "b": 2, "c": 3]
        value.set("b", nil)
        value.set("d", "x")
        value.set("a", 9)
        #expect(value.text(.compact) == "{\"a\":9,\"c\":3,\"d\":\"x\"}")
        var large = JSONObject()
        for i in 0..<40 { large["k\(i)"] = JSONValue(i) }
        large["k3"] = nil
        #expect(large["k39"] == 39)
        #expect(large["k3"] == nil)
        #expect(large.count == 39)
    }

    @Test func equalityIsByMeaning() throws {
        #expect(try JSONValue(parsing: "{\"a\":1.0,\"b\":[2]}") == JSONValue(parsing: "{ \"b\" : [ 2e0 ], \"a\" : 1 }"))
        #expect(try JSONValue(parsing: "[1]") != JSONValue(parsing: "[1,1]"))
        #expect(JSONValue("1") != 1)
    }
}
