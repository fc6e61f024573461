import PluginKit

/// The exchange on its two ports: REST, market streams, WebSocket API, account events.
final class ExchangeServer {
    private(set) var exchange: Exchange
    let reactor: any Reactor
    private var servers: [Product: HTTPServer] = [:]
    private var spotStreams: Streams
    private var futuresStreams: Streams
    /// Set while `keel plugin check` directs the exchange.
    var check: CheckDesk?
    private var markets: [ObjectIdentifier: MarketSocket] = [:]
    private var apis: [ObjectIdentifier: ApiSocket] = [:]
    var faults: Faults
    /// Account events wait this long, in milliseconds of the loop's clock.
    var eventDelay: Int64 = 0
    /// Account events are not sent at all.
    var losesEvents = false
    /// Each account event is sent twice.
    var doublesEvents = false
    /// Account events go out before the answer to the request that caused them.
    var eventsFirst = false
    private var outbox: [(product: Product, account: Int, event: Out)] = []
    private var spotMessages = 5
    private var futuresMessages = 10
    var control: ControlDesk?
    /// How fast the exchange's time runs; 0: only when it is told to.
    let speed: Int64
    private let loopStart: Int64
    private let timeStart: Int64
    private var pingTimer: UInt64?
    private var clockTimer: UInt64?

    func port(_ product: Product) -> UInt16 { servers[product]?.port ?? 0 }
    func streams(_ product: Product) -> Streams { product == .spot ? spotStreams : futuresStreams }
    func messagesPerSecond(_ product: Product) -> Int { product == .spot ? spotMessages : futuresMessages }
    func allowMessages(_ number: Int) { (spotMessages, futuresMessages) = (number, number) }

    /// `since`: a moment by the loop's clock and by the exchange's.
    init(_ exchange: Exchange, spotPort: UInt16 = 0, futuresPort: UInt16 = 0, speed: Int64 = 1, since: (loop: Int64, time: Int64)? = nil, on reactor: any Reactor) throws(NetError) {
        self.exchange = exchange
        self.reactor = reactor
        self.speed = speed
        loopStart = since?.loop ?? reactor.now()
        timeStart = since?.time ?? exchange.now
        faults = Faults(start: exchange.now)
        spotStreams = Streams(.spot, listings: exchange.spot.listings, symbols: exchange.spot.names)
        futuresStreams = Streams(.futures, listings: exchange.futures.listings, symbols: exchange.futures.names)
        servers[.spot] = try HTTPServer(port: spotPort, on: reactor) { [weak self] request in self?.handle(request, .spot) }
        servers[.futures] = try HTTPServer(port: futuresPort, on: reactor) { [weak self] request in self?.handle(request, .futures) }
        wire()
        control = ControlDesk(self)
        watch()
    }

    private func wire() {
        exchange.spot.emit = { [weak self] account, event in self?.take(.spot, account, event) }
        exchange.futures.emit = { [weak self] account, event in self?.take(.futures, account, event) }
        exchange.futures.liquidated = { [weak self] symbol, event in self?.futuresStreams.liquidated(symbol, event) }
        let futures = exchange.futures
        futuresStreams.mark = { symbol, now in futures.markEvent(symbol, now) }
        exchange.changed = { [weak self] in self?.pump() }
    }

    /// Another exchange behind the same sockets: who reads streams reads on.
    func replace(with fresh: Exchange) {
        exchange = fresh
        outbox = []
        spotStreams = Streams(.spot, listings: fresh.spot.listings, symbols: fresh.spot.names)
        futuresStreams = Streams(.futures, listings: fresh.futures.listings, symbols: fresh.futures.names)
        wire()
        for socket in ordered(markets) { socket.resubscribe() }
    }

    deinit { for timer in [pingTimer, clockTimer] { if let timer { reactor.cancelTimer(timer) } } }

    private func pump() {
        spotStreams.pump(exchange.now)
        futuresStreams.pump(exchange.now)
    }

    /// The exchange goes on by itself from now on, without being asked.
    func run() {
        clockTimer = reactor.after(10_000_000) { [weak self] in
            self?.tick()
            self?.flush()
            self?.run()
        }
    }

