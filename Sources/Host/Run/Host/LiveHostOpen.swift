import Foundation
import Glibc
import HostCore
import HostLedger
import HostManifest
import HostPlugins
import PluginAPI
import PluginKit

// Opening and starting: everything that can fail before anything trades.

extension LiveHost {
    /// Everything up to the point where events can come: locks, ledger, instances, engine. Throws without having traded.
    public func open() throws(RunError) {
        do throws(LedgerRefusal) {
            lock = try LedgerLock(ledger: folder.ledger, now: HostClock.wall(), inherited: options.resume.flatMap { $0.lockDescriptor >= 0 ? $0.lockDescriptor : nil })
            var ledgerOptions = Ledger.Options()
            ledgerOptions.reserve = options.reserve
            ledgerOptions.firstRun = RunNumber.first(
                isLive: composition.manifest.mode == .live, recorded: folder.recordedRuns(), asked: options.firstRun, now: HostClock.wall())
            ledger = try Ledger(path: folder.ledger, now: HostClock.wall(), options: ledgerOptions, kill: options.kill)
            store = try PluginStore(path: folder.path + "/plugins.db", kill: options.kill)
        } catch {
            throw RunError(error)
        }
        do throws(RunError) {
            try createInstances()
            try checkSwitches()
            try makeEngine()
        } catch {
            for instance in instances { instance.destroy() }
            instances = []
            ledger = nil
            lock = nil
            throw error
        }
    }

    private func createInstances() throws(RunError) {
        var problems: [String] = []
        let redactor = SecretRedactor()
        let requests = LoopRequests()
        self.requests = requests
        let log = log
        let shared = InstanceServices.Shared(
            sink: sink, store: store, secrets: composition.secrets, log: { log.write($0) },
            failed: { source, why, text in requests.post(.broken(source, why: why, text: text)) })
        for (index, plugin) in composition.plugins.enumerated() {
            let source = Source(index)
            let services = InstanceServices(shared, source: source, instruments: composition.instruments(for: plugin.entry.name))
            do throws(RunError) {
                let (tables, lane) = try place(plugin, source, requests)
                let host = InstanceHost(
                    name: plugin.entry.name, tables: tables, lane: lane ?? sink.inline, services: services,
                    grantedSecrets: Set(plugin.entry.secrets), redactor: redactor)
                let instance = HostedInstance(
                    source: source, entry: plugin.entry, identity: plugin.identity, host: host, lane: lane, sink: sink, isIsolated: plugin.isIsolated)
                do throws(RunError) { try instance.create(config: plugin.config) } catch {
                    lane?.stop(within: 1_000_000_000)
                    throw error
                }
                instances.append(instance)
            } catch {
                problems.append(error.description)
            }
        }
        if !problems.isEmpty { throw .invalid(problems) }
    }

    /// Its tables, and the thread it will live on; nil: the engine's.
    private func place(_ plugin: LoadedPlugin, _ source: Source, _ requests: LoopRequests) throws(RunError) -> (ComponentTables, Lane?) {
        let name = plugin.entry.name
        let speed: Int64 = if case .simulated(_, .some(let speed)) = clock.pace { Int64(speed) } else { 1 }
        do {
            switch plugin.home {
            case .engine(let tables): return (tables, nil)
            case .lane(let tables): return (tables, try Lane(name: name, speed: speed, observer: laneObserver(requests)))
            case .process(let library):
                let watch = WorkerWatch(name: name, source: source, store: store, requests: requests)
                watches[source] = watch
                // keel restart is the operator's word that it may be tried again.
                if options.resume != nil { watch.forgive() }
                // In simulated time a worker takes each step when the engine does: a run comes to the same as without isolation.
                let isInStep = clock.isSimulated && plugin.canBeSimulated
                let remote = try RemoteComponent(
                    library: library, component: plugin.entry.component, settings: IsolationSettings(pace: isInStep ? .lockstep : .live), budget: watch.budget(),
                    observer: watch)
                if isInStep { return (remote.tables, nil) }
                return (remote.tables, try Lane(name: name, limits: .isolated, speed: speed, observer: laneObserver(requests)))
            }
        } catch {
            throw .control("plugin \"\(name)\": \(error)")
        }
    }


