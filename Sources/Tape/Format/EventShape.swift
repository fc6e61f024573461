import PluginAPI

/// What the bytes of an event must look like for its kind: long enough, and every text and list inside it.
///
/// Whoever follows the pointers inside an event (a decider, the simulated venue) relies on this check having been made.
public enum EventShape {
    @inline(__always)
    public static func stride(_ size: UInt32) -> Int { (Int(size) + 7) & ~7 }

    /// nil: sound. `limit`: how many bytes may be read from `event` on.
    @inline(__always)
    public static func problem(_ event: UnsafePointer<keel_event>, limit: Int) -> String? {
        if limit < MemoryLayout<keel_event>.size { return "shorter than an event header" }
        let size = Int(event.pointee.size)
        if size > limit { return "\(size) bytes long where \(limit) are left" }
        switch UInt32(event.pointee.kind) {
        // The common kinds have no text inside: their size says it all.
        case KEEL_EV_TRADE where size == MemoryLayout<keel_ev_trade>.size: return nil
        case KEEL_EV_BAR where size == MemoryLayout<keel_ev_bar>.size: return nil
        case KEEL_EV_QUOTE where size == MemoryLayout<keel_ev_quote>.size: return nil
        default: return slow(event, size)
        }
    }

    private static func slow(_ event: UnsafePointer<keel_event>, _ size: Int) -> String? {
        if size > Int(KEEL_EVENT_MAX) { return "\(size) bytes long, more than an event may have" }
        if size < MemoryLayout<keel_event>.size { return "\(size) bytes long, shorter than an event header" }
        guard let form = form(UInt32(event.pointee.kind)) else { return nil }
        if size < form.size { return "kind \(event.pointee.kind) with \(size) bytes, \(form.size) expected" }
        let raw = UnsafeRawPointer(event)
        for at in form.texts {
            let text = raw.loadUnaligned(fromByteOffset: at, as: keel_text.self)
            if text.len == 0 { continue }
            if UInt64(text.off) + UInt64(text.len) > UInt64(size) { return "kind \(event.pointee.kind) has a text outside itself" }
        }
        for (at, element) in form.lists {
            let list = raw.loadUnaligned(fromByteOffset: at, as: keel_list.self)
            if list.count == 0 { continue }
            if list.off % 8 != 0 || UInt64(list.off) + UInt64(list.count) * UInt64(element) > UInt64(size) {
                return "kind \(event.pointee.kind) has a list outside itself"
            }
        }
        return nil
    }

    struct Form {
        var size: Int
        var texts: [Int] = []
        var lists: [(Int, Int)] = []
    }

    /// nil: a kind this version does not know. It is kept and skipped, as events are lenient.
    private static func form(_ kind: UInt32) -> Form? {
        func at<T>(_ path: PartialKeyPath<T>) -> Int { MemoryLayout<T>.offset(of: path) ?? 0 }
        return switch kind {
        case KEEL_EV_DONE: Form(size: MemoryLayout<keel_ev_done>.size, texts: [at(\keel_ev_done.message)])
        case KEEL_EV_LINK: Form(size: MemoryLayout<keel_ev_link>.size, texts: [at(\keel_ev_link.name), at(\keel_ev_link.message)])
        case KEEL_EV_SESSION: Form(size: MemoryLayout<keel_ev_session>.size, texts: [at(\keel_ev_session.message)])
        case KEEL_EV_QUOTE: Form(size: MemoryLayout<keel_ev_quote>.size)
        case KEEL_EV_TRADE: Form(size: MemoryLayout<keel_ev_trade>.size)
        case KEEL_EV_BAR: Form(size: MemoryLayout<keel_ev_bar>.size)
        case KEEL_EV_VALUE: Form(size: MemoryLayout<keel_ev_value>.size, texts: [at(\keel_ev_value.name)])
        case KEEL_EV_DEPTH:
            Form(
                size: MemoryLayout<keel_ev_depth>.size,
                lists: [
                    (at(\keel_ev_depth.bids), MemoryLayout<keel_level>.stride), (at(\keel_ev_depth.asks), MemoryLayout<keel_level>.stride),
                ])
        case KEEL_EV_NEWS:
            Form(size: MemoryLayout<keel_ev_news>.size, texts: [at(\keel_ev_news.source), at(\keel_ev_news.title), at(\keel_ev_news.body)])
        case KEEL_EV_ORDER: Form(size: MemoryLayout<keel_ev_order>.size, texts: [at(\keel_ev_order.venue_id), at(\keel_ev_order.message)])
        case KEEL_EV_FILL:
            Form(
                size: MemoryLayout<keel_ev_fill>.size,
                texts: [at(\keel_ev_fill.fee_asset), at(\keel_ev_fill.fill_id), at(\keel_ev_fill.venue_id)])
        case KEEL_EV_BALANCE: Form(size: MemoryLayout<keel_ev_balance>.size, texts: [at(\keel_ev_balance.asset)])
        case KEEL_EV_POSITION: Form(size: MemoryLayout<keel_ev_position>.size)
        case KEEL_EV_FUNDING:
            Form(size: MemoryLayout<keel_ev_funding>.size, texts: [at(\keel_ev_funding.asset), at(\keel_ev_funding.payment_id)])
        case KEEL_EV_ACCOUNT: Form(size: MemoryLayout<keel_ev_account>.size, texts: [at(\keel_ev_account.asset)])
        case KEEL_EV_RANK: Form(size: MemoryLayout<keel_ev_rank>.size, texts: [at(\keel_ev_rank.symbol), at(\keel_ev_rank.list)])
        case KEEL_EV_DECISION:
            Form(
                size: MemoryLayout<keel_ev_decision>.size,
                texts: [at(\keel_ev_decision.reason), at(\keel_ev_decision.memory), at(\keel_ev_decision.model)],
                lists: [
                    (at(\keel_ev_decision.signals), MemoryLayout<keel_signal>.stride), (at(\keel_ev_decision.wakes), MemoryLayout<keel_wake>.stride),
                ])
        case KEEL_EV_CHILD: Form(size: MemoryLayout<keel_ev_child>.size, texts: [at(\keel_ev_child.order)])
        case KEEL_EV_CHILD_CANCEL: Form(size: MemoryLayout<keel_ev_child_cancel>.size)
        default: nil
        }
    }
}
