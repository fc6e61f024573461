import Glibc

// The input journal of one run: everything that reached the engine, in the one total order it was processed in,
// and what the engine did about it. docs/ledger.md describes the file for people.
//
//   file   = header (64 bytes), blocks
//   header = magic 8, version u32, header size u32, run u64, created i64, zeros 24, checksum u64
//   block  = magic u32, payload length u32, first sequence u64, records u32, flags u32, chain u64, checksum u64, payload
//   record = length u32, kind u16, port u16, time i64, bytes, zeros up to a multiple of 8
//
// Everything is little-endian and 8-byte aligned, so a recorded keel_event can be used where it lies. The checksum of a
// block covers its header and its payload; the chain is the checksum of the block before, so a missing block shows.

/// What a journal record is. The engine's shell may add kinds of its own; unknown ones are carried along.
public struct JournalKind: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt16
    @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Where the run starts: the restored engine state and settings, as bytes only the caller reads.
    public static let origin = JournalKind(rawValue: 1)
    /// A keel_event as it arrived; port: the plugin it came from.
    public static let event = JournalKind(rawValue: 2)
    public static let timer = JournalKind(rawValue: 3)
    public static let command = JournalKind(rawValue: 4)
    /// What a call out returned: the status of submit, cancel, observe and their like.
    public static let answer = JournalKind(rawValue: 5)

    /// From here on: what the engine did, not what reached it.
    public static let firstEffect = JournalKind(rawValue: 0x8000)
    /// Written by the journal itself at the end of a block: the running hash over all effects so far, and their number.
    static let effectsHash = JournalKind(rawValue: 0xFFFF)

    /// An effect whose meaning is the caller's.
    @inlinable public static func effect(_ number: UInt8) -> JournalKind { JournalKind(rawValue: 0x8000 | UInt16(number)) }

    @inlinable public var isEffect: Bool { rawValue >= 0x8000 }
}

/// The running hash over effects: the same function records them and checks a replay.
public struct EffectTrace: Equatable, Sendable {
    public private(set) var hash: UInt64 = 0
    public private(set) var count: UInt64 = 0

    public init() {}

    init(hash: UInt64, count: UInt64) {
        self.hash = hash
        self.count = count
    }

    public mutating func note(_ kind: JournalKind, port: UInt16, _ bytes: UnsafeRawBufferPointer) {
        hash = Checksum.of(bytes, seed: hash ^ (UInt64(kind.rawValue) << 16 | UInt64(port)))
        count &+= 1  // a counter of calls in this process: 2^64 is out of reach
    }
}

enum JournalFormat {
    static let fileMagic: UInt64 = 0x314C_4E4A_4C45_454B  // "KEELJNL1"
    static let version: UInt32 = 1
    static let headerSize = 64
    static let blockMagic: UInt32 = 0x4B4C_424B  // "KBLK"
    static let blockHeaderSize = 40
    static let recordHeaderSize = 16
    /// A block is closed when the next record would take its payload beyond this.
    static let blockTarget = 64 * 1024
    /// The largest payload a reader accepts: one record of this size is the largest there can be.
    static let blockMaximum = 64 * 1024 * 1024

    @inline(__always)
    static func padded(_ length: Int) -> Int { (length &+ 7) & ~7 }

    static func header(run: UInt64, created: Int64) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: headerSize)
        bytes.withUnsafeMutableBytes { raw in
            raw.storeBytes(of: fileMagic.littleEndian, toByteOffset: 0, as: UInt64.self)
            raw.storeBytes(of: version.littleEndian, toByteOffset: 8, as: UInt32.self)
            raw.storeBytes(of: UInt32(headerSize).littleEndian, toByteOffset: 12, as: UInt32.self)
            raw.storeBytes(of: run.littleEndian, toByteOffset: 16, as: UInt64.self)
            raw.storeBytes(of: created.littleEndian, toByteOffset: 24, as: Int64.self)
            let sum = Checksum.of(UnsafeRawBufferPointer(rebasing: raw[..<56]))
            raw.storeBytes(of: sum.littleEndian, toByteOffset: 56, as: UInt64.self)
        }
        return bytes
    }

    /// Writes a block header over the first 40 bytes of `block`, whose payload follows them; gives its checksum.
    static func seal(_ block: UnsafeMutableRawBufferPointer, first: UInt64, records: UInt32, chain: UInt64) -> UInt64 {
        let payload = block.count - blockHeaderSize
        block.storeBytes(of: blockMagic.littleEndian, toByteOffset: 0, as: UInt32.self)
        block.storeBytes(of: UInt32(truncatingIfNeeded: payload).littleEndian, toByteOffset: 4, as: UInt32.self)
        block.storeBytes(of: first.littleEndian, toByteOffset: 8, as: UInt64.self)
        block.storeBytes(of: records.littleEndian, toByteOffset: 16, as: UInt32.self)
        block.storeBytes(of: UInt32(0), toByteOffset: 20, as: UInt32.self)
        block.storeBytes(of: chain.littleEndian, toByteOffset: 24, as: UInt64.self)
        let sum = checksum(UnsafeRawBufferPointer(block))
        block.storeBytes(of: sum.littleEndian, toByteOffset: 32, as: UInt64.self)
        return sum
    }

    static func checksum(_ block: UnsafeRawBufferPointer) -> UInt64 {
        let head = Checksum.of(UnsafeRawBufferPointer(rebasing: block[..<32]))
        return Checksum.of(UnsafeRawBufferPointer(rebasing: block[blockHeaderSize...]), seed: head)
    }

    /// The header of a block; nil unless its fields can be true.
    struct BlockHeader {
        var payload: Int
        var first: UInt64
        var records: UInt32
        var chain: UInt64
        var checksum: UInt64

        init?(_ raw: UnsafeRawBufferPointer) {
            guard raw.count >= blockHeaderSize, UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 0, as: UInt32.self)) == blockMagic else { return nil }
            payload = Int(UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
            first = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            records = UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 16, as: UInt32.self))
            chain = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
            checksum = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 32, as: UInt64.self))
            guard payload >= recordHeaderSize, payload % 8 == 0, payload <= blockMaximum, records > 0, first > 0 else { return nil }
        }
    }
}

/// Why a journal can't be read (any further).
public enum JournalError: Error, Equatable, Sendable, CustomStringConvertible {
    case missing(path: String)
    case cannotRead(path: String, why: String)
    case notAJournal(path: String, why: String)
    case newer(path: String, version: UInt32)
    /// Whole blocks follow the damaged place: this is not the torn end of a killed run. `after`: last good sequence.
    case damaged(path: String, offset: Int64, after: UInt64, why: String)
    /// Records were dropped while the disk was full or failing: what follows can't be replayed.
    case gap(path: String, from: UInt64, to: UInt64)

    public var description: String {
        switch self {
        case .missing(let path): "there is no journal at \(path)"
        case .cannotRead(let path, let why): "\(path) can't be read: \(why)"
        case .notAJournal(let path, let why): "\(path) is not a run's journal: \(why)"
        case .newer(let path, let version): "\(path) was written by a newer keel (journal version \(version), this program knows \(JournalFormat.version))"
        case .damaged(let path, let offset, let after, let why): "\(path) is damaged at byte \(offset), after record \(after): \(why)"
        case .gap(let path, let from, let to): "\(path) lacks records \(from) to \(to): the disk was full or failing when they were due"
        }
    }
}
