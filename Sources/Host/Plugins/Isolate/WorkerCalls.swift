import Glibc
import PluginAPI

/// What the host asks of a worker's instance, one frame each: the other half of `RemoteRoles`.
extension WorkerSide {
    func handle(_ head: FrameHeader, _ payload: UnsafeRawBufferPointer) {
        clock.set(head.now)
        current.store(head.kind.rawValue, ordering: .relaxed)
        depth += 1
        defer { depth -= 1 }
        do throws(FrameFault) {
            var reader = PayloadReader(payload, head.kind)
            let outcome = try perform(head.kind, &reader)
            instanceInlineLane?.deliverWakes()
            guard head.flags & FrameHeader.wantsReply != 0 else {
                if head.kind == .observe, outcome.status == KEEL_ASK {
                    var writer = PayloadWriter()
                    writer.number(lastObserved)
                    send(.asked, serial: 0, writer.bytes)
                }
                return
            }
            send(.reply, serial: head.serial, WorkerMessage.encodeReply(outcome.status, outcome.error, outcome.bytes))
        } catch {
            complain("keel worker: \(error)")
            _exit(WorkerExit.broken)
        }
    }

    struct Outcome {
        var status: keel_status = KEEL_OK
        var error: keel_error?
        var bytes: [UInt8] = []
    }

    private var instanceInlineLane: WorkerLane? { instanceLane as? WorkerLane }

    private func perform(_ kind: FrameKind, _ reader: inout PayloadReader) throws(FrameFault) -> Outcome {
        switch kind {
        case .ping: return Outcome()
        case .create:
            let flags: UInt32 = try reader.number()
            let name = String(decoding: try reader.block(most: 4096), as: UTF8.self)
            return create(name, String(decoding: try reader.block(most: 16 << 20), as: UTF8.self), lockstep: flags & 1 != 0)
        case .checkConfig: return checkConfig(String(decoding: try reader.block(most: 16 << 20), as: UTF8.self))
        case .instrument:
            let record = try InstrumentWire.decode(reader.rest())
            records.withLock { $0[record.id] = record }
            return Outcome()
        default: break
        }
        guard let hosted, let instance = hosted.instance else { return Outcome(status: KEEL_E_STATE) }
        switch kind {
        case .start: return outcome { () throws(CallError) in try hosted.start() }
        case .stop:
            let deadline: keel_time = try reader.number()
            let request: UInt64 = try reader.number()
            return outcome { () throws(CallError) in try hosted.stop(deadline: deadline, request: request) }
        case .destroy:
            hosted.destroy()
            return Outcome()
        case .timerFired:
            let id: UInt64 = try reader.number()
            hosted.laneTimer(id, tag: try reader.number())
            return Outcome()
        case .save:
            var result = Outcome()
            result = outcome { () throws(CallError) in result.bytes = try hosted.saveState() ?? [] }.carrying(result.bytes)
            return result
        case .load:
            let version: UInt32 = try reader.number()
            let bytes = Array(reader.rest())
            return outcome { () throws(CallError) in try hosted.loadState(bytes, version: version) }
        case .describe:
            var text: String?
            return outcome { () throws(CallError) in text = try hosted.describe() }.carrying(Array((text ?? "").utf8))
        default: return try role(kind, instance, &reader)
        }
    }

