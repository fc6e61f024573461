import Foundation
import Glibc
import HostCore
import HostLedger
import HostRun
import PluginKit
import Testing

/// Hosts are killed while the venue lives on; afterwards venue and ledger must tell the same story, and the day must have
/// come to what it would have come to without a kill.
///
/// KEEL_KILLS=1000 (`make kill`) makes the long form: so many random instants, and every durable write of a life.
@Suite(.serialized, .enabled(if: Built.isComplete, "the keel program is not built"))
struct KillTests {
    static let long = ProcessInfo.processInfo.environment["KEEL_KILLS"].flatMap { Int($0) }
    let temporary = TemporaryFolder("kill")

    /// Cash of a day on which every step was traded once: known without running anything.
    static func expectedCash(_ steps: Int) -> Int64 {
        (0..<steps).reduce(0) { cash, step in
            let price = 100_00000000 + Int64((step * 37) % 101) * 1_000_000
            return cash + (step % 2 == 0 ? -price : price)
        }
    }

    /// Runs the rest of the day without a kill and stops the host in order.
    func finish(_ rehearsal: Rehearsal, _ venue: VenueProcess, _ steps: Int) throws {
        let host = try rehearsal.host()
        let up = Date().addingTimeInterval(30)
        while Date() < up, try rehearsal.keel(["status", rehearsal.manifest]).code == 3 { usleep(20_000) }
        let done = venue.reaches(steps, within: 120 + Double(steps) / 20) { !host.process.isRunning }
        #expect(done, "the day stopped at step \(venue.book.step) of \(steps): \(host.said)")
        // The last fill has to reach the ledger too.
        usleep(200_000)
        let stopped = try rehearsal.keel(["stop", rehearsal.manifest])
        #expect(stopped.code == 0, "keel stop: \(stopped.said)")
        #expect(host.end(within: 20)?.code == 0, "host: \(host.said)")
    }

    /// Venue and ledger agree on every order, fill and position; none lost, none doubled; totals as without a kill.
    func compare(_ rehearsal: Rehearsal, _ venue: VenueProcess, _ steps: Int) throws {
        let book = venue.book
        #expect(book.violations.isEmpty)
        #expect(book.step == steps)
        #expect(book.orders.count == steps)
        #expect(book.position == 0)
        #expect(book.cash == KillTests.expectedCash(steps))

        let ledger = try LedgerReader(path: rehearsal.state + "/" + Ledger.name)
        let orders = try ledger.orders(.init(last: 1_000_000))
        let fills = try ledger.fills(.init(last: 1_000_000))
        var filled: [String: Int64] = [:]
        var seen: Set<String> = []
        for fill in fills {
            #expect(seen.insert(fill.fillID).inserted, "fill \(fill.fillID) is in the ledger twice")
            filled[fill.order, default: 0] += fill.quantity.raw
        }
        for (id, order) in book.orders {
            guard let row = orders.first(where: { $0.id == id }) else {
                Issue.record("the venue has order \(id), the ledger does not")
                continue
            }
            #expect(row.filled.raw == order.filled, "order \(id)")
            #expect(row.status == "filled" && row.settled, "order \(id) is \(row.status)")
            #expect(filled[id] == order.filled, "the fills of \(id)")
            #expect(order.fills.keys.allSatisfy(seen.contains), "a fill of \(id) is missing")
        }
        for row in orders where book.orders[row.id] == nil {
            // An intent whose order never left is allowed; it must have ended without a fill.
            #expect(row.filled.raw == 0 && row.settled, "order \(row.id) is \(row.status) in the ledger, the venue never saw it")
        }
        #expect(try ledger.positions().isEmpty)
        #expect(try LedgerCheck.findings(path: rehearsal.state + "/" + Ledger.name) == [])
    }

