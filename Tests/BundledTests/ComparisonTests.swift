import PluginAPI
import PluginKit
import PluginSupport
import Testing

/// The two deciders against the simulated venue, beside the same rules written as a bare loop in doubles.
@Suite struct ComparisonTests {
    static let account = #""cash": "1000000", "maker_fee": "0.001", "taker_fee": "0.001", "borrow": true, "updates": false"#

    struct Fill: Equatable {
        var index: Int
        var buys: Bool
        var price: Double
    }

    /// What a host would do: the venue first, then the decider; orders as it decides.
    final class Loop {
        let host = TestHost()
        let venue: TestVenue
        let decider: TestInstance
        let table: UnsafePointer<keel_decider>
        var fills: [Fill] = []
        var position: Int128 = 0
        var index = 0

        init(_ plugin: String, fill: String) throws {
            host.add(1, "BTC/USDT")
            venue = try TestVenue(#"{"fill": "\#(fill)", \#(ComparisonTests.account)}"#, host: host)
            decider = try TestInstance(TestInstance.bundled(plugin), host: host)
            try decider.start()
            table = try decider.table(KEEL_DECIDER, keel_decider.self)
        }

        func take(_ events: [RecordedEvent]) {
            for fill in events.compactMap(\.fill) {
                position += (fill.side == KEEL_BUY ? 1 : -1) * Int128(fill.qty)
                fills.append(Fill(index: index, buys: fill.side == KEEL_BUY, price: Double(fill.price) / 100_000_000))
            }
        }

        func step(_ event: UnsafePointer<keel_event>, last: Int64) throws {
            host.now = event.pointee.at_source
            venue.market.pointee.on_market(venue.instance.raw, event)
            take(host.take())
            if table.pointee.observe(decider.raw, event) == KEEL_ASK {
                var snapshot = TestSnapshot(now: host.now, last: last)
                snapshot.fixed.allowed |= KEEL_MAY_SHORT
                snapshot.fixed.position = Amount(raw: position).c
                if let decision = try decider.decide(snapshot).decision?.decision, decision.action != KEEL_ACT_HOLD {
                    let side: Side = decision.action == KEEL_ACT_BUY ? .buy : .sell
                    take(try venue.send(.market, side, Fixed(raw: decision.quantity).description).events)
                }
            }
            index += 1
        }

        func equity(_ last: Int64) throws -> Double {
            let cash = try #require(Amount(try venue.balance("USDT").total))
            return cash.double + Amount(raw: position).double * Double(last) / 100_000_000
        }
    }

    @Test(arguments: [1, 2] as [UInt64]) func emaCross(seed: UInt64) throws {
        let bars = walk(4000, seed: seed)
        let loop = try Loop("EMACross", fill: "next-open")
        for bar in bars { try withBar(bar) { event in Result { try loop.step(event, last: bar.close) } }.get() }

        var fills: [Fill] = []
        var cash = 1_000_000.0
        var long = false
        var pending = 0
        var fast = 0.0
        var slow = 0.0
        var before = 0.0
        for (i, bar) in bars.enumerated() {
            let open = Double(bar.open) / 100_000_000
            if pending != 0 {
                fills.append(Fill(index: i, buys: pending > 0, price: open))
                cash -= Double(pending) * open + open * 0.001
                long = pending > 0
                pending = 0
            }
            let close = Double(bar.close) / 100_000_000
            fast = i == 0 ? close : 2.0 / 11 * close + (1 - 2.0 / 11) * fast
            slow = i == 0 ? close : 2.0 / 21 * close + (1 - 2.0 / 21) * slow
            let d = fast - slow
            if i >= 20 {
                if before <= 0, d > 0, !long { pending = 1 } else if before >= 0, d < 0, long { pending = -1 }
            }
            before = d
        }
        let last = try #require(bars.last?.close)
        #expect(loop.fills == fills && fills.count > 100, "seed \(seed)")
        let expected = cash + (long ? Double(last) / 100_000_000 : 0)
        #expect(abs(try loop.equity(last) - expected) < 1e-5, "seed \(seed)")
    }

    @Test(arguments: [1, 2] as [UInt64]) func zScore(seed: UInt64) throws {
        let ticks = ZScoreTests().ticks(30_000, seed: seed)
        let loop = try Loop("ZScore", fill: "this-tick")
        for tick in ticks { try withTrade(price: tick.price, at: tick.time) { event in Result { try loop.step(event, last: tick.price) } }.get() }

        var fills: [Fill] = []
        var cash = 1_000_000.0
        var held = 0.0
        var mean = 0.0
        var v = 0.0
        let a = 1.0 / 512
        var ordered: Int64?
        for (i, tick) in ticks.enumerated() {
            let p = Double(tick.price) / 100_000_000
            if i == 0 {
                mean = p
                continue
            }
            let d = p - mean
            if i >= 5000, d * d > 9 * v, ordered.map({ tick.time - $0 >= 60_000_000_000 }) ?? true {
                let side = d > 0 ? -1.0 : 1.0
                cash -= side * p + p * 0.001
                held += side
                fills.append(Fill(index: i, buys: side > 0, price: p))
                ordered = tick.time
            }
            mean += a * d
            v = (1 - a) * (v + (a * d) * d)
        }
        let last = try #require(ticks.last?.price)
        #expect(loop.fills == fills && fills.count > 5, "seed \(seed)")
        #expect(abs(try loop.equity(last) - (cash + held * Double(last) / 100_000_000)) < 1e-5, "seed \(seed)")
    }
}
