import Foundation
import HostPlugins
import PluginAPI
import PluginKit
import Tape

/// The C interface itself: a call in the process, a call into a worker and back, a worker that died.
enum BoundaryFigures: FigureGroup {
    static let name = "boundary"

    static func run(_ bench: Bench) throws {
        if bench.wants("boundary call") { try call(bench) }
        guard bench.wants("boundary worker") else { return }
        let loader = try Loader(.init(cache: bench.path("cache"), bundled: [bench.settings.programs], program: bench.keel))
        let library = try loader.prepare(file: "DirectRouter", base: bench.folder)
        let component = "keel.direct"
        let trips = try bench.measure("a call into a worker") {
            Double(try PluginBench.callInWorker(library, component: component).p50) / 1000
        }
        bench.report(Figure(name: "one call into a worker and back, p50", values: trips, unit: .microseconds, hold: .under(15), note: "describe of keel.direct in a process of its own"))
        let restarts = try bench.measure("a worker's restart", min(bench.runs, 3)) {
            Double(try PluginBench.restart(library, component: component, rounds: 5).p50) / 1_000_000
        }
        bench.report(Figure(name: "worker killed to worker running, p50", values: restarts, unit: .milliseconds, note: "SIGKILL noticed, started anew, created, running"))
    }

    private static func call(_ bench: Bench) throws {
        let table = try bench.tables("EMACross")
        guard let observe = table.decider?.pointee.observe else { return }
        let calls = 20_000_000
        // A null instance is turned away at once: what is left is the call.
        var event = EventForm.trade(instrument: 1, time: 1, price: .one, quantity: .one)
        let values = bench.measure("C calls") {
            withUnsafePointer(to: &event.head) { head in
                Measure.seconds { for _ in 0..<calls { _ = observe(nil, head) } } / Double(calls) * 1e9
            }
        }
        bench.report(Figure(name: "one C-ABI call", values: values, unit: .nanoseconds, hold: .under(5), note: "in the process"))
    }
}
