import PluginAPI
import PluginKit
import PluginSupport
import Testing

@Suite struct RulesTests {
    func instance(_ config: String = "{}") throws -> TestInstance {
        let host = TestHost()
        host.add(1, "BTC/USDT")
        let made = try TestInstance(TestInstance.bundled("Rules"), host: host, config: config)
        try made.start()
        return made
    }

    /// Bars along a path of closes, each opening at the close before, with a range around it.
    func bars(_ closes: [Double], range: Double = 0.5, volume: (Int) -> Double = { 100 + Double($0 % 7) }) -> [keel_bar] {
        var before = closes.first ?? 0
        return closes.enumerated().map { index, close in
            defer { before = close }
            func raw(_ value: Double) -> Int64 { Int64(value * 100_000_000) }
            return keel_bar(
                open_time: Int64(index) * 60_000_000_000, open: raw(before), high: raw(max(before, close) + range),
                low: raw(min(before, close) - range), close: raw(close), volume: keel_amount(lo: UInt64(raw(volume(index))), hi: 0))
        }
    }

    func snapshot(_ bars: [keel_bar]) -> TestSnapshot {
        var snapshot = TestSnapshot(now: 1_000, last: bars.last?.close ?? 0)
        snapshot.series = [(60_000_000_000, bars)]
        return snapshot
    }

    let rising = (0..<100).map { 100 + Double($0) * 0.4 }
    let falling = (0..<100).map { 200 - Double($0) * 0.4 }

