import PluginAPI
import PluginKit

// From an intention to the broker: sizing, risk, router, risk again, durable intent, submit.
extension Engine {
    /// Everything the risk gate looks at. `excluding` is the parent in question, which must not count against itself.
    /// `sizes` false: only what conditions are asked of.
    func riskContext(
        _ book: UnsafeMutablePointer<Book>, side: UInt32, seen: Fixed, excluding: OrderID, sizes: Bool = true
    ) -> RiskContext {
        let pipeline = pipelines + book.pointee.pipeline
        let broker = brokers + book.pointee.broker
        let risk = pipeline.pointee.settings.risk
        var context = RiskContext(
            now: now, instrument: book.pointee.instrument, settings: risk, price: book.price(for: side, now: now, freshness: risk.freshness),
            seenPrice: seen, equity: sizes || pipeline.pointee.state.drawdownOpen ? equity(pipeline) : .zero, position: book.isFlat ? .zero : book.pointee.position.quantity,
            brokerFeatures: book.pointee.brokerFeatures)
        if sizes {
            context.entering = Amount(raw: unfilled(book, .entry, excluding: excluding))
            context.leaving = Amount(raw: abs(unfilled(book, .exit, excluding: excluding)))
            context.exposure = exposure(pipeline, excluding: excluding)
        }
        context.ordersLastMinute = pipeline.pointee.minute.count(at: now)
        context.lastExit = book.pointee.lastExit
        context.session = book.pointee.session
        context.marketAt = book.marketAt
        context.freshness = freshness(book)
        context.skew = plan.checksSkew ? book.pointee.skew : 0
        context.killed = core.pointee.killed
        context.gateClosed = core.pointee.gateClosed || core.pointee.stopping
        context.ledgerFailed = core.pointee.ledgerFailed
        context.linkUp = !broker.pointee.linkDown && !book.pointee.feedDown
        context.synced = broker.pointee.synced
        context.agreed = broker.pointee.agreed && !book.pointee.disagrees
        context.inDoubt = book.inDoubt
        context.dailyLossUntil = pipeline.pointee.state.dailyLossUntil
        context.streakUntil = pipeline.pointee.state.streakUntil
        context.drawdownOpen = pipeline.pointee.state.drawdownOpen
        return context
    }

    /// Signed quantity that live orders of a role may still fill: of a parent what its router may still send, of a parent that
    /// is done (or was lost in a restart) what its children have open.
    func unfilled(_ book: UnsafeMutablePointer<Book>, _ role: OrderRole, excluding: OrderID) -> Int128 {
        var sum: Int128 = 0
        for index in 0..<book.pointee.parents.count where book.pointee.parents[index].role == role {
            let parent = book.pointee.parents[index]
            if parent.done || parent.id == excluding { continue }
            let left = Int128(parent.order.qty) - Int128(parent.filled)
            if left > 0 { sum += parent.order.side == KEEL_BUY ? left : -left }
        }
        for index in 0..<book.pointee.orders.count where book.pointee.orders[index].role == role {
            let leaves = book.pointee.orders[index].leaves
            if leaves == 0 { continue }
            let parent = book.pointee.orders[index].id.parent
            if parent == excluding || book.pointee.parents.contains(where: { $0.id == parent && !$0.done }) { continue }
            sum += book.pointee.orders[index].side == KEEL_BUY ? Int128(leaves) : -Int128(leaves)
        }
        return sum
    }

    private func exposure(_ pipeline: UnsafeMutablePointer<Pipeline>, excluding: OrderID) -> Amount {
        guard pipeline.pointee.settings.risk.maximumExposure != nil else { return .zero }
        var sum: Int128 = 0
        for index in pipeline.pointee.firstBook..<(pipeline.pointee.firstBook + pipeline.pointee.bookCount) {
            let book = books + index
            let price = Fixed(raw: book.pointee.marked)
            let entering = Int128(unfilled(book, .entry, excluding: excluding).magnitude)
            let size = Int128(book.pointee.position.quantity.raw.magnitude) &+ entering
            if size == 0 { continue }
            guard let worth = try? book.pointee.instrument.notional(Amount(raw: size), at: price) else { return Amount(raw: .max / 4) }
            sum = sum &+ worth.raw
        }
        return Amount(raw: sum)
    }

