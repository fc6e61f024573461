import PluginAPI
import PluginKit
import Tape

/// A venue of our own: it takes orders and matches them against its own market, a tape, or the market the host shows it.
final class Sim: Feed, Broker, HotPath, Stateful, Describing, AccountSummary {
    static let channels: Channels = [.quotes, .trades, .bars, .values]
    static let silence: Int64 = 60_000_000_000
    static let orderFeatures: OrderFeatures = .all

    /// What the market function works on while nothing is at work: prices, and no object.
    struct HotMemory {
        /// Orders at work, events that wait, positions that pay funding: zero means a tick is only a price.
        var busy = 0
        var instrument: UInt32 = 0
        var market: UnsafeMutablePointer<Market>?
        var owner: Unmanaged<Sim>?
    }

    let host: Host
    let config: SimConfig
    var venue: Exchange
    var teller: Teller
    let memory: UnsafeMutablePointer<HotMemory>
    /// By place: who the market is, and who listens to it.
    var listings: [Listing] = []
    var byID: [UInt32: Int] = [:]
    var source: (any MarketSource)?
    var journal: Journal?
    /// Orders that are over, and all fills, if they are kept.
    var past: [VenueOrder] = []
    var fills: [FillRecord] = []
    private var armed: (due: Int64, timer: UInt64)?
    private var broken = false
    /// The instrument of the last order, and its place.
    private var lastOrdered: (id: UInt32, place: Int) = (0, 0)
    /// The end of the own market was told: nothing more is played.
    var sourceEnded = false
    /// When the synthetic market ends, once it has begun; nil: never.
    var marketEnd: Int64?
    /// In the middle of playing the own market: the timer is set once, at the end.
    var playing = false

    struct Listing {
        let symbol: String
        /// nil until the host's number is known.
        var instrument: Instrument?
        var subscribed: Channels = []
        /// Its prices come from our own source.
        var own = false
    }

    init(host: Host, name: String, config json: JSONValue) throws {
        self.host = host
        config = try SimConfig(json)
        venue = Exchange(rules: config.rules, seed: config.seed)
        teller = Teller(host: host, faults: config.faults, seed: config.seed)
        memory = .allocate(capacity: 1)
        memory.initialize(to: HotMemory())
        memory.pointee.owner = .passUnretained(self)
        begin()
    }

    /// A venue on its first day.
    func begin() {
        venue = Exchange(rules: config.rules, seed: config.seed)
        for (name, total) in config.balances.sorted(by: { $0.key < $1.key }) { _ = venue.asset(name, start: total) }
        listings = []
        byID = [:]
        lastOrdered = (0, 0)
        past = []
        fills = []
        endedAt = [:]
        memory.pointee.market = nil
    }

    deinit { memory.deallocate() }

    var hotState: UnsafeMutableRawPointer { UnsafeMutableRawPointer(memory) }

    func start() throws {
        if !config.file.isEmpty, journal == nil {
            var whole: [Batch] = []
            let opened = try Journal(config.file, durable: config.durable) { whole.append($0) }
            try restore(whole)
            journal = opened
        }
        // Ids are new in each run; what was kept by symbol finds its instruments again.
        var id: UInt32 = 1
        while id <= 4096, host.instrument(id) != nil {
            _ = place(of: id)
            id += 1
        }
        if config.feed == .tape { source = try TapeSource(config.tape) } else { source = SyntheticSource(config) }
        refresh()
    }

    func stop(_ stopping: Stopping) throws {
        if let armed { host.stopTimer(armed.timer) }
        armed = nil
        source = nil
        for place in listings.indices {
            listings[place].subscribed = []
            listings[place].own = false
        }
        // Whoever still waits for an answer gets one; the orders themselves stay at the venue.
        teller.lighten()
        for request in venue.waitingRequests {
            Request(host: host, id: request).done(PluginError(.inDoubt, "the venue was stopped before it answered: sync tells what became of it"))
        }
        stopping.done()
    }

    // MARK: instruments

