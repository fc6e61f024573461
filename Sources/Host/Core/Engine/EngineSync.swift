import PluginAPI
import PluginKit

// Agreement with the venues: after every start and reconnect, and whenever something is in doubt.
extension Engine {
    static var syncInterval: Int64 { 15 * Span.minute }

    func startSync(_ index: Int) {
        let slot = brokers + index
        guard slot.pointee.request == 0 else {
            slot.pointee.wanted = true
            return
        }
        slot.pointee.wanted = false
        slot.pointee.request = makeRequest(.sync, owner: index)
        slot.pointee.askedAt = now
        slot.pointee.report = VenueReport()
        slot.pointee.kept.removeAll()
        arm(.broker, index, at: now &+ 30 * Span.second)
        let status = outlet.sync(slot.pointee.port, since: syncSince(index), request: slot.pointee.request)
        if status < 0 { syncFailed(index, status, outlet.lastMessage()) }
    }

    /// From the last agreement, or from the oldest order that is not settled, with a margin for clocks that differ.
    private func syncSince(_ index: Int) -> Int64 {
        var since = brokers[index].syncedAt
        for number in 0..<bookCount where books[number].broker == index {
            for order in books[number].orders { since = min(since, order.created) }
        }
        return max(0, since &- Span.minute)
    }

    /// Something needs the venue's word. Several wishes at one moment are one question.
    func wantSync(_ index: Int) {
        guard index >= 0, index < brokerCount else { return }
        let slot = brokers + index
        if slot.pointee.request != 0 {
            slot.pointee.wanted = true
        } else {
            core.pointee.timers.armNoLater(.broker, index, at: now &+ 100 * Span.millisecond)
        }
    }

    func brokerTimer(_ index: Int) {
        let slot = brokers + index
        if slot.pointee.request != 0 {
            slot.pointee.request = 0
            return syncFailed(index, KEEL_E_TIMEOUT, "no answer")
        }
        if !slot.pointee.linkDown { startSync(index) }
    }

    private func syncFailed(_ index: Int, _ status: keel_status, _ text: String) {
        let slot = brokers + index
        slot.pointee.request = 0
        slot.pointee.attempts += 1
        if slot.pointee.attempts == 3 {
            alert(.critical, "sync", "\(slot.pointee.name) does not tell orders and positions (\(text)); nothing is entered there until it does")
        }
        arm(.broker, index, at: now &+ min(Span.second << Int64(min(slot.pointee.attempts, 6)), Span.minute))
    }

    /// Keeps an event of a sync until its end.
    func keep(_ event: UnsafePointer<keel_event>, _ slot: UnsafeMutablePointer<BrokerSlot>) {
        slot.pointee.kept.append([UInt8](UnsafeRawBufferPointer(start: event, count: Int(event.pointee.size))))
    }

    func syncDone(_ event: UnsafePointer<keel_event>, _ done: UnsafePointer<keel_ev_done>, _ index: Int) {
        let slot = brokers + index
        guard slot.pointee.request == event.pointee.request else { return }
        core.pointee.timers.disarm(.broker, index)
        if done.pointee.status < 0 { return syncFailed(index, done.pointee.status, textString(done.pointee.message, in: event)) }
        slot.pointee.request = 0
        let report = slot.pointee.report
        let kept = slot.pointee.kept
        slot.pointee.report = VenueReport()
        slot.pointee.kept = []
        takeCapital(index)
        let outcome = Reconcile.run(known(index), report)
        apply(outcome, kept, index)
        conclude(outcome, index)
    }

    private func known(_ index: Int) -> KnownAccount {
        var orders: [OrderState] = []
        var holdings: [keel_instrument_id: KnownAccount.Holding] = [:]
        for number in 0..<bookCount where books[number].broker == index {
            let book = books + number
            orders += book.pointee.orders
            orders += book.pointee.closedOrders.ordered
            let instrument = book.pointee.instrument
            var holding =
                holdings[instrument.id]
                ?? KnownAccount.Holding(
                    instrument: instrument.id, symbol: book.pointee.symbol, quantity: .zero, owned: instrument.isOwned, base: book.pointee.base,
                    lot: instrument.lot)
            holding.quantity = Amount(raw: holding.quantity.raw &+ book.pointee.position.quantity.raw)
            holdings[instrument.id] = holding
        }
        let seen = core.pointee.seen
        return KnownAccount(
            orders: orders, holdings: holdings.values.sorted { $0.instrument < $1.instrument }, asked: brokers[index].askedAt,
            seen: { seen.contains($0) })
    }

