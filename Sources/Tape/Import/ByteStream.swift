import Glibc

/// A file mapped for reading.
final class MappedBytes {
    let path: String
    let bytes: UnsafeRawBufferPointer

    init(_ path: String) throws(ImportError) {
        self.path = path
        func failure(_ operation: String) -> ImportError { .system(path: path, operation: operation, reason: String(cString: strerror(errno))) }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { throw failure("open") }
        defer { close(descriptor) }
        var status = stat()
        if fstat(descriptor, &status) != 0 { throw failure("stat") }
        if status.st_mode & S_IFMT != S_IFREG { throw .system(path: path, operation: "open", reason: "not a plain file") }
        let length = Int(status.st_size)
        if length == 0 { throw .empty(path: path) }
        guard let map = mmap(nil, length, PROT_READ, MAP_SHARED, descriptor, 0), map != MAP_FAILED else { throw failure("map") }
        madvise(map, length, MADV_SEQUENTIAL)
        bytes = UnsafeRawBufferPointer(start: map, count: length)
    }

    deinit { munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count) }

    /// Gives the memory in front of `offset` back.
    func release(upTo offset: Int) {
        let end = min(offset, bytes.count) / 4096 * 4096
        let start = max(0, end - (16 << 20)) / 4096 * 4096
        if end > start, let base = bytes.baseAddress { madvise(UnsafeMutableRawPointer(mutating: base) + start, end - start, MADV_DONTNEED) }
    }
}

/// One text to import: a plain file, a member of a zip file or a gzip file.
public final class ByteStream {
    public let path: String
    /// The text's own name: the zip member's, or the file's.
    public let name: String
    /// Bytes on disk this text takes: for progress.
    public let size: Int

    private let map: MappedBytes
    private var plain: Range<Int>
    private var inflate: Inflate?
    private let offset: Int
    private let expected: (crc: UInt32, size: UInt64?)?
    private var crc = CRC32()
    private var produced: UInt64 = 0

    init(map: MappedBytes, name: String, range: Range<Int>, deflated: Bool, expected: (crc: UInt32, size: UInt64?)?) {
        self.map = map
        path = map.path
        self.name = name
        size = range.count
        plain = range
        offset = range.lowerBound
        self.expected = expected
        if deflated { inflate = Inflate(UnsafeRawBufferPointer(rebasing: map.bytes[range])) }
    }

    /// The same text again from its start.
    public func fresh() -> ByteStream {
        ByteStream(map: map, name: name, range: offset..<offset + size, deflated: inflate != nil, expected: expected)
    }

    /// How many of `size` have been used.
    public var done: Int { inflate.map(\.consumed) ?? plain.lowerBound - offset }

    /// The next piece, valid until the next call; nil at the end. The end of a zip member is only reached with the right checksum.
    func next() throws -> UnsafeRawBufferPointer? {
        let piece: UnsafeRawBufferPointer?
        if let inflate {
            do {
                piece = try inflate.next()
            } catch {
                throw ImportError.archive(path: path, what: "\(name): \(error) after \(produced) bytes: the file is truncated or damaged")
            }
            map.release(upTo: offset + inflate.consumed)
        } else if plain.isEmpty {
            piece = nil
        } else {
            map.release(upTo: plain.lowerBound)
            let count = min(plain.count, 1 << 20)
            piece = UnsafeRawBufferPointer(rebasing: map.bytes[plain.lowerBound..<plain.lowerBound + count])
            plain = plain.lowerBound + count..<plain.upperBound
        }
        if let expected {
            if let piece {
                crc.add(piece)
                produced += UInt64(piece.count)
            } else if crc.value != expected.crc || expected.size.map({ $0 != produced }) ?? false {
                throw ImportError.archive(path: path, what: "\(name): its checksum differs: the file is damaged. Download it again")
            }
        }
        return piece
    }

    /// Opens a path: every text in it, a zip file's in the order of their names.
    public static func open(_ path: String) throws(ImportError) -> [ByteStream] {
        let map = try MappedBytes(path)
        let bytes = map.bytes
        let name = path.split(separator: "/").last.map(String.init) ?? path
        if bytes.count >= 4, bytes[0] == 0x50, bytes[1] == 0x4B {
            let members = try ZipArchive.members(path, bytes)
            let texts = members.filter { !$0.name.hasSuffix("/") && !$0.name.hasPrefix("__MACOSX/") }
            if texts.isEmpty { throw .archive(path: path, what: "the zip file has no file inside") }
            return texts.map { ByteStream(map: map, name: $0.name, range: $0.range, deflated: $0.deflated, expected: ($0.crc, $0.size)) }
        }
        if bytes.count >= 18, bytes[0] == 0x1F, bytes[1] == 0x8B {
            let (range, crc) = try gzip(path, bytes)
            return [ByteStream(map: map, name: name.hasSuffix(".gz") ? String(name.dropLast(3)) : name, range: range, deflated: true, expected: (crc, nil))]
        }
        return [ByteStream(map: map, name: name, range: 0..<bytes.count, deflated: false, expected: nil)]
    }

