import Foundation
import PluginAPI
import PluginKit
import Testing

@testable import HostCore

/// In its default setting the gate lets at most one event in ten through.
@Suite struct GateShareTests {
    struct Candle {
        var time: Int64
        var open: Double
        var high: Double
        var low: Double
        var close: Double
        var volume: Double
    }

    /// All bars of a market through an engine with default settings, whose decider holds; asked again when it says nothing.
    func run(_ candles: [Candle]) throws -> GateCounters {
        let set = Usual(recording: [])
        set.decider.observes = false
        set.decider.decide = { _ in .hold }
        set.rig.time = candles.first?.time ?? 0
        let settings = PipelineSettings(
            name: "default", feeds: ["feed"], instruments: ["BTC/USDT"], chain: ChainSettings(primary: "primary"), router: "direct", broker: "venue",
            capital: amount("10000"))
        try set.rig.build([settings])
        set.rig.start()
        for candle in candles {
            set.decider.questions.removeAll()
            let bar = barEvent(
                1, open: try Fixed(nearest: candle.open), high: try Fixed(nearest: candle.high), low: try Fixed(nearest: candle.low),
                close: try Fixed(nearest: candle.close), volume: Amount(try Fixed(nearest: candle.volume)), from: candle.time)
            bar.send(to: set.rig.engine, from: 0)
        }
        return set.rig.book().counters
    }

    func report(_ name: String, _ counters: GateCounters) {
        let all = Double(counters.passed + counters.timerPasses) / Double(counters.events)
        print(
            "gate, \(name): \(counters.passed) of \(counters.events) events passed, \(counters.timerPasses) more by the time alone: "
                + "\((all * 10_000).rounded() / 100) % (candle \(counters.candle), timer \(counters.timer), price \(counters.priceZ), "
                + "volume \(counters.volumeZ), wake \(counters.wake), asked \(counters.asked), watchdog \(counters.watchdog))")
        #expect(all <= 0.10)
        #expect(counters.candle > 0 && counters.priceZ > 0)
        #expect(counters.watchdog == 0 && counters.busy == 0)
    }

    /// Calm and volatile stretches, jumps, volume that follows them.
    @Test(arguments: [1, 2, 3] as [UInt64]) func onASeededMarket(seed: UInt64) throws {
        var dice = Dice(seed)
        var price = 40_000.0
        var wild = false
        let candles = (0..<20_000).map { index -> Candle in
            if dice.chance(0.002) { wild.toggle() }
            let open = price
            let jump = dice.chance(0.002) ? 8.0 : 1.0
            price *= exp((wild ? 0.0015 : 0.0005) * jump * dice.normal())
            let high = max(open, price) * (1 + 0.0002 * abs(dice.normal()))
            let low = min(open, price) * (1 - 0.0002 * abs(dice.normal()))
            return Candle(
                time: Rig.start + Int64(index) * Span.minute, open: open, high: high, low: low, close: price,
                volume: 1000 * jump * exp(0.7 * dice.normal()))
        }
        report("seed \(seed)", try run(candles))
    }

    static let file = ProcessInfo.processInfo.environment["KEEL_BARS_CSV"]

    /// A month of real bars: `timestamp,open,high,low,close,volume`, one a minute.
    @Test(.enabled(if: file != nil, "set KEEL_BARS_CSV to a file of one-minute bars")) func onARealMarket() throws {
        let text = try String(contentsOfFile: Self.file ?? "", encoding: .utf8)
        var candles: [Candle] = []
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(identifier: "UTC")
        format.dateFormat = "yyyy-MM-dd HH:mm:ss"
        for line in text.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: ",")
            let numbers = fields.dropFirst().compactMap { Double($0.trimmingCharacters(in: .whitespaces)) }
            guard fields.count == 6, numbers.count == 5, let date = format.date(from: String(fields[0].prefix(19))) else {
                Issue.record("line \"\(line)\" is not a bar")
                continue
            }
            candles.append(
                Candle(
                    time: Int64(date.timeIntervalSince1970) * Span.second, open: numbers[0], high: numbers[1], low: numbers[2], close: numbers[3],
                    volume: numbers[4]))
        }
        #expect(candles.count > 1000)
        report("\(candles.count) real bars", try run(candles))
    }
}
