import Foundation
import Glibc
import HostCore
import Testing

@testable import HostRun

@Suite struct FolderTests {
    /// Client order ids begin with the run's number: it must not come again, whatever was lost.
    @Test func theFirstRunOfANewLedgerIsAboveAllBefore() {
        #expect(RunNumber.first(isLive: false, recorded: [], asked: nil, now: 0) == 1)
        #expect(RunNumber.first(isLive: false, recorded: [3, 12, 7], asked: nil, now: 0) == 13)
        #expect(RunNumber.first(isLive: false, recorded: [3], asked: 900, now: 0) == 900)
        #expect(RunNumber.first(isLive: false, recorded: [.max], asked: nil, now: 0) == .max)
        let now: Int64 = 1_785_542_400 * Span.second
        let live = RunNumber.first(isLive: true, recorded: [5], asked: nil, now: now)
        #expect(live == 1_357_920)
        #expect(RunNumber.first(isLive: true, recorded: [], asked: nil, now: now + Span.minute) == live + 1)
        #expect(RunNumber.first(isLive: true, recorded: [live + 10], asked: nil, now: now) == live + 11)
    }

    @Test func oldJournalsGoAndTheLastTwoStay() throws {
        let temporary = TemporaryFolder("journals")
        let folder = RunFolder(temporary.path + "/state")
        try folder.prepare()
        for run in 1...6 as ClosedRange<UInt32> {
            try Data([1]).write(to: URL(fileURLWithPath: folder.journal(run: run)))
            var times = [timespec(tv_sec: Int(run) * 100, tv_nsec: 0), timespec(tv_sec: Int(run) * 100, tv_nsec: 0)]
            #expect(utimensat(AT_FDCWD, folder.journal(run: run), &times, 0) == 0)
        }
        #expect(folder.removeJournals(olderThan: 250_000_000_000, running: 6) == [1, 2])
        #expect(folder.removeJournals(olderThan: .max, running: 6) == [3])
        #expect(folder.recordedRuns() == [4, 5, 6])
        #expect(folder.removeJournals(olderThan: .max, running: 6).isEmpty)
    }
}
