import Glibc
import PluginKit
import Synchronization

/// The folder of copies: `<sha256>.so`, what inspection found in `<sha256>.json`, and `<sha256>.bad.json` for those that crashed or
/// hung. Only copies are ever loaded: an installer that overwrites a plugin can't hurt a running host, and the name is the proof.
struct LibraryCache: Sendable {
    let folder: String
    private static let counter = Atomic<UInt64>(0)
    /// A file changed this recently may change again without a new time stamp.
    private static let settled: Int64 = 2_000_000_000

    /// Makes the folder, 0700, if it is missing.
    init(_ path: String) throws(LoadError) {
        try Self.make(path)
        guard let folder = canonical(path) else { throw .cache(path: path, reason: String(cString: strerror(errno))) }
        var info = stat()
        guard lstat(folder, &info) == 0 else { throw .cache(path: folder, reason: String(cString: strerror(errno))) }
        guard info.st_mode & S_IFMT == S_IFDIR else { throw .cache(path: folder, reason: "it is not a folder; remove it") }
        guard info.st_uid == geteuid() else { throw .cache(path: folder, reason: "it belongs to user \(info.st_uid); it must be yours (chown)") }
        guard info.st_mode & 0o077 == 0 else {
            throw .cache(path: folder, reason: "others have access to it (mode \(octal(info.st_mode))); run: chmod 700 \(folder)")
        }
        self.folder = folder
    }

    private static func make(_ path: String) throws(LoadError) {
        if mkdir(path, 0o700) == 0 { return }
        switch errno {
        case EEXIST: return
        case ENOENT where !path.isEmpty && path != "/":
            try make(parent(path))
            if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
            fallthrough
        default: throw .cache(path: path, reason: String(cString: strerror(errno)))
        }
    }

    func library(_ sha256: String) -> String { "\(folder)/\(sha256).so" }

    // MARK: copies

    /// The copy of these bytes, made now if it is missing. An existing one is read and hashed again.
    func store(_ bytes: [UInt8], sha256: String) throws(LoadError) -> String {
        let path = library(sha256)
        if try verify(sha256) { return path }
        try write(bytes, to: path, mode: 0o500)
        return path
    }

    /// True: the copy is there and is what its name says. A damaged one is removed and reported.
    func verify(_ sha256: String) throws(LoadError) -> Bool {
        let path = library(sha256)
        guard let bytes = try read(path, limit: TrustedFile.largest, mode: 0o500) else { return false }
        if try Self.hash(bytes, path) == sha256 { return true }
        unlink(path)
        throw .cacheDamaged(path: path, sha256: sha256)
    }

    /// The copy is there with the right size and rights; its bytes are hashed when it is loaded.
    func seemsPresent(_ sha256: String, size: Int) -> Bool {
        var info = stat()
        return lstat(library(sha256), &info) == 0 && info.st_mode & S_IFMT == S_IFREG && info.st_uid == geteuid()
            && info.st_mode & 0o7777 == 0o500 && Int(info.st_size) == size
    }

    static func hash(_ bytes: [UInt8], _ path: String) throws(LoadError) -> String {
        do throws(CryptoError) {
            return hex(try Digest.sha256.hash(bytes))
        } catch {
            throw .cache(path: path, reason: "no SHA-256: \(error)")
        }
    }

    // MARK: what is known about a library

    func metadata(_ sha256: String) -> LibraryMetadata? {
        guard let json = readJSON("\(sha256).json"), let known = try? LibraryMetadata(json), known.sha256 == sha256 else { return nil }
        return known
    }

    func remember(_ metadata: LibraryMetadata) throws(LoadError) {
        try write(metadata.json.bytes(.pretty), to: "\(folder)/\(metadata.sha256).json", mode: 0o600)
    }

    /// What it did when it was last looked at.
    func badness(_ sha256: String) -> String? {
        guard let json = readJSON("\(sha256).bad.json"), (try? json["format"].int64) == LibraryMetadata.format else { return nil }
        return try? json["what"].text
    }

    func condemn(_ sha256: String, path: String, what: String) throws(LoadError) {
        let json: JSONValue = [
            "format": JSONValue(LibraryMetadata.format), "sha256": JSONValue(sha256), "path": JSONValue(path), "what": JSONValue(what),
        ]
        try write(json.bytes(.pretty), to: "\(folder)/\(sha256).bad.json", mode: 0o600)
    }

