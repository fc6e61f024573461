import PluginKit
import Testing

@testable import BinanceExchange

@Suite struct FuturesTests {
    static let order = "/fapi/v1/order"

    func limit(_ bench: Bench, _ name: String, _ side: String, _ quantity: String, _ price: String, _ tif: String = "GTC") throws -> JSONValue {
        try bench.done(name, "POST", Self.order, ["symbol": "BTCUSDT", "side": side, "type": "LIMIT", "timeInForce": tif, "quantity": quantity, "price": price])
    }

    /// A price near the mark, on the tick, so many tenths away.
    func near(_ bench: Bench, _ tenths: Int64 = 0) throws -> Int64 {
        let listing = try #require(bench.exchange.futures.listings["BTCUSDT"])
        return down(bench.exchange.futures.mark(listing, bench.exchange.now), to: one / 10) + tenths * one / 10
    }

    func text(_ price: Int64) -> String { decimalText(price, 1) }

    /// Two accounts meet at a price: the first sells.
    func trade(_ bench: Bench, _ seller: String, _ buyer: String, _ quantity: String, _ price: Int64) throws {
        _ = try limit(bench, seller, "SELL", quantity, text(price))
        _ = try limit(bench, buyer, "BUY", quantity, text(price))
    }

    @Test func positionsFeesAndRealisedProfitAreExact() throws {
        let bench = try Bench(houseIsOpen: false)
        let price = try near(bench)
        try trade(bench, "bob", "alice", "0.010", price)
        let risk = try bench.done("alice", "GET", "/fapi/v3/positionRisk").item(0)
        #expect(risk.text("positionAmt") == "0.010" && risk.text("entryPrice") == decimalText(price))
        // Taker five, maker two hundredths of a per cent.
        let worth = money(price, fixed("0.01"))
        #expect(try bench.wallet("alice") == decimalText(10_000_000_000_000 - share(worth, 50_000)))
        #expect(try bench.wallet("bob") == decimalText(10_000_000_000_000 - share(worth, 20_000)))
        try trade(bench, "alice", "bob", "0.004", price + 100 * one)
        let income = try bench.done("alice", "GET", "/fapi/v1/income", ["incomeType": "REALIZED_PNL"])
        #expect(income.asList?.map { $0.text("income") } == ["0.40000000"])
        let left = try bench.done("alice", "GET", "/fapi/v3/positionRisk").item(0)
        #expect(left.text("positionAmt") == "0.006" && left.text("entryPrice") == decimalText(price))
        // Across zero: the rest opens at the new price.
        try trade(bench, "alice", "bob", "0.010", price - 50 * one)
        let turned = try bench.done("alice", "GET", "/fapi/v3/positionRisk").item(0)
        #expect(turned.text("positionAmt") == "-0.004" && turned.text("entryPrice") == decimalText(price - 50 * one))
        let trades = try bench.done("alice", "GET", "/fapi/v1/userTrades", ["symbol": "BTCUSDT"])
        #expect(trades.asList?.map { $0.text("realizedPnl") } == ["0.00000000", "0.40000000", "-0.30000000"])
    }

    @Test func placementAnswersLackTheAverageUnlessAsked() throws {
        let bench = try Bench(houseIsOpen: false)
        let price = try near(bench)
        let placed = try limit(bench, "alice", "BUY", "0.01", text(price))
        #expect(placed.find("avgPrice") == nil && placed.text("status") == "NEW" && placed.text("cumQty") == "0.000")
        let query = try bench.done("alice", "GET", Self.order, ["symbol": "BTCUSDT", "orderId": placed.text("orderId")])
        #expect(query.find("avgPrice") != nil && query.find("cumQuote") != nil)
        bench.exchange.futures.tellsAverage = true
        #expect(try limit(bench, "alice", "BUY", "0.01", text(price)).find("avgPrice") != nil)
        // The cancel's answer keeps the order's own id, unlike spot.
        let gone = try bench.done("alice", "DELETE", Self.order, ["symbol": "BTCUSDT", "orderId": placed.text("orderId")])
        #expect(gone.text("clientOrderId") == placed.text("clientOrderId") && gone.text("status") == "CANCELED")
    }

