import HostCore

// The plugins' SDK has types of the same names; in the ledger they are always the core's.
public typealias OrderID = HostCore.OrderID
public typealias OrderState = HostCore.OrderState
