import PluginAPI
import PluginKit

// The decider chain: who is asked, who takes over, and what becomes of an answer.
extension Engine {
    /// Asks the first decider of the chain that can be asked and was not yet.
    func askNext(_ book: UnsafeMutablePointer<Book>, why: TakeoverRecord.Why, status: keel_status) {
        let pipeline = pipelines + book.pointee.pipeline
        var why = why
        var status = status
        for place in 0..<pipeline.pointee.chain.count where book.pointee.asked.tried & (1 << UInt64(place)) == 0 {
            book.pointee.asked.tried |= 1 << UInt64(place)
            if let reason = unusable(pipeline, place) {
                if why == .none { why = reason }
                continue
            }
            let asked = ask(book, place)
            if asked >= 0 {
                if place == 0, pipeline.pointee.serving > 0, why == .none { why = .recovered }
                serve(pipeline, book, place, why, status)
                if place == 0, pipeline.pointee.settings.chain.shadow { askShadow(book, 1) }
                return
            }
            why = .refused
            status = asked
            failed(pipeline, place, .refused, status: asked)
        }
        nobodyLeft(book, pipeline, why, status)
    }

    /// Why a decider cannot be asked now; nil: it can. After a breaker's pause the question is its trial.
    private func unusable(_ pipeline: UnsafeMutablePointer<Pipeline>, _ place: Int) -> TakeoverRecord.Why? {
        let openUntil = pipeline.pointee.state.deciders[place].openUntil
        if openUntil != 0 {
            if now < openUntil || pipeline.pointee.trials & (1 << UInt64(place)) != 0 { return .breakerOpen }
        }
        if let cap = pipeline.pointee.settings.chain.dailyCost, !pipeline.pointee.chain[place].inline {
            let cost = pipeline.pointee.state.deciders[place].knownCost ?? pipeline.pointee.settings.chain.assumedCost
            if let sum = try? pipeline.pointee.state.costToday.adding(pipeline.pointee.reserved).adding(cost), sum <= cap {} else { return .dailyCost }
        }
        if openUntil != 0 {
            pipeline.pointee.trials |= 1 << UInt64(place)
            outlet.renew(pipeline.pointee.chain[place].port)
        }
        return nil
    }

    private func ask(_ book: UnsafeMutablePointer<Book>, _ place: Int) -> keel_status {
        let pipeline = pipelines + book.pointee.pipeline
        let port = pipeline.pointee.chain[place].port
        var ask = book.pointee.asked
        ask.place = place
        ask.request = makeRequest(.ask, owner: book.pointee.index)
        ask.at = now
        ask.deadline = now.addingReportingOverflow(pipeline.pointee.chain[place].deadline).partialValue
        ask.answered = false
        ask.price = Fixed(raw: book.pointee.last)
        ask.allowed = allowed(book, ask.purpose)
        ask.cost = pipeline.pointee.settings.chain.dailyCost == nil || pipeline.pointee.chain[place].inline
            ? .zero : pipeline.pointee.state.deciders[place].knownCost ?? pipeline.pointee.settings.chain.assumedCost
        buildSnapshot(book, &ask)
        book.pointee.asked = ask
        reserve(pipeline, ask.cost)
        if recordsTrading {
            let bytes = recordsDetail ? [UInt8](book.pointee.block.bytes) : []
            record(
                .snapshot(
                    SnapshotRecord(
                        time: now, pipeline: book.pointee.pipeline, instrument: book.pointee.instrument.id, sequence: ask.sequence,
                        hi: ask.snapshotHi, lo: ask.snapshotLo, bytes: bytes)))
        }
        arm(.ask, book.pointee.index, at: ask.deadline)
        let status = outlet.ask(port, UnsafePointer(book.pointee.block.header), deadline: ask.deadline, request: ask.request)
        if status < 0 {
            book.pointee.asked.request = 0
            core.pointee.timers.disarm(.ask, book.pointee.index)
            reserve(pipeline, ask.cost, release: true)
            book.pointee.asked.cost = .zero
        }
        return status
    }

