import PluginAPI
import PluginKit

/// How much of what a decision asks for may be ordered.
public enum Sizing {
    public struct Entry: Sendable {
        public var fraction: Fixed
        /// Exact quantity asked for; zero: use the fraction.
        public var quantity: Fixed
        public var side: UInt32
        public var kelly: KellyHistory
        public init(fraction: Fixed, quantity: Fixed, side: UInt32, kelly: KellyHistory) {
            self.fraction = fraction
            self.quantity = quantity
            self.side = side
            self.kelly = kelly
        }
    }

    /// The fraction of equity that history allows; nil: no history yet, or no cap wanted.
    public static func kellyCap(_ history: KellyHistory, _ settings: RiskSettings) -> Fixed? {
        guard let share = settings.kelly, let full = history.fraction(atLeast: settings.kellyTrades) else { return nil }
        return try? Fixed(nearest: min(full, 1_000) * share.double)
    }

    /// An exact quantity is taken as it is (the gate refuses what is too much); a fraction is brought down to what every
    /// limit leaves room for.
    public static func entry(_ wanted: Entry, in context: RiskContext) -> Result<Fixed, Refusal> {
        do {
            return try size(wanted, in: context)
        } catch {
            return .failure(Refusal(.numberRange, Amount(wanted.fraction), context.equity))
        }
    }

    private static func size(_ wanted: Entry, in context: RiskContext) throws(NumberError) -> Result<Fixed, Refusal> {
        let settings = context.settings
        let instrument = context.instrument
        if wanted.quantity.isPositive {
            let rounded = try wanted.quantity.rounded(to: instrument.lot, .down)
            if !rounded.isPositive { return .failure(Refusal(.belowMinimum, Amount(wanted.quantity), Amount(instrument.lot))) }
            if let cap = kellyCap(wanted.kelly, settings), !cap.isPositive { return .failure(Refusal(.kelly, Amount(rounded), Amount(cap))) }
            return .success(rounded)
        }
        guard wanted.fraction.isPositive else { return .failure(Refusal(.zeroSize, Amount(wanted.fraction), .zero)) }
        guard context.price.isPositive else { return .failure(Refusal(.noPrice)) }
        guard context.equity.isPositive else { return .failure(Refusal(.noEquity, context.equity, .zero)) }

        var fraction = min(wanted.fraction, settings.maximumFraction)
        if let cap = kellyCap(wanted.kelly, settings) {
            if !cap.isPositive { return .failure(Refusal(.kelly, Amount(wanted.fraction), Amount(cap))) }
            fraction = min(fraction, cap)
        }
        var money = try context.equity.multiplied(by: fraction, rounding: .down)
        if let most = settings.maximumOrder { money = min(money, most) }
        if let most = settings.maximumPosition {
            let held = try instrument.notional(try context.position.adding(context.entering).magnitude(), at: context.price)
            let room = try most.subtracting(held)
            if !room.isPositive { return .failure(Refusal(.maximumPosition, held, most)) }
            money = min(money, room)
        }
        if let ratio = settings.maximumExposure {
            let most = try context.equity.multiplied(by: ratio, rounding: .down)
            let room = try most.subtracting(context.exposure)
            if !room.isPositive { return .failure(Refusal(.maximumExposure, context.exposure, most)) }
            money = min(money, room)
        }
        let quantity = try instrument.quantity(for: money, at: context.price)
        if let problem = instrument.problem(quantity: quantity, price: context.price) {
            // Too little to order is told as such, with the money there was.
            if problem.rule == .zeroSize { return .failure(Refusal(.belowMinimum, money, Amount(instrument.lot))) }
            return .failure(problem)
        }
        return .success(quantity)
    }

    /// Part of a position to close, rounded to lots; all of it when what stays would be dust.
    public static func exit(of position: Amount, fraction: Fixed, quantity: Fixed, instrument: Instrument) throws(NumberError) -> Fixed {
        let size = try position.magnitude()
        let most = instrument.maximumQuantity.isPositive ? min(size, Amount(instrument.maximumQuantity)) : size
        // What exceeds the widest order quantity is closed in several.
        let all = try min(most, Amount(Fixed.max)).fixed().rounded(to: instrument.lot, .down)
        let wanted: Fixed
        if quantity.isPositive {
            wanted = quantity
        } else if fraction >= .one {
            return all
        } else {
            wanted = try min(size.multiplied(by: fraction, rounding: .down), Amount(Fixed.max)).fixed()
        }
        let rounded = min(try wanted.rounded(to: instrument.lot, .down), all)
        let rest = try size.subtracting(Amount(rounded))
        return instrument.isDust(rest) ? all : rounded
    }
}
