import HostCore
import HostLedger
import PluginAPI
import PluginKit
import Tape

/// Makes a tape of a run's journal: what the run saw of the market, in the order it saw it.
public enum TapeFromJournal {
    public struct Outcome: Equatable, Sendable {
        public var recorded: UInt64
        public var skipped: UInt64
        /// In words; empty if the journal was whole.
        public var missing: [String]
    }

    /// `instruments`: the run's, in its order.
    public static func write(journal path: String, to output: String, instruments: [InstrumentSettings], created: Int64 = 0) throws -> Outcome {
        let reader = try JournalReader(path: path)
        let table = instruments.map(TapeInstrument.init)
        let recorder = try TapeRecorder(path: output, note: "recorded by run \(reader.run)", created: created, exists: false) { id in
            id > 0 && Int(id) <= table.count ? table[Int(id) - 1] : nil
        }
        var missing: [String] = []
        while true {
            do {
                guard let record = try reader.next() else { break }
                guard record.kind == .event, record.bytes.count >= MemoryLayout<keel_event>.size, let base = record.bytes.baseAddress else { continue }
                let event = base.assumingMemoryBound(to: keel_event.self)
                if let problem = EventShape.problem(event, limit: record.bytes.count) { throw TapeError.badEvent("record \(record.sequence): \(problem)") }
                try recorder.record(event)
            } catch let error as JournalError {
                // What is lost is named, and what follows it is still worth having.
                guard case .gap = error else { throw error }
                missing.append(error.description)
            }
        }
        if case .torn(let bytes) = reader.ending { missing.append("\(path) ends in the middle of a block: \(bytes) bytes are left out") }
        try recorder.writer.close()
        return Outcome(recorded: recorder.recorded, skipped: recorder.skipped, missing: missing)
    }
}

extension TapeInstrument {
    public init(_ settings: InstrumentSettings) {
        let kind: UInt32 =
            switch settings.kind {
            case .spot: KEEL_KIND_SPOT
            case .perpetual: KEEL_KIND_PERP
            case .stock: KEEL_KIND_STOCK
            case .future: KEEL_KIND_FUTURE
            }
        self.init(
            symbol: settings.symbol, kind: kind, base: settings.base, quote: settings.quote, tick: settings.tick, lot: settings.lot,
            minimumQuantity: settings.minimumQuantity, maximumQuantity: settings.maximumQuantity, multiplier: settings.multiplier,
            minimumNotional: settings.minimumNotional)
    }
}
