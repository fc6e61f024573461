import HostCore
import PluginAPI
import PluginKit

/// The engine's effects in a backtest: plain calls into the instances, and a tally instead of a ledger.
final class BacktestOutlet: Outlet {
    let recording: Recording
    private let ports: [Port]
    /// The calls of an order's way, by port, without the rest of a port.
    private struct Calls {
        let instance: OpaquePointer?
        let decide: (@convention(c) (OpaquePointer?, UnsafePointer<keel_snapshot>?, keel_time, UInt64, UnsafeMutablePointer<keel_error>?) -> keel_status)?
        let submit: (@convention(c) (OpaquePointer?, UnsafePointer<keel_order>?, UInt64, UnsafeMutablePointer<keel_error>?) -> keel_status)?
        let route: (@convention(c) (OpaquePointer?, UnsafePointer<keel_order>?, UInt64, UnsafeMutablePointer<keel_error>?) -> keel_status)?
        let routerEvent: (@convention(c) (OpaquePointer?, UnsafePointer<keel_event>?) -> Void)?
    }
    private let calls: UnsafeMutablePointer<Calls>
    private let error: UnsafeMutablePointer<keel_error>
    private var message = ""

    let score: Score
    /// Number of the market event being processed: what a fill is filed under.
    var index = 0
    /// Counted from here on; before it, the run warms up.
    var isScoring = false

    /// By pipeline and port.
    private var answers: [BacktestResult.Answers]
    private(set) var refusals: [Rule: Int] = [:]
    private(set) var exits: [ExitReason: (count: Int, profit: Double)] = [:]
    private(set) var breakers: [BreakerRecord] = []
    private(set) var takeovers = 0
    private(set) var alerts: [Alert] = []
    private(set) var gates: [Int: [UInt32: GateCounters]] = [:]
    private(set) var rejected = 0
    private(set) var balances: [String: Amount] = [:]
    private let pipelines: [String]
    private let symbols: [String]
    /// Of pipelines with a shadow, by index.
    private(set) var comparisons: [Int: (primary: Int, comparison: Comparison)] = [:]
    /// Every record in order, for those who want to look: tests, parity reports.
    var onRecord: ((LedgerRecord) -> Void)?

    init(ports: [Port], pipelines: [PipelineSettings], symbols: [String], score: Score, recording: Recording) {
        self.ports = ports
        self.pipelines = pipelines.map(\.name)
        self.symbols = symbols
        for (index, pipeline) in pipelines.enumerated() where pipeline.chain.shadow {
            guard let shadow = pipeline.chain.fallbacks.first, let port = ports.firstIndex(where: { $0.name == pipeline.chain.primary }) else { continue }
            comparisons[index] = (port, Comparison(primary: pipeline.chain.primary, shadow: shadow))
        }
        self.score = score
        self.recording = recording
        answers = self.pipelines.flatMap { name in
            (ports.map(\.name) + ["review score"]).map { BacktestResult.Answers(pipeline: name, decider: $0) }
        }
        error = .allocate(capacity: 1)
        error.initialize(to: keel_error())
        error.pointee.struct_size = UInt32(MemoryLayout<keel_error>.size)
        calls = .allocate(capacity: max(ports.count, 1))
        for (index, port) in ports.enumerated() {
            (calls + index).initialize(
                to: Calls(
                    instance: port.instance, decide: port.decider?.pointee.decide, submit: port.broker?.pointee.submit,
                    route: port.router?.pointee.route, routerEvent: port.router?.pointee.on_event))
        }
    }

    deinit {
        error.deallocate()
        calls.deallocate()
    }

