import Dispatch
import Glibc
import Synchronization

/// Appends to a run's journal. One thread: the engine's.
///
/// `append` copies into memory and never fails; a closed block goes to the operating system, `sync` takes it to the disk.
/// When the disk refuses, blocks wait in memory and go out in order once it takes them again.
public final class JournalWriter {
    public let path: String
    public let run: UInt64

    /// The sequence number of the last record; 0: none yet.
    public private(set) var sequence: UInt64
    /// Everything the engine did so far.
    public private(set) var trace = EffectTrace()
    /// What the disk last refused; nil while all is well.
    public private(set) var failure: LedgerFailure?
    /// Records dropped because too much was waiting, or because a failed sync may have lost them.
    public private(set) var dropped: UInt64 = 0

    private let descriptor: Int32
    private let syncer: Syncer
    private let limit: Int
    private let kill: LedgerKill

    // The open block: room for its header, then records.
    private var buffer: UnsafeMutableRawBufferPointer
    private var used = JournalFormat.blockHeaderSize
    private var records: UInt32 = 0
    private var tracedAtSeal: UInt64 = 0

    /// The end of the last whole block in the file, and its checksum.
    private var end: Int64
    private var chain: UInt64
    /// The same as of the last successful sync, with the sequence number then.
    private var syncedEnd: Int64
    private var syncedChain: UInt64
    private var syncedSequence: UInt64

    /// Closed blocks the disk didn't take yet, oldest first. Sealed when they are written, because the chain depends on what is.
    private var waiting: [Waiting] = []
    private var waitingBytes = 0

    private struct Waiting {
        var bytes: [UInt8]
        var first: UInt64
        var records: UInt32
    }

    /// Creates the journal of a run, or goes on with one: a torn tail is cut off, damage further in is refused.
    ///
    /// `limit`: bytes that may wait in memory while the disk refuses.
    public init(path: String, run: UInt64, created: Int64, limit: Int = 64 * 1024 * 1024, kill: LedgerKill = .none) throws(JournalError) {
        let found = try JournalWriter.resume(path: path, run: run)
        let opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard opened >= 0 else { throw .cannotRead(path: path, why: systemMessage(errno)) }
        var end = found.end
        var problem: Int32 = ftruncate(opened, off_t(end)) == 0 ? 0 : errno
        if problem == 0, end == 0 {
            let header = JournalFormat.header(run: run, created: created)
            problem = header.withUnsafeBytes { writeAll(opened, $0, at: 0) }
            end = Int64(JournalFormat.headerSize)
        }
        if problem == 0, fsync(opened) != 0 { problem = errno }
        if problem == 0 { problem = syncFolder(of: path) }
        guard problem == 0 else {
            Glibc.close(opened)
            throw .cannotRead(path: path, why: systemMessage(problem))
        }
        self.path = path
        self.run = run
        self.limit = limit
        self.kill = kill
        descriptor = opened
        syncer = Syncer(descriptor: opened)
        self.end = end
        chain = found.chain
        sequence = found.sequence
        trace = found.trace
        tracedAtSeal = found.trace.count
        syncedEnd = end
        syncedChain = found.chain
        syncedSequence = found.sequence
        buffer = .allocate(byteCount: JournalFormat.blockHeaderSize + JournalFormat.blockTarget, alignment: 16)
    }

    deinit {
        flush()
        buffer.deallocate()
        Glibc.close(descriptor)
    }

    /// Where an existing journal of this run ends; zeros if there is none yet.
    private static func resume(path: String, run: UInt64) throws(JournalError) -> JournalReader.Tail {
        let reader: JournalReader
        do {
            reader = try JournalReader(path: path)
        } catch {
            switch error {
            case .missing: return JournalReader.Tail()
            // Killed while the file was being made: nothing was recorded yet.
            case .notAJournal(_, JournalReader.shortHeader): return JournalReader.Tail()
            default: throw error
            }
        }
        guard reader.run == run else { throw .notAJournal(path: path, why: "it belongs to run \(reader.run), not \(run)") }
        return try reader.skipToEnd()
    }

