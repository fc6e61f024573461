import PluginAPI
import PluginKit

/// The trading side of an instance: the host's orders, what the venue says about them, and everything that keeps the two in agreement.
///
/// Nothing is ever sent twice. What may have arrived is in doubt until a query has settled it (Doubt.swift); an order
/// that provably never arrived is told as refused, and the host decides anew.
public final class TradeDesk {
    public let venue: Venue
    public let api: SocketAPI
    var wire: OrderWire
    /// By the host's id. Orders that are over stay a while for late messages, then only their ids are kept.
    var tickets: [OrderID: Ticket] = [:]
    /// By "symbol:venue order id".
    var owners: [String: OrderID] = [:]
    private var seen: Set<OrderID> = []
    private var over: [(id: OrderID, at: Int64)] = []
    var submits: [OrderID: Request] = [:]
    var cancels: [OrderID: [Request]] = [:]
    var settling: Set<OrderID> = []
    var fetching: Set<OrderID> = []
    var restTimers: [OrderID: UInt64] = [:]
    /// Orders of maker-first: the host's order as it came, until the last leg is placed.
    var makers: [OrderID: Order] = [:]
    /// Those of them whose time as makers is over.
    var waited: Set<OrderID> = []
    private var pricing: Set<String> = []
    /// Trades told, by symbol; for the ones of orders that have no ticket any more.
    var told = TradeMemory()
    var syncs: [SyncRun] = []
    var waitingSyncs: [(since: Int64, request: Request)] = []
    var user: UserStream?
    var extras: FuturesExtras?
    var tradedHeld: Set<String>?
    public internal(set) var isReady = false
    private(set) var problem: VenueFailure?
    var watchTimer: UInt64?
    private var setUpTimer: UInt64?
    private var setUpAttempts = 0
    private var linkTold: LinkState?
    /// The instance has something to do once the venue is reachable (market data).
    public var onReachable: () -> Void = {}
    /// Orders of others that rest: symbol and venue id to what was told.
    var outsiders: [String: String] = [:]
    var stopped = true
    var eventCount: UInt64 = 0

    public init(_ venue: Venue) {
        self.venue = venue
        api = SocketAPI(venue)
        wire = OrderWire(venue.product, hedge: venue.settings.hedge ?? false, workingType: venue.settings.workingType)
    }

    var host: Host { venue.host }
    var product: Product { venue.product }
    var trades: Bool { venue.signer != nil }

    // MARK: life

    public func start() {
        stopped = false
        venue.symbols.meetAll(host)
        setUp()
    }

    /// Clock, then symbols, then the account's settings, then the streams. Tries again until it works.
    private func setUp() {
        venue.measureClock { [weak self] known in
            guard let self, !self.stopped else { return }
            guard known else { return self.setUpAgain(VenueFailure(.notDone, message: "the venue doesn't answer")) }
            self.venue.loadSymbols { [weak self] failure in
                guard let self, !self.stopped else { return }
                if let failure { return self.setUpAgain(failure) }
                self.venue.keepClock()
                self.onReachable()
                guard self.trades else {
                    self.setUpAttempts = 0
                    self.problem = nil
                    // There is nothing to trade with, but what was said of the venue holds no longer.
                    if self.linkTold == .down { self.tell(link: .up, nil, "") }
                    return
                }
                self.prepareAccount()
            }
        }
    }

    private func prepareAccount() {
        if product == .futures, extras == nil { extras = FuturesExtras(self) }
        guard let extras else { return connect() }
        extras.prepare { [weak self] failure in
            guard let self, !self.stopped else { return }
            if let failure { return self.setUpAgain(failure) }
            self.connect()
        }
    }

    private func connect() {
        setUpAttempts = 0
        if user == nil { user = UserStream(self) }
        user?.start()
        if product == .futures { api.start() }
        if watchTimer == nil { startWatch() }
        for listing in venue.symbols.all.prefix(10) where listing.rules != nil { freshen(listing) }
    }

