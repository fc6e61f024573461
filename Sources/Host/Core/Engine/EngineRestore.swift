import PluginAPI
import PluginKit

// Saving and coming back, and what operators command.
extension Engine {
    /// Everything that must survive a restart, as of now.
    public func state() -> EngineState {
        var state = EngineState()
        state.header = headerState()
        state.pipelines = (0..<pipelineCount).map { pipelineState(pipelines + $0) }
        state.books = (0..<bookCount).map { bookState(books + $0) }
        state.brokers = (0..<brokerCount).map { BrokerState(name: brokers[$0].name, syncedAt: brokers[$0].syncedAt) }
        for index in 0..<bookCount {
            state.orders += books[index].orders
            state.orders += books[index].closedOrders.ordered
        }
        state.fills = core.pointee.seen.keys
        state.learner = learner?.save() ?? []
        return state
    }

    func pipelineState(_ pipeline: UnsafeMutablePointer<Pipeline>) -> PipelineState {
        var state = pipeline.pointee.state
        state.peakEquity = Amount(raw: pipeline.pointee.peak / Int128(Fixed.scale))
        return state
    }

    func bookState(_ book: UnsafeMutablePointer<Book>) -> BookState {
        var state = BookState(pipeline: pipelines[book.pointee.pipeline].settings.name, symbol: book.pointee.symbol)
        state.position = book.pointee.position
        state.timerAt = core.pointee.timers.deadline(.gate, book.pointee.index) ?? 0
        state.watchdogAt = core.pointee.timers.deadline(.watchdog, book.pointee.index) ?? 0
        state.reviewAt = core.pointee.timers.deadline(.review, book.pointee.index) ?? 0
        state.wakes = book.pointee.wakes
        state.memory = book.pointee.memory
        state.lastExit = book.pointee.lastExit
        state.lastEntry = book.pointee.lastEntry
        state.lastDecision = book.pointee.lastDecision
        state.past = book.pointee.past
        state.statistics = book.pointee.statistics
        state.atr = book.pointee.atr
        state.openSignals = book.pointee.openSignals
        state.opening = book.pointee.opening
        state.today = book.pointee.today
        state.delta = book.pointee.delta
        state.taken = book.pointee.taken
        state.held = book.pointee.held
        return state
    }

    /// Names decide what belongs where: a pipeline or instrument that is gone keeps its rows in the ledger and nothing else.
    func restore(_ state: EngineState) throws(EngineError) {
        guard state.version <= EngineState.currentVersion else {
            throw .unusableState("version \(state.version) is newer than \(EngineState.currentVersion)")
        }
        isRestored = true
        core.pointee.killed = state.header.killed
        core.pointee.now = state.header.time
        core.pointee.deltaDay = state.header.time / Span.day
        for saved in state.pipelines { restore(saved) }
        for saved in state.books { restore(saved) }
        for saved in state.brokers {
            for index in 0..<brokerCount where brokers[index].name == saved.name { brokers[index].syncedAt = saved.syncedAt }
        }
        for key in state.fills { _ = core.pointee.seen.insert(key) }
        for order in state.orders { try restore(order) }
        if !state.learner.isEmpty, let learner {
            guard learner.load(state.learner) else { throw .unusableState("the learner refuses its saved state") }
            savedLearner = learner.revision
            for index in 0..<bookCount where books[index].learns { books[index].regimes = learner.regimes(book: index) }
        }
    }

    private func restore(_ saved: PipelineState) {
        for index in 0..<pipelineCount where pipelines[index].settings.name == saved.name {
            let pipeline = pipelines + index
            var state = saved
            // Capital that was added to or taken from the manifest moves cash by as much.
            if let wanted = pipeline.pointee.settings.capital, wanted != saved.capital,
                let change = try? wanted.subtracting(saved.capital), let cash = try? saved.cash.adding(change)
            {
                state.capital = wanted
                state.cash = cash
                state.peakEquity = max(.zero, (try? saved.peakEquity.adding(change)) ?? saved.peakEquity)
                state.day.startEquity = max(.zero, (try? saved.day.startEquity.adding(change)) ?? saved.day.startEquity)
            }
            state.deciders = pipeline.pointee.chain.map { decider in
                saved.deciders.first { $0.name == decider.name } ?? DeciderState(name: decider.name)
            }
            pipeline.pointee.state = state
            pipeline.pointee.peak = state.peakEquity.raw.multipliedReportingOverflow(by: Int128(Fixed.scale)).partialValue
            setListening(pipeline)
            setDayLimit(pipeline)
            pipeline.pointee.serving = pipeline.pointee.chain.firstIndex { $0.name == saved.serving } ?? -1
        }
    }

