import PluginAPI

/// The client order id: derived from run, pipeline, instrument, decision and leg, never from the order's content, so that
/// two deliberate identical orders differ and the same order sent twice does not.
///
///     hi = run (32 bits) | pipeline index (16) | instrument index (16)
///     lo = decision sequence (40 bits) | leg kind (8) | child leg (16)
public struct OrderID: Hashable, Comparable, Sendable {
    public var hi: UInt64
    public var lo: UInt64

    /// What the order is for. Part of the id, so an exit and an entry of one decision never collide.
    public enum Leg: UInt8, Sendable, CaseIterable, Codable { case entry = 1, exit, stage, flatten }

    public static let none = OrderID(hi: 0, lo: 0)

    @inlinable public init(hi: UInt64, lo: UInt64) {
        self.hi = hi
        self.lo = lo
    }

    @inlinable public init(_ c: keel_id) { self.init(hi: c.hi, lo: c.lo) }

    public init(run: UInt32, pipeline: Int, instrument: Int, sequence: UInt64, leg: Leg, child: UInt16 = 0) {
        hi = UInt64(run) << 32 | UInt64(UInt16(truncatingIfNeeded: pipeline)) << 16 | UInt64(UInt16(truncatingIfNeeded: instrument))
        lo = (sequence & 0xFF_FFFF_FFFF) << 24 | UInt64(leg.rawValue) << 16 | UInt64(child)
    }

    @inlinable public var c: keel_id { keel_id(hi: hi, lo: lo) }
    @inlinable public var isNone: Bool { hi == 0 && lo == 0 }
    @inlinable public var run: UInt32 { UInt32(truncatingIfNeeded: hi >> 32) }
    @inlinable public var pipeline: Int { Int(hi >> 16 & 0xFFFF) }
    /// The instrument's index in the plan (its id of that run less one).
    @inlinable public var instrument: Int { Int(hi & 0xFFFF) }
    @inlinable public var sequence: UInt64 { lo >> 24 }
    @inlinable public var leg: Leg? { Leg(rawValue: UInt8(truncatingIfNeeded: lo >> 16)) }
    @inlinable public var child: UInt16 { UInt16(truncatingIfNeeded: lo) }
    @inlinable public var isParent: Bool { lo & 0xFFFF == 0 }
    @inlinable public var parent: OrderID { OrderID(hi: hi, lo: lo & ~0xFFFF) }
    @inlinable public func child(_ leg: UInt16) -> OrderID { OrderID(hi: hi, lo: lo & ~0xFFFF | UInt64(leg)) }

    @inlinable public static func < (a: OrderID, b: OrderID) -> Bool { a.hi == b.hi ? a.lo < b.lo : a.hi < b.hi }
}

// Text for venues: "k" and 26 digits of Crockford's base 32 in lower case, 27 characters in all.
extension OrderID: CustomStringConvertible, LosslessStringConvertible {
    private static let digits = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)

    public var description: String {
        String(unsafeUninitializedCapacity: 27) { buffer in
            buffer[0] = UInt8(ascii: "k")
            var value = UInt128(hi) << 64 | UInt128(lo)
            for place in stride(from: 26, through: 1, by: -1) {
                buffer[place] = Self.digits[Int(value & 31)]
                value >>= 5
            }
            return 27
        }
    }

    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 27, bytes[0] == UInt8(ascii: "k") else { return nil }
        var value: UInt128 = 0
        for (place, byte) in bytes.dropFirst().enumerated() {
            guard let digit = Self.digits.firstIndex(of: byte), place > 0 || digit < 8 else { return nil }
            value = value << 5 | UInt128(digit)
        }
        self.init(hi: UInt64(value >> 64), lo: UInt64(truncatingIfNeeded: value))
    }
}

extension OrderID: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let id = OrderID(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "\"\(text)\" is not an order id")
        }
        self = id
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
