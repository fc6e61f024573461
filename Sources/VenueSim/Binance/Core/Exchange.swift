import PluginKit

enum Product: String, Codable, Sendable {
    case spot, futures
}

/// What the exchange is made with.
struct ExchangeSettings {
    var seed: UInt64 = 1
    /// Milliseconds since 1970.
    var start: Int64 = 1_795_000_000_000
    /// Between two steps of the market.
    var step: Int64 = 250
    var past = Past()
    var accounts: [AccountPlan] = AccountPlan.standard
    /// The symbols that are traded; nil: all there are.
    var symbols: [String]?
}

/// Both products with their accounts, limits and time, without a socket: requests and time come in, answers and events go out.
final class Exchange {
    let settings: ExchangeSettings
    private(set) var now: Int64
    let accounts: [Account]
    let spot: SpotEngine
    let futures: FuturesEngine
    let spotLimits = Limits(.spot)
    let futuresLimits = Limits(.futures)
    private let byKey: [String: Account]
    /// Parameters nobody asked for are refused where the exchange does so.
    var refusesUnknown = true
    /// Signed requests are held to their time.
    var checksTime = true
    /// What is answered as the time: the clock of the exchange runs wrong by this.
    var skew: Int64 = 0
    /// Any key is good and acts for the first account: for checks, whose keys are invented.
    var takesAnyKey = false
    /// The words of the last refusal of an order.
    var lastRefusal = ""
    /// Called after every step and request, so that streams can tell what changed.
    var changed: () -> Void = {}
    private var lastStep: Int64

    /// `isFresh`: nothing is restored into it, so the market trades for a while before the doors open.
    init(_ settings: ExchangeSettings, isFresh: Bool = true) throws(CryptoError) {
        self.settings = settings
        now = settings.start
        lastStep = settings.start / settings.step
        var made: [Account] = []
        for (number, plan) in settings.accounts.enumerated() { made.append(try plan.open(number: number, now: settings.start)) }
        accounts = made
        byKey = Dictionary(made.map { ($0.apiKey, $0) }, uniquingKeysWith: { first, _ in first })
        func traded(_ product: Product) -> [SymbolRules] {
            (product == .spot ? SymbolRules.spot : SymbolRules.futures).filter { settings.symbols?.contains($0.name) ?? true }
        }
        // The market has been going on for a while when the doors open.
        let early = settings.start - Self.warmUp * 1_000
        spot = SpotEngine(seed: settings.seed, now: early, accounts: made, symbols: traded(.spot), past: settings.past)
        futures = FuturesEngine(seed: settings.seed, now: early, accounts: made, symbols: traded(.futures), past: settings.past)
        spot.filledFirst = { [unowned self] account in self.spotLimits.giveBack(account, now: self.now) }
        for second in 0...Self.warmUp where isFresh {
            spot.step(early + second * 1_000, number: lastStep - Self.warmUp + second)
            futures.step(early + second * 1_000, number: lastStep - Self.warmUp + second)
        }
    }

    /// Seconds of trading before the start.
    static let warmUp: Int64 = 30

    /// Moves time on, step by step. Time never goes back.
    func advance(to time: Int64) {
        while (lastStep + 1) * settings.step <= time {
            lastStep += 1
            now = max(now, lastStep * settings.step)
            spot.step(now, number: lastStep)
            futures.step(now, number: lastStep)
            changed()
        }
        if time > now {
            now = time
            spot.now = time
            futures.now = time
            changed()
        }
    }

    /// Walks a long way in a few steps, as after a night without power.
    func leap(to time: Int64, steps: Int64 = 2_000) {
        let stride = max(settings.step, (time - now) / steps / settings.step * settings.step)
        while now + stride <= time {
            now += stride
            lastStep = now / settings.step
            spot.step(now, number: lastStep)
            futures.step(now, number: lastStep)
        }
        advance(to: time)
    }

    /// After a restart: time goes on from where it was.
    func resume(at time: Int64) {
        now = time
        lastStep = time / settings.step
        spot.now = time
        futures.now = time
    }

    func limits(_ product: Product) -> Limits { product == .spot ? spotLimits : futuresLimits }

    // MARK: who calls