    @inline(__always)
    private func taken(_ status: keel_status) -> keel_status {
        if status >= 0 { return KEEL_OK }
        message = withUnsafeBytes(of: error.pointee.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        error.pointee.message.0 = 0
        return status
    }

    func ask(_ port: Int, _ snapshot: UnsafePointer<keel_snapshot>, deadline: Int64, request: UInt64) -> keel_status {
        guard let call = calls[port].decide else { return KEEL_E_UNSUPPORTED }
        return taken(call(calls[port].instance, snapshot, deadline, request, error))
    }
    func cancelAsk(_ port: Int, request: UInt64) { ports[port].cancelDecide(request: request) }
    func renew(_ port: Int) {}
    func submit(_ port: Int, _ order: ApprovedOrder, request: UInt64) -> keel_status {
        guard let call = calls[port].submit else { return KEEL_E_UNSUPPORTED }
        return withUnsafePointer(to: order.order) { taken(call(calls[port].instance, $0, request, error)) }
    }
    func cancel(_ port: Int, _ order: OrderID, request: UInt64) -> keel_status { taken(ports[port].cancel(order, request: request, error: error)) }
    func replace(_ port: Int, _ order: OrderID, with: ApprovedOrder, request: UInt64) -> keel_status {
        taken(ports[port].replace(order, with: with, request: request, error: error))
    }
    func sync(_ port: Int, since: Int64, request: UInt64) -> keel_status { taken(ports[port].sync(since: since, request: request, error: error)) }
    func route(_ port: Int, _ parent: ApprovedOrder, request: UInt64) -> keel_status {
        guard let call = calls[port].route else { return KEEL_E_UNSUPPORTED }
        return withUnsafePointer(to: parent.order) { taken(call(calls[port].instance, $0, request, error)) }
    }
    func cancelRoute(_ port: Int, request: UInt64) { ports[port].cancelRoute(request: request) }
    func routerEvent(_ port: Int, _ event: UnsafePointer<keel_event>) { calls[port].routerEvent?(calls[port].instance, event) }
    func lastMessage() -> String { message }
    func boundary() {}
    func barrier() -> Bool { true }
    func publish(_ event: BusEvent) {}

    func alert(_ alert: Alert) {
        if isScoring, alerts.count < 1000 { alerts.append(alert) }
    }

    func record(_ record: LedgerRecord) {
        switch record {
        case .fill(let fill): tally(FillTally(fill))
        case .decision(let decision):
            tally(DecisionTally(decision))
            if !comparisons.isEmpty, decision.decider == comparisons[decision.pipeline]?.primary { compare(decision, isShadow: false) }
        case .shadow(let decision):
            tally(DecisionTally(decision))
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
        default: break
        }
        onRecord?(record)
    }

    private func compare(_ decision: DecisionRecord, isShadow: Bool) {
        let place = Int(decision.instrument) - 1
        guard isScoring, symbols.indices.contains(place) else { return }
        comparisons[decision.pipeline]?.comparison.add(decision, symbol: symbols[place], isShadow: isShadow)
    }

    func tally(_ fill: FillTally) { score.fill(fill, index: index) }

    func tally(_ decision: DecisionTally) {
        if !isScoring { return }
        // The review score has no port: it stands behind the last.
        let decider = decision.decider >= 0 ? decision.decider : ports.count
        let place = decision.pipeline * (ports.count + 1) + decider
        guard answers.indices.contains(place) else { return }
        answers[place].asked += 1
        switch decision.outcome {
        case .hold: answers[place].holds += 1
        case .ordered: answers[place].orders += 1
        case .refused: answers[place].refused += 1
        case .invalid: answers[place].invalid += 1
        case .shadow: answers[place].shadow += 1
        }
        if decision.fromRecord { answers[place].fromRecord += 1 }
        if !decision.cost.isZero { answers[place].cost = (try? answers[place].cost.adding(decision.cost)) ?? answers[place].cost }
    }

    /// Those who were asked, pipeline by pipeline; the review score before the deciders.
    var decisions: [BacktestResult.Answers] {
        pipelines.indices.flatMap { pipeline in
            let row = answers[(pipeline * (ports.count + 1))..<((pipeline + 1) * (ports.count + 1))]
            return (row.suffix(1) + row.dropLast()).filter { $0.asked > 0 }
        }
    }
}
