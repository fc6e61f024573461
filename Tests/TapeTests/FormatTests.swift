import Foundation
import PluginAPI
import PluginKit
import Testing

@testable import Tape

@Suite struct FormatTests {
    let bitcoin = TapeInstrument(
        symbol: "BTC/USDT", tick: Fixed(raw: 1_000_000), lot: Fixed(raw: 1000), minimumQuantity: Fixed(raw: 1000), minimumNotional: Amount(raw: 500_000_000))
    let ether = TapeInstrument(symbol: "ETH/USDT:USDT", kind: KEEL_KIND_PERP, multiplier: Fixed(raw: 1_000_000))

    @Test func everyKindComesBackAsItWasWritten() throws {
        let scratch = try Scratch()
        let path = scratch.file("a.tape")
        let writer = try TapeWriter(creating: path, instruments: [bitcoin, ether], note: "source=test", created: 77)
        let bar = EventForm.bar(
            instrument: 2, openTime: 0, duration: minute, open: .one, high: Fixed(raw: 3), low: Fixed(raw: 2), close: Fixed(raw: 5), volume: Amount(raw: -7),
            trades: 9)
        try writer.append(bar)
        try writer.append(trade(minute, id: 5))
        try writer.append(EventForm.quote(instrument: 1, time: minute, bid: .one, bidQuantity: .one, ask: .one, askQuantity: .zero))
        let value = EventForm.value(instrument: 0, time: minute + 1, name: "fünding.rate", value: 0.25, periodEnd: 12)
        try writer.append(bytes: value)
        try writer.close()

        let file = try TapeFile(path)
        #expect(file.instruments == [bitcoin, ether])
        #expect(file.notes == ["source=test"])
        #expect(file.created == 77)
        #expect(file.eventCount == 4)
        #expect(file.tornBytes == 0)
        #expect(file.ordered)
        try file.verify()
        let span = try #require(try TapeCursor(file).next())
        var all: [[UInt8]] = []
        span.forEach { all.append(Array(UnsafeRawBufferPointer(start: UnsafeRawPointer($0), count: Int($0.pointee.size)))) }
        #expect(all.count == 4)
        #expect(all[0] == withUnsafeBytes(of: bar) { Array($0) })
        #expect(all[3] == value)
        #expect(all[3].suffix(13) == Array("fünding.rate".utf8)[...])
    }

    @Test func manyBlocksReadBackInOrderAndByTime() throws {
        let scratch = try Scratch()
        let path = scratch.file("a.tape")
        let writer = try TapeWriter(creating: path, instruments: [bitcoin])
        for i in 0..<20_000 { try writer.append(trade(Int64(i) * 10, id: UInt64(i))) }
        try writer.close()
        let file = try TapeFile(path)
        #expect(file.blocks.count > 3)
        #expect(try lines(TapeCursor(file)).map(\.time) == (0..<20_000).map { Int64($0) * 10 })
        // Half-open: from the first at or after, up to the last before.
        for (from, to) in [(0, 1), (5, 15), (36_405, 36_411), (99_990, 150_000), (199_990, 300_000), (200_000, 300_000), (50, 50)] as [(Int64, Int64)] {
            let expected = (0..<20_000).map { Int64($0) * 10 }.filter { $0 >= from && $0 < to }
            #expect(try lines(TapeCursor(file, from: from, to: to)).map(\.time) == expected, "\(from)..<\(to)")
        }
    }

    @Test func aSingleTapeIsHandedOutWithoutCopying() throws {
        let scratch = try Scratch()
        let writer = try TapeWriter(creating: scratch.file("a.tape"), instruments: [bitcoin, ether])
        for i in 0..<10 { try writer.append(trade(Int64(i), instrument: UInt32(i % 2 + 1))) }
        try writer.close()
        let file = try TapeFile(scratch.file("a.tape"))
        let same = try #require(try TapeCursor(file, numbers: [1, 2]).next())
        #expect(same.start == file.base + file.blocks[0].offset)
        let renumbered = try lines(TapeCursor(file, numbers: [7, 0]))
        #expect(renumbered.map(\.instrument) == [7, 7, 7, 7, 7])
        #expect(renumbered.map(\.time) == [0, 2, 4, 6, 8])
        // The file itself is untouched.
        try file.verify()
    }

