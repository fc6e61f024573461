import PluginAPI
import PluginKit
import Testing

@testable import HostCore

@Suite struct OrderIDTests {
    @Test func textIsExactBothWays() throws {
        let id = OrderID(run: 7, pipeline: 3, instrument: 2, sequence: 123_456, leg: .exit, child: 9)
        let text = id.description
        #expect(text.count == 27 && text.first == "k")
        #expect(OrderID(text) == id)
        #expect(id.run == 7 && id.pipeline == 3 && id.instrument == 2 && id.sequence == 123_456 && id.leg == .exit && id.child == 9)
        #expect(id.parent.isParent && id.parent.child(9) == id)
        #expect(OrderID(hi: .max, lo: .max).description == "k7zzzzzzzzzzzzzzzzzzzzzzzzz")
        #expect(OrderID(OrderID(hi: .max, lo: .max).description) == OrderID(hi: .max, lo: .max))
    }

    @Test(arguments: ["", "k", "x00000000000000000000000000", "k0000000000000000000000000u", "k80000000000000000000000000", "k000000000000000000000000000"])
    func otherTextIsRefused(text: String) { #expect(OrderID(text) == nil) }

    @Test func everyBitHasItsPlace() {
        var dice = Dice(1)
        for _ in 0..<1000 {
            let id = OrderID(hi: dice.next(), lo: dice.next())
            #expect(OrderID(id.description) == id)
        }
    }
}

@Suite struct HashTests {
    /// Stored snapshots are found by these for ever: a change of the function must be seen.
    @Test func vectorsDoNotChange() {
        func hex(_ bytes: [UInt8]) -> String {
            let (hi, lo) = bytes.withUnsafeBytes { Mix.hash($0) }
            return String(hi, radix: 16) + "/" + String(lo, radix: 16)
        }
        #expect(hex([]) == HashVectors.empty)
        #expect(hex(Array(0..<16)) == HashVectors.sixteen)
        #expect(hex(Array(0..<70)) == HashVectors.seventy)
        #expect(hex(Array("keel".utf8)) == HashVectors.keel)
    }

    @Test func everyByteAndTheLengthCount() {
        var bytes = [UInt8](repeating: 0, count: 100)
        var seen: Set<[UInt64]> = []
        func add(_ bytes: [UInt8]) {
            let (hi, lo) = bytes.withUnsafeBytes { Mix.hash($0) }
            check(seen.insert([hi]).inserted && seen.insert([lo, 1]).inserted)
        }
        add(bytes)
        for place in bytes.indices {
            bytes[place] = 1
            add(bytes)
            bytes[place] = 0
        }
        add(bytes + [0])
        add(bytes.dropLast())
    }
}

@Suite struct AtrTests {
    let high = [48.70, 48.72, 48.90, 48.87, 48.82, 49.05, 49.20, 49.35, 49.92, 50.19, 50.12, 49.66]
    let low = [47.79, 48.14, 48.39, 48.37, 48.24, 48.64, 48.94, 48.86, 49.50, 49.87, 49.20, 48.90]
    let close = [48.16, 48.61, 48.75, 48.63, 48.74, 49.03, 49.07, 49.32, 49.91, 50.13, 49.53, 49.50]

    /// TA-Lib 0.8.2, n = 5.
    @Test func matchesTALib() {
        var atr = Atr()
        var values: [Double] = []
        for index in high.indices {
            atr.add(high: high[index], low: low[index], close: close[index], period: 5)
            if let value = atr.value(period: 5) { values.append(value) }
        }
        let expected = [0.516, 0.4648, 0.46984, 0.495872, 0.4606976, 0.55455808, 0.595646464]
        #expect(values.count == expected.count)
        for (value, wanted) in zip(values, expected) { #expect(abs(value - wanted) < 1e-9 * wanted) }
    }
}

@Suite struct EwmaTests {
    let x = [2.0, 4, 4, 4, 5, 5, 7, 9, 1, 20]

