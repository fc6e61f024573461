import PluginKit

/// The control endpoint and the scenario: what goes wrong when, the exchange's clock, its own books. Not part of the exchange that is imitated.
final class ControlDesk {
    private unowned let server: ExchangeServer
    private var timed: [(at: Int64, action: JSONValue)] = []
    private let start: Int64
    /// Writes the state file now; nil where there is none.
    var save: (() throws -> Void)?

    init(_ server: ExchangeServer) {
        self.server = server
        start = server.exchange.now
    }

    private var exchange: Exchange { server.exchange }

    func nextDue() -> Int64? { timed.first?.at }

    func due(_ now: Int64) {
        while let first = timed.first, first.at <= now {
            timed.removeFirst()
            // It was checked when it was taken in.
            try? perform(first.action)
        }
    }

    private func schedule(_ at: Int64, _ action: JSONValue) {
        let place = timed.firstIndex { $0.at > at } ?? timed.endIndex
        timed.insert((at, action), at: place)
    }

    // MARK: scenarios

    /// {"seed": 7, "rules": [...], "events": [...], "settings": [...]}
    func load(_ bytes: [UInt8]) throws(ScenarioError) {
        let root: JSONValue
        do throws(JSONError) { root = try JSONValue(parsing: bytes) } catch { throw .form("\(error)") }
        guard let object = root.asObject else { throw .form("must be an object") }
        for name in object.names where !["seed", "rules", "events", "settings"].contains(name) { throw .form("unknown member \"\(name)\"") }
        var faults = Faults(seed: root.find("seed")?.asNumber?.uint64 ?? 1, start: exchange.now)
        for rule in root.find("rules")?.asList ?? [] { faults.rules.append(try FaultRule(rule)) }
        var events: [(Int64, JSONValue)] = []
        for event in root.find("events")?.asList ?? [] {
            guard let at = event.find("at") else { throw .form("an event needs \"at\"") }
            try check(event)
            events.append((exchange.now + (try milliseconds(at, "at")), event))
        }
        let settings = root.find("settings")?.asList ?? []
        for setting in settings { try check(setting) }
        server.faults = faults
        timed = []
        for (at, event) in events { schedule(at, event) }
        for setting in settings { try perform(setting) }
    }

    static let actions: [String: [String]] = [
        "silent": ["on"], "stale": ["on"], "drop": [], "shutdown": ["ms"], "skew": ["ms"], "move": ["symbol", "percent", "product"], "halt": ["symbol", "product", "on"],
        "house": ["symbol", "product", "on"], "liquidity": ["share"], "funding": ["symbol", "rate"], "expire_listen_keys": [], "ban": [], "limits": ["product", "weight", "orders"],
        "lose_events": ["on"], "double_events": ["on"], "delay_events": ["ms"], "events_first": ["on"], "check_time": ["on"], "refuse_unknown": ["on"],
        "deposit": ["account", "asset", "amount", "product"], "messages": ["per_second"], "fees": ["account", "maker", "taker", "product"], "order_prices": ["on"],
    ]
    private static let toggles: Set<String> = ["silent", "stale", "halt", "house", "lose_events", "double_events", "events_first", "check_time", "refuse_unknown", "order_prices"]

    /// Everything that can be wrong with an action, before it is kept for later.
    private func check(_ action: JSONValue) throws(ScenarioError) {
        guard let object = action.asObject, let name = object["do"]?.asText else { throw .step("an action needs \"do\"") }
        guard let members = Self.actions[name] else {
            throw .step("there is no \"\(name)\"; there are: \(Self.actions.keys.sorted().joined(separator: ", "))")
        }
        for member in object.names where !(["do", "at", "for"] + members).contains(member) {
            throw .step("\"\(name)\" has no member \"\(member)\"; it may have: \((["at", "for"] + members).joined(separator: ", "))")
        }
        if let found = object["for"] { _ = try milliseconds(found, "for") }
        if let found = object["ms"] { _ = try signedMilliseconds(found) }
        for member in ["percent", "share", "amount", "rate", "maker", "taker"] {
            guard let found = object[member] else { continue }
            guard (try? JSONField(found).fixed) != nil else { throw .step("\"\(member)\" must be a decimal number, not \(found)") }
        }
        if let text = object["product"]?.asText, Product(rawValue: text) == nil { throw .step("\"product\" must be spot or futures") }
        if let text = object["symbol"]?.asText, exchange.spot.listings[text] == nil, exchange.futures.listings[text] == nil { throw .step("there is no symbol \"\(text)\"") }
        if let text = object["account"]?.asText, !exchange.accounts.contains(where: { $0.name == text }) { throw .step("there is no account \"\(text)\"") }
    }

