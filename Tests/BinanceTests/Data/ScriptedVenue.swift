import PluginAPI
import PluginKit

@testable import BinanceConnector

func symbolKey(_ text: String) -> SymbolKey {
    guard let key = SymbolKey(text) else { preconditionFailure("\(text) is no symbol") }
    return key
}

/// A loop whose time moves when the test says so.
final class VirtualReactor: Reactor {
    private(set) var time: Int64
    private var timers: [(at: Int64, token: UInt64, handler: () -> Void)] = []
    private var nextToken: UInt64 = 1

    init(_ time: Int64 = 1_795_000_000_000_000_000) { self.time = time }

    func now() -> Int64 { time }
    func watch(_ descriptor: Int32, _ interest: Readiness, _ handler: @escaping (Readiness) -> Void) {}
    func forget(_ descriptor: Int32) {}

    func after(_ delay: Int64, _ handler: @escaping () -> Void) -> UInt64 {
        let token = nextToken
        nextToken += 1
        let at = time + max(0, delay)
        timers.insert((at, token, handler), at: timers.firstIndex { $0.at > at } ?? timers.endIndex)
        return token
    }

    func cancelTimer(_ token: UInt64) { timers.removeAll { $0.token == token } }

    var pending: Int { timers.count }

    func run(for span: Int64) {
        let end = time + span
        while let first = timers.first, first.at <= end {
            timers.removeFirst()
            time = max(time, first.at)
            first.handler()
        }
        time = end
    }

    func run(seconds: Double) { run(for: Int64(seconds * 1e9)) }
}

final class ScriptedSocket: StreamSocket {
    var onOpen: () -> Void = {}
    var onText: ([UInt8]) -> Void = { _ in }
    var onEnd: (String) -> Void = { _ in }
    let path: StreamPath
    let number: Int
    weak var venue: ScriptedVenue?
    var subscribed: Set<String> = []
    var isOpen = false
    var isClosed = false
    /// The socket stands and nothing comes through it, not even answers.
    var isMute = false
    var sent: [(at: Int64, text: String)] = []

    init(_ path: StreamPath, _ number: Int, _ venue: ScriptedVenue) {
        self.path = path
        self.number = number
        self.venue = venue
    }

    func send(_ text: String) -> Bool {
        guard isOpen, let venue else { return false }
        sent.append((venue.reactor.now(), text))
        venue.control(text, self)
        return true
    }

    func close() {
        isOpen = false
        isClosed = true
    }

    func say(_ text: String) { if isOpen, !isMute { onText(Array(text.utf8)) } }

    func cut(_ why: String = "cut") {
        guard !isClosed else { return }
        isOpen = false
        isClosed = true
        onEnd(why)
    }
}

/// A venue in the test's own process: one trade a quarter second for each symbol, candles and books made of them, REST answers
/// from the same record, and everything that can go wrong at the test's word.
final class ScriptedVenue: MarketRequests {
    struct Symbol {
        var trades: [TradeMessage] = []
        var candles: [Candle] = []
        var tickerID: Int64 = 0
        /// No trades come.
        var isQuiet = false
        var markTime: Int64 = 0
        /// The last candle whose end was said.
        var closed: Int64 = 0
    }

    let reactor: VirtualReactor
    let product: Product
    var symbols: [String: Symbol] = [:]
    var sockets: [ScriptedSocket] = []
    var requests: [MarketRequest] = []
    var random: SeededGenerator
    /// Streams that are acknowledged and never served.
    var deaf: Set<String> = []
    /// No socket delivers data; answers to control messages still come.
    var isSilent = false
    var refusesConnections = false
    var connectionLimit: Int64?
    var restFailure: VenueFailure?
    /// Answers in place of the record's, by the end of the path.
    var answers: [String: (MarketRequest) -> Reply] = [:]
    var loads: [Pool: Double] = [:]
    /// Messages are lost on their way with this chance.
    var loss = 0.0
    var depthID: Int64 = 1

    init(_ product: Product, _ names: [String], seed: UInt64 = 7, on reactor: VirtualReactor) {
        self.product = product
        self.reactor = reactor
        random = SeededGenerator(seed: seed)
        for name in names { symbols[name] = Symbol() }
        quarter()
    }

    var venueTime: Int64 { reactor.now() / 1_000_000 }
    func load(_ pool: Pool) -> Double { loads[pool] ?? 0 }
    var open: [ScriptedSocket] { sockets.filter { $0.isOpen } }

    func connect(_ path: StreamPath) throws(PluginError) -> any StreamSocket {
        if let wait = connectionLimit { throw PluginError(.rate, "too many connections", retryAfter: wait) }
        let socket = ScriptedSocket(path, sockets.count, self)
        sockets.append(socket)
        _ = reactor.after(30_000_000) { [weak socket, weak self] in
            guard let socket, let self, !socket.isClosed else { return }
            if self.refusesConnections { return socket.cut("connection refused") }
            socket.isOpen = true
            socket.onOpen()
        }
        return socket
    }