    private func reserve(_ pipeline: UnsafeMutablePointer<Pipeline>, _ cost: Amount, release: Bool = false) {
        if cost.isZero { return }
        let next = release ? try? pipeline.pointee.reserved.subtracting(cost) : try? pipeline.pointee.reserved.adding(cost)
        pipeline.pointee.reserved = max(next ?? .zero, .zero)
    }

    /// The same snapshot to another decider, for comparison only.
    private func askShadow(_ book: UnsafeMutablePointer<Book>, _ place: Int) {
        let pipeline = pipelines + book.pointee.pipeline
        guard place < pipeline.pointee.chain.count, book.pointee.shadow.request == 0, unusableForShadow(pipeline, place) == false else { return }
        let decider = pipeline.pointee.chain[place]
        var shadow = book.pointee.asked
        shadow.place = place
        shadow.request = makeRequest(.shadow, owner: book.pointee.index)
        shadow.deadline = now.addingReportingOverflow(decider.deadline).partialValue
        shadow.answered = false
        shadow.cost = .zero
        book.pointee.shadow = shadow
        arm(.shadow, book.pointee.index, at: shadow.deadline)
        if outlet.ask(decider.port, UnsafePointer(book.pointee.block.header), deadline: shadow.deadline, request: shadow.request) < 0 {
            book.pointee.shadow = Ask()
            core.pointee.timers.disarm(.shadow, book.pointee.index)
        }
    }

    /// A comparison never uses up a breaker's trial nor the money that answers need.
    private func unusableForShadow(_ pipeline: UnsafeMutablePointer<Pipeline>, _ place: Int) -> Bool {
        let state = pipeline.pointee.state.deciders[place]
        if state.openUntil != 0 { return true }
        guard let cap = pipeline.pointee.settings.chain.dailyCost, !pipeline.pointee.chain[place].inline else { return false }
        let cost = state.knownCost ?? pipeline.pointee.settings.chain.assumedCost
        guard let sum = try? pipeline.pointee.state.costToday.adding(pipeline.pointee.reserved).adding(cost) else { return true }
        return sum > cap
    }

    func allowed(_ book: UnsafeMutablePointer<Book>, _ purpose: UInt32) -> UInt32 {
        let mayShort = pipelines[book.pointee.pipeline].settings.risk.allowShort
        var bits: UInt32 = 0
        if book.isFlat {
            bits = KEEL_MAY_BUY
            if mayShort { bits |= KEEL_MAY_SELL | KEEL_MAY_SHORT }
        } else if book.pointee.position.isLong {
            bits = KEEL_MAY_SELL
            if purpose == KEEL_PURPOSE_ENTRY { bits |= KEEL_MAY_BUY }
            if mayShort { bits |= KEEL_MAY_SHORT }
        } else {
            bits = KEEL_MAY_BUY
            if purpose == KEEL_PURPOSE_ENTRY, mayShort { bits |= KEEL_MAY_SELL | KEEL_MAY_SHORT }
        }
        return bits
    }

    /// Records who answers now, if that has changed.
    private func serve(
        _ pipeline: UnsafeMutablePointer<Pipeline>, _ book: UnsafeMutablePointer<Book>, _ place: Int, _ why: TakeoverRecord.Why, _ status: keel_status
    ) {
        let from = pipeline.pointee.noneLeft ? -1 : pipeline.pointee.serving < 0 ? -2 : pipeline.pointee.chain[pipeline.pointee.serving].port
        pipeline.pointee.noneLeft = false
        let to = pipeline.pointee.chain[place].port
        guard pipeline.pointee.serving != place || from == -1 else { return }
        pipeline.pointee.serving = place
        pipeline.pointee.state.serving = pipeline.pointee.chain[place].name
        setDirty(pipeline)
        // The primary's first answer is no takeover.
        if from == -2, place == 0 { return }
        noteTakeover(pipeline, book, from: max(from, -1), to: to, why == .none ? .recovered : why, status)
    }

