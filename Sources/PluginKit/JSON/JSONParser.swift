// RFC 8259, strictly: what it forbids is refused, and where it leaves freedom (duplicate names, lone surrogates, depth)
// the safe reading is taken.

/// A problem at a byte, before it is turned into line and column.
struct JSONFault: Error {
    var problem: JSONProblem
    var offset: Int
    /// For duplicate names: where the first one is.
    var first: Int?

    init(_ problem: JSONProblem, _ offset: Int, first: Int? = nil) {
        self.problem = problem
        self.offset = offset
        self.first = first
    }
}

struct JSONParser {
    private(set) var at = 0
    private(set) var duplicates: [JSONFault] = []
    private let options: JSONOptions
    private let depthLimit: Int
    /// More of them than anyone reads; the rest is only skipped.
    private static let duplicatesKept = 100

    init(options: JSONOptions) {
        self.options = options
        depthLimit = min(max(options.depth, 1), 512)
    }

    mutating func document(_ bytes: Span<UInt8>) throws(JSONFault) -> JSONValue {
        let limit = min(options.maximumBytes, Int(UInt32.max) - 1)
        if bytes.count > limit { throw JSONFault(.tooLarge(bytes: bytes.count, limit: limit), 0) }
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF {
            if !options.toleratesByteOrderMark { throw JSONFault(.byteOrderMark, 0) }
            at = 3
        }
        do {
            _ = try UTF8Span(validating: bytes)
        } catch {
            throw JSONFault(.notUTF8, error.byteOffsets.lowerBound)
        }
        skipSpace(bytes)
        if at == bytes.count { throw JSONFault(.empty, at) }
        let root = try value(bytes, depth: 0)
        skipSpace(bytes)
        if at < bytes.count { throw JSONFault(.textAfterEnd(found: shown(bytes)), at) }
        return root
    }

    // MARK: values

    private mutating func value(_ bytes: Span<UInt8>, depth: Int) throws(JSONFault) -> JSONValue {
        let start = at
        guard at < bytes.count else { throw JSONFault(.truncated(inside: "a value"), at) }
        switch bytes[at] {
        case UInt8(ascii: "\""):
            let text = try string(bytes)
            return JSONValue(.text(text), from: start, to: at)
        case UInt8(ascii: "{"):
            return try object(bytes, depth: depth)
        case UInt8(ascii: "["):
            return try list(bytes, depth: depth)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            let number = try number(bytes)
            return JSONValue(.number(number), from: start, to: at)
        case UInt8(ascii: "t"):
            try word("true", bytes)
            return JSONValue(.bool(true), from: start, to: at)
        case UInt8(ascii: "f"):
            try word("false", bytes)
            return JSONValue(.bool(false), from: start, to: at)
        case UInt8(ascii: "n"):
            try word("null", bytes)
            return JSONValue(.null, from: start, to: at)
        default:
            throw unexpected(bytes, expected: "a value")
        }
    }

    private mutating func object(_ bytes: Span<UInt8>, depth: Int) throws(JSONFault) -> JSONValue {
        let start = at
        if depth >= depthLimit { throw JSONFault(.tooDeep(limit: depthLimit), at) }
        at += 1
        var object = JSONObject()
        skipSpace(bytes)
        if at < bytes.count, bytes[at] == UInt8(ascii: "}") {
            at += 1
            return JSONValue(.object(object), from: start, to: at)
        }
        while true {
            guard at < bytes.count else { throw JSONFault(.truncated(inside: "an object"), at) }
            guard bytes[at] == UInt8(ascii: "\"") else { throw unexpected(bytes, expected: "a name in quotation marks") }
            let nameStart = at
            let name = try string(bytes)
            skipSpace(bytes)
            guard at < bytes.count else { throw JSONFault(.truncated(inside: "an object"), at) }
            guard bytes[at] == UInt8(ascii: ":") else { throw unexpected(bytes, expected: "a colon after the name") }
            at += 1
            skipSpace(bytes)
            guard at < bytes.count else { throw JSONFault(.truncated(inside: "an object"), at) }
            let value = try value(bytes, depth: depth + 1)
            if let first = object.append(JSONObject.Member(name, value, start: nameStart)) {
                let fault = JSONFault(.duplicateName(name, firstLine: 0), nameStart, first: Int(object.members[first].start))
                if options.refusesDuplicates { throw fault }
                if duplicates.count < Self.duplicatesKept { duplicates.append(fault) }
            }
            skipSpace(bytes)
            guard at < bytes.count else { throw JSONFault(.truncated(inside: "an object"), at) }
            if bytes[at] == UInt8(ascii: "}") {
                at += 1
                return JSONValue(.object(object), from: start, to: at)
            }
            guard bytes[at] == UInt8(ascii: ",") else { throw unexpected(bytes, expected: "a comma or }") }
            let comma = at
            at += 1
            skipSpace(bytes)
            if at < bytes.count, bytes[at] == UInt8(ascii: "}") { throw JSONFault(trailingComma, comma) }
        }
    }

