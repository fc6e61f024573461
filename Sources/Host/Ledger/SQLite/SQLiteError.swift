import CSQLite

/// What SQLite answered, sorted by what a caller can do about it.
public enum SQLiteError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No room on the disk, or the file reached its page limit. Goes away when there is room again.
    case full(path: String, during: String)
    /// The file, its folder or the file system can't be written.
    case readOnly(path: String, during: String)
    /// The operating system refused a read, write or sync; `code` is SQLite's extended code.
    case inputOutput(path: String, during: String, code: Int32, message: String)
    /// Another connection holds the write lock for longer than the busy timeout.
    case busy(path: String, during: String)
    case cannotOpen(path: String, message: String)
    /// Damaged, or not a SQLite file at all.
    case corrupt(path: String, during: String, message: String)
    /// A unique key, foreign key or check refused a row.
    case constraint(path: String, during: String, message: String)
    /// A column held another type or a value outside its range.
    case badValue(path: String, column: String, found: String)
    /// A mistake in a statement, or anything not named above.
    case other(path: String, during: String, code: Int32, message: String)

    public var description: String {
        switch self {
        case .full(let path, let during): "no room left for \(path) while running \(during): free some space on that disk"
        case .readOnly(let path, let during): "\(path) can't be written while running \(during): check the permissions of the file and its folder"
        case .inputOutput(let path, let during, let code, let message):
            "\(path): input/output error while running \(during) (\(message), code \(code)): check the disk"
        case .busy(let path, let during): "\(path) is locked by another program while running \(during)"
        case .cannotOpen(let path, let message): "\(path) can't be opened: \(message)"
        case .corrupt(let path, let during, let message): "\(path) is damaged (\(message)), found while running \(during)"
        case .constraint(let path, let during, let message): "\(path): \(message), while running \(during)"
        case .badValue(let path, let column, let found): "\(path): column \(column) holds \(found)"
        case .other(let path, let during, let code, let message): "\(path): \(message) (code \(code)) while running \(during)"
        }
    }

    static func of(code: Int32, message: String, path: String, during: String) -> SQLiteError {
        switch code & 0xff {
        case SQLITE_FULL: .full(path: path, during: during)
        case SQLITE_READONLY, SQLITE_PERM: .readOnly(path: path, during: during)
        case SQLITE_IOERR: .inputOutput(path: path, during: during, code: code, message: message)
        case SQLITE_BUSY, SQLITE_LOCKED: .busy(path: path, during: during)
        case SQLITE_CANTOPEN: .cannotOpen(path: path, message: message)
        case SQLITE_CORRUPT, SQLITE_NOTADB: .corrupt(path: path, during: during, message: message)
        case SQLITE_CONSTRAINT: .constraint(path: path, during: during, message: message)
        default: .other(path: path, during: during, code: code, message: message)
        }
    }
}
