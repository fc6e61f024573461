/// RFC 6455 frames, as pure functions over bytes: no socket, no clock.
public enum WebSocketOpcode: UInt8, Sendable {
    case continuation = 0
    case text = 1
    case binary = 2
    case close = 8
    case ping = 9
    case pong = 10

    var isControl: Bool { rawValue >= 8 }
}

/// Why a frame or a message is refused, with the close code the RFC gives it.
public enum WebSocketViolation: Error, Equatable, Sendable, CustomStringConvertible {
    case reservedBits
    case unknownOpcode(UInt8)
    case fragmentedControl
    case longControl(Int)
    case unmaskedClientFrame
    case maskedServerFrame
    case wastefulLength
    case tooLarge(Int, limit: Int)
    case strayContinuation
    case interruptedMessage
    case notUTF8
    case badCloseCode(UInt16)
    case shortClose

    public var closeCode: UInt16 {
        switch self {
        case .tooLarge: 1009
        case .notUTF8: 1007
        default: 1002
        }
    }

    public var description: String {
        switch self {
        case .reservedBits: "reserved bits are set although no extension was agreed"
        case .unknownOpcode(let code): "unknown opcode \(code)"
        case .fragmentedControl: "a control frame in fragments"
        case .longControl(let count): "a control frame of \(count) bytes (125 at most)"
        case .unmaskedClientFrame: "a client frame without a mask"
        case .maskedServerFrame: "a server frame with a mask"
        case .wastefulLength: "a length that isn't in its shortest form"
        case .tooLarge(let count, let limit): "a message of \(count) bytes or more (\(limit) at most)"
        case .strayContinuation: "a continuation without a beginning"
        case .interruptedMessage: "a new message before the last one ended"
        case .notUTF8: "text that isn't UTF-8"
        case .badCloseCode(let code): "close code \(code), which may not be sent"
        case .shortClose: "a close frame with half a code"
        }
    }
}

/// What arrived, whole.
public enum WebSocketMessage: Equatable, Sendable {
    case text([UInt8])
    case binary([UInt8])
    case ping([UInt8])
    case pong([UInt8])
    case close(code: UInt16?, reason: [UInt8])
}

/// Puts frames together into messages. Feed it bytes in any portions.
public struct WebSocketReader: Sendable {
    /// A server reads masked frames, a client unmasked ones.
    public let isServer: Bool
    public let limit: Int
    private var partial: [UInt8] = []
    private var partialOpcode: WebSocketOpcode?

    public init(isServer: Bool, limit: Int = 16 << 20) {
        self.isServer = isServer
        self.limit = limit
    }

    /// Takes one message off the front of `bytes[from...]`; nil: more bytes are needed. Advances `from` past what was used.
    public mutating func next(_ bytes: [UInt8], from: inout Int) throws(WebSocketViolation) -> WebSocketMessage? {
        while true {
            let available = bytes.count - from
            guard available >= 2 else { return nil }
            let first = bytes[from]
            let second = bytes[from + 1]
            if first & 0x70 != 0 { throw .reservedBits }
            guard let opcode = WebSocketOpcode(rawValue: first & 15) else { throw .unknownOpcode(first & 15) }
            let final = first & 0x80 != 0
            let masked = second & 0x80 != 0
            if isServer, !masked { throw .unmaskedClientFrame }
            if !isServer, masked { throw .maskedServerFrame }
            var length = Int(second & 0x7f)
            var header = 2
            if length == 126 {
                guard available >= 4 else { return nil }
                length = Int(bytes[from + 2]) << 8 | Int(bytes[from + 3])
                header = 4
                if length < 126 { throw .wastefulLength }
            } else if length == 127 {
                guard available >= 10 else { return nil }
                var wide: UInt64 = 0
                for index in 2..<10 { wide = wide << 8 | UInt64(bytes[from + index]) }
                guard let fits = Int(exactly: wide) else { throw .tooLarge(.max, limit: limit) }
                length = fits
                header = 10
                if length < 65_536 { throw .wastefulLength }
            }
            if opcode.isControl {
                if !final { throw .fragmentedControl }
                if length > 125 { throw .longControl(length) }
            } else if length > limit - partial.count {
                throw .tooLarge(length > limit ? length : length + partial.count, limit: limit)
            }
            let keyAt = from + header
            if masked { header += 4 }
            guard available - header >= length else { return nil }
            let start = from + header
            var payload = Array(bytes[start..<start + length])
            if masked { applyMask(&payload, key: (bytes[keyAt], bytes[keyAt + 1], bytes[keyAt + 2], bytes[keyAt + 3])) }
            from = start + length
            if let message = try accept(opcode, final, payload) { return message }
        }
    }

