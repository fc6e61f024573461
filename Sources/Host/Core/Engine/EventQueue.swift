import PluginAPI

/// What plugins emit while the engine is busy, in order. Two flat buffers: one is read while the other grows, so an event
/// stays where it is as long as it is being processed.
struct EventQueue {
    private struct Buffer {
        var base: UnsafeMutableRawPointer
        var capacity: Int
        var length = 0
        var read = 0
    }
    private static let prefix = 16  // port, then padding so that events keep their alignment
    private var reading: Buffer
    private var writing: Buffer

    init(capacity: Int = 65_536) {
        reading = Buffer(base: .allocate(byteCount: capacity, alignment: 16), capacity: capacity)
        writing = Buffer(base: .allocate(byteCount: capacity, alignment: 16), capacity: capacity)
    }

    func release() {
        reading.base.deallocate()
        writing.base.deallocate()
    }

    var isEmpty: Bool { reading.read == reading.length && writing.length == 0 }

    mutating func append(_ event: UnsafePointer<keel_event>, from port: Int, at time: Int64) {
        let size = Int(event.pointee.size)
        let needed = Self.prefix + (size + 15) & ~15
        if writing.length + needed > writing.capacity {
            var capacity = writing.capacity * 2
            while capacity < writing.length + needed { capacity *= 2 }
            let grown = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
            grown.copyMemory(from: writing.base, byteCount: writing.length)
            writing.base.deallocate()
            writing.base = grown
            writing.capacity = capacity
        }
        let place = writing.base + writing.length
        place.storeBytes(of: port, as: Int.self)
        (place + Self.prefix).copyMemory(from: event, byteCount: size)
        let copy = (place + Self.prefix).assumingMemoryBound(to: keel_event.self)
        // It happens at the engine's moment, whatever clock its plugin looked at: a replay must meet it there.
        copy.pointee.at_host = time
        writing.length += needed
    }

    /// The next event; it stays valid until the next call of `next`.
    mutating func next() -> (event: UnsafePointer<keel_event>, port: Int)? {
        if reading.read == reading.length {
            if writing.length == 0 { return nil }
            reading.length = 0
            reading.read = 0
            swap(&reading, &writing)
        }
        let place = reading.base + reading.read
        let port = place.load(as: Int.self)
        let event = UnsafeRawPointer(place + Self.prefix).assumingMemoryBound(to: keel_event.self)
        reading.read += Self.prefix + (Int(event.pointee.size) + 15) & ~15
        return (event, port)
    }
}