    private func setUpAgain(_ failure: VenueFailure) {
        note(problem: failure)
        let pause = max(min(Int64(250_000_000) << Int64(min(setUpAttempts, 7)), 30_000_000_000), min(failure.retryAfter, 300_000_000_000))
        setUpAttempts += 1
        setUpTimer = venue.reactor.after(pause) { [weak self] in
            self?.setUpTimer = nil
            self?.setUp()
        }
    }

    /// What keeps trading from being ready: told once, and to every sync that waits.
    func note(problem failure: VenueFailure) {
        if problem != failure {
            venue.log(failure.treatment == .configuration ? .error : .warning, "Binance \(product.rawValue): \(failure)")
        }
        problem = failure
        tell(link: .down, failure.pluginError.reason, "\(failure)")
        let waiting = waitingSyncs
        waitingSyncs = []
        for sync in waiting { sync.request.done(failure.pluginError) }
    }

    /// The user stream stands: from here on nothing that happens is missed.
    func userIsUp() {
        let wasReady = isReady
        isReady = true
        problem = nil
        tell(link: .up, nil, "")
        let waiting = waitingSyncs
        waitingSyncs = []
        for sync in waiting { begin(since: sync.since, sync.request) }
        // What happened while nobody listened. The host syncs too; our own orders are looked at without waiting for that.
        if !wasReady { for id in tickets.keys.sorted() where tickets[id]?.isOver == false { settle(id) } }
    }

    func userIsDown(_ why: String) {
        isReady = false
        tell(link: .down, .network, why)
    }

    private func tell(link state: LinkState, _ why: PluginError.Reason?, _ message: String) {
        guard linkTold != state else { return }
        linkTold = state
        host.link(state, name: "trading", why: why, message: message)
    }

    /// Asked after each order's news while a stop waits for cancels.
    private var ending: () -> Void = {}

    /// Ends every request; what rests at the venue stays there, or is cancelled first if the configuration says so.
    public func stop(_ done: @escaping () -> Void, deadline: Int64) {
        let open = tickets.values.filter { !$0.isOver && $0.isAcknowledged && !$0.inDoubt }.map(\.order).sorted()
        guard venue.settings.cancelsOnStop, isReady, !open.isEmpty, !stopped else {
            if !open.isEmpty {
                venue.log(.warning, "\(open.count) order\(open.count == 1 ? "" : "s") stay open at Binance after this stop: \(open.map(\.description).joined(separator: ", "))")
            }
            end()
            return done()
        }
        var ended = false
        let finish = { [weak self] in
            guard !ended else { return }
            ended = true
            guard let self else { return done() }
            let left = open.filter { self.tickets[$0]?.isOver == false }
            if !left.isEmpty { self.venue.log(.error, "\(left.count) orders could not be cancelled before the stop: \(left.map(\.description).joined(separator: ", "))") }
            self.end()
            done()
        }
        let patience = max(0, deadline &- venue.now &- 200_000_000)
        _ = venue.reactor.after(patience, finish)
        ending = { [weak self] in
            guard let self, !ended else { return }
            if open.allSatisfy({ self.tickets[$0]?.isOver != false }) { finish() }
        }
        for id in open { send(cancel: id) { _ in } }
    }

    private func end() {
        stopped = true
        ending = {}
        isReady = false
        for timer in [watchTimer, setUpTimer] { if let timer { venue.reactor.cancelTimer(timer) } }
        watchTimer = nil
        setUpTimer = nil
        for timer in restTimers.values { venue.reactor.cancelTimer(timer) }
        restTimers = [:]
        user?.stop()
        user = nil
        extras?.stop()
        extras = nil
        api.stop()
        let doubt = PluginError(.inDoubt, "the instance was stopped before the venue answered: sync tells what became of it")
        let over = PluginError(.state, "the instance was stopped")
        for (_, request) in submits.sorted(by: { $0.value.id < $1.value.id }) { request.done(doubt) }
        for (_, requests) in cancels.sorted(by: { $0.key < $1.key }) { for request in requests { request.done(over) } }
        for sync in waitingSyncs { sync.request.done(over) }
        for sync in syncs { sync.request.done(over) }
        submits = [:]
        cancels = [:]
        waitingSyncs = []
        syncs = []
        tickets = [:]
        owners = [:]
        makers = [:]
        settling = []
        fetching = []
        outsiders = [:]
        pricing = []
        waited = []
        told = TradeMemory()
        linkTold = nil
    }

