import PluginKit
import Testing

@testable import ClaudeDecider

@Suite struct AnswerTests {
    static let good = """
        {"action":"BUY","size_fraction":0.1,"confidence":0.7,"exit_probability":null,"next_check_seconds":300,"valid_seconds":60,
         "signals":[{"name":"trend","direction":"UP","confidence":0.8},{"name":"volume","direction":"NONE","confidence":0.1}],
         "wake_conditions":[{"kind":"PRICE_BELOW","level":95.5}],"memory_update":"watch 95","rationale":"higher highs"}
        """
    static let last = Fixed(raw: 100 * Fixed.scale)

    static func changed(_ from: String, _ to: String) -> String { good.replacing(from, with: to) }

    @Test("a good answer means what it says")
    func good() throws {
        let answer = try DecisionAnswer.parse(Self.good, last: Self.last).get()
        #expect(answer.action == .buy)
        #expect(answer.fraction == Fixed(raw: 10_000_000))
        #expect(answer.exitProbability == nil)
        #expect(answer.signals.map(\.direction) == [1, 0])
        #expect(answer.memory == "watch 95")
        let decision = answer.decision(now: 1_000)
        #expect(decision.validUntil == 60_000_001_000)
        #expect(decision.nextCheck == 300_000_000_000)
        #expect(decision.wakes.count == 1)
    }

    @Test("what is out of form or range is refused with its place, never clamped", arguments: [
        ("\"BUY\"", "\"LONG\"", "answer.action"), ("0.1,\"confidence\":0.7", "25,\"confidence\":0.7", "answer.size_fraction"),
        ("0.1,\"confidence\":0.7", "\"0.1\",\"confidence\":0.7", "answer.size_fraction"), ("0.1,\"confidence\":0.7", "1e999,\"confidence\":0.7", "answer.size_fraction"),
        ("0.1,\"confidence\":0.7", "0,\"confidence\":0.7", "size_fraction"), ("0.7", "-0.7", "answer.confidence"), ("300", "5", "answer.next_check_seconds"),
        ("300", "300.5", "answer.next_check_seconds"), ("95.5", "9.5", "wake_conditions"), ("95.5", "NaN", "answer"), ("\"volume\"", "\"trend\"", "signals"),
        ("\"rationale\"", "\"reason\"", "answer"), ("\"memory_update\":\"watch 95\",", "", "answer.memory_update"), ("{\"action\"", "Sure! {\"action\"", "answer"),
        ("\"action\":\"BUY\"", "\"action\":\"BUY\",\"action\":\"SELL\"", "answer"),
    ])
    func refused(from: String, to: String, path: String) {
        guard case .failure(let problems) = DecisionAnswer.parse(Self.changed(from, to), last: Self.last) else {
            Issue.record("taken: \(to)")
            return
        }
        #expect(problems.list.contains { $0.path == path }, "\(problems)")
    }

    @Test("HOLD with a size, text after the object, fences, too many items and long texts are refused")
    func more() {
        let long = String(repeating: "x", count: 501)
        for text in [
            Self.changed("\"BUY\"", "\"HOLD\""), Self.good + "{}", "```json\n\(Self.good)\n```", Self.changed("watch 95", long), "[]", "", "null",
            Self.changed("\"trend\",\"direction\":\"UP\"", "\"magic\",\"direction\":\"UP\""),
        ] {
            if case .success = DecisionAnswer.parse(text, last: Self.last) { Issue.record("taken: \(text.prefix(60))") }
        }
    }

    @Test("random damage never traps and never makes a larger size", arguments: 1...20 as ClosedRange<UInt64>)
    func fuzz(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            var bytes = Array(Self.good.utf8)
            for _ in 0...Int(random.below(3)) { bytes[Int(random.below(UInt64(bytes.count)))] = UInt8(random.below(256)) }
            if case .success(let answer) = DecisionAnswer.parse(String(decoding: bytes, as: UTF8.self), last: Self.last) {
                #expect(answer.fraction >= .zero && answer.fraction <= .one, "seed \(seed)")
            }
        }
    }

    @Test("one definition: the sent schema, the full schema, the prompt and the parser name the same fields")
    func oneDefinition() throws {
        let names = DecisionDefinition.fields.map(\.name)
        #expect(DecisionDefinition.wireSchema.find("required")?.asList?.compactMap(\.asText) == names)
        #expect(DecisionDefinition.wireSchema.find("properties")?.asObject?.names == names)
        for name in names { #expect(DecisionDefinition.words().contains("- \(name):")) }
        // The service refuses bounds; ours has them.
        for word in ["minimum", "maximum", "maxLength", "maxItems"] {
            #expect(!DecisionDefinition.wireSchema.description.contains("\"\(word)\""))
            #expect(DecisionDefinition.fullSchema.description.contains("\"\(word)\""))
        }
        for name in names {
            var value = try JSONValue(parsing: Self.good)
            value.set(name, nil)
            if case .success = DecisionAnswer.check(value, last: Self.last) { Issue.record("\(name) may be missing") }
        }
    }

    @Test("hostile characters don't survive")
    func clean() { #expect(cleaned("a\u{202e}b\u{200b}c\u{0}d\u{1b}[31me\u{e0041}\n") == "abcd[31me\n") }
}