    private mutating func list(_ bytes: Span<UInt8>, depth: Int) throws(JSONFault) -> JSONValue {
        let start = at
        if depth >= depthLimit { throw JSONFault(.tooDeep(limit: depthLimit), at) }
        at += 1
        var list: [JSONValue] = []
        skipSpace(bytes)
        if at < bytes.count, bytes[at] == UInt8(ascii: "]") {
            at += 1
            return JSONValue(.list(list), from: start, to: at)
        }
        while true {
            guard at < bytes.count else { throw JSONFault(.truncated(inside: "a list"), at) }
            list.append(try value(bytes, depth: depth + 1))
            skipSpace(bytes)
            guard at < bytes.count else { throw JSONFault(.truncated(inside: "a list"), at) }
            if bytes[at] == UInt8(ascii: "]") {
                at += 1
                return JSONValue(.list(list), from: start, to: at)
            }
            guard bytes[at] == UInt8(ascii: ",") else { throw unexpected(bytes, expected: "a comma or ]") }
            let comma = at
            at += 1
            skipSpace(bytes)
            if at < bytes.count, bytes[at] == UInt8(ascii: "]") { throw JSONFault(trailingComma, comma) }
        }
    }

    private var trailingComma: JSONProblem { .unexpected(found: "a comma after the last entry", expected: "the end") }

    private mutating func word(_ word: StaticString, _ bytes: Span<UInt8>) throws(JSONFault) {
        let start = at
        let expected = word.description
        for byte in expected.utf8 {
            guard at < bytes.count else { throw JSONFault(.truncated(inside: expected), at) }
            guard bytes[at] == byte else {
                at = start
                throw unexpected(bytes, expected: "a value")
            }
            at += 1
        }
        if at < bytes.count, isWordByte(bytes[at]) {
            at = start
            throw unexpected(bytes, expected: "a value")
        }
    }

    // MARK: numbers

