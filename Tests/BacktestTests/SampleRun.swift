@testable import HostCore
import PluginAPI
import PluginKit
import Tape


@testable import HostBacktest

/// A run made without an engine: a plain EMA cross over a made-up market, put into a `Score` fill by fill.
enum SampleRun {
    static func fill(_ side: UInt32, _ price: Fixed, _ quantity: Fixed, at time: Int64, fee: Amount = .zero, instrument: UInt32 = 1) -> FillTally {
        FillTally(time: time, pipeline: 0, instrument: instrument, order: .none, side: side, quantity: quantity, price: price, fee: fee)
    }

    static func result(bars: Int, seed: UInt64 = 3, start: Amount = Amount(raw: 10_000_00_000_000), quantity: Fixed = Fixed(raw: 2_000_000_000)) -> BacktestResult {
        var settings = MarketGenerator.Settings()
        settings.seed = seed
        var market = MarketGenerator(settings)
        let first = settings.start
        let last = settings.start + Int64(bars) * settings.bar
        let score = Score(startEquity: start, multipliers: [.one], first: first, last: last)
        var fast = 0.0
        var slow = 0.0
        var before = 0.0
        var pending: UInt32?
        var held = false
        var prices: [BacktestResult.PriceBar] = []
        for index in 0..<bars {
            let bar = market.nextBar()
            let end = bar.openTime + settings.bar
            score.advance(to: end)
            if let side = pending {
                let fee = Amount(raw: Int128(bar.open.raw) * Int128(quantity.raw) / 100_000_000 / 1000)
                score.fill(fill(side, bar.open, quantity, at: end, fee: fee), index: index)
                pending = nil
            }
            let close = bar.close.double
            if index == 0 { (fast, slow) = (close, close) } else {
                fast += 2.0 / 241 * (close - fast)
                slow += 2.0 / 481 * (close - slow)
            }
            let difference = fast - slow
            if index > 20, before <= 0, difference > 0, !held {
                pending = KEEL_BUY
                held = true
            } else if index > 20, before >= 0, difference < 0, held {
                pending = KEEL_SELL
                held = false
            }
            before = difference
            score.mark(1, price: bar.close.raw)
            let bucket = max(1, bars / 1200)
            if index % bucket == 0 {
                prices.append(.init(time: bar.openTime, open: bar.open.double, high: bar.high.double, low: bar.low.double, close: close))
            } else {
                prices[prices.count - 1].high = max(prices[prices.count - 1].high, bar.high.double)
                prices[prices.count - 1].low = min(prices[prices.count - 1].low, bar.low.double)
                prices[prices.count - 1].close = close
            }
        }
        score.finish()
        var result = BacktestResult()
        result.pipelines = ["btc"]
        result.instruments = ["BTC/USDT"]
        result.currency = "USDT"
        result.tapes = ["btc-1m.tape"]
        result.from = first
        result.to = last
        result.events = bars
        score.write(to: &result)
        result.prices = [prices]
        var counters = GateCounters()
        counters.events = UInt64(bars)
        counters.passed = UInt64(score.fills.count)
        counters.asked = counters.passed
        result.gates = [("btc", "BTC/USDT", counters)]
        result.answers = [.init(pipeline: "btc", decider: "emacross", asked: score.fills.count, orders: score.fills.count)]
        result.refusals = [(.cooldown, 12), (.maximumOrder, 3)]
        result.exits = [(.decider, score.trades.count, score.trades.reduce(0) { $0 + $1.profit })]
        result.engineSeconds = 0.1
        result.wholeSeconds = 0.4
        return result
    }
}
