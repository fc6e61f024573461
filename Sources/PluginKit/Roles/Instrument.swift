import PluginAPI

/// A tradable thing and the grid its orders must lie on.
public struct Instrument: Sendable, Equatable {
    public enum Kind: UInt32, Sendable {
        case unknown = 0, spot, perpetual, stock, future
    }

    public var id: UInt32
    public var kind: Kind
    /// Keel's form: BTC/USDT, BTC/USDT:USDT, 005930/KRW.
    public var symbol: String
    /// The venue's form; empty if the manifest gives none.
    public var venueSymbol: String
    public var baseAsset: String
    public var quoteAsset: String
    /// Zero in any of these means: not limited.
    public var tick: Fixed
    public var lot: Fixed
    public var minimumQuantity: Fixed
    public var maximumQuantity: Fixed
    /// Units a contract stands for.
    public var multiplier: Fixed
    public var minimumNotional: Amount

    init?(_ c: keel_instrument) {
        guard let symbol = String(borrowed: c.symbol), let venueSymbol = String(borrowed: c.venue_symbol),
            let base = String(borrowed: c.base_asset), let quote = String(borrowed: c.quote_asset)
        else { return nil }
        id = c.id
        kind = Kind(rawValue: c.instrument_kind) ?? .unknown
        self.symbol = symbol
        self.venueSymbol = venueSymbol
        baseAsset = base
        quoteAsset = quote
        tick = Fixed(raw: c.tick)
        lot = Fixed(raw: c.lot)
        minimumQuantity = Fixed(raw: c.min_qty)
        maximumQuantity = Fixed(raw: c.max_qty)
        multiplier = c.multiplier > 0 ? Fixed(raw: c.multiplier) : .one
        minimumNotional = Amount(c.min_notional)
    }

    /// The numbers alone, for a quick look at many orders.
    public var grid: Grid {
        Grid(
            tick: tick.raw, lot: lot.raw, minimum: minimumQuantity.raw, maximum: maximumQuantity.isPositive ? maximumQuantity.raw : .max,
            multiplier: multiplier.raw, minimumNotional: minimumNotional.raw)
    }

    /// Derivatives may be held short and settle in the quote asset.
    public var isDerivative: Bool { kind == .perpetual || kind == .future }
}

/// What an instrument asks of an order, without its names.
@frozen
public struct Grid: BitwiseCopyable, Sendable {
    public var tick, lot, minimum, maximum, multiplier: Int64
    public var minimumNotional: Int128

    @inlinable public init(tick: Int64, lot: Int64, minimum: Int64, maximum: Int64, multiplier: Int64, minimumNotional: Int128) {
        self.tick = tick
        self.lot = lot
        self.minimum = minimum
        self.maximum = maximum
        self.multiplier = multiplier
        self.minimumNotional = minimumNotional
    }

    /// Whether an order surely lies on the grid. If not, `Order.check(against:price:)` says why, or that it does after all.
    @inlinable public func surelyAdmits(_ order: Order) -> Bool {
        order.quantity.raw >= minimum && order.quantity.raw <= maximum && minimumNotional <= 0
            && (lot <= 0 || order.quantity.raw % lot == 0)
            && (tick <= 0 || (order.limit.raw % tick == 0 && order.trigger.raw % tick == 0))
    }
}
