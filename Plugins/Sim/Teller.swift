import PluginAPI
import PluginKit

/// Turns the venue's reports into events, and lets them go wrong as the faults say.
struct Teller: ~Copyable {
    private let host: Host
    private let faults: Faults
    private var chance: Chance
    private var builder = EventBuilder(capacity: 1024)
    /// An order's number is told with each of its events.
    private var orderNumber = NumberText()
    /// Events on their way late, by due time.
    private var delayed: [Delayed] = []
    /// Orders whose answer was lost.
    private(set) var dark: [OrderID: Lost] = [:]

    private struct Delayed {
        var due: Int64
        var bytes: [UInt8]
    }

    struct Lost {
        var request: UInt64
        var instrument: UInt32
        /// When it's noticed, and when it's looked up.
        var noticed: Int64
        var lookedUp: Int64
        var told = false
    }

    init(host: Host, faults: Faults, seed: UInt64) {
        self.host = host
        self.faults = faults
        chance = Chance(state: seed ^ 0x6661_756c_7473)
    }

    /// When something must be told that waits; nil if nothing does.
    var nextDue: Int64? {
        var due = delayed.first?.due
        for lost in dark.values {
            let next = lost.told ? lost.lookedUp : lost.noticed
            if due.map({ next < $0 }) ?? true { due = next }
        }
        return due
    }

    var waits: Int { delayed.count + dark.count }

    // MARK: reports

    /// `passes`: the order's state is over already, so it isn't told.
    mutating func tell(_ report: borrowing Report, _ market: UnsafeMutablePointer<Market>?, feeAsset: String, passes: Bool = false) {
        let instrument = market?.pointee.id ?? 0
        switch report.kind {
        case .triggered: return
        case .cancelDone: return Request(host: host, id: report.request).done()
        case .cancelLate: return Request(host: host, id: report.request).done(.rejected(report.reason.text))
        case .cancelUnknown: return Request(host: host, id: report.request).done(.notFound(report.reason.text))
        case .funding:
            builder.begin(keel_ev_funding.self)
            var body = keel_ev_funding()
            body.amount = Amount(raw: report.fee).c
            body.rate = report.price
            body.asset = builder.text(feeAsset)
            body.payment_id = builder.number("p", report.number)
            return send(body, KEEL_EV_FUNDING, instrument, 0, report.time)
        case .accepted:
            if faults.lost > 0, chance.happens(faults.lost) {
                dark[report.order.id] = Lost(
                    request: report.request, instrument: instrument, noticed: report.time &+ faults.delay,
                    lookedUp: report.time &+ faults.delay &* 10)
            }
        case .rejected, .filled, .canceled, .expired: break
        }
        if !dark.isEmpty, dark[report.order.id] != nil { return }
        switch report.kind {
        case .filled:
            let early = faults.reorder > 0 && chance.happens(faults.reorder)
            if early { order(report.order, "", instrument, report.time) }
            fill(
                FillRecord(report), instrument, feeAsset, report.order.request)
            if !early { order(report.order, "", instrument, report.time) }
        case .rejected:
            order(report.order, report.reason.text, instrument, report.time)
            Request(host: host, id: report.request).done(.rejected(report.reason.text))
        case .accepted:
            if !passes { order(report.order, "", instrument, report.time) }
            Request(host: host, id: report.request).done()
        default:
            order(report.order, report.reason.text, instrument, report.time)
        }
    }

    /// Taken and on its way: nothing is known from the venue yet.
    mutating func pending(_ taken: Order, number: UInt64, request: UInt64, at time: Int64) {
        builder.begin(keel_ev_order.self)
        var body = keel_ev_order()
        body.order = taken.id.c
        body.state = KEEL_ORDER_PENDING
        body.side = taken.side.rawValue
        body.leaves = taken.quantity.raw
        body.limit = taken.limit.raw
        body.venue_id = orderNumber.write("s", number, &builder)
        builder.emit(body, KEEL_EV_ORDER, instrument: taken.instrument, request: request, at: time, to: host)
    }

    mutating func order(_ order: VenueOrder, _ message: String, _ instrument: UInt32, _ time: Int64, flags: UInt32 = 0, request: UInt64? = nil) {
        builder.begin(keel_ev_order.self)
        var body = keel_ev_order()
        body.order = order.id.c
        switch order.state {
        case .travelling: body.state = KEEL_ORDER_PENDING
        case .working: body.state = KEEL_ORDER_OPEN
        case .filled: body.state = KEEL_ORDER_FILLED
        case .canceled: body.state = KEEL_ORDER_CANCELED
        case .rejected: body.state = KEEL_ORDER_REJECTED
        case .expired: body.state = KEEL_ORDER_EXPIRED
        }
        body.side = order.side.rawValue
        body.filled = order.filled
        body.leaves = order.leaves
        body.average = order.average
        body.limit = order.limit
        body.venue_id = orderNumber.write("s", order.number, &builder)
        body.message = builder.text(message)
        send(body, KEEL_EV_ORDER, instrument, request ?? order.request, time, flags)
    }

