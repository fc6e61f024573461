import PluginAPI
import PluginKit

/// What is known of one symbol's streams.
final class SymbolFeed {
    let symbol: SymbolKey
    /// Who listens, and to what.
    var listeners: [(instrument: UInt32, channels: Channels)] = []
    var watches: [StreamKind: StreamWatch] = [:]
    /// No more than a moment's trades wait behind a gap: stops need prices that are news.
    var trades = GapTrack<TradeMessage>(mostHeld: 2_000)
    /// Which fill of the trades is under way, and since when; an answer to an earlier one comes too late.
    var fill = (number: 0, since: Int64(0))
    var candles: [Interval: GapTrack<Candle>] = [:]
    var depth: DepthSync?
    /// Ids and times of what came last, so that what comes twice is left out.
    var lastTicker: Int64 = -1
    var lastMark: Int64 = 0
    var lastMarkTold: Int64 = 0
    /// The last single trade by the trade stream and by the candles.
    var lastTrade: Int64 = -1
    var candleSeen: (openTime: Int64, trades: Int64)?
    var isAsking = false
    /// Answers of requests that were made before a loss of everything don't count.
    var epoch = 0
    /// Fills that got nowhere in a row, by what was to be filled.
    var attempts: [StreamKind: Int] = [:]
    var pages: [StreamKind: Int] = [:]

    init(_ symbol: SymbolKey) { self.symbol = symbol }

    var wanted: Channels { listeners.reduce(into: Channels()) { $0.formUnion($1.channels) } }
}
