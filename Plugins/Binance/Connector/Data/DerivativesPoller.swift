import PluginKit

public struct DerivativesSettings: Equatable, Sendable {
    public var isOn = true
    public var markEvery: Int64 = 10_000_000_000
    public var openInterestEvery: Int64 = 60_000_000_000

    public init() {}
}

/// What the derivatives market says beside its prices: funding, open interest, who is long, who takes. Read from streams where there are
/// any and asked for where not: rarely in a calm market, often when it moves, and never at the cost of the orders' share of the budget.
public final class DerivativesPoller {
    /// The venue's shortest period for ratios.
    static let period: Int64 = 300_000

    enum Question: Int, CaseIterable {
        case openInterest, openInterestHistory, globalRatio, topAccounts, topPositions, taker, settled

        /// Rows of closed periods, which appear some time after the period's end.
        var isPeriodic: Bool { self != .openInterest && self != .openInterestHistory && self != .settled }
    }

    private struct Task {
        var due: Int64
        var isAsked = false
        /// Answers in a row that held nothing new, or none at all.
        var misses = 0
        /// The newest row told, by its time.
        var newest: Int64 = 0
    }

    private final class Followed {
        let symbol: SymbolKey
        var instruments: [UInt32] = []
        var tasks: [Task]
        var markTold: Int64 = 0
        var nextFunding: Int64 = 0
        /// Mark prices of the last five minutes, one every ten seconds.
        var prices: [(at: Int64, price: Int64)] = []
        var openInterest: Double?
        var jumped = false
        var hurriedUntil: Int64 = 0

        init(_ symbol: SymbolKey, at now: Int64) {
            self.symbol = symbol
            tasks = Question.allCases.map { _ in Task(due: now) }
        }
    }

    private let settings: DerivativesSettings
    private let requests: any MarketRequests
    private let sink: any MarketSink
    private let reactor: any Reactor
    private var followed: [SymbolKey: Followed] = [:]
    private var order: [SymbolKey] = []
    /// Hours between fundings where they aren't eight.
    private var fundingHours: [SymbolKey: Int64] = [:]
    private var fundingHoursDue: Int64 = 0
    private var underway = 0
    private var stopped = false
    public private(set) var asked = 0
    public private(set) var failed = 0
    private var complained: Set<Int> = []

    init(_ settings: DerivativesSettings, requests: any MarketRequests, sink: any MarketSink, on reactor: any Reactor) {
        self.settings = settings
        self.requests = requests
        self.sink = sink
        self.reactor = reactor
    }

    func stop() {
        stopped = true
        followed = [:]
        order = []
    }

    func follow(_ symbol: SymbolKey, _ instruments: [UInt32]) {
        if instruments.isEmpty {
            followed[symbol] = nil
            order.removeAll { $0 == symbol }
        } else if let known = followed[symbol] {
            known.instruments = instruments
        } else {
            let made = Followed(symbol, at: reactor.now())
            made.instruments = instruments
            followed[symbol] = made
            order.append(symbol)
        }
    }

    /// Somebody needs this symbol's numbers often for a while.
    public func hurry(_ symbol: SymbolKey, until time: Int64) {
        guard let known = followed[symbol] else { return }
        known.hurriedUntil = max(known.hurriedUntil, time)
        known.tasks[Question.openInterest.rawValue].due = min(known.tasks[Question.openInterest.rawValue].due, reactor.now())
    }

    private func tell(_ known: Followed, _ name: String, _ value: Double, _ period: ClosedRange<Int64>, released: Int64? = nil, isHistory: Bool = false) {
        let value = NamedValue(name, value, period: period, released: released ?? requests.venueTime, isHistory: isHistory)
        for instrument in known.instruments { sink.value(instrument, value) }
    }

    // MARK: the stream

