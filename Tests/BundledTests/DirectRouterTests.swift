import PluginAPI
import PluginKit
import PluginSupport
import Testing

@Suite struct DirectRouterTests {
    let host: TestHost
    let instance: TestInstance
    let router: UnsafePointer<keel_router>

    init() throws {
        host = TestHost()
        host.add(1, "BTC/USDT", tick: "0.1", lot: "0.01", minimum: "0.02")
        instance = try TestInstance(TestInstance.bundled("DirectRouter"), host: host)
        router = try instance.table(KEEL_ROUTER, keel_router.self)
        try instance.start()
    }

    func route(_ parent: UInt64, quantity: String = "1", limit: String = "100", side: Side = .buy, notAfter: Int64 = 0) throws -> UInt64 {
        let order = Order(
            id: OrderID(hi: 1, lo: parent << 24), side: side, features: .limit, instrument: 1, quantity: Fixed(raw: raw(quantity)),
            limit: Fixed(raw: raw(limit)), notAfter: notAfter)
        let request = instance.nextRequest()
        try TestInstance.check { error in withUnsafePointer(to: order.c) { router.pointee.route(instance.raw, $0, request, error) } }
        return request
    }

    func tell(_ child: keel_id, _ state: UInt32, filled: String = "0", leaves: String = "1", message: String = "") {
        var builder = EventBuilder()
        builder.begin(keel_ev_order.self)
        var body = keel_ev_order()
        body.order = child
        body.state = state
        body.filled = raw(filled)
        body.leaves = raw(leaves)
        body.message = builder.text(message)
        _ = builder.finish(body, KEEL_EV_ORDER, instrument: 1) { router.pointee.on_event(instance.raw, $0) }
    }

    @Test func theChildIsTheParent() throws {
        let request = try route(5, quantity: "1.239", limit: "100.19", notAfter: host.now + 5)
        let event = try #require(host.take().first)
        let child = try #require(event.child)
        #expect(event.request == request)
        #expect(child.id.hi == 1 && child.id.lo == 5 << 24 | 1)
        #expect(child.side == KEEL_BUY && child.instrument == 1 && child.not_after == host.now + 5)
        // On the grid, never more and never dearer than the parent.
        #expect(child.qty == raw("1.23") && child.limit == raw("100.1"))
        _ = try route(6, limit: "100.11", side: .sell)
        #expect(try #require(host.take().first?.child).limit == raw("100.2"))
    }

    @Test func doneWhenTheChildIsOver() throws {
        let request = try route(1)
        let child = try #require(host.take().first?.child).id
        for state in [KEEL_ORDER_PENDING, KEEL_ORDER_OPEN, KEEL_ORDER_IN_DOUBT, KEEL_ORDER_OPEN] { tell(child, state, filled: "0.4", leaves: "0.6") }
        #expect(host.take().isEmpty)
        tell(child, KEEL_ORDER_FILLED, filled: "1", leaves: "0")
        // Repeated and late news change nothing.
        tell(child, KEEL_ORDER_FILLED, filled: "1", leaves: "0")
        tell(child, KEEL_ORDER_OPEN, filled: "0.4", leaves: "0.6")
        let events = host.take()
        #expect(events.count == 1 && events.first?.request == request && events.dones == [KEEL_OK])
    }

    @Test func aRefusedChildIsReportedNotRepeated() throws {
        let request = try route(1)
        let child = try #require(host.take().first?.child).id
        tell(child, KEEL_ORDER_REJECTED, message: "max order size")
        let events = host.take()
        #expect(events.count == 1 && events.first?.request == request && events.dones == [KEEL_E_REJECTED])
        #expect(events.first.map { $0.text($0.done?.message ?? keel_text()) } == "max order size")
    }

    @Test func cancelWaitsForTheChild() throws {
        let request = try route(1)
        let child = try #require(host.take().first?.child).id
        router.pointee.cancel(instance.raw, request)
        router.pointee.cancel(instance.raw, request)
        router.pointee.cancel(instance.raw, request + 999)
        let asked = host.take()
        #expect(asked.count == 1 && asked.first?.cancelChild?.order.lo == child.lo)
        // The cancel crossed the fill: the end is what the venue says.
        tell(child, KEEL_ORDER_FILLED, filled: "1", leaves: "0")
        #expect(host.take().dones == [KEEL_OK])
    }

    @Test func theSameParentIsRoutedOnce() throws {
        _ = try route(1)
        #expect(throws: Refusal.self) { try route(1) }
        #expect(host.take().count == 1)
    }

    @Test func tooSmallForTheGridIsRefused() throws {
        for (quantity, status) in [("0.001", KEEL_E_RANGE), ("0.01", KEEL_E_RANGE)] {
            #expect(#expect(throws: Refusal.self) { try route(1, quantity: quantity) }?.status == status)
        }
        #expect(host.take().isEmpty)
    }

    @Test func aThousandParentsDoNotMix() throws {
        var requests: [UInt64: UInt64] = [:]
        var children: [keel_id] = []
        for parent in 1...1000 as ClosedRange<UInt64> {
            requests[parent] = try route(parent)
            children.append(try #require(host.take().first?.child).id)
        }
        var random = Seeded(1)
        for child in children.shuffled(using: &random) {
            tell(child, KEEL_ORDER_CANCELED)
            #expect(host.take().map(\.request) == [requests[child.lo >> 24]])
        }
    }

    @Test func stopEndsWhatIsInFlightThenItself() throws {
        let request = try route(1)
        let child = try #require(host.take().first?.child).id
        let stop = try instance.stop()
        #expect(host.take().map(\.request) == [request, stop])
        tell(child, KEEL_ORDER_FILLED)
        #expect(host.take().isEmpty)
        #expect(#expect(throws: Refusal.self) { try route(2) }?.status == KEEL_E_STATE)
    }

    @Test func aTransactionWithoutTheHostLeavesNothingBehind() throws {
        host.emitStatus = KEEL_E_INTERNAL
        #expect(throws: Refusal.self) { try route(1) }
        host.emitStatus = KEEL_OK
        _ = host.take()
        _ = try route(1)
        #expect(host.take().count == 1)
    }
}
