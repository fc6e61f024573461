import PluginAPI

// The events a plugin sends most, as calls. Where speed counts, keep an `EventBuilder` instead.

extension Order {
    /// Where an order stands at its venue (`KEEL_ORDER_*`).
    public enum State: UInt32, Sendable {
        case pending = 1
        case open, filled, canceled, rejected, expired, inDoubt

        public var isTerminal: Bool { self == .filled || self == .canceled || self == .rejected || self == .expired }
    }
}

public enum LinkState: UInt32, Sendable { case up = 1, down, degraded }
public enum SessionState: UInt32, Sendable { case open = 1, closed, auction, halted }
public enum Liquidity: UInt32, Sendable { case unknown = 0, maker, taker }

/// Where an order stands; quantities are cumulative.
public struct OrderUpdate: Sendable {
    public var order: OrderID
    public var instrument: UInt32
    public var state: Order.State
    public var side: Side
    public var filled: Fixed
    public var leaves: Fixed
    /// Average price of what is filled, zero if nothing is.
    public var average: Fixed
    public var limit: Fixed
    public var venueID: String
    public var message: String
    public var vendorCode: Int64

    public init(
        _ order: OrderID, instrument: UInt32, _ state: Order.State, side: Side, filled: Fixed, leaves: Fixed, average: Fixed = .zero,
        limit: Fixed = .zero, venueID: String = "", message: String = "", vendorCode: Int64 = 0
    ) {
        self.order = order
        self.instrument = instrument
        self.state = state
        self.side = side
        self.filled = filled
        self.leaves = leaves
        self.average = average
        self.limit = limit
        self.venueID = venueID
        self.message = message
        self.vendorCode = vendorCode
    }
}

public struct Fill: Sendable {
    public var order: OrderID
    public var instrument: UInt32
    public var side: Side
    public var quantity: Fixed
    public var price: Fixed
    public var fee: Amount
    public var feeAsset: String
    public var liquidity: Liquidity
    /// The venue's, the same whenever this fill is reported.
    public var fillID: String
    public var venueID: String

    public init(
        _ order: OrderID, instrument: UInt32, side: Side, quantity: Fixed, price: Fixed, fee: Amount = .zero, feeAsset: String = "",
        liquidity: Liquidity = .unknown, fillID: String, venueID: String = ""
    ) {
        self.order = order
        self.instrument = instrument
        self.side = side
        self.quantity = quantity
        self.price = price
        self.fee = fee
        self.feeAsset = feeAsset
        self.liquidity = liquidity
        self.fillID = fillID
        self.venueID = venueID
    }
}

extension Host {
    public func link(_ state: LinkState, name: String, why: PluginError.Reason? = nil, message: String = "") {
        var builder = EventBuilder()
        builder.begin(keel_ev_link.self)
        var body = keel_ev_link()
        body.state = state.rawValue
        body.why = why?.rawValue ?? KEEL_OK
        body.name = builder.text(name)
        body.message = builder.text(message)
        builder.emit(body, KEEL_EV_LINK, to: self)
    }

    public func session(_ state: SessionState, instrument: UInt32, nextChange: Int64 = 0, at source: Int64 = 0, message: String = "") {
        var builder = EventBuilder()
        builder.begin(keel_ev_session.self)
        var body = keel_ev_session()
        body.state = state.rawValue
        body.next_change = nextChange
        body.message = builder.text(message)
        builder.emit(body, KEEL_EV_SESSION, instrument: instrument, at: source, to: self)
    }

    @discardableResult
    public func quote(
        _ instrument: UInt32, bid: Fixed, bidQuantity: Fixed, ask: Fixed, askQuantity: Fixed, at source: Int64, flags: UInt32 = 0
    ) -> keel_status {
        var body = keel_ev_quote()
        body.bid = bid.raw
        body.bid_qty = bidQuantity.raw
        body.ask = ask.raw
        body.ask_qty = askQuantity.raw
        return emitFixed(body, KEEL_EV_QUOTE, instrument: instrument, at: source, flags: flags)
    }

