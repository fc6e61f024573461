import PluginAPI
import PluginKit

/// A plan with its names resolved, laid out for the engine.
struct Composition {
    let books: UnsafeMutablePointer<Book>
    let bookCount: Int
    let pipelines: UnsafeMutablePointer<Pipeline>
    let pipelineCount: Int
    let brokers: UnsafeMutablePointer<BrokerSlot>
    let brokerCount: Int
    let routes: UnsafeMutablePointer<Route>
    let routeBooks: UnsafeMutablePointer<Int32>
    let venueCalls: UnsafeMutablePointer<VenueCall>
    let answers: UnsafeMutablePointer<keel_status>
    let stride: Int
    let brokerOfPort: [Int]

    /// `memory`: how many settled orders a book remembers. `learns`: there is a learner for the books that want one.
    init(_ plan: EnginePlan, memory: Int, learns: Bool) throws(EngineError) {
        // Everything that can fail comes before anything is allocated.
        let ports = try Self.index(plan.ports.map(\.name), "plugin")
        let symbols = try Self.index(plan.instruments.map(\.symbol), "instrument")
        _ = try Self.index(plan.pipelines.map(\.name), "pipeline")
        if plan.pipelines.count > 0xFFFF { throw .tooMany("pipelines", limit: 0xFFFF) }
        if plan.instruments.count > 0xFFFF { throw .tooMany("instruments", limit: 0xFFFF) }
        var resolved: [Resolved] = []
        for settings in plan.pipelines { resolved.append(try Resolved(settings, plan, ports, symbols)) }
        let count = resolved.reduce(0) { $0 + $1.instruments.count }
        if count > 0xF_FFFF { throw .tooMany("instruments in pipelines", limit: 0xF_FFFF) }

        var brokerOfPort = Array(repeating: -1, count: plan.ports.count)
        var slots: [BrokerSlot] = []
        for pipeline in resolved where brokerOfPort[pipeline.broker] < 0 {
            brokerOfPort[pipeline.broker] = slots.count
            let table = plan.ports[pipeline.broker].broker
            slots.append(
                BrokerSlot(
                    port: pipeline.broker, name: plan.ports[pipeline.broker].name, features: table?.pointee.order_features ?? 0,
                    canReplace: table?.pointee.replace != nil))
        }
        self.brokerOfPort = brokerOfPort
        brokerCount = slots.count
        brokers = .allocate(capacity: max(slots.count, 1))
        for (index, slot) in slots.enumerated() { (brokers + index).initialize(to: slot) }

        stride = plan.instruments.count + 1
        let answerCells = UnsafeMutablePointer<keel_status>.allocate(capacity: max(plan.ports.count * stride, 1))
        answerCells.initialize(repeating: KEEL_OK, count: max(plan.ports.count * stride, 1))
        answers = answerCells

        bookCount = count
        books = .allocate(capacity: max(count, 1))
        pipelineCount = resolved.count
        pipelines = .allocate(capacity: max(resolved.count, 1))
        var perRoute: [[Int32]] = Array(repeating: [], count: plan.ports.count * stride)
        var observed: Set<Int> = []
        var next = 0
        for (index, pipeline) in resolved.enumerated() {
            let settings = pipeline.settings
            var wants: UInt64 = 0
            var bars = 0
            for decider in pipeline.deciders {
                guard let table = plan.ports[decider.port].decider else { continue }
                wants |= table.pointee.wants
                if table.pointee.wants & KEEL_WANT_BARS != 0 { bars = max(bars, Int(table.pointee.bars_wanted)) }
            }
            var state = PipelineState(name: settings.name)
            state.capital = settings.capital ?? .zero
            state.cash = state.capital
            state.deciders = pipeline.deciders.map { DeciderState(name: $0.name) }
            (pipelines + index).initialize(
                to: Pipeline(
                    index: index, settings: settings, currencyHash: Mix.hash(settings.currency).lo, firstBook: next,
                    bookCount: pipeline.instruments.count, broker: brokerOfPort[pipeline.broker], chain: pipeline.deciders, wants: wants,
                    barsWanted: bars, state: state))
            for instrument in pipeline.instruments {
                let book = Self.makeBook(
                    next, index, instrument, pipeline, plan, brokerOfPort, observed: &observed, answers: answerCells, memory: memory,
                    learns: learns && settings.learn.isEnabled && wants & KEEL_WANT_WEIGHTS != 0)
                (books + next).initialize(to: book)
                for feed in pipeline.feeds {
                    perRoute[feed * stride + instrument + 1].append(Int32(next))
                    perRoute[feed * stride].append(Int32(next))
                }
                next += 1
            }
        }

        let flat = perRoute.reduce(0) { $0 + $1.count }
        routes = .allocate(capacity: max(perRoute.count, 1))
        routeBooks = .allocate(capacity: max(flat, 1))
        var venues: [VenueCall] = []
        var filled = 0
        for (index, list) in perRoute.enumerated() {
            var route = Route(firstBook: Int32(filled), bookCount: Int32(list.count), firstVenue: Int32(venues.count), venueCount: 0)
            var shown: Set<Int> = []
            for number in list {
                routeBooks[filled] = number
                filled += 1
                let port = books[Int(number)].brokerPort
                // Values without an instrument are no market a venue could match in.
                if index % stride != 0, let call = plan.ports[port].market?.pointee.on_market, shown.insert(port).inserted {
                    venues.append(VenueCall(instance: plan.ports[port].instance, call: call))
                    route.venueCount += 1
                }
            }
            (routes + index).initialize(to: route)
        }
        venueCalls = .allocate(capacity: max(venues.count, 1))
        for (index, venue) in venues.enumerated() { (venueCalls + index).initialize(to: venue) }
    }

