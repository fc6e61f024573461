import PluginAPI
import PluginKit

// What brokers and routers report: orders, fills, money, the ends of requests.
extension Engine {
    /// An order by its id: its book and place among the live orders; -1: closed not long ago.
    func find(_ id: OrderID) -> (UnsafeMutablePointer<Book>, Int)? {
        if id.run == plan.run, id.pipeline < pipelineCount {
            // The common case needs no search over books.
            let pipeline = pipelines + id.pipeline
            for number in pipeline.pointee.firstBook..<(pipeline.pointee.firstBook + pipeline.pointee.bookCount)
            where books[number].instrumentIndex == id.instrument {
                return find(id, in: books + number)
            }
            return nil
        }
        for number in 0..<bookCount { if let found = find(id, in: books + number) { return found } }
        return nil
    }

    private func find(_ id: OrderID, in book: UnsafeMutablePointer<Book>) -> (UnsafeMutablePointer<Book>, Int)? {
        for index in 0..<book.pointee.orders.count where book.pointee.orders[index].id == id { return (book, index) }
        if book.pointee.closedOrders.newest(where: { $0.id == id }) != nil { return (book, -1) }
        return nil
    }

    /// A closed order that something is still said about comes back among the live ones.
    func reopen(_ book: UnsafeMutablePointer<Book>, _ id: OrderID) -> Int? {
        guard let place = book.pointee.closedOrders.newest(where: { $0.id == id }) else { return nil }
        book.pointee.orders.append(book.pointee.closedOrders.elements[place])
        book.pointee.closedOrders.remove { $0.id == id }
        return book.pointee.orders.count - 1
    }

    // MARK: Orders

    func orderEvent(_ event: UnsafePointer<keel_event>, from port: Int) {
        guard let report = body(event, as: keel_ev_order.self), brokerOfPort[port] >= 0 else {
            core.pointee.malformed &+= 1
            return
        }
        let slot = brokers + brokerOfPort[port]
        if slot.pointee.request != 0, UInt32(event.pointee.flags) & KEEL_EVF_SNAPSHOT != 0 {
            keep(event, slot)
            slot.pointee.report.orders.append(venueOrder(event, report, index: slot.pointee.kept.count - 1))
            return
        }
        let id = OrderID(report.pointee.order)
        if id.isNone { return external(venueOrder(event, report, index: 0), port, event, report) }
        guard let said = OrderReport(
            state: report.pointee.state, filled: report.pointee.filled, snapshot: UInt32(event.pointee.flags) & KEEL_EVF_SNAPSHOT != 0)
        else { return }
        take(said, id, from: port, event, report)
    }

    private func venueOrder(_ event: UnsafePointer<keel_event>, _ report: UnsafePointer<keel_ev_order>, index: Int) -> VenueReport.Order {
        VenueReport.Order(
            id: OrderID(report.pointee.order), instrument: event.pointee.instrument, state: report.pointee.state, side: report.pointee.side,
            filled: Fixed(raw: max(report.pointee.filled, 0)), leaves: Fixed(raw: max(report.pointee.leaves, 0)),
            limit: Fixed(raw: report.pointee.limit), index: index)
    }

