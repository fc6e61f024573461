import PluginAPI
import PluginKit

/// The deterministic core: one thread, one total order of events, time only from events, effects through its outlet.
///
/// Feed it with `start`, `accept`, `advance` and `command`; all on one thread. What an inline plugin emits while the engine is
/// calling it also goes to `accept`: it is queued and processed, in order, before the outermost call returns.
public final class Engine {
    public let plan: EnginePlan

    /// Resolves every name of the plan and takes over `restored`; calls nobody.
    public init(plan: EnginePlan, outlet: any Outlet, learner: (any Learner)? = nil, restored: EngineState? = nil) throws(EngineError) {
        self.plan = plan
    }

    /// The run begins: arms timers, asks every broker for its truth. Entries wait until broker and host agree.
    public func start(at time: Int64) {}

    /// One event from the instance `plan.ports[port]`. `at_host` is the time it happened for the engine.
    public func accept(_ event: UnsafePointer<keel_event>, from port: Int) {}

    /// No event arrived until `time`: what is due by then happens.
    public func advance(to time: Int64) {}

    public func command(_ command: Command, at time: Int64) {}

    /// When `advance` must be called at the latest; nil: nothing is due.
    public var nextTimer: Int64? { nil }

    /// Nothing is asked, routed, sent or in doubt: after `.stop`, the moment to save and leave.
    public var isSettled: Bool { true }

    /// Whether brokers and host agree and the gate is open.
    public var isOpen: Bool { true }

    /// Everything that must survive a restart, as of now.
    public func state() -> EngineState { EngineState() }

    /// What observers want published; nothing until called. `.marketTick` costs a call per tick.
    public func listen(to topics: Set<Topic>) {}
}
