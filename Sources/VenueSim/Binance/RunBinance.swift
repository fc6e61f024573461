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
    var step: Int64?
    var scenario: String?
    var accounts: String?
    var state: String?
    var settings = ExchangeSettings()
    var startsNow = true
    var isControlled = false

    init(_ words: [String]) throws(BinanceOptionError) {
        var rest = words[...]
        while let word = rest.popFirst() {
            if word == "--control" {
                isControlled = true
                continue
            }
            let known = ["--port", "--futures-port", "--seed", "--speed", "--step", "--start", "--history", "--scenario", "--accounts", "--state"]
            guard known.contains(word) else { throw .unknown(word) }
            guard let value = rest.popFirst() else { throw .missing(word) }
            func number(_ range: ClosedRange<Int64>) throws(BinanceOptionError) -> Int64 {
                guard let number = Int64(value), range.contains(number) else { throw .bad(word, value) }
                return number
            }
            switch word {
            case "--port": port = UInt16(clamping: try number(0...65_535))
            case "--futures-port": futuresPort = UInt16(clamping: try number(0...65_535))
            case "--seed":
                guard let seed = UInt64(value) else { throw .bad(word, value) }
                settings.seed = seed
            case "--speed": speed = try number(0...10_000)
            case "--step": step = try number(10...60_000)
            case "--start":
                settings.start = try number(1_000_000_000_000...4_000_000_000_000)
                startsNow = false
            case "--history": settings.minuteDays = try number(1...30)
            case "--scenario": scenario = value
            case "--accounts": accounts = value
            default: state = value
            }
        }
        settings.step = step ?? (speed > 5 ? 1_000 : 100)
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

/// keel-venues binance. Runs until it is stopped.
public func runBinance(_ words: [String]) throws {
    if words.contains("--help") || words.contains("-h") { return print(binanceHelp) }
    var options = try BinanceOptions(words)
    var clock = timespec()
    clock_gettime(CLOCK_REALTIME, &clock)
    if options.startsNow, options.speed > 0 { options.settings.start = Int64(clock.tv_sec) * 1_000 + Int64(clock.tv_nsec) / 1_000_000 }
    let exchange = try Exchange(options.settings)
    let reactor = PollReactor()
    let server = try ExchangeServer(exchange, spotPort: options.port, futuresPort: options.futuresPort, speed: options.speed, on: reactor)
    if let path = options.scenario { try server.control?.load(try readFile(path)) }
    print("listening on http://127.0.0.1:\(server.port(.spot)) (spot) and http://127.0.0.1:\(server.port(.futures)) (futures)")
    print(Out.object { out in
        out.text("spot", "http://127.0.0.1:\(server.port(.spot))")
        out.text("futures", "http://127.0.0.1:\(server.port(.futures))")
        if let accounts = server.control?.accounts { out.put("accounts", accounts) }
    }.text)
    fflush(nil)
    server.run()
    while true { reactor.turn(most: 1_000_000_000) }
}

let binanceHelp = """
    usage: keel-venues binance [options]
    """
