import Glibc

/// Figures of a run as pure functions. A figure that does not exist (no losses, no spread, too few numbers) is nil, never NaN or infinite.
public enum Metrics {
    // MARK: moments

    public static func mean(_ x: [Double]) -> Double? { x.isEmpty ? nil : sum(x) / Double(x.count) }

    /// With N - 1; nil for fewer than two, or when they are all the same.
    public static func deviation(_ x: [Double]) -> Double? {
        guard x.count > 1, let m = mean(x) else { return nil }
        let square = sum(x.map { ($0 - m) * ($0 - m) })
        let value = (square / Double(x.count - 1)).squareRoot()
        // Equal numbers leave rounding noise, not spread.
        return value > 1e-14 * max(1, abs(m)) ? finite(value) : nil
    }

    /// Skew and raw kurtosis (3 for a normal distribution) with population moments.
    public static func shape(_ x: [Double]) -> (skew: Double, kurtosis: Double)? {
        guard x.count > 1, deviation(x) != nil, let m = mean(x) else { return nil }
        let n = Double(x.count)
        let d = x.map { $0 - m }
        let m2 = sum(d.map { $0 * $0 }) / n
        let m3 = sum(d.map { $0 * $0 * $0 }) / n
        let m4 = sum(d.map { $0 * $0 * $0 * $0 }) / n
        guard let skew = finite(m3 / (m2 * m2.squareRoot())), let kurtosis = finite(m4 / (m2 * m2)) else { return nil }
        return (skew, kurtosis)
    }

