import PluginKit

/// Whoever knows the orders that rest in a book.
protocol MakerSide: AnyObject {
    /// How much of a fill an order can take. 0: none, and it was taken off the book.
    func most(_ order: Int64, _ quantity: Int64) -> Int64
    func filled(_ order: Int64, _ listing: Listing, _ trade: Trade, taker: Side)
}

/// A symbol that is traded: its book, its trades, its bars and what the house does in it.
final class Listing {
    let rules: SymbolRules
    /// "TRADING", "HALT", "BREAK".
    var status = "TRADING"
    var book = Book()
    var tape = Tape()
    var candles: Candles
    /// Whole factor on the walk's price, in 1e-8: scenarios move the market with it.
    var shift: Int64 = one
    /// The house stops quoting and taking while this is false: the book is then the users' alone.
    var houseIsOpen = true
    let walk: PriceWalk
    private let seed: UInt64

    init(_ rules: SymbolRules, seed: UInt64, now: Int64, past: Past) {
        self.rules = rules
        self.seed = mixed(seed, rules.name, 17)
        walk = PriceWalk(seed: seed, symbol: rules.name, base: Double(rules.start) / 100_000_000)
        candles = Candles(walk, rules: rules, now: now, past: past)
    }

    /// What the house believes in, in ticks.
    func fair(_ time: Int64) -> Int64 {
        let moved = walk.price(time) * Double(shift)
        let price = moved.isFinite ? Int64(min(max(moved, Double(rules.minPrice)), Double(rules.maxPrice) / 2)) : rules.start
        return max(down(price, to: rules.tick), rules.minPrice + rules.tick * 100)
    }

    /// The price of the last trade; before the first one, what the house believes in.
    func last(_ time: Int64) -> Int64 { tape.last?.price ?? fair(time) }

    struct Quote {
        var side: Side
        var price: Int64
        var quantity: Int64
    }

    /// The ladder the house wants at a time: a tight best price and a grid behind it, so that a small move changes little.
    func ladder(_ time: Int64, levels: Int64 = 20) -> [Quote] {
        let middle = fair(time)
        let grid = max(rules.tick, down(rules.start / 90_000, to: rules.tick))
        var quotes: [Quote] = []
        // A level keeps its quantity for five seconds, each from another instant on.
        func quantity(_ side: Side, _ price: Int64) -> Int64 {
            let level = price / rules.tick
            let era = (time + level % 5_000) / 5_000
            let random = mixed(seed, side.rawValue, level &* 1_000_003 &+ era)
            let part = Int64(20 + random % 180)
            return max(rules.step, down(rules.typicalQuantity / 100 * part, to: rules.step))
        }
        for (side, sign) in [(Side.buy, Int64(-1)), (.sell, 1)] {
            let best = middle + sign * rules.tick
            quotes.append(Quote(side: side, price: best, quantity: quantity(side, best)))
            var price = sign < 0 ? down(best - 1, to: grid) : down(best, to: grid) + grid
            for _ in 1..<levels {
                guard price > rules.minPrice else { break }
                quotes.append(Quote(side: side, price: price, quantity: quantity(side, price)))
                price += sign * grid
            }
        }
        return quotes
    }

    /// What the house takes at a step, if anything: side and quantity.
    func taking(_ step: Int64) -> (side: Side, quantity: Int64)? {
        var random = SeededGenerator(seed: mixed(seed, "taker", step))
        guard random.below(100) < 45 else { return nil }
        let side: Side = random.below(2) == 0 ? .buy : .sell
        let part = Int64(1 + random.below(random.below(10) == 0 ? 200 : 30))
        return (side, max(rules.step, down(rules.typicalQuantity / 100 * part, to: rules.step)))
    }

    // MARK: the house at work

    /// One step: the quotes move, then the house may take.
    func houseStep(_ time: Int64, number: Int64, liquidity: Int64, makers: some MakerSide) {
        guard houseIsOpen else { return }
        let ladder = ladder(time)
        for side in [Side.buy, .sell] {
            let wanted = Set(ladder.lazy.filter { $0.side == side }.map(\.price))
            for price in book.quoted(side) where !wanted.contains(price) { book.quote(side, price: price, quantity: 0) }
        }
        for quote in ladder {
            var quantity = quote.quantity
            if liquidity != one { quantity = max(rules.step, down(Int64(clamping: share(Int128(quantity), liquidity)), to: rules.step)) }
            if let opposite = book.next(quote.side.opposite), quote.side == .buy ? opposite.price <= quote.price : opposite.price >= quote.price {
                quantity -= takeAsHouse(quote.side, quantity, limit: quote.price, time, makers)
            }
            book.quote(quote.side, price: quote.price, quantity: quantity)
        }
        if let (side, quantity) = taking(number) { takeAsHouse(side, quantity, limit: nil, time, makers) }
    }

    /// The house takes what is there; returns how much it got.
    @discardableResult
    private func takeAsHouse(_ side: Side, _ quantity: Int64, limit: Int64?, _ time: Int64, _ makers: some MakerSide) -> Int64 {
        var left = quantity
        let taker = -tape.lastID
        while left > 0, let (price, entry) = book.next(side.opposite) {
            if let limit, side == .buy ? price > limit : price < limit { break }
            var part = min(left, entry.quantity)
            if entry.order != 0 {
                part = makers.most(entry.order, part)
                // It may trade no more and is off the book.
                if part <= 0 { continue }
            }
            book.fill(side.opposite, part)
            let trade = record(price: price, quantity: part, time: time, buyerIsMaker: side == .sell, taker: taker)
            if entry.order != 0 { makers.filled(entry.order, self, trade, taker: side) }
            left -= part
        }
        return quantity - left
    }

    func record(price: Int64, quantity: Int64, time: Int64, buyerIsMaker: Bool, taker: Int64) -> Trade {
        let trade = tape.add(price: price, quantity: quantity, time: time, buyerIsMaker: buyerIsMaker, taker: taker)
        candles.take(trade)
        return trade
    }

    /// Volume-weighted over the last minutes; the last price where nothing traded.
    func average(_ now: Int64, minutes: Int64 = 5) -> Int64 {
        var volume: Int128 = 0
        var quote: Int128 = 0
        for bar in candles.minutes.from(now - minutes * Interval.minute, to: now + 1) {
            volume += bar.volume
            quote += bar.quote
        }
        guard volume > 0, let price = Int64(exactly: quote * Int128(one) / volume), price > 0 else { return last(now) }
        return price
    }
}
