import PluginAPI
import PluginKit
import PluginSupport
import Testing

/// Serves every role by writing down what it was asked.
private final class Scribe: Feed, ReplacingBroker, ObservingDecider, Router, Stateful, Describing, Rankings, AccountSummary, MarketObserver {
    static let channels: Channels = [.quotes, .bars]
    static let silence: Int64 = 5
    static let orderFeatures: OrderFeatures = [.market, .limit, .stop, .postOnly, .immediateOrCancel, .fillOrKill]
    static let wants: Wants = [.bars]
    static let barsWanted: UInt32 = 7

    nonisolated(unsafe) static var made = 0
    let host: Host
    var calls: [String] = []
    var lasting: Stopping?
    var failing: (any Error)?
    var kept: [UInt8] = []

    init(host: Host, name: String, config: JSONValue) throws {
        self.host = host
        Scribe.made += 1
        if try config["refuse"].bool { throw PluginError.invalid("refuse is set") }
        calls = ["init \(name) \(try config["count"].int)"]
        if let text = try config["fail"].text.isEmpty ? nil : config["fail"].text { failing = text == "number" ? NumberError.overflow("9") : Oops() }
    }
    deinit { Scribe.made -= 1 }

    struct Oops: Error {}
    private func note(_ text: String) throws {
        calls.append(text)
        if let failing { throw failing }
    }

    func start() throws { try note("start") }
    func stop(_ stopping: Stopping) throws {
        try note("stop")
        lasting = stopping
        if calls.contains("late") == false { stopping.done() }
    }
    func onTimer(_ id: UInt64, tag: UInt64) {
        calls.append("timer \(id) \(tag)")
        lasting?.done()
    }
    func onWake() { calls.append("wake") }
    func onDescriptor(_ descriptor: Int32, _ ready: Host.Readiness) { calls.append("fd \(descriptor) \(ready.rawValue)") }
    func subscribe(_ instrument: UInt32, _ channels: Channels, _ request: Request) throws {
        try note("subscribe \(instrument) \(channels.rawValue)")
        request.done()
    }
    func unsubscribe(_ instrument: UInt32, _ channels: Channels, _ request: Request) throws { request.done() }
    func submit(_ order: Order, _ request: Request) throws {
        try note("submit \(order.quantity) \(order.limit)")
        request.done()
    }
    func cancel(_ order: OrderID, _ request: Request) throws {
        if order.lo == 99 { calls.append("late") }
        request.done(.notFound("nothing by that id"))
    }
    func replace(_ order: OrderID, with replacement: Order, _ request: Request) throws { request.done() }
    func sync(since: Int64, _ request: Request) throws { request.done() }
    func decide(_ snapshot: Snapshot, deadline: Int64, _ request: Request) throws {
        try note("decide \(snapshot.symbol) \(snapshot.series.map(\.bars.count))")
        var decision = Decision(.buy)
        decision.fraction = .one
        decision.signals = [.init("first", confidence: .one, direction: 1), .init("second", confidence: .zero, direction: -1)]
        decision.wakes = [.priceAbove(Fixed(raw: 5)), .regimeChange]
        decision.reason = String(repeating: "because ", count: 20_000)
        decision.memory = "remember"
        request.answer(decision, to: snapshot)
    }
    func cancel(_ request: UInt64) { calls.append("cancel \(request)") }
    func observe(_ event: Event) -> Bool { event.bar?.pointee.bar.close == 42 }
    func route(_ parent: Order, _ request: Request) throws {
        try note("route \(parent.quantity)")
        request.done()
    }
    func onEvent(_ event: Event) { calls.append("event \(event.kind)") }
    func save() throws -> [UInt8] { kept.isEmpty ? Array("kept".utf8) : kept }
    func load(_ bytes: [UInt8], version: UInt32) throws {
        guard bytes != [1] else { throw PluginError.invalid("not that") }
        kept = bytes
        calls.append("load \(version)")
    }
    func describe() -> JSONValue { ["calls": JSONValue(calls.map { JSONValue($0) })] }
    func fetch(_ list: String, most: UInt32, _ request: Request) throws {
        host.rank(request, list: list, rank: 1, symbol: "BTC/USDT", value: 2.5)
        request.done()
    }
    func summary(_ request: Request) throws {
        host.account(request, equity: Amount(raw: 1), cash: Amount(raw: 2), marginUsed: .zero, buyingPower: .zero, asset: "USD")
        request.done()
    }
    func onMarket(_ event: Event) { calls.append("market \(event.kind)") }
}

