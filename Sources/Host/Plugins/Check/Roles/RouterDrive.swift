import PluginAPI
import PluginKit

/// Plays the host for a router: takes its children, answers them, and keeps the books.
struct RouterDrive {
    enum Answer {
        case open
        /// So much more of it is filled.
        case fill(keel_fixed)
        case cancel
        /// The venue said no.
        case reject
        /// The host's risk gate said no.
        case refuse
        case doubt
        /// The same report once more.
        case again
    }

    struct Child {
        var order: keel_order
        var state = KEEL_ORDER_PENDING
        var filled: keel_fixed = 0
        var live: Bool { !OrderStory.isTerminal(state) }
        var leaves: keel_fixed { order.qty &- filled }
    }

    let bench: Bench
    let instance: Instance
    private(set) var parents: [UInt64: keel_order] = [:]
    private(set) var children: [UInt64: [Child]] = [:]
    /// CHILD_CANCEL events seen, by the child's id.
    private(set) var cancels: [keel_id] = []
    private var seen = 0
    private var serial = 0
    /// Set by `breach` at the first event after which a parent was overfilled.
    private(set) var breach: String?
    /// Called for every new child, before it is answered.
    var onChild: ((UInt64, keel_order, keel_order) -> Void)?

    init(_ bench: Bench, _ instance: Instance) {
        self.bench = bench
        self.instance = instance
        seen = instance.host.eventsNow().count
    }

    mutating func route(_ parent: keel_order) -> UInt64 {
        let (called, request) = instance.route(parent)
        if called.accepted { parents[request] = parent }
        lastCall = called
        return request
    }

    private(set) var lastCall = Called(status: KEEL_OK, message: "")

    /// Takes what the router emitted since last time. Returns the new children of each parent, by index.
    mutating func collect() -> [(request: UInt64, index: Int)] {
        var fresh: [(UInt64, Int)] = []
        let events = instance.host.eventsNow()
        for event in events[min(seen, events.count)...] {
            if let order = event.child {
                guard let request = parentOf(order.id, event.request), let parent = parents[request] else { continue }
                children[request, default: []].append(Child(order: order))
                onChild?(request, parent, order)
                fresh.append((request, (children[request]?.count ?? 1) - 1))
                let total = (children[request] ?? []).reduce(Int128(0)) { $0 + Int128($1.live ? $1.order.qty : $1.filled) }
                if total > Int128(parent.qty), breach == nil {
                    breach = "live and filled children add up to \(Amount(raw: total)), the parent has \(Fixed(raw: parent.qty))"
                }
            } else if let cancel = event.childCancel {
                cancels.append(cancel.order)
            }
        }
        seen = events.count
        return fresh
    }

    private func parentOf(_ child: keel_id, _ request: UInt64) -> UInt64? {
        if parents[request] != nil { return request }
        return parents.first { $0.value.id.hi == child.hi && $0.value.id.lo >> 16 == child.lo >> 16 }?.key
    }

    /// Reports an answer about a child to the router.
    mutating func answer(_ request: UInt64, _ index: Int, _ answer: Answer) {
        guard var child = children[request]?[index] else { return }
        var fill: keel_fixed = 0
        var code: String?
        switch answer {
        case .open: child.state = KEEL_ORDER_OPEN
        case .fill(let quantity):
            fill = min(quantity, child.leaves)
            child.filled &+= fill
            child.state = child.leaves == 0 ? KEEL_ORDER_FILLED : KEEL_ORDER_OPEN
        case .cancel: child.state = KEEL_ORDER_CANCELED
        case .reject:
            child.state = KEEL_ORDER_REJECTED
            code = "insufficient balance"
        case .refuse:
            child.state = KEEL_ORDER_REJECTED
            code = "refused by the risk gate: max_order"
        case .doubt: child.state = KEEL_ORDER_IN_DOUBT
        case .again: break
        }
        children[request]?[index] = child
        serial += 1
        if fill > 0 {
            var event = keel_ev_fill()
            event.head.kind = UInt16(KEEL_EV_FILL)
            event.order = child.order.id
            event.qty = fill
            event.price = child.order.limit == 0 ? bench.profile.price.raw : child.order.limit
            event.side = child.order.side
            deliver(&event, \.head, [("fill_id", "f\(serial)")]) { $0.fill_id = $1[0] }
        }
        var event = keel_ev_order()
        event.head.kind = UInt16(KEEL_EV_ORDER)
        event.order = child.order.id
        event.state = child.state
        event.side = child.order.side
        event.filled = child.filled
        event.leaves = child.leaves
        event.limit = child.order.limit
        event.average = child.filled > 0 ? (child.order.limit == 0 ? bench.profile.price.raw : child.order.limit) : 0
        deliver(&event, \.head, code.map { [("message", $0)] } ?? []) { event, texts in
            if let first = texts.first { event.message = first }
        }
    }

    private func deliver<T: BitwiseCopyable>(_ event: inout T, _ head: WritableKeyPath<T, keel_event>, _ texts: [(String, String)],
                                             _ place: (inout T, [keel_text]) -> Void) {
        var tail: [UInt8] = []
        let offsets = texts.map { text -> keel_text in
            let offset = UInt32(MemoryLayout<T>.size + tail.count)
            tail += Array(text.1.utf8)
            return keel_text(off: offset, len: UInt32(text.1.utf8.count))
        }
        place(&event, offsets)
        event[keyPath: head].size = UInt32(MemoryLayout<T>.size + tail.count)
        event[keyPath: head].instrument = bench.profile.instrument.id
        event[keyPath: head].at_source = bench.clock.now
        event[keyPath: head].at_host = bench.clock.now
        instance.onEvent(withUnsafeBytes(of: event) { [UInt8]($0) } + tail)
    }

    /// Runs until the request's DONE: each new child gets the answers of `script`, cancels are carried out. False when
    /// `limit` children were not enough or nothing moved any more.
    @discardableResult
    mutating func settle(_ request: UInt64, limit: Int, _ script: (Int, keel_order) -> [Answer]) -> Bool {
        var handled = 0, idle = 0
        while instance.done(request) == nil {
            var moved = false
            for (parent, index) in collect() {
                moved = true
                handled += 1
                if handled > limit { return false }
                guard let order = children[parent]?[index].order else { continue }
                for answer in script(handled - 1, order) where children[parent]?[index].live ?? false { self.answer(parent, index, answer) }
            }
            if carryOutCancels() { moved = true }
            if moved { idle = 0; continue }
            if instance.done(request) != nil { break }
            idle += 1
            if idle > 40 { return false }
            // Schedules follow the host's clock: let it run on to the next timer.
            instance.turn(0)
            if let due = instance.host.nextTimer(), due > bench.clock.now { bench.clock.jump(due &- bench.clock.now) } else { instance.turn(5) }
            instance.onEvent(bench.quoteEvent(at: bench.clock.now))
        }
        _ = collect()
        return true
    }

    /// Cancels live children the router asked to cancel.
    @discardableResult
    mutating func carryOutCancels() -> Bool {
        var moved = false
        for (request, list) in children {
            for index in list.indices where list[index].live && cancels.contains(where: { $0 == list[index].order.id }) {
                answer(request, index, .cancel)
                moved = true
            }
        }
        return moved
    }

    var live: Int { children.values.joined().count { $0.live } }
    func filled(_ request: UInt64) -> Int128 { (children[request] ?? []).reduce(0) { $0 + Int128($1.filled) } }
}
