import Foundation
import HostCore
import PluginAPI
import PluginKit
import Tape
import Testing

@testable import HostBacktest

@Suite struct ScoreTests {
    /// Cash, fees, trades and drawdown against sums done by hand.
    @Test func aLongAndAShortByHand() throws {
        let minute: Int64 = 60_000_000_000
        let score = Score(startEquity: Amount(raw: 1_000_00_000_000), multipliers: [.one], first: 0, last: 100 * minute)
        func at(_ m: Int64, _ price: Int64, _ fill: FillTally? = nil) {
            score.advance(to: m * minute)
            if let fill { score.fill(fill, index: Int(m)) }
            score.mark(1, price: price * 100_000_000)
        }
        func f(_ side: UInt32, _ price: Int64, _ quantity: Int64, _ m: Int64) throws -> FillTally {
            SampleRun.fill(side, try Fixed(whole: price), try Fixed(whole: quantity), at: m * minute, fee: Amount(raw: 100_000_000))
        }
        at(1, 100)
        at(2, 100, try f(KEEL_BUY, 100, 2, 2))  // cash 799, fee 1
        at(3, 120)  // equity 799 + 240 = 1039
        at(4, 90)  // 979: fall from 1039
        at(5, 90, try f(KEEL_SELL, 90, 5, 5))  // closes 2, opens short 3: cash 799 + 450 - 1 = 1248
        at(6, 80)  // 1248 - 240 = 1008
        at(7, 80, try f(KEEL_BUY, 80, 3, 7))  // cash 1248 - 240 - 1 = 1007
        score.finish()
        #expect(score.equity == Amount(raw: 1007_00_000_000) && score.cash == score.equity && score.fees == Amount(raw: 300_000_000))
        #expect(score.trades.map(\.direction) == [1, -1])
        // First: 2 × (90 − 100) − 1 − 2/5 of the second fee. Second: 3 × (90 − 80) − 3/5 − 1.
        #expect(abs(score.trades[0].profit + 21.4) < 1e-9 && abs(score.trades[1].profit - 28.4) < 1e-9)
        #expect(abs(score.trades.reduce(0) { $0 + $1.profit } - 7) < 1e-9)
        // The lowest point is right after the sale's fee: 1248 − 3 × 90 = 978.
        #expect(abs(score.maxDrawdown - (978.0 / 1039 - 1)) < 1e-12)
        #expect(score.drawdownPeak == 3 * minute && score.drawdownTrough == 5 * minute)
        #expect(abs(score.timeInMarket - 5.0 / 7) < 1e-12)
        #expect(score.turnover == Amount(raw: 890_00_000_000))
    }

    @Test(arguments: [UInt64(1), 2, 3, 4, 5]) func equityIsCashAndPositionWhateverTheFills(seed: UInt64) throws {
        var chance = SeededGenerator(seed: seed)
        let score = Score(startEquity: Amount(raw: 100_000_00_000_000), multipliers: [.one, Fixed(raw: 1_000_000)], first: 0, last: 1_000_000_000_000)
        var cash: Int128 = 100_000_00_000_000
        var units: [Int128] = [0, 0, 0]
        var price: [Int64] = [0, 5_000_000_000, 300_000_000_000]
        var peak = 100_000.0
        var worst = 0.0
        for step in 1...2000 {
            let time = Int64(step) * 500_000_000
            score.advance(to: time)
            let which = 1 + Int(chance.below(2))
            price[which] = max(100_000_000, price[which] + Int64(chance.bell() * 1e7))
            if chance.chance(0.2) {
                let quantity = Int64(1 + chance.below(500)) * 1_000_000
                let buy = chance.chance(0.5)
                let notional = Int128(price[which]) * Int128(quantity) / 100_000_000
                let value = which == 2 ? notional / 100 : notional
                cash += buy ? -value : value
                cash -= 12345
                units[which] += Int128(buy ? quantity : -quantity)
                score.fill(SampleRun.fill(buy ? KEEL_BUY : KEEL_SELL, Fixed(raw: price[which]), Fixed(raw: quantity), at: time, fee: Amount(raw: 12345), instrument: UInt32(which)), index: step)
            }
            score.mark(which, price: price[which])
            let equity = cash + units[1] * Int128(price[1]) / 100_000_000 + units[2] * Int128(price[2]) / 10_000_000_000
            // Divisions truncate here and round there: a few steps of 1e-8.
            #expect(abs(Double(score.equity.raw - equity)) < 3000, "seed \(seed) step \(step)")
            peak = max(peak, Double(equity) / 1e8)
            worst = min(worst, Double(equity) / 1e8 / peak - 1)
        }
        score.finish()
        #expect(abs(score.maxDrawdown - worst) < 1e-6, "seed \(seed)")
        // What the trades made and what is still open add up to the change of equity.
        let open = (1...2).reduce(0.0) { $0 + Double(units[$1]) * Double(price[$1]) * 1e-16 * ($1 == 2 ? 0.01 : 1) }
        #expect(abs(Double(cash) / 1e8 + open - score.equity.double) < 1e-3)
        #expect(score.samples.first?.time == 0 && score.samples.allSatisfy { $0.time % score.samplePeriod == 0 })
    }
}

