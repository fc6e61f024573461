/// What the derivatives of one instrument do: funding, open interest, long/short ratio, taker ratio. One a book, so nothing
/// is shared between tickers.
///
/// A reading belongs to a period. Changes are measured between the ends of periods of the same length, never between a
/// period's start and another's end, and never between the lengths a feed may offer side by side.
struct Derivatives {
    enum Measure: Int, CaseIterable {
        case funding, openInterest, longShort, takerRatio

        init?(_ hash: UInt64) {
            switch hash {
            case KnownValue.fundingRate: self = .funding
            case KnownValue.openInterest: self = .openInterest
            case KnownValue.longShort: self = .longShort
            case KnownValue.takerRatio: self = .takerRatio
            default: return nil
            }
        }

        /// What counts as moving, over a quarter of an hour. Funding is a rate already: its change is a difference, the others' a share.
        var moving: Double {
            switch self {
            case .funding: 0.0001
            case .openInterest: 0.01
            case .longShort: 0.05
            case .takerRatio: 0.25
            }
        }
    }

    struct Readings {
        private(set) var points: [(end: Int64, value: Double)] = []
        /// The period length that is followed: the shortest a feed has offered. 0: readings without a period.
        private(set) var length: Int64 = -1
        static let most = 128

        /// False: it belongs to another length, or to a period before the newest.
        mutating func add(_ value: Double, start: Int64, end: Int64, at: Int64) -> Bool {
            let span = end > start && start > 0 ? end - start : 0
            if length < 0 || (span > 0 && (length == 0 || span < length)) {
                if length != span { points.removeAll(keepingCapacity: true) }
                length = span
            }
            guard span == length else { return false }
            let time = span > 0 ? end : at
            if let last = points.last {
                if time < last.end { return false }
                if time == last.end { points.removeLast() }
            }
            points.append((time, value))
            if points.count > Self.most { points.removeFirst() }
            return true
        }

        /// The newest value and the one in force so long before it; nil: not known that far back.
        func pair(over span: Int64) -> (now: Double, then: Double)? {
            guard let last = points.last, let before = points.last(where: { $0.end <= last.end - span }) else { return nil }
            return (last.value, before.value)
        }

        func relativeChange(over span: Int64) -> Double {
            guard let pair = pair(over: span), pair.then != 0 else { return .nan }
            return pair.now / pair.then - 1
        }
    }

    private(set) var readings = [Readings](repeating: Readings(), count: Measure.allCases.count)
    /// The feed was asked to look more often.
    private(set) var isUrgent = false
    /// When a measure moved last.
    private var movedAt = Int64.min

    static let window = 15 * Span.minute
    /// Calm for so long: the usual pace again.
    static let calm = 30 * Span.minute

    /// Takes a reading in. Answers whether the pace should change: true faster, false slower, nil as it is.
    mutating func take(_ measure: Measure, _ value: Double, start: Int64, end: Int64, at: Int64, now: Int64) -> Bool? {
        guard readings[measure.rawValue].add(value, start: start, end: end, at: at) else { return nil }
        if moves(measure) { movedAt = now }
        let wanted = movedAt != .min && now - movedAt < Self.calm
        guard wanted != isUrgent else { return nil }
        isUrgent = wanted
        return wanted
    }

    private func moves(_ measure: Measure) -> Bool {
        let readings = readings[measure.rawValue]
        // Readings further apart than the window are compared with the one before.
        let span = max(Self.window, readings.length)
        if measure == .funding {
            guard let pair = readings.pair(over: span) else { return false }
            return abs(pair.now - pair.then) >= measure.moving
        }
        let change = readings.relativeChange(over: span)
        return change.isFinite && abs(change) >= measure.moving
    }

    /// NaN: not known.
    func value(_ measure: Measure) -> Double { readings[measure.rawValue].points.last?.value ?? .nan }

    /// Of the open interest, over an hour; NaN: not known that far back.
    var openInterestChange: Double { readings[Measure.openInterest.rawValue].relativeChange(over: Span.hour) }
}

/// A named number that is not public yet: a feed may know the moment of release before it has come.
struct LaterValue {
    var name: String
    var value: Double
    var released: Int64
    var periodStart: Int64
    var periodEnd: Int64
}
