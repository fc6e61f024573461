import PluginKit

/// The parameters of one request. It remembers which were read, so that what nobody asked for can be refused.
final class Params {
    private(set) var pairs: [(name: String, value: String)]
    private var read: Set<String> = []

    init(_ pairs: [(name: String, value: String)]) { self.pairs = pairs }

    var names: [String] { pairs.map(\.name) }
    func has(_ name: String) -> Bool { pairs.contains { $0.name == name } }

    /// Sent and not empty, without counting as read.
    func peek(_ name: String) -> String? { pairs.first { $0.name == name && !$0.value.isEmpty }?.value }

    func text(_ name: String) throws(Refusal) -> String {
        guard let value = try optional(name) else { throw .mandatory(name) }
        return value
    }

    func optional(_ name: String) throws(Refusal) -> String? {
        read.insert(name)
        guard let pair = pairs.first(where: { $0.name == name }) else { return nil }
        if pair.value.isEmpty { throw .empty(name) }
        return pair.value
    }

    private static func isDecimal(_ text: String) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count <= 2 else { return false }
        return parts.allSatisfy { part in (1...20).contains(part.count) && part.allSatisfy { $0 >= 48 && $0 <= 57 } }
    }

    /// A decimal of at most eight places, never negative.
    func optionalDecimal(_ name: String) throws(Refusal) -> Int64? {
        guard let text = try optional(name) else { return nil }
        guard Self.isDecimal(text) else { throw .illegal(name, "^([0-9]{1,20})(\\.[0-9]{1,20})?$") }
        do { return try Fixed(parsing: text).raw } catch {
            if case .inexact = error { throw .precision(name) }
            throw .overflow(name)
        }
    }

    func decimal(_ name: String) throws(Refusal) -> Int64 {
        guard let value = try optionalDecimal(name) else { throw .mandatory(name) }
        return value
    }

    func optionalInt(_ name: String) throws(Refusal) -> Int64? {
        guard let text = try optional(name) else { return nil }
        guard text.utf8.count <= 19, let value = Int64(text), value >= 0 else { throw .illegal(name, "^[0-9]{1,20}$") }
        return value
    }

    func int(_ name: String) throws(Refusal) -> Int64 {
        guard let value = try optionalInt(name) else { throw .mandatory(name) }
        return value
    }

    func optionalBool(_ name: String) throws(Refusal) -> Bool? {
        guard let text = try optional(name) else { return nil }
        switch text.lowercased() {
        case "true": return true
        case "false": return false
        default: throw .illegal(name, "true|false")
        }
    }

    /// A JSON list, as `symbols` and the batch calls carry.
    func optionalList(_ name: String) throws(Refusal) -> [JSONValue]? {
        guard let text = try optional(name) else { return nil }
        guard let value = try? JSONValue(parsing: text), let list = value.asList else { throw Refusal(-1130, "Data sent for parameter '\(name)' is not valid.") }
        return list
    }

    /// At most `most`; what is more is an error where `isStrict`, else cut.
    func limit(_ standard: Int, most: Int, isStrict: Bool = false) throws(Refusal) -> Int {
        guard let value = try optionalInt("limit") else { return standard }
        if value == 0 || isStrict && value > Int64(most) { throw Refusal(-1130, "Data sent for parameter 'limit' is not valid.") }
        return Int(min(value, Int64(most)))
    }

    /// What every request may carry.
    private static let common: Set<String> = ["timestamp", "recvWindow", "signature", "apiKey", "returnRateLimits"]

    /// Refuses what nobody asked for.
    func checkAllRead() throws(Refusal) {
        let sent = pairs.filter { !Self.common.contains($0.name) }
        let used = sent.filter { read.contains($0.name) }
        if used.count < sent.count { throw Refusal(-1104, "Not all sent parameters were read; read '\(used.count)' parameter(s) but was sent '\(sent.count)'.") }
    }

    // MARK: taking requests apart

    /// name=value pairs with their percent signs and plus signs resolved. nil: not such a text.
    static func parse(_ query: some StringProtocol) -> [(name: String, value: String)]? {
        var pairs: [(name: String, value: String)] = []
        for part in query.split(separator: "&", omittingEmptySubsequences: true) {
            let equals = part.firstIndex(of: "=")
            let name = part[..<(equals ?? part.endIndex)]
            let value = equals.map { part[part.index(after: $0)...] } ?? part[part.endIndex...]
            guard let name = decode(name), let value = decode(value), !name.isEmpty else { return nil }
            pairs.append((name, value))
        }
        return pairs
    }

    private static func decode(_ text: some StringProtocol) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8.makeIterator()
        while let byte = rest.next() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = rest.next(), let low = rest.next(), let value = Hex.decode(String(decoding: [high, low], as: UTF8.self)) else { return nil }
                bytes += value
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// What is signed: the query and the body as they travelled, one after the other, without the signature. And the signature.
    static func payload(query: String, body: String) -> (bytes: [UInt8], signature: String?) {
        var signature: String?
        func strip(_ text: String) -> String {
            guard text.contains("signature=") else { return text }
            return text.split(separator: "&", omittingEmptySubsequences: false).filter { part in
                guard part.hasPrefix("signature=") else { return true }
                if signature == nil { signature = decode(part.dropFirst("signature=".count)) }
                return false
            }.joined(separator: "&")
        }
        let whole = strip(query) + strip(body)
        return (Array(whole.utf8), signature)
    }

    /// Parameters of a WebSocket API request as text, and the text that is signed: sorted by name, as they are.
    static func object(_ object: JSONObject) -> (params: Params, payload: [UInt8]) {
        let pairs = object.members.filter { !$0.value.isNull }.map { member in
            switch member.value.content {
            case .text(let text): (name: member.name, value: text)
            case .bool(let flag): (name: member.name, value: flag ? "true" : "false")
            default: (name: member.name, value: member.value.text(.compact))
            }
        }
        let sorted = pairs.filter { $0.name != "signature" }.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        return (Params(pairs), Array(sorted.map { "\($0.name)=\($0.value)" }.joined(separator: "&").utf8))
    }
}