    private func laneObserver(_ requests: LoopRequests) -> HangObserver {
        if let observer { return observer }
        let names = composition.plugins.map(\.entry.name)
        let made = HangObserver(log: log) { name, text in
            guard let index = names.firstIndex(of: name) else { return }
            requests.post(.broken(Source(index), why: KEEL_E_TIMEOUT, text: text))
        }
        observer = made
        return made
    }

    /// The third switch needs the brokers' own word.
    private func checkSwitches() throws(RunError) {
        let brokers = Set(composition.manifest.pipelines.map(\.broker))
        let switches = LiveSwitches(
            manifestIsLive: composition.manifest.mode == .live, variable: ProcessInfo.processInfo.environment["LIVE_TRADING"],
            brokers: instances.filter { brokers.contains($0.name) }.map { instance in
                (instance.name, BrokerEnvironment(described: try? instance.description?["environment"].text))
            })
        for doubt in switches.doubts { warn(doubt) }
        let refusals = switches.refusals()
        if !refusals.isEmpty { throw .unsafe(refusals.joined(separator: "\n")) }
    }

    private func makeEngine() throws(RunError) {
        guard let ledger else { throw .control("the ledger is not open") }
        let manifest = composition.manifest
        let names = RunNames(
            ports: instances.map(\.name), pipelines: manifest.pipelines.map { .init(name: $0.name, broker: $0.broker) },
            instruments: manifest.instruments.map(\.symbol))
        let restored: Restored
        do throws(LedgerRefusal) {
            restored = try ledger.restore(names)
            if !restored.disagreements.isEmpty { throw .disagrees(path: ledger.path, differences: restored.disagreements) }
        } catch {
            throw RunError(error)
        }
        // Simulated time goes on from where the last run ended: a ledger never goes back.
        if let last = restored.state?.header.time { clock.advance(to: last) }
        let now = clock.now()
        let facts = RunFacts(
            started: now, mode: manifest.mode.rawValue, pid: getpid(), keel: options.version, manifest: composition.manifestPath,
            manifestHash: composition.manifestHash, seed: manifest.seed,
            plugins: instances.map {
                RunFacts.Plugin(
                    name: $0.name, component: $0.identity.component, version: $0.identity.version, file: $0.identity.file,
                    sha256: $0.identity.sha256, roles: $0.roles, isolation: $0.isIsolated ? "process" : "none")
            },
            pipelines: manifest.pipelines, instruments: manifest.instruments)
        do throws(LedgerFailure) { run = try ledger.begin(facts, journal: { "journal/\($0).journal" }) } catch { throw .control("\(error)") }
        startedAt = now
        let ports = instances.compactMap(\.tables?.port)
        let plan = EnginePlan(
            run: run, ports: ports, instruments: manifest.instruments, pipelines: manifest.pipelines, checksSkew: !clock.isSimulated)
        let journal: JournalWriter
        do throws(JournalError) {
            journal = try JournalWriter(path: folder.journal(run: run), run: UInt64(run), created: now, kill: options.kill)
        } catch {
            throw .journal("\(error)")
        }
        let origin = RunOrigin(
            run: run, follows: restored.lastRun, manifest: composition.manifestText, ports: ports, checksSkew: plan.checksSkew,
            restored: restored.state)
        guard let bytes = try? StateCoding.bytes(origin) else { throw .journal("the run's origin cannot be written as JSON") }
        bytes.withUnsafeBytes { _ = journal.append(.origin, port: 0, time: now, $0) }

        let writer = LedgerWriter(ledger, names: names, run: run, started: now, journal: journal)
        let outlet = LiveOutlet(
            callees: instances.compactMap(\.callee), journal: journal, keeper: options.usesDisk ? writer : RecordsWithoutDisk())
        let engine: Engine
        do throws(EngineError) {
            engine = try Engine(plan: plan, outlet: outlet, restored: restored.state)
        } catch {
            throw .invalid(["\(error)"])
        }
        let loop = EngineLoop(engine: engine, outlet: outlet, sink: sink, journal: journal, requests: requests)
        tally.run = run
        tally.restore(restored.state)
        self.plan = plan
        self.journal = journal
        self.writer = writer
        self.loop = loop
        for (index, instance) in instances.enumerated() {
            instance.tables?.asked.note = { [unowned outlet] call in outlet.observed(index, call: call, status: KEEL_ASK) }
        }
        connect(loop, outlet, writer)
        if let last = restored.lastRun {
            log.write(.info, "keel", "run \(run) follows run \(last)" + (restored.endedAsPlanned ? "" : ", which did not end as planned"))
        }
        if !restored.intentsOnly.isEmpty {
            log.write(.warning, "keel", "\(restored.intentsOnly.count) orders may have left before the last host ended: the venue is asked about them")
        }
    }

