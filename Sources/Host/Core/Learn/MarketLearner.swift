import Foundation
import PluginAPI
import PluginKit

/// What the host learns: regimes of each instrument, the macro quadrant, the signals' chances in each pipeline, and what
/// similar trades brought.
///
/// Deterministic: a refit begins at a day's close and is adopted at the next one, however fast the machine is. State is kept
/// under the names of pipelines and instruments, so that a changed manifest finds what is still its own.
public final class MarketLearner: Learner {
    public static let version = 1

    /// An instrument of a pipeline.
    public struct Place: Sendable, Equatable {
        public var pipeline: String
        public var symbol: String
        public var settings: LearnSettings
        public init(pipeline: String, symbol: String, settings: LearnSettings = LearnSettings()) {
            self.pipeline = pipeline
            self.symbol = symbol
            self.settings = settings
        }

        var key: String { "\(pipeline)/\(symbol)" }
    }

    private struct Market: Codable, Equatable {
        var returns = DailyReturns()
        var tracker = RegimeTracker()
        var daysSinceFit = 1_000_000
        /// The window a refit is under way on: it begins again after a restart.
        var fitting: [Double]?
        /// Why the last fit was not taken.
        var refusal = ""
    }

    private struct Saved: Codable {
        var version: Int
        var markets: [String: Market]
        var macro: MacroQuadrant
        var situations: Situations
        var signals: [String: SignalLearner.Saved]
    }

    private let places: [Place]
    private let fit: RegimeFit
    private var markets: [String: Market] = [:]
    private var refits: [String: RegimeRefit] = [:]
    private var macro = MacroQuadrant()
    private var situations = Situations()
    private var signals: [String: SignalLearner] = [:]
    /// Of pipelines the plan doesn't have now: kept for the day they are back.
    private var others: [String: SignalLearner.Saved] = [:]
    public private(set) var revision: UInt64 = 0

    public init(_ places: [Place], fit: RegimeFit = RegimeFit()) {
        self.places = places
        self.fit = fit
        begin()
    }

    /// For a plan; nil: none of its pipelines learns, or none has a decider that asks for weights.
    convenience init?(_ plan: EnginePlan) {
        let asking = Set(plan.ports.filter { ($0.decider?.pointee.wants ?? 0) & KEEL_WANT_WEIGHTS != 0 }.map(\.name))
        let learns = plan.pipelines.contains { Self.learns($0, asking: asking) }
        guard learns else { return nil }
        self.init(
            plan.pipelines.flatMap { pipeline in pipeline.instruments.map { Place(pipeline: pipeline.name, symbol: $0, settings: pipeline.learn) } })
    }

    static func learns(_ pipeline: PipelineSettings, asking: Set<String>) -> Bool {
        pipeline.learn.isEnabled && ([pipeline.chain.primary] + pipeline.chain.fallbacks).contains(where: asking.contains)
    }

    private func begin() {
        markets = [:]
        signals = [:]
        for place in places {
            markets[place.key] = Market()
            if signals[place.pipeline] == nil { signals[place.pipeline] = SignalLearner(place.settings.signals) }
        }
    }

    // MARK: the market

    public func dayEnded(book: Int, change: Double) {
        guard places.indices.contains(book), change.isFinite else { return }
        let place = places[book]
        var market = markets[place.key] ?? Market()
        market.returns.add(change)
        market.tracker.observe(change)
        refit(&market, place)
        markets[place.key] = market
        revision &+= 1
    }

    private func refit(_ market: inout Market, _ place: Place) {
        if let window = market.fitting {
            let refit = refits.removeValue(forKey: place.key) ?? RegimeRefit(window, fit)
            market.fitting = nil
            switch refit.result() {
            case .success(let model):
                market.tracker.adopt(model, window: market.returns.returns)
                market.refusal = ""
            case .failure(let why): market.refusal = why.description
            }
        }
        market.daysSinceFit += 1
        guard let days = place.settings.refitDays, market.daysSinceFit >= days, market.returns.returns.count >= fit.minimumCount else { return }
        market.daysSinceFit = 0
        market.fitting = market.returns.returns
        refits[place.key] = RegimeRefit(market.returns.returns, fit)
    }

