import PluginAPI
import PluginKit
import Tape

/// A recorded market, played from its start as if it began now.
final class TapeSource: MarketSource {
    private let tape: TapeFile
    private let cursor: TapeCursor
    private var span: TapeSpan?
    private var at: UnsafeRawPointer?
    /// Host time less tape time; known from the first subscription on.
    private var shift: Int64?
    /// The host's number of each of the tape's instruments, 0 = nobody listens.
    private var numbers: [UInt32]
    private var buffer: UnsafeMutableRawPointer
    private(set) var ended = false
    private(set) var failure: String?

    init(_ path: String) throws {
        do {
            tape = try TapeFile(path)
        } catch { throw PluginError.invalid("tape \(path) can't be played: \(error)") }
        cursor = TapeCursor(tape)
        numbers = Array(repeating: 0, count: tape.instruments.count)
        buffer = .allocate(byteCount: Int(KEEL_EVENT_MAX), alignment: 16)
    }

    deinit { buffer.deallocate() }

    func begin(_ instrument: Instrument, at now: Int64, last: Fixed?) throws -> Bool {
        guard let place = tape.instruments.firstIndex(where: { $0.symbol == instrument.symbol }) else { return false }
        numbers[place] = instrument.id
        if shift == nil {
            shift = now &- (tape.firstTime ?? now)
            load()
        }
        return true
    }

    func end(_ instrument: UInt32) {
        for place in numbers.indices where numbers[place] == instrument { numbers[place] = 0 }
    }

    private var current: UnsafePointer<keel_event>? {
        guard let at, let span, at < span.end else { return nil }
        return at.assumingMemoryBound(to: keel_event.self)
    }

    private func load() {
        do {
            span = try cursor.next()
        } catch {
            span = nil
            failure = "\(error)"
        }
        at = span?.start
        if span == nil { ended = true }
    }

    var nextDue: Int64? {
        guard let shift, let event = current else { return nil }
        return TapeTime.of(event) &+ shift
    }

    func play(to now: Int64, _ body: (UnsafePointer<keel_event>) -> Void) {
        guard let shift else { return }
        while let event = current, TapeTime.of(event) &+ shift <= now {
            let number = Int(event.pointee.instrument)
            if number > 0, number <= numbers.count, numbers[number - 1] != 0, Int(event.pointee.size) <= Int(KEEL_EVENT_MAX) {
                buffer.copyMemory(from: event, byteCount: Int(event.pointee.size))
                let copy = buffer.assumingMemoryBound(to: keel_event.self)
                copy.pointee.instrument = numbers[number - 1]
                move(copy, by: shift)
                body(UnsafePointer(copy))
            }
            at = UnsafeRawPointer(event) + EventShape.stride(event.pointee.size)
            if current == nil { load() }
        }
    }

    /// Every time in an event, moved to now.
    private func move(_ event: UnsafeMutablePointer<keel_event>, by shift: Int64) {
        event.pointee.at_source = TapeTime.of(event) &+ shift
        event.pointee.at_host = 0
        if UInt32(event.pointee.kind) == KEEL_EV_BAR, Int(event.pointee.size) >= MemoryLayout<keel_ev_bar>.size {
            UnsafeMutableRawPointer(event).assumingMemoryBound(to: keel_ev_bar.self).pointee.bar.open_time &+= shift
        }
    }
}
