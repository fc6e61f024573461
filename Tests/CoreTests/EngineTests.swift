import PluginAPI
import PluginKit
import Testing

@testable import HostCore

@Suite struct CompositionTests {
    @Test func everyUnknownNameIsAnError() {
        func problem(_ change: (inout PipelineSettings) -> Void) -> EngineError? {
            let set = Usual()
            do throws(any Error) { try set.build { change(&$0) } } catch { return error as? EngineError }
            return nil
        }
        #expect(problem { _ in } == nil)
        #expect(problem { $0.broker = "nobody" } == .unknownPlugin(pipeline: "main", role: "broker", name: "nobody"))
        #expect(problem { $0.broker = "primary" } == .missingRole(pipeline: "main", role: "broker", name: "primary"))
        #expect(problem { $0.router = "venue" } == .missingRole(pipeline: "main", role: "router", name: "venue"))
        #expect(problem { $0.chain.fallbacks = ["x"] } == .unknownPlugin(pipeline: "main", role: "decider", name: "x"))
        #expect(problem { $0.chain.fallbacks = ["primary"] } != nil)
        #expect(problem { $0.feeds = ["feed", "feed"] } != nil)
        #expect(problem { $0.instruments = ["DOGE/USDT"] } == .unknownInstrument(pipeline: "main", symbol: "DOGE/USDT"))
        #expect(problem { $0.instruments = [] } != nil)
        #expect(problem { $0.currency = "KRW" } != nil)
    }

    @Test func malformedEventsDoNothing() throws {
        let set = Usual()
        try set.build()
        set.rig.start()
        let records = set.rig.records.count
        for kind in 0..<UInt16(60) {
            for size in [0, 8, 40, 48, 64] as [UInt32] {
                var head = keel_event()
                head.size = size
                head.kind = kind
                head.instrument = 1
                head.request = 0xFFFF_FFFF_FFFF_FF01
                head.at_host = set.rig.time
                var raw = [UInt8](repeating: 0xFF, count: 512)
                withUnsafeBytes(of: head) { bytes in for index in bytes.indices { raw[index] = bytes[index] } }
                raw.withUnsafeBytes { bytes in
                    guard let base = bytes.baseAddress else { return }
                    for port in [-1, 0, 3, 4, 99] { set.rig.engine.accept(base.assumingMemoryBound(to: keel_event.self), from: port) }
                }
            }
        }
        #expect(set.rig.position == .zero && set.venue.submitted.isEmpty)
        #expect(set.rig.records.count - records < 1000)
    }

    /// Every body of every kind filled with garbage, with sizes that are right: nothing traps, nothing is ordered.
    @Test(arguments: [1, 2, 3, 4] as [UInt64]) func randomBytesAreHarmless(seed: UInt64) throws {
        let set = Usual()
        try set.build(instruments: [Rig.instrument(), Rig.instrument("ETH/USDT", kind: .perpetual)])
        set.rig.start()
        var dice = Dice(seed)
        let kinds: [UInt32] = [1, 2, 3, 10, 11, 12, 13, 14, 15, 30, 31, 32, 33, 34, 35, 36, 40, 50, 51, 77]
        for _ in 0..<3000 {
            var raw = (0..<Int(dice.next() % 400 + 64)).map { _ in dice.chance(0.5) ? UInt8(0) : UInt8(truncatingIfNeeded: dice.next()) }
            var head = keel_event()
            head.size = UInt32(raw.count)
            head.kind = UInt16(kinds[Int(dice.next() % UInt64(kinds.count))])
            head.flags = UInt16(dice.next() % 4)
            head.instrument = UInt32(dice.next() % 4)
            head.request = dice.chance(0.5) ? UInt64(dice.next() % 8) : dice.next()
            head.at_host = set.rig.time
            head.at_source = dice.chance(0.5) ? 0 : Int64(bitPattern: dice.next()) / 4
            withUnsafeBytes(of: head) { bytes in for index in bytes.indices { raw[index] = bytes[index] } }
            raw.withUnsafeBytes { bytes in
                guard let base = bytes.baseAddress else { return }
                set.rig.engine.accept(base.assumingMemoryBound(to: keel_event.self), from: Int(dice.next() % 5))
            }
        }
        #expect(set.venue.submitted.isEmpty, "seed \(seed)")
        _ = set.rig.engine.state()
    }