    /// RFC 1952, one member.
    private static func gzip(_ path: String, _ bytes: UnsafeRawBufferPointer) throws(ImportError) -> (Range<Int>, UInt32) {
        let flags = bytes[3]
        var at = 10
        if bytes[2] != 8 { throw .archive(path: path, what: "gzip with an unknown method") }
        if flags & 4 != 0 { at += 2 + Int(bytes.loadUnaligned(fromByteOffset: at, as: UInt16.self)) }
        for flag: UInt8 in [8, 16] where flags & flag != 0 {
            while at < bytes.count, bytes[at] != 0 { at += 1 }
            at += 1
        }
        if flags & 2 != 0 { at += 2 }
        if at + 8 > bytes.count { throw .archive(path: path, what: "the gzip file is truncated in its header") }
        return (at..<bytes.count - 8, bytes.loadUnaligned(fromByteOffset: bytes.count - 8, as: UInt32.self))
    }
}

/// The directory of a zip file.
enum ZipArchive {
    struct Member: Equatable {
        var name: String
        var range: Range<Int>
        var deflated: Bool
        var crc: UInt32
        var size: UInt64
    }

    /// Members by name. Every offset is checked against the file.
    static func members(_ path: String, _ bytes: UnsafeRawBufferPointer) throws(ImportError) -> [Member] {
        func number<T: FixedWidthInteger>(_ at: Int, _ type: T.Type) -> T? {
            at >= 0 && at + MemoryLayout<T>.size <= bytes.count ? bytes.loadUnaligned(fromByteOffset: at, as: T.self) : nil
        }
        func broken(_ what: String) -> ImportError { .archive(path: path, what: what) }

        // The directory's end record stands in the last 64 KB.
        var end = bytes.count - 22
        let lowest = max(0, bytes.count - 22 - 65_535)
        while end >= lowest, number(end, UInt32.self) != 0x0605_4B50 { end -= 1 }
        if end < lowest {
            throw broken("the zip file is truncated: its directory is missing (\(bytes.count) bytes are there). Download it again")
        }
        guard var count = number(end + 10, UInt16.self).map(UInt64.init), var start = number(end + 16, UInt32.self).map(UInt64.init) else {
            throw broken("the zip file's directory is damaged")
        }
        if count == 0xFFFF || start == 0xFFFF_FFFF, number(end - 20, UInt32.self) == 0x0706_4B50, let record = number(end - 12, UInt64.self),
            let at = Int(exactly: record), number(at, UInt32.self) == 0x0606_4B50, let wideCount = number(at + 32, UInt64.self),
            let wideStart = number(at + 48, UInt64.self)
        {
            count = wideCount
            start = wideStart
        }
        if count > 1_000_000 { throw broken("the zip file says it has \(count) members") }
        guard var at = Int(exactly: start) else { throw broken("the zip file's directory is damaged") }
        var members: [Member] = []
        for _ in 0..<count {
            guard number(at, UInt32.self) == 0x0201_4B50, let flags = number(at + 8, UInt16.self), let method = number(at + 10, UInt16.self),
                let crc = number(at + 16, UInt32.self), var packed = number(at + 20, UInt32.self).map(UInt64.init),
                var size = number(at + 24, UInt32.self).map(UInt64.init), let nameLength = number(at + 28, UInt16.self).map(Int.init),
                let extraLength = number(at + 30, UInt16.self).map(Int.init), let noteLength = number(at + 32, UInt16.self).map(Int.init),
                var local = number(at + 42, UInt32.self).map(UInt64.init), at + 46 + nameLength + extraLength + noteLength <= bytes.count
            else { throw broken("the zip file's directory is damaged at byte \(at)") }
            let name = String(decoding: UnsafeRawBufferPointer(rebasing: bytes[at + 46..<at + 46 + nameLength]), as: UTF8.self)
            // Sizes beyond 4 GB stand in an extra field.
            var extra = at + 46 + nameLength
            let extraEnd = extra + extraLength
            while extra + 4 <= extraEnd, let id = number(extra, UInt16.self), let length = number(extra + 2, UInt16.self) {
                if id == 1 {
                    var field = extra + 4
                    let fieldEnd = min(field + Int(length), extraEnd)
                    func wide(_ value: inout UInt64) {
                        if value == 0xFFFF_FFFF, field + 8 <= fieldEnd, let next = number(field, UInt64.self) {
                            value = next
                            field += 8
                        }
                    }
                    wide(&size)
                    wide(&packed)
                    wide(&local)
                }
                extra += 4 + Int(length)
            }
            at = extraEnd + noteLength
            if flags & 1 != 0 { throw broken("\(name) inside the zip file is encrypted") }
            if method != 0 && method != 8 { throw broken("\(name) inside the zip file uses compression method \(method); stored and deflate are supported") }
            guard let localAt = Int(exactly: local), let packedCount = Int(exactly: packed), number(localAt, UInt32.self) == 0x0403_4B50,
                let localName = number(localAt + 26, UInt16.self).map(Int.init), let localExtra = number(localAt + 28, UInt16.self).map(Int.init)
            else { throw broken("\(name) inside the zip file is not where the directory says") }
            let data = localAt + 30 + localName + localExtra
            let (dataEnd, overflow) = data.addingReportingOverflow(packedCount)
            if overflow || dataEnd > bytes.count { throw broken("\(name) inside the zip file is truncated") }
            members.append(Member(name: name, range: data..<dataEnd, deflated: method == 8, crc: crc, size: size))
        }
        return members.sorted { $0.name < $1.name }
    }
}

