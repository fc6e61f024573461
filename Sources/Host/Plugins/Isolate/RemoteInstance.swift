import Glibc
import PluginAPI

/// The host's side of one instance in a worker: proxies for its calls, its questions answered, its death contained.
///
/// Lives on the instance's lane, as a plugin would, and calls the host only through the `keel_host` it was given.
final class RemoteInstance {
    let component: RemoteComponent
    let host: UnsafePointer<keel_host>
    let name: String
    let config: String
    var settings: IsolationSettings { component.settings }
    var lockstep: Bool { settings.pace == .lockstep }

    enum Life {
        case fresh, created, running, stopping, stopped
    }
    var life = Life.fresh
    var session: WorkerSession?
    var budget: CrashBudget
    /// What the worker owes: requests without a DONE, orders without an end, subscriptions to make again.
    var debts = Debts()
    var subscriptions: [keel_instrument_id: UInt64] = [:]
    var state: (version: UInt32, bytes: [UInt8])?

    /// A broker after a restart: no order before a sync.
    var mustSync = false
    var syncRequest: UInt64?
    var pendingAsk = false
    var restartTimer: UInt64 = 0
    var retryDelay: keel_span = 2_000_000_000
    var watchTimer: UInt64 = 0
    var ping: (serial: UInt64, sent: Int64)?
    /// True while a new worker is being brought up after a death.
    var isRestarting = false
    /// The request of the call being made, 0 = none.
    var awaitedRequest: UInt64 = 0
    /// The reply being waited for, which call it is of, and what came.
    var awaited: UInt64 = 0
    var awaitedCall: String?
    var answer: (status: keel_status, error: keel_error, bytes: [UInt8])?

    init(_ component: RemoteComponent, host: UnsafePointer<keel_host>, name: String, config: String) {
        self.component = component
        self.host = host
        self.name = name
        self.config = config
        budget = component.budget
    }

    // MARK: life

    func create(_ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        if let why = budget.quarantine {
            fill(error, status: KEEL_E_STATE, "quarantined: \(why)")
            return KEEL_E_STATE
        }
        let status = launch(error)
        guard status >= 0 else { return status }
        life = .created
        watchWorker()
        return KEEL_OK
    }

    func start(_ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        if let why = budget.quarantine {
            fill(error, status: KEEL_E_STATE, "quarantined: \(why)")
            return KEEL_E_STATE
        }
        if session == nil {
            let status = launch(error)
            guard status >= 0 else { return status }
        }
        let status = call(.start, "start", error)
        if status >= 0 { life = .running }
        return status
    }

    func stop(_ deadline: keel_time, _ request: UInt64, _ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        stopTimer(&restartTimer)
        guard session != nil else {
            // Nothing runs that could be stopped.
            life = .stopped
            emitDone(request, KEEL_OK, "no worker was running")
            return KEEL_OK
        }
        life = .stopping
        debts.add(request, .init(kind: .stop))
        let status = call(.stop, "stop", error) {
            $0.number(deadline)
            $0.number(request)
        }
        if status < 0 {
            debts.settle(request)
            life = .stopped
        }
        return status
    }

    /// The worker gets the time of one call to end in order; then it is killed.
    func destroy() {
        stopTimer(&restartTimer)
        stopTimer(&watchTimer)
        life = .fresh
        guard session != nil else { return }
        _ = call(.destroy, "destroy", nil)
        if let session { close(session) }
    }

    /// A new worker with a created (not started) instance. On failure nothing is left running.
    func launch(_ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        switch WorkerSession.start(settings, library: component.library.copy, component: component.metadata.id) {
        case .failure(let failure):
            fill(error, status: KEEL_E_INTERNAL, "the worker can't be started: \(String(cString: strerror(failure.code)))")
            return KEEL_E_INTERNAL
        case .success(let started): session = started
        }
        watch(true)
        guard waitUntil(limit: settings.startLimit, "its start", { $0.isReady }) else {
            fill(error, status: KEEL_E_INTERNAL, "the worker did not become ready; its output is in the log")
            return KEEL_E_INTERNAL
        }
        let status = call(.create, "create", error, limit: settings.startLimit) {
            $0.number(UInt32(lockstep ? 1 : 0))
            $0.block(name)
            $0.block(config)
        }
        if status < 0 {
            if let session { close(session) }
            return status
        }
        if let session { tell(.started(pid: session.child.pid)) }
        return KEEL_OK
    }

    var isReady = false

    func close(_ old: WorkerSession) {
        watch(false)
        session = nil
        isReady = false
        ping = nil
        old.child.kill()
        old.takeOutput(ended: true, printed)
        _ = old.child.end(within: 1_000_000_000)
    }

    // MARK: calls

