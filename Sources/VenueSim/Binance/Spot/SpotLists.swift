// Orders that hang together: one cancels the other, one starts the others.

extension SpotEngine {
    /// Takes a pair of legs apart by which is the limit side, and checks how their prices lie.
    private func checkPair(_ above: SpotDraft, _ below: SpotDraft, _ listing: Listing, last: Int64) throws(Refusal) {
        let limits: Set<SpotType> = [.limitMaker, .takeProfit, .takeProfitLimit]
        let stops: Set<SpotType> = [.stopLoss, .stopLossLimit]
        guard limits.contains(above.type) && stops.contains(below.type) || stops.contains(above.type) && limits.contains(below.type) else {
            throw Refusal(-1158, "Combination of types for the above and below orders is not valid.")
        }
        // Selling, the stop lies below; buying, above.
        guard stops.contains(above.side == .sell ? below.type : above.type) else { throw Refusal(-1165, "The relationship of the prices for the orders is not correct.") }
        func price(_ draft: SpotDraft) -> Int64 { draft.type == .limitMaker ? draft.price : draft.stopPrice }
        guard price(above) > last, price(below) < last else { throw .rejected("The relationship of the prices for the orders is not correct.") }
    }

    private func newList(_ kind: OrderList.Kind, _ members: [SpotOrder], clientID: String?) -> OrderList {
        let id = nextList
        nextList += 1
        let list = OrderList(
            id: id, account: members[0].account, symbol: members[0].symbol, kind: kind, clientID: clientID ?? generatedID(-id), time: now, orders: members.map(\.id))
        lists[id] = list
        for member in members { member.list = id }
        return list
    }

    private func checkList(_ account: Account, _ listing: Listing, _ drafts: [SpotDraft], clientID: String?) throws(Refusal) {
        guard listing.status == "TRADING" else { throw .rejected("Market is closed.") }
        let running = lists.values.filter { $0.account == account.number && $0.status == "EXECUTING" }
        if let clientID, running.contains(where: { $0.clientID == clientID && $0.symbol == listing.rules.name }) { throw .duplicate }
        if running.filter({ $0.symbol == listing.rules.name }).count >= listing.rules.mostLists { throw .filter("MAX_NUM_ORDER_LISTS") }
        for draft in drafts {
            try checkFilters(draft, listing, account, adding: drafts.count)
            if let id = draft.clientID, isTaken(id, account, listing) { throw .duplicate }
        }
        let ids = drafts.compactMap(\.clientID)
        if Set(ids).count < ids.count { throw .duplicate }
    }

    /// One cancels the other: the money is held back once, for the dearer leg.
    func placePair(_ account: Account, _ listing: Listing, above: SpotDraft, below: SpotDraft, clientID: String?) throws(Refusal) -> OrderList {
        try checkList(account, listing, [above, below], clientID: clientID)
        try checkPair(above, below, listing, last: listing.last(now))
        for leg in [above, below] { try checkMarket(leg, listing) }
        var amount: Int128 = 0
        for leg in [above, below] { amount = max(amount, try cost(leg, listing).amount) }
        guard account.free(above.side == .buy ? listing.rules.quote : listing.rules.base) >= amount else { throw .insufficient }
        // The stop leg first, as the exchange numbers them.
        let belowIsStop = below.type.isStop
        let stop = admit(belowIsStop ? below : above, listing, account, lock: 0)
        let limit = admit(belowIsStop ? above : below, listing, account, lock: amount)
        let list = newList(.oco, [stop, limit], clientID: clientID)
        list.pair = [stop.id, limit.id]
        emit(account.number, listEvent(list))
        begin(stop, listing)
        begin(limit, listing)
        checkStops(listing)
        tellBalances()
        return list
    }

