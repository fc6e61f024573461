import CSystem
import Glibc
import PluginAPI
import Synchronization

/// One OS thread with an epoll loop: timers, descriptors, wakes and posted calls, one at a time, never overlapping.
///
/// Start it, `post` or `call` work onto it from any thread, and `stop` it. Instances bound to it (through `InstanceHost`) keep
/// their timers and watches here. A watchdog measures every call: 1 ms is counted, 50 ms is reported, 2 s is a hang. A hanging
/// lane can't be stopped safely; its observer decides what no longer trades.
public final class Lane: InstanceLane, @unchecked Sendable {
    public let name: String
    public let limits: LaneLimits
    /// Calls that took longer than the soft and the hard limit.
    public var softCount: Int { beat.softCount.load(ordering: .relaxed) }
    public var hardCount: Int { beat.hardCount.load(ordering: .relaxed) }

    private struct Post {
        let what: StaticString
        let client: UInt64
        let work: @Sendable () -> Void
    }
    private struct Inbox {
        var posts: [Post] = []
        var woken: [any LaneClient] = []
        var signalled = false
        var accepting = true
        var names: [UInt64: String] = [:]
    }
    private struct Watch {
        let client: any LaneClient
        let generation: UInt32
        var interest: UInt32
    }

    private weak let observer: (any LaneObserver)?
    private let speed: Int64
    private let inbox = Mutex(Inbox())
    private let thread = Atomic<UInt>(0)
    private let finished = Gate()
    let beat = LaneBeat()

    private let epoll: Int32
    private let bell: Int32
    private let alarm: Int32
    private static let bellMark = UInt64.max
    private static let alarmMark = UInt64.max - 1

    // Touched on the lane's thread only.
    private var timers = TimerQueue()
    private var armed: Int64 = 0
    private var watches: [Int32: Watch] = [:]
    private var generation: UInt32 = 0
    private var stopping = false

    /// `speed`: how many times faster than real time the timers run (a run at 60x passes 60).
    public init(name: String, limits: LaneLimits = LaneLimits(), speed: Int64 = 1, observer: (any LaneObserver)? = nil) throws(LaneError) {
        self.name = name
        self.limits = limits
        self.speed = max(1, speed)
        self.observer = observer
        epoll = csystem_loop_create()
        bell = csystem_bell_create()
        alarm = csystem_alarm_create()
        guard epoll >= 0, bell >= 0, alarm >= 0 else { throw .noDescriptors(lane: name, errno: errno) }
        for (fd, mark) in [(bell, Self.bellMark), (alarm, Self.alarmMark)] {
            let failure = csystem_loop_watch(epoll, fd, CSYSTEM_READABLE, mark)
            guard failure == 0 else { throw .noDescriptors(lane: name, errno: failure) }
        }
        guard startThread(name: name, { [self] in run() }) else { throw .noThread(lane: name, errno: errno) }
        Watchdog.shared.add(self)
    }

    deinit {
        for fd in [epoll, bell, alarm] where fd >= 0 { close(fd) }
    }

    // MARK: from any thread

    public var isCurrent: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

    /// Queues work for the lane; the work of one poster runs in the order it was posted. False once the lane was told to stop:
    /// the work will never run. `client` is named if the work is slow.
    @discardableResult
    public func post(_ what: StaticString, for client: (any LaneClient)? = nil, _ work: @escaping @Sendable () -> Void) -> Bool {
        let post = Post(what: what, client: client?.laneMark.number ?? 0, work: work)
        let (accepted, wakeUp) = inbox.withLock { inbox in
            guard inbox.accepting else { return (false, false) }
            inbox.posts.append(post)
            defer { inbox.signalled = true }
            return (true, !inbox.signalled)
        }
        if wakeUp { ring() }
        return accepted
    }

    /// Runs work on the lane and waits for it; at once if this is the lane's own thread.
    public func call<T: Sendable>(
        _ what: StaticString, for client: (any LaneClient)? = nil, within limit: keel_span? = nil, _ work: @escaping @Sendable () -> T
    ) throws(LaneError) -> T {
        if isCurrent { return work() }
        let answer = LaneAnswer<T>()
        let accepted = post(what, for: client) {
            let value = work()
            answer.value.withLock { $0 = value }
            answer.gate.open()
        }
        guard accepted else { throw .stopped(lane: name) }
        guard answer.gate.wait(limit), let value = answer.value.withLock({ $0 }) else {
            throw .timedOut(LaneCall(lane: name, instance: client?.laneName ?? "", what: "\(what)"))
        }
        return value
    }