    /// Every recorded run, killed or not, replays to the same effects.
    func replayAll(_ rehearsal: Rehearsal) throws {
        let folder = RunFolder(rehearsal.state)
        for run in folder.recordedRuns() {
            guard (try? FileManager.default.attributesOfItem(atPath: folder.journal(run: run))[.size] as? Int) ?? 0 > 64 else { continue }
            let path = folder.journal(run: run)
            if (try? Replay.origin(journal: path)) == nil {
                // Killed before the first block was on disk: nothing had happened yet.
                let orders = try LedgerReader(path: rehearsal.state + "/" + Ledger.name).orders(.init(run: run, last: 1))
                #expect(orders.isEmpty, "run \(run) has orders and no journal")
                continue
            }
            let outcome = try Replay.replay(journal: path)
            #expect(outcome.report.difference == nil, "run \(run): \(outcome.report.difference ?? "")")
        }
    }

    @Test func aDayWithoutAKillIsWhatItShouldBe() throws {
        let steps = 30
        let venue = try VenueProcess(folder: temporary.path, steps: steps)
        let rehearsal = try Rehearsal(folder: temporary.path, socket: venue.socket)
        try finish(rehearsal, venue, steps)
        try compare(rehearsal, venue, steps)
        try replayAll(rehearsal)
    }

    /// One life a write, before it is on the disk and after, each life going on with the same day. The first writes are those of
    /// a start, the later ones those of trading.
    @Test func killedAtEveryDurableWriteOfALife() throws {
        let writes = KillTests.long == nil ? [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 26, 30, 35, 40] : Array(1...120)
        let lives = writes.count * LedgerKill.Moment.allCases.count
        let venue = try VenueProcess(folder: temporary.path, steps: VenueProcess.endless)
        let rehearsal = try Rehearsal(folder: temporary.path, socket: venue.socket, patience: "60", risk: KillTests.hasty)
        for write in writes {
            for moment in LedgerKill.Moment.allCases {
                let host = try rehearsal.host(environment: ["KEEL_KILL_AT": "\(moment.rawValue):\(write)"])
                #expect(host.end(within: KillTests.long == nil ? 30 : 180)?.killed == true, "\(moment.rawValue):\(write): \(host.said)")
                #expect(venue.violations.isEmpty, "after \(moment.rawValue):\(write)")
            }
        }
        let reached = venue.step
        #expect(reached > writes.count, "hardly any kill met a host that traded: \(reached) steps")
        let steps = venue.endSoon()
        try finish(rehearsal, venue, steps)
        try compare(rehearsal, venue, steps)
        try replayAll(rehearsal)
        print("killed at \(writes.count) durable writes up to the \(writes.last ?? 0)th, \(lives) lives: \(reached) steps until the last kill; venue and ledger agree on \(steps) orders")
    }

    /// A step every four milliseconds. Every other kill comes up to 300 ms after the start, while it opens, restores and syncs; the
    /// others up to 100 ms after it has begun to trade.
    @Test func killedAtRandomInstantsUnderLoad() throws {
        let kills = KillTests.long ?? 20
        let seed = UInt64(ProcessInfo.processInfo.environment["KEEL_SEED"] ?? "") ?? 20260501
        var generator = SplitMix(seed: seed)
        let venue = try VenueProcess(folder: temporary.path, steps: VenueProcess.endless, pace: 4)
        let rehearsal = try Rehearsal(folder: temporary.path, socket: venue.socket, patience: "60", risk: KillTests.hasty)
        var trading = 0, step = 0
        for kill in 1...kills {
            let host = try rehearsal.host()
            if kill % 2 == 0 { _ = venue.reaches(step + 1, within: 20) { !host.process.isRunning } }
            usleep(UInt32(generator.next() % (kill % 2 == 0 ? 100_000 : 300_000)))
            host.signal(SIGKILL)
            #expect(host.end(within: 60)?.killed == true, "kill \(kill), seed \(seed): \(host.said)")
            #expect(venue.violations.isEmpty, "after kill \(kill), seed \(seed)")
            if venue.step > step { trading += 1 }
            step = venue.step
            if KillTests.long != nil, kill % 50 == 0 { print("\(kill) kills, \(trading) while trading, step \(step)") }
        }
        #expect(trading > kills / 3, "hardly any kill met a host that traded: \(trading) of \(kills)")
        let steps = venue.endSoon()
        try finish(rehearsal, venue, steps)
        try compare(rehearsal, venue, steps)
        try replayAll(rehearsal)
        print("killed at \(kills) random instants, seed \(seed), \(trading) while trading: venue and ledger agree on \(steps) orders")
    }

