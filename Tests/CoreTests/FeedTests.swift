import PluginAPI
import PluginKit
import Testing

@testable import HostCore

/// What a feed says about itself, and what it delivers late.
@Suite struct FeedTests {
    private func passes(_ set: Usual) -> GateCounters { set.rig.book().counters }

    /// A feed that reports its connection down blocks entries at once, long before its last price is old, and opens them with its return.
    @Test func aFeedThatIsDownBlocksEntries() throws {
        let set = Usual()
        try set.build { $0.risk.freshness = 90 * Span.second }
        set.rig.start()
        set.rig.trade("100")
        linkEvent(KEEL_LINK_DOWN, at: set.rig.time, name: "streams").send(to: set.rig.engine, from: set.feed.port)
        set.askOnNextTrade(.buy())
        // A second connection of it still delivers.
        set.rig.trade("100")
        #expect(set.decider.questions.isEmpty && set.rig.intents.isEmpty)
        #expect(set.rig.refused(.linkDown).count == 1)
        linkEvent(KEEL_LINK_UP, at: set.rig.time, name: "other").send(to: set.rig.engine, from: set.feed.port)
        set.askOnNextTrade(.buy())
        set.rig.trade("100")
        #expect(set.rig.intents.isEmpty)
        linkEvent(KEEL_LINK_UP, at: set.rig.time, name: "streams").send(to: set.rig.engine, from: set.feed.port)
        set.askOnNextTrade(.buy())
        set.rig.trade("100")
        #expect(set.rig.intents.count == 1)
    }

    /// Something missing is not everything missing.
    @Test func aDegradedFeedBlocksNothing() throws {
        let set = Usual()
        try set.build()
        set.rig.start()
        set.rig.trade("100")
        linkEvent(KEEL_LINK_DEGRADED, at: set.rig.time, name: "streams").send(to: set.rig.engine, from: set.feed.port)
        set.askOnNextTrade(.buy())
        set.rig.trade("100")
        #expect(set.rig.intents.count == 1)
    }

    @Test func anExitDoesNotWaitForTheFeed() throws {
        let set = Usual()
        try set.build { $0.position.stopLoss = fixed("0.05") }
        set.rig.start()
        set.askOnNextTrade(.buy())
        set.rig.trade("100")
        #expect(!set.rig.position.isZero)
        linkEvent(KEEL_LINK_DOWN, at: set.rig.time, name: "streams").send(to: set.rig.engine, from: set.feed.port)
        set.rig.trade("90")
        #expect(set.rig.position.isZero)
    }

    /// While one of two feeds stands, its market is the market.
    @Test func anotherFeedIsEnough() throws {
        let set = Usual()
        let second = set.rig.add(FakeFeed("second"))
        var settings = Usual.settings()
        settings.feeds = ["feed", "second"]
        try set.rig.build([settings])
        set.rig.start()
        set.rig.trade("100")
        linkEvent(KEEL_LINK_DOWN, at: set.rig.time).send(to: set.rig.engine, from: set.feed.port)
        set.askOnNextTrade(.buy())
        set.rig.trade("100", feed: second.port)
        #expect(set.rig.intents.count == 1)
    }

    /// Filled gaps make bars and nothing else: an old price triggers no stop, opens no gate and makes no market fresh.
    @Test(arguments: [KEEL_EVF_REPLAY, KEEL_EVF_SNAPSHOT]) func historyIsNoNews(_ flag: UInt32) throws {
        let set = Usual()
        try set.build {
            $0.bars = [Span.minute]
            $0.position.stopLoss = fixed("0.05")
        }
        set.rig.start()
        set.askOnNextTrade(.buy())
        set.rig.trade("100")
        #expect(!set.rig.position.isZero)
        let asked = set.decider.questions.count
        var seen = 0
        set.decider.observed = { _ in
            seen += 1
            return KEEL_ASK
        }
        set.rig.time += 10 * Span.minute
        for step in 0..<9 {
            var event = tradeEvent(1, fixed("50"), fixed("1"), at: set.rig.time)
            event.edit { (head: inout keel_event) in
                head.flags = UInt16(flag)
                head.at_source = set.rig.time - Int64(10 - step) * Span.minute
            }
            event.send(to: set.rig.engine, from: set.feed.port)
        }
        #expect(set.rig.book().last == fixed("100").raw)
        #expect(!set.rig.position.isZero && set.rig.exits.isEmpty)
        #expect(set.decider.questions.count == asked)
        #expect(seen == 9, "deciders keep their own indicators: they see it")
        #expect(set.rig.time - set.rig.book().tradeAt >= 10 * Span.minute, "the market is as old as it was")
        #expect(set.rig.book().series[0].count >= 8, "the bars are there")
        set.decider.observed = { _ in KEEL_OK }
        set.rig.trade("99.5")
        #expect(set.rig.exits.isEmpty)
        set.rig.trade("94")
        #expect(set.rig.exits.count == 1)
    }

    @Test func barsOfThePastAreBars() throws {
        let set = Usual()
        try set.build { $0.bars = [Span.minute] }
        set.rig.start()
        for step in 0..<20 {
            let price = fixed("100")
            var event = barEvent(1, open: price, high: price, low: price, close: price, from: Rig.start - Int64(20 - step) * Span.minute)
            event.edit { (head: inout keel_event) in head.flags = UInt16(KEEL_EVF_SNAPSHOT) }
            event.send(to: set.rig.engine, from: set.feed.port)
        }
        #expect(set.rig.book().series[0].count == 20)
        #expect(set.rig.book().last == 0 && set.rig.book().barAt == 0)
    }

    /// A decision that fell due while the market was silent: five minutes later the watchdog forces it.
    @Test func theWatchdogMakesGoodWhatASilenceSwallowed() throws {
        let set = Usual()
        set.decider.decide = { _ in .hold }
        set.decider.observes = false
        try set.build {
            $0.gate.maximumInterval = 15 * Span.minute
            $0.gate.watchdog = 5 * Span.minute
        }
        set.rig.start()
        for _ in 0..<(13 * 60) { set.rig.trade("100") }
        set.rig.wait(4 * Span.minute)
        #expect(set.decider.questions.isEmpty, "nobody decides on a silent market")
        #expect(set.rig.refused(.staleMarket).count == 1)
        for _ in 0..<(4 * 60) { set.rig.trade("100") }
        #expect(set.decider.questions.count == 1 && passes(set).watchdog == 1)
    }

    /// It goes on trying while the silence lasts, and records it once.
    @Test func aLongSilenceIsTriedEveryFiveMinutes() throws {
        let set = Usual()
        set.decider.decide = { _ in .hold }
        try set.build {
            $0.gate.maximumInterval = 15 * Span.minute
            $0.gate.watchdog = 5 * Span.minute
        }
        set.rig.start()
        set.rig.trade("100")
        set.rig.wait(44 * Span.minute)
        #expect(passes(set).stale >= 5)
        #expect(set.rig.refused(.staleMarket).count == 1)
        for _ in 0..<(6 * 60) { set.rig.trade("100") }
        #expect(set.decider.questions.count == 1)
    }
}
