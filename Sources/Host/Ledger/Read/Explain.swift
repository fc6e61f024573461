import HostCore
import PluginAPI
import PluginKit

extension LedgerReader {
    /// The whole story of a decision or an order; nil: the ledger doesn't know it.
    public func explain(_ subject: StorySubject) throws(SQLiteError) -> Story? {
        try database.reading { () throws(SQLiteError) in
            switch subject {
            case .order(let id): try story(ofOrder: id)
            case .decision(let number):
                if let found = try story(ofDecision: number) { found } else { try story(ofVenueOrder: String(number)) }
            case .venueOrder(let text): try story(ofVenueOrder: text)
            }
        }
    }

    private func story(ofVenueOrder text: String) throws(SQLiteError) -> Story? {
        guard !text.isEmpty else { return nil }
        let found = try database.rows("SELECT order_id FROM orders WHERE venue_id = ? ORDER BY changed DESC LIMIT 1", [.text(text)]) { row throws(SQLiteError) in
            OrderID(try row.text(0))
        }.first
        guard let found, let id = found else { return nil }
        return try story(ofOrder: id)
    }

    private func story(ofDecision number: Int64) throws(SQLiteError) -> Story? {
        let found = try database.rows("SELECT run, pipeline, symbol, sequence, decider, action FROM decisions WHERE id = ?", [.integer(number)]) {
            row throws(SQLiteError) in
            (
                place: Thread(run: try row.whole(0), pipeline: try row.text(1), symbol: try row.text(2), decision: try row.bits(3)),
                title: "Decision \(number): \(try row.text(4)) says \(try row.text(5)) \(try row.text(2)), pipeline \(try row.text(1)), run \(try row.integer(0))"
            )
        }.first
        guard let found else { return nil }
        return try tell(found.place, title: found.title, orders: try orders(of: found.place))
    }

    private func story(ofOrder id: OrderID) throws(SQLiteError) -> Story? {
        let found = try database.rows(
            """
            SELECT pipeline, symbol, decision, side, kind, quantity, role, broker FROM intents WHERE order_id = ?1
            UNION ALL SELECT pipeline, symbol, decision, side, kind, quantity, role, broker FROM orders WHERE order_id = ?1 LIMIT 1
            """, [.text(id.description)]
        ) { row throws(SQLiteError) in
            (
                place: Thread(run: id.run, pipeline: try row.text(0), symbol: try row.text(1), decision: try row.bits(2)),
                title: "Order \(id): \(try row.text(3)) \(try row.fixed(5)) \(try row.text(1)), \(try row.text(4)), \(try row.text(6)) at \(try row.text(7)), pipeline \(try row.text(0)), run \(id.run)"
            )
        }.first
        if let found {
            // Its siblings too: a router's children and the parent tell one story.
            return try tell(found.place, title: found.title, orders: try family(of: id))
        }
        // Refused before it ever became an intent?
        let refused = try database.rows("SELECT run, pipeline, symbol, decision FROM refusals WHERE order_id = ? LIMIT 1", [.text(id.description)]) {
            row throws(SQLiteError) in
            Thread(run: try row.whole(0), pipeline: try row.text(1), symbol: try row.text(2), decision: try row.bits(3))
        }.first
        guard let refused else { return nil }
        return try tell(refused, title: "Order \(id) on \(refused.symbol): refused before it was sent, pipeline \(refused.pipeline), run \(refused.run)", orders: [id.description])
    }

    /// One decision of one pipeline in one run, and what came of it.
    private struct Thread {
        var run: UInt32
        var pipeline: String
        var symbol: String
        /// 0: none, the safety layer or an operator acted.
        var decision: UInt64
        var values: [SQLValue] { [.init(run), .text(pipeline), .init(bits: decision)] }
    }

    private func family(of id: OrderID) throws(SQLiteError) -> [String] {
        // The text of ids sorts as the ids do, so a parent's children are a range.
        let found = try database.rows(
            "SELECT order_id FROM intents WHERE order_id BETWEEN ?1 AND ?2 UNION SELECT order_id FROM orders WHERE order_id BETWEEN ?1 AND ?2 ORDER BY order_id",
            [.text(id.parent.description), .text(id.child(.max).description)]) { row throws(SQLiteError) in try row.text(0) }
        return found.contains(id.description) ? found : found + [id.description]
    }

