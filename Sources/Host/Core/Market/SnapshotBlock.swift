import PluginAPI

/// One block a snapshot is built in, used again for every snapshot of an instrument. It grows when it must and then stays.
///
/// Raw because the block crosses the C boundary as it is.
struct SnapshotBlock {
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    private(set) var length = 0
    /// The texts that are in every snapshot of the book stand right behind the header, and stay there.
    private var symbol = keel_text()
    private var pipeline = keel_text()
    private var named = 0

    init(capacity: Int) {
        self.capacity = max(capacity, MemoryLayout<keel_snapshot>.size + 1024)
        base = .allocate(byteCount: self.capacity, alignment: 16)
    }

    func release() { base.deallocate() }

    /// Valid until the next call that adds to the block.
    var header: UnsafeMutablePointer<keel_snapshot> { base.assumingMemoryBound(to: keel_snapshot.self) }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: length) }

    var isNamed: Bool { named > 0 }

    mutating func name(symbol: String, pipeline: String) {
        length = (MemoryLayout<keel_snapshot>.size + 7) & ~7
        self.symbol = text(symbol)
        self.pipeline = text(pipeline)
        named = length
    }

    mutating func begin() {
        length = (MemoryLayout<keel_snapshot>.size + 7) & ~7
        base.initializeMemory(as: UInt8.self, repeating: 0, count: length)
        header.pointee.struct_size = UInt32(MemoryLayout<keel_snapshot>.size)
        header.pointee.symbol = symbol
        header.pointee.pipeline = pipeline
        length = max(length, named)
    }

    /// Room for so many bytes at a multiple of 8, zeroed; its offset.
    mutating func reserve(_ count: Int) -> Int {
        let offset = (length + 7) & ~7
        let end = offset + count
        if end > capacity {
            var grown = capacity * 2
            while grown < end { grown *= 2 }
            let place = UnsafeMutableRawPointer.allocate(byteCount: grown, alignment: 16)
            place.copyMemory(from: base, byteCount: length)
            base.deallocate()
            base = place
            capacity = grown
        }
        (base + length).initializeMemory(as: UInt8.self, repeating: 0, count: end - length)
        length = end
        return offset
    }

    func address(_ offset: Int) -> UnsafeMutableRawPointer { base + offset }

    /// Room for the elements of a list.
    mutating func list(of count: Int, stride: Int) -> keel_list {
        if count == 0 { return keel_list() }
        return keel_list(off: UInt32(truncatingIfNeeded: reserve(count * stride)), count: UInt32(truncatingIfNeeded: count))
    }

    func store<Element>(_ element: Element, at index: Int, of list: keel_list) {
        (base + Int(list.off) + index * MemoryLayout<Element>.stride).storeBytes(of: element, as: Element.self)
    }

    mutating func text(_ text: String) -> keel_text {
        var text = text
        return text.withUTF8 { bytes in
            if bytes.isEmpty { return keel_text() }
            let offset = reserve(bytes.count)
            if let source = bytes.baseAddress { (base + offset).copyMemory(from: source, byteCount: bytes.count) }
            return keel_text(off: UInt32(truncatingIfNeeded: offset), len: UInt32(truncatingIfNeeded: bytes.count))
        }
    }

    /// Fills in size and hash; the block is done.
    mutating func finish() -> keel_hash {
        _ = reserve(0)
        header.pointee.size = UInt32(truncatingIfNeeded: length)
        header.pointee.hash = keel_hash()
        let (hi, lo) = Mix.hash(bytes)
        header.pointee.hash = keel_hash(hi: hi, lo: lo)
        return header.pointee.hash
    }
}
