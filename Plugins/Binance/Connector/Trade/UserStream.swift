import PluginKit

/// What the account does, as it happens. Spot: a subscription on the WebSocket API's own connection. Futures: a listen key and
/// a stream of its own, with the key kept alive.
final class UserStream {
    private unowned let desk: TradeDesk
    private var link: ManagedSocket?
    private var listenKey: String?
    private var keepAlive: UInt64?
    private var fetching = false
    private var clockRefused = false
    private static let keepAliveEvery: Int64 = 1_500_000_000_000  // 25 min; the venue's limit is 60

    init(_ desk: TradeDesk) { self.desk = desk }

    private var venue: Venue { desk.venue }

    func start() {
        if venue.product == .spot { startSpot() } else { startFutures() }
    }

    func stop() {
        if let keepAlive { venue.reactor.cancelTimer(keepAlive) }
        keepAlive = nil
        link?.stop()
        link = nil
    }

    // MARK: spot

    private func startSpot() {
        let api = desk.api
        api.prepare = { [weak self, weak api] socket, ready in
            guard let self, let api else { return ready(false) }
            // Any kind of key may subscribe by signature; a subscription ends with its connection, so each new one has its own.
            api.send("userDataStream.subscribe.signature", Parameters(), weight: 2, urgency: .settle, on: socket) { [weak self, weak api] reply in
                guard let self, let api else { return ready(false) }
                switch reply {
                case .success:
                    self.clockRefused = false
                    ready(true)
                // -2035: it is subscribed already.
                case .failure(let failure) where failure.code == -2035: ready(true)
                case .failure(let failure) where failure.treatment == .clock:
                    // Measured anew, then tried again; a venue that goes on refusing is told about.
                    if self.clockRefused, !api.isUp { self.desk.note(problem: failure) }
                    self.clockRefused = true
                    self.venue.measureClock { _ in ready(false) }
                case .failure(let failure):
                    if !api.isUp { self.desk.note(problem: failure) }
                    ready(false)
                }
            }
        }
        api.onEvent = { [weak self] event in self?.spot(event) }
        api.link.onState = { [weak self] up, why in
            if up { self?.desk.userIsUp() } else { self?.desk.userIsDown(why) }
        }
        api.start()
    }

    private func spot(_ event: JSONValue) {
        let time = (event.find("E")?.whole ?? 0) &* 1_000_000
        switch event.find("e")?.asText {
        case "executionReport": executed(event)
        case "outboundAccountPosition":
            desk.eventCount &+= 1
            for entry in event.find("B")?.asList ?? [] {
                guard let asset = entry.find("a")?.asText, let free = entry.find("f")?.money, let locked = entry.find("l")?.money,
                    let total = try? free.adding(locked)
                else { continue }
                venue.host.balance(asset, total: total, available: free, at: time)
            }
        case "balanceUpdate", "externalLockUpdate", "listStatus": break  // the position event and the orders' own events say it all
        case "eventStreamTerminated": desk.api.link.drop("the venue ended the user stream")
        case let name: unknown(name)
        }
    }

    private var unknownNames: Set<String> = []
    private func unknown(_ name: String?) {
        let name = String((name ?? "without a name").prefix(60))
        if unknownNames.count < 100, unknownNames.insert(name).inserted { venue.log(.info, "a user event of a kind not known here: \(name)") }
    }

    private func executed(_ event: JSONValue) {
        guard let report = event.find("e") == nil || venue.product == .futures ? VenueReport(update: event) : VenueReport(execution: event) else {
            return venue.log(.warning, "an order event could not be read")
        }
        if report.status == nil { venue.log(.warning, "order status \"\(report.rawStatus)\" is not known here: the event's quantities are used, its status is not") }
        // Who the order is, then the trade, then where that leaves the order: fills are told before the state they lead to.
        desk.take(report, quietly: true)
        if let trade = TradeReport(event: event) { desk.take(trade) }
        if let id = ClientID(report.clientID)?.order {
            desk.speak(id, at: report.time)
        } else {
            desk.outside(report)
        }
    }

    // MARK: futures

    private func startFutures() {
        let made = ManagedSocket(venue) { [weak self] in
            guard let self, let key = self.listenKey else { return nil }
            return self.venue.endpoints.userStream(key)
        }
        made.onOpen = { [weak made] socket in made?.ready(socket) }
        made.onText = { [weak self] _, bytes in self?.receive(bytes) }
        made.onState = { [weak self] up, why in
            guard let self else { return }
            if up {
                self.desk.userIsUp()
            } else {
                self.desk.userIsDown(why)
                // The key may be what died: asking again gives the same one, or a new one.
                self.askForKey {}
            }
        }
        link = made
        askForKey { [weak made] in made?.start() }
    }

