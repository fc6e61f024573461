import Glibc
import HostCore

/// Takes the engine's records and makes them rows: the ledger side of an `Outlet`. One thread: the engine's.
///
///     record, record, boundary      one step of the engine: stored together or not at all
///     barrier                       everything so far is on the disk, journal first: an order may leave
///     flush                         everything so far is safe from a kill of this process (not from a power cut)
///
/// Steps wait in memory until `flush`, `barrier` or `Options.most`. When the disk refuses they go on waiting, in order, and
/// go out once it takes them; each step is written exactly once, whatever happened in between.
public final class LedgerWriter {
    public struct Options: Sendable {
        /// Waiting records that make a boundary flush by itself.
        public var most = 64
        /// Records that may wait while the disk refuses; beyond that the host must stop.
        public var limit = 200_000
        /// Snapshots kept with their bytes; of older ones only the hash stays (the journal still has what made them).
        public var snapshots: Int64 = 5_000
        public init() {}
    }

    /// What it did and what that cost, for `keel status` and metrics.
    public struct Figures: Sendable, Equatable {
        public var records: UInt64 = 0
        public var commits: UInt64 = 0
        public var barriers: UInt64 = 0
        public var failures: UInt64 = 0
        /// Nanoseconds of the last barrier and of all of them.
        public var lastBarrier: Int64 = 0
        public var allBarriers: Int64 = 0
        public var longestBarrier: Int64 = 0
        public var duplicateFills: Int = 0
    }

    public let run: UInt32
    public private(set) var figures = Figures()
    /// What the disk last refused; nil while all is well. Stays set while the reserve is in use: entries must halt then too.
    public private(set) var failure: LedgerFailure? {
        didSet { if failure != oldValue { onChange?(failure) } }
    }
    /// Called when `failure` changes, on the engine's thread, inside one of the calls below: raise the alert, close the gate; nil: open it.
    public var onChange: ((LedgerFailure?) -> Void)?
    /// The disk is full and the reserve has been given up.
    public var isOnReserve: Bool { !ledger.reserve.isHeld && givenUp }

    private let ledger: Ledger
    private let journal: JournalWriter?
    private let options: Options
    private var rows: RecordRows
    private var pending: [(step: UInt64, record: LedgerRecord)] = []
    private var step: UInt64 = 0
    private var committed: UInt64 = 0
    private var latestTime: Int64
    private var givenUp = false
    private var sinceCheckpoint = 0
    private var sinceTrim = 0
    private var isDurable = true

    public init(_ ledger: Ledger, names: RunNames, run: UInt32, started: Int64, journal: JournalWriter? = nil, options: Options = Options()) {
        self.ledger = ledger
        self.run = run
        self.journal = journal
        self.options = options
        latestTime = started
        rows = RecordRows(ledger.database, names: names, run: run)
        if ledger.reserve.size > 0, !ledger.reserve.isHeld {
            givenUp = true
            failure = .full(path: ledger.path)
        }
    }

    public func record(_ record: LedgerRecord) {
        pending.append((step &+ 1, record))
        figures.records &+= 1
    }

    /// All records since the last boundary are one step.
    public func boundary() {
        guard pending.last?.step == step &+ 1 else { return }
        step &+= 1
        if pending.count >= options.most, failure == nil { flush() }
    }

    /// Everything recorded so far is on the disk when this returns true, and there is room for more. False: entries must halt,
    /// `failure` says why; with `isOnReserve` everything recorded is on the disk nevertheless, in the last room there is.
    public func barrier() -> Bool {
        let began = monotonic()
        let ok = save(durable: true) && failure == nil
        let took = monotonic() - began
        figures.barriers &+= 1
        figures.lastBarrier = took
        figures.allBarriers &+= took
        figures.longestBarrier = max(figures.longestBarrier, took)
        return ok
    }

    /// Everything recorded so far is out of this process when this returns true. Call it when the engine has nothing to do.
    @discardableResult
    public func flush() -> Bool { save(durable: false) }

    /// Tries to get the reserve back and to write what waits. Call it every second or so, and it costs nothing while all is well.
    public func maintain() {
        journal?.flush()
        if givenUp, ledger.reserve.retake() { givenUp = false }
        if failure != nil || !pending.isEmpty { save(durable: false) }
    }

    /// Records that are not in the file yet.
    public var waiting: Int { pending.count }

    // MARK: Writing

    @discardableResult
    private func save(durable: Bool) -> Bool {
        if let failure, !failure.isRecoverable { return false }
        // What was recorded since the last boundary goes too: an intent can't wait for the end of its step.
        if pending.last?.step == step &+ 1 { step &+= 1 }
        do throws(LedgerFailure) {
            if durable {
                // Both files' work at once: the order leaves when both are done. What the journal has is out of this process first,
                // so a kill never leaves the ledger ahead of it. A journal that fails doesn't keep the ledger from its part.
                var failed: LedgerFailure?
                var sync: JournalWriter.Sync?
                do throws(LedgerFailure) { sync = try startJournal() } catch { failed = error }
                do throws(LedgerFailure) { try commitWithReserve(durable: true) } catch { failed = error }
                try journal?.finish(sync)
                if let failed { throw failed }
            } else {
                journal?.flush()
                try commitWithReserve(durable: false)
            }
        } catch {
            figures.failures &+= 1
            compact()
            failure = pending.count > options.limit ? .overflowing(path: ledger.path, waiting: pending.count) : error
            return false
        }
        failure = givenUp ? .full(path: ledger.path) : journal?.failure
        return true
    }

