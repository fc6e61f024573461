import PluginAPI
import PluginKit

// What lets an event (or the time) through to the decider, and what stops it on the way.
extension Engine {
    /// A layer of the gate opened. `bits` say which (KEEL_GATE_*).
    @inline(never)
    func pass(_ book: UnsafeMutablePointer<Book>, _ bits: UInt32, onEvent: Bool) {
        guard core.pointee.started else { return }
        if book.pointee.asked.request != 0 {
            book.pointee.counters.busy &+= 1
            // A spike that is over when the answer comes is no reason to ask again; the others are.
            book.pointee.pending |= bits & ~(KEEL_GATE_PRICE_Z | KEEL_GATE_VOLUME_Z)
            return
        }
        if core.pointee.ledgerFailed { probeLedger() }
        let pipeline = pipelines + book.pointee.pipeline
        let flat = book.isFlat
        if core.pointee.gateClosed || core.pointee.stopping { return blocked(book, Refusal(.gateClosed)) }
        // With a position open the decider may want to leave it, whatever holds for entries.
        if flat {
            let context = riskContext(book, side: KEEL_BUY, seen: .zero, excluding: .none, sizes: false)
            if let refusal = RiskGate.conditionProblem(in: context) { return blocked(book, refusal) }
        } else if awaitsVenue(book) {
            return blocked(book, Refusal(.notSynced))
        }
        if refusesStale(book) { return blocked(book, Refusal(.staleMarket, .span, now - book.marketAt)) }
        book.pointee.lastBlocked = nil
        if let span = pipeline.pointee.settings.chain.reuse, bits & ~HeldAnswer.routine == 0,
            book.pointee.held.stands(against: situation(book), for: span, move: pipeline.pointee.settings.chain.reuseMove)
        {
            book.pointee.counters.reused &+= 1
            return rearm(book, nextCheck: book.pointee.held.nextCheck)
        }
        book.pointee.counters.count(bits)
        if onEvent { book.pointee.counters.passed &+= 1 } else { book.pointee.counters.timerPasses &+= 1 }
        if listens(.gate) { publish(.gate, book.pointee.pipeline, book.pointee.instrument.id) { .gate(passed: bits) } }
        var ask = Ask()
        ask.gate = bits
        ask.purpose = !flat && bits == KEEL_GATE_REVIEW ? KEEL_PURPOSE_REVIEW : KEEL_PURPOSE_ENTRY
        pipeline.pointee.state.decisionSequence &+= 1
        setDirty(pipeline)
        ask.sequence = pipeline.pointee.state.decisionSequence
        book.pointee.asked = ask
        book.pointee.pending = 0
        askNext(book, why: .none, status: KEEL_OK)
    }

    /// After a start or a reconnect the venue is about to say what happened meanwhile: a position that may have changed is decided on
    /// after that. A venue that does not answer is not waited for, and protective exits never wait.
    private func awaitsVenue(_ book: UnsafeMutablePointer<Book>) -> Bool {
        let broker = brokers + book.pointee.broker
        return !broker.pointee.synced && broker.pointee.request != 0 && broker.pointee.attempts == 0
    }

    private func situation(_ book: UnsafeMutablePointer<Book>) -> HeldAnswer {
        var now = HeldAnswer()
        now.at = self.now
        now.price = Fixed(raw: book.pointee.last)
        now.quantity = book.pointee.position.quantity
        now.regime = book.pointee.regimes.regime
        now.macro = book.pointee.regimes.macro
        let funding = book.pointee.derivatives.value(.funding)
        now.funding = funding.isNaN ? nil : funding
        now.news = book.pointee.newsSeen
        return now
    }

    /// The primary said HOLD, or something else: only the first may stand for what it is not asked again.
    func keepHold(_ book: UnsafeMutablePointer<Book>, _ place: Int, nextCheck: Int64?) {
        guard pipelines[book.pointee.pipeline].settings.chain.reuse != nil else { return }
        guard place == 0, let nextCheck else {
            book.pointee.held = HeldAnswer()
            return
        }
        book.pointee.held = situation(book)
        book.pointee.held.nextCheck = nextCheck
    }

    /// Nobody decides on a market that has gone silent, whatever the position.
    private func refusesStale(_ book: UnsafeMutablePointer<Book>) -> Bool {
        guard let limit = freshness(book) else { return false }
        return book.marketAt == 0 || now - book.marketAt > limit
    }

    /// How old the market may be: bars arrive once a length, so that is added.
    func freshness(_ book: UnsafeMutablePointer<Book>) -> Int64? {
        guard let limit = pipelines[book.pointee.pipeline].settings.risk.freshness else { return nil }
        let slow = book.pointee.tradeAt == 0 && book.pointee.quoteAt == 0 ? book.pointee.barLength : 0
        return limit.addingReportingOverflow(slow).partialValue
    }

    /// The gate opened for nothing. Counted always, recorded when the reason is a new one.
    private func blocked(_ book: UnsafeMutablePointer<Book>, _ refusal: Refusal) {
        if refusal.rule == .staleMarket { book.pointee.counters.stale &+= 1 } else { book.pointee.counters.blocked &+= 1 }
        if book.pointee.lastBlocked != refusal.rule {
            book.pointee.lastBlocked = refusal.rule
            refuse(book, refusal)
        }
        rearm(book, nextCheck: 0)
        // What was due and fell into a silence is made good soon after it, not at the next regular time.
        if refusal.rule == .staleMarket || refusal.rule == .linkDown || refusal.rule == .notSynced { armWatchdogSoon(book) }
    }