    public func figureArrived(_ name: String, _ figure: MacroFigure, at time: Int64) -> Bool {
        guard MacroQuadrant.uses(name) else { return false }
        let before = (macro.quadrant, macro.series[name])
        let changed = macro.add(name, figure, at: time)
        if before.1 != macro.series[name] { revision &+= 1 }
        return changed
    }

    public func regimes(book: Int) -> Regimes {
        var regimes = Regimes()
        regimes.macro = macro.quadrant
        regimes.macroProbability = macro.probability
        guard places.indices.contains(book), let market = markets[places[book].key] else { return regimes }
        regimes.volatility = market.returns.volatility
        switch market.tracker.label {
        case .unknown: regimes.regime = KEEL_REGIME_UNKNOWN
        case .calm: regimes.regime = KEEL_REGIME_CALM
        case .volatile: regimes.regime = KEEL_REGIME_VOLATILE
        }
        if let probability = market.tracker.probability {
            regimes.probability = market.tracker.label == .volatile ? probability : 1 - probability
        }
        return regimes
    }

    // MARK: trades

    public func weights(book: Int, regime: UInt32, at time: Int64) -> [SignalWeight] {
        guard places.indices.contains(book) else { return [] }
        return signals[places[book].pipeline]?.weights(regime: regime, stream: "learner/\(places[book].key)/\(time)") ?? []
    }

    public func similar(book: Int) -> String {
        guard places.indices.contains(book) else { return "" }
        let regimes = regimes(book: book)
        return situations.words(regime: regimes.regime, macro: regimes.macro, volatility: regimes.volatility, symbol: places[book].symbol)
    }

    public func tradeClosed(_ trade: ClosedTrade) {
        guard places.indices.contains(trade.book) else { return }
        let place = places[trade.book]
        let profit = trade.profit.double
        signals[place.pipeline]?.learn(profit: profit, side: trade.side, regime: trade.opening.regime, signals: trade.signals)
        let spoke = trade.signals.filter { $0.direction == trade.side }.map(\.name).sorted()
        situations.add(
            Situation(
                symbol: place.symbol, regime: trade.opening.regime, macro: trade.opening.macro, volatility: trade.opening.volatility, signals: spoke,
                side: trade.side, profit: profit, hours: Double(trade.closed - trade.opened) / Double(Span.hour)))
        revision &+= 1
    }

    // MARK: surviving a restart, whole

    public func save() -> [UInt8] {
        let learned = others.merging(signals.mapValues(\.saved)) { $1 }
        return (try? StateCoding.bytes(Saved(version: Self.version, markets: markets, macro: macro, situations: situations, signals: learned))) ?? []
    }

    public func load(_ bytes: [UInt8]) -> Bool {
        guard let saved = try? StateCoding.value(Saved.self, from: bytes), saved.version == Self.version else { return false }
        var learned: [String: SignalLearner] = [:]
        for place in places where learned[place.pipeline] == nil {
            guard let kept = saved.signals[place.pipeline] else { continue }
            guard let learner = SignalLearner(kept, settings: place.settings.signals) else { return false }
            learned[place.pipeline] = learner
        }
        begin()
        refits = [:]
        // What belongs to no place of this plan stays, for the day it is back.
        markets.merge(saved.markets) { $1 }
        signals.merge(learned) { $1 }
        others = saved.signals.filter { signals[$0.key] == nil }
        macro = saved.macro
        situations = saved.situations
        for place in places {
            if let window = markets[place.key]?.fitting, refits[place.key] == nil { refits[place.key] = RegimeRefit(window, fit) }
        }
        revision &+= 1
        return true
    }
}

// MARK: for people