    private func noteTakeover(
        _ pipeline: UnsafeMutablePointer<Pipeline>, _ book: UnsafeMutablePointer<Book>, from: Int, to: Int, _ why: TakeoverRecord.Why,
        _ status: keel_status
    ) {
        let entry = TakeoverRecord(
            time: now, pipeline: book.pointee.pipeline, instrument: book.pointee.instrument.id, from: from, to: to, why: why, status: status,
            detail: recordsDetail ? book.pointee.lastFailure : "")
        if recordsSummary { record(.takeover(entry)) }
        publish(.takeover, book.pointee.pipeline, book.pointee.instrument.id) { .takeover(entry) }
        let name = to < 0 ? "nobody" : plan.ports[to].name
        alert(to < 0 ? .critical : why == .recovered ? .info : .warning, "takeover", pipeline, "\(name) decides now (\(why.rawValue))")
    }

    private func nobodyLeft(
        _ book: UnsafeMutablePointer<Book>, _ pipeline: UnsafeMutablePointer<Pipeline>, _ why: TakeoverRecord.Why, _ status: keel_status
    ) {
        if !pipeline.pointee.noneLeft {
            let from = pipeline.pointee.serving < 0 ? -1 : pipeline.pointee.chain[pipeline.pointee.serving].port
            pipeline.pointee.noneLeft = true
            noteTakeover(pipeline, book, from: from, to: -1, why, status)
        }
        let wasReview = book.pointee.asked.gate & KEEL_GATE_REVIEW != 0 || book.pointee.asked.purpose == KEEL_PURPOSE_REVIEW
        let sequence = book.pointee.asked.sequence
        let gate = book.pointee.asked.gate
        finishAsk(book, nextCheck: 0)
        armWatchdogSoon(book)
        if wasReview || !book.isFlat { reviewByScore(book, sequence: sequence, gate: gate) }
    }

    /// The question is over, answered or not.
    func finishAsk(_ book: UnsafeMutablePointer<Book>, nextCheck: Int64) {
        let pipeline = pipelines + book.pointee.pipeline
        reserve(pipeline, book.pointee.asked.cost, release: true)
        book.pointee.asked = Ask()
        core.pointee.timers.disarm(.ask, book.pointee.index)
        rearm(book, nextCheck: nextCheck)
    }

    // MARK: Success and failure

    /// The first decider whose breaker is closed is the one whose observer may open the gate.
    func setListening(_ pipeline: UnsafeMutablePointer<Pipeline>) {
        pipeline.pointee.listening = pipeline.pointee.state.deciders.firstIndex { $0.openUntil == 0 } ?? 0
    }

    private func succeeded(_ pipeline: UnsafeMutablePointer<Pipeline>, _ place: Int) {
        let bit: UInt64 = 1 << UInt64(place)
        let wasOpen = pipeline.pointee.state.deciders[place].openUntil != 0
        pipeline.pointee.trials &= ~bit
        guard wasOpen || pipeline.pointee.state.deciders[place].failures != 0 else { return }
        pipeline.pointee.state.deciders[place].failures = 0
        pipeline.pointee.state.deciders[place].openUntil = 0
        setListening(pipeline)
        setDirty(pipeline)
        if wasOpen {
            note(.decider, pipeline, open: false, until: 0, value: .zero, limit: .zero, port: pipeline.pointee.chain[place].port)
            alert(.info, "breaker", pipeline, "\(pipeline.pointee.chain[place].name) answers again")
        }
    }

