import PluginKit

/// One instrument of the host and the symbol it is at the venue.
public final class Listing {
    public let instrument: Instrument
    /// Binance's form, upper case.
    public let symbol: String
    /// As stream names have it.
    public let lowercased: String
    public var rules: SymbolRules?
    /// Average (spot) or mark (futures) price, and when it was told, in host time.
    public private(set) var reference = Fixed.zero
    public private(set) var referenceAt: Int64 = 0

    init(_ instrument: Instrument, _ symbol: String) {
        self.instrument = instrument
        self.symbol = symbol
        lowercased = symbol.lowercased()
    }

    public var id: UInt32 { instrument.id }

    /// Whoever hears the price tells it here: streams, queries.
    public func refer(_ price: Fixed, at time: Int64) {
        if price.isPositive {
            reference = price
            referenceAt = time
        }
    }
}

/// Instruments and symbols of one product, and the rules its host has for them.
public final class SymbolBook {
    public let product: Product
    private var listings: [UInt32: Listing] = [:]
    private var bySymbol: [String: Listing] = [:]
    private var rules: [String: SymbolRules] = [:]
    /// Host time of the last list; 0: none yet.
    public private(set) var loadedAt: Int64 = 0

    public init(_ product: Product) { self.product = product }

    public var isLoaded: Bool { loadedAt != 0 }
    /// Symbols of the instruments met so far, sorted.
    public var wanted: [String] { bySymbol.keys.sorted() }
    public var all: [Listing] { listings.values.sorted { $0.id < $1.id } }

    @inline(__always)
    public func listing(_ id: UInt32) -> Listing? { listings[id] }
    public func listing(symbol: String) -> Listing? { bySymbol[symbol] }
    public func rules(_ symbol: String) -> SymbolRules? { rules[symbol] }

    /// The instrument's listing, made if it is new. Refuses what this product doesn't trade. Whether the venue has the
    /// symbol is known once `isLoaded`: then `rules` is nil for a symbol it doesn't know.
    @discardableResult
    public func meet(_ instrument: Instrument) throws(PluginError) -> Listing {
        if let known = listings[instrument.id] { return known }
        let fits = product == .spot ? instrument.kind == .spot || instrument.kind == .unknown : instrument.isDerivative || instrument.kind == .unknown
        guard fits else {
            throw .unsupported("\(instrument.symbol) is not \(product == .spot ? "spot: use keel.binance.futures for it" : "a derivative: use keel.binance.spot for it")")
        }
        let given = instrument.venueSymbol.isEmpty ? instrument.symbol : instrument.venueSymbol
        guard let symbol = SymbolName.venue(given) else { throw .invalid("\(given) is not a symbol Binance could have") }
        if let other = bySymbol[symbol] { throw .invalid("\(instrument.symbol) and \(other.instrument.symbol) are both \(symbol) at Binance") }
        let made = Listing(instrument, symbol)
        made.rules = rules[symbol]
        listings[instrument.id] = made
        bySymbol[symbol] = made
        return made
    }

    /// Every instrument the host has, where their numbers run without a gap; what isn't ours is passed over.
    public func meetAll(_ host: Host) {
        var id: UInt32 = 1
        while id <= 4096, let instrument = host.instrument(id) {
            _ = try? meet(instrument)
            id += 1
        }
    }

    /// Whether an instrument met so far has the asset as base or quote.
    public func usesAsset(_ asset: String) -> Bool {
        listings.values.contains { $0.instrument.baseAsset == asset || $0.instrument.quoteAsset == asset }
    }

    /// Takes an exchangeInfo in: the whole list, or part of it.
    public func load(_ value: JSONValue, at time: Int64) {
        for entry in value.find("symbols")?.asList ?? [] {
            guard let read = SymbolRules(entry) else { continue }
            rules[read.symbol] = read
        }
        for (symbol, listing) in bySymbol { listing.rules = rules[symbol] }
        loadedAt = time
    }
}
