import Foundation
import Synchronization

/// Runs the variants of a sweep on every core and ranks them.
public struct Sweep: Sendable {
    public struct Task: Sendable {
        public var variant: [ManifestChange]
        public var part: Int
        public var from: Int64
        public var to: Int64

        public init(variant: [ManifestChange], part: Int, from: Int64, to: Int64) {
            self.variant = variant
            self.part = part
            self.from = from
            self.to = to
        }
    }

    /// A variant's place in the table.
    public struct Ranked: Sendable {
        public var row: SweepStore.Row
        public var value: Double?
        /// Probability that it is better than the luckiest of this many worthless variants would look; nil: can't be said.
        public var deflated: Double?
        /// The winner of so many tries looks no better than luck.
        public var isLuck: Bool { deflated.map { $0 < 0.95 } ?? true }
    }

    /// One step of a walk forward: who won on the past, and what became of it.
    public struct Step: Sendable {
        public var number: Int
        public var trainFrom: Int64
        public var trainTo: Int64
        public var testTo: Int64
        public var winner: String
        public var trained: Double?
        public var tested: SweepStore.Row?
        public var testedValue: Double?

        public init(number: Int, trainFrom: Int64, trainTo: Int64, testTo: Int64, winner: String, trained: Double?) {
            self.number = number
            self.trainFrom = trainFrom
            self.trainTo = trainTo
            self.testTo = testTo
            self.winner = winner
            self.trained = trained
        }
    }

    /// Parts of a range for walking forward: from the start up to a point, then the stretch after it. `count` steps.
    public static func parts(from: Int64, to: Int64, count: Int) -> [(trainTo: Int64, testTo: Int64)] {
        guard count > 0, to > from else { return [] }
        let length = (to - from) / Int64(count + 1)
        return (1...count).map { (from + length * Int64($0), $0 == count ? to : from + length * Int64($0 + 1)) }
    }

    /// Runs what is not in the store yet on `jobs` threads. `run` makes one run; each call stays on one thread. Results are stored as they
    /// come, so that a stopped sweep goes on where it was. `progress` is called on the calling thread; false stops.
    public static func run(
        _ tasks: [Task], store: SweepStore, jobs: Int, run: @escaping @Sendable (Task) throws -> BacktestResult, progress: (_ done: Int, _ of: Int) -> Bool
    ) throws {
        let known = Set(try store.rows().map { "\($0.part) \($0.variant)" })
        let left = tasks.filter { !known.contains("\($0.part) \(SweepSpace.key($0.variant))") }
        var done = tasks.count - left.count
        if left.isEmpty { return }
        let next = Mutex(0)
        let finished = Mutex<[SweepStore.Row]>([])
        let running = Mutex(0)
        let stopped = Atomic<Bool>(false)
        let bell = DispatchSemaphore(value: 0)
        let workers = max(1, min(jobs, left.count))
        running.withLock { $0 = workers }
        for _ in 0..<workers {
            let thread = Thread {
                while !stopped.load(ordering: .relaxed) {
                    let index = next.withLock { value -> Int in
                        defer { value += 1 }
                        return value
                    }
                    guard index < left.count else { break }
                    let task = left[index]
                    let key = SweepSpace.key(task.variant)
                    var row: SweepStore.Row
                    do { row = SweepStore.Row(variant: key, part: task.part, try run(task)) } catch BacktestError.stopped {
                        // Not a result: it runs again next time.
                        break
                    } catch {
                        row = SweepStore.Row(variant: key, part: task.part)
                        row.error = "\(error)"
                    }
                    finished.withLock { $0.append(row) }
                    bell.signal()
                }
                running.withLock { $0 -= 1 }
                bell.signal()
            }
            // Deep enough for any plugin: some parse and sort on the stack.
            thread.stackSize = 8 << 20
            thread.start()
        }
        var failure: (any Error)?
        while true {
            bell.wait()
            let rows = finished.withLock { rows in
                defer { rows = [] }
                return rows
            }
            for row in rows {
                do { try store.add(row) } catch {
                    failure = failure ?? error
                    stopped.store(true, ordering: .relaxed)
                }
                done += 1
            }
            if !progress(done, tasks.count) { stopped.store(true, ordering: .relaxed) }
            if running.withLock({ $0 }) == 0, finished.withLock({ $0.isEmpty }) { break }
        }
        if let failure { throw failure }
        if stopped.load(ordering: .relaxed) { throw BacktestError.stopped }
    }

    /// Best first. Every variant that was tried counts as a trial, also those that failed to trade.
    public static func rank(_ rows: [SweepStore.Row], by metric: SweepMetric) -> [Ranked] {
        let tried = rows.filter { $0.error == nil }
        let sharpes = tried.compactMap(\.sharpePerPeriod)
        let mean = Metrics.mean(sharpes) ?? 0
        let variance = sharpes.count > 1 ? Metrics.sum(sharpes.map { ($0 - mean) * ($0 - mean) }) / Double(sharpes.count - 1) : 0
        return tried.map { row in
            var deflated: Double?
            if let sharpe = row.sharpePerPeriod, let skew = row.skew, let kurtosis = row.kurtosis {
                deflated = Metrics.deflatedSharpe(sharpe: sharpe, count: row.periods, skew: skew, kurtosis: kurtosis, trials: Double(max(1, tried.count)), variance: variance)
            }
            return Ranked(row: row, value: metric.value(row), deflated: deflated)
        }.sorted { a, b in
            switch (a.value, b.value) {
            case (let x?, let y?): x == y ? a.row.variant < b.row.variant : x > y
            case (_?, nil): true
            case (nil, _?): false
            case (nil, nil): a.row.variant < b.row.variant
            }
        }
    }
}
