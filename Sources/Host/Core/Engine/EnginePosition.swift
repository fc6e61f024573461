import PluginAPI
import PluginKit

// The safety layer over open positions: exits, each exactly once, whoever asks first.
extension Engine {
    /// A market range, seen while a position is open.
    func watchPosition(_ book: UnsafeMutablePointer<Book>, low: Fixed, high: Fixed, last: Fixed) {
        guard book.pointee.position.exiting == nil else { return }
        book.pointee.watchedAt = now
        // The stop comes first: within one range nobody knows what happened before what.
        if let crossed = book.pointee.position.crossed(book.pointee.rules, low: low, high: high) {
            _ = leave(book, crossed.why, level: crossed.level, sequence: nil)
            return
        }
        if book.pointee.position.see(low: low, high: high) {
            let peak = book.pointee.position.peak.raw
            // Written when it means something; the rest follows with the next look.
            if (peak &- book.pointee.savedPeak).magnitude > peak.magnitude / 2000 { setDirty(book) }
        }
        if book.pointee.hasStages { takeStages(book, price: last) }
    }

    private func takeStages(_ book: UnsafeMutablePointer<Book>, price: Fixed) {
        let stages = pipelines[book.pointee.pipeline].settings.position.stages
        guard unfilled(book, .exit, excluding: .none) == 0,
            let reached = book.pointee.position.reachedStages(stages, price: price, instrument: book.pointee.instrument)
        else { return }
        let rest = (try? book.pointee.position.quantity.magnitude().subtracting(Amount(reached.quantity))) ?? .zero
        if book.pointee.instrument.isDust(rest) {
            book.pointee.position.stagesDone = reached.mask
            _ = leave(book, .stage, level: price, sequence: nil)
            return
        }
        let side = book.pointee.position.isLong ? KEEL_SELL : KEEL_BUY
        let context = riskContext(book, side: side, seen: .zero, excluding: .none)
        let sequence = nextSequence(book)
        let result = send(
            book, .exit, side: side, quantity: reached.quantity, leg: .stage, why: .stage, sequence: sequence, seen: .zero, notAfter: 0, context)
        switch result {
        case .success:
            book.pointee.position.stagesDone = reached.mask
            book.pointee.position.stagedQuantity =
                (try? book.pointee.position.stagedQuantity.adding(Amount(reached.quantity))) ?? book.pointee.position.stagedQuantity
            setDirty(book)
        case .failure(let refusal): refuse(book, refusal, decision: sequence)
        }
    }

    func nextSequence(_ book: UnsafeMutablePointer<Book>) -> UInt64 {
        let pipeline = pipelines + book.pointee.pipeline
        pipeline.pointee.state.decisionSequence &+= 1
        setDirty(pipeline)
        return pipeline.pointee.state.decisionSequence
    }

    /// Closes the whole position. The first who asks does it; everyone after is told that it is under way.
    func leave(_ book: UnsafeMutablePointer<Book>, _ why: ExitReason, level: Fixed, sequence: UInt64?) -> Result<OrderID, Refusal> {
        guard !book.isFlat else { return .failure(Refusal(.noPosition)) }
        guard book.pointee.position.exiting == nil else { return .failure(Refusal(.alreadyExiting)) }
        book.pointee.position.exiting = why
        book.pointee.position.exitLevel = level
        book.pointee.position.exitOrder = .none
        book.pointee.exitAttempts = 0
        setDirty(book)
        // What is under way in this instrument stops first; what it still fills is closed as well.
        cancelAll(book) { $0 == .entry }
        for index in 0..<book.pointee.parents.count where book.pointee.parents[index].role == .exit && !book.pointee.parents[index].done {
            book.pointee.parents[index].done = true
            outlet.cancelRoute(book.pointee.routerPort, request: book.pointee.parents[index].request)
        }
        for index in 0..<book.pointee.orders.count
        where book.pointee.orders[index].role == .exit && book.pointee.orders[index].features & KEEL_ORD_MARKET == 0 {
            cancel(book, index)
        }
        dropDoneParents(book)
        let result = sendExit(book, sequence: sequence ?? nextSequence(book))
        setGuards(book)
        return result
    }

