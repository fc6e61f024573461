import PluginAPI

/// Keel's 128-bit mixing function, for snapshots and fill keys. Not cryptographic: it tells apart what an honest plugin
/// might confuse, and is the same on every machine and in every version that writes `EngineState.currentVersion`.
///
/// Two 64-bit lanes. Bytes are taken sixteen at a time, little-endian, as (x, y), the last block filled up with zeros:
///
///     a = fold(a ^ x, K1) + y        fold(u, k): the 128-bit product u * k, its halves xored
///     b = fold(b ^ y, K2) + x
///
/// Start: a = K3, b = K4 ^ length. End: twice (a = fold(a ^ K2, K1) + b; b = fold(b ^ K1, K3) ^ a). Result: hi = a, lo = b.
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
        let whole = bytes.count & ~15
        if let base = bytes.baseAddress {
            var offset = 0
            while offset < whole {
                let x = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                let y = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt64.self))
                a = fold(a ^ x, k1) &+ y
                b = fold(b ^ y, k2) &+ x
                offset &+= 16
            }
            if whole < bytes.count {
                var x: UInt64 = 0
                var y: UInt64 = 0
                for index in whole..<bytes.count {
                    let place = UInt64(index - whole)
                    if place < 8 { x |= UInt64(bytes[index]) << (8 * place) } else { y |= UInt64(bytes[index]) << (8 * (place - 8)) }
                }
                a = fold(a ^ x, k1) &+ y
                b = fold(b ^ y, k2) &+ x
            }
        }
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
