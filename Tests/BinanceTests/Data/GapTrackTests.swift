import PluginKit
import Testing

@testable import BinanceConnector

@Suite struct GapTrackTests {
    @Test func whatComesTwiceIsLeftOut() {
        var track = GapTrack<Int>(mostHeld: 100)
        #expect(track.take(5, 5) == .deliver)
        #expect(track.take(5, 5) == .old)
        #expect(track.take(4, 4) == .old)
        #expect(track.take(6, 6) == .deliver)
    }

    @Test func behindAGapEverythingWaits() {
        var track = GapTrack<Int>(mostHeld: 100)
        _ = track.take(1, 1)
        #expect(track.take(5, 5) == .gap(2..<5))
        #expect(track.take(6, 6) == .held)
        #expect(track.take(6, 6) == .old)
        let first = track.filled([(2, 2), (3, 3)], isAll: false)
        #expect(first.history.map(\.item) == [2, 3])
        #expect(first.live.isEmpty)
        #expect(first.next == 4..<5)
        let second = track.filled([(4, 4), (5, 5)], isAll: false)
        #expect(second.history.map(\.item) == [4])
        #expect(second.live.map(\.item) == [5, 6])
        #expect(second.next == nil)
        #expect(track.take(7, 7) == .deliver)
    }

    @Test func whatTheVenueDoesNotHaveIsLost() {
        var track = GapTrack<Int>(mostHeld: 100)
        _ = track.take(1, 1)
        _ = track.take(9, 9)
        let result = track.filled([(4, 4)], isAll: true)
        #expect(result.history.map(\.item) == [4])
        #expect(result.live.map(\.item) == [9])
        #expect(result.lost == [2..<4, 5..<9])
        #expect(!track.isFilling)
    }

    @Test func afterALossEverythingWaitsUntilTheVenueHasNoMore() {
        var track = GapTrack<Int>(mostHeld: 100)
        #expect(track.resume() == nil)
        _ = track.take(1, 1)
        #expect(track.resume() == 2..<Int64.max)
        #expect(track.resume() == nil)
        #expect(track.filled([], isAll: true).next == nil)
        #expect(track.take(2, 2) == .deliver)
        // History before the first item.
        var fresh = GapTrack<Int>(mostHeld: 100)
        #expect(fresh.resume(from: 10) == 10..<Int64.max)
        #expect(fresh.take(13, 13) == .held)
        #expect(fresh.filled([(10, 10), (11, 11), (12, 12)], isAll: true).live.map(\.item) == [13])
    }

    @Test func aFillThatNeverEndsDoesNotFillTheMemory() {
        var track = GapTrack<Int>(mostHeld: 10)
        _ = track.take(1, 1)
        var told: [Int] = []
        for place in 3..<1_000 where track.take(Int64(place), place) == .full { told += track.giveUp().live.map(\.item) }
        told += track.giveUp().live.map(\.item)
        #expect(told.first == 3 && told.last == 10 + 2)
        #expect(!track.isFilling && !track.isHolding)
    }

    /// Messages lost, doubled and late, fills in pages, answers that lag: every number once, in order, and only what the venue lost is missing.
    @Test(arguments: [UInt64(1), 2, 3, 4, 5, 6]) func everyNumberOnceAndInOrder(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var track = GapTrack<Int64>(mostHeld: 10_000)
        var told: [Int64] = []
        var lost: Set<Int64> = []
        let gone = Set((0..<40).map { _ in Int64(random.below(5_000)) })
        var asked: Range<Int64>?
        func note(_ result: GapTrack<Int64>.Filled) {
            for entry in result.history + result.live { told.append(entry.item) }
            for range in result.lost { for place in range { lost.insert(place) } }
        }
        var fresh: [Int64] = []
        for number in Int64(0)..<5_000 {
            if !random.chance(0.02) { fresh.append(number) }
            if random.chance(0.3) || number == 4_999 {
                for number in fresh {
                    for _ in 0...(random.chance(0.1) ? 1 : 0) {
                        switch track.take(number, number) {
                        case .deliver: told.append(number)
                        case .gap(let range): asked = range
                        case .old, .held, .full: break
                        }
                    }
                }
                fresh = []
            }
            if random.chance(0.005), let range = track.resume() { asked = range }
            while let range = asked, random.chance(0.5) || number == 4_999 {
                let page = (range.lowerBound..<min(range.upperBound, range.lowerBound + 20, number + 1)).filter { !gone.contains($0) }
                let isAll = range.lowerBound + 20 >= min(range.upperBound, number + 1)
                let result = track.filled(page.map { ($0, $0) }, isAll: isAll)
                note(result)
                asked = result.next
            }
        }
        note(track.giveUp())
        #expect(told == told.sorted() && Set(told).count == told.count, "seed \(seed): not in order, or twice")
        guard let first = told.first, let last = told.last else {
            Issue.record("seed \(seed): nothing was told")
            return
        }
        let missing = Set(first...last).subtracting(told)
        #expect(missing == lost, "seed \(seed)")
        #expect(missing.isSubset(of: gone), "seed \(seed): lost what the venue has: \(missing.subtracting(gone).sorted().prefix(5))")
        #expect(told.count > 4_900)
    }
}
