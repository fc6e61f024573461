/// A candle length the venue has and Keel's bars can have. Weeks and months don't lie on whole multiples since 1970.
public enum Interval: UInt8, CaseIterable, Sendable, Comparable {
    case second1, minute1, minute3, minute5, minute15, minute30, hour1, hour2, hour4, hour6, hour8, hour12, day1

    public static func < (a: Interval, b: Interval) -> Bool { a.rawValue < b.rawValue }

    /// As it stands in stream names and requests.
    public var name: String {
        switch self {
        case .second1: "1s"
        case .minute1: "1m"
        case .minute3: "3m"
        case .minute5: "5m"
        case .minute15: "15m"
        case .minute30: "30m"
        case .hour1: "1h"
        case .hour2: "2h"
        case .hour4: "4h"
        case .hour6: "6h"
        case .hour8: "8h"
        case .hour12: "12h"
        case .day1: "1d"
        }
    }

    public init?(_ name: some StringProtocol) {
        guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }

    init?(_ token: Token, _ bytes: borrowing Span<UInt8>) {
        guard token.kind == .string, token.count == 2 || token.count == 3 else { return nil }
        var number = Int64(0)
        for at in token.start..<(token.end - 1) {
            let digit = bytes[at] &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            number = number * 10 + Int64(digit)
        }
        let unit: Int64
        switch bytes[token.end - 1] {
        case UInt8(ascii: "s"): unit = 1
        case UInt8(ascii: "m"): unit = 60
        case UInt8(ascii: "h"): unit = 3_600
        case UInt8(ascii: "d"): unit = 86_400
        default: return nil
        }
        // One spelling each: "60m" is nothing the venue says.
        guard let found = Self(seconds: number * unit), found.name.utf8.count == token.count else { return nil }
        self = found
    }

    private init?(seconds: Int64) {
        switch seconds {
        case 1: self = .second1
        case 60: self = .minute1
        case 180: self = .minute3
        case 300: self = .minute5
        case 900: self = .minute15
        case 1_800: self = .minute30
        case 3_600: self = .hour1
        case 7_200: self = .hour2
        case 14_400: self = .hour4
        case 21_600: self = .hour6
        case 28_800: self = .hour8
        case 43_200: self = .hour12
        case 86_400: self = .day1
        default: return nil
        }
    }

    public var seconds: Int64 {
        switch self {
        case .second1: 1
        case .minute1: 60
        case .minute3: 180
        case .minute5: 300
        case .minute15: 900
        case .minute30: 1_800
        case .hour1: 3_600
        case .hour2: 7_200
        case .hour4: 14_400
        case .hour6: 21_600
        case .hour8: 28_800
        case .hour12: 43_200
        case .day1: 86_400
        }
    }

    public var milliseconds: Int64 { seconds * 1_000 }
    public var nanoseconds: Int64 { seconds * 1_000_000_000 }
}
