import Foundation
import PluginAPI
import Synchronization
import TestSupport
import Testing

@testable import HostPlugins

/// Records what a lane calls, in order.
final class Recorder: LaneClient {
    let laneName: String
    let laneMark = LaneMark()
    let calls = Mutex<[String]>([])
    let signal = DispatchSemaphore(value: 0)
    let onReady: (@Sendable (Int32) -> Void)?

    init(_ name: String = "recorder", onReady: (@Sendable (Int32) -> Void)? = nil) {
        laneName = name
        self.onReady = onReady
    }
    func add(_ call: String) {
        calls.withLock { $0.append(call) }
        signal.signal()
    }
    func laneTimer(_ id: UInt64, tag: UInt64) { add("timer \(tag)") }
    func laneReady(_ fd: Int32, ready: UInt32) {
        onReady?(fd)
        add("ready \(ready)")
    }
    func laneWoken() { add("woken") }
    func waitFor(_ count: Int) -> Bool {
        for _ in 0..<count { if signal.wait(timeout: .now() + 20) == .timedOut { return false } }
        return true
    }
}

final class LaneReports: LaneObserver {
    let hung = DispatchSemaphore(value: 0)
    let recovered = DispatchSemaphore(value: 0)
    let calls = Mutex<[String]>([])
    func laneWasSlow(_ call: LaneCall, took: keel_span) { calls.withLock { $0.append("slow \(call)") } }
    func laneHangs(_ call: LaneCall, since: keel_span) {
        calls.withLock { $0.append("hangs \(call)") }
        hung.signal()
    }
    func laneRecovered(_ call: LaneCall, took: keel_span) {
        calls.withLock { $0.append("recovered \(call)") }
        recovered.signal()
    }
}

@Suite struct LaneTests {
    @Test func postsRunInOrderOnOneThread() throws {
        let lane = try Lane(name: "posts")
        let seen = Mutex<[Int]>([])
        let others = Mutex<Int>(0)
        for number in 0..<1000 {
            lane.post("count") {
                if !lane.isCurrent { others.withLock { $0 += 1 } }
                seen.withLock { $0.append(number) }
            }
        }
        #expect(!lane.isCurrent)
        #expect(try lane.call("ask") { lane.isCurrent })
        #expect(lane.stop(within: 20_000_000_000))
        #expect(seen.withLock { $0 } == Array(0..<1000))
        #expect(others.withLock { $0 } == 0)
        #expect(!lane.post("late") {})
        #expect(throws: LaneError.stopped(lane: "posts")) { try lane.call("late") { 1 } }
    }

    @Test func timersFireInOrderAndStop() throws {
        let lane = try Lane(name: "timers")
        let client = Recorder()
        let stopped = try lane.call("set") {
            var id: UInt64 = 0
            _ = lane.addTimer(for: client, delay: 3_000_000, period: 0, tag: 3, id: &id)
            _ = lane.addTimer(for: client, delay: 1_000_000, period: 0, tag: 1, id: &id)
            _ = lane.addTimer(for: client, delay: 2_000_000, period: 0, tag: 2, id: &id)
            var unwanted: UInt64 = 0
            _ = lane.addTimer(for: client, delay: 500_000, period: 0, tag: 9, id: &unwanted)
            return [lane.removeTimer(unwanted, for: client), lane.removeTimer(unwanted, for: client), lane.addTimer(for: client, delay: -1, period: 0, tag: 0, id: &id)]
        }
        #expect(stopped == [KEEL_OK, KEEL_E_NOT_FOUND, KEEL_E_INVALID])
        #expect(client.waitFor(3))
        #expect(client.calls.withLock { $0 } == ["timer 1", "timer 2", "timer 3"])
        var id: UInt64 = 0
        #expect(lane.addTimer(for: client, delay: 0, period: 0, tag: 0, id: &id) == KEEL_E_STATE)
        lane.stop()
    }

    @Test func periodicTimerFiresUntilForgotten() throws {
        let lane = try Lane(name: "period", speed: 10)
        let client = Recorder()
        _ = try lane.call("set") {
            var id: UInt64 = 0
            return lane.addTimer(for: client, delay: 0, period: 5_000_000, tag: 4, id: &id)
        }
        #expect(client.waitFor(5))
        let count = try lane.call("forget") {
            lane.forget(client)
            return client.calls.withLock { $0.count }
        }
        let other = Recorder()
        _ = try lane.call("later") {
            var id: UInt64 = 0
            return lane.addTimer(for: other, delay: 100_000_000, period: 0, tag: 0, id: &id)
        }
        #expect(other.waitFor(1))
        #expect(client.calls.withLock { $0.count } == count)
        lane.stop()
    }

    @Test func descriptorsAndTheirRules() throws {
        let lane = try Lane(name: "fds")
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let reading = ends[0]
        let client = Recorder(onReady: { fd in
            var byte: UInt8 = 0
            _ = read(fd, &byte, 1)
        })
        let other = Recorder("other")
        let file = open("/proc/self/exe", O_RDONLY)
        let answers = try lane.call("watch") {
            [
                lane.watch(reading, interest: KEEL_READABLE, for: client),
                lane.watch(reading, interest: KEEL_READABLE, for: other),
                lane.watch(1_000_001, interest: KEEL_READABLE, for: client),
                lane.watch(file, interest: KEEL_READABLE, for: client),
                lane.watch(reading, interest: 64, for: client),
                lane.watch(-1, interest: KEEL_READABLE, for: client),
                lane.watch(1_000_000, interest: 0, for: client),
            ]
        }
        #expect(answers == [KEEL_OK, KEEL_E_INVALID, KEEL_E_INVALID, KEEL_E_UNSUPPORTED, KEEL_E_INVALID, KEEL_E_INVALID, KEEL_E_NOT_FOUND])
        var byte: UInt8 = 1
        #expect(write(ends[1], &byte, 1) == 1)
        #expect(client.waitFor(1))
        #expect(try lane.call("unwatch") { lane.watch(reading, interest: 0, for: client) } == KEEL_OK)
        #expect(write(ends[1], &byte, 1) == 1)
        _ = try lane.call("again") { lane.watch(reading, interest: KEEL_READABLE, for: client) }
        #expect(client.waitFor(1))
        close(ends[1])
        // The end of the pipe is a hangup.
        #expect(client.waitFor(1))
        #expect(client.calls.withLock { $0.prefix(2) } == ["ready 1", "ready 1"])
        #expect(client.calls.withLock { $0.dropFirst(2).first } == "ready 4")
        lane.stop()
        close(reading)
        close(file)
    }

