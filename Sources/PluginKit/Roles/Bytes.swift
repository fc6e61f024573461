// Saved state as bytes: little-endian, every read checked, the whole sealed with a checksum.

/// A plugin's saved state on its way to the host and back. A cut or changed one never reaches the plugin.
enum SavedState {
    static let limit = 64 << 20
    private static let mark: [UInt8] = Array("KEELST01".utf8)

    static func seal(_ payload: [UInt8]) -> [UInt8] {
        var out = ByteWriter()
        out.raw(mark)
        out.integer(UInt64(payload.count))
        out.integer(checksum(payload))
        out.raw(payload)
        return out.bytes
    }

    static func open(_ sealed: [UInt8]) throws(PluginError) -> [UInt8] {
        var reader = ByteReader(sealed)
        guard try reader.raw(mark.count) == mark else { throw .invalid("this is not a saved state") }
        let count = try reader.integer(UInt64.self)
        let sum = try reader.integer(UInt64.self)
        guard count == UInt64(reader.left) else { throw .invalid("the saved state is cut: \(reader.left) of \(count) bytes") }
        let payload = try reader.raw(reader.left)
        guard checksum(payload) == sum else { throw .invalid("the saved state is damaged: its checksum is wrong") }
        return payload
    }
}

/// FNV-1a in 64 bits with a final mix: finds accidents, not attackers.
public func checksum(_ bytes: some Sequence<UInt8>, seed: UInt64 = 0xcbf2_9ce4_8422_2325) -> UInt64 {
    var hash = seed
    for byte in bytes {
        hash ^= UInt64(byte)
        hash = hash &* 0x0000_0100_0000_01b3
    }
    hash ^= hash >> 32
    return hash &* 0x9e37_79b9_7f4a_7c15
}

/// Appends values to a byte array, little-endian.
public struct ByteWriter: Sendable {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    public mutating func integer(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
    public mutating func double(_ value: Double) { integer(value.bitPattern) }
    public mutating func fixed(_ value: Fixed) { integer(value.raw) }
    public mutating func amount(_ value: Amount) { integer(value.raw) }
    public mutating func flag(_ value: Bool) { integer(value ? UInt8(1) : 0) }
    public mutating func text(_ value: String) {
        integer(UInt32(truncatingIfNeeded: value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }
    public mutating func raw(_ value: [UInt8]) { bytes.append(contentsOf: value) }
}

/// Reads them back; whatever is missing or out of range is `.invalid`, never a trap.
public struct ByteReader: Sendable {
    private let bytes: [UInt8]
    private var at = 0

    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    public var left: Int { bytes.count - at }

    public mutating func raw(_ count: Int) throws(PluginError) -> [UInt8] {
        guard count >= 0, count <= left else { throw .invalid("the bytes end early: \(left) where \(count) should be") }
        defer { at += count }
        return Array(bytes[at..<at + count])
    }

    public mutating func integer<Value: FixedWidthInteger>(_: Value.Type = Value.self) throws(PluginError) -> Value {
        let size = MemoryLayout<Value>.size
        guard size <= left else { throw .invalid("the bytes end early: \(left) where \(size) should be") }
        defer { at += size }
        return bytes.withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: Value.self)) }
    }
    public mutating func double() throws(PluginError) -> Double { Double(bitPattern: try integer()) }
    /// A double that takes part in arithmetic: infinity and NaN are refused.
    public mutating func finite() throws(PluginError) -> Double {
        let value = try double()
        guard value.isFinite else { throw .invalid("\(value) where a number should be") }
        return value
    }
    public mutating func fixed() throws(PluginError) -> Fixed { Fixed(raw: try integer()) }
    public mutating func amount() throws(PluginError) -> Amount { Amount(raw: try integer()) }
    public mutating func flag() throws(PluginError) -> Bool {
        switch try integer(UInt8.self) {
        case 0: false
        case 1: true
        case let other: throw .invalid("\(other) where 0 or 1 should be")
        }
    }
    public mutating func text() throws(PluginError) -> String {
        let count = try integer(UInt32.self)
        guard let text = String(validating: try raw(Int(count)), as: UTF8.self) else { throw .invalid("a text is not UTF-8") }
        return text
    }

    /// Nothing may be left over.
    public func end() throws(PluginError) {
        guard left == 0 else { throw .invalid("\(left) bytes too many") }
    }
}
