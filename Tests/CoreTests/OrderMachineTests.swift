import PluginAPI
import PluginKit
import Testing

@testable import HostCore

private func order(_ quantity: String = "10", status: OrderStatus = .pending) -> OrderState {
    OrderState(
        id: OrderID(run: 1, pipeline: 0, instrument: 0, sequence: 1, leg: .entry, child: 1), pipeline: 0, instrument: 1, broker: 0, role: .entry,
        status: status, side: KEEL_BUY, features: KEEL_ORD_MARKET, quantity: fixed(quantity), limit: .zero, trigger: .zero, why: nil, decision: 1,
        created: 0, changed: 0)
}

@Suite struct OrderMachineTests {
    func say(_ state: inout OrderState, _ status: OrderStatus, filled: String = "0", snapshot: Bool = false) -> Bool {
        state.take(OrderReport(status: status, filled: fixed(filled), snapshot: snapshot), at: 5)
    }

    @Test func theUsualLife() throws {
        var state = order(status: .intended)
        check(say(&state, .pending) && state.status == .pending)
        check(say(&state, .open) && state.status == .open)
        try state.take(fill: fixed("4"), worth: amount("400"), fee: amount("1"), at: 6)
        check(state.status == .partlyFilled && state.leaves == fixed("6").raw)
        check(!say(&state, .open, filled: "4"), "a report without news changes nothing")
        try state.take(fill: fixed("6"), worth: amount("600"), fee: amount("1"), at: 7)
        check(state.status == .filled && state.isSettled && state.notional == amount("1000") && state.fees == amount("2"))
        check(!say(&state, .filled, filled: "10"))
    }

    @Test func lateAndRepeatedMessagesDoNotTurnItBack() throws {
        var state = order()
        check(say(&state, .filled, filled: "10"))
        check(!state.isSettled, "the fills are still on their way")
        check(!say(&state, .open) && !say(&state, .pending) && !say(&state, .inDoubt) && !say(&state, .cancelled))
        try state.take(fill: fixed("10"), worth: .zero, fee: .zero, at: 6)
        check(state.status == .filled && state.isSettled)
    }

    @Test func aFillThatRacedTheCancelCounts() throws {
        var state = order()
        check(say(&state, .cancelled))
        try state.take(fill: fixed("3"), worth: .zero, fee: .zero, at: 6)
        check(state.status == .cancelled && state.filled == fixed("3") && state.isSettled)
        check(say(&state, .filled, filled: "10") && state.status == .filled && !state.isSettled)
    }

    @Test func onlyTheVenueRejects() throws {
        var state = order()
        try state.take(fill: fixed("1"), worth: .zero, fee: .zero, at: 6)
        check(say(&state, .rejected) && state.status == .cancelled, "something that filled was not rejected")
        // What was only concluded the venue may overrule, in any message.
        var concluded = order()
        concluded.conclude(.rejected, at: 5)
        check(concluded.status == .rejected && concluded.inferred)
        check(say(&concluded, .open) && concluded.status == .open && !concluded.inferred)
        // What the venue said, only a sync overrules.
        var said = order()
        check(say(&said, .cancelled))
        check(!say(&said, .open) && say(&said, .open, snapshot: true) && said.status == .open)
    }

    @Test func doubtIsAState() throws {
        var state = order()
        state.doubt(at: 5)
        check(state.status == .inDoubt && !state.status.isTerminal && state.leaves == fixed("10").raw)
        check(!say(&state, .pending), "taken by the plugin is no word of the venue")
        check(say(&state, .open) && state.status == .open)
        state.doubt(at: 6)
        check(say(&state, .rejected) && state.status == .rejected)
        state.doubt(at: 7)
        check(state.status == .rejected)
    }

    @Test func impossibleNumbersAreBounded() throws {
        var state = order()
        check(say(&state, .open, filled: "999") && state.reported == fixed("10"))
        var full = order()
        full.filled = .max
        #expect(throws: NumberError.self) { try full.take(fill: .one, worth: .zero, fee: .zero, at: 1) }
    }

