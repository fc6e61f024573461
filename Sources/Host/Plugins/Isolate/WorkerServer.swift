import CSystem
import Glibc
import PluginAPI
import Synchronization

/// Exit codes of a worker.
enum WorkerExit {
    static let noLibrary: Int32 = 71
    static let hostGone: Int32 = 0
    static let broken: Int32 = 73
    static let overflow: Int32 = 74
    static let hung: Int32 = 75
}

/// The child's side: one component, one instance, the same lane and host table as in-process, and frames for services.
enum WorkerServer {
    static func run(socket fd: Int32, library: String, component: String, limit: keel_span) -> Int32 {
        Loader.becomeWorker()
        let tables: ComponentTables
        do throws(LoadError) {
            tables = try find(component, in: library)
        } catch {
            complain("\(error)")
            return WorkerExit.noLibrary
        }
        let side = WorkerSide(PacketSocket(fd), tables)
        do throws(LaneError) {
            try side.begin(limit: limit)
        } catch {
            complain("\(error)")
            return WorkerExit.broken
        }
        // The lane ends the process when the host is gone. If the plugin holds the lane, this thread does.
        while csystem_wait_ready(fd, 0, 3_600_000_000_000) == 0 {}
        usleep(300_000)
        _exit(WorkerExit.hostGone)
    }

    private static func find(_ id: String, in library: String) throws(LoadError) -> ComponentTables {
        let table = try OpenLibrary(library, shown: library).negotiate(shown: library)
        do throws(DescriptorReader.Fault) {
            _ = try DescriptorReader.read(table)
        } catch {
            throw .badDescriptor(path: library, component: error.component, what: error.what)
        }
        var offers: [String] = []
        for index in 0..<Int(table.pointee.component_count) {
            guard let component = table.pointee.components[index], let tables = ComponentTables(component) else { continue }
            if tables.id == id { return tables }
            offers.append(tables.id)
        }
        throw .noSuchComponent(id: id, path: library, offers: offers)
    }
}

/// The services of a worker's instance are frames to the host.
final class WorkerSide: HostServices, LaneClient, LaneObserver, @unchecked Sendable {
    let laneName = "worker"
    let laneMark = LaneMark()
    private let socket: PacketSocket
    private let tables: ComponentTables
    private let clock = WorkerClock()
    private let redactor = SecretRedactor()
    private let spill = Mutex(Spill())
    private let serials = Atomic<UInt64>(0)
    private let current = Atomic<UInt16>(0)
    private let records = Mutex<[keel_instrument_id: InstrumentRecord]>([:])

    // On the lane only.
    private var lane: Lane?
    private var instanceLane: (any InstanceLane)?
    private var hosted: InstanceHost?
    private var lockstep = false
    private var assembler = FrameAssembler(fromWorker: false)
    private let buffers: [UnsafeMutableRawBufferPointer]
    private var deferred: [(FrameHeader, [UInt8])] = []
    private var depth = 0

    /// Lossless events that found no room. More than this means that the host is not reading any more.
    private struct Spill {
        var frames: [[UInt8]] = []
        var bytes = 0
        static let most = 64 << 20
    }

    init(_ socket: PacketSocket, _ tables: ComponentTables) {
        self.socket = socket
        self.tables = tables
        buffers = (0..<2).map { _ in .allocate(byteCount: PacketSocket.bufferSize, alignment: 16) }
    }

    /// `limit`: how long one call may take before this process ends itself, if the host has not done it.
    func begin(limit: keel_span) throws(LaneError) {
        let lane = try Lane(name: "keel-lane", limits: LaneLimits(hang: limit), observer: self)
        lane.attach(self)
        lane.post("begin") { [self] in
            self.lane = lane
            _ = lane.watch(socket.fd, interest: KEEL_READABLE, for: self)
            var writer = PayloadWriter()
            writer.number(KEEL_ABI_MAJOR)
            send(.ready, serial: 0, writer.bytes)
        }
    }

    // MARK: the lane

    func laneTimer(_ id: UInt64, tag: UInt64) {}
    func laneWoken() {}

    func laneReady(_ fd: Int32, ready: UInt32) {
        if ready & KEEL_WRITABLE != 0 { flush() }
        for _ in 0..<64 {
            if !deferred.isEmpty {
                let (head, bytes) = deferred.removeFirst()
                bytes.withUnsafeBytes { handle(head, $0) }
                continue
            }
            guard readOne(wait: false) else { return }
        }
    }

