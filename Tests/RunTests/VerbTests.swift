import Foundation
import Glibc
import HostLedger
import HostRun
import PluginKit
import Testing

/// The verbs against a real host on the simulated venue.
@Suite(.serialized, .enabled(if: Built.isComplete, "the keel program is not built"))
struct VerbTests {
    let temporary = TemporaryFolder("verbs")
    var manifest: String { temporary.path + "/plugins.json" }
    var state: String { temporary.path + "/state" }

    func write(decide: String = #"{ "primary": "ema" }"#, mode: String = "paper", extra: String = "", quantity: String = "2") throws {
        let text = """
            { "version": 1, "mode": "\(mode)", "state": "state",
              "plugins": {
                "sim": { "component": "keel.sim", "file": "Sim", "config": { "trade_gap": "1s", "history": 30 } },
                "ema": { "component": "keel.emacross", "file": "EMACross", "config": { "quantity": "\(quantity)", "fast": 3, "slow": 8, "warmup": 8 } },
                "z": { "component": "keel.zscore", "file": "ZScore" },
                "direct": { "component": "keel.direct", "file": "DirectRouter" } },
              "instruments": {
                "BTC/USDT": { "kind": "spot", "tick": "0.01", "lot": "0.00001" }, "ETH/USDT": { "kind": "spot", "tick": "0.01", "lot": "0.00001" } },
              "pipelines": [
                { "name": "btc", "feeds": ["sim"], "instruments": ["BTC/USDT"], "bars": ["1m"], "gate": { "candle": "1m" }, "risk": { "losing_streak": null },
                  "decide": \(decide), "route": "direct", "broker": "sim", "capital": "10000" }\(extra) ] }
            """
        try text.write(toFile: manifest, atomically: true, encoding: .utf8)
    }

    func keel(_ arguments: [String], environment: [String: String] = [:], within seconds: Double = 180) throws -> (code: Int32, said: String) {
        let child = try Child(Built.keel, arguments, environment: environment, output: temporary.path + "/verb-\(UUID().uuidString.prefix(8)).log")
        return (child.end(within: seconds)?.code ?? -1, child.said)
    }

    func host(_ arguments: [String]) throws -> Child {
        try Child(Built.keel, ["run", manifest, "--quiet"] + arguments, output: temporary.path + "/host-\(UUID().uuidString.prefix(8)).log")
    }

    /// Until the host answers and `condition` holds of its status.
    func status(within seconds: Double = 20, until condition: (HostStatusReport) -> Bool) throws -> HostStatusReport {
        let limit = Date().addingTimeInterval(seconds)
        var last = "never answered"
        while Date() < limit {
            let answer = try keel(["status", manifest, "--json"])
            last = answer.said
            if answer.code == 0, let report = try? JSONDecoder().decode(HostStatusReport.self, from: Data(answer.said.utf8)), condition(report) {
                return report
            }
            usleep(20_000)
        }
        throw RunError.timedOut(last)
    }

    @Test func aDefaultRunEndsWithASummaryAndReplaysToTheSameBytes() throws {
        try write()
        let first = try keel(["run", manifest, "--until", "6h", "--json"])
        #expect(first.code == 0, "\(first.said)")
        let summary = try JSONDecoder().decode(RunSummary.self, from: Data(first.said.utf8))
        #expect(summary.pipelines[0].decisions > 100 && summary.pipelines[0].fills > 0)
        #expect(summary.simulatedSeconds == 6 * 3600)
        let second = try keel(["run", manifest, "--until", "6h", "--json"])
        #expect(second.code == 0)
        for run in ["1", "last"] {
            let replay = try keel(["replay", run, manifest, "--verify", "--json"])
            #expect(replay.code == 0, "\(replay.said)")
            let report = try #require(try JSONDecoder().decode([ReplayReport].self, from: Data(replay.said.utf8)).first)
            #expect(report.difference == nil && report.inputs > 10_000)
        }
        // The second run went on where the first ended: in time, and from its state.
        #expect(try keel(["replay", "1", manifest, "--verify"]).said.contains("run 2 went on"))
    }

