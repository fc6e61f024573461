import PluginKit

enum FuturesRoutes {
    private static func bySymbol(_ single: Int64, _ all: Int64) -> @Sendable (Params) -> Int64 { { $0.has("symbol") ? single : all } }

    private static let barWeight: @Sendable (Params) -> Int64 = { params in
        let limit = params.peek("limit").flatMap { Int64($0) } ?? 500
        return limit < 100 ? 1 : limit < 500 ? 2 : limit <= 1000 ? 5 : 10
    }

    static let table: [String: Route] = {
        var table: [String: Route] = [:]
        market(&table)
        research(&table)
        orders(&table)
        account(&table)
        return table
    }()

    private static func market(_ table: inout [String: Route]) {
        table["GET /fapi/v1/ping"] = .open { _, _ in Out.object { _ in } }
        table["GET /fapi/v1/time"] = .open { exchange, _ in Out.object { $0.int("serverTime", exchange.now + exchange.skew) } }
        table["GET /fapi/v1/exchangeInfo"] = .open { exchange, _ in exchange.futures.exchangeInfo(limits: exchange.futuresLimits.described) }
        table["GET /fapi/v1/depth"] = .open({ params in
            let limit = params.peek("limit").flatMap { Int64($0) } ?? 500
            return limit <= 50 ? 2 : limit <= 100 ? 5 : limit <= 500 ? 10 : 20
        }) { exchange, params throws(Refusal) in try exchange.futures.depth(params) }
        let trades = Route.open(5) { exchange, params throws(Refusal) in try exchange.futures.listing(try params.text("symbol")).trades(params, isSpot: false) }
        table["GET /fapi/v1/trades"] = trades
        table["GET /fapi/v1/historicalTrades"] = .keyed(200) { exchange, _, params throws(Refusal) in
            try exchange.futures.listing(try params.text("symbol")).trades(params, isSpot: false)
        }
        table["GET /fapi/v1/aggTrades"] = .open(20) { exchange, params throws(Refusal) in
            try exchange.futures.listing(try params.text("symbol")).aggregates(params, isSpot: false)
        }
        table["GET /fapi/v1/klines"] = .open(barWeight) { exchange, params throws(Refusal) in
            try exchange.futures.listing(try params.text("symbol")).klines(params, now: exchange.now, most: 1500, isStrict: true, seconds: false)
        }
        table["GET /fapi/v1/continuousKlines"] = .open(barWeight) { exchange, params throws(Refusal) in
            guard try params.text("contractType") == "PERPETUAL" else { throw .badSymbol }
            return try exchange.futures.listing(try params.text("pair")).klines(params, now: exchange.now, most: 1500, isStrict: true, seconds: false)
        }
        table["GET /fapi/v1/markPriceKlines"] = .open(barWeight) { exchange, params throws(Refusal) in
            try exchange.futures.priceBars(params, symbol: try params.text("symbol")) { exchange.futures.mark($0, $1) }
        }
        table["GET /fapi/v1/indexPriceKlines"] = .open(barWeight) { exchange, params throws(Refusal) in
            try exchange.futures.priceBars(params, symbol: try params.text("pair")) { exchange.futures.index($0, $1) }
        }
        table["GET /fapi/v1/premiumIndexKlines"] = .open(barWeight) { exchange, params throws(Refusal) in
            try exchange.futures.priceBars(params, symbol: try params.text("symbol")) { listing, time in
                let index = exchange.futures.index(listing, time)
                return Int64(clamping: Int128(exchange.futures.mark(listing, time) - index) * Int128(one) / Int128(max(index, 1)))
            }
        }
        table["GET /fapi/v1/premiumIndex"] = .open(bySymbol(1, 10)) { exchange, params throws(Refusal) in try exchange.futures.premium(params) }
        table["GET /fapi/v1/fundingRate"] = .open(0) { exchange, params throws(Refusal) in try exchange.futures.fundingHistory(params) }
        table["GET /fapi/v1/fundingInfo"] = .open(0) { _, _ in Out.list([Out]()) }
        table["GET /fapi/v1/openInterest"] = .open { exchange, params throws(Refusal) in try exchange.futures.openInterestCall(params) }
        table["GET /fapi/v1/ticker/24hr"] = .open(bySymbol(1, 40)) { exchange, params throws(Refusal) in
            try exchange.futures.each(params) { $0.ticker(exchange.now, isSpot: false) }
        }
        for path in ["/fapi/v1/ticker/price", "/fapi/v2/ticker/price"] {
            table["GET \(path)"] = .open(bySymbol(1, 2)) { exchange, params throws(Refusal) in try exchange.futures.tickerPrice(params) }
        }
        table["GET /fapi/v1/ticker/bookTicker"] = .open(bySymbol(2, 5)) { exchange, params throws(Refusal) in try exchange.futures.tickerBook(params) }
    }

