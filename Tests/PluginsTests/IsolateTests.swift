import CSystem
import Foundation
import PluginAPI
import PluginKit
import Synchronization
import TestSupport
import Testing

@testable import HostPlugins

final class WorkerReports: WorkerObserver {
    let events = Mutex<[WorkerEvent]>([])
    let budget = Mutex(CrashBudget())
    let changed = DispatchSemaphore(value: 0)

    func worker(of instance: String, _ event: WorkerEvent, budget now: CrashBudget) {
        events.withLock { $0.append(event) }
        budget.withLock { $0 = now }
        changed.signal()
    }

    func wait(_ check: ([WorkerEvent]) -> Bool) -> Bool {
        while true {
            if check(events.withLock { $0 }) { return true }
            if changed.wait(timeout: .now() + 20) == .timedOut { return check(events.withLock { $0 }) }
        }
    }

    var pids: [Int32] { events.withLock { $0.compactMap { if case .started(let pid) = $0 { pid } else { nil } } } }
    var causes: [WorkerCause] { events.withLock { $0.compactMap { if case .died(let cause, _) = $0 { cause } else { nil } } } }
    var restarts: Int { events.withLock { $0.count { if case .restarted = $0 { true } else { false } } } }
    var quarantined: Bool { events.withLock { $0.contains { if case .quarantined = $0 { true } else { false } } } }
}

/// The probe plugin in a worker. The same calls as `LocalProbe`: the host can't tell the difference, and neither can the tests.
struct RemoteProbe {
    let host: TestHost
    let lane: Lane
    let instance: InstanceHost
    let reports = WorkerReports()

    init(
        _ name: String = "probe", host: TestHost = TestHost(), granted: Set<String> = [], budget: CrashBudget = CrashBudget(),
        change: (inout IsolationSettings) -> Void = { _ in }
    ) throws {
        var settings = IsolationSettings(program: Probe.program, startLimit: 20_000_000_000)
        change(&settings)
        let component = try RemoteComponent(
            library: try RemoteProbe.library.get(), component: "com.test.probe", settings: settings, budget: budget, observer: reports)
        self.host = host
        lane = try Lane(name: name, limits: .isolated)
        instance = InstanceHost(name: name, tables: component.tables, lane: lane, services: host, grantedSecrets: granted, redactor: SecretRedactor())
    }

    private static let folder: Result<TemporaryFolder, any Error> = Result { try TemporaryFolder("remote") }
    private static let library: Result<PreparedLibrary, any Error> = Result { try Probe.prepared(try RemoteProbe.folder.get()) }

    func on<T: Sendable>(_ body: @escaping @Sendable (InstanceHost) -> T) throws -> T {
        try lane.call("test", for: instance) { [instance] in body(instance) }
    }

    func begin(_ config: String) throws {
        try on { instance in Result { try instance.create(config: config); try instance.start() } }.get()
    }

    func end() throws {
        try on { $0.destroy() }
        lane.stop()
    }

    /// The status of a submit, and what the error says.
    func submit(_ order: UInt64, request: UInt64, instrument: keel_instrument_id = 1) throws -> (keel_status, String) {
        try on { instance in
            var order = Probe.order(order, instrument: instrument)
            var error = keel_error.empty()
            let status = instance.tables.broker?.pointee.submit(instance.instance, &order, request, &error) ?? 99
            return (status, error.text)
        }
    }

    func sync(_ request: UInt64) throws -> keel_status {
        try on { instance in instance.tables.broker?.pointee.sync(instance.instance, 0, request, nil) ?? 99 }
    }
}

@Suite struct IsolateTests {
    // MARK: the same as in-process