    /// An order for what nothing closes yet. With nothing left to send, what is live must come to its end first.
    private func sendExit(_ book: UnsafeMutablePointer<Book>, sequence: UInt64) -> Result<OrderID, Refusal> {
        guard let why = book.pointee.position.exiting, !book.isFlat else { return .failure(Refusal(.noPosition)) }
        let closing = Amount(raw: unfilled(book, .exit, excluding: .none))
        guard let open = try? book.pointee.position.quantity.adding(closing), !book.pointee.instrument.isDust(open),
            open.isPositive == book.pointee.position.isLong,
            let quantity = try? Sizing.exit(of: open, fraction: .one, quantity: .zero, instrument: book.pointee.instrument), quantity.isPositive
        else { return .success(book.pointee.position.exitOrder) }
        let side = book.pointee.position.isLong ? KEEL_SELL : KEEL_BUY
        let context = riskContext(book, side: side, seen: .zero, excluding: .none)
        let result = send(
            book, .exit, side: side, quantity: quantity, leg: why == .flatten ? .flatten : .exit, why: why, sequence: sequence, seen: .zero,
            notAfter: 0, context)
        switch result {
        case .success(let order):
            book.pointee.position.exitOrder = order
            setDirty(book)
        case .failure(let refusal):
            refuse(book, refusal, decision: sequence)
            retryExit(book)
        }
        return result
    }

    /// An exit that came to nothing is tried again, a little later each time, and people are told.
    func retryExit(_ book: UnsafeMutablePointer<Book>) {
        guard book.pointee.position.exiting != nil, core.pointee.timers.deadline(.exit, book.pointee.index) == nil else { return }
        let wait = min((250 * Span.millisecond) << Int64(min(book.pointee.exitAttempts, 7)), 30 * Span.second)
        book.pointee.exitAttempts += 1
        if book.pointee.exitAttempts == 3 {
            alert(.critical, "exit", book, "the exit of \(book.pointee.symbol) did not get through three times; it is tried on")
        }
        arm(.exit, book.pointee.index, at: now &+ wait)
    }

    func exitTimer(_ book: UnsafeMutablePointer<Book>) {
        guard book.pointee.position.exiting != nil, !book.isFlat else { return }
        if unfilled(book, .exit, excluding: .none) == 0 {
            _ = sendExit(book, sequence: nextSequence(book))
        } else {
            // One is under way: what becomes of it decides, and this is only in case nothing ever does.
            arm(.exit, book.pointee.index, at: now &+ 5 * Span.second)
        }
    }

    /// Something of an exit came to its end: if all of it did and the position is still there, another order follows.
    func continueExit(_ book: UnsafeMutablePointer<Book>) {
        if book.isFlat { return }
        if unfilled(book, .exit, excluding: .none) == 0 { retryExit(book) }
    }

    /// How long a router may leave an exit without an order at the venue. Longer, and a stop that fired protects nothing.
    static var exitIdle: Int64 { Span.minute }

    /// A router that let its children end and orders nothing more loses the exit; what is open is sent anew.
    private func takeOverIdleRouters(_ book: UnsafeMutablePointer<Book>) {
        let works = book.pointee.orders.contains { $0.role == .exit && $0.leaves > 0 }
        guard !works, book.pointee.parents.contains(where: { $0.role == .exit && !$0.done }) else {
            book.pointee.exitIdleSince = 0
            return
        }
        if book.pointee.exitIdleSince == 0 { book.pointee.exitIdleSince = now }
        guard now - book.pointee.exitIdleSince >= Self.exitIdle else { return }
        book.pointee.exitIdleSince = 0
        alert(.warning, "router", book, "\(plan.ports[book.pointee.routerPort].name) has let an exit rest without an order: what is open is sent anew")
        for index in 0..<book.pointee.parents.count where book.pointee.parents[index].role == .exit && !book.pointee.parents[index].done {
            book.pointee.parents[index].done = true
            outlet.cancelRoute(book.pointee.routerPort, request: book.pointee.parents[index].request)
        }
        dropDoneParents(book)
    }

    // MARK: Life of a position

    func armPosition(_ book: UnsafeMutablePointer<Book>) {
        arm(.safety, book.pointee.index, at: now &+ safetyInterval(book))
        if let review = pipelines[book.pointee.pipeline].settings.position.review, core.pointee.timers.deadline(.review, book.pointee.index) == nil {
            arm(.review, book.pointee.index, at: now &+ max(review, 1))
        }
        if book.pointee.position.exiting != nil { retryExit(book) }
    }

    /// Between two bars nothing new is known, so a book that lives on bars is not looked at more often than they come.
    private func safetyInterval(_ book: UnsafeMutablePointer<Book>) -> Int64 {
        let slow = book.pointee.tradeAt == 0 && book.pointee.quoteAt == 0 ? book.pointee.barLength : 0
        return max(pipelines[book.pointee.pipeline].settings.position.interval, slow, 1)
    }

