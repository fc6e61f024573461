extension Database {
    /// Whose file this is and how new it is. Gives the version found; 0: an empty file, free to use.
    @discardableResult
    func identify(as application: Int64, version: Int64) throws -> Int64 {
        let found = try integer("PRAGMA application_id") ?? 0
        let tables = try integer("SELECT count(*) FROM sqlite_schema") ?? 0
        if found == 0 && tables == 0 { return 0 }
        guard found == application else { throw LedgerRefusal.notALedger(path: path) }
        let foundVersion = try integer("PRAGMA user_version") ?? 0
        guard foundVersion <= version else { throw LedgerRefusal.newer(path: path, version: foundVersion, supported: version) }
        return foundVersion
    }

    /// Every page of a few small tables: what a start leans on, at a cost that does not grow with history.
    func check(tables: [String]) throws {
        for table in tables {
            let findings = try rows("PRAGMA quick_check('\(table)')") { row throws(SQLiteError) in try row.text(0) }
            guard findings == ["ok"] else { throw LedgerRefusal.damaged(path: path, findings: findings) }
        }
    }

    /// Reads every page; `whole` also compares every index with its table, which takes longer.
    func check(whole: Bool = false) throws {
        let findings = try rows(whole ? "PRAGMA integrity_check(20)" : "PRAGMA quick_check(20)") { row throws(SQLiteError) in try row.text(0) }
        guard findings == ["ok"] else { throw LedgerRefusal.damaged(path: path, findings: findings) }
        let orphans = try rows("PRAGMA foreign_key_check") { row throws(SQLiteError) in try row.text(0) }
        guard orphans.isEmpty else {
            throw LedgerRefusal.damaged(path: path, findings: ["\(orphans.count) rows point at rows that aren't there, the first in \(orphans[0])"])
        }
    }
}
