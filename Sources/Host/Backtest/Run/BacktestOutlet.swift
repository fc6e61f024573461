import HostCore
import PluginAPI
import PluginKit

/// The engine's effects in a backtest: plain calls into the instances, and a tally instead of a ledger.
final class BacktestOutlet: Outlet {
    let recording: Recording
    private let ports: [Port]
    private var error = keel_error()
    private var message = ""

    let score: Score
    /// Number of the market event being processed: what a fill is filed under.
    var index = 0
    /// Counted from here on; before it, the run warms up.
    var isScoring = false

    private(set) var decisions: [Int: [Int: BacktestResult.Answers]] = [:]
    private(set) var refusals: [Rule: Int] = [:]
    private(set) var exits: [ExitReason: (count: Int, profit: Double)] = [:]
    private(set) var breakers: [BreakerRecord] = []
    private(set) var takeovers = 0
    private(set) var alerts: [Alert] = []
    private(set) var gates: [Int: [UInt32: GateCounters]] = [:]
    private(set) var rejected = 0
    private(set) var balances: [String: Amount] = [:]
    private(set) var positions: [Int: PositionRecord] = [:]
    private let pipelines: [String]
    private let symbols: [String]
    /// Of pipelines with a shadow, by index.
    private(set) var comparisons: [Int: (primary: Int, comparison: Comparison)] = [:]
    /// Every record in order, for those who want to look: tests, parity reports.
    var onRecord: ((LedgerRecord) -> Void)?

    init(ports: [Port], pipelines: [PipelineSettings], symbols: [String], score: Score, recording: Recording = .trading) {
        self.ports = ports
        self.pipelines = pipelines.map(\.name)
        self.symbols = symbols
        for (index, pipeline) in pipelines.enumerated() where pipeline.chain.shadow {
            guard let shadow = pipeline.chain.fallbacks.first, let port = ports.firstIndex(where: { $0.name == pipeline.chain.primary }) else { continue }
            comparisons[index] = (port, Comparison(primary: pipeline.chain.primary, shadow: shadow))
        }
        self.score = score
        self.recording = recording
        error.struct_size = UInt32(MemoryLayout<keel_error>.size)
    }

    @inline(__always)
    private func taken(_ status: keel_status) -> keel_status {
        if status >= 0 { return KEEL_OK }
        message = withUnsafeBytes(of: error.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        error.message.0 = 0
        return status
    }

    func ask(_ port: Int, _ snapshot: UnsafePointer<keel_snapshot>, deadline: Int64, request: UInt64) -> keel_status {
        taken(ports[port].decide(snapshot, deadline: deadline, request: request, error: &error))
    }
    func cancelAsk(_ port: Int, request: UInt64) { ports[port].cancelDecide(request: request) }
    func renew(_ port: Int) {}
    func submit(_ port: Int, _ order: ApprovedOrder, request: UInt64) -> keel_status { taken(ports[port].submit(order, request: request, error: &error)) }
    func cancel(_ port: Int, _ order: OrderID, request: UInt64) -> keel_status { taken(ports[port].cancel(order, request: request, error: &error)) }
    func replace(_ port: Int, _ order: OrderID, with: ApprovedOrder, request: UInt64) -> keel_status {
        taken(ports[port].replace(order, with: with, request: request, error: &error))
    }
    func sync(_ port: Int, since: Int64, request: UInt64) -> keel_status { taken(ports[port].sync(since: since, request: request, error: &error)) }
    func route(_ port: Int, _ parent: ApprovedOrder, request: UInt64) -> keel_status { taken(ports[port].route(parent, request: request, error: &error)) }
    func cancelRoute(_ port: Int, request: UInt64) { ports[port].cancelRoute(request: request) }
    func routerEvent(_ port: Int, _ event: UnsafePointer<keel_event>) { ports[port].routerEvent(event) }
    func lastMessage() -> String { message }
    func boundary() {}
    func barrier() -> Bool { true }
    func publish(_ event: BusEvent) {}

    func alert(_ alert: Alert) {
        if isScoring, alerts.count < 1000 { alerts.append(alert) }
    }

    func record(_ record: LedgerRecord) {
        switch record {
        case .fill(let fill): score.fill(fill, index: index)
        case .decision(let decision):
            count(decision)
            if !comparisons.isEmpty, decision.decider == comparisons[decision.pipeline]?.primary { compare(decision, isShadow: false) }
        case .shadow(let decision):
            count(decision)
            compare(decision, isShadow: true)
        case .refusal(let refusal): if isScoring { refusals[refusal.rule, default: 0] += 1 }
        case .exit(let exit):
            if exit.whole {
                exits[exit.why, default: (0, 0)].count += 1
                exits[exit.why, default: (0, 0)].profit += exit.profit.double
            }
        case .funding(let funding): score.pay(funding)
        case .breaker(let breaker): if isScoring, breakers.count < 10_000 { breakers.append(breaker) }
        case .takeover(let takeover): if isScoring, takeover.from >= 0 { takeovers += 1 }
        case .gate(let gate): gates[gate.pipeline, default: [:]][gate.instrument] = gate.counters
        case .order(let order): if order.order.status == .rejected, order.before != .rejected { rejected += 1 }
        case .balance(let balance): balances[balance.asset] = balance.total
        case .position(let position): positions[position.pipeline] = position
        default: break
        }
        onRecord?(record)
    }

    private func compare(_ decision: DecisionRecord, isShadow: Bool) {
        let place = Int(decision.instrument) - 1
        guard isScoring, symbols.indices.contains(place) else { return }
        comparisons[decision.pipeline]?.comparison.add(decision, symbol: symbols[place], isShadow: isShadow)
    }

    private func count(_ decision: DecisionRecord) {
        if !isScoring { return }
        var answers =
            decisions[decision.pipeline]?[decision.decider]
            ?? BacktestResult.Answers(
                pipeline: pipelines.indices.contains(decision.pipeline) ? pipelines[decision.pipeline] : "",
                decider: ports.indices.contains(decision.decider) ? ports[decision.decider].name : "review score")
        answers.asked += 1
        switch decision.outcome {
        case .hold: answers.holds += 1
        case .ordered: answers.orders += 1
        case .refused: answers.refused += 1
        case .invalid: answers.invalid += 1
        case .shadow: answers.shadow += 1
        }
        if decision.fromRecord { answers.fromRecord += 1 }
        answers.cost = (try? answers.cost.adding(decision.cost)) ?? answers.cost
        decisions[decision.pipeline, default: [:]][decision.decider] = answers
    }
}