    /// Reads one packet and acts on a whole message. False: nothing was there.
    private func readOne(wait: Bool) -> Bool {
        let buffer = buffers[min(depth, buffers.count - 1)]
        let got = csystem_packet_receive(socket.fd, buffer.baseAddress, UInt64(buffer.count), wait ? 1 : 0)
        if got == -Int64(EAGAIN) || got == -Int64(EINTR) { return false }
        guard got > 0 else { _exit(WorkerExit.hostGone) }
        do throws(FrameFault) {
            switch try assembler.accept(UnsafeRawBufferPointer(rebasing: buffer[..<Int(got)])) {
            case .partial: break
            case .inPlace(let head, let payload): take(head, payload)
            case .assembled(let head, let bytes): bytes.withUnsafeBytes { take(head, $0) }
            }
        } catch {
            complain("keel worker: \(error)")
            _exit(WorkerExit.broken)
        }
        return true
    }

    private func take(_ head: FrameHeader, _ payload: UnsafeRawBufferPointer) {
        if head.kind == .answer {
            if head.serial == asked { answered = Array(payload) }
        } else if depth > 0 {
            // A call while the plugin waits for an answer: its turn comes when the plugin has returned.
            deferred.append((head, Array(payload)))
        } else {
            handle(head, payload)
        }
    }

    func laneWasSlow(_ call: LaneCall, took: keel_span) {
        report(KEEL_LOG_WARN, "\(named(call)) took \(took / 1_000_000) ms")
    }

    func laneHangs(_ call: LaneCall, since: keel_span) {
        complain("\(named(call)) has not returned for \(since / 1_000_000) ms")
        _exit(WorkerExit.hung)
    }

    func laneRecovered(_ call: LaneCall, took: keel_span) {}

    /// The lane knows only that it reads the socket; what the host asked for there is the call.
    private func named(_ call: LaneCall) -> String {
        guard call.instance == laneName, let kind = FrameKind(rawValue: current.load(ordering: .relaxed)) else { return call.description }
        return "\(kind)"
    }

    // MARK: calls from the host

    private func handle(_ head: FrameHeader, _ payload: UnsafeRawBufferPointer) {
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

    fileprivate struct Outcome {
        var status: keel_status = KEEL_OK
        var error: keel_error?
        var bytes: [UInt8] = []
    }

    private var lastObserved: keel_instrument_id = 0
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

    // MARK: frames to the host

    /// Waits for room: used for what must arrive now.
    private func send(_ kind: FrameKind, serial: UInt64, _ bytes: [UInt8]) {
        let sent = bytes.withUnsafeBytes { socket.send(kind, serial: serial, $0, wait: 10_000_000_000) }
        if sent != .sent { _exit(sent == .closed ? WorkerExit.hostGone : WorkerExit.overflow) }
    }

    private var asked: UInt64 = 0
    private var answered: [UInt8]?

    /// A question to the host, on the lane; the plugin waits in it.
    func ask(_ kind: FrameKind, _ bytes: [UInt8]) -> Result<[UInt8], HostStatus> {
        guard lane?.isCurrent == true else { return .failure(HostStatus(KEEL_E_STATE)) }
        let serial = serials.wrappingAdd(1, ordering: .relaxed).newValue
        depth += 1
        defer { depth -= 1 }
        asked = serial
        answered = nil
        send(kind, serial: serial, bytes)
        while answered == nil { _ = readOne(wait: true) }
        asked = 0
        guard let answer = answered, answer.count >= 4 else { return .failure(HostStatus(KEEL_E_INTERNAL)) }
        answered = nil
        // Calls that came meanwhile wait in memory, where no descriptor tells of them.
        if !deferred.isEmpty { _ = lane?.post("deferred") { [self] in laneReady(socket.fd, ready: 0) } }
        let status = answer.withUnsafeBytes { $0.loadUnaligned(as: keel_status.self) }
        return status < 0 ? .failure(HostStatus(status)) : .success(Array(answer[4...]))
    }

    private func report(_ level: UInt32, _ text: String) {
        var writer = PayloadWriter(reserving: text.utf8.count + 8)
        writer.number(level)
        writer.block(Array(text.utf8.prefix(InstanceHost.longestLine)))
        // A line may be lost when the host does not keep up; nothing else may.
        _ = writer.bytes.withUnsafeBytes { socket.send(.log, serial: 0, $0, wait: 0) }
    }

    /// Sends what was spilled, as far as there is room.
    private func flush() {
        let empty = spill.withLock { spill in
            var sent = 0
            for frame in spill.frames {
                let result = frame.withUnsafeBytes { socket.send(.emit, serial: 0, $0, wait: 0) }
                if result == .closed { _exit(WorkerExit.hostGone) }
                if result == .full { break }
                spill.bytes -= frame.count
                sent += 1
            }
            spill.frames.removeFirst(sent)
            return spill.frames.isEmpty
        }
        if empty, let lane { _ = lane.watch(socket.fd, interest: KEEL_READABLE, for: self) }
    }

    // MARK: HostServices

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

extension WorkerSide.Outcome {
    fileprivate func carrying(_ bytes: [UInt8]) -> WorkerSide.Outcome {
        var result = self
        if result.status >= 0 { result.bytes = bytes }
        return result
    }
}
