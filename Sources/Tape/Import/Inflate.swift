/// What can be wrong with compressed bytes.
public enum InflateError: Error, Equatable, Sendable, CustomStringConvertible {
    case truncated
    case badBlockType
    case badStoredLength
    case badCodeLengths
    case badCode
    case distanceTooFar

    public var description: String {
        switch self {
        case .truncated: "the compressed data ends in the middle"
        case .badBlockType: "the compressed data has a block of unknown type"
        case .badStoredLength: "a stored block contradicts its own length"
        case .badCodeLengths: "a block's code table is impossible"
        case .badCode: "the compressed data has a code that stands for nothing"
        case .distanceTooFar: "the compressed data refers to bytes before its start"
        }
    }
}

/// Decompresses DEFLATE (RFC 1951) from memory, a piece at a time, in constant space.
final class Inflate {
    private static let window = 32 << 10
    private static let piece = 256 << 10
    private static let literalBits = 11
    private static let distanceBits = 9

    /// A decoding table: short codes by direct look-up, longer ones by walking the canonical code bit by bit.
    private final class Table {
        let bits: Int
        let direct: UnsafeMutablePointer<UInt16>  // symbol << 4 | length, 0: not here
        let counts: UnsafeMutablePointer<UInt16>  // codes of each length, 0...15
        let symbols: UnsafeMutablePointer<UInt16>

        init(bits: Int) {
            self.bits = bits
            direct = .allocate(capacity: 1 << bits)
            counts = .allocate(capacity: 16)
            symbols = .allocate(capacity: 288)
        }

        deinit {
            direct.deallocate()
            counts.deallocate()
            symbols.deallocate()
        }

        /// False: the lengths are not those of a prefix code. One single code of length 1 is allowed incomplete.
        func build(_ lengths: UnsafePointer<UInt8>, _ count: Int, incompleteAllowed: Bool) -> Bool {
            counts.update(repeating: 0, count: 16)
            for i in 0..<count { counts[Int(lengths[i])] &+= 1 }
            direct.update(repeating: 0, count: 1 << bits)
            var left = 1
            for length in 1...15 {
                left = left << 1 - Int(counts[length])
                if left < 0 { return false }
            }
            let used = count - Int(counts[0])
            if left > 0, !(incompleteAllowed && used <= 1 && (used == 0 || counts[1] == 1)) { return false }
            var offsets: (first: [Int], code: [Int]) = ([Int](repeating: 0, count: 17), [Int](repeating: 0, count: 17))
            var code = 0
            for length in 1...15 {
                offsets.first[length + 1] = offsets.first[length] + Int(counts[length])
                offsets.code[length] = code
                code = (code + Int(counts[length])) << 1
            }
            var next = offsets.first
            var codes = offsets.code
            for symbol in 0..<count {
                let length = Int(lengths[symbol])
                if length == 0 { continue }
                symbols[next[length]] = UInt16(symbol)
                next[length] += 1
                if length <= bits {
                    // Codes arrive highest bit first, the stream gives bits lowest first.
                    var reversed = 0
                    for bit in 0..<length where codes[length] >> bit & 1 == 1 { reversed |= 1 << (length - 1 - bit) }
                    let entry = UInt16(symbol << 4 | length)
                    var at = reversed
                    while at < 1 << bits {
                        direct[at] = entry
                        at += 1 << length
                    }
                }
                codes[length] += 1
            }
            counts[0] = 0
            return true
        }
    }

    private enum Stage { case header, stored, codes, done }

    private let input: UnsafePointer<UInt8>
    private let inputEnd: Int
    private var at = 0
    private var bitBuffer: UInt64 = 0
    private var bitCount = 0
    private let output: UnsafeMutablePointer<UInt8>
    private var position = 0
    private var stage = Stage.header
    private var last = false
    private var stored = 0
    private let literals = Table(bits: literalBits)
    private let distances = Table(bits: distanceBits)

    /// `input` must stay readable as long as this object is used.
    init(_ input: UnsafeRawBufferPointer) {
        self.input = input.baseAddress.map { $0.assumingMemoryBound(to: UInt8.self) } ?? UnsafePointer(Self.nothing)
        inputEnd = input.count
        output = .allocate(capacity: Self.window + Self.piece + 512)
    }

    nonisolated(unsafe) private static let nothing = UnsafeMutablePointer<UInt8>.allocate(capacity: 8)

    deinit { output.deallocate() }

    /// Input bytes used so far, without those only looked at.
    var consumed: Int { at - bitCount / 8 }

