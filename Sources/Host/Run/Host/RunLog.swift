import Foundation
import Glibc
import HostLedger
import HostPlugins

/// What the host and its plugins say: into the log file of the state folder and, unless the run is quiet, to standard error.
public final class RunLog: Sendable {
    private let file: LogFile
    private let least: LogFile.Level
    private let echoes: Bool

    public init(path: String, least: LogFile.Level = .info, echoes: Bool) {
        file = LogFile(path: path)
        self.least = least
        self.echoes = echoes
    }

    public func write(_ level: LogFile.Level, _ source: String, _ text: String, at time: Int64 = HostClock.wall()) {
        guard level >= least else { return }
        file.write(level, from: source, at: time, text)
        guard echoes else { return }
        let bytes = Array("\(RunLog.stamp(time)) \(level.word) \(source): \(text)\n".utf8)
        _ = bytes.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
    }

    public func write(_ line: LogLine) { write(LogFile.Level(line.level.rawValue), line.instance, line.text, at: line.at) }

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
