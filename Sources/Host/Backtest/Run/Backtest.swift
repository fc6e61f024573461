import Glibc
import HostCore
import HostManifest
import HostPlugins
import PluginAPI
import PluginKit
import Tape

/// One run of a manifest's pipelines over tapes, on the calling thread.
///
/// The same engine, gate, deciders, risk, router and venue as in a live run, called through the same tables; only the events come
/// from tapes and the time from the events.
public final class Backtest {
    public struct Request: Sendable {
        public var manifest: Manifest
        /// Names; empty: every enabled one.
        public var pipelines: [String] = []
        public var tapes: [TapeFile] = []
        /// Instruments of the manifest by another name on the tape.
        public var names: [String: String] = [:]
        public var from = Int64.min
        public var to = Int64.max
        /// Market time before `from` that only fills bars and averages: nothing is decided in it.
        public var warmup: Int64 = 0
        /// The simulated venue that takes the orders of pipelines whose broker is a real one; nil: the manifest's only one.
        public var venue: String?
        /// Also gather prices for the report's chart.
        public var charts = false
        /// Deciders that may call out although a backtest never does: those that record answers for later backtests. With what
        /// they may ask for.
        public var recorders: Set<String> = []
        public var secrets: @Sendable (String) -> Result<[UInt8], HostStatus> = { _ in .failure(HostStatus(KEEL_E_NOT_FOUND)) }
        /// Give memory of the tape back on the way; a sweep, whose threads share the tape, keeps it.
        public var releasesMemory = true

        public init(manifest: Manifest) { self.manifest = manifest }
    }

    public let request: Request
    public let pipelines: [PipelineSettings]
    /// In words, for the report: what is not as in a live run.
    public private(set) var substitutions: [String] = []
    private let plugins: [BacktestPlugin]
    /// Every record of the run in order.
    public var onRecord: ((LedgerRecord) -> Void)?

    /// The plugins a request needs, by name: deciders, routers and venues; feeds give way to the tape.
    public static func needed(_ request: Request, isVenue: (String) -> Bool) throws(BacktestError) -> (pipelines: [PipelineSettings], plugins: [String], substitutions: [String]) {
        var pipelines = request.manifest.pipelines
        if !request.pipelines.isEmpty {
            for name in request.pipelines where !pipelines.contains(where: { $0.name == name }) {
                throw .noPipeline(wanted: name, known: pipelines.map(\.name))
            }
            pipelines = pipelines.filter { request.pipelines.contains($0.name) }
        }
        if pipelines.isEmpty { throw .noPipeline(wanted: "", known: []) }
        var substitutions: [String] = []
        for index in pipelines.indices {
            let broker = pipelines[index].broker
            if let venue = request.venue {
                if broker != venue { substitutions.append("orders of \(pipelines[index].name) go to \(venue) instead of \(broker)") }
                pipelines[index].broker = venue
            } else if !isVenue(broker) {
                let venues = request.manifest.plugins.filter { $0.isEnabled && isVenue($0.name) }.map(\.name)
                guard venues.count == 1, let only = venues.first else { throw .noVenue(broker: broker) }
                substitutions.append("orders of \(pipelines[index].name) go to \(only) instead of \(broker)")
                pipelines[index].broker = only
            }
            pipelines[index].feeds = [tapePort]
        }
        let currencies = Set(pipelines.map(\.currency)).sorted()
        if currencies.count > 1 { throw .mixedCurrencies(currencies) }
        var names: [String] = []
        for pipeline in pipelines {
            for name in [pipeline.chain.primary] + pipeline.chain.fallbacks + [pipeline.router, pipeline.broker] where !names.contains(name) { names.append(name) }
        }
        return (pipelines, names, substitutions)
    }

    static let tapePort = "tape"