    @discardableResult
    public func trade(
        _ instrument: UInt32, price: Fixed, quantity: Fixed, id: UInt64, taker: Side?, at source: Int64, flags: UInt32 = 0
    ) -> keel_status {
        var body = keel_ev_trade()
        body.price = price.raw
        body.qty = quantity.raw
        body.trade_id = id
        body.side = taker?.rawValue ?? KEEL_SIDE_NONE
        return emitFixed(body, KEEL_EV_TRADE, instrument: instrument, at: source, flags: flags)
    }

    /// A bar; `at_source` is its close time.
    @discardableResult
    public func bar(
        _ instrument: UInt32, _ bar: keel_bar, duration: Int64, closed: Bool, trades: UInt32 = 0, flags: UInt32 = 0
    ) -> keel_status {
        var body = keel_ev_bar()
        body.bar = bar
        body.duration = duration
        body.bar_flags = closed ? KEEL_BAR_CLOSED : 0
        body.trades = trades
        return emitFixed(body, KEEL_EV_BAR, instrument: instrument, at: bar.open_time &+ duration, flags: flags)
    }

    /// A named number: statistics only, it never becomes an order.
    @discardableResult
    public func value(
        _ instrument: UInt32, _ name: String, _ value: Double, period: Range<Int64>? = nil, released: Int64 = 0, at source: Int64 = 0,
        flags: UInt32 = 0
    ) -> keel_status {
        var builder = EventBuilder()
        builder.begin(keel_ev_value.self)
        var body = keel_ev_value()
        body.value = value
        body.period_start = period?.lowerBound ?? 0
        body.period_end = period?.upperBound ?? 0
        body.released = released
        body.name = builder.text(name)
        return builder.emit(body, KEEL_EV_VALUE, instrument: instrument, at: source, flags: flags, to: self)
    }

    public func news(_ instrument: UInt32, source name: String, title: String, text: String, at source: Int64) {
        var builder = EventBuilder()
        builder.begin(keel_ev_news.self)
        var body = keel_ev_news()
        body.source = builder.text(name)
        body.title = builder.text(title)
        body.body = builder.text(text)
        builder.emit(body, KEEL_EV_NEWS, instrument: instrument, at: source, to: self)
    }

    /// Book levels, best first; `whole` replaces the book.
    @discardableResult
    public func depth(
        _ instrument: UInt32, bids: [keel_level], asks: [keel_level], sequence: UInt64, whole: Bool, at source: Int64
    ) -> keel_status {
        var builder = EventBuilder()
        builder.begin(keel_ev_depth.self)
        var body = keel_ev_depth()
        body.sequence = sequence
        body.bids = builder.list(bids)
        body.asks = builder.list(asks)
        return builder.emit(
            body, KEEL_EV_DEPTH, instrument: instrument, at: source, flags: whole ? KEEL_EVF_SNAPSHOT : 0, to: self)
    }

    public func order(_ update: OrderUpdate, request: UInt64 = 0, at source: Int64 = 0, flags: UInt32 = 0) {
        var builder = EventBuilder()
        builder.begin(keel_ev_order.self)
        var body = keel_ev_order()
        body.order = update.order.c
        body.state = update.state.rawValue
        body.side = update.side.rawValue
        body.filled = update.filled.raw
        body.leaves = update.leaves.raw
        body.average = update.average.raw
        body.limit = update.limit.raw
        body.vendor_code = update.vendorCode
        body.venue_id = builder.text(update.venueID)
        body.message = builder.text(update.message)
        builder.emit(body, KEEL_EV_ORDER, instrument: update.instrument, request: request, at: source, flags: flags, to: self)
    }

    public func fill(_ fill: Fill, request: UInt64 = 0, at source: Int64 = 0, flags: UInt32 = 0) {
        var builder = EventBuilder()
        builder.begin(keel_ev_fill.self)
        var body = keel_ev_fill()
        body.order = fill.order.c
        body.qty = fill.quantity.raw
        body.price = fill.price.raw
        body.fee = fill.fee.c
        body.side = fill.side.rawValue
        body.liquidity = fill.liquidity.rawValue
        body.fee_asset = builder.text(fill.feeAsset)
        body.fill_id = builder.text(fill.fillID)
        body.venue_id = builder.text(fill.venueID)
        builder.emit(body, KEEL_EV_FILL, instrument: fill.instrument, request: request, at: source, flags: flags, to: self)
    }

