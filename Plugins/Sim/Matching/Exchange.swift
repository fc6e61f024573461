import PluginAPI
import PluginKit

/// The venue itself: orders in, market in, reports out. No clock, no files, no host; the same inputs give the same reports.
struct Exchange: ~Copyable {
    let rules: Rules
    private(set) var markets: [UnsafeMutablePointer<Market>] = []
    var assets: [Asset] = []
    var orders: [VenueOrder] = []
    private var free: [Int32] = []
    /// Working and travelling orders by slot.
    private(set) var index = OrderIndex()
    /// Every other order there ever was.
    private(set) var finished = OrderIDSet()
    /// Orders and cancels on their way, in the order they were sent.
    private var travelling: [Traveller] = []
    private var travelled = 0
    private(set) var reports: [Report] = []
    var chance: Chance
    var orderNumber: UInt64 = 0
    var fillNumber: UInt64 = 0
    /// Working and travelling orders: while it's zero, a tick changes nothing but prices.
    private(set) var busy = 0
    /// Levels beyond the best, for markets whose feed gives depth.
    private var books: [Int: Book] = [:]

    private struct Traveller {
        var due: Int64
        /// The order's slot; -1 for a cancel.
        var slot: Int32
        var id: OrderID
        var request: UInt64
    }

    init(rules: Rules, seed: UInt64) {
        self.rules = rules
        chance = Chance(state: seed)
        reports.reserveCapacity(64)
        orders.reserveCapacity(256)
    }

    deinit {
        for market in markets { market.deallocate() }
    }

    // MARK: markets

    mutating func addMarket(_ market: Market) -> Int {
        let place = UnsafeMutablePointer<Market>.allocate(capacity: 1)
        place.initialize(to: market)
        markets.append(place)
        return markets.count - 1
    }

    /// The wallet's place for an asset, made with `start` if it's new.
    mutating func asset(_ name: String, start: Int128) -> Int {
        if let known = assets.firstIndex(where: { $0.name == name }) { return known }
        assets.append(Asset(name: name, total: start))
        return assets.count - 1
    }

    // MARK: orders in

    /// Takes an order that fits the grid. It arrives after the latency; false if its id was used before.
    mutating func submit(_ order: Order, market: Int, request: UInt64, now: Int64) -> Bool {
        let slot: Int32 = free.last ?? Int32(truncatingIfNeeded: orders.count)
        guard !finished.contains(order.id), index.insert(order.id, slot: Int(slot)) else { return false }
        orderNumber += 1
        let taken = VenueOrder(order, number: orderNumber, market: market, request: request)
        if free.isEmpty {
            orders.append(taken)
        } else {
            free.removeLast()
            orders[Int(slot)] = taken
        }
        busy += 1
        if rules.latency == 0 {
            arrive(slot, now)
        } else {
            orders[Int(slot)].arrived = now &+ rules.latency
            travelling.append(Traveller(due: now &+ rules.latency, slot: slot, id: order.id, request: request))
        }
        return true
    }

    mutating func cancel(_ id: OrderID, request: UInt64, now: Int64) {
        if rules.latency == 0 {
            arriveCancel(id, request, now)
        } else {
            travelling.append(Traveller(due: now &+ rules.latency, slot: -1, id: id, request: request))
            busy += 1
        }
    }

    /// When the next order or cancel arrives; nil if none is on its way.
    var nextArrival: Int64? { travelled < travelling.count ? travelling[travelled].due : nil }

    /// Lets everything arrive that is due.
    mutating func advance(to time: Int64) {
        while travelled < travelling.count, travelling[travelled].due <= time {
            let traveller = travelling[travelled]
            travelled += 1
            if travelled == travelling.count {
                travelling.removeAll(keepingCapacity: true)
                travelled = 0
            }
            if traveller.slot >= 0 {
                arrive(traveller.slot, traveller.due)
            } else {
                busy -= 1
                arriveCancel(traveller.id, traveller.request, traveller.due)
            }
        }
    }