    /// The same, corrected for the bias of small samples: what pandas gives. Needs four numbers.
    public static func adjustedShape(_ x: [Double]) -> (skew: Double, kurtosis: Double)? {
        guard x.count > 3, let plain = shape(x) else { return nil }
        let n = Double(x.count)
        let skew = plain.skew * (n * (n - 1)).squareRoot() / (n - 2)
        let excess = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (plain.kurtosis - 3) + 6)
        return (skew, excess + 3)
    }

    // MARK: returns

    /// Simple returns of an equity curve; nil if it touches zero, from where no return exists.
    public static func returns(_ equity: [Double]) -> [Double]? {
        guard equity.allSatisfy({ $0 > 0 && $0.isFinite }) else { return nil }
        return zip(equity, equity.dropFirst()).map { $1 / $0 - 1 }
    }

    private static func rate(_ annual: Double, _ periods: Double) -> Double { annual == 0 ? 0 : pow(1 + annual, 1 / periods) - 1 }

    /// Per period, not annualised: what PSR, DSR and MinTRL take.
    public static func sharpePerPeriod(_ returns: [Double], riskFree: Double = 0, periods: Double = 365) -> Double? {
        let free = rate(riskFree, periods)
        let x = free == 0 ? returns : returns.map { $0 - free }
        guard let m = mean(x), let s = deviation(x) else { return nil }
        return finite(m / s)
    }

    public static func sharpe(_ returns: [Double], periods: Double, riskFree: Double = 0) -> Double? {
        sharpePerPeriod(returns, riskFree: riskFree, periods: periods).map { $0 * periods.squareRoot() }
    }

    /// Downside deviation over all periods, not only the losing ones.
    public static func sortino(_ returns: [Double], periods: Double, target: Double = 0) -> Double? {
        guard let m = mean(returns) else { return nil }
        let down = (sum(returns.map { min($0 - target, 0) * min($0 - target, 0) }) / Double(returns.count)).squareRoot()
        return down > 0 ? finite(periods.squareRoot() * (m - target) / down) : nil
    }

    /// Worst fall from a peak, in -1 ... 0. The first number is the starting equity.
    public static func maxDrawdown(_ equity: [Double]) -> Double? {
        guard var peak = equity.first, peak > 0 else { return nil }
        var worst = 0.0
        for value in equity {
            peak = max(peak, value)
            worst = min(worst, value / peak - 1)
        }
        return finite(worst)
    }

    /// The curve of falls from the peak so far.
    public static func drawdowns(_ equity: [Double]) -> [Double] {
        var peak = equity.first ?? 0
        return equity.map { value in
            peak = max(peak, value)
            return peak > 0 ? value / peak - 1 : 0
        }
    }

    /// The equity a series of returns gives from 1.
    public static func equity(_ returns: [Double]) -> [Double] {
        var value = 1.0
        return [1.0] + returns.map {
            value *= 1 + $0
            return value
        }
    }

    /// Yearly growth of a curve over `count` periods. nil if everything was lost.
    public static func cagr(start: Double, end: Double, count: Double, periods: Double) -> Double? {
        guard start > 0, end > 0, count > 0 else { return nil }
        return finite(pow(end / start, periods / count) - 1)
    }

    public static func calmar(cagr: Double?, maxDrawdown: Double?) -> Double? {
        guard let cagr, let maxDrawdown, maxDrawdown < 0 else { return nil }
        return finite(cagr / abs(maxDrawdown))
    }

    // MARK: trades

    /// Sum of gains over sum of losses; nil when nothing was lost or nothing done. Whose profits these are is the caller's to say.
    public static func profitFactor(_ profits: [Double]) -> Double? {
        let gain = sum(profits.filter { $0 > 0 })
        let loss = -sum(profits.filter { $0 < 0 })
        return loss > 0 ? finite(gain / loss) : nil
    }

    /// Share of wins among those that won or lost.
    public static func winRate(_ profits: [Double]) -> Double? {
        let decided = profits.filter { $0 != 0 }
        return decided.isEmpty ? nil : Double(decided.filter { $0 > 0 }.count) / Double(decided.count)
    }

    /// Average win over average loss.
    public static func payoff(_ profits: [Double]) -> Double? {
        guard let win = mean(profits.filter { $0 > 0 }), let loss = mean(profits.filter { $0 < 0 }), loss < 0 else { return nil }
        return finite(win / -loss)
    }

    public static func kelly(winRate: Double?, payoff: Double?) -> Double? {
        guard let winRate, let payoff, payoff > 0 else { return nil }
        return finite(winRate - (1 - winRate) / payoff)
    }

    /// Van Tharp's system quality: R is profit in units of the trade's initial risk. `capped`: at most 100 trades count.
    public static func sqn(_ r: [Double], capped: Bool = false) -> Double? {
        guard let m = mean(r), let s = deviation(r) else { return nil }
        return finite(Double(capped ? min(r.count, 100) : r.count).squareRoot() * m / s)
    }

    // MARK: is it luck?

    private static func spread(_ sharpe: Double, _ skew: Double, _ kurtosis: Double) -> Double? {
        let value = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe * sharpe
        return value > 0 ? value : nil
    }

    /// Probability that the true Sharpe ratio is above `benchmark`. Everything per period; kurtosis raw.
    public static func probabilisticSharpe(sharpe: Double, count: Int, skew: Double, kurtosis: Double, benchmark: Double = 0) -> Double? {
        guard count > 1, let s = spread(sharpe, skew, kurtosis) else { return nil }
        return finite(Normal.cdf((sharpe - benchmark) * Double(count - 1).squareRoot() / s.squareRoot()))
    }

    /// What the best of `trials` worthless variants is expected to show, `variance` being that of the trials' Sharpe ratios.
    public static func expectedMaximum(trials: Double, variance: Double = 1) -> Double? {
        if trials == 1 { return 0 }
        guard trials > 1, variance >= 0, let a = Normal.quantile(1 - 1 / trials), let b = Normal.quantile(1 - 1 / (trials * 2.718281828459045)) else { return nil }
        let gamma = 0.5772156649015329
        return finite(variance.squareRoot() * ((1 - gamma) * a + gamma * b))
    }

    /// Probability that the Sharpe ratio is more than what the luckiest of so many trials would show.
    public static func deflatedSharpe(sharpe: Double, count: Int, skew: Double, kurtosis: Double, trials: Double, variance: Double) -> Double? {
        guard let benchmark = expectedMaximum(trials: trials, variance: variance) else { return nil }
        return probabilisticSharpe(sharpe: sharpe, count: count, skew: skew, kurtosis: kurtosis, benchmark: benchmark)
    }

    /// Periods needed before a Sharpe ratio this good can be believed at `confidence`; nil if it is not above the benchmark.
    public static func minimumTrackRecord(sharpe: Double, skew: Double, kurtosis: Double, benchmark: Double = 0, confidence: Double = 0.95) -> Double? {
        guard sharpe > benchmark, let s = spread(sharpe, skew, kurtosis), let z = Normal.quantile(confidence) else { return nil }
        return finite(1 + s * (z / (sharpe - benchmark)) * (z / (sharpe - benchmark)))
    }

    // MARK: helpers

    /// Neumaier's sum: long curves lose nothing to rounding, and the result doesn't depend on how long they are.
    public static func sum(_ x: [Double]) -> Double {
        var total = 0.0
        var lost = 0.0
        for value in x {
            let next = total + value
            lost += abs(total) >= abs(value) ? (total - next) + value : (value - next) + total
            total = next
        }
        return total + lost
    }

    static func finite(_ x: Double) -> Double? { x.isFinite ? x : nil }
}
