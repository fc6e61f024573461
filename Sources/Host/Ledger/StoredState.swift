import HostCore

/// A state row as the ledger keeps it: JSON, except for the learner's own bytes.
struct StoredState {
    var kind: String
    var bytes: [UInt8]

    init(_ row: StateRow) throws {
        switch row {
        case .header(let value): (kind, bytes) = ("header", try StateCoding.bytes(value))
        case .pipeline(let value): (kind, bytes) = ("pipeline", try StateCoding.bytes(value))
        case .book(let value): (kind, bytes) = ("book", try StateCoding.bytes(value))
        case .broker(let value): (kind, bytes) = ("broker", try StateCoding.bytes(value))
        case .learner(let value): (kind, bytes) = ("learner", value)
        }
    }

    static func row(kind: String, bytes: [UInt8]) throws -> StateRow? {
        switch kind {
        case "header": .header(try StateCoding.value(from: bytes))
        case "pipeline": .pipeline(try StateCoding.value(from: bytes))
        case "book": .book(try StateCoding.value(from: bytes))
        case "broker": .broker(try StateCoding.value(from: bytes))
        case "learner": .learner(bytes)
        default: nil
        }
    }
}
