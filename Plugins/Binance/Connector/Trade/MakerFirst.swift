import PluginKit

// A plain limit order that tries to be the maker first: post-only for a while, then, if the configuration says so, the rest as
// immediate-or-cancel at the same limit. The second part is placed only when the first has certainly ended and its trades are known.
extension TradeDesk {
    /// It would have taken at once: as post-only it never was.
    func makerRefused(_ id: OrderID, _ failure: VenueFailure) {
        guard var ticket = tickets[id], let last = ticket.legs.indices.last, ticket.legs[last].status == .sent else { return }
        ticket.legs[last].status = .expired
        ticket.legs[last].reason = failure.description
        tickets[id] = ticket
        speak(id)
    }

    /// Something happened to a maker-first order: start the clock when it rests, go on when its first part has ended.
    func makerMoved(_ id: OrderID) {
        guard let order = makers[id], let settings = venue.settings.makerFirst, var ticket = tickets[id], let leg = ticket.legs.last else { return }
        if ticket.filled >= order.quantity {
            makers[id] = nil
            return
        }
        if leg.status == .new || leg.status == .partlyFilled {
            guard restTimers[id] == nil else { return }
            restTimers[id] = venue.reactor.after(settings.wait) { [weak self] in self?.waitedLongEnough(id) }
            return
        }
        guard leg.status.isTerminal, !ticket.lacksTrades else { return }
        makers[id] = nil
        if let timer = restTimers.removeValue(forKey: id) { venue.reactor.cancelTimer(timer) }
        ticket.mayGoOn = false
        tickets[id] = ticket
        guard settings.then == .taker, leg.status != .canceled || waited.remove(id) != nil, order.notAfter == 0 || venue.now <= order.notAfter else { return speak(id) }
        take(rest: Fixed(raw: order.quantity.raw - ticket.filled.raw), order)
    }

    private func waitedLongEnough(_ id: OrderID) {
        restTimers[id] = nil
        guard makers[id] != nil else { return }
        waited.insert(id)
        send(cancel: id) { [weak self] error in
            // Filled meanwhile, or the cancel failed: the order's own events say what is.
            if let error { self?.venue.log(.info, "maker-first \(id): \(error)") }
        }
    }

    private func take(rest: Fixed, _ order: Order) {
        guard var ticket = tickets[order.id], rest.isPositive, let listing = venue.symbols.listing(order.instrument), let rules = listing.rules else { return speak(order.id) }
        var small = order
        small.quantity = rest
        small.features = [.limit, .immediateOrCancel]
        let id = ClientID(order.id, .taker)
        do throws(PluginError) {
            // What is left may be below what the venue takes.
            try rules.check(small, product, SymbolRules.Context())
            let placement = try wire.place(order, symbol: listing.symbol, id: id, quantity: rest, manner: .taker)
            ticket.legs.append(Ticket.Leg(id, quantity: rest, isAlgo: false, sentAt: venue.timestamp))
            tickets[order.id] = ticket
            if let failure = post(placement, order.id, notAfter: order.notAfter) {
                tickets[order.id]?.legs.removeLast()
                throw failure.pluginError
            }
        } catch {
            venue.log(.info, "maker-first \(order.id): the rest of \(rest) is not sent as taker: \(error)")
        }
        speak(order.id)
    }
}
