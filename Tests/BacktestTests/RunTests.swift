import Foundation
import HostCore
import HostManifest
import PluginAPI
import PluginKit
import Tape
import Testing

@testable import HostBacktest

@Suite struct BacktestRunTests {
    let minute: Int64 = 60_000_000_000

    @Test func theSameRunTwiceIsTheSame() throws {
        let rig = try Rig()
        let file = try rig.tape(.bars, 20_000)
        let a = try ExactTests.cross([file]).run()
        let b = try ExactTests.cross([file]).run()
        #expect(a.fills == b.fills && a.equity == b.equity && a.curve == b.curve)
        #expect(try Diagnosis.lookahead(a, run: { to in
            var request = Backtest.Request(manifest: Rig.manifest([Rig.open("btc", decider: "ema", instruments: ["BTC/USDT"], capital: ExactTests.capital)]))
            request.tapes = [file]
            request.to = to
            return try Backtest(
                request, plugins: [Rig.plugin("sim", "Sim", "{\"fill\":\"next-open\",\(ExactTests.wide)}"), Rig.plugin("direct", "DirectRouter"), Rig.plugin("ema", "EMACross")]
            ).run()
        }) == nil)
    }

    /// The engine keeps money too, on its own: both must say the same.
    @Test func theEngineAndTheScoreAgree() throws {
        let rig = try Rig()
        let run = try ExactTests.cross([rig.tape(.bars, 20_000)])
        var last: PositionRecord?
        run.onRecord = { if case .position(let position) = $0 { last = position } }
        let result = try run.run()
        let position = try #require(last)
        #expect(position.cash == result.cash)
        #expect(position.fees == result.fees)
        #expect(position.quantity == result.positions[0])
    }

    /// What is summed up without records is what the records add up to, also where much is refused, stopped and rejected.
    @Test(arguments: [UInt64(81), 82]) func theSummaryIsTheSumOfTheRecords(seed: UInt64) throws {
        let rig = try Rig()
        let bars = try rig.tape(.bars, 20_000, seed: seed)
        var pipeline = Rig.open("btc", decider: "ema", instruments: ["BTC/USDT"], capital: ExactTests.capital)
        pipeline.gate.candle = 900_000_000_000
        pipeline.gate.priceZ = 3
        pipeline.risk.cooldown = 1_800_000_000_000
        pipeline.risk.losingStreak = 3
        pipeline.risk.dailyLoss = try Fixed(nearest: 0.0000005)
        pipeline.position.stopLoss = try Fixed(nearest: 0.001)
        pipeline.position.review = 3_600_000_000_000
        var manifest = Rig.manifest([pipeline])
        manifest.seed = seed
        func run(_ onRecord: ((LedgerRecord) -> Void)?) throws -> BacktestResult {
            var request = Backtest.Request(manifest: manifest)
            request.tapes = [bars]
            let run = try Backtest(
                request,
                plugins: [
                    Rig.plugin("sim", "Sim", #"{"fill": "this-tick", "faults": {"reject": "0.2", "partial": "0.3"}, \#(ExactTests.wide)}"#), Rig.plugin("direct", "DirectRouter"),
                    Rig.plugin("ema", "EMACross"),
                ])
            run.onRecord = onRecord
            var result = try run.run()
            (result.engineSeconds, result.engineProcessorSeconds, result.wholeSeconds) = (0, 0, 0)
            return result
        }
        var records = 0
        let told = try run { _ in records += 1 }
        let summed = try run(nil)
        #expect(records > 1000 && told.fills.count > 20 && !told.refusals.isEmpty && told.rejectedOrders > 0 && !told.exits.isEmpty, "seed \(seed)")
        #expect(ReportJSON.value(told).text(.compact) == ReportJSON.value(summed).text(.compact), "seed \(seed)")
        #expect(told.breakers == summed.breakers && told.alerts == summed.alerts, "seed \(seed)")
    }

    @Test func aPartOfATapeIsTheTapeOfThatPart() throws {
        let rig = try Rig()
        let file = try rig.tape(.bars, 10_000)
        let bars = try ExactTests.bars(file)
        let from = bars[3000].head.at_host
        let to = bars[7000].head.at_host
        let writer = try TapeWriter(creating: rig.path("part.tape"), instruments: file.instruments)
        for bar in bars[3000..<7000] { try writer.append(bar) }
        try writer.close()
        let whole = try ExactTests.cross([TapeFile(rig.path("part.tape"))]).run()
        var request = Backtest.Request(manifest: Rig.manifest([Rig.open("btc", decider: "ema", instruments: ["BTC/USDT"], capital: ExactTests.capital)]))
        request.tapes = [file]
        request.from = from
        request.to = to
        let plugins = [try Rig.plugin("sim", "Sim", "{\"fill\":\"next-open\",\(ExactTests.wide)}"), try Rig.plugin("direct", "DirectRouter"), try Rig.plugin("ema", "EMACross")]
        let part = try Backtest(request, plugins: plugins).run()
        #expect(part.fills == whole.fills && part.equity == whole.equity && part.events == 4000)
        // Warmed up, the averages know what came before, and nothing is traded before its time.
        request.warmup = 500 * minute
        let warm = try Backtest(request, plugins: plugins).run()
        #expect(warm.fills.allSatisfy { $0.time >= from } && warm.events == 4000)
        #expect(warm.fills != part.fills)
        let tail = ExactTests.crossByHand(Array(bars[2500..<7000]))
        // From some bars on both know the same past.
        let late = warm.fills.filter { $0.index > 200 }
        let expected = tail.fills.filter { $0.index > 700 }
        #expect(late.map(\.price.raw).suffix(20) == expected.map(\.price).suffix(20)[...])
    }

    @Test func severalInstrumentsOfSeveralTapes() throws {
        let rig = try Rig()
        let a = try rig.tape(.bars, 5000, seed: 1, symbols: ["BTC/USDT"], name: "a.tape")
        let b = try rig.tape(.bars, 5000, seed: 2, symbols: ["ETH/USDT"], name: "b.tape", price: 50)
        var request = Backtest.Request(
            manifest: Rig.manifest(
                [
                    Rig.open("one", decider: "ema", instruments: ["BTC/USDT"], capital: ExactTests.capital),
                    Rig.open("two", decider: "ema2", instruments: ["ETH/USDT"], capital: ExactTests.capital),
                ], symbols: ["BTC/USDT", "ETH/USDT"]))
        request.tapes = [b, a]
        let plugins = [
            try Rig.plugin("sim", "Sim", "{\"fill\":\"next-open\",\(ExactTests.wide)}"), try Rig.plugin("direct", "DirectRouter"), try Rig.plugin("ema", "EMACross"),
            try Rig.plugin("ema2", "EMACross"),
        ]
        let result = try Backtest(request, plugins: plugins).run()
        let expected = [try ExactTests.crossByHand(ExactTests.bars(a)), try ExactTests.crossByHand(ExactTests.bars(b))]
        for number in 1...2 {
            #expect(result.fills.filter { $0.instrument == number }.map(\.price.raw) == expected[number - 1].fills.map(\.price))
        }
        #expect(abs(result.equity.double - expected[0].equity - expected[1].equity) < 1e-4)
        #expect(result.startEquity == Amount(raw: 2_000_000_00_000_000))
        #expect(result.events == 10_000)
    }

    @Test func whatCannotBeRepeatedIsRefused() throws {
        let rig = try Rig()
        let file = try rig.tape(.bars, 100)
        let manifest = Rig.manifest([Rig.open("btc", decider: "ema", instruments: ["BTC/USDT"], capital: ExactTests.capital)])
        var request = Backtest.Request(manifest: manifest)
        let plugins = [try Rig.plugin("sim", "Sim"), try Rig.plugin("direct", "DirectRouter"), try Rig.plugin("ema", "EMACross")]
        #expect(throws: BacktestError.noTape) { try Backtest(request, plugins: plugins) }
        request.tapes = [file]
        request.pipelines = ["eth"]
        #expect(throws: BacktestError.noPipeline(wanted: "eth", known: ["btc"])) { try Backtest(request, plugins: plugins) }
        request.pipelines = []
        #expect(throws: BacktestError.self) { try Backtest(request, plugins: Array(plugins.dropFirst())) }  // no venue
        // A router in the decider's place is inline but not a decider; a decider that is not deterministic is named with what to do.
        request.from = file.lastTime.map { $0 + 1 } ?? 0
        #expect(throws: BacktestError.self) { try Backtest(request, plugins: plugins).run() }
        request.from = .min
        request.manifest.instruments[0].symbol = "XRP/USDT"
        request.manifest.pipelines[0].instruments = ["XRP/USDT"]
        #expect(throws: BacktestError.instrumentMissing(symbol: "XRP/USDT", tapes: ["BTC/USDT"])) { try Backtest(request, plugins: plugins).run() }
        request.names = ["XRP/USDT": "BTC/USDT"]
        #expect(try Backtest(request, plugins: plugins).run().events == 100)
        #expect(Backtest.recordingHint("claude", "keel.claude").contains("plugins.claude.component=keel.claude.recorded"))
    }

    @Test func changesAreMadeWhereTheyBelong() throws {
        let text = "{\"version\":1,\"pipelines\":[{\"name\":\"btc\",\"risk\":{\"max_fraction\":\"0.1\"}}],\"instruments\":{\"BTC/USDT\":{\"tick\":\"0.01\"}},\"plugins\":{\"sim\":{}}}"
        let document = try JSONValue(parsing: text)
        func set(_ change: String) throws -> JSONValue { try ManifestChange(change).apply(0, to: document) }
        #expect(try set("pipelines.btc.risk.max_fraction=0.5").find("pipelines")?.asList?[0].find("risk")?.find("max_fraction")?.asText == "0.5")
        #expect(try set("pipelines.0.risk.max_fraction=0.5") == set("pipelines.btc.risk.max_fraction=0.5"))
        #expect(try set("instruments[BTC/USDT].tick=1").find("instruments")?.find("BTC/USDT")?.find("tick")?.asText == "1")
        #expect(try set("plugins.sim.config.seed=5").find("plugins")?.find("sim")?.find("config")?.find("seed") == 5)
        #expect(try set("plugins.sim.enabled=false").find("plugins")?.find("sim")?.find("enabled") == false)
        for bad in ["nothing", "=1", "pipelines.eth.risk=1", "plugins.none.config.a=1", "version.a=1", "instruments[BTC=1"] {
            #expect(throws: BacktestError.self, "\(bad)") { try set(bad) }
        }
    }

    /// Numbers and texts in any order: each change is read as its place wants it.
    @Test func numbersAndTextsMix() throws {
        let file = try ManifestFile(reading: ExampleTests.folder + "/emacross.json")
        let reader = ManifestReader(environment: [:], checksSecrets: false)
        let parts = [
            "pipelines.emacross.history=3", "pipelines.emacross.capital=5000", "seed=11", "pipelines.emacross.risk.max_fraction=0.5", "pipelines.emacross.gate.timer=true",
            "instruments[BTC/USDT].tick=0.01",
        ]
        for turn in parts.indices {
            let changes = try (parts[turn...] + parts[..<turn]).map { try ManifestChange($0) }
            let report = try ManifestChange.read(file, changes, reader: reader)
            let manifest = try #require(report.manifest, "\(report.text)")
            #expect(manifest.seed == 11 && manifest.pipelines[0].capital?.description == "5000" && manifest.pipelines[0].risk.maximumFraction.description == "0.5")
        }
        // What is wrong is told as it was written, and nothing else is.
        let wrong = try ManifestChange.read(file, try (parts + ["pipelines.emacross.broker=nobody"]).map { try ManifestChange($0) }, reader: reader)
        #expect(wrong.manifest == nil && wrong.errors.count == 1, "\(wrong.text)")
    }
}

