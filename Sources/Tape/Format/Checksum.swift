/// The tape's checksum: eight lanes of 64 bits, each word xored in, rotated and multiplied by an odd constant; the lanes
/// are folded into one number the same way.
///
/// Every step is a bijection of the lane for a given word and of the word for a given lane, so damage that touches words
/// of one lane once - a flipped bit, a flipped byte - always changes the result; anything else is missed once in 2^64.
/// It reads memory at tens of gigabytes a second, where a table-driven CRC would cost more than the rest of a tick.
public enum Checksum {
    static let odd: UInt64 = 0x9E37_79B1_85EB_CA87
    static let seeds: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (
        0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7344, 0xA409_3822_299F_31D0, 0x082E_FA98_EC4E_6C89,
        0x4528_21E6_38D0_1377, 0xBE54_66CF_34E9_0C6C, 0xC0AC_29B7_C97C_50DD, 0x3F84_D5B5_B547_0917
    )

    @inline(__always)
    static func step(_ lane: UInt64, _ word: UInt64) -> UInt64 {
        let x = lane ^ word
        return (x << 29 | x >> 35) &* odd
    }

    public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        guard let base = bytes.baseAddress else { return withUnsafeBytes(of: UInt64(0)) { of(UnsafeRawBufferPointer(rebasing: $0[0..<0])) } }
        return of(base, count: bytes.count)
    }

    public static func of(_ base: UnsafeRawPointer, count: Int) -> UInt64 {
        var (a, b, c, d, e, f, g, h) = seeds
        var at = 0
        while at &+ 64 <= count {
            let p = base + at
            a = step(a, p.loadUnaligned(as: UInt64.self))
            b = step(b, p.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            c = step(c, p.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
            d = step(d, p.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
            e = step(e, p.loadUnaligned(fromByteOffset: 32, as: UInt64.self))
            f = step(f, p.loadUnaligned(fromByteOffset: 40, as: UInt64.self))
            g = step(g, p.loadUnaligned(fromByteOffset: 48, as: UInt64.self))
            h = step(h, p.loadUnaligned(fromByteOffset: 56, as: UInt64.self))
            at &+= 64
        }
        // What is left, at most 63 bytes, goes through one more lane, the last word filled up with zeros.
        var tail = UInt64(truncatingIfNeeded: count)
        while at &+ 8 <= count {
            tail = step(tail, base.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            at &+= 8
        }
        var word: UInt64 = 0
        var shift: UInt64 = 0
        while at < count {
            word |= UInt64(base.load(fromByteOffset: at, as: UInt8.self)) << shift
            shift &+= 8
            at &+= 1
        }
        tail = step(tail, word)
        tail = step(step(step(step(tail, a), b), c), d)
        tail = step(step(step(step(tail, e), f), g), h)
        return tail ^ tail >> 32
    }
}