    private func signedMilliseconds(_ value: JSONValue) throws(ScenarioError) -> Int64 {
        if let number = value.asNumber?.int64, (-100_000_000...100_000_000).contains(number) { return number }
        return try milliseconds(value, "ms")
    }

    func perform(_ action: JSONValue) throws(ScenarioError) {
        try check(action)
        let name = action.find("do")?.asText ?? ""
        let on = action.find("on")?.asBool ?? true
        if let span = action.find("for") {
            var after = action
            after.set("for", nil)
            after.set("at", nil)
            if Self.toggles.contains(name) { after.set("on", JSONValue(!on)) }
            if name == "skew" || name == "delay_events" { after.set("ms", 0) }
            if name == "move", let share = try? action["percent"].fixed.raw, share > -100 * one {
                // Back by what undoes it.
                after.set("percent", JSONValue(Fixed(raw: Int64(clamping: -Int128(share) * 100 * Int128(one) / (100 * Int128(one) + Int128(share))))))
            }
            if name == "liquidity" { after.set("share", "1") }
            schedule(exchange.now + (try milliseconds(span, "for")), after)
        }
        func number(_ member: String, _ standard: Int64) -> Int64 { (try? action[member].fixed.raw) ?? standard }
        func ms(_ standard: Int64) throws(ScenarioError) -> Int64 { try action.find("ms").map { (value: JSONValue) throws(ScenarioError) in try signedMilliseconds(value) } ?? standard }
        let product = action.find("product")?.asText.flatMap(Product.init)
        let symbol = action.find("symbol")?.asText
        func listings() -> [Listing] {
            var found: [Listing] = []
            if product != .futures { found += exchange.spot.names.compactMap { exchange.spot.listings[$0] } }
            if product != .spot { found += exchange.futures.names.compactMap { exchange.futures.listings[$0] } }
            return found.filter { symbol == nil || $0.rules.name == symbol }
        }
        let streams = [Product.spot, .futures].filter { product == nil || $0 == product }.map { server.streams($0) }
        switch name {
        case "silent": for stream in streams { stream.isSilent = on }
        case "stale": for stream in streams { stream.isStale = on }
        case "drop": server.dropConnections(announced: false)
        case "shutdown":
            server.dropConnections(announced: true)
            let wait = try ms(1_000)
            _ = server.reactor.after(wait * 1_000_000) { [weak server] in server?.dropConnections(announced: false) }
        case "skew": exchange.skew = try ms(0)
        case "move":
            for listing in listings() { listing.shift = max(one / 1_000, Int64(clamping: Int128(listing.shift) * Int128(100 * one + number("percent", 0)) / Int128(100 * one))) }
        case "halt": for listing in listings() { listing.status = on ? "HALT" : "TRADING" }
        case "house":
            for listing in listings() {
                listing.houseIsOpen = on
                if !on { for side in [Side.buy, .sell] { for price in listing.book.quoted(side) { listing.book.quote(side, price: price, quantity: 0) } } }
            }
        case "liquidity":
            exchange.spot.liquidity = max(1, number("share", one))
            exchange.futures.liquidity = max(1, number("share", one))
        case "funding": exchange.futures.setFunding(symbol, number("rate", 10_000))
        case "expire_listen_keys": server.expireListenKeys(all: true)
        case "ban":
            for target in [Product.spot, .futures] where product == nil || target == product { exchange.limits(target).ban(until: exchange.now + 120_000) }
        case "limits":
            for target in [Product.spot, .futures] where product == nil || target == product {
                if let weight = action.find("weight")?.asNumber?.int64 { exchange.limits(target).rules.weight = weight }
                if let orders = action.find("orders")?.asNumber?.int64 { exchange.limits(target).rules.orders[0].limit = orders }
            }
        case "lose_events": server.losesEvents = on
        case "double_events": server.doublesEvents = on
        case "delay_events": server.eventDelay = max(0, try ms(500))
        case "events_first": server.eventsFirst = on
        case "check_time": exchange.checksTime = on
        case "refuse_unknown": exchange.refusesUnknown = on
        case "order_prices": exchange.futures.tellsAverage = on
        case "messages": server.allowMessages(Int(clamping: action.find("per_second")?.asNumber?.int64 ?? 1_000_000))
        case "fees":
            for account in exchange.accounts where action.find("account")?.asText.map({ $0 == account.name }) ?? true {
                if product != .futures { (account.makerRate, account.takerRate) = (number("maker", account.makerRate), number("taker", account.takerRate)) }
                if product != .spot {
                    (account.futuresMakerRate, account.futuresTakerRate) = (number("maker", account.futuresMakerRate), number("taker", account.futuresTakerRate))
                }
            }
        case "deposit":
            guard let amount = try? action["amount"].amount.raw, amount.magnitude <= mostMoney.magnitude, let asset = action.find("asset")?.asText,
                let account = exchange.accounts.first(where: { $0.name == action.find("account")?.asText })
            else { throw .step("\"deposit\" needs account, asset and amount") }
            if product == .futures { exchange.futures.transfer(account, asset, amount) } else { exchange.spot.transfer(account, asset, amount) }
        default: break
        }
        server.flush()
    }

