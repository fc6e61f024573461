import Foundation
import PluginAPI
import PluginKit
import PluginSupport
import Testing

@testable import BinanceConnector

/// Everything goes wrong at once, and at the end the plugin's events and the exchange's own books are the same.
@Suite(.serialized) struct ChaosTests {
    static let faults = [
        "{\"do\": \"lost_reply\", \"chance\": \"0.06\"}", "{\"do\": \"lost_request\", \"chance\": \"0.04\"}", "{\"do\": \"timeout_after\", \"chance\": \"0.05\"}", "{\"do\": \"timeout\", \"chance\": \"0.03\"}",
        "{\"do\": \"status\", \"status\": 502, \"done\": true, \"chance\": \"0.03\"}", "{\"do\": \"hang_after\", \"chance\": \"0.02\"}", "{\"do\": \"delay_reply\", \"ms\": 200, \"chance\": \"0.1\"}",
        "{\"do\": \"busy\", \"chance\": \"0.03\"}", "{\"do\": \"status\", \"status\": 500, \"calls\": [\"GET /api/v3/order\", \"GET /api/v3/myTrades\"], \"chance\": \"0.2\"}",
    ]

    /// KEEL_CHAOS_SEEDS=20 makes it longer.
    static let seeds = Array(1...(UInt64(ProcessInfo.processInfo.environment["KEEL_CHAOS_SEEDS"] ?? "") ?? 2))

    @Test("no order lost, none doubled, every fill once, to the last satoshi", arguments: seeds)
    func chaos(_ seed: UInt64) throws {
        let rig = try TradingRig(config: ", \"recv_window\": 500")
        var random = SeededGenerator.stream(seed: seed, "chaos")
        try rig.faults(Self.faults.joined(separator: ","), seed: seed)
        var sent: [OrderID: UInt64] = [:]
        var open: [OrderID] = []
        let started = TradingRig.wall()
        for round in 0..<60 {
            let price = rig.bid.raw + (Int64(random.below(400)) - 200) * 1_000_000_000 / 100
            let limit = Fixed(raw: price / 1_000_000 * 1_000_000).description
            do {
                let (id, request) = random.chance(0.4)
                    ? try rig.submit(.market, random.chance(0.5) ? .buy : .sell, "0.002") : try rig.submit(.limit, random.chance(0.5) ? .buy : .sell, "0.003", limit: limit)
                sent[id] = request
                open.append(id)
            } catch is Refusal {}
            if random.chance(0.3), let id = open.randomElement(using: &random) { _ = try? rig.cancel(id) }
            if round == 25 { try rig.control("{\"do\": \"drop\"}") }
            if round == 35 { try rig.control("{\"do\": \"lose_events\", \"for\": \"2s\"}") }
            if round == 45 { try rig.control("{\"do\": \"double_events\"}") }
            rig.run(for: 0.05)
        }
        try rig.faults("")
        // What still rests is cancelled, what is in doubt settles by itself.
        let deadline = TradingRig.wall() + 40_000_000_000
        var asked: Set<OrderID> = []
        while TradingRig.wall() < deadline {
            let alive = sent.keys.filter { id in rig.state(id).map { ![KEEL_ORDER_FILLED, KEEL_ORDER_CANCELED, KEEL_ORDER_REJECTED, KEEL_ORDER_EXPIRED].contains($0) } ?? false }
            if alive.isEmpty { break }
            for id in alive.sorted() where rig.state(id) == KEEL_ORDER_OPEN && asked.insert(id).inserted { _ = try? rig.cancel(id) }
            rig.run(for: 0.3)
            if alive.allSatisfy({ rig.state($0) == KEEL_ORDER_OPEN }) { asked = [] }
        }
        let told = try rig.sync(since: started - 60_000_000_000)
        #expect(told.last?.done?.status == KEEL_OK)
        let books = try rig.venueOrders()
        var atVenue: [String: JSONValue] = [:]
        for order in books {
            let id = order.find("clientOrderId")?.asText ?? ""
            #expect(atVenue[id] == nil, "seed \(seed): \(id) is there twice")
            atVenue[id] = order
        }
        for (id, request) in sent {
            #expect(rig.done(request) != nil, "seed \(seed): \(id) has no DONE")
            #expect(rig.events.count { $0.done != nil && $0.request == request } == 1, "seed \(seed)")
            let order = atVenue[id.description]
            let state = rig.state(id)
            let executed = order?.find("executedQty")?.decimal ?? .zero
            #expect(rig.filled(id) == executed, "seed \(seed): \(id) filled \(rig.filled(id)) here, \(executed) there, \(rig.states(id))")
            switch order?.find("status")?.asText {
            case "FILLED": #expect(state == KEEL_ORDER_FILLED, "seed \(seed)")
            case "CANCELED": #expect(state == KEEL_ORDER_CANCELED, "seed \(seed): \(rig.states(id))")
            case nil: #expect(state == KEEL_ORDER_REJECTED, "seed \(seed): not at the venue, \(rig.states(id)) here")
            case let other: Issue.record("seed \(seed): \(other ?? "") at the venue, \(rig.states(id)) here")
            }
        }
        // The money: what the exchange has is what its last balance events, and the fills, say.
        let balances = try JSONValue(parsing: try rig.booksText)["spot"]["accounts"][0]["balances"]
        for asset in ["BTC", "USDT"] {
            let free = try balances[asset]["free"].amount
            let locked = try balances[asset]["locked"].amount
            let last = try #require(told.last { event in event.balance.map { event.text($0.asset) == asset } ?? false }?.balance)
            #expect(Amount(last.total) == (try free.adding(locked)), "seed \(seed)")
            var sum = asset == "BTC" ? Amount("2")! : Amount("100000")!
            var seen: Set<String> = []
            for event in rig.events {
                guard let fill = event.fill, seen.insert(event.text(fill.fill_id)).inserted else { continue }
                let sign: Int128 = fill.side == KEEL_BUY ? 1 : -1
                sum = asset == "BTC" ? Amount(raw: sum.raw + sign * Int128(fill.qty)) : Amount(raw: sum.raw - sign * Fixed(raw: fill.price).notional(Fixed(raw: fill.qty)).raw)
                if event.text(fill.fee_asset) == asset { sum = try sum.subtracting(Amount(fill.fee)) }
            }
            #expect(sum == Amount(last.total), "seed \(seed): fills give \(sum) \(asset), the exchange has \(Amount(last.total))")
        }
    }
}