@Suite struct ReportTests {
    @Test func pageStandsAloneAndEscapes() {
        var result = SampleRun.result(bars: 60_000)
        result.pipelines = ["<script>alert('x')</script>"]
        result.instruments = ["A\"&<B>/USD"]
        result.changes = ["decide.primary=<img onerror=1>"]
        result.findings = [Finding(.warning, "few-trades", "a < b & \"c\"", advice: "<b>no</b>")]
        let page = ReportPage.render(result)
        #expect(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>no"))
        for outside in ["http:", "https:", "//", "src=", "@import", "url("] { #expect(!page.contains(outside), "\(outside)") }
        #expect(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"))
        for part in ["Equity", "Months", "Exposure", "Decisions", "Gate", "Refused", "Costs", "What to look at"] { #expect(page.contains(part), "\(part)") }
        #expect(HTML.escape("a\u{202E}b\u{0}c") == "a\u{FFFD}b\u{FFFD}c")
        // Opening and closing tags balance.
        for tag in ["div", "section", "table", "tr", "td", "svg", "g", "ul", "li"] {
            let opened = page.components(separatedBy: "<\(tag) ").count + page.components(separatedBy: "<\(tag)>").count - 2
            #expect(opened == page.components(separatedBy: "</\(tag)>").count - 1, "\(tag)")
        }
        #expect(!page.contains("nan") && !page.contains("inf\""))
    }

    @Test func emptyRunsMakeReportsToo() {
        var result = BacktestResult()
        result.pipelines = ["none"]
        #expect(ReportPage.render(result).contains("</html>"))
        #expect(ReportText.summary(result).contains("Net profit"))
        #expect(ReportJSON.value(result).find("fills") == [])
        result = SampleRun.result(bars: 3)
        #expect(ReportPage.render(result).contains("</html>"))
    }

    @Test func jsonHoldsEveryFill() throws {
        let result = SampleRun.result(bars: 20_000)
        let json = try JSONValue(parsing: ReportJSON.value(result).text(.compact))
        let fills = try json["fills"].list
        #expect(fills.count == result.fills.count && fills.count > 4)
        #expect(try fills[0]["price"].fixed == result.fills[0].price)
        #expect(try fills[0]["index"].int == result.fills[0].index)
        #expect(try fills[0]["side"].text == "buy")
        #expect(try json["equity"].amount == result.equity)
        #expect(try json["counts"]["fills"].int == fills.count)
    }

    @Test func monthsAddUpToTheYear() {
        let result = SampleRun.result(bars: 500_000)
        let table = MonthTable(result)
        #expect(table.years.map(\.year) == [2024])
        let product = table.years.flatMap { $0.months.compactMap { $0 } }.reduce(1.0) { $0 * (1 + $1) }
        #expect(abs(product - result.equity.double / result.startEquity.double) < 1e-9)
        #expect(table.years[0].months.compactMap { $0 }.count == 12)
    }

    @Test func ticksAreRound() {
        #expect(Chart.ticks(0, 100, 5) == [0, 20, 40, 60, 80, 100])
        #expect(Chart.ticks(-0.03, 0.02, 5).count >= 4)
        #expect(Chart.ticks(1, 1, 5) == [1])
        let day: Int64 = 86_400_000_000_000
        for days in [1, 3, 10, 40, 100, 400, 1500, 9000] as [Int64] {
            let ticks = Chart.timeTicks(1_704_067_200_000_000_000, 1_704_067_200_000_000_000 + days * day, 8)
            #expect(ticks.count >= 2 && ticks.count <= 9, "\(days): \(ticks.map(\.1))")
        }
    }

    /// Pages to look at: KEEL_REPORT_PAGES names a folder.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["KEEL_REPORT_PAGES"] != nil)) func writePages() throws {
        let folder = ProcessInfo.processInfo.environment["KEEL_REPORT_PAGES"] ?? ""
        var result = SampleRun.result(bars: 500_000)
        result.findings = [
            Finding(.serious, "fees", "Fees of 1,204 are more than the gross profit of 803.", advice: "Trade less often, or at a venue with lower fees."),
            Finding(.note, "few-trades", "18 trades are too few to tell skill from luck.", advice: "Use a longer tape."),
        ]
        try ReportPage.render(result).write(toFile: folder + "/long.html", atomically: true, encoding: .utf8)
        try ReportPage.render(SampleRun.result(bars: 5000)).write(toFile: folder + "/short.html", atomically: true, encoding: .utf8)
        print(ReportText.summary(result))
    }
}
