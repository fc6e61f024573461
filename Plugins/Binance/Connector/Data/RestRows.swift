import PluginAPI
import PluginKit

// Answers of the market data requests that fill gaps, read like the streams: exactly, or not at all.

public enum RestRows {
    /// `GET klines`: oldest first.
    public static func candles(_ body: [UInt8]) throws(StreamFault) -> [Candle] {
        let bytes = body.span
        var rows: [Candle] = []
        try list(bytes) { scanner, bytes throws(StreamFault) in
            try scanner.expect(UInt8(ascii: "["), bytes)
            var first = true
            var tokens = [Token]()
            tokens.reserveCapacity(12)
            while try scanner.element(bytes, &first) { tokens.append(try scanner.value(bytes)) }
            guard tokens.count >= 11 else { throw .missing("a candle's fields") }
            let candle = Candle(
                openTime: try tokens[0].whole(bytes, "open time"), open: try tokens[1].fixed(bytes, "open"), high: try tokens[2].fixed(bytes, "high"),
                low: try tokens[3].fixed(bytes, "low"), close: try tokens[4].fixed(bytes, "close"), volume: try tokens[5].amount(bytes, "volume"),
                takerVolume: try tokens[9].amount(bytes, "taker volume"), trades: try tokens[8].whole(bytes, "trades"))
            guard candle.isSound else { throw .contradiction("a candle whose low and high don't hold its open and close") }
            if let last = rows.last, candle.openTime <= last.openTime { throw .contradiction("candles that aren't in order") }
            rows.append(candle)
        }
        return rows
    }

    /// `GET aggTrades`: oldest first.
    public static func trades(_ body: [UInt8], symbol: SymbolKey) throws(StreamFault) -> [TradeMessage] {
        let bytes = body.span
        let fields = Fields()
        var rows: [TradeMessage] = []
        try list(bytes) { scanner, bytes throws(StreamFault) in
            try fields.read(&scanner, bytes)
            let trade = TradeMessage(
                symbol: symbol, id: try fields.need(.a, "a").whole(bytes, "a"), price: try fields.need(.p, "p").fixed(bytes, "p"),
                quantity: try fields.need(.q, "q").fixed(bytes, "q"), time: try fields.need(.T, "T").whole(bytes, "T"),
                lastTrade: try fields.need(.l, "l").whole(bytes, "l"), buyerIsMaker: try fields.need(.m, "m").flag("m"))
            guard trade.price > 0, trade.quantity >= 0 else { throw .contradiction("a trade at \(Fixed(raw: trade.price))") }
            if let last = rows.last, trade.id <= last.id { throw .contradiction("trades that aren't in order") }
            rows.append(trade)
        }
        return rows
    }

    /// `GET depth`: the book as a whole, and the update it holds as its last.
    public static func depth(_ body: [UInt8]) throws(StreamFault) -> DepthSnapshot {
        let bytes = body.span
        let fields = Fields()
        var scanner = Scanner(bytes)
        try fields.read(&scanner, bytes)
        try scanner.expectEnd(bytes)
        var snapshot = DepthSnapshot(lastID: try fields.need(.lastUpdateID, "lastUpdateId").whole(bytes, "lastUpdateId"), bids: [], asks: [])
        try readLevels(try fields.need(.bids, "bids"), bytes, into: &snapshot.bids)
        try readLevels(try fields.need(.asks, "asks"), bytes, into: &snapshot.asks)
        return snapshot
    }

    private static func list(
        _ bytes: borrowing Span<UInt8>, _ row: (inout Scanner, borrowing Span<UInt8>) throws(StreamFault) -> Void
    ) throws(StreamFault) {
        var scanner = Scanner(bytes)
        try scanner.expect(UInt8(ascii: "["), bytes)
        var first = true
        while try scanner.element(bytes, &first) {
            scanner.skipSpace(bytes)
            try row(&scanner, bytes)
        }
        try scanner.expectEnd(bytes)
    }
}
