import PluginKit

/// What the venue's exchangeInfo says about one symbol. Zero in a bound means: not limited.
public struct SymbolRules: Sendable, Equatable {
    public struct Bounds: Sendable, Equatable {
        public var minimum = Fixed.zero
        public var maximum = Fixed.zero
        public var step = Fixed.zero
        public init() {}
    }
    public struct Notional: Sendable, Equatable {
        public var minimum = Amount.zero
        public var minimumForMarket = true
        public var maximum = Amount.zero
        public var maximumForMarket = false
        public init() {}
    }
    /// Price over reference price.
    public struct Percent: Sendable, Equatable {
        public var buyUp = Fixed.zero
        public var buyDown = Fixed.zero
        public var sellUp = Fixed.zero
        public var sellDown = Fixed.zero
        public init() {}
    }

    public var symbol = ""
    public var status = ""
    public var base = ""
    public var quote = ""
    /// Futures: the asset margin and profit are in.
    public var margin: String?
    public var contract: String?
    public var price = Bounds()
    public var lot = Bounds()
    public var marketLot = Bounds()
    public var notional: Notional?
    public var percent: Percent?
    public var maxOrders = 0
    public var maxAlgoOrders = 0
    public var maxOrderLists = 0
    public var maxPosition = Fixed.zero
    public var orderTypes: Set<String> = []
    public var allowsOCO = false

    public var isTrading: Bool { status == "TRADING" }

    public init() {}

    /// Reads an entry of `symbols`; nil: without a name. What isn't known is skipped, as the venue adds things often.
    public init?(_ value: JSONValue) {
        guard let name = value.find("symbol")?.asText, !name.isEmpty else { return nil }
        symbol = name
        status = value.find("status")?.asText ?? ""
        base = value.find("baseAsset")?.asText ?? ""
        quote = value.find("quoteAsset")?.asText ?? ""
        margin = value.find("marginAsset")?.asText
        contract = value.find("contractType")?.asText
        allowsOCO = value.find("ocoAllowed")?.asBool ?? false
        orderTypes = Set((value.find("orderTypes")?.asList ?? []).compactMap(\.asText))
        for filter in value.find("filters")?.asList ?? [] { read(filter) }
    }

    private mutating func read(_ filter: JSONValue) {
        func fixed(_ name: String) -> Fixed { filter.find(name)?.decimal ?? .zero }
        func amount(_ name: String) -> Amount { filter.find(name)?.money ?? .zero }
        func whole(_ names: String...) -> Int {
            for name in names { if let found = filter.find(name)?.asNumber?.int64 { return Int(clamping: found) } }
            return 0
        }
        switch filter.find("filterType")?.asText {
        case "PRICE_FILTER":
            price.minimum = fixed("minPrice")
            price.maximum = fixed("maxPrice")
            price.step = fixed("tickSize")
        case "LOT_SIZE":
            lot.minimum = fixed("minQty")
            lot.maximum = fixed("maxQty")
            lot.step = fixed("stepSize")
        case "MARKET_LOT_SIZE":
            marketLot.minimum = fixed("minQty")
            marketLot.maximum = fixed("maxQty")
            marketLot.step = fixed("stepSize")
        case "MIN_NOTIONAL":
            var rule = Notional()
            // Spot calls it minNotional, futures notional.
            rule.minimum = filter.find("minNotional") != nil ? amount("minNotional") : amount("notional")
            rule.minimumForMarket = filter.find("applyToMarket")?.asBool ?? true
            notional = rule
        case "NOTIONAL":
            var rule = Notional()
            rule.minimum = amount("minNotional")
            rule.minimumForMarket = filter.find("applyMinToMarket")?.asBool ?? true
            rule.maximum = amount("maxNotional")
            rule.maximumForMarket = filter.find("applyMaxToMarket")?.asBool ?? false
            notional = rule
        case "PERCENT_PRICE":
            // Futures: one-sided against the mark price. Spot: both sides.
            var rule = Percent()
            rule.buyUp = fixed("multiplierUp")
            rule.sellDown = fixed("multiplierDown")
            if filter.find("avgPriceMins") != nil {
                rule.buyDown = rule.sellDown
                rule.sellUp = rule.buyUp
            }
            percent = rule
        case "PERCENT_PRICE_BY_SIDE":
            var rule = Percent()
            rule.buyUp = fixed("bidMultiplierUp")
            rule.buyDown = fixed("bidMultiplierDown")
            rule.sellUp = fixed("askMultiplierUp")
            rule.sellDown = fixed("askMultiplierDown")
            percent = rule
        case "MAX_NUM_ORDERS": maxOrders = whole("maxNumOrders", "limit")
        case "MAX_NUM_ALGO_ORDERS": maxAlgoOrders = whole("maxNumAlgoOrders", "limit")
        case "MAX_NUM_ORDER_LISTS": maxOrderLists = whole("maxNumOrderLists", "limit")
        case "MAX_POSITION": maxPosition = fixed("maxPosition")
        default: break
        }
    }

    /// What of the state of the account and the market a test needs; nil or 0: not known, and then the venue decides.
    public struct Context: Sendable {
        /// The price market orders and percent filters are measured by: the average on spot, the mark price on futures.
        public var reference: Fixed?
        public var openOrders = 0
        public var openAlgoOrders = 0
        /// Base asset held, locked or being bought.
        public var holding: Amount?
        public init() {}
    }

