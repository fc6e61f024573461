import PluginAPI
import PluginKit

/// The price levels that protect a position. Zero: none. A long is left when the price falls to one, a short when it rises to one.
public struct ExitLevels: Sendable, Equatable {
    public var stop = Fixed.zero
    public var trail = Fixed.zero
    public var hard = Fixed.zero
    public init() {}
}

/// The settings that make levels, without anything that is counted by reference: they are looked at on many ticks.
public struct ExitRules: Sendable, Equatable {
    public var stopLoss: Fixed?
    public var trailing: Fixed?
    public var trailingActivation: Fixed
    public var atrMultiple: Double?
    public init(_ settings: PositionSettings) {
        stopLoss = settings.stopLoss
        trailing = settings.trailing
        trailingActivation = settings.trailingActivation
        atrMultiple = settings.atrMultiple
    }
}

extension PositionState {
    public var isLong: Bool { quantity.isPositive }
    public var isOpen: Bool { !quantity.isZero }

    /// Levels in force now. A level that cannot be computed (it leaves the range of a price) is left out.
    public func levels(_ rules: ExitRules) -> ExitLevels {
        var levels = ExitLevels()
        guard isOpen, entry.isPositive else { return levels }
        if let fraction = rules.stopLoss { levels.stop = level(from: entry, against: fraction) ?? .zero }
        if let fraction = rules.trailing, hasActivated(rules.trailingActivation) {
            levels.trail = level(from: peak, against: fraction) ?? .zero
        }
        levels.hard = hardStop
        return levels
    }

    /// Whether the best price since entry has gained as much.
    public func hasActivated(_ activation: Fixed) -> Bool {
        guard entry.isPositive, peak.isPositive, let trigger = level(from: entry, towards: activation) else { return false }
        return isLong ? peak >= trigger : peak <= trigger
    }

    /// A price moved by a fraction of itself against the position, or in its favour.
    func level(from price: Fixed, against fraction: Fixed) -> Fixed? {
        guard let distance = try? price.multiplied(by: fraction),
            let level = isLong ? try? price.subtracting(distance) : try? price.adding(distance), level.isPositive
        else { return nil }
        return level
    }

    func level(from price: Fixed, towards fraction: Fixed) -> Fixed? {
        guard let distance = try? price.multiplied(by: fraction),
            let level = isLong ? try? price.adding(distance) : try? price.subtracting(distance), level.isPositive
        else { return nil }
        return level
    }

    /// The level a market range has crossed, the first it met on the way if there were several; nil: none.
    public func crossed(_ rules: ExitRules, low: Fixed, high: Fixed) -> (why: ExitReason, level: Fixed)? {
        let levels = levels(rules)
        var found: (why: ExitReason, level: Fixed)?
        func look(_ why: ExitReason, _ level: Fixed) {
            guard level.isPositive, isLong ? low <= level : high >= level else { return }
            if let other = found, isLong ? other.level >= level : other.level <= level { return }
            found = (why, level)
        }
        look(.hardStop, levels.hard)
        look(.stopLoss, levels.stop)
        look(.trailingStop, levels.trail)
        return found
    }

    /// Moves the hard stop to so many average true ranges from entry, if that is tighter. True when it moved.
    public mutating func tighten(_ rules: ExitRules, atr: Double?) -> Bool {
        guard isOpen, let multiple = rules.atrMultiple, let atr, atr > 0, let distance = try? Fixed(nearest: multiple * atr),
            let candidate = isLong ? try? entry.subtracting(distance) : try? entry.adding(distance), candidate.isPositive
        else { return false }
        if hardStop.isZero || (isLong ? candidate > hardStop : candidate < hardStop) {
            hardStop = candidate
            return true
        }
        return false
    }

    /// Takes in a market range; true when the best price moved.
    public mutating func see(low: Fixed, high: Fixed) -> Bool {
        guard isOpen else { return false }
        let best = isLong ? high : low
        guard best.isPositive, peak.isZero || (isLong ? best > peak : best < peak) else { return false }
        peak = best
        return true
    }

    /// The price that triggers a stage.
    public func trigger(of stage: PositionSettings.Stage) -> Fixed? { level(from: entry, towards: stage.gain) }

    /// Stages the price has reached and the quantity they close together: whole lots, and only once it is enough for an
    /// order; until then they wait for the next. A set that adds up to everything closes everything.
    public func reachedStages(_ stages: [PositionSettings.Stage], price: Fixed, instrument: Instrument) -> (mask: UInt64, quantity: Fixed)? {
        var mask = stagesDone
        var share: Int64 = 0
        for (index, stage) in stages.prefix(64).enumerated() {
            if stagesDone & (1 << UInt64(index)) != 0 {
                share = share &+ stage.fraction.raw
                continue
            }
            guard let trigger = trigger(of: stage), isLong ? price >= trigger : price <= trigger else { continue }
            mask |= 1 << UInt64(index)
            share = share &+ stage.fraction.raw
        }
        guard mask != stagesDone else { return nil }
        let closing = Fixed(raw: min(max(share, 0), KEEL_ONE_FIXED))
        guard let target = try? initialQuantity.multiplied(by: closing, rounding: .down),
            let due = try? target.subtracting(stagedQuantity), let held = try? quantity.magnitude(), due.isPositive,
            let wanted = try? min(due, held).fixed(), let lots = try? wanted.rounded(to: instrument.lot, .down)
        else { return nil }
        let all = closing >= .one
        guard let amount = all ? try? Sizing.exit(of: quantity, fraction: .one, quantity: .zero, instrument: instrument) : lots,
            instrument.problem(quantity: amount, price: price) == nil
        else { return nil }
        return (mask, amount)
    }

    /// Unrealised profit at a price.
    public func unrealised(at price: Fixed, instrument: Instrument) -> Amount {
        guard isOpen, price.isPositive, let worth = try? instrument.notional(quantity.magnitude(), at: price) else { return .zero }
        let difference = isLong ? try? worth.subtracting(cost) : try? cost.subtracting(worth)
        return difference ?? .zero
    }

    /// Gain of a price over entry in the position's direction, as a fraction of entry.
    public func gain(at price: Fixed) -> Fixed? {
        guard isOpen, entry.isPositive, let moved = try? price.subtracting(entry), let ratio = try? moved.divided(by: entry) else { return nil }
        return isLong ? ratio : try? ratio.negated()
    }
}

let KEEL_ONE_FIXED = Int64(KEEL_ONE)
