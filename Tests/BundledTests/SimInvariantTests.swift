import PluginAPI
import PluginKit
import PluginSupport
import Testing

/// Whatever happens, the books must balance.
@Suite struct SimInvariantTests {
    /// What a host would believe, from events alone.
    struct Ledger {
        struct Known {
            var quantity: Int64
            var filled: Int64 = 0
            var state: UInt32 = 0
            var side: UInt32 = 0
        }
        var orders: [UInt64: Known] = [:]
        var fills: [String: keel_ev_fill] = [:]
        var dones: [UInt64: Int] = [:]
        var doubled = 0

        mutating func take(_ events: [RecordedEvent], seed: UInt64) {
            for event in events {
                if let done = event.done { dones[event.request, default: 0] += done.status == KEEL_OK ? 1 : 1 }
                if let order = event.order, var known = orders[order.order.lo] {
                    #expect(order.state == KEEL_ORDER_IN_DOUBT || order.filled + order.leaves == known.quantity, "seed \(seed)")
                    if order.filled > known.filled { known.filled = order.filled }
                    let over = (known.state >= KEEL_ORDER_FILLED && known.state <= KEEL_ORDER_EXPIRED)
                    if over, order.state >= KEEL_ORDER_FILLED, order.state <= KEEL_ORDER_EXPIRED {
                        #expect(order.state == known.state, "a finished order changed its end, seed \(seed)")
                    }
                    if !over { known.state = order.state }
                    orders[order.order.lo] = known
                }
                if let fill = event.fill {
                    let name = event.text(fill.fill_id)
                    if let before = fills[name] {
                        doubled += 1
                        #expect(before.qty == fill.qty && before.price == fill.price && before.order.lo == fill.order.lo)
                    }
                    fills[name] = fill
                    #expect(fill.qty > 0 && fill.price > 0)
                }
            }
        }
    }

