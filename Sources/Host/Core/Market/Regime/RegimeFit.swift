import Foundation
import PluginKit

/// Why a fit is not taken: the model before it stays in force.
public enum RegimeRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    case tooFew(Int, needed: Int)
    case notFinite
    case flat
    case thinState(share: Double)
    case shortStay(bars: Double)
    case alike(ratio: Double)

    public var description: String {
        switch self {
        case .tooFew(let count, let needed): "\(count) daily returns, \(needed) are needed"
        case .notFinite: "a return is not a finite number"
        case .flat: "the returns do not move"
        case .thinState(let share): "one state holds only \(percent(share)) of the days"
        case .shortStay(let bars): "one state lasts only \(oneDecimal(bars)) days on average"
        case .alike(let ratio): "the two states' variances differ only by a factor of \(oneDecimal(ratio))"
        }
    }
}

private func percent(_ value: Double) -> String { "\(oneDecimal(value * 100)) %" }
private func oneDecimal(_ value: Double) -> String { String(format: "%.1f", value) }

/// Fits the two-state model to a window of returns in percent. Pure: the same window and seed give the same model.
public struct RegimeFit: Sendable {
    public var rounds = 200
    /// Least gain of log likelihood an observation for another round.
    public var tolerance = 1e-6
    public var restarts = 4
    public var minimumCount = 60
    public var seed: UInt64 = 1

    static let transitionFloor = 1e-6

    public init() {}

    public func fit(_ returns: [Double]) throws(RegimeRefusal) -> GaussianHMM {
        guard returns.count >= minimumCount else { throw .tooFew(returns.count, needed: minimumCount) }
        guard returns.allSatisfy(\.isFinite) else { throw .notFinite }
        let count = Double(returns.count)
        let mean = returns.reduce(0, +) / count
        let variance = returns.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
        guard variance > 1e-12 else { throw .flat }
        let floor = variance * 1e-4
        var generator = SeededGenerator(seed: seed)
        var best: (model: GaussianHMM, likelihood: Double)?
        for attempt in 0...restarts {
            var model = begin(returns, mean: mean, variance: variance)
            if attempt > 0 {
                for state in 0..<2 {
                    model.variance[state] *= exp(generator.uniform() * 2 - 1)
                    model.mean[state] += (generator.uniform() - 0.5) * variance.squareRoot()
                }
            }
            let climbed = climb(model, returns, floor: floor)
            if best.map({ climbed.likelihood > $0.likelihood }) ?? true { best = climbed }
        }
        guard let model = best?.model.labelled(), model.isValid else { throw .notFinite }
        try check(model, returns)
        return model
    }

    /// Split by size of move: equal starts for both states would be a saddle.
    private func begin(_ returns: [Double], mean: Double, variance: Double) -> GaussianHMM {
        let sizes = returns.map { abs($0 - mean) }.sorted()
        let cut = sizes[sizes.count * 7 / 10]
        var sums = [0.0, 0.0]
        var counts = [0.0, 0.0]
        for value in returns {
            let state = abs(value - mean) > cut ? 1 : 0
            sums[state] += (value - mean) * (value - mean)
            counts[state] += 1
        }
        let calm = counts[0] > 0 ? max(sums[0] / counts[0], variance * 0.01) : variance * 0.5
        let wild = counts[1] > 0 ? max(sums[1] / counts[1], calm * 2) : variance * 2
        return GaussianHMM(start: [0.5, 0.5], transition: [[0.95, 0.05], [0.05, 0.95]], mean: [mean, mean], variance: [calm, wild])
    }

    func climb(_ model: GaussianHMM, _ returns: [Double], floor: Double) -> (model: GaussianHMM, likelihood: Double) {
        var current = model
        var likelihood = current.logLikelihood(returns)
        for _ in 0..<rounds {
            var next = current.improved(returns, varianceFloor: floor)
            // ln 0 must not enter: one impossible move would stay impossible for ever.
            for i in 0..<2 {
                let row = next.transition[i].map { max($0, Self.transitionFloor) }
                next.transition[i] = row.map { $0 / (row[0] + row[1]) }
            }
            let gained = next.logLikelihood(returns)
            guard gained.isFinite else { break }
            let gain = gained - likelihood
            if gain > 0 {
                current = next
                likelihood = gained
            }
            if gain < tolerance * Double(returns.count) { break }
        }
        return (current, likelihood)
    }

    private func check(_ model: GaussianHMM, _ returns: [Double]) throws(RegimeRefusal) {
        let wild = model.smooth(returns).reduce(0, +) / Double(returns.count)
        let share = min(wild, 1 - wild)
        if share < 0.05 { throw .thinState(share: share) }
        let stay = min(model.expectedStay(0), model.expectedStay(1))
        if stay < 3 { throw .shortStay(bars: stay) }
        let ratio = model.variance[1] / model.variance[0]
        if ratio < 1.5 { throw .alike(ratio: ratio) }
    }
}

/// Follows the regime forward through time: the filter of the model in force, with hysteresis and a minimum stay.
public struct RegimeTracker: Sendable, Equatable, Codable {
    public enum Label: Int, Sendable, Codable { case unknown = 0, calm, volatile }

    public private(set) var label: Label = .unknown
    /// Of the volatile state; nil before the first model.
    public private(set) var probability: Double?
    public private(set) var model: GaussianHMM?
    public var enter = 0.7
    public var leave = 0.3
    public var minimumStay = 3
    private var stay = 0

    public init() {}

    /// A new model, fitted on returns that all lie before the next `observe`. The filter is run over the same window.
    public mutating func adopt(_ model: GaussianHMM, window: [Double]) {
        self.model = model
        probability = model.filtered(window).last
        settle(force: label == .unknown)
    }

    public mutating func observe(_ returnInPercent: Double) {
        guard let model, returnInPercent.isFinite else { return }
        probability = model.step(probability ?? model.start[1], returnInPercent)
        stay += 1
        settle(force: false)
    }

    private mutating func settle(force: Bool) {
        guard let probability, force || stay >= minimumStay else { return }
        let next: Label =
            switch label {
            case .unknown: probability > 0.5 ? .volatile : .calm
            case .calm: probability > enter ? .volatile : .calm
            case .volatile: probability < leave ? .calm : .volatile
            }
        if next != label {
            label = next
            stay = 0
        }
    }
}
