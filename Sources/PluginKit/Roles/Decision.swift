import PluginAPI

/// A decider's answer. Fractions, confidences and probabilities are 0 to 1.
public struct Decision: Sendable {
    public enum Action: UInt32, Sendable { case hold = 0, buy, sell }

    public struct Signal: Sendable {
        public var name: String
        public var confidence: Fixed
        /// +1 up, -1 down, 0 none.
        public var direction: Int32
        public init(_ name: String, confidence: Fixed, direction: Int32) {
            self.name = name
            self.confidence = confidence
            self.direction = direction
        }
    }

    public enum Wake: Sendable {
        case priceAbove(Fixed), priceBelow(Fixed)
        /// Fraction of today's price.
        case move(Fixed)
        case volumeZ(Fixed)
        case regimeChange
        /// A rate, either sign.
        case funding(Fixed)
        /// Fraction of the entry price, signed.
        case profit(Fixed)

        var c: keel_wake {
            switch self {
            case .priceAbove(let level): keel_wake(condition: KEEL_WAKE_PRICE_ABOVE, reserved: 0, level: level.raw)
            case .priceBelow(let level): keel_wake(condition: KEEL_WAKE_PRICE_BELOW, reserved: 0, level: level.raw)
            case .move(let level): keel_wake(condition: KEEL_WAKE_MOVE, reserved: 0, level: level.raw)
            case .volumeZ(let level): keel_wake(condition: KEEL_WAKE_VOLUME_Z, reserved: 0, level: level.raw)
            case .regimeChange: keel_wake(condition: KEEL_WAKE_REGIME, reserved: 0, level: 0)
            case .funding(let level): keel_wake(condition: KEEL_WAKE_FUNDING, reserved: 0, level: level.raw)
            case .profit(let level): keel_wake(condition: KEEL_WAKE_PROFIT, reserved: 0, level: level.raw)
            }
        }
    }

    public var action: Action
    /// Of the equity to commit (entries), of the position to close (exits).
    public var fraction: Fixed = .zero
    /// An exact quantity instead of a fraction; zero = use the fraction.
    public var quantity: Fixed = .zero
    public var confidence: Fixed = .zero
    /// Of an open position; nil = not said.
    public var exitProbability: Fixed?
    /// Nanoseconds, 0 = not said.
    public var nextCheck: Int64 = 0
    /// 0 = not said.
    public var validUntil: Int64 = 0
    public var signals: [Signal] = []
    public var wakes: [Wake] = []
    public var reason = ""
    public var memory = ""
    public var model = ""
    /// US dollars.
    public var cost: Amount = .zero
    public var tokensIn: UInt64 = 0
    public var tokensCached: UInt64 = 0
    public var tokensOut: UInt64 = 0
    /// A stored answer: no new cost.
    public var fromRecord = false

    public init(_ action: Action) { self.action = action }

    /// Sends the decision on this snapshot. It must be followed by `request.done()`.
    public func emit(for request: Request, instrument: UInt32, snapshot hash: keel_hash) -> keel_status {
        var builder = EventBuilder(capacity: 2048)
        builder.begin(keel_ev_decision.self)
        var body = keel_ev_decision()
        body.action = action.rawValue
        body.from_record = fromRecord ? 1 : 0
        body.snapshot = hash
        body.fraction = fraction.raw
        body.quantity = quantity.raw
        body.confidence = confidence.raw
        body.exit_probability = exitProbability?.raw ?? -1
        body.next_check = nextCheck
        body.valid_until = validUntil
        body.cost = cost.c
        body.tokens_in = tokensIn
        body.tokens_cached = tokensCached
        body.tokens_out = tokensOut
        var listed: [keel_signal] = []
        listed.reserveCapacity(signals.count)
        for signal in signals {
            listed.append(
                keel_signal(name: builder.text(signal.name), confidence: signal.confidence.raw, direction: signal.direction, reserved: 0))
        }
        body.signals = builder.list(listed)
        body.wakes = builder.list(wakes.map(\.c))
        body.model = builder.text(model)
        body.memory = builder.text(memory)
        body.reason = builder.text(reason)
        return builder.emit(body, KEEL_EV_DECISION, instrument: instrument, request: request.id, to: request.host)
    }
}

extension Request {
    /// Answers and ends the request.
    public func answer(_ decision: Decision, to snapshot: Snapshot) {
        let status = decision.emit(for: self, instrument: snapshot.instrument, snapshot: snapshot.pointer.pointee.hash)
        if let error = PluginError(status: status, "the decision could not be delivered (status \(status))") {
            done(error)
        } else {
            done()
        }
    }
}
