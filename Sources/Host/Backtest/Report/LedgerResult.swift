import HostCore
import HostLedger
import PluginAPI
import PluginKit

/// A live run's result, read back from its ledger: the same reports for what happened as for what would have.
public enum LedgerResult {
    /// The equity is known where the ledger has it: at each change of a position.
    public static func read(_ path: String, run: Int?) throws -> BacktestResult {
        let database = try Database(path: path, mode: .readOnly)
        guard let number = try run.map(Int64.init) ?? database.integer("SELECT max(run) FROM runs"),
            let started = try database.integer("SELECT started FROM runs WHERE run = ?", .integer(number))
        else { throw ParityError.noRun(path) }
        var result = BacktestResult()
        result.mode = try database.text("SELECT mode FROM runs WHERE run = ?", .integer(number)) ?? "run"
        result.title = "Run \(number) (\(result.mode))"
        result.pipelines = try database.rows("SELECT name FROM run_pipelines WHERE run = ? ORDER BY pipeline", [.integer(number)]) { s throws(SQLiteError) in try s.text(0) }
        let instruments = try database.rows("SELECT symbol, quote, multiplier FROM run_instruments WHERE run = ? ORDER BY instrument", [.integer(number)]) { s throws(SQLiteError) in
            (symbol: try s.text(0), quote: try s.text(1), multiplier: try s.fixed(2))
        }
        result.instruments = instruments.map(\.symbol)
        result.currency = instruments.first?.quote ?? ""
        let ended = try database.integer("SELECT max(time) FROM progress WHERE run = ?", .integer(number)) ?? started
        let first = try database.rows(
            "SELECT equity, fees FROM position_changes WHERE id IN (SELECT min(id) FROM position_changes WHERE run = ? GROUP BY pipeline)", [.integer(number)]
        ) { s throws(SQLiteError) in (equity: try s.amount(0), fees: try s.amount(1)) }
        let start = first.reduce(Amount.zero) { sum, row in (try? sum.adding(row.equity).adding(row.fees)) ?? sum }
        let score = Score(startEquity: start, multipliers: instruments.map(\.multiplier), first: started, last: ended)
        score.begin(with: start, at: started)
        let fills = try database.rows(
            "SELECT time, at_venue, pipeline, symbol, order_id, side, quantity, price, fee FROM fills WHERE run = ? ORDER BY time, id", [.integer(number)]
        ) { s throws(SQLiteError) in
            (
                time: try s.integer(0), venue: try s.integer(1), pipeline: try s.text(2), symbol: try s.text(3), order: try s.text(4), side: try s.text(5), quantity: try s.fixed(6),
                price: try s.fixed(7), fee: try s.amount(8)
            )
        }
        for (index, fill) in fills.enumerated() {
            guard let place = result.instruments.firstIndex(of: fill.symbol) else { continue }
            score.advance(to: fill.time)
            score.fill(
                BacktestResult.Fill(
                    index: index, time: fill.venue != 0 ? fill.venue : fill.time, pipeline: result.pipelines.firstIndex(of: fill.pipeline) ?? 0, instrument: place + 1,
                    side: fill.side == "buy" ? KEEL_BUY : KEEL_SELL, price: fill.price, quantity: fill.quantity, fee: fill.fee, order: OrderID(fill.order) ?? .none))
            score.mark(place + 1, price: fill.price.raw)
        }
        score.advance(to: ended)
        score.finish()
        result.from = started
        result.to = ended
        result.events = fills.count
        score.write(to: &result)
        result.refusals = try database.rows("SELECT rule, count(*) FROM refusals WHERE run = ? GROUP BY rule ORDER BY count(*) DESC, rule", [.integer(number)]) { s throws(SQLiteError) in
            (rule: try s.text(0), count: try s.whole(1, as: Int.self))
        }.compactMap { row in Rule(rawValue: row.rule).map { (rule: $0, count: row.count) } }
        result.answers = try database.rows(
            """
            SELECT pipeline, decider, count(*), sum(outcome = 'ordered'), sum(outcome = 'hold'), sum(outcome = 'refused'), sum(outcome = 'invalid'), sum(from_record),
                sum(outcome = 'shadow'), sum(CAST(cost AS REAL))
            FROM decisions WHERE run = ? GROUP BY pipeline, decider ORDER BY pipeline, decider
            """, [.integer(number)]
        ) { s throws(SQLiteError) in
            var answers = BacktestResult.Answers(pipeline: try s.text(0), decider: try s.text(1))
            answers.asked = try s.whole(2)
            answers.orders = try s.whole(3)
            answers.holds = try s.whole(4)
            answers.refused = try s.whole(5)
            answers.invalid = try s.whole(6)
            answers.fromRecord = try s.whole(7)
            answers.shadow = try s.whole(8)
            answers.cost = (try? Amount(Fixed(nearest: s.real(9)))) ?? .zero
            return answers
        }
        result.comparisons = try comparisons(database, number)
        result.gates = try database.rows(
            "SELECT pipeline, symbol, events, passed, timer_passes, busy, blocked, stale, reused FROM gates WHERE run = ? ORDER BY pipeline, symbol", [.integer(number)]
        ) { s throws(SQLiteError) in
            var counters = GateCounters()
            counters.events = try s.bits(2)
            counters.passed = try s.bits(3)
            counters.timerPasses = try s.bits(4)
            counters.busy = try s.bits(5)
            counters.blocked = try s.bits(6)
            counters.stale = try s.bits(7)
            counters.reused = try s.bits(8)
            return (pipeline: try s.text(0), instrument: try s.text(1), counters: counters)
        }
        return result
    }

    /// What primary and shadow said to the same questions.
    private static func comparisons(_ database: Database, _ run: Int64) throws -> [(pipeline: String, comparison: Comparison)] {
        let chains = try database.rows("SELECT name, deciders FROM run_pipelines WHERE run = ? ORDER BY pipeline", [.integer(run)]) { s throws(SQLiteError) in
            (name: try s.text(0), deciders: try s.text(1).split(separator: " ").map(String.init))
        }
        var result: [(pipeline: String, comparison: Comparison)] = []
        for chain in chains where chain.deciders.count > 1 {
            var comparison = Comparison(primary: chain.deciders[0], shadow: chain.deciders[1])
            let rows = try database.rows(
                """
                SELECT sequence, symbol, decider, action, fraction, quantity, price, cost, outcome FROM decisions
                WHERE run = ? AND pipeline = ? AND (outcome = 'shadow' OR decider = ?) ORDER BY id
                """, [.integer(run), .text(chain.name), .text(chain.deciders[0])]
            ) { s throws(SQLiteError) in
                (
                    sequence: try s.bits(0), symbol: try s.text(1), action: try s.text(3), fraction: try s.fixed(4), quantity: try s.fixed(5), price: try s.fixed(6),
                    cost: try s.amount(7), outcome: try s.text(8)
                )
            }
            for row in rows {
                let action = row.action == "buy" ? KEEL_ACT_BUY : row.action == "sell" ? KEEL_ACT_SELL : KEEL_ACT_HOLD
                comparison.add(
                    sequence: row.sequence, symbol: row.symbol, isShadow: row.outcome == "shadow",
                    Comparison.Answer(
                        action: action, fraction: row.fraction, quantity: row.quantity, price: row.price, cost: row.cost, isUsable: row.outcome != "invalid"))
            }
            if comparison.pairs > 0 { result.append((chain.name, comparison)) }
        }
        return result
    }
}
