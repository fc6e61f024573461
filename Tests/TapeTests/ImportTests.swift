import Foundation
import PluginAPI
import PluginKit
import Testing

@testable import Tape

@Suite struct FieldNumberTests {
    func parse(_ text: String) -> (FieldNumber.Outcome, Int64) {
        var value: Int64 = 0
        let bytes = Array(text.utf8)
        let outcome = bytes.withUnsafeBufferPointer { FieldNumber.fixed($0.baseAddress ?? UnsafePointer(bitPattern: 1).unsafelyUnwrapped, $0.count, &value) }
        return (outcome, value)
    }

    @Test(arguments: [
        ("0", 0), ("1", 100_000_000), ("-1.5", -150_000_000), ("46319.0", 4_631_900_000_000), ("0.00000001", 1), (".5", 50_000_000), ("5.", 500_000_000),
        ("2300413.7295", 230_041_372_950_000), ("1e-05", 1000), ("1.5E3", 150_000_000_000), ("+7", 700_000_000), (" 7 ", 700_000_000),
        ("00012.50", 1_250_000_000), ("0.100000000000", 10_000_000), ("92233720368.54775807", Int64.max), ("-92233720368.54775807", -Int64.max),
        ("123456789.123456780000000", 12_345_678_912_345_678),
    ] as [(String, Int64)]) func exact(text: String, value: Int64) { #expect(parse(text) == (.exact, value)) }

    @Test(arguments: [
        ("0.000000005", 1), ("0.0000000049", 0), ("-0.000000005", -1), ("0.30000000000000004", 30_000_000), ("1.123456785", 112_345_679),
        ("0.12345678901234567890123456789012345678901234567890", 12_345_679), ("1e-30", 0), ("4.9e-9", 0), ("5e-9", 1),
    ] as [(String, Int64)]) func rounded(text: String, value: Int64) { #expect(parse(text) == (.rounded, value)) }

    @Test(arguments: [
        ("nan", FieldNumber.Outcome.notFinite), ("NaN", .notFinite), ("-inf", .notFinite), ("Infinity", .notFinite), ("", .empty), ("null", .empty), ("None", .empty), ("  ", .empty),
        ("-", .empty), ("abc", .notANumber), ("1.2.3", .notANumber), ("1,5", .notANumber), ("12a", .notANumber), ("0x10", .notANumber), ("1e", .notANumber), ("--1", .notANumber),
        ("92233720369", .outOfRange), ("1e40", .outOfRange), ("99999999999999999999999999999999999999999", .outOfRange),
    ]) func refused(text: String, outcome: FieldNumber.Outcome) { #expect(parse(text).0 == outcome, "\(text)") }

    @Test(arguments: [UInt64(51), 52]) func agreesWithFixedAndBack(seed: UInt64) {
        var chance = SeededGenerator(seed: seed)
        for _ in 0..<5000 {
            let raw = Int64(bitPattern: chance.next()) >> Int64(chance.below(63))
            let text = Fixed(raw: raw).description
            #expect(parse(text) == (.exact, raw), "seed \(seed): \(text)")
            var out: [UInt8] = []
            FieldNumber.write(Int128(raw), into: &out)
            #expect(String(decoding: out, as: UTF8.self) == text)
        }
    }
}

@Suite struct ImportTests {
    let btc = TapeInstrument(symbol: "BTC/USDT")
    func options(_ change: (inout ImportOptions) -> Void = { _ in }) -> ImportOptions {
        var options = ImportOptions()
        options.instrument = btc
        change(&options)
        return options
    }

    func load(_ scratch: Scratch, _ name: String, _ text: String, _ options: ImportOptions) throws -> (ImportReport, TapeFile) {
        try scratch.write(name, text)
        let output = scratch.file(name + ".tape")
        let report = try TapeImport.run([scratch.file(name)], to: output, options: options)
        let file = try TapeFile(output)
        try file.verify()
        #expect(file.eventCount == report.good)
        return (report, file)
    }

    func bars(_ file: TapeFile) throws -> [keel_ev_bar] {
        var all: [keel_ev_bar] = []
        let cursor = TapeCursor(file)
        while let span = try cursor.next() { span.forEach { all.append(UnsafeRawPointer($0).loadUnaligned(as: keel_ev_bar.self)) } }
        return all
    }

    func trades(_ file: TapeFile) throws -> [keel_ev_trade] {
        var all: [keel_ev_trade] = []
        let cursor = TapeCursor(file)
        while let span = try cursor.next() { span.forEach { all.append(UnsafeRawPointer($0).loadUnaligned(as: keel_ev_trade.self)) } }
        return all
    }

    @Test func barsWithAHeader() throws {
        let scratch = try Scratch()
        let text = "ts_ms,open,high,low,close,volume\n1704067200000,100,101.5,99,100.25,3.5\n1704067260000,100.25,102,100,101,0\n1704067320000,101,101,101,101,7\n"
        let (report, file) = try load(scratch, "a.csv", text, options())
        #expect(report.rows == 3 && report.good == 3 && report.bad == 0 && report.gaps == 0)
        let all = try bars(file)
        #expect(all[0].bar.open_time == 1_704_067_200_000_000_000)
        #expect(all[0].head.at_host == 1_704_067_260_000_000_000)
        #expect(all[0].duration == minute)
        #expect(all[0].bar.open == 100_00000000 && all[0].bar.high == 101_50000000 && all[0].bar.low == 99_00000000 && all[0].bar.close == 100_25000000)
        #expect(Amount(all[0].bar.volume) == Amount(raw: 350_000_000))
        #expect(all.allSatisfy { $0.bar_flags == KEEL_BAR_CLOSED })
        #expect(file.instruments == [btc])
        // What was decided is told, not silent.
        let words = report.files[0].decided.joined(separator: "; ")
        #expect(words.contains("times: ms") && words.contains("bars of 1m") && words.contains("start"))
    }

    /// The same rows in every dress a file may come in give the same tape.
    @Test func dressesOfOneFile() throws {
        let rows = [["1704067200", "100", "101", "99", "100", "1"], ["1704067260", "100", "102", "98", "101", "2"], ["1704067320", "101", "103", "101", "102", "3"]]
        func text(_ delimiter: String = ",", end: String = "\n", time: (String) -> String = { $0 }, header: String? = "time,open,high,low,close,volume") -> String {
            let head = header.map { $0.replacingOccurrences(of: ",", with: delimiter) + end } ?? ""
            return head + rows.map { ([time($0[0])] + $0.dropFirst()).joined(separator: delimiter) }.joined(separator: end) + end
        }
        func at(_ seconds: String, _ offset: Int64 = 0) -> String { UTCTime.text(((Int64(seconds) ?? 0) + offset) * 1_000_000_000) }
        let scratch = try Scratch()
        var index = 0
        func check(_ text: String, _ label: String) throws {
            index += 1
            let (report, file) = try load(scratch, "\(index).csv", text, options())
            #expect(report.good == 3 && report.bad == 0, "\(label): \(report.listed)")
            #expect(try bars(file).map(\.bar.open_time) == rows.map { (Int64($0[0]) ?? 0) * 1_000_000_000 }, "\(label)")
            #expect(try bars(file).map(\.bar.close) == [100_00000000, 101_00000000, 102_00000000], "\(label)")
        }
        try check(text(), "plain")
        try check(text(end: "\r\n"), "CRLF")
        try check("\u{FEFF}" + text(), "byte order mark")
        try check("\u{FEFF}" + text(end: "\r\n", header: nil), "byte order mark, no header")
        try check(text(";"), "semicolons")
        try check(text("\t"), "tabs")
        try check(text("|"), "bars between")
        try check(String(text().dropLast()), "no newline at the end")
        try check(text().replacingOccurrences(of: "\n", with: "\n\n"), "blank lines")
        try check(text(time: { $0 + "000" }), "ms")
        try check(text(time: { $0 + "000000" }), "us")
        try check(text(time: { $0 + "000000000" }), "ns")
        try check(text(time: { $0 + ".0" }), "seconds as floats") // whole numbers a data frame wrote
    }

    @Test func clockTexts() throws {
        let scratch = try Scratch()
        func text(_ times: [String]) -> String { "timestamp,open,high,low,close,volume\n" + times.map { "\($0),1,1,1,1,1\n" }.joined() }
        let expected: [Int64] = [1_704_067_200_000_000_000, 1_704_067_260_000_000_000, 1_704_067_320_000_000_000]
        for (index, (times, zone)) in [
            (["2024-01-01 00:00:00.000000", "2024-01-01 00:01:00.000000", "2024-01-01 00:02:00.000000"], nil),
            (["2024-01-01T00:00Z", "2024-01-01T00:01Z", "2024-01-01T00:02Z"], "Asia/Seoul"),
            (["2024-01-01 09:00:00", "2024-01-01 09:01:00", "2024-01-01 09:02:00"], "+09:00"),
            (["2024-01-01 09:00:00", "2024-01-01 09:01:00", "2024-01-01 09:02:00"], "Asia/Seoul"),
            (["2023-12-31 19:00:00", "2023-12-31 19:01:00", "2023-12-31 19:02:00"], "America/New_York"),
            (["2024-01-01 01:00:00+01:00", "2024-01-01 01:01:00+01:00", "2024-01-01 01:02:00+01:00"], nil),
        ].enumerated() {
            let (report, file) = try load(scratch, "\(index).csv", text(times), options { $0.zone = zone.flatMap(ZoneOffset.init) })
            #expect(try bars(file).map(\.bar.open_time) == expected, "\(times) \(report.listed)")
        }
    }

    @Test func clocksThatAreChanged() throws {
        // New York put its clocks forward on 2024-03-10 at 2:00 and back on 2024-11-03 at 2:00.
        var zone = try #require(ZoneOffset("America/New_York"))
        func utc(_ text: String) -> String? { UTCTime.parse(text).flatMap { zone.utc($0) }.map(UTCTime.text) }
        #expect(utc("2024-03-10 01:59") == "2024-03-10T06:59:00Z")
        #expect(utc("2024-03-10 02:30") == nil)
        #expect(utc("2024-03-10 03:00") == "2024-03-10T07:00:00Z")
        #expect(utc("2024-11-03 00:59") == "2024-11-03T04:59:00Z")
        #expect(utc("2024-11-03 01:30") == "2024-11-03T05:30:00Z")
        #expect(utc("2024-11-03 02:00") == "2024-11-03T07:00:00Z")
        #expect(ZoneOffset("Nowhere/Else") == nil && ZoneOffset("+25:00") == nil && ZoneOffset("utc") == .utc)
    }

    /// One row of every kind of trouble, each named by line; the good rows around it are kept.
    @Test func everyBadRowIsCountedAndNamed() throws {
        let scratch = try Scratch()
        let text = """
            ts_ms,open,high,low,close,volume
            1704067200000,100,101,99,100,1
            1704067260000,100,101,99,,1
            1704067260000,100,101,99,100
            1704067260000,100,101,99,100,1,9
            1704067260000,100,nan,99,100,1
            1704067260000,100,101,abc,100,1
            1704067260000,0,101,99,100,1
            1704067260000,100,101,-99,100,1
            1704067260000,100,98,99,100,1
            1704067260000,103,101,99,100,1
            1704067260000,100,101,99,100,-1
            yesterday,100,101,99,100,1
            1704067260,100,101,99,100,1
            1704067260000,100,101,99,100,inf
            1704067260000,100,101,99,100000000000000000000,1
            1704067260000,100,101,99,100,1
            1704067260000,100,101,99,100,1
            1704067140000,100,101,99,100,1
            1704067500000,100,101,99,100,1

            """
        let (report, file) = try load(scratch, "bad.csv", text, options { $0.listed = 100 })
        #expect(report.rows == 19 && report.good == 3 && report.bad == 16)
        let expected: [(Int, RowProblem)] = [
            (3, .emptyField), (4, .wrongColumns), (5, .wrongColumns), (6, .notFinite), (7, .notANumber), (8, .notPositive), (9, .notPositive), (10, .highBelowLow),
            (11, .outsideRange), (12, .negativeVolume), (13, .badTime), (14, .timeOutOfRange), (15, .notFinite), (16, .outOfRange), (18, .duplicateTime), (19, .timeGoesBack),
        ]
        #expect(report.listed.map(\.line) == expected.map(\.0))
        #expect(report.listed.map(\.problem) == expected.map(\.1))
        #expect(report.counts.values.reduce(0, +) == 16)
        #expect(report.listed[0].description.hasSuffix("bad.csv:3: empty field (close)"))
        #expect(try bars(file).map(\.bar.open_time) == [1_704_067_200_000, 1_704_067_260_000, 1_704_067_500_000].map { $0 * 1_000_000 })
        // 00:01 to 00:05 lacks three bars.
        #expect(report.gaps == 1 && report.missingBars == 3 && report.largestGaps.first?.line == 20)
        // Strict writes nothing.
        #expect(throws: ImportError.self) { try TapeImport.run([scratch.file("bad.csv")], to: scratch.file("no.tape"), options: options { $0.strict = true }) }
        #expect(!FileManager.default.fileExists(atPath: scratch.file("no.tape")))
        #expect(!FileManager.default.fileExists(atPath: scratch.file("no.tape.partial")))
    }

    @Test func listingIsLimitedCountingIsNot() throws {
        let scratch = try Scratch()
        let text = "ts,price,qty\n" + (0..<500).map { "\(1_704_067_200 + $0),\($0 % 5 == 0 ? "1" : "x"),1\n" }.joined()
        let (report, _) = try load(scratch, "a.csv", text, options { $0.listed = 7 })
        #expect(report.good == 100 && report.bad == 400 && report.listed.count == 7 && report.counts == [.notANumber: 400])
    }

    @Test func reversedFilesAreSortedWhenAsked() throws {
        let scratch = try Scratch()
        let rows = (0..<3000).map { "\(1_704_067_200 + (2999 - $0) * 60),1,2,1,2,\($0)\n" }.joined()
        let text = "time,open,high,low,close,volume\n" + rows
        let (refused, _) = try load(scratch, "a.csv", text, options())
        #expect(refused.good == 1 && refused.counts[.timeGoesBack] == 2999)
        let (report, file) = try load(scratch, "b.csv", text + "1704067200,1,2,1,2,9\n", options { $0.sort = true })
        #expect(report.good == 3000 && report.bad == 1 && report.counts == [.duplicateTime: 1] && report.sorted == 2999)
        #expect(report.listed.first?.line == 3002)
        #expect(try bars(file).map(\.bar.open_time) == (0..<3000).map { (1_704_067_200 + Int64($0) * 60) * 1_000_000_000 })
        #expect(file.ordered)
        #expect(try bars(file).allSatisfy { $0.head.request == 0 })
    }

    @Test func trades() throws {
        let scratch = try Scratch()
        let text = "ts_ms,price,qty,side,id\n1704067200000,100.5,0.25,buy,7\n1704067200000,100.6,1,SELL,8\n1704067200001,100.7,2,,11\n1704067200002,1,1,up,12\n1704067200002,1,1,buy,11\n"
        let (report, file) = try load(scratch, "t.csv", text, options())
        #expect(report.good == 3 && report.counts == [.badSide: 1, .duplicateId: 1] && report.missingIds == 2)
        let all = try trades(file)
        #expect(all.map(\.side) == [KEEL_BUY, KEEL_SELL, KEEL_SIDE_NONE])
        #expect(all.map(\.price) == [100_50000000, 100_60000000, 100_70000000])
        #expect(all.map(\.trade_id) == [7, 8, 11])
        // Seconds with decimals, as Python's time.time() gives them.
        let (_, floats) = try load(scratch, "s.csv", "time,price\n1704067200.123456,1\n1704067200.5,1\n1704067201,1\n1704067201.1234567891,1\n", options())
        #expect(try self.trades(floats).map(\.head.at_source) == [1_704_067_200_123_456_000, 1_704_067_200_500_000_000, 1_704_067_201_000_000_000])
    }

    @Test func binanceKlines() throws {
        let scratch = try Scratch()
        let text = """
            1735689600000000,4.15070000,4.15870000,4.15060000,4.15540000,539.23000000,1735689659999999,2240.39860900,13,401.82000000,1669.98121300,0
            1735689660000000,4.15540000,4.15540000,4.15000000,4.15100000,1.00000000,1735689719999999,4.15,2,0,0,0

            """
        // Spot files are in microseconds from 2025 on; the name gives instrument and length.
        try scratch.write("BTCUSDT-1m-2025-01.zip", ZipMaker.archive([("BTCUSDT-1m-2025-01.csv", Array(text.utf8))]))
        let report = try TapeImport.run([scratch.file("BTCUSDT-1m-2025-01.zip")], to: scratch.file("k.tape"))
        let file = try TapeFile(scratch.file("k.tape"))
        #expect(report.good == 2 && report.bad == 0 && report.instruments == ["BTC/USDT"])
        let all = try bars(file)
        #expect(all[0].bar.open_time == 1_735_689_600_000_000_000 && all[0].duration == minute && all[0].trades == 13)
        #expect(Amount(all[0].bar.volume).description == "539.23")
        // Futures files have a header.
        let futures = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n"
            + "1704067200000,1,2,1,2,5,1704067499999,1,4,1,1,0\n"
        try scratch.write("ETHUSDT-5m-2024-01.csv", futures)
        let second = try TapeImport.run([scratch.file("ETHUSDT-5m-2024-01.csv")], to: scratch.file("f.tape"))
        #expect(second.good == 1 && second.instruments == ["ETH/USDT"])
        #expect(try bars(TapeFile(scratch.file("f.tape")))[0].duration == 5 * minute)
    }

    @Test func binanceTrades() throws {
        let scratch = try Scratch()
        try scratch.write("BTCUSDT-aggTrades-2024-01-01.csv", "10,42000.1,0.5,1,3,1704067200000,True,True\n11,42000.2,0.25,4,4,1704067200500,False,True\n")
        try scratch.write("f.csv", "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n10,42000.1,0.5,1,3,1704067200000,true\n")
        try scratch.write("BTCUSDT-trades-2024-01-01.csv", "5,17.8,5.69,101.292242,1704067200001,True,True\n")
        let report = try TapeImport.run([scratch.file("BTCUSDT-aggTrades-2024-01-01.csv")], to: scratch.file("a.tape"))
        #expect(report.good == 2 && report.instruments == ["BTC/USDT"])
        let all = try trades(TapeFile(scratch.file("a.tape")))
        // "The buyer was the maker" means a seller took liquidity.
        #expect(all.map(\.side) == [KEEL_SELL, KEEL_BUY])
        #expect(all.map(\.head.at_source) == [1_704_067_200_000_000_000, 1_704_067_200_500_000_000])
        #expect(throws: ImportError.self) { try TapeImport.run([scratch.file("f.csv")], to: scratch.file("b.tape")) }  // no instrument anywhere
        #expect(try TapeImport.run([scratch.file("f.csv")], to: scratch.file("b.tape"), options: options()).good == 1)
        #expect(try TapeImport.run([scratch.file("BTCUSDT-trades-2024-01-01.csv")], to: scratch.file("c.tape")).good == 1)
        #expect(try trades(TapeFile(scratch.file("c.tape")))[0].head.at_source == 1_704_067_200_001_000_000)
    }

    @Test func leansFolders() throws {
        let scratch = try Scratch()
        for folder in ["equity/usa/minute/aapl", "crypto/binance/minute/btcusdt", "equity/usa/daily", "crypto/binance/hour"] {
            try FileManager.default.createDirectory(atPath: scratch.file(folder), withIntermediateDirectories: true)
        }
        // Deci-cents in New York's time: 34,200,000 ms after midnight is 9:30, 13:30 UTC in summer.
        try scratch.write("equity/usa/minute/aapl/20140605_trade.zip", ZipMaker.archive([("20140605_aapl_minute_trade.csv", Array("34200000,6448000,6450000,6447000,6449000,90\n34260000,6449000,6449000,6449000,6449000,5\n".utf8))]))
        var report = try TapeImport.run([scratch.file("equity/usa/minute/aapl/20140605_trade.zip")], to: scratch.file("a.tape"))
        var all = try bars(TapeFile(scratch.file("a.tape")))
        #expect(report.instruments == ["AAPL/USD"] && report.good == 2)
        #expect(UTCTime.text(all[0].bar.open_time) == "2014-06-05T13:30:00Z" && all[0].bar.open == 644_80000000)
        try scratch.write("crypto/binance/minute/btcusdt/20240101_trade.zip", ZipMaker.archive([("20240101_btcusdt_minute_trade.csv", Array("0,132.01,132.05,131.95,132.03,49320\n".utf8))]))
        try scratch.write("crypto/binance/minute/btcusdt/20240102_trade.zip", ZipMaker.archive([("20240102_btcusdt_minute_trade.csv", Array("0,132.03,132.05,131.95,132.03,1\n".utf8))]))
        report = try TapeImport.run([scratch.file("crypto/binance/minute")], to: scratch.file("b.tape"))
        all = try bars(TapeFile(scratch.file("b.tape")))
        #expect(report.instruments == ["BTC/USDT"] && all.map(\.bar.open) == [132_01000000, 132_03000000])
        #expect(all.map { UTCTime.text($0.bar.open_time) } == ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"] && report.missingBars == 1439)
        try scratch.write("equity/usa/daily/spy.zip", ZipMaker.archive([("spy.csv", Array("20131001 00:00,1689000,1696000,1688000,1694000,100\n20131002 00:00,1689000,1696000,1688000,1694000,100\n".utf8))]))
        report = try TapeImport.run([scratch.file("equity/usa/daily/spy.zip")], to: scratch.file("c.tape"))
        all = try bars(TapeFile(scratch.file("c.tape")))
        #expect(report.instruments == ["SPY/USD"] && all[0].duration == 1440 * minute && UTCTime.text(all[0].bar.open_time) == "2013-10-01T04:00:00Z")
        // Outside its folder nothing says whether prices are deci-cents.
        try FileManager.default.copyItem(atPath: scratch.file("equity/usa/minute/aapl/20140605_trade.zip"), toPath: scratch.file("20140605_trade.zip"))
        #expect(throws: ImportError.self) { try TapeImport.run([scratch.file("20140605_trade.zip")], to: scratch.file("d.tape"), options: options()) }
    }

    @Test func valuesAndQuotes() throws {
        let scratch = try Scratch()
        let (report, file) = try load(scratch, "v.csv", "time,name,value,released\n2024-01-01,CPI,3.1,2024-02-13\n2024-02-01,CPI,.,2024-03-12\n2024-03-01,CPI,3.5,2024-04-10\n", ImportOptions())
        #expect(report.good == 2 && report.counts == [.emptyField: 1])
        // A figure is an event when it was published.
        #expect(file.firstTime == UTCTime.parse("2024-02-13"))
        let (quotes, _) = try load(scratch, "q.csv", "ts,bid,bid_qty,ask,ask_qty\n1704067200,1,2,1.1,3\n1704067201,1.2,2,1.1,3\n", options())
        #expect(quotes.good == 1 && quotes.counts == [.crossed: 1])
    }

    @Test func aSymbolColumnMakesSeveralInstruments() throws {
        let scratch = try Scratch()
        let text = "ts,symbol,open,high,low,close,volume\n1704067200,BTCUSDT,1,2,1,2,1\n1704067200,ETH/USDT,1,2,1,2,1\n1704067260,BTCUSDT,1,2,1,2,1\n1704067260,BTCUSDT,1,2,1,2,1\n1704067260,ETH/USDT,1,2,1,2,1\n"
        let (report, file) = try load(scratch, "m.csv", text, ImportOptions())
        #expect(file.instruments.map(\.symbol) == ["BTC/USDT", "ETH/USDT"])
        #expect(report.good == 4 && report.counts == [.duplicateTime: 1])
        #expect(try bars(file).map(\.head.instrument) == [1, 2, 1, 2])
    }

    @Test func whatCannotBeDecidedIsAnError() throws {
        let scratch = try Scratch()
        for (name, text, word) in [
            ("empty.csv", "", "empty"), ("header.csv", "ts,open,high,low,close,volume\n", "no time"), ("words.csv", "hello\nworld\n", "column"),
            ("columns.csv", "1,2,3\n4,5,6\n", "--columns"), ("notime.csv", "open,high,low,close\n1,2,3,4\n", "time"), ("noprice.csv", "time,foo\n1704067200,2\n", "neither"),
            ("one.csv", "ts,open,high,low,close,volume\n1704067200,1,1,1,1,1\n", "--bar"), ("small.csv", "ts,open,high,low,close,volume\n12,1,1,1,1,1\n72,1,1,1,1,1\n", "--unit"),
            ("twice.csv", "ts,close,last,price\n1704067200,1,1,1\n", "two columns"), ("allbad.csv", "ts,price\n1704067200,x\n", "not a number"),
        ] {
            try scratch.write(name, text)
            do {
                _ = try TapeImport.run([scratch.file(name)], to: scratch.file("o.tape"), options: options())
                Issue.record("\(name) was taken")
            } catch { #expect("\(error)".contains(word), "\(name): \(error)") }
            #expect(!FileManager.default.fileExists(atPath: scratch.file("o.tape")))
        }
        #expect(throws: ImportError.self) { try TapeImport.run([scratch.file("missing.csv")], to: scratch.file("o.tape")) }
    }

    @Test func columnsByHand() throws {
        let scratch = try Scratch()
        let (_, file) = try load(scratch, "a.csv", "x,5,1704067200\nx,6,1704067201\n", options { $0.columns = ["-", "price", "time"] })
        #expect(try trades(file).map(\.price) == [5_00000000, 6_00000000])
        let (_, named) = try load(scratch, "b.csv", "When,Paid,Other\n1704067200,5,1\n", options { $0.columns = ["time=When", "price=Paid"] })
        #expect(try trades(named).map(\.price) == [5_00000000])
        #expect(throws: ImportError.self) { try load(scratch, "c.csv", "When,Paid\n1704067200,5\n", options { $0.columns = ["time=Then", "price=Paid"] }) }
    }

    @Test func exportReadsBackToTheSameRecords() throws {
        let scratch = try Scratch()
        var settings = MarketGenerator.Settings()
        settings.seed = 8
        var market = MarketGenerator(settings)
        let writer = try TapeWriter(creating: scratch.file("s.tape"), instruments: [btc])
        for _ in 0..<3000 {
            let t = market.nextTrade()
            try writer.append(EventForm.trade(instrument: 1, time: t.time, price: t.price, quantity: t.quantity, id: t.id, side: t.side))
        }
        try writer.close()
        var text: [UInt8] = []
        let rows = try TapeExport.run(TapeFile(scratch.file("s.tape")), shape: .trades) { text += $0 }
        #expect(rows == 3000)
        try scratch.write("s.csv", text)
        let report = try TapeImport.run([scratch.file("s.csv")], to: scratch.file("t.tape"))
        #expect(report.good == 3000 && report.bad == 0)
        #expect(try lines(TapeCursor(TapeFile(scratch.file("t.tape")))) == lines(TapeCursor(TapeFile(scratch.file("s.tape")))))
    }

    @Test(arguments: [UInt64(61), 62, 63]) func anyBytesAreReadOrRefused(seed: UInt64) throws {
        let scratch = try Scratch()
        var chance = SeededGenerator(seed: seed)
        let good = Array("ts_ms,open,high,low,close,volume\n".utf8) + (0..<40).flatMap { Array("\(1_704_067_200_000 + $0 * 60_000),100,101,99,100,1\n".utf8) }
        for round in 0..<150 {
            var bytes = good
            for _ in 0...chance.below(8) {
                let at = Int(chance.below(UInt64(bytes.count)))
                switch chance.below(3) {
                case 0: bytes[at] = UInt8(truncatingIfNeeded: chance.next())
                case 1: bytes.remove(at: at)
                default: bytes.insert(Array("0,\n\r\";-e".utf8)[Int(chance.below(8))], at: at)
                }
            }
            try scratch.write("f\(round).csv", bytes)
            do {
                let report = try TapeImport.run([scratch.file("f\(round).csv")], to: scratch.file("f\(round).tape"), options: options())
                // Nothing disappears: every row is good, bad or blank.
                #expect(report.good + report.bad + report.outsideRange == report.rows, "seed \(seed) round \(round)")
                try TapeFile(scratch.file("f\(round).tape")).verify()
            } catch is ImportError {} catch { Issue.record("seed \(seed) round \(round): \(error)") }
        }
    }
}
