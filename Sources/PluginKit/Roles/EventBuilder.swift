import PluginAPI

/// Writes flat events: texts and lists first, then the fixed part with their places filled in.
///
///     builder.begin(keel_ev_fill.self)
///     var fill = keel_ev_fill()
///     fill.fill_id = builder.text("42")
///     builder.emit(fill, KEEL_EV_FILL, instrument: id, to: host)
///
/// One buffer serves any number of events, so a plugin that keeps a builder allocates nothing for an event.
public struct EventBuilder: ~Copyable {
    @usableFromInline var buffer: UnsafeMutableRawPointer
    @usableFromInline var capacity: Int
    @usableFromInline var used = 0
    /// A list didn't fit: the event must not go out with half its content.
    public var overflowed: Bool { lost }
    @usableFromInline var lost = false

    public init(capacity: Int = 1024) {
        self.capacity = min(max(capacity, 256), Int(KEEL_EVENT_MAX))
        buffer = .allocate(byteCount: self.capacity, alignment: 16)
    }

    deinit { buffer.deallocate() }

    @inlinable @inline(__always)
    mutating func reserve(_ size: Int) -> Bool { size <= capacity || grow(size) }

    @usableFromInline
    mutating func grow(_ size: Int) -> Bool {
        if size > Int(KEEL_EVENT_MAX) { return false }
        let grown = min(max(capacity * 2, size), Int(KEEL_EVENT_MAX))
        let bigger = UnsafeMutableRawPointer.allocate(byteCount: grown, alignment: 16)
        bigger.copyMemory(from: buffer, byteCount: used)
        buffer.deallocate()
        buffer = bigger
        capacity = grown
        return true
    }

    /// Starts an event with this fixed part.
    @inlinable
    public mutating func begin<Body: BitwiseCopyable>(_: Body.Type) {
        lost = !reserve(MemoryLayout<Body>.size)
        used = MemoryLayout<Body>.size
    }

    /// Adds a text; one that doesn't fit the largest event is cut at a whole character.
    public mutating func text(_ string: String) -> keel_text {
        if string.isEmpty { return keel_text(off: 0, len: 0) }
        if string.utf8.count > Int(KEEL_EVENT_MAX) - used { return text(String(string.utf8Prefix(Int(KEEL_EVENT_MAX) - used)) ?? "") }
        var copy = string
        return copy.withUTF8 { text(UnsafeRawBufferPointer($0)) }
    }

    /// Adds text that is already bytes: the way without a string.
    @inlinable
    public mutating func text(_ bytes: UnsafeRawBufferPointer) -> keel_text {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return keel_text(off: 0, len: 0) }
        guard reserve(used + bytes.count) else {
            lost = true
            return keel_text(off: 0, len: 0)
        }
        (buffer + used).copyMemory(from: start, byteCount: bytes.count)
        return took(bytes.count)
    }

    @inlinable
    mutating func took(_ count: Int) -> keel_text {
        let place = keel_text(off: UInt32(used), len: UInt32(count))
        used += count
        return place
    }

    /// Adds an array at the next multiple of eight. For elements that hold texts, add the texts first.
    @inlinable
    public mutating func list<Element: BitwiseCopyable>(_ elements: [Element]) -> keel_list {
        elements.withUnsafeBytes { list($0, count: elements.count) }
    }

    /// An array of one, without making an array.
    @inlinable
    public mutating func list<Element: BitwiseCopyable>(one element: Element) -> keel_list {
        withUnsafeBytes(of: element) { list($0, count: 1) }
    }

    @inlinable
    mutating func list(_ bytes: UnsafeRawBufferPointer, count: Int) -> keel_list {
        guard let source = bytes.baseAddress, count > 0 else { return keel_list(off: 0, count: 0) }
        let start = (used + 7) & ~7
        guard bytes.count <= Int(KEEL_EVENT_MAX), reserve(start + bytes.count) else {
            lost = true
            return keel_list(off: 0, count: 0)
        }
        (buffer + used).initializeMemory(as: UInt8.self, repeating: 0, count: start - used)
        (buffer + start).copyMemory(from: source, byteCount: bytes.count)
        used = start + bytes.count
        return keel_list(off: UInt32(start), count: UInt32(count))
    }

    /// Overwrites the only element of a list that was added.
    mutating func store<Element: BitwiseCopyable>(_ element: Element, in list: keel_list) {
        guard list.count == 1, Int(list.off) + MemoryLayout<Element>.size <= used else { return }
        (buffer + Int(list.off)).storeBytes(of: element, as: Element.self)
    }

    /// Completes the event and hands it out for the length of the closure; nil if it didn't fit.
    @inlinable
    public mutating func finish<Body: BitwiseCopyable, Result>(
        _ body: Body, _ kind: UInt32, instrument: UInt32 = 0, request: UInt64 = 0, at source: Int64 = 0, flags: UInt32 = 0,
        _ use: (UnsafePointer<keel_event>) throws -> Result
    ) rethrows -> Result? {
        if lost { return nil }
        buffer.storeBytes(of: body, as: Body.self)
        let head = buffer.assumingMemoryBound(to: keel_event.self)
        head.pointee = keel_event(
            size: UInt32(used), kind: UInt16(truncatingIfNeeded: kind), flags: UInt16(truncatingIfNeeded: flags), instrument: instrument,
            reserved: 0, request: request, at_source: source, at_host: 0)
        return try use(UnsafePointer(head))
    }

    /// Completes the event and queues it. `KEEL_E_RANGE` if it's larger than an event may be.
    @inlinable @discardableResult
    public mutating func emit<Body: BitwiseCopyable>(
        _ body: Body, _ kind: UInt32, instrument: UInt32 = 0, request: UInt64 = 0, at source: Int64 = 0, flags: UInt32 = 0, to host: Host
    ) -> keel_status {
        finish(body, kind, instrument: instrument, request: request, at: source, flags: flags) { host.emit($0) } ?? KEEL_E_RANGE
    }
}

extension Host {
    /// An event without texts or lists, straight from the stack.
    @inlinable @discardableResult
    public func emitFixed<Body: BitwiseCopyable>(
        _ body: Body, _ kind: UInt32, instrument: UInt32 = 0, request: UInt64 = 0, at source: Int64 = 0, flags: UInt32 = 0
    ) -> keel_status {
        var copy = body
        return withUnsafeMutableBytes(of: &copy) { bytes in
            guard let base = bytes.baseAddress else { return KEEL_E_INTERNAL }
            let head = base.assumingMemoryBound(to: keel_event.self)
            head.pointee = keel_event(
                size: UInt32(MemoryLayout<Body>.size), kind: UInt16(truncatingIfNeeded: kind), flags: UInt16(truncatingIfNeeded: flags),
                instrument: instrument, reserved: 0, request: request, at_source: source, at_host: 0)
            return emit(UnsafePointer(head))
        }
    }
}
