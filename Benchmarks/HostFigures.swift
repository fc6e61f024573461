import Foundation
import PluginKit

/// A running host, measured by the program itself (`keel run-bench`): real plugins, engine and ledger.
enum HostFigures: FigureGroup {
    static let name = "host"

    static func run(_ bench: Bench) throws {
        guard bench.wants("host") else { return }
        var rows: [String: [Double]] = [:]
        var decisions = 0.0
        let count = bench.settings.long ? "1000000" : "200000"
        for run in 0..<(bench.settings.long ? 1 : min(bench.runs, 3)) {
            bench.step("a running host, run \(run + 1)")
            let output = try Program.run(bench.keel, ["run-bench", "--json", "--decisions", count]).output
            let value = try JSONValue(parsing: Array(output.utf8))
            func take(_ name: String, _ field: JSONField, _ factor: Double = 1) { if let number = try? field.double { rows[name, default: []].append(number * factor) } }
            take("p50", value["tick_to_submit_ns"]["p50"], 1e-3)
            take("p99", value["tick_to_submit_ns"]["p99"], 1e-3)
            take("durable p50", value["tick_to_submit_durable_ns"]["p50"], 1e-3)
            take("durable p99", value["tick_to_submit_durable_ns"]["p99"], 1e-3)
            take("start", value["start_to_first_event_ms"])
            take("restart", value["restart_gap_ms"])
            take("early", value["memory_after_a_tenth_bytes"], 1 / 1_048_576)
            take("late", value["memory_after_all_bytes"], 1 / 1_048_576)
            take("allocations", value["allocations_per_event"])
            decisions = (try? value["decisions"].double) ?? decisions
        }
        func report(_ row: String, _ name: String, _ unit: Figure.Unit, _ hold: Figure.Hold? = nil, _ note: String) {
            guard let values = rows[row] else { return }
            bench.report(Figure(name: name, values: values, unit: unit, hold: hold, note: note))
        }
        report("p50", "tick to submit, p50", .microseconds, .under(2), "tick in to the broker's submit, durable intent left out")
        report("p99", "tick to submit, p99", .microseconds, .under(20), "the same")
        report("durable p50", "tick to submit with the durable intent, p50", .microseconds, nil, "the disk's time included")
        report("durable p99", "tick to submit with the durable intent, p99", .microseconds, nil, "the same")
        report("allocations", "allocations a market event", .allocations, nil, "in a running host")
        report("start", "start to first event", .milliseconds, .under(300), "keel run of the default pipeline")
        report("restart", "keel restart, gate closed to gate open", .milliseconds, .under(300), "on the simulated venue")
        let grown = zip(rows["early"] ?? [], rows["late"] ?? []).map { $1 - $0 }
        if !grown.isEmpty {
            bench.report(
                Figure(
                    name: "memory that \(Measure.short(decisions)) decisions added", values: grown, unit: .megabytes, hold: .under(8),
                    note: "resident after all of them, less after a tenth (\(Measure.short(rows["early"]?.first ?? .nan)) MB)"))
        }
    }
}
