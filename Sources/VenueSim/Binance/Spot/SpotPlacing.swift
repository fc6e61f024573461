// From parameters to an order: what must be sent, what must not, the filters, the money.

/// What a leg's parameters are called: "price" alone, "abovePrice" in a list.
struct LegNames {
    var prefix: String

    func callAsFunction(_ name: String) -> String {
        guard !prefix.isEmpty, let first = name.first else { return name }
        return prefix + first.uppercased() + name.dropFirst()
    }
    var clientID: String { prefix.isEmpty ? "newClientOrderId" : prefix + "ClientOrderId" }
}

/// An order as asked for, checked in itself but not yet against the market.
struct SpotDraft {
    var side: Side
    var type: SpotType
    var timeInForce: TimeInForce = .gtc
    var price: Int64 = 0
    var quantity: Int64 = 0
    var quoteQuantity: Int128 = 0
    var stopPrice: Int64 = 0
    var clientID: String?
    var selfTrade = SelfTrade.expireMaker
    var strategyID: Int64?
    var strategyType: Int64?
}

extension SpotEngine {
    static let clientIDRange = "^[a-zA-Z0-9-_]{1,36}$"

    static func isClientID(_ text: String) -> Bool {
        (1...36).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                byte >= 48 && byte <= 57 || byte >= 65 && byte <= 90 || byte >= 97 && byte <= 122 || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
            }
    }

    func clientID(_ params: Params, _ name: String) throws(Refusal) -> String? {
        guard let text = try params.optional(name) else { return nil }
        guard Self.isClientID(text) else { throw .illegal(name, Self.clientIDRange) }
        return text
    }

    func side(_ params: Params, _ name: String = "side") throws(Refusal) -> Side {
        guard let side = Side(rawValue: try params.text(name)) else { throw .badSide }
        return side
    }

    /// Reads one order. `side` and `quantity` are given by the list where they are not the leg's own.
    func draft(_ params: Params, _ names: LegNames = LegNames(prefix: ""), side given: Side? = nil, quantity listed: Int64? = nil) throws(Refusal) -> SpotDraft {
        var ownSide = given
        if ownSide == nil { ownSide = try side(params, names("side")) }
        guard let side = ownSide else { throw .badSide }
        guard let type = SpotType(rawValue: try params.text(names("type"))) else { throw .badType }
        var draft = SpotDraft(side: side, type: type)
        draft.clientID = try clientID(params, names.clientID)
        if type.hasTimeInForce {
            guard let value = TimeInForce(rawValue: try params.text(names("timeInForce"))), [.gtc, .ioc, .fok].contains(value) else { throw .badTimeInForce }
            draft.timeInForce = value
        } else if params.has(names("timeInForce")) {
            throw .notRequired(names("timeInForce"))
        }
        if type.hasPrice {
            draft.price = try params.decimal(names("price"))
        } else if params.has(names("price")) {
            throw .notRequired(names("price"))
        }
        if type.isConditional {
            if params.has(names("trailingDelta")) { throw .rejected("Trailing stop orders are not supported for this symbol.") }
            draft.stopPrice = try params.decimal(names("stopPrice"))
        } else if params.has(names("stopPrice")) {
            throw .notRequired(names("stopPrice"))
        }
        if let iceberg = try params.optionalDecimal(names("icebergQty")), iceberg > 0 { throw .rejected("Iceberg orders are not supported for this symbol.") }
        if params.has(names("pegPriceType")) { throw .rejected("Pegged orders are not supported for this symbol.") }
        if let listed {
            draft.quantity = listed
        } else if type == .market, params.has("quoteOrderQty") {
            if params.has("quantity") { throw .notRequired("quoteOrderQty") }
            draft.quoteQuantity = Int128(try params.decimal("quoteOrderQty"))
            guard draft.quoteQuantity > 0 else { throw .illegal("quoteOrderQty", "^([0-9]{1,20})(\\.[0-9]{1,20})?$") }
        } else {
            if params.has("quoteOrderQty") { throw .notRequired("quoteOrderQty") }
            draft.quantity = try params.decimal(names("quantity"))
        }
        if let text = try params.optional("selfTradePreventionMode") {
            guard let mode = SelfTrade(rawValue: text) else { throw Refusal(-1013, "This symbol does not allow the specified self-trade prevention mode.") }
            draft.selfTrade = mode
        }
        draft.strategyID = try params.optionalInt(names("strategyId"))
        draft.strategyType = try params.optionalInt(names("strategyType"))
        if let type = draft.strategyType, type < 1_000_000 { throw Refusal(-1134, "Parameter 'strategyType' was less than 1000000.") }
        return draft
    }

    // MARK: filters

    func openOrders(_ account: Int, _ symbol: String? = nil) -> [SpotOrder] {
        open.sorted().compactMap { orders[$0] }.filter { $0.account == account && (symbol == nil || $0.symbol == symbol) }
    }

    /// The filters of a symbol, in the order the exchange names them.
    func checkFilters(_ draft: SpotDraft, _ listing: Listing, _ account: Account, adding: Int = 1) throws(Refusal) {
        let rules = listing.rules
        for price in [draft.price, draft.stopPrice] where price > 0 {
            guard price >= rules.minPrice, price <= rules.maxPrice, price % rules.tick == 0 else { throw .filter("PRICE_FILTER") }
        }
        if draft.type.hasPrice, draft.price == 0 || draft.type.isConditional && draft.stopPrice == 0 { throw .filter("PRICE_FILTER") }
        if draft.type.isConditional, draft.stopPrice == 0 { throw .filter("PRICE_FILTER") }
        let average = listing.average(now)
        if draft.quoteQuantity == 0 {
            guard draft.quantity >= rules.minQuantity, draft.quantity <= rules.maxQuantity, draft.quantity % rules.step == 0 else { throw .filter("LOT_SIZE") }
            if !draft.type.hasPrice, draft.quantity > rules.mostMarket { throw .filter("MARKET_LOT_SIZE") }
        }
        if draft.type.hasPrice, script == .market {
            guard Int128(draft.price) <= share(Int128(average), rules.upFactor), Int128(draft.price) >= share(Int128(average), rules.downFactor) else {
                throw .filter("PERCENT_PRICE_BY_SIDE")
            }
        }
        let worth = draft.quoteQuantity > 0 ? draft.quoteQuantity : money(draft.type.hasPrice ? draft.price : average, draft.quantity)
        guard worth >= rules.minNotional, draft.type == .market || worth <= rules.maxNotional else { throw .filter("NOTIONAL") }
        let openNow = openOrders(account.number, rules.name)
        if openNow.count + adding > rules.mostOrders { throw .filter("MAX_NUM_ORDERS") }
        if draft.type.isConditional, openNow.lazy.filter({ $0.type.isConditional && !$0.isTriggered }).count >= rules.mostAlgo {
            throw .filter("MAX_NUM_ALGO_ORDERS")
        }
    }

    // MARK: placing

    /// Everything that can be said without changing anything.
    func check(_ draft: SpotDraft, _ listing: Listing, _ account: Account) throws(Refusal) {
        guard listing.status == "TRADING" else { throw .rejected("Market is closed.") }
        try checkFilters(draft, listing, account)
        if let id = draft.clientID, isTaken(id, account, listing) { throw .duplicate }
        try checkMarket(draft, listing)
        let (asset, amount) = try cost(draft, listing)
        guard account.free(asset) >= amount else { throw .insufficient }
    }

    func isTaken(_ clientID: String, _ account: Account, _ listing: Listing) -> Bool {
        guard let id = byClient[key(account.number, listing.rules.name, clientID)] else { return false }
        return orders[id]?.status.isOpen ?? false
    }

    func checkMarket(_ draft: SpotDraft, _ listing: Listing) throws(Refusal) {
        guard script == .market else { return }
        if draft.type.isConditional {
            let waitsForRise = draft.type.isStop == (draft.side == .buy)
            let last = listing.last(now)
            if waitsForRise ? last >= draft.stopPrice : last <= draft.stopPrice { throw .wouldTrigger }
        }
        if draft.type == .limitMaker, crosses(draft.side, draft.price, listing) { throw .wouldTake }
    }

    func crosses(_ side: Side, _ price: Int64, _ listing: Listing) -> Bool {
        switch side {
        case .buy: listing.book.bestAsk.map { price >= $0 } ?? false
        case .sell: listing.book.bestBid.map { price <= $0 } ?? false
        }
    }

    /// What an order holds back: the asset and how much of it.
    func cost(_ draft: SpotDraft, _ listing: Listing) throws(Refusal) -> (asset: String, amount: Int128) {
        let rules = listing.rules
        switch (draft.side, draft.type) {
        case (.buy, .market) where draft.quoteQuantity > 0: return (rules.quote, draft.quoteQuantity)
        case (.buy, .market): return (rules.quote, listing.book.estimate(.buy, quantity: draft.quantity, limit: nil).money)
        case (.buy, .stopLoss), (.buy, .takeProfit): return (rules.quote, money(draft.stopPrice, draft.quantity))
        case (.buy, _): return (rules.quote, money(draft.price, draft.quantity))
        case (.sell, .market) where draft.quoteQuantity > 0:
            guard let best = listing.book.bestBid else { return (rules.base, 0) }
            let most = lots(draft.quoteQuantity, at: best, step: rules.step)
            if most == 0 { throw .filter("LOT_SIZE") }
            // Worse levels need more of the base for the same money.
            var left = draft.quoteQuantity
            var quantity: Int64 = 0
            for level in listing.book.bids.reversed() where left > 0 {
                let part = min(level.total, lots(left, at: level.price, step: rules.step))
                if part == 0 { break }
                quantity += part
                left -= money(level.price, part)
            }
            return (rules.base, Int128(quantity))
        case (.sell, _): return (rules.base, Int128(draft.quantity))
        }
    }

    func key(_ account: Int, _ symbol: String, _ clientID: String) -> String { "\(account)|\(symbol)|\(clientID)" }

    /// An id for who sent none: twenty-two characters, different for each order.
    func generatedID(_ number: Int64) -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
        var bits = mixed(seed, "client", number)
        var more = mixed(seed, "id", number)
        var text: [UInt8] = []
        for place in 0..<22 {
            text.append(letters[Int((place < 11 ? bits : more) % 62)])
            if place < 11 { bits /= 41 } else { more /= 41 }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Takes an order into the books, with its money, without letting it work yet.
    func admit(_ draft: SpotDraft, _ listing: Listing, _ account: Account, lock: Int128) -> SpotOrder {
        let id = nextOrder
        nextOrder += 1
        let order = SpotOrder(
            id: id, account: account.number, symbol: listing.rules.name, clientID: draft.clientID ?? generatedID(id), side: draft.side, type: draft.type,
            timeInForce: draft.timeInForce, price: draft.price, quantity: draft.quantity, quoteQuantity: draft.quoteQuantity, stopPrice: draft.stopPrice,
            selfTrade: draft.selfTrade, time: now)
        order.strategyID = draft.strategyID
        order.strategyType = draft.strategyType
        orders[id] = order
        byClient[key(account.number, order.symbol, order.clientID)] = id
        open.insert(id)
        let asset = draft.side == .buy ? listing.rules.quote : listing.rules.base
        if lock != 0 {
            account.change(asset, free: -lock, locked: lock)
            order.locked = lock
            account.spotUpdated = now
        }
        touch(account.number, listing.rules.base, listing.rules.quote)
        return order
    }

    /// Lets an admitted order begin: on the book, waiting for its price, or taking at once.
    func begin(_ order: SpotOrder, _ listing: Listing) {
        if order.type.isConditional { waiting[order.symbol, default: []].append(order.id) } else { order.workingTime = now }
        emit(order.account, report(order, "NEW"))
        if !order.type.isConditional { work(order, listing) }
    }

    func place(_ draft: SpotDraft, _ listing: Listing, _ account: Account) throws(Refusal) -> SpotOrder {
        try check(draft, listing, account)
        let order = admit(draft, listing, account, lock: try cost(draft, listing).amount)
        begin(order, listing)
        checkStops(listing)
        tellBalances()
        return order
    }

    // MARK: finding and cancelling

    func find(_ account: Account, _ symbol: String, id: Int64?, clientID: String?) -> SpotOrder? {
        if let id {
            guard let order = orders[id], order.account == account.number, order.symbol == symbol else { return nil }
            if let clientID, order.clientID != clientID { return nil }
            return order
        }
        guard let clientID, let id = byClient[key(account.number, symbol, clientID)] else { return nil }
        return orders[id]
    }

    /// Cancels an open order; a member of a list takes the whole list with it. Returns what the answer is made of.
    func cancel(_ order: SpotOrder, cancelID: String) {
        if order.list >= 0, let list = lists[order.list] { return cancelList(list, cancelID: cancelID) }
        end(order, .canceled, "CANCELED", cancelID: cancelID)
        tellBalances()
    }

    /// Makes an order smaller in its place.
    func amend(_ order: SpotOrder, to quantity: Int64, clientID: String?) throws(Refusal) {
        guard let listing = listings[order.symbol] else { throw .badSymbol }
        guard quantity < order.quantity else { throw Refusal(-2038, "Order amend (quantity increase) is not supported.") }
        guard quantity > order.executed, quantity >= listing.rules.minQuantity, quantity % listing.rules.step == 0 else { throw .filter("LOT_SIZE") }
        guard order.amends < listing.rules.mostAmends else { throw .filter("MAX_NUM_ORDER_AMENDS") }
        order.amends += 1
        let less = order.quantity - quantity
        order.quantity = quantity
        order.updated = now
        if order.isTriggered, order.isWorking { listing.book.shrink(order.side, price: order.price, order: order.id, to: order.remaining) }
        let freed = order.side == .buy ? money(order.price, less) : Int128(less)
        unlock(order, listing.rules, min(freed, order.locked))
        if let clientID {
            order.clientID = clientID
            byClient[key(order.account, order.symbol, clientID)] = order.id
        }
        emit(order.account, report(order, "REPLACED"))
        tellBalances()
    }
}
