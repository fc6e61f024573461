import PluginKit

/// One WebSocket API connection: the REST calls by other names, a session, and on spot the account's events.
final class ApiSocket {
    let peer: WebSocketPeer
    let product: Product
    private unowned let server: ExchangeServer
    private let connected: Int64
    private var session: Account?
    private var authorized: Int64 = 0
    private let saysLimits: Bool
    private var subscriptions: [(id: Int, account: Int)] = []
    private var nextSubscription = 0
    var lastPong: Int64

    init(_ peer: WebSocketPeer, _ product: Product, saysLimits: Bool, on server: ExchangeServer, now: Int64) {
        self.peer = peer
        self.product = product
        self.server = server
        self.saysLimits = saysLimits
        connected = server.exchange.now
        lastPong = now
    }

    private var exchange: Exchange { server.exchange }
    private var limits: Limits { exchange.limits(product) }

    func personal(_ account: Int, _ event: Out) {
        for subscription in subscriptions where subscription.account == account {
            peer.send(text: Out.object { out in
                out.int("subscriptionId", subscription.id)
                out.put("event", event)
            }.bytes)
        }
    }

    func sayShutdown(_ event: Out) { peer.send(text: Out.object { $0.put("event", event) }.bytes) }

    var isSubscribed: Bool { !subscriptions.isEmpty }

    // MARK: requests

    private struct Request {
        var id: Out
        var method: String
        var object: JSONObject
        var params: Params
        var payload: [UInt8]
        var saysLimits: Bool
    }

    func receive(_ bytes: [UInt8]) {
        guard let value = try? JSONValue(parsing: bytes), value.asObject != nil else {
            return send(.null, status: 400, error: Refusal(-1135, "Invalid JSON Request"), limits: nil)
        }
        let id = value.find("id").map { Out.value($0) } ?? .null
        guard var method = value.find("method")?.asText else { return send(id, status: 400, error: Refusal(-1102, "Mandatory parameter 'method' was not sent, was empty/null, or malformed."), limits: nil) }
        if method.hasPrefix("v3/") { method = String(method.dropFirst(3)) }
        let object = value.find("params")?.asObject ?? JSONObject()
        let (params, payload) = Params.object(object)
        let wantsLimits = (try? params.optionalBool("returnRateLimits")) ?? nil
        handle(Request(id: id, method: method, object: object, params: params, payload: payload, saysLimits: wantsLimits ?? saysLimits))
    }

    private func handle(_ request: Request) {
        let table = product == .spot ? SpotRoutes.methods : FuturesRoutes.methods
        let name = table[request.method]
        let routes = product == .spot ? SpotRoutes.table : FuturesRoutes.table
        guard let name, let route = routes[name] else { return handleSession(request) }
        server.perform(
            name, route, product, .socket, drop: { [weak self] in self?.peer.drop() },
            refuse: { [weak self] refusal in self?.send(request.id, status: refusal.status, error: refusal, limits: nil) },
            // What was put aside is done even when its connection is gone.
            run: { self.answer(request, route) as Out? },
            send: { [weak self] answer in if let answer { self?.peer.send(text: answer.bytes) } })
    }

    /// Runs a call; the whole answer.
    private func answer(_ request: Request, _ route: Route) -> Out {
        var caller: Account?
        do throws(Refusal) {
            let weight = route.weight(request.params)
            try limits.charge(weight, now: exchange.now)
            let account = try authenticate(request, route.security)
            if route.security != .open { caller = account }
            let result = try exchange.run(route, account, request.params, product)
            if route.isOrder { limits.refund(weight) }
            return envelope(request.id, 200, limits: request.saysLimits ? limits.rows(route.isOrder ? caller?.number : nil, now: exchange.now) : nil) { $0.put("result", result) }
        } catch {
            return envelope(request.id, error.status, limits: request.saysLimits ? limits.rows(caller?.number, now: exchange.now) : nil) { $0.put("error", self.errorBody(error)) }
        }
    }

    private func authenticate(_ request: Request, _ security: Route.Security) throws(Refusal) -> Account {
        if security == .signed, let session, request.params.peek("apiKey") == nil {
            try exchange.checkTime(request.params)
            return session
        }
        return try exchange.authenticate(
            security, key: request.params.peek("apiKey"), payload: { (request.payload, request.params.peek("signature")) }, request.params)
    }

