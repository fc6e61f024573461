import PluginKit

/// A request's parameters, kept as bytes so that an order is built and signed without a string.
public struct Parameters: Sendable {
    private struct Span {
        var start: Int
        var nameEnd: Int
        var end: Int
        var bare: Bool  // a JSON number or boolean: no quotation marks
    }

    private var bytes: [UInt8] = []
    private var spans: [Span] = []

    public init() {
        bytes.reserveCapacity(320)
        spans.reserveCapacity(14)
    }

    private mutating func name(_ name: StaticString) -> Int {
        let start = bytes.count
        name.withUTF8Buffer { bytes.append(contentsOf: $0) }
        return start
    }

    private mutating func end(_ start: Int, _ nameEnd: Int, bare: Bool) {
        spans.append(Span(start: start, nameEnd: nameEnd, end: bytes.count, bare: bare))
    }

    public mutating func add(_ key: StaticString, _ text: String) {
        let start = name(key)
        let nameEnd = bytes.count
        bytes.append(contentsOf: text.utf8)
        end(start, nameEnd, bare: false)
    }

    public mutating func add(_ key: StaticString, _ text: StaticString) {
        let start = name(key)
        let nameEnd = bytes.count
        text.withUTF8Buffer { bytes.append(contentsOf: $0) }
        end(start, nameEnd, bare: false)
    }

    public mutating func add(_ key: StaticString, _ number: Int64) {
        let start = name(key)
        let nameEnd = bytes.count
        Parameters.append(number, to: &bytes)
        end(start, nameEnd, bare: true)
    }

    public mutating func add(_ key: StaticString, _ flag: Bool) {
        let start = name(key)
        let nameEnd = bytes.count
        bytes.append(contentsOf: (flag ? "true" : "false").utf8)
        end(start, nameEnd, bare: true)
    }

    public mutating func add(_ key: StaticString, _ value: Fixed) {
        let start = name(key)
        let nameEnd = bytes.count
        Parameters.append(value, to: &bytes)
        end(start, nameEnd, bare: false)
    }

    public mutating func add(_ key: StaticString, _ id: OrderID, suffix: UInt8? = nil) {
        let start = name(key)
        let nameEnd = bytes.count
        bytes.append(contentsOf: id.description.utf8)
        if let suffix { bytes.append(suffix) }
        end(start, nameEnd, bare: false)
    }

    public var isEmpty: Bool { spans.isEmpty }

    /// Shown in logs: no key, no signature is ever in here before `query` or `frame` add them.
    public var description: String { String(decoding: query, as: UTF8.self) }

    // MARK: REST

