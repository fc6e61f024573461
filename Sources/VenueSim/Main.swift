import BinanceExchange
import Glibc
import PluginKit

/// keel-venues: local stand-ins that speak the real wire protocols, for tests and for trying things without an account.
@main
enum Main {
    static let venues: [(name: String, about: String, run: @Sendable (Options) throws -> Void)] = [
        ("claude", "the Claude Messages API", { try runClaude($0) })
    ]
    /// Venues that read their own options.
    static let others: [(name: String, about: String, run: @Sendable ([String]) throws -> Void)] = [
        ("binance", "Binance spot and USD-M futures", { try $0.contains("--control") ? runControlledBinance($0) : runBinance($0) })
    ]

    static func main() {
        var words = Array(CommandLine.arguments.dropFirst())
        guard let name = words.first, name != "--help", name != "-h" else {
            print(usage)
            exit(words.isEmpty ? 2 : 0)
        }
        words.removeFirst()
        signal(SIGPIPE, SIG_IGN)
        if let other = others.first(where: { $0.name == name }) {
            do { return try other.run(words) } catch { complain("keel-venues \(name): \(error)", error is BinanceOptionError ? 2 : 1) }
        }
        guard let venue = venues.first(where: { $0.name == name }) else {
            complain("keel-venues: there is no \"\(name)\"; there are: \((venues.map(\.name) + others.map(\.name)).joined(separator: ", "))", 2)
        }
        do {
            try venue.run(try Options(words))
        } catch {
            complain("keel-venues \(name): \(error)", error is OptionError ? 2 : 1)
        }
    }

    static var usage: String {
        let list = (venues.map { "  \($0.name)    \($0.about)" } + others.map { "  \($0.name)   \($0.about); options of its own: keel-venues \($0.name) --help" }).joined(separator: "\n")
        return """
            usage: keel-venues VENUE [--port N] [--seed N] [--scenario FILE] [--control]

            Runs a stand-in on the loopback address until it is stopped. Nothing leaves this machine; every key is made up.
            The first line it prints is "listening on http://127.0.0.1:PORT".

            \(list)

              --port N          0, the standard: a free one
              --seed N          of everything that looks random; the standard is 1
              --scenario FILE   JSON: what goes wrong and when (docs/venues)
              --control         obey the lines of keel plugin check on standard input; the first line is then "ready PORT"
                                (docs/plugin-guide.md)
            """
    }

    static func complain(_ text: String, _ code: Int32) -> Never {
        let line = Array((text + "\n").utf8)
        _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
        exit(code)
    }
}

enum OptionError: Error, CustomStringConvertible {
    case unknown(String)
    case missing(String)
    case bad(String, String)

    var description: String {
        switch self {
        case .unknown(let word): "unknown option \(word); see keel-venues --help"
        case .missing(let word): "\(word) needs a value"
        case .bad(let word, let value): "\(word) can't be \"\(value)\""
        }
    }
}

struct Options {
    var port: UInt16 = 0
    var seed: UInt64 = 1
    var scenario: String?
    var isControlled = false

    init(_ words: [String]) throws(OptionError) {
        var rest = words[...]
        while let word = rest.popFirst() {
            if word == "--control" {
                isControlled = true
                continue
            }
            guard ["--port", "--seed", "--scenario"].contains(word) else { throw .unknown(word) }
            guard let value = rest.popFirst() else { throw .missing(word) }
            switch word {
            case "--port":
                guard let number = UInt16(value) else { throw .bad(word, value) }
                port = number
            case "--seed":
                guard let number = UInt64(value) else { throw .bad(word, value) }
                seed = number
            default: scenario = value
            }
        }
    }
}
