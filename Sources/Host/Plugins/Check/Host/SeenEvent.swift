import PluginAPI
import PluginKit

/// An event a plugin emitted, kept as the bytes it handed over.
struct SeenEvent {
    let bytes: [UInt8]
    /// The host's clock when it came.
    let at: keel_time
    /// True when it came from the lane's own thread.
    let onLane: Bool
    /// How often the instance had finished a stop when this came.
    let stops: Int

    var head: keel_event { read(keel_event.self) }
    var kind: UInt32 { UInt32(head.kind) }
    var request: UInt64 { head.request }
    var isSnapshot: Bool { UInt32(head.flags) & KEEL_EVF_SNAPSHOT != 0 }
    var isReplay: Bool { UInt32(head.flags) & (KEEL_EVF_REPLAY | KEEL_EVF_SNAPSHOT) != 0 }

    var done: keel_ev_done? { body(KEEL_EV_DONE, keel_ev_done.self) }
    var order: keel_ev_order? { body(KEEL_EV_ORDER, keel_ev_order.self) }
    var fill: keel_ev_fill? { body(KEEL_EV_FILL, keel_ev_fill.self) }
    var balance: keel_ev_balance? { body(KEEL_EV_BALANCE, keel_ev_balance.self) }
    var position: keel_ev_position? { body(KEEL_EV_POSITION, keel_ev_position.self) }
    var link: keel_ev_link? { body(KEEL_EV_LINK, keel_ev_link.self) }
    var quote: keel_ev_quote? { body(KEEL_EV_QUOTE, keel_ev_quote.self) }
    var trade: keel_ev_trade? { body(KEEL_EV_TRADE, keel_ev_trade.self) }
    var bar: keel_ev_bar? { body(KEEL_EV_BAR, keel_ev_bar.self) }
    var decision: keel_ev_decision? { body(KEEL_EV_DECISION, keel_ev_decision.self) }
    var childCancel: keel_ev_child_cancel? { body(KEEL_EV_CHILD_CANCEL, keel_ev_child_cancel.self) }
    var child: keel_order? {
        guard let event = body(KEEL_EV_CHILD, keel_ev_child.self), event.order.len >= UInt32(MemoryLayout<keel_order>.size),
              Int(event.order.off) + Int(event.order.len) <= bytes.count else { return nil }
        return bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: Int(event.order.off), as: keel_order.self) }
    }

    func text(_ text: keel_text) -> String {
        guard Int(text.off) + Int(text.len) <= bytes.count else { return "" }
        return String(decoding: bytes[Int(text.off)..<Int(text.off) + Int(text.len)], as: UTF8.self)
    }

    func list<T: BitwiseCopyable>(_ list: keel_list, of type: T.Type) -> [T] {
        let size = MemoryLayout<T>.stride
        guard Int(list.off) + Int(list.count) * size <= bytes.count else { return [] }
        return bytes.withUnsafeBytes { raw in
            (0..<Int(list.count)).map { raw.loadUnaligned(fromByteOffset: Int(list.off) + $0 * size, as: type) }
        }
    }

    private func body<T: BitwiseCopyable>(_ wanted: UInt32, _ type: T.Type) -> T? {
        kind == wanted && bytes.count >= MemoryLayout<T>.size ? read(type) : nil
    }

    private func read<T: BitwiseCopyable>(_ type: T.Type) -> T { bytes.withUnsafeBytes { $0.loadUnaligned(as: type) } }

    /// The event with what the host adds left out, for comparisons.
    var comparable: [UInt8] {
        var copy = bytes
        for index in 32..<min(40, copy.count) { copy[index] = 0 }
        return copy
    }
}

