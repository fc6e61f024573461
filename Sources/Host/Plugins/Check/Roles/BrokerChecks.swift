import CSystem
import Glibc
import PluginAPI
import PluginKit

// B: brokers, against the venue the profile brings.

private let contract = "submit: KEEL_OK means \"mine now\": ORDER and FILL events follow, then one DONE"

let brokerChecks: [Check] = [
    broker("B01", "order-states", "Market and limit orders, bought and sold, go PENDING, OPEN, FILLED in that order and end in one DONE.", rule: contract) { bench in
        try bench.play("fill")
        let instance = try bench.running()
        let features = try bench.brokerTable().pointee.order_features
        var tried = 0
        for kind in [KEEL_ORD_MARKET, KEEL_ORD_LIMIT] where features & kind != 0 {
            for side in [KEEL_BUY, KEEL_SELL] {
                tried += 1
                let order = bench.order(side, kind)
                let (called, request) = instance.submit(order)
                try require(called.accepted, "submit answers \(called.words)")
                try bench.waitFor(instance, order.id, "the order to be filled") { $0.states.contains(KEEL_ORDER_FILLED) }
                instance.run(for: 1) { instance.done(request) != nil }
                instance.run(for: 0.005)
                let story = OrderStory(order.id, instance.host.eventsNow())
                let ranks = story.states.map { [KEEL_ORDER_PENDING: 0, KEEL_ORDER_OPEN: 1, KEEL_ORDER_FILLED: 2][$0] ?? 9 }
                try require(ranks == ranks.sorted() && ranks.last == 2, "the order's states came as \(story.stateNames)")
                try require(instance.doneCount(request) == 1, "submit's request got \(instance.doneCount(request)) DONE events")
                try require(instance.done(request)?.status == KEEL_OK, "the DONE of a filled order says \(statusName(instance.done(request)?.status ?? 0))")
                for report in story.reports where report.side != side { throw Verdict.fail("an ORDER event has another side than the order") }
            }
        }
        try require(tried > 0, "the broker takes neither market nor limit orders: order_features is \(features)")
        let misuse = instance.host.misuse(.malformedEvent)
        try require(misuse == nil, misuse?.text ?? "")
        instance.end()
    },
    broker("B02", "order-features", "Every declared order feature is taken; an undeclared one, an unknown bit and a non-zero tail are KEEL_E_UNSUPPORTED.",
           rule: "an unknown bit or a non-zero tail: KEEL_E_UNSUPPORTED") { bench in
        try bench.play(anyOf: "open", "fill")
        let instance = try bench.running()
        let features = try bench.brokerTable().pointee.order_features
        let kinds = [KEEL_ORD_MARKET, KEEL_ORD_LIMIT, KEEL_ORD_STOP, KEEL_ORD_STOP_LIMIT, KEEL_ORD_TAKE, KEEL_ORD_TAKE_LIMIT]
        let extras = [KEEL_ORD_POST_ONLY, KEEL_ORD_REDUCE_ONLY, KEEL_ORD_IOC, KEEL_ORD_FOK]
        let known = (kinds + extras).reduce(0, |)
        try require(features & ~known == 0, "order_features has bits ABI 1.0 doesn't know: \(features & ~known)")
        let base = features & KEEL_ORD_LIMIT != 0 ? KEEL_ORD_LIMIT : KEEL_ORD_MARKET
        func refused(_ what: String, _ order: keel_order, tail: [UInt8] = []) throws {
            let (called, request) = instance.submit(order, tail: tail)
            let outcome = try require(instance.outcome(called, request), "\(what) got no DONE")
            try require(outcome.status == KEEL_E_UNSUPPORTED, "\(what) is answered with \(outcome.words); KEEL_E_UNSUPPORTED was due")
        }
        for kind in kinds {
            var order = bench.order(KEEL_BUY, kind)
            if features & kind != 0 {
                let (called, _) = instance.submit(order)
                try require(called.accepted, "an order of a declared kind (feature bit \(kind)) is answered with \(called.words)")
            } else {
                order.features = kind
                try refused("an order of an undeclared kind (feature bit \(kind))", order)
            }
        }
        for extra in extras {
            let order = bench.order(KEEL_BUY, base | extra)
            if features & extra != 0 {
                let (called, _) = instance.submit(order)
                // Post-only and market contradict each other; a broker may say so.
                if base == KEEL_ORD_LIMIT { try require(called.accepted, "an order with a declared feature (bit \(extra)) is answered with \(called.words)") }
            } else {
                try refused("an order with an undeclared feature (bit \(extra))", order)
            }
        }
        for bit in [12, 20, 40, 63] as [UInt64] { try refused("an order with the unknown feature bit \(bit)", bench.order(KEEL_BUY, base | 1 << bit)) }
        try refused("an order whose struct is longer and whose tail isn't zero", bench.order(KEEL_BUY, base), tail: [0, 0, 0, 1, 0, 0, 0, 0])
        let (longer, _) = instance.submit(bench.order(KEEL_BUY, base), tail: [UInt8](repeating: 0, count: 32))
        try require(longer.accepted, "an order whose struct is longer but whose tail is zero is answered with \(longer.words)")
        instance.run(for: 0.02)
        instance.end()
    },
    broker("B03", "order-limits", "A quantity or price off the grid, below the minimum or above the maximum is refused before anything is sent, and the message names the rule.",
           rule: "a number does not fit or is outside its limits") { bench in
        try bench.play("fill")
        let instance = try bench.running()
        let features = try bench.brokerTable().pointee.order_features
        let priced = features & KEEL_ORD_LIMIT != 0
        let kind = priced ? KEEL_ORD_LIMIT : KEEL_ORD_MARKET
        let rules = bench.profile.instrument
        var cases: [(String, [String], keel_order)] = []
        func add(_ what: String, _ words: [String], _ change: (inout keel_order) -> Void) {
            var order = bench.order(KEEL_BUY, kind)
            change(&order)
            cases.append((what, words, order))
        }
        add("a quantity of 0", ["qty", "quantity"]) { $0.qty = 0 }
        add("a quantity below 0", ["qty", "quantity"]) { $0.qty = -$0.qty }
        if rules.lot.raw > 1 { add("a quantity that is no multiple of the lot", ["lot"]) { $0.qty += rules.lot.raw / 2 + (rules.lot.raw == 1 ? 1 : 0) } }
        if rules.minQty.raw > rules.lot.raw || rules.minQty.raw > 1 { add("a quantity below min_qty", ["min", "lot"]) { $0.qty = max(1, rules.minQty.raw - max(1, rules.lot.raw)) } }
        if rules.maxQty.raw > 0 { add("a quantity above max_qty", ["max"]) { $0.qty = rules.maxQty.raw + max(1, rules.lot.raw) } }
        if priced {
            if rules.tick.raw > 1 { add("a price that is no multiple of the tick", ["tick"]) { $0.limit += rules.tick.raw / 2 } }
            add("a limit of 0", ["limit", "price"]) { $0.limit = 0 }
            add("a limit below 0", ["limit", "price"]) { $0.limit = -$0.limit }
        }
        for (what, words, order) in cases {
            let (called, request) = instance.submit(order)
            let outcome = try require(instance.outcome(called, request), "\(what) got no DONE")
            try require(outcome.status < 0 && outcome.status != KEEL_E_IN_DOUBT, "\(what) is answered with \(outcome.words)")
            let message = outcome.message.lowercased()
            try require(words.contains { message.contains($0) }, "\(what) is refused, but the message doesn't name the rule (\(words.joined(separator: " or "))): \"\(outcome.message)\"")
        }
        try bench.nothingPlaced()
        instance.end()
    },
    broker("B04", "not-after", "An order whose not_after has passed is refused and never sent.", rule: "host clock: never send later than this; 0 = no limit") { bench in
        try bench.play("fill")
        let instance = try bench.running()
        var order = bench.order()
        order.not_after = bench.clock.now - .seconds(1)
        let (called, request) = instance.submit(order)
        let outcome = try require(instance.outcome(called, request), "an order whose not_after has passed got no DONE")
        try require(outcome.status < 0 && outcome.status != KEEL_E_IN_DOUBT, "an order whose not_after has passed is answered with \(outcome.words)")
        instance.run(for: 0.02)
        try bench.nothingPlaced()
        instance.end()
    },
    broker("B05", "partial-fills", "While an order fills in parts, filled never falls, filled and leaves add up to the quantity, and the average is exact.",
           rule: "quantities are cumulative, never deltas") { bench in
        try bench.play("partial")
        let instance = try bench.running()
        let order = bench.order(KEEL_BUY, try bench.limitOrMarket())
        let (called, _) = instance.submit(order)
        try require(called.accepted, "submit answers \(called.words)")
        try bench.waitFor(instance, order.id, "the order to be filled in parts") { $0.states.contains(KEEL_ORDER_FILLED) }
        let story = OrderStory(order.id, instance.host.eventsNow())
        var last: Int64 = 0
        var notional: Int128 = 0, quantity: Int128 = 0
        for event in instance.host.eventsNow() where !event.isSnapshot {
            if let fill = event.fill, fill.order == order.id {
                notional += Int128(fill.qty) * Int128(fill.price)
                quantity += Int128(fill.qty)
            }
            guard let report = event.order, report.order == order.id else { continue }
            try require(report.filled >= last, "filled fell from \(Fixed(raw: last)) to \(Fixed(raw: report.filled))")
            last = report.filled
            if report.state == KEEL_ORDER_OPEN || report.state == KEEL_ORDER_FILLED {
                try require(Int128(report.filled) + Int128(report.leaves) == Int128(order.qty),
                            "filled \(Fixed(raw: report.filled)) and leaves \(Fixed(raw: report.leaves)) don't add up to \(Fixed(raw: order.qty))")
            }
        }
        try require(story.reports.filter { $0.filled > 0 }.count >= 2, "the venue filled in parts, the events show \(story.stateNames)")
        try require(last == order.qty, "the last filled is \(Fixed(raw: last)) of \(Fixed(raw: order.qty))")
        if quantity > 0, let average = story.reports.last?.average {
            let exact = (notional * 2 + quantity) / (quantity * 2)
            try require(Int128(average) == exact, "average is \(Fixed(raw: average)), the fills give \(Amount(raw: exact))")
        }
        instance.end()
    },
    broker("B06", "fills", "Fills add up to the order's filled, carry unique ids and a fee with its asset; fills told again are flagged.",
           rule: "fill_id: the venue's, the same whenever this fill is reported") { bench in
        try bench.play("partial")
        let instance = try bench.running()
        let order = bench.order(KEEL_BUY, try bench.limitOrMarket())
        let (called, _) = instance.submit(order)
        try require(called.accepted, "submit answers \(called.words)")
        try bench.waitFor(instance, order.id, "the order to be filled") { $0.states.contains(KEEL_ORDER_FILLED) }
        let story = OrderStory(order.id, instance.host.eventsNow())
        let sum = story.fills.reduce(Int128(0)) { $0 + Int128($1.qty) }
        try require(sum == Int128(order.qty), "the fills add up to \(Amount(raw: sum)), the order was filled with \(Fixed(raw: order.qty))")
        try require(!story.fillIDs.contains(""), "a fill has no fill_id")
        try require(Set(story.fillIDs).count == story.fillIDs.count, "two fills share an id: \(story.fillIDs.joined(separator: ", "))")
        for (fill, event) in zip(story.fills, story.live) {
            if !Amount(fill.fee).isZero { try require(fill.fee_asset.len > 0, "a fill has a fee and no fee_asset") }
            try require(fill.price > 0 && fill.qty > 0, "a fill has quantity \(Fixed(raw: fill.qty)) and price \(Fixed(raw: fill.price))")
            try require(fill.side == order.side, "a fill has another side than its order")
            try require(event.head.instrument == order.instrument, "a fill is about another instrument than its order")
        }
        let before = instance.host.eventsNow().count
        let (again, request) = instance.sync(since: 1)
        let outcome = try require(instance.outcome(again, request), "sync got no DONE")
        try require(outcome.accepted, "sync answers \(outcome.words)")
        for event in instance.host.eventsNow()[before...] {
            guard let fill = event.fill, story.fillIDs.contains(event.text(fill.fill_id)) else { continue }
            try require(event.isReplay, "sync tells the fill \(event.text(fill.fill_id)) again without KEEL_EVF_SNAPSHOT")
        }
        instance.end()
    },
    broker("B07", "cancel-orders", "Cancelling: an open order ends CANCELED, a filled one is KEEL_E_REJECTED and stays filled, an unknown one is KEEL_E_NOT_FOUND.",
           rule: "[lane & running] ends in EV_DONE") { bench in
        try bench.play("open")
        let instance = try bench.running()
        let open = bench.restingOrder()
        let (called, _) = instance.submit(open)
        try require(called.accepted, "submit answers \(called.words)")
        try bench.waitFor(instance, open.id, "the order to be open") { $0.states.contains(KEEL_ORDER_OPEN) }
        let (cancelled, request) = instance.cancel(order: open.id)
        let outcome = try require(instance.outcome(cancelled, request), "cancel got no DONE")
        try require(outcome.accepted, "cancelling an open order ends with \(outcome.words)")
        try bench.waitFor(instance, open.id, "the order to be cancelled") { $0.state == KEEL_ORDER_CANCELED }
        let unknown = bench.orderID()
        let (missing, second) = instance.cancel(order: unknown)
        let answer = try require(instance.outcome(missing, second), "cancelling an unknown order got no DONE")
        try require(answer.status == KEEL_E_NOT_FOUND, "cancelling an unknown order ends with \(answer.words); KEEL_E_NOT_FOUND was due")
        instance.end()
        try bench.play("fill")
        let other = try bench.running()
        let order = bench.order(KEEL_BUY, try bench.limitOrMarket())
        try require(other.submit(order).0.accepted, "submit refuses an order")
        try bench.waitFor(other, order.id, "the order to be filled") { $0.states.contains(KEEL_ORDER_FILLED) }
        let (late, third) = other.cancel(order: order.id)
        let refusal = try require(other.outcome(late, third), "cancelling a filled order got no DONE")
        try require(refusal.status == KEEL_E_REJECTED, "cancelling a filled order ends with \(refusal.words); KEEL_E_REJECTED was due")
        let story = OrderStory(order.id, other.host.eventsNow())
        try require(story.state == KEEL_ORDER_FILLED, "after a refused cancel the filled order is \(story.stateNames)")
        other.end()
    },
    broker("B08", "cancel-races-fill", "When a fill overtakes a cancel, the order ends as the venue says: filled, never cancelled.",
           rule: "terminal: only a definite answer of the venue may say so") { bench in
        try bench.play("race")
        let instance = try bench.running()
        let order = bench.restingOrder()
        try require(instance.submit(order).0.accepted, "submit refuses an order")
        try bench.waitFor(instance, order.id, "the order to be open") { $0.states.contains(KEEL_ORDER_OPEN) }
        let (called, request) = instance.cancel(order: order.id)
        _ = try require(instance.outcome(called, request), "the cancel that lost the race got no DONE")
        try bench.waitFor(instance, order.id, "the order to be filled") { $0.states.contains(KEEL_ORDER_FILLED) }
        instance.run(for: 0.01)
        let story = OrderStory(order.id, instance.host.eventsNow())
        try require(story.state == KEEL_ORDER_FILLED && !story.states.contains(KEEL_ORDER_CANCELED), "the venue filled the order; its states are \(story.stateNames)")
        instance.end()
    },
    broker("B09", "two-cancels", "Two orders cancelled at once, one of them in vain: each cancel gets its own DONE.", rule: "the last event of a request, exactly once") { bench in
        try bench.play("cancel-one")
        let instance = try bench.running()
        let orders = [bench.restingOrder(), bench.restingOrder()]
        for order in orders {
            try require(instance.submit(order).0.accepted, "submit refuses an order")
            try bench.waitFor(instance, order.id, "the order to be open") { $0.states.contains(KEEL_ORDER_OPEN) }
        }
        let calls = orders.map { instance.cancel(order: $0.id) }
        let outcomes = try calls.map { try require(instance.outcome($0.0, $0.1), "one of two cancels got no DONE of its own") }
        try require(outcomes.count(where: \.accepted) == 1 && outcomes.count { $0.status == KEEL_E_REJECTED || $0.status == KEEL_E_NOT_FOUND } == 1,
                    "of two cancels one worked and one was refused; the DONE events say \(outcomes.map(\.words).joined(separator: " and "))")
        for (_, request) in calls { try require(instance.doneCount(request) == 1, "a cancel got \(instance.doneCount(request)) DONE events") }
        instance.end()
    },
    broker("B10", "replace", "Replacing an order leaves one live order, never two.", rule: "NULL: the host cancels, then submits") { bench in
        guard try bench.brokerTable().pointee.replace != nil else { throw Verdict.skip("replace is NULL: the host cancels, then submits") }
        try bench.play("open")
        let instance = try bench.running()
        let first = bench.restingOrder()
        try require(instance.submit(first).0.accepted, "submit refuses an order")
        try bench.waitFor(instance, first.id, "the order to be open") { $0.states.contains(KEEL_ORDER_OPEN) }
        var second = bench.restingOrder()
        second.limit -= max(1, bench.profile.instrument.tick.raw)
        let (called, request) = instance.replace(order: first.id, with: second)
        let outcome = try require(instance.outcome(called, request), "replace got no DONE")
        instance.run(for: 0.02)
        let before = instance.host.eventsNow().count
        let (synced, third) = instance.sync(since: 1)
        _ = try require(instance.outcome(synced, third), "sync got no DONE")
        var open: Set<UInt64> = []
        for event in instance.host.eventsNow()[before...] {
            guard let report = event.order, report.order == first.id || report.order == second.id else { continue }
            if OrderStory.isTerminal(report.state) { open.remove(report.order.lo) } else { open.insert(report.order.lo) }
        }
        try require(open.count == 1, "after a replace that ended with \(outcome.words), \(open.count) of the two orders are live")
        instance.end()
    },
    broker("B11", "same-id-twice", "The same order id submitted twice is KEEL_E_DUPLICATE and never a second order at the venue.", rule: "The same id twice is KEEL_E_DUPLICATE.") { bench in
        try bench.play("fill")
        let instance = try bench.running()
        let order = bench.order(KEEL_BUY, try bench.limitOrMarket())
        try require(instance.submit(order).0.accepted, "submit refuses an order")
        func again(_ when: String) throws {
            let (called, request) = instance.submit(order)
            let outcome = try require(instance.outcome(called, request), "the same id once more, \(when), got no DONE")
            try require(outcome.status == KEEL_E_DUPLICATE, "the same id once more, \(when), is answered with \(outcome.words)")
        }
        try again("at once")
        try bench.waitFor(instance, order.id, "the order to be filled") { $0.states.contains(KEEL_ORDER_FILLED) }
        try again("after the order was filled")
        instance.run(for: 0.01)
        if bench.hasMock {
            let placed = try bench.venue().placed()
            try require(placed == 1, "the venue took \(placed) orders")
        }
        let fills = OrderStory(order.id, instance.host.eventsNow()).fills.reduce(Int128(0)) { $0 + Int128($1.qty) }
        try require(fills <= Int128(order.qty), "more was filled than ordered")
        instance.end()
    },
    broker("B12", "lost-answer", "When the connection drops before the venue answers, the order is IN_DOUBT, and after a sync what it truly is; nothing is sent twice.",
           rule: "not terminal: a later state must follow") { bench in
        try bench.play("lost-reply")
        let instance = try bench.running()
        let order = bench.order(KEEL_BUY, try bench.limitOrMarket())
        let (called, _) = instance.submit(order)
        try require(called.accepted || called.status == KEEL_E_IN_DOUBT, "submit answers \(called.words)")
        try bench.quoteIfSimulated(instance)
        if called.accepted {
            let doubted = instance.run(for: 3, jumping: true) { !OrderStory(order.id, instance.host.eventsNow(), snapshots: true).states.filter { $0 != KEEL_ORDER_PENDING }.isEmpty }
            let story = OrderStory(order.id, instance.host.eventsNow(), snapshots: true)
            try require(doubted, "the connection dropped with an order on the way, and nothing was said about it (\(story.stateNames))")
            let first = story.states.first { $0 != KEEL_ORDER_PENDING }
            try require(first == KEEL_ORDER_IN_DOUBT || first == KEEL_ORDER_FILLED || first == KEEL_ORDER_OPEN,
                        "the connection dropped with an order on the way; the plugin called it \(OrderStory.name(first ?? 0)) without an answer of the venue")
        }
        // The host syncs when the link is back.
        var last = Called(status: KEEL_E_NETWORK, message: "no link")
        let synced = instance.run(for: 4, jumping: true) {
            let (called, request) = instance.sync(since: 1)
            guard let outcome = instance.outcome(called, request, within: 1, jumping: true) else { return false }
            last = outcome
            return outcome.accepted
        }
        try require(synced, "after the connection was lost, no sync succeeds: \(last.words)")
        instance.run(for: 0.05) { OrderStory(order.id, instance.host.eventsNow(), snapshots: true).isTerminal }
        let story = OrderStory(order.id, instance.host.eventsNow(), snapshots: true)
        try require(story.states.last == KEEL_ORDER_FILLED, "the venue filled the order; after the sync its states are \(story.stateNames)")
        if bench.hasMock {
            let placed = try bench.venue().placed()
            try require(placed == 1, "the venue took \(placed) orders: the plugin sent it again")
        }
        instance.end()
    },
    broker("B13", "late-answer", "An answer that comes after the plugin has given up still puts the order's state right.", rule: "not terminal: a later state must follow") { bench in
        try bench.play("late")
        let instance = try bench.running()
        let order = bench.order(KEEL_BUY, try bench.limitOrMarket())
        let (called, request) = instance.submit(order)
        try require(called.accepted, "submit answers \(called.words)")
        instance.run(for: 0.03)
        // An hour passes on the host's clock, every timer fires, and no answer has come.
        for _ in 0..<12 {
            bench.clock.jump(.seconds(300))
            instance.turn(0)
            instance.run(for: 0.002)
        }
        let early = OrderStory(order.id, instance.host.eventsNow())
        try require(!early.isTerminal, "without an answer of the venue the plugin called the order \(early.stateNames)")
        if bench.hasMock { try bench.venue().release() }
        try bench.waitFor(instance, order.id, "the late answer to be told", jumping: true) { $0.state == KEEL_ORDER_FILLED }
        try require(instance.run(for: 0.5, until: { instance.done(request) != nil }), "submit's request got no DONE")
        instance.end()
    },
    broker("B14", "double-and-disordered", "Answers that come twice, out of order or with states nobody knows have one effect at most.", rule: "Events, descriptors and") { bench in
        var played = 0
        for scenario in ["double", "disorder"] {
            do { try bench.play(scenario) } catch Verdict.skip { continue }
            played += 1
            let instance = try bench.running()
            let order = bench.order(KEEL_BUY, try bench.limitOrMarket())
            try require(instance.submit(order).0.accepted, "submit refuses an order")
            try bench.waitFor(instance, order.id, "the order to be filled (scenario \(scenario))") { $0.states.contains(KEEL_ORDER_FILLED) }
            instance.run(for: 0.03)
            let story = OrderStory(order.id, instance.host.eventsNow())
            try require(story.state == KEEL_ORDER_FILLED, "in scenario \(scenario) the order's states came as \(story.stateNames)")
            for report in story.reports {
                try require(report.filled <= order.qty, "in scenario \(scenario) filled rose to \(Fixed(raw: report.filled)) of \(Fixed(raw: order.qty))")
            }
            var once: [String: Int64] = [:]
            for (id, fill) in zip(story.fillIDs, story.fills) { once[id] = fill.qty }
            try require(once.values.reduce(Int128(0)) { $0 + Int128($1) } == Int128(order.qty), "in scenario \(scenario) the distinct fills don't add up to the quantity")
            if scenario == "disorder", bench.hasMock {
                try require(!instance.host.logsNow().isEmpty, "an unknown message of the venue was not logged")
            }
            instance.end()
        }
        if played == 0 { throw Verdict.skip("the venue has neither the scenario \"double\" nor \"disorder\"") }
    },
    broker("B15", "killed-in-between", "Killed at fifty points between submit and acknowledgement, restarted and synced: no order is lost and none is sent twice.",
           rule: "The host syncs after every start and every reconnect.", limit: 60) { bench in
        guard bench.hasMock else { throw Verdict.skip("the venue lives in the plugin and dies with it") }
        try bench.play(anyOf: "open", "fill")
        let folder = try temporaryFolder()
        defer { removeFolder(folder) }
        for point in 0..<50 {
            _ = try bench.venue().scenario(bench.scenario ?? "open")
            let order = bench.restingOrder()
            let seed = bench.random.next()
            try bench.submitAndDie(order, folder, afterCalls: point % 17, waiting: point % 3 == 2 ? Int(seed % 2000) : 0)
            // A mock of the author's own may need a moment; the recorded one reads all it was sent before it reports.
            if case .command = bench.profile.venue { usleep(5000) }
            let placed = try bench.venue().placed()
            try require(placed <= 1, "at point \(point) the venue took \(placed) orders for one submit")
            let reported = try valueFromFork("restarted after point \(point)") {
                let instance = try bench.running(store: CheckStore(folder: folder))
                let (called, request) = instance.sync(since: 1)
                let outcome = try require(instance.outcome(called, request), "sync got no DONE")
                try require(outcome.accepted, "sync answers \(outcome.words)")
                instance.run(for: 0.003)
                let story = OrderStory(order.id, instance.host.eventsNow(), snapshots: true)
                instance.end()
                return story.states.isEmpty && story.fills.isEmpty ? 0 : 1
            }
            let afterwards = try bench.venue().placed()
            try require(afterwards == placed, "at point \(point) the restarted plugin sent the order again")
            if placed == 1 { try require(reported == 1, "at point \(point) the venue has the order, and sync after the restart doesn't tell it") }
            if placed == 0 {
                try require(reported == 0, "at point \(point) the venue never got the order, and sync after the restart tells it")
            }
        }
    },
]