    func ask(_ instance: TestInstance, _ snapshot: TestSnapshot) throws -> (decision: keel_ev_decision, event: RecordedEvent) {
        let answer = try instance.decide(snapshot)
        #expect(answer.done == KEEL_OK)
        let event = try #require(answer.decision)
        return (try #require(event.decision), event)
    }

    func signals(_ answer: (decision: keel_ev_decision, event: RecordedEvent)) -> [String: Double] {
        var found: [String: Double] = [:]
        for place in 0..<Int(answer.decision.signals.count) {
            let signal = answer.event.bytes.withUnsafeBytes {
                $0.loadUnaligned(fromByteOffset: Int(answer.decision.signals.off) + place * MemoryLayout<keel_signal>.stride, as: keel_signal.self)
            }
            found[answer.event.text(signal.name)] = Fixed(raw: signal.confidence).double * Double(signal.direction)
        }
        return found
    }

    @Test func buysWhatRises() throws {
        let answer = try ask(try instance(), snapshot(bars(rising)))
        #expect(answer.decision.action == KEEL_ACT_BUY, "\(answer.event.text(answer.decision.reason))")
        #expect(answer.decision.fraction > 0 && answer.decision.fraction <= Int64(KEEL_ONE))
        #expect(answer.decision.confidence > 0 && answer.decision.snapshot.hi == 7)
        let found = signals(answer)
        #expect(found["trend"].map { $0 > 0 } == true && found["momentum"].map { $0 > 0 } == true)
        #expect(answer.event.text(answer.decision.reason).contains("trend"))
        #expect(answer.event.text(answer.decision.model) == "keel.rules")
    }

    @Test func sellsWhatFallsOnlyIfItMayBeShort() throws {
        let instance = try instance()
        var falls = snapshot(bars(falling))
        #expect(try ask(instance, falls).decision.action == KEEL_ACT_HOLD)
        falls.fixed.allowed |= KEEL_MAY_SHORT
        #expect(try ask(instance, falls).decision.action == KEEL_ACT_SELL)
        falls.fixed.allowed = 0
        #expect(try ask(instance, falls).decision.action == KEEL_ACT_HOLD)
    }

    @Test func signalsSayWhatTheyMean() throws {
        let instance = try instance()
        // A jump out of a quiet market on heavy volume: break-out and volume up, mean reversion down.
        let quiet = (0..<80).map { 100 + Double($0 % 5) * 0.1 } + [104]
        let jump = signals(try ask(instance, snapshot(bars(quiet) { $0 == 80 ? 900 : 100 + Double($0 % 7) })))
        #expect(jump["volatility"] == 1 && jump["mean_reversion"] == -1 && jump["volume"] == 1)
        let drop = signals(try ask(instance, snapshot(bars(quiet.dropLast() + [96]) { $0 == 80 ? 900 : 100 + Double($0 % 7) })))
        #expect(drop["volatility"] == -1 && drop["mean_reversion"] == 1 && drop["volume"] == -1)
    }

    @Test func theRangeSizesTheTrade() throws {
        let instance = try instance()
        let calm = try ask(instance, snapshot(bars(rising, range: 0.6))).decision
        let wild = try ask(instance, snapshot(bars(rising, range: 2))).decision
        #expect(wild.action == KEEL_ACT_HOLD || wild.fraction < calm.fraction)
        var capped = snapshot(bars(rising, range: 0.6))
        capped.fixed.max_fraction = calm.fraction / 3
        #expect(try ask(instance, capped).decision.fraction == calm.fraction / 3)
        capped.fixed.kelly_cap = calm.fraction / 4
        #expect(try ask(instance, capped).decision.fraction == calm.fraction / 4)
        capped.fixed.max_fraction = 0
        #expect(try ask(instance, capped).decision.action == KEEL_ACT_HOLD)
    }

    @Test func theLearnerMovesTheScore() throws {
        let instance = try instance()
        var taught = snapshot(bars(rising))
        let plain = try ask(instance, taught).decision
        taught.weights = [("trend", 0.9, 0.95, 40), ("momentum", 0.9, 0.9, 40), ("mean_reversion", 0.1, 0.05, 40)]
        let fond = try ask(instance, taught).decision
        #expect(fond.confidence > plain.confidence)
        taught.weights = [("trend", 0.05, 0.01, 40), ("momentum", 0.05, 0.02, 40), ("mean_reversion", 0.9, 0.9, 40)]
        let wary = try ask(instance, taught).decision
        #expect(wary.action == KEEL_ACT_HOLD || wary.confidence < plain.confidence)
        // Three observations are an accident.
        taught.weights = [("trend", 0.05, 0.01, 3), ("momentum", 0.05, 0.02, 3)]
        #expect(try ask(instance, taught).decision.confidence == plain.confidence)
    }

    @Test func theRegimeCountsUntilTheLearnerKnows() throws {
        let instance = try instance(#"{"enter": 0.05}"#)
        var calm = snapshot(bars(rising))
        calm.fixed.regime = KEEL_REGIME_CALM
        var volatile = calm
        volatile.fixed.regime = KEEL_REGIME_VOLATILE
        #expect(try ask(instance, calm).decision.confidence < ask(instance, volatile).decision.confidence)
    }

    @Test func reviewsWhatIsOpen() throws {
        let instance = try instance()
        func review(_ closes: [Double], entry: String, peak: String) throws -> keel_ev_decision {
            var open = snapshot(bars(closes))
            open.fixed.purpose = KEEL_PURPOSE_REVIEW
            open.fixed.position = Amount(raw: 100_000_000).c
            open.fixed.entry = raw(entry)
            open.fixed.peak = raw(peak)
            return try ask(instance, open).decision
        }
        let good = try review(rising, entry: "110", peak: "139.6")
        #expect(good.action == KEEL_ACT_HOLD && good.exit_probability >= 0 && good.exit_probability < raw("0.4"))
        let bad = try review(falling, entry: "190", peak: "195")
        #expect(bad.action == KEEL_ACT_SELL && bad.fraction == Int64(KEEL_ONE) && bad.exit_probability > raw("0.6"))
        var short = snapshot(bars(rising))
        short.fixed.purpose = KEEL_PURPOSE_REVIEW
        short.fixed.position = Amount(raw: -100_000_000).c
        short.fixed.entry = raw("110")
        short.fixed.peak = raw("108")
        #expect(try ask(instance, short).decision.action == KEEL_ACT_BUY)
    }

    @Test func saysNothingWhereThereIsNothingToSay() throws {
        let instance = try instance()
        for snapshot in [
            TestSnapshot(), snapshot([]), snapshot(bars([100])), snapshot(bars(Array(repeating: 100, count: 60), range: 0)),
            snapshot(bars([0, -5] + rising)),
        ] {
            let answer = try ask(instance, snapshot).decision
            #expect(answer.action == KEEL_ACT_HOLD && answer.fraction == 0)
        }
    }

    @Test func stayInRangeWhateverTheMarket() throws {
        let instance = try instance()
        var random = Seeded(8)
        for round in 0..<300 {
            let base = Double.random(in: 0.001...50_000, using: &random)
            var price = base
            let closes = (0..<Int.random(in: 0...250, using: &random)).map { _ in
                price = max(price * (1 + Double.random(in: -0.2...0.2, using: &random)), base * 1e-4)
                return min(price, 900_000_000)
            }
            var asked = snapshot(bars(closes, range: base * 0.001) { _ in Double.random(in: 0...1e6, using: &random) })
            asked.fixed.purpose = round % 2 == 0 ? KEEL_PURPOSE_ENTRY : KEEL_PURPOSE_REVIEW
            asked.fixed.allowed = UInt32.random(in: 0..<16, using: &random) & 0b1110
            asked.fixed.max_fraction = Int64.random(in: 0...Int64(KEEL_ONE), using: &random)
            asked.fixed.position = Amount(raw: Int128.random(in: -5...5, using: &random) * 100_000_000).c
            asked.fixed.entry = Int64(base * 100_000_000)
            let answer = try ask(instance, asked).decision
            let one = Int64(KEEL_ONE)
            #expect((0...one).contains(answer.fraction) && (0...one).contains(answer.confidence) && answer.exit_probability <= one)
            #expect(answer.action == KEEL_ACT_HOLD || asked.fixed.allowed & (1 << answer.action) != 0)
            let position = Amount(asked.fixed.position)
            if answer.action == KEEL_ACT_SELL, !position.isPositive { #expect(asked.fixed.allowed & KEEL_MAY_SHORT != 0) }
            if position.isZero { #expect(answer.fraction <= asked.fixed.max_fraction) }
        }
    }

    @Test func theSameSnapshotTheSameBytes() throws {
        let first = try instance()
        let second = try instance()
        let asked = snapshot(bars(rising))
        let one = try first.decide(asked).decision?.bytes
        _ = try second.decide(snapshot(bars(falling)))
        _ = second.nextRequest()
        let two = try second.decide(asked).decision
        // All but the number of the request.
        #expect(one?.dropFirst(24) == two?.bytes.dropFirst(24))
    }

    @Test func badConfigurationsNameTheProperty() throws {
        for (config, property) in [
            (#"{"fast": 1}"#, "fast"), (#"{"weights": {"trend": -1}}"#, "weights.trend"), (#"{"risk": "1.5"}"#, "risk"), (#"{"risk": 0.01}"#, "risk"),
            (#"{"learner": "magic"}"#, "learner"), (#"{"calm": {"trnd": 1}}"#, "calm.trnd"), (#"{"stop": 0}"#, "stop"),
        ] {
            let refusal = #expect(throws: Refusal.self) { try instance(config) }
            #expect(refusal?.status == KEEL_E_INVALID && refusal?.message.contains(property) == true, "\(config): \(refusal?.message ?? "")")
        }
    }
}
