import CSystem
import Glibc
import PluginAPI
import PluginKit

// C: create, start, stop, destroy.

let lifecycleChecks: [Check] = [
    Check("C01", "create-destroy", "A thousand times created and destroyed leaves no memory, no thread and no descriptor behind.",
          rule: "Nothing is freed across the boundary.") { bench in
        let instance = try bench.instance()
        let text = try bench.configText(unreachable: true)
        func cycle(_ times: Int) throws {
            for _ in 0..<times {
                let result = instance.create(text)
                try require(result.accepted, "create refused the profile's configuration: \(result.words)")
                instance.destroy()
            }
        }
        try cycle(100)
        let before = ProcessFacts.now()
        try cycle(1000)
        let after = ProcessFacts.now()
        try require(after.threads <= before.threads, "\(after.threads - before.threads) threads are left")
        try require(after.descriptors == before.descriptors, "left open: \(after.newDescriptors(since: before))")
        let grown = after.heap - before.heap - instance.host.lentBytes
        try require(grown < 16_000, "a thousand cycles left \(grown) bytes on the heap")
        try require(after.resident - before.resident < 16 << 20, "a thousand cycles left \((after.resident - before.resident) >> 10) KiB of memory")
    },
    Check("C02", "create-without-io", "create opens no socket and no file for writing, and starts no thread.", rule: "[lane] no I/O; on failure *out stays NULL") { bench in
        let instance = try bench.instance()
        let text = try bench.configText(unreachable: true)
        let before = ProcessFacts.now()
        // The filter stays for good: this check's process does nothing after it. A kernel that has none falls back on what is left behind.
        let confined = csystem_confine(CSYSTEM_NO_SOCKETS | CSYSTEM_NO_WRITING | CSYSTEM_NO_THREADS) == 0
        let result = instance.create(text)
        let after = ProcessFacts.now()
        try require(result.accepted, "create refused the profile's configuration: \(result.words)")
        try require(after.descriptors == before.descriptors, "create opened \(after.newDescriptors(since: before))")
        try require(after.threads == before.threads, "create started \(after.threads - before.threads) threads")
        try require(instance.host.secretsAsked.isEmpty, "create asks for a secret; only start may")
        instance.destroy()
        if !confined { throw Verdict.warn("this kernel allows no seccomp filter: calls that leave nothing behind were not seen") }
    },
    Check("C03", "failed-create", "A create that fails leaves *out NULL.", rule: "on failure *out stays NULL") { bench in
        let instance = try bench.instance()
        for text in ["{\"zz_unknown\": 1}", "[]", "{", ""] {
            let result = instance.create(text)
            if result.accepted {
                instance.destroy()
                continue
            }
            try require(instance.outAfterFailedCreate == nil, "create failed with \(result.words) and left a pointer in *out")
        }
    },
    Check("C04", "start-without-secret", "start fails cleanly without its secret; no text anywhere shows a secret's value; an unreachable venue is no crash.",
          rule: "[lane & after create] granted names only") { bench in
        let secrets = try bench.schema().properties.filter(\.schema.isSecret)
        if secrets.isEmpty, !bench.hasMock { throw Verdict.skip("the component has neither secrets nor a venue to reach") }
        if !secrets.isEmpty {
            var style = HostStyle()
            style.secretsMissing = true
            try bench.prepareVenue()
            let instance = try bench.created(style)
            let result = instance.start()
            let names = bench.profile.secrets.map(\.name)
            if result.accepted {
                instance.run(for: 1) { !instance.host.eventsNow().isEmpty || !instance.host.failures.isEmpty }
                let said = instance.host.allText()
                try require(names.contains { said.contains($0) }, "start succeeds without the secret, and nothing says that \(names.joined(separator: ", ")) is missing")
            } else {
                try require(names.isEmpty || names.contains { result.message.contains($0) },
                            "start fails without its secret, but the message doesn't name \(names.joined(separator: " or ")): \"\(result.message)\"")
            }
            instance.end()
        }
        for wrong in [true, false] {
            try bench.prepareVenue()
            let instance = try bench.instance()
            let value = "zz7secret-\(bench.random.next() % 1_000_000)"
            if wrong { for name in instance.host.secrets.keys { instance.host.secrets[name] = value } }
            let result = instance.create(try bench.configText(unreachable: !wrong))
            try require(result.accepted, "create refused the profile's configuration: \(result.words)")
            let started = instance.start()
            if started.accepted { instance.run(for: 0.15, jumping: !wrong) }
            let shown = [value] + bench.profile.secrets.map(\.value).filter { $0.utf8.count >= 6 }
            let said = instance.host.allText() + started.message
            for secret in shown { try require(!said.contains(secret), "a log line, an error or an event shows the value of a secret") }
            if let described = instance.describe() {
                let text = String(decoding: described, as: UTF8.self)
                for secret in shown { try require(!text.contains(secret), "describe shows the value of a secret") }
            }
            instance.end()
        }
    },
    Check("C05", "calls-out-of-order", "stop before start, stop twice, and role calls outside running answer KEEL_E_STATE.", rule: "not legal in this lifecycle state") { bench in
        try bench.prepareVenue()
        let instance = try bench.created()
        func refused(_ what: String, _ result: Called) throws {
            try require(result.status == KEEL_E_STATE, "\(what) answers \(result.words); KEEL_E_STATE was due")
        }
        func roles(_ when: String) throws {
            let subject = instance.subject
            if subject.lists(KEEL_BROKER) {
                try refused("submit \(when)", instance.submit(bench.order()).0)
                try refused("cancel \(when)", instance.cancel(order: bench.orderID()).0)
                try refused("sync \(when)", instance.sync(since: 0).0)
            }
            if let table = subject.table(KEEL_FEED, as: keel_feed.self) {
                try refused("subscribe \(when)", instance.subscribe(1, table.pointee.channels).0)
                try refused("unsubscribe \(when)", instance.unsubscribe(1, table.pointee.channels).0)
            }
            if subject.lists(KEEL_DECIDER) {
                let snapshot = SnapshotBlock.random(&bench.random, bench.profile.instrument, price: bench.profile.price, now: bench.clock.now)
                try refused("decide \(when)", instance.decide(snapshot, deadline: bench.clock.now &+ .seconds(1)).0)
                instance.cancelDecision(7)
            }
            if subject.lists(KEEL_ROUTER) {
                try refused("route \(when)", instance.route(bench.parentOrder()).0)
                instance.cancelRoute(7)
                instance.onEvent(bench.quoteEvent(at: bench.clock.now))
            }
        }
        try refused("stop before start", instance.stopCall().call)
        try roles("before start")
        try bench.begin(instance)
        try refused("start while running", instance.startAgain())
        let stopped = instance.stop()
        try require(stopped.call.accepted && stopped.done != nil, "stop did not end in DONE: \(stopped.call.words)")
        try refused("a second stop", instance.stopCall().call)
        try roles("after stop")
        instance.destroy()
    },
    Check("C06", "stop-ends", "stop ends in exactly one DONE, before its deadline and after the DONE of what was in flight; nothing is emitted afterwards.",
          rule: "[lane & running] ends in EV_DONE; nothing is emitted after it") { bench in
        for busy in [false, true] {
            try bench.prepareVenue()
            if busy, bench.hasMock { for name in ["silent", "late", "open"] where (try? bench.play(name)) != nil { break } }
            let instance = try bench.running()
            var inFlight: [UInt64] = []
            if busy { inFlight = bench.leaveInFlight(instance) }
            let called = instance.stopCall(deadline: .seconds(3))
            try require(called.call.accepted, "stop answers \(called.call.words)")
            let request = called.request
            try require(instance.run(for: 3, until: { instance.done(request) != nil }), "stop's DONE did not come before the deadline\(busy ? ", with requests in flight" : "")")
            instance.run(for: 0.02)
            let events = instance.host.eventsNow()
            let count = events.count { $0.kind == KEEL_EV_DONE && $0.request == request }
            try require(count == 1, "stop ended in \(count) DONE events")
            guard let last = events.lastIndex(where: { $0.kind == KEEL_EV_DONE && $0.request == request }) else { continue }
            try require(last == events.count - 1, "an event of kind \(events[events.count - 1].kind) came after stop's DONE")
            for open in inFlight {
                try require(events.contains { $0.kind == KEEL_EV_DONE && $0.request == open }, "a request that was in flight got no DONE before stop's")
            }
            instance.host.stops += 1
            instance.host.forgetWatches()
            instance.markStopped()
            instance.destroy()
            try require(instance.host.eventsNow().count == events.count, "destroy emitted an event")
        }
    },
    Check("C07", "joins-threads", "destroy comes back when the instance's own threads have ended.", rule: "[lane & not running] joins own threads") { bench in
        try bench.prepareVenue()
        let before = ProcessFacts.now().threads
        let instance = try bench.running()
        bench.exercise(instance)
        instance.stop()
        instance.destroy()
        // A thread that was joined may still be in the kernel's list for a moment.
        var left = ProcessFacts.now().threads - before
        for _ in 0..<20 where left > 0 {
            usleep(1000)
            left = ProcessFacts.now().threads - before
        }
        try require(left <= 0, "\(left) threads are still there after destroy")
        try require(instance.host.misuse(.late) == nil, instance.host.misuse(.late)?.text ?? "")
    },
    Check("C08", "two-instances", "Two instances in one process don't mix their names, events and answers.", rule: "the plugin's own type, opaque here") { bench in
        if try bench.subject().isSingle { throw Verdict.skip("the component says it is single (KEEL_COMPONENT_SINGLE)") }
        try bench.prepareVenue()
        let first = try bench.instance(firstRequest: 1000), second = try bench.instance(firstRequest: 900_000)
        for (instance, name) in [(first, "first"), (second, "second")] {
            let result = instance.create(try bench.configText(), name: name)
            try require(result.accepted, "the \(name) of two instances: create answers \(result.words)")
        }
        try bench.begin(first)
        try bench.begin(second)
        for instance in [first, second] {
            instance.host.forgetEvents()
            let other = instance === first ? second : first
            other.host.forgetEvents()
            bench.exercise(instance)
            // The other one's link may report what it likes; answers to requests must not stray.
            let stray = other.host.eventsNow().first { $0.request != 0 || $0.kind == KEEL_EV_DECISION || $0.kind == KEEL_EV_CHILD || $0.kind == KEEL_EV_ORDER }
            try require(stray == nil, "an event of kind \(stray?.kind ?? 0) that answers one instance went to the other's host")
            try require(!instance.host.eventsNow().isEmpty || instance.subject.lists(KEEL_MARKET), "one of two instances emitted nothing")
        }
        first.end()
        second.host.forgetEvents()
        bench.exercise(second)
        second.end()
    },
    Check("C09", "fifty-lives", "Fifty lives from create to destroy keep memory, descriptors and threads level.", rule: "create -> created -> start -> running -> stop -> stopped -> destroy",
          limit: 30) { bench in
        try bench.prepareVenue()
        let instance = try bench.instance()
        let text = try bench.configText()
        func live(_ times: Int) throws {
            for _ in 0..<times {
                let result = instance.create(text)
                try require(result.accepted, "create answers \(result.words)")
                try bench.begin(instance)
                let stopped = instance.stop()
                try require(stopped.done != nil, "stop did not end in DONE: \(stopped.call.words)")
                instance.destroy()
                instance.host.forgetEvents()
            }
        }
        try live(10)
        bench.settle()
        let before = ProcessFacts.now()
        let lent = instance.host.lentBytes
        try live(50)
        var after = ProcessFacts.now()
        for _ in 0..<100 where after.threads > before.threads {
            usleep(10_000)
            after = ProcessFacts.now()
        }
        try require(after.threads <= before.threads, "fifty lives left \(after.threads - before.threads) threads")
        try require(after.descriptors.count <= before.descriptors.count, "fifty lives left open \(after.newDescriptors(since: before))")
        let grown = after.heap - before.heap - (instance.host.lentBytes - lent)
        try require(grown < 100_000, "fifty lives left \(grown) bytes on the heap")
    },
    Check("C10", "error-sizes", "A NULL keel_error is fine everywhere, and nothing is written past a smaller one's struct_size.",
          rule: "set by the caller; the callee never writes past it") { bench in
        for size in [nil, 16, 24, 40, 280] as [Int?] {
            var style = HostStyle()
            style.errorSize = size
            style.passesErrors = size != nil
            try bench.prepareVenue()
            let instance = try bench.instance(style)
            for text in ["{\"zz_unknown_property_with_a_long_name_that_makes_a_long_message\": 1}", "{"] where instance.create(text).accepted { instance.destroy() }
            let result = instance.create(try bench.configText())
            try require(result.accepted, "create refused the profile's configuration: \(result.words)")
            _ = instance.stopCall()
            let started = instance.start()
            try require(started.accepted, "start answers \(started.words)")
            instance.run(for: 0.02)
            bench.badCalls(instance)
            instance.stop()
            _ = instance.stopCall()
            instance.destroy()
        }
    },
]

