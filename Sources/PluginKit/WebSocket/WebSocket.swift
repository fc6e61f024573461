/// A WebSocket client connection (RFC 6455) over `Stream`. No extension is offered, so none can be forced on us.
///
/// Exactly one of: `onOpen` and later `onClose`, or only `onClose`. After `onClose` nothing more is called.
public final class WebSocket {
    public struct Options: Sendable {
        public var tls = TLSOptions()
        public var headers: [(name: String, value: String)] = []
        public var protocols: [String] = []
        /// Bounds connecting, TLS and the upgrade together.
        public var timeout: Int64 = 10_000_000_000
        /// A ping goes out after so much silence; without any byte back for `pongTimeout` the connection is dead.
        public var pingInterval: Int64 = 20_000_000_000
        public var pongTimeout: Int64 = 10_000_000_000
        /// How long the other side may take to answer our close.
        public var closeTimeout: Int64 = 2_000_000_000
        public var messageLimit = 16 << 20
        public init() {}
    }

    public enum Ending: Equatable, Sendable, CustomStringConvertible {
        /// The other side, or both in agreement, closed with a code.
        case closed(code: UInt16?, reason: String)
        case failed(NetError)

        public var description: String {
            switch self {
            case .closed(let code, let reason):
                "closed with code \(code.map(String.init) ?? "none")\(reason.isEmpty ? "" : " (\(reason))")"
            case .failed(let error): "\(error)"
            }
        }
    }

    public var onOpen: () -> Void = {}
    public var onText: ([UInt8]) -> Void = { _ in }
    public var onBinary: ([UInt8]) -> Void = { _ in }
    public var onClose: (Ending) -> Void = { _ in }
    public private(set) var isOpen = false
    /// The subprotocol the server chose.
    public private(set) var chosenProtocol: String?
    public let endpoint: Endpoint

    private let stream: Stream
    private let reactor: Reactor
    private let options: Options
    private let key: String
    private var reader: WebSocketReader
    private var timer: UInt64?
    private var lastReceived: Int64
    private var pinged = false
    private var closing = false
    private var ended = false

    public init(_ endpoint: Endpoint, options: Options = Options(), on reactor: Reactor) {
        self.endpoint = endpoint
        self.reactor = reactor
        self.options = options
        key = Base64.encode(randomBytes(16))
        reader = WebSocketReader(isServer: false, limit: options.messageLimit)
        lastReceived = reactor.now()
        stream = Stream(to: endpoint, tls: options.tls, timeout: options.timeout, on: reactor)
        stream.onOpen = { [weak self] in self?.askForUpgrade() }
        stream.onInput = { [weak self] in self?.receive() }
        stream.onClose = { [weak self] why in self?.finish(.failed(why)) }
        timer = reactor.after(options.timeout) { [weak self] in
            guard let self else { return }
            self.timer = nil
            self.finish(.failed(.timedOut(endpoint: "\(endpoint)", what: "WebSocket upgrade")))
        }
    }

    deinit {
        if let timer { reactor.cancelTimer(timer) }
    }

    // MARK: sending

    /// false: not open, nothing was sent.
    @discardableResult
    public func send(text: some Collection<UInt8>) -> Bool { sendFrame(.text, text) }
    @discardableResult
    public func send(text: String) -> Bool { sendFrame(.text, text.utf8) }
    @discardableResult
    public func send(binary: some Collection<UInt8>) -> Bool { sendFrame(.binary, binary) }
    @discardableResult
    public func ping(_ payload: [UInt8] = []) -> Bool { sendFrame(.ping, payload.prefix(125)) }

    private func sendFrame(_ opcode: WebSocketOpcode, _ payload: some Collection<UInt8>) -> Bool {
        guard isOpen, !closing else { return false }
        return stream.send(webSocketFrame(opcode, payload, mask: randomMask()))
    }

    /// Starts an orderly close; `onClose` follows.
    public func close(code: UInt16 = 1000, reason: String = "") {
        guard isOpen, !closing else {
            if !isOpen { finish(.failed(.closed(endpoint: "\(endpoint)", why: "by us before it opened"))) }
            return
        }
        closing = true
        stream.send(webSocketFrame(.close, closePayload(code, reason), mask: randomMask()))
        rearm(options.closeTimeout) { [weak self] in self?.finish(.closed(code: code, reason: "the other side didn't answer our close")) }
    }

    // MARK: upgrade

