/// Why a text is not the JSON it should be, and where.
public struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
    public var problem: JSONProblem
    public var position: JSONPosition

    public init(_ problem: JSONProblem, _ position: JSONPosition) {
        self.problem = problem
        self.position = position
    }

    /// "line 3, column 14: …"
    public var description: String { "line \(position.line), column \(position.column): \(problem)" }
}

public struct JSONPosition: Equatable, Sendable, Comparable, CustomStringConvertible {
    /// Bytes from the start of the text.
    public var offset: Int
    /// From 1.
    public var line: Int
    /// From 1, in characters (Unicode scalars).
    public var column: Int

    public init(offset: Int, line: Int, column: Int) {
        self.offset = offset
        self.line = line
        self.column = column
    }

    public static func < (a: JSONPosition, b: JSONPosition) -> Bool { a.offset < b.offset }
    public var description: String { "\(line):\(column)" }
}

public enum JSONProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// Nothing but white space.
    case empty
    case tooLarge(bytes: Int, limit: Int)
    case tooDeep(limit: Int)
    case notUTF8
    case byteOrderMark
    /// The text ends inside a value; `inside` says in what.
    case truncated(inside: String)
    case unexpected(found: String, expected: String)
    case controlCharacter(UInt8)
    case badEscape(String)
    /// Half of a UTF-16 pair: no text can hold it.
    case loneSurrogate(String)
    case badNumber(String)
    case duplicateName(String, firstLine: Int)
    case textAfterEnd(found: String)

    public var description: String {
        switch self {
        case .empty: "it is empty"
        case .tooLarge(let bytes, let limit): "it is too large: \(bytes) bytes, and at most \(limit) are read"
        case .tooDeep(let limit): "it is nested deeper than \(limit) levels"
        case .notUTF8: "this byte is not UTF-8: save the file as UTF-8"
        case .byteOrderMark: "it starts with a byte order mark: save the file as UTF-8 without one"
        case .truncated(let inside): "it ends inside \(inside)"
        case .unexpected(let found, let expected): "\(found) where \(expected) should be"
        case .controlCharacter(let byte): "a control character (\(hex(byte))) inside a text: write it as an escape, such as \\n or \\t"
        case .badEscape(let text): "\"\(text)\" is no escape JSON knows: a backslash itself is written \\\\"
        case .loneSurrogate(let text): "\(text) is half of a character: both halves or the character itself are needed"
        case .badNumber(let why): why
        case .duplicateName(let name, let line): "the name \"\(name)\" stands here a second time: the first is on line \(line)"
        case .textAfterEnd(let found): "\(found) after the end of the value"
        }
    }

    private func hex(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16)
        return "0x" + (digits.count < 2 ? "0" : "") + digits
    }
}