    /// After a fill: a position that opened, ended or changed sides.
    func positionChanged(
        _ book: UnsafeMutablePointer<Book>, before: PositionState, wasFlat: Bool, _ effect: FillEffect, price: Fixed, order: OrderID, why: ExitReason?
    ) {
        let isFlat = book.isFlat
        let turned = !wasFlat && !isFlat && before.isLong != book.pointee.position.isLong
        if !wasFlat, isFlat || turned { concludePosition(book, before: before, effect, price: price, order: order, asked: why, turned: turned) }
        if !isFlat, wasFlat || turned {
            book.pointee.lastEntry = now
            book.pointee.opening.regime = book.pointee.regimes.regime
            book.pointee.opening.macro = book.pointee.regimes.macro
            book.pointee.opening.volatility = book.pointee.regimes.volatility
            let period = pipelines[book.pointee.pipeline].settings.position.atrPeriod
            _ = book.pointee.position.tighten(book.pointee.rules, atr: book.pointee.atr.value(period: period))
            book.pointee.savedPeak = 0
            core.pointee.timers.disarm(.review, book.pointee.index)
            armPosition(book)
        } else if !isFlat, !wasFlat {
            if effect.opened.isPositive { book.pointee.lastEntry = now }
            if why == .stage { noteExit(book, before: before, effect, price: price, order: order, whole: false, why: .stage) }
        }
        setGuards(book)
    }

    private func concludePosition(
        _ book: UnsafeMutablePointer<Book>, before: PositionState, _ effect: FillEffect, price: Fixed, order: OrderID, asked: ExitReason?, turned: Bool
    ) {
        let pipeline = pipelines + book.pointee.pipeline
        let why = before.exiting ?? asked ?? .decider
        let profit = turned ? (try? before.profit.adding(effect.realised)) ?? before.profit : effect.position.profit
        noteExit(book, before: before, effect, price: price, order: order, whole: true, why: why, profit: profit)
        book.pointee.lastExit = now
        book.pointee.exitAttempts = 0
        core.pointee.timers.disarm(.safety, book.pointee.index)
        core.pointee.timers.disarm(.review, book.pointee.index)
        core.pointee.timers.disarm(.exit, book.pointee.index)
        if !turned {
            // What is left is dust; it keeps its cost, everything else of the position is over.
            var rest = PositionState()
            rest.quantity = book.pointee.position.quantity
            rest.cost = book.pointee.position.cost
            rest.entry = book.pointee.position.entry
            rest.peak = book.pointee.position.entry
            rest.number = book.pointee.position.number
            book.pointee.position = rest
            if rest.quantity.isZero, !rest.cost.isZero { book.pointee.position.cost = .zero }
        }
        countTrade(book, pipeline, before: before, profit: profit, why: why)
        setDirty(book)
    }

    /// History that later sizes, breakers and the learner go by.
    private func countTrade(
        _ book: UnsafeMutablePointer<Book>, _ pipeline: UnsafeMutablePointer<Pipeline>, before: PositionState, profit: Amount, why: ExitReason
    ) {
        let ratio = (try? profit.divided(by: before.committed).fixed()) ?? .zero
        pipeline.pointee.state.kelly.add(ratio)
        let risk = pipeline.pointee.settings.risk
        if profit.isNegative {
            pipeline.pointee.state.losingStreak += 1
            if let most = risk.losingStreak, pipeline.pointee.state.losingStreak >= most {
                let streak = pipeline.pointee.state.losingStreak
                pipeline.pointee.state.streakUntil = now.addingReportingOverflow(risk.streakPause).partialValue
                pipeline.pointee.state.losingStreak = 0
                open(
                    .losingStreak, pipeline, until: pipeline.pointee.state.streakUntil, value: Amount(raw: Int128(streak)),
                    limit: Amount(raw: Int128(most)), unit: .count)
            }
        } else {
            pipeline.pointee.state.losingStreak = 0
        }
        setDirty(pipeline)
        let action = before.isLong ? KEEL_ACT_BUY : KEEL_ACT_SELL
        for index in book.pointee.past.indices where book.pointee.past[index].outcome == nil && book.pointee.past[index].action == action {
            book.pointee.past[index].outcome = ratio.double
        }
        if recordsDetail {
            record(
                .outcome(
                    OutcomeRecord(
                        time: now, pipeline: book.pointee.pipeline, instrument: book.pointee.instrument.id, position: before.number,
                        opening: book.pointee.opening, signals: book.pointee.openSignals, side: before.isLong ? 1 : -1, opened: before.opened,
                        why: why, profit: profit, ratio: ratio)))
        }
        if book.pointee.learns, let learner {
            learner.tradeClosed(
                ClosedTrade(
                    book: book.pointee.index, opened: before.opened, closed: now, profit: ratio, opening: book.pointee.opening,
                    signals: book.pointee.openSignals, why: why, side: before.isLong ? 1 : -1))
        }
        if !book.pointee.openSignals.isEmpty { book.pointee.openSignals = [] }
        book.pointee.opening = Opening()
    }

