import Foundation

/// The day that is under way: its last close and the close of the day before. Costs a comparison a bar.
public struct DayClose: Sendable, Equatable, Codable {
    private var day: Int64 = -1
    private var close: Int64 = 0
    private var previousClose: Int64 = 0

    public init() {}

    /// A bar closed at `time`. Answers the log return in percent of a day that is now over, if one is.
    @inline(__always)
    public mutating func add(close value: Int64, at time: Int64) -> Double? {
        guard value > 0 else { return nil }
        // A bar that closes at midnight belongs to the day before.
        let today = (time &- 1) / Span.day
        if today == day {
            close = value
            return nil
        }
        return turn(to: today, close: value)
    }

    @inline(never)
    private mutating func turn(to today: Int64, close value: Int64) -> Double? {
        guard today > day else { return nil }
        var ended: Double?
        if day >= 0 {
            if previousClose > 0 { ended = 100 * log(Double(close) / Double(previousClose)) }
            previousClose = close
        }
        day = today
        close = value
        return ended
    }
}

/// Daily log returns in percent of one instrument.
public struct DailyReturns: Sendable, Equatable, Codable {
    public static let window = 365
    public private(set) var returns: [Double] = []

    public init() {}

    public mutating func add(_ change: Double) {
        returns.append(change)
        if returns.count > Self.window { returns.removeFirst(returns.count - Self.window) }
    }

    /// 0 quiet, 1 usual, 2 wild: the last return's size among the window's.
    public var volatility: UInt32 {
        guard let last = returns.last, returns.count >= 20 else { return 1 }
        let below = returns.filter { abs($0) < abs(last) }.count
        return UInt32(min(below * 3 / returns.count, 2))
    }
}
