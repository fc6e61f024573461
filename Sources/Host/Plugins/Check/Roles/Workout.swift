import PluginAPI
import PluginKit

extension Bench {
    /// A little of everything the component can do, between create and destroy. What it answers doesn't matter here: checks
    /// that use this look at how, not at what.
    func workout(_ style: HostStyle, config: [UInt8]? = nil, name: [UInt8] = Array("workout".utf8)) throws {
        try prepareVenue()
        let instance = try instance(style)
        let created = instance.create(try config ?? Array(configText().utf8), name: name)
        try require(created.accepted, "create refused the profile's configuration: \(created.words)")
        _ = instance.describe()
        try begin(instance)
        exercise(instance)
        _ = instance.describe()
        instance.stop()
        let (saved, bytes) = instance.save()
        instance.destroy()
        if saved.accepted, !bytes.isEmpty {
            let again = try self.instance(style)
            if again.create(try config ?? Array(configText().utf8), name: name).accepted {
                _ = again.load(bytes, version: again.subject.component.pointee.state_version)
                again.destroy()
            }
        }
    }

    /// A mock in its most ordinary scenario.
    func prepareVenue() throws {
        guard hasVenue else { return }
        for name in ["fill", "stream", "answer", "normal"] where (try? play(name)) != nil { return }
    }

    func exercise(_ instance: Instance) {
        let subject = instance.subject
        if subject.lists(KEEL_BROKER) {
            for side in [KEEL_BUY, KEEL_SELL] {
                let order = order(side, KEEL_ORD_LIMIT)
                let (called, request) = instance.submit(order)
                if called.accepted { instance.run(for: 1) { instance.done(request) != nil } }
                let (cancelled, second) = instance.cancel(order: order.id)
                if cancelled.accepted { instance.run(for: 1) { instance.done(second) != nil } }
            }
            let (called, request) = instance.sync(since: 0)
            if called.accepted { instance.run(for: 1) { instance.done(request) != nil } }
        }
        if let table = subject.table(KEEL_FEED, as: keel_feed.self) {
            let (called, request) = instance.subscribe(profile.instrument.id, table.pointee.channels)
            if called.accepted { instance.run(for: 1) { instance.done(request) != nil } }
            instance.run(for: 0.03)
            let (off, second) = instance.unsubscribe(profile.instrument.id, table.pointee.channels)
            if off.accepted { instance.run(for: 1) { instance.done(second) != nil } }
        }
        if subject.lists(KEEL_DECIDER) {
            for _ in 0..<5 {
                instance.observe(quoteEvent(at: clock.now))
                let snapshot = SnapshotBlock.random(&random, profile.instrument, price: profile.price, now: clock.now)
                let (called, request) = instance.decide(snapshot, deadline: clock.now &+ .seconds(5))
                if called.accepted { instance.run(for: 1) { instance.done(request) != nil } }
                instance.cancelDecision(request)
            }
        }
        if subject.lists(KEEL_ROUTER) {
            var drive = RouterDrive(self, instance)
            let request = drive.route(parentOrder())
            drive.settle(request, limit: 200) { _, child in [.open, .fill(child.qty)] }
            let second = drive.route(parentOrder())
            instance.cancelRoute(second)
            drive.settle(second, limit: 200) { _, child in [.open, .fill(child.qty)] }
        }
    }

    func quoteEvent(at time: keel_time, bid: Int64? = nil, ask: Int64? = nil) -> [UInt8] {
        var quote = keel_ev_quote()
        quote.head.size = UInt32(MemoryLayout<keel_ev_quote>.size)
        quote.head.kind = UInt16(KEEL_EV_QUOTE)
        quote.head.instrument = profile.instrument.id
        quote.head.at_source = time
        quote.head.at_host = time
        quote.bid = bid ?? profile.price.raw &- profile.instrument.tick.raw
        quote.ask = ask ?? profile.price.raw
        quote.bid_qty = profile.quantity.raw
        quote.ask_qty = profile.quantity.raw
        return withUnsafeBytes(of: quote) { [UInt8]($0) }
    }

    /// A parent for a router: ten of the profile's quantities.
    func parentOrder(_ side: UInt32 = KEEL_BUY, _ features: UInt64 = KEEL_ORD_LIMIT) -> keel_order {
        var parent = order(side, features)
        let lot = max(1, profile.instrument.lot.raw)
        parent.qty = min(profile.quantity.raw &* 10, max(lot, profile.instrument.maxQty.raw == 0 ? .max : profile.instrument.maxQty.raw)) / lot * lot
        return parent
    }
}