    // MARK: Intentions

    /// Opens or adds to a position, as the decision asks and the limits allow.
    func enter(_ book: UnsafeMutablePointer<Book>, side: UInt32, _ decision: Decision, _ asked: Ask) -> Result<OrderID, Refusal> {
        if book.pointee.position.exiting != nil { return .failure(Refusal(.alreadyExiting)) }
        let context = riskContext(book, side: side, seen: asked.price, excluding: .none)
        if decision.quantity.isZero, !context.entering.isZero { return .failure(Refusal(.alreadyEntering, context.entering, .zero)) }
        // Conditions come first: what cannot be entered at all is not a matter of size.
        if let refusal = RiskGate.conditionProblem(in: context) { return .failure(refusal) }
        let wanted = Sizing.Entry(
            fraction: decision.fraction, quantity: decision.quantity, side: side, kelly: pipelines[book.pointee.pipeline].state.kelly)
        switch Sizing.entry(wanted, in: context) {
        case .failure(let refusal): return .failure(refusal)
        case .success(let quantity):
            return send(
                book, .entry, side: side, quantity: quantity, leg: .entry, why: nil, sequence: asked.sequence, seen: asked.price,
                notAfter: decision.validUntil, context)
        }
    }

    /// A decider's order against the position: less of it, all of it, or through zero where shorts are allowed.
    func reduce(_ book: UnsafeMutablePointer<Book>, side: UInt32, _ decision: Decision, _ asked: Ask) -> Result<OrderID, Refusal> {
        let risk = pipelines[book.pointee.pipeline].settings.risk
        if risk.minimumHold > 0, now - book.pointee.lastEntry < risk.minimumHold {
            return .failure(Refusal(.minimumHold, Amount(raw: Int128(now - book.pointee.lastEntry)), Amount(raw: Int128(risk.minimumHold))))
        }
        let position = book.pointee.position.quantity
        if decision.quantity.isPositive, risk.allowShort, UInt128(decision.quantity.raw.magnitude) > position.raw.magnitude {
            return enter(book, side: side, decision, asked)
        }
        guard
            let quantity = try? Sizing.exit(
                of: position, fraction: decision.fraction, quantity: decision.quantity, instrument: book.pointee.instrument)
        else { return .failure(Refusal(.numberRange, position, Amount(decision.fraction))) }
        let whole = (try? book.pointee.instrument.isDust(position.magnitude().subtracting(Amount(quantity)))) ?? false
        if whole { return leave(book, .decider, level: .zero, sequence: asked.sequence) }
        if book.pointee.position.exiting != nil { return .failure(Refusal(.alreadyExiting)) }
        let context = riskContext(book, side: side, seen: .zero, excluding: .none)
        return send(
            book, .exit, side: side, quantity: quantity, leg: .exit, why: .decider, sequence: asked.sequence, seen: .zero, notAfter: 0, context)
    }

    /// Approves a parent and gives it to the router.
    func send(
        _ book: UnsafeMutablePointer<Book>, _ role: OrderRole, side: UInt32, quantity: Fixed, leg: OrderID.Leg, why: ExitReason?, sequence: UInt64,
        seen: Fixed, notAfter: Int64, _ context: RiskContext
    ) -> Result<OrderID, Refusal> {
        let id = OrderID(
            run: plan.run, pipeline: book.pointee.pipeline, instrument: book.pointee.instrumentIndex, sequence: sequence, leg: leg)
        var order = keel_order()
        order.struct_size = UInt32(MemoryLayout<keel_order>.size)
        order.side = side
        order.features = KEEL_ORD_MARKET
        // Where a venue keeps positions, an exit says that it is one.
        if role == .exit, !book.pointee.instrument.isOwned { order.features |= book.pointee.brokerFeatures & KEEL_ORD_REDUCE_ONLY }
        order.id = id.c
        order.instrument = book.pointee.instrument.id
        order.qty = quantity.raw
        order.not_after = notAfter
        switch RiskGate.approve(order, role: role, in: context) {
        case .failure(let refusal): return .failure(refusal)
        case .success(let approved):
            route(approved, book, why: why, sequence: sequence, seen: seen)
            return .success(id)
        }
    }

