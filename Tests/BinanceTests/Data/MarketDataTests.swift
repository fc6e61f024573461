import PluginAPI
import PluginKit
import Testing

@testable import BinanceConnector

private let second: Int64 = 1_000_000_000
private let all: Channels = [.quotes, .trades, .bars, .values]

/// Market data on a scripted venue, in virtual time.
private final class MarketRig {
    let reactor = VirtualReactor()
    let venue: ScriptedVenue
    let sink: RecordingSink
    let data: MarketData

    init(_ product: Product = .spot, _ names: [String] = ["BTCUSDT"], seed: UInt64 = 7, change: (inout DataSettings) -> Void = { _ in }) {
        venue = ScriptedVenue(product, names, seed: seed, on: reactor)
        sink = RecordingSink(reactor)
        var settings = DataSettings()
        settings.history = 0
        settings.derivatives.isOn = false
        change(&settings)
        let venue = venue
        data = MarketData(product, settings: settings, requests: venue, sink: sink, on: reactor) { path throws(PluginError) in try venue.connect(path) }
    }

    func subscribe(_ name: String = "BTCUSDT", _ channels: Channels = all, id: UInt32 = 1) { data.subscribe(id, symbolKey(name), channels) }

    var trueTrades: Int { venue.symbols["BTCUSDT"]?.trades.count ?? 0 }

    /// Every trade since the first, once, in order.
    func expectWholeTrades(_ comment: String = "") {
        let told = sink.trades
        guard let first = told.first, let last = told.last else {
            Issue.record("no trades were told \(comment)")
            return
        }
        #expect(told == Array(first...last), "holes, repetitions or disorder \(comment)")
        #expect(Int64(trueTrades) - last <= 4, "the newest are missing \(comment)")
    }

    func expectWholeBars(_ comment: String = "") {
        let told = sink.bars
        guard let first = told.first, let last = told.last else {
            Issue.record("no bars were told \(comment)")
            return
        }
        #expect(told == Array(stride(from: first, through: last, by: 60_000)), "bars are missing, twice or out of order \(comment)")
        #expect(venue.venueTime - last < 122_000, "the newest bar is missing \(comment)")
    }

    func state(of name: String) -> LinkState? { sink.links.last { $0.name == name }?.state }
}

@Suite struct MarketDataTests {
    @Test(arguments: [Product.spot, .futures]) func everythingComesThrough(_ product: Product) {
        let rig = MarketRig(product)
        rig.subscribe()
        rig.reactor.run(seconds: 200)
        rig.expectWholeTrades()
        rig.expectWholeBars()
        #expect(rig.sink.quotes == rig.sink.quotes.sorted() && rig.sink.quotes.count > 700)
        #expect(rig.sink.links.map(\.state) == (product == .spot ? [.up] : [.up, .up]))
        // Each stream on the path that serves it.
        let paths = Set(rig.venue.sockets.map(\.path))
        #expect(paths == (product == .spot ? [.plain] : [.market, .public]))
        #expect(rig.sink.values.contains { $0.name == "funding_rate" } == (product == .futures))
        #expect(rig.data.faults.isEmpty)
    }

    @Test func historyComesFirstAndIsMarked() {
        let rig = MarketRig { $0.history = 5 }
        rig.reactor.run(seconds: 600)
        rig.subscribe()
        rig.reactor.run(seconds: 130)
        rig.expectWholeBars()
        let flags = rig.sink.entries.compactMap { if case .bar(_, let flags) = $0 { flags } else { nil } }
        #expect(flags.count >= 7)
        #expect(flags.prefix(5).allSatisfy { $0 == KEEL_EVF_SNAPSHOT })
        #expect(flags.suffix(2).allSatisfy { $0 == 0 })
    }