    /// Whatever order messages come in, and however often, the end is the same.
    @Test(arguments: Array(1...40) as [UInt64]) func anyOrderOfMessagesEndsTheSame(seed: UInt64) throws {
        var dice = Dice(seed)
        let parts = [fixed("2"), fixed("5"), fixed("3")].prefix(Int(dice.next() % 4))
        let filled = parts.reduce(Int64(0)) { $0 + $1.raw }
        let end: OrderStatus = filled == fixed("10").raw ? .filled : [.cancelled, .expired][Int(dice.next() % 2)]
        enum Message { case report(OrderReport), fill(Int) }
        var messages: [Message] = [
            .report(OrderReport(status: .open, filled: .zero, snapshot: false)),
            .report(OrderReport(status: end, filled: Fixed(raw: filled), snapshot: false)),
        ]
        for index in parts.indices { messages.append(.fill(index)) }
        messages += messages.filter { _ in dice.chance(0.5) }
        messages.shuffle(using: &dice)
        var state = order(status: .pending)
        var seen: Set<Int> = []
        for message in messages {
            switch message {
            case .report(let report): state.take(report, at: 1)
            case .fill(let index):
                if seen.insert(index).inserted { try state.take(fill: parts[index], worth: .zero, fee: .zero, at: 1) }
            }
            check(state.filled.raw <= filled)
        }
        check(state.status == end && state.filled.raw == filled && state.isSettled, "seed \(seed)")
    }
}

@Suite struct ReconcileTests {
    /// A random account and a random venue truth: any order and repetition of the report gives the same outcome.
    @Test(arguments: Array(1...30) as [UInt64]) func orderAndRepetitionDoNotMatter(seed: UInt64) {
        var dice = Dice(seed)
        let (known, report) = Self.random(&dice)
        let outcome = Reconcile.run(known, report)
        var shuffled = report
        shuffled.orders += report.orders.filter { !$0.id.isNone && dice.chance(0.3) }
        shuffled.fills += report.fills.filter { _ in dice.chance(0.3) }
        shuffled.orders.shuffle(using: &dice)
        shuffled.fills.shuffle(using: &dice)
        let again = Reconcile.run(known, shuffled)
        #expect(Self.withoutPlaces(outcome) == Self.withoutPlaces(again), "seed \(seed)")
    }

    /// What was taken in is not taken in again.
    @Test(arguments: Array(1...30) as [UInt64]) func applyingItTwiceChangesNothing(seed: UInt64) throws {
        var dice = Dice(seed ^ 1000)
        let (known, report) = Self.random(&dice)
        let outcome = Reconcile.run(known, report)
        var after = known
        let taken = Set(outcome.fills.map(\.key))
        after.seen = { known.seen($0) || taken.contains($0) }
        for recovered in outcome.recovered {
            var state = OrderState(
                id: recovered.id, pipeline: 0, instrument: recovered.instrument, broker: 0, role: .entry, side: recovered.side, features: 0,
                quantity: Fixed(raw: recovered.filled.raw + recovered.leaves.raw), limit: .zero, trigger: .zero, why: nil, decision: 0, created: 0, changed: 0)
            if let said = OrderReport(state: recovered.state, filled: recovered.filled.raw, snapshot: true) { state.take(said, at: 0) }
            after.orders.append(state)
        }
        for index in after.orders.indices {
            for fill in outcome.fills where fill.order == after.orders[index].id {
                try after.orders[index].take(fill: fill.quantity, worth: .zero, fee: .zero, at: 0)
            }
            for order in outcome.orders where order.id == after.orders[index].id {
                if let said = OrderReport(state: order.state, filled: order.filled.raw, snapshot: true) { after.orders[index].take(said, at: 0) }
            }
        }
        for index in after.holdings.indices {
            for fill in outcome.fills where fill.instrument == after.holdings[index].instrument {
                after.holdings[index].quantity.raw += fill.side == KEEL_BUY ? Int128(fill.quantity.raw) : -Int128(fill.quantity.raw)
            }
        }
        let second = Reconcile.run(after, report)
        #expect(second.fills.isEmpty && second.orders.isEmpty && second.recovered.isEmpty, "seed \(seed)")
        #expect(second.missing == outcome.missing)
        #expect(second.differences.filter { $0.kind == .position } == outcome.differences.filter { $0.kind == .position })
    }

