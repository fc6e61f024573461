import Glibc
import PluginAPI
import Synchronization

/// The figures of plugins for `make bench`, each measured on the real path.
public enum PluginBench {
    /// Nanoseconds, sorted.
    public struct Times: Sendable {
        public let sorted: [Int64]
        init(_ times: [Int64]) { sorted = times.sorted() }
        public func percentile(_ part: Double) -> Int64 {
            guard !sorted.isEmpty else { return 0 }
            return sorted[min(sorted.count - 1, max(0, Int(Double(sorted.count) * part)))]
        }
        public var p50: Int64 { percentile(0.5) }
        public var p99: Int64 { percentile(0.99) }
    }

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    /// Nanoseconds a call through a function pointer into the library: its entry, asked for an ABI that doesn't exist.
    public static func callInProcess(_ library: PreparedLibrary, calls: Int = 20_000_000) throws(LoadError) -> Double {
        let open = try OpenLibrary(library.copy, shown: library.path)
        _ = try open.negotiate(shown: library.path)
        let entry = open.entry
        var answered = 0
        for _ in 0..<1000 where entry(UInt32.max) != nil { answered += 1 }
        let begun = Monotonic.now()
        for _ in 0..<calls where entry(UInt32.max) != nil { answered += 1 }
        let took = Monotonic.now() - begun
        return answered == 0 ? Double(took) / Double(max(1, calls)) : .nan
    }

    /// A call into the plugin in a worker and back: its `describe` if it has one, else a bare frame.
    public static func callInWorker(
        _ library: PreparedLibrary, component: String, config: String = "{}", settings: IsolationSettings = IsolationSettings(), calls: Int = 20_000
    ) throws -> Times {
        let bench = try Stand(library, component, settings)
        defer { bench.end() }
        try bench.begin(config)
        return try bench.lane.call("bench") { [instance = bench.instance] in
            var times: [Int64] = []
            times.reserveCapacity(calls)
            let remote = instance.instance.map { Unmanaged<RemoteInstance>.fromOpaque(UnsafeRawPointer($0)).takeUnretainedValue() }
            let kind: FrameKind = instance.tables.describe == nil ? .ping : .describe
            for round in 0..<(calls + 200) {
                let begun = Monotonic.now()
                guard let remote, remote.call(kind, "bench", nil) >= 0 else { break }
                if round >= 200 { times.append(Monotonic.now() - begun) }
            }
            return Times(times)
        }
    }

    /// From SIGKILL to a new worker that runs: noticed, started, created, running. Each round has a fresh crash budget.
    public static func restart(
        _ library: PreparedLibrary, component: String, config: String = "{}", settings: IsolationSettings = IsolationSettings(), rounds: Int = 10
    ) throws -> Times {
        var times: [Int64] = []
        for _ in 0..<rounds {
            let bench = try Stand(library, component, settings)
            defer { bench.end() }
            try bench.begin(config)
            guard let pid = bench.pid else { throw Failure(description: "no worker was started") }
            // The worker is our child and is reaped by nobody else: the number is still its own.
            let begun = Monotonic.now()
            kill(pid, SIGKILL)
            guard bench.restarted.wait(30_000_000_000) else { throw Failure(description: "the worker was not restarted") }
            times.append(Monotonic.now() - begun)
        }
        return Times(times)
    }

    /// One instance in a worker, on a lane of its own.
    private struct Stand {
        let lane: Lane
        let instance: InstanceHost
        private let host = SilentHost()
        var pid: Int32? { host.pid.withLock { $0 } }
        var restarted: Gate { host.restarted }

        init(_ library: PreparedLibrary, _ component: String, _ settings: IsolationSettings) throws {
            lane = try Lane(name: "bench", limits: .isolated)
            let remote = try RemoteComponent(library: library, component: component, settings: settings, observer: host)
            instance = InstanceHost(name: "bench", tables: remote.tables, lane: lane, services: host, redactor: SecretRedactor())
        }

        func begin(_ config: String) throws {
            try lane.call("begin") { [instance] in
                Result<Void, CallError> { () throws(CallError) in
                    try instance.create(config: config)
                    try instance.start()
                }
            }.get()
        }

        func end() {
            _ = try? lane.call("end") { [instance] in instance.destroy() }
            lane.stop()
        }
    }

    /// A host that does nothing but note its worker.
    private final class SilentHost: HostServices, WorkerObserver {
        let pid = Mutex<Int32?>(nil)
        let restarted = Gate()

        func worker(of instance: String, _ event: WorkerEvent, budget: CrashBudget) {
            switch event {
            case .started(let number): pid.withLock { $0 = number }
            case .restarted: restarted.open()
            default: break
            }
        }
        func now() -> keel_time { Monotonic.now() }
        func emit(_ event: UnsafePointer<keel_event>, from instance: InstanceHost) -> keel_status { KEEL_OK }
        func log(_ line: LogLine) {}
        func failed(_ instance: InstanceHost, why: keel_status, text: String) {}
        func secret(_ name: String, for instance: InstanceHost) -> Result<[UInt8], HostStatus> { .failure(HostStatus(KEEL_E_NOT_FOUND)) }
        func put(_ key: String, _ bytes: [UInt8], for instance: InstanceHost) -> keel_status { KEEL_OK }
        func get(_ key: String, for instance: InstanceHost) -> Result<[UInt8], HostStatus> { .failure(HostStatus(KEEL_E_NOT_FOUND)) }
        func instrument(_ id: keel_instrument_id) -> InstrumentRecord? { nil }
        func service(_ id: String, for instance: InstanceHost) -> UnsafeRawPointer? { nil }
    }
}
