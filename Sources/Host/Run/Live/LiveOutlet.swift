import HostCore
import HostLedger
import PluginAPI
import PluginKit

/// Where the ledger's writer stands, as the outlet sees it: what `LedgerWriter` offers, or nothing at all in a benchmark.
public protocol RecordKeeper: AnyObject {
    func record(_ record: LedgerRecord)
    func boundary()
    /// True: everything recorded so far is durable.
    func barrier() -> Bool
}

/// Carries out the engine's effects in a running host: calls the instances, keeps the ledger, tells people.
///
/// Everything the engine is told in return is journaled before the engine sees it, so that a replay can say the same.
public final class LiveOutlet: Outlet {
    public let recording: Recording = .everything

    /// How each port is called: directly, or through its lane.
    var callees: [Callee]
    let journal: JournalWriter?
    let keeper: (any RecordKeeper)?
    /// Time of the input the engine works on: effects carry it into the journal.
    var now: Int64 = 0
    var onPublish: (BusEvent) -> Void = { _ in }
    var onAlert: (Alert) -> Void = { _ in }
    var onRecord: (LedgerRecord) -> Void = { _ in }
    /// A broken instance takes no calls: they fail as certainly not sent.
    var isBroken: [Bool]
    /// Requests that are not answered yet, by port.
    private var outstanding: [UInt64: Int] = [:]
    /// How many of them went to other threads: a simulated clock stands still for those.
    private(set) var awaited = 0

    private var effect = EffectBytes()
    private var error = keel_error()
    private var message = ""
    /// Renewing needs the loop, which alone may stop and start an instance.
    var onRenew: (Int) -> Void = { _ in }

    public init(callees: [Callee], journal: JournalWriter?, keeper: (any RecordKeeper)?) {
        self.callees = callees
        self.journal = journal
        self.keeper = keeper
        isBroken = [Bool](repeating: false, count: callees.count)
        error.struct_size = UInt32(MemoryLayout<keel_error>.size)
    }

    // MARK: Plugins

    public func ask(_ port: Int, _ snapshot: UnsafePointer<keel_snapshot>, deadline: Int64, request: UInt64) -> keel_status {
        effect.begin()
        effect.put(snapshot.pointee.hash.hi)
        effect.put(snapshot.pointee.hash.lo)
        effect.put(deadline)
        effect.put(request)
        note(.ask, port, keep: true)
        return call(.ask, port, waits: request) { callees[port].decide(snapshot, deadline: deadline, request: request, error: $0) }
    }

    public func cancelAsk(_ port: Int, request: UInt64) {
        effect.begin()
        effect.put(request)
        note(.cancelAsk, port)
        if !isBroken[port] { callees[port].cancelDecide(request: request) }
    }

    public func renew(_ port: Int) {
        effect.begin()
        note(.renew, port)
        onRenew(port)
    }

    public func submit(_ port: Int, _ order: ApprovedOrder, request: UInt64) -> keel_status {
        effect.begin()
        effect.put(order.order)
        effect.put(request)
        note(.submit, port, keep: true)
        return call(.submit, port, waits: request) { callees[port].submit(order, request: request, error: $0) }
    }

    public func cancel(_ port: Int, _ order: HostCore.OrderID, request: UInt64) -> keel_status {
        effect.begin()
        effect.put(order)
        effect.put(request)
        note(.cancel, port, keep: true)
        return call(.cancel, port, waits: request) { callees[port].cancel(order, request: request, error: $0) }
    }

    public func replace(_ port: Int, _ order: HostCore.OrderID, with: ApprovedOrder, request: UInt64) -> keel_status {
        effect.begin()
        effect.put(order)
        effect.put(with.order)
        effect.put(request)
        note(.replace, port, keep: true)
        return call(.replace, port, waits: request) { callees[port].replace(order, with: with, request: request, error: $0) }
    }

    public func sync(_ port: Int, since: Int64, request: UInt64) -> keel_status {
        effect.begin()
        effect.put(since)
        effect.put(request)
        note(.sync, port)
        return call(.sync, port, waits: request) { callees[port].sync(since: since, request: request, error: $0) }
    }

