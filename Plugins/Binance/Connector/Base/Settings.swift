import Glibc
import PluginKit

/// The variables that Binance users have set for years, as they stand in the process.
public struct Variables: Sendable {
    public var paper: String?  // BINANCE_PAPER
    public var demo: String?  // BINANCE_USE_DEMO
    public var live: String?  // LIVE_TRADING

    public init(paper: String? = nil, demo: String? = nil, live: String? = nil) {
        self.paper = paper
        self.demo = demo
        self.live = live
    }

    public static var process: Variables {
        func value(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
        return Variables(paper: value("BINANCE_PAPER"), demo: value("BINANCE_USE_DEMO"), live: value("LIVE_TRADING"))
    }

    /// nil: not set. What is neither yes nor no is an error: nobody guesses about money.
    static func flag(_ name: String, _ text: String?) throws(PluginError) -> Bool? {
        switch text?.lowercased() {
        case nil, "": nil
        case "true", "1", "yes", "on": true
        case "false", "0", "no", "off": false
        default: throw .invalid("\(name) is \"\(text ?? "")\" in the environment: write true or false")
        }
    }
}

public enum EnvironmentChoice: String, CaseIterable, Sendable {
    case auto, testnet, demo, live

    /// Where this leads. Real money takes a clear word from every side; anything else is paper, and a contradiction is an error.
    public func environment(_ variables: Variables) throws(PluginError) -> Environment {
        // A word in the configuration needs none in the environment.
        if self == .testnet { return .testnet }
        if self == .demo { return .demo }
        let paper = try Variables.flag("BINANCE_PAPER", variables.paper)
        let demo = try Variables.flag("BINANCE_USE_DEMO", variables.demo)
        // As the host reads it: exactly "true".
        let live = variables.live == "true"
        switch self {
        case .testnet: return .testnet
        case .demo: return .demo
        case .live:
            if paper == true { throw .invalid("environment is \"live\", but BINANCE_PAPER is true: one of them is a mistake") }
            if demo == true { throw .invalid("environment is \"live\", but BINANCE_USE_DEMO is true: one of them is a mistake") }
            guard live else { throw .invalid("environment is \"live\", but LIVE_TRADING is not \"true\" in the environment") }
            return .live
        case .auto:
            guard paper == false else { return demo == true ? .demo : .testnet }
            if demo == true { throw .invalid("BINANCE_PAPER is false and BINANCE_USE_DEMO is true: the demo is paper, so one of them is a mistake") }
            guard live else { throw .invalid("BINANCE_PAPER is false, but LIVE_TRADING is not \"true\": set it if you mean real money, or leave BINANCE_PAPER out") }
            return .live
        }
    }
}

/// The configuration, read from the checked JSON.
public struct Settings: Sendable {
    public var choice = EnvironmentChoice.auto
    public var standIn = ""
    public var apiKey: String?
    public var secretKey: String?
    public var receiveWindow: Int64 = 2000  // milliseconds, as it goes on the wire
    public var budgetShare: Fixed = .one
    public var budgetFolder = ""
    public var socketOrders = true
    public var makerFirst: MakerFirst?
    public var roots = ""
    public var cancelsOnStop = false
    // Futures only.
    public var leverage = 0
    public var marginType: MarginType?
    public var hedge: Bool?
    public var deadMan: Int64 = 0  // nanoseconds
    public var workingType = "CONTRACT_PRICE"

    public enum MarginType: String, Sendable { case crossed = "CROSSED", isolated = "ISOLATED" }

    public struct MakerFirst: Sendable, Equatable {
        public enum Then: String, Sendable, CaseIterable { case taker, cancel }
        /// How long the order may rest as a maker, in nanoseconds.
        public var wait: Int64
        public var then: Then
    }

    static let common: [ConfigShape.Property] = [
        .choice(
            "environment", "auto: BINANCE_PAPER, BINANCE_USE_DEMO and LIVE_TRADING decide, and without them it is the testnet. live also takes LIVE_TRADING=true.",
            of: EnvironmentChoice.allCases.map(\.rawValue), default: "auto"),
        .text("stand_in", "A local stand-in exchange instead, such as \"127.0.0.1:8080\"; empty: none. Paper only.", default: ""),
        .optionalSecret("api_key", "The API key. Left out together with secret_key: market data only, no orders."),
        .optionalSecret("secret_key", "What belongs to it: the HMAC secret, or an Ed25519 or RSA private key as PEM."),
        .whole(
            "recv_window", "Milliseconds an order may be on its way before the venue refuses it. Small: doubts end soon.", in: 500...60_000, default: 2000),
        .decimal("budget_share", "Share of the venue's request limits that Keel may use on this machine, all instances together.", .fraction, default: "0.9"),
        .text(
            "budget_folder", "Folder of the counters that all Keel processes of this machine share; empty: one below /tmp that belongs to you.", default: ""),
        .flag("socket_orders", "Send orders over the WebSocket API while it is up; REST stands behind it.", default: true),
        .group(
            "maker_first", "Send plain limit orders as post-only first.",
            [
                .flag("enabled", "Whether to.", default: false),
                .span("wait", "How long such an order may rest.", default: "10s"),
                .choice("then", "What becomes of the rest: taker sends it as immediate-or-cancel at the same limit, cancel leaves it.", of: ["taker", "cancel"], default: "cancel"),
            ]),
        .choice("on_stop", "What becomes of open orders when the instance stops: leave them at the venue, or cancel them first.", of: ["leave", "cancel"], default: "leave"),
        .text("roots", "PEM file with the certificate authorities to trust instead of the system's; empty: the system's.", default: ""),
    ]

