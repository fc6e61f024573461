import PluginAPI
import PluginKit

// What survives: saved state for a reload, the journal for a paper venue, and the dump for people and tests.

extension Sim {
    /// Everything there is.
    private var whole: Batch {
        var batch = Batch()
        for order in (venue.live + past).sorted(by: { $0.number < $1.number }) { batch.orders.append((listings[Int(order.market)].symbol, order)) }
        for fill in fills { batch.fills.append((listings[Int(fill.market)].symbol, fill)) }
        for asset in venue.assets { batch.assets.append((asset.name, asset.total, asset.reserved)) }
        for place in listings.indices { batch.holdings.append(holding(place)) }
        let named = Set(batch.orders.map(\.order.id))
        batch.ids = venue.finished.all.filter { !named.contains($0) }
        number(&batch)
        return batch
    }

    private func number(_ batch: inout Batch) {
        batch.orderNumber = venue.orderNumber
        batch.fillNumber = venue.fillNumber
        batch.chance = venue.chance.state
    }

    private func holding(_ place: Int) -> Batch.Holding {
        let market = venue.markets[place].pointee
        return Batch.Holding(
            symbol: listings[place].symbol, position: market.position, cost: market.cost, last: market.last, nextFunding: market.nextFunding,
            fundingRate: market.fundingRate)
    }

    /// An order is on its way: if the host dies now, it arrives all the same.
    func writeDown(sent id: OrderID) throws {
        guard let slot = venue.index.slot(of: id), venue.orders[slot].state == .travelling else { return }
        var batch = Batch()
        batch.orders.append((listings[Int(venue.orders[slot].market)].symbol, venue.orders[slot]))
        number(&batch)
        try journal?.append(batch)
    }

    /// The orders, fills and holdings that the reports at hand have changed.
    func writeDown() throws {
        var batch = Batch()
        var places: Set<Int> = []
        var last: [OrderID: VenueOrder] = [:]
        for report in venue.reports where report.order.number > 0 || report.kind == .funding {
            places.insert(Int(report.order.market))
            if report.kind == .filled { batch.fills.append((listings[Int(report.order.market)].symbol, FillRecord(report))) }
            if report.kind != .funding { last[report.order.id] = report.order }
        }
        for order in last.values.sorted(by: { $0.number < $1.number }) {
            // An order still at work is written as it is now, with its place in the queue.
            let slot = venue.index.slot(of: order.id)
            let now = slot.map { venue.orders[$0] } ?? order
            batch.orders.append((listings[Int(order.market)].symbol, now))
        }
        for place in places.sorted() { batch.holdings.append(holding(place)) }
        for asset in venue.assets { batch.assets.append((asset.name, asset.total, asset.reserved)) }
        number(&batch)
        try journal?.append(batch)
        if journal?.wantsCompaction == true { try journal?.compact(whole) }
    }

    /// Puts the venue in the state that the batches, applied one after the other, describe.
    func restore(_ batches: [Batch]) throws {
        guard !batches.isEmpty else { return }
        var ids: Set<OrderID> = []
        for batch in batches { ids.formUnion(batch.ids) }
        for batch in batches {
            if let both = batch.orders.first(where: { ids.contains($0.order.id) && !$0.order.isTerminal }) {
                throw PluginError.invalid("order \(both.order.id) is both open and over in the saved state")
            }
        }
        begin()
        var orders: [OrderID: VenueOrder] = [:]
        var known: Set<UInt64> = []
        fills = []
        past = []
        for batch in batches {
            for (symbol, order) in batch.orders {
                var order = order
                order.market = Int32(list(symbol))
                orders[order.id] = order
            }
            for (symbol, fill) in batch.fills where known.insert(fill.number).inserted {
                var fill = fill
                fill.market = Int32(list(symbol))
                fills.append(fill)
            }
            for (name, total, reserved) in batch.assets {
                let place = venue.asset(name, start: 0)
                venue.assets[place].total = total
                venue.assets[place].reserved = reserved
            }
            for holding in batch.holdings {
                let market = venue.markets[list(holding.symbol)]
                market.pointee.position = holding.position
                market.pointee.cost = holding.cost
                market.pointee.last = holding.last
                market.pointee.nextFunding = holding.nextFunding
                market.pointee.fundingRate = holding.fundingRate
            }
        }
        guard let final = batches.last else { return }
        try venue.restore(orders.values.sorted { $0.number < $1.number }, ids: ids, numbers: final)
        for order in orders.values.sorted(by: { $0.number < $1.number }) where order.isTerminal && config.keep { past.append(order) }
        if !config.keep { fills = [] }
    }

    func save() throws -> [UInt8] {
        // A venue with a file has everything there already.
        config.file.isEmpty ? whole.bytes : []
    }

    func load(_ bytes: [UInt8], version: UInt32) throws {
        guard config.file.isEmpty, !bytes.isEmpty else { return }
        try restore([try Batch(bytes)])
    }

    func describe() -> JSONValue {
        func list<Element>(_ elements: [Element], _ value: (Element) -> JSONValue) -> JSONValue { JSONValue(elements.map(value)) }
        var balances = JSONObject()
        for asset in venue.assets.sorted(by: { $0.name < $1.name }) {
            balances[asset.name] = [
                "total": JSONValue(Amount(raw: asset.total)), "available": JSONValue(Amount(raw: asset.total - asset.reserved)),
            ]
        }
        var positions = JSONObject()
        for place in listings.indices.sorted(by: { listings[$0].symbol < listings[$1].symbol }) {
            let market = venue.markets[place].pointee
            positions[listings[place].symbol] = [
                "quantity": JSONValue(Amount(raw: market.position)), "entry": JSONValue(Fixed(raw: market.entry)),
                "last": JSONValue(Fixed(raw: market.last)),
            ]
        }
        return [
            "orders": list((venue.live + past).sorted { $0.number < $1.number }) { order in
                [
                    "id": JSONValue(order.id.description), "venue_id": JSONValue("s\(order.number)"),
                    "symbol": JSONValue(listings[Int(order.market)].symbol), "side": order.side == .buy ? "buy" : "sell",
                    "state": JSONValue("\(order.state)"), "quantity": JSONValue(Fixed(raw: order.quantity)),
                    "filled": JSONValue(Fixed(raw: order.filled)), "average": JSONValue(Fixed(raw: order.average)),
                    "limit": JSONValue(Fixed(raw: order.limit)), "trigger": JSONValue(Fixed(raw: order.trigger)),
                ]
            },
            "fills": list(fills) { fill in
                [
                    "fill_id": JSONValue("f\(fill.number)"), "order": JSONValue(fill.order.description),
                    "symbol": JSONValue(listings[Int(fill.market)].symbol), "side": fill.side == .buy ? "buy" : "sell",
                    "quantity": JSONValue(Fixed(raw: fill.quantity)), "price": JSONValue(Fixed(raw: fill.price)),
                    "fee": JSONValue(Amount(raw: fill.fee)), "maker": JSONValue(fill.maker), "time": JSONValue(fill.time),
                ]
            },
            "environment": "simulated", "balances": JSONValue(balances), "positions": JSONValue(positions), "orders_taken": JSONValue(venue.orderNumber),
            "trades_made": JSONValue(venue.fillNumber),
        ]
    }
}
