extension Templates {
    /// A broker in Swift.
    static let swiftBroker = ###"""
// @NAME@: a broker for Keel, in Swift, straight on the header.
//
// It talks to a venue that speaks lines of text, recorded in mock/venue.json. Replace the two halves marked VENUE with
// your venue's protocol; what stands around them - the checks before an order leaves, the order of events, what happens
// when the connection drops - is what `keel plugin check` tests.
//
//   to the venue                              from the venue
//   LOGIN key                                 WELCOME | DENIED
//   NEW id symbol side kind qty limit         ACK id | REJECT id why | FILL id fill-id qty price fee
//   CANCEL id                                 CANCELED id | NOCANCEL id why
//   SYNC                                      ORDER id side qty state limit | FILL ... | BALANCE asset total | END
import CKeel

private let features = KEEL_ORD_MARKET | KEEL_ORD_LIMIT  // everything submit takes

// Configuration: the members of Broker and the schema.
private let schema: StaticString = """
    {"type":"object","required":["port","key"],"properties":{
      "port":{"type":"integer","minimum":1,"maximum":65535,"description":"Port of the venue on this machine."},
      "patience":{"type":"integer","minimum":1,"maximum":600,"default":5,"x-unit":"s","description":"How long to wait for an acknowledgement."},
      "key":{"type":"object","x-secret":true,"description":"The API key."}}}
    """

private struct Order {
    let id: keel_id
    var instrument: keel_instrument_id = 1
    var side: UInt32 = 0
    var state: UInt32 = 0
    var quantity: keel_fixed = 0
    var limit: keel_fixed = 0
    var filled: keel_fixed = 0
    /// Sum of quantity x price, for an exact average.
    var notional: Int128 = 0
    /// Requests still waiting for their DONE.
    var submit: UInt64?
    var cancel: UInt64?
    /// Runs while we wait for the acknowledgement.
    var timer: UInt64?
    /// Ids already counted: venues repeat themselves.
    var fills: Set<String> = []

    var hasEnded: Bool { (KEEL_ORDER_FILLED...KEEL_ORDER_EXPIRED).contains(state) }

    init(id: keel_id) { self.id = id }
}

final class Broker: Plugin {
    private let port: UInt16
    private let patience: Int64
    private let secretName: String
    private var key = ""
    private var isReady = false  // logged in
    private var syncing: UInt64?
    private var orders: [String: Order] = [:]
    private var line: Line?

    required init(host: UnsafePointer<keel_host>, config: [UInt8]) throws {
        let read = try Config(config, [("port", .integer(1...65535), true), ("patience", .integer(1...600), false), ("key", .secret, true)])
        port = UInt16(read.integers["port"] ?? 0)
        patience = read.integers["patience"] ?? 5
        secretName = read.texts["key"] ?? ""
        try super.init(host: host, config: config)
    }

    // MARK: life

    override func start() throws {
        guard let value = secret(secretName) else { throw Refusal(KEEL_E_AUTH, "the secret \"\(secretName)\" is missing") }
        key = value
        let line = Line(self, onLine: { [unowned self] in hear($0) }, onLink: { [unowned self] in $0 ? connected() : disconnected() })
        self.line = line
        line.open(port: port)
    }

    override func stop() {
        line?.close()
        line = nil
        isReady = false
        key = ""
        if let request = syncing { done(request, KEEL_E_STATE, "stopped") }
        syncing = nil
        giveUp("stopped")
    }

    override func timerFired(_ timer: UInt64) {
        if line?.timerFired(timer) == true { return }
        guard let name = orders.first(where: { $0.value.timer == timer })?.key else { return }
        orders[name]?.timer = nil
        guard orders[name]?.state == KEEL_ORDER_PENDING else { return }
        tell(name, KEEL_ORDER_IN_DOUBT)  // a late answer still puts this right
        endSubmit(name, KEEL_E_IN_DOUBT, "no acknowledgement yet")
    }

    override func ready(_ bits: UInt32) { line?.ready(bits) }

    // MARK: events

