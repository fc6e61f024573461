/// An HTTP/1.1 server on a reactor, for stand-in venues, dashboards and tests. Loopback only.
public final class HTTPServer {
    public struct Request {
        public let head: HTTPHead
        public let body: [UInt8]
        public let connection: HTTPConnection
        /// The target without its query.
        public var path: String { String(head.target.prefix { $0 != "?" }) }
        /// The raw query, without the question mark.
        public var query: String { head.target.firstIndex(of: "?").map { String(head.target[head.target.index(after: $0)...]) } ?? "" }
    }

    public private(set) var listener: Listener?
    private let reactor: Reactor
    private let identity: TLSIdentity?
    private let handler: (Request) -> Void
    private var connections: [ObjectIdentifier: HTTPConnection] = [:]
    public var port: UInt16 { listener?.port ?? 0 }

    public init(port: UInt16, identity: TLSIdentity? = nil, on reactor: Reactor, _ handler: @escaping (Request) -> Void) throws(NetError) {
        self.reactor = reactor
        self.identity = identity
        self.handler = handler
        listener = try Listener(port: port, on: reactor) { [weak self] descriptor in self?.accept(descriptor) }
    }

    private func accept(_ descriptor: Int32) {
        guard let connection = try? HTTPConnection(descriptor, identity: identity, on: reactor, handler) else { return }
        let key = ObjectIdentifier(connection)
        connections[key] = connection
        connection.onEnd = { [weak self] in self?.connections[key] = nil }
    }
}

/// One client of an `HTTPServer`. Requests are handled one after the other; each is answered once.
public final class HTTPConnection {
    public let stream: Stream
    var onEnd: () -> Void = {}
    /// Called when the client goes away, also in the middle of an answer.
    public var onGone: () -> Void = {}
    private let handler: (HTTPServer.Request) -> Void
    private var head: HTTPHead?
    private var body: HTTPBodyReader?
    private var answering = false
    private var closesAfter = false
    private var handedOver = false

    init(_ descriptor: Int32, identity: TLSIdentity?, on reactor: Reactor, _ handler: @escaping (HTTPServer.Request) -> Void) throws(CryptoError) {
        self.handler = handler
        stream = try Stream(accepted: descriptor, from: "client", identity: identity, on: reactor)
        stream.onInput = { [weak self] in self?.receive() }
        stream.onClose = { [weak self] _ in self?.ended() }
    }

    private func ended() {
        onGone()
        onGone = {}
        onEnd()
    }

    private func receive() {
        guard !answering, !handedOver else { return }
        do throws(HTTPViolation) {
            var used = 0
            if head == nil {
                guard let (parsed, count) = try HTTPHead.parseRequest(stream.input) else { return }
                stream.input.removeFirst(count)
                head = parsed
                body = try HTTPBodyReader(parsed, isResponse: false)
                if parsed["expect"]?.lowercased() == "100-continue" { stream.send(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)) }
            }
            let done = try body?.take(stream.input, from: &used) ?? false
            stream.input.removeFirst(used)
            guard done, let head, let body else { return }
            closesAfter = head.tokens("connection").contains("close") || head.minorVersion == 0
            answering = true
            handler(HTTPServer.Request(head: head, body: body.body, connection: self))
        } catch {
            respond(400, body: Array("\(error)\n".utf8), type: "text/plain")
            close()
        }
    }

    public func respond(_ status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = [], type: String = "application/json") {
        var text = "HTTP/1.1 \(status) \(HTTPConnection.reason(status))\r\nContent-Type: \(type)\r\nContent-Length: \(body.count)\r\n"
        for header in headers { text += "\(header.name): \(header.value)\r\n" }
        if closesAfter { text += "Connection: close\r\n" }
        stream.send(Array((text + "\r\n").utf8) + body)
        finishAnswer()
    }

    /// Raw bytes of an answer in pieces; end with `finishAnswer`.
    public func send(_ bytes: [UInt8]) { stream.send(bytes) }

    /// The answer is complete: the next request is taken.
    public func finishAnswer() {
        head = nil
        body = nil
        answering = false
        if closesAfter { return close() }
        if !stream.input.isEmpty { receive() }
    }

    public func close() {
        stream.close()
        ended()
    }

    /// The connection changes its protocol (WebSocket): bytes go to `onInput` from now on.
    public func handOver(_ onInput: @escaping (Stream) -> Void) {
        handedOver = true
        stream.onInput = { [weak self] in
            guard let self else { return }
            onInput(self.stream)
        }
    }

    public static func reason(_ status: Int) -> String {
        switch status {
        case 101: "Switching Protocols"
        case 200: "OK"
        case 204: "No Content"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 402: "Payment Required"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 413: "Content Too Large"
        case 418: "I'm a teapot"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 500: "Internal Server Error"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 529: "Overloaded"
        default: "Status"
        }
    }
}