    private func route(_ approved: ApprovedOrder, _ book: UnsafeMutablePointer<Book>, why: ExitReason?, sequence: UInt64, seen: Fixed) {
        let request = makeRequest(.route, owner: book.pointee.index)
        book.pointee.parents.append(
            Parent(
                order: approved.order, request: request, role: approved.role, why: why, decision: sequence, created: now, seenPrice: seen))
        noteRouting(book, .parent, approved.order, KEEL_OK)
        armOrders(book)
        let status = outlet.route(book.pointee.routerPort, approved, request: request)
        guard status < 0, let index = book.pointee.parents.firstIndex(where: { $0.request == request }) else { return }
        noteRouting(book, .done, approved.order, status)
        routerFailed(book, index, status)
    }

    /// A router that does not take an order stops an entry, but not an exit: that goes to the broker as it is.
    func routerFailed(_ book: UnsafeMutablePointer<Book>, _ index: Int, _ status: keel_status) {
        let parent = book.pointee.parents[index]
        book.pointee.parents[index].done = true
        refuse(book, Refusal(.routerRefused, Amount(raw: Int128(status)), .zero), decision: parent.decision, order: parent.id)
        guard parent.role == .exit, parent.children == 0 else { return dropDoneParents(book) }
        alert(.warning, "router", book, "\(plan.ports[book.pointee.routerPort].name) did not take an exit: it goes to the broker directly")
        var order = parent.order
        order.id = parent.id.child(1).c
        book.pointee.parents[index].use(leg: 1)
        submitChild(order, parent, book)
        dropDoneParents(book)
    }

    func noteRouting(_ book: UnsafeMutablePointer<Book>, _ step: RoutingRecord.Step, _ order: keel_order, _ status: keel_status) {
        guard recordsTrading || listens(.routing) else { return }
        let entry = RoutingRecord(
            time: now, pipeline: book.pointee.pipeline, instrument: book.pointee.instrument.id, router: book.pointee.routerPort, step: step,
            order: OrderID(order.id), quantity: Fixed(raw: order.qty), limit: Fixed(raw: order.limit), status: status,
            detail: status < 0 && recordsDetail ? outlet.lastMessage() : "")
        if recordsTrading { record(.routing(entry)) }
        publish(.routing, book.pointee.pipeline, book.pointee.instrument.id) { .routing(entry) }
    }

    // MARK: Children

    func childEvent(_ event: UnsafePointer<keel_event>, from port: Int) {
        guard let child = body(event, as: keel_ev_child.self) else {
            core.pointee.malformed &+= 1
            return
        }
        let bytes = textBytes(child.pointee.order, in: event)
        let request = event.pointee.request
        guard bytes.count >= MemoryLayout<keel_order>.size, let base = bytes.baseAddress, request.requestKind == .route,
            request.requestOwner < bookCount
        else {
            core.pointee.malformed &+= 1
            return
        }
        let order = base.loadUnaligned(as: keel_order.self)
        let book = books + request.requestOwner
        guard port == book.pointee.routerPort, let index = book.pointee.parents.firstIndex(where: { $0.request == request }) else {
            refuse(book, Refusal(.childNotOfParent, Amount(raw: Int128(order.qty)), .zero), order: OrderID(order.id))
            return
        }
        let parent = book.pointee.parents[index]
        if let refusal = childProblem(order, parent, book) {
            return refuseChild(order, parent, book, refusal)
        }
        book.pointee.parents[index].use(leg: OrderID(order.id).child)
        noteRouting(book, .child, order, KEEL_OK)
        submitChild(order, parent, book)
    }

