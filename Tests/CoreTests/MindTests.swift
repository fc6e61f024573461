import PluginAPI
import PluginKit
import Testing

@testable import HostCore

/// What the decider is told about derivatives and macro figures, and the calls that are saved while nothing moves.
@Suite struct ValueTests {
    private func built(_ change: (inout PipelineSettings) -> Void = { _ in }) throws -> Usual {
        let set = Usual()
        set.decider.wants = KEEL_WANT_VALUES | KEEL_WANT_WEIGHTS
        set.decider.decide = { _ in .hold }
        try set.build(instruments: [Rig.instrument(), Rig.instrument("ETH/USDT")]) { settings in
            settings.risk.freshness = nil
            change(&settings)
        }
        set.rig.start()
        return set
    }

    private func send(_ set: Usual, _ name: String, _ value: Double, instrument: keel_instrument_id = 1, released: Int64? = nil, start: Int64 = 0, end: Int64? = nil) {
        valueEvent(instrument, name, value, at: set.rig.time, released: released, start: start, end: end).send(to: set.rig.engine, from: 0)
    }

    private func ask(_ set: Usual, instrument: keel_instrument_id = 1) -> keel_snapshot? {
        set.askOnNextTrade(.hold)
        set.rig.trade("100", instrument: instrument)
        return set.decider.questions.last?.header
    }

    @Test("a figure that is not public yet is in no snapshot until it is")
    func released() throws {
        let set = try built()
        let noon = set.rig.time + Span.hour
        send(set, "cpi", 3.4, released: noon, end: set.rig.time)
        #expect(ask(set)?.values.count == 0)
        set.rig.wait(Span.hour)
        #expect(ask(set)?.values.count == 1)
    }

    @Test("an older vintage or period never replaces a newer one")
    func vintages() throws {
        let set = try built()
        let end = set.rig.time
        func shown() -> Double? { set.rig.book().values.all.first?.value }
        send(set, "cpi", 3.0, released: end + 0, end: end)
        send(set, "cpi", 3.2, released: end - Span.day, end: end)
        #expect(shown() == 3.0)
        send(set, "cpi", 2.9, released: end, end: end - Span.day)
        #expect(shown() == 3.0)
        set.rig.wait(Span.day)
        send(set, "cpi", 3.1, released: end + Span.day, end: end)
        #expect(shown() == 3.1)
    }

    @Test("derivatives stay with their instrument, and open interest changes over an hour of period ends")
    func derivatives() throws {
        let set = try built()
        let begin = set.rig.time
        for step in 0...12 {
            let end = begin + Int64(step) * 5 * Span.minute
            set.rig.wait(5 * Span.minute)
            send(set, "open_interest", 1000 + Double(step), start: end - 5 * Span.minute, end: end)
            // The same name over a day: another series, not a jump of this one.
            send(set, "open_interest", 99_999, start: end - Span.day, end: end)
        }
        let first = try #require(ask(set))
        #expect(first.open_interest == 1012 && abs(first.open_interest_change - 0.012) < 1e-12)
        let other = try #require(ask(set, instrument: 2))
        #expect(other.open_interest.isNaN && other.open_interest_change.isNaN && other.funding_rate.isNaN)
    }

    @Test("feeds are asked to look more often while values move, and told when they have calmed down")
    func pace() throws {
        let set = try built()
        func at(_ minute: Int64, _ value: Double) {
            set.rig.wait(Span.minute)
            let end = set.rig.time
            send(set, "open_interest", value, start: end - Span.minute, end: end)
            _ = minute
        }
        for minute in 0..<20 { at(Int64(minute), 1000) }
        #expect(set.rig.paces.isEmpty)
        at(20, 1030)
        #expect(set.rig.paces.map(\.urgent) == [true] && set.rig.paces.first?.instrument == 1)
        for minute in 21..<80 { at(Int64(minute), 1030) }
        #expect(set.rig.paces.map(\.urgent) == [true, false])
    }

    @Test("traded volume is counted by UTC day and survives a restart")
    func delta() throws {
        let set = try built()
        set.rig.trade("100", quantity: "3")
        set.rig.command(.stop)
        let second = Usual()
        second.decider.wants = KEEL_WANT_VALUES
        second.rig.time = set.rig.time
        try second.build(restored: set.rig.ledgerState(), run: 2)
        second.rig.start()
        #expect(second.rig.book().delta == 3e8)
        second.rig.wait(Span.day)
        #expect(second.rig.book().delta == 0)
    }

    @Test("a question whose answer would be the same HOLD is not asked again, until something moves")
    func reuse() throws {
        let set = try built { settings in
            settings.chain.reuse = 30 * Span.minute
            settings.gate.candle = Span.minute
            settings.gate.timer = false
        }
        set.decider.observes = false
        set.decider.decide = { _ in .hold }
        func minute(_ price: String) -> Int {
            set.rig.trade(price, after: Span.minute)
            return set.decider.questions.count
        }
        _ = minute("100")
        let once = minute("100")
        #expect(once == 1)
        for _ in 0..<10 { #expect(minute("100.1") == 1) }
        #expect(set.rig.book().counters.reused == 10)
        #expect(minute("100.3") == 2, "the price moved by more than 0.2 %")
        #expect(minute("100.3") == 2)
        send(set, "funding_rate", 0.0009)
        #expect(minute("100.3") == 3, "funding moved")
        for _ in 0..<29 { _ = minute("100.3") }
        #expect(set.decider.questions.count == 3)
        #expect(minute("100.3") == 4, "half an hour is over")
        // Something else than HOLD doesn't stand for anything.
        set.decider.decide = { _ in .buy("0.1") }
        let before = minute("101")
        set.decider.decide = { _ in .hold }
        #expect(minute("101") == before + 1)
    }
}