    // MARK: Starting

    /// Saved state, start, subscriptions, the engine's first question to every broker.
    public func start(signals: Int32 = -1) throws(RunError) {
        guard let loop else { throw .control("the host is not open") }
        for instance in instances { restoreState(of: instance) }
        let requests = requests
        control = try ControlServer(folder: folder, inherited: options.resume.flatMap { $0.socketDescriptor >= 0 ? $0.socketDescriptor : nil }, signals: signals) { input in
            switch input {
            case .request(let request, let connection): requests.post(.control(request, connection))
            case .signal(let number): requests.post(.signal(number))
            case .glance: requests.post(.glance)
            }
        }
        var problems: [String] = []
        for instance in instances {
            do throws(RunError) { try instance.start() } catch {
                // A broker that is down is not the others' fault: it blocks its own pipelines and is tried again.
                problems.append(error.description)
                broke(instance.source, why: KEEL_E_NETWORK, text: error.description)
            }
        }
        if problems.count == instances.count {
            // The socket stays open for whoever takes this host's place in the process.
            _ = control?.stop(keepingSocket: true)
            for instance in instances { instance.destroy() }
            ledger = nil
            lock = nil
            throw .control(problems.joined(separator: "\n"))
        }
        for (name, instrument) in composition.subscriptions() {
            guard let instance = instances.first(where: { $0.name == name }), let feed = instance.host.tables.feed else { continue }
            let channels = feed.pointee.channels & ~UInt64(KEEL_CH_DEPTH | KEEL_CH_URGENT)
            instance.subscriptions.append((instrument, channels))
            if instance.host.phase == .running { subscribe(instance, instrument, channels) }
        }
        lastKill = killSwitch.isOn
        loop.start()
        loop.command(.kill(lastKill))
        if lastKill { log.write(.warning, "keel", "the kill switch is on (\(folder.killSwitch)): no entries") }
        loop.drainLocal()
        if options.usesDisk { ledger?.checkBehind { findings in if !findings.isEmpty { requests.post(.damaged(findings)) } } }
        tidy()
    }

    /// Journals that nobody has to keep any more go, on a thread of their own: they may be large.
    private func tidy() {
        guard let keep = composition.manifest.keepJournals else { return }
        let folder = folder, log = log, run = run
        let thread = Thread {
            let gone = folder.removeJournals(olderThan: HostClock.wall() - keep, running: run)
            if !gone.isEmpty { log.write(.info, "keel", "removed the journals of \(gone.count) runs (\(gone[0]) to \(gone[gone.count - 1])): older than \(SpanText.format(keep)); the ledger keeps what happened in them") }
        }
        thread.start()
    }

