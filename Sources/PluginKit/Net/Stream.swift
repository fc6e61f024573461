import CSystem
import Glibc

/// A byte stream over TCP or TLS on a reactor. Never blocks, keeps no thread.
///
/// Exactly one of: `onOpen` and later `onClose`, or only `onClose`. After `onClose` nothing more is called.
public final class Stream {
    public enum State: Equatable, Sendable { case resolving, connecting, securing, open, closed }

    public let endpoint: Endpoint
    public private(set) var state: State
    public var onOpen: () -> Void = {}
    /// New bytes lie in `input`; take what you can use, the rest stays.
    public var onInput: () -> Void = {}
    public var onClose: (NetError) -> Void = { _ in }
    public var input: [UInt8] = []

    /// Bytes waiting to leave at most; a peer that doesn't read is closed, never buffered without end.
    public var outputLimit = 16 << 20

    private let reactor: Reactor
    private var descriptor: Int32 = -1
    private var output: [UInt8] = []
    private var sent = 0
    private var tls: TLSSession?
    private var addresses: [SocketAddress] = []
    private var lastProblem = ""
    private var giveUpResolving: (() -> Void)?
    private var deadline: UInt64?
    private var interest: Readiness = []

    /// Connects. `timeout` bounds everything up to `onOpen`.
    public init(to endpoint: Endpoint, tls options: TLSOptions = TLSOptions(), timeout: Int64 = 10_000_000_000, on reactor: Reactor) {
        self.endpoint = endpoint
        self.reactor = reactor
        state = .resolving
        deadline = reactor.after(timeout) { [weak self] in
            guard let self else { return }
            self.deadline = nil
            let what = self.state == .securing ? "TLS handshake" : self.state == .resolving ? "name look-up" : "connect"
            self.finish(.timedOut(endpoint: "\(endpoint)", what: what))
        }
        if endpoint.isSecure {
            do throws(CryptoError) {
                tls = try TLSSession.client(host: endpoint.host, options: options)
            } catch {
                let problem = NetError.tls(endpoint: "\(endpoint)", why: error.description)
                _ = reactor.after(0) { [weak self] in self?.finish(problem) }
                return
            }
        }
        giveUpResolving = Resolver.resolve(endpoint.host, port: endpoint.port, on: reactor) { [weak self] found, why in
            guard let self, self.state == .resolving else { return }
            self.giveUpResolving = nil
            if found.isEmpty { return self.finish(.unresolved(host: endpoint.host, why: why)) }
            self.addresses = found
            self.connectNext()
        }
    }

    /// Takes over an accepted connection, for servers.
    public init(accepted descriptor: Int32, from name: String, identity: TLSIdentity? = nil, on reactor: Reactor) throws(CryptoError) {
        endpoint = Endpoint(scheme: "tcp", host: name, port: 0)
        self.reactor = reactor
        self.descriptor = descriptor
        state = identity == nil ? .open : .securing
        if let identity {
            tls = try TLSSession.server(identity)
            deadline = reactor.after(10_000_000_000) { [weak self] in
                guard let self else { return }
                self.deadline = nil
                self.finish(.timedOut(endpoint: name, what: "TLS handshake"))
            }
        }
        csystem_set_nonblocking(descriptor, 1)
        noDelay()
        updateInterest()
    }

    deinit {
        giveUpResolving?()
        if let deadline { reactor.cancelTimer(deadline) }
        if descriptor >= 0 {
            reactor.forget(descriptor)
            Glibc.close(descriptor)
        }
    }

    public var peer: String { "\(endpoint)" }

    // MARK: sending and closing

    /// Queues bytes and sends what the network takes now. false: the stream isn't open, nothing was taken.
    @discardableResult
    public func send(_ bytes: [UInt8]) -> Bool {
        guard state == .open else { return false }
        if let tls {
            guard bytes.withUnsafeBytes({ tls.seal($0) }) else {
                finish(.tls(endpoint: peer, why: "the session can't send any more"))
                return false
            }
            tls.takeOutgoing(into: &output)
        } else {
            output.append(contentsOf: bytes)
        }
        flush()
        if output.count - sent > outputLimit { finish(.closed(endpoint: peer, why: "it doesn't read what we send")) }
        return state == .open
    }

    /// Sends what is queued as far as the network takes it now, then closes without calling `onClose`.
    public func close() {
        onClose = { _ in }
        if state == .open, let tls {
            tls.sayGoodbye()
            tls.takeOutgoing(into: &output)
            flush()
        }
        finish(.closed(endpoint: peer, why: "by us"))
    }

    // MARK: connecting