    // MARK: submitting

    public func submit(_ order: Order, _ request: Request) throws(PluginError) {
        guard trades else { throw PluginError(.authentication, "this instance has no API key: it serves market data only") }
        if seen.contains(order.id) || tickets[order.id] != nil { throw PluginError(.duplicate, "order \(order.id) was submitted before") }
        let listing = try listing(order.instrument)
        guard let rules = listing.rules else {
            throw venue.symbols.isLoaded
                ? PluginError(.notFound, "Binance \(product.rawValue) has no symbol \(listing.symbol) in this environment")
                : PluginError(.network, "not sent: the venue's filters are not loaded yet")
        }
        try order.check(against: listing.instrument)
        freshen(listing)
        try rules.check(order, product, context(listing, order))
        if let refusal = extras?.refusal(listing) { throw refusal }
        let maker = venue.settings.makerFirst != nil && order.features == [.limit]
        let id = ClientID(order.id)
        let placement = try wire.place(order, symbol: listing.symbol, id: id, manner: maker ? .maker : .ordered)
        var ticket = Ticket(order, symbol: listing.symbol)
        ticket.legs.append(Ticket.Leg(id, quantity: order.quantity, isAlgo: placement.isAlgo, sentAt: venue.timestamp))
        ticket.mayGoOn = maker
        try note(traded: listing.symbol)
        if let failure = post(placement, order.id, notAfter: order.notAfter) { throw failure.pluginError }
        tickets[order.id] = ticket
        remember(order.id)
        submits[order.id] = request
        if maker { makers[order.id] = order }
        speak(order.id)
        extras?.orderLives(listing)
    }

    func listing(_ instrument: UInt32) throws(PluginError) -> Listing {
        if let known = venue.symbols.listing(instrument) { return known }
        guard let found = host.instrument(instrument) else { throw .notFound("instrument \(instrument) is not known") }
        return try venue.symbols.meet(found)
    }

    /// The price that market orders and percent filters are measured by, for the next order; this one never waits for it.
    private func freshen(_ listing: Listing) {
        guard venue.now &- listing.referenceAt > 60_000_000_000, pricing.insert(listing.symbol).inserted else { return }
        var parameters = Parameters()
        parameters.add("symbol", listing.symbol)
        let call = Call("GET", venue.path(product == .spot ? "avgPrice" : "premiumIndex"), parameters, weight: product == .spot ? 2 : 1)
        venue.rest.send(call) { [weak self] reply in
            guard let self else { return }
            self.pricing.remove(listing.symbol)
            guard case .success(let value) = reply, let price = Fixed.cut(value.find(self.product == .spot ? "price" : "markPrice")?.asText) else { return }
            listing.refer(price, at: self.venue.now)
        }
    }

    private func context(_ listing: Listing, _ order: Order) -> SymbolRules.Context {
        var context = SymbolRules.Context()
        // A price from long ago says nothing about what the venue measures by.
        if listing.referenceAt != 0, venue.now &- listing.referenceAt < 120_000_000_000 { context.reference = listing.reference }
        guard let rules = listing.rules, rules.maxOrders > 0 || rules.maxAlgoOrders > 0 else { return context }
        for ticket in tickets.values where ticket.symbol == listing.symbol && !ticket.isOver {
            context.openOrders += 1
            if ticket.legs.last?.isAlgo == true { context.openAlgoOrders += 1 }
        }
        return context
    }

    private func remember(_ id: OrderID) {
        seen.insert(id)
        // A hundred thousand ids are three megabytes; the host never reuses one, so the oldest may go.
        if seen.count > 200_000 { seen = Set(tickets.keys) }
    }

