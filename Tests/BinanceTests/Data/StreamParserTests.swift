import PluginAPI
import PluginKit
import Testing

@testable import BinanceConnector

private let btc = SymbolKey("BTCUSDT")

private func parse(_ text: String) throws -> StreamMessage { try StreamParser().parse(Array(text.utf8)) }

private func fault(_ text: String) -> StreamFault? {
    do throws(StreamFault) { _ = try StreamParser().parse(Array(text.utf8)) } catch { return error }
    return nil
}

@Suite struct StreamParserTests {
    static let kline = #"{"e":"kline","E":1795000061005,"s":"BTCUSDT","k":{"t":1795000020000,"T":1795000079999,"s":"BTCUSDT","i":"1m","f":100,"L":200,"o":"90000.00","c":"90005.00","h":"90010.50","l":"89990.00","v":"12.34500000","n":101,"x":false,"q":"1111050.12000000","V":"6.10000000","Q":"549010.00000000","B":"0"}}"#
    static let trade = #"{"e":"aggTrade","E":1795000061005,"s":"BTCUSDT","a":12345,"p":"90000.00","q":"0.01000000","f":100,"l":105,"T":1795000061004,"m":true,"M":true}"#
    static let spotTicker = #"{"u":400900217,"s":"BTCUSDT","b":"90000.00","B":"31.21000000","a":"90000.01","A":"40.66000000"}"#
    static let futuresTicker = #"{"e":"bookTicker","u":400900217,"E":1795000061005,"T":1795000061004,"s":"BTCUSDT","ps":"BTCUSDT","b":"90000.10","B":"31.210","a":"90000.20","A":"40.660","st":1}"#
    static let futuresDepth = #"{"e":"depthUpdate","E":1795000061005,"T":1795000061004,"s":"BTCUSDT","ps":"BTCUSDT","U":157,"u":160,"pu":149,"b":[["90000.10","10.000"],["90000.00","1"]],"a":[["90000.20","0.000"]],"st":1}"#
    static let mark = #"{"e":"markPriceUpdate","E":1795000061000,"s":"BTCUSDT","p":"90003.12000000","ap":"90002.90000000","i":"90001.55000000","P":"89999.10000000","r":"-0.00010000","T":1795017600000,"st":1}"#