    func control(_ text: String, _ socket: ScriptedSocket) {
        guard let value = try? JSONValue(parsing: text), let id = value.find("id")?.asNumber?.int64 else { return }
        let names = (value.find("params")?.asList ?? []).compactMap(\.asText)
        if value.find("method")?.asText == "SUBSCRIBE" { socket.subscribed.formUnion(names) } else { socket.subscribed.subtract(names) }
        _ = reactor.after(20_000_000) { [weak socket] in socket?.say(#"{"result":null,"id":\#(id)}"#) }
    }

    // MARK: the market

    private func quarter() {
        _ = reactor.after(250_000_000) { [weak self] in
            guard let self else { return }
            for name in self.symbols.keys.sorted() { self.step(name) }
            self.quarter()
        }
    }

    private func step(_ name: String) {
        guard var symbol = symbols[name] else { return }
        let now = venueTime
        let minute = now / 60_000 * 60_000
        let lower = name.lowercased()
        if let last = symbol.candles.last, last.openTime < minute, symbol.closed < last.openTime {
            symbol.closed = last.openTime
            say(lower + "@kline_1m", kline(name, last, closed: true, symbol))
            if !symbol.isQuiet { symbol.candles.append(Candle(openTime: minute, open: last.close, high: last.close, low: last.close, close: last.close, volume: .zero, takerVolume: .zero, trades: 0)) }
        }
        if !symbol.isQuiet {
            let price = 90_000 + Int64(random.below(200))
            let trade = TradeMessage(
                symbol: symbolKey(name), id: Int64(symbol.trades.count) + 1, price: price * Fixed.scale, quantity: Fixed.scale, time: now,
                lastTrade: Int64(symbol.trades.count) + 1, buyerIsMaker: random.chance(0.5))
            symbol.trades.append(trade)
            if symbol.candles.last.map({ $0.openTime < minute }) ?? true {
                symbol.candles.append(
                    Candle(openTime: minute, open: trade.price, high: trade.price, low: trade.price, close: trade.price, volume: .zero, takerVolume: .zero, trades: 0))
            }
            if var candle = symbol.candles.popLast() {
                candle.high = max(candle.high, trade.price)
                candle.low = min(candle.low, trade.price)
                candle.close = trade.price
                candle.volume = Amount(raw: candle.volume.raw + Int128(trade.quantity))
                candle.trades += 1
                symbol.candles.append(candle)
            }
            symbol.tickerID += 1
            let side = trade.buyerIsMaker
            let number = Fixed(raw: trade.price).description
            say(
                lower + "@aggTrade",
                #"{"e":"aggTrade","E":\#(now),"s":"\#(name)","a":\#(trade.id),"p":"\#(number)","q":"1.00","f":\#(trade.id),"l":\#(trade.id),"T":\#(now),"m":\#(side)}"#)
            say(lower + "@bookTicker", #"{"u":\#(symbol.tickerID),"s":"\#(name)","b":"\#(price - 1)","B":"1","a":"\#(price + 1)","A":"2"}"#)
            let first = depthID + 1
            depthID += 2
            say(
                lower + "@depth@100ms",
                #"{"e":"depthUpdate","E":\#(now),"s":"\#(name)","U":\#(first),"u":\#(depthID),"pu":\#(first - 1),"b":[["\#(80_000 + price % 7)","\#(price % 5)"]],"a":[["\#(99_000 + price % 7)","3"]]}"#)
        }
        if now / 2_000 != (now - 250) / 2_000, !symbol.isQuiet, let candle = symbol.candles.last {
            say(lower + "@kline_1m", kline(name, candle, closed: false, symbol))
        }
        if now / 1_000 != symbol.markTime / 1_000 {
            symbol.markTime = now
            let next = (now / 28_800_000 + 1) * 28_800_000
            say(
                lower + "@markPrice@1s",
                #"{"e":"markPriceUpdate","E":\#(now),"s":"\#(name)","p":"90003.12","i":"90001.55","P":"0","r":"0.00010000","T":\#(next),"st":1}"#)
        }
        symbols[name] = symbol
    }

    private func kline(_ name: String, _ candle: Candle, closed: Bool, _ symbol: Symbol) -> String {
        func text(_ raw: Int64) -> String { Fixed(raw: raw).description }
        let last = closed ? symbol.trades.last { $0.time < candle.openTime + 60_000 }?.id ?? -1 : symbol.trades.last?.id ?? -1
        return
            #"{"e":"kline","E":\#(venueTime),"s":"\#(name)","k":{"t":\#(candle.openTime),"T":\#(candle.openTime + 59_999),"s":"\#(name)","i":"1m","f":1,"L":\#(last),"o":"\#(text(candle.open))","c":"\#(text(candle.close))","h":"\#(text(candle.high))","l":"\#(text(candle.low))","v":"\#(candle.volume)","n":\#(candle.trades),"x":\#(closed),"q":"0","V":"0","Q":"0","B":"0"}}"#
    }

    private func say(_ stream: String, _ text: String) {
        if isSilent || deaf.contains(stream) { return }
        for socket in sockets where socket.isOpen && socket.subscribed.contains(stream) {
            if loss > 0, random.chance(loss) { continue }
            socket.say(#"{"stream":"\#(stream)","data":\#(text)}"#)
        }
    }

    func everywhere(_ text: String) { for socket in open { socket.say(text) } }

    // MARK: requests

    func get(_ request: MarketRequest, _ answer: @escaping (Reply) -> Void) {
        requests.append(request)
        let reply = reply(to: request)
        _ = reactor.after(40_000_000) { answer(reply) }
    }

    private func reply(to request: MarketRequest) -> Reply {
        if let restFailure { return .failure(restFailure) }
        for (end, make) in answers where request.path.hasSuffix(end) { return make(request) }
        let symbol = symbols[request["symbol"] ?? ""] ?? Symbol()
        let limit = Int(request["limit"] ?? "") ?? 500
        if request.path.hasSuffix("/aggTrades") {
            let from = Int64(request["fromId"] ?? "") ?? 0
            let rows = symbol.trades.filter { $0.id >= from }.prefix(limit)
            return .success(
                JSONValue(
                    rows.map { trade in
                        [
                            "a": JSONValue(trade.id), "p": JSONValue(Fixed(raw: trade.price).description), "q": JSONValue(Fixed(raw: trade.quantity).description),
                            "f": JSONValue(trade.id), "l": JSONValue(trade.id), "T": JSONValue(trade.time), "m": JSONValue(trade.buyerIsMaker),
                        ]
                    }))
        }
        if request.path.hasSuffix("/klines") {
            var rows = symbol.candles[...]
            if let from = request["startTime"].flatMap({ Int64($0) }) { rows = rows.drop { $0.openTime < from } } else { rows = rows.suffix(limit) }
            if let to = request["endTime"].flatMap({ Int64($0) }) { rows = rows.prefix { $0.openTime <= to } }
            return .success(
                JSONValue(
                    rows.prefix(limit).map { candle in
                        let numbers = [candle.open, candle.high, candle.low, candle.close].map { JSONValue(Fixed(raw: $0).description) }
                        return JSONValue(
                            [JSONValue(candle.openTime)] + numbers + [
                                JSONValue(candle.volume.description), JSONValue(candle.openTime + 59_999), "0", JSONValue(candle.trades), "0", "0", "0",
                            ])
                    }))
        }
        if request.path.hasSuffix("/depth") {
            return .success(["lastUpdateId": JSONValue(depthID), "bids": [["80000", "5"]], "asks": [["99000", "5"]]])
        }
        return .failure(VenueFailure(.refused, status: 404, message: "no such path"))
    }
}

/// Everything that was told, in order.
final class RecordingSink: MarketSink {
    enum Entry: Equatable {
        case trade(Int64, flags: UInt32)
        case bar(Int64, flags: UInt32)
        case quote(Int64)
        case depth(Int64, whole: Bool)
        case link(String, LinkState, at: Int64, String)
    }

    let reactor: VirtualReactor
    var entries: [Entry] = []
    var values: [NamedValue] = []
    var logs: [String] = []

    init(_ reactor: VirtualReactor) { self.reactor = reactor }

    func trade(_ instrument: UInt32, _ trade: TradeMessage, flags: UInt32) { entries.append(.trade(trade.id, flags: flags)) }
    func bar(_ instrument: UInt32, _ candle: Candle, _ interval: Interval, flags: UInt32) { entries.append(.bar(candle.openTime, flags: flags)) }
    func quote(_ instrument: UInt32, _ ticker: TickerMessage) { entries.append(.quote(ticker.updateID)) }
    func depth(_ instrument: UInt32, bids: [keel_level], asks: [keel_level], sequence: Int64, whole: Bool, time: Int64) {
        entries.append(.depth(sequence, whole: whole))
    }
    func value(_ instrument: UInt32, _ value: NamedValue) { values.append(value) }
    func link(_ name: String, _ state: LinkState, why: PluginError.Reason?, _ message: String) { entries.append(.link(name, state, at: reactor.now(), message)) }
    func log(_ level: Host.Level, _ text: String) { logs.append("\(level): \(text)") }

    var trades: [Int64] { entries.compactMap { if case .trade(let id, _) = $0 { id } else { nil } } }
    var replayed: Int { entries.count { if case .trade(_, KEEL_EVF_REPLAY) = $0 { true } else { false } } }
    var bars: [Int64] { entries.compactMap { if case .bar(let time, _) = $0 { time } else { nil } } }
    var links: [(name: String, state: LinkState, at: Int64, message: String)] {
        entries.compactMap { if case .link(let name, let state, let at, let message) = $0 { (name, state, at, message) } else { nil } }
    }
    var quotes: [Int64] { entries.compactMap { if case .quote(let id) = $0 { id } else { nil } } }
}
