/// Looks at a file's name and first lines and decides how to read it. What cannot be told apart is an error with a hint, not a guess.
struct FormatDetection {
    let stream: ByteStream
    let options: ImportOptions
    private var decided: [String] = []
    private var lines: [[String]] = []
    private var first = ""

    static func decide(_ stream: ByteStream, _ options: ImportOptions) throws -> FileFormat {
        var detection = FormatDetection(stream: stream, options: options)
        return try detection.run()
    }

    private init(stream: ByteStream, options: ImportOptions) {
        self.stream = stream
        self.options = options
    }

    private var place: String { stream.path.hasSuffix(stream.name) ? stream.path : "\(stream.path)/\(stream.name)" }

    private mutating func run() throws -> FileFormat {
        let (delimiter, raw) = try sample()
        first = raw
        var headerLines = 0
        var columns: [ColumnRole]
        var unit = options.unit
        var least: Int
        guard let top = lines.first else { throw ImportError.empty(path: place) }
        let lean = LeanName(stream.name, path: stream.path)
        let isHeader = options.columns.contains { $0.contains("=") } || top.contains { ColumnRole.of(title: $0) != nil } && !top.contains { Self.looksLikeNumber($0) }

        if isHeader {
            headerLines = 1
            (columns, unit) = try titled(top, unit)
            least = columns.count
            decided.append("header: \(top.joined(separator: ","))")
        } else if !options.columns.isEmpty {
            columns = try options.columns.map { name throws(ImportError) in
                guard let role = ColumnRole(rawValue: name) ?? ColumnRole.of(title: name) else {
                    throw ImportError.options("--columns: \"\(name)\" is not a column; use \(ColumnRole.allCases.map(\.rawValue).joined(separator: ", "))")
                }
                if unit == nil { unit = ColumnRole.unit(title: name) }
                return role
            }
            least = columns.count
            decided.append("columns as given")
        } else if let lean {
            columns = try leanColumns(lean, top)
            least = columns.count
        } else {
            (columns, least) = try bare(top)
        }
        guard let shape = options.shape ?? RowShape.of(columns) else {
            throw ImportError.columns(
                path: place, what: "the columns \(columns.map(\.rawValue).joined(separator: ",")) make neither bars, trades, quotes nor values", line: first)
        }
        if RowShape.of(columns) == nil { throw ImportError.columns(path: place, what: "the columns have no time or no price", line: first) }

        let data = Array(lines.dropFirst(headerLines))
        let zone = options.zone ?? (lean?.defaultZone).flatMap(ZoneOffset.init) ?? .utc
        let timeIsClose = options.timeIsClose ?? !columns.contains(.time)
        let timeRole: ColumnRole = columns.contains(.time) ? .time : .closeTime
        let timeIndex = columns.firstIndex(of: timeRole) ?? 0
        let time = try timeForm(data, timeIndex, unit, lean)
        switch time {
        case .number(let unit): decided.append("times: \(unit.rawValue) since 1970\(options.unit != nil ? " (as given)" : "")")
        case .text: decided.append("times: text, \(zone.name) unless a row says otherwise\(options.zone == nil && lean == nil ? " (default)" : "")")
        case .sinceMidnight(let day): decided.append("times: ms since midnight of \(UTCTime.text(day).prefix(10)), \(zone.name)")
        }
        var bar: Int64 = 0
        if shape == .bars {
            bar = try barLength(data, timeIndex, time, lean)
            decided.append("bars of \(Self.spanText(bar)), the time being a bar's \(timeIsClose ? "end" : "start")\(options.timeIsClose == nil ? " (default)" : "")")
        } else if let lean, shape == .quotes {
            bar = lean.length ?? 0
        }
        let divisor = try options.priceDivisor ?? lean.map { try leanDivisor($0) } ?? 1
        if divisor != 1 { decided.append("prices divided by \(divisor)") }
        let symbol = options.instrument?.symbol ?? lean?.symbol ?? BinanceName(stream.name)?.symbol
        if options.instrument == nil, let symbol { decided.append("instrument \(symbol) by the file's name") }
        decided.insert("\(shape.rawValue), columns \(columns.map(\.rawValue).joined(separator: ","))", at: 0)
        return FileFormat(
            shape: shape, delimiter: delimiter, columns: columns, columnsLeast: least, headerLines: headerLines, time: time, bar: bar,
            timeIsClose: timeIsClose, zone: zone, priceDivisor: divisor, symbol: symbol, decided: decided)
    }

