import PluginKit

// The spot calls that need an account: parameters in, JSON out. The same for REST and WebSocket API.

extension SpotEngine {
    private func responseKind(_ params: Params, _ type: SpotType) throws(Refusal) -> String {
        guard let text = try params.optional("newOrderRespType") else { return type == .limit || type == .market ? "FULL" : "ACK" }
        guard ["ACK", "RESULT", "FULL"].contains(text) else { throw Refusal(-1136, "Invalid newOrderRespType.") }
        return text
    }

    func newOrder(_ account: Account, _ params: Params, isTest: Bool = false, strict: Bool) throws(Refusal) -> Out {
        let listing = try listing(try params.text("symbol"))
        let draft = try draft(params)
        let kind = try responseKind(params, draft.type)
        let wantsRates = isTest ? try params.optionalBool("computeCommissionRates") ?? false : false
        if strict { try params.checkAllRead() }
        guard !isTest else {
            try check(draft, listing, account)
            return wantsRates ? commission(account, symbol: nil, inTest: true) : Out.object { _ in }
        }
        return placed(try place(draft, listing, account), kind)
    }

    func wanted(_ account: Account, _ params: Params, id: String = "orderId", client: String = "origClientOrderId", else missing: Refusal) throws(Refusal) -> SpotOrder {
        let listing = try listing(try params.text("symbol"))
        let number = try params.optionalInt(id)
        let name = try params.optional(client)
        guard number != nil || name != nil else {
            throw Refusal(-1102, "Param '\(client)' or '\(id)' must be sent, but both were empty/null!")
        }
        guard let order = find(account, listing.rules.name, id: number, clientID: name) else { throw missing }
        return order
    }

    func queryOrder(_ account: Account, _ params: Params) throws(Refusal) -> Out { queried(try wanted(account, params, else: .noSuchOrder)) }

    private func restrictions(_ params: Params, _ order: SpotOrder) throws(Refusal) {
        guard let text = try params.optional("cancelRestrictions") else { return }
        switch text {
        case "ONLY_NEW": if order.status != .new { throw Refusal(-2011, "Order was not canceled due to cancel restrictions.") }
        case "ONLY_PARTIALLY_FILLED": if order.status != .partly { throw Refusal(-2011, "Order was not canceled due to cancel restrictions.") }
        default: throw Refusal(-1145, "Invalid cancelRestrictions")
        }
    }

    private func cancelAnswer(_ order: SpotOrder, _ cancelID: String) -> Out {
        guard order.list >= 0, let list = lists[order.list] else { return canceled(order, cancelID: cancelID) }
        return described(list, reports: list.orders.compactMap { orders[$0] }.map { canceled($0, cancelID: cancelID) })
    }

    func cancelOrder(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let order = try wanted(account, params, else: .unknownOrder)
        let cancelID = try clientID(params, "newClientOrderId") ?? generatedID(order.id &+ 1 << 40)
        guard order.status.isOpen else { throw .unknownOrder }
        try restrictions(params, order)
        cancel(order, cancelID: cancelID)
        return cancelAnswer(order, cancelID)
    }

    func cancelAll(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let listing = try listing(try params.text("symbol"))
        let all = openOrders(account.number, listing.rules.name)
        guard !all.isEmpty else { throw .unknownOrder }
        var answers: [Out] = []
        for order in all where order.status.isOpen {
            let cancelID = generatedID(order.id &+ 1 << 40)
            cancel(order, cancelID: cancelID)
            answers.append(cancelAnswer(order, cancelID))
        }
        return Out.list(answers)
    }