    mutating func number(_ bytes: Span<UInt8>) throws(JSONFault) -> JSONNumber {
        let start = at
        if at < bytes.count, bytes[at] == UInt8(ascii: "-") { at += 1 }
        guard at < bytes.count else { throw JSONFault(.truncated(inside: "a number"), at) }
        if bytes[at] == UInt8(ascii: "0") {
            at += 1
            if at < bytes.count, isDigit(bytes[at]) { throw JSONFault(.badNumber("a number may not start with a zero"), start) }
        } else {
            try digits(bytes, start, after: "the minus sign")
        }
        if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
            at += 1
            try digits(bytes, start, after: "the decimal point")
        }
        if at < bytes.count, bytes[at] == UInt8(ascii: "e") || bytes[at] == UInt8(ascii: "E") {
            at += 1
            if at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") { at += 1 }
            let exponent = at
            try digits(bytes, start, after: "the e")
            // Far beyond any use, and still far from where a power of ten would no longer be counted exactly.
            if at - exponent > 6, !JSONNumberParts(text(bytes, start, at).utf8).isCounted {
                throw JSONFault(.badNumber("this number's exponent is beyond a thousand million"), start)
            }
        }
        if at < bytes.count, isWordByte(bytes[at]) || bytes[at] == UInt8(ascii: ".") || bytes[at] == UInt8(ascii: "+") {
            throw JSONFault(.badNumber("this is not a decimal number: a duration or a unit needs quotation marks"), start)
        }
        return JSONNumber(checked: text(bytes, start, at))
    }

    private mutating func digits(_ bytes: Span<UInt8>, _ start: Int, after what: String) throws(JSONFault) {
        guard at < bytes.count else { throw JSONFault(.truncated(inside: "a number"), at) }
        guard isDigit(bytes[at]) else { throw JSONFault(.badNumber("a number needs a digit after \(what)"), start) }
        while at < bytes.count, isDigit(bytes[at]) { at += 1 }
    }

    // MARK: texts

    /// From the opening quotation mark to behind the closing one.
    private mutating func string(_ bytes: Span<UInt8>) throws(JSONFault) -> String {
        let opening = at
        at += 1
        var from = at
        while at < bytes.count, bytes[at] != UInt8(ascii: "\""), bytes[at] != UInt8(ascii: "\\"), bytes[at] >= 0x20 { at += 1 }
        if at < bytes.count, bytes[at] == UInt8(ascii: "\"") {
            at += 1
            return text(bytes, from, at - 1)
        }
        var result = ""
        while true {
            guard at < bytes.count else { throw JSONFault(.truncated(inside: "a text that starts here"), opening) }
            let byte = bytes[at]
            if byte == UInt8(ascii: "\"") {
                result += text(bytes, from, at)
                at += 1
                return result
            }
            if byte < 0x20 { throw JSONFault(.controlCharacter(byte), at) }
            if byte == UInt8(ascii: "\\") {
                result += text(bytes, from, at)
                result.unicodeScalars.append(try escape(bytes, opening))
                from = at
            } else {
                at += 1
            }
        }
    }

    private mutating func escape(_ bytes: Span<UInt8>, _ opening: Int) throws(JSONFault) -> Unicode.Scalar {
        let start = at
        at += 1
        guard at < bytes.count else { throw JSONFault(.truncated(inside: "a text that starts here"), opening) }
        let kind = bytes[at]
        at += 1
        switch kind {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let first = try hex4(bytes, start, opening)
            if let scalar = Unicode.Scalar(first) { return scalar }
            guard first < 0xDC00, at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"), bytes[at + 1] == UInt8(ascii: "u") else {
                throw JSONFault(.loneSurrogate(text(bytes, start, at)), start)
            }
            at += 2
            let second = try hex4(bytes, at - 2, opening)
            guard second >= 0xDC00, second <= 0xDFFF, let scalar = Unicode.Scalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)) else {
                throw JSONFault(.loneSurrogate(text(bytes, start, start + 6)), start)
            }
            return scalar
        default:
            var end = at
            while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
            throw JSONFault(.badEscape(text(bytes, start, end)), start)
        }
    }

    private mutating func hex4(_ bytes: Span<UInt8>, _ start: Int, _ opening: Int) throws(JSONFault) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard at < bytes.count else { throw JSONFault(.truncated(inside: "a text that starts here"), opening) }
            let digit: UInt32
            switch bytes[at] {
            case let byte where isDigit(byte): digit = UInt32(byte - UInt8(ascii: "0"))
            case let byte where byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "f"): digit = UInt32(byte - UInt8(ascii: "a")) + 10
            case let byte where byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "F"): digit = UInt32(byte - UInt8(ascii: "A")) + 10
            default: throw JSONFault(.badEscape(text(bytes, start, at)), start)
            }
            value = value << 4 | digit
            at += 1
        }
        return value
    }

    // MARK: bytes

    private mutating func skipSpace(_ bytes: Span<UInt8>) {
        while at < bytes.count {
            switch bytes[at] {
            case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"): at += 1
            default: return
            }
        }
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private func isWordByte(_ byte: UInt8) -> Bool {
        isDigit(byte) || byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") || byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z")
            || byte == UInt8(ascii: "_") || byte >= 0x80
    }

    private func text(_ bytes: Span<UInt8>, _ from: Int, _ to: Int) -> String {
        bytes.extracting(from..<to).withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }

    /// What stands here, for a message: a whole word, or one character.
    private func shown(_ bytes: Span<UInt8>) -> String {
        var end = at
        while end < bytes.count, isWordByte(bytes[end]), end - at < 24 { end += 1 }
        if end == at { end += 1 }
        while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
        let byte = bytes[at]
        return byte < 0x20 || byte == 0x7F ? "a control character" : "\"\(text(bytes, at, end))\""
    }

    /// Names the mistakes people make, and otherwise what is there.
    private func unexpected(_ bytes: Span<UInt8>, expected: String) -> JSONFault {
        let found: String
        switch bytes[at] {
        case UInt8(ascii: "/"): found = "a comment (JSON has none)"
        case UInt8(ascii: "#"): found = "a comment (JSON has none)"
        case UInt8(ascii: "'"): found = "a single quotation mark (JSON uses \")"
        default: found = shown(bytes)
        }
        return JSONFault(.unexpected(found: found, expected: expected), at)
    }
}
