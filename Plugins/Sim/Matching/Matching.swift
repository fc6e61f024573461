import PluginAPI
import PluginKit

// What the market does to the orders: each event may set off stops, fill what rests and what waits.

extension Exchange {
    /// An order that just arrived meets the market as it stands.
    mutating func meetArrival(_ slot: Int, _ market: UnsafeMutablePointer<Market>, _ time: Int64) {
        let price = market.pointee.executable(orders[slot].side)
        if orders[slot].waitsForTrigger {
            guard price > 0, goesOff(orders[slot], at: market.pointee.last > 0 ? market.pointee.last : price) else { return }
            setOff(slot, time)
        }
        meet(slot, market, price: price, time)
    }

    /// An order that can trade meets a price for the first time, or a market order a further one.
    private mutating func meet(_ slot: Int, _ market: UnsafeMutablePointer<Market>, price: Int64, _ time: Int64) {
        let order = orders[slot]
        let place = Int(order.market)
        let usesBook = rules.fill == .book && market.pointee.bid > 0 && market.pointee.ask > 0
        guard usesBook || price > 0 else { return }
        let limit = order.hasLimit ? order.limit : 0
        let crossing =
            usesBook
            ? available(place, order.side, limit: limit) > 0
            : limit == 0 || (order.side == .buy ? price <= limit : price >= limit)
        if crossing, order.features.contains(.postOnly) { return end(slot, .expired, .postOnly, time) }
        if order.features.contains(.fillOrKill) {
            let room = usesBook ? available(place, order.side, limit: limit) : crossing ? capacity(market, Int128(order.leaves)) : 0
            if room < Int128(order.leaves) { return end(slot, .expired, .fillOrKill, time) }
        }
        if crossing {
            let number = order.number
            if usesBook {
                sweep(place, order.side, wanted: order.leaves, limit: limit) { venue, price, quantity in
                    // The slot is reused once its order has ended.
                    guard venue.orders[slot].number == number, !venue.orders[slot].isTerminal else { return 0 }
                    return venue.trade(slot, market, price: venue.slipped(price, quantity, venue.orders[slot], market), quantity: quantity, maker: false, time)
                }
            } else {
                let quantity = Int64(clamping: capacity(market, Int128(order.leaves)))
                if quantity > 0 { _ = trade(slot, market, price: slipped(price, quantity, order, market), quantity: quantity, maker: false, time) }
            }
            guard orders[slot].number == number, !orders[slot].isTerminal else { return }
        }
        orders[slot].met = true
        if order.isImmediate { return end(slot, .expired, .immediate, time) }
        if order.hasLimit { join(slot) }
    }

    /// A limit order begins to rest: behind what is shown at its price.
    private mutating func join(_ slot: Int) {
        guard orders[slot].queueAhead < 0 else { return }
        let ahead = Int128(shown(Int(orders[slot].market), orders[slot].side, at: orders[slot].limit))
        orders[slot].queueAhead = ahead * Int128(rules.queue.raw) / Int128(Fixed.scale)
    }

    /// How much of what was traded one order may have.
    private func capacity(_ market: UnsafeMutablePointer<Market>, _ wanted: Int128) -> Int128 {
        if rules.participation.isZero || market.pointee.volume <= 0 { return wanted }
        guard let share = scaled(market.pointee.volume, Int128(rules.participation.raw), by: 100_000_000) else { return wanted }
        let lot = Int128(max(market.pointee.grid.lot, 1))
        return min(wanted, share / lot * lot)
    }

