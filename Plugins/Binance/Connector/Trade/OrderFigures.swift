import PluginKit

/// How fast an order is made and sent: for measurements. The clock comes from whoever measures.
public struct OrderFigures: Sendable {
    /// Nanoseconds to build, frame and sign one order of the WebSocket API (HMAC).
    public var built: Double
    /// From a tick written by the venue to a signed order read by it, over two loopback connections, in nanoseconds:
    /// writing, polling and reading of both sides included.
    public var tickToOrder: (p50: Int64, p99: Int64, max: Int64)

    private static func signer() throws(PluginError) -> Signer {
        try Signer(
            apiKey: Array("vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A".utf8),
            secret: Array("NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j".utf8))
    }

    private static func frame(_ wire: OrderWire, _ signer: Signer, _ number: UInt64, _ limit: Fixed, _ time: Int64) throws(PluginError) -> [UInt8] {
        let order = Order(
            id: OrderID(hi: 1 << 32, lo: number << 24), side: .buy, features: .limit, instrument: 1, quantity: Fixed(raw: 1_000_000), limit: limit)
        var parameters = try wire.place(order, symbol: "BTCUSDT", id: ClientID(order.id)).parameters
        parameters.add("apiKey", signer.apiKey)
        parameters.add("recvWindow", 2000)
        parameters.add("timestamp", time)
        return try parameters.frame(number, "order.place", signedBy: signer)
    }

    /// `clock`: nanoseconds. A few thousand orders give steady figures.
    public static func measure(_ orders: Int, clock: @escaping () -> Int64) throws -> OrderFigures {
        let wire = OrderWire(.spot)
        let signer = try signer()
        var bytes = 0
        let begun = clock()
        for number in 0..<max(orders, 1) {
            bytes &+= try frame(wire, signer, UInt64(number), Fixed(raw: 9_000_000_000_000 + Int64(number) * 1_000_000), 1_795_000_000_000 + Int64(number)).count
        }
        let built = Double(clock() - begun) / Double(max(orders, 1))
        guard bytes > 0 else { throw PluginError(.internalFault, "nothing was built") }
        return OrderFigures(built: built, tickToOrder: try race(orders, wire, signer, clock))
    }

    private static func race(_ orders: Int, _ wire: OrderWire, _ signer: Signer, _ clock: @escaping () -> Int64) throws -> (p50: Int64, p99: Int64, max: Int64) {
        let reactor = PollReactor()
        var peers: [WebSocketPeer] = []
        var arrived: Int64 = 0
        var count = 0
        let server = try HTTPServer(port: 0, on: reactor) { request in
            guard let peer = WebSocketPeer(request) else { return }
            peer.onText = { _ in
                arrived = clock()
                count += 1
            }
            peers.append(peer)
            peer.begin()
        }
        let dialer = Dialer(.local, on: reactor)
        let endpoints = try Endpoints(standIn: "127.0.0.1:\(server.port)", .spot)
        let stream = try dialer.socket(endpoints.stream(.market))
        guard reactor.run(until: { stream.isOpen && peers.count == 1 }) else { throw PluginError(.network, "the stream did not open") }
        let api = try dialer.socket(endpoints.api)
        guard reactor.run(until: { api.isOpen && peers.count == 2 }) else { throw PluginError(.network, "the WebSocket API did not open") }
        let parser = StreamParser()
        var number: UInt64 = 0
        var problem: (any Error)?
        stream.onText = { bytes in
            do {
                guard case .ticker(let ticker) = try parser.parse(bytes) else { return }
                number += 1
                _ = api.send(text: try frame(wire, signer, number, Fixed(raw: ticker.bid), 1_795_000_000_000 + Int64(number)))
            } catch { problem = error }
        }
        var spans: [Int64] = []
        spans.reserveCapacity(orders)
        for index in 0..<max(orders, 1) {
            let tick = "{\"stream\":\"btcusdt@bookTicker\",\"data\":{\"u\":\(400_900_217 + index),\"s\":\"BTCUSDT\",\"b\":\"90000.\(10 + index % 90)\",\"B\":\"31.21000000\",\"a\":\"90010.00\",\"A\":\"40.66000000\"}}"
            let before = count
            let sent = clock()
            peers[0].send(text: tick)
            guard reactor.run(limit: 2_000_000_000, until: { count > before || problem != nil }), problem == nil else {
                throw problem ?? PluginError(.timeout, "no order came of a tick")
            }
            spans.append(arrived - sent)
        }
        spans.sort()
        return (spans[spans.count / 2], spans[min(spans.count - 1, spans.count * 99 / 100)], spans[spans.count - 1])
    }
}
