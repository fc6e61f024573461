import PluginKit

// What the futures side says of orders, positions and accounts: in answers and as user events.

extension FuturesEngine {
    private func digits(_ symbol: String) -> (price: Int, quantity: Int) {
        let rules = listings[symbol]?.rules
        return (rules?.priceDigits ?? 8, rules?.quantityDigits ?? 8)
    }

    /// ORDER_TRADE_UPDATE.
    func orderUpdate(_ order: FuturesOrder, _ execution: String, fill: FuturesFill? = nil) -> Out {
        let digits = digits(order.symbol)
        return Out.object { out in
            out.text("e", "ORDER_TRADE_UPDATE")
            out.int("E", now)
            out.int("T", now)
            out.put("o", Out.object { out in
                out.text("s", order.symbol)
                out.text("c", order.clientID)
                out.text("S", order.side.rawValue)
                out.text("o", order.type)
                out.text("f", order.timeInForce.rawValue)
                out.decimal("q", order.quantity, digits.quantity)
                out.decimal("p", order.price, digits.price)
                out.decimal("ap", order.average, 5)
                out.decimal("sp", order.stopPrice, digits.price)
                out.text("x", execution)
                out.text("X", order.status.rawValue)
                out.int("i", order.id)
                out.decimal("l", fill?.quantity ?? 0, digits.quantity)
                out.decimal("z", order.executed, digits.quantity)
                out.decimal("L", fill?.price ?? 0, digits.price)
                if let fill {
                    out.text("N", Self.asset)
                    out.decimal("n", fill.commission)
                }
                out.int("T", now)
                out.int("t", fill?.trade ?? 0)
                out.decimal("b", 0, digits.price)
                out.decimal("a", 0, digits.price)
                out.bool("m", fill?.isMaker ?? false)
                out.bool("R", order.reduceOnly)
                out.text("wt", order.workingType)
                out.text("ot", order.originalType)
                out.text("ps", order.positionSide.rawValue)
                out.bool("cp", order.closePosition)
                out.decimal("rp", fill?.realized ?? 0)
                out.bool("pP", order.priceProtect)
                out.int("si", 0)
                out.int("ss", 0)
                out.text("V", order.selfTrade.rawValue)
                out.text("pm", order.priceMatch)
                out.int("gtd", order.goodTill)
                out.text("er", order.expiry)
            })
        }
    }

    func accountUpdate(_ account: Account, _ reason: String, _ keys: [PositionKey]) -> Out {
        let state = margin(account)
        return Out.object { out in
            out.text("e", "ACCOUNT_UPDATE")
            out.int("E", now)
            out.int("T", now)
            out.put("a", Out.object { out in
                out.text("m", reason)
                out.put("B", Out.list([
                    Out.object { out in
                        out.text("a", Self.asset)
                        out.decimal("wb", state.wallet)
                        out.decimal("cw", state.crossWallet)
                        out.decimal("bc", 0)
                    }
                ]))
                out.put("P", Out.list(keys) { key in
                    let position = position(account, key)
                    let isIsolated = account.futures.isolated.contains(key.symbol)
                    let mark = listings[key.symbol].map { self.mark($0, now) } ?? 0
                    return Out.object { out in
                        out.text("s", key.symbol)
                        out.decimal("pa", position.amount, digits(key.symbol).quantity)
                        out.decimal("ep", position.entry)
                        out.decimal("bep", breakEven(account, position))
                        out.decimal("cr", realized(account, key))
                        out.decimal("up", position.profit(at: mark))
                        out.text("mt", isIsolated ? "isolated" : "cross")
                        out.decimal("iw", isIsolated ? position.isolated : 0)
                        out.text("ps", key.side.rawValue)
                    }
                })
            })
        }
    }

    private func breakEven(_ account: Account, _ position: Position) -> Int64 {
        let fee = Int64(clamping: share(Int128(position.entry), account.futuresTakerRate))
        return position.amount == 0 ? 0 : position.amount > 0 ? position.entry + fee : position.entry - fee
    }

