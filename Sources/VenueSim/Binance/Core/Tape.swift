/// One trade of two orders.
struct Trade: Codable, Equatable {
    var id: Int64
    var price: Int64
    var quantity: Int64
    var time: Int64
    var buyerIsMaker: Bool
}

/// Trades of one taker at one price, taken together.
struct AggregateTrade: Codable, Equatable {
    var id: Int64
    var price: Int64
    var quantity: Int64
    var first: Int64
    var last: Int64
    var time: Int64
    var buyerIsMaker: Bool
}

/// The latest trades of a symbol.
struct Tape: Codable {
    static let kept = 10_000
    private(set) var trades: [Trade] = []
    private(set) var aggregates: [AggregateTrade] = []
    private(set) var lastID: Int64 = 1_000_000
    private(set) var lastAggregate: Int64 = 500_000
    private var taker: Int64 = 0

    /// `taker` numbers the order that took: its trades at one price are one aggregate.
    mutating func add(price: Int64, quantity: Int64, time: Int64, buyerIsMaker: Bool, taker: Int64) -> Trade {
        lastID += 1
        let trade = Trade(id: lastID, price: price, quantity: quantity, time: time, buyerIsMaker: buyerIsMaker)
        trades.append(trade)
        if taker == self.taker, let last = aggregates.indices.last, aggregates[last].price == price {
            aggregates[last].quantity += quantity
            aggregates[last].last = lastID
        } else {
            lastAggregate += 1
            aggregates.append(
                AggregateTrade(id: lastAggregate, price: price, quantity: quantity, first: lastID, last: lastID, time: time, buyerIsMaker: buyerIsMaker))
        }
        self.taker = taker
        if trades.count > Self.kept + 2_000 { trades.removeFirst(trades.count - Self.kept) }
        if aggregates.count > Self.kept + 2_000 { aggregates.removeFirst(aggregates.count - Self.kept) }
        return trade
    }

    var last: Trade? { trades.last }

    /// The same with its latest trades only.
    func recent(_ count: Int) -> Tape {
        var made = self
        made.trades = Array(trades.suffix(count))
        made.aggregates = Array(aggregates.suffix(count))
        return made
    }
}