    /// Ends the loop after the work posted so far and waits for the thread. False if it didn't end in time: it hangs, and is
    /// left behind for ever, because a stuck thread can't be ended safely.
    @discardableResult
    public func stop(within limit: keel_span? = nil) -> Bool {
        post("stop") { [self] in stopping = true }
        inbox.withLock { $0.accepting = false }
        if isCurrent { return true }
        return finished.wait(limit)
    }

    public func attach(_ client: any LaneClient) {
        inbox.withLock { $0.names[client.laneMark.number] = client.laneName }
    }

    public func wake(_ client: any LaneClient) -> keel_status {
        if client.laneMark.wakePending.exchange(true, ordering: .acquiringAndReleasing) { return KEEL_OK }
        let (accepted, wakeUp) = inbox.withLock { inbox in
            guard inbox.accepting else { return (false, false) }
            inbox.woken.append(client)
            defer { inbox.signalled = true }
            return (true, !inbox.signalled)
        }
        if wakeUp { ring() }
        return accepted ? KEEL_OK : KEEL_E_STATE
    }

    private func ring() { csystem_bell_ring(bell) }

    // MARK: on the lane

    public func addTimer(
        for client: any LaneClient, delay: keel_span, period: keel_span, tag: UInt64, id: inout UInt64
    ) -> keel_status {
        guard isCurrent else { return KEEL_E_STATE }
        guard delay >= 0, period >= 0 else { return KEEL_E_INVALID }
        guard timers.count(of: client) < LaneBounds.timers else { return KEEL_E_AGAIN }
        let (deadline, overflow) = Monotonic.now().addingReportingOverflow(delay / speed)
        if overflow { return KEEL_E_RANGE }
        id = timers.add(for: client, deadline: deadline, period: period == 0 ? 0 : max(1, period / speed), tag: tag)
        return KEEL_OK
    }

    public func removeTimer(_ id: UInt64, for client: any LaneClient) -> keel_status {
        guard isCurrent else { return KEEL_E_STATE }
        return timers.remove(id, for: client) ? KEEL_OK : KEEL_E_NOT_FOUND
    }

    public func watch(_ fd: Int32, interest: UInt32, for client: any LaneClient) -> keel_status {
        guard isCurrent else { return KEEL_E_STATE }
        guard fd >= 0, interest & ~(KEEL_READABLE | KEEL_WRITABLE | KEEL_HANGUP) == 0 else { return KEEL_E_INVALID }
        if let known = watches[fd], known.client !== client { return KEEL_E_INVALID }
        if interest == 0 {
            guard watches.removeValue(forKey: fd) != nil else { return KEEL_E_NOT_FOUND }
            _ = csystem_loop_forget(epoll, fd)
            return KEEL_OK
        }
        if watches[fd] == nil, watches.values.count(where: { $0.client === client }) >= LaneBounds.watches { return KEEL_E_AGAIN }
        generation &+= 1
        // The bits have the same values on both sides. A descriptor that was closed and opened again under the same number
        // without a word to us is added anew.
        let failure = csystem_loop_watch(epoll, fd, interest, UInt64(generation) << 32 | UInt64(UInt32(bitPattern: fd)))
        guard failure == 0 else {
            watches[fd] = nil
            return failure == EPERM ? KEEL_E_UNSUPPORTED : KEEL_E_INVALID
        }
        watches[fd] = Watch(client: client, generation: generation, interest: interest)
        return KEEL_OK
    }

    public func forget(_ client: any LaneClient) {
        timers.removeAll(of: client)
        for (fd, watch) in watches where watch.client === client {
            _ = csystem_loop_forget(epoll, fd)
            watches[fd] = nil
        }
        inbox.withLock { inbox in
            inbox.woken.removeAll { $0 === client }
            inbox.names[client.laneMark.number] = nil
        }
        client.laneMark.wakePending.store(false, ordering: .releasing)
    }

    // MARK: the loop

