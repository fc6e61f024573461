import Foundation
import Glibc
import HostCore
import HostLedger
import HostManifest
import HostPlugins
import PluginAPI
import PluginKit

/// The figures of a running host, measured on the real path: bundled plugins through their C tables, the engine, the ledger.
public enum RunFigures {
    /// Where the bundled plugins and the keel program are; temporary state goes into a folder of its own.
    public struct Bench {
        public var program: String
        public var folder: String

        /// program: the keel program; plugins are looked for beside it.
        public init(program: String) throws(RunError) {
            self.program = program
            folder = NSTemporaryDirectory() + "/keel-bench-\(UUID().uuidString)"
            guard mkdir(folder, 0o700) == 0 else { throw .system(call: "mkdir", what: folder, code: errno) }
        }

        public func remove() { try? FileManager.default.removeItem(atPath: folder) }

        func loader() throws(RunError) -> Loader {
            let beside = (program as NSString).deletingLastPathComponent
            do throws(LoadError) {
                return try Loader(.init(cache: folder + "/cache", bundled: [beside, beside + "/../lib/keel/plugins"], program: program))
            } catch { throw .invalid(["\(error)"]) }
        }
    }

    static func manifest(gap: String) -> String {
        """
        { "version": 1, "mode": "paper", "state": "state",
          "plugins": {
            "sim": { "component": "keel.sim", "file": "Sim", "config": { "fill": "this-tick", "trade_gap": "\(gap)", "history": 2 } },
            "bench": { "component": "keel.emacross", "file": "EMACross" },
            "direct": { "component": "keel.direct", "file": "DirectRouter" } },
          "instruments": { "BTC/USDT": { "kind": "spot", "tick": "0.01", "lot": "0.00001" } },
          "pipelines": [ { "name": "bench", "feeds": ["sim"], "instruments": ["BTC/USDT"], "bars": ["1m"],
            "gate": { "candle": null, "timer": false, "price_z": null, "volume_z": null, "watchdog": null },
            "decide": { "primary": "bench" },
            "risk": { "max_fraction": "1", "daily_loss": null, "drawdown": null, "losing_streak": null, "orders_per_minute": null,
                      "price_collar": null, "cooldown": "0s", "kelly": null },
            "position": { "stop_loss": null, "trailing": null, "atr_multiple": null, "exit_probability": null, "review": null },
            "route": "direct", "broker": "sim", "capital": "1000000" } ] }
        """
    }

    /// A composition of bundled plugins, the decider replaced by one that trades at every tick (or holds at every tick).
    private static func composition(_ bench: Bench, state: String, hold: Bool, watch: Bool) throws(RunError) -> Composition {
        let text = manifest(gap: "250ms")
        let file = ManifestFile(name: bench.folder + "/plugins.json", folder: bench.folder, bytes: Array(text.utf8))
        let report = ManifestReader(environment: [:], checksSecrets: false).check(file)
        var composition = try Composer.compose(report, loader: try bench.loader(), environment: [:])
        composition.statePath = bench.folder + "/" + state
        guard let tables = ComponentTables(BenchDecider.component()) else { throw .control("the bench decider has no tables") }
        for index in composition.plugins.indices where composition.plugins[index].entry.name == "bench" {
            composition.plugins[index].home = .engine(tables)
            composition.plugins[index].config = #"{"quantity":"1","hold":\#(hold),"watch":\#(watch)}"#
        }
        return composition
    }

    /// A started host as fast as the machine. `hold`: the decider answers every question with hold; `watch`: it never asks to be asked.
    static func host(_ bench: Bench, state: String, hold: Bool = false, watch: Bool = false, usesDisk: Bool = false) throws(RunError) -> LiveHost {
        var options = LiveHost.Options()
        options.pace = .simulated(start: LiveHost.simulatedStart, speed: nil)
        options.isQuiet = true
        options.reserve = 0
        options.usesDisk = usesDisk
        let host = try LiveHost(try composition(bench, state: state, hold: hold, watch: watch), options: options)
        try host.open()
        try host.start()
        return host
    }

