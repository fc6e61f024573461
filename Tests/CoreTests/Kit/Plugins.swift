import PluginAPI
import PluginKit

@testable import HostCore

/// A plugin instance behind real C tables: the engine sees nothing but function pointers and an opaque pointer.
class FakePlugin {
    let name: String
    unowned var rig: Rig!
    var port = 0
    var inline = false

    init(_ name: String) { self.name = name }

    var pointer: OpaquePointer { OpaquePointer(Unmanaged.passUnretained(self).toOpaque()) }
    static func at(_ pointer: OpaquePointer?) -> FakePlugin { Unmanaged<FakePlugin>.fromOpaque(UnsafeRawPointer(pointer!)).takeUnretainedValue() }

    func emit(_ event: EventBytes) { event.send(to: rig.engine, from: port) }
    func makePort() -> Port { Port(name: name, instance: pointer, inline: inline) }
}

/// A table that lives as long as the tests do.
final class Table<Content>: @unchecked Sendable {
    let pointer: UnsafeMutablePointer<Content>
    init(_ content: Content) {
        pointer = .allocate(capacity: 1)
        pointer.initialize(to: content)
    }
    var constant: UnsafePointer<Content> { UnsafePointer(pointer) }
}

final class FakeFeed: FakePlugin {}

/// Decides with a closure, at once or when told.
final class FakeDecider: FakePlugin {
    struct Question {
        var request: UInt64
        var deadline: Int64
        var snapshot: [UInt8]
        var header: keel_snapshot { snapshot.withUnsafeBytes { $0.loadUnaligned(as: keel_snapshot.self) } }
    }
    /// nil: says nothing until `answer` or `done` is called.
    var decide: ((keel_snapshot) -> Answer?)?
    var status = KEEL_OK
    var observed: (UnsafePointer<keel_event>) -> keel_status = { _ in KEEL_OK }
    var questions: [Question] = []
    var cancelled: [UInt64] = []
    var renewed = 0
    var wants: UInt64 = 0
    var bars: UInt32 = 0
    var observes = false
    private var table: Table<keel_decider>?

    override func makePort() -> Port {
        var content = keel_decider()
        content.struct_size = UInt32(MemoryLayout<keel_decider>.size)
        content.wants = wants
        content.bars_wanted = bars
        content.decide = { instance, snapshot, deadline, request, _ in
            (FakePlugin.at(instance) as! FakeDecider).asked(snapshot!, deadline, request)
        }
        content.cancel = { instance, request in (FakePlugin.at(instance) as! FakeDecider).cancelled.append(request) }
        if observes { content.observe = { instance, event in (FakePlugin.at(instance) as! FakeDecider).observed(event!) } }
        let table = Table(content)
        self.table = table
        var port = super.makePort()
        port.decider = table.constant
        return port
    }

    private func asked(_ snapshot: UnsafePointer<keel_snapshot>, _ deadline: Int64, _ request: UInt64) -> keel_status {
        let bytes = Array(UnsafeRawBufferPointer(start: snapshot, count: Int(snapshot.pointee.size)))
        questions.append(Question(request: request, deadline: deadline, snapshot: bytes))
        if status < 0 { return status }
        if let answer = decide?(snapshot.pointee) { reply(answer) }
        return KEEL_OK
    }

    /// Answers the newest question, then ends it.
    func reply(_ answer: Answer, to index: Int? = nil, at time: Int64? = nil) {
        let question = questions[index ?? questions.count - 1]
        emit(
            answer.event(
                for: question.request, snapshot: question.header.hash, instrument: question.header.instrument, at: time ?? rig.engine.now))
        done(index: index, at: time)
    }

    func done(_ status: keel_status = KEEL_OK, index: Int? = nil, at time: Int64? = nil) {
        emit(doneEvent(questions[index ?? questions.count - 1].request, status, at: time ?? rig.engine.now))
    }
}

/// One market order for each parent, done when it has ended. Or whatever a test wants.
final class FakeRouter: FakePlugin {
    var status = KEEL_OK
    /// Parts a parent is cut into.
    var parts = 1
    var silent = false
    /// Orders the first part only, and forgets the others.
    var holdsBack = false
    var events: [UInt16] = []
    var parents: [(order: keel_order, request: UInt64, left: Int)] = []
    var edit: (inout keel_order) -> Void = { _ in }
    private var table: Table<keel_router>?

