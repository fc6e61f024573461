import PluginKit

/// What the trading side and the market data side of an instance share: one environment, one key, one clock, one budget.
/// Everything here lives on the instance's lane.
public final class Venue {
    public let host: Host
    public let name: String
    public let reactor: Reactor
    public let settings: Settings
    public let endpoints: Endpoints
    public let dialer: Dialer
    public let signer: Signer?
    public let budget: Budget
    public var clock = VenueClock()
    public private(set) lazy var rest = RESTClient(self)
    public let symbols: SymbolBook
    private var clockTimer: UInt64?
    private var clockWaiters: [(Bool) -> Void] = []
    private var refreshing = false
    private var untold = 0
    private var untoldAt: Int64 = 0
    private var bookWaiters: [(VenueFailure?) -> Void] = []

    public init(host: Host, name: String, reactor: Reactor, settings: Settings, endpoints: Endpoints, signer: Signer?, budget: Budget) {
        self.host = host
        self.name = name
        self.reactor = reactor
        self.settings = settings
        self.endpoints = endpoints
        self.signer = signer
        self.budget = budget
        dialer = Dialer(endpoints.environment, tls: TLSOptions(roots: settings.roots.isEmpty ? nil : settings.roots), on: reactor)
        symbols = SymbolBook(endpoints.product)
    }

    public var product: Product { endpoints.product }
    public var now: Int64 { reactor.now() }
    /// The venue's time, in milliseconds: what windows are counted by.
    public var milliseconds: Int64 { clock.milliseconds(now) }
    /// The number to sign.
    public var timestamp: Int64 { clock.milliseconds(now) }

    public func log(_ level: Host.Level, _ text: String) { host.log(level, text) }

    /// `/api/v3/...` or `/fapi/v1/...`.
    public func path(_ rest: String) -> String { (product == .spot ? "/api/v3/" : "/fapi/v1/") + rest }

    public func stop() {
        if let clockTimer { reactor.cancelTimer(clockTimer) }
        clockTimer = nil
        clockWaiters = []
        bookWaiters = []
        refreshing = false
        rest.close()
    }

    // MARK: budget

    public func take(_ pool: Pool, _ cost: Int64, _ urgency: Urgency) -> Int64? { budget.take(pool, cost, urgency, at: milliseconds) }

    /// Takes a request's price out of the budgets; a failure if it isn't there: nothing was sent then.
    func charge(_ pool: Pool, _ weight: Int64, orders: Int64, _ urgency: Urgency) -> VenueFailure? {
        let time = milliseconds
        func short(_ until: Int64, _ what: String) -> VenueFailure {
            VenueFailure(.limited, message: "not sent: \(what) is used up", retryAfter: max(0, until - time) &* 1_000_000)
        }
        if orders > 0 {
            if let until = budget.take(.ordersShort, orders, urgency, at: time) { return short(until, "the account's order limit") }
            if let until = budget.take(.ordersLong, orders, urgency, at: time) { return short(until, "the account's order limit") }
        }
        if let until = budget.take(.raw, 1, urgency, at: time) { return short(until, "the request limit") }
        if let until = budget.take(pool, weight, urgency, at: time) { return short(until, "the request weight") }
        return nil
    }

    /// What an answer's headers say about the limits.
    private func readHeaders(_ head: HTTPHead) {
        let time = milliseconds
        for (name, value) in head.headers where name.hasPrefix("x-mbx-") {
            guard let used = Int64(value) else { continue }
            switch name {
            case "x-mbx-used-weight-1m": budget.correct(.weight, used: used, at: time)
            case "x-mbx-order-count-10s": budget.correct(.ordersShort, used: used, at: time)
            case "x-mbx-order-count-1d", "x-mbx-order-count-1m": budget.correct(.ordersLong, used: used, at: time)
            default: break
            }
        }
    }

    /// The `rateLimits` list of exchangeInfo (no count) and of the WebSocket API's answers (with count).
    func readLimits(_ list: JSONValue?) {
        let time = milliseconds
        for entry in list?.asList ?? [] {
            guard let kind = entry.find("rateLimitType")?.asText, let number = entry.find("intervalNum")?.asNumber?.int64,
                let limit = entry.find("limit")?.asNumber?.int64, number > 0
            else { continue }
            let unit: Int64
            switch entry.find("interval")?.asText {
            case "SECOND": unit = 1000
            case "MINUTE": unit = 60_000
            case "HOUR": unit = 3_600_000
            case "DAY": unit = 86_400_000
            default: continue
            }
            let (window, overflow) = number.multipliedReportingOverflow(by: unit)
            guard !overflow else { continue }
            let pool: Pool
            switch kind {
            case "REQUEST_WEIGHT": pool = .weight
            case "RAW_REQUESTS": pool = .raw
            case "ORDERS": pool = window <= 10_000 ? .ordersShort : .ordersLong
            default: continue
            }
            let said = PoolLimit(limit, every: window)
            if budget.limit(pool) != said { budget.set(pool, said) }
            if let count = entry.find("count")?.asNumber?.int64 { budget.correct(pool, used: count, at: time) }
        }
    }

