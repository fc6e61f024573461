import PluginKit

/// How an order of the host is written for Binance. Pure: the same order gives the same parameters.
public struct OrderWire: Sendable {
    /// What to send, before key, window and time are added.
    public struct Placement: Sendable {
        public var parameters: Parameters
        /// Futures' conditional orders live in a service of their own.
        public var isAlgo: Bool
    }

    public var product: Product
    public var hedge = false
    public var workingType = "CONTRACT_PRICE"

    public init(_ product: Product, hedge: Bool = false, workingType: String = "CONTRACT_PRICE") {
        self.product = product
        self.hedge = hedge
        self.workingType = workingType
    }

    /// `quantity` may be less than the order's (the rest of a maker-first order); `as` overrides what is placed.
    public enum Manner: Sendable { case ordered, maker, taker }

    public func place(_ order: Order, symbol: String, id: ClientID, quantity: Fixed? = nil, manner: Manner = .ordered) throws(PluginError) -> Placement {
        var features = order.features
        switch manner {
        case .ordered: break
        case .maker: features.insert(.postOnly)
        case .taker:
            features.remove(.postOnly)
            features.insert(.immediateOrCancel)
        }
        return product == .spot
            ? try spot(order, features, symbol, id, quantity ?? order.quantity) : try futures(order, features, symbol, id, quantity ?? order.quantity)
    }

    private func timeInForce(_ features: OrderFeatures) -> StaticString {
        features.contains(.immediateOrCancel) ? "IOC" : features.contains(.fillOrKill) ? "FOK" : "GTC"
    }

    private func spot(_ order: Order, _ features: OrderFeatures, _ symbol: String, _ id: ClientID, _ quantity: Fixed) throws(PluginError) -> Placement {
        guard !features.contains(.reduceOnly) else { throw .unsupported("spot has no reduce-only orders") }
        var out = Parameters()
        let kind = features.intersection(.kinds)
        out.add("newClientOrderId", id.order, suffix: id.suffix)
        out.add("newOrderRespType", "FULL" as StaticString)
        if kind.isSubset(of: .withLimit) { out.add("price", order.limit) }
        out.add("quantity", quantity)
        out.add("side", order.side == .buy ? "BUY" : "SELL" as StaticString)
        if kind.isSubset(of: .withTrigger) { out.add("stopPrice", order.trigger) }
        out.add("symbol", symbol)
        switch kind {
        case .market:
            guard !features.contains(.fillOrKill) else { throw .unsupported("Binance has no fill-or-kill market orders") }
            out.add("type", "MARKET" as StaticString)
        case .limit:
            if features.contains(.postOnly) {
                out.add("type", "LIMIT_MAKER" as StaticString)
            } else {
                out.add("timeInForce", timeInForce(features))
                out.add("type", "LIMIT" as StaticString)
            }
        case .stop, .take:
            guard features.isDisjoint(with: [.immediateOrCancel, .fillOrKill]) else { throw .unsupported("a stop becomes a market order: it takes no time in force") }
            out.add("type", kind == .stop ? "STOP_LOSS" : "TAKE_PROFIT" as StaticString)
        case .stopLimit, .takeLimit:
            guard !features.contains(.postOnly) else { throw .unsupported("Binance has no post-only stop orders") }
            out.add("timeInForce", timeInForce(features))
            out.add("type", kind == .stopLimit ? "STOP_LOSS_LIMIT" : "TAKE_PROFIT_LIMIT" as StaticString)
        default: throw .invalid("an order is exactly one of six kinds")
        }
        return Placement(parameters: out, isAlgo: false)
    }

