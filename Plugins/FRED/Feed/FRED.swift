import PluginAPI
import PluginKit

/// What libFRED.so offers.
public let fredLibrary = Library(
    Component(
        FRED.self, id: "keel.fred", name: "FRED", vendor: "Keel", version: "1.0.0", license: "MIT", url: "https://fred.stlouisfed.org/docs/api/fred/",
        config: FRED.shape
    ).feed().describe())

/// Macro series from the St. Louis Fed as named values, each figure and revision with the day it became known, oldest
/// release first. They belong to no instrument: every pipeline that names this feed gets them.
public final class FRED: Feed, Describing {
    public static let channels: Channels = .values
    /// Figures come a few times a month.
    public static let silence: Int64 = 0

    static let shape = ConfigShape([
        .secret("key", "The API key: 32 lower-case letters and digits."),
        .texts("series", "Ids of the series. The macro quadrant looks at INDPRO, PAYEMS, RSAFS (growth) and CPIAUCSL, CPILFESL, PCEPI, PCEPILFE (inflation).", default: ["INDPRO", "PAYEMS", "CPIAUCSL", "CPILFESL"]),
        .whole("years", "How far back releases and revisions are asked for.", in: 3...40, default: 10),
        .span("every", "How often new figures are looked for.", default: "6h"),
        .text("endpoint", "Where the API is.", default: "https://api.stlouisfed.org"),
        .text("roots", "PEM file with the certificate authorities to trust instead of the system's; empty: the system's.", default: ""),
    ])

    static let page = 10_000
    /// So many values a turn, so that the host's queue never fills.
    static let burst = 200

    private let host: Host
    private let reactor: HostReactor
    private let endpoint: Endpoint
    private let roots: String
    private let secret: String
    private let names: [String]
    /// What can't be the id of a series.
    private let leftOut: [String]
    private let years: Int64
    private let every: Int64
    private var client: HTTPClient?
    private var key = ""
    private var frequencies: [String: Frequency] = [:]
    /// Newest day each series was asked up to: later rounds ask from there.
    private var since: [String: Day] = [:]
    private var told: Set<String> = []
    private var waiting: [(name: String, figure: Observation)] = []
    private var emitting = false
    private var working = false
    private var subscribers = 0
    private var figures = 0
    private var lastError = ""
    private var isUp = false

    public init(host: Host, name: String, config: JSONValue) throws {
        self.host = host
        reactor = HostReactor(host)
        let address = try config["endpoint"].text
        do throws(NetError) { endpoint = try Endpoint(address) } catch { throw PluginError.invalid("endpoint: \(error)") }
        guard endpoint.isSecure || endpoint.host == "127.0.0.1" || endpoint.host == "localhost" else {
            throw PluginError.invalid("endpoint: \(address) would send the key in the clear; use https")
        }
        roots = try config["roots"].text
        secret = try config["key"]["$secret"].text
        let wanted = try config["series"].list.map { try $0.text }
        var seen: Set<String> = []
        names = wanted.filter { Self.isSeries($0) && seen.insert($0).inserted }
        leftOut = wanted.filter { !Self.isSeries($0) }
        years = Int64(try config["years"].int)
        every = max(try config["every"].span, 60_000_000_000)
    }

