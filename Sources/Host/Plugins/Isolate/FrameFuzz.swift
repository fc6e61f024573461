import PluginAPI

/// Throws damaged and random packets at everything that reads what a worker sends. A trap is the failure; `run` also reports what it
/// saw, so that a fuzzer that only ever fails to parse is noticed. The same seed gives the same inputs.
public enum FrameFuzz {
    public struct Outcome: Hashable, Sendable {
        public let seed: UInt64
        public internal(set) var inputs = 0
        /// Packets taken as (parts of) messages.
        public internal(set) var accepted = 0
        /// Messages that were read to their end, events among them.
        public internal(set) var messages = 0
        public internal(set) var events = 0
    }

    public static func run(count: Int, seed: UInt64) -> Outcome {
        var random = Generator(state: seed)
        var outcome = Outcome(seed: seed)
        while outcome.inputs < count {
            outcome.inputs += 1
            readAll(makeInput(&random), &outcome)
        }
        return outcome
    }

    /// Some packets of one session: each a length of 16 bits and its bytes.
    public static func makeInput(_ random: inout some RandomNumberGenerator) -> [UInt8] {
        var input: [UInt8] = []
        repeat {
            let packet = makePacket(&random)
            withUnsafeBytes(of: UInt16(packet.count)) { input += $0 }
            input += packet
        } while random.below(3) == 0
        return input
    }

    /// Reads one input as a host would. Returns what doesn't hold; a trap is found by the process dying.
    public static func check(_ input: [UInt8]) -> String? {
        var outcome = Outcome(seed: 0)
        readAll(input, &outcome)
        return outcome.events <= outcome.messages && outcome.messages <= outcome.accepted ? nil : "counts that can't be: \(outcome)"
    }

    private static func readAll(_ input: [UInt8], _ outcome: inout Outcome) {
        var assembler = FrameAssembler(fromWorker: true)
        input.withUnsafeBytes { raw in
            var at = 0
            while raw.count - at >= 2 {
                let size = min(Int(raw.loadUnaligned(fromByteOffset: at, as: UInt16.self)), raw.count - at - 2)
                at += 2
                do throws(FrameFault) {
                    switch try assembler.accept(UnsafeRawBufferPointer(rebasing: raw[at..<(at + size)])) {
                    case .partial: outcome.accepted += 1
                    case .inPlace(let head, let payload): try read(head, payload, &outcome)
                    case .assembled(let head, let whole):
                        let result: Result<Void, FrameFault> = whole.withUnsafeBytes { payload in
                            do throws(FrameFault) { return .success(try read(head, payload, &outcome)) } catch { return .failure(error) }
                        }
                        try result.get()
                    }
                } catch {
                    // A host ends the session here.
                    return
                }
                at += size
            }
        }
    }

    private static func read(_ head: FrameHeader, _ payload: UnsafeRawBufferPointer, _ outcome: inout Outcome) throws(FrameFault) {
        outcome.accepted += 1
        switch try WorkerMessage(head, payload) {
        case .emit(let event):
            outcome.events += 1
            touch(event)
        case .reply(_, let reply): touch(reply.bytes)
        case .log(_, let text), .fail(_, let text): touch(text)
        case .question(_, .secret(let name)): touch(name)
        case .question(_, .get(let key)): touch(key)
        case .question(_, .put(let key, let bytes)):
            touch(key)
            touch(bytes)
        case .ready, .asked, .question: break
        }
        outcome.messages += 1
        // The worker's side reads instruments with the same care.
        _ = try? InstrumentWire.decode(payload)
    }

    /// Reads the first and last byte: an out of bounds slice would trap here.
    @inline(never)
    private static func touch(_ bytes: UnsafeRawBufferPointer) {
        if let first = bytes.first, let last = bytes.last, first &+ last == 1 { withExtendedLifetime(bytes) {} }
    }

    private static let samples = Samples.frames()

