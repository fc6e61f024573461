import PluginAPI

/// What a packet between host and worker is about. The numbers are the wire's.
enum FrameKind: UInt16, Sendable, CaseIterable {
    // Host to worker. With `wantsReply` each is answered by one `reply`.
    case create = 1
    case start, stop, destroy
    case subscribe, unsubscribe
    case submit, cancelOrder, replace, sync
    case decide, cancelDecision, observe
    case route, cancelRoute, routerEvent
    case save, load, describe
    case rankings, account, market
    case checkConfig, instrument, timerFired, ping
    /// Host to worker: the answer to a question.
    case answer = 48

    // Worker to host.
    case ready = 64
    case reply, emit, log, fail
    /// observe() returned KEEL_ASK in a one-way call.
    case asked
    // Worker to host: questions, each answered by one `answer`.
    case secret = 80
    case put, get, instrumentWanted, timer, timerStop

    var fromWorker: Bool { rawValue >= 64 }
}

/// Why bytes from the other side can't be a frame. The worker that sent them is ended.
enum FrameFault: Error, Hashable, Sendable, CustomStringConvertible {
    case short(bytes: Int)
    case mark(UInt32)
    case kind(UInt16)
    case direction(UInt16)
    case flags(UInt16)
    case length(says: UInt32, has: Int)
    case total(UInt32)
    case sequence(String)
    case payload(kind: FrameKind, what: String)
    case event(EventFault)
    case serial(UInt64)

    var description: String {
        switch self {
        case .short(let bytes): "a packet of \(bytes) bytes"
        case .mark(let mark): "a packet that begins with \(String(mark, radix: 16))"
        case .kind(let kind): "unknown frame kind \(kind)"
        case .direction(let kind): "frame kind \(kind) from the wrong side"
        case .flags(let flags): "unknown frame flags \(String(flags, radix: 16))"
        case .length(let says, let has): "a frame that says it has \(says) bytes and has \(has)"
        case .total(let total): "a message of \(total) bytes"
        case .sequence(let what): what
        case .payload(let kind, let what): "\(kind): \(what)"
        case .event(let fault): "\(fault)"
        case .serial(let serial): "an answer to call \(serial), which nobody made"
        }
    }
}

/// The head of every packet, 32 bytes, native byte order: both sides are the same program on the same machine.
struct FrameHeader: Hashable {
    static let size = 32
    static let mark: UInt32 = 0x4c45_454b
    static let more: UInt16 = 1
    static let wantsReply: UInt16 = 2
    /// Bytes after the head in one packet. An event always fits in one.
    static let largestPart = 98304
    /// Bytes of one message: a plugin's whole state fits.
    static let largestMessage = (64 << 20) + 4096

    var kind: FrameKind
    var flags: UInt16
    /// Bytes in this packet after the head.
    var length: UInt32
    /// Bytes of the whole message.
    var total: UInt32
    var serial: UInt64
    /// The host's clock, in frames to the worker.
    var now: keel_time

    init(kind: FrameKind, flags: UInt16 = 0, length: UInt32, total: UInt32, serial: UInt64, now: keel_time = 0) {
        self.kind = kind
        self.flags = flags
        self.length = length
        self.total = total
        self.serial = serial
        self.now = now
    }

    /// Reads the head of a packet; `packet` is all of it.
    init(_ packet: UnsafeRawBufferPointer, fromWorker: Bool) throws(FrameFault) {
        guard packet.count >= Self.size else { throw .short(bytes: packet.count) }
        let mark = packet.loadUnaligned(as: UInt32.self)
        guard mark == Self.mark else { throw .mark(mark) }
        let number = packet.loadUnaligned(fromByteOffset: 4, as: UInt16.self)
        guard let kind = FrameKind(rawValue: number) else { throw .kind(number) }
        guard kind.fromWorker == fromWorker else { throw .direction(number) }
        flags = packet.loadUnaligned(fromByteOffset: 6, as: UInt16.self)
        guard flags & ~(Self.more | Self.wantsReply) == 0 else { throw .flags(flags) }
        length = packet.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
        total = packet.loadUnaligned(fromByteOffset: 12, as: UInt32.self)
        guard Int(length) == packet.count - Self.size, length <= Self.largestPart else {
            throw .length(says: length, has: packet.count - Self.size)
        }
        guard total <= Self.largestMessage, length <= total else { throw .total(total) }
        self.kind = kind
        serial = packet.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
        now = packet.loadUnaligned(fromByteOffset: 24, as: Int64.self)
    }

