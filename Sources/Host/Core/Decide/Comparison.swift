import PluginAPI
import PluginKit

/// What each of two deciders would have made on the same snapshots: the primary's answers and the shadow's, each followed with
/// a purse of its own, at the prices they saw, with the same fee. Not what was traded: exits of the safety layer, limits and slips
/// are left out for both alike, so that only the answers differ.
public struct Comparison: Sendable, Equatable {
    public struct Side: Sendable, Equatable {
        public var decider: String
        public var answers = 0
        public var entries = 0
        public var exits = 0
        public var fees = 0.0
        public var cost = Amount.zero
        /// Growth of the purse, as a fraction, open positions at the last price.
        public var made = 0.0
        public var costPerDecision: Double { answers == 0 ? 0 : cost.double / Double(answers) }
    }

    public struct Answer: Sendable, Equatable {
        public var action: UInt32
        public var fraction: Fixed
        public var quantity: Fixed
        public var price: Fixed
        public var cost: Amount
        public var isUsable: Bool
        public init(action: UInt32, fraction: Fixed, quantity: Fixed, price: Fixed, cost: Amount, isUsable: Bool) {
            self.action = action
            self.fraction = fraction
            self.quantity = quantity
            self.price = price
            self.cost = cost
            self.isUsable = isUsable
        }
    }

    /// A purse of 1 and what of it is in the market, by instrument.
    private struct Purse: Sendable, Equatable {
        var cash = 1.0
        var held: [String: Double] = [:]

        func worth(_ prices: [String: Double]) -> Double { held.sorted { $0.key < $1.key }.reduce(cash) { $0 + $1.value * (prices[$1.key] ?? 0) } }
    }

    public let feeRate: Double
    public private(set) var primary: Side
    public private(set) var shadow: Side
    public private(set) var pairs = 0
    public private(set) var agreed = 0
    private var purses = (Purse(), Purse())
    private var prices: [String: Double] = [:]
    private var waiting: [UInt64: (answer: Answer, isShadow: Bool)] = [:]

    public init(primary: String, shadow: String, feeRate: Double = 0.001) {
        self.primary = Side(decider: primary)
        self.shadow = Side(decider: shadow)
        self.feeRate = feeRate
    }

    public static func == (a: Comparison, b: Comparison) -> Bool { a.primary == b.primary && a.shadow == b.shadow && a.pairs == b.pairs && a.agreed == b.agreed }

    public var agreement: Double { pairs == 0 ? 0 : Double(agreed) / Double(pairs) }

    public mutating func add(_ record: DecisionRecord, symbol: String, isShadow: Bool) {
        add(
            sequence: record.sequence, symbol: symbol, isShadow: isShadow,
            Answer(
                action: record.action, fraction: record.fraction, quantity: record.quantity, price: record.price, cost: record.cost,
                isUsable: record.outcome != .invalid))
    }

    /// Takes an answer of either. The two to one question find each other by its sequence; only pairs count.
    public mutating func add(sequence: UInt64, symbol: String, isShadow: Bool, _ answer: Answer) {
        guard let other = waiting.removeValue(forKey: sequence) else {
            waiting[sequence] = (answer, isShadow)
            // An answer whose other half never comes is forgotten.
            if waiting.count > 64, let oldest = waiting.keys.min() { waiting[oldest] = nil }
            return
        }
        guard other.isShadow != isShadow else { return }
        let first = isShadow ? other.answer : answer
        let second = isShadow ? answer : other.answer
        pairs += 1
        if first.action == second.action { agreed += 1 }
        if first.price.isPositive { prices[symbol] = first.price.double }
        Self.follow(first, symbol, &purses.0, &primary, prices, feeRate)
        Self.follow(second, symbol, &purses.1, &shadow, prices, feeRate)
    }

    private static func follow(
        _ record: Answer, _ symbol: String, _ purse: inout Purse, _ side: inout Side, _ prices: [String: Double], _ feeRate: Double
    ) {
        side.answers += 1
        side.cost = (try? side.cost.adding(record.cost)) ?? side.cost
        let fraction = min(max(record.fraction.double, 0), 1)
        if let price = prices[symbol], price > 0, record.isUsable {
            let held = purse.held[symbol] ?? 0
            if record.action == KEEL_ACT_BUY {
                // An exact quantity stands for whatever share of the purse it was: without the account behind it, all of the fraction allowed.
                let spent = min(purse.worth(prices) * (record.quantity.isPositive && fraction == 0 ? 1 : fraction), purse.cash / (1 + feeRate))
                if spent > 0 {
                    purse.held[symbol] = held + spent / price
                    purse.cash -= spent * (1 + feeRate)
                    side.fees += spent * feeRate
                    side.entries += 1
                }
            } else if record.action == KEEL_ACT_SELL, held > 0 {
                let sold = held * (fraction > 0 ? fraction : 1)
                purse.held[symbol] = held - sold
                purse.cash += sold * price * (1 - feeRate)
                side.fees += sold * price * feeRate
                side.exits += 1
            }
        }
        side.made = purse.worth(prices) - 1
    }
}
