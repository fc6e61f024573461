enum SpotType: String, Codable, CaseIterable {
    case limit = "LIMIT"
    case market = "MARKET"
    case limitMaker = "LIMIT_MAKER"
    case stopLoss = "STOP_LOSS"
    case stopLossLimit = "STOP_LOSS_LIMIT"
    case takeProfit = "TAKE_PROFIT"
    case takeProfitLimit = "TAKE_PROFIT_LIMIT"

    var isConditional: Bool { [.stopLoss, .stopLossLimit, .takeProfit, .takeProfitLimit].contains(self) }
    var isStop: Bool { self == .stopLoss || self == .stopLossLimit }
    var hasPrice: Bool { [.limit, .limitMaker, .stopLossLimit, .takeProfitLimit].contains(self) }
    var hasTimeInForce: Bool { [.limit, .stopLossLimit, .takeProfitLimit].contains(self) }
}

enum TimeInForce: String, Codable {
    case gtc = "GTC"
    case ioc = "IOC"
    case fok = "FOK"
    case gtx = "GTX"
    case gtd = "GTD"
}

enum OrderStatus: String, Codable {
    case pendingNew = "PENDING_NEW"
    case new = "NEW"
    case partly = "PARTIALLY_FILLED"
    case filled = "FILLED"
    case canceled = "CANCELED"
    case expired = "EXPIRED"
    case expiredInMatch = "EXPIRED_IN_MATCH"
    case rejected = "REJECTED"

    var isOpen: Bool { self == .new || self == .partly || self == .pendingNew }
}

/// What happens when an order would meet another of its own account.
enum SelfTrade: String, Codable {
    case expireTaker = "EXPIRE_TAKER"
    case expireMaker = "EXPIRE_MAKER"
    case expireBoth = "EXPIRE_BOTH"
}

final class SpotOrder: Codable {
    let id: Int64
    let account: Int
    let symbol: String
    var clientID: String
    var list: Int64 = -1
    let side: Side
    let type: SpotType
    var timeInForce: TimeInForce
    let price: Int64
    var quantity: Int64
    let quoteQuantity: Int128
    let stopPrice: Int64
    let selfTrade: SelfTrade
    var strategyID: Int64?
    var strategyType: Int64?
    var executed: Int64 = 0
    var quote: Int128 = 0
    var status: OrderStatus = .new
    let time: Int64
    var updated: Int64
    /// -1: not yet working.
    var workingTime: Int64 = -1
    /// A conditional order whose price was reached, or any other.
    var isTriggered: Bool
    /// In the asset it gives, held back for this order.
    var locked: Int128 = 0
    var expiry: String?
    var prevented: Int64 = 0
    var preventedMatch: Int64?
    var amends = 0
    /// It was counted as unfilled for the order limit.
    var isCounted = true

    init(
        id: Int64, account: Int, symbol: String, clientID: String, side: Side, type: SpotType, timeInForce: TimeInForce, price: Int64, quantity: Int64,
        quoteQuantity: Int128, stopPrice: Int64, selfTrade: SelfTrade, time: Int64
    ) {
        self.id = id
        self.account = account
        self.symbol = symbol
        self.clientID = clientID
        self.side = side
        self.type = type
        self.timeInForce = timeInForce
        self.price = price
        self.quantity = quantity
        self.quoteQuantity = quoteQuantity
        self.stopPrice = stopPrice
        self.selfTrade = selfTrade
        self.time = time
        updated = time
        isTriggered = !type.isConditional
    }

    var remaining: Int64 { quantity - executed - prevented }
    /// On the book or able to be.
    var isWorking: Bool { workingTime >= 0 }
}

/// One side of a trade as its owner sees it.
struct SpotFill: Codable, Equatable {
    var trade: Int64
    var order: Int64
    var list: Int64
    var price: Int64
    var quantity: Int64
    var quote: Int128
    var commission: Int128
    var asset: String
    var time: Int64
    var isBuyer: Bool
    var isMaker: Bool
}

/// Orders that hang together.
final class OrderList: Codable {
    enum Kind: String, Codable { case oco = "OCO", oto = "OTO" }

    let id: Int64
    let account: Int
    let symbol: String
    let kind: Kind
    let clientID: String
    let time: Int64
    var orders: [Int64]
    /// Waiting for the first order to fill.
    var pending: [Int64] = []
    /// The pair of which one ends the other.
    var pair: [Int64] = []
    var type = "EXEC_STARTED"
    var status = "EXECUTING"

    init(id: Int64, account: Int, symbol: String, kind: Kind, clientID: String, time: Int64, orders: [Int64]) {
        self.id = id
        self.account = account
        self.symbol = symbol
        self.kind = kind
        self.clientID = clientID
        self.time = time
        self.orders = orders
    }
}
