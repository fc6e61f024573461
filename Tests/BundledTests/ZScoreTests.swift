import PluginAPI
import PluginKit
import PluginSupport
import Testing

@Suite struct ZScoreTests {
    struct Trade: Equatable {
        let index: Int
        let buys: Bool
    }

    func reference(_ ticks: [(time: Int64, price: Double)], warmup: Int) -> [Trade] {
        var trades: [Trade] = []
        var mean = 0.0
        var v = 0.0
        let a = 1.0 / 512
        var last: Int64?
        for (i, tick) in ticks.enumerated() {
            if i == 0 {
                mean = tick.price
                continue
            }
            let d = tick.price - mean
            if i >= warmup, d * d > 9 * v, last.map({ tick.time - $0 >= 60_000_000_000 }) ?? true {
                trades.append(Trade(index: i, buys: d < 0))
                last = tick.time
            }
            mean += a * d
            v = (1 - a) * (v + (a * d) * d)
        }
        return trades
    }

    func ticks(_ count: Int, seed: UInt64) -> [(time: Int64, price: Int64)] {
        var random = Seeded(seed)
        var price: Int64 = 40_000_00
        var time: Int64 = 1_640_995_200_000_000_000
        return (0..<count).map { _ in
            // Now and then a jump, or a z of 3 would never be seen.
            let jump = Int64.random(in: 0..<1000, using: &random) == 0
            price += jump ? Int64.random(in: -60_000...60_000, using: &random) : Int64.random(in: -150...150, using: &random)
            price = max(price, 1_000_00)
            time += Int64.random(in: 10_000_000...900_000_000, using: &random)
            return (time, price * 1_000_000)
        }
    }

    func instance(_ config: String = "{}") throws -> TestInstance {
        let host = TestHost()
        host.add(1, "BTC/USDT")
        return try TestInstance(TestInstance.bundled("ZScore"), host: host, config: config)
    }

    func run(_ instance: TestInstance, _ ticks: [(time: Int64, price: Int64)], from start: Int = 0) throws -> [Trade] {
        let table = try instance.table(KEEL_DECIDER, keel_decider.self)
        var trades: [Trade] = []
        for (index, tick) in ticks.enumerated() where index >= start {
            let status = withTrade(price: tick.price, at: tick.time) { table.pointee.observe(instance.raw, $0) }
            guard status == KEEL_ASK else { continue }
            var snapshot = TestSnapshot(now: tick.time, last: tick.price)
            snapshot.fixed.allowed |= KEEL_MAY_SHORT
            let decision = try #require(try instance.decide(snapshot).decision?.decision)
            #expect(decision.quantity == raw("1"))
            trades.append(Trade(index: index, buys: decision.action == KEEL_ACT_BUY))
        }
        return trades
    }

    @Test(arguments: [1, 2] as [UInt64]) func matchesTheRule(seed: UInt64) throws {
        let ticks = ticks(60_000, seed: seed)
        let instance = try instance()
        try instance.start()
        let expected = reference(ticks.map { ($0.time, Double($0.price) / 100_000_000) }, warmup: 5000)
        #expect(try run(instance, ticks) == expected, "seed \(seed)")
        #expect(expected.count > 10)
        #expect(expected.contains { $0.buys } && expected.contains { !$0.buys })
    }

    @Test func savedStateContinuesExactly() throws {
        let ticks = ticks(12_000, seed: 3)
        let whole = try instance(#"{"warmup": 100}"#)
        try whole.start()
        let expected = try run(whole, ticks)
        let first = try instance(#"{"warmup": 100}"#)
        try first.start()
        var found = try run(first, Array(ticks[..<6000]))
        try first.stop()
        let second = try instance(#"{"warmup": 100}"#)
        try second.load(try first.save(), version: 1)
        #expect(try second.describe() == first.describe())
        try second.start()
        found += try run(second, ticks, from: 6000)
        #expect(found == expected)
    }

    @Test func neverSellsShortUnlessItMay() throws {
        let ticks = ticks(12_000, seed: 3)
        let instance = try instance(#"{"warmup": 100}"#)
        try instance.start()
        let table = try instance.table(KEEL_DECIDER, keel_decider.self)
        var asked = 0
        for tick in ticks {
            guard withTrade(price: tick.price, at: tick.time, { table.pointee.observe(instance.raw, $0) }) == KEEL_ASK else { continue }
            asked += 1
            let answer = try instance.decide(TestSnapshot(now: tick.time, last: tick.price)).decision?.decision
            #expect(answer.map { $0.action == KEEL_ACT_BUY } ?? true)
        }
        #expect(asked > 10)
    }
}
