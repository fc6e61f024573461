/// What is wrong with a message of the venue. It is left out, counted, and the reason is told; nothing of it is used.
public enum StreamFault: Error, Equatable, Sendable, CustomStringConvertible {
    case notJSON(at: Int)
    /// A name stands twice: which value was meant can't be known.
    case twice(String)
    case missing(String)
    /// Another kind of value than the field has.
    case wrongKind(String)
    /// A number that doesn't fit.
    case outOfRange(String)
    /// More decimals than the eight that are kept: never rounded.
    case inexact(String)
    /// Numbers that can't be true together.
    case contradiction(String)

    public var description: String {
        switch self {
        case .notJSON(let at): "not JSON at byte \(at)"
        case .twice(let name): "the field \(name) stands twice"
        case .missing(let name): "the field \(name) is missing"
        case .wrongKind(let name): "the field \(name) is of another kind than expected"
        case .outOfRange(let name): "the number in \(name) is out of range"
        case .inexact(let name): "the number in \(name) has more than 8 decimals, and they are never rounded"
        case .contradiction(let what): what
        }
    }
}