    @Test func aTornTailIsCutWhereverItTears() throws {
        let scratch = try Scratch()
        let path = scratch.file("a.tape")
        var writer = try TapeWriter(creating: path, instruments: [bitcoin])
        for i in 0..<4 { try writer.append(trade(Int64(i))) }
        try writer.flush()
        let whole = try scratch.bytes("a.tape").count
        for i in 4..<8 { try writer.append(trade(Int64(i))) }
        try writer.close()
        let bytes = try scratch.bytes("a.tape")
        for length in whole..<bytes.count {
            try scratch.write("cut.tape", Array(bytes[0..<length]))
            let file = try TapeFile(scratch.file("cut.tape"))
            #expect(file.eventCount == 4)
            #expect(file.tornBytes == length - whole)
        }
        // Power went before the last pages were written: they read as zeros.
        try scratch.write("cut.tape", Array(bytes[0..<whole]) + [UInt8](repeating: 0, count: 4096))
        #expect(try TapeFile(scratch.file("cut.tape")).tornBytes == 4096)
        // Appending goes on behind the last whole block.
        try scratch.write("cut.tape", Array(bytes[0..<bytes.count - 1]))
        writer = try TapeWriter(appendingTo: scratch.file("cut.tape"))
        #expect(throws: TapeError.outOfOrder(time: 2, after: 3)) { try writer.append(trade(2)) }
        try writer.append(trade(9))
        try writer.close()
        let file = try TapeFile(scratch.file("cut.tape"))
        #expect(try lines(TapeCursor(file)).map(\.time) == [0, 1, 2, 3, 9])
        #expect(file.tornBytes == 0)
    }

    /// One bit of every byte, a different one from byte to byte.
    @Test func everyFlippedBitIsFoundAndNamed() throws {
        let scratch = try Scratch()
        let path = scratch.file("a.tape")
        let writer = try TapeWriter(creating: path, instruments: [bitcoin], note: "a note")
        for i in 0..<3 { try writer.append(trade(Int64(i))) }
        try writer.flush()
        for i in 3..<6 { try writer.append(trade(Int64(i))) }
        try writer.close()
        let bytes = try scratch.bytes("a.tape")
        for bit in (0..<bytes.count).map({ $0 * 8 + ($0 * 5 + $0 / 8) % 8 }) {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            try scratch.write("bad.tape", damaged)
            do {
                let file = try TapeFile(scratch.file("bad.tape"))
                try file.verify()
                Issue.record("bit \(bit) flipped and nothing was found")
            } catch let error as TapeError {
                let text = error.description
                #expect(text.contains("bad.tape"))
                switch error {
                case .damagedBlock(_, _, let offset, _): #expect(abs(offset - bit / 8) <= 600, "\(text) for bit \(bit)")
                case .damagedHeader, .notATape, .newerVersion: #expect(bit < 64 * 8)
                default: Issue.record("bit \(bit): \(text)")
                }
            }
        }
    }

    @Test func aNewerVersionIsRefused() throws {
        let scratch = try Scratch()
        let path = scratch.file("a.tape")
        try TapeWriter(creating: path, instruments: [bitcoin]).close()
        var bytes = try scratch.bytes("a.tape")
        bytes[8] = 2
        try scratch.write("new.tape", bytes)
        #expect(throws: TapeError.newerVersion(path: scratch.file("new.tape"), found: 2, newest: 1)) { try TapeFile(scratch.file("new.tape")) }
        try scratch.write("text.tape", "ts_ms,open,high,low,close,volume\n1,2,3,4,5,6\n1,2,3,4,5,6\n1,2,3,4,5,6\n")
        #expect(throws: TapeError.notATape(path: scratch.file("text.tape"))) { try TapeFile(scratch.file("text.tape")) }
        try scratch.write("empty.tape", "")
        #expect(throws: TapeError.notATape(path: scratch.file("empty.tape"))) { try TapeFile(scratch.file("empty.tape")) }
        #expect(throws: TapeError.self) { try TapeFile(scratch.file("missing.tape")) }
        #expect(throws: TapeError.self) { try TapeFile(scratch.path) }
    }

