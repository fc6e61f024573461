import Foundation
import Testing

@testable import HostCore
@testable import HostLedger

@Suite struct WriterTests {
    static func open(_ folder: Folder, kill: LedgerKill = .none) throws -> Ledger {
        var options = Ledger.Options()
        options.reserve = 65_536
        return try Ledger(path: folder.file("ledger"), now: Scenario.start, options: options, kill: kill)
    }

    static func writer(_ ledger: Ledger, journal: JournalWriter? = nil) throws -> LedgerWriter {
        let run = try ledger.begin(Scenario.facts())
        return LedgerWriter(ledger, names: Scenario.names, run: run, started: Scenario.start, journal: journal)
    }

    @Test func aNewLedgerHasNothingToRestore() throws {
        let folder = try Folder()
        let ledger = try WriterTests.open(folder)
        let found = try ledger.restore(Scenario.names)
        #expect(found.state == nil && found.lastRun == nil && found.disagreements.isEmpty)
        #expect(try ledger.begin(Scenario.facts()) == 1)
        #expect(try ledger.begin(Scenario.facts()) { "journal/\($0).journal" } == 2)
        #expect(try LedgerReader(path: ledger.path).runs().map(\.journal) == ["journal/2.journal", ""])
        #expect(try ledger.restore(Scenario.names).lastRun == 2)
        #expect(try ledger.restore(Scenario.names).endedAsPlanned == false)
        try ledger.end(run: 2, at: 5, how: "stopped")
        #expect(try ledger.restore(Scenario.names).endedAsPlanned)
    }

    @Test func theFirstRunOfANewLedgerCanStartHigher() throws {
        let folder = try Folder()
        var options = Ledger.Options()
        options.firstRun = 900
        let ledger = try Ledger(path: folder.file("ledger"), now: 0, options: options)
        #expect(try ledger.begin(Scenario.facts()) == 900)
        #expect(try ledger.begin(Scenario.facts()) == 901)
    }

    /// Whatever was recorded comes back, whichever way it was batched.
    @Test(arguments: Array(1...12) as [UInt64])
    func stateEqualsTheModel(seed: UInt64) throws {
        let folder = try Folder()
        let scenario = Scenario(seed: seed, steps: 120)
        var dice = Dice(seed: seed &+ 100)
        do {
            let ledger = try WriterTests.open(folder)
            let writer = try WriterTests.writer(ledger)
            scenario.play(writer) { _, _ in if dice.chance(20) { writer.flush() } }
            #expect(writer.barrier())
            #expect(writer.failure == nil)
        }
        let ledger = try WriterTests.open(folder)
        let found = try ledger.restore(Scenario.names)
        #expect(found.state?.sorted == scenario.expected(after: scenario.units.count), "seed \(seed)")
        #expect(found.disagreements == [])
        let records = scenario.units.flatMap(\.records)
        #expect(try ledger.count("fills") == Int64(records.count { if case .fill = $0 { true } else { false } }))
        #expect(try ledger.count("decisions") == Int64(records.count { if case .decision = $0 { true } else { false } }))
        #expect(try ledger.count("intents") == Int64(records.count { if case .intent = $0 { true } else { false } }))
        #expect(try ledger.count("exits") == Int64(records.count { if case .exit = $0 { true } else { false } }))
        #expect(try ledger.count("refusals") == Int64(records.count { if case .refusal = $0 { true } else { false } }))
    }

