import PluginKit

/// One figure of a series, with the period it describes and the day it became known.
public struct Observation: Equatable, Sendable {
    public var period: Range<Int64>
    public var released: Int64
    public var value: Double
}

public enum FREDError: Error, Equatable, Sendable, CustomStringConvertible {
    case form(String)
    case refused(status: Int, code: Int, message: String)

    public var description: String {
        switch self {
        case .form(let what): "the answer is not what the API promises: \(what)"
        case .refused(let status, let code, let message): "HTTP \(status), error \(code): \(message)"
        }
    }

    /// Whether asking again later can help.
    var isPassing: Bool {
        if case .refused(let status, _, _) = self { return status == 423 || status == 429 || status >= 500 }
        return true
    }
}

/// How long the periods of a series are: FRED's dates are their first days.
public enum Frequency: String, Sendable, CaseIterable {
    case daily = "D"
    case weekly = "W"
    case biweekly = "BW"
    case monthly = "M"
    case quarterly = "Q"
    case semiannual = "SA"
    case annual = "A"

    func end(of start: Day) -> Day {
        switch self {
        case .daily: start.adding(days: 1)
        case .weekly: start.adding(days: 7)
        case .biweekly: start.adding(days: 14)
        case .monthly: start.adding(months: 1)
        case .quarterly: start.adding(months: 3)
        case .semiannual: start.adding(months: 6)
        case .annual: start.adding(months: 12)
        }
    }
}

/// A day of the calendar, as FRED writes it.
public struct Day: Equatable, Comparable, Sendable, CustomStringConvertible {
    /// Since 1970-01-01.
    public var number: Int64

    public init(number: Int64) { self.number = number }

    /// nil: not YYYY-MM-DD, no such day, or none that a clock of nanoseconds could show.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].count == 4, parts[1].count == 2, parts[2].count == 2, parts.allSatisfy({ $0.allSatisfy(\.isNumber) }),
            let year = Int64(parts[0]), let month = Int64(parts[1]), let day = Int64(parts[2]), (1700...2200).contains(year), (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        number = Self.number(year, month, day)
        if description != text { return nil }
    }

    /// Howard Hinnant's days-from-civil.
    private static func number(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let y = month <= 2 ? year - 1 : year
        let era = (y >= 0 ? y : y - 399) / 400
        let yoe = y - era * 400
        let doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
    }

    private var parts: (year: Int64, month: Int64, day: Int64) {
        let z = number + 719_468
        let era = (z >= 0 ? z : z - 146_096) / 146_097
        let doe = z - era * 146_097
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100)
        let mp = (5 * doy + 2) / 153
        let month = mp < 10 ? mp + 3 : mp - 9
        return (yoe + era * 400 + (month <= 2 ? 1 : 0), month, doy - (153 * mp + 2) / 5 + 1)
    }

    public func adding(days: Int64) -> Day { Day(number: number + days) }

    /// Only for days that every month has.
    public func adding(months: Int64) -> Day {
        let (year, month, day) = parts
        let count = year * 12 + month - 1 + months
        let wrapped = (count % 12 + 12) % 12
        return Day(number: Self.number((count - wrapped) / 12, wrapped + 1, min(day, 28)))
    }

    public static func < (a: Day, b: Day) -> Bool { a.number < b.number }
    public var start: Int64 { number * 86_400_000_000_000 }

    /// When what was released on this day may be used: after every release time of the agencies, in winter as in summer.
    public var known: Int64 { start + 15 * 3_600_000_000_000 }

    public var description: String {
        let (year, month, day) = parts
        func pad(_ value: Int64, _ width: Int) -> String { String(repeating: "0", count: max(0, width - String(value).count)) + String(value) }
        return "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))"
    }
}

/// Reads the answers of the API.
public enum FREDReply {
    static func parse(_ status: Int, _ body: [UInt8]) throws(FREDError) -> JSONValue {
        guard body.count <= 32 << 20, let root = try? JSONValue(parsing: body, options: JSONOptions(depth: 16, maximumBytes: 32 << 20)) else {
            if status != 200 { throw .refused(status: status, code: status, message: "") }
            throw .form("no JSON")
        }
        guard status == 200 else {
            throw .refused(
                status: status, code: Int(clamping: root.find("error_code")?.asNumber?.int64 ?? Int64(status)),
                message: String((root.find("error_message")?.asText ?? "").prefix(200)))
        }
        return root
    }

    /// `seriess`, sic.
    public static func frequency(_ status: Int, _ body: [UInt8]) throws(FREDError) -> Frequency {
        let root = try parse(status, body)
        guard let text = root.find("seriess")?.asList?.first?.find("frequency_short")?.asText else { throw .form("no series") }
        guard let frequency = Frequency(rawValue: text) else { throw .form("the unknown frequency \(text.prefix(8))") }
        return frequency
    }

    /// The figures of one page and how many there are in all. "." is a missing figure: it is left out and shifts nothing.
    public static func observations(_ status: Int, _ body: [UInt8], _ frequency: Frequency) throws(FREDError) -> (figures: [Observation], rows: Int, count: Int) {
        let root = try parse(status, body)
        guard let list = root.find("observations")?.asList, let count = root.find("count")?.asNumber?.int64 else { throw .form("no observations") }
        var figures: [Observation] = []
        for item in list {
            guard let date = item.find("date")?.asText.flatMap({ Day($0) }), let known = item.find("realtime_start")?.asText.flatMap({ Day($0) }),
                let text = item.find("value")?.asText
            else { throw .form("an observation without date, realtime_start or value") }
            if text == "." { continue }
            guard let value = Double(text), value.isFinite else { throw .form("the value \(text.prefix(20))") }
            let end = frequency.end(of: date)
            // A period that isn't over by the day of its release: FRED dates some surveys by their month. Nothing is known before that day.
            figures.append(Observation(period: date.start..<end.start, released: known.known, value: value))
        }
        return (figures, list.count, Int(clamping: count))
    }
}
