import PluginAPI

// Strings at the boundary: pointer and length, no terminator. Borrowed on the way in, borrowed on the way out.

extension String {
    /// A copy of a borrowed string; nil if it isn't UTF-8, holds a NUL, or claims bytes it doesn't have.
    public init?(borrowed text: keel_str) {
        guard text.len > 0 else {
            self = ""
            return
        }
        guard let start = text.ptr else { return nil }
        let bytes = UnsafeRawBufferPointer(start: start, count: text.len)
        if bytes.contains(0) { return nil }
        guard let copy = String(validating: bytes, as: UTF8.self) else { return nil }
        self = copy
    }

    /// The string as the contract's pointer and length, valid inside the closure.
    func withBorrowed<Result>(_ body: (keel_str) throws -> Result) rethrows -> Result {
        var copy = self
        return try copy.withUTF8 { bytes in
            try bytes.withMemoryRebound(to: CChar.self) { try body(keel_str(ptr: $0.baseAddress, len: $0.count)) }
        }
    }
}

/// Collects what the other side writes, up to `limit` bytes.
struct Collector {
    var bytes: [UInt8] = []
    let limit: Int

    /// Runs `fill` with a writer that appends to `bytes`.
    static func collect(limit: Int, _ fill: (UnsafePointer<keel_writer>) -> keel_status) -> (status: keel_status, bytes: [UInt8]) {
        var collector = Collector(limit: limit)
        let status = withUnsafeMutablePointer(to: &collector) { target in
            let writer = keel_writer(
                ctx: UnsafeMutableRawPointer(target),
                write: { writer, bytes, count in
                    guard let context = writer?.pointee.ctx else { return KEEL_E_INVALID }
                    let collector = context.assumingMemoryBound(to: Collector.self)
                    if count == 0 { return KEEL_OK }
                    guard let bytes else { return KEEL_E_INVALID }
                    guard count <= collector.pointee.limit - collector.pointee.bytes.count else { return KEEL_E_RANGE }
                    collector.pointee.bytes.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: count))
                    return KEEL_OK
                })
            return withUnsafePointer(to: writer, fill)
        }
        return (status, collector.bytes)
    }
}

extension UnsafePointer where Pointee == keel_writer {
    func write(_ bytes: [UInt8]) -> keel_status {
        guard let write = pointee.write else { return KEEL_E_INVALID }
        return bytes.withUnsafeBytes { write(self, $0.baseAddress, $0.count) }
    }
}

extension UnsafePointer where Pointee == keel_reader {
    /// Everything up to the end, however short the single reads are.
    func readAll(limit: Int) throws(PluginError) -> [UInt8] {
        guard let read = pointee.read else { throw .invalid("the reader has no read function") }
        var all: [UInt8] = []
        var failure: PluginError?
        withUnsafeTemporaryAllocation(byteCount: 65536, alignment: 8) { buffer in
            while true {
                let count = read(self, buffer.baseAddress, buffer.count)
                if count == 0 { return }
                if count < 0 {
                    let status = keel_status(truncatingIfNeeded: Swift.max(count, Int64(keel_status.min)))
                    failure = PluginError(status: status, "reading the saved state failed with status \(status)")
                    return
                }
                if count > buffer.count || all.count + Int(count) > limit {
                    failure = PluginError(.range, "the saved state is larger than \(limit) bytes")
                    return
                }
                all.append(contentsOf: UnsafeRawBufferPointer(rebasing: buffer[..<Int(count)]))
            }
        }
        if let failure { throw failure }
        return all
    }
}