    /// Up to a thousand lines cut into fields.
    private mutating func sample() throws -> (UInt8, String) {
        let reader = LineReader(stream.fresh())
        var delimiter = options.delimiter
        var firstText = ""
        while lines.count < 1000, let line = try reader.next() {
            if line.count == 0 { continue }
            let text = String(decoding: UnsafeBufferPointer(start: line.start, count: min(line.count, 4096)), as: UTF8.self)
            if delimiter == nil {
                let counts = [UInt8(44), 59, 9, 124].map { (byte: UInt8) in (byte, text.utf8.reduce(0) { $0 + ($1 == byte ? 1 : 0) }) }
                guard let best = counts.max(by: { $0.1 < $1.1 }), best.1 > 0 else {
                    throw ImportError.columns(path: place, what: "one column only: no comma, semicolon, tab or bar found. --delimiter names another", line: String(text.prefix(120)))
                }
                delimiter = best.0
                if best.0 != 44 { decided.append("delimiter \(best.0 == 9 ? "tab" : String(UnicodeScalar(best.0)))") }
            }
            if firstText.isEmpty { firstText = String(text.prefix(120)) }
            lines.append(
                text.utf8.split(separator: delimiter ?? 44, omittingEmptySubsequences: false).map { field in
                    var bytes = field[...]
                    while bytes.first == 32 { bytes = bytes.dropFirst() }
                    while bytes.last == 32 { bytes = bytes.dropLast() }
                    if bytes.count >= 2, bytes.first == 34, bytes.last == 34 { bytes = bytes.dropFirst().dropLast() }
                    return String(decoding: bytes, as: UTF8.self)
                })
        }
        return (delimiter ?? 44, firstText)
    }

    private func titled(_ titles: [String], _ given: TimeUnit?) throws(ImportError) -> ([ColumnRole], TimeUnit?) {
        var columns = [ColumnRole](repeating: .ignored, count: titles.count)
        var unit = given
        var pairs: [String: ColumnRole] = [:]
        for entry in options.columns {
            let parts = entry.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, let role = ColumnRole(rawValue: parts[0]) ?? ColumnRole.of(title: parts[0]) else {
                throw .options("--columns: the file has a header, so give role=title, for example time=\(titles.first ?? "when")")
            }
            guard titles.contains(parts[1]) else {
                throw .options("--columns: the file has no column \"\(parts[1])\"; it has \(titles.joined(separator: ", "))")
            }
            pairs[parts[1]] = role
        }
        let claimed = Set(pairs.values)
        for (index, title) in titles.enumerated() {
            guard let role = pairs[title] ?? ColumnRole.of(title: title).flatMap({ claimed.contains($0) ? nil : $0 }) else { continue }
            if columns.contains(role) {
                // A second column of a name is left aside unless it decides something.
                if [.volume, .trades, .id, .name, .symbol].contains(role) { continue }
                throw .columns(path: place, what: "two columns mean \(role.rawValue); choose with --columns \(role.rawValue)=TITLE", line: first)
            }
            columns[index] = role
            if unit == nil, role == .time || role == .closeTime && !columns.contains(.time) { unit = ColumnRole.unit(title: title) }
        }
        if !columns.contains(.time), !columns.contains(.closeTime) {
            throw .columns(path: place, what: "no column is a time; name it with --columns time=TITLE", line: first)
        }
        return (columns, unit)
    }

    /// Rows without titles: the public layouts, told apart by their number of columns and what stands in them.
    private mutating func bare(_ row: [String]) throws(ImportError) -> ([ColumnRole], Int) {
        func isTime(_ index: Int) -> Bool { index < row.count && (Int64(row[index]).flatMap(TimeUnit.guess) != nil || UTCTime.parse(row[index]) != nil) }
        func isFlag(_ index: Int) -> Bool { index < row.count && ["true", "false"].contains(row[index].lowercased()) }
        switch row.count {
        case 12 where isTime(0) && isTime(6):
            decided.append("layout: Binance klines")
            return ([.time, .open, .high, .low, .close, .volume, .ignored, .ignored, .trades, .ignored, .ignored, .ignored], 12)
        case 7 where isTime(5) && isFlag(6), 8 where isTime(5) && isFlag(6):
            decided.append("layout: Binance aggTrades")
            return ([.id, .price, .quantity, .ignored, .ignored, .time, .buyerIsMaker, .ignored], 7)
        case 6 where isTime(4) && isFlag(5), 7 where isTime(4) && isFlag(5):
            decided.append("layout: Binance trades")
            return ([.id, .price, .quantity, .ignored, .time, .buyerIsMaker, .ignored], 6)
        case 6 where isTime(0) && row[1...].allSatisfy(Self.looksLikeNumber):
            decided.append("layout: time,open,high,low,close,volume (no header)")
            return ([.time, .open, .high, .low, .close, .volume], 6)
        default:
            throw .columns(
                path: place,
                what: "no header and no known layout (\(row.count) columns); name them in order, for example --columns time,open,high,low,close,volume or time,price,quantity",
                line: first)
        }
    }