    @Test func restartsInPlaceWithAnOpenPositionLoseNothing() throws {
        let steps = 60
        let venue = try VenueProcess(folder: temporary.path, steps: steps)
        let rehearsal = try Rehearsal(folder: temporary.path, socket: venue.socket)
        let host = try rehearsal.host()
        #expect(venue.reaches(5, within: 30) { !host.process.isRunning }, "\(host.said)")
        for _ in 1...3 {
            let restarted = try rehearsal.keel(["restart", rehearsal.manifest])
            #expect(restarted.code == 0, "\(restarted.said) \(host.said)")
            #expect(restarted.said.contains("pid \(host.process.processIdentifier)"), "\(restarted.said)")
        }
        #expect(venue.reaches(steps, within: 60) { !host.process.isRunning }, "\(host.said)")
        usleep(200_000)
        #expect(try rehearsal.keel(["stop", rehearsal.manifest]).code == 0)
        #expect(host.end(within: 20)?.code == 0, "\(host.said)")
        try compare(rehearsal, venue, steps)
        try replayAll(rehearsal)
        // Each run went on from exactly what the one before it ended with.
        let verified = try rehearsal.keel(["replay", "1", rehearsal.manifest, "--verify"])
        #expect(verified.code == 0 && verified.said.contains("run 2 went on"), "\(verified.said)")
    }

    /// A library that does the same and is another file: "rebuilt". Outside the host's own folder, so in a process of its own.
    func rebuilt(_ number: Int) throws -> String {
        var bytes = try Data(contentsOf: URL(fileURLWithPath: Built.folder + "/libRehearsal.so"))
        bytes.append(contentsOf: Array("build \(number)".utf8))
        let path = temporary.path + "/libVenue\(number).so"
        try bytes.write(to: URL(fileURLWithPath: path))
        chmod(path, 0o755)
        return "\"file\": \"libVenue\(number).so\""
    }