@Suite struct DiagnosisTests {
    func kinds(_ result: BacktestResult) -> [String] { Diagnosis.look(result).map(\.kind) }

    @Test func eachTroubleIsFound() throws {
        var result = SampleRun.result(bars: 60_000)
        #expect(!kinds(result).contains("one-trade") && !kinds(result).contains("fees"))
        var lucky = result
        for index in lucky.trades.indices { lucky.trades[index].profit = -1 }
        lucky.trades[3].profit = 10_000
        #expect(kinds(lucky).contains("one-trade"))
        var dear = result
        dear.equity = try dear.startEquity.subtracting(Amount(raw: 1))
        dear.fees = Amount(raw: 1_000_000_000)
        #expect(kinds(dear).contains("fees"))
        var few = result
        few.trades = Array(few.trades.prefix(5))
        #expect(kinds(few).contains("few-trades"))
        var flat = result
        for index in flat.samples.indices { flat.samples[index].equity = 5 }
        #expect(kinds(flat).contains("flat-equity"))
        var stale = result
        stale.meanGap = 60_000_000_000
        stale.fills[2].staleness = 86_400_000_000_000
        #expect(kinds(stale).contains("stale-fills"))
        result.fills = []
        result.trades = []
        #expect(kinds(result).contains("no-trades"))
    }

