import Glibc
import PluginKit

/// Why a file could not be read.
public enum ManifestFileFault: Error, Equatable, Sendable {
    case missing(String)
    case notAFile(String)
    case tooLarge(bytes: Int, limit: Int)
    case unreadable(String, code: Int32)

    var what: String {
        switch self {
        case .missing(let path): "there is no file \"\(path)\""
        case .notAFile(let path): "\"\(path)\" is not a file"
        case .tooLarge(let bytes, let limit): "the file is too large: \(bytes) bytes, and a manifest has at most \(limit)"
        case .unreadable(let path, let code): "\"\(path)\" can't be read: \(String(cString: strerror(code)))"
        }
    }

    var hint: String? {
        switch self {
        case .missing: "name the manifest, or run keel in its folder"
        case .notAFile: "name the manifest itself, such as plugins.json"
        case .tooLarge: "is this the right file?"
        case .unreadable: nil
        }
    }
}

/// A manifest's bytes and where they came from.
public struct ManifestFile: Sendable {
    /// More than thousand plugins and pipelines take.
    public static let limit = 4 << 20

    /// As the user named it: for messages.
    public let name: String
    /// The folder that relative paths in it start from, absolute if the file was found.
    public let folder: String
    public let bytes: [UInt8]

    public init(name: String, folder: String, bytes: [UInt8]) {
        self.name = name
        self.folder = folder
        self.bytes = bytes
    }

    public init(reading name: String) throws(ManifestFileFault) {
        let fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        if fd < 0 {
            let code = errno
            throw code == ENOENT || code == ENOTDIR ? .missing(name) : .unreadable(name, code: code)
        }
        defer { close(fd) }
        var facts = stat()
        guard fstat(fd, &facts) == 0 else { throw .unreadable(name, code: errno) }
        guard facts.st_mode & S_IFMT == S_IFREG else { throw .notAFile(name) }
        guard facts.st_size <= Self.limit else { throw .tooLarge(bytes: Int(facts.st_size), limit: Self.limit) }
        // One byte more than it had: a file that grows meanwhile is noticed.
        var bytes = [UInt8](repeating: 0, count: Int(facts.st_size) + 1)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { buffer in read(fd, buffer.baseAddress.map { $0 + count }, buffer.count - count) }
            if got < 0 {
                if errno == EINTR { continue }
                throw .unreadable(name, code: errno)
            }
            if got == 0 { break }
            count += got
        }
        guard count < bytes.count else { throw .tooLarge(bytes: count, limit: Int(facts.st_size)) }
        bytes.removeLast(bytes.count - count)
        self.name = name
        self.bytes = bytes
        folder = ManifestFile.folder(of: name)
    }

    /// The folder of a file, with links resolved.
    static func folder(of name: String) -> String {
        guard let resolved = realpath(name, nil) else { return "." }
        defer { free(resolved) }
        let path = String(cString: resolved)
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    /// Where ledger, tapes and plugin state are, whether the rest of the manifest is valid or not.
    public var stateFolder: String {
        let root = try? JSONValue(parsing: bytes, options: JSONOptions(maximumBytes: Self.limit, refusesDuplicates: false))
        return resolve(root?.find("state")?.asText ?? Manifest().state)
    }

    /// A path of the manifest: absolute as it is, others from the manifest's folder.
    public func resolve(_ path: String) -> String { path.hasPrefix("/") ? path : folder + "/" + path }
}
