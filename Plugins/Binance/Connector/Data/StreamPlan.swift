/// What a stream of a symbol says.
public enum StreamKind: Hashable, Sendable {
    case trades, ticker, depth, mark
    case candles(Interval)
}

/// A stream of one symbol.
public struct StreamKey: Hashable, Sendable {
    public var symbol: SymbolKey
    public var kind: StreamKind

    /// As the venue names it: the symbol in lower case.
    public var name: String {
        let symbol = symbol.description.lowercased()
        return switch kind {
        case .trades: "\(symbol)@aggTrade"
        case .ticker: "\(symbol)@bookTicker"
        case .depth: "\(symbol)@depth@100ms"
        case .mark: "\(symbol)@markPrice@1s"
        case .candles(let interval): "\(symbol)@kline_\(interval.name)"
        }
    }
}

/// Futures have streams of different kinds on different paths, and a subscription on the wrong one is acknowledged and silent for ever.
public enum StreamPath: Hashable, Sendable, CaseIterable {
    case plain, market, `public`

    /// Spot has one path for all.
    public var group: StreamGroup { self == .public ? .public : .market }

    /// For people.
    public var name: String {
        switch self {
        case .plain: "streams"
        case .market: "market streams"
        case .public: "public streams"
        }
    }

    public static func of(_ kind: StreamKind, _ product: Product) -> StreamPath {
        if product == .spot { return .plain }
        return switch kind {
        case .ticker, .depth: .public
        case .trades, .mark, .candles: .market
        }
    }
}

/// Messages to the venue on one connection within its limit: what doesn't fit now waits. Pings, pongs and JSON all count there, so a part is left free.
public struct MessageBudget: Sendable {
    private let most: Int
    private let window: Int64
    private var sent: [Int64] = []

    /// Spot allows 5 a second, futures 10.
    public init(_ product: Product) {
        most = product == .spot ? 3 : 7
        window = 1_000_000_000
    }

    /// 0: now. Otherwise how long to wait.
    public mutating func wait(at now: Int64) -> Int64 {
        sent.removeAll { now - $0 >= window }
        guard sent.count >= most, let first = sent.first else { return 0 }
        return max(window - (now - first), 1)
    }

    public mutating func spend(at now: Int64) { sent.append(now) }
}

/// `{"method":"SUBSCRIBE","params":[...],"id":1}`
func controlMessage(_ method: String, _ streams: some Sequence<StreamKey>, id: Int64) -> String {
    let names = streams.map { "\"\($0.name)\"" }.joined(separator: ",")
    return "{\"method\":\"\(method)\",\"params\":[\(names)],\"id\":\(id)}"
}
