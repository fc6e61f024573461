import CSQLite
import PluginKit

/// A value on its way into a column.
public enum SQLValue: Equatable, Sendable {
    case null
    case integer(Int64)
    case real(Double)
    case text(String)
    case blob([UInt8])

    public init(_ value: Int64?) { self = value.map { .integer($0) } ?? .null }
    public init(_ value: Int) { self = .integer(Int64(value)) }
    public init(_ value: UInt32) { self = .integer(Int64(value)) }
    /// All 64 bits, kept as a signed number: requests and sequences stay far below the sign bit.
    public init(bits value: UInt64) { self = .integer(Int64(bitPattern: value)) }
    public init(_ value: Bool) { self = .integer(value ? 1 : 0) }
    public init(_ value: String?) { self = value.map { .text($0) } ?? .null }
    /// Steps of 1e-8 in an INTEGER column: exact and sortable.
    public init(_ value: Fixed) { self = .integer(value.raw) }
    /// Decimal text: exact at any size, readable as it stands.
    public init(_ value: Amount) { self = .text(value.description) }
    /// Not a number becomes NULL, which is what SQLite makes of it too.
    public init(_ value: Double) { self = value.isNaN ? .null : .real(value) }
}

/// A prepared statement. Belongs to its connection's thread.
public final class Statement {
    /// The connection's handle, not its object: SQLite keeps it alive until the last statement is gone.
    private let connection: OpaquePointer
    private let handle: OpaquePointer
    private let path: String
    private let sql: String

    init(_ database: Database, _ sql: String) throws(SQLiteError) {
        var prepared: OpaquePointer?
        let code = sqlite3_prepare_v3(database.handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
        guard code == SQLITE_OK else { throw database.failure(code, during: sql) }
        guard let prepared else { throw .other(path: database.path, during: sql, code: 0, message: "the statement is empty") }
        connection = database.handle
        path = database.path
        self.sql = sql
        handle = prepared
    }

    deinit { sqlite3_finalize(handle) }

    func reset() {
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
    }

    // MARK: In

    func bind(_ values: [SQLValue]) throws(SQLiteError) {
        for (index, value) in values.enumerated() { try bind(Int32(truncatingIfNeeded: index + 1), value) }
    }

    private func bind(_ index: Int32, _ value: SQLValue) throws(SQLiteError) {
        let code: Int32
        switch value {
        case .null: code = sqlite3_bind_null(handle, index)
        case .integer(let number): code = sqlite3_bind_int64(handle, index, number)
        case .real(let number): code = sqlite3_bind_double(handle, index, number)
        case .text(let text):
            var copy = text
            code = copy.withUTF8 { bytes in
                guard let length = Int32(exactly: bytes.count) else { return SQLITE_TOOBIG }
                return bytes.withMemoryRebound(to: CChar.self) { keel_sqlite_bind_text(handle, index, $0.baseAddress ?? emptyText, length) }
            }
        case .blob(let bytes):
            code = bytes.withUnsafeBytes { raw in
                guard let length = Int32(exactly: raw.count) else { return SQLITE_TOOBIG }
                return keel_sqlite_bind_blob(handle, index, raw.baseAddress, length)
            }
        }
        if code != SQLITE_OK { throw failure(code) }
    }

    /// Binds, runs to the end and leaves the statement ready for its next use.
    public func run(_ values: [SQLValue]) throws(SQLiteError) {
        reset()
        defer { reset() }
        try bind(values)
        while try step() {}
    }

    public func run(_ values: SQLValue...) throws(SQLiteError) { try run(values) }

    /// True: a row is there. False: done.
    func step() throws(SQLiteError) -> Bool {
        let code = sqlite3_step(handle)
        switch code {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default:
            // The message is lost on reset, so it is taken first.
            let error = failure(code)
            sqlite3_reset(handle)
            throw error
        }
    }

    // MARK: Out. Columns count from 0.

    public func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }

    public func optionalInteger(_ column: Int32) -> Int64? { isNull(column) ? nil : sqlite3_column_int64(handle, column) }

    public func optionalText(_ column: Int32) -> String? {
        guard let start = sqlite3_column_text(handle, column) else { return nil }
        let length = Int(sqlite3_column_bytes(handle, column))
        return String(decoding: UnsafeBufferPointer(start: start, count: length), as: UTF8.self)
    }

    public func optionalReal(_ column: Int32) -> Double? { isNull(column) ? nil : sqlite3_column_double(handle, column) }

    /// An INTEGER that may not be missing or of another type.
    public func integer(_ column: Int32) throws(SQLiteError) -> Int64 {
        guard sqlite3_column_type(handle, column) == SQLITE_INTEGER else { throw bad(column) }
        return sqlite3_column_int64(handle, column)
    }

    public func whole<T: FixedWidthInteger>(_ column: Int32, as _: T.Type = T.self) throws(SQLiteError) -> T {
        guard let value = T(exactly: try integer(column)) else { throw bad(column) }
        return value
    }

    public func bits(_ column: Int32) throws(SQLiteError) -> UInt64 { UInt64(bitPattern: try integer(column)) }
    public func bool(_ column: Int32) throws(SQLiteError) -> Bool { try integer(column) != 0 }
    public func fixed(_ column: Int32) throws(SQLiteError) -> Fixed { Fixed(raw: try integer(column)) }
    public func optionalFixed(_ column: Int32) throws(SQLiteError) -> Fixed? { isNull(column) ? nil : try fixed(column) }

    public func amount(_ column: Int32) throws(SQLiteError) -> Amount {
        guard let text = optionalText(column), let value = Amount(text) else { throw bad(column) }
        return value
    }

    public func optionalAmount(_ column: Int32) throws(SQLiteError) -> Amount? { isNull(column) ? nil : try amount(column) }

    public func text(_ column: Int32) throws(SQLiteError) -> String {
        guard let text = optionalText(column) else { throw bad(column) }
        return text
    }

    /// NULL was written for "not a number".
    public func real(_ column: Int32) -> Double { optionalReal(column) ?? .nan }

    public func blob(_ column: Int32) -> [UInt8] {
        guard let start = sqlite3_column_blob(handle, column) else { return [] }
        return [UInt8](UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column))))
    }

    public var columnCount: Int32 { sqlite3_column_count(handle) }
    public func name(_ column: Int32) -> String { sqlite3_column_name(handle, column).map { String(cString: $0) } ?? "column \(column)" }

    private func bad(_ column: Int32) -> SQLiteError {
        .badValue(path: path, column: name(column), found: isNull(column) ? "NULL" : "\"\(optionalText(column) ?? "")\"")
    }

    private func failure(_ code: Int32) -> SQLiteError {
        .of(code: code, message: String(cString: sqlite3_errmsg(connection)), path: path, during: String(sql.prefix(120)))
    }
}

/// What an empty string is bound from: SQLite takes a missing pointer for NULL.
private nonisolated(unsafe) let emptyText: UnsafePointer<CChar> = {
    let place = UnsafeMutablePointer<CChar>.allocate(capacity: 1)
    place.pointee = 0
    return UnsafePointer(place)
}()
