import Foundation
import HostCore
import PluginKit

/// Commands as the journal keeps them: one line of JSON.
public enum CommandCoding {
    private struct Form: Codable {
        var word: String
        var on: Bool?
        var pipeline: String?
        var order: OrderID?
        var quantity: Fixed?
        var limit: Fixed?
    }

    /// Not a command of the engine: where its life began.
    static let start: [UInt8] = Array(#"{"word":"start"}"#.utf8)

    public enum Step: Equatable, Sendable {
        case start
        case command(Command)
    }

    public static func bytes(_ command: Command) -> [UInt8] {
        let form: Form =
            switch command {
            case .kill(let on): Form(word: "kill", on: on)
            case .flatten(let pipeline): Form(word: "flatten", pipeline: pipeline)
            case .resetBreaker(let pipeline): Form(word: "resetBreaker", pipeline: pipeline)
            case .closeGate: Form(word: "closeGate")
            case .openGate: Form(word: "openGate")
            case .sync: Form(word: "sync")
            case .cancel(let order): Form(word: "cancel", order: order)
            case .replace(let order, let quantity, let limit): Form(word: "replace", order: order, quantity: quantity, limit: limit)
            case .stop: Form(word: "stop")
            }
        return (try? StateCoding.bytes(form)) ?? []
    }

    public static func step(_ bytes: UnsafeRawBufferPointer) -> Step? {
        guard let form = try? StateCoding.value(Form.self, from: Array(bytes)) else { return nil }
        switch form.word {
        case "start": return .start
        case "kill": return form.on.map { .command(.kill($0)) }
        case "flatten": return .command(.flatten(pipeline: form.pipeline))
        case "resetBreaker": return form.pipeline.map { .command(.resetBreaker(pipeline: $0)) }
        case "closeGate": return .command(.closeGate)
        case "openGate": return .command(.openGate)
        case "sync": return .command(.sync)
        case "cancel": return form.order.map { .command(.cancel($0)) }
        case "replace":
            guard let order = form.order, let quantity = form.quantity, let limit = form.limit else { return nil }
            return .command(.replace(order, quantity: quantity, limit: limit))
        case "stop": return .command(.stop)
        default: return nil
        }
    }
}
