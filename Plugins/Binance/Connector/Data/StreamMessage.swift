import PluginAPI
import PluginKit

// What the venue's streams say, as plain values. Prices and quantities are 1e-8 steps, times milliseconds since 1970, as the venue gives them.

public struct KlineMessage: Equatable, Sendable {
    public var symbol: SymbolKey
    public var eventTime: Int64
    public var interval: Interval
    public var candle: Candle
    /// The last trade in it; below 0: none yet.
    public var lastTrade: Int64
    public var isClosed: Bool
}

/// A candle, from a stream or from REST.
public struct Candle: Equatable, Sendable {
    public var openTime: Int64
    public var open, high, low, close: Int64
    public var volume: Amount
    public var takerVolume: Amount
    public var trades: Int64

    /// Prices above zero, the range holds open and close.
    public var isSound: Bool {
        low > 0 && high >= max(open, close) && low <= min(open, close) && !volume.isNegative && trades >= 0
    }

    public func bar() -> keel_bar? {
        let (time, overflow) = openTime.multipliedReportingOverflow(by: 1_000_000)
        return overflow ? nil : keel_bar(open_time: time, open: open, high: high, low: low, close: close, volume: volume.c)
    }
}

/// One aggregate trade. Its ids run without a hole within a symbol.
public struct TradeMessage: Equatable, Sendable {
    public var symbol: SymbolKey
    public var id: Int64
    public var price: Int64
    public var quantity: Int64
    public var time: Int64
    /// The last of the single trades in it.
    public var lastTrade: Int64
    /// The buyer's order lay in the book: who took was the seller.
    public var buyerIsMaker: Bool
}

public struct TickerMessage: Equatable, Sendable {
    public var symbol: SymbolKey
    public var updateID: Int64
    public var bid, bidQuantity, ask, askQuantity: Int64
    /// 0: not said (spot).
    public var time: Int64
}

/// A change of the book. Its levels lie in the parser until the next message.
public struct DepthMessage: Equatable, Sendable {
    public var symbol: SymbolKey
    public var eventTime: Int64
    public var firstID: Int64
    public var lastID: Int64
    /// The last id of the message before this one; below 0: not said (spot).
    public var previousID: Int64
}

public struct MarkMessage: Equatable, Sendable {
    public var symbol: SymbolKey
    public var eventTime: Int64
    public var mark: Int64
    public var index: Int64
    public var rate: Int64
    /// 0: no funding (delivery contracts).
    public var nextFunding: Int64
}

public enum StreamMessage: Equatable, Sendable {
    case kline(KlineMessage)
    case trade(TradeMessage)
    /// A trade whose price or quantity can't be told exactly: its number counts, nothing else of it does.
    case lostTrade(SymbolKey, id: Int64, StreamFault)
    case ticker(TickerMessage)
    case depth(DepthMessage)
    case mark(MarkMessage)
    /// A control message was understood. It says nothing about whether data will come.
    case accepted(id: Int64)
    case refused(id: Int64, code: Int64, text: String)
    case shutdown(at: Int64)
    /// Well-formed, and nothing we asked for: another event, another universe of contracts.
    case other
}
