import Foundation
import PluginAPI
import PluginKit

/// Texts in, one tape out. Rows are checked one by one; memory does not grow with their number.
public struct TapeImport {
    public struct Progress: Sendable {
        public var bytesDone: Int
        public var bytesTotal: Int
        public var rows: Int
    }

    private struct Last {
        var time = Int64.min
        var line = 0
        var file = ""
        var id: UInt64 = 0
        var open = Int64.min
    }

    private let options: ImportOptions
    private let progress: ((Progress) -> Void)?
    private var report = ImportReport()
    private let registry = SymbolRegistry()
    private var last: [Last] = [Last()]
    private var lastTime = Int64.min

    /// Reads `paths` (files, zips, gzips; folders are walked) and writes `output`, which must not exist. A failure leaves nothing behind.
    public static func run(_ paths: [String], to output: String, options: ImportOptions = ImportOptions(), created: Int64 = 0, progress: ((Progress) -> Void)? = nil)
        throws -> ImportReport
    {
        var work = TapeImport(options: options, progress: progress)
        let partial = output + ".partial"
        if FileManager.default.fileExists(atPath: output) {
            throw ImportError.options("\(output) exists already. Name another file, or remove it first")
        }
        try? FileManager.default.removeItem(atPath: partial)
        do {
            try work.run(try work.expand(paths), partial, output, created)
        } catch {
            try? FileManager.default.removeItem(atPath: partial)
            throw error
        }
        return work.report
    }

    private init(options: ImportOptions, progress: ((Progress) -> Void)?) {
        self.options = options
        self.progress = progress
    }