    private func handleSession(_ request: Request) {
        do throws(Refusal) {
            if let refusal = server.check?.sessionRefusal(request.method) { throw refusal }
            try limits.charge(2, now: exchange.now)
            let result = try session(request)
            peer.send(text: envelope(request.id, 200, limits: request.saysLimits ? limits.rows(nil, now: exchange.now) : nil) { $0.put("result", result) }.bytes)
        } catch {
            send(request.id, status: error.status, error: error, limits: request.saysLimits ? limits.rows(nil, now: exchange.now) : nil)
        }
    }

    private func status() -> Out {
        Out.object { out in
            if let session { out.text("apiKey", session.apiKey) } else { out.null("apiKey") }
            if session != nil { out.int("authorizedSince", authorized) } else { out.null("authorizedSince") }
            out.int("connectedSince", connected)
            out.bool("returnRateLimits", saysLimits)
            out.int("serverTime", exchange.now)
            out.bool("userDataStream", isSubscribed)
        }
    }

    private func session(_ request: Request) throws(Refusal) -> Out {
        switch (request.method, product) {
        case ("session.logon", _):
            let account = try exchange.authenticate(.signed, key: request.params.peek("apiKey"), payload: { (request.payload, request.params.peek("signature")) }, request.params)
            guard account.credential.isEd25519 else { throw Refusal(-4056, "HMAC_SHA256 API key is not supported.") }
            session = account
            authorized = exchange.now
            return status()
        case ("session.status", _): return status()
        case ("session.logout", _):
            if let session { end(subscriptionsOf: session.number) }
            session = nil
            return status()
        case ("session.subscriptions", .spot): return Out.list(subscriptions) { subscription in Out.object { $0.int("subscriptionId", subscription.id) } }
        case ("userDataStream.subscribe", .spot):
            guard let session else { throw Refusal(-1002, "Not authorized to execute this request. Requires `session.logon`.", status: 401) }
            return try subscribe(session)
        case ("userDataStream.subscribe.signature", .spot):
            return try subscribe(
                try exchange.authenticate(.signed, key: request.params.peek("apiKey"), payload: { (request.payload, request.params.peek("signature")) }, request.params))
        case ("userDataStream.unsubscribe", .spot):
            let id = try request.params.optionalInt("subscriptionId")
            let ending = subscriptions.filter { id == nil || Int64($0.id) == id }
            guard !ending.isEmpty else { throw Refusal(-2036, "User Data Stream subscription not active on this connection.") }
            for subscription in ending { terminate(subscription) }
            return Out.object { _ in }
        case ("userDataStream.start", .futures), ("userDataStream.ping", .futures), ("userDataStream.stop", .futures):
            let verbs = ["userDataStream.start": "POST", "userDataStream.ping": "PUT", "userDataStream.stop": "DELETE"]
            return try server.listenKeyAction(verbs[request.method] ?? "", try exchange.account(key: request.params.peek("apiKey")))
        default: throw Refusal(-1099, "Unknown method '\(request.method)'.", status: 404)
        }
    }

    private func subscribe(_ account: Account) throws(Refusal) -> Out {
        guard !subscriptions.contains(where: { $0.account == account.number }) else {
            throw Refusal(-2035, "User Data Stream subscription already active on this connection.")
        }
        guard nextSubscription < 65_535 else { throw Refusal(-2042, "Subscription id budget exhausted.") }
        let id = nextSubscription
        nextSubscription += 1
        subscriptions.append((id, account.number))
        return Out.object { $0.int("subscriptionId", id) }
    }

    private func end(subscriptionsOf account: Int) { for subscription in subscriptions where subscription.account == account { terminate(subscription) } }

    private func terminate(_ subscription: (id: Int, account: Int)) {
        subscriptions.removeAll { $0.id == subscription.id }
        peer.send(text: Out.object { out in
            out.int("subscriptionId", subscription.id)
            out.put("event", Out.object { out in
                out.text("e", "eventStreamTerminated")
                out.int("E", exchange.now)
            })
        }.bytes)
    }

    // MARK: answers

    private func envelope(_ id: Out, _ status: Int, limits: Out?, _ fill: (inout Out) -> Void) -> Out {
        Out.object { out in
            out.put("id", id)
            out.int("status", status)
            fill(&out)
            if let limits { out.put("rateLimits", limits) }
        }
    }

    private func errorBody(_ refusal: Refusal) -> Out {
        var told = refusal
        if let seconds = refusal.retryAfter, told.data == nil {
            told.data = Out.object { out in
                out.int("serverTime", exchange.now)
                out.int("retryAfter", exchange.now + seconds * 1_000)
            }
        }
        return told.body
    }

    private func send(_ id: Out, status: Int, error: Refusal, limits: Out?) {
        peer.send(text: envelope(id, status, limits: limits) { $0.put("error", errorBody(error)) }.bytes)
    }
}
