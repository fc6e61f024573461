/// A venue symbol such as BTCUSDT as a value that compares without a string. At most 24 bytes.
public struct SymbolKey: Hashable, Sendable, CustomStringConvertible {
    private var first: UInt64 = 0
    private var second: UInt64 = 0
    private var third: UInt64 = 0
    static let longest = 24

    /// nil: empty or too long to be a symbol.
    public init?(_ text: some StringProtocol) {
        let bytes = text.utf8
        guard !bytes.isEmpty, bytes.count <= Self.longest else { return nil }
        for (index, byte) in bytes.enumerated() { put(byte, index) }
    }

    @inline(__always)
    init?(_ token: Token, _ bytes: borrowing Span<UInt8>) {
        guard token.kind == .string, !token.escaped, token.count > 0, token.count <= Self.longest else { return nil }
        for index in 0..<token.count { put(bytes[token.start &+ index], index) }
    }

    @inline(__always)
    private mutating func put(_ byte: UInt8, _ index: Int) {
        let shifted = UInt64(byte) << UInt64((index & 7) &* 8)
        switch index >> 3 {
        case 0: first |= shifted
        case 1: second |= shifted
        default: third |= shifted
        }
    }

    public var description: String {
        var bytes: [UInt8] = []
        for word in [first, second, third] {
            for shift in stride(from: UInt64(0), to: 64, by: 8) {
                let byte = UInt8(truncatingIfNeeded: word >> shift)
                if byte != 0 { bytes.append(byte) }
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