    /// Brings the exchange's time up to the loop's.
    func tick() {
        control?.due(exchange.now)
        guard speed > 0 else { return }
        let elapsed = (reactor.now() - loopStart) / 1_000_000
        let time = timeStart + elapsed * speed
        // Far behind: the machine slept, or was started long after its state was saved.
        if time - exchange.now > 2 * Interval.hour { exchange.leap(to: time - Interval.minute) }
        advance(to: time)
    }

    /// Up to a time, stopping where the scenario has something to do.
    func advance(to time: Int64) {
        while let next = control?.nextDue(), next <= time, next > exchange.now {
            exchange.advance(to: next)
            control?.due(next)
        }
        exchange.advance(to: time)
        control?.due(exchange.now)
        expireListenKeys()
        flush()
    }

    func resubscribed(_ work: (MarketSocket) -> Void) { for socket in ordered(markets) { work(socket) } }

    // MARK: account events

    /// Something of an account changed since this was last set to false.
    var hasNews = false

    private func take(_ product: Product, _ account: Int, _ event: Out) {
        hasNews = true
        outbox.append((product, account, event))
    }

    func flush() {
        guard !outbox.isEmpty, !(check?.isHolding ?? false) else { return }
        let events = outbox
        outbox = []
        if losesEvents { return }
        guard eventDelay > 0 else { return send(events) }
        _ = reactor.after(eventDelay * 1_000_000) { [weak self] in self?.send(events) }
    }

    private func send(_ events: [(product: Product, account: Int, event: Out)]) {
        for (product, account, event) in check?.arranged(events) ?? events {
            for _ in 0..<(doublesEvents ? 2 : 1) {
                switch product {
                case .spot: for socket in ordered(apis) where socket.product == .spot { socket.personal(account, event) }
                case .futures:
                    for (key, holder) in listenKeys where holder.account == account { for socket in ordered(markets) where socket.reads(key) { socket.personal(key, event) } }
                }
            }
        }
    }

    private func ordered<T>(_ sockets: [ObjectIdentifier: T]) -> [T] { Array(sockets.values) }

    // MARK: listen keys

    private var listenKeys: [String: (account: Int, expires: Int64)] = [:]

    func isListenKey(_ key: String) -> Bool { listenKeys[key] != nil }

    /// The key of an account, new or the one it has, good for an hour from now.
    func listenKey(_ account: Account, isNew: Bool) -> String? {
        let held = listenKeys.first { $0.value.account == account.number }?.key
        guard held != nil || isNew else { return nil }
        var key = held ?? ""
        if held == nil {
            for place in 0..<4 { key += String(mixed(exchange.settings.seed, account.apiKey + "listen", exchange.now &+ Int64(place)), radix: 36) }
            key = String((key + key).prefix(64))
        }
        listenKeys[key] = (account.number, exchange.now + 60 * Interval.minute)
        return key
    }

    func dropListenKey(_ account: Account) { for (key, holder) in listenKeys where holder.account == account.number { listenKeys[key] = nil } }

    func expireListenKeys(all: Bool = false) {
        for (key, holder) in listenKeys where all || holder.expires <= exchange.now {
            let event = Out.object { out in
                out.text("e", "listenKeyExpired")
                out.int("E", exchange.now)
                out.text("listenKey", key)
            }
            for socket in ordered(markets) where socket.reads(key) { socket.personal(key, event) }
            listenKeys[key] = nil
        }
    }

    // MARK: connections

    /// A ping now and then; who answers none is dropped.
    private func watch() {
        pingTimer = reactor.after(10_000_000_000) { [weak self] in
            guard let self else { return }
            let now = self.reactor.now()
            let pingSpot = now / 20_000_000_000 != (now - 10_000_000_000) / 20_000_000_000
            let pingFutures = now / 180_000_000_000 != (now - 10_000_000_000) / 180_000_000_000
            func check(_ product: Product, _ peer: WebSocketPeer, _ lastPong: Int64) {
                if now - lastPong > (product == .spot ? 80_000_000_000 : 780_000_000_000) { return peer.close(code: 1008, reason: "Pong timeout") }
                if product == .spot ? pingSpot : pingFutures, self.check?.allowsPings ?? true { peer.ping(Array("\(self.exchange.now)".utf8)) }
            }
            for socket in self.markets.values { check(socket.product, socket.peer, socket.lastPong) }
            for socket in self.apis.values { check(socket.product, socket.peer, socket.lastPong) }
            self.watch()
        }
    }