    /// Reads a whole HTTP answer.
    func read(_ response: HTTPResponse, call: Call) -> Reply {
        // These answer with a used weight that isn't true.
        if !(product == .futures && (call.path.hasSuffix("/ticker/bookTicker") || call.path.hasSuffix("/ticker/price"))) { readHeaders(response.head) }
        let parsed = try? JSONValue(parsing: response.body)
        if response.status == 200 {
            if let parsed { return .success(parsed) }
            return .failure(VenueFailure(.unknown, status: 200, message: "the answer is not JSON"))
        }
        let seconds = response.head["retry-after"].flatMap { Int64($0) } ?? 0
        return .failure(noted(VenueFailure(product, status: response.status, body: parsed, retryAfter: min(max(seconds, 0), 300_000) &* 1_000_000_000), call: call))
    }

    /// Takes the consequences of a failure that concern everybody: limits and bans.
    func noted(_ failure: VenueFailure, call: Call? = nil) -> VenueFailure {
        guard failure.treatment == .limited || failure.treatment == .banned else { return failure }
        var failure = failure
        let time = milliseconds
        let isOrders = failure.code == -1015
        if failure.retryAfter == 0 {
            // Not said: two seconds, then twice as long each time, up to the window's end. A ban lasts two minutes at least.
            let window = budget.limit(isOrders ? .ordersShort : .weight).window
            untold = now &- untoldAt < 120_000_000_000 ? min(untold + 1, 6) : 0
            untoldAt = now
            failure.retryAfter = failure.treatment == .banned ? 120_000_000_000 : max(2000, min(2000 << Int64(untold), window - time % window)) &* 1_000_000
        }
        let until = time + failure.retryAfter / 1_000_000
        if failure.treatment == .banned {
            budget.ban(until: until)
            log(.error, "Binance has banned this address for \(failure.retryAfter / 1_000_000_000) s: nothing is sent until then")
        } else {
            budget.hold(isOrders ? .ordersShort : .weight, until: until)
            log(.warning, "Binance limits \(isOrders ? "orders" : "requests") for \(failure.retryAfter / 1_000_000_000) s (\(failure))")
        }
        return failure
    }

    // MARK: clock

    /// Asks what time it is; several wishes at once are one question.
    public func measureClock(_ done: @escaping (Bool) -> Void = { _ in }) {
        clockWaiters.append(done)
        guard clockWaiters.count == 1 else { return }
        rest.send(Call("GET", path("time"), weight: 1, urgency: .settle, timeout: 5_000_000_000)) { [weak self] reply in
            guard let self else { return }
            let waiters = self.clockWaiters
            self.clockWaiters = []
            var fine = false
            if case .success = reply { fine = self.clock.isKnown }
            for waiter in waiters { waiter(fine) }
        }
    }

    /// Measures now and every five minutes.
    public func keepClock() {
        if let clockTimer { reactor.cancelTimer(clockTimer) }
        clockTimer = reactor.after(300_000_000_000) { [weak self] in
            guard let self else { return }
            self.measureClock()
            self.keepClock()
        }
    }

    // MARK: exchange information

    /// Loads filters and limits from this environment's own host: they differ between live, testnet and demo.
    /// Several wishes at once are one question.
    public func loadSymbols(_ done: @escaping (VenueFailure?) -> Void) {
        bookWaiters.append(done)
        guard !refreshing else { return }
        refreshing = true
        load(named: product == .spot ? symbols.wanted : [])
    }

    private func load(named names: [String]) {
        var parameters = Parameters()
        let some = !names.isEmpty && names.count <= 100
        if some { parameters.add("symbols", "[" + names.map { "\"\($0)\"" }.joined(separator: ",") + "]") }
        let call = Call("GET", path("exchangeInfo"), parameters, weight: product == .spot ? 20 : 1, urgency: .settle, timeout: 20_000_000_000)
        rest.send(call) { [weak self] reply in
            guard let self else { return }
            var failure: VenueFailure?
            switch reply {
            case .success(let value):
                self.readLimits(value.find("rateLimits"))
                self.symbols.load(value, at: self.now)
            case .failure(let why):
                // One name that is not known spoils the whole list: then all symbols, and the unknown one is found missing.
                if some, why.code == -1121 || why.code == -1100 { return self.load(named: []) }
                failure = why
            }
            self.refreshing = false
            let waiters = self.bookWaiters
            self.bookWaiters = []
            for waiter in waiters { waiter(failure) }
        }
    }
}
