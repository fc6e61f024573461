import Foundation
import HostBacktest
import HostManifest
import PluginKit

extension Verb {
    static let report = Verb(
        words: ["report"],
        summary: "report on a live or paper run, or compare one with a backtest of the same time",
        details: """
            SOURCE is a manifest, a state folder, a ledger, or (for --parity) what keel backtest --out wrote.
            With --parity: keel report --parity LIVE BACKTEST says which orders agree, how much later and worse the live ones were
            filled, and for each order that only one of them has, why.
            """,
        arguments: [Argument("SOURCE", .any, "one run, or a live run and a backtest")],
        options: [
            Option("parity", "compare a live run with a backtest"), Option("run", value: "N", "number of the run (default: the last)"),
            Option("pipeline", value: "NAME", repeats: true, "only this pipeline's orders"), Option("window", value: "SPAN", "how far apart two orders may be and still be one (default: 5m)"),
            Option("html", value: "FILE", "write the report as one HTML page"), .json,
        ],
        run: { call in
            let run = try call.whole("run", in: 1...Int(UInt32.max))
            if call.flag("parity") {
                guard call.arguments.count == 2 else { throw call.mistake("--parity compares two: LIVE BACKTEST") }
                let live = try side(call.arguments[0], call, run)
                let test = try side(call.arguments[1], call, nil)
                let parity = Parity(live: live, test: test, window: try call.span("window") ?? 300_000_000_000)
                if call.wantsJSON { call.terminal.out(parity.json.text(.pretty)) } else { call.terminal.raw(.out, parity.text) }
                return .ok
            }
            if call.arguments.count > 1 { throw call.mistake("one run at a time", hint: "--parity compares two") }
            let result = try LedgerResult.read(try ledger(call.arguments.first ?? "plugins.json", call), run: run)
            if let path = call.value("html") { try ReportPage.render(result).write(toFile: path, atomically: true, encoding: .utf8) }
            if call.wantsJSON { call.terminal.out(ReportJSON.value(result).text(.compact)) } else { call.terminal.raw(.out, ReportText.summary(result)) }
            if let path = call.value("html"), !call.wantsJSON { call.terminal.out("report: \(path)") }
            return .ok
        })

    /// The ledger a manifest, a folder or a path means.
    private static func ledger(_ source: String, _ call: Invocation) throws -> String {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: source, isDirectory: &isFolder) else { throw Failure(.error, "there is no \"\(source)\"") }
        var path = source
        if isFolder.boolValue {
            path = source + "/ledger.db"
        } else if source.hasSuffix(".json") {
            guard let file = try? ManifestFile(reading: source), let manifest = ManifestReader(environment: call.environment, checksSecrets: false).check(file).manifest else {
                throw Failure(.invalid, "\(source) is not a valid manifest")
            }
            path = file.resolve(manifest.state) + "/ledger.db"
        }
        guard FileManager.default.fileExists(atPath: path) else { throw Failure(.error, "there is no ledger at \"\(path)\"", hint: "run it first: keel run") }
        return path
    }

    private static func side(_ source: String, _ call: Invocation, _ run: Int?) throws -> ParitySide {
        if source.hasSuffix(".json"), let bytes = FileManager.default.contents(atPath: source), let json = try? JSONValue(parsing: Array(bytes)),
            json.find("format")?.asText == "keel.backtest/1"
        {
            return try ParitySide.result(json, name: "backtest")
        }
        return try ParitySide.ledger(try ledger(source, call), run: run, pipelines: call.all("pipeline"))
    }
}