    /// Refuses what the venue's filters would, before anything is sent, and names the filter.
    public func check(_ order: Order, _ product: Product, _ context: Context) throws(PluginError) {
        func no(_ filter: String, _ why: String, range: Bool = true) -> PluginError {
            PluginError(range ? .range : .invalid, "\(filter): \(why) (\(symbol))")
        }
        guard isTrading else { throw PluginError(.rejected, "\(symbol) is not trading: its status is \(status)") }
        let kind = order.features.intersection(.kinds)
        func test(_ price: Fixed, _ word: String) throws(PluginError) {
            if self.price.minimum.isPositive, price < self.price.minimum { throw no("PRICE_FILTER", "\(word) \(price) is below minPrice \(self.price.minimum)") }
            if self.price.maximum.isPositive, price > self.price.maximum { throw no("PRICE_FILTER", "\(word) \(price) is above maxPrice \(self.price.maximum)") }
            if !price.isMultiple(of: self.price.step) { throw no("PRICE_FILTER", "\(word) \(price) is not a multiple of tickSize \(self.price.step)", range: false) }
        }
        if order.limit.isPositive { try test(order.limit, "limit price") }
        if order.trigger.isPositive { try test(order.trigger, "trigger price") }
        func test(_ bounds: Bounds, _ filter: String) throws(PluginError) {
            if order.quantity < bounds.minimum { throw no(filter, "qty \(order.quantity) is below minQty \(bounds.minimum)") }
            if bounds.maximum.isPositive, order.quantity > bounds.maximum { throw no(filter, "qty \(order.quantity) is above maxQty \(bounds.maximum)") }
            if !order.quantity.isMultiple(of: bounds.step) { throw no(filter, "qty \(order.quantity) is not a multiple of stepSize \(bounds.step)", range: false) }
        }
        try test(lot, "LOT_SIZE")
        // What becomes a market order is measured as one.
        let isMarket = !kind.isSubset(of: .withLimit)
        if isMarket { try test(marketLot, "MARKET_LOT_SIZE") }
        let valued = order.limit.isPositive ? order.limit : order.trigger.isPositive ? order.trigger : context.reference ?? .zero
        if let notional, valued.isPositive {
            let worth = valued.notional(order.quantity)
            let name = product == .spot && notional.maximum.isPositive ? "NOTIONAL" : "MIN_NOTIONAL"
            // Closing what is left may always be small.
            let mayBeSmall = order.features.contains(.reduceOnly) || (isMarket && !notional.minimumForMarket)
            if !mayBeSmall, worth < notional.minimum { throw no(name, "the order is worth \(worth), below minNotional \(notional.minimum)") }
            if notional.maximum.isPositive, worth > notional.maximum, !isMarket || notional.maximumForMarket {
                throw no(name, "the order is worth \(worth), above maxNotional \(notional.maximum)")
            }
        }
        if let percent, order.limit.isPositive, let reference = context.reference, reference.isPositive {
            let (up, down) = order.side == .buy ? (percent.buyUp, percent.buyDown) : (percent.sellUp, percent.sellDown)
            // The venue's reference moves and is not ours to see exactly: only what is out by more than a hundredth is refused here.
            let slack = Fixed(raw: Fixed.scale / 100)
            if up.isPositive, let most = try? reference.multiplied(by: up).multiplied(by: Fixed(raw: Fixed.scale + slack.raw)), order.limit > most {
                throw no("PERCENT_PRICE", "limit price \(order.limit) is more than \(up) times the reference price \(reference)")
            }
            if down.isPositive, let least = try? reference.multiplied(by: down).multiplied(by: Fixed(raw: Fixed.scale - slack.raw)), order.limit < least {
                throw no("PERCENT_PRICE", "limit price \(order.limit) is less than \(down) times the reference price \(reference)")
            }
        }
        if maxOrders > 0, context.openOrders >= maxOrders { throw no("MAX_NUM_ORDERS", "\(context.openOrders) orders are open, \(maxOrders) is the most") }
        if maxAlgoOrders > 0, order.trigger.isPositive, context.openAlgoOrders >= maxAlgoOrders {
            throw no("MAX_NUM_ALGO_ORDERS", "\(context.openAlgoOrders) conditional orders are open, \(maxAlgoOrders) is the most")
        }
        if maxPosition.isPositive, order.side == .buy, let holding = context.holding, holding.raw &+ Int128(order.quantity.raw) > Int128(maxPosition.raw) {
            throw no("MAX_POSITION", "holding \(holding) and buying \(order.quantity) is above maxPosition \(maxPosition)")
        }
    }
}

extension JSONValue {
    /// A decimal written as text or as a number; nil if it is neither, or doesn't fit in eight decimals.
    public var decimal: Fixed? {
        switch content {
        case .text(let text): Fixed(text)
        case .number(let number): try? number.fixed()
        default: nil
        }
    }

    public var money: Amount? {
        switch content {
        case .text(let text): Amount(text)
        case .number(let number): try? number.amount()
        default: nil
        }
    }

    /// A whole number written as a number or as text.
    public var whole: Int64? {
        switch content {
        case .text(let text): Int64(text)
        case .number(let number): number.int64
        default: nil
        }
    }
}
