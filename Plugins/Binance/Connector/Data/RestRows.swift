import PluginAPI
import PluginKit

// Answers of the requests that fill gaps: read exactly, or not at all.

public enum RestRows {
    /// Rows that can be used, and how many the answer had. A row whose numbers can't be told exactly is left out; the rest is of use.
    public struct Page<Row: Sendable>: Sendable {
        public var rows: [Row] = []
        public var count = 0
        public var fault: StreamFault?

        mutating func take(_ read: () throws(StreamFault) -> Row) throws(StreamFault) {
            count += 1
            do throws(StreamFault) {
                rows.append(try read())
            } catch {
                switch error {
                case .inexact, .outOfRange: fault = error
                default: throw error
                }
            }
        }
    }

    /// `GET klines`: oldest first.
    public static func candles(_ reply: JSONValue) throws(StreamFault) -> Page<Candle> {
        var page = Page<Candle>()
        for entry in try list(reply, "candles") { try page.take { () throws(StreamFault) in try candle(entry) } }
        if zip(page.rows, page.rows.dropFirst()).contains(where: { $0.openTime >= $1.openTime }) { throw .contradiction("candles that aren't in order") }
        return page
    }

    private static func candle(_ entry: JSONValue) throws(StreamFault) -> Candle {
        guard let row = entry.asList, row.count >= 11 else { throw .missing("a candle's fields") }
        let candle = Candle(
            openTime: try whole(row[0], "open time"), open: try fixed(row[1], "open"), high: try fixed(row[2], "high"), low: try fixed(row[3], "low"),
            close: try fixed(row[4], "close"), volume: try amount(row[5], "volume"), takerVolume: try amount(row[9], "taker volume"),
            trades: try whole(row[8], "trades"))
        guard candle.isSound else { throw .contradiction("a candle whose low and high don't hold its open and close") }
        return candle
    }

    /// `GET aggTrades`: oldest first.
    public static func trades(_ reply: JSONValue, symbol: SymbolKey) throws(StreamFault) -> Page<TradeMessage> {
        var page = Page<TradeMessage>()
        for entry in try list(reply, "trades") { try page.take { () throws(StreamFault) in try trade(entry, symbol) } }
        if zip(page.rows, page.rows.dropFirst()).contains(where: { $0.id >= $1.id }) { throw .contradiction("trades that aren't in order") }
        return page
    }

    private static func trade(_ entry: JSONValue, _ symbol: SymbolKey) throws(StreamFault) -> TradeMessage {
        guard let maker = entry.find("m")?.asBool else { throw .missing("m") }
        let trade = TradeMessage(
            symbol: symbol, id: try whole(entry.find("a"), "a"), price: try fixed(entry.find("p"), "p"), quantity: try fixed(entry.find("q"), "q"),
            time: try whole(entry.find("T"), "T"), lastTrade: try whole(entry.find("l"), "l"), buyerIsMaker: maker)
        guard trade.price > 0, trade.quantity >= 0 else { throw .contradiction("a trade at \(Fixed(raw: trade.price))") }
        return trade
    }

    /// `GET depth`: the book as a whole, and the last update in it.
    public static func depth(_ reply: JSONValue) throws(StreamFault) -> DepthSnapshot {
        DepthSnapshot(lastID: try whole(reply.find("lastUpdateId"), "lastUpdateId"), bids: try levels(reply, "bids"), asks: try levels(reply, "asks"))
    }

    private static func levels(_ reply: JSONValue, _ name: String) throws(StreamFault) -> [keel_level] {
        guard let side = reply.find(name) else { throw .missing(name) }
        var levels: [keel_level] = []
        for entry in try list(side, name) {
            guard let pair = entry.asList, pair.count >= 2 else { throw .missing("a level's price or quantity") }
            let level = keel_level(price: try fixed(pair[0], "a level's price"), qty: try fixed(pair[1], "a level's quantity"))
            guard level.price > 0, level.qty >= 0 else { throw .contradiction("a level at \(Fixed(raw: level.price)) with \(Fixed(raw: level.qty))") }
            levels.append(level)
        }
        return levels
    }

    private static func list(_ value: JSONValue, _ name: String) throws(StreamFault) -> [JSONValue] {
        guard let list = value.asList else { throw .wrongKind(name) }
        return list
    }

    static func whole(_ value: JSONValue?, _ name: String) throws(StreamFault) -> Int64 {
        guard let value else { throw .missing(name) }
        guard let number = value.asNumber else { throw .wrongKind(name) }
        guard let whole = number.int64, whole >= 0 else { throw .outOfRange(name) }
        return whole
    }

    static func fixed(_ value: JSONValue?, _ name: String) throws(StreamFault) -> Int64 {
        let wide = try amount(value, name)
        guard let narrow = Int64(exactly: wide.raw) else { throw .outOfRange(name) }
        return narrow
    }

    private static func amount(_ value: JSONValue?, _ name: String) throws(StreamFault) -> Amount {
        guard let value else { throw .missing(name) }
        guard let text = value.asText ?? value.asNumber?.text else { throw .wrongKind(name) }
        do throws(NumberError) {
            return try Amount(parsing: text, allowingExponent: true)
        } catch {
            switch error {
            case .overflow: throw .outOfRange(name)
            case .inexact: throw .inexact(name)
            case .divisionByZero, .notANumber: throw .wrongKind(name)
            }
        }
    }

    /// A statistic: never becomes an order.
    static func double(_ value: JSONValue?, _ name: String) throws(StreamFault) -> Double {
        guard let value else { throw .missing(name) }
        guard let text = value.asText ?? value.asNumber?.text, let number = Double(text), number.isFinite else { throw .wrongKind(name) }
        return number
    }
}