    /// Ends every connection that reads, without a word or after saying so.
    func dropConnections(announced: Bool) {
        let event = Out.object { out in
            out.text("e", "serverShutdown")
            out.int("E", exchange.now)
        }
        for socket in Array(markets.values) { if announced { socket.sayShutdown(event) } else { socket.peer.drop() } }
        for socket in Array(apis.values) { if announced { socket.sayShutdown(event) } else { socket.peer.drop() } }
    }

    /// Does what a fault says with a call.
    func carry<Answer>(_ fault: FaultStep?, drop: @escaping () -> Void, refuse: @escaping (Refusal) -> Void, run: @escaping () -> Answer, send: @escaping (Answer) -> Void) {
        func answer(_ answer: Answer) {
            if eventsFirst { flush() }
            send(answer)
            flush()
        }
        switch fault {
        case nil: answer(run())
        case .lostRequest: drop()
        case .lostReply:
            _ = run()
            drop()
            flush()
        case .hang(let done):
            if done { _ = run() }
            flush()
        case .delay(let milliseconds):
            _ = reactor.after(milliseconds * 1_000_000) { answer(run()) }
        case .delayReply(let milliseconds):
            let done = run()
            flush()
            _ = reactor.after(milliseconds * 1_000_000) { send(done) }
        case .refuse(let status, let code, let text, let done):
            if done { _ = run() }
            refuse(Refusal(code, text, status: status, retryAfter: status == 429 ? 1 : nil))
            flush()
        }
    }

    // MARK: requests

    /// One call, with whatever goes wrong with it.
    func perform<Answer>(
        _ call: String, _ route: Route?, _ product: Product, _ channel: FaultRule.Channel, drop: @escaping () -> Void, refuse: @escaping (Refusal) -> Void,
        run: @escaping () -> Answer, send: @escaping (Answer) -> Void
    ) {
        if let check {
            switch check.verdict(call, route) {
            case .pass: break
            case .drop: return drop()
            case .refuse(let refusal): return refuse(refusal)
            case .never: return
            case .aside:
                // It was in time when it came; what is late is what becomes of it.
                check.aside.append { [exchange] in
                    let checked = exchange.checksTime
                    exchange.checksTime = false
                    _ = run()
                    exchange.checksTime = checked
                }
                return drop()
            case .lost:
                _ = run()
                drop()
                return flush()
            case .mute:
                let answer = run()
                check.held.append { send(answer) }
                return
            }
        }
        carry(faults.next(call, product: product, isOrder: route?.isOrder ?? false, channel: channel, time: exchange.now), drop: drop, refuse: refuse, run: run, send: send)
    }

    private func handle(_ request: HTTPServer.Request, _ product: Product) {
        tick()
        if request.path.hasPrefix("/control/") {
            control?.handle(request)
            return flush()
        }
        let connection = request.connection
        if let check, check.receive(request) { return }
        if request.head["upgrade"] != nil { return upgrade(request, product) }
        if request.path == "/fapi/v1/listenKey" {
            return perform(
                "\(request.head.method) \(request.path)", nil, .futures, .rest, drop: { connection.close() },
                refuse: { [weak self] refusal in self?.reply(connection, Exchange.Reply(status: refusal.status, headers: refusal.retryAfter.map { [("retry-after", "\($0)")] } ?? [], body: refusal.body)) },
                run: { [unowned self] in self.listenKeyCall(request) }, send: { [weak self] in self?.reply(connection, $0) })
        }
        let call = "\(request.head.method) \(request.path)"
        let owner: Product = request.path.hasPrefix("/fapi") || request.path.hasPrefix("/futures/") ? .futures : .spot
        let route = (owner == .spot ? SpotRoutes.table : FuturesRoutes.table)[call]
        let body = String(decoding: request.body, as: UTF8.self)
        perform(
            call, route, owner, .rest, drop: { connection.close() },
            refuse: { [weak self] refusal in self?.reply(connection, Exchange.Reply(status: refusal.status, headers: refusal.retryAfter.map { [("retry-after", "\($0)")] } ?? [], body: refusal.body)) },
            run: { [unowned self] in self.exchange.rest(request.head.method, request.path, query: request.query, body: body, key: request.head["x-mbx-apikey"]) },
            send: { [weak self] in self?.reply(connection, $0) })
    }

