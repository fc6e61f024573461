import PluginAPI
import PluginKit

/// Turns the rows of one file into events. One row costs a pass over its bytes and no allocation.
final class RowReader {
    /// Where the row's fields start and how long they are.
    private struct Field {
        var start: UnsafePointer<UInt8>
        var count: Int
    }

    let format: FileFormat
    private let lines: LineReader
    private let place: String
    private let fields: UnsafeMutablePointer<Field>
    private static let fieldsMost = 256
    private var zone: ZoneOffset
    private let options: ImportOptions
    private(set) var rounded = 0

    // Column numbers by role, -1: absent.
    private let time: Int, open: Int, high: Int, low: Int, close: Int, volume: Int, trades: Int
    private let price: Int, quantity: Int, side: Int, maker: Int, id: Int
    private let bid: Int, bidQuantity: Int, ask: Int, askQuantity: Int
    private let name: Int, value: Int, released: Int, symbol: Int, suspicious: Int
    private let last: Int

    /// A row that is none of these yet: what its event is.
    enum Row {
        case bar(keel_ev_bar)
        case trade(keel_ev_trade)
        case quote(keel_ev_quote)
        case value([UInt8], time: Int64)
        case bad(RowProblem, String)
        case blank
        case outside
    }

    /// Gives the instrument's number for a symbol; asked once a row only if the file has a symbol column.
    var instrument: UInt32 = 1
    var instrumentOf: ((UnsafeBufferPointer<UInt8>) throws -> UInt32)?

    init(_ stream: ByteStream, _ format: FileFormat, _ options: ImportOptions, place: String) {
        self.format = format
        self.options = options
        self.place = place
        lines = LineReader(stream)
        zone = format.zone
        fields = .allocate(capacity: Self.fieldsMost)
        func at(_ role: ColumnRole) -> Int { format.columns.firstIndex(of: role) ?? -1 }
        time = at(.time) >= 0 ? at(.time) : at(.closeTime)
        open = at(.open)
        high = at(.high)
        low = at(.low)
        close = at(.close)
        volume = at(.volume)
        trades = at(.trades)
        price = at(.price)
        quantity = at(.quantity)
        side = at(.side)
        maker = at(.buyerIsMaker)
        id = at(.id)
        bid = at(.bid)
        bidQuantity = at(.bidQuantity)
        ask = at(.ask)
        askQuantity = at(.askQuantity)
        name = at(.name)
        value = at(.value)
        released = at(.released)
        symbol = at(.symbol)
        suspicious = at(.suspicious)
        last = format.columns.lastIndex { $0 != .ignored } ?? 0
    }

    deinit { fields.deallocate() }

    var line: Int { lines.number }
    private(set) var firstRounded: Int?

    /// The next row; nil at the end of the file.
    func next() throws -> Row? {
        while true {
            guard let text = try lines.next() else { return nil }
            if lines.number <= format.headerLines { continue }
            if lines.tooLong { return .bad(.lineTooLong, "") }
            if text.count == 0 { return .blank }
            return try row(text)
        }
    }

    private func row(_ text: LineReader.Line) throws -> Row {
        let delimiter = format.delimiter
        var count = 0
        var at = 0
        let bytes = text.start
        let end = text.count
        while true {
            let start = at
            while at < end, bytes[at] != delimiter { at &+= 1 }
            if count == Self.fieldsMost { return .bad(.wrongColumns, "more than \(Self.fieldsMost)") }
            var from = bytes + start
            var length = at &- start
            // Quotes and spaces around a field are not part of it.
            if length > 0, from[0] <= 34 || from[length &- 1] <= 34 { (from, length) = Self.trimmed(from, length) }
            fields[count] = Field(start: from, count: length)
            count &+= 1
            if at >= end { break }
            at &+= 1
        }
        if count < format.columnsLeast || count > format.columns.count {
            return .bad(.wrongColumns, "\(count) instead of \(format.columns.count)")
        }
        if symbol >= 0, let instrumentOf {
            if fields[symbol].count == 0 { return .bad(.emptyField, "symbol") }
            instrument = try instrumentOf(UnsafeBufferPointer(start: fields[symbol].start, count: fields[symbol].count))
        }
        if suspicious >= 0, fields[suspicious].count == 1, fields[suspicious].start[0] == 49 { return .bad(.suspicious, "") }
        var moment: Int64 = 0
        if let problem = readTime(time, &moment) { return problem }
        switch format.shape {
        case .bars: return bar(moment)
        case .trades: return trade(moment)
        case .quotes: return quote(moment)
        case .values: return named(moment)
        }
    }

