import Foundation
import Glibc
import Testing

@testable import HostLedger

@Suite struct ChecksumTests {
    /// From the reference implementation, for bytes (7 i + 3) mod 256.
    @Test(arguments: [
        (0, 0xEF46DB3751D8E999, 0x7FEF5B0C316777ED),
        (1, 0x1F25C8D0BC1F4BB6, 0x1E2EA53A3040E362),
        (3, 0x31D2363F52E564C9, 0x05C22BC4B93347D9),
        (4, 0x9BB64B7D66EE9FDA, 0x6F43828B2DC8C736),
        (7, 0x9A7B149959CE60D8, 0x8BA3F8E8DCFC9A32),
        (8, 0xDAB99D95C6F90092, 0x311893BA9020DEDF),
        (12, 0xD52E407833AF5133, 0xE9E507001465EEC1),
        (31, 0xA2AA5F33CC4A6119, 0x2C9E9C9D631D0AAA),
        (32, 0x23C3C17EF790FD97, 0xD1DC5D84AEBDAFB4),
        (33, 0x50A7CFC7BA588784, 0x4C4DB23E16391B47),
        (63, 0x5E3E54B431C7493C, 0xA89A91242F37EB2D),
        (64, 0x0EB64B3EF6EEB01F, 0xF5D7DA99A82361FB),
        (100, 0xA61F8D4C170FE531, 0x3C691E06B9FCC7DB),
        (1000, 0x5F235FA033F1A3FB, 0x2C07C91F9C8937BD),
    ] as [(Int, UInt64, UInt64)])
    func agreesWithTheReference(count: Int, plain: UInt64, seeded: UInt64) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7 + 3) }
        #expect(Checksum.of(bytes) == plain)
        #expect(Checksum.of(bytes, seed: 0x1234_5678_9ABC_DEF0) == seeded)
    }
}

@Suite struct JournalTests {
    struct Copy: Equatable {
        var sequence: UInt64
        var kind: UInt16
        var port: UInt16
        var time: Int64
        var bytes: [UInt8]
    }

    /// Everything readable, and how it ended.
    static func read(_ path: String) throws -> (records: [Copy], ending: JournalEnd?, trace: EffectTrace) {
        let reader = try JournalReader(path: path)
        var records: [Copy] = []
        while let record = try reader.next() {
            records.append(Copy(sequence: record.sequence, kind: record.kind.rawValue, port: record.port, time: record.time, bytes: [UInt8](record.bytes)))
        }
        return (records, reader.ending, reader.trace)
    }

