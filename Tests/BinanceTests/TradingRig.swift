import Glibc
import PluginAPI
import PluginKit
import PluginSupport

@testable import BinanceConnector
@testable import BinanceExchange

/// An instance, driven through its C tables, and the stand-in exchange in the same process: one thread, real sockets on the loopback.
final class TradingRig {
    let reactor = PollReactor()
    let server: ExchangeServer
    let host = TestHost()
    private(set) var instance: TestInstance
    private var broker: UnsafePointer<keel_broker>
    private let component: UnsafePointer<keel_component>
    private let configuration: String
    private var jumped: Int64 = 0
    private var lastID: UInt64 = 0
    /// Everything emitted so far.
    private(set) var events: [RecordedEvent] = []
    let isFutures: Bool

    static func wall() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    static func component(_ id: String) throws -> UnsafePointer<keel_component> {
        guard let library = binanceLibrary.table(KEEL_ABI_MAJOR) else { throw TestFailure("no library") }
        for place in 0..<Int(library.pointee.component_count) {
            if let found = library.pointee.components[place], String(cString: found.pointee.id) == id { return found }
        }
        throw TestFailure("no component \(id)")
    }

    /// `config`: members beside the stand-in and the keys, each with a comma before it.
    /// `clock`: the exchange's, in milliseconds; nil: the same as ours.
    init(futures: Bool = false, account: Int = 0, config: String = "", start: Bool = true, keys: Bool = true, clock: Int64? = nil) throws {
        isFutures = futures
        var settings = ExchangeSettings()
        settings.start = clock ?? TradingRig.wall() / 1_000_000
        settings.past = Past(minutes: 2, days: 1)
        settings.symbols = ["BTCUSDT", "ETHUSDT"]
        server = try ExchangeServer(Exchange(settings), on: reactor)
        server.run()
        let plan = AccountPlan.standard[account]
        host.secrets = ["binance.key": Array(plan.apiKey.utf8), "binance.secret": Array(plan.secret.utf8)]
        if futures {
            host.add(1, "BTC/USDT:USDT", kind: KEEL_KIND_PERP, tick: "0.1", lot: "0.001", minimum: "0.001")
            host.add(2, "ETH/USDT:USDT", kind: KEEL_KIND_PERP, tick: "0.01", lot: "0.001", minimum: "0.001")
        } else {
            host.add(1, "BTC/USDT", minimum: "0.00001")
            host.add(2, "ETH/USDT", lot: "0.0001", minimum: "0.0001")
        }
        let secrets = keys ? ", \"api_key\": {\"$secret\": \"binance.key\"}, \"secret_key\": {\"$secret\": \"binance.secret\"}" : ""
        configuration = "{\"environment\": \"testnet\", \"stand_in\": \"127.0.0.1:\(server.port(futures ? .futures : .spot))\"\(secrets)\(config)}"
        component = try TradingRig.component(futures ? "keel.binance.futures" : "keel.binance.spot")
        host.now = TradingRig.wall()
        instance = try TestInstance(component, host: host, config: configuration)
        broker = try instance.table(KEEL_BROKER, keel_broker.self)
        if start {
            try instance.start()
            guard run(until: { self.linkIsUp }) else { throw TestFailure("not up: \(host.logs.suffix(5)) \(events)") }
        }
    }

    /// The process dies without a word and comes back: what only its memory held is gone.
    func restart(start: Bool = true) throws {
        for descriptor in host.watches.keys { close(descriptor) }
        host.watches = [:]
        host.timers = []
        events = []
        instance = try TestInstance(component, host: host, config: configuration)
        broker = try instance.table(KEEL_BROKER, keel_broker.self)
        guard start else { return }
        try instance.start()
        guard run(until: { self.linkIsUp }) else { throw TestFailure("not up after the restart: \(host.logs.suffix(5))") }
    }

    // MARK: the lane

    /// Moves the host's clock without letting time pass.
    func jump(_ span: Int64) { jumped += span }

