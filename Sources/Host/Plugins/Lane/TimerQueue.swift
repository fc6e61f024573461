/// Timers by deadline, ties in the order they were added. A value: no clock, no thread.
struct TimerQueue {
    struct Entry {
        var deadline: Int64
        let id: UInt64
        let period: Int64
        let tag: UInt64
        let client: any LaneClient
    }

    private var heap: [Entry] = []
    /// Owner of each live timer; an id that is missing here is dropped when it comes up.
    private var live: [UInt64: UInt64] = [:]
    private var countOf: [UInt64: Int] = [:]
    private var lastID: UInt64 = 0

    var isEmpty: Bool { live.isEmpty }
    func count(of client: any LaneClient) -> Int { countOf[client.laneMark.number] ?? 0 }

    mutating func add(for client: any LaneClient, deadline: Int64, period: Int64, tag: UInt64) -> UInt64 {
        lastID &+= 1
        let owner = client.laneMark.number
        live[lastID] = owner
        countOf[owner, default: 0] += 1
        push(Entry(deadline: deadline, id: lastID, period: period, tag: tag, client: client))
        return lastID
    }

    /// False if this client has no such timer.
    mutating func remove(_ id: UInt64, for client: any LaneClient) -> Bool {
        guard live[id] == client.laneMark.number else { return false }
        release(id)
        // Stopped timers far in the future must not pile up.
        if heap.count > 64, heap.count > live.count * 4 { rebuild() }
        return true
    }

    mutating func removeAll(of client: any LaneClient) {
        let owner = client.laneMark.number
        live = live.filter { $0.value != owner }
        countOf[owner] = nil
        rebuild()
    }

    /// The deadline of the next live timer.
    mutating func next() -> Int64? {
        while let first = heap.first {
            if live[first.id] != nil { return first.deadline }
            _ = pop()
        }
        return nil
    }

    /// Takes the next timer due at `now`, and puts a periodic one back. A periodic timer that is late by several periods
    /// fires once for all of them, unless `everyPeriod` asks for each.
    mutating func takeDue(_ now: Int64, everyPeriod: Bool = false) -> Entry? {
        guard let deadline = next(), deadline <= now, let entry = pop() else { return nil }
        if entry.period > 0 {
            var again = entry
            let (following, overflow) = entry.deadline.addingReportingOverflow(entry.period)
            again.deadline = overflow ? .max : following
            if !everyPeriod, again.deadline <= now {
                let behind = (now - again.deadline) / entry.period + 1
                let (skip, skipOverflow) = behind.multipliedReportingOverflow(by: entry.period)
                let (late, lateOverflow) = again.deadline.addingReportingOverflow(skip)
                again.deadline = skipOverflow || lateOverflow ? .max : late
            }
            push(again)
        } else {
            release(entry.id)
        }
        return entry
    }

    private mutating func release(_ id: UInt64) {
        guard let owner = live.removeValue(forKey: id), let count = countOf[owner] else { return }
        countOf[owner] = count > 1 ? count - 1 : nil
    }

    private mutating func rebuild() {
        let kept = heap.filter { live[$0.id] != nil }
        heap.removeAll(keepingCapacity: true)
        for entry in kept { push(entry) }
    }

    private func before(_ a: Entry, _ b: Entry) -> Bool { a.deadline != b.deadline ? a.deadline < b.deadline : a.id < b.id }

    private mutating func push(_ entry: Entry) {
        heap.append(entry)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard before(heap[child], heap[parent]) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func pop() -> Entry? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        if heap.isEmpty { return first }
        heap[0] = last
        var parent = 0
        while true {
            let left = parent * 2 + 1
            guard left < heap.count else { return first }
            let right = left + 1
            let child = right < heap.count && before(heap[right], heap[left]) ? right : left
            guard before(heap[child], heap[parent]) else { return first }
            heap.swapAt(child, parent)
            parent = child
        }
    }
}
