import PluginAPI
import Synchronization

/// What plugins keep with `put` and read with `get`: bytes by instance and key, durable when `put` returns.
///
/// A file and a connection of its own beside the ledger, so that a broker saving a token never holds up an intent.
/// Any thread may call; calls wait for each other.
public final class PluginStore: Sendable {
    /// Longest key, largest value and most bytes one instance may keep.
    public static let keyLimit = 255
    public static let valueLimit = 8 * 1024 * 1024
    public static let instanceLimit: Int64 = 256 * 1024 * 1024

    public enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
        case keyTooLong(instance: String, length: Int)
        case emptyKey(instance: String)
        case valueTooLarge(instance: String, key: String, size: Int)
        case instanceFull(instance: String, size: Int64)
        case failing(LedgerFailure)

        public var description: String {
            switch self {
            case .keyTooLong(let instance, let length): "\(instance): a key of \(length) bytes, \(PluginStore.keyLimit) are allowed"
            case .emptyKey(let instance): "\(instance): a key may not be empty"
            case .valueTooLarge(let instance, let key, let size): "\(instance): \(size) bytes for \"\(key)\", \(PluginStore.valueLimit) are allowed"
            case .instanceFull(let instance, let size): "\(instance) would keep \(size) bytes, \(PluginStore.instanceLimit) are allowed"
            case .failing(let failure): failure.description
            }
        }

        /// What the plugin's call returns.
        public var status: keel_status {
            switch self {
            case .keyTooLong, .emptyKey: KEEL_E_INVALID
            case .valueTooLarge, .instanceFull: KEEL_E_RANGE
            case .failing(let failure): failure.isRecoverable ? KEEL_E_AGAIN : KEEL_E_INTERNAL
            }
        }
    }

    private static let applicationID: Int64 = 0x4B45_4C53  // "KELS"
    private static let version: Int64 = 1

    public let path: String
    private let database: Mutex<Database>
    private let kill: LedgerKill

    public init(path: String, kill: LedgerKill = .none) throws(LedgerRefusal) {
        self.path = path
        self.kill = kill
        database = Mutex(try PluginStore.open(path))
    }

    private static func open(_ path: String) throws(LedgerRefusal) -> sending Database {
        do {
            let opened = try Database(path: path, mode: .readWrite)
            try opened.identify(as: applicationID, version: version)
            try opened.check()
            try opened.execute(
                """
                CREATE TABLE IF NOT EXISTS plugin_values (
                    instance TEXT NOT NULL,
                    key      TEXT NOT NULL,
                    value    BLOB NOT NULL,
                    PRIMARY KEY (instance, key)
                ) STRICT, WITHOUT ROWID;
                PRAGMA application_id = \(applicationID);
                PRAGMA user_version = \(version);
                """)
            return opened
        } catch {
            throw LedgerRefusal(error, path: path)
        }
    }

    /// Durable when it returns; no bytes: the key is removed.
    public func put(instance: String, key: String, _ bytes: [UInt8]) throws(Failure) {
        try PluginStore.check(instance, key)
        guard bytes.count <= PluginStore.valueLimit else { throw .valueTooLarge(instance: instance, key: key, size: bytes.count) }
        let result: Result<Void, Failure> = database.withLock { database in
            do throws(SQLiteError) {
                if bytes.isEmpty {
                    let write = kill.begin()
                    try database.run("DELETE FROM plugin_values WHERE instance = ? AND key = ?", .text(instance), .text(key))
                    kill.reach(.after, write)
                    return .success(())
                }
                let others =
                    try database.integer(
                        "SELECT coalesce(sum(length(value)), 0) FROM plugin_values WHERE instance = ? AND key <> ?", .text(instance), .text(key)) ?? 0
                let (total, overflow) = others.addingReportingOverflow(Int64(bytes.count))
                guard !overflow, total <= PluginStore.instanceLimit else { return .failure(.instanceFull(instance: instance, size: total)) }
                let write = kill.begin()
                try database.run(
                    "INSERT INTO plugin_values (instance, key, value) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                    .text(instance), .text(key), .blob(bytes))
                kill.reach(.after, write)
                return .success(())
            } catch {
                return .failure(.failing(LedgerFailure(error)))
            }
        }
        try result.get()
    }

    /// What was put last; nil: nothing was.
    public func get(instance: String, key: String) throws(Failure) -> [UInt8]? {
        try PluginStore.check(instance, key)
        let result: Result<[UInt8]?, Failure> = database.withLock { database in
            do throws(SQLiteError) {
                let found = try database.rows(
                    "SELECT value FROM plugin_values WHERE instance = ? AND key = ?", [.text(instance), .text(key)]) { row in row.blob(0) }
                return .success(found.first)
            } catch {
                return .failure(.failing(LedgerFailure(error)))
            }
        }
        return try result.get()
    }

    /// Keys and sizes, for `keel plugin info`.
    public func keys(instance: String) throws(Failure) -> [(key: String, size: Int64)] {
        let result: Result<[(key: String, size: Int64)], Failure> = database.withLock { database in
            do throws(SQLiteError) {
                return .success(
                    try database.rows("SELECT key, length(value) FROM plugin_values WHERE instance = ? ORDER BY key", [.text(instance)]) {
                        row throws(SQLiteError) in (try row.text(0), try row.integer(1))
                    })
            } catch {
                return .failure(.failing(LedgerFailure(error)))
            }
        }
        return try result.get()
    }

    private static func check(_ instance: String, _ key: String) throws(Failure) {
        if key.isEmpty { throw .emptyKey(instance: instance) }
        if key.utf8.count > keyLimit { throw .keyTooLong(instance: instance, length: key.utf8.count) }
    }
}
