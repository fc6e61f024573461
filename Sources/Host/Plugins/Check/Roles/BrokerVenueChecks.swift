import CSystem
import Glibc
import PluginAPI
import PluginKit

// B16 to B26: brokers, against a venue that can be told what happens around an order. docs/plugin-guide.md has the scenarios.

let brokerVenueChecks: [Check] = [
    broker("B16", "orders-of-others", "Orders placed outside the host appear in sync with no host id, and are reported, not adopted.",
           rule: "id 0,0: placed outside this host", limit: 45) { bench in
        try bench.play(anyOf: "open", "fill")
        try bench.outsiders(1)
        let instance = try bench.running()
        let events = try bench.synced(instance, since: 1)
        let reports = events.filter { $0.order != nil }
        let strangers = reports.filter { event in event.order.map { $0.order.hi == 0 && $0.order.lo == 0 } ?? false }
        for event in reports {
            let id = event.order?.order ?? keel_id()
            try require(id.hi == 0 && id.lo == 0, "an order somebody else placed is told as the host's own, with the id \(id.hi),\(id.lo)")
        }
        try require(strangers.count == 1, "one order of somebody else rests at the venue; sync tells \(strangers.count)")
        if let event = strangers.first, let order = event.order {
            try require(event.isSnapshot, "sync tells it without KEEL_EVF_SNAPSHOT")
            try require(order.state == KEEL_ORDER_OPEN, "it rests, and is told as \(OrderStory.name(order.state))")
            try require(order.venue_id.len > 0, "it has no venue_id: nobody could find it at the venue")
            try require(order.leaves > 0, "it rests, and its leaves are \(Fixed(raw: order.leaves))")
        }
        instance.end()
    },
    broker("B17", "lost-order", "A lost order is found again by a late fill.", rule: "not terminal: a later state must follow", limit: 45) { bench in
        try bench.play("lost-order")
        let instance = try bench.running()
        let order = bench.order(KEEL_BUY, try bench.limitOrMarket())
        let (called, _) = instance.submit(order)
        try require(called.accepted || called.status == KEEL_E_IN_DOUBT, "submit answers \(called.words)")
        func story() -> OrderStory { OrderStory(order.id, instance.host.eventsNow(), snapshots: true) }
        instance.run(for: 3, jumping: true) { story().states.contains { $0 != KEEL_ORDER_PENDING } }
        try bench.syncAgain(instance, "after the connection was lost")
        instance.run(for: 0.3)
        let before = story()
        try require(!before.states.contains(KEEL_ORDER_FILLED), "the venue doesn't know the order yet, and it is told as filled")
        try bench.venue().release()
        // The host has no reason to sync now: the venue says it by itself.
        try require(instance.run(for: 5, until: { story().state == KEEL_ORDER_FILLED }),
                    "the venue filled the order late and said so; its states are \(story().states.isEmpty ? "none" : story().stateNames)")
        var once: [String: Int64] = [:]
        for (id, fill) in zip(story().fillIDs, story().fills) { once[id] = fill.qty }
        try require(once.values.reduce(Int128(0)) { $0 + Int128($1) } == Int128(order.qty), "the late fill's quantity is not the order's")
        let placed = try bench.venue().placed()
        try require(placed == 1, "the venue took \(placed) orders: the plugin sent it again")
        instance.end()
    },
    broker("B18", "large-accounts", "sync is complete, flagged as a snapshot and ends in DONE on an account with 0, 1 and 2,000 open orders.",
           rule: "sync: open orders, fills since, balances, positions, all with EVF_SNAPSHOT", limit: 45) { bench in
        for count in [0, 1, 2000] {
            try bench.play(anyOf: "open", "fill")
            try bench.outsiders(count)
            let instance = try bench.running()
            let events = try bench.synced(instance, since: 0, within: 15)
            var open: Set<String> = []
            for event in events {
                guard let report = event.order else { continue }
                try require(event.isSnapshot, "with \(count) open orders, sync tells one without KEEL_EVF_SNAPSHOT")
                if !OrderStory.isTerminal(report.state) { open.insert(event.text(report.venue_id)) }
            }
            try require(open.count == count, "\(count) orders rest in the account; sync tells \(open.count)")
            if let done = events.lastIndex(where: { $0.kind == KEEL_EV_DONE }) {
                try require(!events[done...].contains { $0.order != nil && $0.isSnapshot }, "orders of the sync come after its DONE")
            }
            instance.end()
        }
    },
    broker("B19", "silent-stream", "When the venue's stream says nothing while a question shows a change, the order's state is put right within the time the profile names.",
           rule: "submit: KEEL_OK means \"mine now\": ORDER and FILL events follow", limit: 45) { bench in
        try bench.play("stale-user")
        let instance = try bench.running()
        let order = bench.restingOrder()
        try require(instance.submit(order).0.accepted, "submit refuses an order")
        try bench.waitFor(instance, order.id, "the order to be open") { $0.states.contains(KEEL_ORDER_OPEN) }
        try bench.venue().release()
        let limit = bench.clock.now &+ bench.profile.noticesWithin
        let deadline = CheckClock.monotonic() + 25_000_000_000
        func story() -> OrderStory { OrderStory(order.id, instance.host.eventsNow(), snapshots: true) }
        while story().state != KEEL_ORDER_FILLED, bench.clock.now < limit, CheckClock.monotonic() < deadline {
            let before = bench.clock.now
            instance.run(for: 0.2, jumping: true) { story().state == KEEL_ORDER_FILLED || bench.clock.now >= limit }
            // Without a timer nothing jumps: time passes all the same.
            if bench.clock.now &- before < .seconds(1) { bench.clock.jump(.seconds(1)) }
        }
        // An answer that is on its way when the time is up still counts.
        instance.run(for: 1) { story().state == KEEL_ORDER_FILLED }
        try require(story().state == KEEL_ORDER_FILLED,
                    "the venue filled the order and its stream said nothing; after \(bench.profile.noticesWithin / 1_000_000_000) s (notices_within) its states are \(story().stateNames)")
        instance.end()
    },
    broker("B20", "large-amounts", "Balances and positions above 92 billion units arrive exact.", rule: "128-bit two's complement, x 1e8: everything cumulative", limit: 45) { bench in
        try bench.play("rich")
        let instance = try bench.running()
        let events = try bench.synced(instance, since: 0, within: 10)
        let all = instance.host.eventsNow() + events
        let wanted = Amount("123456789012345.12345678") ?? .zero
        let totals = all.compactMap { $0.balance.map { Amount($0.total) } }
        try require(totals.contains(wanted), "the account holds \(wanted) of an asset; the balances told are \(bench.list(totals))")
        if bench.profile.instrument.kind == KEEL_KIND_PERP || bench.profile.instrument.kind == KEEL_KIND_FUTURE {
            let short = Amount("-98765432109.875") ?? .zero
            let held = all.compactMap { $0.position.map { Amount($0.qty) } }
            try require(held.contains(short), "the account holds a position of \(short); the positions told are \(bench.list(held))")
        }
        instance.end()
    },
    broker("B21", "refused-access", "A wrong key, an expired one, a forbidden address and a clock that is off: each has a status and a message of its own, and is not asked again and again.",
           rule: "credentials missing, wrong or expired", limit: 45) { bench in
        var said: [(scenario: String, words: String)] = []
        for scenario in ["bad-key", "expired-key", "bad-ip", "clock-skew"] {
            do { try bench.play(scenario) } catch Verdict.skip { continue }
            let instance = try bench.created()
            let started = instance.start()
            var last = started
            var reports: [String] = []
            if started.accepted {
                // The host's own patience: it syncs when a link is up, not in a loop.
                for _ in 0..<4 {
                    instance.run(for: 0.25)
                    let (called, request) = instance.sync(since: 0)
                    last = try require(instance.outcome(called, request, within: 5), "with the venue in scenario \(scenario), sync got no DONE")
                    try require(!last.accepted, "with the venue in scenario \(scenario), sync ends well")
                }
                reports = instance.host.eventsNow().compactMap { event in
                    event.link.flatMap { $0.state == KEEL_LINK_UP ? nil : "\(statusName($0.why)) \(event.text($0.message))" }
                }
            }
            let statuses = [last.status] + instance.host.eventsNow().compactMap { $0.link }.filter { $0.state != KEEL_LINK_UP }.map(\.why)
            if scenario != "clock-skew" {
                try require(statuses.contains(KEEL_E_AUTH), "with the venue in scenario \(scenario) nothing says KEEL_E_AUTH: \(last.words)")
            }
            try require(!last.message.isEmpty, "with the venue in scenario \(scenario) sync ends with \(statusName(last.status)) and no message")
            said.append((scenario, "\(last.words) \(last.vendorCode) \(Set(reports).sorted().joined(separator: " "))"))
            if let requests = try bench.venue().count("requests") {
                try require(requests <= 40, "refused, the plugin asked \(requests) times within a second")
            }
            instance.end()
        }
        if said.isEmpty { throw Verdict.skip("the venue has none of the scenarios \"bad-key\", \"expired-key\", \"bad-ip\" and \"clock-skew\"") }
        for (index, one) in said.enumerated() {
            for other in said[(index + 1)...] {
                try require(one.words != other.words, "\"\(one.scenario)\" and \"\(other.scenario)\" can't be told apart: both say \(one.words)")
            }
        }
    },
    broker("B22", "rate-limits", "A rate limit is waited for, told or untold, and orders come before queries when there is room for little.",
           rule: "see keel_error.retry_after", limit: 45) { bench in
        var played = 0
        for scenario in ["limited", "limited-untold"] {
            do { try bench.play(scenario) } catch Verdict.skip { continue }
            played += 1
            let instance = try bench.created()
            let started = instance.start()
            try require(started.accepted, "start failed: \(started.words)")
            let last = instance.insist(for: 12) { instance.sync(since: 0) }
            try require(last.accepted, "with the venue in scenario \(scenario), which lasts a second, no sync succeeds: \(last.words)")
            let early = try bench.venue().count("early") ?? 0
            try require(early == 0, "told to wait (scenario \(scenario)), the plugin asked \(early) times before the time was over")
            instance.end()
        }
        if (try? bench.play("tight")) != nil {
            played += 1
            let instance = try bench.running()
            try bench.venue().release()
            for _ in 0..<8 {
                let (called, request) = instance.sync(since: 0)
                _ = instance.outcome(called, request, within: 0.3)
            }
            let order = bench.restingOrder()
            let (called, _) = instance.submit(order)
            let early = try bench.venue().count("early") ?? 0
            try require(early == 0, "with the budget nearly used up, \(early) queries went out that left nothing for orders")
            try require(called.accepted, "with the budget nearly used up, submit answers \(called.words): there was room for orders")
            try bench.waitFor(instance, order.id, "the order to be open, with the budget nearly used up") { $0.states.contains(KEEL_ORDER_OPEN) || $0.states.contains(KEEL_ORDER_FILLED) }
            instance.end()
        }
        if played == 0 { throw Verdict.skip("the venue has none of the scenarios \"limited\", \"limited-untold\" and \"tight\"") }
    },
    broker("B23", "secrets-stay", "Secrets appear in no log, error, event, description, state or stored note, and in no process's or thread's name and arguments.",
           rule: "one JSON object about the instance, for people: no secrets", limit: 45) { bench in
        let secrets = bench.profile.secrets.map(\.value).filter { $0.utf8.count >= 6 }
        if secrets.isEmpty { throw Verdict.skip("the profile has no secret of six characters or more") }
        var played = 0
        for scenario in ["fill", "reject", "bad-key"] {
            do { try bench.play(scenario) } catch Verdict.skip { continue }
            played += 1
            let folder = try temporaryFolder()
            defer { removeFolder(folder) }
            let instance = try bench.created(store: CheckStore(folder: folder))
            var said: [(place: String, bytes: [UInt8])] = []
            let started = instance.start()
            said.append(("the error of start", Array(started.message.utf8)))
            if started.accepted {
                instance.run(for: 1, until: { instance.host.eventsNow().contains { $0.link != nil } })
                for _ in 0..<2 {
                    let (called, request) = instance.sync(since: 0)
                    if let outcome = instance.outcome(called, request, within: 2) { said.append(("the answer to sync", Array(outcome.message.utf8))) }
                }
                let (called, request) = instance.submit(bench.order(KEEL_BUY, try bench.limitOrMarket()))
                said.append(("the error of submit", Array(called.message.utf8)))
                if called.accepted { instance.run(for: 0.5) { instance.done(request) != nil } }
                said += Bench.processWords()
            }
            if let described = instance.describe() { said.append(("describe", described)) }
            instance.stop()
            let (saved, bytes) = instance.save()
            if saved.accepted { said.append(("the saved state", bytes)) }
            said.append(("a log line, a failure or an event", Array(instance.host.allText().utf8)))
            for event in instance.host.eventsNow() { said.append(("an event", event.bytes)) }
            for name in folderEntries(folder) { if let bytes = readFile(folder + "/" + name) { said.append(("a note kept with put", bytes)) } }
            instance.destroy()
            for secret in secrets {
                for (form, wanted) in Bench.forms(of: secret) {
                    for (place, bytes) in said where bytes.firstRange(of: wanted) != nil {
                        throw Verdict.fail("\(place) holds a secret's value\(form) (scenario \(scenario))")
                    }
                }
            }
        }
        if played == 0 { throw Verdict.skip("the venue has none of the scenarios \"fill\", \"reject\" and \"bad-key\"") }
    },
    broker("B24", "stop-with-orders", "stop with open orders does what the configuration says, leave or cancel, and reports which.", rule: "ends in EV_DONE; nothing is emitted after it", limit: 45) { bench in
        let ways: [(name: String, over: JSONObject)] = [("leave", bench.profile.stopLeaves), ("cancel", bench.profile.stopCancels)].compactMap { way in
            way.1.map { (way.0, $0) }
        }
        if ways.isEmpty { throw Verdict.skip("the profile doesn't say with \"stop\" what stop does with open orders") }
        guard bench.hasMock else { throw Verdict.skip("the venue lives in the plugin and ends with it") }
        for (way, over) in ways {
            try bench.play("open")
            let instance = try bench.instance()
            let created = instance.create(try bench.config(over: over).text(.compact))
            try require(created.accepted, "create refuses the configuration for \"\(way)\": \(created.words)")
            try bench.begin(instance)
            let orders = [bench.restingOrder(), bench.restingOrder()]
            for order in orders {
                try require(instance.submit(order).0.accepted, "submit refuses an order")
                try bench.waitFor(instance, order.id, "the order to be open") { $0.states.contains(KEEL_ORDER_OPEN) }
            }
            guard let before = try bench.venue().count("open") else { throw Verdict.skip("the venue doesn't report how many orders are \"open\"") }
            try require(before == orders.count, "\(orders.count) orders were placed, \(before) rest at the venue")
            let logged = instance.host.logsNow().count
            let stopped = instance.stop(within: 10)
            try require(stopped.call.accepted && stopped.done != nil, "stop with open orders got no DONE: \(stopped.call.words)")
            let after = try bench.venue().count("open") ?? 0
            if way == "leave" {
                try require(after == before, "told to leave open orders, stop left \(after) of \(before)")
                let last = instance.host.eventsNow().last { $0.kind == KEEL_EV_DONE }
                let words = instance.host.logsNow()[logged...].map(\.text).joined(separator: "\n") + (last.flatMap { event in event.done.map { event.text($0.message) } } ?? "")
                try require(words.contains("\(before)") || words.lowercased().contains("order"), "stop left \(before) orders at the venue and says so nowhere: no log line, no message in its DONE")
            } else {
                try require(after == 0, "told to cancel open orders, stop left \(after) of \(before)")
                for order in orders {
                    let story = OrderStory(order.id, instance.host.eventsNow(), snapshots: true)
                    try require(story.state == KEEL_ORDER_CANCELED, "stop cancelled an order and its states are \(story.stateNames)")
                }
            }
            instance.destroy()
        }
    },
    broker("B25", "one-environment", "A configuration for paper or a test net asks for no host but its own; one that mixes environments is refused.",
           rule: "[lane & created or stopped]", limit: 45) { bench in
        if bench.profile.environments.isEmpty, bench.profile.mixed.isEmpty { throw Verdict.skip("the profile names neither \"environments\" nor \"mixed\" configurations") }
        if bench.hasMock { _ = try bench.venue() }
        for environment in bench.profile.environments {
            let found = try bench.destinations(of: environment)
            try require(!found.isEmpty, "as \"\(environment.name)\" it asks for no host and connects to nothing within two seconds: nothing could be seen")
            for place in found where !environment.hosts.contains(where: { fnmatch($0, place, 0) == 0 }) {
                throw Verdict.fail("as \"\(environment.name)\" it goes to \(place); its hosts are \(environment.hosts.joined(separator: ", "))")
            }
        }
        for over in bench.profile.mixed {
            let instance = try bench.instance()
            let text = try bench.config(over: over).text(.compact)
            let created = instance.create(text)
            try require(!created.accepted, "create takes a configuration that mixes environments: \(JSONValue(over).text(.compact))")
            try require(!created.message.isEmpty, "create refuses a configuration that mixes environments without a word")
            instance.destroy()
        }
    },
    broker("B26", "closed-markets", "While the market is closed, halted or in an auction, an order ends REJECTED with the venue's reason, not IN_DOUBT.",
           rule: "terminal: only a definite answer of the venue may say so", limit: 45) { bench in
        var played = 0
        for scenario in ["closed", "halted", "auction"] {
            do { try bench.play(scenario) } catch Verdict.skip { continue }
            played += 1
            let instance = try bench.running()
            let order = bench.order(KEEL_BUY, try bench.limitOrMarket())
            let (called, request) = instance.submit(order)
            func story() -> OrderStory { OrderStory(order.id, instance.host.eventsNow()) }
            var words = called.message
            if called.accepted {
                let outcome = try require(instance.outcome(called, request, within: 5), "with the venue in scenario \(scenario), submit got no DONE")
                instance.run(for: 0.05)
                try require(outcome.status == KEEL_E_REJECTED, "with the venue in scenario \(scenario), submit ends with \(outcome.words); KEEL_E_REJECTED was due")
                try require(story().state == KEEL_ORDER_REJECTED && !story().states.contains(KEEL_ORDER_IN_DOUBT),
                            "with the venue in scenario \(scenario) the order's states are \(story().states.isEmpty ? "none" : story().stateNames)")
                words = outcome.message
                for event in instance.host.eventsNow() { if let report = event.order, report.order == order.id { words += "\n" + event.text(report.message) } }
            } else {
                // A plugin that knows the venue's hours may say so before anything is sent.
                try require(called.status == KEEL_E_REJECTED, "with the venue in scenario \(scenario), submit answers \(called.words)")
            }
            try require(!words.trimmed.isEmpty, "with the venue in scenario \(scenario) the order is rejected without a reason")
            if called.accepted, let reason = try bench.venue().reason() {
                try require(words.contains(reason), "the venue's reason is \"\(reason)\"; the plugin says \"\(words.replacing("\n", with: " / "))\"")
            }
            instance.end()
        }
        if played == 0 { throw Verdict.skip("the venue has none of the scenarios \"closed\", \"halted\" and \"auction\"") }
    },
]