    private mutating func leanColumns(_ name: LeanName, _ row: [String]) throws(ImportError) -> [ColumnRole] {
        decided.append("layout: LEAN \(name.security ?? "") \(name.resolution) \(name.isQuote ? "quotes" : "trades")")
        switch (name.resolution, name.isQuote, row.count) {
        case ("tick", false, 3): return [.time, .price, .quantity]
        case ("tick", false, 6): return [.time, .price, .quantity, .ignored, .ignored, .suspicious]
        case ("tick", true, 5): return [.time, .bid, .bidQuantity, .ask, .askQuantity]
        case (_, false, 6) where name.resolution != "tick": return [.time, .open, .high, .low, .close, .volume]
        case (_, true, 11) where name.resolution != "tick":
            return [.time, .ignored, .ignored, .ignored, .bid, .bidQuantity, .ignored, .ignored, .ignored, .ask, .askQuantity]
        default:
            throw .columns(path: place, what: "\(row.count) columns are not LEAN's \(name.resolution) layout", line: first)
        }
    }

    private func leanDivisor(_ name: LeanName) throws(ImportError) -> Int64 {
        switch name.security {
        case "equity", "option", "indexoption": return 10_000
        case "crypto", "cryptofuture", "forex", "cfd", "future", "index": return 1
        default:
            throw .undecided(
                path: place, what: "LEAN writes equity prices times 10,000 and others as they are, and the path names neither",
                hint: "Keep the file under its equity/ or crypto/ folder, or give --price-divisor 10000 (or 1)")
        }
    }

    private func timeForm(_ data: [[String]], _ index: Int, _ unit: TimeUnit?, _ lean: LeanName?) throws(ImportError) -> TimeForm {
        if let lean, let day = lean.day, options.unit == nil { return .sinceMidnight(day: day) }
        if let unit { return .number(unit) }
        for row in data where index < row.count && !row[index].isEmpty {
            if let number = Int64(row[index]), row[index].utf8.count != 8 || lean == nil {
                guard let unit = TimeUnit.guess(number) else {
                    throw .undecided(
                        path: place, what: "\(number) is not a time between 1990 and 2200 in seconds, ms, us or ns", hint: "Force it with --unit s|ms|us|ns, or check the columns")
                }
                return .number(unit)
            }
            let whole = row[index].prefix { $0 != "." }
            if whole.count < row[index].count, let number = Int64(whole), number > 9999, let unit = TimeUnit.guess(number) { return .number(unit) }
            let text = row[index]
            let sound = text.utf8.withContiguousStorageIfAvailable { $0.baseAddress.flatMap { ClockText.parse($0, text.utf8.count, offset: 0) } != nil } ?? (UTCTime.parse(text) != nil)
            if sound { return .text }
        }
        throw .undecided(path: place, what: "no time can be read in column \(index + 1)", hint: "Times are whole numbers since 1970 or text such as 2024-01-31 09:30:00")
    }

    private func barLength(_ data: [[String]], _ index: Int, _ form: TimeForm, _ lean: LeanName?) throws(ImportError) -> Int64 {
        if let bar = options.bar { return bar }
        if let length = lean?.length { return length }
        if let length = BinanceName(stream.name)?.bar { return length }
        var counts: [Int64: Int] = [:]
        var last: Int64?
        for row in data where index < row.count {
            let text = row[index]
            let time: Int64?
            switch form {
            case .number(let unit): time = Int64(text.prefix { $0 != "." }).flatMap { TimeUnit.guess($0) == unit ? unit.nanoseconds($0) : nil }
            case .text: time = UTCTime.parse(text)
            case .sinceMidnight: time = Int64(text).map { $0 &* 1_000_000 }
            }
            guard let time else { continue }
            if let last, time != last { counts[abs(time &- last), default: 0] += 1 }
            last = time
        }
        guard let best = counts.max(by: { ($0.value, $1.key) < ($1.value, $0.key) }) else {
            throw .undecided(path: place, what: "the bars' length cannot be told from one row", hint: "Give it: --bar 1m")
        }
        return best.key
    }

