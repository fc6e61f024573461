import HostCore
import PluginKit

/// What a restart finds.
public struct Restored: Sendable {
    /// Nil: nothing has run on this ledger yet.
    public var state: EngineState?
    /// Where rows and saved state tell different stories. Not empty: don't start; `LedgerRefusal.disagrees` says it to people.
    public var disagreements: [String]
    /// The run that ended last, and whether it ended as planned.
    public var lastRun: UInt32?
    public var endedAsPlanned: Bool
    /// Orders of which only the intent is known: they may have left.
    public var intentsOnly: [OrderID]
}

extension Ledger {
    /// How far back settled orders and fills are given to the engine, beyond the oldest sync: venues report late.
    static let lookBack: Int64 = 24 * Span.hour

    /// Everything a new engine starts from, in the numbers of the plan it will run with.
    public func restore(_ names: RunNames) throws(LedgerRefusal) -> Restored {
        do {
            return try database.reading { () throws(SQLiteError) in try database.restore(names) }
        } catch {
            throw LedgerRefusal(error, path: path)
        }
    }
}

extension Database {
    func restore(_ names: RunNames) throws(SQLiteError) -> Restored {
        let last = try rows("SELECT run, ended FROM runs ORDER BY run DESC LIMIT 1") { row throws(SQLiteError) in
            (run: try row.whole(0, as: UInt32.self), ended: row.optionalInteger(1))
        }.first
        let stored = try stateRows()
        let since = since(stored, names)
        let intents = try intentsWithoutOrders(names, since: since)
        guard !stored.isEmpty || !intents.isEmpty else {
            return Restored(state: nil, disagreements: [], lastRun: last?.run, endedAsPlanned: last?.ended != nil, intentsOnly: [])
        }
        let orders = try orderStates(names, changedSince: since) + intents
        let state = EngineState(rows: stored, orders: orders, fills: try fillKeys(since: since))
        return Restored(
            state: state, disagreements: try disagreements(stored, since: since), lastRun: last?.run, endedAsPlanned: last?.ended != nil,
            intentsOnly: intents.map(\.id))
    }

    /// How far back a start has to look, so that it costs the same however long the history is: a day before the oldest agreement with a
    /// broker that is still there. A broker that never agreed was never traded with.
    private func since(_ stored: [StateRow], _ names: RunNames) -> Int64 {
        var since = Int64.max
        for case .broker(let broker) in stored where broker.syncedAt > 0 && names.portIndex(broker.name) >= 0 { since = min(since, broker.syncedAt) }
        return since == .max || since < Ledger.lookBack ? 0 : since - Ledger.lookBack
    }

    func stateRows() throws(SQLiteError) -> [StateRow] {
        try rows("SELECT kind, value, key, version FROM state ORDER BY key") { row throws(SQLiteError) -> StateRow in
            do { return try StoredState.row(kind: try row.text(0), bytes: row.blob(1), version: try row.integer(3)) } catch {
                throw .badValue(path: path, column: "state.value", found: "something unreadable for \(row.optionalText(2) ?? ""): \(error)")
            }
        }
    }

    /// Two indices instead of the whole table.
    private static let recentOrders = """
        SELECT order_id FROM orders INDEXED BY orders_open WHERE settled = 0
        UNION SELECT order_id FROM orders INDEXED BY orders_by_change WHERE changed >= ?1
        """

    /// Every order that isn't settled, and those that changed lately, oldest first.
    func orderStates(_ names: RunNames, changedSince since: Int64) throws(SQLiteError) -> [OrderState] {
        try rows(
            """
            SELECT order_id, pipeline, symbol, broker, role, status, side, features, quantity, limit_price, trigger_price, why, decision, created, sent,
                   changed, filled, reported, notional, fees, cancel_requested, inferred, missing, request
            FROM orders WHERE order_id IN (\(Database.recentOrders)) ORDER BY created, order_id
            """, [.integer(since)]
        ) { row throws(SQLiteError) in
            let text = try row.text(0)
            guard let id = OrderID(text), let role = Words.role(try row.text(4)), let status = Words.status(try row.text(5)), let side = Words.side(try row.text(6))
            else { throw .badValue(path: path, column: "orders", found: "an order that can't be read: \(text)") }
            var order = OrderState(
                restoring: id, pipeline: names.pipelineIndex(try row.text(1)), instrument: names.instrumentID(try row.text(2)), broker: names.portIndex(try row.text(3)),
                role: role, status: status, side: side, features: try row.bits(7), quantity: try row.fixed(8), limit: try row.fixed(9),
                trigger: try row.fixed(10), why: row.optionalText(11).flatMap { ExitReason(rawValue: $0) }, decision: try row.bits(12),
                created: try row.integer(13), changed: try row.integer(15))
            order.sent = try row.integer(14)
            order.filled = try row.fixed(16)
            order.reported = try row.fixed(17)
            order.notional = try row.amount(18)
            order.fees = try row.amount(19)
            order.cancelRequested = try row.bool(20)
            order.inferred = try row.bool(21)
            order.missing = try row.whole(22)
            order.request = try row.bits(23)
            return order
        }
    }

