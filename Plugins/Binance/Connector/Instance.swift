import Glibc
import PluginKit

/// An instance of either product: one key, one environment, feed and broker over shared connections.
public class BinanceInstance: Feed, Broker, Describing, AccountSummary {
    class var product: Product { .spot }
    public class var channels: Channels { [.quotes, .trades, .bars, .depth] }
    /// Streams of rarely traded symbols are silent for long; the connections are watched by pings and by the candles.
    public class var silence: Int64 { 30_000_000_000 }
    public class var orderFeatures: OrderFeatures { .all.subtracting(.reduceOnly) }

    private let host: Host
    private let name: String
    private let reactor: HostReactor
    private let settings: Settings
    private let dataSettings: DataSettings
    private let product: Product
    private(set) var venue: Venue?
    private(set) var desk: TradeDesk?
    private var market: MarketSide?
    private var reachable = false
    /// Symbols that were looked for at the venue after its list had been loaded.
    private var askedFor: Set<String> = []
    private var waiting: [(id: UInt32, channels: Channels, request: Request)] = []
    /// What the process's environment says; tests say it themselves.
    @TaskLocal static var variables: Variables?

    public required init(host: Host, name: String, config: JSONValue) throws {
        self.host = host
        self.name = name
        product = Self.product
        settings = try Settings(config, Self.product)
        dataSettings = try DataSettings(config, product: Self.product)
        reactor = HostReactor(host)
        if !settings.standIn.isEmpty { _ = try Endpoints(standIn: settings.standIn, product) }
    }

    // MARK: life

    public func start() throws {
        let endpoints = try settings.endpoints(product, (Self.variables ?? .process))
        var signer: Signer?
        if let key = settings.apiKey, let secret = settings.secretKey {
            signer = try Signer(apiKey: host.secret(key), secret: host.secret(secret))
        }
        let venue = Venue(host: host, name: name, reactor: reactor, settings: settings, endpoints: endpoints, signer: signer, budget: budget(endpoints, signer))
        let desk = TradeDesk(venue)
        let market = MarketFeed(venue, dataSettings)
        self.venue = venue
        self.desk = desk
        self.market = market
        reachable = false
        askedFor = []
        desk.onReachable = { [weak self] in self?.reached() }
        desk.start()
    }

    private func budget(_ endpoints: Endpoints, _ signer: Signer?) -> Budget {
        // A stand-in is new for each run, so its counters are nobody else's.
        var folder: String? = settings.budgetFolder.isEmpty ? "/tmp/keel-\(geteuid())" : settings.budgetFolder
        if endpoints.environment == .local, settings.budgetFolder.isEmpty { folder = nil }
        let account = signer.flatMap { try? Digest.sha256.hash($0.apiKey.utf8) }.map { String(Hex.encode($0).prefix(16)) } ?? ""
        let budget = Budget(folder: folder, name: "binance-\(endpoints.environment.rawValue)-\(product.rawValue)", account: account, product: product, share: settings.budgetShare)
        if let problem = budget.problem { host.log(.warning, "request limits are counted for this instance alone: \(problem)") }
        return budget
    }

    public func stop(_ stopping: Stopping) throws {
        let finish = { [self] in
            desk = nil
            market?.stop()
            market = nil
            for entry in waiting { entry.request.done(PluginError(.state, "the instance was stopped")) }
            waiting = []
            venue?.stop()
            venue = nil
            stopping.done()
        }
        guard let desk else { return finish() }
        desk.stop(finish, deadline: stopping.deadline)
    }

    public func onTimer(_ id: UInt64, tag: UInt64) { reactor.fire(id, tag: tag) }
    public func onDescriptor(_ descriptor: Int32, _ ready: Host.Readiness) { reactor.ready(descriptor, ready) }

    // MARK: broker

    private func running() throws(PluginError) -> TradeDesk {
        guard let desk else { throw PluginError(.state, "the instance is stopping") }
        return desk
    }

    public func submit(_ order: Order, _ request: Request) throws { try running().submit(order, request) }
    public func cancel(_ order: OrderID, _ request: Request) throws { try running().cancel(order, request) }
    public func sync(since: Int64, _ request: Request) throws { try running().sync(since: since, request) }
    public func summary(_ request: Request) throws { try running().summary(request) }

    // MARK: feed

    private func reached() {
        guard !reachable else { return }
        reachable = true
        market?.begin()
        let all = waiting
        waiting = []
        for entry in all {
            do throws(PluginError) { try pass(entry.id, entry.channels, entry.request) } catch { entry.request.done(error) }
        }
    }

    private func pass(_ id: UInt32, _ channels: Channels, _ request: Request) throws(PluginError) {
        guard let desk, let venue, let market else { throw .unsupported("this build serves no market data") }
        let listing = try desk.listing(id)
        let missing = PluginError.notFound(
            "Binance \(product.rawValue) has no symbol \(listing.symbol) in this environment (\(venue.endpoints.environment.rawValue))")
        if listing.rules != nil { return market.subscribe(listing, channels, request) }
        // An instrument that came after the symbols were loaded: the venue is asked once more, for each symbol once.
        guard askedFor.insert(listing.symbol).inserted else { throw missing }
        venue.loadSymbols { [weak self, weak market] failure in
            guard let self, let market, self.desk != nil else { return request.done(PluginError(.state, "the instance was stopped")) }
            if listing.rules != nil { return market.subscribe(listing, channels, request) }
            if failure != nil { self.askedFor.remove(listing.symbol) }
            request.done(failure?.pluginError ?? missing)
        }
    }