    @Test func refusalsHaveTheFuturesCodes() throws {
        let bench = try Bench(houseIsOpen: false)
        let price = try near(bench)
        func refusal(_ params: KeyValuePairs<String, String>) throws -> String { try bench.refused("alice", "POST", Self.order, params) }
        func limited(_ quantity: String, _ price: String, _ tif: String = "GTC") throws -> String {
            try refusal(["symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": tif, "quantity": quantity, "price": price])
        }
        #expect(try refusal(["symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.01", "stopPrice": "80000"]).hasPrefix("-4120 Order type not supported"))
        #expect(try limited("0.01", text(price) + "5") == "-4014 Price not increased by tick size.")
        #expect(try limited("0.0015", text(price)) == "-1111 Precision is over the maximum defined for this asset.")
        #expect(try limited("0", text(price)) == "-4003 Quantity less than or equal to zero.")
        #expect(try limited("0.01", text(price / 10 * 11)).hasPrefix("-4016 Limit price can't be higher than"))
        #expect(try refusal(["symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": text(price / 10 * 9)]).hasPrefix("-4024"))
        #expect(try refusal(["symbol": "ETHUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"]) == "-4164 Order's notional must be no smaller than 20 (unless you choose reduce only).")
        #expect(try limited("30", text(price)) == "-2019 Margin is insufficient.")
        #expect(try refusal(["symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.01", "reduceOnly": "true"]) == "-2022 ReduceOnly Order is rejected.")
        #expect(try refusal(["symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.01", "positionSide": "LONG"]) == "-4061 Order's position side does not match user's setting.")
        _ = try limit(bench, "bob", "SELL", "0.01", text(price))
        #expect(try limited("0.01", text(price), "GTX").hasPrefix("-5022 "))
        #expect(try limited("0.02", text(price), "FOK").hasPrefix("-5021 "))
        #expect(try bench.refused("alice", "GET", "/fapi/v1/depth", ["symbol": "BTCUSDT", "limit": "7"]) == "-4021 7 is not valid depth limit")
        #expect(try bench.refused("alice", "GET", "/fapi/v1/klines", ["symbol": "BTCUSDT", "interval": "1s"]) == "-1120 Invalid interval.")
        #expect(try bench.refused("alice", "GET", "/fapi/v1/klines", ["symbol": "BTCUSDT", "interval": "1m", "limit": "1501"]).hasPrefix("-1130"))
        #expect(try bench.refused("alice", "POST", "/fapi/v1/marginType", ["symbol": "BTCUSDT", "marginType": "CROSSED"]) == "-4046 No need to change margin type.")
        #expect(try bench.refused("alice", "POST", "/fapi/v1/positionSide/dual", ["dualSidePosition": "false"]) == "-4059 No need to change position side.")
    }

