/// Keeps a numbered series whole: what comes twice is left out, and where a number is missing everything after it waits until
/// the missing part has been fetched, so that nothing is ever told out of order.
///
/// Aggregate trades are numbered by their ids, candles by their place since 1970.
public struct GapTrack<Item> {
    public enum Step: Equatable, Sendable {
        case deliver
        case old
        /// Waits behind a gap that is being filled.
        case held
        /// As that, and too many wait: give up.
        case full
        /// The first item behind a gap; ask for these.
        case gap(Range<Int64>)
    }

    public struct Filled {
        /// To be told first, as history.
        public var history: [(position: Int64, item: Item)] = []
        /// To be told after it, as news.
        public var live: [(position: Int64, item: Item)] = []
        /// Numbers the venue doesn't have any more.
        public var lost: [Range<Int64>] = []
        /// What to ask for next; nil: the series is whole.
        public var next: Range<Int64>?
    }

    /// The last number told; nil: none yet.
    public private(set) var last: Int64?
    public private(set) var isFilling = false
    private var held: [(position: Int64, item: Item)] = []
    public var isHolding: Bool { !held.isEmpty }
    private let mostHeld: Int

    public init(mostHeld: Int) { self.mostHeld = mostHeld }

    public mutating func take(_ position: Int64, _ item: Item) -> Step {
        if let last, position <= last { return .old }
        if isFilling {
            if let newest = held.last?.position, position <= newest { return .old }
            held.append((position, item))
            // A fill that never ends may not fill the memory, nor hold back what is news.
            return held.count >= mostHeld ? .full : .held
        }
        guard let last, position > last + 1 else {
            self.last = position
            return .deliver
        }
        isFilling = true
        held = [(position, item)]
        return .gap(last + 1..<position)
    }

    /// This number exists and can't be told: nothing is missing when it is passed over.
    public mutating func pass(_ position: Int64) {
        if !isFilling, let last, position == last + 1 { self.last = position }
    }

    /// After a lost connection, or at the start with history wanted from `position`: everything waits from now on. What to ask for;
    /// nil: nothing has been told yet, so nothing can be missing, or it is being asked for already.
    public mutating func resume(from position: Int64? = nil) -> Range<Int64>? {
        if isFilling { return nil }
        if let position, last == nil { last = position - 1 }
        guard let last else { return nil }
        isFilling = true
        return last + 1..<Int64.max
    }

    /// An answer: items in order from where it was asked. `isAll`: the venue has no more up to its present.
    public mutating func filled(_ items: [(position: Int64, item: Item)], isAll: Bool) -> Filled {
        var result = Filled()
        guard isFilling else { return result }
        let limit = held.first?.position ?? .max
        for entry in items where entry.position > (last ?? .min) && entry.position < limit {
            if let last, entry.position > last + 1 { result.lost.append(last + 1..<entry.position) }
            result.history.append(entry)
            last = entry.position
        }
        drain(isAll, &result)
        return result
    }

    /// Nothing more can be had: what was held goes out, and what lies between is lost.
    public mutating func giveUp() -> Filled {
        var result = Filled()
        guard isFilling else { return result }
        drain(true, &result)
        while result.next != nil {
            result.next = nil
            drain(true, &result)
        }
        return result
    }

    private mutating func drain(_ isAll: Bool, _ result: inout Filled) {
        var used = 0
        while used < held.count {
            let entry = held[used]
            if let last {
                if entry.position <= last {
                    used += 1
                    continue
                }
                if entry.position > last + 1 {
                    // The hole before the first held item: either still to come, or the venue has nothing for it.
                    guard isAll, used == 0 else { break }
                    result.lost.append(last + 1..<entry.position)
                }
            }
            result.live.append(entry)
            last = entry.position
            used += 1
        }
        held.removeFirst(used)
        if held.isEmpty, isAll || used > 0 {
            isFilling = false
        } else if let last {
            result.next = last + 1..<(held.first?.position ?? .max)
        }
    }

    /// Forget what was told: the next item is the first.
    public mutating func reset() {
        last = nil
        isFilling = false
        held = []
    }
}