    /// The proof: silent for 60 s with the socket open.
    @Test(arguments: [Product.spot, .futures]) func silenceOfOneConnectionIsNoticed(_ product: Product) throws {
        let rig = MarketRig(product)
        rig.subscribe()
        rig.reactor.run(seconds: 95)
        let before = rig.reactor.now()
        for socket in rig.venue.open { socket.isMute = true }
        rig.reactor.run(seconds: 60)
        let links = rig.sink.links.filter { $0.at > before }
        for name in Set(rig.sink.links.map(\.name)) {
            let down = try #require(links.first { $0.name == name && $0.state == .down }, "\(name) was not reported")
            #expect(down.at - before <= 11 * second, "\(name) was noticed after \((down.at - before) / second) s")
            let up = try #require(links.first { $0.name == name && $0.state == .up })
            #expect(up.at - down.at <= 3 * second)
        }
        rig.reactor.run(seconds: 65)
        rig.expectWholeTrades()
        rig.expectWholeBars()
        #expect(rig.sink.replayed >= 12, "the gap was not filled as history")
        #expect(rig.data.lostTrades == 0)
    }

    /// The venue's streams as a whole are silent; subscriptions are still acknowledged, and that proves nothing.
    @Test func aSilentVenueStaysDownUntilDataComes() throws {
        let rig = MarketRig()
        rig.subscribe()
        rig.reactor.run(seconds: 95)
        let before = rig.reactor.now()
        rig.venue.isSilent = true
        rig.reactor.run(seconds: 60)
        let during = rig.sink.links.filter { $0.at > before }
        #expect(during.map(\.state) == [.down])
        #expect(try #require(during.first).at - before <= 11 * second)
        #expect(rig.venue.sockets.count <= 8, "\(rig.venue.sockets.count) connections in a minute")
        rig.venue.isSilent = false
        rig.reactor.run(seconds: 90)
        #expect(rig.state(of: "streams") == .up)
        rig.expectWholeTrades()
        rig.expectWholeBars()
        #expect(rig.sink.replayed >= 200)
    }

    /// One stream of many is acknowledged and never served: the candles give it away.
    @Test(arguments: ["btcusdt@aggTrade", "btcusdt@bookTicker", "btcusdt@kline_1m"]) func oneDeafStreamIsNoticed(_ stream: String) throws {
        let rig = MarketRig()
        rig.venue.deaf = [stream]
        rig.subscribe()
        rig.reactor.run(seconds: 13)
        let down = try #require(rig.sink.links.first { $0.state == .down })
        #expect(down.message.contains(stream))
        rig.venue.deaf = []
        rig.reactor.run(seconds: 70)
        #expect(rig.state(of: "streams") == .up)
        rig.expectWholeTrades()
    }

    /// A market without a trade is no dead stream, and finding that out costs little.
    @Test func aQuietMarketIsNoAlarm() {
        let rig = MarketRig()
        rig.reactor.run(seconds: 61)
        rig.venue.symbols["BTCUSDT"]?.isQuiet = true
        rig.subscribe()
        rig.reactor.run(seconds: 1_800)
        #expect(!rig.sink.links.contains { $0.state == .down })
        #expect(rig.venue.requests.count < 40)
        #expect(rig.venue.sockets.count == 1)
        // It wakes up, and everything is there.
        rig.venue.symbols["BTCUSDT"]?.isQuiet = false
        rig.reactor.run(seconds: 70)
        rig.expectWholeTrades()
        #expect(!rig.sink.links.contains { $0.state == .down })
    }

    @Test func aCutIsReportedAtOnceAndFilled() throws {
        let rig = MarketRig()
        rig.subscribe()
        rig.reactor.run(seconds: 100)
        let before = rig.reactor.now()
        rig.venue.refusesConnections = true
        rig.venue.open.first?.cut()
        #expect(rig.sink.links.last?.state == .down)
        #expect(rig.sink.links.last?.at == before)
        rig.reactor.run(seconds: 90)
        rig.venue.refusesConnections = false
        rig.reactor.run(seconds: 100)
        #expect(rig.sink.links.map(\.state) == [.up, .down, .up])
        rig.expectWholeTrades()
        rig.expectWholeBars()
        // Pauses grow: not a storm.
        #expect(rig.venue.sockets.count <= 12)
        // History comes before news, whole.
        let flags = rig.sink.entries.compactMap { if case .trade(let id, let flags) = $0 { (id, flags) } else { nil } }
        #expect(flags.contains { $0.1 == KEEL_EVF_REPLAY })
        #expect(flags.map(\.0) == flags.map(\.0).sorted())
    }

