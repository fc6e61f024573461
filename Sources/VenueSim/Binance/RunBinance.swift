import Glibc
import PluginKit

/// What is wrong with the words of a command line.
public enum BinanceOptionError: Error, CustomStringConvertible {
    case unknown(String)
    case missing(String)
    case bad(String, String)
    case file(String, String)

    public var description: String {
        switch self {
        case .unknown(let word): "unknown option \(word); see keel-venues binance --help"
        case .missing(let word): "\(word) needs a value"
        case .bad(let word, let value): "\(word) can't be \"\(value)\""
        case .file(let path, let why): "\(path): \(why)"
        }
    }
}

struct BinanceOptions {
    var port: UInt16 = 0
    var futuresPort: UInt16 = 0
    var speed: Int64 = 1
    var scenario: String?
    var state: String?
    var settings = ExchangeSettings()
    var startsNow = true

    init(_ words: [String]) throws {
        var step: Int64?
        var rest = words[...]
        while let word = rest.popFirst() {
            if word == "--control" { continue }
            let known = ["--port", "--futures-port", "--seed", "--speed", "--step", "--start", "--history", "--scenario", "--accounts", "--state", "--symbols"]
            guard known.contains(word) else { throw BinanceOptionError.unknown(word) }
            guard let value = rest.popFirst() else { throw BinanceOptionError.missing(word) }
            func number(_ range: ClosedRange<Int64>) throws(BinanceOptionError) -> Int64 {
                guard let number = Int64(value), range.contains(number) else { throw .bad(word, value) }
                return number
            }
            switch word {
            case "--port": port = UInt16(clamping: try number(0...65_535))
            case "--futures-port": futuresPort = UInt16(clamping: try number(0...65_535))
            case "--seed":
                guard let seed = UInt64(value) else { throw BinanceOptionError.bad(word, value) }
                settings.seed = seed
            case "--speed": speed = try number(0...10_000)
            case "--step": step = try number(10...60_000)
            case "--start":
                settings.start = try number(1_000_000_000_000...4_000_000_000_000)
                startsNow = false
            case "--history": settings.past.minutes = try number(1...30)
            case "--scenario": scenario = value
            case "--accounts": settings.accounts = try AccountPlan.read(try readFile(value), value)
            case "--symbols":
                let names = value.split(separator: ",").map(String.init)
                let known = Set((SymbolRules.spot + SymbolRules.futures).map(\.name))
                guard !names.isEmpty, names.allSatisfy(known.contains) else { throw BinanceOptionError.bad(word, value) }
                settings.symbols = names
            default: state = value
            }
        }
        settings.step = step ?? (speed > 5 ? 1_000 : words.contains("--control") ? 50 : 100)
        // A check begins anew for every scenario: less of a past, sooner ready.
        if words.contains("--control") { settings.past = Past(minutes: 1, days: 3) }
    }
}

func readFile(_ path: String) throws(BinanceOptionError) -> [UInt8] {
    guard let file = fopen(path, "r") else { throw .file(path, String(cString: strerror(errno))) }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[0..<count] }
    return bytes
}

/// Set by a signal; the loop looks at it and ends in order.
nonisolated(unsafe) private var stopAsked: sig_atomic_t = 0

/// The exchange with its sockets and its state file, ready to be run on a loop.
public final class BinanceVenue {
    let server: ExchangeServer
    private let statePath: String?
    private var lastSave: Int64 = 0
    public let reactor: PollReactor

    public var spotPort: UInt16 { server.port(.spot) }
    public var futuresPort: UInt16 { server.port(.futures) }

    public init(_ words: [String]) throws {
        var options = try BinanceOptions(words)
        let reactor = PollReactor()
        var clock = timespec()
        clock_gettime(CLOCK_REALTIME, &clock)
        let loop = reactor.now()
        if options.startsNow, options.speed > 0 { options.settings.start = Int64(clock.tv_sec) * 1_000 + Int64(clock.tv_nsec) / 1_000_000 }
        var time = options.settings.start
        statePath = options.state
        var saved: ExchangeState?
        if let path = options.state { saved = try StateFile.read(path) }
        if let saved {
            // Real time goes on while the exchange is away; any other goes on where it was.
            if !(options.startsNow && options.speed == 1) { time = saved.now }
            options.settings.seed = saved.seed
            options.settings.start = saved.start
            options.settings.past = saved.past
        }
        let exchange = try Exchange(options.settings, isFresh: saved == nil)
        if let saved, !exchange.restore(saved) { throw StateError.accounts(options.state ?? "") }
        server = try ExchangeServer(
            exchange, spotPort: options.port, futuresPort: options.futuresPort, speed: options.speed, since: (loop, max(time, exchange.now)), on: reactor)
        self.reactor = reactor
        if let path = options.scenario { try server.control?.load(try readFile(path)) }
        if statePath != nil { server.control?.save = { [weak self] in try self?.save() } }
        server.run()
    }

    public func save() throws {
        guard let statePath else { return }
        server.hasNews = false
        lastSave = reactor.now()
        try StateFile.write(server.exchange.state, statePath)
    }

    /// Saves when something changed, once a second at most.
    public func saveIfNew() throws {
        if statePath != nil, server.hasNews, reactor.now() - lastSave > 1_000_000_000 { try save() }
    }

    /// Lets `keel plugin check` direct it.
    public func obey() {
        server.check = CheckDesk(server)
        server.exchange.takesAnyKey = true
    }

    public func play(_ scenario: String) -> Bool { server.check?.play(scenario) ?? false }
    public func counts() -> [(name: String, count: Int)] { server.check?.counts() ?? [] }
    public func release() { server.check?.release() }
    public func rest(outside count: Int) -> Bool { server.check?.rest(outside: count) ?? false }
    public var reason: String { server.check?.reason ?? "" }
    public func drop() { server.dropConnections(announced: false) }

    var greeting: String {
        let spot = "http://127.0.0.1:\(spotPort)"
        let futures = "http://127.0.0.1:\(futuresPort)"
        let about = Out.object { out in
            out.text("spot", spot)
            out.text("futures", futures)
            if let accounts = server.control?.accounts { out.put("accounts", accounts) }
        }
        return "listening on \(spot) (spot) and \(futures) (futures)\n\(about.text)"
    }
}

/// keel-venues binance. Runs until it is stopped by SIGTERM or SIGINT.
public func runBinance(_ words: [String]) throws {
    if words.contains("--help") || words.contains("-h") { return print(binanceHelp) }
    let venue = try BinanceVenue(words)
    signal(SIGTERM) { _ in stopAsked = 1 }
    signal(SIGINT) { _ in stopAsked = 1 }
    print(venue.greeting)
    fflush(nil)
    while stopAsked == 0 {
        venue.reactor.turn(most: 200_000_000)
        try venue.saveIfNew()
    }
    try venue.save()
}
