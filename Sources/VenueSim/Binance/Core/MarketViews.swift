import PluginKit

// Public market data of a listing, in the shapes both products share.

extension Candle {
    func row(_ interval: Interval, places: Int) -> Out {
        Out.list([
            .number(open), .decimal(first, places), .decimal(high, places), .decimal(low, places), .decimal(last, places), .decimal(volume), .number(interval.next(open) - 1),
            .decimal(quote), .number(trades), .decimal(takerVolume), .decimal(takerQuote), .string("0"),
        ])
    }
}

extension Trade {
    func row(_ isSpot: Bool) -> Out {
        Out.object { out in
            out.int("id", id)
            out.decimal("price", price)
            out.decimal("qty", quantity)
            out.decimal("quoteQty", money(price, quantity))
            out.int("time", time)
            out.bool("isBuyerMaker", buyerIsMaker)
            if isSpot { out.bool("isBestMatch", true) }
        }
    }
}

extension AggregateTrade {
    func write(_ out: inout Out, isSpot: Bool) {
        out.int("a", id)
        out.decimal("p", price)
        out.decimal("q", quantity)
        if !isSpot { out.decimal("nq", quantity) }
        out.int("f", first)
        out.int("l", last)
        out.int("T", time)
        out.bool("m", buyerIsMaker)
        if isSpot { out.bool("M", true) }
    }
}

extension Listing {
    func side(_ side: Side, _ count: Int) -> Out {
        Out.list(book.depth(side, count)) { Out.list([.decimal($0.price), .decimal($0.quantity)]) }
    }

    func klines(_ params: Params, now: Int64, most: Int, isStrict: Bool, seconds: Bool) throws(Refusal) -> Out {
        guard let interval = Interval(rawValue: try params.text("interval")), seconds || interval != .s1 else { throw .badInterval }
        let start = try params.optionalInt("startTime")
        let end = try params.optionalInt("endTime")
        _ = try params.optional("timeZone")
        let limit = try params.limit(500, most: most, isStrict: isStrict)
        if let start, let end, end < start { return Out.list([Out]()) }
        return Out.list(candles.bars(interval, start: start, end: end, limit: limit, now: now)) { $0.row(interval, places: 8) }
    }

    func trades(_ params: Params, isSpot: Bool) throws(Refusal) -> Out {
        let limit = try params.limit(500, most: 1000)
        if let from = try params.optionalInt("fromId") { return Out.list(tape.trades.filter { $0.id >= from }.prefix(limit)) { $0.row(isSpot) } }
        return Out.list(tape.trades.suffix(limit)) { $0.row(isSpot) }
    }

    func aggregates(_ params: Params, isSpot: Bool) throws(Refusal) -> Out {
        let limit = try params.limit(500, most: 1000)
        let from = try params.optionalInt("fromId")
        let start = try params.optionalInt("startTime")
        let end = try params.optionalInt("endTime")
        var found = tape.aggregates[...]
        if from != nil || start != nil || end != nil {
            found = found.filter { $0.id >= from ?? 0 && $0.time >= start ?? 0 && $0.time <= end ?? .max }[...]
        }
        return Out.list(from == nil && start == nil ? found.suffix(limit) : found.prefix(limit)) { trade in Out.object { trade.write(&$0, isSpot: isSpot) } }
    }

    /// The last day as the tickers tell it.
    struct Day {
        var bar: Candle
        var change: Int64
        /// In 1e-8 of a per cent.
        var percent: Int64
        var average: Int64
    }

    func day(_ now: Int64, length: Int64 = Interval.day) -> Day {
        let price = last(now)
        let bar = candles.rolling(now, length) ?? Candle(open: now - length, price: price)
        let change = bar.last - bar.first
        let percent = bar.first > 0 ? Int64(clamping: Int128(change) * 100 * Int128(one) / Int128(bar.first)) : 0
        let average = bar.volume > 0 ? Int64(clamping: bar.quote * Int128(one) / bar.volume) : price
        return Day(bar: bar, change: change, percent: percent, average: average)
    }

    func ticker(_ now: Int64, isSpot: Bool, isMini: Bool = false) -> Out {
        let day = day(now)
        return Out.object { out in
            out.text("symbol", rules.name)
            if !isMini {
                out.decimal("priceChange", day.change)
                out.decimal("priceChangePercent", day.percent, 3)
                out.decimal("weightedAvgPrice", day.average)
                if isSpot { out.decimal("prevClosePrice", day.bar.first) }
            }
            out.decimal("lastPrice", last(now))
            if !isMini {
                out.decimal("lastQty", tape.last?.quantity ?? 0)
                if isSpot { top(&out) }
            }
            out.decimal("openPrice", day.bar.first)
            out.decimal("highPrice", day.bar.high)
            out.decimal("lowPrice", day.bar.low)
            out.decimal("volume", day.bar.volume)
            out.decimal("quoteVolume", day.bar.quote)
            out.int("openTime", day.bar.open)
            out.int("closeTime", now)
            out.int("firstId", max(day.bar.firstID, 0))
            out.int("lastId", tape.lastID)
            out.int("count", day.bar.trades)
        }
    }

    func top(_ out: inout Out) {
        let bid = book.depth(.buy, 1).first
        let ask = book.depth(.sell, 1).first
        out.decimal("bidPrice", bid?.price ?? 0)
        out.decimal("bidQty", bid?.quantity ?? 0)
        out.decimal("askPrice", ask?.price ?? 0)
        out.decimal("askQty", ask?.quantity ?? 0)
    }
}
