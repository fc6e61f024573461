import PluginKit

/// How the venue behaves: fixed for the life of an instance.
struct Rules {
    enum FillModel {
        /// At the first price after the order arrives: the open of the next bar, or the next tick.
        case nextOpen
        /// At once, at the last price.
        case thisTick
        /// Against the quote or the book, with the sizes shown there.
        case book
    }

    enum Slippage {
        case none
        /// So many ticks against us.
        case ticks(Int64)
        /// A fraction of the price.
        case fraction(Fixed)
        /// A fraction of the price, times our share of the volume traded.
        case volume(Fixed)
    }

    var fill = FillModel.book
    var slippage = Slippage.none
    var makerFee = Fixed.zero
    var takerFee = Fixed.zero
    /// Fees are rounded up to a multiple of this; zero: to the nearest 1e-8, which is as good as not at all.
    var feeStep = Fixed.zero
    /// From an order's sending to its arrival, in nanoseconds of market time.
    var latency: Int64 = 0
    /// How much of the quantity shown at a price stands before an order that joins it: 0 none, 1 all.
    var queue = Fixed.one
    /// A resting limit order fills when the price touches it; otherwise only when the price goes through.
    var touch = false
    /// Most of a bar's or trade's volume one order may take; zero: not limited.
    var participation = Fixed.zero
    /// Cash and holdings may go below zero.
    var borrow = false
    /// Units of position value one unit of equity may carry, for derivatives.
    var leverage = Fixed.one
    /// Funding of perpetuals: the rate where the feed gives none, and how often it's paid; zero: never.
    var fundingRate = Fixed.zero
    var fundingEvery: Int64 = 0
    /// Chances that the venue refuses an order, and that it fills one only half at a time.
    var rejectChance = 0.0
    var partialChance = 0.0

    /// What a trade of this worth costs, with one rounding. `worth` has sixteen decimals.
    func fee(_ worth: Int128, maker: Bool) -> Int128 {
        let rate = Int128(maker ? makerFee.raw : takerFee.raw)
        if rate == 0 { return 0 }
        let (product, overflow) = worth.multipliedReportingOverflow(by: rate)
        let fee = overflow ? rounded(rounded(worth, by: 100_000_000) * rate, by: 100_000_000) : rounded(product, by: 10_000_000_000_000_000)
        let step = Int128(feeStep.raw)
        if step <= 0 || fee % step == 0 { return fee }
        // A fee is rounded up, a rebate down in size.
        return fee > 0 ? (fee / step + 1) * step : fee / step * step
    }
}

/// Quotient, half away from zero. The divisor is above zero.
@inline(__always)
func rounded(_ value: Int128, by divisor: Int128) -> Int128 {
    // Most values fit 64 bits, where a division costs a tenth.
    if let small = Int64(exactly: value), let by = Int64(exactly: divisor) {
        let (quotient, remainder) = small.quotientAndRemainder(dividingBy: by)
        return Int128(remainder.magnitude &* 2 >= by.magnitude ? quotient + small.signum() : quotient)
    }
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
    return remainder.magnitude &* 2 >= divisor.magnitude ? quotient + value.signum() : quotient
}

/// a * b / c in full width, toward zero; nil if it doesn't fit. All are zero or above, c is above zero.
func scaled(_ a: Int128, _ b: Int128, by c: Int128) -> Int128? {
    let (product, overflow) = a.multipliedReportingOverflow(by: b)
    if !overflow { return product / c }
    let wide = a.magnitude.multipliedFullWidth(by: b.magnitude)
    guard wide.high < c.magnitude else { return nil }
    return Int128(exactly: c.magnitude.dividingFullWidth(wide).quotient)
}

/// A small seeded generator (SplitMix64), part of the venue's saved state.
struct Chance {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// True with this probability. Draws nothing for a probability of zero, so that faults left out change nothing.
    mutating func happens(_ probability: Double) -> Bool {
        if probability <= 0 { return false }
        return Double(next() >> 11) * 0x1p-53 < probability
    }
}
