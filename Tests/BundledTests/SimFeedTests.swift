import PluginAPI
import PluginKit
import PluginSupport
import Testing

@Suite struct SimFeedTests {
    func subscribe(_ venue: TestVenue, _ instrument: UInt32, _ channels: UInt64 = KEEL_CH_TRADES | KEEL_CH_QUOTES | KEEL_CH_BARS) throws -> [RecordedEvent] {
        let request = venue.instance.nextRequest()
        try TestInstance.check { venue.feed.pointee.subscribe(venue.instance.raw, instrument, channels, request, $0) }
        return venue.host.take()
    }

    func unsubscribe(_ venue: TestVenue, _ instrument: UInt32, _ channels: UInt64 = KEEL_CH_TRADES | KEEL_CH_QUOTES | KEEL_CH_BARS) throws {
        let request = venue.instance.nextRequest()
        try TestInstance.check { venue.feed.pointee.unsubscribe(venue.instance.raw, instrument, channels, request, $0) }
        #expect(venue.host.take().dones == [KEEL_OK])
    }

    func play(_ venue: TestVenue, _ span: Int64) -> [RecordedEvent] {
        venue.instance.advance(to: venue.host.now + span)
        return venue.host.take()
    }

    @Test func theMarketIsWellFormed() throws {
        let venue = try TestVenue(#"{"history": 10, "prices": {"BTC/USDT": "40000"}}"#)
        #expect(try subscribe(venue, 1).dones == [KEEL_OK])
        let events = play(venue, 300_000_000_000)
        var last: Int64 = 0
        var bars: [keel_ev_bar] = []
        var trades = 0
        for event in events {
            if let bar = event.body(KEEL_EV_BAR, keel_ev_bar.self) {
                bars.append(bar)
                #expect(bar.bar.high >= max(bar.bar.open, bar.bar.close) && bar.bar.low <= min(bar.bar.open, bar.bar.close) && bar.bar.low > 0)
                #expect((bar.head.flags & UInt16(KEEL_EVF_SNAPSHOT) != 0) == (bars.count <= 10))
            }
            if let trade = event.body(KEEL_EV_TRADE, keel_ev_trade.self) {
                trades += 1
                #expect(trade.price > 0 && trade.price % raw("0.01") == 0 && trade.qty > 0)
            }
            if let quote = event.body(KEEL_EV_QUOTE, keel_ev_quote.self) {
                #expect(quote.bid < quote.ask && quote.bid > 0 && quote.bid_qty > 0 && quote.ask_qty > 0)
            }
            #expect(event.head.at_source >= last)
            last = event.head.at_source
        }
        #expect(trades > 800)
        #expect(bars.count == 15)
        for (before, after) in zip(bars, bars.dropFirst()) { #expect(after.bar.open_time == before.bar.open_time + before.duration) }
        #expect(abs(bars[0].bar.open - raw("40000")) < raw("2000"))
    }

    @Test func theSameSeedIsTheSameMarket() throws {
        func market(_ seed: Int) throws -> [[UInt8]] {
            let venue = try TestVenue(#"{"seed": \#(seed)}"#)
            _ = try subscribe(venue, 1)
            return play(venue, 30_000_000_000).map(\.bytes)
        }
        #expect(try market(5) == market(5))
        #expect(try market(5) != market(6))
    }

    @Test func subscribingTwiceIsOneStream() throws {
        let once = try TestVenue()
        _ = try subscribe(once, 1)
        let twice = try TestVenue()
        _ = try subscribe(twice, 1)
        #expect(try subscribe(twice, 1).dones == [KEEL_OK])
        #expect(play(once, 20_000_000_000).map(\.bytes) == play(twice, 20_000_000_000).map(\.bytes))
    }

    @Test func unsubscribingEndsOneInstrumentOnly() throws {
        let venue = try TestVenue()
        _ = try subscribe(venue, 1)
        _ = try subscribe(venue, 2)
        _ = play(venue, 5_000_000_000)
        try unsubscribe(venue, 1)
        try unsubscribe(venue, 1)
        let events = play(venue, 5_000_000_000)
        #expect(!events.isEmpty && events.allSatisfy { $0.head.instrument == 2 })
    }

    @Test func unknownInstrumentsAndChannels() throws {
        let venue = try TestVenue()
        #expect(try subscribe(venue, 99).dones == [KEEL_E_NOT_FOUND])
        #expect(#expect(throws: Refusal.self) { try subscribe(venue, 1, KEEL_CH_NEWS) }?.status == KEEL_E_UNSUPPORTED)
        #expect(#expect(throws: Refusal.self) { try subscribe(venue, 1, 1 << 40) }?.status == KEEL_E_UNSUPPORTED)
    }

    @Test func ordersTradeInItsOwnMarket() throws {
        let venue = try TestVenue(#"{"updates": false}"#)
        _ = try subscribe(venue, 1)
        _ = play(venue, 1_000_000_000)
        var events = try venue.send(.market, .buy, "0.5").events
        events += play(venue, 60_000_000_000)
        #expect(events.compactMap(\.fill).reduce(0) { $0 + $1.qty } == raw("0.5"))
        // The host showing us our own events changes nothing.
        let before = try venue.instance.describe()
        venue.trade("1", "1", after: 0)
        #expect(try venue.instance.describe() == before)
    }

    @Test func anOrderBringsItsOwnMarketIfNoneIsShown() throws {
        let venue = try TestVenue(#"{"updates": false}"#)
        var events = try venue.send(.market, .buy, "0.5").events
        events += play(venue, 60_000_000_000)
        #expect(events.compactMap(\.fill).reduce(0) { $0 + $1.qty } == raw("0.5"))
        #expect(events.allSatisfy { $0.kind >= 30 || $0.kind == KEEL_EV_DONE })
    }

    @Test func nothingComesAfterStop() throws {
        let venue = try TestVenue()
        _ = try subscribe(venue, 1)
        _ = play(venue, 1_000_000_000)
        try venue.instance.stop()
        #expect(venue.host.take().dones == [KEEL_OK])
        #expect(play(venue, 60_000_000_000).isEmpty && venue.host.timers.isEmpty)
        try venue.instance.start()
        _ = try subscribe(venue, 1)
        #expect(!play(venue, 5_000_000_000).isEmpty)
    }

    @Test func aMissingTapeIsNamedAtStart() throws {
        let refusal = #expect(throws: Refusal.self) { try TestVenue(#"{"feed": "tape", "tape": "/nowhere/at/all.tape"}"#) }
        #expect(refusal?.message.contains("/nowhere/at/all.tape") == true)
    }
}