    func take(
        _ said: OrderReport, _ id: OrderID, from port: Int, _ event: UnsafePointer<keel_event>, _ report: UnsafePointer<keel_ev_order>
    ) {
        guard let found = find(id), found.0.pointee.brokerPort == port else {
            return unknownOrder(id, port, event, report)
        }
        let book = found.0
        var index = found.1
        if index < 0 {
            // Of a closed order only what changes it matters.
            guard let place = book.pointee.closedOrders.newest(where: { $0.id == id }) else { return }
            var probe = book.pointee.closedOrders.elements[place]
            guard probe.take(said, at: now), let opened = reopen(book, id) else {
                // The router may not have heard of this end: its fills said it to us before.
                return outlet.routerEvent(book.pointee.routerPort, event)
            }
            index = opened
        }
        let before = book.pointee.orders[index].status
        let wasInferred = book.pointee.orders[index].inferred
        guard book.pointee.orders[index].take(said, at: now) else { return outlet.routerEvent(book.pointee.routerPort, event) }
        let after = book.pointee.orders[index].status
        noteOrder(
            book, index, before: before, vendorCode: report.pointee.vendor_code,
            venueID: recordsDetail ? textString(report.pointee.venue_id, in: event) : "",
            message: recordsDetail ? textString(report.pointee.message, in: event) : "")
        if before.isTerminal, !after.isTerminal {
            alert(.warning, "resurrected", book, "order \(id) was believed \(before.word), the venue says it is \(after.word)\(wasInferred ? "" : " (sync)")")
        }
        if after == .inDoubt, before != .inDoubt {
            alert(.warning, "in-doubt", book, "order \(id) of \(book.pointee.symbol) is in doubt: nothing is entered until the venue has said")
            wantSync(book.pointee.broker)
        }
        let role = book.pointee.orders[index].role
        if after.isTerminal, !book.pointee.orders[index].isSettled { armOrders(book) }
        outlet.routerEvent(book.pointee.routerPort, event)
        settle(book)
        if role == .exit, after == .rejected || after == .cancelled || after == .expired { retryExit(book) }
    }

    /// An order that says it is ours but is not known: of an earlier run's pipeline, or lost. The next sync decides.
    private func unknownOrder(
        _ id: OrderID, _ port: Int, _ event: UnsafePointer<keel_event>, _ report: UnsafePointer<keel_ev_order>
    ) {
        // Closed long ago and forgotten: an old end is no news.
        if let said = OrderReport(state: report.pointee.state, filled: 0, snapshot: false), said.status.isTerminal { return }
        external(venueOrder(event, report, index: 0), port, event, report)
        wantSync(brokerOfPort[port])
    }

    func external(
        _ order: VenueReport.Order, _ port: Int, _ event: UnsafePointer<keel_event>?, _ report: UnsafePointer<keel_ev_order>?
    ) {
        guard recordsTrading else { return }
        var entry = ExternalRecord(
            time: now, broker: port, instrument: order.instrument, kind: .order, order: order.id, side: order.side,
            quantity: Amount(raw: Int128(order.filled.raw) + Int128(order.leaves.raw)), price: order.limit, state: order.state)
        if recordsDetail, let event, let report { entry.venueID = textString(report.pointee.venue_id, in: event) }
        record(.external(entry))
    }

    /// Settled orders leave the live ones; parents that are done with all children leave too.
    func settle(_ book: UnsafeMutablePointer<Book>) {
        var index = 0
        while index < book.pointee.orders.count {
            if book.pointee.orders[index].isSettled {
                let ended = book.pointee.orders.remove(at: index)
                book.pointee.closedOrders.add(ended)
                if !book.pointee.replacements.isEmpty { replaceEnded(ended, book) }
            } else {
                index += 1
            }
        }
        dropDoneParents(book)
        // Cancels whose end got lost are over when their orders are.
        if book.pointee.orders.isEmpty, !book.pointee.cancels.isEmpty { book.pointee.cancels.removeAll() }
        if book.pointee.position.exiting != nil { continueExit(book) }
    }

    func dropDoneParents(_ book: UnsafeMutablePointer<Book>) {
        var index = 0
        while index < book.pointee.parents.count {
            let parent = book.pointee.parents[index]
            let filled = parent.filled >= parent.order.qty
            if parent.done || filled, !book.pointee.orders.contains(where: { $0.id.parent == parent.id }) {
                book.pointee.parents.remove(at: index)
            } else {
                index += 1
            }
        }
    }

    // MARK: Fills

