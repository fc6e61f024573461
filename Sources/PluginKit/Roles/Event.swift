import PluginAPI

/// A borrowed flat event: valid until the call returns. Copy what you keep.
@frozen
public struct Event {
    public let pointer: UnsafePointer<keel_event>

    @inlinable public init(_ pointer: UnsafePointer<keel_event>) { self.pointer = pointer }

    @inlinable public var kind: UInt32 { UInt32(pointer.pointee.kind) }
    @inlinable public var instrument: UInt32 { pointer.pointee.instrument }
    @inlinable public var request: UInt64 { pointer.pointee.request }
    @inlinable public var atSource: Int64 { pointer.pointee.at_source }
    @inlinable public var atHost: Int64 { pointer.pointee.at_host }
    @inlinable public var isSnapshot: Bool { UInt32(pointer.pointee.flags) & KEEL_EVF_SNAPSHOT != 0 }
    @inlinable public var isReplay: Bool { UInt32(pointer.pointee.flags) & KEEL_EVF_REPLAY != 0 }

    /// When it happened: the venue's clock if known, else the host's.
    @inlinable public var time: Int64 { pointer.pointee.at_source != 0 ? pointer.pointee.at_source : pointer.pointee.at_host }

    /// The event as the body its kind says; nil if it's shorter than that body.
    @inlinable public func body<Body: BitwiseCopyable>(_: Body.Type) -> UnsafePointer<Body>? {
        guard Int(pointer.pointee.size) >= MemoryLayout<Body>.size else { return nil }
        return UnsafeRawPointer(pointer).assumingMemoryBound(to: Body.self)
    }

    @inlinable public var quote: UnsafePointer<keel_ev_quote>? { kind == KEEL_EV_QUOTE ? body(keel_ev_quote.self) : nil }
    @inlinable public var trade: UnsafePointer<keel_ev_trade>? { kind == KEEL_EV_TRADE ? body(keel_ev_trade.self) : nil }
    @inlinable public var bar: UnsafePointer<keel_ev_bar>? { kind == KEEL_EV_BAR ? body(keel_ev_bar.self) : nil }
    @inlinable public var order: UnsafePointer<keel_ev_order>? { kind == KEEL_EV_ORDER ? body(keel_ev_order.self) : nil }
    @inlinable public var fill: UnsafePointer<keel_ev_fill>? { kind == KEEL_EV_FILL ? body(keel_ev_fill.self) : nil }

    /// A text of the event; empty if it points outside.
    public func text(_ text: keel_text) -> String {
        FlatBlock(start: UnsafeRawPointer(pointer), size: Int(pointer.pointee.size)).text(text)
    }

    public func list<Element: BitwiseCopyable>(_ list: keel_list, of _: Element.Type) -> FlatList<Element> {
        FlatBlock(start: UnsafeRawPointer(pointer), size: Int(pointer.pointee.size)).list(list)
    }
}

/// The memory of one flat event or snapshot. Every text and list is checked against its size.
@frozen
public struct FlatBlock {
    public let start: UnsafeRawPointer
    public let size: Int

    @inlinable public init(start: UnsafeRawPointer, size: Int) {
        self.start = start
        self.size = size
    }

    public func text(_ text: keel_text) -> String {
        guard text.len > 0, Int(text.off) + Int(text.len) <= size else { return "" }
        return String(decoding: UnsafeRawBufferPointer(start: start + Int(text.off), count: Int(text.len)), as: UTF8.self)
    }

    @inlinable public func list<Element: BitwiseCopyable>(_ list: keel_list) -> FlatList<Element> {
        let length = Int(list.count).multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
        guard list.count > 0, !length.overflow, list.off % 8 == 0, Int(list.off) <= size, length.partialValue <= size - Int(list.off) else {
            return FlatList(base: nil, count: 0)
        }
        return FlatList(base: (start + Int(list.off)).assumingMemoryBound(to: Element.self), count: Int(list.count))
    }
}

/// A borrowed array inside an event or snapshot.
@frozen
public struct FlatList<Element: BitwiseCopyable>: RandomAccessCollection {
    @usableFromInline let base: UnsafePointer<Element>?
    public let count: Int

    @inlinable init(base: UnsafePointer<Element>?, count: Int) {
        self.base = base
        self.count = count
    }

    @inlinable public var startIndex: Int { 0 }
    @inlinable public var endIndex: Int { count }
    @inlinable public subscript(position: Int) -> Element {
        guard let base, position >= 0, position < count else { preconditionFailure("index \(position) of \(count)") }
        return base[position]
    }
}
