// Decimal text to and from 1e-8 steps, exact in both directions.

/// Reads `[+-]digits[.digits][e[+-]digits]`. Trailing zeros beyond eight decimals are fine, other digits are `.inexact`.
func parseDecimal(_ bytes: some Collection<UInt8>, allowingExponent: Bool) throws(NumberError) -> Int128 {
    func text() -> String { String(decoding: bytes.prefix(64), as: UTF8.self) }
    var index = bytes.startIndex
    let end = bytes.endIndex
    var negative = false
    if index < end, bytes[index] == UInt8(ascii: "-") || bytes[index] == UInt8(ascii: "+") {
        negative = bytes[index] == UInt8(ascii: "-")
        index = bytes.index(after: index)
    }
    var digits: Int128 = 0
    var decimals = 0
    var dropped = 0  // trailing zeros not yet folded into `digits`
    var seen = false
    var pointSeen = false
    scan: while index < end {
        let byte = bytes[index]
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
            seen = true
            if pointSeen { decimals += 1 }
            let digit = Int128(byte - UInt8(ascii: "0"))
            if digit == 0, pointSeen {
                dropped += 1
            } else {
                for _ in 0..<dropped {
                    let (next, over) = digits.multipliedReportingOverflow(by: 10)
                    if over { throw .overflow(text()) }
                    digits = next
                }
                dropped = 0
                let (shifted, over1) = digits.multipliedReportingOverflow(by: 10)
                let (next, over2) = shifted.addingReportingOverflow(digit)
                if over1 || over2 { throw .overflow(text()) }
                digits = next
            }
        case UInt8(ascii: "."):
            if pointSeen { throw .notANumber(text()) }
            pointSeen = true
        default:
            break scan
        }
        index = bytes.index(after: index)
    }
    guard seen else { throw .notANumber(text()) }
    decimals -= dropped
    var exponent = 0
    if allowingExponent, index < end, bytes[index] == UInt8(ascii: "e") || bytes[index] == UInt8(ascii: "E") {
        index = bytes.index(after: index)
        var negativeExponent = false
        if index < end, bytes[index] == UInt8(ascii: "-") || bytes[index] == UInt8(ascii: "+") {
            negativeExponent = bytes[index] == UInt8(ascii: "-")
            index = bytes.index(after: index)
        }
        var any = false
        while index < end, bytes[index] >= UInt8(ascii: "0"), bytes[index] <= UInt8(ascii: "9") {
            any = true
            exponent = Swift.min(exponent * 10 + Int(bytes[index] - UInt8(ascii: "0")), 1000)
            index = bytes.index(after: index)
        }
        if !any { throw .notANumber(text()) }
        if negativeExponent { exponent = -exponent }
    }
    guard index == end else { throw .notANumber(text()) }
    if digits == 0 { return 0 }
    var shift = 8 - decimals + exponent
    while shift > 0 {
        let (next, over) = digits.multipliedReportingOverflow(by: 10)
        if over { throw .overflow(text()) }
        digits = next
        shift -= 1
    }
    while shift < 0 {
        let (quotient, remainder) = digits.quotientAndRemainder(dividingBy: 10)
        if remainder != 0 { throw .inexact(text()) }
        digits = quotient
        shift += 1
    }
    return negative ? -digits : digits
}

/// The shortest exact text: no exponent, no trailing zeros, no trailing point.
func decimalText(_ raw: Int128) -> String {
    let magnitude = raw.magnitude
    let (whole, part) = magnitude.quotientAndRemainder(dividingBy: 100_000_000)
    var text = raw < 0 ? "-\(whole)" : "\(whole)"
    if part != 0 {
        var digits = String(part)
        digits = String(repeating: "0", count: 8 - digits.count) + digits
        while digits.last == "0" { digits.removeLast() }
        text += "." + digits
    }
    return text
}

extension Fixed: CustomStringConvertible, LosslessStringConvertible {
    public var description: String { decimalText(Int128(raw)) }

    /// Exact: more than eight decimals is an error, never a rounding.
    public init(parsing text: some StringProtocol, allowingExponent: Bool = false) throws(NumberError) {
        try self.init(parsing: text.utf8, allowingExponent: allowingExponent)
    }

    public init(parsing bytes: some Collection<UInt8>, allowingExponent: Bool = false) throws(NumberError) {
        let wide = try parseDecimal(bytes, allowingExponent: allowingExponent)
        guard let value = Int64(exactly: wide) else { throw .overflow(String(decoding: bytes.prefix(64), as: UTF8.self)) }
        self.init(raw: value)
    }

    public init?(_ description: String) {
        guard let value = try? Fixed(parsing: description) else { return nil }
        self = value
    }
}

extension Amount: CustomStringConvertible, LosslessStringConvertible {
    public var description: String { decimalText(raw) }

    public init(parsing text: some StringProtocol, allowingExponent: Bool = false) throws(NumberError) {
        try self.init(parsing: text.utf8, allowingExponent: allowingExponent)
    }

    public init(parsing bytes: some Collection<UInt8>, allowingExponent: Bool = false) throws(NumberError) {
        self.init(raw: try parseDecimal(bytes, allowingExponent: allowingExponent))
    }

    public init?(_ description: String) {
        guard let value = try? Amount(parsing: description) else { return nil }
        self = value
    }
}
