import PluginKit
import Testing

@testable import BinanceExchange

/// The exchange on sockets, with a client in the same loop. Its time stands still until a test moves it.
final class Wired {
    let reactor = PollReactor()
    let server: ExchangeServer
    var exchange: Exchange { server.exchange }

    init() throws {
        var settings = ExchangeSettings()
        settings.start = 1_795_000_000_000
        settings.past = Past(minutes: 1, days: 1)
        settings.symbols = ["BTCUSDT"]
        server = try ExchangeServer(try Exchange(settings), speed: 0, on: reactor)
    }

    func endpoint(_ product: Product, _ target: String, _ scheme: String = "http") -> Endpoint {
        Endpoint(scheme: scheme, host: "127.0.0.1", port: server.port(product), target: target)
    }

    func signed(_ name: String, _ params: KeyValuePairs<String, String>) throws -> (query: String, key: String) {
        let account = try #require(exchange.accounts.first { $0.name == name })
        let query = (params.map { "\($0.key)=\($0.value)" } + ["timestamp=\(exchange.now)"]).joined(separator: "&")
        guard case .hmac(let key) = account.credential else { return ("", "") }
        return (query + "&signature=" + Hex.encode(try key.sign(Array(query.utf8))), account.apiKey)
    }

    /// nil: no answer came, and the connection is over.
    func http(_ method: String, _ target: String, key: String? = nil, body: String = "", product: Product = .spot) throws -> (status: Int, body: JSONValue, head: HTTPHead)? {
        let client = HTTPClient(endpoint(product, "/"), on: reactor)
        var result: Result<HTTPResponse, HTTPFailure>?
        client.send(HTTPRequest(method, target, headers: key.map { [("X-MBX-APIKEY", $0)] } ?? [], body: Array(body.utf8))) { result = $0 }
        reactor.run { result != nil }
        guard case .success(let answer)? = result else { return nil }
        return (answer.status, (try? JSONValue(parsing: answer.body)) ?? JSONValue(String(decoding: answer.body, as: UTF8.self)), answer.head)
    }

    @discardableResult
    func order(_ name: String, _ method: String, _ params: KeyValuePairs<String, String>, _ path: String = "/api/v3/order") throws -> (status: Int, body: JSONValue, head: HTTPHead)? {
        let (query, key) = try signed(name, params)
        return try http(method, "\(path)?\(query)", key: key, product: path.hasPrefix("/fapi") ? .futures : .spot)
    }

    func control(_ path: String, _ body: String) throws -> (status: Int, body: JSONValue) {
        let answer = try #require(try http("POST", "/control/\(path)", body: body))
        return (answer.status, answer.body)
    }

    /// A WebSocket connection whose messages pile up.
    struct Missing: Error { var got: String }

    final class Line {
        let socket: WebSocket
        var got: [JSONValue] = []
        var ending: WebSocket.Ending?
        private let reactor: PollReactor

        init(_ endpoint: Endpoint, _ reactor: PollReactor) {
            self.reactor = reactor
            socket = WebSocket(endpoint, on: reactor)
            socket.onText = { [unowned self] bytes in self.got.append((try? JSONValue(parsing: bytes)) ?? .null) }
            socket.onClose = { [unowned self] in self.ending = $0 }
            reactor.run { [unowned self] in self.socket.isOpen || self.ending != nil }
        }

        /// The first message that fits, taken off the pile.
        func next(_ fits: @escaping (JSONValue) -> Bool = { _ in true }) throws -> JSONValue {
            reactor.run { [unowned self] in self.got.contains(where: fits) }
            guard let place = got.firstIndex(where: fits) else { throw Missing(got: "\(got.count) others, ending \(ending.map { "\($0)" } ?? "open")") }
            return got.remove(at: place)
        }

        func ask(_ text: String) throws -> JSONValue {
            socket.send(text: text)
            return try next { $0.find("id") != nil || $0.find("code") != nil }
        }
    }

    func line(_ target: String, _ product: Product = .spot) -> Line { Line(endpoint(product, target, "ws"), reactor) }

