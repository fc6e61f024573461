import Glibc
import HostPlugins
import PluginAPI

// Stands in for `keel worker` in tests: the same verb, without the rest of the program. `host LIBRARY CACHE CONFIG` stands in for a
// host: it runs the library's first component in a worker, prints the worker's number and waits to be killed.

final class Bystander: HostServices, WorkerObserver {
    func now() -> keel_time { 1 }
    func emit(_ event: UnsafePointer<keel_event>, from instance: InstanceHost) -> keel_status { KEEL_OK }
    func log(_ line: LogLine) {}
    func failed(_ instance: InstanceHost, why: keel_status, text: String) {}
    func secret(_ name: String, for instance: InstanceHost) -> Result<[UInt8], HostStatus> { .failure(HostStatus(KEEL_E_NOT_FOUND)) }
    func put(_ key: String, _ bytes: [UInt8], for instance: InstanceHost) -> keel_status { KEEL_OK }
    func get(_ key: String, for instance: InstanceHost) -> Result<[UInt8], HostStatus> { .failure(HostStatus(KEEL_E_NOT_FOUND)) }
    func instrument(_ id: keel_instrument_id) -> InstrumentRecord? { nil }
    func service(_ id: String, for instance: InstanceHost) -> UnsafeRawPointer? { nil }
    func worker(of instance: String, _ event: WorkerEvent, budget: CrashBudget) {
        if case .started(let pid) = event { announced = pid }
    }
    nonisolated(unsafe) var announced: Int32 = 0
}

func host(_ arguments: [String]) throws {
    let loader = try Loader(.init(cache: arguments[1], bundled: [], allowUnpinned: true))
    let prepared = try loader.prepare(file: arguments[0], base: "/")
    let bystander = Bystander()
    let component = try RemoteComponent(
        library: prepared, component: prepared.metadata.components[0].id, settings: IsolationSettings(callLimit: 60_000_000_000), observer: bystander)
    let lane = try Lane(name: "host", limits: .isolated)
    let instance = InstanceHost(name: "x", tables: component.tables, lane: lane, services: bystander, redactor: SecretRedactor())
    try lane.call("begin") { Result { try instance.create(config: arguments[2]); try instance.start() } }.get()
    print(bystander.announced)
    fflush(nil)
    while true { pause() }
}

/// `bench LIBRARY CACHE`: the figures of isolation on this machine, and FrameFuzz with a count in place of the library.
func bench(_ arguments: [String]) throws {
    if let count = Int(arguments[0]) {
        print(FrameFuzz.run(count: count, seed: arguments.count > 1 ? UInt64(arguments[1]) ?? 1 : UInt64.random(in: .min ... .max)))
        return
    }
    let loader = try Loader(.init(cache: arguments[1], bundled: [], allowUnpinned: true))
    let prepared = try loader.prepare(file: arguments[0], base: "/")
    let id = prepared.metadata.components[0].id
    print("call in-process: \(try PluginBench.callInProcess(prepared)) ns")
    let calls = try PluginBench.callInWorker(prepared, component: id)
    print("call in a worker: p50 \(calls.p50) ns, p99 \(calls.p99) ns")
    let restarts = try PluginBench.restart(prepared, component: id)
    print("restart: p50 \(restarts.p50 / 1000) us, worst \((restarts.sorted.last ?? 0) / 1000) us")
    let begun = Monotonic.now()
    for _ in 0..<10 { _ = try loader.prepare(file: arguments[0], base: "/") }
    print("prepare, warm: \((Monotonic.now() - begun) / 10_000) us, library of \(prepared.metadata.size) bytes")
}

var arguments = Array(CommandLine.arguments.dropFirst())
switch arguments.popFirstWord() {
case "worker": exit(Worker.main(arguments))
case "host": try host(arguments)
case "bench": try bench(arguments)
default: exit(2)
}

extension [String] {
    mutating func popFirstWord() -> String? { isEmpty ? nil : removeFirst() }
}
