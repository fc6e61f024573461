/// Looks a ledger over without changing it, also while a host writes it.
public enum LedgerCheck {
    /// What is wrong with the file, its tables and what its rows say of each other; empty: nothing.
    public static func findings(path: String) throws(LedgerRefusal) -> [String] {
        let reader = try LedgerReader(path: path)
        do {
            try reader.database.check(whole: true)
            return try reader.database.disagreements(try reader.database.stateRows(), since: 0)
        } catch {
            throw LedgerRefusal(error, path: path)
        }
    }
}
