import PluginKit

/// Where an order stands, in the venue's words. A later one never gives way to an earlier one.
public enum VenueStatus: Int, Sendable, Comparable {
    case sent = 0
    /// Known to the venue: NEW, PENDING_NEW, or a conditional order that waits.
    case new
    case partlyFilled
    case canceled, expired, rejected
    case filled

    public static func < (a: VenueStatus, b: VenueStatus) -> Bool { a.rawValue < b.rawValue }
    public var isTerminal: Bool { self >= .canceled }

    /// nil: a word nobody knows, which says nothing.
    public init?(_ text: String) {
        switch text {
        case "NEW", "PENDING_NEW", "PENDING_CANCEL", "NEW_INSURANCE", "NEW_ADL": self = .new
        case "PARTIALLY_FILLED": self = .partlyFilled
        case "FILLED": self = .filled
        case "CANCELED": self = .canceled
        case "EXPIRED", "EXPIRED_IN_MATCH": self = .expired
        case "REJECTED": self = .rejected
        default: return nil
        }
    }
}

/// What the venue says about one of its orders, from whichever channel.
public struct VenueReport: Sendable, Equatable {
    public var symbol = ""
    public var clientID = ""
    public var orderID: Int64 = 0
    public var status: VenueStatus?
    public var rawStatus = ""
    public var side: Side?
    public var quantity = Fixed.zero
    public var price = Fixed.zero
    public var executed = Fixed.zero
    /// Money spent or got, zero if not said.
    public var spent = Amount.zero
    public var time: Int64 = 0  // milliseconds
    public var reason = ""
    /// A conditional order of the futures algo service, not yet triggered.
    public var isAlgo = false
    /// The ordinary order a triggered one became.
    public var actualOrderID: Int64 = 0
    public var algoIsOver = false

    public init() {}

    /// An order object of REST and the WebSocket API: answers to place, cancel, query, lists of orders.
    public init?(order value: JSONValue) {
        guard let symbol = value.find("symbol")?.asText, let id = value.find("orderId")?.whole else { return nil }
        self.symbol = symbol
        orderID = id
        // In the answer to a cancel on spot, clientOrderId is the cancel's own.
        let original = value.find("origClientOrderId")?.asText ?? ""
        clientID = original.isEmpty ? value.find("clientOrderId")?.asText ?? "" : original
        rawStatus = value.find("status")?.asText ?? ""
        // ACK says only that it is there.
        status = rawStatus.isEmpty ? .new : VenueStatus(rawStatus)
        side = VenueReport.side(value.find("side")?.asText)
        quantity = value.find("origQty")?.decimal ?? .zero
        price = value.find("price")?.decimal ?? .zero
        executed = value.find("executedQty")?.decimal ?? .zero
        spent = value.find("cummulativeQuoteQty")?.money ?? value.find("cumQuote")?.money ?? .zero
        time = value.find("updateTime")?.whole ?? value.find("transactTime")?.whole ?? 0
        reason = value.find("expiryReason")?.asText ?? ""
    }

    /// An object of the futures algo service. `nil` status: it has become an ordinary order, which tells the rest.
    public init?(algo value: JSONValue) {
        guard let symbol = value.find("symbol")?.asText, let id = value.find("clientAlgoId")?.asText else { return nil }
        self.symbol = symbol
        clientID = id
        isAlgo = true
        orderID = value.find("algoId")?.whole ?? 0
        side = VenueReport.side(value.find("side")?.asText)
        quantity = value.find("quantity")?.decimal ?? .zero
        price = value.find("price")?.decimal ?? .zero
        time = value.find("updateTime")?.whole ?? 0
        actualOrderID = value.find("actualOrderId")?.whole ?? 0
        readAlgo(status: value.find("algoStatus")?.asText ?? "")
    }

    private mutating func readAlgo(status text: String) {
        rawStatus = text
        switch text {
        case "NEW": status = .new
        case "CANCELED": status = .canceled
        case "REJECTED": status = .rejected
        case "EXPIRED": status = .expired
        case "TRIGGERING", "TRIGGERED", "FINISHED":
            // It left the service; what fills is an ordinary order of the same client id.
            status = .new
            algoIsOver = true
        default: status = nil
        }
    }

    /// Spot's executionReport.
    public init?(execution value: JSONValue) {
        guard let symbol = value.find("s")?.asText, let id = value.find("i")?.whole else { return nil }
        self.symbol = symbol
        orderID = id
        // After a cancel `c` is the cancel's id and `C` the order's.
        let original = value.find("C")?.asText ?? ""
        clientID = original.isEmpty ? value.find("c")?.asText ?? "" : original
        readEvent(value)
        spent = value.find("Z")?.money ?? .zero
        let reject = value.find("r")?.asText ?? "NONE"
        reason = value.find("eR")?.asText ?? (reject == "NONE" ? "" : reject)
    }

    /// The `o` of a futures ORDER_TRADE_UPDATE.
    public init?(update value: JSONValue) {
        guard let symbol = value.find("s")?.asText, let id = value.find("i")?.whole else { return nil }
        self.symbol = symbol
        orderID = id
        clientID = value.find("c")?.asText ?? ""
        readEvent(value)
        let code = value.find("er")?.asText ?? "0"
        reason = code == "0" ? "" : VenueReport.expiry[code] ?? "reason \(code)"
    }

