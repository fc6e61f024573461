import Foundation
import PluginAPI
import Synchronization
import TestSupport
import Testing

@testable import HostPlugins

/// The probe plugin in this process, on a lane of its own.
struct LocalProbe {
    let host: TestHost
    let lane: Lane
    let instance: InstanceHost

    init(_ config: String, name: String = "probe", host: TestHost = TestHost(), granted: Set<String> = []) throws {
        let tables = try LocalProbe.library.get().tables("com.test.probe")
        self.host = host
        lane = try Lane(name: name)
        instance = InstanceHost(name: name, tables: tables, lane: lane, services: host, grantedSecrets: granted, redactor: SecretRedactor())
    }

    private static let folder: Result<TemporaryFolder, any Error> = Result { try TemporaryFolder("local") }
    private static let library: Result<LoadedLibrary, any Error> = Result {
        let folder = try LocalProbe.folder.get()
        return try Probe.loader(folder).load(try Probe.prepared(folder))
    }

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
}

@Suite struct InstanceHostTests {
    @Test func lifeFromCreateToDestroy() throws {
        let probe = try LocalProbe("{}")
        #expect(probe.instance.phase == .fresh)
        #expect(throws: CallError.self) { try probe.instance.create(config: "{}") }
        try probe.begin("{}")
        #expect(probe.instance.phase == .running)
        let refused = try probe.on { instance in Result<Void, any Error> { try instance.start() } }
        #expect(throws: CallError.self) { try refused.get() }
        let status = try probe.on { instance in
            var order = Probe.order(5)
            return instance.tables.broker?.pointee.submit(instance.instance, &order, 11, nil) ?? 99
        }
        #expect(status == KEEL_OK)
        #expect(probe.host.wait { $0.done(11) == KEEL_OK })
        #expect(probe.host.state.withLock { $0.orderStates(5) } == [KEEL_ORDER_PENDING, KEEL_ORDER_OPEN, KEEL_ORDER_FILLED])
        try probe.on { instance in Result { try instance.stop(deadline: 0, request: 12) } }.get()
        #expect(probe.instance.phase == .stopped)
        let described = try probe.on { instance in Result { try instance.describe() } }.get()
        #expect(described?.contains("\"submitted\":1") == true)
        let saved = try probe.on { instance in Result { try instance.saveState() } }.get()
        #expect(saved == Array("1\0".utf8))
        try probe.end()
        #expect(probe.instance.phase == .destroyed)
        #expect(probe.instance.misbehaviours == 0)
    }

    @Test func servicesReachThePlugin() throws {
        let host = TestHost(secrets: ["api.key": "hunter2-secret", "other.key": "not yours"])
        let probe = try LocalProbe("", host: host, granted: ["api.key"])
        try probe.begin("{\"use_services\":1}")
        let texts = host.texts
        // The secret arrived, and is taken out of the line that says it.
        #expect(texts.contains("secret 0 is [secret]"))
        #expect(texts.contains("other secret \(KEEL_E_NOT_FOUND)"))
        #expect(texts.contains("put 0 get 0 here"))
        #expect(texts.contains("instrument 0 BTC/USDT tick 1000000"))
        #expect(texts.contains("unknown instrument \(KEEL_E_NOT_FOUND)"))
        #expect(!texts.contains { $0.contains("hunter2-secret") })
        // Nor does it show in an error.
        let error = try probe.on { instance in
            var order = Probe.order(1)
            var error = keel_error.empty()
            let status = instance.tables.broker?.pointee.submit(instance.instance, &order, 1, &error) ?? 0
            return instance.failure("submit", status, error)
        }
        #expect(error.status == KEEL_OK)
        try probe.end()
        let refusing = try LocalProbe("", host: host, granted: ["api.key"])
        try refusing.begin("{\"use_services\":1,\"refuse_submit\":1}")
        let refusal = try refusing.on { instance in
            var order = Probe.order(1)
            var error = keel_error.empty()
            let status = instance.tables.broker?.pointee.submit(instance.instance, &order, 1, &error) ?? 0
            return instance.failure("submit", status, error)
        }
        #expect(refusal.description == "probe: submit answered REJECTED (venue code -2010): the venue says no to key [secret]; try again after 1500 ms")
        try refusing.end()
    }