    /// Everything a host does with an instance, in order; what comes back.
    static let script: @Sendable (InstanceHost) -> [String] = { instance in
        var answers: [String] = []
        let pointer = instance.instance
        var order = Probe.order(0x10000)
        var error = keel_error.empty()
        func note(_ what: String, _ status: keel_status?) { answers.append("\(what) \(status.map(StatusName.of) ?? "none")") }
        note("subscribe", instance.tables.feed?.pointee.subscribe(pointer, 1, 12, 1, &error))
        note("subscribe unknown", instance.tables.feed?.pointee.subscribe(pointer, 5, 12, 2, &error))
        answers.append(error.text)
        note("submit", instance.tables.broker?.pointee.submit(pointer, &order, 3, &error))
        note("cancel", instance.tables.broker?.pointee.cancel(pointer, order.id, 4, &error))
        note("sync", instance.tables.broker?.pointee.sync(pointer, 0, 5, &error))
        answers.append("replace \(instance.tables.broker?.pointee.replace == nil)")
        var snapshot = [UInt8](repeating: 0, count: 200_008)
        snapshot.withUnsafeMutableBytes { raw in
            raw.storeBytes(of: UInt32(MemoryLayout<keel_snapshot>.size), as: UInt32.self)
            raw.storeBytes(of: UInt32(200_008), toByteOffset: 4, as: UInt32.self)
            guard let base = raw.baseAddress?.assumingMemoryBound(to: keel_snapshot.self) else { return }
            base.pointee.instrument = 1
            note("decide", instance.tables.decider?.pointee.decide(pointer, base, 0, 6, &error))
        }
        instance.tables.decider?.pointee.cancel(pointer, 7)
        note("route", instance.tables.router?.pointee.route(pointer, &order, 8, &error))
        instance.tables.router?.pointee.cancel(pointer, 9)
        var quote = keel_ev_quote()
        quote.head.size = UInt32(MemoryLayout<keel_ev_quote>.size)
        quote.head.kind = UInt16(KEEL_EV_QUOTE)
        quote.head.instrument = 2
        withUnsafePointer(to: &quote.head) { event in
            instance.tables.market?.pointee.on_market(pointer, event)
            instance.tables.router?.pointee.on_event(pointer, event)
            for _ in 0..<4 { note("observe", instance.tables.decider?.pointee.observe(pointer, event)) }
        }
        note("rankings", "volume".withKeelText { instance.tables.rankings?.pointee.fetch(pointer, $0, 10, 10, &error) })
        note("account", instance.tables.account?.pointee.summary(pointer, 11, &error))
        return answers
    }

    /// On the engine's own thread with the host's time: the deterministic way.
    static func play(_ instance: InstanceHost, _ lane: InlineLane, _ host: TestHost) throws -> (answers: [String], events: [[UInt8]], described: String?) {
        try instance.create(config: "{\"use_services\":1}")
        try instance.start()
        let answers = script(instance)
        host.advance(1_000_000)
        lane.advance(to: host.now())
        lane.deliverWakes()
        let described = try instance.describe()
        try instance.stop(deadline: 0, request: 20)
        let state = try instance.saveState()
        instance.destroy()
        return (answers + ["state \(state?.count ?? 0)"], host.events, described)
    }

    /// P01: byte for byte the same events in the same order, the same answers, the same lines.
    @Test func lockstepWorkerEqualsInProcess() throws {
        let folder = try TemporaryFolder("same")
        let prepared = try Probe.prepared(folder)
        let secrets = ["api.key": "hunter2-secret"]

        let localHost = TestHost(secrets: secrets)
        let localLane = InlineLane(now: localHost.now())
        let tables = try Probe.loader(folder).load(prepared).tables("com.test.probe")
        let local = InstanceHost(name: "x", tables: tables, lane: localLane, services: localHost, grantedSecrets: ["api.key"], redactor: SecretRedactor())
        let expected = try Self.play(local, localLane, localHost)

        let remoteHost = TestHost(secrets: secrets)
        let remoteLane = InlineLane(now: remoteHost.now())
        let component = try RemoteComponent(
            library: prepared, component: "com.test.probe",
            settings: IsolationSettings(program: Probe.program, startLimit: 20_000_000_000, pace: .lockstep))
        let remote = InstanceHost(
            name: "x", tables: component.tables, lane: remoteLane, services: remoteHost, grantedSecrets: ["api.key"], redactor: SecretRedactor())
        let found = try Self.play(remote, remoteLane, remoteHost)

        #expect(found.answers == expected.answers)
        #expect(found.events.map(Seen.init) == expected.events.map(Seen.init))
        #expect(found.events == expected.events)
        #expect(found.described == expected.described)
        #expect(remoteHost.texts == localHost.texts)
        #expect(found.answers.contains("observe ASK"))
        #expect(found.events.count > 15)
        #expect(remoteHost.state.withLock { $0.stored } == localHost.state.withLock { $0.stored })
        #expect(remote.misbehaviours == 0 && local.misbehaviours == 0)
    }

