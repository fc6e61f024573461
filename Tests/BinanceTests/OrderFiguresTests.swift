import Testing

@testable import BinanceConnector

@Suite struct OrderFiguresTests {
    @Test("the measurement measures: orders are built, ticks come, orders arrive")
    func measures() throws {
        var time: Int64 = 0
        let figures = try OrderFigures.measure(20) {
            time += 10
            return time
        }
        #expect(figures.built > 0)
        #expect(figures.tickToOrder.p50 > 0 && figures.tickToOrder.p50 <= figures.tickToOrder.p99 && figures.tickToOrder.p99 <= figures.tickToOrder.max)
    }
}
