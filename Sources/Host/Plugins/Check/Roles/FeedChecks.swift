import Glibc
import PluginAPI
import PluginKit

// F: feeds.

private let subscribing = "[lane & running] ends in EV_DONE"

let feedChecks: [Check] = [
    feed("F01", "subscribe", "A subscription ends in one DONE; an unknown instrument is KEEL_E_NOT_FOUND and disturbs nothing else.", rule: subscribing) { bench in
        let (instance, channels) = try bench.feed()
        let id = bench.profile.instrument.id
        let (called, request) = instance.subscribe(id, channels)
        let outcome = try require(instance.outcome(called, request), "subscribe got no DONE")
        try require(outcome.accepted, "subscribe ends with \(outcome.words)")
        try require(instance.doneCount(request) == 1, "subscribe got \(instance.doneCount(request)) DONE events")
        let (missing, second) = instance.subscribe(4_000_000, channels)
        let answer = try require(instance.outcome(missing, second), "subscribing to an unknown instrument got no DONE")
        try require(answer.status == KEEL_E_NOT_FOUND, "subscribing to an unknown instrument ends with \(answer.words); KEEL_E_NOT_FOUND was due")
        instance.host.forgetEvents()
        try require(bench.marketComes(instance, id), "after a refused subscription the good one gives no more events")
        let stray = instance.host.eventsNow().first { $0.head.instrument == 4_000_000 }
        try require(stray == nil, "events come for the unknown instrument")
        instance.end()
    },
    feed("F02", "channels", "A channel outside the declared ones is KEEL_E_UNSUPPORTED.", rule: "KEEL_CH_* it can serve") { bench in
        let (instance, channels) = try bench.feed()
        let known = KEEL_CH_QUOTES | KEEL_CH_TRADES | KEEL_CH_BARS | KEEL_CH_VALUES | KEEL_CH_DEPTH | KEEL_CH_NEWS | KEEL_CH_URGENT
        try require(channels & ~known == 0 && channels != 0, "keel_feed.channels is \(channels)")
        for bit in [0, 1, 2, 3, 4, 5, 20, 63] as [UInt64] where channels & 1 << bit == 0 {
            let (called, request) = instance.subscribe(bench.profile.instrument.id, 1 << bit)
            let outcome = try require(instance.outcome(called, request), "subscribing to an undeclared channel got no DONE")
            try require(outcome.status == KEEL_E_UNSUPPORTED, "subscribing to channel bit \(bit), which isn't declared, ends with \(outcome.words)")
        }
        instance.end()
    },
    feed("F03", "unsubscribe", "After unsubscribe the instrument's events end within a second; a second unsubscribe is harmless.", rule: subscribing) { bench in
        let (instance, channels) = try bench.feed()
        let id = bench.profile.instrument.id
        try bench.subscribed(instance, id, channels)
        try require(bench.marketComes(instance, id), "no event came within 6 s of the subscription")
        let (called, request) = instance.unsubscribe(id, channels)
        let outcome = try require(instance.outcome(called, request), "unsubscribe got no DONE")
        try require(outcome.accepted, "unsubscribe ends with \(outcome.words)")
        // What was on its way may still come; then it has to be quiet.
        instance.run(for: 0.05)
        instance.host.forgetEvents()
        instance.run(for: 0.1)
        let late = instance.host.eventsNow().filter { $0.head.instrument == id && $0.kind >= 10 && $0.kind < 30 }
        try require(late.isEmpty, "\(late.count) events came after the unsubscribe was done")
        let (again, second) = instance.unsubscribe(id, channels)
        let answer = try require(instance.outcome(again, second), "a second unsubscribe got no DONE")
        try require(answer.accepted || answer.status == KEEL_E_NOT_FOUND, "a second unsubscribe ends with \(answer.words)")
        instance.end()
    },
    feed("F04", "one-stream", "Subscribing twice gives one stream, not two.", rule: subscribing) { bench in
        let (instance, channels) = try bench.feed()
        let id = bench.profile.instrument.id
        try bench.subscribed(instance, id, channels)
        try require(bench.marketComes(instance, id, 6), "no events came within 6 s of the subscription")
        let alone = bench.repeats(instance, id)
        try bench.subscribed(instance, id, channels)
        instance.host.forgetEvents()
        try require(bench.marketComes(instance, id, 12), "after a second subscription no events come")
        let twice = bench.repeats(instance, id)
        try require(alone > 0 || twice == 0, "after a second subscription \(twice) events came twice in a row")
        instance.end()
    },
    feed("F05", "five-hundred", "Five hundred instruments subscribed and removed in random order leave no memory and don't mix.", rule: subscribing, limit: 30) { bench in
        let (instance, channels) = try bench.feed(many: 500)
        var ids = Array(1...500).map { UInt32($0 + 1000) }
        func round() throws {
            ids.shuffle(using: &bench.random)
            for id in ids { try bench.subscribed(instance, id, channels) }
            ids.shuffle(using: &bench.random)
            for id in ids {
                let (called, request) = instance.unsubscribe(id, channels)
                _ = try require(instance.outcome(called, request), "unsubscribe got no DONE")
            }
            instance.run(for: 0.01)
            let stray = instance.host.eventsNow().first { $0.kind >= 10 && $0.kind < 30 && !($0.head.instrument > 1000 && $0.head.instrument <= 1500) }
            try require(stray == nil, "an event came for instrument \(stray?.head.instrument ?? 0), which nobody subscribed to")
            instance.host.forgetEvents()
        }
        try round()
        let before = ProcessFacts.now()
        try round()
        try round()
        let after = ProcessFacts.now()
        let grown = after.heap - before.heap
        try require(grown < 1000 * 100 + 64_000, "a thousand subscriptions, all removed again, left \(grown) bytes on the heap")
        try require(after.descriptors.count <= before.descriptors.count, "they left open \(after.newDescriptors(since: before))")
        instance.end()
    },
    feed("F06", "time-order", "at_source never goes back for an instrument unless the event is flagged as a replay.", rule: "the venue's clock, 0 = unknown") { bench in
        let (instance, channels) = try bench.feed()
        let id = bench.profile.instrument.id
        try bench.subscribed(instance, id, channels)
        try require(bench.marketComes(instance, id, 20), "fewer than 20 events came within 6 s of the subscription")
        var last: [UInt32: keel_time] = [:]
        for event in instance.host.eventsNow() where event.kind >= 10 && event.kind < 30 && !event.isReplay && event.head.at_source != 0 {
            let before = last[event.kind] ?? 0
            try require(event.head.at_source >= before, "an event of kind \(event.kind) is \((before - event.head.at_source) / 1_000_000) ms older than the one before it")
            last[event.kind] = event.head.at_source
        }
        instance.end()
    },
    feed("F07", "sound-prices", "Bids lie below asks, prices are positive and on the tick, sizes are not negative.", rule: "price, order quantity or ratio, x 1e8") { bench in
        let (instance, channels) = try bench.feed()
        let id = bench.profile.instrument.id
        try bench.subscribed(instance, id, channels)
        try require(bench.marketComes(instance, id, 20), "fewer than 20 events came within 6 s of the subscription")
        let tick = bench.profile.instrument.tick
        func sound(_ what: String, _ price: keel_fixed) throws {
            try require(price > 0, "\(what) is \(Fixed(raw: price))")
            try require(Fixed(raw: price).isMultiple(of: tick), "\(what), \(Fixed(raw: price)), is no multiple of the tick \(tick)")
        }
        for event in instance.host.eventsNow() {
            if let quote = event.quote {
                // One side may be empty; then its price is 0.
                if quote.bid != 0 { try sound("a bid", quote.bid) }
                if quote.ask != 0 { try sound("an ask", quote.ask) }
                if quote.bid != 0, quote.ask != 0 { try require(quote.bid < quote.ask, "the bid \(Fixed(raw: quote.bid)) isn't below the ask \(Fixed(raw: quote.ask))") }
                try require(quote.bid_qty >= 0 && quote.ask_qty >= 0, "a quote has a negative size")
            }
            if let trade = event.trade {
                try sound("a trade's price", trade.price)
                try require(trade.qty > 0, "a trade's quantity is \(Fixed(raw: trade.qty))")
            }
            if let bar = event.bar?.bar {
                try sound("a bar's low", bar.low)
                try require(bar.low <= min(bar.open, bar.close) && bar.high >= max(bar.open, bar.close), "a bar's low and high don't hold its open and close")
                try require(!Amount(bar.volume).isNegative, "a bar's volume is \(Amount(bar.volume))")
            }
        }
        let misuse = instance.host.misuse(.malformedEvent)
        try require(misuse == nil, misuse?.text ?? "")
        instance.end()
    },
    feed("F08", "reconnects", "When the connection is cut, LINK says down in time, the feed comes back by itself, subscribes again and says LINK up.",
         rule: "connection up, down or degraded", limit: 20) { bench in
        guard bench.hasMock else { throw Verdict.skip("the feed has no connection that could be cut") }
        let (instance, channels) = try bench.feed()
        let id = bench.profile.instrument.id
        try bench.subscribed(instance, id, channels)
        try require(bench.marketComes(instance, id), "no event came within 6 s of the subscription")
        instance.host.forgetEvents()
        try bench.venue().drop()
        func link(_ state: UInt32) -> Bool { instance.host.eventsNow().contains { $0.link?.state == state } }
        let table = try require(instance.subject.table(KEEL_FEED, as: keel_feed.self), "the component has no feed table")
        let silence = table.pointee.silence > 0 ? Double(table.pointee.silence) / 1e9 : 5
        try require(instance.run(for: min(silence, 5) + 0.5, jumping: true, until: { link(KEEL_LINK_DOWN) }), "the connection was cut and no LINK event says DOWN")
        try require(instance.run(for: 5, jumping: true, until: { link(KEEL_LINK_UP) }), "the venue is there again and no LINK event says UP")
        instance.host.forgetEvents()
        try require(bench.marketComes(instance, id), "after the reconnect no events come: the subscription was not renewed")
        instance.end()
    },
]

