import PluginAPI
import PluginKit

@testable import HostCore

/// An event as a plugin would build it: a struct, then its texts and lists.
struct EventBytes {
    var bytes: [UInt8]

    init<Body>(_ body: Body, kind: UInt32, instrument: keel_instrument_id = 0, request: UInt64 = 0, at: Int64, source: Int64? = nil, flags: UInt32 = 0) {
        bytes = withUnsafeBytes(of: body) { Array($0) }
        edit { (head: inout keel_event) in
            head.kind = UInt16(kind)
            head.flags = UInt16(flags)
            head.instrument = instrument
            head.request = request
            head.at_host = at
            head.at_source = source ?? at
        }
        setSize()
    }

    mutating func edit<Body>(_ change: (inout Body) -> Void) {
        bytes.withUnsafeMutableBytes { raw in
            var value = raw.loadUnaligned(as: Body.self)
            change(&value)
            raw.storeBytes(of: value, as: Body.self)
        }
    }

    mutating func text<Body>(_ text: String, _ path: WritableKeyPath<Body, keel_text>) {
        let place = keel_text(off: UInt32(bytes.count), len: UInt32(text.utf8.count))
        bytes += Array(text.utf8)
        while bytes.count % 8 != 0 { bytes.append(0) }
        edit { (body: inout Body) in body[keyPath: path] = place }
        setSize()
    }

    mutating func list<Body, Element>(_ elements: [Element], _ path: WritableKeyPath<Body, keel_list>) {
        let place = keel_list(off: UInt32(bytes.count), count: UInt32(elements.count))
        for element in elements { bytes += withUnsafeBytes(of: element) { Array($0.prefix(MemoryLayout<Element>.stride)) } }
        edit { (body: inout Body) in body[keyPath: path] = place }
        setSize()
    }

    /// A text for an element of a list.
    mutating func loose(_ text: String) -> keel_text {
        let place = keel_text(off: UInt32(bytes.count), len: UInt32(text.utf8.count))
        bytes += Array(text.utf8)
        while bytes.count % 8 != 0 { bytes.append(0) }
        setSize()
        return place
    }

    private mutating func setSize() {
        let size = UInt32(bytes.count)
        edit { (head: inout keel_event) in head.size = size }
    }

    func send(to engine: Engine, from port: Int) {
        bytes.withUnsafeBytes { raw in
            if let base = raw.baseAddress { engine.accept(base.assumingMemoryBound(to: keel_event.self), from: port) }
        }
    }
}

func fixed(_ text: String) -> Fixed { Fixed(text) ?? .min }
func amount(_ text: String) -> Amount { Amount(text) ?? Amount(raw: .min) }

func tradeEvent(_ instrument: keel_instrument_id, _ price: Fixed, _ quantity: Fixed, at: Int64, side: UInt32 = KEEL_BUY) -> EventBytes {
    var body = keel_ev_trade()
    body.price = price.raw
    body.qty = quantity.raw
    body.side = side
    return EventBytes(body, kind: KEEL_EV_TRADE, instrument: instrument, at: at)
}

func quoteEvent(_ instrument: keel_instrument_id, bid: Fixed, ask: Fixed, at: Int64) -> EventBytes {
    var body = keel_ev_quote()
    body.bid = bid.raw
    body.ask = ask.raw
    body.bid_qty = KEEL_ONE_FIXED
    body.ask_qty = KEEL_ONE_FIXED
    return EventBytes(body, kind: KEEL_EV_QUOTE, instrument: instrument, at: at)
}

/// A closed bar; it arrives at its close.
func barEvent(
    _ instrument: keel_instrument_id, open: Fixed, high: Fixed, low: Fixed, close: Fixed, volume: Amount = amount("10"), from opened: Int64,
    duration: Int64 = Span.minute
) -> EventBytes {
    var body = keel_ev_bar()
    body.bar = keel_bar(open_time: opened, open: open.raw, high: high.raw, low: low.raw, close: close.raw, volume: volume.c)
    body.duration = duration
    body.bar_flags = KEEL_BAR_CLOSED
    return EventBytes(body, kind: KEEL_EV_BAR, instrument: instrument, at: opened + duration)
}

func doneEvent(_ request: UInt64, _ status: keel_status = KEEL_OK, at: Int64, message: String = "") -> EventBytes {
    var body = keel_ev_done()
    body.status = status
    var event = EventBytes(body, kind: KEEL_EV_DONE, request: request, at: at)
    if !message.isEmpty { event.text(message, \keel_ev_done.message) }
    return event
}

func orderEvent(
    _ id: OrderID, _ instrument: keel_instrument_id, state: UInt32, side: UInt32, filled: Fixed = .zero, leaves: Fixed = .zero, at: Int64,
    flags: UInt32 = 0
) -> EventBytes {
    var body = keel_ev_order()
    body.order = id.c
    body.state = state
    body.side = side
    body.filled = filled.raw
    body.leaves = leaves.raw
    var event = EventBytes(body, kind: KEEL_EV_ORDER, instrument: instrument, at: at, flags: flags)
    event.text("v-\(id.lo)", \keel_ev_order.venue_id)
    return event
}

