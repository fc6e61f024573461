import Foundation
import Testing

@testable import HostLedger

@Suite struct LogTests {
    @Test func linesComeBackWhatever_isInThem() throws {
        let folder = try Folder()
        let log = LogFile(path: folder.file("log"))
        let texts = ["plain", "quote \" and \\ and \n newline", "\u{1}\u{1b}[31mred\u{7f}", "한국어 😀", ""]
        for (index, text) in texts.enumerated() { log.write(.info, from: "sim \"x\"", at: Scenario.start + Int64(index), text) }
        let lines = LogReader(path: folder.file("log")).last(.init())
        #expect(lines.map(\.text) == texts)
        #expect(lines.allSatisfy { $0.source == "sim \"x\"" && $0.level == .info })
        #expect(lines.map(\.time) == texts.indices.map { Scenario.start + Int64($0) })
        // One line each, whatever the text.
        #expect(try folder.bytes("log").count { $0 == UInt8(ascii: "\n") } == texts.count)
    }

    @Test func filesReplaceEachOther() throws {
        let folder = try Folder()
        let log = LogFile(path: folder.file("log"), limit: 2_000, kept: 2)
        for number in 0..<100 { log.write(.info, from: "a", at: Int64(number) * 1_000_000_000, "line \(number)") }
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        #expect(names == ["log", "log.1", "log.2"])
        for name in names { #expect(try folder.bytes(name).count <= 2_000) }
        var filter = LogReader.Filter()
        filter.last = 1_000
        let lines = LogReader(path: folder.file("log")).last(filter)
        #expect(lines.count > 30 && lines.last?.text == "line 99")
        let numbers = lines.compactMap { Int($0.text.dropFirst(5)) }
        #expect(numbers == Array((100 - numbers.count)..<100))
        filter.last = 3
        #expect(LogReader(path: folder.file("log")).last(filter).map(\.text) == ["line 97", "line 98", "line 99"])
    }

    @Test func filtersByLevelSourceAndRun() throws {
        let folder = try Folder()
        let log = LogFile(path: folder.file("log"))
        log.write(.debug, from: "a", at: 1, "1")
        log.write(.warning, from: "a", at: 2, "2")
        log.write(.error, from: "b", at: 3, "3")
        let reader = LogReader(path: folder.file("log"))
        var filter = LogReader.Filter()
        filter.level = .warning
        #expect(reader.last(filter).map(\.text) == ["2", "3"])
        filter.source = "a"
        #expect(reader.last(filter).map(\.text) == ["2"])
        filter = .init()
        filter.before = 2
        #expect(reader.last(filter).map(\.text) == ["1"])
        filter.before = nil
        filter.from = 2
        #expect(reader.last(filter).map(\.text) == ["2", "3"])
    }

    @Test func plainLinesAreReadToo() throws {
        let folder = try Folder()
        try folder.write(Array("2026-08-01T00:00:00.005Z warning btc BTC/USDT: [stale] no trade: for 90 s\nnonsense\n2026-13-01T00:00:00Z info a: b\n".utf8), "log")
        #expect(LogReader(path: folder.file("log")).last(.init()) == [
            LogEntry(time: Scenario.start + 5_000_000, level: .warning, source: "btc BTC/USDT", text: "[stale] no trade: for 90 s")
        ])
    }

    /// A plugin that shouts can't fill the disk, and what it lost is counted; errors are never left out.
    @Test func aFloodIsCounted() throws {
        let folder = try Folder()
        let log = LogFile(path: folder.file("log"))
        for _ in 0..<(LogFile.mostPerSecond + 70) { log.write(.info, from: "loud", at: 5, "x") }
        log.write(.error, from: "loud", at: 6, "broken")
        log.write(.info, from: "quiet", at: 6, "y")
        log.write(.info, from: "loud", at: 1_000_000_005, "z")
        var filter = LogReader.Filter()
        filter.last = 10_000
        let lines = LogReader(path: folder.file("log")).last(filter)
        #expect(lines.count == LogFile.mostPerSecond + 4)
        #expect(lines.suffix(4).map(\.text) == ["broken", "y", "70 more lines in one second were left out", "z"])
    }

    @Test func followingSeesEachLineOnceAlsoThroughARotation() throws {
        let folder = try Folder()
        let log = LogFile(path: folder.file("log"), limit: 1_500, kept: 2)
        log.write(.info, from: "a", at: 0, "before")
        var reader = LogReader(path: folder.file("log"))
        #expect(reader.new(.init()).isEmpty)
        var seen: [String] = []
        for number in 0..<60 {
            log.write(.info, from: "a", at: Int64(number) * 1_000_000_000, "line \(number)")
            if number % 4 == 3 { seen += reader.new(.init()).map(\.text) }
        }
        #expect(seen == (0..<60).map { "line \($0)" })
    }

    @Test func halfALineIsSkippedAndLongOnesAreCut() throws {
        let folder = try Folder()
        try folder.write(Array("{\"ns\":1,\"level\":\"in".utf8) + [UInt8(ascii: "\n"), 0xFF, 0xFE, UInt8(ascii: "\n")], "log")
        let log = LogFile(path: folder.file("log"))
        log.write(.info, from: "a", at: 1, String(repeating: "x", count: 100_000))
        let lines = LogReader(path: folder.file("log")).last(.init())
        #expect(lines.count == 1)
        #expect(lines.first?.text.utf8.count == LogFile.longestText + 4)
    }

    @Test func terminalsGetNoControlCharacters() {
        #expect(PlainText.of("a\u{1b}[31mb\nc\u{202e}d\u{9b}e") == "a\u{FFFD}[31mb c\u{FFFD}d\u{FFFD}e")
        #expect(PlainText.of("한국어 ok") == "한국어 ok")
    }
}

