import PluginAPI
import PluginKit

/// How fast stream messages are read: for measurements. The clock comes from whoever measures.
public struct StreamFigures: Sendable {
    /// Messages a second, read alone.
    public var parsed: Double
    /// Read, put in order and handed on, from a connection's text to the host's event.
    public var delivered: Double

    /// A busy market as a combined connection carries it: best prices and trades, depth of ten levels a side, candles.
    public static func messages(_ count: Int, seed: UInt64) -> [[UInt8]] {
        var random = SeededGenerator(seed: seed)
        var list: [[UInt8]] = []
        var trade: Int64 = 1_000
        var depth: Int64 = 5_000
        let time: Int64 = 1_795_000_061_005
        func price(_ random: inout SeededGenerator) -> String { Fixed(raw: 9_000_000_000_000 + Int64(random.below(100_000)) * 1_000_000).description }
        func quantity(_ random: inout SeededGenerator) -> String { Fixed(raw: 1_000 + Int64(random.below(1_000_000_000))).description }
        for index in 0..<count {
            let now = time + Int64(index)
            switch random.below(10) {
            case 0...3:
                let bid = 9_000_000_000_000 + Int64(random.below(100_000)) * 1_000_000
                list.append(
                    Array(
                        #"{"stream":"btcusdt@bookTicker","data":{"u":\#(400_900_217 + index),"s":"BTCUSDT","b":"\#(Fixed(raw: bid))","B":"\#(quantity(&random))","a":"\#(Fixed(raw: bid + 1_000_000))","A":"\#(quantity(&random))"}}"#
                            .utf8))
            case 4...7:
                trade += 1
                list.append(
                    Array(
                        #"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":\#(now),"s":"BTCUSDT","a":\#(trade),"p":"\#(price(&random))","q":"\#(quantity(&random))","f":\#(trade),"l":\#(trade),"T":\#(now),"m":true,"M":true}}"#
                            .utf8))
            case 8:
                let levels = (0..<10).map { _ in "[\"\(price(&random))\",\"\(quantity(&random))\"]" }.joined(separator: ",")
                let first = depth + 1
                depth += 20
                list.append(
                    Array(
                        #"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":\#(now),"s":"BTCUSDT","U":\#(first),"u":\#(depth),"b":[\#(levels)],"a":[\#(levels)]}}"#
                            .utf8))
            default:
                list.append(
                    Array(
                        #"{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":\#(now),"s":"BTCUSDT","k":{"t":1795000020000,"T":1795000079999,"s":"BTCUSDT","i":"1m","f":100,"L":200,"o":"90000.00","c":"90005.00","h":"90010.50","l":"89990.00","v":"12.34500000","n":101,"x":false,"q":"1111050.12000000","V":"6.10000000","Q":"549010.00000000","B":"0"}}}"#
                            .utf8))
            }
        }
        return list
    }

    /// `clock`: nanoseconds.
    public static func measure(_ count: Int, seed: UInt64 = 1, clock: () -> Int64) throws(StreamFault) -> StreamFigures {
        let messages = messages(count, seed: seed)
        let parser = StreamParser()
        let begun = clock()
        for message in messages { _ = try parser.parse(message) }
        let parsed = clock() - begun
        let sink = CountingSink()
        let socket = LoopSocket()
        let data = MarketData(.spot, settings: DataSettings(), requests: NoRequests(), sink: sink, on: StillReactor()) { _ throws(PluginError) in socket }
        data.subscribe(1, try symbol(), [.quotes, .trades, .bars, .depth])
        socket.onOpen()
        let started = clock()
        for message in messages { socket.onText(message) }
        let delivered = clock() - started
        guard data.messages == UInt64(count), data.faults.isEmpty, sink.count > 0 else { throw .contradiction("messages got lost on the way") }
        func rate(_ span: Int64) -> Double { span > 0 ? Double(count) * 1e9 / Double(span) : .infinity }
        return StreamFigures(parsed: rate(parsed), delivered: rate(delivered))
    }

    private static func symbol() throws(StreamFault) -> SymbolKey {
        guard let key = SymbolKey("BTCUSDT") else { throw .missing("symbol") }
        return key
    }
}

private final class CountingSink: MarketSink {
    var count = 0
    func trade(_ instrument: UInt32, _ trade: TradeMessage, flags: UInt32) { count += 1 }
    func bar(_ instrument: UInt32, _ candle: Candle, _ interval: Interval, flags: UInt32) { count += 1 }
    func quote(_ instrument: UInt32, _ ticker: TickerMessage) { count += 1 }
    func depth(_ instrument: UInt32, bids: [keel_level], asks: [keel_level], sequence: Int64, whole: Bool, time: Int64) { count += 1 }
    func value(_ instrument: UInt32, _ value: NamedValue) { count += 1 }
    func link(_ name: String, _ state: LinkState, why: PluginError.Reason?, _ message: String) {}
    func log(_ level: Host.Level, _ text: String) {}
}

private final class LoopSocket: StreamSocket {
    var onOpen: () -> Void = {}
    var onText: ([UInt8]) -> Void = { _ in }
    var onEnd: (String) -> Void = { _ in }
    func send(_ text: String) -> Bool { true }
    func close() {}
}

/// Asks nobody: what is missing stays missing.
private final class NoRequests: MarketRequests {
    var venueTime: Int64 { 0 }
    func load(_ pool: Pool) -> Double { 0 }
    func get(_ request: MarketRequest, _ answer: @escaping (Reply) -> Void) {}
}

private final class StillReactor: Reactor {
    func now() -> Int64 { 1 }
    func watch(_ descriptor: Int32, _ interest: Readiness, _ handler: @escaping (Readiness) -> Void) {}
    func forget(_ descriptor: Int32) {}
    func after(_ delay: Int64, _ handler: @escaping () -> Void) -> UInt64 { 0 }
    func cancelTimer(_ token: UInt64) {}
}
