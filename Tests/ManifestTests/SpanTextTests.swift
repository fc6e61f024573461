import HostCore
import PluginKit
import Testing

@testable import HostManifest

@Suite struct SpanTextTests {
    static let good: [(String, Int64)] = [
        ("8s", 8_000_000_000), ("15m", 900_000_000_000), ("24h", 86_400_000_000_000), ("1d", 86_400_000_000_000), ("250ms", 250_000_000), ("1us", 1000),
        ("7ns", 7), ("0s", 0), ("1h30m", 5_400_000_000_000), ("1d2h3m4s5ms6us7ns", 93_784_005_006_007), ("90s", 90_000_000_000),
    ]

    @Test(arguments: good) func reads(_ text: String, _ span: Int64) throws {
        #expect(SpanText.parse(text) == span)
        #expect(SpanText.parse(SpanText.format(span)) == span)
        #expect(try JSONPattern(SpanText.pattern).matches(text))
    }

    static let bad = ["", "8", "s", "8 s", " 8s", "8S", "-8s", "+8s", "1.5s", "1m1h", "1m1m", "8sec", "999999999999d", "1000000000000000000000s", "８s"]

    @Test(arguments: bad) func refuses(_ text: String) { #expect(SpanText.parse(text) == nil) }

    @Test func writesTheShortest() {
        #expect(SpanText.format(Span.day) == "1d")
        #expect(SpanText.format(90 * Span.second) == "1m30s")
        #expect(SpanText.format(0) == "0s")
        #expect(SpanText.format(-Span.second) == "-1s")
        #expect(SpanText.format(.min).hasPrefix("-106751d"))
    }
}
