/// The fills taken in lately. Two generations of open addressing: when the newer is half full the older is forgotten, so
/// memory stays flat and at least `capacity` fills are remembered.
struct SeenFills {
    private var newer: Table
    private var older: Table
    private let capacity: Int

    init(capacity: Int = 16_384) {
        var size = 64
        while size < capacity * 2 { size *= 2 }
        self.capacity = size / 2
        newer = Table(size: size)
        older = Table(size: size)
    }

    func contains(_ key: FillKey) -> Bool { newer.contains(key) || older.contains(key) }

    /// False if it was there already.
    mutating func insert(_ key: FillKey) -> Bool {
        if older.contains(key) { return false }
        return add(key)
    }

    /// As `insert`, for a key of which `contains` has just said no.
    @discardableResult
    mutating func add(_ key: FillKey) -> Bool {
        guard newer.insert(key) else { return false }
        if newer.count >= capacity {
            swap(&newer, &older)
            newer.clear()
        }
        return true
    }

    /// All of them, in no particular order within a generation, the older generation first.
    var keys: [FillKey] { older.keys + newer.keys }

    private struct Table {
        private var slots: [FillKey]
        private(set) var count = 0
        private static let empty = FillKey(hi: 0, lo: 0)

        init(size: Int) { slots = Array(repeating: Self.empty, count: size) }

        var keys: [FillKey] { slots.filter { $0 != Self.empty } }

        mutating func clear() {
            for index in slots.indices { slots[index] = Self.empty }
            count = 0
        }

        func contains(_ key: FillKey) -> Bool {
            var index = Int(truncatingIfNeeded: key.lo) & (slots.count - 1)
            while slots[index] != Self.empty {
                if slots[index] == key { return true }
                index = (index + 1) & (slots.count - 1)
            }
            return false
        }

        mutating func insert(_ key: FillKey) -> Bool {
            var index = Int(truncatingIfNeeded: key.lo) & (slots.count - 1)
            while slots[index] != Self.empty {
                if slots[index] == key { return false }
                index = (index + 1) & (slots.count - 1)
            }
            slots[index] = key
            count += 1
            return true
        }
    }
}
