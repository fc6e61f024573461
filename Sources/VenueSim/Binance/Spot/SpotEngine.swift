import PluginKit

/// The spot exchange without its wire: orders, matching, money. Deterministic: time and requests come in, events go out.
final class SpotEngine: MakerSide {
    /// Milliseconds.
    var now: Int64
    let seed: UInt64
    private(set) var listings: [String: Listing] = [:]
    let names: [String]
    var accounts: [Account]
    /// An event for the owner of an account.
    var emit: (_ account: Int, _ event: Out) -> Void = { _, _ in }
    /// An order of an account got its first fill: it no longer counts against the order limit.
    var filledFirst: (_ account: Int) -> Void = { _ in }

    var orders: [Int64: SpotOrder] = [:]
    var lists: [Int64: OrderList] = [:]
    var fills: [Int: [SpotFill]] = [:]
    /// The latest order of each client id, by account and symbol.
    var byClient: [String: Int64] = [:]
    var open: Set<Int64> = []
    /// Conditional orders that wait, by symbol, in the order of arrival.
    var waiting: [String: [Int64]] = [:]
    var nextOrder: Int64 = 1
    var nextList: Int64 = 1
    var nextExecution: Int64 = 1
    var nextPrevented: Int64 = 1
    /// What went to and from the house since the start, and what was taken as fees.
    var house: [String: Int128] = [:]
    var fees: [String: Int128] = [:]
    /// In 1e-8: what part of its usual quantity the house quotes.
    var liquidity: Int64 = one
    /// What becomes of orders while a check directs the exchange.
    var script = CheckScenario.Orders.market
    private var touchedAssets: [Int: Set<String>] = [:]

    init(seed: UInt64, now: Int64, accounts: [Account], symbols: [SymbolRules] = SymbolRules.spot, past: Past = Past()) {
        self.seed = seed
        self.now = now
        self.accounts = accounts
        names = symbols.map(\.name)
        for rules in symbols { listings[rules.name] = Listing(rules, seed: mixed(seed, "spot", 0), now: now, past: past) }
    }

    func listing(_ name: String) throws(Refusal) -> Listing {
        guard let found = listings[name] else { throw .badSymbol }
        return found
    }

    // MARK: the house

    /// One step of the market: the house moves its quotes, then may take.
    func step(_ time: Int64, number: Int64) {
        now = time
        for name in names {
            guard let listing = listings[name], listing.status == "TRADING" else { continue }
            listing.candles.reach(time)
            listing.houseStep(time, number: number, liquidity: liquidity, makers: self)
            checkStops(listing)
        }
        tellBalances()
    }

    func most(_ order: Int64, _ quantity: Int64) -> Int64 { quantity }

    func filled(_ order: Int64, _ listing: Listing, _ trade: Trade, taker: Side) {
        guard let maker = orders[order] else { return }
        settle(maker, listing, trade, isMaker: true)
        payHouse(listing.rules, taker, trade.price, trade.quantity)
    }

    /// The house traded on `side` against a user.
    func payHouse(_ rules: SymbolRules, _ side: Side, _ price: Int64, _ quantity: Int64) {
        let sign: Int128 = side == .buy ? 1 : -1
        house[rules.base, default: 0] += sign * Int128(quantity)
        house[rules.quote, default: 0] -= sign * money(price, quantity)
    }

    // MARK: matching

