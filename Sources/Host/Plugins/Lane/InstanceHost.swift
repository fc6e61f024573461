import PluginAPI
import PluginKit
import Synchronization

/// One instance as the host holds it: its C host table, its lane, its life from `create` to `destroy`.
///
/// Everything a plugin does through its `keel_host` arrives here first: [lane] calls made elsewhere are refused, events and texts are
/// checked, log lines are limited and cleaned of secrets, and each breach is counted and logged as misbehaviour. What passes goes to
/// the host's `HostServices`. An instance in a worker process looks the same: its tables are proxies.
///
/// The role tables are called directly: `host.tables.broker?.pointee.submit(host.instance, ...)`, on the lane.
public final class InstanceHost: LaneClient, @unchecked Sendable {
    public let name: String
    public let tables: ComponentTables
    public let lane: any InstanceLane
    public let services: any HostServices
    public let redactor: SecretRedactor
    public let laneMark = LaneMark()
    public var laneName: String { name }

    public enum Phase: UInt8, Sendable, AtomicRepresentable {
        case fresh, creating, created, starting, running, stopping, stopped, destroying, destroyed
    }
    public var phase: Phase { currentPhase.load(ordering: .acquiring) }

    /// The plugin's own pointer, between `create` and `destroy`.
    public private(set) var instance: OpaquePointer?
    /// How often the plugin broke a rule of the header that the host can see.
    public var misbehaviours: Int { misbehaviourCount.load(ordering: .relaxed) }
    /// Events of kinds this host doesn't know.
    public var skippedEvents: Int { skippedCount.load(ordering: .relaxed) }

    private let grantedSecrets: Set<String>?
    /// Timers set in `create` that came up before `start`: on_timer is legal only after it.
    private var dueBeforeStart: [(id: UInt64, tag: UInt64)] = []
    private let currentPhase = Atomic<Phase>(.fresh)
    private let stopRequest = Atomic<UInt64>(0)
    private let misbehaviourCount = Atomic<Int>(0)
    private let skippedCount = Atomic<Int>(0)
    private let logLimit = Mutex(LogLimit())
    /// Errors have a bucket of their own: chatter must not keep the line out that says why an instance died.
    private let errorLimit = Mutex(LogLimit())
    private let instruments = Mutex(InstrumentArena())
    /// Never freed: a plugin's forgotten thread that calls the host after `destroy` must find a table that says no.
    private let table: UnsafeMutablePointer<keel_host>

    public static let longestKey = 128
    public static let largestValue = 1 << 20
    public static let longestLine = 8192

    /// `grantedSecrets`: the names the manifest grants this instance; nil leaves it to the services (in a worker, the host decides).
    public init(
        name: String, tables: ComponentTables, lane: any InstanceLane, services: any HostServices,
        grantedSecrets: Set<String>? = [], redactor: SecretRedactor
    ) {
        self.name = name
        self.tables = tables
        self.lane = lane
        self.services = services
        self.grantedSecrets = grantedSecrets
        self.redactor = redactor
        table = .allocate(capacity: 1)
        table.initialize(to: HostTable.make())
        // The one reference that keeps this object alive for that table.
        table.pointee.ctx = Unmanaged.passRetained(self).toOpaque()
    }

    /// What `create` is given.
    public var hostTable: UnsafePointer<keel_host> { UnsafePointer(table) }

    // MARK: life, on the lane

    /// Makes the instance. `config`: one JSON object, checked, defaults filled in.
    public func create(config: String) throws(CallError) {
        try require("create", lanePhases: [.fresh, .destroyed])
        guard let create = tables.component.pointee.create else { throw refused("create", KEEL_E_UNSUPPORTED, "the component has no create") }
        currentPhase.store(.creating, ordering: .releasing)
        lane.attach(self)
        var error = keel_error.empty()
        var made: OpaquePointer?
        let status = name.withKeelText { name in
            config.withKeelText { config in create(tables.original, hostTable, name, config, &made, &error) }
        }
        if status >= 0, made != nil {
            instance = made
            currentPhase.store(.created, ordering: .releasing)
            return
        }
        lane.forget(self)
        currentPhase.store(.fresh, ordering: .releasing)
        if made != nil { misbehaved("create failed but set its instance; it is not used") }
        if status >= 0 { throw refused("create", KEEL_E_INTERNAL, "it answered OK without an instance") }
        throw failure("create", status, error)
    }

