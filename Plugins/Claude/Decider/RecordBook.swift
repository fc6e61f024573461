import Glibc
import PluginKit

/// A reply as it came, kept under the hash of its request. Failures are kept too, so that a replay repeats them.
public struct StoredReply: Equatable, Sendable {
    public var key: String
    public var status: Int
    public var body: [UInt8]
    public var outcome: String
    public var at: Int64

    public init(key: String, status: Int, body: [UInt8], outcome: String, at: Int64) {
        self.key = key
        self.status = status
        self.body = body
        self.outcome = outcome
        self.at = at
    }

    var line: [UInt8] {
        let value: JSONValue = [
            "key": JSONValue(key), "status": JSONValue(status), "outcome": JSONValue(outcome), "at": JSONValue(at), "body": JSONValue(Base64.encode(body)),
        ]
        return value.bytes(.canonical) + [10]
    }

    init?(line: [UInt8]) {
        guard let value = try? JSONValue(parsing: line), let key = value.find("key")?.asText, key.utf8.count == 64,
            let status = value.find("status")?.asNumber?.int64, (0...999).contains(status), let outcome = value.find("outcome")?.asText,
            let at = value.find("at")?.asNumber?.int64, let text = value.find("body")?.asText, let body = Base64.decode(text)
        else { return nil }
        self.init(key: key, status: Int(status), body: body, outcome: outcome, at: at)
    }
}

public enum RecordError: Error, Equatable, Sendable, CustomStringConvertible {
    case unreadable(String, String)
    case damaged(String, line: Int)

    public var description: String {
        switch self {
        case .unreadable(let path, let why): "the record \(path) can't be opened: \(why)"
        case .damaged(let path, let line): "the record \(path) is damaged in line \(line): restore it, or cut the file before that line"
        }
    }
}

/// Stored replies: one line each, appended and synced before the answer is used. A torn last line is cut, anything else is an error.
public final class RecordBook {
    public private(set) var replies: [String: StoredReply] = [:]
    private var descriptor: Int32 = -1
    public let path: String

    /// `mayBeMissing`: a file that isn't there yet is an empty record.
    public init(path: String, writing: Bool, mayBeMissing: Bool = false) throws(RecordError) {
        self.path = path
        if !writing, mayBeMissing, access(path, F_OK) != 0, errno == ENOENT { return }
        let flags = writing ? O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC : O_RDONLY | O_CLOEXEC
        let opened = open(path, flags, 0o600)
        guard opened >= 0 else { throw .unreadable(path, String(cString: strerror(errno))) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(opened, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count < 0 {
                let why = String(cString: strerror(errno))
                close(opened)
                throw .unreadable(path, why)
            }
            if count == 0 { break }
            bytes.append(contentsOf: chunk[0..<count])
        }
        var start = 0
        var number = 0
        while let end = bytes[start...].firstIndex(of: 10) {
            number += 1
            guard let reply = StoredReply(line: Array(bytes[start..<end])) else {
                close(opened)
                throw .damaged(path, line: number)
            }
            // The first answer to a request is the one that counts, here as in the run that stored it.
            if replies[reply.key] == nil { replies[reply.key] = reply }
            start = end + 1
        }
        if writing, start < bytes.count { ftruncate(opened, off_t(start)) }
        if writing { descriptor = opened } else { close(opened) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    public func add(_ reply: StoredReply) throws(RecordError) {
        guard descriptor >= 0, replies[reply.key] == nil else { return }
        let line = reply.line
        var written = 0
        while written < line.count {
            let count = line.withUnsafeBytes { write(descriptor, $0.baseAddress.map { $0 + written }, line.count - written) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .unreadable(path, String(cString: strerror(errno))) }
            written += count
        }
        guard fdatasync(descriptor) == 0 else { throw .unreadable(path, String(cString: strerror(errno))) }
        replies[reply.key] = reply
    }
}
