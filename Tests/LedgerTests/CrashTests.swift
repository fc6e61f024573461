import Foundation
import Glibc
import Testing

@testable import HostCore
@testable import HostLedger

@Suite struct CrashTests {
    /// After a kill: everything a caller was told is there, nothing is half there, and the rest of the day can follow.
    static func check(_ folder: Folder, seed: UInt64, steps: Int, _ what: String) throws {
        let scenario = Scenario(seed: seed, steps: steps)
        let ledger = try Ledger(path: folder.file("ledger"), now: Scenario.start)
        let found = try ledger.restore(Scenario.names)
        #expect(found.disagreements == [], "\(what)")
        let stored = Int(try ledger.database.integer("SELECT coalesce(max(step), 0) FROM progress") ?? -1)

        // 1. Every order that may have left is known.
        let sent = ((try? String(contentsOfFile: folder.file("sent"), encoding: .utf8)) ?? "").split(separator: "\n").map { $0.split(separator: " ") }
        for line in sent {
            guard line.count == 2, let index = Int(line[1]) else { continue }
            if index >= stored { Issue.record("\(what): unit \(index) was confirmed, \(stored) are stored") }
            let known = try ledger.database.integer("SELECT count(*) FROM intents WHERE order_id = ?", .text(String(line[0])))
            if known != 1 { Issue.record("\(what): order \(line[0]) left without an intent") }
        }
        // 2. What is there is exactly the first units, whole.
        if stored > 0 {
            #expect(found.state?.sorted == scenario.expected(after: stored), "\(what), \(stored) units")
        } else {
            #expect(found.state == nil, "\(what)")
        }
        // 3. The journal has at least the inputs of what is stored, in order.
        if FileManager.default.fileExists(atPath: folder.file("journal")) {
            do {
                let journal = try JournalTests.read(folder.file("journal"))
                #expect(journal.records.map(\.time) == (0..<journal.records.count).map { Int64($0) }, "\(what)")
                if journal.records.count < stored { Issue.record("\(what): \(stored) units stored, \(journal.records.count) inputs recorded") }
            } catch JournalError.notAJournal(_, JournalReader.shortHeader) {
                #expect(stored == 0)
            }
        }
        // 4. The rest of the day, in a new run, ends as the unkilled day does.
        let run = try ledger.begin(Scenario.facts())
        let writer = LedgerWriter(ledger, names: Scenario.names, run: run, started: Scenario.start)
        scenario.play(writer, from: stored)
        #expect(writer.barrier())
        #expect(try ledger.restore(Scenario.names).state?.sorted == scenario.expected(after: scenario.units.count), "\(what)")
        let fills = scenario.units.flatMap(\.records).count { if case .fill = $0 { true } else { false } }
        #expect(try ledger.count("fills") == Int64(fills), "\(what)")
        #expect(try ledger.database.rows("PRAGMA integrity_check") { row throws(SQLiteError) in try row.text(0) } == ["ok"])
    }

    /// Before and after every durable write of a short day.
    @Test func aKillAtEveryDurableWriteLosesNothing() throws {
        let steps = 12
        let whole = try Folder()
        #expect(try ChildProcess.run("play", [whole.path, "31", "\(steps)", "none"]) == .exited(0))
        // LedgerKill.none counts for everyone in the process, and the child is alone in its.
        let writes = try #require(Int(try String(contentsOfFile: whole.file("writes"), encoding: .utf8)))
        #expect(writes > 15)
        try CrashTests.check(whole, seed: 31, steps: steps, "unkilled")
        for write in 1...writes {
            for moment in LedgerKill.Moment.allCases {
                let folder = try Folder()
                let what = "\(moment.rawValue):\(write)"
                #expect(try ChildProcess.run("play", [folder.path, "31", "\(steps)", what]) == .killed(SIGKILL), "\(what)")
                try CrashTests.check(folder, seed: 31, steps: steps, what)
            }
        }
        let folder = try Folder()
        #expect(try ChildProcess.run("play", [folder.path, "31", "\(steps)", "before:\(writes + 1)"]) == .exited(0))
    }

    /// At random instants: the parent kills whenever the child has written so many bytes of confirmations.
    /// KEEL_LEDGER_KILLS sets how many; the default keeps the suite quick.
    @Test func aKillAtAnyInstantLosesNothing() throws {
        let kills = Int(ProcessInfo.processInfo.environment["KEEL_LEDGER_KILLS"] ?? "") ?? 12
        var landed = 0
        for number in 0..<kills {
            let folder = try Folder()
            var dice = Dice(seed: UInt64(number))
            let process = try ChildProcess.start("play", [folder.path, "\(number)", "400", "none"])
            // From before the ledger exists to late in the day: a spin of random length on what can be seen from outside.
            let target = dice.below(4) == 0 ? 0 : dice.below(3_000)
            while process.isRunning {
                var facts = stat()
                let size = stat(folder.file("sent"), &facts) == 0 ? Int(facts.st_size) : -1
                if size >= target { break }
                sched_yield()
            }
            for _ in 0..<dice.below(20_000) { sched_yield() }
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            if process.terminationReason == .uncaughtSignal { landed += 1 }
            if FileManager.default.fileExists(atPath: folder.file("ledger")) {
                try CrashTests.check(folder, seed: UInt64(number), steps: 400, "kill \(number)")
            }
        }
        #expect(landed > 0)
    }