    private func noteExit(
        _ book: UnsafeMutablePointer<Book>, before: PositionState, _ effect: FillEffect, price: Fixed, order: OrderID, whole: Bool,
        why: ExitReason, profit: Amount? = nil
    ) {
        guard recordsSummary || listens(.positionExit) else { return }
        let entry = ExitRecord(
            time: now, pipeline: book.pointee.pipeline, instrument: book.pointee.instrument.id, position: before.number, why: why, whole: whole,
            order: order, quantity: whole ? before.initialQuantity : effect.closed, entry: before.entry, price: price,
            profit: profit ?? effect.realised, opened: before.opened, level: before.exitLevel)
        if recordsSummary { record(.exit(entry)) }
        if whole { publish(.positionExit, book.pointee.pipeline, book.pointee.instrument.id) { .exit(entry) } }
    }

    // MARK: Looks in between

    func safetyTimer(_ book: UnsafeMutablePointer<Book>) {
        guard !book.isFlat else { return }
        arm(.safety, book.pointee.index, at: now &+ safetyInterval(book))
        if book.pointee.savedPeak != book.pointee.position.peak.raw { setDirty(book) }
        if book.pointee.position.exiting != nil {
            takeOverIdleRouters(book)
            return continueExit(book)
        }
        // On a live market every price was held against the levels when it came; this is for the silence in between.
        let price = Fixed(raw: book.pointee.last)
        if price.isPositive, price.raw <= book.pointee.guardLow || price.raw >= book.pointee.guardHigh {
            watchPosition(book, low: price, high: price, last: price)
            setGuards(book)
        }
        if let limit = freshness(book), now - book.marketAt > limit {
            if !book.pointee.staleAlerted {
                book.pointee.staleAlerted = true
                alert(.critical, "stale", book, "no market data of \(book.pointee.symbol) while a position is open: its stops are blind")
            }
        } else {
            book.pointee.staleAlerted = false
        }
    }

    func reviewTimer(_ book: UnsafeMutablePointer<Book>) {
        guard !book.isFlat, let review = pipelines[book.pointee.pipeline].settings.position.review else { return }
        arm(.review, book.pointee.index, at: now &+ max(review, 1))
        setDirty(book)
        if book.pointee.position.exiting == nil { pass(book, KEEL_GATE_REVIEW, onEvent: false) }
    }

    /// No decider answered: five signals decide whether the position stays.
    func reviewByScore(_ book: UnsafeMutablePointer<Book>, sequence: UInt64, gate: UInt32) {
        guard !book.isFlat, book.pointee.position.exiting == nil, let score = reviewScore(book).value else { return }
        let limit = pipelines[book.pointee.pipeline].settings.position.exitScore
        let leaves = score < limit
        var order = OrderID.none
        var outcome = DecisionRecord.Outcome.hold
        if leaves {
            switch leave(book, .score, level: .zero, sequence: sequence) {
            case .success(let id):
                order = id
                outcome = .ordered
            case .failure(let refusal):
                outcome = .refused
                refuse(book, refusal, decision: sequence)
            }
        }
        guard recordsSummary else { return }
        var asked = Ask()
        asked.sequence = sequence
        asked.at = now
        asked.gate = gate
        asked.purpose = KEEL_PURPOSE_REVIEW
        var entry = Self.hold(asked, book, -1, at: now)
        entry.action = leaves ? (book.pointee.position.isLong ? KEEL_ACT_SELL : KEEL_ACT_BUY) : KEEL_ACT_HOLD
        entry.fraction = leaves ? .one : .zero
        entry.outcome = outcome
        entry.order = order
        entry.reason = recordsDetail ? "five-signal score \(score), exit below \(limit)" : ""
        recordsTrading ? record(.decision(entry)) : tally(entry)
    }

    func reviewScore(_ book: UnsafeMutablePointer<Book>) -> ReviewScore {
        let settings = book.pointee.rules
        let position = book.pointee.position
        let price = Fixed(raw: book.pointee.last)
        var closes: [Double] = []
        var range = Atr()
        if book.pointee.seriesCount > 0 {
            for age in (0...19).reversed() { if let bar = book.pointee.series[0][back: age] {
                range.add(high: Fixed(raw: bar.high).double, low: Fixed(raw: bar.low).double, close: Fixed(raw: bar.close).double, period: 14)
            } }
            for age in 0..<20 { if let bar = book.pointee.series[0][back: age] { closes.append(Fixed(raw: bar.close).double) } }
        }
        let gain = position.gain(at: price)?.double
        let retreat = position.peak.isPositive ? (position.isLong ? 1 : -1) * (position.peak.double - price.double) / position.peak.double : nil
        let flow = book.pointee.taken > 0 ? book.pointee.delta / book.pointee.taken : nil
        return ReviewScore.from(
            closes: closes, atr: range.value(period: 14), direction: position.isLong ? 1 : -1, gain: gain, stop: settings.stopLoss?.double,
            retreat: retreat, trailing: settings.trailing?.double, flow: flow)
    }
}