    override func makePort() -> Port {
        var content = keel_router()
        content.struct_size = UInt32(MemoryLayout<keel_router>.size)
        content.route = { instance, parent, request, _ in (FakePlugin.at(instance) as! FakeRouter).route(parent!.pointee, request) }
        content.on_event = { instance, event in (FakePlugin.at(instance) as! FakeRouter).heard(event!) }
        content.cancel = { instance, request in (FakePlugin.at(instance) as! FakeRouter).cancelled(request) }
        let table = Table(content)
        self.table = table
        var port = super.makePort()
        port.router = table.constant
        return port
    }

    private func route(_ parent: keel_order, _ request: UInt64) -> keel_status {
        if status < 0 { return status }
        parents.append((parent, request, parts))
        if silent { return KEEL_OK }
        let lot = Int64(1000)
        let each = max(lot, parent.qty / Int64(parts) / lot * lot)
        var rest = parent.qty
        for part in 1...parts {
            let quantity = part == parts ? rest : min(rest, each)
            if quantity <= 0 || holdsBack && part > 1 { break }
            rest -= quantity
            var child = parent
            child.id = OrderID(parent.id).child(UInt16(part)).c
            child.qty = quantity
            edit(&child)
            emitChild(child, request)
        }
        return KEEL_OK
    }

    func emitChild(_ child: keel_order, _ request: UInt64) {
        var event = EventBytes(keel_ev_child(), kind: KEEL_EV_CHILD, instrument: child.instrument, request: request, at: rig.engine.now)
        let off = event.bytes.count
        event.bytes += withUnsafeBytes(of: child) { Array($0) }
        let size = UInt32(event.bytes.count)
        event.edit { (body: inout keel_ev_child) in
            body.order = keel_text(off: UInt32(off), len: UInt32(MemoryLayout<keel_order>.size))
            body.head.size = size
        }
        emit(event)
    }

    private func heard(_ event: UnsafePointer<keel_event>) {
        events.append(event.pointee.kind)
        guard UInt32(event.pointee.kind) == KEEL_EV_ORDER else { return }
        let report = UnsafeRawPointer(event).assumingMemoryBound(to: keel_ev_order.self).pointee
        guard let said = OrderReport(state: report.state, filled: 0, snapshot: false), said.status.isTerminal,
            let index = parents.firstIndex(where: { OrderID($0.order.id) == OrderID(report.order).parent })
        else { return }
        parents[index].left -= 1
        if parents[index].left == 0 { emit(doneEvent(parents.remove(at: index).request, at: rig.engine.now)) }
    }

    private func cancelled(_ request: UInt64) {
        guard let index = parents.firstIndex(where: { $0.request == request }) else { return }
        parents.remove(at: index)
        emit(doneEvent(request, at: rig.engine.now))
    }
}

/// A venue with a truth of its own. What it says can be lost, doubled, late and out of order; its answers to a sync are true.
final class FakeVenue: FakePlugin {
    struct Working {
        var order: keel_order
        var filled: Int64 = 0
        var state = KEEL_ORDER_OPEN
        var fills: [(id: String, quantity: Int64, price: Int64, fee: Amount, at: Int64)] = []
    }
    enum Style { case atOnce, onNextPrice, manual }
    var style = Style.atOnce
    var features: UInt64 = KEEL_ORD_MARKET | KEEL_ORD_LIMIT | KEEL_ORD_REDUCE_ONLY
    var feeRate = fixed("0.001")
    var feeAsset = ""
    var status = KEEL_OK
    /// Orders that get lost on their way to the venue: taken by the plugin, never seen again.
    var loses: () -> Bool = { false }
    var lost: [OrderID] = []
    var syncStatus = KEEL_OK
    var answersSync = true
    var reportsPositions = true
    var balances: [(String, Amount)] = []
    var orders: [OrderID: Working] = [:]
    var sequence: [OrderID] = []
    var positions: [keel_instrument_id: Amount] = [:]
    var prices: [keel_instrument_id: Int64] = [:]
    var submitted: [keel_order] = []
    var cancelledOrders: [OrderID] = []
    var syncs: [UInt64] = []
    var fillCount = 0
    /// Splits a fill into so many.
    var fillParts = 1
    /// What happens to a message on its way out: delivered as it is unless a test says otherwise.
    var deliver: ((EventBytes, FakeVenue) -> Void)?
    var external: [EventBytes] = []
    var canReplace = true
    private var brokerTable: Table<keel_broker>?
    private var marketTable: Table<keel_market>?
    var seesMarket = true

