import Foundation
import PluginKit
import Tape

/// Numbers as reports show them.
enum ReportNumbers {
    static let none = "–"

    /// With thousands separated by thin spaces a table stays aligned; `decimals` is chosen by size if nil.
    static func money(_ value: Double?, decimals: Int? = nil, sign: Bool = false) -> String {
        guard let value, value.isFinite else { return none }
        let places = decimals ?? (abs(value) >= 100_000 ? 0 : abs(value) >= 1 || value == 0 ? 2 : 6)
        return grouped(value, places, sign)
    }

    static func percent(_ value: Double?, decimals: Int = 2, sign: Bool = false) -> String {
        guard let value, value.isFinite else { return none }
        return grouped(value * 100, abs(value) >= 100 ? 0 : decimals, sign) + " %"
    }

    static func ratio(_ value: Double?, decimals: Int = 2) -> String {
        guard let value, value.isFinite else { return none }
        return grouped(value, decimals, false)
    }

    static func count(_ value: some BinaryInteger) -> String { grouped(Double(value), 0, false) }

    static func grouped(_ value: Double, _ places: Int, _ sign: Bool) -> String {
        if abs(value) >= 1e15 { return String(format: "%.3e", value) }
        let text = String(format: "%.\(places)f", abs(value))
        let parts = text.split(separator: ".", maxSplits: 1)
        var whole = String(parts.first ?? "0")
        var at = whole.count - 3
        while at > 0 {
            whole.insert(",", at: whole.index(whole.startIndex, offsetBy: at))
            at -= 3
        }
        let isZero = text.allSatisfy { $0 == "0" || $0 == "." }
        let prefix = isZero ? "" : value < 0 ? "−" : sign ? "+" : ""
        return prefix + whole + (parts.count == 2 ? "." + parts[1] : "")
    }

    static func span(_ nanoseconds: Double?) -> String {
        guard let nanoseconds, nanoseconds.isFinite else { return none }
        let seconds = nanoseconds / 1e9
        for (length, unit) in [(86_400.0, "d"), (3600, "h"), (60, "min"), (1, "s")] where seconds >= length * 1.5 {
            return String(format: "%.1f %@", seconds / length, unit)
        }
        return seconds >= 1 ? String(format: "%.1f s", seconds) : String(format: "%.0f ms", seconds * 1000)
    }

    static func day(_ time: Int64) -> String { String(UTCTime.text(time).prefix(10)) }
    static func minute(_ time: Int64) -> String { String(UTCTime.text(time).prefix(16)).replacingOccurrences(of: "T", with: " ") }
}