    /// The next piece of output, valid until the next call; nil at the end.
    func next() throws(InflateError) -> UnsafeRawBufferPointer? {
        if position > Self.window {
            // The last 32 KB stay, as what later bytes refer to.
            let kept = Self.window
            output.update(from: output + (position - kept), count: kept)
            position = kept
        }
        let start = position
        let limit = Self.window + Self.piece
        while position < limit, stage != .done {
            switch stage {
            case .header: try readHeader()
            case .stored: try copyStored(limit)
            case .codes: try decode(limit)
            case .done: break
            }
        }
        return position == start ? nil : UnsafeRawBufferPointer(start: output + start, count: position - start)
    }

    @inline(__always)
    private func refill() {
        if at &+ 8 <= inputEnd {
            bitBuffer |= UnsafeRawPointer(input + at).loadUnaligned(as: UInt64.self) << UInt64(truncatingIfNeeded: bitCount)
            at &+= (63 &- bitCount) >> 3
            bitCount |= 56
        } else {
            while bitCount <= 56, at < inputEnd {
                bitBuffer |= UInt64(input[at]) << UInt64(truncatingIfNeeded: bitCount)
                at &+= 1
                bitCount &+= 8
            }
        }
    }

    @inline(__always)
    private func take(_ count: Int) throws(InflateError) -> Int {
        if bitCount < count {
            refill()
            if bitCount < count { throw .truncated }
        }
        let value = Int(bitBuffer & (1 << UInt64(truncatingIfNeeded: count) &- 1))
        bitBuffer >>= UInt64(truncatingIfNeeded: count)
        bitCount &-= count
        return value
    }

    @inline(__always)
    private func symbol(_ table: Table) throws(InflateError) -> Int {
        let entry = Int(table.direct[Int(bitBuffer & (1 << UInt64(truncatingIfNeeded: table.bits) &- 1))])
        let length = entry & 15
        if entry != 0, length <= bitCount {
            bitBuffer >>= UInt64(truncatingIfNeeded: length)
            bitCount &-= length
            return entry >> 4
        }
        return try longSymbol(table)
    }

    private func longSymbol(_ table: Table) throws(InflateError) -> Int {
        var code = 0
        var first = 0
        var index = 0
        for length in 1...15 {
            code |= try take(1)
            let count = Int(table.counts[length])
            if code - count < first { return Int(table.symbols[index + code - first]) }
            index += count
            first = (first + count) << 1
            code <<= 1
        }
        throw .badCode
    }

    private func readHeader() throws(InflateError) {
        if last {
            stage = .done
            return
        }
        last = try take(1) == 1
        switch try take(2) {
        case 0:
            let drop = bitCount % 8
            _ = try take(drop)
            let length = try take(16)
            let complement = try take(16)
            if length != complement ^ 0xFFFF { throw .badStoredLength }
            stored = length
            stage = .stored
        case 1:
            var lengths = [UInt8](repeating: 8, count: 288)
            for i in 144..<256 { lengths[i] = 9 }
            for i in 256..<280 { lengths[i] = 7 }
            _ = literals.build(lengths, 288, incompleteAllowed: false)
            // 30 of 32 codes are in use; the two others are rejected where they occur.
            _ = distances.build([UInt8](repeating: 5, count: 32), 32, incompleteAllowed: false)
            stage = .codes
        case 2:
            try readTables()
            stage = .codes
        default: throw .badBlockType
        }
    }

    private static let order: [Int] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

    private func readTables() throws(InflateError) {
        let literalCount = try take(5) + 257
        let distanceCount = try take(5) + 1
        let lengthCount = try take(4) + 4
        if literalCount > 286 || distanceCount > 30 { throw .badCodeLengths }
        var lengths = [UInt8](repeating: 0, count: 320)
        for i in 0..<lengthCount { lengths[Self.order[i]] = UInt8(try take(3)) }
        if !literals.build(lengths, 19, incompleteAllowed: false) { throw .badCodeLengths }
        lengths = [UInt8](repeating: 0, count: 320)
        var index = 0
        while index < literalCount + distanceCount {
            refill()
            let code = try symbol(literals)
            if code < 16 {
                lengths[index] = UInt8(code)
                index += 1
                continue
            }
            var value: UInt8 = 0
            let times: Int
            switch code {
            case 16:
                if index == 0 { throw .badCodeLengths }
                value = lengths[index - 1]
                times = try take(2) + 3
            case 17: times = try take(3) + 3
            default: times = try take(7) + 11
            }
            if index + times > literalCount + distanceCount { throw .badCodeLengths }
            for _ in 0..<times {
                lengths[index] = value
                index += 1
            }
        }
        if lengths[256] == 0 { throw .badCodeLengths }
        let sound = lengths.withUnsafeBufferPointer { all -> Bool in
            guard let base = all.baseAddress else { return false }
            return literals.build(base, literalCount, incompleteAllowed: true)
                && distances.build(base + literalCount, distanceCount, incompleteAllowed: true)
        }
        if !sound { throw .badCodeLengths }
    }

