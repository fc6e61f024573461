import PluginKit

/// How the exchange behaves while `keel plugin check` directs it. docs/plugin-guide.md says what each scenario stands for.
struct CheckScenario {
    enum Orders: Equatable {
        /// By the book, as always.
        case market
        /// Taken and left resting, away from the book.
        case rest
        /// Filled whole at the order's own price, in so many parts.
        case fill(parts: Int64)
    }

    var orders = Orders.market
    /// An order call's connection ends after it was done.
    var losesReply = false
    /// Everything is done and nothing is said until the release.
    var isMute = false
    /// Orders are put aside and done at the release only.
    var putsAside = false
    /// Order calls and queries are never answered.
    var hangs = false
    var doubles = false
    var isDisordered = false
    /// A cancellation fills the order.
    var fillsOnCancel = false
    /// So many cancellations work.
    var cancels: Int64 = .max
    /// What every placement is answered.
    var refusal: Refusal?
    /// What every signed request is answered.
    var keyRefusal: Refusal?
    /// What is resting is filled at the release, and the account's events with it are lost.
    var fillsAtRelease = false
    var losesEventsAtRelease = false
    var isRich = false
    /// 429 for a second from the first request on; whether it says how long.
    var limited: Bool?
    var isTight = false
    var closesConnections = false
    /// The bytes that answer any connection.
    var nonsense = false
    var feed: Feed?

    enum Feed { case gap, garbage, huge, slow, session, flood, clockChange, decimals }

    init?(_ name: String) {
        let closed = Refusal.rejected("Market is closed.")
        switch name {
        case "fill": orders = .fill(parts: 1)
        case "partial": orders = .fill(parts: 4)
        case "open": orders = .rest
        case "race": (orders, fillsOnCancel) = (.rest, true)
        case "cancel-one": (orders, cancels) = (.rest, 1)
        case "lost-reply": (orders, losesReply) = (.fill(parts: 1), true)
        case "late": (orders, isMute) = (.fill(parts: 1), true)
        case "double": (orders, doubles) = (.fill(parts: 1), true)
        case "disorder": (orders, isDisordered) = (.fill(parts: 1), true)
        case "reject": refusal = .insufficient
        case "silent": hangs = true
        case "lost-order": (orders, putsAside) = (.fill(parts: 1), true)
        case "stale-user": (orders, fillsAtRelease, losesEventsAtRelease) = (.rest, true, true)
        case "rich": isRich = true
        case "bad-key": keyRefusal = .badKey  // an expired one is answered the same: -2015
        case "clock-skew": keyRefusal = .late
        case "limited": limited = true
        case "limited-untold": limited = false
        case "tight": (orders, isTight) = (.rest, true)
        case "closed", "halted": refusal = closed
        case "stream", "many": break
        case "gap": feed = .gap
        case "garbage": feed = .garbage
        case "huge": feed = .huge
        case "slow": feed = .slow
        case "early-close": closesConnections = true
        case "bad-tls": nonsense = true
        case "session": feed = .session
        case "flood": feed = .flood
        case "clock-change": feed = .clockChange
        case "decimals": feed = .decimals
        default: return nil
        }
    }
}

extension SpotEngine {
    /// Fills an order that stands outside the book, in parts, at its own price or the last one.
    func fillOutside(_ order: SpotOrder, parts: Int64 = 1) {
        guard order.status.isOpen, let listing = listings[order.symbol] else { return }
        let rules = listing.rules
        let price = order.type.hasPrice ? order.price : listing.last(now)
        if order.quoteQuantity > 0 { order.quantity = lots(order.quoteQuantity, at: price, step: rules.step) }
        for part in 0..<parts where order.status.isOpen {
            // Each part a tick better than the one before, so that the parts tell themselves apart.
            let better = (parts - 1 - part) * rules.tick * (order.side == .buy ? -1 : 1)
            let quantity = part == parts - 1 ? order.remaining : max(rules.step, down(order.quantity / parts, to: rules.step))
            guard quantity > 0, quantity <= order.remaining else { continue }
            let worth = money(price + better, quantity)
            if order.side == .buy, order.locked < worth {
                // A market order's estimate was made for another price.
                let more = worth - order.locked
                accounts[order.account].change(rules.quote, free: -more, locked: more)
                order.locked += more
            }
            let trade = listing.record(price: price + better, quantity: quantity, time: now, buyerIsMaker: order.side == .sell, taker: order.id)
            settle(order, listing, trade, isMaker: false)
            payHouse(rules, order.side.opposite, trade.price, trade.quantity)
        }
        tellBalances()
    }
}

extension FuturesEngine {
    func fillOutside(_ order: FuturesOrder, parts: Int64 = 1) {
        guard order.status.isOpen, let listing = listings[order.symbol] else { return }
        let rules = listing.rules
        let price = order.type == "LIMIT" ? order.price : listing.last(now)
        for part in 0..<parts where order.status.isOpen {
            let better = (parts - 1 - part) * rules.tick * (order.side == .buy ? -1 : 1)
            let quantity = part == parts - 1 ? order.remaining : max(rules.step, down(order.quantity / parts, to: rules.step))
            guard quantity > 0, quantity <= order.remaining else { continue }
            let trade = listing.record(price: price + better, quantity: quantity, time: now, buyerIsMaker: order.side == .sell, taker: order.id)
            settle(order, listing, trade, isMaker: false)
            payHouse(listing, order.side.opposite, trade)
        }
        tellAccounts("ORDER")
    }
}
