import Glibc

/// Brings a ledger up to date, version by version, in one transaction, after putting a copy aside.
enum Migration {
    /// Gives the path of the copy; nil: there was nothing to do, or nothing to lose.
    static func run(_ database: Database, from version: Int64, through migrations: [String], now: Int64) throws -> String? {
        let target = Int64(migrations.count)
        guard version < target else { return nil }
        var backup: String?
        if version > 0 { backup = try copy(database, version: version, now: now) }
        do throws(SQLiteError) {
            try database.transaction { () throws(SQLiteError) in
                for migration in migrations[Int(version)...] { try database.execute(migration) }
                try database.execute("PRAGMA application_id = \(LedgerSchema.applicationID)")
                try database.execute("PRAGMA user_version = \(target)")
            }
        } catch {
            guard let backup else { throw error }
            throw LedgerRefusal.migrationFailed(path: database.path, from: version, to: target, backup: backup, why: error.description)
        }
        return backup
    }

    /// A whole, durable copy under a name of its own.
    private static func copy(_ database: Database, version: Int64, now: Int64) throws -> String {
        let stamp = TimeText.utc(now).filter { $0.isNumber || $0 == "T" || $0 == "Z" }
        var path = "\(database.path).v\(version)-\(stamp)"
        var number = 1
        while access(path, F_OK) == 0 {
            number += 1
            path = "\(database.path).v\(version)-\(stamp)-\(number)"
        }
        try database.run("VACUUM INTO ?", .text(path))
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0, fsync(descriptor) == 0 else {
            throw LedgerRefusal.cannotOpen(path: path, why: "the copy made before bringing the ledger up to date can't be saved: \(systemMessage(errno))")
        }
        close(descriptor)
        let problem = syncFolder(of: path)
        guard problem == 0 else { throw LedgerRefusal.cannotOpen(path: path, why: systemMessage(problem)) }
        return path
    }
}