    public func start() throws(CallError) {
        try require("start", lanePhases: [.created, .stopped])
        let before = phase
        guard let start = tables.component.pointee.start else { throw refused("start", KEEL_E_UNSUPPORTED, "the component has no start") }
        currentPhase.store(.starting, ordering: .releasing)
        var error = keel_error.empty()
        let status = start(instance, &error)
        currentPhase.store(status >= 0 ? .running : before, ordering: .releasing)
        if status < 0 { throw failure("start", status, error) }
        let due = dueBeforeStart
        dueBeforeStart = []
        for timer in due { laneTimer(timer.id, tag: timer.tag) }
    }

    /// Asks the instance to stop. It has stopped when the DONE of `request` was emitted: `phase` is `.stopped` from then on.
    public func stop(deadline: keel_time, request: UInt64) throws(CallError) {
        try require("stop", lanePhases: [.running])
        guard let stop = tables.component.pointee.stop else { throw refused("stop", KEEL_E_UNSUPPORTED, "the component has no stop") }
        stopRequest.store(request, ordering: .releasing)
        currentPhase.store(.stopping, ordering: .releasing)
        var error = keel_error.empty()
        let status = stop(instance, deadline, request, &error)
        if status < 0 {
            currentPhase.store(.stopped, ordering: .releasing)
            throw failure("stop", status, error)
        }
    }

    /// Ends the instance's life: after this nothing of it can call or be called. Also right for an instance that never stopped.
    public func destroy() {
        guard lane.isCurrent else {
            report(.hostMisbehaving, "destroy called off the lane; refused")
            return
        }
        guard let pointer = instance else { return }
        currentPhase.store(.destroying, ordering: .releasing)
        // Before the call: a timer that fires while the plugin frees itself would find half of it.
        lane.forget(self)
        if let destroy = tables.component.pointee.destroy { destroy(pointer) }
        instance = nil
        dueBeforeStart = []
        lane.forget(self)
        currentPhase.store(.destroyed, ordering: .releasing)
    }

    /// The bytes of `keel.state/1`; nil if the component has no state.
    public func saveState() throws(CallError) -> [UInt8]? {
        guard let state = tables.state, let save = state.pointee.save else { return nil }
        try require("save", lanePhases: [.created, .stopped])
        var error = keel_error.empty()
        let (status, bytes) = ByteSink.collect(limit: ByteSink.largestState) { writer in save(instance, writer, &error) }
        if status < 0 { throw failure("save", status, error) }
        return bytes
    }

    public func loadState(_ bytes: [UInt8], version: UInt32) throws(CallError) {
        guard let state = tables.state, let load = state.pointee.load else { throw refused("load", KEEL_E_UNSUPPORTED, "it has no state") }
        try require("load", lanePhases: [.created])
        var error = keel_error.empty()
        let status = ByteSource.offer(bytes) { reader in load(instance, version, reader, &error) }
        if status < 0 { throw failure("load", status, error) }
    }

    /// What the instance says about itself, as JSON text; nil if it says nothing.
    public func describe() throws(CallError) -> String? {
        guard let describe = tables.describe?.pointee.describe else { return nil }
        try require("describe", lanePhases: [.created, .running, .stopped])
        let (status, bytes) = ByteSink.collect(limit: Self.largestValue) { writer in describe(instance, writer) }
        if status < 0 { throw failure("describe", status, keel_error.empty()) }
        return redactor.redact(String(decoding: bytes, as: UTF8.self))
    }

    /// A call's refusal as an error, its text without secrets.
    public func failure(_ call: String, _ status: keel_status, _ error: keel_error) -> CallError {
        CallError(
            instance: name, call: call, status: status, vendorCode: error.vendor_code, retryAfter: max(0, error.retry_after),
            message: redactor.redact(error.text))
    }

    private func refused(_ call: String, _ status: keel_status, _ message: String) -> CallError {
        CallError(instance: name, call: call, status: status, message: message)
    }

    private func require(_ call: String, lanePhases: Set<Phase>) throws(CallError) {
        guard lane.isCurrent else { throw refused(call, KEEL_E_STATE, "called off its lane") }
        guard lanePhases.contains(phase) else { throw refused(call, KEEL_E_STATE, "not legal while \(phase)") }
    }

    // MARK: what the lane calls

    public func laneTimer(_ id: UInt64, tag: UInt64) {
        guard let instance, let onTimer = tables.component.pointee.on_timer else { return }
        switch phase {
        case .starting, .running, .stopping: onTimer(instance, id, tag)
        case .created: dueBeforeStart.append((id, tag))
        default: break
        }
    }

    public func laneReady(_ fd: Int32, ready: UInt32) {
        guard let instance, let onFD = tables.component.pointee.on_fd else { return }
        switch phase {
        case .starting, .running, .stopping: onFD(instance, fd, ready)
        default:
            // Nobody may serve it now, and a ready descriptor would keep the lane spinning.
            _ = lane.watch(fd, interest: 0, for: self)
            report(.debug, "descriptor \(fd) became ready while \(phase); no longer watched")
        }
    }