    @Test func matchesPandas() {
        var ewma = Ewma()
        let means = [2, 2.4, 2.72, 2.976, 3.3808, 3.70464, 4.363712, 5.2909696, 4.43277568, 7.546220544]
        let variances = [0, 0.64, 0.9216, 0.999424, 1.45499136, 1.5834824704, 3.0042895811, 5.8426582919, 7.6201138508, 44.8702467653]
        let zs: [Double?] = [nil, nil, 2, 1.3333333333, 2.0245831639, 1.3423639734, 2.6187632388, 2.6748504766, -1.7752118737, 5.6393682318]
        for index in x.indices {
            let z = ewma.z(x[index], warmup: 1)
            if let wanted = zs[index] { #expect(abs((z ?? .nan) - wanted) < 1e-9) } else { #expect(z == nil) }
            ewma.add(x[index], alpha: 0.2)
            #expect(abs(ewma.mean - means[index]) < 1e-9)
            #expect(abs(ewma.variance - variances[index]) < 1e-9)
        }
    }

    @Test func noSpreadGivesNoZ() {
        var ewma = Ewma()
        for _ in 0..<100 { ewma.add(3, alpha: 0.1) }
        #expect(ewma.z(4, warmup: 20) == nil)
    }

    @Test func onePrintDoesNotPoisonTheMemory() {
        var plain = Ewma(), pulled = Ewma()
        var dice = Dice(3)
        for _ in 0..<200 {
            let value = dice.normal()
            plain.add(value, alpha: 0.02)
            pulled.addWinsorised(value, alpha: 0.02, warmup: 60)
        }
        plain.add(1000, alpha: 0.02)
        pulled.addWinsorised(1000, alpha: 0.02, warmup: 60)
        #expect(plain.variance > 1000 && pulled.variance < 3)
    }
}

@Suite struct KellyTests {
    /// The general form p/l - q/w, checked against the bet form for l = 1.
    @Test func formulaAndEdges() {
        func history(_ returns: [String]) -> KellyHistory {
            var history = KellyHistory()
            for value in returns { history.add(fixed(value)) }
            return history
        }
        // p 0.55, b 1 -> 0.1; p 0.4, b 2.5 -> 0.16
        let even = history(Array(repeating: "1", count: 55) + Array(repeating: "-1", count: 45))
        #expect(abs((even.fraction(atLeast: 30) ?? .nan) - 0.1) < 1e-12)
        let skewed = history(Array(repeating: "2.5", count: 40) + Array(repeating: "-1", count: 60))
        #expect(abs((skewed.fraction(atLeast: 30) ?? .nan) - 0.16) < 1e-12)
        let bad = history(Array(repeating: "0.5", count: 60) + Array(repeating: "-1", count: 40))
        #expect(bad.fraction(atLeast: 30) == 0)
        #expect(even.fraction(atLeast: 101) == nil)
        #expect(history(["1", "1"]).fraction(atLeast: 2) == nil, "nothing was ever lost: no bound")
        #expect(history(["-1", "-1"]).fraction(atLeast: 2) == 0)
    }

    @Test func historyIsARing() {
        var history = KellyHistory()
        for value in 0..<300 { history.add(Fixed(raw: Int64(value))) }
        #expect(history.returns.count == 256)
        #expect(history.returns.first == Fixed(raw: 44) && history.returns.last == Fixed(raw: 299))
    }

    @Test func settingsCapTheFraction() throws {
        var history = KellyHistory()
        for index in 0..<100 { history.add(fixed(index % 20 < 11 ? "1" : "-1")) }
        var risk = RiskSettings()
        risk.kelly = fixed("0.25")
        #expect(Sizing.kellyCap(history, risk) == fixed("0.025"))
        risk.kelly = nil
        #expect(Sizing.kellyCap(history, risk) == nil)
    }
}

@Suite struct SeriesTests {
    @Test func ticksMakeBarsOnWholeMultiples() {
        var series = Series(duration: 60, capacity: 3)
        defer { series.release() }
        check(!series.add(price: 10, quantity: 1, at: 61))
        check(!series.add(price: 12, quantity: 2, at: 90))
        check(!series.add(price: 9, quantity: 3, at: 119))
        check(series.add(price: 11, quantity: 4, at: 120))
        let bar = series.newest
        check(bar?.open_time == 60 && bar?.open == 10 && bar?.high == 12 && bar?.low == 9 && bar?.close == 9 && bar?.volume.lo == 6)
        // A gap: no bar is invented.
        check(series.add(price: 20, quantity: 1, at: 400))
        check(series.count == 2 && series.gaps == 3)
        // Too late for a closed bar.
        check(!series.add(price: 1, quantity: 1, at: 100))
        check(series.late == 1 && series.forming.low == 20)
        // The time closes it as well.
        check(!series.closeIfOver(at: 419) && series.closeIfOver(at: 420) && !series.closeIfOver(at: 500))
        check(series.newest?.close == 20)
    }

    @Test func theRingKeepsTheNewest() {
        var series = Series(duration: 10, capacity: 4)
        defer { series.release() }
        for index in 0..<10 { _ = series.add(keel_bar(open_time: Int64(index) * 10 + 10, open: 1, high: 9, low: 1, close: Int64(index), volume: keel_amount()), length: 10) }
        check(series.count == 4)
        check((0..<4).map { series[back: $0]?.close } == [9, 8, 7, 6])
        check(series[back: 4] == nil)
        let room = UnsafeMutablePointer<keel_bar>.allocate(capacity: 4)
        defer { room.deallocate() }
        check(series.copy(most: 3, to: room) == 3)
        check((0..<3).map { room[$0].close } == [7, 8, 9])
    }