extension Bench {
    /// Requests that are still open when it returns, as far as the component can leave some open.
    func leaveInFlight(_ instance: Instance) -> [UInt64] {
        let subject = instance.subject
        var open: [UInt64] = []
        func add(_ result: (Called, UInt64)) { if result.0.accepted { open.append(result.1) } }
        if subject.lists(KEEL_BROKER) { add(instance.submit(restingOrder())) }
        if let table = subject.table(KEEL_FEED, as: keel_feed.self) { add(instance.subscribe(profile.instrument.id, table.pointee.channels)) }
        if subject.lists(KEEL_DECIDER) {
            add(instance.decide(SnapshotBlock.random(&random, profile.instrument, price: profile.price, now: clock.now), deadline: clock.now &+ .seconds(5)))
        }
        if subject.lists(KEEL_ROUTER) { add(instance.route(parentOrder())) }
        return open
    }

    /// Calls a plugin should refuse, to see how it writes its errors.
    func badCalls(_ instance: Instance) {
        let subject = instance.subject
        if subject.lists(KEEL_BROKER) {
            var order = order()
            order.qty = -1
            _ = instance.submit(order)
            order = self.order()
            order.features = 1 << 60
            _ = instance.submit(order)
            order = self.order()
            order.instrument = 4_000_000
            _ = instance.submit(order)
            _ = instance.cancel(order: orderID())
            if subject.table(KEEL_BROKER, as: keel_broker.self)?.pointee.replace != nil { _ = instance.replace(order: orderID(), with: order) }
        }
        if subject.lists(KEEL_FEED) {
            _ = instance.subscribe(4_000_000, 1)
            _ = instance.subscribe(profile.instrument.id, 1 << 60)
            _ = instance.unsubscribe(4_000_000, 1)
        }
        if subject.lists(KEEL_DECIDER) {
            _ = instance.decide(SnapshotBlock().block(), deadline: 1)
        }
        if subject.lists(KEEL_ROUTER) {
            var order = parentOrder()
            order.qty = -1
            _ = instance.route(order)
            order = parentOrder()
            order.features = 1 << 60
            _ = instance.route(order)
            order.instrument = 4_000_000
            _ = instance.route(order)
        }
        instance.run(for: 0.01)
    }

    /// Gives late frees a moment.
    func settle() { usleep(2000) }
}

extension Instance {
    /// start on an instance that already runs.
    func startAgain() -> Called {
        guard let pointer else { return Called(status: KEEL_E_STATE, message: "") }
        return call("start") { self.subject.component.pointee.start(pointer, $0) }
    }
}

extension HostileHost {
    /// Everything the plugin said: logs, failures, event texts.
    func allText() -> String {
        var text = logsNow().map(\.text).joined(separator: "\n") + "\n" + failures.map(\.text).joined(separator: "\n")
        for event in eventsNow() { text += "\n" + String(decoding: event.bytes.filter { $0 >= 32 && $0 < 127 }, as: UTF8.self) }
        return text
    }

    /// What the host itself holds for the instance; it grows the heap and is not the plugin's.
    var lentBytes: Int { lender.keptBytes }
}
