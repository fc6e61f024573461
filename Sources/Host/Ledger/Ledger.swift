import CSQLite
import Foundation
import HostCore
import PluginKit

/// The open ledger of a running host: checked, brought up to date, with room in reserve. One thread.
///
/// Take the `LedgerLock` first: the ledger itself can't tell a second host from a reader.
public final class Ledger {
    public struct Options: Sendable {
        /// Room kept for the writes that must not fail when the disk is full; 0: none.
        public var reserve: Int64 = 8 * 1024 * 1024
        /// Number of the first run of a new ledger. Order ids carry it, so a ledger that replaces a lost one on the same
        /// venue account must start above the lost one's runs.
        public var firstRun: UInt32 = 1
        public init() {}
    }

    /// In a host's state folder.
    public static let name = "ledger.db"

    public let path: String
    /// Where the copy of the ledger was put before it was brought up to date; nil: nothing had to be done.
    public let migrationBackup: String?
    let database: Database
    let reserve: Reserve
    let checkpointer: Checkpointer
    let kill: LedgerKill
    private let firstRun: UInt32

    public convenience init(path: String, now: Int64, options: Options = Options(), kill: LedgerKill = .none) throws(LedgerRefusal) {
        try self.init(path: path, now: now, options: options, kill: kill, migrations: LedgerSchema.migrations)
    }

    init(path: String, now: Int64, options: Options, kill: LedgerKill, migrations: [String]) throws(LedgerRefusal) {
        do {
            let opened = try Database(path: path, mode: .readWrite, busyMilliseconds: 1_000)
            let version = try opened.identify(as: LedgerSchema.applicationID, version: Int64(migrations.count))
            // Whatever is about to be rewritten is looked at first, all of it; otherwise `checkBehind` does that while the host runs.
            if version > 0, version < migrations.count { try opened.check() }
            migrationBackup = try Migration.run(opened, from: version, through: migrations, now: now)
            try opened.check(tables: LedgerSchema.leanedOn)
            // The checkpointer does it, off this thread.
            try opened.execute("PRAGMA wal_autocheckpoint = 0")
            database = opened
        } catch {
            throw LedgerRefusal(error, path: path)
        }
        self.path = path
        self.kill = kill
        firstRun = options.firstRun
        checkpointer = Checkpointer(path: path)
        reserve = Reserve(path: path + ".reserve", size: path == ":memory:" ? 0 : options.reserve)
        _ = reserve.take()
    }

    /// A new run, durable on return. Its number is in every order id that follows, so it is never given twice.
    /// `journal`: names the run's journal file by its number, instead of `facts.journal`.
    public func begin(_ facts: RunFacts, journal: ((UInt32) -> String)? = nil) throws(LedgerFailure) -> UInt32 {
        let write = kill.begin()
        var run: UInt32 = 0
        do {
            try database.setSynchronous(.full)
            try database.transaction { () throws(SQLiteError) in
                let last = try database.integer("SELECT max(run) FROM runs")
                let next = last.map { $0 + 1 } ?? Int64(firstRun)
                guard let number = UInt32(exactly: next) else {
                    throw .badValue(path: path, column: "run", found: "\(next), more than order ids have room for")
                }
                run = number
                try database.run(
                    "INSERT INTO runs (run, started, mode, pid, keel, manifest, manifest_hash, config, seed, journal) VALUES (?,?,?,?,?,?,?,?,?,?)",
                    .init(run), .integer(facts.started), .text(facts.mode), .integer(Int64(facts.pid)), .text(facts.keel), .text(facts.manifest),
                    .text(facts.manifestHash), .text(facts.config), .text(String(facts.seed)), .text(journal?(number) ?? facts.journal))
                for (port, plugin) in facts.plugins.enumerated() {
                    try database.run(
                        "INSERT INTO run_plugins (run, port, name, component, version, file, sha256, roles, isolation) VALUES (?,?,?,?,?,?,?,?,?)",
                        .init(run), .init(port), .text(plugin.name), .text(plugin.component), .text(plugin.version), .text(plugin.file),
                        .text(plugin.sha256), .text(plugin.roles.joined(separator: " ")), .text(plugin.isolation))
                }
                for (index, pipeline) in facts.pipelines.enumerated() {
                    try database.run(
                        "INSERT INTO run_pipelines (run, pipeline, name, broker, router, deciders) VALUES (?,?,?,?,?,?)",
                        .init(run), .init(index), .text(pipeline.name), .text(pipeline.broker), .text(pipeline.router),
                        .text(([pipeline.chain.primary] + pipeline.chain.fallbacks).joined(separator: " ")))
                }
                for (index, instrument) in facts.instruments.enumerated() {
                    try database.run(
                        "INSERT INTO run_instruments (run, instrument, symbol, kind, base, quote, tick, lot, multiplier) VALUES (?,?,?,?,?,?,?,?,?)",
                        .init(run), .init(index + 1), .text(instrument.symbol), .text(instrument.kind.rawValue), .text(instrument.base),
                        .text(instrument.quote), .init(instrument.tick), .init(instrument.lot), .init(instrument.multiplier))
                }
                try database.run(
                    "INSERT INTO progress (run, step, time, journal, effects, hash) VALUES (?, 0, ?, 0, 0, '0')", .init(run), .integer(facts.started))
            }
        } catch {
            throw LedgerFailure(error)
        }
        kill.reach(.after, write)
        return run
    }

    /// The run is over, as planned. `how`: "stopped", "restarted", "refused", ...
    public func end(run: UInt32, at time: Int64, how: String) throws(LedgerFailure) {
        let write = kill.begin()
        do {
            try database.setSynchronous(.full)
            try database.run("UPDATE runs SET ended = ?, how = ? WHERE run = ?", .integer(time), .text(how), .init(run))
        } catch {
            throw LedgerFailure(error)
        }
        kill.reach(.after, write)
    }

    /// Reads the whole file on a thread and a connection of its own, with the lowest claim on the processor; `then` is called there with what
    /// is wrong with it; empty: nothing.
    public func checkBehind(_ then: @escaping @Sendable ([String]) -> Void) {
        let path = path
        let thread = Thread {
            setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 19)
            do {
                try Database(path: path, mode: .readOnly).check()
                then([])
            } catch LedgerRefusal.damaged(_, let findings) {
                then(findings)
            } catch {
                then(["\(error)"])
            }
        }
        thread.name = "ledger check"
        thread.start()
    }

    /// Everything into the one file; before a copy is made by other means, and at a planned end.
    public func settle() {
        checkpointer.wait()
        _ = try? database.integer("PRAGMA wal_checkpoint(TRUNCATE)")
    }
}
