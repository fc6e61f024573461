import PluginAPI
import PluginKit
import PluginSupport
import Testing

@testable import BinanceConnector

/// Spot orders on the stand-in exchange, through the plugin's C tables.
@Suite(.serialized) struct SpotTradingTests {
    @Test("a market order: pending, filled, one DONE, fees in what was received")
    func market() throws {
        let rig = try TradingRig()
        let (id, request) = try rig.submit(.market, .buy, "0.01")
        try rig.expect(id, KEEL_ORDER_FILLED)
        rig.run(for: 0.2)
        #expect(rig.status(request) == KEEL_OK)
        #expect(rig.events.count { $0.done != nil && $0.request == request } == 1)
        let states = rig.states(id)
        #expect(states.first == KEEL_ORDER_PENDING && states.last == KEEL_ORDER_FILLED, "\(states)")
        #expect(rig.filled(id) == Fixed("0.01"))
        let fills = rig.fills(id)
        #expect(Set(fills.compactMap { event in event.fill.map { event.text($0.fill_id) } }).count == fills.count, "each fill once")
        for event in fills {
            let fill = try #require(event.fill)
            #expect(event.text(fill.fee_asset) == "BTC")
            #expect(Amount(fill.fee) == Amount(raw: Int128(fill.qty) / 1000), "0.1 % of what was bought")
            #expect(fill.liquidity == KEEL_LIQUIDITY_TAKER)
        }
        // What is held is what was bought, less the fee.
        let balance = try #require(rig.events.last { event in event.balance.map { event.text($0.asset) == "BTC" } ?? false }?.balance)
        #expect(Amount(balance.total) == Amount("2.00999"))
    }

    @Test("a limit order rests, is cancelled, and cannot be cancelled twice")
    func cancel() throws {
        let rig = try TradingRig()
        let (id, request) = try rig.submit(.limit, .buy, "0.01", limit: "80000")
        try rig.expect(id, KEEL_ORDER_OPEN)
        #expect(rig.status(request) == KEEL_OK)
        let cancel = try rig.cancel(id)
        try rig.expect(id, KEEL_ORDER_CANCELED)
        rig.run(1) { rig.done(cancel) != nil }
        #expect(rig.status(cancel) == KEEL_OK)
        #expect(rig.states(id) == [KEEL_ORDER_PENDING, KEEL_ORDER_OPEN, KEEL_ORDER_CANCELED])
        #expect(throws: Refusal.self) { try rig.cancel(id) }
        #expect(throws: Refusal.self) { try rig.cancel(OrderID(hi: 9, lo: 9 << 24)) }
    }

