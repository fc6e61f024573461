import HostBacktest

/// Whole pipelines over tapes, engine only: feed, gate, decider through the C interface, risk, router, simulated venue, accounts.
enum PipelineFigures: FigureGroup {
    static let name = "pipeline"

    static func run(_ bench: Bench) throws {
        if bench.wants("pipeline bars") { try bars(bench) }
        if bench.wants("pipeline ticks") { try ticks(bench) }
        for count in [100_000, 200_000, 400_000] where bench.wants("pipeline orders \(count / 1000)k") { try orders(bench, count) }
    }

    /// What the default manifest's gate looks at: a candle and the spread of returns and volumes.
    private static let defaultGate = [
        ManifestChange(path: "pipelines.emacross.gate.candle", value: "15m"), ManifestChange(path: "pipelines.emacross.gate.price_z", value: "3"),
        ManifestChange(path: "pipelines.emacross.gate.volume_z", value: "4"),
    ]

    private static func bars(_ bench: Bench) throws {
        let tape = try bench.tape(.bars, 1_000_000)
        var fills = 0
        var whole: [Double] = []
        func run(_ what: String, _ changes: [ManifestChange]) throws -> [Double] {
            try bench.measure(what) {
                let run = try bench.backtest("emacross", tape, changes)
                var result = BacktestResult()
                whole.append(try Measure.seconds { result = try run.run() } * 1000)
                fills = result.fills.count
                return 1e6 / result.engineProcessorSeconds
            }
        }
        let plain = try run("EMA cross", [])
        bench.report(
            Figure(name: "EMA cross, engine only", values: plain, unit: .barsPerSecond, hold: .atLeast(10e6), note: "one million one-minute bars, \(fills) fills"))
        bench.report(Figure(name: "EMA cross, with instances and report data", values: whole, unit: .milliseconds, note: "one million bars"))
        whole = []
        let gated = try run("EMA cross, default gate", defaultGate)
        bench.report(
            Figure(name: "EMA cross, default gate layers", values: gated, unit: .barsPerSecond, note: "candle, price and volume spread watched; \(fills) fills"))
    }

    private static func ticks(_ bench: Bench) throws {
        let tape = try bench.tape(.trades, 5_000_000)
        var fills = 0
        let values = try bench.measure("z-score") {
            let result = try bench.backtest("zscore", tape).run()
            fills = result.fills.count
            return result.engineProcessorSeconds / 5e6 * 1e9
        }
        bench.report(Figure(name: "z-score, engine only", values: values, unit: .perTick, hold: .under(40), note: "five million ticks, \(fills) fills"))
    }

    /// The z-score decider made to trade always.
    private static let always = [
        ManifestChange(path: "plugins.zscore.config.z", value: "0"), ManifestChange(path: "plugins.zscore.config.warmup", value: "0"),
        ManifestChange(path: "plugins.zscore.config.cooldown", value: "0s"),
    ]

    private static func orders(_ bench: Bench, _ count: Int) throws {
        let tape = try bench.tape(.trades, count)
        var fills = 0
        let values = try bench.measure("an order on every tick, \(count / 1000)k") {
            let result = try bench.backtest("zscore", tape, always).run()
            fills = result.fills.count
            return result.engineProcessorSeconds / Double(max(1, fills)) * 1e9
        }
        bench.report(Figure(name: "an order on every tick, \(count / 1000)k ticks", values: values, unit: .perOrder, hold: .under(1000), note: "\(fills) fills"))
    }
}
