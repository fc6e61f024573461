import PluginKit

/// The figures of one result, computed once for every kind of report. nil: does not exist for this run.
public struct Figures: Sendable {
    public var netProfit = 0.0
    public var totalReturn: Double?
    public var years = 0.0
    public var cagr: Double?
    public var volatility: Double?
    public var sharpe: Double?
    public var sortino: Double?
    public var calmar: Double?
    public var maxDrawdown = 0.0
    public var sqn: Double?
    public var probabilisticSharpe: Double?
    public var minimumTrackRecord: Double?
    public var skew: Double?
    public var kurtosis: Double?
    public var sharpePerPeriod: Double?
    public var periods = 0
    public var periodsPerYear = 0.0
    public var periodName = ""

    public var trades = 0
    public var winRate: Double?
    public var profitFactor: Double?
    public var payoff: Double?
    public var averageTrade: Double?
    public var bestTrade: Double?
    public var worstTrade: Double?
    public var longestLosing = 0
    public var averageHold: Double?
    public var grossProfit = 0.0
    public var fees = 0.0
    public var funding = 0.0
    public var turnoverPerYear: Double?
    public var timeInMarket = 0.0
    public var averageExposure: Double?

    public init(_ result: BacktestResult) {
        let start = result.startEquity.double
        let end = result.equity.double
        netProfit = end - start
        fees = result.fees.double
        funding = result.funding.double
        grossProfit = netProfit + fees - funding
        totalReturn = start > 0 ? end / start - 1 : nil
        let year = 365.25 * 86_400e9
        years = Double(max(0, result.to - result.from)) / year
        // A year's growth needs some of a year behind it: a day's luck to the power of 365 says nothing.
        if years >= 30 / 365.25 { cagr = Metrics.cagr(start: start, end: end, count: years, periods: 1) }
        maxDrawdown = result.maxDrawdown
        calmar = Metrics.calmar(cagr: cagr, maxDrawdown: maxDrawdown)
        periodsPerYear = result.period > 0 ? 365 * 86_400e9 / Double(result.period) : 0
        periodName =
            switch result.period {
            case 86_400_000_000_000: "daily"
            case 3_600_000_000_000: "hourly"
            case 60_000_000_000: "by the minute"
            default: "by the second"
            }
        let equity = result.samples.map(\.equity)
        if let returns = Metrics.returns(equity), !returns.isEmpty {
            periods = returns.count
            volatility = Metrics.deviation(returns).map { $0 * periodsPerYear.squareRoot() }
            sharpe = Metrics.sharpe(returns, periods: periodsPerYear)
            sortino = Metrics.sortino(returns, periods: periodsPerYear)
            sharpePerPeriod = Metrics.sharpePerPeriod(returns)
            if let shape = Metrics.shape(returns), let sharpePerPeriod {
                skew = shape.skew
                kurtosis = shape.kurtosis
                probabilisticSharpe = Metrics.probabilisticSharpe(sharpe: sharpePerPeriod, count: returns.count, skew: shape.skew, kurtosis: shape.kurtosis)
                minimumTrackRecord = Metrics.minimumTrackRecord(sharpe: sharpePerPeriod, skew: shape.skew, kurtosis: shape.kurtosis)
            }
        }
        let profits = result.trades.map(\.profit)
        trades = profits.count
        winRate = Metrics.winRate(profits)
        profitFactor = Metrics.profitFactor(profits)
        payoff = Metrics.payoff(profits)
        averageTrade = Metrics.mean(profits)
        bestTrade = profits.max()
        worstTrade = profits.min()
        // Without an initial stop R is not known; profit over the average loss stands in for it, which leaves SQN unchanged.
        sqn = Metrics.sqn(profits, capped: true)
        var run = 0
        for profit in profits {
            run = profit < 0 ? run + 1 : 0
            longestLosing = max(longestLosing, run)
        }
        averageHold = Metrics.mean(result.trades.map { Double($0.closed - $0.opened) })
        timeInMarket = result.timeInMarket
        averageExposure = Metrics.mean(result.samples.map(\.exposure))
        if let mean = Metrics.mean(equity), mean > 0, years > 0 { turnoverPerYear = result.turnover.double / mean / years }
    }
}