    @Test func instrumentsAndPipelinesDoNotLeak() throws {
        let set = Usual()
        let second = set.rig.add(FakeDecider("second"))
        let otherFeed = set.rig.add(FakeFeed("other"))
        var seen: [[UInt32]] = [[], []]
        set.decider.observes = true
        second.observes = true
        set.decider.observed = { event in
            seen[0].append(event.pointee.instrument)
            return KEEL_OK
        }
        second.observed = { event in
            seen[1].append(event.pointee.instrument)
            return KEEL_OK
        }
        var two = Usual.settings("two", instruments: ["ETH/USDT"])
        two.chain.primary = "second"
        two.feeds = ["other"]
        try set.rig.build([Usual.settings("one"), two], instruments: [Rig.instrument(), Rig.instrument("ETH/USDT")])
        set.rig.start()
        set.rig.trade("100", instrument: 1, feed: 0)
        set.rig.trade("200", instrument: 2, feed: 0)
        set.rig.trade("300", instrument: 2, feed: otherFeed.port)
        set.rig.trade("400", instrument: 1, feed: otherFeed.port)
        #expect(seen == [[1], [2]])
        #expect(set.rig.book(0).last == fixed("100").raw && set.rig.book(1).last == fixed("300").raw)
    }

    @Test func aSharedDeciderSeesEachEventOnce() throws {
        let set = Usual()
        var count = 0
        set.decider.observes = true
        set.decider.observed = { _ in
            count += 1
            return KEEL_ASK
        }
        try set.rig.build([Usual.settings("one"), Usual.settings("two")])
        set.rig.start()
        set.rig.trade("100")
        #expect(count == 1)
        #expect(set.decider.questions.count == 2, "but both pipelines hear its wish")
    }
}

@Suite struct GateTests {
    func passes(_ set: Usual) -> GateCounters { set.rig.book().counters }

    @Test func theFirstTimerComesAfterTheLongestInterval() throws {
        let set = Usual()
        set.decider.decide = { _ in .hold }
        try set.build()
        set.rig.start()
        set.rig.trade("100")
        set.rig.wait(15 * Span.minute - 2 * Span.second)
        #expect(set.decider.questions.isEmpty)
        set.rig.trade("100", after: Span.millisecond)
        set.rig.wait(2 * Span.second)
        #expect(set.decider.questions.count == 1)
        #expect(set.decider.questions[0].header.gate == KEEL_GATE_TIMER)
        #expect(passes(set).timer == 1 && passes(set).timerPasses == 1)
    }

    @Test(arguments: [(1, 60), (0, 900), (300, 300), (90_000, 900)]) func nextCheckIsClamped(wanted: Int64, expected: Int64) throws {
        let set = Usual()
        set.askOnNextTrade(Answer(nextCheck: wanted * Span.second))
        try set.build()
        set.rig.start()
        set.rig.trade("100")
        let at = set.rig.engine.core.pointee.timers.deadline(.gate, 0)
        #expect(at == set.rig.time + expected * Span.second)
    }

    @Test func candlesPassOnTicksAndInSilence() throws {
        let set = Usual()
        set.decider.decide = { _ in .hold }
        try set.build {
            $0.gate.candle = Span.minute
            $0.gate.timer = false
        }
        set.rig.start()
        for _ in 0..<70 { set.rig.trade("100") }
        #expect(passes(set).candle == 1)
        set.rig.wait(60 * Span.second)
        #expect(passes(set).candle == 2 && passes(set).timerPasses == 1, "no tick came, the time closed the bar")
    }

    @Test func zScoresPassOnceACooldown() throws {
        let set = Usual()
        set.decider.decide = { _ in .hold }
        try set.build {
            $0.gate.timer = false
            $0.gate.priceZ = 5
            $0.gate.volumeZ = 5
        }
        set.rig.start()
        var dice = Dice(2)
        for _ in 0..<200 { set.rig.trade(raw: 10_000_000_000 + Int64(dice.next() % 1_000_000), quantity: 90_000_000 + Int64(dice.next() % 20_000_000), after: Span.millisecond) }
        #expect(passes(set).passed == 0)
        set.rig.trade(raw: 10_100_000_000, quantity: 100_000_000, after: Span.millisecond)
        #expect(passes(set).priceZ == 1 && passes(set).volumeZ == 0)
        set.rig.trade(raw: 10_000_000_000, quantity: 100_000_000, after: Span.millisecond)
        #expect(passes(set).priceZ == 1, "within the cooldown")
        for _ in 0..<200 { set.rig.trade(raw: 10_000_000_000 + Int64(dice.next() % 1_000_000), quantity: 90_000_000 + Int64(dice.next() % 20_000_000)) }
        set.rig.trade(raw: 10_000_500_000, quantity: 900_000_000)
        #expect(passes(set).volumeZ == 1)
        let last = set.decider.questions.last?.header
        #expect((last?.volume_z ?? 0) > 5 && last?.gate == KEEL_GATE_VOLUME_Z)
    }