    /// The disk refuses at random moments and takes again later: nothing is lost, nothing doubled, order kept.
    @Test(arguments: Array(1...12) as [UInt64], ["full", "readonly"])
    func failingWritesAreMadeUpFor(seed: UInt64, how: String) throws {
        let folder = try Folder()
        let scenario = Scenario(seed: seed, steps: 80)
        var dice = Dice(seed: seed &+ 200)
        do {
            var options = Ledger.Options()
            options.reserve = 0
            let ledger = try Ledger(path: folder.file("ledger"), now: Scenario.start, options: options)
            let writer = try WriterTests.writer(ledger)
            var heard: [LedgerFailure?] = []
            writer.onChange = { heard.append($0) }
            var failing = false
            scenario.play(writer) { _, unit in
                if failing, unit.barrier { #expect(writer.failure != nil) }
                guard dice.chance(20) else { return }
                failing.toggle()
                do {
                    switch how {
                    case "full":
                        let pages = try ledger.database.integer("PRAGMA page_count") ?? 0
                        _ = try ledger.database.integer("PRAGMA max_page_count = \(failing ? pages : 1_000_000)")
                        // So that the next row needs a page.
                        if failing { try ledger.database.execute("PRAGMA wal_checkpoint(PASSIVE)") }
                    default: try ledger.database.execute("PRAGMA query_only = \(failing ? "ON" : "OFF")")
                    }
                } catch { Issue.record("\(error)") }
                if failing && how == "full" {
                    // Fill the last free page, so that the limit bites at once.
                    writer.record(.alert(Alert(time: Scenario.start, severity: .info, kind: "filler", text: String(repeating: "x", count: 20_000))))
                }
            }
            _ = try ledger.database.integer("PRAGMA max_page_count = 1000000")
            try ledger.database.execute("PRAGMA query_only = OFF")
            #expect(writer.barrier())
            #expect(writer.failure == nil && writer.waiting == 0)
            #expect(writer.figures.failures > 0)
            #expect(heard.contains(how == "full" ? .full(path: ledger.path) : .readOnly(path: ledger.path)))
            #expect(heard.last == .some(nil))
        }
        let ledger = try WriterTests.open(folder)
        let found = try ledger.restore(Scenario.names)
        #expect(found.state?.sorted == scenario.expected(after: scenario.units.count), "seed \(seed)")
        let decisions = scenario.units.flatMap(\.records).count { if case .decision = $0 { true } else { false } }
        #expect(try ledger.count("decisions") == Int64(decisions))
        let order = try ledger.database.rows("SELECT pipeline, sequence FROM decisions ORDER BY id") { row throws(SQLiteError) in "\(try row.text(0)) \(try row.integer(1))" }
        let expected = scenario.units.flatMap(\.records).compactMap { record in
            if case .decision(let value) = record { "\(Scenario.names.pipelines[value.pipeline].name) \(value.sequence)" } else { nil }
        }
        #expect(order == expected)
    }

    /// The reserve makes room for what must not wait, and the failure stays up so that entries stop.
    @Test func aFullDiskIsMetWithTheReserve() throws {
        let folder = try Folder()
        let ledger = try WriterTests.open(folder)
        #expect(FileManager.default.fileExists(atPath: folder.file("ledger.reserve")))
        let scenario = Scenario(seed: 5, steps: 20)
        let writer = try WriterTests.writer(ledger)
        var heard: [LedgerFailure?] = []
        writer.onChange = { failure in
            heard.append(failure)
        }
        #expect(writer.barrier())
        // Pages stand in for the disk: when the reserve file goes, there is room.
        let pages = try ledger.database.integer("PRAGMA page_count") ?? 0
        _ = try ledger.database.integer("PRAGMA max_page_count = \(pages)")
        writer.record(.alert(Alert(time: 1, severity: .info, kind: "filler", text: String(repeating: "x", count: 200_000))))
        #expect(!writer.barrier())
        #expect(writer.isOnReserve)
        #expect(!FileManager.default.fileExists(atPath: folder.file("ledger.reserve")))
        #expect(writer.failure == .full(path: ledger.path))
        _ = try ledger.database.integer("PRAGMA max_page_count = 1000000")
        // Durable again, but in the last room: entries stay halted.
        #expect(!writer.barrier())
        #expect(writer.waiting == 0)
        #expect(try ledger.count("alerts") == 1)
        #expect(writer.failure == .full(path: ledger.path))
        scenario.play(writer)
        // There is room now, so the reserve comes back and the all-clear is given.
        writer.maintain()
        #expect(writer.failure == nil && !writer.isOnReserve)
        #expect(writer.barrier())
        #expect(FileManager.default.fileExists(atPath: folder.file("ledger.reserve")))
        #expect(heard == [.full(path: ledger.path), nil])
    }

    @Test func anIntentIsKeptOnceAndItsIdIsNeverReused() throws {
        let folder = try Folder()
        let ledger = try WriterTests.open(folder)
        let writer = try WriterTests.writer(ledger)
        let scenario = Scenario(seed: 3, steps: 40)
        let intents = scenario.units.flatMap(\.records).compactMap { if case .intent(let value) = $0 { value } else { nil } }
        let first = try #require(intents.first)
        writer.record(.intent(first))
        #expect(writer.barrier())
        writer.record(.intent(first))
        #expect(writer.barrier())
        #expect(try ledger.count("intents") == 1)
        var other = first
        other.quantity.raw += 1
        writer.record(.intent(other))
        #expect(!writer.barrier())
        guard case .refused = writer.failure else { Issue.record("\(String(describing: writer.failure))"); return }
        #expect(writer.failure?.isRecoverable == false)
        // It stays so: a host that reuses ids must not go on.
        #expect(!writer.barrier())
        #expect(try ledger.database.integer("SELECT quantity FROM intents") == first.quantity.raw)
    }

    @Test func aFillIsKeptOnce() throws {
        let folder = try Folder()
        let ledger = try WriterTests.open(folder)
        let writer = try WriterTests.writer(ledger)
        let scenario = Scenario(seed: 3, steps: 60)
        scenario.play(writer)
        #expect(writer.barrier())
        let fills = scenario.units.flatMap(\.records).compactMap { if case .fill(let value) = $0 { value } else { nil } }
        let before = try ledger.count("fills")
        writer.record(.fill(try #require(fills.last)))
        writer.boundary()
        #expect(writer.barrier())
        #expect(try ledger.count("fills") == before)
        #expect(writer.figures.duplicateFills == 1)
        #expect(try ledger.database.integer("SELECT count(*) FROM alerts WHERE kind = 'duplicate-fill' AND severity = 'critical'") == 1)
        // The same venue id at another broker or in another instrument is another fill.
        var other = try #require(fills.last)
        other.instrument = other.instrument == 1 ? 2 : 1
        writer.record(.fill(other))
        #expect(writer.barrier())
        #expect(try ledger.count("fills") == before + 1)
    }

    @Test func rowsAndStateThatDisagreeAreFound() throws {
        let folder = try Folder()
        let ledger = try WriterTests.open(folder)
        let writer = try WriterTests.writer(ledger)
        let scenario = Scenario(seed: 3, steps: 60)
        scenario.play(writer)
        #expect(writer.barrier())
        #expect(try ledger.restore(Scenario.names).disagreements == [])
        try ledger.database.execute("UPDATE positions SET quantity = '123' WHERE pipeline = 'btc'")
        #expect(try ledger.restore(Scenario.names).disagreements.count == 1)
        try ledger.database.execute("DELETE FROM fills WHERE id = (SELECT max(id) FROM fills)")
        #expect(try ledger.restore(Scenario.names).disagreements.count == 2)
        try ledger.database.execute("DELETE FROM intents WHERE order_id = (SELECT order_id FROM orders LIMIT 1)")
        #expect(try ledger.restore(Scenario.names).disagreements.count == 3)
    }

    @Test func namesAreTranslatedToTheNewPlan() throws {
        let folder = try Folder()
        let ledger = try WriterTests.open(folder)
        let writer = try WriterTests.writer(ledger)
        Scenario(seed: 4, steps: 60).play(writer)
        #expect(writer.barrier())
        // Another run's manifest: the pipelines swapped places, one instrument and the broker's place changed.
        let names = RunNames(
            ports: ["x", "sim"], pipelines: [.init(name: "eth", broker: "sim"), .init(name: "btc", broker: "sim")], instruments: ["SOL/USDT", "ETH/USDT", "BTC/USDT"])
        let state = try #require(try ledger.restore(names).state)
        #expect(!state.orders.isEmpty)
        for order in state.orders {
            #expect(order.pipeline == (order.id.pipeline == 0 ? 1 : 0))
            #expect(order.instrument == (order.id.instrument == 0 ? 3 : 2))
            #expect(order.broker == 1)
        }
        let gone = try #require(try ledger.restore(RunNames(ports: [], pipelines: [], instruments: [])).state)
        #expect(gone.orders.allSatisfy { $0.pipeline == -1 && $0.instrument == 0 && $0.broker == -1 })
    }

    @Test func anOrderKeepsItsNamesAcrossRuns() throws {
        let folder = try Folder()
        let ledger = try WriterTests.open(folder)
        let scenario = Scenario(seed: 4, steps: 60)
        scenario.play(try WriterTests.writer(ledger))
        let first = try #require(scenario.expected(after: scenario.units.count).orders.first)
        let writer = LedgerWriter(ledger, names: RunNames(ports: [], pipelines: [], instruments: []), run: try ledger.begin(Scenario.facts()), started: 0)
        var moved = first
        moved.pipeline = -1
        moved.instrument = 0
        moved.broker = -1
        writer.record(.order(OrderRecord(time: 9, order: moved, before: first.status, vendorCode: 3)))
        #expect(writer.barrier())
        let row = try ledger.database.rows("SELECT pipeline, symbol, broker, venue_id FROM orders WHERE order_id = ?", [.text(first.id.description)]) {
            row throws(SQLiteError) in [try row.text(0), try row.text(1), try row.text(2), try row.text(3)]
        }
        #expect(row == [[first.id.pipeline == 0 ? "btc" : "eth", first.id.pipeline == 0 ? "BTC/USDT" : "ETH/USDT", "sim", "v\(first.id.sequence)"]])
    }

    @Test func onlyRecentSnapshotsKeepTheirBytes() throws {
        let folder = try Folder()
        let ledger = try WriterTests.open(folder)
        let run = try ledger.begin(Scenario.facts())
        var options = LedgerWriter.Options()
        options.snapshots = 100
        let writer = LedgerWriter(ledger, names: Scenario.names, run: run, started: 0, options: options)
        for number in 1...600 {
            writer.record(.snapshot(SnapshotRecord(time: 1, pipeline: 0, instrument: 1, sequence: UInt64(number), hi: 0, lo: UInt64(number), bytes: [1, 2, 3])))
            writer.boundary()
            writer.flush()
        }
        #expect(try ledger.count("snapshots") == 600)
        let kept = try ledger.database.integer("SELECT count(*) FROM snapshots WHERE bytes IS NOT NULL") ?? 0
        #expect(kept >= 100 && kept < 400)
        #expect(try ledger.database.integer("SELECT min(sequence) > 200 FROM snapshots WHERE bytes IS NOT NULL") == 1)
    }

    /// What a batch committed is what the progress row says, and the journal's place goes with it.
    @Test func progressNamesTheJournal() throws {
        let folder = try Folder()
        let ledger = try WriterTests.open(folder)
        let journal = try JournalWriter(path: folder.file("journal"), run: 1, created: 0)
        let writer = try WriterTests.writer(ledger, journal: journal)
        [1, 2, 3].withUnsafeBytes {
            journal.append(.event, port: 0, time: 1, $0)
            journal.effect(.effect(1), port: 0, time: 1, $0, keep: true)
        }
        writer.record(.alert(Alert(time: 77, severity: .info, kind: "x", text: "")))
        #expect(writer.barrier())
        let row = try ledger.database.rows("SELECT step, time, journal, effects FROM progress") { row throws(SQLiteError) in
            [try row.integer(0), try row.integer(1), try row.integer(2), try row.integer(3)]
        }
        // Two records and the running hash.
        #expect(row == [[1, Scenario.start, 3, 1]])
        #expect(try JournalTests.read(folder.file("journal")).records.count == 2)
    }
}