    private static func trimmed(_ start: UnsafePointer<UInt8>, _ count: Int) -> (UnsafePointer<UInt8>, Int) {
        var from = start
        var length = count
        while length > 0, from[0] == 32 || from[0] == 9 {
            from += 1
            length -= 1
        }
        while length > 0, from[length - 1] == 32 || from[length - 1] == 9 { length -= 1 }
        if length >= 2, from[0] == 34, from[length - 1] == 34 {
            from += 1
            length -= 2
        }
        return (from, length)
    }

    // MARK: fields

    private func text(_ index: Int) -> String {
        String(decoding: UnsafeBufferPointer(start: fields[index].start, count: min(fields[index].count, 40)), as: UTF8.self)
    }

    private func failure(_ outcome: FieldNumber.Outcome, _ index: Int) -> Row {
        let title = format.columns[index].rawValue
        switch outcome {
        case .empty: return .bad(.emptyField, title)
        case .notFinite: return .bad(.notFinite, "\(title) \"\(text(index))\"")
        case .outOfRange: return .bad(.outOfRange, "\(title) \"\(text(index))\"")
        default: return .bad(.notANumber, "\(title) \"\(text(index))\"")
        }
    }

    @inline(__always)
    private func number(_ index: Int, _ value: inout Int64) -> Row? {
        let field = fields[index]
        if field.count == 0 { return failure(.empty, index) }
        let outcome = FieldNumber.fixed(field.start, field.count, &value)
        if outcome == .exact { return nil }
        return odd(outcome, index)
    }

    private func odd(_ outcome: FieldNumber.Outcome, _ index: Int) -> Row? {
        if outcome != .rounded { return failure(outcome, index) }
        rounded += 1
        if firstRounded == nil { firstRounded = lines.number }
        return nil
    }

    @inline(__always)
    private func amount(_ index: Int, _ value: inout Int128) -> Row? {
        var narrow: Int64 = 0
        let field = fields[index]
        if field.count == 0 { return failure(.empty, index) }
        let outcome = FieldNumber.fixed(field.start, field.count, &narrow)
        if outcome == .exact {
            value = Int128(narrow)
            return nil
        }
        let wide = FieldNumber.wide(field.start, field.count, &value)
        return wide == .exact ? nil : odd(wide, index)
    }

    @inline(__always)
    private func price(_ index: Int, _ value: inout Int64) -> Row? {
        if let problem = number(index, &value) { return problem }
        if format.priceDivisor != 1 {
            // LEAN's prices are whole ten-thousandths: exact.
            if value % format.priceDivisor != 0 { return .bad(.notANumber, "\(format.columns[index].rawValue) \"\(text(index))\" cannot be divided by \(format.priceDivisor)") }
            value /= format.priceDivisor
        }
        return value > 0 ? nil : .bad(.notPositive, "\(format.columns[index].rawValue) \"\(text(index))\"")
    }

    /// A count or an id: digits only.
    @inline(__always)
    private func whole(_ index: Int, _ value: inout Int64) -> Bool {
        let field = fields[index]
        guard field.count > 0, field.count < 20 else { return false }
        // 19 digits fit 64 bits without a sign.
        var result: UInt64 = 0
        for i in 0..<field.count {
            let digit = field.start[i] &- 48
            if digit > 9 { return false }
            result = result &* 10 &+ UInt64(digit)
        }
        if result > UInt64(Int64.max) { return false }
        value = Int64(result)
        return true
    }