    @Test func missingAndDoubledBlocksAreFound() throws {
        let scratch = try Scratch()
        let path = scratch.file("a.tape")
        let writer = try TapeWriter(creating: path, instruments: [bitcoin])
        var ends: [Int] = []
        for i in 0..<4 {
            try writer.append(trade(Int64(i)))
            try writer.flush()
            ends.append(try scratch.bytes("a.tape").count)
        }
        try writer.close()
        let bytes = try scratch.bytes("a.tape")
        try scratch.write("gap.tape", Array(bytes[0..<ends[0]] + bytes[ends[1]...]))
        #expect(throws: TapeError.self) { try TapeFile(scratch.file("gap.tape")) }
        try scratch.write("twice.tape", Array(bytes[0..<ends[1]] + bytes[ends[0]...]))
        #expect(throws: TapeError.self) { try TapeFile(scratch.file("twice.tape")) }
    }

    @Test func oneWriterAFile() throws {
        let scratch = try Scratch()
        let path = scratch.file("a.tape")
        let writer = try TapeWriter(creating: path, instruments: [bitcoin])
        #expect(throws: TapeError.locked(path: path)) { try TapeWriter(appendingTo: path) }
        #expect(throws: TapeError.self) { try TapeWriter(creating: path, instruments: []) }
        try writer.close()
        #expect(throws: TapeError.closed) { try writer.append(trade(1)) }
        try TapeWriter(appendingTo: path).close()
    }

    @Test func impossibleEventsAreRefused() throws {
        let scratch = try Scratch()
        let writer = try TapeWriter(creating: scratch.file("a.tape"), instruments: [bitcoin])
        #expect(throws: TapeError.unknownInstrument(path: scratch.file("a.tape"), id: 2)) { try writer.append(trade(0, instrument: 2)) }
        var short = trade(0)
        short.head.size = 60
        #expect(throws: TapeError.self) { try writer.append(short) }
        var value = EventForm.value(instrument: 0, time: 0, name: "x", value: 1)
        value[76] = 200  // the name's length
        #expect(throws: TapeError.self) { try writer.append(bytes: value) }
        #expect(throws: TapeError.self) { try writer.append(bytes: [1, 2, 3]) }
    }

    /// A tape is made with a valid checksum and a record that lies about its size: it must be refused, not followed.
    @Test func aRecordThatLiesIsRefusedBehindAGoodChecksum() throws {
        let scratch = try Scratch()
        let path = scratch.file("a.tape")
        let writer = try TapeWriter(creating: path, instruments: [bitcoin])
        try writer.append(trade(0))
        try writer.close()
        let good = try scratch.bytes("a.tape")
        let payload = try TapeFile(path).blocks[0].offset
        for (at, byte) in [(0, UInt8(200)), (0, 39), (0, 71), (4, UInt8(KEEL_EV_BAR)), (8, 9), (0, 0)] {
            var bad = good
            bad[payload + at] = byte
            bad.withUnsafeMutableBytes { raw in
                guard let base = raw.baseAddress else { return }
                let header = base + payload - 64
                header.storeBytes(of: Checksum.of(base + payload, count: 72), toByteOffset: 40, as: UInt64.self)
                header.storeBytes(of: Checksum.of(header, count: 56), toByteOffset: 56, as: UInt64.self)
            }
            try scratch.write("bad.tape", bad)
            let file = try TapeFile(scratch.file("bad.tape"))
            #expect(throws: TapeError.self, "byte \(at) = \(byte)") { try TapeCursor(file).next() }
        }
    }

    @Test(arguments: [UInt64(1), 2, 3]) func randomBytesNeverCrashTheReader(seed: UInt64) throws {
        let scratch = try Scratch()
        let path = scratch.file("a.tape")
        let writer = try TapeWriter(creating: path, instruments: [bitcoin, ether], note: "note")
        for i in 0..<50 { try writer.append(trade(Int64(i))) }
        try writer.close()
        let good = try scratch.bytes("a.tape")
        var chance = SeededGenerator(seed: seed)
        for round in 0..<300 {
            var bytes = good
            for _ in 0...chance.below(6) { bytes[Int(chance.below(UInt64(bytes.count)))] = UInt8(truncatingIfNeeded: chance.next()) }
            if chance.chance(0.3) { bytes.removeLast(Int(chance.below(UInt64(bytes.count)))) }
            try scratch.write("bad.tape", bytes)
            do { try TapeFile(scratch.file("bad.tape")).verify() } catch is TapeError {} catch { Issue.record("seed \(seed) round \(round): \(error)") }
        }
    }
}

