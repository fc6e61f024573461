import PluginAPI
import PluginKit

/// One sync: what is open, what was traded since, what the account holds. Everything is merged with what the user stream
/// said meanwhile, so that no order is told at an earlier state than it has, and then told in one go.
final class SyncRun {
    private unowned let desk: TradeDesk
    let request: Request
    private let start: Int64  // venue milliseconds, 0: the most recent
    private var known: Set<OrderID> = []
    private var mentioned: Set<OrderID> = []
    private var trades: [String: TradeReport] = [:]
    private var outside: [VenueReport] = []
    private var failed = false
    private var rounds = 0
    private var funding: [JSONValue] = []

    init(_ desk: TradeDesk, since: Int64, _ request: Request) {
        self.desk = desk
        self.request = request
        start = since <= 0 ? 0 : max(1, desk.venue.clock.milliseconds(since))
        known = Set(desk.tickets.keys)
    }

    private var venue: Venue { desk.venue }
    private var isSpot: Bool { venue.product == .spot }

    func begin() {
        var calls: [(Call, (JSONValue) -> Void)] = []
        let listings = venue.symbols.all.filter { $0.rules != nil }
        func open(_ path: String, _ parameters: Parameters, weight: Int64) {
            calls.append((Call("GET", venue.path(path), parameters, security: .signed, weight: weight), { [weak self] in self?.orders($0, areOpen: true) }))
        }
        if listings.count <= 10 {
            for listing in listings {
                var parameters = Parameters()
                parameters.add("symbol", listing.symbol)
                open("openOrders", parameters, weight: isSpot ? 6 : 1)
                if !isSpot { open("openAlgoOrders", parameters, weight: 1) }
            }
        } else {
            open("openOrders", Parameters(), weight: isSpot ? 80 : 40)
            if !isSpot { open("openAlgoOrders", Parameters(), weight: 40) }
        }
        // Where nothing was ever ordered, there is nothing of ours to tell.
        let traded = desk.tradedSymbols
        for listing in listings where traded.contains(listing.symbol) {
            for window in windows() {
                recent(listing.symbol, window, &calls)
            }
        }
        if !isSpot {
            var parameters = Parameters()
            parameters.add("incomeType", "FUNDING_FEE" as StaticString)
            parameters.add("limit", 1000)
            if start > 0 { parameters.add("startTime", start) }
            calls.append((Call("GET", venue.path("income"), parameters, security: .signed, weight: 30), { [weak self] in self?.funding = $0.asList ?? [] }))
        }
        gather(calls) { [weak self] in self?.complete() }
    }

    /// Futures answers for seven days at most; spot from any time on.
    private func windows() -> [(Int64, Int64?)] {
        guard start > 0 else { return [(0, nil)] }
        let week: Int64 = 6 * 86_400_000
        guard !isSpot, venue.milliseconds - start > week else { return [(start, nil)] }
        var list: [(Int64, Int64?)] = []
        var from = max(start, venue.milliseconds - 85 * 86_400_000)
        while from < venue.milliseconds {
            list.append((from, from + week))
            from += week + 1
        }
        return list
    }

    private func recent(_ symbol: String, _ window: (from: Int64, to: Int64?), _ calls: inout [(Call, (JSONValue) -> Void)]) {
        var parameters = Parameters()
        if let end = window.to { parameters.add("endTime", end) }
        parameters.add("limit", 1000)
        if window.from > 0 { parameters.add("startTime", window.from) }
        parameters.add("symbol", symbol)
        calls.append(
            (
                Call("GET", venue.path("allOrders"), parameters, security: .signed, weight: isSpot ? 20 : 5),
                { [weak self] value in
                    self?.orders(value, areOpen: false)
                    self?.further(value, symbol, "allOrders", key: "orderId", from: "orderId", windowed: window.from > 0) { self?.orders($0, areOpen: false) }
                }
            ))
        if !isSpot {
            calls.append((Call("GET", venue.path("allAlgoOrders"), parameters, security: .signed, weight: 5), { [weak self] in self?.orders($0, areOpen: false) }))
        }
        calls.append(
            (
                Call("GET", venue.path(isSpot ? "myTrades" : "userTrades"), parameters, security: .signed, weight: isSpot ? 20 : 5),
                { [weak self] value in
                    self?.keep(value)
                    self?.further(value, symbol, self?.isSpot == true ? "myTrades" : "userTrades", key: "id", from: "fromId", windowed: window.from > 0) { self?.keep($0) }
                }
            ))
    }

    // MARK: pages

    private var pending = 0
    private var after: () -> Void = {}