    mutating func fill(_ fill: FillRecord, _ instrument: UInt32, _ asset: String, _ request: UInt64, flags: UInt32 = 0) {
        builder.begin(keel_ev_fill.self)
        var body = keel_ev_fill()
        body.order = fill.order.c
        body.qty = fill.quantity
        body.price = fill.price
        body.fee = Amount(raw: fill.fee).c
        body.side = fill.side.rawValue
        body.liquidity = fill.maker ? KEEL_LIQUIDITY_MAKER : KEEL_LIQUIDITY_TAKER
        body.fee_asset = builder.text(asset)
        body.fill_id = builder.number("f", fill.number)
        body.venue_id = orderNumber.write("s", fill.orderNumber, &builder)
        send(body, KEEL_EV_FILL, instrument, request, fill.time, flags)
    }

    mutating func balance(_ asset: Asset, request: UInt64 = 0, at time: Int64, flags: UInt32 = 0) {
        builder.begin(keel_ev_balance.self)
        var body = keel_ev_balance()
        body.total = Amount(raw: asset.total).c
        body.available = Amount(raw: asset.total - asset.reserved).c
        body.asset = builder.text(asset.name)
        builder.emit(body, KEEL_EV_BALANCE, request: request, at: time, flags: flags, to: host)
    }

    /// Sends the event, unless a fault holds it back or doubles it. What is part of an answer to a sync is never touched.
    private mutating func send<Body: BitwiseCopyable>(
        _ body: Body, _ kind: UInt32, _ instrument: UInt32, _ request: UInt64, _ time: Int64, _ flags: UInt32 = 0
    ) {
        guard faults.any, flags & KEEL_EVF_SNAPSHOT == 0 else {
            builder.emit(body, kind, instrument: instrument, request: request, at: time, flags: flags, to: host)
            return
        }
        let late = chance.happens(faults.late)
        let double = chance.happens(faults.double)
        let bytes = builder.finish(body, kind, instrument: instrument, request: request, at: time, flags: flags) {
            if !late { host.emit($0) }
            return late || double ? Array(UnsafeRawBufferPointer(start: $0, count: Int($0.pointee.size))) : []
        }
        guard let bytes, !bytes.isEmpty else { return }
        if late { delay(bytes, until: host.now &+ faults.delay) }
        if double { delay(bytes, until: host.now &+ faults.delay &* (late ? 2 : 1)) }
    }

    private mutating func delay(_ bytes: [UInt8], until due: Int64) {
        let place = delayed.firstIndex { $0.due > due } ?? delayed.count
        delayed.insert(Delayed(due: due, bytes: bytes), at: place)
    }

    // MARK: what waits

    /// Tells what is due; returns the orders whose state is to be looked up now.
    mutating func catchUp(to time: Int64) -> [OrderID] {
        while let first = delayed.first, first.due <= time {
            delayed.removeFirst()
            first.bytes.withUnsafeBytes { bytes in
                if let base = bytes.baseAddress { host.emit(base.assumingMemoryBound(to: keel_event.self)) }
            }
        }
        if dark.isEmpty { return [] }
        var found: [OrderID] = []
        for id in dark.keys.sorted() {
            guard let lost = dark[id] else { continue }
            if !lost.told, lost.noticed <= time { notice(id, lost, "the venue's answer did not come") }
            if lost.lookedUp <= time {
                dark[id] = nil
                found.append(id)
            }
        }
        return found
    }

    private mutating func notice(_ id: OrderID, _ lost: Lost, _ why: String) {
        dark[id]?.told = true
        builder.begin(keel_ev_order.self)
        var body = keel_ev_order()
        body.order = id.c
        body.state = KEEL_ORDER_IN_DOUBT
        body.message = builder.text(why)
        builder.emit(body, KEEL_EV_ORDER, instrument: lost.instrument, request: lost.request, at: host.now, to: host)
        Request(host: host, id: lost.request).done(PluginError(.inDoubt, why))
    }

    /// The host asks for the truth: nothing is hidden from here on.
    mutating func lighten() {
        for id in dark.keys.sorted() {
            if let lost = dark[id], !lost.told { notice(id, lost, "the venue's answer did not come") }
        }
        dark.removeAll()
        delayed.removeAll()
    }
}

/// The text of the last number, ready to be written again.
struct NumberText {
    private var number: UInt64?
    private var words: (UInt64, UInt64, UInt64) = (0, 0, 0)
    private var count = 0

    mutating func write(_ mark: Unicode.Scalar, _ wanted: UInt64, _ builder: inout EventBuilder) -> keel_text {
        if number != wanted {
            number = wanted
            count = withUnsafeMutableBytes(of: &words) { NumberText.digits(mark, wanted, into: $0) }
        }
        return withUnsafeBytes(of: words) { builder.text(UnsafeRawBufferPointer(rebasing: $0[(24 - count)...])) }
    }

    /// Writes the mark and the digits to the end of 24 bytes; their number.
    static func digits(_ mark: Unicode.Scalar, _ number: UInt64, into bytes: UnsafeMutableRawBufferPointer) -> Int {
        var at = 24
        var rest = number
        repeat {
            at -= 1
            bytes[at] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        at -= 1
        bytes[at] = UInt8(truncatingIfNeeded: mark.value)
        return 24 - at
    }
}

extension EventBuilder {
    /// A venue's number as text, such as "f42", without making a string.
    mutating func number(_ mark: Unicode.Scalar, _ number: UInt64) -> keel_text {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { bytes in
            let count = NumberText.digits(mark, number, into: bytes)
            return text(UnsafeRawBufferPointer(rebasing: bytes[(24 - count)...]))
        }
    }
}
