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

    /// Derivatives may be held short and settle in the quote asset.
    public var isDerivative: Bool { kind == .perpetual || kind == .future }
}