    private func realized(_ account: Account, _ key: PositionKey) -> Int128 {
        (fills[account.number] ?? []).lazy.filter { $0.symbol == key.symbol && $0.positionSide == key.side }.reduce(0) { $0 + $1.realized }
    }

    func algoUpdate(_ algo: AlgoOrder) -> Out {
        let digits = digits(algo.symbol)
        return Out.object { out in
            out.text("e", "ALGO_UPDATE")
            out.int("T", now)
            out.int("E", now)
            out.put("o", Out.object { out in
                out.text("caid", algo.clientID)
                out.int("aid", algo.id)
                out.text("at", "CONDITIONAL")
                out.text("o", algo.type)
                out.text("s", algo.symbol)
                out.text("S", algo.side.rawValue)
                out.text("ps", algo.positionSide.rawValue)
                out.text("f", algo.timeInForce.rawValue)
                out.decimal("q", algo.quantity, digits.quantity)
                out.text("X", algo.status)
                out.text("ai", algo.actualOrder.map(String.init) ?? "")
                if let order = algo.actualOrder.flatMap({ orders[$0] }) {
                    out.decimal("ap", order.average, digits.price)
                    out.decimal("aq", order.executed, digits.quantity)
                    out.text("act", order.type)
                }
                out.decimal("tp", algo.trigger, digits.price)
                out.decimal("p", algo.price, digits.price)
                out.text("V", algo.selfTrade.rawValue)
                out.text("wt", algo.workingType)
                out.text("pm", algo.priceMatch)
                out.bool("cp", algo.closePosition)
                out.bool("pP", algo.priceProtect)
                out.bool("R", algo.reduceOnly)
                out.int("tt", algo.triggered)
                out.int("gtd", algo.goodTill)
                out.bool("ia", false)
                if !algo.message.isEmpty { out.text("rm", algo.message) }
            })
        }
    }

    func forceOrder(_ order: FuturesOrder) -> Out {
        let digits = digits(order.symbol)
        return Out.object { out in
            out.text("e", "forceOrder")
            out.int("E", now)
            out.put("o", Out.object { out in
                out.text("s", order.symbol)
                out.text("S", order.side.rawValue)
                out.text("o", "LIMIT")
                out.text("f", "IOC")
                out.decimal("q", order.quantity, digits.quantity)
                out.decimal("p", order.price, digits.price)
                out.decimal("ap", order.average, digits.price)
                out.text("X", order.status.rawValue)
                out.decimal("l", order.executed, digits.quantity)
                out.decimal("z", order.executed, digits.quantity)
                out.int("T", now)
            })
        }
    }

    func markEvent(_ symbol: String, _ time: Int64) -> Out? {
        guard let listing = listings[symbol] else { return nil }
        return Out.object { out in
            out.text("e", "markPriceUpdate")
            out.int("E", time)
            out.text("s", symbol)
            out.decimal("p", mark(listing, time))
            out.decimal("ap", mark(listing, time))
            out.decimal("i", index(listing, time))
            out.decimal("P", index(listing, time))
            out.decimal("r", fundingRate(symbol, nextFunding(time)))
            out.int("T", nextFunding(time))
            out.int("st", 1)
        }
    }

    // MARK: answers

    /// An order as answers show it. `isQuery`: with the fields that answers to placements no longer have.
    func described(_ order: FuturesOrder, isQuery: Bool) -> Out {
        let digits = digits(order.symbol)
        return Out.object { out in
            out.int("orderId", order.id)
            out.text("symbol", order.symbol)
            out.text("status", order.status.rawValue)
            out.text("clientOrderId", order.clientID)
            out.decimal("price", order.price, digits.price)
            if isQuery || tellsAverage {
                out.decimal("avgPrice", order.average, 5)
                out.decimal("cumQuote", order.quote, 5)
            }
            out.decimal("origQty", order.quantity, digits.quantity)
            out.decimal("executedQty", order.executed, digits.quantity)
            if !isQuery { out.decimal("cumQty", order.executed, digits.quantity) }
            out.text("timeInForce", order.timeInForce.rawValue)
            out.text("type", order.type)
            out.text("origType", order.originalType)
            out.bool("reduceOnly", order.reduceOnly)
            out.bool("closePosition", order.closePosition)
            out.text("side", order.side.rawValue)
            out.text("positionSide", order.positionSide.rawValue)
            out.decimal("stopPrice", order.stopPrice, digits.price)
            out.text("workingType", order.workingType)
            out.bool("priceProtect", order.priceProtect)
            out.text("priceMatch", order.priceMatch)
            out.text("selfTradePreventionMode", order.selfTrade.rawValue)
            out.int("goodTillDate", order.goodTill)
            if isQuery { out.int("time", order.time) }
            out.int("updateTime", order.updated)
        }
    }

