import PluginAPI
import PluginKit

public struct DepthSnapshot: Equatable, Sendable {
    public var lastID: Int64
    public var bids: [keel_level]
    public var asks: [keel_level]

    public init(lastID: Int64, bids: [keel_level], asks: [keel_level]) {
        self.lastID = lastID
        self.bids = bids
        self.asks = asks
    }

    public static func == (a: DepthSnapshot, b: DepthSnapshot) -> Bool {
        func same(_ a: [keel_level], _ b: [keel_level]) -> Bool { a.elementsEqual(b) { $0.price == $1.price && $0.qty == $1.qty } }
        return a.lastID == b.lastID && same(a.bids, b.bids) && same(a.asks, b.asks)
    }
}

/// A book kept from a snapshot and the changes after it, each side best first.
public struct DepthBook: Sendable {
    public private(set) var bids: [keel_level] = []
    public private(set) var asks: [keel_level] = []

    public init() {}

    public mutating func replace(_ bids: [keel_level], _ asks: [keel_level]) {
        self.bids = []
        self.asks = []
        for level in bids { Self.set(level, in: &self.bids, descending: true) }
        for level in asks { Self.set(level, in: &self.asks, descending: false) }
    }

    /// Quantities are absolute; 0 takes a level out, whether it was there or not.
    public mutating func apply(_ bids: [keel_level], _ asks: [keel_level]) {
        for level in bids { Self.set(level, in: &self.bids, descending: true) }
        for level in asks { Self.set(level, in: &self.asks, descending: false) }
    }

    /// A bid at or above an ask: what we hold isn't the venue's book.
    public var isCrossed: Bool {
        guard let bid = bids.first, let ask = asks.first else { return false }
        return bid.price >= ask.price
    }

    private static func set(_ level: keel_level, in side: inout [keel_level], descending: Bool) {
        var low = 0
        var high = side.count
        while low < high {
            let middle = (low + high) / 2
            let before = descending ? side[middle].price > level.price : side[middle].price < level.price
            if before { low = middle + 1 } else { high = middle }
        }
        let isThere = low < side.count && side[low].price == level.price
        if level.qty == 0 {
            if isThere { side.remove(at: low) }
        } else if isThere {
            side[low].qty = level.qty
        } else {
            side.insert(level, at: low)
        }
    }
}

/// Keeps a book continuous by the product's own rule, and says what has to be done when it isn't.
///
/// Spot counts through: an update begins with the id after the last one's end. Futures leave ids out, and each update names the
/// last id of the one before it. Where a second connection carries the same stream, its updates may be cut differently: the first of
/// them that joins on to the book takes over, the old connection's are left out from then on.
public struct DepthSync: Sendable {
    public struct Change: Sendable {
        public var message: DepthMessage
        public var bids: [keel_level]
        public var asks: [keel_level]
    }

    public enum Step: Equatable, Sendable {
        /// Kept until a snapshot comes; true: ask for one.
        case waiting(ask: Bool)
        /// The book has changed by this message.
        case applied
        /// Known already.
        case old
        /// An update is missing, or the book contradicts itself: a new snapshot is needed, and this message is kept for it.
        case broken(String)
    }

    public let product: Product
    public private(set) var book = DepthBook()
    /// The last update in the book; below 0: there is no book yet.
    public private(set) var lastID: Int64 = -1
    private var waiting: [Change] = []
    private var asked = false
    /// What was kept and followed the last snapshot, in order.
    public private(set) var joined: [Change] = []
    public private(set) var owner = 0
    /// The book is the snapshot alone: the first update may begin before its end.
    private var isFresh = false
    /// More than this many updates without a snapshot are not kept: the oldest go.
    static let mostWaiting = 2_000

    public init(_ product: Product) { self.product = product }

    public var isLive: Bool { lastID >= 0 }

    public mutating func take(_ change: Change, from connection: Int) -> Step {
        guard isLive else {
            if waiting.count >= Self.mostWaiting { waiting.removeFirst(waiting.count - Self.mostWaiting + 1) }
            waiting.append(change)
            let ask = !asked
            asked = true
            return .waiting(ask: ask)
        }
        joined = []
        let message = change.message
        if message.lastID <= lastID { return .old }
        if connection != owner {
            // A stream of another connection may overlap with the book; it joins on when it leaves no hole.
            guard joins(message) else { return .old }
            owner = connection
        } else if !(isFresh ? joins(message) : follows(message)) {
            return breakOff(change, "update \(message.firstID) to \(message.lastID) doesn't follow \(lastID)")
        }
        book.apply(change.bids, change.asks)
        lastID = message.lastID
        isFresh = false
        if book.isCrossed { return breakOff(change, "the book is crossed after update \(message.lastID)") }
        return .applied
    }

    /// The first message after a snapshot, or of another connection.
    private func joins(_ message: DepthMessage) -> Bool {
        switch product {
        case .spot: message.firstID <= lastID + 1 && message.lastID > lastID
        case .futures: (message.firstID <= lastID || message.previousID == lastID) && message.lastID >= lastID
        }
    }

    private func follows(_ message: DepthMessage) -> Bool {
        switch product {
        case .spot: message.firstID == lastID + 1
        case .futures: message.previousID == lastID
        }
    }

    private mutating func breakOff(_ change: Change, _ why: String) -> Step {
        lastID = -1
        waiting = [change]
        asked = true
        return .broken(why)
    }

    public enum Joined: Equatable, Sendable {
        /// The book is whole as of now.
        case live
        /// It is older than what was kept: ask for another.
        case tooOld
        /// Updates after it are missing among those that were kept.
        case hole
    }

    /// The snapshot that was asked for.
    public mutating func join(_ snapshot: DepthSnapshot, connection: Int) -> Joined {
        let kept = waiting.filter { product == .spot ? $0.message.lastID > snapshot.lastID : $0.message.lastID >= snapshot.lastID }
        if let first = kept.first {
            let bridges = product == .spot ? first.message.firstID <= snapshot.lastID + 1 : first.message.firstID <= snapshot.lastID
                || first.message.previousID == snapshot.lastID
            if !bridges {
                asked = true
                return .tooOld
            }
        }
        book.replace(snapshot.bids, snapshot.asks)
        lastID = snapshot.lastID
        owner = connection
        joined = []
        for (place, change) in kept.enumerated() {
            if place > 0, change.message.lastID <= lastID { continue }
            guard place == 0 || follows(change.message) || joins(change.message) else {
                lastID = -1
                waiting = Array(kept[place...])
                asked = true
                return .hole
            }
            book.apply(change.bids, change.asks)
            lastID = max(lastID, change.message.lastID)
            joined.append(change)
        }
        waiting = []
        asked = false
        isFresh = kept.isEmpty
        if book.isCrossed {
            lastID = -1
            asked = true
            return .hole
        }
        return .live
    }

    /// Nothing is known any more: the connection was lost.
    public mutating func reset() {
        lastID = -1
        waiting = []
        asked = false
    }
}