func broker(_ id: String, _ name: String, _ sentence: String, rule: String, limit: Double = 15, _ body: @escaping @Sendable (Bench) throws -> Void) -> Check {
    Check(id, name, sentence, rule: rule, scope: .interface(KEEL_BROKER), limit: limit, body)
}

extension Bench {
    func brokerTable() throws -> UnsafePointer<keel_broker> {
        try require(try subject().table(KEEL_BROKER, as: keel_broker.self), "the component has no broker table")
    }

    func limitOrMarket() throws -> UInt64 { try brokerTable().pointee.order_features & KEEL_ORD_LIMIT != 0 ? KEEL_ORD_LIMIT : KEEL_ORD_MARKET }

    func waitFor(_ instance: Instance, _ id: keel_id, _ what: String, jumping: Bool = false, _ condition: (OrderStory) -> Bool) throws {
        let deadline = CheckClock.monotonic() + 3_000_000_000
        var came = false
        repeat {
            // A simulated venue fills against the market: it goes on while we wait.
            if !hasMock { try quoteIfSimulated(instance) }
            came = instance.run(for: hasMock ? 3 : 0.03, jumping: jumping) { condition(OrderStory(id, instance.host.eventsNow())) }
        } while !came && CheckClock.monotonic() < deadline
        let story = OrderStory(id, instance.host.eventsNow(), snapshots: true)
        try require(came, "waited 3 s for \(what); its states are \(story.states.isEmpty ? "none" : story.stateNames)")
    }