    public func balance(_ asset: String, total: Amount, available: Amount, request: UInt64 = 0, at source: Int64 = 0, flags: UInt32 = 0) {
        var builder = EventBuilder()
        builder.begin(keel_ev_balance.self)
        var body = keel_ev_balance()
        body.total = total.c
        body.available = available.c
        body.asset = builder.text(asset)
        builder.emit(body, KEEL_EV_BALANCE, request: request, at: source, flags: flags, to: self)
    }

    /// `quantity` below zero is short; `liquidation` and `marginRatio` zero mean unknown.
    public func position(
        _ instrument: UInt32, quantity: Amount, entry: Fixed, liquidation: Fixed = .zero, marginRatio: Fixed = .zero, request: UInt64 = 0,
        at source: Int64 = 0, flags: UInt32 = 0
    ) {
        var body = keel_ev_position()
        body.qty = quantity.c
        body.entry = entry.raw
        body.liquidation = liquidation.raw
        body.margin_ratio = marginRatio.raw
        emitFixed(body, KEEL_EV_POSITION, instrument: instrument, request: request, at: source, flags: flags)
    }

    /// `amount` below zero: paid by us.
    public func funding(
        _ instrument: UInt32, amount: Amount, rate: Fixed, asset: String, paymentID: String, at source: Int64, flags: UInt32 = 0,
        request: UInt64 = 0
    ) {
        var builder = EventBuilder()
        builder.begin(keel_ev_funding.self)
        var body = keel_ev_funding()
        body.amount = amount.c
        body.rate = rate.raw
        body.asset = builder.text(asset)
        body.payment_id = builder.text(paymentID)
        builder.emit(body, KEEL_EV_FUNDING, instrument: instrument, request: request, at: source, flags: flags, to: self)
    }

    public func account(
        _ request: Request, equity: Amount, cash: Amount, marginUsed: Amount, buyingPower: Amount, asset: String
    ) {
        var builder = EventBuilder()
        builder.begin(keel_ev_account.self)
        var body = keel_ev_account()
        body.equity = equity.c
        body.cash = cash.c
        body.margin_used = marginUsed.c
        body.buying_power = buyingPower.c
        body.asset = builder.text(asset)
        builder.emit(body, KEEL_EV_ACCOUNT, request: request.id, to: self)
    }

    public func rank(_ request: Request, list: String, rank: UInt32, symbol: String, value: Double) {
        var builder = EventBuilder()
        builder.begin(keel_ev_rank.self)
        var body = keel_ev_rank()
        body.value = value
        body.rank = rank
        body.symbol = builder.text(symbol)
        body.list = builder.text(list)
        builder.emit(body, KEEL_EV_RANK, request: request.id, to: self)
    }

    /// Router: please submit this child.
    public func child(_ order: Order, request: UInt64) -> keel_status {
        // Fixed part and the order's bytes behind it, on the stack: a router may do this for every tick.
        var block = (keel_ev_child(), order.c)
        block.0.order = keel_text(off: UInt32(MemoryLayout<keel_ev_child>.size), len: UInt32(MemoryLayout<keel_order>.size))
        return withUnsafeMutableBytes(of: &block) { bytes in
            guard let base = bytes.baseAddress else { return KEEL_E_INTERNAL }
            let head = base.assumingMemoryBound(to: keel_event.self)
            head.pointee.size = UInt32(MemoryLayout<keel_ev_child>.size + MemoryLayout<keel_order>.size)
            head.pointee.kind = UInt16(KEEL_EV_CHILD)
            head.pointee.instrument = order.instrument
            head.pointee.request = request
            return emit(UnsafePointer(head))
        }
    }

    /// Router: please cancel this child.
    @discardableResult
    public func cancelChild(_ order: OrderID, instrument: UInt32, request: UInt64) -> keel_status {
        var body = keel_ev_child_cancel()
        body.order = order.c
        return emitFixed(body, KEEL_EV_CHILD_CANCEL, instrument: instrument, request: request)
    }
}
