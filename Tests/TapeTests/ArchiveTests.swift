import Foundation
import PluginKit
import Testing

@testable import Tape

/// Packs files into a zip, stored or with the simplest compression there is.
enum ZipMaker {
    static func archive(_ members: [(String, [UInt8])], deflate: ([UInt8]) -> [UInt8]? = { _ in nil }) -> [UInt8] {
        var out: [UInt8] = []
        var directory: [UInt8] = []
        func u16(_ value: Int) -> [UInt8] { [UInt8(value & 255), UInt8(value >> 8 & 255)] }
        func u32(_ value: Int) -> [UInt8] { u16(value & 0xFFFF) + u16(value >> 16 & 0xFFFF) }
        for (name, bytes) in members {
            let packed = deflate(bytes)
            let data = packed ?? bytes
            var crc = CRC32()
            bytes.withUnsafeBytes { crc.add($0) }
            let common =
                u16(20) + u16(0) + u16(packed == nil ? 0 : 8) + u32(0) + u32(Int(crc.value)) + u32(data.count) + u32(bytes.count) + u16(name.utf8.count) + u16(0)
            directory += u32(0x0201_4B50) + u16(20) + common + u16(0) + u16(0) + u16(0) + u32(0) + u32(out.count) + Array(name.utf8)
            out += u32(0x0403_4B50) + common + Array(name.utf8) + data
        }
        let start = out.count
        return out + directory + u32(0x0605_4B50) + u32(0) + u16(members.count) + u16(members.count) + u32(directory.count) + u32(start) + u16(0)
    }

    /// Matches and literals in the fixed code: what a compressor that looks back does, without its tables.
    static func fixedDeflate(_ input: [UInt8], _ chance: inout SeededGenerator) -> [UInt8] {
        var bits: [Bool] = []
        func number(_ value: Int, _ count: Int) { for i in 0..<count { bits.append(value >> i & 1 == 1) } }
        func code(_ value: Int, _ count: Int) { for i in (0..<count).reversed() { bits.append(value >> i & 1 == 1) } }
        func literal(_ symbol: Int) {
            switch symbol {
            case 0..<144: code(0x30 + symbol, 8)
            case 144..<256: code(0x190 + symbol - 144, 9)
            case 256..<280: code(symbol - 256, 7)
            default: code(0xC0 + symbol - 280, 8)
            }
        }
        number(1, 1)
        number(1, 2)
        var at = 0
        while at < input.count {
            // Length 3...10 (codes 257...264) at distance 1...4 (codes 0...3) need no extra bits.
            let distance = 1 + Int(chance.below(4))
            var length = 0
            while length < 10, at >= distance, at + length < input.count, input[at + length] == input[at + length - distance] { length += 1 }
            if length >= 3 {
                literal(254 + length)
                code(distance - 1, 5)
                at += length
            } else {
                literal(Int(input[at]))
                at += 1
            }
        }
        literal(256)
        while bits.count % 8 != 0 { bits.append(false) }
        return stride(from: 0, to: bits.count, by: 8).map { base in (0..<8).reduce(UInt8(0)) { $0 | (bits[base + $1] ? 1 << UInt8($1) : 0) } }
    }
}

func inflated(_ bytes: [UInt8]) throws -> [UInt8] {
    try bytes.withUnsafeBytes { raw in
        let inflate = Inflate(raw)
        var out: [UInt8] = []
        while let piece = try inflate.next() { out += piece }
        return out
    }
}

@Suite struct InflateTests {
    @Test func streamsOfZlibComeBackWhole() throws {
        typealias F = DeflateFixtures
        for (name, stream, expected, sum) in [
            ("dynamic", F.dynamicStream, F.rows, F.dynamicSum), ("fixed", F.fixedStream, F.rows, F.fixedSum),
            ("stored", F.storedStream, Array(F.rows.prefix(90)), F.storedSum), ("skew", F.skewStream, F.skewed, F.skewSum), ("run", F.runStream, F.run, F.runSum),
        ] {
            let out = try inflated(stream)
            #expect(out == expected, "\(name)")
            var crc = CRC32()
            out.withUnsafeBytes { crc.add($0) }
            #expect(crc.value == sum, "\(name)")
        }
    }

    @Test func everyCutIsNoticed() throws {
        for stream in [DeflateFixtures.dynamicStream, DeflateFixtures.fixedStream, DeflateFixtures.storedStream, DeflateFixtures.skewStream] {
            for length in 0..<stream.count - 1 { #expect(throws: InflateError.self, "\(length) of \(stream.count)") { try inflated(Array(stream[0..<length])) } }
        }
    }

    @Test(arguments: [UInt64(21), 22, 23]) func damageNeverCrashes(seed: UInt64) {
        var chance = SeededGenerator(seed: seed)
        let streams = [DeflateFixtures.dynamicStream, DeflateFixtures.skewStream, DeflateFixtures.runStream, DeflateFixtures.fixedStream]
        for round in 0..<600 {
            var bytes = streams[round % streams.count]
            for _ in 0...chance.below(4) { bytes[Int(chance.below(UInt64(bytes.count)))] = UInt8(truncatingIfNeeded: chance.next()) }
            do {
                // Random codes may decode to anything, but not to more than a thousandfold.
                let out = try inflated(bytes)
                #expect(out.count <= bytes.count * 1100, "seed \(seed) round \(round)")
            } catch is InflateError {} catch { Issue.record("seed \(seed) round \(round): \(error)") }
        }
        for round in 0..<600 {
            let bytes = (0..<Int(chance.below(200))).map { _ in UInt8(truncatingIfNeeded: chance.next()) }
            do { _ = try inflated(bytes) } catch is InflateError {} catch { Issue.record("seed \(seed) round \(round): \(error)") }
        }
    }

    @Test(arguments: [UInt64(31), 32, 33]) func whatIsPackedComesBack(seed: UInt64) throws {
        var chance = SeededGenerator(seed: seed)
        for round in 0..<20 {
            let letters = 1 + chance.below(6)
            let input = (0..<Int(chance.below(4000))).map { _ in chance.chance(0.02) ? UInt8(truncatingIfNeeded: chance.next()) : UInt8(97 + chance.below(letters)) }
            let packed = ZipMaker.fixedDeflate(input, &chance)
            #expect(try inflated(packed) == input, "seed \(seed) round \(round)")
        }
        // Longer than the window and several pieces: every byte may be referred to across a slide.
        let long = (0..<700_000).map { _ in UInt8(97 + chance.below(3)) }
        #expect(try inflated(ZipMaker.fixedDeflate(long, &chance)) == long, "seed \(seed)")
    }
}

@Suite struct ZipTests {
    func text(_ stream: ByteStream) throws -> String {
        var out: [UInt8] = []
        while let piece = try stream.next() { out += piece }
        return String(decoding: out, as: UTF8.self)
    }

