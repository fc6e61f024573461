import PluginAPI

/// What a decider sees: a borrowed, flat block with every place in it checked. Valid until `decide` returns.
///
/// Single numbers are read through it by their name in the contract: `snapshot.last`, `snapshot.max_fraction`.
@dynamicMemberLookup
public struct Snapshot {
    public let pointer: UnsafePointer<keel_snapshot>
    public let block: FlatBlock

    init(_ pointer: UnsafePointer<keel_snapshot>?) throws(PluginError) {
        guard let pointer else { throw .invalid("the snapshot is a null pointer") }
        let raw = UnsafeRawPointer(pointer)
        let fixed = Int(raw.loadUnaligned(as: UInt32.self))
        guard fixed >= MemoryLayout<keel_snapshot>.size else {
            throw .invalid("the snapshot's fixed part has \(fixed) bytes, ABI 1.0 has \(MemoryLayout<keel_snapshot>.size)")
        }
        let size = Int(pointer.pointee.size)
        guard size >= fixed else { throw .invalid("the snapshot claims \(size) bytes, less than its fixed part") }
        self.pointer = pointer
        block = FlatBlock(start: raw, size: size)
    }

    public subscript<Value>(dynamicMember member: KeyPath<keel_snapshot, Value>) -> Value { pointer.pointee[keyPath: member] }

    public enum Purpose: Sendable { case entry, review, unknown }
    public var purpose: Purpose {
        switch pointer.pointee.purpose {
        case KEEL_PURPOSE_ENTRY: .entry
        case KEEL_PURPOSE_REVIEW: .review
        default: .unknown
        }
    }

    public var instrument: UInt32 { pointer.pointee.instrument }
    public var now: Int64 { pointer.pointee.now }
    public var symbol: String { block.text(pointer.pointee.symbol) }
    public var pipeline: String { block.text(pointer.pointee.pipeline) }
    public var last: Fixed { Fixed(raw: pointer.pointee.last) }
    public var bid: Fixed { Fixed(raw: pointer.pointee.bid) }
    public var ask: Fixed { Fixed(raw: pointer.pointee.ask) }
    public var position: Amount { Amount(pointer.pointee.position) }
    public var entry: Fixed { Fixed(raw: pointer.pointee.entry) }
    public var peak: Fixed { Fixed(raw: pointer.pointee.peak) }
    public var equity: Amount { Amount(pointer.pointee.equity) }
    public var cash: Amount { Amount(pointer.pointee.cash) }
    public var maximumFraction: Fixed { Fixed(raw: pointer.pointee.max_fraction) }

    public var mayBuy: Bool { pointer.pointee.allowed & KEEL_MAY_BUY != 0 }
    public var maySell: Bool { pointer.pointee.allowed & KEEL_MAY_SELL != 0 }
    public var mayShort: Bool { pointer.pointee.allowed & KEEL_MAY_SHORT != 0 }

    /// Bars of one length, oldest first.
    public struct Series {
        public let duration: Int64
        public let bars: FlatList<keel_bar>
    }

    /// Shortest duration first.
    public var series: [Series] {
        let all: FlatList<keel_series> = block.list(pointer.pointee.series)
        return all.map { Series(duration: $0.duration, bars: block.list($0.bars)) }
    }

    /// The series of exactly this length.
    public func series(of duration: Int64) -> Series? { series.first { $0.duration == duration } }

    public struct Named: Sendable {
        public let name: String
        public let value: Double
        public let at: Int64
        public let periodEnd: Int64
    }
    public var values: [Named] {
        let all: FlatList<keel_named> = block.list(pointer.pointee.values)
        return all.map { Named(name: block.text($0.name), value: $0.value, at: $0.at, periodEnd: $0.period_end) }
    }

    /// What the learner thinks of a signal: its mean, this round's draw, and on how many observations.
    public struct Weight: Sendable {
        public let signal: String
        public let mean: Double
        public let draw: Double
        public let observations: Double
    }
    public var weights: [Weight] {
        let all: FlatList<keel_weight> = block.list(pointer.pointee.weights)
        return all.map { Weight(signal: block.text($0.signal), mean: $0.mean, draw: $0.draw, observations: $0.observations) }
    }

    /// An earlier decision and what became of it.
    public struct Past: Sendable {
        public let at: Int64
        public let action: UInt32
        public let outcome: Double?
        public let confidence: Fixed
        public let decider: String
        public let reason: String
    }
    /// Newest first.
    public var past: [Past] {
        let all: FlatList<keel_past> = block.list(pointer.pointee.past)
        return all.map {
            Past(
                at: $0.at, action: $0.action, outcome: $0.outcome_known != 0 ? $0.outcome : nil, confidence: Fixed(raw: $0.confidence),
                decider: block.text($0.decider), reason: block.text($0.reason))
        }
    }

    /// Texts from outside: data, never instructions.
    public var news: [String] {
        let all: FlatList<keel_text> = block.list(pointer.pointee.news)
        return all.map { block.text($0) }
    }

    public struct Stage: Sendable {
        public let trigger: Fixed
        public let fraction: Fixed
        public let done: Bool
    }
    public var stages: [Stage] {
        let all: FlatList<keel_stage> = block.list(pointer.pointee.stages)
        return all.map { Stage(trigger: Fixed(raw: $0.trigger), fraction: Fixed(raw: $0.fraction), done: $0.done != 0) }
    }

    public var memory: String { block.text(pointer.pointee.memory) }
    public var similar: String { block.text(pointer.pointee.similar) }
}
