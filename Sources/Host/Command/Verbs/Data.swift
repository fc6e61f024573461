import Foundation
import HostBacktest
import HostCore
import HostManifest
import PluginAPI
import PluginKit
import Tape

/// Options several data verbs share.
enum DataOptions {
    static let instrument = Verb.Option("instrument", value: "SYMBOL", repeats: true, "in Keel's form, such as BTC/USDT or BTC/USDT:USDT")
    static let tick = Verb.Option("tick", value: "STEP", "smallest price step of the instrument")
    static let lot = Verb.Option("lot", value: "STEP", "smallest quantity step of the instrument")
    static let from = Verb.Option("from", value: "TIME", "from here on, such as 2024-01-31 or 2024-01-31T09:30:00Z")
    static let to = Verb.Option("to", value: "TIME", "up to here, not included")
    static let force = Verb.Option("force", "replace a file that is there")
}

extension Invocation {
    func time(_ option: Verb.Option) throws -> Int64? {
        guard let text = value(option) else { return nil }
        guard let time = UTCTime.parse(text) else { throw mistake("--\(option.name): \"\(text)\" is not a time", hint: "2024-01-31, 2024-01-31T09:30:00Z or a whole number since 1970") }
        return time
    }

    func span(_ name: String) throws -> Int64? {
        guard let text = value(name) else { return nil }
        guard let span = SpanText.parse(text), span > 0 else { throw mistake("--\(name): \"\(text)\" is not a length of time", hint: "for example 1m, 4h or 1d") }
        return span
    }

    func fixed(_ name: String) throws -> Fixed? {
        guard let text = value(name) else { return nil }
        guard let number = try? Fixed(parsing: text), number.isPositive else { throw mistake("--\(name): \"\(text)\" is not a decimal number above zero") }
        return number
    }