    private func orders(of thread: Thread) throws(SQLiteError) -> [String] {
        guard thread.decision > 0 else { return [] }
        return try database.rows("SELECT order_id FROM intents WHERE run = ? AND pipeline = ? AND decision = ? ORDER BY order_id", thread.values) {
            row throws(SQLiteError) in try row.text(0)
        }
    }

    // MARK: Telling

    private func tell(_ thread: Thread, title: String, orders: [String]) throws(SQLiteError) -> Story {
        let snapshot = try snapshotPart(thread)
        var parts = snapshot.map { [$0.part] } ?? []
        let decided = try decisionParts(thread)
        parts += decided.parts
        if let from = decided.asked, let to = decided.answered { parts += try takeoverParts(thread, from: from, to: to) }
        parts += try refusalParts(thread, orders: orders)
        parts += try routingParts(orders)
        parts += try intentParts(orders, equity: snapshot?.facts?.equity)
        parts += try changeParts(orders)
        let fills = try fillParts(orders, reference: snapshot?.facts?.last)
        parts += fills.parts
        parts += try exitParts(thread, orders: orders, entered: fills.firstEntry)
        parts.sort { ($0.time, $0.rank) < ($1.time, $1.rank) }
        let start = parts.first?.time ?? 0
        return Story(
            title: title, ending: try ending(thread, orders: orders, parts: parts), run: thread.run, pipeline: thread.pipeline, symbol: thread.symbol,
            entries: parts.map { part in
                let after = part.time.subtractingReportingOverflow(start)
                return Story.Entry(
                    time: TimeText.utc(part.time), after: after.overflow ? 0 : after.partialValue, what: part.what, text: part.text, details: part.details,
                    order: orders.count > 1 ? part.order : nil)
            })
    }

    private func snapshotPart(_ thread: Thread) throws(SQLiteError) -> (part: StoryPart, facts: SnapshotFacts?)? {
        guard thread.decision > 0 else { return nil }
        return try database.rows(
            """
            SELECT time, hash, bytes, (SELECT gate FROM decisions WHERE decisions.run = snapshots.run AND decisions.pipeline = snapshots.pipeline
                AND decisions.sequence = snapshots.sequence LIMIT 1)
            FROM snapshots WHERE run = ? AND pipeline = ? AND sequence = ? LIMIT 1
            """, thread.values
        ) { row throws(SQLiteError) in
            let facts = SnapshotFacts(row.blob(2))
            var text = "the market as the decider saw it"
            if let gate = row.optionalText(3), !gate.isEmpty { text += "; the gate opened for: \(gate.replacing("+", with: ", "))" }
            var details = facts?.lines ?? []
            details.append("snapshot \(StoryText.short(try row.text(1)))")
            return (part: StoryPart(time: try row.integer(0), rank: 0, what: "snapshot", text: text, details: details), facts: facts)
        }.first
    }

