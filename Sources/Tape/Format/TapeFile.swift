import Glibc
import PluginAPI
import PluginKit

/// A tape opened for reading: mapped into memory, its block headers checked, its payloads not yet.
///
/// The mapping is read-only and lives as long as this object; pointers a cursor hands out live no longer.
public final class TapeFile: @unchecked Sendable {  // immutable after init
    /// One block of events.
    public struct Block: Sendable {
        public let number: Int
        /// Of the payload, from the start of the file.
        public let offset: Int
        public let bytes: Int
        public let count: Int
        public let first: Int64
        public let last: Int64
        /// Bit k: an event of kind k is inside.
        public let kinds: UInt64
        public let ordered: Bool
        let checksum: UInt64
    }

    public let path: String
    public let created: Int64
    public let instruments: [TapeInstrument]
    public let notes: [String]
    public let blocks: [Block]
    /// Blocks of every kind.
    public let blockCount: Int
    /// Up to the end of the last whole block, and what lies torn behind it.
    public let wholeBytes: Int
    public let tornBytes: Int

    let base: UnsafeRawPointer
    private let mapped: Int

    public var eventCount: Int { blocks.reduce(0) { $0 + $1.count } }
    public var firstTime: Int64? { blocks.first?.first }
    public var lastTime: Int64? { blocks.last?.last }
    public var ordered: Bool { blocks.allSatisfy(\.ordered) }

    public init(_ path: String) throws {
        self.path = path
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { throw TapeWriter.failure(path, "open") }
        defer { close(descriptor) }
        var status = stat()
        if fstat(descriptor, &status) != 0 { throw TapeWriter.failure(path, "stat") }
        if status.st_mode & S_IFMT == S_IFDIR {
            throw TapeError.system(path: path, operation: "open", code: EISDIR, reason: String(cString: strerror(EISDIR)))
        }
        let length = Int(status.st_size)
        if length < TapeFormat.headerBytes { throw TapeError.notATape(path: path) }
        guard let map = mmap(nil, length, PROT_READ, MAP_SHARED, descriptor, 0), map != MAP_FAILED else {
            throw TapeWriter.failure(path, "map")
        }
        base = UnsafeRawPointer(map)
        mapped = length

        let scan: Scan
        do {
            scan = try Scan(path: path, base: UnsafeRawPointer(map), length: length)
        } catch {
            munmap(map, length)
            throw error
        }
        created = scan.created
        instruments = scan.instruments
        notes = scan.notes
        blocks = scan.blocks
        blockCount = scan.number
        wholeBytes = scan.whole
        tornBytes = length - scan.whole
    }

    deinit { munmap(UnsafeMutableRawPointer(mutating: base), mapped) }

    /// Checks every byte: all checksums and the shape of every record. Throws at the first damage.
    public func verify(progress: ((_ done: Int, _ of: Int) -> Void)? = nil) throws {
        for (index, block) in blocks.enumerated() {
            try check(block)
            release(upTo: block.offset)
            progress?(index + 1, blocks.count)
        }
    }

    /// The payload is what was written, every record has the shape of its kind, and every instrument is known.
    func check(_ block: Block) throws {
        let start = base + block.offset
        if Checksum.of(start, count: block.bytes) != block.checksum {
            throw TapeError.damagedBlock(
                path: path, block: block.number, offset: block.offset,
                what: "the checksum of its \(block.bytes) bytes (\(block.count) records from \(UTCTime.text(block.first))) differs")
        }
        var at = 0
        var left = block.count
        let known = UInt32(truncatingIfNeeded: instruments.count)
        while at < block.bytes {
            let event = (start + at).assumingMemoryBound(to: keel_event.self)
            if let problem = EventShape.problem(event, limit: block.bytes &- at) {
                throw TapeError.badRecord(path: path, block: block.number, offset: block.offset + at, what: problem)
            }
            if event.pointee.instrument > known { throw TapeError.unknownInstrument(path: path, id: event.pointee.instrument) }
            at &+= EventShape.stride(event.pointee.size)
            left &-= 1
        }
        if left != 0 || at != block.bytes {
            throw TapeError.badRecord(
                path: path, block: block.number, offset: block.offset, what: "the header says \(block.count) records, \(block.count - left) are there")
        }
    }

    /// Gives memory in front of `offset` back to the system, so that reading a long tape stays small.
    func release(upTo offset: Int) {
        let page = 4096
        let end = offset / page * page
        let start = max(0, end - (8 << 20)) / page * page
        if end > start { madvise(UnsafeMutableRawPointer(mutating: base) + start, end - start, MADV_DONTNEED) }
    }

