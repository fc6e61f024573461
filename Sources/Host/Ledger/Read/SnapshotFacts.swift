import PluginAPI
import PluginKit

/// The plain numbers of a recorded snapshot, for showing. Bytes from the ledger: checked, never trusted.
struct SnapshotFacts {
    var last: Fixed
    var bid: Fixed
    var ask: Fixed
    var position: Amount
    var entry: Fixed
    var equity: Amount
    var maximumFraction: Fixed
    var kellyCap: Fixed
    var regime: UInt32
    var priceZ: Double
    var volumeZ: Double

    /// Nil: not a snapshot this program can read.
    init?(_ bytes: [UInt8]) {
        let size = MemoryLayout<keel_snapshot>.size
        guard bytes.count >= size else { return nil }
        let block = bytes.withUnsafeBytes { $0.loadUnaligned(as: keel_snapshot.self) }
        guard Int(block.struct_size) >= size, Int(block.size) <= bytes.count else { return nil }
        last = Fixed(raw: block.last)
        bid = Fixed(raw: block.bid)
        ask = Fixed(raw: block.ask)
        position = Amount(block.position)
        entry = Fixed(raw: block.entry)
        equity = Amount(block.equity)
        maximumFraction = Fixed(raw: block.max_fraction)
        kellyCap = Fixed(raw: block.kelly_cap)
        regime = block.regime
        priceZ = block.price_z
        volumeZ = block.volume_z
    }

    var lines: [String] {
        var lines = ["price \(last), bid \(bid), ask \(ask)"]
        lines.append(position.isZero ? "no position, equity \(equity)" : "position \(position) at \(entry), equity \(equity)")
        var limits = "at most \(StoryText.percent(maximumFraction)) of the equity an order"
        if kellyCap.isPositive { limits += ", Kelly cap \(StoryText.percent(kellyCap))" }
        lines.append(limits)
        var signs: [String] = []
        if priceZ.isFinite { signs.append("price z \(SnapshotFacts.hundredths(priceZ))") }
        if volumeZ.isFinite { signs.append("volume z \(SnapshotFacts.hundredths(volumeZ))") }
        if regime == KEEL_REGIME_CALM { signs.append("calm regime") }
        if regime == KEEL_REGIME_VOLATILE { signs.append("volatile regime") }
        if !signs.isEmpty { lines.append(signs.joined(separator: ", ")) }
        return lines
    }

    private static func hundredths(_ value: Double) -> String {
        guard value.magnitude < 1e12 else { return "\(value)" }
        let scaled = Int64((value.magnitude * 100).rounded())
        let part = scaled % 100
        return "\(value < 0 ? "-" : "")\(scaled / 100).\(part < 10 ? "0" : "")\(part)"
    }
}
