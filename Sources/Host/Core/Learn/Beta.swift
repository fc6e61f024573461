import Foundation
import PluginKit

/// A Beta distribution: what is known of a signal's chance to be right.
public struct Beta: Sendable, Equatable, Codable {
    public var a: Double
    public var b: Double

    public init(a: Double, b: Double) {
        self.a = a
        self.b = b
    }

    public var mean: Double { a / (a + b) }
    public var variance: Double { a * b / ((a + b) * (a + b) * (a + b + 1)) }

    /// One draw: X / (X + Y) of two Gamma draws. Falls back to the mean where both vanish (tiny shapes).
    public func draw(_ random: inout SeededGenerator) -> Double {
        let x = Self.gamma(a, &random)
        let y = Self.gamma(b, &random)
        let sum = x + y
        return sum > 0 && sum.isFinite ? x / sum : mean
    }

    /// Marsaglia and Tsang 2000.
    static func gamma(_ shape: Double, _ random: inout SeededGenerator) -> Double {
        if shape < 1 { return gamma(shape + 1, &random) * pow(positive(&random), 1 / shape) }
        let d = shape - 1.0 / 3
        let c = 1 / (9 * d).squareRoot()
        while true {
            let x = normal(&random)
            let v = 1 + c * x
            if v <= 0 { continue }
            let cube = v * v * v
            if log(positive(&random)) < 0.5 * x * x + d - d * cube + d * log(cube) { return d * cube }
        }
    }

    /// In 0 < u <= 1, so that its logarithm exists.
    private static func positive(_ random: inout SeededGenerator) -> Double { 1 - random.uniform() }

    private static func normal(_ random: inout SeededGenerator) -> Double {
        (-2 * log(positive(&random))).squareRoot() * cos(2 * .pi * random.uniform())
    }
}
