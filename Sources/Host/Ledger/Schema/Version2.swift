extension LedgerSchema {
    /// Version 2: the price a decision saw, calls that were saved, and the journal of outcomes.
    static let version2 = """
        ALTER TABLE decisions ADD COLUMN price INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE gates ADD COLUMN reused INTEGER NOT NULL DEFAULT 0;

        -- What became of the decisions that opened positions: the market they were made in, the signals they named, the profit after fees.
        CREATE TABLE outcomes (
            id         INTEGER PRIMARY KEY,
            run        INTEGER NOT NULL REFERENCES runs (run),
            step       INTEGER NOT NULL,
            time       INTEGER NOT NULL,
            pipeline   TEXT NOT NULL,
            symbol     TEXT NOT NULL,
            position   INTEGER NOT NULL,
            decision   INTEGER NOT NULL,
            decider    TEXT NOT NULL,
            side       TEXT NOT NULL,
            opened     INTEGER NOT NULL,
            why        TEXT NOT NULL,
            profit     TEXT NOT NULL,
            ratio      INTEGER NOT NULL,
            regime     TEXT NOT NULL,
            macro      TEXT NOT NULL,
            volatility TEXT NOT NULL,
            signals    TEXT NOT NULL
        ) STRICT;
        CREATE INDEX outcomes_by_situation ON outcomes (regime, volatility, symbol);
        CREATE INDEX outcomes_by_decision ON outcomes (pipeline, decision);
        CREATE VIEW v_outcomes AS
            SELECT id, run, strftime('%Y-%m-%dT%H:%M:%fZ', time / 1e9, 'unixepoch') AS time, pipeline, symbol, decider, decision, side, regime, macro, volatility, why,
                   CAST(profit AS REAL) AS profit, ratio / 1e6 AS percent, (time - opened) / 1e9 AS held_seconds, signals
            FROM outcomes ORDER BY id DESC;
        """
}
