import PluginKit

/// One pipeline as the manifest describes it, every default filled in. Plugins are named by their manifest key.
public struct PipelineSettings: Equatable, Sendable {
    public var name: String
    public var feeds: [String]
    public var instruments: [String]  // Keel symbols
    /// Lengths of the bars kept and shown to the decider, shortest first.
    public var bars: [Int64]
    /// How many closed bars of each length are kept.
    public var history: Int
    public var gate = GateSettings()
    public var chain: ChainSettings
    public var risk = RiskSettings()
    public var position = PositionSettings()
    public var learn = LearnSettings()
    public var router: String
    public var broker: String
    /// Money this pipeline may use; nil: what the broker reports.
    public var capital: Amount?
    /// The asset equity, limits and profit are counted in.
    public var currency: String

    public init(
        name: String, feeds: [String], instruments: [String], bars: [Int64] = [Span.minute, Span.hour], history: Int = 256,
        chain: ChainSettings, router: String, broker: String, capital: Amount? = nil, currency: String = "USDT"
    ) {
        self.name = name
        self.feeds = feeds
        self.instruments = instruments
        self.bars = bars
        self.history = history
        self.chain = chain
        self.router = router
        self.broker = broker
        self.capital = capital
        self.currency = currency
    }
}

/// An instrument as the manifest (or a venue) describes it. Zero means "no such limit".
public struct InstrumentSettings: Equatable, Sendable {
    public enum Kind: String, Sendable, CaseIterable { case spot, perpetual, stock, future }
    public var symbol: String
    public var kind: Kind
    public var base: String
    public var quote: String
    public var tick: Fixed
    public var lot: Fixed
    public var minimumQuantity: Fixed
    public var maximumQuantity: Fixed
    public var multiplier: Fixed
    public var minimumNotional: Amount
    /// The venue's own spelling, by plugin name.
    public var venueSymbols: [String: String]

    public init(
        symbol: String, kind: Kind = .spot, base: String, quote: String, tick: Fixed, lot: Fixed,
        minimumQuantity: Fixed = .zero, maximumQuantity: Fixed = .zero, multiplier: Fixed = .one,
        minimumNotional: Amount = .zero, venueSymbols: [String: String] = [:]
    ) {
        self.symbol = symbol
        self.kind = kind
        self.base = base
        self.quote = quote
        self.tick = tick
        self.lot = lot
        self.minimumQuantity = minimumQuantity
        self.maximumQuantity = maximumQuantity
        self.multiplier = multiplier
        self.minimumNotional = minimumNotional
        self.venueSymbols = venueSymbols
    }
}
