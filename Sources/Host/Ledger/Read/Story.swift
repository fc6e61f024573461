import HostCore
import PluginKit

/// What happened to a decision or an order, from the market to the last fill, in the order it happened.
public struct Story: Codable, Sendable, Equatable {
    public struct Entry: Codable, Sendable, Equatable {
        public var time: String
        /// Nanoseconds since the first entry.
        public var after: Int64
        /// "snapshot", "decision", "takeover", "refusal", "routing", "intent", "order", "fill", "exit"
        public var what: String
        public var text: String
        /// More about it, a line each.
        public var details: [String]
        /// Which order it is about, where it is about one.
        public var order: String?
    }

    public var title: String
    /// How it ended, in one sentence.
    public var ending: String
    public var run: UInt32
    public var pipeline: String
    public var symbol: String
    public var entries: [Entry]
}

/// What `keel explain` was asked about.
public enum StorySubject: Sendable, Equatable {
    case order(OrderID)
    /// A row of `keel decisions`.
    case decision(Int64)
    /// The venue's number of an order.
    case venueOrder(String)

    /// A keel order id, a decision's number, or else a venue's order id.
    public init(_ text: String) {
        if let id = OrderID(text) {
            self = .order(id)
        } else if let number = Int64(text), number > 0 {
            self = .decision(number)
        } else {
            self = .venueOrder(text)
        }
    }
}

/// An entry before the story's start is known.
struct StoryPart {
    var time: Int64
    /// Breaks ties: the order in which a pipeline does things.
    var rank: Int
    var what: String
    var text: String
    var details: [String] = []
    var order: String?
}

enum StoryText {
    /// 12.5 for a fraction of 0.125.
    static func percent(_ fraction: Fixed) -> String {
        let (raw, overflow) = Int128(fraction.raw).multipliedReportingOverflow(by: 100)
        return overflow ? "\(fraction) x 100 %" : "\(Amount(raw: raw)) %"
    }

    /// A hash or an id, enough of it to tell it from others.
    static func short(_ hex: String) -> String { hex.count > 12 ? String(hex.prefix(12)) + "..." : hex }

    /// How far `price` is from `reference`, in hundredths of a percent, and for whom that is better.
    static func slippage(_ price: Fixed, from reference: Fixed, buying: Bool) -> String? {
        guard reference.isPositive, price.isPositive else { return nil }
        let difference = (price.double / reference.double - 1) * 10_000 * (buying ? 1 : -1)
        let tenths = (difference.magnitude * 10).rounded()
        guard tenths.isFinite, tenths < 1e9 else { return nil }
        let text = "\(Int(tenths) / 10).\(Int(tenths) % 10) bp"
        return tenths == 0 ? "at the snapshot's price" : difference > 0 ? "\(text) worse than the snapshot's price" : "\(text) better than the snapshot's price"
    }
}
