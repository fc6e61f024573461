import PluginAPI
import PluginKit
import PluginSupport
import Testing

@testable import BinanceConnector

/// What happens when nobody knows whether an order arrived: it is asked for, never sent again.
@Suite(.serialized) struct DoubtTests {
    static let steps = [
        "\"do\": \"lost_reply\"", "\"do\": \"timeout_after\"", "\"do\": \"status\", \"status\": 503, \"done\": true", "\"do\": \"status\", \"status\": 502, \"done\": true", "\"do\": \"hang_after\"",
        "\"do\": \"reject\", \"status\": 400, \"code\": -1006, \"done\": true", "\"do\": \"reject\", \"status\": 400, \"code\": -1000, \"done\": true",
    ]

    @Test("done, but not answered: one order at the venue, and the truth is told", arguments: steps, ["true", "false"])
    func doneWithoutAnswer(_ step: String, _ overSocket: String) throws {
        let rig = try TradingRig(config: ", \"socket_orders\": \(overSocket), \"recv_window\": 500")
        try rig.control("{\"do\": \"lose_events\"}")
        try rig.faults("{\(step), \"calls\": [\"POST /api/v3/order\", \"order.place\"], \"times\": 1}")
        let (id, request) = try rig.submit(.market, .buy, "0.01")
        #expect(rig.run(8) { rig.states(id).contains(KEEL_ORDER_IN_DOUBT) || rig.state(id) == KEEL_ORDER_FILLED }, "\(rig.states(id)) \(rig.host.logs)")
        try rig.expect(id, KEEL_ORDER_FILLED)
        #expect(rig.states(id).contains(KEEL_ORDER_IN_DOUBT))
        rig.run(1) { rig.done(request) != nil }
        #expect(rig.status(request) == KEEL_OK)
        #expect(rig.filled(id) == Fixed("0.01"))
        #expect(try rig.placed(id) == 1)
    }

    @Test("not done and not answered: in doubt until the window has closed, then refused, never sent again", arguments: ["lost_request", "timeout"])
    func neverArrived(_ step: String) throws {
        let rig = try TradingRig(config: ", \"recv_window\": 500")
        try rig.faults("{\"do\": \"\(step)\", \"calls\": [\"POST /api/v3/order\", \"order.place\"], \"times\": 1}")
        let sent = TradingRig.wall()
        let (id, request) = try rig.submit(.market, .buy, "0.01")
        #expect(rig.run(5) { rig.states(id).contains(KEEL_ORDER_IN_DOUBT) })
        try rig.expect(id, KEEL_ORDER_REJECTED, within: 15)
        #expect(TradingRig.wall() - sent > 500_000_000 + TradeDesk.grace * 1_000_000, "not before the window and the grace are over")
        #expect(rig.status(request) == KEEL_E_REJECTED)
        #expect(try rig.placed(id) == 0)
        #expect(rig.fills(id).isEmpty)
    }

    @Test("a host clock that jumps an hour proves nothing: only the venue's clock closes the window")
    func jumpingClock() throws {
        let rig = try TradingRig(config: ", \"recv_window\": 500")
        try rig.faults("{\"do\": \"lost_request\", \"calls\": [\"POST /api/v3/order\", \"order.place\"], \"times\": 1}")
        let (id, _) = try rig.submit(.market, .buy, "0.01")
        #expect(rig.run(5) { rig.states(id).contains(KEEL_ORDER_IN_DOUBT) })
        for _ in 0..<12 {
            rig.jump(300_000_000_000)
            rig.run(for: 0.1)
            #expect(rig.state(id) == KEEL_ORDER_IN_DOUBT)
        }
    }

    @Test("certainly not done is told so at once, and nothing is asked", arguments: [
        ("\"do\": \"limited\"", KEEL_E_RATE), ("\"do\": \"busy\"", KEEL_E_NETWORK), ("\"do\": \"reject\", \"code\": -2015, \"status\": 401", KEEL_E_AUTH),
        ("\"do\": \"reject\", \"code\": -2010, \"msg\": \"Market is closed.\"", KEEL_E_REJECTED), ("\"do\": \"reject\", \"code\": -1013, \"msg\": \"Filter failure: PERCENT_PRICE\"", KEEL_E_REJECTED),
    ])
    func notDone(_ step: String, _ status: keel_status) throws {
        let rig = try TradingRig()
        try rig.faults("{\(step), \"calls\": [\"POST /api/v3/order\", \"order.place\"], \"times\": 1}")
        let (id, request) = try rig.submit(.market, .buy, "0.01")
        #expect(rig.run(5) { rig.done(request) != nil })
        #expect(rig.status(request) == status, "\(rig.done(request).map { "\($0)" } ?? "")")
        #expect(!rig.states(id).contains(KEEL_ORDER_IN_DOUBT))
        rig.run(for: 0.3)
        #expect(try rig.placed(id) == 0)
    }

