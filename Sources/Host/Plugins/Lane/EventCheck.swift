import PluginAPI

/// Why an event can't be taken.
public enum EventFault: Error, Hashable, Sendable, CustomStringConvertible {
    case size(kind: UInt16, says: Int, needs: Int)
    case tooLarge(says: Int)
    case textOutside(kind: UInt16, field: String)
    case listOutside(kind: UInt16, field: String)
    case childOrder(String)

    public var description: String {
        switch self {
        case .size(let kind, let says, let needs): "event kind \(kind) says it has \(says) bytes and needs \(needs)"
        case .tooLarge(let says): "event of \(says) bytes, more than KEEL_EVENT_MAX"
        case .textOutside(let kind, let field): "event kind \(kind): \(field) lies outside the event"
        case .listOutside(let kind, let field): "event kind \(kind): \(field) lies outside the event or is not on a multiple of 8"
        case .childOrder(let what): "the order of a CHILD event \(what)"
        }
    }
}

/// Checks that an event can be read without leaving its own bytes. A security boundary: pure, no trap whatever the bytes are.
///
/// Only what memory safety and the meaning of sizes need is checked. Damaged UTF-8 inside a text passes, because a fill must not
/// be lost for a venue's odd message: whoever decodes a text repairs it. Unknown kinds pass; the host skips them.
public enum EventCheck {
    public static let headerSize = MemoryLayout<keel_event>.size

    /// True for kinds that this host knows.
    public static func isKnown(_ kind: UInt16) -> Bool {
        switch UInt32(kind) {
        case KEEL_EV_DONE, KEEL_EV_LINK, KEEL_EV_SESSION, KEEL_EV_QUOTE, KEEL_EV_TRADE, KEEL_EV_BAR, KEEL_EV_VALUE, KEEL_EV_DEPTH,
            KEEL_EV_NEWS, KEEL_EV_ORDER, KEEL_EV_FILL, KEEL_EV_BALANCE, KEEL_EV_POSITION, KEEL_EV_FUNDING, KEEL_EV_ACCOUNT,
            KEEL_EV_RANK, KEEL_EV_DECISION, KEEL_EV_CHILD, KEEL_EV_CHILD_CANCEL:
            true
        default: false
        }
    }

    /// Kinds that may be conflated or refused under pressure.
    @inlinable public static func isLossy(_ kind: UInt16) -> Bool { (10..<30).contains(kind) }

    /// nil: sound. `raw` begins with the event and may be longer than it.
    public static func fault(_ raw: UnsafeRawBufferPointer) -> EventFault? {
        guard raw.count >= headerSize else { return .size(kind: 0, says: raw.count, needs: headerSize) }
        let head = raw.loadUnaligned(as: keel_event.self)
        let size = Int(head.size)
        guard size >= headerSize else { return .size(kind: head.kind, says: size, needs: headerSize) }
        guard size <= Int(KEEL_EVENT_MAX) else { return .tooLarge(says: size) }
        guard size <= raw.count else { return .size(kind: head.kind, says: raw.count, needs: size) }
        return body(Body(raw: UnsafeRawBufferPointer(rebasing: raw[..<size]), kind: head.kind))
    }

    /// True for the events that come with every order, if they are sound beyond doubt; all else is for `fault` to say.
    @inline(__always)
    static func surelySound(_ event: UnsafePointer<keel_event>) -> Bool {
        let size = event.pointee.size
        guard UInt(bitPattern: event) % 8 == 0, size <= KEEL_EVENT_MAX else { return false }
        @inline(__always) func at<T>(_ type: T.Type) -> UnsafePointer<T>? {
            size >= UInt32(MemoryLayout<T>.size) ? UnsafeRawPointer(event).assumingMemoryBound(to: type) : nil
        }
        @inline(__always) func text(_ text: keel_text) -> Bool {
            UInt64(text.off) &+ UInt64(text.len) <= UInt64(size) && (text.len == 0 || text.off >= UInt32(headerSize))
        }
        switch UInt32(event.pointee.kind) {
        case KEEL_EV_ORDER:
            guard let order = at(keel_ev_order.self) else { return false }
            return text(order.pointee.venue_id) && text(order.pointee.message)
        case KEEL_EV_FILL:
            guard let fill = at(keel_ev_fill.self) else { return false }
            return text(fill.pointee.fee_asset) && text(fill.pointee.fill_id) && text(fill.pointee.venue_id)
        case KEEL_EV_DONE:
            guard let done = at(keel_ev_done.self) else { return false }
            return text(done.pointee.message)
        case KEEL_EV_BALANCE:
            guard let balance = at(keel_ev_balance.self) else { return false }
            return text(balance.pointee.asset)
        case KEEL_EV_POSITION: return at(keel_ev_position.self) != nil
        default: return false
        }
    }