    func turn() {
        host.now = TradingRig.wall() + jumped
        reactor.turn(most: 500_000)
        var list = host.watches.map { pollfd(fd: $0.key, events: Int16(($0.value & KEEL_READABLE != 0 ? POLLIN : 0) | ($0.value & KEEL_WRITABLE != 0 ? POLLOUT : 0)), revents: 0) }
        if !list.isEmpty, poll(&list, nfds_t(list.count), 0) > 0 {
            for entry in list where entry.revents != 0 && host.watches[entry.fd] != nil {
                var ready: UInt32 = 0
                if entry.revents & Int16(POLLIN) != 0 { ready |= KEEL_READABLE }
                if entry.revents & Int16(POLLOUT) != 0 { ready |= KEEL_WRITABLE }
                if entry.revents & Int16(POLLHUP | POLLERR) != 0 { ready |= KEEL_HANGUP }
                component.pointee.on_fd(instance.raw, entry.fd, ready)
            }
        }
        while let due = host.timers.filter({ $0.due <= host.now }).min(by: { ($0.due, $0.id) < ($1.due, $1.id) }) {
            host.timers.removeAll { $0.id == due.id }
            component.pointee.on_timer(instance.raw, due.id, due.tag)
        }
        events += host.take()
    }

    @discardableResult
    func run(_ seconds: Double = 10, until done: () -> Bool) -> Bool {
        let end = TradingRig.wall() + Int64(seconds * 1e9)
        repeat {
            if done() { return true }
            turn()
        } while TradingRig.wall() < end
        return done()
    }

    func run(for seconds: Double) { _ = run(seconds) { false } }

    var linkIsUp: Bool { events.last { $0.link != nil && $0.linkName == "trading" }?.link?.state == KEEL_LINK_UP }

    // MARK: orders

    func newID() -> OrderID {
        lastID += 1
        return OrderID(hi: UInt64(bitPattern: TradingRig.wall()), lo: lastID << 24)
    }

    @discardableResult
    func submit(
        _ features: OrderFeatures, _ side: PluginKit.Side, _ quantity: String, limit: String = "0", trigger: String = "0", instrument id: UInt32 = 1, id given: OrderID? = nil,
        notAfter: Int64 = 0
    ) throws -> (id: OrderID, request: UInt64) {
        let order = Order(
            id: given ?? newID(), side: side, features: features, instrument: id, quantity: Fixed(raw: raw(quantity)), limit: Fixed(raw: raw(limit)),
            trigger: Fixed(raw: raw(trigger)), notAfter: notAfter)
        let request = instance.nextRequest()
        host.now = TradingRig.wall() + jumped
        try TestInstance.check { error in withUnsafePointer(to: order.c) { broker.pointee.submit(instance.raw, $0, request, error) } }
        events += host.take()
        return (order.id, request)
    }

    func cancel(_ id: OrderID) throws -> UInt64 {
        let request = instance.nextRequest()
        try TestInstance.check { broker.pointee.cancel(instance.raw, id.c, request, $0) }
        events += host.take()
        return request
    }

    /// A sync's events, DONE included.
    func sync(since: Int64 = 0) throws -> [RecordedEvent] {
        let request = instance.nextRequest()
        let before = events.count
        try TestInstance.check { broker.pointee.sync(instance.raw, since, request, $0) }
        guard run(until: { self.done(request) != nil }) else { throw TestFailure("the sync has no end") }
        return Array(events[before...])
    }

    func done(_ request: UInt64) -> RecordedEvent? { events.last { $0.done != nil && $0.request == request } }

    func status(_ request: UInt64) -> keel_status? { done(request)?.done?.status }

    func states(_ id: OrderID) -> [UInt32] { events.compactMap { event in event.order.flatMap { OrderID($0.order) == id && !event.isSnapshot ? $0.state : nil } } }

    func state(_ id: OrderID) -> UInt32? { events.last { event in event.order.map { OrderID($0.order) == id } ?? false }?.order?.state }