    @Test func differencesSayWhatDiffers() {
        var report = VenueReport()
        report.positions[1] = amount("0.5")
        let holding = KnownAccount.Holding(instrument: 1, symbol: "BTC/USDT", quantity: amount("0.7"), owned: true, base: "BTC", lot: fixed("0.001"))
        let outcome = Reconcile.run(KnownAccount(orders: [], holdings: [holding], asked: 10, seen: { _ in false }), report)
        #expect(outcome.differences.map(\.description) == ["BTC/USDT: position 0.7 here, 0.5 at the venue"])
    }

    @Test func moreThanOursIsTheUsersOwnOnSpotButNotOnContracts() {
        var report = VenueReport()
        report.positions[1] = amount("5")
        func agrees(owned: Bool, here: String) -> Bool {
            let holding = KnownAccount.Holding(instrument: 1, symbol: "X", quantity: amount(here), owned: owned, base: "X", lot: fixed("0.001"))
            return Reconcile.run(KnownAccount(orders: [], holdings: [holding], asked: 10, seen: { _ in false }), report).differences.isEmpty
        }
        #expect(agrees(owned: true, here: "1") && !agrees(owned: false, here: "1") && agrees(owned: false, here: "5.0005"))
        #expect(!agrees(owned: true, here: "6"))
    }

    @Test func spotPositionsMayBeSeenAsBalances() {
        var report = VenueReport()
        report.balances["BTC"] = amount("0.7")
        let holding = KnownAccount.Holding(instrument: 1, symbol: "BTC/USDT", quantity: amount("0.7"), owned: true, base: "BTC", lot: .zero)
        #expect(Reconcile.run(KnownAccount(orders: [], holdings: [holding], asked: 10, seen: { _ in false }), report).differences.isEmpty)
        #expect(!Reconcile.run(KnownAccount(orders: [], holdings: [holding], asked: 10, seen: { _ in false }), VenueReport()).differences.isEmpty)
    }

    @Test func whatWasSentAfterTheQuestionIsNotMissing() {
        var early = order()
        early.sent = 5
        var late = order()
        late.id = late.id.child(2)
        late.sent = 15
        let outcome = Reconcile.run(KnownAccount(orders: [early, late], holdings: [], asked: 10, seen: { _ in false }), VenueReport())
        #expect(outcome.missing == [early.id])
    }

    private static func withoutPlaces(_ outcome: Reconciliation) -> Reconciliation {
        var outcome = outcome
        for index in outcome.fills.indices { outcome.fills[index].index = 0 }
        for index in outcome.orders.indices { outcome.orders[index].index = 0 }
        for index in outcome.recovered.indices { outcome.recovered[index].index = 0 }
        for index in outcome.external.indices { outcome.external[index].index = 0 }
        for index in outcome.externalFills.indices { outcome.externalFills[index].index = 0 }
        return outcome
    }