    /// What a fill is remembered by: the order and the venue's fill id, or all there is when the venue gives none.
    func fillKey(_ event: UnsafePointer<keel_event>, _ fill: UnsafePointer<keel_ev_fill>) -> FillKey {
        let bytes = textBytes(fill.pointee.fill_id, in: event)
        var hash = Mix.hash(bytes)
        if bytes.isEmpty {
            hash.hi = Mix.fold(UInt64(bitPattern: fill.pointee.qty) ^ hash.hi, Mix.k1) &+ UInt64(bitPattern: event.pointee.at_source)
            hash.lo = Mix.fold(UInt64(bitPattern: fill.pointee.price) ^ hash.lo, Mix.k2) &+ UInt64(fill.pointee.side)
        }
        return FillKey(
            hi: hash.hi ^ Mix.fold(fill.pointee.order.hi ^ Mix.k3, Mix.k1), lo: hash.lo ^ Mix.fold(fill.pointee.order.lo ^ Mix.k4, Mix.k2))
    }

    func fillEvent(_ event: UnsafePointer<keel_event>, from port: Int) {
        guard let fill = body(event, as: keel_ev_fill.self), brokerOfPort[port] >= 0 else {
            core.pointee.malformed &+= 1
            return
        }
        let slot = brokers + brokerOfPort[port]
        if slot.pointee.request != 0, UInt32(event.pointee.flags) & KEEL_EVF_SNAPSHOT != 0 {
            keep(event, slot)
            let id = OrderID(fill.pointee.order)
            var feeQuantity = Amount.zero
            if let found = find(id) { feeQuantity = fees(event, fill, found.0).quantity }
            slot.pointee.report.fills.append(
                VenueReport.Fill(
                    key: fillKey(event, fill), order: id, instrument: event.pointee.instrument, side: fill.pointee.side,
                    quantity: Fixed(raw: fill.pointee.qty), feeQuantity: feeQuantity, time: event.pointee.at_source,
                    index: slot.pointee.kept.count - 1))
            return
        }
        takeFill(event, fill, from: port)
    }

    func takeFill(_ event: UnsafePointer<keel_event>, _ fill: UnsafePointer<keel_ev_fill>, from port: Int) {
        let id = OrderID(fill.pointee.order)
        if id.isNone { return externalFill(event, fill, port) }
        guard let found = find(id), found.0.pointee.brokerPort == port else {
            // Ours by its id, but unknown: a sync brings the order back, and the fill with it.
            externalFill(event, fill, port)
            return wantSync(brokerOfPort[port])
        }
        let book = found.0
        guard fill.pointee.qty > 0, fill.pointee.price > 0 else {
            core.pointee.malformed &+= 1
            alert(.critical, "malformed", book, "a fill of order \(id) has no quantity or no price: the venue is asked again")
            return wantSync(book.pointee.broker)
        }
        let key = fillKey(event, fill)
        if core.pointee.seen.contains(key) { return }
        guard let index = found.1 >= 0 ? found.1 : reopen(book, id) else { return }
        let order = book.pointee.orders[index]
        if fill.pointee.side != KEEL_SIDE_NONE, fill.pointee.side != order.side {
            core.pointee.malformed &+= 1
            disagree(book, "a fill of order \(id) is on the other side than the order")
            return
        }
        do {
            try bookFill(fill, event, book, index, key)
        } catch {
            disagree(book, "a fill of order \(id) cannot be booked: \(error)")
        }
    }

