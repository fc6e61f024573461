import PluginAPI
import PluginKit
import PluginSupport
import Testing

@Suite struct EMACrossTests {
    struct Trade: Equatable {
        let bar: Int
        let buys: Bool
    }

    /// The rule written down a second time, as plainly as it can be: the bars at whose close an order is decided.
    func reference(_ closes: [Double], fast: Double, slow: Double, warmup: Int) -> [Trade] {
        var trades: [Trade] = []
        var long = false
        var quick = closes[0]
        var lazy = closes[0]
        var before = 0.0
        let a = 2 / (fast + 1)
        let b = 2 / (slow + 1)
        for (i, close) in closes.enumerated() {
            if i > 0 {
                quick = a * close + (1 - a) * quick
                lazy = b * close + (1 - b) * lazy
            }
            let d = quick - lazy
            if i >= warmup, i > 0 {
                if before <= 0, d > 0, !long {
                    trades.append(Trade(bar: i, buys: true))
                    long = true
                } else if before >= 0, d < 0, long {
                    trades.append(Trade(bar: i, buys: false))
                    long = false
                }
            }
            before = d
        }
        return trades
    }

    func run(_ instance: TestInstance, _ bars: [keel_bar], from start: Int = 0, long: Bool = false) throws -> [Trade] {
        var trades: [Trade] = []
        var long = long
        for (index, bar) in bars.enumerated() where index >= start {
            let status = try instance.observe(bar)
            guard status == KEEL_ASK else {
                #expect(status == KEEL_OK)
                continue
            }
            var snapshot = TestSnapshot(now: bar.open_time, last: bar.close)
            snapshot.fixed.position = Amount(raw: long ? 100_000_000 : 0).c
            guard let decision = try instance.decide(snapshot).decision?.decision else { continue }
            #expect(decision.quantity == raw("1"))
            #expect(decision.snapshot.hi == 7 && decision.snapshot.lo == 9)
            long = decision.action == KEEL_ACT_BUY
            trades.append(Trade(bar: index, buys: long))
        }
        return trades
    }

    func instance(_ config: String = "{}") throws -> TestInstance {
        let host = TestHost()
        host.add(1, "BTC/USDT")
        host.add(2, "ETH/USDT")
        return try TestInstance(TestInstance.bundled("EMACross"), host: host, config: config)
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func matchesTheRule(seed: UInt64) throws {
        let bars = walk(5000, seed: seed)
        let instance = try instance()
        try instance.start()
        let found = try run(instance, bars)
        let expected = reference(bars.map { Double($0.close) / 100_000_000 }, fast: 10, slow: 20, warmup: 20)
        #expect(found == expected, "seed \(seed)")
        #expect(expected.count > 100)
    }

    @Test func otherPeriods() throws {
        let bars = walk(3000, seed: 9)
        let instance = try instance(#"{"fast": 3, "slow": 50, "warmup": 0}"#)
        try instance.start()
        #expect(try run(instance, bars) == reference(bars.map { Double($0.close) / 100_000_000 }, fast: 3, slow: 50, warmup: 0))
    }

    @Test func savedStateContinuesExactly() throws {
        let bars = walk(2000, seed: 4)
        let whole = try instance()
        try whole.start()
        let expected = try run(whole, bars)

        let first = try instance()
        try first.start()
        var found = try run(first, Array(bars[..<1000]))
        try first.stop()
        let saved = try first.save()
        #expect(try first.save() == saved)
        let second = try instance()
        try second.load(saved, version: 1)
        #expect(try second.describe() == first.describe())
        try second.start()
        found += try run(second, bars, from: 1000, long: found.last?.buys ?? false)
        #expect(found == expected)
    }

    @Test func instrumentsDoNotMix() throws {
        let bars = walk(1500, seed: 5)
        let others = walk(1500, seed: 6)
        let alone = try instance()
        try alone.start()
        let expected = try bars.map { try alone.observe($0) }
        let both = try instance()
        try both.start()
        let found = try zip(bars, others).map { bar, other in
            _ = try both.observe(other, instrument: 2)
            return try both.observe(bar)
        }
        #expect(found == expected)
    }

    @Test func repeatedAndFormingBarsCountOnce() throws {
        let bars = walk(1500, seed: 5)
        let alone = try instance()
        try alone.start()
        let expected = try bars.map { try alone.observe($0) }
        let noisy = try instance()
        try noisy.start()
        let table = try noisy.table(KEEL_DECIDER, keel_decider.self)
        let found = try bars.map { bar in
            var forming = bar
            forming.close += 5_000_000
            #expect(withBar(forming, closed: false) { table.pointee.observe(noisy.raw, $0) } == KEEL_OK)
            let status = try noisy.observe(bar)
            #expect(try noisy.observe(bar, flags: KEEL_EVF_REPLAY) == KEEL_OK)
            return status
        }
        #expect(found == expected)
    }

    @Test func asksForNothingItMayNotDo() throws {
        let bars = walk(2000, seed: 1)
        let instance = try instance()
        try instance.start()
        for bar in bars {
            guard try instance.observe(bar) == KEEL_ASK else { continue }
            var snapshot = TestSnapshot(last: bar.close)
            snapshot.fixed.allowed = 0
            #expect(try instance.decide(snapshot).decision == nil)
        }
    }

    @Test func badConfigurationsNameTheProperty() throws {
        for (config, property) in [
            (#"{"fast": 0}"#, "fast"), (#"{"slow": "20"}"#, "slow"), (#"{"warmup": -1}"#, "warmup"), (#"{"quantity": 1}"#, "quantity"),
            (#"{"quantity": "0"}"#, "quantity"), (#"{"bar": "1 minute"}"#, "bar"), (#"{"fsat": 10}"#, "fsat"),
        ] {
            let refusal = #expect(throws: Refusal.self) { try instance(config) }
            #expect(refusal?.status == KEEL_E_INVALID)
            #expect(refusal?.message.contains(property) == true, "\(config): \(refusal?.message ?? "")")
        }
    }
}
