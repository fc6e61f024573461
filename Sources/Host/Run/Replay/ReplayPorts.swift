import HostCore
import PluginAPI

/// Tables that look like those of the recorded run to the engine: the same features, and nobody behind them.
///
/// The engine calls only `observe` and `on_market` through them; what `observe` answered is read from the journal.
final class ReplayPorts {
    private struct Context {
        var port: Int
        var calls: UInt64 = 0
        var source: Unmanaged<AskSource>
    }

    /// Says whether the n-th `observe` of a port answered "ask me now".
    final class AskSource {
        var asked: (Int, UInt64) -> Bool = { _, _ in false }
    }

    let source = AskSource()
    let ports: [Port]
    private var release: [() -> Void] = []

    init(_ facts: [RunOrigin.PortFacts]) {
        var made: [Port] = []
        var release: [() -> Void] = []
        func keep<Table>(_ table: Table) -> UnsafePointer<Table> {
            let memory = UnsafeMutablePointer<Table>.allocate(capacity: 1)
            memory.initialize(to: table)
            release.append { memory.deinitialize(count: 1); memory.deallocate() }
            return UnsafePointer(memory)
        }
        for (index, fact) in facts.enumerated() {
            let context = UnsafeMutablePointer<Context>.allocate(capacity: 1)
            context.initialize(to: Context(port: index, source: Unmanaged.passUnretained(source)))
            release.append { context.deinitialize(count: 1); context.deallocate() }
            let feed = fact.channels.map { channels in
                var table = keel_feed()
                table.struct_size = UInt32(MemoryLayout<keel_feed>.size)
                table.channels = channels
                table.silence = fact.silence ?? 0
                return keep(table)
            }
            let broker = fact.orderFeatures.map { features in
                var table = keel_broker()
                table.struct_size = UInt32(MemoryLayout<keel_broker>.size)
                table.order_features = features
                table.submit = { _, _, _, _ in KEEL_E_INTERNAL }
                table.cancel = { _, _, _, _ in KEEL_E_INTERNAL }
                table.sync = { _, _, _, _ in KEEL_E_INTERNAL }
                if fact.replaces == true { table.replace = { _, _, _, _, _ in KEEL_E_INTERNAL } }
                return keep(table)
            }
            let decider = fact.wants.map { wants in
                var table = keel_decider()
                table.struct_size = UInt32(MemoryLayout<keel_decider>.size)
                table.wants = wants
                table.bars_wanted = fact.barsWanted ?? 0
                table.decide = { _, _, _, _, _ in KEEL_E_INTERNAL }
                table.cancel = { _, _ in }
                if fact.observes == true {
                    table.observe = { instance, _ in
                        guard let instance else { return KEEL_OK }
                        let context = UnsafeMutablePointer<Context>(instance)
                        context.pointee.calls &+= 1
                        return context.pointee.source._withUnsafeGuaranteedRef { $0.asked(context.pointee.port, context.pointee.calls) }
                            ? KEEL_ASK : KEEL_OK
                    }
                }
                return keep(table)
            }
            var router = keel_router()
            router.struct_size = UInt32(MemoryLayout<keel_router>.size)
            router.route = { _, _, _, _ in KEEL_E_INTERNAL }
            router.on_event = { _, _ in }
            router.cancel = { _, _ in }
            var market = keel_market()
            market.struct_size = UInt32(MemoryLayout<keel_market>.size)
            market.on_market = { _, _ in }
            made.append(
                Port(
                    name: fact.name, instance: OpaquePointer(context), feed: feed, broker: broker, decider: decider,
                    router: fact.routes ? keep(router) : nil, market: fact.isMarket ? keep(market) : nil, inline: fact.inline, version: fact.version))
        }
        ports = made
        self.release = release
    }

    deinit { for step in release { step() } }
}
