import PluginKit

/// How a request proves who asks.
public enum Security: Sendable {
    case open
    /// The key's header alone: listen keys, some market data.
    case key
    case signed
}

/// One request, ready to be sent over REST.
public struct Call: Sendable {
    public var method: String
    public var path: String
    public var parameters: Parameters
    public var security: Security
    public var weight: Int64
    public var pool: Pool
    /// Orders it counts as, of the account.
    public var orders: Int64
    public var urgency: Urgency
    /// Nanoseconds for the whole answer.
    public var timeout: Int64

    public init(
        _ method: String = "GET", _ path: String, _ parameters: Parameters = Parameters(), security: Security = .open, weight: Int64 = 1, pool: Pool = .weight,
        orders: Int64 = 0, urgency: Urgency = .query, timeout: Int64 = 10_000_000_000
    ) {
        self.method = method
        self.path = path
        self.parameters = parameters
        self.security = security
        self.weight = weight
        self.pool = pool
        self.orders = orders
        self.urgency = urgency
        self.timeout = timeout
    }
}

public typealias Reply = Result<JSONValue, VenueFailure>

/// Requests over REST, with the budget, the clock and the error table applied. Orders have a connection of their own,
/// so that none waits behind a long answer.
public final class RESTClient {
    private unowned let venue: Venue
    private var hot: HTTPClient?
    private var cold: HTTPClient?
    /// Queries go one after the other, and each is charged when its turn comes: by then the answer before it has said what is left.
    private var queue: [(call: Call, mayRetry: Bool, answer: (Reply) -> Void)] = []
    private var asking = false

    init(_ venue: Venue) { self.venue = venue }

    public func close() {
        queue = []
        asking = false
        hot?.close()
        cold?.close()
        hot = nil
        cold = nil
    }

    /// `answer` is called exactly once, at once if the request can't be sent, unless the instance stops first.
    /// A refused timestamp (-1021) is certainly not executed: the clock is measured and the request sent once more.
    public func send(_ call: Call, _ answer: @escaping (Reply) -> Void) { send(call, mayRetry: call.security == .signed, answer) }

    private func send(_ call: Call, mayRetry: Bool, _ answer: @escaping (Reply) -> Void) {
        guard call.urgency == .query else {
            if let failure = post(call, mayRetry: mayRetry, answer) { answer(.failure(failure)) }
            return
        }
        queue.append((call, mayRetry, answer))
        next()
    }

    private func next() {
        guard !asking, !queue.isEmpty else { return }
        asking = true
        let (call, mayRetry, answer) = queue.removeFirst()
        let finish: (Reply) -> Void = { [weak self] reply in
            self?.asking = false
            answer(reply)
            self?.next()
        }
        // Not from inside the caller's own call: a long queue that is refused would call itself as deep as it is long.
        if let failure = post(call, mayRetry: mayRetry, finish) { _ = venue.reactor.after(0) { finish(.failure(failure)) } }
    }

    /// nil: it is on its way, and `answer` will be called once. Otherwise certainly nothing was sent, and `answer` is not called.
    /// Orders are never sent twice from here, not even after -1021: their desk decides that.
    public func post(_ call: Call, _ answer: @escaping (Reply) -> Void) -> VenueFailure? { post(call, mayRetry: false, answer) }

    private func post(_ call: Call, mayRetry: Bool, _ answer: @escaping (Reply) -> Void) -> VenueFailure? {
        if let failure = venue.charge(call.pool, call.weight, orders: call.orders, call.urgency) { return failure }
        do throws(PluginError) {
            let (request, client) = try prepare(call)
            let sent = venue.now
            client.send(request) { [weak venue] result in
                guard let venue else { return }
                switch result {
                case .failure(.notSent(let error)): answer(.failure(.notSent("\(error)")))
                case .failure(.inDoubt(let error)): answer(.failure(.noAnswer("\(error)")))
                case .success(let response):
                    let reply = venue.read(response, call: call)
                    if case .failure(let failure) = reply, failure.treatment == .clock, mayRetry {
                        venue.measureClock { known in
                            guard known else { return answer(reply) }
                            if let failure = self.post(call, mayRetry: false, answer) { answer(.failure(failure)) }
                        }
                    } else {
                        if call.path.hasSuffix("/time"), case .success(let value) = reply, let time = value.find("serverTime")?.asNumber?.int64 {
                            venue.clock.take(VenueClock.Sample(sent: sent, received: venue.now, venue: time))
                        }
                        answer(reply)
                    }
                }
            }
            return nil
        } catch {
            return .notSent(error.message)
        }
    }

    private func prepare(_ call: Call) throws(PluginError) -> (HTTPRequest, HTTPClient) {
        var parameters = call.parameters
        var headers: [(name: String, value: String)] = []
        var query: [UInt8]
        switch call.security {
        case .open: query = parameters.query
        case .key, .signed:
            guard let signer = venue.signer else { throw PluginError(.authentication, "there is no API key") }
            headers.append(("X-MBX-APIKEY", signer.apiKey))
            if call.security == .signed {
                parameters.add("recvWindow", venue.settings.receiveWindow)
                parameters.add("timestamp", venue.timestamp)
                query = try parameters.query(signedBy: signer)
            } else {
                query = parameters.query
            }
        }
        // Everything stands in the query string, for every method: both products take it there, and what is signed is what travels.
        let target = query.isEmpty ? call.path : call.path + "?" + String(decoding: query, as: UTF8.self)
        return (HTTPRequest(call.method, target, headers: headers, timeout: call.timeout), try client(call.urgency))
    }

    private func client(_ urgency: Urgency) throws(PluginError) -> HTTPClient {
        if urgency <= .settle {
            if let hot { return hot }
            let made = try venue.dialer.http(venue.endpoints.rest)
            hot = made
            return made
        }
        if let cold { return cold }
        let made = try venue.dialer.http(venue.endpoints.rest)
        cold = made
        return made
    }
}
