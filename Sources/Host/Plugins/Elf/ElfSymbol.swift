/// One entry of the dynamic symbol table.
public struct ElfSymbol: Hashable, Sendable {
    public enum Binding: Hashable, Sendable {
        case local, global, weak
        /// STB_GNU_UNIQUE: one copy a process, whatever RTLD_LOCAL says.
        case unique
        case other(UInt8)
    }
    public enum Kind: Hashable, Sendable {
        case none, object, function, section, file, common, threadLocal
        /// STT_GNU_IFUNC: code chooses the address while loading.
        case indirectFunction
        case other(UInt8)
    }
    public enum Visibility: Hashable, Sendable { case normal, inside, hidden, protected }

    public let name: String
    public let binding: Binding
    public let kind: Kind
    public let visibility: Visibility
    /// 0: wanted from another library.
    public let section: UInt16
    public let value: UInt64
    public let size: UInt64

    public var isDefined: Bool { section != 0 }
    public var isExported: Bool {
        guard isDefined, !name.isEmpty, visibility == .normal || visibility == .protected, kind != .section, kind != .file else { return false }
        return binding != .local
    }
    public var isFunction: Bool { kind == .function || kind == .indirectFunction }

    /// More than any library the host would load.
    private static let most = 1 << 20

    static func all(_ bytes: ElfBytes, _ dynamic: ElfDynamic, _ segments: [ElfSegment]) throws(ElfError) -> [ElfSymbol] {
        guard let table = dynamic.places.symbols else { return [] }
        guard let names = dynamic.places.names else { throw .malformed(what: "it has symbols but no name table") }
        let count = try symbolCount(bytes, dynamic)
        if count <= 1 { return [] }
        if count > UInt64(most) { throw .tooLarge(what: "symbols", limit: most) }
        _ = try bytes.range(at: table, bytes: count * 24, "the symbol table")
        var symbols: [ElfSymbol] = []
        symbols.reserveCapacity(Int(count))
        // Overlapping names could make a small file decode into gigabytes.
        var budget = bytes.count * 4 + (1 << 20)
        for index in 1..<count {
            let at = table + index * 24
            let nameAt = try bytes.load(UInt32.self, at: at, "a symbol")
            let info = try bytes.load(UInt8.self, at: at + 4, "a symbol")
            let other = try bytes.load(UInt8.self, at: at + 5, "a symbol")
            guard let name = bytes.name(at: UInt64(nameAt), within: names) else { throw .malformed(what: "a symbol without a readable name") }
            budget -= name.utf8.count
            if budget < 0 { throw .tooLarge(what: "symbol names", limit: bytes.count * 4) }
            symbols.append(
                ElfSymbol(
                    name: name, binding: Binding(info >> 4), kind: Kind(info & 15), visibility: Visibility(other & 3),
                    section: try bytes.load(UInt16.self, at: at + 6, "a symbol"),
                    value: try bytes.load(UInt64.self, at: at + 8, "a symbol"),
                    size: try bytes.load(UInt64.self, at: at + 16, "a symbol")))
        }
        return symbols
    }

    /// The format doesn't write the number of symbols down; the hash tables the linker uses imply it. The section header is
    /// believed only where it describes the same table, and only to see more.
    private static func symbolCount(_ bytes: ElfBytes, _ dynamic: ElfDynamic) throws(ElfError) -> UInt64 {
        var count: UInt64 = 0
        if let hash = dynamic.places.hash {
            count = max(count, UInt64(try bytes.load(UInt32.self, at: hash + 4, "the hash table")))
        }
        if let gnuHash = dynamic.places.gnuHash { count = max(count, try gnuHashCount(bytes, gnuHash)) }
        for section in ElfSection.all(bytes) where section.kind == 11 && section.offset == dynamic.places.symbols {
            count = max(count, section.size / 24)
        }
        return count
    }

    private static func gnuHashCount(_ bytes: ElfBytes, _ at: UInt64) throws(ElfError) -> UInt64 {
        let what = "the hash table"
        let buckets = UInt64(try bytes.load(UInt32.self, at: at, what))
        let first = UInt64(try bytes.load(UInt32.self, at: at + 4, what))
        let bloom = UInt64(try bytes.load(UInt32.self, at: at + 8, what))
        let bucketsAt = at + 16 + bloom * 8
        _ = try bytes.range(at: bucketsAt, bytes: buckets * 4, what)
        var last: UInt64 = 0
        for index in 0..<buckets {
            last = max(last, UInt64(try bytes.load(UInt32.self, at: bucketsAt + index * 4, what)))
        }
        if last < first { return first }
        // The chain of the last bucket runs to the end of the table; an odd value ends it.
        let chains = bucketsAt + buckets * 4
        while try bytes.load(UInt32.self, at: chains + (last - first) * 4, what) & 1 == 0 { last += 1 }
        return last + 1
    }
}

extension ElfSymbol.Binding {
    init(_ raw: UInt8) {
        switch raw {
        case 0: self = .local
        case 1: self = .global
        case 2: self = .weak
        case 10: self = .unique
        default: self = .other(raw)
        }
    }
}

extension ElfSymbol.Kind {
    init(_ raw: UInt8) {
        switch raw {
        case 0: self = .none
        case 1: self = .object
        case 2: self = .function
        case 3: self = .section
        case 4: self = .file
        case 5: self = .common
        case 6: self = .threadLocal
        case 10: self = .indirectFunction
        default: self = .other(raw)
        }
    }
}

extension ElfSymbol.Visibility {
    init(_ raw: UInt8) {
        switch raw {
        case 1: self = .inside
        case 2: self = .hidden
        case 3: self = .protected
        default: self = .normal
        }
    }
}
