import HostPlugins
import PluginKit

/// What feeds of real venues are read with: JSON and WebSocket frames.
enum ParserFigures: FigureGroup {
    static let name = "parse"

    static func run(_ bench: Bench) throws {
        if bench.wants("parse json") { try json(bench) }
        if bench.wants("parse frames") { try frames(bench) }
    }

    /// A trade as Binance streams it, made up.
    private static let trade = Array(
        #"{"stream":"btcusdt@trade","data":{"e":"trade","E":1700000000123,"s":"BTCUSDT","t":3198765432,"p":"37012.45000000","q":"0.01234000","T":1700000000121,"m":true,"M":true}}"#
            .utf8)

    private static func json(_ bench: Bench) throws {
        let rounds = 200_000
        var prices = 0
        let values = try bench.measure("JSON") {
            let seconds = try Measure.seconds {
                for _ in 0..<rounds {
                    let value = try JSONValue(parsing: trade)
                    if try value["data"]["p"].fixed.isPositive { prices += 1 }
                }
            }
            return Double(rounds * trade.count) / seconds
        }
        guard prices > 0 else { throw BenchError(description: "no price was read") }
        bench.report(
            Figure(
                name: "JSON of a venue's trade, parsed and its price read", values: values, unit: .bytesPerSecond,
                note: "\(trade.count) bytes a message: \(Measure.short(Figure(name: "", values: values, unit: .bytesPerSecond).median / Double(trade.count))) messages/s"))
    }

    private static func frames(_ bench: Bench) throws {
        let count = 2_000
        var stream: [UInt8] = []
        for _ in 0..<count { stream += webSocketFrame(.text, trade, mask: nil) }
        var seen = 0
        let values = try bench.measure("WebSocket frames") {
            let rounds = 50
            let seconds = try Measure.seconds {
                for _ in 0..<rounds {
                    var reader = WebSocketReader(isServer: false)
                    var from = 0
                    while try reader.next(stream, from: &from) != nil { seen += 1 }
                }
            }
            return Double(rounds * count) / seconds
        }
        guard seen > 0 else { throw BenchError(description: "no frame was read") }
        bench.report(Figure(name: "WebSocket frames", values: values, unit: .framesPerSecond, note: "of \(trade.count) bytes, read and checked as UTF-8"))
    }
}
