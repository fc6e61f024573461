import PluginAPI
import PluginKit

/// The primary's last HOLD and what it was an answer to. While nothing of that has moved, asking again would buy the same answer.
public struct HeldAnswer: Sendable, Equatable, Codable {
    /// 0: there is none.
    public var at: Int64 = 0
    public var price: Fixed = .zero
    public var quantity: Amount = .zero
    public var regime: UInt32 = 0
    public var macro: UInt32 = 0
    public var funding: Double?
    /// News that had come by then.
    public var news: UInt64 = 0
    public var nextCheck: Int64 = 0

    public init() {}

    /// What opens the gate because something happened is always asked; what opens it because time has passed may not be.
    static let routine = KEEL_GATE_CANDLE | KEEL_GATE_TIMER | KEEL_GATE_WATCHDOG | KEEL_GATE_REVIEW

    /// Whether the market of `other` is still this one.
    func stands(against other: HeldAnswer, for span: Int64, move: Fixed) -> Bool {
        guard at > 0, other.at - at < span, price.isPositive, quantity == other.quantity, regime == other.regime, macro == other.macro, news == other.news,
            (funding ?? 0) == (other.funding ?? 0) || abs((funding ?? 0) - (other.funding ?? 0)) < 0.00005
        else { return false }
        return abs(other.price.double / price.double - 1) <= move.double
    }
}
