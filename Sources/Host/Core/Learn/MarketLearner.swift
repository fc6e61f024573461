import Foundation
import PluginAPI
import PluginKit

/// What the host learns: regimes of each instrument, the macro quadrant, the signals' chances, and what similar trades brought.
///
/// Deterministic: a refit begins at a day's close and is adopted at the next one, however fast the machine is.
public final class MarketLearner: Learner {
    public static let version = 1
    /// Days between two refits.
    public static let refitEvery = 7

    private struct Market: Codable, Equatable {
        var returns = DailyReturns()
        var tracker = RegimeTracker()
        var daysSinceFit = MarketLearner.refitEvery
        /// The window a refit is under way on: it begins again after a restart.
        var fitting: [Double]?
    }

    private struct Saved: Codable {
        var version: Int
        var markets: [String: Market]
        var macro: MacroQuadrant
        var situations: Situations
        var signals: [UInt8]
    }

    private let settings: LearnerSettings
    private let fit: RegimeFit
    private var markets: [String: Market] = [:]
    private var refits: [String: RegimeRefit] = [:]
    private var macro = MacroQuadrant()
    private var situations = Situations()
    private(set) public var signals: SignalLearner
    /// Why the last fit of an instrument was not taken, for `keel learner show`.
    public private(set) var refusals: [String: RegimeRefusal] = [:]

    public init(_ settings: LearnerSettings = LearnerSettings(), fit: RegimeFit = RegimeFit()) {
        self.settings = settings
        self.fit = fit
        signals = SignalLearner(settings)
    }

    private func key(_ pipeline: Int, _ instrument: keel_instrument_id) -> String { "\(pipeline)/\(instrument)" }

    public func barClosed(pipeline: Int, instrument: keel_instrument_id, bar: keel_bar, duration: Int64) -> Regimes {
        let key = key(pipeline, instrument)
        var market = markets[key] ?? Market()
        let close = bar.open_time.addingReportingOverflow(duration)
        if !close.overflow, let change = market.returns.add(close: Fixed(raw: bar.close).double, at: close.partialValue) {
            dayEnded(&market, key, change)
        }
        markets[key] = market
        return regimes(market)
    }

    private func dayEnded(_ market: inout Market, _ key: String, _ change: Double) {
        market.tracker.observe(change)
        if let window = market.fitting {
            let refit = refits.removeValue(forKey: key) ?? RegimeRefit(window, fit)
            market.fitting = nil
            switch refit.result() {
            case .success(let model):
                market.tracker.adopt(model, window: market.returns.returns)
                refusals[key] = nil
            case .failure(let why): refusals[key] = why
            }
        }
        market.daysSinceFit += 1
        if market.daysSinceFit >= Self.refitEvery, market.returns.returns.count >= fit.minimumCount {
            market.daysSinceFit = 0
            market.fitting = market.returns.returns
            refits[key] = RegimeRefit(market.returns.returns, fit)
        }
    }

    private func regimes(_ market: Market) -> Regimes {
        var regimes = Regimes()
        switch market.tracker.label {
        case .unknown: regimes.regime = KEEL_REGIME_UNKNOWN
        case .calm: regimes.regime = KEEL_REGIME_CALM
        case .volatile: regimes.regime = KEEL_REGIME_VOLATILE
        }
        if let probability = market.tracker.probability {
            regimes.probability = market.tracker.label == .volatile ? probability : 1 - probability
        }
        regimes.macro = macro.quadrant
        regimes.macroProbability = macro.probability
        return regimes
    }

    public func valueArrived(pipeline: Int, instrument: keel_instrument_id, name: String, value: Double, time: Int64) -> Regimes? {
        // Without its period and release a figure can't be dated; the overload below has them.
        nil
    }

    /// A macro figure with its dates. True: the quadrant changed.
    @discardableResult
    public func figureArrived(_ name: String, _ figure: MacroFigure, at time: Int64) -> Bool { macro.add(name, figure, at: time) }

    public func weights(pipeline: Int, instrument: keel_instrument_id, regimes: Regimes) -> [SignalWeight] { signals.weights(regime: regimes.regime) }

    public func similar(pipeline: Int, instrument: keel_instrument_id, regimes: Regimes) -> String {
        let volatility = markets[key(pipeline, instrument)]?.returns.volatility ?? 1
        return situations.words(regime: regimes.regime, macro: regimes.macro, volatility: volatility, symbol: Int(instrument))
    }

    public func tradeClosed(_ trade: ClosedTrade) {
        let profit = trade.profit.double
        signals.learn(profit: profit, side: trade.side, regime: trade.regime, signals: trade.signals)
        let spoke = trade.signals.filter { $0.direction == trade.side }.map(\.name).sorted()
        situations.add(
            Situation(
                symbol: Int(trade.instrument), regime: trade.regime, macro: macro.quadrant,
                volatility: markets[key(trade.pipeline, trade.instrument)]?.returns.volatility ?? 1, signals: spoke, side: trade.side, profit: profit,
                hours: Double(trade.closed - trade.opened) / Double(Span.hour)))
    }

    public func save() -> [UInt8] {
        let saved = Saved(version: Self.version, markets: markets, macro: macro, situations: situations, signals: signals.save())
        return (try? StateCoding.bytes(saved)) ?? []
    }

    public func load(_ bytes: [UInt8]) -> Bool {
        guard let saved = try? StateCoding.value(Saved.self, from: bytes), saved.version == Self.version,
            let signals = SignalLearner(saved.signals, settings: settings)
        else { return false }
        markets = saved.markets
        macro = saved.macro
        situations = saved.situations
        self.signals = signals
        refits = [:]
        for (key, market) in markets { if let window = market.fitting { refits[key] = RegimeRefit(window, fit) } }
        return true
    }
}
