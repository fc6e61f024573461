import PluginAPI
import PluginKit
import PluginSupport
import Testing

@testable import BinanceConnector

/// The feed on the stand-in exchange, over real sockets. Its time runs fast and the machine may be busy, so the limits here are wide;
/// MarketDataTests holds them to the second in virtual time.
@Suite(.serialized) struct StandInTests {
    private func expectWhole(_ rig: StandInRig) throws {
        let ids = rig.trades.map(\.trade_id)
        let first = try #require(ids.first)
        let last = try #require(ids.last)
        // On a busy machine the exchange may not answer within the moment that trades wait: then the missing ones are said to be lost.
        let missing = Int(last - first) + 1 - ids.count
        let lost = try rig.instance.describe()["market"]["trades_lost"].int
        #expect(zip(ids, ids.dropFirst()).allSatisfy { $0 < $1 }, "trades twice or out of order")
        #expect(missing == lost, "\(missing) trades are missing and \(lost) are said to be lost")
        let times = rig.bars.map(\.bar.open_time)
        let earliest = try #require(times.first)
        let latest = try #require(times.last)
        #expect(times == Array(stride(from: earliest, through: latest, by: 60_000_000_000)), "bars are missing, twice or out of order")
    }

    @Test func everythingComesThrough() throws {
        let rig = try StandInRig(config: #""history":10,"freshness":"2m""#)
        #expect(try rig.subscribe() == KEEL_OK)
        #expect(rig.run(until: 200) { rig.bars.count >= 12 && rig.trades.count > 20 && rig.quotes.count > 20 })
        try expectWhole(rig)
        let flags = rig.events.filter { $0.kind == KEEL_EV_BAR }.map { UInt32($0.head.flags) }
        #expect(flags.prefix(10).allSatisfy { $0 == KEEL_EVF_SNAPSHOT })
        #expect(flags.last == 0)
        for quote in rig.quotes { #expect(quote.bid > 0 && quote.bid < quote.ask) }
        #expect(rig.links("streams").last?.state == KEEL_LINK_UP)
        #expect(!rig.host.logs.contains { $0.contains("left out") }, "\(rig.host.logs)")
        try rig.stop()
    }

    /// The proof of the issue: the feed falls silent for 60 s and its socket stays open.
    @Test func sixtySecondsOfSilence() throws {
        let rig = try StandInRig()
        #expect(try rig.subscribe() == KEEL_OK)
        rig.run(75)
        let before = rig.now
        try rig.perform(["do": "silent", "for": "60s"])
        #expect(rig.run(until: 30) { rig.links("streams").last?.state == KEEL_LINK_DOWN })
        let noticed = Double(rig.now - before) / 1e9
        #expect(noticed < 16, "noticed after \(noticed) s")
        #expect(rig.run(until: 90) { rig.links("streams").last?.state == KEEL_LINK_UP })
        #expect(Double(rig.now - before) / 1e9 >= 59)
        rig.run(70)
        try expectWhole(rig)
        let replayed = rig.events.count { $0.kind == KEEL_EV_TRADE && UInt32($0.head.flags) & KEEL_EVF_REPLAY != 0 }
        let lost = try rig.instance.describe()["market"]["trades_lost"].int
        #expect(replayed > 0 || lost > 0, "the gap was not filled")
        #expect(rig.links("streams").last?.state == KEEL_LINK_UP)
        try rig.stop()
    }

    @Test func shutdownsAndCuts() throws {
        let rig = try StandInRig()
        #expect(try rig.subscribe() == KEEL_OK)
        rig.run(30)
        // Announced: replaced before it happens.
        try rig.perform(["do": "shutdown", "ms": 500])
        rig.run(30)
        try expectWhole(rig)
        // Not announced: down at once, up again, and whole.
        try rig.perform(["do": "drop"])
        #expect(rig.run(until: 5) { rig.links("streams").last?.state == KEEL_LINK_DOWN })
        #expect(rig.run(until: 30) { rig.links("streams").last?.state == KEEL_LINK_UP })
        rig.run(70)
        try expectWhole(rig)
        try rig.stop()
    }

    @Test func plannedReplacements() throws {
        let rig = try StandInRig(config: #""replace_after":"60s","freshness":"2m""#)
        #expect(try rig.subscribe() == KEEL_OK)
        rig.run(200)
        try expectWhole(rig)
        #expect(rig.links("streams").last?.state == KEEL_LINK_UP)
        let market = try rig.instance.describe()["market"]
        #expect(try market["connections"][0]["replacements"].int >= 2)
        try rig.stop()
    }

    /// Futures: two path groups, two connections, and the derivatives' numbers beside the prices.
    @Test func futuresWithTheirNumbers() throws {
        let rig = try StandInRig(.futures, config: #""history":10,"freshness":"2m""#)
        #expect(try rig.subscribe([.quotes, .trades, .bars, .values]) == KEEL_OK)
        let wanted: Set<String> = [
            "mark_price", "index_price", "funding_rate", "funding_settled", "open_interest", "long_short", "top_long_short_accounts", "top_long_short_positions",
            "taker_ratio", "taker_buy", "taker_sell",
        ]
        func named() -> [(name: String, value: keel_ev_value)] {
            rig.events.compactMap { event in event.body(KEEL_EV_VALUE, keel_ev_value.self).map { (event.text($0.name), $0) } }
        }
        rig.run(until: 120) { wanted.isSubset(of: Set(named().map(\.name))) }
        let missing = wanted.subtracting(named().map(\.name))
        #expect(missing.isEmpty, "missing: \(missing.sorted()); \(rig.host.logs)")
        for (name, value) in named() {
            #expect(value.period_start <= value.period_end && value.released > 0, "\(name)")
            if name != "funding_rate" { #expect(value.period_end <= value.released, "\(name) is told before its period ends") }
        }
        rig.run(until: 120) { rig.bars.count >= 12 }
        try expectWhole(rig)
        #expect(Set(rig.events.compactMap { event in event.link.map { event.text($0.name) } }).isSuperset(of: ["market streams", "public streams"]))
        #expect(!rig.host.logs.contains { $0.contains("left out") }, "\(rig.host.logs)")
        try rig.stop()
    }

    @Test func futuresSilence() throws {
        let rig = try StandInRig(.futures)
        #expect(try rig.subscribe() == KEEL_OK)
        rig.run(65)
        try rig.perform(["do": "silent", "for": "60s"])
        #expect(rig.run(until: 30) { rig.links("market streams").last?.state == KEEL_LINK_DOWN })
        #expect(rig.run(until: 90) { rig.links("market streams").last?.state == KEEL_LINK_UP && rig.links("public streams").last?.state == KEEL_LINK_UP })
        rig.run(70)
        try expectWhole(rig)
        try rig.stop()
    }

    /// A venue that doesn't answer at all is said to be away, and everything comes once it is there.
    @Test func aVenueThatIsNotThereYet() throws {
        let rig = try StandInRig(config: #""freshness":"2m""#)
        try rig.perform(["do": "ban"])
        let request = rig.instance.nextRequest()
        try TestInstance.check { rig.feed.pointee.subscribe(rig.instance.raw, 1, Channels.trades.rawValue, request, $0) }
        #expect(rig.run(until: 60) { rig.events.contains { $0.link?.state == KEEL_LINK_DOWN } })
        #expect(rig.run(until: 400) { rig.links("streams").last?.state == KEEL_LINK_UP })
        #expect(rig.run(until: 60) { !rig.trades.isEmpty })
        // No connection stays said to be down.
        for name in Set(rig.events.compactMap { event in event.link.map { event.text($0.name) } }) {
            #expect(rig.links(name).last?.state == KEEL_LINK_UP, "\(name)")
        }
        try rig.stop()
    }

    @Test func unknownSymbolsAreNotFound() throws {
        let rig = try StandInRig()
        rig.host.add(2, "NOSUCH/USDT")
        #expect(try rig.subscribe(id: 2) == KEEL_E_NOT_FOUND)
        // Once is enough to ask the venue.
        #expect(throws: Refusal.self) { try rig.subscribe(id: 2) }
        #expect(try rig.subscribe() == KEEL_OK)
        // One that the host came to know after the start.
        rig.host.add(3, "ETH/USDT")
        #expect(try rig.subscribe(id: 3) == KEEL_OK)
        #expect(rig.run(until: 30) { !rig.trades.isEmpty })
        try rig.stop()
    }

    @Test func theBookIsTheExchanges() throws {
        let rig = try StandInRig()
        #expect(try rig.subscribe([.depth]) == KEEL_OK)
        #expect(rig.run(until: 60) { rig.events.count { $0.kind == KEEL_EV_DEPTH } > 50 })
        let depth = rig.events.filter { $0.kind == KEEL_EV_DEPTH }
        #expect(depth.first?.isSnapshot == true)
        #expect(depth.dropFirst().allSatisfy { !$0.isSnapshot })
        try rig.stop()
    }
}
