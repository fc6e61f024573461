import Glibc
import PluginAPI
import PluginKit

/// What the check profile says about an instrument.
struct CheckInstrument: Sendable, Hashable {
    var id: UInt32 = 1
    var symbol = "BTC/USDT"
    var venueSymbol = "BTCUSDT"
    var kind = KEEL_KIND_SPOT
    var base = "BTC"
    var quote = "USDT"
    var tick = Fixed(raw: 1_000_000)
    var lot = Fixed(raw: 1_000)
    var minQty = Fixed(raw: 1_000)
    var maxQty = Fixed(raw: 100_000_000_000)
    var multiplier = Fixed.one
    var minNotional = Amount(raw: 500_000_000)
}

/// A keel_instrument whose strings stay valid until the process ends.
final class LentInstrument {
    let value: keel_instrument
    let plain: CheckInstrument

    init(_ plain: CheckInstrument) {
        self.plain = plain
        var value = keel_instrument()
        value.struct_size = UInt32(MemoryLayout<keel_instrument>.size)
        value.instrument_kind = plain.kind
        value.id = plain.id
        value.symbol = LentInstrument.text(plain.symbol)
        value.venue_symbol = LentInstrument.text(plain.venueSymbol)
        value.base_asset = LentInstrument.text(plain.base)
        value.quote_asset = LentInstrument.text(plain.quote)
        value.tick = plain.tick.raw
        value.lot = plain.lot.raw
        value.min_qty = plain.minQty.raw
        value.max_qty = plain.maxQty.raw
        value.multiplier = plain.multiplier.raw
        value.min_notional = plain.minNotional.c
        self.value = value
    }

    private static func text(_ text: String) -> keel_str {
        let bytes = strdup(text)
        return keel_str(ptr: UnsafePointer(bytes), len: bytes.map { strlen($0) } ?? 0)
    }
}
