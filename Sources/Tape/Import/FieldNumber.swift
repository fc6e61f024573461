/// Decimal text of a file as a whole number of 1e-8 steps: exact, and quick for what files are made of.
enum FieldNumber {
    enum Outcome: Equatable {
        case exact
        /// More than eight decimals: rounded half away from zero, which the caller counts.
        case rounded
        case empty
        case notANumber
        case notFinite
        case outOfRange
    }

    private static let powers: [UInt64] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000]

    @inline(__always)
    static func fixed(_ start: UnsafePointer<UInt8>, _ count: Int, _ value: inout Int64) -> Outcome {
        // Up to 18 digits with at most 8 decimals and nothing else: no overflow is possible before the scaling.
        if count &- 1 < 19 {
            var at = 0
            let negative = start[0] == 45
            if negative { at = 1 }
            var mantissa: UInt64 = 0
            var digits = 0
            while at < count {
                let digit = start[at] &- 48
                if digit > 9 { break }
                mantissa = mantissa &* 10 &+ UInt64(digit)
                digits &+= 1
                at &+= 1
            }
            var decimals = 0
            if at < count, start[at] == 46 {
                at &+= 1
                let point = at
                while at < count {
                    let digit = start[at] &- 48
                    if digit > 9 { break }
                    mantissa = mantissa &* 10 &+ UInt64(digit)
                    at &+= 1
                }
                decimals = at &- point
                digits &+= decimals
            }
            if at == count, digits > 0, digits < 19, decimals <= 8 {
                let (scaled, overflow) = mantissa.multipliedReportingOverflow(by: powers[8 &- decimals])
                if !overflow, scaled <= UInt64(Int64.max) {
                    value = negative ? -Int64(scaled) : Int64(scaled)
                    return .exact
                }
            }
        }
        var wide: Int128 = 0
        let outcome = Self.wide(start, count, &wide)
        if outcome == .exact || outcome == .rounded {
            guard let narrow = Int64(exactly: wide) else { return .outOfRange }
            value = narrow
        }
        return outcome
    }

    /// Every form: signs, spaces around, exponents, any number of digits.
    static func wide(_ start: UnsafePointer<UInt8>, _ count: Int, _ value: inout Int128) -> Outcome {
        var at = 0
        var end = count
        while at < end, start[at] == 32 { at += 1 }
        while end > at, start[end - 1] == 32 { end -= 1 }
        if at == end { return .empty }
        var negative = false
        if start[at] == 45 || start[at] == 43 {
            negative = start[at] == 45
            at += 1
        }
        var mantissa: Int128 = 0
        var exponent = 0
        var digits = 0
        var dropped = false  // digits beyond what 128 bits hold
        var dropsRound = false
        var point = false
        scan: while at < end {
            switch start[at] {
            case 48...57:
                digits += 1
                if mantissa < 1_000_000_000_000_000_000_000_000_000_000_000 {
                    mantissa = mantissa * 10 + Int128(start[at] - 48)
                    if point { exponent -= 1 }
                } else {
                    if !point { exponent += 1 }
                    if start[at] != 48 {
                        if !dropped { dropsRound = start[at] >= 53 }
                        dropped = true
                    }
                }
            case 46:
                if point { return .notANumber }
                point = true
            default: break scan
            }
            at += 1
        }
        if digits == 0 { return Self.isNotFinite(start, at, end) ? .notFinite : Self.isMissing(start, count) ? .empty : .notANumber }
        if at < end, start[at] == 69 || start[at] == 101 {
            at += 1
            var sign = 1
            if at < end, start[at] == 45 || start[at] == 43 {
                sign = start[at] == 45 ? -1 : 1
                at += 1
            }
            var power = 0
            let first = at
            while at < end, start[at] >= 48, start[at] <= 57 {
                power = min(power * 10 + Int(start[at] - 48), 10_000)
                at += 1
            }
            if at == first { return .notANumber }
            exponent += sign * power
        }
        if at != end { return .notANumber }
        var inexact = dropped
        if mantissa != 0 {
            var shift = exponent + 8
            while shift > 0 {
                let (next, overflow) = mantissa.multipliedReportingOverflow(by: 10)
                if overflow { return .outOfRange }
                mantissa = next
                shift -= 1
            }
            if shift < 0 {
                var rest = false
                while shift < -1, mantissa != 0 {
                    if mantissa % 10 != 0 { rest = true }
                    mantissa /= 10
                    shift += 1
                }
                if shift < -1 { mantissa = 0 }
                let digit = mantissa % 10
                mantissa /= 10
                if digit >= 5 { mantissa += 1 }
                inexact = inexact || rest || digit != 0
            } else if dropped, dropsRound {
                mantissa += 1
            }
        }
        value = negative ? -mantissa : mantissa
        return inexact ? .rounded : .exact
    }

    private static func text(_ start: UnsafePointer<UInt8>, _ range: Range<Int>) -> String {
        String(decoding: UnsafeBufferPointer(start: start + range.lowerBound, count: range.count), as: UTF8.self).lowercased()
    }

    private static func isNotFinite(_ start: UnsafePointer<UInt8>, _ at: Int, _ end: Int) -> Bool {
        ["nan", "inf", "infinity", "1.#inf", "#n/a"].contains(text(start, at..<end))
    }

    static func isMissing(_ start: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        count == 0 || ["", "null", "none", "n/a", "na", "-", "."].contains(text(start, 0..<count).filter { $0 != " " })
    }

    /// Decimal text of a step count, as `Fixed.description` but into bytes: for export.
    static func write(_ value: Int128, into out: inout [UInt8]) {
        if value < 0 { out.append(45) }
        let magnitude = value.magnitude
        let (whole, part) = magnitude.quotientAndRemainder(dividingBy: 100_000_000)
        if let small = UInt64(exactly: whole) { digits(small, &out) } else { out += Array(String(whole).utf8) }
        if part == 0 { return }
        out.append(46)
        var rest = UInt64(part)
        var scale: UInt64 = 10_000_000
        while rest != 0 {
            out.append(48 + UInt8(rest / scale))
            rest %= scale
            scale /= 10
        }
    }

    static func digits(_ value: UInt64, _ out: inout [UInt8]) {
        var divisor: UInt64 = 1
        while value / divisor >= 10 { divisor *= 10 }
        var rest = value
        while divisor > 0 {
            out.append(48 + UInt8(rest / divisor))
            rest %= divisor
            divisor /= 10
        }
    }
}
