import PluginAPI
import PluginKit

/// Instruments in C form whose strings stay where they are until the arena goes.
struct InstrumentArena: ~Copyable {
    private var known: [keel_instrument_id: keel_instrument] = [:]
    private var blocks: [UnsafeMutableRawBufferPointer] = []

    func find(_ id: keel_instrument_id) -> keel_instrument? { known[id] }

    mutating func add(_ record: InstrumentRecord) -> keel_instrument {
        var value = keel_instrument()
        value.struct_size = UInt32(MemoryLayout<keel_instrument>.size)
        value.instrument_kind = record.kind
        value.id = record.id
        value.symbol = keep(record.symbol)
        value.venue_symbol = keep(record.venueSymbol)
        value.base_asset = keep(record.baseAsset)
        value.quote_asset = keep(record.quoteAsset)
        value.tick = record.tick.raw
        value.lot = record.lot.raw
        value.min_qty = record.minQty.raw
        value.max_qty = record.maxQty.raw
        value.multiplier = record.multiplier.raw
        value.min_notional = record.minNotional.c
        known[record.id] = value
        return value
    }

    private mutating func keep(_ text: String) -> keel_str {
        if text.isEmpty { return keel_str(ptr: nil, len: 0) }
        let bytes = Array(text.utf8)
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        block.copyBytes(from: bytes)
        blocks.append(block)
        return keel_str(ptr: block.baseAddress.map { UnsafePointer($0.assumingMemoryBound(to: CChar.self)) }, len: bytes.count)
    }

    deinit { for block in blocks { block.deallocate() } }
}