    /// A day's connections end by plan: the next one is heard before the old one goes.
    @Test(arguments: [Product.spot, .futures]) func plannedReplacementsLeaveNoGap(_ product: Product) {
        let rig = MarketRig(product) { $0.line.replaceAfter = 60 * second }
        rig.subscribe()
        rig.reactor.run(seconds: 400)
        #expect(!rig.sink.links.contains { $0.state == .down })
        #expect(rig.venue.sockets.count >= (product == .spot ? 6 : 12))
        #expect(rig.venue.open.count <= (product == .spot ? 2 : 4))
        rig.expectWholeTrades()
        rig.expectWholeBars()
        // Nothing had to be fetched, nor was it asked for.
        #expect(rig.sink.replayed == 0)
        #expect(rig.venue.requests.count { $0.path.hasSuffix("aggTrades") } == 0)
        #expect(rig.sink.quotes == rig.sink.quotes.sorted())
        #expect(Set(rig.sink.quotes).count == rig.sink.quotes.count)
    }

    @Test func shutdownsAreForestalled() {
        let rig = MarketRig()
        rig.subscribe()
        rig.reactor.run(seconds: 100)
        rig.venue.everywhere(#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1795000000000}}"#)
        rig.reactor.run(seconds: 20)
        #expect(rig.venue.sockets.count == 2)
        #expect(rig.venue.sockets.first?.isClosed == true)
        rig.reactor.run(seconds: 60)
        #expect(rig.sink.links.map(\.state) == [.up])
        rig.expectWholeTrades()
    }

    /// The old one ends while the new one is being made.
    @Test func aShutdownThatComesTooSoonIsFilled() {
        let rig = MarketRig()
        rig.subscribe()
        rig.reactor.run(seconds: 100)
        rig.venue.everywhere(#"{"e":"serverShutdown","E":1795000000000}"#)
        rig.reactor.run(seconds: 0.01)
        rig.venue.sockets.first?.cut()
        rig.reactor.run(seconds: 70)
        #expect(rig.state(of: "streams") == .up)
        rig.expectWholeTrades()
        rig.expectWholeBars()
    }

    @Test(arguments: [UInt64(1), 2, 3]) func lostMessagesAreFetched(_ seed: UInt64) {
        let rig = MarketRig(seed: seed)
        rig.venue.loss = 0.05
        rig.subscribe()
        rig.reactor.run(seconds: 900)
        rig.venue.loss = 0
        rig.reactor.run(seconds: 125)
        rig.expectWholeTrades("seed \(seed)")
        rig.expectWholeBars("seed \(seed)")
        #expect(rig.sink.replayed > 100)
        #expect(rig.data.lostTrades == 0)
    }

    /// The venue says "not now": it is asked again when it said, not before. Candles wait for it; trades don't wait longer than a moment,
    /// because stops need prices that are news, and the ones that are missing are said to be.
    @Test func aSpentBudgetIsWaitedFor() {
        let rig = MarketRig()
        rig.subscribe()
        rig.reactor.run(seconds: 100)
        rig.venue.restFailure = VenueFailure(.limited, status: 429, code: -1003, message: "too much", retryAfter: 20 * second)
        let before = rig.sink.trades.count
        rig.venue.open.first?.cut()
        rig.reactor.run(seconds: 2)
        let asked = rig.venue.requests.count
        #expect(rig.sink.trades.count == before)
        rig.reactor.run(seconds: 4)
        #expect(rig.sink.trades.count - before >= 20, "prices are held back")
        rig.reactor.run(seconds: 14)
        #expect(rig.venue.requests.count == asked, "asked again before the time the venue named")
        rig.venue.restFailure = nil
        rig.reactor.run(seconds: 100)
        rig.expectWholeBars()
        #expect(rig.sink.trades == rig.sink.trades.sorted())
        #expect((1...10).contains(rig.data.lostTrades))
        #expect(rig.sink.logs.contains { $0.contains("lost") })
    }

    @Test func whatCannotBeFilledIsSaid() {
        let rig = MarketRig { $0.tradePages = 1 }
        rig.subscribe()
        rig.reactor.run(seconds: 100)
        rig.venue.refusesConnections = true
        rig.venue.open.first?.cut()
        rig.reactor.run(seconds: 600)
        rig.venue.refusesConnections = false
        rig.reactor.run(seconds: 60)
        #expect(rig.data.lostTrades > 300)
        #expect(rig.sink.logs.contains { $0.contains("can't be filled") })
        #expect(rig.sink.trades == rig.sink.trades.sorted())
        rig.expectWholeBars()
    }

    @Test func messagesStayWithinTheVenuesLimits() {
        let names = (0..<300).map { "S\($0)USDT" }
        let rig = MarketRig(.spot, []) { $0.streamsPerConnection = 1_000 }
        for (index, name) in names.enumerated() { rig.subscribe(name, [.quotes, .trades, .bars], id: UInt32(index + 1)) }
        rig.reactor.run(seconds: 10)
        #expect(rig.venue.open.count == 1)
        for socket in rig.venue.open {
            #expect(socket.subscribed.count == 900)
            for message in socket.sent {
                #expect(socket.sent.count { $0.at >= message.at && $0.at < message.at + second } <= 5)
                #expect(message.text.utf8.count < 4_096)
            }
        }
        // Subscribed and removed before its turn: never asked for.
        let before = rig.venue.open.first?.sent.count ?? 0
        for round in 0..<50 {
            rig.subscribe("T\(round)USDT", [.trades], id: 900)
            rig.data.unsubscribe(900, symbolKey("T\(round)USDT"), [.trades])
        }
        rig.reactor.run(seconds: 5)
        #expect((rig.venue.open.first?.sent.count ?? 0) - before <= 8)
        #expect(rig.venue.open.first?.subscribed.count == 900)
    }

    @Test func streamsAreSpreadOverConnections() {
        let rig = MarketRig(.futures, []) { $0.streamsPerConnection = 100 }
        for index in 0..<120 { rig.subscribe("S\(index)USDT", [.quotes, .trades], id: UInt32(index + 1)) }
        rig.reactor.run(seconds: 5)
        #expect(rig.venue.open.count == 5)
        #expect(rig.venue.open.allSatisfy { $0.subscribed.count <= 100 })
        for index in 0..<120 { rig.data.unsubscribe(UInt32(index + 1), symbolKey("S\(index)USDT"), [.quotes, .trades]) }
        rig.reactor.run(seconds: 5)
        #expect(rig.venue.open.isEmpty)
    }

    @Test func unsubscribingEndsEverything() {
        let rig = MarketRig()
        rig.subscribe()
        rig.subscribe()
        rig.reactor.run(seconds: 20)
        rig.expectWholeTrades()
        rig.data.unsubscribe(1, symbolKey("BTCUSDT"), [.trades])
        rig.sink.entries = []
        rig.reactor.run(seconds: 5)
        #expect(rig.sink.trades.isEmpty && !rig.sink.quotes.isEmpty)
        rig.data.unsubscribe(1, symbolKey("BTCUSDT"), all)
        rig.data.unsubscribe(1, symbolKey("BTCUSDT"), all)
        rig.sink.entries = []
        rig.reactor.run(seconds: 30)
        #expect(rig.sink.entries.isEmpty)
        #expect(rig.venue.open.isEmpty)
        rig.subscribe()
        rig.reactor.run(seconds: 20)
        rig.expectWholeTrades()
    }

    @Test func refusedSubscriptionsAreSaid() {
        let rig = MarketRig()
        rig.subscribe()
        rig.reactor.run(seconds: 0.04)
        rig.venue.everywhere(#"{"code":2,"msg":"Invalid request: bad","id":1}"#)
        #expect(rig.sink.links.contains { $0.state == .degraded && $0.message.contains("Invalid request") })
    }

    @Test func connectionLimitsAreWaitedFor() {
        let rig = MarketRig()
        rig.venue.connectionLimit = 60 * second
        rig.subscribe()
        #expect(rig.state(of: "streams") == .down)
        rig.reactor.run(seconds: 59)
        #expect(rig.venue.sockets.isEmpty)
        rig.venue.connectionLimit = nil
        rig.reactor.run(seconds: 5)
        #expect(rig.state(of: "streams") == .up)
    }

    @Test func garbageIsCountedAndLeftOut() {
        let rig = MarketRig()
        rig.subscribe()
        rig.reactor.run(seconds: 10)
        for text in ["", "{", "[]", "nonsense", #"{"e":"aggTrade","s":"BTCUSDT"}"#, #"{"e":"aggTrade","s":"BTCUSDT"}"#] { rig.venue.everywhere(text) }
        rig.reactor.run(seconds: 10)
        #expect(rig.data.faults.values.reduce(0, +) == 6)
        #expect(rig.sink.logs.count == rig.data.faults.count, "one line for each kind of fault")
        #expect(!rig.sink.links.contains { $0.state == .down })
        rig.expectWholeTrades()
    }

    /// Numbers with too many decimals are left out, one by one; nothing is rounded and nothing is asked for in vain.
    @Test func inexactNumbersAreLeftOut() {
        let rig = MarketRig()
        rig.subscribe()
        rig.reactor.run(seconds: 10)
        let asked = rig.venue.requests.count
        let before = rig.sink.trades.count
        guard let last = rig.sink.trades.last else {
            Issue.record("no trades")
            return
        }
        func say(_ id: Int64, _ price: String) {
            rig.venue.everywhere(
                #"{"e":"aggTrade","E":1,"s":"BTCUSDT","a":\#(id),"p":"\#(price)","q":"1","f":1,"l":\#(id),"T":\#(rig.venue.venueTime),"m":true}"#)
        }
        for step in Int64(1)...10 { say(last + step, step % 2 == 0 ? "103.123" : "109.123456789") }
        #expect(rig.sink.trades.count == before + 5)
        #expect(rig.venue.requests.count == asked)
        #expect(rig.data.faults == ["the number in p has more than 8 decimals, and they are never rounded": 5])
    }

    /// What REST has can be inexact too: the rest of the answer is used.
    @Test func inexactRowsAreLeftOut() throws {
        func row(_ id: Int, _ price: String) -> JSONValue {
            ["a": JSONValue(id), "p": JSONValue(price), "q": "1", "f": 1, "l": JSONValue(id), "T": 5, "m": true]
        }
        let page = try RestRows.trades([row(1, "1"), row(2, "1.000000001"), row(3, "99999999999999"), row(4, "2.000000010")], symbol: symbolKey("BTCUSDT"))
        #expect(page.rows.map(\.id) == [1, 4])
        #expect(page.count == 4)
        #expect(page.fault == .outOfRange("p"))
        #expect(throws: StreamFault.wrongKind("p")) { try RestRows.trades([row(1, "x")], symbol: symbolKey("BTCUSDT")) }
        #expect(throws: StreamFault.self) { try RestRows.trades([row(2, "1"), row(1, "1")], symbol: symbolKey("BTCUSDT")) }
        #expect(throws: StreamFault.self) { try RestRows.candles([[1, "1"]]) }
        #expect(throws: StreamFault.inexact("a level's price")) {
            try RestRows.depth(["lastUpdateId": 1, "bids": [["1.000000001", "1"]], "asks": []])
        }
    }

    @Test(arguments: [Product.spot, .futures]) func booksAreTold(_ product: Product) {
        let rig = MarketRig(product)
        rig.subscribe("BTCUSDT", [.depth])
        rig.reactor.run(seconds: 30)
        let depth = rig.sink.entries.compactMap { if case .depth(let id, let whole) = $0 { (id, whole) } else { nil } }
        #expect(depth.first?.1 == true)
        #expect(depth.dropFirst().allSatisfy { !$0.1 })
        #expect(depth.map(\.0) == depth.map(\.0).sorted() && depth.count > 100)
        // After a loss it is told whole again.
        rig.sink.entries = []
        rig.venue.loss = 1
        rig.reactor.run(seconds: 2)
        rig.venue.loss = 0
        rig.reactor.run(seconds: 5)
        #expect(rig.sink.entries.contains { if case .depth(_, true) = $0 { true } else { false } })
    }

    @Test func stoppingLeavesNothingBehind() {
        let rig = MarketRig()
        rig.subscribe()
        rig.reactor.run(seconds: 10)
        rig.data.stop()
        rig.sink.entries = []
        rig.reactor.run(seconds: 60)
        #expect(rig.sink.entries.isEmpty)
        #expect(rig.venue.open.isEmpty)
        // The venue's own timer is all that is left.
        #expect(rig.reactor.pending == 1)
    }
}
