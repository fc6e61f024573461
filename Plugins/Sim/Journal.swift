import Glibc
import PluginKit

/// A paper venue's own file: batches one after the other, each with its length and checksum.
///
/// A batch is on disk before anything in it is told. What a crash left half-written at the end is cut off when the file is opened.
final class Journal {
    private static let mark: [UInt8] = Array("KEELSIM1".utf8)
    private static let head = 16
    private static let largest = 1 << 30

    let path: String
    private let durable: Bool
    private var descriptor: Int32
    private(set) var size: Int
    /// Size after the last compaction.
    private var compacted: Int

    /// Opens or makes the file; what stands in it, batch by batch, goes to `replay`.
    init(_ path: String, durable: Bool, replay: (Batch) throws -> Void) throws {
        self.path = path
        self.durable = durable
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw PluginError(.invalid, "file \(path) can't be opened: \(Journal.reason())") }
        size = 0
        compacted = 0
        do {
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                throw PluginError(.invalid, "file \(path) is in use by another venue: each needs a file of its own")
            }
            let bytes = try Journal.read(descriptor, path)
            if bytes.count < Journal.mark.count, Journal.mark.starts(with: bytes) {
                // New, or cut while it was made: nothing was ever acknowledged from it.
                guard ftruncate(descriptor, 0) == 0 else { throw PluginError(.internalFault, "file \(path) can't be begun: \(Journal.reason())") }
                try write(Journal.mark)
            } else {
                size = try Journal.replay(bytes, path, replay)
                guard ftruncate(descriptor, off_t(size)) == 0, lseek(descriptor, off_t(size), SEEK_SET) >= 0 else {
                    throw PluginError(.internalFault, "file \(path) can't be cut to its last whole batch: \(Journal.reason())")
                }
            }
            try flush()
            compacted = size
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit { close(descriptor) }

    private static func reason() -> String { String(cString: strerror(errno)) }

    private static func read(_ descriptor: Int32, _ path: String) throws -> [UInt8] {
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw PluginError(.internalFault, "file \(path) can't be read: \(reason())") }
        guard info.st_size <= largest else { throw PluginError(.range, "file \(path) is larger than \(largest) bytes") }
        var bytes = [UInt8](repeating: 0, count: Int(info.st_size))
        var at = 0
        while at < bytes.count {
            let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress.map { $0 + at }, $0.count - at, off_t(at)) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw PluginError(.internalFault, "file \(path) can't be read: \(reason())") }
            at += count
        }
        return bytes
    }

    /// Replays whole batches; returns where the last one ends.
    private static func replay(_ bytes: [UInt8], _ path: String, _ replay: (Batch) throws -> Void) throws -> Int {
        guard bytes.count >= mark.count, Array(bytes[..<mark.count]) == mark else {
            throw PluginError(.invalid, "file \(path) is not a paper venue's file")
        }
        var at = mark.count
        while bytes.count - at >= head {
            var reader = ByteReader(Array(bytes[at..<at + head]))
            let count = try Int(clamping: reader.integer(UInt64.self))
            let sum = try reader.integer(UInt64.self)
            guard count <= bytes.count - at - head else { break }
            let payload = Array(bytes[at + head..<at + head + count])
            guard checksum(payload) == sum else {
                // Damage with whole batches behind it is not a torn end: going on would forget orders.
                if at + head + count < bytes.count {
                    throw PluginError(.invalid, "file \(path) is damaged at byte \(at): restore it from a copy, or move it away to begin anew")
                }
                break
            }
            try replay(try Batch(payload))
            at += head + count
        }
        return at
    }

    private func write(_ bytes: [UInt8]) throws {
        var at = 0
        while at < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress.map { $0 + at }, $0.count - at) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let why = Journal.reason()
                // Half a batch must not stand before the next one.
                _ = ftruncate(descriptor, off_t(size))
                _ = lseek(descriptor, off_t(size), SEEK_SET)
                throw PluginError(.internalFault, "file \(path) can't be written: \(why)")
            }
            at += count
        }
        size += bytes.count
    }

    private func flush() throws {
        if durable, fdatasync(descriptor) != 0 { throw PluginError(.internalFault, "file \(path) can't be brought to disk: \(Journal.reason())") }
    }

    private static func framed(_ batch: Batch) -> [UInt8] {
        let payload = batch.bytes
        var out = ByteWriter()
        out.integer(UInt64(payload.count))
        out.integer(checksum(payload))
        out.raw(payload)
        return out.bytes
    }

    /// Writes a batch; when it returns, the batch survives.
    func append(_ batch: Batch) throws {
        try write(Journal.framed(batch))
        try flush()
    }

    /// Grown to four times what it was, and worth the work.
    var wantsCompaction: Bool { size > 1 << 20 && size > compacted * 4 }

    /// Puts one batch with everything in place of all that were written.
    func compact(_ whole: Batch) throws {
        let fresh = path + ".new"
        let target = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard target >= 0 else { throw PluginError(.internalFault, "file \(fresh) can't be made: \(Journal.reason())") }
        let old = (descriptor, size)
        do {
            guard flock(target, LOCK_EX | LOCK_NB) == 0 else { throw PluginError(.internalFault, "file \(fresh) is in use") }
            descriptor = target
            size = 0
            try write(Journal.mark)
            try write(Journal.framed(whole))
            guard fdatasync(target) == 0, rename(fresh, path) == 0 else {
                throw PluginError(.internalFault, "file \(fresh) can't take the place of \(path): \(Journal.reason())")
            }
            close(old.0)
            compacted = size
            syncFolder()
        } catch {
            close(target)
            unlink(fresh)
            (descriptor, size) = old
            throw error
        }
    }

    private func syncFolder() {
        let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        let handle = open(folder.isEmpty ? (path.hasPrefix("/") ? "/" : ".") : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if handle >= 0 {
            fsync(handle)
            close(handle)
        }
    }
}
