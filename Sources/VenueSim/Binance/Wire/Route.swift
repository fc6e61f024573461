import PluginKit

/// One endpoint: what it takes to call it, what it costs, what it does.
struct Route: Sendable {
    enum Security: Sendable { case open, key, signed }

    typealias Work = @Sendable (Exchange, Account, Params) throws(Refusal) -> Out

    var security: Security
    var weight: @Sendable (Params) -> Int64
    /// A placement or cancellation: costs nothing when it succeeds (spot), and faults of orders apply to it.
    var isOrder = false
    /// Slots it takes from the order limits, by window.
    var slots: @Sendable (Params) -> [Int64] = { _ in [] }
    var work: Work

    static func open(_ weight: Int64 = 1, _ work: @escaping @Sendable (Exchange, Params) throws(Refusal) -> Out) -> Route {
        Route(security: .open, weight: { _ in weight }, work: { exchange, _, params throws(Refusal) in try work(exchange, params) })
    }

    static func open(_ weight: @escaping @Sendable (Params) -> Int64, _ work: @escaping @Sendable (Exchange, Params) throws(Refusal) -> Out) -> Route {
        Route(security: .open, weight: weight, work: { exchange, _, params throws(Refusal) in try work(exchange, params) })
    }

    static func signed(_ weight: Int64, _ work: @escaping Work) -> Route { Route(security: .signed, weight: { _ in weight }, work: work) }
    static func signed(_ weight: @escaping @Sendable (Params) -> Int64, _ work: @escaping Work) -> Route { Route(security: .signed, weight: weight, work: work) }
    static func keyed(_ weight: Int64, _ work: @escaping Work) -> Route { Route(security: .key, weight: { _ in weight }, work: work) }

    static func order(_ weight: Int64, slots: [Int64] = [], _ work: @escaping Work) -> Route {
        Route(security: .signed, weight: { _ in weight }, isOrder: true, slots: { _ in slots }, work: work)
    }
}

enum SpotRoutes {
    /// One symbol or many.
    private static func bySymbols(_ single: Int64, _ many: Int64) -> @Sendable (Params) -> Int64 { { $0.has("symbol") ? single : many } }

