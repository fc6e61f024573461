import HostCore
import HostLedger
import PluginAPI
import PluginKit

/// The ledger's writer as the outlet sees it; nothing at all in a benchmark.
public protocol RecordKeeper: AnyObject {
    func record(_ record: LedgerRecord)
    func boundary()
    /// True: everything recorded so far is durable.
    func barrier() -> Bool
}

/// Carries out the engine's effects in a running host: calls the instances, keeps the ledger, tells people.
///
/// Everything the engine is told in return is journaled before the engine sees it, so that a replay can say the same.
public final class LiveOutlet: EffectOutlet {
    /// How each port is called: directly, or through its lane.
    @exclusivity(unchecked) var callees: [Callee]
    let journal: JournalWriter?
    let keeper: (any RecordKeeper)?
    var onAlert: (Alert) -> Void = { _ in }
    /// Renewing needs the loop, which alone may stop and start an instance.
    var onRenew: (Int) -> Void = { _ in }
    var onPace: (_ pipeline: Int, _ instrument: keel_instrument_id, _ urgent: Bool) -> Void = { _, _, _ in }
    /// A broken instance takes no calls: they fail as certainly not sent.
    @exclusivity(unchecked) var isBroken: [Bool]
    /// Requests that are not answered yet, by port.
    @exclusivity(unchecked) private var outstanding: [UInt64: Int] = [:]
    /// How many of them went to other threads: a simulated clock stands still for those.
    @exclusivity(unchecked) private(set) var awaited = 0
    @exclusivity(unchecked) private var error = keel_error()
    /// Measures when set.
    var probe: LatencyProbe?

    public init(callees: [Callee], journal: JournalWriter?, keeper: (any RecordKeeper)?) {
        self.callees = callees
        self.journal = journal
        self.keeper = keeper
        isBroken = [Bool](repeating: false, count: callees.count)
        error.struct_size = UInt32(MemoryLayout<keel_error>.size)
    }

    public override func renew(_ port: Int) {
        super.renew(port)
        onRenew(port)
    }

    public override func pace(pipeline: Int, instrument: keel_instrument_id, urgent: Bool) { onPace(pipeline, instrument, urgent) }

    override func tell(_ port: Int, _ body: (Callee) -> Void) {
        if !isBroken[port] { body(callees[port]) }
    }

    override func call(
        _ kind: AnswerKind, _ port: Int, request: UInt64?, _ body: (Callee, UnsafeMutablePointer<keel_error>) -> keel_status
    ) -> keel_status {
        message = ""
        var status: keel_status
        if isBroken[port] {
            status = KEEL_E_NETWORK
            message = "\(callees[port].name) is broken and not yet back"
        } else {
            error.message.0 = 0
            if kind == .submit { probe?.submit() }
            status = body(callees[port], &error)
            if status < 0 { message = withUnsafeBytes(of: error.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) } }
        }
        // Only `observe` may say KEEL_ASK; elsewhere anything from zero up means it was taken.
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

    // MARK: The journal

    override func note(_ kind: EffectKind, _ port: Int, keep: Bool = false) {
        guard let journal else { return }
        journal.effect(.effect(kind.rawValue), port: UInt16(truncatingIfNeeded: port), time: now, effect.bytes, keep: keep)
    }

    private func answer(_ kind: AnswerKind, _ port: Int, _ status: keel_status, _ message: String) {
        append(kind, port, status) { if !message.isEmpty { $0.put(message) } }
    }

    /// `observe` is called past this outlet, straight through the tables: only its "ask me now" is worth a record.
    func observed(_ port: Int, call: UInt64, status: keel_status) { append(.observe, port, status) { $0.put(call) } }

    private func append(_ kind: AnswerKind, _ port: Int, _ status: keel_status, _ rest: (EffectBytes) -> Void) {
        guard let journal else { return }
        effect.begin()
        effect.put(kind.rawValue)
        effect.put(status)
        rest(effect)
        journal.append(.answer, port: UInt16(truncatingIfNeeded: port), time: now, effect.bytes)
    }

    // MARK: Ledger and people

    public override func record(_ record: LedgerRecord) {
        super.record(record)
        keeper?.record(record)
    }

    public override func boundary() { keeper?.boundary() }

    public override func barrier() -> Bool {
        let durable = keeper?.barrier() ?? true
        // Whether the disk took it is an input too: without it entries halt.
        answer(.barrier, 0, durable ? KEEL_OK : KEEL_E_AGAIN, "")
        return durable
    }

    public override func alert(_ alert: Alert) { onAlert(alert) }
}
