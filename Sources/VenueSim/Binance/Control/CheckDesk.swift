import PluginKit

/// What `keel plugin check` asked for, while it asks: which scenario is played, what is held back, what was counted.
final class CheckDesk {
    enum Verdict { case pass, drop, refuse(Refusal), never, aside, lost, mute }

    private unowned let server: ExchangeServer
    private var scenario = CheckScenario("stream")
    private var isReleased = false
    /// Orders that are done at the release, and answers that are given then.
    var aside: [() -> Void] = []
    var held: [() -> Void] = []
    private var requests = 0
    private var snapshots = 0
    private var early = 0
    private var cancels: Int64 = 0
    private var queries = 0
    private var limitedSince: Int64?
    private var blockedUntil: Int64 = 0
    private var outside: Set<Int64> = []
    private var outsideFutures: Set<Int64> = []
    /// Finite sessions already made, by what they are of.
    var sessions: [String: [(stream: String, payload: Out)]] = [:]
    private var feeds: [ObjectIdentifier: CheckFeed] = [:]

    init(_ server: ExchangeServer) { self.server = server }

    private var exchange: Exchange { server.exchange }

    // MARK: the lines

    /// A fresh exchange that behaves so from now on.
    func play(_ name: String) -> Bool {
        guard let wanted = CheckScenario(name) else { return false }
        var settings = exchange.settings
        settings.start = exchange.now
        guard let fresh = try? Exchange(settings) else { return false }
        scenario = wanted
        hasFallenSilent = false
        (isReleased, aside, held, requests, snapshots, early, cancels, queries) = (false, [], [], 0, 0, 0, 0, 0)
        (limitedSince, blockedUntil, outside, outsideFutures) = (nil, 0, [], [])
        for feed in feeds.values { feed.stop() }
        feeds = [:]
        fresh.takesAnyKey = true
        fresh.spot.script = wanted.orders
        fresh.futures.script = wanted.orders
        server.doublesEvents = wanted.doubles
        server.eventsFirst = wanted.isDisordered
        server.losesEvents = false
        if wanted.isRich, let first = fresh.accounts.first {
            first.spot["BTC"] = Balance(free: 12_345_678_901_234_512_345_678, locked: 0)
            first.futures.wallet["USDT"] = 12_345_678_901_234_512_345_678
            fresh.futures.saidAmounts["BTCUSDT"] = -9_876_543_210_987_500_000
        }
        server.replace(with: fresh)
        server.resubscribed { self.subscribed($0) }
        return true
    }

    func release() {
        guard !isReleased else { return }
        isReleased = true
        if scenario?.isTight ?? false { for product in [Product.spot, .futures] { exchange.limits(product).said = exchange.limits(product).rules.weight - 10 } }
        if scenario?.feed == .gap { for product in [Product.spot, .futures] { server.streams(product).lose(3) } }
        if scenario?.fillsAtRelease ?? false {
            server.losesEvents = true
            for id in exchange.spot.open.sorted() where !outside.contains(id) { if let order = exchange.spot.orders[id] { exchange.spot.fillOutside(order) } }
            for id in exchange.futures.open.sorted() where !outsideFutures.contains(id) {
                if let order = exchange.futures.orders[id] { exchange.futures.fillOutside(order) }
            }
        }
        let late = aside
        aside = []
        for work in late { work() }
        let answers = held
        held = []
        for answer in answers { answer() }
        server.flush()
    }

    /// Orders of somebody else, far from the market, in the place of earlier ones.
    func rest(outside count: Int) -> Bool {
        guard let account = exchange.accounts.first, count <= 100, let spot = exchange.spot.listings["BTCUSDT"], let futures = exchange.futures.listings["BTCUSDT"] else { return false }
        for id in outside { if let order = exchange.spot.orders[id], order.status.isOpen { exchange.spot.end(order, .canceled, "CANCELED") } }
        for id in outsideFutures { if let order = exchange.futures.orders[id], order.status.isOpen { exchange.futures.end(order, .canceled, "CANCELED") } }
        (outside, outsideFutures) = ([], [])
        let price = down(spot.last(exchange.now) / 2, to: one)
        let mark = down(exchange.futures.mark(futures, exchange.now) / 100 * 96, to: one)
        exchange.spot.script = .rest
        exchange.futures.script = .rest
        for number in 0..<count {
            let draft = SpotDraft(side: .buy, type: .limit, price: price, quantity: fixed("0.001"), clientID: "web_\(number)_\(exchange.now)")
            if let order = try? exchange.spot.place(draft, spot, account) { outside.insert(order.id) }
            var other = FuturesDraft(side: .buy, positionSide: account.futures.isDual ? .long : .both, type: "LIMIT")
            (other.price, other.quantity, other.clientID) = (mark, fixed("0.001"), "web_\(number)_\(exchange.now)")
            if let order = try? exchange.futures.place(other, futures, account) { outsideFutures.insert(order.id) }
        }
        exchange.spot.script = scenario?.orders ?? .market
        exchange.futures.script = scenario?.orders ?? .market
        server.flush()
        return outside.count == count
    }

    func counts() -> [(name: String, count: Int)] {
        let spot = exchange.spot.orders.values.filter { !outside.contains($0.id) }
        let futures = exchange.futures.orders.values.filter { !outsideFutures.contains($0.id) }
        let open = spot.filter(\.status.isOpen).count + futures.filter(\.status.isOpen).count + exchange.futures.openAlgos.count
        return [
            ("placed", spot.count + futures.count + exchange.futures.algos.count + aside.count), ("open", open), ("requests", requests), ("snapshots", snapshots),
            ("early", early),
        ]
    }