    /// Takes one new fill in: order, position, cash, records. Either all of it or nothing.
    private func bookFill(
        _ fill: UnsafePointer<keel_ev_fill>, _ event: UnsafePointer<keel_event>, _ book: UnsafeMutablePointer<Book>, _ index: Int, _ key: FillKey
    ) throws(NumberError) {
        let pipeline = pipelines + book.pointee.pipeline
        let quantity = Fixed(raw: fill.pointee.qty)
        let price = Fixed(raw: fill.pointee.price)
        let money = try book.pointee.instrument.notional(quantity, at: price)
        let fee = fees(event, fill, book)
        var order = book.pointee.orders[index]
        let beforeStatus = order.status
        try order.take(fill: quantity, worth: money, fee: fee.money, at: now)
        let before = book.pointee.position
        let wasFlat = book.isFlat
        let at = event.pointee.at_source != 0 ? min(event.pointee.at_source, now) : now
        let effect = try before.taking(
            side: order.side, quantity: quantity, price: price, money: money, fee: fee.money, feeQuantity: fee.quantity, isDust: wasFlat, at: at)
        let cash = try pipeline.pointee.state.cash.adding(effect.cash)
        let realised = try pipeline.pointee.state.realised.adding(effect.realised)
        let fees = try pipeline.pointee.state.fees.adding(fee.money)
        let dayRealised = try pipeline.pointee.state.day.realised.adding(effect.realised)
        let dayFees = try pipeline.pointee.state.day.fees.adding(fee.money)

        // Nothing below can fail.
        core.pointee.seen.add(key)
        book.pointee.orders[index] = order
        if let parent = book.pointee.parents.firstIndex(where: { $0.id == order.id.parent }) {
            book.pointee.parents[parent].filled = book.pointee.parents[parent].filled.addingReportingOverflow(quantity.raw).partialValue
        }
        book.pointee.position = effect.position
        pipeline.pointee.state.cash = cash
        pipeline.pointee.state.realised = realised
        pipeline.pointee.state.fees = fees
        pipeline.pointee.state.day.realised = dayRealised
        pipeline.pointee.state.day.fees = dayFees
        if book.pointee.last == 0 { book.pointee.last = price.raw }
        if book.pointee.marked == 0 { book.pointee.marked = book.pointee.last }
        reprice(book, pipeline, cash: effect.cash)
        setDirty(book)
        setDirty(pipeline)

        noteFill(fill, event, book, order, key, effect, fee.money)
        // The order's row must show every fill, whether it changed its state or not.
        if recordsState || beforeStatus != order.status { noteOrder(book, index, before: beforeStatus, vendorCode: 0, venueID: "", message: "") }
        if order.filled > order.quantity {
            alert(.critical, "overfill", book, "order \(order.id): \(order.filled) filled of \(order.quantity) ordered; the position follows the fills")
        }
        outlet.routerEvent(book.pointee.routerPort, event)
        positionChanged(book, before: before, wasFlat: wasFlat, effect, price: price, order: order)
        settle(book)
        equityMoved(pipeline)
    }

    /// The fee in the pipeline's money, and what of it came out of the quantity bought.
    private func fees(
        _ event: UnsafePointer<keel_event>, _ fill: UnsafePointer<keel_ev_fill>, _ book: UnsafeMutablePointer<Book>
    ) -> (money: Amount, quantity: Amount) {
        let fee = Amount(fill.pointee.fee)
        if fee.isZero { return (.zero, .zero) }
        let asset = textBytes(fill.pointee.fee_asset, in: event)
        if asset.isEmpty { return (fee, .zero) }
        let hash = Mix.hash(asset).lo
        if hash == pipelines[book.pointee.pipeline].currencyHash || hash == book.pointee.quoteHash { return (fee, .zero) }
        if hash == book.pointee.baseHash { return (.zero, fee) }
        // Paid in a third asset: no rate is invented. It is in the fill's record, and said once.
        if !book.pointee.toldThirdAsset {
            book.pointee.toldThirdAsset = true
            alert(.info, "fee", book, "fees are paid in \(String(decoding: asset, as: UTF8.self)): recorded, but not part of profit")
        }
        return (.zero, .zero)
    }