    /// Sends a call and waits for its reply. `bytes` gets what the reply carries.
    func call(
        _ kind: FrameKind, _ what: String, _ error: UnsafeMutablePointer<keel_error>?, limit: keel_span? = nil,
        payload: (inout PayloadWriter) -> Void = { _ in }, bytes: (([UInt8]) -> keel_status)? = nil
    ) -> keel_status {
        guard let session else { return refused(kind, error) }
        var writer = PayloadWriter()
        payload(&writer)
        let serial = session.nextSerial()
        let limit = limit ?? settings.callLimit
        awaited = serial
        awaitedCall = what
        answer = nil
        defer {
            awaited = 0
            awaitedCall = nil
        }
        let sent = writer.bytes.withUnsafeBytes { raw in
            session.socket.send(
                kind, flags: FrameHeader.wantsReply, serial: serial, now: hostNow(), raw, wait: limit, whileFull: { self.drain(); return self.session === session })
        }
        guard self.session === session else { return lost(kind, error) }
        guard sent == .sent else {
            died(sent == .full ? .hung(call: what) : nil)
            return lost(kind, error)
        }
        guard waitUntil(limit: limit, what, { $0.answer != nil }), let answer else { return lost(kind, error) }
        self.answer = nil
        if answer.status < 0 { fill(error, with: answer.error) }
        // A configuration's problems come with a refusal.
        if answer.status >= 0 || kind == .checkConfig, let bytes {
            let status = bytes(answer.bytes)
            if status < 0 { return status }
        }
        return answer.status
    }

    /// Reads until `done`, or until the worker is dead: at the latest when `limit` has passed.
    private func waitUntil(limit: keel_span, _ what: String, _ done: (RemoteInstance) -> Bool) -> Bool {
        guard let session else { return false }
        let end = Monotonic.now() + limit
        while !done(self) {
            handle(session.receive(wait: true), session)
            guard self.session === session else { return false }
            if !done(self), Monotonic.now() >= end {
                died(.hung(call: what))
                return false
            }
        }
        return true
    }

    /// One-way, unless the pace is lockstep.
    func send(_ kind: FrameKind, _ payload: (inout PayloadWriter) -> Void) -> keel_status {
        if lockstep { return call(kind, "\(kind)", nil, payload: payload) }
        guard let session else { return KEEL_E_NETWORK }
        var writer = PayloadWriter(reserving: 256)
        payload(&writer)
        let sent = writer.bytes.withUnsafeBytes { raw in
            session.socket.send(
                kind, serial: session.nextSerial(), now: hostNow(), raw, wait: settings.callLimit,
                whileFull: { self.drain(); return self.session === session })
        }
        guard self.session === session else { return KEEL_E_NETWORK }
        if sent != .sent { died(sent == .full ? .hung(call: "\(kind)") : nil) }
        return sent == .sent ? KEEL_OK : KEEL_E_NETWORK
    }

    private func refused(_ kind: FrameKind, _ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        if let why = budget.quarantine {
            fill(error, status: KEEL_E_STATE, "quarantined: \(why)")
            return KEEL_E_STATE
        }
        fill(error, status: KEEL_E_NETWORK, "no worker is running at the moment: nothing was sent")
        return KEEL_E_NETWORK
    }

    /// The status of a call whose worker died before it answered.
    private func lost(_ kind: FrameKind, _ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        let status: keel_status
        switch kind {
        case .submit, .cancelOrder, .replace: status = KEEL_E_IN_DOUBT
        case .subscribe, .unsubscribe, .sync, .rankings, .account: status = KEEL_E_NETWORK
        default: status = KEEL_E_INTERNAL
        }
        fill(error, status: status, "the worker was lost during the call: \(lastCause.map { "\($0)" } ?? "it ended")")
        return status
    }

    var lastCause: WorkerCause?

    func hostNow() -> keel_time { host.pointee.now.map { $0(host) } ?? 0 }

    func log(_ level: UInt32, _ text: String) { text.withKeelText { host.pointee.log?(host, level, $0) } }

    func tell(_ event: WorkerEvent) { component.observer?.worker(of: name, event, budget: budget) }

    // MARK: what the worker says

    func onDescriptor(_ fd: Int32) {
        guard let session else { return }
        if fd == session.socket.fd { return drain() }
        if fd == session.child.descriptor {
            drain()
            if self.session === session { died(nil) }
            return
        }
        session.takeOutput(ended: false, printed)
    }

    /// Everything that has arrived, but not for ever: the lane has other work.
    func drain(most: Int = 256) {
        for _ in 0..<most {
            guard let session else { return }
            let received = session.receive(wait: false)
            if case .nothing = received { return }
            handle(received, session)
        }
    }

    private func handle(_ received: WorkerSession.Received, _ session: WorkerSession) {
        switch received {
        case .nothing, .part: break
        case .closed: died(nil)
        case .fault(let fault): died(.garbage("\(fault)"))
        case .message(let head, let payload): understand(head, payload, session)
        case .assembled(let head, let bytes): bytes.withUnsafeBytes { understand(head, $0, session) }
        }
    }

    private func understand(_ head: FrameHeader, _ payload: UnsafeRawBufferPointer, _ session: WorkerSession) {
        do throws(FrameFault) {
            switch try WorkerMessage(head, payload) {
            case .ready: isReady = true
            case .reply(let serial, let reply): try replied(serial, reply)
            case .emit(let event): emitted(event)
            case .log(let level, let text): borrow(text) { host.pointee.log?(host, level, $0) }
            case .fail(let why, let text): borrow(text) { host.pointee.fail?(host, why, $0) }
            case .asked(let instrument):
                if component.observer?.workerAsks(of: name, instrument: instrument) != true { pendingAsk = true }
            case .question(let serial, let question): answer(question, serial, session)
            }
        } catch {
            died(.garbage("\(error)"))
        }
    }