    /// The place of an instrument's market, listed if the host knows it.
    func place(of id: UInt32) -> Int? {
        if let known = byID[id] { return known }
        guard let instrument = host.instrument(id) else { return nil }
        if let waiting = listings.firstIndex(where: { $0.symbol == instrument.symbol }) {
            listings[waiting].instrument = instrument
            fit(venue.markets[waiting], instrument)
            byID[id] = waiting
            return waiting
        }
        let place = list(instrument.symbol)
        listings[place].instrument = instrument
        fit(venue.markets[place], instrument)
        byID[id] = place
        return place
    }

    /// A market by its symbol, its grid still unknown.
    func list(_ symbol: String) -> Int {
        if let known = listings.firstIndex(where: { $0.symbol == symbol }) { return known }
        listings.append(Listing(symbol: symbol))
        let parts = symbol.split(separator: ":")[0].split(separator: "/")
        let base = parts.first.map { String($0) } ?? symbol
        return venue.addMarket(
            Market(
                id: 0, grid: Grid(tick: 0, lot: 0, minimum: 0, maximum: .max, multiplier: Fixed.scale, minimumNotional: 0), isDerivative: false,
                isPerpetual: false, base: venue.asset(base, start: config.balances[base] ?? 0),
                quote: quote(parts.count > 1 ? String(parts[1]) : base), fundingRate: config.rules.fundingRate.raw))
    }

    private func quote(_ name: String) -> Int { venue.asset(name, start: config.balances[name] ?? config.cash) }

    private func fit(_ market: UnsafeMutablePointer<Market>, _ instrument: Instrument) {
        market.pointee.id = instrument.id
        market.pointee.grid = instrument.grid
        market.pointee.isDerivative = instrument.isDerivative
        market.pointee.isPerpetual = instrument.kind == .perpetual
        if !instrument.quoteAsset.isEmpty { market.pointee.quote = quote(instrument.quoteAsset) }
        if !instrument.baseAsset.isEmpty {
            market.pointee.base = venue.asset(instrument.baseAsset, start: config.balances[instrument.baseAsset] ?? 0)
        }
    }

    // MARK: orders

    func submit(_ order: Order, _ request: Request) throws {
        if broken { throw PluginError(.internalFault, "the venue's file can't be written: it takes no orders") }
        guard let place = order.instrument == lastOrdered.id ? lastOrdered.place : place(of: order.instrument) else {
            throw PluginError.notFound("the host knows no instrument \(order.instrument)")
        }
        lastOrdered = (order.instrument, place)
        let market = venue.markets[place]
        if market.pointee.last == 0 { try beginMarket(place) }
        if !market.pointee.grid.surelyAdmits(order) {
            try listings[place].instrument.map { try order.check(against: $0, price: Fixed(raw: market.pointee.executable(order.side))) }
        }
        let now = host.now
        // What was sent earlier arrives earlier.
        if venue.nextArrival != nil { venue.advance(to: now) }
        guard venue.submit(order, market: place, request: request.id, now: now) else {
            throw PluginError(.duplicate, "the order id \(order.id) was used before")
        }
        if journal != nil {
            do {
                try writeDown(sent: order.id)
            } catch {
                // The order isn't on disk, so it was never sent; and this venue takes no more.
                fail(error)
                throw error
            }
        }
        if config.steps { teller.pending(order, number: venue.orderNumber, request: request.id, at: now) }
        settle(now)
    }

    func cancel(_ order: OrderID, _ request: Request) throws {
        let now = host.now
        if venue.nextArrival != nil { venue.advance(to: now) }
        venue.cancel(order, request: request.id, now: now)
        settle(now)
    }

    func sync(since: Int64, _ request: Request) throws {
        let now = host.now
        venue.advance(to: now)
        settle(now)
        teller.lighten()
        let flags = KEEL_EVF_SNAPSHOT
        for order in past.sorted(by: { $0.number < $1.number }) where touched(order, since) {
            teller.order(order, "", id(order.market), now, flags: flags, request: request.id)
        }
        for order in venue.live.sorted(by: { $0.number < $1.number }) {
            teller.order(order, "", id(order.market), now, flags: flags, request: request.id)
        }
        for fill in fills where fill.time >= since {
            teller.fill(fill, id(fill.market), feeAsset(Int(fill.market)), request.id, flags: flags)
        }
        for asset in venue.assets { teller.balance(asset, request: request.id, at: now, flags: flags) }
        for market in venue.markets where market.pointee.id != 0 {
            host.position(
                market.pointee.id, quantity: Amount(raw: market.pointee.position), entry: Fixed(raw: market.pointee.entry), request: request.id,
                at: now, flags: flags)
        }
        refresh()
        request.done()
    }