    private static func random(_ dice: inout Dice) -> (KnownAccount, VenueReport) {
        var orders: [OrderState] = []
        var report = VenueReport()
        var seen: Set<FillKey> = []
        var held: [keel_instrument_id: Int128] = [1: 0, 2: 0]
        for number in 0..<Int(dice.next() % 12 + 1) {
            var state = order("10", status: .open)
            state.id = OrderID(run: 1, pipeline: 0, instrument: 0, sequence: UInt64(number + 1), leg: .entry, child: 1)
            state.instrument = UInt32(dice.next() % 2 + 1)
            state.side = dice.chance(0.5) ? KEEL_BUY : KEEL_SELL
            state.sent = 1
            let total = Int64(dice.next() % 11)
            var left = total
            var part = 0
            while left > 0 {
                let size = min(left, Int64(dice.next() % 4 + 1))
                left -= size
                part += 1
                let key = FillKey(hi: UInt64(number + 1), lo: UInt64(part))
                let fill = VenueReport.Fill(
                    key: key, order: state.id, instrument: state.instrument, side: state.side, quantity: Fixed(raw: size * Fixed.scale),
                    time: Int64(dice.next() % 50), index: report.fills.count)
                if dice.chance(0.5) {
                    seen.insert(key)
                    try? state.take(fill: fill.quantity, worth: .zero, fee: .zero, at: 1)
                    held[state.instrument, default: 0] += state.side == KEEL_BUY ? Int128(fill.quantity.raw) : -Int128(fill.quantity.raw)
                }
                if dice.chance(0.9) { report.fills.append(fill) }
            }
            if dice.chance(0.85) { orders.append(state) }
            if total < 10, dice.chance(0.8) {
                report.orders.append(
                    VenueReport.Order(
                        id: state.id, instrument: state.instrument, state: dice.chance(0.7) ? KEEL_ORDER_OPEN : KEEL_ORDER_CANCELED, side: state.side,
                        filled: Fixed(raw: total * Fixed.scale), leaves: Fixed(raw: (10 - total) * Fixed.scale), index: report.orders.count))
            }
        }
        if dice.chance(0.3) {
            report.orders.append(
                VenueReport.Order(id: .none, instrument: 1, state: KEEL_ORDER_OPEN, side: KEEL_BUY, filled: .zero, leaves: .one, index: report.orders.count))
        }
        report.positions[1] = Amount(raw: (held[1] ?? 0) + (dice.chance(0.5) ? 0 : 5 * Int128(Fixed.scale)))
        let holdings = [1, 2].map {
            KnownAccount.Holding(
                instrument: UInt32($0), symbol: "I\($0)", quantity: Amount(raw: held[UInt32($0)] ?? 0), owned: $0 == 1, base: "B", lot: fixed("0.001"))
        }
        let remembered = seen
        return (KnownAccount(orders: orders, holdings: holdings, asked: 100, seen: { remembered.contains($0) }), report)
    }
}