    /// The first look comes after the longest interval: a start is no reason to ask.
    func armFirstTimers(_ book: UnsafeMutablePointer<Book>) {
        let gate = pipelines[book.pointee.pipeline].settings.gate
        if gate.timer, core.pointee.timers.deadline(.gate, book.pointee.index) == nil {
            arm(.gate, book.pointee.index, at: now &+ gate.maximumInterval)
        }
        armWatchdog(book)
        if let at = core.pointee.timers.deadline(.gate, book.pointee.index), at > now &+ gate.maximumInterval {
            // Restored under shorter intervals than before.
            arm(.gate, book.pointee.index, at: now &+ gate.maximumInterval)
        }
        // A summary has its figures at the end; records have them every hour.
        if recordsTrading { arm(.report, book.pointee.index, at: now &+ Span.hour) }
        if !book.isFlat { armPosition(book) }
        if !book.pointee.orders.isEmpty { arm(.orders, book.pointee.index, at: now &+ pipelines[book.pointee.pipeline].settings.risk.orderTimeout) }
    }

    func arm(_ kind: TimerQueue.Kind, _ owner: Int, at time: Int64) {
        core.pointee.timers.arm(kind, owner, at: max(time, now &+ 1))
    }

    /// After an answer (or none): when to look next.
    func rearm(_ book: UnsafeMutablePointer<Book>, nextCheck: Int64) {
        let gate = pipelines[book.pointee.pipeline].settings.gate
        if gate.timer {
            let wanted = nextCheck > 0 ? nextCheck : gate.maximumInterval
            arm(.gate, book.pointee.index, at: now &+ min(max(wanted, gate.minimumInterval), gate.maximumInterval))
        }
        armWatchdog(book)
        if core.pointee.started, recordsState { setDirty(book) }
    }

    /// The watchdog's time runs from the moment a decision was due at the latest, so that it never fires on a healthy market.
    private func armWatchdog(_ book: UnsafeMutablePointer<Book>) {
        let gate = pipelines[book.pointee.pipeline].settings.gate
        guard let limit = gate.watchdog else { return }
        arm(.watchdog, book.pointee.index, at: now &+ gate.maximumInterval &+ limit)
    }

    /// A pass that was not answered: the watchdog sees to it that there is another.
    func armWatchdogSoon(_ book: UnsafeMutablePointer<Book>) {
        guard let limit = pipelines[book.pointee.pipeline].settings.gate.watchdog else { return }
        core.pointee.timers.armNoLater(.watchdog, book.pointee.index, at: now &+ limit)
    }

    /// Where bars are made from ticks they also close when no tick comes, after a grace for late ones.
    @inline(never)
    func armBars(_ book: UnsafeMutablePointer<Book>) {
        var next = book.pointee.candle.end
        for index in 0..<book.pointee.seriesCount where book.pointee.series[index].end != 0 { next = min(next, book.pointee.series[index].end) }
        if next != .max, next > 0 { core.pointee.timers.armNoLater(.bars, book.pointee.index, at: max(next &+ 2 * Span.second, now &+ 1)) }
    }

    func closeBars(_ book: UnsafeMutablePointer<Book>) {
        for index in 0..<book.pointee.seriesCount where book.pointee.series[index].closeIfOver(at: now) { barClosed(book, index) }
        let bits = book.pointee.candle.end != .max && book.pointee.candle.tick(at: now) ? KEEL_GATE_CANDLE : 0
        // Another only once ticks go on: a silent market closes no more bars.
        if bits != 0 { pass(book, bits, onEvent: false) }
    }

    // MARK: Timers

    func fire(_ kind: TimerQueue.Kind, _ owner: Int) {
        switch kind {
        case .gate: gateTimer(books + owner)
        case .watchdog: watchdogTimer(books + owner)
        case .safety: safetyTimer(books + owner)
        case .review: reviewTimer(books + owner)
        case .ask: askTimeout(books + owner)
        case .shadow: books[owner].shadow = Ask()
        case .orders: ordersTimer(books + owner)
        case .bars: closeBars(books + owner)
        case .exit: exitTimer(books + owner)
        case .broker: brokerTimer(owner)
        case .day: rollDays()
        case .report: reportTimer(books + owner)
        }
    }

    private func gateTimer(_ book: UnsafeMutablePointer<Book>) {
        guard pipelines[book.pointee.pipeline].settings.gate.timer else { return }
        // In case nobody answers: the answer sets it anew.
        arm(.gate, book.pointee.index, at: now &+ pipelines[book.pointee.pipeline].settings.gate.maximumInterval)
        pass(book, KEEL_GATE_TIMER, onEvent: false)
    }

    private func watchdogTimer(_ book: UnsafeMutablePointer<Book>) {
        armWatchdog(book)
        pass(book, KEEL_GATE_WATCHDOG, onEvent: false)
    }

    private func reportTimer(_ book: UnsafeMutablePointer<Book>) {
        arm(.report, book.pointee.index, at: now &+ Span.hour)
        recordGate(book)
    }

    func recordGate(_ book: UnsafeMutablePointer<Book>) {
        guard recordsSummary else { return }
        record(
            .gate(
                GateRecord(
                    time: now, pipeline: book.pointee.pipeline, instrument: book.pointee.instrument.id, counters: book.pointee.counters)))
        setDirty(book)
    }
}
