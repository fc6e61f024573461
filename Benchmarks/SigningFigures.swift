import BinanceConnector
import PluginKit

/// An order on its way to Binance: the parameters, the signature, the bytes that travel.
enum SigningFigures: FigureGroup {
    static let name = "sign"

    static func run(_ bench: Bench) throws {
        guard bench.wants("sign order") else { return }
        // Made up: as long as a real key and secret.
        let key = [UInt8](repeating: UInt8(ascii: "k"), count: 64)
        let signer = try Signer(apiKey: key, secret: [UInt8](repeating: UInt8(ascii: "s"), count: 64))
        let price = Fixed(raw: 6_012_345_000_000)
        let quantity = Fixed(raw: 1_250_000)
        let rounds = 100_000
        var bytes = 0
        func order(_ number: Int) -> Parameters {
            var parameters = Parameters()
            parameters.add("symbol", "BTCUSDT" as StaticString)
            parameters.add("side", "BUY" as StaticString)
            parameters.add("type", "LIMIT" as StaticString)
            parameters.add("timeInForce", "GTC" as StaticString)
            parameters.add("quantity", quantity)
            parameters.add("price", price)
            parameters.add("newClientOrderId", OrderID(hi: 1 << 32, lo: UInt64(number) << 24 | 1))
            parameters.add("recvWindow", 5000)
            parameters.add("timestamp", 1_704_067_200_000 + Int64(number))
            return parameters
        }
        let queries = try bench.measure("REST orders") {
            try Measure.seconds { for number in 0..<rounds { bytes += try order(number).query(signedBy: signer).count } } / Double(rounds) * 1e6
        }
        bench.report(Figure(name: "build and sign a Binance order, REST", values: queries, unit: .microseconds, hold: .under(3), note: "nine parameters, HMAC-SHA256"))
        let frames = try bench.measure("WebSocket orders") {
            try Measure.seconds { for number in 0..<rounds { bytes += try order(number).frame(UInt64(number), "order.place", signedBy: signer).count } } / Double(rounds) * 1e6
        }
        guard bytes > 0 else { throw BenchError(description: "no order was made") }
        bench.report(Figure(name: "build and sign a Binance order, WebSocket", values: frames, unit: .microseconds, hold: .under(3), note: "the same, sorted and as a frame's JSON"))
    }
}
