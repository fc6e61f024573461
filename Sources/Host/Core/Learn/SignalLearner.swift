import Foundation
import PluginAPI
import PluginKit

/// How the signals' chances are learned.
public struct LearnerSettings: Sendable, Equatable, Codable {
    public enum Reward: String, Sendable, Codable, CaseIterable {
        /// Won or lost, after fees.
        case binary
        /// 0.5 + profit / (4 x scale), within 0...1: a large win counts more than a small one.
        case graded
    }

    public var reward: Reward = .binary
    /// The profit that counts as one unit of risk for graded rewards, as a fraction.
    public var scale = 0.02
    /// What a resolved trade leaves of all earlier ones: 0.99 remembers about 100 trades.
    public var discount = 0.99
    public var prior = Beta(a: 1, b: 1)
    /// How many observations the other regimes together are worth in this one.
    public var pooling = 8.0
    /// Observations before weights count as known.
    public var enough = 20.0
    public var seed: UInt64 = 1

    public init() {}

    public func reward(of profit: Double) -> Double {
        switch reward {
        case .binary: profit > 0 ? 1 : 0
        case .graded: min(max(0.5 + profit / scale / 4, 0), 1)
        }
    }
}

/// Discounted Thompson sampling for each signal: which of them are worth listening to, in which regime.
///
/// Credit goes to the signals and the regime at entry. A signal that spoke against the trade (its direction is opposite)
/// earns the opposite reward. Its confidence is its weight: a signal named with 0.2 learns a fifth of what one with 1 does.
public struct SignalLearner: Sendable, Equatable {
    public static let version = 1

    public let settings: LearnerSettings
    public private(set) var counts: [String: SignalCounts] = [:]
    public private(set) var trades = 0

    public init(_ settings: LearnerSettings = LearnerSettings()) { self.settings = settings }

    /// One resolved trade. `side` is the direction that was traded: 1 long, -1 short.
    public mutating func learn(profit: Double, side: Int32, regime: UInt32, signals: [DecisionRecord.Signal]) {
        guard profit.isFinite else { return }
        trades += 1
        for name in counts.keys { counts[name]?.fade(settings.discount) }
        let reward = settings.reward(of: profit)
        var seen = Set<String>()
        for signal in signals where signal.direction != 0 && seen.insert(signal.name).inserted {
            let weight = min(max(signal.confidence.double, 0), 1)
            if weight == 0 { continue }
            let agreed = (signal.direction > 0) == (side > 0)
            counts[signal.name, default: SignalCounts()].add(agreed ? reward : 1 - reward, weight: weight, regime: regime)
        }
    }

    public func posterior(_ signal: String, regime: UInt32) -> Beta {
        (counts[signal] ?? SignalCounts()).posterior(regime: regime, prior: settings.prior, strength: settings.pooling)
    }

    /// Whether there is enough to go by, for one signal.
    public func isKnown(_ signal: String) -> Bool { (counts[signal]?.total ?? 0) >= settings.enough }

    /// For a snapshot, signals in order of their names. `stream` names the draws: the same name, the same draws.
    public func weights(regime: UInt32, stream: String) -> [SignalWeight] {
        if counts.isEmpty { return [] }
        var random = SeededGenerator.stream(seed: settings.seed, stream)
        return counts.keys.sorted().map { name in
            let beta = posterior(name, regime: regime)
            return SignalWeight(signal: name, mean: beta.mean, draw: beta.draw(&random), observations: counts[name]?.total ?? 0)
        }
    }

    // MARK: surviving a restart, whole

    struct Saved: Codable {
        var version: Int
        var trades: Int
        var signals: [String: [String: SignalCounts.Count]]
    }

    var saved: Saved {
        Saved(
            version: Self.version, trades: trades,
            signals: counts.mapValues { counts in Dictionary(uniqueKeysWithValues: counts.regimes.map { (String($0.key), $0.value) }) })
    }

    public func save() -> [UInt8] { (try? StateCoding.bytes(saved)) ?? [] }

    public init?(_ bytes: [UInt8], settings: LearnerSettings) {
        guard let saved = try? StateCoding.value(Saved.self, from: bytes) else { return nil }
        self.init(saved, settings: settings)
    }

    /// Restores counts and trades under the given settings, which may have changed since; nil: not usable.
    init?(_ saved: Saved, settings: LearnerSettings) {
        guard saved.version == Self.version, saved.trades >= 0 else { return nil }
        self.settings = settings
        trades = saved.trades
        for (name, regimes) in saved.signals {
            var counts = SignalCounts()
            for (key, count) in regimes {
                guard let regime = UInt32(key), count.wins.isFinite, count.losses.isFinite, count.wins >= 0, count.losses >= 0 else { return nil }
                counts.restore(count, regime: regime)
            }
            self.counts[name] = counts
        }
    }
}