    static func isSeries(_ text: String) -> Bool {
        (1...40).contains(text.utf8.count) && text.utf8.allSatisfy { (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 95 }
    }

    public func start() throws {
        let bytes = try host.secret(secret)
        let text = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
        guard text.utf8.count == 32, text.utf8.allSatisfy({ (48...57).contains($0) || (97...122).contains($0) }) else {
            throw PluginError(.authentication, "the secret \(secret) is no FRED key: 32 lower-case letters and digits are needed")
        }
        key = text
        for name in leftOut { host.log(.error, "series \"\(name.prefix(40))\" is no id: letters, digits and underscores are") }
        client = HTTPClient(endpoint, tls: TLSOptions(roots: roots.isEmpty ? nil : roots), on: reactor)
        client?.bodyLimit = 32 << 20
        // After a restart everything is told again: who knows it already takes no notice.
        since = [:]
        told = []
    }

    public func stop(_ stopping: Stopping) throws {
        client?.close()
        client = nil
        key = ""
        waiting = []
        working = false
        subscribers = 0
        stopping.done()
    }

    public func onTimer(_ id: UInt64, tag: UInt64) { reactor.fire(id, tag: tag) }
    public func onDescriptor(_ descriptor: Int32, _ ready: Host.Readiness) { reactor.ready(descriptor, ready) }

    public func subscribe(_ instrument: UInt32, _ channels: Channels, _ request: Request) throws {
        guard host.instrument(instrument) != nil else { return request.done(.notFound("the host knows no instrument \(instrument)")) }
        subscribers += 1
        request.done()
        if subscribers == 1 { round() }
    }

    public func unsubscribe(_ instrument: UInt32, _ channels: Channels, _ request: Request) throws {
        subscribers = max(0, subscribers - 1)
        request.done()
    }

    public func describe() -> JSONValue {
        [
            "environment": endpoint.isSecure ? "live" : "test", "series": JSONValue(names.map { JSONValue($0) }), "figures": JSONValue(figures),
            "waiting": JSONValue(waiting.count), "last_error": JSONValue(lastError),
        ]
    }

    // MARK: asking

    private func round() {
        guard !working, client != nil else { return }
        working = true
        next(names[...])
    }

    private func next(_ rest: ArraySlice<String>) {
        guard client != nil else { return }
        guard let name = rest.first else { return finish(nil) }
        guard let frequency = frequencies[name] else {
            return get("series", "series_id=\(name)") { [weak self] status, body in
                guard let self else { return }
                do throws(FREDError) {
                    self.frequencies[name] = try FREDReply.frequency(status, body)
                    self.next(rest)
                } catch { self.failed(name, error, rest) }
            }
        }
        page(name, frequency, offset: 0, rest, [])
    }

    private func page(_ name: String, _ frequency: Frequency, offset: Int, _ rest: ArraySlice<String>, _ so: [Observation]) {
        let today = Day(number: host.now / 86_400_000_000_000)
        let from = today.adding(months: -12 * years)
        // Two days again: a release may be dated by another time zone's day.
        let known = since[name].map { $0.adding(days: -2) } ?? from
        let query =
            "series_id=\(name)&realtime_start=\(known)&realtime_end=9999-12-31&observation_start=\(from)&output_type=1&sort_order=asc&limit=\(Self.page)&offset=\(offset)"
        get("series/observations", query) { [weak self] status, body in
            guard let self else { return }
            do throws(FREDError) {
                let (figures, rows, count) = try FREDReply.observations(status, body, frequency)
                // In a later round what is older is dated by the first day that was asked for: it is known already.
                let all = so + (self.since[name] == nil ? figures : figures.filter { $0.released > known.known })
                if rows > 0, offset + rows < count { return self.page(name, frequency, offset: offset + rows, rest, all) }
                self.since[name] = today
                self.tell(name, all)
                self.next(rest.dropFirst())
            } catch { self.failed(name, error, rest) }
        }
    }

    private func get(_ path: String, _ query: String, _ answer: @escaping (Int, [UInt8]) -> Void) {
        let request = HTTPRequest("GET", "/fred/\(path)?\(query)&api_key=\(key)&file_type=json", headers: [("accept", "application/json")], timeout: 30_000_000_000)
        client?.send(request) { [weak self] result in
            guard let self, self.client != nil else { return }
            switch result {
            case .success(let response): answer(response.status, response.body)
            // Never the failure's request: the key stands in its query.
            case .failure(.notSent(let error)), .failure(.inDoubt(let error)): self.finish("\(error)")
            }
        }
    }

    private func failed(_ name: String, _ error: FREDError, _ rest: ArraySlice<String>) {
        if error.isPassing { return finish("\(name): \(error)") }
        // One series that isn't there is no reason to go without the others.
        lastError = "\(name): \(error)"
        host.log(.error, lastError)
        next(rest.dropFirst())
    }

    private func finish(_ problem: String?) {
        working = false
        if let problem {
            lastError = problem
            if isUp || figures == 0 { host.link(.degraded, name: "fred", why: .network, message: problem) }
            isUp = false
        } else if !isUp {
            isUp = true
            host.link(.up, name: "fred")
        }
        _ = reactor.after(problem == nil ? every : min(every, 60_000_000_000)) { [weak self] in
            guard let self, self.client != nil else { return }
            if self.subscribers > 0 { self.round() }
        }
    }

    // MARK: telling

    private func tell(_ name: String, _ figures: [Observation]) {
        let now = host.now
        for figure in figures.sorted(by: { ($0.released, $0.period.lowerBound) < ($1.released, $1.period.lowerBound) }) {
            let mark = "\(name)/\(figure.period.lowerBound)/\(figure.released)"
            // What is dated later than now is asked for again when it has come.
            guard figure.released <= now, told.insert(mark).inserted else { continue }
            waiting.append((name, figure))
        }
        if !emitting, !waiting.isEmpty { emit() }
    }

    private func emit() {
        emitting = false
        guard client != nil else { return }
        var sent = 0
        for (name, figure) in waiting.prefix(Self.burst) {
            guard host.value(0, name, figure.value, period: figure.period, released: figure.released, at: host.now) == KEEL_OK else { break }
            sent += 1
        }
        figures += sent
        waiting.removeFirst(sent)
        guard !waiting.isEmpty else { return }
        emitting = true
        _ = reactor.after(20_000_000) { [weak self] in self?.emit() }
    }
}