    private func decisionParts(_ thread: Thread) throws(SQLiteError) -> (parts: [StoryPart], asked: Int64?, answered: Int64?) {
        guard thread.decision > 0 else { return ([], nil, nil) }
        var asked: Int64?
        var answered: Int64?
        let parts = try database.rows(
            """
            SELECT decisions.time, asked, decider, action, fraction, quantity, confidence, outcome, cost, tokens_in, tokens_out, model, reason, from_record,
                   signals, next_check, run_plugins.component, run_plugins.version
            FROM decisions LEFT JOIN run_plugins ON run_plugins.run = decisions.run AND run_plugins.name = decisions.decider
            WHERE decisions.run = ? AND pipeline = ? AND sequence = ? ORDER BY decisions.id
            """, thread.values
        ) { row throws(SQLiteError) in
            let time = try row.integer(0)
            let began = try row.integer(1)
            asked = min(asked ?? began, began)
            answered = max(answered ?? time, time)
            let took = time.subtractingReportingOverflow(began)
            let quantity = try row.fixed(5)
            let action = try row.text(3)
            var text = "\(try row.text(2)) answers after \(TimeText.span(took.overflow ? 0 : took.partialValue)): \(action)"
            if action != "hold" { text += quantity.isZero ? " \(StoryText.percent(try row.fixed(4)))" : " \(quantity)" }
            text += ", confidence \(StoryText.percent(try row.fixed(6)))"
            switch try row.text(7) {
            case "ordered": text += "; an order follows"
            case "refused": text += "; refused"
            case "invalid": text += "; not usable"
            case "shadow": text += "; for comparison only"
            default: break
            }
            var details: [String] = []
            let reason = try row.text(12)
            if !reason.isEmpty { details.append("reason: \(reason)") }
            if let component = row.optionalText(16), let version = row.optionalText(17) { details.append("by \(component) \(version)") }
            let model = try row.text(11)
            let cost = try row.amount(8)
            if !cost.isZero || !model.isEmpty {
                details.append(
                    "\(model.isEmpty ? "cost" : "model \(model), cost") \(cost) USD, \(try row.integer(9)) tokens in, \(try row.integer(10)) out\(try row.bool(13) ? ", from a record" : "")")
            }
            if let signals: [DecisionRecord.Signal] = try? StateCoding.value(from: Array(try row.text(14).utf8)), !signals.isEmpty {
                details.append("signals: " + signals.map { "\($0.name) \($0.direction > 0 ? "up" : $0.direction < 0 ? "down" : "flat") \(StoryText.percent($0.confidence))" }.joined(separator: ", "))
            }
            let next = try row.integer(15)
            if next > 0 { details.append("wants to be asked again after \(TimeText.span(next))") }
            return StoryPart(time: time, rank: 2, what: "decision", text: text, details: details)
        }
        return (parts, asked, answered)
    }

    private func takeoverParts(_ thread: Thread, from: Int64, to: Int64) throws(SQLiteError) -> [StoryPart] {
        try database.rows(
            """
            SELECT time, from_decider, to_decider, why, status, detail FROM takeovers
            WHERE run = ? AND pipeline = ? AND symbol = ? AND time BETWEEN ? AND ? ORDER BY id
            """, [.init(thread.run), .text(thread.pipeline), .text(thread.symbol), .integer(from), .integer(to)]
        ) { row throws(SQLiteError) in
            let next = try row.text(2)
            let detail = try row.text(5)
            return StoryPart(
                time: try row.integer(0), rank: 1, what: "takeover",
                text: "\(next.isEmpty ? "nobody is left" : "\(next) takes over") from \(try row.text(1)): \(try row.text(3)) (status \(try row.integer(4)))",
                details: detail.isEmpty ? [] : [detail])
        }
    }

    private func refusalParts(_ thread: Thread, orders: [String]) throws(SQLiteError) -> [StoryPart] {
        var parts: [StoryPart] = []
        func part(_ row: Statement) throws(SQLiteError) -> StoryPart {
            let detail = try row.text(5)
            let numbers = Words.against(try row.text(2), try row.text(3), NumberUnit(rawValue: try row.text(4)))
            return StoryPart(
                time: try row.integer(0), rank: 3, what: "refusal", text: "\(try row.text(1))\(numbers)", details: detail.isEmpty ? [] : [detail],
                order: row.optionalText(6))
        }
        if thread.decision > 0 {
            parts += try database.rows(
                "SELECT time, rule, value, bound, unit, detail, order_id FROM refusals WHERE run = ? AND pipeline = ? AND decision = ? ORDER BY id", thread.values, part)
        }
        for order in orders {
            parts += try database.rows(
                "SELECT time, rule, value, bound, unit, detail, order_id FROM refusals WHERE order_id = ? AND NOT (run = ? AND pipeline = ? AND decision = ? AND decision > 0) ORDER BY id",
                [.text(order)] + thread.values, part)
        }
        return parts
    }

