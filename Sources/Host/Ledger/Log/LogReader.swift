import Foundation
import Glibc

/// Reads a host's log, oldest line first, across the files it is kept in.
public struct LogReader {
    public struct Filter: Sendable {
        public var run: UInt32?
        public var level = HostLog.Level.trace
        public var source: String?
        public var last = 100
        public init() {}

        func takes(_ line: LogLine) -> Bool {
            (run == nil || run == line.run) && line.level >= level && (source == nil || source == line.source)
        }
    }

    public let path: String
    private var offset: Int64 = 0
    private var inode: ino_t = 0
    private var rest: [UInt8] = []

    public init(path: String) { self.path = path }

    /// The last lines that pass, oldest first.
    public func last(_ filter: Filter) -> [LogLine] {
        var found: [LogLine] = []
        var number = 0
        // From the newest file back, only as far as needed.
        while found.count < filter.last {
            let name = number == 0 ? path : "\(path).\(number)"
            guard let data = FileManager.default.contents(atPath: name) else {
                if number == 0 {
                    // Between two files of a rotation the newest may be missing for an instant.
                    number += 1
                    continue
                }
                break
            }
            var newest: [LogLine] = []
            for bytes in data.split(separator: UInt8(ascii: "\n")).reversed() where found.count + newest.count < filter.last {
                if let line = LogReader.line(bytes), filter.takes(line) { newest.append(line) }
            }
            found = newest.reversed() + found
            number += 1
        }
        return found
    }

    /// What was written since the last call; the first call gives nothing but remembers the end. For following.
    public mutating func new(_ filter: Filter) -> [LogLine] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var facts = stat()
        guard fstat(descriptor, &facts) == 0 else { return [] }
        if inode == 0 {
            inode = facts.st_ino
            offset = Int64(facts.st_size)
            return []
        }
        var bytes: [UInt8] = []
        if facts.st_ino != inode {
            // The file was replaced: its end is in the one before.
            if let old = FileManager.default.contents(atPath: path + ".1"), old.count > offset { bytes += old.dropFirst(Int(offset)) }
            inode = facts.st_ino
            offset = 0
        }
        let size = Int64(facts.st_size)
        if size > offset {
            var chunk = [UInt8](repeating: 0, count: Int(size - offset))
            let count = chunk.withUnsafeMutableBytes { readAll(descriptor, $0, at: offset) }
            if count > 0 {
                bytes += chunk[..<count]
                offset += Int64(count)
            }
        }
        bytes = rest + bytes
        // A line still being written waits for its end.
        let end = bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        rest = Array(bytes[end...])
        return bytes[..<end].split(separator: UInt8(ascii: "\n")).compactMap { LogReader.line($0) }.filter(filter.takes)
    }

    /// Nil: not a line of ours (half written, or damaged).
    static func line(_ bytes: some Sequence<UInt8>) -> LogLine? {
        guard let shape = try? JSONDecoder().decode(Shape.self, from: Data(bytes)), let level = HostLog.Level(word: shape.level) else { return nil }
        return LogLine(time: shape.ns, level: level, run: shape.run, source: shape.source, text: shape.text)
    }
}

private struct Shape: Decodable {
    var ns: Int64
    var level: String
    var run: UInt32
    var source: String
    var text: String
}

/// Text from outside on its way to a terminal: no control characters, so that nothing can move the cursor or colour a lie.
public enum PlainText {
    public static func of(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var out = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { out.append(isControl(scalar) ? (scalar == "\n" || scalar == "\t" ? " " : "\u{FFFD}") : scalar) }
        return String(out)
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0: true
        // Marks that turn the direction of text around, and line separators.
        case 0x202A...0x202E, 0x2066...0x2069, 0x2028, 0x2029: true
        default: false
        }
    }
}