    /// `plugins`: at least those `needed` names. Refuses what could not be repeated.
    public init(_ request: Request, plugins all: [BacktestPlugin]) throws(BacktestError) {
        if request.tapes.isEmpty { throw .noTape }
        let found = try Self.needed(request) { name in all.contains { $0.name == name && $0.tables.market != nil && $0.tables.broker != nil } }
        self.request = request
        pipelines = found.pipelines
        substitutions = found.substitutions
        var chosen: [BacktestPlugin] = []
        for name in found.plugins {
            guard let plugin = all.first(where: { $0.name == name }) else { throw .plugin(name: name, what: "it is not loaded") }
            chosen.append(plugin)
        }
        plugins = chosen
        for pipeline in pipelines {
            for name in [pipeline.chain.primary] + pipeline.chain.fallbacks {
                guard let plugin = chosen.first(where: { $0.name == name }) else { continue }
                if (!plugin.isInline || !plugin.isDeterministic) && !request.recorders.contains(name) {
                    throw .notDeterministic(plugin: name, component: plugin.tables.id, hint: Self.recordingHint(name, plugin.tables.id))
                }
            }
            for (name, role) in [(pipeline.router, "router"), (pipeline.broker, "broker")] {
                guard let plugin = chosen.first(where: { $0.name == name }) else { continue }
                if !plugin.isInline { throw .notInline(plugin: name, role: role, component: plugin.tables.id) }
            }
            guard let venue = chosen.first(where: { $0.name == pipeline.broker }), venue.tables.market != nil else { throw .noVenue(broker: pipeline.broker) }
        }
    }

    public static func recordingHint(_ name: String, _ component: String) -> String {
        """
        Record its answers in a paper run (plugins.\(name).config.record names the file), then backtest from them: \
        --set plugins.\(name).component=\(component).recorded with the same record; or name another decider: --set pipelines.PIPELINE.decide.primary=NAME
        """
    }

    // MARK: the run

