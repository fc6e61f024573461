import PluginAPI
import PluginKit

/// Records the market events of a live run, so that the recording is a backtest's input.
///
/// The run hands over every event it processes; orders, fills and decisions are left out, they are the ledger's. The run's
/// instrument numbers are turned into the tape's, an instrument getting its entry with its first event.
public final class TapeRecorder {
    public let writer: TapeWriter
    public private(set) var recorded: UInt64 = 0
    public private(set) var skipped: UInt64 = 0
    private let describe: (UInt32) -> TapeInstrument?
    private var numbers: [UInt32: UInt32] = [:]
    private var scratch: UnsafeMutableRawPointer

    /// `describe`: the run's instrument by its number. Goes on behind an existing tape of that path.
    public init(path: String, note: String, created: Int64, exists: Bool, describe: @escaping (UInt32) -> TapeInstrument?) throws {
        writer =
            exists
            ? try TapeWriter(appendingTo: path, order: .asReceived)
            : try TapeWriter(creating: path, instruments: [], note: note, created: created, order: .asReceived)
        self.describe = describe
        scratch = .allocate(byteCount: Int(KEEL_EVENT_MAX) + 8, alignment: 64)
    }

    deinit { scratch.deallocate() }

    /// True for what belongs on a tape: links, sessions, market data, funding payments and the venue's own settlement values.
    @inline(__always)
    public static func isMarket(_ kind: UInt16) -> Bool {
        let kind = UInt32(kind)
        return kind == KEEL_EV_LINK || kind == KEEL_EV_SESSION || kind >= KEEL_EV_QUOTE && kind < KEEL_EV_ORDER
    }

    /// Copies the event if it is one for the tape. A disk error is thrown; whoever records decides whether the run stops.
    public func record(_ event: UnsafePointer<keel_event>) throws {
        if !Self.isMarket(event.pointee.kind) {
            skipped += 1
            return
        }
        let size = Int(event.pointee.size)
        if let problem = EventShape.problem(event, limit: Int(KEEL_EVENT_MAX)) { throw TapeError.badEvent(problem) }
        var number: UInt32 = 0
        if event.pointee.instrument != 0 {
            if let known = numbers[event.pointee.instrument] {
                number = known
            } else {
                guard let instrument = describe(event.pointee.instrument) else {
                    throw TapeError.unknownInstrument(path: writer.path, id: event.pointee.instrument)
                }
                if let place = writer.instruments.firstIndex(of: instrument) {
                    number = UInt32(place + 1)
                } else {
                    try writer.add([instrument])
                    number = UInt32(writer.instruments.count)
                }
                numbers[event.pointee.instrument] = number
            }
        }
        if number == event.pointee.instrument {
            try writer.append(event)
        } else {
            scratch.copyMemory(from: event, byteCount: size)
            let copy = scratch.assumingMemoryBound(to: keel_event.self)
            copy.pointee.instrument = number
            try writer.append(copy)
        }
        recorded += 1
    }
}
