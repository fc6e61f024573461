import PluginAPI
import PluginKit

/// How often a worker may die before it is left alone: three times in ten minutes. A value; time is an argument.
public struct CrashBudget: Hashable, Sendable {
    public static let most = 3
    public static let window: keel_span = 600_000_000_000

    /// When it died, oldest first, within the window of the last death.
    public private(set) var deaths: [keel_time] = []
    /// Why it is quarantined; nil: it isn't.
    public private(set) var quarantine: String?

    public init() {}

    public enum Verdict: Hashable, Sendable {
        case restart(after: keel_span)
        case quarantine
    }

    /// The first death is followed at once by a new worker, the second after two seconds, the third by none.
    public mutating func died(at now: keel_time, of cause: String) -> Verdict {
        deaths.removeAll { now.subtractingReportingOverflow($0).partialValue > Self.window }
        deaths.append(now)
        if deaths.count >= Self.most {
            quarantine = "\(deaths.count) deaths in ten minutes, the last: \(cause)"
            return .quarantine
        }
        return .restart(after: deaths.count == 1 ? 0 : 2_000_000_000)
    }

    /// An operator says that it may be tried again.
    public mutating func forgive() {
        deaths = []
        quarantine = nil
    }

    // MARK: kept by the host across restarts

    public var json: JSONValue {
        ["deaths": JSONValue(deaths.map { JSONValue($0) }), "quarantine": quarantine.map { JSONValue($0) } ?? .null]
    }

    public init(_ json: JSONValue) throws(JSONAccessError) {
        for item in try json["deaths"].list { deaths.append(try item.int64) }
        quarantine = try json["quarantine"].ifPresent?.text
    }
}
