import Glibc
import HostCore
import PluginKit

/// Reads a ledger, also while a host writes it. Never changes anything.
public final class LedgerReader {
    public let path: String
    let database: Database

    public init(path: String) throws(LedgerRefusal) {
        guard access(path, F_OK) == 0 else { throw .missing(path: path) }
        do {
            database = try Database(path: path, mode: .readOnly)
            let version = try database.identify(as: LedgerSchema.applicationID, version: LedgerSchema.version)
            if version == 0 { throw LedgerRefusal.missing(path: path) }
            if version < LedgerSchema.version { throw LedgerRefusal.older(path: path, version: version, supported: LedgerSchema.version) }
        } catch {
            throw LedgerRefusal(error, path: path)
        }
        self.path = path
    }

    /// Which rows: of one run or all, the newest so many.
    public struct Filter: Sendable {
        public var run: UInt32?
        public var last: Int
        public init(run: UInt32? = nil, last: Int = 50) {
            self.run = run
            self.last = last
        }

        var condition: String { run == nil ? "1" : "run = \(run ?? 0)" }
        var limit: Int { max(0, last) }
    }

    // MARK: Runs

    public struct Run: Codable, Sendable, Equatable {
        public var run: UInt32
        public var started: String
        public var ended: String?
        public var how: String?
        public var mode: String
        public var keel: String
        public var manifest: String
        public var manifestHash: String
        public var journal: String
    }

    public func runs(last: Int = 20) throws(SQLiteError) -> [Run] {
        try database.rows(
            "SELECT run, started, ended, how, mode, keel, manifest, manifest_hash, journal FROM runs ORDER BY run DESC LIMIT ?", [.init(max(0, last))]
        ) { row throws(SQLiteError) in
            Run(
                run: try row.whole(0), started: TimeText.utc(try row.integer(1)), ended: row.optionalInteger(2).map { TimeText.utc($0) }, how: row.optionalText(3),
                mode: try row.text(4), keel: try row.text(5), manifest: try row.text(6), manifestHash: try row.text(7), journal: try row.text(8))
        }
    }

    /// From when to when a run's time goes: to the start of the next one. Nil: there is no such run.
    public func times(run: UInt32) throws(SQLiteError) -> (from: Int64, before: Int64?)? {
        guard let from = try database.integer("SELECT started FROM runs WHERE run = ?", .init(run)) else { return nil }
        return (from, try database.integer("SELECT started FROM runs WHERE run > ? ORDER BY run LIMIT 1", .init(run)))
    }

    /// The plugins of a run, so that a later one can say what changed.
    public func plugins(run: UInt32) throws(SQLiteError) -> [RunFacts.Plugin] {
        try database.rows(
            "SELECT name, component, version, file, sha256, roles, isolation FROM run_plugins WHERE run = ? ORDER BY port", [.init(run)]
        ) { row throws(SQLiteError) in
            RunFacts.Plugin(
                name: try row.text(0), component: try row.text(1), version: try row.text(2), file: try row.text(3), sha256: try row.text(4),
                roles: try row.text(5).split(separator: " ").map(String.init), isolation: try row.text(6))
        }
    }

    // MARK: Orders

    public struct Order: Codable, Sendable, Equatable {
        public var id: String
        public var run: UInt32
        public var pipeline: String
        public var symbol: String
        public var broker: String
        public var role: String
        public var side: String
        public var kind: String
        public var quantity: Fixed
        public var limit: Fixed?
        public var trigger: Fixed?
        public var status: String
        public var settled: Bool
        public var filled: Fixed
        public var average: Fixed?
        public var fees: Amount
        public var why: String?
        public var decision: UInt64
        public var created: String
        public var sent: String?
        public var changed: String
        public var venueID: String
        public var message: String
    }

    private static let orderColumns = """
        order_id, run, pipeline, symbol, broker, role, side, kind, quantity, limit_price, trigger_price, status, settled, filled, notional, fees, why,
        decision, created, sent, changed, venue_id, message
        """

    private static func order(_ row: Statement) throws(SQLiteError) -> Order {
        func price(_ column: Int32) throws(SQLiteError) -> Fixed? {
            let value = try row.fixed(column)
            return value.isZero ? nil : value
        }
        let filled = try row.fixed(13)
        let notional = try row.amount(14)
        let sent = try row.integer(19)
        return Order(
            id: try row.text(0), run: try row.whole(1), pipeline: try row.text(2), symbol: try row.text(3), broker: try row.text(4), role: try row.text(5),
            side: try row.text(6), kind: try row.text(7), quantity: try row.fixed(8), limit: try price(9), trigger: try price(10), status: try row.text(11),
            settled: try row.bool(12), filled: filled, average: filled.isZero ? nil : average(notional, filled), fees: try row.amount(15),
            why: row.optionalText(16), decision: try row.bits(17), created: TimeText.utc(try row.integer(18)), sent: sent == 0 ? nil : TimeText.utc(sent),
            changed: TimeText.utc(try row.integer(20)), venueID: try row.text(21), message: try row.text(22))
    }

