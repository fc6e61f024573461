import Glibc

/// Exponentially weighted mean and variance: z of a value against what came before it, the value itself left out.
public struct Ewma: Sendable, Equatable, Codable {
    public var mean = 0.0
    public var variance = 0.0
    public var count: UInt64 = 0
    public init() {}

    /// Inputs further out than this many deviations are pulled in before they are learned from.
    @usableFromInline static let winsor = 6.0

    /// Nil until `warmup` values were seen, and while the spread is too small to divide by.
    @inlinable public func z(_ value: Double, warmup: UInt64) -> Double? {
        guard count >= warmup, variance > 1e-24 else { return nil }
        return (value - mean) / variance.squareRoot()
    }

    /// Whether |z| of the value reaches the limit, without a root or a division. `limitSquared` is the limit's square.
    @inlinable public func exceeds(_ value: Double, limitSquared: Double, warmup: UInt64) -> Bool {
        guard count >= warmup, variance > 1e-24 else { return false }
        let d = value - mean
        return d * d >= limitSquared * variance
    }

    @inlinable public mutating func add(_ value: Double, alpha: Double) {
        if count == 0 {
            mean = value
            count = 1
            return
        }
        let d = value - mean
        let increment = alpha * d
        mean += increment
        variance = (1 - alpha) * (variance + d * increment)
        count &+= 1
    }

    /// As `add`, with far outliers pulled in once there is a spread to measure them by.
    @inlinable public mutating func addWinsorised(_ value: Double, alpha: Double, warmup: UInt64) {
        guard count >= warmup, variance > 1e-24 else { return add(value, alpha: alpha) }
        let d = value - mean
        if d * d > Self.winsor * Self.winsor * variance {
            add(mean + (d < 0 ? -Self.winsor : Self.winsor) * variance.squareRoot(), alpha: alpha)
        } else {
            add(value, alpha: alpha)
        }
    }
}

/// What layer 3 of the gate remembers.
public struct GateStatistics: Sendable, Equatable, Codable {
    public var price = Ewma()
    public var volume = Ewma()
    public var lastLog = Double.nan
    /// z of the last observation, nan while unknown: shown in the snapshot.
    public var priceZ = Double.nan
    public var volumeZ = Double.nan
    public var lastPass: Int64 = 0
    public init() {}

    public static func == (a: GateStatistics, b: GateStatistics) -> Bool {
        func same(_ x: Double, _ y: Double) -> Bool { x.bitPattern == y.bitPattern }
        return a.price == b.price && a.volume == b.volume && same(a.lastLog, b.lastLog) && same(a.priceZ, b.priceZ)
            && same(a.volumeZ, b.volumeZ) && a.lastPass == b.lastPass
    }
}
