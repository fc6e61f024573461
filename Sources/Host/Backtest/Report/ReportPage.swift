import Foundation
import HostCore
import PluginAPI
import PluginKit
import Tape

/// A result as one HTML page that needs nothing else: no network, no script, readable in light and dark, and on paper.
public enum ReportPage {
    private typealias N = ReportNumbers

    public static func render(_ result: BacktestResult) -> String {
        let f = Figures(result)
        let title = result.title.isEmpty ? "\(result.mode == "backtest" ? "Backtest" : "Run") of \(result.pipelines.joined(separator: ", "))" : result.title
        var body = ""
        body += header(result, title)
        body += tiles(result, f)
        body += findings(result)
        body += charts(result)
        body += months(result)
        body += "<div class=\"columns\">" + returns(f) + trades(f) + costs(result, f) + "</div>"
        body += deciders(result)
        body += gates(result)
        body += "<div class=\"columns\">" + counts(result) + "</div>"
        body += extremes(result)
        body += footer(result, f)
        return """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><title>\(HTML.escape(title))</title>
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
            <style>\(style)</style></head>
            <body><main>\(body)</main></body></html>

            """
    }

    // MARK: parts

    private static func header(_ r: BacktestResult, _ title: String) -> String {
        let facts = [
            r.instruments.joined(separator: ", "), "\(N.minute(r.from)) – \(N.minute(r.to)) UTC", "\(N.count(r.events)) events",
            r.tapes.map { $0.split(separator: "/").last.map(String.init) ?? $0 }.joined(separator: ", "),
        ].filter { !$0.isEmpty }
        var out = "<header><h1>\(HTML.escape(title))</h1><p class=\"facts\">\(facts.map { "<span>\(HTML.escape($0))</span>" }.joined())</p>"
        if !r.changes.isEmpty { out += "<p class=\"facts\">" + r.changes.map { "<code>\(HTML.escape($0))</code>" }.joined(separator: " ") + "</p>" }
        return out + "</header>"
    }

    private static func tone(_ value: Double?) -> String { (value ?? 0) < 0 ? "loss" : (value ?? 0) > 0 ? "gain" : "" }

    private static func tiles(_ r: BacktestResult, _ f: Figures) -> String {
        func tile(_ name: String, _ value: String, _ note: String = "", _ tone: String = "") -> String {
            "<div class=\"tile\"><dt>\(name)</dt><dd class=\"\(tone)\">\(HTML.escape(value))</dd><p>\(note.split(separator: "|").map { "<i>\(HTML.escape($0))</i>" }.joined(separator: " "))</p></div>"
        }
        let unit = r.currency
        return "<dl class=\"tiles\">"
            + tile("Net profit", N.money(f.netProfit, sign: true), "\(N.money(r.startEquity.double)) →|\(N.money(r.equity.double)) \(unit)", tone(f.netProfit))
            + tile("Return", N.percent(f.totalReturn, sign: true), f.cagr.map { "\(N.percent($0, sign: true)) a year" } ?? "too short for a yearly figure", tone(f.totalReturn))
            + tile("Sharpe", N.ratio(f.sharpe), "Sortino \(N.ratio(f.sortino)),|\(f.periodName)")
            + tile("Max drawdown", N.percent(f.maxDrawdown), f.maxDrawdown < 0 ? "\(N.day(r.drawdownPeak)) to|\(N.day(r.drawdownTrough))" : "none", f.maxDrawdown < 0 ? "loss" : "")
            + tile("Trades", N.count(f.trades), "\(N.percent(f.winRate, decimals: 1)) won,|factor \(N.ratio(f.profitFactor))")
            + tile("Fees", N.money(f.fees), f.grossProfit > 0 ? "\(N.percent(f.fees / f.grossProfit, decimals: 0)) of gross profit" : "gross \(N.money(f.grossProfit, sign: true))")
            + "</dl>"
    }

