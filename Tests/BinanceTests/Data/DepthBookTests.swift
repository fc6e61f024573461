import PluginAPI
import PluginKit
import Testing

@testable import BinanceConnector

private func level(_ price: Int64, _ quantity: Int64) -> keel_level { keel_level(price: price, qty: quantity) }
private func change(_ first: Int64, _ last: Int64, previous: Int64 = -1, bids: [keel_level] = [], asks: [keel_level] = []) -> DepthSync.Change {
    DepthSync.Change(
        message: DepthMessage(symbol: key, eventTime: 1, firstID: first, lastID: last, previousID: previous), bids: bids, asks: asks)
}
private let key = symbolKey("BTCUSDT")

private func same(_ a: [keel_level], _ b: [keel_level]) -> Bool { a.elementsEqual(b) { $0.price == $1.price && $0.qty == $1.qty } }

/// A venue's book and the updates it sends: the truth to compare with.
private struct TrueBook {
    var book = DepthBook()
    var id: Int64 = 1_000
    var sent: Int64 = 1_000
    var random: SeededGenerator
    let product: Product

    init(_ product: Product, seed: UInt64) {
        self.product = product
        random = SeededGenerator(seed: seed)
        book.replace((0..<20).map { level(9_999 - $0, 10) }, (0..<20).map { level(10_001 + $0, 10) })
    }

    /// Some changes, as one message.
    mutating func step() -> DepthSync.Change {
        let first = id + 1
        var bids: [keel_level] = []
        var asks: [keel_level] = []
        for _ in 0...random.below(4) {
            let quantity = random.chance(0.3) ? 0 : Int64(random.below(100)) + 1
            if random.chance(0.5) { bids.append(level(9_999 - Int64(random.below(40)), quantity)) } else { asks.append(level(10_001 + Int64(random.below(40)), quantity)) }
        }
        book.apply(bids, asks)
        id += 1 + Int64(random.below(5))
        defer {
            sent = id
            // Futures leave ids out.
            if product == .futures { id += Int64(random.below(7)) }
        }
        return change(first, id, previous: product == .futures ? sent : -1, bids: bids, asks: asks)
    }

    var snapshot: DepthSnapshot { DepthSnapshot(lastID: sent, bids: book.bids, asks: book.asks) }
}

@Suite struct DepthBookTests {
    @Test func levelsAreKeptInOrder() {
        var book = DepthBook()
        book.replace([level(5, 1), level(9, 1), level(7, 1)], [level(12, 1), level(10, 1)])
        #expect(book.bids.map(\.price) == [9, 7, 5])
        #expect(book.asks.map(\.price) == [10, 12])
        book.apply([level(7, 0), level(8, 3), level(1, 0)], [level(10, 4)])
        #expect(book.bids.map(\.price) == [9, 8, 5])
        #expect(book.asks.map(\.qty) == [4, 1])
        #expect(!book.isCrossed)
        book.apply([level(10, 1)], [])
        #expect(book.isCrossed)
    }

    /// The steps of the venue's own description, spot.
    @Test func spotJoinsAtTheSnapshot() {
        var sync = DepthSync(.spot)
        #expect(sync.take(change(150, 155), from: 1) == .waiting(ask: true))
        #expect(sync.take(change(156, 160, bids: [level(9, 2)]), from: 1) == .waiting(ask: false))
        #expect(sync.join(DepthSnapshot(lastID: 140, bids: [], asks: []), connection: 1) == .tooOld)
        #expect(sync.join(DepthSnapshot(lastID: 157, bids: [level(9, 1)], asks: []), connection: 1) == .live)
        #expect(sync.book.bids.first?.qty == 2)
        #expect(sync.lastID == 160)
        #expect(sync.take(change(150, 158), from: 1) == .old)
        #expect(sync.take(change(161, 161), from: 1) == .applied)
        guard case .broken = sync.take(change(163, 164), from: 1) else {
            Issue.record("a hole was not noticed")
            return
        }
        #expect(!sync.isLive)
        #expect(sync.join(DepthSnapshot(lastID: 164, bids: [], asks: []), connection: 1) == .live)
        // An update that the snapshot cuts in two is the first one.
        #expect(sync.take(change(163, 166), from: 1) == .applied)
        #expect(sync.take(change(167, 167), from: 1) == .applied)
    }

