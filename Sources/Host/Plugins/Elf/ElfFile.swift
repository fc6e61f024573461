/// A shared library as its bytes describe it: what it exports, what it needs, how it was linked.
///
/// Nothing of the library runs. What the dynamic linker would use (the dynamic segment, not the section headers, which a
/// file can leave out or forge) decides; section headers are listed for reports only.
public struct ElfFile: Hashable, Sendable {
    public let identity: ElfIdentity
    public let size: Int
    public let segments: [ElfSegment]
    /// From the section headers; empty if the file has none.
    public let sections: [ElfSection]
    public let dynamic: ElfDynamic
    /// The dynamic symbol table without its empty first entry.
    public let symbols: [ElfSymbol]

    public init(_ bytes: [UInt8]) throws(ElfError) {
        let result: Result<ElfFile, ElfError> = bytes.withUnsafeBytes { raw in
            do throws(ElfError) { return .success(try ElfFile(raw)) } catch { return .failure(error) }
        }
        self = try result.get()
    }

    /// Reads mapped bytes; nothing of `raw` is kept.
    public init(_ raw: UnsafeRawBufferPointer) throws(ElfError) {
        let bytes = ElfBytes(raw)
        let identity = try ElfIdentity(bytes)
        guard identity.bits == 64, identity.littleEndian else { throw .foreign(identity) }
        let segments = try ElfSegment.all(bytes)
        let dynamic = try ElfDynamic(bytes, segments)
        self.identity = identity
        self.size = raw.count
        self.segments = segments
        self.dynamic = dynamic
        self.sections = ElfSection.all(bytes)
        self.symbols = try ElfSymbol.all(bytes, dynamic, segments)
    }

    /// What the header says the file is for, even if the rest can't be read.
    public static func identity(of bytes: [UInt8]) throws(ElfError) -> ElfIdentity {
        let result: Result<ElfIdentity, ElfError> = bytes.withUnsafeBytes { raw in
            do throws(ElfError) { return .success(try ElfIdentity(ElfBytes(raw))) } catch { return .failure(error) }
        }
        return try result.get()
    }

    // MARK: what the checks ask

    /// Symbols other libraries and `dlsym` can see.
    public var exports: [ElfSymbol] { symbols.filter(\.isExported) }
    /// Symbols this library wants from others.
    public var imports: [ElfSymbol] { symbols.filter { !$0.isDefined && !$0.name.isEmpty } }
    /// Symbols shared across `RTLD_LOCAL` borders (C++ inline statics).
    public var uniqueSymbols: [ElfSymbol] { symbols.filter { $0.binding == .unique } }

    public func exports(_ name: String) -> Bool { symbols.contains { $0.isExported && $0.name == name } }

    /// All symbols are resolved at load time.
    public var bindsNow: Bool { dynamic.bindsNow }
    /// Relocated tables become read-only after loading.
    public var hasRelro: Bool { segments.contains { $0.kind == ElfSegment.relro } }
    /// The stack must be executable: said so, or nothing said at all (the kernel's old default).
    public var executableStack: Bool { segments.first { $0.kind == ElfSegment.stack }.map(\.isExecutable) ?? true }
    /// Code is modified while loading.
    public var hasTextRelocations: Bool { dynamic.textRelocations }
    /// `dlclose` does not unload it.
    public var neverUnloads: Bool { dynamic.neverUnloads }
    /// A segment that is writable and executable at once.
    public var hasWritableCode: Bool { segments.contains { $0.kind == ElfSegment.load && $0.isWritable && $0.isExecutable } }
}

/// A program header: a part of the file as it is mapped.
public struct ElfSegment: Hashable, Sendable {
    public static let load: UInt32 = 1
    public static let dynamic: UInt32 = 2
    public static let interpreter: UInt32 = 3
    public static let stack: UInt32 = 0x6474_e551
    public static let relro: UInt32 = 0x6474_e552

    public let kind: UInt32
    public let flags: UInt32
    public let offset: UInt64
    public let address: UInt64
    public let fileSize: UInt64
    public let memorySize: UInt64

    public var isExecutable: Bool { flags & 1 != 0 }
    public var isWritable: Bool { flags & 2 != 0 }

