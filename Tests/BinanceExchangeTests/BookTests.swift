import PluginKit
import Testing

@testable import BinanceExchange

@Suite struct BookTests {
    /// The book as a plain list: best price first, then the order of arrival.
    struct PlainBook {
        struct Entry { var side: Side; var price: Int64; var order: Int64; var quantity: Int64; var arrival: Int }
        var entries: [Entry] = []
        var arrivals = 0

        mutating func rest(_ side: Side, _ price: Int64, _ order: Int64, _ quantity: Int64) {
            arrivals += 1
            entries.append(Entry(side: side, price: price, order: order, quantity: quantity, arrival: arrivals))
        }

        func next(_ side: Side) -> Int? {
            entries.indices.filter { entries[$0].side == side }.min { a, b in
                let (first, second) = (entries[a], entries[b])
                if first.price != second.price { return side == .buy ? first.price > second.price : first.price < second.price }
                return first.arrival < second.arrival
            }
        }
    }

    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64]) func itKeepsPriceAndTimePriority(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var book = Book()
        var plain = PlainBook()
        var next: Int64 = 1
        for step in 0..<1_500 {
            let side: Side = random.below(2) == 0 ? .buy : .sell
            switch random.below(6) {
            case 0, 1, 2:
                let price = (side == .buy ? 100 : 120) + Int64(random.below(15))
                let quantity = Int64(1 + random.below(50))
                book.rest(side, price: price, order: next, quantity: quantity)
                plain.rest(side, price, next, quantity)
                next += 1
            case 3:
                guard let place = plain.entries.indices.randomElement(using: &random) else { continue }
                let entry = plain.entries.remove(at: place)
                book.remove(entry.side, price: entry.price, order: entry.order)
            case 4:
                guard let place = plain.entries.indices.randomElement(using: &random) else { continue }
                let less = Int64(random.below(UInt64(plain.entries[place].quantity)))
                plain.entries[place].quantity = less
                let entry = plain.entries[place]
                if less == 0 { plain.entries.remove(at: place) }
                book.shrink(entry.side, price: entry.price, order: entry.order, to: less)
            default:
                guard let place = plain.next(side) else { continue }
                let part = Int64(1 + random.below(UInt64(plain.entries[place].quantity)))
                plain.entries[place].quantity -= part
                if plain.entries[place].quantity == 0 { plain.entries.remove(at: place) }
                book.fill(side, part)
            }
            for side in [Side.buy, .sell] {
                let expected = plain.next(side).map { plain.entries[$0] }
                let found = book.next(side)
                #expect(found?.price == expected?.price && found?.entry.order == expected?.order && found?.entry.quantity == expected?.quantity, "seed \(seed), step \(step), \(side)")
                let total = plain.entries.filter { $0.side == side }.reduce(0) { $0 + $1.quantity }
                #expect(book.levels(side).reduce(0) { $0 + $1.total } == total, "seed \(seed), step \(step)")
                let prices = book.depth(side, 100).map(\.price)
                #expect(prices == prices.sorted { side == .buy ? $0 > $1 : $0 < $1 }, "seed \(seed), step \(step)")
            }
        }
    }

    @Test func theHouseShrinksInPlaceAndGrowsAtTheEnd() {
        var book = Book()
        book.quote(.buy, price: 100, quantity: 50)
        book.rest(.buy, price: 100, order: 7, quantity: 5)
        book.quote(.buy, price: 100, quantity: 20)
        #expect(book.next(.buy)?.entry == Book.Entry(order: 0, quantity: 20))
        book.quote(.buy, price: 100, quantity: 60)
        #expect(book.next(.buy)?.entry == Book.Entry(order: 7, quantity: 5))
        book.quote(.buy, price: 100, quantity: 0)
        #expect(book.depth(.buy, 5).map(\.quantity) == [5])
        #expect(book.quoted(.buy).isEmpty)
    }

    @Test func anEstimateWalksTheLevels() {
        var book = Book()
        book.rest(.sell, price: 100 * one, order: 1, quantity: 2 * one)
        book.rest(.sell, price: 101 * one, order: 2, quantity: 2 * one)
        let whole = book.estimate(.buy, quantity: 3 * one, limit: nil)
        #expect(whole.quantity == 3 * one && whole.money == Int128(301 * one))
        #expect(book.estimate(.buy, quantity: 3 * one, limit: 100 * one).quantity == 2 * one)
        #expect(book.estimate(.buy, quantity: 9 * one, limit: nil).quantity == 4 * one)
    }

    @Test func everyChangeHasANumberOfItsOwn() {
        var book = Book()
        let first = book.updateID
        book.rest(.buy, price: 100, order: 1, quantity: 5)
        book.fill(.buy, 5)
        #expect(book.updateID == first + 2)
        #expect(book.touched == [Book.Place(side: .buy, price: 100)])
        #expect(book.quantity(Book.Place(side: .buy, price: 100)) == 0)
    }
}

@Suite struct MoneyTests {
    @Test func decimalsAreCutNotRounded() {
        #expect(decimalText(123_456_789 as Int64) == "1.23456789")
        #expect(decimalText(-123_456_789 as Int64, 2) == "-1.23")
        #expect(decimalText(-999 as Int64, 2) == "0.00")
        #expect(decimalText(9_999_999_900 as Int64, 0) == "99")
        #expect(decimalText(Int128(12_345_678_901_234_512_345_678), 8) == "123456789012345.12345678")
        #expect(shortText(fixed("0.00010000")) == "0.0001")
    }

    @Test func lotsNeverCostMoreThanThereIs() {
        var random = SeededGenerator(seed: 5)
        for _ in 0..<2_000 {
            let amount = Int128(random.below(10_000_000_000_000))
            let price = Int64(1 + random.below(10_000_000_000_000))
            let step = [Int64(1), 1_000, 100_000, 100_000_000][Int(random.below(4))]
            let quantity = lots(amount, at: price, step: step)
            #expect(Int128(quantity) * Int128(price) <= amount * Int128(one), "\(amount) at \(price)")
            #expect(Int128(quantity + step) * Int128(price) > amount * Int128(one), "\(amount) at \(price)")
        }
    }

    @Test func tickTimesStepIsAWholeNumberOfUnits() {
        for rules in SymbolRules.spot + SymbolRules.futures { #expect(rules.tick * rules.step % one == 0, "\(rules.name)") }
    }

    @Test func bracketsJoinWithoutASeam() {
        for rules in SymbolRules.futures {
            for (low, high) in zip(rules.brackets, rules.brackets.dropFirst()) {
                #expect(low.cap == high.floor)
                let at = Int128(low.cap) * Int128(one)
                #expect(share(at, low.ratio) - Int128(low.cum) == share(at, high.ratio) - Int128(high.cum), "\(rules.name) at \(low.cap)")
            }
        }
    }
}
