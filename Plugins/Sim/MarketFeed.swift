import PluginAPI
import PluginKit
import Tape

/// Where the venue's own market comes from: events in the order of time, some of them due.
protocol MarketSource: AnyObject {
    /// When the next event is due on the host's clock; nil: never again, or not now.
    var nextDue: Int64? { get }
    /// Hands out the events that are due, oldest first.
    func play(to now: Int64, _ body: (UnsafePointer<keel_event>) -> Void)
    /// Begins an instrument's events; false if it has none.
    func begin(_ instrument: Instrument, at now: Int64, last: Fixed?) throws -> Bool
    func end(_ instrument: UInt32)
}

/// A made-up market for each instrument, seeded by the venue's seed and the symbol.
final class SyntheticSource: MarketSource {
    private struct Stream {
        var id: UInt32
        var generator: MarketGenerator
        var trade: MarketGenerator.Trade
        /// The generator's own time at that trade: only distances are taken from it.
        var clock: Int64
        /// The bar that the trades are building.
        var bar: keel_bar
        var volume: Int128
        var trades: UInt32
        /// Closed bars before the first trade, still to be told.
        var history: [MarketGenerator.Bar]
    }

    private let config: SimConfig
    private var streams: [Stream] = []

    init(_ config: SimConfig) { self.config = config }

    var nextDue: Int64? {
        streams.lazy.map { $0.history.isEmpty ? $0.trade.time : 0 }.min()
    }

    func begin(_ instrument: Instrument, at now: Int64, last: Fixed?) throws -> Bool {
        guard !streams.contains(where: { $0.id == instrument.id }) else { return true }
        var settings = MarketGenerator.Settings()
        settings.seed = checksum(instrument.symbol.utf8, seed: config.seed)
        if let last {
            // A market that was there before goes on from its last price, not over again.
            settings.price = last
            settings.seed ^= UInt64(bitPattern: now)
        } else if let named = config.prices[instrument.symbol] {
            settings.price = named
        }
        if instrument.tick.isPositive { settings.tick = instrument.tick }
        if instrument.lot.isPositive { settings.lot = instrument.lot }
        settings.price = try settings.price.rounded(to: settings.tick, .up)
        settings.bar = config.bar
        settings.tradeGap = config.tradeGap
        settings.volatility = config.volatility
        let open = now / config.bar * config.bar
        let count = last == nil ? Int64(config.history) : 0
        let (back, overflow) = count.multipliedReportingOverflow(by: config.bar)
        settings.start = overflow ? open : open - back
        var generator = MarketGenerator(settings)
        var history: [MarketGenerator.Bar] = []
        if !overflow { for _ in 0..<count { history.append(generator.nextBar()) } }
        var trade = generator.nextTrade()
        // The current bar began before now; its first trade is now.
        let clock = trade.time
        trade.time = now
        streams.append(
            Stream(
                id: instrument.id, generator: generator, trade: trade, clock: clock, bar: SyntheticSource.bar(open, trade.price.raw), volume: 0,
                trades: 0, history: history))
        return true
    }

    private static func bar(_ open: Int64, _ price: Int64) -> keel_bar {
        keel_bar(open_time: open, open: price, high: price, low: price, close: price, volume: keel_amount(lo: 0, hi: 0))
    }

    func end(_ instrument: UInt32) { streams.removeAll { $0.id == instrument } }

    func play(to now: Int64, _ body: (UnsafePointer<keel_event>) -> Void) {
        for place in streams.indices where !streams[place].history.isEmpty {
            for bar in streams[place].history {
                var event = EventForm.bar(
                    instrument: streams[place].id, openTime: bar.openTime, duration: config.bar, open: bar.open, high: bar.high, low: bar.low,
                    close: bar.close, volume: bar.volume, trades: bar.trades)
                event.head.flags = UInt16(KEEL_EVF_SNAPSHOT)
                withUnsafePointer(to: &event.head, body)
            }
            streams[place].history = []
        }
        while let place = streams.indices.min(by: { streams[$0].trade.time < streams[$1].trade.time }), streams[place].trade.time <= now {
            // A copy: whoever gets the events may ask when the next is due.
            var stream = streams[place]
            step(&stream, now, body)
            streams[place] = stream
        }
    }

    private func step(_ stream: inout Stream, _ now: Int64, _ body: (UnsafePointer<keel_event>) -> Void) {
        let trade = stream.trade
        // Bars that ended before this trade.
        while trade.time >= stream.bar.open_time &+ config.bar {
            close(&stream, body)
        }
        var event = EventForm.trade(
            instrument: stream.id, time: trade.time, price: trade.price, quantity: trade.quantity, id: trade.id, side: trade.side)
        withUnsafePointer(to: &event.head, body)
        let quote = stream.generator.quote()
        var shown = EventForm.quote(
            instrument: stream.id, time: trade.time, bid: quote.bid, bidQuantity: quote.bidQuantity, ask: quote.ask,
            askQuantity: quote.askQuantity)
        withUnsafePointer(to: &shown.head, body)
        stream.bar.high = max(stream.bar.high, trade.price.raw)
        stream.bar.low = min(stream.bar.low, trade.price.raw)
        stream.bar.close = trade.price.raw
        if stream.trades == 0 { stream.bar.open = trade.price.raw; stream.bar.high = trade.price.raw; stream.bar.low = trade.price.raw }
        stream.volume += Int128(trade.quantity.raw)
        stream.trades &+= 1
        let before = trade.time
        stream.trade = stream.generator.nextTrade()
        let gap = max(stream.trade.time &- stream.clock, 1)
        stream.clock = stream.trade.time
        stream.trade.time = before &+ gap
        // A host that slept does not get every trade it missed.
        if stream.trade.time < now &- 2 * config.bar { stream.trade.time = now &- 2 * config.bar }
    }

    private func close(_ stream: inout Stream, _ body: (UnsafePointer<keel_event>) -> Void) {
        stream.bar.volume = Amount(raw: stream.volume).c
        let bar = stream.bar
        var event = EventForm.bar(
            instrument: stream.id, openTime: bar.open_time, duration: config.bar, open: Fixed(raw: bar.open), high: Fixed(raw: bar.high),
            low: Fixed(raw: bar.low), close: Fixed(raw: bar.close), volume: Amount(bar.volume), trades: stream.trades)
        withUnsafePointer(to: &event.head, body)
        stream.bar = SyntheticSource.bar(bar.open_time &+ config.bar, bar.close)
        stream.volume = 0
        stream.trades = 0
    }
}
