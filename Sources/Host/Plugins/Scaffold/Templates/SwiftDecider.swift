extension Templates {
    /// A decider in Swift.
    static let swiftDecider = ###"""
// @NAME@: a decider for Keel, in Swift, straight on the header.
//
// It compares the last price with the mean of the newest bars and buys above it, sells below it, within what the
// snapshot allows. Replace `judge` with your own idea; what stands around it is what `keel plugin check` tests.
import CKeel

// Configuration: the members of Decider and the schema.
private let schema: StaticString = """
    {"type":"object","properties":{
      "bars":{"type":"integer","minimum":2,"maximum":500,"default":20,"description":"How many of the newest bars make the mean."}}}
    """

final class Decider: Plugin {
    private let bars: Int

    required init(host: UnsafePointer<keel_host>, config: [UInt8]) throws {
        bars = Int(try Config(config, [("bars", .integer(2...500), false)]).integers["bars"] ?? 20)
        try super.init(host: host, config: config)
    }

    private struct Verdict {
        var action = KEEL_ACT_HOLD
        var confidence: keel_fixed = 0
        var reason = "no bars to compare with"
    }

    /// The idea. Lists lie behind the struct, at offsets from its start; the shortest bars come first.
    private func judge(_ snapshot: UnsafePointer<keel_snapshot>) -> Verdict {
        let block = UnsafeRawPointer(snapshot)
        var verdict = Verdict()
        guard snapshot.pointee.series.count > 0 else { return verdict }
        let series = block.load(fromByteOffset: Int(snapshot.pointee.series.off), as: keel_series.self)
        guard Int(series.bars.count) >= bars else { return verdict }
        let first = (block + Int(series.bars.off)).assumingMemoryBound(to: keel_bar.self) + (Int(series.bars.count) - bars)
        let mean = UnsafeBufferPointer(start: first, count: bars).reduce(0.0) { $0 + Double($1.close) / Double(bars) }
        let last = Double(snapshot.pointee.last)
        verdict.confidence = Int64(KEEL_ONE) / 2
        verdict.reason = "the price is at the mean"
        if last > mean { (verdict.action, verdict.reason) = (KEEL_ACT_BUY, "the price is above the mean") }
        if last < mean { (verdict.action, verdict.reason) = (KEEL_ACT_SELL, "the price is below the mean") }
        return verdict
    }

    /// Never beyond what the snapshot allows: the host would refuse it, and record that.
    private func isAllowed(_ snapshot: keel_snapshot, _ action: UInt32) -> Bool {
        let flat = snapshot.position.hi < 0 || (snapshot.position.hi == 0 && snapshot.position.lo == 0)
        switch action {
        case KEEL_ACT_BUY: return snapshot.allowed & KEEL_MAY_BUY != 0
        case KEEL_ACT_SELL: return snapshot.allowed & KEEL_MAY_SELL != 0 && (!flat || snapshot.allowed & KEEL_MAY_SHORT != 0)
        default: return true
        }
    }

    func decide(_ snapshot: UnsafePointer<keel_snapshot>?, _ deadline: keel_time, _ request: UInt64) throws {
        try needsRunning()
        guard let snapshot, Int(snapshot.pointee.struct_size) >= MemoryLayout<keel_snapshot>.size else {
            throw Refusal(KEEL_E_INVALID, "the snapshot is too short")
        }
        if deadline != 0, now >= deadline { return done(request, KEEL_E_TIMEOUT, "the deadline has passed") }
        let about = snapshot.pointee
        var verdict = judge(snapshot)
        if !isAllowed(about, verdict.action) { verdict.action = KEEL_ACT_HOLD }
        var decision = keel_ev_decision()
        decision.action = verdict.action
        decision.snapshot = about.hash
        decision.fraction = verdict.action == KEEL_ACT_HOLD ? 0 : min(max(about.max_fraction, 0), Int64(KEEL_ONE))
        decision.confidence = verdict.confidence
        decision.exit_probability = -1  // not said
        emit(decision, \.head, kind: KEEL_EV_DECISION, instrument: about.instrument, request: request, texts: [(\.reason, verdict.reason)])
        done(request)
    }
}

private let table = keel_decider(
    struct_size: UInt32(MemoryLayout<keel_decider>.size), bars_wanted: 60, wants: KEEL_WANT_BARS,
    decide: { instance, snapshot, deadline, request, error in guarded(error) { try me(instance, as: Decider.self).decide(snapshot, deadline, request) } },
    cancel: { _, _ in },  // decide answers at once: nothing is ever open
    observe: nil)

nonisolated(unsafe) private let library = component(
    Decider.self, id: "@ID@", name: "@NAME@", role: "keel.decider/1", table: table, schema: schema, flags: KEEL_COMPONENT_INLINE | KEEL_COMPONENT_DETERMINISTIC,
    create: { _, host, _, json, out, error in Plugin.create(Decider.self, host, json, out, error) })

@c @implementation
public func keel_plugin_entry(_ abi_major: UInt32) -> UnsafePointer<keel_library>! { abi_major == KEEL_ABI_MAJOR ? library : nil }

"""###
}