    public func laneWoken() {
        guard let instance, let onWake = tables.component.pointee.on_wake else { return }
        onWake(instance)
    }

    // MARK: what the plugin calls

    var alive: Bool {
        switch phase {
        case .fresh, .destroyed: false
        default: true
        }
    }

    /// Counts a breach of the header's rules, and says it in the log.
    public func misbehaved(_ what: String) {
        misbehaviourCount.wrappingAdd(1, ordering: .relaxed)
        report(.pluginMisbehaving, what)
    }

    /// A line about this instance from the host itself.
    public func report(_ level: LogLine.Level, _ text: String) {
        let now = services.now()
        let verdict = level >= .error ? errorLimit.withLock { $0.admit(now) } : logLimit.withLock { $0.admit(now) }
        guard case .write(let dropped) = verdict else { return }
        if dropped > 0 {
            services.log(LogLine(level: .warn, instance: name, at: now, text: "\(dropped) lines dropped: more than \(LogLimit.perSecond) a second"))
        }
        services.log(LogLine(level: level, instance: name, at: now, text: Self.printable(redactor.redact(text))))
    }

    /// Line breaks and other control characters could forge lines of their own.
    private static func printable(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 >= 32 && $0 != 127 }) { return text }
        var clean = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 9: clean.append(" ")
            case 10: clean.append(contentsOf: " | ".unicodeScalars)
            case 0..<32, 127..<160: clean.append("\u{fffd}")
            default: clean.append(scalar)
            }
        }
        return String(clean)
    }

    /// The plugin may log from any thread, at any length, in any encoding.
    func pluginLog(_ level: UInt32, _ text: keel_str) {
        let kept = min(text.len, Self.longestLine)
        guard let line = keel_str(ptr: text.ptr, len: kept).text(limit: kept) else {
            return misbehaved("log: a length of \(text.len) without a pointer")
        }
        report(LogLine.Level(rawValue: level) ?? .info, line)
    }

    func pluginEmit(_ event: UnsafePointer<keel_event>?) -> keel_status {
        guard let event else { misbehaved("emit: no event"); return KEEL_E_INVALID }
        if currentPhase.load(ordering: .acquiring) == .running, EventCheck.surelySound(event) { return services.emit(event, from: self) }
        switch phase {
        case .fresh, .stopped, .destroyed:
            misbehaved("emit while \(phase)")
            return KEEL_E_STATE
        case .destroying:
            // Its own threads may not have noticed yet; nobody listens any more.
            return KEEL_E_STATE
        case .creating, .created, .starting, .running, .stopping: break
        }
        let raw = UnsafeRawPointer(event)
        let head = raw.loadUnaligned(as: keel_event.self)
        let size = Int(min(head.size, KEEL_EVENT_MAX))
        if let fault = EventCheck.fault(UnsafeRawBufferPointer(start: raw, count: max(size, EventCheck.headerSize))) {
            misbehaved("emit: \(fault)")
            return KEEL_E_INVALID
        }
        guard EventCheck.isKnown(head.kind) else {
            skippedCount.wrappingAdd(1, ordering: .relaxed)
            return KEEL_OK
        }
        let status = UInt(bitPattern: raw) % 8 == 0 ? services.emit(event, from: self) : emitAligned(raw, size)
        if head.kind == UInt16(KEEL_EV_DONE), phase == .stopping, head.request == stopRequest.load(ordering: .acquiring) {
            currentPhase.store(.stopped, ordering: .releasing)
        }
        return status
    }

    private func emitAligned(_ raw: UnsafeRawPointer, _ size: Int) -> keel_status {
        withUnsafeTemporaryAllocation(byteCount: size, alignment: 8) { copy in
            copy.copyMemory(from: UnsafeRawBufferPointer(start: raw, count: size))
            guard let base = copy.baseAddress else { return KEEL_E_INTERNAL }
            return services.emit(UnsafePointer(base.assumingMemoryBound(to: keel_event.self)), from: self)
        }
    }

    func pluginFail(_ why: keel_status, _ text: keel_str) {
        let kept = text.text(limit: Self.longestLine) ?? ""
        services.failed(self, why: why < 0 ? why : KEEL_E_INTERNAL, text: Self.printable(redactor.redact(kept)))
    }

    func pluginWake() -> keel_status { alive ? lane.wake(self) : KEEL_E_STATE }

    /// True if a [lane] function may go on; says so in the log if not.
    func onLane(_ call: StaticString) -> Bool {
        if lane.isCurrent, alive { return true }
        misbehaved(alive ? "\(call) called off its lane" : "\(call) called while \(phase)")
        return false
    }

    func pluginTimer(_ delay: keel_span, _ period: keel_span, _ tag: UInt64, _ out: UnsafeMutablePointer<UInt64>?) -> keel_status {
        guard onLane("timer") else { return KEEL_E_STATE }
        var id: UInt64 = 0
        let status = lane.addTimer(for: self, delay: delay, period: period, tag: tag, id: &id)
        if status >= 0 { out?.pointee = id }
        return status
    }

    func pluginTimerStop(_ id: UInt64) -> keel_status {
        onLane("timer_stop") ? lane.removeTimer(id, for: self) : KEEL_E_STATE
    }

    func pluginWatch(_ fd: Int32, _ interest: UInt32) -> keel_status {
        onLane("watch") ? lane.watch(fd, interest: interest, for: self) : KEEL_E_STATE
    }

    func pluginSecret(_ name: keel_str, _ out: UnsafePointer<keel_writer>?) -> keel_status {
        guard onLane("secret") else { return KEEL_E_STATE }
        if phase == .creating {
            misbehaved("secret asked for in create")
            return KEEL_E_STATE
        }
        guard let out, let write = out.pointee.write, let name = name.strictText(limit: 256) else { return KEEL_E_INVALID }
        guard grantedSecrets?.contains(name) ?? true else {
            report(.warn, "asked for the secret \"\(name)\", which the manifest does not grant to it")
            return KEEL_E_NOT_FOUND
        }
        switch services.secret(name, for: self) {
        case .failure(let error): return error.status
        case .success(var bytes):
            redactor.add(bytes)
            let status = bytes.withUnsafeBytes { write(out, $0.baseAddress, $0.count) }
            wipe(&bytes)
            return status
        }
    }

    func pluginPut(_ key: keel_str, _ bytes: UnsafeRawPointer?, _ count: Int) -> keel_status {
        guard onLane("put") else { return KEEL_E_STATE }
        guard let key = key.strictText(limit: Self.longestKey), !key.isEmpty else { return KEEL_E_INVALID }
        guard count <= Self.largestValue else { return KEEL_E_RANGE }
        guard count == 0 || bytes != nil else { return KEEL_E_INVALID }
        return services.put(key, Array(UnsafeRawBufferPointer(start: bytes, count: count)), for: self)
    }

    func pluginGet(_ key: keel_str, _ out: UnsafePointer<keel_writer>?) -> keel_status {
        guard onLane("get") else { return KEEL_E_STATE }
        guard let out, let write = out.pointee.write, let key = key.strictText(limit: Self.longestKey), !key.isEmpty else { return KEEL_E_INVALID }
        switch services.get(key, for: self) {
        case .failure(let error): return error.status
        case .success(let bytes): return bytes.withUnsafeBytes { write(out, $0.baseAddress, $0.count) }
        }
    }

    func pluginInstrument(_ id: keel_instrument_id, _ out: UnsafeMutablePointer<keel_instrument>?) -> keel_status {
        guard alive else { return KEEL_E_STATE }
        guard let out else { return KEEL_E_INVALID }
        let size = Int(UnsafeRawPointer(out).load(as: UInt32.self))
        guard size >= 8 else { return KEEL_E_INVALID }
        let known: keel_instrument? = instruments.withLock { arena in
            if let value = arena.find(id) { return value }
            guard let record = services.instrument(id) else { return nil }
            return arena.add(record)
        }
        guard var value = known else { return KEEL_E_NOT_FOUND }
        // The plugin's struct may be older and shorter, or newer and longer; its own struct_size stays as it set it.
        value.struct_size = UInt32(size)
        withUnsafeBytes(of: value) { bytes in
            guard let base = bytes.baseAddress else { return }
            UnsafeMutableRawPointer(out).copyMemory(from: base, byteCount: min(size, bytes.count))
        }
        if size > MemoryLayout<keel_instrument>.size, size <= ComponentTables.largestTable {
            UnsafeMutableRawPointer(out).advanced(by: MemoryLayout<keel_instrument>.size)
                .initializeMemory(as: UInt8.self, repeating: 0, count: size - MemoryLayout<keel_instrument>.size)
        }
        return KEEL_OK
    }

    func pluginService(_ id: UnsafePointer<CChar>?) -> UnsafeRawPointer? {
        guard alive, let id else { return nil }
        let length = boundedLength(id, limit: 256)
        guard length < 256 else { return nil }
        return services.service(boundedText(id, limit: 256), for: self)
    }
}

/// Overwrites bytes that were secret; a loop the optimiser can't drop, because the result is read.
@inline(never)
func wipe(_ bytes: inout [UInt8]) {
    for index in bytes.indices { bytes[index] = 0 }
    withExtendedLifetime(bytes) {}
}