    private func failed(_ pipeline: UnsafeMutablePointer<Pipeline>, _ place: Int, _ why: TakeoverRecord.Why, status: keel_status) {
        let bit: UInt64 = 1 << UInt64(place)
        let wasTrial = pipeline.pointee.trials & bit != 0
        pipeline.pointee.trials &= ~bit
        pipeline.pointee.state.deciders[place].failures += 1
        setDirty(pipeline)
        let failures = pipeline.pointee.state.deciders[place].failures
        let most = max(pipeline.pointee.settings.chain.failures, 1)
        guard wasTrial || failures >= most else { return }
        let until = now.addingReportingOverflow(pipeline.pointee.settings.chain.pause).partialValue
        pipeline.pointee.state.deciders[place].openUntil = until
        setListening(pipeline)
        note(
            .decider, pipeline, open: true, until: until, value: Amount(raw: Int128(failures)), limit: Amount(raw: Int128(most)), unit: .count,
            port: pipeline.pointee.chain[place].port)
        alert(
            .warning, "breaker", pipeline,
            "\(pipeline.pointee.chain[place].name) failed \(failures) times in a row (\(why.rawValue)) and rests; one trial call follows")
    }

    func askTimeout(_ book: UnsafeMutablePointer<Book>) {
        guard book.pointee.asked.request != 0 else { return }
        let pipeline = pipelines + book.pointee.pipeline
        let asked = book.pointee.asked
        outlet.cancelAsk(pipeline.pointee.chain[asked.place].port, request: asked.request)
        next(after: asked, book, .timeout, status: KEEL_E_TIMEOUT, "no answer in time")
    }

    /// A decider failed at a question: the next one gets it.
    private func next(after asked: Ask, _ book: UnsafeMutablePointer<Book>, _ why: TakeoverRecord.Why, status: keel_status, _ detail: String) {
        let pipeline = pipelines + book.pointee.pipeline
        reserve(pipeline, asked.cost, release: true)
        book.pointee.asked.request = 0
        book.pointee.asked.cost = .zero
        book.pointee.lastFailure = recordsDetail ? detail : ""
        core.pointee.timers.disarm(.ask, book.pointee.index)
        failed(pipeline, asked.place, why, status: status)
        askNext(book, why: why, status: status)
    }

    // MARK: Answers

    func decisionEvent(_ event: UnsafePointer<keel_event>, from port: Int) {
        guard let answer = body(event, as: keel_ev_decision.self) else {
            core.pointee.malformed &+= 1
            return
        }
        let request = event.pointee.request
        guard let kind = request.requestKind, kind == .ask || kind == .shadow, request.requestOwner < bookCount else {
            core.pointee.malformed &+= 1
            return
        }
        let book = books + request.requestOwner
        let pipeline = pipelines + book.pointee.pipeline
        let asked = kind == .ask ? book.pointee.asked : book.pointee.shadow
        guard asked.request == request, pipeline.pointee.chain[asked.place].port == port else {
            return refuse(book, Refusal(.unknownRequest, .code, request, asked.request), "late or unasked answer")
        }
        guard !asked.answered else { return refuse(book, Refusal(.repeatedDecision), decision: asked.sequence) }
        if kind == .ask { book.pointee.asked.answered = true } else { book.pointee.shadow.answered = true }
        let decision = Decision(answer.pointee)
        spend(pipeline, asked.place, decision)
        if kind == .shadow {
            if recordsTrading {
                record(.shadow(decisionRecord(decision, asked, book, port, .shadow, .none, event, answer)))
            } else if recordsSummary {
                tally(decision, .shadow, book, port)
            }
            return
        }
        take(decision, asked, book, port, event, answer)
    }

    private func spend(_ pipeline: UnsafeMutablePointer<Pipeline>, _ place: Int, _ decision: Decision) {
        guard !decision.fromRecord else { return }
        let cost = max(decision.cost, .zero)
        if cost.isPositive {
            pipeline.pointee.state.costToday = (try? pipeline.pointee.state.costToday.adding(cost)) ?? Amount(raw: .max)
            setDirty(pipeline)
        }
        if pipeline.pointee.state.deciders[place].knownCost.map({ cost > $0 }) ?? true {
            pipeline.pointee.state.deciders[place].knownCost = cost
            setDirty(pipeline)
        }
    }

