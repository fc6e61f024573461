import Foundation
import PluginKit
import Testing

/// The way from a run to a backtest over what it saw, with the program itself: run, record, backtest, compare.
@Suite("From a run to its backtest")
struct RunToBacktestTests {
    /// Six hours of the simulated venue's market, a decider that trades often.
    static func manifest(risk: String = "", decide: String = #""primary": "cross""#, plugins: String = "") -> String {
        """
        { "version": 1, "mode": "paper", "state": "state", "seed": 7,
          "plugins": {
            "sim": { "component": "keel.sim", "file": "Sim",
                     "config": { "length": "6h", "fill": "this-tick", "trade_gap": "2s", "history": 60, "prices": { "BTC/USDT": "60000" } } },
            "cross": { "component": "keel.emacross", "file": "EMACross", "config": { "fast": 3, "slow": 8, "quantity": "0.01" } },
            \(plugins)
            "direct": { "component": "keel.direct", "file": "DirectRouter" } },
          "instruments": { "BTC/USDT": { "kind": "spot", "tick": "0.01", "lot": "0.00001" } },
          "pipelines": [ { "name": "btc", "feeds": ["sim"], "instruments": ["BTC/USDT"], "bars": ["1m"],
            "decide": { \(decide) }, "risk": { "losing_streak": null\(risk) }, "route": "direct", "broker": "sim", "capital": "10000" } ] }
        """
    }

    static let libraries = ["Sim", "EMACross", "DirectRouter"]
    static let isBuilt = (try? KeelProgram(libraries: libraries)) ?? nil != nil
    static let withModel = (try? KeelProgram(libraries: libraries + ["Claude"])) ?? nil != nil

    private func counts(_ parity: JSONValue) throws -> (matched: Int, missed: [String], extra: [String]) {
        (
            try parity["matched"].list.count, try parity["missed"].list.map { try $0["why"].text }, try parity["extra"].list.map { try $0["why"].text }
        )
    }

    @Test("a paper run, recorded and backtested, agrees order by order; other settings differ, and each difference has its reason", .enabled(if: isBuilt, "the program and its plugins are not built beside the tests"))
    func recordedAndCompared() throws {
        let keel = try #require(try KeelProgram(libraries: Self.libraries))
        try keel.write("plugins.json", Self.manifest(risk: #", "cooldown": "20m""#))
        _ = try keel.good("run", "plugins.json", "--until", "end", "--speed", "max")

        // What the run saw becomes a tape.
        let recorded = try keel.good("data", "record", "plugins.json", "--out", "run.tape", "--json").json
        let seen = try recorded["records"].int
        #expect(seen > 5_000)
        #expect(try recorded["missing"].list.isEmpty)
        #expect(try keel.good("data", "info", "run.tape", "--json").json["records"].int == seen)
        // It isn't written over by accident.
        #expect(try keel.run(["data", "record", "plugins.json", "--out", "run.tape"]).code != 0)

        // The same settings over it: the same orders at the same times.
        _ = try keel.good("backtest", "plugins.json", "--tape", "run.tape", "--out", "same.json", "--no-lookahead")
        let same = try keel.good("report", "--parity", "state", "same.json", "--json").json
        let agreed = try counts(same)
        #expect(agreed.matched >= 4 && agreed.missed.isEmpty && agreed.extra.isEmpty, "\(agreed)")
        for pair in try same["matched"].list {
            #expect(try pair["delay"].int64 == 0)
            #expect(try pair["quantity_share"].double == 1)
        }
        let text = try keel.good("report", "--parity", "plugins.json", "same.json").out
        #expect(text.contains("\(agreed.matched) agree, 0 only in the backtest, 0 only live") && text.contains("latency  median 0 ms"))

        // Without the pause between trades the backtest does what risk refused live.
        _ = try keel.good("backtest", "plugins.json", "--tape", "run.tape", "--out", "free.json", "--no-lookahead", "--set", "pipelines.btc.risk.cooldown=0s")
        let free = try counts(try keel.good("report", "--parity", "state", "free.json", "--json").json)
        #expect(free.missed.contains("refused live: cooldown"), "\(free)")

        // A venue that is slower in the backtest: live was earlier, and traded at other prices.
        _ = try keel.good("backtest", "plugins.json", "--tape", "run.tape", "--out", "late.json", "--no-lookahead", "--set", "plugins.sim.config.latency=5s")
        let late = try keel.good("report", "--parity", "state", "late.json", "--json").json["matched"].list
        #expect(!late.isEmpty)
        for pair in late { #expect(try pair["delay"].int64 <= -5_000_000_000) }
    }

    @Test("a pipeline with a model is refused, saying how to record it, and nothing is called; from records it runs", .enabled(if: withModel, "the program and the Claude plugin are not built beside the tests"))
    func modelsNeedRecords() throws {
        let keel = try #require(try KeelProgram(libraries: Self.libraries + ["Claude"]))
        let model = """
            "claude": { "component": "keel.claude", "file": "Claude", "secrets": ["anthropic.key"],
                        "config": { "key": { "$secret": "anthropic.key" }, "record": "answers.jsonl", "endpoint": "https://127.0.0.1:1" } },
            """
        try keel.write("plugins.json", Self.manifest(decide: #""primary": "claude", "fallback": "cross""#, plugins: model))
        _ = try keel.good("data", "synth", "made.tape", "--bars", "500", "--instrument", "BTC/USDT")
        for verb in [["backtest"], ["sweep", "--vary", "pipelines.btc.risk.cooldown=0s,5m"]] {
            let refused = try keel.run([verb[0], "plugins.json", "--tape", "made.tape"] + verb.dropFirst())
            #expect(refused.code == 6 && refused.out == "", "\(verb): \(refused)")
            for words in ["\"claude\"", "keel.claude", "plugins.claude.config.record", "plugins.claude.component=keel.claude.recorded", "decide.primary="] {
                #expect(refused.error.contains(words), "\(verb): \(words) is not in \(refused.error)")
            }
        }
        #expect(!keel.has("answers.jsonl"))

        // The way it names: the recorded answers in the place of the model. A question nobody recorded goes to the fallback.
        try keel.write("answers.jsonl", "")
        let ended = try keel.good(
            "backtest", "plugins.json", "--tape", "made.tape", "--json", "--no-lookahead", "--set", "plugins.claude.component=keel.claude.recorded", "--set",
            #"plugins.claude.config={"record": "answers.jsonl"}"#)
        let answered = try ended.json["deciders"].list.map { (try $0["decider"].text, try $0["asked"].int) }
        #expect(answered.contains { $0.0 == "cross" && $0.1 > 0 }, "\(answered)")
        // Another decider, as it says too.
        _ = try keel.good("backtest", "plugins.json", "--tape", "made.tape", "--no-lookahead", "--set", #"pipelines.btc.decide={"primary": "cross"}"#)
    }
}
