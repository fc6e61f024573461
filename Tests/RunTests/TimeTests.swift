import Testing

@testable import HostRun

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