    /// Futures: ids have holes, and each update names the one before it.
    @Test func futuresFollowThePreviousID() {
        var sync = DepthSync(.futures)
        _ = sync.take(change(157, 160, previous: 149), from: 1)
        _ = sync.take(change(170, 180, previous: 160), from: 1)
        #expect(sync.join(DepthSnapshot(lastID: 158, bids: [], asks: []), connection: 1) == .live)
        #expect(sync.lastID == 180)
        #expect(sync.take(change(200, 210, previous: 180), from: 1) == .applied)
        // Spot's rule would take this one.
        guard case .broken = sync.take(change(211, 215, previous: 209), from: 1) else {
            Issue.record("a hole was not noticed")
            return
        }
    }

    @Test func aCrossedBookIsFetchedAnew() {
        var sync = DepthSync(.spot)
        _ = sync.take(change(1, 1), from: 1)
        #expect(sync.join(DepthSnapshot(lastID: 1, bids: [level(9, 1)], asks: [level(10, 1)]), connection: 1) == .live)
        guard case .broken = sync.take(change(2, 2, bids: [level(11, 1)]), from: 1) else {
            Issue.record("a crossed book was kept")
            return
        }
    }

    /// Two connections cut their updates differently; the second takes over where it joins on.
    @Test func anotherConnectionTakesOver() {
        var sync = DepthSync(.spot)
        _ = sync.take(change(1, 10), from: 1)
        _ = sync.join(DepthSnapshot(lastID: 10, bids: [], asks: []), connection: 1)
        #expect(sync.take(change(15, 18), from: 2) == .old)
        #expect(sync.take(change(11, 14), from: 1) == .applied)
        #expect(sync.take(change(12, 18), from: 2) == .applied)
        #expect(sync.owner == 2)
        #expect(sync.take(change(15, 17), from: 1) == .old)
        #expect(sync.take(change(19, 20), from: 2) == .applied)
    }

    /// Lost, doubled and late snapshots: whenever the book is live it is the venue's.
    @Test(arguments: [Product.spot, .futures], [UInt64(1), 2, 3, 4]) func theBookIsTheVenuesOrIsNotLive(_ product: Product, _ seed: UInt64) {
        var truth = TrueBook(product, seed: seed)
        var random = SeededGenerator(seed: seed &+ 99)
        var sync = DepthSync(product)
        var pending: (snapshot: DepthSnapshot, in: Int)?
        var live = 0
        var broken = 0
        for _ in 0..<4_000 {
            let update = truth.step()
            if !random.chance(0.01) {
                switch sync.take(update, from: 1) {
                case .waiting(ask: true): pending = (truth.snapshot, Int(random.below(6)))
                case .broken:
                    broken += 1
                    pending = (truth.snapshot, Int(random.below(6)))
                default: break
                }
                if random.chance(0.05) { #expect(sync.take(update, from: 1) != .applied) }
            }
            if let waiting = pending {
                pending = waiting.in == 0 ? nil : (waiting.snapshot, waiting.in - 1)
                if waiting.in == 0, !sync.isLive, sync.join(waiting.snapshot, connection: 1) != .live { pending = (truth.snapshot, Int(random.below(6))) }
            }
            if sync.isLive, sync.lastID == truth.sent {
                live += 1
                #expect(same(sync.book.bids, truth.book.bids) && same(sync.book.asks, truth.book.asks), "\(product), seed \(seed)")
            }
        }
        #expect(live > 3_000)
        #expect(broken > 10)
    }
}
