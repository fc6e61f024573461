import PluginKit

/// One market connection of a feed scenario: what it sends instead of, or between, the market's news.
final class CheckFeed {
    private let kind: CheckScenario.Feed
    private unowned let socket: MarketSocket
    private unowned let server: ExchangeServer
    private var timer: UInt64?
    private var sent = 0
    private var waiting: [UInt8] = []
    private var number: Int64 = 0
    private var began: Int64 = 0

    init(_ kind: CheckScenario.Feed, _ socket: MarketSocket, _ server: ExchangeServer) {
        self.kind = kind
        self.socket = socket
        self.server = server
        restart()
    }

    deinit { stop() }

    func stop() {
        if let timer { server.reactor.cancelTimer(timer) }
        timer = nil
    }

    private func after(_ milliseconds: Int64, _ work: @escaping (CheckFeed) -> Void) {
        stop()
        timer = server.reactor.after(milliseconds * 1_000_000) { [weak self] in
            guard let self, self.socket.peer.isOpen else { return }
            self.timer = nil
            work(self)
        }
    }

    /// From the beginning, after another subscription.
    func restart() {
        number = 0
        began = server.reactor.now()
        switch kind {
        case .session: play([Bench.session])
        case .clockChange: play([Bench.leapSecond, Bench.summerTime])
        case .decimals: after(20) { $0.tellDecimals() }
        case .flood: after(5) { $0.pour() }
        case .slow: after(10) { $0.drip() }
        case .gap, .garbage, .huge: break
        }
    }

    /// The market's own news on this connection.
    func deliver(_ stream: String, _ payload: Out) {
        sent += 1
        switch kind {
        case .session, .clockChange, .decimals: return
        case .slow:
            if waiting.count < 65_536 { waiting += webSocketFrame(.text, socket.wrapped(stream, payload), mask: nil) }
        case .garbage:
            socket.send(stream, payload)
            guard sent % 5 == 0 else { return }
            switch sent / 5 % 6 {
            case 0: socket.peer.send(text: "{\"stream\":\"\(stream)\",\"data\":{\"e\":")
            case 1: socket.peer.send(text: "[1,2,")
            case 2: socket.deliverRaw(stream, "{\"e\":\"depthUpdate\",\"s\":7,\"U\":\"x\",\"u\":[],\"b\":{},\"a\":null}")
            case 3: socket.peer.send(binary: [0, 1, 2, 250, 251])
            case 4: socket.deliverRaw("nobody@nothing", "{\"e\":\"nothing\",\"s\":\"NOBODY\"}")
            default: socket.deliverRaw(stream, "{\"e\":\"trade\",\"s\":\"BTCUSDT\",\"p\":\"ninety\",\"q\":-1,\"T\":\"now\"}")
            }
        case .huge:
            guard sent <= 4 else { return }
            socket.send(stream, payload)
            // A text frame of 64 MiB is announced, and begun.
            if sent == 4 { socket.peer.send(raw: [0x81, 127, 0, 0, 0, 0, 4, 0, 0, 0] + [UInt8](repeating: UInt8(ascii: "x"), count: 4_096)) }
        case .gap, .flood: socket.send(stream, payload)
        }
    }

    private func drip() {
        if let byte = waiting.first {
            waiting.removeFirst()
            socket.peer.send(raw: [byte])
        }
        after(10) { $0.drip() }
    }

    // MARK: sessions

    /// What a finite session is made with: an exchange of its own, always the same.
    private enum Bench {
        static let session: (start: Int64, milliseconds: Int64) = (1_795_000_000_000, 6_000)
        static let leapSecond: (start: Int64, milliseconds: Int64) = (1_483_228_798_000, 4_000)
        static let summerTime: (start: Int64, milliseconds: Int64) = (1_490_489_998_000, 4_000)
    }

    private final class Collector: StreamReader {
        var got: [(stream: String, payload: Out)] = []
        func deliver(_ stream: String, _ payload: Out) { got.append((stream, payload)) }
    }

    /// Sends the sessions within a second and a half; they are made once for each set of streams.
    private func play(_ spans: [(start: Int64, milliseconds: Int64)]) {
        let key = "\(socket.product.rawValue) \(socket.group.rawValue) \(spans.map(\.start)) \(socket.streamNames)"
        let made = server.check?.sessions[key] ?? session(spans)
        server.check?.sessions[key] = made
        send(made[...], most: max(1, made.count / 75 + 1))
    }

