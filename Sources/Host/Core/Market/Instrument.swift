import PluginAPI
import PluginKit

/// Exact rules of an instrument, as the order path needs them.
public struct Instrument: Sendable, Equatable {
    public let id: keel_instrument_id
    public let kind: InstrumentSettings.Kind
    public let tick: Fixed
    public let lot: Fixed
    public let minimumQuantity: Fixed
    public let maximumQuantity: Fixed
    public let multiplier: Fixed
    public let minimumNotional: Amount

    public init(_ settings: InstrumentSettings, id: keel_instrument_id) {
        self.id = id
        kind = settings.kind
        tick = settings.tick
        lot = settings.lot
        minimumQuantity = settings.minimumQuantity
        maximumQuantity = settings.maximumQuantity
        multiplier = settings.multiplier.isPositive ? settings.multiplier : .one
        minimumNotional = settings.minimumNotional
    }

    /// Spot and stocks are owned; the others are contracts whose positions the venue keeps.
    public var isOwned: Bool { kind == .spot || kind == .stock }

    /// What a quantity is worth at a price, in the quote asset.
    public func notional(_ quantity: Fixed, at price: Fixed) throws(NumberError) -> Amount {
        let plain = price.notional(quantity)
        return multiplier == .one ? plain : try plain.multiplied(by: multiplier)
    }

    public func notional(_ quantity: Amount, at price: Fixed) throws(NumberError) -> Amount {
        let plain = try quantity.multiplied(by: price)
        return multiplier == .one ? plain : try plain.multiplied(by: multiplier)
    }

    /// The largest valid quantity a sum of money buys; zero if that is below the least the venue takes.
    public func quantity(for money: Amount, at price: Fixed) throws(NumberError) -> Fixed {
        guard price.isPositive, money.isPositive else { return .zero }
        let unit = multiplier == .one ? Amount(price) : try Amount(price).multiplied(by: multiplier)
        guard unit.isPositive else { return .zero }
        let units = try money.divided(by: unit, rounding: .down)
        let wanted = maximumQuantity.isPositive ? min(units, Amount(maximumQuantity)) : units
        return try wanted.fixed().rounded(to: lot, .down)
    }

    /// Why a quantity and price cannot be ordered; nil: they can. `price` zero: no notional check.
    public func problem(quantity: Fixed, price: Fixed, limit: Fixed = .zero, trigger: Fixed = .zero) -> Refusal? {
        if !quantity.isPositive { return Refusal(.zeroSize, Amount(quantity), .zero) }
        if !quantity.isMultiple(of: lot) { return Refusal(.instrumentLot, Amount(quantity), Amount(lot)) }
        if quantity < minimumQuantity { return Refusal(.belowMinimum, Amount(quantity), Amount(minimumQuantity)) }
        if maximumQuantity.isPositive, quantity > maximumQuantity {
            return Refusal(.instrumentMaximum, Amount(quantity), Amount(maximumQuantity))
        }
        if !limit.isMultiple(of: tick) { return Refusal(.instrumentTick, Amount(limit), Amount(tick)) }
        if !trigger.isMultiple(of: tick) { return Refusal(.instrumentTick, Amount(trigger), Amount(tick)) }
        if minimumNotional.isPositive, price.isPositive {
            guard let worth = try? notional(quantity, at: price) else { return Refusal(.numberRange, Amount(quantity), Amount(price)) }
            if worth < minimumNotional { return Refusal(.belowMinimum, worth, minimumNotional) }
        }
        return nil
    }

    /// So little that the venue would not take an order for it: treated as no position.
    public func isDust(_ quantity: Amount) -> Bool {
        let size = quantity.raw.magnitude
        if size == 0 { return true }
        let least = max(lot.raw, minimumQuantity.raw, 1)
        return size < UInt128(least.magnitude)
    }
}
