import PluginKit

/// JSON as it goes out, written straight to bytes: answers and events are many, and a part already written (a result inside an envelope,
/// an event for many readers) is put in as it is.
struct Out: Sendable, Equatable {
    private(set) var bytes: [UInt8]
    private var isFirst = true

    private init(opening: UInt8) { bytes = [opening] }
    private init(bytes: [UInt8]) { self.bytes = bytes }

    var text: String { String(decoding: bytes, as: UTF8.self) }

    static func object(_ fill: (inout Out) -> Void) -> Out {
        var out = Out(opening: UInt8(ascii: "{"))
        fill(&out)
        out.bytes.append(UInt8(ascii: "}"))
        return out
    }

    static func list(_ parts: some Sequence<Out>) -> Out {
        var out = Out(opening: UInt8(ascii: "["))
        for part in parts {
            out.separate()
            out.bytes += part.bytes
        }
        out.bytes.append(UInt8(ascii: "]"))
        return out
    }

    static func list<S: Sequence>(_ items: S, _ write: (S.Element) -> Out) -> Out { list(items.lazy.map(write)) }

    static let null = Out(bytes: Array("null".utf8))
    static func string(_ text: String) -> Out {
        var bytes: [UInt8] = []
        JSONValue.writeText(text, to: &bytes)
        return Out(bytes: bytes)
    }
    /// Text that is JSON already, or is meant not to be.
    static func raw(_ text: String) -> Out { Out(bytes: Array(text.utf8)) }
    static func number(_ value: some BinaryInteger) -> Out { Out(bytes: Array(String(value).utf8)) }
    static func value(_ value: JSONValue) -> Out { Out(bytes: value.bytes(.compact)) }
    static func decimal(_ raw: some BinaryInteger, _ places: Int = 8) -> Out { Out(bytes: Array("\"\(decimalText(raw, places))\"".utf8)) }

    private mutating func separate() {
        if isFirst { isFirst = false } else { bytes.append(UInt8(ascii: ",")) }
    }

    private mutating func name(_ name: String) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        bytes += name.utf8
        bytes += [UInt8(ascii: "\""), UInt8(ascii: ":")]
    }

    mutating func put(_ label: String, _ value: Out) {
        name(label)
        bytes += value.bytes
    }

    mutating func text(_ label: String, _ value: String) {
        name(label)
        JSONValue.writeText(value, to: &bytes)
    }

    mutating func int(_ label: String, _ value: some BinaryInteger) {
        name(label)
        bytes += String(value).utf8
    }

    mutating func bool(_ label: String, _ value: Bool) {
        name(label)
        bytes += (value ? "true" : "false").utf8
    }

    mutating func null(_ label: String) {
        name(label)
        bytes += "null".utf8
    }

    /// A decimal as text with a fixed number of places.
    mutating func decimal(_ label: String, _ raw: some BinaryInteger, _ places: Int = 8) {
        name(label)
        bytes.append(UInt8(ascii: "\""))
        bytes += decimalText(raw, places).utf8
        bytes.append(UInt8(ascii: "\""))
    }

    /// A decimal as a JSON number.
    mutating func bare(_ label: String, _ raw: some BinaryInteger, _ places: Int = 8) {
        name(label)
        bytes += decimalText(raw, places).utf8
    }
}

/// A number of 1e-8 steps with exactly `places` decimals; what is beyond them is cut off.
func decimalText(_ raw: some BinaryInteger, _ places: Int = 8) -> String {
    let wide = Int128(raw)
    var magnitude = wide.magnitude
    if places < 8 { for _ in places..<8 { magnitude /= 10 } }
    var digits = String(magnitude)
    if digits.utf8.count <= places { digits = String(repeating: "0", count: places + 1 - digits.utf8.count) + digits }
    let negative = wide < 0 && magnitude != 0
    if places == 0 { return negative ? "-" + digits : digits }
    return (negative ? "-" : "") + digits.dropLast(places) + "." + digits.suffix(places)
}

/// The shortest exact text, as the futures side writes many of its decimals.
func shortText(_ raw: some BinaryInteger) -> String { Amount(raw: Int128(raw)).description }
