import PluginAPI
import PluginKit

/// A made-up market: a random walk whose drift and spread follow a regime, with jumps now and then and volume that rises with movement.
///
/// The same settings give the same market on every machine. Only +, -, *, / and rounding of doubles are used.
public struct MarketGenerator: Sendable {
    public struct Settings: Equatable, Sendable {
        public var seed: UInt64 = 1
        /// Time of the first trade or the first bar's opening.
        public var start: Int64 = 1_704_067_200_000_000_000  // 2024-01-01
        public var price = Fixed(raw: 100_00_000_000)
        public var tick = Fixed(raw: 1_000_000)
        public var lot = Fixed(raw: 100_000)
        /// Length of a bar, and the mean distance of trades.
        public var bar: Int64 = 60_000_000_000
        public var tradeGap: Int64 = 250_000_000
        /// Standard deviation of the log return of one bar in a calm market.
        public var volatility = 0.0006
        /// Mean volume of a bar in a calm market, in units.
        public var volume = 12.0
        /// Share of bars that jump, and how many standard deviations a jump has at most.
        public var jumpShare = 0.0004
        public var jumpSize = 25.0
        /// Bars a regime lasts on average.
        public var regimeLength = 720.0
        /// Half the distance of bid and ask, in ticks.
        public var halfSpread: Int64 = 1

        public init() {}
    }

    public enum Regime: Int, Sendable, CaseIterable {
        case calm, rising, falling, wild

        var drift: Double {
            switch self {
            case .calm, .wild: 0
            case .rising: 0.06
            case .falling: -0.06
            }
        }
        var spread: Double {
            switch self {
            case .calm: 1
            case .rising, .falling: 1.3
            case .wild: 3.2
            }
        }
    }

    public struct Trade: Equatable, Sendable {
        public var time: Int64
        public var price: Fixed
        public var quantity: Fixed
        public var side: UInt32  // KEEL_BUY or KEEL_SELL: who took liquidity
        public var id: UInt64
    }

    public struct Bar: Equatable, Sendable {
        public var openTime: Int64
        public var open: Fixed
        public var high: Fixed
        public var low: Fixed
        public var close: Fixed
        public var volume: Amount
        public var trades: UInt32
    }

    public let settings: Settings
    public private(set) var regime = Regime.calm
    private var chance: SeededGenerator
    private var time: Int64
    /// In ticks, not rounded.
    private var level: Double
    private let first: Double
    private var trades: UInt64 = 0
    private let floor: Double
    private let ceiling: Double

    public init(_ settings: Settings) {
        self.settings = settings
        chance = SeededGenerator.stream(seed: settings.seed, "market")
        time = settings.start
        let tick = Double(max(settings.tick.raw, 1))
        first = max(Double(settings.price.raw) / tick, 10)
        level = first
        // Keeps a long walk within what prices can be: never below ten ticks, never near the end of 64 bits.
        floor = 10
        ceiling = 4e18 / tick
    }

    private mutating func step(fraction: Double, root: Double) {
        if chance.chance(fraction / max(settings.regimeLength, 1)) {
            regime = Regime.allCases[Int(chance.below(UInt64(Regime.allCases.count)))]
        }
        let deviation = settings.volatility * regime.spread
        var change = deviation * (regime.drift * fraction + chance.bell() * root)
        if chance.chance(settings.jumpShare * fraction) { change += settings.volatility * settings.jumpSize * (chance.uniform() * 2 - 1) }
        // A weak pull to the starting price, so that a million bars don't drift to nothing or to infinity.
        change += (first - level) / (first + level) * 0.00002 * fraction
        level = min(max(level * (1 + change), floor), ceiling)
    }

    private func price(_ level: Double) -> Int64 { Int64(level.rounded(.toNearestOrAwayFromZero)) * max(settings.tick.raw, 1) }

    private mutating func quantity(_ mean: Double) -> Int64 {
        // The product of two uniform draws has mean 1/4 and a long tail to small sizes, as trades have.
        let units = mean * 4 * chance.uniform() * chance.uniform() * (regime == .wild ? 2.5 : 1)
        let lot = max(settings.lot.raw, 1)
        let lots = (units * 100_000_000 / Double(lot)).rounded(.up)
        return Int64(min(max(lots, 1), 1e12)) * lot
    }

    public mutating func nextTrade() -> Trade {
        let gap = max(settings.tradeGap, 1)
        let fraction = Double(gap) / Double(max(settings.bar, 1))
        step(fraction: fraction, root: fraction.squareRoot())
        let buy = chance.next() & 1 == 0
        trades += 1
        let trade = Trade(
            time: time, price: Fixed(raw: price(level)), quantity: Fixed(raw: quantity(settings.volume * fraction)), side: buy ? KEEL_BUY : KEEL_SELL, id: trades)
        // Between 1 ns and twice the gap: at least one apart, so times are strictly rising.
        time += 1 + Int64(chance.below(UInt64(gap) * 2))
        return trade
    }

