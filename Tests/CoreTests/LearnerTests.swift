import Foundation
import PluginAPI
import PluginKit
import Testing

@testable import HostCore

@Suite struct LearnerTests {
    private func near(_ a: Double, _ b: Double, _ tolerance: Double = 1e-9) -> Bool { abs(a - b) <= tolerance * max(1, abs(b)) }

    @Test("Beta moments as scipy has them")
    func moments() {
        for (a, b, mean, variance) in [(1.0, 1.0, 0.5, 0.0833333333), (3, 2, 0.6, 0.04), (10.5, 4.25, 0.7118644068, 0.0130230777)] {
            #expect(near(Beta(a: a, b: b).mean, mean, 1e-9))
            #expect(near(Beta(a: a, b: b).variance, variance, 1e-9))
        }
    }

    @Test("100,000 draws have the moments and the median scipy gives, within four sigma", arguments: [(3.0, 2.0, 0.6142724319), (10.5, 4.25, 0.7216510777), (0.4, 0.7, -1)])
    func draws(a: Double, b: Double, median: Double) {
        let seed: UInt64 = 42
        var random = SeededGenerator(seed: seed)
        let beta = Beta(a: a, b: b)
        let count = 100_000
        var sum = 0.0
        var squares = 0.0
        var below = 0
        for _ in 0..<count {
            let x = beta.draw(&random)
            #expect(x >= 0 && x <= 1)
            sum += x
            squares += (x - beta.mean) * (x - beta.mean)
            if x < median { below += 1 }
        }
        let n = Double(count)
        #expect(abs(sum / n - beta.mean) < 4 * (beta.variance / n).squareRoot(), "seed \(seed)")
        #expect(abs(squares / n - beta.variance) < 4 * beta.variance * (2 / n).squareRoot() * 2, "seed \(seed)")
        if median > 0 { #expect(abs(Double(below) / n - 0.5) < 4 * 0.5 / n.squareRoot(), "seed \(seed)") }
    }

    @Test("the sheet's discounted rewards: 1 1 0 1 0 at 0.95")
    func discount() {
        var settings = LearnerSettings()
        settings.discount = 0.95
        var learner = SignalLearner(settings)
        let signal = [DecisionRecord.Signal(name: "a", confidence: .one, direction: 1)]
        for reward in [1.0, 1, -1, 1, -1] { learner.learn(profit: reward, side: 1, regime: 1, signals: signal) }
        let count = learner.counts["a"]?.regimes[1]
        #expect(near(count?.wins ?? 0, 2.62188125) && near(count?.losses ?? 0, 1.9025))
    }

    @Test("the sheet's shrinkage figures")
    func shrinkage() {
        var rest = SignalCounts.Count()
        rest.wins = 30
        rest.losses = 20
        var own = SignalCounts.Count()
        own.wins = 3
        own.losses = 5
        let four = SignalCounts.pooled(rest: rest, own: own, prior: Beta(a: 1, b: 1), strength: 4)
        #expect(near(four.a, 5.3846153846) && near(four.b, 6.6153846154) && near(four.mean, 0.4487179487))
        let ten = SignalCounts.pooled(rest: rest, own: own, prior: Beta(a: 1, b: 1), strength: 10)
        #expect(near(ten.a, 8.9615384615) && near(ten.b, 9.0384615385) && near(ten.mean, 0.4978632479))
    }

    /// Signal A is right seven times in ten in regime 1 and three in ten in regime 2; B the other way round; C is a coin.
    private func trade(_ learner: inout SignalLearner, _ random: inout SeededGenerator, flipped: Bool) {
        let regime: UInt32 = random.uniform() < 0.5 ? 1 : 2
        let good = (regime == 1) != flipped
        let market: Int32 = random.uniform() < 0.5 ? 1 : -1
        func voice(_ right: Double) -> Int32 { random.uniform() < right ? market : -market }
        let signals = [
            DecisionRecord.Signal(name: "A", confidence: .one, direction: voice(good ? 0.7 : 0.3)),
            DecisionRecord.Signal(name: "B", confidence: .one, direction: voice(good ? 0.3 : 0.7)),
            DecisionRecord.Signal(name: "C", confidence: .one, direction: voice(0.5)),
        ]
        let side = signals[Int(random.below(3))].direction
        learner.learn(profit: side == market ? 0.02 : -0.02, side: side, regime: regime, signals: signals)
    }

    @Test("a planted world is learned within 300 trades, and again within 300 after it flips", arguments: 1...40 as ClosedRange<UInt64>)
    func planted(seed: UInt64) {
        var settings = LearnerSettings()
        settings.seed = seed
        var learner = SignalLearner(settings)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<300 { trade(&learner, &random, flipped: false) }
        #expect(learner.posterior("A", regime: 1).mean > learner.posterior("B", regime: 1).mean, "seed \(seed)")
        #expect(learner.posterior("B", regime: 2).mean > learner.posterior("A", regime: 2).mean, "seed \(seed)")
        #expect(learner.isKnown("A"))
        for _ in 0..<300 { trade(&learner, &random, flipped: true) }
        #expect(learner.posterior("B", regime: 1).mean > learner.posterior("A", regime: 1).mean, "seed \(seed)")
        #expect(learner.posterior("A", regime: 2).mean > learner.posterior("B", regime: 2).mean, "seed \(seed)")
    }

    @Test("all of it comes back after a restart: the draws too", arguments: [1, 2, 3] as [UInt64])
    func restart(seed: UInt64) throws {
        var settings = LearnerSettings()
        settings.seed = seed
        var learner = SignalLearner(settings)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<40 { trade(&learner, &random, flipped: false) }
        let restored = try #require(SignalLearner(learner.save(), settings: settings))
        #expect(restored == learner)
        #expect(restored.weights(regime: 2, stream: "a") == learner.weights(regime: 2, stream: "a"))
        #expect(restored.weights(regime: 2, stream: "b").map(\.draw) != learner.weights(regime: 2, stream: "a").map(\.draw))
        #expect(restored.isKnown("A") == learner.isKnown("A"))
    }

    @Test("damaged state is refused, never half taken")
    func damaged() {
        var learner = SignalLearner()
        learner.learn(profit: 1, side: 1, regime: 1, signals: [.init(name: "a", confidence: .one, direction: 1)])
        let bytes = learner.save()
        #expect(SignalLearner([], settings: LearnerSettings()) == nil)
        for end in stride(from: 0, to: bytes.count, by: 7) { #expect(SignalLearner(Array(bytes[..<end]), settings: LearnerSettings()) == nil) }
        let negative = Array(String(decoding: bytes, as: UTF8.self).replacingOccurrences(of: "\"wins\":1", with: "\"wins\":-1").utf8)
        #expect(SignalLearner(negative, settings: LearnerSettings()) == nil)
    }

    @Test("confidence is weight, opposition earns the opposite, a repeated name counts once, graded rewards grade")
    func credit() {
        var learner = SignalLearner()
        learner.learn(
            profit: 0.05, side: 1, regime: 1,
            signals: [
                .init(name: "for", confidence: Fixed(raw: 20_000_000), direction: 1), .init(name: "against", confidence: .one, direction: -1),
                .init(name: "for", confidence: .one, direction: 1), .init(name: "silent", confidence: .one, direction: 0),
            ])
        #expect(learner.counts["for"]?.regimes[1]?.wins == 0.2)
        #expect(learner.counts["against"]?.regimes[1]?.losses == 1)
        #expect(learner.counts["silent"] == nil)
        var settings = LearnerSettings()
        settings.reward = .graded
        #expect(settings.reward(of: 0) == 0.5 && settings.reward(of: 0.02) == 0.75 && settings.reward(of: -1) == 0 && settings.reward(of: 1) == 1)
        learner.learn(profit: .nan, side: 1, regime: 1, signals: [])
        #expect(learner.trades == 1)
    }
}