    /// Sends an order over the WebSocket API, or over REST where that is down. nil: on its way. A failure: certainly not sent.
    func post(_ placement: OrderWire.Placement, _ id: OrderID, notAfter: Int64) -> VenueFailure? {
        let method: StaticString = placement.isAlgo ? "algoOrder.place" : "order.place"
        let answer: (Reply) -> Void = { [weak self] reply in self?.placed(id, reply, placement, notAfter) }
        if venue.settings.socketOrders, api.isUp {
            return api.post(method, placement.parameters, weight: 0, orders: 1, urgency: .order, timeout: orderTimeout, answer)
        }
        let path = venue.path(placement.isAlgo ? "algoOrder" : "order")
        return venue.rest.post(Call("POST", path, placement.parameters, security: .signed, weight: 0, orders: 1, urgency: .order, timeout: orderTimeout), answer)
    }

    /// The venue itself gives up after ten seconds; what hasn't answered a while after the window has closed is asked for.
    var orderTimeout: Int64 { min(venue.settings.receiveWindow + 3000, 11_000) &* 1_000_000 }

    private func placed(_ id: OrderID, _ reply: Reply, _ placement: OrderWire.Placement, _ notAfter: Int64) {
        guard !stopped, let ticket = tickets[id] else { return }
        switch reply {
        case .success(let value): heard(place: value, id)
        case .failure(let failure):
            switch failure.treatment {
            case .clock where notAfter == 0 || venue.now <= notAfter:
                // Refused for its time and certainly not executed: measured anew and sent once more, the same order.
                venue.measureClock { [weak self] known in self?.onceMore(id, placement, known, failure) }
            case .unknown, .duplicate:
                doubt(id, "\(failure)")
            case .refused where makers[id] != nil && TradeDesk.wouldTake(failure):
                makerRefused(id, failure)
            case .refused, .gone, .missing:
                refuse(id, failure)
            case .notDone, .limited, .banned, .clock, .configuration:
                // Nothing was done, and only the request failed: the order never was.
                drop(id, failure)
            }
        }
        _ = ticket
    }

    private func onceMore(_ id: OrderID, _ placement: OrderWire.Placement, _ known: Bool, _ failure: VenueFailure) {
        guard !stopped, var ticket = tickets[id], ticket.legs.last?.status == .sent, let last = ticket.legs.indices.last else { return }
        guard known else { return drop(id, failure) }
        ticket.legs[last].sentAt = venue.timestamp
        tickets[id] = ticket
        let again: (Reply) -> Void = { [weak self] reply in
            guard let self, !self.stopped, self.tickets[id] != nil else { return }
            switch reply {
            case .success(let value): self.heard(place: value, id)
            case .failure(let failure):
                switch failure.treatment {
                case .unknown, .duplicate: self.doubt(id, "\(failure)")
                case .refused where self.makers[id] != nil && TradeDesk.wouldTake(failure): self.makerRefused(id, failure)
                case .refused, .gone, .missing: self.refuse(id, failure)
                default: self.drop(id, failure)
                }
            }
        }
        let path = venue.path(placement.isAlgo ? "algoOrder" : "order")
        let call = Call("POST", path, placement.parameters, security: .signed, weight: 0, orders: 1, urgency: .order, timeout: orderTimeout)
        if let failure = venue.rest.post(call, again) { drop(id, failure) }
    }

    /// The venue's answer to a placement.
    private func heard(place value: JSONValue, _ id: OrderID) {
        let report = value.find("algoId") != nil ? VenueReport(algo: value) : VenueReport(order: value)
        guard let report else { return doubt(id, "its answer to the order could not be read") }
        if let fills = value.find("fills")?.asList {
            // The order's number first, so that its trades find it.
            own(report, id)
            for fill in fills {
                if let trade = TradeReport(fill: fill, symbol: report.symbol, orderID: report.orderID, side: report.side, time: report.time) {
                    // Each part and where it leads, as if it had come by itself.
                    take(trade)
                    speak(id, at: report.time)
                }
            }
        }
        take(report)
    }

    // MARK: what the venue says

    func own(_ report: VenueReport, _ id: OrderID) {
        if !report.isAlgo, report.orderID != 0 { owners["\(report.symbol):\(report.orderID)"] = id }
        if report.actualOrderID != 0 { owners["\(report.symbol):\(report.actualOrderID)"] = id }
    }