    /// Random records; `sync` now and then, so that there are blocks of every size. Returns what was appended, and the trace.
    static func fill(_ writer: JournalWriter, dice: inout Dice, count: Int, largest: Int = 300) throws -> [Copy] {
        var expected: [Copy] = []
        for index in 0..<count {
            let bytes = (0..<dice.below(largest)).map { _ in UInt8(truncatingIfNeeded: dice.next()) }
            let port = UInt16(dice.below(5))
            let time = Int64(index) * 1_000
            if dice.chance(20) {
                let keep = dice.chance(50)
                bytes.withUnsafeBytes { writer.effect(.effect(7), port: port, time: time, $0, keep: keep) }
                if keep { expected.append(Copy(sequence: writer.sequence, kind: JournalKind.effect(7).rawValue, port: port, time: time, bytes: bytes)) }
            } else {
                let sequence = bytes.withUnsafeBytes { writer.append(.event, port: port, time: time, $0) }
                expected.append(Copy(sequence: sequence, kind: JournalKind.event.rawValue, port: port, time: time, bytes: bytes))
            }
            if dice.chance(10) { try writer.sync() }
        }
        return expected
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func givesBackWhatWasAppended(seed: UInt64) throws {
        let folder = try Folder()
        var dice = Dice(seed: seed)
        var expected: [Copy] = []
        var trace = EffectTrace()
        do {
            let writer = try JournalWriter(path: folder.file("j"), run: 7, created: 5)
            expected = try JournalTests.fill(writer, dice: &dice, count: 2_000, largest: 400)
            let big = [UInt8](repeating: 9, count: 1_000_001)
            let sequence = big.withUnsafeBytes { writer.append(.origin, port: 0, time: 1, $0) }
            expected.append(Copy(sequence: sequence, kind: JournalKind.origin.rawValue, port: 0, time: 1, bytes: big))
            expected += try JournalTests.fill(writer, dice: &dice, count: 50)
            trace = writer.trace
        }
        let found = try JournalTests.read(folder.file("j"))
        #expect(found.records == expected, "seed \(seed)")
        #expect(found.ending == .whole)
        #expect(found.trace == trace)
        #expect(trace.count > 0)
    }

    @Test func recordsAreAlignedForEvents() throws {
        let folder = try Folder()
        do {
            let writer = try JournalWriter(path: folder.file("j"), run: 1, created: 0)
            for length in 0..<40 { [UInt8](repeating: 1, count: length).withUnsafeBytes { _ = writer.append(.event, port: 0, time: 0, $0) } }
        }
        let reader = try JournalReader(path: folder.file("j"))
        var count = 0
        while let record = try reader.next() {
            #expect(UInt(bitPattern: record.bytes.baseAddress) % 8 == 0)
            #expect(record.bytes.count == count)
            count += 1
        }
        #expect(count == 40)
    }

    /// A file cut anywhere gives a prefix that ends with a block, never an error in the middle, never a wrong record; and a writer goes on from there.
    @Test func survivesACutAtEveryByte() throws {
        let folder = try Folder()
        var dice = Dice(seed: 11)
        var expected: [Copy] = []
        var lengths: [(end: Int, records: Int)] = []
        do {
            let writer = try JournalWriter(path: folder.file("j"), run: 3, created: 0)
            for _ in 0..<6 {
                expected += try JournalTests.fill(writer, dice: &dice, count: 4, largest: 60)
                try writer.sync()
                lengths.append((try folder.bytes("j").count, expected.count))
            }
        }
        let whole = try folder.bytes("j")
        #expect(whole.count == lengths.last?.end)
        for cut in 0..<whole.count {
            try folder.write(Array(whole[..<cut]), "cut")
            if cut < JournalFormat.headerSize {
                #expect(throws: JournalError.notAJournal(path: folder.file("cut"), why: JournalReader.shortHeader)) { try JournalTests.read(folder.file("cut")) }
            } else {
                let found = try JournalTests.read(folder.file("cut"))
                // At least everything of the last sync the cut spared; fill syncs in between too.
                let spared = lengths.last { $0.end <= cut }?.records ?? 0
                #expect(found.records.count >= spared)
                #expect(found.records == Array(expected.prefix(found.records.count)), "cut at \(cut)")
            }
            if cut % 7 == 0 {
                let writer = try JournalWriter(path: folder.file("cut"), run: 3, created: 0)
                let before = writer.sequence
                [1, 2, 3].withUnsafeBytes { _ = writer.append(.timer, port: 9, time: 1, $0) }
                try writer.sync()
                let again = try JournalTests.read(folder.file("cut"))
                #expect(again.ending == .whole)
                #expect(again.records.last?.sequence == before + 1)
                #expect(again.records.dropLast() == expected.prefix(again.records.count - 1))
            }
        }
    }

    /// One flipped bit anywhere: either the reader says damaged, or it gives a true prefix. Never a record that was not written.
    @Test func noticesEveryFlippedBit() throws {
        let folder = try Folder()
        var dice = Dice(seed: 12)
        var expected: [Copy] = []
        var lastBlock = 0
        do {
            let writer = try JournalWriter(path: folder.file("j"), run: 3, created: 0)
            for _ in 0..<3 {
                expected += try JournalTests.fill(writer, dice: &dice, count: 3, largest: 40)
                try writer.sync()
            }
            lastBlock = try folder.bytes("j").count
            expected += try JournalTests.fill(writer, dice: &dice, count: 2, largest: 40)
        }
        let whole = try folder.bytes("j")
        var damaged = 0
        var torn = 0
        try folder.write(whole, "flip")
        let descriptor = open(folder.file("flip"), O_WRONLY)
        defer { close(descriptor) }
        // One bit of each byte; all of them with KEEL_LEDGER_BITS=8.
        let bits = Int(ProcessInfo.processInfo.environment["KEEL_LEDGER_BITS"] ?? "") ?? 1
        for bit in (0..<whole.count).flatMap({ byte in (0..<bits).map { byte * 8 + (byte * 5 + $0) % 8 } }) {
            var byte = whole[bit / 8] ^ 1 << UInt8(bit % 8)
            #expect(pwrite(descriptor, &byte, 1, bit / 8) == 1)
            defer {
                byte = whole[bit / 8]
                pwrite(descriptor, &byte, 1, bit / 8)
            }
            do {
                let found = try JournalTests.read(folder.file("flip"))
                if found.records.count >= expected.count { Issue.record("bit \(bit) went unnoticed") }
                if found.records != Array(expected.prefix(found.records.count)) { Issue.record("bit \(bit) made another record") }
                if bit / 8 < lastBlock { Issue.record("bit \(bit) in the middle was taken for a torn end") }
                torn += 1
            } catch is JournalError {
                damaged += 1
            }
        }
        #expect(damaged > 0 && torn > 0)
    }

    @Test func aMissingBlockIsDamage() throws {
        let folder = try Folder()
        var ends: [Int] = []
        do {
            let writer = try JournalWriter(path: folder.file("j"), run: 3, created: 0)
            for index in 0..<3 {
                [UInt8(index)].withUnsafeBytes { _ = writer.append(.event, port: 0, time: 0, $0) }
                try writer.sync()
                ends.append(try folder.bytes("j").count)
            }
        }
        let whole = try folder.bytes("j")
        try folder.write(Array(whole[..<ends[0]] + whole[ends[1]...]), "less")
        let reader = try JournalReader(path: folder.file("less"))
        _ = try reader.next()
        #expect(throws: JournalError.damaged(path: folder.file("less"), offset: Int64(ends[0]), after: 1, why: "a block is missing before this one")) { try reader.next() }
        #expect(try reader.next() == nil)
    }

    @Test func refusesWhatIsNoJournal() throws {
        let folder = try Folder()
        try folder.write([UInt8](repeating: 65, count: 500), "text")
        #expect(throws: JournalError.notAJournal(path: folder.file("text"), why: "it doesn't start with KEELJNL1")) { try JournalReader(path: folder.file("text")) }
        #expect(throws: JournalError.missing(path: folder.file("none"))) { try JournalReader(path: folder.file("none")) }
        do { _ = try JournalWriter(path: folder.file("run4"), run: 4, created: 0) }
        #expect(throws: JournalError.notAJournal(path: folder.file("run4"), why: "it belongs to run 4, not 5")) {
            try JournalWriter(path: folder.file("run4"), run: 5, created: 0)
        }
        var newer = try folder.bytes("run4")
        newer[8] = 2
        newer.withUnsafeMutableBytes { raw in
            raw.storeBytes(of: Checksum.of(UnsafeRawBufferPointer(rebasing: raw[..<56])), toByteOffset: 56, as: UInt64.self)
        }
        try folder.write(newer, "newer")
        #expect(throws: JournalError.newer(path: folder.file("newer"), version: 2)) { try JournalReader(path: folder.file("newer")) }
    }

    /// What is compared in a replay is the same whether or not bytes were kept, and depends on each byte, kind, port and on the order.
    @Test func theTraceSeesEverything() {
        func trace(_ steps: [(UInt8, UInt16, [UInt8])]) -> EffectTrace {
            var trace = EffectTrace()
            for (kind, port, bytes) in steps { bytes.withUnsafeBytes { trace.note(.effect(kind), port: port, $0) } }
            return trace
        }
        let base = trace([(1, 1, [1, 2]), (2, 1, [3])])
        #expect(base == trace([(1, 1, [1, 2]), (2, 1, [3])]))
        #expect(base.count == 2)
        for other in [[(2, 1, [3]), (1, 1, [1, 2])], [(1, 1, [1, 2]), (2, 2, [3])], [(1, 1, [1, 2]), (3, 1, [3])], [(1, 1, [1]), (2, 1, [2, 3])]] as [[(UInt8, UInt16, [UInt8])]] {
            #expect(trace(other).hash != base.hash)
        }
    }
}
