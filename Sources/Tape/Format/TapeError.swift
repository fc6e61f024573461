/// What is wrong with a tape, where, and what can be done about it.
public enum TapeError: Error, Equatable, Sendable, CustomStringConvertible {
    case notATape(path: String)
    /// Written by a later Keel: guessing at its meaning could trade on it.
    case newerVersion(path: String, found: UInt32, newest: UInt32)
    case damagedHeader(path: String)
    /// A block whose bytes are not the ones that were written.
    case damagedBlock(path: String, block: Int, offset: Int, what: String)
    /// A block that is whole but says something impossible.
    case badRecord(path: String, block: Int, offset: Int, what: String)
    case unknownInstrument(path: String, id: UInt32)
    case outOfOrder(time: Int64, after: Int64)
    case badEvent(String)
    case tooManyInstruments
    /// Another process is writing this tape.
    case locked(path: String)
    case system(path: String, operation: String, code: Int32, reason: String)
    case closed

    public var description: String {
        switch self {
        case .notATape(let path): "\(path) is not a tape: it does not start with KEELTAPE. Import it first: keel data import"
        case .newerVersion(let path, let found, let newest):
            "\(path) is a tape of version \(found); this keel reads up to version \(newest). Use the keel that wrote it, or a newer one"
        case .damagedHeader(let path): "\(path): the file header is damaged (checksum differs at byte 0). Restore it from a copy or import it again"
        case .damagedBlock(let path, let block, let offset, let what):
            "\(path): block \(block) at byte \(offset) is damaged: \(what). Restore the file from a copy or import it again"
        case .badRecord(let path, let block, let offset, let what): "\(path): block \(block), record at byte \(offset): \(what)"
        case .unknownInstrument(let path, let id): "\(path): a record names instrument \(id), which is not in the tape's instrument table"
        case .outOfOrder(let time, let after): "time goes back: \(UTCTime.text(time)) after \(UTCTime.text(after))"
        case .badEvent(let what): "an event that cannot go on a tape: \(what)"
        case .tooManyInstruments: "a tape holds at most \(TapeFormat.instrumentsMost) instruments"
        case .locked(let path): "\(path) is being written by another process"
        case .system(let path, let operation, let code, let reason): "\(path): \(operation) failed: \(reason) (\(code))"
        case .closed: "the tape is already closed"
        }
    }
}
