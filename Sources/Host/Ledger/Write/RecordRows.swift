import HostCore
import PluginAPI
import PluginKit

/// Turns the engine's records into rows. Called inside a transaction.
struct RecordRows {
    let database: Database
    let names: RunNames
    let run: UInt32
    private let statements = Statements()
    /// Fills that were already there: the venue reported them again and the engine didn't know.
    private(set) var duplicateFills = 0

    init(_ database: Database, names: RunNames, run: UInt32) {
        self.database = database
        self.names = names
        self.run = run
    }

    mutating func write(_ record: LedgerRecord, step: UInt64) throws(SQLiteError) {
        let head: [SQLValue] = [.init(run), .init(bits: step)]
        switch record {
        case .run(let value):
            try insert("run_changes (run, step, time, change)", head + [.integer(value.time), .text(value.change.rawValue)])
        case .decision(let value), .shadow(let value): try write(value, head)
        case .snapshot(let value): try write(value, head)
        case .intent(let value): try write(value, step)
        case .order(let value): try write(value, step)
        case .fill(let value): try write(value, step)
        case .position(let value): try write(value, head)
        case .balance(let value):
            let row: [SQLValue] = [.text(names.port(value.broker)), .text(value.asset), .init(value.total), .init(value.available)]
            try insert("balance_changes (run, step, time, broker, asset, total, available)", head + [.integer(value.time)] + row)
            try insert(
                "balances (run, step, time, broker, asset, total, available)", head + [.integer(value.time)] + row,
                "ON CONFLICT (broker, asset) DO UPDATE SET run = excluded.run, step = excluded.step, time = excluded.time, total = excluded.total, available = excluded.available")
        case .funding(let value):
            try insert(
                "funding (run, step, time, pipeline, symbol, amount, rate, asset, payment)",
                place(head, value.time, value.pipeline, value.instrument) + [.init(value.amount), .init(value.rate), .text(value.asset), .text(value.payment)],
                "ON CONFLICT DO NOTHING")
        case .exit(let value):
            try insert(
                "exits (run, step, time, pipeline, symbol, position, why, whole, order_id, quantity, entry, price, profit, opened, level)",
                place(head, value.time, value.pipeline, value.instrument) + [
                    .init(bits: value.position), .text(value.why.rawValue), .init(value.whole), id(value.order), .init(value.quantity), .init(value.entry),
                    .init(value.price), .init(value.profit), .integer(value.opened), .init(value.level),
                ])
        case .outcome(let value):
            try insert(
                """
                outcomes (run, step, time, pipeline, symbol, position, decision, decider, side, opened, why, profit, ratio, regime, macro, volatility, signals)
                """,
                place(head, value.time, value.pipeline, value.instrument) + [
                    .init(bits: value.position), .init(bits: value.opening.decision), .text(value.opening.decider), .text(value.side > 0 ? "long" : "short"),
                    .integer(value.opened), .text(value.why.rawValue), .init(value.profit), .init(value.ratio), .text(Words.regime(value.opening.regime)),
                    .text(Words.macro(value.opening.macro)), .text(Words.volatility(value.opening.volatility)), try json(value.signals),
                ])
        case .refusal(let value):
            try insert(
                "refusals (run, step, time, pipeline, symbol, rule, value, bound, unit, decision, order_id, detail)",
                place(head, value.time, value.pipeline, value.instrument) + [
                    .text(value.rule.rawValue), .text(Words.number(value.value, value.unit)), .text(Words.number(value.limit, value.unit)), .text(value.unit.rawValue),
                    .init(bits: value.decision), id(value.order), .text(value.detail),
                ])
        case .breaker(let value):
            try insert(
                "breakers (run, step, time, pipeline, breaker, decider, open, until, value, bound, unit)",
                head + [
                    .integer(value.time), .text(names.pipeline(value.pipeline)), .text(value.breaker.rawValue), .text(names.port(value.port)), .init(value.open),
                    .integer(value.until), .text(Words.number(value.value, value.unit)), .text(Words.number(value.limit, value.unit)), .text(value.unit.rawValue),
                ])
        case .takeover(let value):
            try insert(
                "takeovers (run, step, time, pipeline, symbol, from_decider, to_decider, why, status, detail)",
                place(head, value.time, value.pipeline, value.instrument) + [
                    .text(names.port(value.from)), .text(names.port(value.to)), .text(value.why.rawValue), .integer(Int64(value.status)), .text(value.detail),
                ])
        case .routing(let value):
            try insert(
                "routing (run, step, time, pipeline, symbol, router, what, order_id, parent, quantity, limit_price, status, detail)",
                place(head, value.time, value.pipeline, value.instrument) + [
                    .text(names.port(value.router)), .text(value.step.rawValue), .text(value.order.description), .text(value.order.parent.description),
                    .init(value.quantity), .init(value.limit), .integer(Int64(value.status)), .text(value.detail),
                ])
        case .gate(let value): try write(value, step)
        case .external(let value):
            try insert(
                "externals (run, step, time, broker, symbol, kind, order_id, side, quantity, price, state, venue_id)",
                head + [
                    .integer(value.time), .text(names.port(value.broker)), .text(names.symbol(value.instrument)), .text(value.kind.rawValue), id(value.order),
                    .text(Words.side(value.side)), .init(value.quantity), .init(value.price), .text(Words.venueState(value.state)), .text(value.venueID),
                ])
        case .link(let value):
            try insert(
                "links (run, step, time, plugin, state, why, name, message)",
                head + [
                    .integer(value.time), .text(names.port(value.port)), .text(Words.link(value.state)), .integer(Int64(value.why)), .text(value.name),
                    .text(value.message),
                ])
        case .session(let value):
            try insert(
                "sessions (run, step, time, plugin, symbol, state, next_change)",
                head + [
                    .integer(value.time), .text(names.port(value.port)), .text(names.symbol(value.instrument)), .text(Words.session(value.state)),
                    .integer(value.nextChange),
                ])
        case .agreement(let value):
            try insert(
                "agreements (run, step, time, broker, agreed, differences)",
                head + [.integer(value.time), .text(names.port(value.broker)), .init(value.agreed), .text(value.differences.joined(separator: "\n"))])
        case .alert(let value): try write(value, step)
        case .state(let value): try write(value, head)
        }
    }