    /// The `o` of a futures ALGO_UPDATE.
    public init?(algoUpdate value: JSONValue) {
        guard let symbol = value.find("s")?.asText, let id = value.find("caid")?.asText else { return nil }
        self.symbol = symbol
        clientID = id
        isAlgo = true
        orderID = value.find("aid")?.whole ?? 0
        side = VenueReport.side(value.find("S")?.asText)
        quantity = value.find("q")?.decimal ?? .zero
        price = value.find("p")?.decimal ?? .zero
        actualOrderID = value.find("ai")?.whole ?? 0
        reason = value.find("rm")?.asText ?? ""
        readAlgo(status: value.find("X")?.asText ?? "")
    }

    private mutating func readEvent(_ value: JSONValue) {
        rawStatus = value.find("X")?.asText ?? ""
        status = VenueStatus(rawStatus)
        side = VenueReport.side(value.find("S")?.asText)
        quantity = value.find("q")?.decimal ?? .zero
        price = value.find("p")?.decimal ?? .zero
        executed = value.find("z")?.decimal ?? .zero
        time = value.find("T")?.whole ?? 0
    }

    private static let expiry = [
        "1": "self-trade prevention", "2": "immediate-or-cancel remainder", "3": "remainder cut by self-trade prevention",
        "4": "knocked out by another reduce-only order or would reverse the position", "5": "account liquidated", "6": "its condition was not met",
        "7": "symbol delisted", "8": "expired after its stop was triggered", "9": "market order remainder",
    ]

    static func side(_ text: String?) -> Side? {
        switch text {
        case "BUY": .buy
        case "SELL": .sell
        default: nil
        }
    }
}

/// One trade of ours, from whichever channel. Its key is the same in all of them.
public struct TradeReport: Sendable, Equatable {
    public var symbol: String
    public var tradeID: Int64
    public var orderID: Int64
    public var quantity: Fixed
    public var price: Fixed
    public var fee: Amount
    public var feeAsset: String
    public var liquidity: Liquidity
    public var side: Side?
    public var time: Int64  // milliseconds

    public var key: String { "\(symbol):\(tradeID)" }

    /// An entry of `fills` in the answer to a spot order: it was taken at once.
    public init?(fill value: JSONValue, symbol: String, orderID: Int64, side: Side?, time: Int64) {
        guard let id = value.find("tradeId")?.whole, id >= 0, let quantity = value.find("qty")?.decimal, let price = value.find("price")?.decimal,
            quantity.isPositive
        else { return nil }
        self.init(
            symbol: symbol, tradeID: id, orderID: orderID, quantity: quantity, price: price, fee: TradeReport.fee(value.find("commission")),
            feeAsset: value.find("commissionAsset")?.asText ?? "", liquidity: .taker, side: side, time: time)
    }

    /// An entry of myTrades or userTrades.
    public init?(trade value: JSONValue) {
        guard let symbol = value.find("symbol")?.asText, let id = value.find("id")?.whole, let order = value.find("orderId")?.whole,
            let quantity = value.find("qty")?.decimal, let price = value.find("price")?.decimal, quantity.isPositive
        else { return nil }
        let maker = value.find("isMaker")?.asBool ?? value.find("maker")?.asBool
        let buyer = value.find("isBuyer")?.asBool ?? value.find("buyer")?.asBool
        self.init(
            symbol: symbol, tradeID: id, orderID: order, quantity: quantity, price: price, fee: TradeReport.fee(value.find("commission")),
            feeAsset: value.find("commissionAsset")?.asText ?? "", liquidity: maker == true ? .maker : maker == false ? .taker : .unknown,
            side: buyer == true ? .buy : buyer == false ? .sell : nil, time: value.find("time")?.whole ?? 0)
    }

    /// The trade in an executionReport or an ORDER_TRADE_UPDATE; nil if there is none in it.
    public init?(event value: JSONValue) {
        guard value.find("x")?.asText == "TRADE" || value.find("x")?.asText == "CALCULATED", let symbol = value.find("s")?.asText,
            let id = value.find("t")?.whole, id > 0 || (id == 0 && value.find("ot") == nil), let order = value.find("i")?.whole,
            let quantity = value.find("l")?.decimal, let price = value.find("L")?.decimal, quantity.isPositive
        else { return nil }
        let maker = value.find("m")?.asBool
        self.init(
            symbol: symbol, tradeID: id, orderID: order, quantity: quantity, price: price, fee: TradeReport.fee(value.find("n")),
            feeAsset: value.find("N")?.asText ?? "", liquidity: maker == true ? .maker : maker == false ? .taker : .unknown,
            side: VenueReport.side(value.find("S")?.asText), time: value.find("T")?.whole ?? 0)
    }

    init(
        symbol: String, tradeID: Int64, orderID: Int64, quantity: Fixed, price: Fixed, fee: Amount, feeAsset: String, liquidity: Liquidity, side: Side?,
        time: Int64
    ) {
        self.symbol = symbol
        self.tradeID = tradeID
        self.orderID = orderID
        self.quantity = quantity
        self.price = price
        self.fee = fee
        self.feeAsset = feeAsset
        self.liquidity = liquidity
        self.side = side
        self.time = time
    }

    /// Exact to eight decimals; more are cut away from zero, so that a cost is never told too small.
    static func fee(_ value: JSONValue?) -> Amount {
        guard let value else { return .zero }
        if let exact = value.money { return exact }
        guard let text = value.asText, let point = text.firstIndex(of: ".") else { return .zero }
        let end = text.index(point, offsetBy: 9, limitedBy: text.endIndex) ?? text.endIndex
        guard let cut = Amount(text[..<end].description) else { return .zero }
        return Amount(raw: cut.raw &+ (cut.isNegative ? -1 : 1))
    }
}