    func owner(symbol: String, orderID: Int64) -> OrderID? { owners["\(symbol):\(orderID)"] }

    /// A report about any order of the account, from whichever channel. `quietly`: the caller tells itself.
    func take(_ report: VenueReport, quietly: Bool = false) {
        guard let client = ClientID(report.clientID) else { return quietly ? () : outside(report) }
        let id = client.order
        if tickets[id] == nil {
            // Ours by its id, from an earlier run.
            guard let listing = venue.symbols.listing(symbol: report.symbol), let side = report.side, report.quantity.isPositive else { return }
            if seen.contains(id), report.status?.isTerminal != false { return }
            var made = Ticket(order: id, instrument: listing.id, symbol: report.symbol, side: side, quantity: report.quantity, limit: report.price)
            made.legs.append(Ticket.Leg(client, quantity: report.quantity, isAlgo: report.isAlgo, sentAt: report.time))
            tickets[id] = made
            remember(id)
        } else if var ticket = tickets[id], !ticket.legs.contains(where: { $0.id == client }) {
            // A second part placed in an earlier run.
            ticket.legs.append(Ticket.Leg(client, quantity: report.quantity, isAlgo: report.isAlgo, sentAt: report.time))
            tickets[id] = ticket
        }
        own(report, id)
        tickets[id]?.take(report)
        if !quietly { speak(id, at: report.time) }
    }

    /// A trade of the account: told once.
    func take(_ trade: TradeReport, flags: UInt32 = 0) {
        eventCount &+= 1
        guard let listing = venue.symbols.listing(symbol: trade.symbol) else { return }
        let id = owner(symbol: trade.symbol, orderID: trade.orderID)
        var side = trade.side
        if let id, tickets[id] != nil {
            side = tickets[id]?.side
            _ = tickets[id]?.take(trade)
        }
        guard told.isNew(listing.id, trade.tradeID), let side else { return }
        emit(trade, id ?? .none, listing, side, flags)
    }

    func emit(_ trade: TradeReport, _ id: OrderID, _ listing: Listing, _ side: Side, _ flags: UInt32, request: UInt64 = 0) {
        host.fill(
            Fill(
                id, instrument: listing.id, side: side, quantity: trade.quantity, price: trade.price, fee: trade.fee, feeAsset: trade.feeAsset,
                liquidity: trade.liquidity, fillID: trade.key, venueID: "\(trade.orderID)"),
            request: request, at: trade.time &* 1_000_000, flags: flags)
    }

    /// Tells what is new about an order, ends what waited for it, and starts what follows from it.
    func speak(_ id: OrderID, at time: Int64 = 0) {
        guard var ticket = tickets[id] else { return }
        if let update = ticket.news() {
            tickets[id] = ticket
            host.order(update, at: time &* 1_000_000)
        }
        if ticket.isAcknowledged, !ticket.inDoubt, let request = submits.removeValue(forKey: id) { request.done() }
        if ticket.lacksTrades { fetchTrades(id) }
        if makers[id] != nil { makerMoved(id) }
        guard let now = tickets[id] else { return }
        if now.isAcknowledged, let waiting = cancels[id] { serve(waiting, id) }
        if now.isOver {
            makers[id] = nil
            if let timer = restTimers.removeValue(forKey: id) { venue.reactor.cancelTimer(timer) }
            over.append((id, venue.now))
            forgetOld()
            if let listing = venue.symbols.listing(now.instrument) { extras?.orderEnded(listing) }
            ending()
        }
    }

    /// Orders that ended ten minutes ago hear nothing any more.
    private func forgetOld() {
        while let first = over.first, venue.now &- first.at > 600_000_000_000 || over.count > 20_000 {
            over.removeFirst()
            guard let ticket = tickets[first.id], ticket.isOver else { continue }
            tickets[first.id] = nil
            for leg in ticket.legs where leg.venueID != 0 { owners["\(ticket.symbol):\(leg.venueID)"] = nil }
        }
    }