    func write(to target: UnsafeMutableRawBufferPointer) {
        guard target.count >= Self.size else { return }
        target.storeBytes(of: Self.mark, toByteOffset: 0, as: UInt32.self)
        target.storeBytes(of: kind.rawValue, toByteOffset: 4, as: UInt16.self)
        target.storeBytes(of: flags, toByteOffset: 6, as: UInt16.self)
        target.storeBytes(of: length, toByteOffset: 8, as: UInt32.self)
        target.storeBytes(of: total, toByteOffset: 12, as: UInt32.self)
        target.storeBytes(of: serial, toByteOffset: 16, as: UInt64.self)
        target.storeBytes(of: now, toByteOffset: 24, as: Int64.self)
    }
}

/// Puts the packets of long messages together again. Messages of one packet pass at any time, also between the parts of a long one
/// (a plugin's own threads emit while its state is being sent); two long ones never mix.
struct FrameAssembler {
    private var head: FrameHeader?
    private var bytes: [UInt8] = []
    let fromWorker: Bool

    init(fromWorker: Bool) { self.fromWorker = fromWorker }

    enum Outcome {
        /// More packets must come.
        case partial
        /// A message that lies in the packet itself.
        case inPlace(FrameHeader, UnsafeRawBufferPointer)
        case assembled(FrameHeader, [UInt8])
    }

    mutating func accept(_ packet: UnsafeRawBufferPointer) throws(FrameFault) -> Outcome {
        let part = try FrameHeader(packet, fromWorker: fromWorker)
        let payload = UnsafeRawBufferPointer(rebasing: packet[FrameHeader.size...])
        let last = part.flags & FrameHeader.more == 0
        if last, part.length == part.total { return .inPlace(part, payload) }
        guard !payload.isEmpty else { throw .sequence("a part of a long message with nothing in it") }
        if let begun = head {
            guard begun.kind == part.kind, begun.serial == part.serial, begun.total == part.total else {
                throw .sequence("a part of another long message")
            }
        } else {
            head = part
            bytes.removeAll()
        }
        // Both are bounded: no overflow.
        let sum = bytes.count + payload.count
        guard sum <= Int(part.total), last == (sum == Int(part.total)) else {
            throw .sequence("parts of \(sum) bytes for a message of \(part.total)")
        }
        bytes.append(contentsOf: payload)
        guard last, let begun = head else { return .partial }
        defer {
            head = nil
            bytes = []
        }
        return .assembled(begun, bytes)
    }
}

/// Reads a payload from its start; every step is bounds-checked.
struct PayloadReader {
    let raw: UnsafeRawBufferPointer
    private(set) var at = 0
    let kind: FrameKind

    init(_ raw: UnsafeRawBufferPointer, _ kind: FrameKind) {
        self.raw = raw
        self.kind = kind
    }

    var left: Int { raw.count - at }

    mutating func number<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type = T.self) throws(FrameFault) -> T {
        guard left >= MemoryLayout<T>.size else { throw .payload(kind: kind, what: "it ends too early") }
        defer { at += MemoryLayout<T>.size }
        return raw.loadUnaligned(fromByteOffset: at, as: type)
    }

    mutating func bytes(_ count: Int) throws(FrameFault) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= left else { throw .payload(kind: kind, what: "it says \(count) bytes follow, \(left) do") }
        defer { at += count }
        return UnsafeRawBufferPointer(rebasing: raw[at..<(at + count)])
    }

    /// A length of 32 bits, then that many bytes.
    mutating func block(most: Int) throws(FrameFault) -> UnsafeRawBufferPointer {
        let count = Int(try number(UInt32.self))
        guard count <= most else { throw .payload(kind: kind, what: "a block of \(count) bytes, at most \(most) are allowed") }
        return try bytes(count)
    }

    mutating func rest() -> UnsafeRawBufferPointer {
        defer { at = raw.count }
        return UnsafeRawBufferPointer(rebasing: raw[at...])
    }

    func end() throws(FrameFault) {
        guard left == 0 else { throw .payload(kind: kind, what: "\(left) bytes too many") }
    }
}

/// Collects a payload.
struct PayloadWriter {
    var bytes: [UInt8] = []

    init(reserving count: Int = 64) { bytes.reserveCapacity(count) }

    mutating func number<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) } }
    mutating func raw(_ part: UnsafeRawBufferPointer) { bytes.append(contentsOf: part) }
    mutating func raw(_ part: [UInt8]) { bytes += part }
    mutating func block(_ part: UnsafeRawBufferPointer) {
        number(UInt32(clamping: part.count))
        raw(part)
    }
    mutating func block(_ text: String) {
        var copy = text
        copy.withUTF8 { block(UnsafeRawBufferPointer($0)) }
    }
    mutating func block(_ part: [UInt8]) { part.withUnsafeBytes { block($0) } }
}
