import PluginAPI
import PluginKit
import Tape

/// Made-up markets on a tape: for trying things out, and for measuring.
public enum SyntheticTape {
    public struct Request: Sendable {
        public enum Content: String, Sendable, CaseIterable { case bars, trades, quotes }
        public var content = Content.bars
        public var count = 100_000
        public var instruments: [TapeInstrument] = []
        public var settings = MarketGenerator.Settings()
        public init() {}
    }

    /// Writes `count` records of each instrument, in time order. Each instrument's market depends on the seed and its own symbol only.
    public static func write(_ request: Request, to path: String, progress: ((Int) -> Void)? = nil) throws {
        var markets: [MarketGenerator] = request.instruments.map { instrument in
            var settings = request.settings
            var mixed = SeededGenerator.stream(seed: settings.seed, instrument.symbol)
            if request.instruments.count > 1 { settings.seed = mixed.next() }
            if instrument.tick.isPositive { settings.tick = instrument.tick }
            if instrument.lot.isPositive { settings.lot = instrument.lot }
            return MarketGenerator(settings)
        }
        let s = request.settings
        let writer = try TapeWriter(
            creating: path, instruments: request.instruments,
            note: "made up by keel data synth: seed \(s.seed), \(request.content.rawValue), volatility \(s.volatility) a bar, from \(UTCTime.text(s.start))")
        var done = 0
        func tick() {
            done += 1
            if done & 0xFFFF == 0 { progress?(done) }
        }
        switch request.content {
        case .bars:
            for _ in 0..<request.count {
                for index in markets.indices {
                    let bar = markets[index].nextBar()
                    try writer.append(
                        EventForm.bar(
                            instrument: UInt32(index + 1), openTime: bar.openTime, duration: s.bar, open: bar.open, high: bar.high, low: bar.low, close: bar.close,
                            volume: bar.volume, trades: bar.trades))
                    tick()
                }
            }
        case .trades, .quotes:
            var next = markets.indices.map { markets[$0].nextTrade() }
            var left = markets.map { _ in request.count }
            while let index = left.indices.filter({ left[$0] > 0 }).min(by: { (next[$0].time, $0) < (next[$1].time, $1) }) {
                let trade = next[index]
                if request.content == .trades {
                    try writer.append(
                        EventForm.trade(
                            instrument: UInt32(index + 1), time: trade.time, price: trade.price, quantity: trade.quantity, id: trade.id, side: trade.side))
                } else {
                    let quote = markets[index].quote()
                    try writer.append(
                        EventForm.quote(
                            instrument: UInt32(index + 1), time: trade.time, bid: quote.bid, bidQuantity: quote.bidQuantity, ask: quote.ask,
                            askQuantity: quote.askQuantity))
                }
                left[index] -= 1
                next[index] = markets[index].nextTrade()
                tick()
            }
        }
        try writer.close(syncing: false)
    }
}