    var reason: String { exchange.lastRefusal }

    // MARK: calls

    /// Answers and events wait for the release.
    var isHolding: Bool { (scenario?.isMute ?? false) && hasFallenSilent && !isReleased }
    /// A mute or silent scenario is so from its first order on: until then a plugin connects and syncs as always.
    private var hasFallenSilent = false
    var allowsPings: Bool { scenario?.feed != .slow && scenario?.feed != .huge }

    /// true: the connection was dealt with.
    func receive(_ request: HTTPServer.Request) -> Bool {
        requests += 1
        if scenario?.closesConnections ?? false {
            request.connection.close()
            return true
        }
        if scenario?.nonsense ?? false {
            request.connection.send([0, 255, 13, 10, 0, 7, 200, 1] + Array("no protocol at all\r\n\r\n".utf8))
            request.connection.close()
            return true
        }
        guard request.head["upgrade"] != nil, let refusal = limit() else { return false }
        request.connection.respond(refusal.status, headers: refusal.retryAfter.map { [("retry-after", "\($0)")] } ?? [], body: refusal.body.bytes)
        return true
    }

    /// The refusal of the limited scenarios while their second lasts.
    private func limit() -> Refusal? {
        guard let says = scenario?.limited else { return nil }
        let now = server.reactor.now()
        guard let since = limitedSince else {
            limitedSince = now
            return Self.tooMany(says ? 1 : nil)
        }
        guard now - since < 1_000_000_000 else { return nil }
        if now - since > 100_000_000 { early += 1 }
        return Self.tooMany(says ? 1 : nil)
    }

    private static func tooMany(_ seconds: Int64?) -> Refusal {
        Refusal(
            -1003, "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API.",
            status: 429, retryAfter: seconds)
    }

    func verdict(_ call: String, _ route: Route?) -> Verdict {
        if ["/depth", "/klines", "/trades", "/aggTrades", "/historicalTrades"].contains(where: { call.hasSuffix($0) }) { snapshots += 1 }
        guard let scenario else { return .pass }
        if let refusal = limit() { return .refuse(refusal) }
        // A session is what its streams say: images and history would be of the market that goes on beside it.
        let besides = ["/depth", "/klines", "/aggTrades", "/openInterest", "/fundingRate"]
        if scenario.feed == .session, besides.contains(where: { call.hasSuffix($0) }) || call.contains("/futures/data/") {
            return .refuse(Refusal(-1128, "Combination of optional parameters invalid."))
        }
        let isSigned = route.map { $0.security == .signed } ?? true
        if let refusal = scenario.keyRefusal, isSigned { return .refuse(refusal) }
        let isPlacement = call.hasPrefix("POST") && route?.isOrder ?? false
        if scenario.isTight, isReleased {
            let now = server.reactor.now()
            if now < blockedUntil { return .refuse(Self.tooMany(5)) }
            if isSigned, call.hasPrefix("GET") {
                queries += 1
                if queries >= 3 {
                    early += 1
                    blockedUntil = now + 5_000_000_000
                    return .refuse(Self.tooMany(5))
                }
            }
        }
        if isPlacement { hasFallenSilent = true }
        if scenario.hangs, hasFallenSilent, isSigned { return .never }
        if isHolding { return isSigned ? .mute : .pass }
        if isPlacement {
            if let refusal = scenario.refusal {
                exchange.lastRefusal = refusal.text
                return .refuse(refusal)
            }
            if scenario.putsAside, !isReleased { return .aside }
            if scenario.losesReply { return .lost }
        }
        if call.hasPrefix("DELETE"), route?.isOrder ?? false {
            if scenario.fillsOnCancel { fillOpen() }
            cancels += 1
            if cancels > scenario.cancels { return .refuse(.unknownOrder) }
        }
        return .pass
    }

    /// The order was filled while the cancellation was on its way.
    private func fillOpen() {
        for id in exchange.spot.open.sorted() where !outside.contains(id) { if let order = exchange.spot.orders[id] { exchange.spot.fillOutside(order) } }
        for id in exchange.futures.open.sorted() where !outsideFutures.contains(id) { if let order = exchange.futures.orders[id] { exchange.futures.fillOutside(order) } }
    }

    func sessionRefusal(_ method: String) -> Refusal? {
        if let refusal = limit() { return refusal }
        return method == "session.status" || method == "session.logout" ? nil : scenario?.keyRefusal
    }

    /// Account events in the order this scenario tells them.
    func arranged(_ events: [(product: Product, account: Int, event: Out)]) -> [(product: Product, account: Int, event: Out)] {
        guard scenario?.isDisordered ?? false else { return events }
        let strange = events.first.map { [($0.product, $0.account, Out.object { $0.text("e", "somethingNobodyKnows") })] } ?? []
        return strange + events.reversed()
    }

    // MARK: feeds

    func subscribed(_ socket: MarketSocket) {
        guard let kind = scenario?.feed, kind != .gap else { return }
        let key = ObjectIdentifier(socket)
        if let feed = feeds[key] { return feed.restart() }
        feeds[key] = CheckFeed(kind, socket, server)
    }

    func feed(_ socket: MarketSocket) -> CheckFeed? { feeds[ObjectIdentifier(socket)] }

    func forget(_ socket: MarketSocket) { feeds.removeValue(forKey: ObjectIdentifier(socket))?.stop() }
}
