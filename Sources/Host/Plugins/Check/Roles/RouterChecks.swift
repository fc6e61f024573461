import Glibc
import PluginAPI
import PluginKit

// R: routers.

private let contract = "Live plus filled children never exceed the parent."
private let gate = "Each child passes the host's risk gate; a refused one comes back as ORDER"

let routerChecks: [Check] = [
    router("R01", "never-more", "Live and filled children together never exceed the parent, whatever happens to them; one DONE at the end.", rule: contract) { bench in
        for _ in 0..<12 {
            let instance = try bench.running()
            var drive = RouterDrive(bench, instance)
            let request = drive.route(bench.parentOrder(bench.random.chance(oneIn: 2) ? KEEL_BUY : KEEL_SELL))
            try require(drive.lastCall.accepted, "route answers \(drive.lastCall.words)")
            var rejections = 3
            drive.settle(request, limit: 100) { _, child in
                switch bench.random.below(6) {
                case 0 where rejections > 0:
                    rejections -= 1
                    return [.reject]
                case 1 where rejections > 0:
                    rejections -= 1
                    return [.open, .fill(child.qty / 3), .cancel]
                case 2: return [.open, .fill(child.qty / 2), .fill(child.qty)]
                default: return [.open, .fill(child.qty)]
                }
            }
            try require(drive.breach == nil, drive.breach ?? "")
            try require(drive.filled(request) <= Int128(drive.parents[request]?.qty ?? 0), "the children filled more than the parent's quantity")
            try require(instance.doneCount(request) == 1, "route's request got \(instance.doneCount(request)) DONE events")
            let misuse = instance.host.misuse(.malformedEvent)
            try require(misuse == nil, misuse?.text ?? "")
            instance.end()
        }
    },
    router("R02", "same-side", "Children have the parent's side and instrument, a child's id, and a limit no worse than the parent's.", rule: "The bytes of one keel_order, its id a child of the routed parent.") { bench in
        for side in [KEEL_BUY, KEEL_SELL] {
            let instance = try bench.running()
            var drive = RouterDrive(bench, instance)
            var faults: [String] = []
            drive.onChild = { _, parent, child in
                if child.side != parent.side { faults.append("a child has another side than its parent") }
                if child.instrument != parent.instrument { faults.append("a child has another instrument than its parent") }
                if child.id.hi != parent.id.hi || child.id.lo >> 16 != parent.id.lo >> 16 || child.id.lo & 0xffff == 0 { faults.append("a child's id isn't its parent's plus a leg") }
                if child.limit == 0, parent.limit != 0 { faults.append("a child has no limit where its parent has \(Fixed(raw: parent.limit))") }
                if parent.limit != 0, child.limit != 0 {
                    let worse = parent.side == KEEL_BUY ? child.limit > parent.limit : child.limit < parent.limit
                    if worse { faults.append("a child's limit, \(Fixed(raw: child.limit)), is worse than its parent's, \(Fixed(raw: parent.limit))") }
                }
            }
            let request = drive.route(bench.parentOrder(side))
            drive.settle(request, limit: 100) { _, child in [.open, .fill(child.qty)] }
            try require(faults.isEmpty, faults.first ?? "")
            try require(!(drive.children[request] ?? []).isEmpty, "the parent got no child")
            let ids = (drive.children[request] ?? []).map(\.order.id.lo)
            try require(Set(ids).count == ids.count, "two children share an id")
            instance.end()
        }
    },
    router("R03", "not-too-late", "No child after not_after, and none after the parent's end.", rule: "host clock: never send later than this; 0 = no limit") { bench in
        let instance = try bench.running()
        var drive = RouterDrive(bench, instance)
        var late = bench.parentOrder()
        late.not_after = bench.clock.now - .seconds(1)
        let first = drive.route(late)
        instance.run(for: 0.01)
        _ = drive.collect()
        try require((drive.children[first] ?? []).isEmpty, "a parent whose not_after has passed got a child")
        if drive.lastCall.accepted { try require(instance.done(first) != nil, "a parent whose not_after has passed got neither a refusal nor a DONE") }
        // One that ends while it is worked: what it started stays, nothing new comes.
        var second = bench.parentOrder()
        second.not_after = bench.clock.now &+ .seconds(30)
        let request = drive.route(second)
        instance.run(for: 0.005)
        _ = drive.collect()
        bench.clock.jump(.seconds(3600))
        let before = drive.children[request]?.count ?? 0
        for index in (drive.children[request] ?? []).indices { drive.answer(request, index, .fill(.max)) }
        for _ in 0..<5 {
            instance.onEvent(bench.quoteEvent(at: bench.clock.now))
            instance.run(for: 0.002)
            drive.carryOutCancels()
            bench.clock.jump(.seconds(60))
        }
        _ = drive.collect()
        try require((drive.children[request]?.count ?? 0) == before, "\((drive.children[request]?.count ?? 0) - before) children came after not_after")
        let total = drive.children[request]?.count ?? 0
        if instance.done(request) != nil {
            instance.run(for: 0.01)
            _ = drive.collect()
            try require(drive.children[request]?.count ?? 0 == total, "a child came after the parent's DONE")
        }
        instance.end()
    },
    router("R04", "gives-up", "A venue that rejects every child is not asked for ever: the parent ends.", rule: "then one DONE when every") { bench in
        let instance = try bench.running()
        var drive = RouterDrive(bench, instance)
        let request = drive.route(bench.parentOrder())
        drive.settle(request, limit: 20) { _, _ in [.reject] }
        let count = drive.children[request]?.count ?? 0
        try require(count <= 20, "after 20 rejected children it still sends new ones")
        try require(instance.done(request) != nil, "every child was rejected, and the parent got no DONE")
        instance.end()
    },
    router("R05", "doubt-is-live", "A child in doubt counts as live until it is known what became of it.", rule: "not terminal: a later state must follow") { bench in
        let instance = try bench.running()
        var drive = RouterDrive(bench, instance)
        let request = drive.route(bench.parentOrder())
        instance.run(for: 0.005)
        let first = drive.collect()
        try require(!first.isEmpty, "the parent got no child")
        for (parent, index) in first { drive.answer(parent, index, .doubt) }
        for _ in 0..<6 {
            instance.onEvent(bench.quoteEvent(at: bench.clock.now))
            instance.run(for: 0.002)
            bench.clock.jump(.seconds(30))
            _ = drive.collect()
        }
        try require(drive.breach == nil, drive.breach ?? "")
        try require(instance.done(request) == nil, "a child is in doubt, and the parent is already done")
        for (parent, index) in first { drive.answer(parent, index, .fill(.max)) }
        drive.settle(request, limit: 100) { _, child in [.open, .fill(child.qty)] }
        try require(drive.breach == nil, drive.breach ?? "")
        try require(instance.doneCount(request) == 1, "when the doubt was resolved, the parent got \(instance.doneCount(request)) DONE events")
        instance.end()
    },
    router("R06", "on-the-grid", "Children keep to tick, lot, minimum and maximum.", rule: "0 = not limited") { bench in
        let instance = try bench.running()
        var drive = RouterDrive(bench, instance)
        let rules = bench.profile.instrument
        var faults: [String] = []
        drive.onChild = { _, _, child in
            if child.qty <= 0 { faults.append("a child has the quantity \(Fixed(raw: child.qty))") }
            if !Fixed(raw: child.qty).isMultiple(of: rules.lot) { faults.append("a child's quantity, \(Fixed(raw: child.qty)), is no multiple of the lot \(rules.lot)") }
            if child.qty < rules.minQty.raw { faults.append("a child's quantity, \(Fixed(raw: child.qty)), is below min_qty \(rules.minQty)") }
            if rules.maxQty.raw > 0, child.qty > rules.maxQty.raw { faults.append("a child's quantity, \(Fixed(raw: child.qty)), is above max_qty \(rules.maxQty)") }
            if !Fixed(raw: child.limit).isMultiple(of: rules.tick) { faults.append("a child's limit, \(Fixed(raw: child.limit)), is no multiple of the tick \(rules.tick)") }
        }
        let lot = max(1, rules.lot.raw)
        for extra in [0, 1, 2, 7, 11] as [Int64] {
            var parent = bench.parentOrder()
            parent.qty += extra * lot
            if rules.maxQty.raw > 0 { parent.qty = min(parent.qty, rules.maxQty.raw) }
            let request = drive.route(parent)
            drive.settle(request, limit: 100) { _, child in [.open, .fill(child.qty)] }
            try require(faults.isEmpty, faults.first ?? "")
        }
        instance.end()
    },
    router("R07", "cancel-parents", "Cancelling the parent cancels all its children, and its one DONE comes after the last of them has ended.", rule: "[lane & running] cancel all children, then DONE") { bench in
        let instance = try bench.running()
        var drive = RouterDrive(bench, instance)
        let request = drive.route(bench.parentOrder())
        instance.run(for: 0.005)
        let first = drive.collect()
        for (parent, index) in first { drive.answer(parent, index, .open) }
        instance.run(for: 0.005)
        for (parent, index) in drive.collect() { drive.answer(parent, index, .open) }
        let alive = drive.live
        instance.cancelRoute(request)
        instance.run(for: 0.005)
        _ = drive.collect()
        if alive > 0 {
            try require(instance.done(request) == nil, "the parent is done while \(alive) of its children are still live")
            let asked = (drive.children[request] ?? []).filter { child in child.live && drive.cancels.contains { $0 == child.order.id } }.count
            try require(asked == drive.live, "of \(drive.live) live children, \(asked) were cancelled")
        }
        for _ in 0..<50 where instance.done(request) == nil {
            drive.carryOutCancels()
            instance.run(for: 0.002) { instance.done(request) != nil }
            _ = drive.collect()
        }
        try require(instance.doneCount(request) == 1, "the cancelled parent got \(instance.doneCount(request)) DONE events")
        try require(drive.live == 0, "the parent is done and \(drive.live) children are still live")
        instance.end()
    },
    router("R08", "exact-remainder", "Partial fills in any order, and told twice, leave the remainder exact: the parent is filled to the last lot.", rule: "quantities are cumulative, never deltas") { bench in
        for _ in 0..<5 {
            let instance = try bench.running()
            var drive = RouterDrive(bench, instance)
            let parent = bench.parentOrder()
            let request = drive.route(parent)
            try require(drive.lastCall.accepted, "route answers \(drive.lastCall.words)")
            let lot = max(1, bench.profile.instrument.lot.raw)
            drive.settle(request, limit: 200) { index, child in
                let part = child.qty / 3 / lot * lot
                // The first one ends early: how much of it was filled decides what is left to do.
                if index == 0 { return [.open, .again, .fill(part), .again, .again, .again, .cancel] }
                return [.open, .again, .fill(part), .again, .again, .fill(part), .again, .fill(child.qty), .again]
            }
            let done = try require(instance.done(request), "the parent got no DONE")
            if done.status == KEEL_OK {
                try require(drive.filled(request) >= Int128(parent.qty), "the parent of \(Fixed(raw: parent.qty)) ended well with \(Amount(raw: drive.filled(request))) filled")
            }
            instance.end()
        }
    },
    router("R09", "refused-by-the-gate", "A child the host's risk gate refused is not sent again unchanged.", rule: "REJECTED and must not be sent again unchanged.") { bench in
        let instance = try bench.running()
        var drive = RouterDrive(bench, instance)
        var refused: [keel_order] = []
        var fault: String?
        let request = drive.route(bench.parentOrder())
        drive.settle(request, limit: 40) { index, child in
            let same = refused.first { $0.qty == child.qty && $0.limit == child.limit && $0.features == child.features && $0.trigger == child.trigger }
            if same != nil { fault = "a child of \(Fixed(raw: child.qty)) at \(Fixed(raw: child.limit)) was refused by the risk gate and sent again unchanged" }
            if index == 0 {
                refused.append(child)
                return [.refuse]
            }
            return [.open, .fill(child.qty)]
        }
        try require(fault == nil, fault ?? "")
        try require(instance.done(request) != nil, "after a refused child the parent got no DONE")
        instance.end()
    },
]

private func router(_ id: String, _ name: String, _ sentence: String, rule: String, _ body: @escaping @Sendable (Bench) throws -> Void) -> Check {
    Check(id, name, sentence, rule: rule, scope: .interface(KEEL_ROUTER), limit: 15, body)
}
