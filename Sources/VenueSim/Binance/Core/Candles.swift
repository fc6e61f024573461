/// One bar.
struct Candle: Codable, Equatable {
    var open: Int64  // time
    var first: Int64
    var high: Int64
    var low: Int64
    var last: Int64
    var volume: Int128 = 0
    var quote: Int128 = 0
    var trades: Int64 = 0
    var takerVolume: Int128 = 0
    var takerQuote: Int128 = 0
    var firstID: Int64 = -1
    var lastID: Int64 = -1

    init(open: Int64, price: Int64) {
        self.open = open
        first = price
        high = price
        low = price
        last = price
    }

    mutating func take(_ trade: Trade) {
        if trades == 0 {
            first = trade.price
            high = trade.price
            low = trade.price
            firstID = trade.id
        }
        high = max(high, trade.price)
        low = min(low, trade.price)
        last = trade.price
        lastID = trade.id
        trades += 1
        let worth = money(trade.price, trade.quantity)
        volume += Int128(trade.quantity)
        quote += worth
        if !trade.buyerIsMaker {
            takerVolume += Int128(trade.quantity)
            takerQuote += worth
        }
    }

    /// Adds a later bar to this one.
    mutating func join(_ later: Candle) {
        if later.trades > 0 {
            if trades == 0 {
                (first, high, low, firstID) = (later.first, later.high, later.low, later.firstID)
            }
            high = max(high, later.high)
            low = min(low, later.low)
            last = later.last
            if firstID < 0 { firstID = later.firstID }
            lastID = later.lastID
        }
        volume += later.volume
        quote += later.quote
        trades += later.trades
        takerVolume += later.takerVolume
        takerQuote += later.takerQuote
    }
}

/// The intervals bars come in.
enum Interval: String, CaseIterable {
    case s1 = "1s", m1 = "1m", m3 = "3m", m5 = "5m", m15 = "15m", m30 = "30m", h1 = "1h", h2 = "2h", h4 = "4h", h6 = "6h", h8 = "8h", h12 = "12h"
    case d1 = "1d", d3 = "3d", w1 = "1w", month = "1M"

    static let minute: Int64 = 60_000
    static let hour: Int64 = 3_600_000
    static let day: Int64 = 86_400_000

    /// Of one bar; a month has none.
    var length: Int64 {
        switch self {
        case .s1: 1_000
        case .m1: Self.minute
        case .m3: 3 * Self.minute
        case .m5: 5 * Self.minute
        case .m15: 15 * Self.minute
        case .m30: 30 * Self.minute
        case .h1: Self.hour
        case .h2: 2 * Self.hour
        case .h4: 4 * Self.hour
        case .h6: 6 * Self.hour
        case .h8: 8 * Self.hour
        case .h12: 12 * Self.hour
        case .d1: Self.day
        case .d3: 3 * Self.day
        case .w1: 7 * Self.day
        case .month: 0
        }
    }

    /// Where the bar that holds a time begins. Weeks begin on Monday; the first of January 1970 was a Thursday.
    func start(_ time: Int64) -> Int64 {
        switch self {
        case .w1: (time - 4 * Self.day) / length * length + 4 * Self.day
        case .month: Calendar.monthStart(time)
        default: time / length * length
        }
    }

    func next(_ start: Int64) -> Int64 { self == .month ? Calendar.monthStart(start + 32 * Self.day) : start + length }
}

/// Civil dates from days, by the proleptic Gregorian calendar.
enum Calendar {
    static func monthStart(_ time: Int64) -> Int64 {
        let days = time / Interval.day
        // Howard Hinnant's algorithm: eras of 400 years that begin on the first of March.
        let z = days + 719_468
        let era = z / 146_097
        let dayOfEra = z - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * month + 2) / 5
        return (days - day) * Interval.day
    }
}

/// Bars of one length in order, without a gap.
struct Series: Codable {
    let interval: Int64
    let kept: Int
    private(set) var bars: [Candle] = []

    init(interval: Int64, kept: Int) {
        self.interval = interval
        self.kept = kept
    }

    mutating func append(_ bar: Candle) { bars.append(bar) }

    /// Fills with flat bars up to the one that holds `time`.
    mutating func reach(_ time: Int64) {
        guard let last = bars.last else { return }
        var open = last.open + interval
        while open <= time {
            bars.append(Candle(open: open, price: bars[bars.count - 1].last))
            open += interval
        }
        if bars.count > kept + kept / 4 { bars.removeFirst(bars.count - kept) }
    }

    mutating func take(_ trade: Trade) {
        if bars.isEmpty { bars.append(Candle(open: trade.time / interval * interval, price: trade.price)) }
        reach(trade.time)
        bars[bars.count - 1].take(trade)
    }

    func since(_ start: Int64, most: Int) -> [[Int128]] { bars.filter { $0.open + interval > start }.suffix(most).map(\.numbers) }

    /// Puts saved bars in the place of the own ones from there on.
    mutating func restore(_ saved: [[Int128]]) {
        let made = saved.compactMap { Candle(numbers: $0) }
        guard let first = made.first else { return }
        bars.removeAll { $0.open >= first.open }
        if let last = bars.last, last.open + interval < first.open { bars.removeAll() }
        bars += made
    }

    /// The bars that overlap a span.
    func from(_ start: Int64, to end: Int64) -> ArraySlice<Candle> {
        guard let first = bars.first, end > start, end > first.open else { return [] }
        let low = max(0, Int((max(start, first.open) - first.open) / interval))
        let high = min(bars.count, Int((end - 1 - first.open) / interval) + 1)
        return low < high ? bars[low..<high] : []
    }
}

/// How many days of bars there are at the start.
struct Past: Codable {
    var minutes: Int64 = 3
    var days: Int64 = 500
}