    static func all(_ bytes: ElfBytes) throws(ElfError) -> [ElfSegment] {
        let start = try bytes.load(UInt64.self, at: 32, "the header")
        let entrySize = try bytes.load(UInt16.self, at: 54, "the header")
        let count = try bytes.load(UInt16.self, at: 56, "the header")
        if count == 0 { return [] }
        if entrySize < 56 { throw .malformed(what: "program headers of \(entrySize) bytes") }
        if count == 0xffff { throw .tooLarge(what: "program headers", limit: 65534) }
        _ = try bytes.range(at: start, bytes: UInt64(entrySize) * UInt64(count), "the program headers")
        var segments: [ElfSegment] = []
        segments.reserveCapacity(Int(count))
        for index in 0..<UInt64(count) {
            let at = start + index * UInt64(entrySize)
            let segment = ElfSegment(
                kind: try bytes.load(UInt32.self, at: at, "a program header"),
                flags: try bytes.load(UInt32.self, at: at + 4, "a program header"),
                offset: try bytes.load(UInt64.self, at: at + 8, "a program header"),
                address: try bytes.load(UInt64.self, at: at + 16, "a program header"),
                fileSize: try bytes.load(UInt64.self, at: at + 32, "a program header"),
                memorySize: try bytes.load(UInt64.self, at: at + 40, "a program header"))
            if segment.kind == load || segment.kind == dynamic {
                _ = try bytes.range(at: segment.offset, bytes: segment.fileSize, "a segment")
            }
            segments.append(segment)
        }
        return segments
    }

    /// File offset of a mapped address; nil if no loaded part of the file holds it.
    static func offset(of address: UInt64, in segments: [ElfSegment]) -> UInt64? {
        for segment in segments where segment.kind == load && address >= segment.address {
            let delta = address - segment.address
            if delta < segment.fileSize { return segment.offset + delta }
        }
        return nil
    }
}

/// A section header: names for people and tools; the dynamic linker ignores them.
public struct ElfSection: Hashable, Sendable {
    public let name: String
    public let kind: UInt32
    public let flags: UInt64
    public let address: UInt64
    public let offset: UInt64
    public let size: UInt64

    /// Damaged section headers read as none: nothing that loads a library depends on them.
    static func all(_ bytes: ElfBytes) -> [ElfSection] {
        guard let start = try? bytes.load(UInt64.self, at: 40, "the header"),
            let entrySize = try? bytes.load(UInt16.self, at: 58, "the header"),
            let count = try? bytes.load(UInt16.self, at: 60, "the header"),
            let namesAt = try? bytes.load(UInt16.self, at: 62, "the header"),
            count > 0, entrySize >= 64, namesAt < count,
            let table = try? bytes.range(at: start, bytes: UInt64(entrySize) * UInt64(count), "the section headers")
        else { return [] }
        let first = UInt64(table.lowerBound)
        let namesHeader = first + UInt64(namesAt) * UInt64(entrySize)
        guard let namesOffset = try? bytes.load(UInt64.self, at: namesHeader + 24, "a section header"),
            let namesSize = try? bytes.load(UInt64.self, at: namesHeader + 32, "a section header"),
            let names = try? bytes.range(at: namesOffset, bytes: namesSize, "the section names")
        else { return [] }
        var sections: [ElfSection] = []
        for index in 0..<UInt64(count) {
            let at = first + index * UInt64(entrySize)
            guard let name = try? bytes.load(UInt32.self, at: at, "a section header"),
                let kind = try? bytes.load(UInt32.self, at: at + 4, "a section header"),
                let flags = try? bytes.load(UInt64.self, at: at + 8, "a section header"),
                let address = try? bytes.load(UInt64.self, at: at + 16, "a section header"),
                let offset = try? bytes.load(UInt64.self, at: at + 24, "a section header"),
                let size = try? bytes.load(UInt64.self, at: at + 32, "a section header")
            else { return sections }
            sections.append(
                ElfSection(
                    name: bytes.name(at: UInt64(name), within: names, limit: 256) ?? "", kind: kind, flags: flags, address: address,
                    offset: offset, size: size))
        }
        return sections
    }
}
