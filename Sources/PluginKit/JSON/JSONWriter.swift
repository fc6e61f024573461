/// Writes values as text. Numbers go out as they are written; texts with the fewest escapes that are valid.
public enum JSONStyle: Sendable {
    /// No space, members in their order.
    case compact
    /// One text for each value: no space, members sorted by the bytes of their names, numbers in one form. For hashes.
    case canonical
    /// Two spaces a level; objects and lists of plain values stay on one line while they fit in 100 columns.
    case pretty
}

extension JSONValue: CustomStringConvertible {
    public var description: String { text(.compact) }

    public func text(_ style: JSONStyle) -> String { String(decoding: bytes(style), as: UTF8.self) }

    public func bytes(_ style: JSONStyle) -> [UInt8] {
        var out: [UInt8] = []
        write(to: &out, style)
        return out
    }

    public func write(to out: inout [UInt8], _ style: JSONStyle) {
        switch style {
        case .compact: writeFlat(to: &out, canonical: false)
        case .canonical: writeFlat(to: &out, canonical: true)
        case .pretty: writePretty(to: &out, indent: 0, column: 0)
        }
    }

    private func writeFlat(to out: inout [UInt8], canonical: Bool) {
        switch content {
        case .null: out += "null".utf8
        case .bool(let value): out += (value ? "true" : "false").utf8
        case .number(let number): out += (canonical ? number.canonical : number.text).utf8
        case .text(let text): JSONValue.writeText(text, to: &out)
        case .list(let list):
            out.append(UInt8(ascii: "["))
            for (place, value) in list.enumerated() {
                if place > 0 { out.append(UInt8(ascii: ",")) }
                value.writeFlat(to: &out, canonical: canonical)
            }
            out.append(UInt8(ascii: "]"))
        case .object(let object):
            out.append(UInt8(ascii: "{"))
            let members = canonical ? object.members.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) } : object.members
            for (place, member) in members.enumerated() {
                if place > 0 { out.append(UInt8(ascii: ",")) }
                JSONValue.writeText(member.name, to: &out)
                out.append(UInt8(ascii: ":"))
                member.value.writeFlat(to: &out, canonical: canonical)
            }
            out.append(UInt8(ascii: "}"))
        }
    }

    private func writePretty(to out: inout [UInt8], indent: Int, column: Int) {
        if let line = onOneLine(room: 100 - column) {
            out += line
            return
        }
        func newLine(_ level: Int) {
            out.append(UInt8(ascii: "\n"))
            out += [UInt8](repeating: UInt8(ascii: " "), count: level * 2)
        }
        switch content {
        case .list(let list):
            out.append(UInt8(ascii: "["))
            for (place, value) in list.enumerated() {
                if place > 0 { out.append(UInt8(ascii: ",")) }
                newLine(indent + 1)
                value.writePretty(to: &out, indent: indent + 1, column: indent * 2 + 2)
            }
            newLine(indent)
            out.append(UInt8(ascii: "]"))
        case .object(let object):
            out.append(UInt8(ascii: "{"))
            for (place, member) in object.members.enumerated() {
                if place > 0 { out.append(UInt8(ascii: ",")) }
                newLine(indent + 1)
                JSONValue.writeText(member.name, to: &out)
                out += ": ".utf8
                member.value.writePretty(to: &out, indent: indent + 1, column: indent * 2 + 6 + member.name.utf8.count)
            }
            newLine(indent)
            out.append(UInt8(ascii: "}"))
        default:
            writeFlat(to: &out, canonical: false)
        }
    }

    /// The whole value on one line with spaces, if it holds no further object or list and fits.
    private func onOneLine(room: Int) -> [UInt8]? {
        var out: [UInt8] = []
        switch content {
        case .list(let list):
            out.append(UInt8(ascii: "["))
            for (place, value) in list.enumerated() {
                guard value.isPlain else { return nil }
                if place > 0 { out += ", ".utf8 }
                value.writeFlat(to: &out, canonical: false)
                if out.count > room { return nil }
            }
            out.append(UInt8(ascii: "]"))
        case .object(let object):
            if object.isEmpty { return Array("{}".utf8) }
            out += "{ ".utf8
            for (place, member) in object.members.enumerated() {
                guard member.value.isPlain else { return nil }
                if place > 0 { out += ", ".utf8 }
                JSONValue.writeText(member.name, to: &out)
                out += ": ".utf8
                member.value.writeFlat(to: &out, canonical: false)
                if out.count > room { return nil }
            }
            out += " }".utf8
        default:
            writeFlat(to: &out, canonical: false)
        }
        return out
    }

    private var isPlain: Bool {
        switch content {
        case .list, .object: false
        default: true
        }
    }

    /// A text with its quotation marks.
    public static func writeText(_ text: String, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): out += "\\\"".utf8
            case UInt8(ascii: "\\"): out += "\\\\".utf8
            case 0x08: out += "\\b".utf8
            case 0x0C: out += "\\f".utf8
            case UInt8(ascii: "\n"): out += "\\n".utf8
            case UInt8(ascii: "\r"): out += "\\r".utf8
            case UInt8(ascii: "\t"): out += "\\t".utf8
            case 0..<0x20: out += "\\u00\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }
}