    static func looksLikeNumber(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { ($0 >= 48 && $0 <= 57) || $0 == 46 || $0 == 45 || $0 == 43 || $0 == 69 || $0 == 101 } && text.utf8.contains { $0 >= 48 && $0 <= 57 }
    }

    /// `90s`, `1m`, `4h`, `1d`: the longest unit that fits.
    public static func spanText(_ span: Int64) -> String {
        for (length, unit) in [(Int64(86_400_000_000_000), "d"), (3_600_000_000_000, "h"), (60_000_000_000, "m"), (1_000_000_000, "s"), (1_000_000, "ms")]
        where span % length == 0 && span != 0 {
            return "\(span / length)\(unit)"
        }
        return "\(span)ns"
    }
}

/// A name as LEAN's data folder has them: `20131008_btcusd_minute_trade.csv`, or `btcusd.csv` in .../hour/.
struct LeanName: Equatable {
    var resolution: String
    var isQuote: Bool
    var day: Int64?
    var ticker: String
    var security: String?

    init?(_ name: String, path: String) {
        let folders = path.split(separator: "/").map { $0.lowercased() }
        let securities = ["equity", "crypto", "cryptofuture", "forex", "cfd", "future", "index", "option"]
        security = folders.dropLast().last { securities.contains($0) }
        let stem = name.lowercased().split(separator: "/").last.map(String.init)?.replacing(".csv", with: "") ?? ""
        let parts = stem.split(separator: "_").map(String.init)
        let resolutions = ["tick", "second", "minute", "hour", "daily"]
        if parts.count >= 4, parts[0].utf8.count == 8, let date = UTCTime.parse("\(parts[0]) 00:00"), let at = parts.firstIndex(where: resolutions.contains) {
            let kind = parts.first { $0 == "trade" || $0 == "quote" }
            guard let kind, let ticker = parts.dropFirst().first(where: { !resolutions.contains($0) && $0 != kind }) else { return nil }
            resolution = parts[at]
            isQuote = kind == "quote"
            day = date
            self.ticker = ticker
            return
        }
        guard let folder = folders.dropLast().last, folder == "hour" || folder == "daily", security != nil, let ticker = parts.first else { return nil }
        resolution = folder
        isQuote = path.lowercased().contains("_quote")
        day = nil
        self.ticker = ticker
    }

    var length: Int64? {
        switch resolution {
        case "second": 1_000_000_000
        case "minute": 60_000_000_000
        case "hour": 3_600_000_000_000
        case "daily": 86_400_000_000_000
        default: nil
        }
    }

    /// Equities are written in New York's time, the rest in UTC.
    var defaultZone: String? { security == "equity" || security == "option" ? "America/New_York" : "UTC" }

    var symbol: String? {
        let upper = ticker.uppercased()
        if security == "equity" { return "\(upper)/USD" }
        return BinanceName.pair(upper) ?? (security == "forex" && upper.count == 6 ? "\(upper.prefix(3))/\(upper.suffix(3))" : nil)
    }
}

/// A name as Binance's public dumps have them: `BTCUSDT-1m-2024-01.csv`, `BTCUSDT-aggTrades-2024-01-05.csv`.
struct BinanceName: Equatable {
    var symbol: String?
    var bar: Int64?

    init?(_ name: String) {
        let parts = (name.split(separator: "/").last.map(String.init) ?? name).replacing(".csv", with: "").split(separator: "-").map(String.init)
        guard parts.count >= 4, parts[2].utf8.count == 4, Int(parts[2]) != nil else { return nil }
        let lengths: [String: Int64] = [
            "1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14_400, "6h": 21_600, "8h": 28_800,
            "12h": 43_200, "1d": 86_400, "3d": 259_200, "1w": 604_800,
        ]
        bar = lengths[parts[1]].map { $0 * 1_000_000_000 }
        guard bar != nil || ["aggTrades", "trades", "1mo"].contains(parts[1]) else { return nil }
        symbol = Self.pair(parts[0])
    }

    /// `BTCUSDT` as `BTC/USDT`, by the quote assets there are; nil: none fits.
    static func pair(_ text: String) -> String? {
        for quote in ["FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USD", "DAI", "EUR", "GBP", "TRY", "BRL", "JPY", "AUD", "BTC", "ETH", "BNB"]
        where text.hasSuffix(quote) && text.count > quote.count {
            return "\(text.dropLast(quote.count))/\(quote)"
        }
        return nil
    }
}