@Suite struct AccountingTests {
    @Test(arguments: Array(1...20) as [UInt64]) func nothingIsLostWhateverFills(seed: UInt64) throws {
        var dice = Dice(seed)
        var position = PositionState()
        var cash: Int128 = 0, realised: Int128 = 0, fees: Int128 = 0, held: Int128 = 0
        for _ in 0..<500 {
            let side = dice.chance(0.5) ? KEEL_BUY : KEEL_SELL
            let quantity = Fixed(raw: Int64(dice.next() % 1_000_000_000) + 1)
            let price = Fixed(raw: Int64(dice.next() % 10_000_000_000_000) + 1)
            let money = price.notional(quantity)
            let fee = Amount(raw: Int128(dice.next() % 100_000))
            let effect = try position.taking(side: side, quantity: quantity, price: price, money: money, fee: fee, at: 1)
            position = effect.position
            cash += effect.cash.raw
            realised += effect.realised.raw
            fees += fee.raw
            held += side == KEEL_BUY ? Int128(quantity.raw) : -Int128(quantity.raw)
            #expect(position.quantity.raw == held, "seed \(seed)")
            let cost = position.isLong ? position.cost.raw : -position.cost.raw
            #expect(cash + cost == realised - fees, "seed \(seed): cash and cost are profit less fees, to the last step")
            if held == 0 { #expect(position.cost.isZero) }
        }
    }

    @Test func averageProfitAndTurn() throws {
        var position = PositionState()
        func fill(_ side: UInt32, _ quantity: String, _ price: String) throws -> FillEffect {
            let effect = try position.taking(
                side: side, quantity: fixed(quantity), price: fixed(price), money: fixed(price).notional(fixed(quantity)), fee: .zero, at: 9)
            position = effect.position
            return effect
        }
        _ = try fill(KEEL_BUY, "2", "100")
        _ = try fill(KEEL_BUY, "2", "110")
        #expect(position.entry == fixed("105") && position.number == 1 && position.committed == amount("420"))
        let part = try fill(KEEL_SELL, "1", "120")
        #expect(part.realised == amount("15") && part.closed == amount("1") && position.number == 1)
        let turn = try fill(KEEL_SELL, "5", "90")
        #expect(turn.realised == amount("-45") && turn.opened == amount("2"))
        #expect(position.quantity == amount("-2") && position.entry == fixed("90") && position.number == 2 && position.cost == amount("180"))
        let cover = try fill(KEEL_BUY, "2", "80")
        #expect(cover.realised == amount("20") && position.quantity.isZero)
    }

    @Test func dustGoesIntoTheNextPosition() throws {
        var dust = PositionState()
        dust.number = 4
        dust.quantity = amount("0.000001")
        dust.cost = amount("0.05")
        let effect = try dust.taking(
            side: KEEL_BUY, quantity: fixed("1"), price: fixed("50000"), money: amount("50000"), fee: .zero, isDust: true, at: 3)
        #expect(effect.position.number == 5 && effect.position.quantity == amount("1.000001") && effect.position.cost == amount("50000.05"))
    }

    @Test func baseFeesComeOutOfTheQuantity() throws {
        let effect = try PositionState().taking(
            side: KEEL_BUY, quantity: fixed("1"), price: fixed("100"), money: amount("100"), fee: .zero, feeQuantity: amount("0.001"), at: 3)
        #expect(effect.position.quantity == amount("0.999") && effect.position.initialQuantity == amount("0.999") && effect.cash == amount("-100"))
    }
}

@Suite struct ExitLevelTests {
    func position(_ quantity: String = "1", entry: String = "100", peak: String? = nil) -> PositionState {
        var position = PositionState()
        position.quantity = amount(quantity)
        position.entry = fixed(entry)
        position.peak = fixed(peak ?? entry)
        position.initialQuantity = amount(quantity)
        return position
    }
    let rules = ExitRules(PositionSettings())

    @Test func defaults() {
        let levels = position().levels(rules)
        #expect(levels.stop == fixed("96") && levels.trail.isZero && levels.hard.isZero)
        #expect(position(peak: "104.99").levels(rules).trail.isZero, "the trailing stop is not active below 5 %")
        #expect(position(peak: "120").levels(rules).trail == fixed("105.6"))
        let short = position("-1", peak: "80").levels(rules)
        #expect(short.stop == fixed("104") && short.trail == fixed("89.6"))
    }

    @Test func theFirstLevelOnTheWayIsTheReason() {
        var long = position(peak: "120")
        long.hardStop = fixed("97")
        #expect(long.crossed(rules, low: fixed("90"), high: fixed("121"))?.why == .trailingStop)
        #expect(long.crossed(rules, low: fixed("106"), high: fixed("121")) == nil)
        var flatish = position()
        flatish.hardStop = fixed("97")
        #expect(flatish.crossed(rules, low: fixed("96.5"), high: fixed("100"))?.why == .hardStop)
        #expect(flatish.crossed(rules, low: fixed("90"), high: fixed("100"))?.why == .hardStop)
        #expect(position("-1").crossed(rules, low: fixed("99"), high: fixed("105"))?.why == .stopLoss)
    }

