import Glibc

/// Why a host could not do what it was asked to. Everything here ends the verb; what a running host survives is an alert.
public enum RunError: Error, Equatable, Sendable, CustomStringConvertible {
    case system(call: String, what: String, code: Int32)
    /// The state folder belongs to someone else or lets others in.
    case folder(path: String, problem: String)
    /// A host already runs on this state folder.
    case running(path: String)
    case notRunning(path: String)
    /// A host answered, but not what the verb needs.
    case control(String)
    case timedOut(String)
    /// Going on would risk money.
    case unsafe(String)
    /// The manifest, a library or a configuration is not valid; every problem.
    case invalid([String])
    case journal(String)
    case usage(String)

    public var description: String {
        switch self {
        case .system(let call, let what, let code): "\(what): \(call): \(String(cString: strerror(code)))"
        case .folder(let path, let problem): "\(path): \(problem)"
        case .running(let path): "a host already runs on \(path): stop it first (keel stop), or use another \"state\" folder"
        case .notRunning(let path): "no host runs on \(path)"
        case .control(let text), .timedOut(let text), .unsafe(let text), .journal(let text), .usage(let text): text
        case .invalid(let problems): problems.joined(separator: "\n")
        }
    }

    /// The exit code of the verb that fails with this.
    public var exitCode: Int32 {
        switch self {
        case .system, .folder, .control, .journal: 1
        case .usage: 2
        case .notRunning: 3
        case .invalid: 4
        case .timedOut: 5
        case .running, .unsafe: 6
        }
    }
}