    private func gather(_ calls: [(Call, (JSONValue) -> Void)], _ then: @escaping () -> Void) {
        after = then
        pending = 1
        for (call, take) in calls { ask(call, take) }
        settled()
    }

    private func ask(_ call: Call, _ take: @escaping (JSONValue) -> Void) {
        guard !failed else { return }
        pending += 1
        venue.rest.send(call) { [weak self] reply in
            guard let self, !self.failed, !self.desk.stopped else { return }
            switch reply {
            case .success(let value):
                take(value)
                self.settled()
            case .failure(let failure):
                self.failed = true
                self.desk.ended(self, failure.treatment == .unknown ? PluginError(.network, failure.description) : failure.pluginError)
            }
        }
    }

    private func settled() {
        pending -= 1
        if pending == 0, !failed { after() }
    }

    /// A full page has a next one. Without a start time the page was the most recent one, and there is none.
    private func further(_ value: JSONValue, _ symbol: String, _ path: String, key: String, from name: StaticString, windowed: Bool, _ take: @escaping (JSONValue) -> Void) {
        guard windowed, let list = value.asList, list.count >= 1000, let last = list.compactMap({ $0.find(key)?.whole }).max() else { return }
        var parameters = Parameters()
        parameters.add(name, last + 1)
        parameters.add("limit", 1000)
        parameters.add("symbol", symbol)
        ask(Call("GET", venue.path(path), parameters, security: .signed, weight: isSpot ? 20 : 5)) { [weak self] value in
            take(value)
            self?.further(value, symbol, path, key: key, from: name, windowed: windowed, take)
        }
    }

    // MARK: taking in

    private func orders(_ value: JSONValue, areOpen: Bool) {
        for entry in value.asList ?? [] {
            guard let report = entry.find("clientAlgoId") != nil ? VenueReport(algo: entry) : VenueReport(order: entry) else { continue }
            if let client = ClientID(report.clientID) {
                desk.take(report, quietly: true)
                mentioned.insert(client.order)
            } else if areOpen {
                outside.append(report)
            }
        }
    }

    private func keep(_ value: JSONValue) {
        for entry in value.asList ?? [] {
            if let trade = TradeReport(trade: entry) { trades[trade.key] = trade }
        }
    }

    /// Trades need their orders, and orders their trades, also those from before `since`.
    private func complete() {
        var calls: [(Call, (JSONValue) -> Void)] = []
        var asked: Set<String> = []
        for trade in trades.values where desk.owner(symbol: trade.symbol, orderID: trade.orderID) == nil {
            guard asked.insert("\(trade.symbol):\(trade.orderID)").inserted, asked.count <= 50 else { continue }
            var parameters = Parameters()
            parameters.add("orderId", trade.orderID)
            parameters.add("symbol", trade.symbol)
            let call = Call("GET", venue.path("order"), parameters, security: .signed, weight: isSpot ? 4 : 1)
            pendingLookup(call, &calls)
        }
        gather(calls) { [weak self] in self?.fetchLacking() }
    }

    private func pendingLookup(_ call: Call, _ calls: inout [(Call, (JSONValue) -> Void)]) {
        calls.append((call, { [weak self] value in self?.orders(JSONValue([value]), areOpen: false) }))
    }

    private func fetchLacking() {
        assign()
        var calls: [(Call, (JSONValue) -> Void)] = []
        for ticket in desk.tickets.values where ticket.lacksTrades {
            for leg in ticket.legs where leg.venueID != 0 && leg.executed.isPositive {
                var parameters = Parameters()
                parameters.add("limit", 1000)
                parameters.add("orderId", leg.venueID)
                parameters.add("symbol", ticket.symbol)
                calls.append(
                    (
                        Call("GET", venue.path(isSpot ? "myTrades" : "userTrades"), parameters, security: .signed, weight: 5),
                        { [weak self] in self?.keep($0) }
                    ))
            }
        }
        gather(calls) { [weak self] in
            self?.assign()
            self?.account()
        }
    }

    private func assign() {
        for trade in trades.values {
            if let id = desk.owner(symbol: trade.symbol, orderID: trade.orderID) { _ = desk.tickets[id]?.take(trade) }
        }
    }

    // MARK: the account, last

