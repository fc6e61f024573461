import PluginAPI

/// What a remote instance does with its worker's events, and with its worker's end.
extension RemoteInstance {
    // MARK: events

    /// Notes what an event settles, then hands it to the host, whose checks it passes like any plugin's.
    func emitted(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        let head = bytes.loadUnaligned(as: keel_event.self)
        var synced = false
        switch UInt32(head.kind) {
        case KEEL_EV_ORDER: debts.saw(bytes.loadUnaligned(as: keel_ev_order.self))
        case KEEL_EV_DONE:
            let done = bytes.loadUnaligned(as: keel_ev_done.self)
            if head.request >= Self.firstOwnRequest {
                if done.status < 0 { log(KEEL_LOG_ERROR, "a subscription could not be made again after the restart: \(StatusName.of(done.status))") }
                return
            }
            let debt = debts.settle(head.request)
            if debt?.kind == .stop { life = .stopped }
            if head.request == syncRequest {
                syncRequest = nil
                synced = mustSync && done.status >= 0
            }
        default: break
        }
        _ = host.pointee.emit.map { $0(host, base.assumingMemoryBound(to: keel_event.self)) }
        if synced {
            mustSync = false
            tell(.synced)
        }
    }

    func emitDone(_ request: UInt64, _ status: keel_status, _ text: String) {
        let message = Array(text.utf8.prefix(1024))
        var done = keel_ev_done()
        done.head.kind = UInt16(KEEL_EV_DONE)
        done.head.request = request
        done.status = status
        emit(&done, message) { event, place in event.message = place }
    }

    private func emitInDoubt(_ order: Debts.Order, _ text: String) {
        var event = keel_ev_order()
        event.head.kind = UInt16(KEEL_EV_ORDER)
        event.head.instrument = order.instrument
        event.order = order.id
        event.state = KEEL_ORDER_IN_DOUBT
        event.side = order.side
        event.filled = order.filled
        event.leaves = order.leaves
        event.average = order.average
        event.limit = order.limit
        emit(&event, Array(text.utf8.prefix(1024))) { event, place in event.message = place }
    }

    /// The worker's own link, beside those its plugin reports: what goes down under a name must come up under it.
    private static let linkName = "worker"

    private func emitLink(_ state: UInt32, _ why: keel_status, _ text: String) {
        guard component.metadata.offers(KEEL_BROKER) || component.metadata.offers(KEEL_FEED) else { return }
        var event = keel_ev_link()
        event.head.kind = UInt16(KEEL_EV_LINK)
        event.state = state
        event.why = why
        let name = Array(Self.linkName.utf8)
        emit(&event, name + Array(text.utf8.prefix(1024))) { event, place in
            event.name = keel_text(off: place.off, len: UInt32(name.count))
            event.message = keel_text(off: place.off + UInt32(name.count), len: place.len - UInt32(name.count))
        }
    }

    /// Lays an event and one text behind it into one block.
    private func emit<T: BitwiseCopyable>(_ event: inout T, _ text: [UInt8], _ place: (inout T, keel_text) -> Void) {
        let body = MemoryLayout<T>.size
        place(&event, keel_text(off: UInt32(body), len: UInt32(text.count)))
        withUnsafeTemporaryAllocation(byteCount: body + text.count, alignment: 8) { block in
            block.storeBytes(of: event, as: T.self)
            block.storeBytes(of: UInt32(body + text.count), as: UInt32.self)
            for (index, byte) in text.enumerated() { block[body + index] = byte }
            guard let base = block.baseAddress else { return }
            _ = host.pointee.emit.map { $0(host, UnsafePointer(base.assumingMemoryBound(to: keel_event.self))) }
        }
    }

    // MARK: death

    /// The worker is gone or must go. Every promise it made is answered, then a new one is started or none.
    /// `cause` nil: its own end says why.
    func died(_ cause: WorkerCause?) {
        guard let session else { return }
        // What it still said before its end counts, unless it was nonsense.
        if cause == nil { readLastWords(session) }
        guard self.session === session else { return }
        watch(false)
        self.session = nil
        isReady = false
        ping = nil
        session.child.kill()
        let end = session.child.reap(within: 2_000_000_000)
        session.takeOutput(ended: true, printed)
        let why = cause ?? Self.cause(end?.end, in: awaitedCall, peak: end?.peakMemory ?? 0, limit: settings.memoryLimit)
        lastCause = why
        log(KEEL_LOG_FATAL, "the worker died: \(why)")

        let doubtful = debts.inDoubt()
        for order in doubtful {
            debts.mark(order, inDoubt: true)
            emitInDoubt(order, "the worker died: \(why)")
        }
        for (number, request) in debts.takeRequests() where number < Self.firstOwnRequest && number != awaitedRequest {
            emitDone(number, request.kind.isOrder ? KEEL_E_IN_DOUBT : KEEL_E_INTERNAL, "the worker died: \(why)")
        }
        if life == .stopping { life = .stopped }
        if life == .running { emitLink(KEEL_LINK_DOWN, KEEL_E_INTERNAL, "the worker died: \(why)") }
        mustSync = component.metadata.offers(KEEL_BROKER)
        syncRequest = nil
        let verdict = budget.died(at: hostNow(), of: "\(why)")
        tell(.died(why, inDoubt: doubtful.map { .init($0.id) }))
        switch verdict {
        case .quarantine:
            let reason = budget.quarantine ?? "\(why)"
            log(KEEL_LOG_FATAL, "quarantined: \(reason)")
            tell(.quarantined(reason))
        case .restart(let delay):
            // A worker that dies while it is being made or started is the caller's to try again.
            if life == .running, !isRestarting { schedule(delay) }
        }
    }