    private static func research(_ table: inout [String: Route]) {
        table["GET /futures/data/openInterestHist"] = .open(0) { exchange, params throws(Refusal) in try exchange.futures.openInterestHistory(params) }
        for name in ["globalLongShortAccountRatio", "topLongShortAccountRatio", "topLongShortPositionRatio"] {
            table["GET /futures/data/\(name)"] = .open(0) { exchange, params throws(Refusal) in try exchange.futures.ratio(params, name) }
        }
        table["GET /futures/data/takerlongshortRatio"] = .open(0) { exchange, params throws(Refusal) in try exchange.futures.takerRatio(params) }
        table["GET /futures/data/basis"] = .open(0) { exchange, params throws(Refusal) in try exchange.futures.basis(params) }
    }

    private static func orders(_ table: inout [String: Route]) {
        table["POST /fapi/v1/order"] = .order(0, slots: [1]) { exchange, account, params throws(Refusal) in try exchange.futures.newOrder(account, params) }
        table["POST /fapi/v1/order/test"] = .signed(1) { exchange, account, params throws(Refusal) in try exchange.futures.newOrder(account, params, isTest: true) }
        table["PUT /fapi/v1/order"] = .order(1, slots: [1]) { exchange, account, params throws(Refusal) in try exchange.futures.modifyOrder(account, params) }
        table["GET /fapi/v1/order"] = .signed(1) { exchange, account, params throws(Refusal) in try exchange.futures.queryOrder(account, params) }
        table["DELETE /fapi/v1/order"] = .order(1) { exchange, account, params throws(Refusal) in try exchange.futures.cancelOrder(account, params) }
        table["POST /fapi/v1/batchOrders"] = .order(5, slots: [5, 1]) { exchange, account, params throws(Refusal) in
            try exchange.futures.batch(account, params) { one throws(Refusal) in try exchange.futures.newOrder(account, one) }
        }
        table["PUT /fapi/v1/batchOrders"] = .order(5, slots: [5, 1]) { exchange, account, params throws(Refusal) in
            try exchange.futures.batch(account, params) { one throws(Refusal) in try exchange.futures.modifyOrder(account, one) }
        }
        table["DELETE /fapi/v1/batchOrders"] = .order(1) { exchange, account, params throws(Refusal) in try exchange.futures.cancelBatch(account, params) }
        table["GET /fapi/v1/openOrder"] = .signed(1) { exchange, account, params throws(Refusal) in try exchange.futures.queryOrder(account, params, onlyOpen: true) }
        table["GET /fapi/v1/openOrders"] = .signed(bySymbol(1, 40)) { exchange, account, params throws(Refusal) in try exchange.futures.openOrdersCall(account, params) }
        table["GET /fapi/v1/allOrders"] = .signed(5) { exchange, account, params throws(Refusal) in try exchange.futures.allOrders(account, params) }
        table["DELETE /fapi/v1/allOpenOrders"] = .order(1) { exchange, account, params throws(Refusal) in try exchange.futures.cancelAll(account, params) }
        table["POST /fapi/v1/countdownCancelAll"] = .signed(10) { exchange, account, params throws(Refusal) in try exchange.futures.countdown(account, params) }
        table["GET /fapi/v1/userTrades"] = .signed(5) { exchange, account, params throws(Refusal) in try exchange.futures.userTrades(account, params) }
        table["GET /fapi/v1/rateLimit/order"] = .signed(1) { exchange, account, _ throws(Refusal) in
            Out.list(exchange.futuresLimits.orderRows(account.number, now: exchange.now))
        }
        table["POST /fapi/v1/algoOrder"] = .order(0, slots: [1]) { exchange, account, params throws(Refusal) in
            exchange.futures.described(try exchange.futures.placeAlgo(account, params))
        }
        table["GET /fapi/v1/algoOrder"] = .signed(1) { exchange, account, params throws(Refusal) in
            guard let algo = try exchange.futures.findAlgo(account, params) else { throw .noSuchOrder }
            return exchange.futures.described(algo)
        }
        table["DELETE /fapi/v1/algoOrder"] = .order(1) { exchange, account, params throws(Refusal) in try exchange.futures.cancelAlgo(account, params) }
        table["DELETE /fapi/v1/algoOpenOrders"] = .order(1) { exchange, account, params throws(Refusal) in try exchange.futures.cancelAlgos(account, params) }
        table["GET /fapi/v1/openAlgoOrders"] = .signed(bySymbol(1, 40)) { exchange, account, params throws(Refusal) in
            try exchange.futures.algosCall(account, params, onlyOpen: true)
        }
        table["GET /fapi/v1/allAlgoOrders"] = .signed(5) { exchange, account, params throws(Refusal) in
            try exchange.futures.algosCall(account, params, onlyOpen: false)
        }
        table["GET /fapi/v1/forceOrders"] = .signed(bySymbol(20, 50)) { exchange, account, _ throws(Refusal) in
            Out.list(exchange.futures.orders.values.filter { $0.account == account.number && $0.type == "LIQUIDATION" }.sorted { $0.id < $1.id }) {
                exchange.futures.described($0, isQuery: true)
            }
        }
    }

