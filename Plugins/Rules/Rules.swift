import PluginAPI
import PluginKit

/// The fallback decider: five signals, one weighted score, a size from the range. It remembers nothing, so the same snapshot
/// always gets the same answer.
final class Rules: Decider, Describing {
    static let wants: Wants = [.bars, .weights]
    static let barsWanted: UInt32 = 240

    private static func weights(_ name: String, _ about: String, _ values: [Double]) -> ConfigShape.Property {
        .group(
            name, about,
            zip(SignalName.allCases, values).map { signal, value in
                .number(signal.rawValue, "Weight of the signal \(signal.rawValue).", in: 0...10, default: value)
            })
    }

    static let config = ConfigShape([
        .span("bar", "Length of the bars to look at; \"0s\" takes the shortest in the snapshot.", default: "0s"),
        .whole("fast", "Bars of the trend's fast average.", in: 2...100, default: 12),
        .whole("slow", "Bars of the trend's slow average.", in: 2...200, default: 26),
        .whole("reversion", "Bars of the mean that prices revert to.", in: 2...200, default: 20),
        .whole("momentum", "Bars the momentum looks back.", in: 1...200, default: 10),
        .whole("channel", "Bars of the channel that volatility breaks out of.", in: 2...200, default: 20),
        .whole("volume", "Bars that say what volume is usual.", in: 2...200, default: 20),
        .whole("atr", "Bars of the average true range.", in: 1...200, default: 14),
        weights("weights", "How much each signal counts.", [0.3, 0.2, 0.25, 0.1, 0.15]),
        weights("calm", "Factors on the weights in a calm market, where the learner has no opinion yet.", [0.9, 1.25, 0.9, 0.8, 1]),
        weights("volatile", "Factors on the weights in a volatile market, where the learner has no opinion yet.", [1.1, 0.6, 1.1, 1.3, 1]),
        .choice(
            "learner", "What to use of the learner's weights: each round's draw (explores), the mean (doesn't), or nothing.",
            of: ["draw", "mean", "off"], default: "draw"),
        .number("observations", "Observations before the learner's weight of a signal counts.", in: 0...1000, default: 10),
        .number("enter", "Score that opens a position.", in: 0.01...1, default: 0.2),
        .number("leave", "Exit probability that closes one.", in: 0.01...1, default: 0.6),
        .decimal("risk", "Fraction of the equity lost if the price moves against us by \"stop\" ranges.", .fraction, default: "0.01"),
        .number("stop", "Average true ranges from entry to where the trade was wrong.", in: 0.1...50, default: 2),
    ])

    private let duration: Int64
    private let lengths: Lengths
    private let weighing: Weighing
    private let enter: Double
    private let leave: Double
    private let risk: Double
    private let stop: Double

    init(host: Host, name: String, config: JSONValue) throws {
        duration = try config["bar"].span
        lengths = Lengths(
            fast: try config["fast"].int, slow: try config["slow"].int, reversion: try config["reversion"].int,
            momentum: try config["momentum"].int, channel: try config["channel"].int, volume: try config["volume"].int,
            atr: try config["atr"].int)
        weighing = try Weighing(config)
        enter = try config["enter"].double
        leave = try config["leave"].double
        risk = try config["risk"].fixed.double
        stop = try config["stop"].double
    }

    func decide(_ snapshot: Snapshot, deadline: Int64, _ request: Request) throws {
        request.answer(try answer(snapshot), to: snapshot)
    }