/// The bars of a symbol at four lengths; every other interval is put together from the coarsest that fits.
struct Candles: Codable {
    private(set) var seconds = Series(interval: 1_000, kept: 4_000)
    private(set) var minutes = Series(interval: Interval.minute, kept: 8_000)
    private(set) var hours = Series(interval: Interval.hour, kept: 2_500)
    private(set) var days = Series(interval: Interval.day, kept: 1_200)

    /// Makes a past up to `now` from the walk: so many days of minutes, sixty of hours, five hundred of days, or less.
    init(_ walk: PriceWalk, rules: SymbolRules, now: Int64, past: Past) {
        func tick(_ price: Double) -> Int64 { max(rules.tick, down(Int64(price * 100_000_000), to: rules.tick)) }
        func bar(_ open: Int64, _ length: Int64, _ parts: Int64) -> Candle {
            var made = Candle(open: open, price: tick(walk.price(open)))
            for part in 1...parts {
                let price = tick(walk.price(open + length * part / parts))
                made.high = max(made.high, price)
                made.low = min(made.low, price)
                made.last = price
            }
            let random = mixed(walk.seed, walk.symbol, open)
            made.trades = Int64(40 + random % 160) * (length / Interval.minute)
            let quantity = down(Int64(rules.typicalQuantity) / 4 * made.trades, to: rules.step)
            made.volume = Int128(quantity)
            made.quote = money(made.last, quantity)
            let taken = down(quantity / 100 * Int64(35 + (random >> 32) % 30), to: rules.step)
            made.takerVolume = Int128(taken)
            made.takerQuote = money(made.last, taken)
            return made
        }
        let today = now / Interval.day * Interval.day
        let minutesFrom = today - past.minutes * Interval.day
        let hoursFrom = today - min(60, past.days) * Interval.day
        let thisMinute = now / Interval.minute * Interval.minute
        for open in stride(from: minutesFrom, to: thisMinute, by: Int(Interval.minute)) { minutes.append(bar(open, Interval.minute, 2)) }
        minutes.append(Candle(open: thisMinute, price: minutes.bars.last?.last ?? tick(walk.price(thisMinute))))
        seconds.append(Candle(open: now / 1_000 * 1_000, price: tick(walk.price(now))))
        for open in stride(from: hoursFrom, through: now, by: Int(Interval.hour)) {
            hours.append(open < minutesFrom ? bar(open, Interval.hour, 4) : Self.joined(minutes.from(open, to: open + Interval.hour), open))
        }
        for open in stride(from: today - past.days * Interval.day, through: now, by: Int(Interval.day)) {
            days.append(open < hoursFrom ? bar(open, Interval.day, 8) : Self.joined(hours.from(open, to: open + Interval.day), open))
        }
    }

    private static func joined(_ parts: ArraySlice<Candle>, _ open: Int64) -> Candle {
        guard let first = parts.first else { return Candle(open: open, price: 0) }
        var bar = first
        bar.open = open
        for part in parts.dropFirst() { bar.join(part) }
        return bar
    }

    mutating func take(_ trade: Trade) {
        seconds.take(trade)
        minutes.take(trade)
        hours.take(trade)
        days.take(trade)
    }

    mutating func reach(_ time: Int64) {
        seconds.reach(time)
        minutes.reach(time)
        hours.reach(time)
        days.reach(time)
    }

    /// What isn't made by the walk: the bars since the start, of the seconds only the last ones.
    func saved(since start: Int64) -> [[[Int128]]] {
        let early = start - Exchange.warmUp * 1_000
        return [seconds.since(early, most: 300), minutes.since(early, most: .max), hours.since(early, most: .max), days.since(early, most: .max)]
    }

    mutating func restore(_ saved: [[[Int128]]]) {
        guard saved.count == 4 else { return }
        seconds.restore(saved[0])
        minutes.restore(saved[1])
        hours.restore(saved[2])
        days.restore(saved[3])
    }

    private func source(_ interval: Interval) -> Series {
        switch interval {
        case .s1: seconds
        case .m1, .m3, .m5, .m15, .m30: minutes
        case .h1, .h2, .h4, .h6, .h8, .h12: hours
        default: days
        }
    }

    func current(_ interval: Interval, at time: Int64) -> Candle? {
        let start = interval.start(time)
        let parts = source(interval).from(start, to: interval.next(start))
        return parts.isEmpty ? nil : Self.joined(parts, start)
    }

    /// As the klines endpoint counts: oldest first; without a start the latest `limit`.
    func bars(_ interval: Interval, start: Int64?, end: Int64?, limit: Int, now: Int64) -> [Candle] {
        let series = source(interval)
        guard let earliest = series.bars.first?.open else { return [] }
        let last = interval.start(min(end ?? now, now))
        var opens: [Int64] = []
        if let start {
            var open = interval.start(max(start, earliest))
            if open < start { open = interval.next(open) }
            while open <= last, opens.count < limit {
                opens.append(open)
                open = interval.next(open)
            }
        } else {
            var open = last
            while interval.next(open) > earliest, opens.count < limit {
                opens.append(open)
                open = interval.start(open - 1)
            }
            opens.reverse()
        }
        return opens.compactMap { open in
            let parts = series.from(open, to: interval.next(open))
            return parts.isEmpty ? nil : Self.joined(parts, open)
        }
    }

    /// The last twenty-four hours as one bar.
    func rolling(_ now: Int64, _ length: Int64 = Interval.day) -> Candle? {
        let open = (now / Interval.minute + 1) * Interval.minute - length
        let parts = minutes.from(open, to: now + 1)
        return parts.isEmpty ? nil : Self.joined(parts, open)
    }
}