    private static func index(_ names: [String], _ what: String) throws(EngineError) -> [String: Int] {
        var found: [String: Int] = [:]
        for (index, name) in names.enumerated() {
            if found.updateValue(index, forKey: name) != nil { throw .repeated("\(what) \"\(name)\"") }
        }
        return found
    }

    private static func makeBook(
        _ index: Int, _ pipelineIndex: Int, _ instrument: Int, _ pipeline: Resolved, _ plan: EnginePlan, _ brokerOfPort: [Int],
        observed: inout Set<Int>, answers: UnsafeMutablePointer<keel_status>, memory: Int, learns: Bool
    ) -> Book {
        let settings = pipeline.settings
        let described = plan.instruments[instrument]
        var lengths = Set(settings.bars.filter { $0 > 0 })
        if settings.position.atrMultiple != nil { lengths.insert(settings.position.atrBars) }
        let ordered = lengths.sorted()
        let series = UnsafeMutablePointer<Series>.allocate(capacity: max(ordered.count, 1))
        for (place, length) in ordered.enumerated() {
            (series + place).initialize(to: Series(duration: length, capacity: settings.history))
        }
        let observers = UnsafeMutablePointer<Observer>.allocate(capacity: max(pipeline.deciders.count, 1))
        var observerCount = 0
        for (place, decider) in pipeline.deciders.enumerated() {
            guard let call = plan.ports[decider.port].decider?.pointee.observe else { continue }
            // Two pipelines that share a decider and an instrument must not show it an event twice.
            let cell = decider.port * (plan.instruments.count + 1) + instrument + 1
            let first = observed.insert(cell).inserted
            (observers + observerCount).initialize(
                to: Observer(instance: plan.ports[decider.port].instance, call: first ? call : nil, place: place, answer: answers + cell))
            observerCount += 1
        }
        let bars = max(settings.history, 1) * ordered.count * MemoryLayout<keel_bar>.stride
        return Book(
            index: index, pipeline: pipelineIndex, instrumentIndex: instrument,
            instrument: Instrument(described, id: keel_instrument_id(instrument + 1)), symbol: described.symbol, base: described.base,
            quote: described.quote, baseHash: Mix.hash(described.base).lo, quoteHash: Mix.hash(described.quote).lo,
            brokerPort: pipeline.broker, broker: brokerOfPort[pipeline.broker], routerPort: pipeline.router,
            brokerFeatures: plan.ports[pipeline.broker].broker?.pointee.order_features ?? 0,
            leastQuantity: max(described.lot.raw, described.minimumQuantity.raw, 1), series: series, seriesCount: ordered.count,
            atrSeries: settings.position.atrMultiple == nil ? -1 : ordered.firstIndex(of: settings.position.atrBars) ?? -1,
            candle: CandleClock(duration: settings.gate.candle ?? 0), layer: ZLayer(settings.gate), hasLayer: ZLayer(settings.gate).isOn, rules: ExitRules(settings.position),
            hasStages: !settings.position.stages.isEmpty, observers: observers,
            observerCount: observerCount, closedOrders: Recent(capacity: memory), block: SnapshotBlock(capacity: 8192 + bars), learns: learns)
    }
}

