import PluginKit

/// Everything that can be set, in one place: the schema, the defaults and the reading.
struct SimConfig {
    enum FeedKind { case synthetic, tape }

    static let shape = ConfigShape([
        .choice(
            "fill",
            "How orders that take liquidity are filled: \"book\" against the quote and the sizes shown there, \"this-tick\" at once at the last price, \"next-open\" at the first price after the order, which on bars is the next bar's open.",
            of: ["book", "this-tick", "next-open"], default: "book"),
        .decimal("maker_fee", "Fee of a fill that rested in the book, as a fraction of its worth; below 0 is a rebate.", .signed, default: "0.001"),
        .decimal("taker_fee", "Fee of a fill that took liquidity, as a fraction of its worth.", .signed, default: "0.001"),
        .decimal("fee_step", "Fees are rounded up to a multiple of this; \"0\" leaves them exact to 1e-8.", .amount, default: "0"),
        .span("latency", "Market time an order or cancel needs to reach the venue.", default: "0s"),
        .group(
            "slippage", "How much worse than shown a taker trades.",
            [
                .choice(
                    "model",
                    "\"none\"; \"ticks\": so many ticks; \"fraction\": a fraction of the price; \"volume\": a fraction of the price times our share of the volume traded.",
                    of: ["none", "ticks", "fraction", "volume"], default: "none"),
                .decimal("size", "The number of ticks, or the fraction.", .amount, default: "0"),
            ]),
        .decimal("queue", "Share of the quantity shown at a price that stands before an order which joins it: \"1\" is the back of the queue.", .fraction, default: "1"),
        .flag("touch", "A resting limit order fills when the price touches its limit; otherwise the price must go through it.", default: false),
        .decimal("participation", "Most of a bar's or trade's volume one order may take; \"0\" is no limit.", .fraction, default: "0"),
        .decimal("cash", "What every quote asset starts with, unless \"balances\" names it.", .money, default: "100000"),
        .decimals("balances", "Starting balances by asset.", .money),
        .flag("borrow", "Cash and holdings may go below zero: no order is refused for lack of them.", default: false),
        .whole("leverage", "Units of position one unit of equity may carry, for derivatives.", in: 1...200, default: 1),
        .group(
            "funding", "What perpetual positions pay or receive.",
            [
                .span("every", "Time between payments, counted from midnight UTC; \"0s\" is never.", default: "0s"),
                .decimal("rate", "The rate where the feed gives none (a value named funding_rate).", .signed, default: "0.0001"),
            ]),
        .choice("feed", "Where this venue's own market comes from, for instruments someone subscribes to.", of: ["synthetic", "tape"], default: "synthetic"),
        .text("tape", "The tape to play when \"feed\" is \"tape\", its first event now.", default: "market.tape"),
        .decimals("prices", "Starting prices of the synthetic market by symbol; others start at 100.", .positive),
        .span("bar", "Length of the synthetic market's bars.", default: "1m"),
        .span("trade_gap", "Mean time between the synthetic market's trades.", default: "250ms"),
        .span("length", "How long the synthetic market lasts, counted from its first subscription after each start; \"0s\" has no end.", default: "0s"),
        .number("volatility", "Standard deviation of one bar's return in a calm synthetic market.", in: 0...0.5, default: 0.0006),
        .whole("history", "Closed bars of the synthetic market sent before its first trade.", in: 0...10_000, default: 240),
        .whole("seed", "Makes the synthetic market, the faults and everything else left to chance the same on every run.", in: 0...Int64.max, default: 1),
        .text("file", "Where a paper venue keeps its orders, fills and balances; \"\" keeps them in memory only.", default: ""),
        .flag("durable", "With a file: wait for the disk before anything is acknowledged. Off survives a killed host, but not a power cut.", default: true),
        .flag("updates", "Tell balances and positions after each fill, as most venues do.", default: true),
        .flag(
            "steps",
            "Tell that an order is on its way and that it is at work even if it is filled in the same instant; off, such an order is only told filled.",
            default: true),
        .flag("keep", "Remember finished orders and fills without a file too, for sync and for people.", default: false),
        .group(
            "faults", "Chances of things going wrong, for tests; all draws come from the seed.",
            [
                .decimal("reject", "The venue refuses an order.", .fraction, default: "0"),
                .decimal("partial", "A fill is cut in half.", .fraction, default: "0"),
                .decimal("lost", "The answer to an order is lost: in doubt, until a sync or until it is looked up.", .fraction, default: "0"),
                .decimal("late", "Events of an order come late.", .fraction, default: "0"),
                .decimal("double", "An order or fill event comes twice.", .fraction, default: "0"),
                .decimal("reorder", "An order's new state comes before the fill that made it.", .fraction, default: "0"),
                .span("delay", "How late is late, and when a lost answer is noticed; it is looked up after ten times as long.", default: "500ms"),
            ]),
    ])

