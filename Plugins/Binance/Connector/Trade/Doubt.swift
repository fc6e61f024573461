import PluginKit

// What became of an order nobody heard of. The rule: a request that may have arrived is settled by asking, never by sending again.
// "Order does not exist" proves nothing while the order may still be on its way or the venue's query side be behind; it proves
// absence once the venue's own clock says that the order's window has long closed, and its lists don't have it either.
extension TradeDesk {
    /// How long after the end of the window the venue's word counts, in milliseconds: a second for clocks, the rest for its back ends.
    static let grace: Int64 = 6000

    /// It may live at the venue: said at once, then asked.
    func doubt(_ id: OrderID, _ why: String) {
        guard var ticket = tickets[id], let last = ticket.legs.indices.last else { return }
        if ticket.legs[last].status == .sent {
            ticket.inDoubt = true
            ticket.legs[last].reason = why
            tickets[id] = ticket
            venue.log(.warning, "order \(id) is in doubt: \(why)")
        }
        speak(id)
        settle(id)
    }

    /// Asks until it is known where the order stands and which trades it has.
    func settle(_ id: OrderID) {
        guard !stopped, settling.insert(id).inserted else { return }
        ask(id, attempt: 0)
    }

    private func ask(_ id: OrderID, attempt: Int) {
        guard !stopped, let ticket = tickets[id], !ticket.isOver else {
            settling.remove(id)
            return
        }
        // The venue's own time, read before the question: only it can say that the window has closed.
        venue.measureClock { [weak self] known in
            guard let self, !self.stopped else { return }
            let asked = self.venue.milliseconds
            self.query(id) { [weak self] found in
                guard let self, !self.stopped else { return }
                guard let ticket = self.tickets[id], !ticket.isOver, let leg = ticket.legs.last else {
                    self.settling.remove(id)
                    return
                }
                switch found {
                case .success:
                    // Doubtless now; missing trades are fetched by themselves.
                    self.settling.remove(id)
                case .failure(let failure) where failure.treatment == .missing:
                    let over = leg.sentAt + self.venue.settings.receiveWindow + TradeDesk.grace
                    if known, self.isReady, asked > over, leg.status == .sent { self.prove(id, attempt) } else { self.askAgain(id, attempt) }
                case .failure(let failure):
                    self.askAgain(id, attempt, failure.retryAfter)
                }
            }
        }
    }

    private func askAgain(_ id: OrderID, _ attempt: Int, _ least: Int64 = 0) {
        // A minute of frequent questions, then fewer: by the venue's clock, which doesn't jump.
        let isFresh = venue.milliseconds - (tickets[id]?.legs.last?.sentAt ?? 0) < 60_000
        let pause = max(min(Int64(150_000_000) << Int64(min(attempt, 6)), isFresh ? 1_200_000_000 : 6_000_000_000), min(least, 60_000_000_000))
        _ = venue.reactor.after(pause) { [weak self] in self?.ask(id, attempt: attempt + 1) }
    }

    /// The query says no and the window is closed: the lists of open and of recent orders have the last word.
    private func prove(_ id: OrderID, _ attempt: Int) {
        guard let ticket = tickets[id], let leg = ticket.legs.last else { return }
        let calls = wireLists(symbol: ticket.symbol, since: leg.sentAt - 60_000, isAlgo: leg.isAlgo)
        var left = calls.count
        var failed = false
        for call in calls {
            venue.rest.send(call) { [weak self] reply in
                guard let self, !self.stopped else { return }
                switch reply {
                case .success(let list):
                    for entry in list.asList ?? [] {
                        if let report = entry.find("clientAlgoId") != nil ? VenueReport(algo: entry) : VenueReport(order: entry), ClientID(report.clientID)?.order == id {
                            self.take(report)
                        }
                    }
                case .failure: failed = true
                }
                left -= 1
                guard left == 0 else { return }
                guard let now = self.tickets[id], let last = now.legs.last else {
                    self.settling.remove(id)
                    return
                }
                if last.status != .sent {
                    self.settling.remove(id)
                } else if failed {
                    self.askAgain(id, attempt)
                } else {
                    self.settling.remove(id)
                    self.refuse(
                        id,
                        VenueFailure(
                            .refused, code: -2013,
                            message: "it never reached Binance: its window of \(self.venue.settings.receiveWindow) ms closed long ago, and neither query, open nor recent orders have it"))
                }
            }
        }
    }

    func wireLists(symbol: String, since: Int64, isAlgo: Bool) -> [Call] {
        var bySymbol = Parameters()
        bySymbol.add("symbol", symbol)
        var recent = Parameters()
        recent.add("limit", 1000)
        recent.add("startTime", since)
        recent.add("symbol", symbol)
        let isSpot = product == .spot
        var calls = [
            Call("GET", venue.path("openOrders"), bySymbol, security: .signed, weight: isSpot ? 6 : 1, urgency: .settle),
            Call("GET", venue.path("allOrders"), recent, security: .signed, weight: isSpot ? 20 : 5, urgency: .settle),
        ]
        if isAlgo {
            calls.append(Call("GET", venue.path("openAlgoOrders"), bySymbol, security: .signed, weight: 1, urgency: .settle))
            calls.append(Call("GET", venue.path("allAlgoOrders"), recent, security: .signed, weight: 5, urgency: .settle))
        }
        return calls
    }

