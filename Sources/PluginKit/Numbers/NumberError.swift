/// What went wrong with a number that came from outside or was computed.
public enum NumberError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The result does not fit its type. Never wrapped, never clamped.
    case overflow(String)
    /// More decimals than the eight that are kept; rounding is the caller's decision.
    case inexact(String)
    case divisionByZero(String)
    case notANumber(String)

    public var description: String {
        switch self {
        case .overflow(let what): "\(what) does not fit: the result is out of range"
        case .inexact(let what): "\(what) has more than 8 decimals: round it first"
        case .divisionByZero(let what): "\(what) divides by zero"
        case .notANumber(let what): "\"\(what)\" is not a decimal number"
        }
    }
}

/// How a result that needs more than eight decimals is brought to eight.
public enum Rounding: Sendable {
    /// Half away from zero: 0.5 -> 1, -0.5 -> -1. The rule for money unless a venue says otherwise.
    case halfAwayFromZero
    case towardZero
    case awayFromZero
    case down
    case up
}
