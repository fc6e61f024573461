import PluginAPI
import PluginKit
import PluginSupport
import Testing

@testable import BinanceConnector

/// The feed on the stand-in exchange, over real sockets.
@Suite(.serialized) struct StandInTests {
    private func expectWhole(_ rig: StandInRig) throws {
        let ids = rig.trades.map(\.trade_id)
        let first = try #require(ids.first)
        let last = try #require(ids.last)
        #expect(ids == Array(first...last), "trades are missing, twice or out of order")
        let times = rig.bars.map(\.bar.open_time)
        let earliest = try #require(times.first)
        let latest = try #require(times.last)
        #expect(times == Array(stride(from: earliest, through: latest, by: 60_000_000_000)), "bars are missing, twice or out of order")
    }

    @Test func everythingComesThrough() throws {
        let rig = try StandInRig(speed: 40, config: #""history":10"#)
        #expect(try rig.subscribe() == KEEL_OK)
        #expect(rig.run(until: 200) { rig.bars.count >= 12 && rig.trades.count > 20 && rig.quotes.count > 20 })
        try expectWhole(rig)
        let flags = rig.events.filter { $0.kind == KEEL_EV_BAR }.map { UInt32($0.head.flags) }
        #expect(flags.prefix(10).allSatisfy { $0 == KEEL_EVF_SNAPSHOT })
        #expect(flags.last == 0)
        for quote in rig.quotes { #expect(quote.bid > 0 && quote.bid < quote.ask) }
        #expect(rig.links("streams").map(\.state) == [KEEL_LINK_UP])
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
        #expect(replayed > 0, "the gap was not filled")
        #expect(rig.links("streams").map(\.state) == [KEEL_LINK_UP, KEEL_LINK_DOWN, KEEL_LINK_UP])
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
        let rig = try StandInRig(speed: 40, config: #""replace_after":"60s""#)
        #expect(try rig.subscribe() == KEEL_OK)
        rig.run(200)
        try expectWhole(rig)
        #expect(rig.links("streams").map(\.state) == [KEEL_LINK_UP])
        let market = try rig.instance.describe()["market"]
        #expect(try market["connections"][0]["replacements"].int >= 2)
        #expect(try market["trades_filled"].int == 0)
        try rig.stop()
    }

    @Test func unknownSymbolsAreNotFound() throws {
        let rig = try StandInRig()
        rig.host.add(2, "NOSUCH/USDT")
        #expect(try rig.subscribe(id: 2) == KEEL_E_NOT_FOUND)
        #expect(try rig.subscribe() == KEEL_OK)
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