    private static func findings(_ r: BacktestResult) -> String {
        if r.findings.isEmpty { return "" }
        return "<section><h2>What to look at</h2><ul class=\"findings\">"
            + r.findings.map {
                "<li class=\"\($0.weight.rawValue)\"><b>\(HTML.escape($0.text))</b><span>\(HTML.escape($0.advice))</span></li>"
            }.joined() + "</ul></section>"
    }

    private static func charts(_ r: BacktestResult) -> String {
        var out = "<section><h2>Equity</h2>"
        var equity = Chart(label: "Equity", from: r.from, to: r.to) { N.money($0, decimals: abs($0) >= 1000 ? 0 : 2) }
        equity.series = [.init(name: "equity\(r.currency.isEmpty ? "" : " in \(r.currency)")", style: "c1", form: .line, points: r.curve.map { ($0.time, $0.equity) })]
        out += figure(equity.svg())
        var fall = Chart(label: "Drawdown", from: r.from, to: r.to) { N.percent($0, decimals: 1) }
        fall.height = 150
        fall.include = [0]
        fall.series = [.init(name: "fall from the peak", style: "c2", form: .area, points: Array(zip(r.curve.map(\.time), Metrics.drawdowns(r.curve.map(\.equity)))))]
        out += figure(fall.svg()) + "</section>"
        for (index, bars) in r.prices.enumerated() where !bars.isEmpty {
            let name = index < r.instruments.count ? r.instruments[index] : ""
            var chart = Chart(label: "\(name) price", from: r.from, to: r.to) { N.money($0, decimals: nil) }
            chart.height = 300
            chart.ranges = bars.map { .init(time: $0.time, low: $0.low, high: $0.high) }
            let own = r.fills.filter { $0.instrument == index + 1 }
            var note = ""
            if own.count <= 400 {
                chart.markers = own.map {
                    .init(
                        time: $0.time, value: $0.price.double, form: $0.side == KEEL_BUY ? .up : .down,
                        title: "\($0.side == KEEL_BUY ? "buy" : "sell") \($0.quantity) at \($0.price), \(N.minute($0.time))")
                }
            } else {
                (chart.markers, note) = thinned(own, r)
            }
            out += "<section><h2>\(HTML.escape(name))</h2>" + figure(chart.svg(), note) + "</section>"
        }
        if r.curve.contains(where: { $0.exposure != 0 }) {
            var chart = Chart(label: "Exposure", from: r.from, to: r.to) { N.percent($0, decimals: $0 != 0 && abs($0) < 0.01 ? 2 : 0) }
            chart.height = 130
            chart.include = [0]
            chart.series = [.init(name: "open positions over equity", style: "c3", form: .area, points: r.curve.map { ($0.time, $0.exposure) })]
            out += "<section><h2>Exposure</h2>" + figure(chart.svg(), "In the market \(N.percent(r.timeInMarket, decimals: 1)) of the time.") + "</section>"
        }
        return out
    }

    private static func figure(_ svg: String, _ note: String = "") -> String {
        "<figure>\(svg)\(note.isEmpty ? "" : "<figcaption>\(HTML.escape(note))</figcaption>")</figure>"
    }

    /// So many fills that their marks would cover the price: the largest winners and losers are marked, and the page says so.
    private static func thinned(_ fills: [BacktestResult.Fill], _ r: BacktestResult) -> ([Chart.Marker], String) {
        let index = fills.first?.instrument ?? 0
        let ranked = r.trades.filter { $0.instrument == index }.sorted { abs($0.profit) > abs($1.profit) }.prefix(60)
        let marks = ranked.flatMap { trade -> [Chart.Marker] in
            let long = trade.direction > 0
            let text = "\(long ? "long" : "short") \(N.money(trade.profit, sign: true)), \(N.minute(trade.opened)) – \(N.minute(trade.closed))"
            return [
                .init(time: trade.opened, value: trade.entry, form: long ? .up : .down, title: "opened: \(text)"),
                .init(time: trade.closed, value: trade.exit, form: long ? .down : .up, title: "closed: \(text)"),
            ]
        }
        return (marks, "\(N.count(fills.count)) fills: only the \(ranked.count) trades with the largest profit or loss are marked.")
    }

