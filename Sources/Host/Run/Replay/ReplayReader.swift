import HostLedger
import PluginAPI

/// Reads a journal while the engine that made it is run again: inputs in order, answers when the engine asks for them,
/// recorded effects to compare with. The first difference is kept; after it nothing that follows means anything.
final class ReplayReader {
    enum Input {
        case event(port: Int, time: Int64)
        case timer(time: Int64)
        case command(CommandCoding.Step, time: Int64)
    }

    private let reader: JournalReader
    private var next: JournalRecord?
    private var atEnd = false
    /// Inputs that were read past while looking for an answer.
    private var waiting: [(kind: JournalKind, port: UInt16, time: Int64, sequence: UInt64, bytes: [UInt64], count: Int)] = []
    private var waitingNext = 0
    /// Effects that were read past, oldest first.
    private var expected: [(kind: UInt16, port: UInt16, time: Int64, bytes: [UInt8])] = []
    private var expectedNext = 0

    private(set) var trace = EffectTrace()
    /// Hashes since the last comparison with the journal's own running hash.
    private var hashes: [UInt64] = []
    private var firstHash: UInt64 = 1
    private var compared = EffectTrace()
    private(set) var difference: String?
    private(set) var journalError: String?
    private(set) var inputs: UInt64 = 0
    private(set) var sequence: UInt64 = 0
    /// The event in hand.
    let scratch: UnsafeMutableRawPointer

    init(_ reader: JournalReader) {
        self.reader = reader
        scratch = .allocate(byteCount: Int(KEEL_EVENT_MAX) + 64, alignment: 64)
    }

    deinit { scratch.deallocate() }

    /// The origin's bytes; must be the first record.
    func origin() -> [UInt8]? {
        guard let record = peek(), record.kind == .origin else { return nil }
        let bytes = [UInt8](record.bytes)
        advance()
        return bytes
    }

    func nextInput() -> Input? {
        while true {
            if waitingNext < waiting.count {
                let item = waiting[waitingNext]
                waitingNext += 1
                if waitingNext == waiting.count {
                    waiting.removeAll(keepingCapacity: true)
                    waitingNext = 0
                }
                sequence = item.sequence
                if let input = item.bytes.withUnsafeBytes({ self.input(item.kind, item.port, item.time, UnsafeRawBufferPointer(rebasing: $0[..<item.count])) }) {
                    return input
                }
                continue
            }
            guard let record = peek() else { return nil }
            if record.kind.isEffect {
                keep(record)
                advance()
                continue
            }
            if record.kind == .answer {
                differ("the journal has an answer of \(name(record)) that the engine did not ask for")
                return nil
            }
            sequence = record.sequence
            let found = input(record.kind, record.port, record.time, record.bytes)
            advance()
            if let found { return found }
        }
    }

    private func input(_ kind: JournalKind, _ port: UInt16, _ time: Int64, _ bytes: UnsafeRawBufferPointer) -> Input? {
        switch kind {
        case .event:
            guard bytes.count >= MemoryLayout<keel_event>.size, bytes.count <= Int(KEEL_EVENT_MAX), let base = bytes.baseAddress else {
                differ("an event of \(bytes.count) bytes")
                return nil
            }
            inputs += 1
            scratch.copyMemory(from: base, byteCount: bytes.count)
            return .event(port: Int(port), time: time)
        case .timer:
            inputs += 1
            return .timer(time: time)
        case .command:
            guard let step = CommandCoding.step(bytes) else {
                differ("a command this program doesn't know")
                return nil
            }
            inputs += 1
            return .command(step, time: time)
        default: return nil
        }
    }

    /// What the engine was told then. Everything before it in the journal is put aside.
    func answer(_ kind: AnswerKind, port: UInt16) -> (status: keel_status, message: String) {
        while let record = peek() {
            if record.kind == .answer {
                guard let given = ReplayReader.decode(record.bytes), given.kind == kind.rawValue, record.port == port else {
                    differ("the engine asked port \(port) for \(kind), the journal has an answer of \(name(record)) next")
                    return (KEEL_E_INTERNAL, "")
                }
                advance()
                return (given.status, given.message)
            }
            if record.kind.isEffect { keep(record) } else { putAside(record) }
            advance()
        }
        // The journal ends in the middle of a step: the host was killed here.
        return (KEEL_E_INTERNAL, "the journal ends here")
    }

