import PluginAPI
import PluginKit

/// One thing the ledger keeps. Numbers always; texts are empty unless the outlet records `.detail`.
///
/// `pipeline` is the index in the plan, `instrument` the id of this run (0 = none): the ledger translates both by the plan.
/// Within one boundary, records come in the order things happened.
/// In a box of its own: it is handed on several times while an order waits, and a box costs one reference each time.
public indirect enum LedgerRecord: Sendable, Equatable {
    case run(RunRecord)
    case decision(DecisionRecord)
    /// The fallback's answer to what the primary saw: for comparison only, nothing was done with it.
    case shadow(DecisionRecord)
    case snapshot(SnapshotRecord)
    case intent(IntentRecord)
    case order(OrderRecord)
    case fill(FillRecord)
    case position(PositionRecord)
    case balance(BalanceRecord)
    case funding(FundingRecord)
    case exit(ExitRecord)
    /// What became of the decision that opened a position: the journal that is learned from. Only with `.detail`.
    case outcome(OutcomeRecord)
    case refusal(RefusalRecord)
    case breaker(BreakerRecord)
    case takeover(TakeoverRecord)
    case routing(RoutingRecord)
    case gate(GateRecord)
    case external(ExternalRecord)
    case link(LinkRecord)
    case session(SessionRecord)
    case agreement(AgreementRecord)
    case alert(Alert)
    /// Insert or overwrite by `row.key`: what `EngineState.init(rows:...)` restores from.
    case state(StateRow)
}

public struct RunRecord: Sendable, Equatable {
    public enum Change: String, Sendable, Codable { case started, restored, stopping, stopped }
    public var time: Int64
    public var run: UInt32
    public var change: Change
    public init(time: Int64, run: UInt32, change: Change) {
        self.time = time
        self.run = run
        self.change = change
    }
}

/// A decider's answer and what came of it.
public struct DecisionRecord: Sendable, Equatable {
    public enum Outcome: String, Sendable, CaseIterable, Codable {
        case hold
        /// An order was made; the id is in `order`.
        case ordered
        /// Well-formed, but sizing, risk or the tracker said no: a refusal record with the same sequence says why.
        case refused
        /// Not well-formed or too late: the refusal record says which check failed. Counts as a failure of the decider.
        case invalid
        /// For comparison only.
        case shadow
    }
    public var time: Int64
    public var pipeline: Int
    public var instrument: keel_instrument_id
    /// Of the ask, unique in this run's pipeline: part of the order ids that follow from it.
    public var sequence: UInt64
    /// Port of the decider; -1: the five-signal score of the position review.
    public var decider: Int
    public var request: UInt64
    public var asked: Int64
    public var snapshotHi: UInt64
    public var snapshotLo: UInt64
    public var purpose: UInt32
    public var gate: UInt32
    public var action: UInt32
    public var fraction: Fixed
    public var quantity: Fixed
    public var confidence: Fixed
    public var exitProbability: Fixed
    public var nextCheck: Int64
    public var validUntil: Int64
    public var cost: Amount
    public var tokensIn: UInt64
    public var tokensCached: UInt64
    public var tokensOut: UInt64
    public var fromRecord: Bool
    /// The last price it saw.
    public var price: Fixed = .zero
    public var outcome: Outcome
    public var order: OrderID
    public var reason = ""
    public var memory = ""
    public var model = ""
    public var signals: [Signal] = []
    public var wakes: [WakeCondition] = []

    public struct Signal: Sendable, Equatable, Codable {
        public var name: String
        public var confidence: Fixed
        public var direction: Int32
        public init(name: String, confidence: Fixed, direction: Int32) {
            self.name = name
            self.confidence = confidence
            self.direction = direction
        }
    }
}

public struct SnapshotRecord: Sendable, Equatable {
    public var time: Int64
    public var pipeline: Int
    public var instrument: keel_instrument_id
    public var sequence: UInt64
    public var hi: UInt64
    public var lo: UInt64
    /// The whole block; empty unless `.detail`.
    public var bytes: [UInt8]
}

/// An order that is about to leave: durable before `Outlet.submit` is called.
public struct IntentRecord: Sendable, Equatable {
    public var time: Int64
    public var pipeline: Int
    public var instrument: keel_instrument_id
    public var order: OrderID
    /// The order it replaces at the venue, or none.
    public var replaces: OrderID
    public var broker: Int
    public var role: OrderRole
    public var side: UInt32
    public var features: UInt64
    public var quantity: Fixed
    public var limit: Fixed
    public var trigger: Fixed
    public var notAfter: Int64
    public var decision: UInt64
}

public struct OrderRecord: Sendable, Equatable {
    public var time: Int64
    /// The order as it stands now: overwrite the row of `order.id`.
    public var order: OrderState
    public var before: OrderStatus
    public var vendorCode: Int64
    public var venueID = ""
    public var message = ""
}

public struct FillRecord: Sendable, Equatable {
    public var time: Int64
    public var atSource: Int64
    public var pipeline: Int
    public var instrument: keel_instrument_id
    public var order: OrderID
    public var side: UInt32
    public var quantity: Fixed
    public var price: Fixed
    public var fee: Amount
    public var liquidity: UInt32
    /// What it is remembered by: a hash of the venue's fill id.
    public var key: FillKey
    public var profit: Amount
    public var feeAsset = ""
    public var fillID = ""
    public var venueID = ""
}

