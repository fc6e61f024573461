import PluginAPI
import PluginKit

// Records, boundaries, alerts and the bus.
extension Engine {
    @inline(__always)
    func record(_ record: LedgerRecord) {
        core.pointee.dirty = true
        outlet.record(record)
    }

    func setDirty(_ book: UnsafeMutablePointer<Book>) {
        book.pointee.isDirty = true
        core.pointee.dirty = true
    }

    func setDirty(_ pipeline: UnsafeMutablePointer<Pipeline>) {
        pipeline.pointee.isDirty = true
        core.pointee.dirty = true
    }

    func setDirty(_ broker: UnsafeMutablePointer<BrokerSlot>) {
        broker.pointee.isDirty = true
        core.pointee.dirty = true
    }

    /// The rows of everything that changed, so that records and state agree at every boundary and barrier.
    func flushRows() {
        guard recordsState else {
            core.pointee.dirty = false
            return
        }
        for index in 0..<pipelineCount where pipelines[index].isDirty {
            pipelines[index].isDirty = false
            outlet.record(.state(.pipeline(pipelineState(pipelines + index))))
        }
        for index in 0..<bookCount where books[index].isDirty {
            books[index].isDirty = false
            books[index].savedPeak = books[index].position.peak.raw
            outlet.record(.state(.book(bookState(books + index))))
        }
        for index in 0..<brokerCount where brokers[index].isDirty {
            brokers[index].isDirty = false
            outlet.record(.state(.broker(BrokerState(name: brokers[index].name, syncedAt: brokers[index].syncedAt))))
        }
        if let learner, learner.revision != savedLearner {
            savedLearner = learner.revision
            outlet.record(.state(.learner(learner.save())))
        }
    }

    func endOfInput() {
        flushRows()
        core.pointee.dirty = false
        outlet.boundary()
    }

    /// Makes everything so far durable. False: the disk failed; entries halt, and people are told once.
    func makeDurable() -> Bool {
        flushRows()
        core.pointee.dirty = false
        let durable = outlet.barrier()
        if !durable, !core.pointee.ledgerFailed {
            core.pointee.ledgerFailed = true
            alert(.critical, "disk", "the ledger cannot be written: nothing is entered until it can; protective exits still pass")
            publish(.breaker, -1, 0) {
                .breaker(
                    BreakerRecord(time: now, pipeline: -1, breaker: .ledger, open: true, until: 0, value: .zero, limit: .zero, port: -1))
            }
        } else if durable, core.pointee.ledgerFailed {
            core.pointee.ledgerFailed = false
            alert(.info, "disk", "the ledger can be written again")
        }
        return durable
    }

    /// Whether the disk has come back, now and then.
    func probeLedger() {
        guard now &- core.pointee.probedAt >= 10 * Span.second else { return }
        core.pointee.probedAt = now
        _ = makeDurable()
    }

    func recordHeader() {
        guard recordsState else { return }
        record(.state(.header(headerState())))
    }

    func headerState() -> HeaderState {
        var header = HeaderState()
        header.run = plan.run
        header.time = now
        header.killed = core.pointee.killed
        return header
    }

    func refuse(
        _ book: UnsafeMutablePointer<Book>, _ refusal: Refusal, decision: UInt64 = 0, order: OrderID = .none, _ detail: @autoclosure () -> String = ""
    ) {
        guard recordsSummary || listens(.orderRefused) else { return }
        let entry = RefusalRecord(
            time: now, pipeline: book.pointee.pipeline, instrument: book.pointee.instrument.id, rule: refusal.rule, value: refusal.value,
            limit: refusal.limit, unit: refusal.unit, decision: decision, order: order, detail: recordsDetail ? detail() : "")
        if recordsSummary { record(.refusal(entry)) }
        publish(.orderRefused, book.pointee.pipeline, book.pointee.instrument.id) { .refusal(entry) }
    }

    func alert(_ severity: Alert.Severity, _ kind: String, _ book: UnsafeMutablePointer<Book>, _ text: @autoclosure () -> String) {
        raise(
            Alert(time: now, severity: severity, kind: kind, pipeline: pipelines[book.pointee.pipeline].settings.name, symbol: book.pointee.symbol,
                text: text()))
    }

    func alert(_ severity: Alert.Severity, _ kind: String, _ pipeline: UnsafeMutablePointer<Pipeline>, _ text: @autoclosure () -> String) {
        raise(Alert(time: now, severity: severity, kind: kind, pipeline: pipeline.pointee.settings.name, text: text()))
    }

    func alert(_ severity: Alert.Severity, _ kind: String, _ text: @autoclosure () -> String) {
        raise(Alert(time: now, severity: severity, kind: kind, text: text()))
    }

    private func raise(_ alert: Alert) {
        outlet.alert(alert)
        if recordsTrading { record(.alert(alert)) }
        publish(.alert, -1, 0) { .alert(alert) }
    }

    @inline(__always)
    func listens(_ topic: Topic) -> Bool { core.pointee.busTopics != 0 && core.pointee.busTopics & (1 << UInt32(topic.place)) != 0 }

    @inline(__always)
    func publish(_ topic: Topic, _ pipeline: Int, _ instrument: keel_instrument_id, _ content: () -> BusEvent.Content) {
        guard listens(topic) else { return }
        outlet.publish(BusEvent(sequence: 0, time: now, topic: topic, pipeline: pipeline, instrument: instrument, content: content()))
    }
}

extension Topic {
    /// Place in `allCases`.
    var place: Int {
        switch self {
        case .marketTick: 0
        case .decisionSignal: 1
        case .orderIntended: 2
        case .orderChanged: 3
        case .orderFilled: 4
        case .orderRefused: 5
        case .positionChanged: 6
        case .positionExit: 7
        case .routing: 8
        case .breaker: 9
        case .gate: 10
        case .takeover: 11
        case .link: 12
        case .alert: 13
        }
    }
}
