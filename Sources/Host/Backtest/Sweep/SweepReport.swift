import PluginKit
import Tape

/// A sweep's ranked table in words and as JSON.
public struct SweepReport: Sendable {
    public var metric: SweepMetric
    public var ranked: [Sweep.Ranked]
    public var failed: [SweepStore.Row]
    public var steps: [Sweep.Step]
    public var seconds: Double
    public var jobs: Int

    public init(metric: SweepMetric, ranked: [Sweep.Ranked], failed: [SweepStore.Row], steps: [Sweep.Step] = [], seconds: Double = 0, jobs: Int = 1) {
        self.metric = metric
        self.ranked = ranked
        self.failed = failed
        self.steps = steps
        self.seconds = seconds
        self.jobs = jobs
    }

    /// Paths are shortened to what tells them apart.
    static func short(_ variant: String) -> String {
        variant.split(separator: " ").map { part in
            let pair = part.split(separator: "=", maxSplits: 1)
            let name = pair.first.flatMap { $0.split(separator: ".").last } ?? ""
            return "\(name)=\(pair.count > 1 ? pair[1] : "")"
        }.joined(separator: " ")
    }

    public func text(top: Int) -> String {
        typealias N = ReportNumbers
        var lines: [String] = []
        let shown = ranked.prefix(top)
        let width = min(44, max(8, shown.map { Self.short($0.row.variant).count }.max() ?? 8))
        func line(_ cells: [String], _ name: String) -> String {
            ReportText.pad(name, width) + zip(cells, [10, 10, 9, 9, 8, 8, 8]).map { ReportText.padLeft($0, $1) }.joined()
        }
        lines.append(line([metric.rawValue, "return", "drawdown", "sharpe", "trades", "factor", "DSR"], "variant"))
        for entry in shown {
            let r = entry.row
            let value = metric == .return || metric == .drawdown ? N.percent(entry.value) : N.ratio(entry.value)
            lines.append(
                line(
                    [value, N.percent(r.netReturn), N.percent(r.maxDrawdown, decimals: 1), N.ratio(r.sharpe), N.count(r.trades), N.ratio(r.profitFactor), N.ratio(entry.deflated)],
                    Self.short(r.variant)) + (entry.isLuck ? "  could be luck" : ""))
        }
        lines.append("")
        lines.append("\(N.count(ranked.count)) variants ranked by \(metric.rawValue)" + (failed.isEmpty ? "" : ", \(N.count(failed.count)) failed"))
        lines.append("DSR: chance that the Sharpe ratio is more than the luckiest of \(N.count(ranked.count)) worthless variants would show; below 0.95 it could be luck.")
        if let best = ranked.first {
            lines.append(
                best.isLuck
                    ? "The winner is not told apart from luck: do not trade it for its rank." : "The winner stands out from \(N.count(ranked.count)) tries. Tries not in this file count too.")
        }
        for row in failed.prefix(3) { lines.append("failed: \(Self.short(row.variant)): \(row.error ?? "")") }
        if !steps.isEmpty {
            lines += ["", "Walk forward: the best on the past, then what it did on what followed"]
            for step in steps {
                let tested = metric == .return || metric == .drawdown ? N.percent(step.testedValue) : N.ratio(step.testedValue)
                let trained = metric == .return || metric == .drawdown ? N.percent(step.trained) : N.ratio(step.trained)
                lines.append(
                    "  \(step.number)  until \(N.day(step.trainTo)): \(ReportText.pad(Self.short(step.winner), width)) \(ReportText.padLeft(trained, 9)) then \(ReportText.padLeft(tested, 9)), return \(N.percent(step.tested?.netReturn, sign: true))")
            }
            let returns = steps.compactMap { $0.tested?.netReturn }
            let total = returns.reduce(1.0) { $0 * (1 + $1) } - 1
            lines.append("  all test parts together: \(N.percent(total, sign: true)), \(returns.filter { $0 > 0 }.count) of \(returns.count) positive")
        }
        if seconds > 0 { lines += ["", "\(N.grouped(seconds, 1, false)) s on \(jobs) threads"] }
        return lines.joined(separator: "\n") + "\n"
    }

    public func json(top: Int) -> JSONValue {
        func number(_ value: Double?) -> JSONValue { value.map { JSONValue($0) } ?? .null }
        func row(_ r: SweepStore.Row) -> [(String, JSONValue)] {
            [
                ("variant", JSONValue(r.variant)), ("return", number(r.netReturn)), ("sharpe", number(r.sharpe)), ("sortino", number(r.sortino)), ("calmar", number(r.calmar)),
                ("max_drawdown", number(r.maxDrawdown)), ("profit_factor", number(r.profitFactor)), ("sqn", number(r.sqn)), ("trades", JSONValue(r.trades)),
                ("win_rate", number(r.winRate)), ("fees", number(r.fees)), ("equity", number(r.equity)),
            ]
        }
        return [
            "format": "keel.sweep/1", "metric": JSONValue(metric.rawValue), "variants": JSONValue(ranked.count),
            "ranked": JSONValue(ranked.prefix(top).map { JSONValue(JSONObject(row($0.row) + [("deflated_sharpe", number($0.deflated)), ("could_be_luck", JSONValue($0.isLuck))])) }),
            "failed": JSONValue(failed.map { ["variant": JSONValue($0.variant), "error": JSONValue($0.error ?? "")] }),
            "walk_forward": JSONValue(
                steps.map {
                    [
                        "step": JSONValue($0.number), "train_to": JSONValue($0.trainTo), "test_to": JSONValue($0.testTo), "winner": JSONValue($0.winner), "trained": number($0.trained),
                        "tested": number($0.testedValue), "test_return": number($0.tested?.netReturn),
                    ]
                }),
            "seconds": JSONValue(seconds), "threads": JSONValue(jobs),
        ]
    }
}