    /// A definite no of the venue.
    func refuse(_ id: OrderID, _ failure: VenueFailure) {
        guard var ticket = tickets[id], let last = ticket.legs.indices.last else { return }
        // An event was faster and says that it lives: then the refusal was not about this order's life.
        guard ticket.legs[last].status == .sent else { return speak(id) }
        ticket.legs[last].status = .rejected
        ticket.legs[last].reason = failure.description
        ticket.mayGoOn = false
        ticket.inDoubt = false
        makers[id] = nil
        tickets[id] = ticket
        if var told = tickets[id], var update = told.news() {
            tickets[id] = told
            update.vendorCode = failure.code
            update.message = failure.description
            host.order(update)
        }
        if let request = submits.removeValue(forKey: id) {
            request.done(PluginError(.rejected, failure.description, vendorCode: failure.code))
        }
        endCancels(id, PluginError(.rejected, "the order was refused: \(failure)"))
        speak(id)
    }

    /// The request failed before anything was done: the order certainly does not exist.
    private func drop(_ id: OrderID, _ failure: VenueFailure) {
        guard var ticket = tickets[id], let last = ticket.legs.indices.last, ticket.legs[last].status == .sent else { return speak(id) }
        ticket.legs[last].status = .rejected
        ticket.legs[last].reason = failure.description
        ticket.mayGoOn = false
        makers[id] = nil
        tickets[id] = ticket
        if let request = submits.removeValue(forKey: id) { request.done(failure.pluginError) }
        endCancels(id, PluginError(.notFound, "the order was not sent"))
        speak(id)
    }

    // MARK: cancelling

    public func cancel(_ id: OrderID, _ request: Request) throws(PluginError) {
        guard let ticket = tickets[id] else {
            if seen.contains(id) { throw .rejected("order \(id) has ended") }
            throw .notFound("order \(id) is not known here: sync tells what the venue has")
        }
        if ticket.isOver { throw .rejected("order \(id) has ended: it is \(ticket.state)") }
        makers[id] = nil
        tickets[id]?.mayGoOn = false
        // Still on its way: a cancel could overtake it and find nothing.
        guard ticket.isAcknowledged else {
            cancels[id, default: []].append(request)
            return
        }
        serve([request], id)
    }

    private func serve(_ requests: [Request], _ id: OrderID) {
        cancels[id] = nil
        send(cancel: id) { outcome in
            for request in requests {
                if let outcome { request.done(outcome) } else { request.done() }
            }
        }
    }

    func endCancels(_ id: OrderID, _ error: PluginError) {
        for request in cancels.removeValue(forKey: id) ?? [] { request.done(error) }
    }

    /// Cancels at the venue. `done` nil: it is cancelled. A cancel whose fate is unknown is looked at and sent again, which is safe.
    func send(cancel id: OrderID, attempt: Int = 0, _ done: @escaping (PluginError?) -> Void) {
        guard !stopped else { return done(PluginError(.state, "the instance was stopped")) }
        guard let ticket = tickets[id], let leg = ticket.legs.last else { return done(.notFound("order \(id) is not known here")) }
        if ticket.isOver { return done(ticket.state == .canceled ? nil : .rejected("order \(id) has ended: it is \(ticket.state)")) }
        // A triggered conditional order is an ordinary one.
        let isAlgo = leg.isAlgo && leg.venueID == 0
        let parameters = wire.name(leg.id, symbol: ticket.symbol, isAlgo: isAlgo)
        let answer: (Reply) -> Void = { [weak self] reply in self?.canceled(id, reply, isAlgo, attempt, done) }
        if venue.settings.socketOrders, api.isUp {
            let method: StaticString = isAlgo ? "algoOrder.cancel" : "order.cancel"
            if let failure = api.post(method, parameters, weight: 1, urgency: .cancel, timeout: orderTimeout, answer) { answer(.failure(failure)) }
        } else {
            let call = Call("DELETE", venue.path(isAlgo ? "algoOrder" : "order"), parameters, security: .signed, weight: 1, urgency: .cancel, timeout: orderTimeout)
            venue.rest.send(call, answer)
        }
    }

