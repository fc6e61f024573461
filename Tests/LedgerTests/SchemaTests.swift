import CSQLite
import Foundation
import Glibc
import Synchronization
import PluginAPI
import Testing

@testable import HostCore
@testable import HostLedger

@Suite struct SchemaTests {
    /// Structure of a ledger, for comparing: what was written, less the order.
    static func structure(_ database: Database) throws -> [String] {
        try database.rows("SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY 1") { row throws(SQLiteError) in try row.text(0) }
    }

    /// A ledger as version 1 made it, with rows in it.
    static func version1(_ folder: Folder) throws -> String {
        let path = folder.file("ledger")
        let database = try Database(path: path, mode: .readWrite)
        try database.execute(fixtureVersion1)
        return path
    }

    @Test func aLedgerOfVersion1OpensAndKeepsItsRows() throws {
        let folder = try Folder()
        let path = try SchemaTests.version1(folder)
        let ledger = try Ledger(path: path, now: Scenario.start)
        #expect(try ledger.database.integer("PRAGMA user_version") == LedgerSchema.version)
        let fresh = try Ledger(path: folder.file("fresh"), now: Scenario.start)
        #expect(try SchemaTests.structure(ledger.database) == SchemaTests.structure(fresh.database))
        let found = try ledger.restore(Scenario.names)
        let scenario = Scenario(seed: 41, steps: 25)
        #expect(found.state?.sorted == scenario.expected(after: scenario.units.count))
        #expect(found.disagreements == [])
        // And goes on.
        #expect(try ledger.begin(Scenario.facts()) == 2)
    }

    /// An older program's state lacks fields, a newer one's has more: the first is filled in, the second refused, the damaged reported.
    @Test func stateOfOtherProgramsIsReadOrRefused() throws {
        let folder = try Folder()
        let ledger = try WriterTests.open(folder)
        let writer = try WriterTests.writer(ledger)
        let scenario = Scenario(seed: 9, steps: 40)
        scenario.play(writer)
        #expect(writer.barrier())
        let expected = scenario.expected(after: scenario.units.count)
        try ledger.database.execute("UPDATE state SET value = CAST(json_remove(CAST(value AS TEXT), '$.position.stagesDone', '$.reviewAt') AS BLOB) WHERE kind = 'book'")
        try ledger.database.execute("UPDATE state SET value = CAST(json_remove(CAST(value AS TEXT), '$.kelly', '$.streakUntil', '$.day.number') AS BLOB) WHERE kind = 'pipeline'")
        var state = try #require(try ledger.restore(Scenario.names).state).sorted
        for index in state.pipelines.indices { state.pipelines[index].streakUntil = expected.pipelines[index].streakUntil }
        #expect(state == expected)
        // An unreadable row is never left out.
        try ledger.database.execute("UPDATE state SET value = CAST(json_set(CAST(value AS TEXT), '$.position.quantity', 'many') AS BLOB) WHERE key = 'book/btc/BTC/USDT'")
        #expect(throws: LedgerRefusal.self) { try ledger.restore(Scenario.names) }
        try ledger.database.execute("UPDATE state SET value = CAST(json_set(CAST(value AS TEXT), '$.position.quantity', '0') AS BLOB) WHERE key = 'book/btc/BTC/USDT'")
        #expect(try ledger.restore(Scenario.names).disagreements.count == 1)
        try ledger.database.execute("UPDATE state SET version = \(EngineState.currentVersion + 1) WHERE key = 'book/btc/BTC/USDT'")
        #expect(throws: LedgerRefusal.self) { try ledger.restore(Scenario.names) }
        try ledger.database.execute("UPDATE state SET version = 1, kind = 'other' WHERE key = 'book/btc/BTC/USDT'")
        #expect(throws: LedgerRefusal.self) { try ledger.restore(Scenario.names) }
        #expect(StoredState.upgrades.count == EngineState.currentVersion - 1)
    }

