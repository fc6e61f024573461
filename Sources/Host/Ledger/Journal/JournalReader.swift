import Glibc

/// One record of a journal. `bytes` is 8-byte aligned and valid until the reader moves on.
public struct JournalRecord {
    public let sequence: UInt64
    public let kind: JournalKind
    public let port: UInt16
    public let time: Int64
    public let bytes: UnsafeRawBufferPointer
}

/// How a journal ends.
public enum JournalEnd: Equatable, Sendable {
    case whole
    /// The last block was never finished (a kill, a power cut): `bytes` were left out.
    case torn(bytes: Int64)
}

/// Reads a journal from its start, also while a host writes it. One thread.
public final class JournalReader {
    static let shortHeader = "it is shorter than its header"

    public let path: String
    public let run: UInt64
    public let created: Int64
    /// Set once `next` returned nil.
    public private(set) var ending: JournalEnd?
    /// The running hash over effects as the journal states it, as of the last block read whole.
    public private(set) var trace = EffectTrace()

    private let descriptor: Int32
    private let size: Int64
    private var offset = Int64(JournalFormat.headerSize)
    private var chain: UInt64 = 0
    private var sequence: UInt64 = 0

    private var block: UnsafeMutableRawBufferPointer
    private var position = 0
    private var limit = 0
    private var recordsLeft: UInt32 = 0

