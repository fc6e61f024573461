import PluginKit

/// A WebSocket that is kept up: it comes back after a loss with growing pauses, and is replaced before the venue ends it,
/// the new one first and the old one after, so that nothing is missed between them.
///
/// The owner answers `onOpen` by subscribing on the socket it is given and calls `ready` once that is done. During a
/// replacement texts of both sockets come: whoever reads them has to take each thing once.
public final class ManagedSocket {
    /// A new connection stands: subscribe on it, then call `ready`.
    public var onOpen: (WebSocket) -> Void = { _ in }
    public var onText: (WebSocket, [UInt8]) -> Void = { _, _ in }
    /// Up (the first one is ready) or down (the last one is gone), and why.
    public var onState: (Bool, String) -> Void = { _, _ in }
    /// A connection ended: whatever waits for an answer on it has none.
    public var onGone: (WebSocket, String) -> Void = { _, _ in }

    /// The one to send on; nil while down.
    public private(set) var current: WebSocket?
    private var coming: WebSocket?
    private let venue: Venue
    private let route: () -> Route?
    private let life: Int64
    /// Connections that became ready, over the life of this one.
    public private(set) var opened = 0
    private var attempts = 0
    private var retry: UInt64?
    private var replacing: UInt64?
    private var patience: UInt64?
    private var stopped = true

    /// Binance ends a connection after 24 hours; this one leaves earlier.
    public static let usualLife: Int64 = 85_800_000_000_000  // 23 h 50 min
    /// A connection that isn't ready by then is given up.
    static let readyWithin: Int64 = 15_000_000_000
    /// How long the old one goes on after the new one is ready.
    static let overlap: Int64 = 2_000_000_000

    public init(_ venue: Venue, life: Int64 = ManagedSocket.usualLife, route: @escaping () -> Route?) {
        self.venue = venue
        self.life = life
        self.route = route
    }

    public var isUp: Bool { current != nil }

    public func start() {
        guard stopped else { return }
        stopped = false
        attempts = 0
        open()
    }

    public func stop() {
        stopped = true
        for timer in [retry, replacing, patience] { if let timer { venue.reactor.cancelTimer(timer) } }
        retry = nil
        replacing = nil
        patience = nil
        for socket in [current, coming] {
            socket?.onClose = { _ in }
            socket?.onText = { _ in }
            socket?.close()
        }
        current = nil
        coming = nil
    }

    /// The subscriptions on this socket stand.
    public func ready(_ socket: WebSocket) {
        guard !stopped, coming === socket else { return }
        if let patience { venue.reactor.cancelTimer(patience) }
        patience = nil
        coming = nil
        let old = current
        current = socket
        opened += 1
        attempts = 0
        if let replacing { venue.reactor.cancelTimer(replacing) }
        replacing = venue.reactor.after(life) { [weak self] in
            self?.replacing = nil
            self?.replace()
        }
        if let old {
            // The old one may still carry what the new one came too late for.
            _ = venue.reactor.after(ManagedSocket.overlap) { old.close() }
        } else {
            onState(true, "")
        }
    }

    /// Opens a second connection and moves over to it: serverShutdown, or the end of a connection's day.
    public func replace() {
        guard !stopped, coming == nil, retry == nil else { return }
        open()
    }

    /// It is open but of no use (silent, refused): drop it and connect anew.
    public func drop(_ why: String) {
        guard let socket = current else { return }
        socket.onClose = { _ in }
        socket.onText = { _ in }
        socket.close()
        ended(socket, why)
    }

    private func open() {
        guard !stopped else { return }
        if let until = venue.take(.connections, 1, .settle) { return again(after: until) }
        guard let route = route() else { return again(after: nil) }
        do throws(PluginError) {
            let socket = try venue.dialer.socket(route, pingInterval: venue.endpoints.product == .spot ? 30_000_000_000 : 60_000_000_000)
            coming = socket
            socket.onOpen = { [weak self, weak socket] in
                guard let self, let socket else { return }
                self.onOpen(socket)
            }
            socket.onText = { [weak self, weak socket] bytes in
                guard let self, let socket else { return }
                self.onText(socket, bytes)
            }
            socket.onClose = { [weak self, weak socket] ending in
                guard let self, let socket else { return }
                self.ended(socket, "\(ending)")
            }
            patience = venue.reactor.after(ManagedSocket.readyWithin) { [weak self, weak socket] in
                guard let self, let socket, self.coming === socket else { return }
                self.patience = nil
                socket.onClose = { _ in }
                socket.close()
                self.ended(socket, "not ready within \(ManagedSocket.readyWithin / 1_000_000_000) s")
            }
        } catch {
            venue.log(.error, error.message)
        }
    }

    private func ended(_ socket: WebSocket, _ why: String) {
        guard !stopped else { return }
        onGone(socket, why)
        if coming === socket {
            coming = nil
            if let patience { venue.reactor.cancelTimer(patience) }
            patience = nil
            again(after: nil)
        } else if current === socket {
            current = nil
            if let replacing { venue.reactor.cancelTimer(replacing) }
            replacing = nil
            onState(false, why)
            if coming == nil, retry == nil { again(after: nil) }
        }
    }

    /// 0.2 s, then twice as long each time up to 30 s. A budget says itself when it is free again.
    private func again(after until: Int64?) {
        guard !stopped, retry == nil else { return }
        let pause = min(Int64(200_000_000) << Int64(min(attempts, 8)), 30_000_000_000)
        attempts += 1
        let wait = until.map { max(pause, ($0 - venue.milliseconds) * 1_000_000) } ?? pause
        retry = venue.reactor.after(wait) { [weak self] in
            self?.retry = nil
            self?.open()
        }
    }
}
