/// What the exchange asks of orders in one symbol, and what it is.
struct SymbolRules {
    var name: String
    var base: String
    var quote: String
    var tick: Int64
    var step: Int64
    var priceDigits: Int
    var quantityDigits: Int
    var minPrice: Int64
    var maxPrice: Int64
    var minQuantity: Int64
    var maxQuantity: Int64
    var mostMarket: Int64
    var minNotional: Int128
    var maxNotional: Int128
    var start: Int64
    /// What stands on one level of the book, more or less.
    var typicalQuantity: Int64
    var mostOrders = 200
    var mostAlgo = 5
    var mostLists = 20
    var mostAmends = 10
    /// Spot: against the average price, in 1e-8.
    var upFactor: Int64 = 5 * one
    var downFactor: Int64 = one / 5
    /// Futures: how far a stop may be triggered and a market order may take, and the highest leverage.
    var brackets: [Bracket] = []
    var liquidationFee: Int64 = 0

    /// Maintenance by size of the position.
    struct Bracket {
        var leverage: Int64
        var floor: Int64  // whole units of the quote
        var cap: Int64
        var ratio: Int64  // 1e-8
        var cum: Int64  // 1e-8
    }

    /// tick times step is a whole number of 1e-8 in every row, so that no trade's worth is ever rounded.
    static let spot: [SymbolRules] = [
        SymbolRules(
            name: "BTCUSDT", base: "BTC", quote: "USDT", tick: fixed("0.01"), step: fixed("0.00001"), priceDigits: 2, quantityDigits: 5, minPrice: fixed("0.01"),
            maxPrice: fixed("1000000"), minQuantity: fixed("0.00001"), maxQuantity: fixed("9000"), mostMarket: fixed("120"), minNotional: Int128(fixed("5")),
            maxNotional: Int128(fixed("9000000")), start: fixed("90000"), typicalQuantity: fixed("0.4")),
        SymbolRules(
            name: "ETHUSDT", base: "ETH", quote: "USDT", tick: fixed("0.01"), step: fixed("0.0001"), priceDigits: 2, quantityDigits: 4, minPrice: fixed("0.01"),
            maxPrice: fixed("1000000"), minQuantity: fixed("0.0001"), maxQuantity: fixed("9000"), mostMarket: fixed("2000"), minNotional: Int128(fixed("5")),
            maxNotional: Int128(fixed("9000000")), start: fixed("3000"), typicalQuantity: fixed("8")),
        SymbolRules(
            name: "BNBUSDT", base: "BNB", quote: "USDT", tick: fixed("0.01"), step: fixed("0.001"), priceDigits: 2, quantityDigits: 3, minPrice: fixed("0.01"),
            maxPrice: fixed("100000"), minQuantity: fixed("0.001"), maxQuantity: fixed("900000"), mostMarket: fixed("5000"), minNotional: Int128(fixed("5")),
            maxNotional: Int128(fixed("9000000")), start: fixed("900"), typicalQuantity: fixed("20")),
        SymbolRules(
            name: "ETHBTC", base: "ETH", quote: "BTC", tick: fixed("0.00001"), step: fixed("0.001"), priceDigits: 5, quantityDigits: 3, minPrice: fixed("0.00001"),
            maxPrice: fixed("922"), minQuantity: fixed("0.001"), maxQuantity: fixed("100000"), mostMarket: fixed("2000"), minNotional: Int128(fixed("0.0001")),
            maxNotional: Int128(fixed("9000000")), start: fixed("0.03333"), typicalQuantity: fixed("6")),
    ]

    static let futures: [SymbolRules] = [
        SymbolRules(
            name: "BTCUSDT", base: "BTC", quote: "USDT", tick: fixed("0.1"), step: fixed("0.001"), priceDigits: 2, quantityDigits: 3, minPrice: fixed("261.1"),
            maxPrice: fixed("809484"), minQuantity: fixed("0.001"), maxQuantity: fixed("1000"), mostMarket: fixed("120"), minNotional: Int128(fixed("50")),
            maxNotional: 0, start: fixed("90000"), typicalQuantity: fixed("0.8"), upFactor: fixed("1.05"), downFactor: fixed("0.95"), brackets: bitcoin,
            liquidationFee: fixed("0.0125")),
        SymbolRules(
            name: "ETHUSDT", base: "ETH", quote: "USDT", tick: fixed("0.01"), step: fixed("0.001"), priceDigits: 2, quantityDigits: 3, minPrice: fixed("18.67"),
            maxPrice: fixed("306177"), minQuantity: fixed("0.001"), maxQuantity: fixed("10000"), mostMarket: fixed("2000"), minNotional: Int128(fixed("20")),
            maxNotional: 0, start: fixed("3000"), typicalQuantity: fixed("16"), upFactor: fixed("1.05"), downFactor: fixed("0.95"), brackets: bitcoin,
            liquidationFee: fixed("0.0125")),
    ]

    private static let bitcoin: [Bracket] = [
        Bracket(leverage: 125, floor: 0, cap: 50_000, ratio: fixed("0.004"), cum: 0),
        Bracket(leverage: 100, floor: 50_000, cap: 600_000, ratio: fixed("0.005"), cum: fixed("50")),
        Bracket(leverage: 50, floor: 600_000, cap: 3_000_000, ratio: fixed("0.01"), cum: fixed("3050")),
        Bracket(leverage: 20, floor: 3_000_000, cap: 12_000_000, ratio: fixed("0.025"), cum: fixed("48050")),
        Bracket(leverage: 10, floor: 12_000_000, cap: 70_000_000, ratio: fixed("0.05"), cum: fixed("348050")),
        Bracket(leverage: 5, floor: 70_000_000, cap: 500_000_000, ratio: fixed("0.1"), cum: fixed("3848050")),
        Bracket(leverage: 1, floor: 500_000_000, cap: 10_000_000_000, ratio: fixed("0.5"), cum: fixed("203848050")),
    ]
}
