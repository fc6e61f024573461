import Foundation
import Glibc

/// Reads a host's log, oldest line first, across the files it is kept in.
public struct LogReader {
    public struct Filter: Sendable {
        /// From and before these times; nil: no bound.
        public var from: Int64?
        public var before: Int64?
        public var level = LogFile.Level.trace
        public var source: String?
        public var last = 100
        public init() {}

        func takes(_ line: LogEntry) -> Bool {
            (from.map { line.time >= $0 } ?? true) && (before.map { line.time < $0 } ?? true) && line.level >= level && (source == nil || source == line.source)
        }
    }

    public let path: String
    private var offset: Int64 = 0
    private var inode: ino_t = 0
    private var rest: [UInt8] = []

    public init(path: String) { self.path = path }

    /// The last lines that pass, oldest first.
    public func last(_ filter: Filter) -> [LogEntry] {
        var found: [LogEntry] = []
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
            var newest: [LogEntry] = []
            for bytes in data.split(separator: UInt8(ascii: "\n")).reversed() where found.count + newest.count < filter.last {
                if let line = LogReader.line(bytes), filter.takes(line) { newest.append(line) }
            }
            found = newest.reversed() + found
            number += 1
        }
        return found
    }

    /// What was written since the last call; the first call gives nothing but remembers the end. For following.
    public mutating func new(_ filter: Filter) -> [LogEntry] {
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

    /// A line of `LogFile`, or "2026-08-01T12:00:00.000Z level source: text". Nil: neither (half written, or damaged).
    static func line(_ bytes: some Collection<UInt8>) -> LogEntry? {
        if bytes.first == UInt8(ascii: "{") {
            guard let shape = try? JSONDecoder().decode(Shape.self, from: Data(bytes)), let level = LogFile.Level(word: shape.level) else { return nil }
            return LogEntry(time: shape.ns, level: level, source: shape.source, text: shape.text)
        }
        let parts = String(decoding: bytes, as: UTF8.self).split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, let time = TimeText.nanoseconds(String(parts[0])), let level = LogFile.Level(word: String(parts[1])) else { return nil }
        guard let colon = parts[2].range(of: ": ") else { return nil }
        return LogEntry(time: time, level: level, source: String(parts[2][..<colon.lowerBound]), text: String(parts[2][colon.upperBound...]))
    }
}

private struct Shape: Decodable {
    var ns: Int64
    var level: String
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
