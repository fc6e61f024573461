import HostCore
import HostLedger
import PluginAPI
import PluginKit

/// Writes every effect of the engine down as bytes before it happens, the same way in a running host and in a replay.
/// What then happens is the subclass's: `note` takes the bytes, `call` gives the engine its answer.
public class EffectOutlet: Outlet {
    public let recording: Recording = .everything
    /// Time of the input the engine works on.
    @exclusivity(unchecked) final var now: Int64 = 0
    final let effect = EffectBytes()
    /// What the last call that was refused had to say.
    @exclusivity(unchecked) final var message = ""
    /// Every record, for whoever counts them: looked at now and then, never while an order waits.
    final let seen = SeenRecords()

    /// The bytes in `effect` are about to happen. `keep`: they are recorded whole, not only in the running hash.
    func note(_ kind: EffectKind, _ port: Int, keep: Bool = false) {}

    /// A call with an answer the engine acts on. `request`: ends in a DONE.
    func call(_ kind: AnswerKind, _ port: Int, request: UInt64?, _ body: (Callee, UnsafeMutablePointer<keel_error>) -> keel_status) -> keel_status {
        KEEL_E_UNSUPPORTED
    }

    /// A call without one.
    func tell(_ port: Int, _ body: (Callee) -> Void) {}

    // MARK: Plugins

    public func ask(_ port: Int, _ snapshot: UnsafePointer<keel_snapshot>, deadline: Int64, request: UInt64) -> keel_status {
        effect.begin()
        effect.put(snapshot.pointee.hash.hi)
        effect.put(snapshot.pointee.hash.lo)
        effect.put(deadline)
        effect.put(request)
        note(.ask, port, keep: true)
        return call(.ask, port, request: request) { $0.decide(snapshot, deadline: deadline, request: request, error: $1) }
    }

    public func cancelAsk(_ port: Int, request: UInt64) {
        effect.begin()
        effect.put(request)
        note(.cancelAsk, port)
        tell(port) { $0.cancelDecide(request: request) }
    }

    public func renew(_ port: Int) {
        effect.begin()
        note(.renew, port)
    }

    public func submit(_ port: Int, _ order: ApprovedOrder, request: UInt64) -> keel_status {
        effect.begin()
        effect.put(order.order)
        effect.put(request)
        note(.submit, port, keep: true)
        return call(.submit, port, request: request) { $0.submit(order, request: request, error: $1) }
    }

    public func cancel(_ port: Int, _ order: OrderID, request: UInt64) -> keel_status {
        effect.begin()
        effect.put(order)
        effect.put(request)
        note(.cancel, port, keep: true)
        return call(.cancel, port, request: request) { $0.cancel(order, request: request, error: $1) }
    }

    public func replace(_ port: Int, _ order: OrderID, with: ApprovedOrder, request: UInt64) -> keel_status {
        effect.begin()
        effect.put(order)
        effect.put(with.order)
        effect.put(request)
        note(.replace, port, keep: true)
        return call(.replace, port, request: request) { $0.replace(order, with: with, request: request, error: $1) }
    }

    public func sync(_ port: Int, since: Int64, request: UInt64) -> keel_status {
        effect.begin()
        effect.put(since)
        effect.put(request)
        note(.sync, port)
        return call(.sync, port, request: request) { $0.sync(since: since, request: request, error: $1) }
    }

    public func route(_ port: Int, _ parent: ApprovedOrder, request: UInt64) -> keel_status {
        effect.begin()
        effect.put(parent.order)
        effect.put(request)
        note(.route, port, keep: true)
        return call(.route, port, request: nil) { $0.route(parent, request: request, error: $1) }
    }

    /// Feeds are told outside the run's effects: what they deliver is recorded, how often they were asked is not.
    public func pace(pipeline: Int, instrument: keel_instrument_id, urgent: Bool) {}

    public func cancelRoute(_ port: Int, request: UInt64) {
        effect.begin()
        effect.put(request)
        note(.cancelRoute, port)
        tell(port) { $0.cancelRoute(request: request) }
    }

    public func routerEvent(_ port: Int, _ event: UnsafePointer<keel_event>) {
        // The event itself is in the journal already, as an input.
        tell(port) { $0.routerEvent(event) }
    }

    public func lastMessage() -> String { message }

    // MARK: Ledger and people

    public func record(_ record: LedgerRecord) {
        effect.begin()
        if effect.put(record) { note(.record, 0) }
        seen.records.append(record)
    }

    public func boundary() {}
    public func barrier() -> Bool { true }
    /// Observers are told from the records, see `BusFeed`: the engine is never asked to publish.
    public func publish(_ event: BusEvent) {}
    public func alert(_ alert: Alert) {}
}

/// Records that wait to be counted.
final class SeenRecords {
    @exclusivity(unchecked) final var records: [LedgerRecord] = []

    init() { records.reserveCapacity(1024) }

    /// Hands out what has come since the last time.
    func take(_ body: (LedgerRecord) -> Void) {
        guard !records.isEmpty else { return }
        let taken = records
        records = []
        records.reserveCapacity(1024)
        for record in taken { body(record) }
    }
}
