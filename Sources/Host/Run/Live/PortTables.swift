import HostCore
import HostPlugins
import PluginAPI

/// What the engine calls straight through C tables (`observe` and `on_market`, once a market event), for an instance on the
/// engine's thread or on a lane. The instance pointer the engine sees is this object's context, so that "ask me now" can be
/// journaled on its way back.
final class PortTables {
    private struct Context {
        var instance: OpaquePointer?
        var observe: (@convention(c) (OpaquePointer?, UnsafePointer<keel_event>?) -> keel_status)?
        var market: (@convention(c) (OpaquePointer?, UnsafePointer<keel_event>?) -> Void)?
        /// Set for instances on lanes.
        var proxy: Unmanaged<LaneProxy>?
        var calls: UInt64 = 0
        var asked: Unmanaged<Asked>
    }

    /// Told about every KEEL_ASK: port, number of the call.
    final class Asked {
        var note: (UInt64) -> Void = { _ in }
    }

    private let context: UnsafeMutablePointer<Context>
    private let decider: UnsafeMutablePointer<keel_decider>?
    private let market: UnsafeMutablePointer<keel_market>?
    private let proxy: LaneProxy?
    let asked = Asked()
    let port: Port

    init(name: String, host: InstanceHost, proxy: LaneProxy?, version: String) {
        self.proxy = proxy
        context = .allocate(capacity: 1)
        context.initialize(to: Context(
            instance: host.instance, observe: host.tables.decider?.pointee.observe, market: host.tables.market?.pointee.on_market,
            proxy: proxy.map(Unmanaged.passUnretained), asked: Unmanaged.passUnretained(asked)))
        decider = host.tables.decider.map { real in
            let copy = UnsafeMutablePointer<keel_decider>.allocate(capacity: 1)
            copy.initialize(to: real.pointee)
            if real.pointee.observe != nil {
                copy.pointee.observe = { instance, event in
                    guard let instance, let event else { return KEEL_OK }
                    let context = UnsafeMutablePointer<Context>(instance)
                    context.pointee.calls &+= 1
                    let status =
                        if let proxy = context.pointee.proxy { proxy._withUnsafeGuaranteedRef { $0.observe(event) } } else {
                            context.pointee.observe?(context.pointee.instance, event) ?? KEEL_OK
                        }
                    if status == KEEL_ASK {
                        context.pointee.asked._withUnsafeGuaranteedRef { $0.note(context.pointee.calls) }
                    }
                    return status
                }
            }
            return copy
        }
        market = host.tables.market.map { real in
            let copy = UnsafeMutablePointer<keel_market>.allocate(capacity: 1)
            copy.initialize(to: real.pointee)
            copy.pointee.on_market = { instance, event in
                guard let instance, let event else { return }
                let context = UnsafeMutablePointer<Context>(instance)
                if let proxy = context.pointee.proxy {
                    proxy._withUnsafeGuaranteedRef { $0.onMarket(event) }
                } else {
                    context.pointee.market?(context.pointee.instance, event)
                }
            }
            return copy
        }
        port = Port(
            name: name, instance: OpaquePointer(context), feed: host.tables.feed, broker: host.tables.broker,
            decider: decider.map { UnsafePointer($0) }, router: host.tables.router, market: market.map { UnsafePointer($0) },
            inline: proxy == nil, version: version)
    }

    deinit {
        context.deinitialize(count: 1)
        context.deallocate()
        decider?.deallocate()
        market?.deallocate()
    }

    /// The instance was destroyed and made anew.
    func rebind(_ host: InstanceHost) { context.pointee.instance = host.instance }
}
