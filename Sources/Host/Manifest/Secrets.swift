import Glibc
import PluginKit

/// A secret's bytes. Nothing prints them: not a description, not a mirror, not an error.
public struct Secret: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    public var description: String { "(secret)" }
    public var debugDescription: String { "(secret)" }
    public var customMirror: Mirror { Mirror(self, children: EmptyCollection()) }
}

/// Why a secret could not be had. Names places and permissions, never a value.
public enum SecretError: Error, Sendable, Equatable {
    case badName(String)
    case notFound(String, variables: [String], file: String)
    case empty(String, place: String)
    case tooLong(String, place: String, limit: Int)
    case notText(String, place: String)
    case notAFolder(String)
    case notAFile(String)
    case notOurs(String)
    case tooWide(String, mode: UInt32, needed: UInt32)
    case unreadable(String, code: Int32)
    /// Two secrets that would be read from one environment variable.
    case sameVariable(String, String, variable: String)

    var what: String {
        switch self {
        case .badName(let name): "\"\(name)\" is no name for a secret"
        case .notFound(let name, _, _): "the secret \"\(name)\" is nowhere to be found"
        case .empty(let name, let place): "the secret \"\(name)\" is empty (\(place))"
        case .tooLong(let name, let place, let limit): "the secret \"\(name)\" is longer than \(limit) bytes (\(place))"
        case .notText(let name, let place): "the secret \"\(name)\" is not UTF-8 text (\(place))"
        case .notAFolder(let path): "\"\(path)\" is not a folder of its own (a link is not taken)"
        case .notAFile(let path): "\"\(path)\" is not a file of its own (a link is not taken)"
        case .notOurs(let path): "\"\(path)\" belongs to another user"
        case .tooWide(let path, let mode, _): "\"\(path)\" is open to others (mode \(octal(mode)))"
        case .unreadable(let path, let code): "\"\(path)\" can't be read: \(String(cString: strerror(code)))"
        case .sameVariable(let name, let other, let variable): "the secrets \"\(name)\" and \"\(other)\" would both be read from \(variable)"
        }
    }

    var hint: String? {
        switch self {
        case .badName: "letters, digits, - and _, with single dots between"
        case .notFound(_, let variables, let file): "set \(variables.joined(separator: " or ")) in the environment, or write it into \(file) (mode 0600)"
        case .empty, .tooLong, .notText: "put the secret there again"
        case .notAFolder, .notAFile, .unreadable: nil
        case .notOurs(let path): "make it yours: chown $USER \(path)"
        case .tooWide(let path, _, let needed): "run: chmod \(octal(needed)) \(path) - and change the secret if others could have read it"
        case .sameVariable(let name, _, _): "give \"\(name)\" another variable under \"secrets\".\"environment\""
        }
    }

    private func octal(_ mode: UInt32) -> String { "0" + String(mode, radix: 8) }
}

/// Finds secrets by name: in the environment first, then in the folder.
public struct SecretStore: Sendable {
    public static let limit = 65_536

    private let folder: String
    private let mapping: [String: String]
    private let environment: [String: String]

    /// `folder` resolved; `environment` is the process's, handed in.
    public init(folder: String, mapping: [String: String], environment: [String: String]) {
        self.folder = folder
        self.mapping = mapping
        self.environment = environment
    }

    public init(_ settings: SecretSettings, file: ManifestFile, environment: [String: String]) {
        self.init(folder: file.resolve(settings.folder), mapping: settings.environment, environment: environment)
    }

    /// "binance.key" -> KEEL_SECRET_BINANCE_KEY.
    public static func variable(for name: String) -> String {
        let letters = name.utf8.map { byte -> UInt8 in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - 32
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): byte
            default: UInt8(ascii: "_")
            }
        }
        return "KEEL_SECRET_" + String(decoding: letters, as: UTF8.self)
    }

    /// The variables looked into, in order.
    public func variables(for name: String) -> [String] {
        let standard = SecretStore.variable(for: name)
        guard let mapped = mapping[name], mapped != standard else { return [standard] }
        return [mapped, standard]
    }

    private static let namePattern = try? JSONPattern(Names.secretPattern)

    public func secret(_ name: String) throws(SecretError) -> Secret {
        guard SecretStore.namePattern?.matches(name) == true, name.utf8.count <= 128 else { throw .badName(name) }
        for variable in variables(for: name) {
            guard let text = environment[variable] else { continue }
            return try checked(Array(text.utf8), name, variable)
        }
        return try fromFile(name)
    }

    private func fromFile(_ name: String) throws(SecretError) -> Secret {
        let path = folder + "/" + name
        let folderFD = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if folderFD < 0 {
            switch errno {
            case ENOENT: throw .notFound(name, variables: variables(for: name), file: path)
            case ENOTDIR, ELOOP: throw .notAFolder(folder)
            case let code: throw .unreadable(folder, code: code)
            }
        }
        defer { close(folderFD) }
        try checkAccess(folderFD, folder, needed: 0o700)
        let fd = openat(folderFD, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
        if fd < 0 {
            switch errno {
            case ENOENT: throw .notFound(name, variables: variables(for: name), file: path)
            case ELOOP: throw .notAFile(path)
            case let code: throw .unreadable(path, code: code)
            }
        }
        defer { close(fd) }
        try checkAccess(fd, path, needed: 0o600)
        var bytes = [UInt8](repeating: 0, count: SecretStore.limit + 2)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { buffer in read(fd, buffer.baseAddress.map { $0 + count }, buffer.count - count) }
            if got < 0 {
                if errno == EINTR { continue }
                throw .unreadable(path, code: errno)
            }
            if got == 0 { break }
            count += got
        }
        bytes.removeLast(bytes.count - count)
        // Editors end a file with a line break; no key does.
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        return try checked(bytes, name, path)
    }

    private func checkAccess(_ fd: Int32, _ path: String, needed: UInt32) throws(SecretError) {
        var facts = stat()
        guard fstat(fd, &facts) == 0 else { throw .unreadable(path, code: errno) }
        if needed == 0o600, facts.st_mode & S_IFMT != S_IFREG { throw .notAFile(path) }
        guard facts.st_uid == geteuid() else { throw .notOurs(path) }
        let mode = UInt32(facts.st_mode) & 0o777
        if mode & 0o077 != 0 { throw .tooWide(path, mode: mode, needed: needed) }
    }

    private func checked(_ bytes: [UInt8], _ name: String, _ place: String) throws(SecretError) -> Secret {
        if bytes.isEmpty { throw .empty(name, place: place) }
        if bytes.count > SecretStore.limit { throw .tooLong(name, place: place, limit: SecretStore.limit) }
        if bytes.contains(0) || (try? UTF8Span(validating: bytes.span)) == nil { throw .notText(name, place: place) }
        return Secret(bytes)
    }
}