    @Test func theSameSeedGivesTheSameRun() throws {
        try write()
        let first = try keel(["run", manifest, "--until", "2h", "--json"])
        try FileManager.default.removeItem(atPath: state)
        let second = try keel(["run", manifest, "--until", "2h", "--json"])
        let a = try JSONDecoder().decode(RunSummary.self, from: Data(first.said.utf8)), b = try JSONDecoder().decode(RunSummary.self, from: Data(second.said.utf8))
        #expect(a.events == b.events && a.pipelines == b.pipelines)
    }

    /// However fast the clock runs, and however far the machine falls behind it, the same things happen at the same times.
    /// Simulated venue, decider and router each in a worker of its own: nothing but the folder's name tells the runs apart.
    @Test func isolationMakesNoDifference() throws {
        func run(_ isolation: String) throws -> (summary: RunSummary, orders: String, decisions: String) {
            try write()
            let text = try String(contentsOfFile: manifest, encoding: .utf8)
            var isolated = text
            for component in ["keel.sim", "keel.emacross", "keel.direct"] {
                isolated = isolated.replacingOccurrences(of: "\"component\": \"\(component)\",", with: "\"component\": \"\(component)\", \"isolation\": \"\(isolation)\",")
            }
            try isolated.write(toFile: manifest, atomically: true, encoding: .utf8)
            try? FileManager.default.removeItem(atPath: state)
            // Each step is a round trip to three workers: an hour of market is enough, and a busy machine gets its time.
            let ended = try keel(["run", manifest, "--until", "1h", "--json"], within: 400)
            #expect(ended.code == 0, "\(isolation): \(ended.said)")
            let orders = try keel(["orders", "--manifest", manifest, "--json"])
            let decisions = try keel(["decisions", "--manifest", manifest, "--json"])
            #expect(orders.code == 0 && decisions.code == 0)
            let replay = try keel(["replay", "last", manifest, "--verify", "--json"])
            #expect(replay.code == 0, "\(isolation): \(replay.said)")
            return (try JSONDecoder().decode(RunSummary.self, from: Data(ended.said.utf8)), orders.said, decisions.said)
        }
        let inside = try run("none"), outside = try run("process")
        #expect(inside.summary.simulatedSeconds == 3600 && outside.summary.simulatedSeconds == 3600)
        #expect(inside.summary.pipelines[0].fills > 0)
        #expect(inside.summary.pipelines == outside.summary.pipelines)
        #expect(inside.orders == outside.orders && inside.orders.count > 100)
        #expect(inside.decisions == outside.decisions && inside.decisions.count > 1000)
    }

    @Test func aBacktestRunsIsolatedPluginsTheSame() throws {
        try write()
        let tape = temporary.path + "/market.tape"
        #expect(try keel(["data", "synth", tape, "--instrument", "BTC/USDT", "--bars", "3000", "--tick", "0.01", "--lot", "0.00001", "--seed", "5"]).code == 0)
        func backtest(_ isolation: String) throws -> String {
            let ended = try keel(
                ["backtest", manifest, "--tape", tape, "--json", "--set", "plugins.sim.isolation=\(isolation)", "--set", "plugins.ema.isolation=\(isolation)",
                 "--set", "plugins.direct.isolation=\(isolation)"])
            #expect(ended.code == 0, "\(isolation): \(ended.said.prefix(2000))")
            return ended.said.replacingOccurrences(of: "isolation=\(isolation)", with: "isolation")
        }
        let inside = try backtest("none"), outside = try backtest("process")
        #expect(inside.contains("\"fills\""))
        #expect(VerbTests.withoutTimings(inside) == VerbTests.withoutTimings(outside))
    }