    @Test("the same id twice is a duplicate and never a second order")
    func duplicate() throws {
        let rig = try TradingRig()
        let (id, _) = try rig.submit(.market, .buy, "0.01")
        do {
            try rig.submit(.market, .buy, "0.01", id: id)
            Issue.record("the second was taken")
        } catch let refusal as Refusal { #expect(refusal.status == KEEL_E_DUPLICATE) }
        try rig.expect(id, KEEL_ORDER_FILLED)
        #expect(throws: Refusal.self) { try rig.submit(.market, .buy, "0.01", id: id) }
        #expect(try rig.placed(id) == 1)
    }

    @Test("every kind of order is taken by the venue", arguments: [
        (OrderFeatures.limit, "0.001", "80000", "0"), ([.limit, .postOnly], "0.001", "80000", "0"), ([.limit, .immediateOrCancel], "0.001", "80000", "0"),
        ([.limit, .fillOrKill], "0.001", "80000", "0"), (.stop, "0.001", "0", "120000"), (.stopLimit, "0.001", "121000", "120000"), (.take, "0.001", "0", "60000"),
        (.takeLimit, "0.001", "61000", "60000"),
    ] as [(OrderFeatures, String, String, String)])
    func kinds(_ features: OrderFeatures, _ quantity: String, _ limit: String, _ trigger: String) throws {
        let rig = try TradingRig()
        let (id, request) = try rig.submit(features, .buy, quantity, limit: limit, trigger: trigger)
        #expect(rig.run(5) { rig.done(request) != nil })
        #expect(rig.status(request) == KEEL_OK, "\(rig.done(request).map { "\($0)" } ?? "") \(rig.host.logs)")
        let order = try #require(try rig.venueOrders().first { $0.find("clientOrderId")?.asText == id.description })
        let expected: [OrderFeatures: String] = [
            .limit: "LIMIT", [.limit, .postOnly]: "LIMIT_MAKER", [.limit, .immediateOrCancel]: "LIMIT", [.limit, .fillOrKill]: "LIMIT", .stop: "STOP_LOSS",
            .stopLimit: "STOP_LOSS_LIMIT", .take: "TAKE_PROFIT", .takeLimit: "TAKE_PROFIT_LIMIT",
        ]
        #expect(order.find("type")?.asText == expected[features])
        if features.contains(.immediateOrCancel) || features.contains(.fillOrKill) { try rig.expect(id, KEEL_ORDER_EXPIRED) }
    }

    @Test("the venue's refusal is final and says why")
    func refused() throws {
        let rig = try TradingRig()
        let (id, request) = try rig.submit([.limit, .postOnly], .buy, "0.001", limit: "100000")
        try rig.expect(id, KEEL_ORDER_REJECTED)
        let done = try #require(rig.done(request))
        #expect(done.done?.status == KEEL_E_REJECTED)
        #expect(done.done?.vendor_code == -2010)
        #expect(done.done.map { done.text($0.message).contains("Order would immediately match and take.") } == true)
        let (poor, second) = try rig.submit(.limit, .buy, "50", limit: "90000")
        try rig.expect(poor, KEEL_ORDER_REJECTED)
        #expect(rig.done(second)?.done?.vendor_code == -2010)
    }

    @Test("filters are enforced before anything is sent, and named")
    func filters() throws {
        let rig = try TradingRig()
        // The average price, which some of them are measured by, is asked for at the start.
        rig.run(for: 0.3)
        for (features, quantity, limit, word) in [
            (OrderFeatures.limit, "0.00001", "90000", "NOTIONAL"), (.limit, "9001", "90000", "LOT_SIZE"), (.limit, "0.01", "2000000", "PRICE_FILTER"),
            (.market, "121", "0", "MARKET_LOT_SIZE"), (.limit, "100", "95000", "NOTIONAL"), (.market, "0.00002", "0", "NOTIONAL"), (.limit, "0.001", "700000", "PERCENT_PRICE"),
        ] {
            do {
                try rig.submit(features, .buy, quantity, limit: limit)
                Issue.record("\(word) is not enforced")
            } catch let refusal as Refusal { #expect(refusal.message.contains(word), "\(refusal.message)") }
        }
        rig.run(for: 0.1)
        #expect(try rig.venueOrders().isEmpty)
    }

    @Test("a sync after a crash tells orders, fills and balances")
    func crash() throws {
        let rig = try TradingRig()
        let (open, _) = try rig.submit(.limit, .buy, "0.01", limit: "80000")
        let (bought, _) = try rig.submit(.market, .buy, "0.02")
        try rig.expect(open, KEEL_ORDER_OPEN)
        try rig.expect(bought, KEEL_ORDER_FILLED)
        let start = TradingRig.wall() - 60_000_000_000
        try rig.restart()
        let told = try rig.sync(since: start)
        #expect(told.last?.done?.status == KEEL_OK, "\(told)")
        #expect(rig.state(open) == KEEL_ORDER_OPEN)
        #expect(rig.state(bought) == KEEL_ORDER_FILLED)
        #expect(rig.filled(bought) == Fixed("0.02"))
        #expect(told.dropLast().allSatisfy { $0.isSnapshot || $0.link != nil }, "everything is flagged")
        let assets = told.compactMap { event in event.balance.map { event.text($0.asset) } }
        #expect(assets.contains("BTC") && assets.contains("USDT"))
        // And it can go on with what it found.
        let cancel = try rig.cancel(open)
        try rig.expect(open, KEEL_ORDER_CANCELED)
        rig.run(1) { rig.done(cancel) != nil }
        #expect(rig.status(cancel) == KEEL_OK)
    }
}