    private func routingParts(_ orders: [String]) throws(SQLiteError) -> [StoryPart] {
        var parts: [StoryPart] = []
        for parent in Set(orders.compactMap { OrderID($0)?.parent.description }).sorted() {
            parts += try database.rows(
                "SELECT time, router, what, order_id, quantity, limit_price, status, detail FROM routing WHERE parent = ? ORDER BY id", [.text(parent)]
            ) { row throws(SQLiteError) in
                let router = try row.text(1)
                let quantity = try row.fixed(4)
                let limit = try row.fixed(5)
                let size = limit.isZero ? "\(quantity)" : "\(quantity) at \(limit)"
                let status = try row.integer(6)
                let text =
                    switch try row.text(2) {
                    case "parent": "\(router) is given \(size) to route"
                    case "child": "\(router) wants a child order of \(size)"
                    case "refusedChild": "a child order of \(size) that \(router) wanted is refused"
                    case "cancelChild": "\(router) cancels a child"
                    default: "\(router) is done\(status == 0 ? "" : ", status \(status)")"
                    }
                let detail = try row.text(7)
                return StoryPart(
                    time: try row.integer(0), rank: 4, what: "routing", text: text, details: detail.isEmpty ? [] : [detail], order: try row.text(3))
            }
        }
        return parts
    }

    private func intentParts(_ orders: [String], equity: Amount?) throws(SQLiteError) -> [StoryPart] {
        var parts: [StoryPart] = []
        for order in orders {
            parts += try database.rows(
                """
                SELECT intents.time, intents.side, intents.quantity, intents.symbol, intents.kind, intents.limit_price, intents.trigger_price, intents.broker,
                       intents.replaces, intents.role, intents.not_after, orders.why
                FROM intents LEFT JOIN orders USING (order_id) WHERE order_id = ?
                """, [.text(order)]
            ) { row throws(SQLiteError) in
                let quantity = try row.fixed(2)
                let limit = try row.fixed(5)
                let trigger = try row.fixed(6)
                var text = "on disk before it is sent: \(try row.text(1)) \(quantity) \(try row.text(3)), \(try row.text(4).replacing("+", with: ", "))"
                if !limit.isZero { text += " \(limit)" }
                if !trigger.isZero { text += ", trigger \(trigger)" }
                text += ", to \(try row.text(7))"
                var details = ["passed the risk gate as an \(try row.text(9))"]
                if let why = row.optionalText(11) { details.append("because of: \(why)") }
                if let replaced = row.optionalText(8) { details.append("replaces \(replaced)") }
                if !limit.isZero {
                    let notional = limit.notional(quantity)
                    var line = "worth \(notional)"
                    if let equity, equity.isPositive, let share = try? notional.divided(by: equity).fixed() { line += ", \(StoryText.percent(share)) of the equity" }
                    details.append(line)
                }
                let until = try row.integer(10)
                if until > 0 { details.append("never sent after \(TimeText.utc(until))") }
                return StoryPart(time: try row.integer(0), rank: 5, what: "intent", text: text, details: details, order: order)
            }
        }
        return parts
    }

    private func changeParts(_ orders: [String]) throws(SQLiteError) -> [StoryPart] {
        var parts: [StoryPart] = []
        for order in orders {
            parts += try database.rows(
                "SELECT time, before, status, filled, vendor_code, venue_id, message, run FROM order_changes WHERE order_id = ? ORDER BY id", [.text(order)]
            ) { row throws(SQLiteError) in
                let before = try row.text(1)
                let status = try row.text(2)
                let filled = try row.fixed(3)
                var text = before == status ? "still \(status)" : "\(before) -> \(status)"
                if filled.isPositive { text += ", \(filled) filled" }
                var details: [String] = []
                let venue = try row.text(5)
                if !venue.isEmpty { details.append("the venue calls it \(venue)") }
                let message = try row.text(6)
                let code = try row.integer(4)
                if !message.isEmpty || code != 0 { details.append("the venue says: \(message)\(code == 0 ? "" : " (code \(code))")") }
                if let id = OrderID(order), try row.integer(7) != Int64(id.run) { details.append("in run \(try row.integer(7)), after a restart") }
                return StoryPart(time: try row.integer(0), rank: 7, what: "order", text: text, details: details, order: order)
            }
        }
        return parts
    }