    override func makePort() -> Port {
        var content = keel_broker()
        content.struct_size = UInt32(MemoryLayout<keel_broker>.size)
        content.order_features = features
        content.submit = { instance, order, request, _ in (FakePlugin.at(instance) as! FakeVenue).submit(order!.pointee, request) }
        content.cancel = { instance, order, request, _ in (FakePlugin.at(instance) as! FakeVenue).cancel(OrderID(order), request) }
        if canReplace {
            content.replace = { instance, order, with, request, _ in
                (FakePlugin.at(instance) as! FakeVenue).replace(OrderID(order), with!.pointee, request)
            }
        }
        content.sync = { instance, since, request, _ in (FakePlugin.at(instance) as! FakeVenue).sync(since, request) }
        let table = Table(content)
        brokerTable = table
        var port = super.makePort()
        port.broker = table.constant
        if seesMarket {
            var market = keel_market()
            market.struct_size = UInt32(MemoryLayout<keel_market>.size)
            market.on_market = { instance, event in (FakePlugin.at(instance) as! FakeVenue).saw(event!) }
            let table = Table(market)
            marketTable = table
            port.market = table.constant
        }
        return port
    }

    private func say(_ event: EventBytes) { if let deliver { deliver(event, self) } else { emit(event) } }

    private func submit(_ order: keel_order, _ request: UInt64) -> keel_status {
        if status < 0 && status != KEEL_E_IN_DOUBT { return status }
        let id = OrderID(order.id)
        if orders[id] != nil { return KEEL_E_DUPLICATE }
        submitted.append(order)
        if loses() {
            lost.append(id)
            return KEEL_OK
        }
        orders[id] = Working(order: order)
        sequence.append(id)
        if status == KEEL_E_IN_DOUBT { return status }
        if style == .manual { return KEEL_OK }
        say(report(id, state: KEEL_ORDER_OPEN))
        say(doneEvent(request, at: rig.engine.now))
        if style == .atOnce { fill(id) }
        return KEEL_OK
    }

    func report(_ id: OrderID, state: UInt32, flags: UInt32 = 0) -> EventBytes {
        let working = orders[id]!
        return orderEvent(
            id, working.order.instrument, state: state, side: working.order.side, filled: Fixed(raw: working.filled),
            leaves: Fixed(raw: state == KEEL_ORDER_OPEN ? working.order.qty - working.filled : 0), at: rig.engine.now, flags: flags)
    }

    /// Fills what is left, or a part of it, at the venue's price.
    func fill(_ id: OrderID, quantity: Int64? = nil, price: Int64? = nil) {
        guard var working = orders[id], working.state == KEEL_ORDER_OPEN else { return }
        let total = min(quantity ?? .max, working.order.qty - working.filled)
        guard total > 0, let at = price ?? prices[working.order.instrument] else { return }
        var rest = total
        for part in 0..<fillParts {
            let amount = part == fillParts - 1 ? rest : rest / 2
            if amount <= 0 { continue }
            rest -= amount
            fillCount += 1
            let money = Fixed(raw: at).notional(Fixed(raw: amount))
            let fee = feeAsset.isEmpty ? (try? money.multiplied(by: feeRate)) ?? .zero : (try? Amount(Fixed(raw: amount)).multiplied(by: feeRate)) ?? .zero
            working.filled += amount
            working.fills.append(("f\(fillCount)", amount, at, fee, rig.engine.now))
            let signed = Amount(raw: working.order.side == KEEL_BUY ? Int128(amount) : -Int128(amount))
            var position = Amount(raw: (positions[working.order.instrument]?.raw ?? 0) + signed.raw)
            if feeAsset == "BTC" { position = Amount(raw: position.raw - fee.raw) }
            positions[working.order.instrument] = position
            if working.filled == working.order.qty { working.state = KEEL_ORDER_FILLED }
            orders[id] = working
            say(fillReport(id, working.fills.count - 1))
        }
        say(report(id, state: working.state))
    }

