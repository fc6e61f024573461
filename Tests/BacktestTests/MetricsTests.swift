import PluginKit
import Testing

@testable import HostBacktest

/// Every vector of the fact sheet, as quantstats 0.0.86, empyrical 0.7.1 and scipy 1.17.1 gave them.
@Suite struct MetricsTests {
    let z = [0.012, -0.008, 0.005, 0.017, -0.021, 0.009, 0.003, -0.004, 0.014, -0.006, 0.008, -0.011]
    let r = [1.5, -1, 0.8, 2.2, -1, -0.5, 3.0, -1, 0.4, 1.1]

    func near(_ value: Double?, _ expected: Double, _ tolerance: Double = 1e-9) -> Bool {
        guard let value else { return false }
        return abs(value - expected) <= tolerance * max(1, abs(expected))
    }

    @Test func yearlyFigures() {
        let equity = Metrics.equity(z)
        let end = equity[equity.count - 1]
        #expect(near(Metrics.sharpe(z, periods: 252), 2.067570019318355))
        #expect(near(Metrics.sharpe(z, periods: 365), 2.488320903428111))
        #expect(near(Metrics.sortino(z, periods: 252), 3.1678696674718965))
        #expect(near(Metrics.sortino(z, periods: 365), 3.8125317349614957))
        let cagr252 = Metrics.cagr(start: 1, end: end, count: 12, periods: 252)
        let cagr365 = Metrics.cagr(start: 1, end: end, count: 12, periods: 365)
        #expect(near(cagr252, 0.4367603368645998))
        #expect(near(cagr365, 0.690275368041577))
        #expect(near(Metrics.maxDrawdown(equity), -0.021))
        #expect(near(Metrics.calmar(cagr: cagr252, maxDrawdown: -0.021), 20.79811127926664))
        #expect(near(Metrics.calmar(cagr: cagr365, maxDrawdown: Metrics.maxDrawdown(equity)), 32.870255621027404))
    }

    @Test func tradeFigures() {
        #expect(near(Metrics.profitFactor(z), 1.36))
        #expect(near(Metrics.winRate(z), 0.5833333333, 1e-9))
        #expect(near(Metrics.payoff(z), 0.9714285714, 1e-9))
        #expect(near(Metrics.kelly(winRate: Metrics.winRate(z), payoff: Metrics.payoff(z)), 0.1544117647, 1e-9))
        #expect(near(Metrics.kelly(winRate: 0.55, payoff: 1), 0.1))
        #expect(near(Metrics.kelly(winRate: 0.4, payoff: 2.5), 0.16))
        #expect(near(Metrics.kelly(winRate: 0.6, payoff: 0.5), -0.2))
        #expect(near(Metrics.mean(r), 0.55))
        #expect(near(Metrics.deviation(r), 1.4269236529))
        #expect(near(Metrics.sqn(r), 1.2188828110))
    }

    @Test func probabilities() throws {
        let sharpe = try #require(Metrics.sharpePerPeriod(z))
        #expect(near(sharpe, 0.13024466879355662, 1e-12))
        let plain = try #require(Metrics.shape(z))
        #expect(near(plain.skew, -0.4482944923) && near(plain.kurtosis, 2.2116272941))
        let adjusted = try #require(Metrics.adjustedShape(z))
        #expect(near(adjusted.skew, -0.5150511591) && near(adjusted.kurtosis, 2.4806967006))
        #expect(near(Metrics.probabilisticSharpe(sharpe: sharpe, count: 12, skew: plain.skew, kurtosis: plain.kurtosis), 0.6623454534))
        #expect(near(Metrics.probabilisticSharpe(sharpe: sharpe, count: 12, skew: adjusted.skew, kurtosis: adjusted.kurtosis), 0.6616422203))
        #expect(near(Metrics.minimumTrackRecord(sharpe: sharpe, skew: plain.skew, kurtosis: plain.kurtosis), 170.6222692547))
    }