    // MARK: One record each

    private func write(_ value: DecisionRecord, _ head: [SQLValue]) throws(SQLiteError) {
        try insert(
            """
            decisions (run, step, time, pipeline, symbol, sequence, decider, request, asked, snapshot, purpose, gate, action, fraction, quantity,
            confidence, exit_probability, next_check, valid_until, cost, tokens_in, tokens_cached, tokens_out, from_record, outcome, order_id, reason,
            memory, model, signals, wakes, price)
            """,
            place(head, value.time, value.pipeline, value.instrument) + [
                .init(bits: value.sequence), .text(value.decider < 0 ? "score" : names.port(value.decider)), .init(bits: value.request), .integer(value.asked),
                .text(Words.hex(value.snapshotHi, value.snapshotLo)), .text(Words.purpose(value.purpose)), .text(Words.gate(value.gate)),
                .text(Words.action(value.action)), .init(value.fraction), .init(value.quantity), .init(value.confidence), .init(value.exitProbability),
                .integer(value.nextCheck), .integer(value.validUntil), .init(value.cost), .init(bits: value.tokensIn), .init(bits: value.tokensCached),
                .init(bits: value.tokensOut), .init(value.fromRecord), .text(value.outcome.rawValue), id(value.order), .text(value.reason),
                .text(value.memory), .text(value.model), try json(value.signals), try json(value.wakes), .init(value.price),
            ])
    }

    private func write(_ value: SnapshotRecord, _ head: [SQLValue]) throws(SQLiteError) {
        try insert(
            "snapshots (run, step, time, pipeline, symbol, sequence, hash, bytes)",
            place(head, value.time, value.pipeline, value.instrument) + [
                .init(bits: value.sequence), .text(Words.hex(value.hi, value.lo)), value.bytes.isEmpty ? .null : .blob(value.bytes),
            ], "ON CONFLICT DO NOTHING")
    }

    /// The same id again is fine if it is the same order, and the end of the run if it isn't: it must not be sent.
    private func write(_ value: IntentRecord, _ step: UInt64) throws(SQLiteError) {
        let order: [SQLValue] = [
            .text(value.order.description), .text(names.pipeline(value.pipeline)), .text(names.symbol(value.instrument)), .text(names.port(value.broker)),
            id(value.replaces), .text(Words.role(value.role)), .text(Words.side(value.side)), .text(Words.kind(value.features)), .init(bits: value.features),
            .init(value.quantity), .init(value.limit), .init(value.trigger), .integer(value.notAfter), .init(bits: value.decision),
        ]
        try insert(
            """
            intents (order_id, pipeline, symbol, broker, replaces, role, side, kind, features, quantity, limit_price, trigger_price, not_after, decision,
            run, step, time)
            """, order + [.init(run), .init(bits: step), .integer(value.time)], "ON CONFLICT (order_id) DO NOTHING")
        guard database.changes == 0 else { return }
        let same = try database.rows(
            "SELECT count(*) FROM intents WHERE order_id = ? AND pipeline = ? AND symbol = ? AND broker = ? AND side = ? AND features = ? AND quantity = ? AND limit_price = ? AND trigger_price = ?",
            [order[0], order[1], order[2], order[3], order[6], order[8], order[9], order[10], order[11]]) { row throws(SQLiteError) in try row.integer(0) }
        guard same == [1] else {
            throw .constraint(path: database.path, during: "recording an intent", message: "order id \(value.order) was already used for another order")
        }
    }