    /// A signed request of the WebSocket API.
    func request(_ name: String, _ id: String, _ method: String, _ params: [(String, JSONValue)]) throws -> String {
        let account = try #require(exchange.accounts.first { $0.name == name })
        var object = JSONObject(params)
        object["apiKey"] = JSONValue(account.apiKey)
        object["timestamp"] = JSONValue(exchange.now)
        let payload = Params.object(object).payload
        switch account.credential {
        case .hmac(let key): object["signature"] = JSONValue(Hex.encode(try key.sign(payload)))
        case .key(let key): object["signature"] = JSONValue(Base64.encode(try key.sign(payload)))
        }
        return JSONValue(JSONObject([("id", JSONValue(id)), ("method", JSONValue(method)), ("params", JSONValue(object))])).text(.compact)
    }
}

@Suite struct ServerTests {
    static let buy: KeyValuePairs<String, String> = ["symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "50000", "newClientOrderId": "one"]
    static let query: KeyValuePairs<String, String> = ["symbol": "BTCUSDT", "origClientOrderId": "one"]

    @Test func aLostReplyHidesAnOrderThatIsThere() throws {
        let wired = try Wired()
        #expect(try wired.control("scenario", "{\"rules\":[{\"do\":\"lost_reply\",\"times\":1}]}").status == 200)
        #expect(try wired.order("alice", "POST", Self.buy) == nil)
        let found = try #require(try wired.order("alice", "GET", Self.query))
        #expect(found.status == 200 && found.body.text("status") == "NEW")
        // A second try with the same id is refused while the first is open.
        #expect(try wired.order("alice", "POST", Self.buy)?.body.text("msg") == "Duplicate order sent.")
        let told = try #require(try wired.http("GET", "/control/scenario"))
        #expect(told.body.item(0).text("struck") == "1" && told.body.item(0).text("seen") == "2")
    }

    @Test func aLostRequestLeavesNothing() throws {
        let wired = try Wired()
        _ = try wired.control("scenario", "{\"rules\":[{\"do\":\"lost_request\",\"times\":1}]}")
        #expect(try wired.order("alice", "POST", Self.buy) == nil)
        #expect(try wired.order("alice", "GET", Self.query)?.body.text("code") == "-2013")
    }

    @Test(arguments: [("timeout", false), ("timeout_after", true), ("busy", false), ("unavailable", false)])
    func refusalsTellTheTruthOrNot(name: String, isThere: Bool) throws {
        let wired = try Wired()
        _ = try wired.control("scenario", "{\"rules\":[{\"do\":\"\(name)\",\"times\":1}]}")
        let answer = try #require(try wired.order("alice", "POST", Self.buy))
        #expect(answer.status == (name.hasPrefix("timeout") ? 504 : 503))
        #expect(name.hasPrefix("timeout") ? answer.body.text("code") == "-1007" : true)
        #expect(try wired.order("alice", "GET", Self.query)?.status == (isThere ? 200 : 400))
    }

    @Test func lateAnswersComeLate() throws {
        let wired = try Wired()
        _ = try wired.control("scenario", "{\"rules\":[{\"do\":\"delay_reply\",\"ms\":30,\"times\":1},{\"do\":\"hang_after\",\"times\":1}]}")
        #expect(try wired.order("alice", "POST", Self.buy)?.status == 200)
        let client = HTTPClient(wired.endpoint(.spot, "/"), on: wired.reactor)
        let (query, key) = try wired.signed("alice", Self.query)
        var answered = false
        client.send(HTTPRequest("DELETE", "/api/v3/order?\(query)", headers: [("X-MBX-APIKEY", key)], timeout: 150_000_000)) { result in
            answered = true
            if case .failure(.inDoubt) = result {} else { Issue.record("it was answered: \(result)") }
        }
        let reached11 = wired.reactor.run { answered }
        #expect(reached11)
        #expect(try wired.order("alice", "GET", Self.query)?.body.text("status") == "CANCELED")
    }

    @Test func rulesStrikeAsOftenAsTheySay() throws {
        func strikes(_ text: String, _ calls: Int) throws -> [Int] {
            var faults = Faults(seed: 3, start: 0)
            faults.rules = [try FaultRule(try JSONValue(parsing: text))]
            return (0..<calls).filter { _ in faults.next("POST /api/v3/order", product: .spot, isOrder: true, channel: .rest, time: 5_000) != nil }
        }
        #expect(try strikes("{\"do\":\"busy\",\"every\":3,\"skip\":1,\"times\":2}", 20) == [3, 6])
        #expect(try strikes("{\"do\":\"busy\",\"from\":\"6s\"}", 5) == [])
        #expect(try strikes("{\"do\":\"busy\",\"to\":\"5s\"}", 5) == [])
        #expect(try strikes("{\"do\":\"busy\",\"channel\":\"socket\"}", 5) == [])
        #expect(try strikes("{\"do\":\"busy\",\"product\":\"futures\"}", 5) == [])
        #expect(try strikes("{\"do\":\"busy\",\"calls\":[\"GET /api/v3/order\"]}", 5) == [])
        let some = try strikes("{\"do\":\"busy\",\"chance\":\"0.2\"}", 1_000)
        #expect((150...250).contains(some.count))
        #expect(try strikes("{\"do\":\"busy\",\"chance\":\"0.2\"}", 1_000) == some)
    }

    @Test func whatAScenarioCantSay() throws {
        let wired = try Wired()
        func words(_ text: String) throws -> String { try wired.control("scenario", text).body.asText ?? "" }
        #expect(try words("[]") == "scenario: must be an object\n")
        #expect(try words("{\"rule\":[]}") == "scenario: unknown member \"rule\"\n")
        #expect(try words("{\"rules\":[{\"do\":\"explode\"}]}").contains("there is no \"explode\"; there are: lost_request"))
        #expect(try words("{\"rules\":[{\"do\":\"busy\",\"chance\":\"2\"}]}").contains("\"chance\" must be from 0 to 1"))
        #expect(try words("{\"events\":[{\"do\":\"drop\"}]}").contains("an event needs \"at\""))
        #expect(try words("{\"events\":[{\"at\":\"1 week\",\"do\":\"drop\"}]}").contains("must be a duration like"))
        #expect(try words("{\"settings\":[{\"do\":\"move\",\"symbol\":\"NOPE\",\"percent\":\"1\"}]}").contains("there is no symbol \"NOPE\""))
        #expect(try words("{\"settings\":[{\"do\":\"drop\",\"percent\":\"1\"}]}").contains("\"drop\" has no member \"percent\""))
        #expect(try words("{").contains("scenario: "))
        #expect(try wired.http("GET", "/control/nothing")?.status == 404)
    }

    @Test func ordersAndEventsOverTheWebSocketApi() throws {
        let wired = try Wired()
        let line = wired.line("/ws-api/v3")
        let subscribed = try line.ask(try wired.request("alice", "u1", "userDataStream.subscribe.signature", []))
        #expect(subscribed.find("result")?.text("subscriptionId") == "0" && subscribed.text("status") == "200")
        #expect(try line.ask(try wired.request("alice", "u2", "userDataStream.subscribe.signature", [])).find("error")?.text("code") == "-2035")
        let placed = try line.ask(
            try wired.request("alice", "o1", "order.place", [("symbol", "BTCUSDT"), ("side", "BUY"), ("type", "MARKET"), ("quantity", "0.01"), ("newClientOrderId", "ws-1")]))
        #expect(placed.text("id") == "o1" && placed.find("result")?.text("status") == "FILLED")
        #expect(placed.find("rateLimits")?.asList?.map { $0.text("rateLimitType") } == ["ORDERS", "ORDERS", "REQUEST_WEIGHT"])
        var reports: [JSONValue] = []
        for _ in 0..<2 { reports.append(try line.next { $0.find("event")?.text("e") == "executionReport" }) }
        let told = reports.map { report in [report.text("subscriptionId"), report.find("event")?.text("x") ?? "", report.find("event")?.text("c") ?? ""] }
        #expect(told == [["0", "NEW", "ws-1"], ["0", "TRADE", "ws-1"]])
        let position = try line.next { $0.find("event")?.text("e") == "outboundAccountPosition" }
        let assets = (position.find("event")?.find("B")?.asList ?? []).map { $0.text("a") }
        #expect(assets == ["BTC", "USDT"])
        // A quiet one: no limits, a number as id, an order id as text.
        let quiet = try line.ask("{\"id\":7,\"method\":\"v3/ping\",\"params\":{\"returnRateLimits\":false}}")
        #expect(quiet.find("id")?.asNumber?.int64 == 7 && quiet.find("rateLimits") == nil)
        let asked = try line.ask(try wired.request("alice", "q", "order.status", [("symbol", "BTCUSDT"), ("orderId", JSONValue(placed.find("result")?.text("orderId") ?? ""))]))
        #expect(asked.find("result")?.text("status") == "FILLED")
        #expect(try line.ask("{\"id\":\"x\",\"method\":\"order.fly\"}").text("status") == "404")
        #expect(try line.ask("nonsense").find("error")?.text("code") == "-1135")
        #expect(try line.ask(try wired.request("alice", "l", "session.logon", [])).find("error")?.text("code") == "-4056")
        _ = try line.ask(try wired.request("alice", "end", "userDataStream.unsubscribe", []))
        let found1 = try line.next { $0.find("event") != nil }
        #expect(found1.find("event")?.text("e") == "eventStreamTerminated")
    }

    @Test func aSessionNeedsNoFurtherSignature() throws {
        let wired = try Wired()
        let line = wired.line("/ws-api/v3?returnRateLimits=false")
        let logon = try line.ask(try wired.request("carol", "1", "session.logon", []))
        #expect(logon.find("result")?.text("apiKey") == wired.exchange.accounts[2].apiKey && logon.find("rateLimits") == nil)
        #expect(try line.ask("{\"id\":\"2\",\"method\":\"userDataStream.subscribe\"}").find("result")?.text("subscriptionId") == "0")
        let placed = try line.ask("{\"id\":\"3\",\"method\":\"order.place\",\"params\":{\"symbol\":\"BTCUSDT\",\"side\":\"SELL\",\"type\":\"MARKET\",\"quantity\":0.01,\"timestamp\":\(wired.exchange.now)}}")
        #expect(placed.find("result")?.text("status") == "FILLED")
        _ = try line.ask("{\"id\":\"4\",\"method\":\"session.logout\"}")
        #expect(try line.ask("{\"id\":\"5\",\"method\":\"account.status\",\"params\":{\"timestamp\":\(wired.exchange.now)}}").find("error")?.text("code") == "-2014")
    }

    @Test func faultsReachTheWebSocketApiToo() throws {
        let wired = try Wired()
        _ = try wired.control("scenario", "{\"rules\":[{\"do\":\"timeout_after\",\"times\":1},{\"do\":\"lost_reply\",\"times\":1}]}")
        let line = wired.line("/ws-api/v3")
        let params: [(String, JSONValue)] = [("symbol", "BTCUSDT"), ("side", "BUY"), ("type", "LIMIT"), ("timeInForce", "GTC"), ("quantity", "0.01"), ("price", "50000")]
        let answer = try line.ask(try wired.request("alice", "1", "order.place", params + [("newClientOrderId", "one")]))
        #expect(answer.text("status") == "504" && answer.find("error")?.text("code") == "-1007")
        line.socket.send(text: try wired.request("alice", "2", "order.place", params + [("newClientOrderId", "two")]))
        let reached12 = wired.reactor.run { line.ending != nil }
        #expect(reached12)
        #expect(try wired.order("alice", "GET", ["symbol": "BTCUSDT"], "/api/v3/openOrders")?.body.count == 2)
    }

    @Test func streamsAreSubscribedByMessage() throws {
        let wired = try Wired()
        let line = wired.line("/stream-spot/ws/0")
        #expect(try line.ask("{\"method\":\"SUBSCRIBE\",\"params\":[\"btcusdt@bookTicker\",\"btcusdt@wrong\"],\"id\":\"a\"}").find("result")?.isNull == true)
        let found2 = try line.next { $0.find("b") != nil }
        #expect(found2.text("s") == "BTCUSDT")
        #expect(try line.ask("{\"method\":\"LIST_SUBSCRIPTIONS\",\"id\":3}").find("result")?.count == 2)
        #expect(try line.ask("{\"method\":\"GET_PROPERTY\",\"params\":[\"combined\"],\"id\":4}").find("result")?.asBool == false)
        wired.server.allowMessages(100)
        _ = try line.ask("{\"method\":\"SET_PROPERTY\",\"params\":[\"combined\",true],\"id\":5}")
        wired.server.advance(to: wired.exchange.now + 500)
        let found3 = try line.next { $0.find("stream") != nil }
        #expect(found3.text("stream") == "btcusdt@bookTicker")
        #expect(try line.ask("{\"method\":\"FLY\",\"id\":6}").text("code") == "2")
        #expect(try line.ask("{").text("code") == "3")
        let combined = wired.line("/stream?streams=btcusdt@trade/btcusdt@kline_1m")
        wired.server.advance(to: wired.exchange.now + 3_000)
        let found4 = try combined.next { $0.text("stream") == "btcusdt@kline_1m" }
        #expect(found4.find("data")?.find("k")?.text("i") == "1m")
    }

    @Test func tooManyMessagesEndAConnection() throws {
        let wired = try Wired()
        let line = wired.line("/ws")
        for id in 0..<30 { line.socket.send(text: "{\"method\":\"LIST_SUBSCRIPTIONS\",\"id\":\(id)}") }
        let reached13 = wired.reactor.run { line.ending != nil }
        #expect(reached13)
        // What was still on its way may turn the farewell into a reset.
        if case .closed(let code, let reason)? = line.ending { #expect(code == 1008 && reason == "Too many requests") }
        #expect(line.got.count <= 10)
    }

    @Test func futuresEventsComeByListenKey() throws {
        let wired = try Wired()
        let (_, key) = try wired.signed("alice", [:])
        let made = try #require(try wired.http("POST", "/fapi/v1/listenKey", key: key, product: .futures)).body.text("listenKey")
        #expect(try wired.http("POST", "/fapi/v1/listenKey", key: key, product: .futures)?.body.text("listenKey") == made)
        let line = wired.line("/private/ws?listenKey=\(made)", .futures)
        let wrong = wired.line("/market/ws/btcusdt@bookTicker", .futures)
        try wired.order("alice", "POST", ["symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"], "/fapi/v1/order")
        let found5 = try line.next { $0.text("e") == "ORDER_TRADE_UPDATE" && $0.find("o")?.text("x") == "TRADE" }
        #expect(found5.find("o")?.text("X") == "FILLED")
        let found6 = try line.next { $0.text("e") == "ACCOUNT_UPDATE" }
        #expect(found6.find("a")?.find("P")?.item(0).text("pa") == "0.010")
        wired.server.advance(to: wired.exchange.now + 2_000)
        #expect(wrong.got.isEmpty)
        #expect(try wired.http("PUT", "/fapi/v1/listenKey", key: key, product: .futures)?.status == 200)
        wired.exchange.leap(to: wired.exchange.now + 59 * 60_000, steps: 10)
        wired.server.advance(to: wired.exchange.now)
        #expect(!line.got.contains { $0.text("e") == "listenKeyExpired" })
        wired.server.advance(to: wired.exchange.now + 61_000)
        let found7 = try line.next { $0.text("e") == "listenKeyExpired" }
        #expect(found7.text("listenKey") == made)
        #expect(try wired.http("PUT", "/fapi/v1/listenKey", key: key, product: .futures)?.body.text("code") == "-1125")
    }

    @Test func aShutdownIsSaidBeforeItComes() throws {
        let wired = try Wired()
        let line = wired.line("/ws/btcusdt@trade")
        let api = wired.line("/ws-api/v3")
        _ = try wired.control("do", "{\"do\":\"shutdown\",\"ms\":50}")
        let found8 = try line.next { $0.text("e") == "serverShutdown" }
        #expect(found8.find("E") != nil)
        let found9 = try api.next { $0.find("event") != nil }
        #expect(found9.find("event")?.text("e") == "serverShutdown")
        let reached14 = wired.reactor.run { line.ending != nil && api.ending != nil }
        #expect(reached14)
        let again = wired.line("/ws/btcusdt@bookTicker")
        let found10 = try again.next()
        #expect(found10.text("s") == "BTCUSDT")
    }

    @Test func timeMovesOnlyWhenItIsToldAndEventsHappenOnTheWay() throws {
        let wired = try Wired()
        let start = wired.exchange.now
        let line = wired.line("/ws/btcusdt@trade")
        _ = try wired.control("scenario", "{\"events\":[{\"at\":\"2s\",\"do\":\"silent\",\"for\":\"10s\"},{\"at\":\"3s\",\"do\":\"deposit\",\"account\":\"bob\",\"asset\":\"USDT\",\"amount\":\"12.5\"}]}")
        #expect(try wired.control("time", "{\"advance\":\"30s\"}").body.text("time") == "\(start + 30_000)")
        #expect(wired.exchange.accounts[1].free("USDT") == Int128(fixed("100012.5")))
        _ = wired.reactor.run(limit: 50_000_000) { false }
        let times = line.got.compactMap { $0.find("T")?.asNumber?.int64 }
        #expect(times.contains { $0 <= start + 2_000 } && times.contains { $0 >= start + 12_000 })
        // What was traded in the silence came in one piece after it; no id is missing.
        let ids = line.got.compactMap { $0.find("t")?.asNumber?.int64 }
        #expect(!times.contains { $0 > start + 2_000 && $0 < start + 12_000 } || zip(ids, ids.dropFirst()).allSatisfy { $1 == $0 + 1 })
        #expect(try wired.control("time", "{\"to\":1}").status == 400)
        let books = try #require(try wired.http("GET", "/control/books"))
        #expect(books.body.find("spot")?.find("accounts")?.item(1).find("balances")?.find("USDT")?.text("free") == "100012.50000000")
    }

    @Test func theOldUserStreamIsGone() throws {
        let wired = try Wired()
        #expect(try wired.http("POST", "/api/v3/userDataStream")?.status == 410)
        #expect(try wired.http("GET", "/api/v3/time")?.head["x-mbx-used-weight-1m"] != nil)
    }

    @Test(arguments: ["fill", "partial", "open", "race", "cancel-one", "lost-reply", "late", "reject", "lost-order", "stale-user", "bad-key", "clock-skew", "closed"])
    func checkScenariosBehave(name: String) throws {
        let wired = try Wired()
        let desk = CheckDesk(wired.server)
        wired.server.check = desk
        #expect(desk.play(name))
        func counted(_ what: String) -> Int { desk.counts().first { $0.name == what }?.count ?? -1 }
        func status() throws -> String { try wired.order("alice", "GET", Self.query)?.body.text("status") ?? "no answer" }
        if name == "late" {
            // Nothing is said on any connection, so nothing may wait for an answer here.
            let client = HTTPClient(wired.endpoint(.spot, "/"), on: wired.reactor)
            let (query, key) = try wired.signed("alice", Self.buy)
            var answer: Int?
            client.send(HTTPRequest("POST", "/api/v3/order?\(query)", headers: [("X-MBX-APIKEY", key)])) { if case .success(let response) = $0 { answer = response.status } }
            let reached15 = wired.reactor.run { counted("placed") == 1 }
            #expect(reached15)
            #expect(answer == nil)
            desk.release()
            let reached16 = wired.reactor.run { answer == 200 }
            #expect(reached16)
            return #expect(try status() == "FILLED")
        }
        let placed = try wired.order("alice", "POST", Self.buy)
        switch name {
        case "fill": #expect(placed?.body.text("status") == "FILLED")
        case "partial": #expect(placed?.body.find("fills")?.count == 4 && placed?.body.text("status") == "FILLED")
        case "open":
            #expect(placed?.body.text("status") == "NEW" && counted("open") == 1)
            #expect(desk.rest(outside: 2) && counted("open") == 1)
            #expect(try wired.order("alice", "GET", ["symbol": "BTCUSDT"], "/api/v3/openOrders")?.body.count == 3)
        case "race":
            #expect(try wired.order("alice", "DELETE", Self.query)?.body.text("code") == "-2011")
            #expect(try status() == "FILLED")
        case "cancel-one":
            #expect(try wired.order("alice", "DELETE", Self.query)?.status == 200)
            try wired.order("alice", "POST", Self.buy)
            #expect(try wired.order("alice", "DELETE", Self.query)?.body.text("code") == "-2011")
            #expect(try status() == "NEW")
        case "lost-reply":
            #expect(placed == nil)
            #expect(try status() == "FILLED")
        case "lost-order":
            #expect(placed == nil && counted("placed") == 1)
            #expect(try status() == "absent")
            desk.release()
            #expect(try status() == "FILLED")
        case "stale-user":
            #expect(placed?.body.text("status") == "NEW")
            desk.release()
            #expect(try status() == "FILLED")
        case "bad-key": #expect(placed?.body.text("code") == "-2015")
        case "clock-skew": #expect(placed?.body.text("code") == "-1021")
        case "reject": #expect(placed?.status == 400 && desk.reason == "Account has insufficient balance for requested action.")
        default: #expect(placed?.body.text("msg") == "Market is closed." && desk.reason == "Market is closed.")
        }
        #expect(!desk.play("nothing-like-it"))
    }
}