    private func tell(_ name: String, _ state: UInt32, _ flags: UInt32 = 0) {
        orders[name]?.state = state
        guard let order = orders[name] else { return }
        var event = keel_ev_order()
        event.order = order.id
        event.state = state
        event.side = order.side
        event.filled = order.filled  // cumulative, never deltas
        event.leaves = order.quantity - order.filled
        event.average = order.filled == 0 ? 0 : keel_fixed(truncatingIfNeeded: (order.notional * 2 + Int128(order.filled)) / (Int128(order.filled) * 2))
        event.limit = order.limit
        emit(event, \.head, kind: KEEL_EV_ORDER, flags: flags, instrument: order.instrument)
    }

    private func endSubmit(_ name: String, _ status: keel_status, _ why: String = "") {
        if let timer = orders[name]?.timer { _ = host.pointee.timer_stop(host, timer) }
        orders[name]?.timer = nil
        guard let request = orders[name]?.submit else { return }
        orders[name]?.submit = nil
        done(request, status, why)
    }

    private func endCancel(_ name: String, _ status: keel_status, _ why: String = "") {
        guard let request = orders[name]?.cancel else { return }
        orders[name]?.cancel = nil
        done(request, status, why)
    }

    /// What has no answer may have arrived. Never call that rejected, never send it again: the host will sync.
    private func giveUp(_ why: String) {
        for name in orders.keys.sorted() {
            endCancel(name, KEEL_E_IN_DOUBT, why)
            if orders[name]?.state == KEEL_ORDER_PENDING { tell(name, KEEL_ORDER_IN_DOUBT) }
            endSubmit(name, KEEL_E_IN_DOUBT, why)
        }
    }

    // MARK: VENUE, first half: what it says

    private func connected() { _ = line?.send("LOGIN \(key)\n") }

    private func disconnected() {
        isReady = false
        link(KEEL_LINK_DOWN, KEEL_E_NETWORK, "venue")
        if let request = syncing { done(request, KEEL_E_NETWORK, "the connection was lost") }
        syncing = nil
        giveUp("the connection was lost")
    }

    private func hear(_ text: String) {
        let word = text.split(separator: " ").map(String.init)
        // Lenient with what comes: say so and go on.
        if !understand(word) { log(KEEL_LOG_WARN, "the venue said something unknown: \(text.prefix(100))") }
    }

    private func understand(_ word: [String]) -> Bool {
        let flags: UInt32 = syncing == nil ? 0 : KEEL_EVF_SNAPSHOT
        switch word.first {
        case "WELCOME":
            isReady = true
            link(KEEL_LINK_UP, KEEL_OK, "venue")
        case "DENIED": link(KEEL_LINK_DOWN, KEEL_E_AUTH, "venue")
        case "END":
            if let request = syncing {
                syncing = nil
                done(request)
            }
        case "BALANCE":
            guard word.count == 3, let total = parseDecimal(word[2]) else { return false }
            var event = keel_ev_balance()
            event.total = keel_amount(lo: UInt64(bitPattern: total), hi: total < 0 ? -1 : 0)
            event.available = event.total
            emit(event, \.head, kind: KEEL_EV_BALANCE, flags: flags, texts: [(\.asset, word[1])])
        case "ORDER":
            // Part of a sync. It may be an order of a run before this one: then this is how we learn of it.
            guard word.count == 6, let id = parseID(word[1]), let quantity = parseDecimal(word[3]), let limit = parseDecimal(word[5]) else { return false }
            var order = orders[word[1]] ?? Order(id: id)
            order.side = word[2] == "buy" ? KEEL_BUY : KEEL_SELL
            order.quantity = quantity
            order.limit = limit
            orders[word[1]] = order
            if word[4] == "open" { tell(word[1], order.hasEnded ? order.state : KEEL_ORDER_OPEN, KEEL_EVF_SNAPSHOT) }
        default:
            guard word.count >= 2, let order = orders[word[1]] else { return false }
            return understand(word, about: word[1], order, flags)
        }
        return true
    }