    /// Whether the very next record says that this call of `observe` answered "ask me now".
    func asked(_ port: Int, _ call: UInt64) -> Bool {
        guard let record = peek(), record.kind == .answer, Int(record.port) == port, record.bytes.count == 13,
            record.bytes[0] == AnswerKind.observe.rawValue,
            UInt64(littleEndian: record.bytes.loadUnaligned(fromByteOffset: 5, as: UInt64.self)) == call
        else { return false }
        advance()
        return true
    }

    /// The engine did something: it must be what it did then.
    func effect(_ kind: EffectKind, port: UInt16, time: Int64, _ bytes: UnsafeRawBufferPointer, kept: Bool) {
        trace.note(.effect(kind.rawValue), port: port, bytes)
        hashes.append(trace.hash)
        guard kept, difference == nil else { return }
        while expectedNext >= expected.count, let record = peek(), !(record.kind == .answer) {
            if record.kind.isEffect { keep(record) } else { putAside(record) }
            advance()
        }
        guard expectedNext < expected.count else {
            // A killed host may have done this without having written it down.
            if !atEnd { differ("the engine does \(kind) of port \(port), which is not in the journal") }
            return
        }
        let recorded = expected[expectedNext]
        expectedNext += 1
        if expectedNext == expected.count {
            expected.removeAll(keepingCapacity: true)
            expectedNext = 0
        }
        if recorded.kind != JournalKind.effect(kind.rawValue).rawValue || recorded.port != port || !recorded.bytes.elementsEqual(bytes) {
            differ("the engine does \(kind) of port \(port) with other bytes than then (\(bytes.count) bytes, recorded \(recorded.bytes.count) of kind \(recorded.kind & 0xFF))")
        } else if recorded.time != time {
            differ("the engine does \(kind) of port \(port) at \(time), then it was at \(recorded.time)")
        }
    }

    /// After the last input: effects that were recorded and never happened now.
    func finish() {
        if expectedNext < expected.count { differ("\(expected.count - expectedNext) recorded effects did not happen") }
        compareTrace()
        if !compareDone { differ("the journal counts \(reader.trace.count) effects, there were \(trace.count) now") }
    }

    private var compareDone: Bool { reader.trace == compared }

    private func differ(_ what: String) {
        if difference == nil { difference = "at record \(sequence): \(what)" }
    }

    private func keep(_ record: JournalRecord) {
        expected.append((record.kind.rawValue, record.port, record.time, [UInt8](record.bytes)))
    }

    private func putAside(_ record: JournalRecord) {
        var words = [UInt64](repeating: 0, count: (record.bytes.count + 7) / 8)
        words.withUnsafeMutableBytes { $0.copyBytes(from: record.bytes) }
        waiting.append((record.kind, record.port, record.time, record.sequence, words, record.bytes.count))
    }

    private func peek() -> JournalRecord? {
        if let next { return next }
        guard !atEnd else { return nil }
        do throws(JournalError) { next = try reader.next() } catch {
            journalError = error.description
        }
        if next == nil { atEnd = true }
        compareTrace()
        return next
    }

    private func advance() { next = nil }

    /// The journal states its running hash at the end of every block.
    private func compareTrace() {
        let stated = reader.trace
        guard stated != compared, stated.count <= trace.count, stated.count >= firstHash, difference == nil else { return }
        let place = Int(stated.count - firstHash)
        guard hashes.indices.contains(place) else { return }
        if hashes[place] != stated.hash {
            differ("the first \(stated.count) effects are not those of the recorded run")
            return
        }
        compared = stated
        hashes.removeFirst(place + 1)
        firstHash = stated.count + 1
    }

    private static func decode(_ bytes: UnsafeRawBufferPointer) -> (kind: UInt8, status: keel_status, message: String)? {
        guard bytes.count >= 5 else { return nil }
        let status = keel_status(littleEndian: bytes.loadUnaligned(fromByteOffset: 1, as: keel_status.self))
        var message = ""
        if bytes.count >= 9 {
            let length = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 5, as: UInt32.self)))
            guard bytes.count >= 9 + length else { return nil }
            message = String(decoding: bytes[9..<(9 + length)], as: UTF8.self)
        }
        return (bytes[0], status, message)
    }

    private func name(_ record: JournalRecord) -> String {
        let kind = record.bytes.first.flatMap { AnswerKind(rawValue: $0) }
        return "port \(record.port) to \(kind.map { "\($0)" } ?? "something unknown")"
    }
}