    func cancelReplace(_ account: Account, _ params: Params, orderSlots: () throws(Refusal) -> Void) throws(Refusal) -> Out {
        let listing = try listing(try params.text("symbol"))
        let mode = try params.text("cancelReplaceMode")
        guard ["STOP_ON_FAILURE", "ALLOW_FAILURE"].contains(mode) else { throw Refusal(-1130, "Data sent for parameter 'cancelReplaceMode' is not valid.") }
        let draft = try draft(params)
        let kind = try responseKind(params, draft.type)
        let overLimit = try params.optional("orderRateLimitExceededMode") ?? "DO_NOTHING"
        let cancelID = try clientID(params, "cancelNewClientOrderId")
        var canceledAnswer: Out
        var cancelFailure: Refusal?
        var limited: Refusal?
        do throws(Refusal) { try orderSlots() } catch {
            guard overLimit == "CANCEL_ONLY" else { throw error }
            limited = error
        }
        do throws(Refusal) {
            let old = try wanted(account, params, id: "cancelOrderId", client: "cancelOrigClientOrderId", else: .unknownOrder)
            guard old.status.isOpen else { throw Refusal.unknownOrder }
            try restrictions(params, old)
            let id = cancelID ?? generatedID(old.id &+ 1 << 40)
            cancel(old, cancelID: id)
            canceledAnswer = cancelAnswer(old, id)
        } catch {
            if error.code == -1102 || error.code == -1100 { throw error }
            cancelFailure = error
            canceledAnswer = error.body
        }
        var placedAnswer = Out.null
        var result = "NOT_ATTEMPTED"
        var newFailure: Refusal? = limited
        if limited != nil {
            result = "FAILURE"
            placedAnswer = limited.map(\.body) ?? Out.null
        } else if cancelFailure == nil || mode == "ALLOW_FAILURE" {
            do throws(Refusal) {
                placedAnswer = placed(try place(draft, listing, account), kind)
                result = "SUCCESS"
            } catch {
                newFailure = error
                placedAnswer = error.body
                result = "FAILURE"
            }
        }
        let whole = Out.object { out in
            out.text("cancelResult", cancelFailure == nil ? "SUCCESS" : "FAILURE")
            out.text("newOrderResult", result)
            out.put("cancelResponse", canceledAnswer)
            out.put("newOrderResponse", placedAnswer)
        }
        switch (cancelFailure == nil, newFailure == nil && result == "SUCCESS") {
        case (true, true): return whole
        case (false, false): throw Refusal(-2022, "Order cancel-replace failed.", data: whole)
        default: throw Refusal(-2021, "Order cancel-replace partially failed.", status: limited != nil ? 429 : 409, data: whole)
        }
    }

    func amendOrder(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let order = try wanted(account, params, else: .unknownOrder)
        guard order.status.isOpen, order.type.hasPrice else { throw .unknownOrder }
        try amend(order, to: try params.decimal("newQty"), clientID: try clientID(params, "newClientOrderId"))
        return Out.object { out in
            out.int("transactTime", now)
            out.int("executionId", nextExecution)
            out.put("amendedOrder", Out.object { out in
                out.text("symbol", order.symbol)
                out.int("orderId", order.id)
                out.int("orderListId", order.list)
                out.text("origClientOrderId", order.clientID)
                out.text("clientOrderId", order.clientID)
                out.decimal("price", order.price)
                out.decimal("qty", order.quantity)
                out.decimal("executedQty", order.executed)
                out.decimal("preventedQty", order.prevented)
                out.decimal("quoteOrderQty", order.quoteQuantity)
                out.decimal("cumulativeQuoteQty", order.quote)
                out.text("status", order.status.rawValue)
                out.text("timeInForce", order.timeInForce.rawValue)
                out.text("type", order.type.rawValue)
                out.text("side", order.side.rawValue)
                out.int("workingTime", order.workingTime)
                out.text("selfTradePreventionMode", order.selfTrade.rawValue)
            })
        }
    }

    // MARK: lists

    func newPair(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let listing = try listing(try params.text("symbol"))
        let side = try side(params)
        let quantity = try params.decimal("quantity")
        let above = try draft(params, LegNames(prefix: "above"), side: side, quantity: quantity)
        let below = try draft(params, LegNames(prefix: "below"), side: side, quantity: quantity)
        let id = try clientID(params, "listClientOrderId")
        let kind = try params.optional("newOrderRespType") ?? "RESULT"
        return answer(try placePair(account, listing, above: above, below: below, clientID: id), kind)
    }