    private func take(
        _ decision: Decision, _ asked: Ask, _ book: UnsafeMutablePointer<Book>, _ port: Int, _ event: UnsafePointer<keel_event>,
        _ answer: UnsafePointer<keel_ev_decision>
    ) {
        let pipeline = pipelines + book.pointee.pipeline
        let expected = AskedFor(
            instrument: book.pointee.instrument.id, snapshotHi: asked.snapshotHi, snapshotLo: asked.snapshotLo, snapshotTime: asked.at,
            allowed: asked.allowed, maximumAge: pipeline.pointee.settings.chain.maximumAge)
        if let problem = DecisionChecks.formProblem(decision, expected) {
            note(decision, asked, book, port, .invalid, .none, event, answer)
            refuse(book, problem, decision: asked.sequence)
            return next(after: asked, book, .invalid, status: KEEL_E_INVALID, "\(problem.rule.rawValue)")
        }
        succeeded(pipeline, asked.place)
        remember(decision, asked, book, event, answer)

        if let problem = DecisionChecks.useProblem(decision, expected, now: now) {
            note(decision, asked, book, port, .refused, .none, event, answer)
            refuse(book, problem, decision: asked.sequence)
        } else {
            act(decision, asked, book, port, event, answer)
        }
        keepHold(book, asked.place, nextCheck: decision.action == KEEL_ACT_HOLD ? decision.nextCheck : nil)
        finishAsk(book, nextCheck: decision.nextCheck)
    }

    /// What the decider wants kept, whatever becomes of its action.
    private func remember(
        _ decision: Decision, _ asked: Ask, _ book: UnsafeMutablePointer<Book>, _ event: UnsafePointer<keel_event>,
        _ answer: UnsafePointer<keel_ev_decision>
    ) {
        book.pointee.lastDecision = now
        if answer.pointee.memory.len > 0 { book.pointee.memory = textString(answer.pointee.memory, in: event) }
        let hadWakes = !book.pointee.wakes.isEmpty
        if hadWakes { book.pointee.wakes.removeAll(keepingCapacity: true) }
        if answer.pointee.wakes.count > 0, pipelines[book.pointee.pipeline].settings.gate.wakes {
            let list = listElements(answer.pointee.wakes, of: keel_wake.self, in: event, most: 32)
            if list.isEmpty { refuse(book, Refusal(.unknownWake), decision: asked.sequence, "the list of wake conditions is not readable") }
            for wake in list {
                switch WakeCondition.parse(wake, price: Fixed(raw: book.pointee.last), regime: book.pointee.regimes.regime) {
                case .success(let condition): book.pointee.wakes.append(condition)
                case .failure(let refusal): refuse(book, refusal, decision: asked.sequence)
                }
            }
        }
        if hadWakes || !book.pointee.wakes.isEmpty { setGuards(book) }
        setDirty(book)
    }

    private func act(
        _ decision: Decision, _ asked: Ask, _ book: UnsafeMutablePointer<Book>, _ port: Int, _ event: UnsafePointer<keel_event>,
        _ answer: UnsafePointer<keel_ev_decision>
    ) {
        let pipeline = pipelines + book.pointee.pipeline
        if let limit = pipeline.pointee.settings.position.exitProbability, let said = decision.exitProbability, said >= limit, !book.isFlat {
            let result = leave(book, .exitProbability, level: .zero, sequence: asked.sequence)
            return conclude(result, decision, asked, book, port, event, answer)
        }
        if decision.action == KEEL_ACT_HOLD { return note(decision, asked, book, port, .hold, .none, event, answer) }
        let side = decision.action == KEEL_ACT_BUY ? KEEL_BUY : KEEL_SELL
        let result: Result<OrderID, Refusal>
        if !book.isFlat, book.pointee.position.isLong != (side == KEEL_BUY) {
            result = reduce(book, side: side, decision, asked)
        } else if side == KEEL_SELL, !pipeline.pointee.settings.risk.allowShort {
            // A model that sells what it does not have is told so, and nothing else happens.
            result = .failure(Refusal(.noPosition))
        } else {
            result = enter(book, side: side, decision, asked)
        }
        conclude(result, decision, asked, book, port, event, answer)
    }

