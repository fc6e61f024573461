import PluginKit

/// Times of a line, all nanoseconds.
public struct LineTimes: Equatable, Sendable {
    /// A connection older than this is replaced; the venue cuts at 24 hours.
    public var replaceAfter: Int64 = 23 * 3_600_000_000_000
    /// How long a replacement may take to hear every stream before it takes over all the same.
    public var overlap: Int64 = 30_000_000_000
    /// The first and the longest pause before another attempt.
    public var firstPause: Int64 = 250_000_000
    public var longestPause: Int64 = 30_000_000_000
    /// An attempt that isn't open by then is over.
    public var opening: Int64 = 15_000_000_000

    public init() {}
}

/// One connection's worth of streams: keeps it open, subscribes, replaces it before the venue ends it, and comes back when it breaks.
///
/// The replacement is opened while the old connection still delivers; both are heard until each stream has come through the new one.
/// What comes twice is left out further on, by the numbers of the messages.
final class StreamLine {
    /// One socket. `serial` is never used twice.
    final class Link {
        let serial: Int
        let socket: any StreamSocket
        let madeAt: Int64
        var openedAt: Int64 = 0
        /// What the venue has been asked for on this connection; what it lacks of the wanted streams is asked for as its message limit allows.
        var asked: Set<StreamKey> = []
        var unanswered: [Int64: [StreamKey]] = [:]
        /// Nothing is left to be asked for.
        var isSettled = true
        var budget: MessageBudget
        var pacing: UInt64?
        var heardAny = false
        var isOpen: Bool { openedAt != 0 }

        init(serial: Int, socket: any StreamSocket, product: Product, at now: Int64) {
            self.serial = serial
            self.socket = socket
            madeAt = now
            budget = MessageBudget(product)
        }
    }

    enum State: Equatable { case new, up, down(String) }

    let name: String
    let path: StreamPath
    let product: Product
    let reactor: any Reactor
    let times: LineTimes
    private(set) var streams: [StreamKey] = []
    private var place: [StreamKey: Int] = [:]
    private(set) var current: Link?
    private(set) var next: Link?
    private(set) var state: State = .new
    /// After a stale stream an open socket proves nothing: only data does.
    private var needsData = false
    private var pause: Int64
    private var retry: UInt64?
    private var opening: UInt64?
    private var nextID: Int64 = 1
    private(set) var attempts = 0
    private(set) var replacements = 0
    /// Streams that are promised to it and not added yet.
    var reserved = 0
    /// The last ending was ours: a stream was silent.
    private(set) var isStale = false
    private var ended = false
    /// A replacement that fails isn't tried again at once.
    private var replaceNotBefore: Int64 = 0

    private let connect: (StreamPath) throws(PluginError) -> any StreamSocket
    private let serial: () -> Int
    var onMessage: ([UInt8], Int) -> Void = { _, _ in }
    /// A connection stands; nothing is subscribed yet. false: it is the replacement of one that still delivers.
    var onOpened: (_ connection: Int, _ isFirst: Bool) -> Void = { _, _ in }
    /// The streams of this connection are subscribed as far as the venue says: what was missed can be fetched.
    var onSubscribed: (_ streams: [StreamKey], _ connection: Int) -> Void = { _, _ in }
    var onRefused: (_ streams: [StreamKey], _ why: String) -> Void = { _, _ in }
    /// Up or down; nil why: up.
    var onState: (_ down: String?) -> Void = { _ in }
    /// A connection is gone for good, by plan or by accident.
    var onGone: (_ connection: Int) -> Void = { _ in }
    /// Whether each stream has been heard on that connection, or the market says there was nothing to hear.
    var isHeard: (_ stream: StreamKey, _ connection: Int) -> Bool = { _, _ in true }

