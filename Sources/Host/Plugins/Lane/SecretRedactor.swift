import Synchronization

/// Takes secrets out of text by their value. One for the whole host: a secret of one instance must not show in another's log.
public final class SecretRedactor: Sendable {
    public static let mark = "[secret]"
    /// Shorter values would take ordinary words out of every line.
    public static let shortest = 4

    private struct State {
        var values: [[UInt8]] = []
        var known: Set<[UInt8]> = []
    }
    private let state = Mutex(State())

    public init() {}

    /// From now on the value, each long line of it (keys in PEM form) and its percent-encoded form are taken out.
    public func add(_ secret: [UInt8]) {
        var forms: [[UInt8]] = [Self.trimmed(secret[...])]
        forms += secret.split(separator: 10).map(Self.trimmed).filter { $0.count >= 16 && !$0.starts(with: Array("-----".utf8)) }
        forms += forms.map(Self.percentEncoded)
        state.withLock { state in
            for form in forms where form.count >= Self.shortest && state.known.insert(form).inserted { state.values.append(form) }
            // A secret that is a part of another must not cut it up first.
            state.values.sort { $0.count > $1.count }
        }
    }

    public func redact(_ text: String) -> String {
        let values = state.withLock { $0.values }
        if values.isEmpty || text.utf8.count < Self.shortest { return text }
        var bytes = Array(text.utf8)
        var changed = false
        for value in values where bytes.count >= value.count {
            var at = 0
            var result: [UInt8] = []
            var copiedTo = 0
            while let found = Self.find(value, in: bytes, from: at) {
                result += bytes[copiedTo..<found]
                result += Array(Self.mark.utf8)
                copiedTo = found + value.count
                at = copiedTo
            }
            if copiedTo > 0 {
                result += bytes[copiedTo...]
                bytes = result
                changed = true
            }
        }
        return changed ? String(decoding: bytes, as: UTF8.self) : text
    }

    private static func find(_ needle: [UInt8], in bytes: [UInt8], from: Int) -> Int? {
        guard let first = needle.first, bytes.count - from >= needle.count else { return nil }
        for at in from...(bytes.count - needle.count) where bytes[at] == first && bytes[at..<(at + needle.count)].elementsEqual(needle) {
            return at
        }
        return nil
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var part = bytes
        while let last = part.last, last <= 32 { part.removeLast() }
        while let first = part.first, first <= 32 { part.removeFirst() }
        return Array(part)
    }

    private static func percentEncoded(_ bytes: [UInt8]) -> [UInt8] {
        let hex = Array("0123456789ABCDEF".utf8)
        return bytes.flatMap { byte -> [UInt8] in
            switch byte {
            case 48...57, 65...90, 97...122, 45, 46, 95, 126: [byte]
            default: [37, hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            }
        }
    }
}