    private func understand(_ word: [String], about name: String, _ order: Order, _ flags: UInt32) -> Bool {
        let why = word.count > 2 ? word[2] : ""
        switch word[0] {
        case "ACK":
            if order.state == KEEL_ORDER_PENDING || order.state == KEEL_ORDER_IN_DOUBT { tell(name, KEEL_ORDER_OPEN) }
            endSubmit(name, KEEL_OK)
        case "REJECT":
            if !order.hasEnded { tell(name, KEEL_ORDER_REJECTED) }
            endSubmit(name, KEEL_E_REJECTED, why)
        case "FILL":
            guard word.count == 6, let quantity = parseDecimal(word[3]), let price = parseDecimal(word[4]), let fee = parseDecimal(word[5]) else { return false }
            let isNew = !order.fills.contains(why)
            if !isNew, flags == 0 { return true }
            var event = keel_ev_fill()
            event.order = order.id
            event.qty = quantity
            event.price = price
            event.fee = keel_amount(lo: UInt64(bitPattern: fee), hi: fee < 0 ? -1 : 0)
            event.side = order.side
            event.liquidity = KEEL_LIQUIDITY_TAKER
            emit(event, \.head, kind: KEEL_EV_FILL, flags: flags, instrument: order.instrument, texts: [(\.fee_asset, "USDT"), (\.fill_id, why)])
            if !isNew { return true }
            orders[name]?.fills.insert(why)
            let (filled, over) = order.filled.addingReportingOverflow(quantity)
            if over { return false }
            orders[name]?.filled = filled
            orders[name]?.notional += Int128(quantity) * Int128(price)
            tell(name, filled >= order.quantity ? KEEL_ORDER_FILLED : KEEL_ORDER_OPEN, flags)
            if filled >= order.quantity {
                endSubmit(name, KEEL_OK)
                endCancel(name, KEEL_E_REJECTED, "the order was filled first")
            }
        case "CANCELED":
            if !order.hasEnded { tell(name, KEEL_ORDER_CANCELED) }
            endSubmit(name, KEEL_OK)
            endCancel(name, KEEL_OK)
        case "NOCANCEL": endCancel(name, KEEL_E_REJECTED, why)
        default: return false
        }
        return true
    }

    private func name(_ id: keel_id) -> String { hex(id.hi) + hex(id.lo) }