/// What is wrong with an event's own form, or nil. The host applies the same rules before it believes an event.
func malformation(of bytes: UnsafeRawBufferPointer) -> String? {
    let head = bytes.loadUnaligned(as: keel_event.self)
    let least: Int
    var texts: [keel_text] = []
    var lists: [(keel_list, Int)] = []
    func body<T: BitwiseCopyable>(_ type: T.Type) -> T? {
        bytes.count >= MemoryLayout<T>.size ? bytes.loadUnaligned(as: type) : nil
    }
    switch UInt32(head.kind) {
    case KEEL_EV_DONE:
        least = MemoryLayout<keel_ev_done>.size
        if let e = body(keel_ev_done.self) { texts = [e.message] }
    case KEEL_EV_LINK:
        least = MemoryLayout<keel_ev_link>.size
        if let e = body(keel_ev_link.self) { texts = [e.name, e.message] }
    case KEEL_EV_SESSION:
        least = MemoryLayout<keel_ev_session>.size
        if let e = body(keel_ev_session.self) { texts = [e.message] }
    case KEEL_EV_QUOTE: least = MemoryLayout<keel_ev_quote>.size
    case KEEL_EV_TRADE: least = MemoryLayout<keel_ev_trade>.size
    case KEEL_EV_BAR: least = MemoryLayout<keel_ev_bar>.size
    case KEEL_EV_VALUE:
        least = MemoryLayout<keel_ev_value>.size
        if let e = body(keel_ev_value.self) { texts = [e.name] }
    case KEEL_EV_DEPTH:
        least = MemoryLayout<keel_ev_depth>.size
        if let e = body(keel_ev_depth.self) {
            lists = [(e.bids, MemoryLayout<keel_level>.size), (e.asks, MemoryLayout<keel_level>.size)]
        }
    case KEEL_EV_NEWS:
        least = MemoryLayout<keel_ev_news>.size
        if let e = body(keel_ev_news.self) { texts = [e.source, e.title, e.body] }
    case KEEL_EV_ORDER:
        least = MemoryLayout<keel_ev_order>.size
        if let e = body(keel_ev_order.self) { texts = [e.venue_id, e.message] }
    case KEEL_EV_FILL:
        least = MemoryLayout<keel_ev_fill>.size
        if let e = body(keel_ev_fill.self) { texts = [e.fee_asset, e.fill_id, e.venue_id] }
    case KEEL_EV_BALANCE:
        least = MemoryLayout<keel_ev_balance>.size
        if let e = body(keel_ev_balance.self) { texts = [e.asset] }
    case KEEL_EV_POSITION: least = MemoryLayout<keel_ev_position>.size
    case KEEL_EV_FUNDING:
        least = MemoryLayout<keel_ev_funding>.size
        if let e = body(keel_ev_funding.self) { texts = [e.asset, e.payment_id] }
    case KEEL_EV_ACCOUNT:
        least = MemoryLayout<keel_ev_account>.size
        if let e = body(keel_ev_account.self) { texts = [e.asset] }
    case KEEL_EV_RANK:
        least = MemoryLayout<keel_ev_rank>.size
        if let e = body(keel_ev_rank.self) { texts = [e.symbol, e.list] }
    case KEEL_EV_DECISION:
        least = MemoryLayout<keel_ev_decision>.size
        if let e = body(keel_ev_decision.self) {
            texts = [e.reason, e.memory, e.model]
            lists = [(e.signals, MemoryLayout<keel_signal>.size), (e.wakes, MemoryLayout<keel_wake>.size)]
        }
    case KEEL_EV_CHILD:
        least = MemoryLayout<keel_ev_child>.size
        if let e = body(keel_ev_child.self), !inside(e.order.off, UInt64(e.order.len), least, bytes.count) {
            return "the order of a CHILD event lies outside the event"
        }
    case KEEL_EV_CHILD_CANCEL: least = MemoryLayout<keel_ev_child_cancel>.size
    default: least = MemoryLayout<keel_event>.size
    }
    if bytes.count < least { return "an event of kind \(head.kind) says it has \(bytes.count) bytes; it needs \(least)" }
    if head.reserved != 0 { return "an event of kind \(head.kind) has a reserved member that is not 0" }
    for text in texts where text.len > 0 {
        if !inside(text.off, UInt64(text.len), least, bytes.count) {
            return "a text of an event of kind \(head.kind) lies outside the event (offset \(text.off), length \(text.len), event \(bytes.count))"
        }
        let part = bytes[Int(text.off)..<Int(text.off) + Int(text.len)]
        if String(validating: part, as: UTF8.self) == nil { return "a text of an event of kind \(head.kind) is not UTF-8" }
        if part.contains(0) { return "a text of an event of kind \(head.kind) has a NUL inside" }
    }
    for (list, size) in lists where list.count > 0 {
        if list.off % 8 != 0 { return "a list of an event of kind \(head.kind) starts at \(list.off), which is not a multiple of 8" }
        if !inside(list.off, UInt64(list.count) * UInt64(size), least, bytes.count) {
            return "a list of an event of kind \(head.kind) lies outside the event"
        }
    }
    return nil
}

private func inside(_ offset: UInt32, _ length: UInt64, _ least: Int, _ total: Int) -> Bool {
    Int(offset) >= least && UInt64(offset) + length <= UInt64(total)
}
