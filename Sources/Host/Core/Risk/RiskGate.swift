import PluginAPI
import PluginKit

/// An order the risk gate has let through. Only this file can make one, and the broker stage takes nothing else.
public struct ApprovedOrder: Sendable {
    public let order: keel_order
    public let role: OrderRole

    fileprivate init(order: keel_order, role: OrderRole) {
        self.order = order
        self.role = role
    }

    public var id: OrderID { OrderID(order.id) }
}
