/// Timers in the order they are due; equal times in the order they were armed. A heap: arming and firing are O(log n).
public struct TimerQueue<Payload> {
    public struct Entry {
        public var due: Int64
        public var id: UInt64
        public var payload: Payload
    }

    private var heap: [Entry] = []
    private var lastID: UInt64 = 0

    public init() {}

    /// When the next timer is due; nil: none is armed.
    public var next: Int64? { heap.first?.due }

    @discardableResult
    public mutating func arm(due: Int64, payload: Payload) -> UInt64 {
        lastID &+= 1
        insert(Entry(due: due, id: lastID, payload: payload))
        return lastID
    }

    /// Arms again under the same id: a periodic timer.
    public mutating func rearm(_ entry: Entry, due: Int64) {
        var entry = entry
        entry.due = due
        insert(entry)
    }

    /// A timer that has fired or never was is no error. Linear: a host has dozens of timers, not thousands.
    public mutating func stop(_ id: UInt64) {
        guard let index = heap.firstIndex(where: { $0.id == id }) else { return }
        remove(at: index)
    }

    /// Removes and returns the first timer due at `time` or before.
    public mutating func fire(at time: Int64) -> Entry? {
        guard let due = next, due <= time else { return nil }
        return remove(at: 0)
    }

    public mutating func removeAll(where belongs: (Payload) -> Bool) {
        let kept = heap.filter { !belongs($0.payload) }
        heap.removeAll(keepingCapacity: true)
        for entry in kept { insert(entry) }
    }

    private static func before(_ a: Entry, _ b: Entry) -> Bool { a.due != b.due ? a.due < b.due : a.id < b.id }

    private mutating func insert(_ entry: Entry) {
        heap.append(entry)
        rise(from: heap.count - 1)
    }

    @discardableResult
    private mutating func remove(at index: Int) -> Entry {
        heap.swapAt(index, heap.count - 1)
        let removed = heap.removeLast()
        if index < heap.count {
            sink(from: index)
            rise(from: index)
        }
        return removed
    }

    private mutating func rise(from index: Int) {
        var child = index
        while child > 0 {
            let parent = (child - 1) / 2
            guard TimerQueue.before(heap[child], heap[parent]) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func sink(from index: Int) {
        var parent = index
        while true {
            let left = 2 * parent + 1, right = left + 1
            var least = parent
            if left < heap.count, TimerQueue.before(heap[left], heap[least]) { least = left }
            if right < heap.count, TimerQueue.before(heap[right], heap[least]) { least = right }
            guard least != parent else { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