    /// The old form: a limit maker and a stop by fixed names.
    func newOldPair(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let listing = try listing(try params.text("symbol"))
        let side = try side(params)
        let quantity = try params.decimal("quantity")
        var limit = SpotDraft(side: side, type: .limitMaker, price: try params.decimal("price"), quantity: quantity)
        limit.clientID = try clientID(params, "limitClientOrderId")
        var stop = SpotDraft(side: side, type: .stopLoss, quantity: quantity, stopPrice: try params.decimal("stopPrice"))
        stop.clientID = try clientID(params, "stopClientOrderId")
        if let price = try params.optionalDecimal("stopLimitPrice") {
            stop.type = .stopLossLimit
            stop.price = price
            guard let value = TimeInForce(rawValue: try params.text("stopLimitTimeInForce")) else { throw .badTimeInForce }
            stop.timeInForce = value
        }
        let id = try clientID(params, "listClientOrderId")
        let list = try placePair(account, listing, above: side == .sell ? limit : stop, below: side == .sell ? stop : limit, clientID: id)
        return answer(list, try params.optional("newOrderRespType") ?? "RESULT")
    }

    func newChain(_ account: Account, _ params: Params, isPair: Bool) throws(Refusal) -> Out {
        let listing = try listing(try params.text("symbol"))
        let working = try draft(params, LegNames(prefix: "working"))
        let side = try side(params, "pendingSide")
        let quantity = try params.decimal("pendingQuantity")
        var pending: [SpotDraft] = []
        if isPair {
            pending.append(try draft(params, LegNames(prefix: "pendingAbove"), side: side, quantity: quantity))
            pending.append(try draft(params, LegNames(prefix: "pendingBelow"), side: side, quantity: quantity))
        } else {
            pending.append(try draft(params, LegNames(prefix: "pending"), side: side, quantity: quantity))
        }
        let id = try clientID(params, "listClientOrderId")
        return answer(try placeChain(account, listing, working: working, pending: pending, clientID: id), try params.optional("newOrderRespType") ?? "RESULT")
    }

    private func answer(_ list: OrderList, _ kind: String) -> Out {
        described(list, reports: list.orders.compactMap { orders[$0] }.map { placed($0, kind) })
    }

    private func list(_ account: Account, _ params: Params, client: String) throws(Refusal) -> OrderList? {
        let id = try params.optionalInt("orderListId")
        let name = try params.optional(client)
        guard id != nil || name != nil else { throw Refusal(-1128, "Combination of optional parameters invalid.") }
        return lists.values.filter { $0.account == account.number && (id == nil || $0.id == id) && (name == nil || $0.clientID == name) }.max { $0.id < $1.id }
    }

    func queryList(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        guard let found = try list(account, params, client: "origClientOrderId") else { throw .noSuchOrder }
        return described(found)
    }

    func cancelListCall(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let listing = try listing(try params.text("symbol"))
        guard let found = try list(account, params, client: "listClientOrderId"), found.symbol == listing.rules.name, found.status == "EXECUTING" else { throw .unknownOrder }
        let cancelID = try clientID(params, "newClientOrderId") ?? generatedID(found.id &+ 1 << 41)
        cancelList(found, cancelID: cancelID)
        return described(found, reports: found.orders.compactMap { orders[$0] }.map { canceled($0, cancelID: cancelID) })
    }

    func allLists(_ account: Account, _ params: Params, isOpen: Bool) throws(Refusal) -> Out {
        let most = try params.limit(500, most: 1000)
        let from = try params.optionalInt("fromId")
        let (start, end) = try span(params, most: Interval.day)
        let found = lists.values.sorted { $0.id < $1.id }.filter { list in
            list.account == account.number && (!isOpen || list.status == "EXECUTING") && (from.map { list.id >= $0 } ?? true)
                && (start.map { list.time >= $0 } ?? true) && (end.map { list.time <= $0 } ?? true)
        }
        return Out.list(from == nil && start == nil ? found.suffix(most) : found.prefix(most)) { described($0) }
    }

    // MARK: what there is

    /// startTime and endTime, at most `most` apart.
    func span(_ params: Params, most: Int64) throws(Refusal) -> (start: Int64?, end: Int64?) {
        let start = try params.optionalInt("startTime")
        let end = try params.optionalInt("endTime")
        if let start, let end {
            if end < start { throw Refusal(-1128, "Combination of optional parameters invalid.") }
            if end - start > most { throw Refusal(-1127, "More than \(most / Interval.hour) hours between startTime and endTime.") }
        }
        return (start, end)
    }