    @Test func wakesPassOnceAndOnlyGoodOnesAreKept() throws {
        let set = Usual()
        set.askOnNextTrade(
            Answer(wakes: [
                keel_wake(condition: KEEL_WAKE_PRICE_ABOVE, reserved: 0, level: fixed("110").raw),
                keel_wake(condition: KEEL_WAKE_MOVE, reserved: 0, level: fixed("0.5").raw), keel_wake(condition: 99, reserved: 0, level: 1),
                keel_wake(condition: KEEL_WAKE_FUNDING, reserved: 0, level: fixed("0.001").raw),
            ]))
        try set.build()
        set.rig.start()
        set.rig.trade("100")
        #expect(set.rig.book().wakes.count == 3)
        #expect(set.rig.refused(.unknownWake).count == 1)
        set.decider.decide = { _ in nil }
        set.rig.trade("109.99")
        #expect(passes(set).wake == 0)
        set.rig.trade("110")
        #expect(passes(set).wake == 1 && set.rig.book().wakes.count == 2)
        set.decider.done()
        set.rig.trade("111")
        #expect(passes(set).wake == 1)
        valueEvent(1, "funding_rate", -0.002, at: set.rig.time).send(to: set.rig.engine, from: 0)
        #expect(passes(set).wake == 2 && set.decider.questions.last?.header.funding_rate == -0.002)
    }

    @Test func switchedOffLayersDoNotPass() throws {
        let set = Usual()
        set.decider.observes = true
        set.decider.observed = { _ in KEEL_ASK }
        try set.build {
            $0.gate.asks = false
            $0.gate.timer = false
            $0.gate.wakes = false
        }
        set.rig.start()
        for _ in 0..<100 { set.rig.trade("100") }
        set.rig.wait(Span.minute)
        #expect(passes(set).passed == 0 && passes(set).timerPasses == 0 && set.decider.questions.isEmpty)
    }

    @Test func theWatchdogForcesWhatNobodyAnswered() throws {
        let set = Usual()
        set.decider.status = KEEL_E_NETWORK
        set.decider.observes = true
        try set.build {
            $0.gate.timer = false
            $0.gate.watchdog = 5 * Span.minute
        }
        set.rig.start()
        set.askOnNextTrade(.hold)
        set.rig.trade("100")
        #expect(set.decider.questions.count == 1)
        for _ in 0..<299 { set.rig.trade("100") }
        #expect(set.decider.questions.count == 1)
        for _ in 0..<3 { set.rig.trade("100") }
        #expect(set.decider.questions.count == 2 && passes(set).watchdog == 1)
    }

    @Test func aSilentMarketIsNotDecidedOn() throws {
        let set = Usual()
        set.decider.decide = { _ in .buy() }
        try set.build()
        set.rig.start()
        set.rig.trade("100")
        set.rig.wait(16 * Span.minute)
        #expect(set.decider.questions.isEmpty && passes(set).stale > 0)
        #expect(set.rig.refused(.staleMarket).count == 1, "recorded once, not on every pass")
    }

    @Test func nobodyIsAskedWhenNothingCouldBeEntered() throws {
        let set = Usual()
        set.decider.observes = true
        set.decider.observed = { _ in KEEL_ASK }
        set.decider.decide = { _ in .hold }
        try set.build()
        set.rig.start()
        set.rig.command(.kill(true))
        set.rig.trade("100")
        #expect(set.decider.questions.isEmpty && passes(set).blocked == 1)
        set.rig.command(.kill(false))
        set.rig.trade("100")
        #expect(set.decider.questions.count == 1)
        set.rig.command(.closeGate)
        set.rig.trade("100")
        #expect(set.decider.questions.count == 1)
    }

    @Test func whatComesWhileAnAnswerIsAwaitedIsAskedAfterwards() throws {
        let set = Usual()
        set.decider.observes = true
        set.decider.observed = { _ in KEEL_ASK }
        try set.build()
        set.rig.start()
        for _ in 0..<3 { set.rig.trade("100") }
        #expect(set.decider.questions.count == 1 && passes(set).busy == 2)
        set.decider.done()
        #expect(set.decider.questions.count == 2)
    }
}