    private func askForKey(_ then: @escaping () -> Void) {
        guard !fetching else { return }
        fetching = true
        venue.rest.send(Call("POST", venue.path("listenKey"), security: .key, weight: 1, urgency: .settle)) { [weak self] reply in
            guard let self else { return }
            self.fetching = false
            guard self.link != nil else { return }
            switch reply {
            case .success(let value):
                guard let key = value.find("listenKey")?.asText, !key.isEmpty else { return self.keyFailed(VenueFailure(.unknown, message: "no listen key in the answer"), then) }
                self.listenKey = key
                self.renewLater()
                then()
            case .failure(let failure): self.keyFailed(failure, then)
            }
        }
    }

    private func keyFailed(_ failure: VenueFailure, _ then: @escaping () -> Void) {
        if !desk.isReady { desk.note(problem: failure) }
        let pause = max(1_000_000_000, min(failure.retryAfter, 300_000_000_000))
        _ = venue.reactor.after(pause) { [weak self] in
            guard let self, self.link != nil else { return }
            self.askForKey(then)
        }
    }

    private func renewLater() {
        if let keepAlive { venue.reactor.cancelTimer(keepAlive) }
        keepAlive = venue.reactor.after(UserStream.keepAliveEvery) { [weak self] in
            guard let self else { return }
            self.keepAlive = nil
            self.venue.rest.send(Call("PUT", self.venue.path("listenKey"), security: .key, weight: 1, urgency: .settle)) { [weak self] reply in
                guard let self, self.link != nil else { return }
                if case .failure(let failure) = reply {
                    self.venue.log(.warning, "the listen key could not be kept alive: \(failure)")
                    return self.newKey()
                }
                self.renewLater()
            }
        }
    }

    /// A new key needs a new connection: opened first, then the old one is left.
    private func newKey() {
        askForKey { [weak self] in self?.link?.replace() }
    }

    private func receive(_ bytes: [UInt8]) {
        guard let whole = try? JSONValue(parsing: bytes) else { return venue.log(.warning, "the user stream sent something that is not JSON") }
        let event = whole.find("data") ?? whole
        switch event.find("e")?.asText {
        case "ORDER_TRADE_UPDATE":
            if let order = event.find("o") { executed(order) }
        case "ALGO_UPDATE":
            guard let order = event.find("o"), var report = VenueReport(algoUpdate: order) else { return }
            report.time = event.find("T")?.whole ?? 0
            desk.take(report)
        case "ACCOUNT_UPDATE":
            desk.eventCount &+= 1
            desk.extras?.account(event)
        case "listenKeyExpired": newKey()
        case "serverShutdown": link?.replace()
        case "TRADE_LITE", "MARGIN_CALL", "ACCOUNT_CONFIG_UPDATE", "STRATEGY_UPDATE", "GRID_UPDATE", "CONDITIONAL_ORDER_TRIGGER_REJECT":
            if event.find("e")?.asText == "MARGIN_CALL" { venue.log(.error, "Binance calls for margin: positions are close to liquidation") }
            if event.find("e")?.asText == "ACCOUNT_CONFIG_UPDATE" { desk.extras?.configurationChanged() }
        case let name: unknown(name)
        }
    }
}

extension TradeDesk {
    /// An order that somebody else placed: reported, never touched.
    func outside(_ report: VenueReport, flags: UInt32 = 0) {
        guard let listing = venue.symbols.listing(symbol: report.symbol), let side = report.side, let status = report.status, report.quantity.isPositive else { return }
        let key = "\(report.symbol):\(report.orderID)"
        let state: Order.State =
            switch status {
            case .filled: .filled
            case .canceled: .canceled
            case .expired: .expired
            case .rejected: .rejected
            case .sent, .new, .partlyFilled: .open
            }
        let said = "\(state) \(report.executed)"
        if flags == 0, outsiders[key] == said { return }
        if state.isTerminal { outsiders[key] = nil } else { outsiders[key] = said }
        let executed = min(report.executed, report.quantity)
        host.order(
            OrderUpdate(
                .none, instrument: listing.id, state, side: side, filled: executed, leaves: Fixed(raw: report.quantity.raw - executed.raw), limit: report.price,
                venueID: "\(report.orderID)", message: "placed outside this host"),
            at: report.time &* 1_000_000, flags: flags)
    }
}