    private func replied(_ serial: UInt64, _ reply: WorkerMessage.Reply) throws(FrameFault) {
        if serial == ping?.serial {
            ping = nil
            return
        }
        guard serial == awaited, answer == nil else { throw .serial(serial) }
        answer = (reply.status, reply.error, Array(reply.bytes))
    }

    private func borrow(_ bytes: UnsafeRawBufferPointer, _ body: (keel_str) -> Void) {
        body(keel_str(ptr: bytes.baseAddress.map { $0.assumingMemoryBound(to: CChar.self) }, len: bytes.count))
    }

    private func answer(_ question: WorkerMessage.Question, _ serial: UInt64, _ session: WorkerSession) {
        var status = KEEL_E_UNSUPPORTED
        var bytes: [UInt8] = []
        switch question {
        case .secret(let name):
            (status, bytes) = ByteSink.collect(limit: InstanceHost.largestValue) { writer in
                var status = KEEL_E_UNSUPPORTED
                borrow(name) { if let secret = host.pointee.secret { status = secret(host, $0, writer) } }
                return status
            }
        case .put(let key, let value):
            borrow(key) { if let put = host.pointee.put { status = put(host, $0, value.baseAddress, value.count) } }
        case .get(let key):
            (status, bytes) = ByteSink.collect(limit: InstanceHost.largestValue) { writer in
                var status = KEEL_E_UNSUPPORTED
                borrow(key) { if let get = host.pointee.get { status = get(host, $0, writer) } }
                return status
            }
        case .instrument(let id):
            var value = keel_instrument()
            value.struct_size = UInt32(MemoryLayout<keel_instrument>.size)
            if let instrument = host.pointee.instrument { status = instrument(host, id, &value) }
            if status >= 0 {
                bytes = InstrumentWire.encode(value)
                session.told.insert(id)
            }
        case .timer(let delay, let period, let tag):
            var id: UInt64 = 0
            if let timer = host.pointee.timer { status = timer(host, delay, period, tag, &id) }
            withUnsafeBytes(of: id) { bytes = Array($0) }
        case .timerStop(let id):
            if let stop = host.pointee.timer_stop, id != watchTimer, id != restartTimer { status = stop(host, id) }
        }
        var writer = PayloadWriter(reserving: bytes.count + 4)
        writer.number(status)
        bytes.withUnsafeBytes { writer.raw($0) }
        // The worker waits for this and reads nothing else that could fill its socket.
        let sent = writer.bytes.withUnsafeBytes { session.socket.send(.answer, serial: serial, now: hostNow(), $0, wait: settings.callLimit) }
        wipe(&bytes)
        wipe(&writer.bytes)
        if sent != .sent, self.session === session { died(nil) }
    }

    func printed(_ level: UInt32, _ line: [UInt8]) {
        guard !line.isEmpty else { return }
        log(level, String(decoding: line, as: UTF8.self))
    }

    // MARK: watching

    func watch(_ on: Bool) {
        guard let session, let watch = host.pointee.watch else { return }
        for fd in [session.socket.fd, session.child.descriptor] + session.output.map(\.fd) {
            // Inline lanes watch nothing; there the next call finds out.
            _ = watch(host, fd, on ? KEEL_READABLE : 0)
        }
    }

    func watchWorker() {
        guard !lockstep, watchTimer == 0 else { return }
        _ = host.pointee.timer.map { $0(host, 250_000_000, 250_000_000, 0, &watchTimer) }
    }

    func stopTimer(_ timer: inout UInt64) {
        if timer != 0 { _ = host.pointee.timer_stop.map { $0(host, timer) } }
        timer = 0
    }

    func onTimer(_ id: UInt64, _ tag: UInt64) {
        if id == restartTimer {
            restartTimer = 0
            restart()
        } else if id == watchTimer {
            look()
        } else if session != nil {
            _ = call(.timerFired, "on_timer", nil) {
                $0.number(id)
                $0.number(tag)
            }
        }
    }

    /// Four times a second: is it alive, does it answer, how much memory does it hold.
    private func look() {
        guard let session else { return }
        if let limit = settings.memoryLimit, let used = session.child.memoryInUse(), used > limit {
            return died(.leaked(used: used, limit: limit))
        }
        let now = Monotonic.now()
        if let ping {
            if now - ping.sent > settings.callLimit * 2 {
                drain()
                if self.session === session, self.ping != nil { died(.hung(call: "its own work, no sign of life")) }
            }
            return
        }
        let serial = session.nextSerial()
        let sent = session.socket.send(
            .ping, flags: FrameHeader.wantsReply, serial: serial, now: hostNow(), UnsafeRawBufferPointer(start: nil, count: 0), wait: 0)
        if sent == .sent { ping = (serial, now) }
    }
}
