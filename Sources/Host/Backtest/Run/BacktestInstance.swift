import HostCore
import HostPlugins
import PluginAPI
import PluginKit

/// A plugin of a backtest, its library loaded.
public struct BacktestPlugin {
    public var name: String
    public var tables: ComponentTables
    /// One JSON object, checked, defaults filled in.
    public var config: String
    public var version: String

    public init(name: String, tables: ComponentTables, config: String, version: String = "") {
        self.name = name
        self.tables = tables
        self.config = config
        self.version = version
    }

    var flags: UInt32 { tables.component.pointee.flags }
    var isInline: Bool { flags & KEEL_COMPONENT_INLINE != 0 }
    var isDeterministic: Bool { flags & KEEL_COMPONENT_DETERMINISTIC != 0 }
}

/// What the instances of a backtest may ask for: the engine's time, the instruments, a memory that ends with the run. No
/// disk, and no secrets but a recorder's.
final class BacktestServices: HostServices, @unchecked Sendable {  // one thread
    private let instruments: [InstrumentRecord]
    /// Set once the engine exists.
    var engine: Engine? { didSet { lent = engine.map { .passUnretained($0) } } }
    /// The same without a count: it is asked with every event.
    private var lent: Unmanaged<Engine>?
    var began: Int64 = 0
    var secrets: (String) -> Result<[UInt8], HostStatus> = { _ in .failure(HostStatus(KEEL_E_NOT_FOUND)) }
    private let lane: BacktestLane
    private let port: Int
    private var memory: [String: [UInt8]] = [:]
    private let scratch: UnsafeMutableRawPointer
    private(set) var problems: [String] = []
    /// Events that came while no engine was listening or a plugin was called from outside it.
    var waiting: [(port: Int, bytes: [UInt8])] = []
    private let shared: BacktestServices?

    /// `shared`: whose queue it joins; nil: it has its own.
    init(instruments: [InstrumentRecord], lane: BacktestLane, port: Int, shared: BacktestServices?) {
        self.instruments = instruments
        self.lane = lane
        self.port = port
        self.shared = shared
        scratch = .allocate(byteCount: Int(KEEL_EVENT_MAX), alignment: 16)
    }

    deinit { scratch.deallocate() }

    func now() -> keel_time { max(lent?._withUnsafeGuaranteedRef { $0.now } ?? began, began) }

    func emit(_ event: UnsafePointer<keel_event>, from instance: InstanceHost) -> keel_status {
        // Called by the engine, as nearly always: it copies what comes while it is busy, and gives it its own time.
        let isTaken = lent?._withUnsafeGuaranteedRef { engine in
            guard engine.isBusy, !lane.isCalling else { return false }
            engine.accept(event, from: port)
            return true
        }
        if isTaken == true { return KEEL_OK }
        let size = Int(event.pointee.size)
        scratch.copyMemory(from: event, byteCount: size)
        let copy = scratch.assumingMemoryBound(to: keel_event.self)
        copy.pointee.at_host = now()
        if let engine, !lane.isCalling {
            engine.accept(copy, from: port)
        } else {
            let bytes = [UInt8](UnsafeRawBufferPointer(start: scratch, count: size))
            (shared ?? self).waiting.append((port, bytes))
        }
        return KEEL_OK
    }

    func log(_ line: LogLine) {
        if line.level >= .error { problems.append("\(line.instance): \(line.text)") }
    }

    func failed(_ instance: InstanceHost, why: keel_status, text: String) { problems.append("\(instance.name) says it is broken (\(why)): \(text)") }
    func secret(_ name: String, for instance: InstanceHost) -> Result<[UInt8], HostStatus> { secrets(name) }

    func put(_ key: String, _ bytes: [UInt8], for instance: InstanceHost) -> keel_status {
        memory[key] = bytes.isEmpty ? nil : bytes
        return KEEL_OK
    }

    func get(_ key: String, for instance: InstanceHost) -> Result<[UInt8], HostStatus> { memory[key].map { .success($0) } ?? .failure(HostStatus(KEEL_E_NOT_FOUND)) }

    func instrument(_ id: keel_instrument_id) -> InstrumentRecord? { instruments.indices.contains(Int(id) - 1) ? instruments[Int(id) - 1] : nil }
    func service(_ id: String, for instance: InstanceHost) -> UnsafeRawPointer? { nil }
}
