extension LedgerSchema {
    /// Version 1. Frozen once released: changes are further migrations.
    static let version1 = """
        -- One row a process start. A restart in place is a new run.
        CREATE TABLE runs (
            run           INTEGER PRIMARY KEY,
            started       INTEGER NOT NULL,
            ended         INTEGER,
            how           TEXT,
            mode          TEXT NOT NULL,
            pid           INTEGER NOT NULL,
            keel          TEXT NOT NULL,
            manifest      TEXT NOT NULL,
            manifest_hash TEXT NOT NULL,
            config        TEXT NOT NULL,
            seed          TEXT NOT NULL,
            journal       TEXT NOT NULL
        ) STRICT;

        CREATE TABLE run_plugins (
            run       INTEGER NOT NULL REFERENCES runs (run),
            port      INTEGER NOT NULL,
            name      TEXT NOT NULL,
            component TEXT NOT NULL,
            version   TEXT NOT NULL,
            file      TEXT NOT NULL,
            sha256    TEXT NOT NULL,
            roles     TEXT NOT NULL,
            isolation TEXT NOT NULL,
            PRIMARY KEY (run, port)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE run_pipelines (
            run      INTEGER NOT NULL REFERENCES runs (run),
            pipeline INTEGER NOT NULL,
            name     TEXT NOT NULL,
            broker   TEXT NOT NULL,
            router   TEXT NOT NULL,
            deciders TEXT NOT NULL,
            PRIMARY KEY (run, pipeline)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE run_instruments (
            run        INTEGER NOT NULL REFERENCES runs (run),
            instrument INTEGER NOT NULL,
            symbol     TEXT NOT NULL,
            kind       TEXT NOT NULL,
            base       TEXT NOT NULL,
            quote      TEXT NOT NULL,
            tick       INTEGER NOT NULL,
            lot        INTEGER NOT NULL,
            multiplier INTEGER NOT NULL,
            PRIMARY KEY (run, instrument)
        ) STRICT, WITHOUT ROWID;

        -- How far each run's records have come. Written in the same transaction as the records.
        CREATE TABLE progress (
            run     INTEGER PRIMARY KEY REFERENCES runs (run),
            step    INTEGER NOT NULL,
            time    INTEGER NOT NULL,
            journal INTEGER NOT NULL,
            effects INTEGER NOT NULL,
            hash    TEXT NOT NULL
        ) STRICT;

        CREATE TABLE run_changes (
            id     INTEGER PRIMARY KEY,
            run    INTEGER NOT NULL REFERENCES runs (run),
            step   INTEGER NOT NULL,
            time   INTEGER NOT NULL,
            change TEXT NOT NULL
        ) STRICT;

        CREATE TABLE decisions (
            id               INTEGER PRIMARY KEY,
            run              INTEGER NOT NULL REFERENCES runs (run),
            step             INTEGER NOT NULL,
            time             INTEGER NOT NULL,
            pipeline         TEXT NOT NULL,
            symbol           TEXT NOT NULL,
            sequence         INTEGER NOT NULL,
            decider          TEXT NOT NULL,
            request          INTEGER NOT NULL,
            asked            INTEGER NOT NULL,
            snapshot         TEXT NOT NULL,
            purpose          TEXT NOT NULL,
            gate             TEXT NOT NULL,
            action           TEXT NOT NULL,
            fraction         INTEGER NOT NULL,
            quantity         INTEGER NOT NULL,
            confidence       INTEGER NOT NULL,
            exit_probability INTEGER NOT NULL,
            next_check       INTEGER NOT NULL,
            valid_until      INTEGER NOT NULL,
            cost             TEXT NOT NULL,
            tokens_in        INTEGER NOT NULL,
            tokens_cached    INTEGER NOT NULL,
            tokens_out       INTEGER NOT NULL,
            from_record      INTEGER NOT NULL,
            outcome          TEXT NOT NULL,
            order_id         TEXT,
            reason           TEXT NOT NULL,
            memory           TEXT NOT NULL,
            model            TEXT NOT NULL,
            signals          TEXT NOT NULL,
            wakes            TEXT NOT NULL
        ) STRICT;
        CREATE INDEX decisions_by_sequence ON decisions (run, pipeline, sequence);
        CREATE INDEX decisions_by_order ON decisions (order_id) WHERE order_id IS NOT NULL;

        CREATE TABLE snapshots (
            hash     TEXT PRIMARY KEY,
            run      INTEGER NOT NULL REFERENCES runs (run),
            step     INTEGER NOT NULL,
            time     INTEGER NOT NULL,
            pipeline TEXT NOT NULL,
            symbol   TEXT NOT NULL,
            sequence INTEGER NOT NULL,
            bytes    BLOB
        ) STRICT;
        CREATE INDEX snapshots_with_bytes ON snapshots (run, step) WHERE bytes IS NOT NULL;

        -- An order about to leave. Never changed: what became of it is in orders.
        CREATE TABLE intents (
            order_id  TEXT PRIMARY KEY,
            run       INTEGER NOT NULL REFERENCES runs (run),
            step      INTEGER NOT NULL,
            time      INTEGER NOT NULL,
            pipeline  TEXT NOT NULL,
            symbol    TEXT NOT NULL,
            broker    TEXT NOT NULL,
            replaces  TEXT,
            role      TEXT NOT NULL,
            side      TEXT NOT NULL,
            kind      TEXT NOT NULL,
            features  INTEGER NOT NULL,
            quantity  INTEGER NOT NULL,
            limit_price   INTEGER NOT NULL,
            trigger_price INTEGER NOT NULL,
            not_after INTEGER NOT NULL,
            decision  INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX intents_by_decision ON intents (run, pipeline, decision);
        CREATE INDEX intents_by_time ON intents (time);

        CREATE TABLE orders (
            order_id  TEXT PRIMARY KEY,
            run       INTEGER NOT NULL,
            step      INTEGER NOT NULL,
            pipeline  TEXT NOT NULL,
            symbol    TEXT NOT NULL,
            broker    TEXT NOT NULL,
            role      TEXT NOT NULL,
            status    TEXT NOT NULL,
            settled   INTEGER NOT NULL,
            side      TEXT NOT NULL,
            kind      TEXT NOT NULL,
            features  INTEGER NOT NULL,
            quantity  INTEGER NOT NULL,
            limit_price   INTEGER NOT NULL,
            trigger_price INTEGER NOT NULL,
            why       TEXT,
            decision  INTEGER NOT NULL,
            created   INTEGER NOT NULL,
            sent      INTEGER NOT NULL,
            changed   INTEGER NOT NULL,
            filled    INTEGER NOT NULL,
            reported  INTEGER NOT NULL,
            notional  TEXT NOT NULL,
            fees      TEXT NOT NULL,
            cancel_requested INTEGER NOT NULL,
            inferred  INTEGER NOT NULL,
            missing   INTEGER NOT NULL,
            request   INTEGER NOT NULL,
            vendor_code INTEGER NOT NULL,
            venue_id  TEXT NOT NULL,
            message   TEXT NOT NULL
        ) STRICT;
        CREATE INDEX orders_open ON orders (pipeline, symbol) WHERE settled = 0;
        CREATE INDEX orders_by_change ON orders (changed);

        -- Every change of an order, in order.
        CREATE TABLE order_changes (
            id        INTEGER PRIMARY KEY,
            run       INTEGER NOT NULL REFERENCES runs (run),
            step      INTEGER NOT NULL,
            time      INTEGER NOT NULL,
            order_id  TEXT NOT NULL,
            before    TEXT NOT NULL,
            status    TEXT NOT NULL,
            filled    INTEGER NOT NULL,
            reported  INTEGER NOT NULL,
            vendor_code INTEGER NOT NULL,
            venue_id  TEXT NOT NULL,
            message   TEXT NOT NULL
        ) STRICT;
        CREATE INDEX order_changes_by_order ON order_changes (order_id);

        CREATE TABLE fills (
            id        INTEGER PRIMARY KEY,
            run       INTEGER NOT NULL REFERENCES runs (run),
            step      INTEGER NOT NULL,
            time      INTEGER NOT NULL,
            at_venue  INTEGER NOT NULL,
            pipeline  TEXT NOT NULL,
            symbol    TEXT NOT NULL,
            broker    TEXT NOT NULL,
            order_id  TEXT NOT NULL,
            side      TEXT NOT NULL,
            quantity  INTEGER NOT NULL,
            price     INTEGER NOT NULL,
            fee       TEXT NOT NULL,
            fee_asset TEXT NOT NULL,
            liquidity TEXT NOT NULL,
            profit    TEXT NOT NULL,
            fill_key  TEXT NOT NULL,
            fill_id   TEXT NOT NULL,
            venue_id  TEXT NOT NULL,
            UNIQUE (broker, symbol, fill_key)
        ) STRICT;
        CREATE INDEX fills_by_order ON fills (order_id);
        CREATE INDEX fills_by_time ON fills (time);

        -- Where each position stands.
        CREATE TABLE positions (
            pipeline TEXT NOT NULL,
            symbol   TEXT NOT NULL,
            run      INTEGER NOT NULL REFERENCES runs (run),
            step     INTEGER NOT NULL,
            time     INTEGER NOT NULL,
            quantity TEXT NOT NULL,
            entry    INTEGER NOT NULL,
            cash     TEXT NOT NULL,
            equity   TEXT NOT NULL,
            realised TEXT NOT NULL,
            fees     TEXT NOT NULL,
            PRIMARY KEY (pipeline, symbol)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE position_changes (
            id       INTEGER PRIMARY KEY,
            run      INTEGER NOT NULL REFERENCES runs (run),
            step     INTEGER NOT NULL,
            time     INTEGER NOT NULL,
            pipeline TEXT NOT NULL,
            symbol   TEXT NOT NULL,
            quantity TEXT NOT NULL,
            entry    INTEGER NOT NULL,
            cash     TEXT NOT NULL,
            equity   TEXT NOT NULL,
            realised TEXT NOT NULL,
            fees     TEXT NOT NULL
        ) STRICT;
        CREATE INDEX position_changes_by_time ON position_changes (pipeline, time);

        CREATE TABLE balances (
            broker    TEXT NOT NULL,
            asset     TEXT NOT NULL,
            run       INTEGER NOT NULL REFERENCES runs (run),
            step      INTEGER NOT NULL,
            time      INTEGER NOT NULL,
            total     TEXT NOT NULL,
            available TEXT NOT NULL,
            PRIMARY KEY (broker, asset)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE balance_changes (
            id        INTEGER PRIMARY KEY,
            run       INTEGER NOT NULL REFERENCES runs (run),
            step      INTEGER NOT NULL,
            time      INTEGER NOT NULL,
            broker    TEXT NOT NULL,
            asset     TEXT NOT NULL,
            total     TEXT NOT NULL,
            available TEXT NOT NULL
        ) STRICT;

        CREATE TABLE funding (
            id       INTEGER PRIMARY KEY,
            run      INTEGER NOT NULL REFERENCES runs (run),
            step     INTEGER NOT NULL,
            time     INTEGER NOT NULL,
            pipeline TEXT NOT NULL,
            symbol   TEXT NOT NULL,
            amount   TEXT NOT NULL,
            rate     INTEGER NOT NULL,
            asset    TEXT NOT NULL,
            payment  TEXT NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX funding_once ON funding (pipeline, symbol, payment) WHERE payment <> '';

        CREATE TABLE exits (
            id       INTEGER PRIMARY KEY,
            run      INTEGER NOT NULL REFERENCES runs (run),
            step     INTEGER NOT NULL,
            time     INTEGER NOT NULL,
            pipeline TEXT NOT NULL,
            symbol   TEXT NOT NULL,
            position INTEGER NOT NULL,
            why      TEXT NOT NULL,
            whole    INTEGER NOT NULL,
            order_id TEXT,
            quantity TEXT NOT NULL,
            entry    INTEGER NOT NULL,
            price    INTEGER NOT NULL,
            profit   TEXT NOT NULL,
            opened   INTEGER NOT NULL,
            level    INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX exits_by_position ON exits (pipeline, symbol, position);
        CREATE INDEX exits_by_order ON exits (order_id) WHERE order_id IS NOT NULL;

        CREATE TABLE refusals (
            id       INTEGER PRIMARY KEY,
            run      INTEGER NOT NULL REFERENCES runs (run),
            step     INTEGER NOT NULL,
            time     INTEGER NOT NULL,
            pipeline TEXT NOT NULL,
            symbol   TEXT NOT NULL,
            rule     TEXT NOT NULL,
            value    TEXT NOT NULL,
            bound    TEXT NOT NULL,
            unit     TEXT NOT NULL,
            decision INTEGER NOT NULL,
            order_id TEXT,
            detail   TEXT NOT NULL
        ) STRICT;
        CREATE INDEX refusals_by_decision ON refusals (run, pipeline, decision);
        CREATE INDEX refusals_by_order ON refusals (order_id) WHERE order_id IS NOT NULL;

        CREATE TABLE breakers (
            id       INTEGER PRIMARY KEY,
            run      INTEGER NOT NULL REFERENCES runs (run),
            step     INTEGER NOT NULL,
            time     INTEGER NOT NULL,
            pipeline TEXT NOT NULL,
            breaker  TEXT NOT NULL,
            decider  TEXT NOT NULL,
            open     INTEGER NOT NULL,
            until    INTEGER NOT NULL,
            value    TEXT NOT NULL,
            bound    TEXT NOT NULL,
            unit     TEXT NOT NULL
        ) STRICT;

        CREATE TABLE takeovers (
            id           INTEGER PRIMARY KEY,
            run          INTEGER NOT NULL REFERENCES runs (run),
            step         INTEGER NOT NULL,
            time         INTEGER NOT NULL,
            pipeline     TEXT NOT NULL,
            symbol       TEXT NOT NULL,
            from_decider TEXT NOT NULL,
            to_decider   TEXT NOT NULL,
            why          TEXT NOT NULL,
            status       INTEGER NOT NULL,
            detail       TEXT NOT NULL
        ) STRICT;

        CREATE TABLE routing (
            id       INTEGER PRIMARY KEY,
            run      INTEGER NOT NULL REFERENCES runs (run),
            step     INTEGER NOT NULL,
            time     INTEGER NOT NULL,
            pipeline TEXT NOT NULL,
            symbol   TEXT NOT NULL,
            router   TEXT NOT NULL,
            what     TEXT NOT NULL,
            order_id TEXT NOT NULL,
            parent   TEXT NOT NULL,
            quantity INTEGER NOT NULL,
            limit_price INTEGER NOT NULL,
            status   INTEGER NOT NULL,
            detail   TEXT NOT NULL
        ) STRICT;
        CREATE INDEX routing_by_parent ON routing (parent);

        -- What the gate let through since the start of each run; overwritten as it counts.
        CREATE TABLE gates (
            run      INTEGER NOT NULL REFERENCES runs (run),
            pipeline TEXT NOT NULL,
            symbol   TEXT NOT NULL,
            step     INTEGER NOT NULL,
            time     INTEGER NOT NULL,
            events   INTEGER NOT NULL,
            passed   INTEGER NOT NULL,
            timer_passes INTEGER NOT NULL,
            candle   INTEGER NOT NULL,
            timer    INTEGER NOT NULL,
            price_z  INTEGER NOT NULL,
            volume_z INTEGER NOT NULL,
            wake     INTEGER NOT NULL,
            asked    INTEGER NOT NULL,
            review   INTEGER NOT NULL,
            watchdog INTEGER NOT NULL,
            busy     INTEGER NOT NULL,
            blocked  INTEGER NOT NULL,
            stale    INTEGER NOT NULL,
            PRIMARY KEY (run, pipeline, symbol)
        ) STRICT, WITHOUT ROWID;

        -- Orders, fills and positions at a venue that this host did not make.
        CREATE TABLE externals (
            id       INTEGER PRIMARY KEY,
            run      INTEGER NOT NULL REFERENCES runs (run),
            step     INTEGER NOT NULL,
            time     INTEGER NOT NULL,
            broker   TEXT NOT NULL,
            symbol   TEXT NOT NULL,
            kind     TEXT NOT NULL,
            order_id TEXT,
            side     TEXT NOT NULL,
            quantity TEXT NOT NULL,
            price    INTEGER NOT NULL,
            state    TEXT NOT NULL,
            venue_id TEXT NOT NULL
        ) STRICT;

        CREATE TABLE links (
            id      INTEGER PRIMARY KEY,
            run     INTEGER NOT NULL REFERENCES runs (run),
            step    INTEGER NOT NULL,
            time    INTEGER NOT NULL,
            plugin  TEXT NOT NULL,
            state   TEXT NOT NULL,
            why     INTEGER NOT NULL,
            name    TEXT NOT NULL,
            message TEXT NOT NULL
        ) STRICT;

        CREATE TABLE sessions (
            id          INTEGER PRIMARY KEY,
            run         INTEGER NOT NULL REFERENCES runs (run),
            step        INTEGER NOT NULL,
            time        INTEGER NOT NULL,
            plugin      TEXT NOT NULL,
            symbol      TEXT NOT NULL,
            state       TEXT NOT NULL,
            next_change INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE agreements (
            id          INTEGER PRIMARY KEY,
            run         INTEGER NOT NULL REFERENCES runs (run),
            step        INTEGER NOT NULL,
            time        INTEGER NOT NULL,
            broker      TEXT NOT NULL,
            agreed      INTEGER NOT NULL,
            differences TEXT NOT NULL
        ) STRICT;

        CREATE TABLE alerts (
            id       INTEGER PRIMARY KEY,
            run      INTEGER NOT NULL REFERENCES runs (run),
            step     INTEGER NOT NULL,
            time     INTEGER NOT NULL,
            severity TEXT NOT NULL,
            kind     TEXT NOT NULL,
            pipeline TEXT NOT NULL,
            symbol   TEXT NOT NULL,
            text     TEXT NOT NULL
        ) STRICT;
        CREATE INDEX alerts_by_time ON alerts (time);

        -- What a restart needs beyond orders and fills: one row a pipeline, instrument and broker, and the learner.
        CREATE TABLE state (
            key   TEXT PRIMARY KEY,
            run   INTEGER NOT NULL REFERENCES runs (run),
            step  INTEGER NOT NULL,
            kind  TEXT NOT NULL,
            version INTEGER NOT NULL,
            value BLOB NOT NULL
        ) STRICT, WITHOUT ROWID;

        -- For people: prices and quantities as decimals, times as text, newest first.
        CREATE VIEW v_orders AS
            SELECT order_id, run, strftime('%Y-%m-%dT%H:%M:%fZ', changed / 1e9, 'unixepoch') AS changed, pipeline, symbol, broker, role, side, kind,
                   quantity / 1e8 AS quantity, nullif(limit_price, 0) / 1e8 AS limit_price, nullif(trigger_price, 0) / 1e8 AS trigger_price,
                   status, filled / 1e8 AS filled, CASE WHEN filled > 0 THEN CAST(notional AS REAL) / (filled / 1e8) END AS average,
                   CAST(fees AS REAL) AS fees, why, message
            FROM orders ORDER BY orders.changed DESC;
        CREATE VIEW v_fills AS
            SELECT id, run, strftime('%Y-%m-%dT%H:%M:%fZ', time / 1e9, 'unixepoch') AS time, pipeline, symbol, broker, order_id, side,
                   quantity / 1e8 AS quantity, price / 1e8 AS price, CAST(fee AS REAL) AS fee, fee_asset, CAST(profit AS REAL) AS profit, fill_id
            FROM fills ORDER BY id DESC;
        CREATE VIEW v_decisions AS
            SELECT id, run, strftime('%Y-%m-%dT%H:%M:%fZ', time / 1e9, 'unixepoch') AS time, pipeline, symbol, sequence, decider, purpose, gate, action,
                   fraction / 1e8 AS fraction, confidence / 1e8 AS confidence, outcome, order_id, CAST(cost AS REAL) AS cost, (time - asked) / 1e6 AS took_ms, reason
            FROM decisions ORDER BY id DESC;
        CREATE VIEW v_exits AS
            SELECT id, run, strftime('%Y-%m-%dT%H:%M:%fZ', time / 1e9, 'unixepoch') AS time, pipeline, symbol, position, why, whole, order_id,
                   CAST(quantity AS REAL) AS quantity, entry / 1e8 AS entry, price / 1e8 AS price, CAST(profit AS REAL) AS profit, (time - opened) / 1e9 AS held_seconds
            FROM exits ORDER BY id DESC;
        """
}
