import PluginAPI
import PluginKit

public enum OrderStatus: UInt8, Sendable, CaseIterable, Codable {
    /// Durable, not yet handed to the broker.
    case intended = 0
    /// The broker has it, the venue has not acknowledged it.
    case pending
    case open
    case partlyFilled
    case filled
    case cancelled
    case rejected
    case expired
    /// It may live at the venue: nothing is entered in this instrument until the venue has said.
    case inDoubt

    @inlinable public var isTerminal: Bool {
        switch self {
        case .filled, .cancelled, .rejected, .expired: true
        case .intended, .pending, .open, .partlyFilled, .inDoubt: false
        }
    }

    public var word: String {
        switch self {
        case .intended: "intended"
        case .pending: "pending"
        case .open: "open"
        case .partlyFilled: "partly filled"
        case .filled: "filled"
        case .cancelled: "cancelled"
        case .rejected: "rejected"
        case .expired: "expired"
        case .inDoubt: "in doubt"
        }
    }
}

public enum OrderRole: UInt8, Sendable, CaseIterable, Codable {
    /// Opens or adds to a position.
    case entry = 0
    /// Closes or reduces one: entries' limits do not apply.
    case exit
}

/// An order that was sent, or is about to be. Trivial: no texts, so it lives in flat storage.
public struct OrderState: Sendable, Equatable, Codable {
    public var id: OrderID
    /// As in the plan of the run that reads it; -1: not part of it any more. Names are in the ledger.
    public var pipeline: Int
    public var instrument: keel_instrument_id
    public var broker: Int
    public var role: OrderRole
    public var status: OrderStatus = .intended
    public var side: UInt32
    public var features: UInt64
    public var quantity: Fixed
    public var limit: Fixed
    public var trigger: Fixed
    public var why: ExitReason?
    public var decision: UInt64
    public var created: Int64
    public var sent: Int64 = 0
    public var changed: Int64
    /// Sum of the fills taken in.
    public var filled: Fixed = .zero
    /// What the venue says is filled: ahead of `filled` while fills are on their way.
    public var reported: Fixed = .zero
    public var notional: Amount = .zero
    public var fees: Amount = .zero
    public var cancelRequested = false
    /// The end was inferred (a refused submit, absence from a sync), so a venue report may still overrule it.
    public var inferred = false
    /// Syncs in a row that did not mention it.
    public var missing = 0
    public var request: UInt64 = 0

    /// Nothing more is expected: terminal, and every reported fill has arrived.
    @inlinable public var isSettled: Bool { status.isTerminal && filled.raw >= reported.raw }

    /// What may still fill.
    @inlinable public var leaves: Int64 {
        if status.isTerminal { return Swift.max(0, reported.raw &- filled.raw) }
        return Swift.max(0, quantity.raw &- filled.raw)
    }
}