    @Test func shorterBarsMakeLongerOnes() {
        var series = Series(duration: 50, capacity: 8)
        defer { series.release() }
        var closed: [Bool] = []
        for index in 5..<16 {
            closed.append(
                series.add(
                    keel_bar(open_time: Int64(index) * 10, open: Int64(index), high: Int64(index) + 5, low: Int64(index) - 5, close: Int64(index) + 1,
                        volume: keel_amount(lo: 2, hi: 0)), length: 10))
        }
        check(closed.enumerated().filter(\.element).map(\.offset) == [4, 9])
        let bar = series.newest
        check(bar?.open_time == 100 && bar?.open == 10 && bar?.high == 19 && bar?.low == 5 && bar?.close == 15 && bar?.volume.lo == 10)
        check(!series.add(price: 1, quantity: 1, at: 170), "where bars come, ticks make none")
    }

    @Test func candlesCloseOnTime() {
        var clock = CandleClock(duration: 100)
        check(!clock.tick(at: 50), "the first tick closes nothing")
        check(!clock.tick(at: 99) && clock.tick(at: 100) && !clock.tick(at: 199) && clock.tick(at: 450))
        var bars = CandleClock(duration: 100)
        check(!bars.barClosed(at: 60) && bars.barClosed(at: 100) && !bars.barClosed(at: 160) && bars.barClosed(at: 200))
        var off = CandleClock(duration: 0)
        check(!off.tick(at: .max - 1))
    }

    @Test func volumeCarriesIntoTheSecondWord() {
        var series = Series(duration: 100, capacity: 2)
        defer { series.release() }
        for _ in 0..<5 { _ = series.add(price: 1, quantity: .max, at: 10) }
        check(Amount(series.forming.volume).raw == Int128(Int64.max) * 5)
    }
}

@Suite struct TimerQueueTests {
    /// Against a list that is searched.
    @Test(arguments: [1, 2, 3] as [UInt64]) func behavesLikeAList(seed: UInt64) {
        var dice = Dice(seed)
        var queue = TimerQueue(owners: 5)
        var list: [Int: Int64] = [:]
        let kinds = TimerQueue.Kind.allCases
        var now: Int64 = 0
        for _ in 0..<5000 {
            let kind = kinds[Int(dice.next() % UInt64(kinds.count))]
            let owner = Int(dice.next() % 5)
            let slot = kind.rawValue * 5 + owner
            switch dice.next() % 4 {
            case 0:
                queue.disarm(kind, owner)
                list[slot] = nil
            case 1:
                let time = now + Int64(dice.next() % 100) + 1
                queue.armNoLater(kind, owner, at: time)
                list[slot] = min(list[slot] ?? .max, time)
            case 2:
                let time = now + Int64(dice.next() % 100) + 1
                queue.arm(kind, owner, at: time)
                list[slot] = time
            default:
                now += Int64(dice.next() % 50)
                var fired: [Int: Int64] = [:]
                while let due = queue.pop(until: now) { fired[due.kind.rawValue * 5 + due.owner] = due.time }
                #expect(fired == list.filter { $0.value <= now }, "seed \(seed)")
                list = list.filter { $0.value > now }
                #expect(queue.next > now)
                #expect(queue.next <= list.values.min() ?? .max, "it may be early, never late")
            }
            #expect(queue.deadline(kind, owner) == list[slot])
        }
    }
}

@Suite struct SeenFillsTests {
    @Test func remembersAtLeastItsCapacityAndForgetsInTheEnd() {
        var seen = SeenFills(capacity: 100)
        var dice = Dice(4)
        let keys = (0..<2000).map { _ in FillKey(hi: dice.next(), lo: dice.next()) }
        for (index, key) in keys.enumerated() {
            check(seen.insert(key))
            check(!seen.insert(key))
            for back in 0..<min(index, 100) where !seen.contains(keys[index - back]) { Issue.record("forgot number \(index - back) at \(index)") }
        }
        check(!seen.contains(keys[0]))
        check(seen.keys.count < 1000)
    }
}

@Suite struct WakeTests {
    @Test func onlyWhatMakesSenseIsTaken() {
        func parse(_ condition: UInt32, _ level: Int64, reserved: UInt32 = 0, price: String = "100") -> WakeCondition? {
            try? WakeCondition.parse(keel_wake(condition: condition, reserved: reserved, level: level), price: fixed(price), regime: 1).get()
        }
        #expect(parse(KEEL_WAKE_PRICE_ABOVE, 100)?.level.raw == 100)
        #expect(parse(KEEL_WAKE_PRICE_ABOVE, 0) == nil)
        #expect(parse(KEEL_WAKE_PRICE_BELOW, -1) == nil)
        #expect(parse(KEEL_WAKE_MOVE, 1_000_000)?.reference == fixed("100"))
        #expect(parse(KEEL_WAKE_MOVE, 1_000_000, price: "0") == nil)
        #expect(parse(KEEL_WAKE_REGIME, 0)?.regime == 1)
        #expect(parse(KEEL_WAKE_REGIME, 5) == nil)
        #expect(parse(KEEL_WAKE_PROFIT, -5) != nil && parse(KEEL_WAKE_PROFIT, 0) == nil)
        #expect(parse(0, 5) == nil && parse(8, 5) == nil && parse(.max, 5) == nil)
        #expect(parse(KEEL_WAKE_FUNDING, 5, reserved: 1) == nil)
    }

