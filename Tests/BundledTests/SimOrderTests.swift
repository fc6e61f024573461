import PluginAPI
import PluginKit
import PluginSupport
import Testing

@Suite struct SimOrderTests {
    let free = #"{"maker_fee": "0", "taker_fee": "0", "updates": false, "fill": "#

    func venue(_ fill: String, _ more: String = "") throws -> TestVenue { try TestVenue(free + "\"\(fill)\"" + more + "}") }

    @Test func aMarketOrderAtThisTickTellsItsWholeLife() throws {
        let venue = try TestVenue(#"{"fill": "this-tick", "taker_fee": "0.001", "updates": false}"#)
        venue.trade("100.50")
        let events = try venue.send(.market, .buy, "2").events
        #expect(events.states == [KEEL_ORDER_PENDING, KEEL_ORDER_OPEN, KEEL_ORDER_FILLED])
        #expect(events.dones == [KEEL_OK])
        let fill = try #require(events.compactMap(\.fill).first)
        #expect(Fixed(raw: fill.price).description == "100.5" && Fixed(raw: fill.qty).description == "2")
        #expect(Amount(fill.fee).description == "0.201")
        #expect(fill.liquidity == KEEL_LIQUIDITY_TAKER)
        let last = try #require(events.compactMap(\.order).last)
        #expect(last.filled == raw("2") && last.leaves == 0 && last.average == raw("100.5"))
        #expect(try venue.balance("USDT").total == "99798.799")
        #expect(try venue.balance("BTC").total == "2")
        #expect(try venue.position() == "2")
    }

    @Test func balancesAndPositionAreToldAfterAFill() throws {
        let venue = try TestVenue(#"{"fill": "this-tick"}"#)
        venue.trade("100")
        let events = try venue.send(.market, .buy, "1").events
        #expect(events.compactMap { event in event.balance.map { event.text($0.asset) } } == ["USDT", "BTC"])
        #expect(events.compactMap(\.position).map { Amount($0.qty).description } == ["1"])
    }

    @Test func nextOpenFillsAtTheNextBarsOpen() throws {
        let venue = try venue("next-open")
        venue.bar("100", "101", "99", "100.5")
        #expect(try venue.send(.market, .buy, "1").events.states == [KEEL_ORDER_PENDING, KEEL_ORDER_OPEN])
        let opened = venue.host.now
        let events = venue.bar("100.7", "103", "100", "102")
        #expect(events.fillPrices == ["100.7"])
        #expect(events.compactMap(\.fill).count == 1 && events.first?.head.at_source == opened)
    }

    @Test func stopComesBeforeTargetWithinABar() throws {
        let venue = try venue("next-open")
        venue.bar("100", "101", "99", "100")
        try venue.send(.market, .buy, "1")
        venue.bar("100", "101", "99", "100")
        let target = try venue.send([.limit, .reduceOnly], .sell, "1", limit: "105").id
        let stop = try venue.send([.stop, .reduceOnly], .sell, "1", trigger: "95").id
        let events = venue.bar("100", "110", "90", "108")
        #expect(events.fillPrices == ["95"])
        #expect(events.compactMap(\.fill).first?.order.lo == venue.id(stop).lo)
        // The target has nothing left to reduce.
        let ended = events.compactMap(\.order).last
        #expect(ended?.order.lo == venue.id(target).lo && ended?.state == KEEL_ORDER_EXPIRED)
        #expect(try venue.position() == "0")
    }

    @Test func aGapThroughTheStopFillsAtTheOpen() throws {
        let venue = try venue("next-open")
        venue.bar("100", "101", "99", "100")
        try venue.send(.market, .buy, "1")
        venue.bar("100", "101", "99", "100")
        try venue.send([.stop, .reduceOnly], .sell, "1", trigger: "95")
        #expect(venue.bar("91", "93", "90", "92").fillPrices == ["91"])
    }

    @Test func takeGoesOffWithProfitOnly() throws {
        let venue = try venue("next-open")
        venue.bar("100", "101", "99", "100")
        try venue.send(.market, .buy, "1")
        venue.bar("100", "101", "99", "100")
        try venue.send([.take, .reduceOnly], .sell, "1", trigger: "105")
        #expect(venue.bar("100", "104.99", "90", "100").fillPrices == [])
        #expect(venue.bar("100", "106", "99", "100").fillPrices == ["105"])
    }

    @Test(arguments: [(false, []), (true, ["99"])]) func limitsNeedTheMarketToGoThrough(touch: Bool, expected: [String]) throws {
        let venue = try venue("next-open", #", "touch": \#(touch)"#)
        venue.bar("100", "101", "99.5", "100")
        try venue.send(.limit, .buy, "1", limit: "99")
        #expect(venue.bar("100", "101", "99", "100").fillPrices == expected)
        if !touch { #expect(venue.bar("100", "101", "98.99", "100").fillPrices == ["99"]) }
    }

    @Test func aStopLimitRestsWhereTheMarketJumpedOverIt() throws {
        let venue = try venue("next-open")
        venue.bar("100", "101", "99", "100")
        try venue.send(.market, .buy, "1")
        venue.bar("100", "101", "99", "100")
        try venue.send([.stopLimit, .reduceOnly], .sell, "1", limit: "94", trigger: "95")
        #expect(venue.bar("90", "92", "88", "91").fillPrices == [])
        #expect(venue.bar("92", "94.5", "91", "94").fillPrices == ["94"])
    }

    @Test func theBookGivesWhatItShows() throws {
        let venue = try venue("book")
        venue.quote("99.9", "100", askQuantity: "0.4")
        let events = try venue.send(.market, .buy, "1").events
        #expect(events.fillQuantities == ["0.4"] && events.states.last == KEEL_ORDER_OPEN)
        #expect(venue.quote("99.9", "100.1", askQuantity: "0.5").fillQuantities == ["0.5"])
        let last = venue.quote("99.9", "100.2", askQuantity: "5")
        #expect(last.fillPrices == ["100.2"] && last.states == [KEEL_ORDER_FILLED])
        let average = last.compactMap(\.order).last?.average
        #expect(average == raw("100.07"))
    }

    @Test func immediateOrCancelTakesWhatIsThere() throws {
        let venue = try venue("book")
        venue.quote("99.9", "100", askQuantity: "0.4")
        let events = try venue.send([.limit, .immediateOrCancel], .buy, "1", limit: "100").events
        #expect(events.fillQuantities == ["0.4"] && events.states.last == KEEL_ORDER_EXPIRED)
        let nothing = try venue.send([.limit, .immediateOrCancel], .buy, "1", limit: "99").events
        #expect(nothing.fillQuantities == [] && nothing.states.last == KEEL_ORDER_EXPIRED)
    }

    @Test func fillOrKillIsAllOrNothing() throws {
        let venue = try venue("book")
        venue.quote("99.9", "100", askQuantity: "0.4")
        #expect(try venue.send([.limit, .fillOrKill], .buy, "1", limit: "100").events.fillQuantities == [])
        #expect(try venue.send([.limit, .fillOrKill], .buy, "0.4", limit: "100").events.fillQuantities == ["0.4"])
    }

    @Test func postOnlyNeverTakes() throws {
        let venue = try venue("book")
        venue.quote("99.9", "100")
        let crossing = try venue.send([.limit, .postOnly], .buy, "1", limit: "100").events
        #expect(crossing.states.last == KEEL_ORDER_REJECTED && crossing.dones == [KEEL_E_REJECTED])
        #expect(try venue.send([.limit, .postOnly], .buy, "1", limit: "99.9").events.states.last == KEEL_ORDER_OPEN)
    }

    @Test func theQueueGoesFirst() throws {
        let venue = try venue("book")
        venue.quote("99", "100", bidQuantity: "3")
        try venue.send(.limit, .buy, "1", limit: "99")
        #expect(venue.trade("99", "2", taker: KEEL_SELL).fillQuantities == [])
        // A buyer's trade at our price can't be with us.
        #expect(venue.trade("99", "5", taker: KEEL_BUY).fillQuantities == [])
        #expect(venue.trade("99", "1.4", taker: KEEL_SELL).fillQuantities == ["0.4"])
        #expect(venue.trade("98.9", "0.1", taker: KEEL_SELL).fillQuantities == ["0.6"])
    }

    @Test func theQueueShrinksWithWhatIsShown() throws {
        let venue = try venue("book")
        venue.quote("99", "100", bidQuantity: "3")
        try venue.send(.limit, .buy, "1", limit: "99")
        venue.quote("99", "100", bidQuantity: "0.5")
        #expect(venue.trade("99", "0.7", taker: KEEL_SELL).fillQuantities == ["0.2"])
    }

    @Test func depthIsSweptLevelByLevel() throws {
        let venue = try venue("book")
        var builder = EventBuilder()
        builder.begin(keel_ev_depth.self)
        var body = keel_ev_depth()
        body.bids = builder.list([keel_level(price: raw("99"), qty: raw("5"))])
        body.asks = builder.list(
            [keel_level(price: raw("100"), qty: raw("1")), keel_level(price: raw("101"), qty: raw("1")), keel_level(price: raw("102"), qty: raw("1"))])
        _ = builder.finish(body, KEEL_EV_DEPTH, instrument: 1, at: venue.host.now, flags: KEEL_EVF_SNAPSHOT) {
            venue.market.pointee.on_market(venue.instance.raw, $0)
        }
        let events = try venue.send(.limit, .buy, "2.5", limit: "101").events
        #expect(events.fillPrices == ["100", "101"] && events.fillQuantities == ["1", "1"])
        #expect(events.states.last == KEEL_ORDER_OPEN)
    }

    @Test func reduceOnlyNeverOpens() throws {
        let venue = try venue("this-tick")
        venue.trade("100")
        #expect(try venue.send([.market, .reduceOnly], .sell, "1").events.dones == [KEEL_E_REJECTED])
        try venue.send(.market, .buy, "1")
        #expect(try venue.send([.market, .reduceOnly], .buy, "1").events.dones == [KEEL_E_REJECTED])
        let events = try venue.send([.market, .reduceOnly], .sell, "5").events
        #expect(events.fillQuantities == ["1"] && events.states.last == KEEL_ORDER_EXPIRED)
        #expect(try venue.position() == "0")
    }

    @Test func moneyMustBeThere() throws {
        let venue = try TestVenue(#"{"fill": "this-tick", "cash": "1000", "taker_fee": "0.001", "updates": false}"#)
        venue.trade("100")
        let tooMuch = try venue.send(.market, .buy, "10").events
        #expect(tooMuch.states.last == KEEL_ORDER_REJECTED && tooMuch.messages == ["insufficient balance"])
        try venue.send(.limit, .buy, "9", limit: "90")
        #expect(try venue.balance("USDT").available == "189.19")
        #expect(try venue.send(.limit, .buy, "9", limit: "90").events.states.last == KEEL_ORDER_REJECTED)
        try venue.cancel(2)
        #expect(try venue.balance("USDT").available == "1000")
        #expect(try venue.send(.market, .sell, "1").events.states.last == KEEL_ORDER_REJECTED)
    }

    @Test func borrowingAllowsShorts() throws {
        let venue = try venue("this-tick", #", "borrow": true"#)
        venue.trade("100")
        try venue.send(.market, .sell, "3")
        #expect(try venue.position() == "-3")
        #expect(try venue.balance("USDT").total == "100300")
    }

    @Test func latencyDelaysArrival() throws {
        let venue = try venue("this-tick", #", "latency": "250ms""#)
        venue.trade("100")
        #expect(try venue.send(.market, .buy, "1").events.states == [KEEL_ORDER_PENDING])
        #expect(venue.trade("101", after: 100_000_000).isEmpty)
        venue.instance.advance(to: venue.host.now + 200_000_000)
        let events = venue.host.take()
        #expect(events.fillPrices == ["101"] && events.dones == [KEEL_OK])
        #expect(events.compactMap(\.fill).count == 1)
    }

    @Test func anIdIsUsedOnce() throws {
        let venue = try venue("this-tick")
        venue.trade("100")
        try venue.send(.market, .buy, "1", id: 77)
        for _ in 0..<2 {
            let refusal = #expect(throws: Refusal.self) { try venue.send(.market, .buy, "1", id: 77) }
            #expect(refusal?.status == KEEL_E_DUPLICATE)
        }
        #expect(try venue.position() == "1")
    }

    @Test func noIdIsEverForgotten() throws {
        let first = try venue("this-tick", #", "borrow": true"#)
        first.trade("100")
        var random = Seeded(4)
        var used: Set<OrderID> = []
        func submit(_ venue: TestVenue, _ id: OrderID) -> keel_status {
            let order = Order(id: id, side: .buy, features: .market, instrument: 1, quantity: .one)
            return withUnsafePointer(to: order.c) { venue.broker.pointee.submit(venue.instance.raw, $0, 1, nil) }
        }
        func any() -> OrderID {
            // Runs, pipelines, decisions near and far, legs and children.
            OrderID(
                hi: UInt64.random(in: 0...2, using: &random) << 32 | UInt64.random(in: 0...1, using: &random),
                lo: (Bool.random(using: &random) ? UInt64.random(in: 1...5000, using: &random) : random.next() >> 24) << 24
                    | UInt64.random(in: 0...1, using: &random) << 16 | UInt64.random(in: 1...3, using: &random))
        }
        for _ in 0..<3000 {
            let id = any()
            #expect(submit(first, id) == (used.insert(id).inserted ? KEEL_OK : KEEL_E_DUPLICATE))
        }
        _ = first.host.take()
        try first.instance.stop()
        let second = try TestVenue(free + #""this-tick", "borrow": true}"#, start: false)
        try second.instance.load(try first.instance.save(), version: 1)
        try second.instance.start()
        second.trade("100")
        for id in used { #expect(submit(second, id) == KEEL_E_DUPLICATE) }
        for _ in 0..<100 {
            let id = any()
            #expect(submit(second, id) == (used.insert(id).inserted ? KEEL_OK : KEEL_E_DUPLICATE))
        }
    }

    @Test func cancelsAnswerForWhatTheyFind() throws {
        let venue = try venue("this-tick")
        venue.trade("100")
        let open = try venue.send(.limit, .buy, "1", limit: "90").id
        let events = try venue.cancel(open)
        #expect(events.states == [KEEL_ORDER_CANCELED] && events.dones == [KEEL_OK])
        #expect(try venue.cancel(open).dones == [KEEL_E_REJECTED])
        #expect(try venue.cancel(4711).dones == [KEEL_E_NOT_FOUND])
    }

    @Test func slippageIsAgainstUs() throws {
        for (model, price) in [(#""ticks", "size": "3""#, "100.03"), (#""fraction", "size": "0.001""#, "100.1"), (#""volume", "size": "0.01""#, "100.5")] {
            let venue = try venue("this-tick", #", "slippage": {"model": \#(model)}"#)
            venue.trade("100", "2")
            #expect(try venue.send(.market, .buy, "1").events.fillPrices == [price], "\(model)")
        }
    }

    @Test func participationLeavesTheRestForLater() throws {
        let venue = try venue("next-open", #", "participation": "0.1""#)
        venue.bar("100", "101", "99", "100")
        try venue.send(.market, .buy, "15")
        #expect(venue.bar("100", "101", "99", "100", volume: 100).fillQuantities == ["10"])
        #expect(venue.bar("100", "101", "99", "100", volume: 100).fillQuantities == ["5"])
    }

    @Test func perpetualsRealiseProfitAndPayFunding() throws {
        let host = TestHost()
        host.now = 1_640_995_200_000_000_000
        let venue = try TestVenue(
            #"{"fill": "this-tick", "maker_fee": "0", "taker_fee": "0", "cash": "1000", "leverage": 10, "updates": false, "funding": {"every": "8h", "rate": "0.0001"}}"#,
            host: host)
        venue.trade("100", instrument: 2)
        #expect(try venue.send(.market, .buy, "101", instrument: 2).events.dones == [KEEL_E_REJECTED])
        try venue.send(.market, .buy, "50", instrument: 2)
        venue.trade("110", instrument: 2)
        let paid = venue.trade("110", after: 8 * 3_600_000_000_000, instrument: 2)
        let funding = try #require(paid.first { $0.kind == KEEL_EV_FUNDING }?.body(KEEL_EV_FUNDING, keel_ev_funding.self))
        #expect(Amount(funding.amount).description == "-0.55")
        try venue.send(.market, .sell, "80", instrument: 2)
        #expect(try venue.position("ETH/USDT:USDT") == "-30")
        #expect(try venue.balance("USDT").total == "1499.45")
        venue.trade("100", instrument: 2)
        try venue.send(.market, .buy, "30", instrument: 2)
        #expect(try venue.balance("USDT").total == "1799.45")
    }

    @Test func offTheGridIsRefusedByName() throws {
        let host = TestHost()
        host.add(1, "BTC/USDT", lot: "0.01", minimum: "0.1", maximum: "10", notional: "20")
        let venue = try TestVenue(free + #""this-tick"}"#, host: host)
        venue.trade("100")
        for (quantity, limit, word) in [
            ("0.015", "90", "lot"), ("1", "90.001", "tick"), ("0.05", "90", "minimum"), ("11", "90", "maximum"), ("0.2", "90", "notional"),
        ] {
            let refusal = #expect(throws: Refusal.self) { try venue.send(.limit, .buy, quantity, limit: limit) }
            #expect(refusal?.message.contains(word) == true, "\(refusal?.message ?? "")")
        }
        #expect(host.take().isEmpty)
    }

    @Test func tooLateIsNeverSent() throws {
        let venue = try venue("this-tick")
        venue.trade("100")
        let refusal = #expect(throws: Refusal.self) { try venue.send(.market, .buy, "1", notAfter: venue.host.now - 1) }
        #expect(refusal?.status == KEEL_E_TIMEOUT)
        #expect(try venue.position() == "0")
    }

    @Test func badConfigurationsNameTheProperty() throws {
        for (config, property) in [
            (#"{"fill": "magic"}"#, "fill"), (#"{"taker_fee": 0.001}"#, "taker_fee"), (#"{"faults": {"lost": "2"}}"#, "faults.lost"),
            (#"{"latency": "fast"}"#, "latency"), (#"{"cash": "-1"}"#, "cash"), (#"{"leverage": 0}"#, "leverage"),
            (#"{"balances": {"BTC": 1}}"#, "balances.BTC"), (#"{"slipage": {}}"#, "slipage"), ("[]", "configuration"), ("{", "JSON"),
        ] {
            let refusal = #expect(throws: Refusal.self) { try TestVenue(config) }
            #expect(refusal?.status == KEEL_E_INVALID && refusal?.message.contains(property) == true, "\(config): \(refusal?.message ?? "")")
        }
    }
}