    func subscribe(_ instance: HostedInstance, _ instrument: keel_instrument_id, _ channels: UInt64) {
        nextRequest += 1
        subscribing[nextRequest] = (instance.source, instrument)
        do throws(RunError) {
            try instance.subscribe(instrument, channels: channels, request: nextRequest)
        } catch {
            subscribing[nextRequest] = nil
            alert(.warning, "feed", "\(error): tried again in 5 s")
            again(instance, instrument, channels)
        }
        loop?.drainLocal()
    }

    func again(_ instance: HostedInstance, _ instrument: keel_instrument_id, _ channels: UInt64) {
        loop?.at(clock.now() + 5 * Span.second) { [weak self, weak instance] in
            guard let self, let instance, instance.host.phase == .running, ending == nil else { return }
            subscribe(instance, instrument, channels)
        }
    }

    /// The feeds of a pipeline look at an instrument's values as often as they can, or at their usual pace again.
    func pace(_ pipeline: Int, _ instrument: keel_instrument_id, _ urgent: Bool) {
        guard composition.manifest.pipelines.indices.contains(pipeline) else { return }
        for name in composition.manifest.pipelines[pipeline].feeds {
            guard let instance = instances.first(where: { $0.name == name }), let feed = instance.host.tables.feed,
                feed.pointee.channels & KEEL_CH_URGENT != 0
            else { continue }
            instance.subscriptions.removeAll { $0.0 == instrument && $0.1 == KEEL_CH_URGENT }
            if urgent { instance.subscriptions.append((instrument, KEEL_CH_URGENT)) }
            guard instance.host.phase == .running else { continue }
            if urgent { subscribe(instance, instrument, KEEL_CH_URGENT) } else { unsubscribe(instance, instrument, KEEL_CH_URGENT) }
        }
    }

    private func unsubscribe(_ instance: HostedInstance, _ instrument: keel_instrument_id, _ channels: UInt64) {
        nextRequest += 1
        do throws(RunError) { try instance.unsubscribe(instrument, channels: channels, request: nextRequest) } catch {
            log.write(.info, instance.name, "\(error)")
        }
        loop?.drainLocal()
    }

    /// What the instance before this one saved, if it can read it. Used once: after a crash an old state would be a wrong one.
    private func restoreState(of instance: HostedInstance) {
        guard instance.hasState else { return }
        let (current, oldest) = instance.stateVersions
        guard oldest <= current else { return }
        for version in stride(from: current, through: oldest, by: -1) {
            let path = folder.saved(instance: instance.name, version: version)
            guard let bytes = FileManager.default.contents(atPath: path) else { continue }
            defer { try? RunFolder.remove(path) }
            do throws(RunError) {
                try instance.load([UInt8](bytes), version: version)
            } catch {
                warn("plugin \"\(instance.name)\" starts empty, it refused its saved state: \(error)")
            }
            return
        }
    }

    /// For figures: of the first pipeline.
    var decisions: Int {
        count()
        return tally.decisions(0)
    }

    /// For figures: measures from here on.
    func measure(_ probe: LatencyProbe) {
        loop?.probe = probe
        loop?.outlet.probe = probe
    }

    /// For figures: runs until the condition holds.
    func run(until condition: () -> Bool) { _ = loop?.run(patience: 3_600_000_000_000, until: condition) }
}

extension RunError {
    init(_ refusal: LedgerRefusal) {
        switch refusal {
        case .inUse, .disagrees: self = .unsafe(refusal.description)
        default: self = .control(refusal.description)
        }
    }
}

/// Takes every record and keeps none: what an order costs without the disk.
private final class RecordsWithoutDisk: RecordKeeper {
    private var waiting: [LedgerRecord] = []

    init() { waiting.reserveCapacity(4096) }

    func record(_ record: LedgerRecord) { waiting.append(record) }
    func boundary() { if waiting.count >= 2048 { waiting.removeAll(keepingCapacity: true) } }
    func barrier() -> Bool { true }
}
