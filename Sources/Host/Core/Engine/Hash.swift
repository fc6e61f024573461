import PluginAPI

/// Keel's 128-bit mixing function, for snapshots and fill keys. Not cryptographic: it tells apart what an honest plugin
/// might confuse, and is the same on every machine and in every version that writes `EngineState.currentVersion`.
///
/// Four 64-bit lanes. Bytes are taken 32 at a time as four little-endian words w, x, y, z, the last block filled up with zeros:
///
///     a = fold(a ^ w, K1) + x        fold(u, k): the 128-bit product u * k, its halves xored
///     b = fold(b ^ x, K2) + w
///     c = fold(c ^ y, K1) + z
///     d = fold(d ^ z, K2) + y
///
/// Start: a = K3, b = K4 ^ length, c = K2, d = K1. End: a = a ^ fold(c, K3), b = b ^ fold(d, K4), then twice
/// (a = fold(a ^ K2, K1) + b; b = fold(b ^ K1, K3) ^ a). Result: hi = a, lo = b.
public enum Mix {
    static let k1: UInt64 = 0x9E37_79B9_7F4A_7C15
    static let k2: UInt64 = 0xD6E8_FEB8_6659_FD93
    static let k3: UInt64 = 0xC2B2_AE3D_27D4_EB4F
    static let k4: UInt64 = 0x1656_67B1_9E37_79F9

    @inline(__always)
    static func fold(_ u: UInt64, _ k: UInt64) -> UInt64 {
        let product = u.multipliedFullWidth(by: k)
        return product.high ^ product.low
    }

    public static func hash(_ bytes: UnsafeRawBufferPointer) -> (hi: UInt64, lo: UInt64) {
        var a = k3
        var b = k4 ^ UInt64(bytes.count)
        var c = k2
        var d = k1
        let whole = bytes.count & ~31
        if let base = bytes.baseAddress {
            @inline(__always) func word(_ place: UnsafeRawPointer, _ offset: Int) -> UInt64 {
                UInt64(littleEndian: place.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            }
            @inline(__always) func take(_ w: UInt64, _ x: UInt64, _ y: UInt64, _ z: UInt64) {
                a = fold(a ^ w, k1) &+ x
                b = fold(b ^ x, k2) &+ w
                c = fold(c ^ y, k1) &+ z
                d = fold(d ^ z, k2) &+ y
            }
            var offset = 0
            while offset < whole {
                take(word(base, offset), word(base, offset &+ 8), word(base, offset &+ 16), word(base, offset &+ 24))
                offset &+= 32
            }
            let count = bytes.count
            /// Eight bytes of the last block, filled up with zeros.
            @inline(__always) func tail(_ offset: Int) -> UInt64 {
                let left = count &- offset
                if left >= 8 { return word(base, offset) }
                if left <= 0 { return 0 }
                // The last eight of all, without those that were taken already.
                if count >= 8 { return word(base, count &- 8) >> UInt64(truncatingIfNeeded: 8 &* (8 &- left)) }
                var last: UInt64 = 0
                for place in 0..<left { last |= UInt64(base.load(fromByteOffset: offset &+ place, as: UInt8.self)) << UInt64(truncatingIfNeeded: 8 &* place) }
                return last
            }
            if whole < count { take(tail(whole), tail(whole &+ 8), tail(whole &+ 16), tail(whole &+ 24)) }
        }
        a ^= fold(c, k3)
        b ^= fold(d, k4)
        for _ in 0..<2 {
            a = fold(a ^ k2, k1) &+ b
            b = fold(b ^ k1, k3) ^ a
        }
        return (a, b)
    }

    public static func hash(_ text: some StringProtocol) -> (hi: UInt64, lo: UInt64) {
        var text = String(text)
        return text.withUTF8 { hash(UnsafeRawBufferPointer($0)) }
    }
}