    /// `progress`: events done and events in all; returning false stops the run.
    public func run(progress: ((_ done: Int, _ of: Int) -> Bool)? = nil) throws -> BacktestResult {
        let wallStart = Self.clock()
        let instruments = request.manifest.instruments
        let traded = Set(pipelines.flatMap(\.instruments))

        // Which tape has what, and where it begins and ends.
        var cursors: [TapeCursor] = []
        var present: Set<String> = []
        let start = request.from == .min ? .min : request.from.subtractingReportingOverflow(request.warmup).partialValue
        var total = 0
        var first = Int64.max
        var last = Int64.min
        for file in request.tapes {
            let numbers: [UInt32] = file.instruments.map { entry in
                guard let index = instruments.firstIndex(where: { (request.names[$0.symbol] ?? $0.symbol) == entry.symbol }), traded.contains(instruments[index].symbol)
                else { return 0 }
                present.insert(instruments[index].symbol)
                return UInt32(index + 1)
            }
            cursors.append(TapeCursor(file, from: start, to: request.to, numbers: numbers, releasing: request.releasesMemory))
            for block in file.blocks where block.last >= start && block.first < request.to {
                total += block.count
                first = min(first, max(block.first, start))
                last = max(last, min(block.last, request.to == .max ? .max : request.to))
            }
        }
        for symbol in traded.sorted() where !present.contains(symbol) {
            throw BacktestError.instrumentMissing(symbol: symbol, tapes: Array(Set(request.tapes.flatMap { $0.instruments.map(\.symbol) })).sorted())
        }
        guard total > 0 else {
            throw BacktestError.empty(
                from: request.from == .min ? "the start" : UTCTime.text(request.from), to: request.to == .max ? "the end" : UTCTime.text(request.to))
        }
        let scoreFrom = request.from == .min ? first : max(request.from, first)
        let merge = try TapeMerge(cursors)

        // Instances, all on this thread.
        let lane = BacktestLane()
        var hosts: [InstanceHost] = []
        var services: [BacktestServices] = []
        var ports: [Port] = [Port(name: Self.tapePort, instance: nil, feed: Self.feedTable, inline: true)]
        let records = instruments.enumerated().map { Self.record($1, UInt32($0 + 1)) }
        defer {
            for host in hosts {
                if host.phase == .running { try? lane.calling { try host.stop(deadline: 0, request: .max) } }
                lane.calling { host.destroy() }
            }
        }
        for plugin in plugins {
            let service = BacktestServices(instruments: records, lane: lane, port: ports.count, shared: services.first)
            let granted = request.recorders.contains(plugin.name) ? Set(request.manifest.plugin(plugin.name)?.secrets ?? []) : []
            if !granted.isEmpty { service.secrets = request.secrets }
            service.began = first
            let host = InstanceHost(name: plugin.name, tables: plugin.tables, lane: lane, services: service, grantedSecrets: granted, redactor: SecretRedactor())
            do { try lane.calling { try host.create(config: plugin.config) } } catch { throw BacktestError.plugin(name: plugin.name, what: "\(error)") }
            hosts.append(host)
            services.append(service)
            let tables = plugin.tables
            ports.append(
                Port(
                    name: plugin.name, instance: host.instance, feed: tables.feed, broker: tables.broker, decider: tables.decider, router: tables.router,
                    market: tables.market, inline: true, version: plugin.version))
        }

        let score = Score(startEquity: .zero, multipliers: instruments.map(\.multiplier), first: scoreFrom, last: last)
        // Comparing primary and shadow takes the decisions whole.
        let recording: Recording = onRecord == nil && !pipelines.contains { $0.chain.shadow } ? .summary : .trading
        let outlet = BacktestOutlet(ports: ports, pipelines: pipelines, symbols: instruments.map(\.symbol), score: score, recording: recording)
        outlet.onRecord = onRecord
        let engine: Engine
        do {
            engine = try Engine(plan: EnginePlan(run: 1, ports: ports, instruments: instruments, pipelines: pipelines, checksSkew: false), outlet: outlet)
        } catch { throw BacktestError.engine("\(error)") }
        for service in services { service.engine = engine }
        lane.settle(at: first)
        for (index, host) in hosts.enumerated() {
            do { try lane.calling { try host.start() } } catch { throw BacktestError.plugin(name: plugins[index].name, what: "\(error)") }
        }
        if request.warmup > 0 || scoreFrom > first { engine.command(.closeGate, at: first) }
        engine.start(at: first)
        if let queue = services.first { Self.drain(queue, engine) }
        let capital = capital(outlet)
        score.begin(with: capital, at: scoreFrom)

        // The loop: one event after the other, timers in between.
        let engineStart = Self.clock()
        let processorStart = Self.clock(CLOCK_THREAD_CPUTIME_ID)
        var index = 0
        var scored = 0
        var warming = scoreFrom > first || request.warmup > 0
        outlet.isScoring = !warming
        let queue = services.first
        var quoted = [Bool](repeating: true, count: instruments.count + 1)
        var sinceReport = 0
        while let span = try merge.next() {
            var at = span.start
            while at < span.end {
                let event = at.assumingMemoryBound(to: keel_event.self)
                at += EventShape.stride(event.pointee.size)
                let time = event.pointee.at_host
                if time >= lane.due { attend(lane, engine, queue, until: time) }
                if warming, time >= scoreFrom {
                    warming = false
                    outlet.isScoring = true
                    engine.command(.openGate, at: scoreFrom)
                }
                if !warming {
                    score.advance(to: time)
                    outlet.index = scored
                    scored &+= 1
                }
                engine.accept(event, from: 0)
                let instrument = Int(event.pointee.instrument)
                switch UInt32(event.pointee.kind) {
                case KEEL_EV_TRADE:
                    score.mark(instrument, price: at0(event, keel_ev_trade.self).pointee.price)
                    quoted[instrument] = false
                case KEEL_EV_BAR:
                    let bar = at0(event, keel_ev_bar.self)
                    score.mark(instrument, price: bar.pointee.bar.close)
                    quoted[instrument] = false
                case KEEL_EV_QUOTE where quoted[instrument]:
                    let quote = at0(event, keel_ev_quote.self)
                    if quote.pointee.bid > 0, quote.pointee.ask > 0 { score.mark(instrument, price: quote.pointee.bid &+ (quote.pointee.ask &- quote.pointee.bid) / 2) }
                default: break
                }
                index &+= 1
            }
            sinceReport += (span.end - span.start)
            if sinceReport > 4 << 20 {
                sinceReport = 0
                if let progress, !progress(index, total) { throw BacktestError.stopped }
            }
        }
        if lane.due <= engine.now { attend(lane, engine, queue, until: engine.now) }
        outlet.index = max(0, scored - 1)
        engine.command(.stop, at: engine.now)
        score.finish()
        let engineEnd = Self.clock()
        let processorEnd = Self.clock(CLOCK_THREAD_CPUTIME_ID)

        var result = BacktestResult()
        result.pipelines = pipelines.map(\.name)
        result.instruments = instruments.map(\.symbol)
        result.currency = pipelines.first?.currency ?? ""
        result.tapes = request.tapes.map(\.path)
        result.seed = request.manifest.seed
        result.from = scoreFrom
        result.to = engine.now
        result.events = scored
        result.meanGap = scored > 0 ? (engine.now - scoreFrom) / Int64(max(1, scored / max(1, traded.count))) : 0
        score.write(to: &result)
        fill(&result, outlet, services)
        for host in hosts where request.recorders.contains(host.name) {
            guard let text = (try? lane.calling { try host.describe() }).flatMap({ $0 }) else { continue }
            result.descriptions[host.name] = try? JSONValue(parsing: text)
        }
        result.engineSeconds = Double(engineEnd - engineStart) / 1e9
        result.engineProcessorSeconds = Double(processorEnd - processorStart) / 1e9
        if request.charts { result.prices = try Self.prices(request, traded: traded, from: scoreFrom, to: engine.now) }
        result.wholeSeconds = Double(Self.clock() - wallStart) / 1e9
        return result
    }

