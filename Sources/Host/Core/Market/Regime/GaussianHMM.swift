import Foundation

/// A hidden Markov model with two states and one Gaussian each. Everything in logarithms; nothing looks ahead but `smooth`.
///
/// Reference: Rabiner 1989. State 0 is the calm one, state 1 the volatile one: `labelled()` sorts by variance, because
/// labels swap freely between fits and means of daily returns are within noise.
public struct GaussianHMM: Sendable, Equatable, Codable {
    public var start: [Double]  // 2
    public var transition: [[Double]]  // 2 x 2, rows sum to one
    public var mean: [Double]
    public var variance: [Double]

    public init(start: [Double], transition: [[Double]], mean: [Double], variance: [Double]) {
        self.start = start
        self.transition = transition
        self.mean = mean
        self.variance = variance
    }

    /// Finite, positive where it must be, rows that sum to one.
    public var isValid: Bool {
        guard start.count == 2, transition.count == 2, mean.count == 2, variance.count == 2 else { return false }
        let rows = transition + [start]
        return rows.allSatisfy { $0.count == 2 && $0.allSatisfy { $0.isFinite && $0 >= 0 } && abs($0[0] + $0[1] - 1) < 1e-6 }
            && mean.allSatisfy(\.isFinite) && variance.allSatisfy { $0.isFinite && $0 > 0 }
    }

    func logEmission(_ state: Int, _ x: Double) -> Double {
        let d = x - mean[state]
        return -0.5 * (log(2 * .pi * variance[state]) + d * d / variance[state])
    }

    private var logTransition: [[Double]] { transition.map { $0.map(log) } }

    /// ln alpha, one row an observation.
    func forward(_ x: [Double]) -> [[Double]] {
        let a = logTransition
        var rows: [[Double]] = []
        rows.reserveCapacity(x.count)
        for (t, value) in x.enumerated() {
            var row = [0.0, 0.0]
            for j in 0..<2 {
                let before = t == 0 ? log(start[j]) : logSum(rows[t - 1][0] + a[0][j], rows[t - 1][1] + a[1][j])
                row[j] = logEmission(j, value) + before
            }
            rows.append(row)
        }
        return rows
    }

    func backward(_ x: [Double]) -> [[Double]] {
        let a = logTransition
        var rows = [[Double]](repeating: [0, 0], count: x.count)
        for t in stride(from: x.count - 2, through: 0, by: -1) {
            for i in 0..<2 {
                rows[t][i] = logSum(
                    a[i][0] + logEmission(0, x[t + 1]) + rows[t + 1][0], a[i][1] + logEmission(1, x[t + 1]) + rows[t + 1][1])
            }
        }
        return rows
    }

    public func logLikelihood(_ x: [Double]) -> Double {
        guard let last = forward(x).last else { return 0 }
        return logSum(last[0], last[1])
    }

    /// Probability of the volatile state after each observation, from what was known then: the only one usable live.
    public func filtered(_ x: [Double]) -> [Double] { forward(x).map { exp($0[1] - logSum($0[0], $0[1])) } }

    /// Probability of the volatile state given all observations, later ones included: for study, never for trading.
    public func smooth(_ x: [Double]) -> [Double] {
        let alpha = forward(x)
        let beta = backward(x)
        guard let last = alpha.last else { return [] }
        let total = logSum(last[0], last[1])
        return zip(alpha, beta).map { exp($0[1] + $1[1] - total) }
    }

    /// One more observation, given the probability of the volatile state before it.
    public func step(_ probability: Double, _ x: Double) -> Double {
        let before = [1 - probability, probability]
        let prior = (0..<2).map { j in before[0] * transition[0][j] + before[1] * transition[1][j] }
        let joint = (0..<2).map { log(prior[$0]) + logEmission($0, x) }
        return exp(joint[1] - logSum(joint[0], joint[1]))
    }

    /// The most probable path and its log probability.
    public func viterbi(_ x: [Double]) -> (path: [Int], logProbability: Double) {
        guard let first = x.first else { return ([], 0) }
        let a = logTransition
        var best = (0..<2).map { log(start[$0]) + logEmission($0, first) }
        var from: [[Int]] = []
        for value in x.dropFirst() {
            var next = [0.0, 0.0]
            var sources = [0, 0]
            for j in 0..<2 {
                let source = best[0] + a[0][j] >= best[1] + a[1][j] ? 0 : 1
                sources[j] = source
                next[j] = logEmission(j, value) + best[source] + a[source][j]
            }
            best = next
            from.append(sources)
        }
        var state = best[0] >= best[1] ? 0 : 1
        let score = best[state]
        var path = [state]
        for sources in from.reversed() {
            state = sources[state]
            path.append(state)
        }
        return (path.reversed(), score)
    }

    /// One round of Baum-Welch.
    public func improved(_ x: [Double], varianceFloor: Double) -> GaussianHMM {
        guard x.count > 1 else { return self }
        let a = logTransition
        let alpha = forward(x)
        let beta = backward(x)
        let total = logSum(alpha[x.count - 1][0], alpha[x.count - 1][1])
        var next = self
        var weight = [0.0, 0.0]
        var sum = [0.0, 0.0]
        var moves = [[0.0, 0.0], [0.0, 0.0]]
        var gamma: [[Double]] = []
        gamma.reserveCapacity(x.count)
        for t in 0..<x.count {
            let row = (0..<2).map { exp(alpha[t][$0] + beta[t][$0] - total) }
            gamma.append(row)
            for i in 0..<2 {
                weight[i] += row[i]
                sum[i] += row[i] * x[t]
                if t + 1 < x.count {
                    for j in 0..<2 { moves[i][j] += exp(alpha[t][i] + a[i][j] + logEmission(j, x[t + 1]) + beta[t + 1][j] - total) }
                }
            }
        }
        next.start = gamma[0]
        for i in 0..<2 {
            let out = moves[i][0] + moves[i][1]
            if out > 0 { next.transition[i] = moves[i].map { $0 / out } }
            guard weight[i] > 0 else { continue }
            next.mean[i] = sum[i] / weight[i]
            var spread = 0.0
            for t in 0..<x.count {
                let d = x[t] - next.mean[i]
                spread += gamma[t][i] * d * d
            }
            next.variance[i] = max(spread / weight[i], varianceFloor)
        }
        return next
    }

    /// Calm first.
    public func labelled() -> GaussianHMM {
        if variance[0] <= variance[1] { return self }
        return GaussianHMM(
            start: start.reversed(), transition: [transition[1].reversed(), transition[0].reversed()], mean: mean.reversed(),
            variance: variance.reversed())
    }

    /// Bars a state lasts on average.
    public func expectedStay(_ state: Int) -> Double { 1 / max(1 - transition[state][state], 1e-12) }
}

/// ln(e^a + e^b) without overflow; minus infinity stays what it is.
func logSum(_ a: Double, _ b: Double) -> Double {
    let top = max(a, b)
    if top == -.infinity { return top }
    return top + log(exp(a - top) + exp(b - top))
}