    /// A result without what the machine's clock says.
    static func withoutTimings(_ json: String) -> String {
        guard var value = try? JSONValue(parsing: json) else { return json }
        value.set("seconds", nil)
        return value.text(.canonical)
    }

    @Test func aRunComesToTheSameAtEverySpeed() throws {
        try write()
        let fastest = try keel(["run", manifest, "--until", "2h", "--json"])
        try FileManager.default.removeItem(atPath: state)
        let paced = try keel(["run", manifest, "--until", "2h", "--speed", "2000x", "--json"])
        let a = try JSONDecoder().decode(RunSummary.self, from: Data(fastest.said.utf8)), b = try JSONDecoder().decode(RunSummary.self, from: Data(paced.said.utf8))
        #expect(a.pipelines == b.pipelines)
        #expect(a.criticalAlerts == b.criticalAlerts)
    }

    @Test func aChangedJournalDoesNotVerify() throws {
        try write()
        #expect(try keel(["run", manifest, "--until", "2h"]).code == 0)
        // Another manifest under the recorded run: the same inputs now lead elsewhere.
        let path = RunFolder(state).journal(run: 1)
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        bytes[bytes.count / 2] ^= 1
        try bytes.write(to: URL(fileURLWithPath: path))
        #expect(try keel(["replay", "1", manifest, "--verify"]).code == 7)
    }

    @Test func verbsSayThatNothingRuns() throws {
        try write()
        for verb in ["status", "stop", "restart", "flatten", "monitor"] {
            let answer = try keel([verb, manifest])
            #expect(answer.code == 3, "keel \(verb): \(answer.said)")
        }
        #expect(try keel(["doctor", manifest, "--offline"]).code == 0)
    }

    @Test func realMoneyIsRefusedWithoutAllThreeSwitches() throws {
        try write(mode: "live")
        #expect(try keel(["run", manifest, "--until", "1m"]).code == 6)
        let armed = try keel(["run", manifest, "--until", "1m"], environment: ["LIVE_TRADING": "true"])
        // The simulated venue says that its endpoints are not live.
        #expect(armed.code == 6 && armed.said.contains("sim"), "\(armed.said)")
        #expect(!FileManager.default.fileExists(atPath: state + "/ledger.db"))
    }

    @Test func theKillSwitchWorksWithAndWithoutAHost() throws {
        try write()
        #expect(try keel(["kill", "on", manifest, "--reason", "drill"]).code == 0)
        let halted = try keel(["run", manifest, "--until", "6h", "--json"])
        let none = try JSONDecoder().decode(RunSummary.self, from: Data(halted.said.utf8))
        #expect(none.pipelines[0].orders == 0)
        #expect(try keel(["kill", "", manifest]).code == 2)
        #expect(try keel(["kill", "off", manifest]).code == 0)

        let host = try host(["--speed", "60x"])
        _ = try status { $0.isOpen }
        #expect(try keel(["kill", "on", manifest]).code == 0)
        #expect(try status { $0.isKilled }.isKilled)
        try FileManager.default.removeItem(atPath: state + "/KILL")
        #expect(try status { !$0.isKilled }.isKilled == false)
        #expect(try keel(["stop", manifest]).code == 0)
        #expect(host.end(within: 20)?.code == 0)
    }

