import Foundation
import HostBacktest
import PluginKit
import Tape

/// The keel program as a person starts it: from before its start to after its end.
enum ProgramFigures: FigureGroup {
    static let name = "program"

    static func run(_ bench: Bench) throws {
        if bench.wants("program check") {
            let manifest = try defaultManifest(bench)
            // The first look fills the cache of verified libraries.
            _ = try Program.run(bench.keel, ["check", manifest])
            let values = try bench.measure("keel check", max(bench.runs, 5)) { try Program.run(bench.keel, ["check", manifest]).elapsed * 1000 }
            bench.report(Figure(name: "keel check, the default manifest", values: values, unit: .milliseconds, hold: .under(150), note: "start to end"))
        }
        if bench.wants("program backtest") { try backtest(bench) }
        if bench.wants("program sweep") { try sweep(bench) }
    }

    /// The default manifest beside state of its own.
    private static func defaultManifest(_ bench: Bench) throws -> String {
        let target = bench.path("plugins.json")
        if !FileManager.default.fileExists(atPath: target) {
            let root = ((bench.settings.examples as NSString).deletingLastPathComponent as NSString).deletingLastPathComponent
            try FileManager.default.copyItem(atPath: root.isEmpty ? "plugins.json" : root + "/plugins.json", toPath: target)
        }
        return target
    }

    private static func example(_ bench: Bench, _ name: String) throws -> String {
        let target = bench.path("\(name).json")
        if !FileManager.default.fileExists(atPath: target) { try FileManager.default.copyItem(atPath: "\(bench.settings.examples)/\(name).json", toPath: target) }
        return target
    }

    private static func backtest(_ bench: Bench) throws {
        let manifest = try example(bench, "emacross")
        let tape = try bench.tape(.bars, 1_000_000)
        let arguments = ["backtest", manifest, "--tape", tape.path, "--json", "--no-lookahead"]
        _ = try Program.run(bench.keel, arguments)
        let values = try bench.measure("keel backtest") { try Program.run(bench.keel, arguments).elapsed * 1000 }
        let peaks = try bench.measure("keel backtest, memory", min(bench.runs, 3)) { try Program.peak(bench.keel, arguments) }
        bench.report(Figure(name: "keel backtest, start to end", values: values, unit: .milliseconds, note: "EMA cross, one million bars, loading and JSON included"))
        bench.report(Figure(name: "keel backtest, peak memory", values: peaks, unit: .megabytes, hold: .under(200), note: "of the whole process, mapped tape included"))
        let csv = try bench.csv(tape, "bars.csv")
        let imports = try bench.measure("keel data import") {
            let target = bench.path("program.tape")
            defer { try? FileManager.default.removeItem(atPath: target) }
            return try Program.run(bench.keel, ["data", "import", csv, "--out", target]).elapsed * 1000
        }
        bench.report(Figure(name: "keel data import, start to end", values: imports, unit: .milliseconds, note: "one million bars of 8 columns"))
    }

    /// The same sweep with one thread and with one a core: elapsed against elapsed.
    private static func sweep(_ bench: Bench) throws {
        let manifest = try example(bench, "emacross")
        let tape = try bench.tape(.bars, bench.settings.long ? 50_000 : 20_000)
        let cores = ProcessInfo.processInfo.activeProcessorCount
        var ones: [Double] = []
        var gains: [Double] = []
        for run in 0..<min(bench.runs, 3) {
            var elapsed: [Double] = []
            for jobs in [1, cores] {
                bench.step("sweep with \(jobs) threads, run \(run + 1)")
                let store = bench.path("sweep-\(run)-\(jobs).db")
                let outcome = try Program.run(
                    bench.keel,
                    [
                        "sweep", manifest, "--tape", tape.path, "--vary", "plugins.emacross.config.fast=5..29:1", "--vary", "plugins.emacross.config.slow=30..69:1",
                        "--db", store, "--jobs", "\(jobs)", "--json",
                    ])
                elapsed.append(outcome.elapsed)
            }
            ones.append(elapsed[0] * 1000)
            gains.append(elapsed[0] / elapsed[1])
        }
        bench.report(Figure(name: "sweep of 1,000 runs, one thread", values: ones, unit: .milliseconds, note: "start to end, \(tape.blocks.reduce(0) { $0 + $1.count }) bars a run"))
        bench.report(
            Figure(
                name: "sweep of 1,000 runs, gain of \(cores) threads", values: gains, unit: .times, hold: .atLeast(0.9 * Double(cores)),
                note: "elapsed with one thread by elapsed with \(cores); needs an idle machine"))
    }
}