@Suite struct MergeTests {
    @Test(arguments: [UInt64(11), 12, 13, 14]) func mergingIsAStableSort(seed: UInt64) throws {
        let scratch = try Scratch()
        var chance = SeededGenerator(seed: seed)
        let tapes = 1 + Int(chance.below(5))
        var all: [(key: Int64, tape: Int, index: Int, line: Line)] = []
        var files: [TapeFile] = []
        for tape in 0..<tapes {
            let path = scratch.file("\(tape).tape")
            let ordered = chance.chance(0.7)
            let writer = try TapeWriter(
                creating: path, instruments: [TapeInstrument(symbol: "A\(tape)/USD")], order: ordered ? .strict : .asReceived)
            var time: Int64 = 0
            var key = Int64.min
            for index in 0..<Int(chance.below(6000)) {
                time += Int64(chance.below(4))
                let stamp = ordered ? time : max(1, time - Int64(chance.below(3)))
                if stamp == 0 { continue }
                let event = trade(stamp, id: UInt64(tape * 100_000 + index))
                try writer.append(event)
                key = max(key, stamp)
                all.append((key, tape, index, Line(time: stamp, instrument: UInt32(tape + 1), kind: UInt16(KEEL_EV_TRADE), word: event.price)))
            }
            try writer.close()
            files.append(try TapeFile(path))
        }
        all.sort { ($0.key, $0.tape, $0.index) < ($1.key, $1.tape, $1.index) }
        let merge = try TapeMerge(files.enumerated().map { TapeCursor($1, numbers: [UInt32($0 + 1)]) })
        #expect(merge.remaining <= all.count)
        let merged = try lines(merge)
        #expect(merged == all.map(\.line), "seed \(seed)")
    }
}

