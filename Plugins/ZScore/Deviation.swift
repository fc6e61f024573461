/// What the z-score knows of one instrument: an exponential mean and variance of its prices, in plain double arithmetic.
struct Deviation: BitwiseCopyable {
    var mean = 0.0
    var variance = 0.0
    /// Prices seen.
    var count: Int64 = 0
    /// When the last order was decided; the smallest number if there was none.
    var lastOrder: Int64 = .min
    /// The side the last price calls for: 1 buy, -1 sell, 0 none.
    var signal: Int64 = 0
    var signalTime: Int64 = 0

    /// The next price. The signal is judged against the mean before this price is part of it.
    @inline(__always)
    mutating func add(_ price: Double, at time: Int64, _ rule: Rule) {
        signal = 0
        if count == 0 {
            mean = price
        } else {
            let d = price - mean
            if count >= rule.warmup, d * d > rule.threshold * variance, lastOrder == .min || time &- lastOrder >= rule.cooldown {
                signal = d > 0 ? -1 : 1
                signalTime = time
            }
            let step = rule.weight * d
            mean += step
            variance = rule.rest * (variance + step * d)
        }
        count += 1
    }
}

struct Rule: BitwiseCopyable {
    /// a, and 1 - a.
    let weight, rest: Double
    /// z squared.
    let threshold: Double
    let warmup: Int64
    let cooldown: Int64
}
