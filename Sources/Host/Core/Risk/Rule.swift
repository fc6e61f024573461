/// Why something was not done. The raw values are what the ledger, reports and `keel explain` show.
public enum Rule: String, Sendable, CaseIterable, Codable {
    // A decision that cannot be used
    case wrongSnapshot, staleSnapshot, expiredDecision, outOfRange, malformed, actionNotAllowed, unknownInstrument, unknownRequest
    case unknownWake, repeatedDecision, gateClosed
    // Sizing
    case belowMinimum, kelly, noEquity, noPrice, zeroSize
    // Risk limits
    case maximumFraction, maximumOrder, maximumPosition, maximumExposure, shortNotAllowed, ordersPerMinute, priceCollar, cooldown
    case minimumHold, sessionClosed, staleMarket, clockSkew, killSwitch, dailyLoss, drawdown, losingStreak, inDoubt, disagreement
    case notSynced, linkDown, ledger, brokerFeature, instrumentTick, instrumentLot, instrumentMaximum
    // Positions and orders
    case noPosition, alreadyExiting, alreadyEntering, childNotOfParent, childBeyondParent, childFeatures, unknownOrder, numberRange, reduceOnly
    case brokerRefused, routerRefused, repeatedOrder
}