    private static func makePacket(_ random: inout some RandomNumberGenerator) -> [UInt8] {
        if random.below(16) == 0 { return (0..<random.below(256)).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
        var packet = samples[random.below(samples.count)]
        for _ in 0..<random.below(5) where !packet.isEmpty {
            let at = random.below(packet.count)
            switch random.below(6) {
            case 0: packet[at] = UInt8(truncatingIfNeeded: random.next())
            case 1: packet[at] ^= 1 << UInt8(random.below(8))
            case 2: packet[at] = 0xff
            case 3: packet[at] = 0
            case 4:
                // A whole number at a likely place: sizes, offsets, counts.
                let size = UInt32(packet.count)
                let values: [UInt32] = [0, 1, 7, 8, 39, 40, size, size &- 32, 65536, 65537, 0x7fff_ffff, 0x8000_0000, .max]
                put(values[random.below(values.count)], at & ~3, &packet)
            default: packet.removeSubrange(at...)
            }
        }
        // Most packets keep a length that agrees with themselves, or nothing behind the head would ever be reached.
        if packet.count >= FrameHeader.size, random.below(8) != 0 {
            put(UInt32(packet.count - FrameHeader.size), 8, &packet)
            if random.below(8) != 0 { put(UInt32(packet.count - FrameHeader.size), 12, &packet) }
        }
        return packet
    }

    private static func put(_ value: UInt32, _ at: Int, _ packet: inout [UInt8]) {
        guard at + 4 <= packet.count else { return }
        packet.withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: at, as: UInt32.self) }
    }

    struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
    }

    /// One sound frame of every kind a worker sends, with an event of every kind among them.
    enum Samples {
        static func frames() -> [[UInt8]] {
            var frames: [[UInt8]] = []
            for kind in FrameKind.allCases where kind.fromWorker && kind != .emit { frames.append(frame(kind, payload(kind))) }
            for kind in UInt16(0)..<60 where EventCheck.isKnown(kind) { frames.append(frame(.emit, event(kind))) }
            frames.append(frame(.emit, event(999)))
            // The parts of a long message.
            let long = WorkerMessage.encodeReply(KEEL_OK, nil, [UInt8](repeating: 7, count: 600))
            var at = 0
            while at < long.count {
                let end = min(long.count, at + 200)
                frames.append(frame(.reply, Array(long[at..<end]), total: long.count, more: end < long.count))
                at = end
            }
            return frames
        }

        static func frame(_ kind: FrameKind, _ payload: [UInt8], total: Int? = nil, more: Bool = false) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: FrameHeader.size)
            let head = FrameHeader(
                kind: kind, flags: more ? FrameHeader.more : 0, length: UInt32(payload.count), total: UInt32(total ?? payload.count), serial: 9)
            bytes.withUnsafeMutableBytes { head.write(to: $0) }
            return bytes + payload
        }

        private static func payload(_ kind: FrameKind) -> [UInt8] {
            var writer = PayloadWriter()
            switch kind {
            case .ready, .asked, .instrumentWanted: writer.number(UInt32(1))
            case .reply:
                var error = keel_error.empty()
                error.setText("the venue says no")
                return WorkerMessage.encodeReply(KEEL_E_REJECTED, error, [1, 2, 3])
            case .log, .fail:
                writer.number(UInt32(2))
                writer.block("a line")
            case .secret, .get: writer.block("name")
            case .put:
                writer.block("name")
                writer.block([1, 2, 3, 4])
            case .timer:
                for number in [Int64(1), 2, 3] { writer.number(number) }
            case .timerStop: writer.number(UInt64(1))
            default: break
            }
            return writer.bytes
        }

        /// An event of a kind with room for its body, one element for its lists and some text; offsets are the fuzzer's to find.
        static func event(_ kind: UInt16) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: 512)
            bytes.withUnsafeMutableBytes { raw in
                raw.storeBytes(of: UInt32(512), as: UInt32.self)
                raw.storeBytes(of: kind, toByteOffset: 4, as: UInt16.self)
                if UInt32(kind) == KEEL_EV_CHILD {
                    raw.storeBytes(of: UInt32(64), toByteOffset: 40, as: UInt32.self)
                    raw.storeBytes(of: UInt32(MemoryLayout<keel_order>.size), toByteOffset: 44, as: UInt32.self)
                    raw.storeBytes(of: UInt32(MemoryLayout<keel_order>.size), toByteOffset: 64, as: UInt32.self)
                }
                if UInt32(kind) == KEEL_EV_DECISION, let place = MemoryLayout<keel_ev_decision>.offset(of: \.signals) {
                    raw.storeBytes(of: UInt32(448), toByteOffset: place, as: UInt32.self)
                    raw.storeBytes(of: UInt32(1), toByteOffset: place + 4, as: UInt32.self)
                }
            }
            return bytes
        }
    }
}

extension RandomNumberGenerator {
    fileprivate mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(1, bound))) }
}