func feed(_ id: String, _ name: String, _ sentence: String, rule: String, limit: Double = 15, _ body: @escaping @Sendable (Bench) throws -> Void) -> Check {
    Check(id, name, sentence, rule: rule, scope: .interface(KEEL_FEED), limit: limit, body)
}

extension Bench {
    /// A running feed and its channels.
    func feed(many: Int = 0, scenario: String? = nil) throws -> (Instance, UInt64) {
        // With many instruments at once a mock that sends little keeps the check about subscriptions.
        if let scenario {
            try play(scenario)
        } else if hasMock {
            if many > 0 { try play(anyOf: "many", "stream", "normal") } else { try play(anyOf: "stream", "normal", "fill") }
        } else {
            playIfThere("stream")
        }
        let instance = try created()
        let plain = profile.instrument
        for index in 0..<many {
            var other = plain
            other.id = UInt32(1001 + index)
            other.symbol = "S\(index)/\(plain.quote)"
            other.venueSymbol = "S\(index)\(plain.quote)"
            other.base = "S\(index)"
            instance.host.instruments[other.id] = LentInstrument(other)
        }
        // A second that is to be waited for must be a second.
        try begin(instance, jumping: scenario?.hasPrefix("limited") != true)
        let table = try require(instance.subject.table(KEEL_FEED, as: keel_feed.self), "the component has no feed table")
        return (instance, table.pointee.channels)
    }

    func subscribed(_ instance: Instance, _ id: UInt32, _ channels: UInt64) throws {
        let (called, request) = instance.subscribe(id, channels)
        let outcome = try require(instance.outcome(called, request), "subscribe got no DONE")
        try require(outcome.accepted, "subscribe ends with \(outcome.words)")
    }

    /// Waits for that many market events of an instrument. Feeds that replay on the host's clock are helped along.
    func marketComes(_ instance: Instance, _ id: UInt32, _ count: Int = 1) -> Bool {
        // A mock's answer takes real time, and more of it on a busy machine.
        instance.run(for: hasMock ? 6 : 2, jumping: !hasMock) {
            instance.host.eventsNow().count { $0.head.instrument == id && $0.kind >= 10 && $0.kind < 30 } >= count
        }
    }

    /// How many market events equal the one before them.
    fileprivate func repeats(_ instance: Instance, _ id: UInt32) -> Int {
        let events = instance.host.eventsNow().filter { $0.head.instrument == id && $0.kind >= 10 && $0.kind < 30 }
        return zip(events, events.dropFirst()).count { $0.comparable == $1.comparable }
    }
}