    private func hex(_ word: UInt64) -> String {
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private func parseID(_ text: String) -> keel_id? {
        guard text.utf8.count == 32, let hi = UInt64(text.prefix(16), radix: 16), let lo = UInt64(text.suffix(16), radix: 16) else { return nil }
        return keel_id(hi: hi, lo: lo)
    }

    // MARK: the broker's functions; VENUE, second half: what it is told

    private func check(_ order: keel_order) throws -> keel_instrument {
        let kind = order.features & features
        if order.features & ~features != 0 || (kind != KEEL_ORD_MARKET && kind != KEEL_ORD_LIMIT) { throw Refusal(KEEL_E_UNSUPPORTED, "only plain market and limit orders") }
        if order.side != KEEL_BUY && order.side != KEEL_SELL { throw Refusal(KEEL_E_INVALID, "side must be buy or sell") }
        let about = try instrument(order.instrument)
        if about.venue_symbol.len == 0 { throw Refusal(KEEL_E_INVALID, "the instrument needs a venue symbol") }
        func range(_ holds: Bool, _ rule: String) throws { if !holds { throw Refusal(KEEL_E_RANGE, rule) } }
        try range(order.qty > 0, "qty must be above 0")
        try range(about.lot <= 0 || order.qty % about.lot == 0, "qty is no multiple of the lot")
        try range(about.min_qty <= 0 || order.qty >= about.min_qty, "qty is below min_qty")
        try range(about.max_qty <= 0 || order.qty <= about.max_qty, "qty is above max_qty")
        if kind == KEEL_ORD_LIMIT {
            try range(order.limit > 0, "limit must be above 0")
            try range(about.tick <= 0 || order.limit % about.tick == 0, "limit is no multiple of the tick")
        }
        if order.not_after != 0, now > order.not_after { throw Refusal(KEEL_E_TIMEOUT, "not_after has passed") }
        return about
    }

    func submit(_ wanted: UnsafePointer<keel_order>?, _ request: UInt64) throws {
        try needsRunning()
        guard let wanted else { throw Refusal(KEEL_E_INVALID, "no order") }
        try refuseUnknownTail(wanted)
        let order = wanted.pointee
        let about = try check(order)
        let name = name(order.id)
        if orders[name] != nil { throw Refusal(KEEL_E_DUPLICATE, "this order id was used before") }
        guard isReady else { throw Refusal(KEEL_E_NETWORK, "not connected") }
        var known = Order(id: order.id)
        known.instrument = order.instrument
        known.side = order.side
        known.quantity = order.qty
        known.limit = order.limit
        known.submit = request
        orders[name] = known
        tell(name, KEEL_ORDER_PENDING)
        // The host's id travels as the venue's client order id. A venue without such a field needs host.put here, before
        // the first byte leaves, and host.get in sync.
        let side = order.side == KEEL_BUY ? "buy" : "sell", kind = order.features & KEEL_ORD_MARKET != 0 ? "market" : "limit"
        guard line?.send("NEW \(name) \(string(about.venue_symbol)) \(side) \(kind) \(decimal(order.qty)) \(decimal(order.limit))\n") == true else {
            orders[name] = nil
            throw Refusal(KEEL_E_NETWORK, "not connected")
        }
        if orders[name]?.state == KEEL_ORDER_PENDING { orders[name]?.timer = try? timer(after: patience * 1_000_000_000) }
    }

    func cancel(_ id: keel_id, _ request: UInt64) throws {
        try needsRunning()
        let name = name(id)
        guard let order = orders[name] else { throw Refusal(KEEL_E_NOT_FOUND, "no such order") }
        if order.hasEnded { throw Refusal(KEEL_E_REJECTED, "the order has ended") }
        if order.cancel != nil { throw Refusal(KEEL_E_DUPLICATE, "a cancel is on its way already") }
        guard isReady, line?.send("CANCEL \(name)\n") == true else { throw Refusal(KEEL_E_NETWORK, "not connected") }
        orders[name]?.cancel = request
    }

    func sync(_ request: UInt64) throws {
        try needsRunning()
        if syncing != nil { throw Refusal(KEEL_E_AGAIN, "a sync is running already") }
        guard isReady, line?.send("SYNC\n") == true else { throw Refusal(KEEL_E_NETWORK, "not connected") }
        syncing = request  // this venue tells everything it has, whatever `since` says
    }
}

private let table = keel_broker(
    struct_size: UInt32(MemoryLayout<keel_broker>.size), reserved: 0, order_features: features,
    submit: { instance, order, request, error in guarded(error) { try me(instance, as: Broker.self).submit(order, request) } },
    cancel: { instance, id, request, error in guarded(error) { try me(instance, as: Broker.self).cancel(id, request) } },
    replace: nil,
    sync: { instance, _, request, error in guarded(error) { try me(instance, as: Broker.self).sync(request) } })

/// "live" once its endpoints move money: the host trades live with no other, and never by accident with that one.
nonisolated(unsafe) private let description = keel_interface(
    id: forever("keel.describe/1"),
    table: forever(
        keel_describe(struct_size: UInt32(MemoryLayout<keel_describe>.size), reserved: 0) { _, out in
            guard let out else { return KEEL_E_INVALID }
            return withText("{\"environment\":\"paper\"}") { out.pointee.write(out, $0.ptr, $0.len) }
        }))

nonisolated(unsafe) private let library = component(
    Broker.self, id: "@ID@", name: "@NAME@", role: "keel.broker/1", table: table, schema: schema, flags: 0, extensions: [description],
    create: { _, host, _, json, out, error in Plugin.create(Broker.self, host, json, out, error) })

@c @implementation
public func keel_plugin_entry(_ abi_major: UInt32) -> UnsafePointer<keel_library>! { abi_major == KEEL_ABI_MAJOR ? library : nil }

"""###
}
