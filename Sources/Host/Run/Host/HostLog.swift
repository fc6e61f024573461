import Foundation
import Glibc
import HostPlugins
import Synchronization

/// The host's log: one line an entry, to a file in the state folder and, unless it is quiet, to standard error.
public final class HostLog: Sendable {
    public static let largest = 16 << 20

    private struct State: Sendable {
        var descriptor: Int32 = -1
        var size = 0
    }

    public let path: String
    private let least: LogLine.Level
    private let echoes: Bool
    private let state = Mutex(State())

    public init(path: String, least: LogLine.Level = .info, echoes: Bool) {
        self.path = path
        self.least = least
        self.echoes = echoes
    }

    deinit {
        state.withLock { if $0.descriptor >= 0 { close($0.descriptor) } }
    }

    public func write(_ level: LogLine.Level, _ who: String, _ text: String, at time: Int64 = HostClock.wall()) {
        guard level >= least else { return }
        let line = "\(HostLog.stamp(time)) \(HostLog.word(level)) \(who): \(text)\n"
        let bytes = Array(line.utf8)
        state.withLock { state in
            if state.descriptor < 0 || state.size > HostLog.largest { open(&state) }
            if state.descriptor >= 0 {
                _ = bytes.withUnsafeBytes { Glibc.write(state.descriptor, $0.baseAddress, $0.count) }
                state.size += bytes.count
            }
            if echoes { _ = bytes.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) } }
        }
    }

    public func write(_ line: LogLine) { write(line.level, line.instance, line.text, at: line.at) }

    private func open(_ state: inout State) {
        if state.descriptor >= 0 {
            close(state.descriptor)
            rename(path, path + ".1")
        }
        state.descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        var facts = stat()
        state.size = state.descriptor >= 0 && fstat(state.descriptor, &facts) == 0 ? Int(facts.st_size) : 0
    }

    static func word(_ level: LogLine.Level) -> String {
        switch level {
        case .trace: "trace"
        case .debug: "debug"
        case .info: "info"
        case .warn: "warning"
        case .error: "error"
        case .fatal: "fatal"
        case .hostMisbehaving: "host-misbehaving"
        case .pluginMisbehaving: "plugin-misbehaving"
        }
    }

    /// UTC to the millisecond.
    public static func stamp(_ time: Int64) -> String {
        var seconds = time_t(time / 1_000_000_000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        return String(
            format: "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", Int(parts.tm_year) + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
            parts.tm_sec, Int32(time / 1_000_000 % 1_000))
    }
}