    /// What makes an order a part of its parent.
    private func childProblem(_ order: keel_order, _ parent: Parent, _ book: UnsafeMutablePointer<Book>) -> Refusal? {
        let id = OrderID(order.id)
        if parent.done || id.parent != parent.id || id.isParent { return Refusal(.childNotOfParent) }
        if order.struct_size < UInt32(MemoryLayout<keel_order>.size) || order.reserved != 0 { return Refusal(.malformed) }
        if order.instrument != parent.order.instrument || order.side != parent.order.side { return Refusal(.childNotOfParent) }
        if order.qty <= 0 { return Refusal(.zeroSize, Amount(raw: Int128(order.qty)), .zero) }
        if order.limit < 0 || order.trigger < 0 { return Refusal(.outOfRange, Amount(raw: Int128(min(order.limit, order.trigger))), .zero) }
        if parent.order.features & KEEL_ORD_REDUCE_ONLY != 0, order.features & KEEL_ORD_REDUCE_ONLY == 0 {
            return Refusal(.childFeatures, Amount(raw: Int128(order.features)), Amount(raw: Int128(parent.order.features)))
        }
        let kinds = KEEL_ORD_MARKET | KEEL_ORD_LIMIT | KEEL_ORD_STOP | KEEL_ORD_STOP_LIMIT | KEEL_ORD_TAKE | KEEL_ORD_TAKE_LIMIT
        if (order.features & kinds).nonzeroBitCount != 1 { return Refusal(.childFeatures, Amount(raw: Int128(order.features)), .zero) }
        if id.child <= 64 ? parent.legs & (1 << UInt64(id.child - 1)) != 0 : id.child <= parent.highestLeg { return Refusal(.repeatedOrder) }
        var live = Int128(parent.filled)
        for index in 0..<book.pointee.orders.count where book.pointee.orders[index].id.parent == parent.id {
            live += Int128(book.pointee.orders[index].leaves)
        }
        if live + Int128(order.qty) > Int128(parent.order.qty) {
            return Refusal(.childBeyondParent, Amount(raw: live + Int128(order.qty)), Amount(raw: Int128(parent.order.qty)))
        }
        return nil
    }

    private func refuseChild(_ order: keel_order, _ parent: Parent, _ book: UnsafeMutablePointer<Book>, _ refusal: Refusal) {
        noteRouting(book, .refusedChild, order, KEEL_E_REJECTED)
        refuse(book, refusal, decision: parent.decision, order: OrderID(order.id))
        tellRouter(book, rejected: OrderID(order.id), side: order.side)
        if parent.role == .exit { retryExit(book) }
    }

    /// The router hears of a refused child as of an order the venue rejected.
    private func tellRouter(_ book: UnsafeMutablePointer<Book>, rejected id: OrderID, side: UInt32) {
        var event = keel_ev_order()
        event.head.size = UInt32(MemoryLayout<keel_ev_order>.size)
        event.head.kind = UInt16(KEEL_EV_ORDER)
        event.head.instrument = book.pointee.instrument.id
        event.head.at_host = now
        event.order = id.c
        event.state = KEEL_ORDER_REJECTED
        event.side = side
        withUnsafePointer(to: &event) { pointer in
            outlet.routerEvent(book.pointee.routerPort, UnsafeRawPointer(pointer).assumingMemoryBound(to: keel_event.self))
        }
    }

    /// Risk again, then the durable intent, then the broker.
    func submitChild(_ order: keel_order, _ parent: Parent, _ book: UnsafeMutablePointer<Book>) {
        let pipeline = pipelines + book.pointee.pipeline
        let context = childContext(book, parent)
        let approved: ApprovedOrder
        switch RiskGate.approve(order, role: parent.role, in: context) {
        case .failure(let refusal): return refuseChild(order, parent, book, refusal)
        case .success(let value): approved = value
        }
        let id = OrderID(order.id)
        var state = OrderState(
            id: id, pipeline: book.pointee.pipeline, instrument: book.pointee.instrument.id, broker: book.pointee.brokerPort, role: parent.role,
            side: order.side, features: order.features, quantity: Fixed(raw: order.qty), limit: Fixed(raw: order.limit),
            trigger: Fixed(raw: order.trigger), why: parent.why, decision: parent.decision, created: now, changed: now)
        state.request = makeRequest(.submit, owner: book.pointee.index)
        book.pointee.orders.append(state)
        noteIntent(book, state, replaces: .none, notAfter: order.not_after)
        if !makeDurable(), parent.role == .entry {
            // Not durable, so it does not leave.
            return dropUnsent(id, book, Refusal(.ledger))
        }
        pipeline.pointee.minute.add(now)
        setSent(id, book)
        let status = outlet.submit(book.pointee.brokerPort, approved, request: state.request)
        if status < 0 { submitRefused(id, book, status) }
    }