    private func role(_ kind: FrameKind, _ instance: OpaquePointer, _ reader: inout PayloadReader) throws(FrameFault) -> Outcome {
        var error = keel_error.empty()
        var status = KEEL_E_UNSUPPORTED
        switch kind {
        case .subscribe, .unsubscribe:
            let id: keel_instrument_id = try reader.number()
            let channels: UInt64 = try reader.number()
            let request: UInt64 = try reader.number()
            let function = kind == .subscribe ? tables.feed?.pointee.subscribe : tables.feed?.pointee.unsubscribe
            if let function { status = function(instance, id, channels, request, &error) }
        case .submit, .route:
            let request: UInt64 = try reader.number()
            let bytes = reader.rest()
            let function = kind == .submit ? tables.broker?.pointee.submit : tables.router?.pointee.route
            if let function { status = try withOrder(bytes, kind) { function(instance, $0, request, &error) } }
        case .cancelOrder:
            let id = keel_id(hi: try reader.number(), lo: try reader.number())
            let request: UInt64 = try reader.number()
            if let cancel = tables.broker?.pointee.cancel { status = cancel(instance, id, request, &error) }
        case .replace:
            let id = keel_id(hi: try reader.number(), lo: try reader.number())
            let request: UInt64 = try reader.number()
            let bytes = reader.rest()
            if let replace = tables.broker?.pointee.replace { status = try withOrder(bytes, kind) { replace(instance, id, $0, request, &error) } }
        case .sync:
            let since: keel_time = try reader.number()
            let request: UInt64 = try reader.number()
            if let sync = tables.broker?.pointee.sync { status = sync(instance, since, request, &error) }
        case .decide:
            let deadline: keel_time = try reader.number()
            let request: UInt64 = try reader.number()
            let bytes = reader.rest()
            guard bytes.count >= MemoryLayout<keel_snapshot>.size, let base = bytes.baseAddress else { throw .payload(kind: kind, what: "no snapshot") }
            if let decide = tables.decider?.pointee.decide {
                status = decide(instance, base.assumingMemoryBound(to: keel_snapshot.self), deadline, request, &error)
            }
        case .cancelDecision: tables.decider?.pointee.cancel?(instance, try reader.number())
        case .cancelRoute: tables.router?.pointee.cancel?(instance, try reader.number())
        case .observe, .routerEvent, .market:
            let bytes = reader.rest()
            if let fault = EventCheck.fault(bytes) { throw .event(fault) }
            guard let base = bytes.baseAddress else { throw .short(bytes: 0) }
            let event = base.assumingMemoryBound(to: keel_event.self)
            status = KEEL_OK
            if kind == .observe {
                lastObserved = event.pointee.instrument
                if let observe = tables.decider?.pointee.observe { status = observe(instance, event) }
            } else if kind == .routerEvent {
                tables.router?.pointee.on_event?(instance, event)
            } else {
                tables.market?.pointee.on_market?(instance, event)
            }
        case .rankings:
            let most: UInt32 = try reader.number()
            let request: UInt64 = try reader.number()
            let list = String(decoding: try reader.block(most: 65536), as: UTF8.self)
            if let fetch = tables.rankings?.pointee.fetch { status = list.withKeelText { fetch(instance, $0, most, request, &error) } }
        case .account:
            let request: UInt64 = try reader.number()
            if let summary = tables.account?.pointee.summary { status = summary(instance, request, &error) }
        default: throw .direction(kind.rawValue)
        }
        return Outcome(status: status, error: status < 0 ? error : nil)
    }

    private func withOrder(
        _ bytes: UnsafeRawBufferPointer, _ kind: FrameKind, _ body: (UnsafePointer<keel_order>) -> keel_status
    ) throws(FrameFault) -> keel_status {
        guard bytes.count >= MemoryLayout<keel_order>.size, let base = bytes.baseAddress, UInt(bitPattern: base) % 8 == 0 else {
            throw .payload(kind: kind, what: "no order")
        }
        return body(base.assumingMemoryBound(to: keel_order.self))
    }

    private func create(_ name: String, _ config: String, lockstep: Bool) -> Outcome {
        guard hosted == nil, let lane else { return Outcome(status: KEEL_E_STATE) }
        self.lockstep = lockstep
        clock.standsStill(lockstep)
        let own: any InstanceLane = lockstep ? WorkerLane(lane, self) : lane
        instanceLane = own
        let made = InstanceHost(name: name, tables: tables, lane: own, services: self, grantedSecrets: nil, redactor: redactor)
        hosted = made
        return outcome { () throws(CallError) in try made.create(config: config) }
    }

    private func checkConfig(_ config: String) -> Outcome {
        guard let check = tables.component.pointee.check_config else { return Outcome(status: KEEL_OK) }
        let (status, bytes) = ByteSink.collect(limit: InstanceHost.largestValue) { report in
            config.withKeelText { check(tables.original, $0, report) }
        }
        return Outcome(status: status, bytes: bytes)
    }

    private func outcome(_ body: () throws(CallError) -> Void) -> Outcome {
        do throws(CallError) {
            try body()
            return Outcome()
        } catch {
            var c = keel_error.empty()
            c.status = error.status
            c.vendor_code = error.vendorCode
            c.retry_after = error.retryAfter
            c.setText(error.message)
            return Outcome(status: error.status, error: c)
        }
    }
}

extension WorkerSide.Outcome {
    func carrying(_ bytes: [UInt8]) -> WorkerSide.Outcome {
        var result = self
        if result.status >= 0 { result.bytes = bytes }
        return result
    }
}
