/// Reads a message body as its head describes it: by length, in chunks, or to the end of the connection.
public struct HTTPBodyReader: Sendable {
    private enum Shape: Equatable {
        case none
        case length(Int)
        case chunks
        case toEnd
    }

    private enum ChunkState { case size, data(Int), dataEnd, trailer, done }

    private let shape: Shape
    private let limit: Int
    private var chunk: ChunkState = .size
    public private(set) var body: [UInt8] = []

    /// RFC 9112 section 6.3. `toHead`: this answers a HEAD request.
    public init(_ head: HTTPHead, isResponse: Bool, toHead: Bool = false, limit: Int = 64 << 20) throws(HTTPViolation) {
        self.limit = limit
        if isResponse, toHead || head.status < 200 || head.status == 204 || head.status == 304 {
            shape = .none
            return
        }
        let codings = head.tokens("transfer-encoding")
        let lengths = Set(head.headers.filter { $0.name == "content-length" }.map(\.value))
        if !codings.isEmpty {
            guard codings == ["chunked"] else { throw .badLength("transfer-encoding \(codings.joined(separator: ", "))") }
            guard lengths.isEmpty else { throw .ambiguousLength }
            shape = .chunks
        } else if let text = lengths.first {
            guard lengths.count == 1 else { throw .ambiguousLength }
            guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let length = Int(text) else { throw .badLength(String(text.prefix(40))) }
            if length > limit { throw .bodyTooLarge(limit: limit) }
            shape = .length(length)
        } else {
            shape = isResponse ? .toEnd : .none
        }
    }

    /// Takes what it can off the front of `bytes[from...]`; true: the body is complete.
    public mutating func take(_ bytes: [UInt8], from: inout Int) throws(HTTPViolation) -> Bool {
        switch shape {
        case .none: return true
        case .length(let length):
            let part = min(length - body.count, bytes.count - from)
            body.append(contentsOf: bytes[from..<from + part])
            from += part
            return body.count == length
        case .toEnd:
            body.append(contentsOf: bytes[from...])
            from = bytes.count
            if body.count > limit { throw .bodyTooLarge(limit: limit) }
            return false
        case .chunks: return try takeChunks(bytes, from: &from)
        }
    }

    /// The connection ended: whether the body is complete with that.
    public func isCompleteAtEnd() -> Bool { shape == .toEnd || shape == .none }

    /// The connection can't be used again after this body.
    public var endsConnection: Bool { shape == .toEnd }

    private mutating func takeChunks(_ bytes: [UInt8], from: inout Int) throws(HTTPViolation) -> Bool {
        while true {
            switch chunk {
            case .size:
                guard let line = try line(bytes, &from) else { return false }
                let digits = trim(line.split(separator: ";", omittingEmptySubsequences: false).first ?? "")
                guard !digits.isEmpty, digits.utf8.count <= 8, !digits.hasPrefix("+"), !digits.hasPrefix("-"), let size = Int(digits, radix: 16) else {
                    throw .badChunk(String(line.prefix(40)))
                }
                if size > limit - body.count { throw .bodyTooLarge(limit: limit) }
                chunk = size == 0 ? .trailer : .data(size)
            case .data(let left):
                let part = min(left, bytes.count - from)
                body.append(contentsOf: bytes[from..<from + part])
                from += part
                if part < left {
                    chunk = .data(left - part)
                    return false
                }
                chunk = .dataEnd
            case .dataEnd:
                guard let line = try line(bytes, &from) else { return false }
                guard line.isEmpty else { throw .badChunk("bytes after a chunk") }
                chunk = .size
            case .trailer:
                guard let line = try line(bytes, &from) else { return false }
                if line.isEmpty {
                    chunk = .done
                    return true
                }
            case .done: return true
            }
        }
    }

    private func line(_ bytes: [UInt8], _ from: inout Int) throws(HTTPViolation) -> String? {
        guard let end = bytes[from...].prefix(4096).firstIndex(of: 10) else {
            if bytes.count - from > 4096 { throw .badChunk("a line without end") }
            return nil
        }
        let stop = end > from && bytes[end - 1] == 13 ? end - 1 : end
        let text = String(decoding: bytes[from..<stop], as: UTF8.self)
        from = end + 1
        return text
    }
}
