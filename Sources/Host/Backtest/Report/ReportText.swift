import HostCore
import PluginAPI
import PluginKit

/// A result for a terminal, within 80 columns.
public enum ReportText {
    private typealias N = ReportNumbers

    public static func summary(_ result: BacktestResult) -> String {
        let f = Figures(result)
        var out: [String] = []
        out.append("\(result.pipelines.joined(separator: ", "))   \(result.instruments.joined(separator: ", "))")
        out.append("\(N.minute(result.from)) to \(N.minute(result.to)) UTC, \(N.count(result.events)) events")
        for change in result.changes { out.append("set \(change)") }
        out.append("")
        let currency = result.currency.isEmpty ? "" : " \(result.currency)"
        let rows: [[(String, String)]] = [
            [("Equity", N.money(result.equity.double, decimals: 2) + currency), ("Sharpe", N.ratio(f.sharpe)), ("Trades", N.count(f.trades))],
            [("Net profit", N.money(f.netProfit, decimals: 2, sign: true)), ("Sortino", N.ratio(f.sortino)), ("Win rate", N.percent(f.winRate, decimals: 1))],
            [("Return", N.percent(f.totalReturn, sign: true)), ("Calmar", N.ratio(f.calmar)), ("Profit factor", N.ratio(f.profitFactor))],
            [("CAGR", N.percent(f.cagr, sign: true)), ("Volatility", N.percent(f.volatility)), ("Payoff", N.ratio(f.payoff))],
            [("Max drawdown", N.percent(f.maxDrawdown)), ("SQN", N.ratio(f.sqn)), ("Average trade", N.money(f.averageTrade))],
            [("Fees", N.money(f.fees, decimals: 2)), ("PSR", N.percent(f.probabilisticSharpe, decimals: 1)), ("Average hold", N.span(f.averageHold))],
            [("Funding", N.money(f.funding, decimals: 2)), ("In market", N.percent(f.timeInMarket, decimals: 1)), ("Fills", N.count(result.fills.count))],
        ]
        for row in rows {
            let cells = zip(row, [(13, 16), (11, 9), (14, 9)]).map { cell, widths in pad(cell.0, widths.0) + padLeft(cell.1, widths.1) }
            out.append(cells.joined(separator: "  "))
        }
        if f.periods > 0 { out.append("Ratios from \(N.count(f.periods)) \(f.periodName) returns" + (f.periods < 30 ? ": too few to rank by" : "")) }
        if !result.answers.isEmpty {
            out += ["", "Decisions            asked    orders     holds   refused   invalid"]
            for a in result.answers {
                out.append(pad("  \(a.decider)", 17) + [a.asked, a.orders, a.holds, a.refused, a.invalid].map { padLeft(N.count($0), 10) }.joined().dropFirst(1))
            }
        }
        for (pipeline, c) in result.comparisons where c.pairs > 0 {
            out += ["", "\(c.primary.decider) and \(c.shadow.decider) on the same \(N.count(c.pairs)) snapshots of \(pipeline): the same action in \(N.percent(c.agreement))"]
            for side in [c.primary, c.shadow] {
                out.append(
                    pad("  \(side.decider)", 17)
                        + " would have made \(N.percent(side.made)), \(N.count(side.entries)) entries, \(N.count(side.exits)) exits, \(String(format: "%.6f", side.costPerDecision)) USD a decision"
                )
            }
            out.append("  Answers alone, a purse each, fee \(N.percent(c.feeRate)): no limits, no protective exits, no slippage.")
        }
        for gate in result.gates where gate.counters.reused > 0 {
            let asked = gate.counters.passed + gate.counters.timerPasses
            out.append(
                "Calls saved \(gate.instrument): \(N.count(gate.counters.reused)) of \(N.count(asked + gate.counters.reused)) questions, because nothing had moved since the last HOLD (\(N.percent(Double(gate.counters.reused) / Double(max(asked + gate.counters.reused, 1)))))"
            )
        }
        for gate in result.gates where gate.counters.events > 0 {
            out.append("Gate \(gate.instrument): \(N.count(gate.counters.passed)) of \(N.count(gate.counters.events)) events passed (\(N.percent(gate.counters.share)))")
        }
        if !result.refusals.isEmpty {
            out.append("Refused: " + result.refusals.map { "\($0.rule.rawValue) \(N.count($0.count))" }.joined(separator: ", "))
        }
        if !result.exits.isEmpty { out.append("Exits: " + result.exits.map { "\($0.why.rawValue) \(N.count($0.count))" }.joined(separator: ", ")) }
        if result.rejectedOrders > 0 { out.append("Rejected by the venue: \(N.count(result.rejectedOrders))") }
        for finding in result.findings {
            out += ["", "\(finding.weight == .note ? "Note" : finding.weight == .warning ? "Warning" : "SERIOUS"): \(finding.text)", "  \(finding.advice)"]
        }
        if result.engineSeconds > 0 {
            out += ["", "\(N.count(Int64(Double(result.events) / result.engineSeconds))) events/s in the engine, \(String(format2: result.wholeSeconds)) s in all"]
        }
        return out.map(trimmed).joined(separator: "\n") + "\n"
    }

    private static func trimmed(_ text: String) -> String {
        var text = text
        while text.last == " " { text.removeLast() }
        return text
    }

    static func pad(_ text: String, _ width: Int) -> String { text.count >= width ? text : text + String(repeating: " ", count: width - text.count) }
    static func padLeft(_ text: String, _ width: Int) -> String { text.count >= width ? text : String(repeating: " ", count: width - text.count) + text }
}

extension String {
    init(format2 value: Double) { self = ReportNumbers.grouped(value, 2, false) }
}
