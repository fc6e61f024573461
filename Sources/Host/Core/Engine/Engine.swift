import PluginAPI
import PluginKit

/// The deterministic core: one thread, one total order of events, time only from events, effects through its outlet.
///
/// Feed it with `start`, `accept`, `advance` and `command`; all on one thread. What an inline plugin emits while the engine is
/// calling it also goes to `accept`: it is queued and processed, in order, before the outermost call returns.
///
/// A shell that keeps a journal of its inputs calls `prepare` for a market event, then writes it, then calls `accept` with
/// `prepared: true`: what timers and simulated venues bring about then stands before the event, as it was processed. It also
/// writes down every `advance` that had something due (`nextTimer` not later than its time), and every command. Whatever is
/// emitted while the engine is busy happens at `now`: write it down with that time.
public final class Engine {
    public let plan: EnginePlan
    let outlet: any Outlet
    let learner: (any Learner)?
    let recording: Recording
    let recordsTrading: Bool
    let recordsDetail: Bool
    let recordsState: Bool

    // Raw storage, owned by the engine, so that the market path pays neither for counting nor for exclusivity checks.
    let core: UnsafeMutablePointer<Core>
    let books: UnsafeMutablePointer<Book>
    let bookCount: Int
    let pipelines: UnsafeMutablePointer<Pipeline>
    let pipelineCount: Int
    let brokers: UnsafeMutablePointer<BrokerSlot>
    let brokerCount: Int
    let routes: UnsafeMutablePointer<Route>
    let routeBooks: UnsafeMutablePointer<Int32>
    let venueCalls: UnsafeMutablePointer<VenueCall>
    let answers: UnsafeMutablePointer<keel_status>
    let stride: Int
    let portCount: Int
    /// Broker slot of a port; -1: no broker.
    let brokerOfPort: [Int]
    /// Connections that a feed has reported as down, by port.
    var feedLinksDown: [Int: Set<String>] = [:]
    var isRestored = false
    var savedLearner: [UInt8] = []

    /// Resolves every name of the plan and takes over `restored`; calls nobody.
    public init(plan: EnginePlan, outlet: any Outlet, learner: (any Learner)? = nil, restored: EngineState? = nil) throws(EngineError) {
        let composed = try Composition(plan, memory: outlet.recording.contains(.state) ? 2_048 : 64)
        self.plan = plan
        self.outlet = outlet
        self.learner = learner
        recording = outlet.recording
        recordsTrading = recording.contains(.trading)
        recordsDetail = recording.contains(.detail)
        recordsState = recording.contains(.state)
        books = composed.books
        bookCount = composed.bookCount
        pipelines = composed.pipelines
        pipelineCount = composed.pipelineCount
        brokers = composed.brokers
        brokerCount = composed.brokerCount
        routes = composed.routes
        routeBooks = composed.routeBooks
        venueCalls = composed.venueCalls
        answers = composed.answers
        stride = composed.stride
        portCount = plan.ports.count
        brokerOfPort = composed.brokerOfPort
        core = .allocate(capacity: 1)
        core.initialize(
            to: Core(
                timers: TimerQueue(owners: max(bookCount, max(pipelineCount, brokerCount))),
                seen: SeenFills(capacity: max(recordsState ? 16_384 : 2_048, restored?.fills.count ?? 0))))
        if let restored { try restore(restored) }
        for index in 0..<pipelineCount { remark(pipelines + index) }
    }

    deinit {
        core.pointee.queue.release()
        core.deinitialize(count: 1)
        core.deallocate()
        for index in 0..<bookCount {
            let book = books + index
            for place in 0..<book.pointee.seriesCount { book.pointee.series[place].release() }
            book.pointee.series.deallocate()
            book.pointee.observers.deallocate()
            book.pointee.block.release()
        }
        books.deinitialize(count: bookCount)
        books.deallocate()
        pipelines.deinitialize(count: pipelineCount)
        pipelines.deallocate()
        brokers.deinitialize(count: brokerCount)
        brokers.deallocate()
        routes.deallocate()
        routeBooks.deallocate()
        venueCalls.deallocate()
        answers.deallocate()
    }

    // MARK: Inputs

    /// The run begins: arms timers, asks every broker for its truth. Entries wait until broker and host agree.
    public func start(at time: Int64) {
        guard !core.pointee.started else { return }
        core.pointee.busy = true
        core.pointee.now = max(core.pointee.now, time)
        core.pointee.started = true
        if recordsTrading { record(.run(RunRecord(time: now, run: plan.run, change: isRestored ? .restored : .started))) }
        for index in 0..<bookCount { armFirstTimers(books + index) }
        rollDays()
        if recordsState { recordHeader() }
        for index in 0..<brokerCount { startSync(index) }
        finishInput()
    }