    /// Records one input. Returns its sequence number.
    @discardableResult
    public func append(_ kind: JournalKind, port: UInt16, time: Int64, _ bytes: UnsafeRawBufferPointer) -> UInt64 {
        let length = JournalFormat.recordHeaderSize &+ JournalFormat.padded(bytes.count)
        if used &+ length > buffer.count { makeRoom(length) }
        guard let base = buffer.baseAddress, used &+ length <= buffer.count else {
            // Larger than a block may ever be: its number is used up, so that a reader sees the hole.
            sequence &+= 1
            dropped &+= 1
            return sequence
        }
        let record = base + used
        record.storeBytes(of: UInt32(truncatingIfNeeded: bytes.count).littleEndian, as: UInt32.self)
        record.storeBytes(of: kind.rawValue.littleEndian, toByteOffset: 4, as: UInt16.self)
        record.storeBytes(of: port.littleEndian, toByteOffset: 6, as: UInt16.self)
        record.storeBytes(of: time.littleEndian, toByteOffset: 8, as: Int64.self)
        if let source = bytes.baseAddress {
            // The last word is cleared first, so that the padding is zeros.
            if bytes.count & 7 != 0 { record.storeBytes(of: 0, toByteOffset: length &- 8, as: UInt64.self) }
            (record + JournalFormat.recordHeaderSize).copyMemory(from: source, byteCount: bytes.count)
        }
        used &+= length
        records &+= 1
        sequence &+= 1
        return sequence
    }

    /// Notes one thing the engine did. With `keep` its bytes are recorded too (orders, intents); without only the running hash has it.
    public func effect(_ kind: JournalKind, port: UInt16, time: Int64, _ bytes: UnsafeRawBufferPointer, keep: Bool) {
        trace.note(kind, port: port, bytes)
        if keep { append(kind, port: port, time: time, bytes) }
    }

    /// Closes the open block and hands it to the operating system: a kill of the process can't lose it any more.
    public func flush() {
        close()
        drain()
    }

    /// Everything appended so far is on the disk when this returns.
    public func sync() throws(LedgerFailure) { try finish(try startSync()) }

    /// A sync on its way, so that the ledger's can go on beside it.
    struct Sync {
        fileprivate let write: Int
        fileprivate let work: SyncWork?
    }

    /// Everything appended so far is out of this process, and on its way to the disk. Nothing may be appended until `finish`.
    /// `beside`: on another thread; else `finish` does it. Nil: it is all on the disk already.
    func startSync(beside: Bool = false) throws(LedgerFailure) -> Sync? {
        close()
        drain()
        if let failure { throw failure }
        if syncedEnd == end { return nil }
        return Sync(write: kill.begin(), work: beside ? syncer.start() : nil)
    }

    func finish(_ sync: Sync?) throws(LedgerFailure) {
        guard let sync else { return }
        let problem = sync.work?.wait() ?? (fdatasync(descriptor) == 0 ? 0 : errno)
        guard problem == 0 else {
            // What the system had taken since the last sync may be gone for good: cut it off and leave a hole that shows.
            dropped &+= sequence &- syncedSequence
            _ = ftruncate(descriptor, off_t(syncedEnd))
            end = syncedEnd
            chain = syncedChain
            syncedSequence = sequence
            let failed = failureOf(problem)
            failure = failed
            throw failed
        }
        syncedEnd = end
        syncedChain = chain
        syncedSequence = sequence
        kill.reach(.after, sync.write)
    }

    /// Bytes that wait for the disk.
    public var backlog: Int { waitingBytes }

    // MARK: Blocks

    private func makeRoom(_ length: Int) {
        close()
        drain()
        let wanted = JournalFormat.blockHeaderSize + length
        // A record beyond the usual size gets a block of its own; the larger buffer is kept only for that block.
        if wanted > buffer.count, length <= JournalFormat.blockMaximum - 64 { resize(to: wanted + 64) }
    }

    private func resize(to size: Int) {
        buffer.deallocate()
        buffer = .allocate(byteCount: size, alignment: 16)
    }

