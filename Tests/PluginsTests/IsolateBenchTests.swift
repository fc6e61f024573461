import TestSupport
import Testing

@testable import HostPlugins

/// The figures themselves are `make bench`'s, in release; here, that the measuring works.
@Suite struct IsolateBenchTests {
    @Test func theFiguresAreMeasured() throws {
        let folder = try TemporaryFolder("bench")
        let prepared = try Probe.prepared(folder)
        let settings = IsolationSettings(program: Probe.program, startLimit: 20_000_000_000)
        #expect(try PluginBench.callInProcess(prepared, calls: 1000) > 0)
        let calls = try PluginBench.callInWorker(prepared, component: "com.test.probe", settings: settings, calls: 200)
        #expect(calls.sorted.count == 200 && calls.p50 > 0 && calls.p99 >= calls.p50)
        let restarts = try PluginBench.restart(prepared, component: "com.test.probe", settings: settings, rounds: 2)
        #expect(restarts.sorted.count == 2 && restarts.p50 > 0)
    }
}