    @Test func conditionalOrdersLiveInTheirOwnStore() throws {
        let bench = try Bench(houseIsOpen: false)
        let price = try near(bench)
        try trade(bench, "bob", "alice", "0.010", price)
        let stop = try bench.done(
            "alice", "POST", "/fapi/v1/algoOrder",
            [
                "algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.010", "triggerPrice": text(price - 20 * one),
                "reduceOnly": "true", "clientAlgoId": "stop-1",
            ])
        #expect(stop.text("algoStatus") == "NEW" && stop.text("clientAlgoId") == "stop-1")
        #expect(try bench.done("alice", "GET", "/fapi/v1/openOrders").count == 0)
        #expect(try bench.done("alice", "GET", "/fapi/v1/openAlgoOrders").count == 1)
        #expect(
            try bench.refused(
                "alice", "POST", "/fapi/v1/algoOrder",
                ["algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.010", "triggerPrice": text(price + 20 * one)])
                == "-2021 Order would immediately trigger.")
        _ = try limit(bench, "bob", "BUY", "0.010", text(price - 30 * one))
        try trade(bench, "carol", "bob", "0.001", price - 20 * one)
        let order = try bench.done("alice", "GET", Self.order, ["symbol": "BTCUSDT", "origClientOrderId": "stop-1"])
        #expect(order.text("status") == "FILLED" && order.text("origType") == "STOP_MARKET" && order.text("type") == "MARKET")
        let done = try bench.done("alice", "GET", "/fapi/v1/algoOrder", ["clientAlgoId": "stop-1"])
        #expect(done.text("algoStatus") == "FINISHED" && done.text("actualOrderId") == order.text("orderId"))
        #expect(try bench.done("alice", "GET", "/fapi/v3/positionRisk").count == 0)
        #expect(try bench.refused("alice", "DELETE", "/fapi/v1/algoOrder", ["clientAlgoId": "stop-1"]) == "-2011 Unknown order sent.")
        #expect(try bench.refused("alice", "DELETE", "/fapi/v1/algoOrder", ["algoId": "1"]) == "-2013 Order does not exist.")
        let told = try bench.story("alice", .futures).filter { $0.hasPrefix("ALGO") }
        #expect(told == ["ALGO NEW", "ALGO TRIGGERING", "ALGO TRIGGERED", "ALGO FINISHED"])
    }

    @Test func aTrailingStopFollowsThePrice() throws {
        let bench = try Bench(houseIsOpen: false)
        let price = try near(bench)
        try trade(bench, "bob", "alice", "0.010", price)
        try bench.done(
            "alice", "POST", "/fapi/v1/algoOrder",
            ["algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "TRAILING_STOP_MARKET", "quantity": "0.010", "callbackRate": "1", "clientAlgoId": "trail"])
        func status() throws -> String { try bench.done("alice", "GET", "/fapi/v1/algoOrder", ["clientAlgoId": "trail"]).text("algoStatus") }
        let high = price + price / 100
        try trade(bench, "carol", "bob", "0.001", down(high, to: one / 10))
        #expect(try status() == "NEW")
        try trade(bench, "carol", "bob", "0.001", down(high - high / 200, to: one / 10))
        #expect(try status() == "NEW")
        try trade(bench, "carol", "bob", "0.001", down(high - high / 90, to: one / 10))
        #expect(try status() == "FINISHED")
    }

    @Test func aCloseOrderTakesWhateverIsThere() throws {
        let bench = try Bench(houseIsOpen: false)
        let price = try near(bench)
        try trade(bench, "bob", "alice", "0.010", price)
        #expect(
            try bench.refused(
                "alice", "POST", "/fapi/v1/algoOrder",
                ["algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "1", "closePosition": "true", "triggerPrice": text(price - 20 * one)])
                == "-4137 Quantity must be zero with closePosition equals true")
        try bench.done(
            "alice", "POST", "/fapi/v1/algoOrder",
            ["algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "closePosition": "true", "triggerPrice": text(price - 20 * one)])
        try trade(bench, "bob", "alice", "0.005", price)
        _ = try limit(bench, "bob", "BUY", "0.050", text(price - 30 * one))
        try trade(bench, "carol", "bob", "0.001", price - 20 * one)
        #expect(try bench.done("alice", "GET", "/fapi/v3/positionRisk").count == 0)
    }

    @Test func fundingIsPaidByTheMarkAtTheHour() throws {
        let bench = try Bench(houseIsOpen: false)
        let price = try near(bench)
        try trade(bench, "bob", "alice", "0.100", price)
        let before = (alice: try bench.account("alice").futures.wallet["USDT"] ?? 0, bob: try bench.account("bob").futures.wallet["USDT"] ?? 0)
        bench.exchange.futures.setFunding("BTCUSDT", fixed("0.0003"))
        let next = bench.exchange.futures.nextFunding(bench.exchange.now)
        bench.exchange.leap(to: next - 1, steps: 50)
        #expect(try bench.account("alice").futures.wallet["USDT"] == before.alice)
        bench.exchange.advance(to: next)
        let listing = try #require(bench.exchange.futures.listings["BTCUSDT"])
        let payment = share(money(bench.exchange.futures.mark(listing, next), fixed("0.1")), fixed("0.0003"))
        #expect(payment > 0)
        #expect(try bench.account("alice").futures.wallet["USDT"] == before.alice - payment)
        #expect(try bench.account("bob").futures.wallet["USDT"] == before.bob + payment)
        let income = try bench.done("alice", "GET", "/fapi/v1/income", ["incomeType": "FUNDING_FEE"])
        #expect(income.asList?.map { $0.text("income") } == ["-" + decimalText(payment)])
        let history = try bench.open("/fapi/v1/fundingRate", "symbol=BTCUSDT&limit=1").item(0)
        #expect(history.text("fundingRate") == "0.00030000" && history.text("fundingTime") == "\(next)")
        let told = bench.events.filter { $0.event.find("a")?.text("m") == "FUNDING_FEE" }
        #expect(told.count == 2 && told[0].event.find("a")?.find("P")?.count == 0)
    }

    @Test func marginThatNoLongerCoversIsLiquidated() throws {
        let bench = try Bench()
        for account in bench.exchange.accounts where account.name == "alice" { account.futures.wallet["USDT"] = Int128(fixed("200")) }
        try bench.done("alice", "POST", "/fapi/v1/leverage", ["symbol": "BTCUSDT", "leverage": "100"])
        try bench.done("alice", "POST", Self.order, ["symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.100"])
        let risk = try bench.done("alice", "GET", "/fapi/v3/positionRisk").item(0)
        let listing = try #require(bench.exchange.futures.listings["BTCUSDT"])
        let liquidation = try #require(Fixed(risk.text("liquidationPrice"))).raw
        let mark = bench.exchange.futures.mark(listing, bench.exchange.now)
        #expect(liquidation > 0 && liquidation < mark)
        // To just above the price where nothing happens, then below it.
        var forced: [String] = []
        bench.exchange.futures.liquidated = { symbol, _ in forced.append(symbol) }
        listing.shift = Int64(Int128(listing.shift) * Int128(liquidation + liquidation / 500) / Int128(mark))
        bench.advance(250)
        #expect(forced.isEmpty, "\(risk)")
        listing.shift = listing.shift / 1_000 * 990
        bench.advance(250)
        #expect(forced == ["BTCUSDT"])
        #expect(try bench.done("alice", "GET", "/fapi/v3/positionRisk").count == 0)
        let closing = try bench.done("alice", "GET", "/fapi/v1/allOrders", ["symbol": "BTCUSDT"]).asList?.last
        #expect(closing?.text("clientOrderId").hasPrefix("autoclose-") == true)
        #expect(try bench.account("alice").futures.wallet["USDT"] ?? -1 >= 0)
        #expect(try bench.done("alice", "GET", "/fapi/v1/income", ["incomeType": "INSURANCE_CLEAR"]).count >= 1)
    }

    @Test func isolatedMarginLosesNoMoreThanWasSetAside() throws {
        let bench = try Bench()
        try bench.done("alice", "POST", "/fapi/v1/marginType", ["symbol": "BTCUSDT", "marginType": "ISOLATED"])
        try bench.done("alice", "POST", "/fapi/v1/leverage", ["symbol": "BTCUSDT", "leverage": "50"])
        try bench.done("alice", "POST", Self.order, ["symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.100"])
        let risk = try bench.done("alice", "GET", "/fapi/v2/positionRisk", ["symbol": "BTCUSDT"]).item(0)
        #expect(risk.text("marginType") == "isolated" && risk.text("leverage") == "50")
        try bench.done("alice", "POST", "/fapi/v1/positionMargin", ["symbol": "BTCUSDT", "amount": "25", "type": "1"])
        let set = try bench.account("alice").futures.positions[PositionKey(symbol: "BTCUSDT", side: .both)]?.isolated ?? 0
        let before = try bench.account("alice").futures.wallet["USDT"] ?? 0
        #expect(try bench.refused("alice", "POST", "/fapi/v1/leverage", ["symbol": "BTCUSDT", "leverage": "20"]).hasPrefix("-4161"))
        let listing = try #require(bench.exchange.futures.listings["BTCUSDT"])
        listing.shift = listing.shift / 10 * 12
        bench.advance(250)
        #expect(try bench.done("alice", "GET", "/fapi/v3/positionRisk").count == 0)
        #expect(try bench.account("alice").futures.wallet["USDT"] ?? 0 == before - set)
    }

    @Test func hedgeModeHoldsBothSides() throws {
        let bench = try Bench()
        try bench.done("alice", "POST", "/fapi/v1/positionSide/dual", ["dualSidePosition": "true"])
        for (side, position) in [("BUY", "LONG"), ("SELL", "SHORT")] {
            try bench.done("alice", "POST", Self.order, ["symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": "0.010", "positionSide": position])
        }
        #expect(try bench.done("alice", "GET", "/fapi/v3/positionRisk").asList?.map { $0.text("positionSide") + $0.text("positionAmt") } == ["LONG0.010", "SHORT-0.010"])
        #expect(try bench.refused("alice", "POST", Self.order, ["symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.020", "positionSide": "LONG"]).hasPrefix("-2022"))
        #expect(try bench.refused("alice", "POST", "/fapi/v1/positionSide/dual", ["dualSidePosition": "false"]).hasPrefix("-4068"))
        try bench.done("alice", "POST", Self.order, ["symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.010", "positionSide": "LONG"])
        #expect(try bench.done("alice", "GET", "/fapi/v3/positionRisk").count == 1)
    }

    @Test func theDeadMansSwitchCancelsOneSymbol() throws {
        let bench = try Bench(houseIsOpen: false)
        let price = try near(bench)
        _ = try limit(bench, "alice", "BUY", "0.010", text(price - 100 * one))
        try bench.done("alice", "POST", "/fapi/v1/countdownCancelAll", ["symbol": "BTCUSDT", "countdownTime": "60000"])
        bench.advance(50_000)
        try bench.done("alice", "POST", "/fapi/v1/countdownCancelAll", ["symbol": "BTCUSDT", "countdownTime": "60000"])
        bench.advance(50_000)
        #expect(try bench.done("alice", "GET", "/fapi/v1/openOrders").count == 1)
        bench.advance(11_000)
        #expect(try bench.done("alice", "GET", "/fapi/v1/openOrders").count == 0)
    }

    @Test func changingAnOrderMovesItToTheEndOfItsQueue() throws {
        let bench = try Bench(houseIsOpen: false)
        let price = try near(bench)
        let first = try limit(bench, "alice", "BUY", "0.010", text(price))
        _ = try limit(bench, "bob", "BUY", "0.010", text(price))
        try bench.done("alice", "PUT", Self.order, ["symbol": "BTCUSDT", "side": "BUY", "orderId": first.text("orderId"), "quantity": "0.009", "price": text(price)])
        _ = try limit(bench, "carol", "SELL", "0.010", text(price))
        #expect(try bench.done("alice", "GET", Self.order, ["symbol": "BTCUSDT", "orderId": first.text("orderId")]).text("status") == "NEW")
        #expect(
            try bench.refused("alice", "PUT", Self.order, ["symbol": "BTCUSDT", "side": "BUY", "orderId": first.text("orderId"), "quantity": "0.009", "price": text(price)])
                .hasPrefix("-5027"))
    }

    @Test func batchesAnswerEachForItself() throws {
        let bench = try Bench(houseIsOpen: false)
        let price = text(try near(bench, -500))
        let orders = "[{\"symbol\":\"BTCUSDT\",\"side\":\"BUY\",\"type\":\"LIMIT\",\"timeInForce\":\"GTC\",\"quantity\":\"0.01\",\"price\":\"\(price)\"},{\"symbol\":\"BTCUSDT\",\"side\":\"BUY\",\"type\":\"LIMIT\",\"timeInForce\":\"GTC\",\"quantity\":\"0.0001\",\"price\":\"\(price)\"}]"
        let answers = try bench.done("alice", "POST", "/fapi/v1/batchOrders", ["batchOrders": orders])
        #expect(answers.item(0).text("status") == "NEW" && answers.item(1).text("code") == "-1111")
        let gone = try bench.done("alice", "DELETE", "/fapi/v1/batchOrders", ["symbol": "BTCUSDT", "orderidlist": "[\(answers.item(0).text("orderId")),7]"])
        #expect(gone.item(0).text("status") == "CANCELED" && gone.item(1).text("code") == "-2011")
    }

    @Test func researchRowsCarryTheirPeriod() throws {
        let bench = try Bench()
        let now = bench.exchange.now
        let interest = try bench.open("/futures/data/openInterestHist", "symbol=BTCUSDT&period=5m&limit=3").asList ?? []
        let last = now / 300_000 * 300_000
        #expect(interest.map { $0.text("timestamp") } == ["\(last - 600_000)", "\(last - 300_000)", "\(last)"])
        // The taker rows carry the start of their period, and agree with the bars.
        let taker = try bench.open("/futures/data/takerlongshortRatio", "symbol=BTCUSDT&period=5m&limit=1").item(0)
        let start = now / 300_000 * 300_000 - 300_000
        #expect(taker.text("timestamp") == "\(start)")
        let bar = try bench.open("/fapi/v1/klines", "symbol=BTCUSDT&interval=5m&startTime=\(start)&limit=1").item(0)
        let bought = try #require(Fixed(bar.item(9).asText ?? "")).raw
        #expect(taker.text("buyVol") == decimalText(bought, 4))
        #expect(try bench.open("/futures/data/basis", "pair=BTCUSDT&contractType=PERPETUAL&period=1h&limit=2").count == 2)
        #expect(try bench.open("/futures/data/topLongShortPositionRatio", "symbol=BTCUSDT&period=1d").count == 30)
    }
}