    private func canceled(_ id: OrderID, _ reply: Reply, _ isAlgo: Bool, _ attempt: Int, _ done: @escaping (PluginError?) -> Void) {
        guard !stopped, let ticket = tickets[id], let leg = ticket.legs.last else { return done(PluginError(.state, "the instance was stopped")) }
        switch reply {
        case .success(let value):
            if isAlgo {
                var report = VenueReport()
                report.symbol = ticket.symbol
                report.clientID = leg.id.description
                report.isAlgo = true
                report.status = .canceled
                report.side = ticket.side
                report.quantity = ticket.quantity
                take(report)
                return done(nil)
            }
            guard let report = VenueReport(order: value) else { return look(id, attempt, done) }
            take(report)
            // The answer may come before the trades it counts are known: then the end is told with them.
            done(report.status == .filled ? .rejected("order \(id) was filled before it could be cancelled") : nil)
        case .failure(let failure):
            switch failure.treatment {
            case .gone, .missing, .unknown, .clock: look(id, attempt, done, after: failure)
            case .notDone where attempt < 3: look(id, attempt, done, after: failure)
            default: done(failure.pluginError)
            }
        }
    }

    /// After a cancel that found nothing or got no answer: what has become of the order?
    private func look(_ id: OrderID, _ attempt: Int, _ done: @escaping (PluginError?) -> Void, after failure: VenueFailure? = nil) {
        query(id) { [weak self] found in
            guard let self, !self.stopped, let ticket = self.tickets[id] else { return done(PluginError(.state, "the instance was stopped")) }
            if ticket.isOver || ticket.legs.last?.status.isTerminal == true {
                let status = ticket.legs.last?.status
                return done(
                    status == .canceled ? nil
                        : .rejected("order \(id) can't be cancelled: it is \(status == .filled ? "filled" : ticket.state == .open ? "ending" : "\(ticket.state)")", vendorCode: failure?.code ?? 0))
            }
            switch found {
            case .success where attempt < 3:
                // It lives: cancelling again is safe.
                _ = self.venue.reactor.after(Int64(100_000_000) << Int64(attempt)) { [weak self] in self?.send(cancel: id, attempt: attempt + 1, done) }
            case .success where failure?.treatment == .gone:
                done(PluginError(.rejected, "Binance goes on refusing to cancel \(id), which it says is open (\(failure.map { "\($0)" } ?? ""))", vendorCode: failure?.code ?? 0))
            case .success:
                done(PluginError(.timeout, "the venue says neither yes nor no to the cancel of \(id)"))
            case .failure(let why) where why.treatment == .missing && failure?.treatment == .gone:
                // Neither cancel nor query knows it. It was acknowledged once, so its query side may be behind: a sync settles it.
                self.settle(id)
                done(PluginError(.rejected, "Binance finds no order \(id) to cancel (\(failure.map { "\($0)" } ?? ""))", vendorCode: failure?.code ?? 0))
            case .failure(let why):
                done((failure?.treatment == .gone ? failure ?? why : why).pluginError)
            }
        }
    }
}

extension TradeDesk {
    /// Refused because it would have taken liquidity: -2010 on spot, -5022 on futures.
    static func wouldTake(_ failure: VenueFailure) -> Bool {
        failure.code == -5022 || failure.message.hasPrefix("Order would immediately match and take")
    }
}

/// Which trades have been told, by instrument: the newest 20,000 of each.
struct TradeMemory {
    private var known: [UInt32: Set<Int64>] = [:]
    private var order: [UInt32: [Int64]] = [:]

    /// True the first time.
    mutating func isNew(_ instrument: UInt32, _ trade: Int64) -> Bool {
        guard known[instrument, default: []].insert(trade).inserted else { return false }
        order[instrument, default: []].append(trade)
        if let list = order[instrument], list.count > 20_000 {
            for old in list.prefix(10_000) { known[instrument]?.remove(old) }
            order[instrument] = Array(list.dropFirst(10_000))
        }
        return true
    }

    func knows(_ instrument: UInt32, _ trade: Int64) -> Bool { known[instrument]?.contains(trade) ?? false }
}