    /// Executes an order as taker: at `limit` or better, or at any price.
    func execute(_ order: SpotOrder, _ listing: Listing, limit: Int64?) {
        while order.status.isOpen, order.remaining > 0 || order.quoteQuantity > 0, let (price, entry) = listing.book.next(order.side.opposite) {
            if let limit, order.side == .buy ? price > limit : price < limit { break }
            if entry.order != 0, let maker = orders[entry.order], maker.account == order.account {
                if prevent(order, maker, listing) { continue } else { break }
            }
            var quantity = entry.quantity
            if order.quoteQuantity > 0 {
                quantity = min(quantity, lots(order.quoteQuantity - order.quote, at: price, step: listing.rules.step))
            } else {
                quantity = min(quantity, order.remaining)
            }
            guard quantity > 0 else { break }
            listing.book.fill(order.side.opposite, quantity)
            let trade = listing.record(price: price, quantity: quantity, time: now, buyerIsMaker: order.side == .sell, taker: order.id)
            settle(order, listing, trade, isMaker: false)
            if let maker = orders[entry.order] { settle(maker, listing, trade, isMaker: true) } else { payHouse(listing.rules, order.side.opposite, price, quantity) }
        }
    }

    /// An order by money is done when what is left of it buys no further lot.
    private func isDone(_ order: SpotOrder, _ listing: Listing) -> Bool {
        guard order.quoteQuantity > 0 else { return order.remaining == 0 }
        guard let next = listing.book.next(order.side.opposite) else { return false }
        return lots(order.quoteQuantity - order.quote, at: next.price, step: listing.rules.step) == 0
    }

    /// Two orders of one account meet. true: the maker is gone and matching goes on.
    private func prevent(_ taker: SpotOrder, _ maker: SpotOrder, _ listing: Listing) -> Bool {
        let match = nextPrevented
        nextPrevented += 1
        let takerEnds = taker.selfTrade != .expireMaker
        let makerEnds = taker.selfTrade != .expireTaker
        if makerEnds {
            maker.preventedMatch = match
            end(maker, .expiredInMatch, "EXPIRED")
        }
        if takerEnds {
            taker.preventedMatch = match
            taker.status = .expiredInMatch
        }
        return makerEnds && !takerEnds
    }

    /// Books one trade for one of its two orders: money, fee, events.
    func settle(_ order: SpotOrder, _ listing: Listing, _ trade: Trade, isMaker: Bool) {
        let rules = listing.rules
        let account = accounts[order.account]
        let worth = money(trade.price, trade.quantity)
        let received = order.side == .buy ? rules.base : rules.quote
        let gross = order.side == .buy ? Int128(trade.quantity) : worth
        let commission = share(gross, isMaker ? account.makerRate : account.takerRate)
        let given = order.side == .buy ? rules.quote : rules.base
        let paid = order.side == .buy ? worth : Int128(trade.quantity)
        account.change(given, locked: -paid)
        order.locked -= paid
        account.change(received, free: gross - commission)
        fees[received, default: 0] += commission
        if order.executed == 0, order.isCounted {
            order.isCounted = false
            filledFirst(order.account)
        }
        order.executed += trade.quantity
        if order.quoteQuantity > 0 { order.quantity = max(order.quantity, order.executed) }
        order.quote += worth
        order.updated = now
        let isWhole = isDone(order, listing)
        order.status = isWhole ? .filled : .partly
        // A better price than the limit gives back the difference at once.
        if order.side == .buy, order.type.hasPrice {
            let needed = money(order.price, order.remaining)
            if order.locked > needed { unlock(order, rules, order.locked - needed) }
        }
        let fill = SpotFill(
            trade: trade.id, order: order.id, list: order.list, price: trade.price, quantity: trade.quantity, quote: worth, commission: commission, asset: received,
            time: now, isBuyer: order.side == .buy, isMaker: isMaker)
        fills[order.account, default: []].append(fill)
        touch(order.account, rules.base, rules.quote)
        account.spotUpdated = now
        if isWhole { close(order) }
        emit(order.account, report(order, "TRADE", fill: fill))
        if order.list >= 0 { listMoved(order, isDone: isWhole) }
    }

    func unlock(_ order: SpotOrder, _ rules: SymbolRules, _ amount: Int128) {
        guard amount != 0 else { return }
        accounts[order.account].change(order.side == .buy ? rules.quote : rules.base, free: amount, locked: -amount)
        order.locked -= amount
        touch(order.account, order.side == .buy ? rules.quote : rules.base)
    }