    func described(_ algo: AlgoOrder) -> Out {
        let digits = digits(algo.symbol)
        let order = algo.actualOrder.flatMap { orders[$0] }
        return Out.object { out in
            out.int("algoId", algo.id)
            out.text("clientAlgoId", algo.clientID)
            out.text("algoType", "CONDITIONAL")
            out.text("orderType", algo.type)
            out.text("symbol", algo.symbol)
            out.text("side", algo.side.rawValue)
            out.text("positionSide", algo.positionSide.rawValue)
            out.text("timeInForce", algo.timeInForce.rawValue)
            out.decimal("quantity", algo.quantity, digits.quantity)
            out.text("algoStatus", algo.status)
            out.text("actualOrderId", algo.actualOrder.map(String.init) ?? "")
            if let order {
                out.decimal("actualPrice", order.average, 5)
                out.decimal("actualQty", order.executed, digits.quantity)
                out.text("actualType", order.type)
            }
            out.decimal("triggerPrice", algo.trigger, digits.price)
            out.decimal("price", algo.price, digits.price)
            out.null("icebergQuantity")
            out.text("selfTradePreventionMode", algo.selfTrade.rawValue)
            out.text("workingType", algo.workingType)
            out.text("priceMatch", algo.priceMatch)
            out.bool("closePosition", algo.closePosition)
            out.bool("priceProtect", algo.priceProtect)
            out.bool("reduceOnly", algo.reduceOnly)
            if algo.isTrailing {
                out.decimal("activatePrice", algo.activation, digits.price)
                out.decimal("callbackRate", algo.callback * 100, 1)
            }
            out.int("createTime", algo.created)
            out.int("updateTime", algo.updated)
            out.int("triggerTime", algo.triggered)
            out.int("goodTillDate", algo.goodTill)
        }
    }

    func described(_ fill: FuturesFill) -> Out {
        let digits = digits(fill.symbol)
        return Out.object { out in
            out.text("symbol", fill.symbol)
            out.text("pair", fill.symbol)
            out.int("id", fill.trade)
            out.int("orderId", fill.order)
            out.text("side", fill.side.rawValue)
            out.decimal("price", fill.price, digits.price)
            out.decimal("qty", fill.quantity, digits.quantity)
            out.decimal("quoteQty", fill.quote)
            out.text("baseQty", "0")
            out.decimal("realizedPnl", fill.realized)
            out.text("marginAsset", Self.asset)
            out.decimal("commission", fill.commission)
            out.text("commissionAsset", Self.asset)
            out.int("time", fill.time)
            out.text("positionSide", fill.positionSide.rawValue)
            out.bool("maker", fill.isMaker)
            out.bool("buyer", fill.side == .buy)
        }
    }

    func described(_ income: Income) -> Out {
        Out.object { out in
            out.text("symbol", income.symbol)
            out.text("incomeType", income.type)
            out.decimal("income", income.amount)
            out.text("asset", income.asset)
            out.int("time", income.time)
            out.text("info", income.trade.map(String.init) ?? income.type)
            out.int("tranId", income.id)
            out.text("tradeId", income.trade.map(String.init) ?? "")
        }
    }

    /// The rows a symbol has: one, or two in hedge mode.
    func keys(_ account: Account, _ symbol: String) -> [PositionKey] {
        (account.futures.isDual ? [PositionSide.long, .short] : [.both]).map { PositionKey(symbol: symbol, side: $0) }
    }

