import CSQLite

/// One SQLite connection. Belongs to one thread at a time: it has no lock of its own.
public final class Database {
    public enum Mode: Sendable {
        /// Created if missing; WAL with a full sync at each commit.
        case readWrite
        /// Never creates, never writes; reads while another process writes.
        case readOnly
    }

    public let path: String
    let handle: OpaquePointer
    private var cache: [String: Statement] = [:]
    private var inTransaction = false
    private(set) var synchronous = Synchronous.full

    /// How much a commit waits for the disk.
    enum Synchronous: String { case full = "FULL", normal = "NORMAL" }

    public init(path: String, mode: Mode, busyMilliseconds: Int32 = 5_000) throws(SQLiteError) {
        let flags = switch mode {
        case .readWrite: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX
        case .readOnly: SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX
        }
        var opened: OpaquePointer?
        let code = sqlite3_open_v2(path, &opened, flags, nil)
        guard code == SQLITE_OK, let opened else {
            let message = opened.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
            sqlite3_close_v2(opened)
            throw code & 0xff == SQLITE_NOTADB
                ? .corrupt(path: path, during: "open", message: message) : .cannotOpen(path: path, message: message)
        }
        self.path = path
        handle = opened
        sqlite3_extended_result_codes(handle, 1)
        sqlite3_busy_timeout(handle, busyMilliseconds)
        // After the last stored property deinit closes the handle when one of these throws.
        try execute("PRAGMA foreign_keys = ON")
        try execute("PRAGMA trusted_schema = OFF")
        try execute("PRAGMA cell_size_check = ON")
        switch mode {
        case .readWrite:
            let journal = try text("PRAGMA journal_mode = WAL")
            guard journal == "wal" || path == ":memory:" else {
                throw .other(path: path, during: "PRAGMA journal_mode = WAL", code: 0, message: "the file system refuses WAL (got \(journal ?? "nothing"))")
            }
            try execute("PRAGMA synchronous = FULL")
            // Debian builds SQLite with secure deletion: the ledger holds no secrets and never deletes on the hot path.
            try execute("PRAGMA secure_delete = OFF")
        case .readOnly:
            try execute("PRAGMA query_only = ON")
        }
    }

    deinit {
        cache.removeAll()
        // v2: the handle lives on until statements still held elsewhere are gone.
        sqlite3_close_v2(handle)
    }

    /// Runs any number of statements that return nothing.
    public func execute(_ sql: String) throws(SQLiteError) {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        if code != SQLITE_OK { throw failure(code, during: sql) }
    }

    /// The prepared statement for this text, from the cache after the first time. Reset and unbound.
    public func statement(_ sql: String) throws(SQLiteError) -> Statement {
        if let known = cache[sql] {
            known.reset()
            return known
        }
        let made = try Statement(self, sql)
        cache[sql] = made
        return made
    }

    /// The first column of the first row as text.
    public func text(_ sql: String, _ values: SQLValue...) throws(SQLiteError) -> String? {
        let statement = try statement(sql)
        defer { statement.reset() }
        try statement.bind(values)
        return try statement.step() ? statement.optionalText(0) : nil
    }

    /// The first column of the first row as a whole number.
    public func integer(_ sql: String, _ values: SQLValue...) throws(SQLiteError) -> Int64? {
        let statement = try statement(sql)
        defer { statement.reset() }
        try statement.bind(values)
        return try statement.step() ? statement.optionalInteger(0) : nil
    }

    /// One row in, no row out.
    @discardableResult
    public func run(_ sql: String, _ values: SQLValue...) throws(SQLiteError) -> Int32 {
        try statement(sql).run(values)
        return sqlite3_changes(handle)
    }

    /// Every row, mapped.
    public func rows<T>(_ sql: String, _ values: [SQLValue] = [], _ map: (Statement) throws(SQLiteError) -> T) throws(SQLiteError) -> [T] {
        let statement = try statement(sql)
        defer { statement.reset() }
        try statement.bind(values)
        var found: [T] = []
        while try statement.step() { found.append(try map(statement)) }
        return found
    }

    public var lastRow: Int64 { sqlite3_last_insert_rowid(handle) }
    public var changes: Int32 { sqlite3_changes(handle) }

    /// All or nothing. Rolls back when `body` or the commit throws; doesn't nest.
    public func transaction(_ body: () throws(SQLiteError) -> Void) throws(SQLiteError) {
        try statement("BEGIN IMMEDIATE").run([])
        do {
            try body()
            try statement("COMMIT").run([])
        } catch {
            rollBack()
            throw error
        }
    }

    /// A stable view over several statements; for readers.
    public func reading<T>(_ body: () throws(SQLiteError) -> T) throws(SQLiteError) -> T {
        try statement("BEGIN").run([])
        defer { rollBack() }
        return try body()
    }

    private func rollBack() {
        // SQLite itself rolls back on a full disk and some input/output errors: then there is nothing left to undo.
        guard sqlite3_get_autocommit(handle) == 0 else { return }
        for statement in cache.values { statement.reset() }
        _ = sqlite3_exec(handle, "ROLLBACK", nil, nil, nil)
    }

    /// Full: the next commit returns after the disk has it. Normal: after the operating system has it.
    func setSynchronous(_ wanted: Synchronous) throws(SQLiteError) {
        guard wanted != synchronous else { return }
        try execute("PRAGMA synchronous = \(wanted.rawValue)")
        synchronous = wanted
    }

    func failure(_ code: Int32, during sql: String) -> SQLiteError {
        .of(code: sqlite3_extended_errcode(handle) == 0 ? code : sqlite3_extended_errcode(handle),
            message: String(cString: sqlite3_errmsg(handle)), path: path, during: String(sql.prefix(120)))
    }
}
