import PluginKit

// The public futures calls, research data included.

extension FuturesEngine {
    /// One symbol as an object, none as a list of all.
    func each(_ params: Params, _ write: (Listing) -> Out) throws(Refusal) -> Out {
        if let name = try params.optional("symbol") { return write(try listing(name)) }
        return Out.list(names.compactMap { listings[$0] }, write)
    }

    func depth(_ params: Params) throws(Refusal) -> Out {
        let listing = try listing(try params.text("symbol"))
        let limit = try params.optionalInt("limit") ?? 500
        guard [5, 10, 20, 50, 100, 500, 1000].contains(limit) else { throw Refusal(-4021, "\(limit) is not valid depth limit") }
        return Out.object { out in
            out.int("lastUpdateId", listing.book.updateID)
            out.int("E", now)
            out.int("T", now)
            out.put("bids", listing.side(.buy, Int(limit)))
            out.put("asks", listing.side(.sell, Int(limit)))
        }
    }

    func tickerPrice(_ params: Params) throws(Refusal) -> Out {
        try each(params) { listing in
            Out.object { out in
                out.text("symbol", listing.rules.name)
                out.decimal("price", listing.last(now))
                out.int("time", now)
            }
        }
    }

    func tickerBook(_ params: Params) throws(Refusal) -> Out {
        try each(params) { listing in
            Out.object { out in
                out.text("symbol", listing.rules.name)
                listing.top(&out)
                out.int("time", now)
                out.int("lastUpdateId", listing.book.updateID)
            }
        }
    }

    func premium(_ params: Params) throws(Refusal) -> Out {
        try each(params) { listing in
            Out.object { out in
                out.text("symbol", listing.rules.name)
                out.decimal("markPrice", mark(listing, now))
                out.decimal("indexPrice", index(listing, now))
                out.decimal("estimatedSettlePrice", index(listing, now))
                out.decimal("lastFundingRate", fundingRate(listing.rules.name, nextFunding(now)))
                out.decimal("interestRate", 10_000)
                out.int("nextFundingTime", nextFunding(now))
                out.int("time", now)
            }
        }
    }

    func fundingHistory(_ params: Params) throws(Refusal) -> Out {
        var wanted = names
        if let name = try params.optional("symbol") { wanted = [try listing(name).rules.name] }
        let most = try params.limit(100, most: 1000)
        let start = try params.optionalInt("startTime")
        let end = min(try params.optionalInt("endTime") ?? now, now)
        var rows: [(Int64, Out)] = []
        for name in wanted {
            guard let listing = listings[name] else { continue }
            var settlement = end / Self.fundingPeriod * Self.fundingPeriod
            let earliest = max(start ?? 0, now - 400 * Interval.day)
            var times: [Int64] = []
            while settlement >= earliest, start != nil || times.count < most {
                times.append(settlement)
                settlement -= Self.fundingPeriod
            }
            for time in start != nil ? times.reversed().prefix(most).map({ $0 }) : times.reversed() {
                rows.append((time, Out.object { out in
                    out.text("symbol", name)
                    out.int("fundingTime", time)
                    out.decimal("fundingRate", fundingRate(name, time))
                    out.decimal("markPrice", mark(listing, time))
                    out.text("rateType", "Regular")
                }))
            }
        }
        return Out.list(rows.sorted { $0.0 < $1.0 }.suffix(start == nil ? most : rows.count).map(\.1))
    }

    /// Bars of a price that is no trade: mark, index or premium, from the walk.
    func priceBars(_ params: Params, symbol: String, _ price: (Listing, Int64) -> Int64) throws(Refusal) -> Out {
        let listing = try listing(symbol)
        guard let interval = Interval(rawValue: try params.text("interval")), interval != .s1 else { throw .badInterval }
        let limit = try params.limit(500, most: 1500, isStrict: true)
        let start = try params.optionalInt("startTime")
        let end = min(try params.optionalInt("endTime") ?? now, now)
        let bars = listing.candles.bars(interval, start: start, end: end, limit: limit, now: now)
        return Out.list(bars) { bar in
            var made = Candle(open: bar.open, price: price(listing, bar.open))
            let last = min(interval.next(bar.open), now)
            for part in 1...4 {
                let value = price(listing, bar.open + (last - bar.open) * Int64(part) / 4)
                made.high = max(made.high, value)
                made.low = min(made.low, value)
                made.last = value
            }
            return made.row(interval, places: 8)
        }
    }

