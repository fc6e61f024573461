/// How strictly and how far a text is read.
public struct JSONOptions: Sendable {
    /// Objects and lists inside each other. Held between 1 and 512, so that no text can use up a thread's stack.
    public var depth = 64
    /// Texts longer than this are refused before a byte is looked at.
    public var maximumBytes = 64 << 20
    /// A UTF-8 byte order mark at the start is skipped; otherwise it is an error (RFC 8259 §8.1 allows both).
    public var toleratesByteOrderMark = false
    /// A name that stands twice is an error at once; otherwise it is noted in `JSONDocument.duplicates` and the first value kept.
    public var refusesDuplicates = true

    public init() {}

    public init(depth: Int = 64, maximumBytes: Int = 64 << 20, toleratesByteOrderMark: Bool = false, refusesDuplicates: Bool = true) {
        self.depth = depth
        self.maximumBytes = maximumBytes
        self.toleratesByteOrderMark = toleratesByteOrderMark
        self.refusesDuplicates = refusesDuplicates
    }
}

/// A text that was read whole: its value, and the means to say where something stands in it.
public struct JSONDocument: Sendable {
    public let root: JSONValue
    public let bytes: [UInt8]
    /// Names that stand twice, if the options asked for them instead of an error.
    public let duplicates: [JSONError]
    public let lines: JSONLines

    public init(parsing bytes: [UInt8], options: JSONOptions = JSONOptions()) throws(JSONError) {
        var parser = JSONParser(options: options)
        do {
            root = try parser.document(bytes.span)
        } catch {
            throw JSONDocument.placed(error, bytes)
        }
        self.bytes = bytes
        lines = JSONLines(bytes)
        var duplicates: [JSONError] = []
        for fault in parser.duplicates { duplicates.append(JSONDocument.placed(fault, lines, bytes)) }
        self.duplicates = duplicates
    }

    public func position(of offset: UInt32) -> JSONPosition { lines.position(of: Int(offset), in: bytes) }
    public func position(of value: JSONValue) -> JSONPosition { position(of: value.start) }

    static func placed(_ fault: JSONFault, _ bytes: [UInt8]) -> JSONError {
        // A text refused for its size is not scanned for lines either.
        if case .tooLarge = fault.problem { return JSONError(fault.problem, JSONPosition(offset: 0, line: 1, column: 1)) }
        return placed(fault, JSONLines(bytes), bytes)
    }

    static func placed(_ fault: JSONFault, _ lines: JSONLines, _ bytes: [UInt8]) -> JSONError {
        var problem = fault.problem
        if case .duplicateName(let name, _) = problem, let first = fault.first {
            problem = .duplicateName(name, firstLine: lines.position(of: first, in: bytes).line)
        }
        return JSONError(problem, lines.position(of: fault.offset, in: bytes))
    }
}

extension JSONValue {
    /// Reads one value; the short way where positions aren't needed afterwards.
    public init(parsing bytes: [UInt8], options: JSONOptions = JSONOptions()) throws(JSONError) {
        var parser = JSONParser(options: options)
        do {
            self = try parser.document(bytes.span)
        } catch {
            throw JSONDocument.placed(error, bytes)
        }
    }

    public init(parsing text: String, options: JSONOptions = JSONOptions()) throws(JSONError) {
        try self.init(parsing: Array(text.utf8), options: options)
    }
}

/// Where the lines of a text start.
public struct JSONLines: Sendable {
    private let starts: [Int]

    public init(_ bytes: [UInt8]) {
        var starts = [0]
        for (offset, byte) in bytes.enumerated() where byte == UInt8(ascii: "\n") { starts.append(offset + 1) }
        self.starts = starts
    }

    public func position(of offset: Int, in bytes: [UInt8]) -> JSONPosition {
        let offset = min(max(offset, 0), bytes.count)
        var low = 0
        var high = starts.count - 1
        while low < high {
            let middle = (low + high + 1) / 2
            if starts[middle] <= offset { low = middle } else { high = middle - 1 }
        }
        // Continuation bytes belong to the character before them.
        let column = bytes[starts[low]..<offset].reduce(1) { $1 & 0xC0 == 0x80 ? $0 : $0 + 1 }
        return JSONPosition(offset: offset, line: low + 1, column: column)
    }
}
