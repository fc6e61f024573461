import HostCore

/// The plugins' SDK has a type of the same name and form; in the host it is always the core's.
typealias OrderID = OrderID
