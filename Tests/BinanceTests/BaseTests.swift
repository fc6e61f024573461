import Foundation
import PluginKit
import TestSupport
import Testing

@testable import BinanceConnector

@Suite struct BaseTests {
    // MARK: environments

    private static let words: [String?] = [nil, "", "true", "false", "1", "0", "maybe"]

    @Test("real money takes a clear word from every side: all combinations of the variables", arguments: EnvironmentChoice.allCases)
    func environments(_ choice: EnvironmentChoice) {
        for paper in Self.words {
            for demo in Self.words {
                for live in [nil, "true", "1", "TRUE", "false"] {
                    let variables = Variables(paper: paper, demo: demo, live: live)
                    let found = try? choice.environment(variables)
                    if found == .live {
                        #expect(live == "true")
                        #expect(paper != "true" && paper != "1" && demo != "true" && demo != "1")
                        #expect(choice == .live || (choice == .auto && (paper == "false" || paper == "0")))
                    }
                    if choice == .testnet { #expect(found == .testnet) }
                    if choice == .demo { #expect(found == .demo) }
                    if choice == .auto, paper == "maybe" || demo == "maybe" { #expect(found == nil, "what isn't yes or no is refused") }
                }
            }
        }
        #expect((try? EnvironmentChoice.auto.environment(Variables())) == .testnet, "nothing set is paper")
        #expect((try? EnvironmentChoice.auto.environment(Variables(paper: "true", demo: "true"))) == .demo)
        #expect((try? EnvironmentChoice.auto.environment(Variables(paper: "false", live: "true"))) == .live)
        #expect((try? EnvironmentChoice.auto.environment(Variables(paper: "false"))) == nil, "not live for want of LIVE_TRADING, and not silently paper either")
    }

    @Test("no host belongs to two environments, and no paper route leads to a live one")
    func hosts() throws {
        var owners: [String: Set<Environment>] = [:]
        for environment in [Environment.live, .testnet, .demo] {
            for product in Product.allCases {
                let endpoints = try #require(Endpoints(environment, product))
                let routes = [endpoints.rest, endpoints.api, endpoints.stream(.public), endpoints.stream(.market), endpoints.userStream("abc")]
                for route in routes {
                    #expect(route.environment == environment)
                    #expect(route.endpoint.isSecure && route.endpoint.port == 443)
                    owners[route.endpoint.host, default: []].insert(environment)
                }
            }
        }
        let live = owners.filter { $0.value.contains(.live) }
        #expect(live.allSatisfy { $0.value == [.live] }, "\(live)")
        #expect(Set(live.keys) == ["api.binance.com", "stream.binance.com", "ws-api.binance.com", "fapi.binance.com", "fstream.binance.com", "ws-fapi.binance.com"])
    }

    @Test("a stand-in is on this machine or it is refused; live and stand-in don't go together")
    func standIn() throws {
        for text in ["127.0.0.1:8080", "localhost:1", "http://127.0.0.1:9"] {
            let endpoints = try Endpoints(standIn: text, .spot)
            #expect(endpoints.environment == .local)
            #expect(endpoints.api.endpoint.target == "/ws-api/v3")
        }
        for text in ["10.0.0.1:80", "api.binance.com:443", "https://127.0.0.1:1", "127.0.0.1:1/path", "user@127.0.0.1:1", "", "127.0.0.1.evil.com:80", "ws://127.0.0.1:1"] {
            #expect(throws: PluginError.self, "\(text)") { try Endpoints(standIn: text, .spot) }
        }
        var settings = Settings()
        settings.standIn = "127.0.0.1:1"
        settings.choice = .live
        #expect(throws: PluginError.self) { try settings.endpoints(.spot, Variables(live: "true")) }
        settings.choice = .auto
        #expect(try settings.endpoints(.spot, Variables()).environment == .local)
    }

    @Test("the dialer opens routes of its own environment only")
    func dialer() throws {
        let reactor = PollReactor()
        let dialer = Dialer(.testnet, on: reactor)
        let live = try #require(Endpoints(.live, .spot))
        #expect(throws: PluginError.self) { try dialer.http(live.rest) }
        #expect(throws: PluginError.self) { try dialer.socket(live.api) }
        #expect(dialer.dialled.isEmpty)
    }

    // MARK: symbols

    @Test("every way to write a symbol", arguments: [
        ("BTC/USDT", "BTCUSDT"), ("btc/usdt", "BTCUSDT"), ("BTC/USDT:USDT", "BTCUSDT"), ("BTCUSDT", "BTCUSDT"), ("btcusdt", "BTCUSDT"), ("BTC/USDT:USDT-270326", "BTCUSDT_270326"),
        ("1000SHIB/USDT:USDT", "1000SHIBUSDT"),
    ])
    func symbols(_ written: String, _ venue: String) { #expect(SymbolName.venue(written) == venue) }

    @Test("what is no symbol", arguments: ["", "/", "BTC/", "/USDT", "BTC/USDT/X", "BTC/USDT:", "BTC/USDT:USDT-2703", "a b", "BTC\"USDT", "BTC&x=1"])
    func noSymbols(_ written: String) { #expect(SymbolName.venue(written) == nil) }

    @Test("Keel's form comes back")
    func keelForm() {
        for text in ["BTC/USDT", "BTC/USDT:USDT", "ETH/USDC:USDC-270326"] { #expect(SymbolName(text)?.keel == text) }
    }

    // MARK: failures

    @Test("what an error means for what was asked, by the sheet", arguments: [
        (Product.spot, 400, -2010, "Account has insufficient balance for requested action.", Treatment.refused), (.spot, 400, -2010, "Duplicate order sent.", .duplicate),
        (.futures, 400, -4116, "clientOrderId is duplicated", .duplicate), (.spot, 400, -2011, "Unknown order sent.", .gone), (.spot, 400, -2013, "Order does not exist.", .missing),
        (.spot, 429, -1003, "Too much request weight used", .limited), (.spot, 418, -1003, "Way too much request weight used; IP banned", .banned), (.spot, 429, -1015, "Too many new orders", .limited),
        (.spot, 504, -1007, "Timeout waiting for response", .unknown), (.futures, 408, -1007, "Timeout", .unknown), (.spot, 400, -1006, "x", .unknown), (.spot, 500, 0, "HTTP 500", .unknown),
        (.spot, 502, 0, "", .unknown), (.spot, 503, 0, "Service Unavailable.", .unknown), (.futures, 503, 0, "Service Unavailable.", .notDone),
        (.futures, 503, 0, "Unknown error, please check your request or try again later.", .unknown), (.futures, 503, -1008, "Request throttled", .notDone), (.spot, 400, -1021, "x", .clock),
        (.futures, 400, -5028, "x", .clock), (.spot, 401, -2015, "x", .configuration), (.spot, 400, -2014, "x", .configuration), (.spot, 400, -1022, "x", .configuration),
        (.spot, 403, 0, "", .notDone), (.spot, 400, -1013, "Filter failure: LOT_SIZE", .refused), (.futures, 400, -2019, "Margin is insufficient.", .refused), (.futures, 400, -2021, "x", .refused),
        (.futures, 400, -2022, "x", .refused), (.spot, 400, -1121, "x", .refused), (.spot, 409, -2021, "x", .unknown), (.spot, 404, 0, "", .refused), (.spot, 0, 0, "", .unknown), (.spot, 302, 0, "", .unknown),
    ] as [(Product, Int, Int64, String, Treatment)])
    func treatments(_ product: Product, _ status: Int, _ code: Int64, _ text: String, _ expected: Treatment) {
        let body: JSONValue = ["code": JSONValue(code), "msg": JSONValue(text)]
        #expect(VenueFailure(product, status: status, body: body).treatment == expected)
        // Algo answers carry the code as text.
        let texts: JSONValue = ["code": JSONValue("\(code)"), "msg": JSONValue(text)]
        #expect(VenueFailure(product, status: status, body: texts).treatment == expected)
    }

    // MARK: clock

    @Test("a timestamp is never ahead of the venue's clock, whatever the ways there and back take")
    func clock() {
        var random = SeededGenerator(seed: 5)
        var clock = VenueClock()
        var host: Int64 = 1_700_000_000_000_000_000
        let offset: Int64 = -3_217_000_000
        for round in 0..<2000 {
            host += Int64(random.below(20_000_000_000))
            let there = Int64(random.below(200_000_000))
            let back = Int64(random.below(200_000_000))
            let venue = (host + offset + there) / 1_000_000
            clock.take(VenueClock.Sample(sent: host, received: host + there + back, venue: venue))
            host += there + back
            let truth = (host + offset) / 1_000_000
            #expect(clock.milliseconds(host) <= truth, "round \(round)")
            #expect(clock.milliseconds(host) >= truth - 401, "round \(round)")
        }
        // The host's clock jumps an hour: one sample and it is right again.
        host += 3_600_000_000_000
        let venue = (host + offset - 3_600_000_000_000) / 1_000_000
        clock.take(VenueClock.Sample(sent: host, received: host + 1_000_000, venue: venue))
        #expect(abs(clock.milliseconds(host) - venue) <= 1)
    }

    // MARK: budget

    @Test("orders and cancels go when queries no longer may, and a window later everything may again")
    func priorities() {
        let budget = Budget(folder: nil, name: "t", account: "a", product: .spot, share: .one)
        budget.set(.weight, PoolLimit(100, every: 60_000))
        let time: Int64 = 1_795_000_000_000 / 60_000 * 60_000
        for _ in 0..<8 { #expect(budget.take(.weight, 10, .query, at: time) == nil) }
        #expect(budget.take(.weight, 10, .query, at: time) == time + 60_000)
        #expect(budget.take(.weight, 10, .settle, at: time) == nil)
        #expect(budget.take(.weight, 10, .settle, at: time) == time + 60_000)
        #expect(budget.take(.weight, 10, .cancel, at: time + 59_999) == nil)
        #expect(budget.take(.weight, 1, .order, at: time + 59_999) == time + 60_000)
        #expect(budget.take(.weight, 80, .query, at: time + 60_000) == nil)
    }

    @Test("what the venue says counts if it is more; limits and bans stop everything until they end")
    func corrections() {
        let budget = Budget(folder: nil, name: "t", account: "a", product: .spot, share: .one)
        let time: Int64 = 1_795_000_000_000
        budget.correct(.weight, used: 5990, at: time)
        #expect(budget.used(.weight, at: time) == 5990)
        budget.correct(.weight, used: 3, at: time)
        #expect(budget.used(.weight, at: time) == 5990)
        #expect(budget.take(.weight, 20, .query, at: time) != nil)
        #expect(budget.take(.weight, 1, .cancel, at: time) == nil)
        budget.hold(.ordersShort, until: time + 7000)
        #expect(budget.take(.ordersShort, 1, .order, at: time) == time + 7000)
        #expect(budget.take(.weight, 1, .cancel, at: time) == nil, "a limit of orders doesn't stop cancels")
        budget.ban(until: time + 120_000)
        for pool in Pool.allCases { #expect(budget.take(pool, 1, .order, at: time + 60_000) == time + 120_000) }
        #expect(budget.take(.weight, 1, .query, at: time + 120_000) == nil)
    }

    @Test("counters in one file are one, whoever maps it: what is handed out is what there is")
    func shared() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/budget"
        let time: Int64 = 1_795_000_000_000
        let first = Budget(folder: path, name: "b", account: "acc", product: .spot, share: .one)
        let second = Budget(folder: path, name: "b", account: "acc", product: .spot, share: .one)
        let other = Budget(folder: path, name: "b", account: "another", product: .spot, share: .one)
        #expect(first.problem == nil && second.problem == nil, "\(first.problem ?? "")")
        #expect(first.take(.weight, 4000, .order, at: time) == nil)
        #expect(second.used(.weight, at: time) == 4000)
        #expect(second.take(.weight, 3000, .order, at: time) != nil)
        #expect(first.take(.ordersShort, 50, .order, at: time) == nil)
        #expect(second.take(.ordersShort, 1, .order, at: time) != nil, "the same account")
        #expect(other.take(.ordersShort, 1, .order, at: time) == nil, "another account of the same address")
        #expect(other.used(.weight, at: time) == 4000)
        // Many at once: what is handed out is exactly what there is.
        let limit: Int64 = 1000
        let later = time + 60_000
        let granted = Granted()
        DispatchQueue.concurrentPerform(iterations: 4) { _ in
            let mine = Budget(folder: path, name: "b", account: "acc", product: .spot, share: .one)
            mine.set(.weight, PoolLimit(limit, every: 60_000))
            var count = 0
            for _ in 0..<600 where mine.take(.weight, 1, .order, at: later) == nil { count += 1 }
            granted.add(count)
        }
        #expect(granted.total == Int(limit))
    }

    @Test("a folder that others can write to, or a file that is none of ours, is not shared")
    func unsafeFolders() throws {
        let folder = try TemporaryFolder()
        let open = folder.path + "/open"
        try FileManager.default.createDirectory(atPath: open, withIntermediateDirectories: false)
        try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: open)
        let budget = Budget(folder: open, name: "b", account: "a", product: .spot, share: .one)
        #expect(budget.problem != nil)
        #expect(budget.take(.weight, 1, .order, at: 1_795_000_000_000) == nil, "it counts for itself then")
        let closed = folder.path + "/closed"
        try FileManager.default.createDirectory(atPath: closed, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        try Data(repeating: 7, count: 512).write(to: URL(fileURLWithPath: closed + "/b-address.budget"))
        #expect(Budget(folder: closed, name: "b", account: "a", product: .spot, share: .one).problem != nil)
    }
}

private final class Granted: @unchecked Sendable {  // guarded by the lock
    private let lock = NSLock()
    private var count = 0
    var total: Int { lock.withLock { count } }
    func add(_ more: Int) { lock.withLock { count += more } }
}
