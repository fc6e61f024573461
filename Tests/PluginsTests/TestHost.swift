import Foundation
import PluginAPI
import PluginKit
import Synchronization
import TestSupport

@testable import HostPlugins

/// A host that records everything its instances do, with a clock that stands still unless told.
final class TestHost: HostServices {
    struct State {
        var events: [[UInt8]] = []
        var lines: [LogLine] = []
        var failures: [String] = []
        var stored: [String: [UInt8]] = [:]
        var now: keel_time = 1_700_000_000_000_000_000
        var refuseLossy = false
    }
    let state = Mutex(State())
    let secrets: [String: String]
    let changed = DispatchSemaphore(value: 0)

    init(secrets: [String: String] = [:]) { self.secrets = secrets }

    var events: [[UInt8]] { state.withLock { $0.events } }
    var lines: [LogLine] { state.withLock { $0.lines } }
    var texts: [String] { lines.map(\.text) }
    var failures: [String] { state.withLock { $0.failures } }

    func now() -> keel_time { state.withLock { $0.now } }
    func advance(_ span: keel_span) { state.withLock { $0.now += span } }

    func emit(_ event: UnsafePointer<keel_event>, from instance: InstanceHost) -> keel_status {
        let bytes = Array(UnsafeRawBufferPointer(start: event, count: Int(event.pointee.size)))
        let status: keel_status = state.withLock { state in
            if state.refuseLossy, EventCheck.isLossy(event.pointee.kind) { return KEEL_E_AGAIN }
            state.events.append(bytes)
            return KEEL_OK
        }
        changed.signal()
        return status
    }

    func log(_ line: LogLine) {
        state.withLock { $0.lines.append(line) }
        changed.signal()
    }

    func failed(_ instance: InstanceHost, why: keel_status, text: String) {
        state.withLock { $0.failures.append("\(StatusName.of(why)) \(text)") }
        changed.signal()
    }

    func secret(_ name: String, for instance: InstanceHost) -> Result<[UInt8], HostStatus> {
        secrets[name].map { .success(Array($0.utf8)) } ?? .failure(HostStatus(KEEL_E_NOT_FOUND))
    }

    func put(_ key: String, _ bytes: [UInt8], for instance: InstanceHost) -> keel_status {
        state.withLock { $0.stored["\(instance.name)/\(key)"] = bytes.isEmpty ? nil : bytes }
        return KEEL_OK
    }

    func get(_ key: String, for instance: InstanceHost) -> Result<[UInt8], HostStatus> {
        state.withLock { $0.stored["\(instance.name)/\(key)"] }.map { .success($0) } ?? .failure(HostStatus(KEEL_E_NOT_FOUND))
    }

    func instrument(_ id: keel_instrument_id) -> InstrumentRecord? {
        id == 1 || id == 2
            ? InstrumentRecord(
                id: id, symbol: id == 1 ? "BTC/USDT" : "ETH/USDT", venueSymbol: "X", baseAsset: "B", quoteAsset: "USDT", tick: Fixed(raw: 1_000_000),
                lot: Fixed(raw: 1000), minNotional: Amount(raw: 500_000_000))
            : nil
    }

    func service(_ id: String, for instance: InstanceHost) -> UnsafeRawPointer? { nil }

    /// Waits until something that was recorded makes `check` true; woken by each recording, never by time alone.
    func wait(seconds: Double = 20, _ check: (State) -> Bool) -> Bool {
        let end = DispatchTime.now() + seconds
        while true {
            if state.withLock({ check($0) }) { return true }
            if changed.wait(timeout: end) == .timedOut { return state.withLock { check($0) } }
        }
    }
}

/// An event's bytes, read for expectations.
struct Seen: Equatable, CustomStringConvertible {
    let kind: UInt32
    let request: UInt64
    let status: keel_status
    let order: UInt64
    let state: UInt32
    let value: Double

    init(_ bytes: [UInt8]) {
        var status: keel_status = 0
        var order: UInt64 = 0
        var state: UInt32 = 0
        var value = 0.0
        let head = bytes.withUnsafeBytes { $0.loadUnaligned(as: keel_event.self) }
        switch UInt32(head.kind) {
        case KEEL_EV_DONE: status = bytes.withUnsafeBytes { $0.loadUnaligned(as: keel_ev_done.self) }.status
        case KEEL_EV_ORDER:
            let event = bytes.withUnsafeBytes { $0.loadUnaligned(as: keel_ev_order.self) }
            (order, state) = (event.order.lo, event.state)
        case KEEL_EV_LINK: state = bytes.withUnsafeBytes { $0.loadUnaligned(as: keel_ev_link.self) }.state
        case KEEL_EV_VALUE: value = bytes.withUnsafeBytes { $0.loadUnaligned(as: keel_ev_value.self) }.value
        default: break
        }
        (kind, request, self.status, self.order, self.state, self.value) = (UInt32(head.kind), head.request, status, order, state, value)
    }

    var description: String { "kind \(kind) request \(request) status \(StatusName.of(status)) order \(order) state \(state) value \(value)" }
}

extension TestHost.State {
    var seen: [Seen] { events.map(Seen.init) }
    func done(_ request: UInt64) -> keel_status? { seen.first { $0.kind == KEEL_EV_DONE && $0.request == request }?.status }
    func orderStates(_ order: UInt64) -> [UInt32] { seen.filter { $0.kind == KEEL_EV_ORDER && $0.order == order }.map(\.state) }
}

/// The probe plugin, compiled once for all tests, and where workers come from.
enum Probe {
    static let fixtures = CompilePlugin.root + "/Tests/PluginsTests/Fixtures"

    private static let compiled: Result<(folder: TemporaryFolder, path: String), any Error> = Result {
        let folder = try TemporaryFolder("probe")
        let path = try CompilePlugin.c(files: ["\(fixtures)/probe.c"], to: folder.file("probe.so"), flags: ["-Wall", "-Wextra", "-Werror", "-pthread"])
        return (folder, path)
    }
    static func path() throws -> String { try compiled.get().path }

    /// The test executable that stands in for `keel worker`, beside the tests themselves.
    static let program: String = {
        let own = thisProgram() ?? ""
        return (own as NSString).deletingLastPathComponent + "/worker-probe"
    }()

    /// A loader with its own cache in `folder`, and the probe prepared by it.
    static func loader(_ folder: TemporaryFolder, limit: Double = 20) throws -> Loader {
        try Loader(
            .init(cache: folder.file("cache"), bundled: [], allowUnpinned: true, program: program, inspectionLimit: limit))
    }

    static func prepared(_ folder: TemporaryFolder) throws -> PreparedLibrary {
        try FileManager.default.createDirectory(atPath: folder.file("plugins"), withIntermediateDirectories: true)
        let target = folder.file("plugins/probe.so")
        if !FileManager.default.fileExists(atPath: target) { try FileManager.default.copyItem(atPath: try path(), toPath: target) }
        return try loader(folder).prepare(file: "plugins/probe.so", base: folder.path)
    }

    static func order(_ lo: UInt64, instrument: keel_instrument_id = 1, qty: keel_fixed = 100_000_000) -> keel_order {
        var order = keel_order()
        order.struct_size = UInt32(MemoryLayout<keel_order>.size)
        order.side = KEEL_BUY
        order.features = KEEL_ORD_LIMIT_BIT
        order.id = keel_id(hi: 7, lo: lo)
        order.instrument = instrument
        order.qty = qty
        order.limit = 5_000_000_000_000
        return order
    }
    static let KEEL_ORD_LIMIT_BIT: UInt64 = 1 << 1
}
