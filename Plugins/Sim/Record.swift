import PluginKit

/// A fill as the venue remembers it.
struct FillRecord: BitwiseCopyable {
    var number: UInt64
    var order: OrderID
    var orderNumber: UInt64
    var market: Int32
    var side: Side
    var quantity: Int64
    var price: Int64
    var fee: Int128
    var maker: Bool
    var time: Int64

    init(_ report: borrowing Report) {
        number = report.number
        order = report.order.id
        orderNumber = report.order.number
        market = report.order.market
        side = report.order.side
        quantity = report.quantity
        price = report.price
        fee = report.fee
        maker = report.maker
        time = report.time
    }

    init(from reader: inout ByteReader, market: Int32) throws {
        number = try reader.integer()
        order = OrderID(hi: try reader.integer(), lo: try reader.integer())
        orderNumber = try reader.integer()
        self.market = market
        guard let side = Side(rawValue: try reader.integer()) else { throw PluginError.invalid("a fill has no side") }
        self.side = side
        quantity = try reader.integer()
        price = try reader.integer()
        fee = try reader.integer()
        maker = try reader.flag()
        time = try reader.integer()
        guard quantity > 0, price > 0 else { throw PluginError.invalid("a fill of \(Fixed(raw: quantity)) at \(Fixed(raw: price))") }
    }

    func write(to out: inout ByteWriter) {
        out.integer(number)
        out.integer(order.hi)
        out.integer(order.lo)
        out.integer(orderNumber)
        out.integer(side.rawValue)
        out.integer(quantity)
        out.integer(price)
        out.integer(fee)
        out.flag(maker)
        out.integer(time)
    }
}

extension VenueOrder {
    func write(to out: inout ByteWriter) {
        out.integer(id.hi)
        out.integer(id.lo)
        out.integer(number)
        out.integer(side.rawValue)
        out.integer(features.rawValue)
        for value in [quantity, limit, trigger, arrived, filled] { out.integer(value) }
        out.integer(state.rawValue)
        out.flag(triggered)
        out.flag(met)
        out.integer(queueAhead)
        out.integer(worth)
        out.integer(reserved)
    }

    init(from reader: inout ByteReader, market: Int) throws {
        let id = OrderID(hi: try reader.integer(), lo: try reader.integer())
        let number = try reader.integer(UInt64.self)
        guard let side = Side(rawValue: try reader.integer()) else { throw PluginError.invalid("an order has no side") }
        let features = OrderFeatures(rawValue: try reader.integer())
        guard features.isSubset(of: .all), features.intersection(.kinds).rawValue.nonzeroBitCount == 1 else {
            throw PluginError.invalid("an order is of no known kind")
        }
        let order = Order(
            id: id, side: side, features: features, instrument: 1, quantity: try reader.fixed(), limit: try reader.fixed(),
            trigger: try reader.fixed())
        self.init(order, number: number, market: market, request: 0)
        arrived = try reader.integer()
        filled = try reader.integer()
        guard let state = State(rawValue: try reader.integer()) else { throw PluginError.invalid("an order is in no known state") }
        self.state = state
        triggered = try reader.flag()
        met = try reader.flag()
        queueAhead = try reader.integer()
        worth = try reader.integer()
        reserved = try reader.integer()
        guard quantity > 0, limit >= 0, trigger >= 0, filled >= 0, filled <= quantity, reserved >= 0, worth >= 0,
            state != .filled || filled == quantity
        else { throw PluginError.invalid("an order's numbers contradict each other") }
    }
}

/// What changed at the venue in one step, or all there is: the unit that is written down whole or not at all.
struct Batch {
    struct Holding {
        var symbol: String
        var position: Int128
        var cost: Int128
        var last: Int64
        var nextFunding: Int64
        var fundingRate: Int64
    }

    var orders: [(symbol: String, order: VenueOrder)] = []
    var fills: [(symbol: String, fill: FillRecord)] = []
    var assets: [(name: String, total: Int128, reserved: Int128)] = []
    var holdings: [Holding] = []
    /// Ids of orders that are over and not among `orders`.
    var ids: [OrderID] = []
    var orderNumber: UInt64 = 0
    var fillNumber: UInt64 = 0
    var chance: UInt64 = 0

    var bytes: [UInt8] {
        var out = ByteWriter()
        out.integer(orderNumber)
        out.integer(fillNumber)
        out.integer(chance)
        out.integer(UInt32(orders.count))
        for (symbol, order) in orders {
            out.text(symbol)
            order.write(to: &out)
        }
        out.integer(UInt32(fills.count))
        for (symbol, fill) in fills {
            out.text(symbol)
            fill.write(to: &out)
        }
        out.integer(UInt32(assets.count))
        for (name, total, reserved) in assets {
            out.text(name)
            out.integer(total)
            out.integer(reserved)
        }
        out.integer(UInt32(holdings.count))
        for holding in holdings {
            out.text(holding.symbol)
            out.integer(holding.position)
            out.integer(holding.cost)
            out.integer(holding.last)
            out.integer(holding.nextFunding)
            out.integer(holding.fundingRate)
        }
        out.integer(UInt64(ids.count))
        for id in ids {
            out.integer(id.hi)
            out.integer(id.lo)
        }
        return out.bytes
    }

    init() {}

    init(_ bytes: [UInt8]) throws {
        var reader = ByteReader(bytes)
        orderNumber = try reader.integer()
        fillNumber = try reader.integer()
        chance = try reader.integer()
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let symbol = try reader.text()
            orders.append((symbol, try VenueOrder(from: &reader, market: 0)))
        }
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let symbol = try reader.text()
            fills.append((symbol, try FillRecord(from: &reader, market: 0)))
        }
        for _ in 0..<(try reader.integer(UInt32.self)) {
            assets.append((try reader.text(), try reader.integer(), try reader.integer()))
        }
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let holding = Holding(
                symbol: try reader.text(), position: try reader.integer(), cost: try reader.integer(), last: try reader.integer(),
                nextFunding: try reader.integer(), fundingRate: try reader.integer())
            guard holding.cost >= 0, holding.last >= 0 else { throw PluginError.invalid("\(holding.symbol): a position's cost is below 0") }
            holdings.append(holding)
        }
        for _ in 0..<(try reader.integer(UInt64.self)) {
            ids.append(OrderID(hi: try reader.integer(), lo: try reader.integer()))
        }
        try reader.end()
    }
}
