import Glibc

/// Room kept on the disk beside the ledger, given up when the disk is full: the intents of protective exits, fills and
/// order states still become durable while entries are halted.
final class Reserve {
    let path: String
    let size: Int64
    private(set) var isHeld = false

    init(path: String, size: Int64) {
        self.path = path
        self.size = size
    }

    /// True if the room is there afterwards.
    func take() -> Bool {
        guard size > 0 else { return true }
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        // Real blocks, not a hole.
        isHeld = posix_fallocate(descriptor, 0, off_t(size)) == 0
        if !isHeld { unlink(path) }
        return isHeld
    }

    /// True if that made room.
    func release() -> Bool {
        guard isHeld else { return false }
        isHeld = false
        return unlink(path) == 0
    }

    /// Takes the room back once the disk has several times as much free.
    func retake() -> Bool {
        if isHeld || size == 0 { return true }
        var facts = statvfs()
        var folder = "."
        if let slash = path.lastIndex(of: "/") { folder = slash == path.startIndex ? "/" : String(path[..<slash]) }
        guard statvfs(folder, &facts) == 0 else { return false }
        let (free, overflow) = UInt64(facts.f_bavail).multipliedReportingOverflow(by: UInt64(facts.f_frsize))
        guard overflow || free >= UInt64(size) * 4 else { return false }
        return take()
    }
}