    @Test func monitorPassesOnAHealthyHostAndSignalsStopIt() throws {
        try write()
        let host = try host(["--speed", "600x"])
        _ = try status { $0.isOpen && $0.events > 1_500 }
        let watched = try keel(["monitor", manifest, "--for", "20", "--json"])
        #expect(watched.code == 0, "\(watched.said)")
        let evidence = try JSONDecoder().decode(Evidence.self, from: Data(watched.said.utf8))
        for claim in Evidence.Claim.expected { #expect(evidence[claim].verdict == .pass, "\(claim.rawValue): \(evidence[claim].detail)") }
        host.signal(SIGTERM)
        #expect(host.end(within: 20)?.code == 0, "\(host.said)")
        let run = try #require(try LedgerReader(path: state + "/ledger.db").runs(last: 1).first)
        #expect(run.how == "stopped" && run.ended != nil)
    }

    @Test func flattenClosesEverything() throws {
        try write()
        let host = try host(["--speed", "3000x"])
        _ = try status(within: 60) { !($0.pipelines.first?.positions.isEmpty ?? true) }
        #expect(try keel(["kill", "on", manifest]).code == 0)
        let flat = try keel(["flatten", manifest])
        #expect(flat.code == 0 && flat.said.contains("flat"), "\(flat.said)")
        #expect(try status { $0.pipelines[0].positions.isEmpty }.pipelines[0].positions.isEmpty)
        #expect(try keel(["stop", manifest]).code == 0)
        #expect(host.end(within: 20)?.code == 0)
    }

    // MARK: Restarting with something new

    @Test func aBrokenManifestDoesNotStopAHealthyHost() throws {
        try write()
        let host = try host(["--speed", "60x"])
        let before = try status { $0.isOpen }
        try write(decide: #"{ "primary": "nobody" }"#)
        let refused = try keel(["restart", manifest])
        #expect(refused.code == 4 && refused.said.contains("nobody"), "\(refused.said)")
        let after = try status { _ in true }
        #expect(after.run == before.run && after.isOpen)
        #expect(try keel(["stop", manifest]).code == 0)
        #expect(host.end(within: 20)?.code == 0)
    }

    @Test func aNewDeciderAFallbackAndAPipelineArriveByRestart() throws {
        try write()
        let host = try host(["--speed", "3000x"])
        let held = try status(within: 60) { !($0.pipelines.first?.positions.isEmpty ?? true) }
        #expect(try keel(["kill", "on", manifest]).code == 0)
        try write(
            decide: #"{ "primary": "z", "fallback": "ema" }"#,
            extra: #", { "name": "eth", "feeds": ["sim"], "instruments": ["ETH/USDT"], "bars": ["1m"], "decide": { "primary": "ema" }, "route": "direct", "broker": "sim", "capital": "5000" }"#)
        let answer = try keel(["restart", manifest, "--json"])
        let report = try JSONDecoder().decode(RestartReport.self, from: Data(answer.said.utf8))
        #expect(report.pid == host.process.processIdentifier)
        // The kill switch is on, and no reason to wait for entries.
        #expect(answer.code == 0 && report.differences.isEmpty, "\(answer.said)")
        #expect(report.gapMilliseconds > 0 && report.gapMilliseconds < 9_000)
        #expect(report.changes.first { $0.instance == "z" }?.kind == .added)
        #expect(report.changes.first { $0.instance == "sim" }?.kind == .same)
        let after = try status { $0.pipelines.count == 2 }
        #expect(after.run == held.run + 1 && after.isKilled)
        let folder = RunFolder(state)
        let before = try Replay.replay(journal: folder.journal(run: held.run))
        let origin = try Replay.origin(journal: folder.journal(run: after.run))
        #expect(origin.follows == held.run)
        #expect(Replay.difference(between: before.state, and: origin.restored) == nil)
        #expect(try keel(["stop", manifest]).code == 0)
        #expect(host.end(within: 20)?.code == 0, "\(host.said)")
        for run in folder.recordedRuns() {
            let outcome = try Replay.replay(journal: folder.journal(run: run))
            #expect(outcome.report.difference == nil, "run \(run): \(outcome.report.difference ?? "")")
        }
    }

    @Test func sighupRestartsInPlace() throws {
        try write()
        let host = try host(["--speed", "60x"])
        let before = try status { $0.isOpen }
        host.signal(SIGHUP)
        let after = try status { $0.run == before.run + 1 && $0.isOpen }
        #expect(after.pid == before.pid)
        #expect(FileManager.default.fileExists(atPath: state + "/restart.json"))
        #expect(try keel(["stop", manifest]).code == 0)
        #expect(host.end(within: 20)?.code == 0)
    }
}
