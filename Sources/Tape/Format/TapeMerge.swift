import PluginAPI

/// Several tapes as one, in time order; equal times in the order the tapes were given, and each tape's own order is kept.
public final class TapeMerge {
    private struct Head {
        var cursor: TapeCursor
        var at: UnsafeRawPointer
        var end: UnsafeRawPointer
        /// The time the next record is merged by: never less than one before it in the same tape.
        var key: Int64
        var rank: Int
    }

    private var heads: [Head]
    private var current: Int?

    public init(_ cursors: [TapeCursor]) throws {
        heads = []
        for (rank, cursor) in cursors.enumerated() {
            guard let span = try cursor.next() else { continue }
            heads.append(Head(cursor: cursor, at: span.start, end: span.end, key: TapeTime.of(span.start.assumingMemoryBound(to: keel_event.self)), rank: rank))
        }
    }

    /// Records still ahead, at most.
    public var remaining: Int { heads.reduce(0) { $0 + $1.cursor.remaining } }

    /// The longest stretch of one tape that comes before every other tape's next record; nil at the end. The stretch before is no longer valid.
    public func next() throws -> TapeSpan? {
        if let last = current {
            current = nil
            if heads[last].at >= heads[last].end {
                if let span = try heads[last].cursor.next() {
                    heads[last].at = span.start
                    heads[last].end = span.end
                    heads[last].key = max(heads[last].key, TapeTime.of(span.start.assumingMemoryBound(to: keel_event.self)))
                } else {
                    heads.remove(at: last)
                }
            }
        }
        guard var best = heads.indices.first else { return nil }
        if heads.count == 1 {
            let span = TapeSpan(start: heads[0].at, end: heads[0].end)
            heads[0].at = heads[0].end
            current = 0
            return span
        }
        // The earliest, and the earliest of the others: few tapes, so a walk beats a heap.
        for index in heads.indices.dropFirst() where precedes(index, best) { best = index }
        var limit = Int64.max
        var limitRank = Int.max
        for index in heads.indices where index != best {
            let key = heads[index].key
            if key < limit || key == limit && heads[index].rank < limitRank {
                limit = key
                limitRank = heads[index].rank
            }
        }
        let start = heads[best].at
        let end = heads[best].end
        let rank = heads[best].rank
        var key = heads[best].key
        var at = start
        while at < end {
            let event = at.assumingMemoryBound(to: keel_event.self)
            key = max(key, TapeTime.of(event))
            if key > limit || key == limit && rank > limitRank { break }
            at += EventShape.stride(event.pointee.size)
        }
        heads[best].at = at
        heads[best].key = key
        current = best
        return TapeSpan(start: start, end: at)
    }

    private func precedes(_ a: Int, _ b: Int) -> Bool {
        heads[a].key < heads[b].key || heads[a].key == heads[b].key && heads[a].rank < heads[b].rank
    }
}