public struct PositionRecord: Sendable, Equatable {
    public var time: Int64
    public var pipeline: Int
    public var instrument: keel_instrument_id
    public var quantity: Amount
    public var entry: Fixed
    public var cash: Amount
    public var equity: Amount
    public var realised: Amount
    public var fees: Amount
}

public struct BalanceRecord: Sendable, Equatable {
    public var time: Int64
    public var broker: Int
    public var asset: String
    public var total: Amount
    public var available: Amount
}

public struct FundingRecord: Sendable, Equatable {
    public var time: Int64
    public var pipeline: Int
    public var instrument: keel_instrument_id
    public var amount: Amount
    public var rate: Fixed
    public var asset = ""
    public var payment = ""
}

/// A closed position, or a stage of one (`whole` false): what triggered it and what it brought.
public struct ExitRecord: Sendable, Equatable {
    public var time: Int64
    public var pipeline: Int
    public var instrument: keel_instrument_id
    /// Counts the positions of this pipeline and instrument; one whole exit each.
    public var position: UInt64
    public var why: ExitReason
    public var whole: Bool
    public var order: OrderID
    public var quantity: Amount
    public var entry: Fixed
    public var price: Fixed
    public var profit: Amount
    public var opened: Int64
    /// The level that was crossed, zero for none.
    public var level: Fixed
}

/// A position from its opening decision to its end.
public struct OutcomeRecord: Sendable, Equatable {
    public var time: Int64
    public var pipeline: Int
    public var instrument: keel_instrument_id
    public var position: UInt64
    public var opening: Opening
    public var signals: [DecisionRecord.Signal]
    /// 1: it was long, -1: short.
    public var side: Int32
    public var opened: Int64
    public var why: ExitReason
    public var profit: Amount
    /// After fees, as a fraction of what was committed.
    public var ratio: Fixed
}

public enum ExitReason: String, Sendable, CaseIterable, Codable {
    case stopLoss, trailingStop, hardStop, stage, exitProbability, decider, score, flatten, external
}

/// Something that was not done, with the rule and its numbers.
public struct RefusalRecord: Sendable, Equatable {
    public var time: Int64
    public var pipeline: Int
    public var instrument: keel_instrument_id
    public var rule: Rule
    public var value: Amount
    public var limit: Amount
    public var unit = NumberUnit.amount
    /// The decision or order it stopped; zero and none where there was none yet.
    public var decision: UInt64
    public var order: OrderID
    public var detail = ""
}

public struct BreakerRecord: Sendable, Equatable {
    public var time: Int64
    public var pipeline: Int
    public var breaker: Breaker
    public var open: Bool
    public var until: Int64
    public var value: Amount
    public var limit: Amount
    public var unit = NumberUnit.amount
    /// The decider's port for `.decider`, else -1.
    public var port: Int
}

public enum Breaker: String, Sendable, CaseIterable, Codable { case dailyLoss, drawdown, losingStreak, decider, kill, ledger }

/// Another decider than before answers.
public struct TakeoverRecord: Sendable, Equatable {
    public enum Why: String, Sendable, CaseIterable, Codable {
        case refused, failed, timeout, invalid, breakerOpen, dailyCost, recovered, none
    }
    public var time: Int64
    public var pipeline: Int
    public var instrument: keel_instrument_id
    /// Ports; -1: nobody was left.
    public var from: Int
    public var to: Int
    public var why: Why
    public var status: keel_status
    public var detail = ""
}

/// Which router took a parent, and what it made of it.
public struct RoutingRecord: Sendable, Equatable {
    public enum Step: String, Sendable, CaseIterable, Codable { case parent, child, refusedChild, cancelChild, done }
    public var time: Int64
    public var pipeline: Int
    public var instrument: keel_instrument_id
    public var router: Int
    public var step: Step
    public var order: OrderID
    public var quantity: Fixed
    public var limit: Fixed
    public var status: keel_status
    public var detail = ""
}

/// What the gate let through since the start of the run.
public struct GateRecord: Sendable, Equatable {
    public var time: Int64
    public var pipeline: Int
    public var instrument: keel_instrument_id
    public var counters: GateCounters
}

/// An order or position the venue reports that this host did not make. Never adopted.
public struct ExternalRecord: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable, Codable { case order, fill, position }
    public var time: Int64
    public var broker: Int
    public var instrument: keel_instrument_id
    public var kind: Kind
    public var order: OrderID
    public var side: UInt32
    public var quantity: Amount
    public var price: Fixed
    public var state: UInt32
    public var venueID = ""
}

public struct LinkRecord: Sendable, Equatable {
    public var time: Int64
    public var port: Int
    public var state: UInt32
    public var why: keel_status
    public var name = ""
    public var message = ""
}

public struct SessionRecord: Sendable, Equatable {
    public var time: Int64
    public var port: Int
    public var instrument: keel_instrument_id
    public var state: UInt32
    public var nextChange: Int64
}

/// The end of a sync: whether host and venue agree, and what differs if not.
public struct AgreementRecord: Sendable, Equatable {
    public var time: Int64
    public var broker: Int
    public var agreed: Bool
    public var differences: [String]
}