    private mutating func arriveCancel(_ id: OrderID, _ request: UInt64, _ time: Int64) {
        guard let slot = index.slot(of: id), orders[slot].state == .working else {
            let late = finished.contains(id)
            var nobody = VenueOrder(Order(id: id, side: .buy, features: .market, instrument: 0, quantity: .zero), number: 0, market: 0, request: 0)
            nobody.state = late ? .canceled : .rejected
            reports.append(
                Report(
                    kind: late ? .cancelLate : .cancelUnknown, reason: late ? .alreadyOver : .unknownOrder, order: nobody, request: request, time: time))
            return
        }
        end(slot, .canceled, .none, time)
        var report = reports[reports.count - 1]
        report.kind = .cancelDone
        report.request = request
        reports.append(report)
    }

    /// The order reaches the venue: it is refused, or accepted and matched against what is there.
    private mutating func arrive(_ slot32: Int32, _ time: Int64) {
        let slot = Int(slot32)
        orders[slot].arrived = time
        let market = markets[Int(orders[slot].market)]
        if let reason = refusal(slot, market) { return reject(slot, reason, time) }
        orders[slot].state = .working
        orders[slot].previous = market.pointee.final
        orders[slot].next = -1
        if market.pointee.final >= 0 { orders[Int(market.pointee.final)].next = slot32 } else { market.pointee.first = slot32 }
        market.pointee.final = slot32
        market.pointee.working += 1
        reports.append(Report(kind: .accepted, order: orders[slot], request: orders[slot].request, time: time))
        if rules.fill != .nextOpen { meetArrival(slot, market, time) }
        tidy(market, time)
    }

    private mutating func refusal(_ slot: Int, _ market: UnsafeMutablePointer<Market>) -> Reason? {
        if chance.happens(rules.rejectChance) { return .simulated }
        let order = orders[slot]
        if order.isReduceOnly {
            if market.pointee.position == 0 { return .nothingToReduce }
            if (market.pointee.position > 0) == (order.side == .buy) { return .reduceOnly }
        }
        if order.features.contains(.postOnly), rules.fill != .nextOpen, order.features.contains(.limit), crosses(order, market) { return .postOnly }
        if rules.borrow || order.isReduceOnly { return nil }
        let price = order.limit > 0 ? order.limit : order.trigger > 0 ? order.trigger : market.pointee.executable(order.side)
        let worth = Exchange.worth(price, order.quantity, market)
        if market.pointee.isDerivative {
            // What the position would be at most, against what the equity may carry.
            let (after, over) = (order.side == .buy ? market.pointee.position : -market.pointee.position).addingReportingOverflow(Int128(order.quantity))
            guard !over, price > 0 else { return over ? .overflow : nil }
            guard after > 0, let exposed = scaled(after, Int128(price), by: 100_000_000),
                let sized = scaled(exposed, Int128(market.pointee.grid.multiplier), by: 100_000_000),
                let carried = scaled(max(equity(market.pointee.quote), 0), Int128(rules.leverage.raw), by: 100_000_000)
            else { return after > 0 ? .overflow : nil }
            return sized > carried ? .margin : nil
        }
        let need = order.side == .buy ? rounded(worth, by: 100_000_000) + max(rules.fee(worth, maker: false), 0) : Int128(order.quantity)
        let asset = order.side == .buy ? market.pointee.quote : market.pointee.base
        guard assets[asset].total - assets[asset].reserved >= need else { return .balance }
        orders[slot].reserved = need
        assets[asset].reserved += need
        return nil
    }

    /// Whether a limit order would trade at once.
    private func crosses(_ order: VenueOrder, _ market: UnsafeMutablePointer<Market>) -> Bool {
        let price = rules.fill == .book && market.pointee.bid > 0
            ? (order.side == .buy ? market.pointee.ask : market.pointee.bid) : market.pointee.executable(order.side)
        guard price > 0 else { return false }
        return order.side == .buy ? price <= order.limit : price >= order.limit
    }

