import Foundation
import HostCore
import PluginKit

/// What a run did, counted from its own records.
public struct RunSummary: Codable, Equatable, Sendable {
    public struct Pipeline: Codable, Equatable, Sendable {
        public var name: String
        public var currency: String
        public var decisions = 0
        public var holds = 0
        public var orders = 0
        public var fills = 0
        public var exits = 0
        public var refusals = 0
        public var takeovers = 0
        public var equity = ""
        public var realised = ""
        public var fees = ""
        /// Symbol to quantity, those that are not flat.
        public var positions: [String: String] = [:]
    }

    public var run: UInt32
    public var mode: String
    public var events: UInt64 = 0
    public var gatePasses: UInt64 = 0
    public var alerts = 0
    public var criticalAlerts = 0
    /// Of the host's clock, and of the machine's.
    public var simulatedSeconds = 0.0
    public var seconds = 0.0
    /// When the first market event came, on the machine's monotonic clock; 0: none came.
    public var firstEventMonotonic: Int64 = 0
    public var pipelines: [Pipeline]

    public init(run: UInt32, mode: String, pipelines: [PipelineSettings]) {
        self.run = run
        self.mode = mode
        self.pipelines = pipelines.map { Pipeline(name: $0.name, currency: $0.currency) }
    }

    /// By pipeline and instrument, as last recorded.
    private var passes: [String: UInt64] = [:]

    public mutating func note(_ record: LedgerRecord, plan: EnginePlan) {
        defer { if case .gate = record { gatePasses = passes.values.reduce(0, +) } }
        func update(_ index: Int, _ body: (inout Pipeline) -> Void) {
            if pipelines.indices.contains(index) { body(&pipelines[index]) }
        }
        switch record {
        case .gate(let value): passes["\(value.pipeline)/\(value.instrument)"] = value.counters.passed + value.counters.timerPasses
        case .decision(let value):
            update(value.pipeline) {
                $0.decisions += 1
                if value.outcome == .hold { $0.holds += 1 }
            }
        case .intent(let value): update(value.pipeline) { $0.orders += 1 }
        case .fill(let value): update(value.pipeline) { $0.fills += 1 }
        case .exit(let value): update(value.pipeline) { if value.whole { $0.exits += 1 } }
        case .refusal(let value): update(value.pipeline) { $0.refusals += 1 }
        case .takeover(let value): update(value.pipeline) { $0.takeovers += 1 }
        case .position(let value):
            let index = Int(value.instrument) - 1
            let symbol = plan.instruments.indices.contains(index) ? plan.instruments[index].symbol : "?"
            update(value.pipeline) {
                $0.equity = value.equity.description
                $0.realised = value.realised.description
                $0.fees = value.fees.description
                $0.positions[symbol] = value.quantity.isZero ? nil : value.quantity.description
            }
        default: break
        }
    }

    public var text: String {
        var lines = [
            "run \(run), \(mode): \(events) events in \(String(format: "%.2f", seconds)) s"
                + (simulatedSeconds > 0 ? ", \(RunSummary.span(simulatedSeconds)) of market time" : "") + ", gate passed \(gatePasses)"
        ]
        for pipeline in pipelines {
            lines.append(
                "  \(pipeline.name): \(pipeline.decisions) decisions (\(pipeline.holds) hold), \(pipeline.orders) orders, \(pipeline.fills) fills, "
                    + "\(pipeline.exits) exits, \(pipeline.refusals) refusals")
            let positions = pipeline.positions.isEmpty
                ? "flat" : pipeline.positions.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
            if !pipeline.equity.isEmpty {
                lines.append("    equity \(pipeline.equity) \(pipeline.currency), realised \(pipeline.realised), fees \(pipeline.fees), \(positions)")
            }
        }
        if alerts > 0 { lines.append("  \(alerts) alerts, \(criticalAlerts) of them critical: keel logs") }
        return lines.joined(separator: "\n")
    }

    static func span(_ seconds: Double) -> String {
        let whole = Int(seconds)
        if whole >= 86_400 { return "\(whole / 86_400) d \(whole % 86_400 / 3_600) h" }
        if whole >= 3_600 { return "\(whole / 3_600) h \(whole % 3_600 / 60) min" }
        return whole >= 60 ? "\(whole / 60) min \(whole % 60) s" : String(format: "%.1f s", seconds)
    }
}
