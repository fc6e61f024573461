import PluginKit

// The algo service: conditional orders wait in a store of their own, and become ordinary orders when their price is reached.

extension FuturesEngine {
    static let algoTypes = ["STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]
    static let mostAlgos = 200

    func placeAlgo(_ account: Account, _ params: Params) throws(Refusal) -> AlgoOrder {
        guard try params.text("algoType") == "CONDITIONAL" else { throw Refusal(-1130, "Data sent for parameter 'algoType' is not valid.") }
        let listing = try listing(try params.text("symbol"))
        let rules = listing.rules
        guard listing.status == "TRADING" else { throw Refusal(-4141, "Symbol is closed.") }
        guard let side = Side(rawValue: try params.text("side")) else { throw .badSide }
        let type = try params.text("type")
        guard Self.algoTypes.contains(type) else { throw .badType }
        let positionSide = try positionSide(params, account)
        let closePosition = try params.optionalBool("closePosition") ?? false
        let reduceOnly = try reduceOnly(params, account)
        let offTick = Refusal(-4014, "Price not increased by tick size.")
        let quantity = try gridded(params, "quantity", digits: rules.quantityDigits, step: rules.step, offGrid: Refusal(-4023, "Qty not increased by step size.")) ?? 0
        let price = try gridded(params, "price", digits: rules.priceDigits, step: rules.tick, offGrid: offTick) ?? 0
        let trigger = try gridded(params, "triggerPrice", digits: rules.priceDigits, step: rules.tick, offGrid: offTick) ?? 0
        let activation = try gridded(params, "activatePrice", digits: rules.priceDigits, step: rules.tick, offGrid: offTick) ?? 0
        let callback = try params.optionalDecimal("callbackRate") ?? 0
        let workingType = try params.optional("workingType") ?? "CONTRACT_PRICE"
        guard workingType == "CONTRACT_PRICE" || workingType == "MARK_PRICE" else { throw Refusal(-1130, "Data sent for parameter 'workingType' is not valid.") }
        let isLimit = type == "STOP" || type == "TAKE_PROFIT"
        let isTrailing = type == "TRAILING_STOP_MARKET"
        if closePosition {
            guard type == "STOP_MARKET" || type == "TAKE_PROFIT_MARKET" else { throw Refusal(-1106, "Parameter 'closePosition' sent when not required.") }
            if quantity > 0 { throw Refusal(-4137, "Quantity must be zero with closePosition equals true") }
            if reduceOnly { throw .notRequired("reduceonly") }
        } else {
            if quantity == 0 { throw params.has("quantity") ? Refusal(-4003, "Quantity less than or equal to zero.") : Refusal.mandatory("quantity") }
            if quantity > rules.maxQuantity { throw Refusal(-4005, "Quantity greater than max quantity.") }
        }
        if isLimit, price == 0, try params.optional("priceMatch") == nil { throw .mandatory("price") }
        if isTrailing {
            guard callback >= one / 10, callback <= 20 * one else { throw Refusal(-1130, "Data sent for parameter 'callbackRate' is not valid.") }
        } else if trigger == 0 {
            throw .mandatory("triggerPrice")
        }
        var timeInForce = TimeInForce.gtc
        if let text = try params.optional("timeInForce") {
            guard let value = TimeInForce(rawValue: text) else { throw .badTimeInForce }
            timeInForce = value
        }
        let id = try clientID(params, "clientAlgoId")
        if let id, let held = byAlgoClient[key(account.number, "", id)], openAlgos.contains(held) { throw Refusal(-4116, "ClientOrderId is duplicated.") }
        if openAlgos.lazy.filter({ self.algos[$0]?.account == account.number }).count >= Self.mostAlgos { throw Refusal(-4045, "Reach max stop order limit.") }
        let algo = AlgoOrder(
            id: nextAlgo, account: account.number, clientID: id ?? generatedID(nextAlgo), symbol: rules.name, side: side, positionSide: positionSide, type: type,
            timeInForce: timeInForce, quantity: quantity, price: price, trigger: trigger, workingType: workingType, closePosition: closePosition,
            priceProtect: try params.optionalBool("priceProtect") ?? false, reduceOnly: reduceOnly, selfTrade: try selfTrade(params),
            priceMatch: try params.optional("priceMatch") ?? "NONE", goodTill: try goodTill(params, timeInForce), activation: activation,
            callback: callback / 100, created: now)
        _ = try params.optional("newOrderRespType")
        if !isTrailing, reached(algo, watched(algo, listing)) { throw Refusal(-2021, "Order would immediately trigger.") }
        nextAlgo += 1
        algos[algo.id] = algo
        byAlgoClient[key(account.number, "", algo.clientID)] = algo.id
        openAlgos.insert(algo.id)
        emit(account.number, algoUpdate(algo))
        return algo
    }

    private func watched(_ algo: AlgoOrder, _ listing: Listing) -> Int64 { algo.workingType == "MARK_PRICE" ? mark(listing, now) : listing.last(now) }

    private func reached(_ algo: AlgoOrder, _ price: Int64) -> Bool {
        guard algo.isTrailing else { return algo.waitsForRise ? price >= algo.trigger : price <= algo.trigger }
        guard algo.isActivated else { return false }
        let way = Int64(clamping: share(Int128(algo.extreme), algo.callback))
        return algo.side == .sell ? price <= algo.extreme - way : price >= algo.extreme + way
    }

    /// A trailing stop begins at its activation price and follows the best price since.
    private func follow(_ algo: AlgoOrder, _ price: Int64) {
        guard algo.isTrailing else { return }
        if !algo.isActivated {
            guard algo.activation == 0 || (algo.side == .sell ? price >= algo.activation : price <= algo.activation) else { return }
            algo.isActivated = true
            algo.extreme = price
        }
        algo.extreme = algo.side == .sell ? max(algo.extreme, price) : min(algo.extreme, price)
    }

    /// Fires every conditional order of a symbol whose price is reached, in the order of arrival, until none is.
    func checkAlgos(_ listing: Listing) {
        var again = !openAlgos.isEmpty
        while again {
            again = false
            for id in openAlgos.sorted() {
                guard let algo = algos[id], algo.symbol == listing.rules.name, algo.status == "NEW" else { continue }
                let price = watched(algo, listing)
                follow(algo, price)
                guard reached(algo, price) else { continue }
                if algo.priceProtect {
                    let last = listing.last(now)
                    let apart = abs(mark(listing, now) - last)
                    if Int128(apart) * 20 > Int128(last) { continue }
                }
                fire(algo, listing)
                again = true
            }
        }
    }

    private func fire(_ algo: AlgoOrder, _ listing: Listing) {
        let account = accounts[algo.account]
        algo.status = "TRIGGERING"
        algo.triggered = now
        algo.updated = now
        emit(algo.account, algoUpdate(algo))
        let positionKey = PositionKey(symbol: algo.symbol, side: algo.positionSide)
        let held = position(account, positionKey).amount
        var draft = FuturesDraft(side: algo.side, positionSide: algo.positionSide, type: algo.hasPrice ? "LIMIT" : "MARKET")
        draft.timeInForce = algo.hasPrice ? algo.timeInForce : .gtc
        draft.price = algo.price
        draft.quantity = algo.closePosition ? min(algo.side == .sell ? max(0, held) : max(0, -held), listing.rules.maxQuantity) : algo.quantity
        draft.reduceOnly = algo.reduceOnly || algo.closePosition && algo.positionSide == .both
        draft.clientID = algo.clientID
        draft.selfTrade = algo.selfTrade
        draft.goodTill = algo.goodTill
        do throws(Refusal) {
            if draft.quantity == 0, algo.closePosition { throw Refusal(-2022, "ReduceOnly Order is rejected.") }
            // A market order may be larger at a trigger than by hand.
            if draft.type == "MARKET", draft.quantity > listing.rules.mostMarket { draft.quantity = listing.rules.mostMarket }
            try check(draft, listing, account)
        } catch {
            algo.message = error.text
            return endAlgo(algo, "REJECTED")
        }
        let order = admit(
            account, listing, side: draft.side, positionSide: draft.positionSide, type: draft.type, timeInForce: draft.timeInForce, price: draft.price,
            quantity: draft.quantity, reduceOnly: draft.reduceOnly, closePosition: algo.closePosition, clientID: algo.clientID, selfTrade: algo.selfTrade,
            priceMatch: algo.priceMatch, goodTill: algo.goodTill)
        order.originalType = algo.type
        order.stopPrice = algo.trigger
        order.workingType = algo.workingType
        order.priceProtect = algo.priceProtect
        algo.actualOrder = order.id
        algo.status = "TRIGGERED"
        emit(algo.account, algoUpdate(algo))
        work(order, listing)
        endAlgo(algo, "FINISHED")
        tellAccounts("ORDER")
    }

    func endAlgo(_ algo: AlgoOrder, _ status: String) {
        algo.status = status
        algo.updated = now
        openAlgos.remove(algo.id)
        emit(algo.account, algoUpdate(algo))
    }

    func findAlgo(_ account: Account, _ params: Params) throws(Refusal) -> AlgoOrder? {
        let id = try params.optionalInt("algoId")
        let name = try params.optional("clientAlgoId")
        guard id != nil || name != nil else { throw Refusal(-1102, "Param 'algoid' or 'clientalgoid' must be sent, but both were empty/null!") }
        guard let found = id ?? name.flatMap({ byAlgoClient[key(account.number, "", $0)] }), let algo = algos[found], algo.account == account.number else { return nil }
        return algo
    }
}