    func risk(_ account: Account, _ key: PositionKey, _ state: MarginState, version: Int) -> Out {
        let position = position(account, key)
        let rules = listings[key.symbol]?.rules
        let mark = listings[key.symbol].map { self.mark($0, now) } ?? 0
        let notional = position.notional(at: mark)
        let signed = position.amount < 0 ? -notional : notional
        let isIsolated = account.futures.isolated.contains(key.symbol)
        let leverage = account.futures.leverage(key.symbol)
        let maintenance = rules.map { self.maintenance($0, notional) } ?? 0
        let profit = position.profit(at: mark)
        let orderInitial = orderMargin(account, key.symbol)
        return Out.object { out in
            out.text("symbol", key.symbol)
            out.text("positionSide", key.side.rawValue)
            out.decimal("positionAmt", saidAmounts[key.symbol] ?? Int128(position.amount), digits(key.symbol).quantity)
            out.decimal("entryPrice", position.entry)
            out.decimal("breakEvenPrice", breakEven(account, position))
            out.decimal("markPrice", mark)
            out.decimal("unRealizedProfit", profit)
            let liquidation = liquidationPrice(account, key, state)
            if liquidation == 0 { out.text("liquidationPrice", "0") } else { out.decimal("liquidationPrice", liquidation) }
            if isIsolated { out.decimal("isolatedMargin", position.isolated + profit) } else { out.text("isolatedMargin", "0") }
            out.decimal("notional", signed)
            if isIsolated { out.decimal("isolatedWallet", position.isolated) } else { out.text("isolatedWallet", "0") }
            if version == 2 {
                out.text("leverage", "\(leverage)")
                out.text("marginType", isIsolated ? "isolated" : "cross")
                out.text("isAutoAddMargin", "false")
                out.text("maxNotionalValue", "\(rules.map { mostNotional($0, leverage) } ?? 0)")
            } else {
                out.text("marginAsset", Self.asset)
                out.decimal("initialMargin", notional / Int128(leverage) + orderInitial)
                out.decimal("maintMargin", maintenance)
                out.decimal("positionInitialMargin", notional / Int128(leverage))
                out.decimal("openOrderInitialMargin", orderInitial)
                out.int("adl", position.amount == 0 ? 0 : 2)
                out.decimal("bidNotional", openNotional(account, key, .buy))
                out.decimal("askNotional", openNotional(account, key, .sell))
            }
            out.int("updateTime", position.updated)
        }
    }

    func accountAnswer(_ account: Account, version: Int) -> Out {
        let state = margin(account)
        let updated = max(account.futures.updated, 1)
        return Out.object { out in
            if version == 2 { config(account, &out) }
            out.decimal("totalInitialMargin", state.positionInitial + state.orderInitial)
            out.decimal("totalMaintMargin", state.maintenance)
            out.decimal("totalWalletBalance", state.wallet)
            out.decimal("totalUnrealizedProfit", state.profit)
            out.decimal("totalMarginBalance", state.wallet + state.profit)
            out.decimal("totalPositionInitialMargin", state.positionInitial)
            out.decimal("totalOpenOrderInitialMargin", state.orderInitial)
            out.decimal("totalCrossWalletBalance", state.crossWallet)
            out.decimal("totalCrossUnPnl", state.crossProfit)
            out.decimal("availableBalance", state.available)
            out.decimal("maxWithdrawAmount", max(0, min(state.available, state.crossWallet)))
            out.put("assets", Out.list([
                Out.object { out in
                    out.text("asset", Self.asset)
                    out.decimal("walletBalance", state.wallet)
                    out.decimal("unrealizedProfit", state.profit)
                    out.decimal("marginBalance", state.wallet + state.profit)
                    out.decimal("maintMargin", state.maintenance)
                    out.decimal("initialMargin", state.positionInitial + state.orderInitial)
                    out.decimal("positionInitialMargin", state.positionInitial)
                    out.decimal("openOrderInitialMargin", state.orderInitial)
                    out.decimal("crossWalletBalance", state.crossWallet)
                    out.decimal("crossUnPnl", state.crossProfit)
                    out.decimal("availableBalance", state.available)
                    out.decimal("maxWithdrawAmount", max(0, min(state.available, state.crossWallet)))
                    out.bool("marginAvailable", true)
                    out.int("updateTime", updated)
                }
            ]))
            let shown = names.flatMap { keys(account, $0) }.filter { key in
                version == 2 || position(account, key).amount != 0 || saidAmounts[key.symbol] != nil || openOrders(account.number, key.symbol).contains { $0.positionSide == key.side }
            }
            out.put("positions", Out.list(shown) { positionRow(account, $0, version: version) })
        }
    }