    @Test func laneOnlyCallsFromOtherThreadsAreRefused() throws {
        let probe = try LocalProbe("")
        try probe.begin("{\"own_thread\":1}")
        #expect(probe.host.wait { $0.seen.count { $0.kind == KEEL_EV_VALUE } == 20 })
        try probe.end()
        #expect(probe.instance.misbehaviours == 1)
        #expect(probe.host.texts.contains("timer called off its lane"))
        #expect(probe.host.state.withLock { $0.seen }.filter { $0.kind == KEEL_EV_VALUE }.map(\.value) == (0..<20).map(Double.init))
    }

    @Test func nothingIsEmittedAfterStop() throws {
        let probe = try LocalProbe("")
        try probe.begin("{\"talk_after_stop\":1}")
        try probe.on { instance in Result { try instance.stop(deadline: 0, request: 3) } }.get()
        #expect(probe.host.state.withLock { $0.seen }.map(\.kind) == [KEEL_EV_DONE])
        #expect(probe.instance.misbehaviours == 1)
        try probe.end()
    }

    @Test func failedCreateLeavesNothing() throws {
        let probe = try LocalProbe("")
        let result = try probe.on { instance in Result<Void, any Error> { try instance.create(config: "{\"refuse_create\":1}") } }
        #expect(throws: CallError(instance: "probe", call: "create", status: KEEL_E_REJECTED, vendorCode: -2010, retryAfter: 1_500_000_000, message: "refused in create")) {
            try result.get()
        }
        #expect(probe.instance.phase == .fresh)
        #expect(probe.instance.instance == nil)
        probe.lane.stop()
    }

    @Test func malformedEventsAreRefusedAndCounted() throws {
        let probe = try LocalProbe("")
        try probe.begin("{}")
        let table = probe.instance.hostTable
        var event = keel_ev_done()
        event.head.size = UInt32(MemoryLayout<keel_ev_done>.size)
        event.head.kind = UInt16(KEEL_EV_DONE)
        event.message = keel_text(off: 60, len: 1000)
        func emit(_ event: inout keel_ev_done) -> keel_status {
            withUnsafePointer(to: &event.head) { table.pointee.emit?(table, $0) ?? 99 }
        }
        #expect(emit(&event) == KEEL_E_INVALID)
        event.message = keel_text(off: .max, len: .max)
        #expect(emit(&event) == KEEL_E_INVALID)
        event.message = keel_text(off: 0, len: 0)
        #expect(emit(&event) == KEEL_OK)
        event.head.size = 8
        #expect(emit(&event) == KEEL_E_INVALID)
        event.head.size = KEEL_EVENT_MAX + 1
        #expect(emit(&event) == KEEL_E_INVALID)
        #expect(table.pointee.emit?(table, nil) == KEEL_E_INVALID)
        #expect(probe.instance.misbehaviours == 5)
        event.head.size = 40
        event.head.kind = 999
        #expect(emit(&event) == KEEL_OK)
        #expect(probe.instance.skippedEvents == 1)
        #expect(probe.host.events.count == 1)
        try probe.end()
        #expect(emit(&event) == KEEL_E_STATE)
        #expect(table.pointee.wake?(table) == KEEL_E_STATE)
    }

    @Test func eventsAtOddAddressesArriveWhole() throws {
        let probe = try LocalProbe("")
        try probe.begin("{}")
        var event = keel_ev_value()
        event.head.size = UInt32(MemoryLayout<keel_ev_value>.size)
        event.head.kind = UInt16(KEEL_EV_VALUE)
        event.value = 42
        var bytes: [UInt8] = [0] + withUnsafeBytes(of: event) { Array($0) }
        let table = probe.instance.hostTable
        let status = bytes.withUnsafeMutableBytes { raw in
            raw.baseAddress.map { table.pointee.emit?(table, UnsafeRawPointer($0 + 1).assumingMemoryBound(to: keel_event.self)) ?? 99 }
        }
        #expect(status == KEEL_OK)
        #expect(probe.host.state.withLock { $0.seen.last?.value } == 42)
        try probe.end()
    }

    @Test func logLinesAreBoundedCleanAndLimited() throws {
        let probe = try LocalProbe("")
        try probe.begin("{}")
        let table = probe.instance.hostTable
        func log(_ level: UInt32, _ bytes: [UInt8], len: Int? = nil) {
            bytes.withUnsafeBytes { raw in
                table.pointee.log?(table, level, keel_str(ptr: raw.baseAddress?.assumingMemoryBound(to: CChar.self), len: len ?? raw.count))
            }
        }
        log(KEEL_LOG_WARN, Array("two\nlines \u{1b}[31m".utf8))
        log(99, [0x61, 0xff, 0x62])
        log(KEEL_LOG_INFO, [UInt8](repeating: 0x78, count: 100_000))
        #expect(probe.host.texts.prefix(2) == ["two | lines \u{fffd}[31m", "a\u{fffd}b"])
        #expect(probe.host.lines.prefix(2).map(\.level) == [.warn, .info])
        #expect(probe.host.texts.last?.utf8.count == InstanceHost.longestLine)
        table.pointee.log?(table, KEEL_LOG_INFO, keel_str(ptr: nil, len: 5))
        #expect(probe.instance.misbehaviours == 1)
        for number in 0..<1000 { log(KEEL_LOG_INFO, Array("\(number)".utf8)) }
        let before = probe.host.lines.count
        #expect(before == LogLimit.burst + 1)
        // Chatter does not keep an error out.
        log(KEEL_LOG_ERROR, Array("broken".utf8))
        #expect(probe.host.texts.last == "broken")
        probe.host.advance(1_000_000_000)
        log(KEEL_LOG_INFO, Array("later".utf8))
        #expect(probe.host.texts.suffix(2).first?.contains("lines dropped") == true)
        #expect(probe.host.texts.last == "later")
        try probe.end()
    }

    @Test func instrumentFillsWhatThePluginHasRoomFor() throws {
        let probe = try LocalProbe("")
        try probe.begin("{}")
        let table = probe.instance.hostTable
        var short = keel_instrument()
        short.struct_size = 32
        short.tick = -7
        #expect(table.pointee.instrument?(table, 1, &short) == KEEL_OK)
        #expect(short.struct_size == 32)
        #expect(short.id == 1)
        #expect(short.tick == -7)
        var none = keel_instrument()
        #expect(table.pointee.instrument?(table, 1, &none) == KEEL_E_INVALID)
        #expect(table.pointee.instrument?(table, 1, nil) == KEEL_E_INVALID)
        #expect(table.pointee.service?(table, "keel.metrics/1") == nil)
        try probe.end()
    }

    @Test func secretsAreTakenOutInEveryForm() {
        let redactor = SecretRedactor()
        redactor.add(Array("p@ss/word+1\n".utf8))
        redactor.add(Array("abc".utf8))
        redactor.add(Array("-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END KEY-----".utf8))
        #expect(redactor.redact("x p@ss/word+1 y p@ss/word+1") == "x [secret] y [secret]")
        #expect(redactor.redact("?k=p%40ss%2Fword%2B1&") == "?k=[secret]&")
        #expect(redactor.redact("abc is too short to be one") == "abc is too short to be one")
        #expect(redactor.redact("MIIEvQIBADANBgkqhkiG9w0") == "[secret]")
        #expect(redactor.redact("nothing") == "nothing")
    }

    @Test func errorsAreNeverWrittenPastTheirSize() {
        var target = [UInt8](repeating: 0xa5, count: 400)
        for size in [0, 4, 8, 24, 40, 100, 280, 400] {
            target = [UInt8](repeating: 0xa5, count: 400)
            target.withUnsafeMutableBytes { raw in
                raw.storeBytes(of: UInt32(size), as: UInt32.self)
                fill(raw.baseAddress?.assumingMemoryBound(to: keel_error.self), status: KEEL_E_AUTH, String(repeating: "é", count: 300))
            }
            #expect(target[max(4, min(size, 280))...].allSatisfy { $0 == 0xa5 }, "size \(size)")
            if size > 24, size <= 280 { #expect(target[size - 1] == 0) }
        }
        var error = keel_error.empty()
        error.setText(String(repeating: "é", count: 300))
        #expect(error.text == String(repeating: "é", count: 127))
    }
}