    @inline(__always)
    private func at0<T>(_ event: UnsafePointer<keel_event>, _ type: T.Type) -> UnsafePointer<T> { UnsafeRawPointer(event).assumingMemoryBound(to: type) }

    /// Timers and wakes of the instances, in order with the engine's own.
    @inline(never)
    private func attend(_ lane: BacktestLane, _ engine: Engine, _ queue: BacktestServices?, until time: Int64) {
        while lane.due <= time {
            if lane.hasWakes {
                lane.deliverWakes()
            } else if let due = lane.nextTimer {
                engine.advance(to: due)
                lane.advance(to: due)
            } else {
                return
            }
            if let queue { Self.drain(queue, engine) }
        }
        lane.settle(at: time)
    }

    private static func drain(_ queue: BacktestServices, _ engine: Engine) {
        while !queue.waiting.isEmpty {
            let batch = queue.waiting
            queue.waiting = []
            for (port, bytes) in batch {
                bytes.withUnsafeBytes { raw in
                    guard let base = raw.baseAddress else { return }
                    engine.accept(base.assumingMemoryBound(to: keel_event.self), from: port)
                }
            }
        }
    }

    private func capital(_ outlet: BacktestOutlet) -> Amount {
        var sum = Amount.zero
        var fromVenue: Set<String> = []
        for pipeline in pipelines {
            if let capital = pipeline.capital {
                sum = (try? sum.adding(capital)) ?? sum
            } else if fromVenue.insert(pipeline.broker).inserted, let balance = outlet.balances[pipeline.currency] {
                sum = (try? sum.adding(balance)) ?? sum
            }
        }
        return sum
    }

    private func fill(_ result: inout BacktestResult, _ outlet: BacktestOutlet, _ services: [BacktestServices]) {
        result.answers = outlet.decisions
        result.comparisons = outlet.comparisons.sorted { $0.key < $1.key }.map { (pipelines[$0.key].name, $0.value.comparison) }
        result.gates = outlet.gates.sorted { $0.key < $1.key }.flatMap { pipeline, all in
            all.sorted { $0.key < $1.key }.map { instrument, counters in
                (pipelines[pipeline].name, instrument > 0 && Int(instrument) <= result.instruments.count ? result.instruments[Int(instrument) - 1] : "", counters)
            }
        }
        result.refusals = outlet.refusals.map { ($0.key, $0.value) }.sorted { ($0.1, $1.0.rawValue) > ($1.1, $0.0.rawValue) }.map { (rule: $0.0, count: $0.1) }
        result.exits = ExitReason.allCases.compactMap { why in outlet.exits[why].map { (why: why, count: $0.count, profit: $0.profit) } }
        result.breakers = outlet.breakers
        result.takeovers = outlet.takeovers
        result.alerts = outlet.alerts
        result.rejectedOrders = outlet.rejected
        result.changes += substitutions
        for problem in services.flatMap(\.problems).prefix(5) {
            result.findings.append(Finding(.serious, "plugin", problem, advice: "The plugin reported this during the run; its results can't be relied on."))
        }
    }