    private func reply(_ connection: HTTPConnection, _ reply: Exchange.Reply) {
        connection.respond(reply.status, headers: reply.headers, body: reply.body.bytes, type: "application/json;charset=UTF-8")
    }

    private func listenKeyCall(_ request: HTTPServer.Request) -> Exchange.Reply {
        do throws(Refusal) {
            try exchange.futuresLimits.charge(1, now: exchange.now)
            let account = try exchange.account(key: request.head["x-mbx-apikey"])
            return Exchange.Reply(headers: exchange.futuresLimits.headers(nil, now: exchange.now), body: try listenKeyAction(request.head.method, account))
        } catch {
            return Exchange.Reply(status: error.status, body: error.body)
        }
    }

    /// POST, PUT and DELETE of the listen key; the WebSocket API has the same under other names.
    func listenKeyAction(_ method: String, _ account: Account) throws(Refusal) -> Out {
        switch method {
        case "POST", "PUT":
            guard let key = listenKey(account, isNew: method == "POST") else { throw Refusal(-1125, "This listenKey does not exist.") }
            return Out.object { $0.text("listenKey", key) }
        case "DELETE":
            dropListenKey(account)
            return Out.object { _ in }
        default: throw .noPath
        }
    }

    /// Which socket a path is, and what it names.
    private func upgrade(_ request: HTTPServer.Request, _ product: Product) {
        var parts = request.path.split(separator: "/").map(String.init)
        let query = Params.parse(request.query) ?? []
        let now = reactor.now()
        if parts.first == "ws-api" || parts.first == "ws-fapi" {
            guard let peer = WebSocketPeer(request) else { return request.connection.respond(400, body: Array("Bad Request".utf8), type: "text/plain") }
            let saysLimits = query.first { $0.name == "returnRateLimits" }?.value != "false"
            let socket = ApiSocket(peer, parts[0] == "ws-api" ? .spot : .futures, saysLimits: saysLimits, on: self, now: now)
            let key = ObjectIdentifier(socket)
            apis[key] = socket
            peer.onText = { [weak self, weak socket] bytes in
                self?.tick()
                socket?.receive(bytes)
            }
            peer.onPong = { [weak self, weak socket] _ in socket?.lastPong = self?.reactor.now() ?? 0 }
            peer.onClose = { [weak self] in self?.apis[key] = nil }
            return peer.begin()
        }
        var owner = product
        var group = StreamGroup.any
        if parts.first == "stream-spot" {
            owner = .spot
            parts.removeFirst()
        } else if let word = parts.first, let found = StreamGroup(rawValue: word), found != .any {
            owner = .futures
            group = found
            parts.removeFirst()
        } else if product == .futures {
            group = lenientGroup
        }
        guard parts.first == "ws" || parts.first == "stream", let peer = WebSocketPeer(request) else {
            return request.connection.respond(404, body: Refusal.noPath.body.bytes)
        }
        let isCombined = parts[0] == "stream"
        let socket = MarketSocket(peer, owner, group: group, isCombined: isCombined, on: self, now: now)
        let key = ObjectIdentifier(socket)
        markets[key] = socket
        peer.onText = { [weak self, weak socket] bytes in
            guard let self, let socket else { return }
            self.tick()
            if socket.count(self.reactor.now()) { socket.receive(bytes) }
        }
        peer.onPing = { [weak self, weak socket] _ in if let self { _ = socket?.count(self.reactor.now()) } }
        peer.onPong = { [weak self, weak socket] _ in
            guard let self, let socket else { return }
            socket.lastPong = self.reactor.now()
            _ = socket.count(socket.lastPong)
        }
        peer.onClose = { [weak self, weak socket] in
            socket?.ended()
            if let socket { self?.check?.forget(socket) }
            self?.markets[key] = nil
        }
        // A last part that names no stream is a connection number, as some clients add.
        let named = parts.dropFirst().filter { $0.contains("@") || $0.hasPrefix("!") }
        let keys = parts.dropFirst().filter { isListenKey($0) } + query.filter { $0.name == "listenKey" }.map(\.value)
        let streams = named + query.filter { $0.name == "streams" }.flatMap { $0.value.split(separator: "/").map(String.init) }
        socket.begin(streams, keys: keys)
        peer.begin()
        pump()
    }

    /// What an un-prefixed futures path delivers: everything, or only the public group as the live host does.
    var lenientGroup = StreamGroup.any
}
