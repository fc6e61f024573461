/// What an import did, and everything that was wrong with its input.
public struct ImportReport: Sendable {
    public struct Gap: Equatable, Sendable {
        public var symbol: String
        public var file: String
        public var line: Int
        public var from: Int64
        public var to: Int64
        /// Bars that should stand between; 0 when the distance is no multiple of the bar.
        public var missing: Int64
    }

    public struct File: Sendable {
        public var name: String
        public var rows: Int
        public var decided: [String]
    }

    public var files: [File] = []
    public var rows = 0
    public var good = 0
    public var bad = 0
    public var blank = 0
    public var outsideRange = 0
    public var counts: [RowProblem: Int] = [:]
    /// The first bad rows, in the order they stand in the files.
    public var listed: [BadRow] = []
    /// Values with more than eight decimals, rounded, and where the first one is.
    public var rounded = 0
    public var firstRounded: String?
    public var gaps = 0
    public var missingBars: Int64 = 0
    public var largestGaps: [Gap] = []
    /// Trade ids that are missing between consecutive rows.
    public var missingIds: UInt64 = 0
    public var instruments: [String] = []
    public var first: Int64?
    public var last: Int64?
    public var sorted = 0
    public var notes: [String] = []

    public init() {}

    mutating func add(bad row: BadRow, limit: Int) {
        bad += 1
        counts[row.problem, default: 0] += 1
        if listed.count < limit { listed.append(row) }
    }

    mutating func add(gap: Gap) {
        gaps += 1
        missingBars += gap.missing
        largestGaps.append(gap)
        if largestGaps.count > 64 { trimGaps() }
    }

    mutating func trimGaps() {
        largestGaps.sort { ($0.to - $0.from, $1.from) > ($1.to - $1.from, $0.from) }
        largestGaps = Array(largestGaps.prefix(5))
    }
}