    public func subscribe(_ instrument: UInt32, _ channels: Channels, _ request: Request) throws {
        let desk = try running()
        guard market != nil else { throw PluginError.unsupported("this build serves no market data") }
        _ = try desk.listing(instrument)
        if reachable { return try pass(instrument, channels, request) }
        waiting.append((instrument, channels, request))
        market?.awaited()
    }

    public func unsubscribe(_ instrument: UInt32, _ channels: Channels, _ request: Request) throws {
        let desk = try running()
        guard let market else { throw PluginError.unsupported("this build serves no market data") }
        let listing = try desk.listing(instrument)
        for entry in waiting where entry.id == instrument { entry.request.done() }
        waiting.removeAll { $0.id == instrument }
        if reachable { market.unsubscribe(listing, channels, request) } else { request.done() }
    }

    // MARK: for people

    public func describe() -> JSONValue {
        let environment = settings.description((Self.variables ?? .process))
        var value: JSONValue = [
            // The host asks where the money is; a stand-in is paper.
            "environment": JSONValue(environment == .local ? "paper" : environment.rawValue), "product": JSONValue(product.rawValue),
            "trades": JSONValue(settings.apiKey != nil),
        ]
        guard let venue, let desk else { return value }
        value.set("hosts", JSONValue(JSONObject(venue.dialer.dialled.sorted { $0.key < $1.key }.map { ($0.key, JSONValue($0.value)) })))
        value.set("key", JSONValue(venue.signer?.kind.rawValue ?? "none"))
        value.set("clock_offset_ms", JSONValue(venue.clock.offset / 1_000_000))
        value.set("round_trip_us", JSONValue(venue.clock.roundTrip / 1000))
        let time = venue.milliseconds
        value.set(
            "budget",
            [
                "shared": JSONValue(venue.budget.problem == nil), "weight_used": JSONValue(venue.budget.used(.weight, at: time)),
                "weight_limit": JSONValue(venue.budget.limit(.weight).count), "orders_used": JSONValue(venue.budget.used(.ordersShort, at: time)),
                "orders_limit": JSONValue(venue.budget.limit(.ordersShort).count),
            ])
        value.set("trading", desk.description)
        value.set("trading_connections", JSONValue(desk.api.link.opened))
        if let market { value.set("market", market.description) }
        return value
    }
}

public final class SpotInstance: BinanceInstance {}

public final class FuturesInstance: BinanceInstance {
    override class var product: Product { .futures }
    public override class var channels: Channels { [.quotes, .trades, .bars, .depth, .values, .urgent] }
    public override class var orderFeatures: OrderFeatures { .all }
}

extension TradeDesk {
    var description: JSONValue {
        [
            "ready": JSONValue(isReady), "socket_orders": JSONValue(api.isUp && venue.settings.socketOrders),
            "open_orders": JSONValue(tickets.values.count { !$0.isOver && $0.isAcknowledged }), "in_doubt": JSONValue(tickets.values.count { $0.inDoubt }),
            "hedge": JSONValue(wire.hedge),
        ]
    }

    /// Futures: the account's own numbers. Spot: what is held, valued where the price is known; the rest counts as nothing.
    func summary(_ request: Request) throws(PluginError) {
        guard trades else { throw PluginError(.authentication, "this instance has no API key: it serves market data only") }
        if product == .futures {
            venue.rest.send(Call("GET", "/fapi/v3/account", security: .signed, weight: 5)) { [weak self] reply in
                guard let self, !self.stopped else { return }
                switch reply {
                case .failure(let failure): request.done(failure.pluginError)
                case .success(let value):
                    guard let equity = value.find("totalMarginBalance")?.money, let wallet = value.find("totalWalletBalance")?.money,
                        let used = value.find("totalInitialMargin")?.money, let free = value.find("availableBalance")?.money
                    else { return request.done(PluginError(.internalFault, "the account could not be read")) }
                    self.host.account(request, equity: equity, cash: wallet, marginUsed: used, buyingPower: free, asset: "USDT")
                    request.done()
                }
            }
            return
        }
        venue.rest.send(Call("GET", "/api/v3/account", security: .signed, weight: 20)) { [weak self] reply in
            guard let self, !self.stopped else { return }
            switch reply {
            case .failure(let failure): request.done(failure.pluginError)
            case .success(let value):
                let quotes = self.venue.symbols.all.map(\.instrument.quoteAsset)
                let money = quotes.contains("USDT") || quotes.isEmpty ? "USDT" : quotes[0]
                var cash = Amount.zero
                var free = Amount.zero
                var equity = Amount.zero
                for entry in value.find("balances")?.asList ?? [] {
                    guard let asset = entry.find("asset")?.asText, let available = entry.find("free")?.money, let locked = entry.find("locked")?.money,
                        let total = try? available.adding(locked)
                    else { continue }
                    if asset == money {
                        cash = total
                        free = available
                        equity = (try? equity.adding(total)) ?? equity
                    } else if let listing = self.venue.symbols.all.first(where: { $0.instrument.baseAsset == asset && $0.instrument.quoteAsset == money }),
                        listing.reference.isPositive, let worth = try? total.multiplied(by: listing.reference)
                    {
                        equity = (try? equity.adding(worth)) ?? equity
                    }
                }
                self.host.account(request, equity: equity, cash: cash, marginUsed: .zero, buyingPower: free, asset: money)
                request.done()
            }
        }
    }
}
