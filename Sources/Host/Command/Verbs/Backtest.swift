import Foundation
import HostBacktest
import HostManifest
import HostPlugins
import HostRun
import PluginKit
import Tape

/// What backtest and sweep share: a manifest with changes, tapes, a time range.
struct BacktestCall {
    let call: Invocation

    static let options: [Verb.Option] = [
        Verb.Option("tape", value: "FILE", repeats: true, "a tape to run over; several are merged in time order"), DataOptions.from, DataOptions.to,
        Verb.Option("set", value: "PATH=VALUE", repeats: true, "change the manifest before it is read, as in plugins.emacross.config.fast=12"),
        Verb.Option("pipeline", value: "NAME", repeats: true, "only this pipeline (default: every enabled one)"),
        Verb.Option("warmup", value: "SPAN", "market time before --from that only fills bars and averages"),
        Verb.Option("venue", value: "PLUGIN", "the simulated venue that takes the orders (default: the pipeline's broker, or the only simulated one)"),
        Verb.Option("map", value: "SYMBOL=NAME", repeats: true, "an instrument of the manifest by its name on the tape"),
    ]

    func changes() throws -> [ManifestChange] { try call.all("set").map { try ManifestChange($0) } }

    func file() throws -> ManifestFile {
        do throws(ManifestFileFault) { return try ManifestFile(reading: call.manifestName) } catch {
            throw Failure(.invalid, call.readManifest().text)
        }
    }

    /// Feeds and real brokers are not needed, and neither are secrets.
    func reader() -> ManifestReader { ManifestReader(environment: call.environment, checksSecrets: false) }

    func report(_ file: ManifestFile, _ changes: [ManifestChange]) throws -> ManifestReport {
        try ManifestChange.read(file, changes, reader: reader(), catalogue: call.surroundings.catalogue?(file))
    }

    func loader(_ manifest: Manifest, _ file: ManifestFile) throws -> BacktestLoader {
        let folder = RunFolder(file.resolve(manifest.state))
        let cache: String
        do { try folder.prepare(); cache = folder.cache } catch { cache = NSTemporaryDirectory() + "/keel-cache-\(geteuid())" }
        return BacktestLoader(try Loader(.init(cache: cache, allowUnpinned: true)), folder: file.folder)
    }

    func request(_ manifest: Manifest, tapes: [TapeFile]) throws -> Backtest.Request {
        var request = Backtest.Request(manifest: manifest)
        request.pipelines = call.all("pipeline")
        request.tapes = tapes
        request.from = try call.time(DataOptions.from) ?? .min
        request.to = try call.time(DataOptions.to) ?? .max
        request.warmup = try call.span("warmup") ?? 0
        request.venue = call.value("venue")
        for entry in call.all("map") {
            let parts = entry.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { throw call.mistake("--map: write SYMBOL=NAME-ON-TAPE") }
            request.names[parts[0]] = parts[1]
        }
        return request
    }

    func tapes() throws -> [TapeFile] {
        let tapes = try call.all("tape").map { try TapeFile($0) }
        if tapes.isEmpty { throw Failure(.usage, BacktestError.noTape.description) }
        for tape in tapes where tape.tornBytes > 0 { call.terminal.error("\(tape.path): the last \(tape.tornBytes) bytes were never finished and are left out") }
        return tapes
    }
}

extension Verb {
    static let backtest = Verb(
        words: ["backtest"],
        summary: "run a manifest's pipelines over tapes and report what they would have done",
        details: """
            The same engine, gate, deciders, risk, router and simulated venue as in a paper run; only time and events come from the
            tape. Fees, funding, latency, slippage and how orders fill are the simulated venue's settings, and can be tried with
            --set. Deciders that call out are refused: record their answers in a paper run first.
            """,
        arguments: [Argument("MANIFEST", .optional, "the manifest (default: plugins.json)")],
        options: BacktestCall.options + [
            Option("html", value: "FILE", "write the report as one HTML page"), Option("json", "print the whole result as JSON"),
            Option("out", value: "FILE", "write the result as JSON to a file too"), Option("summary", "with --json: without fills, trades and curve"),
            Option("no-lookahead", "don't run again over shortened tapes to find deciders that know the future"),
        ],
        run: { call in
            let setup = BacktestCall(call: call)
            let file = try setup.file()
            let tapes = try setup.tapes()
            let changes = try setup.changes()
            let report = try setup.report(file, changes)
            guard let manifest = report.manifest else {
                for problem in report.problems { call.terminal.error(report.styled(problem, call.terminal)) }
                throw Failure(.invalid, "\(file.name) is not valid: nothing was run")
            }
            let loader = try setup.loader(manifest, file)
            var request = try setup.request(manifest, tapes: tapes)
            request.charts = call.value("html") != nil
            let backtest: Backtest
            do { backtest = try loader.backtest(request) } catch let error as BacktestError { throw Failure(error.isRefusal ? .refused : .invalid, error.description) }
            let bar = call.progress("backtest", unit: "events")
            var result: BacktestResult
            do {
                result = try backtest.run { done, of in
                    bar.update(Int64(done), total: Int64(of))
                    return true
                }
            } catch {
                bar.finish()
                throw error
            }
            bar.finish()
            result.changes = changes.map { "\($0.path)=\($0.value)" } + result.changes
            result.findings += Diagnosis.look(result)
            if !call.flag("no-lookahead"), !result.fills.isEmpty {
                let again = call.progress("lookahead check", unit: "events")
                var shorter = request
                shorter.charts = false
                if let finding = try Diagnosis.lookahead(
                    result,
                    run: { to in
                        shorter.to = to
                        return try loader.backtest(shorter).run { done, of in
                            again.update(Int64(done), total: Int64(of))
                            return true
                        }
                    })
                {
                    result.findings.insert(finding, at: 0)
                }
                again.finish()
            }
            if let path = call.value("html") { try ReportPage.render(result).write(toFile: path, atomically: true, encoding: .utf8) }
            if let path = call.value("out") { try ReportJSON.value(result).text(.compact).write(toFile: path, atomically: true, encoding: .utf8) }
            if call.wantsJSON {
                call.terminal.out(ReportJSON.value(result, whole: !call.flag("summary")).text(.compact))
            } else {
                call.terminal.raw(.out, ReportText.summary(result))
                if let path = call.value("html") { call.terminal.out("report: \(path)") }
            }
            return .ok
        })
}
