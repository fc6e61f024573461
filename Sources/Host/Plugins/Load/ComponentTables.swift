import PluginAPI

/// The tables of one component, each complete to this host's size.
///
/// A library built against an older header has shorter tables; its copies here end in zeros, so that the rest of the host can
/// read every member and needs one check only: is the function there. The copies live for ever, as the component does.
public struct ComponentTables: @unchecked Sendable {
    /// The component's own address: what `create` and `check_config` must be given.
    public let original: UnsafePointer<keel_component>
    /// Complete to this host's size.
    public let component: UnsafePointer<keel_component>
    public let id: String

    public let feed: UnsafePointer<keel_feed>?
    public let broker: UnsafePointer<keel_broker>?
    public let decider: UnsafePointer<keel_decider>?
    public let router: UnsafePointer<keel_router>?
    public let state: UnsafePointer<keel_state>?
    public let describe: UnsafePointer<keel_describe>?
    public let rankings: UnsafePointer<keel_rankings>?
    public let account: UnsafePointer<keel_account>?
    public let market: UnsafePointer<keel_market>?

    /// Tables above this size are damage, not a newer header.
    public static let largestTable = 65536
    /// More interfaces than any component offers.
    static let mostInterfaces = 256

    /// Copies the tables of a component that inspection found sound. nil: its struct_size or a table's makes no sense.
    public init?(_ original: UnsafePointer<keel_component>) {
        guard let component = Self.complete(keel_component.self, UnsafeRawPointer(original)) else { return nil }
        self.original = original
        self.component = component
        id = component.pointee.id.map { boundedText($0, limit: 256) } ?? ""
        var found: [String: UnsafeRawPointer] = [:]
        if let list = component.pointee.interfaces {
            for index in 0..<min(Int(component.pointee.interface_count), Self.mostInterfaces) {
                guard let name = list[index].id, let table = list[index].table else { continue }
                found[boundedText(name, limit: 256)] = table
            }
        }
        feed = found[KEEL_FEED].flatMap { Self.complete(keel_feed.self, $0) }
        broker = found[KEEL_BROKER].flatMap { Self.complete(keel_broker.self, $0) }
        decider = found[KEEL_DECIDER].flatMap { Self.complete(keel_decider.self, $0) }
        router = found[KEEL_ROUTER].flatMap { Self.complete(keel_router.self, $0) }
        state = found[KEEL_STATE].flatMap { Self.complete(keel_state.self, $0) }
        describe = found[KEEL_DESCRIBE].flatMap { Self.complete(keel_describe.self, $0) }
        rankings = found[KEEL_RANKINGS].flatMap { Self.complete(keel_rankings.self, $0) }
        account = found[KEEL_ACCOUNT].flatMap { Self.complete(keel_account.self, $0) }
        market = found[KEEL_MARKET].flatMap { Self.complete(keel_market.self, $0) }
    }

    /// A copy of a table, zero where the library's is shorter, cut where it is longer.
    private static func complete<T>(_ type: T.Type, _ table: UnsafeRawPointer) -> UnsafePointer<T>? {
        let size = Int(table.load(as: UInt32.self))
        guard size >= 8, size <= largestTable else { return nil }
        let copy = UnsafeMutableRawPointer.allocate(byteCount: MemoryLayout<T>.size, alignment: MemoryLayout<T>.alignment)
        copy.initializeMemory(as: UInt8.self, repeating: 0, count: MemoryLayout<T>.size)
        copy.copyMemory(from: table, byteCount: min(size, MemoryLayout<T>.size))
        return UnsafePointer(copy.assumingMemoryBound(to: type))
    }
}

/// A C string read up to `limit` bytes, damaged UTF-8 repaired.
func boundedText(_ start: UnsafePointer<CChar>, limit: Int) -> String {
    let bytes = UnsafeRawBufferPointer(start: start, count: boundedLength(start, limit: limit))
    return String(decoding: bytes, as: UTF8.self)
}

/// `strnlen`: never looks past the terminator, which may end a page.
func boundedLength(_ start: UnsafePointer<CChar>, limit: Int) -> Int {
    var length = 0
    while length < limit, start[length] != 0 { length += 1 }
    return length
}
