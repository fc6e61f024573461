import Glibc
import PluginAPI

/// What a worker says - replies, events, lines, questions - and whether it still lives.
extension RemoteInstance {
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

    func handle(_ received: WorkerSession.Received, _ session: WorkerSession) {
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