    /// Bid and ask around the last price, and the quantities there.
    public mutating func quote() -> (bid: Fixed, bidQuantity: Fixed, ask: Fixed, askQuantity: Fixed) {
        let middle = price(level)
        let half = max(settings.halfSpread, 1) * max(settings.tick.raw, 1)
        return (
            Fixed(raw: middle - half), Fixed(raw: quantity(settings.volume / 4)), Fixed(raw: middle + half), Fixed(raw: quantity(settings.volume / 4))
        )
    }

    public mutating func nextBar() -> Bar {
        let open = price(level)
        var high = open
        var low = open
        let parts = 4
        for _ in 0..<parts {
            step(fraction: 0.25, root: 0.5)
            let now = price(level)
            high = max(high, now)
            low = min(low, now)
        }
        let close = price(level)
        let move = Double(high - low) / Double(max(open, 1)) / max(settings.volatility, 1e-9)
        let volume = quantity(settings.volume * (0.6 + 0.4 * min(move, 20)))
        let bar = Bar(
            openTime: time, open: Fixed(raw: open), high: Fixed(raw: high), low: Fixed(raw: low), close: Fixed(raw: close),
            volume: Amount(Fixed(raw: volume)), trades: UInt32(truncatingIfNeeded: 1 + chance.below(UInt64(20 + min(move, 100) * 10))))
        time += max(settings.bar, 1)
        return bar
    }
}

/// Events as they stand on a tape, built in place.
public enum EventForm {
    @inline(__always)
    public static func head<T>(_ type: T.Type, _ kind: UInt32, _ instrument: UInt32, source: Int64, host: Int64) -> keel_event {
        keel_event(
            size: UInt32(MemoryLayout<T>.size), kind: UInt16(truncatingIfNeeded: kind), flags: 0, instrument: instrument, reserved: 0, request: 0,
            at_source: source, at_host: host)
    }

    @inline(__always)
    public static func trade(
        instrument: UInt32, time: Int64, price: Fixed, quantity: Fixed, id: UInt64 = 0, side: UInt32 = KEEL_SIDE_NONE
    ) -> keel_ev_trade {
        keel_ev_trade(
            head: head(keel_ev_trade.self, KEEL_EV_TRADE, instrument, source: time, host: time), price: price.raw, qty: quantity.raw, trade_id: id,
            side: side, reserved: 0)
    }

    @inline(__always)
    public static func quote(instrument: UInt32, time: Int64, bid: Fixed, bidQuantity: Fixed, ask: Fixed, askQuantity: Fixed) -> keel_ev_quote {
        keel_ev_quote(
            head: head(keel_ev_quote.self, KEEL_EV_QUOTE, instrument, source: time, host: time), bid: bid.raw, bid_qty: bidQuantity.raw, ask: ask.raw,
            ask_qty: askQuantity.raw)
    }

    /// A closed bar. Its time is its closing time.
    @inline(__always)
    public static func bar(
        instrument: UInt32, openTime: Int64, duration: Int64, open: Fixed, high: Fixed, low: Fixed, close: Fixed, volume: Amount, trades: UInt32 = 0
    ) -> keel_ev_bar {
        let end = openTime &+ duration
        return keel_ev_bar(
            head: head(keel_ev_bar.self, KEEL_EV_BAR, instrument, source: end, host: end),
            bar: keel_bar(open_time: openTime, open: open.raw, high: high.raw, low: low.raw, close: close.raw, volume: volume.c), duration: duration,
            bar_flags: KEEL_BAR_CLOSED, trades: trades)
    }

    /// A named number, its name behind it.
    public static func value(
        instrument: UInt32, time: Int64, name: String, value: Double, periodStart: Int64 = 0, periodEnd: Int64 = 0, released: Int64 = 0
    ) -> [UInt8] {
        let fixed = MemoryLayout<keel_ev_value>.size
        let text = Array(name.utf8.prefix(1024))
        var event = keel_ev_value(
            head: head(keel_ev_value.self, KEEL_EV_VALUE, instrument, source: time, host: time), value: value, period_start: periodStart,
            period_end: periodEnd, released: released, name: keel_text(off: UInt32(fixed), len: UInt32(text.count)))
        event.head.size = UInt32(fixed + text.count)
        return withUnsafeBytes(of: &event) { Array($0) } + text
    }
}

extension TapeWriter {
    public func append(_ trade: keel_ev_trade) throws { try appendBody(of: trade) }
    public func append(_ quote: keel_ev_quote) throws { try appendBody(of: quote) }
    public func append(_ bar: keel_ev_bar) throws { try appendBody(of: bar) }

    private func appendBody<T>(of event: T) throws {
        try withUnsafeBytes(of: event) { raw in
            guard let base = raw.baseAddress else { return }
            try append(base.assumingMemoryBound(to: keel_event.self))
        }
    }

    /// Bytes of one event, as `EventForm.value` gives them.
    public func append(bytes: [UInt8]) throws {
        if bytes.count < MemoryLayout<keel_event>.size { throw TapeError.badEvent("shorter than an event header") }
        try bytes.withUnsafeBytes { raw in
            guard let base = raw.baseAddress else { return }
            let event = base.assumingMemoryBound(to: keel_event.self)
            if let problem = EventShape.problem(event, limit: raw.count) { throw TapeError.badEvent(problem) }
            try append(event)
        }
    }
}
