/// One request as it goes out.
public struct HTTPRequest: Sendable {
    public var method: String
    public var target: String
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]
    /// From now to the whole answer.
    public var timeout: Int64

    public init(_ method: String = "GET", _ target: String, headers: [(name: String, value: String)] = [], body: [UInt8] = [], timeout: Int64 = 10_000_000_000) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.timeout = timeout
    }
}

public struct HTTPResponse: Sendable {
    public var head: HTTPHead
    public var body: [UInt8]
    public var status: Int { head.status }

    public init(head: HTTPHead, body: [UInt8]) {
        self.head = head
        self.body = body
    }
}

/// Why a request has no answer, and what that means for what it asked.
public enum HTTPFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// No byte of the request left this machine: certainly not done.
    case notSent(NetError)
    /// Bytes left and no whole answer came: it may have been done.
    case inDoubt(NetError)

    public var description: String {
        switch self {
        case .notSent(let error): "not sent: \(error)"
        case .inDoubt(let error): "sent, but not answered: \(error)"
        }
    }
}

/// An HTTP/1.1 client for one endpoint on a reactor: keeps one connection alive, answers in order, never repeats a request by itself.
public final class HTTPClient {
    public let endpoint: Endpoint
    public var bodyLimit = 64 << 20
    /// How long an unused connection is kept.
    public var keepAlive: Int64 = 30_000_000_000

    private struct Waiting {
        let request: HTTPRequest
        let token: UInt64
        let answer: (Result<HTTPResponse, HTTPFailure>) -> Void
    }

    private let reactor: Reactor
    private let tls: TLSOptions
    private var stream: Stream?
    private var queue: [Waiting] = []
    private var active: Waiting?
    private var sent = false
    private var head: HTTPHead?
    private var body: HTTPBodyReader?
    private var idleTimer: UInt64?
    private var nextToken: UInt64 = 1

    public init(_ endpoint: Endpoint, tls: TLSOptions = TLSOptions(), on reactor: Reactor) {
        self.endpoint = endpoint
        self.tls = tls
        self.reactor = reactor
    }

    deinit { if let idleTimer { reactor.cancelTimer(idleTimer) } }

    /// `answer` is called exactly once, on the reactor's thread, unless the client goes away first.
    public func send(_ request: HTTPRequest, _ answer: @escaping (Result<HTTPResponse, HTTPFailure>) -> Void) {
        let id = nextToken
        nextToken += 1
        let token = reactor.after(request.timeout) { [weak self] in self?.timeOut(id) }
        timers[id] = token
        queue.append(Waiting(request: request, token: id, answer: answer))
        startNext()
    }

    private var timers: [UInt64: UInt64] = [:]

    /// Requests queued or under way.
    public var pending: Int { queue.count + (active == nil ? 0 : 1) }

    public func close() {
        stream?.close()
        stream = nil
        let error = NetError.closed(endpoint: "\(endpoint)", why: "by us")
        fail(error)
        for waiting in queue { settle(waiting, .failure(.notSent(error))) }
        queue = []
    }

    private func startNext() {
        guard active == nil, !queue.isEmpty else { return }
        if let idleTimer { reactor.cancelTimer(idleTimer) }
        idleTimer = nil
        active = queue.removeFirst()
        sent = false
        head = nil
        body = nil
        if let stream, stream.state == .open { return write() }
        let made = Stream(to: endpoint, tls: tls, timeout: active?.request.timeout ?? 10_000_000_000, on: reactor)
        stream = made
        made.onOpen = { [weak self] in self?.write() }
        made.onInput = { [weak self] in self?.receive() }
        made.onClose = { [weak self] why in self?.ended(why) }
    }

    private func write() {
        guard let active, let stream else { return }
        let request = active.request
        let fine = isHeaderSafe(request.method) && request.target.utf8.allSatisfy { $0 > 32 && $0 < 127 }
            && request.headers.allSatisfy { isHeaderSafe($0.name) && isHeaderSafe($0.value) }
        guard fine else {
            finish(.failure(.notSent(.badAddress("a request with a control character or a blank in its first line or headers"))))
            return
        }
        var text = "\(request.method) \(request.target) HTTP/1.1\r\nHost: \(endpoint.authority)\r\nAccept-Encoding: identity\r\n"
        for header in request.headers { text += "\(header.name): \(header.value)\r\n" }
        if !request.body.isEmpty || request.method == "POST" || request.method == "PUT" { text += "Content-Length: \(request.body.count)\r\n" }
        text += "\r\n"
        sent = true
        stream.send(Array(text.utf8) + request.body)
    }

    private func receive() {
        guard let stream else { return }
        guard active != nil, sent else {
            // Bytes nobody asked for: the connection can't be trusted with the next answer.
            stream.close()
            self.stream = nil
            return
        }
        do throws(HTTPViolation) {
            var used = 0
            while head == nil {
                guard let (parsed, count) = try HTTPHead.parseResponse(stream.input) else { return }
                stream.input.removeFirst(count)
                if (100..<200).contains(parsed.status) { continue }
                head = parsed
                body = try HTTPBodyReader(parsed, isResponse: true, toHead: active?.request.method == "HEAD", limit: bodyLimit)
            }
            let done = try body?.take(stream.input, from: &used) ?? false
            stream.input.removeFirst(used)
            if done { complete() }
        } catch {
            let problem = NetError.malformed(endpoint: "\(endpoint)", why: error.description)
            stream.close()
            self.stream = nil
            fail(problem)
        }
    }

    private func complete() {
        guard let head, let body else { return }
        let closes = head.tokens("connection").contains("close") || (head.minorVersion == 0 && !head.tokens("connection").contains("keep-alive")) || body.endsConnection
        if closes || stream?.input.isEmpty == false {
            stream?.close()
            stream = nil
        } else if queue.isEmpty {
            idleTimer = reactor.after(keepAlive) { [weak self] in
                self?.idleTimer = nil
                self?.stream?.close()
                self?.stream = nil
            }
        }
        finish(.success(HTTPResponse(head: head, body: body.body)))
    }

    private func ended(_ why: NetError) {
        stream = nil
        if head != nil, let body, body.isCompleteAtEnd() { return complete() }
        fail(why)
    }

    /// Ends the active request without an answer and goes on with the next.
    private func fail(_ why: NetError) {
        guard active != nil else { return }
        finish(.failure(sent ? .inDoubt(why) : .notSent(why)))
    }

    private func finish(_ result: Result<HTTPResponse, HTTPFailure>) {
        guard let waiting = active else { return }
        active = nil
        head = nil
        body = nil
        settle(waiting, result)
        startNext()
    }

    private func settle(_ waiting: Waiting, _ result: Result<HTTPResponse, HTTPFailure>) {
        if let timer = timers.removeValue(forKey: waiting.token) { reactor.cancelTimer(timer) }
        waiting.answer(result)
    }

    private func timeOut(_ id: UInt64) {
        timers[id] = nil
        let error = NetError.timedOut(endpoint: "\(endpoint)", what: "no whole answer")
        if active?.token == id {
            // The late answer would be taken for the next one's: this connection is over.
            stream?.close()
            stream = nil
            fail(error)
        } else if let place = queue.firstIndex(where: { $0.token == id }) {
            settle(queue.remove(at: place), .failure(.notSent(error)))
        }
    }
}