    func mark(_ mark: MarkMessage) {
        guard let known = followed[mark.symbol] else { return }
        let now = reactor.now()
        if let newest = known.prices.last, now - newest.at < 10_000_000_000 {} else {
            known.prices.append((now, mark.mark))
            known.prices.removeAll { now - $0.at > 300_000_000_000 }
        }
        known.nextFunding = mark.nextFunding
        if known.markTold != 0, now - known.markTold < settings.markEvery { return }
        known.markTold = now
        let moment = mark.eventTime...mark.eventTime
        tell(known, "mark_price", Fixed(raw: mark.mark).double, moment, released: mark.eventTime)
        if mark.index > 0 { tell(known, "index_price", Fixed(raw: mark.index).double, moment, released: mark.eventTime) }
        // The estimate for the funding that comes next: it is about the time up to there.
        if mark.nextFunding > mark.eventTime {
            tell(known, "funding_rate", Fixed(raw: mark.rate).double, max(0, mark.nextFunding - hours(mark.symbol) * 3_600_000)...mark.nextFunding, released: mark.eventTime)
        }
    }

    private func hours(_ symbol: SymbolKey) -> Int64 { fundingHours[symbol] ?? 8 }

    // MARK: pace

    /// How many times as often as in a calm market.
    func haste(_ symbol: SymbolKey) -> Int64 { followed[symbol].map { haste($0) } ?? 1 }

    private func haste(_ known: Followed) -> Int64 {
        if reactor.now() < known.hurriedUntil || known.jumped { return 6 }
        if known.nextFunding > 0, abs(known.nextFunding - requests.venueTime) < 300_000 { return 6 }
        guard let low = known.prices.map(\.price).min(), let high = known.prices.map(\.price).max(), low > 0 else { return 1 }
        // In thousandths, without leaving whole numbers.
        let range = (Int128(high) - Int128(low)) * 1_000 / Int128(low)
        return range >= 8 ? 6 : range >= 3 ? 2 : 1
    }

    /// Once a second: asks what is due, two questions at a time.
    func tick() {
        guard settings.isOn, !stopped, !followed.isEmpty else { return }
        let now = reactor.now()
        if now >= fundingHoursDue, underway < 2 { askFundingHours(now) }
        for symbol in order {
            guard let known = followed[symbol] else { continue }
            for question in Question.allCases {
                if underway >= 2 { return }
                let task = known.tasks[question.rawValue]
                guard !task.isAsked, task.due <= now else { continue }
                let load = requests.load(pool(question))
                // Data waits while the budget is short; what it would have cost is left to the orders.
                if load >= 0.7 {
                    known.tasks[question.rawValue].due = now + 10_000_000_000
                    continue
                }
                ask(question, known)
            }
        }
        // Whoever was served goes to the end of the queue.
        if let first = order.first, order.count > 1 {
            order.removeFirst()
            order.append(first)
        }
    }

    private func pool(_ question: Question) -> Pool {
        switch question {
        case .openInterest: .weight
        case .settled: .funding
        default: .research
        }
    }

    private func request(_ question: Question, _ known: Followed) -> MarketRequest {
        let symbol = known.symbol.description
        func research(_ name: String, _ limit: Int) -> MarketRequest {
            // Costs no weight, but counts in a pool of its own.
            MarketRequest("/futures/data/\(name)", ["symbol": symbol, "period": "5m", "limit": "\(limit)"], weight: 1, pool: .research)
        }
        let rows = known.tasks[question.rawValue].newest == 0 ? 30 : 3
        switch question {
        case .openInterest: return MarketRequest("/fapi/v1/openInterest", ["symbol": symbol], weight: 1)
        case .openInterestHistory: return research("openInterestHist", 30)
        case .globalRatio: return research("globalLongShortAccountRatio", rows)
        case .topAccounts: return research("topLongShortAccountRatio", rows)
        case .topPositions: return research("topLongShortPositionRatio", rows)
        case .taker: return research("takerlongshortRatio", rows)
        case .settled: return MarketRequest("/fapi/v1/fundingRate", ["symbol": symbol, "limit": "\(rows)"], weight: 1, pool: .funding)
        }
    }