    // MARK: hashes by time stamp

    /// The hash of a file that has not changed since it was hashed last.
    func knownHash(_ path: String, _ stamp: FileStamp) -> String? {
        guard let json = readJSON(stampName(path)), let known = try? json["path"].text, known == path,
            let text = try? json["stamp"].text, text == Self.text(stamp), let sha256 = try? json["sha256"].text, isHash(sha256)
        else { return nil }
        return sha256
    }

    /// Not remembered if the file is so new that it could still change under the same stamp. `now`: nanoseconds since 1970.
    func rememberHash(_ sha256: String, of path: String, _ stamp: FileStamp, now: Int64) throws(LoadError) {
        guard now - stamp.changed > Self.settled, now - stamp.modified > Self.settled else { return }
        let json: JSONValue = ["path": JSONValue(path), "stamp": JSONValue(Self.text(stamp)), "sha256": JSONValue(sha256)]
        try write(json.bytes(.compact), to: "\(folder)/\(stampName(path))", mode: 0o600)
    }

    private static func text(_ stamp: FileStamp) -> String {
        "\(stamp.device) \(stamp.inode) \(stamp.size) \(stamp.modified) \(stamp.changed)"
    }

    /// A file name for a path: FNV-1a; the path inside decides.
    private func stampName(_ path: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in path.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return "\(String(hash, radix: 16)).stamp"
    }

    // MARK: files

    private func readJSON(_ name: String) -> JSONValue? {
        guard let bytes = try? read("\(folder)/\(name)", limit: 16 << 20, mode: 0o600) else { return nil }
        return try? JSONValue(parsing: bytes)
    }

    /// nil: it isn't there. Refuses what is not ours alone.
    private func read(_ path: String, limit: Int, mode: UInt32) throws(LoadError) -> [UInt8]? {
        let fd = Glibc.open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
        guard fd >= 0 else {
            if errno == ENOENT { return nil }
            throw .cache(path: path, reason: String(cString: strerror(errno)))
        }
        defer { close(fd) }
        var info = stat()
        guard fstat(fd, &info) == 0, info.st_mode & S_IFMT == S_IFREG, info.st_uid == geteuid(), info.st_mode & 0o7777 == mode,
            info.st_size <= limit
        else {
            throw .cache(path: path, reason: "it is not a file of mode \(octal(mode)) that belongs to you; remove it")
        }
        let size = Int(info.st_size)
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            count = 0
            while count < size, let base = buffer.baseAddress {
                let got = pread(fd, base + count, size - count, off_t(count))
                if got < 0, errno == EINTR { continue }
                if got <= 0 { failed = true; break }
                count += got
            }
        }
        if failed { throw .cache(path: path, reason: "it could not be read to its end") }
        return bytes
    }

    /// Under a temporary name, made durable, then renamed: a reader sees all of it or nothing.
    private func write(_ bytes: [UInt8], to path: String, mode: UInt32) throws(LoadError) {
        let number = Self.counter.wrappingAdd(1, ordering: .relaxed).newValue
        let temporary = "\(folder)/.\(getpid()).\(number).\(Monotonic.now()).new"
        let fd = Glibc.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard fd >= 0 else { throw .cache(path: folder, reason: "can't write: \(String(cString: strerror(errno)))") }
        var failure: Int32 = 0
        bytes.withUnsafeBytes { raw in
            var done = 0
            while done < raw.count, let base = raw.baseAddress {
                let put = Glibc.write(fd, base + done, raw.count - done)
                if put < 0, errno == EINTR { continue }
                if put <= 0 { failure = errno == 0 ? EIO : errno; break }
                done += put
            }
        }
        if failure == 0, fchmod(fd, mode) != 0 { failure = errno }
        if failure == 0, fsync(fd) != 0 { failure = errno }
        close(fd)
        if failure == 0, rename(temporary, path) != 0 { failure = errno }
        if failure != 0 {
            unlink(temporary)
            throw .cache(path: path, reason: "can't write: \(String(cString: strerror(failure)))")
        }
        let directory = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if directory >= 0 {
            fsync(directory)
            close(directory)
        }
    }
}

func hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

func isHash(_ text: String) -> Bool {
    text.utf8.count == 64 && text.utf8.allSatisfy { ($0 >= 48 && $0 < 58) || ($0 >= 97 && $0 < 103) }
}
