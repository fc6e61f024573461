/// Times as people read them: UTC, ISO 8601, exact to the nanosecond, without a formatter or a locale.
public enum TimeText {
    /// "2026-08-01T12:34:56.789Z": as many decimals as the time has, in threes.
    public static func utc(_ nanoseconds: Int64) -> String {
        let (days, inDay) = floorDivide(nanoseconds, 86_400_000_000_000)
        let (year, month, day) = civil(days)
        let seconds = inDay / 1_000_000_000
        var part = inDay % 1_000_000_000
        var text = "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))T\(pad(seconds / 3600, 2)):\(pad(seconds / 60 % 60, 2)):\(pad(seconds % 60, 2))"
        if part != 0 {
            var digits = 9
            while part % 1000 == 0 {
                part /= 1000
                digits -= 3
            }
            text += "." + pad(part, digits)
        }
        return text + "Z"
    }

    /// The reverse: UTC with a "Z", to the nanosecond; nil for anything else, and for dates that don't exist or don't fit.
    public static func nanoseconds(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes.count <= 30, bytes.last == UInt8(ascii: "Z") else { return nil }
        func number(_ range: Range<Int>) -> Int64? {
            var value: Int64 = 0
            for byte in bytes[range] {
                guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
                value = value * 10 + Int64(byte - UInt8(ascii: "0"))
            }
            return value
        }
        for (place, mark) in [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")] where bytes[place] != mark.utf8.first { return nil }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10), let hour = number(11..<13), let minute = number(14..<16),
            let second = number(17..<19), hour < 24, minute < 60, second < 60
        else { return nil }
        var part: Int64 = 0
        if bytes.count > 20 {
            guard bytes[19] == UInt8(ascii: "."), bytes.count > 21, let digits = number(20..<(bytes.count - 1)) else { return nil }
            part = digits
            for _ in (bytes.count - 21)..<9 { part *= 10 }
        }
        let shifted = month > 2 ? month - 3 : month + 9
        let (era, yearOfEra) = floorDivide(month > 2 ? year : year - 1, 400)
        let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + (153 * shifted + 2) / 5 + day - 1 - 719_468
        guard month >= 1, month <= 12, day >= 1, civil(days) == (year, month, day) else { return nil }
        let (seconds, overflow) = (days * 86_400 + hour * 3_600 + minute * 60 + second).multipliedReportingOverflow(by: 1_000_000_000)
        let (whole, overflow2) = seconds.addingReportingOverflow(part)
        return overflow || overflow2 ? nil : whole
    }

    /// A length of time with the unit that suits it: "850 ns", "12.4 us", "3.2 ms", "8.0 s", "2 min 5 s".
    public static func span(_ nanoseconds: Int64) -> String {
        let size = nanoseconds.magnitude
        let sign = nanoseconds < 0 ? "-" : ""
        func tenths(_ unit: UInt64, _ name: String) -> String {
            // Rounded down, so that 999.99 us never reads 1000.0 us.
            let scaled = size / (unit / 10)
            return "\(sign)\(scaled / 10).\(scaled % 10) \(name)"
        }
        switch size {
        case ..<1_000: return "\(sign)\(size) ns"
        case ..<1_000_000: return tenths(1_000, "us")
        case ..<1_000_000_000: return tenths(1_000_000, "ms")
        case ..<60_000_000_000: return tenths(1_000_000_000, "s")
        case ..<3_600_000_000_000: return "\(sign)\(size / 60_000_000_000) min \(size / 1_000_000_000 % 60) s"
        default: return "\(sign)\(size / 3_600_000_000_000) h \(size / 60_000_000_000 % 60) min"
        }
    }

    /// Days since 1970 to a date in the proleptic Gregorian calendar, by whole 400-year eras.
    private static func civil(_ days: Int64) -> (Int64, Int64, Int64) {
        let (era, dayOfEra) = floorDivide(days + 719_468, 146_097)  // era 0 starts on 0000-03-01
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153  // months from March
        let day = dayOfYear - (153 * shifted + 2) / 5 + 1
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func floorDivide(_ value: Int64, _ by: Int64) -> (Int64, Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: by)
        return remainder < 0 ? (quotient - 1, remainder + by) : (quotient, remainder)
    }

    private static func pad(_ value: Int64, _ width: Int) -> String {
        let text = String(value.magnitude)
        return (value < 0 ? "-" : "") + String(repeating: "0", count: max(0, width - text.count)) + text
    }
}