    fileprivate func nothingPlaced() throws {
        guard hasMock else { return }
        let placed = try venue().placed()
        try require(placed == 0, "the venue was sent \(placed) orders that should have been refused")
    }

    /// A process of its own that submits and kills itself at the n-th use of the host after submit began, or after a wait.
    fileprivate func submitAndDie(_ order: keel_order, _ folder: String, afterCalls: Int, waiting: Int) throws {
        let child = csystem_fork()
        if child == 0 {
            guard let instance = try? running(store: CheckStore(folder: folder)) else { _exit(1) }
            var uses = 0
            if waiting == 0 {
                instance.host.onCall = {
                    if uses == afterCalls { kill(getpid(), SIGKILL) }
                    uses += 1
                }
            }
            _ = instance.submit(order)
            if waiting > 0 {
                // Killed by the clock instead: the bytes may be anywhere between here and the venue.
                let deadline = CheckClock.monotonic() + Int64(waiting) * 1000
                while CheckClock.monotonic() < deadline { instance.turn(0) }
            } else {
                instance.run(for: 0.02)
            }
            kill(getpid(), SIGKILL)
        }
        var status: Int32 = 0
        waitpid(child, &status, 0)
        try require(status & 0x7f == SIGKILL, "the plugin did not come up to be killed: \(CheckProcess.death([], status))")
    }
}
