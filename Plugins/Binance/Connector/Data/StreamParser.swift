import PluginAPI
import PluginKit

/// Reads messages of the market streams, wrapped ("combined") or plain, in one pass and without allocating:
/// each field's place is noted by its name, then the few that the event needs are read.
///
/// One parser serves one lane; `bids` and `asks` hold the levels of the depth message that was read last.
public final class StreamParser {
    public private(set) var bids: [keel_level] = []
    public private(set) var asks: [keel_level] = []
    private let outer = Fields()
    private let event = Fields()
    private let inner = Fields()

    public init() {
        bids.reserveCapacity(1_024)
        asks.reserveCapacity(1_024)
    }

    public func parse(_ bytes: [UInt8]) throws(StreamFault) -> StreamMessage { try parse(bytes.span) }

    public func parse(_ bytes: borrowing Span<UInt8>) throws(StreamFault) -> StreamMessage {
        bids.removeAll(keepingCapacity: true)
        asks.removeAll(keepingCapacity: true)
        var scanner = Scanner(bytes)
        try outer.read(&scanner, bytes)
        try scanner.expectEnd(bytes)
        if let data = outer[.data], outer[.stream] != nil {
            guard data.kind == .object else { return .other }
            var inside = Scanner(data)
            try event.read(&inside, bytes)
            return try message(event, bytes)
        }
        if outer[.e] == nil, outer[.result] != nil || outer[.code] != nil || outer[.error] != nil { return try control(bytes) }
        return try message(outer, bytes)
    }

    private func message(_ fields: Fields, _ bytes: borrowing Span<UInt8>) throws(StreamFault) -> StreamMessage {
        // The other universe of contracts shares names with ours: its messages are none of our business.
        if let universe = fields[.st], try universe.whole(bytes, "st") != 1 { return .other }
        guard let kind = fields[.e] else {
            // Spot's book ticker is the one event without a name.
            if fields[.u] != nil, fields[.b]?.kind == .string { return .ticker(try ticker(fields, bytes)) }
            return .other
        }
        guard kind.kind == .string else { throw .wrongKind("e") }
        if kind.equals("aggTrade", bytes) { return try trade(fields, bytes) }
        if kind.equals("bookTicker", bytes) { return .ticker(try ticker(fields, bytes)) }
        if kind.equals("depthUpdate", bytes) { return .depth(try depth(fields, bytes)) }
        if kind.equals("kline", bytes) { return try kline(fields, bytes) }
        if kind.equals("markPriceUpdate", bytes) { return .mark(try mark(fields, bytes)) }
        if kind.equals("serverShutdown", bytes) { return .shutdown(at: try fields.need(.E, "E").whole(bytes, "E")) }
        return .other
    }

    private func symbol(_ fields: Fields, _ bytes: borrowing Span<UInt8>) throws(StreamFault) -> SymbolKey {
        guard let symbol = SymbolKey(try fields.need(.s, "s"), bytes) else { throw .wrongKind("s") }
        return symbol
    }

    private func trade(_ fields: Fields, _ bytes: borrowing Span<UInt8>) throws(StreamFault) -> StreamMessage {
        var trade = TradeMessage(
            symbol: try symbol(fields, bytes), id: try fields.need(.a, "a").whole(bytes, "a"), price: 0, quantity: 0,
            time: try fields.need(.T, "T").whole(bytes, "T"), lastTrade: try fields.need(.l, "l").whole(bytes, "l"),
            buyerIsMaker: try fields.need(.m, "m").flag("m"))
        do throws(StreamFault) {
            trade.price = try fields.need(.p, "p").fixed(bytes, "p")
            trade.quantity = try fields.need(.q, "q").fixed(bytes, "q")
        } catch {
            switch error {
            case .inexact, .outOfRange: return .lostTrade(trade.symbol, id: trade.id, error)
            default: throw error
            }
        }
        guard trade.price > 0, trade.quantity >= 0 else { throw .contradiction("a trade at \(Fixed(raw: trade.price)) for \(Fixed(raw: trade.quantity))") }
        return .trade(trade)
    }

    private func ticker(_ fields: Fields, _ bytes: borrowing Span<UInt8>) throws(StreamFault) -> TickerMessage {
        let ticker = TickerMessage(
            symbol: try symbol(fields, bytes), updateID: try fields.need(.u, "u").whole(bytes, "u"), bid: try fields.need(.b, "b").fixed(bytes, "b"),
            bidQuantity: try fields.need(.B, "B").fixed(bytes, "B"), ask: try fields.need(.a, "a").fixed(bytes, "a"),
            askQuantity: try fields.need(.A, "A").fixed(bytes, "A"),
            time: try (fields[.T] ?? fields[.E])?.whole(bytes, "T") ?? 0)
        guard ticker.bid >= 0, ticker.ask >= 0, ticker.bidQuantity >= 0, ticker.askQuantity >= 0 else { throw .contradiction("a best price or size below zero") }
        guard ticker.bid < ticker.ask || ticker.bid == 0 || ticker.ask == 0 else {
            throw .contradiction("the best bid \(Fixed(raw: ticker.bid)) isn't below the best ask \(Fixed(raw: ticker.ask))")
        }
        return ticker
    }

