import PluginKit
import Testing

@testable import BinanceExchange

@Suite struct SpotOrderTests {
    static let order = "/api/v3/order"

    func limit(_ bench: Bench, _ name: String, _ side: String, _ quantity: String, _ price: String, _ type: String = "LIMIT", _ tif: String = "GTC") throws -> JSONValue {
        try bench.done(name, "POST", Self.order, ["symbol": "BTCUSDT", "side": side, "type": type, "timeInForce": tif, "quantity": quantity, "price": price])
    }

    @Test func anOrderRestsLocksAndGivesBack() throws {
        let bench = try Bench(houseIsOpen: false)
        let placed = try limit(bench, "alice", "BUY", "0.5", "80000")
        #expect(placed.text("status") == "NEW" && placed.find("fills")?.count == 0)
        #expect(try bench.locked("alice", "USDT") == "40000.00000000")
        #expect(try bench.free("alice", "USDT") == "60000.00000000")
        let canceled = try bench.done("alice", "DELETE", Self.order, ["symbol": "BTCUSDT", "orderId": placed.text("orderId"), "newClientOrderId": "mine"])
        // The cancel's own id stands where the order's was.
        #expect(canceled.text("clientOrderId") == "mine" && canceled.text("origClientOrderId") == placed.text("clientOrderId"))
        #expect(try bench.locked("alice", "USDT") == "0.00000000")
        #expect(try bench.story("alice") == ["NEW NEW", "outboundAccountPosition", "CANCELED CANCELED", "outboundAccountPosition"])
        #expect(try bench.refused("alice", "DELETE", Self.order, ["symbol": "BTCUSDT", "orderId": placed.text("orderId")]) == "-2011 Unknown order sent.")
        #expect(try bench.refused("alice", "GET", Self.order, ["symbol": "BTCUSDT", "orderId": "99"]) == "-2013 Order does not exist.")
        #expect(try bench.refused("bob", "GET", Self.order, ["symbol": "BTCUSDT", "orderId": placed.text("orderId")]) == "-2013 Order does not exist.")
    }

    /// Fees are a thousandth of what is received, cut to eight decimals; the worked example of the protocol's page.
    @Test func feesComeOutOfTheReceivedAsset() throws {
        let bench = try Bench(houseIsOpen: false)
        _ = try limit(bench, "bob", "SELL", "0.001", "90000")
        _ = try limit(bench, "bob", "SELL", "0.001", "90003")
        let bought = try bench.done("alice", "POST", Self.order, ["symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.002"])
        #expect(bought.text("status") == "FILLED" && bought.text("cummulativeQuoteQty") == "180.00300000" && bought.text("executedQty") == "0.00200000")
        let fills = try #require(bought.find("fills")?.asList)
        #expect(fills.map { $0.text("commission") } == ["0.00000100", "0.00000100"])
        #expect(fills.map { $0.text("commissionAsset") } == ["BTC", "BTC"])
        #expect(try bench.free("alice", "BTC") == "2.00199800")
        #expect(try bench.free("alice", "USDT") == "99819.99700000")
        // 90.000 and 90.003, less a thousandth each.
        #expect(try bench.free("bob", "USDT") == "100179.82299700")
        #expect(try bench.free("bob", "BTC") == "1.99800000")
        let mine = try bench.done("bob", "GET", "/api/v3/myTrades", ["symbol": "BTCUSDT"])
        #expect(mine.asList?.map { $0.text("commission") } == ["0.09000000", "0.09000300"])
        #expect(mine.asList?.map { $0.text("isMaker") } == ["true", "true"])
    }

    /// One smallest lot of the cheapest coin: the fee is cut to nothing rather than rounded up.
    @Test func aFeeBelowOneUnitIsNothing() throws {
        let bench = try Bench(houseIsOpen: false)
        for account in bench.exchange.accounts { account.makerRate = 1 }
        _ = try limit(bench, "bob", "SELL", "0.001", "90000")
        _ = try limit(bench, "alice", "BUY", "0.001", "90000")
        // 90 USDT at 1e-8 is 0.0000009: 90 units.
        #expect(try bench.free("bob", "USDT") == "100089.99999910")
        #expect(try bench.free("alice", "BTC") == "2.00099900")
    }