@Suite struct TimeTextTests {
    @Test func agreesWithFoundation() throws {
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withInternetDateTime]
        var dice = Dice(seed: 8)
        for _ in 0..<2_000 {
            let seconds = Int64(dice.next() % 8_000_000_000) - 2_000_000_000
            #expect(TimeText.utc(seconds * 1_000_000_000) == formatter.string(from: Date(timeIntervalSince1970: Double(seconds))))
        }
        #expect(TimeText.utc(0) == "1970-01-01T00:00:00Z")
        #expect(TimeText.utc(951_782_400_000_000_000) == "2000-02-29T00:00:00Z")
        #expect(TimeText.utc(1_500_000) == "1970-01-01T00:00:00.001500Z")
        #expect(TimeText.utc(-1) == "1969-12-31T23:59:59.999999999Z")
        #expect(TimeText.utc(.max).hasPrefix("2262-04-11T23:47:16.854775807Z"))
        #expect(TimeText.utc(.min).hasPrefix("1677-09-21T00:12:43.145224192Z"))
    }

    @Test func timesAreReadBack() {
        var dice = Dice(seed: 9)
        for _ in 0..<2_000 {
            let time = Int64(bitPattern: dice.next())
            let cut = dice.chance(50) ? time : time / 1_000_000 * 1_000_000
            if TimeText.nanoseconds(TimeText.utc(cut)) != cut { Issue.record("\(cut)") }
        }
        for text in ["", "2026-02-29T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z", "9999-01-01T00:00:00Z", "2026-01-01 00:00:00Z", "2026-01-01T00:00:00.1234567890Z"] {
            #expect(TimeText.nanoseconds(text) == nil, "\(text)")
        }
    }

    @Test func spansReadWell() {
        #expect(TimeText.span(0) == "0 ns")
        #expect(TimeText.span(999) == "999 ns")
        #expect(TimeText.span(1_250) == "1.2 us")
        #expect(TimeText.span(999_999) == "999.9 us")
        #expect(TimeText.span(5_000_000) == "5.0 ms")
        #expect(TimeText.span(59_999_999_999) == "59.9 s")
        #expect(TimeText.span(125_000_000_000) == "2 min 5 s")
        #expect(TimeText.span(7_260_000_000_000) == "2 h 1 min")
        #expect(TimeText.span(-1_500_000) == "-1.5 ms")
        #expect(TimeText.span(.min).hasPrefix("-2562047 h"))
    }
}