    /// Price times quantity times multiplier, sixteen decimals.
    @inline(__always)
    static func worth(_ price: Int64, _ quantity: Int64, _ market: UnsafeMutablePointer<Market>) -> Int128 {
        let product = Int128(price) * Int128(quantity)
        let multiplier = market.pointee.grid.multiplier
        if multiplier == Fixed.scale { return product }
        return scaled(product, Int128(multiplier), by: 100_000_000) ?? .max / 4
    }

    /// Cash of an asset and the open profit of everything priced in it.
    func equity(_ asset: Int) -> Int128 {
        var sum = assets[asset].total
        for market in markets where market.pointee.quote == asset {
            let here = market.pointee
            if here.position == 0 { continue }
            let price = here.last > 0 ? here.last : here.entry
            let size = Int128(truncatingIfNeeded: here.position.magnitude)
            guard var value = scaled(size, Int128(price), by: 100_000_000) else { continue }
            if here.grid.multiplier != Fixed.scale { value = scaled(value, Int128(here.grid.multiplier), by: 100_000_000) ?? value }
            if here.position < 0 { value = -value }
            // A derivative is worth its open profit, a thing held its price.
            if here.isDerivative {
                var spent = rounded(here.cost, by: 100_000_000)
                if here.grid.multiplier != Fixed.scale { spent = scaled(spent, Int128(here.grid.multiplier), by: 100_000_000) ?? spent }
                value -= here.position < 0 ? -spent : spent
            }
            sum += value
        }
        return sum
    }

    // MARK: what there is

    /// Every order that isn't over, in the order of its slot.
    var live: [VenueOrder] { orders.filter { !$0.isTerminal } }

    /// Requests whose answer is still on its way.
    var waitingRequests: [UInt64] { travelling[travelled...].map(\.request) }

    /// Best levels of a market with depth.
    func best(_ place: Int) -> (bid: keel_level, ask: keel_level) {
        let none = keel_level(price: 0, qty: 0)
        return (books[place]?.bestBid ?? none, books[place]?.bestAsk ?? none)
    }

    /// Takes over orders that were here before, working or on their way, and the ids of those that are over.
    mutating func restore(_ known: [VenueOrder], ids: Set<OrderID>, numbers: Batch) throws {
        orderNumber = numbers.orderNumber
        fillNumber = numbers.fillNumber
        chance.state = numbers.chance
        for id in ids { finished.insert(id) }
        for saved in known {
            if saved.isTerminal {
                finished.insert(saved.id)
                continue
            }
            let slot = Int32(truncatingIfNeeded: orders.count)
            guard index.insert(saved.id, slot: Int(slot)) else { throw PluginError.invalid("order \(saved.id) stands in the state twice") }
            var order = saved
            order.previous = -1
            order.next = -1
            orders.append(order)
            busy += 1
            if order.state == .travelling {
                travelling.append(Traveller(due: order.arrived, slot: slot, id: order.id, request: 0))
                continue
            }
            let market = markets[Int(order.market)]
            orders[Int(slot)].previous = market.pointee.final
            if market.pointee.final >= 0 { orders[Int(market.pointee.final)].next = slot } else { market.pointee.first = slot }
            market.pointee.final = slot
            market.pointee.working += 1
        }
    }

    // MARK: reports out

    mutating func report(_ report: Report) { reports.append(report) }

    mutating func clearReports() { reports.removeAll(keepingCapacity: true) }

    // MARK: ends of orders

    private mutating func reject(_ slot: Int, _ reason: Reason, _ time: Int64) {
        orders[slot].state = .rejected
        reports.append(Report(kind: .rejected, reason: reason, order: orders[slot], request: orders[slot].request, time: time))
        release(slot)
    }