    /// A second walk over the tapes for the price chart.
    private static func prices(_ request: Request, traded: Set<String>, from: Int64, to: Int64) throws -> [[BacktestResult.PriceBar]] {
        let instruments = request.manifest.instruments
        var charts = [[BacktestResult.PriceBar]](repeating: [], count: instruments.count)
        let step = max(1, (to - from) / 1200)
        for file in request.tapes {
            let numbers: [UInt32] = file.instruments.map { entry in
                instruments.firstIndex { (request.names[$0.symbol] ?? $0.symbol) == entry.symbol && traded.contains($0.symbol) }.map { UInt32($0 + 1) } ?? 0
            }
            let cursor = TapeCursor(file, from: from, to: request.to, numbers: numbers)
            while let span = try cursor.next() {
                span.forEach { event in
                    let number = Int(event.pointee.instrument)
                    guard number > 0 else { return }
                    let low: Int64
                    let high: Int64
                    let close: Int64
                    switch UInt32(event.pointee.kind) {
                    case KEEL_EV_TRADE:
                        close = UnsafeRawPointer(event).assumingMemoryBound(to: keel_ev_trade.self).pointee.price
                        (low, high) = (close, close)
                    case KEEL_EV_BAR:
                        let bar = UnsafeRawPointer(event).assumingMemoryBound(to: keel_ev_bar.self).pointee.bar
                        (low, high, close) = (bar.low, bar.high, bar.close)
                    case KEEL_EV_QUOTE:
                        let quote = UnsafeRawPointer(event).assumingMemoryBound(to: keel_ev_quote.self)
                        close = quote.pointee.bid / 2 + quote.pointee.ask / 2
                        (low, high) = (close, close)
                    default: return
                    }
                    guard low > 0 else { return }
                    let bucket = from + (event.pointee.at_host - from) / step * step
                    let place = number - 1
                    if let last = charts[place].indices.last, charts[place][last].time == bucket {
                        charts[place][last].low = min(charts[place][last].low, Double(low) * 1e-8)
                        charts[place][last].high = max(charts[place][last].high, Double(high) * 1e-8)
                        charts[place][last].close = Double(close) * 1e-8
                    } else {
                        charts[place].append(.init(time: bucket, open: Double(close) * 1e-8, high: Double(high) * 1e-8, low: Double(low) * 1e-8, close: Double(close) * 1e-8))
                    }
                }
            }
        }
        return charts
    }

    // MARK: tables

    static func record(_ instrument: InstrumentSettings, _ id: UInt32) -> InstrumentRecord {
        let entry = TapeInstrument(instrument)
        return InstrumentRecord(
            id: id, kind: entry.kind, symbol: instrument.symbol, venueSymbol: "", baseAsset: instrument.base, quoteAsset: instrument.quote, tick: instrument.tick,
            lot: instrument.lot, minQty: instrument.minimumQuantity, maxQty: instrument.maximumQuantity, multiplier: instrument.multiplier,
            minNotional: instrument.minimumNotional)
    }

    /// The tape in the place of a feed: nothing is ever asked of it.
    nonisolated(unsafe) private static let feedTable: UnsafePointer<keel_feed> = {
        let table = UnsafeMutablePointer<keel_feed>.allocate(capacity: 1)
        table.initialize(
            to: keel_feed(
                struct_size: UInt32(MemoryLayout<keel_feed>.size), reserved: 0, channels: UInt64(KEEL_CH_QUOTES | KEEL_CH_TRADES | KEEL_CH_BARS | KEEL_CH_VALUES),
                silence: 0, subscribe: nil, unsubscribe: nil))
        return UnsafePointer(table)
    }()

    static func clock(_ which: clockid_t = CLOCK_MONOTONIC) -> Int64 {
        var time = timespec()
        clock_gettime(which, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}
