import PluginKit

/// The id an order carries at the venue: the host's 27 characters, and one more where a Keel order is several venue orders.
/// Never the number of an attempt: the same intent keeps its id.
public struct ClientID: Hashable, Sendable, CustomStringConvertible {
    public enum Part: UInt8, Sendable, CaseIterable {
        case whole = 0
        /// What a maker-first order becomes when it stops waiting.
        case taker = 0x74  // t
    }

    public var order: OrderID
    public var part: Part

    public init(_ order: OrderID, _ part: Part = .whole) {
        self.order = order
        self.part = part
    }

    /// nil: not one of ours.
    public init?(_ text: String) {
        if let order = OrderID(text) {
            self.init(order)
        } else if text.utf8.count == 28, let last = text.utf8.last, let part = Part(rawValue: last), let order = OrderID(String(text.dropLast())) {
            self.init(order, part)
        } else {
            return nil
        }
    }

    public var suffix: UInt8? { part == .whole ? nil : part.rawValue }
    public var description: String { order.description + (part == .whole ? "" : String(UnicodeScalar(part.rawValue))) }
}