    /// A file size limit stands in for a full disk, for ledger and journal alike, at several sizes.
    @Test(arguments: [140_000, 200_000, 260_000, 330_000])
    func aFullDiskLosesNothing(bytes: Int) throws {
        let folder = try Folder()
        #expect(try ChildProcess.run("fill", [folder.path, "\(bytes)"]) == .exited(0))
        let scenario = Scenario(seed: 21, steps: 150)
        let ledger = try Ledger(path: folder.file("ledger"), now: Scenario.start)
        let found = try ledger.restore(Scenario.names)
        #expect(found.state?.sorted == scenario.expected(after: scenario.units.count))
        #expect(found.disagreements == [])
        let journal = try JournalTests.read(folder.file("journal"))
        #expect(journal.ending == .whole)
        #expect(journal.records.map(\.time) == scenario.units.indices.map { Int64($0) })
    }

    @Test func aStoredValueSurvivesAKill() throws {
        for write in [1, 2, 7, 20] {
            for moment in LedgerKill.Moment.allCases {
                let folder = try Folder()
                #expect(try ChildProcess.run("store", [folder.path, "\(moment.rawValue):\(write)"]) == .killed(SIGKILL))
                let noted = (try? folder.bytes("noted"))?.last ?? 0
                let kept = try PluginStore(path: folder.file("plugins")).get(instance: "a", key: "k")?.first ?? 0
                #expect(kept == (moment == .before ? noted : noted + 1))
                #expect(Int(noted) == write - 1)
            }
        }
    }

    @Test func aKillIsInertUnlessAskedFor() {
        #expect(LedgerKill("") == nil && LedgerKill("before") == nil && LedgerKill("before:0") == nil && LedgerKill("during:3") == nil && LedgerKill("after:x") == nil)
        final class Count: @unchecked Sendable { var value = 0 }
        let count = Count()
        let kill = LedgerKill(.after, write: 2) { count.value += 1 }
        for _ in 0..<4 { kill.reach(.after, kill.begin()) }
        #expect(count.value == 1 && kill.writes == 4)
    }
}

@Suite struct LockTests {
    @Test func theSecondHostIsToldWhoIsFirst() throws {
        let folder = try Folder()
        let path = folder.file("ledger")
        #expect(LedgerLock.holder(of: path) == nil)
        do {
            let first = try LedgerLock(ledger: path, now: Scenario.start)
            let owner = LedgerLock.Owner(pid: getpid(), since: Scenario.start)
            #expect(throws: LedgerRefusal.inUse(path: path, owner: owner)) { try LedgerLock(ledger: path, now: 5) }
            #expect(LedgerLock.holder(of: path) == owner)
            let text = LedgerRefusal.inUse(path: path, owner: owner).description
            #expect(text.contains("pid \(getpid())") && text.contains("2026-08-01T00:00:00Z"))
            withExtendedLifetime(first) {}
        }
        #expect(LedgerLock.holder(of: path) == nil)
        _ = try LedgerLock(ledger: path, now: 5)
    }

    @Test func aKilledHostLeavesNoLock() throws {
        let folder = try Folder()
        let pipe = Pipe()
        let process = try ChildProcess.start("lock", [folder.path], input: pipe)
        while !FileManager.default.fileExists(atPath: folder.file("locked")), process.isRunning { sched_yield() }
        #expect(throws: LedgerRefusal.inUse(path: folder.file("ledger"), owner: .init(pid: process.processIdentifier, since: Scenario.start))) {
            try LedgerLock(ledger: folder.file("ledger"), now: 5)
        }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        _ = try LedgerLock(ledger: folder.file("ledger"), now: 5)
        withExtendedLifetime(pipe) {}
    }

    /// A restart in place passes the descriptor on: nobody can slip in between, and the number alone is not believed.
    @Test func theLockPassesThroughARestart() throws {
        let folder = try Folder()
        let path = folder.file("ledger")
        let first = try LedgerLock(ledger: path, now: 1)
        let number = first.handOver()
        #expect(fcntl(number, F_GETFD) & FD_CLOEXEC == 0)
        first.takeBack()
        #expect(fcntl(number, F_GETFD) & FD_CLOEXEC != 0)
        // As the new image would see it: the same open file, under a number it inherited.
        let inherited = dup(number)
        let second = try LedgerLock(ledger: path, now: 2, inherited: inherited)
        #expect(fcntl(inherited, F_GETFD) & FD_CLOEXEC != 0)
        #expect(throws: LedgerRefusal.self) { try LedgerLock(ledger: path, now: 3) }
        // A number that is some other file falls back to taking the lock, which fails here.
        #expect(throws: LedgerRefusal.self) { try LedgerLock(ledger: path, now: 3, inherited: STDOUT_FILENO) }
        withExtendedLifetime((first, second)) {}
    }
}
