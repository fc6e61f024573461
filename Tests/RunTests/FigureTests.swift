import Foundation
import HostRun
import Testing

/// That the figures can be measured at all; what they must be on a quiet machine with a release build is `make bench`'s matter.
@Suite(.serialized, .enabled(if: Built.isComplete, "the keel program is not built"))
struct FigureTests {
    @Test func everyTickCanBecomeAnOrder() throws {
        let bench = try RunFigures.Bench(program: Built.keel)
        defer { bench.remove() }
        let quick = try RunFigures.tickToSubmit(bench, durable: false, orders: 300)
        #expect(quick.count >= 270 && quick.p50 > 0 && quick.p50 <= quick.p99)
        let durable = try RunFigures.tickToSubmit(bench, durable: true, orders: 50)
        #expect(durable.count >= 45 && durable.p50 > quick.p50)
        print("tick to submit: p50 \(quick.p50) ns, p99 \(quick.p99) ns; durable p50 \(durable.p50) ns, p99 \(durable.p99) ns")
    }

    @Test func startAndRestartAreTimed() throws {
        let bench = try RunFigures.Bench(program: Built.keel)
        defer { bench.remove() }
        let starts = try RunFigures.startToFirstEvent(bench, rounds: 2)
        #expect(starts.count == 2 && starts.allSatisfy { $0 > 0 })
        let gaps = try RunFigures.restartGap(bench, rounds: 2)
        #expect(gaps.count == 2 && gaps.allSatisfy { $0 > 0 })
        print("start to first event \(starts) ms, restart gap \(gaps) ms")
    }

    #if !DEBUG
    /// What the optimiser leaves; unoptimised code copies everything it looks at.
    @Test func anEventMakesNothing() throws {
        let bench = try RunFigures.Bench(program: Built.keel)
        defer { bench.remove() }
        guard let cost = try RunFigures.eventCost(bench, events: 100_000) else { return }
        print("a market event: \(cost.allocationsPerEvent) objects, \(cost.referencesPerEvent) references taken or given back")
        #expect(cost.events == 100_000 && cost.allocationsPerEvent < 0.001, "\(cost)")
    }
    #endif

    @Test func memoryIsFlatOverDecisions() throws {
        let bench = try RunFigures.Bench(program: Built.keel)
        defer { bench.remove() }
        let memory = try RunFigures.memory(bench, decisions: 3_000)
        print("memory: \(memory.early >> 20) MiB early, \(memory.late >> 20) MiB late")
        #expect(memory.late < memory.early + (48 << 20))
    }
}
