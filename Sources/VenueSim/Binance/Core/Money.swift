import PluginKit

// Prices and quantities are whole numbers of 1e-8 in 64 bits, money in 128. Every number that comes in is bounded by a filter or by
// `mostMoney`, so that no sum of them can leave 128 bits within the life of the exchange; products are made in 128 bits.

/// Ten to the fifteenth units: the most that is accepted at once for a deposit or a balance.
let mostMoney: Int128 = 100_000_000 * 1_000_000_000_000_000
let one: Int64 = 100_000_000

/// Price times quantity. Exact where tick times lot is a whole number of 1e-8, as it is for every symbol here; otherwise cut off.
func money(_ price: Int64, _ quantity: Int64) -> Int128 { Int128(price) * Int128(quantity) / Int128(one) }

/// A share of an amount, towards zero.
func share(_ amount: Int128, _ rate: Int64) -> Int128 {
    let (product, overflow) = amount.multipliedReportingOverflow(by: Int128(rate))
    return overflow ? amount / Int128(one) * Int128(rate) : product / Int128(one)
}

func down(_ value: Int64, to step: Int64) -> Int64 { step > 0 ? value / step * step : value }

/// The part of a quantity that an amount of money buys at a price, in whole lots.
func lots(_ amount: Int128, at price: Int64, step: Int64) -> Int64 {
    guard price > 0, amount > 0 else { return 0 }
    let (scaled, overflow) = amount.multipliedReportingOverflow(by: Int128(one))
    let quantity = overflow ? Int128(Int64.max) : scaled / Int128(price)
    return down(Int64(clamping: quantity), to: step)
}

enum Side: String, Codable, Sendable {
    case buy = "BUY"
    case sell = "SELL"
    var opposite: Side { self == .buy ? .sell : .buy }
}

/// A constant text with eight decimals or fewer, as in the tables of symbols.
func fixed(_ text: StaticString) -> Int64 { Fixed("\(text)")?.raw ?? 0 }

/// Mixes the bits of a seed, a name and a number into another seed.
func mixed(_ seed: UInt64, _ name: String, _ number: Int64) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325 ^ seed
    for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
    hash ^= UInt64(bitPattern: number) &* 0x9E37_79B9_7F4A_7C15
    hash = (hash ^ (hash >> 30)) &* 0xBF58_476D_1CE4_E5B9
    hash = (hash ^ (hash >> 27)) &* 0x94D0_49BB_1331_11EB
    return hash ^ (hash >> 31)
}
