import HostCore
import PluginAPI

/// Answers the engine as the journal says it was answered, and holds every effect against the recorded one.
final class ReplayOutlet: EffectOutlet {
    private let reader: ReplayReader
    private(set) var orders = 0

    init(_ reader: ReplayReader) { self.reader = reader }

    override func note(_ kind: EffectKind, _ port: Int, keep: Bool = false) {
        if kind == .submit { orders += 1 }
        reader.effect(kind, port: UInt16(truncatingIfNeeded: port), time: now, effect.bytes, kept: keep)
    }

    override func call(
        _ kind: AnswerKind, _ port: Int, request: UInt64?, _ body: (Callee, UnsafeMutablePointer<keel_error>) -> keel_status
    ) -> keel_status {
        let given = reader.answer(kind, port: UInt16(truncatingIfNeeded: port))
        message = given.message
        return given.status
    }

    override func barrier() -> Bool { reader.answer(.barrier, port: 0).status == KEEL_OK }
}
