import Foundation

/// The time zone of a file's clock texts.
public struct ZoneOffset: Sendable, Equatable {
    public let name: String
    private let zone: TimeZone
    private var hour: Int64 = .min
    private var offset: Int64 = 0
    private let fixed: Bool

    public static let utc = ZoneOffset(name: "UTC", zone: TimeZone(secondsFromGMT: 0) ?? .current, fixed: true)

    private init(name: String, zone: TimeZone, fixed: Bool) {
        self.name = name
        self.zone = zone
        self.fixed = fixed
        offset = fixed ? Int64(zone.secondsFromGMT()) * 1_000_000_000 : 0
    }

    /// `UTC`, `+09:00`, `-0530` or a name of the system's time zone database.
    public init?(_ text: String) {
        let trimmed = text.trimmingCharacters(in: .whitespaces)
        if trimmed.uppercased() == "UTC" || trimmed.uppercased() == "Z" || trimmed.uppercased() == "GMT" {
            self = .utc
            return
        }
        if let first = trimmed.first, first == "+" || first == "-" {
            let digits = trimmed.dropFirst().filter { $0 != ":" }
            guard digits.count == 2 || digits.count == 4, let number = Int(digits) else { return nil }
            let hours = digits.count == 2 ? number : number / 100
            let minutes = digits.count == 2 ? 0 : number % 100
            guard hours < 15, minutes < 60, let zone = TimeZone(secondsFromGMT: (first == "-" ? -1 : 1) * (hours * 3600 + minutes * 60)) else { return nil }
            self.init(name: trimmed, zone: zone, fixed: true)
            return
        }
        guard let zone = TimeZone(identifier: trimmed), trimmed.contains("/") || trimmed.uppercased() == trimmed else { return nil }
        self.init(name: trimmed, zone: zone, fixed: false)
    }

    /// A clock's reading (as if it were UTC) as UTC; nil: the clock never showed that time, it was put forward over it.
    /// A time shown twice when clocks go back is taken as its first occurrence.
    public mutating func utc(_ local: Int64) -> Int64? {
        if fixed { return local.subtractingReportingOverflow(offset).partialValue }
        let hourLength: Int64 = 900_000_000_000  // offsets change on quarter hours
        let index = local / hourLength
        if index != hour {
            let second = Double(local / 1_000_000_000)
            func at(_ s: Double) -> Int64 { Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: s))) }
            let candidates = [at(second - 86_400), at(second + 86_400)]
            // The earlier instant belongs to the larger offset.
            var found: Int64?
            for candidate in candidates.sorted(by: >) where found == nil && at(second - Double(candidate)) == candidate { found = candidate }
            guard let found else { return nil }
            offset = found * 1_000_000_000
            hour = index
        }
        return local - offset
    }

    public static func == (a: ZoneOffset, b: ZoneOffset) -> Bool { a.name == b.name }
}
