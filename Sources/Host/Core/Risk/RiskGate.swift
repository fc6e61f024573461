import PluginAPI
import PluginKit

/// An order the risk gate has let through. Only this file can make one, and the broker stage takes nothing else.
public struct ApprovedOrder: Sendable {
    public let order: keel_order
    public let role: OrderRole

    fileprivate init(order: keel_order, role: OrderRole) {
        self.order = order
        self.role = role
    }

    public var id: OrderID { OrderID(order.id) }
}

/// Everything the gate looks at, gathered by the engine at the moment of the check.
public struct RiskContext: Sendable {
    public var now: Int64
    public var instrument: Instrument
    public var settings: RiskSettings
    /// What a market order would pay or get now, and what the decider saw (zero: nobody saw one).
    public var price: Fixed
    public var seenPrice: Fixed
    public var equity: Amount
    public var position: Amount
    /// Signed quantity of this instrument that live entries may still add, the order in question left out.
    public var entering: Amount = .zero
    /// Worth of all positions of the pipeline (absolute) and of what live entries may still add, the same left out.
    public var exposure: Amount = .zero
    /// Quantity that live exits may still close, the order in question left out.
    public var leaving: Amount = .zero
    public var brokerFeatures: UInt64
    public var ordersLastMinute = 0
    public var lastExit: Int64 = 0
    public var session: UInt32 = 0
    public var marketAt: Int64 = 0
    /// How old the market may be: the setting, and the length of the bars it comes in.
    public var freshness: Int64?
    public var skew: Int64 = 0
    public var killed = false
    public var gateClosed = false
    public var ledgerFailed = false
    public var linkUp = true
    public var synced = true
    public var agreed = true
    public var inDoubt = false
    public var dailyLossUntil: Int64 = 0
    public var streakUntil: Int64 = 0
    public var drawdownOpen = false

    public init(
        now: Int64, instrument: Instrument, settings: RiskSettings, price: Fixed, seenPrice: Fixed, equity: Amount, position: Amount,
        brokerFeatures: UInt64
    ) {
        self.now = now
        self.instrument = instrument
        self.settings = settings
        self.price = price
        self.seenPrice = seenPrice
        self.equity = equity
        self.position = position
        self.brokerFeatures = brokerFeatures
    }
}

/// The gate in front of the broker. Entries pass when every limit allows it; exits pass when they are exits.
public enum RiskGate {
    public static func approve(_ order: keel_order, role: OrderRole, in context: RiskContext) -> Result<ApprovedOrder, Refusal> {
        if let refusal = problem(with: order, role: role, in: context) { return .failure(refusal) }
        return .success(ApprovedOrder(order: order, role: role))
    }

    private static func problem(with order: keel_order, role: OrderRole, in context: RiskContext) -> Refusal? {
        let quantity = Fixed(raw: order.qty)
        let missing = order.features & ~context.brokerFeatures
        if missing != 0 { return Refusal(.brokerFeature, .code, missing, context.brokerFeatures) }
        // An exit is not held up by the least notional: whether it is taken is for the venue to say.
        let reference = role == .entry ? (order.limit > 0 ? Fixed(raw: order.limit) : context.price) : .zero
        if let problem = context.instrument.problem(
            quantity: quantity, price: reference, limit: Fixed(raw: order.limit), trigger: Fixed(raw: order.trigger))
        {
            return problem
        }
        do {
            switch role {
            case .exit: return try exitProblem(order, in: context)
            case .entry: return try conditionProblem(in: context) ?? limitProblem(order, in: context)
            }
        } catch {
            return Refusal(.numberRange, Amount(quantity), Amount(context.price))
        }
    }

    /// An exit may not turn the position around.
    private static func exitProblem(_ order: keel_order, in context: RiskContext) throws(NumberError) -> Refusal? {
        let position = context.position
        if position.isZero { return Refusal(.noPosition, Amount(raw: Int128(order.qty)), .zero) }
        if position.isPositive != (order.side == KEEL_SELL) { return Refusal(.reduceOnly, Amount(raw: Int128(order.qty)), position) }
        let left = try position.magnitude().subtracting(context.leaving)
        if Int128(order.qty) > left.raw { return Refusal(.reduceOnly, Amount(raw: Int128(order.qty)), left) }
        return nil
    }