    init(
        name: String, path: StreamPath, product: Product, times: LineTimes, on reactor: any Reactor, serial: @escaping () -> Int,
        connect: @escaping (StreamPath) throws(PluginError) -> any StreamSocket
    ) {
        self.name = name
        self.path = path
        self.product = product
        self.times = times
        self.reactor = reactor
        self.serial = serial
        self.connect = connect
        pause = times.firstPause
    }

    // MARK: streams

    func contains(_ stream: StreamKey) -> Bool { place[stream] != nil }

    func add(_ new: [StreamKey]) {
        let fresh = new.filter { place[$0] == nil }
        if fresh.isEmpty { return }
        for stream in fresh {
            place[stream] = streams.count
            streams.append(stream)
        }
        if current == nil, retry == nil { return open() }
        settleAll()
    }

    func remove(_ old: [StreamKey]) {
        let known = old.filter { place[$0] != nil }
        if known.isEmpty { return }
        for stream in known {
            guard let at = place.removeValue(forKey: stream) else { continue }
            let last = streams.removeLast()
            if at < streams.count {
                streams[at] = last
                place[last] = at
            }
        }
        if streams.isEmpty { return close() }
        settleAll()
    }

    private func settleAll() {
        for link in [current, next] {
            guard let link, link.isOpen else { continue }
            link.isSettled = false
            settle(link)
        }
    }

    /// Nobody wants anything any more: no connection is kept.
    private func close() {
        stopTimers()
        for link in [current, next] { link.map { drop($0) } }
        current = nil
        next = nil
        state = .new
        needsData = false
        pause = times.firstPause
    }

    func end() {
        ended = true
        close()
    }

    // MARK: connecting

    private func open() {
        guard !ended, !streams.isEmpty, current == nil else { return }
        do throws(PluginError) {
            current = try makeLink()
        } catch {
            wentDown(error.message)
            pause = min(max(pause, error.retryAfter), 300_000_000_000)
            scheduleRetry()
        }
    }

    private func makeLink() throws(PluginError) -> Link {
        attempts += 1
        let now = reactor.now()
        let link = Link(serial: serial(), socket: try connect(path), product: product, at: now)
        let serial = link.serial
        link.socket.onOpen = { [weak self] in self?.opened(serial) }
        link.socket.onText = { [weak self] bytes in self?.text(bytes, serial) }
        link.socket.onEnd = { [weak self] why in self?.broke(serial, why) }
        return link
    }

    private func link(_ serial: Int) -> Link? {
        if current?.serial == serial { return current }
        return next?.serial == serial ? next : nil
    }

    private func opened(_ serial: Int) {
        guard let link = link(serial) else { return }
        link.openedAt = reactor.now()
        link.isSettled = false
        onOpened(serial, link === current)
        settle(link)
    }

    /// Streams of one message; the venue limits its length as well as its rate.
    private static let mostInMessage = 100

    /// Brings the connection's subscriptions to what is wanted. What comes and goes before its turn is never asked for.
    private func settle(_ link: Link) {
        guard link.pacing == nil else { return }
        while !link.isSettled {
            let now = reactor.now()
            let wait = link.budget.wait(at: now)
            if wait > 0 {
                let serial = link.serial
                link.pacing = reactor.after(wait) { [weak self] in
                    guard let self, let link = self.link(serial) else { return }
                    link.pacing = nil
                    self.settle(link)
                }
                return
            }
            let extra = Array(link.asked.lazy.filter { self.place[$0] == nil }.prefix(Self.mostInMessage))
            let lacking = extra.isEmpty ? Array(streams.lazy.filter { !link.asked.contains($0) }.prefix(Self.mostInMessage)) : []
            if extra.isEmpty, lacking.isEmpty {
                link.isSettled = true
                return
            }
            link.budget.spend(at: now)
            link.unanswered[nextID] = lacking
            link.asked.subtract(extra)
            link.asked.formUnion(lacking)
            let message = controlMessage(extra.isEmpty ? "SUBSCRIBE" : "UNSUBSCRIBE", extra.isEmpty ? lacking : extra, id: nextID)
            nextID += 1
            if !link.socket.send(message) { return }
        }
    }