    private func write(_ value: OrderRecord, _ step: UInt64) throws(SQLiteError) {
        let order = value.order
        try insert(
            "order_changes (run, step, time, order_id, before, status, filled, reported, vendor_code, venue_id, message)",
            [
                .init(run), .init(bits: step), .integer(value.time), .text(order.id.description), .text(value.before.word), .text(order.status.word),
                .init(order.filled), .init(order.reported), .integer(value.vendorCode), .text(value.venueID), .text(value.message),
            ])
        // Names of an order from an earlier run come from its first row: this run's plan may not know them.
        let known = try database.rows(
            "SELECT pipeline, symbol, broker FROM orders WHERE order_id = ?1 UNION ALL SELECT pipeline, symbol, broker FROM intents WHERE order_id = ?1",
            [.text(order.id.description)]) { row throws(SQLiteError) in [try row.text(0), try row.text(1), try row.text(2)] }
        let place = known.first ?? [names.pipeline(order.pipeline), names.symbol(order.instrument), names.port(order.broker)]
        try insert(
            """
            orders (order_id, run, step, pipeline, symbol, broker, role, status, settled, side, kind, features, quantity, limit_price, trigger_price, why,
            decision, created, sent, changed, filled, reported, notional, fees, cancel_requested, inferred, missing, request, vendor_code, venue_id, message)
            """,
            [
                .text(order.id.description), .init(order.id.run), .init(bits: step), .text(place[0]), .text(place[1]), .text(place[2]), .text(Words.role(order.role)),
                .text(order.status.word), .init(order.isSettled), .text(Words.side(order.side)), .text(Words.kind(order.features)), .init(bits: order.features),
                .init(order.quantity), .init(order.limit), .init(order.trigger), .init(order.why?.rawValue), .init(bits: order.decision), .integer(order.created),
                .integer(order.sent), .integer(order.changed), .init(order.filled), .init(order.reported), .init(order.notional), .init(order.fees),
                .init(order.cancelRequested), .init(order.inferred), .init(order.missing), .init(bits: order.request), .integer(value.vendorCode),
                .text(value.venueID), .text(value.message),
            ],
            """
            ON CONFLICT (order_id) DO UPDATE SET step = excluded.step, status = excluded.status, settled = excluded.settled, quantity = excluded.quantity,
            limit_price = excluded.limit_price, trigger_price = excluded.trigger_price, why = excluded.why, sent = excluded.sent, changed = excluded.changed,
            filled = excluded.filled, reported = excluded.reported, notional = excluded.notional, fees = excluded.fees,
            cancel_requested = excluded.cancel_requested, inferred = excluded.inferred, missing = excluded.missing, request = excluded.request,
            vendor_code = excluded.vendor_code, venue_id = coalesce(nullif(excluded.venue_id, ''), venue_id), message = excluded.message
            """)
    }

    private mutating func write(_ value: FillRecord, _ step: UInt64) throws(SQLiteError) {
        let broker = SQLValue.text(names.broker(ofPipeline: value.pipeline))
        let symbol = SQLValue.text(names.symbol(value.instrument))
        let key = SQLValue.text(Words.hex(value.key.hi, value.key.lo))
        try insert(
            """
            fills (run, step, time, pipeline, symbol, at_venue, broker, order_id, side, quantity, price, fee, fee_asset, liquidity, profit, fill_key,
            fill_id, venue_id)
            """,
            [
                .init(run), .init(bits: step), .integer(value.time), .text(names.pipeline(value.pipeline)), symbol, .integer(value.atSource), broker,
                .text(value.order.description), .text(Words.side(value.side)), .init(value.quantity), .init(value.price), .init(value.fee),
                .text(value.feeAsset), .text(Words.liquidity(value.liquidity)), .init(value.profit), key, .text(value.fillID), .text(value.venueID),
            ], "ON CONFLICT DO NOTHING")
        guard database.changes == 0 else { return }
        // The engine counted a fill twice that the ledger has once: rows and state will disagree, and a person must know why.
        duplicateFills += 1
        try write(
            Alert(
                time: value.time, severity: .critical, kind: "duplicate-fill", pipeline: names.pipeline(value.pipeline), symbol: names.symbol(value.instrument),
                text: "fill \(value.fillID.isEmpty ? Words.hex(value.key.hi, value.key.lo) : value.fillID) of order \(value.order) was recorded before and is kept once"),
            step)
    }

