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
    private let config: SimConfig
    private var streams: [SyntheticStream] = []
    /// Instruments whose past was told once.
    private var told: Set<UInt32> = []

    init(_ config: SimConfig) { self.config = config }

    var nextDue: Int64? {
        var due: Int64?
        for stream in streams where due.map({ stream.due < $0 }) ?? true { due = stream.due }
        return due
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
        let history = told.insert(instrument.id).inserted ? config.history : 0
        streams.append(SyntheticStream(instrument.id, settings, history: history, now: now))
        return true
    }

    func end(_ instrument: UInt32) { streams.removeAll { $0.id == instrument } }

    func play(to now: Int64, _ body: (UnsafePointer<keel_event>) -> Void) {
        while let next = streams.min(by: { $0.due < $1.due }), next.due <= now {
            next.step(now, body)
        }
    }
}

/// One instrument's made-up market: closed bars of the past first, then trades, quotes and the bars they build.
final class SyntheticStream {
    let id: UInt32
    private let settings: MarketGenerator.Settings
    private var generator: MarketGenerator
    private var trade: MarketGenerator.Trade
    /// The generator's own time at that trade: only distances are taken from it.
    private var clock: Int64
    /// The bar that the trades are building.
    private var bar: keel_bar
    private var volume: Int128 = 0
    private var trades: UInt32 = 0
    private var history: Int

    init(_ id: UInt32, _ settings: MarketGenerator.Settings, history: Int, now: Int64) {
        self.id = id
        self.settings = settings
        self.history = history
        generator = MarketGenerator(settings)
        trade = generator.nextTrade()
        clock = trade.time
        // The current bar began before now; its first trade is now.
        trade.time = now
        bar = SyntheticStream.bar(now / settings.bar * settings.bar, trade.price.raw)
    }

    /// When the next event is due; the past is due at once.
    var due: Int64 { history > 0 ? 0 : trade.time }

    private static func bar(_ open: Int64, _ price: Int64) -> keel_bar {
        keel_bar(open_time: open, open: price, high: price, low: price, close: price, volume: keel_amount(lo: 0, hi: 0))
    }

    func step(_ now: Int64, _ body: (UnsafePointer<keel_event>) -> Void) {
        if history > 0 { return tellPast(body) }
        let trade = trade
        while trade.time >= bar.open_time &+ settings.bar { close(body) }
        var event = EventForm.trade(
            instrument: id, time: trade.time, price: trade.price, quantity: trade.quantity, id: trade.id, side: trade.side)
        withUnsafePointer(to: &event.head, body)
        let quote = generator.quote()
        var shown = EventForm.quote(
            instrument: id, time: trade.time, bid: quote.bid, bidQuantity: quote.bidQuantity, ask: quote.ask, askQuantity: quote.askQuantity)
        withUnsafePointer(to: &shown.head, body)
        let price = trade.price.raw
        if trades == 0 {
            bar.open = price
            bar.high = price
            bar.low = price
        }
        bar.high = max(bar.high, price)
        bar.low = min(bar.low, price)
        bar.close = price
        volume += Int128(trade.quantity.raw)
        trades &+= 1
        var next = generator.nextTrade()
        let gap = max(next.time &- clock, 1)
        clock = next.time
        // A host that slept doesn't get every trade it missed.
        next.time = max(trade.time &+ gap, now &- 2 &* settings.bar)
        self.trade = next
    }

    private func close(_ body: (UnsafePointer<keel_event>) -> Void) {
        var event = EventForm.bar(
            instrument: id, openTime: bar.open_time, duration: settings.bar, open: Fixed(raw: bar.open), high: Fixed(raw: bar.high),
            low: Fixed(raw: bar.low), close: Fixed(raw: bar.close), volume: Amount(raw: volume), trades: trades)
        bar = SyntheticStream.bar(bar.open_time &+ settings.bar, bar.close)
        volume = 0
        trades = 0
        withUnsafePointer(to: &event.head, body)
    }

    /// A past of the same kind that ends at the present price.
    private func tellPast(_ body: (UnsafePointer<keel_event>) -> Void) {
        var past = settings
        past.seed ^= 0x7061_7374
        let (span, overflow) = Int64(history).multipliedReportingOverflow(by: settings.bar)
        let count = overflow ? 0 : history
        history = 0
        past.start = bar.open_time &- span
        var maker = MarketGenerator(past)
        var bars: [MarketGenerator.Bar] = []
        for _ in 0..<count { bars.append(maker.nextBar()) }
        guard let end = bars.last?.close, end.isPositive else { return }
        /// Prices keep their order when all are scaled and rounded alike.
        func scaled(_ price: Fixed) -> Fixed {
            let moved = try? Fixed(nearest: price.double / end.double * settings.price.double).rounded(to: settings.tick, .halfAwayFromZero)
            return max(moved ?? price, settings.tick)
        }
        for bar in bars {
            var event = EventForm.bar(
                instrument: id, openTime: bar.openTime, duration: settings.bar, open: scaled(bar.open), high: scaled(bar.high),
                low: scaled(bar.low), close: scaled(bar.close), volume: bar.volume, trades: bar.trades)
            event.head.flags = UInt16(KEEL_EVF_SNAPSHOT)
            withUnsafePointer(to: &event.head, body)
        }
    }
}
