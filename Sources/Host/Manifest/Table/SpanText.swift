import HostCore

/// Lengths of time as people write them: "8s", "15m", "1h30m", "250ms".
public enum SpanText {
    static let units: [(name: String, length: Int64)] = [
        ("d", Span.day), ("h", Span.hour), ("m", Span.minute), ("s", Span.second), ("ms", Span.millisecond), ("us", Span.microsecond),
        ("ns", Span.nanosecond),
    ]

    /// The same as `parse` accepts, for schemas and editors.
    public static let pattern = "^([0-9]{1,18}(d|h|m|s|ms|us|ns))+$"

    /// nil if it isn't one, or is longer than 292 years. Each unit at most once, larger ones first.
    public static func parse(_ text: String) -> Int64? {
        var rest = Array(text.utf8)[...]
        if rest.isEmpty { return nil }
        var total: Int64 = 0
        var lastLength = Int64.max
        while !rest.isEmpty {
            let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            rest = rest.dropFirst(digits.count)
            let letters = rest.prefix { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }
            rest = rest.dropFirst(letters.count)
            guard digits.count <= 18, let count = Int64(String(decoding: digits, as: UTF8.self)),
                let unit = units.first(where: { letters.elementsEqual($0.name.utf8) }), unit.length < lastLength
            else { return nil }
            let (length, over) = count.multipliedReportingOverflow(by: unit.length)
            let (sum, over2) = total.addingReportingOverflow(length)
            if over || over2 { return nil }
            total = sum
            lastLength = unit.length
        }
        return total
    }

    /// The shortest text that gives the same length; "0s" for none.
    public static func format(_ span: Int64) -> String {
        if span <= 0 { return span == 0 ? "0s" : "-" + format(span == .min ? .max : -span) }
        var rest = span
        var text = ""
        for unit in units where rest >= unit.length {
            text += "\(rest / unit.length)\(unit.name)"
            rest %= unit.length
        }
        return text
    }
}
