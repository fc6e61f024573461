import PluginAPI
import PluginKit

/// What an outlet wants to be told. Fixed for the life of an engine; the less it wants, the faster the engine.
public struct Recording: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Decisions, intents, orders, fills, positions, exits, refusals, breakers, takeovers: numbers only.
    public static let trading = Recording(rawValue: 1)
    /// Only what a run is summed up from. Fills and decisions come as `tally`, without a record of their own; of balances those that
    /// a sync reports, of orders those that were rejected. Of no effect beside `.trading`, which has it all.
    public static let summary = Recording(rawValue: 8)
    /// Also their texts (reasons, memory, venue ids, messages) and the bytes of every snapshot.
    public static let detail = Recording(rawValue: 2)
    /// Rows to restart from (`LedgerRecord.state`), and boundaries between them.
    public static let state = Recording(rawValue: 4)

    public static let everything: Recording = [.trading, .detail, .state]
}

/// Where the engine's effects go. Called on the engine's thread only, never concurrently.
///
/// A plugin called from here may emit at once: hand what it emits to `Engine.accept`, which queues it while the engine is
/// busy and processes it in order afterwards. The calls per market event (`observe`, `on_market`) do not pass through here:
/// the engine makes them straight through the C tables of its `Port`s.
///
/// Every call that returns a status: KEEL_OK means the events will follow; below zero the plugin refused at once.
public protocol Outlet: AnyObject {
    var recording: Recording { get }

    // Plugins; `port` is the index in `EnginePlan.ports`.
    /// The snapshot is valid during the call only.
    func ask(_ port: Int, _ snapshot: UnsafePointer<keel_snapshot>, deadline: Int64, request: UInt64) -> keel_status
    func cancelAsk(_ port: Int, request: UInt64)
    /// A trial call follows after a circuit breaker's pause: let the instance read its secrets again (stop and start it), if it can.
    func renew(_ port: Int)
    /// The intent is durable when this is called.
    func submit(_ port: Int, _ order: ApprovedOrder, request: UInt64) -> keel_status
    func cancel(_ port: Int, _ order: OrderID, request: UInt64) -> keel_status
    func replace(_ port: Int, _ order: OrderID, with: ApprovedOrder, request: UInt64) -> keel_status
    func sync(_ port: Int, since: Int64, request: UInt64) -> keel_status
    func route(_ port: Int, _ parent: ApprovedOrder, request: UInt64) -> keel_status
    func cancelRoute(_ port: Int, request: UInt64)
    /// The values of an instrument move, or have calmed down: its feeds may look more or less often.
    func pace(pipeline: Int, instrument: keel_instrument_id, urgent: Bool)
    /// A child's order or fill, or a quote of an instrument the router has a parent in.
    func routerEvent(_ port: Int, _ event: UnsafePointer<keel_event>)
    /// What the last call that returned below zero had to say, for the records.
    func lastMessage() -> String

    // Ledger
    func record(_ record: LedgerRecord)
    /// In the place of their records, for outlets that want a summary only.
    func tally(_ fill: FillTally)
    func tally(_ decision: DecisionTally)
    /// All records since the last boundary belong together: store all of them or none.
    /// It need not be durable on return; `barrier` makes it so.
    func boundary()
    /// Everything recorded so far is durable when this returns true. False: the disk failed; entries halt.
    func barrier() -> Bool

    // People
    func publish(_ event: BusEvent)
    func alert(_ alert: Alert)
}

extension Outlet {
    public func tally(_ fill: FillTally) {}
    public func tally(_ decision: DecisionTally) {}
    /// Where events come from a tape there is nothing to hurry.
    public func pace(pipeline: Int, instrument: keel_instrument_id, urgent: Bool) {}
}

/// What a sum needs of a fill.
public struct FillTally: Sendable {
    /// The venue's time, the engine's where it gave none.
    public var time: Int64
    public var pipeline: Int
    public var instrument: keel_instrument_id
    public var order: OrderID
    public var side: UInt32
    public var quantity: Fixed
    public var price: Fixed
    public var fee: Amount

    public init(
        time: Int64, pipeline: Int, instrument: keel_instrument_id, order: OrderID, side: UInt32, quantity: Fixed, price: Fixed, fee: Amount
    ) {
        self.time = time
        self.pipeline = pipeline
        self.instrument = instrument
        self.order = order
        self.side = side
        self.quantity = quantity
        self.price = price
        self.fee = fee
    }

    public init(_ record: FillRecord) {
        self.init(
            time: record.atSource != 0 ? record.atSource : record.time, pipeline: record.pipeline, instrument: record.instrument,
            order: record.order, side: record.side, quantity: record.quantity, price: record.price, fee: record.fee)
    }
}

/// What a sum needs of a decision.
public struct DecisionTally: Sendable {
    public var pipeline: Int
    public var decider: Int
    public var outcome: DecisionRecord.Outcome
    public var fromRecord: Bool
    public var cost: Amount

    public init(pipeline: Int, decider: Int, outcome: DecisionRecord.Outcome, fromRecord: Bool, cost: Amount) {
        self.pipeline = pipeline
        self.decider = decider
        self.outcome = outcome
        self.fromRecord = fromRecord
        self.cost = cost
    }

    public init(_ record: DecisionRecord) {
        self.init(
            pipeline: record.pipeline, decider: record.decider, outcome: record.outcome, fromRecord: record.fromRecord, cost: record.cost)
    }
}

/// Something a person should know. Also recorded, and published on the bus.
public struct Alert: Sendable, Equatable {
    public enum Severity: String, Sendable, CaseIterable, Codable { case info, warning, critical }
    public var time: Int64
    public var severity: Severity
    /// A short fixed word for filters: "breaker", "in-doubt", "disagreement", "stale", "disk", "link", "takeover", "overfill", ...
    public var kind: String
    /// Pipeline name and symbol, empty where it concerns the whole host.
    public var pipeline: String
    public var symbol: String
    public var text: String

    public init(time: Int64, severity: Severity, kind: String, pipeline: String = "", symbol: String = "", text: String) {
        self.time = time
        self.severity = severity
        self.kind = kind
        self.pipeline = pipeline
        self.symbol = symbol
        self.text = text
    }
}