    private static func months(_ r: BacktestResult) -> String {
        let table = MonthTable(r)
        if table.years.isEmpty { return "" }
        let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let scale = max(0.001, table.years.flatMap { $0.months.compactMap { $0 } }.map(abs).max() ?? 0.001)
        func cell(_ value: Double?) -> String {
            guard let value else { return "<td></td>" }
            // Strength of the tint in five steps, so that the page needs no inline style.
            let level = value == 0 ? 0 : min(5, Int((abs(value) / scale * 5).rounded(.up)))
            return "<td class=\"\(value < 0 ? "l" : "g")\(level)\">\(N.grouped(value * 100, scale < 0.02 ? 2 : 1, false))</td>"
        }
        var out = "<section><h2>Months</h2><div class=\"scroll\"><table class=\"months\"><thead><tr><th>%</th>\(names.map { "<th>\($0)</th>" }.joined())<th>Year</th></tr></thead><tbody>"
        for year in table.years {
            out += "<tr><th>\(year.year)</th>\(year.months.map(cell).joined())<td class=\"total \(tone(year.total))\">\(N.grouped(year.total * 100, scale < 0.02 ? 2 : 1, true))</td></tr>"
        }
        return out + "</tbody></table></div></section>"
    }

    private static func list(_ title: String, _ rows: [(String, String)]) -> String {
        "<section class=\"card\"><h2>\(title)</h2><table class=\"pairs\">" + rows.map { "<tr><th>\(HTML.escape($0.0))</th><td>\(HTML.escape($0.1))</td></tr>" }.joined()
            + "</table></section>"
    }

    private static func returns(_ f: Figures) -> String {
        list(
            "Returns",
            [
                ("Volatility a year", N.percent(f.volatility)), ("Sharpe", N.ratio(f.sharpe)), ("Sortino", N.ratio(f.sortino)), ("Calmar", N.ratio(f.calmar)),
                ("Skew", N.ratio(f.skew)), ("Kurtosis (3: normal)", N.ratio(f.kurtosis)), ("Chance the Sharpe is above 0", N.percent(f.probabilisticSharpe, decimals: 1)),
                ("Periods to believe it at 95 %", f.minimumTrackRecord.map { N.grouped($0.rounded(.up), 0, false) } ?? N.none), ("Periods seen", "\(N.count(f.periods)), \(f.periodName)"),
            ])
    }

    private static func trades(_ f: Figures) -> String {
        list(
            "Trades",
            [
                ("Closed", N.count(f.trades)), ("Won", N.percent(f.winRate, decimals: 1)), ("Profit factor", N.ratio(f.profitFactor)), ("Payoff", N.ratio(f.payoff)),
                ("Average", N.money(f.averageTrade, sign: true)), ("Best", N.money(f.bestTrade, sign: true)), ("Worst", N.money(f.worstTrade, sign: true)),
                ("Longest losing streak", N.count(f.longestLosing)), ("Average hold", N.span(f.averageHold)), ("SQN (n ≤ 100)", N.ratio(f.sqn)),
            ])
    }

    private static func costs(_ r: BacktestResult, _ f: Figures) -> String {
        list(
            "Costs",
            [
                ("Gross profit", N.money(f.grossProfit, sign: true)), ("Fees", N.money(-f.fees)), ("Funding", N.money(f.funding, sign: true)), ("Net profit", N.money(f.netProfit, sign: true)),
                ("Fees a trade", N.money(f.trades > 0 ? f.fees / Double(f.trades) : nil)), ("Traded", N.money(r.turnover.double)),
                ("Turnover a year", f.turnoverPerYear.map { "\(N.ratio($0, decimals: 1)) × equity" } ?? N.none),
                ("Deciders", N.money(r.answers.reduce(0) { $0 + $1.cost.double }) + " USD"),
            ])
    }

