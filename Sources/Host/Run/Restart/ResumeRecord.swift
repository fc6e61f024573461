import Foundation

/// One plugin as a run had it loaded.
public struct PluginIdentity: Codable, Equatable, Sendable {
    public var component: String
    public var version: String
    public var sha256: String
    public var file: String

    public init(component: String, version: String, sha256: String, file: String) {
        self.component = component
        self.version = version
        self.sha256 = sha256
        self.file = file
    }
}

/// What a host leaves for the program it becomes by execve. Positions and orders are in the ledger; here is what is not.
public struct ResumeRecord: Codable, Equatable, Sendable {
    /// Also in the environment of the program that may use it, so that no other takes its descriptors for its own.
    public var token: String
    public var reason: String
    public var pid: Int32
    /// When the gate closed, on the monotonic clock both programs share: the gap is measured from here.
    public var gateClosedMonotonic: Int64
    public var gateClosedAt: Int64
    /// Where a simulated clock stood; nil: the clock is real.
    public var simulatedTime: Int64?
    public var plugins: [String: PluginIdentity]
    /// Pipeline and instrument to position, in decimals: compared with what ledger and venue say afterwards.
    public var positions: [String: String]
    public var openOrders: [String]
    /// Instance to the state version it was saved under.
    public var saved: [String: UInt32]
    public var lockDescriptor: Int32
    public var socketDescriptor: Int32
    /// Who asked by `keel restart` and waits for the report; -1: a signal did.
    public var callerDescriptor: Int32
    public var manifestPath: String
    public var warnings: [String] = []

    public func write(to folder: RunFolder) throws(RunError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        guard let bytes = try? encoder.encode(self) else { throw .control("the resume record cannot be written as JSON") }
        try RunFolder.replace(folder.resume, with: bytes)
    }

    /// The variable that carries the token.
    public static let variable = "KEEL_RESUME"

    public enum Found: Sendable {
        /// This process was the program that wrote it.
        case mine(ResumeRecord)
        /// A successor died before its gate was open.
        case abandoned
        case none
    }

    /// What the program before left. Until `settle` is called, a start that finds it again knows that the successor died.
    public static func take(from folder: RunFolder, token: String?) -> Found {
        guard let bytes = FileManager.default.contents(atPath: folder.resume) else {
            return access(folder.resuming, F_OK) == 0 ? .abandoned : .none
        }
        rename(folder.resume, folder.resuming)
        unsetenv(variable)
        guard let record = try? JSONDecoder().decode(ResumeRecord.self, from: bytes), let token, record.token == token else { return .abandoned }
        return .mine(record)
    }

    /// The successor, or whoever took its place, trades.
    public static func settle(in folder: RunFolder) { try? RunFolder.remove(folder.resuming) }
}

/// What a restart changed and what it cost; the answer of `keel restart`.
public struct RestartReport: Codable, Equatable, Sendable {
    public struct Change: Codable, Equatable, Sendable {
        public enum Kind: String, Codable, Sendable { case same, changed, added, removed }
        public var instance: String
        public var kind: Kind
        public var before: PluginIdentity?
        public var after: PluginIdentity?
    }

    public var reason: String
    public var pid: Int32
    /// Gate closed to gate open.
    public var gapMilliseconds: Double
    public var changes: [Change]
    /// What the state before and the venue's answers after disagree on; empty: nothing.
    public var differences: [String]
    public var warnings: [String]
    /// The new manifest could not be opened after all, and the one before trades on: why.
    public var rolledBack: String?

    public init(resume: ResumeRecord, plugins: [String: PluginIdentity], gateOpenMonotonic: Int64, differences: [String], warnings: [String]) {
        reason = resume.reason
        pid = resume.pid
        gapMilliseconds = Double(gateOpenMonotonic - resume.gateClosedMonotonic) / 1e6
        changes = RestartReport.compare(resume.plugins, plugins)
        self.differences = differences
        self.warnings = warnings
    }

    static func compare(_ before: [String: PluginIdentity], _ after: [String: PluginIdentity]) -> [Change] {
        Set(before.keys).union(after.keys).sorted().map { name in
            let old = before[name], new = after[name]
            let kind: Change.Kind = old == nil ? .added : new == nil ? .removed : old == new ? .same : .changed
            return Change(instance: name, kind: kind, before: old, after: new)
        }
    }

    public var text: String {
        var lines = [String(format: "restarted in place, pid %d, gap %.1f ms", pid, gapMilliseconds)]
        if let rolledBack { lines.append("  ROLLED BACK: \(rolledBack)") }
        func name(_ plugin: PluginIdentity?) -> String {
            plugin.map { "\($0.component) \($0.version) (\($0.sha256.prefix(12)))" } ?? "nothing"
        }
        for change in changes {
            switch change.kind {
            case .same: lines.append("  \(change.instance): \(name(change.after)), unchanged")
            case .changed: lines.append("  \(change.instance): \(name(change.before)) -> \(name(change.after))")
            case .added: lines.append("  \(change.instance): new, \(name(change.after))")
            case .removed: lines.append("  \(change.instance): gone, was \(name(change.before))")
            }
        }
        lines += differences.map { "  differs: \($0)" }
        lines += warnings.map { "  warning: \($0)" }
        return lines.joined(separator: "\n")
    }
}
