import Testing

@testable import BinanceConnector

@Suite struct StreamFigureTests {
    /// The figure measures what it says: every message is read and handed on. How fast is for `make bench`.
    @Test func measuresRealWork() throws {
        var time: Int64 = 0
        let figures = try StreamFigures.measure(2_000) {
            time += 1_000_000
            return time
        }
        #expect(figures.parsed == 2_000_000)
        #expect(figures.delivered == 2_000_000)
        let kinds = Set(try StreamFigures.messages(200, seed: 3).map { message in
            switch try StreamParser().parse(message) {
            case .ticker: "ticker"
            case .trade: "trade"
            case .depth: "depth"
            case .kline: "kline"
            default: "other"
            }
        })
        #expect(kinds == ["ticker", "trade", "depth", "kline"])
    }
}