    static let table: [String: Route] = {
        var table: [String: Route] = [
            "GET /api/v3/ping": .open { _, _ in Out.object { _ in } },
            "GET /api/v3/time": .open { exchange, _ in Out.object { $0.int("serverTime", exchange.now) } },
            "GET /api/v3/exchangeInfo": .open(20) { exchange, params throws(Refusal) in try exchange.spot.exchangeInfo(params, limits: exchange.spotLimits.described) },
            "GET /api/v3/depth": .open({ params in
                let limit = params.peek("limit").flatMap { Int64($0) } ?? 100
                return limit <= 100 ? 5 : limit <= 500 ? 25 : limit <= 1000 ? 50 : 250
            }) { exchange, params throws(Refusal) in try exchange.spot.depth(params) },
            "GET /api/v3/trades": .open(25) { exchange, params throws(Refusal) in try exchange.spot.listing(try params.text("symbol")).trades(params, isSpot: true) },
            "GET /api/v3/aggTrades": .open(4) { exchange, params throws(Refusal) in try exchange.spot.listing(try params.text("symbol")).aggregates(params, isSpot: true) },
            "GET /api/v3/avgPrice": .open(2) { exchange, params throws(Refusal) in try exchange.spot.averagePrice(params) },
            "GET /api/v3/ticker/24hr": .open(bySymbols(2, 80)) { exchange, params throws(Refusal) in try exchange.spot.ticker24(params) },
            "GET /api/v3/ticker/price": .open(bySymbols(2, 4)) { exchange, params throws(Refusal) in try exchange.spot.tickerPrice(params) },
            "GET /api/v3/ticker/bookTicker": .open(bySymbols(2, 4)) { exchange, params throws(Refusal) in try exchange.spot.tickerBook(params) },
        ]
        let klines = Route.open(2) { exchange, params throws(Refusal) in
            try exchange.spot.listing(try params.text("symbol")).klines(params, now: exchange.now, most: 1000, isStrict: false, seconds: true)
        }
        table["GET /api/v3/klines"] = klines
        table["GET /api/v3/uiKlines"] = klines
        table["GET /api/v3/historicalTrades"] = table["GET /api/v3/trades"]

        table["POST /api/v3/order"] = .order(1, slots: [1]) { exchange, account, params throws(Refusal) in
            try exchange.spot.newOrder(account, params, strict: exchange.refusesUnknown)
        }
        table["POST /api/v3/order/test"] = .signed({ $0.peek("computeCommissionRates") == "true" ? 20 : 1 }) { exchange, account, params throws(Refusal) in
            try exchange.spot.newOrder(account, params, isTest: true, strict: exchange.refusesUnknown)
        }
        table["GET /api/v3/order"] = .signed(4) { exchange, account, params throws(Refusal) in try exchange.spot.queryOrder(account, params) }
        table["DELETE /api/v3/order"] = .order(1) { exchange, account, params throws(Refusal) in try exchange.spot.cancelOrder(account, params) }
        table["GET /api/v3/openOrders"] = .signed(bySymbols(6, 80)) { exchange, account, params throws(Refusal) in try exchange.spot.openOrdersCall(account, params) }
        table["DELETE /api/v3/openOrders"] = .order(1) { exchange, account, params throws(Refusal) in try exchange.spot.cancelAll(account, params) }
        table["GET /api/v3/allOrders"] = .signed(20) { exchange, account, params throws(Refusal) in try exchange.spot.allOrders(account, params) }
        table["POST /api/v3/order/cancelReplace"] = .order(1) { exchange, account, params throws(Refusal) in
            try exchange.spot.cancelReplace(account, params) { () throws(Refusal) in try exchange.spotLimits.takeOrders(account.number, [1], now: exchange.now) }
        }
        table["PUT /api/v3/order/amend/keepPriority"] = .order(4) { exchange, account, params throws(Refusal) in try exchange.spot.amendOrder(account, params) }
        table["POST /api/v3/orderList/oco"] = .order(1, slots: [2]) { exchange, account, params throws(Refusal) in try exchange.spot.newPair(account, params) }
        table["POST /api/v3/order/oco"] = .order(1, slots: [2]) { exchange, account, params throws(Refusal) in try exchange.spot.newOldPair(account, params) }
        table["POST /api/v3/orderList/oto"] = .order(1, slots: [2]) { exchange, account, params throws(Refusal) in try exchange.spot.newChain(account, params, isPair: false) }
        table["POST /api/v3/orderList/otoco"] = .order(1, slots: [3]) { exchange, account, params throws(Refusal) in try exchange.spot.newChain(account, params, isPair: true) }
        table["GET /api/v3/orderList"] = .signed(4) { exchange, account, params throws(Refusal) in try exchange.spot.queryList(account, params) }
        table["DELETE /api/v3/orderList"] = .order(1) { exchange, account, params throws(Refusal) in try exchange.spot.cancelListCall(account, params) }
        table["GET /api/v3/allOrderList"] = .signed(20) { exchange, account, params throws(Refusal) in try exchange.spot.allLists(account, params, isOpen: false) }
        table["GET /api/v3/openOrderList"] = .signed(6) { exchange, account, params throws(Refusal) in try exchange.spot.allLists(account, params, isOpen: true) }
        table["GET /api/v3/myTrades"] = .signed({ $0.has("orderId") ? 5 : 20 }) { exchange, account, params throws(Refusal) in try exchange.spot.myTrades(account, params) }
        table["GET /api/v3/account"] = .signed(20) { exchange, account, params throws(Refusal) in try exchange.spot.accountCall(account, params) }
        table["GET /api/v3/account/commission"] = .signed(20) { exchange, account, params throws(Refusal) in try exchange.spot.commissionCall(account, params) }
        table["GET /api/v3/rateLimit/order"] = .signed(40) { exchange, account, _ throws(Refusal) in
            Out.list(exchange.spotLimits.orderRows(account.number, now: exchange.now))
        }
        table["GET /api/v3/myFilters"] = .signed(40) { exchange, _, params throws(Refusal) in
            let listing = try exchange.spot.listing(try params.text("symbol"))
            return Out.object { out in
                out.put("exchangeFilters", Out.list([Out]()))
                out.put("symbolFilters", SpotEngine.filters(listing.rules))
                out.put("assetFilters", Out.list([Out]()))
            }
        }
        for path in ["/api/v3/myPreventedMatches", "/api/v3/myAllocations", "/api/v3/order/amendments"] {
            table["GET \(path)"] = .signed(20) { _, _, _ in Out.list([Out]()) }
        }
        // What clients ask for while they load: nothing there.
        for path in ["/sapi/v1/capital/config/getall", "/sapi/v1/margin/allPairs", "/sapi/v1/margin/isolated/allPairs"] {
            table["GET \(path)"] = .open { _, _ in Out.list([Out]()) }
        }
        table["GET /dapi/v1/exchangeInfo"] = .open { exchange, _ in
            Out.object { out in
                out.text("timezone", "UTC")
                out.int("serverTime", exchange.now)
                out.put("rateLimits", Out.list([Out]()))
                out.put("exchangeFilters", Out.list([Out]()))
                out.put("symbols", Out.list([Out]()))
            }
        }
        return table
    }()