extension Bench {
    /// Orders of somebody else at the venue, or a skip.
    fileprivate func outsiders(_ count: Int) throws {
        guard hasMock, try venue().outside(count) else { throw Verdict.skip("the venue can't have orders of somebody else (control line \"outside\")") }
    }

    /// A sync's events.
    fileprivate func synced(_ instance: Instance, since: keel_time, within limit: Double = 5) throws -> [SeenEvent] {
        let before = instance.host.eventsNow().count
        let (called, request) = instance.sync(since: since)
        let outcome = try require(instance.outcome(called, request, within: limit), "sync got no DONE within \(Int(limit)) s")
        try require(outcome.accepted, "sync ends with \(outcome.words)")
        return Array(instance.host.eventsNow()[before...])
    }

    /// The host syncs when the link is back.
    fileprivate func syncAgain(_ instance: Instance, _ when: String) throws {
        var last = Called(status: KEEL_E_NETWORK, message: "no link")
        let synced = instance.run(for: 8, jumping: true) {
            let (called, request) = instance.sync(since: 1)
            guard let outcome = instance.outcome(called, request, within: 2, jumping: true) else { return false }
            last = outcome
            return outcome.accepted
        }
        try require(synced, "\(when), no sync succeeds: \(last.words)")
    }

    fileprivate func list(_ amounts: [Amount]) -> String { amounts.isEmpty ? "none" : Set(amounts.map { "\($0)" }).sorted().joined(separator: ", ") }