    /// A run whose fills depend on how long the tape is.
    @Test func knowingTheFutureIsFound() throws {
        let honest = SampleRun.result(bars: 30_000)
        func cut(_ to: Int64, shift: Int64) -> BacktestResult {
            var shorter = honest
            shorter.fills = honest.fills.filter { $0.time < to }
            if !shorter.fills.isEmpty { shorter.fills[shorter.fills.count - 1].price = Fixed(raw: shorter.fills[shorter.fills.count - 1].price.raw + shift) }
            return shorter
        }
        #expect(try Diagnosis.lookahead(honest) { cut($0, shift: 0) } == nil)
        let finding = try #require(try Diagnosis.lookahead(honest) { cut($0, shift: 1) })
        #expect(finding.kind == "lookahead" && finding.weight == .serious)
        let missing = try Diagnosis.lookahead(honest) { to in
            var shorter = cut(to, shift: 0)
            shorter.fills.removeLast()
            return shorter
        }
        #expect(missing != nil)
    }
}

@Suite struct ParityTests {
    func deal(_ time: Int64, _ price: Double, buy: Bool = true, quantity: Double = 1, symbol: String = "BTC/USDT") -> ParitySide.Deal {
        .init(order: "o\(time)", symbol: symbol, isBuy: buy, time: time * 1_000_000_000, price: price, quantity: quantity)
    }