    /// The context of a child: its live siblings count, the parent they share does not.
    private func childContext(_ book: UnsafeMutablePointer<Book>, _ parent: Parent) -> RiskContext {
        let side = parent.order.side
        var context = riskContext(book, side: side, seen: parent.seenPrice, excluding: parent.id)
        var live: Int128 = 0
        for index in 0..<book.pointee.orders.count where book.pointee.orders[index].id.parent == parent.id {
            live += Int128(book.pointee.orders[index].leaves)
        }
        guard live > 0 else { return context }
        if parent.role == .exit {
            context.leaving = Amount(raw: context.leaving.raw &+ live)
        } else {
            context.entering = Amount(raw: context.entering.raw &+ (side == KEEL_BUY ? live : -live))
            if let worth = try? book.pointee.instrument.notional(Amount(raw: live), at: Fixed(raw: book.pointee.marked)) {
                context.exposure = Amount(raw: context.exposure.raw &+ worth.raw)
            }
        }
        return context
    }

    private func noteIntent(_ book: UnsafeMutablePointer<Book>, _ order: OrderState, replaces: OrderID, notAfter: Int64) {
        let entry = IntentRecord(
            time: now, pipeline: book.pointee.pipeline, instrument: book.pointee.instrument.id, order: order.id, replaces: replaces,
            broker: book.pointee.brokerPort, role: order.role, side: order.side, features: order.features, quantity: order.quantity,
            limit: order.limit, trigger: order.trigger, notAfter: notAfter, decision: order.decision)
        if recordsTrading {
            record(.intent(entry))
            record(.order(OrderRecord(time: now, order: order, before: .intended, vendorCode: 0)))
        }
        publish(.orderIntended, book.pointee.pipeline, book.pointee.instrument.id) { .intent(entry) }
    }

    private func dropUnsent(_ id: OrderID, _ book: UnsafeMutablePointer<Book>, _ refusal: Refusal) {
        guard let index = book.pointee.orders.firstIndex(where: { $0.id == id }) else { return }
        let before = book.pointee.orders[index].status
        book.pointee.orders[index].conclude(.rejected, at: now)
        noteOrder(book, index, before: before, vendorCode: 0, venueID: "", message: refusal.rule.rawValue)
        refuse(book, refusal, decision: book.pointee.orders[index].decision, order: id)
        tellRouter(book, rejected: id, side: book.pointee.orders[index].side)
        settle(book)
    }

    private func setSent(_ id: OrderID, _ book: UnsafeMutablePointer<Book>) {
        guard let index = book.pointee.orders.firstIndex(where: { $0.id == id }) else { return }
        book.pointee.orders[index].sent = now
        book.pointee.orders[index].status = .pending
        armOrders(book)
    }

    func armOrders(_ book: UnsafeMutablePointer<Book>) {
        core.pointee.timers.armNoLater(
            .orders, book.pointee.index,
            at: max(now &+ 1, now.addingReportingOverflow(pipelines[book.pointee.pipeline].settings.risk.orderTimeout).partialValue))
    }

    /// The broker plugin said at once what became of a submit.
    func submitRefused(_ id: OrderID, _ book: UnsafeMutablePointer<Book>, _ status: keel_status, vendorCode: Int64 = 0, message: String? = nil) {
        guard let index = book.pointee.orders.firstIndex(where: { $0.id == id }), !book.pointee.orders[index].status.isTerminal else { return }
        let before = book.pointee.orders[index].status
        let text = recordsDetail ? message ?? outlet.lastMessage() : ""
        if status == KEEL_E_IN_DOUBT || status == KEEL_E_DUPLICATE {
            doubt(book, index, status: status, text)
            return
        }
        book.pointee.orders[index].conclude(.rejected, at: now)
        noteOrder(book, index, before: before, vendorCode: vendorCode, venueID: "", message: text)
        let order = book.pointee.orders[index]
        refuse(book, Refusal(.brokerRefused, Amount(raw: Int128(status)), .zero), decision: order.decision, order: id, text)
        tellRouter(book, rejected: id, side: order.side)
        settle(book)
        if order.role == .exit { retryExit(book) }
    }