@Suite struct SnapshotTests {
    @Test func itShowsWhatIsAndHashesIt() throws {
        let set = Usual()
        set.decider.wants = KEEL_WANT_BARS | KEEL_WANT_VALUES | KEEL_WANT_MEMORY | KEEL_WANT_PAST | KEEL_WANT_NEWS
        set.decider.bars = 3
        set.askOnNextTrade(.buy("0.5"))
        try set.build { $0.bars = [Span.minute] ; $0.position.atrMultiple = nil; $0.position.stages = [.init(gain: fixed("0.1"), fraction: fixed("0.5"))] }
        set.rig.start()
        set.rig.trade("100")
        for minute in 0..<5 { set.rig.trade("\(101 + minute)", after: Span.minute) }
        quoteEvent(1, bid: fixed("104.9"), ask: fixed("105.1"), at: set.rig.time).send(to: set.rig.engine, from: 0)
        valueEvent(0, "cpi", 3.1, at: set.rig.time).send(to: set.rig.engine, from: 0)
        set.askOnNextTrade(Answer(memory: "think of it"))
        set.rig.trade("106")
        let first = set.decider.questions[1]
        let header = first.header
        #expect(header.last == fixed("106").raw && header.bid == fixed("104.9").raw && header.instrument == 1)
        #expect(Amount(header.position) == amount("50") && header.entry == fixed("100").raw && header.peak == fixed("106").raw)
        #expect(Amount(header.cash) == amount("4995") && Amount(header.equity) == amount("10295") && Amount(header.unrealised) == amount("300"))
        #expect(header.stop == fixed("96").raw && header.trail == fixed("93.28").raw && header.stages.count == 1)
        #expect(header.allowed == KEEL_MAY_BUY | KEEL_MAY_SELL && header.purpose == KEEL_PURPOSE_ENTRY)
        first.snapshot.withUnsafeBytes { raw in
            let series = raw.loadUnaligned(fromByteOffset: Int(header.series.off), as: keel_series.self)
            #expect(header.series.count == 1 && series.bars.count == 3 && series.duration == Span.minute)
            let newest = raw.loadUnaligned(fromByteOffset: Int(series.bars.off) + 2 * MemoryLayout<keel_bar>.stride, as: keel_bar.self)
            #expect(newest.close == fixed("104").raw)
            let named = raw.loadUnaligned(fromByteOffset: Int(header.values.off), as: keel_named.self)
            let name = String(decoding: raw[Int(named.name.off)..<Int(named.name.off + named.name.len)], as: UTF8.self)
            #expect(name == "cpi" && named.value == 3.1)
            var zeroed = Array(raw)
            for index in 8..<24 { zeroed[index] = 0 }
            let (hi, lo) = zeroed.withUnsafeBytes { Mix.hash($0) }
            #expect(hi == header.hash.hi && lo == header.hash.lo)
        }
        #expect(set.rig.snapshots.last?.bytes == first.snapshot)
        set.askOnNextTrade(.hold)
        set.rig.trade("106")
        let second = set.decider.questions[2]
        second.snapshot.withUnsafeBytes { raw in
            let memory = second.header.memory
            #expect(String(decoding: raw[Int(memory.off)..<Int(memory.off + memory.len)], as: UTF8.self) == "think of it")
            #expect(second.header.past.count == 1)
        }
    }

    @Test func onlyWhatIsWantedIsInside() throws {
        let set = Usual()
        set.askOnNextTrade(.hold)
        try set.build()
        set.rig.start()
        set.rig.trade("100")
        let header = set.decider.questions[0].header
        #expect(header.series.count == 0 && header.values.count == 0 && header.memory.len == 0 && header.past.count == 0)
        #expect(Int(header.size) < MemoryLayout<keel_snapshot>.size + 64)
    }

    /// The same inputs twice: the same bytes, the same records, the same orders.
    @Test func runsAreDeterministic() throws {
        func run() throws -> ([LedgerRecord], [[UInt8]]) {
            let set = Usual()
            set.decider.wants = KEEL_WANT_BARS | KEEL_WANT_MEMORY
            set.decider.observes = true
            var dice = Dice(11)
            set.decider.observed = { _ in dice.chance(0.05) ? KEEL_ASK : KEEL_OK }
            set.decider.decide = { _ in dice.chance(0.5) ? .buy("0.2") : .sell("1") }
            try set.build { $0.gate = GateSettings() }
            set.rig.start()
            var price: Int64 = 10_000_000_000
            var walk = Dice(12)
            for _ in 0..<2000 {
                price += Int64(walk.next() % 2_000_001) - 1_000_000
                set.rig.trade(raw: price, after: Int64(walk.next() % 2000) * Span.millisecond)
            }
            return (set.rig.records, set.decider.questions.map(\.snapshot))
        }
        let first = try run()
        let second = try run()
        #expect(first.0 == second.0 && first.1 == second.1)
        #expect(first.1.count > 20)
    }
}