    /// One starts the others: `pending` is a single order or a pair.
    func placeChain(_ account: Account, _ listing: Listing, working: SpotDraft, pending: [SpotDraft], clientID: String?) throws(Refusal) -> OrderList {
        try checkList(account, listing, [working] + pending, clientID: clientID)
        guard working.type == .limit || working.type == .limitMaker else { throw Refusal(-1167, "Type for the working order is not valid.") }
        if pending.count == 2 { try checkPair(pending[0], pending[1], listing, last: working.price) }
        try checkMarket(working, listing)
        let (asset, amount) = try cost(working, listing)
        guard account.free(asset) >= amount else { throw .insufficient }
        let first = admit(working, listing, account, lock: amount)
        let others = pending.map { admit($0, listing, account, lock: 0) }
        let list = newList(.oto, [first] + others, clientID: clientID)
        list.pending = others.map(\.id)
        if others.count == 2 { list.pair = list.pending }
        for other in others { other.status = .pendingNew }
        emit(account.number, listEvent(list))
        for other in others { emit(account.number, report(other, "NEW")) }
        begin(first, listing)
        checkStops(listing)
        tellBalances()
        return list
    }

    // MARK: what happens to the members

    /// A conditional leg was triggered: its partner ends and hands over the money.
    func listTriggered(_ order: SpotOrder) {
        guard let list = lists[order.list], list.pair.contains(order.id) else { return }
        for id in list.pair where id != order.id { endPartner(id, of: order) }
    }

    private func endPartner(_ id: Int64, of order: SpotOrder) {
        guard let partner = orders[id], partner.status.isOpen else { return }
        order.locked += partner.locked
        partner.locked = 0
        partner.list = -1  // its end must not come back here
        end(partner, .expired, "EXPIRED", reason: "OCO_TRIGGER")
        partner.list = order.list
        guard let listing = listings[order.symbol], order.side == .buy, order.type.hasPrice else { return }
        let needed = money(order.price, order.remaining)
        if order.locked > needed { unlock(order, listing.rules, order.locked - needed) }
    }

    /// A member got a fill or ended.
    func listMoved(_ order: SpotOrder, isDone: Bool) {
        guard let list = lists[order.list], list.status == "EXECUTING" else { return }
        if list.pair.contains(order.id), order.status != .pendingNew {
            for id in list.pair where id != order.id { endPartner(id, of: order) }
        } else if isDone, list.pending.first != nil, order.id == list.orders[0] {
            if order.status == .filled {
                startPending(list)
            } else {
                for id in list.pending {
                    guard let other = orders[id] else { continue }
                    other.list = -1
                    end(other, .expired, "EXPIRED", reason: "OTO_PHASE_ONE_EXPIRED")
                    other.list = list.id
                }
            }
        }
        if list.orders.allSatisfy({ orders[$0].map { !$0.status.isOpen } ?? true }), list.status == "EXECUTING" {
            list.type = "ALL_DONE"
            list.status = "ALL_DONE"
            emit(list.account, listEvent(list))
        }
    }

    /// The first order is filled: the others get their money and begin.
    private func startPending(_ list: OrderList) {
        guard let listing = listings[list.symbol] else { return }
        let account = accounts[list.account]
        let waiting = list.pending.compactMap { orders[$0] }
        list.pending = []
        var amount: Int128 = 0
        for order in waiting {
            let price = order.type.hasPrice ? order.price : order.stopPrice
            amount = max(amount, order.side == .sell ? Int128(order.quantity) : money(price, order.quantity))
        }
        guard let last = waiting.last else { return }
        let asset = last.side == .buy ? listing.rules.quote : listing.rules.base
        guard account.free(asset) >= amount else {
            for order in waiting {
                order.list = -1
                end(order, .expired, "EXPIRED", reason: "REJECTED")
                order.list = list.id
            }
            return
        }
        account.change(asset, free: -amount, locked: amount)
        last.locked = amount
        touch(account.number, asset)
        for order in waiting { order.status = .new }
        for order in waiting where order.status == .new { begin(order, listing) }
    }

    func cancelList(_ list: OrderList, cancelID: String) {
        list.type = "ALL_DONE"
        list.status = "ALL_DONE"
        for id in list.orders {
            guard let order = orders[id], order.status.isOpen else { continue }
            end(order, .canceled, "CANCELED", cancelID: cancelID)
        }
        emit(list.account, listEvent(list))
        tellBalances()
    }
}
