import PluginKit
import Testing

@testable import BinanceExchange

/// Signatures, times, limits, parameters: what stands between a request and the exchange.
@Suite struct WireTests {
    static let secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"

    /// The worked examples of the protocol's documentation.
    @Test func signaturesFitTheDocumentedVectors() throws {
        let credential = Credential.hmac(try HMACKey(Self.secret.utf8))
        let query = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
        let first = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
        let whole = Params.payload(query: query + "&signature=" + first, body: "")
        #expect(whole.signature == first && credential.accepts(first.uppercased(), of: whole.bytes))
        let mixed = Params.payload(
            query: "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC",
            body: "quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559&signature=0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77")
        #expect(credential.accepts(mixed.signature ?? "", of: mixed.bytes))
        let wide = Params.payload(query: query.replacing("LTCBTC", with: "%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96"), body: "")
        #expect(credential.accepts("e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3", of: wide.bytes))
        let object = try #require(
            try JSONValue(
                parsing: """
                    {"symbol":"BTCUSDT","side":"SELL","type":"LIMIT","timeInForce":"GTC","quantity":"0.01000000","price":"52000.00","recvWindow":100,
                    "timestamp":1645423376532,"apiKey":"vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A","signature":"x"}
                    """
            ).asObject)
        #expect(credential.accepts("aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24", of: Params.object(object).payload))
        #expect(!credential.accepts(first.replacing("c8", with: "c9"), of: whole.bytes))
    }

    @Test func keysAndSignaturesAreChecked() throws {
        let bench = try Bench()
        let alice = try bench.account("alice")
        func ask(_ query: String, _ key: String?) throws -> String {
            let reply = bench.exchange.rest("GET", "/api/v3/account", query: query, body: "", key: key)
            return "\(reply.status) \(try JSONValue(parsing: reply.body.bytes).text("code"))"
        }
        #expect(try ask("timestamp=1", nil) == "401 -2014")
        #expect(try ask("timestamp=1", "no!") == "401 -2014")
        #expect(try ask("timestamp=1", String(repeating: "a", count: 64)) == "401 -2015")
        #expect(try ask("", alice.apiKey) == "400 -1102")
        #expect(try ask("timestamp=\(bench.exchange.now)", alice.apiKey) == "400 -1102")
        #expect(try ask("timestamp=\(bench.exchange.now)&signature=00", alice.apiKey) == "400 -1022")
        #expect(try bench.done("carol", "GET", "/api/v3/account").text("accountType") == "SPOT")
    }

    @Test func timeIsHeldToItsWindow() throws {
        let bench = try Bench()
        let alice = try bench.account("alice")
        func ask(_ stamp: Int64, _ window: String? = nil) throws -> String {
            let query = (window.map { "recvWindow=\($0)&" } ?? "") + "timestamp=\(stamp)"
            guard case .hmac(let key) = alice.credential else { return "" }
            let reply = bench.exchange.rest("GET", "/api/v3/account", query: query + "&signature=" + Hex.encode(try key.sign(Array(query.utf8))), body: "", key: alice.apiKey)
            return reply.status == 200 ? "ok" : try JSONValue(parsing: reply.body.bytes).text("msg")
        }
        let now = bench.exchange.now
        #expect(try ask(now - 5_000) == "ok")
        #expect(try ask(now - 5_001) == "Timestamp for this request is outside of the recvWindow.")
        #expect(try ask(now + 999) == "ok")
        #expect(try ask(now + 1_000) == "Timestamp for this request was 1000ms ahead of the server's time.")
        #expect(try ask(now - 30_000, "60000") == "ok")
        #expect(try ask(now, "60001") == "recvWindow must be less than 60000.")
        #expect(try ask(now - 100, "99.5").hasPrefix("Timestamp"))
        // Microseconds are taken too.
        #expect(try ask((now - 100) * 1_000) == "ok")
        bench.exchange.skew = 10_000
        #expect(try ask(now).hasPrefix("Timestamp for this request is outside"))
    }

    @Test func weightRunsOutAndABanFollows() throws {
        let limits = Limits(LimitRules(weight: 100, orders: [], raw: nil, patience: 3))
        let minute: Int64 = 1_795_000_020_000 / 60_000 * 60_000
        for _ in 0..<10 { try limits.charge(10, now: minute + 1_000) }
        #expect(limits.headers(nil, now: minute + 1_000).map(\.value) == ["100", "100"])
        var refusals: [(Int, Int64?)] = []
        for _ in 0..<4 {
            do throws(Refusal) { try limits.charge(1, now: minute + 20_000) } catch { refusals.append((error.status, error.retryAfter)) }
        }
        #expect(refusals.map(\.0) == [429, 429, 429, 418] && refusals[0].1 == 40 && refusals[3].1 == 120)
        do throws(Refusal) {
            try limits.charge(1, now: minute + 60_000)
            Issue.record("a ban outlives the window")
        } catch { #expect(error.status == 418 && error.text.contains("IP banned until \(minute + 140_000)")) }
        try limits.charge(1, now: minute + 140_000)
    }

    @Test func ordersAreCountedByAccountAndGivenBackAtTheFirstFill() throws {
        let bench = try Bench(houseIsOpen: false)
        bench.exchange.spotLimits.rules.orders[0].limit = 3
        func place(_ name: String, _ side: String) throws -> (status: Int, body: JSONValue) {
            try bench.call(name, "POST", "/api/v3/order", ["symbol": "BTCUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "80000"])
        }
        for _ in 0..<3 { #expect(try place("alice", "BUY").status == 200) }
        let refused = try place("alice", "BUY")
        #expect(refused.status == 429 && refused.body.text("msg") == "Too many new orders; current limit is 3 orders per 10 SECOND.")
        #expect(try place("bob", "SELL").status == 200)
        // Bob took one of alice's: both have room for one more.
        #expect(try place("alice", "BUY").status == 200)
        bench.advance(10_000)
        #expect(try place("alice", "BUY").status == 200)
        let counts = try bench.done("alice", "GET", "/api/v3/rateLimit/order")
        #expect(counts.item(0).text("count") == "1")
    }

    @Test func anOrderCostsNoWeightWhenItWorks() throws {
        let bench = try Bench(houseIsOpen: false)
        let before = bench.exchange.spotLimits.used
        _ = try bench.done("alice", "POST", "/api/v3/order", ["symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "80000"])
        #expect(bench.exchange.spotLimits.used == before)
        _ = try bench.refused("alice", "POST", "/api/v3/order", ["symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0"])
        #expect(bench.exchange.spotLimits.used == before + 1)
        _ = try bench.open("/api/v3/depth", "symbol=BTCUSDT&limit=1000")
        #expect(bench.exchange.spotLimits.used == before + 51)
    }

    /// Whatever bytes come, an answer goes out, and it is JSON.
    @Test(arguments: [1, 2, 3, 4] as [UInt64]) func anyRequestIsAnswered(seed: UInt64) throws {
        let bench = try Bench(symbols: ["BTCUSDT"])
        bench.exchange.spotLimits.rules.weight = .max / 2
        bench.exchange.futuresLimits.rules.weight = .max / 2
        var random = SeededGenerator(seed: seed)
        let paths = (Array(SpotRoutes.table.keys) + Array(FuturesRoutes.table.keys)).sorted()
        let names = ["symbol", "side", "type", "quantity", "price", "limit", "interval", "startTime", "endTime", "orderId", "timeInForce", "stopPrice", "batchOrders", "symbols", "fromId", "algoId", "period", "leverage"]
        let values = ["BTCUSDT", "BUY", "LIMIT", "-1", "0", "9223372036854775807", "99999999999999999999", "1e400", "%", "%zz", "%00", "[", "[1,{}]", "\"", "1m", "1M", "0.00000001", "", "&", "=", "true", "5m", "STOP_MARKET"]
        for step in 0..<400 {
            let parts = paths[Int(random.below(UInt64(paths.count)))].split(separator: " ")
            var query = (0..<random.below(7)).map { _ in "\(names[Int(random.below(UInt64(names.count)))])=\(values[Int(random.below(UInt64(values.count)))])" }.joined(separator: "&")
            if random.below(5) == 0 { query = String(decoding: (0..<random.below(60)).map { _ in UInt8(random.below(256)) }, as: UTF8.self) }
            var body = ""
            var key: String?
            if random.below(3) > 0, case .hmac(let hmac) = bench.exchange.accounts[0].credential {
                query += "&timestamp=\(bench.exchange.now)"
                let signature = Hex.encode(try hmac.sign(Array(query.utf8)))
                if random.below(2) == 0 { body = "signature=\(signature)" } else { query += "&signature=\(signature)" }
                key = bench.exchange.accounts[0].apiKey
            }
            let reply = bench.exchange.rest(String(parts[0]), String(parts[1]), query: query, body: body, key: key)
            #expect((try? JSONValue(parsing: reply.body.bytes)) != nil, "seed \(seed), step \(step): \(parts) \(query)")
            #expect([200, 400, 401, 404, 409, 429].contains(reply.status), "seed \(seed), step \(step): \(reply.status) \(parts) \(query)")
        }
    }

    @Test func exchangeInfoHoldsWhatClientsLookFor() throws {
        let bench = try Bench()
        let spot = try bench.open("/api/v3/exchangeInfo", "symbol=BTCUSDT").find("symbols")?.item(0)
        let filters = Dictionary(uniqueKeysWithValues: (spot?.find("filters")?.asList ?? []).map { ($0.text("filterType"), $0) })
        #expect(filters["PRICE_FILTER"]?.text("tickSize") == "0.01000000" && filters["LOT_SIZE"]?.text("stepSize") == "0.00001000")
        #expect(filters["NOTIONAL"]?.text("minNotional") == "5.00000000" && filters["PERCENT_PRICE_BY_SIDE"]?.text("askMultiplierDown") == "0.2")
        #expect(try bench.open("/api/v3/exchangeInfo", "symbols=%5B%22BTCUSDT%22%2C%22ETHUSDT%22%5D").find("symbols")?.count == 2)
        let futures = try bench.open("/fapi/v1/exchangeInfo").find("symbols")?.item(0)
        #expect(futures?.text("contractType") == "PERPETUAL" && futures?.text("pricePrecision") == "2")
        let marks = Dictionary(uniqueKeysWithValues: (futures?.find("filters")?.asList ?? []).map { ($0.text("filterType"), $0) })
        #expect(marks["MIN_NOTIONAL"]?.text("notional") == "50" && marks["MAX_NUM_ORDERS"]?.text("limit") == "200" && marks["PERCENT_PRICE"]?.text("multiplierUp") == "1.0500")
    }
}

@Suite struct MarketTests {
    @Test func barsOfEveryIntervalFitTogether() throws {
        let bench = try Bench()
        let listing = try #require(bench.exchange.spot.listings["BTCUSDT"])
        bench.advance(90_000)
        for interval in Interval.allCases {
            let bars = listing.candles.bars(interval, start: nil, end: nil, limit: 50, now: bench.exchange.now)
            #expect(!bars.isEmpty, "\(interval)")
            for (bar, next) in zip(bars, bars.dropFirst()) { #expect(interval.next(bar.open) == next.open, "\(interval)") }
            for bar in bars { #expect(bar.low <= min(bar.first, bar.last) && bar.high >= max(bar.first, bar.last) && bar.open == interval.start(bar.open), "\(interval)") }
        }
        let minutes = listing.candles.bars(.m1, start: nil, end: nil, limit: 5, now: bench.exchange.now)
        let five = listing.candles.bars(.m5, start: nil, end: nil, limit: 1, now: bench.exchange.now)
        let inside = minutes.filter { $0.open >= five[0].open }
        #expect(inside.reduce(Int128(0)) { $0 + $1.volume } == five[0].volume)
    }

    @Test func monthsAndWeeksBeginWhereTheyShould() {
        // 2026-11-20T06:26:40Z is in the month that began on 2026-11-01, and in the week of Monday the sixteenth.
        #expect(Interval.month.start(1_795_156_000_000) == 1_793_491_200_000)
        #expect(Interval.w1.start(1_795_156_000_000) == 1_794_787_200_000)
        #expect(Interval.month.next(1_793_491_200_000) == 1_796_083_200_000)
        #expect(Calendar.monthStart(951_827_696_000) == 949_363_200_000)  // a leap day: 2000-02-29
    }

    @Test func barsAreCountedAsTheCallsSay() throws {
        let bench = try Bench()
        let now = bench.exchange.now / 60_000 * 60_000
        func opens(_ query: String) throws -> [Int64] { try bench.open("/api/v3/klines", "symbol=BTCUSDT&interval=1m&" + query).asList?.compactMap { $0.item(0).asNumber?.int64 } ?? [] }
        #expect(try opens("limit=3") == [now - 120_000, now - 60_000, now])
        #expect(try opens("startTime=\(now - 300_000)&limit=2") == [now - 300_000, now - 240_000])
        #expect(try opens("endTime=\(now - 60_001)&limit=2") == [now - 180_000, now - 120_000])
        #expect(try opens("startTime=\(now - 299_999)&endTime=\(now - 180_000)") == [now - 240_000, now - 180_000])
    }

    final class Reader: StreamReader {
        var got: [(stream: String, payload: JSONValue)] = []
        func deliver(_ stream: String, _ payload: Out) { got.append((stream, (try? JSONValue(parsing: payload.bytes)) ?? .null)) }
    }

    /// A book kept from a snapshot and the differences is the exchange's own, and no number is ever missing.
    @Test(arguments: [Product.spot, .futures]) func differencesGiveTheBook(product: Product) throws {
        let bench = try Bench(seed: 21, step: 100)
        let exchange = bench.exchange
        let listings = product == .spot ? exchange.spot.listings : exchange.futures.listings
        let listing = try #require(listings["BTCUSDT"])
        let streams = Streams(product, listings: listings, symbols: ["BTCUSDT"])
        exchange.changed = { streams.pump(exchange.now) }
        let reader = Reader()
        streams.subscribe(reader, "btcusdt@depth@100ms", group: .any, now: exchange.now)
        bench.advance(1_000)
        let snapshot = try bench.open(product == .spot ? "/api/v3/depth" : "/fapi/v1/depth", "symbol=BTCUSDT&limit=\(product == .spot ? 5000 : 1000)")
        var book: [Side: [String: String]] = [:]
        for (side, name) in [(Side.buy, "bids"), (.sell, "asks")] {
            for level in snapshot.find(name)?.asList ?? [] { book[side, default: [:]][level.item(0).asText ?? ""] = level.item(1).asText }
        }
        let from = try #require(snapshot.find("lastUpdateId")?.asNumber?.int64)
        for step in 0..<40 {
            _ = try bench.call("alice", "POST", product == .spot ? "/api/v3/order" : "/fapi/v1/order", ["symbol": "BTCUSDT", "side": step % 2 == 0 ? "BUY" : "SELL", "type": "MARKET", "quantity": "0.5"])
            bench.advance(100)
        }
        bench.advance(200)
        var last: Int64?
        var applied = 0
        for (_, event) in reader.got {
            let first = try #require(event.find("U")?.asNumber?.int64)
            let final = try #require(event.find("u")?.asNumber?.int64)
            if let last {
                if product == .spot { #expect(first == last + 1) } else { #expect(event.find("pu")?.asNumber?.int64 == last) }
            }
            last = final
            guard final > from else { continue }
            if applied == 0 { #expect(first <= from + 1) }
            applied += 1
            for (side, name) in [(Side.buy, "b"), (.sell, "a")] {
                for level in event.find(name)?.asList ?? [] {
                    let price = level.item(0).asText ?? ""
                    book[side, default: [:]][price] = level.item(1).asText == "0.00000000" ? nil : level.item(1).asText
                }
            }
        }
        #expect(applied > 20 && last == listing.book.updateID)
        for side in [Side.buy, .sell] {
            let own = Dictionary(uniqueKeysWithValues: listing.book.depth(side, 5_000).map { (decimalText($0.price), decimalText($0.quantity)) })
            #expect(book[side] == own, "\(side)")
        }
    }

    @Test func barsCloseOnceAndTradesComeOnce() throws {
        let bench = try Bench(seed: 22)
        let exchange = bench.exchange
        let streams = Streams(.spot, listings: exchange.spot.listings, symbols: exchange.spot.names)
        exchange.changed = { streams.pump(exchange.now) }
        let reader = Reader()
        for name in ["btcusdt@kline_1m", "btcusdt@trade", "btcusdt@aggTrade", "btcusdt@bookTicker", "!miniTicker@arr", "BTCUSDT@trade", "btcusdt@nonsense"] {
            streams.subscribe(reader, name, group: .any, now: exchange.now)
        }
        bench.advance(190_000)
        func of(_ name: String) -> [JSONValue] { reader.got.filter { $0.stream == name }.map(\.payload) }
        let closed = of("btcusdt@kline_1m").compactMap { $0.find("k") }.filter { $0.find("x")?.asBool == true }
        #expect(closed.count == 3)
        let opens = closed.compactMap { $0.find("t")?.asNumber?.int64 }
        #expect(zip(opens, opens.dropFirst()).allSatisfy { $1 - $0 == 60_000 })
        // The closed bars are what the klines call tells.
        let told = try bench.open("/api/v3/klines", "symbol=BTCUSDT&interval=1m&startTime=\(opens[0])&limit=3").asList ?? []
        for (bar, row) in zip(closed, told) { #expect(bar.text("c") == row.item(4).asText && bar.text("v") == row.item(5).asText && bar.text("V") == row.item(9).asText) }
        let ids = of("btcusdt@trade").compactMap { $0.find("t")?.asNumber?.int64 }
        #expect(ids.count > 50 && zip(ids, ids.dropFirst()).allSatisfy { $1 == $0 + 1 })
        let aggregates = of("btcusdt@aggTrade")
        #expect(aggregates.compactMap { $0.find("f")?.asNumber?.int64 }.first == ids.first)
        for (a, b) in zip(aggregates, aggregates.dropFirst()) { #expect((a.find("l")?.asNumber?.int64 ?? 0) + 1 == b.find("f")?.asNumber?.int64) }
        #expect(of("!miniTicker@arr").allSatisfy { $0.count == 2 } && of("!miniTicker@arr").count > 150)
        #expect(of("BTCUSDT@trade").isEmpty && of("btcusdt@nonsense").isEmpty)
        #expect(of("btcusdt@bookTicker").allSatisfy { $0.find("e") == nil })
    }

    @Test func silentAndStaleStreams() throws {
        let bench = try Bench(seed: 23)
        let exchange = bench.exchange
        let streams = Streams(.futures, listings: exchange.futures.listings, symbols: exchange.futures.names)
        exchange.changed = { streams.pump(exchange.now) }
        let reader = Reader()
        streams.subscribe(reader, "btcusdt@bookTicker", group: .open, now: exchange.now)
        streams.subscribe(reader, "btcusdt@kline_1m", group: .open, now: exchange.now)
        bench.advance(3_000)
        // The wrong path is acknowledged and silent.
        #expect(!reader.got.isEmpty && reader.got.allSatisfy { $0.stream == "btcusdt@bookTicker" })
        streams.isSilent = true
        let before = reader.got.count
        bench.advance(60_000)
        #expect(reader.got.count == before)
        streams.isSilent = false
        streams.isStale = true
        bench.advance(10_000)
        let stale = reader.got.dropFirst(before)
        #expect(stale.count >= 5 && Set(stale.map { $0.payload.text("E") }).count == 1)
    }
}
