import PluginKit

// The futures calls that need an account: parameters in, JSON out.

extension FuturesEngine {
    func newOrder(_ account: Account, _ params: Params, isTest: Bool = false) throws(Refusal) -> Out {
        let listing = try listing(try params.text("symbol"))
        let draft = try draft(account, listing, params)
        if isTest {
            try check(draft, listing, account)
            return Out.object { _ in }
        }
        let order = try place(draft, listing, account)
        return described(order, isQuery: false)
    }

    private func wanted(_ account: Account, _ params: Params, else missing: Refusal) throws(Refusal) -> FuturesOrder {
        let name = try listing(try params.text("symbol")).rules.name
        let id = try params.optionalInt("orderId")
        let client = try params.optional("origClientOrderId")
        guard id != nil || client != nil else { throw Refusal(-1102, "Param 'orderid' or 'origclientorderid' must be sent, but both were empty/null!") }
        guard let order = find(account, name, id: id, clientID: client) else { throw missing }
        return order
    }

    func queryOrder(_ account: Account, _ params: Params, onlyOpen: Bool = false) throws(Refusal) -> Out {
        let order = try wanted(account, params, else: .noSuchOrder)
        if onlyOpen, !order.status.isOpen { throw .noSuchOrder }
        return described(order, isQuery: true)
    }

    func cancelOrder(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let order = try wanted(account, params, else: .unknownOrder)
        guard order.status.isOpen else { throw .unknownOrder }
        end(order, .canceled, "CANCELED")
        tellAccounts("ORDER")
        return described(order, isQuery: false)
    }

    func modifyOrder(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let order = try wanted(account, params, else: .noSuchOrder)
        guard order.status.isOpen, let listing = listings[order.symbol] else { throw .noSuchOrder }
        guard let side = Side(rawValue: try params.text("side")), side == order.side else { throw .badSide }
        let rules = listing.rules
        guard let quantity = try gridded(params, "quantity", digits: rules.quantityDigits, step: rules.step, offGrid: Refusal(-4023, "Qty not increased by step size."))
        else { throw .mandatory("quantity") }
        guard let price = try gridded(params, "price", digits: rules.priceDigits, step: rules.tick, offGrid: Refusal(-4014, "Price not increased by tick size."))
        else { throw .mandatory("price") }
        try modify(order, price: price, quantity: quantity, account)
        return described(order, isQuery: false)
    }

    /// Each element for itself: an order or an error, in the order asked.
    func batch(_ account: Account, _ params: Params, _ work: (Params) throws(Refusal) -> Out) throws(Refusal) -> Out {
        guard let list = try params.optionalList("batchOrders") else { throw .mandatory("batchOrders") }
        guard (1...5).contains(list.count) else { throw Refusal(-4082, "Invalid number of batch place orders.") }
        var answers: [Out] = []
        for item in list {
            do throws(Refusal) { answers.append(try work(Params.object(item.asObject ?? JSONObject()).params)) } catch { answers.append(error.body) }
        }
        return Out.list(answers)
    }

    func cancelBatch(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let name = try params.text("symbol")
        func list(_ names: String...) throws(Refusal) -> [JSONValue]? {
            for name in names { if params.has(name) { return try params.optionalList(name) } }
            return nil
        }
        let ids = try list("orderIdList", "orderidlist")
        let clients = try list("origClientOrderIdList", "origclientorderidlist")
        guard let wanted = ids ?? clients, (1...10).contains(wanted.count) else { throw Refusal(-4082, "Invalid number of batch cancel orders.") }
        var answers: [Out] = []
        for item in wanted {
            let text = item.asText ?? item.text(.compact)
            let one = Params([("symbol", name), (ids != nil ? "orderId" : "origClientOrderId", text)])
            do throws(Refusal) { answers.append(try cancelOrder(account, one)) } catch { answers.append(error.body) }
        }
        return Out.list(answers)
    }

    func done(_ text: String = "success") -> Out {
        Out.object { out in
            out.int("code", 200)
            out.text("msg", text)
        }
    }