    /// A taker's price after slippage: against us, on the grid, never beyond the order's limit.
    private func slipped(_ price: Int64, _ quantity: Int64, _ order: VenueOrder, _ market: UnsafeMutablePointer<Market>) -> Int64 {
        let tick = max(market.pointee.grid.tick, 1)
        let shift: Int128
        switch rules.slippage {
        case .none: return price
        case .ticks(let count): shift = Int128(count) * Int128(tick)
        case .fraction(let fraction): shift = Int128(price) * Int128(fraction.raw) / 100_000_000
        case .volume(let fraction):
            let traded = market.pointee.volume
            if traded <= 0 { return price }
            let impact = scaled(Int128(price) * Int128(fraction.raw) / 100_000_000, Int128(quantity), by: traded) ?? Int128(price)
            shift = min(impact, Int128(price) / 2)
        }
        if shift <= 0 { return price }
        var worse = order.side == .buy ? Int128(price) + shift : Int128(price) - shift
        // On to the grid, away from us.
        let remainder = worse % Int128(tick)
        if remainder != 0 { worse += order.side == .buy ? Int128(tick) - remainder : -remainder }
        if order.hasLimit { worse = order.side == .buy ? min(worse, Int128(order.limit)) : max(worse, Int128(order.limit)) }
        return Int64(clamping: max(worse, Int128(tick)))
    }

    private func goesOff(_ order: VenueOrder, at price: Int64) -> Bool {
        // A stop goes off against the order's direction of hope, a take with it.
        (order.side == .buy) == order.isStop ? price >= order.trigger : price <= order.trigger
    }

    private mutating func setOff(_ slot: Int, _ time: Int64) {
        orders[slot].triggered = true
        report(Report(kind: .triggered, order: orders[slot], time: time))
    }

    // MARK: market events

    /// A trade by others at this price.
    mutating func onTrade(_ market: UnsafeMutablePointer<Market>, price: Int64, quantity: Int64, taker: UInt32, _ time: Int64) {
        market.pointee.last = price
        market.pointee.hasTicks = true
        market.pointee.hasTrades = true
        market.pointee.volume = Int128(quantity)
        guard market.pointee.working > 0 else { return }
        var next = market.pointee.first
        while next >= 0 {
            let slot = Int(next)
            next = orders[slot].next
            let order = orders[slot]
            guard order.arrived <= time else { continue }
            if order.waitsForTrigger {
                guard goesOff(order, at: price) else { continue }
                setOff(slot, time)
                meet(slot, market, price: price, time)
            } else if !order.hasLimit || !order.met {
                meet(slot, market, price: price, time)
            } else if order.side == .buy ? price < order.limit : price > order.limit {
                let room = Int64(clamping: capacity(market, Int128(order.leaves)))
                if room > 0 { _ = trade(slot, market, price: order.limit, quantity: room, maker: true, time) }
            } else if price == order.limit, taker != (order.side == .buy ? KEEL_BUY : KEEL_SELL) {
                touchAtLimit(slot, market, traded: quantity, time)
            }
        }
        tidy(market, time)
    }

    /// Others traded at our price: the queue before us moves, and what goes beyond it is ours.
    private mutating func touchAtLimit(_ slot: Int, _ market: UnsafeMutablePointer<Market>, traded: Int64, _ time: Int64) {
        guard rules.touch || rules.fill == .book else { return }
        let ahead = max(orders[slot].queueAhead, 0)
        let beyond = Int128(traded) - ahead
        orders[slot].queueAhead = max(ahead - Int128(traded), 0)
        let room = Int64(clamping: min(min(beyond, Int128(orders[slot].leaves)), capacity(market, Int128(orders[slot].leaves))))
        if room > 0 { _ = trade(slot, market, price: orders[slot].limit, quantity: room, maker: true, time) }
    }