    static let futuresOnly: [ConfigShape.Property] = [
        .whole("leverage", "Leverage set for each instrument before it is traded; 0: what the account has.", in: 0...125, default: 0),
        .choice("margin_type", "Margin type set for each instrument; as_is: what the account has.", of: ["as_is", "crossed", "isolated"], default: "as_is"),
        .choice(
            "position_mode", "one_way or hedge for the whole account; as_is: what the account has. In hedge mode an order that only reduces closes the other side's position.",
            of: ["as_is", "one_way", "hedge"], default: "as_is"),
        .span(
            "dead_man", "All open orders of an instrument are cancelled by the venue this long after Keel fell silent; 0s: never. Conditional orders may not be covered.",
            default: "0s"),
        .choice("trigger_price", "What sets off conditional orders: the contract's last price or its mark price.", of: ["contract", "mark"], default: "contract"),
    ]

    public static func shape(_ product: Product) -> ConfigShape {
        ConfigShape((product == .spot ? common : common + futuresOnly) + DataSettings.properties(product)) { config in
            guard let settings = try? Settings(config, product) else { return [] }
            return settings.contradictions(product).map { ConfigShape.Problem(path: "$.\($0.property)", code: "contradiction", message: $0.message) }
        }
    }

    static let halfAKey = "api_key and secret_key belong together: give both, or neither for market data only"

    /// Members that can't stand together, whatever the process's environment says.
    func contradictions(_ product: Product) -> [(property: String, message: String)] {
        var found: [(String, String)] = []
        if !standIn.isEmpty {
            if choice == .live { found.append(("stand_in", "stand_in is set and the environment is live: real keys don't go to a stand-in; remove one of them")) }
            do throws(PluginError) { _ = try Endpoints(standIn: standIn, product) } catch { found.append(("stand_in", error.message)) }
        }
        if (apiKey == nil) != (secretKey == nil) { found.append((apiKey == nil ? "api_key" : "secret_key", Settings.halfAKey)) }
        if deadMan != 0, deadMan < 3_000_000_000 { found.append(("dead_man", "dead_man must be 0s or at least 3s: it is renewed at a third of it")) }
        if let makerFirst, makerFirst.wait < 100_000_000 { found.append(("maker_first.wait", "maker_first.wait must be at least 100ms")) }
        return found
    }


    public init(_ config: JSONValue, _ product: Product) throws {
        choice = EnvironmentChoice(rawValue: try config["environment"].text) ?? .auto
        standIn = try config["stand_in"].text
        apiKey = try config["api_key"].ifPresent?["$secret"].text
        secretKey = try config["secret_key"].ifPresent?["$secret"].text
        receiveWindow = try config["recv_window"].int64
        budgetShare = try config["budget_share"].fixed
        budgetFolder = try config["budget_folder"].text
        socketOrders = try config["socket_orders"].bool
        let maker = config["maker_first"]
        if try maker["enabled"].bool {
            makerFirst = MakerFirst(wait: try maker["wait"].span, then: MakerFirst.Then(rawValue: try maker["then"].text) ?? .cancel)
        }
        cancelsOnStop = try config["on_stop"].text == "cancel"
        roots = try config["roots"].text
        guard product == .futures else { return }
        leverage = try config["leverage"].int
        marginType = MarginType(rawValue: try config["margin_type"].text.uppercased())
        switch try config["position_mode"].text {
        case "one_way": hedge = false
        case "hedge": hedge = true
        default: hedge = nil
        }
        deadMan = try config["dead_man"].span
        workingType = try config["trigger_price"].text == "mark" ? "MARK_PRICE" : "CONTRACT_PRICE"
    }

    public init() {}

    /// Where this configuration leads, with everything that contradicts it.
    public func endpoints(_ product: Product, _ variables: Variables) throws(PluginError) -> Endpoints {
        if let first = contradictions(product).first { throw .invalid(first.message) }
        let environment = try choice.environment(variables)
        if !standIn.isEmpty {
            guard environment.isPaper else { throw .invalid("stand_in is set and the environment is live: real keys don't go to a stand-in; remove one of them") }
            return try Endpoints(standIn: standIn, product)
        }
        guard let endpoints = Endpoints(environment, product) else { throw .invalid("environment has no hosts of its own") }
        return endpoints
    }

    /// For `describe`: where the money is, without starting anything. Contradictions count as live, the careful answer.
    public func description(_ variables: Variables) -> Environment {
        guard let environment = try? choice.environment(variables) else { return .live }
        return environment.isPaper && !standIn.isEmpty ? .local : environment
    }
}