    /// WebSocket API methods are the same calls under other names.
    static let methods: [String: String] = [
        "ping": "GET /api/v3/ping", "time": "GET /api/v3/time", "exchangeInfo": "GET /api/v3/exchangeInfo", "depth": "GET /api/v3/depth",
        "trades.recent": "GET /api/v3/trades", "trades.historical": "GET /api/v3/historicalTrades", "trades.aggregate": "GET /api/v3/aggTrades",
        "klines": "GET /api/v3/klines", "uiKlines": "GET /api/v3/uiKlines", "avgPrice": "GET /api/v3/avgPrice", "ticker.24hr": "GET /api/v3/ticker/24hr",
        "ticker.price": "GET /api/v3/ticker/price", "ticker.book": "GET /api/v3/ticker/bookTicker", "order.place": "POST /api/v3/order",
        "order.test": "POST /api/v3/order/test", "order.status": "GET /api/v3/order", "order.cancel": "DELETE /api/v3/order",
        "order.cancelReplace": "POST /api/v3/order/cancelReplace", "order.amend.keepPriority": "PUT /api/v3/order/amend/keepPriority",
        "openOrders.status": "GET /api/v3/openOrders", "openOrders.cancelAll": "DELETE /api/v3/openOrders", "allOrders": "GET /api/v3/allOrders",
        "orderList.place": "POST /api/v3/order/oco", "orderList.place.oco": "POST /api/v3/orderList/oco", "orderList.place.oto": "POST /api/v3/orderList/oto",
        "orderList.place.otoco": "POST /api/v3/orderList/otoco", "orderList.cancel": "DELETE /api/v3/orderList", "orderList.status": "GET /api/v3/orderList",
        "openOrderLists.status": "GET /api/v3/openOrderList", "allOrderLists": "GET /api/v3/allOrderList", "myTrades": "GET /api/v3/myTrades",
        "account.status": "GET /api/v3/account", "account.commission": "GET /api/v3/account/commission",
        "account.rateLimits.orders": "GET /api/v3/rateLimit/order", "myFilters": "GET /api/v3/myFilters",
        "myPreventedMatches": "GET /api/v3/myPreventedMatches", "myAllocations": "GET /api/v3/myAllocations", "order.amendments": "GET /api/v3/order/amendments",
    ]
}
