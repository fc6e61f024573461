import PluginAPI
import PluginKit

/// What observers can listen to.
public enum Topic: String, Sendable, CaseIterable, Codable {
    case marketTick = "market.tick"
    case decisionSignal = "decision.signal"
    case orderIntended = "order.intended"
    case orderChanged = "order.changed"
    case orderFilled = "order.filled"
    case orderRefused = "order.refused"
    case positionChanged = "position.changed"
    case positionExit = "position.exit"
    case routing = "routing"
    case breaker = "breaker"
    case gate = "gate"
    case takeover = "takeover"
    case link = "link"
    case alert = "alert"
}

public struct BusEvent: Sendable, Equatable {
    /// Counts from 1 without gaps over the events that were published, so that a reader knows what it missed.
    public var sequence: UInt64
    public var time: Int64
    public var topic: Topic
    /// Index in the plan, -1 for none.
    public var pipeline: Int
    /// 0 for none.
    public var instrument: keel_instrument_id
    public var content: Content

    public enum Content: Sendable, Equatable {
        case tick(price: Fixed, quantity: Fixed, side: UInt32)
        case decision(DecisionRecord)
        case intent(IntentRecord)
        case order(OrderRecord)
        case fill(FillRecord)
        case refusal(RefusalRecord)
        case position(PositionRecord)
        case exit(ExitRecord)
        case routing(RoutingRecord)
        case breaker(BreakerRecord)
        case gate(passed: UInt32)
        case takeover(TakeoverRecord)
        case link(LinkRecord)
        case alert(Alert)
    }

    public init(sequence: UInt64, time: Int64, topic: Topic, pipeline: Int, instrument: keel_instrument_id, content: Content) {
        self.sequence = sequence
        self.time = time
        self.topic = topic
        self.pipeline = pipeline
        self.instrument = instrument
        self.content = content
    }
}

/// Publish and subscribe for observers, with the last events kept. One thread: subscribers that live elsewhere copy and leave.
public final class EventBus {
    public typealias Subscription = Int
    private var subscribers: [(id: Subscription, topics: Set<Topic>, receive: (BusEvent) -> Void)] = []
    private var nextSubscription = 1
    private var kept: [BusEvent] = []
    private var oldest = 0
    public let capacity: Int
    public private(set) var published: UInt64 = 0

    public init(capacity: Int = 500) { self.capacity = max(capacity, 1) }

    public func subscribe(to topics: Set<Topic> = Set(Topic.allCases), _ receive: @escaping (BusEvent) -> Void) -> Subscription {
        defer { nextSubscription += 1 }
        subscribers.append((nextSubscription, topics, receive))
        return nextSubscription
    }

    public func unsubscribe(_ subscription: Subscription) { subscribers.removeAll { $0.id == subscription } }

    public func publish(_ event: BusEvent) {
        published += 1
        var event = event
        event.sequence = published
        if kept.count < capacity {
            kept.append(event)
        } else {
            kept[oldest] = event
            oldest = (oldest + 1) % capacity
        }
        for subscriber in subscribers where subscriber.topics.contains(event.topic) { subscriber.receive(event) }
    }

    /// The last events, oldest first.
    public var recent: [BusEvent] { Array(kept[oldest...] + kept[..<oldest]) }

    /// Those after a sequence number a reader has already seen.
    public func since(_ sequence: UInt64) -> [BusEvent] { recent.filter { $0.sequence > sequence } }
}
