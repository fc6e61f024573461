import PluginAPI
import PluginKit

/// What a venue says about an order, brought to our words.
public struct OrderReport: Sendable, Equatable {
    public var status: OrderStatus
    /// Cumulative.
    public var filled: Fixed
    /// Part of a sync: the venue's whole truth of the moment, not one of several messages that may overtake each other.
    public var snapshot: Bool

    public init(status: OrderStatus, filled: Fixed, snapshot: Bool) {
        self.status = status
        self.filled = filled
        self.snapshot = snapshot
    }

    /// nil: a state this version does not know, which says nothing.
    public init?(state: UInt32, filled: Int64, snapshot: Bool) {
        let status: OrderStatus
        switch state {
        case KEEL_ORDER_PENDING: status = .pending
        case KEEL_ORDER_OPEN: status = .open
        case KEEL_ORDER_FILLED: status = .filled
        case KEEL_ORDER_CANCELED: status = .cancelled
        case KEEL_ORDER_REJECTED: status = .rejected
        case KEEL_ORDER_EXPIRED: status = .expired
        case KEEL_ORDER_IN_DOUBT: status = .inDoubt
        default: return nil
        }
        self.init(status: status, filled: Fixed(raw: max(filled, 0)), snapshot: snapshot)
    }
}

// The state machine. Reports may be repeated, late and out of order: progress only ever goes forward, and an end that the
// venue stated is final for messages, though not for a sync that lists the order as alive.
extension OrderState {
    /// Takes in a report; true when anything changed.
    @discardableResult
    public mutating func take(_ report: OrderReport, at time: Int64) -> Bool {
        let before = self
        let said = Swift.min(report.filled, quantity)
        if said > reported { reported = said }
        if report.status == .filled, report.filled.isZero { reported = quantity }
        move(to: report)
        // A report that moved nothing leaves no trace.
        if status == before.status, reported == before.reported, inferred == before.inferred, missing == before.missing { return false }
        changed = time
        return true
    }

    private mutating func move(to report: OrderReport) {
        if status.isTerminal {
            if filled >= quantity { return }
            if report.status == .filled {
                status = .filled
                inferred = false
            } else if inferred || (report.snapshot && !report.status.isTerminal && report.status != .inDoubt) {
                inferred = false
                missing = 0
                settle(on: report.status)
            }
            return
        }
        missing = 0
        settle(on: report.status)
    }

    private mutating func settle(on said: OrderStatus) {
        switch said {
        case .intended: break
        case .pending:
            if status == .intended || status.isTerminal { status = .pending }
        case .open, .partlyFilled:
            status = Swift.max(filled, reported).isPositive ? .partlyFilled : .open
        case .filled, .cancelled, .expired: status = said
        case .rejected:
            // Something that filled was not rejected, whatever the message says.
            status = Swift.max(filled, reported).isPositive ? .cancelled : .rejected
        case .inDoubt: status = .inDoubt
        }
    }

    /// Takes in a fill that was not seen before. Overflow is an error and changes nothing.
    public mutating func take(fill fillQuantity: Fixed, worth: Amount, fee: Amount, at time: Int64) throws(NumberError) {
        let newFilled = try filled.adding(fillQuantity)
        let newNotional = try notional.adding(worth)
        fees = try fees.adding(fee)
        filled = newFilled
        notional = newNotional
        if filled > reported { reported = Swift.min(filled, quantity) }
        changed = time
        missing = 0
        if filled >= quantity {
            status = .filled
            inferred = false
        } else if !status.isTerminal {
            status = .partlyFilled
        } else if status == .rejected || inferred {
            status = .cancelled
        }
    }

    /// The end was concluded, not stated: a venue report may still overrule it.
    public mutating func conclude(_ end: OrderStatus, at time: Int64) {
        guard !status.isTerminal else { return }
        status = end == .rejected && filled.isPositive ? .cancelled : end
        inferred = true
        changed = time
    }

    public mutating func doubt(at time: Int64) {
        guard !status.isTerminal, status != .inDoubt else { return }
        status = .inDoubt
        changed = time
    }
}