    func fills(_ id: OrderID) -> [RecordedEvent] { events.filter { event in event.fill.map { OrderID($0.order) == id } ?? false } }

    /// Sum of an order's fills, each id counted once.
    func filled(_ id: OrderID) -> Fixed {
        var seen: Set<String> = []
        var sum: Int64 = 0
        for event in fills(id) { if let fill = event.fill, seen.insert(event.text(fill.fill_id)).inserted { sum += fill.qty } }
        return Fixed(raw: sum)
    }

    /// Waits for a submit to be answered and the order to be in a state.
    func expect(_ id: OrderID, _ state: UInt32, within seconds: Double = 10) throws {
        guard run(seconds, until: { self.state(id) == state }) else {
            throw TestFailure("waited for state \(state) of \(id); its states are \(states(id)); logs: \(host.logs.suffix(8))")
        }
    }

    // MARK: the exchange

    func control(_ text: String) throws { try server.control?.perform(JSONValue(parsing: text)) }

    /// Rules of faults, as a scenario has them.
    func faults(_ rules: String, seed: UInt64 = 1) throws { try server.control?.load(Array("{\"seed\": \(seed), \"rules\": [\(rules)]}".utf8)) }

    /// The exchange's own book of our account: orders by client id.
    func venueOrders(_ account: Int = 0) throws -> [JSONValue] {
        let books = try JSONValue(parsing: Books.written(server.exchange).bytes)
        return try books[isFutures ? "futures" : "spot"]["accounts"][account]["orders"].value.asList ?? []
    }

    func placed(_ id: OrderID) throws -> Int { try venueOrders().count { ($0.find("clientOrderId")?.asText ?? "").hasPrefix(id.description) } }

    /// The first instrument's position as it was told last.
    var position: keel_ev_position? { events.last { $0.position != nil && $0.head.instrument == 1 }?.position }

    var booksText: String { get throws { String(decoding: Books.written(server.exchange).bytes, as: UTF8.self) } }

    /// Somebody with the same account who places orders by hand.
    struct Hand {
        private let rig: TradingRig
        private let signer: Signer

        init(_ rig: TradingRig) throws {
            self.rig = rig
            signer = try Signer(apiKey: Array(AccountPlan.standard[0].apiKey.utf8), secret: Array(AccountPlan.standard[0].secret.utf8))
        }

        func ask(_ method: String, _ path: String, _ given: Parameters = Parameters()) throws -> JSONValue {
            var parameters = given
            parameters.add("timestamp", rig.server.exchange.now)
            let query = String(decoding: try parameters.query(signedBy: signer), as: UTF8.self)
            let reply = rig.server.exchange.rest(method, path, query: query, body: "", key: signer.apiKey)
            rig.server.flush()
            return try JSONValue(parsing: reply.body.bytes)
        }

        /// The venue's number of the order.
        func place(_ type: String, _ side: String, _ quantity: String, price: String, id: String) throws -> Int64 {
            var parameters = Parameters()
            for (name, value) in [("symbol", "BTCUSDT"), ("side", side), ("type", type), ("timeInForce", "GTC"), ("quantity", quantity), ("price", price), ("newClientOrderId", id)] as [(StaticString, String)] {
                parameters.add(name, value)
            }
            let value = try ask("POST", "/api/v3/order", parameters)
            guard let number = value.find("orderId")?.whole else { throw TestFailure("by hand: \(value)") }
            return number
        }
    }

    /// Best prices of the first instrument.
    var bid: Fixed { Fixed(raw: listing.book.bestBid ?? 0) }
    var ask: Fixed { Fixed(raw: listing.book.bestAsk ?? 0) }
    private var listing: BinanceExchange.Listing {
        guard let found = isFutures ? server.exchange.futures.listings["BTCUSDT"] : server.exchange.spot.listings["BTCUSDT"] else { preconditionFailure("the exchange has BTCUSDT") }
        return found
    }
}

extension RecordedEvent {
    var linkName: String { link.map { text($0.name) } ?? "" }
}