    @Test func candles() throws {
        let candle = Candle(
            openTime: 1_795_000_020_000, open: 90_000 * Fixed.scale, high: 9_001_050_000_000, low: 89_990 * Fixed.scale, close: 90_005 * Fixed.scale,
            volume: Amount(raw: 1_234_500_000), takerVolume: Amount(raw: 610_000_000), trades: 101)
        let wanted = StreamMessage.kline(
            KlineMessage(symbol: try #require(btc), eventTime: 1_795_000_061_005, interval: .minute1, candle: candle, lastTrade: 200, isClosed: false))
        #expect(try parse(Self.kline) == wanted)
        #expect(try parse(#"{"stream":"btcusdt@kline_1m","data":"# + Self.kline + "}") == wanted)
        // The wrapper's members may come in any order.
        #expect(try parse(#"{"data":"# + Self.kline + #","stream":"btcusdt@kline_1m"}"#) == wanted)
        #expect(try parse(Self.kline.replacing(#""i":"1m""#, with: #""i":"1M""#)) == .other)
        #expect(fault(Self.kline.replacing(#""h":"90010.50""#, with: #""h":"90001""#)) == .contradiction("a candle whose low and high don't hold its open and close"))
        guard case .kline(let empty) = try parse(Self.kline.replacing(#""L":200"#, with: #""L":-1"#)) else { throw StreamFault.missing("kline") }
        #expect(empty.lastTrade == -1)
    }

    @Test func trades() throws {
        let wanted = TradeMessage(
            symbol: try #require(btc), id: 12_345, price: 90_000 * Fixed.scale, quantity: 1_000_000, time: 1_795_000_061_004, lastTrade: 105, buyerIsMaker: true)
        #expect(try parse(Self.trade) == .trade(wanted))
        #expect(fault(Self.trade.replacing(#""p":"90000.00""#, with: #""p":"0""#)) != nil)
        #expect(fault(Self.trade.replacing(#""a":12345,"#, with: "")) == .missing("a"))
        #expect(fault(Self.trade.replacing(#""m":true"#, with: #""m":"true""#)) == .wrongKind("m"))
        #expect(fault(Self.trade.replacing(#""a":12345"#, with: #""a":12345,"a":12346"#)) == .twice("a"))
    }

    @Test func tickers() throws {
        let spot = TickerMessage(
            symbol: try #require(btc), updateID: 400_900_217, bid: 90_000 * Fixed.scale, bidQuantity: 3_121_000_000, ask: 9_000_001_000_000,
            askQuantity: 4_066_000_000, time: 0)
        #expect(try parse(Self.spotTicker) == .ticker(spot))
        guard case .ticker(let futures) = try parse(Self.futuresTicker) else { throw StreamFault.missing("ticker") }
        #expect(futures.time == 1_795_000_061_004)
        #expect(futures.ask == 9_000_020_000_000)
        // COIN-M contracts have names of their own, but come through the same streams.
        #expect(try parse(Self.futuresTicker.replacing(#""st":1"#, with: #""st":2"#)) == .other)
        #expect(fault(Self.spotTicker.replacing("90000.01", with: "90000.00")) != nil)
        // An empty side has no price.
        #expect(fault(Self.spotTicker.replacing(#""b":"90000.00""#, with: #""b":"0.00000000""#)) == nil)
    }

    @Test func depth() throws {
        let parser = StreamParser()
        let message = try parser.parse(Array(Self.futuresDepth.utf8))
        #expect(message == .depth(DepthMessage(symbol: try #require(btc), eventTime: 1_795_000_061_005, firstID: 157, lastID: 160, previousID: 149)))
        #expect(parser.bids.map(\.price) == [9_000_010_000_000, 90_000 * Fixed.scale])
        #expect(parser.bids.map(\.qty) == [10 * Fixed.scale, Fixed.scale])
        #expect(parser.asks.map(\.qty) == [0])
        guard case .depth(let spot) = try parser.parse(Array(Self.futuresDepth.replacing(#""pu":149,"#, with: "").utf8)) else { throw StreamFault.missing("depth") }
        #expect(spot.previousID == -1)
        #expect(fault(Self.futuresDepth.replacing(#""u":160"#, with: #""u":156"#)) != nil)
        #expect(fault(Self.futuresDepth.replacing(#"["90000.00","1"]"#, with: #"["90000.00"]"#)) != nil)
    }

    @Test func marks() throws {
        #expect(
            try parse(Self.mark)
                == .mark(
                    MarkMessage(
                        symbol: try #require(btc), eventTime: 1_795_000_061_000, mark: 9_000_312_000_000, index: 9_000_155_000_000, rate: -10_000,
                        nextFunding: 1_795_017_600_000)))
        // Delivery contracts have no funding.
        guard case .mark(let delivery) = try parse(Self.mark.replacing(#""r":"-0.00010000""#, with: #""r":"""#)) else { throw StreamFault.missing("mark") }
        #expect(delivery.rate == 0)
    }

    @Test func control() throws {
        #expect(try parse(#"{"result":null,"id":7}"#) == .accepted(id: 7))
        #expect(try parse(#"{"id":7,"result":["btcusdt@aggTrade"]}"#) == .accepted(id: 7))
        #expect(try parse(#"{"code":2,"msg":"Invalid request: x","id":3}"#) == .refused(id: 3, code: 2, text: "Invalid request: x"))
        #expect(try parse(#"{"error":{"code":4,"msg":"too many"},"id":3}"#) == .refused(id: 3, code: 4, text: "too many"))
        #expect(try parse(#"{"id":null,"error":{"code":-1,"msg":"m"}}"#) == .refused(id: -1, code: -1, text: "m"))
        #expect(try parse(#"{"e":"serverShutdown","E":1795000000000}"#) == .shutdown(at: 1_795_000_000_000))
        #expect(try parse(#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1795000000000}}"#) == .shutdown(at: 1_795_000_000_000))
    }

    @Test func whatWeNeverAskedForIsPassedOver() throws {
        #expect(try parse(#"{"e":"24hrMiniTicker","E":1795000061005,"s":"BTCUSDT","c":"90005.90","o":"90100.00","h":"91000.00","l":"89000.00","v":"8913.3","q":"802379000.0"}"#) == .other)
        #expect(try parse(#"{"stream":"!bookTicker","data":[1,2]}"#) == .other)
        #expect(try parse("{}") == .other)
        // New fields, also nested ones, are no fault.
        #expect(try parse(Self.trade.dropLast() + #","z":{"a":[1,{"b":"]}\""}]},"nq":"0.1"}"#) == parse(Self.trade))
    }

    /// Cut short anywhere, a message is refused.
    @Test(arguments: [kline, trade, spotTicker, futuresTicker, futuresDepth, mark]) func cutMessagesAreRefused(_ text: String) {
        for length in 0..<text.utf8.count { #expect(fault(String(text.prefix(length))) != nil, "cut at \(length)") }
        #expect(fault(text + "x") != nil)
        #expect(fault(text + " \n") == nil)
    }

    // MARK: numbers

    private func number(_ text: String, quoted: Bool = true) -> Result<Int64, StreamFault> {
        let message = Self.trade.replacing(#""p":"90000.00""#, with: quoted ? #""p":"\#(text)""# : #""p":\#(text)"#)
        do throws(StreamFault) {
            switch try StreamParser().parse(Array(message.utf8)) {
            case .trade(let trade): return .success(trade.price)
            case .lostTrade(_, 12_345, let why): return .failure(why)
            default: return .failure(.missing("trade"))
            }
        } catch { return .failure(error) }
    }

    /// Up to 18 decimals: the exact number, or an error that says why. Never a rounded one.
    @Test func decimalsAreExactOrRefused() {
        #expect(number("1") == .success(100_000_000))
        #expect(number("0.00000001") == .success(1))
        #expect(number("0.000000010000000000") == .success(1))
        #expect(number("0.000000011") == .failure(.inexact("p")))
        #expect(number("1.000000000000000001") == .failure(.inexact("p")))
        #expect(number("92233720368.54775807") == .success(.max))
        #expect(number("92233720368.54775808") == .failure(.outOfRange("p")))
        #expect(number("99999999999999999999") == .failure(.outOfRange("p")))
        #expect(number("1e-8") == .success(1))
        #expect(number("1e-9") == .failure(.inexact("p")))
        #expect(number("1.5", quoted: false) == .success(150_000_000))
        #expect(number("") == .failure(.wrongKind("p")))
        #expect(number(".") == .failure(.wrongKind("p")))
        #expect(number("1.2.3") == .failure(.wrongKind("p")))
        #expect(number("1,5") == .failure(.wrongKind("p")))
        #expect(number("null", quoted: false) == .failure(.wrongKind("p")))
    }

    @Test(arguments: [UInt64(1), 2, 3]) func decimalsAgreeWithTheNumberType(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<4_000 {
            var text = ""
            for _ in 0...random.below(12) { text.append("0123456789".randomElement(using: &random) ?? "0") }
            let decimals = Int(random.below(19))
            if decimals > 0 { text += "." }
            for _ in 0..<decimals { text.append(random.chance(0.4) ? "0" : "0123456789".randomElement(using: &random) ?? "0") }
            let wanted = try? Fixed(parsing: text)
            switch number(text) {
            case .success(let raw): #expect(wanted?.raw == raw, "seed \(seed): \(text)")
            // Zero is a fine number and no price.
            case .failure(let why): #expect(wanted == nil || wanted == .zero, "seed \(seed): \(text) is refused: \(why)")
            }
        }
    }

    /// Random messages, their members in random order, wrapped or not, against the general JSON reader.
    @Test(arguments: [UInt64(11), 12, 13]) func agreesWithTheGeneralReader(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let samples = [Self.kline, Self.trade, Self.spotTicker, Self.futuresTicker, Self.futuresDepth, Self.mark]
        for round in 0..<400 {
            let sample = samples[Int(random.below(UInt64(samples.count)))]
            var value = try JSONValue(parsing: sample)
            var members = try #require(value.asObject).members.map { ($0.name, $0.value) }
            members.shuffle(using: &random)
            value = JSONValue(JSONObject(members))
            if random.chance(0.5) { value = ["stream": "x", "data": value] }
            let text = value.text(random.chance(0.5) ? .compact : .pretty)
            #expect(try parse(text) == parse(sample), "seed \(seed), round \(round): \(text)")
        }
    }

    @Test func symbolsAndIntervals() throws {
        #expect(SymbolKey("BTCUSDT")?.description == "BTCUSDT")
        #expect(SymbolKey("1000000BABYDOGEUSDT_261225")?.description == nil)
        #expect(SymbolKey("BTCUSDT_261225")?.description == "BTCUSDT_261225")
        #expect(SymbolKey("") == nil)
        #expect(SymbolKey("AB") != SymbolKey("BA"))
        for interval in Interval.allCases {
            #expect(Interval(interval.name) == interval)
            // A day's beginning is the beginning of every other candle too.
            let text = Self.kline.replacing(#""i":"1m""#, with: #""i":"\#(interval.name)""#).replacing("1795000020000", with: "1795046400000")
            guard case .kline(let kline) = try parse(text) else { throw StreamFault.missing(interval.name) }
            #expect(kline.interval == interval)
        }
        #expect(Interval("60m") == nil)
    }
}
