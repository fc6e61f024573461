import Glibc
import PluginAPI

/// What a plugin asks of its host, answered from memory where that is enough, else with a question to the host.
extension WorkerSide: HostServices {
    func now() -> keel_time { clock.now() }

    func emit(_ event: UnsafePointer<keel_event>, from instance: InstanceHost) -> keel_status {
        let raw = UnsafeRawBufferPointer(start: event, count: Int(event.pointee.size))
        let lossy = EventCheck.isLossy(event.pointee.kind)
        let (status, mustFlush) = spill.withLock { spill -> (keel_status, Bool) in
            if spill.frames.isEmpty {
                switch socket.send(.emit, serial: 0, raw, wait: 0) {
                case .sent: return (KEEL_OK, false)
                case .closed: return (KEEL_E_STATE, false)
                case .full: break
                }
            }
            if lossy { return (KEEL_E_AGAIN, false) }
            if spill.bytes + raw.count > Spill.most { _exit(WorkerExit.overflow) }
            spill.frames.append(Array(raw))
            spill.bytes += raw.count
            return (KEEL_OK, spill.frames.count == 1)
        }
        if mustFlush {
            lane?.post("flush") { [self] in _ = lane?.watch(socket.fd, interest: KEEL_READABLE | KEEL_WRITABLE, for: self) }
        }
        return status
    }

    func log(_ line: LogLine) { report(line.level.rawValue, line.text) }

    func failed(_ instance: InstanceHost, why: keel_status, text: String) {
        var writer = PayloadWriter()
        writer.number(why)
        writer.block(Array(text.utf8.prefix(InstanceHost.longestLine)))
        _ = writer.bytes.withUnsafeBytes { socket.send(.fail, serial: 0, $0, wait: 1_000_000_000) }
    }

    func secret(_ name: String, for instance: InstanceHost) -> Result<[UInt8], HostStatus> {
        var writer = PayloadWriter()
        writer.block(name)
        return ask(.secret, writer.bytes)
    }

    func put(_ key: String, _ bytes: [UInt8], for instance: InstanceHost) -> keel_status {
        var writer = PayloadWriter(reserving: bytes.count + 256)
        writer.block(key)
        writer.block(bytes)
        switch ask(.put, writer.bytes) {
        case .success: return KEEL_OK
        case .failure(let error): return error.status
        }
    }

    func get(_ key: String, for instance: InstanceHost) -> Result<[UInt8], HostStatus> {
        var writer = PayloadWriter()
        writer.block(key)
        return ask(.get, writer.bytes)
    }

    /// The host tells of every instrument before it is used, so that this answers from memory on any thread.
    func instrument(_ id: keel_instrument_id) -> InstrumentRecord? {
        if let known = records.withLock({ $0[id] }) { return known }
        var writer = PayloadWriter()
        writer.number(id)
        guard case .success(let bytes) = ask(.instrumentWanted, writer.bytes),
            let record = try? bytes.withUnsafeBytes({ try InstrumentWire.decode($0) })
        else { return nil }
        records.withLock { $0[id] = record }
        return record
    }

    /// Tables can't cross between processes.
    func service(_ id: String, for instance: InstanceHost) -> UnsafeRawPointer? { nil }
}

extension WorkerSide {
    /// Lockstep: the host keeps the timers.
    func hostTimer(delay: keel_span, period: keel_span, tag: UInt64, id: inout UInt64) -> keel_status {
        var writer = PayloadWriter()
        writer.number(delay)
        writer.number(period)
        writer.number(tag)
        switch ask(.timer, writer.bytes) {
        case .failure(let error): return error.status
        case .success(let bytes):
            guard bytes.count == 8 else { return KEEL_E_INTERNAL }
            id = bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
            return KEEL_OK
        }
    }

    func hostTimerStop(_ id: UInt64) -> keel_status {
        var writer = PayloadWriter()
        writer.number(id)
        switch ask(.timerStop, writer.bytes) {
        case .success: return KEEL_OK
        case .failure(let error): return error.status
        }
    }
}
