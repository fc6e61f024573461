import Foundation
import HostBacktest
import Tape

/// Tapes: reading, checking, importing.
enum TapeFigures: FigureGroup {
    static let name = "tape"

    static func run(_ bench: Bench) throws {
        if bench.wants("tape read") {
            let bars = try bench.tape(.bars, 1_000_000)
            bench.report(
                Figure(
                    name: "tape: read and check", values: try bench.measure("reading") { try 1e6 / Measure.seconds { try bars.verify() } },
                    unit: .recordsPerSecond, note: "one million bars, every checksum"))
        }
        if bench.wants("tape import") {
            let csv = try bench.csv(try bench.tape(.bars, 1_000_000), "bars.csv")
            let values = try bench.measure("import") {
                let target = bench.path("imported.tape")
                defer { try? FileManager.default.removeItem(atPath: target) }
                return try 1e6 / Measure.seconds { _ = try TapeImport.run([csv], to: target) }
            }
            bench.report(Figure(name: "import of CSV", values: values, unit: .rowsPerSecond, hold: .atLeast(2e6), note: "one million bars of 8 columns"))
        }
        if bench.settings.long, bench.wants("tape memory") { try memory(bench) }
    }

    /// Ten million rows through the program: memory must not grow with the rows.
    private static func memory(_ bench: Bench) throws {
        for count in [1_000_000, 10_000_000] {
            let csv = try bench.csv(try bench.tape(.bars, count), "bars-\(count).csv")
            var seconds = 0.0
            let values = try bench.measure("import of \(count / 1_000_000)M rows", 1) {
                let target = bench.path("imported.tape")
                defer { try? FileManager.default.removeItem(atPath: target) }
                let arguments = ["data", "import", csv, "--out", target]
                seconds = try Program.run(bench.keel, arguments).elapsed
                try FileManager.default.removeItem(atPath: target)
                return try Program.peak(bench.keel, arguments)
            }
            bench.report(
                Figure(
                    name: "import of \(count / 1_000_000)M rows, peak memory", values: values, unit: .megabytes, hold: .under(200),
                    note: "keel data import, \(Measure.short(Double(count) / seconds)) rows/s start to end"))
            try? FileManager.default.removeItem(atPath: csv)
        }
    }
}
