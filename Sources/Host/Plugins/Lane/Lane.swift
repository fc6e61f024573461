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
    private let signal: Int32
    private let alarm: Int32
    private static let signalMark = UInt64.max
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
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC.rawValue))
        signal = eventfd(0, Int32(EFD_CLOEXEC.rawValue | EFD_NONBLOCK.rawValue))
        alarm = timerfd_create(CLOCK_MONOTONIC, Int32(TFD_CLOEXEC.rawValue | TFD_NONBLOCK.rawValue))
        guard epoll >= 0, signal >= 0, alarm >= 0 else { throw .noDescriptors(lane: name, errno: errno) }
        for (fd, mark) in [(signal, Self.signalMark), (alarm, Self.alarmMark)] {
            var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(u64: mark))
            guard epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0 else { throw .noDescriptors(lane: name, errno: errno) }
        }
        guard startThread(name: name, { [self] in run() }) else { throw .noThread(lane: name, errno: errno) }
        Watchdog.shared.add(self)
    }

    deinit {
        for fd in [epoll, signal, alarm] where fd >= 0 { close(fd) }
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
        final class Answer: Sendable {
            let value = Mutex<T?>(nil)
            let gate = Gate()
        }
        let answer = Answer()
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

    private func ring() {
        var one: UInt64 = 1
        _ = write(signal, &one, 8)
    }

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
            _ = epoll_ctl(epoll, EPOLL_CTL_DEL, fd, nil)
            return KEEL_OK
        }
        if watches[fd] == nil, watches.values.count(where: { $0.client === client }) >= LaneBounds.watches { return KEEL_E_AGAIN }
        generation &+= 1
        var event = epoll_event(
            events: (interest & KEEL_READABLE != 0 ? EPOLLIN.rawValue | EPOLLRDHUP.rawValue : 0)
                | (interest & KEEL_WRITABLE != 0 ? EPOLLOUT.rawValue : 0),
            data: epoll_data_t(u64: UInt64(generation) << 32 | UInt64(UInt32(bitPattern: fd))))
        // The descriptor may have been closed and opened again under the same number without a word to us.
        var result = epoll_ctl(epoll, watches[fd] == nil ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event)
        if result != 0, errno == ENOENT { result = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) }
        if result != 0, errno == EEXIST { result = epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) }
        guard result == 0 else {
            let unsupported = errno == EPERM
            watches[fd] = nil
            return unsupported ? KEEL_E_UNSUPPORTED : KEEL_E_INVALID
        }
        watches[fd] = Watch(client: client, generation: generation, interest: interest)
        return KEEL_OK
    }

    public func forget(_ client: any LaneClient) {
        timers.removeAll(of: client)
        for (fd, watch) in watches where watch.client === client {
            _ = epoll_ctl(epoll, EPOLL_CTL_DEL, fd, nil)
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
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while !stopping {
            arm()
            let count = events.withUnsafeMutableBufferPointer { epoll_wait(epoll, $0.baseAddress, 64, -1) }
            if count < 0 {
                if errno == EINTR { continue }
                break
            }
            var due = false
            for event in events.prefix(Int(count)) {
                switch event.data.u64 {
                case Self.signalMark: runPosts()
                case Self.alarmMark:
                    var ignored: UInt64 = 0
                    _ = read(alarm, &ignored, 8)
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
        let at = next == 0 ? 0 : max(1, next)
        var when = itimerspec()
        when.it_value = timespec(tv_sec: Int(at / 1_000_000_000), tv_nsec: Int(at % 1_000_000_000))
        timerfd_settime(alarm, Int32(TFD_TIMER_ABSTIME.rawValue), &when, nil)
    }

    private func runTimers() {
        armed = 0
        let now = Monotonic.now()
        while !stopping, let timer = timers.takeDue(now) {
            measured("on_timer", timer.client.laneMark.number) { timer.client.laneTimer(timer.id, tag: timer.tag) }
        }
    }

    private func ready(_ event: epoll_event) {
        let fd = Int32(bitPattern: UInt32(truncatingIfNeeded: event.data.u64))
        // A call earlier in this round may have changed or removed it.
        guard let watch = watches[fd], watch.generation == UInt32(truncatingIfNeeded: event.data.u64 >> 32) else { return }
        var bits: UInt32 = 0
        if event.events & EPOLLIN.rawValue != 0 { bits |= KEEL_READABLE }
        if event.events & EPOLLOUT.rawValue != 0 { bits |= KEEL_WRITABLE }
        if event.events & (EPOLLHUP.rawValue | EPOLLERR.rawValue | EPOLLRDHUP.rawValue) != 0 { bits |= KEEL_HANGUP }
        measured("on_fd", watch.client.laneMark.number) { watch.client.laneReady(fd, ready: bits) }
    }

    private func runPosts() {
        var ignored: UInt64 = 0
        _ = read(signal, &ignored, 8)
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
