import Foundation
import Glibc
import HostBacktest
import HostManifest
import HostPlugins
import PluginAPI
import PluginKit
import Tape

struct BenchError: Error, CustomStringConvertible { var description: String }

/// Where things are, what is wanted, and where figures go.
final class Bench {
    struct Settings {
        var runs = 5
        /// Only figures whose group or name has one of these in it; empty: all.
        var only: [String] = []
        /// Also the figures that take minutes.
        var long = false
        var examples = "Examples/Backtest"
        /// The keel program and the bundled plugins.
        var programs = ""
    }

    let settings: Settings
    /// Files of this run; removed at its end.
    let folder: String
    private(set) var figures: [Figure] = []
    /// Nanoseconds the fixed loop takes a bar.
    var reference = Double.nan
    private let onFigure: (Figure) -> Void
    private let onStep: (String) -> Void

    init(_ settings: Settings, folder: String, onFigure: @escaping (Figure) -> Void, onStep: @escaping (String) -> Void) {
        self.settings = settings
        self.folder = folder
        self.onFigure = onFigure
        self.onStep = onStep
    }

    var runs: Int { settings.runs }
    var keel: String { settings.programs + "/keel" }
    func path(_ name: String) -> String { folder + "/" + name }
    func wants(_ name: String) -> Bool { settings.only.isEmpty || settings.only.contains { name.contains($0) } }

    func report(_ figure: Figure) {
        figures.append(figure)
        onFigure(figure)
    }

    /// What is being done, for a person who waits.
    func step(_ what: String) { onStep(what) }

    /// One value a run.
    func measure(_ what: String, _ runs: Int? = nil, _ body: () throws -> Double) rethrows -> [Double] {
        let count = runs ?? self.runs
        return try (0..<count).map { run in
            step("\(what), run \(run + 1) of \(count)")
            return try body()
        }
    }

    // MARK: what several groups need

    /// A made-up tape, the same on every machine; made once.
    func tape(_ content: SyntheticTape.Request.Content, _ count: Int) throws -> TapeFile {
        let name = "\(content)-\(count).tape"
        if let known = tapes[name] { return known }
        step("making \(name)")
        var request = SyntheticTape.Request()
        request.content = content
        request.count = count
        request.instruments = [TapeInstrument(symbol: "BTC/USDT", tick: request.settings.tick, lot: request.settings.lot)]
        try SyntheticTape.write(request, to: path(name))
        let made = try TapeFile(path(name))
        tapes[name] = made
        return made
    }
    private var tapes: [String: TapeFile] = [:]

    /// A bundled plugin's tables, straight from its library.
    func tables(_ library: String) throws -> ComponentTables {
        let file = "\(settings.programs)/lib\(library).so"
        guard let handle = dlopen(file, RTLD_NOW | RTLD_LOCAL | Int32(RTLD_NODELETE)), let symbol = dlsym(handle, "keel_plugin_entry") else {
            throw BenchError(description: dlerror().map { String(cString: $0) } ?? file)
        }
        typealias Entry = @convention(c) (UInt32) -> UnsafePointer<keel_library>?
        guard let found = unsafeBitCast(symbol, to: Entry.self)(KEEL_ABI_MAJOR), let component = found.pointee.components[0], let tables = ComponentTables(component)
        else { throw BenchError(description: "\(file) has no component") }
        return tables
    }

    func manifest(_ example: String, _ changes: [ManifestChange] = []) throws -> Manifest {
        let file = try ManifestFile(reading: "\(settings.examples)/\(example).json")
        let report = try ManifestChange.read(file, changes, reader: ManifestReader(environment: [:], checksSecrets: false))
        guard let manifest = report.manifest else { throw BenchError(description: report.text) }
        return manifest
    }

    /// A backtest of an example, its plugins made anew.
    func backtest(_ example: String, _ tape: TapeFile, _ changes: [ManifestChange] = []) throws -> Backtest {
        let manifest = try manifest(example, changes)
        var request = Backtest.Request(manifest: manifest)
        request.tapes = [tape]
        let loaded = try manifest.plugins.map {
            BacktestPlugin(name: $0.name, tables: try tables($0.file), config: String(decoding: $0.config.bytes(.compact), as: UTF8.self))
        }
        return try Backtest(request, plugins: loaded)
    }

    /// A tape as a CSV file of bars.
    func csv(_ tape: TapeFile, _ name: String) throws -> String {
        let file = path(name)
        if FileManager.default.fileExists(atPath: file) { return file }
        step("writing \(name)")
        _ = FileManager.default.createFile(atPath: file, contents: nil)
        guard let handle = FileHandle(forWritingAtPath: file) else { throw BenchError(description: "\(file) can't be written") }
        _ = try TapeExport.run(tape, shape: .bars) { try handle.write(contentsOf: $0) }
        try handle.close()
        return file
    }
}

/// Figures that belong together.
protocol FigureGroup {
    static var name: String { get }
    static func run(_ bench: Bench) throws
}
