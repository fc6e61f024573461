// What the spot side says of orders: in answers and as user events.

extension SpotEngine {
    /// executionReport. `execution` is NEW, TRADE, CANCELED, REPLACED, EXPIRED, REJECTED or TRADE_PREVENTION.
    func report(_ order: SpotOrder, _ execution: String, fill: SpotFill? = nil, cancelID: String? = nil) -> Out {
        nextExecution += 1
        return Out.object { out in
            out.text("e", "executionReport")
            out.int("E", now)
            out.text("s", order.symbol)
            out.text("c", cancelID ?? order.clientID)
            out.text("S", order.side.rawValue)
            out.text("o", order.type.rawValue)
            out.text("f", order.timeInForce.rawValue)
            out.decimal("q", order.quantity)
            out.decimal("p", order.price)
            out.decimal("P", order.stopPrice)
            out.decimal("F", 0)
            out.int("g", order.list)
            out.text("C", cancelID == nil ? "" : order.clientID)
            out.text("x", execution)
            out.text("X", order.status.rawValue)
            out.text("r", "NONE")
            out.int("i", order.id)
            out.decimal("l", fill?.quantity ?? 0)
            out.decimal("z", order.executed)
            out.decimal("L", fill?.price ?? 0)
            out.decimal("n", fill?.commission ?? 0)
            if let fill { out.text("N", fill.asset) } else { out.null("N") }
            out.int("T", now)
            out.int("t", fill?.trade ?? -1)
            out.int("I", nextExecution)
            out.bool("w", order.isWorking && order.status.isOpen)
            out.bool("m", fill?.isMaker ?? false)
            out.bool("M", fill != nil)
            out.int("O", order.time)
            out.decimal("Z", order.quote)
            out.decimal("Y", fill?.quote ?? 0)
            out.decimal("Q", order.quoteQuantity)
            if order.isWorking { out.int("W", order.workingTime) }
            out.text("V", order.selfTrade.rawValue)
            if let id = order.strategyID { out.int("j", id) }
            if let type = order.strategyType { out.int("J", type) }
            if let match = order.preventedMatch { out.int("v", match) }
            if let reason = order.expiry, execution == "EXPIRED" { out.text("eR", reason) }
        }
    }

    func position(_ account: Account, _ assets: [String]) -> Out {
        Out.object { out in
            out.text("e", "outboundAccountPosition")
            out.int("E", now)
            out.int("u", account.spotUpdated)
            out.put("B", Out.list(assets) { asset in
                Out.object { out in
                    out.text("a", asset)
                    out.decimal("f", account.spot[asset]?.free ?? 0)
                    out.decimal("l", account.spot[asset]?.locked ?? 0)
                }
            })
        }
    }

    func listEvent(_ list: OrderList) -> Out {
        Out.object { out in
            out.text("e", "listStatus")
            out.int("E", now)
            out.text("s", list.symbol)
            out.int("g", list.id)
            out.text("c", list.kind.rawValue)
            out.text("l", list.type)
            out.text("L", list.status)
            out.text("r", "NONE")
            out.text("C", list.clientID)
            out.int("T", now)
            out.put("O", Out.list(list.orders.compactMap { orders[$0] }) { order in
                Out.object { out in
                    out.text("s", order.symbol)
                    out.int("i", order.id)
                    out.text("c", order.clientID)
                }
            })
        }
    }

    private func common(_ order: SpotOrder, _ out: inout Out) {
        out.decimal("price", order.price)
        out.decimal("origQty", order.quantity)
        out.decimal("executedQty", order.executed)
        out.decimal("origQuoteOrderQty", order.quoteQuantity)
        out.decimal("cummulativeQuoteQty", order.quote)
        out.text("status", order.status.rawValue)
        out.text("timeInForce", order.timeInForce.rawValue)
        out.text("type", order.type.rawValue)
        out.text("side", order.side.rawValue)
    }

    private func optional(_ order: SpotOrder, _ out: inout Out) {
        if let id = order.strategyID { out.int("strategyId", id) }
        if let type = order.strategyType { out.int("strategyType", type) }
        if let match = order.preventedMatch { out.int("preventedMatchId", match) }
        if order.prevented > 0 || order.preventedMatch != nil { out.decimal("preventedQuantity", order.prevented) }
    }

