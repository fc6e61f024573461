import PluginAPI
import PluginKit

/// A decider's answer, read out of its event with every offset checked.
public struct Decision: Sendable, Equatable {
    public var action: UInt32
    public var fromRecord: Bool
    public var snapshotHi: UInt64
    public var snapshotLo: UInt64
    public var fraction: Fixed
    public var quantity: Fixed
    public var confidence: Fixed
    /// nil: not said.
    public var exitProbability: Fixed?
    public var nextCheck: Int64
    public var validUntil: Int64
    public var cost: Amount
    public var tokensIn: UInt64
    public var tokensCached: UInt64
    public var tokensOut: UInt64
    public var instrument: keel_instrument_id
}

/// What a decision is checked against.
public struct AskedFor: Sendable, Equatable {
    public var instrument: keel_instrument_id
    public var snapshotHi: UInt64
    public var snapshotLo: UInt64
    public var snapshotTime: Int64
    /// KEEL_MAY_*
    public var allowed: UInt32
    public var maximumAge: Int64
}

public enum DecisionChecks {
    /// Whether an answer is well-formed. What it names here is the decider's mistake: it counts as a failure of its own.
    public static func formProblem(_ decision: Decision, _ asked: AskedFor) -> Refusal? {
        if decision.instrument != 0, decision.instrument != asked.instrument {
            return Refusal(.unknownInstrument, .code, decision.instrument, asked.instrument)
        }
        if decision.snapshotHi != asked.snapshotHi || decision.snapshotLo != asked.snapshotLo { return Refusal(.wrongSnapshot) }
        if decision.action > KEEL_ACT_SELL {
            return Refusal(.actionNotAllowed, .code, decision.action, KEEL_ACT_SELL)
        }
        let one = Amount(Fixed.one)
        if !(Fixed.zero...Fixed.one).contains(decision.fraction) { return Refusal(.outOfRange, Amount(decision.fraction), one) }
        if decision.quantity.isNegative { return Refusal(.outOfRange, Amount(decision.quantity), .zero) }
        if !(Fixed.zero...Fixed.one).contains(decision.confidence) { return Refusal(.outOfRange, Amount(decision.confidence), one) }
        if let probability = decision.exitProbability, probability > .one { return Refusal(.outOfRange, Amount(probability), one) }
        if decision.nextCheck < 0 { return Refusal(.outOfRange, .span, decision.nextCheck) }
        if decision.cost.isNegative { return Refusal(.outOfRange, decision.cost, .zero) }
        return nil
    }

    /// Whether a well-formed answer comes in time and is one of the answers that were possible.
    public static func useProblem(_ decision: Decision, _ asked: AskedFor, now: Int64) -> Refusal? {
        let age = now - asked.snapshotTime
        if age > asked.maximumAge {
            return Refusal(.staleSnapshot, .span, age, asked.maximumAge)
        }
        if decision.validUntil != 0, now > decision.validUntil {
            return Refusal(.expiredDecision, .time, now, decision.validUntil)
        }
        if decision.action != KEEL_ACT_HOLD {
            let bit: UInt32 = decision.action == KEEL_ACT_BUY ? KEEL_MAY_BUY : KEEL_MAY_SELL | KEEL_MAY_SHORT
            if asked.allowed & bit == 0 {
                // A model that sells what it does not have is told so in these words.
                if decision.action == KEEL_ACT_SELL { return Refusal(.noPosition) }
                return Refusal(.actionNotAllowed, .code, decision.action, asked.allowed)
            }
            if decision.fraction.isZero, decision.quantity.isZero { return Refusal(.zeroSize) }
        }
        return nil
    }
}