/// One pipeline's names as places in the plan.
private struct Resolved {
    let settings: PipelineSettings
    let feeds: [Int]
    let instruments: [Int]
    let deciders: [Pipeline.Decider]
    let router: Int
    let broker: Int

    init(_ settings: PipelineSettings, _ plan: EnginePlan, _ ports: [String: Int], _ symbols: [String: Int]) throws(EngineError) {
        self.settings = settings
        func find(_ name: String, _ role: String, _ serves: (Port) -> Bool) throws(EngineError) -> Int {
            guard let index = ports[name] else { throw .unknownPlugin(pipeline: settings.name, role: role, name: name) }
            guard serves(plan.ports[index]) else { throw .missingRole(pipeline: settings.name, role: role, name: name) }
            return index
        }
        var feeds: [Int] = []
        for name in settings.feeds {
            let feed = try find(name, "feed") { _ in true }
            if feeds.contains(feed) { throw .repeated("pipeline \(settings.name): feed \"\(name)\"") }
            feeds.append(feed)
        }
        self.feeds = feeds
        broker = try find(settings.broker, "broker") { $0.broker != nil }
        router = try find(settings.router, "router") { $0.router != nil }
        var deciders: [Pipeline.Decider] = []
        for name in [settings.chain.primary] + settings.chain.fallbacks {
            let port = try find(name, "decider") { $0.decider != nil }
            if deciders.contains(where: { $0.port == port }) { throw .repeated("pipeline \(settings.name): decider \"\(name)\"") }
            deciders.append(
                Pipeline.Decider(
                    name: name, port: port, deadline: max(settings.chain.deadlines[name] ?? settings.chain.deadline, 1), inline: plan.ports[port].inline))
        }
        if deciders.count > 64 { throw .tooMany("deciders in pipeline \(settings.name)", limit: 64) }
        self.deciders = deciders
        var instruments: [Int] = []
        for symbol in settings.instruments {
            guard let index = symbols[symbol] else { throw .unknownInstrument(pipeline: settings.name, symbol: symbol) }
            if instruments.contains(index) { throw .repeated("pipeline \(settings.name): instrument \"\(symbol)\"") }
            // Equity is one sum: without exchange rates only one currency adds up.
            if plan.instruments[index].quote != settings.currency {
                throw .invalid(
                    pipeline: settings.name, what: "\(symbol) is quoted in \(plan.instruments[index].quote), the pipeline counts in \(settings.currency)")
            }
            instruments.append(index)
        }
        if instruments.isEmpty { throw .invalid(pipeline: settings.name, what: "it has no instrument") }
        if settings.history < 1 { throw .invalid(pipeline: settings.name, what: "history must be at least 1") }
        if settings.position.stages.count > 64 { throw .tooMany("stages in pipeline \(settings.name)", limit: 64) }
        self.instruments = instruments
    }
}
