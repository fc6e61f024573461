import Glibc
import PluginAPI
import PluginKit

/// Appends events to a tape. One writer a file, guarded by a file lock; not for use from several threads at once.
///
/// A block is written with one call and is never touched again: whatever stops the program, the file is a whole tape with at most one
/// torn block at its end, which the next opening cuts.
public final class TapeWriter {
    public enum Order: Sendable {
        /// Times that go back are an error. For imports.
        case strict
        /// Events stand in the order they were received, whatever their times say. For recordings.
        case asReceived
    }

    public let path: String
    public private(set) var instruments: [TapeInstrument]
    /// Events appended by this writer, flushed or not.
    public private(set) var events: UInt64 = 0
    public private(set) var lastTime: Int64

    private let order: Order
    private var descriptor: Int32
    private var blocks: UInt64
    private let buffer: UnsafeMutableRawPointer
    private var used = 0
    private var count: UInt32 = 0
    private var first: Int64 = 0
    private var ordered = true
    private var kinds: UInt64 = 0

    private static let capacity = TapeFormat.headerBytes + TapeFormat.blockBytes

    /// A new tape. `created` is for people only and may be 0; `note` says where the data comes from. Refuses to overwrite.
    public convenience init(creating path: String, instruments: [TapeInstrument], note: String = "", created: Int64 = 0, order: Order = .strict) throws {
        let descriptor = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o644)
        if descriptor < 0 { throw Self.failure(path, "create") }
        do {
            try Self.lock(descriptor, path)
            var header = [UInt8](repeating: 0, count: TapeFormat.headerBytes)
            header.withUnsafeMutableBytes {
                $0.storeBytes(of: TapeFormat.magic, toByteOffset: 0, as: UInt64.self)
                $0.storeBytes(of: TapeFormat.version, toByteOffset: 8, as: UInt32.self)
                $0.storeBytes(of: UInt32(TapeFormat.headerBytes), toByteOffset: 12, as: UInt32.self)
                $0.storeBytes(of: created, toByteOffset: 16, as: Int64.self)
                let checksum = Checksum.of(UnsafeRawBufferPointer(rebasing: $0[0..<56]))
                $0.storeBytes(of: checksum, toByteOffset: 56, as: UInt64.self)
            }
            try header.withUnsafeBytes { try Self.write(descriptor, $0, path) }
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        self.init(path: path, descriptor: descriptor, blocks: 0, instruments: [], lastTime: .min, order: order)
        if !note.isEmpty { try writePlain(.note, Array(note.utf8.prefix(TapeFormat.blockBytes)), count: 1) }
        if !instruments.isEmpty { try add(instruments) }
    }