    public func route(_ port: Int, _ parent: ApprovedOrder, request: UInt64) -> keel_status {
        effect.begin()
        effect.put(parent.order)
        effect.put(request)
        note(.route, port, keep: true)
        return call(.route, port, waits: nil) { callees[port].route(parent, request: request, error: $0) }
    }

    public func cancelRoute(_ port: Int, request: UInt64) {
        effect.begin()
        effect.put(request)
        note(.cancelRoute, port)
        if !isBroken[port] { callees[port].cancelRoute(request: request) }
    }

    public func routerEvent(_ port: Int, _ event: UnsafePointer<keel_event>) {
        // The event itself is in the journal already, as an input.
        if !isBroken[port] { callees[port].routerEvent(event) }
    }

    public func lastMessage() -> String { message }

    private func call(
        _ kind: AnswerKind, _ port: Int, waits request: UInt64?, _ body: (UnsafeMutablePointer<keel_error>) -> keel_status
    ) -> keel_status {
        message = ""
        var status: keel_status
        if isBroken[port] {
            status = KEEL_E_NETWORK
            message = "\(callees[port].name) is broken and not yet back"
        } else {
            error.message.0 = 0
            status = body(&error)
            if status < 0 { message = LiveOutlet.text(of: error) }
        }
        // A decider that says KEEL_ASK where a plain OK is due still took the question.
        if status > 0 { status = KEEL_OK }
        if status == KEEL_OK, let request, outstanding.updateValue(port, forKey: request) == nil, !callees[port].isInline { awaited += 1 }
        answer(kind, port, status, message)
        return status
    }

    /// The last event of a request has come, or its instance is gone.
    func finished(request: UInt64) {
        guard !outstanding.isEmpty, let port = outstanding.removeValue(forKey: request) else { return }
        if !callees[port].isInline { awaited -= 1 }
    }

    /// What an instance has been asked and not answered, in the order of asking.
    func requests(of port: Int) -> [UInt64] { outstanding.filter { $0.value == port }.keys.sorted() }

    private static func text(of error: keel_error) -> String {
        withUnsafeBytes(of: error.message) { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
    }

    // MARK: The journal

    private func note(_ kind: EffectKind, _ port: Int, keep: Bool = false) {
        guard let journal else { return }
        effect.bytes.withUnsafeBytes {
            journal.effect(.effect(kind.rawValue), port: UInt16(truncatingIfNeeded: port), time: now, $0, keep: keep)
        }
    }

    private func answer(_ kind: AnswerKind, _ port: Int, _ status: keel_status, _ message: String) {
        guard let journal else { return }
        effect.begin()
        effect.put(kind.rawValue)
        effect.put(status)
        if !message.isEmpty { effect.put(message) }
        effect.bytes.withUnsafeBytes { _ = journal.append(.answer, port: UInt16(truncatingIfNeeded: port), time: now, $0) }
    }

    /// `observe` is called past this outlet, straight through the tables: only its "ask me now" is worth a record.
    func observed(_ port: Int, call: UInt64, status: keel_status) {
        guard let journal else { return }
        effect.begin()
        effect.put(AnswerKind.observe.rawValue)
        effect.put(status)
        effect.put(call)
        effect.bytes.withUnsafeBytes { _ = journal.append(.answer, port: UInt16(truncatingIfNeeded: port), time: now, $0) }
    }

    // MARK: Ledger and people

    public func record(_ record: LedgerRecord) {
        if journal != nil {
            effect.begin()
            if effect.put(record) { note(.record, 0) }
        }
        keeper?.record(record)
        onRecord(record)
    }

    public func boundary() { keeper?.boundary() }

    public func barrier() -> Bool {
        let durable = keeper?.barrier() ?? true
        // Whether the disk took it is an input too: without it entries halt.
        answer(.barrier, 0, durable ? KEEL_OK : KEEL_E_AGAIN, "")
        return durable
    }

    public func publish(_ event: BusEvent) { onPublish(event) }
    public func alert(_ alert: Alert) { onAlert(alert) }
}
