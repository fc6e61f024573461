import PluginAPI

/// The short way to answer for deciders with one signal and an exact quantity: one buffer, no allocation for a decision.
public struct Answer: ~Copyable {
    private var builder = EventBuilder(capacity: 512)
    private let signal: String
    private let model: String
    /// Where the texts lie in the buffer: they are the same in every answer, so they are written once.
    private var layout: (signal: keel_text, signals: keel_list, model: keel_text)?

    public init(signal: String, model: String) {
        self.signal = signal
        self.model = model
    }

    /// Whether the snapshot's limits leave room for an order of this quantity at the last price. Zero means not limited.
    public func fits(_ quantity: Fixed, _ snapshot: Snapshot) -> Bool {
        let notional = snapshot.last.notional(quantity)
        let seen = snapshot.pointer.pointee
        let maximum = Amount(seen.max_order)
        if maximum.isPositive, notional > maximum { return false }
        if seen.max_fraction > 0, seen.max_fraction < KEEL_ONE, snapshot.equity.isPositive,
            let share = try? snapshot.equity.multiplied(by: snapshot.maximumFraction), notional > share
        {
            return false
        }
        return true
    }

    /// The decision on this snapshot, and the end of the request.
    public mutating func send(_ action: Decision.Action, _ quantity: Fixed, _ snapshot: Snapshot, _ request: Request) {
        var body = keel_ev_decision()
        body.action = action.rawValue
        body.snapshot = snapshot.pointer.pointee.hash
        body.quantity = quantity.raw
        body.confidence = Int64(KEEL_ONE)
        body.exit_probability = action == .sell ? Int64(KEEL_ONE) : 0
        var named = keel_signal(name: keel_text(), confidence: Int64(KEEL_ONE), direction: action == .buy ? 1 : -1, reserved: 0)
        if let layout {
            named.name = layout.signal
            builder.store(named, in: layout.signals)
            body.signals = layout.signals
            body.model = layout.model
        } else {
            builder.begin(keel_ev_decision.self)
            named.name = builder.text(signal)
            body.signals = builder.list(one: named)
            body.model = builder.text(model)
            layout = (named.name, body.signals, body.model)
        }
        let status = builder.emit(body, KEEL_EV_DECISION, instrument: snapshot.instrument, request: request.id, to: request.host)
        if let error = PluginError(status: status, "the decision could not be delivered (status \(status))") {
            request.done(error)
        } else {
            request.done()
        }
    }
}