    mutating func onQuote(
        _ market: UnsafeMutablePointer<Market>, bid: Int64, bidQuantity: Int64, ask: Int64, askQuantity: Int64, _ time: Int64
    ) {
        market.pointee.bid = bid
        market.pointee.bidQuantity = bidQuantity
        market.pointee.ask = ask
        market.pointee.askQuantity = askQuantity
        market.pointee.hasTicks = true
        if !market.pointee.hasTrades { market.pointee.last = bid / 2 + ask / 2 + (bid & ask & 1) }
        guard market.pointee.working > 0, bid > 0, ask > 0 else { return }
        var next = market.pointee.first
        while next >= 0 {
            let slot = Int(next)
            next = orders[slot].next
            let order = orders[slot]
            guard order.arrived <= time else { continue }
            let opposite = order.side == .buy ? ask : bid
            if order.waitsForTrigger {
                // Where trades are seen, only they set orders off.
                guard !market.pointee.hasTrades, goesOff(order, at: opposite) else { continue }
                setOff(slot, time)
                meet(slot, market, price: opposite, time)
            } else if !order.hasLimit || !order.met {
                meet(slot, market, price: opposite, time)
            } else if order.side == .buy ? opposite <= order.limit : opposite >= order.limit {
                // The market came to us: at our price, as far as it shows quantity.
                let shown = order.side == .buy ? market.pointee.askQuantity : market.pointee.bidQuantity
                let room = rules.fill == .book ? min(shown, order.leaves) : order.leaves
                if room > 0 {
                    let taken = trade(slot, market, price: order.limit, quantity: room, maker: true, time)
                    if order.side == .buy { market.pointee.askQuantity -= min(taken, shown) } else { market.pointee.bidQuantity -= min(taken, shown) }
                }
            } else {
                // The queue can't be longer than what is shown; and if we are the best, none is before us.
                let best = order.side == .buy ? bid : ask
                if best == order.limit {
                    orders[slot].queueAhead = min(order.queueAhead, Int128(order.side == .buy ? bidQuantity : askQuantity))
                } else if order.side == .buy ? best < order.limit : best > order.limit {
                    orders[slot].queueAhead = 0
                }
            }
        }
        tidy(market, time)
    }

    /// A closed bar. Within it the stop is taken to come before the target.
    mutating func onBar(_ market: UnsafeMutablePointer<Market>, _ bar: keel_bar, _ time: Int64) {
        if market.pointee.hasTicks { return }
        let volume = Amount(bar.volume).raw
        market.pointee.volume = volume
        market.pointee.last = bar.open
        if market.pointee.working > 0 {
            atOpen(market, bar)
            duringBar(market, bar, stops: true)
            tidy(market, bar.open_time)
            duringBar(market, bar, stops: false)
            tidy(market, time)
        }
        market.pointee.last = bar.close
    }

    /// Orders that were there before the bar began meet its open.
    private mutating func atOpen(_ market: UnsafeMutablePointer<Market>, _ bar: keel_bar) {
        var next = market.pointee.first
        while next >= 0 {
            let slot = Int(next)
            next = orders[slot].next
            let order = orders[slot]
            guard order.arrived <= bar.open_time else { continue }
            if order.waitsForTrigger {
                guard goesOff(order, at: bar.open) else { continue }
                setOff(slot, bar.open_time)
                meet(slot, market, price: bar.open, bar.open_time)
            } else if !order.hasLimit || !order.met {
                meet(slot, market, price: bar.open, bar.open_time)
            }
        }
        tidy(market, bar.open_time)
    }

    private mutating func duringBar(_ market: UnsafeMutablePointer<Market>, _ bar: keel_bar, stops: Bool) {
        var next = market.pointee.first
        while next >= 0 {
            let slot = Int(next)
            next = orders[slot].next
            let order = orders[slot]
            guard order.arrived <= bar.open_time else { continue }
            if order.waitsForTrigger {
                guard order.isStop == stops else { continue }
                let reached = goesOff(order, at: (order.side == .buy) == order.isStop ? bar.high : bar.low)
                guard reached else { continue }
                setOff(slot, bar.open_time)
                meet(slot, market, price: order.trigger, bar.open_time)
                // A limit set off inside the bar may still be reached by its close.
                if orders[slot].number == order.number, !orders[slot].isTerminal, orders[slot].hasLimit,
                    order.side == .buy ? bar.close < order.limit : bar.close > order.limit
                {
                    rest(slot, market, bar.open_time)
                }
            } else if !stops, order.hasLimit, order.met {
                let through = order.side == .buy ? bar.low < order.limit : bar.high > order.limit
                let touched = rules.touch && (order.side == .buy ? bar.low == order.limit : bar.high == order.limit)
                if through || touched { rest(slot, market, bar.open_time) }
            }
        }
    }