    private func conclude(
        _ result: Result<OrderID, Refusal>, _ decision: Decision, _ asked: Ask, _ book: UnsafeMutablePointer<Book>, _ port: Int,
        _ event: UnsafePointer<keel_event>, _ answer: UnsafePointer<keel_ev_decision>
    ) {
        switch result {
        case .success(let order):
            note(decision, asked, book, port, .ordered, order, event, answer)
            keepPast(decision, asked, book, port, event, answer)
        case .failure(let refusal):
            note(decision, asked, book, port, .refused, .none, event, answer)
            refuse(book, refusal, decision: asked.sequence)
        }
    }

    private func keepPast(
        _ decision: Decision, _ asked: Ask, _ book: UnsafeMutablePointer<Book>, _ port: Int, _ event: UnsafePointer<keel_event>,
        _ answer: UnsafePointer<keel_ev_decision>
    ) {
        guard pipelines[book.pointee.pipeline].wants & KEEL_WANT_PAST != 0 else { return }
        let reason = String(textString(answer.pointee.reason, in: event).prefix(300))
        book.pointee.past.insert(
            PastDecision(time: now, action: decision.action, confidence: decision.confidence, decider: plan.ports[port].name, reason: reason), at: 0)
        if book.pointee.past.count > 10 { book.pointee.past.removeLast() }
    }

    private func note(
        _ decision: Decision, _ asked: Ask, _ book: UnsafeMutablePointer<Book>, _ port: Int, _ outcome: DecisionRecord.Outcome, _ order: OrderID,
        _ event: UnsafePointer<keel_event>, _ answer: UnsafePointer<keel_ev_decision>
    ) {
        if outcome == .ordered, book.isFlat {
            // Credit goes to the decision that opens a position, never to the one that closes it.
            book.pointee.opening.decision = asked.sequence
            if recordsDetail || book.pointee.learns {
                book.pointee.opening.decider = plan.ports[port].name
                book.pointee.openSignals = signals(answer, event)
            }
        }
        if !recordsTrading, recordsSummary { tally(decision, outcome, book, port) }
        guard recordsTrading || listens(.decisionSignal) else { return }
        let entry = decisionRecord(decision, asked, book, port, outcome, order, event, answer)
        if recordsTrading { record(.decision(entry)) }
        publish(.decisionSignal, book.pointee.pipeline, book.pointee.instrument.id) { .decision(entry) }
    }

    private func tally(_ decision: borrowing Decision, _ outcome: DecisionRecord.Outcome, _ book: UnsafeMutablePointer<Book>, _ port: Int) {
        outlet.tally(
            DecisionTally(pipeline: book.pointee.pipeline, decider: port, outcome: outcome, fromRecord: decision.fromRecord, cost: decision.cost))
    }

    /// A decision nobody answered: what a record of it would have said.
    func tally(_ entry: DecisionRecord) { outlet.tally(DecisionTally(entry)) }

    private func signals(_ answer: UnsafePointer<keel_ev_decision>, _ event: UnsafePointer<keel_event>) -> [DecisionRecord.Signal] {
        guard answer.pointee.signals.count > 0 else { return [] }
        return listElements(answer.pointee.signals, of: keel_signal.self, in: event, most: 64).map {
            DecisionRecord.Signal(name: textString($0.name, in: event), confidence: Fixed(raw: $0.confidence), direction: $0.direction)
        }
    }

