import PluginAPI

// A tape, version 1, little-endian, every part a multiple of 8 bytes:
//
//   file header   64   "KEELTAPE", version, header size, time of creation, zeros, checksum of what stands before
//   block*             header of 64 bytes, then its payload
//
// A block header: magic, kind, flags, payload bytes, record count, first and last time, block number, payload checksum,
// the set of event kinds inside, checksum of what stands before. Blocks are only ever appended. An event record is the
// exact bytes of a keel_event with its body, so a reader hands out pointers into the mapped file; its instrument is
// the tape's own number, from the instrument blocks before it.

/// Sizes and numbers of the format.
public enum TapeFormat {
    public static let version: UInt32 = 1
    static let magic: UInt64 = 0x4550_4154_4C45_454B  // "KEELTAPE"
    static let blockMagic: UInt32 = 0x4B4C_424B  // "KBLK"
    static let headerBytes = 64
    /// Payload a block is closed at: small enough for a core's cache, so that checking a block and reading it touch memory once.
    static let blockBytes = 256 << 10
    /// Largest payload a reader accepts.
    static let blockBytesMost = 16 << 20
    static let instrumentsMost = 1 << 16
}

enum BlockKind: UInt16 {
    case instruments = 1
    case events = 2
    /// UTF-8 lines about where the data comes from, for people.
    case note = 3
}

/// Bits of a block header's flags.
enum BlockFlag {
    /// Times inside never go back, and start at or after the end of every block before.
    static let ordered: UInt16 = 1
}

struct BlockHeader {
    var kind: UInt16
    var flags: UInt16
    var bytes: UInt32
    var count: UInt32
    var first: Int64
    var last: Int64
    var number: UInt64
    var checksum: UInt64
    var kinds: UInt64

    func write(to base: UnsafeMutableRawPointer) {
        base.storeBytes(of: TapeFormat.blockMagic, toByteOffset: 0, as: UInt32.self)
        base.storeBytes(of: kind, toByteOffset: 4, as: UInt16.self)
        base.storeBytes(of: flags, toByteOffset: 6, as: UInt16.self)
        base.storeBytes(of: bytes, toByteOffset: 8, as: UInt32.self)
        base.storeBytes(of: count, toByteOffset: 12, as: UInt32.self)
        base.storeBytes(of: first, toByteOffset: 16, as: Int64.self)
        base.storeBytes(of: last, toByteOffset: 24, as: Int64.self)
        base.storeBytes(of: number, toByteOffset: 32, as: UInt64.self)
        base.storeBytes(of: checksum, toByteOffset: 40, as: UInt64.self)
        base.storeBytes(of: kinds, toByteOffset: 48, as: UInt64.self)
        base.storeBytes(of: Checksum.of(base, count: 56), toByteOffset: 56, as: UInt64.self)
    }

    /// nil: the 64 bytes are not a block header as it was written.
    init?(reading base: UnsafeRawPointer) {
        guard base.loadUnaligned(as: UInt32.self) == TapeFormat.blockMagic,
            base.loadUnaligned(fromByteOffset: 56, as: UInt64.self) == Checksum.of(base, count: 56)
        else { return nil }
        kind = base.loadUnaligned(fromByteOffset: 4, as: UInt16.self)
        flags = base.loadUnaligned(fromByteOffset: 6, as: UInt16.self)
        bytes = base.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
        count = base.loadUnaligned(fromByteOffset: 12, as: UInt32.self)
        first = base.loadUnaligned(fromByteOffset: 16, as: Int64.self)
        last = base.loadUnaligned(fromByteOffset: 24, as: Int64.self)
        number = base.loadUnaligned(fromByteOffset: 32, as: UInt64.self)
        checksum = base.loadUnaligned(fromByteOffset: 40, as: UInt64.self)
        kinds = base.loadUnaligned(fromByteOffset: 48, as: UInt64.self)
    }

    init(kind: BlockKind, flags: UInt16 = 0, bytes: UInt32, count: UInt32, first: Int64, last: Int64, number: UInt64, checksum: UInt64, kinds: UInt64) {
        self.kind = kind.rawValue
        self.flags = flags
        self.bytes = bytes
        self.count = count
        self.first = first
        self.last = last
        self.number = number
        self.checksum = checksum
        self.kinds = kinds
    }
}