    private static func body(_ event: Body) -> EventFault? {
        switch UInt32(event.kind) {
        case KEEL_EV_QUOTE: return event.needs(keel_ev_quote.self)
        case KEEL_EV_TRADE: return event.needs(keel_ev_trade.self)
        case KEEL_EV_BAR: return event.needs(keel_ev_bar.self)
        case KEEL_EV_ORDER:
            return event.with(keel_ev_order.self) { event.text($0.pointee.venue_id, "venue_id") ?? event.text($0.pointee.message, "message") }
        case KEEL_EV_FILL:
            return event.with(keel_ev_fill.self) {
                event.text($0.pointee.fee_asset, "fee_asset") ?? event.text($0.pointee.fill_id, "fill_id") ?? event.text($0.pointee.venue_id, "venue_id")
            }
        case KEEL_EV_DONE: return event.with(keel_ev_done.self) { event.text($0.pointee.message, "message") }
        case KEEL_EV_LINK: return event.with(keel_ev_link.self) { event.text($0.pointee.name, "name") ?? event.text($0.pointee.message, "message") }
        case KEEL_EV_SESSION: return event.with(keel_ev_session.self) { event.text($0.pointee.message, "message") }
        case KEEL_EV_VALUE: return event.with(keel_ev_value.self) { event.text($0.pointee.name, "name") }
        case KEEL_EV_DEPTH:
            return event.with(keel_ev_depth.self) {
                event.list($0.pointee.bids, keel_level.self, "bids") ?? event.list($0.pointee.asks, keel_level.self, "asks")
            }
        case KEEL_EV_NEWS:
            return event.with(keel_ev_news.self) {
                event.text($0.pointee.source, "source") ?? event.text($0.pointee.title, "title") ?? event.text($0.pointee.body, "body")
            }
        case KEEL_EV_BALANCE: return event.with(keel_ev_balance.self) { event.text($0.pointee.asset, "asset") }
        case KEEL_EV_POSITION: return event.needs(keel_ev_position.self)
        case KEEL_EV_FUNDING:
            return event.with(keel_ev_funding.self) { event.text($0.pointee.asset, "asset") ?? event.text($0.pointee.payment_id, "payment_id") }
        case KEEL_EV_ACCOUNT: return event.with(keel_ev_account.self) { event.text($0.pointee.asset, "asset") }
        case KEEL_EV_RANK: return event.with(keel_ev_rank.self) { event.text($0.pointee.symbol, "symbol") ?? event.text($0.pointee.list, "list") }
        case KEEL_EV_DECISION: return event.with(keel_ev_decision.self) { decision(event, $0) }
        case KEEL_EV_CHILD: return event.with(keel_ev_child.self) { child(event, $0.pointee.order) }
        case KEEL_EV_CHILD_CANCEL: return event.needs(keel_ev_child_cancel.self)
        default: return nil
        }
    }

    private static func decision(_ event: Body, _ decision: UnsafePointer<keel_ev_decision>) -> EventFault? {
        if let fault = event.text(decision.pointee.reason, "reason") ?? event.text(decision.pointee.memory, "memory") ?? event.text(decision.pointee.model, "model")
            ?? event.list(decision.pointee.signals, keel_signal.self, "signals") ?? event.list(decision.pointee.wakes, keel_wake.self, "wakes")
        {
            return fault
        }
        for index in 0..<Int(decision.pointee.signals.count) {
            let at = Int(decision.pointee.signals.off) + index * MemoryLayout<keel_signal>.stride
            let signal = event.raw.loadUnaligned(fromByteOffset: at, as: keel_signal.self)
            if let fault = event.text(signal.name, "a signal's name") { return fault }
        }
        return nil
    }

    private static func child(_ event: Body, _ place: keel_text) -> EventFault? {
        if let fault = event.text(place, "order") { return fault }
        guard place.len >= MemoryLayout<keel_order>.size else {
            return .childOrder("has \(place.len) bytes, a keel_order has \(MemoryLayout<keel_order>.size)")
        }
        let size = event.raw.loadUnaligned(fromByteOffset: Int(place.off), as: UInt32.self)
        guard size == place.len else { return .childOrder("says struct_size \(size) in \(place.len) bytes") }
        return nil
    }

    /// The bytes of one event; `raw` is exactly its size.
    private struct Body {
        let raw: UnsafeRawBufferPointer
        let kind: UInt16

        func needs<T>(_ type: T.Type) -> EventFault? {
            raw.count >= MemoryLayout<T>.size ? nil : .size(kind: kind, says: raw.count, needs: MemoryLayout<T>.size)
        }

        /// Looks at the fields where they lie if they are aligned, as nearly all are, else at a copy.
        @inline(__always)
        func with<T: BitwiseCopyable>(_ type: T.Type, _ check: (UnsafePointer<T>) -> EventFault?) -> EventFault? {
            if let fault = needs(type) { return fault }
            if let base = raw.baseAddress, UInt(bitPattern: base) % UInt(MemoryLayout<T>.alignment) == 0 {
                return check(base.assumingMemoryBound(to: type))
            }
            return withUnsafePointer(to: raw.loadUnaligned(as: type), check)
        }

        /// An empty text may point anywhere inside.
        @inline(__always)
        func text(_ text: keel_text, _ field: StaticString) -> EventFault? {
            let end = UInt64(text.off) + UInt64(text.len)
            if end <= UInt64(raw.count), text.len == 0 || text.off >= headerSize { return nil }
            return .textOutside(kind: kind, field: "\(field)")
        }

        @inline(__always)
        func list<T>(_ list: keel_list, _ type: T.Type, _ field: StaticString) -> EventFault? {
            let end = UInt64(list.off) + UInt64(list.count) * UInt64(MemoryLayout<T>.stride)
            if end <= UInt64(raw.count), list.count == 0 || (list.off >= headerSize && list.off % 8 == 0) { return nil }
            return .listOutside(kind: kind, field: "\(field)")
        }
    }
}