    private mutating func accept(_ opcode: WebSocketOpcode, _ final: Bool, _ payload: [UInt8]) throws(WebSocketViolation) -> WebSocketMessage? {
        switch opcode {
        case .ping: return .ping(payload)
        case .pong: return .pong(payload)
        case .close:
            if payload.isEmpty { return .close(code: nil, reason: []) }
            guard payload.count >= 2 else { throw .shortClose }
            let code = UInt16(payload[0]) << 8 | UInt16(payload[1])
            guard Self.mayBeSent(code) else { throw .badCloseCode(code) }
            let reason = Array(payload[2...])
            guard isUTF8(reason) else { throw .notUTF8 }
            return .close(code: code, reason: reason)
        case .text, .binary:
            if partialOpcode != nil { throw .interruptedMessage }
            if final { return try whole(opcode, payload) }
            partialOpcode = opcode
            partial = payload
            return nil
        case .continuation:
            guard let opcode = partialOpcode else { throw .strayContinuation }
            partial.append(contentsOf: payload)
            if !final { return nil }
            let message = partial
            partial = []
            partialOpcode = nil
            return try whole(opcode, message)
        }
    }

    private func whole(_ opcode: WebSocketOpcode, _ payload: [UInt8]) throws(WebSocketViolation) -> WebSocketMessage {
        if opcode == .binary { return .binary(payload) }
        guard isUTF8(payload) else { throw .notUTF8 }
        return .text(payload)
    }

    static func mayBeSent(_ code: UInt16) -> Bool {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}

/// Builds frames. `mask` nil: a server's frame.
public func webSocketFrame(_ opcode: WebSocketOpcode, _ payload: some Collection<UInt8>, mask: UInt32?, final: Bool = true) -> [UInt8] {
    var frame: [UInt8] = []
    frame.reserveCapacity(payload.count + 14)
    frame.append((final ? 0x80 : 0) | opcode.rawValue)
    let maskBit: UInt8 = mask == nil ? 0 : 0x80
    if payload.count < 126 {
        frame.append(maskBit | UInt8(payload.count))
    } else if payload.count < 65_536 {
        frame += [maskBit | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
    } else {
        frame.append(maskBit | 127)
        for shift in stride(from: 56, through: 0, by: -8) { frame.append(UInt8(truncatingIfNeeded: payload.count >> shift)) }
    }
    guard let mask else {
        frame.append(contentsOf: payload)
        return frame
    }
    let key = (UInt8(truncatingIfNeeded: mask >> 24), UInt8(truncatingIfNeeded: mask >> 16), UInt8(truncatingIfNeeded: mask >> 8), UInt8(truncatingIfNeeded: mask))
    frame += [key.0, key.1, key.2, key.3]
    var body = Array(payload)
    applyMask(&body, key: key)
    frame.append(contentsOf: body)
    return frame
}

func applyMask(_ bytes: inout [UInt8], key: (UInt8, UInt8, UInt8, UInt8)) {
    bytes.withUnsafeMutableBufferPointer { buffer in
        var index = 0
        while index + 4 <= buffer.count {
            buffer[index] ^= key.0
            buffer[index + 1] ^= key.1
            buffer[index + 2] ^= key.2
            buffer[index + 3] ^= key.3
            index += 4
        }
        if index < buffer.count { buffer[index] ^= key.0 }
        if index + 1 < buffer.count { buffer[index + 1] ^= key.1 }
        if index + 2 < buffer.count { buffer[index + 2] ^= key.2 }
    }
}

func isUTF8(_ bytes: [UInt8]) -> Bool { String(validating: bytes, as: UTF8.self) != nil }
