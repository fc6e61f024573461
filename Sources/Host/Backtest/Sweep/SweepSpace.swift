import PluginKit

/// One `--vary PATH=VALUES`: a manifest's value and what it may be.
///
/// `5..50:5` counts in steps, both ends included; `5,8,13` lists; `0.1..2` (without a step) and `log 0.001..1` are for random
/// search. Values are exact decimals: a step of 0.1 never drifts.
public struct SweepAxis: Equatable, Sendable {
    public enum Values: Equatable, Sendable {
        case list([String])
        case range(Double, Double)
        case logarithmic(Double, Double)
    }

    public var path: String
    public var values: Values

    public init(_ text: String) throws(BacktestError) {
        guard let at = text.firstIndex(of: "="), at != text.startIndex else { throw .change(text, what: "write it as path=values, for example plugins.emacross.config.fast=5..50:5") }
        path = String(text[..<at])
        var rest = String(text[text.index(after: at)...])
        let isLog = rest.hasPrefix("log ")
        if isLog { rest = String(rest.dropFirst(4)) }
        if let dots = rest.range(of: "..") {
            let low = String(rest[..<dots.lowerBound])
            let tail = rest[dots.upperBound...].split(separator: ":", maxSplits: 1).map(String.init)
            guard let from = Fixed(low), let to = tail.first.flatMap({ Fixed($0) }), from < to else { throw .change(path, what: "\"\(rest)\" is not a range from a smaller to a larger number") }
            if tail.count == 2 {
                guard !isLog, let step = Fixed(tail[1]), step.isPositive else { throw .change(path, what: "\"\(tail[1])\" is not a step above zero") }
                let count = (Int128(to.raw) - Int128(from.raw)) / Int128(step.raw) + 1
                guard count <= 1_000_000 else { throw .change(path, what: "\(count) values are too many") }
                values = .list((0..<Int64(count)).map { Fixed(raw: from.raw + $0 * step.raw).description })
            } else if isLog {
                guard from.isPositive else { throw .change(path, what: "a logarithmic range starts above zero") }
                values = .logarithmic(from.double, to.double)
            } else {
                values = .range(from.double, to.double)
            }
            return
        }
        let list = rest.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        if list.contains("") { throw .change(path, what: "an empty value in \"\(rest)\"") }
        if Set(list).count != list.count { throw .change(path, what: "a value stands there twice in \"\(rest)\"") }
        values = .list(list)
    }

    var count: Int? { if case .list(let list) = values { list.count } else { nil } }

    func draw(_ chance: inout SeededGenerator) -> String {
        switch values {
        case .list(let list): list[Int(chance.below(UInt64(list.count)))]
        case .range(let low, let high): Self.rounded(low + (high - low) * chance.uniform())
        case .logarithmic(let low, let high): Self.rounded(low * Self.power(high / low, chance.uniform()))
        }
    }

    /// Four digits that mean something: nobody can tell more from a backtest.
    private static func rounded(_ value: Double) -> String {
        guard value != 0, value.isFinite else { return "0" }
        var scale = 1.0
        var size = abs(value)
        while size < 1000, scale < 1e8 {
            size *= 10
            scale *= 10
        }
        return (try? Fixed(nearest: (value * scale).rounded() / scale).description) ?? "0"
    }

    /// base^exponent for 0...1 by halving: the same on every machine, where a library's last bit may differ.
    private static func power(_ base: Double, _ exponent: Double) -> Double {
        var result = 1.0
        var root = base
        var left = exponent
        for _ in 0..<50 {
            root = root.squareRoot()
            left *= 2
            if left >= 1 {
                result *= root
                left -= 1
            }
        }
        return result
    }
}

/// The variants of a sweep in a fixed order.
public enum SweepSpace {
    /// Every combination, the last axis turning fastest.
    public static func grid(_ axes: [SweepAxis]) throws(BacktestError) -> [[ManifestChange]] {
        var total = 1
        for axis in axes {
            guard let count = axis.count else { throw .change(axis.path, what: "a grid needs values or a step; --random N draws from a range") }
            total *= count
            if total > 1_000_000 { throw .change(axis.path, what: "the grid has more than a million variants; use --random N") }
        }
        var all: [[ManifestChange]] = [[]]
        for axis in axes {
            guard case .list(let list) = axis.values else { continue }
            all = all.flatMap { before in list.map { before + [ManifestChange(path: axis.path, value: $0)] } }
        }
        return all
    }

    /// `count` draws, none twice; fewer if the space has fewer.
    public static func random(_ axes: [SweepAxis], count: Int, seed: UInt64) -> [[ManifestChange]] {
        var chance = SeededGenerator.stream(seed: seed, "sweep")
        var seen: Set<String> = []
        var all: [[ManifestChange]] = []
        var misses = 0
        while all.count < count, misses < 1000 {
            let variant = axes.map { ManifestChange(path: $0.path, value: $0.draw(&chance)) }
            if seen.insert(key(variant)).inserted {
                all.append(variant)
                misses = 0
            } else {
                misses += 1
            }
        }
        return all
    }

    public static func key(_ variant: [ManifestChange]) -> String { variant.map { "\($0.path)=\($0.value)" }.joined(separator: " ") }
}