    func cancelAll(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let name = try listing(try params.text("symbol")).rules.name
        for order in openOrders(account.number, name) { end(order, .canceled, "CANCELED") }
        tellAccounts("ORDER")
        return done("The operation of cancel all open order is done.")
    }

    func countdown(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let name = try listing(try params.text("symbol")).rules.name
        let span = try params.int("countdownTime")
        account.futures.countdowns[name] = span == 0 ? nil : now + span
        return Out.object { out in
            out.text("symbol", name)
            out.text("countdownTime", "\(span)")
        }
    }

    func openOrdersCall(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        var symbol: String?
        if let name = try params.optional("symbol") { symbol = try listing(name).rules.name }
        return Out.list(openOrders(account.number, symbol)) { described($0, isQuery: true) }
    }

    private func span(_ params: Params) throws(Refusal) -> (start: Int64?, end: Int64?) {
        let start = try params.optionalInt("startTime")
        let end = try params.optionalInt("endTime")
        if let start, let end, end - start > 7 * Interval.day { throw Refusal(-4165, "Invalid time interval.") }
        return (start, end)
    }

    func allOrders(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let name = try params.optional("symbol")
        if let name { _ = try listing(name) }
        let from = try params.optionalInt("orderId")
        let (start, end) = try span(params)
        let most = try params.limit(500, most: 1000)
        let found = orders.values.filter { order in
            order.account == account.number && (name.map { order.symbol == $0 } ?? true) && (from.map { order.id >= $0 } ?? true)
                && (start.map { order.time >= $0 } ?? true) && (end.map { order.time <= $0 } ?? true)
        }.sorted { $0.id < $1.id }
        return Out.list(from == nil && start == nil ? found.suffix(most) : found.prefix(most)) { described($0, isQuery: true) }
    }

    func userTrades(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let name = try listing(try params.text("symbol")).rules.name
        let order = try params.optionalInt("orderId")
        let from = try params.optionalInt("fromId")
        let (start, end) = try span(params)
        let most = try params.limit(500, most: 1000)
        let found = (fills[account.number] ?? []).filter { fill in
            fill.symbol == name && (order.map { fill.order == $0 } ?? true) && (from.map { fill.trade >= $0 } ?? true) && (start.map { fill.time >= $0 } ?? true)
                && (end.map { fill.time <= $0 } ?? true)
        }
        return Out.list(from == nil && start == nil ? found.suffix(most) : found.prefix(most)) { described($0) }
    }

    // MARK: algo orders

    func cancelAlgo(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        _ = try params.optional("symbol")
        guard let algo = try findAlgo(account, params) else { throw .noSuchOrder }
        guard openAlgos.contains(algo.id) else { throw .unknownOrder }
        endAlgo(algo, "CANCELED")
        return Out.object { out in
            out.int("algoId", algo.id)
            out.text("clientAlgoId", algo.clientID)
            out.text("code", "200")
            out.text("msg", "success")
        }
    }

    func cancelAlgos(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let name = try listing(try params.text("symbol")).rules.name
        for id in openAlgos.sorted() { if let algo = algos[id], algo.account == account.number, algo.symbol == name { endAlgo(algo, "CANCELED") } }
        return done("The operation of cancel all open order is done.")
    }

    func algosCall(_ account: Account, _ params: Params, onlyOpen: Bool) throws(Refusal) -> Out {
        _ = try params.optional("algoType")
        let name = onlyOpen ? try params.optional("symbol") : try params.text("symbol")
        if let name { _ = try listing(name) }
        let from = try params.optionalInt("algoId")
        let (start, end) = try span(params)
        let most = try params.limit(500, most: 1000)
        let found = algos.values.filter { algo in
            algo.account == account.number && (name.map { algo.symbol == $0 } ?? true) && (!onlyOpen || openAlgos.contains(algo.id))
                && (from.map { onlyOpen ? algo.id == $0 : algo.id >= $0 } ?? true) && (start.map { algo.created >= $0 } ?? true) && (end.map { algo.created <= $0 } ?? true)
        }.sorted { $0.id < $1.id }
        return Out.list(onlyOpen ? found[...] : found.suffix(most)) { described($0) }
    }