    /// Bailey and Lopez de Prado's own example.
    @Test func deflation() {
        let sharpe = 2.5 / 250.0.squareRoot()
        let variance = 0.5 / 250
        #expect(near(Metrics.expectedMaximum(trials: 100, variance: variance), 0.1131720019))
        #expect(near(Metrics.deflatedSharpe(sharpe: sharpe, count: 1250, skew: -3, kurtosis: 10, trials: 100, variance: variance), 0.9003968345))
        #expect(near(Metrics.deflatedSharpe(sharpe: sharpe, count: 1250, skew: -3, kurtosis: 10, trials: 46, variance: variance), 0.9505017069))
        #expect(near(Metrics.deflatedSharpe(sharpe: sharpe, count: 1250, skew: 0, kurtosis: 3, trials: 88, variance: variance), 0.9504908167))
        #expect(near(Metrics.probabilisticSharpe(sharpe: sharpe, count: 1250, skew: -3, kurtosis: 10), 0.9999968596))
        for (trials, expected) in [(2.0, 0.5197553443), (10, 1.5745983013), (46, 2.2441708308), (100, 2.5306028932), (1000, 3.2551215137)] {
            #expect(near(Metrics.expectedMaximum(trials: trials), expected), "\(trials)")
        }
    }

    @Test func quantilesInvertTheDistribution() {
        for p in [1e-300, 1e-100, 1e-20, 1e-8, 0.001, 0.02, 0.075, 0.3, 0.5, 0.7, 0.925, 0.975, 0.999, 1 - 1e-12] {
            let x = Normal.quantile(p)
            #expect(near(x.map(Normal.cdf).map { $0 / p }, 1, 1e-12), "\(p)")
        }
        // scipy.stats.norm.ppf
        #expect(near(Normal.quantile(0.975), 1.959963984540054, 1e-15))
        #expect(near(Normal.quantile(0.95), 1.6448536269514722, 1e-15))
        #expect(Normal.quantile(0) == nil && Normal.quantile(1) == nil && Normal.quantile(.nan) == nil)
    }

    @Test func whatDoesNotExistIsNil() {
        #expect(Metrics.sharpe([], periods: 365) == nil)
        #expect(Metrics.sharpe([0.1], periods: 365) == nil)
        #expect(Metrics.sharpe([0.1, 0.1, 0.1], periods: 365) == nil)
        #expect(Metrics.sortino([0.1, 0.2], periods: 365) == nil)
        #expect(Metrics.profitFactor([1, 2]) == nil)
        #expect(Metrics.winRate([0, 0]) == nil)
        #expect(Metrics.cagr(start: 1, end: 0, count: 1, periods: 1) == nil)
        #expect(Metrics.calmar(cagr: 0.1, maxDrawdown: 0) == nil)
        #expect(Metrics.returns([1, 0, 1]) == nil)
        #expect(Metrics.maxDrawdown([]) == nil)
        #expect(Metrics.minimumTrackRecord(sharpe: -0.1, skew: 0, kurtosis: 3) == nil)
        #expect(Metrics.expectedMaximum(trials: 1) == 0)
    }

    @Test(arguments: [UInt64(71), 72, 73, 74]) func properties(seed: UInt64) throws {
        var chance = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            let returns = (0..<(5 + Int(chance.below(60)))).map { _ in chance.bell() * 0.01 + 0.001 }
            let fall = try #require(Metrics.maxDrawdown(Metrics.equity(returns)))
            #expect(fall >= -1 && fall <= 0)
            #expect(Metrics.drawdowns(Metrics.equity(returns)).min() == fall)
            // The order of returns changes the drawdown, not the Sharpe ratio.
            let sharpe = try #require(Metrics.sharpePerPeriod(returns))
            #expect(near(Metrics.sharpePerPeriod(returns.shuffled(using: &chance)), sharpe, 1e-12))
            let shape = try #require(Metrics.shape(returns))
            let psr = try #require(Metrics.probabilisticSharpe(sharpe: sharpe, count: returns.count, skew: shape.skew, kurtosis: shape.kurtosis))
            let dsr = try #require(
                Metrics.deflatedSharpe(sharpe: sharpe, count: returns.count, skew: shape.skew, kurtosis: shape.kurtosis, trials: 20, variance: 0.01))
            #expect(dsr <= psr && psr >= 0 && psr <= 1, "seed \(seed)")
        }
    }
}