    /// `a=1&b=2`, percent-encoded: what travels is what gets signed.
    public var query: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count + spans.count * 2 + 80)
        for (place, span) in spans.enumerated() {
            if place > 0 { out.append(UInt8(ascii: "&")) }
            out.append(contentsOf: bytes[span.start..<span.nameEnd])
            out.append(UInt8(ascii: "="))
            Parameters.escape(bytes[span.nameEnd..<span.end], to: &out)
        }
        return out
    }

    /// The query with its signature at the end.
    public func query(signedBy signer: Signer) throws(PluginError) -> [UInt8] {
        var out = query
        let payload = out
        out += "&signature=".utf8
        if signer.kind == .hmac {
            try signer.append(to: &out, of: payload)
        } else {
            var signature: [UInt8] = []
            try signer.append(to: &signature, of: payload)
            Parameters.escape(signature[...], to: &out)
        }
        return out
    }

    // MARK: WebSocket API

    /// One request of the WebSocket API. Signed over the values as they are, sorted by name.
    public func frame(_ id: UInt64, _ method: StaticString, signedBy signer: Signer?) throws(PluginError) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count + spans.count * 6 + 200)
        out += "{\"id\":".utf8
        Parameters.append(Int64(clamping: id), to: &out)
        out += ",\"method\":\"".utf8
        method.withUTF8Buffer { out.append(contentsOf: $0) }
        out += "\",\"params\":{".utf8
        var payload: [UInt8] = []
        if signer != nil { payload.reserveCapacity(bytes.count + spans.count * 2) }
        for (place, span) in sorted.enumerated() {
            if place > 0 { out.append(UInt8(ascii: ",")) }
            out.append(UInt8(ascii: "\""))
            out.append(contentsOf: bytes[span.start..<span.nameEnd])
            out += "\":".utf8
            if span.bare {
                out.append(contentsOf: bytes[span.nameEnd..<span.end])
            } else {
                Parameters.quote(bytes[span.nameEnd..<span.end], to: &out)
            }
            if signer != nil {
                if place > 0 { payload.append(UInt8(ascii: "&")) }
                payload.append(contentsOf: bytes[span.start..<span.nameEnd])
                payload.append(UInt8(ascii: "="))
                payload.append(contentsOf: bytes[span.nameEnd..<span.end])
            }
        }
        if let signer {
            out += ",\"signature\":\"".utf8
            try signer.append(to: &out, of: payload)
            out.append(UInt8(ascii: "\""))
        }
        out += "}}".utf8
        return out
    }

    /// By name; a dozen entries, nearly in order already.
    private var sorted: [Span] {
        var list = spans
        bytes.withUnsafeBufferPointer { bytes in
            for place in list.indices.dropFirst() {
                let moving = list[place]
                var hole = place
                while hole > 0, Parameters.precedes(bytes, moving, list[hole - 1]) {
                    list[hole] = list[hole - 1]
                    hole -= 1
                }
                list[hole] = moving
            }
        }
        return list
    }

    private static func precedes(_ bytes: UnsafeBufferPointer<UInt8>, _ a: Span, _ b: Span) -> Bool {
        var left = a.start
        var right = b.start
        while left < a.nameEnd, right < b.nameEnd {
            if bytes[left] != bytes[right] { return bytes[left] < bytes[right] }
            left += 1
            right += 1
        }
        return left == a.nameEnd && right < b.nameEnd
    }

    // MARK: bytes

    static func append(_ number: Int64, to out: inout [UInt8]) {
        if number < 0 { out.append(UInt8(ascii: "-")) }
        appendDigits(number.magnitude, to: &out)
    }

    private static func appendDigits(_ magnitude: UInt64, to out: inout [UInt8]) {
        var divisor: UInt64 = 1
        while magnitude / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            out.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: magnitude / divisor % 10))
            divisor /= 10
        }
    }

    /// The shortest exact text, as `Fixed.description` writes it.
    static func append(_ value: Fixed, to out: inout [UInt8]) {
        if value.raw < 0 { out.append(UInt8(ascii: "-")) }
        let (whole, part) = value.raw.magnitude.quotientAndRemainder(dividingBy: UInt64(Fixed.scale))
        appendDigits(whole, to: &out)
        guard part != 0 else { return }
        out.append(UInt8(ascii: "."))
        var rest = part
        var divisor = UInt64(Fixed.scale) / 10
        while rest > 0, divisor > 0 {
            out.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest / divisor))
            rest %= divisor
            divisor /= 10
        }
    }

    /// RFC 3986: everything but unreserved characters.
    static func escape(_ text: ArraySlice<UInt8>, to out: inout [UInt8]) {
        for byte in text {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "~"):
                out.append(byte)
            default:
                out.append(UInt8(ascii: "%"))
                for half in [byte >> 4, byte & 15] { out.append(half < 10 ? half + 48 : half + 55) }
            }
        }
    }

    private static func quote(_ text: ArraySlice<UInt8>, to out: inout [UInt8]) {
        if text.allSatisfy({ $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
            out.append(UInt8(ascii: "\""))
            out.append(contentsOf: text)
            out.append(UInt8(ascii: "\""))
        } else {
            JSONValue.writeText(String(decoding: text, as: UTF8.self), to: &out)
        }
    }
}