    func run(seed: UInt64, config: String, steps: Int = 500) throws -> (venue: TestVenue, ledger: Ledger) {
        var random = Seeded(seed)
        let host = TestHost()
        host.add(1, "BTC/USDT", lot: "0.01")
        let venue = try TestVenue(config, host: host)
        var ledger = Ledger()
        var price: Int64 = 100_00
        var live: [UInt64] = []
        venue.trade("100")
        for step in 0..<steps {
            price = max(price + Int64.random(in: -40...40, using: &random), 10_00)
            let here = Fixed(raw: price * 1_000_000)
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<3:
                ledger.take(venue.trade(here.description, "\(Int.random(in: 1...5, using: &random))"), seed: seed)
            case 3..<6:
                let bid = Fixed(raw: (price - 5) * 1_000_000).description
                let ask = Fixed(raw: (price + 5) * 1_000_000).description
                ledger.take(venue.quote(bid, ask, bidQuantity: "2", askQuantity: "0.5"), seed: seed)
            case 6..<9:
                let kinds: [OrderFeatures] = [
                    .market, .limit, [.limit, .postOnly], [.limit, .immediateOrCancel], [.limit, .fillOrKill], .stop, .stopLimit, .take,
                    .takeLimit, [.market, .reduceOnly], [.limit, .reduceOnly], [.stop, .reduceOnly],
                ]
                let kind = kinds.randomElement(using: &random) ?? .market
                let limit = price + Int64.random(in: -60...60, using: &random)
                let trigger = price + Int64.random(in: -60...60, using: &random)
                let quantity = Int64.random(in: 1...300, using: &random) * 1_000_000
                let side: Side = Bool.random(using: &random) ? .buy : .sell
                // The order is known before the venue hears of it.
                ledger.orders[venue.id(venue.lastID + 1).lo] = Ledger.Known(quantity: quantity, side: side.rawValue)
                do {
                    let sent = try venue.send(
                        kind, side, Fixed(raw: quantity).description,
                        limit: kind.isDisjoint(with: .withLimit) ? "0" : Fixed(raw: limit * 1_000_000).description,
                        trigger: kind.isDisjoint(with: .withTrigger) ? "0" : Fixed(raw: trigger * 1_000_000).description)
                    live.append(sent.id)
                    ledger.take(sent.events, seed: seed)
                } catch let refusal as Refusal {
                    #expect(refusal.status != KEEL_E_IN_DOUBT)
                    ledger.orders[venue.id(venue.lastID).lo] = nil
                }
            default:
                if let id = live.randomElement(using: &random) { ledger.take(try venue.cancel(id), seed: seed) }
            }
            venue.instance.advance(to: venue.host.now + Int64.random(in: 0...300_000_000, using: &random))
            ledger.take(venue.host.take(), seed: seed)
            if step % 100 == 99 { ledger.take(try venue.sync(), seed: seed) }
        }
        venue.instance.advance(to: venue.host.now + 60_000_000_000)
        ledger.take(venue.host.take(), seed: seed)
        ledger.take(try venue.sync(), seed: seed)
        return (venue, ledger)
    }

    func check(_ venue: TestVenue, _ ledger: Ledger, seed: UInt64, cash: Int128 = 100_000 * 100_000_000) throws {
        // Fills against orders.
        var filled: [UInt64: Int64] = [:]
        var position: Int128 = 0
        var money = cash
        for fill in ledger.fills.values {
            filled[fill.order.lo, default: 0] += fill.qty
            let side: Int128 = fill.side == KEEL_BUY ? 1 : -1
            position += side * Int128(fill.qty)
            money -= side * Fixed(raw: fill.price).notional(Fixed(raw: fill.qty)).raw + Amount(fill.fee).raw
        }
        for (id, order) in ledger.orders {
            #expect(filled[id, default: 0] == order.filled, "order \(id >> 24), seed \(seed)")
            #expect(order.filled <= order.quantity)
            #expect(order.state != KEEL_ORDER_IN_DOUBT, "order \(id >> 24) stays in doubt, seed \(seed)")
        }
        // Cash, holdings and position against fills.
        #expect(try venue.position() == Amount(raw: position).description, "seed \(seed)")
        #expect(try venue.balance("USDT").total == Amount(raw: money).description, "seed \(seed)")
        #expect(try venue.balance("BTC").total == Amount(raw: position).description, "seed \(seed)")
        // Every request ended once.
        for (request, count) in ledger.dones { #expect(count == 1, "request \(request), seed \(seed)") }
        // What is promised is promised to open orders, and to nothing else.
        for (id, order) in ledger.orders where order.state == KEEL_ORDER_OPEN { try venue.cancel(id >> 24) }
        venue.instance.advance(to: venue.host.now + 60_000_000_000)
        for asset in ["USDT", "BTC"] {
            let balance = try venue.balance(asset)
            #expect(balance.total == balance.available, "\(asset), seed \(seed)")
        }
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64]) func theBooksBalance(seed: UInt64) throws {
        let fill = ["book", "this-tick", "next-open"][Int(seed % 3)]
        let (venue, ledger) = try run(seed: seed, config: #"{"fill": "\#(fill)", "keep": true, "updates": false, "participation": "0.3"}"#)
        #expect(ledger.fills.count > 50 && ledger.doubled > 0)
        try check(venue, ledger, seed: seed)
    }

    @Test(arguments: [11, 12, 13] as [UInt64]) func theBooksBalanceWhateverGoesWrong(seed: UInt64) throws {
        let config =
            #"{"fill": "book", "keep": true, "updates": false, "latency": "20ms", "seed": \#(seed), "faults": {"reject": "0.05", "partial": "0.3", "lost": "0.1", "late": "0.1", "double": "0.1", "reorder": "0.2"}}"#
        let (venue, ledger) = try run(seed: seed, config: config)
        #expect(ledger.fills.count > 20)
        try check(venue, ledger, seed: seed)
    }

    @Test func aLostAnswerIsInDoubtUntilTheTruthIsAsked() throws {
        let venue = try TestVenue(#"{"fill": "this-tick", "updates": false, "faults": {"lost": "1"}}"#)
        venue.trade("100")
        #expect(try venue.send(.market, .buy, "1").events.states == [KEEL_ORDER_PENDING])
        venue.instance.advance(to: venue.host.now + 500_000_000)
        let noticed = venue.host.take()
        #expect(noticed.states == [KEEL_ORDER_IN_DOUBT] && noticed.dones == [KEEL_E_IN_DOUBT])
        let truth = try venue.sync()
        #expect(truth.states == [KEEL_ORDER_FILLED] && truth.fillQuantities == ["1"])
    }

    @Test func aLostAnswerIsLookedUpWithoutBeingAsked() throws {
        let venue = try TestVenue(#"{"fill": "this-tick", "updates": false, "faults": {"lost": "1"}}"#)
        venue.trade("100")
        try venue.send(.market, .buy, "1")
        venue.instance.advance(to: venue.host.now + 6_000_000_000)
        let events = venue.host.take()
        #expect(events.states == [KEEL_ORDER_IN_DOUBT, KEEL_ORDER_FILLED] && events.fillQuantities == ["1"])
        #expect(events.dones == [KEEL_E_IN_DOUBT])
    }

    @Test func theSameDayTwiceIsTheSameDay() throws {
        let config = #"{"fill": "book", "keep": true, "latency": "20ms", "faults": {"partial": "0.3", "lost": "0.1", "late": "0.1", "double": "0.1"}}"#
        let first = try run(seed: 5, config: config, steps: 400)
        let second = try run(seed: 5, config: config, steps: 400)
        #expect(try first.venue.instance.describe() == second.venue.instance.describe())
        #expect(first.ledger.doubled == second.ledger.doubled)
    }

    @Test func stoppingAnswersWhoeverWaits() throws {
        let venue = try TestVenue(#"{"fill": "this-tick", "latency": "1s"}"#)
        venue.trade("100")
        let request = try venue.send(.market, .buy, "1").request
        let stop = try venue.instance.stop()
        let events = venue.host.take()
        #expect(events.map(\.request) == [request, stop] && events.dones == [KEEL_E_IN_DOUBT, KEEL_OK])
        #expect(venue.host.timers.isEmpty)
    }
}