    /// How the fixture was made; KEEL_LEDGER_FIXTURE=FixtureVersionN.swift writes one for the current version.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["KEEL_LEDGER_FIXTURE"] != nil)) func writeFixture() throws {
        let folder = try Folder()
        do {
            let ledger = try WriterTests.open(folder)
            let writer = try WriterTests.writer(ledger)
            Scenario(seed: 41, steps: 25).play(writer)
            #expect(writer.barrier())
            ledger.settle()
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["sqlite3", folder.file("ledger"), ".dump"]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let dump = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        let text = """
            /// A ledger as version \(LedgerSchema.version) made it: scenario 41, 25 steps. Never changed.
            let fixtureVersion\(LedgerSchema.version) = #\"\"\"
            \(dump)PRAGMA application_id = \(LedgerSchema.applicationID);
            PRAGMA user_version = \(LedgerSchema.version);
            \"\"\"#

            """
        try text.write(toFile: try #require(ProcessInfo.processInfo.environment["KEEL_LEDGER_FIXTURE"]), atomically: true, encoding: .utf8)
    }

    @Test func aMigrationKeepsACopyAndTheRows() throws {
        let folder = try Folder()
        let path = try SchemaTests.version1(folder)
        let rows = try { try Database(path: path, mode: .readOnly).integer("SELECT count(*) FROM decisions") }()
        let next = LedgerSchema.migrations + ["ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT 'none'; CREATE TABLE extra (x INTEGER) STRICT;"]
        do {
            let ledger = try Ledger(path: path, now: Scenario.start, options: .init(), kill: .none, migrations: next)
            #expect(try ledger.database.integer("PRAGMA user_version") == Int64(next.count))
            #expect(try ledger.database.text("SELECT note FROM runs") == "none")
            #expect(try ledger.count("decisions") == rows)
            #expect(ledger.migrationBackup == path + ".v1-20260801T000000Z")
        }
        // The copy is a whole ledger of the old version.
        let copy = try Ledger(path: path + ".v1-20260801T000000Z", now: Scenario.start)
        #expect(try copy.count("decisions") == rows)
        // The program of the old version now refuses the new ledger, and says so.
        #expect(throws: LedgerRefusal.newer(path: path, version: Int64(next.count), supported: LedgerSchema.version)) { try Ledger(path: path, now: 0) }
        #expect(throws: LedgerRefusal.newer(path: path, version: Int64(next.count), supported: LedgerSchema.version)) { try LedgerReader(path: path) }
        // A second time there is nothing to do.
        #expect(try Ledger(path: path, now: 5, options: .init(), kill: .none, migrations: next).migrationBackup == nil)
    }

    @Test func aFailedMigrationChangesNothing() throws {
        let folder = try Folder()
        let path = try SchemaTests.version1(folder)
        let before = try { try SchemaTests.structure(Database(path: path, mode: .readOnly)) }()
        let broken = LedgerSchema.migrations + ["CREATE TABLE extra (x INTEGER) STRICT; INSERT INTO nowhere VALUES (1);"]
        do {
            _ = try Ledger(path: path, now: Scenario.start, options: .init(), kill: .none, migrations: broken)
            Issue.record("a broken migration went through")
        } catch {
            guard case .migrationFailed(_, 1, LedgerSchema.version + 1, let backup, _) = error else { Issue.record("\(error)"); return }
            #expect(FileManager.default.fileExists(atPath: backup))
        }
        let database = try Database(path: path, mode: .readOnly)
        #expect(try database.integer("PRAGMA user_version") == 1)
        #expect(try SchemaTests.structure(database) == before)
    }

    @Test func strangersAreLeftAlone() throws {
        let folder = try Folder()
        do {
            let other = try Database(path: folder.file("other"), mode: .readWrite)
            try other.execute("CREATE TABLE t (x); INSERT INTO t VALUES (1);")
        }
        #expect(throws: LedgerRefusal.notALedger(path: folder.file("other"))) { try Ledger(path: folder.file("other"), now: 0) }
        #expect(throws: LedgerRefusal.notALedger(path: folder.file("other"))) { try LedgerReader(path: folder.file("other")) }
        try folder.write(Array("this is a text file, not a database, and it is long enough to be looked at".utf8), "text")
        do {
            _ = try Ledger(path: folder.file("text"), now: 0)
            Issue.record("a text file was opened")
        } catch {
            guard case .damaged = error else { Issue.record("\(error)"); return }
        }
        #expect(throws: LedgerRefusal.missing(path: folder.file("none"))) { try LedgerReader(path: folder.file("none")) }
        #expect(!FileManager.default.fileExists(atPath: folder.file("none")))
        // A plugin store is no ledger and the other way round.
        _ = try PluginStore(path: folder.file("store"))
        #expect(throws: LedgerRefusal.notALedger(path: folder.file("store"))) { try Ledger(path: folder.file("store"), now: 0) }
        _ = try Ledger(path: folder.file("ledger"), now: 0)
        #expect(throws: LedgerRefusal.notALedger(path: folder.file("ledger"))) { try PluginStore(path: folder.file("ledger")) }
    }

    /// Bytes damaged anywhere: the ledger opens with all its rows, or is refused at the start or by the check behind it.
    @Test func damageIsFoundAtTheStart() throws {
        let folder = try Folder()
        let path = try SchemaTests.version1(folder)
        do { try Ledger(path: path, now: 0).settle() }
        let whole = try folder.bytes("ledger")
        let scenario = Scenario(seed: 41, steps: 25)
        let expected = scenario.expected(after: scenario.units.count)
        var dice = Dice(seed: 77)
        var refused = 0
        for round in 0..<60 {
            var bytes = whole
            // A page header, where structure is; free space may be damaged without harm.
            let page = dice.below(bytes.count / 4096)
            for _ in 0..<8 { bytes[page * 4096 + (page == 0 ? 100 : 0) + dice.below(64)] = UInt8(truncatingIfNeeded: dice.next()) }
            try folder.write(bytes, "bad")
            unlink(folder.file("bad-wal"))
            unlink(folder.file("bad-shm"))
            do {
                let ledger = try Ledger(path: folder.file("bad"), now: 0)
                let found = try ledger.restore(Scenario.names)
                if found.disagreements.isEmpty, found.state?.sorted != expected {
                    let findings = Mutex<[String]?>(nil)
                    let done = DispatchSemaphore(value: 0)
                    ledger.checkBehind { said in
                        findings.withLock { $0 = said }
                        done.signal()
                    }
                    done.wait()
                    let behind = findings.withLock { $0 ?? [] }
                    if behind.isEmpty { Issue.record("round \(round): page \(page) gave another state") } else { refused += 1 }
                }
            } catch {
                refused += 1
            }
        }
        #expect(refused > 8)
    }

    /// What a start reads does not grow with what has been: a thousand settled orders of last week cost it nothing.
    @Test func aStartReadsAsMuchHoweverLongTheHistory() throws {
        let folder = try Folder()
        func pagesRead(_ weeks: Int) throws -> (pages: Int32, size: Int64) {
            let path = folder.file("ledger-\(weeks)")
            do {
                let ledger = try Ledger(path: path, now: Scenario.start)
                let writer = try WriterTests.writer(ledger)
                let scenario = Scenario(seed: 41, steps: 25)
                scenario.play(writer)
                writer.record(.state(.broker(BrokerState(name: "sim", syncedAt: Scenario.start + Span.hour))))
                writer.boundary()
                #expect(writer.barrier())
                // Copies of what is settled, weeks before anything a start has to look at.
                let week = 7 * Span.day
                for number in 1...(weeks * 40) {
                    let back = Int64(number) * week
                    try ledger.database.execute(
                        """
                        INSERT INTO intents SELECT order_id || '-\(number)', run, step, time - \(back), pipeline, symbol, broker, replaces, role, side, kind, features, quantity,
                            limit_price, trigger_price, not_after, decision FROM intents WHERE order_id NOT LIKE '%-%';
                        INSERT INTO orders SELECT order_id || '-\(number)', run, step, pipeline, symbol, broker, role, status, 1, side, kind, features, quantity, limit_price,
                            trigger_price, why, decision, created - \(back), sent - \(back), changed - \(back), filled, filled, notional, fees, cancel_requested, inferred, missing,
                            request, vendor_code, venue_id, message FROM orders WHERE order_id NOT LIKE '%-%';
                        INSERT INTO fills (run, step, time, at_venue, pipeline, symbol, broker, order_id, side, quantity, price, fee, fee_asset, liquidity, profit, fill_key, fill_id, venue_id)
                            SELECT run, step, time - \(back), at_venue, pipeline, symbol, broker, order_id || '-\(number)', side, quantity, price, fee, fee_asset, liquidity, profit,
                            fill_key || '-\(number)', fill_id, venue_id FROM fills WHERE order_id NOT LIKE '%-%';
                        """)
                }
                ledger.settle()
            }
            let ledger = try Ledger(path: path, now: Scenario.start)
            let found = try ledger.restore(Scenario.names)
            #expect(found.disagreements.isEmpty)
            var pages: Int32 = 0, most: Int32 = 0
            #expect(sqlite3_db_status(ledger.database.handle, SQLITE_DBSTATUS_CACHE_MISS, &pages, &most, 0) == SQLITE_OK)
            return (pages, try ledger.database.integer("PRAGMA page_count") ?? 0)
        }
        let short = try pagesRead(1), long = try pagesRead(25)
        #expect(long.size > 5 * short.size, "\(short) \(long)")
        #expect(long.pages < short.pages + 40, "\(short) \(long)")
    }

    @Test func theLedgerIsDurableByConfiguration() throws {
        let folder = try Folder()
        let ledger = try Ledger(path: folder.file("ledger"), now: 0)
        #expect(try ledger.database.text("PRAGMA journal_mode") == "wal")
        #expect(try ledger.database.integer("PRAGMA synchronous") == 2)
        #expect(try ledger.database.integer("PRAGMA foreign_keys") == 1)
        let writer = try WriterTests.writer(ledger)
        writer.record(.alert(Alert(time: 1, severity: .info, kind: "x", text: "")))
        writer.boundary()
        #expect(writer.flush())
        #expect(try ledger.database.integer("PRAGMA synchronous") == 1)
        // Nothing new, but what is there must reach the disk.
        #expect(writer.barrier())
        #expect(try ledger.database.integer("PRAGMA synchronous") == 2)
        #expect(writer.figures.commits == 2)
        #expect(writer.barrier())
        #expect(writer.figures.commits == 2)
        #expect(throws: SQLiteError.self) { try ledger.database.execute("INSERT INTO alerts VALUES (99, 12345, 1, 1, 'info', 'x', '', '', '')") }
    }

    /// Every table and column is described for users.
    @Test func everyTableAndColumnIsDocumented() throws {
        let folder = try Folder()
        let ledger = try Ledger(path: folder.file("ledger"), now: 0)
        let url = try #require(URL(string: "file://" + #filePath)).deletingLastPathComponent().appendingPathComponent("../../docs/ledger.md").standardized
        let text = try String(contentsOf: url, encoding: .utf8)
        // "### name" starts a table; its columns are in the rows of the table below.
        var documented: [String: Set<String>] = [:]
        var current = ""
        for line in text.split(separator: "\n") {
            if line.hasPrefix("### ") { current = String(line.dropFirst(4)).trimmingCharacters(in: CharacterSet(charactersIn: "` ")) }
            guard line.hasPrefix("| `") else { continue }
            let cell = line.dropFirst(2).prefix { $0 != "|" }
            for name in cell.split(separator: ",") { documented[current, default: []].insert(name.trimmingCharacters(in: CharacterSet(charactersIn: "` "))) }
        }
        let tables = try ledger.database.rows("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'") { row throws(SQLiteError) in try row.text(0) }
        #expect(tables.count > 25)
        for table in tables where !table.hasPrefix("v_") {
            let columns = try ledger.database.rows("SELECT name FROM pragma_table_info('\(table)')") { row throws(SQLiteError) in try row.text(0) }
            #expect(documented[table] == Set(columns), "table \(table)")
        }
        for view in tables where view.hasPrefix("v_") { #expect(text.contains("`\(view)`")) }
        // And the example queries run.
        var inQuery = false
        var query = ""
        var queries = 0
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line == "```sql" { inQuery = true; query = "" } else if line == "```", inQuery {
                inQuery = false
                queries += 1
                do { try ledger.database.execute(query) } catch { Issue.record("\(error)\n\(query)") }
            } else if inQuery { query += line + "\n" }
        }
        #expect(queries >= 5)
    }

    @Test func wordsGoBothWays() {
        for status in OrderStatus.allCases { #expect(Words.status(status.word) == status) }
        for role in OrderRole.allCases { #expect(Words.role(Words.role(role)) == role) }
        for side in [KEEL_SIDE_NONE, KEEL_BUY, KEEL_SELL, 9] as [UInt32] { #expect(Words.side(Words.side(side)) == side) }
        #expect(Words.side("neither") == nil)
        #expect(Words.kind(KEEL_ORD_LIMIT | KEEL_ORD_IOC | 1 << 40) == "limit+ioc+?1099511627776")
        #expect(Words.gate(KEEL_GATE_CANDLE | KEEL_GATE_REVIEW) == "candle+review")
        let hex = Words.hex(0x0123_4567_89AB_CDEF, 1)
        #expect(hex == "0123456789abcdef0000000000000001")
        #expect(Words.hex(hex)?.hi == 0x0123_4567_89AB_CDEF && Words.hex(hex)?.lo == 1)
        #expect(Words.hex("12") == nil)
    }
}

@Suite struct StoreTests {
    @Test func keepsBytesByInstanceAndKey() throws {
        let folder = try Folder()
        do {
            let store = try PluginStore(path: folder.file("s"))
            try store.put(instance: "a", key: "k", [1, 2, 3])
            try store.put(instance: "b", key: "k", [9])
            try store.put(instance: "a", key: "k", [4, 5])
            try store.put(instance: "a", key: "gone", [7])
            try store.put(instance: "a", key: "gone", [])
        }
        let store = try PluginStore(path: folder.file("s"))
        #expect(try store.get(instance: "a", key: "k") == [4, 5])
        #expect(try store.get(instance: "b", key: "k") == [9])
        #expect(try store.get(instance: "a", key: "gone") == nil)
        #expect(try store.get(instance: "c", key: "k") == nil)
        #expect(try store.keys(instance: "a").map(\.key) == ["k"])
    }

    @Test func limitsHold() throws {
        let folder = try Folder()
        let store = try PluginStore(path: folder.file("s"))
        #expect(throws: PluginStore.Failure.emptyKey(instance: "a")) { try store.put(instance: "a", key: "", [1]) }
        let long = String(repeating: "k", count: PluginStore.keyLimit + 1)
        #expect(throws: PluginStore.Failure.keyTooLong(instance: "a", length: 256)) { try store.put(instance: "a", key: long, [1]) }
        #expect(throws: PluginStore.Failure.keyTooLong(instance: "a", length: 256)) { try store.get(instance: "a", key: long) }
        try store.put(instance: "a", key: String(long.dropLast()), [1])
        let big = [UInt8](repeating: 1, count: PluginStore.valueLimit)
        try store.put(instance: "a", key: "big", big)
        #expect(try store.get(instance: "a", key: "big") == big)
        #expect(throws: PluginStore.Failure.valueTooLarge(instance: "a", key: "big", size: big.count + 1)) { try store.put(instance: "a", key: "big", big + [1]) }
        #expect(PluginStore.Failure.emptyKey(instance: "a").status == KEEL_E_INVALID)
        #expect(PluginStore.Failure.valueTooLarge(instance: "a", key: "", size: 1).status == KEEL_E_RANGE)
        #expect(PluginStore.Failure.failing(.full(path: "")).status == KEEL_E_AGAIN)
        #expect(PluginStore.Failure.failing(.damaged(path: "", message: "")).status == KEEL_E_INTERNAL)
    }

    @Test func lanesMayAllWriteAtOnce() async throws {
        let folder = try Folder()
        let store = try PluginStore(path: folder.file("s"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<4 {
                group.addTask { for value in 1...25 { try store.put(instance: "lane\(lane)", key: "k\(value % 5)", [UInt8(value)]) } }
            }
            try await group.waitForAll()
        }
        for lane in 0..<4 {
            for key in 0..<5 { #expect(try store.get(instance: "lane\(lane)", key: "k\(key)") == [UInt8(20 + (key == 0 ? 5 : key))]) }
        }
    }
}
