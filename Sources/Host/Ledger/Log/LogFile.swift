import Glibc
import PluginAPI
import Synchronization

/// A log of what plugins and the host say, one JSON object a line, in a few files that replace each other.
/// Any thread may write. Writing never blocks on a full disk and never fails the caller: a log isn't the ledger.
public final class LogFile: Sendable {
    public enum Level: UInt32, Sendable, CaseIterable, Comparable {
        case trace = 0, debug, info, warning, error, fatal, hostMisbehaving, pluginMisbehaving

        public var word: String {
            switch self {
            case .trace: "trace"
            case .debug: "debug"
            case .info: "info"
            case .warning: "warning"
            case .error: "error"
            case .fatal: "fatal"
            case .hostMisbehaving: "host-misbehaving"
            case .pluginMisbehaving: "plugin-misbehaving"
            }
        }

        public init?(word: String) {
            guard let found = Level.allCases.first(where: { $0.word == word }) else { return nil }
            self = found
        }

        /// KEEL_LOG_*; a level this host doesn't know counts as an error.
        public init(_ level: UInt32) { self = Level(rawValue: level) ?? .error }

        public static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
    }

    /// In a host's state folder.
    public static let name = "keel.log"
    /// Lines of one source in one second beyond which the rest are only counted.
    public static let mostPerSecond = 500
    /// Longer texts are cut.
    public static let longestText = 8_192

    public let path: String
    private let limit: Int
    private let kept: Int
    private let state: Mutex<State>

    private struct State {
        var descriptor: Int32 = -1
        var size = 0
        /// By source: the second, the lines in it, and how many were left out.
        var rates: [String: (second: Int64, lines: Int, dropped: Int)] = [:]
    }

    /// `limit`: bytes after which a new file is begun; `kept`: how many old ones stay ("path.1" is the newest).
    public init(path: String, limit: Int = 16 * 1024 * 1024, kept: Int = 4) {
        self.path = path
        self.limit = limit
        self.kept = kept
        state = Mutex(State())
    }

    deinit { state.withLock { if $0.descriptor >= 0 { close($0.descriptor) } } }

    /// `time`: nanoseconds since 1970.
    public func write(_ level: Level, from source: String, at time: Int64, _ text: String) {
        state.withLock { state in
            let second = time / 1_000_000_000
            var rate = state.rates[source] ?? (second, 0, 0)
            if rate.second != second {
                if rate.dropped > 0 {
                    put(LogEntry(time: time, level: .warning, source: source, text: "\(rate.dropped) more lines in one second were left out"), &state)
                }
                rate = (second, 0, 0)
            }
            rate.lines += 1
            if rate.lines > LogFile.mostPerSecond && level < .error { rate.dropped += 1 }
            state.rates[source] = rate
            if rate.lines > LogFile.mostPerSecond && level < .error { return }
            let cut = text.utf8.count > LogFile.longestText ? String(decoding: text.utf8.prefix(LogFile.longestText), as: UTF8.self) + " ..." : text
            put(LogEntry(time: time, level: level, source: source, text: cut), &state)
        }
    }

    private func put(_ line: LogEntry, _ state: inout State) {
        if state.descriptor < 0 { begin(&state) }
        let bytes = Array((line.json + "\n").utf8)
        if state.size > 0, state.size + bytes.count > limit {
            rotate(&state)
            begin(&state)
        }
        guard state.descriptor >= 0 else { return }
        let count = bytes.withUnsafeBytes { Glibc.write(state.descriptor, $0.baseAddress, $0.count) }
        if count > 0 { state.size += count }
        if count != bytes.count, count > 0 {
            // Half a line on a full disk: the next one starts on a line of its own.
            var newline = UInt8(ascii: "\n")
            _ = Glibc.write(state.descriptor, &newline, 1)
        }
    }

    private func begin(_ state: inout State) {
        state.descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        var facts = stat()
        state.size = state.descriptor >= 0 && fstat(state.descriptor, &facts) == 0 ? Int(facts.st_size) : 0
    }

    private func rotate(_ state: inout State) {
        close(state.descriptor)
        state.descriptor = -1
        state.size = 0
        for number in stride(from: kept, through: 1, by: -1) {
            let older = "\(path).\(number)"
            if number == kept { unlink(older) }
            _ = rename(number == 1 ? path : "\(path).\(number - 1)", older)
        }
        if kept == 0 { unlink(path) }
    }
}

/// One line of the log.
public struct LogEntry: Sendable, Equatable {
    public var time: Int64
    public var level: LogFile.Level
    public var source: String
    public var text: String

    public init(time: Int64, level: LogFile.Level, source: String, text: String) {
        self.time = time
        self.level = level
        self.source = source
        self.text = text
    }

    /// One line, without its end.
    public var json: String {
        "{\"time\":\"\(TimeText.utc(time))\",\"ns\":\(time),\"level\":\"\(level.word)\",\"source\":\(quoted(source)),\"text\":\(quoted(text))}"
    }

    private func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            default:
                if scalar.value < 0x20 || scalar.value == 0x7F {
                    let hex = String(scalar.value, radix: 16)
                    out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
                } else {
                    out.unicodeScalars.append(scalar)
                }
            }
        }
        return out + "\""
    }
}