    @Test func liveWorkerServesEveryCall() throws {
        let host = TestHost(secrets: ["api.key": "hunter2-secret"])
        let probe = try RemoteProbe(host: host, granted: ["api.key"])
        try probe.begin("{\"use_services\":1,\"print_submit\":1}")
        let answers = try probe.on(Self.script)
        #expect(answers.prefix(3) == ["subscribe OK", "subscribe unknown NOT_FOUND", "unknown instrument"])
        #expect(host.wait { state in [3, 4, 5, 6, 8, 10, 11].allSatisfy { state.done($0) != nil } })
        #expect(host.state.withLock { $0.orderStates(0x10000) } == [KEEL_ORDER_PENDING, KEEL_ORDER_OPEN, KEEL_ORDER_FILLED])
        // Four observes, two further events, and the answer of the third observe that asks.
        #expect(host.wait { $0.seen.count { $0.kind == KEEL_EV_VALUE } == 6 })
        #expect(host.wait { $0.lines.contains { $0.text == "printed by the plugin" && $0.level == .info } })
        #expect(host.wait { $0.lines.contains { $0.text == "complained by the plugin" && $0.level == .warn } })
        #expect(host.texts.contains("secret 0 is [secret]"))
        #expect(host.texts.contains("other secret \(KEEL_E_NOT_FOUND)"))
        #expect(host.texts.contains("put 0 get 0 here"))
        #expect(host.texts.contains("instrument 0 BTC/USDT tick 1000000"))
        #expect(host.lines.allSatisfy { $0.instance == "probe" })
        // An observe that asks in a one-way call is heard with the next.
        let asks = try probe.on { instance in
            var quote = keel_ev_quote()
            quote.head.size = UInt32(MemoryLayout<keel_ev_quote>.size)
            quote.head.kind = UInt16(KEEL_EV_QUOTE)
            quote.head.instrument = 1
            return withUnsafePointer(to: &quote.head) { event in
                (0..<6).map { _ in
                    let status = instance.tables.decider?.pointee.observe(instance.instance, event) ?? 99
                    // A call with a reply after it: what the worker said before was read.
                    _ = try? instance.describe()
                    return status
                }
            }
        }
        // Every third observe asks: three of ten, the first perhaps heard during the script.
        #expect(asks.count { $0 == KEEL_ASK } + answers.count { $0 == "observe ASK" } == 3)
        try probe.on { instance in Result { try instance.stop(deadline: 0, request: 30) } }.get()
        #expect(host.wait { $0.done(30) == KEEL_OK })
        #expect(probe.instance.phase == .stopped)
        try probe.end()
        #expect(probe.reports.causes.isEmpty)
    }

    @Test func stateOfManyPacketsSurvivesTheWay() throws {
        let probe = try RemoteProbe()
        try probe.on { instance in Result { try instance.create(config: "{\"large_state\":1}") } }.get()
        let state = try #require(try probe.on { instance in Result { try instance.saveState() } }.get())
        #expect(state.count == 300_002)
        #expect(state.last == UInt8(ascii: "n"))
        try probe.on { instance in Result { try instance.loadState(state, version: 1) } }.get()
        let refused = try probe.on { instance in Result<Void, any Error> { try instance.loadState(state, version: 2) } }
        #expect(throws: CallError.self) { try refused.get() }
        try probe.end()
    }

    @Test func aWorkersOwnThreadsEmitAndWake() throws {
        let probe = try RemoteProbe()
        try probe.begin("{\"own_thread\":1}")
        #expect(probe.host.wait { $0.seen.count { $0.kind == KEEL_EV_VALUE } == 20 })
        #expect(probe.host.wait { $0.lines.contains { $0.text == "timer called off its lane" && $0.level == .pluginMisbehaving } })
        #expect(probe.host.state.withLock { $0.seen }.filter { $0.kind == KEEL_EV_VALUE }.map(\.value) == (0..<20).map(Double.init))
        try probe.end()
    }

