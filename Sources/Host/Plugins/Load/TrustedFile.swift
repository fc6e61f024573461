import Glibc

/// Who may have written what the host loads.
public struct TrustRules: Hashable, Sendable {
    /// Root and the user that runs the host.
    public var owners: Set<UInt32>
    /// A group that has no member but the user: its write permission gives nobody anything (the user groups of Debian and Ubuntu).
    public var privateGroup: UInt32?

    public init(owners: Set<UInt32>, privateGroup: UInt32?) {
        self.owners = owners
        self.privateGroup = privateGroup
    }

    /// The rules for this process. The program's own folder may also belong to whoever owns the program: that user could
    /// change the host itself.
    public static func current(program: String? = nil) -> TrustRules {
        var owners: Set<UInt32> = [0, geteuid()]
        if let program {
            var info = stat()
            if stat(program, &info) == 0 { owners.insert(info.st_uid) }
        }
        return TrustRules(owners: owners, privateGroup: findPrivateGroup())
    }

    private static func findPrivateGroup() -> UInt32? {
        var user = passwd()
        var group = Glibc.group()
        var userFound: UnsafeMutablePointer<passwd>?
        var groupFound: UnsafeMutablePointer<Glibc.group>?
        var userBuffer = [CChar](repeating: 0, count: 16384)
        var groupBuffer = [CChar](repeating: 0, count: 65536)
        guard getpwuid_r(geteuid(), &user, &userBuffer, userBuffer.count, &userFound) == 0, userFound != nil,
            getgrgid_r(user.pw_gid, &group, &groupBuffer, groupBuffer.count, &groupFound) == 0, groupFound != nil,
            let userName = user.pw_name, let groupName = group.gr_name, strcmp(userName, groupName) == 0,
            group.gr_mem == nil || group.gr_mem.pointee == nil
        else { return nil }
        return user.pw_gid
    }

    /// nil: fine. `sticky`: a folder where only owners may remove or rename what is theirs, like /tmp.
    func fault(_ info: stat, _ path: String, allowSticky: Bool) -> LoadError? {
        guard owners.contains(info.st_uid) else { return .wrongOwner(path: path, owner: info.st_uid) }
        let isFolder = info.st_mode & S_IFMT == S_IFDIR
        var open = info.st_mode & 0o022
        if info.st_gid == privateGroup { open &= ~0o020 }
        if open == 0 { return nil }
        if isFolder, allowSticky, info.st_mode & UInt32(S_ISVTX) != 0 { return nil }
        return .writableByOthers(path: path, folder: isFolder, mode: info.st_mode)
    }
}

/// What tells one version of a file from the next without reading it.
struct FileStamp: Hashable, Sendable {
    let device: UInt64
    let inode: UInt64
    let size: Int
    let modified: Int64
    /// Set by the kernel at every change, and by nobody else.
    let changed: Int64

    init(_ info: stat) {
        device = UInt64(info.st_dev)
        inode = UInt64(info.st_ino)
        size = Int(info.st_size)
        modified = Int64(info.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(info.st_mtim.tv_nsec)
        changed = Int64(info.st_ctim.tv_sec) &* 1_000_000_000 &+ Int64(info.st_ctim.tv_nsec)
    }
}

/// A file opened step by step from the root, each folder on the way checked through its own descriptor, so that nothing can be
/// exchanged between the check and the use.
struct TrustedFile: ~Copyable {
    let fd: Int32
    let path: String
    let stamp: FileStamp

    static let largest = 256 << 20

    /// `path` must be canonical: a symbolic link on the way means that someone just put it there.
    init(_ path: String, _ rules: TrustRules) throws(LoadError) {
        var parts = path.split(separator: "/").map(String.init)
        guard path.hasPrefix("/"), let name = parts.popLast() else { throw .badName(path, why: "it is not an absolute path") }
        var folder = Glibc.open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw .unreadable(path: "/", reason: String(cString: strerror(errno))) }
        defer { close(folder) }
        var walked = ""
        try Self.check(folder, "/", rules, immediate: parts.isEmpty)
        for (index, part) in parts.enumerated() {
            let next = openat(folder, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            walked += "/\(part)"
            guard next >= 0 else { throw Self.failure(walked, errno) }
            close(folder)
            folder = next
            try Self.check(folder, walked, rules, immediate: index == parts.count - 1)
        }
        // Without O_NONBLOCK a fifo would hold us until someone writes to it.
        let file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw Self.failure(path, errno) }
        var info = stat()
        let fault: LoadError? =
            if fstat(file, &info) != 0 { .unreadable(path: path, reason: String(cString: strerror(errno))) }
            else if info.st_mode & S_IFMT != S_IFREG { .notAFile(path: path, what: Self.kind(info.st_mode)) }
            else if info.st_size > Self.largest { .tooLarge(path: path, size: Int(info.st_size), limit: Self.largest) }
            else { rules.fault(info, path, allowSticky: false) }
        if let fault {
            close(file)
            throw fault
        }
        fd = file
        self.path = path
        stamp = FileStamp(info)
    }

    deinit { close(fd) }

    /// The whole file, if it stayed the same while it was read.
    borrowing func read() throws(LoadError) -> [UInt8] {
        var failure: Int32 = 0
        let size = stamp.size
        let bytes = [UInt8](unsafeUninitializedCapacity: size + 1) { buffer, count in
            count = 0
            // One byte more than it should have shows that it grew.
            while count < size + 1, let base = buffer.baseAddress {
                let got = pread(fd, base + count, size + 1 - count, off_t(count))
                if got < 0, errno == EINTR { continue }
                if got < 0 { failure = errno }
                if got <= 0 { break }
                count += got
            }
        }
        if failure != 0 { throw .unreadable(path: path, reason: String(cString: strerror(failure))) }
        var info = stat()
        guard fstat(fd, &info) == 0, FileStamp(info) == stamp, bytes.count == size else { throw .changedWhileReading(path: path) }
        return bytes
    }

    private static func check(_ folder: Int32, _ path: String, _ rules: TrustRules, immediate: Bool) throws(LoadError) {
        var info = stat()
        guard fstat(folder, &info) == 0 else { throw .unreadable(path: path, reason: String(cString: strerror(errno))) }
        // /tmp and its like may be on the way, but are no place to keep libraries in.
        if let fault = rules.fault(info, path, allowSticky: !immediate) { throw fault }
    }

    private static func failure(_ path: String, _ code: Int32) -> LoadError {
        switch code {
        case ENOENT: .missing(path: path)
        case ELOOP, ENOTDIR: .changedWhileReading(path: path)
        case ENXIO: .notAFile(path: path, what: "a socket or a pipe")
        default: .unreadable(path: path, reason: String(cString: strerror(code)))
        }
    }

    private static func kind(_ mode: UInt32) -> String {
        switch mode & S_IFMT {
        case S_IFDIR: "a folder"
        case S_IFIFO: "a pipe"
        case S_IFSOCK: "a socket"
        case S_IFCHR, S_IFBLK: "a device"
        default: "something else"
        }
    }
}