    private func text(_ bytes: [UInt8], _ serial: Int) {
        guard link(serial) != nil else { return }
        onMessage(bytes, serial)
    }

    /// Market data came through this connection.
    func heard(on serial: Int) {
        guard let link = link(serial) else { return }
        if !link.heardAny {
            link.heardAny = true
            if link === current { cameUp() }
        }
    }

    /// The venue's word that it has understood. It says nothing about data.
    func answered(_ id: Int64, on serial: Int, refused: String?) {
        guard let link = link(serial), let asked = link.unanswered.removeValue(forKey: id), !asked.isEmpty else { return }
        let wanted = asked.filter { place[$0] != nil }
        if let refused { return onRefused(wanted, refused) }
        onSubscribed(wanted, serial)
        if link === current, !needsData { cameUp() }
    }

    private func cameUp() {
        needsData = false
        pause = times.firstPause
        if state == .up { return }
        state = .up
        onState(nil)
    }

    private func wentDown(_ why: String) {
        if case .down = state { return }
        state = .down(why)
        onState(why)
    }

    // MARK: endings

    private func broke(_ serial: Int, _ why: String) {
        guard let link = link(serial) else { return }
        if link === next {
            // The replacement failed; the old one goes on, and the next look tries again.
            drop(link)
            next = nil
            return
        }
        drop(link)
        current = nil
        if let next, next.isOpen {
            // The old one went before the switch: the new one carries on.
            take(next)
            return
        }
        if let next { drop(next) }
        next = nil
        wentDown(why)
        scheduleRetry()
    }

    private func scheduleRetry() {
        guard retry == nil, !ended, !streams.isEmpty else { return }
        let wait = pause
        pause = min(pause * 2, times.longestPause)
        retry = reactor.after(wait) { [weak self] in
            self?.retry = nil
            self?.open()
        }
    }

    private func drop(_ link: Link) {
        if let pacing = link.pacing { reactor.cancelTimer(pacing) }
        link.pacing = nil
        link.socket.onOpen = {}
        link.socket.onText = { _ in }
        link.socket.onEnd = { _ in }
        link.socket.close()
        onGone(link.serial)
    }

    private func stopTimers() {
        if let retry { reactor.cancelTimer(retry) }
        retry = nil
    }

    private func take(_ link: Link) {
        current = link
        next = nil
        replacements += 1
        if link.heardAny { cameUp() }
    }

    /// Streams are silent that should speak: the connection can't be trusted, whatever its socket says.
    func stale(_ why: String) {
        guard current != nil else { return }
        isStale = true
        wentDown(why)
        isStale = false
        needsData = true
        for link in [current, next] { link.map { drop($0) } }
        current = nil
        next = nil
        scheduleRetry()
    }

    /// The venue said that it will end this connection, or its time is over soon.
    func replace() {
        guard let current, current.isOpen, next == nil, !ended, reactor.now() >= replaceNotBefore else { return }
        replaceNotBefore = reactor.now() + times.overlap
        // Not now: the venue's limit of new connections. The old one goes on, and the next look tries again.
        next = try? makeLink()
    }

    /// To be called about once a second.
    func look() {
        let now = reactor.now()
        if let current, !current.isOpen, now - current.madeAt >= times.opening { return broke(current.serial, "it did not open in time") }
        if let next, !next.isOpen, now - next.madeAt >= times.opening { return broke(next.serial, "it did not open in time") }
        guard let current, current.isOpen else { return }
        if let next {
            guard next.isOpen else { return }
            let complete = next.isSettled && next.unanswered.isEmpty && streams.allSatisfy { isHeard($0, next.serial) }
            if complete || now - next.openedAt >= times.overlap {
                drop(current)
                take(next)
            }
        } else if now - current.openedAt >= times.replaceAfter {
            replace()
        }
    }
}
