import PluginAPI
import PluginKit

/// Builds the flat block a decider sees. Lists and texts are appended behind the struct, 8 bytes aligned.
struct SnapshotBlock {
    var head = keel_snapshot()
    private var tail: [UInt8] = []
    /// Bytes of a newer struct between the known part and the lists.
    private let extra: Int

    init(newer extra: Int = 0) {
        self.extra = extra
        head.struct_size = UInt32(MemoryLayout<keel_snapshot>.size + extra)
        tail = [UInt8](repeating: 0xA5, count: extra)
    }

    mutating func text(_ text: String) -> keel_text { bytes(Array(text.utf8)) }

    mutating func bytes(_ bytes: [UInt8]) -> keel_text {
        if bytes.isEmpty { return keel_text(off: 0, len: 0) }
        let offset = UInt32(MemoryLayout<keel_snapshot>.size + tail.count)
        tail += bytes
        return keel_text(off: offset, len: UInt32(bytes.count))
    }

    mutating func list<T: BitwiseCopyable>(_ items: [T]) -> keel_list {
        if items.isEmpty { return keel_list(off: 0, count: 0) }
        while (MemoryLayout<keel_snapshot>.size + tail.count) % 8 != 0 { tail.append(0) }
        let offset = UInt32(MemoryLayout<keel_snapshot>.size + tail.count)
        items.withUnsafeBytes { tail += $0 }
        return keel_list(off: offset, count: UInt32(items.count))
    }

    func block() -> [UInt8] {
        var head = head
        head.size = UInt32(MemoryLayout<keel_snapshot>.size + tail.count)
        return withUnsafeBytes(of: head) { [UInt8]($0) } + tail
    }

    /// What shapes a random snapshot.
    struct Shape {
        var series = true
        var bars = 60
        var values = true
        var memory = ""
        var news: [String] = []
        var newer = 0
        var allowed: UInt32?
    }

    /// A snapshot as a host could send it: prices on the grid, a position or none, random permissions.
    static func random(_ random: inout CheckRandom, _ instrument: CheckInstrument, price: Fixed, now: keel_time, _ shape: Shape = Shape()) -> [UInt8] {
        var block = SnapshotBlock(newer: shape.newer)
        let tick = max(1, instrument.tick.raw), lot = max(1, instrument.lot.raw)
        let last = max(tick, price.raw / tick * tick &+ Int64(random.below(200) - 100) &* tick)
        block.head.hash = keel_hash(hi: random.next() | 1, lo: random.next())
        block.head.sequence = random.next() >> 24
        block.head.now = now
        block.head.instrument = instrument.id
        let holds = random.chance(oneIn: 2)
        block.head.purpose = holds ? KEEL_PURPOSE_REVIEW : KEEL_PURPOSE_ENTRY
        block.head.gate = 1 << UInt32(random.below(8))
        block.head.allowed = shape.allowed ?? UInt32(random.next() & 0xe)
        block.head.symbol = block.text(instrument.symbol)
        block.head.pipeline = block.text("check")
        block.head.last = last
        block.head.bid = max(tick, last - tick)
        block.head.ask = last + tick
        block.head.bid_qty = lot * Int64(1 + random.below(1000))
        block.head.ask_qty = lot * Int64(1 + random.below(1000))
        (block.head.tick, block.head.lot, block.head.min_qty) = (tick, lot, instrument.minQty.raw)
        if holds {
            block.head.position = Amount(raw: Int128(lot) * Int128(random.below(100_000) - 50_000)).c
            block.head.entry = last - tick * Int64(random.below(50) - 25)
            block.head.opened = now - .seconds(Int64(random.below(10_000)))
            block.head.peak = max(last, block.head.entry)
        }
        block.head.equity = Amount(raw: 1_000_000_000_000).c
        block.head.cash = Amount(raw: Int128(random.below(1_000_000)) * 1_000_000).c
        block.head.max_fraction = KEEL_ONE_FIXED / Int64(1 + random.below(20))
        block.head.max_position = Amount(raw: 500_000_000_000).c
        block.head.max_order = Amount(raw: 100_000_000_000).c
        block.head.daily_loss_left = Amount(raw: 50_000_000_000).c
        block.head.orders_left = UInt32(random.below(20))
        block.head.losing_streak = UInt32(random.below(5))
        block.head.min_check = .seconds(10)
        block.head.max_check = .seconds(3600)
        block.head.regime = UInt32(random.below(3))
        block.head.macro = UInt32(random.below(5))
        func statistic() -> Double { random.chance(oneIn: 3) ? .nan : Double(random.below(2001) - 1000) / 250 }
        block.head.regime_probability = Double(random.below(101)) / 100
        block.head.macro_probability = Double(random.below(101)) / 100
        block.head.funding_rate = statistic()
        block.head.open_interest = statistic()
        block.head.open_interest_change = statistic()
        block.head.cumulative_delta = statistic()
        block.head.long_short = statistic()
        block.head.taker_ratio = statistic()
        block.head.liquidation = statistic()
        block.head.margin_ratio = statistic()
        block.head.price_z = statistic()
        block.head.volume_z = statistic()
        block.head.atr = statistic()
        if shape.series {
            var series: [keel_series] = []
            for minutes in [1, 15, 60] as [Int64] {
                var bars: [keel_bar] = []
                var close = last
                for index in 0..<shape.bars {
                    let open = close
                    close = max(tick, close + Int64(random.below(21) - 10) * tick)
                    bars.append(
                        keel_bar(
                            open_time: now - .seconds(minutes * 60 * Int64(shape.bars - index)), open: open, high: max(open, close) + tick,
                            low: max(tick, min(open, close) - tick), close: close, volume: Amount(raw: Int128(1 + random.below(1000)) * 100_000_000).c))
                }
                let list = block.list(bars)
                series.append(keel_series(duration: .seconds(minutes * 60), bars: list))
            }
            block.head.series = block.list(series)
        }
        if shape.values {
            let name = block.text("funding")
            block.head.values = block.list([keel_named(name: name, value: statistic(), at: now, period_end: now)])
            let signal = block.text("trend")
            block.head.weights = block.list([keel_weight(signal: signal, mean: 0.5, draw: 0.4, observations: 12)])
        }
        if !shape.news.isEmpty {
            let items = shape.news.map { block.text($0) }
            block.head.news = block.list(items)
        }
        if !shape.memory.isEmpty { block.head.memory = block.text(shape.memory) }
        return block.block()
    }
}

let KEEL_ONE_FIXED = Int64(KEEL_ONE)
