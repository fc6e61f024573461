import PluginAPI

/// What a component is besides its roles (`KEEL_COMPONENT_*`).
public struct ComponentFlags: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// May only run in a process of its own.
    public static let needsProcess = ComponentFlags(rawValue: KEEL_COMPONENT_NEEDS_PROCESS)
    /// One instance a process.
    public static let single = ComponentFlags(rawValue: KEEL_COMPONENT_SINGLE)
    /// Starts no thread, does no I/O: may share the engine's lane.
    public static let inline = ComponentFlags(rawValue: KEEL_COMPONENT_INLINE)
    /// The same calls give the same events.
    public static let deterministic = ComponentFlags(rawValue: KEEL_COMPONENT_DETERMINISTIC)
}

/// What a library offers: a plugin class, its metadata and the roles it plays.
///
///     private let library = Library(
///         Component(Hold.self, id: "com.example.hold", name: "Hold", version: "1.0.0", license: "MIT", config: .empty)
///             .decider())
///
///     @c @implementation
///     public func keel_plugin_entry(_ major: UInt32) -> UnsafePointer<keel_library>! { library.table(major) }
public struct Component<Class: Plugin> {
    let core: ComponentCore

    public init(
        _: Class.Type, id: String, name: String, vendor: String = "", version: String, license: String, url: String = "",
        config: ConfigShape = .empty, flags: ComponentFlags = []
    ) {
        core = ComponentCore(
            id: id, name: name, vendor: vendor, version: version, license: license, url: url, config: config, flags: flags,
            make: { try Class(host: $0, name: $1, config: $2) })
    }

    private func adding(_ id: String, _ table: UnsafeRawPointer, _ bind: @escaping (InstanceCore, Class) -> Void) -> Self {
        core.interfaces.append((id, table))
        core.bindings.append { instance in
            // The instance was made by `make` above, so its class is known without asking.
            bind(instance, unsafeDowncast(instance.plugin, to: Class.self))
        }
        return self
    }
}

extension Component where Class: Feed {
    public func feed() -> Self {
        core.channels = Class.channels
        return adding(KEEL_FEED, feedTable(channels: Class.channels, silence: Class.silence)) { $0.feed = $1 }
    }
}

extension Component where Class: Broker {
    public func broker() -> Self {
        core.orderFeatures = Class.orderFeatures
        return adding(KEEL_BROKER, brokerTable(features: Class.orderFeatures, replaces: false)) { $0.broker = $1 }
    }
}

extension Component where Class: ReplacingBroker {
    public func broker() -> Self {
        core.orderFeatures = Class.orderFeatures
        return adding(KEEL_BROKER, brokerTable(features: Class.orderFeatures, replaces: true)) {
            $0.broker = $1
            $0.replacing = $1
        }
    }
}

extension Component where Class: Decider {
    public func decider() -> Self {
        adding(KEEL_DECIDER, deciderTable(wants: Class.wants, bars: Class.barsWanted, observe: nil)) { $0.decider = $1 }
    }
}

extension Component where Class: ObservingDecider {
    public func decider() -> Self {
        adding(KEEL_DECIDER, deciderTable(wants: Class.wants, bars: Class.barsWanted, observe: observeSlowly)) {
            $0.decider = $1
            $0.observing = $1
        }
    }
}

extension Component where Class: Decider & HotPath {
    /// With a C function of the plugin's own for each market event: see `hotState`.
    public func decider(observe: @escaping ObserveFunction) -> Self {
        adding(KEEL_DECIDER, deciderTable(wants: Class.wants, bars: Class.barsWanted, observe: observe)) {
            $0.decider = $1
            $0.hot = $1
        }
    }
}

extension Component where Class: Router {
    public func router() -> Self {
        adding(KEEL_ROUTER, routerTable(onEvent: routeEventSlowly)) { $0.router = $1 }
    }
}

extension Component where Class: Router & HotPath {
    /// With a C function of the plugin's own for each event.
    public func router(onEvent: @escaping EventFunction) -> Self {
        adding(KEEL_ROUTER, routerTable(onEvent: onEvent)) {
            $0.router = $1
            $0.hot = $1
        }
    }
}

extension Component where Class: Stateful {
    /// `version` is what `save` writes, `oldest` the oldest `load` accepts.
    public func state(version: UInt32, oldest: UInt32? = nil) -> Self {
        core.stateVersion = version
        core.stateOldest = oldest ?? version
        return adding(KEEL_STATE, stateTable()) { $0.stateful = $1 }
    }
}

extension Component where Class: Describing {
    public func describe() -> Self { adding(KEEL_DESCRIBE, describeTable()) { $0.describing = $1 } }
}

extension Component where Class: Rankings {
    public func rankings() -> Self { adding(KEEL_RANKINGS, rankingsTable()) { $0.rankings = $1 } }
}

extension Component where Class: AccountSummary {
    public func account() -> Self { adding(KEEL_ACCOUNT, accountTable()) { $0.account = $1 } }
}

extension Component where Class: MarketObserver {
    public func market() -> Self { adding(KEEL_MARKET, marketTable(onMarket: marketSlowly)) { $0.market = $1 } }
}

extension Component where Class: HotPath {
    /// With a C function of the plugin's own for each market event.
    public func market(onMarket: @escaping EventFunction) -> Self {
        adding(KEEL_MARKET, marketTable(onMarket: onMarket)) { $0.hot = $1 }
    }
}

/// A component without its class: what the C functions work with.
final class ComponentCore {
    let id, name, vendor, version, license, url: String
    let config: ConfigShape
    let flags: ComponentFlags
    let make: (Host, String, JSONValue) throws -> any Plugin
    var interfaces: [(id: String, table: UnsafeRawPointer)] = []
    var bindings: [(InstanceCore) -> Void] = []
    var channels: Channels = []
    var orderFeatures: OrderFeatures = []
    var stateVersion: UInt32 = 0
    var stateOldest: UInt32 = 0

    init(
        id: String, name: String, vendor: String, version: String, license: String, url: String, config: ConfigShape, flags: ComponentFlags,
        make: @escaping (Host, String, JSONValue) throws -> any Plugin
    ) {
        self.id = id
        self.name = name
        self.vendor = vendor
        self.version = version
        self.license = license
        self.url = url
        self.config = config
        self.flags = flags
        self.make = make
    }
}

/// Anything a library can list.
public protocol LibraryPart {
    var table: UnsafePointer<keel_component> { get }
}

extension Component: LibraryPart {
    /// The component's C table; each call makes a new one, `Library` calls it once.
    public var table: UnsafePointer<keel_component> { componentTable(core) }
}

/// The table `keel_plugin_entry` returns, built once.
public final class Library: @unchecked Sendable {
    private let library: UnsafePointer<keel_library>

    public init(_ parts: any LibraryPart...) {
        let list = UnsafeMutablePointer<UnsafePointer<keel_component>?>.allocate(capacity: max(parts.count, 1))
        for (place, part) in parts.enumerated() { (list + place).initialize(to: part.table) }
        library = forever(
            keel_library(
                struct_size: UInt32(MemoryLayout<keel_library>.size), abi_major: UInt16(KEEL_ABI_MAJOR), abi_minor: UInt16(KEEL_ABI_MINOR),
                components: list, component_count: UInt32(parts.count), reserved: 0))
    }

    /// The library for this ABI, or nil if it has none.
    public func table(_ major: UInt32) -> UnsafePointer<keel_library>? { major == KEEL_ABI_MAJOR ? library : nil }
}