    @Test("-1021: the clock is measured anew and the order goes once")
    func clock() throws {
        let rig = try TradingRig()
        try rig.faults("{\"do\": \"reject\", \"code\": -1021, \"msg\": \"Timestamp for this request is outside of the recvWindow.\", \"calls\": [\"POST /api/v3/order\", \"order.place\"], \"times\": 1}")
        let (id, _) = try rig.submit(.market, .buy, "0.01")
        try rig.expect(id, KEEL_ORDER_FILLED)
        #expect(try rig.placed(id) == 1)
        // The host's clock jumps: the next order's timestamp is wrong, and right again by itself.
        for jump in [40_000_000_000, -80_000_000_000] as [Int64] {
            rig.jump(jump)
            let (next, _) = try rig.submit(.market, .sell, "0.005")
            try rig.expect(next, KEEL_ORDER_FILLED)
            #expect(try rig.placed(next) == 1)
        }
    }

    @Test("a cancel that got no answer is looked at and sent again", arguments: ["lost_reply", "lost_request", "timeout", "timeout_after"])
    func cancel(_ step: String) throws {
        let rig = try TradingRig(config: ", \"recv_window\": 500")
        let (id, _) = try rig.submit(.limit, .buy, "0.01", limit: "80000")
        try rig.expect(id, KEEL_ORDER_OPEN)
        try rig.faults("{\"do\": \"\(step)\", \"calls\": [\"DELETE /api/v3/order\", \"order.cancel\"], \"times\": 1}")
        let request = try rig.cancel(id)
        try rig.expect(id, KEEL_ORDER_CANCELED)
        #expect(rig.run(10) { rig.done(request) != nil })
        #expect(rig.status(request) == KEEL_OK)
    }

    @Test("events told twice, late, or before the answer count once", arguments: ["{\"do\": \"double_events\"}", "{\"do\": \"delay_events\", \"ms\": 300}", "{\"do\": \"events_first\"}"])
    func disorder(_ action: String) throws {
        let rig = try TradingRig()
        try rig.control(action)
        let (id, request) = try rig.submit(.market, .buy, "0.5")
        try rig.expect(id, KEEL_ORDER_FILLED)
        rig.run(for: 0.6)
        #expect(rig.status(request) == KEEL_OK)
        let told = rig.fills(id).compactMap { event in event.fill.map { event.text($0.fill_id) } }
        #expect(Set(told).count == told.count)
        #expect(rig.filled(id) == Fixed("0.5"))
        #expect(rig.states(id).last == KEEL_ORDER_FILLED)
    }

    @Test("the user stream is silent with its connection healthy: noticed by comparing")
    func silentUser() throws {
        let rig = try TradingRig()
        let (id, _) = try rig.submit(.limit, .buy, "0.01", limit: rig.bid.description)
        try rig.expect(id, KEEL_ORDER_OPEN)
        try rig.control("{\"do\": \"lose_events\"}")
        // Somebody sells into it.
        try rig.control("{\"do\": \"move\", \"percent\": \"-3\"}")
        rig.run(for: 1)
        #expect(rig.state(id) == KEEL_ORDER_OPEN, "nothing was told")
        rig.jump(TradeDesk.watchEvery)
        try rig.expect(id, KEEL_ORDER_FILLED)
        #expect(rig.filled(id) == Fixed("0.01"))
    }

    @Test("a reconnect: down, up, and what was missed is told")
    func reconnect() throws {
        let rig = try TradingRig()
        let (id, _) = try rig.submit(.limit, .buy, "0.01", limit: rig.bid.description)
        try rig.expect(id, KEEL_ORDER_OPEN)
        try rig.control("{\"do\": \"lose_events\"}")
        try rig.control("{\"do\": \"move\", \"percent\": \"-3\"}")
        rig.run(for: 0.5)
        try rig.control("{\"do\": \"lose_events\", \"on\": false}")
        try rig.control("{\"do\": \"drop\"}")
        #expect(rig.run(5) { rig.events.contains { $0.link?.state == KEEL_LINK_DOWN } })
        #expect(rig.run(5) { rig.linkIsUp })
        try rig.expect(id, KEEL_ORDER_FILLED)
        #expect(rig.filled(id) == Fixed("0.01"))
    }

    @Test("serverShutdown: the new connection first, no moment without one")
    func shutdown() throws {
        let rig = try TradingRig()
        try rig.control("{\"do\": \"shutdown\", \"ms\": 100000}")
        rig.run(for: 2.5)
        let hosts = try rig.instance.describe()["trading_connections"].int
        #expect(hosts == 2, "a second connection took over")
        #expect(!rig.events.contains { $0.linkName == "trading" && $0.link?.state == KEEL_LINK_DOWN }, "\(rig.events)")
        let (id, _) = try rig.submit(.market, .buy, "0.01")
        try rig.expect(id, KEEL_ORDER_FILLED)
        // A connection's day is over: the same, without being told.
        rig.jump(ManagedSocket.usualLife)
        rig.run(for: 2.5)
        let third = try rig.instance.describe()["trading_connections"].int
        #expect(third == 3)
        #expect(!rig.events.contains { $0.linkName == "trading" && $0.link?.state == KEEL_LINK_DOWN })
    }
}