    private func write(_ value: PositionRecord, _ head: [SQLValue]) throws(SQLiteError) {
        let row = place(head, value.time, value.pipeline, value.instrument) + [
            .init(value.quantity), .init(value.entry), .init(value.cash), .init(value.equity), .init(value.realised), .init(value.fees),
        ]
        try insert("position_changes (run, step, time, pipeline, symbol, quantity, entry, cash, equity, realised, fees)", row)
        try insert(
            "positions (run, step, time, pipeline, symbol, quantity, entry, cash, equity, realised, fees)", row,
            """
            ON CONFLICT (pipeline, symbol) DO UPDATE SET run = excluded.run, step = excluded.step, time = excluded.time, quantity = excluded.quantity,
            entry = excluded.entry, cash = excluded.cash, equity = excluded.equity, realised = excluded.realised, fees = excluded.fees
            """)
    }

    private func write(_ value: GateRecord, _ step: UInt64) throws(SQLiteError) {
        let counters = value.counters
        let counts = [
            counters.events, counters.passed, counters.timerPasses, counters.candle, counters.timer, counters.priceZ, counters.volumeZ, counters.wake,
            counters.asked, counters.review, counters.watchdog, counters.busy, counters.blocked, counters.stale, counters.reused,
        ]
        try database.statement(
            """
            INSERT OR REPLACE INTO gates (run, step, time, pipeline, symbol, events, passed, timer_passes, candle, timer, price_z, volume_z, wake, asked,
            review, watchdog, busy, blocked, stale, reused) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
            """
        ).run(place([.init(run), .init(bits: step)], value.time, value.pipeline, value.instrument) + counts.map { SQLValue(bits: $0) })
    }

    private func write(_ value: Alert, _ step: UInt64) throws(SQLiteError) {
        try insert(
            "alerts (run, step, time, severity, kind, pipeline, symbol, text)",
            [
                .init(run), .init(bits: step), .integer(value.time), .text(value.severity.rawValue), .text(value.kind), .text(value.pipeline),
                .text(value.symbol), .text(value.text),
            ])
    }

    private func write(_ value: StateRow, _ head: [SQLValue]) throws(SQLiteError) {
        let stored: StoredState
        do { stored = try StoredState(value) } catch {
            throw .badValue(path: database.path, column: "state.value", found: "\(error)")
        }
        try insert(
            "state (run, step, key, kind, version, value)",
            head + [.text(value.key), .text(stored.kind), .init(EngineState.currentVersion), .blob(stored.bytes)],
            "ON CONFLICT (key) DO UPDATE SET run = excluded.run, step = excluded.step, version = excluded.version, value = excluded.value")
    }

    // MARK: Pieces

    private func place(_ head: [SQLValue], _ time: Int64, _ pipeline: Int, _ instrument: keel_instrument_id) -> [SQLValue] {
        head + [.integer(time), .text(names.pipeline(pipeline)), .text(names.symbol(instrument))]
    }

    private func id(_ order: OrderID) -> SQLValue { order.isNone ? .null : .text(order.description) }

    private func json(_ value: [some Encodable]) throws(SQLiteError) -> SQLValue {
        if value.isEmpty { return .text("[]") }
        do { return .text(String(decoding: try StateCoding.bytes(value), as: UTF8.self)) } catch {
            throw .badValue(path: database.path, column: "json", found: "\(error)")
        }
    }

    /// `target`: table and columns, one value each. Literals, so that the statement is found by their place in memory.
    private func insert(_ target: StaticString, _ values: [SQLValue], _ conflict: StaticString = "") throws(SQLiteError) {
        if let known = statements.byPlace[UInt(bitPattern: target.utf8Start)] { return try known.run(values) }
        let places = repeatElement("?", count: values.count).joined(separator: ",")
        let made = try database.statement("INSERT INTO \(target) VALUES (\(places)) \(conflict)")
        statements.byPlace[UInt(bitPattern: target.utf8Start)] = made
        try made.run(values)
    }
}

/// Prepared once a writer.
private final class Statements {
    var byPlace: [UInt: Statement] = [:]
}
