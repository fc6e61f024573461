import PluginKit

/// The USD-M futures exchange without its wire: orders, positions, margin, funding, liquidation. Deterministic: time and requests come in, events go out.
final class FuturesEngine: MakerSide {
    /// Milliseconds.
    var now: Int64
    let seed: UInt64
    private(set) var listings: [String: Listing] = [:]
    let names: [String]
    let accounts: [Account]
    var emit: (_ account: Int, _ event: Out) -> Void = { _, _ in }
    var liquidated: (_ symbol: String, _ event: Out) -> Void = { _, _ in }
    /// In 1e-8: what part of its usual quantity the house quotes.
    var liquidity: Int64 = one
    /// Order answers carry avgPrice and cumQuote, as they did before July 2026.
    var tellsAverage = false

    var orders: [Int64: FuturesOrder] = [:]
    var algos: [Int64: AlgoOrder] = [:]
    var fills: [Int: [FuturesFill]] = [:]
    var byClient: [String: Int64] = [:]
    var byAlgoClient: [String: Int64] = [:]
    var open: Set<Int64> = []
    var openAlgos: Set<Int64> = []
    var nextOrder: Int64 = 10_000_001
    var nextAlgo: Int64 = 2_000_001
    var nextIncome: Int64 = 1
    /// What the house paid and got, what it holds, what was taken as fees, and what the insurance fund gave.
    var houseCash: Int128 = 0
    var houseHolds: [String: Int64] = [:]
    var fees: Int128 = 0
    var funding: Int128 = 0
    var insurance: Int128 = 0
    var fundingRates: [String: [Int64: Int64]] = [:]
    /// What becomes of orders while a check directs the exchange.
    var script = CheckScenario.Orders.market
    /// Amounts that positions are said to have, whatever they are.
    var saidAmounts: [String: Int128] = [:]
    private var forcedRate: [String: Int64] = [:]
    private var lastFunding: Int64
    private var touched: [Int: Set<PositionKey>] = [:]

    static let fundingPeriod: Int64 = 8 * Interval.hour
    static let asset = "USDT"

    init(seed: UInt64, now: Int64, accounts: [Account], symbols: [SymbolRules] = SymbolRules.futures, past: Past = Past()) {
        self.seed = mixed(seed, "futures", 0)
        self.now = now
        self.accounts = accounts
        names = symbols.map(\.name)
        lastFunding = now / Self.fundingPeriod
        // The same walk as on spot, so that the two products tell of one market.
        for rules in symbols { listings[rules.name] = Listing(rules, seed: mixed(seed, "spot", 0), now: now, past: past) }
    }

    func listing(_ name: String) throws(Refusal) -> Listing {
        guard let found = listings[name] else { throw .badSymbol }
        return found
    }

    // MARK: prices

    /// Index price: what the house believes in.
    func index(_ listing: Listing, _ time: Int64) -> Int64 { listing.fair(time) }

    /// Mark price: the index with a small premium that moves with the minute. On whole hundredths, so that worth is exact.
    func mark(_ listing: Listing, _ time: Int64) -> Int64 {
        let index = listing.fair(time)
        let random = Int64(mixed(seed, listing.rules.name + "premium", time / 60_000) % 401) - 200
        return max(1_000_000, down(index + index / 1_000_000 * random, to: 1_000_000))
    }

    /// The rate of the settlement at a time, in 1e-8.
    func fundingRate(_ symbol: String, _ settlement: Int64) -> Int64 {
        if let told = fundingRates[symbol]?[settlement] { return told }
        if settlement > now, let forced = forcedRate[symbol] { return forced }
        return 10_000 + Int64(mixed(seed, symbol + "funding", settlement / Self.fundingPeriod) % 40_001) - 20_000
    }

    func setFunding(_ symbol: String?, _ rate: Int64) { for name in names where symbol == nil || symbol == name { forcedRate[name] = rate } }

    func nextFunding(_ time: Int64) -> Int64 { (time / Self.fundingPeriod + 1) * Self.fundingPeriod }

