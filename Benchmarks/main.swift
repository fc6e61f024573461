import Foundation
import PluginKit

// make bench: the figures to hold, on this machine, now. keel-bench [--runs N] [--only PART] [--json] [--examples FOLDER]

var runs = 5
var json = false
var only = ""
var examples = "Examples/Backtest"
var rest = CommandLine.arguments.dropFirst()
while let word = rest.popFirst() {
    switch word {
    case "--runs":
        guard let number = rest.popFirst().flatMap(Int.init), number > 0 else {
            FileHandle.standardError.write(Data("--runs needs a number above zero\n".utf8))
            exit(2)
        }
        runs = number
    case "--json": json = true
    case "--only": only = rest.popFirst() ?? ""
    case "--examples": examples = rest.popFirst() ?? examples
    default:
        FileHandle.standardError.write(Data("keel-bench [--runs N] [--only PART] [--json] [--examples FOLDER]\n".utf8))
        exit(word == "--help" ? 0 : 2)
    }
}

let folder = NSTemporaryDirectory() + "keel-bench-\(ProcessInfo.processInfo.processIdentifier)"
let beside = ((try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]) as NSString
do {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    #if DEBUG
        FileHandle.standardError.write(Data("this is a debug build: the figures mean nothing\n".utf8))
    #endif
    var figures: [Figure] = []
    if !json {
        print("\(Measure.machine), load \(Measure.load), \(runs) runs each: median (lowest – highest) of processor time")
        print("× loop: how many times the fixed loop's time a bar, so that other machines and other days compare\n")
    }
    var reference = Double.nan
    try BacktestBench(folder: folder, plugins: beside.deletingLastPathComponent, examples: examples, runs: runs, only: only).figures { figure in
        figures.append(figure)
        if figure.name.hasPrefix("fixed loop") { reference = figure.median }
        if json { return }
        let kept = figure.hold.map { $0.isKept(figure.median) ? "  kept (\($0.text))" : "  NOT KEPT (\($0.text))" } ?? ""
        let cost: Double? =
            switch figure.unit {
            case "ns", "ns a tick", "ns an order": figure.median
            case "bars/s", "records/s", "rows/s": 1e9 / figure.median
            default: nil
            }
        let ratio = cost.map { $0 / reference }.map { $0.isFinite ? "  \(Measure.short($0)) × loop" : "" } ?? ""
        let name = figure.name.padding(toLength: max(44, figure.name.count), withPad: " ", startingAt: 0)
        print("\(name) \(Measure.short(figure.median)) \(figure.unit)\(figure.spread.isEmpty ? "" : " (\(figure.spread))")\(ratio)\(kept)\(figure.note.isEmpty ? "" : "  – \(figure.note)")")
        fflush(nil)
    }
    if json {
        let list = figures.map { figure -> JSONValue in
            [
                "name": JSONValue(figure.name), "unit": JSONValue(figure.unit), "median": JSONValue(figure.median), "values": JSONValue(figure.values.map { JSONValue($0) }),
                "kept": figure.hold.map { JSONValue($0.isKept(figure.median)) } ?? .null, "note": JSONValue(figure.note),
            ]
        }
        let out: JSONValue = ["machine": JSONValue(Measure.machine), "load": JSONValue(Measure.load), "figures": JSONValue(list)]
        print(out.text(.pretty))
    }
} catch {
    FileHandle.standardError.write(Data("keel-bench: \(error)\n".utf8))
    exit(1)
}
