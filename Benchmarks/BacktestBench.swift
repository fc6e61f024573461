import Foundation
import Glibc
import HostBacktest
import HostCore
import HostManifest
import HostPlugins
import PluginAPI
import PluginKit
import Tape

struct BenchError: Error, CustomStringConvertible { var description: String }

/// Tapes, imports and whole pipelines over them.
struct BacktestBench {
    let folder: String
    let plugins: String
    let examples: String
    let runs: Int
    /// Only the parts whose name has this in it; empty: all.
    var only = ""

    private func wants(_ part: String) -> Bool { only.isEmpty || part.contains(only) }

    private func path(_ name: String) -> String { folder + "/" + name }

    private func tables(_ library: String) throws -> ComponentTables {
        let file = "\(plugins)/lib\(library).so"
        guard let handle = dlopen(file, RTLD_NOW | RTLD_LOCAL | Int32(RTLD_NODELETE)), let symbol = dlsym(handle, "keel_plugin_entry") else {
            throw BenchError(description: dlerror().map { String(cString: $0) } ?? file)
        }
        typealias Entry = @convention(c) (UInt32) -> UnsafePointer<keel_library>?
        guard let found = unsafeBitCast(symbol, to: Entry.self)(KEEL_ABI_MAJOR), let component = found.pointee.components[0], let tables = ComponentTables(component)
        else { throw BenchError(description: "\(file) has no component") }
        return tables
    }

    private func synth(_ content: SyntheticTape.Request.Content, _ count: Int, _ name: String) throws -> TapeFile {
        var request = SyntheticTape.Request()
        request.content = content
        request.count = count
        request.instruments = [TapeInstrument(symbol: "BTC/USDT", tick: request.settings.tick, lot: request.settings.lot)]
        try? FileManager.default.removeItem(atPath: path(name))
        try SyntheticTape.write(request, to: path(name))
        return try TapeFile(path(name))
    }

    private func backtest(_ example: String, _ tape: TapeFile, _ changes: [ManifestChange] = []) throws -> Backtest {
        let file = try ManifestFile(reading: "\(examples)/\(example).json")
        let report = try ManifestChange.read(file, changes, reader: ManifestReader(environment: [:], checksSecrets: false))
        guard let manifest = report.manifest else { throw BenchError(description: report.text) }
        var request = Backtest.Request(manifest: manifest)
        request.tapes = [tape]
        let loaded = try manifest.plugins.map {
            BacktestPlugin(name: $0.name, tables: try tables($0.file), config: String(decoding: $0.config.bytes(.compact), as: UTF8.self))
        }
        return try Backtest(request, plugins: loaded)
    }

    /// The fixed loop every other figure is divided by: an EMA cross over closes in memory, compiled with this program.
    private func loop(_ closes: [Int64]) -> Double {
        var result = 0.0
        let seconds = Measure.seconds {
            for _ in 0..<20 {
                var fast = Double(closes[0]) * 1e-8
                var slow = fast
                var crossings = 0
                var before = 0.0
                for close in closes {
                    let c = Double(close) * 1e-8
                    fast = 2.0 / 11 * c + (1 - 2.0 / 11) * fast
                    slow = 2.0 / 21 * c + (1 - 2.0 / 21) * slow
                    let d = fast - slow
                    if (before <= 0) != (d <= 0) { crossings += 1 }
                    before = d
                }
                result += Double(crossings)
            }
        }
        return result > 0 ? seconds / 20 / Double(closes.count) * 1e9 : .nan
    }