    @Test func differencesAreNamedWithTheirReason() {
        let second: Int64 = 1_000_000_000
        let test = ParitySide(
            name: "backtest", deals: [deal(100, 100), deal(1000, 110, buy: false), deal(2000, 100), deal(5000, 90), deal(9000, 80)], from: 0, to: 10_000 * second)
        let live = ParitySide(
            name: "run 1", deals: [deal(103, 101), deal(1002, 109, buy: false, quantity: 0.5), deal(7000, 95, buy: false)],
            refusals: [.init(time: 2001 * second, symbol: "BTC/USDT", rule: "cooldown")], from: 0, to: 8000 * second)
        let parity = Parity(live: live, test: test, window: 300 * second)
        #expect(parity.matches.map(\.delay) == [3 * second, 2 * second])
        #expect(abs(parity.matches[0].worse - 0.01) < 1e-12 && abs(parity.matches[1].worse - 1.0 / 110) < 1e-12 && parity.matches[1].quantityShare == 0.5)
        #expect(parity.missed.map(\.why) == ["refused live: cooldown", "not tried live: other data, a late decision, or an earlier difference", "the live run was not up"])
        #expect(parity.extra.count == 1)
        #expect(parity.text.contains("2 agree, 3 only in the backtest, 1 only live"))
        #expect((try? JSONValue(parsing: parity.json.text(.compact))) != nil)
        // A run compared with itself agrees in everything.
        let same = Parity(live: test, test: test)
        #expect(same.missed.isEmpty && same.extra.isEmpty && same.matches.allSatisfy { $0.delay == 0 && $0.worse == 0 })
    }
}