    private func expand(_ paths: [String]) throws -> [String] {
        var files: [String] = []
        for path in paths {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
                throw ImportError.system(path: path, operation: "open", reason: "No such file or directory")
            }
            if !isFolder.boolValue {
                files.append(path)
                continue
            }
            let inside = (FileManager.default.enumerator(atPath: path)?.allObjects as? [String] ?? []).sorted()
            let wanted = inside.filter { ["csv", "zip", "gz", "txt"].contains(($0 as NSString).pathExtension.lowercased()) }
            if wanted.isEmpty { throw ImportError.empty(path: path) }
            files += wanted.map { path + "/" + $0 }
        }
        if files.isEmpty { throw ImportError.options("nothing to import") }
        return files
    }

    private struct Source {
        var stream: ByteStream
        var format: FileFormat
        var place: String
        var first: Int64
    }

    private mutating func run(_ files: [String], _ partial: String, _ output: String, _ created: Int64) throws {
        var sources: [Source] = []
        for path in files {
            for stream in try ByteStream.open(path) {
                let format = try FormatDetection.decide(stream, options)
                let place = path.hasSuffix(stream.name) ? path : "\(path):\(stream.name)"
                let probe = RowReader(stream.fresh(), format, options, place: place)
                sources.append(Source(stream: stream, format: format, place: place, first: try Self.firstTime(probe)))
            }
        }
        // Files are read in the order of their first rows, whatever order they were named in.
        let given = sources.map(\.place)
        sources = sources.enumerated().sorted { ($0.element.first, $0.offset) < ($1.element.first, $1.offset) }.map(\.element)
        if sources.map(\.place) != given { report.notes.append("files are read in the order of their first rows") }
        let total = sources.reduce(0) { $0 + $1.stream.size }

        let note = (["imported by keel data import"] + sources.prefix(20).map { "\($0.place.split(separator: "/").last ?? ""): \($0.format.decided.joined(separator: "; "))" })
            .joined(separator: "\n")
        let writer = try TapeWriter(creating: partial, instruments: [], note: note, created: created, order: options.sort ? .asReceived : .strict)
        var doneBefore = 0
        for source in sources {
            let reader = RowReader(source.stream, source.format, options, place: source.place)
            let before = report.rows
            try read(reader, source, writer, doneBefore, total)
            doneBefore += source.stream.size
            report.files.append(.init(name: source.place, rows: report.rows - before, decided: source.format.decided))
            if reader.rounded > 0 {
                report.rounded += reader.rounded
                if report.firstRounded == nil { report.firstRounded = "\(source.place):\(reader.firstRounded ?? 0)" }
            }
        }
        if report.good == 0 { throw report.listed.first.map { ImportError.strict($0) } ?? ImportError.noRows(path: files[0]) }
        progress?(Progress(bytesDone: total, bytesTotal: total, rows: report.rows))
        report.instruments = registry.table.map(\.symbol)
        try writer.close()
        if options.sort { try sort(partial, note, created) }
        report.trimGaps()
        if rename(partial, output) != 0 {
            throw ImportError.system(path: output, operation: "rename", reason: String(cString: strerror(errno)))
        }
    }

    private static func firstTime(_ reader: RowReader) throws -> Int64 {
        for _ in 0..<1000 {
            switch try reader.next() {
            case .bar(let bar): return bar.head.at_source
            case .trade(let trade): return trade.head.at_source
            case .quote(let quote): return quote.head.at_source
            case .value(_, let time): return time
            case nil: return .max
            default: continue
            }
        }
        return .max
    }

    // MARK: rows

    private mutating func read(_ reader: RowReader, _ source: Source, _ writer: TapeWriter, _ doneBefore: Int, _ total: Int) throws {
        let format = source.format
        if format.columns.contains(.symbol) {
            let registry = registry
            reader.instrumentOf = { try registry.number($0, writer) }
        } else if format.shape == .values, options.instrument == nil, format.symbol == nil {
            reader.instrument = 0
        } else {
            guard let symbol = format.symbol else {
                throw ImportError.undecided(path: source.place, what: "nothing says which instrument this is", hint: "Give it: --instrument BTC/USDT")
            }
            var instrument = options.instrument ?? TapeInstrument(symbol: symbol)
            instrument.symbol = symbol
            reader.instrument = try registry.number(of: instrument, writer)
        }
        try rows(reader, source, writer, doneBefore, total)
    }

    private mutating func rows(_ reader: RowReader, _ source: Source, _ writer: TapeWriter, _ doneBefore: Int, _ total: Int) throws {
        var untilProgress = 65_536
        while let row = try reader.next() {
            if case .blank = row {
                report.blank += 1
                continue
            }
            report.rows += 1
            untilProgress -= 1
            if untilProgress == 0 {
                untilProgress = 65_536
                progress?(Progress(bytesDone: doneBefore + source.stream.done, bytesTotal: total, rows: report.rows))
            }
            switch row {
            case .bar(var bar):
                if options.sort {
                    bar.head.request = UInt64(reader.line)
                } else if let problem = place(bar: bar, line: reader.line, file: source.place) {
                    try refuse(problem)
                    continue
                }
                try writer.append(bar)
            case .trade(var trade):
                if options.sort {
                    trade.head.request = UInt64(reader.line)
                } else if let problem = place(trade: trade, line: reader.line, file: source.place) {
                    try refuse(problem)
                    continue
                }
                try writer.append(trade)
            case .quote(var quote):
                if options.sort {
                    quote.head.request = UInt64(reader.line)
                } else if let problem = place(time: quote.head.at_host, line: reader.line, file: source.place) {
                    try refuse(problem)
                    continue
                }
                try writer.append(quote)
            case .value(let bytes, let time):
                if !options.sort, let problem = place(time: time, line: reader.line, file: source.place) {
                    try refuse(problem)
                    continue
                }
                try writer.append(bytes: bytes)
            case .bad(let problem, let detail):
                try refuse(BadRow(file: source.place, line: reader.line, problem: problem, detail: detail))
                continue
            case .outside:
                report.outsideRange += 1
                continue
            case .blank: continue
            }
            report.good += 1
        }
    }

    private mutating func refuse(_ row: BadRow) throws {
        report.add(bad: row, limit: options.listed)
        if options.strict { throw ImportError.strict(row) }
    }

    // MARK: order

    @inline(__always)
    private mutating func place(time: Int64, line: Int, file: String) -> BadRow? {
        if time < lastTime {
            return BadRow(file: file, line: line, problem: .timeGoesBack, detail: "\(UTCTime.text(time)) after \(UTCTime.text(lastTime))")
        }
        lastTime = time
        if report.first == nil { report.first = time }
        report.last = time
        return nil
    }

    @inline(__always)
    private mutating func place(bar: keel_ev_bar, line: Int, file: String) -> BadRow? {
        let number = Int(bar.head.instrument)
        while last.count <= number { last.append(Last()) }
        let before = last[number].open
        let open = bar.bar.open_time
        if open == before {
            return BadRow(file: file, line: line, problem: .duplicateTime, detail: "\(UTCTime.text(open)), first in line \(last[number].line)")
        }
        if let problem = place(time: bar.head.at_host, line: line, file: file) { return problem }
        if before != .min, open &- before != bar.duration { gap(before, bar, number, line, file) }
        last[number].open = open
        last[number].line = line
        return nil
    }

    private mutating func gap(_ before: Int64, _ bar: keel_ev_bar, _ number: Int, _ line: Int, _ file: String) {
        let distance = bar.bar.open_time - before
        let symbol = number > 0 && number <= registry.table.count ? registry.table[number - 1].symbol : ""
        let missing = bar.duration > 0 && distance % bar.duration == 0 ? distance / bar.duration - 1 : 0
        report.add(gap: .init(symbol: symbol, file: file, line: line, from: before + bar.duration, to: bar.bar.open_time, missing: missing))
    }

    @inline(__always)
    private mutating func place(trade: keel_ev_trade, line: Int, file: String) -> BadRow? {
        if trade.trade_id != 0 {
            let number = Int(trade.head.instrument)
            while last.count <= number { last.append(Last()) }
            let before = last[number].id
            if trade.trade_id == before {
                return BadRow(file: file, line: line, problem: .duplicateId, detail: "\(before), first in line \(last[number].line)")
            }
            if let problem = place(time: trade.head.at_host, line: line, file: file) { return problem }
            if before != 0, trade.trade_id > before &+ 1 { report.missingIds &+= trade.trade_id - before - 1 }
            last[number].id = trade.trade_id
            last[number].line = line
            return nil
        }
        return place(time: trade.head.at_host, line: line, file: file)
    }

    /// The second pass of `sort`: rows in time order, equal times as they stood, then the same checks.
    private mutating func sort(_ partial: String, _ note: String, _ created: Int64) throws {
        let file = try TapeFile(partial)
        var places: [(time: Int64, offset: Int)] = []
        places.reserveCapacity(file.eventCount)
        for block in file.blocks {
            try file.check(block)
            var at = block.offset
            while at < block.offset + block.bytes {
                let event = (file.base + at).assumingMemoryBound(to: keel_event.self)
                places.append((TapeTime.of(event), at))
                at += EventShape.stride(event.pointee.size)
            }
        }
        places.sort { ($0.time, $0.offset) < ($1.time, $1.offset) }
        var moved = 0
        for index in places.indices.dropFirst() where places[index].offset < places[index - 1].offset { moved += 1 }
        report.sorted = moved
        report.good = 0
        let target = partial + ".sorted"
        try? FileManager.default.removeItem(atPath: target)
        do {
            let writer = try TapeWriter(creating: target, instruments: registry.table, note: note + "\nrows put into time order", created: created)
            let name = report.files.count == 1 ? report.files[0].name : "sorted rows"
            for entry in places {
                let event = (file.base + entry.offset).assumingMemoryBound(to: keel_event.self)
                let line = Int(event.pointee.request)
                let problem: BadRow?
                if UInt32(event.pointee.kind) == KEEL_EV_BAR {
                    var bar = UnsafeRawPointer(event).loadUnaligned(as: keel_ev_bar.self)
                    bar.head.request = 0
                    problem = place(bar: bar, line: line, file: name)
                    if problem == nil { try writer.append(bar) }
                } else if UInt32(event.pointee.kind) == KEEL_EV_TRADE {
                    var trade = UnsafeRawPointer(event).loadUnaligned(as: keel_ev_trade.self)
                    trade.head.request = 0
                    problem = place(trade: trade, line: line, file: name)
                    if problem == nil { try writer.append(trade) }
                } else if UInt32(event.pointee.kind) == KEEL_EV_QUOTE {
                    var quote = UnsafeRawPointer(event).loadUnaligned(as: keel_ev_quote.self)
                    quote.head.request = 0
                    problem = place(time: quote.head.at_host, line: line, file: name)
                    if problem == nil { try writer.append(quote) }
                } else {
                    problem = place(time: entry.time, line: line, file: name)
                    if problem == nil { try writer.append(event) }
                }
                if let problem { try refuse(problem) } else { report.good += 1 }
            }
            try writer.close()
        } catch {
            try? FileManager.default.removeItem(atPath: target)
            throw error
        }
        if rename(target, partial) != 0 { throw ImportError.system(path: partial, operation: "rename", reason: String(cString: strerror(errno))) }
    }
}

/// The tape's instrument numbers by symbol.
private final class SymbolRegistry {
    private(set) var table: [TapeInstrument] = []
    private var bySymbol: [String: UInt32] = [:]
    private var lastBytes: [UInt8] = []
    private var lastNumber: UInt32 = 0

    func number(of instrument: TapeInstrument, _ writer: TapeWriter) throws -> UInt32 {
        if let known = bySymbol[instrument.symbol] { return known }
        try writer.add([instrument])
        table.append(instrument)
        let number = UInt32(table.count)
        bySymbol[instrument.symbol] = number
        return number
    }

    /// Of a symbol column's field; the same symbol as the row before costs a comparison.
    func number(_ bytes: UnsafeBufferPointer<UInt8>, _ writer: TapeWriter) throws -> UInt32 {
        if lastNumber != 0, lastBytes.count == bytes.count, lastBytes.elementsEqual(bytes) { return lastNumber }
        let name = String(decoding: bytes.prefix(128), as: UTF8.self)
        // A venue's spelling becomes Keel's where that is certain.
        lastNumber = try number(of: TapeInstrument(symbol: name.contains("/") ? name : BinanceName.pair(name) ?? name), writer)
        lastBytes = Array(bytes)
        return lastNumber
    }
}