    /// Whether anything happened to a finished order since then; orders of a fault-free run without fills end when they arrive or later.
    private func touched(_ order: VenueOrder, _ since: Int64) -> Bool { order.arrived >= since || endedAt[order.number].map { $0 >= since } ?? true }
    private var endedAt: [UInt64: Int64] = [:]

    private func id(_ market: Int32) -> UInt32 { venue.markets[Int(market)].pointee.id }
    func feeAsset(_ place: Int) -> String { venue.assets[venue.markets[place].pointee.quote].name }

    func summary(_ request: Request) throws {
        guard let market = venue.markets.first?.pointee else { throw PluginError.notFound("no instrument is known yet, so no account either") }
        let asset = venue.assets[market.quote]
        let equity = venue.equity(market.quote)
        let free = asset.total - asset.reserved
        host.account(
            request, equity: Amount(raw: equity), cash: Amount(raw: asset.total), marginUsed: Amount(raw: asset.reserved),
            buyingPower: Amount(raw: scaled(max(free, 0), Int128(config.rules.leverage.raw), by: 100_000_000) ?? free), asset: asset.name)
        request.done()
    }

    // MARK: the market

    /// A market event the host shows us, when a plain price update isn't enough.
    func onMarket(_ event: Event) {
        guard let place = place(of: event.instrument), !listings[place].own else { return }
        apply(event, place)
        memory.pointee.instrument = event.instrument
        memory.pointee.market = venue.markets[place]
        refresh()
    }

    /// The event meets the orders; what comes of it is written down and told.
    func apply(_ event: Event, _ place: Int) {
        let market = venue.markets[place]
        let time = event.time
        venue.advance(to: time)
        if config.rules.fundingEvery > 0 { venue.fund(place, time) }
        market.pointee.time = time
        if let trade = event.trade {
            if trade.pointee.price > 0, trade.pointee.qty >= 0 {
                venue.onTrade(market, price: trade.pointee.price, quantity: trade.pointee.qty, taker: trade.pointee.side, time)
            }
        } else if let quote = event.quote {
            venue.onQuote(
                market, bid: max(quote.pointee.bid, 0), bidQuantity: max(quote.pointee.bid_qty, 0), ask: max(quote.pointee.ask, 0),
                askQuantity: max(quote.pointee.ask_qty, 0), time)
        } else if let bar = event.bar {
            // What was before the subscription is history, not a market to trade in.
            if bar.pointee.bar_flags & KEEL_BAR_CLOSED != 0, bar.pointee.bar.low > 0, bar.pointee.bar.high >= bar.pointee.bar.low {
                if event.isSnapshot {
                    if market.pointee.last == 0 { market.pointee.last = bar.pointee.bar.close }
                } else {
                    venue.onBar(market, bar.pointee.bar, time)
                }
            }
        } else if let value = event.kind == KEEL_EV_VALUE ? event.body(keel_ev_value.self) : nil {
            let name = event.text(value.pointee.name)
            if name == "funding_rate" || name == "funding", let rate = try? Fixed(nearest: value.pointee.value) {
                market.pointee.fundingRate = rate.raw
            }
        } else if event.kind == KEEL_EV_DEPTH, let depth = event.body(keel_ev_depth.self) {
            venue.setDepth(
                place, bids: event.list(depth.pointee.bids, of: keel_level.self), asks: event.list(depth.pointee.asks, of: keel_level.self),
                whole: event.isSnapshot)
            let best = venue.best(place)
            venue.onQuote(
                market, bid: best.bid.price, bidQuantity: best.bid.qty, ask: best.ask.price, askQuantity: best.ask.qty, time)
        }
        settle(time)
    }

    // MARK: after each step