    func figures(_ report: (Figure) -> Void) throws {
        // Bars.
        let bars = try synth(.bars, 1_000_000, "bars.tape")
        var closes: [Int64] = []
        closes.reserveCapacity(1_000_000)
        let cursor = TapeCursor(bars)
        while let span = try cursor.next() {
            span.forEach { closes.append(UnsafeRawPointer($0).assumingMemoryBound(to: keel_ev_bar.self).pointee.bar.close) }
        }
        report(Figure(name: "fixed loop, a bar", values: (0..<runs).map { _ in loop(closes) }, unit: "ns", note: "an EMA cross over closes in memory"))
        closes = []

        if wants("bars") {
        report(
            Figure(
                name: "tape: read and check", values: try (0..<runs).map { _ in try 1e6 / Measure.seconds { try bars.verify() } }, unit: "records/s",
                note: "one million bars, every checksum"))
        var engine: [Double] = []
        var whole: [Double] = []
        var fills = 0
        for _ in 0..<runs {
            let run = try backtest("emacross", bars)
            var result = BacktestResult()
            let seconds = try Measure.seconds { result = try run.run() }
            engine.append(1e6 / result.engineProcessorSeconds)
            whole.append(seconds)
            fills = result.fills.count
        }
        report(Figure(name: "EMA cross, engine only", values: engine, unit: "bars/s", hold: .atLeast(10e6), note: "one million one-minute bars, \(fills) fills"))
        report(Figure(name: "EMA cross, with instances and report data", values: whole.map { $0 * 1000 }, unit: "ms"))
        report(Figure(name: "memory so far", values: [Measure.peakMemory], unit: "MB", hold: .under(200), note: "peak of this process, mapped tape included"))

        }

        // Orders on every tick: the z-score decider made to trade always.
        for count in [100_000, 200_000, 400_000] where wants("orders \(count / 1000)k") {
            let few = try synth(.trades, count, "few-\(count).tape")
            var perOrder: [Double] = []
            var orders = 0
            for _ in 0..<runs {
                let run = try backtest(
                    "zscore", few,
                    [
                        ManifestChange(path: "plugins.zscore.config.z", value: "0"), ManifestChange(path: "plugins.zscore.config.warmup", value: "0"),
                        ManifestChange(path: "plugins.zscore.config.cooldown", value: "0s"),
                    ])
                let result = try run.run()
                orders = result.fills.count
                perOrder.append(result.engineProcessorSeconds / Double(max(1, result.fills.count)) * 1e9)
            }
            report(
                Figure(
                    name: "an order on every tick, \(count / 1000)k ticks", values: perOrder, unit: "ns an order", hold: .under(1000), note: "\(orders) fills"))
        }

        // Ticks.
        if wants("ticks") {
        let ticks = try synth(.trades, 5_000_000, "ticks.tape")
        var perTick: [Double] = []
        var fills = 0
        for _ in 0..<runs {
            let result = try backtest("zscore", ticks).run()
            perTick.append(result.engineProcessorSeconds / 5e6 * 1e9)
            fills = result.fills.count
        }
        report(Figure(name: "z-score, engine only", values: perTick, unit: "ns a tick", hold: .under(40), note: "five million ticks, \(fills) fills"))

        }

        // The boundary itself.
        let table = try tables("EMACross")
        let calls = 20_000_000
        if wants("call"), let observe = table.decider?.pointee.observe {
            // A null instance is turned away at once: what is left is the call.
            var event = EventForm.trade(instrument: 1, time: 1, price: .one, quantity: .one)
            report(
                Figure(
                    name: "one C-ABI call",
                    values: (0..<runs).map { _ in
                        withUnsafePointer(to: &event.head) { head in
                            Measure.seconds { for _ in 0..<calls { _ = observe(nil, head) } } / Double(calls) * 1e9
                        }
                    }, unit: "ns", hold: .under(5)))
        }

        // Import.
        guard wants("import") else { return }
        let csv = path("bars.csv")
        _ = FileManager.default.createFile(atPath: csv, contents: nil)
        if let handle = FileHandle(forWritingAtPath: csv) {
            _ = try TapeExport.run(bars, shape: .bars) { try handle.write(contentsOf: $0) }
            try handle.close()
        }
        var rates: [Double] = []
        for run in 0..<runs {
            rates.append(try 1e6 / Measure.seconds { _ = try TapeImport.run([csv], to: path("import-\(run).tape")) })
            try? FileManager.default.removeItem(atPath: path("import-\(run).tape"))
        }
        report(Figure(name: "import of CSV", values: rates, unit: "rows/s", hold: .atLeast(2e6), note: "one million bars of 8 columns"))
    }
}