    private func answer(_ snapshot: Snapshot) throws -> Decision {
        guard let series = duration == 0 ? snapshot.series.first : snapshot.series(of: duration) else {
            return silent("no bars of the length wanted")
        }
        guard let bars = Bars(series.bars) else { return silent("a bar without a price") }
        guard let signals = Signals(bars, lengths) else {
            return silent("\(bars.count) bars say nothing yet: \(lengths.needed) that move are needed")
        }
        let weights = weighing.weights(snapshot)
        let score = signals.score(weights)
        var decision: Decision
        switch snapshot.purpose {
        case .review where !snapshot.position.isZero: decision = try review(snapshot, signals, score, bars.last)
        default: decision = try entry(snapshot, signals, score, bars.last)
        }
        decision.signals = try SignalName.allCases.compactMap { name in
            let value = signals.values[name] ?? 0
            if value == 0 { return nil }
            return Decision.Signal(name.rawValue, confidence: try ratio(abs(value)), direction: value > 0 ? 1 : -1)
        }
        decision.model = "keel.rules"
        decision.nextCheck = series.duration
        decision.validUntil = snapshot.now.addingReportingOverflow(series.duration).partialValue
        let move = signals.atr / max(bars.last, .leastNormalMagnitude)
        if move > 0, move < 1 { decision.wakes = [.move(try ratio(move))] }
        decision.reason = "score \(short(score)) from \(bars.count) bars: " + decision.reason
        for name in SignalName.allCases { decision.reason += ", \(name.rawValue) \(short(signals.values[name] ?? 0))" }
        return decision
    }

    private func silent(_ why: String) -> Decision {
        var decision = Decision(.hold)
        decision.reason = why
        decision.model = "keel.rules"
        return decision
    }

    /// Open, or leave what points the other way.
    private func entry(_ snapshot: Snapshot, _ signals: Signals, _ score: Double, _ price: Double) throws -> Decision {
        let position = snapshot.position
        var decision = Decision(.hold)
        decision.confidence = try ratio(abs(score))
        guard abs(score) >= enter else {
            decision.confidence = try ratio(1 - abs(score))
            decision.reason = "below the \(short(enter)) that opens a position"
            return decision
        }
        let up = score > 0
        if !position.isZero, position.isPositive == up {
            decision.reason = "the position stands that way already"
        } else if !position.isZero {
            guard up ? snapshot.mayBuy : snapshot.maySell else {
                decision.reason = "against the position, but closing is not allowed"
                return decision
            }
            decision = Decision(up ? .buy : .sell)
            decision.confidence = try ratio(abs(score))
            decision.fraction = .one
            decision.exitProbability = try ratio(abs(score))
            decision.reason = "against the position: close it"
        } else if up ? snapshot.mayBuy : snapshot.maySell && snapshot.mayShort {
            let fraction = try size(snapshot, signals, abs(score), price)
            guard fraction.isPositive else {
                decision.reason = "the limits leave no room"
                return decision
            }
            decision = Decision(up ? .buy : .sell)
            decision.confidence = try ratio(abs(score))
            decision.fraction = fraction
            decision.reason = "\(up ? "buy" : "sell") \(fraction) of the equity, wrong at \(short(stop)) ranges"
        } else {
            decision.reason = up ? "buying is not allowed" : "selling short is not allowed"
        }
        return decision
    }

    /// The fraction of the equity that loses `risk` of it when the price moves `stop` ranges, less for a weak score, within the limits.
    private func size(_ snapshot: Snapshot, _ signals: Signals, _ strength: Double, _ price: Double) throws -> Fixed {
        let wanted = risk * price / (stop * signals.atr) * (0.5 + 0.5 * strength)
        var fraction = try ratio(clamped(wanted))
        let most = snapshot.pointer.pointee
        fraction = min(fraction, Fixed(raw: max(most.max_fraction, 0)))
        if most.kelly_cap > 0 { fraction = min(fraction, Fixed(raw: most.kelly_cap)) }
        return fraction
    }

    /// How likely it is that leaving is right: the score against the position, the loss and what was given back, in ranges.
    private func review(_ snapshot: Snapshot, _ signals: Signals, _ score: Double, _ close: Double) throws -> Decision {
        let long = snapshot.position.isPositive
        let side = long ? 1.0 : -1.0
        let price = snapshot.last.isPositive ? snapshot.last.double : close
        let room = stop * signals.atr
        let entry = snapshot.entry.isPositive ? snapshot.entry.double : price
        let peak = snapshot.peak.isPositive ? snapshot.peak.double : price
        let against = clamped(0.5 - 0.5 * side * score)
        let loss = clamped(side * (entry - price) / room)
        let back = clamped(side * (peak - price) / room)
        let probability = clamped(0.6 * against + 0.25 * loss + 0.15 * back)
        let allowed = long ? snapshot.maySell : snapshot.mayBuy
        let leaves = probability >= leave && allowed
        var decision = Decision(leaves ? (long ? .sell : .buy) : .hold)
        decision.exitProbability = try ratio(probability)
        decision.confidence = try ratio(leaves ? probability : 1 - probability)
        decision.fraction = leaves ? .one : .zero
        decision.reason =
            "exit probability \(short(probability)) (against \(short(against)), loss \(short(loss)), given back \(short(back)))"
            + (probability >= leave && !allowed ? ", but closing is not allowed" : "")
        return decision
    }