@Suite struct ChainTests {
    func trade(_ set: Usual, _ count: Int = 1) { for _ in 0..<count { set.rig.trade("100") } }

    /// A pass without an observer: by a wish of the time.
    func ask(_ set: Usual) {
        set.rig.trade("100")
        set.rig.engine.pass(set.rig.engine.books, KEEL_GATE_TIMER, onEvent: false)
        set.rig.engine.finishInput()
    }

    func make(_ change: (inout PipelineSettings) -> Void = { _ in }) throws -> Usual {
        let set = Usual()
        set.decider.observes = true
        set.decider.observed = { _ in KEEL_ASK }
        set.fallback.decide = { _ in .hold }
        set.fallback.observes = true
        set.fallback.observed = { _ in KEEL_ASK }
        try set.build(fallbacks: ["fallback"], change)
        set.rig.start()
        return set
    }

    @Test func theFallbackTakesOverAfterTheDeadline() throws {
        let set = try make()
        set.rig.trade("100")
        #expect(set.decider.questions.count == 1 && set.fallback.questions.isEmpty)
        set.rig.wait(8 * Span.second)
        #expect(set.decider.cancelled == [set.decider.questions[0].request])
        #expect(set.fallback.questions.count == 1)
        #expect(set.rig.takeovers.map(\.why) == [.timeout])
        #expect(set.rig.takeovers[0].from == set.decider.port && set.rig.takeovers[0].to == set.fallback.port)
        // An answer that comes after all is too late, and said to be.
        set.decider.reply(.buy(), to: 0)
        #expect(set.rig.position.isZero && set.rig.refused(.unknownRequest).count == 1)
        // What the fallback saw is fresh, not what the primary was shown eight seconds ago.
        #expect(set.fallback.questions[0].header.now == set.decider.questions[0].header.now + 8 * Span.second)
    }

    @Test func threeFailuresOpenTheBreakerAndOneTrialCloses() throws {
        let set = try make()
        set.decider.status = KEEL_E_AUTH
        trade(set, 3)
        #expect(set.decider.questions.count == 3 && set.fallback.questions.count == 3)
        #expect(set.rig.breakers.filter { $0.breaker == .decider && $0.open }.count == 1)
        trade(set, 10)
        #expect(set.decider.questions.count == 3, "it rests")
        #expect(set.fallback.questions.count == 13)
        set.rig.wait(15 * Span.minute)
        set.decider.status = KEEL_OK
        trade(set)
        #expect(set.decider.questions.count == 4 && set.rig.renewed == [set.decider.port], "one trial, with renewed credentials")
        trade(set)
        #expect(set.decider.questions.count == 4, "not a second before the first has ended")
        set.decider.done()
        #expect(set.rig.breakers.filter { $0.breaker == .decider && !$0.open }.count == 1)
        #expect(set.rig.takeovers.last?.why == .recovered && set.rig.takeovers.last?.to == set.decider.port)
    }

    @Test func aFailedTrialOpensItAgain() throws {
        let set = try make()
        set.decider.status = KEEL_E_NETWORK
        trade(set, 3)
        set.rig.wait(15 * Span.minute)
        trade(set, 2)
        #expect(set.decider.questions.count == 4)
        set.rig.wait(14 * Span.minute)
        trade(set)
        #expect(set.decider.questions.count == 4)
        set.rig.wait(Span.minute)
        trade(set)
        #expect(set.decider.questions.count == 5)
    }

    @Test func theBreakerSurvivesARestart() throws {
        let set = try make()
        set.decider.status = KEEL_E_NETWORK
        trade(set, 3)
        let state = set.rig.ledgerState()
        #expect(state.pipelines[0].deciders[0].openUntil > set.rig.time && state.pipelines[0].serving == "fallback")
        let again = Usual()
        again.rig.time = set.rig.time
        again.decider.observes = true
        again.fallback.observes = true
        again.fallback.observed = { _ in KEEL_ASK }
        again.fallback.decide = { _ in .hold }
        try again.build(restored: state, run: 2, fallbacks: ["fallback"])
        again.rig.start()
        again.rig.trade("100")
        #expect(again.decider.questions.isEmpty && again.fallback.questions.count == 1)
    }