    // MARK: account

    func balances(_ account: Account) -> Out {
        let state = margin(account)
        return Out.list([
            Out.object { out in
                out.text("accountAlias", "keel\(account.number)")
                out.text("asset", Self.asset)
                out.decimal("balance", state.wallet)
                out.decimal("crossWalletBalance", state.crossWallet)
                out.decimal("crossUnPnl", state.crossProfit)
                out.decimal("availableBalance", state.available)
                out.decimal("maxWithdrawAmount", max(0, min(state.available, state.crossWallet)))
                out.bool("marginAvailable", true)
                out.int("updateTime", max(account.futures.updated, 1))
            }
        ])
    }

    func positionRisk(_ account: Account, _ params: Params, version: Int) throws(Refusal) -> Out {
        var wanted = names
        if let name = try params.optional("symbol") { wanted = [try listing(name).rules.name] }
        let state = margin(account)
        let shown = wanted.flatMap { keys(account, $0) }.filter { key in
            version == 2 || position(account, key).amount != 0 || saidAmounts[key.symbol] != nil || openOrders(account.number, key.symbol).contains { $0.positionSide == key.side }
        }
        return Out.list(shown) { risk(account, $0, state, version: version) }
    }

    func symbolConfig(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        var wanted = names
        if let name = try params.optional("symbol") { wanted = [try listing(name).rules.name] }
        return Out.list(wanted) { name in
            Out.object { out in
                out.text("symbol", name)
                out.text("marginType", account.futures.isolated.contains(name) ? "ISOLATED" : "CROSSED")
                out.bool("isAutoAddMargin", false)
                out.int("leverage", account.futures.leverage(name))
                out.text("maxNotionalValue", "\(listings[name].map { mostNotional($0.rules, account.futures.leverage(name)) } ?? 0)")
            }
        }
    }

    func income(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let symbol = try params.optional("symbol")
        let type = try params.optional("incomeType")
        let start = try params.optionalInt("startTime") ?? now - 7 * Interval.day
        let end = try params.optionalInt("endTime") ?? .max
        let most = try params.limit(100, most: 1000)
        let page = Int(clamping: try params.optionalInt("page") ?? 1)
        guard page >= 1, page <= 1_000_000 else { throw Refusal(-1130, "Data sent for parameter 'page' is not valid.") }
        let found = account.futures.income.filter { ($0.symbol == symbol || symbol == nil) && ($0.type == type || type == nil) && $0.time >= start && $0.time <= end }
        return Out.list(found.dropFirst((page - 1) * most).prefix(most)) { described($0) }
    }

    // MARK: settings

    func setLeverage(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let listing = try listing(try params.text("symbol"))
        let name = listing.rules.name
        let leverage = try params.int("leverage")
        guard leverage >= 1, leverage <= listing.rules.brackets.first?.leverage ?? 1 else { throw Refusal(-4028, "Leverage \(leverage) is not valid") }
        let held = keys(account, name).map { position(account, $0) }.filter { $0.amount != 0 }
        let old = account.futures.leverage(name)
        if leverage < old, account.futures.isolated.contains(name), !held.isEmpty {
            throw Refusal(-4161, "Leverage reduction is not supported in Isolated Margin Mode with open positions.")
        }
        let price = mark(listing, now)
        let most = mostNotional(listing.rules, leverage)
        if held.contains(where: { $0.notional(at: price) > Int128(most) * Int128(one) }) { throw Refusal(-2028, "New leverage is smaller than the position allows.") }
        account.futures.leverage[name] = leverage
        let state = margin(account)
        if leverage < old, state.crossBalance - state.crossInitial - state.orderInitial < 0 {
            account.futures.leverage[name] = old
            throw Refusal(-2019, "Margin is insufficient.")
        }
        emit(account.number, Out.object { out in
            out.text("e", "ACCOUNT_CONFIG_UPDATE")
            out.int("E", now)
            out.int("T", now)
            out.put("ac", Out.object { out in
                out.text("s", name)
                out.int("l", leverage)
            })
        })
        return Out.object { out in
            out.int("leverage", leverage)
            out.text("maxNotionalValue", "\(most)")
            out.text("symbol", name)
        }
    }

