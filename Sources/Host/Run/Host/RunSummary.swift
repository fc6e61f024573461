import Foundation
import HostCore
import PluginAPI
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
        /// Questions that were not asked because the last HOLD still stood, and those that were let through.
        public var reused: UInt64 = 0
        public var asked: UInt64 = 0
        public var equity = ""
        public var realised = ""
        public var fees = ""
        /// Symbol to quantity, those that are not flat.
        public var positions: [String: String] = [:]

        /// What saved calls came to; nil: none were.
        var savedCalls: String? {
            reused == 0 ? nil : "\(reused) of \(reused + asked) calls saved (\(reused * 100 / max(reused + asked, 1)) %): nothing had moved"
        }
    }

    public var run: UInt32
    public var mode: String
    public var events: UInt64 = 0
    public var gatePasses: UInt64
    public var alerts: Int
    public var criticalAlerts: Int
    /// Of the host's clock, and of the machine's.
    public var simulatedSeconds = 0.0
    public var seconds = 0.0
    /// When the first market event came, on the machine's monotonic clock; 0: none came.
    public var firstEventMonotonic: Int64 = 0
    public var pipelines: [Pipeline]

    init(run: UInt32, mode: String, gatePasses: UInt64, alerts: Int, criticalAlerts: Int, pipelines: [Pipeline]) {
        self.run = run
        self.mode = mode
        self.gatePasses = gatePasses
        self.alerts = alerts
        self.criticalAlerts = criticalAlerts
        self.pipelines = pipelines
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
            if let saved = pipeline.savedCalls { lines.append("    " + saved) }
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

/// Counts a run's records as they come; made into a summary when someone asks.
struct RunTally {
    private struct Place: Hashable {
        var pipeline: Int
        var instrument: keel_instrument_id
    }
    private struct Standing {
        var quantity: Amount
        var equity: Amount?
        var realised: Amount
        var fees: Amount
    }

    private let mode: String
    private let symbols: [String]
    private var counts: [RunSummary.Pipeline]
    private var standings: [Place: Standing] = [:]
    private var passes: [Place: UInt64] = [:]
    private var reused: [Place: UInt64] = [:]
    var run: UInt32 = 0
    var alerts = 0
    var criticalAlerts = 0

    init(mode: String, pipelines: [PipelineSettings], instruments: [InstrumentSettings]) {
        self.mode = mode
        symbols = instruments.map(\.symbol)
        counts = pipelines.map { RunSummary.Pipeline(name: $0.name, currency: $0.currency) }
    }

    /// Positions that were open when the run began.
    mutating func restore(_ state: EngineState?) {
        for book in state?.books ?? [] where !book.position.quantity.isZero {
            guard let pipeline = counts.firstIndex(where: { $0.name == book.pipeline }), let index = symbols.firstIndex(of: book.symbol) else { continue }
            standings[Place(pipeline: pipeline, instrument: keel_instrument_id(index + 1))] = Standing(
                quantity: book.position.quantity, equity: nil, realised: .zero, fees: .zero)
        }
    }

    mutating func note(_ record: LedgerRecord) {
        switch record {
        case .decision(let value):
            guard counts.indices.contains(value.pipeline) else { return }
            counts[value.pipeline].decisions += 1
            if value.outcome == .hold { counts[value.pipeline].holds += 1 }
        case .intent(let value): if counts.indices.contains(value.pipeline) { counts[value.pipeline].orders += 1 }
        case .fill(let value): if counts.indices.contains(value.pipeline) { counts[value.pipeline].fills += 1 }
        case .exit(let value): if value.whole, counts.indices.contains(value.pipeline) { counts[value.pipeline].exits += 1 }
        case .refusal(let value): if counts.indices.contains(value.pipeline) { counts[value.pipeline].refusals += 1 }
        case .takeover(let value): if counts.indices.contains(value.pipeline) { counts[value.pipeline].takeovers += 1 }
        case .position(let value):
            standings[Place(pipeline: value.pipeline, instrument: value.instrument)] = Standing(
                quantity: value.quantity, equity: value.equity, realised: value.realised, fees: value.fees)
        case .gate(let value):
            passes[Place(pipeline: value.pipeline, instrument: value.instrument)] = value.counters.passed + value.counters.timerPasses
            reused[Place(pipeline: value.pipeline, instrument: value.instrument)] = value.counters.reused
        default: break
        }
    }

    func decisions(_ pipeline: Int) -> Int { counts.indices.contains(pipeline) ? counts[pipeline].decisions : 0 }

    var summary: RunSummary {
        var pipelines = counts
        for (place, standing) in standings where pipelines.indices.contains(place.pipeline) {
            let index = Int(place.instrument) - 1
            let symbol = symbols.indices.contains(index) ? symbols[index] : "?"
            if !standing.quantity.isZero { pipelines[place.pipeline].positions[symbol] = standing.quantity.description }
            guard let equity = standing.equity else { continue }
            pipelines[place.pipeline].equity = equity.description
            pipelines[place.pipeline].realised = standing.realised.description
            pipelines[place.pipeline].fees = standing.fees.description
        }
        for (place, count) in passes where pipelines.indices.contains(place.pipeline) { pipelines[place.pipeline].asked += count }
        for (place, count) in reused where pipelines.indices.contains(place.pipeline) { pipelines[place.pipeline].reused += count }
        return RunSummary(
            run: run, mode: mode, gatePasses: passes.values.reduce(0, &+), alerts: alerts, criticalAlerts: criticalAlerts, pipelines: pipelines)
    }
}
