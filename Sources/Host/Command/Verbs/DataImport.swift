import Foundation
import HostBacktest
import HostManifest
import PluginAPI
import PluginKit
import Tape

extension Verb {
    static let dataImport = Verb(
        words: ["data", "import"],
        summary: "turn CSV files (plain, zip, gzip) into a tape",
        details: """
            Read without help: files with a header (ts_ms,open,high,low,close,volume; ts_ms,price,qty; and the usual spellings),
            Binance's public kline, trade and aggTrade dumps, and LEAN's data folder. What was decided about a file is printed.

            Bad rows are left out, counted and listed with their line; the exit code is 7 then, unless --allow-bad is given.
            """,
        arguments: [Argument("FILE", .any, "files or folders; they are read in the order of their first rows")],
        options: [
            Option("out", value: "TAPE", "the tape to write (default: the first file's name with .tape)"), DataOptions.instrument,
            Option("columns", value: "LIST", "without a header: the columns in order, as in time,open,high,low,close,volume or id,price,quantity,-,time; with one: role=TITLE pairs"),
            Option("kind", value: "KIND", "bars, trades, quotes or values, if the columns could be several"), Option("delimiter", value: "CHAR", "between columns (default: found out)"),
            Option("unit", value: "UNIT", "what a time counts: s, ms, us or ns (default: by its size)"),
            Option("zone", value: "ZONE", "of times that name none: UTC, +09:00, America/New_York (default: UTC)"),
            Option("bar", value: "SPAN", "length of the bars (default: by the file's name or its first rows)"),
            Option("time", value: "END", "whether a bar's time is its start or its end: open or close (default: open)"),
            Option("price-divisor", value: "N", "divide prices by N (LEAN's equity files: 10000)"), Option("name", value: "NAME", "the series' name, for values"),
            DataOptions.tick, DataOptions.lot, DataOptions.from, DataOptions.to, Option("sort", "put rows into time order instead of refusing those that go back"),
            Option("strict", "stop at the first bad row and write nothing"), Option("allow-bad", "bad rows are no reason for exit code 7"),
            Option("list", value: "N", "how many bad rows to list (default: 20)"), DataOptions.force, .json,
        ],
        run: { call in
            if call.arguments.isEmpty { throw call.mistake("name a file to import") }
            let options = try importOptions(call)
            let output = call.value("out") ?? defaultOutput(call.arguments[0])
            try call.output(output)
            let progress = call.progress("import", unit: "rows")
            let started = call.surroundings.clock()
            let report: ImportReport
            do {
                report = try TapeImport.run(call.arguments, to: output, options: options) { step in
                    let share = step.bytesTotal > 0 ? Double(step.bytesDone) / Double(step.bytesTotal) : 0
                    // The number of rows is not known before the end: it is judged by the bytes.
                    progress.update(Int64(step.rows), total: share > 0.001 ? Int64(Double(step.rows) / share) : nil)
                }
            } catch let error as ImportError {
                progress.finish()
                if case .strict = error { throw Failure(.checkFailed, error.description) }
                throw Failure(.error, error.description)
            }
            progress.finish()
            let seconds = Double(call.surroundings.clock() - started) / 1e9
            if call.wantsJSON {
                call.terminal.out(ImportText.json(report, output, seconds).text(.pretty))
            } else {
                call.terminal.raw(.out, ImportText.text(report, output, seconds))
            }
            return report.bad > 0 && !call.flag("allow-bad") ? .checkFailed : .ok
        })

    private static func defaultOutput(_ path: String) -> String {
        var name = path as NSString
        while ["csv", "zip", "gz", "txt"].contains(name.pathExtension.lowercased()) { name = name.deletingPathExtension as NSString }
        return (name as String) + ".tape"
    }

    private static func importOptions(_ call: Invocation) throws -> ImportOptions {
        var options = ImportOptions()
        let symbols = call.all("instrument")
        if symbols.count > 1 { throw call.mistake("--instrument: one for all files, or a symbol column in them") }
        if let symbol = symbols.first { options.instrument = TapeInstrument(symbol: symbol, tick: try call.fixed("tick") ?? .zero, lot: try call.fixed("lot") ?? .zero) }
        if let list = call.value("columns") { options.columns = list.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) } }
        if let kind = call.value("kind") {
            guard let shape = RowShape(rawValue: kind) else { throw call.mistake("--kind: \"\(kind)\" is none of bars, trades, quotes, values") }
            options.shape = shape
        }
        if let text = call.value("delimiter") {
            let byte = text == "\\t" || text == "tab" ? 9 : text.utf8.first
            guard let byte, text == "tab" || text == "\\t" || text.utf8.count == 1 else { throw call.mistake("--delimiter: one character, or tab") }
            options.delimiter = byte
        }
        if let unit = call.value("unit") {
            guard let known = TimeUnit(rawValue: unit) else { throw call.mistake("--unit: \"\(unit)\" is none of s, ms, us, ns") }
            options.unit = known
        }
        if let zone = call.value("zone") {
            guard let known = ZoneOffset(zone) else { throw call.mistake("--zone: \"\(zone)\" is not known here", hint: "UTC, +09:00 or a name such as America/New_York") }
            options.zone = known
        }
        options.bar = try call.span("bar")
        if let end = call.value("time") {
            guard end == "open" || end == "close" else { throw call.mistake("--time: open or close") }
            options.timeIsClose = end == "close"
        }
        options.priceDivisor = try call.whole("price-divisor", in: 1...1_000_000_000).map(Int64.init)
        options.valueName = call.value("name")
        options.strict = call.flag("strict")
        options.sort = call.flag("sort")
        options.listed = try call.whole("list", in: 0...1_000_000) ?? 20
        options.from = try call.time(DataOptions.from) ?? .min
        options.to = try call.time(DataOptions.to) ?? .max
        return options
    }
}
