import PluginKit

/// The ids of all orders that are over, for as long as the venue lives: an id must never be used twice.
///
/// A host numbers its decisions one after the other, so ids are kept as bits: a page holds 4096 decisions of one run, pipeline
/// and leg. A million orders take about as many bits, not as many entries.
struct OrderIDSet: ~Copyable {
    private struct Page: Hashable {
        var high: UInt64
        /// The id without its decision's last twelve bits.
        var low: UInt64
    }
    private static let words = 64

    private var pages: [Page: UnsafeMutablePointer<UInt64>] = [:]
    private var last = Page(high: 0, low: 0)
    private var lastBits: UnsafeMutablePointer<UInt64>?
    private(set) var count = 0

    deinit {
        for bits in pages.values { bits.deallocate() }
    }

    /// The decision is counted from bit 24 on; legs and children lie below.
    @inline(__always)
    private static func place(_ id: OrderID) -> (page: Page, word: Int, bit: UInt64) {
        let within = (id.lo >> 24) & 0xFFF
        return (Page(high: id.hi, low: id.lo & ~(0xFFF << 24)), Int(within >> 6), 1 << (within & 63))
    }

    func contains(_ id: OrderID) -> Bool {
        let (page, word, bit) = Self.place(id)
        if let bits = lastBits, last == page { return bits[word] & bit != 0 }
        guard let bits = pages[page] else { return false }
        return bits[word] & bit != 0
    }

    mutating func insert(_ id: OrderID) {
        let (page, word, bit) = Self.place(id)
        let bits: UnsafeMutablePointer<UInt64>
        if let known = lastBits, last == page {
            bits = known
        } else if let known = pages[page] {
            bits = known
        } else {
            bits = .allocate(capacity: Self.words)
            bits.initialize(repeating: 0, count: Self.words)
            pages[page] = bits
        }
        last = page
        lastBits = bits
        if bits[word] & bit == 0 {
            bits[word] |= bit
            count += 1
        }
    }

    /// All ids, smallest first.
    var all: [OrderID] {
        var ids: [OrderID] = []
        ids.reserveCapacity(count)
        for (page, bits) in pages {
            for word in 0..<Self.words where bits[word] != 0 {
                for bit in 0..<64 where bits[word] & (1 << UInt64(bit)) != 0 {
                    ids.append(OrderID(hi: page.high, lo: page.low | UInt64(word * 64 + bit) << 24))
                }
            }
        }
        return ids.sorted()
    }
}