    @Test func aBetterPriceGivesTheDifferenceBack() throws {
        let bench = try Bench(houseIsOpen: false)
        _ = try limit(bench, "bob", "SELL", "0.1", "80000")
        let bought = try limit(bench, "alice", "BUY", "0.2", "85000")
        #expect(bought.text("status") == "PARTIALLY_FILLED" && bought.text("cummulativeQuoteQty") == "8000.00000000")
        #expect(try bench.locked("alice", "USDT") == "8500.00000000")
        #expect(try bench.free("alice", "USDT") == "83500.00000000")
    }

    @Test func marketOrdersByMoneyBuyWholeLots() throws {
        let bench = try Bench(houseIsOpen: false)
        _ = try limit(bench, "bob", "SELL", "0.01", "90000")
        _ = try limit(bench, "bob", "SELL", "0.01", "91000")
        let bought = try bench.done("alice", "POST", Self.order, ["symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quoteOrderQty": "1000"])
        #expect(bought.text("status") == "FILLED" && bought.text("origQuoteOrderQty") == "1000.00000000")
        // 900 for the first hundredth, then 0.00109 of the second for 99.19: another lot would cost 0.91.
        #expect(bought.text("executedQty") == "0.01109000" && bought.text("cummulativeQuoteQty") == "999.19000000")
        #expect(try bench.locked("alice", "USDT") == "0.00000000")
        let empty = try bench.done("alice", "POST", Self.order, ["symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.05"])
        #expect(empty.text("status") == "EXPIRED" && empty.text("executedQty") == "0.00891000")
        let sold = try bench.call("alice", "POST", Self.order, ["symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quoteOrderQty": "500"])
        #expect(sold.body.text("status") == "EXPIRED")
        _ = try limit(bench, "bob", "BUY", "0.01", "80000")
        let whole = try bench.done("alice", "POST", Self.order, ["symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quoteOrderQty": "500"])
        #expect(whole.text("status") == "FILLED" && whole.text("executedQty") == "0.00625000" && whole.text("cummulativeQuoteQty") == "500.00000000")
    }

