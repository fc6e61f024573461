import Glibc

/// Exponentially weighted mean and variance: z of a value against what came before it, the value itself left out.
public struct Ewma: Sendable, Equatable, Codable {
    public var mean = 0.0
    public var variance = 0.0
    public var count: UInt64 = 0
    public init() {}

    /// Inputs further out than this many deviations are pulled in before they are learned from.
    static let winsor = 6.0
    /// A variance below this is no spread at all: no z rather than an infinite one.
    static let floor = 1e-24

    /// Nil until `warmup` values were seen, and while the spread is too small to divide by.
    public func z(_ value: Double, warmup: UInt64) -> Double? {
        guard count >= warmup, variance > Self.floor else { return nil }
        return (value - mean) / variance.squareRoot()
    }

    @inline(__always) public mutating func add(_ value: Double, alpha: Double) {
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
    @inline(__always) public mutating func addWinsorised(_ value: Double, alpha: Double, warmup: UInt64) {
        guard count >= warmup, variance > Self.floor else { return add(value, alpha: alpha) }
        let d = value - mean
        if d * d > Self.winsor * Self.winsor * variance {
            add(mean + (d < 0 ? -Self.winsor : Self.winsor) * variance.squareRoot(), alpha: alpha)
        } else {
            add(value, alpha: alpha)
        }
    }
}

/// What layer 3 of the gate remembers: log returns and log volumes of the finest stream an instrument has.
public struct GateStatistics: Sendable, Equatable, Codable {
    /// Trades beat bars, bars beat quotes: statistics of different streams are never mixed.
    public enum Stream: UInt8, Sendable, Codable { case none, quote, bar, trade }
    public var stream = Stream.none
    public var price = Ewma()
    public var volume = Ewma()
    /// Logarithm and raw value of the last price; 0: none yet.
    public var lastLog = 0.0
    public var lastPrice: Int64 = 0
    // Distance of the last observation from the mean before it, and the variance then: z, without a root per tick.
    public var priceDistance = 0.0
    public var priceVariance = 0.0
    public var volumeDistance = 0.0
    public var volumeVariance = 0.0
    /// Nothing passes this layer again before.
    public var quietUntil: Int64 = 0
    public init() {}

    /// z of the last return, nil while unknown.
    public var priceZ: Double? { priceVariance > Ewma.floor ? priceDistance / priceVariance.squareRoot() : nil }
    public var volumeZ: Double? { volumeVariance > Ewma.floor ? volumeDistance / volumeVariance.squareRoot() : nil }

    /// Whether a stream's events count. A finer stream than before starts the statistics anew.
    @inline(__always)
    mutating func takes(_ new: Stream) -> Bool {
        if new == stream { return true }
        guard new.rawValue > stream.rawValue else { return false }
        self = GateStatistics()
        stream = new
        return true
    }

    @inline(__always)
    mutating func addPrice(_ raw: Int64, _ layer: ZLayer) {
        if raw == lastPrice {
            addReturn(0, layer)
            return
        }
        let logarithm = log(Double(raw))
        if lastPrice != 0 { addReturn(logarithm - lastLog, layer) }
        lastLog = logarithm
        lastPrice = raw
    }

    @inline(__always)
    private mutating func addReturn(_ value: Double, _ layer: ZLayer) {
        priceDistance = value - price.mean
        priceVariance = price.count >= layer.warmup ? price.variance : 0
        price.addWinsorised(value, alpha: layer.alpha, warmup: layer.warmup)
    }

    @inline(__always)
    mutating func addVolume(_ quantity: Double, _ layer: ZLayer) {
        guard quantity > 0 else { return }
        let value = log(quantity)
        volumeDistance = value - volume.mean
        volumeVariance = volume.count >= layer.warmup ? volume.variance : 0
        volume.addWinsorised(value, alpha: layer.alpha, warmup: layer.warmup)
    }

    @inline(__always)
    func priceExceeds(_ limitSquared: Double) -> Bool {
        priceVariance > Ewma.floor && priceDistance * priceDistance >= limitSquared * priceVariance
    }

    @inline(__always)
    func volumeExceeds(_ limitSquared: Double) -> Bool {
        volumeVariance > Ewma.floor && volumeDistance * volumeDistance >= limitSquared * volumeVariance
    }
}

/// Settings of layer 3, worked out once.
struct ZLayer {
    let alpha: Double
    let warmup: UInt64
    /// Infinite: off.
    let priceLimitSquared: Double
    let volumeLimitSquared: Double
    let cooldown: Int64

    init(_ settings: GateSettings) {
        alpha = 2 / (Double(max(settings.zWindow, 1)) + 1)
        warmup = UInt64(max(settings.zWarmup, 2))
        priceLimitSquared = settings.priceZ.map { $0 * $0 } ?? .infinity
        volumeLimitSquared = settings.volumeZ.map { $0 * $0 } ?? .infinity
        cooldown = max(settings.zCooldown, 0)
    }

    var isOn: Bool { priceLimitSquared.isFinite || volumeLimitSquared.isFinite }
}