    /// It may live at the venue. Nothing is guessed: the venue is asked.
    func doubt(_ book: UnsafeMutablePointer<Book>, _ index: Int, status: keel_status, _ text: String) {
        let before = book.pointee.orders[index].status
        book.pointee.orders[index].doubt(at: now)
        guard book.pointee.orders[index].status != before else { return }
        noteOrder(book, index, before: before, vendorCode: 0, venueID: "", message: text)
        let id = book.pointee.orders[index].id
        alert(.warning, "in-doubt", book, "order \(id) of \(book.pointee.symbol) is in doubt: nothing is entered until the venue has said")
        wantSync(book.pointee.broker)
    }

    func noteOrder(_ book: UnsafeMutablePointer<Book>, _ index: Int, before: OrderStatus, vendorCode: Int64, venueID: String, message: String) {
        guard recordsTrading || listens(.orderChanged) else { return }
        let entry = OrderRecord(
            time: now, order: book.pointee.orders[index], before: before, vendorCode: vendorCode, venueID: venueID, message: message)
        if recordsTrading { record(.order(entry)) }
        publish(.orderChanged, book.pointee.pipeline, book.pointee.instrument.id) { .order(entry) }
    }

    // MARK: Cancel

    /// Asks the broker to cancel, once; `again` when the answer to that never came.
    func cancel(_ book: UnsafeMutablePointer<Book>, _ index: Int, again: Bool = false) {
        let order = book.pointee.orders[index]
        guard !order.status.isTerminal, again || !order.cancelRequested else { return }
        book.pointee.orders[index].changed = now
        book.pointee.orders[index].cancelRequested = true
        let request = makeRequest(.cancel, owner: book.pointee.index)
        book.pointee.cancels.append((request, order.id))
        armOrders(book)
        if recordsTrading { record(.order(OrderRecord(time: now, order: book.pointee.orders[index], before: order.status, vendorCode: 0))) }
        let status = outlet.cancel(book.pointee.brokerPort, order.id, request: request)
        if status < 0 { cancelFailed(book, request, status) }
    }

    /// A cancel that failed says nothing certain about the order: the venue is asked.
    func cancelFailed(_ book: UnsafeMutablePointer<Book>, _ request: UInt64, _ status: keel_status) {
        guard let place = book.pointee.cancels.firstIndex(where: { $0.request == request }) else { return }
        let id = book.pointee.cancels[place].order
        book.pointee.cancels.remove(at: place)
        guard let index = book.pointee.orders.firstIndex(where: { $0.id == id }), !book.pointee.orders[index].status.isTerminal else { return }
        // Still wanted: the order timer asks again.
        armOrders(book)
        if status == KEEL_E_NOT_FOUND { doubt(book, index, status: status, "cancel: not found at the venue") } else { wantSync(book.pointee.broker) }
    }

    /// Open entries of a pipeline go when a breaker opens.
    func cancelEntries(_ pipeline: UnsafeMutablePointer<Pipeline>) {
        for index in pipeline.pointee.firstBook..<(pipeline.pointee.firstBook + pipeline.pointee.bookCount) {
            cancelAll(books + index) { $0 == .entry }
        }
    }

    /// Routers first, so that they send nothing more, then what is open.
    func cancelAll(_ book: UnsafeMutablePointer<Book>, where wanted: (OrderRole) -> Bool) {
        for index in 0..<book.pointee.parents.count where wanted(book.pointee.parents[index].role) && !book.pointee.parents[index].done {
            book.pointee.parents[index].done = true
            outlet.cancelRoute(book.pointee.routerPort, request: book.pointee.parents[index].request)
        }
        for index in 0..<book.pointee.orders.count where wanted(book.pointee.orders[index].role) { cancel(book, index) }
        dropDoneParents(book)
    }

    func childCancelEvent(_ event: UnsafePointer<keel_event>, from port: Int) {
        guard let child = body(event, as: keel_ev_child_cancel.self) else {
            core.pointee.malformed &+= 1
            return
        }
        let id = OrderID(child.pointee.order)
        guard let (book, index) = find(id), index >= 0, book.pointee.routerPort == port else { return }
        if recordsTrading, listens(.routing) || recordsDetail {
            var order = keel_order()
            order.id = id.c
            noteRouting(book, .cancelChild, order, KEEL_OK)
        }
        cancel(book, index)
    }