    /// For show only; a notional too large for a price shows none.
    private static func average(_ notional: Amount, _ filled: Fixed) -> Fixed? { try? notional.divided(by: Amount(filled)).fixed() }

    /// Newest first. `open`: only those that aren't settled.
    public func orders(_ filter: Filter = Filter(), open: Bool = false) throws(SQLiteError) -> [Order] {
        try database.rows(
            "SELECT \(LedgerReader.orderColumns) FROM orders WHERE \(filter.condition)\(open ? " AND settled = 0" : "") ORDER BY changed DESC, order_id DESC LIMIT ?",
            [.init(filter.limit)], LedgerReader.order)
    }

    public func order(_ id: OrderID) throws(SQLiteError) -> Order? {
        try database.rows("SELECT \(LedgerReader.orderColumns) FROM orders WHERE order_id = ?", [.text(id.description)], LedgerReader.order).first
    }

    // MARK: Positions

    public struct Position: Codable, Sendable, Equatable {
        public var pipeline: String
        public var symbol: String
        public var quantity: Amount
        public var entry: Fixed?
        public var opened: String?
        /// Best price since entry, and the hard stop in force.
        public var peak: Fixed?
        public var hardStop: Fixed?
        public var exiting: String?
        public var equity: Amount
        public var cash: Amount
        public var realised: Amount
        public var fees: Amount
        public var changed: String
    }

    /// As of the last change; `flat` also those with nothing in them.
    public func positions(flat: Bool = false) throws(SQLiteError) -> [Position] {
        try database.reading { () throws(SQLiteError) in
            var books: [String: PositionState] = [:]
            for case .book(let book) in try database.stateRows() { books["\(book.pipeline)\n\(book.symbol)"] = book.position }
            let rows = try database.rows("SELECT pipeline, symbol, quantity, entry, cash, equity, realised, fees, time FROM positions ORDER BY pipeline, symbol") {
                row throws(SQLiteError) in
                let pipeline = try row.text(0)
                let symbol = try row.text(1)
                let quantity = try row.amount(2)
                func shown(_ value: Fixed?) -> Fixed? { value.flatMap { $0.isZero || quantity.isZero ? nil : $0 } }
                let book = books["\(pipeline)\n\(symbol)"]
                return Position(
                    pipeline: pipeline, symbol: symbol, quantity: quantity, entry: shown(try row.fixed(3)),
                    opened: quantity.isZero ? nil : book.map { TimeText.utc($0.opened) }, peak: shown(book?.peak), hardStop: shown(book?.hardStop),
                    exiting: quantity.isZero ? nil : book?.exiting?.rawValue, equity: try row.amount(5), cash: try row.amount(4), realised: try row.amount(6),
                    fees: try row.amount(7), changed: TimeText.utc(try row.integer(8)))
            }
            return flat ? rows : rows.filter { !$0.quantity.isZero }
        }
    }

    // MARK: Decisions

    public struct Decision: Codable, Sendable, Equatable {
        /// What `keel explain` takes.
        public var id: Int64
        public var run: UInt32
        public var time: String
        public var pipeline: String
        public var symbol: String
        public var sequence: UInt64
        public var decider: String
        public var purpose: String
        public var gate: String
        public var action: String
        public var fraction: Fixed
        public var quantity: Fixed?
        public var confidence: Fixed
        public var outcome: String
        public var order: String?
        /// Rules that stopped it.
        public var refusals: [String]
        public var cost: Amount
        public var tookNanoseconds: Int64
        public var model: String
        public var reason: String
    }