    /// Writes down what happened, then tells it.
    func settle(_ time: Int64) {
        if !venue.reports.isEmpty {
            if config.keep { remember() }
            if journal != nil {
                do { try writeDown() } catch { fail(error) }
            }
            if !broken { tellAll(time) }
            venue.clearReports()
        }
        if teller.waits > 0 { lookUp(time) }
        refresh()
    }

    private func tellAll(_ time: Int64) {
        var place = -1
        for index in venue.reports.indices {
            let report = venue.reports[index]
            let here = Int(report.order.market)
            let known = here < venue.markets.count && report.order.number > 0 || report.kind == .funding
            teller.tell(report, known ? venue.markets[here] : nil, feeAsset: known ? feeAsset(here) : "", passes: !config.steps && isFilledAtOnce(index))
            if config.updates, report.kind == .filled || report.kind == .funding {
                if place >= 0, place != here { tellHoldings(place, time) }
                place = here
            }
        }
        if place >= 0 {
            tellHoldings(place, time)
            if config.rules.fundingEvery > 0 { venue.fund(place, time) }
        }
    }

    /// Accepted here, and filled to the end by the next report.
    private func isFilledAtOnce(_ index: Int) -> Bool {
        guard index + 1 < venue.reports.count, venue.reports[index].kind == .accepted else { return false }
        return venue.reports[index + 1].kind == .filled && venue.reports[index + 1].order.state == .filled
            && venue.reports[index + 1].order.number == venue.reports[index].order.number
    }

    private func tellHoldings(_ place: Int, _ time: Int64) {
        let market = venue.markets[place].pointee
        teller.balance(venue.assets[market.quote], at: time)
        if !market.isDerivative { teller.balance(venue.assets[market.base], at: time) }
        host.position(market.id, quantity: Amount(raw: market.position), entry: Fixed(raw: market.entry), at: time)
    }

    private func remember() {
        for report in venue.reports {
            if report.kind == .filled { fills.append(FillRecord(report)) }
            let told = report.kind == .filled || report.kind == .rejected || report.kind == .canceled || report.kind == .expired
            if told, report.order.isTerminal {
                past.append(report.order)
                endedAt[report.order.number] = report.time
            }
        }
    }

    /// Orders whose answer was lost are looked up: their fills and their state as they are now.
    private func lookUp(_ time: Int64) {
        for id in teller.catchUp(to: time) {
            for fill in fills where fill.order == id {
                teller.fill(fill, self.id(fill.market), feeAsset(Int(fill.market)), 0)
            }
            if let slot = venue.index.slot(of: id) {
                teller.order(venue.orders[slot], "", self.id(venue.orders[slot].market), time)
            } else if let order = past.last(where: { $0.id == id }) {
                teller.order(order, "", self.id(order.market), time)
            }
        }
    }

    /// The host must know that this venue can't keep its word any more.
    func fail(_ error: any Error) {
        guard !broken else { return }
        broken = true
        host.fail(PluginError(error))
    }

    /// Brings the hot memory and the timer up to date.
    func refresh() {
        var busy = venue.busy + teller.waits
        if config.rules.fundingEvery > 0 { busy += venue.markets.contains { $0.pointee.isPerpetual && $0.pointee.position != 0 } ? 1 : 0 }
        memory.pointee.busy = busy
        if playing { return }
        if busy > 0 || nextMarket != nil { arm() } else if armed != nil { arm() }
    }

    /// When the own market has something next, its end included.
    private var nextMarket: Int64? {
        guard !sourceEnded, let next = source?.nextDue else { return nil }
        return min(next, marketEnd ?? .max)
    }

    private func arm() {
        let due = [venue.nextArrival, teller.nextDue, nextMarket].compactMap { $0 }.min()
        if let armed {
            if due == armed.due { return }
            host.stopTimer(armed.timer)
            self.armed = nil
        }
        guard let due else { return }
        do {
            let now = host.now
            armed = (due, try host.timer(after: due > now ? due - now : 0))
        } catch { host.log(.error, "\(error)") }
    }

    func onTimer(_ id: UInt64, tag: UInt64) {
        if armed?.timer == id { armed = nil }
        let now = host.now
        playSource(to: now)
        venue.advance(to: now)
        settle(now)
    }
}
