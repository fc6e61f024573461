/// Why an HTTP message is refused.
public enum HTTPViolation: Error, Equatable, Sendable, CustomStringConvertible {
    case badStartLine(String)
    case badHeader(String)
    case headTooLarge(limit: Int)
    case badLength(String)
    case badChunk(String)
    case bodyTooLarge(limit: Int)
    case ambiguousLength

    public var description: String {
        switch self {
        case .badStartLine(let line): "the first line isn't HTTP/1.1: \"\(line)\""
        case .badHeader(let line): "not a header line: \"\(line)\""
        case .headTooLarge(let limit): "headers of more than \(limit) bytes"
        case .badLength(let text): "not a length: \"\(text)\""
        case .badChunk(let text): "not a chunk: \"\(text)\""
        case .bodyTooLarge(let limit): "a body of more than \(limit) bytes"
        case .ambiguousLength: "two different lengths for one body"
        }
    }
}

/// The first line and the headers of an HTTP/1.1 message.
public struct HTTPHead: Equatable, Sendable {
    public var method = ""  // requests
    public var target = ""
    public var status = 0  // responses
    public var reason = ""
    public var minorVersion = 1
    public var headers: [(name: String, value: String)] = []  // names in lower case

    public static let limit = 65_536

    public init() {}

    public static func == (a: HTTPHead, b: HTTPHead) -> Bool {
        a.method == b.method && a.target == b.target && a.status == b.status && a.reason == b.reason && a.minorVersion == b.minorVersion
            && a.headers.elementsEqual(b.headers, by: { $0.name == $1.name && $0.value == $1.value })
    }

    /// The first header of that name (lower case).
    public subscript(_ name: String) -> String? { headers.first { $0.name == name }?.value }

    /// The comma-separated words of a header, in lower case.
    public func tokens(_ name: String) -> [String] {
        headers.filter { $0.name == name }.flatMap { $0.value.split(separator: ",") }.map { trim($0).lowercased() }
    }

    /// nil: more bytes are needed. Otherwise the head and how many bytes it took.
    public static func parseResponse(_ bytes: [UInt8]) throws(HTTPViolation) -> (HTTPHead, Int)? {
        guard let (lines, used) = try split(bytes) else { return nil }
        var head = HTTPHead()
        let parts = lines[0].split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[1].utf8.count == 3, let status = Int(parts[1]), status >= 100 else { throw .badStartLine(String(lines[0].prefix(80))) }
        head.minorVersion = try version(parts[0], lines[0])
        head.status = status
        head.reason = parts.count > 2 ? String(parts[2]) : ""
        head.headers = try parseHeaders(lines.dropFirst())
        return (head, used)
    }

    public static func parseRequest(_ bytes: [UInt8]) throws(HTTPViolation) -> (HTTPHead, Int)? {
        guard let (lines, used) = try split(bytes) else { return nil }
        var head = HTTPHead()
        let parts = lines[0].split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, parts[0].utf8.allSatisfy(isTokenByte), parts[1].hasPrefix("/") || parts[1] == "*" else {
            throw .badStartLine(String(lines[0].prefix(80)))
        }
        head.minorVersion = try version(parts[2], lines[0])
        head.method = String(parts[0])
        head.target = String(parts[1])
        head.headers = try parseHeaders(lines.dropFirst())
        return (head, used)
    }

    private static func version(_ text: Substring, _ line: Substring) throws(HTTPViolation) -> Int {
        switch text {
        case "HTTP/1.1": 1
        case "HTTP/1.0": 0
        default: throw .badStartLine(String(line.prefix(80)))
        }
    }

    /// The lines before the empty one. Line ends are CRLF; a bare LF is tolerated, as RFC 9112 allows.
    private static func split(_ bytes: [UInt8]) throws(HTTPViolation) -> (lines: [Substring], used: Int)? {
        var end = 0
        var found = false
        while end < bytes.count {
            if end > limit { throw .headTooLarge(limit: limit) }
            if bytes[end] == 10 {
                if end + 1 < bytes.count, bytes[end + 1] == 10 {
                    end += 2
                    found = true
                    break
                }
                if end + 2 < bytes.count, bytes[end + 1] == 13, bytes[end + 2] == 10 {
                    end += 3
                    found = true
                    break
                }
            }
            end += 1
        }
        if !found {
            if bytes.count > limit { throw .headTooLarge(limit: limit) }
            return nil
        }
        let text = String(decoding: bytes[..<end], as: UTF8.self)
        let lines = text.split(omittingEmptySubsequences: true) { $0 == "\r\n" || $0 == "\n" }
        guard !lines.isEmpty else { throw .badStartLine("") }
        return (lines, end)
    }

    private static func parseHeaders(_ lines: ArraySlice<Substring>) throws(HTTPViolation) -> [(name: String, value: String)] {
        var headers: [(name: String, value: String)] = []
        for line in lines {
            guard let colon = line.firstIndex(of: ":") else { throw .badHeader(String(line.prefix(80))) }
            let name = line[..<colon]
            guard !name.isEmpty, name.utf8.allSatisfy(isTokenByte) else { throw .badHeader(String(line.prefix(80))) }
            let value = trim(line[line.index(after: colon)...])
            guard isHeaderSafe(value) else { throw .badHeader(String(line.prefix(80))) }
            headers.append((name.lowercased(), value))
        }
        return headers
    }
}

func trim(_ text: some StringProtocol) -> String {
    var rest = Substring(text)
    while rest.first == " " || rest.first == "\t" { rest.removeFirst() }
    while rest.last == " " || rest.last == "\t" { rest.removeLast() }
    return String(rest)
}

func isTokenByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
    default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
}

/// No control character: nothing that could end the line and start another.
func isHeaderSafe(_ text: some StringProtocol) -> Bool { text.utf8.allSatisfy { ($0 >= 32 || $0 == 9) && $0 != 127 } }