    @Test func membersComeInTheOrderOfTheirNames() throws {
        let scratch = try Scratch()
        try scratch.write("a.zip", ZipMaker.archive([("b.csv", Array("two".utf8)), ("a.csv", Array("one".utf8)), ("dir/", []), ("__MACOSX/x.csv", [1])]))
        let streams = try ByteStream.open(scratch.file("a.zip"))
        #expect(streams.map(\.name) == ["a.csv", "b.csv"])
        #expect(try streams.map(text) == ["one", "two"])
        #expect(try streams.map { try text($0.fresh()) } == ["one", "two"])
        try scratch.write("d.zip", ZipMaker.archive([("rows.csv", DeflateFixtures.rows)]) { _ in DeflateFixtures.dynamicStream })
        #expect(try text(ByteStream.open(scratch.file("d.zip"))[0]) == String(decoding: DeflateFixtures.rows, as: UTF8.self))
    }

    @Test func aTruncatedZipIsNamed() throws {
        let scratch = try Scratch()
        let whole = ZipMaker.archive([("rows.csv", DeflateFixtures.rows)]) { _ in DeflateFixtures.dynamicStream }
        for length in [10, 40, 200, whole.count / 2, whole.count - 30, whole.count - 1] {
            try scratch.write("cut.zip", Array(whole[0..<length]))
            do {
                for stream in try ByteStream.open(scratch.file("cut.zip")) { _ = try text(stream) }
                Issue.record("\(length) bytes of \(whole.count) were taken for whole")
            } catch let error as ImportError {
                #expect(error.description.contains("cut.zip"))
                #expect(error.description.contains("truncated"), "\(error)")
            }
        }
    }

    @Test func everyDamagedByteOfAMemberIsNoticed() throws {
        let scratch = try Scratch()
        let whole = ZipMaker.archive([("rows.csv", DeflateFixtures.rows)]) { _ in DeflateFixtures.dynamicStream }
        let data = 30 + 8
        for at in data..<data + DeflateFixtures.dynamicStream.count {
            var bytes = whole
            bytes[at] ^= 0x10
            try scratch.write("bad.zip", bytes)
            // A bit that means nothing (behind the end, a code nobody uses) leaves the text whole: any other is noticed.
            do {
                let read = try text(ByteStream.open(scratch.file("bad.zip"))[0])
                #expect(read == String(decoding: DeflateFixtures.rows, as: UTF8.self), "byte \(at)")
            } catch is ImportError {}
        }
    }

    @Test(arguments: [UInt64(41), 42]) func damagedDirectoriesNeverCrash(seed: UInt64) throws {
        let scratch = try Scratch()
        var chance = SeededGenerator(seed: seed)
        let whole = ZipMaker.archive([("rows.csv", Array(DeflateFixtures.rows.prefix(50))), ("more.csv", Array("x".utf8))])
        for round in 0..<300 {
            var bytes = whole
            for _ in 0...chance.below(3) {
                // The directory is the interesting part.
                let at = chance.chance(0.8) ? bytes.count - 1 - Int(chance.below(130)) : Int(chance.below(UInt64(bytes.count)))
                bytes[at] = chance.chance(0.3) ? 0xFF : UInt8(truncatingIfNeeded: chance.next())
            }
            try scratch.write("bad.zip", bytes)
            do {
                for stream in try ByteStream.open(scratch.file("bad.zip")) { _ = try text(stream) }
            } catch is ImportError {} catch { Issue.record("seed \(seed) round \(round): \(error)") }
        }
    }

    @Test func gzipIsReadToo() throws {
        let scratch = try Scratch()
        var crc = CRC32()
        DeflateFixtures.rows.withUnsafeBytes { crc.add($0) }
        let sum = (0..<4).map { UInt8(truncatingIfNeeded: crc.value >> (8 * UInt32($0))) }
        let size = (0..<4).map { UInt8(truncatingIfNeeded: DeflateFixtures.rows.count >> (8 * $0)) }
        let head: [UInt8] = [0x1F, 0x8B, 8, 8, 0, 0, 0, 0, 0, 3] + Array("rows.csv".utf8) + [0]
        try scratch.write("rows.csv.gz", head + DeflateFixtures.dynamicStream + sum + size)
        let stream = try ByteStream.open(scratch.file("rows.csv.gz"))[0]
        #expect(stream.name == "rows.csv")
        #expect(try text(stream) == String(decoding: DeflateFixtures.rows, as: UTF8.self))
    }
}
