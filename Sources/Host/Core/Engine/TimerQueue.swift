/// Deadlines by event time. Each (kind, owner) has one; moving it later costs nothing until it comes up, so the queue never
/// holds more entries than there are deadlines. Equal times fire in the order they were armed.
struct TimerQueue {
    enum Kind: Int, CaseIterable { case gate, watchdog, safety, review, ask, shadow, orders, bars, exit, broker, day, report }

    private struct Entry {
        var time: Int64
        var sequence: UInt64
        var slot: Int
    }
    private var heap: [Entry] = []
    private var due: [Int64]
    private var queued: [Int64]
    private let owners: Int
    private var sequence: UInt64 = 0

    /// Earliest time something may be due; `.max`: never. It may be early, never late.
    private(set) var next: Int64 = .max

    init(owners: Int) {
        self.owners = max(owners, 1)
        due = Array(repeating: .max, count: Kind.allCases.count * self.owners)
        queued = due
        heap.reserveCapacity(64)
    }

    func deadline(_ kind: Kind, _ owner: Int) -> Int64? {
        let time = due[kind.rawValue * owners + owner]
        return time == .max ? nil : time
    }

    mutating func arm(_ kind: Kind, _ owner: Int, at time: Int64) {
        let slot = kind.rawValue * owners + owner
        due[slot] = time
        if time < queued[slot] { push(time, slot) }
    }

    /// Arms it unless it is due earlier already.
    mutating func armNoLater(_ kind: Kind, _ owner: Int, at time: Int64) {
        if time < due[kind.rawValue * owners + owner] { arm(kind, owner, at: time) }
    }

    mutating func disarm(_ kind: Kind, _ owner: Int) { due[kind.rawValue * owners + owner] = .max }

    /// Takes out one that is due at or before `time`.
    mutating func pop(until time: Int64) -> (kind: Kind, owner: Int, time: Int64)? {
        while let head = heap.first, head.time <= time {
            removeFirst()
            if queued[head.slot] == head.time { queued[head.slot] = .max }
            let wanted = due[head.slot]
            if wanted == .max { continue }
            if wanted > head.time {
                if wanted < queued[head.slot] { push(wanted, head.slot) }
                continue
            }
            due[head.slot] = .max
            guard let kind = Kind(rawValue: head.slot / owners) else { continue }
            return (kind, head.slot % owners, head.time)
        }
        return nil
    }

    private mutating func push(_ time: Int64, _ slot: Int) {
        queued[slot] = time
        sequence &+= 1
        let entry = Entry(time: time, sequence: sequence, slot: slot)
        heap.append(entry)
        var place = heap.count - 1
        while place > 0 {
            let parent = (place - 1) / 2
            guard before(entry, heap[parent]) else { break }
            heap[place] = heap[parent]
            place = parent
        }
        heap[place] = entry
        next = heap[0].time
    }

    private mutating func removeFirst() {
        guard let entry = heap.popLast() else { return }
        guard !heap.isEmpty else {
            next = .max
            return
        }
        var place = 0
        let count = heap.count
        while true {
            var child = 2 * place + 1
            guard child < count else { break }
            if child + 1 < count, before(heap[child + 1], heap[child]) { child += 1 }
            guard before(heap[child], entry) else { break }
            heap[place] = heap[child]
            place = child
        }
        heap[place] = entry
        next = heap[0].time
    }

    @inline(__always)
    private func before(_ a: Entry, _ b: Entry) -> Bool { a.time != b.time ? a.time < b.time : a.sequence < b.sequence }
}