    @Test func theHardStopOnlyTightens() {
        var long = position()
        check(long.tighten(rules, atr: 2) && long.hardStop == fixed("94"))
        check(!long.tighten(rules, atr: 3) && long.hardStop == fixed("94"))
        check(long.tighten(rules, atr: 1) && long.hardStop == fixed("97"))
        var short = position("-1")
        check(short.tighten(rules, atr: 2) && short.hardStop == fixed("106"))
        check(!short.tighten(rules, atr: 4) && short.tighten(rules, atr: 1) && short.hardStop == fixed("103"))
        check(!short.tighten(rules, atr: .nan) && !short.tighten(rules, atr: nil) && !short.tighten(rules, atr: 1e300))
    }

    @Test func ratchetNeverLoosensOnRandomMarkets() {
        var dice = Dice(8)
        var long = position()
        var before = Fixed.zero
        for _ in 0..<1000 {
            _ = long.tighten(rules, atr: abs(dice.normal()) * 3)
            #expect(long.hardStop >= before)
            before = long.hardStop
        }
    }

    @Test func stagesFireOnceAndFloorToLots() {
        let instrument = Instrument(Rig.instrument(), id: 1)
        let stages = [
            PositionSettings.Stage(gain: fixed("0.1"), fraction: fixed("0.33333333")), .init(gain: fixed("0.2"), fraction: fixed("0.33333333")),
            .init(gain: fixed("0.3"), fraction: fixed("0.33333334")),
        ]
        var long = position("1")
        #expect(long.reachedStages(stages, price: fixed("109.99"), instrument: instrument) == nil)
        let first = long.reachedStages(stages, price: fixed("110"), instrument: instrument)
        #expect(first?.quantity == fixed("0.33333") && first?.mask == 1)
        long.stagesDone = 1
        long.stagedQuantity = amount("0.33333")
        long.quantity = amount("0.66667")
        #expect(long.reachedStages(stages, price: fixed("119"), instrument: instrument) == nil)
        // A jump over two stages closes both at once, and the last takes the remainder.
        let rest = long.reachedStages(stages, price: fixed("140"), instrument: instrument)
        #expect(rest?.quantity == fixed("0.66667") && rest?.mask == 7)
    }

    @Test func stagesTooSmallForAnOrderWaitForTheNext() {
        let instrument = Instrument(Rig.instrument(), id: 1)
        let stages = [PositionSettings.Stage(gain: fixed("0.1"), fraction: fixed("0.03")), .init(gain: fixed("0.2"), fraction: fixed("0.5"))]
        let long = position("1", entry: "100")
        #expect(long.reachedStages(stages, price: fixed("110"), instrument: instrument) == nil, "3.3 is below the least notional of 5")
        #expect(long.reachedStages(stages, price: fixed("121"), instrument: instrument)?.quantity == fixed("0.53"))
    }

    @Test func scoreLeansOnWhatIsKnown() {
        #expect(ReviewScore().value == nil)
        #expect(ReviewScore(trend: -1, momentum: -1, profit: -1, retreat: -1, flow: -1).value == -1)
        #expect(abs((ReviewScore(trend: 1, profit: -1).value ?? .nan) - 0.2) < 1e-12)
        #expect(ReviewScore(trend: .nan, momentum: .infinity).value == nil)
        #expect(abs((ReviewScore(momentum: -7, retreat: 0).value ?? .nan) + 0.5) < 1e-12)
        let closes = (0..<20).map { 100 - Double($0) }
        let long = ReviewScore.from(closes: closes, atr: 1, direction: 1, gain: 0.02, stop: 0.04, retreat: 0.06, trailing: 0.12, flow: 0.3)
        #expect(long.trend == 7.5 && long.profit == 0.5 && long.retreat == -0.5 && long.flow == 0.3)
        let short = ReviewScore.from(closes: closes, atr: 1, direction: -1, gain: nil, stop: nil, retreat: nil, trailing: nil, flow: nil)
        #expect(short.trend == -7.5 && short.profit == nil)
    }
}
