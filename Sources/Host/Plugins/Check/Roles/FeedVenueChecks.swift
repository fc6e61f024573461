import Glibc
import PluginAPI
import PluginKit

// F09 to F15: feeds, against a venue that misbehaves in the ways venues do. docs/plugin-guide.md has the scenarios.

extension Instance {
    /// An impatient host: asks again twenty times a second until it is granted or the time is up. How it ended.
    func insist(for limit: Double, _ ask: () -> (Called, UInt64)) -> Called {
        let deadline = CheckClock.monotonic() + Int64(limit * 1e9)
        var last = Called(status: KEEL_E_TIMEOUT, message: "no DONE")
        while CheckClock.monotonic() < deadline {
            let (called, request) = ask()
            if let outcome = outcome(called, request, within: 8) {
                last = outcome
                if outcome.accepted { break }
            }
            run(for: 0.05)
        }
        return last
    }
}

let feedVenueChecks: [Check] = [
    feed("F09", "sequence-gaps", "After a gap in the venue's numbers the image is asked for again: no silent hole.", rule: "KEEL_EVF_REPLAY", limit: 45) { bench in
        let (instance, channels) = try bench.feed(scenario: "gap")
        let id = bench.profile.instrument.id
        try bench.subscribed(instance, id, channels)
        try require(bench.marketComes(instance, id, 5), "no events came within 6 s of the subscription")
        guard let before = try bench.venue().count("snapshots") else { throw Verdict.skip("the venue doesn't report how many \"snapshots\" it was asked for") }
        try bench.venue().release()
        let asked = instance.run(for: 8) { (try? bench.venue().count("snapshots")).flatMap { $0 }.map { $0 > before } ?? false }
        try require(asked, "messages were lost, their numbers show it, and within 8 s nothing was asked for again")
        instance.host.forgetEvents()
        try require(bench.marketComes(instance, id, 5), "after a gap no more events come")
        instance.end()
    },
    feed("F10", "bad-connections", "Garbage, huge messages, slow bytes, connections that close at once and what isn't TLS: no crash; either the market comes all the same, or LINK says why not.",
         rule: "connected, but something is missing or late", limit: 45) { bench in
        var played = 0
        for scenario in ["garbage", "huge", "slow", "early-close", "bad-tls"] {
            do { try bench.play(scenario) } catch Verdict.skip { continue }
            played += 1
            let instance = try bench.created()
            let started = instance.start()
            try require(started.accepted, "start failed: \(started.words)")
            let table = try require(instance.subject.table(KEEL_FEED, as: keel_feed.self), "the component has no feed table")
            let id = bench.profile.instrument.id
            _ = instance.subscribe(id, table.pointee.channels)
            func market() -> Bool { instance.host.eventsNow().contains { $0.head.instrument == id && $0.kind >= 10 && $0.kind < 30 } }
            func told() -> Bool {
                instance.host.eventsNow().contains { event in
                    guard let link = event.link, link.state != KEEL_LINK_UP else { return false }
                    return link.why != KEEL_OK || link.message.len > 0
                }
            }
            let silence = table.pointee.silence > 0 ? Double(table.pointee.silence) / 1e9 : 5
            try require(instance.run(for: min(silence, 6) + 1, jumping: scenario != "slow", until: { market() || told() }),
                        "with the venue in scenario \(scenario) no market comes, and no LINK says why")
            instance.run(for: 0.2)
            let misuse = instance.host.misuse(.malformedEvent)
            try require(misuse == nil, "with the venue in scenario \(scenario): \(misuse?.text ?? "")")
            // When the venue is itself again, so is the feed.
            try bench.play("stream")
            try bench.venue().drop()
            instance.host.forgetEvents()
            try require(instance.run(for: 8, jumping: true, until: { market() }), "the venue is itself again after scenario \(scenario), and no market comes")
            instance.end()
        }
        if played == 0 { throw Verdict.skip("the venue has none of the scenarios \"garbage\", \"huge\", \"slow\", \"early-close\" and \"bad-tls\"") }
    },
    feed("F11", "told-to-wait", "A venue that says when to come again is waited for.", rule: "see keel_error.retry_after", limit: 45) { bench in
        let (instance, channels) = try bench.feed(scenario: "limited")
        let id = bench.profile.instrument.id
        // A feed may keep the subscription until the venue takes it, or give it back for the host to ask again.
        let last = instance.insist(for: 12) { instance.subscribe(id, channels) }
        try require(last.accepted, "the venue was closed to it for a second, and no subscription succeeds: \(last.words)")
        let early = try bench.venue().count("early") ?? 0
        try require(early == 0, "told to wait, the feed asked \(early) times before the time was over")
        let came = instance.run(for: 5) { instance.host.eventsNow().contains { $0.head.instrument == id && $0.kind >= 10 && $0.kind < 30 } }
        try require(came, "after the wait no market comes")
        instance.end()
    },
    feed("F12", "same-session-twice", "A session recorded at the venue and played twice gives the same events twice.", rule: "the venue's clock, 0 = unknown", limit: 45) { bench in
        func play() throws -> [UInt16: [[UInt8]]] {
            let (instance, channels) = try bench.feed(scenario: "session")
            let id = bench.profile.instrument.id
            try bench.subscribed(instance, id, channels)
            func market() -> [SeenEvent] { instance.host.eventsNow().filter { $0.head.instrument == id && $0.kind >= 10 && $0.kind < 30 } }
            var count = -1
            let deadline = CheckClock.monotonic() + 10_000_000_000
            // Over when nothing has come for half a second.
            while count != market().count || count == 0, CheckClock.monotonic() < deadline {
                count = market().count
                instance.run(for: 0.5)
            }
            var kinds: [UInt16: [[UInt8]]] = [:]
            for event in market() { kinds[event.head.kind, default: []].append(event.comparable) }
            instance.end()
            try bench.venue().drop()
            return kinds
        }
        let first = try play(), second = try play()
        try require(!first.isEmpty, "the session gave no events")
        try require(Set(first.keys) == Set(second.keys), "the session gave other kinds of events the second time")
        for (kind, events) in first {
            let again = second[kind] ?? []
            try require(events.count == again.count, "the session gave \(events.count) events of kind \(kind), then \(again.count)")
            for (a, b) in zip(events, again) { try require(a == b, "an event of kind \(kind) is another one the second time") }
        }
    },
    feed("F13", "flood", "As many messages as the venue can send leave memory flat, and everything that must arrive still arrives.", rule: "copies, never blocks; AGAIN only for lossy kinds", limit: 45) { bench in
        let (instance, channels) = try bench.feed(scenario: "flood")
        let id = bench.profile.instrument.id
        try bench.subscribed(instance, id, channels)
        var seen = 0
        // A busy machine gets more time, not a laxer check.
        func drain(_ count: Int, atMost seconds: Double) {
            let deadline = CheckClock.monotonic() + Int64(seconds * 1e9)
            let target = seen + count
            while seen < target, CheckClock.monotonic() < deadline {
                instance.run(for: 0.02)
                seen += instance.host.eventsNow().count
                instance.host.forgetEvents()
            }
        }
        drain(2000, atMost: 5)
        let before = ProcessFacts.now().heap
        let from = seen
        drain(40_000, atMost: 8)
        let grown = ProcessFacts.now().heap - before
        let events = seen - from
        try require(events > 1000, "the venue flooded it with messages, and \(events) events came within 8 s")
        try require(grown < 65_536 + events * 16, "\(events) events left \(grown) bytes on the heap")
        let (called, request) = instance.unsubscribe(id, channels)
        let outcome = try require(instance.outcome(called, request, within: 5), "in a flood of messages, unsubscribe got no DONE")
        try require(outcome.accepted, "in a flood of messages, unsubscribe ends with \(outcome.words)")
        try require(instance.doneCount(request) == 1, "in a flood of messages, unsubscribe got \(instance.doneCount(request)) DONE events")
        instance.end()
    },
    feed("F14", "calendar-changes", "A change of day, a leap second and a change of daylight saving time in the venue's times keep the order.", rule: "nanoseconds since 1970-01-01 UTC, 0 = unknown", limit: 45) { bench in
        let (instance, channels) = try bench.feed(scenario: "clock-change")
        let id = bench.profile.instrument.id
        try bench.subscribed(instance, id, channels)
        try require(bench.marketComes(instance, id, 3), "no events came within 6 s of the subscription")
        instance.run(for: 2)
        var last: [UInt32: keel_time] = [:]
        var timed = 0
        for event in instance.host.eventsNow() where event.head.instrument == id && event.kind >= 10 && event.kind < 30 && !event.isReplay && event.head.at_source != 0 {
            timed += 1
            let before = last[event.kind] ?? 0
            try require(event.head.at_source >= before, "an event of kind \(event.kind) is \((before - event.head.at_source) / 1_000_000) ms older than the one before it")
            // 2010 to 2100: a time of day, or seconds taken for milliseconds, lies outside.
            try require((1_262_304_000_000_000_000...4_102_444_800_000_000_000).contains(event.head.at_source), "an event of kind \(event.kind) is from \(event.head.at_source / 1_000_000_000) s after 1970")
            last[event.kind] = event.head.at_source
        }
        if timed == 0 { throw Verdict.warn("no event carries the venue's time") }
        instance.end()
    },
    feed("F15", "exact-numbers", "Numbers with 0 to 18 decimals arrive exact, or not at all: never rounded silently.", rule: "a number does not fit or is outside its limits", limit: 45) { bench in
        let (instance, channels) = try bench.feed(scenario: "decimals")
        let id = bench.profile.instrument.id
        try bench.subscribed(instance, id, channels)
        let digits = Array("123456789012345678")
        // What the venue says with n decimals, as far as a keel_fixed can hold it.
        let exact = (0...8).map { n in Fixed("\(100 + n)" + (n == 0 ? "" : "." + String(digits[..<n]))) ?? .zero }
        func check(_ what: String, _ raw: keel_fixed) throws {
            guard raw != 0 else { return }
            // An ask lies a thousand above its bid.
            let price = raw >= 1000 * KEEL_ONE_FIXED ? raw - 1000 * KEEL_ONE_FIXED : raw
            try require(exact.contains(Fixed(raw: price)), "\(what) is \(Fixed(raw: raw)), which the venue never said: it was rounded")
        }
        try require(bench.marketComes(instance, id, 3), "no events came within 6 s of the subscription")
        instance.run(for: 2)
        for event in instance.host.eventsNow() where event.head.instrument == id {
            if let quote = event.quote {
                try check("a bid", quote.bid)
                try check("an ask", quote.ask)
            }
            if let trade = event.trade { try check("a trade's price", trade.price) }
        }
        instance.end()
    },
]
