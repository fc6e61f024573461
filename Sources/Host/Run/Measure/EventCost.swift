import CSystem
import HostCore
import PluginAPI
import PluginKit

/// What the Swift runtime does for a market event that leads to no question: objects made, references taken and given back.
public struct EventCost: Sendable, Equatable {
    public var events: Int
    public var objects: UInt64
    public var retains: UInt64
    public var releases: UInt64

    public var allocationsPerEvent: Double { Double(objects) / Double(max(events, 1)) }
    public var referencesPerEvent: Double { Double(retains + releases) / Double(max(events, 1)) }
}

extension RunFigures {
    /// The engine's own path, counted over so many trades: the simulated venue sees each first, then the decider, then bars and gate, all
    /// through the C tables. nil: this runtime cannot be counted.
    public static func eventCost(_ bench: Bench, events: Int) throws(RunError) -> EventCost? {
        try counted(bench, "cost", events: events) { host in
            guard let engine = host.loop?.engine else { return }
            var trade = keel_ev_trade()
            trade.head.size = UInt32(MemoryLayout<keel_ev_trade>.size)
            trade.head.kind = UInt16(KEEL_EV_TRADE)
            trade.head.instrument = 1
            trade.side = KEEL_BUY
            trade.qty = Int64(KEEL_ONE)
            var time = engine.now
            for number in 0..<events {
                time &+= 10 * Span.millisecond
                trade.head.at_host = time
                trade.head.at_source = time
                trade.price = (30_000_00 + Int64(number % 1_000)) * (Int64(KEEL_ONE) / 100)
                withUnsafePointer(to: &trade) { engine.accept(UnsafeRawPointer($0).assumingMemoryBound(to: keel_event.self), from: 0) }
            }
        }
    }

    private static func counted(_ bench: Bench, _ state: String, events: Int, _ work: (LiveHost) -> Void) throws(RunError) -> EventCost? {
        let host = try host(bench, state: state, watch: true)
        // What is made once is made before.
        host.run { host.loop?.events ?? .max >= 20_000 }
        let isCounted = csystem_count_begin() != 0
        work(host)
        let counts = isCounted ? csystem_count_end() : csystem_counts()
        host.shutDown(how: "measured", why: "measured")
        return !isCounted ? nil : EventCost(events: events, objects: counts.objects, retains: counts.retains, releases: counts.releases)
    }
}