    func setMarginType(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let name = try listing(try params.text("symbol")).rules.name
        let type = try params.text("marginType")
        guard type == "ISOLATED" || type == "CROSSED" else { throw Refusal(-1130, "Data sent for parameter 'marginType' is not valid.") }
        if account.futures.isolated.contains(name) == (type == "ISOLATED") { throw Refusal(-4046, "No need to change margin type.") }
        if !openOrders(account.number, name).isEmpty { throw Refusal(-4047, "Margin type cannot be changed if there exists open orders.") }
        if keys(account, name).contains(where: { position(account, $0).amount != 0 }) {
            throw Refusal(-4048, "Margin type cannot be changed if there exists position.")
        }
        if type == "ISOLATED" { account.futures.isolated.insert(name) } else { account.futures.isolated.remove(name) }
        return done()
    }

    func setPositionMargin(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        let name = try listing(try params.text("symbol")).rules.name
        let amount = Int128(try params.decimal("amount"))
        let type = try params.int("type")
        let side = PositionSide(rawValue: try params.optional("positionSide") ?? "BOTH") ?? .both
        let key = PositionKey(symbol: name, side: side)
        guard type == 1 || type == 2, amount > 0 else { throw Refusal(-1130, "Data sent for parameter 'type' is not valid.") }
        guard account.futures.isolated.contains(name), var position = account.futures.positions[key], position.amount != 0 else {
            throw Refusal(-4055, "Amount must be positive and the isolated position open.")
        }
        if type == 1 {
            guard margin(account).available >= amount else { throw Refusal(-4050, "Cross balance insufficient.") }
            position.isolated += amount
        } else {
            let mark = listings[name].map { self.mark($0, now) } ?? 0
            let needed = position.notional(at: mark) / Int128(account.futures.leverage(name))
            guard position.isolated + min(0, position.profit(at: mark)) - amount >= needed else { throw Refusal(-4051, "Isolated balance insufficient.") }
            position.isolated -= amount
        }
        account.futures.positions[key] = position
        touch(account.number, key)
        tellAccounts("MARGIN_TRANSFER")
        return Out.object { out in
            out.bare("amount", amount)
            out.int("code", 200)
            out.text("msg", "Successfully modify position margin.")
            out.int("type", type)
        }
    }

    func setDual(_ account: Account, _ params: Params) throws(Refusal) -> Out {
        guard let wanted = try params.optionalBool("dualSidePosition") else { throw .mandatory("dualSidePosition") }
        if wanted == account.futures.isDual { throw Refusal(-4059, "No need to change position side.") }
        if !openOrders(account.number).isEmpty { throw Refusal(-4067, "Position side cannot be changed if there exists open orders.") }
        if account.futures.positions.values.contains(where: { $0.amount != 0 }) { throw Refusal(-4068, "Position side cannot be changed if there exists position.") }
        account.futures.isDual = wanted
        return done()
    }

    func brackets(_ params: Params) throws(Refusal) -> Out {
        var wanted = names
        if let name = try params.optional("symbol") { wanted = [try listing(name).rules.name] }
        return Out.list(wanted) { name in
            Out.object { out in
                out.text("symbol", name)
                out.bare("notionalCoef", one, 1)
                out.put("brackets", Out.list((listings[name]?.rules.brackets ?? []).enumerated()) { place, bracket in
                    Out.object { out in
                        out.int("bracket", place + 1)
                        out.int("initialLeverage", bracket.leverage)
                        out.int("notionalCap", bracket.cap)
                        out.int("notionalFloor", bracket.floor)
                        out.bare("maintMarginRatio", bracket.ratio, 4)
                        out.bare("cum", bracket.cum, 1)
                    }
                })
            }
        }
    }
}
