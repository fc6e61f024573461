/// The way from the top of a document to a value in it, written `$.pipelines[0].decide` or `$.instruments["BTC/USDT"]`.
public indirect enum JSONPath: Equatable, Sendable, CustomStringConvertible {
    case root
    case name(JSONPath, String)
    case place(JSONPath, Int)

    /// The same path from `$`, without its nesting.
    public var steps: [Step] {
        var steps: [Step] = []
        var path = self
        while true {
            switch path {
            case .root: return steps.reversed()
            case .name(let parent, let name):
                steps.append(.name(name))
                path = parent
            case .place(let parent, let place):
                steps.append(.place(place))
                path = parent
            }
        }
    }

    public enum Step: Equatable, Sendable {
        case name(String)
        case place(Int)
    }

    public init(_ steps: some Sequence<Step>) {
        self = steps.reduce(.root) { path, step in
            switch step {
            case .name(let name): .name(path, name)
            case .place(let place): .place(path, place)
            }
        }
    }

    public func appending(_ name: String) -> JSONPath { .name(self, name) }
    public func appending(_ place: Int) -> JSONPath { .place(self, place) }

    /// This path continued by one that started at `$` elsewhere.
    public func appending(_ path: JSONPath) -> JSONPath {
        path.steps.reduce(self) { path, step in
            switch step {
            case .name(let name): .name(path, name)
            case .place(let place): .place(path, place)
            }
        }
    }

    public var description: String {
        var text = "$"
        for step in steps {
            switch step {
            case .place(let place): text += "[\(place)]"
            case .name(let name):
                if JSONPath.isPlain(name) {
                    text += "." + name
                } else {
                    var quoted: [UInt8] = []
                    JSONValue.writeText(name, to: &quoted)
                    text += "[" + String(decoding: quoted, as: UTF8.self) + "]"
                }
            }
        }
        return text
    }

    private static func isPlain(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return false }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"),
                UInt8(ascii: "$"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
    }

    /// Reads what `description` writes; the leading `$` may be left out (`pipelines[0].name`). nil if it is no path.
    public init?(_ text: String) {
        var rest = Array(text.utf8)[...]
        var path = JSONPath.root
        var first = true
        if rest.first == UInt8(ascii: "$") {
            rest = rest.dropFirst()
            first = false
        }
        while let byte = rest.first {
            if byte == UInt8(ascii: "[") {
                rest = rest.dropFirst()
                if rest.first == UInt8(ascii: "\"") {
                    guard let close = JSONPath.closingQuote(rest), rest.index(after: close) < rest.endIndex,
                        let name = (try? JSONValue(parsing: Array(rest[...close])))?.asText
                    else { return nil }
                    rest = rest[(close + 1)...]
                    path = .name(path, name)
                } else {
                    let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
                    guard let place = Int(String(decoding: digits, as: UTF8.self)) else { return nil }
                    rest = rest.dropFirst(digits.count)
                    path = .place(path, place)
                }
                guard rest.first == UInt8(ascii: "]") else { return nil }
                rest = rest.dropFirst()
            } else {
                if byte == UInt8(ascii: ".") {
                    if first { return nil }
                    rest = rest.dropFirst()
                } else if !first {
                    return nil
                }
                let name = rest.prefix { $0 != UInt8(ascii: ".") && $0 != UInt8(ascii: "[") }
                if name.isEmpty { return nil }
                rest = rest.dropFirst(name.count)
                path = .name(path, String(decoding: name, as: UTF8.self))
            }
            first = false
        }
        self = path
    }

    private static func closingQuote(_ bytes: ArraySlice<UInt8>) -> Int? {
        var index = bytes.startIndex + 1
        while index < bytes.endIndex {
            if bytes[index] == UInt8(ascii: "\\") { index += 1 } else if bytes[index] == UInt8(ascii: "\"") { return index }
            index += 1
        }
        return nil
    }
}

extension JSONValue {
    /// The value at the end of a path, nil where the path leaves the document.
    public func find(_ path: JSONPath) -> JSONValue? {
        var value = self
        for step in path.steps {
            switch step {
            case .name(let name):
                guard let next = value.find(name) else { return nil }
                value = next
            case .place(let place):
                guard let list = value.asList, list.indices.contains(place) else { return nil }
                value = list[place]
            }
        }
        return value
    }
}