    /// A resting limit order is reached by a bar.
    private mutating func rest(_ slot: Int, _ market: UnsafeMutablePointer<Market>, _ time: Int64) {
        let room = Int64(clamping: capacity(market, Int128(orders[slot].leaves)))
        if room > 0 { _ = trade(slot, market, price: orders[slot].limit, quantity: room, maker: true, time) }
    }

    // MARK: trades

    /// Fills up to `quantity`; how much it was. Everything a fill changes is changed here.
    private mutating func trade(
        _ slot: Int, _ market: UnsafeMutablePointer<Market>, price: Int64, quantity: Int64, maker: Bool, _ time: Int64
    ) -> Int64 {
        let order = orders[slot]
        var quantity = min(quantity, order.leaves)
        if order.isReduceOnly {
            let side = order.side == .buy
            let open = market.pointee.position
            quantity = open == 0 || (open > 0) == side ? 0 : Int64(clamping: min(Int128(quantity), Int128(truncatingIfNeeded: open.magnitude)))
            if quantity == 0 {
                end(slot, .expired, .nothingToReduce, time)
                return 0
            }
        }
        if rules.partialChance > 0, !order.isImmediate, chance.happens(rules.partialChance) {
            let lot = max(market.pointee.grid.lot, 1)
            let half = quantity / 2 / lot * lot
            if half > 0 { quantity = half }
        }
        if !rules.borrow, !market.pointee.isDerivative, order.side == .buy {
            quantity = affordable(quantity, at: price, order, market)
            if quantity == 0 {
                end(slot, .expired, .balance, time)
                return 0
            }
        }
        let worth = Exchange.worth(price, quantity, market)
        let fee = rules.fee(worth, maker: maker)
        guard settle(order.side, market, quantity, price, worth, fee) else {
            end(slot, .expired, .overflow, time)
            return 0
        }
        fillNumber += 1
        orders[slot].filled += quantity
        orders[slot].worth += Int128(price) * Int128(quantity)
        if order.reserved > 0 { releaseReserve(slot, market, filled: quantity) }
        let done = orders[slot].leaves == 0
        if done { orders[slot].state = .filled }
        report(
            Report(
                kind: .filled, order: orders[slot], time: time, quantity: quantity, price: price, fee: fee, maker: maker, number: fillNumber))
        if done { end(slot, .filled, .none, time) }
        return quantity
    }

    /// As much of it as the free cash pays for, on the grid.
    private func affordable(_ quantity: Int64, at price: Int64, _ order: VenueOrder, _ market: UnsafeMutablePointer<Market>) -> Int64 {
        let cash = assets[market.pointee.quote]
        let free = cash.total - cash.reserved + order.reserved
        let worth = Exchange.worth(price, quantity, market)
        let need = rounded(worth, by: 100_000_000) + max(rules.fee(worth, maker: false), 0)
        if need <= free { return quantity }
        guard free > 0, need > 0, let part = scaled(Int128(quantity), free, by: need) else { return 0 }
        let lot = Int128(max(market.pointee.grid.lot, 1))
        return Int64(clamping: part / lot * lot)
    }

    /// Less is left to fill, so less is promised: the share of what was open before this fill.
    private mutating func releaseReserve(_ slot: Int, _ market: UnsafeMutablePointer<Market>, filled: Int64) {
        let order = orders[slot]
        let kept = scaled(order.reserved, Int128(order.leaves), by: Int128(order.leaves) + Int128(filled)) ?? order.reserved
        assets[order.side == .buy ? market.pointee.quote : market.pointee.base].reserved -= order.reserved - kept
        orders[slot].reserved = kept
    }

