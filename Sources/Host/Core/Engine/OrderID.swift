import PluginKit

// The client order id: derived from run, pipeline, instrument, decision and leg, never from the order's content, so that
// two deliberate identical orders differ and the same order sent twice does not.
//
//     hi = run (32 bits) | pipeline index (16) | instrument index (16)
//     lo = decision sequence (40 bits) | leg kind (8) | child leg (16)
extension OrderID {
    /// What the order is for. Part of the id, so an exit and an entry of one decision never collide.
    public enum Leg: UInt8, Sendable, CaseIterable, Codable { case entry = 1, exit, stage, flatten }

    public init(run: UInt32, pipeline: Int, instrument: Int, sequence: UInt64, leg: Leg, child: UInt16 = 0) {
        self.init(
            hi: UInt64(run) << 32 | UInt64(UInt16(truncatingIfNeeded: pipeline)) << 16 | UInt64(UInt16(truncatingIfNeeded: instrument)),
            lo: (sequence & 0xFF_FFFF_FFFF) << 24 | UInt64(leg.rawValue) << 16 | UInt64(child))
    }

    @inlinable public var run: UInt32 { UInt32(truncatingIfNeeded: hi >> 32) }
    @inlinable public var pipeline: Int { Int(hi >> 16 & 0xFFFF) }
    /// The instrument's index in the plan (its id of that run less one).
    @inlinable public var instrument: Int { Int(hi & 0xFFFF) }
    @inlinable public var sequence: UInt64 { lo >> 24 }
    @inlinable public var leg: Leg? { Leg(rawValue: UInt8(truncatingIfNeeded: lo >> 16)) }
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
