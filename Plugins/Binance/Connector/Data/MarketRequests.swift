import PluginKit

/// Public requests to the venue, within the budget that all instances share.
public protocol MarketRequests: AnyObject {
    /// The venue's time in milliseconds.
    var venueTime: Int64 { get }
    /// How much of a budget is used in the present window: 0 to 1.
    func load(_ pool: Pool) -> Double
    /// `answer` comes exactly once, on the lane.
    func get(_ request: MarketRequest, _ answer: @escaping (Reply) -> Void)
}

public struct MarketRequest: Sendable {
    /// With its leading slash: /api/v3/klines.
    public var path: String
    public var query: [Field]
    public var weight: Int64
    public var pool: Pool

    public struct Field: Sendable {
        public var name: StaticString
        public var value: String
    }

    public init(_ path: String, _ query: KeyValuePairs<StaticString, String>, weight: Int64, pool: Pool = .weight) {
        self.path = path
        self.query = query.map { Field(name: $0.key, value: $0.value) }
        self.weight = weight
        self.pool = pool
    }

    public subscript(name: String) -> String? { query.first { "\($0.name)" == name }?.value }
}

/// The instance's venue.
public final class VenueRequests: MarketRequests {
    private let venue: Venue

    public init(_ venue: Venue) { self.venue = venue }

    public var venueTime: Int64 { venue.milliseconds }

    public func load(_ pool: Pool) -> Double {
        let limit = venue.budget.limit(pool).count
        return limit > 0 ? Double(venue.budget.used(pool, at: venue.milliseconds)) / Double(limit) : 0
    }

    public func get(_ request: MarketRequest, _ answer: @escaping (Reply) -> Void) {
        var parameters = Parameters()
        for field in request.query { parameters.add(field.name, field.value) }
        venue.rest.send(Call("GET", request.path, parameters, weight: request.weight, pool: request.pool, urgency: .query, timeout: 8_000_000_000), answer)
    }
}

/// Requests for market data, with the weight the venue counts for them.
enum MarketQuestion {
    private static func prefix(_ product: Product) -> String { product == .spot ? "/api/v3" : "/fapi/v1" }

    static func candles(_ product: Product, _ symbol: SymbolKey, _ interval: Interval, from: Int64? = nil, to: Int64? = nil, limit: Int) -> MarketRequest {
        let weight: Int64 = product == .spot ? 2 : limit < 100 ? 1 : limit < 500 ? 2 : limit <= 1_000 ? 5 : 10
        var request = MarketRequest(
            "\(prefix(product))/klines", ["symbol": symbol.description, "interval": interval.name, "limit": "\(limit)"], weight: weight)
        if let from { request.query.append(.init(name: "startTime", value: "\(from)")) }
        if let to { request.query.append(.init(name: "endTime", value: "\(to)")) }
        return request
    }

    static func trades(_ product: Product, _ symbol: SymbolKey, from: Int64, limit: Int) -> MarketRequest {
        MarketRequest(
            "\(prefix(product))/aggTrades", ["symbol": symbol.description, "fromId": "\(from)", "limit": "\(limit)"],
            weight: product == .spot ? 4 : 20)
    }

    static func depth(_ product: Product, _ symbol: SymbolKey) -> MarketRequest {
        MarketRequest("\(prefix(product))/depth", ["symbol": symbol.description, "limit": "1000"], weight: product == .spot ? 50 : 20)
    }
}