    private func depth(_ fields: Fields, _ bytes: borrowing Span<UInt8>) throws(StreamFault) -> DepthMessage {
        let message = DepthMessage(
            symbol: try symbol(fields, bytes), eventTime: try fields.need(.E, "E").whole(bytes, "E"),
            firstID: try fields.need(.U, "U").whole(bytes, "U"), lastID: try fields.need(.u, "u").whole(bytes, "u"),
            previousID: try fields[.pu]?.whole(bytes, "pu") ?? -1)
        guard message.firstID <= message.lastID else { throw .contradiction("a depth update from \(message.firstID) to \(message.lastID)") }
        try readLevels(try fields.need(.b, "b"), bytes, into: &bids)
        try readLevels(try fields.need(.a, "a"), bytes, into: &asks)
        return message
    }

    private func kline(_ fields: Fields, _ bytes: borrowing Span<UInt8>) throws(StreamFault) -> StreamMessage {
        let body = try fields.need(.k, "k")
        guard body.kind == .object else { throw .wrongKind("k") }
        let eventTime = try fields.need(.E, "E").whole(bytes, "E")
        let symbol = try symbol(fields, bytes)
        var scanner = Scanner(body)
        try inner.read(&scanner, bytes)
        guard let interval = Interval(try inner.need(.i, "k.i"), bytes) else { return .other }
        let last = try inner.need(.L, "k.L")
        let candle = Candle(
            openTime: try inner.need(.t, "k.t").whole(bytes, "k.t"), open: try inner.need(.o, "k.o").fixed(bytes, "k.o"),
            high: try inner.need(.h, "k.h").fixed(bytes, "k.h"), low: try inner.need(.l, "k.l").fixed(bytes, "k.l"),
            close: try inner.need(.c, "k.c").fixed(bytes, "k.c"), volume: try inner.need(.v, "k.v").amount(bytes, "k.v"),
            takerVolume: try inner.need(.V, "k.V").amount(bytes, "k.V"), trades: try inner.need(.n, "k.n").whole(bytes, "k.n"))
        guard candle.isSound else { throw .contradiction("a candle whose low and high don't hold its open and close") }
        guard candle.openTime % interval.milliseconds == 0 else { throw .contradiction("a candle that begins between its places") }
        return .kline(
            KlineMessage(
                symbol: symbol, eventTime: eventTime, interval: interval, candle: candle,
                // -1 where a candle has no trade yet.
                lastTrade: bytes[last.start] == UInt8(ascii: "-") ? -1 : try last.whole(bytes, "k.L"), isClosed: try inner.need(.x, "k.x").flag("k.x")))
    }

    private func mark(_ fields: Fields, _ bytes: borrowing Span<UInt8>) throws(StreamFault) -> MarkMessage {
        // Delivery contracts have an empty rate.
        let rate = try fields.need(.r, "r")
        return MarkMessage(
            symbol: try symbol(fields, bytes), eventTime: try fields.need(.E, "E").whole(bytes, "E"), mark: try fields.need(.p, "p").fixed(bytes, "p"),
            index: try fields[.i]?.fixed(bytes, "i") ?? 0, rate: rate.count == 0 ? 0 : try rate.fixed(bytes, "r"),
            nextFunding: try fields.need(.T, "T").whole(bytes, "T"))
    }

    private func control(_ bytes: borrowing Span<UInt8>) throws(StreamFault) -> StreamMessage {
        var id: Int64 = -1
        if let token = outer[.id], token.kind == .number { id = try token.whole(bytes, "id") }
        // {"code":..,"msg":..,"id":..}, or the two inside "error".
        if let error = outer[.error], error.kind == .object {
            var inside = Scanner(error)
            try event.read(&inside, bytes)
            return .refused(id: id, code: Self.code(event, bytes), text: event[.msg]?.words(bytes) ?? "")
        }
        if outer[.code] != nil { return .refused(id: id, code: Self.code(outer, bytes), text: outer[.msg]?.words(bytes) ?? "") }
        return .accepted(id: id)
    }

    private static func code(_ fields: Fields, _ bytes: borrowing Span<UInt8>) -> Int64 {
        guard let token = fields[.code] else { return 0 }
        return Int64(token.words(bytes)) ?? 0
    }
}

/// `[["price","quantity"],...]`.
func readLevels(_ list: Token, _ bytes: borrowing Span<UInt8>, into levels: inout [keel_level]) throws(StreamFault) {
    guard list.kind == .list else { throw .wrongKind("levels") }
    var scanner = Scanner(list)
    try scanner.expect(UInt8(ascii: "["), bytes)
    var first = true
    while try scanner.element(bytes, &first) {
        try scanner.expect(UInt8(ascii: "["), bytes)
        let price = try scanner.value(bytes).fixed(bytes, "a level's price")
        try scanner.expect(UInt8(ascii: ","), bytes)
        let quantity = try scanner.value(bytes).fixed(bytes, "a level's quantity")
        // Old forms have a third, unused element.
        while scanner.take(UInt8(ascii: ","), bytes) { _ = try scanner.value(bytes) }
        try scanner.expect(UInt8(ascii: "]"), bytes)
        guard price > 0, quantity >= 0 else { throw .contradiction("a level at \(Fixed(raw: price)) with \(Fixed(raw: quantity))") }
        levels.append(keel_level(price: price, qty: quantity))
    }
    try scanner.expectEnd(bytes)
}