    /// Balances are only worth something beside the trades that made them: if anything happened while they were asked for, they are asked for again.
    private func account() {
        let before = desk.eventCount
        var calls: [(Call, (JSONValue) -> Void)] = []
        var answers: [String: JSONValue] = [:]
        func want(_ path: String, weight: Int64) {
            calls.append((Call("GET", path, security: .signed, weight: weight), { answers[path] = $0 }))
        }
        if isSpot {
            want("/api/v3/account", weight: 20)
        } else {
            want("/fapi/v3/account", weight: 5)
            want("/fapi/v3/positionRisk", weight: 5)
        }
        gather(calls) { [weak self] in
            guard let self else { return }
            _ = self.venue.reactor.after(20_000_000) { [weak self] in
                guard let self, !self.failed, !self.desk.stopped else { return }
                self.rounds += 1
                if self.desk.eventCount != before, self.rounds < 5 { return self.account() }
                self.tell(answers)
            }
        }
    }

    private func tell(_ answers: [String: JSONValue]) {
        let host = venue.host
        let flags = KEEL_EVF_SNAPSHOT
        let id = request.id
        for trade in trades.values.sorted(by: { ($0.time, $0.tradeID) < ($1.time, $1.tradeID) }) {
            guard let listing = venue.symbols.listing(symbol: trade.symbol) else { continue }
            let owner = desk.owner(symbol: trade.symbol, orderID: trade.orderID)
            guard let side = owner.flatMap({ desk.tickets[$0]?.side }) ?? trade.side else { continue }
            _ = desk.told.isNew(listing.id, trade.tradeID)
            desk.emit(trade, owner ?? .none, listing, side, flags, request: id)
        }
        for order in desk.tickets.keys.sorted() {
            guard var ticket = desk.tickets[order] else { continue }
            // What was over before and was not asked about is no news.
            if ticket.isOver, !mentioned.contains(order) { continue }
            let update = ticket.telling()
            desk.tickets[order] = ticket
            host.order(update, request: id, flags: flags)
            desk.speak(order)
            if ticket.isOver, !known.contains(order) { desk.forget(order) }
        }
        for report in outside { desk.outside(report, flags: flags) }
        if let account = answers["/api/v3/account"] {
            for entry in account.find("balances")?.asList ?? [] {
                guard let asset = entry.find("asset")?.asText, let free = entry.find("free")?.money, let locked = entry.find("locked")?.money,
                    let total = try? free.adding(locked), !total.isZero || venue.symbols.usesAsset(asset)
                else { continue }
                host.balance(asset, total: total, available: free, request: id, flags: flags)
            }
        }
        if let account = answers["/fapi/v3/account"], let risk = answers["/fapi/v3/positionRisk"] {
            desk.extras?.tell(account: account, risk: risk, request: id, flags: flags)
            desk.extras?.tell(funding: funding, request: id, flags: flags)
        }
        desk.ended(self, nil)
    }
}

extension TradeDesk {
    public func sync(since: Int64, _ request: Request) throws(PluginError) {
        guard trades else { throw PluginError(.authentication, "this instance has no API key: it serves market data only") }
        if isReady { return begin(since: since, request) }
        if let problem { throw problem.pluginError }
        // Connecting: the answer comes once the user stream stands, so that nothing falls between the two.
        waitingSyncs.append((since, request))
        _ = venue.reactor.after(4_000_000_000) { [weak self] in
            guard let self, let place = self.waitingSyncs.firstIndex(where: { $0.request.id == request.id }) else { return }
            self.waitingSyncs.remove(at: place).request.done(PluginError(.network, "no connection to Binance yet"))
        }
    }

    func begin(since: Int64, _ request: Request) {
        venue.symbols.meetAll(host)
        let run = SyncRun(self, since: since, request)
        syncs.append(run)
        run.begin()
    }

    func ended(_ run: SyncRun, _ error: PluginError?) {
        syncs.removeAll { $0 === run }
        if let error { run.request.done(error) } else { run.request.done() }
    }

    func forget(_ id: OrderID) {
        guard let ticket = tickets.removeValue(forKey: id) else { return }
        for leg in ticket.legs where leg.venueID != 0 { owners["\(ticket.symbol):\(leg.venueID)"] = nil }
    }

    /// Symbols ordered in any run, so that a sync after a restart asks for their trades.
    var tradedSymbols: Set<String> {
        if let held = tradedHeld { return held }
        let bytes = (try? host.get("traded")) ?? nil
        let read = Set((bytes.map { String(decoding: $0, as: UTF8.self) } ?? "").split(separator: "\n").map(String.init))
        tradedHeld = read
        return read
    }

    /// Durable before the first order of a symbol leaves.
    func note(traded symbol: String) throws(PluginError) {
        var all = tradedSymbols
        guard all.insert(symbol).inserted else { return }
        tradedHeld = all
        try host.put("traded", Array(all.sorted().joined(separator: "\n").utf8))
    }
}
