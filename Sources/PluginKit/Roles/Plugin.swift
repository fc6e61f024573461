import PluginAPI

/// A plugin is a class. The host makes, starts, stops and releases its instances, all on one thread, the lane.
///
/// `init` must not do I/O and can't see secrets; `start` may. What a call throws reaches the host as a status and a message.
public protocol Plugin: AnyObject {
    /// `config` has been checked against the component's shape, defaults filled in. Throw `.invalid` and name the property for the rest.
    init(host: Host, name: String, config: JSONValue) throws
    func start() throws
    /// End with `stopping.done()`, at once or later, before its deadline. Nothing may be emitted after it.
    func stop(_ stopping: Stopping) throws
    func onTimer(_ id: UInt64, tag: UInt64)
    func onDescriptor(_ descriptor: Int32, _ ready: Host.Readiness)
    /// After `host.wake()`, however often it was called.
    func onWake()
}

extension Plugin {
    public func start() throws {}
    public func stop(_ stopping: Stopping) throws { stopping.done() }
    public func onTimer(_ id: UInt64, tag: UInt64) {}
    public func onDescriptor(_ descriptor: Int32, _ ready: Host.Readiness) {}
    public func onWake() {}
}

// The roles. All calls come on the lane while the plugin runs; the SDK has checked that, and the form of every argument.

/// What a feed can serve (`KEEL_CH_*`).
@frozen
public struct Channels: OptionSet, Sendable, Hashable {
    public let rawValue: UInt64
    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }
    public static let quotes = Channels(rawValue: KEEL_CH_QUOTES)
    public static let trades = Channels(rawValue: KEEL_CH_TRADES)
    public static let bars = Channels(rawValue: KEEL_CH_BARS)
    public static let values = Channels(rawValue: KEEL_CH_VALUES)
    public static let depth = Channels(rawValue: KEEL_CH_DEPTH)
    public static let news = Channels(rawValue: KEEL_CH_NEWS)
    /// While subscribed: values as often as the venue allows, because they move.
    public static let urgent = Channels(rawValue: KEEL_CH_URGENT)
}

public protocol Feed: Plugin {
    static var channels: Channels { get }
    /// Nanoseconds a healthy stream may be silent, 0 = unknown.
    static var silence: Int64 { get }
    /// End the request once the venue has confirmed, or with `.notFound` for an unknown instrument.
    func subscribe(_ instrument: UInt32, _ channels: Channels, _ request: Request) throws
    func unsubscribe(_ instrument: UInt32, _ channels: Channels, _ request: Request) throws
}

public protocol Broker: Plugin {
    /// Everything `submit` accepts; the SDK refuses the rest.
    static var orderFeatures: OrderFeatures { get }
    /// Returning means "mine now": order and fill events follow, then one DONE. Throwing means certainly not sent, except `.inDoubt`.
    func submit(_ order: Order, _ request: Request) throws
    func cancel(_ order: OrderID, _ request: Request) throws
    /// Open orders, fills since, balances and positions, all with `KEEL_EVF_SNAPSHOT`, then DONE.
    func sync(since: Int64, _ request: Request) throws
}

/// A broker that can change an order in one step. Without it the host cancels, then submits.
public protocol ReplacingBroker: Broker {
    func replace(_ order: OrderID, with replacement: Order, _ request: Request) throws
}

/// What a decider wants in its snapshots (`KEEL_WANT_*`); the host leaves the rest out.
@frozen
public struct Wants: OptionSet, Sendable, Hashable {
    public let rawValue: UInt64
    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }
    public static let bars = Wants(rawValue: KEEL_WANT_BARS)
    public static let values = Wants(rawValue: KEEL_WANT_VALUES)
    public static let weights = Wants(rawValue: KEEL_WANT_WEIGHTS)
    public static let past = Wants(rawValue: KEEL_WANT_PAST)
    public static let news = Wants(rawValue: KEEL_WANT_NEWS)
    public static let memory = Wants(rawValue: KEEL_WANT_MEMORY)
}

public protocol Decider: Plugin {
    static var wants: Wants { get }
    /// Bars a series in the snapshot, with `.bars`.
    static var barsWanted: UInt32 { get }
    /// At most one decision, then one DONE: `request.answer(_:to:)` does both. The snapshot is gone when this returns.
    func decide(_ snapshot: Snapshot, deadline: Int64, _ request: Request) throws
    /// The request must still end in DONE.
    func cancel(_ request: UInt64)
}

extension Decider {
    /// Right for deciders that answer before `decide` returns.
    public func cancel(_ request: UInt64) {}
}

/// A decider that also sees each market event of its instrument, before the gate.
public protocol ObservingDecider: Decider {
    /// True: "ask me now".
    func observe(_ event: Event) -> Bool
}

public protocol Router: Plugin {
    /// Emit children with `host.child`, then end the request when every child is terminal.
    func route(_ parent: Order, _ request: Request) throws
    /// Its children's orders and fills, its instruments' quotes.
    func onEvent(_ event: Event)
    /// Cancel all children, then end the request that `route` got.
    func cancel(_ request: UInt64)
}

// Extensions: any component may add them.

public protocol Stateful: Plugin {
    /// Everything that must survive a restart. The same state gives the same bytes.
    func save() throws -> [UInt8]
    /// Intact bytes of a version the component accepts. Throwing must leave the instance as it was.
    func load(_ bytes: [UInt8], version: UInt32) throws
}

public protocol Describing: Plugin {
    /// One JSON object about the instance, for people: no secrets.
    func describe() -> JSONValue
}

public protocol Rankings: Plugin {
    /// RANK events, then DONE.
    func fetch(_ list: String, most: UInt32, _ request: Request) throws
}

public protocol AccountSummary: Plugin {
    /// One ACCOUNT event, then DONE.
    func summary(_ request: Request) throws
}

/// A simulated venue: it sees each market event before the pipeline does.
public protocol MarketObserver: Plugin {
    func onMarket(_ event: Event)
}

// The hot path: a plugin may hand the host its own C functions, so that a tick costs one call and nothing else.

/// A plugin whose hot functions work on memory of its own.
public protocol HotPath: Plugin {
    /// Valid from `init` to `deinit`; asked for once.
    var hotState: UnsafeMutableRawPointer { get }
}

public typealias ObserveFunction = @convention(c) (OpaquePointer?, UnsafePointer<keel_event>?) -> keel_status
public typealias EventFunction = @convention(c) (OpaquePointer?, UnsafePointer<keel_event>?) -> Void

/// What a hot function starts with: its plugin's memory, or nil while the instance isn't running.
@inlinable @inline(__always)
public func hotState<State>(_ instance: OpaquePointer?, as _: State.Type) -> UnsafeMutablePointer<State>? {
    guard let instance, let state = UnsafePointer<InstanceHeader>(instance).pointee.hot else { return nil }
    return state.assumingMemoryBound(to: State.self)
}