    /// Puts the open block at the end of the queue.
    private func close() {
        guard records > 0 else { return }
        if trace.count != tracedAtSeal { appendTrace() }
        let block = UnsafeRawBufferPointer(rebasing: buffer[..<used])
        if waiting.isEmpty, failure == nil, write(UnsafeMutableRawBufferPointer(rebasing: buffer[..<used]), first: firstOfBlock, records: records) {
            // The usual case: straight from the buffer, nothing copied.
        } else if waitingBytes + used > limit {
            dropped &+= UInt64(records)
        } else {
            waiting.append(Waiting(bytes: Array(block), first: firstOfBlock, records: records))
            waitingBytes += used
        }
        used = JournalFormat.blockHeaderSize
        records = 0
        if buffer.count > JournalFormat.blockHeaderSize + JournalFormat.blockTarget {
            resize(to: JournalFormat.blockHeaderSize + JournalFormat.blockTarget)
        }
    }

    private var firstOfBlock: UInt64 { sequence &- UInt64(records) &+ 1 }

    private func appendTrace() {
        tracedAtSeal = trace.count
        var pair = (trace.hash.littleEndian, trace.count.littleEndian)
        let length = JournalFormat.recordHeaderSize + 16
        if used + length > buffer.count {
            let grown = UnsafeMutableRawBufferPointer.allocate(byteCount: used + length, alignment: 16)
            grown.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[..<used]))
            buffer.deallocate()
            buffer = grown
        }
        _ = withUnsafeBytes(of: &pair) { append(.effectsHash, port: 0, time: 0, $0) }
    }

    /// Writes what waits, in order, until the disk refuses.
    private func drain() {
        if failure != nil, waiting.isEmpty { failure = probe() }
        while !waiting.isEmpty {
            var next = waiting[0]
            let written = next.bytes.withUnsafeMutableBytes { write($0, first: next.first, records: next.records) }
            guard written else { return }
            waitingBytes -= next.bytes.count
            waiting.removeFirst()
        }
    }

    /// After a failed sync nothing waits, so whether the disk is back is only known by asking it.
    private func probe() -> LedgerFailure? { fdatasync(descriptor) == 0 ? nil : failureOf(errno) }

    private func write(_ block: UnsafeMutableRawBufferPointer, first: UInt64, records: UInt32) -> Bool {
        let sum = JournalFormat.seal(block, first: first, records: records, chain: chain)
        let problem = writeAll(descriptor, UnsafeRawBufferPointer(block), at: end)
        guard problem == 0 else {
            failure = failureOf(problem)
            // Half a block may be there: readers stop before it, and the next try writes over it.
            _ = ftruncate(descriptor, off_t(end))
            return false
        }
        failure = nil
        end += Int64(block.count)
        chain = sum
        return true
    }

    private func failureOf(_ code: Int32) -> LedgerFailure {
        switch code {
        case ENOSPC, EDQUOT, EFBIG: .full(path: path)
        case EROFS, EACCES, EPERM: .readOnly(path: path)
        default: .inputOutput(path: path, message: systemMessage(code))
        }
    }
}

/// Syncs a file on a thread of its own while another file is synced on the caller's.
private final class Syncer: Sendable {
    private let descriptor: Int32
    private let queue = DispatchQueue(label: "keel.journal.sync", qos: .userInteractive)

    init(descriptor: Int32) { self.descriptor = descriptor }

    func start() -> SyncWork {
        let work = SyncWork()
        let descriptor = descriptor
        queue.async { work.end(fdatasync(descriptor) == 0 ? 0 : errno) }
        return work
    }
}

private final class SyncWork: Sendable {
    private let problem = Atomic<Int32>(0)
    private let done = DispatchSemaphore(value: 0)

    func end(_ code: Int32) {
        problem.store(code, ordering: .releasing)
        done.signal()
    }

    /// 0 or an error number.
    func wait() -> Int32 {
        done.wait()
        return problem.load(ordering: .acquiring)
    }
}

/// All of it or an error number.
func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int64) -> Int32 {
    var done = 0
    while done < bytes.count {
        let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
        let count = pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset) + off_t(done))
        if count < 0 {
            if errno == EINTR { continue }
            return errno
        }
        if count == 0 { return ENOSPC }
        done += count
    }
    return 0
}

/// Makes a new name in a folder durable.
func syncFolder(of path: String) -> Int32 {
    var folder = "."
    if let slash = path.lastIndex(of: "/") { folder = slash == path.startIndex ? "/" : String(path[..<slash]) }
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return errno }
    defer { close(descriptor) }
    return fsync(descriptor) == 0 ? 0 : errno
}
