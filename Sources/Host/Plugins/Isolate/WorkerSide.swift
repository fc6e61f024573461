import CSystem
import Glibc
import PluginAPI
import Synchronization

/// A worker's end of the socket: packets in on the lane, frames out from any thread, questions to the host that the plugin waits in.
final class WorkerSide: LaneClient, LaneObserver, @unchecked Sendable {
    let laneName = "worker"
    let laneMark = LaneMark()
    let socket: PacketSocket
    let tables: ComponentTables
    let clock = WorkerClock()
    let redactor = SecretRedactor()
    let spill = Mutex(Spill())
    private let serials = Atomic<UInt64>(0)
    let current = Atomic<UInt16>(0)
    let records = Mutex<[keel_instrument_id: InstrumentRecord]>([:])

    // On the lane only.
    var lastObserved: keel_instrument_id = 0
    var lane: Lane?
    var instanceLane: (any InstanceLane)?
    var hosted: InstanceHost?
    var lockstep = false
    private var assembler = FrameAssembler(fromWorker: false)
    private let buffers: [UnsafeMutableRawBufferPointer]
    private var deferred: [(FrameHeader, [UInt8])] = []
    var depth = 0

    /// Lossless events that found no room. More than this means that the host is not reading any more.
    struct Spill {
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

    // MARK: frames to the host

    /// Waits for room: used for what must arrive now.
    func send(_ kind: FrameKind, serial: UInt64, _ bytes: [UInt8]) {
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

    func report(_ level: UInt32, _ text: String) {
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

}
