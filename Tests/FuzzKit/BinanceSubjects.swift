import BinanceConnector
import PluginKit

extension FuzzSubject {
    static let streamWords = [
        #""e":"aggTrade""#, #""e":"depthUpdate""#, #""e":"kline""#, #""e":"markPriceUpdate""#, #""st":2"#, #""pu":7"#, #""data":{"#, #""stream":"x""#, #""result":null"#, #""id":-1"#,
        "[[", "]]", "{}", "\"\\\"", "\\u0000", "1e400", "-0", "99999999999999999999", "0.0000000000000000001", "null", "\u{7f}", "é",
    ]

    /// What Binance's streams say: read, or refused with a reason.
    public static let binanceStream = FuzzSubject(
        "binance-stream",
        makeInput: { generator in
            var bytes = StreamFigures.messages(1, seed: generator.next()).first ?? []
            if !generator.chance(10) { FuzzMutation.mutate(&bytes, words: streamWords, &generator) }
            return bytes
        },
        check: { bytes in
            let parser = StreamParser()
            let first = read(bytes, parser)
            // The same parser reads the same again: nothing of a message is left behind.
            _ = read(StreamFigures.messages(1, seed: UInt64(bytes.count))[0], parser)
            if read(bytes, parser) != first { return "the same message reads differently the second time" }
            guard case .success(let message) = first else { return nil }
            switch message {
            case .trade(let trade): if trade.price <= 0 || trade.quantity < 0 || trade.id < 0 || trade.time < 0 { return "a trade that cannot be: \(trade)" }
            case .ticker(let ticker):
                if ticker.bid < 0 || ticker.ask < 0 || ticker.bidQuantity < 0 || ticker.askQuantity < 0 { return "a ticker that cannot be: \(ticker)" }
                if ticker.bid > 0, ticker.ask > 0, ticker.bid >= ticker.ask { return "a crossed ticker" }
            case .kline(let kline): if !kline.candle.isSound { return "a candle that cannot be: \(kline)" }
            case .depth(let depth):
                if depth.firstID > depth.lastID { return "a depth update backwards" }
                if (parser.bids + parser.asks).contains(where: { $0.price <= 0 || $0.qty < 0 }) { return "a level that cannot be" }
            default: break
            }
            // Whatever was read is JSON as far as anybody else can tell, but for what was skipped.
            return nil
        })

    private static func read(_ bytes: [UInt8], _ parser: StreamParser) -> Result<StreamMessage, StreamFault> {
        do throws(StreamFault) { return .success(try parser.parse(bytes)) } catch { return .failure(error) }
    }

    /// Answers that fill gaps: any JSON, read or refused.
    public static let binanceRows = FuzzSubject(
        "binance-rows",
        makeInput: { generator in
            let seeds = [
                #"[[1795000020000,"90000.00","90010.50","89990.00","90005.00","12.345",1795000079999,"1111050.12",842,"6.1","549010.0","0"]]"#,
                #"[{"a":26129,"p":"90000.00","q":"0.001","f":27781,"l":27781,"T":1795000000123,"m":true,"M":true}]"#,
                #"{"lastUpdateId":1027024,"bids":[["90000.00","1.2"]],"asks":[["90000.01","0.8"]]}"#,
            ]
            var bytes = Array((generator.pick(seeds) ?? "").utf8)
            FuzzMutation.mutate(&bytes, words: streamWords, &generator)
            return bytes
        },
        check: { bytes in
            guard let value = try? JSONValue(parsing: bytes), let symbol = SymbolKey("BTCUSDT") else { return nil }
            if let page = try? RestRows.candles(value), page.rows.contains(where: { !$0.isSound }) || page.rows.count > page.count { return "candles that cannot be" }
            if let page = try? RestRows.trades(value, symbol: symbol), page.rows.contains(where: { $0.price <= 0 }) { return "trades that cannot be" }
            if let book = try? RestRows.depth(value), (book.bids + book.asks).contains(where: { $0.price <= 0 || $0.qty < 0 }) { return "levels that cannot be" }
            return nil
        })
}
