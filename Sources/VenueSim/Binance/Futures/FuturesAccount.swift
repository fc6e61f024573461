/// Which position of a symbol: the only one, or one of two in hedge mode.
enum PositionSide: String, Codable {
    case both = "BOTH"
    case long = "LONG"
    case short = "SHORT"
}

/// A position with what it cost: the average price is made from these when it is asked for, so that no rounding is ever lost or won.
struct Position: Codable, Equatable {
    /// Below zero: short.
    var amount: Int64 = 0
    /// Money paid for what is held: positive for both sides.
    var cost: Int128 = 0
    /// Set aside for it in isolated mode.
    var isolated: Int128 = 0
    var updated: Int64 = 0

    var entry: Int64 { amount == 0 ? 0 : Int64(clamping: cost * Int128(one) / Int128(amount.magnitude)) }

    func profit(at mark: Int64) -> Int128 {
        let worth = money(mark, Int64(clamping: amount.magnitude))
        return amount >= 0 ? worth - cost : cost - worth
    }

    func notional(at mark: Int64) -> Int128 { money(mark, Int64(clamping: amount.magnitude)) }
}

struct PositionKey: Hashable, Codable {
    var symbol: String
    var side: PositionSide
}

/// One payment in or out of the futures wallet.
struct Income: Codable, Equatable {
    var id: Int64
    var symbol: String
    var type: String
    var amount: Int128
    var asset: String
    var time: Int64
    var trade: Int64?
}

/// An account's futures side. Everything is settled in USDT.
struct FuturesAccount: Codable {
    var wallet: [String: Int128] = [:]
    var positions: [PositionKey: Position] = [:]
    var leverage: [String: Int64] = [:]
    var isolated: Set<String> = []
    var isDual = false
    var updated: Int64 = 0
    var income: [Income] = []
    /// Dead man's switches: when each symbol's orders are cancelled.
    var countdowns: [String: Int64] = [:]

    func leverage(_ symbol: String) -> Int64 { leverage[symbol] ?? 20 }
}

final class FuturesOrder: Codable {
    let id: Int64
    let account: Int
    let symbol: String
    let clientID: String
    let side: Side
    let positionSide: PositionSide
    /// LIMIT, MARKET or LIQUIDATION; what it was before a trigger in `originalType`.
    let type: String
    var originalType: String
    var timeInForce: TimeInForce
    var price: Int64
    var quantity: Int64
    let reduceOnly: Bool
    let closePosition: Bool
    let selfTrade: SelfTrade
    let priceMatch: String
    let goodTill: Int64
    var stopPrice: Int64 = 0
    var workingType = "CONTRACT_PRICE"
    var priceProtect = false
    var executed: Int64 = 0
    var quote: Int128 = 0
    var status: OrderStatus = .new
    let time: Int64
    var updated: Int64
    var isResting = false
    /// Why it expired, as ORDER_TRADE_UPDATE tells it.
    var expiry = "0"

    init(
        id: Int64, account: Int, symbol: String, clientID: String, side: Side, positionSide: PositionSide, type: String, timeInForce: TimeInForce, price: Int64,
        quantity: Int64, reduceOnly: Bool, closePosition: Bool, selfTrade: SelfTrade, priceMatch: String, goodTill: Int64, time: Int64
    ) {
        self.id = id
        self.account = account
        self.symbol = symbol
        self.clientID = clientID
        self.side = side
        self.positionSide = positionSide
        self.type = type
        originalType = type
        self.timeInForce = timeInForce
        self.price = price
        self.quantity = quantity
        self.reduceOnly = reduceOnly
        self.closePosition = closePosition
        self.selfTrade = selfTrade
        self.priceMatch = priceMatch
        self.goodTill = goodTill
        self.time = time
        updated = time
    }

    var remaining: Int64 { quantity - executed }
    var average: Int64 { executed == 0 ? 0 : Int64(clamping: quote * Int128(one) / Int128(executed)) }
    /// It can only make its position smaller.
    var onlyReduces: Bool { reduceOnly || positionSide == .long && side == .sell || positionSide == .short && side == .buy }
}

struct FuturesFill: Codable, Equatable {
    var trade: Int64
    var order: Int64
    var symbol: String
    var price: Int64
    var quantity: Int64
    var quote: Int128
    var commission: Int128
    var realized: Int128
    var side: Side
    var positionSide: PositionSide
    var isMaker: Bool
    var time: Int64
}

/// A conditional order: in a store of its own until its price is reached.
final class AlgoOrder: Codable {
    let id: Int64
    let account: Int
    let clientID: String
    let symbol: String
    let side: Side
    let positionSide: PositionSide
    /// STOP, STOP_MARKET, TAKE_PROFIT, TAKE_PROFIT_MARKET, TRAILING_STOP_MARKET.
    let type: String
    let timeInForce: TimeInForce
    let quantity: Int64
    let price: Int64
    var trigger: Int64
    let workingType: String
    let closePosition: Bool
    let priceProtect: Bool
    let reduceOnly: Bool
    let selfTrade: SelfTrade
    let priceMatch: String
    let goodTill: Int64
    let activation: Int64
    /// In 1e-8 of the price.
    let callback: Int64
    var isActivated = false
    var extreme: Int64 = 0
    var status = "NEW"
    let created: Int64
    var updated: Int64
    var triggered: Int64 = 0
    var actualOrder: Int64?
    var message = ""

    init(
        id: Int64, account: Int, clientID: String, symbol: String, side: Side, positionSide: PositionSide, type: String, timeInForce: TimeInForce, quantity: Int64,
        price: Int64, trigger: Int64, workingType: String, closePosition: Bool, priceProtect: Bool, reduceOnly: Bool, selfTrade: SelfTrade, priceMatch: String,
        goodTill: Int64, activation: Int64, callback: Int64, created: Int64
    ) {
        self.id = id
        self.account = account
        self.clientID = clientID
        self.symbol = symbol
        self.side = side
        self.positionSide = positionSide
        self.type = type
        self.timeInForce = timeInForce
        self.quantity = quantity
        self.price = price
        self.trigger = trigger
        self.workingType = workingType
        self.closePosition = closePosition
        self.priceProtect = priceProtect
        self.reduceOnly = reduceOnly
        self.selfTrade = selfTrade
        self.priceMatch = priceMatch
        self.goodTill = goodTill
        self.activation = activation
        self.callback = callback
        self.created = created
        updated = created
    }

    var isTakeProfit: Bool { type.hasPrefix("TAKE_PROFIT") }
    var isTrailing: Bool { type == "TRAILING_STOP_MARKET" }
    var hasPrice: Bool { type == "STOP" || type == "TAKE_PROFIT" }
    /// It waits for the price to come up to its trigger.
    var waitsForRise: Bool { isTakeProfit == (side == .sell) }
}