    func fillReport(_ id: OrderID, _ index: Int, flags: UInt32 = 0) -> EventBytes {
        let working = orders[id]!
        let fill = working.fills[index]
        return fillEvent(
            id, working.order.instrument, fill: fill.id, quantity: Fixed(raw: fill.quantity), price: Fixed(raw: fill.price), fee: fill.fee,
            feeAsset: feeAsset, side: working.order.side, at: fill.at, flags: flags)
    }

    func end(_ id: OrderID, _ state: UInt32) {
        guard orders[id]?.state == KEEL_ORDER_OPEN else { return }
        orders[id]!.state = state
        say(report(id, state: state))
    }

    private func cancel(_ id: OrderID, _ request: UInt64) -> keel_status {
        cancelledOrders.append(id)
        guard let working = orders[id], working.state == KEEL_ORDER_OPEN else {
            say(doneEvent(request, KEEL_E_NOT_FOUND, at: rig.engine.now))
            return KEEL_OK
        }
        end(id, KEEL_ORDER_CANCELED)
        say(doneEvent(request, at: rig.engine.now))
        return KEEL_OK
    }

    private func replace(_ id: OrderID, _ with: keel_order, _ request: UInt64) -> keel_status {
        guard orders[id]?.state == KEEL_ORDER_OPEN else { return KEEL_E_NOT_FOUND }
        end(id, KEEL_ORDER_CANCELED)
        orders[OrderID(with.id)] = Working(order: with)
        sequence.append(OrderID(with.id))
        submitted.append(with)
        say(report(OrderID(with.id), state: KEEL_ORDER_OPEN))
        say(doneEvent(request, at: rig.engine.now))
        return KEEL_OK
    }

    private func sync(_ since: Int64, _ request: UInt64) -> keel_status {
        syncs.append(request)
        if syncStatus < 0 { return syncStatus }
        if answersSync { tell(request, since: since) }
        return KEEL_OK
    }

    /// The truth: open orders, fills since, positions, balances.
    func tell(_ request: UInt64, since: Int64 = 0) {
        for id in sequence {
            guard let working = orders[id] else { continue }
            if working.state == KEEL_ORDER_OPEN { emit(report(id, state: KEEL_ORDER_OPEN, flags: KEEL_EVF_SNAPSHOT)) }
            for index in working.fills.indices where working.fills[index].at >= since {
                emit(fillReport(id, index, flags: KEEL_EVF_SNAPSHOT))
            }
        }
        for event in external { emit(event) }
        if reportsPositions { for (instrument, quantity) in positions.sorted(by: { $0.key < $1.key }) { emit(positionEvent(instrument, quantity, at: rig.engine.now)) } }
        for (asset, total) in balances { emit(balanceEvent(asset, total, at: rig.engine.now)) }
        emit(doneEvent(request, at: rig.engine.now))
    }

    private func saw(_ event: UnsafePointer<keel_event>) {
        switch UInt32(event.pointee.kind) {
        case KEEL_EV_TRADE:
            prices[event.pointee.instrument] = UnsafeRawPointer(event).assumingMemoryBound(to: keel_ev_trade.self).pointee.price
        case KEEL_EV_BAR:
            let bar = UnsafeRawPointer(event).assumingMemoryBound(to: keel_ev_bar.self).pointee
            if style == .onNextPrice { prices[event.pointee.instrument] = bar.bar.open }
            match(event.pointee.instrument)
            prices[event.pointee.instrument] = bar.bar.close
            return
        default: return
        }
        match(event.pointee.instrument)
    }

    private func match(_ instrument: keel_instrument_id) {
        guard style == .onNextPrice else { return }
        for id in sequence where orders[id]?.state == KEEL_ORDER_OPEN && orders[id]?.order.instrument == instrument { fill(id) }
        sequence.removeAll { orders[$0]?.state != KEEL_ORDER_OPEN && rig.forgets }
    }
}
