import Foundation
import PluginAPI
import PluginKit

@testable import HostCore

/// A market, a venue with faults of every sort, deciders that misbehave, and kills, from one seed. The books are checked against what the
/// records add up to.
struct RandomWorld {
    let seed: UInt64
    var dice: Dice
    let set: Usual
    /// One-minute bars; else trades at random times.
    let isBars: Bool
    var step = 0
    var killed = 0.001
    /// What a ledger would hold: the records are folded into it, so that a year fits in memory.
    private var rows: [String: StateRow] = [:]
    private var orders: [OrderID: OrderState] = [:]
    private var fills: [FillKey] = []
    final class Outbox { var messages: [(at: Int64, event: EventBytes)] = []; var dropped = 0; var doubled = 0; var late = 0; var faults = true }
    let outbox = Outbox()
    static let starts: [Int64] = [5_000_000_000_000, 300_000_000_000]
    var prices = starts
    var run: UInt32 = 1
    var restarts = 0
    var fillsSeen = 0
    var dropped: Int { outbox.dropped }
    var doubled: Int { outbox.doubled }
    // What the records add up to.
    var money = [Int128](repeating: 0, count: 2)
    var held = [Int128](repeating: 0, count: 2)
    var fees: Int128 = 0
    var keys: Set<FillKey> = []
    var exited: Set<[UInt64]> = []
    var problem: String?
    var settings: PipelineSettings

    init(seed: UInt64, bars: Bool = false) throws {
        self.seed = seed
        isBars = bars
        dice = Dice(seed)
        set = Usual()
        settings = Usual.settings(fallbacks: ["fallback"], instruments: ["BTC/USDT", "ETH/USDT"])
        settings.risk.maximumFraction = fixed("0.3")
        settings.risk.maximumExposure = fixed("0.8")
        settings.risk.maximumOrder = amount("2500")
        settings.risk.losingStreak = nil
        settings.risk.drawdown = nil
        settings.risk.dailyLoss = nil
        settings.risk.ordersPerMinute = nil
        settings.risk.clockSkew = nil
        settings.risk.orderTimeout = 3 * Span.second
        settings.position.stopLoss = fixed("0.01")
        settings.position.stages = [.init(gain: fixed("0.003"), fraction: fixed("0.3")), .init(gain: fixed("0.006"), fraction: fixed("0.3"))]
        settings.position.review = 60 * Span.second
        settings.chain.deadline = 2 * Span.second
        settings.chain.pause = 30 * Span.second
        for decider in [set.decider, set.fallback] { decider.observes = true }
        set.venue.style = .onNextPrice
        var chance = Dice(seed ^ 77)
        set.decider.observed = { _ in chance.chance(0.1) ? KEEL_ASK : KEEL_OK }
        var mind = Dice(seed ^ 99)
        let answer: (keel_snapshot) -> Answer? = { snapshot in
            switch mind.next() % 10 {
            case 0: return nil
            case 1: return .hold
            case 2: return .buy("7")  // out of range
            case 3, 4: return .sell("1")
            case 5: return .sell("0.4")
            case 6: return Answer(action: KEEL_ACT_HOLD, exitProbability: fixed("0.9"))
            default: return .buy("0.2")
            }
        }
        set.decider.decide = answer
        set.fallback.decide = answer
        set.router.parts = Int(seed % 3) + 1
        set.venue.fillParts = Int(seed % 2) + 1
        let outbox = outbox
        var way = Dice(seed ^ 11)
        set.venue.loses = { outbox.faults && way.chance(0.05) }
        var faults = Dice(seed ^ 5)
        set.venue.deliver = { event, venue in
            let now = venue.rig.time
            guard outbox.faults else { return outbox.messages.append((now, event)) }
            if faults.chance(0.1) {
                outbox.dropped += 1
                return
            }
            let isLate = faults.chance(0.1)
            if isLate { outbox.late += 1 }
            let late = isLate ? Int64(faults.next() % 10) * Span.second : Int64(faults.next() % 50) * Span.millisecond
            outbox.messages.append((now + late, event))
            if faults.chance(0.1) {
                outbox.doubled += 1
                outbox.messages.append((now + Int64(faults.next() % 20) * Span.second, event))
            }
        }
        try set.rig.build([settings], instruments: [Rig.instrument(), Rig.instrument("ETH/USDT")])
        set.rig.start()
    }

    mutating func advance() throws {
        step += 1
        if isBars { try minute() } else { try tick() }
    }

