import Foundation
import PluginAPI
import Testing

@testable import HostCore

@Suite struct MacroQuadrantTests {
    /// The first of a month, counted from January 2000.
    private func month(_ index: Int) -> Int64 {
        var parts = tm()
        parts.tm_year = 100 + Int32(index / 12)
        parts.tm_mon = Int32(index % 12)
        parts.tm_mday = 1
        return Int64(timegm(&parts)) * Span.second
    }

    /// A figure for a month is known six weeks after its end.
    private func figure(_ index: Int, _ value: Double) -> MacroFigure {
        MacroFigure(periodStart: month(index), released: month(index + 1) + 42 * Span.day, value: value)
    }

    /// Levels whose yearly growth wobbles and then goes `growth` / `inflation` for the last year.
    private func world(months: Int, growth: Double, inflation: Double, skip: Int? = nil) -> MacroQuadrant {
        var quadrant = MacroQuadrant()
        var output = 100.0
        var prices = 100.0
        for index in 0..<months {
            let late = index >= months - 8
            output *= 1 + (0.002 + 0.001 * sin(Double(index) / 5) + (late ? growth : 0))
            prices *= 1 + (0.002 + 0.001 * cos(Double(index) / 7) + (late ? inflation : 0))
            let o = figure(index, output)
            let p = figure(index, prices)
            if index != skip { quadrant.add("INDPRO", o, at: o.released) }
            quadrant.add("CPIAUCSL", p, at: p.released)
        }
        return quadrant
    }

    @Test("all four quadrants", arguments: [
        (0.006, -0.004, KEEL_MACRO_GOLDILOCKS), (0.006, 0.006, KEEL_MACRO_REFLATION), (-0.006, 0.006, KEEL_MACRO_STAGFLATION), (-0.006, -0.004, KEEL_MACRO_SLOWDOWN),
    ])
    func quadrants(growth: Double, inflation: Double, expected: UInt32) {
        let world = world(months: 120, growth: growth, inflation: inflation)
        #expect(world.quadrant == expected)
        #expect(world.probability > 0.5 && world.probability <= 1)
        #expect(self.world(months: 120, growth: growth, inflation: inflation, skip: 100).quadrant == expected, "a missing month shifts nothing")
    }

    @Test("nothing is known before its release, and revisions count from theirs")
    func releases() {
        var series = MacroSeries()
        let first = series.add(figure(0, 100))
        let again = series.add(figure(0, 100))
        let revision = series.add(MacroFigure(periodStart: month(0), released: month(3), value: 101))
        #expect(first && !again && revision)
        #expect(series.known(at: month(1)) == [:])
        #expect(Array(series.known(at: figure(0, 0).released).values) == [100])
        #expect(Array(series.known(at: month(3)).values) == [101])
        let unreleased = series.add(MacroFigure(periodStart: month(1), released: 0, value: 1))
        let missing = series.add(MacroFigure(periodStart: month(1), released: month(3), value: .nan))
        #expect(!unreleased && !missing)
        var quadrant = MacroQuadrant()
        let early = quadrant.add("INDPRO", figure(0, 100), at: month(0))
        #expect(!early, "from the future")
        #expect(quadrant.series.isEmpty)
    }

    @Test("unknown until there is enough past")
    func early() { #expect(world(months: 30, growth: 0, inflation: 0).quadrant == KEEL_MACRO_UNKNOWN) }
}