    // MARK: Replace

    /// An operator's change of a working order: in one step where the venue can, else cancelled first and sent anew when it is gone.
    func replace(_ id: OrderID, quantity: Fixed, limit: Fixed) {
        guard let (book, index) = find(id), index >= 0, !book.pointee.orders[index].status.isTerminal else {
            if let (book, _) = find(id) { refuse(book, Refusal(.unknownOrder), order: id) }
            return
        }
        let old = book.pointee.orders[index]
        if brokers[book.pointee.broker].canReplace { return sendReplacement(of: old, quantity: quantity, limit: limit, inOneStep: true, book) }
        guard !book.pointee.replacements.contains(where: { $0.order == id }) else { return }
        book.pointee.replacements.append((id, quantity, limit))
        cancel(book, index)
    }

    /// The old order has ended: what it left open is sent with its new price, if it ended because it was cancelled.
    func replaceEnded(_ old: OrderState, _ book: UnsafeMutablePointer<Book>) {
        guard let place = book.pointee.replacements.firstIndex(where: { $0.order == old.id }) else { return }
        let wanted = book.pointee.replacements.remove(at: place)
        guard old.status == .cancelled, let left = try? wanted.quantity.subtracting(old.filled), left.isPositive else { return }
        sendReplacement(of: old, quantity: left, limit: wanted.limit, inOneStep: false, book)
    }

    /// A child of the same parent under a leg of its own; it passes risk like any order.
    private func sendReplacement(of old: OrderState, quantity: Fixed, limit: Fixed, inOneStep: Bool, _ book: UnsafeMutablePointer<Book>) {
        guard let leg = nextLeg(of: old.id.parent, in: book) else { return refuse(book, Refusal(.outOfRange), order: old.id) }
        var order = keel_order()
        order.struct_size = UInt32(MemoryLayout<keel_order>.size)
        order.side = old.side
        order.features = old.features
        order.id = old.id.child(leg).c
        order.instrument = old.instrument
        order.qty = quantity.raw
        order.limit = limit.raw
        order.trigger = old.trigger.raw
        let context = riskContext(book, side: old.side, seen: .zero, excluding: old.id.parent)
        let approved: ApprovedOrder
        switch RiskGate.approve(order, role: old.role, in: context) {
        case .failure(let refusal): return refuse(book, refusal, decision: old.decision, order: OrderID(order.id))
        case .success(let value): approved = value
        }
        var state = OrderState(
            id: OrderID(order.id), pipeline: old.pipeline, instrument: old.instrument, broker: old.broker, role: old.role, side: old.side,
            features: old.features, quantity: quantity, limit: limit, trigger: old.trigger, why: old.why, decision: old.decision, created: now,
            changed: now)
        state.request = makeRequest(inOneStep ? .replace : .submit, owner: book.pointee.index)
        book.pointee.orders.append(state)
        if let parent = book.pointee.parents.firstIndex(where: { $0.id == old.id.parent }) { book.pointee.parents[parent].use(leg: leg) }
        noteIntent(book, state, replaces: old.id, notAfter: 0)
        guard makeDurable() || old.role == .exit else { return dropUnsent(state.id, book, Refusal(.ledger)) }
        setSent(state.id, book)
        pipelines[book.pointee.pipeline].minute.add(now)
        let status =
            inOneStep
            ? outlet.replace(book.pointee.brokerPort, old.id, with: approved, request: state.request)
            : outlet.submit(book.pointee.brokerPort, approved, request: state.request)
        if status < 0 { submitRefused(state.id, book, status) }
    }

    /// The lowest leg above all that the children of a parent have used.
    private func nextLeg(of parent: OrderID, in book: UnsafeMutablePointer<Book>) -> UInt16? {
        var highest: UInt16 = 0
        for known in book.pointee.parents where known.id == parent { highest = max(highest, known.highestLeg) }
        for order in book.pointee.orders where order.id.parent == parent { highest = max(highest, order.id.child) }
        for order in book.pointee.closedOrders.elements where order.id.parent == parent { highest = max(highest, order.id.child) }
        return highest == .max ? nil : highest + 1
    }
}
