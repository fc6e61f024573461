import Foundation
import Glibc
import HostCore
import HostLedger
import HostManifest
import HostPlugins
import PluginAPI
import PluginKit

extension LedgerWriter: RecordKeeper {}

/// A running host: the manifest's plugins, the engine and its ledger, from the first check to the last write.
///
/// `open` does everything that can fail before anything trades; `run` is the life; `close` ends it in order. All on one
/// thread, the engine's; other threads post requests to the loop.
public final class LiveHost {
    public struct Options: Sendable {
        public var pace = HostClock.Pace.real
        /// Nanoseconds on the host's clock after which the run ends; nil: no such end.
        public var duration: Int64?
        /// The run ends when a feed says that it has nothing more.
        public var endsWithFeed = false
        /// Written to the log only, or to standard error too.
        public var isQuiet = false
        /// How long an orderly stop waits for what is in flight, in real time.
        public var settleTime: Int64 = 10_000_000_000
        /// What this program was before `keel restart`.
        public var resume: ResumeRecord?
        public var kill: LedgerKill = .none
        /// Arguments to become again with.
        public var arguments: [String] = []
        public var reserve: Int64 = 8 * 1024 * 1024
        /// Off only where a figure is measured without the disk: nothing the run does is then kept.
        var usesDisk = true
        /// Number of the first run, should the ledger be a new one; nil: as it comes.
        public var firstRun: UInt32?
        /// This program's version, for the records.
        public var version = ""
        public init() {}
    }

    /// Why `run` returned.
    public enum Ending: Equatable, Sendable {
        case stopped(String)
        case restart(String)
    }

    public let composition: Composition
    public let options: Options
    public let folder: RunFolder
    public let log: RunLog
    let clock: HostClock
    let sink: EventSink
    let killSwitch: KillSwitch

    var lock: LedgerLock?
    var ledger: Ledger?
    /// The check behind the start found damage: the gate stays closed.
    var isDamaged = false
    var store: PluginStore?
    var writer: LedgerWriter?
    var journal: JournalWriter?
    var instances: [HostedInstance] = []
    var loop: EngineLoop?
    var plan: EnginePlan?
    var control: ControlServer?
    var tally: RunTally
    public internal(set) var evidence = Evidence()
    public internal(set) var run: UInt32 = 0
    /// For observers, on the engine's thread: told in batches, a moment after it happened.
    public let bus = EventBus()
    /// How often instances inside this process broke; workers keep their own count.
    var budgets: [CrashBudget]
    /// Callers of `keel stop`: answered when all is done.
    var waitingForEnd: [ControlConnection] = []
    var ending: Ending?
    var lastKill = false
    var links: [Int: (isUp: Bool, message: String)] = [:]
    var agreements: [Int: AgreementRecord] = [:]
    var gates: [String: GateCounters] = [:]
    var nextRequest = EngineLoop.ownRequest
    /// Stops that are part of a renewal, by their request.
    var renewing: Set<UInt64> = []
    var subscribing: [UInt64: (source: Source, instrument: keel_instrument_id)] = [:]
    var startedAt: Int64
    let startedMonotonic = HostClock.monotonic()
    var warnings: [String] = []
    var rolledBack: String?
    /// Of the restart that made this program; nil: it was started fresh.
    public internal(set) var restartReport: RestartReport?
    var lastProgress: Int64 = 0
    var ended: Set<Source> = []
    var isRestarting = false
    var restartCaller: ControlConnection?
    var gateClosedMonotonic: Int64 = 0
    var gateClosedAt: Int64 = 0
    var saved: [String: UInt32] = [:]
    /// The engine's state at an orderly end.
    var finalState: EngineState?
    /// Shown on a terminal now and then.
    public var onProgress: ((LiveHost) -> Void)?
    /// Called once nothing more will happen, before anything is printed.
    public var onEnd: () -> Void = {}

    /// Where simulated time begins when nothing says otherwise: 2024-01-01T00:00:00Z.
    public static let simulatedStart: Int64 = 1_704_067_200_000_000_000

    /// How far the run has come: seconds of its clock where it has an end, events otherwise.
    public var progress: (events: Int64, total: Int64?, note: String) {
        let equity = tally.summary.pipelines.filter { !$0.equity.isEmpty }.map { "\($0.name) \($0.equity)" }.joined(separator: ", ")
        let note = clock.isSimulated ? RunLog.stamp(clock.now()) + (equity.isEmpty ? "" : "  " + equity) : equity
        return (Int64(clamping: loop?.events ?? 0), nil, note)
    }

    public var summaryJSON: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return (try? encoder.encode(summary)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }

    public init(_ composition: Composition, options: Options) throws(RunError) {
        self.composition = composition
        self.options = options
        folder = RunFolder(composition.statePath)
        try folder.prepare()
        log = RunLog(path: folder.path + "/" + LogFile.name, echoes: !options.isQuiet)
        clock = HostClock(options.pace)
        sink = EventSink(clock: clock)
        killSwitch = KillSwitch(folder: folder)
        tally = RunTally(
            mode: composition.manifest.mode.rawValue, pipelines: composition.manifest.pipelines, instruments: composition.manifest.instruments)
        budgets = composition.plugins.map { _ in CrashBudget() }
        startedAt = clock.now()
    }

    /// Remote components keep their observers weakly.
    var watches: [Source: WorkerWatch] = [:]
    var requests = LoopRequests()
    /// Lanes keep their observer weakly.
    var observer: HangObserver?

    /// What the run has done so far.
    public var summary: RunSummary {
        var summary = tally.summary
        summary.seconds = Double(HostClock.monotonic() - startedMonotonic) / 1e9
        guard let loop else { return summary }
        for index in summary.pipelines.indices {
            // Records of the gate come once an hour; whoever asks wants to know now.
            let counters = loop.engine.gateCounters(pipeline: index)
            summary.pipelines[index].asked = counters.passed &+ counters.timerPasses
            summary.pipelines[index].reused = counters.reused
        }
        summary.events = loop.events
        summary.firstEventMonotonic = loop.firstEvent
        if clock.isSimulated { summary.simulatedSeconds = Double(loop.time - startedAt) / 1e9 }
        return summary
    }

    /// The manifest that was to be run could not be opened, and this is the one before.
    public func reportGoneBack(_ text: String) {
        rolledBack = text
        alert(.critical, "rollback", text)
    }

    func warn(_ text: String) {
        warnings.append(text)
        log.write(.warning, "keel", text)
    }

    func alert(_ severity: Alert.Severity, _ kind: String, _ text: String) {
        take(Alert(time: loop?.time ?? clock.now(), severity: severity, kind: kind, text: text))
    }
}
