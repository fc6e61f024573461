import Foundation
import HostBacktest
import HostManifest
import HostPlugins
import PluginKit
import Tape

extension Verb {
    static let sweep = Verb(
        words: ["sweep"],
        summary: "backtest many variants of a manifest on every core and rank them",
        details: """
            --vary names a value of the manifest and what it may be: plugins.emacross.config.fast=5..50:5 counts in steps, =8,12,20
            lists, =0.5..3 and "=log 0.001..0.1" are ranges for --random. Results go to a SQLite file as they come; the same command
            goes on where it was stopped. --walk-forward picks the best on the past and tries it on what followed.
            """,
        arguments: [Argument("MANIFEST", .optional, "the manifest (default: plugins.json)")],
        options: BacktestCall.options + [
            Option("vary", value: "PATH=VALUES", repeats: true, "a value to vary"), Option("random", value: "N", "draw N variants instead of trying all"),
            Option("seed", value: "N", "of the draws (default: the manifest's)"), Option("db", value: "FILE", "where results are kept (default: sweep.db)"),
            Option("metric", value: "NAME", "to rank by: \(SweepMetric.allCases.map(\.rawValue).joined(separator: ", ")) (default: sharpe)"),
            Option("walk-forward", value: "N", "N steps of choosing on the past and trying on the next part"),
            Option("jobs", value: "N", "threads (default: one a core)"), Option("top", value: "N", "lines of the table (default: 20)"), .json,
        ],
        run: { call in
            let setup = BacktestCall(call: call)
            let file = try setup.file()
            let tapes = try setup.tapes()
            let fixed = try setup.changes()
            let axes = try call.all("vary").map { try SweepAxis($0) }
            if axes.isEmpty { throw call.mistake("nothing to vary", hint: "--vary plugins.emacross.config.fast=5..50:5") }
            guard let metric = SweepMetric(rawValue: call.value("metric") ?? "sharpe") else { throw Failure(.usage, SweepError.unknownMetric(call.value("metric") ?? "").description) }

            // The manifest as it stands is checked whole once; variants are checked without looking into the libraries again.
            let base = try setup.report(file, fixed)
            guard let manifest = base.manifest else {
                for problem in base.problems { call.terminal.error(base.styled(problem, call.terminal)) }
                throw Failure(.invalid, "\(file.name) is not valid: nothing was run")
            }
            let loader = try setup.loader(manifest, file)
            let request = try setup.request(manifest, tapes: tapes)
            do { _ = try loader.backtest(request) } catch let error as BacktestError { throw Failure(error.isRefusal ? .refused : .invalid, error.description) }
            let variants: [[ManifestChange]]
            if let count = try call.whole("random", in: 1...1_000_000) {
                let seed = call.value("seed").flatMap { UInt64($0) } ?? manifest.seed
                variants = SweepSpace.random(axes, count: count, seed: seed)
            } else {
                variants = try SweepSpace.grid(axes)
            }
            for tape in tapes { try tape.verify() }

            let first = max(request.from, tapes.compactMap(\.firstTime).min() ?? 0)
            let last = min(request.to, (tapes.compactMap(\.lastTime).max() ?? 0) + 1)
            let walk = try call.whole("walk-forward", in: 1...100) ?? 0
            let parts = Sweep.parts(from: first, to: last, count: walk)
            var tasks = variants.map { Sweep.Task(variant: $0, part: 0, from: request.from, to: request.to) }
            for (index, part) in parts.enumerated() { tasks += variants.map { Sweep.Task(variant: $0, part: index + 1, from: request.from, to: part.trainTo) } }

            var fingerprint = String(decoding: file.bytes, as: UTF8.self) + fixed.map { "\n\($0.path)=\($0.value)" }.joined()
            fingerprint += tapes.map { "\n\($0.path) \($0.wholeBytes) \($0.firstTime ?? 0) \($0.lastTime ?? 0)" }.joined() + "\n\(request.from) \(request.to) \(request.warmup) \(walk)"
            let store = try SweepStore(call.value("db") ?? "sweep.db", fingerprint: "\(fingerprint.utf8.reduce(UInt64(0xCBF2_9CE4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 })")
            let jobs = try call.whole("jobs", in: 1...1024) ?? ProcessInfo.processInfo.activeProcessorCount
            let environment = call.environment
            var template = request
            template.releasesMemory = false
            let shared = template
            let run: @Sendable (Sweep.Task) throws -> BacktestResult = { task in
                let report = try ManifestChange.read(file, fixed + task.variant, reader: ManifestReader(environment: environment, checksSecrets: false))
                guard let manifest = report.manifest else { throw BacktestError.engine(report.errors.map(\.what).joined(separator: "; ")) }
                var request = shared
                request.manifest = manifest
                request.from = task.from
                request.to = task.to
                return try loader.backtest(request).run()
            }
            let started = call.surroundings.clock()
            let bar = call.progress("sweep", total: Int64(tasks.count), unit: "runs")
            try Sweep.run(tasks, store: store, jobs: jobs, run: run) { done, of in
                bar.update(Int64(done), total: Int64(of))
                return true
            }
            // Walk forward: each step's winner over the stretch that followed.
            var steps: [Sweep.Step] = []
            var rows = try store.rows()
            if walk > 0 {
                var tests: [Sweep.Task] = []
                for (index, part) in parts.enumerated() {
                    let ranked = Sweep.rank(rows.filter { $0.part == index + 1 }, by: metric)
                    guard let best = ranked.first, let variant = variants.first(where: { SweepSpace.key($0) == best.row.variant }) else { continue }
                    tests.append(.init(variant: variant, part: -(index + 1), from: part.trainTo, to: part.testTo))
                    steps.append(.init(number: index + 1, trainFrom: first, trainTo: part.trainTo, testTo: part.testTo, winner: best.row.variant, trained: best.value))
                }
                try Sweep.run(tests, store: store, jobs: jobs, run: run) { _, _ in true }
                rows = try store.rows()
                for index in steps.indices {
                    steps[index].tested = rows.first { $0.part == -steps[index].number && $0.variant == steps[index].winner }
                    steps[index].testedValue = steps[index].tested.flatMap(metric.value)
                }
            }
            bar.finish()
            let wanted = Set(variants.map(SweepSpace.key))
            let whole = rows.filter { $0.part == 0 && wanted.contains($0.variant) }
            let report = SweepReport(
                metric: metric, ranked: Sweep.rank(whole, by: metric), failed: whole.filter { $0.error != nil }, steps: steps,
                seconds: Double(call.surroundings.clock() - started) / 1e9, jobs: jobs)
            let top = try call.whole("top", in: 1...1_000_000) ?? 20
            if call.wantsJSON { call.terminal.out(report.json(top: top).text(.pretty)) } else { call.terminal.raw(.out, report.text(top: top)) }
            if report.ranked.isEmpty { throw Failure(.error, SweepError.nothingLeft.description) }
            return .ok
        })
}
