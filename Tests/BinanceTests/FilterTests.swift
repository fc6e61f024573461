import PluginKit
import Testing

@testable import BinanceConnector

/// The filters of the sheet's own samples.
@Suite struct FilterTests {
    static let spot = #"""
        {"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","orderTypes":["LIMIT","MARKET"],"ocoAllowed":true,"filters":[
        {"filterType":"PRICE_FILTER","minPrice":"0.01000000","maxPrice":"1000000.00000000","tickSize":"0.01000000"},
        {"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"9000.00000000","stepSize":"0.00001000"},
        {"filterType":"MARKET_LOT_SIZE","minQty":"0.00000000","maxQty":"120.00000000","stepSize":"0.00000000"},
        {"filterType":"PERCENT_PRICE_BY_SIDE","bidMultiplierUp":"5","bidMultiplierDown":"0.2","askMultiplierUp":"4","askMultiplierDown":"0.5","avgPriceMins":5},
        {"filterType":"NOTIONAL","minNotional":"5.00000000","applyMinToMarket":true,"maxNotional":"9000000.00000000","applyMaxToMarket":false,"avgPriceMins":5},
        {"filterType":"MAX_NUM_ORDERS","maxNumOrders":200},{"filterType":"MAX_NUM_ALGO_ORDERS","maxNumAlgoOrders":5},{"filterType":"MAX_POSITION","maxPosition":"10.0"},
        {"filterType":"SOMETHING_NEW","limit":1}]}
        """#
    static let futures = #"""
        {"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","marginAsset":"USDT","contractType":"PERPETUAL","pricePrecision":2,"quantityPrecision":3,"filters":[
        {"filterType":"PRICE_FILTER","minPrice":"261.10","maxPrice":"809484","tickSize":"0.10"},{"filterType":"LOT_SIZE","minQty":"0.001","maxQty":"1000","stepSize":"0.001"},
        {"filterType":"MARKET_LOT_SIZE","minQty":"0.001","maxQty":"120","stepSize":"0.001"},{"filterType":"MAX_NUM_ORDERS","limit":200},{"filterType":"MIN_NOTIONAL","notional":"50"},
        {"filterType":"PERCENT_PRICE","multiplierUp":"1.0500","multiplierDown":"0.9500","multiplierDecimal":"4"}]}
        """#

    private func rules(_ text: String) throws -> SymbolRules { try #require(SymbolRules(JSONValue(parsing: text))) }

    private func order(_ features: OrderFeatures, _ side: Side, _ quantity: String, limit: String = "0", trigger: String = "0") -> Order {
        Order(
            id: OrderID(hi: 1, lo: 1 << 24), side: side, features: features, instrument: 1, quantity: Fixed(quantity) ?? .zero, limit: Fixed(limit) ?? .zero, trigger: Fixed(trigger) ?? .zero)
    }

    /// The filter that refuses, or "" where none does.
    private func verdict(_ rules: SymbolRules, _ product: Product, _ order: Order, _ change: (inout SymbolRules.Context) -> Void = { _ in }) -> String {
        var context = SymbolRules.Context()
        change(&context)
        do throws(PluginError) {
            try rules.check(order, product, context)
            return ""
        } catch { return String(error.message.prefix { $0 != ":" }) }
    }

    @Test("spot: each filter passes what it should and refuses what it should, by name")
    func spot() throws {
        let rules = try rules(Self.spot)
        let reference: (inout SymbolRules.Context) -> Void = { $0.reference = Fixed("90000") }
        #expect(verdict(rules, .spot, order(.limit, .buy, "0.001", limit: "90000"), reference) == "")
        #expect(verdict(rules, .spot, order(.limit, .buy, "0.001", limit: "90000.005"), reference) == "PRICE_FILTER")
        #expect(verdict(rules, .spot, order(.limit, .buy, "0.001", limit: "1000000.01"), reference) == "PRICE_FILTER")
        #expect(verdict(rules, .spot, order(.stop, .buy, "0.001", trigger: "90000.001"), reference) == "PRICE_FILTER", "stopPrice too")
        #expect(verdict(rules, .spot, order(.limit, .buy, "0.000015", limit: "90000"), reference) == "LOT_SIZE")
        #expect(verdict(rules, .spot, order(.limit, .buy, "0.000001", limit: "90000"), reference) == "LOT_SIZE")
        #expect(verdict(rules, .spot, order(.limit, .buy, "9000.00001", limit: "900"), reference) == "LOT_SIZE")
        #expect(verdict(rules, .spot, order(.market, .buy, "121"), reference) == "MARKET_LOT_SIZE")
        #expect(verdict(rules, .spot, order(.market, .sell, "120"), reference) == "", "the largest notional doesn't apply to market orders")
        #expect(verdict(rules, .spot, order(.limit, .buy, "0.00005", limit: "90000")) == "NOTIONAL")
        #expect(verdict(rules, .spot, order(.market, .buy, "0.00005"), reference) == "NOTIONAL", "valued by the reference price")
        #expect(verdict(rules, .spot, order(.market, .buy, "0.00005")) == "", "without a price the venue decides")
        #expect(verdict(rules, .spot, order(.limit, .sell, "101", limit: "90000")) == "NOTIONAL")
        #expect(verdict(rules, .spot, order(.limit, .buy, "0.01", limit: "460000"), reference) == "PERCENT_PRICE")
        #expect(verdict(rules, .spot, order(.limit, .buy, "0.01", limit: "450000"), reference) == "")
        #expect(verdict(rules, .spot, order(.limit, .sell, "0.01", limit: "44000"), reference) == "PERCENT_PRICE")
        #expect(verdict(rules, .spot, order(.limit, .buy, "0.01", limit: "44000"), reference) == "", "each side has its own bounds")
        #expect(verdict(rules, .spot, order(.limit, .buy, "0.01", limit: "90000")) { $0.openOrders = 200 } == "MAX_NUM_ORDERS")
        #expect(verdict(rules, .spot, order(.stop, .sell, "0.01", trigger: "80000")) { $0.openAlgoOrders = 5 } == "MAX_NUM_ALGO_ORDERS")
        #expect(verdict(rules, .spot, order(.limit, .sell, "0.01", limit: "90000")) { $0.openAlgoOrders = 5 } == "")
        #expect(verdict(rules, .spot, order(.limit, .buy, "1", limit: "90000")) { $0.holding = Amount("9.5") } == "MAX_POSITION")
        var halted = rules
        halted.status = "HALT"
        #expect(verdict(halted, .spot, order(.limit, .buy, "0.01", limit: "90000")).contains("not trading"))
    }

    @Test("futures: its own names, one-sided percent bounds, reduce-only may be small")
    func futures() throws {
        let rules = try rules(Self.futures)
        let mark: (inout SymbolRules.Context) -> Void = { $0.reference = Fixed("90000") }
        #expect(rules.notional?.minimum == Amount("50"))
        #expect(rules.maxOrders == 200)
        #expect(verdict(rules, .futures, order(.limit, .buy, "0.001", limit: "90000.1"), mark) == "")
        #expect(verdict(rules, .futures, order(.limit, .buy, "0.001", limit: "90000.05"), mark) == "PRICE_FILTER", "the tick, not pricePrecision")
        #expect(verdict(rules, .futures, order(.limit, .buy, "0.001", limit: "49000"), mark) == "MIN_NOTIONAL")
        #expect(verdict(rules, .futures, order([.limit, .reduceOnly], .buy, "0.001", limit: "49000"), mark) == "")
        #expect(verdict(rules, .futures, order(.limit, .buy, "0.01", limit: "96000"), mark) == "PERCENT_PRICE")
        #expect(verdict(rules, .futures, order(.limit, .buy, "0.01", limit: "60000"), mark) == "", "a buyer may bid as low as he likes")
        #expect(verdict(rules, .futures, order(.limit, .sell, "0.01", limit: "84000"), mark) == "PERCENT_PRICE")
        #expect(verdict(rules, .futures, order(.limit, .sell, "0.01", limit: "120000"), mark) == "")
    }

    @Test("a pair: the profit leg lies on the right side, both legs carry their own ids")
    func pairs() throws {
        let wire = OrderWire(.spot)
        var take = order(.limit, .sell, "0.01", limit: "99000")
        var stop = order(.stopLimit, .sell, "0.01", limit: "79900", trigger: "80000")
        take.id = OrderID(hi: 1, lo: 1 << 24 | 1)
        stop.id = OrderID(hi: 1, lo: 1 << 24 | 2)
        let list = ClientID(take.id.parent)
        let text = String(decoding: try wire.pair(take: take, stop: stop, symbol: "BTCUSDT", list: list).query, as: UTF8.self)
        #expect(text.contains("aboveType=LIMIT_MAKER&belowClientOrderId=\(stop.id)"))
        #expect(text.contains("abovePrice=99000") && text.contains("belowStopPrice=80000") && text.contains("belowPrice=79900") && text.contains("belowTimeInForce=GTC"))
        #expect(text.contains("listClientOrderId=\(list.order)l"))
        take.limit = try #require(Fixed("70000"))
        #expect(throws: PluginError.self) { try wire.pair(take: take, stop: stop, symbol: "BTCUSDT", list: list) }
        #expect(throws: PluginError.self) { try OrderWire(.futures).pair(take: stop, stop: stop, symbol: "BTCUSDT", list: list) }
    }
}
