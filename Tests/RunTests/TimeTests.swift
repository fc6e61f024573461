import Testing

@testable import HostRun

@Suite struct TimerQueueTests {
    @Test func firesInOrderOfTimeThenOfArming() {
        var timers = TimerQueue<Int>()
        var generator = SplitMix(seed: 3)
        var expected: [(Int64, Int)] = []
        for index in 0..<500 {
            let due = Int64(generator.next() % 50)
            timers.arm(due: due, payload: index)
            expected.append((due, index))
        }
        expected.sort { $0.0 != $1.0 ? $0.0 < $1.0 : $0.1 < $1.1 }
        var fired: [Int] = []
        while let entry = timers.fire(at: 100) { fired.append(entry.payload) }
        #expect(fired == expected.map(\.1))
    }

    @Test func aStoppedTimerNeverFires() {
        var timers = TimerQueue<String>()
        let first = timers.arm(due: 1, payload: "first")
        timers.arm(due: 2, payload: "second")
        timers.stop(first)
        let next = timers.next
        #expect(next == 2)
        let early = timers.fire(at: 1), second = timers.fire(at: 2), after = timers.next
        #expect(early?.payload == nil)
        #expect(second?.payload == "second")
        #expect(after == nil)
    }

    @Test func stoppingAnyOfManyKeepsTheOrderOfTheRest() {
        var generator = SplitMix(seed: 8)
        for _ in 0..<50 {
            var timers = TimerQueue<Int>()
            var alive: [UInt64: (Int64, Int)] = [:]
            for index in 0..<60 {
                let due = Int64(generator.next() % 20)
                alive[timers.arm(due: due, payload: index)] = (due, index)
            }
            for id in Array(alive.keys.sorted().filter { _ in generator.next() % 3 == 0 }) {
                timers.stop(id)
                alive[id] = nil
            }
            var fired: [Int] = []
            while let entry = timers.fire(at: 100) { fired.append(entry.payload) }
            #expect(fired == alive.values.sorted { $0.0 != $1.0 ? $0.0 < $1.0 : $0.1 < $1.1 }.map(\.1))
        }
    }

    @Test func removingAnOwnersTimersLeavesTheOthers() {
        var timers = TimerQueue<Int>()
        for index in 0..<20 { timers.arm(due: Int64(index), payload: index) }
        timers.removeAll { $0 % 2 == 0 }
        var fired: [Int] = []
        while let entry = timers.fire(at: 100) { fired.append(entry.payload) }
        #expect(fired == (0..<20).filter { $0 % 2 == 1 })
    }
}

@Suite struct HostClockTests {
    @Test func simulatedTimeMovesOnlyForward() {
        let clock = HostClock(.simulated(start: 100, speed: nil))
        #expect(clock.now() == 100)
        clock.advance(to: 250)
        clock.advance(to: 200)
        #expect(clock.now() == 250)
        #expect(clock.wait(until: 1_000) == 0)
    }
}
