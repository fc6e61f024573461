import PluginAPI
import PluginKit

/// Where market data goes: the host, or a test's list.
public protocol MarketSink: AnyObject {
    func trade(_ instrument: UInt32, _ trade: TradeMessage, flags: UInt32)
    func bar(_ instrument: UInt32, _ candle: Candle, _ interval: Interval, flags: UInt32)
    func quote(_ instrument: UInt32, _ ticker: TickerMessage)
    func depth(_ instrument: UInt32, bids: [keel_level], asks: [keel_level], sequence: Int64, whole: Bool, time: Int64)
    func value(_ instrument: UInt32, _ value: NamedValue)
    func link(_ name: String, _ state: LinkState, why: PluginError.Reason?, _ message: String)
    func log(_ level: Host.Level, _ text: String)
}

/// A number with a name, and the time it is about. Times in milliseconds.
public struct NamedValue: Equatable, Sendable {
    public var name: String
    public var value: Double
    /// What it sums up or averages; equal bounds: a reading at that moment.
    public var period: ClosedRange<Int64>
    /// When it was there to be had.
    public var released: Int64
    public var isHistory: Bool

    public init(_ name: String, _ value: Double, period: ClosedRange<Int64>, released: Int64, isHistory: Bool = false) {
        self.name = name
        self.value = value
        self.period = period
        self.released = released
        self.isHistory = isHistory
    }
}

/// The host as a sink. Lossy events the host can't take now are its own affair: it conflates.
public final class HostSink: MarketSink {
    private let host: Host
    private var builder = EventBuilder(capacity: 4_096)

    public init(_ host: Host) { self.host = host }

    /// The venue's milliseconds as the contract's nanoseconds; 0, unknown, where that doesn't fit.
    private func time(_ milliseconds: Int64) -> Int64 {
        let (time, overflow) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
        return overflow ? 0 : time
    }

    public func trade(_ instrument: UInt32, _ trade: TradeMessage, flags: UInt32) {
        host.trade(
            instrument, price: Fixed(raw: trade.price), quantity: Fixed(raw: trade.quantity), id: UInt64(clamping: trade.id),
            taker: trade.buyerIsMaker ? .sell : .buy, at: time(trade.time), flags: flags)
    }

    public func bar(_ instrument: UInt32, _ candle: Candle, _ interval: Interval, flags: UInt32) {
        guard let bar = candle.bar() else { return }
        host.bar(instrument, bar, duration: interval.nanoseconds, closed: true, trades: UInt32(clamping: candle.trades), flags: flags)
    }

    public func quote(_ instrument: UInt32, _ ticker: TickerMessage) {
        host.quote(
            instrument, bid: Fixed(raw: ticker.bid), bidQuantity: Fixed(raw: ticker.bidQuantity), ask: Fixed(raw: ticker.ask),
            askQuantity: Fixed(raw: ticker.askQuantity), at: time(ticker.time))
    }

    public func depth(_ instrument: UInt32, bids: [keel_level], asks: [keel_level], sequence: Int64, whole: Bool, time milliseconds: Int64) {
        builder.begin(keel_ev_depth.self)
        var body = keel_ev_depth()
        body.sequence = UInt64(clamping: sequence)
        body.bids = builder.list(bids)
        body.asks = builder.list(asks)
        builder.emit(body, KEEL_EV_DEPTH, instrument: instrument, at: time(milliseconds), flags: whole ? KEEL_EVF_SNAPSHOT : 0, to: host)
    }

    public func value(_ instrument: UInt32, _ value: NamedValue) {
        guard value.value.isFinite else { return }
        host.value(
            instrument, value.name, value.value, period: time(value.period.lowerBound)..<time(value.period.upperBound),
            released: time(value.released), at: time(value.released), flags: value.isHistory ? KEEL_EVF_SNAPSHOT : 0)
    }

    public func link(_ name: String, _ state: LinkState, why: PluginError.Reason?, _ message: String) {
        host.link(state, name: name, why: why, message: message)
    }

    public func log(_ level: Host.Level, _ text: String) { host.log(level, text) }
}

/// Public requests to the venue, within the budget that all instances share.
public protocol MarketRequests: AnyObject {
    /// The venue's time in milliseconds.
    var venueTime: Int64 { get }
    /// 0: nothing of the budget for data is used. 1: all of it.
    func load(_ pool: RequestPool) -> Double
    /// `answer` comes exactly once, on the lane.
    func get(_ request: MarketRequest, _ answer: @escaping (Result<[UInt8], MarketRequestFailure>) -> Void)
}

/// The venue's separate budgets.
public enum RequestPool: Hashable, Sendable { case weight, research, funding }

public struct MarketRequest: Equatable, Sendable {
    /// With its leading slash: /api/v3/klines.
    public var path: String
    public var query: [String]
    public var weight: Int
    public var pool: RequestPool

    public init(_ path: String, _ query: [String], weight: Int, pool: RequestPool = .weight) {
        self.path = path
        self.query = query
        self.weight = weight
        self.pool = pool
    }
}

public enum MarketRequestFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// The budget is used up, or the venue said so: again after this many nanoseconds.
    case later(Int64)
    /// The venue refused it: asking again is no use.
    case refused(code: Int64, String)
    case failed(String)

    public var description: String {
        switch self {
        case .later(let wait): "the request budget is used up for \(wait / 1_000_000) ms"
        case .refused(let code, let text): "the venue refused it: \(text) (\(code))"
        case .failed(let why): why
        }
    }
}

/// Requests for market data, with the weight the venue counts for them.
enum Ask {
    private static func prefix(_ product: MarketProduct) -> String { product == .spot ? "/api/v3" : "/fapi/v1" }

    static func candles(_ product: MarketProduct, _ symbol: SymbolKey, _ interval: Interval, from: Int64?, to: Int64?, limit: Int) -> MarketRequest {
        var query = ["symbol=\(symbol)", "interval=\(interval.name)"]
        if let from { query.append("startTime=\(from)") }
        if let to { query.append("endTime=\(to)") }
        query.append("limit=\(limit)")
        let weight = product == .spot ? 2 : limit < 100 ? 1 : limit < 500 ? 2 : limit <= 1_000 ? 5 : 10
        return MarketRequest("\(prefix(product))/klines", query, weight: weight)
    }

    static func trades(_ product: MarketProduct, _ symbol: SymbolKey, from: Int64, limit: Int) -> MarketRequest {
        MarketRequest("\(prefix(product))/aggTrades", ["symbol=\(symbol)", "fromId=\(from)", "limit=\(limit)"], weight: product == .spot ? 4 : 20)
    }

    static func depth(_ product: MarketProduct, _ symbol: SymbolKey) -> MarketRequest {
        MarketRequest("\(prefix(product))/depth", ["symbol=\(symbol)", "limit=1000"], weight: product == .spot ? 50 : 20)
    }
}