    private static func account(_ table: inout [String: Route]) {
        for version in [2, 3] {
            table["GET /fapi/v\(version)/account"] = .signed(5) { exchange, account, _ throws(Refusal) in exchange.futures.accountAnswer(account, version: version) }
            table["GET /fapi/v\(version)/balance"] = .signed(5) { exchange, account, _ throws(Refusal) in exchange.futures.balances(account) }
            table["GET /fapi/v\(version)/positionRisk"] = .signed(5) { exchange, account, params throws(Refusal) in
                try exchange.futures.positionRisk(account, params, version: version)
            }
        }
        table["GET /fapi/v1/accountConfig"] = .signed(5) { exchange, account, _ throws(Refusal) in Out.object { exchange.futures.config(account, &$0) } }
        table["GET /fapi/v1/symbolConfig"] = .signed(5) { exchange, account, params throws(Refusal) in try exchange.futures.symbolConfig(account, params) }
        table["GET /fapi/v1/commissionRate"] = .signed(20) { exchange, account, params throws(Refusal) in
            let name = try exchange.futures.listing(try params.text("symbol")).rules.name
            return Out.object { out in
                out.text("symbol", name)
                out.decimal("makerCommissionRate", account.futuresMakerRate, 6)
                out.decimal("takerCommissionRate", account.futuresTakerRate, 6)
                out.decimal("rpiCommissionRate", 0, 6)
            }
        }
        table["GET /fapi/v1/income"] = .signed(30) { exchange, account, params throws(Refusal) in try exchange.futures.income(account, params) }
        table["GET /fapi/v1/leverageBracket"] = .signed(1) { exchange, _, params throws(Refusal) in try exchange.futures.brackets(params) }
        table["POST /fapi/v1/leverage"] = .signed(1) { exchange, account, params throws(Refusal) in try exchange.futures.setLeverage(account, params) }
        table["POST /fapi/v1/marginType"] = .signed(1) { exchange, account, params throws(Refusal) in try exchange.futures.setMarginType(account, params) }
        table["POST /fapi/v1/positionMargin"] = .signed(1) { exchange, account, params throws(Refusal) in try exchange.futures.setPositionMargin(account, params) }
        table["POST /fapi/v1/positionSide/dual"] = .signed(1) { exchange, account, params throws(Refusal) in try exchange.futures.setDual(account, params) }
        table["GET /fapi/v1/positionSide/dual"] = .signed(30) { _, account, _ throws(Refusal) in Out.object { $0.bool("dualSidePosition", account.futures.isDual) } }
        table["GET /fapi/v1/multiAssetsMargin"] = .signed(30) { _, _, _ throws(Refusal) in Out.object { $0.bool("multiAssetsMargin", false) } }
        table["POST /fapi/v1/multiAssetsMargin"] = .signed(1) { exchange, _, params throws(Refusal) in
            if try params.text("multiAssetsMargin") == "true" { throw Refusal(-4167, "Unable to adjust to Multi-Assets mode here.") }
            throw Refusal(-4171, "No need to change multi-assets mode.")
        }
        table["GET /fapi/v1/feeBurn"] = .signed(30) { _, _, _ throws(Refusal) in Out.object { $0.bool("feeBurn", false) } }
        table["GET /fapi/v1/adlQuantile"] = .signed(5) { _, _, _ throws(Refusal) in Out.list([Out]()) }
    }

    /// WebSocket API methods are the same calls under other names. The listen key's are the socket's own.
    static let methods: [String: String] = [
        "ping": "GET /fapi/v1/ping", "time": "GET /fapi/v1/time", "depth": "GET /fapi/v1/depth", "ticker.price": "GET /fapi/v2/ticker/price",
        "ticker.book": "GET /fapi/v1/ticker/bookTicker", "order.place": "POST /fapi/v1/order", "order.modify": "PUT /fapi/v1/order",
        "order.cancel": "DELETE /fapi/v1/order", "order.status": "GET /fapi/v1/order", "algoOrder.place": "POST /fapi/v1/algoOrder",
        "algoOrder.cancel": "DELETE /fapi/v1/algoOrder", "account.status": "GET /fapi/v3/account", "v2/account.status": "GET /fapi/v3/account",
        "account.balance": "GET /fapi/v3/balance", "v2/account.balance": "GET /fapi/v3/balance", "account.position": "GET /fapi/v3/positionRisk",
        "v2/account.position": "GET /fapi/v3/positionRisk",
    ]
}
