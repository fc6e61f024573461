import PluginKit

/// The WebSocket API: requests with ids over one connection that is kept up, and on spot the user's own events.
public final class SocketAPI {
    private struct Waiting {
        let socket: ObjectIdentifier
        let timer: UInt64
        let answer: (Reply) -> Void
    }

    private let venue: Venue
    public let link: ManagedSocket
    private var waiting: [UInt64: Waiting] = [:]
    private var nextID: UInt64 = 1
    /// A new connection: subscribe to what is wanted on it through `send(on:)`, and call the closure when that is done.
    public var prepare: (WebSocket, @escaping (Bool) -> Void) -> Void = { $1(true) }
    /// A user event, without its wrapper.
    public var onEvent: (JSONValue) -> Void = { _ in }

    public init(_ venue: Venue) {
        self.venue = venue
        let route = venue.endpoints.api
        link = ManagedSocket(venue) { route }
        link.onOpen = { [weak self] socket in
            guard let self else { return }
            self.prepare(socket) { [weak self, weak socket] fine in
                guard let self, let socket else { return }
                if fine { self.link.ready(socket) } else { socket.close() }
            }
        }
        link.onText = { [weak self] _, bytes in self?.receive(bytes) }
        link.onGone = { [weak self] socket, why in self?.lost(socket, why) }
    }

    public var isUp: Bool { link.isUp }
    public func start() { link.start() }

    public func stop() {
        link.stop()
        let all = waiting
        waiting = [:]
        for (_, entry) in all { venue.reactor.cancelTimer(entry.timer) }
    }

    /// `answer` is called exactly once, at once if nothing could be sent, unless the instance stops first.
    public func send(
        _ method: StaticString, _ parameters: Parameters, security: Security = .signed, weight: Int64, orders: Int64 = 0, urgency: Urgency,
        timeout: Int64 = 10_000_000_000, on given: WebSocket? = nil, _ answer: @escaping (Reply) -> Void
    ) {
        let failure = post(
            method, parameters, security: security, weight: weight, orders: orders, urgency: urgency, timeout: timeout, on: given, answer)
        if let failure { answer(.failure(failure)) }
    }

    /// nil: it is on its way, and `answer` will be called once. Otherwise certainly nothing was sent, and `answer` is not called.
    public func post(
        _ method: StaticString, _ parameters: Parameters, security: Security = .signed, weight: Int64, orders: Int64 = 0, urgency: Urgency,
        timeout: Int64 = 10_000_000_000, on given: WebSocket? = nil, _ answer: @escaping (Reply) -> Void
    ) -> VenueFailure? {
        guard let socket = given ?? link.current else { return .notSent("the WebSocket API is down") }
        if let failure = venue.charge(.weight, weight, orders: orders, urgency) { return failure }
        let id = nextID
        nextID += 1
        do throws(PluginError) {
            let bytes = try frame(id, method, parameters, security)
            guard socket.isOpen else { return .notSent("the WebSocket API is closed") }
            if !socket.send(text: bytes) {
                // Closing already: nothing was taken. Broken under the send: some of it may have left.
                if socket.isOpen { return .notSent("the WebSocket API is closing") }
                _ = venue.reactor.after(0) { answer(.failure(.noAnswer("the WebSocket API broke while it was sent"))) }
                return nil
            }
        } catch { return .notSent(error.message) }
        let timer = venue.reactor.after(timeout) { [weak self] in
            guard let self, let entry = self.waiting.removeValue(forKey: id) else { return }
            entry.answer(.failure(.noAnswer("no answer of the WebSocket API within \(timeout / 1_000_000) ms")))
        }
        waiting[id] = Waiting(socket: ObjectIdentifier(socket), timer: timer, answer: answer)
        return nil
    }

    /// The request as it goes on the wire.
    func frame(_ id: UInt64, _ method: StaticString, _ given: Parameters, _ security: Security) throws(PluginError) -> [UInt8] {
        guard security != .open else { return try given.frame(id, method, signedBy: nil) }
        guard let signer = venue.signer else { throw PluginError(.authentication, "there is no API key") }
        var parameters = given
        parameters.add("apiKey", signer.apiKey)
        guard security == .signed else { return try parameters.frame(id, method, signedBy: nil) }
        parameters.add("recvWindow", venue.settings.receiveWindow)
        parameters.add("timestamp", venue.timestamp)
        return try parameters.frame(id, method, signedBy: signer)
    }

    private func receive(_ bytes: [UInt8]) {
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue(parsing: bytes)
        } catch {
            return venue.log(.warning, "the WebSocket API sent something that is not JSON: \(error)")
        }
        if let event = value.find("event") {
            if event.find("e")?.asText == "serverShutdown" { link.replace() }
            return onEvent(event)
        }
        guard let id = value.find("id")?.asNumber?.uint64, let entry = waiting.removeValue(forKey: id) else {
            return venue.log(.warning, "the WebSocket API sent an answer to nothing that was asked: \(String(decoding: bytes.prefix(200), as: UTF8.self))")
        }
        venue.reactor.cancelTimer(entry.timer)
        venue.readLimits(value.find("rateLimits"))
        let status = Int(value.find("status")?.asNumber?.int64 ?? 0)
        if status == 200, let result = value.find("result") { return entry.answer(.success(result)) }
        let error = value.find("error")
        var retryAfter: Int64 = 0
        if let until = error?.find("data")?.find("retryAfter")?.asNumber?.int64 { retryAfter = max(0, until - venue.milliseconds) &* 1_000_000 }
        entry.answer(.failure(venue.noted(VenueFailure(venue.endpoints.product, status: status, body: error, retryAfter: retryAfter))))
    }

    /// What was asked on a connection that is gone may have been done.
    private func lost(_ socket: WebSocket, _ why: String) {
        let gone = ObjectIdentifier(socket)
        for (id, entry) in waiting.filter({ $0.value.socket == gone }).sorted(by: { $0.key < $1.key }) {
            waiting[id] = nil
            venue.reactor.cancelTimer(entry.timer)
            entry.answer(.failure(.noAnswer(why)))
        }
    }
}
