import Foundation
import Glibc
import HostCore
import HostManifest
import PluginKit
import Synchronization
import Tape
import Testing

@testable import HostBacktest

@Suite struct SweepSpaceTests {
    @Test func valuesAreExact() throws {
        #expect(try SweepAxis("a.b=5..20:5").values == .list(["5", "10", "15", "20"]))
        #expect(try SweepAxis("a=0.1..0.3:0.1").values == .list(["0.1", "0.2", "0.3"]))
        #expect(try SweepAxis("a=x,y").values == .list(["x", "y"]))
        #expect(try SweepAxis("a=0.5..2").values == .range(0.5, 2))
        #expect(try SweepAxis("a=log 0.01..1").values == .logarithmic(0.01, 1))
        for bad in ["a", "=1", "a=1,,2", "a=5..1:1", "a=1..5:0", "a=1..5:-1", "a=log 0..1", "a=1,1", "a=0..100000000:0.00001", "a=x..y"] {
            #expect(throws: BacktestError.self, "\(bad)") { try SweepAxis(bad) }
        }
    }

    @Test func gridsHaveEveryCombinationOnce() throws {
        let grid = try SweepSpace.grid([SweepAxis("a=1,2,3"), SweepAxis("b=x,y")])
        #expect(grid.map(SweepSpace.key) == ["a=1 b=x", "a=1 b=y", "a=2 b=x", "a=2 b=y", "a=3 b=x", "a=3 b=y"])
        #expect(throws: BacktestError.self) { try SweepSpace.grid([SweepAxis("a=1..2")]) }
    }

    @Test func drawsRepeatWithTheirSeed() throws {
        let axes = [try SweepAxis("a=0.5..2"), try SweepAxis("b=log 0.001..1"), try SweepAxis("c=1..4:1")]
        let one = SweepSpace.random(axes, count: 200, seed: 3)
        #expect(one == SweepSpace.random(axes, count: 200, seed: 3) && one != SweepSpace.random(axes, count: 200, seed: 4))
        #expect(Set(one.map(SweepSpace.key)).count == 200)
        for variant in one {
            let a = Double(variant[0].value) ?? 0
            let b = Double(variant[1].value) ?? 0
            #expect(a >= 0.5 && a <= 2 && b >= 0.0009 && b <= 1.001, "\(variant)")
        }
        // As many small as large ones: the middle of the logarithms is in the middle.
        let below = one.filter { (Double($0[1].value) ?? 0) < 0.0316 }.count
        #expect(below > 70 && below < 130)
        // A space of four has four variants however many are asked for.
        #expect(SweepSpace.random([try SweepAxis("c=1..4:1")], count: 50, seed: 1).count == 4)
    }
}

@Suite struct SweepTests {
    static func result(_ change: Double, seed: UInt64) -> BacktestResult {
        var result = BacktestResult()
        result.period = 86_400_000_000_000
        var chance = SeededGenerator(seed: seed)
        var equity = 100.0
        for day in 0...250 {
            result.samples.append(.init(time: Int64(day) * result.period, equity: equity, exposure: 1))
            equity *= 1 + change + chance.bell() * 0.01
        }
        result.startEquity = Amount(raw: 100_00_000_000)
        result.equity = Amount(raw: Int128(equity * 1e8))
        result.to = 250 * result.period
        return result
    }

    @Test func aStoppedSweepGoesOnAndRunsNothingTwice() throws {
        let rig = try Rig()
        let variants = try SweepSpace.grid([SweepAxis("a=1..40:1")])
        let tasks = variants.map { Sweep.Task(variant: $0, part: 0, from: .min, to: .max) }
        let calls = Mutex<[String: Int]>([:])
        let run: @Sendable (Sweep.Task) throws -> BacktestResult = { task in
            let key = SweepSpace.key(task.variant)
            calls.withLock { $0[key, default: 0] += 1 }
            if key == "a=7" { throw BacktestError.engine("seven is refused") }
            return Self.result(0, seed: UInt64(task.variant[0].value) ?? 0)
        }
        // Never more than four runs ahead of what is stored; after the tenth the user stops it.
        let stored = Atomic<Int>(0)
        let begun = Atomic<Int>(0)
        let ended = Atomic<Bool>(false)
        let paced: @Sendable (Sweep.Task) throws -> BacktestResult = { task in
            let mine = begun.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue
            while mine > stored.load(ordering: .sequentiallyConsistent) + 4 {
                if ended.load(ordering: .sequentiallyConsistent) { throw BacktestError.stopped }
                sched_yield()
            }
            return try run(task)
        }
        #expect(throws: BacktestError.stopped) {
            try Sweep.run(tasks, store: try SweepStore(rig.path("s.db"), fingerprint: "f"), jobs: 3, run: paced) { done, _ in
                if done >= 10 { ended.store(true, ordering: .sequentiallyConsistent) } else { stored.store(done, ordering: .sequentiallyConsistent) }
                return done < 10
            }
        }
        let store = try SweepStore(rig.path("s.db"), fingerprint: "f")
        let before = try store.rows().count
        #expect(before >= 10 && before < 40)
        var last = 0
        try Sweep.run(tasks, store: store, jobs: 2, run: run) { done, of in
            last = done
            return of == 40
        }
        #expect(last == 40)
        let rows = try store.rows()
        #expect(rows.count == 40 && rows.filter { $0.error != nil }.map(\.variant) == ["a=7"])
        let counted = calls.withLock { $0 }
        // What was running when the first one stopped may have been lost; nothing that was stored ran again.
        #expect(counted.values.reduce(0, +) <= 40 + 3)
        // Another sweep's file is not mixed with this one's.
        #expect(throws: SweepError.otherSweep(path: rig.path("s.db"))) { try SweepStore(rig.path("s.db"), fingerprint: "g") }
        // Rows survive the way through the file.
        let again = try SweepStore(rig.path("s.db"), fingerprint: "f").rows()
        #expect(again == rows)
    }

    /// A hundred worthless variants: the luckiest looks good and is marked as luck. A real one among them is not.
    @Test func luckIsMarked() {
        let worthless = (1...100).map { SweepStore.Row(variant: "a=\($0)", part: 0, Self.result(0, seed: UInt64($0))) }
        let ranked = Sweep.rank(worthless, by: .sharpe)
        #expect((ranked[0].value ?? 0) > 1.5)
        #expect(ranked.allSatisfy { $0.isLuck })
        let values = ranked.map { $0.value ?? 0 }
        #expect(values == values.sorted(by: >))
        let good = SweepStore.Row(variant: "good", part: 0, Self.result(0.004, seed: 500))
        let mixed = Sweep.rank(worthless + [good], by: .sharpe)
        #expect(mixed[0].row.variant == "good" && !mixed[0].isLuck && mixed[1].isLuck)
        #expect(SweepReport(metric: .sharpe, ranked: ranked, failed: []).text(top: 3).contains("could be luck"))
    }

    @Test func partsCoverTheRangeWithoutTouchingTheFuture() {
        let parts = Sweep.parts(from: 100, to: 1100, count: 4)
        #expect(parts.map(\.trainTo) == [300, 500, 700, 900])
        #expect(parts.map(\.testTo) == [500, 700, 900, 1100])
        #expect(Sweep.parts(from: 0, to: 0, count: 3).isEmpty)
    }
}
