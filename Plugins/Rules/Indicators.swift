// What the signals are made of. Only + - * / and square roots, which every machine rounds alike: the same bars give the
// same numbers everywhere.

/// Bars as doubles: statistics, never orders.
struct Bars {
    var open: [Double] = []
    var high: [Double] = []
    var low: [Double] = []
    var close: [Double] = []
    var volume: [Double] = []

    var count: Int { close.count }
    /// The last close; there is one wherever signals are asked for.
    var last: Double { close.last ?? 0 }
}

/// ema = a * x + (1 - a) * ema with a = 2 / (n + 1), from the first value on.
func exponentialMean(_ values: [Double], _ n: Int) -> Double {
    let a = 2 / (Double(n) + 1)
    var mean = values.first ?? 0
    for value in values.dropFirst() { mean = a * value + (1 - a) * mean }
    return mean
}

/// Wilder's average true range: the mean of the first n true ranges from bar 1 on, then (atr * (n - 1) + tr) / n. nil with fewer bars.
func averageTrueRange(_ bars: Bars, _ n: Int) -> Double? {
    guard n > 0, bars.count > n else { return nil }
    func trueRange(_ i: Int) -> Double {
        max(bars.high[i] - bars.low[i], abs(bars.high[i] - bars.close[i - 1]), abs(bars.low[i] - bars.close[i - 1]))
    }
    var atr = 0.0
    for i in 1...n { atr += trueRange(i) }
    atr /= Double(n)
    for i in (n + 1)..<max(bars.count, n + 1) { atr = (atr * Double(n - 1) + trueRange(i)) / Double(n) }
    return atr > 0 ? atr : nil
}

/// The last value against mean and sample deviation of the n values before it. nil with fewer values or without spread.
func zScore(_ values: [Double], _ n: Int) -> Double? {
    guard n >= 2, values.count > n, let last = values.last else { return nil }
    let window = values[(values.count - 1 - n)..<(values.count - 1)]
    var mean = 0.0
    var squares = 0.0
    var count = 0.0
    for value in window {
        count += 1
        let d = value - mean
        mean += d / count
        squares += d * (value - mean)
    }
    let deviation = (squares / (count - 1)).squareRoot()
    guard deviation > abs(mean) * 1e-12, deviation > 0 else { return nil }
    return (last - mean) / deviation
}

/// Any number brought into -1...1, steep around 0.
func softened(_ x: Double) -> Double { x / (1 + abs(x)) }

func clamped(_ x: Double, _ low: Double = 0, _ high: Double = 1) -> Double { min(max(x, low), high) }