    // MARK: time

    func step(_ time: Int64, number: Int64) {
        now = time
        for name in names {
            guard let listing = listings[name], listing.status == "TRADING" else { continue }
            listing.candles.reach(time)
            listing.houseStep(time, number: number, liquidity: liquidity, makers: self)
            checkAlgos(listing)
        }
        settleFunding()
        checkTimers()
        checkLiquidations()
        tellAccounts("ORDER")
    }

    private func settleFunding() {
        let period = now / Self.fundingPeriod
        guard period > lastFunding else { return }
        lastFunding = period
        tellAccounts("ORDER")
        let settlement = period * Self.fundingPeriod
        for name in names {
            guard let listing = listings[name] else { continue }
            let rate = forcedRate[name] ?? fundingRate(name, settlement)
            fundingRates[name, default: [:]][settlement] = rate
            let mark = mark(listing, now)
            for account in accounts {
                for (key, position) in account.futures.positions.sorted(by: { $0.key.side.rawValue < $1.key.side.rawValue }) where key.symbol == name && position.amount != 0 {
                    let payment = -share(money(mark, position.amount), rate)
                    pay(account, payment, "FUNDING_FEE", name)
                    funding -= payment
                    if account.futures.isolated.contains(name) {
                        account.futures.positions[key]?.isolated += payment
                        touch(account.number, key)
                    } else {
                        touch(account.number, nil)
                    }
                    tellAccounts("FUNDING_FEE")
                }
            }
        }
    }

    /// Money into or out of a wallet, with its line in the income history.
    func pay(_ account: Account, _ amount: Int128, _ type: String, _ symbol: String, trade: Int64? = nil) {
        account.futures.wallet[Self.asset, default: 0] += amount
        account.futures.updated = now
        guard amount != 0 else { return }
        nextIncome += 1
        account.futures.income.append(Income(id: nextIncome, symbol: symbol, type: type, amount: amount, asset: Self.asset, time: now, trade: trade))
    }

    private func checkTimers() {
        for account in accounts {
            for (symbol, deadline) in account.futures.countdowns.sorted(by: { $0.key < $1.key }) where deadline <= now {
                account.futures.countdowns[symbol] = nil
                for order in openOrders(account.number, symbol) { end(order, .canceled, "CANCELED") }
            }
        }
        for id in open.sorted() { if let order = orders[id], order.timeInForce == .gtd, order.goodTill <= now { end(order, .expired, "EXPIRED") } }
        for id in openAlgos.sorted() { if let algo = algos[id], algo.timeInForce == .gtd, algo.goodTill <= now { endAlgo(algo, "EXPIRED") } }
    }

    func resumeFunding(at time: Int64) { lastFunding = time / Self.fundingPeriod }

    // MARK: accounts

    func touch(_ account: Int, _ key: PositionKey?) {
        touched[account, default: []].formUnion(key.map { [$0] } ?? [])
    }

    /// Sends each account that changed what it has now.
    func tellAccounts(_ reason: String) {
        guard !touched.isEmpty else { return }
        let all = touched
        touched = [:]
        for (number, keys) in all.sorted(by: { $0.key < $1.key }) {
            emit(number, accountUpdate(accounts[number], reason, keys.sorted { ($0.symbol, $0.side.rawValue) < ($1.symbol, $1.side.rawValue) }))
        }
    }

    func openOrders(_ account: Int, _ symbol: String? = nil) -> [FuturesOrder] {
        open.sorted().compactMap { orders[$0] }.filter { $0.account == account && (symbol == nil || $0.symbol == symbol) }
    }

    func position(_ account: Account, _ key: PositionKey) -> Position { account.futures.positions[key] ?? Position() }

    /// How much an order that may only reduce can still close.
    func closable(_ order: FuturesOrder) -> Int64 {
        let amount = position(accounts[order.account], PositionKey(symbol: order.symbol, side: order.positionSide)).amount
        return order.side == .sell ? max(0, amount) : max(0, -amount)
    }