    var rules = Rules()
    var seed: UInt64
    var cash: Int128
    var balances: [String: Int128] = [:]
    var feed: FeedKind
    var tape: String
    var prices: [String: Fixed] = [:]
    var bar: Int64
    var tradeGap: Int64
    var length: Int64
    var volatility: Double
    var history: Int
    var file: String
    var durable: Bool
    var updates: Bool
    var steps: Bool
    var keep: Bool
    var faults: Faults

    init(_ config: JSONValue) throws {
        switch try config["fill"].text {
        case "this-tick": rules.fill = .thisTick
        case "next-open": rules.fill = .nextOpen
        default: rules.fill = .book
        }
        rules.makerFee = try config["maker_fee"].fixed
        rules.takerFee = try config["taker_fee"].fixed
        rules.feeStep = try config["fee_step"].fixed
        rules.latency = try config["latency"].span
        let size = try config["slippage"]["size"].fixed
        switch try config["slippage"]["model"].text {
        case "ticks": rules.slippage = .ticks(size.raw / Fixed.scale)
        case "fraction": rules.slippage = .fraction(size)
        case "volume": rules.slippage = .volume(size)
        default: rules.slippage = .none
        }
        rules.queue = try config["queue"].fixed
        rules.touch = try config["touch"].bool
        rules.participation = try config["participation"].fixed
        rules.borrow = try config["borrow"].bool
        rules.leverage = try Fixed(whole: try config["leverage"].int64)
        rules.fundingEvery = try config["funding"]["every"].span
        rules.fundingRate = try config["funding"]["rate"].fixed
        rules.rejectChance = try config["faults"]["reject"].fixed.double
        rules.partialChance = try config["faults"]["partial"].fixed.double
        seed = UInt64(try config["seed"].int64)
        cash = try config["cash"].amount.raw
        for (name, field) in try config["balances"].members { balances[name] = try field.amount.raw }
        feed = try config["feed"].text == "tape" ? .tape : .synthetic
        tape = try config["tape"].text
        for (name, field) in try config["prices"].members { prices[name] = try field.fixed }
        bar = max(try config["bar"].span, 1_000_000_000)
        length = try config["length"].span
        tradeGap = max(try config["trade_gap"].span, 1_000)
        volatility = try config["volatility"].double
        history = try config["history"].int
        file = try config["file"].text
        durable = try config["durable"].bool
        updates = try config["updates"].bool
        steps = try config["steps"].bool
        faults = Faults(
            lost: try config["faults"]["lost"].fixed.double, late: try config["faults"]["late"].fixed.double,
            double: try config["faults"]["double"].fixed.double, reorder: try config["faults"]["reorder"].fixed.double,
            delay: max(try config["faults"]["delay"].span, 1))
        keep = try config["keep"].bool || !file.isEmpty || faults.lost > 0
    }
}

/// What may go wrong between the venue and the host.
struct Faults {
    var lost, late, double, reorder: Double
    /// Nanoseconds.
    var delay: Int64

    var any: Bool { lost > 0 || late > 0 || double > 0 || reorder > 0 }
}
