import Foundation
import PluginAPI
import PluginKit
import Testing

@testable import HostCore

@Suite struct MarketLearnerTests {
    /// Daily returns of a market that is calm for 100 days, wild for 100, and so on.
    private func returns(seed: UInt64, days: Int) -> [Double] {
        var random = SeededGenerator(seed: seed)
        return (0..<days).map { day in
            let normal = (-2 * log(1 - random.uniform())).squareRoot() * cos(2 * .pi * random.uniform())
            return normal * (day / 100 % 2 == 1 ? 5 : 1)
        }
    }

    private let places = [MarketLearner.Place(pipeline: "p", symbol: "BTC/USDT"), MarketLearner.Place(pipeline: "p", symbol: "ETH/USDT")]

    /// Fewer rounds than live, so that the many refits here stay quick.
    private func learner() -> MarketLearner {
        var fit = RegimeFit()
        fit.rounds = 20
        fit.restarts = 0
        return MarketLearner(places, fit: fit)
    }

    private func trade(_ learner: MarketLearner, _ profit: Double, regime: UInt32 = KEEL_REGIME_CALM, side: Int32 = 1) {
        var opening = Opening()
        opening.regime = regime
        learner.tradeClosed(
            ClosedTrade(
                book: 0, opened: 0, closed: 2 * Span.hour, profit: Fixed(raw: Int64(profit * 1e8)), opening: opening,
                signals: [.init(name: "trend", confidence: .one, direction: side)], why: .decider, side: side))
    }

    private func day(_ learner: MarketLearner, _ change: Double) -> UInt32 {
        learner.dayEnded(book: 0, change: change)
        return learner.regimes(book: 0).regime
    }

    @Test("regimes are found, nothing looks ahead, and restarts in the middle change nothing", arguments: [1] as [UInt64])
    func restart(seed: UInt64) throws {
        let returns = returns(seed: seed, days: 330)
        let whole = learner()
        let labels = returns.map { day(whole, $0) }
        #expect(Set(labels).isSuperset(of: [KEEL_REGIME_CALM, KEEL_REGIME_VOLATILE]), "seed \(seed)")
        #expect(whole.regimes(book: 1).regime == KEEL_REGIME_UNKNOWN, "nothing is shared between instruments")
        // Cut anywhere and restored from its own bytes, also between the start of a fit and its adoption.
        for cut in [66, 67, 300] {
            let first = learner()
            for change in returns[..<cut] { _ = day(first, change) }
            let second = learner()
            #expect(second.load(first.save()))
            #expect(second.regimes(book: 0).regime == labels[cut - 1], "known before the next day ends")
            #expect(returns[cut...].map { day(second, $0) } == Array(labels[cut...]), "seed \(seed), cut \(cut)")
            #expect(second.save() == whole.save(), "seed \(seed), cut \(cut)")
        }
    }

    @Test("a changed manifest finds what is still its own, and what is gone for now stays")
    func renamed() throws {
        let first = learner()
        for change in returns(seed: 3, days: 70) { _ = day(first, change) }
        trade(first, 0.02)
        let second = MarketLearner([.init(pipeline: "new", symbol: "ETH/USDT"), .init(pipeline: "p", symbol: "BTC/USDT")])
        #expect(second.load(first.save()))
        #expect(second.weights(book: 1, regime: KEEL_REGIME_CALM, at: 1).map(\.signal) == ["trend"])
        #expect(second.weights(book: 0, regime: KEEL_REGIME_CALM, at: 1).isEmpty)
        let third = MarketLearner([.init(pipeline: "new", symbol: "ETH/USDT")])
        #expect(third.load(second.save()))
        let fourth = learner()
        #expect(fourth.load(third.save()))
        #expect(fourth.weights(book: 0, regime: KEEL_REGIME_CALM, at: 1) == first.weights(book: 0, regime: KEEL_REGIME_CALM, at: 1))
        #expect(fourth.regimes(book: 0) == first.regimes(book: 0) || fourth.regimes(book: 0).probability.isNaN)
    }

    @Test("minute bars and daily bars of the same closes give the same daily returns")
    func intraday() {
        var daily = DayClose()
        var minutes = DayClose()
        var ended: [[Double]] = [[], []]
        for (day, close) in [10_000, 11_000, 9_900, 10_500].enumerated() {
            if let change = daily.add(close: Int64(close), at: Int64(day + 1) * Span.day) { ended[0].append(change) }
            for minute in 1...1440 {
                if let change = minutes.add(close: minute == 1440 ? Int64(close) : 5_000, at: Int64(day) * Span.day + Int64(minute) * Span.minute) {
                    ended[1].append(change)
                }
            }
        }
        #expect(ended[0] == ended[1])
        #expect(ended[0].count == 2, "the last day is not over")
        #expect(daily.add(close: -1, at: 10 * Span.day) == nil, "an impossible price is no price")
    }

    @Test("similar trades are told in a few lines, others are not")
    func similar() {
        let learner = learner()
        #expect(learner.similar(book: 0) == "")
        for profit in [0.02, -0.01, 0.03] { trade(learner, profit, regime: KEEL_REGIME_UNKNOWN) }
        let words = learner.similar(book: 0)
        #expect(words.hasPrefix("3 similar closed trades: 2 won, +1.33 % on average after fees.\nLong on trend: +3.00 % in 2.0 h."))
        let other = self.learner()
        for profit in [0.02, -0.01, 0.03] { trade(other, profit, regime: KEEL_REGIME_VOLATILE) }
        #expect(other.similar(book: 0) == "")
        for _ in 0..<Situations.most + 5 { trade(learner, 0.01) }
        #expect(learner.load(learner.save()))
    }

    @Test("damaged state is refused and changes nothing")
    func damaged() {
        let learner = learner()
        trade(learner, 0.01)
        let bytes = learner.save()
        #expect(!learner.load([]))
        #expect(!learner.load(Array(bytes.dropLast(3))))
        #expect(learner.save() == bytes)
    }
}
