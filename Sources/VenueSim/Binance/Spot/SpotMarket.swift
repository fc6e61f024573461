import PluginKit

// The public spot calls.

extension SpotEngine {
    /// The listings a call names by symbol or symbols; all of them where it names none.
    func chosen(_ params: Params) throws(Refusal) -> (listings: [Listing], isSingle: Bool) {
        if let name = try params.optional("symbol") {
            if params.has("symbols") { throw Refusal(-1128, "Combination of optional parameters invalid.") }
            return ([try listing(name)], true)
        }
        guard let list = try params.optionalList("symbols") else { return (names.compactMap { listings[$0] }, false) }
        var found: [Listing] = []
        for item in list {
            guard let name = item.asText else { throw .illegal("symbols", "^\\[(\"[A-Z0-9-_.]{1,20}\"(,\"[A-Z0-9-_.]{1,20}\"){0,}){0,1}\\]$") }
            if found.contains(where: { $0.rules.name == name }) { throw Refusal(-1151, "Symbol is present multiple times in the list.") }
            found.append(try listing(name))
        }
        return (found, false)
    }

    private func each(_ params: Params, _ write: (Listing) -> Out) throws(Refusal) -> Out {
        let (found, isSingle) = try chosen(params)
        return isSingle ? write(found[0]) : Out.list(found, write)
    }

    func depth(_ params: Params) throws(Refusal) -> Out {
        let listing = try listing(try params.text("symbol"))
        let limit = try params.limit(100, most: 5000)
        return Out.object { out in
            out.int("lastUpdateId", listing.book.updateID)
            out.put("bids", listing.side(.buy, limit))
            out.put("asks", listing.side(.sell, limit))
        }
    }

    func ticker24(_ params: Params) throws(Refusal) -> Out {
        let isMini = try params.optional("type") == "MINI"
        let time = now
        return try each(params) { $0.ticker(time, isSpot: true, isMini: isMini) }
    }

    func tickerPrice(_ params: Params) throws(Refusal) -> Out {
        let time = now
        return try each(params) { listing in
            Out.object { out in
                out.text("symbol", listing.rules.name)
                out.decimal("price", listing.last(time))
            }
        }
    }

    func tickerBook(_ params: Params) throws(Refusal) -> Out {
        try each(params) { listing in
            Out.object { out in
                out.text("symbol", listing.rules.name)
                listing.top(&out)
            }
        }
    }

    func averagePrice(_ params: Params) throws(Refusal) -> Out {
        let listing = try listing(try params.text("symbol"))
        let time = now
        return Out.object { out in
            out.int("mins", 5)
            out.decimal("price", listing.average(time))
            out.int("closeTime", time)
        }
    }

    func exchangeInfo(_ params: Params, limits: Out) throws(Refusal) -> Out {
        _ = try params.optional("permissions")
        _ = try params.optional("showPermissionSets")
        let status = try params.optional("symbolStatus")
        let found = try chosen(params).listings.filter { status == nil || $0.status == status }
        return Out.object { out in
            out.text("timezone", "UTC")
            out.int("serverTime", now)
            out.put("rateLimits", limits)
            out.put("exchangeFilters", Out.list([Out]()))
            out.put("symbols", Out.list(found) { Self.info($0) })
        }
    }

    private static func info(_ listing: Listing) -> Out {
        let rules = listing.rules
        func words(_ list: [String]) -> Out { Out.list(list) { Out.string($0) } }
        return Out.object { out in
            out.text("symbol", rules.name)
            out.text("status", listing.status)
            out.text("baseAsset", rules.base)
            out.int("baseAssetPrecision", 8)
            out.text("quoteAsset", rules.quote)
            out.int("quotePrecision", 8)
            out.int("quoteAssetPrecision", 8)
            out.int("baseCommissionPrecision", 8)
            out.int("quoteCommissionPrecision", 8)
            out.put("orderTypes", words(["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"]))
            out.bool("icebergAllowed", false)
            out.bool("ocoAllowed", true)
            out.bool("otoAllowed", true)
            out.bool("opoAllowed", false)
            out.bool("quoteOrderQtyMarketAllowed", true)
            out.bool("allowTrailingStop", false)
            out.bool("cancelReplaceAllowed", true)
            out.bool("amendAllowed", true)
            out.bool("pegInstructionsAllowed", false)
            out.bool("isSpotTradingAllowed", true)
            out.bool("isMarginTradingAllowed", false)
            out.put("filters", filters(rules))
            out.put("permissions", Out.list([Out]()))
            out.put("permissionSets", Out.list([words(["SPOT"])]))
            out.text("defaultSelfTradePreventionMode", "EXPIRE_MAKER")
            out.put("allowedSelfTradePreventionModes", words(["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"]))
        }
    }

    static func filters(_ rules: SymbolRules) -> Out {
        func filter(_ name: String, _ fill: (inout Out) -> Void) -> Out {
            Out.object { out in
                out.text("filterType", name)
                fill(&out)
            }
        }
        return Out.list([
            filter("PRICE_FILTER") {
                $0.decimal("minPrice", rules.minPrice)
                $0.decimal("maxPrice", rules.maxPrice)
                $0.decimal("tickSize", rules.tick)
            },
            filter("LOT_SIZE") {
                $0.decimal("minQty", rules.minQuantity)
                $0.decimal("maxQty", rules.maxQuantity)
                $0.decimal("stepSize", rules.step)
            },
            filter("MARKET_LOT_SIZE") {
                $0.decimal("minQty", 0)
                $0.decimal("maxQty", rules.mostMarket)
                $0.decimal("stepSize", 0)
            },
            filter("PERCENT_PRICE_BY_SIDE") {
                $0.text("bidMultiplierUp", shortText(rules.upFactor))
                $0.text("bidMultiplierDown", shortText(rules.downFactor))
                $0.text("askMultiplierUp", shortText(rules.upFactor))
                $0.text("askMultiplierDown", shortText(rules.downFactor))
                $0.int("avgPriceMins", 5)
            },
            filter("NOTIONAL") {
                $0.decimal("minNotional", rules.minNotional)
                $0.bool("applyMinToMarket", true)
                $0.decimal("maxNotional", rules.maxNotional)
                $0.bool("applyMaxToMarket", false)
                $0.int("avgPriceMins", 5)
            },
            filter("MAX_NUM_ORDERS") { $0.int("maxNumOrders", rules.mostOrders) },
            filter("MAX_NUM_ORDER_LISTS") { $0.int("maxNumOrderLists", rules.mostLists) },
            filter("MAX_NUM_ALGO_ORDERS") { $0.int("maxNumAlgoOrders", rules.mostAlgo) },
            filter("MAX_NUM_ORDER_AMENDS") { $0.int("maxNumOrderAmends", rules.mostAmends) },
        ])
    }
}
