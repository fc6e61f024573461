/// Nanoseconds since 1970 as text and back, without a time zone database: tapes are UTC.
public enum UTCTime {
    /// Days since 1970-01-01 of a date of the proleptic Gregorian calendar.
    public static func days(year: Int, month: Int, day: Int) -> Int {
        let y = month <= 2 ? year - 1 : year
        let era = (y >= 0 ? y : y - 399) / 400
        let yearOfEra = y - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    public static func date(days: Int) -> (year: Int, month: Int, day: Int) {
        let z = days + 719_468
        let era = (z >= 0 ? z : z - 146_096) / 146_097
        let dayOfEra = z - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthIndex + 2) / 5 + 1)
    }

    public static func monthLength(year: Int, month: Int) -> Int {
        switch month {
        case 2: (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// `2026-11-20T13:00:00Z`, with as many decimals of the second as are needed, in groups of three.
    public static func text(_ nanoseconds: Int64) -> String {
        let (second, fraction) = split(nanoseconds)
        let (dayNumber, secondOfDay) = floorDivide(second, 86_400)
        let (year, month, day) = date(days: dayNumber)
        var text = "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))T\(pad(secondOfDay / 3600, 2)):\(pad(secondOfDay / 60 % 60, 2)):\(pad(secondOfDay % 60, 2))"
        if fraction != 0 {
            if fraction % 1_000_000 == 0 {
                text += "." + pad(fraction / 1_000_000, 3)
            } else if fraction % 1000 == 0 {
                text += "." + pad(fraction / 1000, 6)
            } else {
                text += "." + pad(fraction, 9)
            }
        }
        return text + "Z"
    }

    /// `2026-11-20`, `2026-11-20 13:00[:05[.123]]`, with a T or a space and `Z`, `+09:00` or nothing (UTC) behind; or a whole
    /// number of seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by size. nil: none of these.
    public static func parse(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        return bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return nil }
            if let value = ClockText.wholeNumber(base, buffer.count) {
                guard let unit = TimeUnit.guess(value) else { return nil }
                return unit.nanoseconds(value)
            }
            return ClockText.parse(base, buffer.count, offset: 0)
        }
    }

    static func split(_ nanoseconds: Int64) -> (second: Int, fraction: Int) { floorDivide(Int(nanoseconds), 1_000_000_000) }

    static func floorDivide(_ value: Int, _ by: Int) -> (Int, Int) {
        let (q, r) = value.quotientAndRemainder(dividingBy: by)
        return r < 0 ? (q - 1, r + by) : (q, r)
    }

    private static func pad(_ value: Int, _ width: Int) -> String {
        let digits = String(value)
        return digits.count >= width ? digits : String(repeating: "0", count: width - digits.count) + digits
    }
}

/// What a whole-number timestamp counts.
public enum TimeUnit: String, Sendable, CaseIterable {
    case seconds = "s"
    case milliseconds = "ms"
    case microseconds = "us"
    case nanoseconds = "ns"

    public var length: Int64 {
        switch self {
        case .seconds: 1_000_000_000
        case .milliseconds: 1_000_000
        case .microseconds: 1000
        case .nanoseconds: 1
        }
    }

    public func nanoseconds(_ value: Int64) -> Int64? {
        let (result, overflow) = value.multipliedReportingOverflow(by: length)
        return overflow ? nil : result
    }

    /// By size: a number is taken for the unit that puts it between 1990 and 2200. The ranges don't overlap; nil: in none of them.
    public static func guess(_ value: Int64) -> TimeUnit? {
        let early: Int64 = 631_152_000  // 1990-01-01
        let late: Int64 = 7_258_118_400  // 2200-01-01
        for unit in allCases {
            let perSecond = 1_000_000_000 / unit.length
            if value >= early * perSecond, value < late * perSecond { return unit }
        }
        return nil
    }
}

/// Calendar text, on the bytes of a file.
enum ClockText {
    @inline(__always)
    static func digit(_ byte: UInt8) -> Int? {
        let value = byte &- 48
        return value < 10 ? Int(value) : nil
    }

