import Testing

@testable import BinanceConnector

private let second: Int64 = 1_000_000_000

@Suite struct StreamWatchTests {
    let limits = StreamWatch.Limits(freshness: 10 * second, longest: 120 * second)

    @Test func aSteadyStreamIsStaleAtTheLimit() {
        var watch = StreamWatch(isSteady: true, at: 100 * second)
        #expect(watch.verdict(at: 109 * second, limits) == .fresh)
        #expect(watch.verdict(at: 110 * second, limits) == .stale(silence: 10 * second))
        watch.message(at: 110 * second, on: 1)
        #expect(watch.verdict(at: 119 * second, limits) == .fresh)
    }

    /// A stream that was acknowledged and never speaks is looked into like one that fell silent.
    @Test func silenceIsLookedInto() {
        var watch = StreamWatch(isSteady: false, at: 0)
        #expect(watch.verdict(at: 4 * second, limits) == .fresh)
        #expect(watch.verdict(at: 5 * second, limits) == .doubtful)
        watch.missed(at: 5 * second)
        #expect(watch.verdict(at: 8 * second, limits) == .doubtful)
        #expect(watch.verdict(at: 9 * second, limits) == .stale(silence: 9 * second))
        watch.message(at: 9 * second, on: 1)
        #expect(watch.verdict(at: 10 * second, limits) == .fresh)
    }

    /// The first sign counts; more of them don't put it off.
    @Test func signsDoNotPutItOff() {
        var watch = StreamWatch(isSteady: false, at: 0)
        watch.message(at: second, on: 1)
        for time in 2...9 { watch.missed(at: Int64(time) * second) }
        #expect(watch.verdict(at: 6 * second, limits) == .stale(silence: 5 * second))
    }

    /// In a quiet market the looks become rarer, and never rarer than the longest.
    @Test func quietMarketsAreLookedAtLessOften() {
        var watch = StreamWatch(isSteady: false, at: 0)
        var looks: [Int64] = []
        for time in Int64(0)..<3_600 where watch.verdict(at: time * second, limits) == .doubtful {
            looks.append(time)
            watch.confirmed(at: time * second)
        }
        #expect(looks.prefix(4) == [5, 15, 35, 75])
        #expect(looks.count < 40)
        #expect(zip(looks, looks.dropFirst()).allSatisfy { $1 - $0 <= 120 })
    }

    @Test func messagesWithinTheVenuesLimit() {
        var budget = MessageBudget(.spot)
        var sent: [Int64] = []
        var now: Int64 = 0
        for _ in 0..<100 {
            now += budget.wait(at: now)
            budget.spend(at: now)
            sent.append(now)
        }
        for start in sent { #expect(sent.count { $0 >= start && $0 < start + second } <= 5) }
        #expect(sent.last ?? 0 < 40 * second)
    }
}
