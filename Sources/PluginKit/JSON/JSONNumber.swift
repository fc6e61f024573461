/// A JSON number as it was written. Never rounded: it is read as whole number, `Fixed`, `Amount` or double on demand.
public struct JSONNumber: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let text: String

    /// Text that the parser has checked.
    init(checked text: String) { self.text = text }

    /// nil unless the text is one JSON number and nothing else.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        var parser = JSONParser(options: JSONOptions())
        guard let number = try? parser.number(bytes.span), parser.at == bytes.count else { return nil }
        self = number
    }

    public init(_ value: some BinaryInteger) { text = String(value) }

    /// The shortest text that gives the same double; nil for infinity and NaN.
    public init?(_ value: Double) {
        guard value.isFinite else { return nil }
        let whole = Int64(exactly: value)
        text = whole.map { "\($0)" } ?? "\(value)"
    }

    public var description: String { text }

    public var isInteger: Bool {
        let parts = JSONNumberParts(text.utf8)
        return parts.exponent >= 0
    }

    /// Exact whole value, 3.0 and 3e0 included; nil if it has a fraction or doesn't fit.
    public var int64: Int64? { if let value = Int64(text) { value } else { JSONNumberParts(text.utf8).int64 } }

    public var uint64: UInt64? { if let value = UInt64(text) { value } else { int64.flatMap { UInt64(exactly: $0) } } }

    /// For statistics: the nearest double. Infinite where the number is beyond a double.
    public var double: Double { Double(text) ?? .nan }

    public func fixed() throws(NumberError) -> Fixed { try Fixed(parsing: text, allowingExponent: true) }
    public func amount() throws(NumberError) -> Amount { try Amount(parsing: text, allowingExponent: true) }

    /// One text for each value: no exponent between 1e-7 and 1e21, no superfluous digit, no negative zero.
    public var canonical: String { JSONNumberParts(text.utf8).canonical }

    // Compared by value and exactly: 1.0 == 1, 0.1 < 0.10000000000000000001.
    public static func == (a: JSONNumber, b: JSONNumber) -> Bool {
        a.text == b.text || JSONNumberParts(a.text.utf8) == JSONNumberParts(b.text.utf8)
    }

    public static func < (a: JSONNumber, b: JSONNumber) -> Bool { JSONNumberParts(a.text.utf8) < JSONNumberParts(b.text.utf8) }

    public func hash(into hasher: inout Hasher) { hasher.combine(canonical) }
}

/// A number as sign, digits without leading or trailing zeros, and a power of ten: value = 0.digits · 10^(exponent + count).
struct JSONNumberParts: Comparable {
    var negative = false
    var digits: [UInt8] = []
    /// Power of ten of the last digit. A written one is held within ±10^12; the parser refuses what comes near that.
    var exponent = 0

    init(_ text: some Sequence<UInt8>) {
        var decimals = 0
        var afterPoint = false
        var inExponent = false
        var negativeExponent = false
        var written = 0
        for byte in text {
            switch byte {
            case UInt8(ascii: "-"): if inExponent { negativeExponent = true } else { negative = true }
            case UInt8(ascii: "."): afterPoint = true
            case UInt8(ascii: "e"), UInt8(ascii: "E"): inExponent = true
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                let digit = byte - UInt8(ascii: "0")
                if inExponent {
                    written = min(written * 10 + Int(digit), 1_000_000_000_000)
                } else {
                    if afterPoint { decimals += 1 }
                    if digit != 0 || !digits.isEmpty { digits.append(digit) }
                }
            default: break
            }
        }
        exponent = (negativeExponent ? -written : written) - decimals
        var trailing = 0
        while let last = digits.last, last == 0 {
            digits.removeLast()
            trailing += 1
        }
        exponent += trailing
        if digits.isEmpty {
            negative = false
            exponent = 0
        }
    }

    /// Power of ten just above the first digit.
    private var magnitude: Int { exponent + digits.count }

    /// The exponent was small enough to be exact.
    var isCounted: Bool { digits.isEmpty || magnitude.magnitude <= 1_000_000_000 }

    static func < (a: JSONNumberParts, b: JSONNumberParts) -> Bool {
        if a.digits.isEmpty || b.digits.isEmpty || a.negative != b.negative {
            return a.sign < b.sign
        }
        return a.negative ? b.smallerMagnitude(than: a) : a.smallerMagnitude(than: b)
    }

    private var sign: Int { digits.isEmpty ? 0 : negative ? -1 : 1 }

    private func smallerMagnitude(than other: JSONNumberParts) -> Bool {
        if magnitude != other.magnitude { return magnitude < other.magnitude }
        return digits.lexicographicallyPrecedes(other.digits)
    }

    var int64: Int64? {
        guard exponent >= 0, magnitude <= 19 else { return nil }
        var value: Int64 = 0
        for place in 0..<magnitude {
            let digit = place < digits.count ? Int64(digits[place]) : 0
            let (shifted, over) = value.multipliedReportingOverflow(by: 10)
            let (next, over2) = negative ? shifted.subtractingReportingOverflow(digit) : shifted.addingReportingOverflow(digit)
            if over || over2 { return nil }
            value = next
        }
        return value
    }

    var canonical: String {
        if digits.isEmpty { return "0" }
        var text: [UInt8] = negative ? [UInt8(ascii: "-")] : []
        let shown = digits.map { $0 + UInt8(ascii: "0") }
        if exponent >= 0, magnitude <= 21 {
            text += shown + [UInt8](repeating: UInt8(ascii: "0"), count: exponent)
        } else if magnitude > 0, magnitude <= 21 {
            text += shown[..<magnitude] + [UInt8(ascii: ".")] + shown[magnitude...]
        } else if magnitude <= 0, magnitude > -6 {
            text += Array("0.".utf8) + [UInt8](repeating: UInt8(ascii: "0"), count: -magnitude) + shown
        } else {
            text.append(shown[0])
            if shown.count > 1 { text += [UInt8(ascii: ".")] + shown[1...] }
            text += Array("e\(magnitude > 0 ? "+" : "")\(magnitude - 1)".utf8)
        }
        return String(decoding: text, as: UTF8.self)
    }
}
