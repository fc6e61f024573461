import PluginKit

/// The market data half of an instance, on the venue both halves share.
public final class MarketFeed: MarketSide {
    private let venue: Venue
    private let settings: DataSettings
    private var data: MarketData?
    /// Before the venue is reachable, subscriptions wait.
    private var waiting: [(listing: Listing, channels: Channels)] = []
    private var patience: UInt64?
    /// How long a subscription waits before it is said that nothing comes.
    private static let patient: Int64 = 3_000_000_000

    public init(_ venue: Venue, _ settings: DataSettings) {
        self.venue = venue
        self.settings = settings
    }

    /// The candles' connection stands for all: it is there whatever is subscribed, and says "up" under this name when it is.
    public func awaited() {
        guard data == nil, patience == nil else { return }
        patience = venue.reactor.after(Self.patient) { [weak self] in
            guard let self, self.data == nil else { return }
            let name = StreamPath.of(.candles(.minute1), self.venue.product).name
            self.venue.host.link(.down, name: name, why: .timeout, message: "no market data yet: the venue has not answered for 3 s")
        }
    }

    public func begin() {
        if let patience { venue.reactor.cancelTimer(patience) }
        patience = nil
        let venue = venue
        let data = MarketData(
            venue.product, settings: settings, requests: VenueRequests(venue), sink: HostSink(venue.host), on: venue.reactor
        ) { path throws(PluginError) in
            if let until = venue.take(.connections, 1, .query) {
                throw PluginError(.rate, "the venue's limit of new connections is reached", retryAfter: max(0, until - venue.milliseconds) &* 1_000_000)
            }
            // The venue pings every 20 s on spot and every 3 minutes on futures; our own go out only when it is silent longer.
            let socket = try venue.dialer.socket(venue.endpoints.stream(path.group), pingInterval: 30_000_000_000)
            return WebSocketStream(socket)
        }
        data.onMark = { [unowned venue] symbol, price in venue.symbols.listing(symbol: symbol.description)?.refer(price, at: venue.now) }
        self.data = data
        for entry in waiting { subscribe(data, entry.listing, entry.channels) }
        waiting = []
    }

    public func stop() {
        if let patience { venue.reactor.cancelTimer(patience) }
        patience = nil
        data?.stop()
        data = nil
        waiting = []
    }

    /// Done as soon as the venue is known to have the symbol: its word on a subscription would say no more, and whether data comes is watched.
    public func subscribe(_ listing: Listing, _ channels: Channels, _ request: Request) {
        guard SymbolKey(listing.symbol) != nil else { return request.done(.invalid("\(listing.symbol) is too long for a symbol")) }
        if let data { subscribe(data, listing, channels) } else { waiting.append((listing, channels)) }
        request.done()
    }

    private func subscribe(_ data: MarketData, _ listing: Listing, _ channels: Channels) {
        if let key = SymbolKey(listing.symbol) { data.subscribe(listing.id, key, channels) }
    }

    public func unsubscribe(_ listing: Listing, _ channels: Channels, _ request: Request) {
        if let key = SymbolKey(listing.symbol) { data?.unsubscribe(listing.id, key, channels) }
        waiting = waiting.compactMap { entry in
            guard entry.listing === listing else { return entry }
            let rest = entry.channels.subtracting(channels)
            return rest.isEmpty ? nil : (listing, rest)
        }
        request.done()
    }

    public var description: JSONValue { data?.description ?? ["state": "not connected yet"] }
}