    @Test func aRebuiltBrokerAFallbackAndAPipelineArriveWithThePositionOpen() throws {
        // An odd number of steps ends the day with a position.
        let steps = 5
        let venue = try VenueProcess(folder: temporary.path, steps: steps)
        let rehearsal = try Rehearsal(folder: temporary.path, socket: venue.socket, library: try rebuilt(1))
        let host = try rehearsal.host()
        #expect(venue.reaches(steps, within: 60) { !host.process.isRunning }, "\(host.said)")
        usleep(200_000)
        func report() throws -> HostStatusReport {
            try JSONDecoder().decode(HostStatusReport.self, from: Data(try rehearsal.keel(["status", rehearsal.manifest, "--json"]).said.utf8))
        }
        let before = try report()
        #expect(before.pipelines[0].positions == ["XXX/USDT": "1"])
        #expect(before.instances.first { $0.name == "venue" }?.isolation == "process")

        let second = try rebuilt(2)
        _ = try Rehearsal(
            folder: temporary.path, socket: venue.socket,
            more: ", \"second\": { \"component\": \"keel.test.follower\", \(second), \"isolation\": \"none\" }",
            pipelines: ", " + Rehearsal.pipeline("more", symbol: "YYY/USDT", broker: "venue"),
            library: second, decide: #"{ "primary": "second", "fallback": "follower" }"#)
        let answer = try rehearsal.keel(["restart", rehearsal.manifest, "--json"])
        #expect(answer.code == 0, "\(answer.said) \(host.said)")
        let restart = try JSONDecoder().decode(RestartReport.self, from: Data(answer.said.utf8.drop { $0 != UInt8(ascii: "{") }))
        let change = try #require(restart.changes.first { $0.instance == "venue" })
        #expect(change.kind == .changed && change.before?.sha256 != change.after?.sha256)
        #expect(restart.changes.first { $0.instance == "second" }?.kind == .added)
        #expect(restart.differences.isEmpty)

        let after = try report()
        #expect(after.pid == before.pid && after.run == before.run + 1 && after.isOpen)
        #expect(after.pipelines.map(\.name) == ["day", "more"])
        let ledger = try LedgerReader(path: rehearsal.state + "/" + Ledger.name)
        let position = try #require(try ledger.positions().first)
        #expect(position.symbol == "XXX/USDT" && position.quantity == Amount(raw: 100_000_000))
        #expect(try rehearsal.keel(["stop", rehearsal.manifest]).code == 0)
        #expect(host.end(within: 20)?.code == 0, "\(host.said)")
        #expect(venue.violations.isEmpty && venue.book.orders.count == steps)
        try replayAll(rehearsal)
        // With a broker in a process of its own, and a restart in between.
        let verified = try rehearsal.keel(["replay", "1", rehearsal.manifest, "--verify"])
        #expect(verified.code == 0 && verified.said.contains("run 2 went on"), "\(verified.said)")
    }

    @Test func aRestartThatCannotOpenGoesBackToWhatTradedBefore() throws {
        let steps = 5
        let venue = try VenueProcess(folder: temporary.path, steps: steps)
        let rehearsal = try Rehearsal(folder: temporary.path, socket: venue.socket)
        let host = try rehearsal.host()
        #expect(venue.reaches(steps, within: 60) { !host.process.isRunning }, "\(host.said)")
        usleep(200_000)
        // The check finds nothing wrong with it: that it cannot be made shows only when it is.
        let good = try String(contentsOfFile: rehearsal.manifest, encoding: .utf8)
        let bad = good.replacingOccurrences(of: "\"patience\": ", with: "\"stillborn\": true, \"patience\": ")
        try bad.write(toFile: rehearsal.manifest, atomically: true, encoding: .utf8)
        let answer = try rehearsal.keel(["restart", rehearsal.manifest])
        #expect(answer.code == 4 && answer.said.contains("ROLLED BACK") && answer.said.contains("stillborn"), "\(answer.said)")
        let status = try rehearsal.keel(["status", rehearsal.manifest, "--json"])
        let report = try JSONDecoder().decode(HostStatusReport.self, from: Data(status.said.utf8))
        #expect(report.pid == host.process.processIdentifier && report.isOpen)
        #expect(report.pipelines[0].positions == ["XXX/USDT": "1"])

        // A restart that is fine again is a restart like any other.
        try good.write(toFile: rehearsal.manifest, atomically: true, encoding: .utf8)
        #expect(try rehearsal.keel(["restart", rehearsal.manifest]).code == 0)
        #expect(try rehearsal.keel(["stop", rehearsal.manifest]).code == 0)
        #expect(host.end(within: 20)?.code == 0, "\(host.said)")
        #expect(venue.violations.isEmpty && venue.book.orders.count == steps)
    }

    /// What is lost is given up soon, not after seconds: this venue is close by, and answers in the order it is asked.
    static let hasty = #", "order_timeout": "50ms""#

    @Test func aKilledWorkerIsReplacedAndTheDayGoesOn() throws {
        let steps = 400
        let venue = try VenueProcess(folder: temporary.path, steps: steps)
        let rehearsal = try Rehearsal(folder: temporary.path, socket: venue.socket, library: try rebuilt(3), risk: KillTests.hasty)
        let host = try rehearsal.host()
        var killed: Set<Int32> = []
        for step in [10, 60] {
            #expect(venue.reaches(step, within: 60) { !host.process.isRunning }, "\(host.said)")
            // The broker's process, found as the child of the host that it is.
            let workers = VenueProcess.childrenOfAnyThread(of: host.process.processIdentifier)
            #expect(workers.count == 1, "children: \(workers)")
            for worker in workers where killed.insert(worker).inserted { kill(worker, SIGKILL) }
        }
        #expect(killed.count == 2)
        #expect(venue.reaches(steps, within: 60) { !host.process.isRunning }, "\(host.said)")
        usleep(200_000)
        #expect(try rehearsal.keel(["stop", rehearsal.manifest]).code == 0)
        #expect(host.end(within: 20)?.code == 0, "\(host.said)")
        try compare(rehearsal, venue, steps)
        try replayAll(rehearsal)
    }

    /// The broker's process dies with an exit in its hands, before or after it reached the venue. The lost one is sent again once
    /// the venue has twice not known it; the other one is found.
    @Test(arguments: ["before", "after"]) func aWorkerDiesWithAnExitInItsHands(moment: String) throws {
        let steps = 40
        let venue = try VenueProcess(folder: temporary.path, steps: steps)
        let lethal = temporary.path + "/lethal"
        let rehearsal = try Rehearsal(
            folder: temporary.path, socket: venue.socket, library: try rebuilt(moment == "before" ? 4 : 5), venue: ", \"lethal\": \"\(lethal)\"",
            risk: KillTests.hasty)
        try moment.write(toFile: lethal, atomically: true, encoding: .utf8)
        let host = try rehearsal.host()
        #expect(venue.reaches(steps, within: 60) { !host.process.isRunning }, "\(host.said)")
        #expect(!FileManager.default.fileExists(atPath: lethal), "nothing was killed")
        usleep(200_000)
        #expect(try rehearsal.keel(["stop", rehearsal.manifest]).code == 0)
        #expect(host.end(within: 20)?.code == 0, "\(host.said)")
        try compare(rehearsal, venue, steps)
        try replayAll(rehearsal)
        let orders = try LedgerReader(path: rehearsal.state + "/" + Ledger.name).orders(.init(last: 1_000))
        #expect(orders.filter { $0.status == "cancelled" && $0.filled.isZero }.count == (moment == "before" ? 1 : 0))
        #expect(orders.count == (moment == "before" ? steps + 1 : steps))
    }

    /// A key that was wrong is put right while the breaker rests: the trial call goes out with what the file says now.
    @Test(arguments: ["none", "process"]) func aTrialCallGoesOutWithRenewedSecrets(isolation: String) throws {
        let steps = 10
        let venue = try VenueProcess(folder: temporary.path, steps: steps)
        let keys = temporary.path + "/secrets"
        try FileManager.default.createDirectory(atPath: keys, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        func write(_ key: String) throws {
            try key.write(toFile: keys + "/follower.key", atomically: true, encoding: .utf8)
            chmod(keys + "/follower.key", 0o600)
        }
        try write("bad")
        let keyed = """
            , "keyed": { "component": "keel.test.follower", "file": "Rehearsal", "isolation": "\(isolation)", "secrets": ["follower.key"],
                         "config": { "key": "follower.key" } }
            """
        let rehearsal = try Rehearsal(
            folder: temporary.path, socket: venue.socket, more: keyed, decide: #"{ "primary": "keyed", "failures": 3, "pause": "1s" }"#)
        let host = try rehearsal.host()
        let limit = Date().addingTimeInterval(30)
        while !host.said.contains("one trial call follows"), Date() < limit { usleep(10_000) }
        #expect(host.said.contains("failed 3 times in a row"), "\(host.said)")
        #expect(venue.step == 0)
        try write("good")
        #expect(venue.reaches(steps, within: 30) { !host.process.isRunning }, "\(host.said)")
        #expect(host.said.contains("reads its secrets again") && host.said.contains("answers again"), "\(host.said)")
        #expect(!host.said.contains("could not be"), "\(host.said)")
        usleep(200_000)
        #expect(try rehearsal.keel(["stop", rehearsal.manifest]).code == 0)
        #expect(host.end(within: 20)?.code == 0, "\(host.said)")
        try compare(rehearsal, venue, steps)
    }

    @Test(.enabled(if: geteuid() == 0, "needs the right to mount a small disk"))
    func aFullDiskHaltsEntriesUntilThereIsRoom() throws {
        let steps = 400
        let venue = try VenueProcess(folder: temporary.path, steps: steps)
        let rehearsal = try Rehearsal(folder: temporary.path, socket: venue.socket)
        mkdir(rehearsal.state, 0o700)
        let mount = try Child("/bin/mount", ["-t", "tmpfs", "-o", "size=96m,mode=0700", "tmpfs", rehearsal.state], output: temporary.path + "/mount.log")
        guard mount.end(within: 10)?.code == 0 else { return }
        defer { _ = (try? Child("/bin/umount", ["-l", rehearsal.state], output: temporary.path + "/umount.log"))?.end(within: 10) }
        let host = try rehearsal.host()
        #expect(venue.reaches(10, within: 60) { !host.process.isRunning }, "\(host.said)")
        // Everything that is left, and what the host keeps in reserve is not enough for ever.
        let filler = rehearsal.state + "/filler"
        let fill = try Child("/bin/sh", ["-c", "cat /dev/zero > \(filler)"], output: temporary.path + "/fill.log")
        #expect(fill.end(within: 30) != nil)
        let limit = Date().addingTimeInterval(20)
        var halted = false
        while Date() < limit, !halted {
            let answer = try rehearsal.keel(["status", rehearsal.manifest, "--json"])
            halted = ((try? JSONDecoder().decode(HostStatusReport.self, from: Data(answer.said.utf8)))?.ledgerFailure) != nil
        }
        #expect(halted, "\(host.said)")
        // Nothing is entered while the disk is full: at most the position that was open is closed.
        usleep(300_000)
        let stuck = venue.book.step
        usleep(700_000)
        #expect(venue.book.step <= stuck + 1)
        #expect(stuck < steps)
        try FileManager.default.removeItem(atPath: filler)
        #expect(venue.reaches(steps, within: 60) { !host.process.isRunning }, "\(host.said)")
        usleep(200_000)
        #expect(try rehearsal.keel(["stop", rehearsal.manifest]).code == 0)
        #expect(host.end(within: 20)?.code == 0, "\(host.said)")
        try compare(rehearsal, venue, steps)
    }

    @Test func oneBrokenBrokerStopsOnlyItsOwnPipeline() throws {
        let steps = 20
        let venue = try VenueProcess(folder: temporary.path, steps: steps)
        let broken = #", "broken": { "component": "keel.test.venue", "file": "Rehearsal", "config": { "socket": "unused", "broken": true } }"#
        let rehearsal = try Rehearsal(
            folder: temporary.path, socket: venue.socket, more: broken,
            pipelines: ", " + Rehearsal.pipeline("sick", symbol: "XXX/USDT", broker: "broken"))
        let host = try rehearsal.host()
        #expect(venue.reaches(steps, within: 60) { !host.process.isRunning }, "\(host.said)")
        usleep(200_000)
        let status = try rehearsal.keel(["status", rehearsal.manifest, "--json"])
        let report = try JSONDecoder().decode(HostStatusReport.self, from: Data(status.said.utf8))
        #expect(report.pipelines.first { $0.name == "day" }?.orders == steps)
        let sick = try #require(report.pipelines.first { $0.name == "sick" })
        #expect(sick.orders == 0 && sick.fills == 0)
        #expect(try rehearsal.keel(["stop", rehearsal.manifest]).code == 0)
        #expect(host.end(within: 20)?.code == 0)
        #expect(venue.violations.isEmpty && venue.book.orders.count == steps)
    }

    @Test func aSecondHostIsRefused() throws {
        let venue = try VenueProcess(folder: temporary.path, steps: 10)
        let rehearsal = try Rehearsal(folder: temporary.path, socket: venue.socket)
        let host = try rehearsal.host()
        #expect(venue.reaches(2, within: 30) { !host.process.isRunning }, "\(host.said)")
        let second = try rehearsal.host()
        #expect(second.end(within: 20)?.code == 6, "\(second.said)")
        #expect(second.said.contains("\(host.process.processIdentifier)"))
        #expect(try rehearsal.keel(["stop", rehearsal.manifest]).code == 0)
        #expect(host.end(within: 20)?.code == 0)
    }
}