    /// What holds whatever the order is. Also asked before a decider is, so that nobody pays for an answer without use.
    static func conditionProblem(in context: RiskContext) -> Refusal? {
        let settings = context.settings
        let now = context.now
        if context.killed { return Refusal(.killSwitch) }
        if context.ledgerFailed { return Refusal(.ledger) }
        if context.gateClosed { return Refusal(.gateClosed) }
        if !context.linkUp { return Refusal(.linkDown) }
        if !context.synced { return Refusal(.notSynced) }
        if !context.agreed { return Refusal(.disagreement) }
        if context.inDoubt { return Refusal(.inDoubt) }
        if now < context.dailyLossUntil { return Refusal(.dailyLoss, .time, now, context.dailyLossUntil) }
        if context.drawdownOpen { return Refusal(.drawdown, context.equity, .zero) }
        if now < context.streakUntil { return Refusal(.losingStreak, .time, now, context.streakUntil) }
        if context.session != 0, context.session != KEEL_SESSION_OPEN {
            return Refusal(.sessionClosed, .code, context.session, KEEL_SESSION_OPEN)
        }
        if let freshness = context.freshness {
            if context.marketAt == 0 { return Refusal(.staleMarket, .span, 0, freshness) }
            let (age, overflow) = now.subtractingReportingOverflow(context.marketAt)
            if overflow || age > freshness { return Refusal(.staleMarket, .span, age, freshness) }
        }
        if let skew = settings.clockSkew, context.skew.magnitude > UInt64(max(skew, 0)) {
            return Refusal(.clockSkew, .span, context.skew, skew)
        }
        if context.lastExit != 0, settings.cooldown > 0, now - context.lastExit < settings.cooldown {
            return Refusal(.cooldown, .span, now - context.lastExit, settings.cooldown)
        }
        if let most = settings.ordersPerMinute, context.ordersLastMinute >= most {
            return Refusal(.ordersPerMinute, .count, context.ordersLastMinute, most)
        }
        return nil
    }

    private static func limitProblem(_ order: keel_order, in context: RiskContext) throws(NumberError) -> Refusal? {
        let settings = context.settings
        let quantity = Fixed(raw: order.qty)
        let price = order.limit > 0 ? Fixed(raw: order.limit) : context.price
        guard price.isPositive, context.price.isPositive else { return Refusal(.noPrice, Amount(price), .zero) }
        if settings.limitsByEquity, !context.equity.isPositive { return Refusal(.noEquity, context.equity, .zero) }

        if let collar = settings.priceCollar {
            if let refusal = try collarProblem(price, context.price, collar) { return refusal }
            if context.seenPrice.isPositive, let refusal = try collarProblem(context.price, context.seenPrice, collar) { return refusal }
        }

        let signed = Amount(raw: order.side == KEEL_BUY ? Int128(order.qty) : -Int128(order.qty))
        let after = try context.position.adding(context.entering).adding(signed)
        if after.isNegative, !settings.allowShort { return Refusal(.shortNotAllowed, after, .zero) }

        let worth = try context.instrument.notional(quantity, at: price)
        if let most = settings.maximumOrder, worth > most { return Refusal(.maximumOrder, worth, most) }

        // Only what an order adds counts against the limits of size.
        let held = try context.position.adding(context.entering).magnitude()
        let added = try after.magnitude().subtracting(held)
        guard added.isPositive else { return nil }
        let addedWorth = added == Amount(quantity) ? worth : try context.instrument.notional(added, at: price)
        if settings.limitsByEquity {
            let limit = settings.maximumFraction == .one ? context.equity : try context.equity.multiplied(by: settings.maximumFraction)
            if addedWorth > limit { return Refusal(.maximumFraction, addedWorth, limit) }
        }
        if let most = settings.maximumPosition {
            let size = try context.instrument.notional(after.magnitude(), at: price)
            if size > most { return Refusal(.maximumPosition, size, most) }
        }
        if let ratio = settings.maximumExposure {
            let limit = try context.equity.multiplied(by: ratio)
            let exposure = try context.exposure.adding(addedWorth)
            if exposure > limit { return Refusal(.maximumExposure, exposure, limit) }
        }
        return nil
    }

    private static func collarProblem(_ price: Fixed, _ reference: Fixed, _ collar: Fixed) throws(NumberError) -> Refusal? {
        let distance = try price.subtracting(reference).magnitude()
        let allowed = try reference.multiplied(by: collar)
        return distance > allowed ? Refusal(.priceCollar, Amount(price), Amount(reference)) : nil
    }
}
