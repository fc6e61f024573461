import PluginAPI
import PluginKit

/// An instance as the engine sees it: its tables and its pointer. A lane's or a child process's proxy looks the same.
///
/// The pointers must stay valid as long as the engine lives.
public struct Port {
    /// The instance's key in the manifest.
    public var name: String
    public var instance: OpaquePointer?
    public var feed: UnsafePointer<keel_feed>?
    public var broker: UnsafePointer<keel_broker>?
    public var decider: UnsafePointer<keel_decider>?
    public var router: UnsafePointer<keel_router>?
    /// A simulated venue: sees each market event before the pipelines do.
    public var market: UnsafePointer<keel_market>?
    /// It does no I/O (KEEL_COMPONENT_INLINE), so its answers cost nothing and the daily money cap leaves it alone.
    public var inline: Bool
    /// Version and hash of the library, for the records.
    public var version: String

    public init(
        name: String, instance: OpaquePointer?, feed: UnsafePointer<keel_feed>? = nil, broker: UnsafePointer<keel_broker>? = nil,
        decider: UnsafePointer<keel_decider>? = nil, router: UnsafePointer<keel_router>? = nil, market: UnsafePointer<keel_market>? = nil,
        inline: Bool = false, version: String = ""
    ) {
        self.name = name
        self.instance = instance
        self.feed = feed
        self.broker = broker
        self.decider = decider
        self.router = router
        self.market = market
        self.inline = inline
        self.version = version
    }
}

// The calls of the tables, for outlets: KEEL_E_UNSUPPORTED where the instance lacks the role. `error` may be nil.
extension Port {
    public func decide(
        _ snapshot: UnsafePointer<keel_snapshot>, deadline: Int64, request: UInt64, error: UnsafeMutablePointer<keel_error>? = nil
    ) -> keel_status {
        guard let call = decider?.pointee.decide else { return KEEL_E_UNSUPPORTED }
        return call(instance, snapshot, deadline, request, error)
    }

    public func cancelDecide(request: UInt64) {
        guard let call = decider?.pointee.cancel else { return }
        call(instance, request)
    }

    public func submit(_ order: ApprovedOrder, request: UInt64, error: UnsafeMutablePointer<keel_error>? = nil) -> keel_status {
        guard let call = broker?.pointee.submit else { return KEEL_E_UNSUPPORTED }
        return withUnsafePointer(to: order.order) { call(instance, $0, request, error) }
    }

    public func cancel(_ order: OrderID, request: UInt64, error: UnsafeMutablePointer<keel_error>? = nil) -> keel_status {
        guard let call = broker?.pointee.cancel else { return KEEL_E_UNSUPPORTED }
        return call(instance, order.c, request, error)
    }

    public func replace(
        _ order: OrderID, with: ApprovedOrder, request: UInt64, error: UnsafeMutablePointer<keel_error>? = nil
    ) -> keel_status {
        guard let call = broker?.pointee.replace else { return KEEL_E_UNSUPPORTED }
        return withUnsafePointer(to: with.order) { call(instance, order.c, $0, request, error) }
    }

    public func sync(since: Int64, request: UInt64, error: UnsafeMutablePointer<keel_error>? = nil) -> keel_status {
        guard let call = broker?.pointee.sync else { return KEEL_E_UNSUPPORTED }
        return call(instance, since, request, error)
    }

    public func route(_ parent: ApprovedOrder, request: UInt64, error: UnsafeMutablePointer<keel_error>? = nil) -> keel_status {
        guard let call = router?.pointee.route else { return KEEL_E_UNSUPPORTED }
        return withUnsafePointer(to: parent.order) { call(instance, $0, request, error) }
    }

    public func routerEvent(_ event: UnsafePointer<keel_event>) {
        guard let call = router?.pointee.on_event else { return }
        call(instance, event)
    }

    public func cancelRoute(request: UInt64) {
        guard let call = router?.pointee.cancel else { return }
        call(instance, request)
    }
}
