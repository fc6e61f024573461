import Foundation
import PluginAPI

/// A closed trade with the situation it was opened in: what similar situations are looked up among.
public struct Situation: Sendable, Equatable, Codable {
    public var symbol: String
    public var regime: UInt32
    public var macro: UInt32
    /// 0 quiet, 1 usual, 2 wild: the last day's move among the instrument's own past.
    public var volatility: UInt32
    /// Names of the signals that spoke for the trade, sorted.
    public var signals: [String]
    public var side: Int32
    public var profit: Double
    public var hours: Double
}

/// The journal of situations: bounded, oldest out first.
public struct Situations: Sendable, Equatable, Codable {
    public static let most = 2_000
    public private(set) var list: [Situation] = []

    public init() {}

    public mutating func add(_ situation: Situation) {
        list.append(situation)
        if list.count > Self.most { list.removeFirst(list.count - Self.most) }
    }

    /// Points for what two situations share; the more, the more alike.
    static func likeness(_ a: Situation, regime: UInt32, macro: UInt32, volatility: UInt32, symbol: String) -> Int {
        (a.regime == regime ? 4 : 0) + (a.volatility == volatility ? 3 : 0) + (a.symbol == symbol ? 2 : 0) + (a.macro == macro ? 1 : 0)
    }

    /// A few lines for the decider about the most similar trades, newest first among equals; empty without any.
    public func words(regime: UInt32, macro: UInt32, volatility: UInt32, symbol: String, most: Int = 20) -> String {
        var alike: [(place: Int, points: Int)] = []
        for (place, situation) in list.enumerated() {
            let points = Self.likeness(situation, regime: regime, macro: macro, volatility: volatility, symbol: symbol)
            if points >= 7 { alike.append((place, points)) }
        }
        alike.sort { $0.points == $1.points ? $0.place > $1.place : $0.points > $1.points }
        let trades = alike.prefix(most).map { list[$0.place] }
        guard !trades.isEmpty else { return "" }
        let won = trades.filter { $0.profit > 0 }.count
        let mean = trades.reduce(0) { $0 + $1.profit } / Double(trades.count)
        var lines = ["\(trades.count) similar closed trades: \(won) won, \(signed(mean)) on average after fees."]
        for trade in trades.prefix(3) {
            let by = trade.signals.isEmpty ? "no named signal" : trade.signals.joined(separator: ", ")
            lines.append("\(trade.side > 0 ? "Long" : "Short") on \(by): \(signed(trade.profit)) in \(String(format: "%.1f", trade.hours)) h.")
        }
        return lines.joined(separator: "\n")
    }
}

private func signed(_ fraction: Double) -> String { String(format: "%+.2f %%", fraction * 100) }
