import Foundation

/// Daily log returns in percent of one instrument, from whatever bars close, by UTC day.
public struct DailyReturns: Sendable, Equatable, Codable {
    public static let window = 365
    public private(set) var returns: [Double] = []
    private var day: Int64 = -1
    private var close = 0.0
    private var previousClose = 0.0

    public init() {}

    /// A bar closed at `time`. Answers the return of a day that is now over, if one is.
    public mutating func add(close value: Double, at time: Int64) -> Double? {
        guard value > 0, value.isFinite else { return nil }
        // A bar that closes at midnight belongs to the day before.
        let today = (time - 1) / Span.day
        guard today >= day else { return nil }
        var ended: Double?
        if today > day, day >= 0 {
            if previousClose > 0 {
                let change = 100 * log(close / previousClose)
                returns.append(change)
                if returns.count > Self.window { returns.removeFirst(returns.count - Self.window) }
                ended = change
            }
            previousClose = close
        }
        day = today
        close = value
        return ended
    }

    /// 0 quiet, 1 usual, 2 wild: the last return's size among the window's.
    public var volatility: Int {
        guard let last = returns.last, returns.count >= 20 else { return 1 }
        let below = returns.filter { abs($0) < abs(last) }.count
        return min(below * 3 / returns.count, 2)
    }
}
