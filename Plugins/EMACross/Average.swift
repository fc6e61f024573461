/// What the cross knows of one instrument: two exponential averages of the closes, in plain double arithmetic.
struct Averages: BitwiseCopyable {
    var fast = 0.0
    var slow = 0.0
    /// fast - slow after the bar before the last.
    var before = 0.0
    /// fast - slow after the last bar.
    var difference = 0.0
    /// Bars seen.
    var bars: Int64 = 0
    var lastOpen: Int64 = .min
    /// The side the last bar calls for: 1 buy, -1 sell, 0 none; taken back once answered or at the next bar.
    var signal: Int64 = 0

    /// The next close. Products are rounded before they are added: Swift never fuses them unless asked.
    @inline(__always)
    mutating func add(_ close: Double, _ weights: Weights, warmup: Int64) {
        if bars == 0 {
            fast = close
            slow = close
        } else {
            fast = weights.fast * close + weights.fastRest * fast
            slow = weights.slow * close + weights.slowRest * slow
        }
        before = difference
        difference = fast - slow
        signal = 0
        if bars >= warmup, bars > 0 {
            if before <= 0, difference > 0 {
                signal = 1
            } else if before >= 0, difference < 0 {
                signal = -1
            }
        }
        bars += 1
    }
}

/// a = 2 / (n + 1), and 1 - a.
struct Weights: BitwiseCopyable {
    let fast, fastRest, slow, slowRest: Double

    init(fast: Int64, slow: Int64) {
        self.fast = 2 / (Double(fast) + 1)
        fastRest = 1 - self.fast
        self.slow = 2 / (Double(slow) + 1)
        slowRest = 1 - self.slow
    }
}