    private mutating func tick() throws {
        set.rig.time += Int64(dice.next() % 1000) * Span.millisecond
        let instrument = Int(dice.next() % 2)
        deliverDue()
        prices[instrument] = max(1_000_000, Int64(Double(prices[instrument]) * exp(0.0008 * dice.normal())) / 1_000_000 * 1_000_000)
        set.rig.trade(raw: prices[instrument], instrument: keel_instrument_id(instrument + 1), after: 0)
        if dice.chance(0.002) { linkEvent(KEEL_LINK_DOWN, at: set.rig.time).send(to: set.rig.engine, from: set.venue.port) }
        if dice.chance(0.02) { linkEvent(KEEL_LINK_UP, at: set.rig.time).send(to: set.rig.engine, from: set.venue.port) }
        set.venue.answersSync = !dice.chance(0.1)
        if dice.chance(killed) { try restart() }
    }

    /// The next bar of each instrument; what the venue says arrives in between, at its own time.
    private mutating func minute() throws {
        let opened = set.rig.time
        let end = opened + Span.minute
        while let next = outbox.messages.map(\.at).min(), next < end {
            set.rig.time = max(set.rig.time, next)
            set.rig.engine.advance(to: set.rig.time)
            deliverDue()
        }
        set.rig.time = end
        for index in 0..<2 {
            let open = prices[index]
            let close = next(open, around: Self.starts[index]), most = max(open, close), least = min(open, close)
            let reach = Int64(Double(open) * 0.0005 * abs(dice.normal())) / 1_000_000 * 1_000_000
            barEvent(
                keel_instrument_id(index + 1), open: Fixed(raw: open), high: Fixed(raw: most + reach), low: Fixed(raw: max(1_000_000, least - reach)),
                close: Fixed(raw: close), from: opened
            ).send(to: set.rig.engine, from: 0)
            prices[index] = close
        }
        if dice.chance(0.002) { linkEvent(KEEL_LINK_DOWN, at: end).send(to: set.rig.engine, from: set.venue.port) }
        if dice.chance(0.05) { linkEvent(KEEL_LINK_UP, at: end).send(to: set.rig.engine, from: set.venue.port) }
        set.venue.answersSync = !dice.chance(0.1)
        if dice.chance(killed) { try restart() }
        if step % 1_440 == 0 { forget() }
    }

    private mutating func next(_ price: Int64, around start: Int64) -> Int64 {
        // Drawn back a little, so that a year does not end at nothing.
        let pull = 0.0001 * log(Double(start) / Double(price))
        return max(1_000_000, Int64(Double(price) * exp(0.0008 * dice.normal() + pull)) / 1_000_000 * 1_000_000)
    }

    /// What nobody asks about any more: a year must not slow down.
    private mutating func forget() {
        let old = set.rig.time - 2 * Span.day
        let gone = set.venue.orders.filter { $0.value.state != KEEL_ORDER_OPEN && $0.value.fills.allSatisfy { $0.at < old } && !live.contains($0.key) }.keys
        for id in gone { set.venue.orders[id] = nil }
        set.venue.sequence.removeAll { set.venue.orders[$0] == nil }
        orders = orders.filter { !$0.value.isSettled || $0.value.changed >= old }
        if fills.count > 20_000 { fills.removeFirst(fills.count - 20_000) }
        for decider in [set.decider, set.fallback] { decider.questions = [] }
        set.router.events = []
    }

    private var live: Set<OrderID> { Set((0..<2).flatMap { set.rig.book($0).orders.map(\.id) }) }