    /// A secret as it is, and as it looks in other clothes.
    fileprivate static func forms(of secret: String) -> [(form: String, bytes: [UInt8])] {
        let bytes = Array(secret.utf8)
        return [("", bytes), (", in Base64,", Array(Base64.encode(bytes).utf8)), (", in hex,", Array(Hex.encode(bytes).utf8)), (", backwards,", bytes.reversed())]
    }

    /// Names of this process's threads, its arguments and environment, and those of its children.
    fileprivate static func processWords() -> [(place: String, bytes: [UInt8])] {
        var words: [(String, [UInt8])] = []
        let own = "\(getpid())"
        for thread in folderEntries("/proc/self/task") { if let name = readFile("/proc/self/task/\(thread)/comm") { words.append(("a thread's name", name)) } }
        for process in folderEntries("/proc") where process.allSatisfy(\.isNumber) {
            guard let status = readFile("/proc/\(process)/stat") else { continue }
            // "pid (name) state parent": the name may hold anything, so it is cut off first.
            let fields = String(decoding: status, as: UTF8.self).split(separator: ")").last?.split(separator: " ") ?? []
            guard process == own || (fields.count > 1 && fields[1] == own) else { continue }
            if let arguments = readFile("/proc/\(process)/cmdline") { words.append(("a process's arguments", arguments)) }
            if process != own, let environment = readFile("/proc/\(process)/environ") { words.append(("a process's environment", environment)) }
        }
        return words
    }

