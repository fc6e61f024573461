import Foundation
import HostRun
import PluginKit

extension Verb {
    /// For `make bench`: the figures of a running host, measured on this machine.
    static let runBench = Verb(
        words: ["run-bench"],
        summary: "measure the figures of a running host",
        options: [.json, Option("latency", "only tick to submit, without the disk"), Option("cost", "only what the runtime makes for an event"), Option("orders", value: "N", "orders to time without the disk (default: 50000)"), Option("decisions", value: "N", "decisions to watch memory over (default: 200000)")],
        isHidden: true,
        run: { call in
            guard let orders = Int(call.value("orders") ?? "50000"), orders > 0, let decisions = Int(call.value("decisions") ?? "200000"), decisions > 0 else {
                throw call.mistake("--orders and --decisions take numbers")
            }
            do throws(RunError) {
                let bench = try RunFigures.Bench(program: HostProgram.path)
                defer { bench.remove() }
                if call.flag("cost") {
                    guard let cost = try RunFigures.eventCost(bench, events: 1_000_000) else { return .error }
                    call.terminal.out("{\"allocations\": \(cost.allocationsPerEvent), \"references\": \(cost.referencesPerEvent)}")
                    return .ok
                }
                let quick = try RunFigures.tickToSubmit(bench, durable: false, orders: orders)
                if call.flag("latency") {
                    call.terminal.out("tick to submit: p50 \(quick.p50) ns, p99 \(quick.p99) ns over \(quick.count)")
                    return .ok
                }
                let durable = try RunFigures.tickToSubmit(bench, durable: true, orders: max(orders / 250, 20))
                let starts = try RunFigures.startToFirstEvent(bench, rounds: 5)
                let gaps = try RunFigures.restartGap(bench, rounds: 5)
                let memory = try RunFigures.memory(bench, decisions: decisions)
                // In a process of its own: it hooks into the runtime, which may be another one than this was written for.
                let cost = try? JSONDecoder().decode([String: Double].self, from: RunFigures.run(bench, ["run-bench", "--cost"]))
                func rate(_ value: Double?) -> JSONValue { value.map { JSONValue(($0 * 10_000).rounded() / 10_000) } ?? .null }
                func milliseconds(_ list: [Double]) -> JSONValue { JSONValue(list.isEmpty ? 0 : (list[list.count / 2] * 100).rounded() / 100) }
                let value: JSONValue = [
                    "tick_to_submit_ns": ["count": JSONValue(quick.count), "p50": JSONValue(quick.p50), "p99": JSONValue(quick.p99), "max": JSONValue(quick.most)],
                    "tick_to_submit_durable_ns": ["count": JSONValue(durable.count), "p50": JSONValue(durable.p50), "p99": JSONValue(durable.p99)],
                    "start_to_first_event_ms": milliseconds(starts), "restart_gap_ms": milliseconds(gaps),
                    "memory_after_a_tenth_bytes": JSONValue(memory.early), "memory_after_all_bytes": JSONValue(memory.late), "decisions": JSONValue(decisions),
                    "allocations_per_event": rate(cost?["allocations"]), "references_per_event": rate(cost?["references"]),
                ]
                call.terminal.out(value.text(call.wantsJSON ? .compact : .pretty))
            } catch {
                throw Failure(error)
            }
            return .ok
        })
}