    func whole(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
        guard let text = value(name) else { return nil }
        guard let number = Int(text.replacingOccurrences(of: "_", with: "")), range.contains(number) else {
            throw mistake("--\(name): \"\(text)\" is not a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// An output file: its folder exists, and it does not, unless it may be replaced.
    func output(_ path: String) throws {
        let folder = (path as NSString).deletingLastPathComponent
        var isFolder: ObjCBool = false
        if !folder.isEmpty, !FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder) || !isFolder.boolValue {
            throw Failure(.error, "there is no folder \"\(folder)\"", hint: "mkdir -p \(folder)")
        }
        if FileManager.default.fileExists(atPath: path) {
            guard flag(DataOptions.force) else { throw Failure(.error, "\"\(path)\" exists already", hint: "name another file, or --force to replace it") }
            try FileManager.default.removeItem(atPath: path)
        }
    }
}

extension Verb {
    static let dataSynth = Verb(
        words: ["data", "synth"],
        summary: "make up a market: a seeded random walk with regimes, jumps and volume",
        details: "The same options give the same bytes on every machine.",
        arguments: [Argument("FILE", .one, "the tape to write")],
        options: [
            Option("bars", value: "N", "write N bars (default: 100000)"), Option("trades", value: "N", "write N trades instead"),
            Option("quotes", value: "N", "write N quotes instead"), DataOptions.instrument, Option("seed", value: "N", "default: 1"),
            Option("start", value: "TIME", "first opening (default: 2024-01-01)"), Option("bar", value: "SPAN", "length of a bar (default: 1m)"),
            Option("gap", value: "SPAN", "mean distance of trades (default: 250ms)"), Option("price", value: "PRICE", "to start from (default: 100)"),
            DataOptions.tick, DataOptions.lot, Option("volatility", value: "SHARE", "standard deviation of a calm bar's return (default: 0.0006)"),
            Option("jumps", value: "SHARE", "share of the bars that jump (default: 0.0004)"), DataOptions.force, .json,
        ],
        run: { call in
            var request = SyntheticTape.Request()
            let kinds: [(String, SyntheticTape.Request.Content)] = [("bars", .bars), ("trades", .trades), ("quotes", .quotes)]
            let chosen = kinds.filter { call.value($0.0) != nil }
            if chosen.count > 1 { throw call.mistake("only one of --bars, --trades and --quotes") }
            if let (name, content) = chosen.first {
                request.content = content
                request.count = try call.whole(name, in: 1...1_000_000_000) ?? request.count
            }
            var settings = MarketGenerator.Settings()
            if let seed = call.value("seed") {
                guard let number = UInt64(seed) else { throw call.mistake("--seed: \"\(seed)\" is not a whole number") }
                settings.seed = number
            }
            if let start = try call.time(Option("start", value: "TIME", "")) { settings.start = start }
            if let bar = try call.span("bar") { settings.bar = bar }
            if let gap = try call.span("gap") { settings.tradeGap = gap }
            if let price = try call.fixed("price") { settings.price = price }
            if let tick = try call.fixed("tick") { settings.tick = tick }
            if let lot = try call.fixed("lot") { settings.lot = lot }
            func share(_ name: String) throws -> Double? {
                guard let text = call.value(name) else { return nil }
                guard let number = Double(text), number >= 0, number < 1 else { throw call.mistake("--\(name): \"\(text)\" is not a share between 0 and 1") }
                return number
            }
            if let volatility = try share("volatility") { settings.volatility = volatility }
            if let jumps = try share("jumps") { settings.jumpShare = jumps }
            request.settings = settings
            let symbols = call.all("instrument").isEmpty ? ["BTC/USDT"] : call.all("instrument")
            if Set(symbols).count != symbols.count { throw call.mistake("--instrument: the same symbol stands there twice") }
            request.instruments = symbols.map { TapeInstrument(symbol: $0, tick: settings.tick, lot: settings.lot) }
            let path = call.arguments[0]
            try call.output(path)
            let total = Int64(request.count * symbols.count)
            let progress = call.progress("synth", total: total, unit: "records")
            do {
                try SyntheticTape.write(request, to: path) { progress.update(Int64($0)) }
            } catch {
                progress.finish()
                try? FileManager.default.removeItem(atPath: path)
                throw error
            }
            progress.finish()
            if call.wantsJSON {
                let out: JSONValue = ["tape": JSONValue(path), "records": JSONValue(total)]
                call.terminal.out(out.text(.compact))
            } else {
                call.terminal.out("\(total) \(request.content.rawValue) of \(symbols.joined(separator: ", ")) in \(path)")
            }
            return .ok
        })

    static let dataExport = Verb(
        words: ["data", "export"],
        summary: "write a tape's bars, trades, quotes or values as CSV",
        details: "Times are nanoseconds since 1970; keel data import reads the file back to the same records.",
        arguments: [Argument("TAPE", .one, "the tape"), Argument("FILE", .optional, "the CSV file (default: standard output)")],
        options: [
            Option("kind", value: "KIND", "bars, trades, quotes or values (default: what the tape has, if it is one kind)"), DataOptions.from, DataOptions.to,
            DataOptions.force,
        ],
        run: { call in
            let file = try TapeFile(call.arguments[0])
            let present = TapeSummary(file).shapes
            let shape: RowShape
            if let name = call.value("kind") {
                guard let known = RowShape(rawValue: name) else { throw call.mistake("--kind: \"\(name)\" is none of bars, trades, quotes, values") }
                shape = known
            } else {
                guard present.count == 1, let only = present.first else {
                    throw call.mistake("the tape has \(present.isEmpty ? "none of these kinds" : present.map(\.rawValue).joined(separator: " and "))", hint: "choose with --kind")
                }
                shape = only
            }
            let from = try call.time(DataOptions.from) ?? .min
            let to = try call.time(DataOptions.to) ?? .max
            if call.arguments.count > 1 {
                let path = call.arguments[1]
                try call.output(path)
                guard FileManager.default.createFile(atPath: path, contents: nil), let handle = FileHandle(forWritingAtPath: path) else {
                    throw Failure(.error, "\"\(path)\" cannot be written")
                }
                let progress = call.progress("export", unit: "bytes")
                var bytes: Int64 = 0
                let rows = try TapeExport.run(file, shape: shape, from: from, to: to) { piece in
                    try handle.write(contentsOf: piece)
                    bytes += Int64(piece.count)
                    progress.update(bytes)
                }
                try handle.close()
                progress.finish()
                call.terminal.error("\(rows) \(shape.rawValue) in \(path)")
            } else {
                _ = try TapeExport.run(file, shape: shape, from: from, to: to) { call.terminal.sink(.out, $0) }
            }
            return .ok
        })

    static let dataInfo = Verb(
        words: ["data", "info"],
        summary: "say what is on a tape, and check every byte of it",
        arguments: [Argument("TAPE", .any, "the tapes")],
        options: [.json, Option("quick", "only the block headers: does not read the records")],
        run: { call in
            if call.arguments.isEmpty { throw call.mistake("name a tape") }
            var all: [JSONValue] = []
            for path in call.arguments {
                let file = try TapeFile(path)
                let progress = call.progress("check", total: Int64(file.wholeBytes), unit: "bytes")
                let summary = TapeSummary(file)
                if !call.flag("quick") { try file.verify { done, of in progress.update(Int64(file.wholeBytes) * Int64(done) / Int64(max(of, 1))) } }
                progress.finish()
                if call.wantsJSON { all.append(summary.json) } else { call.terminal.raw(.out, summary.text(checked: !call.flag("quick"))) }
            }
            if call.wantsJSON { call.terminal.out((all.count == 1 ? all[0] : JSONValue(all)).text(.pretty)) }
            return .ok
        })

    static let dataRecord = Verb(
        words: ["data", "record"],
        summary: "make a tape of what a run saw of the market",
        details: """
            Every run keeps a journal of its inputs in its state folder. This writes the market events of one as a tape, while the
            run goes on or after it, so that keel backtest can try other settings on what was really seen.
            """,
        arguments: [Argument("MANIFEST", .optional, "the run's manifest (default: plugins.json)")],
        options: [
            Option("run", value: "N", "number of the run (default: the last one)"), Option("out", value: "FILE", "the tape (default: run-N.tape)"), DataOptions.force, .json,
        ],
        run: { call in
            let report = call.readManifest(checksSecrets: false)
            let manifest = try report.required(call.terminal)
            let base = ((call.manifestName as NSString).deletingLastPathComponent as NSString)
            let state = manifest.state.hasPrefix("/") ? manifest.state : base.appendingPathComponent(manifest.state)
            let journals = state + "/journal"
            let numbers = ((try? FileManager.default.contentsOfDirectory(atPath: journals)) ?? []).compactMap { name in
                name.hasSuffix(".journal") ? Int(name.dropLast(8)) : nil
            }.sorted()
            guard let run = try call.whole("run", in: 1...Int(UInt32.max)) ?? numbers.last else {
                throw Failure(.error, "there is no journal in \(journals)", hint: "start a run first: keel run \(call.manifestName)")
            }
            guard numbers.contains(run) else { throw Failure(.error, "there is no journal of run \(run)", hint: "there are: \(numbers.map(String.init).joined(separator: ", "))") }
            let path = call.value("out") ?? "run-\(run).tape"
            try call.output(path)
            let outcome = try TapeFromJournal.write(journal: "\(journals)/\(run).journal", to: path, instruments: manifest.instruments)
            if call.wantsJSON {
                let out: JSONValue = [
                    "tape": JSONValue(path), "run": JSONValue(run), "records": JSONValue(outcome.recorded), "missing": JSONValue(outcome.missing.map { JSONValue($0) }),
                ]
                call.terminal.out(out.text(.compact))
            } else {
                call.terminal.out("\(outcome.recorded) market events of run \(run) in \(path)")
                for gap in outcome.missing { call.terminal.error("missing: \(gap)") }
            }
            return outcome.missing.isEmpty ? .ok : .checkFailed
        })
}