    // MARK: matching

    func most(_ id: Int64, _ quantity: Int64) -> Int64 {
        guard let order = orders[id] else { return quantity }
        guard order.onlyReduces else { return quantity }
        let part = min(quantity, closable(order))
        if part <= 0 {
            order.expiry = "4"
            end(order, .expired, "EXPIRED")
        }
        return part
    }

    func filled(_ id: Int64, _ listing: Listing, _ trade: Trade, taker: Side) {
        guard let maker = orders[id] else { return }
        settle(maker, listing, trade, isMaker: true)
        payHouse(listing, taker, trade)
    }

    func payHouse(_ listing: Listing, _ side: Side, _ trade: Trade) {
        let worth = money(trade.price, trade.quantity)
        houseCash += side == .buy ? -worth : worth
        houseHolds[listing.rules.name, default: 0] += side == .buy ? trade.quantity : -trade.quantity
    }

    /// Executes an order as taker: at `limit` or better.
    private func execute(_ order: FuturesOrder, _ listing: Listing, limit: Int64) {
        while order.status.isOpen, order.remaining > 0, let (price, entry) = listing.book.next(order.side.opposite) {
            if order.side == .buy ? price > limit : price < limit { break }
            var quantity = min(order.remaining, entry.quantity)
            if order.onlyReduces {
                quantity = min(quantity, closable(order))
                if quantity <= 0 {
                    order.expiry = "4"
                    break
                }
            }
            if entry.order != 0, let maker = orders[entry.order] {
                if maker.account == order.account {
                    if order.selfTrade != .expireTaker {
                        maker.expiry = "1"
                        end(maker, .expiredInMatch, "EXPIRED")
                    }
                    if order.selfTrade != .expireMaker {
                        order.status = .expiredInMatch
                        order.expiry = "1"
                    }
                    continue
                }
                quantity = most(entry.order, quantity)
                if quantity <= 0 { continue }
            }
            listing.book.fill(order.side.opposite, quantity)
            let trade = listing.record(price: price, quantity: quantity, time: now, buyerIsMaker: order.side == .sell, taker: order.id)
            settle(order, listing, trade, isMaker: false)
            if let maker = orders[entry.order] { settle(maker, listing, trade, isMaker: true) } else { payHouse(listing, order.side.opposite, trade) }
        }
    }

    /// Books one trade for one of its orders: position, realised profit, fee, events.
    func settle(_ order: FuturesOrder, _ listing: Listing, _ trade: Trade, isMaker: Bool) {
        let account = accounts[order.account]
        let key = PositionKey(symbol: order.symbol, side: order.positionSide)
        let realized = move(account, key, order.side, trade)
        let worth = money(trade.price, trade.quantity)
        let commission = share(worth, isMaker ? account.futuresMakerRate : account.futuresTakerRate)
        pay(account, realized, "REALIZED_PNL", order.symbol, trade: trade.id)
        pay(account, -commission, "COMMISSION", order.symbol, trade: trade.id)
        fees += commission
        order.executed += trade.quantity
        order.quote += worth
        order.updated = now
        order.status = order.remaining == 0 ? .filled : .partly
        let fill = FuturesFill(
            trade: trade.id, order: order.id, symbol: order.symbol, price: trade.price, quantity: trade.quantity, quote: worth, commission: commission,
            realized: realized, side: order.side, positionSide: order.positionSide, isMaker: isMaker, time: now)
        fills[order.account, default: []].append(fill)
        touch(order.account, key)
        if order.status == .filled {
            open.remove(order.id)
            order.isResting = false
        }
        emit(order.account, orderUpdate(order, order.type == "LIQUIDATION" ? "CALCULATED" : "TRADE", fill: fill))
    }