    static func wholeNumber(_ base: UnsafePointer<UInt8>, _ count: Int) -> Int64? {
        if count == 0 || count > 19 { return nil }
        var value: Int64 = 0
        var at = 0
        let negative = base[0] == 45
        if negative { at = 1 }
        if at == count { return nil }
        while at < count {
            guard let d = digit(base[at]) else { return nil }
            let (shifted, over) = value.multipliedReportingOverflow(by: 10)
            let (next, over2) = shifted.addingReportingOverflow(Int64(d))
            if over || over2 { return nil }
            value = next
            at &+= 1
        }
        return negative ? -value : value
    }

    /// `1704067200.25` in seconds or any other unit as nanoseconds; nil: not that, or finer than a nanosecond.
    static func decimal(_ base: UnsafePointer<UInt8>, _ count: Int, _ unit: TimeUnit) -> Int64? {
        var at = 0
        while at < count, base[at] != 46 { at += 1 }
        guard at < count, let whole = wholeNumber(base, at), whole >= 0, let start = unit.nanoseconds(whole) else { return nil }
        var fraction: Int64 = 0
        var scale = unit.length
        var index = at + 1
        if index == count { return nil }
        while index < count {
            guard let d = digit(base[index]) else { return nil }
            if scale % 10 != 0 {
                if d != 0 { return nil }
            } else {
                scale /= 10
                fraction += Int64(d) * scale
            }
            index += 1
        }
        return start.addingReportingOverflow(fraction).overflow ? nil : start + fraction
    }

    /// `offset`: nanoseconds east of UTC of a text that names no zone.
    static func parse(_ base: UnsafePointer<UInt8>, _ count: Int, offset: Int64) -> Int64? {
        var at = 0
        func number(_ width: Int) -> Int? {
            guard at + width <= count else { return nil }
            var value = 0
            for i in 0..<width {
                guard let d = digit(base[at + i]) else { return nil }
                value = value * 10 + d
            }
            at += width
            return value
        }
        func take(_ byte: UInt8) -> Bool {
            guard at < count, base[at] == byte else { return false }
            at += 1
            return true
        }
        guard let year = number(4) else { return nil }
        let separator: UInt8? = at < count && (base[at] == 45 || base[at] == 47 || base[at] == 46) ? base[at] : nil
        if separator != nil { at += 1 }
        guard let month = number(2) else { return nil }
        if let separator, !take(separator) { return nil }
        guard let day = number(2) else { return nil }
        guard year >= 1678, year <= 2261, month >= 1, month <= 12, day >= 1, day <= UTCTime.monthLength(year: year, month: month) else { return nil }
        var second = 0
        var fraction = 0
        if at < count, base[at] == 84 || base[at] == 32 || base[at] == 116 {
            at += 1
            guard let hour = number(2), take(58), let minute = number(2), hour < 24, minute < 60 else { return nil }
            second = hour * 3600 + minute * 60
            if take(58) {
                guard let s = number(2), s < 60 else { return nil }
                second += s
                if at < count, base[at] == 46 || base[at] == 44 {
                    at += 1
                    var digits = 0
                    while at < count, let d = digit(base[at]) {
                        if digits < 9 { fraction = fraction * 10 + d } else if d != 0 { return nil }
                        digits += 1
                        at += 1
                    }
                    if digits == 0 { return nil }
                    while digits < 9 {
                        fraction *= 10
                        digits += 1
                    }
                }
            }
        }
        var zone = Int(offset)
        if at < count, base[at] == 32 { at += 1 }
        if at < count {
            if take(90) || take(122) {
                zone = 0
            } else if at + 3 == count, base[at] == 85, base[at + 1] == 84, base[at + 2] == 67 {
                at = count
                zone = 0
            } else if base[at] == 43 || base[at] == 45 {
                let sign = base[at] == 43 ? 1 : -1
                at += 1
                guard let hours = number(2), hours < 15 else { return nil }
                var minutes = 0
                if at < count {
                    _ = take(58)
                    guard let m = number(2), m < 60 else { return nil }
                    minutes = m
                }
                zone = sign * (hours * 3600 + minutes * 60) * 1_000_000_000
            }
        }
        guard at == count else { return nil }
        let whole = UTCTime.days(year: year, month: month, day: day) * 86_400 + second
        return Int64(whole * 1_000_000_000 + fraction - zone)
    }
}