/// Cuts a stream into lines. A line is valid until the next is asked for.
final class LineReader {
    struct Line {
        var start: UnsafePointer<UInt8>
        var count: Int
    }

    static let longest = 64 << 10
    let stream: ByteStream
    /// Of the line last returned, from 1.
    private(set) var number = 0
    /// True if the line last returned was cut off at `longest`.
    private(set) var tooLong = false

    private var piece: UnsafeRawBufferPointer?
    private var at = 0
    private var ended = false
    /// A line that began in an earlier piece.
    private let carry: UnsafeMutablePointer<UInt8>
    private var carried = 0

    init(_ stream: ByteStream) {
        self.stream = stream
        carry = .allocate(capacity: Self.longest + 8)
    }

    deinit { carry.deallocate() }

    @inline(__always)
    func next() throws -> Line? {
        if carried == 0, let piece, let base = piece.baseAddress {
            let rest = piece.count &- at
            if rest > 0, let found = memchr(base + at, 10, rest) {
                let start = (base + at).assumingMemoryBound(to: UInt8.self)
                let length = UnsafeRawPointer(found) - (base + at)
                if length <= Self.longest {
                    at &+= length &+ 1
                    number &+= 1
                    tooLong = false
                    return trimmed(start, length)
                }
            }
        }
        return try slow()
    }

    private func slow() throws -> Line? {
        tooLong = false
        carried = 0
        while true {
            if let piece, let base = piece.baseAddress, at < piece.count {
                let rest = piece.count - at
                let found = memchr(base + at, 10, rest)
                let length = found.map { UnsafeRawPointer($0) - (base + at) } ?? rest
                let room = Self.longest - carried
                if length > room { tooLong = true }
                let taken = min(length, room)
                (carry + carried).update(from: (base + at).assumingMemoryBound(to: UInt8.self), count: taken)
                carried += taken
                at += length
                if found != nil {
                    at += 1
                    return finish()
                }
            }
            if ended { return nil }
            piece = try stream.next()
            at = 0
            if piece == nil {
                ended = true
                if carried > 0 || tooLong { return finish() }
                return nil
            }
        }
    }

    private func finish() -> Line {
        number += 1
        let count = carried
        carried = 0
        return trimmed(UnsafePointer(carry), count)
    }

    /// Without a carriage return behind it and a byte order mark before the first.
    @inline(__always)
    private func trimmed(_ start: UnsafePointer<UInt8>, _ length: Int) -> Line {
        var line = Line(start: start, count: length)
        if line.count > 0, start[line.count - 1] == 13 { line.count -= 1 }
        if number == 1, line.count >= 3, start[0] == 0xEF, start[1] == 0xBB, start[2] == 0xBF {
            line.start += 3
            line.count -= 3
        }
        return line
    }
}