    private func positionRow(_ account: Account, _ key: PositionKey, version: Int) -> Out {
        let position = position(account, key)
        let mark = listings[key.symbol].map { self.mark($0, now) } ?? 0
        let notional = position.notional(at: mark)
        let isIsolated = account.futures.isolated.contains(key.symbol)
        let leverage = account.futures.leverage(key.symbol)
        let initial = notional / Int128(leverage)
        let orderInitial = orderMargin(account, key.symbol)
        return Out.object { out in
            out.text("symbol", key.symbol)
            out.text("positionSide", key.side.rawValue)
            out.decimal("positionAmt", saidAmounts[key.symbol] ?? Int128(position.amount), digits(key.symbol).quantity)
            out.decimal("unrealizedProfit", position.profit(at: mark))
            if isIsolated { out.decimal("isolatedMargin", position.isolated + position.profit(at: mark)) } else { out.text("isolatedMargin", "0") }
            out.decimal("notional", position.amount < 0 ? -notional : notional)
            if isIsolated { out.decimal("isolatedWallet", position.isolated) } else { out.text("isolatedWallet", "0") }
            out.decimal("initialMargin", initial + orderInitial)
            out.decimal("maintMargin", listings[key.symbol].map { maintenance($0.rules, notional) } ?? 0)
            if version == 2 {
                out.decimal("positionInitialMargin", initial)
                out.decimal("openOrderInitialMargin", orderInitial)
                out.text("leverage", "\(leverage)")
                out.bool("isolated", isIsolated)
                out.decimal("entryPrice", position.entry)
                out.text("maxNotional", "\(listings[key.symbol].map { mostNotional($0.rules, leverage) } ?? 0)")
                out.decimal("bidNotional", openNotional(account, key, .buy))
                out.decimal("askNotional", openNotional(account, key, .sell))
            }
            out.int("updateTime", position.updated)
        }
    }

    func config(_ account: Account, _ out: inout Out) {
        out.int("feeTier", 0)
        out.bool("canTrade", true)
        out.bool("canDeposit", true)
        out.bool("canWithdraw", true)
        out.bool("dualSidePosition", account.futures.isDual)
        out.int("updateTime", account.futures.updated)
        out.bool("multiAssetsMargin", false)
        out.int("tradeGroupId", -1)
    }

    var books: Out {
        Out.object { out in
            out.decimal("fees", fees)
            out.decimal("funding", funding)
            out.decimal("insurance", insurance)
            out.decimal("houseCash", houseCash)
            out.put("houseHolds", Books.amounts(houseHolds.mapValues { Int128($0) }))
            out.put("accounts", Out.list(accounts) { account in
                Out.object { out in
                    out.text("name", account.name)
                    out.put("wallet", Books.amounts(account.futures.wallet))
                    out.put("positions", Out.list(account.futures.positions.sorted { ($0.key.symbol, $0.key.side.rawValue) < ($1.key.symbol, $1.key.side.rawValue) }) { key, position in
                        Out.object { out in
                            out.text("symbol", key.symbol)
                            out.text("positionSide", key.side.rawValue)
                            out.decimal("amount", position.amount)
                            out.decimal("cost", position.cost)
                            out.decimal("isolated", position.isolated)
                        }
                    })
                    out.put("orders", Out.list(orders.values.filter { $0.account == account.number }.sorted { $0.id < $1.id }) { described($0, isQuery: true) })
                    out.put("algoOrders", Out.list(algos.values.filter { $0.account == account.number }.sorted { $0.id < $1.id }) { described($0) })
                    out.put("fills", Out.list(fills[account.number] ?? []) { described($0) })
                    out.put("income", Out.list(account.futures.income) { described($0) })
                }
            })
        }
    }
}