    // MARK: the endpoint

    func handle(_ request: HTTPServer.Request) {
        let path = String(request.path.dropFirst("/control/".count))
        do {
            let answer: Out
            switch (request.head.method, path) {
            case ("POST", "scenario"):
                try load(request.body)
                answer = ok
            case ("GET", "scenario"): answer = server.faults.described
            case ("POST", "do"):
                let value: JSONValue
                do throws(JSONError) { value = try JSONValue(parsing: request.body) } catch { throw ScenarioError.form("\(error)") }
                try perform(value)
                answer = ok
            case ("GET", "time"), ("POST", "time"): answer = try time(request)
            case ("GET", "books"): answer = Books.written(exchange)
            case ("GET", "accounts"): answer = accounts
            case ("POST", "save"):
                guard let save else { throw ScenarioError.form("there is no state file: start with --state FILE") }
                try save()
                answer = ok
            default:
                return request.connection.respond(404, body: Array("POST scenario, do, time, save; GET scenario, time, books, accounts\n".utf8), type: "text/plain")
            }
            request.connection.respond(200, body: answer.bytes)
        } catch {
            request.connection.respond(400, body: Array("\(error)\n".utf8), type: "text/plain")
        }
    }

    private var ok: Out {
        Out.object { out in
            out.bool("ok", true)
            out.int("time", exchange.now)
        }
    }

    /// {"advance": "1h"} or {"to": 1795000000000}
    private func time(_ request: HTTPServer.Request) throws(ScenarioError) -> Out {
        if request.head.method == "POST" {
            guard server.speed == 0 else { throw .form("time runs by itself here; start with --speed 0 to move it") }
            let value: JSONValue
            do throws(JSONError) { value = try JSONValue(parsing: request.body) } catch { throw .form("\(error)") }
            var target = exchange.now
            if let span = value.find("advance") { target += try milliseconds(span, "advance") }
            if let at = value.find("to")?.asNumber?.int64 { target = at }
            guard target >= exchange.now, target - exchange.now <= 400 * Interval.day else { throw .form("time goes forward only, and at most 400 days at once") }
            server.advance(to: target)
        }
        return Out.object { out in
            out.int("time", exchange.now)
            out.int("speed", server.speed)
        }
    }

    var accounts: Out {
        Out.list(exchange.accounts) { account in
            Out.object { out in
                out.text("name", account.name)
                out.text("apiKey", account.apiKey)
                out.text("secret", account.secret)
            }
        }
    }
}