    private func apply(_ outcome: Reconciliation, _ kept: [[UInt8]], _ index: Int) {
        let port = brokers[index].port
        for order in outcome.recovered { recover(order, port) }
        for fill in outcome.fills where fill.index < kept.count {
            withEvent(kept[fill.index]) { event in
                if let fill = body(event, as: keel_ev_fill.self) { takeFill(event, fill, from: port) }
            }
            // A venue need not tell the state of an order that is over: its fills alone say so.
            if let (book, place) = find(fill.order), place < 0, let order = book.pointee.closedOrders.newest(where: { $0.id == fill.order }),
                book.pointee.closedOrders.elements[order].status == .filled
            {
                tellRouter(book, ended: book.pointee.closedOrders.elements[order])
            }
        }
        for order in outcome.orders where order.index < kept.count {
            withEvent(kept[order.index]) { event in
                if let report = body(event, as: keel_ev_order.self),
                    let said = OrderReport(state: order.state, filled: order.filled.raw, snapshot: true)
                {
                    take(said, order.id, from: port, event, report)
                }
            }
        }
        for order in outcome.external where order.index < kept.count {
            withEvent(kept[order.index]) { event in external(order, port, event, body(event, as: keel_ev_order.self)) }
        }
        for fill in outcome.externalFills where fill.index < kept.count {
            withEvent(kept[fill.index]) { event in
                if let body = body(event, as: keel_ev_fill.self) { externalFill(event, body, port) }
            }
        }
        for id in outcome.missing { missed(id, index) }
    }

    private func withEvent(_ bytes: [UInt8], _ use: (UnsafePointer<keel_event>) -> Void) {
        bytes.withUnsafeBytes { raw in
            guard let base = raw.baseAddress, raw.count >= MemoryLayout<keel_event>.size else { return }
            use(base.assumingMemoryBound(to: keel_event.self))
        }
    }

    /// The venue did not mention an order that is alive here. Once may be haste; twice, with time for it to arrive, is an answer.
    private func missed(_ id: OrderID, _ index: Int) {
        guard let found = find(id), found.1 >= 0 else { return }
        let book = found.0
        let place = found.1
        let before = book.pointee.orders[place].status
        let timeout = pipelines[book.pointee.pipeline].settings.risk.orderTimeout
        book.pointee.orders[place].missing += 1
        let sent = max(book.pointee.orders[place].sent, book.pointee.orders[place].created)
        if book.pointee.orders[place].missing >= 2, brokers[index].askedAt - sent > timeout {
            if book.pointee.orders[place].status.isTerminal {
                // It reported more filled than it now shows fills for: the fills are the truth.
                book.pointee.orders[place].reported = book.pointee.orders[place].filled
            }
            book.pointee.orders[place].conclude(.cancelled, at: now)
            noteOrder(book, place, before: before, vendorCode: 0, venueID: "", message: "not at the venue")
            alert(.warning, "missing", book, "order \(id), \(before.word) here, is not at the venue; it counts as cancelled unless the venue says otherwise")
            let order = book.pointee.orders[place]
            tellRouter(book, ended: order)
            settle(book)
            if order.role == .exit { retryExit(book) }
        } else {
            arm(.broker, index, at: now &+ max(timeout, Span.millisecond))
        }
    }

    /// An order whose id says that it is ours, which no ledger row tells of: it is taken back as what it is.
    private func recover(_ order: VenueReport.Order, _ port: Int) {
        guard let said = OrderReport(state: order.state, filled: order.filled.raw, snapshot: true), order.leaves.isPositive || order.filled.isPositive,
            order.side == KEEL_BUY || order.side == KEEL_SELL, let leg = order.id.leg,
            let number = (0..<bookCount).first(where: { books[$0].instrument.id == order.instrument && books[$0].brokerPort == port })
        else { return external(order, port, nil, nil) }
        let book = books + number
        guard let quantity = try? order.filled.adding(order.leaves) else { return external(order, port, nil, nil) }
        var state = OrderState(
            id: order.id, pipeline: book.pointee.pipeline, instrument: order.instrument, broker: port, role: leg == .entry ? .entry : .exit,
            side: order.side, features: order.limit.isPositive ? KEEL_ORD_LIMIT : KEEL_ORD_MARKET, quantity: quantity, limit: order.limit, trigger: .zero,
            why: nil, decision: order.id.sequence, created: now, changed: now)
        state.take(said, at: now)
        book.pointee.orders.append(state)
        noteOrder(book, book.pointee.orders.count - 1, before: .intended, vendorCode: 0, venueID: "", message: "recovered by its id")
        alert(.warning, "recovered", book, "order \(order.id) was not in the ledger; its id says it is ours, and it is taken back")
        settle(book)
    }