    /// The process ended between the barrier and the first word about the order: it may have left.
    func intentsWithoutOrders(_ names: RunNames, since: Int64) throws(SQLiteError) -> [OrderState] {
        try rows(
            """
            SELECT order_id, pipeline, symbol, broker, role, side, features, quantity, limit_price, trigger_price, decision, time FROM intents
            WHERE time >= ? AND NOT EXISTS (SELECT 1 FROM orders WHERE orders.order_id = intents.order_id) ORDER BY time, order_id
            """, [.integer(since)]
        ) { row throws(SQLiteError) in
            let text = try row.text(0)
            guard let id = OrderID(text), let role = Words.role(try row.text(4)), let side = Words.side(try row.text(5)) else {
                throw .badValue(path: path, column: "intents", found: "an intent that can't be read: \(text)")
            }
            let time = try row.integer(11)
            return OrderState(
                restoring: id, pipeline: names.pipelineIndex(try row.text(1)), instrument: names.instrumentID(try row.text(2)), broker: names.portIndex(try row.text(3)),
                role: role, status: .intended, side: side, features: try row.bits(6), quantity: try row.fixed(7), limit: try row.fixed(8), trigger: try row.fixed(9), why: nil,
                decision: try row.bits(10), created: time, changed: time)
        }
    }

    /// Keys of every fill a venue may report again, oldest first.
    func fillKeys(since: Int64) throws(SQLiteError) -> [FillKey] {
        try rows(
            """
            SELECT fill_key FROM fills WHERE id IN (
                SELECT id FROM fills INDEXED BY fills_by_time WHERE time >= ?1
                UNION SELECT id FROM fills WHERE order_id IN (SELECT order_id FROM orders INDEXED BY orders_open WHERE settled = 0)
            ) ORDER BY id
            """, [.integer(since)]
        ) { row throws(SQLiteError) in
            let text = try row.text(0)
            guard let key = Words.hex(text) else { throw .badValue(path: path, column: "fill_key", found: text) }
            return FillKey(hi: key.hi, lo: key.lo)
        }
    }

    /// Rows are written together with the state; if they differ, something is wrong that no one should trade on.
    /// `since`: settled orders that haven't changed since were looked at by earlier starts.
    func disagreements(_ stored: [StateRow], since: Int64) throws(SQLiteError) -> [String] {
        var found = try rows(
            """
            SELECT orders.order_id, orders.filled, coalesce(sum(fills.quantity), 0) AS sum FROM orders LEFT JOIN fills USING (order_id)
            WHERE orders.order_id IN (\(Database.recentOrders))
            GROUP BY orders.order_id HAVING sum <> orders.filled
            """, [.integer(since)]
        ) { row throws(SQLiteError) in
            "order \(try row.text(0)) counts \(try row.fixed(1)) as filled, its fills add up to \(try row.fixed(2))"
        }
        found += try rows(
            """
            SELECT orders.order_id FROM orders LEFT JOIN intents USING (order_id)
            WHERE orders.order_id IN (\(Database.recentOrders))
                AND (intents.order_id IS NULL OR intents.side <> orders.side OR intents.symbol <> orders.symbol)
            """, [.integer(since)]
        ) { row throws(SQLiteError) in "order \(try row.text(0)) has no intent like it" }
        for case .book(let book) in stored {
            let row = try rows("SELECT quantity, entry FROM positions WHERE pipeline = ? AND symbol = ?", [.text(book.pipeline), .text(book.symbol)]) {
                row throws(SQLiteError) in (quantity: try row.amount(0), entry: try row.fixed(1))
            }.first
            let quantity = row?.quantity ?? .zero
            if quantity != book.position.quantity || (!quantity.isZero && row?.entry != book.position.entry) {
                found.append(
                    "position \(book.symbol) of \(book.pipeline) is \(quantity) at \(row?.entry ?? .zero) in the rows and \(book.position.quantity) at \(book.position.entry) in the state")
            }
        }
        return found
    }
}