    func openOrdersCall(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        var symbol: String?
        if let name = try params.optional("symbol") { symbol = try listing(name).rules.name }
        return Out.list(openOrders(account.number, symbol)) { queried($0) }
    }

    func allOrders(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let name = try listing(try params.text("symbol")).rules.name
        let from = try params.optionalInt("orderId")
        let (start, end) = try span(params, most: Interval.day)
        let most = try params.limit(500, most: 1000)
        let found = orders.values.filter { order in
            order.account == account.number && order.symbol == name && (from.map { order.id >= $0 } ?? true) && (start.map { order.time >= $0 } ?? true)
                && (end.map { order.time <= $0 } ?? true)
        }.sorted { $0.id < $1.id }
        return Out.list(from == nil && start == nil ? found.suffix(most) : found.prefix(most)) { queried($0) }
    }

    func myTrades(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let name = try listing(try params.text("symbol")).rules.name
        let order = try params.optionalInt("orderId")
        let from = try params.optionalInt("fromId")
        let (start, end) = try span(params, most: Interval.day)
        let most = try params.limit(500, most: 1000)
        let found = (fills[account.number] ?? []).filter { fill in
            orders[fill.order]?.symbol == name && (order.map { fill.order == $0 } ?? true) && (from.map { fill.trade >= $0 } ?? true)
                && (start.map { fill.time >= $0 } ?? true) && (end.map { fill.time <= $0 } ?? true)
        }
        return Out.list(from == nil && start == nil ? found.suffix(most) : found.prefix(most)) { trade($0, name) }
    }

    func accountCall(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let omit = try params.optionalBool("omitZeroBalances") ?? false
        return Out.object { out in
            out.int("makerCommission", account.makerRate / 10_000)
            out.int("takerCommission", account.takerRate / 10_000)
            out.int("buyerCommission", 0)
            out.int("sellerCommission", 0)
            out.put("commissionRates", rates(account))
            out.bool("canTrade", true)
            out.bool("canWithdraw", true)
            out.bool("canDeposit", true)
            out.bool("brokered", false)
            out.bool("requireSelfTradePrevention", false)
            out.bool("preventSor", false)
            out.int("updateTime", account.spotUpdated)
            out.text("accountType", "SPOT")
            out.put("balances", Out.list(account.spot.sorted { $0.key < $1.key }.filter { !omit || !$0.value.isZero }) { asset, balance in
                Out.object { out in
                    out.text("asset", asset)
                    out.decimal("free", balance.free)
                    out.decimal("locked", balance.locked)
                }
            })
            out.put("permissions", Out.list([Out.string("SPOT")]))
            out.int("uid", 354_937_868 + account.number)
        }
    }

    private func rates(_ account: Account, isZero: Bool = false) -> Out {
        Out.object { out in
            out.decimal("maker", isZero ? 0 : account.makerRate)
            out.decimal("taker", isZero ? 0 : account.takerRate)
            out.decimal("buyer", 0)
            out.decimal("seller", 0)
        }
    }

    func commission(_ account: Account, symbol: String?, inTest: Bool = false) -> Out {
        Out.object { out in
            if let symbol { out.text("symbol", symbol) }
            out.put(inTest ? "standardCommissionForOrder" : "standardCommission", rates(account))
            out.put(inTest ? "specialCommissionForOrder" : "specialCommission", rates(account, isZero: true))
            out.put(inTest ? "taxCommissionForOrder" : "taxCommission", rates(account, isZero: true))
            out.put("discount", Out.object { out in
                out.bool("enabledForAccount", false)
                out.bool("enabledForSymbol", false)
                out.text("discountAsset", "BNB")
                out.decimal("discount", fixed("0.75"))
            })
        }
    }

    func commissionCall(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        commission(account, symbol: try listing(try params.text("symbol")).rules.name)
    }

    /// Takes money in or out, as a deposit or a withdrawal does.
    func transfer(_ account: Account, _ asset: String, _ amount: Int128) {
        account.change(asset, free: amount)
        account.spotUpdated = now
        emit(account.number, Out.object { out in
            out.text("e", "balanceUpdate")
            out.int("E", now)
            out.text("a", asset)
            out.decimal("d", amount)
            out.int("T", now)
        })
        touch(account.number, asset)
        tellBalances()
    }
}
