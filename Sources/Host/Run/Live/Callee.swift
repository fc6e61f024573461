import HostCore
import HostPlugins
import PluginAPI
import PluginKit

/// An instance as the outlet calls it.
public enum Callee {
    /// On the engine's thread: plain calls through its C tables.
    case inline(Port)
    /// On a lane of its own.
    case lane(LaneProxy)

    var name: String {
        switch self {
        case .inline(let port): port.name
        case .lane(let proxy): proxy.host.name
        }
    }

    var isInline: Bool {
        if case .inline = self { return true }
        return false
    }

    func decide(
        _ snapshot: UnsafePointer<keel_snapshot>, deadline: Int64, request: UInt64, error: UnsafeMutablePointer<keel_error>
    ) -> keel_status {
        switch self {
        case .inline(let port): port.decide(snapshot, deadline: deadline, request: request, error: error)
        case .lane(let proxy): proxy.decide(snapshot, deadline: deadline, request: request)
        }
    }

    func cancelDecide(request: UInt64) {
        switch self {
        case .inline(let port): port.cancelDecide(request: request)
        case .lane(let proxy): proxy.cancelDecide(request: request)
        }
    }

    func submit(_ order: ApprovedOrder, request: UInt64, error: UnsafeMutablePointer<keel_error>) -> keel_status {
        switch self {
        case .inline(let port): port.submit(order, request: request, error: error)
        case .lane(let proxy): proxy.submit(order.order, request: request)
        }
    }

    func cancel(_ order: OrderID, request: UInt64, error: UnsafeMutablePointer<keel_error>) -> keel_status {
        switch self {
        case .inline(let port): port.cancel(order, request: request, error: error)
        case .lane(let proxy): proxy.cancel(order, request: request)
        }
    }

    func replace(_ order: OrderID, with: ApprovedOrder, request: UInt64, error: UnsafeMutablePointer<keel_error>) -> keel_status {
        switch self {
        case .inline(let port): port.replace(order, with: with, request: request, error: error)
        case .lane(let proxy): proxy.replace(order, with: with.order, request: request)
        }
    }

    func sync(since: Int64, request: UInt64, error: UnsafeMutablePointer<keel_error>) -> keel_status {
        switch self {
        case .inline(let port): port.sync(since: since, request: request, error: error)
        case .lane(let proxy): proxy.sync(since: since, request: request)
        }
    }

    func route(_ parent: ApprovedOrder, request: UInt64, error: UnsafeMutablePointer<keel_error>) -> keel_status {
        switch self {
        case .inline(let port): port.route(parent, request: request, error: error)
        case .lane(let proxy): proxy.route(parent.order, request: request)
        }
    }

    func cancelRoute(request: UInt64) {
        switch self {
        case .inline(let port): port.cancelRoute(request: request)
        case .lane(let proxy): proxy.cancelRoute(request: request)
        }
    }

    func routerEvent(_ event: UnsafePointer<keel_event>) {
        switch self {
        case .inline(let port): port.routerEvent(event)
        case .lane(let proxy): proxy.routerEvent(event)
        }
    }
}
