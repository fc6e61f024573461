import HostCore
import PluginAPI
import PluginKit

@testable import HostCore
@testable import HostLedger

/// A made-up trading day: records as an engine would write them, and what a restart must find after any number of units.
struct Scenario {
    /// Records that are stored together, and whether a barrier (an order leaves) or a boundary ends them.
    struct Unit {
        var records: [LedgerRecord]
        var barrier: Bool
    }

    static let names = RunNames(
        ports: ["sim", "rules", "direct"], pipelines: [.init(name: "btc", broker: "sim"), .init(name: "eth", broker: "sim")],
        instruments: ["BTC/USDT", "ETH/USDT"])

    static func facts(started: Int64 = start) -> RunFacts {
        func plugin(_ name: String, _ role: String) -> RunFacts.Plugin {
            .init(name: name, component: "keel.\(name)", version: "1.0.0", file: "lib\(name).so", sha256: "00", roles: [role], isolation: "none")
        }
        let chain = ChainSettings(primary: "rules")
        return RunFacts(
            started: started, mode: "paper", pid: 1, keel: "0.0", plugins: [plugin("sim", "broker"), plugin("rules", "decider"), plugin("direct", "router")],
            pipelines: [
                PipelineSettings(name: "btc", feeds: ["sim"], instruments: ["BTC/USDT"], chain: chain, router: "direct", broker: "sim"),
                PipelineSettings(name: "eth", feeds: ["sim"], instruments: ["ETH/USDT"], chain: chain, router: "direct", broker: "sim"),
            ],
            instruments: ["BTC", "ETH"].map {
                InstrumentSettings(symbol: "\($0)/USDT", base: $0, quote: "USDT", tick: Fixed(raw: 1_000_000), lot: Fixed(raw: 1_000))
            })
    }

    static let start: Int64 = 1_785_542_400_000_000_000  // 2026-08-01

    var units: [Unit] = []

    private var dice: Dice
    private var time = Scenario.start
    private var books: [BookState]
    private var pipelines: [PipelineState]
    private var live: [[OrderState]] = [[], []]
    private var fillNumber: UInt64 = 0

    init(seed: UInt64, steps: Int) {
        dice = Dice(seed: seed)
        pipelines = Scenario.names.pipelines.map { PipelineState(name: $0.name) }
        books = zip(Scenario.names.pipelines, Scenario.names.instruments).map { BookState(pipeline: $0.name, symbol: $1) }
        for index in pipelines.indices { pipelines[index].cash = Amount(raw: 10_000 * 100_000_000) }
        var header = HeaderState()
        header.run = 1
        units.append(Unit(records: [.run(RunRecord(time: time, run: 1, change: .started)), .state(.header(header))], barrier: true))
        for _ in 0..<steps { step() }
    }

    private mutating func step() {
        time += Int64(dice.below(30_000)) * 1_000_000 + 1
        let index = dice.below(2)
        if dice.chance(35), let order = live[index].first { return fill(index, order) }
        switch dice.below(10) {
        case 0...2: hold(index)
        case 3...6: enter(index)
        default: other(index)
        }
    }

    private mutating func decision(_ index: Int, outcome: DecisionRecord.Outcome, order: OrderID) -> [LedgerRecord] {
        pipelines[index].decisionSequence += 1
        let hash = (dice.next(), dice.next())
        books[index].memory = "seen \(pipelines[index].decisionSequence)"
        books[index].timerAt = time + 60_000_000_000
        books[index].lastDecision = time
        books[index].wakes = [WakeCondition(condition: KEEL_WAKE_PRICE_ABOVE, level: Fixed(raw: Int64(dice.below(1_000_000_000))), reference: .one)]
        let instrument = keel_instrument_id(index + 1)
        return [
            .snapshot(SnapshotRecord(
                time: time, pipeline: index, instrument: instrument, sequence: pipelines[index].decisionSequence, hi: hash.0, lo: hash.1,
                bytes: (0..<dice.below(500)).map { UInt8(truncatingIfNeeded: $0) })),
            .decision(DecisionRecord(
                time: time + 5_000_000, pipeline: index, instrument: instrument, sequence: pipelines[index].decisionSequence, decider: 1,
                request: pipelines[index].decisionSequence, asked: time, snapshotHi: hash.0, snapshotLo: hash.1, purpose: KEEL_PURPOSE_ENTRY,
                gate: KEEL_GATE_CANDLE | KEEL_GATE_WAKE, action: outcome == .hold ? KEEL_ACT_HOLD : KEEL_ACT_BUY, fraction: Fixed(raw: 5_000_000), quantity: .zero,
                confidence: Fixed(raw: 70_000_000), exitProbability: Fixed(raw: -1), nextCheck: 60_000_000_000, validUntil: 0, cost: Amount(raw: 1_200_000),
                tokensIn: 900, tokensCached: 800, tokensOut: 40, fromRecord: false, outcome: outcome, order: order, reason: "the trend 'is' up; DROP TABLE",
                memory: books[index].memory, model: "rules", signals: [.init(name: "trend", confidence: .one, direction: 1)], wakes: books[index].wakes)),
        ]
    }