private let library = Library(
    Component(
        Scribe.self, id: "com.example.scribe", name: "Scribe", vendor: "Example", version: "1.2.3", license: "MIT", url: "https://example.com",
        config: ConfigShape([
            .whole("count", "A number.", in: 1...9, default: 3), .flag("refuse", "Refuse to be made.", default: false),
            .text("fail", "How calls fail.", default: ""),
            .group("inner", "A group.", [.decimal("share", "A share.", .fraction, default: "0.5"), .span("pause", "A pause.", default: "8s")]),
            .decimals("balances", "By asset.", .money),
        ]),
        flags: [.inline, .deterministic]
    )
    .feed().broker().decider().router().state(version: 3, oldest: 2).describe().rankings().account().market())

@Suite(.serialized) struct RolesTests {
    let host = TestHost()
    let component: UnsafePointer<keel_component>

    init() throws {
        host.add(1, "BTC/USDT")
        component = try #require(library.table(1)?.pointee.components.pointee)
    }

    func instance(_ config: String = "{}", start: Bool = true) throws -> TestInstance {
        let made = try TestInstance(component, host: host, config: config)
        if start { try made.start() }
        return made
    }

    func calls(_ instance: TestInstance) throws -> [String] { try instance.describe()["calls"].list.map { try $0.text } }

    // MARK: the library

    @Test func theTableSaysWhatTheClassIs() throws {
        #expect(library.table(0) == nil && library.table(2) == nil && library.table(1) == library.table(1))
        let c = component.pointee
        #expect(String(cString: c.id) == "com.example.scribe" && String(cString: c.version) == "1.2.3" && String(cString: c.license) == "MIT")
        #expect(String(cString: c.toolchain).hasPrefix("swift "))
        #expect(c.flags == KEEL_COMPONENT_INLINE | KEEL_COMPONENT_DETERMINISTIC && c.state_version == 3 && c.state_oldest == 2)
        let ids = (0..<Int(c.interface_count)).map { String(cString: c.interfaces[$0].id) }
        #expect(ids == [KEEL_FEED, KEEL_BROKER, KEEL_DECIDER, KEEL_ROUTER, KEEL_STATE, KEEL_DESCRIBE, KEEL_RANKINGS, KEEL_ACCOUNT, KEEL_MARKET])
        let made = try instance()
        #expect(try made.table(KEEL_FEED, keel_feed.self).pointee.channels == KEEL_CH_QUOTES | KEEL_CH_BARS)
        #expect(try made.table(KEEL_DECIDER, keel_decider.self).pointee.bars_wanted == 7)
        #expect(try made.table(KEEL_BROKER, keel_broker.self).pointee.replace != nil)
    }

    @Test func theSchemaIsTheShape() throws {
        let schema = try JSONValue(parsing: String(cString: component.pointee.config_schema))
        #expect(try schema["type"].text == "object" && schema["additionalProperties"].bool == false)
        #expect(try schema["properties"]["count"]["default"].int == 3 && schema["properties"]["count"]["maximum"].int == 9)
        for (name, property) in try schema["properties"].members { #expect(try !property["description"].text.isEmpty, "\(name)") }
        #expect(try schema["properties"]["inner"]["properties"]["share"]["default"].text == "0.5")
    }

    @Test func checkConfigReportsEveryProblem() throws {
        func report(_ config: String) throws -> [String] {
            let sink = ByteSink()
            let status = TestInstance.borrow(config) { text in sink.withWriter { component.pointee.check_config(component, text, $0) } }
            #expect(status == KEEL_OK)
            return try JSONValue(parsing: sink.bytes).asList.map { try $0.map { try $0["path"].text } } ?? []
        }
        #expect(try report("{}") == [])
        #expect(try report(#"{"count": 10, "inner": {"share": "2", "pause": "soon"}, "extra": 1, "balances": {"BTC": -1}}"#)
            == ["$.count", "$.inner.share", "$.inner.pause", "$.extra", "$.balances.BTC"])
        #expect(try report("[]") == ["$"])
        #expect(try report("{") == ["$"])
    }

