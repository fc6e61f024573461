import PluginKit

/// The data side's part of the configuration.
public struct DataSettings: Equatable, Sendable {
    public var intervals: [Interval] = [.minute1]
    /// Closed candles told at the start, marked as history.
    public var history = 500
    public var limits = StreamWatch.Limits(freshness: 10_000_000_000, longest: 120_000_000_000)
    public var line = LineTimes()
    public var streamsPerConnection = 200
    /// Requests of a thousand trades at most to fill one gap.
    public var tradePages = 10
    public var derivatives = DerivativesSettings()

    public init() {}

    /// What the component's shape lists.
    public static func properties(_ product: Product) -> [ConfigShape.Property] { product == .spot ? common : common + futuresOnly }

    private static let common: [ConfigShape.Property] = [
        .choices(
            "intervals",
            "Lengths of the candles delivered as bars. 1s exists on spot only and is left out on futures. An empty list: no bars.",
            of: Interval.allCases.map(\.name), default: ["1m"]),
        .whole("history", "Closed candles of each length delivered when an instrument is subscribed, marked as history.", in: 0...1000, default: 500),
        .span(
            "freshness",
            "How long a stream may have missed data before it is reported as stale and its connection is replaced: 5s to 10m, what lies beyond counts as the bound. A silent stream is compared with the venue's REST answers after half of it, so a quiet market is no alarm.",
            default: "10s"),
        .span("replace_after", "Age at which a stream connection is replaced without a gap: 1m to 23h. The venue ends them at 24 hours.", default: "23h"),
        .whole("streams_per_connection", "Streams on one connection at most. The venue takes 1024.", in: 1...1024, default: 200),
        .whole("trade_pages", "Requests of up to 1000 trades each to fill one gap in the trades. What lies beyond is reported as lost.", in: 0...100, default: 10),
    ]

    private static let futuresOnly: [ConfigShape.Property] = [
        .span("mark_every", "How often mark price, index price and the running funding rate are delivered: 1s to 1h.", default: "10s"),
        .flag(
            "derivatives",
            "Deliver open interest, long/short ratios, taker buy and sell volume and settled funding as named values.", default: true),
        .span(
            "open_interest_every",
            "How often open interest is read in a calm market, 6s to 1h. It is read up to six times as often when the market moves or funding is near.",
            default: "60s"),
    ]

    /// From a configuration that fits the shape.
    public init(_ config: JSONValue, product: Product) throws {
        let names = (try config["intervals"].value).asList ?? []
        intervals = Set(names.compactMap { $0.asText.flatMap { Interval($0) } }).filter { product == .spot || $0 != .second1 }.sorted()
        history = try config["history"].int
        let second: Int64 = 1_000_000_000
        func span(_ name: String, _ range: ClosedRange<Int64>) throws -> Int64 {
            min(max(try config[name].span, range.lowerBound * second), range.upperBound * second)
        }
        limits = StreamWatch.Limits(freshness: try span("freshness", 5...600), longest: 120 * second)
        line.replaceAfter = try span("replace_after", 60...82_800)
        streamsPerConnection = try config["streams_per_connection"].int
        tradePages = try config["trade_pages"].int
        guard product == .futures else { return }
        derivatives.markEvery = try span("mark_every", 1...3_600)
        derivatives.isOn = try config["derivatives"].bool
        derivatives.openInterestEvery = try span("open_interest_every", 6...3_600)
    }
}