    func describe() -> JSONValue {
        [
            "bars_needed": JSONValue(lengths.needed), "enter": JSONValue(enter), "leave": JSONValue(leave),
            "weights": weighing.described,
        ]
    }
}

/// The weight of each signal in a given market.
struct Weighing {
    private enum Learner { case draw, mean, off }
    private let base: [SignalName: Double]
    private let calm: [SignalName: Double]
    private let volatile: [SignalName: Double]
    private let learner: Learner
    private let observations: Double

    init(_ config: JSONValue) throws {
        func read(_ group: String) throws -> [SignalName: Double] {
            var weights: [SignalName: Double] = [:]
            for name in SignalName.allCases { weights[name] = try config[group][name.rawValue].double }
            return weights
        }
        base = try read("weights")
        calm = try read("calm")
        volatile = try read("volatile")
        learner =
            switch try config["learner"].text {
            case "mean": .mean
            case "off": .off
            default: .draw
            }
        observations = try config["observations"].double
    }

    /// Base weight times what the learner has seen of the signal in this regime (an even chance counts 1, a sure thing 2);
    /// where it has seen too little, times the regime's own factor.
    func weights(_ snapshot: Snapshot) -> [SignalName: Double] {
        let learned = learner == .off ? [] : snapshot.weights
        let factors: [SignalName: Double]? =
            switch snapshot.pointer.pointee.regime {
            case KEEL_REGIME_CALM: calm
            case KEEL_REGIME_VOLATILE: volatile
            default: nil
            }
        var weights: [SignalName: Double] = [:]
        for name in SignalName.allCases {
            var weight = base[name] ?? 0
            if let known = learned.first(where: { $0.signal == name.rawValue }), known.observations >= observations {
                let chance = learner == .draw ? known.draw : known.mean
                weight *= chance.isFinite ? 2 * clamped(chance) : 1
            } else if let factor = factors?[name] {
                weight *= factor
            }
            weights[name] = weight
        }
        return weights
    }

    var described: JSONValue {
        var object = JSONObject()
        for name in SignalName.allCases { object[name.rawValue] = JSONValue(base[name] ?? 0) }
        return JSONValue(object)
    }
}

extension Bars {
    /// nil if a bar has no price: nothing is concluded from broken data.
    init?(_ bars: FlatList<keel_bar>) {
        for bar in bars {
            guard bar.open > 0, bar.high > 0, bar.low > 0, bar.close > 0 else { return nil }
            open.append(Fixed(raw: bar.open).double)
            high.append(Fixed(raw: bar.high).double)
            low.append(Fixed(raw: bar.low).double)
            close.append(Fixed(raw: bar.close).double)
            volume.append(max(Amount(bar.volume).double, 0))
        }
    }
}

/// A number from 0 to 1 as the contract writes it.
private func ratio(_ value: Double) throws -> Fixed { try Fixed(nearest: clamped(value)) }

/// Two decimals, for people.
private func short(_ value: Double) -> String {
    guard let hundredths = try? Fixed(nearest: value).rounded(to: Fixed(raw: 1_000_000), .halfAwayFromZero) else { return "?" }
    return hundredths.description
}

private let library = Library(
    Component(
        Rules.self, id: "keel.rules", name: "Rules", vendor: "Keel", version: "1.0.0", license: "MIT", config: Rules.config,
        flags: [.inline, .deterministic]
    )
    .decider()
    .describe())

@c @implementation
public func keel_plugin_entry(_ major: UInt32) -> UnsafePointer<keel_library>! { library.table(major) }
