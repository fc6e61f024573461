import PluginKit

/// Where a value lies in a message, and what kind it is.
struct Token {
    enum Kind: UInt8 { case string, number, yes, no, null, object, list }
    var kind: Kind
    /// A string's bytes without its quotes; any other value whole.
    var start: Int
    var end: Int
    /// The string has a backslash in it: its bytes aren't its text.
    var escaped = false

    var count: Int { end - start }
}

/// Goes through JSON without making anything of it: no tree, no string. What is skipped is only checked for its shape.
struct Scanner {
    private(set) var at: Int
    private let end: Int
    private static let mostNested = 32

    init(_ bytes: borrowing Span<UInt8>) {
        at = 0
        end = bytes.count
    }

    /// The inside of a value found before.
    init(_ token: Token) {
        at = token.start
        end = token.end
    }

    private var broken: StreamFault { .notJSON(at: at) }

    @inline(__always)
    mutating func skipSpace(_ bytes: borrowing Span<UInt8>) {
        while at < end {
            switch bytes[at] {
            case 0x20, 0x0A, 0x0D, 0x09: at += 1
            default: return
            }
        }
    }

    /// Nothing but space is left.
    mutating func expectEnd(_ bytes: borrowing Span<UInt8>) throws(StreamFault) {
        skipSpace(bytes)
        if at != end { throw broken }
    }

    @inline(__always)
    mutating func expect(_ byte: UInt8, _ bytes: borrowing Span<UInt8>) throws(StreamFault) {
        skipSpace(bytes)
        guard at < end, bytes[at] == byte else { throw broken }
        at += 1
    }

    @inline(__always)
    mutating func take(_ byte: UInt8, _ bytes: borrowing Span<UInt8>) -> Bool {
        skipSpace(bytes)
        guard at < end, bytes[at] == byte else { return false }
        at += 1
        return true
    }

    /// The next member's name of an object whose brace is behind us; nil at its end. `first` before the first call.
    @inline(__always)
    mutating func name(_ bytes: borrowing Span<UInt8>, _ first: inout Bool) throws(StreamFault) -> Token? {
        if take(UInt8(ascii: "}"), bytes) { return nil }
        if !first { try expect(UInt8(ascii: ","), bytes) }
        first = false
        skipSpace(bytes)
        let name = try string(bytes)
        try expect(UInt8(ascii: ":"), bytes)
        return name
    }

    /// Whether another element of a list follows, whose bracket is behind us.
    @inline(__always)
    mutating func element(_ bytes: borrowing Span<UInt8>, _ first: inout Bool) throws(StreamFault) -> Bool {
        if take(UInt8(ascii: "]"), bytes) { return false }
        if !first { try expect(UInt8(ascii: ","), bytes) }
        first = false
        return true
    }

    @inline(__always)
    mutating func value(_ bytes: borrowing Span<UInt8>) throws(StreamFault) -> Token {
        skipSpace(bytes)
        guard at < end else { throw broken }
        let start = at
        switch bytes[at] {
        case UInt8(ascii: "\""): return try string(bytes)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            at += 1
            while at < end, Self.isNumberByte(bytes[at]) { at += 1 }
            return Token(kind: .number, start: start, end: at)
        case UInt8(ascii: "{"):
            try skipNested(bytes)
            return Token(kind: .object, start: start, end: at)
        case UInt8(ascii: "["):
            try skipNested(bytes)
            return Token(kind: .list, start: start, end: at)
        case UInt8(ascii: "t"):
            try word("true", bytes)
            return Token(kind: .yes, start: start, end: at)
        case UInt8(ascii: "f"):
            try word("false", bytes)
            return Token(kind: .no, start: start, end: at)
        case UInt8(ascii: "n"):
            try word("null", bytes)
            return Token(kind: .null, start: start, end: at)
        default: throw broken
        }
    }

    @inline(__always)
    private static func isNumberByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "+"), UInt8(ascii: "-"): true
        default: false
        }
    }

    private mutating func word(_ word: StaticString, _ bytes: borrowing Span<UInt8>) throws(StreamFault) {
        let count = word.utf8CodeUnitCount
        guard end - at >= count else { throw broken }
        for index in 0..<count where bytes[at + index] != word.utf8Start[index] { throw broken }
        at += count
    }

    @inline(__always)
    private mutating func string(_ bytes: borrowing Span<UInt8>) throws(StreamFault) -> Token {
        guard at < end, bytes[at] == UInt8(ascii: "\"") else { throw broken }
        at += 1
        let start = at
        var escaped = false
        while at < end {
            let byte = bytes[at]
            if byte == UInt8(ascii: "\"") {
                at += 1
                return Token(kind: .string, start: start, end: at - 1, escaped: escaped)
            }
            if byte < 0x20 { throw broken }
            if byte == UInt8(ascii: "\\") {
                escaped = true
                at += 1
                if at == end { break }
            }
            at += 1
        }
        throw broken
    }

    /// Over an object or a list as a whole: brackets must fit, strings must end.
    private mutating func skipNested(_ bytes: borrowing Span<UInt8>) throws(StreamFault) {
        var depth = 0
        // A bit a level: 1 where an object is open.
        var kinds: UInt64 = 0
        while at < end {
            switch bytes[at] {
            case UInt8(ascii: "\""):
                _ = try string(bytes)
                continue
            case UInt8(ascii: "{"):
                depth += 1
                kinds = kinds << 1 | 1
            case UInt8(ascii: "["):
                depth += 1
                kinds <<= 1
            case UInt8(ascii: "}"):
                guard depth > 0, kinds & 1 == 1 else { throw broken }
                depth -= 1
                kinds >>= 1
            case UInt8(ascii: "]"):
                guard depth > 0, kinds & 1 == 0 else { throw broken }
                depth -= 1
                kinds >>= 1
            default: break
            }
            if depth > Self.mostNested { throw broken }
            at += 1
            if depth == 0 { return }
        }
        throw broken
    }
}

