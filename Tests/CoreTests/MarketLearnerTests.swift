import Foundation
import PluginAPI
import PluginKit
import Testing

@testable import HostCore

@Suite struct MarketLearnerTests {
    /// Daily bars of a market that is calm for 100 days, wild for 100, and so on.
    private func bars(seed: UInt64, days: Int) -> [keel_bar] {
        var random = SeededGenerator(seed: seed)
        var price = 100.0
        return (0..<days).map { day in
            let wild = day / 100 % 2 == 1
            let normal = (-2 * log(1 - random.uniform())).squareRoot() * cos(2 * .pi * random.uniform())
            price *= exp(normal * (wild ? 0.05 : 0.01))
            let raw = Int64(price * 1e8)
            return keel_bar(open_time: Int64(day) * Span.day, open: raw, high: raw, low: raw, close: raw, volume: keel_amount(lo: 1, hi: 0))
        }
    }

    /// Fewer rounds than live, so that the many refits here stay quick.
    private func learner() -> MarketLearner {
        var fit = RegimeFit()
        fit.rounds = 20
        fit.restarts = 0
        return MarketLearner(fit: fit)
    }

    private func trade(_ learner: MarketLearner, _ profit: Double, regime: UInt32 = KEEL_REGIME_CALM, side: Int32 = 1) {
        learner.tradeClosed(
            ClosedTrade(
                pipeline: 0, instrument: 1, opened: 0, closed: 2 * Span.hour, profit: Fixed(raw: Int64(profit * 1e8)), regime: regime,
                signals: [.init(name: "trend", confidence: .one, direction: side)], why: .decider, side: side))
    }

    @Test("regimes are found, nothing looks ahead, and restarts in the middle change nothing", arguments: [1] as [UInt64])
    func restart(seed: UInt64) throws {
        let bars = bars(seed: seed, days: 330)
        let whole = learner()
        var labels: [UInt32] = []
        for bar in bars { labels.append(whole.barClosed(pipeline: 0, instrument: 1, bar: bar, duration: Span.day).regime) }
        #expect(Set(labels).isSuperset(of: [KEEL_REGIME_CALM, KEEL_REGIME_VOLATILE]), "seed \(seed)")
        // Cut anywhere and restored from its own bytes, also between the start of a fit and its adoption.
        for cut in [66, 67, 300] {
            let first = learner()
            for bar in bars[..<cut] { _ = first.barClosed(pipeline: 0, instrument: 1, bar: bar, duration: Span.day) }
            let second = learner()
            #expect(second.load(first.save()))
            var rest: [UInt32] = []
            for bar in bars[cut...] { rest.append(second.barClosed(pipeline: 0, instrument: 1, bar: bar, duration: Span.day).regime) }
            #expect(rest == Array(labels[cut...]), "seed \(seed), cut \(cut)")
            #expect(second.save() == whole.save(), "seed \(seed), cut \(cut)")
        }
    }

    @Test("minute bars and daily bars of the same closes give the same daily returns")
    func intraday() {
        var daily = DailyReturns()
        var minutes = DailyReturns()
        for (day, close) in [100.0, 110, 99, 105].enumerated() {
            _ = daily.add(close: close, at: Int64(day + 1) * Span.day)
            for minute in 1...1440 { _ = minutes.add(close: minute == 1440 ? close : 50, at: Int64(day) * Span.day + Int64(minute) * Span.minute) }
        }
        #expect(daily.returns == minutes.returns)
        #expect(daily.returns.count == 2, "the last day is not over")
        _ = daily.add(close: -1, at: 10 * Span.day)
        #expect(daily.returns.count == 2, "an impossible price is no price")
    }

    @Test("similar trades are told in a few lines, others are not")
    func similar() {
        let learner = MarketLearner()
        var regimes = Regimes()
        regimes.regime = KEEL_REGIME_CALM
        #expect(learner.similar(pipeline: 0, instrument: 1, regimes: regimes) == "")
        for profit in [0.02, -0.01, 0.03] { trade(learner, profit) }
        let words = learner.similar(pipeline: 0, instrument: 1, regimes: regimes)
        #expect(words.hasPrefix("3 similar closed trades: 2 won, +1.33 % on average after fees.\nLong on trend: +3.00 % in 2.0 h."))
        regimes.regime = KEEL_REGIME_VOLATILE
        #expect(learner.similar(pipeline: 0, instrument: 1, regimes: regimes) == "")
        for _ in 0..<Situations.most + 5 { trade(learner, 0.01) }
        #expect(learner.load(learner.save()))
    }

    @Test("damaged state is refused and changes nothing")
    func damaged() {
        let learner = MarketLearner()
        trade(learner, 0.01)
        let bytes = learner.save()
        #expect(!learner.load([]))
        #expect(!learner.load(Array(bytes.dropLast(3))))
        #expect(learner.save() == bytes)
    }
}