    private func readLastWords(_ session: WorkerSession) {
        for _ in 0..<100_000 {
            guard self.session === session else { return }
            switch session.receive(wait: false) {
            case .nothing, .closed: return
            case .part: continue
            case .fault(let fault): return died(.garbage("\(fault)"))
            case .message(let head, let payload): lastWord(head, payload)
            case .assembled(let head, let bytes): bytes.withUnsafeBytes { lastWord(head, $0) }
            }
        }
    }

    /// Events and lines only: a question needs no answer any more.
    private func lastWord(_ head: FrameHeader, _ payload: UnsafeRawBufferPointer) {
        guard let message = try? WorkerMessage(head, payload) else { return died(.garbage("its last frame")) }
        switch message {
        case .emit(let event): emitted(event)
        case .log(let level, let text): printed(level, Array(text))
        default: break
        }
    }

    private static func cause(_ end: ChildEnd?, in call: String?, peak: UInt64, limit: UInt64?) -> WorkerCause {
        guard let end else { return .ended(.signalled(9)) }
        if end == .exited(WorkerExit.hung) { return .hung(call: call ?? "a call of its own; the log names it") }
        if let limit, case .signalled = end, peak >= limit - limit / 10 { return .leaked(used: peak, limit: limit) }
        return .ended(end)
    }

    // MARK: restart

    private func schedule(_ delay: keel_span) {
        tell(.restarting(after: delay))
        let status = host.pointee.timer.map { $0(host, delay, 0, 0, &restartTimer) } ?? KEEL_E_UNSUPPORTED
        if status < 0 { log(KEEL_LOG_FATAL, "no timer for the restart (\(StatusName.of(status))); the worker stays down") }
    }

    /// A new worker in the state of the old one: the same configuration, the state last saved or loaded, running, with its subscriptions. No
    /// order is sent again.
    func restart() {
        guard session == nil, life == .running, budget.quarantine == nil else { return }
        let begun = Monotonic.now()
        var error = keel_error.empty()
        let deathsBefore = budget.deaths.count
        isRestarting = true
        let status = rebuild(&error)
        isRestarting = false
        guard status >= 0 else {
            if let session { close(session) }
            if budget.quarantine != nil { return }
            if budget.deaths.count > deathsBefore { return schedule(2_000_000_000) }
            // It lives but refuses: the venue may be away. That is no crash; try again, less and less often.
            log(KEEL_LOG_ERROR, "the restarted worker does not start: \(StatusName.of(status)) \(error.text)")
            schedule(retryDelay)
            retryDelay = min(retryDelay * 2, 60_000_000_000)
            return
        }
        retryDelay = 2_000_000_000
        // The host syncs on this, and again once a link that the plugin itself reports is up.
        emitLink(KEEL_LINK_UP, KEEL_OK, "the worker was restarted")
        tell(.restarted(took: Monotonic.now() - begun, mustSync: mustSync))
    }

    private func rebuild(_ error: inout keel_error) -> keel_status {
        var status = launch(&error)
        guard status >= 0 else { return status }
        if let state, component.metadata.offers(KEEL_STATE) {
            status = call(.load, "load", &error, limit: settings.startLimit) {
                $0.number(state.version)
                $0.raw(state.bytes)
            }
            // Its state is a help, not a need: the sync restores the truth.
            if status < 0, session != nil { log(KEEL_LOG_WARN, "the restarted worker refuses its last state: \(StatusName.of(status)) \(error.text)") }
            guard session != nil else { return status }
        }
        status = call(.start, "start", &error)
        guard status >= 0 else { return status }
        for (index, (id, channels)) in subscriptions.sorted(by: { $0.key < $1.key }).enumerated() {
            let request = Self.firstOwnRequest + UInt64(index)
            status = resubscribe(id, channels, request, &error)
            guard session != nil else { return status }
            if status < 0 { log(KEEL_LOG_ERROR, "instrument \(id) could not be subscribed again: \(StatusName.of(status)) \(error.text)") }
        }
        return session == nil ? KEEL_E_INTERNAL : KEEL_OK
    }
}
