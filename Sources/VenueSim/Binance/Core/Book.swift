/// The order book of one symbol: price levels, each a queue in the order of arrival.
struct Book {
    struct Entry: Equatable, Codable {
        /// 0: a quote of the house.
        var order: Int64
        var quantity: Int64
    }

    struct Level: Equatable, Codable {
        var price: Int64
        var queue: [Entry]
        var total: Int64 { queue.reduce(0) { $0 &+ $1.quantity } }
    }

    struct Place: Hashable, Codable {
        var side: Side
        var price: Int64
    }

    /// Worst first, so that the best is the last one.
    private(set) var bids: [Level] = []
    private(set) var asks: [Level] = []
    private(set) var updateID: Int64 = 1_000
    /// Levels that changed since the streams last looked.
    var touched: Set<Place> = []

    func levels(_ side: Side) -> [Level] { side == .buy ? bids : asks }
    func best(_ side: Side) -> Level? { side == .buy ? bids.last : asks.last }
    var bestBid: Int64? { bids.last?.price }
    var bestAsk: Int64? { asks.last?.price }

    /// The best `count` levels, best first, with their whole quantity.
    func depth(_ side: Side, _ count: Int) -> [(price: Int64, quantity: Int64)] {
        (side == .buy ? bids : asks).suffix(count).reversed().map { ($0.price, $0.total) }
    }

    func quantity(_ place: Place) -> Int64 {
        let levels = place.side == .buy ? bids : asks
        let index = Self.find(levels, place.side, place.price)
        return index < levels.count && levels[index].price == place.price ? levels[index].total : 0
    }

    /// Where a price stands or would stand.
    private static func find(_ levels: [Level], _ side: Side, _ price: Int64) -> Int {
        var low = 0
        var high = levels.count
        while low < high {
            let middle = (low + high) / 2
            let before = side == .buy ? levels[middle].price < price : levels[middle].price > price
            if before { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private mutating func mark(_ side: Side, _ price: Int64) {
        updateID += 1
        touched.insert(Place(side: side, price: price))
    }

    private mutating func change(_ side: Side, _ price: Int64, _ body: (inout Level) -> Void) {
        func apply(_ levels: inout [Level]) {
            let index = Self.find(levels, side, price)
            if index == levels.count || levels[index].price != price { levels.insert(Level(price: price, queue: []), at: index) }
            body(&levels[index])
            if levels[index].queue.isEmpty { levels.remove(at: index) }
        }
        if side == .buy { apply(&bids) } else { apply(&asks) }
        mark(side, price)
    }

    /// At the end of its level's queue.
    mutating func rest(_ side: Side, price: Int64, order: Int64, quantity: Int64) {
        guard quantity > 0 else { return }
        change(side, price) { $0.queue.append(Entry(order: order, quantity: quantity)) }
    }

    mutating func remove(_ side: Side, price: Int64, order: Int64) {
        change(side, price) { $0.queue.removeAll { $0.order == order } }
    }

    /// Makes an entry smaller in its place.
    mutating func shrink(_ side: Side, price: Int64, order: Int64, to quantity: Int64) {
        change(side, price) { level in
            guard let place = level.queue.firstIndex(where: { $0.order == order }) else { return }
            if quantity > 0 { level.queue[place].quantity = quantity } else { level.queue.remove(at: place) }
        }
    }

    /// The entry that is next in line on a side.
    func next(_ side: Side) -> (price: Int64, entry: Entry)? {
        guard let level = best(side), let entry = level.queue.first else { return nil }
        return (level.price, entry)
    }

    /// Takes a quantity from the entry that is next in line.
    mutating func fill(_ side: Side, _ quantity: Int64) {
        guard let level = best(side) else { return }
        change(side, level.price) { level in
            level.queue[0].quantity -= quantity
            if level.queue[0].quantity <= 0 { level.queue.removeFirst() }
        }
    }

    /// The house wants `quantity` at a price: less shrinks its quote in place, more goes to the end of the queue.
    mutating func quote(_ side: Side, price: Int64, quantity: Int64) {
        let levels = side == .buy ? bids : asks
        let index = Self.find(levels, side, price)
        let present = index < levels.count && levels[index].price == price ? levels[index].queue.first { $0.order == 0 }?.quantity : nil
        if (present ?? 0) == quantity { return }
        change(side, price) { level in
            let place = level.queue.firstIndex { $0.order == 0 }
            if let place, quantity > 0, quantity < level.queue[place].quantity {
                level.queue[place].quantity = quantity
            } else {
                if let place { level.queue.remove(at: place) }
                if quantity > 0 { level.queue.append(Entry(order: 0, quantity: quantity)) }
            }
        }
    }

    /// Prices at which the house has quotes.
    func quoted(_ side: Side) -> [Int64] { levels(side).filter { $0.queue.contains { $0.order == 0 } }.map(\.price) }

    /// What a taker would get now: quantity and money for at most `quantity` up to a price.
    func estimate(_ side: Side, quantity: Int64, limit: Int64?) -> (quantity: Int64, money: Int128) {
        var left = quantity
        var cost: Int128 = 0
        for level in levels(side.opposite).reversed() where left > 0 {
            if let limit, side == .buy ? level.price > limit : level.price < limit { break }
            let part = min(left, level.total)
            cost += money(level.price, part)
            left -= part
        }
        return (quantity - left, cost)
    }
}

extension Book: Codable {
    enum CodingKeys: String, CodingKey { case bids, asks, updateID }
}
