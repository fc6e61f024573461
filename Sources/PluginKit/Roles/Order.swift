import PluginAPI

/// A client order id, issued by the host, unique for ever.
@frozen
public struct OrderID: Hashable, Sendable, Comparable {
    public var hi: UInt64
    public var lo: UInt64

    @inlinable public init(hi: UInt64, lo: UInt64) {
        self.hi = hi
        self.lo = lo
    }
    @inlinable public init(_ c: keel_id) { self.init(hi: c.hi, lo: c.lo) }
    @inlinable public var c: keel_id { keel_id(hi: hi, lo: lo) }

    /// No order of this host.
    public static let none = OrderID(hi: 0, lo: 0)
    @inlinable public var isNone: Bool { hi == 0 && lo == 0 }

    /// A router's child: the parent's id with a leg 1...65535 in the low 16 bits.
    @inlinable public func child(_ leg: UInt16) -> OrderID { OrderID(hi: hi, lo: lo & ~0xFFFF | UInt64(leg)) }
    @inlinable public var parent: OrderID { OrderID(hi: hi, lo: lo & ~0xFFFF) }
    @inlinable public var isParent: Bool { lo & 0xFFFF == 0 }
    /// The leg of a child, 0 for a parent.
    @inlinable public var child: UInt16 { UInt16(truncatingIfNeeded: lo) }

    @inlinable public static func < (a: OrderID, b: OrderID) -> Bool { a.hi == b.hi ? a.lo < b.lo : a.hi < b.hi }
    @inlinable public func hash(into hasher: inout Hasher) {
        hasher.combine(hi)
        hasher.combine(lo)
    }
}

// The form for venues: "k" and 26 digits of Crockford's base 32 in lower case, 27 characters in all.
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

    /// Reads the form for venues back; nil if the text is not one of ours.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 27, bytes[0] == UInt8(ascii: "k") else { return nil }
        var value: UInt128 = 0
        for (place, byte) in bytes.dropFirst().enumerated() {
            // 26 digits hold 130 bits: the first may only use three of its five.
            guard let digit = Self.digits.firstIndex(of: byte), place > 0 || digit < 8 else { return nil }
            value = value << 5 | UInt128(digit)
        }
        self.init(hi: UInt64(value >> 64), lo: UInt64(truncatingIfNeeded: value))
    }
}

@frozen
public enum Side: UInt32, Sendable {
    case buy = 1
    case sell = 2
    @inlinable public var opposite: Side { self == .buy ? .sell : .buy }
    /// +1 for buy, -1 for sell.
    @inlinable public var sign: Int64 { self == .buy ? 1 : -1 }
}

/// What an order is and what may be asked of it (`KEEL_ORD_*`).
@frozen
public struct OrderFeatures: OptionSet, Sendable, Hashable {
    public let rawValue: UInt64
    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }

    public static let market = OrderFeatures(rawValue: KEEL_ORD_MARKET)
    public static let limit = OrderFeatures(rawValue: KEEL_ORD_LIMIT)
    public static let stop = OrderFeatures(rawValue: KEEL_ORD_STOP)
    public static let stopLimit = OrderFeatures(rawValue: KEEL_ORD_STOP_LIMIT)
    public static let take = OrderFeatures(rawValue: KEEL_ORD_TAKE)
    public static let takeLimit = OrderFeatures(rawValue: KEEL_ORD_TAKE_LIMIT)
    public static let postOnly = OrderFeatures(rawValue: KEEL_ORD_POST_ONLY)
    public static let reduceOnly = OrderFeatures(rawValue: KEEL_ORD_REDUCE_ONLY)
    public static let immediateOrCancel = OrderFeatures(rawValue: KEEL_ORD_IOC)
    public static let fillOrKill = OrderFeatures(rawValue: KEEL_ORD_FOK)

    /// The six kinds: an order has exactly one.
    public static let kinds: OrderFeatures = [.market, .limit, .stop, .stopLimit, .take, .takeLimit]
    public static let withLimit: OrderFeatures = [.limit, .stopLimit, .takeLimit]
    public static let withTrigger: OrderFeatures = [.stop, .stopLimit, .take, .takeLimit]
    public static let all: OrderFeatures = [
        .market, .limit, .stop, .stopLimit, .take, .takeLimit, .postOnly, .reduceOnly, .immediateOrCancel, .fillOrKill,
    ]
}

/// An order the SDK has already checked for form: known bits, one kind, prices where the kind has them, quantity above zero.
@frozen
public struct Order: Sendable, Equatable {
    public var id: OrderID
    public var side: Side
    public var features: OrderFeatures
    public var instrument: UInt32
    public var quantity: Fixed
    /// Zero if the kind has none.
    public var limit: Fixed
    /// Zero if the kind has none.
    public var trigger: Fixed
    /// Never send later than this; 0 = no limit.
    public var notAfter: Int64

    public init(
        id: OrderID, side: Side, features: OrderFeatures, instrument: UInt32, quantity: Fixed, limit: Fixed = .zero,
        trigger: Fixed = .zero, notAfter: Int64 = 0
    ) {
        self.id = id
        self.side = side
        self.features = features
        self.instrument = instrument
        self.quantity = quantity
        self.limit = limit
        self.trigger = trigger
        self.notAfter = notAfter
    }