    @Test func timeInForceDecidesWhatHappensToTheRest() throws {
        let bench = try Bench(houseIsOpen: false)
        _ = try limit(bench, "bob", "SELL", "0.1", "90000")
        let ioc = try limit(bench, "alice", "BUY", "0.3", "90000", "LIMIT", "IOC")
        #expect(ioc.text("status") == "EXPIRED" && ioc.text("executedQty") == "0.10000000")
        _ = try limit(bench, "bob", "SELL", "0.1", "90000")
        let fok = try limit(bench, "alice", "BUY", "0.3", "90000", "LIMIT", "FOK")
        #expect(fok.text("status") == "EXPIRED" && fok.text("executedQty") == "0.00000000")
        let query = try bench.done("alice", "GET", Self.order, ["symbol": "BTCUSDT", "orderId": fok.text("orderId")])
        #expect(query.text("expiryReason") == "UNFILLED_FOK_ORDER_EXPIRED")
        let whole = try limit(bench, "alice", "BUY", "0.1", "90000", "LIMIT", "FOK")
        #expect(whole.text("status") == "FILLED")
        _ = try limit(bench, "bob", "SELL", "0.1", "90000")
        #expect(
            try bench.refused("alice", "POST", Self.order, ["symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT_MAKER", "quantity": "0.1", "price": "90000"])
                == "-2010 Order would immediately match and take.")
        #expect(try bench.locked("alice", "USDT") == "0.00000000")
    }

    @Test func anIdIsTakenWhileItsOrderIsOpen() throws {
        let bench = try Bench(houseIsOpen: false)
        func place(_ price: String) throws -> (status: Int, body: JSONValue) {
            try bench.call("alice", "POST", Self.order, ["symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": price, "newClientOrderId": "one"])
        }
        let first = try place("80000")
        #expect(try place("80000").body.text("msg") == "Duplicate order sent.")
        try bench.done("alice", "DELETE", Self.order, ["symbol": "BTCUSDT", "origClientOrderId": "one"])
        let second = try place("80000")
        #expect(second.status == 200)
        let found = try bench.done("alice", "GET", Self.order, ["symbol": "BTCUSDT", "origClientOrderId": "one"])
        #expect(found.text("orderId") == second.body.text("orderId") && found.text("orderId") != first.body.text("orderId"))
    }

    @Test func conditionalOrdersWaitForTheLastPrice() throws {
        let bench = try Bench(houseIsOpen: false)
        _ = try limit(bench, "bob", "SELL", "0.01", "90000")
        _ = try limit(bench, "carol", "BUY", "0.01", "90000")
        #expect(
            try bench.refused("alice", "POST", Self.order, ["symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS", "quantity": "0.5", "stopPrice": "90000"])
                == "-2010 Order would trigger immediately.")
        let stop = try bench.done(
            "alice", "POST", Self.order,
            ["symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS_LIMIT", "timeInForce": "GTC", "quantity": "0.5", "price": "88000", "stopPrice": "89000", "newOrderRespType": "RESULT"])
        #expect(stop.text("workingTime") == "-1" && stop.text("stopPrice") == "89000.00000000")
        #expect(try bench.locked("alice", "BTC") == "0.50000000")
        let waiting = try bench.done("alice", "GET", Self.order, ["symbol": "BTCUSDT", "orderId": stop.text("orderId")])
        #expect(waiting.text("isWorking") == "false")
        _ = try limit(bench, "bob", "SELL", "0.01", "88900")
        _ = try limit(bench, "carol", "BUY", "0.01", "88900")
        let working = try bench.done("alice", "GET", Self.order, ["symbol": "BTCUSDT", "orderId": stop.text("orderId")])
        #expect(working.text("isWorking") == "true" && working.text("status") == "NEW")
        #expect(bench.exchange.spot.listings["BTCUSDT"]?.book.bestAsk == 88_000 * one)
        #expect(try bench.story("alice") == ["NEW NEW", "outboundAccountPosition", "NEW NEW"])
    }

    @Test func onePairEndsTheOther() throws {
        let bench = try Bench(houseIsOpen: false)
        _ = try limit(bench, "bob", "SELL", "0.01", "90000")
        _ = try limit(bench, "carol", "BUY", "0.01", "90000")
        let list = try bench.done(
            "alice", "POST", "/api/v3/orderList/oco",
            [
                "symbol": "BTCUSDT", "side": "SELL", "quantity": "0.5", "aboveType": "LIMIT_MAKER", "abovePrice": "95000", "belowType": "STOP_LOSS", "belowStopPrice": "85000",
                "listClientOrderId": "pair",
            ])
        #expect(list.text("contingencyType") == "OCO" && list.text("listOrderStatus") == "EXECUTING" && list.find("orderReports")?.count == 2)
        // Held back once for both.
        #expect(try bench.locked("alice", "BTC") == "0.50000000")
        _ = try limit(bench, "bob", "BUY", "0.2", "95000")
        let orders = try bench.done("alice", "GET", "/api/v3/allOrders", ["symbol": "BTCUSDT"])
        #expect(Set(orders.asList?.map { $0.text("type") + " " + $0.text("status") } ?? []) == ["LIMIT_MAKER PARTIALLY_FILLED", "STOP_LOSS EXPIRED"])
        #expect(try bench.locked("alice", "BTC") == "0.30000000")
        try bench.done("alice", "DELETE", "/api/v3/orderList", ["symbol": "BTCUSDT", "listClientOrderId": "pair"])
        #expect(try bench.locked("alice", "BTC") == "0.00000000")
        #expect(try bench.done("alice", "GET", "/api/v3/openOrderList").count == 0)
        #expect(
            try bench.refused(
                "alice", "POST", "/api/v3/orderList/oco",
                ["symbol": "BTCUSDT", "side": "SELL", "quantity": "0.5", "aboveType": "LIMIT_MAKER", "abovePrice": "89000", "belowType": "STOP_LOSS", "belowStopPrice": "85000"])
                == "-2010 The relationship of the prices for the orders is not correct.")
    }

    @Test func theStopOfAPairTakesTheMoneyOver() throws {
        let bench = try Bench(houseIsOpen: false)
        _ = try limit(bench, "bob", "SELL", "0.01", "90000")
        _ = try limit(bench, "carol", "BUY", "0.01", "90000")
        try bench.done(
            "alice", "POST", "/api/v3/orderList/oco",
            ["symbol": "BTCUSDT", "side": "BUY", "quantity": "0.5", "aboveType": "STOP_LOSS_LIMIT", "aboveTimeInForce": "GTC", "abovePrice": "93000", "aboveStopPrice": "92000", "belowType": "LIMIT_MAKER", "belowPrice": "85000"])
        #expect(try bench.locked("alice", "USDT") == "46500.00000000")
        _ = try limit(bench, "bob", "SELL", "0.01", "92000")
        _ = try limit(bench, "carol", "BUY", "0.01", "92000")
        let orders = try bench.done("alice", "GET", "/api/v3/allOrders", ["symbol": "BTCUSDT"])
        #expect(Set(orders.asList?.map { $0.text("type") + " " + $0.text("status") } ?? []) == ["STOP_LOSS_LIMIT NEW", "LIMIT_MAKER EXPIRED"])
        #expect(try bench.locked("alice", "USDT") == "46500.00000000")
        try bench.done("alice", "DELETE", "/api/v3/openOrders", ["symbol": "BTCUSDT"])
        #expect(try bench.locked("alice", "USDT") == "0.00000000")
        #expect(try bench.free("alice", "USDT") == "100000.00000000")
    }

    @Test func aChainStartsItsPairWhenTheFirstIsFilled() throws {
        let bench = try Bench(houseIsOpen: false)
        let list = try bench.done(
            "alice", "POST", "/api/v3/orderList/otoco",
            [
                "symbol": "BTCUSDT", "workingType": "LIMIT", "workingSide": "BUY", "workingTimeInForce": "GTC", "workingQuantity": "0.5", "workingPrice": "80000",
                "pendingSide": "SELL", "pendingQuantity": "0.4", "pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": "90000", "pendingBelowType": "STOP_LOSS",
                "pendingBelowStopPrice": "70000",
            ])
        #expect(list.text("contingencyType") == "OTO" && list.find("orderReports")?.asList?.map { $0.text("status") } == ["NEW", "PENDING_NEW", "PENDING_NEW"])
        #expect(try bench.locked("alice", "BTC") == "0.00000000")
        _ = try limit(bench, "bob", "SELL", "0.5", "80000")
        #expect(try bench.locked("alice", "BTC") == "0.40000000")
        #expect(bench.exchange.spot.listings["BTCUSDT"]?.book.bestAsk == 90_000 * one)
        let dying = try bench.done(
            "bob", "POST", "/api/v3/orderList/oto",
            ["symbol": "BTCUSDT", "workingType": "LIMIT", "workingSide": "BUY", "workingTimeInForce": "GTC", "workingQuantity": "0.1", "workingPrice": "70000", "pendingType": "MARKET", "pendingSide": "SELL", "pendingQuantity": "0.1"])
        let id = dying.find("orders")?.item(0).text("orderId") ?? ""
        try bench.done("bob", "DELETE", Self.order, ["symbol": "BTCUSDT", "orderId": id])
        #expect(try bench.done("bob", "GET", "/api/v3/openOrders").count == 0)
    }

    @Test func ownOrdersNeverMeet() throws {
        for (mode, taker, maker) in [("EXPIRE_MAKER", "NEW", "EXPIRED_IN_MATCH"), ("EXPIRE_TAKER", "EXPIRED_IN_MATCH", "NEW"), ("EXPIRE_BOTH", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH")] {
            let bench = try Bench(houseIsOpen: false)
            let resting = try limit(bench, "alice", "SELL", "0.1", "90000")
            let taking = try bench.done(
                "alice", "POST", Self.order,
                ["symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1", "price": "90000", "selfTradePreventionMode": mode])
            #expect(taking.text("status") == taker, "\(mode)")
            #expect(try bench.done("alice", "GET", Self.order, ["symbol": "BTCUSDT", "orderId": resting.text("orderId")]).text("status") == maker, "\(mode)")
            #expect(try bench.done("alice", "GET", "/api/v3/myTrades", ["symbol": "BTCUSDT"]).count == 0)
        }
    }

    @Test func replacingSaysWhichHalfWorked() throws {
        let bench = try Bench(houseIsOpen: false)
        let first = try limit(bench, "alice", "BUY", "0.1", "80000")
        func replace(_ id: String, _ mode: String, _ quantity: String) throws -> (status: Int, body: JSONValue) {
            try bench.call(
                "alice", "POST", "/api/v3/order/cancelReplace",
                ["symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": quantity, "price": "80000", "cancelReplaceMode": mode, "cancelOrderId": id])
        }
        let both = try replace(first.text("orderId"), "STOP_ON_FAILURE", "0.2")
        #expect(both.status == 200 && both.body.text("cancelResult") == "SUCCESS")
        let none = try replace("999", "STOP_ON_FAILURE", "0.2")
        #expect(none.status == 400 && none.body.text("code") == "-2022" && none.body.find("data")?.text("newOrderResult") == "NOT_ATTEMPTED")
        #expect(none.body.find("data")?.find("newOrderResponse")?.isNull == true)
        let onlyNew = try replace("999", "ALLOW_FAILURE", "0.2")
        #expect(onlyNew.status == 409 && onlyNew.body.text("code") == "-2021")
        let id = both.body.find("newOrderResponse")?.text("orderId") ?? ""
        let onlyGone = try replace(id, "STOP_ON_FAILURE", "9")
        #expect(onlyGone.status == 409 && onlyGone.body.find("data")?.find("newOrderResponse")?.text("msg") == "Account has insufficient balance for requested action.")
    }

    @Test func amendingKeepsThePlaceInTheQueue() throws {
        let bench = try Bench(houseIsOpen: false)
        let first = try limit(bench, "alice", "BUY", "0.2", "80000")
        _ = try limit(bench, "bob", "BUY", "0.2", "80000")
        try bench.done("alice", "PUT", "/api/v3/order/amend/keepPriority", ["symbol": "BTCUSDT", "orderId": first.text("orderId"), "newQty": "0.1"])
        #expect(try bench.locked("alice", "USDT") == "8000.00000000")
        _ = try limit(bench, "carol", "SELL", "0.1", "80000")
        #expect(try bench.done("alice", "GET", Self.order, ["symbol": "BTCUSDT", "orderId": first.text("orderId")]).text("status") == "FILLED")
        #expect(
            try bench.refused("bob", "PUT", "/api/v3/order/amend/keepPriority", ["symbol": "BTCUSDT", "orderId": "2", "newQty": "0.3"])
                == "-2038 Order amend (quantity increase) is not supported.")
    }

    @Test func everyFilterNamesItself() throws {
        let bench = try Bench()
        let price = decimalText(bench.exchange.spot.listings["BTCUSDT"]?.last(bench.exchange.now) ?? 0, 2)
        func refusal(_ params: KeyValuePairs<String, String>) throws -> String { try bench.refused("alice", "POST", Self.order, params) }
        func limited(_ quantity: String, _ price: String) throws -> String {
            try refusal(["symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": quantity, "price": price])
        }
        #expect(try limited("0.001", "80000.005") == "-1013 Filter failure: PRICE_FILTER")
        #expect(try limited("0.001", "2000000") == "-1013 Filter failure: PRICE_FILTER")
        #expect(try limited("0.000005", price) == "-1013 Filter failure: LOT_SIZE")
        #expect(try limited("9001", price) == "-1013 Filter failure: LOT_SIZE")
        #expect(try limited("0.001", "900000") == "-1013 Filter failure: PERCENT_PRICE_BY_SIDE")
        #expect(try limited("0.00001", price) == "-1013 Filter failure: NOTIONAL")
        #expect(try refusal(["symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "121"]) == "-1013 Filter failure: MARKET_LOT_SIZE")
        #expect(try limited("0.000000001", price) == "-1111 Parameter 'quantity' has too much precision.")
        #expect(try limited("1e3", price) == "-1100 Illegal characters found in parameter 'quantity'; legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'.")
        #expect(try limited("5", price) == "-2010 Account has insufficient balance for requested action.")
        for _ in 0..<5 {
            try bench.done("alice", "POST", Self.order, ["symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS", "quantity": "0.001", "stopPrice": "60000"])
        }
        #expect(try refusal(["symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS", "quantity": "0.001", "stopPrice": "60000"]) == "-1013 Filter failure: MAX_NUM_ALGO_ORDERS")
    }

    @Test func whatMustBeSentAndWhatMustNot() throws {
        let bench = try Bench()
        func refusal(_ params: KeyValuePairs<String, String>) throws -> String { try bench.refused("alice", "POST", Self.order, params) }
        #expect(try refusal(["side": "BUY"]) == "-1102 Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        #expect(try refusal(["symbol": "NOPE", "side": "BUY", "type": "MARKET", "quantity": "1"]) == "-1121 Invalid symbol.")
        #expect(try refusal(["symbol": "BTCUSDT", "side": "UP", "type": "MARKET", "quantity": "1"]) == "-1117 Invalid side.")
        #expect(try refusal(["symbol": "BTCUSDT", "side": "BUY", "type": "LATER", "quantity": "1"]) == "-1116 Invalid orderType.")
        #expect(try refusal(["symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "NOW", "quantity": "1", "price": "80000"]) == "-1115 Invalid timeInForce.")
        #expect(try refusal(["symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "1", "price": "80000"]).hasPrefix("-1102 Mandatory parameter 'timeInForce'"))
        #expect(try refusal(["symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1", "price": "80000"]) == "-1106 Parameter 'price' sent when not required.")
        #expect(try refusal(["symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": ""]) == "-1105 Parameter 'quantity' was empty.")
        #expect(try refusal(["symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", "colour": "red"]) == "-1104 Not all sent parameters were read; read '4' parameter(s) but was sent '5'.")
        #expect(try refusal(["symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", "newClientOrderId": "a:b"]).hasPrefix("-1100 Illegal characters found in parameter 'newClientOrderId'"))
        #expect(try refusal(["symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", "newClientOrderId": String(repeating: "x", count: 37)]).hasPrefix("-1100"))
        #expect(try bench.refused("alice", "GET", "/api/v3/klines", ["symbol": "BTCUSDT", "interval": "7m"]) == "-1120 Invalid interval.")
        #expect(try bench.refused("alice", "GET", "/api/v3/myTrades", ["symbol": "BTCUSDT", "startTime": "1", "endTime": "100000000"]) == "-1127 More than 24 hours between startTime and endTime.")
        #expect(try bench.call("alice", "GET", "/api/v3/nothing").status == 404)
        #expect(try bench.call("alice", "POST", "/api/v3/userDataStream").status == 410)
    }
}