    private static func table(_ title: String, _ head: [String], _ rows: [[String]], text: Int = 1) -> String {
        if rows.isEmpty { return "" }
        func cells(_ row: [String], _ tag: String) -> String {
            row.enumerated().map { "<\(tag)\($0.offset < text ? " class=\"t\"" : "")>\(HTML.escape($0.element))</\(tag)>" }.joined()
        }
        return "<section><h2>\(title)</h2><div class=\"scroll\"><table class=\"data\"><thead><tr>\(cells(head, "th"))</tr></thead><tbody>"
            + rows.map { "<tr>\(cells($0, "td"))</tr>" }.joined() + "</tbody></table></div></section>"
    }

    private static func deciders(_ r: BacktestResult) -> String {
        table(
            "Decisions", ["Decider", "Pipeline", "Asked", "Orders", "Holds", "Refused", "Invalid", "Recorded answers", "Cost"],
            r.answers.map {
                [
                    $0.decider, $0.pipeline, N.count($0.asked), N.count($0.orders), N.count($0.holds), N.count($0.refused), N.count($0.invalid), N.count($0.fromRecord),
                    $0.cost.isZero ? N.none : N.money($0.cost.double),
                ]
            }, text: 2)
    }

    private static func gates(_ r: BacktestResult) -> String {
        table(
            "Gate", ["Instrument", "Pipeline", "Events", "Passed", "Share", "Candle", "Timer", "Price z", "Volume z", "Wake", "Asked", "Review", "Watchdog"],
            r.gates.map { gate in
                let c = gate.counters
                return [gate.instrument, gate.pipeline, N.count(c.events), N.count(c.passed), N.percent(c.share)]
                    + [c.candle, c.timer, c.priceZ, c.volumeZ, c.wake, c.asked, c.review, c.watchdog].map { N.count($0) }
            }, text: 2)
    }

    /// "stopLoss" as "stop loss".
    private static func words(_ name: String) -> String { name.map { $0.isUppercase ? " " + $0.lowercased() : String($0) }.joined() }

    private static func counts(_ r: BacktestResult) -> String {
        var out = ""
        if !r.refusals.isEmpty { out += list("Refused", r.refusals.map { (words($0.rule.rawValue), N.count($0.count)) }) }
        if !r.exits.isEmpty { out += list("Exits", r.exits.map { (words($0.why.rawValue), "\(N.count($0.count))   \(N.money($0.profit, sign: true))") }) }
        if r.rejectedOrders > 0 || r.takeovers > 0 || !r.breakers.isEmpty {
            out += list(
                "Incidents",
                [("Orders the venue rejected", N.count(r.rejectedOrders)), ("Takeovers by a fallback", N.count(r.takeovers))]
                    + r.breakers.filter(\.open).prefix(12).map { ("Breaker \(words($0.breaker.rawValue))", N.minute($0.time)) })
        }
        return out
    }

    private static func extremes(_ r: BacktestResult) -> String {
        let ranked = r.trades.sorted { $0.profit > $1.profit }
        if ranked.isEmpty { return "" }
        let chosen = ranked.count <= 10 ? ranked : Array(ranked.prefix(5)) + ranked.suffix(5)
        return table(
            ranked.count <= 10 ? "All trades" : "Best and worst trades", ["Instrument", "Side", "Opened", "Closed", "Quantity", "Entry", "Exit", "Profit"],
            chosen.map {
                [
                    $0.instrument > 0 && $0.instrument <= r.instruments.count ? r.instruments[$0.instrument - 1] : "", $0.direction > 0 ? "long" : "short",
                    N.minute($0.opened), N.minute($0.closed), N.ratio($0.quantity, decimals: 4), N.money($0.entry), N.money($0.exit), N.money($0.profit, sign: true),
                ]
            }, text: 4)
    }

