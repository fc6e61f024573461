import PluginAPI

/// Everything cumulative - positions, cash, fees, notional: 1e-8 steps in 128 bits (`keel_amount`).
@frozen
public struct Amount: Hashable, Comparable, Sendable {
    public var raw: Int128

    @inlinable public static var zero: Amount { Amount(raw: 0) }

    @inlinable public init(raw: Int128) { self.raw = raw }
    @inlinable public init(_ fixed: Fixed) { raw = Int128(fixed.raw) }
    @inlinable public init(_ c: keel_amount) { raw = Int128(c.hi) << 64 | Int128(c.lo) }

    /// The two-word form that crosses the C boundary.
    @inlinable public var c: keel_amount {
        keel_amount(lo: UInt64(truncatingIfNeeded: raw), hi: Int64(truncatingIfNeeded: raw >> 64))
    }

    @inlinable public static func < (a: Amount, b: Amount) -> Bool { a.raw < b.raw }

    @inlinable public var isZero: Bool { raw == 0 }
    @inlinable public var isPositive: Bool { raw > 0 }
    @inlinable public var isNegative: Bool { raw < 0 }

    @inlinable public func adding(_ other: Amount) throws(NumberError) -> Amount {
        let (value, overflow) = raw.addingReportingOverflow(other.raw)
        if overflow { throw .overflow("\(self) + \(other)") }
        return Amount(raw: value)
    }

    @inlinable public func subtracting(_ other: Amount) throws(NumberError) -> Amount {
        let (value, overflow) = raw.subtractingReportingOverflow(other.raw)
        if overflow { throw .overflow("\(self) - \(other)") }
        return Amount(raw: value)
    }

    @inlinable public func negated() throws(NumberError) -> Amount { try Amount.zero.subtracting(self) }

    @inlinable public func magnitude() throws(NumberError) -> Amount { raw < 0 ? try negated() : self }

    @inlinable public func multiplied(by ratio: Fixed, rounding: Rounding = .halfAwayFromZero) throws(NumberError) -> Amount {
        let (wide, overflow) = raw.multipliedReportingOverflow(by: Int128(ratio.raw))
        if overflow { throw .overflow("\(self) * \(ratio)") }
        return Amount(raw: divide(wide, by: Int128(Fixed.scale), rounding))
    }

    /// Money by price gives quantity; money by money gives a ratio.
    @inlinable public func divided(by other: Amount, rounding: Rounding = .halfAwayFromZero) throws(NumberError) -> Amount {
        if other.raw == 0 { throw .divisionByZero("\(self)") }
        let (wide, overflow) = raw.multipliedReportingOverflow(by: Int128(Fixed.scale))
        if overflow { throw .overflow("\(self) / \(other)") }
        return Amount(raw: divide(wide, by: other.raw, rounding))
    }

    /// A number of 1e-16 steps brought to eight decimals.
    @inlinable public init(fine: Int128, rounding: Rounding) { raw = divide(fine, by: Int128(Fixed.scale), rounding) }

    /// As an order quantity or price, if it fits.
    @inlinable public func fixed() throws(NumberError) -> Fixed {
        guard let value = Int64(exactly: raw) else { throw .overflow("\(self) as a 64-bit number") }
        return Fixed(raw: value)
    }

    /// For statistics and display only.
    @inlinable public var double: Double {
        // Two words by hand: the library's conversion of 128-bit integers is generic and a hundred times slower.
        let small = Int64(truncatingIfNeeded: raw)
        if Int128(small) == raw { return Double(small) / 100_000_000 }
        return (Double(Int64(truncatingIfNeeded: raw >> 64)) * 0x1p64 + Double(UInt64(truncatingIfNeeded: raw))) / 100_000_000
    }
}