    private func futures(_ order: Order, _ features: OrderFeatures, _ symbol: String, _ id: ClientID, _ quantity: Fixed) throws(PluginError) -> Placement {
        var out = Parameters()
        let kind = features.intersection(.kinds)
        let isAlgo = kind.isSubset(of: .withTrigger)
        if isAlgo {
            guard !features.contains(.postOnly) else { throw .unsupported("a conditional order can't be post-only here") }
            out.add("algoType", "CONDITIONAL" as StaticString)
            out.add("clientAlgoId", id.order, suffix: id.suffix)
        } else {
            out.add("newClientOrderId", id.order, suffix: id.suffix)
        }
        out.add("newOrderRespType", "RESULT" as StaticString)
        if hedge {
            // Opening and closing are told apart by whether the order only reduces; hedge mode knows no other mark.
            let long = (order.side == .buy) != features.contains(.reduceOnly)
            out.add("positionSide", long ? "LONG" : "SHORT" as StaticString)
        }
        if kind.isSubset(of: .withLimit) { out.add("price", order.limit) }
        out.add("quantity", quantity)
        if !hedge, features.contains(.reduceOnly) { out.add("reduceOnly", "true" as StaticString) }
        out.add("side", order.side == .buy ? "BUY" : "SELL" as StaticString)
        out.add("symbol", symbol)
        if kind.isSubset(of: .withLimit) {
            out.add("timeInForce", features.contains(.postOnly) ? "GTX" : timeInForce(features))
        } else {
            guard !features.contains(.fillOrKill) else { throw .unsupported("Binance has no fill-or-kill market orders") }
        }
        if isAlgo { out.add("triggerPrice", order.trigger) }
        switch kind {
        case .market: out.add("type", "MARKET" as StaticString)
        case .limit: out.add("type", "LIMIT" as StaticString)
        case .stop: out.add("type", "STOP_MARKET" as StaticString)
        case .stopLimit: out.add("type", "STOP" as StaticString)
        case .take: out.add("type", "TAKE_PROFIT_MARKET" as StaticString)
        case .takeLimit: out.add("type", "TAKE_PROFIT" as StaticString)
        default: throw .invalid("an order is exactly one of six kinds")
        }
        if isAlgo { out.add("workingType", workingType) }
        return Placement(parameters: out, isAlgo: isAlgo)
    }

    /// Names an order to cancel or to query it.
    public func name(_ id: ClientID, symbol: String, isAlgo: Bool) -> Parameters {
        var out = Parameters()
        if isAlgo {
            out.add("clientAlgoId", id.order, suffix: id.suffix)
        } else {
            out.add("origClientOrderId", id.order, suffix: id.suffix)
            out.add("symbol", symbol)
        }
        return out
    }

    /// One cancels the other: a take-profit and a stop over the same quantity (spot). The price decides which of them lies above.
    public func pair(take: Order, stop: Order, symbol: String, list: ClientID) throws(PluginError) -> Parameters {
        guard product == .spot else { throw .unsupported("futures have no order lists: place two reduce-only orders") }
        guard take.side == stop.side, take.quantity == stop.quantity else { throw .invalid("both legs of a pair have the same side and quantity") }
        let takeKind = take.features.intersection(.kinds)
        let stopKind = stop.features.intersection(.kinds)
        let takeType: StaticString
        switch takeKind {
        case .limit: takeType = "LIMIT_MAKER"
        case .take: takeType = "TAKE_PROFIT"
        case .takeLimit: takeType = "TAKE_PROFIT_LIMIT"
        default: throw .invalid("the first leg of a pair is a limit, take or take-limit order")
        }
        let stopType: StaticString
        switch stopKind {
        case .stop: stopType = "STOP_LOSS"
        case .stopLimit: stopType = "STOP_LOSS_LIMIT"
        default: throw .invalid("the second leg of a pair is a stop or stop-limit order")
        }
        let takePrice = takeKind == .limit ? take.limit : take.trigger
        let sells = take.side == .sell
        guard sells ? takePrice > stop.trigger : takePrice < stop.trigger else {
            throw .invalid("the profit leg of a \(sells ? "sell" : "buy") pair lies \(sells ? "above" : "below") its stop")
        }
        var out = Parameters()
        func leg(_ above: Bool, _ order: Order, _ type: StaticString, _ kind: OrderFeatures, _ id: ClientID) {
            out.add(above ? "aboveClientOrderId" : "belowClientOrderId", id.order, suffix: id.suffix)
            if kind.isSubset(of: .withLimit) { out.add(above ? "abovePrice" : "belowPrice", order.limit) }
            if kind.isSubset(of: .withTrigger) { out.add(above ? "aboveStopPrice" : "belowStopPrice", order.trigger) }
            if kind == .stopLimit || kind == .takeLimit { out.add(above ? "aboveTimeInForce" : "belowTimeInForce", "GTC" as StaticString) }
            out.add(above ? "aboveType" : "belowType", type)
        }
        leg(sells, take, takeType, takeKind, ClientID(take.id))
        leg(!sells, stop, stopType, stopKind, ClientID(stop.id))
        out.add("listClientOrderId", list.order, suffix: UInt8(ascii: "l"))
        out.add("newOrderRespType", "RESULT" as StaticString)
        out.add("quantity", take.quantity)
        out.add("side", sells ? "SELL" : "BUY" as StaticString)
        out.add("symbol", symbol)
        return out
    }
}
