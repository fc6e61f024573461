import Foundation
import PluginKit
import Testing

@testable import HostCore

/// Figures of hmmlearn 0.3.3 (covars_prior 0, parameters set by hand) on 30 returns in percent.
@Suite struct RegimeTests {
    static let returns: [Double] = [
        0.3, -0.2, 0.1, 0.4, -0.1, 0.2, -0.3, 0.1, 0.0, 0.2, 2.1, -2.8, 1.9, -3.2, 2.5, -1.7, 3.1, -2.2, -2.9, 1.4, 0.1, -0.2, 0.3, 0.2, -0.1,
        0.0, 0.2, -0.3, 0.1, 0.2,
    ]
    static let start = GaussianHMM(start: [0.5, 0.5], transition: [[0.9, 0.1], [0.1, 0.9]], mean: [0, 0], variance: [0.1, 4.0])

    private func near(_ a: Double, _ b: Double, _ tolerance: Double = 1e-9) -> Bool { abs(a - b) <= tolerance * max(1, abs(b)) }

    @Test("likelihood, filter, smoother and best path as hmmlearn computes them")
    func inference() {
        #expect(near(Self.start.logLikelihood(Self.returns), -30.92424444032963))
        let (path, score) = Self.start.viterbi(Self.returns)
        #expect(path == [Int](repeating: 0, count: 10) + [Int](repeating: 1, count: 10) + [Int](repeating: 0, count: 10))
        #expect(near(score, -31.424328161108516))
        let filtered = Self.start.filtered(Self.returns)
        for (t, expected) in [(0, 0.1969147898), (9, 0.0247546204), (10, 0.9999999786), (11, 1.0), (19, 0.9999502169), (20, 0.5989500955), (21, 0.2091406165), (29, 0.0252218297)] {
            #expect(near(filtered[t], expected, 1e-9), "t \(t)")
        }
        let smoothed = Self.start.smooth(Self.returns)
        for (t, expected) in [(0, 0.0324955983), (9, 0.1859638644), (10, 0.9999999976), (19, 0.9996278772), (20, 0.1712420126), (29, 0.0252218297)] {
            #expect(near(smoothed[t], expected, 1e-9), "t \(t)")
        }
        // One step at a time gives what the whole window gives.
        var p = filtered[0]
        for t in 1..<Self.returns.count {
            p = Self.start.step(p, Self.returns[t])
            #expect(near(p, filtered[t], 1e-9), "t \(t)")
        }
    }

    @Test("one, two and fifty rounds of learning as hmmlearn computes them")
    func learning() {
        let one = Self.start.improved(Self.returns, varianceFloor: 0)
        #expect(near(one.transition[0][0], 0.9419837307637704))
        #expect(near(one.transition[1][1], 0.8976799747672277))
        #expect(near(one.mean[0], 0.05833439437573339) && near(one.mean[1], -0.164122637221259))
        #expect(near(one.variance[0], 0.039915898349376984) && near(one.variance[1], 5.660129610075701))
        #expect(near(one.logLikelihood(Self.returns), -26.15277877116774))
        let two = one.improved(Self.returns, varianceFloor: 0)
        #expect(near(two.variance[0], 0.03963463679055441) && near(two.variance[1], 5.8298567819669485))
        #expect(near(two.logLikelihood(Self.returns), -26.115990428283787))
        var model = Self.start
        var before = model.logLikelihood(Self.returns)
        for _ in 0..<50 {
            model = model.improved(Self.returns, varianceFloor: 0)
            let after = model.logLikelihood(Self.returns)
            #expect(after >= before - 1e-9)
            before = after
        }
        #expect(near(model.transition[0][0], 0.9453725967507, 1e-8) && near(model.transition[1][1], 0.9005050057527, 1e-8))
        #expect(near(model.mean[0], 0.05936467723, 1e-8) && near(model.mean[1], -0.17310052169, 1e-8))
        #expect(near(model.variance[0], 0.03963268764, 1e-8) && near(model.variance[1], 5.83476104937, 1e-8))
        #expect(near(before, -26.115246165486, 1e-9))
    }

    /// A year of days: calm and volatile spells from a known model.
    private func world(seed: UInt64, days: Int) -> (returns: [Double], volatile: [Bool]) {
        var random = SeededGenerator(seed: seed)
        var wild = false
        var returns: [Double] = []
        var truth: [Bool] = []
        for _ in 0..<days {
            if random.uniform() < 0.03 { wild.toggle() }
            let normal = (-2 * log(1 - random.uniform())).squareRoot() * cos(2 * .pi * random.uniform())
            returns.append(normal * (wild ? 4.0 : 1.0))
            truth.append(wild)
        }
        return (returns, truth)
    }

    @Test("a fit finds planted regimes, the same each time, calm labelled first", arguments: [3, 8, 21, 34] as [UInt64])
    func planted(seed: UInt64) throws {
        let (returns, truth) = world(seed: seed, days: 730)
        let model = try RegimeFit().fit(returns)
        #expect(try RegimeFit().fit(returns) == model)
        #expect(model.variance[0] < model.variance[1])
        let right = zip(model.filtered(returns), truth).filter { ($0 > 0.5) == $1 }.count
        #expect(Double(right) / Double(truth.count) > 0.85, "seed \(seed)")
    }

    @Test("what can't be told apart is refused with a reason")
    func refusals() {
        #expect(throws: RegimeRefusal.tooFew(10, needed: 60)) { try RegimeFit().fit([Double](repeating: 1, count: 10)) }
        #expect(throws: RegimeRefusal.flat) { try RegimeFit().fit([Double](repeating: 1, count: 100)) }
        #expect(throws: RegimeRefusal.notFinite) { try RegimeFit().fit([Double](repeating: .nan, count: 100)) }
        // Two values that change each day have no regime that lasts.
        #expect(throws: RegimeRefusal.self) { try RegimeFit().fit((0..<200).map { $0 % 2 == 0 ? 1.0 : -1.0 }) }
    }

    @Test("the live filter never looks ahead, and doesn't flicker", arguments: [5, 6, 7] as [UInt64])
    func tracker(seed: UInt64) throws {
        let (returns, _) = world(seed: seed, days: 800)
        let model = try RegimeFit().fit(Array(returns[..<400]))
        func labels(upTo end: Int) -> [RegimeTracker.Label] {
            var tracker = RegimeTracker()
            tracker.adopt(model, window: Array(returns[..<400]))
            return returns[400..<end].map {
                tracker.observe($0)
                return tracker.label
            }
        }
        let whole = labels(upTo: 800)
        #expect(labels(upTo: 600) == Array(whole[..<200]), "seed \(seed)")
        var run = 0
        var changes = 0
        for (a, b) in zip(whole, whole.dropFirst()) {
            run += 1
            if a != b {
                changes += 1
                if changes > 1 { #expect(run >= 3, "seed \(seed)") }
                run = 0
            }
        }
        #expect(changes > 0, "seed \(seed)")
        var restored = RegimeTracker()
        restored.adopt(model, window: Array(returns[..<400]))
        let bytes = try JSONEncoder().encode(restored)
        #expect(try JSONDecoder().decode(RegimeTracker.self, from: bytes) == restored)
    }
}