    private mutating func hold(_ index: Int) {
        let records = decision(index, outcome: .hold, order: .none)
        units.append(Unit(records: records + [.state(.book(books[index])), .state(.pipeline(pipelines[index]))], barrier: false))
    }

    private mutating func enter(_ index: Int) {
        let id = OrderID(run: 1, pipeline: index, instrument: index, sequence: pipelines[index].decisionSequence + 1, leg: .entry)
        let records = decision(index, outcome: .ordered, order: id)
        let quantity = Fixed(raw: Int64(dice.below(1_000) + 1) * 1_000)
        let side = dice.chance(50) ? KEEL_BUY : KEEL_SELL
        let features = KEEL_ORD_LIMIT | KEEL_ORD_POST_ONLY
        let limit = Fixed(raw: 50_000 * 100_000_000)
        let intent = IntentRecord(
            time: time, pipeline: index, instrument: keel_instrument_id(index + 1), order: id, replaces: .none, broker: 0, role: .entry, side: side,
            features: features, quantity: quantity, limit: limit, trigger: .zero, notAfter: 0, decision: pipelines[index].decisionSequence)
        units.append(Unit(records: records + [.intent(intent)], barrier: true))
        var order = OrderState(
            restoring: id, pipeline: index, instrument: keel_instrument_id(index + 1), broker: 0, role: .entry, status: .pending, side: side,
            features: features, quantity: quantity, limit: limit, trigger: .zero, why: nil, decision: pipelines[index].decisionSequence, created: time,
            changed: time)
        order.sent = time
        order.request = pipelines[index].decisionSequence
        live[index].append(order)
        units.append(Unit(
            records: [
                .order(OrderRecord(time: time, order: order, before: .intended, vendorCode: 0, venueID: "v\(id.sequence)", message: "")),
                .state(.pipeline(pipelines[index])), .state(.book(books[index])),
            ], barrier: false))
    }

    private mutating func fill(_ index: Int, _ before: OrderState) {
        var order = before
        let leaves = order.quantity.raw - order.filled.raw
        let part = Fixed(raw: dice.chance(50) ? leaves : max(1, leaves / 2))
        let price = Fixed(raw: Int64(49_000 + dice.below(2_000)) * 100_000_000)
        let fee = Amount(raw: Int128(dice.below(100_000)))
        fillNumber += 1
        order.filled.raw += part.raw
        order.reported = order.filled
        order.notional.raw += price.notional(part).raw
        order.fees.raw += fee.raw
        order.status = order.filled == order.quantity ? .filled : .partlyFilled
        order.changed = time
        if order.isSettled { live[index].removeFirst() } else { live[index][0] = order }
        let sign: Int128 = order.side == KEEL_BUY ? 1 : -1
        books[index].position.quantity.raw += sign * Int128(part.raw)
        books[index].position.entry = books[index].position.quantity.isZero ? .zero : price
        books[index].position.peak = price
        pipelines[index].cash.raw -= sign * price.notional(part).raw + fee.raw
        pipelines[index].fees.raw += fee.raw
        let instrument = keel_instrument_id(index + 1)
        var records: [LedgerRecord] = [
            .fill(FillRecord(
                time: time, atSource: time - 1_000, pipeline: index, instrument: instrument, order: order.id, side: order.side, quantity: part, price: price,
                fee: fee, liquidity: KEEL_LIQUIDITY_MAKER, key: FillKey(hi: 7, lo: fillNumber), profit: .zero, feeAsset: "USDT", fillID: "f\(fillNumber)",
                venueID: "v\(order.id.sequence)")),
            .order(OrderRecord(time: time, order: order, before: before.status, vendorCode: 0)),
            .position(PositionRecord(
                time: time, pipeline: index, instrument: instrument, quantity: books[index].position.quantity, entry: books[index].position.entry,
                cash: pipelines[index].cash, equity: pipelines[index].cash, realised: .zero, fees: pipelines[index].fees)),
        ]
        if books[index].position.quantity.isZero {
            books[index].position.number += 1
            records.append(.exit(ExitRecord(
                time: time, pipeline: index, instrument: instrument, position: books[index].position.number, why: .decider, whole: true, order: order.id,
                quantity: Amount(part), entry: price, price: price, profit: .zero, opened: time - 5, level: .zero)))
        }
        records += [.state(.book(books[index])), .state(.pipeline(pipelines[index]))]
        units.append(Unit(records: records, barrier: false))
    }

