import PluginAPI
import PluginKit

@testable import HostCore

/// An engine with test plugins around it, and an outlet that calls them and keeps everything it is told.
final class Rig: Outlet {
    var engine: Engine!
    var plugins: [FakePlugin] = []
    let recording: Recording
    var records: [LedgerRecord] = []
    var alerts: [Alert] = []
    var boundaries = 0
    var barriers = 0
    var diskWorks = true
    /// What was recorded when an order was handed to the broker: the proof that the intent came first.
    var durableBeforeSubmit: [Bool] = []
    var approved: [ApprovedOrder] = []
    var renewed: [Int] = []
    var paces: [(instrument: keel_instrument_id, urgent: Bool)] = []
    var time: Int64
    var forgets = false
    let bus = EventBus()
    private var durableUpTo = 0

    static let start: Int64 = 1_700_000_000 * Span.second / (15 * Span.minute) * (15 * Span.minute)

    init(recording: Recording = .everything, start: Int64 = Rig.start) {
        self.recording = recording
        time = start
    }

    // MARK: Building

    @discardableResult
    func add<Plugin: FakePlugin>(_ plugin: Plugin) -> Plugin {
        plugin.rig = self
        plugin.port = plugins.count
        plugins.append(plugin)
        return plugin
    }

    static func instrument(_ symbol: String = "BTC/USDT", kind: InstrumentSettings.Kind = .spot) -> InstrumentSettings {
        InstrumentSettings(
            symbol: symbol, kind: kind, base: String(symbol.prefix(3)), quote: "USDT", tick: fixed("0.01"), lot: fixed("0.00001"),
            minimumNotional: amount("5"))
    }

    func build(
        _ pipelines: [PipelineSettings], instruments: [InstrumentSettings] = [Rig.instrument()], run: UInt32 = 1, learner: (any Learner)? = nil,
        restored: EngineState? = nil
    ) throws {
        let plan = EnginePlan(run: run, ports: plugins.map { $0.makePort() }, instruments: instruments, pipelines: pipelines)
        engine = try Engine(plan: plan, outlet: self, learner: learner, restored: restored)
    }

    func index(of plugin: FakePlugin) -> Int { plugin.port }

    // MARK: Driving

    func start() { engine.start(at: time) }

    func trade(_ price: String, instrument: keel_instrument_id = 1, after: Int64 = Span.second, quantity: String = "1", feed: Int = 0) {
        time += after
        tradeEvent(instrument, fixed(price), fixed(quantity), at: time).send(to: engine, from: feed)
    }

    func trade(raw: Int64, quantity: Int64 = 100_000_000, instrument: keel_instrument_id = 1, after: Int64 = Span.second, feed: Int = 0) {
        time += after
        tradeEvent(instrument, Fixed(raw: raw), Fixed(raw: quantity), at: time).send(to: engine, from: feed)
    }

    func wait(_ span: Int64) {
        time += span
        engine.advance(to: time)
    }

    func command(_ command: Command) { engine.command(command, at: time) }

    // MARK: Looking

    func book(_ index: Int = 0) -> Book { engine.books[index] }
    var decisions: [DecisionRecord] { records.compactMap { if case .decision(let record) = $0 { record } else { nil } } }
    var refusals: [RefusalRecord] { records.compactMap { if case .refusal(let record) = $0 { record } else { nil } } }
    var intents: [IntentRecord] { records.compactMap { if case .intent(let record) = $0 { record } else { nil } } }
    var fills: [FillRecord] { records.compactMap { if case .fill(let record) = $0 { record } else { nil } } }
    var exits: [ExitRecord] { records.compactMap { if case .exit(let record) = $0 { record } else { nil } } }
    var takeovers: [TakeoverRecord] { records.compactMap { if case .takeover(let record) = $0 { record } else { nil } } }
    var breakers: [BreakerRecord] { records.compactMap { if case .breaker(let record) = $0 { record } else { nil } } }
    var externals: [ExternalRecord] { records.compactMap { if case .external(let record) = $0 { record } else { nil } } }
    var shadows: [DecisionRecord] { records.compactMap { if case .shadow(let record) = $0 { record } else { nil } } }
    var snapshots: [SnapshotRecord] { records.compactMap { if case .snapshot(let record) = $0 { record } else { nil } } }
    var orderRecords: [OrderRecord] { records.compactMap { if case .order(let record) = $0 { record } else { nil } } }
    var agreements: [AgreementRecord] { records.compactMap { if case .agreement(let record) = $0 { record } else { nil } } }
    var stateRows: [StateRow] { records.compactMap { if case .state(let row) = $0 { row } else { nil } } }
    func refused(_ rule: Rule) -> [RefusalRecord] { refusals.filter { $0.rule == rule } }
    var position: Amount { book().position.quantity }

    /// The state a ledger would give back: from the rows, the newest row of each order and the fills.
    func ledgerState() -> EngineState {
        var orders: [OrderID: OrderState] = [:]
        for record in orderRecords { orders[record.order.id] = record.order }
        return EngineState(rows: stateRows, orders: orders.values.sorted { $0.id < $1.id }, fills: fills.map(\.key))
    }