    private static func footer(_ r: BacktestResult, _ f: Figures) -> String {
        var parts = ["Ratios are taken from \(f.periodName) returns of the marked equity, after fees and funding; drawdown from every event."]
        parts.append("A trade is a fill that closes a position or part of one, at average cost.")
        if r.engineSeconds > 0 {
            parts.append("\(N.count(Int64(Double(r.events) / r.engineSeconds))) events a second in the engine, \(N.grouped(r.wholeSeconds, 2, false)) s in all.")
        }
        return "<footer>\(parts.map { HTML.escape($0) }.joined(separator: " "))</footer>"
    }

    // MARK: style

    private static let style = """
        :root{--paper:#fff;--ink:#1c2024;--soft:#60646c;--faint:#e4e6ea;--card:#f7f8fa;--c1:#1f5fbf;--c2:#b3402a;--c3:#5b6b2f;--gain:#17703c;--loss:#b3261e;--buy:#17703c;--sell:#b3261e;--range:#8b95a5}
        @media(prefers-color-scheme:dark){:root{--paper:#14171a;--ink:#e6e8eb;--soft:#9ba1a9;--faint:#2b3036;--card:#1b1f24;--c1:#6ea8ff;--c2:#ff8f73;--c3:#b5c878;--gain:#5dcb8b;--loss:#ff8178;--buy:#5dcb8b;--sell:#ff8178;--range:#7d8794}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
        main{max-width:1020px;margin:0 auto;padding:32px 24px 48px}
        h1{font-size:24px;margin:0 0 6px;font-weight:650}h2{font-size:15px;margin:0 0 8px;font-weight:650}
        section{margin-top:30px}
        .facts{margin:2px 0;color:var(--soft)}.facts span+span:before{content:"·";margin:0 8px}
        code{font:13px ui-monospace,Menlo,Consolas,monospace;background:var(--card);padding:1px 5px;border-radius:4px}
        .tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(145px,1fr));gap:10px;margin:22px 0 0}
        .tile{background:var(--card);border-radius:8px;padding:10px 12px}.tile dt{color:var(--soft);font-size:13px}
        .tile dd{margin:1px 0 0;font-size:21px;font-weight:600;font-variant-numeric:tabular-nums;white-space:nowrap}.tile p{margin:2px 0 0;color:var(--soft);font-size:12.5px}.tile i{font-style:normal;white-space:nowrap}
        .gain{color:var(--gain)}.loss{color:var(--loss)}
        figure{margin:0}figcaption{color:var(--soft);font-size:13px;margin-top:2px}
        svg{display:block;width:100%;height:auto}
        svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;fill:var(--soft);font-variant-numeric:tabular-nums}
        svg .legend{fill:var(--ink)}
        .grid{stroke:var(--faint)}.base,.tick{stroke:var(--soft);stroke-opacity:.6}
        .line{fill:none;stroke-width:1.6;stroke-linejoin:round}.line.c1{stroke:var(--c1)}.line.c2{stroke:var(--c2)}.line.c3{stroke:var(--c3)}
        .fill{stroke:none;fill-opacity:.18}.fill.c1{fill:var(--c1)}.fill.c2{fill:var(--c2)}.fill.c3{fill:var(--c3)}
        .range{stroke:var(--range);stroke-width:1;fill:none}
        .mark{stroke:var(--paper);stroke-width:1}.mark.buy{fill:var(--buy)}.mark.sell{fill:var(--sell)}
        .scroll{overflow-x:auto}
        table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13.5px}
        .data{width:100%}.data th,.data td{text-align:right;padding:4px 8px;white-space:nowrap}.data .t{text-align:left}
        .data thead th{color:var(--soft);font-weight:500;border-bottom:1px solid var(--faint)}.data tbody tr+tr td{border-top:1px solid var(--faint)}
        .data th:first-child,.data td:first-child{padding-left:0}.data th:last-child,.data td:last-child{padding-right:0}
        .months{width:100%}.months th{color:var(--soft);font-weight:500;padding:4px 6px;text-align:right}.months th:first-child{text-align:left;padding-left:0}
        .months td{text-align:right;padding:5px 6px;border:1px solid var(--paper)}.total{font-weight:600}
        .g1{background:color-mix(in srgb,var(--gain) 8%,transparent)}.g2{background:color-mix(in srgb,var(--gain) 15%,transparent)}.g3{background:color-mix(in srgb,var(--gain) 22%,transparent)}.g4{background:color-mix(in srgb,var(--gain) 30%,transparent)}.g5{background:color-mix(in srgb,var(--gain) 38%,transparent)}
        .l1{background:color-mix(in srgb,var(--loss) 8%,transparent)}.l2{background:color-mix(in srgb,var(--loss) 15%,transparent)}.l3{background:color-mix(in srgb,var(--loss) 22%,transparent)}.l4{background:color-mix(in srgb,var(--loss) 30%,transparent)}.l5{background:color-mix(in srgb,var(--loss) 38%,transparent)}
        .columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(260px,1fr));gap:0 34px}
        .pairs{width:100%}.pairs th{font-weight:400;text-align:left;color:var(--soft);padding:3px 8px 3px 0}.pairs td{text-align:right;padding:3px 0;white-space:pre}
        .pairs tr+tr th,.pairs tr+tr td{border-top:1px solid var(--faint)}
        .findings{list-style:none;margin:0;padding:0}.findings li{border-left:3px solid var(--soft);padding:4px 0 4px 12px;margin:8px 0}.findings span{display:block;color:var(--soft)}
        .findings .serious{border-color:var(--loss)}.findings .warning{border-color:#c98a1b}
        footer{margin-top:36px;color:var(--soft);font-size:12.5px}
        @media print{:root{--paper:#fff;--ink:#000;--soft:#444;--faint:#ccc;--card:#f4f4f4;--c1:#1f5fbf;--c2:#b3402a;--c3:#5b6b2f;--gain:#17703c;--loss:#b3261e;--buy:#17703c;--sell:#b3261e;--range:#777}main{max-width:none;padding:0}section,figure,tr{break-inside:avoid}body{font-size:10pt}.scroll{overflow:visible}.data,.pairs,.months{font-size:7.5pt}.data th,.data td{padding:2px 4px}.columns{grid-template-columns:repeat(3,1fr);gap:0 18px}.tiles{grid-template-columns:repeat(6,1fr);gap:6px}.tile{padding:6px 8px}.tile dd{font-size:13pt}.tile p,.tile dt{font-size:7.5pt}.tile i{white-space:normal}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
        """
}

