import Foundation
import HostCore
import HostLedger
import HostPlugins
import PluginAPI
import Synchronization

/// What other threads ask of the engine's thread.
public enum LoopRequest: Sendable {
    case control(ControlRequest, ControlConnection)
    case signal(Int32)
    /// An instance said it is broken, its worker died, or its lane hangs.
    case broken(Source, why: keel_status, text: String)
    /// Something happened to an instance's worker, which its own proxy deals with.
    case worker(Source, WorkerEvent)
    /// The ledger's file is damaged in a place that no start looks at.
    case damaged([String])
    /// Time to look at the kill switch.
    case glance
    /// A child has checked the manifest to restart with; not empty: what is wrong with it.
    case checked(problems: [String], ControlConnection?, reason: String)
}

/// The engine's thread: takes inputs in one order, journals each before the engine sees it, keeps timers and the clock.
public final class EngineLoop {
    public let engine: Engine
    public let outlet: LiveOutlet
    public let sink: EventSink
    private let journal: JournalWriter?

    /// Requests of other threads, taken between two inputs.
    public let requests: LoopRequests
    /// Handles a request on the engine's thread.
    public var handle: (LoopRequest) -> Void = { _ in }
    /// Called before the thread sleeps and every few thousand inputs: the ledger writes what it holds, statistics are taken.
    public var housekeeping: () -> Void = {}
    /// A LINK, before the engine sees it.
    public var onLink: (Source, UInt32, keel_status, String) -> Void = { _, _, _, _ in }
    /// A DONE, before the engine sees it: subscriptions and stops are the host's own requests.
    public var onDone: (Source, UInt64, keel_status, String) -> Void = { _, _, _, _ in }
    /// Measures when set; a branch otherwise.
    @exclusivity(unchecked) var probe: LatencyProbe?
    /// When the first event of a market came, on the monotonic clock; 0: none yet.
    @exclusivity(unchecked) public private(set) var firstEvent: Int64 = 0
    /// Events taken in.
    @exclusivity(unchecked) public private(set) var events: UInt64 = 0
    /// Time of the last input.
    public private(set) var time: Int64 {
        didSet { sink.logical = time }
    }

    /// The host's own work, by the time it is due on the host's clock.
    private var chores: [(due: Int64, work: () -> Void)] = []
    private let scratch: UnsafeMutableRawPointer
    private var turns: UInt32 = 0
    private var ended = false

    public init(engine: Engine, outlet: LiveOutlet, sink: EventSink, journal: JournalWriter?, requests: LoopRequests = LoopRequests()) {
        self.requests = requests
        self.engine = engine
        self.outlet = outlet
        self.sink = sink
        self.journal = journal
        time = sink.clock.now()
        scratch = .allocate(byteCount: Int(KEEL_EVENT_MAX) + 16, alignment: 64)
        requests.bell = sink.inbox.bell
    }

    deinit { scratch.deallocate() }

    /// Set in the numbers of requests the host itself makes (subscribe, stop), so that they never meet the engine's.
    static let ownRequest: UInt64 = 1 << 63

    /// Runs `work` on this thread once the host's clock shows `due`.
    public func at(_ due: Int64, _ work: @escaping () -> Void) {
        let place = chores.firstIndex { $0.due > due } ?? chores.endIndex
        chores.insert((due, work), at: place)
    }

    /// Ends `run` after the input in hand.
    public func end() { ended = true }

    /// Until `end` is called, or the host's clock shows `limit`, or nothing can ever happen again.
    public func run(until limit: Int64 = .max) {
        ended = false
        while !ended, turn(until: limit, patience: nil) {}
    }

    /// Until `condition` holds, `end` is called or `patience` (real nanoseconds) is at its end. True: the condition holds.
    public func run(patience: Int64, until condition: () -> Bool) -> Bool {
        ended = false
        let end = HostClock.monotonic() + patience
        while !condition() {
            let left = end - HostClock.monotonic()
            guard !ended, left > 0 else { return condition() }
            _ = turn(until: .max, patience: left)
        }
        return true
    }

    /// Everything that waits is processed, once; false: `limit` is reached.
    private func turn(until limit: Int64, patience: Int64?) -> Bool {
        drainLocal()
        var count = 0
        while count < 512, let (source, event) = sink.inbox.front() {
            take(UnsafeMutablePointer(mutating: event), from: source)
            sink.inbox.pop()
            drainLocal()
            count += 1
            if ended { return true }
        }
        for request in requests.take() {
            handle(request)
            drainLocal()
            if ended { return true }
        }
        if sink.inline.hasWakes {
            sink.inline.deliverWakes()
            drainLocal()
            return true
        }
        turns &+= 1
        if turns & 0xFFF == 0 || outlet.seen.records.count >= 1024 { housekeeping() }
        if count > 0 { fireDue(at: currentTime(until: limit)); return true }
        if fireDue(at: currentTime(until: limit)) { return true }
        return idle(until: limit, patience: patience)
    }

    /// A paced clock runs no further than the run does.
    private func currentTime(until limit: Int64) -> Int64 {
        if let paced = sink.clock.paced(), outlet.awaited == 0 { sink.clock.advance(to: min(paced, limit)) }
        return sink.clock.now()
    }

