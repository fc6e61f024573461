/// The only source of chance in Keel: xoshiro256**, seeded through splitmix64.
///
/// The same seed gives the same numbers on every machine: whole-number arithmetic and IEEE multiplication only, no
/// library function whose last bit may differ. Not for secrets.
@frozen
public struct SeededGenerator: RandomNumberGenerator, Equatable, Sendable {
    /// The whole state, to be saved and restored as it is. Never all zero.
    public private(set) var state: (UInt64, UInt64, UInt64, UInt64)

    public init(seed: UInt64) {
        var mixer = seed
        func next() -> UInt64 {
            mixer &+= 0x9E37_79B9_7F4A_7C15
            var z = mixer
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
        state = (next(), next(), next(), next())
    }

    /// Continues where a saved generator stopped; nil for the one state that would never leave zero.
    public init?(state: (UInt64, UInt64, UInt64, UInt64)) {
        if state.0 | state.1 | state.2 | state.3 == 0 { return nil }
        self.state = state
    }

    /// An independent stream for a named part, so that adding one part does not shift the numbers of another.
    public static func stream(seed: UInt64, _ name: some StringProtocol) -> SeededGenerator {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return SeededGenerator(seed: seed ^ hash)
    }

    public mutating func next() -> UInt64 {
        let result = Self.rotate(state.1 &* 5, 7) &* 9
        let t = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= t
        state.3 = Self.rotate(state.3, 45)
        return result
    }

    /// Evenly in 0 ..< 1, 53 bits.
    public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// Evenly in 0 ..< bound, without bias. Zero for a bound of zero.
    public mutating func below(_ bound: UInt64) -> UInt64 {
        if bound == 0 { return 0 }
        var (high, low) = next().multipliedFullWidth(by: bound)
        if low < bound {
            let threshold = (0 &- bound) % bound
            while low < threshold { (high, low) = next().multipliedFullWidth(by: bound) }
        }
        return high
    }

    /// True with probability `share`.
    public mutating func chance(_ share: Double) -> Bool { uniform() < share }

    /// Bell-shaped with mean 0 and variance 1: twelve 16-bit draws added up, so it never leaves -6 ... 6 and
    /// needs no logarithm.
    public mutating func bell() -> Double {
        var sum: UInt64 = 0
        for _ in 0..<3 {
            let word = next()
            sum += (word & 0xFFFF) + (word >> 16 & 0xFFFF) + (word >> 32 & 0xFFFF) + (word >> 48)
        }
        return (Double(sum) + 6) / 65_536 - 6
    }

    private static func rotate(_ x: UInt64, _ k: UInt64) -> UInt64 { x << k | x >> (64 - k) }

    public static func == (a: SeededGenerator, b: SeededGenerator) -> Bool { a.state == b.state }
}