    func openInterest(_ listing: Listing, _ time: Int64) -> Int64 {
        let part = Int64(mixed(seed, listing.rules.name + "interest", time / 300_000) % 40_001) - 20_000
        let base = listing.rules.typicalQuantity * 100_000
        return down(base + base / 1_000_000 * part, to: listing.rules.step)
    }

    func openInterestCall(_ params: Params) throws(Refusal) -> Out {
        let listing = try listing(try params.text("symbol"))
        return Out.object { out in
            out.decimal("openInterest", openInterest(listing, now), listing.rules.quantityDigits)
            out.text("symbol", listing.rules.name)
            out.int("time", now)
        }
    }

    /// The research rows: thirty days back, one a period. `isStart`: the row carries the beginning of its period, not the end.
    func research(_ params: Params, isStart: Bool = false, symbolName: String = "symbol", _ write: (Listing, Int64, Int64, inout Out) -> Void) throws(Refusal) -> Out {
        let listing = try listing(try params.text(symbolName))
        _ = try params.optional("contractType")
        let periods: [String: Interval] = ["5m": .m5, "15m": .m15, "30m": .m30, "1h": .h1, "2h": .h2, "4h": .h4, "6h": .h6, "12h": .h12, "1d": .d1]
        guard let period = periods[try params.text("period")]?.length else { throw Refusal(-1130, "Data sent for parameter 'period' is not valid.") }
        let most = try params.limit(30, most: 500)
        let start = try params.optionalInt("startTime")
        let end = min(try params.optionalInt("endTime") ?? now, now)
        let earliest = max(start ?? 0, now - 30 * Interval.day)
        var times: [Int64] = []
        // The last period that is over.
        var time = end / period * period - (isStart ? period : 0)
        while time >= earliest, start != nil || times.count < most {
            times.append(time)
            time -= period
        }
        let shown = start != nil ? Array(times.reversed().prefix(most)) : Array(times.reversed())
        return Out.list(shown) { time in
            Out.object { out in
                write(listing, time, period, &out)
                out.int("timestamp", time)
            }
        }
    }

    func openInterestHistory(_ params: Params) throws(Refusal) -> Out {
        try research(params) { listing, time, _, out in
            let interest = openInterest(listing, time)
            out.text("symbol", listing.rules.name)
            out.decimal("sumOpenInterest", interest)
            out.decimal("sumOpenInterestValue", money(mark(listing, time), interest))
            out.text("CMCCirculatingSupply", "19900000")
        }
    }

    /// Longs and shorts by a share that moves with the period.
    func ratio(_ params: Params, _ kind: String) throws(Refusal) -> Out {
        try research(params) { listing, time, _, out in
            let long = 45_000_000 + Int64(mixed(seed, listing.rules.name + kind, time) % 1_000) * 10_000
            let short = one - long
            out.text("symbol", listing.rules.name)
            out.decimal("longShortRatio", Int128(long) * Int128(one) / Int128(short), 4)
            out.decimal("longAccount", long, 4)
            out.decimal("shortAccount", short, 4)
        }
    }

    /// From the bars themselves, so that it agrees with the klines.
    func takerRatio(_ params: Params) throws(Refusal) -> Out {
        try research(params, isStart: true) { listing, time, period, out in
            var bought: Int128 = 0
            var whole: Int128 = 0
            for bar in period < Interval.hour ? listing.candles.minutes.from(time, to: time + period) : listing.candles.hours.from(time, to: time + period) {
                bought += bar.takerVolume
                whole += bar.volume
            }
            let sold = whole - bought
            out.decimal("buySellRatio", sold > 0 ? bought * Int128(one) / sold : Int128(one), 4)
            out.decimal("buyVol", bought, 4)
            out.decimal("sellVol", sold, 4)
        }
    }

