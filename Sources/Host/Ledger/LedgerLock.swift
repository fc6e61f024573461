import Glibc
import PluginKit

/// One host a ledger: an flock on a file beside it, which the kernel takes back when the process ends, however it ends.
public final class LedgerLock: Sendable {
    /// Who holds it. Read from the file, so only as good as what the holder wrote.
    public struct Owner: Equatable, Sendable {
        public var pid: Int32
        /// Nanoseconds since 1970.
        public var since: Int64

        public var sinceText: String { TimeText.utc(since) }

        init(pid: Int32, since: Int64) {
            self.pid = pid
            self.since = since
        }

        init?(text: String) {
            var pid: Int32?
            var since: Int64?
            for line in text.split(separator: "\n") {
                let parts = line.split(separator: " ", maxSplits: 1)
                guard parts.count == 2 else { continue }
                switch parts[0] {
                case "pid": pid = Int32(parts[1])
                case "since": since = Int64(parts[1])
                default: break
                }
            }
            guard let pid, let since else { return nil }
            self.init(pid: pid, since: since)
        }

        var text: String { "pid \(pid)\nsince \(since)\nat \(sinceText)\n" }
    }

    public let path: String
    private let descriptor: Int32

    /// The lock file that belongs to a ledger.
    public static func path(for ledger: String) -> String { ledger + ".lock" }

    /// Takes the lock of `ledger` or says who has it. `now` goes into the file for the next one who asks.
    ///
    /// `inherited`: the descriptor that `handOver` named before this process image replaced the last one;
    /// with it no other host can slip in between.
    public init(ledger: String, now: Int64, inherited: Int32? = nil) throws(LedgerRefusal) {
        path = LedgerLock.path(for: ledger)
        var taken: Int32 = -1
        if let inherited, LedgerLock.isSameFile(inherited, path) { taken = inherited }
        if taken < 0 { taken = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644) }
        guard taken >= 0 else { throw .cannotOpen(path: path, why: systemMessage(errno)) }
        _ = fcntl(taken, F_SETFD, FD_CLOEXEC)
        var failed = flock(taken, LOCK_EX | LOCK_NB) != 0
        // `holder` takes a shared lock for an instant to look: that may not keep a host from starting.
        for _ in 0..<10 where failed && errno == EWOULDBLOCK {
            usleep(5_000)
            failed = flock(taken, LOCK_EX | LOCK_NB) != 0
        }
        if failed {
            let why = errno
            let owner = LedgerLock.read(taken)
            close(taken)
            throw why == EWOULDBLOCK ? .inUse(path: ledger, owner: owner) : .cannotOpen(path: path, why: systemMessage(why))
        }
        descriptor = taken
        // Only a courtesy to the next one who asks: a full disk must not keep a host from starting.
        let text = Array(Owner(pid: getpid(), since: now).text.utf8)
        if ftruncate(taken, 0) == 0 { _ = text.withUnsafeBytes { pwrite(taken, $0.baseAddress, $0.count, 0) } }
    }

    deinit { close(descriptor) }

    /// Keeps the lock through an `exec` in place; the new image passes the number back as `inherited`.
    public func handOver() -> Int32 {
        _ = fcntl(descriptor, F_SETFD, 0)
        return descriptor
    }

    /// After an `exec` that failed.
    public func takeBack() { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }

    /// Who runs on this ledger now, nil if nobody does.
    public static func holder(of ledger: String) -> Owner? {
        let descriptor = open(path(for: ledger), O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        guard flock(descriptor, LOCK_SH | LOCK_NB) != 0, errno == EWOULDBLOCK else { return nil }
        return read(descriptor) ?? Owner(pid: 0, since: 0)
    }

    private static func read(_ descriptor: Int32) -> Owner? {
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
        guard count > 0 else { return nil }
        return Owner(text: String(decoding: bytes[..<count], as: UTF8.self))
    }

    private static func isSameFile(_ descriptor: Int32, _ path: String) -> Bool {
        var held = stat()
        var named = stat()
        guard fstat(descriptor, &held) == 0, stat(path, &named) == 0 else { return false }
        return held.st_dev == named.st_dev && held.st_ino == named.st_ino
    }
}

/// The system's words for an error number.
func systemMessage(_ code: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
    let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return String(decoding: bytes, as: UTF8.self)
}
