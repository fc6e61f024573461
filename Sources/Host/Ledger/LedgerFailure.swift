/// A write that didn't happen. Nothing committed is lost and what was to be written is kept: halt entries, say so, try again.
public enum LedgerFailure: Error, Equatable, Sendable, CustomStringConvertible {
    case full(path: String)
    case readOnly(path: String)
    case inputOutput(path: String, message: String)
    case busy(path: String)
    /// The file is damaged: trying again won't help, the host must stop and the ledger be repaired or restored.
    case damaged(path: String, message: String)
    /// More is waiting to be written than may be kept in memory: the host must stop.
    case overflowing(path: String, waiting: Int)
    /// A record contradicts what is in the ledger, or a program error. The host must stop rather than trade on.
    case refused(path: String, message: String)

    /// Whether waiting (for space, for permissions, for a lock) can cure it.
    public var isRecoverable: Bool {
        switch self {
        case .full, .readOnly, .inputOutput, .busy: true
        case .damaged, .overflowing, .refused: false
        }
    }

    public var description: String {
        switch self {
        case .full(let path): "no room left to write \(path): entries are halted until space is freed on that disk; nothing recorded is lost"
        case .readOnly(let path): "\(path) can't be written (read-only): entries are halted until it can; nothing recorded is lost"
        case .inputOutput(let path, let message): "the disk refused a write to \(path) (\(message)): entries are halted until a write succeeds"
        case .busy(let path): "another program keeps \(path) locked: entries are halted until it lets go"
        case .damaged(let path, let message): "\(path) is damaged (\(message)): stop, keep the file, and restore a backup or run `keel doctor`"
        case .overflowing(let path, let waiting): "\(waiting) records wait to be written to \(path), more than are kept in memory: stop and free space on that disk"
        case .refused(let path, let message): "\(path) refused a record: \(message)"
        }
    }

    public init(_ error: SQLiteError) {
        switch error {
        case .full(let path, _): self = .full(path: path)
        case .readOnly(let path, _): self = .readOnly(path: path)
        case .inputOutput(let path, _, let code, let message): self = .inputOutput(path: path, message: "\(message), code \(code)")
        case .busy(let path, _): self = .busy(path: path)
        case .corrupt(let path, _, let message): self = .damaged(path: path, message: message)
        case .cannotOpen(let path, let message): self = .inputOutput(path: path, message: message)
        case .badValue(let path, let column, let found): self = .damaged(path: path, message: "column \(column) holds \(found)")
        case .constraint(let path, let during, let message): self = .refused(path: path, message: "\(message) (\(during))")
        case .other(let path, let during, let code, let message): self = .refused(path: path, message: "\(message), code \(code) (\(during))")
        }
    }
}

/// Why a ledger wasn't opened. The host must not start.
public enum LedgerRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// Another host runs on it.
    case inUse(path: String, owner: LedgerLock.Owner?)
    case missing(path: String)
    case newer(path: String, version: Int64, supported: Int64)
    /// Only a host brings a ledger up to date; readers leave it alone.
    case older(path: String, version: Int64, supported: Int64)
    case notALedger(path: String)
    case damaged(path: String, findings: [String])
    case migrationFailed(path: String, from: Int64, to: Int64, backup: String, why: String)
    case cannotOpen(path: String, why: String)
    /// Rows and the saved engine state tell different stories.
    case disagrees(path: String, differences: [String])

    public var description: String {
        switch self {
        case .inUse(let path, let owner):
            if let owner {
                "\(path) is in use by the keel host with pid \(owner.pid), running since \(owner.sinceText): stop it first, or give this one another state folder"
            } else {
                "\(path) is in use by another keel host: stop it first, or give this one another state folder"
            }
        case .missing(let path): "there is no ledger at \(path): has this manifest been run yet?"
        case .newer(let path, let version, let supported):
            "\(path) was written by a newer keel (ledger version \(version), this program knows up to \(supported)): use that keel, or a backup of the ledger"
        case .older(let path, let version, let supported):
            "\(path) is of version \(version), this program reads \(supported): `keel run` brings it up to date (and keeps a copy)"
        case .notALedger(let path): "\(path) is a SQLite file, but not a keel ledger: it is left alone"
        case .damaged(let path, let findings):
            "\(path) is damaged: \(findings.prefix(3).joined(separator: "; ")). Keep a copy, then restore a backup; trading on it would be unsafe"
        case .migrationFailed(let path, let from, let to, let backup, let why):
            "\(path) could not be brought from version \(from) to \(to): \(why). It is unchanged; a copy is at \(backup)"
        case .cannotOpen(let path, let why): "\(path) can't be opened: \(why)"
        case .disagrees(let path, let differences):
            "the rows of \(path) and its saved engine state disagree: \(differences.prefix(3).joined(separator: "; "))"
        }
    }
}

extension LedgerRefusal {
    init(_ error: any Error, path: String) {
        switch error {
        case let refusal as LedgerRefusal: self = refusal
        case SQLiteError.corrupt(_, _, let message): self = .damaged(path: path, findings: [message])
        case let error as SQLiteError: self = .cannotOpen(path: path, why: error.description)
        default: self = .cannotOpen(path: path, why: "\(error)")
        }
    }
}
