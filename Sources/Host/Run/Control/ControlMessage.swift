import Foundation

/// What a verb asks a running host; one JSON line.
public struct ControlRequest: Codable, Equatable, Sendable {
    public enum Verb: String, Codable, Sendable, CaseIterable {
        case status, stop, restart, kill, flatten, reset, evidence
    }

    public var verb: Verb
    public var arguments: [String: String]

    public init(_ verb: Verb, _ arguments: [String: String] = [:]) {
        self.verb = verb
        self.arguments = arguments
    }
}

/// What the host answers; one JSON line. `problems` says why not, `body` is the verb's own JSON.
public struct ControlReply: Codable, Equatable, Sendable {
    public var ok: Bool
    /// The exit code the verb should end with.
    public var code: Int32
    public var problems: [String]
    public var body: Data

    public init(body: Data = Data("{}".utf8)) {
        ok = true
        code = 0
        problems = []
        self.body = body
    }

    public init(code: Int32, problems: [String]) {
        ok = false
        self.code = code
        self.problems = problems
        body = Data("{}".utf8)
    }

    public init(_ error: RunError) {
        if case .invalid(let problems) = error {
            self.init(code: error.exitCode, problems: problems)
        } else {
            self.init(code: error.exitCode, problems: [error.description])
        }
    }
}
