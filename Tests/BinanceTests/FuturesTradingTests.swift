import PluginAPI
import PluginKit
import PluginSupport
import Testing

@testable import BinanceConnector

/// USD-M futures on the stand-in exchange.
@Suite(.serialized) struct FuturesTradingTests {
    @Test("market, limit, cancel; fills with the venue's ids and fees in the margin asset; the position follows")
    func basics() throws {
        let rig = try TradingRig(futures: true)
        let (id, request) = try rig.submit(.market, .buy, "0.01")
        try rig.expect(id, KEEL_ORDER_FILLED)
        #expect(rig.status(request) == KEEL_OK)
        #expect(rig.filled(id) == Fixed("0.01"))
        for event in rig.fills(id) { #expect(event.fill.map { event.text($0.fee_asset) } == "USDT") }
        #expect(rig.run(5) { rig.events.contains { $0.position.map { Amount($0.qty) == Amount("0.01") } ?? false } })
        let position = try #require(rig.position)
        #expect(position.entry > 0)
        let (open, _) = try rig.submit([.limit, .postOnly], .sell, "0.01", limit: "99000")
        try rig.expect(open, KEEL_ORDER_OPEN)
        let cancel = try rig.cancel(open)
        try rig.expect(open, KEEL_ORDER_CANCELED)
        #expect(rig.run(2) { rig.status(cancel) == KEEL_OK })
        let (close, _) = try rig.submit([.market, .reduceOnly], .sell, "0.01")
        try rig.expect(close, KEEL_ORDER_FILLED)
        #expect(rig.run(5) { rig.position.map { Amount($0.qty).isZero } ?? false })
        let (refused, last) = try rig.submit([.limit, .reduceOnly], .sell, "0.01", limit: "95000")
        #expect(rig.run(5) { rig.done(last) != nil })
        #expect(rig.done(last)?.done?.vendor_code == -2022)
        #expect(rig.state(refused) == KEEL_ORDER_REJECTED)
    }

    @Test("conditional orders live in the algo service: placed, cancelled, triggered", arguments: [OrderFeatures.stop, .stopLimit, .take, .takeLimit])
    func algo(_ kind: OrderFeatures) throws {
        let rig = try TradingRig(futures: true)
        let above = kind == .stop || kind == .stopLimit
        func part(_ share: String) throws -> String { try rig.ask.multiplied(by: #require(Fixed(share))).rounded(to: #require(Fixed("0.1"))).description }
        let trigger = try part(above ? "1.01" : "0.99")
        let limit = kind.isSubset(of: .withLimit) ? try part(above ? "1.045" : "0.998") : "0"
        let (id, request) = try rig.submit(kind, .buy, "0.01", limit: limit, trigger: trigger)
        try rig.expect(id, KEEL_ORDER_OPEN)
        #expect(rig.status(request) == KEEL_OK)
        let cancel = try rig.cancel(id)
        try rig.expect(id, KEEL_ORDER_CANCELED)
        #expect(rig.run(2) { rig.status(cancel) == KEEL_OK })
        let (second, _) = try rig.submit(kind, .buy, "0.01", limit: limit, trigger: trigger)
        try rig.expect(second, KEEL_ORDER_OPEN)
        try rig.control("{\"do\": \"move\", \"percent\": \"\(above ? 2 : -2)\", \"product\": \"futures\"}")
        try rig.expect(second, KEEL_ORDER_FILLED)
        #expect(rig.filled(second) == Fixed("0.01"))
        let fills = rig.fills(second).compactMap { event in event.fill.map { event.text($0.fill_id) } }
        #expect(Set(fills).count == fills.count)
    }

    @Test("a sync after a crash tells open conditional orders, positions with liquidation and margin, and balances")
    func crash() throws {
        let rig = try TradingRig(futures: true, config: ", \"leverage\": 10, \"margin_type\": \"isolated\"")
        let (stop, _) = try rig.submit([.stop, .reduceOnly], .sell, "0.01", trigger: "80000")
        try rig.expect(stop, KEEL_ORDER_OPEN)
        let (bought, _) = try rig.submit(.market, .buy, "0.01")
        try rig.expect(bought, KEEL_ORDER_FILLED)
        try rig.restart()
        let told = try rig.sync(since: TradingRig.wall() - 60_000_000_000)
        #expect(told.last?.done?.status == KEEL_OK, "\(told)")
        #expect(rig.state(stop) == KEEL_ORDER_OPEN)
        #expect(rig.filled(bought) == Fixed("0.01"))
        let position = try #require(told.last { $0.position.map { !Amount($0.qty).isZero } ?? false }?.position)
        #expect(Amount(position.qty) == Amount("0.01"))
        #expect(position.liquidation > 0 && position.liquidation < position.entry)
        #expect(position.margin_ratio > 0 && position.margin_ratio < KEEL_ONE)
        #expect(told.contains { event in event.balance.map { event.text($0.asset) == "USDT" } ?? false })
        let cancel = try rig.cancel(stop)
        try rig.expect(stop, KEEL_ORDER_CANCELED)
        #expect(rig.run(2) { rig.status(cancel) == KEEL_OK })
    }

    @Test("leverage and margin type are set and verified before anything is traded")
    func settings() throws {
        let rig = try TradingRig(futures: true, config: ", \"leverage\": 7, \"margin_type\": \"isolated\"")
        let rows = try TradingRig.Hand(rig).ask("GET", "/fapi/v1/symbolConfig").asList ?? []
        for symbol in ["BTCUSDT", "ETHUSDT"] {
            let row = try #require(rows.first { $0.find("symbol")?.asText == symbol })
            #expect(row.find("leverage")?.whole == 7)
            #expect(row.find("marginType")?.asText == "ISOLATED")
        }
    }

    @Test("hedge mode: one order opens the short side, a reduce-only one closes the long side")
    func hedge() throws {
        let rig = try TradingRig(futures: true, config: ", \"position_mode\": \"hedge\"")
        let (long, _) = try rig.submit(.market, .buy, "0.03")
        try rig.expect(long, KEEL_ORDER_FILLED)
        let (short, _) = try rig.submit(.market, .sell, "0.01")
        try rig.expect(short, KEEL_ORDER_FILLED)
        #expect(rig.run(5) { rig.position.map { Amount($0.qty) == Amount("0.02") } ?? false }, "net of both sides")
        let (close, _) = try rig.submit([.market, .reduceOnly], .sell, "0.03")
        try rig.expect(close, KEEL_ORDER_FILLED)
        #expect(rig.run(5) { rig.position.map { Amount($0.qty) == Amount("-0.01") } ?? false })
    }

    @Test("funding is booked once, with the venue's number, and told again only in a sync")
    func funding() throws {
        // The exchange's clock stands six seconds before a funding time, hours from ours.
        let interval: Int64 = 8 * 3_600_000
        let rig = try TradingRig(futures: true, clock: (TradingRig.wall() / 1_000_000 / interval + 1) * interval - 6_000)
        let (id, _) = try rig.submit(.market, .buy, "0.1")
        try rig.expect(id, KEEL_ORDER_FILLED)
        try rig.control("{\"do\": \"funding\", \"symbol\": \"BTCUSDT\", \"rate\": \"0.001\"}")
        #expect(rig.run(10) { rig.events.contains { $0.kind == KEEL_EV_FUNDING } }, "\(rig.host.logs)")
        rig.run(for: 1)
        let paid = rig.events.filter { $0.kind == KEEL_EV_FUNDING }
        let first = try #require(paid.first?.body(KEEL_EV_FUNDING, keel_ev_funding.self))
        #expect(Amount(first.amount).isNegative, "a long position pays a positive rate")
        let ids = paid.compactMap { event in event.body(KEEL_EV_FUNDING, keel_ev_funding.self).map { event.text($0.payment_id) } }
        #expect(Set(ids).count == ids.count)
        let told = try rig.sync(since: TradingRig.wall() - 60_000_000_000)
        let again = told.filter { $0.kind == KEEL_EV_FUNDING }
        #expect(again.count == paid.count && again.allSatisfy(\.isSnapshot))
    }

    @Test("the dead man's switch: armed with the first order, renewed while healthy, disarmed after the last")
    func deadMan() throws {
        let rig = try TradingRig(futures: true, config: ", \"dead_man\": \"3s\"")
        let (id, _) = try rig.submit(.limit, .buy, "0.01", limit: "85500")
        try rig.expect(id, KEEL_ORDER_OPEN)
        rig.run(for: 6)
        #expect(rig.state(id) == KEEL_ORDER_OPEN, "kept alive over twice its time")
        // The plugin dies: the venue cancels.
        let orders = { try rig.venueOrders().first { $0.find("clientOrderId")?.asText == id.description }?.find("status")?.asText }
        #expect(try orders() == "NEW")
        try rig.restart(start: false)
        #expect(rig.run(6) { (try? orders()) == "CANCELED" })
    }

    @Test("an expired listen key is renewed and the stream goes on")
    func listenKey() throws {
        let rig = try TradingRig(futures: true)
        try rig.control("{\"do\": \"expire_listen_keys\"}")
        rig.run(for: 4)
        let (id, _) = try rig.submit(.market, .buy, "0.01")
        try rig.expect(id, KEEL_ORDER_FILLED)
        #expect(rig.filled(id) == Fixed("0.01"))
    }

    @Test("unknown outcomes on futures", arguments: ["\"do\": \"timeout_after\"", "\"do\": \"status\", \"status\": 503, \"done\": true", "\"do\": \"status\", \"status\": 408, \"done\": true", "\"do\": \"lost_reply\""])
    func doubt(_ step: String) throws {
        let rig = try TradingRig(futures: true, config: ", \"recv_window\": 500")
        try rig.control("{\"do\": \"lose_events\"}")
        try rig.faults("{\(step), \"calls\": [\"POST /fapi/v1/order\", \"order.place\"], \"times\": 1}")
        let (id, _) = try rig.submit(.market, .buy, "0.01")
        try rig.expect(id, KEEL_ORDER_FILLED)
        #expect(rig.states(id).contains(KEEL_ORDER_IN_DOUBT))
        #expect(rig.filled(id) == Fixed("0.01"))
        #expect(try rig.placed(id) == 1)
    }

    @Test("failed for certain on futures: Service Unavailable, -1008")
    func unavailable() throws {
        let rig = try TradingRig(futures: true)
        for step in ["unavailable", "busy"] {
            try rig.faults("{\"do\": \"\(step)\", \"calls\": [\"POST /fapi/v1/order\", \"order.place\"], \"times\": 1}")
            let (id, request) = try rig.submit(.market, .buy, "0.01")
            #expect(rig.run(5) { rig.done(request) != nil })
            #expect(rig.status(request) == KEEL_E_NETWORK)
            #expect(!rig.states(id).contains(KEEL_ORDER_IN_DOUBT))
        }
    }
}