    /// Looks an order up by its client id and takes in what is said. A conditional order is looked for in both stores.
    func query(_ id: OrderID, _ done: @escaping (Reply) -> Void) {
        guard let ticket = tickets[id], let leg = ticket.legs.last else { return done(.failure(VenueFailure(.missing, message: "not known here"))) }
        let ordinary = { [weak self] in
            guard let self else { return }
            let parameters = self.wire.name(leg.id, symbol: ticket.symbol, isAlgo: false)
            self.venue.rest.send(Call("GET", self.venue.path("order"), parameters, security: .signed, weight: self.product == .spot ? 4 : 1, urgency: .settle)) {
                [weak self] reply in
                guard let self, !self.stopped else { return }
                if case .success(let value) = reply {
                    guard let report = VenueReport(order: value) else {
                        return done(.failure(VenueFailure(.unknown, message: "the answer about an order could not be read")))
                    }
                    self.take(report)
                }
                done(reply)
            }
        }
        guard leg.isAlgo, leg.venueID == 0 else { return ordinary() }
        let parameters = wire.name(leg.id, symbol: ticket.symbol, isAlgo: true)
        venue.rest.send(Call("GET", venue.path("algoOrder"), parameters, security: .signed, weight: 1, urgency: .settle)) { [weak self] reply in
            guard let self, !self.stopped else { return }
            if case .success(let value) = reply, let report = VenueReport(algo: value) {
                self.take(report)
                if !report.algoIsOver { return done(reply) }
            } else if case .failure(let failure) = reply, failure.treatment != .missing {
                return done(reply)
            }
            ordinary()
        }
    }

    // MARK: trades

    /// The venue has executed more than we have trades of. They usually come by themselves; what doesn't is fetched.
    func fetchTrades(_ id: OrderID) {
        guard fetching.insert(id).inserted else { return }
        fetchAgain(id, 0)
    }

    private func fetchAgain(_ id: OrderID, _ attempt: Int) {
        let pause = attempt == 0 && !isReady ? 0 : min(Int64(250_000_000) << Int64(min(attempt, 7)), 30_000_000_000)
        _ = venue.reactor.after(pause) { [weak self] in
            guard let self, !self.stopped else { return }
            guard let ticket = self.tickets[id], ticket.lacksTrades else {
                self.fetching.remove(id)
                return
            }
            if attempt == 8 { self.venue.log(.error, "order \(id): \(ticket.executed) executed, but trades of only \(ticket.filled) are to be had") }
            var left = 0
            for leg in ticket.legs where leg.venueID != 0 && leg.executed.isPositive {
                left += 1
                var parameters = Parameters()
                parameters.add("limit", 1000)
                parameters.add("orderId", leg.venueID)
                parameters.add("symbol", ticket.symbol)
                let call = Call("GET", self.venue.path(self.product == .spot ? "myTrades" : "userTrades"), parameters, security: .signed, weight: 5, urgency: .settle)
                self.venue.rest.send(call) { [weak self] reply in
                    guard let self, !self.stopped else { return }
                    if case .success(let list) = reply {
                        for entry in list.asList ?? [] { if let trade = TradeReport(trade: entry) { self.take(trade) } }
                        self.speak(id)
                    }
                    left -= 1
                    if left == 0 { self.fetchAgain(id, attempt + 1) }
                }
            }
            if left == 0 { self.fetchAgain(id, attempt + 1) }
        }
    }

    // MARK: watch

    /// A user stream may be silent with its connection healthy. What should be open is therefore compared with what is, every half minute.
    func startWatch() {
        watchTimer = venue.reactor.after(TradeDesk.watchEvery) { [weak self] in
            guard let self, !self.stopped else { return }
            self.watchTimer = nil
            self.compareOpen()
            self.startWatch()
        }
    }

    static let watchEvery: Int64 = 20_000_000_000

    private func compareOpen() {
        guard isReady else { return }
        var live: [String: [OrderID]] = [:]
        for ticket in tickets.values where !ticket.isOver && ticket.isAcknowledged { live[ticket.symbol, default: []].append(ticket.order) }
        for (symbol, ids) in live.sorted(by: { $0.key < $1.key }) {
            // Few: each by itself. Many: the list first, and only what is not in it.
            if ids.count <= 2 {
                for id in ids.sorted() { settle(id) }
                continue
            }
            var parameters = Parameters()
            parameters.add("symbol", symbol)
            venue.rest.send(Call("GET", venue.path("openOrders"), parameters, security: .signed, weight: product == .spot ? 6 : 1, urgency: .query)) { [weak self] reply in
                guard let self, !self.stopped, case .success(let list) = reply else { return }
                var listed: Set<OrderID> = []
                for entry in list.asList ?? [] {
                    guard let report = VenueReport(order: entry) else { continue }
                    self.take(report)
                    if let id = ClientID(report.clientID)?.order { listed.insert(id) }
                }
                for id in ids.sorted() where !listed.contains(id) { self.settle(id) }
            }
        }
    }
}
