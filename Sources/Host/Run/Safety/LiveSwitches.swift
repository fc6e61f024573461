/// Where a broker's orders end up, as the plugin itself says through `keel.describe/1`, key "environment".
public enum BrokerEnvironment: Equatable, Sendable {
    /// Real money.
    case live
    /// The venue's own test system, or an account without money.
    case paper
    /// It didn't say.
    case unknown

    public init(described: String?) {
        switch described {
        case "live": self = .live
        case "paper", "testnet", "demo", "sandbox", "simulated": self = .paper
        default: self = .unknown
        }
    }
}

/// The three switches in front of real money. All three, or nothing real happens.
public struct LiveSwitches: Equatable, Sendable {
    /// `"mode": "live"` in the manifest.
    public var manifestIsLive: Bool
    /// `LIVE_TRADING` in the environment, as it stands there.
    public var variable: String?
    /// The brokers that pipelines use, by manifest name.
    public var brokers: [(name: String, environment: BrokerEnvironment)]

    public init(manifestIsLive: Bool, variable: String?, brokers: [(name: String, environment: BrokerEnvironment)]) {
        self.manifestIsLive = manifestIsLive
        self.variable = variable
        self.brokers = brokers
    }

    public static func == (a: LiveSwitches, b: LiveSwitches) -> Bool {
        a.manifestIsLive == b.manifestIsLive && a.variable == b.variable && a.brokers.map(\.name) == b.brokers.map(\.name)
            && a.brokers.map(\.environment) == b.brokers.map(\.environment)
    }

    /// Why this must not trade; empty: it may.
    public func refusals() -> [String] {
        var refusals: [String] = []
        if manifestIsLive {
            if variable != "true" {
                let found = variable.map { "it is \"\($0)\"" } ?? "it is not set"
                refusals.append("\"mode\" is \"live\", but LIVE_TRADING is not \"true\" in the environment (\(found)): set it, or use \"mode\": \"paper\"")
            }
            for broker in brokers {
                switch broker.environment {
                case .live: break
                case .paper:
                    refusals.append("\"mode\" is \"live\", but the endpoints of the broker \"\(broker.name)\" are not live ones: point it at them, or use \"mode\": \"paper\"")
                case .unknown:
                    refusals.append("\"mode\" is \"live\", but the broker \"\(broker.name)\" doesn't say whether its endpoints are live (keel.describe/1, \"environment\"): ask its author")
                }
            }
        } else {
            for broker in brokers where broker.environment == .live {
                refusals.append("the endpoints of the broker \"\(broker.name)\" are live, but \"mode\" is not: use its test endpoints, or \"mode\": \"live\" with LIVE_TRADING=true")
            }
        }
        return refusals
    }

    /// Brokers that may or may not move money, where that isn't refused.
    public var doubts: [String] {
        brokers.filter { $0.environment == .unknown && !manifestIsLive }.map {
            "the broker \"\($0.name)\" doesn't say whether its endpoints are live (keel.describe/1, \"environment\"): make sure they are not"
        }
    }

    /// Real orders may go out.
    public var areAllOn: Bool { manifestIsLive && refusals().isEmpty }
}