    func account(key: String?) throws(Refusal) -> Account {
        guard let key, (8...128).contains(key.utf8.count), key.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 || $0 >= 65 && $0 <= 90 || $0 >= 97 && $0 <= 122 }) else {
            throw .malformedKey
        }
        guard let account = byKey[key] ?? (takesAnyKey ? accounts.first : nil) else { throw .badKey }
        return account
    }

    func checkTime(_ params: Params) throws(Refusal) {
        guard let text = try params.optional("timestamp") else { throw .mandatory("timestamp") }
        guard text.utf8.count <= 18, var stamp = Int64(text), stamp >= 0 else { throw .illegal("timestamp", "^[0-9]{1,20}$") }
        if stamp > 100_000_000_000_000 { stamp /= 1_000 }
        var window: Int64 = 5_000
        if let sent = try params.optionalDecimal("recvWindow") {
            guard sent <= 60_000 * one else { throw Refusal(-1131, "recvWindow must be less than 60000.") }
            window = sent / one
        }
        guard checksTime else { return }
        let time = now + skew
        if stamp >= time + 1_000 { throw .early }
        if time - stamp > window { throw .late }
    }

    func authenticate(_ security: Route.Security, key: String?, payload: () -> (bytes: [UInt8], signature: String?), _ params: Params) throws(Refusal) -> Account {
        guard security != .open else { return accounts[0] }
        let account = try account(key: key)
        guard security == .signed else { return account }
        guard params.peek("timestamp") != nil else { throw .mandatory("timestamp") }
        let (bytes, signature) = payload()
        guard let signature, !signature.isEmpty else { throw .mandatory("signature") }
        guard account.credential.accepts(signature, of: bytes) || takesAnyKey && key != account.apiKey else { throw .badSignature }
        try checkTime(params)
        return account
    }

    // MARK: calls

    struct Reply {
        var status = 200
        var headers: [(name: String, value: String)] = []
        var body: Out
    }

    /// A REST request as it came: method, path, raw query and raw body.
    func rest(_ method: String, _ path: String, query: String, body: String, key: String?) -> Reply {
        let product: Product = path.hasPrefix("/fapi") || path.hasPrefix("/futures/") ? .futures : .spot
        let limits = limits(product)
        if path.hasPrefix("/api/v3/userDataStream") { return refuse(Refusal(0, "This endpoint was removed; use userDataStream.subscribe.signature.", status: 410), limits, nil) }
        guard let route = (product == .spot ? SpotRoutes.table : FuturesRoutes.table)["\(method) \(path)"] else { return refuse(.noPath, limits, nil) }
        var caller: Account?
        do throws(Refusal) {
            guard var pairs = Params.parse(query), let more = Params.parse(body) else { throw Refusal(-1100, "Illegal characters found in a parameter.") }
            let names = pairs.map(\.name)
            if Set(names).count < names.count { throw Refusal(-1101, "Duplicate values for a parameter detected.") }
            pairs += more.filter { pair in !names.contains(pair.name) }
            let params = Params(pairs)
            let weight = route.weight(params)
            try limits.charge(weight, now: now)
            let account = try authenticate(route.security, key: key, payload: { Params.payload(query: query, body: body) }, params)
            if route.security != .open { caller = account }
            let answer = try run(route, account, params, product)
            if route.isOrder { limits.refund(weight) }
            return Reply(headers: limits.headers(route.isOrder ? caller?.number : nil, now: now), body: answer)
        } catch {
            return refuse(error, limits, route.isOrder ? caller : nil)
        }
    }

    func run(_ route: Route, _ account: Account, _ params: Params, _ product: Product) throws(Refusal) -> Out {
        let slots = route.slots(params)
        if !slots.isEmpty { try limits(product).takeOrders(account.number, slots, now: now) }
        defer { changed() }
        do throws(Refusal) { return try route.work(self, account, params) } catch {
            if route.isOrder { lastRefusal = error.text }
            throw error
        }
    }

    private func refuse(_ refusal: Refusal, _ limits: Limits, _ account: Account?) -> Reply {
        var headers = limits.headers(account?.number, now: now)
        if let seconds = refusal.retryAfter { headers.append(("retry-after", "\(seconds)")) }
        return Reply(status: refusal.status, headers: headers, body: refusal.body)
    }
}
