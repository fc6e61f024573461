/// The price the house believes in, as a pure function of seed, symbol and time: noise at periods from a second to a month added up.
/// No state, so the past can be made as deep as it is asked for and a restart goes on where it was.
/// Doubles only here: what comes out is rounded to ticks before it becomes a price.
struct PriceWalk {
    let seed: UInt64
    let symbol: String
    let base: Double

    /// Period in milliseconds and swing.
    private static let waves: [(period: Int64, swing: Double)] = [
        (2_592_000_000, 0.08), (604_800_000, 0.04), (86_400_000, 0.02), (14_400_000, 0.009), (3_600_000, 0.0045), (600_000, 0.0018), (60_000, 0.0006),
        (10_000, 0.00022), (1_000, 0.00006),
    ]

    private static func lattice(_ key: UInt64, _ index: Int64) -> Double {
        var z = key &+ UInt64(bitPattern: index) &* 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        z ^= z >> 31
        return Double(z >> 11) * 0x1p-52 - 1
    }

    private let keys: [UInt64]

    init(seed: UInt64, symbol: String, base: Double) {
        self.seed = seed
        self.symbol = symbol
        self.base = base
        keys = Self.waves.indices.map { mixed(seed, symbol, Int64($0)) }
    }

    func price(_ time: Int64) -> Double {
        var sum = 0.0
        for (place, wave) in Self.waves.enumerated() {
            let index = time >= 0 ? time / wave.period : (time - wave.period + 1) / wave.period
            let part = Double(time - index * wave.period) / Double(wave.period)
            let smooth = part * part * (3 - 2 * part)
            let from = Self.lattice(keys[place], index)
            sum += wave.swing * (from + (Self.lattice(keys[place], index + 1) - from) * smooth)
        }
        return base * (1 + sum)
    }
}
