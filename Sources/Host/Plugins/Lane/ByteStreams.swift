import PluginAPI

/// Collects what a plugin writes through a `keel_writer`, up to a limit.
enum ByteSink {
    /// A plugin's whole state: far above any real one, far below the machine's memory.
    static let largestState = 64 << 20

    private final class Collector {
        var bytes: [UInt8] = []
        let limit: Int
        init(_ limit: Int) { self.limit = limit }
    }

    static func collect(limit: Int, _ body: (UnsafePointer<keel_writer>) -> keel_status) -> (keel_status, [UInt8]) {
        let collector = Collector(limit)
        var writer = keel_writer()
        writer.ctx = Unmanaged.passUnretained(collector).toOpaque()
        writer.write = { writer, bytes, count in
            guard let context = writer?.pointee.ctx else { return KEEL_E_INVALID }
            let collector = Unmanaged<Collector>.fromOpaque(context).takeUnretainedValue()
            if count == 0 { return KEEL_OK }
            guard let bytes else { return KEEL_E_INVALID }
            guard count <= collector.limit - collector.bytes.count else { return KEEL_E_RANGE }
            collector.bytes.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: count))
            return KEEL_OK
        }
        let status = withExtendedLifetime(collector) { body(&writer) }
        return (status, collector.bytes)
    }
}

/// Offers bytes through a `keel_reader`.
enum ByteSource {
    private final class Position {
        let bytes: [UInt8]
        var at = 0
        init(_ bytes: [UInt8]) { self.bytes = bytes }
    }

    static func offer(_ bytes: [UInt8], _ body: (UnsafePointer<keel_reader>) -> keel_status) -> keel_status {
        let position = Position(bytes)
        var reader = keel_reader()
        reader.ctx = Unmanaged.passUnretained(position).toOpaque()
        reader.read = { reader, buffer, capacity in
            guard let context = reader?.pointee.ctx else { return Int64(KEEL_E_INVALID) }
            let position = Unmanaged<Position>.fromOpaque(context).takeUnretainedValue()
            let count = min(capacity, position.bytes.count - position.at)
            if count == 0 { return 0 }
            guard let buffer else { return Int64(KEEL_E_INVALID) }
            position.bytes.withUnsafeBytes { bytes in
                UnsafeMutableRawBufferPointer(start: buffer, count: count).copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[position.at..<(position.at + count)]))
            }
            position.at += count
            return Int64(count)
        }
        return withExtendedLifetime(position) { body(&reader) }
    }
}