    func touch(_ account: Int, _ assets: String...) { touchedAssets[account, default: []].formUnion(assets) }

    /// Sends each account whose balances changed what they are now.
    func tellBalances() {
        guard !touchedAssets.isEmpty else { return }
        for (number, assets) in touchedAssets.sorted(by: { $0.key < $1.key }) { emit(number, position(accounts[number], assets.sorted())) }
        touchedAssets = [:]
    }

    /// The order is over: off the book, out of the open ones, money back.
    func close(_ order: SpotOrder) {
        guard let listing = listings[order.symbol] else { return }
        open.remove(order.id)
        waiting[order.symbol]?.removeAll { $0 == order.id }
        unlock(order, listing.rules, order.locked)
        order.updated = now
    }

    /// Ends an order that is open, on the book or waiting, and says so.
    func end(_ order: SpotOrder, _ status: OrderStatus, _ execution: String, cancelID: String? = nil, reason: String? = nil) {
        guard let listing = listings[order.symbol] else { return }
        if order.isTriggered, order.isWorking { listing.book.remove(order.side, price: order.price, order: order.id) }
        order.status = status
        order.expiry = reason
        close(order)
        emit(order.account, report(order, execution, cancelID: cancelID))
        if order.list >= 0 { listMoved(order, isDone: true) }
    }

    // MARK: conditional orders

    /// Starts every waiting order whose price the last trade reached, in the order of arrival, until nothing more is reached.
    func checkStops(_ listing: Listing) {
        while let last = listing.tape.last?.price, let id = (waiting[listing.rules.name] ?? []).first(where: { orders[$0].map { reached($0, last) } ?? false }),
            let order = orders[id]
        {
            trigger(order, listing)
        }
    }

    /// Whether a conditional order's price is reached: a stop waits for the market to move against, a take-profit for it to move with.
    func reached(_ order: SpotOrder, _ last: Int64) -> Bool {
        let waitsForRise = order.type.isStop == (order.side == .buy)
        return waitsForRise ? last >= order.stopPrice : last <= order.stopPrice
    }

    private func trigger(_ order: SpotOrder, _ listing: Listing) {
        waiting[order.symbol]?.removeAll { $0 == order.id }
        order.isTriggered = true
        order.workingTime = now
        order.updated = now
        if order.list >= 0 { listTriggered(order) }
        emit(order.account, report(order, "NEW"))
        work(order, listing)
    }

    /// Lets an order meet the book: what is left rests, expires, or was filled.
    func work(_ order: SpotOrder, _ listing: Listing) {
        order.workingTime = now
        if case .fill(let parts) = script { return fillOutside(order, parts: parts) }
        if script == .rest { return }
        if order.timeInForce == .fok, order.type.hasPrice {
            let there = listing.book.estimate(order.side, quantity: order.remaining, limit: order.price).quantity
            if there < order.remaining { return end(order, .expired, "EXPIRED", reason: "UNFILLED_FOK_ORDER_EXPIRED") }
        }
        execute(order, listing, limit: order.type.hasPrice ? order.price : nil)
        guard order.status.isOpen || order.status == .expiredInMatch else { return }
        if order.status == .expiredInMatch {
            close(order)
            emit(order.account, report(order, "EXPIRED"))
            if order.list >= 0 { listMoved(order, isDone: true) }
        } else if !order.type.hasPrice || order.timeInForce != .gtc {
            let reason = order.type.hasPrice ? "UNFILLED_IOC_QUANTITY_EXPIRED" : "INSUFFICIENT_LIQUIDITY"
            order.status = .expired
            order.expiry = reason
            close(order)
            emit(order.account, report(order, "EXPIRED"))
            if order.list >= 0 { listMoved(order, isDone: true) }
        } else {
            listing.book.rest(order.side, price: order.price, order: order.id, quantity: order.remaining)
        }
    }
}