    /// The contract's strict reading: what isn't known is refused, never ignored.
    public init(strict order: UnsafePointer<keel_order>?, accepting accepted: OrderFeatures) throws(PluginError) {
        guard let order else { throw .invalid("the order is a null pointer") }
        let size = Int(UnsafeRawPointer(order).loadUnaligned(as: UInt32.self))
        guard size >= MemoryLayout<keel_order>.size else {
            throw .invalid("the order has \(size) bytes, ABI 1.0 has \(MemoryLayout<keel_order>.size)")
        }
        if size > MemoryLayout<keel_order>.size {
            guard size <= 65536 else { throw .invalid("the order claims \(size) bytes") }
            let tail = UnsafeRawBufferPointer(start: order, count: size)[MemoryLayout<keel_order>.size...]
            if tail.contains(where: { $0 != 0 }) { throw .unsupported("the order has fields this plugin doesn't know") }
        }
        let c = order.pointee
        let features = OrderFeatures(rawValue: c.features)
        if !features.isSubset(of: accepted) {
            let extra = features.subtracting(accepted).rawValue
            throw .unsupported("order features 0x\(String(extra, radix: 16)) are not supported here")
        }
        if c.reserved != 0 { throw .unsupported("the order's reserved field is \(c.reserved), known is only 0") }
        guard let side = Side(rawValue: c.side) else {
            if c.side == KEEL_SIDE_NONE { throw .invalid("the order has no side") }
            throw .unsupported("side \(c.side) is not known")
        }
        let kind = features.intersection(.kinds)
        guard kind.rawValue.nonzeroBitCount == 1 else {
            throw .invalid("an order is exactly one of market, limit, stop, stop limit, take, take limit")
        }
        guard c.id.hi != 0 || c.id.lo != 0 else { throw .invalid("the order has no id") }
        guard c.instrument != 0 else { throw .invalid("the order has no instrument") }
        guard c.qty > 0 else { throw .invalid("qty must be above 0, it is \(Fixed(raw: c.qty))") }
        if kind.isSubset(of: .withLimit) {
            guard c.limit > 0 else { throw .invalid("limit must be above 0 for this kind of order, it is \(Fixed(raw: c.limit))") }
        } else if c.limit != 0 {
            throw .invalid("limit must be 0 for this kind of order, it is \(Fixed(raw: c.limit))")
        }
        if kind.isSubset(of: .withTrigger) {
            guard c.trigger > 0 else { throw .invalid("trigger must be above 0 for this kind of order, it is \(Fixed(raw: c.trigger))") }
        } else if c.trigger != 0 {
            throw .invalid("trigger must be 0 for this kind of order, it is \(Fixed(raw: c.trigger))")
        }
        if features.contains(.postOnly) {
            guard kind.isSubset(of: .withLimit) else { throw .invalid("post only needs a limit price") }
            guard features.isDisjoint(with: [.immediateOrCancel, .fillOrKill]) else {
                throw .invalid("post only and immediate or cancel contradict each other")
            }
        }
        if features.isSuperset(of: [.immediateOrCancel, .fillOrKill]) {
            throw .invalid("immediate or cancel and fill or kill contradict each other")
        }
        guard c.not_after >= 0 else { throw .invalid("not_after must not be negative") }
        self.init(
            id: OrderID(c.id), side: side, features: features, instrument: c.instrument, quantity: Fixed(raw: c.qty),
            limit: Fixed(raw: c.limit), trigger: Fixed(raw: c.trigger), notAfter: c.not_after)
    }

    public var c: keel_order {
        keel_order(
            struct_size: UInt32(MemoryLayout<keel_order>.size), side: side.rawValue, features: features.rawValue, id: id.c,
            instrument: instrument, reserved: 0, qty: quantity.raw, limit: limit.raw, trigger: trigger.raw, not_after: notAfter)
    }

    /// Refuses what the venue's grid would: names the rule and the numbers. `price` values a market order's notional, zero = unknown.
    public func check(against instrument: Instrument, price: Fixed = .zero) throws(PluginError) {
        if !quantity.isMultiple(of: instrument.lot) {
            throw .invalid("qty \(quantity) is not a multiple of the lot \(instrument.lot) of \(instrument.symbol)")
        }
        if quantity < instrument.minimumQuantity {
            throw PluginError(.range, "qty \(quantity) is below the minimum \(instrument.minimumQuantity) of \(instrument.symbol)")
        }
        if instrument.maximumQuantity.isPositive, quantity > instrument.maximumQuantity {
            throw PluginError(.range, "qty \(quantity) is above the maximum \(instrument.maximumQuantity) of \(instrument.symbol)")
        }
        if !limit.isMultiple(of: instrument.tick) {
            throw .invalid("limit \(limit) is not a multiple of the tick \(instrument.tick) of \(instrument.symbol)")
        }
        if !trigger.isMultiple(of: instrument.tick) {
            throw .invalid("trigger \(trigger) is not a multiple of the tick \(instrument.tick) of \(instrument.symbol)")
        }
        let valued = limit.isPositive ? limit : trigger.isPositive ? trigger : price
        // Closing what is left of a position may always be small.
        if valued.isPositive, instrument.minimumNotional.isPositive, !features.contains(.reduceOnly) {
            let notional: Amount
            do {
                notional = try valued.notional(quantity).multiplied(by: instrument.multiplier)
            } catch { throw PluginError(error.reason, error.description) }
            if notional < instrument.minimumNotional {
                throw PluginError(
                    .range, "the order is worth \(notional), below the minimum notional \(instrument.minimumNotional) of \(instrument.symbol)")
            }
        }
    }
}