    private func startJournal() throws(LedgerFailure) -> JournalWriter.Sync? {
        do throws(LedgerFailure) {
            return try journal?.startSync(beside: !pending.isEmpty)
        } catch {
            guard case .full = error, ledger.reserve.release() else { throw error }
            givenUp = true
            return try journal?.startSync(beside: !pending.isEmpty)
        }
    }

    private func commitWithReserve(durable: Bool) throws(LedgerFailure) {
        do throws(SQLiteError) {
            try commit(durable: durable)
        } catch {
            guard case .full = error, ledger.reserve.release() else { throw LedgerFailure(error) }
            givenUp = true
            do throws(SQLiteError) { try commit(durable: durable) } catch { throw LedgerFailure(error) }
        }
    }

    private func commit(durable: Bool) throws(SQLiteError) {
        if pending.isEmpty {
            // Nothing new, but the last commit may not have reached the disk.
            if durable, !isDurable { try transact(durable: true) }
            return
        }
        try transact(durable: durable)
        pending.removeAll(keepingCapacity: true)
        sinceCheckpoint += 1
        if sinceCheckpoint >= 200 {
            sinceCheckpoint = 0
            ledger.checkpointer.request()
        }
    }

    private func transact(durable: Bool) throws(SQLiteError) {
        let database = ledger.database
        // A commit whose answer was an error may still have happened.
        if figures.failures > 0, let there = try database.integer("SELECT step FROM progress WHERE run = ?", .init(run)), there > Int64(bitPattern: committed) {
            committed = UInt64(bitPattern: there)
        }
        let write = ledger.kill.begin()
        try database.setSynchronous(durable ? .full : .normal)
        let before = rows
        do throws(SQLiteError) {
            try database.transaction { () throws(SQLiteError) in
                try writePending()
                try database.run(
                    "UPDATE progress SET step = ?, time = max(time, ?), journal = ?, effects = ?, hash = ? WHERE run = ?", .init(bits: step),
                    .integer(latestTime), .init(bits: journal?.sequence ?? 0), .init(bits: journal?.trace.count ?? 0),
                    .text(String(journal?.trace.hash ?? 0, radix: 16)), .init(run))
                if sinceTrim >= 256 { try trimSnapshots() }
            }
        } catch {
            rows = before
            throw error
        }
        committed = step
        isDurable = durable
        if sinceTrim >= 256 { sinceTrim = 0 }
        figures.commits &+= 1
        figures.duplicateFills = rows.duplicateFills
        ledger.kill.reach(.after, write)
    }

    private func writePending() throws(SQLiteError) {
        let latest = latestState()
        for (index, (step, record)) in pending.enumerated() where step > committed {
            // Of several states of one thing only the last is true.
            if case .state(let row) = record, latest[row.key] != index { continue }
            if case .snapshot = record { sinceTrim += 1 }
            try rows.write(record, step: step)
            if let time = record.time { latestTime = max(latestTime, time) }
        }
    }

    private func latestState() -> [String: Int] {
        var latest: [String: Int] = [:]
        for (index, entry) in pending.enumerated() {
            if case .state(let row) = entry.record { latest[row.key] = index }
        }
        return latest
    }

    /// While the disk refuses, states that were overtaken needn't wait with the rest.
    private func compact() {
        let latest = latestState()
        var index = -1
        pending.removeAll { entry in
            index += 1
            guard case .state(let row) = entry.record else { return false }
            return latest[row.key] != index
        }
    }

    private func trimSnapshots() throws(SQLiteError) {
        try ledger.database.run(
            """
            UPDATE snapshots SET bytes = NULL WHERE hash IN (
                SELECT hash FROM snapshots WHERE bytes IS NOT NULL ORDER BY run DESC, step DESC LIMIT -1 OFFSET ?)
            """, .integer(options.snapshots))
    }

    private func monotonic() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}

extension LedgerRecord {
    /// When it happened; nil: a state, which is of no moment of its own.
    var time: Int64? {
        switch self {
        case .run(let value): value.time
        case .decision(let value), .shadow(let value): value.time
        case .snapshot(let value): value.time
        case .intent(let value): value.time
        case .order(let value): value.time
        case .fill(let value): value.time
        case .position(let value): value.time
        case .balance(let value): value.time
        case .funding(let value): value.time
        case .exit(let value): value.time
        case .outcome(let value): value.time
        case .refusal(let value): value.time
        case .breaker(let value): value.time
        case .takeover(let value): value.time
        case .routing(let value): value.time
        case .gate(let value): value.time
        case .external(let value): value.time
        case .link(let value): value.time
        case .session(let value): value.time
        case .agreement(let value): value.time
        case .alert(let value): value.time
        case .state: nil
        }
    }
}