/// Returns by calendar month, from the equity at the months' ends.
struct MonthTable {
    struct Year {
        var year: Int
        var months: [Double?]
        var total: Double
    }

    private(set) var years: [Year] = []

    init(_ result: BacktestResult) {
        let points = result.samples + (result.curve.last.map { [$0] } ?? [])
        guard let first = points.first, first.equity > 0 else { return }
        let day: Int64 = 86_400_000_000_000
        // A sample at a month's first instant is the end of the month before.
        var ends: [(year: Int, month: Int, equity: Double)] = []
        for point in points.dropFirst() {
            let date = UTCTime.date(days: Int((point.time - 1) / day))
            if let last = ends.last, last.year == date.year, last.month == date.month { ends[ends.count - 1].equity = point.equity } else { ends.append((date.year, date.month, point.equity)) }
        }
        var before = first.equity
        var yearStart = first.equity
        for end in ends {
            if years.last?.year != end.year {
                yearStart = before
                years.append(Year(year: end.year, months: Array(repeating: nil, count: 12), total: 0))
            }
            guard before > 0, yearStart > 0 else { return }
            years[years.count - 1].months[end.month - 1] = end.equity / before - 1
            years[years.count - 1].total = end.equity / yearStart - 1
            before = end.equity
        }
    }
}
