import HostCore
import HostLedger

extension Verb {
    static let orders = Verb(
        words: ["orders"],
        summary: "list orders, the last that changed first",
        details: "From the ledger, whether a host runs or not. `keel explain ORDER` tells the story of one.",
        options: [.json, .manifest, .state, .ofRun, .last, Option("open", "only those that aren't settled")],
        run: { call in
            let filter = try call.filter()
            let orders = try call.openLedger().orders(filter, open: call.flag("open"))
            if call.wantsJSON {
                try call.print(json: orders)
                return .ok
            }
            var table = TextTable("changed (UTC)", "order", "pipeline", "symbol", "side", ">quantity", "kind", ">price", "status", ">filled", ">average", "why")
            for order in orders {
                table.add(
                    ShortTime.of(order.changed), order.id, order.pipeline, order.symbol, order.side, order.quantity.description, order.kind,
                    (order.limit ?? order.trigger)?.description ?? "", order.status, order.filled.description, order.average?.description ?? "",
                    PlainText.of(order.why ?? order.message))
            }
            call.print(table, none: call.flag("open") ? "no open orders" : "no orders")
            return .ok
        })

    static let positions = Verb(
        words: ["positions"],
        summary: "list open positions as the ledger has them",
        options: [.json, .manifest, .state, Option("all", "also those that are flat")],
        run: { call in
            let positions = try call.openLedger().positions(flat: call.flag("all"))
            if call.wantsJSON {
                try call.print(json: positions)
                return .ok
            }
            var table = TextTable(
                "pipeline", "symbol", ">quantity", ">entry", ">best", ">hard stop", "opened (UTC)", "exiting", ">equity", ">realised", ">fees")
            for position in positions {
                table.add(
                    position.pipeline, position.symbol, position.quantity.description, position.entry?.description ?? "", position.peak?.description ?? "",
                    position.hardStop?.description ?? "", position.opened.map(ShortTime.of) ?? "", position.exiting ?? "", position.equity.description,
                    position.realised.description, position.fees.description)
            }
            call.print(table, none: "no open positions")
            return .ok
        })

    static let decisions = Verb(
        words: ["decisions"],
        summary: "list what was decided, by whom, and what came of it",
        details: "The number in the first column is what `keel explain` takes.",
        options: [.json, .manifest, .state, .ofRun, .last],
        run: { call in
            let filter = try call.filter()
            let decisions = try call.openLedger().decisions(filter)
            if call.wantsJSON {
                try call.print(json: decisions)
                return .ok
            }
            var table = TextTable(">number", "time (UTC)", "pipeline", "symbol", "decider", "asked for", "action", ">fraction", ">confidence", ">took", ">cost", "outcome", "reason")
            for decision in decisions {
                let outcome = decision.refusals.isEmpty ? decision.outcome : "\(decision.outcome): \(decision.refusals.joined(separator: ", "))"
                table.add(
                    "\(decision.id)", ShortTime.of(decision.time), decision.pipeline, decision.symbol, decision.decider, decision.gate, decision.action,
                    decision.action == "hold" ? "" : (decision.quantity ?? decision.fraction).description, decision.confidence.description,
                    TimeText.span(decision.tookNanoseconds), decision.cost.isZero ? "" : decision.cost.description, outcome,
                    PlainText.of(String(decision.reason.prefix(60))))
            }
            call.print(table, none: "no decisions")
            return .ok
        })
}