    private func run() {
        thread.store(UInt(pthread_self()), ordering: .relaxed)
        var events = [csystem_ready](repeating: csystem_ready(), count: 64)
        while !stopping {
            arm()
            let count = csystem_loop_wait(epoll, &events, 64, -1)
            if count < 0 { break }
            var due = false
            for event in events.prefix(Int(count)) {
                switch event.mark {
                case Self.bellMark: runPosts()
                case Self.alarmMark:
                    csystem_bell_clear(alarm)
                    due = true
                default: ready(event)
                }
                if stopping { break }
            }
            if due, !stopping { runTimers() }
        }
        Watchdog.shared.remove(self)
        inbox.withLock { inbox in
            inbox.accepting = false
            inbox.posts.removeAll()
            inbox.woken.removeAll()
        }
        timers = TimerQueue()
        watches.removeAll()
        thread.store(0, ordering: .relaxed)
        finished.open()
    }

    private func arm() {
        let next = timers.next() ?? 0
        guard next != armed else { return }
        armed = next
        // Zero would disarm, and so mean never.
        csystem_alarm_set(alarm, next == 0 ? 0 : max(1, next))
    }

    private func runTimers() {
        armed = 0
        let now = Monotonic.now()
        while !stopping, let timer = timers.takeDue(now) {
            measured("on_timer", timer.client.laneMark.number) { timer.client.laneTimer(timer.id, tag: timer.tag) }
        }
    }

    private func ready(_ event: csystem_ready) {
        let fd = Int32(bitPattern: UInt32(truncatingIfNeeded: event.mark))
        // A call earlier in this round may have changed or removed it.
        guard let watch = watches[fd], watch.generation == UInt32(truncatingIfNeeded: event.mark >> 32) else { return }
        measured("on_fd", watch.client.laneMark.number) { watch.client.laneReady(fd, ready: event.bits) }
    }

    private func runPosts() {
        csystem_bell_clear(bell)
        let (posts, woken) = inbox.withLock { inbox in
            defer {
                inbox.posts.removeAll(keepingCapacity: true)
                inbox.woken.removeAll(keepingCapacity: true)
                inbox.signalled = false
            }
            return (inbox.posts, inbox.woken)
        }
        for post in posts {
            measured(post.what, post.client, post.work)
            if stopping { return }
        }
        for client in woken where client.laneMark.wakePending.exchange(false, ordering: .acquiringAndReleasing) {
            measured("on_wake", client.laneMark.number) { client.laneWoken() }
        }
    }

    private func measured(_ what: StaticString, _ client: UInt64, _ body: () -> Void) {
        let start = Monotonic.now()
        beat.begin(start, client: client, what: what)
        body()
        let took = Monotonic.now() - start
        beat.end()
        guard took >= limits.soft else { return }
        beat.softCount.wrappingAdd(1, ordering: .relaxed)
        guard took >= limits.hard else { return }
        beat.hardCount.wrappingAdd(1, ordering: .relaxed)
        let call = LaneCall(lane: name, instance: nameOf(client), what: "\(what)")
        observer?.laneWasSlow(call, took: took)
        if beat.reportedHang.exchange(0, ordering: .relaxed) == start { observer?.laneRecovered(call, took: took) }
    }

    private func nameOf(_ client: UInt64) -> String { client == 0 ? "" : inbox.withLock { $0.names[client] } ?? "" }

    /// The watchdog's glance, on its own thread.
    func look(_ now: Int64) {
        let began = beat.began.load(ordering: .acquiring)
        guard began != 0, now - began >= limits.hang, beat.reportedHang.load(ordering: .relaxed) != began else { return }
        beat.reportedHang.store(began, ordering: .relaxed)
        let call = LaneCall(lane: name, instance: nameOf(beat.client.load(ordering: .relaxed)), what: beat.label)
        observer?.laneHangs(call, since: now - began)
    }
}

private final class LaneAnswer<T: Sendable>: Sendable {
    let value = Mutex<T?>(nil)
    let gate = Gate()
}

public enum LaneError: Error, Hashable, Sendable, CustomStringConvertible {
    case noDescriptors(lane: String, errno: Int32)
    case noThread(lane: String, errno: Int32)
    case stopped(lane: String)
    case timedOut(LaneCall)

    public var description: String {
        switch self {
        case .noDescriptors(let lane, let code):
            "lane \(lane): no descriptors left (\(String(cString: strerror(code)))); raise the limit of open files (ulimit -n)"
        case .noThread(let lane, let code):
            "lane \(lane): no thread (\(String(cString: strerror(code)))); raise the limit of threads (ulimit -u)"
        case .stopped(let lane): "lane \(lane) is stopped"
        case .timedOut(let call): "\(call) did not return in time on lane \(call.lane)"
        }
    }
}