    /// Goes on behind the last whole block of an existing tape; a torn tail is cut off first.
    public convenience init(appendingTo path: String, order: Order = .strict) throws {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        if descriptor < 0 { throw Self.failure(path, "open") }
        do {
            try Self.lock(descriptor, path)
            let file = try TapeFile(path)
            if file.tornBytes > 0, ftruncate(descriptor, off_t(file.wholeBytes)) != 0 { throw Self.failure(path, "cut the torn tail") }
            if lseek(descriptor, 0, SEEK_END) < 0 { throw Self.failure(path, "seek") }
            let last = file.blocks.reduce(Int64.min) { Swift.max($0, $1.last) }
            self.init(path: path, descriptor: descriptor, blocks: UInt64(file.blockCount), instruments: file.instruments, lastTime: last, order: order)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    private init(path: String, descriptor: Int32, blocks: UInt64, instruments: [TapeInstrument], lastTime: Int64, order: Order) {
        self.path = path
        self.descriptor = descriptor
        self.blocks = blocks
        self.instruments = instruments
        self.lastTime = lastTime
        self.order = order
        buffer = .allocate(byteCount: Self.capacity, alignment: 64)
        buffer.initializeMemory(as: UInt8.self, repeating: 0, count: Self.capacity)
    }

    deinit {
        // What was not flushed is lost on purpose: a writer that goes away without close() failed, and says so through its error.
        if descriptor >= 0 { Glibc.close(descriptor) }
        buffer.deallocate()
    }

    /// Adds entries to the instrument table; their numbers follow the ones there are.
    public func add(_ more: [TapeInstrument]) throws {
        if instruments.count + more.count > TapeFormat.instrumentsMost { throw TapeError.tooManyInstruments }
        try flush()
        // A block at a time, so that a reader's limit on block sizes holds whatever the table's length.
        var rest = more[...]
        while !rest.isEmpty {
            var payload: [UInt8] = []
            var count: UInt32 = 0
            while let next = rest.first, payload.count < TapeFormat.blockBytes / 2 {
                payload += next.encoded()
                instruments.append(next)
                count += 1
                rest = rest.dropFirst()
            }
            try writePlain(.instruments, payload, count: count)
        }
    }

    /// Copies one event. Its instrument must be a number of this tape's table, or 0.
    public func append(_ event: UnsafePointer<keel_event>) throws {
        if descriptor < 0 { throw TapeError.closed }
        let size = Int(event.pointee.size)
        if let problem = EventShape.problem(event, limit: Int(KEEL_EVENT_MAX)) { throw TapeError.badEvent(problem) }
        if Int(event.pointee.instrument) > instruments.count { throw TapeError.unknownInstrument(path: path, id: event.pointee.instrument) }
        let time = TapeTime.of(event)
        if time < lastTime {
            if order == .strict { throw TapeError.outOfOrder(time: time, after: lastTime) }
            ordered = false
        }
        let stride = EventShape.stride(event.pointee.size)
        if used + stride > TapeFormat.blockBytes { try flush() }
        let target = buffer + TapeFormat.headerBytes + used
        target.copyMemory(from: event, byteCount: size)
        // What orders records is always there, so that readers need to look at one field only.
        target.assumingMemoryBound(to: keel_event.self).pointee.at_host = time
        if stride > size { (target + size).initializeMemory(as: UInt8.self, repeating: 0, count: stride - size) }
        if count == 0 { first = time }
        if time > lastTime { lastTime = time }
        used += stride
        count += 1
        events += 1
        kinds |= 1 << UInt64(min(event.pointee.kind, 63))
    }

    /// Hands what is buffered to the operating system as a block. A killed program keeps everything flushed.
    public func flush() throws {
        if descriptor < 0 { throw TapeError.closed }
        if count == 0 { return }
        let payload = buffer + TapeFormat.headerBytes
        BlockHeader(
            kind: .events, flags: ordered ? BlockFlag.ordered : 0, bytes: UInt32(used), count: count, first: first, last: lastTime, number: blocks,
            checksum: Checksum.of(payload, count: used), kinds: kinds
        ).write(to: buffer)
        try Self.write(descriptor, UnsafeRawBufferPointer(start: buffer, count: TapeFormat.headerBytes + used), path)
        blocks += 1
        used = 0
        count = 0
        kinds = 0
        ordered = true
    }

    /// Flushes and waits until the disk has it.
    public func sync() throws {
        try flush()
        if fdatasync(descriptor) != 0 { throw Self.failure(path, "sync") }
    }

    /// Flushes and closes; `syncing` waits for the disk first.
    public func close(syncing: Bool = true) throws {
        if descriptor < 0 { return }
        if syncing { try sync() } else { try flush() }
        Glibc.close(descriptor)
        descriptor = -1
    }

    private func writePlain(_ kind: BlockKind, _ bytes: [UInt8], count: UInt32) throws {
        let padded = bytes + [UInt8](repeating: 0, count: (8 - bytes.count % 8) % 8)
        var block = [UInt8](repeating: 0, count: TapeFormat.headerBytes) + padded
        let checksum = padded.withUnsafeBytes { Checksum.of($0) }
        block.withUnsafeMutableBytes { raw in
            guard let base = raw.baseAddress else { return }
            BlockHeader(
                kind: kind, flags: BlockFlag.ordered, bytes: UInt32(padded.count), count: count, first: 0, last: 0, number: blocks, checksum: checksum,
                kinds: 0
            ).write(to: base)
        }
        try block.withUnsafeBytes { try Self.write(descriptor, $0, path) }
        blocks += 1
    }

    private static func lock(_ descriptor: Int32, _ path: String) throws {
        if flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            if errno == EWOULDBLOCK { throw TapeError.locked(path: path) }
            throw failure(path, "lock")
        }
    }

    private static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, _ path: String) throws {
        guard let base = bytes.baseAddress else { return }
        var done = 0
        while done < bytes.count {
            let written = Glibc.write(descriptor, base + done, bytes.count - done)
            if written > 0 {
                done += written
            } else if errno != EINTR {
                throw failure(path, "write")
            }
        }
    }

    static func failure(_ path: String, _ operation: String) -> TapeError {
        let code = errno
        return .system(path: path, operation: operation, code: code, reason: String(cString: strerror(code)))
    }
}

/// The time an event is ordered by: when the host had it, or else when the source says it happened.
public enum TapeTime {
    @inline(__always)
    public static func of(_ event: UnsafePointer<keel_event>) -> Int64 {
        event.pointee.at_host != 0 ? event.pointee.at_host : event.pointee.at_source
    }
}
