/// Bounds-checked reading of little-endian numbers and names. The one place of the reader that touches memory.
struct ElfBytes {
    private let base: UnsafeRawBufferPointer

    init(_ base: UnsafeRawBufferPointer) { self.base = base }

    var count: Int { base.count }

    func prefix(_ most: Int) -> [UInt8] { Array(base.prefix(most)) }

    func range(at offset: UInt64, bytes: UInt64, _ what: String) throws(ElfError) -> Range<Int> {
        let (end, overflow) = offset.addingReportingOverflow(bytes)
        if overflow || end > UInt64(base.count) {
            throw .truncated(what: what, at: offset, bytes: bytes, fileSize: base.count)
        }
        return Int(offset)..<Int(end)
    }

    func load<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, at offset: UInt64, _ what: String) throws(ElfError) -> T {
        let place = try range(at: offset, bytes: UInt64(MemoryLayout<T>.size), what)
        return T(littleEndian: base.loadUnaligned(fromByteOffset: place.lowerBound, as: T.self))
    }

    /// The bytes up to the next zero, at most `limit`; nil if there is no zero within bounds.
    func name(at offset: UInt64, within table: Range<Int>, limit: Int = 4096) -> String? {
        guard offset < UInt64(table.count) else { return nil }
        let start = table.lowerBound + Int(offset)
        let end = min(table.upperBound, start + limit)
        let slice = UnsafeRawBufferPointer(rebasing: base[start..<end])
        guard let zero = slice.firstIndex(of: 0) else { return nil }
        return String(decoding: slice[..<zero], as: UTF8.self)
    }
}