    private func session(_ spans: [(start: Int64, milliseconds: Int64)]) -> [(stream: String, payload: Out)] {
        let collector = Collector()
        let owners = Set(socket.streamNames.map { $0.prefix { $0 != "@" && $0 != "_" }.uppercased() })
        for span in spans {
            var settings = server.exchange.settings
            (settings.seed, settings.start, settings.step, settings.past) = (7, span.start, 100, Past(minutes: 1, days: 1))
            settings.symbols = owners.contains { $0.hasPrefix("!") } ? nil : Array(owners)
            guard let exchange = try? Exchange(settings) else { return [] }
            let futures = exchange.futures
            let streams = socket.product == .spot
                ? Streams(.spot, listings: exchange.spot.listings, symbols: exchange.spot.names)
                : Streams(.futures, listings: futures.listings, symbols: futures.names)
            streams.mark = { symbol, now in futures.markEvent(symbol, now) }
            exchange.changed = { streams.pump(exchange.now) }
            for name in socket.streamNames { streams.subscribe(collector, name, group: socket.group, now: exchange.now) }
            exchange.advance(to: span.start + span.milliseconds)
        }
        return collector.got
    }

    private func send(_ messages: ArraySlice<(stream: String, payload: Out)>, most: Int) {
        for (stream, payload) in messages.prefix(most) { socket.send(stream, payload) }
        let rest = messages.dropFirst(most)
        if !rest.isEmpty { after(20) { $0.send(rest, most: most) } }
    }

    // MARK: made-up news

    private func each(_ write: (_ stream: String, _ symbol: String, _ kind: String) -> Void) {
        for name in socket.streamNames {
            let parts = name.split(separator: "@")
            guard parts.count >= 2 else { continue }
            write(name, parts[0].uppercased(), String(parts[1]))
        }
    }

    /// Prices with no decimals, one, two ... eighteen, again and again.
    private func tellDecimals() {
        number += 1
        let digits = Int((number - 1) % 19)
        let part = digits == 0 ? "" : "." + "123456789012345678".prefix(digits)
        let price = "\(100 + digits)\(part)"
        let ask = "\(1_100 + digits)\(part)"
        let now = server.exchange.now
        let id = 5_000_000 + number
        each { stream, symbol, kind in
            switch kind {
            case "trade": socket.deliverRaw(stream, "{\"e\":\"trade\",\"E\":\(now),\"s\":\"\(symbol)\",\"t\":\(id),\"p\":\"\(price)\",\"q\":\"1\",\"T\":\(now),\"m\":false,\"M\":true}")
            case "aggTrade":
                socket.deliverRaw(stream, "{\"e\":\"aggTrade\",\"E\":\(now),\"s\":\"\(symbol)\",\"a\":\(id),\"p\":\"\(price)\",\"q\":\"1\",\"f\":\(id),\"l\":\(id),\"T\":\(now),\"m\":false,\"M\":true}")
            case "bookTicker":
                let head = socket.product == .futures ? "\"e\":\"bookTicker\",\"E\":\(now),\"T\":\(now)," : ""
                socket.deliverRaw(stream, "{\(head)\"u\":\(id),\"s\":\"\(symbol)\",\"b\":\"\(price)\",\"B\":\"1\",\"a\":\"\(ask)\",\"A\":\"1\"}")
            default: break
            }
        }
        after(20) { $0.tellDecimals() }
    }

    /// As many trades and quotes as the connection takes, for two seconds.
    private func pour() {
        let now = server.exchange.now
        var bytes: [UInt8] = []
        each { stream, symbol, kind in
            guard ["trade", "aggTrade", "bookTicker"].contains(kind) else { return }
            for _ in 0..<150 {
                number += 1
                let id = 6_000_000 + number
                let text: String
                switch kind {
                case "trade": text = "{\"e\":\"trade\",\"E\":\(now),\"s\":\"\(symbol)\",\"t\":\(id),\"p\":\"90000.00\",\"q\":\"0.001\",\"T\":\(now),\"m\":false,\"M\":true}"
                case "aggTrade": text = "{\"e\":\"aggTrade\",\"E\":\(now),\"s\":\"\(symbol)\",\"a\":\(id),\"p\":\"90000.00\",\"q\":\"0.001\",\"f\":\(id),\"l\":\(id),\"T\":\(now),\"m\":false,\"M\":true}"
                default: text = "{\"u\":\(id),\"s\":\"\(symbol)\",\"b\":\"90000.00\",\"B\":\"1\",\"a\":\"90000.01\",\"A\":\"1\"}"
                }
                bytes += webSocketFrame(.text, socket.wrapped(stream, Out.raw(text)), mask: nil)
            }
        }
        socket.peer.send(raw: bytes)
        if server.reactor.now() - began < 2_000_000_000 { after(2) { $0.pour() } }
    }
}