    private func fillParts(_ orders: [String], reference: Fixed?) throws(SQLiteError) -> (parts: [StoryPart], firstEntry: Int64?) {
        var parts: [StoryPart] = []
        var first: Int64?
        for order in orders {
            parts += try database.rows(
                """
                SELECT fills.time, fills.at_venue, fills.side, fills.quantity, price, fee, fee_asset, liquidity, profit, fill_id, orders.role
                FROM fills LEFT JOIN orders USING (order_id) WHERE order_id = ? ORDER BY fills.id
                """, [.text(order)]
            ) { row throws(SQLiteError) in
                let time = try row.integer(0)
                let price = try row.fixed(4)
                let side = try row.text(2)
                if row.optionalText(10) == "entry" { first = min(first ?? time, time) }
                var details: [String] = []
                if let reference, let slip = StoryText.slippage(price, from: reference, buying: side == "buy") { details.append(slip) }
                let profit = try row.amount(8)
                if !profit.isZero { details.append("profit \(profit)") }
                let venue = try row.integer(1)
                if venue > 0, case let (late, false) = time.subtractingReportingOverflow(venue) { details.append("known \(TimeText.span(late)) after the venue's time") }
                let id = try row.text(9)
                if !id.isEmpty { details.append("fill \(id)") }
                return StoryPart(
                    time: time, rank: 6, what: "fill",
                    text: "\(side) \(try row.fixed(3)) at \(price), \(try row.text(7)), fee \(try row.amount(5)) \(try row.text(6))", details: details, order: order)
            }
        }
        return (parts, first)
    }

    /// Exits these orders made; for an entry, how the position it opened was closed later.
    private func exitParts(_ thread: Thread, orders: [String], entered: Int64?) throws(SQLiteError) -> [StoryPart] {
        var parts: [StoryPart] = []
        let columns = "time, why, whole, quantity, entry, price, profit, opened, level, order_id"
        func part(_ row: Statement) throws(SQLiteError) -> StoryPart {
            let level = try row.fixed(8)
            let held = try row.integer(0).subtractingReportingOverflow(try row.integer(7))
            var details = ["opened at \(try row.fixed(4)), profit \(try row.amount(6))"]
            if !held.overflow { details[0] += ", held \(TimeText.span(held.partialValue))" }
            if !level.isZero { details.append("level \(level)") }
            if let order = row.optionalText(9) { details.append("by order \(order)") }
            return StoryPart(
                time: try row.integer(0), rank: 8, what: "exit",
                text: "\(try row.bool(2) ? "position closed" : "part of the position closed"): \(try row.text(1)), \(try row.amount(3)) at \(try row.fixed(5))",
                details: details, order: row.optionalText(9))
        }
        for order in orders { parts += try database.rows("SELECT \(columns) FROM exits WHERE order_id = ? ORDER BY id", [.text(order)], part) }
        if parts.isEmpty, let entered {
            parts += try database.rows(
                "SELECT \(columns) FROM exits WHERE pipeline = ? AND symbol = ? AND time >= ? AND whole = 1 ORDER BY id LIMIT 1",
                [.text(thread.pipeline), .text(thread.symbol), .integer(entered)], part)
        }
        return parts
    }

    private func ending(_ thread: Thread, orders: [String], parts: [StoryPart]) throws(SQLiteError) -> String {
        var endings: [String] = []
        var filledAt: Int64?
        for part in parts where part.what == "fill" { filledAt = max(filledAt ?? part.time, part.time) }
        for order in orders {
            let found = try database.rows("SELECT status, filled, quantity, settled FROM orders WHERE order_id = ?", [.text(order)]) { row throws(SQLiteError) in
                "\(try row.text(0)), \(try row.fixed(1)) of \(try row.fixed(2)) filled\(try row.bool(3) ? "" : ", not settled yet")"
            }.first
            let refused = parts.contains { $0.what == "refusal" && $0.order == order }
            let text = found ?? (refused ? "refused, never sent" : "the intent is the last that is known: it may have left")
            endings.append(orders.count > 1 ? "\(order): \(text)" : text)
        }
        if orders.isEmpty {
            let refusals = parts.filter { $0.what == "refusal" }.map(\.text)
            endings.append(refusals.isEmpty ? "no order came of it" : "no order came of it: \(refusals.joined(separator: "; "))")
        }
        if let filledAt, let first = parts.first, case let (took, false) = filledAt.subtractingReportingOverflow(first.time) {
            endings.append("\(TimeText.span(took)) from \(first.what) to the last fill")
        }
        return endings.joined(separator: "; ")
    }
}
