/// A price, an order quantity or a ratio: a whole number of 1e-8 steps in 64 bits (`keel_fixed`).
///
/// Every operation that can leave the range throws; nothing wraps, nothing clamps.
@frozen
public struct Fixed: Hashable, Comparable, Sendable {
    public var raw: Int64

    // Computed, so that other modules see plain constants and not a guarded global.
    @inlinable public static var scale: Int64 { 100_000_000 }
    @inlinable public static var zero: Fixed { Fixed(raw: 0) }
    @inlinable public static var one: Fixed { Fixed(raw: 100_000_000) }
    @inlinable public static var max: Fixed { Fixed(raw: .max) }
    @inlinable public static var min: Fixed { Fixed(raw: .min) }

    @inlinable public init(raw: Int64) { self.raw = raw }

    /// A whole number.
    @inlinable public init(whole: Int64) throws(NumberError) {
        let (value, overflow) = whole.multipliedReportingOverflow(by: Fixed.scale)
        if overflow { throw .overflow("\(whole)") }
        self.raw = value
    }

    @inlinable public static func < (a: Fixed, b: Fixed) -> Bool { a.raw < b.raw }

    @inlinable public var isZero: Bool { raw == 0 }
    @inlinable public var isPositive: Bool { raw > 0 }
    @inlinable public var isNegative: Bool { raw < 0 }

    @inlinable public func adding(_ other: Fixed) throws(NumberError) -> Fixed {
        let (value, overflow) = raw.addingReportingOverflow(other.raw)
        if overflow { throw .overflow("\(self) + \(other)") }
        return Fixed(raw: value)
    }

    @inlinable public func subtracting(_ other: Fixed) throws(NumberError) -> Fixed {
        let (value, overflow) = raw.subtractingReportingOverflow(other.raw)
        if overflow { throw .overflow("\(self) - \(other)") }
        return Fixed(raw: value)
    }

    @inlinable public func negated() throws(NumberError) -> Fixed { try Fixed.zero.subtracting(self) }

    @inlinable public func magnitude() throws(NumberError) -> Fixed { raw < 0 ? try negated() : self }

    /// Product of two numbers with eight decimals, brought back to eight.
    @inlinable public func multiplied(by other: Fixed, rounding: Rounding = .halfAwayFromZero) throws(NumberError) -> Fixed {
        let wide = divide(Int128(raw) * Int128(other.raw), by: Int128(Fixed.scale), rounding)
        guard let value = Int64(exactly: wide) else { throw .overflow("\(self) * \(other)") }
        return Fixed(raw: value)
    }

    @inlinable public func divided(by other: Fixed, rounding: Rounding = .halfAwayFromZero) throws(NumberError) -> Fixed {
        if other.raw == 0 { throw .divisionByZero("\(self)") }
        let wide = divide(Int128(raw) * Int128(Fixed.scale), by: Int128(other.raw), rounding)
        guard let value = Int64(exactly: wide) else { throw .overflow("\(self) / \(other)") }
        return Fixed(raw: value)
    }

    /// Price times quantity as money: exact to eight decimals, in 128 bits, so it always fits.
    @inlinable public func notional(_ quantity: Fixed, rounding: Rounding = .halfAwayFromZero) -> Amount {
        Amount(raw: divide(Int128(raw) * Int128(quantity.raw), by: Int128(Fixed.scale), rounding))
    }

    /// The nearest multiple of `step` in the given direction; `step` zero or below leaves the number alone.
    @inlinable public func rounded(to step: Fixed, _ rounding: Rounding = .down) throws(NumberError) -> Fixed {
        if step.raw <= 0 { return self }
        let steps = divide(Int128(raw), by: Int128(step.raw), rounding)
        guard let value = Int64(exactly: steps * Int128(step.raw)) else { throw .overflow("\(self) rounded to \(step)") }
        return Fixed(raw: value)
    }

    @inlinable public func isMultiple(of step: Fixed) -> Bool { step.raw <= 0 || raw % step.raw == 0 }

    /// For statistics and display only: never for anything that becomes an order.
    @inlinable public var double: Double { Double(raw) / 100_000_000 }

    /// Nearest step to a statistic. Refuses what is not finite or does not fit.
    @inlinable public init(nearest value: Double) throws(NumberError) {
        let scaled = (value * 100_000_000).rounded(.toNearestOrAwayFromZero)
        guard let raw = Int64(exactly: scaled) else { throw value.isFinite ? .overflow("\(value)") : .notANumber("\(value)") }
        self.raw = raw
    }
}

/// Quotient of two whole numbers under a rounding rule. `divisor` is never zero here: callers check.
@inlinable
func divide(_ value: Int128, by divisor: Int128, _ rounding: Rounding) -> Int128 {
    // Nearly all divisors are one word, and then the work is one division of words and one product.
    let size = divisor.magnitude
    let word = UInt64(truncatingIfNeeded: size)
    guard word > 1, UInt128(word) == size else { return divideWide(value, by: divisor, rounding) }
    let whole = value.magnitude
    let low = UInt64(truncatingIfNeeded: whole)
    var quotient: UInt128
    let remainder: UInt64
    if UInt128(low) == whole {
        quotient = UInt128(low / word)
        remainder = low % word
    } else {
        quotient = whole / size
        remainder = low &- UInt64(truncatingIfNeeded: quotient) &* word
    }
    let isNegative = (value < 0) != (divisor < 0)
    if remainder != 0 {
        let away =
            switch rounding {
            case .towardZero: false
            case .awayFromZero: true
            case .down: isNegative
            case .up: !isNegative
            case .halfAwayFromZero: remainder >= word &- remainder
            }
        if away { quotient &+= 1 }
    }
    // At most half of what the type holds: the divisor is at least two.
    let result = Int128(truncatingIfNeeded: quotient)
    return isNegative ? 0 &- result : result
}

/// The same for any divisor.
@inlinable @inline(never)
func divideWide(_ value: Int128, by divisor: Int128, _ rounding: Rounding) -> Int128 {
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
    if remainder == 0 { return quotient }
    let negative = (remainder < 0) != (divisor < 0)
    switch rounding {
    case .towardZero: return quotient
    case .awayFromZero: return negative ? quotient - 1 : quotient + 1
    case .down: return negative ? quotient - 1 : quotient
    case .up: return negative ? quotient : quotient + 1
    case .halfAwayFromZero:
        // |remainder| * 2 >= |divisor| without leaving the type: divisors here are far below half of it.
        if remainder.magnitude &* 2 >= divisor.magnitude { return negative ? quotient - 1 : quotient + 1 }
        return quotient
    }
}
