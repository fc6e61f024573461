import PluginKit
import Testing

@testable import BinanceExchange

/// PluginKit has one too.
typealias Side = BinanceExchange.Side

/// An exchange without sockets, whose time stands still until a test moves it.
final class Bench {
    let exchange: Exchange
    var events: [(product: Product, account: Int, event: JSONValue)] = []

    static let start: Int64 = 1_795_000_000_000

    init(seed: UInt64 = 1, houseIsOpen: Bool = true, step: Int64 = 250, symbols: [String] = ["BTCUSDT", "ETHUSDT"]) throws {
        var settings = ExchangeSettings()
        settings.seed = seed
        settings.start = Self.start
        settings.step = step
        settings.symbols = symbols
        settings.past = Past(minutes: 1, days: 2)
        exchange = try Exchange(settings)
        listen()
        if !houseIsOpen { closeHouse() }
    }

    init(restored: Exchange) throws {
        exchange = restored
        listen()
    }

    private func listen() {
        exchange.spot.emit = { [unowned self] account, event in self.events.append((.spot, account, (try? JSONValue(parsing: event.bytes)) ?? .null)) }
        exchange.futures.emit = { [unowned self] account, event in self.events.append((.futures, account, (try? JSONValue(parsing: event.bytes)) ?? .null)) }
    }

    /// From now on the books are the users' alone.
    func closeHouse() {
        for listing in Array(exchange.spot.listings.values) + Array(exchange.futures.listings.values) {
            listing.houseIsOpen = false
            for side in [Side.buy, .sell] { for price in listing.book.quoted(side) { listing.book.quote(side, price: price, quantity: 0) } }
        }
    }

    func advance(_ milliseconds: Int64) { exchange.advance(to: exchange.now + milliseconds) }

    func account(_ name: String) throws -> Account { try #require(exchange.accounts.first { $0.name == name }) }

    /// A signed call of one of the accounts, as a client would send it.
    func call(_ name: String, _ method: String, _ path: String, _ params: KeyValuePairs<String, String> = [:], window: Int64 = 5_000) throws -> (status: Int, body: JSONValue) {
        let account = try account(name)
        var text = params.map { "\($0.key)=\(Self.encoded($0.value))" }
        text += ["recvWindow=\(window)", "timestamp=\(exchange.now)"]
        let query = text.joined(separator: "&")
        let signature: String
        switch account.credential {
        case .hmac(let key): signature = Hex.encode(try key.sign(Array(query.utf8)))
        case .key(let key): signature = Self.encoded(Base64.encode(try key.sign(Array(query.utf8))))
        }
        let isBody = method == "POST" || method == "PUT"
        let whole = query + "&signature=" + signature
        let reply = exchange.rest(method, path, query: isBody ? "" : whole, body: isBody ? whole : "", key: account.apiKey)
        return (reply.status, try JSONValue(parsing: reply.body.bytes))
    }

    /// The answer of a call that must work.
    @discardableResult
    func done(_ name: String, _ method: String, _ path: String, _ params: KeyValuePairs<String, String> = [:], _ place: SourceLocation = #_sourceLocation) throws -> JSONValue {
        let (status, body) = try call(name, method, path, params)
        #expect(status == 200, "\(method) \(path): \(body)", sourceLocation: place)
        return body
    }

    /// Code and text of a call that must be refused.
    func refused(_ name: String, _ method: String, _ path: String, _ params: KeyValuePairs<String, String> = [:], _ place: SourceLocation = #_sourceLocation) throws -> String {
        let (status, body) = try call(name, method, path, params)
        #expect(status >= 400, "\(method) \(path) worked: \(body)", sourceLocation: place)
        return "\(body.find("code")?.asNumber?.text ?? "?") \(body.find("msg")?.asText ?? "?")"
    }

    func open(_ path: String, _ query: String = "") throws -> JSONValue {
        try JSONValue(parsing: exchange.rest("GET", path, query: query, body: "", key: nil).body.bytes)
    }

    static func encoded(_ text: String) -> String {
        text.utf8.map { byte in
            let isPlain = byte >= 48 && byte <= 57 || byte >= 65 && byte <= 90 || byte >= 97 && byte <= 122 || "-_.~".utf8.contains(byte)
            return isPlain ? String(UnicodeScalar(byte)) : "%" + Hex.encode([byte]).uppercased()
        }.joined()
    }

    func free(_ name: String, _ asset: String) throws -> String { decimalText(try account(name).spot[asset]?.free ?? 0) }
    func locked(_ name: String, _ asset: String) throws -> String { decimalText(try account(name).spot[asset]?.locked ?? 0) }
    func wallet(_ name: String) throws -> String { decimalText(try account(name).futures.wallet["USDT"] ?? 0) }

    /// Kinds of the events of an account, in order: "NEW", "TRADE", "outboundAccountPosition".
    func story(_ name: String, _ product: Product = .spot) throws -> [String] {
        let number = try account(name).number
        return events.filter { $0.account == number && $0.product == product }.map { entry in
            if let execution = entry.event.find("x")?.asText { return "\(execution) \(entry.event.find("X")?.asText ?? "")" }
            if let order = entry.event.find("o"), let execution = order.find("x")?.asText { return "\(execution) \(order.find("X")?.asText ?? "")" }
            if entry.event.find("e")?.asText == "ALGO_UPDATE" { return "ALGO \(entry.event.find("o")?.find("X")?.asText ?? "")" }
            return entry.event.find("e")?.asText ?? "?"
        }
    }
}

extension JSONValue {
    func text(_ name: String) -> String { find(name).map { $0.asText ?? $0.text(.compact) } ?? "absent" }
    var count: Int { asList?.count ?? -1 }
    func item(_ place: Int) -> JSONValue { asList.flatMap { $0.indices.contains(place) ? $0[place] : nil } ?? .null }
}