    public init(path: String) throws(JournalError) {
        let opened = open(path, O_RDONLY | O_CLOEXEC)
        guard opened >= 0 else { throw errno == ENOENT ? .missing(path: path) : .cannotRead(path: path, why: systemMessage(errno)) }
        self.path = path
        descriptor = opened
        block = .allocate(byteCount: JournalFormat.blockHeaderSize + JournalFormat.blockTarget, alignment: 16)
        var facts = stat()
        size = fstat(opened, &facts) == 0 ? Int64(facts.st_size) : 0
        var header = [UInt8](repeating: 0, count: JournalFormat.headerSize)
        let count = header.withUnsafeMutableBytes { readAll(opened, $0, at: 0) }
        var run: UInt64 = 0
        var created: Int64 = 0
        var problem: JournalError?
        header.withUnsafeBytes { raw in
            run = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
            created = Int64(littleEndian: raw.loadUnaligned(fromByteOffset: 24, as: Int64.self))
            let sum = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 56, as: UInt64.self))
            let version = UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
            if count < JournalFormat.headerSize {
                problem = count < 0 ? .cannotRead(path: path, why: systemMessage(errno)) : .notAJournal(path: path, why: JournalReader.shortHeader)
            } else if UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 0, as: UInt64.self)) != JournalFormat.fileMagic {
                problem = .notAJournal(path: path, why: "it doesn't start with KEELJNL1")
            } else if Checksum.of(UnsafeRawBufferPointer(rebasing: raw[..<56])) != sum {
                problem = .damaged(path: path, offset: 0, after: 0, why: "the header's checksum is wrong")
            } else if version != JournalFormat.version {
                problem = .newer(path: path, version: version)
            }
        }
        self.run = run
        self.created = created
        if let problem { throw problem }
    }

    deinit {
        block.deallocate()
        close(descriptor)
    }

    /// The next record, nil at the end.
    public func next() throws(JournalError) -> JournalRecord? {
        while true {
            if recordsLeft == 0 {
                if ending != nil { return nil }
                guard try readBlock() else { return nil }
            }
            let record = try takeRecord()
            if record.kind == .effectsHash {
                // The journal's own: counted, not shown.
                continue
            }
            return record
        }
    }

    /// Checks everything that is left and tells where a writer may go on.
    func skipToEnd() throws(JournalError) -> Tail {
        while true {
            do {
                while try next() != nil {}
                return Tail(end: offset, chain: chain, sequence: sequence, trace: trace)
            } catch {
                // What was lost was lost before; going on is still right.
                guard case .gap = error else { throw error }
            }
        }
    }

    struct Tail {
        var end: Int64 = 0
        var chain: UInt64 = 0
        var sequence: UInt64 = 0
        var trace = EffectTrace()
    }

    private func takeRecord() throws(JournalError) -> JournalRecord {
        guard limit - position >= JournalFormat.recordHeaderSize, let base = block.baseAddress else { throw badRecord("a record is cut short") }
        let start = base + position
        let length = Int(UInt32(littleEndian: start.load(as: UInt32.self)))
        let whole = JournalFormat.recordHeaderSize + JournalFormat.padded(length)
        guard whole <= limit - position else { throw badRecord("a record is longer than its block") }
        recordsLeft -= 1
        position += whole
        sequence &+= 1
        let record = JournalRecord(
            sequence: sequence, kind: JournalKind(rawValue: UInt16(littleEndian: start.load(fromByteOffset: 4, as: UInt16.self))),
            port: UInt16(littleEndian: start.load(fromByteOffset: 6, as: UInt16.self)),
            time: Int64(littleEndian: start.load(fromByteOffset: 8, as: Int64.self)),
            bytes: UnsafeRawBufferPointer(start: start + JournalFormat.recordHeaderSize, count: length))
        if record.kind == .effectsHash, length == 16 {
            trace = EffectTrace(
                hash: UInt64(littleEndian: record.bytes.load(as: UInt64.self)),
                count: UInt64(littleEndian: record.bytes.load(fromByteOffset: 8, as: UInt64.self)))
        }
        if recordsLeft == 0, position != limit { throw badRecord("bytes are left over in a block") }
        return record
    }

    /// A block with a right checksum and wrong contents was written wrong: never seen, but not to be trusted.
    private func badRecord(_ why: String) -> JournalError {
        recordsLeft = 0
        ending = .torn(bytes: size - offset)
        return .damaged(path: path, offset: offset, after: sequence, why: why)
    }

    /// False at the end of the file.
    private func readBlock() throws(JournalError) -> Bool {
        let left = size - offset
        if left == 0 {
            ending = .whole
            return false
        }
        guard let header = try load(at: offset) else {
            if let next = try findBlock(after: offset) {
                ending = .torn(bytes: left)
                throw .damaged(path: path, offset: offset, after: sequence, why: "a block is unreadable, and a whole one follows at byte \(next)")
            }
            ending = .torn(bytes: left)
            return false
        }
        guard header.chain == chain, header.first > sequence else {
            ending = .torn(bytes: left)
            throw .damaged(path: path, offset: offset, after: sequence, why: "a block is missing before this one")
        }
        offset += Int64(JournalFormat.blockHeaderSize + header.payload)
        chain = header.checksum
        position = JournalFormat.blockHeaderSize
        limit = JournalFormat.blockHeaderSize + header.payload
        recordsLeft = header.records
        let expected = sequence &+ 1
        sequence = header.first &- 1
        // The block itself is good: a caller who wants to go on after a gap just calls next again.
        if header.first != expected { throw .gap(path: path, from: expected, to: header.first &- 1) }
        return true
    }

    /// The block at `place` if it is whole and its checksum right; its bytes are in `block` then.
    private func load(at place: Int64) throws(JournalError) -> JournalFormat.BlockHeader? {
        let head = UnsafeMutableRawBufferPointer(rebasing: block[..<JournalFormat.blockHeaderSize])
        guard try read(head, at: place), let header = JournalFormat.BlockHeader(UnsafeRawBufferPointer(head)) else { return nil }
        let whole = JournalFormat.blockHeaderSize + header.payload
        guard Int64(whole) <= size - place else { return nil }
        if whole > block.count {
            let grown = UnsafeMutableRawBufferPointer.allocate(byteCount: whole, alignment: 16)
            grown.copyMemory(from: UnsafeRawBufferPointer(head))
            block.deallocate()
            block = grown
        }
        let payload = UnsafeMutableRawBufferPointer(rebasing: block[JournalFormat.blockHeaderSize..<whole])
        guard try read(payload, at: place + Int64(JournalFormat.blockHeaderSize)) else { return nil }
        return JournalFormat.checksum(UnsafeRawBufferPointer(rebasing: block[..<whole])) == header.checksum ? header : nil
    }

    /// A whole block anywhere behind a bad place tells damage from a torn end.
    private func findBlock(after start: Int64) throws(JournalError) -> Int64? {
        let window = 1 << 16
        var bytes = [UInt8](repeating: 0, count: window)
        var place = start + 8
        while place + Int64(JournalFormat.blockHeaderSize) <= size {
            let count = bytes.withUnsafeMutableBytes { readAll(descriptor, $0, at: place) }
            guard count >= 0 else { throw .cannotRead(path: path, why: systemMessage(errno)) }
            if count < JournalFormat.blockHeaderSize { return nil }
            var inside = 0
            while inside + JournalFormat.blockHeaderSize <= count {
                let looksRight = bytes.withUnsafeBytes {
                    JournalFormat.BlockHeader(UnsafeRawBufferPointer(rebasing: $0[inside..<(inside + JournalFormat.blockHeaderSize)])) != nil
                }
                if looksRight, try load(at: place + Int64(inside)) != nil { return place + Int64(inside) }
                inside += 8
            }
            place += Int64(inside)
        }
        return nil
    }

    private func read(_ into: UnsafeMutableRawBufferPointer, at place: Int64) throws(JournalError) -> Bool {
        let count = readAll(descriptor, into, at: place)
        if count < 0 { throw .cannotRead(path: path, why: systemMessage(errno)) }
        return count == into.count
    }
}

/// As many bytes as there are, -1 on an error.
func readAll(_ descriptor: Int32, _ into: UnsafeMutableRawBufferPointer, at offset: Int64) -> Int {
    var done = 0
    while done < into.count {
        let rest = UnsafeMutableRawBufferPointer(rebasing: into[done...])
        let count = pread(descriptor, rest.baseAddress, rest.count, off_t(offset) + off_t(done))
        if count < 0 {
            if errno == EINTR { continue }
            return -1
        }
        if count == 0 { break }
        done += count
    }
    return done
}