    @Test func invalidAnswersAreFailuresAndTheFallbackIsAsked() throws {
        let set = try make()
        for bad in [Answer.buy("1.5"), Answer(hash: keel_hash(hi: 1, lo: 2)), Answer(instrument: 7)] {
            set.decider.decide = { _ in bad }
            trade(set)
        }
        #expect(set.rig.refusals.map(\.rule) == [.outOfRange, .wrongSnapshot, .unknownInstrument])
        #expect(set.rig.decisions.filter { $0.outcome == .invalid }.count == 3)
        #expect(set.fallback.questions.count == 3 && set.rig.position.isZero)
        #expect(set.rig.breakers.contains { $0.breaker == .decider && $0.open })
    }

    @Test func aDecisionCountsOnce() throws {
        let set = try make()
        set.rig.trade("100")
        let question = set.decider.questions[0]
        let answer = Answer.buy("0.1").event(for: question.request, snapshot: question.header.hash, instrument: 1, at: set.rig.time)
        answer.send(to: set.rig.engine, from: set.decider.port)
        answer.send(to: set.rig.engine, from: set.decider.port)
        answer.send(to: set.rig.engine, from: set.fallback.port)
        #expect(set.venue.submitted.count == 1)
    }

    @Test func theDailyMoneyCapIsCheckedBeforeTheCall() throws {
        let set = Usual()
        set.fallback.inline = true
        set.fallback.decide = { _ in .hold }
        try set.build(fallbacks: ["fallback"]) {
            $0.chain.dailyCost = amount("1")
            $0.chain.assumedCost = amount("0.3")
        }
        set.rig.start()
        set.decider.decide = { _ in Answer(cost: amount("0.4")) }
        for _ in 0..<10 { ask(set) }
        // 0.4, 0.8; a third would make 1.2.
        #expect(set.decider.questions.count == 2)
        #expect(set.rig.takeovers.map(\.why) == [.dailyCost])
        #expect(set.fallback.questions.count == 8, "what runs in the host costs nothing")
        #expect(set.rig.engine.state().pipelines[0].costToday == amount("0.8"))
        // The next day has its own money.
        set.rig.wait(Span.day)
        ask(set)
        #expect(set.decider.questions.count == 3)
    }

    @Test func storedAnswersCostNothing() throws {
        let set = try make { $0.chain.dailyCost = amount("1") }
        set.decider.decide = nil
        trade(set)
        let question = set.decider.questions[0]
        var event = Answer(cost: amount("5")).event(for: question.request, snapshot: question.header.hash, instrument: 1, at: set.rig.time)
        event.edit { (body: inout keel_ev_decision) in body.from_record = 1 }
        event.send(to: set.rig.engine, from: set.decider.port)
        #expect(set.rig.engine.state().pipelines[0].costToday.isZero)
    }

    @Test func theShadowOnlyAnswers() throws {
        let set = try make { $0.chain.shadow = true }
        set.decider.decide = { _ in .hold }
        set.fallback.decide = { _ in .buy("1") }
        trade(set)
        #expect(set.rig.shadows.count == 1 && set.rig.shadows[0].outcome == .shadow && set.rig.shadows[0].action == KEEL_ACT_BUY)
        #expect(set.rig.shadows[0].snapshotLo == set.rig.decisions[0].snapshotLo, "what the primary saw")
        #expect(set.venue.submitted.isEmpty)
    }

    @Test func nobodyLeftIsSaidOnce() throws {
        let set = try make()
        set.decider.status = KEEL_E_NETWORK
        set.fallback.status = KEEL_E_NETWORK
        trade(set, 2)
        #expect(set.rig.takeovers.filter { $0.to == -1 }.count == 1)
        set.fallback.status = KEEL_OK
        trade(set)
        #expect(set.rig.takeovers.last?.to == set.fallback.port)
    }

    @Test func oneWordSwapsTheFallback() throws {
        let set = Usual()
        let other = set.rig.add(FakeDecider("other"))
        other.decide = { _ in .buy("0.1") }
        set.decider.status = KEEL_E_NETWORK
        set.decider.observes = true
        set.decider.observed = { _ in KEEL_ASK }
        try set.build(fallbacks: ["other"])
        set.rig.start()
        set.rig.trade("100")
        #expect(set.rig.decisions.last?.decider == other.port && !set.rig.position.isZero)
    }
}
