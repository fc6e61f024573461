import HostPlugins

extension FuzzSubject {
    /// What a worker sends its host: packets, messages, events.
    public static let frames = FuzzSubject("frames", makeInput: { FrameFuzz.makeInput(&$0) }, check: { FrameFuzz.check($0) })

    /// The reader of libraries.
    public static let elf = FuzzSubject(
        "elf",
        makeInput: { generator in
            var bytes = ElfSample.library
            // Numbers and offsets where the format has them, as an attacker would set them.
            for _ in 0..<generator.below(6) {
                let at = generator.below(bytes.count / 4) * 4
                let values: [UInt32] = [0, 1, 3, 24, 0x40, 0x100, 0x1000, UInt32(bytes.count), 0x7fff_ffff, 0x8000_0000, .max]
                let value = generator.pick(values) ?? 0
                for index in 0..<4 where at + index < bytes.count { bytes[at + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt32(index))) }
            }
            if generator.chance(2) { FuzzMutation.mutate(&bytes, words: ["\u{7f}ELF"], &generator) }
            return bytes
        },
        check: { bytes in
            guard let elf = try? ElfFile(bytes) else { return nil }
            if elf.size != bytes.count { return "size \(elf.size) of \(bytes.count) bytes" }
            if elf.exports.contains(where: { !$0.isDefined }) || elf.imports.contains(where: \.isDefined) { return "a symbol on both sides" }
            return nil
        })
}

/// A library of a few hundred bytes with everything the reader looks at: two segments, a symbol table with both hash tables, names.
public enum ElfSample {
    public static let library: [UInt8] = {
        var bytes = [UInt8](repeating: 0, count: 1024)
        func put<T: FixedWidthInteger>(_ value: T, _ at: Int) {
            withUnsafeBytes(of: value.littleEndian) { for (index, byte) in $0.enumerated() { bytes[at + index] = byte } }
        }
        for (index, byte) in [UInt8(0x7f), 0x45, 0x4c, 0x46, 2, 1, 1].enumerated() { bytes[index] = byte }
        put(UInt16(3), 16)
        put(UInt16(62), 18)
        put(UInt64(64), 32)
        put(UInt64(896), 40)
        put(UInt16(56), 54)
        put(UInt16(3), 56)
        put(UInt16(64), 58)
        put(UInt16(2), 60)
        put(UInt16(1), 62)
        // Segments: all of the file, the dynamic part, the stack.
        for (index, (kind, flags, offset, size)) in [(UInt32(1), UInt32(5), UInt64(0), UInt64(1024)), (2, 6, 256, 176), (0x6474_e551, 6, 0, 0)].enumerated() {
            let at = 64 + index * 56
            put(kind, at)
            put(flags, at + 4)
            put(offset, at + 8)
            put(offset, at + 16)
            put(size, at + 32)
            put(size, at + 40)
        }
        let names = Array("\0keel_plugin_entry\0exit\0libc.so.6\0.names\0".utf8)
        for (index, byte) in names.enumerated() { bytes[768 + index] = byte }
        let entries: [(Int64, UInt64)] = [
            (1, 24), (4, 600), (0x6fff_fef5, 640), (5, 768), (10, UInt64(names.count)), (6, 448), (11, 24), (30, 8), (0x6fff_fffb, 9), (27, 16), (0, 0),
        ]
        for (index, (tag, value)) in entries.enumerated() {
            put(tag, 256 + index * 16)
            put(value, 256 + index * 16 + 8)
        }
        // Symbols: none, exit from elsewhere, the entry.
        put(UInt32(19), 448 + 24)
        bytes[448 + 24 + 4] = 0x12
        put(UInt32(1), 448 + 48)
        bytes[448 + 48 + 4] = 0x12
        put(UInt16(7), 448 + 48 + 6)
        put(UInt64(0x300), 448 + 48 + 8)
        put(UInt32(1), 600)
        put(UInt32(3), 604)
        put(UInt32(1), 640)
        put(UInt32(2), 644)
        put(UInt32(1), 648)
        put(UInt32(2), 664)
        put(UInt32(1), 668)
        // Sections: none, the names.
        put(UInt32(34), 896 + 64)
        put(UInt32(3), 896 + 68)
        put(UInt64(768), 896 + 64 + 24)
        put(UInt64(names.count), 896 + 64 + 32)
        return bytes
    }()
}