    private func noteFill(
        _ fill: UnsafePointer<keel_ev_fill>, _ event: UnsafePointer<keel_event>, _ book: UnsafeMutablePointer<Book>, _ order: OrderState,
        _ key: FillKey, _ effect: FillEffect, _ fee: Amount
    ) {
        guard recordsTrading || listens(.orderFilled) || listens(.positionChanged) else { return }
        var entry = FillRecord(
            time: now, atSource: event.pointee.at_source, pipeline: book.pointee.pipeline, instrument: book.pointee.instrument.id, order: order.id,
            side: order.side, quantity: Fixed(raw: fill.pointee.qty), price: Fixed(raw: fill.pointee.price), fee: Amount(fill.pointee.fee),
            liquidity: fill.pointee.liquidity, key: key, profit: effect.realised)
        if recordsDetail {
            entry.feeAsset = textString(fill.pointee.fee_asset, in: event)
            entry.fillID = textString(fill.pointee.fill_id, in: event)
            entry.venueID = textString(fill.pointee.venue_id, in: event)
        }
        let pipeline = pipelines + book.pointee.pipeline
        let position = PositionRecord(
            time: now, pipeline: book.pointee.pipeline, instrument: book.pointee.instrument.id, quantity: book.pointee.position.quantity,
            entry: book.pointee.position.entry, cash: pipeline.pointee.state.cash, equity: equity(pipeline),
            realised: pipeline.pointee.state.realised, fees: pipeline.pointee.state.fees)
        if recordsTrading {
            record(.fill(entry))
            record(.position(position))
        }
        publish(.orderFilled, book.pointee.pipeline, book.pointee.instrument.id) { .fill(entry) }
        publish(.positionChanged, book.pointee.pipeline, book.pointee.instrument.id) { .position(position) }
    }

    func externalFill(_ event: UnsafePointer<keel_event>, _ fill: UnsafePointer<keel_ev_fill>, _ port: Int) {
        guard recordsTrading else { return }
        record(
            .external(
                ExternalRecord(
                    time: now, broker: port, instrument: event.pointee.instrument, kind: .fill, order: OrderID(fill.pointee.order),
                    side: fill.pointee.side, quantity: Amount(raw: Int128(fill.pointee.qty)), price: Fixed(raw: fill.pointee.price), state: 0,
                    venueID: recordsDetail ? textString(fill.pointee.fill_id, in: event) : "")))
    }

    /// Something that cannot be: nothing is entered in the instrument until a sync agrees.
    func disagree(_ book: UnsafeMutablePointer<Book>, _ text: @autoclosure () -> String) {
        book.pointee.disagrees = true
        alert(.critical, "disagreement", book, text())
        wantSync(book.pointee.broker)
    }

    // MARK: Money, links, sessions

    func balanceEvent(_ event: UnsafePointer<keel_event>, from port: Int) {
        guard let balance = body(event, as: keel_ev_balance.self), brokerOfPort[port] >= 0 else { return }
        let slot = brokers + brokerOfPort[port]
        let asset = textString(balance.pointee.asset, in: event)
        guard !asset.isEmpty, asset.utf8.count <= 64 else { return }
        let total = Amount(balance.pointee.total)
        if slot.pointee.request != 0, UInt32(event.pointee.flags) & KEEL_EVF_SNAPSHOT != 0 { slot.pointee.report.balances[asset] = total }
        if slot.pointee.currencyTotals.count < 4096 || slot.pointee.currencyTotals[asset] != nil { slot.pointee.currencyTotals[asset] = total }
        if recordsTrading {
            record(
                .balance(
                    BalanceRecord(time: now, broker: port, asset: asset, total: total, available: Amount(balance.pointee.available))))
        }
    }

    func positionEvent(_ event: UnsafePointer<keel_event>, from port: Int) {
        guard let position = body(event, as: keel_ev_position.self), brokerOfPort[port] >= 0 else { return }
        let slot = brokers + brokerOfPort[port]
        for index in 0..<bookCount where books[index].broker == brokerOfPort[port] && books[index].instrument.id == event.pointee.instrument {
            books[index].liquidation = max(position.pointee.liquidation, 0)
            books[index].marginRatio = max(position.pointee.margin_ratio, 0)
        }
        if slot.pointee.request != 0, UInt32(event.pointee.flags) & KEEL_EVF_SNAPSHOT != 0 {
            slot.pointee.report.positions[event.pointee.instrument] = Amount(position.pointee.qty)
        }
    }

