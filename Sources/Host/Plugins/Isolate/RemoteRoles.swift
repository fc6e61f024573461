import Glibc
import PluginAPI

/// The role and extension calls of a remote instance, one frame each.
extension RemoteInstance {
    /// Requests that this side makes by itself; the host numbers its own from 1.
    static let firstOwnRequest: UInt64 = 0xffff_0000_0000_0000

    // MARK: feed

    func subscribe(
        _ kind: FrameKind, _ id: keel_instrument_id, _ channels: UInt64, _ request: UInt64, _ error: UnsafeMutablePointer<keel_error>?
    ) -> keel_status {
        introduce(id)
        let status = owed(request, .init(kind: kind == .subscribe ? .subscribe : .unsubscribe)) {
            call(kind, "\(kind)", error) {
                $0.number(id)
                $0.number(channels)
                $0.number(request)
            }
        }
        // What it has is also what a worker after it must ask for.
        if kind == .subscribe, status >= 0 { subscriptions[id, default: 0] |= channels }
        if kind == .unsubscribe, let left = subscriptions[id].map({ $0 & ~channels }) { subscriptions[id] = left == 0 ? nil : left }
        return status
    }

    func resubscribe(_ id: keel_instrument_id, _ channels: UInt64, _ request: UInt64, _ error: inout keel_error) -> keel_status {
        introduce(id)
        return call(.subscribe, "subscribe", &error) {
            $0.number(id)
            $0.number(channels)
            $0.number(request)
        }
    }

    // MARK: broker

    func submit(_ order: UnsafePointer<keel_order>?, _ request: UInt64, _ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        guard let order, let bytes = orderBytes(order) else { return invalid(error, "no order, or one whose struct_size makes no sense") }
        if mustSync, session != nil { return unsynced(error) }
        introduce(order.pointee.instrument)
        debts.submitted(order.pointee)
        let status = owed(request, .init(kind: .submit, order: order.pointee.id)) {
            call(.submit, "submit", error) {
                $0.number(request)
                $0.raw(bytes)
            }
        }
        // Refused is certainly not sent. In doubt stays known, until a later state settles it.
        if status < 0, status != KEEL_E_IN_DOUBT, status != KEEL_E_DUPLICATE { debts.forget(order.pointee.id) }
        return status
    }

    func cancelOrder(_ id: keel_id, _ request: UInt64, _ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        owed(request, .init(kind: .cancelOrder, order: id)) {
            call(.cancelOrder, "cancel", error) {
                $0.number(id.hi)
                $0.number(id.lo)
                $0.number(request)
            }
        }
    }

    func replace(
        _ id: keel_id, _ with: UnsafePointer<keel_order>?, _ request: UInt64, _ error: UnsafeMutablePointer<keel_error>?
    ) -> keel_status {
        guard let with, let bytes = orderBytes(with) else { return invalid(error, "no order, or one whose struct_size makes no sense") }
        if mustSync, session != nil { return unsynced(error) }
        introduce(with.pointee.instrument)
        return owed(request, .init(kind: .replace, order: id)) {
            call(.replace, "replace", error) {
                $0.number(id.hi)
                $0.number(id.lo)
                $0.number(request)
                $0.raw(bytes)
            }
        }
    }

    func sync(_ since: keel_time, _ request: UInt64, _ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        let before = syncRequest
        syncRequest = request
        let status = owed(request, .init(kind: .sync)) {
            call(.sync, "sync", error) {
                $0.number(since)
                $0.number(request)
            }
        }
        if status < 0 { syncRequest = before }
        return status
    }

    // MARK: decider, router, market

    func decide(
        _ snapshot: UnsafePointer<keel_snapshot>?, _ deadline: keel_time, _ request: UInt64, _ error: UnsafeMutablePointer<keel_error>?
    ) -> keel_status {
        guard let snapshot, Int(snapshot.pointee.size) >= MemoryLayout<keel_snapshot>.size else { return invalid(error, "no snapshot") }
        introduce(snapshot.pointee.instrument)
        let bytes = UnsafeRawBufferPointer(start: snapshot, count: Int(snapshot.pointee.size))
        return owed(request, .init(kind: .decide)) {
            call(.decide, "decide", error) {
                $0.number(deadline)
                $0.number(request)
                $0.raw(bytes)
            }
        }
    }

    func observe(_ event: UnsafePointer<keel_event>?) -> keel_status {
        let status = tell(.observe, event)
        if lockstep { return status }
        // A worker that is not there can't ask; that is no failure of the event.
        defer { pendingAsk = false }
        return pendingAsk ? KEEL_ASK : KEEL_OK
    }

    func route(_ parent: UnsafePointer<keel_order>?, _ request: UInt64, _ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        guard let parent, let bytes = orderBytes(parent) else { return invalid(error, "no order, or one whose struct_size makes no sense") }
        introduce(parent.pointee.instrument)
        return owed(request, .init(kind: .route)) {
            call(.route, "route", error) {
                $0.number(request)
                $0.raw(bytes)
            }
        }
    }

    func cancelRequest(_ kind: FrameKind, _ request: UInt64) { _ = send(kind) { $0.number(request) } }

    /// An event for observe, on_event or on_market.
    func tell(_ kind: FrameKind, _ event: UnsafePointer<keel_event>?) -> keel_status {
        guard let event else { return KEEL_E_INVALID }
        let size = Int(event.pointee.size)
        guard size >= EventCheck.headerSize, size <= Int(KEEL_EVENT_MAX) else { return KEEL_E_INVALID }
        introduce(event.pointee.instrument)
        return send(kind) { $0.raw(UnsafeRawBufferPointer(start: event, count: size)) }
    }

