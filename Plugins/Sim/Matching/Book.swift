import PluginAPI
import PluginKit

/// The book's levels as the feed gives them, best first, less what our own orders took since.
struct Book {
    private var bids: [keel_level] = []
    private var asks: [keel_level] = []

    mutating func apply(bids newBids: FlatList<keel_level>, asks newAsks: FlatList<keel_level>, whole: Bool) {
        if whole {
            bids = newBids.filter { $0.price > 0 && $0.qty > 0 }.sorted { $0.price > $1.price }
            asks = newAsks.filter { $0.price > 0 && $0.qty > 0 }.sorted { $0.price < $1.price }
            return
        }
        for level in newBids where level.price > 0 { Book.change(&bids, level) { $0 > $1 } }
        for level in newAsks where level.price > 0 { Book.change(&asks, level) { $0 < $1 } }
    }

    private static func change(_ levels: inout [keel_level], _ level: keel_level, _ before: (Int64, Int64) -> Bool) {
        let place = levels.firstIndex { !before($0.price, level.price) } ?? levels.count
        if place < levels.count, levels[place].price == level.price {
            if level.qty > 0 { levels[place] = level } else { levels.remove(at: place) }
        } else if level.qty > 0 {
            levels.insert(level, at: place)
        }
    }

    /// The best level an order of this side could take.
    func best(_ side: Side) -> keel_level? { side == .buy ? asks.first : bids.first }

    mutating func take(_ side: Side, _ quantity: Int64) {
        func less(_ levels: inout [keel_level]) {
            guard let first = levels.first else { return }
            if first.qty > quantity { levels[0].qty -= quantity } else { levels.removeFirst() }
        }
        if side == .buy { less(&asks) } else { less(&bids) }
    }

    func available(_ side: Side, limit: Int64) -> Int128 {
        var sum: Int128 = 0
        for level in side == .buy ? asks : bids {
            if limit != 0, side == .buy ? level.price > limit : level.price < limit { break }
            sum += Int128(level.qty)
        }
        return sum
    }

    func shown(_ side: Side, at price: Int64) -> Int64 {
        (side == .buy ? bids : asks).first { $0.price == price }?.qty ?? 0
    }

    var bestBid: keel_level? { bids.first }
    var bestAsk: keel_level? { asks.first }
}