    private func copyStored(_ limit: Int) throws(InflateError) {
        while stored > 0, position < limit {
            if bitCount >= 8 {
                output[position] = UInt8(truncatingIfNeeded: bitBuffer)
                bitBuffer >>= 8
                bitCount -= 8
                position += 1
                stored -= 1
                continue
            }
            // Fewer than 8 bits buffered and byte-aligned: none.
            bitBuffer = 0
            bitCount = 0
            let count = min(stored, limit - position, inputEnd - at)
            if count == 0 { throw .truncated }
            (output + position).update(from: input + at, count: count)
            at += count
            position += count
            stored -= count
        }
        if stored == 0 { stage = .header }
    }

    private static let lengthBase: [UInt16] = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
    ]
    private static let lengthExtra: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
    private static let distanceBase: [UInt16] = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
    ]
    private static let distanceExtra: [UInt8] = [
        0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
    ]

    private func decode(_ limit: Int) throws(InflateError) {
        let lengthBase = Self.lengthBase
        let lengthExtra = Self.lengthExtra
        let distanceBase = Self.distanceBase
        let distanceExtra = Self.distanceExtra
        while position < limit {
            refill()
            let code = try symbol(literals)
            if code < 256 {
                output[position] = UInt8(truncatingIfNeeded: code)
                position &+= 1
                continue
            }
            if code == 256 {
                stage = .header
                return
            }
            let lengthIndex = code - 257
            if lengthIndex >= lengthBase.count { throw .badCode }
            let length = try Int(lengthBase[lengthIndex]) + take(Int(lengthExtra[lengthIndex]))
            refill()
            let distanceIndex = try symbol(distances)
            if distanceIndex >= distanceBase.count { throw .badCode }
            let distance = try Int(distanceBase[distanceIndex]) + take(Int(distanceExtra[distanceIndex]))
            if distance > position { throw .distanceTooFar }
            // There is room: a match is at most 258 bytes and the buffer has 512 beyond the limit.
            var from = output + (position - distance)
            var to = output + position
            position += length
            if distance >= length {
                to.update(from: from, count: length)
            } else {
                for _ in 0..<length {
                    to.pointee = from.pointee
                    to += 1
                    from += 1
                }
            }
        }
    }
}

/// The CRC-32 of zip and gzip, eight bytes a step.
struct CRC32 {
    private static let table: [UInt32] = {
        var table = [UInt32](repeating: 0, count: 8 * 256)
        for i in 0..<256 {
            var c = UInt32(i)
            for _ in 0..<8 { c = c & 1 == 1 ? 0xEDB8_8320 ^ c >> 1 : c >> 1 }
            table[i] = c
        }
        for i in 0..<256 {
            for slice in 1..<8 {
                let c = table[(slice - 1) * 256 + i]
                table[slice * 256 + i] = table[Int(c & 0xFF)] ^ c >> 8
            }
        }
        return table
    }()

    private var state: UInt32 = 0xFFFF_FFFF
    var value: UInt32 { ~state }

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        var c = state
        Self.table.withUnsafeBufferPointer { table in
            var at = 0
            while at &+ 8 <= bytes.count {
                let low = base.loadUnaligned(fromByteOffset: at, as: UInt32.self) ^ c
                let high = base.loadUnaligned(fromByteOffset: at &+ 4, as: UInt32.self)
                c = table[7 * 256 + Int(low & 0xFF)] ^ table[6 * 256 + Int(low >> 8 & 0xFF)]
                c ^= table[5 * 256 + Int(low >> 16 & 0xFF)] ^ table[4 * 256 + Int(low >> 24)]
                c ^= table[3 * 256 + Int(high & 0xFF)] ^ table[2 * 256 + Int(high >> 8 & 0xFF)]
                c ^= table[256 + Int(high >> 16 & 0xFF)] ^ table[Int(high >> 24)]
                at &+= 8
            }
            while at < bytes.count {
                c = table[Int((c ^ UInt32(base.load(fromByteOffset: at, as: UInt8.self))) & 0xFF)] ^ c >> 8
                at &+= 1
            }
        }
        state = c
    }
}