    private func decisionRecord(
        _ decision: Decision, _ asked: Ask, _ book: UnsafeMutablePointer<Book>, _ port: Int, _ outcome: DecisionRecord.Outcome, _ order: OrderID,
        _ event: UnsafePointer<keel_event>, _ answer: UnsafePointer<keel_ev_decision>
    ) -> DecisionRecord {
        var entry = DecisionRecord(
            time: now, pipeline: book.pointee.pipeline, instrument: book.pointee.instrument.id, sequence: asked.sequence, decider: port,
            request: asked.request, asked: asked.at, snapshotHi: asked.snapshotHi, snapshotLo: asked.snapshotLo, purpose: asked.purpose,
            gate: asked.gate, action: decision.action, fraction: decision.fraction, quantity: decision.quantity, confidence: decision.confidence,
            exitProbability: decision.exitProbability ?? Fixed(raw: -1), nextCheck: decision.nextCheck, validUntil: decision.validUntil,
            cost: decision.cost, tokensIn: decision.tokensIn, tokensCached: decision.tokensCached, tokensOut: decision.tokensOut,
            fromRecord: decision.fromRecord, price: asked.price, outcome: outcome, order: order)
        if recordsDetail {
            entry.reason = textString(answer.pointee.reason, in: event)
            entry.memory = textString(answer.pointee.memory, in: event)
            entry.model = textString(answer.pointee.model, in: event)
            entry.signals = signals(answer, event)
            entry.wakes = book.pointee.wakes
        }
        return entry
    }

    /// The end of an ask.
    func askDone(_ event: UnsafePointer<keel_event>, _ done: UnsafePointer<keel_ev_done>, from port: Int) {
        let request = event.pointee.request
        guard request.requestOwner < bookCount else { return }
        let book = books + request.requestOwner
        if book.pointee.shadow.request == request {
            book.pointee.shadow = Ask()
            core.pointee.timers.disarm(.shadow, book.pointee.index)
            return
        }
        let asked = book.pointee.asked
        let pipeline = pipelines + book.pointee.pipeline
        // An answered question is over already; so is one that timed out.
        guard asked.request == request, pipeline.pointee.chain[asked.place].port == port else { return askAgain(book) }
        if done.pointee.status < 0 {
            return next(
                after: asked, book, done.pointee.status == KEEL_E_TIMEOUT ? .timeout : .failed, status: done.pointee.status,
                recordsDetail ? textString(done.pointee.message, in: event) : "")
        }
        // No decision means hold.
        succeeded(pipeline, asked.place)
        book.pointee.lastDecision = now
        if recordsTrading {
            record(.decision(Self.hold(asked, book, port, at: now)))
        } else if recordsSummary {
            outlet.tally(DecisionTally(pipeline: book.pointee.pipeline, decider: port, outcome: .hold, fromRecord: false, cost: .zero))
        }
        keepHold(book, asked.place, nextCheck: 0)
        finishAsk(book, nextCheck: 0)
        askAgain(book)
    }

    static func hold(_ asked: Ask, _ book: UnsafeMutablePointer<Book>, _ port: Int, at time: Int64) -> DecisionRecord {
        DecisionRecord(
            time: time, pipeline: book.pointee.pipeline, instrument: book.pointee.instrument.id, sequence: asked.sequence, decider: port,
            request: asked.request, asked: asked.at, snapshotHi: asked.snapshotHi, snapshotLo: asked.snapshotLo, purpose: asked.purpose,
            gate: asked.gate, action: KEEL_ACT_HOLD, fraction: .zero, quantity: .zero, confidence: .zero, exitProbability: Fixed(raw: -1),
            nextCheck: 0, validUntil: 0, cost: .zero, tokensIn: 0, tokensCached: 0, tokensOut: 0, fromRecord: false, price: asked.price, outcome: .hold, order: .none)
    }

    /// What came up while an answer was awaited.
    private func askAgain(_ book: UnsafeMutablePointer<Book>) {
        guard book.pointee.pending != 0, book.pointee.asked.request == 0 else { return }
        let bits = book.pointee.pending
        book.pointee.pending = 0
        pass(book, bits, onEvent: false)
    }
}