    func basis(_ params: Params) throws(Refusal) -> Out {
        try research(params, symbolName: "pair") { listing, time, _, out in
            let index = index(listing, time)
            let mark = mark(listing, time)
            out.text("pair", listing.rules.name)
            out.text("contractType", "PERPETUAL")
            out.decimal("indexPrice", index)
            out.decimal("futuresPrice", mark)
            out.decimal("basis", mark - index)
            out.decimal("basisRate", Int128(mark - index) * Int128(one) / Int128(max(index, 1)), 4)
            out.text("annualizedBasisRate", "")
        }
    }

    func exchangeInfo(limits: Out) -> Out {
        Out.object { out in
            out.text("timezone", "UTC")
            out.int("serverTime", now)
            out.text("futuresType", "U_MARGINED")
            out.put("rateLimits", limits)
            out.put("exchangeFilters", Out.list([Out]()))
            out.put("assets", Out.list([
                Out.object { out in
                    out.text("asset", Self.asset)
                    out.bool("marginAvailable", true)
                    out.text("autoAssetExchange", "-10000")
                }
            ]))
            out.put("symbols", Out.list(names.compactMap { listings[$0] }) { Self.info($0) })
        }
    }

    private static func info(_ listing: Listing) -> Out {
        let rules = listing.rules
        func words(_ list: [String]) -> Out { Out.list(list) { Out.string($0) } }
        return Out.object { out in
            out.text("symbol", rules.name)
            out.text("pair", rules.name)
            out.text("contractType", "PERPETUAL")
            out.int("deliveryDate", 4_133_404_800_000)
            out.int("onboardDate", 1_569_398_400_000)
            out.text("status", listing.status)
            out.text("maintMarginPercent", "2.5000")
            out.text("requiredMarginPercent", "5.0000")
            out.text("baseAsset", rules.base)
            out.text("quoteAsset", rules.quote)
            out.text("marginAsset", rules.quote)
            out.int("pricePrecision", rules.priceDigits)
            out.int("quantityPrecision", rules.quantityDigits)
            out.int("baseAssetPrecision", 8)
            out.int("quotePrecision", 8)
            out.text("underlyingType", "COIN")
            out.put("underlyingSubType", words(["PoW"]))
            out.text("triggerProtect", "0.0500")
            out.decimal("liquidationFee", rules.liquidationFee, 6)
            out.text("marketTakeBound", "0.05")
            out.int("maxMoveOrderLimit", 10_000)
            out.put("filters", filters(rules))
            out.put("orderTypes", words(["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]))
            out.put("timeInForce", words(["GTC", "IOC", "FOK", "GTX", "GTD"]))
            out.put("permissionSets", words(["GRID", "COPY"]))
        }
    }

    private static func filters(_ rules: SymbolRules) -> Out {
        func filter(_ name: String, _ members: [(String, Out)]) -> Out {
            Out.object { out in
                out.text("filterType", name)
                for (name, value) in members { out.put(name, value) }
            }
        }
        func short(_ raw: some BinaryInteger) -> Out { .string(shortText(raw)) }
        return Out.list([
            filter("PRICE_FILTER", [("minPrice", short(rules.minPrice)), ("maxPrice", short(rules.maxPrice)), ("tickSize", .decimal(rules.tick, rules.priceDigits))]),
            filter("LOT_SIZE", [("minQty", short(rules.minQuantity)), ("maxQty", short(rules.maxQuantity)), ("stepSize", short(rules.step))]),
            filter("MARKET_LOT_SIZE", [("minQty", short(rules.minQuantity)), ("maxQty", short(rules.mostMarket)), ("stepSize", short(rules.step))]),
            filter("MAX_NUM_ORDERS", [("limit", .number(rules.mostOrders))]),
            filter("MIN_NOTIONAL", [("notional", short(rules.minNotional))]),
            filter("PERCENT_PRICE", [("multiplierUp", .decimal(rules.upFactor, 4)), ("multiplierDown", .decimal(rules.downFactor, 4)), ("multiplierDecimal", .string("4"))]),
            filter("POSITION_RISK_CONTROL", [("positionControlSide", .string("NONE"))]),
        ])
    }
}