    private func ask(_ question: Question, _ known: Followed) {
        underway += 1
        asked += 1
        known.tasks[question.rawValue].isAsked = true
        requests.get(request(question, known)) { [weak self, weak known] reply in
            guard let self else { return }
            self.underway -= 1
            guard !self.stopped, let known else { return }
            known.tasks[question.rawValue].isAsked = false
            var isNew = false
            var wait: Int64 = 0
            switch reply {
            case .success(let value):
                do throws(StreamFault) {
                    isNew = try self.take(value, question, known)
                } catch {
                    self.complain(question, "\(error)")
                }
            case .failure(let failure):
                wait = failure.retryAfter
                self.complain(question, failure.description)
            }
            if isNew {
                known.tasks[question.rawValue].misses = 0
                self.complained.remove(question.rawValue)
            } else {
                known.tasks[question.rawValue].misses = min(known.tasks[question.rawValue].misses + 1, 10)
            }
            known.tasks[question.rawValue].due = self.reactor.now() + max(wait, self.pause(question, known, isNew: isNew))
        }
    }

    private func complain(_ question: Question, _ why: String) {
        failed += 1
        // Once until it works again: the demo, for one, may not have these numbers at all.
        if complained.insert(question.rawValue).inserted { sink.log(.warning, "no \(question) for now: \(why)") }
    }

    private func pause(_ question: Question, _ known: Followed, isNew: Bool) -> Int64 {
        let misses = Int64(known.tasks[question.rawValue].misses)
        let second: Int64 = 1_000_000_000
        let present = requests.venueTime
        switch question {
        case .openInterest:
            let base = isNew ? settings.openInterestEvery / haste(known) : min(settings.openInterestEvery << min(misses, 4), 600 * second)
            // Half of the budget used: half as often.
            return requests.load(.weight) >= 0.4 ? base * 2 : base
        case .openInterestHistory:
            // Once at the start, and again until it has come.
            return isNew ? .max / 4 : min((30 * second) << min(misses, 5), 600 * second)
        case .settled:
            guard isNew, known.nextFunding > present else { return min((60 * second) << min(misses, 4), 900 * second) }
            return (known.nextFunding - present + 60_000) * 1_000_000
        case .globalRatio, .topAccounts, .topPositions, .taker:
            // A row appears some seconds to minutes after its period's end.
            if !isNew { return min((15 * second) << min(misses - 1, 3), 120 * second) }
            let next = (present / Self.period + 1) * Self.period + 15_000
            return (next - present) * 1_000_000
        }
    }

    // MARK: answers

    /// Whether it held anything new.
    private func take(_ reply: JSONValue, _ question: Question, _ known: Followed) throws(StreamFault) -> Bool {
        switch question {
        case .openInterest:
            let value = try RestRows.double(reply.find("openInterest"), "openInterest")
            let time = try RestRows.whole(reply.find("time"), "time")
            if let before = known.openInterest, before > 0 { known.jumped = abs(value / before - 1) >= 0.005 }
            known.openInterest = value
            guard time > known.tasks[question.rawValue].newest else { return true }
            known.tasks[question.rawValue].newest = time
            tell(known, "open_interest", value, time...time)
            return true
        case .openInterestHistory:
            // What is known now is newer; these are for whoever wants to see how it came.
            return try rows(reply, question, known, time: "timestamp", marksEnd: true, history: true) { entry throws(StreamFault) in
                [
                    ("open_interest_past", try RestRows.double(entry.find("sumOpenInterest"), "sumOpenInterest")),
                    ("open_interest_value", try RestRows.double(entry.find("sumOpenInterestValue"), "sumOpenInterestValue")),
                ]
            }
        case .globalRatio: return try ratio(reply, question, known, "long_short")
        case .topAccounts: return try ratio(reply, question, known, "top_long_short_accounts")
        case .topPositions: return try ratio(reply, question, known, "top_long_short_positions")
        case .taker:
            // Unlike the others, these rows carry the beginning of their period.
            return try rows(reply, question, known, time: "timestamp", marksEnd: false, history: false) { entry throws(StreamFault) in
                [
                    ("taker_ratio", try RestRows.double(entry.find("buySellRatio"), "buySellRatio")),
                    ("taker_buy", try RestRows.double(entry.find("buyVol"), "buyVol")),
                    ("taker_sell", try RestRows.double(entry.find("sellVol"), "sellVol")),
                ]
            }
        case .settled: return try settled(reply, known)
        }
    }

