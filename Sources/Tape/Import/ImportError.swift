/// Why an import cannot go on at all. A single bad row is never this: rows are counted and listed in the report.
public enum ImportError: Error, Equatable, Sendable, CustomStringConvertible {
    case system(path: String, operation: String, reason: String)
    case empty(path: String)
    /// Not a whole zip or gzip file.
    case archive(path: String, what: String)
    case columns(path: String, what: String, line: String)
    case options(String)
    /// A decision that would be a guess.
    case undecided(path: String, what: String, hint: String)
    case strict(BadRow)
    case noRows(path: String)

    public var description: String {
        switch self {
        case .system(let path, let operation, let reason): "\(path): \(operation) failed: \(reason)"
        case .empty(let path): "\(path) is empty"
        case .archive(let path, let what): "\(path): \(what)"
        case .columns(let path, let what, let line): "\(path): \(what). First line: \"\(line)\""
        case .options(let what): what
        case .undecided(let path, let what, let hint): "\(path): \(what). \(hint)"
        case .strict(let row): "\(row). Nothing was written"
        case .noRows(let path): "\(path): not one usable row"
        }
    }
}

/// What is wrong with one row.
public enum RowProblem: String, Sendable, CaseIterable {
    case wrongColumns = "wrong number of columns"
    case emptyField = "empty field"
    case notANumber = "not a number"
    case notFinite = "NaN or infinite"
    case outOfRange = "number out of range"
    case badTime = "time cannot be read"
    case timeOutOfRange = "time is outside the file's unit (1990 to 2200)"
    case timeGoesBack = "time goes back"
    case duplicateTime = "time occurs twice"
    case notPositive = "price is zero or below"
    case negativeVolume = "volume is below zero"
    case highBelowLow = "high is below low"
    case outsideRange = "open or close is outside low...high"
    case crossed = "bid is above ask"
    case suspicious = "marked suspicious by the source"
    case lineTooLong = "line is longer than 64 KB"
    case badSide = "side is neither buy nor sell"
    case duplicateId = "trade id occurs twice"
}

public struct BadRow: Equatable, Sendable, CustomStringConvertible {
    public var file: String
    public var line: Int
    public var problem: RowProblem
    public var detail: String

    public var description: String { "\(file):\(line): \(problem.rawValue)" + (detail.isEmpty ? "" : " (\(detail))") }
}
