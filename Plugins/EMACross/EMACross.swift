import PluginAPI
import PluginKit

/// Buys when the fast average of the closes crosses above the slow one, sells what it holds when it crosses below.
final class EMACross: Decider, HotPath, Stateful, Describing {
    static let wants: Wants = []
    static let barsWanted: UInt32 = 0

    static let config = ConfigShape([
        .whole("fast", "Bars of the fast average: a = 2 / (fast + 1).", in: 1...100_000, default: 10),
        .whole("slow", "Bars of the slow average: a = 2 / (slow + 1).", in: 1...100_000, default: 20),
        .whole("warmup", "No signal before this many bars have been seen before it.", in: 0...1_000_000, default: 20),
        .decimal("quantity", "Units to buy at a cross.", .positive, default: "1"),
        .span("bar", "Length of the bars to look at; \"0s\" takes every closed bar of the feed.", default: "0s"),
    ])

    /// What the observe function works on: no object, no reference count.
    struct HotMemory {
        let weights: Weights
        let warmup: Int64
        let duration: Int64
        var instrument: UInt32 = 0
        var averages: UnsafeMutablePointer<Averages>?
        var owner: Unmanaged<EMACross>?
    }

    private let host: Host
    private let quantity: Fixed
    private let table: InstrumentTable<Averages>
    private let memory: UnsafeMutablePointer<HotMemory>
    private var answer = Answer(signal: "ema_cross", model: "keel.emacross")

    init(host: Host, name: String, config: JSONValue) throws {
        self.host = host
        quantity = try config["quantity"].fixed
        table = InstrumentTable(host: host, initial: Averages())
        memory = .allocate(capacity: 1)
        memory.initialize(
            to: HotMemory(
                weights: Weights(fast: try config["fast"].int64, slow: try config["slow"].int64), warmup: try config["warmup"].int64,
                duration: try config["bar"].span))
        memory.pointee.owner = .passUnretained(self)
    }

    deinit { memory.deallocate() }

    var hotState: UnsafeMutableRawPointer { UnsafeMutableRawPointer(memory) }

    /// Makes this instrument the one the observe function has at hand.
    func turn(to instrument: UInt32) -> UnsafeMutablePointer<Averages> {
        if let known = memory.pointee.averages, memory.pointee.instrument == instrument { return known }
        let averages = table.state(of: instrument)
        memory.pointee.instrument = instrument
        memory.pointee.averages = averages
        return averages
    }

    func decide(_ snapshot: Snapshot, deadline: Int64, _ request: Request) throws {
        let averages = turn(to: snapshot.instrument)
        let signal = averages.pointee.signal
        averages.pointee.signal = 0
        let position = snapshot.position
        if signal > 0, position.isZero, snapshot.mayBuy, answer.fits(quantity, snapshot) {
            answer.send(.buy, quantity, snapshot, request)
        } else if signal < 0, position.isPositive, snapshot.maySell {
            answer.send(.sell, try position.fixed(), snapshot, request)
        } else {
            request.done()
        }
    }

    func save() throws -> [UInt8] {
        var out = ByteWriter()
        let all = table.all
        out.integer(UInt32(all.count))
        for (symbol, state) in all {
            out.text(symbol)
            for value in [state.fast, state.slow, state.before, state.difference] { out.double(value) }
            for value in [state.bars, state.lastOpen, state.signal] { out.integer(value) }
        }
        return out.bytes
    }

    func load(_ bytes: [UInt8], version: UInt32) throws {
        var reader = ByteReader(bytes)
        var states: [(symbol: String, state: Averages)] = []
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let symbol = try reader.text()
            var state = Averages()
            state.fast = try reader.finite()
            state.slow = try reader.finite()
            state.before = try reader.finite()
            state.difference = try reader.finite()
            state.bars = try reader.integer()
            state.lastOpen = try reader.integer()
            state.signal = try reader.integer()
            guard state.bars >= 0, state.bars < .max / 2 else { throw PluginError.invalid("\(symbol): \(state.bars) bars") }
            states.append((symbol, state))
        }
        try reader.end()
        table.restore(states)
    }

    func describe() -> JSONValue {
        var instruments = JSONObject()
        for (symbol, state) in table.all {
            instruments[symbol] = [
                "bars": JSONValue(state.bars), "fast": JSONValue(state.fast), "slow": JSONValue(state.slow),
                "difference": JSONValue(state.difference),
            ]
        }
        return ["quantity": JSONValue(quantity), "instruments": JSONValue(instruments)]
    }
}

private let observe: ObserveFunction = { instance, event in
    guard let memory = hotState(instance, as: EMACross.HotMemory.self) else { return KEEL_E_STATE }
    guard let event else { return KEEL_E_INVALID }
    guard let bar = Event(event).bar, bar.pointee.bar_flags & KEEL_BAR_CLOSED != 0, bar.pointee.bar.close > 0 else { return KEEL_OK }
    if memory.pointee.duration != 0, memory.pointee.duration != bar.pointee.duration { return KEEL_OK }
    let averages: UnsafeMutablePointer<Averages>
    if let known = memory.pointee.averages, memory.pointee.instrument == event.pointee.instrument {
        averages = known
    } else {
        guard let owner = memory.pointee.owner else { return KEEL_E_INTERNAL }
        averages = owner._withUnsafeGuaranteedRef { $0.turn(to: event.pointee.instrument) }
    }
    // A bar that came before, in a gap filled after a reconnect, is not counted twice.
    guard bar.pointee.bar.open_time > averages.pointee.lastOpen else { return KEEL_OK }
    averages.pointee.lastOpen = bar.pointee.bar.open_time
    averages.pointee.add(Fixed(raw: bar.pointee.bar.close).double, memory.pointee.weights, warmup: memory.pointee.warmup)
    return averages.pointee.signal == 0 ? KEEL_OK : KEEL_ASK
}

private let library = Library(
    Component(
        EMACross.self, id: "keel.emacross", name: "EMA cross", vendor: "Keel", version: "1.0.0", license: "MIT",
        config: EMACross.config, flags: [.inline, .deterministic]
    )
    .decider(observe: observe)
    .state(version: 1)
    .describe())

@c @implementation
public func keel_plugin_entry(_ major: UInt32) -> UnsafePointer<keel_library>! { library.table(major) }
