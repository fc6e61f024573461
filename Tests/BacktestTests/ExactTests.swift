import Foundation
import HostCore
import PluginAPI
import PluginKit
import Tape
import Testing

@testable import HostBacktest

/// The two deciders against loops that know nothing of engines: same fills, same equity.
@Suite struct ExactTests {
    struct Fill: Equatable {
        var index: Int
        var time: Int64
        var buy: Bool
        var price: Int64
    }

    struct Outcome {
        var fills: [Fill] = []
        var cash: Double
        var equity: Double
        var units: Double = 0
    }

    static func bars(_ file: TapeFile) throws -> [keel_ev_bar] {
        var all: [keel_ev_bar] = []
        all.reserveCapacity(file.eventCount)
        let cursor = TapeCursor(file)
        while let span = try cursor.next() { span.forEach { all.append(UnsafeRawPointer($0).loadUnaligned(as: keel_ev_bar.self)) } }
        return all
    }

    static func ticks(_ file: TapeFile) throws -> [keel_ev_trade] {
        var all: [keel_ev_trade] = []
        all.reserveCapacity(file.eventCount)
        let cursor = TapeCursor(file)
        while let span = try cursor.next() { span.forEach { all.append(UnsafeRawPointer($0).loadUnaligned(as: keel_ev_trade.self)) } }
        return all
    }

    /// EMA cross as the issue words it, in doubles, no fused operations.
    static func crossByHand(_ bars: [keel_ev_bar], fast: Double = 10, slow: Double = 20, warmup: Int = 20, start: Double = 1_000_000) -> Outcome {
        var out = Outcome(cash: start, equity: start)
        let a = 2 / (fast + 1)
        let b = 2 / (slow + 1)
        var f = 0.0
        var s = 0.0
        var before = 0.0
        var order: Bool?
        for (i, bar) in bars.enumerated() {
            if let buy = order {
                let price = Double(bar.bar.open) / 100_000_000
                out.cash += (buy ? -price : price) - 0.001 * price
                out.units += buy ? 1 : -1
                out.fills.append(Fill(index: i, time: 0, buy: buy, price: bar.bar.open))
                order = nil
            }
            let close = Double(bar.bar.close) / 100_000_000
            if i == 0 {
                f = close
                s = close
            } else {
                f = a * close + (1 - a) * f
                s = b * close + (1 - b) * s
            }
            let d = f - s
            if i > 0, i >= warmup {
                if before <= 0, d > 0, out.units == 0 { order = true } else if before >= 0, d < 0, out.units > 0 { order = false }
            }
            before = d
            out.equity = out.cash + out.units * close
        }
        return out
    }

    /// The z-score decider as the issue words it.
    static func deviationByHand(_ ticks: [keel_ev_trade], warmup: Int = 5000, start: Double = 1_000_000) -> Outcome {
        var out = Outcome(cash: start, equity: start)
        let a = 1.0 / 512
        var mean = 0.0
        var variance = 0.0
        var last = Int64.min / 2
        for (i, tick) in ticks.enumerated() {
            let p = Double(tick.price) / 100_000_000
            if i == 0 {
                mean = p
            } else {
                let d = p - mean
                if i >= warmup, d * d > 9 * variance, tick.head.at_source - last >= 60_000_000_000 {
                    let buy = d < 0
                    out.cash += (buy ? -p : p) - 0.001 * p
                    out.units += buy ? 1 : -1
                    out.fills.append(Fill(index: i, time: tick.head.at_source, buy: buy, price: tick.price))
                    last = tick.head.at_source
                }
                mean += a * d
                variance = (1 - a) * (variance + (a * d) * d)
            }
            out.equity = out.cash + out.units * p
        }
        return out
    }

    static let capital = Amount(raw: 1_000_000_00_000_000)
    static let wide = "\"borrow\":true,\"cash\":\"1000000\",\"taker_fee\":\"0.001\""

    static func cross(_ tapes: [TapeFile]) throws -> Backtest {
        var request = Backtest.Request(manifest: Rig.manifest([Rig.open("btc", decider: "ema", instruments: ["BTC/USDT"], capital: capital)]))
        request.tapes = tapes
        return try Backtest(
            request,
            plugins: [
                Rig.plugin("sim", "Sim", "{\"fill\":\"next-open\",\(wide)}"), Rig.plugin("direct", "DirectRouter"), Rig.plugin("ema", "EMACross"),
            ])
    }

    static func deviation(_ tapes: [TapeFile]) throws -> Backtest {
        var settings = Rig.open("btc", decider: "z", instruments: ["BTC/USDT"], capital: capital)
        settings.risk.allowShort = true
        var request = Backtest.Request(manifest: Rig.manifest([settings]))
        request.tapes = tapes
        return try Backtest(
            request,
            plugins: [
                Rig.plugin("sim", "Sim", "{\"fill\":\"this-tick\",\(wide)}"), Rig.plugin("direct", "DirectRouter"), Rig.plugin("z", "ZScore"),
            ])
    }

    #if DEBUG
        static let barCount = 150_000
        static let tickCount = 300_000
    #else
        static let barCount = 1_000_000
        static let tickCount = 5_000_000
    #endif

    @Test(arguments: [UInt64(1), 2]) func theCrossIsTheLoop(seed: UInt64) throws {
        let rig = try Rig()
        let file = try rig.tape(.bars, Self.barCount, seed: seed)
        let bars = try Self.bars(file)
        let expected = Self.crossByHand(bars)
        let result = try Self.cross([file]).run()
        #expect(result.events == Self.barCount)
        #expect(expected.fills.count > Self.barCount / 100)
        let fills = result.fills.map { Fill(index: $0.index, time: 0, buy: $0.side == KEEL_BUY, price: $0.price.raw) }
        #expect(fills.count == expected.fills.count)
        if fills != expected.fills, let at = zip(fills, expected.fills).enumerated().first(where: { $0.element.0 != $0.element.1 }) {
            Issue.record("seed \(seed): fill \(at.offset) is \(at.element.0), expected \(at.element.1)")
        }
        #expect(abs(result.equity.double - expected.equity) < 1e-5, "\(result.equity.double) \(expected.equity)")
        #expect(abs(result.cash.double - expected.cash) < 1e-5)
        #expect(result.refusals.isEmpty, "\(result.refusals)")
    }

    @Test(arguments: [UInt64(3), 4]) func theDeviationIsTheLoop(seed: UInt64) throws {
        let rig = try Rig()
        let file = try rig.tape(.trades, Self.tickCount, seed: seed)
        let ticks = try Self.ticks(file)
        let expected = Self.deviationByHand(ticks)
        let result = try Self.deviation([file]).run()
        #expect(result.events == Self.tickCount)
        #expect(expected.fills.count >= 10)
        let fills = result.fills.map { Fill(index: $0.index, time: $0.time, buy: $0.side == KEEL_BUY, price: $0.price.raw) }
        #expect(fills.count == expected.fills.count)
        if fills != expected.fills, let at = zip(fills, expected.fills).enumerated().first(where: { $0.element.0 != $0.element.1 }) {
            Issue.record("seed \(seed): fill \(at.offset) is \(at.element.0), expected \(at.element.1)")
        }
        #expect(abs(result.equity.double - expected.equity) < 1e-5, "\(result.equity.double) \(expected.equity)")
        #expect(result.refusals.isEmpty, "\(result.refusals)")
    }
}
