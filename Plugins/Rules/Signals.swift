/// The five signals, in the order their weights are written.
enum SignalName: String, CaseIterable {
    case trend
    case meanReversion = "mean_reversion"
    case momentum
    case volatility
    case volume
}

/// Lengths in bars.
struct Lengths {
    var fast = 12
    var slow = 26
    var reversion = 20
    var momentum = 10
    var channel = 20
    var volume = 20
    var atr = 14

    /// Bars needed before any signal is believed.
    var needed: Int { max(slow, reversion + 1, momentum + 1, channel + 1, volume + 1, atr + 1) }
}

/// Each signal from -1 (down) to 1 (up), and the range they are measured in.
struct Signals {
    var values: [SignalName: Double]
    var atr: Double

    /// nil if the bars are too few or too flat to say anything.
    init?(_ bars: Bars, _ lengths: Lengths) {
        guard bars.count >= lengths.needed, let atr = averageTrueRange(bars, lengths.atr) else { return nil }
        self.atr = atr
        let close = bars.close
        let last = bars.last
        let count = bars.count

        // Trend: distance of the two averages, in ranges.
        let trend = softened((exponentialMean(close, lengths.fast) - exponentialMean(close, lengths.slow)) / atr)

        // Mean reversion: beyond one deviation from the mean, the way back; full at three.
        let z = zScore(close, lengths.reversion) ?? 0
        let reversion = abs(z) <= 1 ? 0 : -clamped((abs(z) - 1) / 2) * (z < 0 ? -1 : 1)

        // Momentum: the move of n bars against what n bars of this range move by chance.
        let moved = last - close[count - 1 - lengths.momentum]
        let momentum = softened(moved / (atr * Double(lengths.momentum).squareRoot()))

        // Volatility: a break out of the channel of the bars before, in ranges.
        let before = (count - 1 - lengths.channel)..<(count - 1)
        let top = bars.high[before].max() ?? last
        let bottom = bars.low[before].min() ?? last
        let volatility = last > top ? clamped((last - top) / atr) : last < bottom ? -clamped((bottom - last) / atr) : 0

        // Volume: unusual volume, in the direction the bar closed. Roots, because volume is skewed.
        let unusual = clamped((zScore(bars.volume.map { $0.squareRoot() }, lengths.volume) ?? 0) / 3)
        let body = last - (bars.open.last ?? last)
        let volume = unusual * (body > 0 ? 1 : body < 0 ? -1 : 0)

        values = [.trend: trend, .meanReversion: reversion, .momentum: momentum, .volatility: volatility, .volume: volume]
        guard values.values.allSatisfy(\.isFinite), atr.isFinite else { return nil }
    }

    /// Weighted mean of the signals, -1 to 1; 0 if no weight is left.
    func score(_ weights: [SignalName: Double]) -> Double {
        var sum = 0.0
        var total = 0.0
        for name in SignalName.allCases {
            let weight = max(weights[name] ?? 0, 0)
            sum += weight * (values[name] ?? 0)
            total += weight
        }
        return total > 0 ? clamped(sum / total, -1, 1) : 0
    }
}