    private func restore(_ saved: BookState) {
        for index in 0..<bookCount where books[index].symbol == saved.symbol && pipelines[books[index].pipeline].settings.name == saved.pipeline {
            let book = books + index
            book.pointee.position = saved.position
            book.pointee.wakes = saved.wakes
            book.pointee.memory = saved.memory
            book.pointee.lastExit = saved.lastExit
            book.pointee.lastEntry = saved.lastEntry
            book.pointee.lastDecision = saved.lastDecision
            book.pointee.past = saved.past
            book.pointee.statistics = saved.statistics
            book.pointee.atr = saved.atr
            book.pointee.openSignals = saved.openSignals
            book.pointee.opening = saved.opening
            book.pointee.today = saved.today
            book.pointee.delta = saved.delta
            book.pointee.taken = saved.taken
            book.pointee.held = saved.held
            book.pointee.savedPeak = saved.position.peak.raw
            // Until the market speaks, a position is worth what it cost.
            book.pointee.marked = saved.position.entry.raw
            if saved.timerAt > 0 { core.pointee.timers.arm(.gate, index, at: saved.timerAt) }
            if saved.watchdogAt > 0 { core.pointee.timers.arm(.watchdog, index, at: saved.watchdogAt) }
            if saved.reviewAt > 0, !book.isFlat { core.pointee.timers.arm(.review, index, at: saved.reviewAt) }
            setGuards(book)
        }
    }

    /// Orders find their book by the names the ledger translated them to.
    private func restore(_ saved: OrderState) throws(EngineError) {
        guard saved.pipeline >= 0 else { return }
        guard saved.pipeline < pipelineCount else { throw .unusableState("order \(saved.id) belongs to pipeline \(saved.pipeline)") }
        let pipeline = pipelines + saved.pipeline
        let range = pipeline.pointee.firstBook..<(pipeline.pointee.firstBook + pipeline.pointee.bookCount)
        guard let index = range.first(where: { books[$0].instrument.id == saved.instrument }) else { return }
        let book = books + index
        var order = saved
        order.broker = book.pointee.brokerPort
        order.missing = 0
        order.cancelRequested = false
        order.request = 0
        if order.isSettled {
            book.pointee.closedOrders.add(order)
        } else {
            book.pointee.orders.append(order)
        }
        // A sequence number that was used is used for ever, whatever the pipeline's row says.
        if order.id.run == plan.run {
            pipeline.pointee.state.decisionSequence = max(pipeline.pointee.state.decisionSequence, order.id.sequence)
        }
    }

    // MARK: Commands

    func perform(_ command: Command) {
        switch command {
        case .kill(let on): kill(on)
        case .flatten(let name): flatten(name)
        case .resetBreaker(let name): resetBreaker(name)
        case .closeGate: core.pointee.gateClosed = true
        case .openGate:
            core.pointee.gateClosed = false
            // A disk that failed is tried again: with nothing to send nobody else would.
            if core.pointee.ledgerFailed { _ = makeDurable() }
        case .sync: for index in 0..<brokerCount { startSync(index) }
        case .cancel(let id): if let found = find(id), found.1 >= 0 { cancel(found.0, found.1) }
        case .replace(let id, let quantity, let limit): replace(id, quantity: quantity, limit: limit)
        case .stop: stop()
        }
    }

    private func kill(_ on: Bool) {
        guard core.pointee.killed != on else { return }
        core.pointee.killed = on
        recordHeader()
        let entry = BreakerRecord(
            time: now, pipeline: -1, breaker: .kill, open: on, until: 0, value: .zero, limit: .zero, port: -1)
        if recordsSummary { record(.breaker(entry)) }
        publish(.breaker, -1, 0) { .breaker(entry) }
        alert(on ? .critical : .info, "kill", on ? "kill switch on: nothing is entered, exits go on" : "kill switch off")
        if on { for index in 0..<pipelineCount { cancelEntries(pipelines + index) } }
    }