    @Test func losslessEventsWaitForAHostThatDoesNotRead() throws {
        let folder = try TemporaryFolder("flood")
        let pipe = folder.file("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        let probe = try RemoteProbe()
        try probe.begin("{\"slow_timer\":1,\"x\":\"flood \(pipe) \"}")
        // The lane, which would read the socket, waits here until the plugin has emitted everything.
        let byte = try probe.lane.call("wait for the flood") {
            let fd = open(pipe, O_RDONLY)
            defer { close(fd) }
            var byte: UInt8 = 0
            return read(fd, &byte, 1) == 1 ? byte : 0
        }
        #expect(byte == UInt8(ascii: "x"))
        #expect(probe.host.wait { $0.events.count == 5000 })
        let filled = probe.host.events.map { $0.withUnsafeBytes { $0.loadUnaligned(as: keel_ev_order.self).filled } }
        #expect(filled == (1...5000).map(keel_fixed.init))
        try probe.end()
        #expect(probe.reports.causes.isEmpty)
    }

    @Test func configurationsAreCheckedInAWorker() throws {
        let probe = try RemoteProbe()
        let tables = probe.instance.tables
        let check = try #require(tables.component.pointee.check_config)
        var report: [UInt8] = []
        var status: keel_status = 99
        (status, report) = ByteSink.collect(limit: 1000) { writer in "{\"x\":\"bad_word\"}".withKeelText { check(tables.original, $0, writer) } }
        #expect(status == KEEL_E_INVALID)
        #expect(String(decoding: report, as: UTF8.self).contains("a bad word"))
        (status, report) = ByteSink.collect(limit: 1000) { writer in "{}".withKeelText { check(tables.original, $0, writer) } }
        #expect(status == KEEL_OK && report.isEmpty)
        probe.lane.stop()
    }

    @Test func refusalsComeBackWhole() throws {
        let probe = try RemoteProbe()
        try probe.begin("{\"refuse_submit\":1}")
        let error = try probe.on { instance in
            var order = Probe.order(1)
            var error = keel_error.empty()
            let status = instance.tables.broker?.pointee.submit(instance.instance, &order, 1, &error) ?? 0
            return instance.failure("submit", status, error)
        }
        #expect(error == CallError(instance: "probe", call: "submit", status: KEEL_E_REJECTED, vendorCode: -2010, retryAfter: 1_500_000_000, message: "the venue says no to key hunter2-secret"))
        try probe.end()
        let failing = try RemoteProbe()
        let result = try failing.on { instance in Result<Void, any Error> { try instance.create(config: "{\"refuse_create\":1}") } }
        #expect(throws: CallError.self) { try result.get() }
        failing.lane.stop()
    }

    // MARK: death

    @Test func aNullPointerInSubmitDoesNotStopTheHost() throws {
        let probe = try RemoteProbe()
        try probe.begin("{\"null_submit\":1}")
        let (status, text) = try probe.submit(0x10000, request: 5)
        #expect(status == KEEL_E_IN_DOUBT)
        #expect(text.contains("SIGSEGV"))
        #expect(probe.reports.wait { _ in probe.reports.restarts == 1 })
        #expect(probe.reports.causes == [.ended(.signalled(SIGSEGV))])
        #expect(probe.host.state.withLock { $0.orderStates(0x10000) } == [KEEL_ORDER_IN_DOUBT])
        #expect(probe.host.state.withLock { $0.done(5) } == nil)
        let links = probe.host.state.withLock { $0.seen }.filter { $0.kind == KEEL_EV_LINK }.map(\.state)
        #expect(links == [KEEL_LINK_DOWN, KEEL_LINK_UP])
        // No order before a sync, nothing sent again.
        #expect(try probe.submit(0x20000, request: 6).0 == KEEL_E_STATE)
        #expect(try probe.sync(7) == KEEL_OK)
        #expect(probe.host.wait { $0.done(7) == KEEL_OK })
        #expect(probe.reports.wait { $0.contains(.synced) })
        #expect(probe.reports.pids.count == 2)
        try probe.end()
    }

    @Test(arguments: [("abort_submit", WorkerCause.ended(.signalled(SIGABRT))), ("exit_submit", .ended(.exited(9))), ("kill_submit", .ended(.signalled(SIGKILL)))])
    func otherDeathsInACall(word: String, cause: WorkerCause) throws {
        let probe = try RemoteProbe()
        try probe.begin("{\"\(word)\":1}")
        #expect(try probe.submit(0x10000, request: 5).0 == KEEL_E_IN_DOUBT)
        #expect(probe.reports.wait { _ in probe.reports.restarts == 1 })
        #expect(probe.reports.causes == [cause])
        try probe.end()
    }

    @Test func aHangInACallEndsAtItsLimit() throws {
        let probe = try RemoteProbe { $0.callLimit = 100_000_000 }
        try probe.begin("{\"hang_submit\":1}")
        #expect(try probe.submit(0x10000, request: 5).0 == KEEL_E_IN_DOUBT)
        #expect(probe.reports.wait { _ in probe.reports.restarts == 1 })
        #expect(probe.reports.causes == [.hung(call: "submit")])
        try probe.end()
    }

    @Test func aHangInATimerIsNoticed() throws {
        let probe = try RemoteProbe { $0.callLimit = 300_000_000 }
        try probe.begin("{\"hang_timer\":1,\"slow_timer\":1}")
        #expect(probe.reports.wait { _ in !probe.reports.causes.isEmpty })
        guard case .hung = probe.reports.causes.first else {
            Issue.record("\(probe.reports.causes)")
            return
        }
        try probe.end()
    }

    @Test func garbageEndsTheWorkerNotTheHost() throws {
        let probe = try RemoteProbe()
        try probe.begin("{\"garbage_submit\":1}")
        #expect(try probe.submit(0x10000, request: 5).0 == KEEL_E_IN_DOUBT)
        #expect(probe.reports.wait { _ in probe.reports.restarts == 1 })
        guard case .garbage = probe.reports.causes.first else {
            Issue.record("\(probe.reports.causes)")
            return
        }
        try probe.end()
    }

    @Test func aLeakEndsAtItsLimit() throws {
        let probe = try RemoteProbe {
            $0.memoryLimit = 256 << 20
            $0.callLimit = 20_000_000_000
        }
        try probe.begin("{\"leak_submit\":1}")
        #expect(try probe.submit(0x10000, request: 5).0 == KEEL_E_IN_DOUBT)
        guard case .leaked(let used, let limit) = probe.reports.causes.first else {
            Issue.record("\(probe.reports.causes)")
            return
        }
        #expect(limit == 256 << 20 && used >= limit - limit / 10)
        try probe.end()
    }

    @Test func sigkillFromOutsideReportsWhatIsOwed() throws {
        let probe = try RemoteProbe()
        try probe.begin("{\"silent_submit\":1}")
        _ = try probe.on { instance in instance.tables.feed?.pointee.subscribe(instance.instance, 2, 4, 1, nil) ?? 99 }
        #expect(try probe.submit(0x10000, request: 5).0 == KEEL_OK)
        #expect(try probe.submit(0x20000, request: 6).0 == KEEL_OK)
        #expect(probe.host.wait { $0.orderStates(0x20000) == [KEEL_ORDER_PENDING] })
        let pid = try #require(probe.reports.pids.last)
        #expect(kill(pid, SIGKILL) == 0)
        #expect(probe.reports.wait { _ in probe.reports.restarts == 1 })
        let state = probe.host.state.withLock { $0 }
        for (order, request) in [(UInt64(0x10000), UInt64(5)), (0x20000, 6)] {
            #expect(state.orderStates(order) == [KEEL_ORDER_PENDING, KEEL_ORDER_IN_DOUBT])
            #expect(state.done(request) == KEEL_E_IN_DOUBT)
        }
        #expect(probe.reports.events.withLock { $0 }.contains { if case .died(_, let orders) = $0 { orders.map(\.lo) == [0x10000, 0x20000] } else { false } })
        // The subscription was made again, with the instrument known to the new worker, and its DONE kept from the host.
        #expect(probe.host.wait { $0.lines.count { $0.text == "subscribed ETH/USDT 4" } == 2 })
        #expect(state.seen.count { $0.kind == KEEL_EV_DONE } == 3)
        // Nothing was submitted to it.
        let described = try probe.on { instance in Result { try instance.describe() } }.get()
        #expect(described?.contains("\"submitted\":0") == true)
        try probe.end()
    }

    @Test func threeDeathsAreEnough() throws {
        let probe = try RemoteProbe()
        try probe.begin("{}")
        for round in 1...3 {
            let pid = try #require(probe.reports.pids.last)
            #expect(kill(pid, SIGKILL) == 0)
            if round < 3 {
                #expect(probe.reports.wait { _ in probe.reports.restarts == round })
            } else {
                #expect(probe.reports.wait { _ in probe.reports.quarantined })
            }
        }
        #expect(probe.reports.events.withLock { $0 }.contains(.restarting(after: 2_000_000_000)))
        #expect(probe.reports.restarts == 2)
        let (status, text) = try probe.submit(0x10000, request: 1)
        #expect(status == KEEL_E_STATE)
        #expect(text.contains("quarantined: 3 deaths in ten minutes"))
        try probe.end()
        // What the host kept of it holds for the next run, until someone forgives.
        var kept = try CrashBudget(try JSONValue(parsing: probe.reports.budget.withLock { $0 }.json.bytes(.compact)))
        #expect(kept == probe.reports.budget.withLock { $0 })
        let later = try RemoteProbe(budget: kept)
        let refused = try later.on { instance in Result<Void, any Error> { try instance.create(config: "{}") } }
        #expect(throws: CallError.self) { try refused.get() }
        later.lane.stop()
        kept.forgive()
        let forgiven = try RemoteProbe(budget: kept)
        try forgiven.begin("{}")
        try forgiven.end()
    }

    @Test func aDeathInCreateOrStartIsTheCallersToRetry() throws {
        for word in ["null_create", "null_start"] {
            let probe = try RemoteProbe()
            let result = try probe.on { instance in
                Result<Void, any Error> { try instance.create(config: "{\"\(word)\":1}"); try instance.start() }
            }
            #expect(throws: CallError.self) { try result.get() }
            #expect(probe.reports.causes == [.ended(.signalled(SIGSEGV))])
            #expect(probe.reports.restarts == 0)
            try probe.end()
        }
        let missing = try RemoteProbe { $0.program = "/nonexistent" }
        let result = try missing.on { instance in Result<Void, any Error> { try instance.create(config: "{}") } }
        #expect(throws: CallError.self) { try result.get() }
        missing.lane.stop()
        let wrong = try RemoteProbe { $0.program = "/bin/false" }
        let other = try wrong.on { instance in Result<Void, any Error> { try instance.create(config: "{}") } }
        #expect(throws: CallError.self) { try other.get() }
        wrong.lane.stop()
    }

    @Test func crashBudgetForgetsOldDeaths() {
        var budget = CrashBudget()
        let minute: keel_span = 60_000_000_000
        #expect(budget.died(at: 0, of: "a") == .restart(after: 0))
        #expect(budget.died(at: 5 * minute, of: "b") == .restart(after: 2_000_000_000))
        #expect(budget.died(at: 11 * minute, of: "c") == .restart(after: 2_000_000_000))
        #expect(budget.deaths == [5 * minute, 11 * minute])
        #expect(budget.died(at: 12 * minute, of: "d") == .quarantine)
        #expect(budget.quarantine == "3 deaths in ten minutes, the last: d")
    }

    // MARK: what a worker may not have

    @Test func workersSeeNoSecretsOfTheHost() throws {
        setenv("KEEL_TEST_SECRET_TOKEN", "do-not-pass-on", 1)
        let names = childEnvironment().compactMap { $0.split(separator: "=").first }
        #expect(!names.contains("KEEL_TEST_SECRET_TOKEN"))
        #expect(names.contains("PATH"))
        // A descriptor that was left open without close-on-exec does not reach the worker.
        let leaked = open("/proc/self/exe", O_RDONLY)
        defer { close(leaked) }
        let probe = try RemoteProbe()
        try probe.begin("{}")
        let pid = try #require(probe.reports.pids.last)
        let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")
        let targets = open.compactMap { try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\($0)") }
        #expect(!targets.contains(thisProgram() ?? "-"))
        let environment = try String(contentsOfFile: "/proc/\(pid)/environ", encoding: .utf8)
        #expect(!environment.contains("do-not-pass-on"))
        #expect(try String(contentsOfFile: "/proc/\(pid)/limits", encoding: .utf8).contains("Max core file size        0"))
        try probe.end()
    }

    /// P03. A stand-in host starts a worker and is killed; the worker must go too, even while its plugin holds the lane.
    @Test(arguments: ["{}", "{\"hang_timer\":1,\"slow_timer\":1}"])
    func theWorkerDiesWithTheHost(config: String) throws {
        let folder = try TemporaryFolder("p03")
        let prepared = try Probe.prepared(folder)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Probe.program)
        process.arguments = ["host", prepared.path, folder.file("cache"), config]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        // It prints the worker's number once the worker runs.
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        let pid = try #require(Int32(line.trimmingCharacters(in: .whitespacesAndNewlines)))
        let pidfd = csystem_worker_find(pid)
        try #require(pidfd >= 0)
        defer { close(pidfd) }
        #expect(csystem_wait_ready(pidfd, 1, 0) == 0)
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        #expect(csystem_wait_ready(pidfd, 1, 1_000_000_000) == 1)
    }
}