    /// Puts a trade into a position; returns what it realised.
    private func move(_ account: Account, _ key: PositionKey, _ side: Side, _ trade: Trade) -> Int128 {
        var position = position(account, key)
        let isIsolated = account.futures.isolated.contains(key.symbol)
        let leverage = Int128(account.futures.leverage(key.symbol))
        var left = side == .buy ? trade.quantity : -trade.quantity
        var realized: Int128 = 0
        if position.amount != 0, (position.amount > 0) != (left > 0) {
            let closed = min(Int64(clamping: left.magnitude), Int64(clamping: position.amount.magnitude))
            let whole = Int128(position.amount.magnitude)
            let cost = closed == Int64(clamping: position.amount.magnitude) ? position.cost : position.cost * Int128(closed) / whole
            let worth = money(trade.price, closed)
            realized = position.amount > 0 ? worth - cost : cost - worth
            position.cost -= cost
            position.isolated -= position.isolated * Int128(closed) / whole
            position.amount += left > 0 ? closed : -closed
            left += left > 0 ? -closed : closed
            if position.amount == 0 { position.isolated = 0 }
        }
        if left != 0 {
            let worth = money(trade.price, Int64(clamping: left.magnitude))
            position.amount += left
            position.cost += worth
            if isIsolated { position.isolated += worth / leverage }
        }
        position.updated = now
        account.futures.positions[key] = position
        return realized
    }

    /// Ends an open order and says so.
    func end(_ order: FuturesOrder, _ status: OrderStatus, _ execution: String) {
        if order.isResting, let listing = listings[order.symbol] { listing.book.remove(order.side, price: order.price, order: order.id) }
        order.isResting = false
        order.status = status
        order.updated = now
        open.remove(order.id)
        emit(order.account, orderUpdate(order, execution))
    }

    /// Lets an admitted order meet the book.
    func work(_ order: FuturesOrder, _ listing: Listing) {
        emit(order.account, orderUpdate(order, "NEW"))
        if case .fill(let parts) = script { return fillOutside(order, parts: parts) }
        if script == .rest { return }
        execute(again: order, listing)
    }

    func execute(again order: FuturesOrder, _ listing: Listing) {
        let bound = order.type == "LIMIT" ? order.price : bound(order.side, listing)
        execute(order, listing, limit: order.type == "LIQUIDATION" ? (order.side == .buy ? .max : 0) : bound)
        if order.status == .filled { return }
        if order.status == .expiredInMatch || order.type != "LIMIT" || order.timeInForce == .ioc || order.timeInForce == .fok || order.expiry == "4" {
            let status: OrderStatus = order.status == .expiredInMatch ? .expiredInMatch : .expired
            if order.expiry == "0" { order.expiry = order.type == "LIMIT" ? "2" : "9" }
            return end(order, status, "EXPIRED")
        }
        order.isResting = true
        listing.book.rest(order.side, price: order.price, order: order.id, quantity: order.remaining)
    }

    /// How far a market order may take: five per cent off the mark.
    private func bound(_ side: Side, _ listing: Listing) -> Int64 {
        let mark = mark(listing, now)
        return side == .buy ? mark / 100 * 105 : mark / 100 * 95
    }

    /// An order without a check of its margin: the trigger's and the liquidator's.
    func admit(
        _ account: Account, _ listing: Listing, side: Side, positionSide: PositionSide, type: String, timeInForce: TimeInForce, price: Int64, quantity: Int64,
        reduceOnly: Bool, closePosition: Bool, clientID: String?, selfTrade: SelfTrade, priceMatch: String, goodTill: Int64
    ) -> FuturesOrder {
        let id = nextOrder
        nextOrder += 1
        let order = FuturesOrder(
            id: id, account: account.number, symbol: listing.rules.name, clientID: clientID ?? generatedID(id), side: side, positionSide: positionSide, type: type,
            timeInForce: timeInForce, price: price, quantity: quantity, reduceOnly: reduceOnly, closePosition: closePosition, selfTrade: selfTrade,
            priceMatch: priceMatch, goodTill: goodTill, time: now)
        orders[id] = order
        byClient[key(account.number, order.symbol, order.clientID)] = id
        open.insert(id)
        return order
    }

