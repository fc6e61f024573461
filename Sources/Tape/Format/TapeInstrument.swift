import PluginAPI
import PluginKit

/// One entry of a tape's instrument table. Its number is its place in the table, from 1.
public struct TapeInstrument: Equatable, Sendable {
    public var symbol: String
    public var kind: UInt32  // KEEL_KIND_*
    public var base: String
    public var quote: String
    public var tick: Fixed
    public var lot: Fixed
    public var minimumQuantity: Fixed
    public var maximumQuantity: Fixed
    public var multiplier: Fixed
    public var minimumNotional: Amount

    public init(
        symbol: String, kind: UInt32 = KEEL_KIND_SPOT, base: String? = nil, quote: String? = nil, tick: Fixed = .zero, lot: Fixed = .zero,
        minimumQuantity: Fixed = .zero, maximumQuantity: Fixed = .zero, multiplier: Fixed = .one, minimumNotional: Amount = .zero
    ) {
        self.symbol = symbol
        self.kind = kind
        let parts = symbol.split(separator: "/", maxSplits: 1)
        self.base = base ?? parts.first.map(String.init) ?? symbol
        self.quote = quote ?? (parts.count == 2 ? String(parts[1].prefix { $0 != ":" }) : "")
        self.tick = tick
        self.lot = lot
        self.minimumQuantity = minimumQuantity
        self.maximumQuantity = maximumQuantity
        self.multiplier = multiplier
        self.minimumNotional = minimumNotional
    }

    static let fixedBytes = 80

    /// 80 bytes of numbers, then the three names, filled up to a multiple of 8.
    func encoded() -> [UInt8] {
        let names = [symbol, base, quote].map { Array($0.utf8.prefix(255)) }
        let total = (Self.fixedBytes + names.reduce(0) { $0 + $1.count } + 7) & ~7
        var bytes = [UInt8](repeating: 0, count: total)
        bytes.withUnsafeMutableBytes { out in
            out.storeBytes(of: UInt32(total), toByteOffset: 0, as: UInt32.self)
            out.storeBytes(of: kind, toByteOffset: 4, as: UInt32.self)
            for (index, name) in names.enumerated() { out.storeBytes(of: UInt16(name.count), toByteOffset: 8 + 2 * index, as: UInt16.self) }
            for (index, value) in [tick, lot, minimumQuantity, maximumQuantity, multiplier].enumerated() {
                out.storeBytes(of: value.raw, toByteOffset: 16 + 8 * index, as: Int64.self)
            }
            out.storeBytes(of: minimumNotional.c.lo, toByteOffset: 56, as: UInt64.self)
            out.storeBytes(of: minimumNotional.c.hi, toByteOffset: 64, as: Int64.self)
            var at = Self.fixedBytes
            for name in names {
                for byte in name {
                    out[at] = byte
                    at += 1
                }
            }
        }
        return bytes
    }

    /// The entry at the start of `bytes` and its length; nil: not an entry.
    static func decode(_ bytes: UnsafeRawBufferPointer) -> (TapeInstrument, Int)? {
        guard bytes.count >= fixedBytes else { return nil }
        let total = Int(bytes.loadUnaligned(fromByteOffset: 0, as: UInt32.self))
        guard total >= fixedBytes, total <= bytes.count, total % 8 == 0 else { return nil }
        let lengths = (0..<3).map { Int(bytes.loadUnaligned(fromByteOffset: 8 + 2 * $0, as: UInt16.self)) }
        guard fixedBytes + lengths.reduce(0, +) <= total else { return nil }
        var at = fixedBytes
        var names: [String] = []
        for length in lengths {
            names.append(String(decoding: UnsafeRawBufferPointer(rebasing: bytes[at..<at + length]), as: UTF8.self))
            at += length
        }
        func fixed(_ index: Int) -> Fixed { Fixed(raw: bytes.loadUnaligned(fromByteOffset: 16 + 8 * index, as: Int64.self)) }
        let notional = keel_amount(
            lo: bytes.loadUnaligned(fromByteOffset: 56, as: UInt64.self), hi: bytes.loadUnaligned(fromByteOffset: 64, as: Int64.self))
        let instrument = TapeInstrument(
            symbol: names[0], kind: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self), base: names[1], quote: names[2], tick: fixed(0), lot: fixed(1),
            minimumQuantity: fixed(2), maximumQuantity: fixed(3), multiplier: fixed(4), minimumNotional: Amount(notional))
        return (instrument, total)
    }
}
