/// The ledger's tables, version by version. docs/ledger.md describes each table and column.
///
/// Conventions: times are INTEGER nanoseconds since 1970 UTC (0: none). Prices, order quantities and ratios are INTEGER steps of 1e-8: exact
/// and sortable. Amounts (positions, cash, fees, costs) are TEXT decimals: exact at any size, readable as they stand.
/// Names, not numbers, say which pipeline, instrument or plugin a row is about: numbers are only good for one run.
enum LedgerSchema {
    static let applicationID: Int64 = 0x4B45_454C  // "KEEL"

    /// migrations[n] takes a ledger of version n to version n + 1; the first makes a new one.
    static let migrations = [version1, version2]

    /// The tables that say where everything stands: small, and read whole at every start.
    static let leanedOn = ["runs", "progress", "positions", "balances", "state"]

    static var version: Int64 { Int64(migrations.count) }
}
