// Margin: what positions and orders tie up, what is left, where liquidation begins.

struct MarginState {
    var wallet: Int128 = 0
    var crossWallet: Int128 = 0
    var profit: Int128 = 0
    var crossProfit: Int128 = 0
    var maintenance: Int128 = 0
    var crossMaintenance: Int128 = 0
    var positionInitial: Int128 = 0
    var crossInitial: Int128 = 0
    var orderInitial: Int128 = 0

    /// What stands behind the cross positions.
    var crossBalance: Int128 { crossWallet + crossProfit }
    var available: Int128 { max(0, crossBalance - crossInitial - orderInitial) }
}

extension FuturesEngine {
    func bracket(_ rules: SymbolRules, _ notional: Int128) -> SymbolRules.Bracket? {
        rules.brackets.first { notional < Int128($0.cap) * Int128(one) } ?? rules.brackets.last
    }

    func maintenance(_ rules: SymbolRules, _ notional: Int128) -> Int128 {
        guard notional > 0, let bracket = bracket(rules, notional) else { return 0 }
        return max(0, share(notional, bracket.ratio) - Int128(bracket.cum))
    }

    /// The most that may be held at a leverage, in whole units of the quote.
    func mostNotional(_ rules: SymbolRules, _ leverage: Int64) -> Int64 { rules.brackets.last { $0.leverage >= leverage }?.cap ?? 0 }

    /// Worth of the open orders on a side of a position.
    func openNotional(_ account: Account, _ key: PositionKey, _ side: Side) -> Int128 {
        openOrders(account.number, key.symbol).lazy.filter { $0.side == side && $0.positionSide == key.side && !$0.onlyReduces }.reduce(0) { $0 + money($1.price, $1.remaining) }
    }

    /// What the open orders of a symbol tie up beyond its position: the worse of the two sides.
    func orderMargin(_ account: Account, _ symbol: String, adding: (side: Side, key: PositionKey, worth: Int128)? = nil) -> Int128 {
        guard let listing = listings[symbol] else { return 0 }
        let price = mark(listing, now)
        var whole: Int128 = 0
        for side in [PositionSide.both, .long, .short] {
            let key = PositionKey(symbol: symbol, side: side)
            let position = position(account, key)
            let held = position.amount >= 0 ? position.notional(at: price) : -position.notional(at: price)
            var bids = openNotional(account, key, .buy)
            var asks = openNotional(account, key, .sell)
            if let adding, adding.key == key { if adding.side == .buy { bids += adding.worth } else { asks += adding.worth } }
            let worst = max(held + bids < 0 ? -(held + bids) : held + bids, held - asks < 0 ? -(held - asks) : held - asks)
            whole += max(0, worst - (held < 0 ? -held : held))
        }
        return whole / Int128(account.futures.leverage(symbol))
    }

    func margin(_ account: Account) -> MarginState {
        var state = MarginState()
        state.wallet = account.futures.wallet[Self.asset] ?? 0
        state.crossWallet = state.wallet
        for (key, position) in account.futures.positions where position.amount != 0 {
            guard let listing = listings[key.symbol] else { continue }
            let price = mark(listing, now)
            let profit = position.profit(at: price)
            let notional = position.notional(at: price)
            let initial = notional / Int128(account.futures.leverage(key.symbol))
            let maintenance = maintenance(listing.rules, notional)
            state.profit += profit
            state.maintenance += maintenance
            state.positionInitial += initial
            if account.futures.isolated.contains(key.symbol) {
                state.crossWallet -= position.isolated
            } else {
                state.crossProfit += profit
                state.crossMaintenance += maintenance
                state.crossInitial += initial
            }
        }
        for name in names { state.orderInitial += orderMargin(account, name) }
        return state
    }

    /// Whether an order's margin is there: what is available after it, its loss against the mark price included.
    func affords(_ account: Account, _ listing: Listing, _ side: Side, _ key: PositionKey, price: Int64, quantity: Int64) -> Bool {
        let state = margin(account)
        let name = listing.rules.name
        let before = orderMargin(account, name)
        let worth = money(price, quantity)
        let after = orderMargin(account, name, adding: (side, key, worth))
        let marked = money(mark(listing, now), quantity)
        // Only what opens something new can lose at once; what closes is paid out of its own margin.
        let opens = after > before
        let loss = opens ? max(0, side == .buy ? worth - marked : marked - worth) : 0
        return state.crossBalance - state.crossInitial - state.orderInitial - (after - before) - loss >= 0 || !opens
    }

    /// The mark price at which a position is liquidated; 0: none.
    func liquidationPrice(_ account: Account, _ key: PositionKey, _ state: MarginState) -> Int64 {
        let position = position(account, key)
        guard position.amount != 0, let listing = listings[key.symbol] else { return 0 }
        let price = mark(listing, now)
        let notional = position.notional(at: price)
        guard let bracket = bracket(listing.rules, notional) else { return 0 }
        let isIsolated = account.futures.isolated.contains(key.symbol)
        let behind = isIsolated
            ? position.isolated
            : state.crossWallet - (state.crossMaintenance - maintenance(listing.rules, notional)) + (state.crossProfit - position.profit(at: price))
        let sign: Int128 = position.amount > 0 ? 1 : -1
        let top = behind + Int128(bracket.cum) - sign * position.cost
        let bottom = Int128(position.amount.magnitude) * (Int128(bracket.ratio) - sign * Int128(one))
        let (scaled, overflow) = top.multipliedReportingOverflow(by: Int128(one) * Int128(one))
        guard !overflow, bottom != 0 else { return 0 }
        return max(0, Int64(clamping: scaled / bottom))
    }
}
