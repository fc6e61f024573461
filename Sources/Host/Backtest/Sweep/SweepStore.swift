import HostLedger
import PluginKit

/// What a sweep found so far, in a SQLite file: stopped sweeps go on where they were, and people may query it.
public final class SweepStore {
    public struct Row: Sendable, Equatable {
        public var variant: String
        /// 0: the whole range; n: the n-th training part; -n: the n-th test part.
        public var part: Int
        public var error: String?
        public var equity = 0.0
        public var netReturn: Double?
        public var sharpe: Double?
        public var sharpePerPeriod: Double?
        public var sortino: Double?
        public var calmar: Double?
        public var maxDrawdown = 0.0
        public var profitFactor: Double?
        public var sqn: Double?
        public var trades = 0
        public var winRate: Double?
        public var fees = 0.0
        public var skew: Double?
        public var kurtosis: Double?
        public var periods = 0
        public var seconds = 0.0

        public init(variant: String, part: Int) {
            self.variant = variant
            self.part = part
        }

        public init(variant: String, part: Int, _ result: BacktestResult) {
            self.init(variant: variant, part: part)
            let f = Figures(result)
            equity = result.equity.double
            netReturn = f.totalReturn
            sharpe = f.sharpe
            sharpePerPeriod = f.sharpePerPeriod
            sortino = f.sortino
            calmar = f.calmar
            maxDrawdown = f.maxDrawdown
            profitFactor = f.profitFactor
            sqn = f.sqn
            trades = f.trades
            winRate = f.winRate
            fees = f.fees
            skew = f.skew
            kurtosis = f.kurtosis
            periods = f.periods
            seconds = result.engineSeconds
        }
    }

    private let database: Database

    /// `fingerprint`: of the manifest, tapes and range. A file of another sweep is refused rather than mixed with this one.
    public init(_ path: String, fingerprint: String) throws {
        database = try Database(path: path, mode: .readWrite)
        try database.execute("PRAGMA synchronous = NORMAL")
        try database.execute("CREATE TABLE IF NOT EXISTS sweep (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        try database.execute(
            """
            CREATE TABLE IF NOT EXISTS run (variant TEXT NOT NULL, part INTEGER NOT NULL, error TEXT, equity REAL, net_return REAL, sharpe REAL,
            sharpe_per_period REAL, sortino REAL, calmar REAL, max_drawdown REAL, profit_factor REAL, sqn REAL, trades INTEGER, win_rate REAL,
            fees REAL, skew REAL, kurtosis REAL, periods INTEGER, seconds REAL, PRIMARY KEY (variant, part)) WITHOUT ROWID
            """)
        if let known = try database.text("SELECT value FROM sweep WHERE key = 'fingerprint'") {
            if known != fingerprint { throw SweepError.otherSweep(path: path) }
        } else {
            try database.run("INSERT INTO sweep VALUES ('fingerprint', ?)", .text(fingerprint))
            try database.run("INSERT INTO sweep VALUES ('format', 'keel.sweep/1')")
        }
    }

    public func add(_ row: Row) throws {
        func real(_ value: Double?) -> SQLValue { value.map { SQLValue($0) } ?? .null }
        try database.run(
            "INSERT OR REPLACE INTO run VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", .text(row.variant), SQLValue(row.part), SQLValue(row.error), real(row.equity),
            real(row.netReturn), real(row.sharpe), real(row.sharpePerPeriod), real(row.sortino), real(row.calmar), real(row.maxDrawdown), real(row.profitFactor),
            real(row.sqn), SQLValue(row.trades), real(row.winRate), real(row.fees), real(row.skew), real(row.kurtosis), SQLValue(row.periods), real(row.seconds))
    }

    public func rows() throws -> [Row] {
        try database.rows("SELECT * FROM run ORDER BY part, variant") { s throws(SQLiteError) in
            var row = Row(variant: try s.text(0), part: try s.whole(1))
            row.error = s.optionalText(2)
            row.equity = s.optionalReal(3) ?? 0
            row.netReturn = s.optionalReal(4)
            row.sharpe = s.optionalReal(5)
            row.sharpePerPeriod = s.optionalReal(6)
            row.sortino = s.optionalReal(7)
            row.calmar = s.optionalReal(8)
            row.maxDrawdown = s.optionalReal(9) ?? 0
            row.profitFactor = s.optionalReal(10)
            row.sqn = s.optionalReal(11)
            row.trades = try s.whole(12)
            row.winRate = s.optionalReal(13)
            row.fees = s.optionalReal(14) ?? 0
            row.skew = s.optionalReal(15)
            row.kurtosis = s.optionalReal(16)
            row.periods = try s.whole(17)
            row.seconds = s.optionalReal(18) ?? 0
            return row
        }
    }
}

public enum SweepError: Error, Equatable, Sendable, CustomStringConvertible {
    case otherSweep(path: String)
    case unknownMetric(String)
    case nothingLeft

    public var description: String {
        switch self {
        case .otherSweep(let path): "\(path) holds another sweep (other manifest, tapes or range): name another file with --db, or remove it"
        case .unknownMetric(let name): "there is no metric \"\(name)\"; there are: \(SweepMetric.allCases.map(\.rawValue).joined(separator: ", "))"
        case .nothingLeft: "no variant could be run"
        }
    }
}

/// What variants are ranked by: more is better.
public enum SweepMetric: String, Sendable, CaseIterable {
    case sharpe, sortino, calmar, `return`, drawdown, profit_factor, sqn

    public func value(_ row: SweepStore.Row) -> Double? {
        switch self {
        case .sharpe: row.sharpe
        case .sortino: row.sortino
        case .calmar: row.calmar
        case .return: row.netReturn
        case .drawdown: row.maxDrawdown
        case .profit_factor: row.profitFactor
        case .sqn: row.sqn
        }
    }
}