    /// The walk over the headers.
    private struct Scan {
        var created: Int64 = 0
        var instruments: [TapeInstrument] = []
        var notes: [String] = []
        var blocks: [Block] = []
        var number = 0
        var whole = TapeFormat.headerBytes

        init(path: String, base: UnsafeRawPointer, length: Int) throws {
            guard base.loadUnaligned(as: UInt64.self) == TapeFormat.magic else { throw TapeError.notATape(path: path) }
            let version = base.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
            let sound = base.loadUnaligned(fromByteOffset: 56, as: UInt64.self) == Checksum.of(base, count: 56)
            // A later version may check its header differently: name the version first.
            if version > TapeFormat.version, version < 1000 {
                throw TapeError.newerVersion(path: path, found: version, newest: TapeFormat.version)
            }
            if !sound || version != TapeFormat.version || base.loadUnaligned(fromByteOffset: 12, as: UInt32.self) != TapeFormat.headerBytes {
                throw TapeError.damagedHeader(path: path)
            }
            created = base.loadUnaligned(fromByteOffset: 16, as: Int64.self)

            var last = Int64.min
            while whole < length {
                let left = length - whole
                if left < TapeFormat.headerBytes { return }
                guard let header = BlockHeader(reading: base + whole) else {
                    if Self.isZero(base + whole, left) { return }  // space the file system had not filled when power went
                    throw TapeError.damagedBlock(path: path, block: number, offset: whole, what: "its header is not the one written")
                }
                let bytes = Int(header.bytes)
                if bytes > TapeFormat.blockBytesMost || bytes % 8 != 0 || header.number != UInt64(number) {
                    throw TapeError.damagedBlock(
                        path: path, block: number, offset: whole, what: "its header says block \(header.number), \(bytes) bytes: a block is missing or doubled")
                }
                let payload = whole + TapeFormat.headerBytes
                if bytes > length - payload { return }  // torn
                if payload + bytes == length, Checksum.of(base + payload, count: bytes) != header.checksum, Self.endsInUnwrittenPage(base, payload, length) {
                    return
                }
                switch BlockKind(rawValue: header.kind) {
                case .events:
                    let ordered = header.flags & BlockFlag.ordered != 0 && header.first >= last
                    last = max(last, header.last)
                    blocks.append(
                        Block(
                            number: number, offset: payload, bytes: bytes, count: Int(header.count), first: header.first, last: header.last,
                            kinds: header.kinds, ordered: ordered, checksum: header.checksum))
                case .instruments, .note:
                    let raw = UnsafeRawBufferPointer(start: base + payload, count: bytes)
                    if Checksum.of(raw) != header.checksum {
                        throw TapeError.damagedBlock(path: path, block: number, offset: payload, what: "the checksum of the instrument table or note differs")
                    }
                    if header.kind == BlockKind.note.rawValue {
                        notes.append(String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self))
                    } else {
                        try readInstruments(path, raw, Int(header.count), payload)
                    }
                case nil:
                    throw TapeError.damagedBlock(path: path, block: number, offset: whole, what: "block kind \(header.kind) is not part of version \(version)")
                }
                number += 1
                whole = payload + bytes
            }
        }

        private mutating func readInstruments(_ path: String, _ raw: UnsafeRawBufferPointer, _ count: Int, _ offset: Int) throws {
            var at = 0
            for _ in 0..<count {
                guard let (instrument, length) = TapeInstrument.decode(UnsafeRawBufferPointer(rebasing: raw[at...])),
                    instruments.count < TapeFormat.instrumentsMost
                else { throw TapeError.badRecord(path: path, block: number, offset: offset + at, what: "not an instrument entry") }
                instruments.append(instrument)
                at += length
            }
        }

        private static func isZero(_ base: UnsafeRawPointer, _ count: Int) -> Bool {
            UnsafeRawBufferPointer(start: base, count: count).allSatisfy { $0 == 0 }
        }

        /// After a power cut a file may have its length but not its last pages: they read as zeros.
        private static func endsInUnwrittenPage(_ base: UnsafeRawPointer, _ payload: Int, _ length: Int) -> Bool {
            let page = max(payload, (length - 1) / 4096 * 4096)
            return length - page >= 64 && isZero(base + page, length - page)
        }
    }
}