    private func conclude(_ outcome: Reconciliation, _ index: Int) {
        let slot = brokers + index
        slot.pointee.synced = true
        let agreed = outcome.differences.isEmpty
        let wasAgreed = slot.pointee.agreed
        slot.pointee.agreed = agreed
        if recordsTrading {
            record(
                .agreement(
                    AgreementRecord(time: now, broker: slot.pointee.port, agreed: agreed, differences: outcome.differences.map(\.description))))
        }
        if agreed {
            slot.pointee.attempts = 0
            slot.pointee.syncedAt = slot.pointee.askedAt
            setDirty(slot)
            for number in 0..<bookCount where books[number].broker == index { books[number].disagrees = false }
            if !wasAgreed { alert(.info, "agreement", "\(slot.pointee.name): venue and ledger agree") }
            if slot.pointee.wanted {
                wantSync(index)
            } else if !plan.ports[slot.pointee.port].inline {
                // The venue's truth is looked at now and then without a reason, too: it finds what no message told.
                arm(.broker, index, at: now &+ Self.syncInterval)
            }
        } else {
            slot.pointee.attempts += 1
            if slot.pointee.attempts == 2 || wasAgreed {
                let text = outcome.differences.map(\.description).joined(separator: "; ")
                alert(.critical, "disagreement", "\(slot.pointee.name): nothing is entered until this is settled: \(text)")
            }
            arm(.broker, index, at: now &+ min(Span.second << Int64(min(slot.pointee.attempts, 6)), Span.minute))
        }
    }

    /// Where the manifest names no capital, what the broker reports is the start.
    private func takeCapital(_ index: Int) {
        for number in 0..<pipelineCount where pipelines[number].broker == index {
            let pipeline = pipelines + number
            guard pipeline.pointee.settings.capital == nil, pipeline.pointee.state.capital.isZero,
                let total = brokers[index].totals[pipeline.pointee.settings.currency], total.isPositive
            else { continue }
            pipeline.pointee.state.capital = total
            pipeline.pointee.state.cash = (try? pipeline.pointee.state.cash.adding(total)) ?? total
            remark(pipeline)
            pipeline.pointee.peak = max(pipeline.pointee.peak, pipeline.pointee.equity)
            if pipeline.pointee.state.day.startEquity.isZero { pipeline.pointee.state.day.startEquity = equity(pipeline) }
            setDayLimit(pipeline)
            setFloor(pipeline)
            setDirty(pipeline)
        }
    }

    // MARK: Orders that wait too long

    func ordersTimer(_ book: UnsafeMutablePointer<Book>) {
        let timeout = pipelines[book.pointee.pipeline].settings.risk.orderTimeout
        var next = Int64.max
        var asks = false
        for index in 0..<book.pointee.orders.count {
            let order = book.pointee.orders[index]
            let waitsSince: Int64
            switch order.status {
            case .intended, .pending: waitsSince = max(order.sent, order.created)
            case .open, .partlyFilled:
                guard order.cancelRequested else { continue }
                waitsSince = order.changed
            case .filled, .cancelled, .rejected, .expired: waitsSince = order.changed  // its fills are on their way
            case .inDoubt:
                asks = true
                next = min(next, now &+ timeout)
                continue
            }
            let due = waitsSince.addingReportingOverflow(timeout).partialValue
            if due > now {
                next = min(next, due)
            } else if order.status.isTerminal || order.cancelRequested {
                if !order.status.isTerminal { cancel(book, index, again: true) }
                asks = true
                next = min(next, now &+ timeout)
            } else {
                doubt(book, index, status: KEEL_E_TIMEOUT, "no answer within the order timeout")
                next = min(next, now &+ timeout)
            }
        }
        if asks { wantSync(book.pointee.broker) }
        takeOverSilentRouters(book, timeout, &next)
        if next != .max { arm(.orders, book.pointee.index, at: next) }
    }

    /// An exit that its router did not turn into an order in time goes to the broker as it is.
    private func takeOverSilentRouters(_ book: UnsafeMutablePointer<Book>, _ timeout: Int64, _ next: inout Int64) {
        for index in book.pointee.parents.indices.reversed() {
            let parent = book.pointee.parents[index]
            guard parent.role == .exit, parent.children == 0, !parent.done else { continue }
            let due = parent.created.addingReportingOverflow(timeout).partialValue
            if due > now {
                next = min(next, due)
            } else {
                outlet.cancelRoute(book.pointee.routerPort, request: parent.request)
                routerFailed(book, index, KEEL_E_TIMEOUT)
            }
        }
    }
}