    /// One event from the instance `plan.ports[port]`. `at_host` is the time it happened for the engine.
    @inline(__always)
    public func accept(_ event: UnsafePointer<keel_event>, from port: Int, prepared: Bool = false) {
        let size = event.pointee.size
        guard size >= UInt32(MemoryLayout<keel_event>.size), size <= KEEL_EVENT_MAX, port >= 0, port < portCount else {
            core.pointee.malformed &+= 1
            return
        }
        if core.pointee.busy {
            core.pointee.queue.append(event, from: port, at: core.pointee.now)
            return
        }
        if !prepared { prepare(for: event, from: port) }
        core.pointee.busy = true
        process(event, from: port)
        if !core.pointee.queue.isEmpty || core.pointee.dirty {
            finishInput()
        } else {
            core.pointee.busy = false
        }
    }

    /// What comes before an event: timers that are due by its time, and the simulated venues that see it first.
    @inline(__always)
    public func prepare(for event: UnsafePointer<keel_event>, from port: Int) {
        let time = event.pointee.at_host
        let kind = UInt32(event.pointee.kind)
        let isMarket = kind >= KEEL_EV_QUOTE && kind < KEEL_EV_ORDER
        // What is due at the very moment of a market event comes after it: a timer should see the bar that closes with it.
        let before = isMarket ? time &- 1 : time
        if before >= core.pointee.timers.next { advance(to: before) }
        if time > core.pointee.now { core.pointee.now = time }
        if isMarket, port >= 0, port < portCount, Int(event.pointee.instrument) < stride {
            let route = routes + (port &* stride &+ Int(event.pointee.instrument))
            if route.pointee.venueCount != 0 { showVenues(event, route) }
        }
    }

    @inline(__always)
    private func showVenues(_ event: UnsafePointer<keel_event>, _ route: UnsafeMutablePointer<Route>) {
        core.pointee.busy = true
        let first = Int(route.pointee.firstVenue)
        for index in first..<(first &+ Int(route.pointee.venueCount)) {
            venueCalls[index].call(venueCalls[index].instance, event)
        }
        if core.pointee.queue.isEmpty { core.pointee.busy = false } else { finishInput() }
    }

    /// No event arrived until `time`: what is due by then happens, each at its own time.
    public func advance(to time: Int64) {
        guard !core.pointee.busy else { return }
        while core.pointee.timers.next <= time {
            core.pointee.busy = true
            let instant = core.pointee.timers.next
            if instant > core.pointee.now { core.pointee.now = instant }
            // All that is due at one instant comes before anything it brings about.
            while let due = core.pointee.timers.pop(until: instant) { fire(due.kind, due.owner) }
            finishInput()
        }
        if time > core.pointee.now { core.pointee.now = time }
    }

    public func command(_ command: Command, at time: Int64) {
        guard !core.pointee.busy else { return }
        advance(to: time)
        core.pointee.busy = true
        perform(command)
        finishInput()
    }

    // MARK: Answers

    public var now: Int64 { core.pointee.now }

    /// When `advance` must be called at the latest; nil: nothing is due. It may be early, never late.
    public var nextTimer: Int64? { core.pointee.timers.next == .max ? nil : core.pointee.timers.next }

    /// What observers want published; nothing until called. `.marketTick` costs a call per tick.
    public func listen(to topics: Set<Topic>) {
        var mask: UInt32 = 0
        for (index, topic) in Topic.allCases.enumerated() where topics.contains(topic) { mask |= 1 << UInt32(index) }
        core.pointee.busTopics = mask
    }

    // MARK: The order of things

    /// Everything a plugin emitted meanwhile, then the end of the transaction.
    @inline(never)
    func finishInput() {
        while let next = core.pointee.queue.next() { process(next.event, from: next.port) }
        if core.pointee.dirty { endOfInput() }
        core.pointee.busy = false
    }

    @inline(__always)
    private func process(_ event: UnsafePointer<keel_event>, from port: Int) {
        let kind = UInt32(event.pointee.kind)
        if kind >= KEEL_EV_QUOTE, kind < KEEL_EV_ORDER { market(event, kind, from: port) } else { processOther(event, kind, from: port) }
    }

    @inline(never)
    private func processOther(_ event: UnsafePointer<keel_event>, _ kind: UInt32, from port: Int) {
        switch kind {
        case KEEL_EV_DONE: doneEvent(event, from: port)
        case KEEL_EV_DECISION: decisionEvent(event, from: port)
        case KEEL_EV_CHILD: childEvent(event, from: port)
        case KEEL_EV_CHILD_CANCEL: childCancelEvent(event, from: port)
        case KEEL_EV_ORDER: orderEvent(event, from: port)
        case KEEL_EV_FILL: fillEvent(event, from: port)
        case KEEL_EV_BALANCE: balanceEvent(event, from: port)
        case KEEL_EV_POSITION: positionEvent(event, from: port)
        case KEEL_EV_FUNDING: fundingEvent(event, from: port)
        case KEEL_EV_LINK: linkEvent(event, from: port)
        case KEEL_EV_SESSION: sessionEvent(event, from: port)
        default: break  // lenient: a kind of a later version, or one that concerns the shell
        }
    }

    func makeRequest(_ kind: RequestKind, owner: Int) -> UInt64 {
        core.pointee.requests &+= 1
        return core.pointee.requests << 28 | UInt64(owner) << 8 | kind.rawValue
    }
}