    /// A payment the venue booked goes to whoever held the position, in proportion.
    func fundingEvent(_ event: UnsafePointer<keel_event>, from port: Int) {
        guard let funding = body(event, as: keel_ev_funding.self), brokerOfPort[port] >= 0 else { return }
        let id = Mix.hash(textBytes(funding.pointee.payment_id, in: event))
        let key = FillKey(hi: id.hi ^ UInt64(event.pointee.instrument), lo: id.lo ^ UInt64(bitPattern: funding.pointee.payment_id.len == 0 ? event.pointee.at_source : 0))
        guard core.pointee.seen.insert(key) else { return }
        let amount = Amount(funding.pointee.amount)
        let holders = (0..<bookCount).filter {
            books[$0].broker == brokerOfPort[port] && books[$0].instrument.id == event.pointee.instrument && !books[$0].position.quantity.isZero
        }
        let held = holders.reduce(Int128(0)) { $0 &+ Int128(books[$1].position.quantity.raw.magnitude) }
        var left = amount
        for (place, index) in holders.enumerated() {
            let book = books + index
            let pipeline = pipelines + book.pointee.pipeline
            let isLast = place == holders.count - 1
            let size = Amount(raw: Int128(book.pointee.position.quantity.raw.magnitude))
            let share = isLast ? left : (try? amount.multiplied(by: size.divided(by: Amount(raw: held)).fixed())) ?? .zero
            guard let rest = try? left.subtracting(share), let cash = try? pipeline.pointee.state.cash.adding(share),
                let sum = try? pipeline.pointee.state.funding.adding(share), let profit = try? book.pointee.position.profit.adding(share)
            else { return disagree(book, "a funding payment of \(amount) cannot be booked") }
            left = rest
            pipeline.pointee.state.cash = cash
            pipeline.pointee.state.funding = sum
            book.pointee.position.profit = profit
            remark(pipeline)
            setDirty(pipeline)
            setDirty(book)
            if recordsTrading {
                var entry = FundingRecord(
                    time: now, pipeline: book.pointee.pipeline, instrument: event.pointee.instrument, amount: share, rate: Fixed(raw: funding.pointee.rate))
                if recordsDetail {
                    entry.asset = textString(funding.pointee.asset, in: event)
                    entry.payment = textString(funding.pointee.payment_id, in: event)
                }
                record(.funding(entry))
            }
            equityMoved(pipeline)
        }
    }

    func linkEvent(_ event: UnsafePointer<keel_event>, from port: Int) {
        guard let link = body(event, as: keel_ev_link.self) else { return }
        let state = link.pointee.state
        let name = textString(link.pointee.name, in: event)
        let entry = LinkRecord(
            time: now, port: port, state: state, why: link.pointee.why, name: name,
            message: recordsDetail ? textString(link.pointee.message, in: event) : "")
        if recordsTrading { record(.link(entry)) }
        publish(.link, -1, 0) { .link(entry) }
        if state != KEEL_LINK_UP {
            alert(.warning, "link", "\(plan.ports[port].name)\(name.isEmpty ? "" : " (\(name))") is \(state == KEEL_LINK_DOWN ? "down" : "degraded")")
        }
        feedLink(name, state, from: port)
        guard brokerOfPort[port] >= 0 else { return }
        let slot = brokers + brokerOfPort[port]
        if let index = slot.pointee.links.firstIndex(where: { $0.name == name }) {
            slot.pointee.links[index].state = state
        } else if slot.pointee.links.count < 64 {
            slot.pointee.links.append((name, state))
        }
        let wasDown = slot.pointee.linkDown
        slot.pointee.linkDown = slot.pointee.links.contains { $0.state == KEEL_LINK_DOWN }
        if slot.pointee.linkDown, !wasDown { slot.pointee.synced = false }
        // What was missed while it was away is asked for before anything is entered.
        if wasDown, !slot.pointee.linkDown { startSync(brokerOfPort[port]) }
    }