    /// Newest first.
    public func decisions(_ filter: Filter = Filter()) throws(SQLiteError) -> [Decision] {
        try database.rows(
            """
            SELECT id, run, time, pipeline, symbol, sequence, decider, purpose, gate, action, fraction, quantity, confidence, outcome, order_id, cost, asked,
                   model, reason,
                   (SELECT group_concat(rule, ' ') FROM refusals WHERE refusals.run = decisions.run AND refusals.pipeline = decisions.pipeline
                       AND refusals.decision = decisions.sequence AND decisions.outcome IN ('refused', 'invalid'))
            FROM decisions WHERE \(filter.condition) ORDER BY id DESC LIMIT ?
            """, [.init(filter.limit)]
        ) { row throws(SQLiteError) in
            let time = try row.integer(2)
            let quantity = try row.fixed(11)
            let took = time.subtractingReportingOverflow(try row.integer(16))
            return Decision(
                id: try row.integer(0), run: try row.whole(1), time: TimeText.utc(time), pipeline: try row.text(3), symbol: try row.text(4), sequence: try row.bits(5),
                decider: try row.text(6), purpose: try row.text(7), gate: try row.text(8), action: try row.text(9), fraction: try row.fixed(10),
                quantity: quantity.isZero ? nil : quantity, confidence: try row.fixed(12), outcome: try row.text(13), order: row.optionalText(14),
                refusals: row.optionalText(19)?.split(separator: " ").map(String.init) ?? [], cost: try row.amount(15),
                tookNanoseconds: took.overflow ? 0 : took.partialValue, model: try row.text(17), reason: try row.text(18))
        }
    }

    // MARK: What was learned

    public struct Outcome: Codable, Sendable, Equatable {
        public var run: UInt32
        public var time: String
        public var pipeline: String
        public var symbol: String
        public var decision: UInt64
        public var decider: String
        public var side: String
        public var opened: String
        public var why: String
        public var profit: Amount
        public var ratio: Fixed
        public var regime: String
        public var macro: String
        public var volatility: String
        public var signals: [DecisionRecord.Signal]
    }

    /// What became of the decisions that opened positions, newest first.
    public func outcomes(_ filter: Filter = Filter()) throws(SQLiteError) -> [Outcome] {
        let path = path
        return try database.rows(
            """
            SELECT run, time, pipeline, symbol, decision, decider, side, opened, why, profit, ratio, regime, macro, volatility, signals FROM outcomes
            WHERE \(filter.condition) ORDER BY id DESC LIMIT ?
            """, [.init(filter.limit)]
        ) { row throws(SQLiteError) in
            let text = try row.text(14)
            guard let signals = try? StateCoding.value([DecisionRecord.Signal].self, from: Array(text.utf8)) else {
                throw .badValue(path: path, column: "outcomes.signals", found: text)
            }
            return Outcome(
                run: try row.whole(0), time: TimeText.utc(try row.integer(1)), pipeline: try row.text(2), symbol: try row.text(3), decision: try row.bits(4),
                decider: try row.text(5), side: try row.text(6), opened: TimeText.utc(try row.integer(7)), why: try row.text(8), profit: try row.amount(9),
                ratio: try row.fixed(10), regime: try row.text(11), macro: try row.text(12), volatility: try row.text(13), signals: signals)
        }
    }

    /// The learner's own bytes; nil: nothing has been saved.
    public func learnerState() throws(SQLiteError) -> [UInt8]? {
        for case .learner(let bytes) in try database.stateRows() { return bytes }
        return nil
    }

    // MARK: Fills and alerts

    public struct Fill: Codable, Sendable, Equatable {
        public var time: String
        public var pipeline: String
        public var symbol: String
        public var order: String
        public var side: String
        public var quantity: Fixed
        public var price: Fixed
        public var fee: Amount
        public var feeAsset: String
        public var liquidity: String
        public var profit: Amount
        public var fillID: String
    }

    /// Newest first.
    public func fills(_ filter: Filter = Filter()) throws(SQLiteError) -> [Fill] {
        try database.rows(
            """
            SELECT time, pipeline, symbol, order_id, side, quantity, price, fee, fee_asset, liquidity, profit, fill_id FROM fills
            WHERE \(filter.condition) ORDER BY id DESC LIMIT ?
            """, [.init(filter.limit)]
        ) { row throws(SQLiteError) in
            Fill(
                time: TimeText.utc(try row.integer(0)), pipeline: try row.text(1), symbol: try row.text(2), order: try row.text(3), side: try row.text(4),
                quantity: try row.fixed(5), price: try row.fixed(6), fee: try row.amount(7), feeAsset: try row.text(8), liquidity: try row.text(9),
                profit: try row.amount(10), fillID: try row.text(11))
        }
    }

    /// Newest first.
    public func alerts(_ filter: Filter = Filter()) throws(SQLiteError) -> [Alert] {
        try database.rows(
            "SELECT time, severity, kind, pipeline, symbol, text FROM alerts WHERE \(filter.condition) ORDER BY id DESC LIMIT ?", [.init(filter.limit)]
        ) { row throws(SQLiteError) in
            Alert(
                time: try row.integer(0), severity: Alert.Severity(rawValue: try row.text(1)) ?? .critical, kind: try row.text(2), pipeline: try row.text(3),
                symbol: try row.text(4), text: try row.text(5))
        }
    }
}