    private mutating func other(_ index: Int) {
        let instrument = keel_instrument_id(index + 1)
        var records: [LedgerRecord] = []
        switch dice.below(8) {
        case 0:
            records = [.balance(BalanceRecord(time: time, broker: 0, asset: "USDT", total: pipelines[index].cash, available: pipelines[index].cash))]
        case 1:
            let rule = Rule.allCases[dice.below(Rule.allCases.count)]
            records = [.refusal(RefusalRecord(
                time: time, pipeline: index, instrument: instrument, rule: rule, value: Amount(raw: 5), limit: Amount(raw: 4),
                unit: dice.below(2) == 0 ? .amount : .span,
                decision: pipelines[index].decisionSequence, order: .none, detail: "too much"))]
        case 2:
            pipelines[index].losingStreak += 1
            pipelines[index].streakUntil = time + 1
            records = [
                .breaker(BreakerRecord(time: time, pipeline: index, breaker: .losingStreak, open: true, until: time + 1, value: Amount(raw: 5), limit: Amount(raw: 5), unit: .count, port: -1)),
                .state(.pipeline(pipelines[index])),
            ]
        case 3:
            records = [
                .agreement(AgreementRecord(time: time, broker: 0, agreed: true, differences: [])), .state(.broker(BrokerState(name: "sim", syncedAt: time))),
            ]
        case 4: records = [.takeover(TakeoverRecord(time: time, pipeline: index, instrument: instrument, from: 1, to: -1, why: .timeout, status: KEEL_E_TIMEOUT))]
        case 5: records = [.alert(Alert(time: time, severity: .warning, kind: "stale", pipeline: "btc", symbol: "BTC/USDT", text: "no trade for 90 s"))]
        case 6:
            var counters = GateCounters()
            counters.events = UInt64(dice.below(1_000))
            records = [
                .gate(GateRecord(time: time, pipeline: index, instrument: instrument, counters: counters)),
                .state(.learner((0..<dice.below(200)).map { UInt8(truncatingIfNeeded: $0 * 3) })),
            ]
        default:
            records = [
                .link(LinkRecord(time: time, port: 0, state: KEEL_LINK_UP, why: 0, name: "md", message: "")),
                .session(SessionRecord(time: time, port: 0, instrument: instrument, state: KEEL_SESSION_OPEN, nextChange: 0)),
                .routing(RoutingRecord(
                    time: time, pipeline: index, instrument: instrument, router: 2, step: .done, order: OrderID(hi: 1, lo: 65536), quantity: .one, limit: .one, status: 0)),
                .funding(FundingRecord(time: time, pipeline: index, instrument: instrument, amount: Amount(raw: -5), rate: Fixed(raw: 1), asset: "USDT", payment: "p\(dice.next())")),
                .external(ExternalRecord(
                    time: time, broker: 0, instrument: instrument, kind: .order, order: .none, side: KEEL_BUY, quantity: Amount(raw: 5), price: .one, state: KEEL_ORDER_OPEN)),
            ]
        }
        units.append(Unit(records: records, barrier: false))
    }

    /// What a restart must find when the first `count` units are stored.
    func expected(after count: Int) -> EngineState {
        var state = EngineState()
        var orders: [OrderID: OrderState] = [:]
        for unit in units.prefix(count) {
            for record in unit.records {
                switch record {
                case .state(let row): state.apply(row)
                case .intent(let intent):
                    orders[intent.order] = OrderState(
                        restoring: intent.order, pipeline: intent.pipeline, instrument: intent.instrument, broker: intent.broker, role: intent.role,
                        status: .intended, side: intent.side, features: intent.features, quantity: intent.quantity, limit: intent.limit,
                        trigger: intent.trigger, why: nil, decision: intent.decision, created: intent.time, changed: intent.time)
                case .order(let value): orders[value.order.id] = value.order
                case .fill(let value): state.fills.append(value.key)
                default: break
                }
            }
        }
        state.orders = orders.values.sorted { $0.id < $1.id }
        return state.sorted
    }

    func play(_ writer: LedgerWriter, from first: Int = 0, to last: Int? = nil, after: (Int, Unit) -> Void = { _, _ in }) {
        for index in first..<(last ?? units.count) {
            for record in units[index].records { writer.record(record) }
            if units[index].barrier { _ = writer.barrier() } else { writer.boundary() }
            after(index, units[index])
        }
    }
}

extension EngineState {
    /// Lists whose order means nothing in an order of their own.
    var sorted: EngineState {
        var copy = self
        copy.orders.sort { $0.id < $1.id }
        copy.books.sort { $0.pipeline < $1.pipeline }
        copy.pipelines.sort { $0.name < $1.name }
        copy.brokers.sort { $0.name < $1.name }
        return copy
    }
}

extension Ledger {
    /// How many rows a table has.
    func count(_ table: String) throws -> Int64 { try database.integer("SELECT count(*) FROM \(table)") ?? -1 }
}
