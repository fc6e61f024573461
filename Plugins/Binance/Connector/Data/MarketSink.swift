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

