import PluginAPI
import Tape

/// The fixed loop every other figure is divided by: an EMA cross over closes in memory, compiled with this program.
enum LoopFigures: FigureGroup {
    static let name = "loop"

    static func run(_ bench: Bench) throws {
        let bars = try bench.tape(.bars, 1_000_000)
        var closes: [Int64] = []
        closes.reserveCapacity(1_000_000)
        let cursor = TapeCursor(bars)
        while let span = try cursor.next() {
            span.forEach { closes.append(UnsafeRawPointer($0).assumingMemoryBound(to: keel_ev_bar.self).pointee.bar.close) }
        }
        let figure = Figure(name: "fixed loop", values: bench.measure("fixed loop") { cross(closes) }, unit: .perBar, note: "an EMA cross over closes in memory")
        bench.reference = figure.median
        bench.report(figure)
    }

    /// Nanoseconds a bar.
    private static func cross(_ closes: [Int64]) -> Double {
        var result = 0.0
        let seconds = Measure.seconds {
            for _ in 0..<20 {
                var fast = Double(closes[0]) * 1e-8
                var slow = fast
                var crossings = 0
                var before = 0.0
                for close in closes {
                    let c = Double(close) * 1e-8
                    fast = 2.0 / 11 * c + (1 - 2.0 / 11) * fast
                    slow = 2.0 / 21 * c + (1 - 2.0 / 21) * slow
                    let d = fast - slow
                    if (before <= 0) != (d <= 0) { crossings += 1 }
                    before = d
                }
                result += Double(crossings)
            }
        }
        return result > 0 ? seconds / 20 / Double(closes.count) * 1e9 : .nan
    }
}