    /// From a tick taken in to the simulated venue's submit: gate, snapshot, decision, risk, router, intent. With `durable` the intent
    /// is on the disk in between, without it every record is made and none is written.
    public static func tickToSubmit(_ bench: Bench, durable: Bool, orders: Int) throws(RunError) -> Latency {
        let host = try host(bench, state: "latency-\(durable)", usesDisk: durable)
        let probe = LatencyProbe(capacity: orders + orders / 10)
        host.measure(probe)
        host.run { probe.times.count >= orders + orders / 10 }
        host.shutDown(how: "measured", why: "measured")
        // The first tenth warms caches and branch predictors.
        return Latency(Array(probe.times.dropFirst(orders / 10)))
    }

    /// Resident memory after a tenth and after all of so many decisions, in bytes.
    public static func memory(_ bench: Bench, decisions: Int) throws(RunError) -> (early: Int, late: Int) {
        let host = try host(bench, state: "memory", hold: true)
        host.run { host.decisions >= max(decisions / 10, 1) }
        let early = residentMemory()
        host.run { host.decisions >= decisions }
        let late = residentMemory()
        host.shutDown(how: "measured", why: "measured")
        return (early, late)
    }

    /// Of this process, in bytes.
    public static func residentMemory() -> Int {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// From the start of the process to its first market event, in milliseconds; warm: its libraries were checked before.
    public static func startToFirstEvent(_ bench: Bench, rounds: Int) throws(RunError) -> [Double] {
        let manifest = try write(bench, "start")
        var times: [Double] = []
        for round in 0...rounds {
            let began = HostClock.monotonic()
            let output = try run(bench, ["run", manifest, "--until", "1m", "--json", "--quiet"])
            guard let summary = try? JSONDecoder().decode(RunSummary.self, from: output) else { throw .control("keel run did not end well") }
            // The first round fills the cache of verified libraries.
            if round > 0 { times.append(Double(summary.firstEventMonotonic - began) / 1e6) }
        }
        return times.sorted()
    }

    /// Gate closed to gate open of `keel restart`, in milliseconds, on the simulated venue in real time.
    public static func restartGap(_ bench: Bench, rounds: Int) throws(RunError) -> [Double] {
        let manifest = try write(bench, "restart")
        let host = Process()
        host.executableURL = URL(fileURLWithPath: bench.program)
        host.arguments = ["run", manifest, "--speed", "1x", "--until", "1h", "--quiet"]
        host.standardOutput = FileHandle.nullDevice
        host.standardError = FileHandle.nullDevice
        do { try host.run() } catch { throw .control("\(bench.program) cannot be run: \(error)") }
        defer {
            _ = try? run(bench, ["stop", manifest])
            host.waitUntilExit()
        }
        var gaps: [Double] = []
        let limit = HostClock.monotonic() + 30_000_000_000
        while gaps.count < rounds, HostClock.monotonic() < limit {
            guard let output = try? run(bench, ["restart", manifest, "--json"]),
                let report = try? JSONDecoder().decode(RestartReport.self, from: output)
            else {
                // It is not listening yet.
                usleep(20_000)
                continue
            }
            gaps.append(report.gapMilliseconds)
        }
        if gaps.isEmpty { throw .timedOut("no restart came to an end") }
        return gaps.sorted()
    }

    private static func write(_ bench: Bench, _ name: String) throws(RunError) -> String {
        let folder = bench.folder + "/" + name
        mkdir(folder, 0o700)
        let path = folder + "/plugins.json"
        try RunFolder.replace(path, with: Data(manifest(gap: "250ms").utf8))
        return path
    }

    public static func run(_ bench: Bench, _ arguments: [String]) throws(RunError) -> Data {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: bench.program)
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        do { try process.run() } catch { throw .control("\(bench.program) cannot be run: \(error)") }
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw .control("keel \(arguments.joined(separator: " ")) ended with \(process.terminationStatus)") }
        return bytes
    }
}