    @Test func boundsAreWhereTheyShouldBe() {
        let above = WakeCondition(condition: KEEL_WAKE_MOVE, level: fixed("0.02"), reference: fixed("100"))
        #expect(above.bounds(entry: .zero, long: true, open: false) == (fixed("98"), fixed("102")))
        let gain = WakeCondition(condition: KEEL_WAKE_PROFIT, level: fixed("0.05"))
        #expect(gain.bounds(entry: fixed("200"), long: true, open: true) == (nil, fixed("210")))
        #expect(gain.bounds(entry: fixed("200"), long: false, open: true) == (fixed("190"), nil))
        let loss = WakeCondition(condition: KEEL_WAKE_PROFIT, level: fixed("-0.05"))
        #expect(loss.bounds(entry: fixed("200"), long: true, open: true) == (fixed("190"), nil))
        #expect(loss.bounds(entry: fixed("200"), long: true, open: false) == (nil, nil))
    }
}

@Suite struct DecisionCheckTests {
    let asked = AskedFor(
        instrument: 1, snapshotHi: 5, snapshotLo: 6, snapshotTime: 1000, allowed: KEEL_MAY_BUY, maximumAge: 100)
    func decision(_ change: (inout HostCore.Decision) -> Void = { _ in }) -> HostCore.Decision {
        var decision = HostCore.Decision(
            action: KEEL_ACT_BUY, fromRecord: false, snapshotHi: 5, snapshotLo: 6, fraction: fixed("0.1"), quantity: .zero, confidence: fixed("0.5"),
            exitProbability: nil, nextCheck: 0, validUntil: 0, cost: .zero, tokensIn: 0, tokensCached: 0, tokensOut: 0, instrument: 1)
        change(&decision)
        return decision
    }

    @Test func goodOnesPass() {
        #expect(DecisionChecks.formProblem(decision(), asked) == nil)
        #expect(DecisionChecks.useProblem(decision(), asked, now: 1050) == nil)
        #expect(DecisionChecks.formProblem(decision { $0.instrument = 0 }, asked) == nil)
    }

    @Test func everyFaultHasItsRule() {
        func form(_ change: (inout HostCore.Decision) -> Void) -> Rule? { DecisionChecks.formProblem(decision(change), asked)?.rule }
        func use(_ now: Int64 = 1000, _ change: (inout HostCore.Decision) -> Void) -> Rule? { DecisionChecks.useProblem(decision(change), asked, now: now)?.rule }
        #expect(form { $0.instrument = 2 } == .unknownInstrument)
        #expect(form { $0.snapshotLo = 7 } == .wrongSnapshot)
        #expect(form { $0.action = 3 } == .actionNotAllowed)
        #expect(form { $0.fraction = fixed("1.00000001") } == .outOfRange)
        #expect(form { $0.fraction = fixed("-0.1") } == .outOfRange)
        #expect(form { $0.quantity = fixed("-1") } == .outOfRange)
        #expect(form { $0.confidence = fixed("1.1") } == .outOfRange)
        #expect(form { $0.exitProbability = fixed("1.1") } == .outOfRange)
        #expect(form { $0.nextCheck = -1 } == .outOfRange)
        #expect(form { $0.cost = amount("-1") } == .outOfRange)
        #expect(use(1101) { _ in } == .staleSnapshot)
        #expect(use(1002) { $0.validUntil = 1001 } == .expiredDecision)
        #expect(use { $0.action = KEEL_ACT_SELL } == .noPosition)
        #expect(use { $0.fraction = .zero } == .zeroSize)
    }
}