@Suite struct RecorderTests {
    @Test func aRunsMarketEventsBecomeATape() throws {
        let scratch = try Scratch()
        let path = scratch.file("run.tape")
        let describe: (UInt32) -> TapeInstrument? = { $0 == 40 ? TapeInstrument(symbol: "ETH/USDT") : $0 == 3 ? TapeInstrument(symbol: "BTC/USDT") : nil }
        do {
            let recorder = try TapeRecorder(path: path, note: "run 1", created: 5, exists: false, describe: describe)
            for (index, instrument) in [40, 3, 40, 40, 3].enumerated() {
                let event = trade(Int64(index + 1), instrument: UInt32(instrument), id: UInt64(index))
                try withUnsafeBytes(of: event) { try recorder.record(#require($0.baseAddress).assumingMemoryBound(to: keel_event.self)) }
            }
            var order = keel_ev_order()
            order.head.size = UInt32(MemoryLayout<keel_ev_order>.size)
            order.head.kind = UInt16(KEEL_EV_ORDER)
            try withUnsafeBytes(of: order) { try recorder.record(#require($0.baseAddress).assumingMemoryBound(to: keel_event.self)) }
            #expect(recorder.recorded == 5)
            #expect(recorder.skipped == 1)
            try recorder.writer.close()
        }
        // A later run goes on in the same file, its clock behind the first one's.
        let recorder = try TapeRecorder(path: path, note: "", created: 0, exists: true, describe: describe)
        let event = trade(2, instrument: 3)
        try withUnsafeBytes(of: event) { try recorder.record(#require($0.baseAddress).assumingMemoryBound(to: keel_event.self)) }
        try recorder.writer.close()
        let file = try TapeFile(path)
        #expect(file.instruments.map(\.symbol) == ["ETH/USDT", "BTC/USDT"])
        #expect(try lines(TapeCursor(file)).map(\.instrument) == [1, 2, 1, 1, 2, 2])
        #expect(!file.ordered)
    }
}

@Suite struct GeneratorTests {
    @Test func theSameSeedGivesTheSameNumbers() {
        // xoshiro256** from the state 1, 2, 3, 4: the reference sequence.
        var reference = SeededGenerator(state: (1, 2, 3, 4))
        #expect((0..<4).compactMap { _ in reference?.next() } == [11520, 0, 1_509_978_240, 1_215_971_899_390_074_240])
        #expect(SeededGenerator(state: (0, 0, 0, 0)) == nil)
        // splitmix64 of seed 0 starts e220a8397b1dcdaf.
        #expect(SeededGenerator(seed: 0).state.0 == 0xE220_A839_7B1D_CDAF)
        var a = SeededGenerator.stream(seed: 7, "a")
        var b = SeededGenerator.stream(seed: 7, "b")
        #expect(a.next() != b.next())
    }

    @Test func drawsHaveTheirMoments() {
        var chance = SeededGenerator(seed: 5)
        let n = 100_000
        var sum = 0.0
        var square = 0.0
        for _ in 0..<n {
            let x = chance.bell()
            sum += x
            square += x * x
        }
        #expect(abs(sum / Double(n)) < 4 / Double(n).squareRoot())
        #expect(abs(square / Double(n) - 1) < 4 * (2 / Double(n)).squareRoot())
        var counts = [Int](repeating: 0, count: 7)
        for _ in 0..<70_000 { counts[Int(chance.below(7))] += 1 }
        #expect(counts.allSatisfy { abs($0 - 10_000) < 400 })
        #expect(chance.below(0) == 0)
    }

    @Test(arguments: [UInt64(1), 2, 3, 99]) func barsAreSound(seed: UInt64) {
        var settings = MarketGenerator.Settings()
        settings.seed = seed
        var market = MarketGenerator(settings)
        var before: MarketGenerator.Bar?
        var regimes: Set<Int> = []
        for index in 0..<20_000 {
            let bar = market.nextBar()
            regimes.insert(market.regime.rawValue)
            #expect(bar.high >= max(bar.open, bar.close) && bar.low <= min(bar.open, bar.close) && bar.low.isPositive && bar.volume.isPositive, "seed \(seed) bar \(index)")
            if let before {
                #expect(bar.open == before.close)
                #expect(bar.openTime == before.openTime + settings.bar)
            }
            before = bar
        }
        #expect(regimes.count == 4)
    }

    @Test func tradesRiseInTimeAndRepeat() {
        var settings = MarketGenerator.Settings()
        settings.seed = 3
        var a = MarketGenerator(settings)
        var b = MarketGenerator(settings)
        var last = Int64.min
        for _ in 0..<20_000 {
            let trade = a.nextTrade()
            #expect(trade == b.nextTrade())
            #expect(trade.time > last && trade.price.isPositive && trade.quantity.isPositive)
            last = trade.time
        }
        settings.seed = 4
        var c = MarketGenerator(settings)
        #expect((0..<10).map { _ in c.nextTrade().price } != (0..<10).map { _ in a.nextTrade().price })
    }
}

@Suite struct TimeTests {
    @Test func textAndBack() {
        for (text, value) in [
            ("1970-01-01T00:00:00Z", 0), ("2022-01-31T05:31:00Z", 1_643_607_060_000_000_000), ("1969-12-31T23:59:59.999Z", -1_000_000),
            ("2024-02-29T12:00:00.000001Z", 1_709_208_000_000_001_000), ("2000-03-01T00:00:00.000000007Z", 951_868_800_000_000_007),
        ] as [(String, Int64)] {
            #expect(UTCTime.text(value) == text)
            #expect(UTCTime.parse(text) == value)
        }
        #expect(UTCTime.parse("2024-01-01") == 1_704_067_200_000_000_000)
        #expect(UTCTime.parse("2024/01/01 09:30") == 1_704_101_400_000_000_000)
        #expect(UTCTime.parse("20240101 09:30") == 1_704_101_400_000_000_000)
        #expect(UTCTime.parse("2024-01-01T09:30:00+09:00") == 1_704_069_000_000_000_000)
        #expect(UTCTime.parse("2024-01-01 09:30:00-0530") == 1_704_121_200_000_000_000)
        #expect(UTCTime.parse("1704067200") == 1_704_067_200_000_000_000)
        #expect(UTCTime.parse("1704067200000") == 1_704_067_200_000_000_000)
        #expect(UTCTime.parse("1704067200000000") == 1_704_067_200_000_000_000)
        for bad in ["", "2023-02-29", "2024-13-01", "2024-01-01T25:00", "2024-01-01x", "2024-01-01T", "12", "-5", "2024-01-01T00:00:00.1234567891"] {
            #expect(UTCTime.parse(bad) == nil, "\(bad)")
        }
    }

    @Test func everyDayOfFourCenturies() {
        var day = UTCTime.days(year: 1800, month: 1, day: 1)
        for year in 1800..<2200 {
            for month in 1...12 {
                for dayOfMonth in 1...UTCTime.monthLength(year: year, month: month) {
                    #expect(UTCTime.days(year: year, month: month, day: dayOfMonth) == day)
                    let date = UTCTime.date(days: day)
                    if date != (year, month, dayOfMonth) { Issue.record("\(date)") }
                    day += 1
                }
            }
        }
    }
}