func fillEvent(
    _ id: OrderID, _ instrument: keel_instrument_id, fill: String, quantity: Fixed, price: Fixed, fee: Amount = .zero, feeAsset: String = "",
    side: UInt32, at: Int64, flags: UInt32 = 0
) -> EventBytes {
    var body = keel_ev_fill()
    body.order = id.c
    body.qty = quantity.raw
    body.price = price.raw
    body.fee = fee.c
    body.side = side
    var event = EventBytes(body, kind: KEEL_EV_FILL, instrument: instrument, at: at, flags: flags)
    event.text(fill, \keel_ev_fill.fill_id)
    if !feeAsset.isEmpty { event.text(feeAsset, \keel_ev_fill.fee_asset) }
    return event
}

func positionEvent(_ instrument: keel_instrument_id, _ quantity: Amount, at: Int64) -> EventBytes {
    var body = keel_ev_position()
    body.qty = quantity.c
    return EventBytes(body, kind: KEEL_EV_POSITION, instrument: instrument, at: at, flags: KEEL_EVF_SNAPSHOT)
}

func balanceEvent(_ asset: String, _ total: Amount, at: Int64) -> EventBytes {
    var body = keel_ev_balance()
    body.total = total.c
    body.available = total.c
    var event = EventBytes(body, kind: KEEL_EV_BALANCE, at: at, flags: KEEL_EVF_SNAPSHOT)
    event.text(asset, \keel_ev_balance.asset)
    return event
}

func linkEvent(_ state: UInt32, at: Int64, name: String = "orders") -> EventBytes {
    var body = keel_ev_link()
    body.state = state
    var event = EventBytes(body, kind: KEEL_EV_LINK, at: at)
    event.text(name, \keel_ev_link.name)
    return event
}

func sessionEvent(_ instrument: keel_instrument_id, _ state: UInt32, at: Int64) -> EventBytes {
    var body = keel_ev_session()
    body.state = state
    return EventBytes(body, kind: KEEL_EV_SESSION, instrument: instrument, at: at)
}

func valueEvent(
    _ instrument: keel_instrument_id, _ name: String, _ value: Double, at: Int64, released: Int64? = nil, start: Int64 = 0, end: Int64? = nil
) -> EventBytes {
    var body = keel_ev_value()
    body.value = value
    body.released = released ?? at
    body.period_start = start
    body.period_end = end ?? at
    var event = EventBytes(body, kind: KEEL_EV_VALUE, instrument: instrument, at: at)
    event.text(name, \keel_ev_value.name)
    return event
}

/// What a test decider answers.
struct Answer {
    var action = KEEL_ACT_HOLD
    var fraction = Fixed.zero
    var quantity = Fixed.zero
    var confidence = fixed("0.5")
    var exitProbability: Fixed?
    var nextCheck: Int64 = 0
    var validUntil: Int64 = 0
    var cost = Amount.zero
    var wakes: [keel_wake] = []
    var signals: [(String, Fixed, Int32)] = []
    var memory = ""
    var reason = ""
    var hash: keel_hash?
    var instrument: keel_instrument_id?

    static let hold = Answer()
    static func buy(_ fraction: String = "0.1") -> Answer { Answer(action: KEEL_ACT_BUY, fraction: fixed(fraction)) }
    static func sell(_ fraction: String = "1") -> Answer { Answer(action: KEEL_ACT_SELL, fraction: fixed(fraction)) }
    static func buy(quantity: String) -> Answer { Answer(action: KEEL_ACT_BUY, quantity: fixed(quantity)) }
    static func sell(quantity: String) -> Answer { Answer(action: KEEL_ACT_SELL, quantity: fixed(quantity)) }

    func event(for request: UInt64, snapshot: keel_hash, instrument: keel_instrument_id, at: Int64) -> EventBytes {
        var body = keel_ev_decision()
        body.action = action
        body.snapshot = hash ?? snapshot
        body.fraction = fraction.raw
        body.quantity = quantity.raw
        body.confidence = confidence.raw
        body.exit_probability = exitProbability?.raw ?? -1
        body.next_check = nextCheck
        body.valid_until = validUntil
        body.cost = cost.c
        var event = EventBytes(body, kind: KEEL_EV_DECISION, instrument: self.instrument ?? instrument, request: request, at: at)
        if !wakes.isEmpty { event.list(wakes, \keel_ev_decision.wakes) }
        if !signals.isEmpty {
            let list = signals.map { keel_signal(name: event.loose($0.0), confidence: $0.1.raw, direction: $0.2, reserved: 0) }
            event.list(list, \keel_ev_decision.signals)
        }
        if !reason.isEmpty { event.text(reason, \keel_ev_decision.reason) }
        if !memory.isEmpty { event.text(memory, \keel_ev_decision.memory) }
        return event
    }
}

/// Seeded, the same on every machine (SplitMix64).
struct Dice: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
    mutating func chance(_ share: Double) -> Bool { Double(next() >> 11) / 9_007_199_254_740_992 < share }
    mutating func normal() -> Double {
        var sum = 0.0
        for _ in 0..<12 { sum += Double(next() >> 11) / 9_007_199_254_740_992 }
        return sum - 6
    }
}