    /// Cash, holdings and position after a trade; false, with nothing changed, if an amount doesn't fit.
    private mutating func settle(
        _ side: Side, _ market: UnsafeMutablePointer<Market>, _ quantity: Int64, _ price: Int64, _ worth: Int128, _ fee: Int128
    ) -> Bool {
        var here = market.pointee
        let signed = side == .buy ? Int128(quantity) : -Int128(quantity)
        let plain = Int128(price) * Int128(quantity)
        let (position, over1) = here.position.addingReportingOverflow(signed)
        if over1 { return false }
        var realised: Int128 = 0
        if here.position == 0 || (here.position > 0) == (side == .buy) {
            let (cost, over2) = here.cost.addingReportingOverflow(plain)
            if over2 { return false }
            here.cost = cost
        } else {
            let size = Int128(truncatingIfNeeded: here.position.magnitude)
            let closed = min(size, Int128(quantity))
            guard let share = scaled(here.cost, closed, by: size) else { return false }
            let gained = Int128(price) * closed - share
            realised = side == .sell ? gained : -gained
            here.cost = closed == size ? Int128(price) * (Int128(quantity) - closed) : here.cost - share
            here.shrank = true
        }
        here.position = position
        let change: Int128
        if here.isDerivative {
            var profit = rounded(realised, by: 100_000_000)
            if here.grid.multiplier != Fixed.scale {
                guard let sized = scaled(Int128(truncatingIfNeeded: profit.magnitude), Int128(here.grid.multiplier), by: 100_000_000) else { return false }
                profit = profit < 0 ? -sized : sized
            }
            change = profit - fee
        } else {
            let paid = rounded(worth, by: 100_000_000)
            change = (side == .buy ? -paid : paid) - fee
        }
        let (cash, over3) = assets[here.quote].total.addingReportingOverflow(change)
        if over3 { return false }
        if !here.isDerivative {
            let (held, over4) = assets[here.base].total.addingReportingOverflow(signed)
            if over4 { return false }
            assets[here.base].total = held
        }
        assets[here.quote].total = cash
        market.pointee = here
        return true
    }

    // MARK: funding

    /// Pays what has fallen due on a perpetual since the last event.
    mutating func fund(_ place: Int, _ time: Int64) {
        let market = markets[place]
        guard rules.fundingEvery > 0, market.pointee.isPerpetual else { return }
        if market.pointee.nextFunding == 0 { market.pointee.nextFunding = (time / rules.fundingEvery + 1) * rules.fundingEvery }
        while market.pointee.nextFunding <= time {
            let due = market.pointee.nextFunding
            market.pointee.nextFunding += rules.fundingEvery
            let here = market.pointee
            guard here.position != 0, here.last > 0, here.fundingRate != 0 else { continue }
            let size = Int128(truncatingIfNeeded: here.position.magnitude)
            guard var value = scaled(size, Int128(here.last), by: 100_000_000) else { continue }
            if here.grid.multiplier != Fixed.scale { value = scaled(value, Int128(here.grid.multiplier), by: 100_000_000) ?? value }
            guard let paid = scaled(value, Int128(here.fundingRate.magnitude), by: 100_000_000) else { continue }
            // Longs pay a rate above zero.
            let amount = (here.position > 0) == (here.fundingRate > 0) ? -paid : paid
            let (cash, over) = assets[here.quote].total.addingReportingOverflow(amount)
            if over { continue }
            assets[here.quote].total = cash
            fillNumber += 1
            var nobody = VenueOrder(
                Order(id: .none, side: .buy, features: .market, instrument: here.id, quantity: .zero), number: 0, market: place, request: 0)
            nobody.state = .filled
            var report = Report(kind: .funding, order: nobody, time: due, price: here.fundingRate, fee: amount, number: fillNumber)
            report.quantity = 0
            self.report(report)
        }
    }
}