    private func askForUpgrade() {
        var lines = ["GET \(endpoint.target) HTTP/1.1", "Host: \(endpoint.authority)", "Upgrade: websocket", "Connection: Upgrade"]
        lines += ["Sec-WebSocket-Key: \(key)", "Sec-WebSocket-Version: 13"]
        if !options.protocols.isEmpty { lines.append("Sec-WebSocket-Protocol: \(options.protocols.joined(separator: ", "))") }
        for header in options.headers {
            guard isHeaderSafe(header.name), isHeaderSafe(header.value) else {
                return finish(.failed(.badAddress("header \(header.name) has a control character")))
            }
            lines.append("\(header.name): \(header.value)")
        }
        stream.send(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8))
    }

    private func checkUpgrade(_ head: HTTPHead) -> String? {
        guard head.status == 101 else { return "it answered HTTP \(head.status) \(head.reason) to the upgrade" }
        guard head["upgrade"]?.lowercased() == "websocket" else { return "no \"Upgrade: websocket\" in its answer" }
        guard head.tokens("connection").contains("upgrade") else { return "no \"Connection: Upgrade\" in its answer" }
        guard let accept = head["sec-websocket-accept"], accept == webSocketAccept(key) else { return "its Sec-WebSocket-Accept doesn't fit our key" }
        if let extensions = head["sec-websocket-extensions"], !extensions.isEmpty { return "it chose an extension that wasn't offered: \(extensions)" }
        if let chosen = head["sec-websocket-protocol"] {
            guard options.protocols.contains(chosen) else { return "it chose a subprotocol that wasn't offered: \(chosen)" }
            chosenProtocol = chosen
        }
        return nil
    }

    // MARK: receiving

    private func receive() {
        lastReceived = reactor.now()
        pinged = false
        if !isOpen {
            do throws(HTTPViolation) {
                guard let (head, used) = try HTTPHead.parseResponse(stream.input) else { return }
                stream.input.removeFirst(used)
                if let problem = checkUpgrade(head) { return finish(.failed(.malformed(endpoint: "\(endpoint)", why: problem))) }
            } catch {
                return finish(.failed(.malformed(endpoint: "\(endpoint)", why: error.description)))
            }
            isOpen = true
            watchSilence()
            onOpen()
        }
        var used = 0
        do throws(WebSocketViolation) {
            while !ended, let message = try reader.next(stream.input, from: &used) { handle(message) }
        } catch {
            if !ended {
                stream.send(webSocketFrame(.close, closePayload(error.closeCode, ""), mask: randomMask()))
                return finish(.failed(.malformed(endpoint: "\(endpoint)", why: error.description)))
            }
        }
        if !ended, used > 0 { stream.input.removeFirst(used) }
    }

    private func handle(_ message: WebSocketMessage) {
        switch message {
        case .text(let bytes): if !closing { onText(bytes) }
        case .binary(let bytes): if !closing { onBinary(bytes) }
        case .ping(let bytes): _ = sendFrame(.pong, bytes)
        case .pong: break
        case .close(let code, let reason):
            if !closing { stream.send(webSocketFrame(.close, code.map { closePayload($0, "") } ?? [], mask: randomMask())) }
            finish(.closed(code: code, reason: String(decoding: reason, as: UTF8.self)))
        }
    }

    // MARK: liveness

    private func watchSilence() {
        rearm(options.pingInterval) { [weak self] in self?.checkSilence() }
    }

    private func checkSilence() {
        let silence = reactor.now() &- lastReceived
        if pinged {
            return finish(.failed(.timedOut(endpoint: "\(endpoint)", what: "no byte for \(silence / 1_000_000) ms, a ping unanswered")))
        }
        if silence >= options.pingInterval {
            pinged = true
            ping()
            rearm(options.pongTimeout) { [weak self] in
                guard let self else { return }
                if self.pinged { self.checkSilence() } else { self.watchSilence() }
            }
        } else {
            rearm(options.pingInterval &- silence) { [weak self] in self?.checkSilence() }
        }
    }

    private func rearm(_ delay: Int64, _ handler: @escaping () -> Void) {
        if let timer { reactor.cancelTimer(timer) }
        timer = reactor.after(delay) { [weak self] in
            self?.timer = nil
            handler()
        }
    }

    private func finish(_ ending: Ending) {
        guard !ended else { return }
        ended = true
        isOpen = false
        if let timer { reactor.cancelTimer(timer) }
        timer = nil
        stream.close()
        let tell = onClose
        onOpen = {}
        onText = { _ in }
        onBinary = { _ in }
        onClose = { _ in }
        tell(ending)
    }
}

/// What the server must answer to a key: RFC 6455 section 4.2.2.
public func webSocketAccept(_ key: String) -> String? {
    guard let hash = try? Digest.sha1.hash((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8) else { return nil }
    return Base64.encode(hash)
}

func closePayload(_ code: UInt16, _ reason: String) -> [UInt8] {
    [UInt8(code >> 8), UInt8(code & 255)] + Array(reason.utf8.prefix(120))
}

/// From the kernel: masks and keys must not be guessable, and nothing that is replayed depends on them.
func randomBytes(_ count: Int) -> [UInt8] {
    var source = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &source) }
}

func randomMask() -> UInt32 {
    var source = SystemRandomNumberGenerator()
    return UInt32.random(in: .min ... .max, using: &source)
}