    mutating func deliverDue() {
        let now = set.rig.time
        let due = outbox.messages.enumerated().filter { $0.element.at <= now }.sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }
        outbox.messages.removeAll { $0.at <= now }
        for message in due {
            var event = message.element.event
            event.edit { (head: inout keel_event) in head.at_host = now }
            event.send(to: set.rig.engine, from: set.venue.port)
        }
    }

    /// Killed, and back from what the ledger has.
    mutating func restart() throws {
        // What was recorded until now is what the ledger has.
        problem = broken() ?? problem
        restarts += 1
        run += 1
        let state = EngineState(rows: rows.values.sorted { $0.key < $1.key }, orders: orders.values.sorted { $0.id < $1.id }, fills: fills)
        let copy = try StateCoding.value(EngineState.self, from: try StateCoding.bytes(state))
        if copy != state { problem = "the state does not survive its coding" }
        for decider in [set.decider, set.fallback] { decider.questions = [] }
        set.router.parents = []
        try set.rig.build([settings], instruments: [Rig.instrument(), Rig.instrument("ETH/USDT")], run: run, restored: copy)
        set.rig.start()
    }

    mutating func broken() -> String? {
        defer { set.rig.forgetRecords() }
        for record in set.rig.records {
            switch record {
            case .state(let row): rows[row.key] = row
            case .order(let order): orders[order.order.id] = order.order
            case .fill(let fill):
                fillsSeen += 1
                fills.append(fill.key)
                let index = Int(fill.instrument) - 1
                if !keys.insert(fill.key).inserted { return "fill \(fill.fillID) was booked twice" }
                let worth = fill.price.notional(fill.quantity).raw
                held[index] += fill.side == KEEL_BUY ? Int128(fill.quantity.raw) : -Int128(fill.quantity.raw)
                money[index] += fill.side == KEEL_BUY ? -worth : worth
                fees += fill.fee.raw
            case .exit(let exit) where exit.whole:
                if !exited.insert([UInt64(exit.instrument), exit.position]).inserted { return "position \(exit.position) was left twice" }
            case .intent(let intent):
                if intent.role == .entry, let worth = try? Amount(intent.quantity).multiplied(by: Fixed(raw: prices[Int(intent.instrument) - 1])),
                    worth > amount("2500.01")
                {
                    return "order \(intent.order) is worth \(worth)"
                }
            default: break
            }
        }
        if let problem { return problem }
        for index in 0..<2 {
            let book = set.rig.book(index)
            if book.position.quantity.raw != held[index] { return "position \(book.position.quantity) of \(book.symbol), fills make \(Amount(raw: held[index]))" }
            if held[index] < 0 { return "short of \(book.symbol)" }
            let venue = set.venue.positions[keel_instrument_id(index + 1)] ?? .zero
            if venue.isNegative { return "sold \(venue) more \(book.symbol) than there was" }
            if Set(book.orders.map(\.id)).count != book.orders.count { return "an order twice" }
        }
        let state = set.rig.engine.pipelines[0].state
        let cash = amount("10000").raw + money[0] + money[1] - fees
        if state.cash.raw != cash { return "cash \(state.cash), fills make \(Amount(raw: cash))" }
        var open: Int128 = 0
        for index in 0..<2 { open += set.rig.book(index).position.cost.raw }
        if state.cash.raw + open != amount("10000").raw + state.realised.raw - state.fees.raw {
            return "cash + cost is not capital + profit - fees"
        }
        var equity = cash * 100_000_000
        for index in 0..<2 { equity += held[index] * Int128(set.rig.book(index).marked) }
        if set.rig.engine.pipelines[0].equity != equity { return "equity \(set.rig.engine.pipelines[0].equity), should be \(equity)" }
        if set.rig.durableBeforeSubmit.last == false { return "an order left before its intent was durable" }
        return nil
    }

    /// The faults stop; everything must come to rest and agree.
    mutating func settle() {
        outbox.faults = false
        set.venue.answersSync = true
        set.decider.observed = { _ in KEEL_OK }
        set.decider.decide = { _ in .hold }
        set.fallback.decide = { _ in .hold }
        linkEvent(KEEL_LINK_UP, at: set.rig.time).send(to: set.rig.engine, from: set.venue.port)
        for _ in 0..<120 {
            set.rig.time += Span.second
            deliverDue()
            for index in 0..<2 { set.rig.trade(raw: prices[index], instrument: keel_instrument_id(index + 1), after: 0) }
            set.rig.engine.advance(to: set.rig.time)
        }
    }

    func show() {
        var rules: [Rule: Int] = [:]
        for refusal in set.rig.refusals { rules[refusal.rule, default: 0] += 1 }
        print("seed \(seed): \(fillsSeen) fills, \(restarts) restarts, \(set.rig.decisions.count) decisions, refusals \(rules)")
        print(set.rig.book(0).counters, set.rig.engine.pipelines[0].state)
        for alert in set.rig.alerts.suffix(40) { print(alert.time - Rig.start, alert.kind, alert.text) }
    }

    func disagreement() -> String? {
        for index in 0..<2 {
            let book = set.rig.book(index)
            let venue = set.venue.positions[keel_instrument_id(index + 1)] ?? .zero
            if book.position.quantity != venue { return "\(book.symbol): \(book.position.quantity) here, \(venue) at the venue" }
            let open = set.venue.orders.values.filter { $0.state == KEEL_ORDER_OPEN && $0.order.instrument == book.instrument.id }
            if !open.isEmpty { return "\(open.count) orders still open at the venue" }
            if book.position.exiting != nil, !book.position.quantity.isZero { return "the exit of \(book.symbol) (\(book.position.quantity)) was forgotten" }
            if !book.parents.isEmpty { return "\(book.parents.count) parents of \(book.symbol) still wait for their router" }
            if !book.orders.isEmpty { return "\(book.orders.map { "\($0.id) \($0.status.word) \($0.filled)/\($0.reported)/\($0.quantity)" }) still live here" }
        }
        if !set.rig.engine.isOpen { return "not open: \(set.rig.agreements.last?.differences ?? [])" }
        return nil
    }
}
