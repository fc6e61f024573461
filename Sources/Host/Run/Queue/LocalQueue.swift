import PluginAPI

/// Events that inline instances emit while the engine's thread calls them, in order. One thread; no allocation once it
/// has grown to what a call emits.
public final class LocalQueue {
    @exclusivity(unchecked) private var memory: UnsafeMutableRawPointer
    @exclusivity(unchecked) private var capacity: Int
    @exclusivity(unchecked) private var end = 0
    @exclusivity(unchecked) private var next = 0

    public init(capacity: Int = 1 << 16) {
        self.capacity = max(capacity, 4096)
        memory = .allocate(byteCount: self.capacity, alignment: 64)
    }

    deinit { memory.deallocate() }

    public var isEmpty: Bool { next == end }

    public func append(_ event: UnsafePointer<keel_event>, from source: Source, at time: keel_time) {
        let size = Int(event.pointee.size)
        let need = (8 + size + 7) & ~7
        if end + need > capacity { makeRoom(need) }
        let record = memory + end
        record.storeBytes(of: UInt32(truncatingIfNeeded: need), as: UInt32.self)
        record.storeBytes(of: source, toByteOffset: 4, as: Source.self)
        let body = record + 8
        body.copyMemory(from: event, byteCount: size)
        body.assumingMemoryBound(to: keel_event.self).pointee.at_host = time
        end += need
    }

    private func makeRoom(_ need: Int) {
        var grown = capacity
        while end - next + need > grown { grown *= 2 }
        if grown == capacity, next > 0 {
            memory.copyMemory(from: memory + next, byteCount: end - next)
        } else {
            let larger = UnsafeMutableRawPointer.allocate(byteCount: max(grown, capacity * 2), alignment: 64)
            larger.copyMemory(from: memory + next, byteCount: end - next)
            memory.deallocate()
            memory = larger
            capacity = max(grown, capacity * 2)
        }
        end -= next
        next = 0
    }

    /// Removes the oldest event and copies it, because what handles it may append and so move the memory,
    /// to `buffer`, which has room for any event. False: none.
    public func take(into buffer: UnsafeMutableRawPointer, source: inout Source) -> Bool {
        guard next < end else { return false }
        let record = memory + next
        let size = Int(record.load(as: UInt32.self))
        source = record.load(fromByteOffset: 4, as: Source.self)
        buffer.copyMemory(from: record + 8, byteCount: size - 8)
        next += size
        if next == end {
            next = 0
            end = 0
        }
        return true
    }
}
