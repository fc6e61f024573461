import PluginAPI
import PluginKit

/// Asks to be asked at every trade and turns the position round each time: the most orders a market can cause.
final class BenchDecider: Decider, HotPath {
    static let wants: Wants = []
    static let barsWanted: UInt32 = 0

    struct Memory {
        var trades: UInt64 = 0
        var asks = true
    }

    private let memory: UnsafeMutablePointer<Memory>
    private let quantity: Fixed
    private var answer = Answer(signal: "bench", model: "keel.bench")
    private let holds: Bool

    static let config = ConfigShape([
        .decimal("quantity", "Units to buy.", .positive, default: "1"), .flag("hold", "Answer every question with hold.", default: false),
        .flag("watch", "Ask for nothing: only look.", default: false),
    ])

    init(host: Host, name: String, config: JSONValue) throws {
        quantity = try config["quantity"].fixed
        holds = try config["hold"].bool
        memory = .allocate(capacity: 1)
        memory.initialize(to: Memory(asks: try !config["watch"].bool))
    }

    deinit { memory.deallocate() }

    var hotState: UnsafeMutableRawPointer { UnsafeMutableRawPointer(memory) }

    func decide(_ snapshot: Snapshot, deadline: Int64, _ request: Request) throws {
        let position = snapshot.position
        if holds {
            request.done()
        } else if position.isZero, snapshot.mayBuy {
            answer.send(.buy, quantity, snapshot, request)
        } else if position.isPositive, snapshot.maySell {
            answer.send(.sell, try position.fixed(), snapshot, request)
        } else {
            request.done()
        }
    }

    static let observe: ObserveFunction = { instance, event in
        guard let event, let memory = PluginKit.hotState(instance, as: Memory.self) else { return KEEL_OK }
        guard UInt32(event.pointee.kind) == KEEL_EV_TRADE else { return KEEL_OK }
        memory.pointee.trades &+= 1
        return memory.pointee.asks ? KEEL_ASK : KEEL_OK
    }

    /// Its tables, as a library would offer them.
    static func component() -> UnsafePointer<keel_component> {
        Component(
            BenchDecider.self, id: "keel.bench", name: "Bench decider", version: "1.0.0", license: "MIT", config: config, flags: [.inline, .deterministic]
        ).decider(observe: observe).table
    }
}