    private func connectNext() {
        guard !addresses.isEmpty else { return finish(.refused(endpoint: peer, why: lastProblem)) }
        var address = addresses.removeFirst()
        state = .connecting
        descriptor = socket(address.family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else {
            lastProblem = String(cString: strerror(errno))
            return connectNext()
        }
        noDelay()
        let result = withUnsafePointer(to: &address.storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(descriptor, $0, address.length) }
        }
        if result == 0 || errno == EINPROGRESS { return updateInterest() }
        tryAnother(errno)
    }

    private func tryAnother(_ code: Int32) {
        lastProblem = String(cString: strerror(code))
        reactor.forget(descriptor)
        interest = []
        Glibc.close(descriptor)
        descriptor = -1
        connectNext()
    }

    /// Orders are small and must leave at once: no waiting for more bytes.
    private func noDelay() {
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    // MARK: readiness

    private func updateInterest() {
        guard descriptor >= 0 else { return }
        var wanted: Readiness = state == .connecting ? [] : [.readable]
        if state == .connecting || sent < output.count { wanted.insert(.writable) }
        if wanted != interest {
            interest = wanted
            reactor.watch(descriptor, wanted) { [weak self] ready in self?.handle(ready) }
        }
    }

    private func handle(_ ready: Readiness) {
        if state == .connecting {
            var code: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length)
            if code != 0 { return tryAnother(code) }
            if tls == nil {
                opened()
            } else {
                state = .securing
                secure()
            }
            return
        }
        if ready.contains(.writable) { flush() }
        if state != .closed, ready.contains(.readable) || ready.contains(.hangup) { receive() }
        if state != .closed { updateInterest() }
    }

    private func opened() {
        if let deadline { reactor.cancelTimer(deadline) }
        deadline = nil
        state = .open
        updateInterest()
        onOpen()
    }

    private func secure() {
        guard let tls, state == .securing else { return }
        let step = tls.advance()
        tls.takeOutgoing(into: &output)
        flush()
        if state == .closed { return }
        switch step {
        case .going: updateInterest()
        case .open: opened()
        case .failed(let why): finish(.tls(endpoint: peer, why: why))
        }
    }

    private func receive() {
        var ended: NetError?
        withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) { buffer in
            // What is left wakes us again; a peer that floods us fills the kernel's memory, not ours.
            var turns = 4
            while state != .closed, turns > 0 {
                turns -= 1
                let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
                if count > 0 {
                    let bytes = UnsafeRawBufferPointer(start: buffer.baseAddress, count: count)
                    if let tls {
                        if !tls.receive(bytes) { ended = .tls(endpoint: peer, why: "out of memory for its bytes") }
                        if state == .securing { secure() }
                        if state == .open {
                            switch tls.open(into: &input) {
                            case .nothing: break
                            case .ended: ended = .closed(endpoint: peer, why: "it said goodbye")
                            case .failed(let why): ended = .tls(endpoint: peer, why: why)
                            }
                            tls.takeOutgoing(into: &output)
                        }
                    } else {
                        input.append(contentsOf: bytes)
                    }
                    // A full buffer may mean more; a short one means the kernel has no more now.
                    if count < buffer.count { break }
                } else if count == 0 {
                    ended = .closed(endpoint: peer, why: state == .securing ? "during the TLS handshake" : "without a word")
                    break
                } else if errno == EAGAIN || errno == EWOULDBLOCK {
                    break
                } else if errno != EINTR {
                    ended = .closed(endpoint: peer, why: String(cString: strerror(errno)))
                    break
                }
                if ended != nil { break }
            }
        }
        if state == .closed { return }
        flush()
        if state == .open, !input.isEmpty { onInput() }
        if let ended, state != .closed { finish(ended) }
    }

    private func flush() {
        guard descriptor >= 0 else { return }
        while sent < output.count {
            let count = output.withUnsafeBytes { bytes in
                Glibc.send(descriptor, bytes.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
            } else if errno == EAGAIN || errno == EWOULDBLOCK {
                break
            } else if errno != EINTR {
                return finish(.closed(endpoint: peer, why: String(cString: strerror(errno))))
            }
        }
        if sent == output.count {
            output.removeAll(keepingCapacity: output.count < 1 << 16)
            sent = 0
        }
        if state == .open || state == .securing { updateInterest() }
    }

    private func finish(_ why: NetError) {
        guard state != .closed else { return }
        state = .closed
        giveUpResolving?()
        giveUpResolving = nil
        if let deadline { reactor.cancelTimer(deadline) }
        deadline = nil
        if descriptor >= 0 {
            reactor.forget(descriptor)
            Glibc.close(descriptor)
            descriptor = -1
        }
        let tell = onClose
        onOpen = {}
        onInput = {}
        onClose = { _ in }
        tell(why)
    }
}
