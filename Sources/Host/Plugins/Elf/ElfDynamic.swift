/// The dynamic segment: what the dynamic linker is told.
public struct ElfDynamic: Hashable, Sendable {
    public private(set) var needed: [String] = []
    public private(set) var soname: String?
    public private(set) var rpath: String?
    public private(set) var runpath: String?
    public private(set) var flags: UInt64 = 0
    public private(set) var flags1: UInt64 = 0
    public private(set) var bindsNow = false
    public private(set) var textRelocations = false
    public var neverUnloads: Bool { flags1 & 0x8 != 0 }
    /// How many constructors run while it loads.
    public private(set) var constructors = 0

    /// Where the symbol table, its names and its hash tables lie in the file.
    struct Places: Hashable, Sendable {
        var symbols: UInt64?
        var names: Range<Int>?
        var hash: UInt64?
        var gnuHash: UInt64?
    }
    let places: Places

    private enum Tag {
        static let null: Int64 = 0, needed: Int64 = 1, hash: Int64 = 4, names: Int64 = 5, symbols: Int64 = 6
        static let namesSize: Int64 = 10, symbolSize: Int64 = 11, initialiser: Int64 = 12, soname: Int64 = 14, rpath: Int64 = 15
        static let textRelocations: Int64 = 22, bindNow: Int64 = 24, initArraySize: Int64 = 27, runpath: Int64 = 29, flags: Int64 = 30
        static let gnuHash: Int64 = 0x6fff_fef5, flags1: Int64 = 0x6fff_fffb
    }

    private static let mostEntries = 4096

    init(_ bytes: ElfBytes, _ segments: [ElfSegment]) throws(ElfError) {
        guard let segment = segments.first(where: { $0.kind == ElfSegment.dynamic }) else {
            throw .malformed(what: "it has no dynamic segment, so it can't be loaded")
        }
        let place = try bytes.range(at: segment.offset, bytes: segment.fileSize, "the dynamic segment")
        var neededAt: [UInt64] = []
        var sonameAt: UInt64?
        var rpathAt: UInt64?
        var runpathAt: UInt64?
        var names: UInt64?
        var namesSize: UInt64?
        var places = Places()
        let entries = place.count / 16
        if entries > Self.mostEntries { throw .tooLarge(what: "the dynamic entries", limit: Self.mostEntries) }
        for index in 0..<entries {
            let at = UInt64(place.lowerBound + index * 16)
            let tag = try bytes.load(Int64.self, at: at, "a dynamic entry")
            let value = try bytes.load(UInt64.self, at: at + 8, "a dynamic entry")
            if tag == Tag.null { break }
            switch tag {
            case Tag.needed: neededAt.append(value)
            case Tag.soname: sonameAt = value
            case Tag.rpath: rpathAt = value
            case Tag.runpath: runpathAt = value
            case Tag.names: names = value
            case Tag.namesSize: namesSize = value
            case Tag.symbols: places.symbols = try Self.offset(value, segments, "the symbol table")
            case Tag.hash: places.hash = try Self.offset(value, segments, "the hash table")
            case Tag.gnuHash: places.gnuHash = try Self.offset(value, segments, "the hash table")
            case Tag.symbolSize where value != 24: throw .malformed(what: "symbols of \(value) bytes")
            case Tag.textRelocations: textRelocations = true
            case Tag.bindNow: bindsNow = true
            case Tag.initialiser: constructors += 1
            case Tag.initArraySize: constructors += Int(min(value / 8, 1 << 20))
            case Tag.flags:
                flags = value
                if value & 0x4 != 0 { textRelocations = true }
                if value & 0x8 != 0 { bindsNow = true }
            case Tag.flags1:
                flags1 = value
                if value & 0x1 != 0 { bindsNow = true }
            default: break
            }
        }
        if let names, let namesSize {
            let start = try Self.offset(names, segments, "the name table")
            places.names = try bytes.range(at: start, bytes: namesSize, "the name table")
        }
        self.places = places
        for at in neededAt { needed.append(try Self.name(bytes, at, places, "a needed library")) }
        if let sonameAt { soname = try Self.name(bytes, sonameAt, places, "the soname") }
        if let rpathAt { rpath = try Self.name(bytes, rpathAt, places, "the rpath") }
        if let runpathAt { runpath = try Self.name(bytes, runpathAt, places, "the runpath") }
    }

    private static func offset(_ address: UInt64, _ segments: [ElfSegment], _ what: String) throws(ElfError) -> UInt64 {
        guard let offset = ElfSegment.offset(of: address, in: segments) else { throw .malformed(what: "\(what) lies outside the file") }
        return offset
    }

    private static func name(_ bytes: ElfBytes, _ at: UInt64, _ places: Places, _ what: String) throws(ElfError) -> String {
        guard let names = places.names, let name = bytes.name(at: at, within: names) else {
            throw .malformed(what: "\(what) has no readable name")
        }
        return name
    }
}