/// The learner's state in words and numbers, read from its saved bytes.
public struct LearnerView: Sendable, Equatable, Codable {
    public struct Market: Sendable, Equatable, Codable {
        public var name: String
        /// unknown, calm or volatile.
        public var regime: String
        public var probability: Double?
        public var days: Int
        public var daysSinceFit: Int?
        public var volatility: String
        /// Mean and deviation in percent a day, and the days it lasts on average; calm first. Empty: no model.
        public var states: [State]
        public var refusal: String
        public struct State: Sendable, Equatable, Codable {
            public var mean: Double
            public var deviation: Double
            public var stay: Double
        }
    }

    public struct Signal: Sendable, Equatable, Codable {
        public var pipeline: String
        public var signal: String
        /// unknown, calm, volatile; "all" for the discounted sums over all of them.
        public var regime: String
        public var alpha: Double
        public var beta: Double
        public var mean: Double
        public var samples: Double
        public var enough: Bool
    }

    public var markets: [Market] = []
    public var macro = ""
    public var macroProbability: Double?
    public var signals: [Signal] = []
    /// Closed trades that were learned from, by pipeline.
    public var trades: [String: Int] = [:]
    public var situations = 0

    static func word(_ regime: UInt32) -> String { regime == KEEL_REGIME_CALM ? "calm" : regime == KEEL_REGIME_VOLATILE ? "volatile" : "unknown" }
}

extension MarketLearner {
    /// Nil: the bytes are no learner's state.
    public static func view(_ bytes: [UInt8], settings: [String: LearnSettings]) -> LearnerView? {
        guard let saved = try? StateCoding.value(Saved.self, from: bytes), saved.version == version else { return nil }
        var view = LearnerView()
        let quadrants = ["unknown", "goldilocks", "reflation", "stagflation", "slowdown"]
        view.macro = Int(saved.macro.quadrant) < quadrants.count ? quadrants[Int(saved.macro.quadrant)] : "unknown"
        view.macroProbability = saved.macro.probability.isFinite ? saved.macro.probability : nil
        view.situations = saved.situations.list.count
        for (name, market) in saved.markets.sorted(by: { $0.key < $1.key }) {
            let tracker = market.tracker
            view.markets.append(
                LearnerView.Market(
                    name: name, regime: tracker.label == .calm ? "calm" : tracker.label == .volatile ? "volatile" : "unknown",
                    probability: tracker.probability.map { tracker.label == .volatile ? $0 : 1 - $0 }, days: market.returns.returns.count,
                    daysSinceFit: tracker.model == nil ? nil : market.daysSinceFit, volatility: ["quiet", "usual", "wild"][Int(min(market.returns.volatility, 2))],
                    states: tracker.model.map { model in
                        (0..<2).map { .init(mean: model.mean[$0], deviation: model.variance[$0].squareRoot(), stay: model.expectedStay($0)) }
                    } ?? [], refusal: market.refusal))
        }
        for (pipeline, kept) in saved.signals.sorted(by: { $0.key < $1.key }) {
            guard let learner = SignalLearner(kept, settings: settings[pipeline]?.signals ?? LearnerSettings()) else { return nil }
            view.trades[pipeline] = learner.trades
            for (name, counts) in learner.counts.sorted(by: { $0.key < $1.key }) {
                let all = counts.all
                let known = learner.isKnown(name)
                view.signals.append(
                    LearnerView.Signal(
                        pipeline: pipeline, signal: name, regime: "all", alpha: learner.settings.prior.a + all.wins, beta: learner.settings.prior.b + all.losses,
                        mean: Beta(a: learner.settings.prior.a + all.wins, b: learner.settings.prior.b + all.losses).mean, samples: all.total, enough: known))
                for (regime, count) in counts.regimes.sorted(by: { $0.key < $1.key }) {
                    let beta = learner.posterior(name, regime: regime)
                    view.signals.append(
                        LearnerView.Signal(
                            pipeline: pipeline, signal: name, regime: LearnerView.word(regime), alpha: beta.a, beta: beta.b, mean: beta.mean, samples: count.total,
                            enough: known))
                }
            }
        }
        return view
    }
}
