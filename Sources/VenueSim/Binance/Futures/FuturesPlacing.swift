import PluginKit

// From parameters to a futures order, and what may be wrong with it.

struct FuturesDraft {
    var side: Side
    var positionSide: PositionSide
    var type: String
    var timeInForce = TimeInForce.gtc
    var price: Int64 = 0
    var quantity: Int64 = 0
    var reduceOnly = false
    var clientID: String?
    var selfTrade = SelfTrade.expireMaker
    var priceMatch = "NONE"
    var goodTill: Int64 = 0
    var wantsResult = false
}

extension FuturesEngine {
    static let clientIDRange = "^[\\.A-Z\\:/a-z0-9_-]{1,36}$"

    func clientID(_ params: Params, _ name: String) throws(Refusal) -> String? {
        guard let text = try params.optional(name) else { return nil }
        let others: Set<UInt8> = [UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "/"), UInt8(ascii: "_"), UInt8(ascii: "-")]
        guard (1...36).contains(text.utf8.count),
            text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 || $0 >= 65 && $0 <= 90 || $0 >= 97 && $0 <= 122 || others.contains($0) })
        else { throw Refusal(-4015, "Client order id length should be less than 36 chars and contain only legal characters '\(Self.clientIDRange)'.") }
        return text
    }

    /// A number on the grid: too many digits, off the grid, each with its own code.
    func gridded(_ params: Params, _ name: String, digits: Int, step: Int64, offGrid: Refusal) throws(Refusal) -> Int64? {
        guard let text = try params.optional(name) else { return nil }
        let decimals = text.split(separator: ".").dropFirst().first ?? ""
        let significant = decimals.reversed().drop { $0 == "0" }.count
        if significant > digits { throw Refusal(-1111, "Precision is over the maximum defined for this asset.") }
        guard let value = try params.optionalDecimal(name) else { return nil }
        if value % step != 0 { throw offGrid }
        return value
    }

    func positionSide(_ params: Params, _ account: Account) throws(Refusal) -> PositionSide {
        let text = try params.optional("positionSide")
        guard let side = PositionSide(rawValue: text ?? "BOTH") else { throw Refusal(-1130, "Data sent for parameter 'positionSide' is not valid.") }
        guard (side == .both) != account.futures.isDual else { throw Refusal(-4061, "Order's position side does not match user's setting.") }
        return side
    }

    func selfTrade(_ params: Params) throws(Refusal) -> SelfTrade {
        guard let text = try params.optional("selfTradePreventionMode"), text != "NONE" else { return .expireMaker }
        guard let mode = SelfTrade(rawValue: text) else { throw Refusal(-1130, "Data sent for parameter 'selfTradePreventionMode' is not valid.") }
        return mode
    }

    func reduceOnly(_ params: Params, _ account: Account) throws(Refusal) -> Bool {
        guard let flag = try params.optionalBool("reduceOnly") else { return false }
        if account.futures.isDual, flag { throw Refusal(-4062, "Invalid reduceOnly parameter; it is not accepted in hedge mode.") }
        return flag
    }

    func goodTill(_ params: Params, _ timeInForce: TimeInForce) throws(Refusal) -> Int64 {
        guard timeInForce == .gtd else { return 0 }
        let time = try params.int("goodTillDate") / 1_000 * 1_000
        guard time > now + 600_000 else { throw Refusal(-5040, "The goodTillDate timestamp must be greater than the current time plus 600 seconds and smaller than 253402300799000.") }
        return time
    }

    func draft(_ account: Account, _ listing: Listing, _ params: Params) throws(Refusal) -> FuturesDraft {
        let rules = listing.rules
        guard let side = Side(rawValue: try params.text("side")) else { throw .badSide }
        let type = try params.text("type")
        guard type == "LIMIT" || type == "MARKET" else {
            if ["STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"].contains(type) {
                throw Refusal(-4120, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.")
            }
            throw .badType
        }
        var draft = FuturesDraft(side: side, positionSide: try positionSide(params, account), type: type)
        if type == "LIMIT" {
            guard let value = TimeInForce(rawValue: try params.text("timeInForce")) else { throw .badTimeInForce }
            draft.timeInForce = value
        } else if params.has("timeInForce") {
            throw .notRequired("timeInforce")
        }
        guard let quantity = try gridded(
            params, "quantity", digits: rules.quantityDigits, step: rules.step, offGrid: Refusal(-4023, "Qty not increased by step size."))
        else { throw .mandatory("quantity") }
        draft.quantity = quantity
        draft.priceMatch = try params.optional("priceMatch") ?? "NONE"
        if type == "LIMIT" {
            let price = try gridded(params, "price", digits: rules.priceDigits, step: rules.tick, offGrid: Refusal(-4014, "Price not increased by tick size."))
            if draft.priceMatch != "NONE" {
                if price != nil { throw Refusal(-5038, "Price can not be sent with priceMatch.") }
                draft.price = try matched(draft.priceMatch, side, listing)
            } else {
                guard let price else { throw .mandatory("price") }
                draft.price = price
            }
        } else if params.has("price") {
            throw .notRequired("price")
        }
        for name in ["stopPrice", "callbackRate", "activationPrice"] where params.has(name) { throw .notRequired(name) }
        draft.reduceOnly = try reduceOnly(params, account)
        draft.clientID = try clientID(params, "newClientOrderId")
        draft.selfTrade = try selfTrade(params)
        draft.goodTill = try goodTill(params, draft.timeInForce)
        switch try params.optional("newOrderRespType") ?? "ACK" {
        case "ACK": draft.wantsResult = false
        case "RESULT": draft.wantsResult = true
        default: throw Refusal(-1136, "Invalid newOrderRespType.")
        }
        return draft
    }

    /// A price taken from the book: the other side's or the own, so many levels deep.
    private func matched(_ text: String, _ side: Side, _ listing: Listing) throws(Refusal) -> Int64 {
        let parts = text.split(separator: "_")
        guard let word = parts.first, word == "OPPONENT" || word == "QUEUE", let level = Int(parts.count > 1 ? String(parts[1]) : "1"), [1, 5, 10, 20].contains(level) else {
            throw Refusal(-5037, "Invalid price match.")
        }
        let levels = listing.book.depth(word == "QUEUE" ? side : side.opposite, level)
        guard let last = levels.last else { throw Refusal(-5039, "There is no price to match.") }
        return last.price
    }

    // MARK: checks against the market

    func check(_ draft: FuturesDraft, _ listing: Listing, _ account: Account) throws(Refusal) {
        let rules = listing.rules
        guard listing.status == "TRADING" else { throw Refusal(-4141, "Symbol is closed.") }
        if draft.quantity == 0 { throw Refusal(-4003, "Quantity less than or equal to zero.") }
        if draft.quantity < rules.minQuantity { throw Refusal(-4004, "Quantity less than min quantity.") }
        if draft.quantity > (draft.type == "MARKET" ? rules.mostMarket : rules.maxQuantity) { throw Refusal(-4005, "Quantity greater than max quantity.") }
        let mark = mark(listing, now)
        if draft.type == "LIMIT" {
            if draft.price == 0 { throw Refusal(-4001, "Price less than 0.") }
            if draft.price > rules.maxPrice { throw Refusal(-4002, "Price greater than max price.") }
            if draft.price < rules.minPrice { throw Refusal(-4013, "Price less than min price.") }
            let up = Int64(clamping: share(Int128(mark), rules.upFactor))
            let low = Int64(clamping: share(Int128(mark), rules.downFactor))
            if script == .market, draft.side == .buy, draft.price > up { throw Refusal(-4016, "Limit price can't be higher than \(decimalText(up, rules.priceDigits)).") }
            if script == .market, draft.side == .sell, draft.price < low { throw Refusal(-4024, "Limit price can't be lower than \(decimalText(low, rules.priceDigits)).") }
        }
        if let id = draft.clientID, isTaken(account, rules.name, id) { throw Refusal(-4116, "ClientOrderId is duplicated.") }
        if openOrders(account.number, rules.name).count >= rules.mostOrders { throw Refusal(-2025, "Reach max open order limit.") }
        let key = PositionKey(symbol: rules.name, side: draft.positionSide)
        let held = position(account, key)
        let onlyReduces = draft.reduceOnly || draft.positionSide == .long && draft.side == .sell || draft.positionSide == .short && draft.side == .buy
        if onlyReduces {
            let closable = draft.side == .sell ? max(0, held.amount) : max(0, -held.amount)
            if closable == 0 || draft.positionSide != .both && draft.quantity > closable { throw Refusal(-2022, "ReduceOnly Order is rejected.") }
        } else {
            let price = draft.type == "LIMIT" ? draft.price : mark
            if money(price, draft.quantity) < rules.minNotional {
                throw Refusal(-4164, "Order's notional must be no smaller than \(shortText(rules.minNotional)) (unless you choose reduce only).")
            }
            let estimate = listing.book.estimate(draft.side, quantity: draft.quantity, limit: nil)
            let expected = draft.type == "MARKET" && estimate.quantity > 0 ? Int64(clamping: estimate.money * Int128(one) / Int128(estimate.quantity)) : price
            guard affords(account, listing, draft.side, key, price: expected, quantity: draft.quantity) else { throw Refusal(-2019, "Margin is insufficient.") }
            let after = Int128((draft.side == .buy ? held.amount &+ draft.quantity : held.amount &- draft.quantity).magnitude)
            if after * Int128(price) / Int128(one) > Int128(mostNotional(rules, account.futures.leverage(rules.name))) * Int128(one), after > Int128(held.amount.magnitude) {
                throw Refusal(-2027, "Exceeded the maximum allowable position at current leverage.")
            }
        }
        guard script == .market else { return }
        let crosses = draft.side == .buy ? listing.book.bestAsk.map { draft.price >= $0 } ?? false : listing.book.bestBid.map { draft.price <= $0 } ?? false
        if draft.timeInForce == .gtx, crosses {
            throw Refusal(-5022, "Due to the order could not be executed as maker, the Post Only order will be rejected. The order will not be recorded in the order history")
        }
        if draft.timeInForce == .fok, listing.book.estimate(draft.side, quantity: draft.quantity, limit: draft.price).quantity < draft.quantity {
            throw Refusal(-5021, "Due to the order could not be filled immediately, the FOK order has been rejected. The order will not be recorded in the order history")
        }
    }

    func isTaken(_ account: Account, _ symbol: String, _ clientID: String) -> Bool {
        guard let id = byClient[key(account.number, symbol, clientID)] else { return false }
        return orders[id]?.status.isOpen ?? false
    }

    func place(_ draft: FuturesDraft, _ listing: Listing, _ account: Account) throws(Refusal) -> FuturesOrder {
        try check(draft, listing, account)
        let order = admit(
            account, listing, side: draft.side, positionSide: draft.positionSide, type: draft.type, timeInForce: draft.timeInForce, price: draft.price,
            quantity: draft.quantity, reduceOnly: draft.reduceOnly, closePosition: false, clientID: draft.clientID, selfTrade: draft.selfTrade,
            priceMatch: draft.priceMatch, goodTill: draft.goodTill)
        work(order, listing)
        checkAlgos(listing)
        tellAccounts("ORDER")
        return order
    }

    /// Another price and quantity: the order goes to the end of its new queue.
    func modify(_ order: FuturesOrder, price: Int64, quantity: Int64, _ account: Account) throws(Refusal) {
        guard let listing = listings[order.symbol] else { throw .badSymbol }
        guard order.type == "LIMIT" else { throw Refusal(-5024, "Only limit order is supported.") }
        if price == order.price, quantity == order.quantity { throw Refusal(-5027, "No need to modify the order.") }
        if quantity <= order.executed {
            end(order, .canceled, "CANCELED")
            return tellAccounts("ORDER")
        }
        let crosses = order.side == .buy ? listing.book.bestAsk.map { price >= $0 } ?? false : listing.book.bestBid.map { price <= $0 } ?? false
        if order.timeInForce == .gtx, crosses {
            end(order, .expired, "EXPIRED")
            return tellAccounts("ORDER")
        }
        var draft = FuturesDraft(side: order.side, positionSide: order.positionSide, type: "LIMIT")
        draft.price = price
        draft.quantity = quantity
        draft.reduceOnly = order.reduceOnly
        // Its own margin counts as free for the new terms.
        let (oldPrice, oldQuantity) = (order.price, order.quantity)
        order.quantity = order.executed
        do throws(Refusal) { try check(draft, listing, account) } catch {
            order.quantity = oldQuantity
            throw error
        }
        if order.isResting { listing.book.remove(order.side, price: oldPrice, order: order.id) }
        order.isResting = false
        order.price = price
        order.quantity = quantity
        order.updated = now
        emit(order.account, orderUpdate(order, "AMENDMENT"))
        execute(again: order, listing)
        checkAlgos(listing)
        tellAccounts("ORDER")
    }

    func find(_ account: Account, _ symbol: String, id: Int64?, clientID: String?) -> FuturesOrder? {
        if let id {
            guard let order = orders[id], order.account == account.number, order.symbol == symbol else { return nil }
            return order
        }
        guard let clientID, let id = byClient[key(account.number, symbol, clientID)] else { return nil }
        return orders[id]
    }
}
