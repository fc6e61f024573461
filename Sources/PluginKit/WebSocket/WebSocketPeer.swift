/// The server's side of a WebSocket connection: takes over an HTTP connection whose request asks for the upgrade.
/// For stand-in venues and tests. No extension is agreed to.
public final class WebSocketPeer {
    public var onText: ([UInt8]) -> Void = { _ in }
    public var onBinary: ([UInt8]) -> Void = { _ in }
    public var onPing: ([UInt8]) -> Void = { _ in }
    public var onPong: ([UInt8]) -> Void = { _ in }
    /// Called once, whoever ended it; nothing is called after it.
    public var onClose: () -> Void = {}
    public private(set) var isOpen = true

    private let connection: HTTPConnection
    private var reader: WebSocketReader
    private var reading = false

    /// nil: the request isn't a WebSocket upgrade; nothing was answered.
    public init?(_ request: HTTPServer.Request, messageLimit: Int = 1 << 20) {
        let head = request.head
        guard head.method == "GET", head["upgrade"]?.lowercased() == "websocket", head.tokens("connection").contains("upgrade"),
            head["sec-websocket-version"] == "13", let key = head["sec-websocket-key"], let accept = webSocketAccept(key)
        else { return nil }
        connection = request.connection
        reader = WebSocketReader(isServer: true, limit: messageLimit)
        connection.send(Array("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(accept)\r\n\r\n".utf8))
        connection.onGone = { [weak self] in self?.finish() }
        connection.handOver { [weak self] _ in self?.receive() }
    }

    /// Frames that came together with the upgrade are read now: call it when the handlers are set.
    public func begin() { receive() }

    @discardableResult
    public func send(text: some Collection<UInt8>) -> Bool { sendFrame(.text, text) }
    @discardableResult
    public func send(text: String) -> Bool { sendFrame(.text, text.utf8) }
    @discardableResult
    public func send(binary: some Collection<UInt8>) -> Bool { sendFrame(.binary, binary) }
    /// Bytes as they are, whole frames or not: for stand-ins that misbehave.
    @discardableResult
    public func send(raw: [UInt8]) -> Bool { isOpen && connection.stream.send(raw) }
    @discardableResult
    public func ping(_ payload: [UInt8] = []) -> Bool { sendFrame(.ping, payload.prefix(125)) }

    private func sendFrame(_ opcode: WebSocketOpcode, _ payload: some Collection<UInt8>) -> Bool {
        guard isOpen else { return false }
        return connection.stream.send(webSocketFrame(opcode, payload, mask: nil))
    }

    /// Says why and closes.
    public func close(code: UInt16 = 1000, reason: String = "") {
        guard isOpen else { return }
        connection.stream.send(webSocketFrame(.close, closePayload(code, reason), mask: nil))
        drop()
    }

    /// Closes without a word, as a broken network does.
    public func drop() {
        guard isOpen else { return }
        connection.close()
        finish()
    }

    private func receive() {
        guard isOpen, !reading else { return }
        reading = true
        defer { reading = false }
        var used = 0
        do throws(WebSocketViolation) {
            while isOpen, let message = try reader.next(connection.stream.input, from: &used) { handle(message) }
        } catch {
            return close(code: error.closeCode)
        }
        if isOpen, used > 0 { connection.stream.input.removeFirst(used) }
    }

    private func handle(_ message: WebSocketMessage) {
        switch message {
        case .text(let bytes): onText(bytes)
        case .binary(let bytes): onBinary(bytes)
        case .ping(let bytes):
            _ = sendFrame(.pong, bytes)
            onPing(bytes)
        case .pong(let bytes): onPong(bytes)
        case .close(let code, _): close(code: code ?? 1000)
        }
    }

    private func finish() {
        guard isOpen else { return }
        isOpen = false
        let tell = onClose
        onText = { _ in }
        onBinary = { _ in }
        onPing = { _ in }
        onPong = { _ in }
        onClose = {}
        tell()
    }
}
