/// What a verb came to, for scripts. The numbers are part of the interface.
enum ExitCode: Int32, Sendable, CaseIterable {
    case ok = 0
    case error = 1
    case usage = 2
    case notRunning = 3
    /// The manifest or a configuration is not valid.
    case invalid = 4
    case timedOut = 5
    /// Refused because trading would be unsafe.
    case refused = 6
    case checkFailed = 7

    var meaning: String {
        switch self {
        case .ok: "all went well"
        case .error: "something went wrong; the message says what"
        case .usage: "the command was not understood"
        case .notRunning: "no host is running there"
        case .invalid: "the manifest or a configuration is not valid"
        case .timedOut: "it took too long"
        case .refused: "refused, because trading would be unsafe"
        case .checkFailed: "a check failed"
        }
    }
}

/// Ends a verb with a message. Everything else a verb throws ends it with exit code 1 and the error's own description.
struct Failure: Error, CustomStringConvertible {
    var exit: ExitCode
    var message: String
    var hint: String?

    init(_ exit: ExitCode, _ message: String, hint: String? = nil) {
        self.exit = exit
        self.message = message
        self.hint = hint
    }

    var description: String { message }
}