    func key(_ account: Int, _ symbol: String, _ clientID: String) -> String { "\(account)|\(symbol)|\(clientID)" }

    func generatedID(_ number: Int64) -> String { String(mixed(seed, "client", number), radix: 36) + String(mixed(seed, "id", number), radix: 36).prefix(9) }

    // MARK: liquidation

    /// Everything of an account in cross margin, or an isolated position, whose margin no longer covers its maintenance.
    private func checkLiquidations() {
        for account in accounts {
            let held = account.futures.positions.filter { $0.value.amount != 0 }
            guard !held.isEmpty else { continue }
            let margin = margin(account)
            let crossed = held.filter { !account.futures.isolated.contains($0.key.symbol) }
            if !crossed.isEmpty, margin.crossBalance <= margin.crossMaintenance {
                for order in openOrders(account.number) where !account.futures.isolated.contains(order.symbol) { end(order, .canceled, "CANCELED") }
                for key in crossed.keys.sorted(by: { ($0.symbol, $0.side.rawValue) < ($1.symbol, $1.side.rawValue) }) { liquidate(account, key) }
                cover(account)
            }
            for (key, position) in held.sorted(by: { $0.key.symbol < $1.key.symbol }) where account.futures.isolated.contains(key.symbol) {
                guard let listing = listings[key.symbol] else { continue }
                let price = mark(listing, now)
                if position.isolated + position.profit(at: price) <= maintenance(listing.rules, position.notional(at: price)) {
                    for order in openOrders(account.number, key.symbol) { end(order, .canceled, "CANCELED") }
                    let before = (account.futures.wallet[Self.asset] ?? 0) - position.isolated
                    liquidate(account, key)
                    // No more than what was set aside is lost.
                    let after = account.futures.wallet[Self.asset] ?? 0
                    if after < before {
                        insurance += before - after
                        pay(account, before - after, "INSURANCE_CLEAR", key.symbol)
                    }
                    tellAccounts("INSURANCE_CLEAR")
                }
            }
        }
    }

    private func liquidate(_ account: Account, _ key: PositionKey) {
        guard let listing = listings[key.symbol] else { return }
        let position = position(account, key)
        let side: Side = position.amount > 0 ? .sell : .buy
        let quantity = Int64(clamping: position.amount.magnitude)
        let order = admit(
            account, listing, side: side, positionSide: key.side, type: "LIQUIDATION", timeInForce: .ioc, price: mark(listing, now), quantity: quantity,
            reduceOnly: key.side == .both, closePosition: false, clientID: "autoclose-\(now)\(nextOrder)", selfTrade: .expireMaker, priceMatch: "NONE", goodTill: 0)
        work(order, listing)
        if order.remaining > 0 {
            // The book was empty: the exchange takes the rest at the mark price.
            order.status = .new
            let trade = listing.record(price: mark(listing, now), quantity: order.remaining, time: now, buyerIsMaker: side == .sell, taker: order.id)
            settle(order, listing, trade, isMaker: false)
            payHouse(listing, side.opposite, trade)
        }
        let fee = share(order.quote, listing.rules.liquidationFee)
        pay(account, -fee, "INSURANCE_CLEAR", key.symbol)
        insurance -= fee
        liquidated(key.symbol, forceOrder(order))
    }

    /// A cross wallet never ends below nothing.
    private func cover(_ account: Account) {
        let missing = -(account.futures.wallet[Self.asset] ?? 0)
        if missing > 0 {
            insurance += missing
            pay(account, missing, "INSURANCE_CLEAR", "")
        }
        touch(account.number, nil)
        tellAccounts("INSURANCE_CLEAR")
    }

    // MARK: money in and out

    func transfer(_ account: Account, _ asset: String, _ amount: Int128) {
        guard asset == Self.asset else {
            account.futures.wallet[asset, default: 0] += amount
            return
        }
        pay(account, amount, "TRANSFER", "")
        touch(account.number, nil)
        tellAccounts(amount >= 0 ? "DEPOSIT" : "WITHDRAW")
    }
}