    @Test func wakesCoalesce() throws {
        let lane = try Lane(name: "wakes")
        let client = Recorder()
        // While the lane is busy, ten thousand wakes become one call.
        let statuses = try lane.call("wake") { (0..<10_000).map { _ in lane.wake(client) } }
        #expect(statuses.allSatisfy { $0 == KEEL_OK })
        #expect(client.waitFor(1))
        try #expect(lane.call("look") { client.calls.withLock { $0 } } == ["woken"])
        _ = lane.wake(client)
        #expect(client.waitFor(1))
        lane.stop()
        #expect(lane.wake(client) == KEEL_E_STATE)
    }

    @Test func slowAndHangingCallsAreReportedByName() throws {
        let reports = LaneReports()
        let lane = try Lane(name: "slow", limits: LaneLimits(soft: 1, hard: 2, hang: 20_000_000), observer: reports)
        let client = Recorder("binance")
        lane.attach(client)
        let release = DispatchSemaphore(value: 0)
        lane.post("submit", for: client) { release.wait() }
        #expect(reports.hung.wait(timeout: .now() + 20) == .success)
        #expect(throws: LaneError.self) { try lane.call("blocked", within: 1_000_000) { 1 } }
        #expect(!lane.stop(within: 1_000_000))
        release.signal()
        #expect(reports.recovered.wait(timeout: .now() + 20) == .success)
        #expect(lane.stop(within: 20_000_000_000))
        let calls = reports.calls.withLock { $0 }
        #expect(calls.filter { $0 == "hangs submit of binance" }.count == 1)
        #expect(calls.contains("slow submit of binance"))
        #expect(calls.contains("recovered submit of binance"))
        #expect(lane.softCount > 0 && lane.hardCount > 0)
    }

    @Test func inlineLaneFollowsTheHostsTime() {
        let lane = InlineLane(now: 1000)
        let client = Recorder()
        var id: UInt64 = 0
        #expect(lane.addTimer(for: client, delay: 50, period: 0, tag: 1, id: &id) == KEEL_OK)
        #expect(lane.addTimer(for: client, delay: 10, period: 20, tag: 2, id: &id) == KEEL_OK)
        #expect(lane.nextDeadline() == 1010)
        lane.advance(to: 1009)
        #expect(client.calls.withLock { $0 }.isEmpty)
        lane.advance(to: 1055)
        #expect(client.calls.withLock { $0 } == ["timer 2", "timer 2", "timer 1", "timer 2"])
        #expect(lane.now == 1055)
        lane.advance(to: 1)
        #expect(lane.now == 1055)
        #expect(lane.watch(0, interest: 1, for: client) == KEEL_E_UNSUPPORTED)
        #expect(!lane.hasWakes)
        _ = lane.wake(client)
        _ = lane.wake(client)
        #expect(lane.hasWakes)
        lane.deliverWakes()
        #expect(client.calls.withLock { $0.last } == "woken")
        lane.forget(client)
        #expect(lane.nextDeadline() == nil)
    }

    /// Against a plain list: the same timers in the same order, whatever is added and removed.
    @Test func timerQueueAgreesWithASortedList() {
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededRandom(seed)
        let clients = [Recorder("a"), Recorder("b")]
        for _ in 0..<200 {
            var queue = TimerQueue()
            var model: [(deadline: Int64, id: UInt64, client: Int)] = []
            for _ in 0..<60 {
                switch Int.random(in: 0..<5, using: &random) {
                case 0, 1, 2:
                    let deadline = Int64.random(in: 0...50, using: &random)
                    let client = Int.random(in: 0..<2, using: &random)
                    model.append((deadline, queue.add(for: clients[client], deadline: deadline, period: 0, tag: 0), client))
                case 3:
                    guard let victim = model.randomElement(using: &random) else { continue }
                    let wrongly = queue.remove(victim.id, for: clients[1 - victim.client])
                    let rightly = queue.remove(victim.id, for: clients[victim.client])
                    #expect(!wrongly && rightly, "seed \(seed)")
                    model.removeAll { $0.id == victim.id }
                default:
                    if Int.random(in: 0..<10, using: &random) == 0 {
                        queue.removeAll(of: clients[0])
                        model.removeAll { $0.client == 0 }
                    }
                    let now = Int64.random(in: 0...50, using: &random)
                    var fired: [UInt64] = []
                    while let entry = queue.takeDue(now) { fired.append(entry.id) }
                    let expected = model.filter { $0.deadline <= now }.sorted { ($0.deadline, $0.id) < ($1.deadline, $1.id) }.map(\.id)
                    #expect(fired == expected, "seed \(seed)")
                    model.removeAll { $0.deadline <= now }
                }
                let next = queue.next()
                #expect(next == model.map(\.deadline).min(), "seed \(seed)")
            }
        }
    }
}
