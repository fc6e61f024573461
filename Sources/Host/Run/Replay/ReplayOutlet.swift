import HostCore
import HostLedger
import PluginAPI
import PluginKit

/// Answers the engine as the journal says it was answered, and holds every effect against the recorded one.
final class ReplayOutlet: Outlet {
    let recording: Recording = .everything
    private let reader: ReplayReader
    private var effect = EffectBytes()
    private var message = ""
    private(set) var orders = 0
    private(set) var records = 0
    var now: Int64 = 0
    var onRecord: (LedgerRecord) -> Void = { _ in }

    init(_ reader: ReplayReader) { self.reader = reader }

    func ask(_ port: Int, _ snapshot: UnsafePointer<keel_snapshot>, deadline: Int64, request: UInt64) -> keel_status {
        effect.begin()
        effect.put(snapshot.pointee.hash.hi)
        effect.put(snapshot.pointee.hash.lo)
        effect.put(deadline)
        effect.put(request)
        note(.ask, port, kept: true)
        return answer(.ask, port)
    }

    func cancelAsk(_ port: Int, request: UInt64) {
        effect.begin()
        effect.put(request)
        note(.cancelAsk, port)
    }

    func renew(_ port: Int) {
        effect.begin()
        note(.renew, port)
    }

    func submit(_ port: Int, _ order: ApprovedOrder, request: UInt64) -> keel_status {
        orders += 1
        effect.begin()
        effect.put(order.order)
        effect.put(request)
        note(.submit, port, kept: true)
        return answer(.submit, port)
    }

    func cancel(_ port: Int, _ order: OrderID, request: UInt64) -> keel_status {
        effect.begin()
        effect.put(order)
        effect.put(request)
        note(.cancel, port, kept: true)
        return answer(.cancel, port)
    }

    func replace(_ port: Int, _ order: OrderID, with: ApprovedOrder, request: UInt64) -> keel_status {
        effect.begin()
        effect.put(order)
        effect.put(with.order)
        effect.put(request)
        note(.replace, port, kept: true)
        return answer(.replace, port)
    }

    func sync(_ port: Int, since: Int64, request: UInt64) -> keel_status {
        effect.begin()
        effect.put(since)
        effect.put(request)
        note(.sync, port)
        return answer(.sync, port)
    }

    func route(_ port: Int, _ parent: ApprovedOrder, request: UInt64) -> keel_status {
        effect.begin()
        effect.put(parent.order)
        effect.put(request)
        note(.route, port, kept: true)
        return answer(.route, port)
    }

    func cancelRoute(_ port: Int, request: UInt64) {
        effect.begin()
        effect.put(request)
        note(.cancelRoute, port)
    }

    func routerEvent(_ port: Int, _ event: UnsafePointer<keel_event>) {}
    func lastMessage() -> String { message }

    func record(_ record: LedgerRecord) {
        records += 1
        effect.begin()
        if effect.put(record) { note(.record, 0) }
        onRecord(record)
    }

    func boundary() {}
    func barrier() -> Bool { answer(.barrier, 0) == KEEL_OK }
    func publish(_ event: BusEvent) {}
    func alert(_ alert: Alert) {}

    private func note(_ kind: EffectKind, _ port: Int, kept: Bool = false) {
        effect.bytes.withUnsafeBytes { reader.effect(kind, port: UInt16(truncatingIfNeeded: port), time: now, $0, kept: kept) }
    }

    private func answer(_ kind: AnswerKind, _ port: Int) -> keel_status {
        let given = reader.answer(kind, port: UInt16(truncatingIfNeeded: port))
        message = given.message
        return given.status
    }
}