    private func ratio(_ reply: JSONValue, _ question: Question, _ known: Followed, _ name: String) throws(StreamFault) -> Bool {
        try rows(reply, question, known, time: "timestamp", marksEnd: true, history: false) { entry throws(StreamFault) in
            [(name, try RestRows.double(entry.find("longShortRatio"), "longShortRatio"))]
        }
    }

    private func rows(
        _ reply: JSONValue, _ question: Question, _ known: Followed, time field: String, marksEnd: Bool, history: Bool,
        _ read: (JSONValue) throws(StreamFault) -> [(String, Double)]
    ) throws(StreamFault) -> Bool {
        guard let list = reply.asList else { throw .wrongKind("rows") }
        var found: [(end: Int64, values: [(String, Double)])] = []
        for entry in list {
            let stamp = try RestRows.whole(entry.find(field), field)
            found.append((marksEnd ? stamp : stamp + Self.period, try read(entry)))
        }
        found.sort { $0.end < $1.end }
        let present = requests.venueTime
        let newest = known.tasks[question.rawValue].newest
        let first = newest == 0
        var isNew = false
        for (place, row) in found.enumerated() where row.end > newest && row.end <= present {
            // What is read at the start is history but for its last row.
            let old = history || (first && place < found.count - 1)
            for (name, value) in row.values { tell(known, name, value, (row.end - Self.period)...row.end, isHistory: old) }
            known.tasks[question.rawValue].newest = row.end
            isNew = true
        }
        return isNew
    }

    private func settled(_ reply: JSONValue, _ known: Followed) throws(StreamFault) -> Bool {
        guard let list = reply.asList else { throw .wrongKind("rows") }
        let newest = known.tasks[Question.settled.rawValue].newest
        var isNew = false
        for (place, entry) in list.enumerated() {
            // A few milliseconds after the hour: the hour is meant.
            let time = (try RestRows.whole(entry.find("fundingTime"), "fundingTime") + 30_000) / 60_000 * 60_000
            let rate = try RestRows.double(entry.find("fundingRate"), "fundingRate")
            guard time > known.tasks[Question.settled.rawValue].newest else { continue }
            tell(known, "funding_settled", rate, max(0, time - hours(known.symbol) * 3_600_000)...time, isHistory: newest == 0 && place < list.count - 1)
            known.tasks[Question.settled.rawValue].newest = time
            isNew = true
        }
        return isNew
    }

    private func askFundingHours(_ now: Int64) {
        fundingHoursDue = now + 3_600_000_000_000
        underway += 1
        asked += 1
        requests.get(MarketRequest("/fapi/v1/fundingInfo", [:], weight: 1, pool: .funding)) { [weak self] reply in
            guard let self else { return }
            self.underway -= 1
            guard case .success(let value) = reply, let list = value.asList else {
                self.fundingHoursDue = self.reactor.now() + 300_000_000_000
                return
            }
            // Only symbols with other parameters than the usual are listed.
            var hours: [SymbolKey: Int64] = [:]
            for entry in list {
                guard let name = entry.find("symbol")?.asText, let key = SymbolKey(name), let number = entry.find("fundingIntervalHours")?.asNumber?.int64,
                    (1...24).contains(number)
                else { continue }
                hours[key] = number
            }
            self.fundingHours = hours
        }
    }

    public var description: JSONValue {
        ["symbols": JSONValue(followed.count), "asked": JSONValue(asked), "failed": JSONValue(failed)]
    }
}
