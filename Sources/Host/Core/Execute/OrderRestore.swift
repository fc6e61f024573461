import PluginAPI
import PluginKit

extension OrderState {
    /// An order as a ledger's row describes it, in the numbers of the plan that reads it.
    public init(
        restoring id: OrderID, pipeline: Int, instrument: keel_instrument_id, broker: Int, role: OrderRole, status: OrderStatus, side: UInt32,
        features: UInt64, quantity: Fixed, limit: Fixed, trigger: Fixed, why: ExitReason?, decision: UInt64, created: Int64, changed: Int64
    ) {
        self.init(
            id: id, pipeline: pipeline, instrument: instrument, broker: broker, role: role, status: status, side: side, features: features,
            quantity: quantity, limit: limit, trigger: trigger, why: why, decision: decision, created: created, changed: changed)
    }
}