    /// Where the plugin would go with an environment's configuration, in a process that reaches nothing.
    fileprivate func destinations(of environment: CheckProfile.Environment) throws -> Set<String> {
        let record = csystem_memory_file("places")
        defer { close(record) }
        _ = fcntl(record, F_SETFL, O_APPEND)
        let config = try config(over: environment.config).text(.compact)
        try inFork("as \"\(environment.name)\"", limit: 12) {
            guard csystem_watch_network(record) == 0 else { throw Verdict.skip("this kernel has no filters: connections can't be watched") }
            let instance = try self.instance()
            let created = instance.create(config)
            try require(created.accepted, "create refuses the configuration of \"\(environment.name)\": \(created.words)")
            let started = instance.start()
            try require(started.accepted, "as \"\(environment.name)\", start fails: \(started.words)")
            instance.run(for: 1)
            let (called, request) = instance.sync(since: 0)
            if called.accepted { instance.run(for: 0.5) { instance.done(request) != nil } }
            instance.run(for: 1, jumping: true)
            instance.stopNow()
            instance.destroy()
        }
        let size = lseek(record, 0, SEEK_END)
        var bytes = [UInt8](repeating: 0, count: max(0, Int(size)))
        let count = bytes.isEmpty ? 0 : pread(record, &bytes, bytes.count, 0)
        let lines = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: "\n")
        return Set(lines.compactMap { line in line.split(separator: " ").last.map(String.init) })
    }
}

extension String {
    fileprivate var trimmed: Substring { Substring(self).drop(while: \.isWhitespace) }
}