    // MARK: extensions

    func save(_ out: UnsafePointer<keel_writer>?, _ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        guard let out, let write = out.pointee.write else { return KEEL_E_INVALID }
        return call(.save, "save", error, limit: settings.startLimit, bytes: { [self] bytes in
            state = (component.metadata.stateVersion, bytes)
            return bytes.withUnsafeBytes { write(out, $0.baseAddress, $0.count) }
        })
    }

    func load(_ version: UInt32, _ input: UnsafePointer<keel_reader>?, _ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        guard let input, let read = input.pointee.read else { return KEEL_E_INVALID }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let got = read(input, &chunk, chunk.count)
            if got < 0 { return keel_status(truncatingIfNeeded: got) }
            if got == 0 { break }
            guard got <= chunk.count, bytes.count + Int(got) <= ByteSink.largestState else { return KEEL_E_RANGE }
            bytes += chunk[..<Int(got)]
        }
        let status = call(.load, "load", error, limit: settings.startLimit) {
            $0.number(version)
            $0.raw(bytes)
        }
        if status >= 0 { state = (version, bytes) }
        return status
    }

    func describe(_ out: UnsafePointer<keel_writer>?) -> keel_status {
        guard let out, let write = out.pointee.write else { return KEEL_E_INVALID }
        return call(.describe, "describe", nil, bytes: { bytes in bytes.withUnsafeBytes { write(out, $0.baseAddress, $0.count) } })
    }

    func rankings(_ list: keel_str, _ most: UInt32, _ request: UInt64, _ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        guard let list = list.text() else { return invalid(error, "the list's name is too long") }
        return owed(request, .init(kind: .rankings)) {
            call(.rankings, "rankings", error) {
                $0.number(most)
                $0.number(request)
                $0.block(list)
            }
        }
    }

    func summary(_ request: UInt64, _ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        owed(request, .init(kind: .account)) { call(.account, "summary", error) { $0.number(request) } }
    }

    /// A worker of its own for one question; no instance exists.
    static func checkConfig(_ component: RemoteComponent, _ json: keel_str, _ report: UnsafePointer<keel_writer>?) -> keel_status {
        guard let config = json.text(limit: 16 << 20) else { return KEEL_E_INVALID }
        // The tables of a host that isn't there: nothing is emitted, logged or asked.
        var silent = keel_host()
        silent.struct_size = UInt32(MemoryLayout<keel_host>.size)
        return withUnsafePointer(to: &silent) { host in
            let asker = RemoteInstance(component, host: host, name: component.metadata.id, config: config)
            return asker.askConfig(config, report)
        }
    }

    private func askConfig(_ config: String, _ report: UnsafePointer<keel_writer>?) -> keel_status {
        guard case .success(let started) = WorkerSession.start(settings, library: component.library.copy, component: component.metadata.id) else {
            return KEEL_E_INTERNAL
        }
        session = started
        defer { if let session { close(session) } }
        return call(.checkConfig, "check_config", nil, limit: settings.startLimit) {
            $0.block(config)
        } bytes: { bytes in
            guard let report, let write = report.pointee.write, !bytes.isEmpty else { return KEEL_OK }
            return bytes.withUnsafeBytes { write(report, $0.baseAddress, $0.count) }
        }
    }

    // MARK: helpers

    /// Notes a request as owed before the call, because its events may come before its reply; takes the note back if it is refused. If
    /// the worker dies in the call, the call's status says so, and no DONE.
    private func owed(_ request: UInt64, _ debt: Debts.Request, _ make: () -> keel_status) -> keel_status {
        guard session != nil else { return make() }
        debts.add(request, debt)
        awaitedRequest = request
        let status = make()
        awaitedRequest = 0
        if status < 0 { debts.settle(request) }
        return status
    }

    /// The worker must know an instrument before it is asked about it.
    private func introduce(_ id: keel_instrument_id) {
        guard id != 0, let session, session.told.insert(id).inserted else { return }
        var value = keel_instrument()
        value.struct_size = UInt32(MemoryLayout<keel_instrument>.size)
        guard let instrument = host.pointee.instrument, instrument(host, id, &value) >= 0 else { return }
        let bytes = InstrumentWire.encode(value)
        let sent = bytes.withUnsafeBytes { raw in
            session.socket.send(.instrument, serial: session.nextSerial(), now: hostNow(), raw, wait: settings.callLimit)
        }
        if sent != .sent { died(sent == .full ? .hung(call: "its own work") : nil) }
    }

    private func orderBytes(_ order: UnsafePointer<keel_order>) -> UnsafeRawBufferPointer? {
        let size = Int(order.pointee.struct_size)
        guard size >= MemoryLayout<keel_order>.size, size <= 4096 else { return nil }
        return UnsafeRawBufferPointer(start: order, count: size)
    }

    private func invalid(_ error: UnsafeMutablePointer<keel_error>?, _ text: String) -> keel_status {
        fill(error, status: KEEL_E_INVALID, text)
        return KEEL_E_INVALID
    }

    private func unsynced(_ error: UnsafeMutablePointer<keel_error>?) -> keel_status {
        fill(error, status: KEEL_E_STATE, "the worker was restarted: sync first, then orders are taken again")
        return KEEL_E_STATE
    }
}