    // MARK: life

    @Test func createRefusesAndLeavesNothing() throws {
        let before = Scribe.made
        for (config, word) in [(#"{"count": 0}"#, "count"), (#"{"refuse": true}"#, "refuse"), ("", "JSON"), (#"{"inner": {"share": "1.5"}}"#, "inner.share")] {
            let refusal = #expect(throws: Refusal.self) { try instance(config) }
            #expect(refusal?.status == KEEL_E_INVALID && refusal?.message.contains(word) == true, "\(refusal?.message ?? "")")
        }
        host.table.pointee.abi_major = 2
        #expect(#expect(throws: Refusal.self) { try instance() }?.status == KEEL_E_UNSUPPORTED)
        host.table.pointee.abi_major = 1
        host.table.pointee.struct_size = 0
        #expect(#expect(throws: Refusal.self) { try instance() }?.status == KEEL_E_INVALID)
        host.table.pointee.struct_size = UInt32(MemoryLayout<keel_host>.size)
        host.table.pointee.get = nil
        #expect(throws: Refusal.self) { try instance() }
        #expect(Scribe.made == before)
    }

    @Test func callsOutsideTheirStateAreRefused() throws {
        let made = try instance(start: false)
        let broker = try made.table(KEEL_BROKER, keel_broker.self)
        let decider = try made.table(KEEL_DECIDER, keel_decider.self)
        let bar = keel_bar(open_time: 0, open: 1, high: 1, low: 1, close: 42, volume: keel_amount(lo: 0, hi: 0))
        func refused(_ when: String) throws {
            #expect(withUnsafePointer(to: order.c) { broker.pointee.submit(made.raw, $0, 1, nil) } == KEEL_E_STATE, "\(when)")
            #expect(withBar(bar) { decider.pointee.observe(made.raw, $0) } == KEEL_E_STATE, "\(when)")
            #expect(#expect(throws: Refusal.self) { try made.stop() }?.status == KEEL_E_STATE, "\(when)")
        }
        try refused("before start")
        try made.start()
        #expect(#expect(throws: Refusal.self) { try made.start() }?.status == KEEL_E_STATE)
        #expect(#expect(throws: Refusal.self) { try made.save() }?.status == KEEL_E_STATE)
        #expect(withBar(bar) { decider.pointee.observe(made.raw, $0) } == KEEL_ASK)
        try made.stop()
        #expect(host.take().dones == [KEEL_OK])
        try refused("after stop")
        #expect(#expect(throws: Refusal.self) { try made.load([], version: 3) }?.status == KEEL_E_STATE)
        try made.start()
        try made.stop()
        #expect(broker.pointee.submit(nil, nil, 1, nil) == KEEL_E_INVALID)
        component.pointee.destroy(nil)
    }

    @Test func aStopMayTakeItsTime() throws {
        let made = try instance()
        let broker = try made.table(KEEL_BROKER, keel_broker.self)
        _ = broker.pointee.cancel(made.raw, keel_id(hi: 0, lo: 99), 1, nil)
        _ = host.take()
        let request = try made.stop()
        #expect(host.take().isEmpty)
        // Stopping: no new work, and no second stop.
        #expect(withUnsafePointer(to: order.c) { broker.pointee.submit(made.raw, $0, 2, nil) } == KEEL_E_STATE)
        #expect(#expect(throws: Refusal.self) { try made.stop() }?.status == KEEL_E_STATE)
        component.pointee.on_timer(made.raw, 1, 2)
        component.pointee.on_timer(made.raw, 1, 2)
        let events = host.take()
        #expect(events.count == 1 && events.first?.request == request)
    }

    @Test func destroyReleases() throws {
        let before = Scribe.made
        for _ in 0..<100 {
            let made = try instance()
            made.destroy()
        }
        #expect(Scribe.made == before)
    }

    @Test func whatIsThrownBecomesAStatus() throws {
        for (how, status) in [("number", KEEL_E_RANGE), ("other", KEEL_E_INTERNAL)] {
            let refusal = #expect(throws: Refusal.self) { try instance(#"{"fail": "\#(how)"}"#) }
            #expect(refusal?.status == status)
        }
    }

    // MARK: errors

    @Test(arguments: [0, 4, 7, 8, 16, 24, 25, 26, 40, 279, 280, 400]) func neverWritesPastTheErrorsSize(size: Int) throws {
        let made = try instance(start: false)
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 512, alignment: 16)
        defer { bytes.deallocate() }
        for index in 0..<512 { bytes[index] = 0xA5 }
        bytes.storeBytes(of: UInt32(size), as: UInt32.self)
        let error = try #require(bytes.baseAddress).assumingMemoryBound(to: keel_error.self)
        #expect(component.pointee.stop(made.raw, 0, 1, error) == KEEL_E_STATE)
        for index in max(size, 4)..<512 { #expect(bytes[index] == 0xA5, "byte \(index)") }
        if size >= 8 { #expect(bytes.load(fromByteOffset: 4, as: Int32.self) == KEEL_E_STATE) }
        if size > 24 { #expect(bytes[24..<min(size, 280)].contains(0)) }
    }

    // MARK: orders

    var order: Order { Order(id: OrderID(hi: 1, lo: 1 << 16), side: .buy, features: .limit, instrument: 1, quantity: .one, limit: .one) }

    func submit(_ change: (inout keel_order) -> Void, tail: [UInt8] = []) throws -> keel_status {
        let made = try instance()
        let broker = try made.table(KEEL_BROKER, keel_broker.self)
        var c = order.c
        c.struct_size += UInt32(tail.count)
        change(&c)
        let bytes = withUnsafeBytes(of: c) { Array($0) } + tail
        return bytes.withUnsafeBytes { raw in
            broker.pointee.submit(made.raw, raw.baseAddress?.assumingMemoryBound(to: keel_order.self), 1, nil)
        }
    }

    @Test func ordersAreReadStrictly() throws {
        #expect(try submit { _ in } == KEEL_OK)
        #expect(try submit({ _ in }, tail: [0, 0, 0, 0, 0, 0, 0, 0]) == KEEL_OK)
        #expect(try submit({ _ in }, tail: [0, 0, 0, 0, 1, 0, 0, 0]) == KEEL_E_UNSUPPORTED)
        for bit in [4, 5, 9, 12, 40, 63] as [UInt64] { #expect(try submit { $0.features |= 1 << bit } == KEEL_E_UNSUPPORTED, "bit \(bit)") }
        #expect(try submit { $0.reserved = 1 } == KEEL_E_UNSUPPORTED)
        #expect(try submit { $0.side = 3 } == KEEL_E_UNSUPPORTED)
        let invalid: [(inout keel_order) -> Void] = [
            { $0.side = 0 }, { $0.features = 0 }, { $0.features |= KEEL_ORD_MARKET }, { $0.qty = 0 }, { $0.qty = -1 }, { $0.limit = 0 },
            { $0.trigger = 1 }, { $0.instrument = 0 }, { $0.id = keel_id(hi: 0, lo: 0) }, { $0.struct_size = 71 }, { $0.struct_size = 0 },
            { $0.features = KEEL_ORD_MARKET }, { $0.features = KEEL_ORD_STOP }, { $0.features |= KEEL_ORD_POST_ONLY | KEEL_ORD_IOC },
            { $0.features |= KEEL_ORD_IOC | KEEL_ORD_FOK }, { $0.not_after = -5 },
        ]
        for (place, change) in invalid.enumerated() { #expect(try submit(change) == KEEL_E_INVALID, "case \(place)") }
        let late = host.now - 1
        #expect(try submit { $0.not_after = late } == KEEL_E_TIMEOUT)
        let soon = host.now + 1
        #expect(try submit { $0.not_after = soon } == KEEL_OK)
    }

    @Test func anyBytesAreAnOrderOrARefusal() throws {
        let made = try instance()
        let broker = try made.table(KEEL_BROKER, keel_broker.self)
        var random = Seeded(11)
        for _ in 0..<3000 {
            var bytes = withUnsafeBytes(of: order.c) { Array($0) }
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let place = Int.random(in: 4..<bytes.count, using: &random)
                bytes[place] = UInt8.random(in: 0...255, using: &random)
            }
            let status = bytes.withUnsafeBytes { broker.pointee.submit(made.raw, $0.baseAddress?.assumingMemoryBound(to: keel_order.self), 1, nil) }
            #expect([KEEL_OK, KEEL_E_INVALID, KEEL_E_UNSUPPORTED, KEEL_E_TIMEOUT].contains(status))
        }
    }

    @Test func channelsAndParentsAreChecked() throws {
        let made = try instance()
        let feed = try made.table(KEEL_FEED, keel_feed.self)
        #expect(feed.pointee.subscribe(made.raw, 1, KEEL_CH_BARS, 1, nil) == KEEL_OK)
        #expect(feed.pointee.subscribe(made.raw, 1, KEEL_CH_BARS | KEEL_CH_NEWS, 1, nil) == KEEL_E_UNSUPPORTED)
        #expect(feed.pointee.subscribe(made.raw, 1, 0, 1, nil) == KEEL_E_INVALID)
        let router = try made.table(KEEL_ROUTER, keel_router.self)
        var child = order
        child.id = order.id.child(7)
        #expect(withUnsafePointer(to: child.c) { router.pointee.route(made.raw, $0, 1, nil) } == KEEL_E_INVALID)
        #expect(withUnsafePointer(to: order.c) { router.pointee.route(made.raw, $0, 1, nil) } == KEEL_OK)
    }

    // MARK: state

    @Test func savedStateIsSealed() throws {
        let made = try instance(start: false)
        let saved = try made.save()
        try made.load(saved, version: 3)
        try made.load(saved, version: 2, chunk: 1)
        for version in [0, 1, 4] as [UInt32] {
            #expect(#expect(throws: Refusal.self) { try made.load(saved, version: version) }?.status == KEEL_E_UNSUPPORTED)
        }
        for cut in 0..<saved.count { #expect(throws: Refusal.self) { try made.load(Array(saved[..<cut]), version: 3) } }
        for bit in 0..<saved.count * 8 {
            var bytes = saved
            bytes[bit / 8] ^= 1 << (bit % 8)
            #expect(throws: Refusal.self) { try made.load(bytes, version: 3) }
        }
        #expect(throws: Refusal.self) { try made.load(saved + [0], version: 3) }
        #expect(try calls(made).filter { $0.hasPrefix("load") } == ["load 3", "load 2"])
    }

    // MARK: events and snapshots

    @Test func decisionsAreFlatAndWhole() throws {
        let made = try instance()
        var snapshot = TestSnapshot(last: 5)
        snapshot.series = [(60, walk(3, seed: 1)), (3600, walk(5, seed: 2))]
        let event = try #require(try made.decide(snapshot).decision)
        #expect(try calls(made).last == "decide BTC/USDT [3, 5]")
        let decision = try #require(event.decision)
        #expect(event.bytes.count <= Int(KEEL_EVENT_MAX) && event.bytes.count == Int(decision.head.size))
        #expect(decision.signals.count == 2 && decision.signals.off % 8 == 0 && decision.wakes.count == 2 && decision.wakes.off % 8 == 0)
        #expect(event.text(decision.memory) == "remember")
        // Too long a reason is cut, not lost.
        #expect(event.text(decision.reason).hasPrefix("because because") && decision.reason.len > 60_000)
        #expect(decision.exit_probability == -1)
    }

    @Test func brokenSnapshotsAreRefusedOrEmpty() throws {
        let made = try instance()
        let decider = try made.table(KEEL_DECIDER, keel_decider.self)
        let good = TestSnapshot(last: 5)
        func ask(_ change: (inout keel_snapshot) -> Void) -> keel_status {
            good.with { block in
                var copy = block.pointee
                change(&copy)
                UnsafeMutablePointer(mutating: block).pointee = copy
                return decider.pointee.decide(made.raw, block, 0, 1, nil)
            }
        }
        #expect(ask { $0.struct_size = 12 } == KEEL_E_INVALID)
        #expect(ask { $0.size = 3 } == KEEL_E_INVALID)
        #expect(ask { $0.series = keel_list(off: 4_000_000_000, count: 4_000_000_000) } == KEEL_OK)
        #expect(ask { $0.series = keel_list(off: 3, count: 1) } == KEEL_OK)
        #expect(ask { $0.symbol = keel_text(off: 4_294_967_295, len: 4_294_967_295) } == KEEL_OK)
        #expect(decider.pointee.decide(made.raw, nil, 0, 1, nil) == KEEL_E_INVALID)
        _ = host.take()
        #expect(good.with { decider.pointee.decide(made.raw, $0, host.now - 1, 5, nil) } == KEEL_OK)
        #expect(host.take().dones == [KEEL_E_TIMEOUT])
    }

    @Test func listsOfAnyLengthStayInside() {
        var random = Seeded(2)
        for _ in 0..<200 {
            var builder = EventBuilder(capacity: 256)
            builder.begin(keel_ev_depth.self)
            var body = keel_ev_depth()
            let bids = (0..<Int.random(in: 0...3000, using: &random)).map { keel_level(price: Int64($0), qty: 1) }
            let asks = (0..<Int.random(in: 0...3000, using: &random)).map { keel_level(price: Int64($0), qty: 2) }
            _ = builder.text("odd")
            body.bids = builder.list(bids)
            body.asks = builder.list(asks)
            let fits: Bool? = builder.finish(body, KEEL_EV_DEPTH, instrument: 1) { pointer in
                let event = Event(pointer)
                let depth = event.body(keel_ev_depth.self)
                #expect(depth.map { event.list($0.pointee.bids, of: keel_level.self).map(\.price) } == bids.map(\.price))
                #expect(depth.map { event.list($0.pointee.asks, of: keel_level.self).map(\.qty) } == asks.map(\.qty))
                return true
            }
            let size = MemoryLayout<keel_ev_depth>.size + 8 + (bids.count + asks.count) * 16
            #expect((fits ?? false) == (size <= Int(KEEL_EVENT_MAX)) || abs(size - Int(KEEL_EVENT_MAX)) < 16)
        }
    }

    @Test func everyHostCallArrives() throws {
        let made = try instance()
        component.pointee.on_wake(made.raw)
        component.pointee.on_fd(made.raw, 5, KEEL_READABLE | KEEL_HANGUP)
        let rankings = try made.table(KEEL_RANKINGS, keel_rankings.self)
        _ = TestInstance.borrow("volume") { rankings.pointee.fetch(made.raw, $0, 10, 77, nil) }
        let account = try made.table(KEEL_ACCOUNT, keel_account.self)
        _ = account.pointee.summary(made.raw, 78, nil)
        #expect(host.take().map { "\($0.kind) \($0.request)" } == ["36 77", "1 77", "35 78", "1 78"])
        let market = try made.table(KEEL_MARKET, keel_market.self)
        withTrade(price: 1, at: 1) { market.pointee.on_market(made.raw, $0) }
        #expect(try calls(made).suffix(3) == ["wake", "fd 5 5", "market 11"])
    }

    @Test func theHostAsASwiftValue() throws {
        final class Catch: Describing {
            let host: Host
            init(host: Host, name: String, config: JSONValue) throws { self.host = host }
            func describe() -> JSONValue {
                let instrument = host.instrument(1)
                return [
                    "symbol": JSONValue(instrument?.symbol ?? ""), "base": JSONValue(instrument?.baseAsset ?? ""), "none": JSONValue(host.instrument(9) == nil),
                    "secret": JSONValue((try? host.secret("key")).map { String(decoding: $0, as: UTF8.self) } ?? ""),
                    "missing": JSONValue((try? host.secret("other")) == nil), "put": JSONValue((try? host.put("a", [1, 2])) != nil),
                    "get": JSONValue((try? host.get("a")) == [1, 2]), "gone": JSONValue((try? host.get("b")) == .some(nil)),
                    "timer": JSONValue((try? host.timer(after: 5, tag: 3)) == 1),
                ]
            }
        }
        host.secrets["key"] = Array("hush".utf8)
        let one = Library(Component(Catch.self, id: "com.example.catch", name: "Catch", version: "1.0.0", license: "MIT").describe())
        let made = try TestInstance(try #require(one.table(1)?.pointee.components.pointee), host: host)
        let said = try made.describe()
        #expect(try said["symbol"].text == "BTC/USDT" && said["base"].text == "BTC" && said["secret"].text == "hush")
        for name in ["none", "missing", "put", "get", "gone", "timer"] { #expect(try said[name].bool, "\(name)") }
    }

    // MARK: small parts

    @Test func orderIdsAsText() throws {
        var random = Seeded(1)
        for _ in 0..<500 {
            let id = OrderID(hi: random.next(), lo: random.next())
            #expect(id.description.utf8.count == 27 && OrderID(id.description) == id)
        }
        #expect(OrderID("") == nil && OrderID("k" + String(repeating: "z", count: 26)) == nil && OrderID("x" + String(repeating: "0", count: 26)) == nil)
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func theOrderIndexIsADictionary(seed: UInt64) {
        var random = Seeded(seed)
        var index = OrderIndex(capacity: 4)
        var truth: [OrderID: Int] = [:]
        for step in 0..<20_000 {
            let id = OrderID(hi: UInt64.random(in: 0...3, using: &random), lo: UInt64.random(in: 0...400, using: &random) << 24 | UInt64.random(in: 0...2, using: &random))
            switch Int.random(in: 0..<3, using: &random) {
            case 0, 1:
                #expect(index.insert(id, slot: step) == (truth[id] == nil))
                if truth[id] == nil { truth[id] = step }
            default:
                index.remove(id)
                truth[id] = nil
            }
            #expect(index.slot(of: id) == truth[id])
        }
        #expect(index.count == truth.count)
        for (id, slot) in truth { #expect(index.slot(of: id) == slot) }
    }

    @Test func spansAreReadExactly() {
        for (text, value) in [
            ("0s", 0), ("8s", 8_000_000_000), ("250us", 250_000), ("15m", 900_000_000_000), ("24h", 86_400_000_000_000), ("99999d", 8_639_913_600_000_000_000),
        ] as [(String, Int64)] { #expect(parseSpan(text) == value, "\(text)") }
        for text in ["", "s", "8", "8 s", "-8s", "1.5s", "100000s", "8S", "8min", "８s"] { #expect(parseSpan(text) == nil, "\(text)") }
    }

    @Test func decimalsMatchTheirPatterns() throws {
        func accepts(_ form: ConfigShape.Property.DecimalForm, _ text: String) -> Bool {
            ConfigShape([.decimal("x", "A number.", form, default: "1")]).check(["x": JSONValue(text)]).isEmpty
        }
        for (form, good, bad) in [
            (.fraction, ["0", "1", "0.5", "0.00000001", "1.0"], ["2", "1.1", "-0.5", ".5", "0.", "0.000000001", "00.5", "1e-3"]),
            (.amount, ["0", "12.5", "9999999999.99999999"], ["-1", "10000000000", "1,5", "", " 1", "0x1"]),
            (.positive, ["1", "0.1", "0.00000001", "10.0"], ["0", "0.0", "-1", "01", "0.000000000"]),
            (.money, ["0", "999999999999999999"], ["1000000000000000000", "-1"]), (.signed, ["-0.001", "5"], ["--1", "-", "+1"]),
        ] as [(ConfigShape.Property.DecimalForm, [String], [String])] {
            for text in good { #expect(accepts(form, text), "\(form) \(text)") }
            for text in bad { #expect(!accepts(form, text), "\(form) \(text)") }
        }
    }

    /// The host checks a configuration by the schema, the plugin by the shape it came from: they must say the same.
    @Test(arguments: [1, 2, 3] as [UInt64]) func theShapeAndItsSchemaAgree(seed: UInt64) throws {
        let shape = ConfigShape([
            .whole("whole", "w", in: -3...9, default: 1), .number("number", "n", in: 0...1, default: 0.5), .flag("flag", "f", default: true),
            .text("text", "t", default: "x"), .choice("choice", "c", of: ["a", "b"], default: "a"), .decimal("fraction", "d", .fraction, default: "0"),
            .decimal("amount", "d", .amount, default: "0"), .decimal("positive", "d", .positive, default: "1"), .decimal("money", "d", .money, default: "0"),
            .decimal("signed", "d", .signed, default: "0"), .span("span", "s", default: "1s"), .texts("texts", "l", default: []),
            .decimals("map", "m", .amount), .group("group", "g", [.whole("inner", "i", in: 0...1, default: 0), .whole("must", "m", in: 0...5, default: nil)]),
        ])
        let schema = try JSONSchema(shape.schema)
        var random = Seeded(seed)
        let decimals = ["0", "1", "0.5", "1.0", "1.00000001", "00", "01", "-1", "-0.5", "0.00000001", "0.000000001", "12345678901", "9999999999.99999999", ".5", "5.", "", "1e3", "+1"]
        let spans = ["0s", "8s", "99999d", "100000s", "1.5s", "5", "ms", "250us", "7m", "7 m"]
        func value() -> JSONValue {
            switch Int.random(in: 0..<9, using: &random) {
            case 0: return JSONValue(Int64.random(in: -5...11, using: &random))
            case 1: return JSONValue(Double.random(in: -0.5...1.5, using: &random))
            case 2: return JSONValue(Bool.random(using: &random))
            case 3, 4: return JSONValue(decimals.randomElement(using: &random) ?? "")
            case 5: return JSONValue(spans.randomElement(using: &random) ?? "")
            case 6: return JSONValue(["a", "b", "c"].randomElement(using: &random) ?? "")
            case 7: return Bool.random(using: &random) ? ["x", "y"] : ["x", 1]
            default: return .null
            }
        }
        var good = 0
        for _ in 0..<3000 {
            var object = JSONObject()
            object["group"] = ["must": JSONValue(Int64.random(in: 0...6, using: &random))]
            for name in shape.properties.map(\.name).shuffled(using: &random).prefix(Int.random(in: 0...2, using: &random)) {
                switch name {
                case "map": object[name] = ["A": value()]
                case "group": object[name] = ["inner": value(), "must": 1]
                default: object[name] = value()
                }
            }
            if Int.random(in: 0..<20, using: &random) == 0 { object["unknown"] = 1 }
            let config = JSONValue(object)
            let ours = shape.check(config).isEmpty
            #expect(ours == schema.check(config).issues.isEmpty, "\(config), seed \(seed)")
            if ours { good += 1 }
        }
        #expect(good > 300 && good < 2900)
    }

    @Test func anyBytesAreReadOrRefused() {
        var random = Seeded(9)
        for _ in 0..<2000 {
            var reader = ByteReader((0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) })
            for _ in 0..<8 {
                switch Int.random(in: 0..<6, using: &random) {
                case 0: _ = try? reader.text()
                case 1: _ = try? reader.flag()
                case 2: _ = try? reader.integer(Int128.self)
                case 3: _ = try? reader.finite()
                case 4: _ = try? reader.raw(Int.random(in: -5...50, using: &random))
                default: _ = try? reader.integer(UInt32.self)
                }
            }
        }
        var writer = ByteWriter()
        writer.text("é")
        writer.double(-0.0)
        writer.amount(Amount(raw: .min))
        writer.flag(true)
        var reader = ByteReader(writer.bytes)
        #expect((try? reader.text()) == "é" && (try? reader.double())?.sign == .minus && (try? reader.amount()) == Amount(raw: .min))
        #expect((try? reader.end()) == nil && (try? reader.flag()) == true && (try? reader.end()) != nil)
    }
}
