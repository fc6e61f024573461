import PluginAPI
import PluginKit
import PluginSupport
import Testing

@testable import BinanceConnector

/// Keys, limits, stopping, and what an instance says about itself.
@Suite(.serialized) struct LifeTests {
    @Test("HMAC and Ed25519 accounts trade alike", arguments: [0, 2])
    func keys(_ account: Int) throws {
        let rig = try TradingRig(account: account)
        let (id, _) = try rig.submit(.market, .buy, "0.01")
        try rig.expect(id, KEEL_ORDER_FILLED)
    }

    @Test("a wrong secret, a key nobody knows: said once and clearly, and no text shows a key or a signature")
    func badKeys() throws {
        for (name, value) in [("binance.secret", "zz7secret-wrong"), ("binance.key", String(repeating: "Z", count: 64))] {
            let rig = try TradingRig(start: false)
            let right = rig.host.secrets
            rig.host.secrets[name] = Array(value.utf8)
            try rig.instance.start()
            #expect(rig.run(5) { rig.events.contains { $0.link?.why == KEEL_E_AUTH } }, "\(rig.host.logs)")
            #expect(throws: Refusal.self) { try rig.sync() }
            rig.run(for: 1)
            let said = (rig.host.logs + rig.events.map { String(decoding: $0.bytes, as: UTF8.self) }).joined(separator: "\n") + (try rig.instance.describe().text(.compact))
            for secret in [value] + right.values.map({ String(decoding: $0, as: UTF8.self) }) { #expect(!said.contains(secret)) }
            #expect(!said.contains("signature="))
            #expect(rig.host.logs.count < 10, "\(rig.host.logs)")
        }
    }

    @Test("without keys: market data only")
    func withoutKeys() throws {
        let rig = try TradingRig(start: false, keys: false)
        try rig.instance.start()
        rig.run(for: 0.5)
        #expect(throws: Refusal.self) { try rig.submit(.market, .buy, "0.01") }
        #expect(throws: Refusal.self) { try rig.sync() }
        #expect(try rig.instance.describe()["trades"].bool == false)
    }

    @Test("stopping leaves open orders and says so, or cancels them, as configured", arguments: ["leave", "cancel"])
    func stop(_ manner: String) throws {
        let rig = try TradingRig(config: ", \"on_stop\": \"\(manner)\"")
        let (id, _) = try rig.submit(.limit, .buy, "0.01", limit: "80000")
        try rig.expect(id, KEEL_ORDER_OPEN)
        let request = rig.instance.nextRequest()
        try TestInstance.check { rig.instance.component.pointee.stop(rig.instance.raw, rig.host.now + 3_000_000_000, request, $0) }
        #expect(rig.run(4) { rig.done(request) != nil })
        #expect(rig.events.last?.request == request, "DONE is the last event")
        let status = try rig.venueOrders().first?.find("status")?.asText
        if manner == "leave" {
            #expect(status == "NEW")
            #expect(rig.host.logs.contains { $0.contains(id.description) && $0.contains("stay open") })
        } else {
            #expect(status == "CANCELED")
            #expect(rig.state(id) == KEEL_ORDER_CANCELED)
        }
        #expect(rig.host.watches.isEmpty, "every connection is closed")
    }

    @Test("429 and 418: everything waits as long as the venue said")
    func limits() throws {
        let rig = try TradingRig()
        try rig.faults("{\"do\": \"limited\", \"calls\": [\"POST /api/v3/order\"], \"times\": 1}")
        let (_, request) = try rig.submit(.market, .buy, "0.01")
        #expect(rig.run(5) { rig.status(request) == KEEL_E_RATE })
        do {
            try rig.submit(.market, .buy, "0.01")
            Issue.record("sent although the venue said to wait")
        } catch let refusal as Refusal { #expect(refusal.status == KEEL_E_RATE) }
        #expect(rig.run(70) { (try? rig.submit(.market, .buy, "0.01")) != nil }, "and it goes on by itself")
    }

    @Test("maker-first: rests as post-only, then takes or ends", arguments: ["taker", "cancel"])
    func makerFirst(_ then: String) throws {
        let rig = try TradingRig(config: ", \"maker_first\": {\"enabled\": true, \"wait\": \"1s\", \"then\": \"\(then)\"}")
        // Rests: a price below the market. It waits a second, then the rest goes as immediate-or-cancel and finds nothing.
        let (resting, _) = try rig.submit(.limit, .buy, "0.01", limit: "80000")
        try rig.expect(resting, KEEL_ORDER_OPEN)
        #expect(try rig.venueOrders().first { $0.find("clientOrderId")?.asText == resting.description }?.find("type")?.asText == "LIMIT_MAKER")
        #expect(rig.run(5) { [KEEL_ORDER_CANCELED, KEEL_ORDER_EXPIRED].contains(rig.state(resting) ?? 0) })
        #expect(try rig.placed(resting) == (then == "taker" ? 2 : 1))
        // Would take at once: refused as a maker, and then as configured.
        let (crossing, request) = try rig.submit(.limit, .buy, "0.01", limit: "100000")
        if then == "taker" {
            try rig.expect(crossing, KEEL_ORDER_FILLED)
            #expect(rig.filled(crossing) == Fixed("0.01"))
            #expect(rig.status(request) == KEEL_OK)
        } else {
            #expect(rig.run(5) { rig.state(crossing) == KEEL_ORDER_EXPIRED })
            #expect(rig.fills(crossing).isEmpty)
        }
        // Cancelled by the host while it rests: it ends, whatever is configured.
        let (third, _) = try rig.submit(.limit, .buy, "0.01", limit: "80000")
        try rig.expect(third, KEEL_ORDER_OPEN)
        _ = try rig.cancel(third)
        try rig.expect(third, KEEL_ORDER_CANCELED)
        rig.run(for: 1.5)
        #expect(try rig.placed(third) == 1)
    }

    @Test("orders go over REST while the WebSocket API is not to be used, with the same story")
    func overREST() throws {
        let rig = try TradingRig(config: ", \"socket_orders\": false")
        let (id, request) = try rig.submit(.market, .buy, "0.01")
        try rig.expect(id, KEEL_ORDER_FILLED)
        #expect(rig.status(request) == KEEL_OK)
        #expect(rig.filled(id) == Fixed("0.01"))
    }

    @Test("somebody else's orders are told as not ours and never touched")
    func outsiders() throws {
        let rig = try TradingRig(account: 0)
        let other = try TradingRig.Hand(rig)
        let placed = try other.place("LIMIT", "BUY", "0.01", price: "70000", id: "by-hand-1")
        #expect(rig.run(5) { rig.events.contains { $0.order.map { OrderID($0.order).isNone && $0.state == KEEL_ORDER_OPEN } ?? false } })
        let told = try rig.sync()
        let outside = told.filter { $0.order.map { OrderID($0.order).isNone } ?? false }
        #expect(outside.count == 1)
        #expect(outside.first?.order.map { outside[0].text($0.venue_id) } == "\(placed)")
        try rig.instance.stop()
        rig.run(for: 0.2)
        #expect(try rig.venueOrders().first { $0.find("clientOrderId")?.asText == "by-hand-1" }?.find("status")?.asText == "NEW")
    }

    @Test("describe: where the money is, without a secret")
    func describe() throws {
        let rig = try TradingRig()
        let said = try rig.instance.describe()
        #expect(try said["environment"].text == "paper")
        #expect(try said["hosts"].members.allSatisfy { $0.name.contains("127.0.0.1") })
        let text = said.text(.compact)
        for secret in rig.host.secrets.values { #expect(!text.contains(String(decoding: secret, as: UTF8.self))) }
    }
}