    /// For runs too long to keep everything: what was recorded so far is forgotten.
    func forgetRecords() {
        records.removeAll(keepingCapacity: true)
        durableUpTo = 0
        alerts.removeAll(keepingCapacity: true)
        approved.removeAll(keepingCapacity: true)
        if durableBeforeSubmit.count > 1 { durableBeforeSubmit.removeFirst(durableBeforeSubmit.count - 1) }
    }

    // MARK: Outlet

    func ask(_ port: Int, _ snapshot: UnsafePointer<keel_snapshot>, deadline: Int64, request: UInt64) -> keel_status {
        engine.plan.ports[port].decide(snapshot, deadline: deadline, request: request)
    }
    func cancelAsk(_ port: Int, request: UInt64) { engine.plan.ports[port].cancelDecide(request: request) }
    func renew(_ port: Int) { renewed.append(port) }
    func submit(_ port: Int, _ order: ApprovedOrder, request: UInt64) -> keel_status {
        approved.append(order)
        durableBeforeSubmit.append(
            records[..<durableUpTo].contains { if case .intent(let intent) = $0 { intent.order == order.id } else { false } })
        return engine.plan.ports[port].submit(order, request: request)
    }
    func cancel(_ port: Int, _ order: OrderID, request: UInt64) -> keel_status { engine.plan.ports[port].cancel(order, request: request) }
    func replace(_ port: Int, _ order: OrderID, with: ApprovedOrder, request: UInt64) -> keel_status {
        approved.append(with)
        return engine.plan.ports[port].replace(order, with: with, request: request)
    }
    func sync(_ port: Int, since: Int64, request: UInt64) -> keel_status { engine.plan.ports[port].sync(since: since, request: request) }
    func route(_ port: Int, _ parent: ApprovedOrder, request: UInt64) -> keel_status { engine.plan.ports[port].route(parent, request: request) }
    func cancelRoute(_ port: Int, request: UInt64) { engine.plan.ports[port].cancelRoute(request: request) }
    func routerEvent(_ port: Int, _ event: UnsafePointer<keel_event>) { engine.plan.ports[port].routerEvent(event) }
    func lastMessage() -> String { "refused" }
    func pace(pipeline: Int, instrument: keel_instrument_id, urgent: Bool) { paces.append((instrument, urgent)) }
    func record(_ record: LedgerRecord) { records.append(record) }
    func boundary() { boundaries += 1 }
    func barrier() -> Bool {
        barriers += 1
        if diskWorks { durableUpTo = records.count }
        return diskWorks
    }
    func publish(_ event: BusEvent) { bus.publish(event) }
    func alert(_ alert: Alert) { alerts.append(alert) }
}

/// The usual set: a feed, a decider (and a fallback), a router, a venue that fills at once.
struct Usual {
    let rig: Rig
    let feed: FakeFeed
    let decider: FakeDecider
    let fallback: FakeDecider
    let router: FakeRouter
    let venue: FakeVenue

    init(recording: Recording = .everything) {
        rig = Rig(recording: recording)
        feed = rig.add(FakeFeed("feed"))
        decider = rig.add(FakeDecider("primary"))
        fallback = rig.add(FakeDecider("fallback"))
        router = rig.add(FakeRouter("direct"))
        venue = rig.add(FakeVenue("venue"))
        decider.observes = true
    }

    /// Limits wide enough that a test meets only the ones it sets.
    static func settings(_ name: String = "main", fallbacks: [String] = [], instruments: [String] = ["BTC/USDT"]) -> PipelineSettings {
        var settings = PipelineSettings(
            name: name, feeds: ["feed"], instruments: instruments, chain: ChainSettings(primary: "primary", fallbacks: fallbacks),
            router: "direct", broker: "venue", capital: amount("10000"))
        settings.gate.candle = nil
        settings.gate.priceZ = nil
        settings.gate.volumeZ = nil
        settings.gate.watchdog = nil
        settings.risk.cooldown = 0
        settings.risk.maximumFraction = .one
        settings.risk.kelly = nil
        settings.position.review = nil
        return settings
    }

    func build(
        restored: EngineState? = nil, run: UInt32 = 1, fallbacks: [String] = [], instruments: [InstrumentSettings] = [Rig.instrument()],
        _ change: (inout PipelineSettings) -> Void = { _ in }
    ) throws {
        var settings = Usual.settings(fallbacks: fallbacks, instruments: instruments.map(\.symbol))
        change(&settings)
        try rig.build([settings], instruments: instruments, run: run, restored: restored)
    }

    /// Asks for a decision with the next trade, by the observer's own wish.
    func askOnNextTrade(_ answer: Answer) {
        decider.observes = true
        decider.decide = { _ in answer }
        var once = true
        decider.observed = { _ in
            defer { once = false }
            return once ? KEEL_ASK : KEEL_OK
        }
    }
}
