/// Finds a live order's slot by its id: open addressing, no allocation but to grow, the same order of work on every run.
public struct OrderIndex: ~Copyable {
    private struct Entry {
        var id: OrderID
        var slot: Int32  // -1: empty
    }
    private var entries: UnsafeMutablePointer<Entry>
    private var mask: Int
    public private(set) var count = 0

    public init(capacity: Int = 64) {
        var size = 64
        while size < capacity * 2 { size *= 2 }
        mask = size - 1
        entries = .allocate(capacity: size)
        entries.initialize(repeating: Entry(id: .none, slot: -1), count: size)
    }

    deinit { entries.deallocate() }

    /// Eight decisions in a row lie side by side, so that orders made one after the other share cache lines.
    @inline(__always)
    private func home(_ id: OrderID) -> Int {
        let run = ((id.lo >> 27) << 24) | (id.lo & 0xFF_FFFF)
        var mixed = run ^ (id.hi &* 0x9e37_79b9_7f4a_7c15)
        mixed = (mixed ^ (mixed >> 29)) &* 0xbf58_476d_1ce4_e5b9
        return Int(truncatingIfNeeded: ((mixed >> 20) << 3) | ((id.lo >> 24) & 7)) & mask
    }

    @inline(__always)
    private func find(_ id: OrderID) -> Int {
        var place = home(id)
        while entries[place].slot >= 0, entries[place].id != id { place = (place + 1) & mask }
        return place
    }

    /// The slot of an order; nil if it isn't here.
    public func slot(of id: OrderID) -> Int? {
        let slot = entries[find(id)].slot
        return slot >= 0 ? Int(slot) : nil
    }

    /// False if the order is here already; nothing is changed then.
    public mutating func insert(_ id: OrderID, slot: Int) -> Bool {
        if count * 2 > mask { grow() }
        let place = find(id)
        if entries[place].slot >= 0 { return false }
        entries[place] = Entry(id: id, slot: Int32(truncatingIfNeeded: slot))
        count += 1
        return true
    }

    public mutating func remove(_ id: OrderID) {
        var hole = find(id)
        if entries[hole].slot < 0 { return }
        count -= 1
        // Move back what was pushed past the hole, so that no marks of the dead are needed.
        var next = (hole + 1) & mask
        while entries[next].slot >= 0 {
            let wanted = home(entries[next].id)
            if (next &- wanted) & mask >= (next &- hole) & mask {
                entries[hole] = entries[next]
                hole = next
            }
            next = (next + 1) & mask
        }
        entries[hole].slot = -1
    }

    private mutating func grow() {
        let old = entries
        let size = mask + 1
        mask = size * 2 - 1
        entries = .allocate(capacity: size * 2)
        entries.initialize(repeating: Entry(id: .none, slot: -1), count: size * 2)
        for place in 0..<size where old[place].slot >= 0 { entries[find(old[place].id)] = old[place] }
        old.deallocate()
    }
}