    @inline(__always)
    private func readTime(_ index: Int, _ moment: inout Int64) -> Row? {
        let field = fields[index]
        if field.count == 0 { return .bad(.emptyField, "time") }
        switch format.time {
        case .number(let unit):
            var value: Int64 = 0
            if !whole(index, &value) {
                guard let exact = ClockText.decimal(field.start, field.count, unit) else { return .bad(.badTime, "\"\(text(index))\"") }
                if TimeUnit.guess(exact / unit.length) != unit { return .bad(.timeOutOfRange, "\"\(text(index))\" as \(unit.rawValue)") }
                moment = exact
                return nil
            }
            // A unit's numbers lie between 1990 and 2200; others mean the unit changes within the file.
            let perSecond = 1_000_000_000 / unit.length
            if value < 631_152_000 * perSecond || value >= 7_258_118_400 * perSecond { return .bad(.timeOutOfRange, "\"\(text(index))\" as \(unit.rawValue)") }
            moment = value &* unit.length
        case .text:
            guard let local = ClockText.parse(field.start, field.count, offset: 0) else { return .bad(.badTime, "\"\(text(index))\"") }
            if Self.namesZone(field.start, field.count) {
                moment = local
            } else {
                guard let utc = zone.utc(local) else { return .bad(.badTime, "\"\(text(index))\" does not exist in \(zone.name)") }
                moment = utc
            }
            if moment < 631_152_000_000_000_000 { return .bad(.timeOutOfRange, "\"\(text(index))\"") }
        case .sinceMidnight(let day):
            // Ticks have decimals of a millisecond.
            var value: Int64 = 0
            let outcome = FieldNumber.fixed(field.start, field.count, &value)
            guard outcome == .exact || outcome == .rounded, value >= 0, value < 86_400_000 * 100_000_000 else { return .bad(.badTime, "\"\(text(index))\"") }
            guard let utc = zone.utc(day + value / 100) else { return .bad(.badTime, "\"\(text(index))\" does not exist in \(zone.name)") }
            moment = utc
        }
        return nil
    }

    /// A Z, UTC or offset behind the time of day.
    private static func namesZone(_ start: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        let last = start[count - 1]
        if last == 90 || last == 122 || last == 67 { return true }
        var at = min(11, count)
        while at < count {
            if start[at] == 43 || start[at] == 45 { return true }
            at += 1
        }
        return false
    }

    // MARK: shapes

    private func bar(_ moment: Int64) -> Row {
        var event = keel_ev_bar()
        if let problem = price(open, &event.bar.open) { return problem }
        if let problem = price(high, &event.bar.high) { return problem }
        if let problem = price(low, &event.bar.low) { return problem }
        if let problem = price(close, &event.bar.close) { return problem }
        if event.bar.high < event.bar.low { return .bad(.highBelowLow, "\(text(high)) < \(text(low))") }
        if event.bar.open > event.bar.high || event.bar.open < event.bar.low || event.bar.close > event.bar.high || event.bar.close < event.bar.low {
            return .bad(.outsideRange, "open \(text(open)), high \(text(high)), low \(text(low)), close \(text(close))")
        }
        if volume >= 0 {
            var amount: Int128 = 0
            if let problem = self.amount(volume, &amount) { return problem }
            if amount < 0 { return .bad(.negativeVolume, text(volume)) }
            event.bar.volume = Amount(raw: amount).c
        }
        if trades >= 0 {
            var count: Int64 = 0
            if !whole(trades, &count) { return .bad(fields[trades].count == 0 ? .emptyField : .notANumber, "trades \"\(text(trades))\"") }
            event.trades = UInt32(clamping: count)
        }
        let openTime = format.timeIsClose ? moment &- format.bar : moment
        if openTime < options.from || openTime >= options.to { return .outside }
        event.bar.open_time = openTime
        event.duration = format.bar
        event.bar_flags = KEEL_BAR_CLOSED
        event.head = EventForm.head(keel_ev_bar.self, KEEL_EV_BAR, instrument, source: openTime &+ format.bar, host: openTime &+ format.bar)
        return .bar(event)
    }

