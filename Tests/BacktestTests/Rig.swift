import Foundation
import Glibc
import HostCore
import HostManifest
import HostPlugins
import PluginAPI
import PluginKit
import Tape

@testable import HostBacktest

struct RigError: Error, CustomStringConvertible { var description: String }

/// The bundled plugins, loaded from beside the test program, and a folder of its own.
final class Rig {
    let folder: String

    init() throws {
        folder = NSTemporaryDirectory() + "keel-backtest-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func path(_ name: String) -> String { folder + "/" + name }

    static func tables(_ library: String) throws -> ComponentTables {
        let executable = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let path = (executable as NSString).deletingLastPathComponent + "/lib\(library).so"
        guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | Int32(RTLD_NODELETE)), let symbol = dlsym(handle, "keel_plugin_entry") else {
            throw RigError(description: dlerror().map { String(cString: $0) } ?? path)
        }
        typealias Entry = @convention(c) (UInt32) -> UnsafePointer<keel_library>?
        guard let found = unsafeBitCast(symbol, to: Entry.self)(KEEL_ABI_MAJOR), let component = found.pointee.components[0],
            let tables = ComponentTables(component)
        else { throw RigError(description: "\(path) has no component") }
        return tables
    }

    static func plugin(_ name: String, _ library: String, _ config: String = "{}") throws -> BacktestPlugin {
        BacktestPlugin(name: name, tables: try tables(library), config: config)
    }

    /// Nothing in the way of a decider: every gate layer but its own wish, every limit and every exit off.
    static func open(_ name: String, decider: String, instruments: [String], capital: Amount) -> PipelineSettings {
        var settings = PipelineSettings(
            name: name, feeds: ["sim"], instruments: instruments, bars: [60_000_000_000], history: 2, chain: ChainSettings(primary: decider), router: "direct",
            broker: "sim", capital: capital, currency: "USDT")
        settings.gate.candle = nil
        settings.gate.timer = false
        settings.gate.priceZ = nil
        settings.gate.volumeZ = nil
        settings.gate.wakes = false
        settings.gate.watchdog = nil
        settings.risk.maximumFraction = .one
        settings.risk.maximumExposure = nil
        settings.risk.dailyLoss = nil
        settings.risk.drawdown = nil
        settings.risk.losingStreak = nil
        settings.risk.ordersPerMinute = nil
        settings.risk.priceCollar = nil
        settings.risk.cooldown = 0
        settings.risk.freshness = nil
        settings.risk.kelly = nil
        settings.position.stopLoss = nil
        settings.position.trailing = nil
        settings.position.atrMultiple = nil
        settings.position.exitProbability = nil
        settings.position.review = nil
        return settings
    }

    static func manifest(_ pipelines: [PipelineSettings], symbols: [String] = ["BTC/USDT"]) -> Manifest {
        var manifest = Manifest()
        manifest.mode = .paper
        manifest.pipelines = pipelines
        manifest.instruments = symbols.map {
            let parts = $0.split(separator: "/")
            return InstrumentSettings(symbol: $0, base: String(parts[0]), quote: String(parts[1]), tick: Fixed(raw: 1), lot: Fixed(raw: 1))
        }
        for name in ["sim", "direct", "ema", "z"] { manifest.plugins.append(PluginEntry(name: name)) }
        return manifest
    }

    /// A made-up market on a tape.
    func tape(_ content: SyntheticTape.Request.Content, _ count: Int, seed: UInt64 = 1, symbols: [String] = ["BTC/USDT"], name: String = "a.tape", price: Int64 = 100)
        throws -> TapeFile
    {
        var request = SyntheticTape.Request()
        request.content = content
        request.count = count
        request.settings.seed = seed
        request.settings.price = try Fixed(whole: price)
        request.instruments = symbols.map { TapeInstrument(symbol: $0, tick: request.settings.tick, lot: request.settings.lot) }
        try SyntheticTape.write(request, to: path(name))
        return try TapeFile(path(name))
    }
}
