import Foundation
import PluginAPI
import PluginKit
import Testing

@testable import HostCore

/// A random market with a venue whose messages get lost, doubled, late and out of order, deciders that misbehave, and kills at
/// random moments. After every event the books must be right; at the end everything must agree.
@Suite struct RandomFaultTests {
    static let seeds: [UInt64] = {
        if let text = ProcessInfo.processInfo.environment["KEEL_SEEDS"] { return text.split(separator: ",").compactMap { UInt64($0) } }
        return [1, 2, 3, 5]
    }()
    static let events = Int(ProcessInfo.processInfo.environment["KEEL_EVENTS"] ?? "") ?? 3_000

    @Test(arguments: seeds) func invariantsHoldAfterEveryEvent(seed: UInt64) throws {
        var world = try RandomWorld(seed: seed)
        for number in 0..<Self.events {
            try world.advance()
            if let broken = world.broken() {
                Issue.record("seed \(seed), event \(number): \(broken)")
                return
            }
        }
        world.settle()
        if let broken = world.broken() ?? world.disagreement() { Issue.record("seed \(seed), at the end: \(broken)") }
        if ProcessInfo.processInfo.environment["KEEL_SHOW"] != nil { world.show() }
        #expect(world.fillsSeen > Self.events / 100, "seed \(seed): the test did not trade")
        #expect(world.restarts > 0 && world.dropped > 0 && world.doubled > 0 && !world.set.venue.lost.isEmpty, "seed \(seed): no faults happened")
    }

    /// A day and a half of one-minute bars, or a year of them: KEEL_YEAR=1 (`make soak` in a release build). A tenth of what the venue says is lost and a
    /// tenth comes late, messages are doubled and reordered, orders get lost on their way, hosts are killed.
    static let minutes = ProcessInfo.processInfo.environment["KEEL_YEAR"] == nil ? 2_000 : 525_600
    static let years: [UInt64] = {
        if let text = ProcessInfo.processInfo.environment["KEEL_SEEDS"] { return text.split(separator: ",").compactMap { UInt64($0) } }
        return [11, 12]
    }()

    @Test(arguments: years) func barsWithFaults(seed: UInt64) throws {
        var world = try RandomWorld(seed: seed, bars: true)
        for _ in 0..<Self.minutes {
            try world.advance()
            if let broken = world.broken() {
                Issue.record("seed \(seed), minute \(world.step): \(broken)")
                return
            }
        }
        let outbox = world.outbox
        print(
            "seed \(seed): \(world.step) one-minute bars of two instruments, \(world.fillsSeen) fills, \(world.exited.count) positions, \(outbox.dropped) messages lost, \(outbox.late) late, "
                + "\(outbox.doubled) doubled, \(world.set.venue.lost.count) orders lost on their way, \(world.restarts) kills: every invariant held after every event")
        world.settle()
        if let broken = world.broken() ?? world.disagreement() { Issue.record("seed \(seed), at the end: \(broken)") }
        #expect(world.fillsSeen > Self.minutes / 100 && world.restarts > 0 && outbox.dropped > 0 && outbox.late > 0 && outbox.doubled > 0, "seed \(seed)")
    }

    /// Two pipelines in different instruments, one venue without faults and one with nothing but faults.
    @Test func aBrokenBrokerDoesNotStopTheOther() throws {
        let set = Usual()
        let broken = set.rig.add(FakeVenue("broken"))
        let second = set.rig.add(FakeDecider("second"))
        broken.syncStatus = KEEL_E_NETWORK
        broken.status = KEEL_E_NETWORK
        set.decider.observes = true
        set.decider.observed = { _ in KEEL_ASK }
        second.observes = true
        second.observed = { _ in KEEL_ASK }
        var healthy = Usual.settings("healthy")
        healthy.risk.ordersPerMinute = nil
        healthy.risk.losingStreak = nil
        var sick = Usual.settings("sick", instruments: ["ETH/USDT"])
        sick.broker = "broken"
        sick.chain.primary = "second"
        try set.rig.build([sick, healthy], instruments: [Rig.instrument(), Rig.instrument("ETH/USDT")])
        var buys = true
        set.decider.decide = { _ in
            defer { buys.toggle() }
            return buys ? .buy("0.1") : .sell("1")
        }
        second.decide = { _ in .buy("0.1") }
        set.rig.start()
        for index in 0..<50 {
            set.rig.trade(raw: 5_000_000_000_000 + Int64(index) * 1_000_000, instrument: 1)
            set.rig.trade(raw: 300_000_000_000 + Int64(index) * 1_000_000, instrument: 2)
        }
        #expect(set.venue.submitted.count == 50, "\(set.rig.refusals.suffix(3)) \(set.rig.alerts.suffix(3)) \(set.rig.book(1).counters)")
        #expect(broken.submitted.isEmpty)
        #expect(set.rig.fills.allSatisfy { $0.instrument == 1 })
        #expect(second.questions.isEmpty, "nobody pays for answers that cannot be used")
        #expect(set.rig.refused(.notSynced).count == 1)
    }
}