    /// The answer to a new order: "ACK", "RESULT" or "FULL".
    func placed(_ order: SpotOrder, _ kind: String) -> Out {
        Out.object { out in
            out.text("symbol", order.symbol)
            out.int("orderId", order.id)
            out.int("orderListId", order.list)
            out.text("clientOrderId", order.clientID)
            out.int("transactTime", now)
            guard kind != "ACK" else { return }
            common(order, &out)
            if order.stopPrice > 0 { out.decimal("stopPrice", order.stopPrice) }
            out.int("workingTime", order.workingTime)
            optional(order, &out)
            out.text("selfTradePreventionMode", order.selfTrade.rawValue)
            guard kind == "FULL" else { return }
            out.put("fills", Out.list((fills[order.account] ?? []).suffix(2_000).filter { $0.order == order.id && orders[$0.order]?.symbol == order.symbol }) { fill in
                Out.object { out in
                    out.decimal("price", fill.price)
                    out.decimal("qty", fill.quantity)
                    out.decimal("commission", fill.commission)
                    out.text("commissionAsset", fill.asset)
                    out.int("tradeId", fill.trade)
                }
            })
        }
    }

    func canceled(_ order: SpotOrder, cancelID: String) -> Out {
        Out.object { out in
            out.text("symbol", order.symbol)
            out.text("origClientOrderId", order.clientID)
            out.int("orderId", order.id)
            out.int("orderListId", order.list)
            out.text("clientOrderId", cancelID)
            out.int("transactTime", now)
            common(order, &out)
            if order.stopPrice > 0 { out.decimal("stopPrice", order.stopPrice) }
            optional(order, &out)
            out.text("selfTradePreventionMode", order.selfTrade.rawValue)
        }
    }

    func queried(_ order: SpotOrder) -> Out {
        Out.object { out in
            out.text("symbol", order.symbol)
            out.int("orderId", order.id)
            out.int("orderListId", order.list)
            out.text("clientOrderId", order.clientID)
            common(order, &out)
            out.decimal("stopPrice", order.stopPrice)
            out.decimal("icebergQty", 0)
            out.int("time", order.time)
            out.int("updateTime", order.updated)
            out.bool("isWorking", order.isTriggered)
            out.int("workingTime", order.workingTime)
            optional(order, &out)
            out.text("selfTradePreventionMode", order.selfTrade.rawValue)
            if let reason = order.expiry, order.status == .expired { out.text("expiryReason", reason) }
        }
    }

    /// An order list; with the reports of its orders where it was just placed or cancelled.
    func described(_ list: OrderList, reports: [Out]? = nil) -> Out {
        Out.object { out in
            out.int("orderListId", list.id)
            out.text("contingencyType", list.kind.rawValue)
            out.text("listStatusType", list.type)
            out.text("listOrderStatus", list.status)
            out.text("listClientOrderId", list.clientID)
            out.int("transactionTime", reports == nil ? list.time : now)
            out.text("symbol", list.symbol)
            out.put("orders", Out.list(list.orders.compactMap { orders[$0] }) { order in
                Out.object { out in
                    out.text("symbol", order.symbol)
                    out.int("orderId", order.id)
                    out.text("clientOrderId", order.clientID)
                }
            })
            if let reports { out.put("orderReports", Out.list(reports)) }
        }
    }

    func trade(_ fill: SpotFill, _ symbol: String) -> Out {
        Out.object { out in
            out.text("symbol", symbol)
            out.int("id", fill.trade)
            out.int("orderId", fill.order)
            out.int("orderListId", fill.list)
            out.decimal("price", fill.price)
            out.decimal("qty", fill.quantity)
            out.decimal("quoteQty", fill.quote)
            out.decimal("commission", fill.commission)
            out.text("commissionAsset", fill.asset)
            out.int("time", fill.time)
            out.bool("isBuyer", fill.isBuyer)
            out.bool("isMaker", fill.isMaker)
            out.bool("isBestMatch", true)
        }
    }
}