    func sessionEvent(_ event: UnsafePointer<keel_event>, from port: Int) {
        guard let session = body(event, as: keel_ev_session.self) else { return }
        let state = session.pointee.state
        for index in 0..<bookCount {
            let book = books + index
            if event.pointee.instrument != 0, event.pointee.instrument != book.pointee.instrument.id { continue }
            let route = routes + (port * stride + book.pointee.instrument.id.place)
            let first = Int(route.pointee.firstBook)
            let feeds = (first..<(first + Int(route.pointee.bookCount))).contains { routeBooks[$0] == Int32(index) }
            if feeds || book.pointee.brokerPort == port { book.pointee.session = state }
        }
        if recordsTrading {
            record(
                .session(
                    SessionRecord(
                        time: now, port: port, instrument: event.pointee.instrument, state: state, nextChange: session.pointee.next_change)))
        }
    }

    // MARK: Ends of requests

    func doneEvent(_ event: UnsafePointer<keel_event>, from port: Int) {
        guard let done = body(event, as: keel_ev_done.self), let kind = event.pointee.request.requestKind else { return }
        let owner = event.pointee.request.requestOwner
        switch kind {
        case .ask, .shadow: askDone(event, done, from: port)
        case .submit, .replace: if owner < bookCount, books[owner].brokerPort == port { submitDone(event, done, books + owner) }
        case .cancel: if owner < bookCount, books[owner].brokerPort == port { cancelDone(event, done, books + owner) }
        case .route: if owner < bookCount, books[owner].routerPort == port { routeDone(event, done, books + owner) }
        case .sync: if owner < brokerCount, brokers[owner].port == port { syncDone(event, done, owner) }
        }
    }

    private func submitDone(_ event: UnsafePointer<keel_event>, _ done: UnsafePointer<keel_ev_done>, _ book: UnsafeMutablePointer<Book>) {
        guard done.pointee.status < 0,
            let index = book.pointee.orders.firstIndex(where: { $0.request == event.pointee.request }), !book.pointee.orders[index].status.isTerminal
        else { return }
        let message = recordsDetail ? textString(done.pointee.message, in: event) : ""
        switch done.pointee.status {
        case KEEL_E_REJECTED, KEEL_E_INVALID, KEEL_E_UNSUPPORTED, KEEL_E_RANGE, KEEL_E_AUTH, KEEL_E_RATE, KEEL_E_NETWORK, KEEL_E_AGAIN:
            // Definite: the venue or the plugin says that it is not there.
            submitRefused(book.pointee.orders[index].id, book, done.pointee.status, vendorCode: done.pointee.vendor_code, message: message)
        default:
            doubt(book, index, status: done.pointee.status, message)
        }
    }

    private func cancelDone(_ event: UnsafePointer<keel_event>, _ done: UnsafePointer<keel_ev_done>, _ book: UnsafeMutablePointer<Book>) {
        if done.pointee.status < 0 { return cancelFailed(book, event.pointee.request, done.pointee.status) }
        book.pointee.cancels.removeAll { $0.request == event.pointee.request }
    }

    private func routeDone(_ event: UnsafePointer<keel_event>, _ done: UnsafePointer<keel_ev_done>, _ book: UnsafeMutablePointer<Book>) {
        guard let index = book.pointee.parents.firstIndex(where: { $0.request == event.pointee.request }) else { return }
        noteRouting(book, .done, book.pointee.parents[index].order, done.pointee.status)
        if done.pointee.status < 0, book.pointee.parents[index].children == 0 {
            routerFailed(book, index, done.pointee.status)
        } else {
            book.pointee.parents[index].done = true
            dropDoneParents(book)
        }
        if book.pointee.position.exiting != nil { retryExit(book) }
    }
}

extension keel_instrument_id {
    /// As an index of the routes.
    var place: Int { Int(self) }
}