// MARK: numbers

/// Powers of ten that turn a number of decimals into 1e-8 steps.
@inline(__always)
private func powerOfTen(_ exponent: Int) -> UInt64 {
    switch exponent {
    case 0: 1
    case 1: 10
    case 2: 100
    case 3: 1_000
    case 4: 10_000
    case 5: 100_000
    case 6: 1_000_000
    case 7: 10_000_000
    default: 100_000_000
    }
}

extension Token {
    /// A decimal, as text or as a number, in 1e-8 steps: exact, or an error.
    @inline(__always)
    func fixed(_ bytes: borrowing Span<UInt8>, _ field: StaticString) throws(StreamFault) -> Int64 {
        guard kind == .string || kind == .number else { throw .wrongKind("\(field)") }
        var at = start
        var negative = false
        if at < end, bytes[at] == UInt8(ascii: "-") {
            negative = true
            at += 1
        }
        var digits: UInt64 = 0
        var decimals = 0
        var point = false
        var seen = false
        // 18 digits can't overflow; anything longer or stranger takes the slow way.
        guard end - at <= 19, !escaped else { return try slowFixed(bytes, field) }
        while at < end {
            let byte = bytes[at]
            let digit = byte &- UInt8(ascii: "0")
            if digit < 10 {
                digits = digits &* 10 &+ UInt64(digit)
                seen = true
                if point { decimals &+= 1 }
            } else if byte == UInt8(ascii: "."), !point {
                point = true
            } else {
                return try slowFixed(bytes, field)
            }
            at &+= 1
        }
        guard seen, digits <= 999_999_999_999_999_999, decimals <= 8 else { return try slowFixed(bytes, field) }
        let (scaled, overflow) = digits.multipliedReportingOverflow(by: powerOfTen(8 - decimals))
        guard !overflow, scaled <= UInt64(Int64.max) else { throw .outOfRange("\(field)") }
        return negative ? -Int64(scaled) : Int64(scaled)
    }

    @inline(never)
    private func slowFixed(_ bytes: borrowing Span<UInt8>, _ field: StaticString) throws(StreamFault) -> Int64 {
        let text = copy(bytes)
        do throws(NumberError) {
            return try Fixed(parsing: text, allowingExponent: true).raw
        } catch {
            throw StreamFault(error, field)
        }
    }

    /// The same in 128 bits, for volumes.
    func amount(_ bytes: borrowing Span<UInt8>, _ field: StaticString) throws(StreamFault) -> Amount {
        if count <= 17 { return Amount(raw: Int128(try fixed(bytes, field))) }
        guard kind == .string || kind == .number else { throw .wrongKind("\(field)") }
        let text = copy(bytes)
        do throws(NumberError) {
            return try Amount(parsing: text, allowingExponent: true)
        } catch {
            throw StreamFault(error, field)
        }
    }

    /// An id or a time: a whole number of 0 or more.
    @inline(__always)
    func whole(_ bytes: borrowing Span<UInt8>, _ field: StaticString) throws(StreamFault) -> Int64 {
        guard kind == .number else { throw .wrongKind("\(field)") }
        var value: Int64 = 0
        guard count <= 18 else { throw .outOfRange("\(field)") }
        for at in start..<end {
            let digit = bytes[at] &- UInt8(ascii: "0")
            guard digit < 10 else { throw .wrongKind("\(field)") }
            value = value &* 10 &+ Int64(digit)
        }
        return value
    }

    func flag(_ field: StaticString) throws(StreamFault) -> Bool {
        switch kind {
        case .yes: true
        case .no: false
        default: throw .wrongKind("\(field)")
        }
    }

    func equals(_ text: StaticString, _ bytes: borrowing Span<UInt8>) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        for index in 0..<count where bytes[start + index] != text.utf8Start[index] { return false }
        return true
    }

    func copy(_ bytes: borrowing Span<UInt8>) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(count)
        for at in start..<end { text.append(bytes[at]) }
        return text
    }

    /// For messages to people only.
    func words(_ bytes: borrowing Span<UInt8>) -> String { String(decoding: copy(bytes), as: UTF8.self) }
}

extension StreamFault {
    init(_ error: NumberError, _ field: StaticString) {
        switch error {
        case .overflow: self = .outOfRange("\(field)")
        case .inexact: self = .inexact("\(field)")
        case .divisionByZero, .notANumber: self = .wrongKind("\(field)")
        }
    }
}
