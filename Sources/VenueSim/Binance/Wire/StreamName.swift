/// What a stream's name asks for.
enum StreamKind: Equatable {
    case trade, aggregate, bookTicker, miniTicker, ticker, average, liquidations
    case kline(Interval)
    case continuous(Interval)
    case depth(every: Int64)
    case partial(levels: Int, every: Int64)
    case mark(every: Int64)

    /// Which of the futures paths carries it.
    var group: StreamGroup {
        switch self {
        case .bookTicker, .depth, .partial, .trade: .open
        default: .market
        }
    }
}

/// The paths of the futures streams; spot has one for everything.
enum StreamGroup: String { case open = "public", market, personal = "private", any }

struct StreamName: Equatable {
    /// nil: all symbols, as one list.
    var symbol: String?
    var kind: StreamKind

    /// nil: no such stream. It is acknowledged all the same and stays silent, as on the exchange.
    init?(_ name: String, _ product: Product, symbols: [String]) {
        if name.hasPrefix("!") {
            switch (name, product) {
            case ("!miniTicker@arr", _): kind = .miniTicker
            case ("!ticker@arr", .futures): kind = .ticker
            case ("!markPrice@arr", .futures): kind = .mark(every: 3_000)
            case ("!markPrice@arr@1s", .futures): kind = .mark(every: 1_000)
            case ("!bookTicker", .futures): kind = .bookTicker
            case ("!forceOrder@arr", .futures): kind = .liquidations
            default: return nil
            }
            return
        }
        var parts = name.split(separator: "@", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 2 else { return nil }
        var owner = parts.removeFirst()
        guard owner == owner.lowercased() else { return nil }
        let isContinuous = product == .futures && owner.hasSuffix("_perpetual")
        if isContinuous { owner = String(owner.dropLast("_perpetual".count)) }
        guard symbols.contains(owner.uppercased()) else { return nil }
        symbol = owner.uppercased()
        let word = parts.removeFirst()
        let speed = parts.first
        let standard: Int64 = product == .spot ? 1_000 : 250
        func every() -> Int64? {
            switch speed {
            case nil: standard
            case "100ms": 100
            case "500ms" where product == .futures: 500
            case "250ms" where product == .futures: 250
            case "1000ms" where product == .spot: 1_000
            default: nil
            }
        }
        switch word {
        case "trade": kind = .trade
        case "aggTrade": kind = .aggregate
        case "bookTicker": kind = .bookTicker
        case "miniTicker": kind = .miniTicker
        case "ticker": kind = .ticker
        case "avgPrice" where product == .spot: kind = .average
        case "forceOrder" where product == .futures: kind = .liquidations
        case "markPrice" where product == .futures: kind = .mark(every: speed == "1s" ? 1_000 : 3_000)
        case "depth":
            guard let every = every() else { return nil }
            kind = .depth(every: every)
        case "depth5", "depth10", "depth20":
            guard let every = every(), let levels = Int(word.dropFirst(5)) else { return nil }
            kind = .partial(levels: levels, every: every)
        case let text where text.hasPrefix("kline_") || text.hasPrefix("continuousKline_"):
            guard let interval = Interval(rawValue: String(text.split(separator: "_")[1])), product == .spot || interval != .s1 else { return nil }
            kind = text.hasPrefix("k") ? .kline(interval) : .continuous(interval)
            if isContinuous == text.hasPrefix("k") { return nil }
        default: return nil
        }
    }
}
