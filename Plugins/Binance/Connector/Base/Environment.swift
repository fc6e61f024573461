import PluginKit

/// Which of Binance's worlds an instance lives in. Keys of one are worthless in another.
public enum Environment: String, Sendable, CaseIterable {
    /// Real money.
    case live
    /// Spot: the test network with prices of its own. Futures: the demo back end under its older names.
    case testnet
    /// Live-like prices, invented money.
    case demo
    /// A stand-in on this machine.
    case local

    public var isPaper: Bool { self != .live }
}

public enum Product: String, Sendable, CaseIterable {
    case spot
    /// USD-M futures.
    case futures
}

/// Groups of futures streams; each has a path of its own, and a stream asked for in the wrong one is silent for ever.
public enum StreamGroup: String, Sendable {
    case `public`, market, `private`
}

/// An address that belongs to one environment and product. Only `Endpoints` makes them and only `Dialer` opens them,
/// so no connection can lead out of the environment it was made for.
public struct Route: Hashable, Sendable, CustomStringConvertible {
    public let environment: Environment
    public let product: Product
    public let endpoint: Endpoint

    fileprivate init(_ environment: Environment, _ product: Product, _ endpoint: Endpoint) {
        self.environment = environment
        self.product = product
        self.endpoint = endpoint
    }

    public var description: String { "\(endpoint)" }
}

/// All addresses of one product in one environment.
public struct Endpoints: Sendable {
    public let environment: Environment
    public let product: Product
    /// REST; requests bring their paths along.
    public let rest: Route
    /// The WebSocket API: orders, and on spot the user's own events.
    public let api: Route
    private let streams: Endpoint

    private init(_ environment: Environment, _ product: Product, rest: Endpoint, streams: Endpoint, api: Endpoint) {
        self.environment = environment
        self.product = product
        self.rest = Route(environment, product, rest)
        self.api = Route(environment, product, api)
        self.streams = streams
    }

    /// Binance's own hosts; nil for `local`, which has none.
    public init?(_ environment: Environment, _ product: Product) {
        func secure(_ host: String, _ target: String = "/") -> Endpoint { Endpoint(scheme: "wss", host: host, port: 443, target: target) }
        func rest(_ host: String) -> Endpoint { Endpoint(scheme: "https", host: host, port: 443) }
        switch (environment, product) {
        case (.live, .spot):
            self.init(
                environment, product, rest: rest("api.binance.com"), streams: secure("stream.binance.com"),
                api: secure("ws-api.binance.com", "/ws-api/v3"))
        case (.testnet, .spot):
            self.init(
                environment, product, rest: rest("testnet.binance.vision"), streams: secure("stream.testnet.binance.vision"),
                api: secure("ws-api.testnet.binance.vision", "/ws-api/v3"))
        case (.demo, .spot):
            self.init(
                environment, product, rest: rest("demo-api.binance.com"), streams: secure("demo-stream.binance.com"),
                api: secure("demo-ws-api.binance.com", "/ws-api/v3"))
        case (.live, .futures):
            self.init(
                environment, product, rest: rest("fapi.binance.com"), streams: secure("fstream.binance.com"),
                api: secure("ws-fapi.binance.com", "/ws-fapi/v1"))
        case (.testnet, .futures):
            self.init(
                environment, product, rest: rest("testnet.binancefuture.com"), streams: secure("fstream.binancefuture.com"),
                api: secure("testnet.binancefuture.com", "/ws-fapi/v1"))
        case (.demo, .futures):
            // No demo host of the WebSocket API is known: clients use the older name of the same back end.
            self.init(
                environment, product, rest: rest("demo-fapi.binance.com"), streams: secure("demo-fstream.binance.com"),
                api: secure("testnet.binancefuture.com", "/ws-fapi/v1"))
        case (.local, _): return nil
        }
    }

    /// A stand-in on the loopback address, all paths on one port: "127.0.0.1:8080". Nothing else is taken, so a
    /// configuration can't send a key elsewhere.
    public init(standIn text: String, _ product: Product) throws(PluginError) {
        let endpoint: Endpoint
        do throws(NetError) {
            endpoint = try Endpoint(text.contains("://") ? text : "http://\(text)")
        } catch { throw .invalid("stand_in: \(error)") }
        guard ["127.0.0.1", "::1", "localhost"].contains(endpoint.host), endpoint.scheme == "http", endpoint.target == "/" else {
            throw .invalid("stand_in must be a port on this machine, such as \"127.0.0.1:8080\"; it is \"\(text)\"")
        }
        func socket(_ target: String) -> Endpoint { Endpoint(scheme: "ws", host: endpoint.host, port: endpoint.port, target: target) }
        self.init(
            .local, product, rest: endpoint, streams: socket("/"), api: socket(product == .spot ? "/ws-api/v3" : "/ws-fapi/v1"))
    }

    /// Combined market streams, to be subscribed once open. Futures need the group; spot has one for all.
    public func stream(_ group: StreamGroup) -> Route {
        var endpoint = streams
        endpoint.target = product == .spot ? "/stream" : "/\(group.rawValue)/stream"
        return Route(environment, product, endpoint)
    }

    /// The futures user stream of a listen key.
    public func userStream(_ listenKey: String) -> Route {
        var endpoint = streams
        let clean = listenKey.utf8.allSatisfy { ($0 >= 48 && $0 <= 57) || ($0 >= 65 && $0 <= 90) || ($0 >= 97 && $0 <= 122) }
        endpoint.target = "/private/ws/\(clean ? listenKey : "")"
        return Route(environment, product, endpoint)
    }
}

/// The only place where this plugin opens connections. It knows its environment and refuses every other's routes.
public final class Dialer {
    public let environment: Environment
    public let reactor: Reactor
    /// Asked before each client or socket is made, with a veto: the one door that tests stand at.
    @TaskLocal static var door: @Sendable (Route) -> PluginError? = { _ in nil }
    public private(set) var dialled: [String: Int] = [:]
    private let tls: TLSOptions

    public init(_ environment: Environment, tls: TLSOptions = TLSOptions(), on reactor: Reactor) {
        self.environment = environment
        self.tls = tls
        self.reactor = reactor
    }

    private func note(_ route: Route) throws(PluginError) {
        guard route.environment == environment else {
            throw PluginError(.internalFault, "a connection to \(route) (\(route.environment.rawValue)) was asked for in a \(environment.rawValue) instance")
        }
        dialled[route.description, default: 0] += 1
        if let veto = Dialer.door(route) { throw veto }
    }

    /// A client that connects when it has something to send.
    public func http(_ route: Route) throws(PluginError) -> HTTPClient {
        try note(route)
        return HTTPClient(route.endpoint, tls: tls, on: reactor)
    }

    /// Starts connecting at once.
    public func socket(_ route: Route, pingInterval: Int64 = 20_000_000_000) throws(PluginError) -> WebSocket {
        try note(route)
        var options = WebSocket.Options()
        options.tls = tls
        options.pingInterval = pingInterval
        return WebSocket(route.endpoint, options: options, on: reactor)
    }
}