    private func trade(_ moment: Int64) -> Row {
        var event = keel_ev_trade()
        if let problem = price(price, &event.price) { return problem }
        if quantity >= 0 {
            if let problem = number(quantity, &event.qty) { return problem }
            if event.qty < 0 { return .bad(.negativeVolume, text(quantity)) }
        }
        if maker >= 0 {
            switch fields[maker].count == 0 ? 0 : fields[maker].start[0] | 32 {
            case 116, 49: event.side = KEEL_SELL  // the buyer rested, so a seller took
            case 102, 48: event.side = KEEL_BUY
            default: return .bad(fields[maker].count == 0 ? .emptyField : .badSide, "\"\(text(maker))\"")
            }
        } else if side >= 0 {
            switch fields[side].count == 0 ? 0 : fields[side].start[0] | 32 {
            case 98: event.side = KEEL_BUY
            case 115, 97: event.side = KEEL_SELL
            case 0: event.side = KEEL_SIDE_NONE  // a venue that doesn't say leaves it empty
            default: return .bad(.badSide, "\"\(text(side))\"")
            }
        }
        if id >= 0 {
            var number: Int64 = 0
            // Ids that are not numbers (some venues') are left out: they are for people only.
            if whole(id, &number) { event.trade_id = UInt64(number) }
        }
        if moment < options.from || moment >= options.to { return .outside }
        event.head = EventForm.head(keel_ev_trade.self, KEEL_EV_TRADE, instrument, source: moment, host: moment)
        return .trade(event)
    }

    private func quote(_ moment: Int64) -> Row {
        var event = keel_ev_quote()
        if let problem = price(bid, &event.bid) { return problem }
        if let problem = price(ask, &event.ask) { return problem }
        if event.bid > event.ask { return .bad(.crossed, "\(text(bid)) > \(text(ask))") }
        if bidQuantity >= 0, let problem = number(bidQuantity, &event.bid_qty) { return problem }
        if askQuantity >= 0, let problem = number(askQuantity, &event.ask_qty) { return problem }
        if event.bid_qty < 0 || event.ask_qty < 0 { return .bad(.negativeVolume, "") }
        // LEAN's quote bars give the quote at the bar's end.
        let at = format.timeIsClose ? moment : moment &+ format.bar
        if at < options.from || at >= options.to { return .outside }
        event.head = EventForm.head(keel_ev_quote.self, KEEL_EV_QUOTE, instrument, source: at, host: at)
        return .quote(event)
    }

    private func named(_ moment: Int64) -> Row {
        var series = options.valueName ?? ""
        if name >= 0 {
            if fields[name].count == 0 { return .bad(.emptyField, "name") }
            series = String(decoding: UnsafeBufferPointer(start: fields[name].start, count: min(fields[name].count, 200)), as: UTF8.self)
        }
        if fields[value].count == 0 || FieldNumber.isMissing(fields[value].start, fields[value].count) { return .bad(.emptyField, "value") }
        guard let number = Double(text(value)) else { return .bad(.notANumber, "value \"\(text(value))\"") }
        if !number.isFinite { return .bad(.notFinite, "value \"\(text(value))\"") }
        var release: Int64 = 0
        if released >= 0, fields[released].count > 0 {
            if let problem = readTime(released, &release) { return problem }
        }
        // What was not yet published cannot be acted on: the release is the event's time.
        let at = release != 0 ? release : moment
        if at < options.from || at >= options.to { return .outside }
        return .value(
            EventForm.value(instrument: symbol >= 0 || options.instrument != nil ? instrument : 0, time: at, name: series, value: number, periodStart: moment, released: release), time: at)
    }
}
