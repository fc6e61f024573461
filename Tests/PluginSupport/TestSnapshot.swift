import PluginAPI
import PluginKit

/// Builds the flat block a decider sees.
public struct TestSnapshot {
    public var fixed = keel_snapshot()
    public var symbol = "BTC/USDT"
    public var series: [(duration: Int64, bars: [keel_bar])] = []
    public var weights: [(signal: String, mean: Double, draw: Double, observations: Double)] = []
    public var memory = ""
    public var news: [String] = []

    public init(instrument: UInt32 = 1, now: Int64 = 0, last: Int64 = 0) {
        fixed.instrument = instrument
        fixed.now = now
        fixed.last = last
        fixed.bid = last
        fixed.ask = last
        fixed.purpose = KEEL_PURPOSE_ENTRY
        fixed.allowed = KEEL_MAY_BUY | KEEL_MAY_SELL
        fixed.max_fraction = Int64(KEEL_ONE)
        fixed.funding_rate = .nan
        fixed.open_interest = .nan
        fixed.price_z = .nan
        fixed.volume_z = .nan
        fixed.atr = .nan
        fixed.hash = keel_hash(hi: 7, lo: 9)
    }

    public var bytes: [UInt8] {
        var tail: [UInt8] = []
        let start = MemoryLayout<keel_snapshot>.size
        func text(_ string: String) -> keel_text {
            let place = keel_text(off: UInt32(start + tail.count), len: UInt32(string.utf8.count))
            tail += string.utf8
            return place
        }
        func list<Element: BitwiseCopyable>(_ elements: [Element]) -> keel_list {
            while (start + tail.count) % 8 != 0 { tail.append(0) }
            let place = keel_list(off: UInt32(start + tail.count), count: UInt32(elements.count))
            elements.withUnsafeBytes { tail += $0 }
            return place
        }
        var fixed = fixed
        fixed.struct_size = UInt32(start)
        fixed.symbol = text(symbol)
        fixed.memory = text(memory)
        fixed.news = list(news.map(text))
        fixed.series = list(series.map { keel_series(duration: $0.duration, bars: list($0.bars)) })
        let named = weights.map { keel_weight(signal: text($0.signal), mean: $0.mean, draw: $0.draw, observations: $0.observations) }
        fixed.weights = list(named)
        fixed.size = UInt32(start + tail.count)
        return withUnsafeBytes(of: fixed) { Array($0) } + tail
    }

    public func with<Result>(_ body: (UnsafePointer<keel_snapshot>) throws -> Result) rethrows -> Result {
        // The block starts at a multiple of 16, as the host's does.
        let bytes = bytes
        let block = UnsafeMutableRawPointer.allocate(byteCount: bytes.count, alignment: 16)
        defer { block.deallocate() }
        bytes.withUnsafeBytes { if let from = $0.baseAddress { block.copyMemory(from: from, byteCount: bytes.count) } }
        return try body(UnsafePointer(block.assumingMemoryBound(to: keel_snapshot.self)))
    }
}

extension TestInstance {
    /// Asks a decider; its decision, if it made one, and the status of its DONE.
    public func decide(_ snapshot: TestSnapshot, deadline: Int64 = 0) throws -> (decision: RecordedEvent?, done: keel_status) {
        let table = try table(KEEL_DECIDER, keel_decider.self)
        let request = nextRequest()
        _ = host.take()
        try snapshot.with { block in try TestInstance.check { table.pointee.decide(raw, block, deadline, request, $0) } }
        let events = host.take()
        guard let done = events.last?.done, events.count <= 2, events.allSatisfy({ $0.request == request }) else {
            throw TestFailure("not one decision and one DONE: \(events)")
        }
        return (events.count == 2 ? events.first : nil, done.status)
    }

    public func observe(_ bar: keel_bar, instrument: UInt32 = 1, duration: Int64 = 60_000_000_000, flags: UInt32 = 0) throws -> keel_status {
        let table = try table(KEEL_DECIDER, keel_decider.self)
        return withBar(bar, instrument: instrument, duration: duration, flags: flags) { table.pointee.observe(raw, $0) }
    }
}

public func withBar<Result>(
    _ bar: keel_bar, instrument: UInt32 = 1, duration: Int64 = 60_000_000_000, closed: Bool = true, flags: UInt32 = 0,
    _ body: (UnsafePointer<keel_event>) -> Result
) -> Result {
    var event = keel_ev_bar()
    event.head.size = UInt32(MemoryLayout<keel_ev_bar>.size)
    event.head.kind = UInt16(KEEL_EV_BAR)
    event.head.flags = UInt16(flags)
    event.head.instrument = instrument
    event.head.at_source = bar.open_time + duration
    event.head.at_host = bar.open_time + duration
    event.bar = bar
    event.duration = duration
    event.bar_flags = closed ? KEEL_BAR_CLOSED : 0
    return withUnsafePointer(to: &event.head, body)
}

public func withTrade<Result>(
    price: Int64, quantity: Int64 = 100_000_000, at time: Int64, instrument: UInt32 = 1, taker: UInt32 = KEEL_SIDE_NONE,
    _ body: (UnsafePointer<keel_event>) -> Result
) -> Result {
    var event = keel_ev_trade()
    event.head.size = UInt32(MemoryLayout<keel_ev_trade>.size)
    event.head.kind = UInt16(KEEL_EV_TRADE)
    event.head.instrument = instrument
    event.head.at_source = time
    event.head.at_host = time
    event.price = price
    event.qty = quantity
    event.side = taker
    return withUnsafePointer(to: &event.head, body)
}

public func withQuote<Result>(
    bid: Int64, ask: Int64, bidQuantity: Int64 = 100_000_000, askQuantity: Int64 = 100_000_000, at time: Int64, instrument: UInt32 = 1,
    _ body: (UnsafePointer<keel_event>) -> Result
) -> Result {
    var event = keel_ev_quote()
    event.head.size = UInt32(MemoryLayout<keel_ev_quote>.size)
    event.head.kind = UInt16(KEEL_EV_QUOTE)
    event.head.instrument = instrument
    event.head.at_source = time
    event.head.at_host = time
    event.bid = bid
    event.ask = ask
    event.bid_qty = bidQuantity
    event.ask_qty = askQuantity
    return withUnsafePointer(to: &event.head, body)
}

/// A small seeded generator (SplitMix64), so that every machine sees the same test.
public struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    public init(_ seed: UInt64) { state = seed }
    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// Bars of a seeded random walk around 100.
public func walk(_ count: Int, seed: UInt64, from start: Int64 = 1_640_995_200_000_000_000, step: Int64 = 60_000_000_000) -> [keel_bar] {
    var random = Seeded(seed)
    var price: Int64 = 100_00
    return (0..<count).map { index in
        let open = price
        price = max(price + Int64.random(in: -60...60, using: &random), 1_00)
        let high = max(open, price) + Int64.random(in: 0...20, using: &random)
        let low = max(min(open, price) - Int64.random(in: 0...20, using: &random), 50)
        return keel_bar(
            open_time: start + Int64(index) * step, open: open * 1_000_000, high: high * 1_000_000, low: low * 1_000_000,
            close: price * 1_000_000, volume: keel_amount(lo: UInt64(Int64.random(in: 1...1000, using: &random)) * 100_000_000, hi: 0))
    }
}