    private func flatten(_ name: String?) {
        for index in 0..<bookCount where name == nil || pipelines[books[index].pipeline].settings.name == name {
            let book = books + index
            if book.isFlat {
                cancelAll(book) { _ in true }
            } else if case .failure(let refusal) = leave(book, .flatten, level: .zero, sequence: nil) {
                refuse(book, refusal)
            }
        }
    }

    private func resetBreaker(_ name: String) {
        for index in 0..<pipelineCount where pipelines[index].settings.name == name {
            let pipeline = pipelines + index
            if pipeline.pointee.state.drawdownOpen {
                pipeline.pointee.state.drawdownOpen = false
                // The fall is forgiven: a new one is measured from here.
                pipeline.pointee.peak = max(pipeline.pointee.equity, 0)
                note(.drawdown, pipeline, open: false, until: 0, value: equity(pipeline), limit: .zero)
            }
            if pipeline.pointee.state.dailyLossUntil > now {
                pipeline.pointee.state.dailyLossUntil = 0
                pipeline.pointee.state.day.startEquity = equity(pipeline)
                note(.dailyLoss, pipeline, open: false, until: 0, value: equity(pipeline), limit: .zero)
            }
            if pipeline.pointee.state.streakUntil > now {
                pipeline.pointee.state.streakUntil = 0
                note(.losingStreak, pipeline, open: false, until: 0, value: .zero, limit: .zero)
            }
            for place in pipeline.pointee.state.deciders.indices where pipeline.pointee.state.deciders[place].openUntil != 0 {
                pipeline.pointee.state.deciders[place].openUntil = 0
                pipeline.pointee.state.deciders[place].failures = 0
                note(.decider, pipeline, open: false, until: 0, value: .zero, limit: .zero, port: pipeline.pointee.chain[place].port)
            }
            setListening(pipeline)
            setDayLimit(pipeline)
            setFloor(pipeline)
            setDirty(pipeline)
        }
    }

    private func stop() {
        guard !core.pointee.stopping else { return }
        core.pointee.stopping = true
        core.pointee.gateClosed = true
        for index in 0..<bookCount {
            let book = books + index
            if book.pointee.asked.request != 0 {
                outlet.cancelAsk(pipelines[book.pointee.pipeline].chain[book.pointee.asked.place].port, request: book.pointee.asked.request)
                finishAsk(book, nextCheck: 0)
            }
            if book.pointee.shadow.request != 0 {
                outlet.cancelAsk(pipelines[book.pointee.pipeline].chain[book.pointee.shadow.place].port, request: book.pointee.shadow.request)
                book.pointee.shadow = Ask()
            }
            recordGate(book)
            setDirty(book)
        }
        for index in 0..<pipelineCount { setDirty(pipelines + index) }
        if recordsTrading { record(.run(RunRecord(time: now, run: plan.run, change: .stopping))) }
        recordHeader()
    }

    /// Nothing is asked, on its way to a venue or in doubt: after `.stop`, the moment to save and leave.
    public var isSettled: Bool {
        for index in 0..<bookCount {
            if books[index].asked.request != 0 || !books[index].cancels.isEmpty { return false }
            if books[index].parents.contains(where: { $0.children == 0 && !$0.done }) { return false }
            for order in books[index].orders where order.status != .open && order.status != .partlyFilled { return false }
        }
        return (0..<brokerCount).allSatisfy { brokers[$0].request == 0 }
    }

    /// What the gate of a pipeline saw since the start of this run, over all its instruments.
    public func gateCounters(pipeline: Int) -> GateCounters {
        var sum = GateCounters()
        for index in 0..<bookCount where books[index].pipeline == pipeline {
            sum.events &+= books[index].counters.events
            sum.passed &+= books[index].counters.passed
            sum.timerPasses &+= books[index].counters.timerPasses
            sum.reused &+= books[index].counters.reused
        }
        return sum
    }

    /// Whether every broker agrees and the gate is open.
    public var isOpen: Bool {
        core.pointee.started && !core.pointee.gateClosed && !core.pointee.killed
            && (0..<brokerCount).allSatisfy { brokers[$0].synced && brokers[$0].agreed && !brokers[$0].linkDown }
    }
}
