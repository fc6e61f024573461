import PluginAPI
import PluginKit

// Market events that are not news: what a feed delivers of the time before a subscription, or of a gap it has filled.
extension Engine {
    static let historyFlags = UInt16(KEEL_EVF_SNAPSHOT | KEEL_EVF_REPLAY)

    /// A trade or a bar of the past makes bars and is shown to the deciders. It is nobody's price now: it sets off no exit, opens no
    /// gate, and makes no market fresh.
    @inline(never)
    func history(_ event: UnsafePointer<keel_event>, _ kind: UInt32, _ book: UnsafeMutablePointer<Book>) {
        if kind == KEEL_EV_TRADE {
            guard let trade = body(event, as: keel_ev_trade.self), trade.pointee.price > 0, trade.pointee.qty >= 0 else { return countBad(book) }
            let time = event.pointee.at_source != 0 ? event.pointee.at_source : event.pointee.at_host
            let size = Double(trade.pointee.qty)
            book.pointee.taken += size
            book.pointee.delta += trade.pointee.side == KEEL_BUY ? size : trade.pointee.side == KEEL_SELL ? -size : 0
            for index in 0..<book.pointee.seriesCount {
                if book.pointee.series[index].add(price: trade.pointee.price, quantity: trade.pointee.qty, at: time) { barClosed(book, index) }
            }
        } else {
            guard let bar = body(event, as: keel_ev_bar.self), isSound(bar), bar.pointee.bar_flags & KEEL_BAR_CLOSED != 0 else { return countBad(book) }
            for index in 0..<book.pointee.seriesCount where book.pointee.series[index].duration % bar.pointee.duration == 0 {
                if book.pointee.series[index].add(bar.pointee.bar, length: bar.pointee.duration) { barClosed(book, index) }
            }
        }
        _ = observe(event, book)
        book.pointee.counters.events &+= 1
    }
}