    /// Takes a working order out of the book.
    mutating func end(_ slot: Int, _ state: VenueOrder.State, _ reason: Reason, _ time: Int64) {
        let market = markets[Int(orders[slot].market)]
        let (previous, next) = (orders[slot].previous, orders[slot].next)
        if previous >= 0 { orders[Int(previous)].next = next } else { market.pointee.first = next }
        if next >= 0 { orders[Int(next)].previous = previous } else { market.pointee.final = previous }
        market.pointee.working -= 1
        orders[slot].state = state
        if orders[slot].reserved > 0 {
            assets[orders[slot].side == .buy ? market.pointee.quote : market.pointee.base].reserved -= orders[slot].reserved
            orders[slot].reserved = 0
        }
        if state == .canceled || state == .expired {
            reports.append(Report(kind: state == .canceled ? .canceled : .expired, reason: reason, order: orders[slot], time: time))
        }
        release(slot)
    }

    private mutating func release(_ slot: Int) {
        index.remove(orders[slot].id)
        finished.insert(orders[slot].id)
        free.append(Int32(truncatingIfNeeded: slot))
        busy -= 1
    }

    /// Ends what can't go on: reduce-only orders without a position, and orders that were to trade at once or not at all.
    mutating func tidy(_ market: UnsafeMutablePointer<Market>, _ time: Int64) {
        guard market.pointee.shrank else { return }
        market.pointee.shrank = false
        var next = market.pointee.first
        while next >= 0 {
            let slot = Int(next)
            next = orders[slot].next
            guard orders[slot].isReduceOnly else { continue }
            if market.pointee.position == 0 || (market.pointee.position > 0) == (orders[slot].side == .buy) {
                end(slot, .expired, .nothingToReduce, time)
            }
        }
    }

    // MARK: depth

    mutating func setDepth(_ place: Int, bids: FlatList<keel_level>, asks: FlatList<keel_level>, whole: Bool) {
        books[place, default: Book()].apply(bids: bids, asks: asks, whole: whole)
    }

    /// Takes up to `wanted` from the other side down to `limit`; calls `trade` for each level. Without depth, the quote is the book.
    mutating func sweep(
        _ place: Int, _ side: Side, wanted: Int64, limit: Int64, _ trade: (inout Exchange, _ price: Int64, _ quantity: Int64) -> Int64
    ) {
        let market = markets[place]
        var left = wanted
        let within: (Int64) -> Bool = { limit == 0 || (side == .buy ? $0 <= limit : $0 >= limit) }
        if var book = books[place] {
            while left > 0, let level = book.best(side), within(level.price) {
                let taken = trade(&self, level.price, min(level.qty, left))
                if taken <= 0 { break }
                left -= taken
                book.take(side, taken)
            }
            books[place] = book
            return
        }
        let price = side == .buy ? market.pointee.ask : market.pointee.bid
        let shown = side == .buy ? market.pointee.askQuantity : market.pointee.bidQuantity
        guard price > 0, shown > 0, within(price) else { return }
        let taken = trade(&self, price, min(shown, left))
        if side == .buy { market.pointee.askQuantity = shown - taken } else { market.pointee.bidQuantity = shown - taken }
    }

    /// What could be had at once down to `limit`.
    func available(_ place: Int, _ side: Side, limit: Int64) -> Int128 {
        if let book = books[place] { return book.available(side, limit: limit) }
        let market = markets[place].pointee
        let price = side == .buy ? market.ask : market.bid
        guard price > 0, limit == 0 || (side == .buy ? price <= limit : price >= limit) else { return 0 }
        return Int128(side == .buy ? market.askQuantity : market.bidQuantity)
    }

    /// The quantity shown at a price on our side.
    func shown(_ place: Int, _ side: Side, at price: Int64) -> Int64 {
        if let book = books[place] { return book.shown(side, at: price) }
        let market = markets[place].pointee
        if side == .buy { return market.bid == price ? market.bidQuantity : 0 }
        return market.ask == price ? market.askQuantity : 0
    }
}
