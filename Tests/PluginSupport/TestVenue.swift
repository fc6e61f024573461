import PluginAPI
import PluginKit

/// A simulated venue driven through its tables.
public final class TestVenue {
    public let instance: TestInstance
    public let host: TestHost
    public let broker: UnsafePointer<keel_broker>
    public let market: UnsafePointer<keel_market>
    public let feed: UnsafePointer<keel_feed>
    public private(set) var lastID: UInt64 = 0

    public init(_ config: String = "{}", host: TestHost? = nil, firstID: UInt64 = 0, start: Bool = true) throws {
        let host = host ?? TestHost()
        if host.instrumentCount == 0 {
            host.add(1, "BTC/USDT")
            host.add(2, "ETH/USDT:USDT", kind: KEEL_KIND_PERP)
        }
        self.host = host
        instance = try TestInstance(TestInstance.bundled("Sim"), host: host, config: config)
        broker = try instance.table(KEEL_BROKER, keel_broker.self)
        market = try instance.table(KEEL_MARKET, keel_market.self)
        feed = try instance.table(KEEL_FEED, keel_feed.self)
        lastID = firstID
        if start { try instance.start() }
    }

    public func id(_ number: UInt64) -> keel_id { keel_id(hi: 1, lo: number << 24) }

    /// Sends an order; its id, and everything that was emitted at once.
    @discardableResult
    public func send(
        _ features: OrderFeatures, _ side: Side, _ quantity: String, limit: String = "0", trigger: String = "0", instrument: UInt32 = 1,
        id: UInt64? = nil, notAfter: Int64 = 0
    ) throws -> (id: UInt64, request: UInt64, events: [RecordedEvent]) {
        lastID += 1
        let number = id ?? lastID
        let order = Order(
            id: OrderID(self.id(number)), side: side, features: features, instrument: instrument, quantity: Fixed(raw: raw(quantity)),
            limit: Fixed(raw: raw(limit)), trigger: Fixed(raw: raw(trigger)), notAfter: notAfter)
        let request = instance.nextRequest()
        let before = host.take()
        guard before.isEmpty else { throw TestFailure("events left over: \(before)") }
        try TestInstance.check { error in
            withUnsafePointer(to: order.c) { broker.pointee.submit(instance.raw, $0, request, error) }
        }
        return (number, request, host.take())
    }

    @discardableResult
    public func cancel(_ number: UInt64) throws -> [RecordedEvent] {
        let request = instance.nextRequest()
        try TestInstance.check { broker.pointee.cancel(instance.raw, id(number), request, $0) }
        return host.take()
    }

    public func sync(since: Int64 = 0) throws -> [RecordedEvent] {
        let request = instance.nextRequest()
        _ = host.take()
        try TestInstance.check { broker.pointee.sync(instance.raw, since, request, $0) }
        return host.take()
    }

    @discardableResult
    public func trade(_ price: String, _ quantity: String = "1", after: Int64 = 1_000_000_000, instrument: UInt32 = 1, taker: UInt32 = 0) -> [RecordedEvent] {
        host.now += after
        withTrade(price: raw(price), quantity: raw(quantity), at: host.now, instrument: instrument, taker: taker) {
            market.pointee.on_market(instance.raw, $0)
        }
        return host.take()
    }

    @discardableResult
    public func quote(
        _ bid: String, _ ask: String, bidQuantity: String = "1", askQuantity: String = "1", after: Int64 = 1_000_000_000, instrument: UInt32 = 1
    ) -> [RecordedEvent] {
        host.now += after
        withQuote(
            bid: raw(bid), ask: raw(ask), bidQuantity: raw(bidQuantity), askQuantity: raw(askQuantity), at: host.now, instrument: instrument
        ) { market.pointee.on_market(instance.raw, $0) }
        return host.take()
    }

    @discardableResult
    public func bar(
        _ open: String, _ high: String, _ low: String, _ close: String, volume: UInt64 = 100, instrument: UInt32 = 1,
        duration: Int64 = 60_000_000_000
    ) -> [RecordedEvent] {
        let bar = keel_bar(
            open_time: host.now, open: raw(open), high: raw(high), low: raw(low), close: raw(close),
            volume: keel_amount(lo: volume * 100_000_000, hi: 0))
        host.now += duration
        withBar(bar, instrument: instrument, duration: duration) { market.pointee.on_market(instance.raw, $0) }
        return host.take()
    }

    /// Total and available of an asset.
    public func balance(_ asset: String) throws -> (total: String, available: String) {
        let all = try instance.describe()["balances"][asset]
        return (try all["total"].text, try all["available"].text)
    }

    public func position(_ symbol: String = "BTC/USDT") throws -> String {
        try instance.describe()["positions"][symbol]["quantity"].text
    }
}

extension [RecordedEvent] {
    /// States of the order events, in their order.
    public var states: [UInt32] { compactMap { $0.order?.state } }
    public var fillPrices: [String] { compactMap { $0.fill.map { Fixed(raw: $0.price).description } } }
    public var fillQuantities: [String] { compactMap { $0.fill.map { Fixed(raw: $0.qty).description } } }
    public var dones: [keel_status] { compactMap { $0.done?.status } }
    public var messages: [String] { compactMap { event in event.order.map { event.text($0.message) } }.filter { !$0.isEmpty } }
}
