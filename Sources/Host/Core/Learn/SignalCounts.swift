/// Discounted wins and losses of one signal, in all regimes together and in each. Raj and Kalyani 2017.
///
/// The clock of the discount is the resolved trade: with every trade that any signal took part in, all counts fade by the
/// same factor. Discounting by bars would forget everything between rare trades.
public struct SignalCounts: Sendable, Equatable, Codable {
    public struct Count: Sendable, Equatable, Codable {
        public var wins = 0.0
        public var losses = 0.0
        public var total: Double { wins + losses }

        mutating func fade(_ factor: Double) {
            wins *= factor
            losses *= factor
        }

        mutating func add(_ reward: Double, weight: Double) {
            wins += weight * reward
            losses += weight * (1 - reward)
        }
    }

    public fileprivate(set) var regimes: [UInt32: Count] = [:]

    public init() {}

    public mutating func fade(_ factor: Double) {
        for key in regimes.keys { regimes[key]?.fade(factor) }
    }

    public mutating func add(_ reward: Double, weight: Double, regime: UInt32) {
        regimes[regime, default: Count()].add(reward, weight: weight)
    }

    public var total: Double { regimes.keys.sorted().reduce(0) { $0 + (regimes[$1]?.total ?? 0) } }

    public var all: Count {
        var sum = Count()
        for (_, count) in regimes.sorted(by: { $0.key < $1.key }) {
            sum.wins += count.wins
            sum.losses += count.losses
        }
        return sum
    }

    /// Everything outside a regime: leave-one-out, so that no trade counts twice.
    func outside(_ regime: UInt32) -> Count {
        var sum = Count()
        for (key, count) in regimes.sorted(by: { $0.key < $1.key }) where key != regime {
            sum.wins += count.wins
            sum.losses += count.losses
        }
        return sum
    }

    /// Partial pooling: few observations in a regime lean on the rest, many ignore it. `strength` is how many observations the rest is worth.
    public func posterior(regime: UInt32, prior: Beta, strength: Double) -> Beta {
        let rest = outside(regime)
        let own = regimes[regime] ?? Count()
        return Self.pooled(rest: rest, own: own, prior: prior, strength: strength)
    }

    static func pooled(rest: Count, own: Count, prior: Beta, strength: Double) -> Beta {
        let mean = (prior.a + rest.wins) / (prior.a + prior.b + rest.total)
        return Beta(a: strength * mean + own.wins, b: strength * (1 - mean) + own.losses)
    }
}

extension SignalCounts {
    mutating func restore(_ count: Count, regime: UInt32) { regimes[regime] = count }
}
