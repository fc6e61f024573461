import PluginAPI
import PluginKit
import Tape

/// What a careful reader would ask about a result before believing it.
public enum Diagnosis {
    /// Looks at the result alone.
    public static func look(_ r: BacktestResult) -> [Finding] {
        var found: [Finding] = []
        let f = Figures(r)
        if r.fills.isEmpty {
            let asked = r.answers.reduce(0) { $0 + $1.asked }
            let refused = r.refusals.reduce(0) { $0 + $1.count }
            let why =
                asked == 0
                ? "no decider was asked once: the gate let nothing through" : refused > 0 ? "\(refused) refusals, most often \(r.refusals[0].rule.rawValue)" : "every answer was hold"
            found.append(Finding(.warning, "no-trades", "Nothing was traded: \(why).", advice: "Look at the gate, the refusals and the warm-up; keel plan shows what is set."))
        } else if r.trades.count < 30 {
            found.append(
                Finding(
                    .note, "few-trades", "\(r.trades.count) closed trades are too few to tell skill from luck.",
                    advice: "Use a longer tape; below 30 trades win rate, profit factor and SQN mean little."))
        }
        if !r.fills.isEmpty, let first = r.samples.first, r.samples.count > 2, r.samples.allSatisfy({ $0.equity == first.equity }) {
            found.append(
                Finding(.warning, "flat-equity", "Equity never moves although there are \(r.fills.count) fills.", advice: "Check quantity, lot and multiplier: the position may be worth nothing."))
        } else if let stuck = longestStandstill(r), stuck > 0.5, !r.fills.isEmpty {
            found.append(
                Finding(
                    .note, "flat-equity", "For \(ReportNumbers.percent(stuck, decimals: 0)) of the time on end nothing was held or made.",
                    advice: "Did a breaker open and stay open? Breakers and refusals are listed in the report."))
        }
        let late = r.fills.filter { $0.staleness > 10 * max(r.meanGap, 1_000_000_000) }
        if !late.isEmpty, let worst = late.max(by: { $0.staleness < $1.staleness }) {
            found.append(
                Finding(
                    .warning, "stale-fills",
                    "\(late.count) of \(r.fills.count) fills happened at prices that were old, up to \(ReportNumbers.span(Double(worst.staleness))) (\(ReportNumbers.minute(worst.time))).",
                    advice: "The tape has gaps there: keel data info and import's gap list say where. No one would have filled at those prices."))
        }
        let total = r.trades.reduce(0) { $0 + $1.profit }
        if r.trades.count > 4, total > 0, let best = r.trades.max(by: { $0.profit < $1.profit }), best.profit > total * 0.5 {
            found.append(
                Finding(
                    .warning, "one-trade",
                    "One trade makes \(ReportNumbers.percent(best.profit / total, decimals: 0)) of the profit (\(ReportNumbers.minute(best.opened)) to \(ReportNumbers.minute(best.closed))).",
                    advice: "Without it the result is \(ReportNumbers.money(total - best.profit, sign: true)). Would it have been taken again?"))
        }
        if f.fees > 0, f.grossProfit > 0, f.fees > f.grossProfit {
            found.append(
                Finding(
                    .serious, "fees", "Fees of \(ReportNumbers.money(f.fees)) are more than the gross profit of \(ReportNumbers.money(f.grossProfit)).",
                    advice: "Trade less often, or where fees are lower; the strategy earns for the venue."))
        }
        if let sharpe = f.sharpe, sharpe > 5, f.periods >= 30 {
            found.append(
                Finding(.warning, "too-good", "A Sharpe ratio of \(ReportNumbers.ratio(sharpe)) is not seen in real markets for long.", advice: "Look for fills at prices nobody could get, missing fees, or data that knows the future."))
        }
        if r.equity.isNegative || r.equity.isZero {
            found.append(Finding(.serious, "ruin", "The equity fell to \(r.equity).", advice: "No broker would have let it come so far: check sizes, leverage and the venue's \"borrow\"."))
        }
        return found
    }

    /// The longest stretch of samples with neither exposure nor change, as a share of the run.
    private static func longestStandstill(_ r: BacktestResult) -> Double? {
        guard r.samples.count > 10 else { return nil }
        var longest = 0
        var run = 0
        for (a, b) in zip(r.samples, r.samples.dropFirst()) {
            run = b.exposure == 0 && a.equity == b.equity ? run + 1 : 0
            longest = max(longest, run)
        }
        return Double(longest) / Double(r.samples.count - 1)
    }

    /// Runs again over shorter tapes: what was decided by then must not change when the future is missing.
    ///
    /// `run` repeats the run up to a time, that one not included.
    public static func lookahead(_ r: BacktestResult, cuts: [Double] = [0.37, 0.71], run: (Int64) throws -> BacktestResult) throws -> Finding? {
        for cut in cuts {
            let time = r.from + Int64(Double(r.to - r.from) * cut)
            let shorter = try run(time)
            let whole = r.fills.filter { $0.time < time }
            let both = min(whole.count, shorter.fills.count)
            var differs: Int?
            for index in 0..<both where whole[index] != shorter.fills[index] {
                differs = index
                break
            }
            if differs == nil, whole.count != shorter.fills.count { differs = both }
            if let differs {
                let at = differs < whole.count ? whole[differs].time : shorter.fills[differs].time
                return Finding(
                    .serious, "lookahead",
                    "With the tape cut at \(UTCTime.text(time)), fill \(differs + 1) (\(UTCTime.text(at))) is another one: something knows the future.",
                    advice: "A decider reads ahead, or its answers depend on more than the past: on a file, on the length of the tape, on chance without a seed.")
            }
        }
        return nil
    }
}
