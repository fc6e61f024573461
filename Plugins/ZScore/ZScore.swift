import PluginAPI
import PluginKit

/// Sells what is far above its exponential mean, buys what is far below, at most once a cooldown.
final class ZScore: Decider, HotPath, Stateful, Describing {
    static let wants: Wants = []
    static let barsWanted: UInt32 = 0

    static let config = ConfigShape([
        .whole("span", "Prices the mean remembers: a = 1 / span.", in: 1...10_000_000, default: 512),
        .number("z", "Standard deviations from the mean that make a signal.", in: 0...1000, default: 3),
        .whole("warmup", "No signal before this many prices have been seen before it.", in: 0...100_000_000, default: 5000),
        .span("cooldown", "Least time between two orders.", default: "60s"),
        .decimal("quantity", "Units to buy or sell at a signal.", .positive, default: "1"),
        .choice(
            "source", "Which prices to look at: trades, the middle of quotes, or the close of bars.", of: ["trades", "quotes", "bars"],
            default: "trades"),
    ])

    /// What the observe function works on: no object, no reference count.
    struct HotMemory {
        let rule: Rule
        /// The event kind that carries the prices.
        let kind: UInt32
        var instrument: UInt32 = 0
        var deviation: UnsafeMutablePointer<Deviation>?
        var owner: Unmanaged<ZScore>?
    }

    private let host: Host
    private let quantity: Fixed
    private let table: InstrumentTable<Deviation>
    private let memory: UnsafeMutablePointer<HotMemory>
    private var answer = Answer(signal: "z_score", model: "keel.zscore")

    init(host: Host, name: String, config: JSONValue) throws {
        self.host = host
        quantity = try config["quantity"].fixed
        let weight = 1 / Double(try config["span"].int64)
        let z = try config["z"].double
        let rule = Rule(
            weight: weight, rest: 1 - weight, threshold: z * z, warmup: try config["warmup"].int64, cooldown: try config["cooldown"].span)
        let kind =
            switch try config["source"].text {
            case "quotes": KEEL_EV_QUOTE
            case "bars": KEEL_EV_BAR
            default: KEEL_EV_TRADE
            }
        table = InstrumentTable(host: host, initial: Deviation())
        memory = .allocate(capacity: 1)
        memory.initialize(to: HotMemory(rule: rule, kind: kind))
        memory.pointee.owner = .passUnretained(self)
    }

    deinit { memory.deallocate() }

    var hotState: UnsafeMutableRawPointer { UnsafeMutableRawPointer(memory) }

    /// Makes this instrument the one the observe function has at hand.
    func turn(to instrument: UInt32) -> UnsafeMutablePointer<Deviation> {
        if let known = memory.pointee.deviation, memory.pointee.instrument == instrument { return known }
        let deviation = table.state(of: instrument)
        memory.pointee.instrument = instrument
        memory.pointee.deviation = deviation
        return deviation
    }

    func decide(_ snapshot: Snapshot, deadline: Int64, _ request: Request) throws {
        let deviation = turn(to: snapshot.instrument)
        let signal = deviation.pointee.signal
        deviation.pointee.signal = 0
        let action: Decision.Action =
            signal > 0 && snapshot.mayBuy
            ? .buy : signal < 0 && snapshot.maySell && (snapshot.mayShort || snapshot.position >= Amount(quantity)) ? .sell : .hold
        guard action != .hold, answer.fits(quantity, snapshot) else { return request.done() }
        deviation.pointee.lastOrder = deviation.pointee.signalTime
        answer.send(action, quantity, snapshot, request)
    }

    func save() throws -> [UInt8] {
        var out = ByteWriter()
        let all = table.all
        out.integer(UInt32(all.count))
        for (symbol, state) in all {
            out.text(symbol)
            out.double(state.mean)
            out.double(state.variance)
            for value in [state.count, state.lastOrder, state.signal, state.signalTime] { out.integer(value) }
        }
        return out.bytes
    }

    func load(_ bytes: [UInt8], version: UInt32) throws {
        var reader = ByteReader(bytes)
        var states: [(symbol: String, state: Deviation)] = []
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let symbol = try reader.text()
            var state = Deviation()
            state.mean = try reader.finite()
            state.variance = try reader.finite()
            state.count = try reader.integer()
            state.lastOrder = try reader.integer()
            state.signal = try reader.integer()
            state.signalTime = try reader.integer()
            guard state.count >= 0, state.count < .max / 2 else { throw PluginError.invalid("\(symbol): \(state.count) prices") }
            states.append((symbol, state))
        }
        try reader.end()
        table.restore(states)
    }

    func describe() -> JSONValue {
        var instruments = JSONObject()
        for (symbol, state) in table.all {
            instruments[symbol] = [
                "prices": JSONValue(state.count), "mean": JSONValue(state.mean), "variance": JSONValue(state.variance),
            ]
        }
        return ["quantity": JSONValue(quantity), "instruments": JSONValue(instruments)]
    }
}

private let observe: ObserveFunction = { instance, event in
    guard let memory = hotState(instance, as: ZScore.HotMemory.self) else { return KEEL_E_STATE }
    guard let event else { return KEEL_E_INVALID }
    guard UInt32(event.pointee.kind) == memory.pointee.kind else { return KEEL_OK }
    // A price that was delivered before, in a gap filled after a reconnect, is not counted twice.
    guard UInt32(event.pointee.flags) & KEEL_EVF_REPLAY == 0 else { return KEEL_OK }
    let price: Double
    if let trade = Event(event).trade {
        guard trade.pointee.price > 0 else { return KEEL_OK }
        price = Fixed(raw: trade.pointee.price).double
    } else if let quote = Event(event).quote {
        guard quote.pointee.bid > 0, quote.pointee.ask > 0 else { return KEEL_OK }
        price = (Fixed(raw: quote.pointee.bid).double + Fixed(raw: quote.pointee.ask).double) / 2
    } else if let bar = Event(event).bar {
        guard bar.pointee.bar_flags & KEEL_BAR_CLOSED != 0, bar.pointee.bar.close > 0 else { return KEEL_OK }
        price = Fixed(raw: bar.pointee.bar.close).double
    } else {
        return KEEL_OK
    }
    let deviation: UnsafeMutablePointer<Deviation>
    if let known = memory.pointee.deviation, memory.pointee.instrument == event.pointee.instrument {
        deviation = known
    } else {
        guard let owner = memory.pointee.owner else { return KEEL_E_INTERNAL }
        deviation = owner._withUnsafeGuaranteedRef { $0.turn(to: event.pointee.instrument) }
    }
    deviation.pointee.add(price, at: Event(event).time, memory.pointee.rule)
    return deviation.pointee.signal == 0 ? KEEL_OK : KEEL_ASK
}

private let library = Library(
    Component(
        ZScore.self, id: "keel.zscore", name: "EWMA z-score", vendor: "Keel", version: "1.0.0", license: "MIT", config: ZScore.config,
        flags: [.inline, .deterministic]
    )
    .decider(observe: observe)
    .state(version: 1)
    .describe())

@c @implementation
public func keel_plugin_entry(_ major: UInt32) -> UnsafePointer<keel_library>! { library.table(major) }