    /// Nothing is due: moves a simulated clock, or sleeps. False: `limit` is reached.
    private func idle(until limit: Int64, patience: Int64?) -> Bool {
        let clock = sink.clock
        if clock.now() >= limit { return false }
        let next = min(nextDue ?? .max, limit)
        // Whoever is asked outside this thread answers in real time: simulated time stands still until then.
        let waitsForAnswer = clock.isSimulated && outlet.awaited > 0
        if clock.pace != .real, clock.wait(until: next) == 0, !waitsForAnswer {
            guard next != .max else { return false }
            clock.advance(to: next)
            return true
        }
        housekeeping()
        var sleep: Int64? = waitsForAnswer ? 100_000_000 : next == .max ? nil : clock.wait(until: next)
        if let patience { sleep = min(sleep ?? patience, patience) }
        sink.inbox.bell.wait(nanoseconds: sleep.map { max($0, 1_000) }) { [self] in sink.inbox.isEmpty && requests.isEmpty && !sink.inline.hasWakes }
        return true
    }

    private var nextDue: Int64? {
        var next = sink.inline.nextDeadline()
        if let timer = engine.nextTimer { next = min(next ?? timer, timer) }
        if let chore = chores.first { next = min(next ?? chore.due, chore.due) }
        return next
    }

    /// The first timer that is due, of the engine or of an inline instance; false: none.
    @discardableResult
    private func fireDue(at now: Int64) -> Bool {
        guard let due = nextDue, due <= now else { return false }
        if let chore = chores.first, chore.due <= due {
            chores.removeFirst().work()
            drainLocal()
        } else if let plugin = sink.inline.nextDeadline(), plugin <= due {
            if sink.clock.isSimulated { sink.logical = max(time, plugin) }
            sink.inline.advance(to: sink.clock.isSimulated ? plugin : now)
            drainLocal()
        } else {
            // Simulated time passes every timer at its own time; real time is what it is.
            advance(to: sink.clock.isSimulated ? due : now)
        }
        return true
    }

    /// Tells the engine that time has passed.
    public func advance(to due: Int64) {
        time = max(time, due)
        outlet.now = time
        journal?.append(.timer, port: 0, time: time, UnsafeRawBufferPointer(start: nil, count: 0))
        engine.advance(to: time)
        drainLocal()
    }

    /// A command, now.
    public func command(_ command: Command) {
        time = max(time, sink.now())
        outlet.now = time
        let bytes = CommandCoding.bytes(command)
        bytes.withUnsafeBytes { _ = journal?.append(.command, port: 0, time: time, $0) }
        engine.command(command, at: time)
        drainLocal()
    }

    /// The run begins.
    public func start() {
        time = max(time, sink.now())
        outlet.now = time
        CommandCoding.start.withUnsafeBytes { _ = journal?.append(.command, port: 0, time: time, $0) }
        engine.start(at: time)
        drainLocal()
    }

    public func drainLocal() {
        var source: Source = 0
        while sink.local.take(into: scratch, source: &source) { take(scratch.assumingMemoryBound(to: keel_event.self), from: source) }
    }

    private func take(_ event: UnsafeMutablePointer<keel_event>, from source: Source) {
        // Several threads stamped their events; the engine's time never goes back.
        let now = max(time, event.pointee.at_host)
        time = now
        event.pointee.at_host = now
        // What a timer emits that was due before this event is queued behind it: it was emitted later.
        if now > sink.inline.now { sink.inline.advance(to: now) }
        let kind = event.pointee.kind
        if kind < 10 {
            notice(event, kind, source)
            // The host's own requests are no business of the engine.
            if event.pointee.request & EngineLoop.ownRequest != 0 { return }
        }
        if kind >= 10, kind < 30 {
            if firstEvent == 0 { firstEvent = HostClock.monotonic() }
            probe?.tick()
        }
        events &+= 1
        outlet.now = now
        journal?.append(
            .event, port: UInt16(truncatingIfNeeded: source), time: now,
            UnsafeRawBufferPointer(start: event, count: Int(event.pointee.size)))
        engine.accept(event, from: Int(source))
    }

    /// Links and ends of requests concern the host as well as the engine.
    private func notice(_ event: UnsafePointer<keel_event>, _ kind: UInt16, _ source: Source) {
        let raw = UnsafeRawPointer(event)
        func text(_ text: keel_text) -> String {
            String(decoding: UnsafeRawBufferPointer(start: raw + Int(text.off), count: Int(text.len)), as: UTF8.self)
        }
        if kind == UInt16(KEEL_EV_DONE), Int(event.pointee.size) >= MemoryLayout<keel_ev_done>.size {
            outlet.finished(request: event.pointee.request)
            let done = raw.assumingMemoryBound(to: keel_ev_done.self)
            onDone(source, event.pointee.request, done.pointee.status, done.pointee.message.len > 0 ? text(done.pointee.message) : "")
        } else if kind == UInt16(KEEL_EV_LINK), Int(event.pointee.size) >= MemoryLayout<keel_ev_link>.size {
            let link = raw.assumingMemoryBound(to: keel_ev_link.self)
            onLink(source, link.pointee.state, link.pointee.why, text(link.pointee.message))
        }
    }
}

/// Requests from any thread to the engine's.
public final class LoopRequests: Sendable {
    private let waiting = Mutex<[LoopRequest]>([])
    private let any = Atomic<Bool>(false)
    private let ringer = Mutex<Doorbell?>(nil)

    public init() {}

    var bell: Doorbell? {
        get { ringer.withLock { $0 } }
        set { ringer.withLock { $0 = newValue } }
    }

    public func post(_ request: LoopRequest) {
        waiting.withLock { $0.append(request) }
        any.store(true, ordering: .releasing)
        bell?.ring()
    }

    var isEmpty: Bool { !any.load(ordering: .acquiring) }

    func take() -> [LoopRequest] {
        guard any.exchange(false, ordering: .acquiringAndReleasing) else { return [] }
        return waiting.withLock { waiting in
            defer { waiting.removeAll(keepingCapacity: true) }
            return waiting
        }
    }
}
