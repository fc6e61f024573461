import PluginKit

/// One WebSocket connection that reads streams: of the market, or of an account by listen key.
final class MarketSocket: StreamReader {
    let peer: WebSocketPeer
    let product: Product
    let group: StreamGroup
    private unowned let server: ExchangeServer
    private var isCombined: Bool
    private var names: [String] = []
    private var listenKeys: [String] = []
    /// Messages of the current second, by the loop's clock.
    private var second: Int64 = 0
    private var messages = 0
    var lastPong: Int64

    init(_ peer: WebSocketPeer, _ product: Product, group: StreamGroup, isCombined: Bool, on server: ExchangeServer, now: Int64) {
        self.peer = peer
        self.product = product
        self.group = group
        self.isCombined = isCombined
        self.server = server
        lastPong = now
    }

    func begin(_ streams: [String], keys: [String]) {
        for key in keys { listen(key) }
        for name in streams { add(name) }
        if !streams.isEmpty { server.check?.subscribed(self) }
    }

    private func add(_ name: String) {
        guard !names.contains(name) else { return }
        if server.isListenKey(name), product == .futures { return listen(name) }
        names.append(name)
        server.streams(product).subscribe(self, name, group: group, now: server.exchange.now)
    }

    private func remove(_ name: String) {
        names.removeAll { $0 == name }
        listenKeys.removeAll { $0 == name }
        server.streams(product).unsubscribe(self, name)
    }

    private func listen(_ key: String) { if !listenKeys.contains(key) { listenKeys.append(key) } }

    /// After the exchange behind it was replaced.
    func resubscribe() { for name in names { server.streams(product).subscribe(self, name, group: group, now: server.exchange.now) } }

    func ended() { for name in names { server.streams(product).unsubscribe(self, name) } }

    func reads(_ key: String) -> Bool { listenKeys.contains(key) }

    /// An account event of the futures side.
    func personal(_ key: String, _ event: Out) { deliver(key, event) }

    func deliver(_ stream: String, _ payload: Out) {
        if let feed = server.check?.feed(self) { return feed.deliver(stream, payload) }
        send(stream, payload)
    }

    /// As the stream's readers see it: bare or in its envelope.
    func wrapped(_ stream: String, _ payload: Out) -> [UInt8] {
        guard isCombined else { return payload.bytes }
        return Out.object { out in
            out.text("stream", stream)
            out.put("data", payload)
        }.bytes
    }

    func send(_ stream: String, _ payload: Out) { peer.send(text: wrapped(stream, payload)) }

    func deliverRaw(_ stream: String, _ text: String) { send(stream, Out.raw(text)) }

    var streamNames: [String] { names }

    func sayShutdown(_ event: Out) { deliver("!serverShutdown", event) }

    /// false: too many messages; the connection is closed.
    func count(_ now: Int64) -> Bool {
        if now / 1_000_000_000 != second {
            second = now / 1_000_000_000
            messages = 0
        }
        messages += 1
        guard messages <= server.messagesPerSecond(product) else {
            peer.close(code: 1008, reason: "Too many requests")
            return false
        }
        return true
    }

    func receive(_ bytes: [UInt8]) {
        guard let value = try? JSONValue(parsing: bytes), value.asObject != nil else {
            return refuse(3, "Invalid JSON: expected value at line 1 column 1", id: nil)
        }
        let id = value.find("id")
        guard let method = value.find("method")?.asText else { return refuse(2, "Invalid request: missing field `method`", id: id) }
        let params = value.find("params")?.asList ?? []
        switch method {
        case "SUBSCRIBE", "UNSUBSCRIBE":
            let wanted = params.compactMap(\.asText)
            guard !wanted.isEmpty, wanted.count == params.count else { return refuse(2, "Invalid request: params must be a list of stream names", id: id) }
            if method == "SUBSCRIBE", names.count + wanted.count > 1_024 {
                refuse(4, "Too many streams", id: id)
                return peer.close(code: 1008, reason: "Too many streams")
            }
            // The answer goes out before the first event.
            answer(.null, id)
            for name in wanted { if method == "SUBSCRIBE" { add(name) } else { remove(name) } }
            if method == "SUBSCRIBE" { server.check?.subscribed(self) }
            server.streams(product).pump(server.exchange.now)
        case "LIST_SUBSCRIPTIONS": answer(Out.list(names + listenKeys) { Out.string($0) }, id)
        case "SET_PROPERTY":
            guard params.first?.asText == "combined" else { return refuse(0, "Unknown property", id: id) }
            guard params.count == 2, let flag = params[1].asBool else { return refuse(1, "Invalid value type: expected Boolean", id: id) }
            isCombined = flag
            answer(.null, id)
        case "GET_PROPERTY":
            guard params.first?.asText == "combined" else { return refuse(0, "Unknown property", id: id) }
            answer(Out.value(JSONValue(isCombined)), id)
        default: refuse(2, "Invalid request: unknown variant `\(method)`", id: id)
        }
    }

    private func answer(_ result: Out, _ id: JSONValue?) {
        peer.send(text: Out.object { out in
            out.put("result", result)
            out.put("id", id.map { Out.value($0) } ?? .null)
        }.bytes)
    }

    private func refuse(_ code: Int, _ text: String, id: JSONValue?) {
        peer.send(text: Out.object { out in
            out.int("code", code)
            out.text("msg", text)
            if let id { out.put("id", Out.value(id)) }
        }.bytes)
    }
}
