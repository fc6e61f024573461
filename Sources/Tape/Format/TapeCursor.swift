import PluginAPI

/// A stretch of event records in memory, each at `EventShape.stride` of the one before. Valid until the cursor moves on.
public struct TapeSpan {
    public let start: UnsafeRawPointer
    public let end: UnsafeRawPointer

    @inline(__always)
    public init(start: UnsafeRawPointer, end: UnsafeRawPointer) {
        self.start = start
        self.end = end
    }

    /// Calls `body` for each event in order.
    @inline(__always)
    public func forEach<E: Error>(_ body: (UnsafePointer<keel_event>) throws(E) -> Void) throws(E) {
        var at = start
        while at < end {
            let event = at.assumingMemoryBound(to: keel_event.self)
            at += EventShape.stride(event.pointee.size)
            try body(event)
        }
    }
}

/// Reads one tape from front to back, a checked block at a time.
///
/// If the reader numbers the instruments as the tape does, spans lie in the mapped file itself; otherwise a block is
/// copied once into a reused buffer and its numbers changed there.
public final class TapeCursor {
    public let file: TapeFile
    /// Records before `from` are skipped, reading stops at the first record at or after `to`.
    private let from: Int64
    private let to: Int64
    /// By tape number; 0 leaves the instrument's events out.
    private let numbers: [UInt32]?
    private let releasing: Bool
    private var index: Int
    private var buffer: UnsafeMutableRawPointer?
    private var capacity = 0

    /// `numbers[i]` is the reader's number of the tape's instrument i+1, 0 to leave it out; nil: the tape's own numbers.
    /// `releasing`: memory that was read is given back on the way.
    public init(_ file: TapeFile, from: Int64 = .min, to: Int64 = .max, numbers: [UInt32]? = nil, releasing: Bool = true) {
        self.file = file
        self.releasing = releasing
        self.from = from
        self.to = to
        var identity = true
        for (index, number) in (numbers ?? []).enumerated() where number != UInt32(index + 1) { identity = false }
        self.numbers = identity ? nil : numbers
        index = 0
        // Blocks of an ordered tape are sorted by time.
        if file.ordered {
            var low = 0
            var high = file.blocks.count
            while low < high {
                let middle = (low + high) / 2
                if file.blocks[middle].last < from { low = middle + 1 } else { high = middle }
            }
            index = low
        }
    }

    deinit { buffer?.deallocate() }

    /// Records still ahead, at most: for progress.
    public var remaining: Int { index < file.blocks.count ? file.blocks[index...].reduce(0) { $0 + ($1.first < to ? $1.count : 0) } : 0 }

    /// The next stretch of records; nil at the end. The one before is no longer valid.
    public func next() throws -> TapeSpan? {
        while index < file.blocks.count {
            let block = file.blocks[index]
            if file.ordered, block.first >= to { return nil }
            index += 1
            if block.last < from { continue }
            try file.check(block)
            if releasing, block.offset > 16 << 20 { file.release(upTo: block.offset - (1 << 20)) }
            var start = file.base + block.offset
            var end = start + block.bytes
            if numbers != nil || !file.ordered && (from > .min || to < .max) {
                (start, end) = filtered(start, end)
            } else {
                if block.first < from { start = Self.skip(start, end) { TapeTime.of($0) < from } }
                if block.last >= to { end = Self.skip(start, end) { TapeTime.of($0) < to } }
            }
            if start < end { return TapeSpan(start: start, end: end) }
        }
        return nil
    }

    private static func skip(_ start: UnsafeRawPointer, _ end: UnsafeRawPointer, while condition: (UnsafePointer<keel_event>) -> Bool) -> UnsafeRawPointer {
        var at = start
        while at < end {
            let event = at.assumingMemoryBound(to: keel_event.self)
            if !condition(event) { break }
            at += EventShape.stride(event.pointee.size)
        }
        return at
    }

    private func filtered(_ start: UnsafeRawPointer, _ end: UnsafeRawPointer) -> (UnsafeRawPointer, UnsafeRawPointer) {
        let bytes = end - start
        let target: UnsafeMutableRawPointer
        if let buffer, capacity >= bytes {
            target = buffer
        } else {
            buffer?.deallocate()
            capacity = max(bytes, TapeFormat.blockBytes)
            target = .allocate(byteCount: capacity, alignment: 64)
            buffer = target
        }
        var out = target
        var at = start
        while at < end {
            let event = at.assumingMemoryBound(to: keel_event.self)
            let stride = EventShape.stride(event.pointee.size)
            at += stride
            let time = TapeTime.of(event)
            if time < from || time >= to { continue }
            var number = event.pointee.instrument
            if number > 0, let numbers {
                number = Int(number) <= numbers.count ? numbers[Int(number) - 1] : 0
                if number == 0 { continue }
            }
            out.copyMemory(from: event, byteCount: stride)
            out.assumingMemoryBound(to: keel_event.self).pointee.instrument = number
            out += stride
        }
        return (UnsafeRawPointer(target), UnsafeRawPointer(out))
    }
}
